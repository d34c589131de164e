// retry.h - whom to ask next, and how long to wait before.
//
// What every client does with a list of endpoints that may fail, in one place. They are
// asked in turn. From one that failed it goes to the next at once; only where the whole list
// has failed since the last answer there is a pause, which doubles with each round, with
// jitter, so that clients that lost their server together do not come back together. Where one
// of them was there and said that it does not serve, another is about to: at first such rounds
// do not double it.
//
// A plain value: no heap, no clock, no socket. After each failure the caller goes to
// retry_next(), and opens nothing before self->resume_ns.

#ifndef GALLEON_RETRY_H
#define GALLEON_RETRY_H

#include "prng.h"

struct retry {
    struct prng jitter;
    uint32_t endpoint_count;
    uint64_t back_off_ns_max; // 0: the list is gone round without a pause
    uint32_t failures;        // endpoints that failed since one answered
    uint64_t failing_ns;      // the first of them
    uint32_t doublings;       // of the pause and of the patience
    bool is_refused;          // one has said in this round that it does not serve
    uint64_t resume_ns;       // nothing is opened or sent before this
};

// retry_init: there are one or more endpoints. A call may begin at once.
void retry_init(struct retry *self, uint32_t endpoint_count, uint64_t back_off_ns_max,
                const uint8_t seed[32]);

// retry_next is the endpoint whose turn it is after `endpoint`.
uint32_t retry_next(const struct retry *self, uint32_t endpoint);

// retry_failed: one more endpoint has failed. The next may be tried after wait_ns, or after
// the pause where the whole list has failed.
void retry_failed(struct retry *self, uint64_t now_ns, uint64_t wait_ns);

// retry_refused goes before retry_failed where the endpoint itself has said that it does not
// serve.
void retry_refused(struct retry *self);

// retry_ends_round: would one more failure be the last of a round through the list?
bool retry_ends_round(const struct retry *self);

// retry_at_once: what was lost had served until now, so that the list has not been tried yet.
void retry_at_once(struct retry *self, uint64_t now_ns);

// retry_answered: one has answered; all that failed before is forgotten.
void retry_answered(struct retry *self);

// retry_patience_ns is how long a connection may take to be made before another endpoint is
// tried, UINT64_MAX where there is no other. It doubles with each round, so that a far one is
// reached in the end.
uint64_t retry_patience_ns(const struct retry *self);

// retry_between draws a time, both ends included.
uint64_t retry_between(struct retry *self, uint64_t from_ns, uint64_t to_ns);

#endif
