// titanic_core.h - every decision of Titanic: what is stored, what runs, what is said.
//
// A pure state machine, as all cores are (docs/ARCHITECTURE.md): one event in, a bounded
// list of effects out, in the order in which they must happen. It knows no store, no
// socket and no clock.
//
//     client asks ---ASK---> core ---STOW---> the store's writer
//     client      <--REPLY-- core <--STOWED-- after the commit
//     workers     <--SEND--- core ---ANSWER-> STOW, and so on
//
// No REPLY that says 200 to a submit, a close or a change leaves before the STOWED of the
// operation that it speaks of. The store is handed operations in order, and tells what came
// of them in the same order: the core relies on nothing else of it.
//
// What is in memory is what is on its way: requests that a worker has or is about to get,
// and questions that wait for the store. All the others are in the store only, whence LOAD
// brings them, service by service, in the order in which they are due.
//
// Bodies are cargo: a pointer that the core carries and never opens. An asker is carried in
// the same way: what comes in with ASK goes out exactly once, in a REPLY.

#ifndef GALLEON_TITANIC_CORE_H
#define GALLEON_TITANIC_CORE_H

#include "tsp.h"

enum { TITANIC_EFFECTS_MAX = 64 };

// Everything must be set; brokers/titanic.c has the defaults.
struct titanic_config {
    uint32_t asks_max;     // questions that are open at a time, waits among them
    uint32_t waits_max;    // of them, waits that are held
    uint32_t services_max; // with something to do
    uint32_t inflight;     // requests out at the broker
    uint64_t bytes_max;    // of bodies in memory
    uint32_t attempts;     // where a request does not say
    uint64_t retry_min_ms;
    uint64_t retry_max_ms;
    uint64_t timeout_ms; // of one attempt
    uint64_t retain_ms;  // keys of our form that are older are refused
    uint64_t drain_ms;   // how long a drain waits for what is out
    uint64_t clock_ms;   // the store's clock at the start
    uint8_t seed[32];
};

// ---- events --------------------------------------------------------------------

enum titanic_event_kind {
    TITANIC_ASK,       // a client's request of one of our services
    TITANIC_STOWED,    // what came of the oldest STOW that was not told yet
    TITANIC_ANSWER,    // how an attempt ended
    TITANIC_KNOWN,     // the answer to a QUESTION
    TITANIC_ACCEPTING, // the store has room for new requests, or has none
    TITANIC_TICK,
    TITANIC_DRAIN
};

enum titanic_ending {
    TITANIC_ENDED,     // answered with `status`
    TITANIC_NOT_TRIED, // no worker was given it, and that is certain
    TITANIC_LOST       // nobody knows: no answer in time
};

struct titanic_event { // what does not belong to its kind is not looked at
    enum titanic_event_kind kind;
    uint64_t now_ns;

    // ASK. The views of the request are good until the REPLY to the asker.
    void *asker;
    const struct tsp_request *request;
    enum tsp_status status; // TSP_OK; else it was malformed: `service` alone is set
    struct view why;
    struct durable_owner owner;
    struct durable_body *body; // REQUEST, SUBMIT: cargo (NULL: out of memory)
    uint64_t body_bytes;

    // STOWED: the operation, with what came of it. What was found in it is the core's to
    // give away.
    struct durable_op *op;

    // ANSWER
    uint64_t token;
    enum titanic_ending ending;
    int ended_with;             // ENDED: the status
    struct durable_body *reply; // ENDED with 200: cargo (NULL: out of memory)
    uint64_t reply_bytes;
    struct view text; // what was said for people

    // KNOWN, ACCEPTING
    struct view service;
    bool is_true; // the service has workers; there is room
};

// ---- effects -------------------------------------------------------------------

enum titanic_effect_kind {
    TITANIC_STOW,     // `op` is for the store, in this order. Its digest is yours to fill in
    TITANIC_REPLY,    // to the asker
    TITANIC_SEND,     // an attempt: the request to its service; `body` stays the core's, and
                      // is good as the service's name is until ANSWER or CANCEL
    TITANIC_CANCEL,   // the answer to that SEND will not be wanted; there will be no ANSWER
    TITANIC_QUESTION, // has the service workers?
    TITANIC_DUMP,     // let the cargo go
    TITANIC_FREE,     // let what an operation found go
    TITANIC_STOPPED   // the drain is over
};

enum titanic_answer { // what stands behind the status of a REPLY
    TITANIC_SAYS_NOTHING,
    TITANIC_SAYS_TEXT,  // `text`
    TITANIC_SAYS_ID,    // `id`
    TITANIC_SAYS_BODY,  // `body`, which is given away
    TITANIC_SAYS_COUNT, // `count`
    TITANIC_SAYS_TABLE  // of `found`, in the form of the service that was asked
};

struct titanic_effect {
    enum titanic_effect_kind kind;
    void *asker;                // REPLY
    enum tsp_service asked;     // REPLY
    enum tsp_status status;     // REPLY
    enum titanic_answer says;   // REPLY
    struct view text;           // REPLY
    struct request_id id;       // REPLY, SEND
    uint64_t count;             // REPLY
    uint64_t now_ms;            // REPLY with a table: by the store's clock
    struct durable_body *body;  // REPLY, SEND, DUMP
    struct durable_rows *found; // REPLY (it stays the core's, and FREE follows), FREE
    uint64_t token;             // SEND, CANCEL
    struct view service;        // SEND, QUESTION
    uint64_t timeout_ms;        // SEND
    uint64_t queue_ms;          // SEND: how long it may wait for a worker; UINT64_MAX: no matter
    struct durable_op op;       // STOW; not set in others
};

struct titanic_effects {
    size_t count;
    struct titanic_effect list[TITANIC_EFFECTS_MAX];
};

// ---- what can be read -----------------------------------------------------------

#define TITANIC_COUNTER_MAP(X)                                                                     \
    X(submits)          /* accepted: 200 was said */                                               \
    X(submits_same)     /* of them, a key that was known */                                        \
    X(submits_conflict) /* a key that was known, with another body */                              \
    X(asks_malformed)                                                                              \
    X(asks_refused) /* for a limit, or while we stop */                                            \
    X(refused_full) /* of them, because the disk is full */                                        \
    X(replies_done)                                                                                \
    X(closes)                                                                                      \
    X(attempts)      /* sent to a service */                                                       \
    X(attempts_void) /* of them, no worker was given it */                                         \
    X(attempts_failed)                                                                             \
    X(attempts_abandoned) /* closed, cancelled or expired while out: the answer is dropped */      \
    X(answers)                                                                                     \
    X(answers_late) /* dropped: closed, cancelled or expired before */                             \
    X(given_up)                                                                                    \
    X(overdue)                                                                                     \
    X(loads)                                                                                       \
    X(damaged)

#define TITANIC_GAUGE_MAP(X)                                                                       \
    X(asks)                                                                                        \
    X(waits)                                                                                       \
    X(out)                                                                                         \
    X(ready)                                                                                       \
    X(services)                                                                                    \
    X(stowing) /* operations that the store has */

struct titanic_core_stats {
#define X(name) uint64_t name;
    TITANIC_COUNTER_MAP(X)
    TITANIC_GAUGE_MAP(X)
#undef X
};

// ---- the core ----------------------------------------------------------------------

struct titanic_core;

// titanic_core_bytes is the memory to hand in. Most of it is never touched.
size_t titanic_core_bytes(const struct titanic_config *config);

// titanic_core_init builds the core in zeroed memory, aligned to 64 bytes. Its deadline is
// now: it wants to know what the store has.
struct titanic_core *titanic_core_init(void *memory, const struct titanic_config *config,
                                       uint64_t now_ns);

// titanic_core_step never fails. It overwrites *effects.
void titanic_core_step(struct titanic_core *self, const struct titanic_event *event,
                       struct titanic_effects *effects);

// titanic_core_deadline is when to send TICK, 0 for now, UINT64_MAX for never.
uint64_t titanic_core_deadline(const struct titanic_core *self);

// titanic_core_clock_ms is the store's clock.
uint64_t titanic_core_clock_ms(const struct titanic_core *self, uint64_t now_ns);

// titanic_core_out is how many requests of a service are out; of all where the name is empty.
// titanic_core_slots is more than any slot of a token, its low half.
uint32_t titanic_core_slots(const struct titanic_core *self);
uint64_t titanic_core_out(const struct titanic_core *self, struct view service);

void titanic_core_stats(const struct titanic_core *self, struct titanic_core_stats *stats_out);

// titanic_core_audit checks that lists and counters agree. It is for tests.
void titanic_core_audit(const struct titanic_core *self);

#endif
