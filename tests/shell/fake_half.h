// fake_half.h - a half of a pair that does what a test says, in place of bstar.c.
//
// The broker's thread uses it, and the test changes it, each under its lock.

#ifndef GALLEON_FAKE_HALF_H
#define GALLEON_FAKE_HALF_H

#include "bstar_inside.h"

#include <pthread.h>

// What it is, and does when it is asked.
struct fake_will {
    bstar_state_t state;
    bool serves;
    bool finishes;   // what is out may be answered
    bool is_late;    // it does not serve any more when the clock is read once more in a turn
    bool takes_vote; // a vote makes it serve
    bool stays;      // it is not over when it is stopped, until this changes
    uint64_t epoch;  // 0: none
    struct bstar_answer answer;
    const char *why;
};

// What it was asked.
struct fake_calls {
    uint32_t votes, drained, stops, words, fenced;
    bool finished_before_drained; // `finishes` was true when it was told
    enum bstar_word word;
};

struct bstar {
    pthread_mutex_t lock;
    int fd; // an eventfd
    struct fake_will will;
    struct fake_calls calls;
    struct bstar_hooks hooks;
    struct fake_will next; // from the next pump on
    bool must_change, must_drain, must_drop;
    pthread_cond_t has_changed;
    uint64_t pumped_ns;
};

void fake_half_init(struct bstar *self, struct fake_will will);
void fake_half_release(struct bstar *self);

// fake_half_set has it be so from the next pump on, and waits for that: so a half changes.
void fake_half_set(struct bstar *self, struct fake_will will);
// fake_half_end has it call a hook, too.
void fake_half_end(struct bstar *self, bool is_soft, struct fake_will will);
struct fake_calls fake_half_calls(struct bstar *self);

#endif
