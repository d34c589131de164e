// titanic_rig.h - a titanic core with a store in memory: a clock to turn, clients and
// workers to play.
//
// After each step the rig carries out the effects and audits the core. What the core asked
// of the store lies there until rig_commit. At the end all cargo has to have come back, and
// every asker to have been answered once.

#ifndef GALLEON_TITANIC_RIG_H
#define GALLEON_TITANIC_RIG_H

#include "store.h"
#include "titanic_core.h"

enum { RIG_ASKERS = 4096, RIG_SENT = 8192, RIG_TEXT = 300, RIG_OPS = 8192 };

struct rig_asker {
    struct tsp_request request;
    char target[64], key[80];
    bool is_open;
    enum tsp_status status; // 0: not answered yet
    char text[RIG_TEXT];    // what was said with it: an id, a body, a count, a reason
    struct request_id id;
    size_t rows; // of a table
};

struct rig_sent {
    uint64_t token;
    char service[64];
    char body[RIG_TEXT];
    struct request_id id;
    uint64_t at_ms;
    uint64_t queue_ms;
    bool is_open; // neither answered nor cancelled
};

struct titanic_rig {
    struct titanic_config config;
    struct titanic_core *core;
    void *memory;
    struct store *store;
    uint64_t now_ns;
    uint64_t live; // bodies that did not come back
    struct rig_asker askers[RIG_ASKERS];
    size_t asker_count;
    struct rig_sent sent[RIG_SENT];
    size_t sent_count;
    struct durable_op ops[RIG_OPS];
    size_t op_first, op_count;
    char question[64]; // the last one
    size_t questions;
    size_t cancelled;
    bool has_stopped;
    bool refuses;        // the store has no room for bodies
    bool refuses_all;    // nor for anything else
    const char *damaged; // the body of a request that the store does not find whole, or NULL
    size_t effects_most;
};

// titanic_rig_new makes a rig with small limits: inflight 8, 3 attempts, pauses of 1 s to 8 s,
// attempts of 10 s. Change `config` before titanic_rig_start.
struct titanic_rig *titanic_rig_new(void);
void titanic_rig_start(struct titanic_rig *self);
// titanic_rig_started is both, for tests that change nothing.
struct titanic_rig *titanic_rig_started(void);
// titanic_rig_free drains, and checks that everything came back.
void titanic_rig_free(struct titanic_rig *self);
// titanic_rig_crash forgets the core with all that it has; the store stays, and a new core
// starts on it.
void titanic_rig_crash(struct titanic_rig *self);

// rig_step is for what the others do not do.
void rig_step(struct titanic_rig *self, struct titanic_event *event);
// rig_commit does what the store was asked for, and tells of it, again and again until there
// is nothing more; rig_commit_one does the oldest only.
void rig_commit(struct titanic_rig *self);
bool rig_commit_one(struct titanic_rig *self);
// rig_wait turns the clock and says TICK whenever it is due; the store commits at once.
void rig_wait(struct titanic_rig *self, uint64_t ms);
uint64_t rig_clock_ms(const struct titanic_rig *self);

// What clients ask. Each returns the asker's place.
size_t rig_submit(struct titanic_rig *self, const char *service, const char *body);
size_t rig_submit_with(struct titanic_rig *self, const char *service, const char *body,
                       const struct tsp_request *more);
size_t rig_ask_id(struct titanic_rig *self, enum tsp_service service, const struct request_id *id,
                  uint64_t wait_ms);
size_t rig_ask_filter(struct titanic_rig *self, enum tsp_service service,
                      const struct durable_filter *filter);
// rig_accepted submits, commits, and returns the id.
struct request_id rig_accepted(struct titanic_rig *self, const char *service, const char *body);
// rig_fetch asks for the answer, commits, and returns the status; the text is in *text_out.
enum tsp_status rig_fetch(struct titanic_rig *self, const struct request_id *id,
                          const char **text_out);

// What workers do with what was sent, by its place. Status 200 has a body, others a text.
void rig_answer(struct titanic_rig *self, size_t sent, int status, const char *body);
void rig_not_tried(struct titanic_rig *self, size_t sent);
void rig_lost(struct titanic_rig *self, size_t sent);
void rig_known(struct titanic_rig *self, const char *service, bool has_workers);
// rig_open is how many are sent, and neither answered nor cancelled.
size_t rig_open(const struct titanic_rig *self, const char *service);
struct titanic_core_stats rig_stats(const struct titanic_rig *self);

#endif
