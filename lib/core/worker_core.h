// worker_core.h - every decision of a Majordomo worker, and nothing else.
//
// A pure state machine in the form of broker_core.h: one event in, a bounded list
// of effects out, in the order in which they must happen. The caller
//
//     core = worker_core_init(zeroed memory of worker_core_bytes(config), config, now);
//     for each record that arrives, each connection made or cut, each answer:
//         worker_core_step(core, &event, &effects);
//     at worker_core_deadline(core): the same with WORKER_TICK
//
// and carries out the effects after each step, before the next: what they point to
// is good until then.
//
// The worker has a session with each of its brokers. A request is on one of four
// lists of its session: ready for the application, held by it, answered and handed
// to the socket, or answered and waiting for a socket to take the answer. A session
// that ends takes the ready ones with it, because its broker gives them to others;
// what the application holds can still be answered, over the next connection, where
// the dialect allows it.
//
// A broker is judged by its silence at TICK only. The caller reads all that has
// piled up before it says TICK, so a job that took long makes nobody lost.
//
// Cargo is the body of a request or an answer with its fields: a pointer that the
// core carries and never opens. What comes in with an event goes out exactly once,
// in a DELIVER, a SEND, a JOIN or a DUMP.
//
// Spec: rfc.zeromq.org/spec/7, /18, docs/protocol/mdp.md, mdp-g1.md

#ifndef GALLEON_WORKER_CORE_H
#define GALLEON_WORKER_CORE_H

#include "mdp_record.h"

enum {
    WORKER_BROKERS_MAX = 32,
    WORKER_CREDIT_MAX = 65536,
    WORKER_EFFECTS_MAX = 128,
    WORKER_ID_BYTES = 17,           // of a printable routing id
    WORKER_ADDRESS_BYTES_MAX = 1024 // of a client's address in 0.1 and 0.2
};

// Everything must be set; mdp_worker.h has the defaults.
struct worker_config {
    struct view service; // copied
    uint32_t broker_count;
    mdp_dialect_t dialect;
    uint32_t heartbeat_ms;
    uint32_t liveness;
    uint32_t reconnect_ms_min;
    uint32_t reconnect_ms_max;
    uint32_t credit;          // requests that the application holds at once
    uint32_t link_silence_ms; // our links beat: they are never silent for so long; 0: who knows
    bool has_printable_id;
    bool says_disconnect;
    uint8_t seed[32];
};

// ---- events --------------------------------------------------------------------

enum worker_event_kind {
    WORKER_UP,       // the connection that an OPEN asked for is made
    WORKER_DOWN,     // it is cut
    WORKER_UNOPENED, // it could not even be begun
    WORKER_RECORD,   // one record of a message, or the fault it has
    WORKER_TAKE,     // the application asks for a request: DELIVER, or nothing
    WORKER_ANSWER,   // the application gives a part of an answer, or its end
    WORKER_SENT,     // the socket took the first `count` FINALs it has not yet told of
    WORKER_UNSENT,   // the socket refused what a SEND asked for
    WORKER_TICK,     // the deadline has come, or may have
    WORKER_DRAIN,    // ask for nothing more
    WORKER_STOP      // leave
};

struct worker_event {
    enum worker_event_kind kind;
    uint64_t now_ns;
    uint32_t broker; // all but TAKE, ANSWER, TICK, DRAIN and STOP

    // RECORD. Only a REQUEST brings cargo (NULL: out of memory). The application waits for
    // one: it is delivered in the same step, as by TAKE.
    const struct mdp_record *record;
    bool is_wanted;

    // ANSWER: PARTIAL or FINAL with its cargo (NULL: no frames), to the request that
    // DELIVER called `token`. UNSENT: what the refused SEND said. All that were packed
    // together come back, last first.
    enum mdp_command command;
    uint64_t token;
    int status; // FINAL, as the application said it
    void *cargo;

    uint32_t count; // SENT
};

// ---- effects -------------------------------------------------------------------

enum worker_effect_kind {
    WORKER_OPEN,    // a new connection to the broker
    WORKER_CLOSE,   // write what is packed if it goes, and let the connection go
    WORKER_SEND,    // `record`, its body being the cargo's, which is given away
    WORKER_DELIVER, // `token` and its cargo, to the application
    WORKER_JOIN,    // the frames of `cargo` go to the end of `into`
    WORKER_DUMP,    // let the cargo go
    WORKER_LOST     // `count` answers are known not to be delivered
};

struct worker_effect {
    enum worker_effect_kind kind;
    uint32_t broker;
    uint64_t token; // SEND, DELIVER, JOIN: the request
    void *cargo;    // NULL: none
    void *into;
    uint32_t count;
    uint32_t attempt;         // DELIVER: 0 where the dialect does not say
    const char *routing_id;   // OPEN: NULL where libzmq may draw one
    bool has_delimiter;       // SEND
    struct mdp_record record; // SEND; not set in others
};

struct worker_effects {
    size_t count;
    struct worker_effect list[WORKER_EFFECTS_MAX];
};

// ---- what can be read -----------------------------------------------------------

#define WORKER_COUNTER_MAP(X)                                                                      \
    X(requests)       /* given to the application */                                               \
    X(requests_gone)  /* dropped unseen: their connection ended */                                 \
    X(answers)        /* FINALs that a socket took */                                              \
    X(answers_late)   /* of them, over another connection than their request's */                  \
    X(answers_unsent) /* refused by a socket, to be sent again */                                  \
    X(answers_lost)   /* known not to be delivered */                                              \
    X(partials)                                                                                    \
    X(sessions)        /* brokers that were said READY to */                                       \
    X(sessions_lost)   /* ended by a cut, silence, DISCONNECT or a protocol error */               \
    X(disconnects)     /* of them, by a broker's DISCONNECT */                                     \
    X(silences)        /* of them, by silence */                                                   \
    X(breaches)        /* of them, because the broker broke the protocol */                        \
    X(fenced)          /* of them, because its requests were of an epoch that is over */           \
    X(records_ignored) /* sound, and nothing for this worker now */

struct worker_stats {
#define X(name) uint64_t name;
    WORKER_COUNTER_MAP(X)
#undef X
    uint64_t faults[MDP_FAULTS]; // records dropped, by what was wrong
};

// ---- facts, for whoever keeps a log ----------------------------------------------

enum worker_fact {
    WORKER_SAID_READY,  // `why` is the dialect
    WORKER_IS_SERVING,  // the broker has answered
    WORKER_LOST_BROKER, // `why`; a new connection follows after a while
    WORKER_LOST_ANSWERS // `count` of them
};

struct worker_trace {
    enum worker_fact fact;
    uint32_t broker;
    const char *why;
    uint64_t count;
};

typedef void worker_tracer_fn(void *context, const struct worker_trace *trace);

// ---- the core ----------------------------------------------------------------------

struct worker_core;

// worker_core_bytes is the memory to hand in. Most of it is never touched.
size_t worker_core_bytes(const struct worker_config *config);

// worker_core_init builds the core in zeroed memory, aligned to 64 bytes. Its
// deadline is now: it wants to connect.
struct worker_core *worker_core_init(void *memory, const struct worker_config *config,
                                     uint64_t now_ns);

// worker_core_trace names who is told of facts; NULL: nobody.
void worker_core_trace(struct worker_core *self, worker_tracer_fn *tracer, void *context);

// worker_core_step never fails. It overwrites *effects.
void worker_core_step(struct worker_core *self, const struct worker_event *event,
                      struct worker_effects *effects);

// worker_core_deadline is when to send TICK, 0 for now, UINT64_MAX for never.
uint64_t worker_core_deadline(const struct worker_core *self);

// worker_core_requests_max is more than any slot number: the low 32 bits of a token.
uint32_t worker_core_requests_max(const struct worker_core *self);
// worker_core_gathers: do the parts of a held request's answer wait for its end (0.1)?
bool worker_core_gathers(const struct worker_core *self, uint64_t token);
// worker_core_has_ready: would TAKE deliver now?
bool worker_core_has_ready(const struct worker_core *self);
// worker_core_unsent_count is how many answers no socket has taken yet, of those that
// a connection which is up may take.
size_t worker_core_unsent_count(const struct worker_core *self);

const struct worker_stats *worker_core_stats(const struct worker_core *self);

// worker_core_audit checks that lists and counters agree. It is for tests.
void worker_core_audit(const struct worker_core *self);

#endif
