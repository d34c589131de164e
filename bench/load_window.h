// load_window.h - what one client has in flight.
//
// Each request carries a stamp (its id and its client) and a pattern that no
// other client sends; an answer counts only if it brings all of it back, byte for
// byte, for a request that is in flight. So what a broker loses, doubles, cuts
// or gives to somebody else is seen.

#ifndef GALLEON_LOAD_WINDOW_H
#define GALLEON_LOAD_WINDOW_H

#include "load_histogram.h"
#include "view.h"

#include <stdatomic.h>

enum {
    LOAD_STAMP_BYTES = 12, // id, client
    LOAD_BODY_BYTES_MAX = 1 << 24,
    LOAD_WINDOW_MAX = 1 << 20
};

struct load_slot {
    uint64_t id;      // 0: free
    uint64_t sent_ns; // 0: nobody takes its time
};

struct load_window {
    atomic_uint_fast64_t done; // answers that were right; others may look at it
    uint64_t sent;
    uint64_t wrong;  // answers to nothing, or not with what was sent
    uint64_t failed; // answers with an error
    uint64_t messages;
    struct load_slot *slots;
    uint32_t *free;
    uint32_t size;
    uint32_t free_count;
    uint32_t client;
    uint32_t timed_every; // one request in so many is timed
    uint64_t serial;
    uint8_t *body; // the next request's
    size_t body_bytes;
    const atomic_bool *is_measuring;
    struct load_histogram latencies; // in nanoseconds
};

void load_window_init(struct load_window *self, uint32_t client, uint32_t size, size_t body_bytes,
                      const atomic_bool *is_measuring);
void load_window_release(struct load_window *self);

// load_window_open takes a free slot, which there must be, and returns the id of
// a new request. Its body is in *body_out until the next call.
uint64_t load_window_open(struct load_window *self, struct view *body_out);

// load_window_close notes an answer.
void load_window_close(struct load_window *self, struct view body);

// load_window_fail notes an answer with an error status.
void load_window_fail(struct load_window *self, uint64_t id);

static inline uint32_t
load_window_in_flight(const struct load_window *self)
{
    return self->size - self->free_count;
}

#endif
