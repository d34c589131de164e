// lazy_core.h - every decision of a Lazy Pirate client, and nothing else.
//
// A pure state machine in the form of broker_core.h: one event in, a bounded list of effects
// out, in the order in which they must happen. The caller
//
//     lazy_core_init(&core, &config);
//     for each call, each reply that arrives, each connection made or cut:
//         lazy_core_step(&core, &event, &effects);
//     at lazy_core_deadline(&core): the same with LAZY_TICK
//
// and carries out the effects after each step, before the next. What has arrived is to be
// told before the connection is told to be cut, and before the time.
//
// One call at a time. An attempt goes out over a socket that is connected, to one endpoint, and
// ends with the reply, the end of its time, or the cut of its connection. Without a reply its
// socket is closed before the next is opened: so there is never more than one, and no reply to
// an attempt that was given up can come, whoever sends it: a server knows the new socket by
// another name. A socket that has brought its reply is kept for the next call, unless it brings
// something more: then who knows what comes next.
//
// A plain value: no heap, no clock, no socket. The request and the reply are the caller's; the
// core only says what happens to them.
//
// Spec: docs/protocol/pirates.md

#ifndef GALLEON_LAZY_CORE_H
#define GALLEON_LAZY_CORE_H

#include "retry.h"

#include <galleon/status.h>

enum { LAZY_EFFECTS_MAX = 4 };

// Everything must be set but what may be 0; lazy_pirate.h has the defaults.
struct lazy_config {
    uint32_t endpoint_count;
    uint32_t timeout_ms;     // of one attempt
    uint32_t attempts;       // of one call
    uint32_t deadline_ms;    // of one call; 0: none
    uint32_t backoff_ms_max; // 0: retry at once
    bool has_ids;            // replies name the request that they answer
    uint8_t seed[32];
};

// ---- events --------------------------------------------------------------------

enum lazy_event_kind {
    LAZY_CALL,     // a new call; only where lazy_core_is_free
    LAZY_CANCEL,   // end it; there is no ANSWER
    LAZY_UP,       // the connection that an OPEN asked for is made
    LAZY_DOWN,     // it is cut; or it was refused, and the socket goes on trying
    LAZY_UNOPENED, // it could not even be begun
    LAZY_REPLY,    // a message came
    LAZY_UNSENT,   // what a SEND asked for has not left, and will not
    LAZY_TICK      // the deadline has come, or may have
};

struct lazy_event {
    enum lazy_event_kind kind;
    uint64_t now_ns; // never goes back

    // REPLY
    bool is_sound; // false: it is no reply
    uint32_t id;   // where there are ids
};

// ---- effects -------------------------------------------------------------------

enum lazy_effect_kind {
    LAZY_OPEN,  // a new socket, to `endpoint`
    LAZY_CLOSE, // let it go, and what it has not sent
    LAZY_SEND,  // the request, under `id`
    LAZY_RETRY, // for the application: attempt number `attempt` begins, at `endpoint`
    LAZY_ANSWER // the call is over, with `result`: OK and the reply of this event, or TIMED_OUT
};

struct lazy_effect {
    enum lazy_effect_kind kind;
    uint32_t endpoint; // OPEN, RETRY
    uint32_t id;       // SEND
    uint32_t attempt;  // RETRY, from 2
    int result;        // ANSWER: enum galleon_status
};

struct lazy_effects {
    size_t count;
    struct lazy_effect list[LAZY_EFFECTS_MAX];
};

// ---- what can be read -----------------------------------------------------------

#define LAZY_COUNTER_MAP(X)                                                                        \
    X(calls)                                                                                       \
    X(replies)                                                                                     \
    X(requests_sent)     /* each attempt that a socket took */                                     \
    X(requests_unsent)   /* that did not leave it */                                               \
    X(timeouts)          /* of attempts, sent or not */                                            \
    X(cuts)              /* connections cut */                                                     \
    X(unreached)         /* connections refused, not made in time, or not begun */                 \
    X(given_up)          /* calls that ended without a reply */                                    \
    X(cancelled)         /* by the caller */                                                       \
    X(replies_stale)     /* dropped: nobody waited for them */                                     \
    X(replies_malformed) /* dropped: no envelope, or no body */

struct lazy_stats {
#define X(name) uint64_t name;
    LAZY_COUNTER_MAP(X)
#undef X
};

// ---- the core --------------------------------------------------------------------

enum lazy_state {
    LAZY_REST,    // no call, no socket
    LAZY_READY,   // no call, a socket that has brought its reply
    LAZY_PAUSING, // a call, and no socket yet
    LAZY_JOINING, // a call, and a socket that is being connected
    LAZY_WAITING, // a call that is out
    LAZY_STATES
};

struct lazy_core {
    struct lazy_config config;
    struct retry retry;
    enum lazy_state state;
    uint32_t current; // the endpoint of the socket, or of the next one
    uint32_t last_id;
    uint64_t now_ns;
    struct lazy_effects *effects; // of this step

    // The call.
    uint32_t attempt;          // from 1
    uint32_t told;             // the attempt that was told of last
    uint64_t due_ns;           // the end of the attempt
    uint64_t unsent_due_ns;    // the same, had it never been sent
    uint64_t deadline_ns;      // the end of the call
    uint64_t patience_ends_ns; // for the connection to be made

    struct lazy_stats stats;
};

// lazy_core_init: nothing is opened before the first call.
void lazy_core_init(struct lazy_core *self, const struct lazy_config *config);

// lazy_core_step never fails. It overwrites *effects.
void lazy_core_step(struct lazy_core *self, const struct lazy_event *event,
                    struct lazy_effects *effects);

// lazy_core_deadline is when to send TICK, UINT64_MAX for never.
uint64_t lazy_core_deadline(const struct lazy_core *self);

static inline bool
lazy_core_is_free(const struct lazy_core *self)
{
    return self->state == LAZY_REST || self->state == LAZY_READY;
}

// lazy_core_has_socket: an OPEN was asked for, and no CLOSE since.
static inline bool
lazy_core_has_socket(const struct lazy_core *self)
{
    return self->state != LAZY_REST && self->state != LAZY_PAUSING;
}

#endif
