// pirate_worker_core.h - every decision of a pirate queue's worker, and nothing else.
//
// A pure state machine in the form of worker_core.h: one event in, a bounded list of effects
// out, in the order in which they must happen. The caller
//
//     core = pirate_worker_core_init(zeroed memory of pirate_worker_core_bytes(), config, now);
//     for each message that arrives, each connection made or cut, each answer:
//         pirate_worker_core_step(core, &event, &effects);
//     at pirate_worker_core_deadline(core): the same with PIRATE_WORKER_TICK
//
// and carries out the effects after each step, before the next: what they point to is good
// until then.
//
// The worker has one queue, and its application one request at a time. A request is ready for
// the application, held by it, answered and handed to the socket, or answered and waiting for
// a connection. A connection that ends takes the ready ones with it, because a queue that
// cares gives them to others; what the application holds can still be answered, over the next
// connection. READY asks for a request, so it is not said while one is held.
//
// Paranoid: READY, heartbeats both ways, READY again on a new connection once the queue was
// silent for too long. While a request is held the worker does not beat, because the Guide's
// queue takes a HEARTBEAT for readiness, and the queue is not judged, because the Guide's
// beats idle workers only.
//
// Simple: there are no heartbeats. What tells of a queue that is gone is the connection: once
// it is cut there is a new one, and READY is said again. It is never said twice over one
// connection, because the Guide's queue would give two requests for it; and where an answer
// waits for the new connection it goes in place of READY, as a REQ would send it: any message
// of a worker means that it is ready.
//
// The queue is judged by its silence at TICK only. The caller reads all that has piled up
// before it says TICK, so a job that took long makes no queue lost.
//
// Cargo is the body of a request or an answer: a pointer that the core carries and never
// opens. What comes in with an event goes out exactly once, in a DELIVER, a SEND or a DUMP.
//
// Spec: rfc.zeromq.org/spec/6, docs/protocol/pirates.md

#ifndef GALLEON_PIRATE_WORKER_CORE_H
#define GALLEON_PIRATE_WORKER_CORE_H

#include "pirate_wire.h"

enum {
    PIRATE_WORKER_REQUESTS_MAX = 16, // a queue that keeps to the protocol gives one
    PIRATE_WORKER_EFFECTS_MAX = PIRATE_WORKER_REQUESTS_MAX + 8,
    PIRATE_WORKER_STACK_BYTES_MAX = 2048 // all addresses of a request
};

// Everything must be set; pirate_worker.h has the defaults.
struct pirate_worker_config {
    enum pirate_dialect dialect;
    uint32_t heartbeat_ms; // paranoid
    uint32_t liveness;     // paranoid
    uint32_t reconnect_ms_min;
    uint32_t reconnect_ms_max;
    uint8_t seed[32];
};

// ---- events --------------------------------------------------------------------

enum pirate_worker_event_kind {
    PIRATE_WORKER_UP,       // the connection that an OPEN asked for is made
    PIRATE_WORKER_DOWN,     // it is cut
    PIRATE_WORKER_UNOPENED, // it could not even be begun
    PIRATE_WORKER_MESSAGE,  // one message, or the fault it has
    PIRATE_WORKER_TAKE,     // the application asks for a request: DELIVER, or nothing
    PIRATE_WORKER_ANSWER,   // the application answers the request it holds
    PIRATE_WORKER_SENT,     // the socket took the REPLY of the last SEND
    PIRATE_WORKER_UNSENT,   // the socket refused what the last SEND asked for
    PIRATE_WORKER_TICK,     // the deadline has come, or may have
    PIRATE_WORKER_STOP      // leave
};

struct pirate_worker_event {
    enum pirate_worker_event_kind kind;
    uint64_t now_ns;

    // MESSAGE. Only a REQUEST brings cargo (NULL: out of memory). The application waits for
    // one: it is delivered in the same step, as by TAKE.
    const struct pirate_message *message;
    bool is_wanted;

    enum pirate_kind said; // UNSENT
    // MESSAGE; ANSWER (NULL: no frames); UNSENT, of a REPLY: what comes back.
    void *cargo;
};

// ---- effects -------------------------------------------------------------------

enum pirate_worker_effect_kind {
    PIRATE_WORKER_OPEN,    // a new connection to the queue
    PIRATE_WORKER_CLOSE,   // let the connection go, once what was sent is out
    PIRATE_WORKER_SEND,    // `says` with `envelope`; of a REPLY the body is the cargo's
    PIRATE_WORKER_DELIVER, // the cargo, to the application
    PIRATE_WORKER_DUMP,    // let the cargo go
    PIRATE_WORKER_LOST     // `count` answers are known not to be delivered
};

struct pirate_worker_effect {
    enum pirate_worker_effect_kind kind;
    enum pirate_kind says;
    struct mdp_envelope envelope;
    void *cargo;
    uint32_t count;
};

struct pirate_worker_effects {
    size_t count;
    struct pirate_worker_effect list[PIRATE_WORKER_EFFECTS_MAX];
};

// ---- what can be read -----------------------------------------------------------

#define PIRATE_WORKER_COUNTER_MAP(X)                                                               \
    X(requests)       /* given to the application */                                               \
    X(requests_gone)  /* dropped unseen: their connection ended */                                 \
    X(answers)        /* that the socket took */                                                   \
    X(answers_late)   /* of them, over another connection than their request's */                  \
    X(answers_unsent) /* refused by the socket, to be sent again */                                \
    X(answers_lost)   /* known not to be delivered */                                              \
    X(connections)                                                                                 \
    X(connections_lost) /* ended by a cut, by silence or because the queue broke the protocol */   \
    X(silences)         /* of them, by silence */                                                  \
    X(breaches)         /* of them, because the queue broke the protocol */                        \
    X(heartbeats)       /* heard */                                                                \
    X(messages_ignored) /* sound, and nothing for this worker now */

struct pirate_worker_counters {
#define X(name) uint64_t name;
    PIRATE_WORKER_COUNTER_MAP(X)
#undef X
    uint64_t faults[PIRATE_FAULTS]; // messages dropped, by what was wrong
};

// ---- facts, for whoever keeps a log ----------------------------------------------

enum pirate_worker_fact {
    PIRATE_WORKER_SAID_READY,
    PIRATE_WORKER_IS_SERVING,  // the queue has said something
    PIRATE_WORKER_LOST_QUEUE,  // `why`; a new connection follows after a while
    PIRATE_WORKER_LOST_ANSWERS // `count` of them
};

struct pirate_worker_trace {
    enum pirate_worker_fact fact;
    const char *why;
    uint64_t count;
};

typedef void pirate_worker_tracer_fn(void *context, const struct pirate_worker_trace *trace);

// ---- the core ----------------------------------------------------------------------

struct pirate_worker_core;

// pirate_worker_core_bytes is the memory to hand in.
size_t pirate_worker_core_bytes(void);

// pirate_worker_core_init builds the core in zeroed memory, aligned to 64 bytes. Its deadline
// is now: it wants to connect.
struct pirate_worker_core *
pirate_worker_core_init(void *memory, const struct pirate_worker_config *config, uint64_t now_ns);

// pirate_worker_core_trace names who is told of facts; NULL: nobody.
void pirate_worker_core_trace(struct pirate_worker_core *self, pirate_worker_tracer_fn *tracer,
                              void *context);

// pirate_worker_core_step never fails. It overwrites *effects.
void pirate_worker_core_step(struct pirate_worker_core *self,
                             const struct pirate_worker_event *event,
                             struct pirate_worker_effects *effects);

// pirate_worker_core_deadline is when to send TICK, 0 for now, UINT64_MAX for never.
uint64_t pirate_worker_core_deadline(const struct pirate_worker_core *self);

// pirate_worker_core_has_ready: would TAKE deliver now? _is_held: has the application one?
bool pirate_worker_core_has_ready(const struct pirate_worker_core *self);
bool pirate_worker_core_is_held(const struct pirate_worker_core *self);
// pirate_worker_core_unsent_count is how many answers no socket has taken yet, of those that
// a connection which is up may take.
size_t pirate_worker_core_unsent_count(const struct pirate_worker_core *self);

const struct pirate_worker_counters *
pirate_worker_core_counters(const struct pirate_worker_core *self);

// pirate_worker_core_audit checks that lists and states agree. It is for tests.
void pirate_worker_core_audit(const struct pirate_worker_core *self);

#endif
