// galleon_tool.h - what the commands of the tool `galleon` share.

#ifndef GALLEON_GALLEON_TOOL_H
#define GALLEON_GALLEON_TOOL_H

#include "options.h"

#include <galleon/mdp_client.h>
#include <galleon/titanic_client.h>

// TOOL_BROKER is the broker where none is given: that of mdworker too.
#define TOOL_BROKER "tcp://127.0.0.1:5555"
enum { TOOL_BROKER_OPTIONS_MAX = 16 };

// Which durable requests; NULL and 0 where it is not said.
struct tool_filter {
    const char *service;
    const char *state;
    const char *older_than;
    const char *newer_than;
    const char *id;
    uint64_t limit;
    const char *reason; // of a change
};

// What the command line says.
struct tool {
    struct options options;
    const char *brokers;
    mdp_client_options_t client;
    bool is_json;
    char **words; // behind the command
    size_t word_count;

    // bench
    uint32_t window;
    uint32_t clients;
    size_t bytes;
    uint32_t seconds;
    uint64_t requests;     // 0: as many as the seconds allow
    const char *endpoints; // of plain servers; NULL: a service is asked

    // submit, wait, request
    titanic_submit_options_t submit;
    uint32_t wait_ms;
    struct tool_filter filter;

    // audit
    const char *public_key; // its file

    // ha
    bool is_peer_dead;

    // drill
    uint32_t repeat;
    bool has_seed;
    uint64_t seed;
    bool is_classic;
    bool is_fast;
    const char *broker_options[TOOL_BROKER_OPTIONS_MAX + 1]; // which NULL ends
};

// tool_connect makes a client for `brokers`; it ends the program where that is no list.
mdp_client_t *tool_connect(struct tool *self, const char *brokers);

// tool_explain says on standard error why a call has no answer and what to do (with
// --json also on standard output), and returns the exit code.
int tool_explain(struct tool *self, mdp_client_t *client, int result, const char *service);
// tool_explain_missing is for a service that is not there: it asks which are, and names
// the nearest.
int tool_explain_missing(struct tool *self, mdp_client_t *client, const char *service);

// tool_print_failure prints as JSON that `service` was asked and gave no answer.
void tool_print_failure(int result, int status, const char *text, const char *service);

// tool_fail says what is wrong and ends the program with exit code 1.
_Noreturn void tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// tool_grown is realloc that does not come back without memory.
void *tool_grown(void *array, size_t bytes);

// tool_end flushes standard output: exit code, or 1 where that cannot be written.
int tool_end(int code);

// The commands.
int tool_call(struct tool *self);
int tool_ping(struct tool *self);
int tool_service_ls(struct tool *self);
int tool_worker_ls(struct tool *self);
int tool_stat(struct tool *self);
int tool_submit(struct tool *self);
int tool_fetch(struct tool *self);
int tool_wait(struct tool *self);
int tool_close(struct tool *self);
int tool_request_ls(struct tool *self);
int tool_request_show(struct tool *self);
int tool_request_retry(struct tool *self);
int tool_request_cancel(struct tool *self);
int tool_request_purge(struct tool *self);
int tool_audit_verify(struct tool *self);
int tool_audit_head(struct tool *self);
int tool_audit_keygen(struct tool *self);
int tool_store_check(struct tool *self);
int tool_store_info(struct tool *self);
int tool_store_backup(struct tool *self);
int tool_bench_call(struct tool *self);
int tool_bench_submit(struct tool *self);
int tool_bench_durable(struct tool *self);
int tool_ha_status(struct tool *self);
int tool_ha_promote(struct tool *self);
int tool_ha_demote(struct tool *self);
int tool_ha_freeze(struct tool *self);
int tool_ha_thaw(struct tool *self);
int tool_ha_clear(struct tool *self);
int tool_drill_ls(struct tool *self);
int tool_drill_run(struct tool *self);

#endif
