// load_peer.h - what the loads of Redis and PostgreSQL share: a connection, options, a report.
//
// Their protocols are simple enough to be spoken over a plain socket, so that the benchmark needs
// no library of theirs. What goes wrong ends the program: a run that failed is no figure.

#ifndef GALLEON_LOAD_PEER_H
#define GALLEON_LOAD_PEER_H

#include "load_histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEER_WINDOW_MAX = 60000 }; // PostgreSQL takes 65535 parameters at most

struct peer_options {
    const char *work; // the word in front of the options
    uint32_t port;
    uint32_t window;
    uint32_t body_bytes;
    uint32_t seconds;
    uint64_t requests; // 0: as many as the seconds allow
    uint32_t workers;
    bool is_one_statement; // PostgreSQL: all of a batch in one INSERT
};

struct peer {
    int fd;
    uint8_t *out, *in;
    size_t out_bytes, out_limit;
    size_t in_from, in_bytes, in_limit;
};

_Noreturn void peer_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *peer_allocate(size_t bytes);
uint64_t peer_now_ns(void);

// peer_options_parse ends the program where the words are not understood.
void peer_options_parse(struct peer_options *self, int argc, char **argv);

void peer_connect(struct peer *self, const struct peer_options *options);
void peer_close(struct peer *self);

// peer_put and peer_print gather what is to be sent; peer_flush sends it.
void peer_put(struct peer *self, const void *bytes, size_t count);
void peer_print(struct peer *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void peer_flush(struct peer *self);

// peer_take waits for so many bytes; peer_take_line for a line, without its end and with a NUL.
// What they return is there until the next call. peer_has_more: something was read already.
uint8_t *peer_take(struct peer *self, size_t count);
char *peer_take_line(struct peer *self);
bool peer_has_more(const struct peer *self);

// What came of it. `lost` is what was acknowledged and is not there, or was there twice.
struct peer_result {
    uint64_t began_ns, ended_ns;
    uint64_t done, lost;
    struct load_histogram *latencies;
};

// peer_report prints a line of name=value, as `load` does, and returns the exit code.
int peer_report(const struct peer_options *options, const struct peer_result *result);

#endif
