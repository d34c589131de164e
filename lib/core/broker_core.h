// broker_core.h - every decision of a Majordomo broker, and nothing else.
//
// A pure state machine (docs/ARCHITECTURE.md): one event in, a bounded list of
// effects out, in the order in which they must happen. It knows no socket and no
// clock, allocates nothing, and nothing that a peer sends can stop it. The caller
//
//     core = broker_core_init(config, zeroed memory of broker_core_bytes(config));
//     for each record that arrives:  broker_core_step(core, &event, &effects);
//     at broker_core_deadline(core):  the same with BROKER_TICK
//
// and carries out the effects after each step, before the next: what they point
// to is good until then.
//
// Cargo is the body of a request or an answer and its header fields: a pointer
// that the core carries and never opens. What comes in with an event goes out
// exactly once, in an effect that sends it away or dumps it.
//
// Spec: rfc.zeromq.org/spec/7, /8, /18, docs/protocol/mdp.md, mdp-g1.md

#ifndef GALLEON_BROKER_CORE_H
#define GALLEON_BROKER_CORE_H

#include "mdp_record.h"
#include "mdp_wire.h"

// ---- configuration ---------------------------------------------------------

struct broker_service_config {
    struct view name;
    uint32_t attempts;     // 0: the broker's; 1: a lost worker's request never runs again
    uint32_t limit_ms;     // processing limit of one attempt; 0: off
    uint32_t requests_max; // 0: the default
    bool may_resume;       // may run again after a PARTIAL was passed on
};

// How workers speak. A pirate's worker is one of a single service, is given one request at a
// time, hears of no error, and is never told to go; it says READY whenever it begins anew.
enum broker_manners {
    BROKER_MAJORDOMO,
    BROKER_SIMPLE,  // Simple Pirate: no heartbeats; a worker that has answered is ready
    BROKER_PARANOID // Paranoid Pirate
};

// Every limit must be set; mdp_broker.h has the defaults.
struct broker_config {
    enum broker_manners manners;
    uint32_t heartbeat_ms;
    uint32_t liveness;
    uint32_t services_max;
    uint32_t workers_max;
    uint32_t service_workers_max;
    uint32_t requests_max;         // queued, over all services
    uint32_t service_requests_max; // queued, for one service
    uint32_t client_requests_max;  // queued, of one client
    uint64_t request_bytes_max;    // bodies of open requests, queued or out
    uint64_t answer_bytes_max;     // of an answer gathered out of PARTIALs
    uint32_t answer_frames_max;
    uint32_t credit_max;
    uint32_t attempts;
    uint32_t request_ttl_ms;                      // 0: a queued request waits for ever
    uint32_t drain_ms;                            // how long a drain waits for what is out
    const struct broker_service_config *services; // copied
    size_t service_count;
    bool is_paired; // half of a pair: it serves nobody before SERVE
    uint8_t seed[32];
};

// ---- where a message goes ----------------------------------------------------

// A peer as it is addressed: its routing id, and the addresses of proxies in
// between. `number` is small and used again; with `serial` it names one peer.
struct broker_route {
    uint32_t number;
    uint64_t serial;
    struct view routing_id;
    struct view stack; // for each address a length of one byte and its bytes
    uint8_t socket;    // see mdp_envelope
};

// ---- events --------------------------------------------------------------------

enum broker_event_kind {
    BROKER_RECORD, // one record of a message, or the fault it has
    BROKER_UNSENT, // the socket refused what a SEND asked for
    BROKER_TICK,   // the deadline has come, or may have
    BROKER_DRAIN,  // finish what is out, take nothing new
    // Of a half of a pair. It goes from SERVE to HOLD, with or without FINISH before it; after
    // HOLD or FINISH it says QUIET, and does not get SERVE before it has.
    BROKER_SERVE,  // take requests and give them to workers: a reign begins
    BROKER_FINISH, // soft: what waits is dropped, what is out may be answered
    BROKER_HOLD,   // hard: what waits and what is out is dropped, and no answer is passed on
    BROKER_SAID    // the answer to a QUESTION, before the next RECORD
};

// What an operator says to a half of a pair (mmi.ha).
enum broker_word {
    BROKER_WORD_STATUS,
    BROKER_WORD_PROMOTE,
    BROKER_WORD_PROMOTE_PEER_IS_DEAD,
    BROKER_WORD_DEMOTE,
    BROKER_WORD_FREEZE,
    BROKER_WORD_THAW,
    BROKER_WORD_CLEAR
};

// What the shell knows a connection by: a number that may be another's when it is over, and one
// that never will be. Number 0: nothing is known.
struct broker_connection {
    uint64_t serial;
    int number;
};

struct broker_event { // what does not belong to its kind is not looked at
    enum broker_event_kind kind;
    uint64_t now_ns; // never goes back

    // RECORD
    const struct mdp_envelope *from;
    const struct mdp_record *record;
    void *cargo;                         // NULL where the record has no body and no fields to keep
    size_t cargo_bytes;                  // what it costs in memory
    struct broker_connection connection; // READY: what it came over; BROKER_SIMPLE: FINAL too

    // UNSENT: what the refused SEND said. Several of one pack come last record
    // first. `cargo` is set where the SEND gave it away.
    uint32_t route_number;
    uint64_t route_serial;
    enum mdp_side side;
    enum mdp_command command;
    uint64_t token;
    bool is_gone;     // EHOSTUNREACH; else the peer's queue is full,
    bool is_withheld; // or it was ours not to send it any more: the reign is over

    // SERVE: what everything of the reign carries; false: nothing
    bool has_epoch;
    uint64_t pair;
    uint64_t epoch;

    // FINISH, HOLD: the text of 503 from now on, of which PASSIVE_TEXT_BYTES are copied.
    // SAID: what stands behind the code, good until the effects are carried out.
    struct view text;
    uint16_t code; // SAID
};

enum { BROKER_PASSIVE_TEXT_BYTES = 256 };

// ---- effects -------------------------------------------------------------------

enum broker_effect_kind {
    BROKER_SEND,    // `record` to `to`, its body being record.body, then the cargo's
    BROKER_DUMP,    // let the cargo go, for `dump`
    BROKER_JOIN,    // the frames of `cargo` go to the end of `into`
    BROKER_STOPPED, // the drain is over
    BROKER_QUIET,   // after FINISH or HOLD: nothing is open any more that was taken before
    BROKER_FENCED,  // a worker knows a later epoch than ours
    BROKER_QUESTION // what becomes of `word`? SAID is the answer
};

#define BROKER_DUMP_MAP(X)                                                                         \
    X(BROKER_DUMP_DONE, "done")           /* its request is answered */                            \
    X(BROKER_DUMP_REFUSED, "refused")     /* no room, or not allowed */                            \
    X(BROKER_DUMP_INVALID, "invalid")     /* of a record that is dropped */                        \
    X(BROKER_DUMP_LATE, "late")           /* an answer that lost a race */                         \
    X(BROKER_DUMP_EXPIRED, "expired")     /* its time was over in the queue */                     \
    X(BROKER_DUMP_CANCELLED, "cancelled") /* by its client */                                      \
    X(BROKER_DUMP_GIVEN_UP, "given_up")   /* attempts spent, or may not run again */               \
    X(BROKER_DUMP_UNSENT, "unsent")       /* the client is gone or slow */                         \
    X(BROKER_DUMP_SILENCE, "silence")     /* what the client's dialect cannot say */

enum broker_dump {
#define X(name, text) name,
    BROKER_DUMP_MAP(X)
#undef X
        BROKER_DUMPS
};

struct broker_effect {
    enum broker_effect_kind kind;
    enum broker_dump dump;
    // SEND: the cargo stays the core's (a request may have to be sent again), or
    // is given away with it and comes back in UNSENT where it is refused.
    bool keeps_cargo;
    bool has_delimiter;            // SEND: the peer gets an empty frame, and one record per message
    bool is_of_reign;              // SEND: to be withheld once this half may not serve any more
    enum broker_word word;         // QUESTION
    const struct broker_route *to; // SEND; QUESTION: who asks
    // SEND to a worker that is busy already: where nothing at all has come over the connection for
    // so long, no beat of the link either, it is refused as gone. 0: not to be looked at.
    uint32_t silence_ms;
    // BROKER_SIMPLE: a HEARTBEAT is not sent, but refused as gone where this has ended.
    struct broker_connection connection;
    uint64_t token; // to be given back in UNSENT
    void *cargo;    // NULL: the body is record.body alone
    void *into;     // JOIN
    struct mdp_record record;
};

enum { BROKER_EFFECTS_MAX = 64 };

struct broker_effects {
    size_t count;
    struct broker_effect list[BROKER_EFFECTS_MAX];
};

// ---- what can be read -----------------------------------------------------------

// Counters since the start, and gauges (now), by the names that mmi.stats shows.
#define BROKER_COUNTER_MAP(X)                                                                      \
    X(requests_in)      /* requests read, mmi left out */                                          \
    X(requests_refused) /* answered 4xx or 503 at once, or dropped for a limit */                  \
    X(requests_expired) /* their time ended in the queue */                                        \
    X(requests_cancelled)                                                                          \
    X(cancels_unknown)    /* of requests that are not open */                                      \
    X(requests_given_up)  /* attempts spent, or may not run again */                               \
    X(requests_duplicate) /* an id that is open already */                                         \
    X(requests_of_gone)   /* dropped in the queue: their client is gone */                         \
    X(attempts)           /* given to a worker */                                                  \
    X(redeliveries)       /* of them, not the first */                                             \
    X(replies_out)                                                                                 \
    X(partials_out)                                                                                \
    X(answers_late)       /* dropped: named nothing live */                                        \
    X(answers_late_taken) /* over another connection than their attempt's */                       \
    X(answers_bad)        /* dropped: PARTIALs missing */                                          \
    X(answers_too_large)                                                                           \
    X(answers_silent) /* error statuses that a 0.1 or 0.2 client does not hear */                  \
    X(client_gone)                                                                                 \
    X(client_slow)                                                                                 \
    X(worker_slow)                                                                                 \
    X(mmi_requests)                                                                                \
    X(mmi_refused) /* over the rate for tables */                                                  \
    X(workers_registered)                                                                          \
    X(workers_refused)                                                                             \
    X(workers_lost)                                                                                \
    X(strangers_left) /* DISCONNECT from somebody who was not registered */                        \
    X(workers_left)                                                                                \
    X(strangers_unheard) /* a pirate's HEARTBEAT, of somebody who was not registered */            \
    X(disconnects_sent)                                                                            \
    X(disconnects_held) /* not sent: one a second for each peer */                                 \
    X(intervals_clamped)                                                                           \
    X(extra_frames)                                                                                \
    X(refused_service_limit)                                                                       \
    X(refused_queue_limit)                                                                         \
    X(refused_service_queue_limit)                                                                 \
    X(refused_client_limit)                                                                        \
    X(refused_bytes_limit)                                                                         \
    X(refused_route_limit)                                                                         \
    X(refused_draining)                                                                            \
    X(requests_passive) /* refused: this half of the pair does not serve */                        \
    X(requests_dropped) /* they waited or were out when it ceased to serve */                      \
    X(sends_withheld)   /* requests and answers, for the same reason */                            \
    X(reigns)           /* times that it began to serve */                                         \
    X(reigns_fenced)    /* a worker refused requests of this one */

#define BROKER_GAUGE_MAP(X)                                                                        \
    X(services)                                                                                    \
    X(workers)                                                                                     \
    X(workers_idle)                                                                                \
    X(workers_busy)                                                                                \
    X(requests_queued)                                                                             \
    X(requests_out)                                                                                \
    X(request_bytes)

struct broker_stats {
#define X(name) uint64_t name;
    BROKER_COUNTER_MAP(X)
    BROKER_GAUGE_MAP(X)
#undef X
    uint64_t faults[MDP_FAULTS]; // records and messages dropped, by what was wrong
    uint64_t dumps[BROKER_DUMPS];
    uint64_t peers_rejected; // faults of all kinds
};

// ---- facts, for whoever keeps a log ----------------------------------------------

enum broker_fact {
    BROKER_WORKER_REGISTERED,
    BROKER_WORKER_REFUSED,
    BROKER_WORKER_LEFT,
    BROKER_WORKER_LOST,
    BROKER_REQUEST_REFUSED,
    BROKER_REQUEST_GIVEN_UP,
    BROKER_REQUEST_EXPIRED,
    BROKER_PEER_REJECTED,
    BROKER_DRAINING,
    BROKER_SERVING,
    BROKER_FINISHING,
    BROKER_HOLDING
};

// What does not belong to a fact is 0, empty or NULL.
struct broker_trace {
    enum broker_fact fact;
    uint32_t peer;       // the same in all facts about one connection, and not its routing id
    uint64_t worker;     // its number
    struct view service; // a valid name
    const char *why;     // REGISTERED: the worker's dialect. LEFT: NULL where it said so itself
    uint32_t status;     // of the request; 0.1 and 0.2 clients do not hear it
    // REGISTERED: its credit. LEFT, LOST: requests that it held. GIVEN_UP, EXPIRED: attempts
    // that were made. DRAINING: requests that are out. FINISHING, HOLDING: that are open.
    uint64_t count;
};

typedef void broker_tracer_fn(void *context, const struct broker_trace *trace);

// ---- the core ----------------------------------------------------------------------

struct broker_core;

// broker_core_bytes is the memory to hand in. Most of it is never touched.
size_t broker_core_bytes(const struct broker_config *config);

// broker_core_init builds the core in zeroed memory, aligned to 64 bytes.
struct broker_core *broker_core_init(void *memory, const struct broker_config *config,
                                     uint64_t now_ns);

// broker_core_trace names who is told of facts; NULL: nobody.
void broker_core_trace(struct broker_core *self, broker_tracer_fn *tracer, void *context);

// broker_core_step never fails. It overwrites *effects.
void broker_core_step(struct broker_core *self, const struct broker_event *event,
                      struct broker_effects *effects);

// broker_core_has_worker: is a worker registered there?
bool broker_core_has_worker(struct broker_core *self, const struct mdp_envelope *from);

// broker_core_look_ahead begins to load what the steps for these records will need, so
// that they do not wait for memory one after the other. It changes nothing.
void broker_core_look_ahead(const struct broker_core *self, const struct mdp_record *records,
                            size_t count);

// broker_core_deadline is when to send TICK, 0 for now, UINT64_MAX for never.
uint64_t broker_core_deadline(const struct broker_core *self);

// broker_core_routes_max is above every route's number.
uint32_t broker_core_routes_max(const struct broker_core *self);

// broker_core_end_of_drain is a time, now_ns or later, at which a drain waits no
// longer for what is out.
uint64_t broker_core_end_of_drain(const struct broker_core *self, uint64_t now_ns);

const struct broker_stats *broker_core_stats(const struct broker_core *self);

// broker_core_audit goes through all lists and counters and checks that they
// agree. It is for tests: it takes as long as there is to count.
void broker_core_audit(const struct broker_core *self);

const char *broker_dump_text(enum broker_dump dump);

#endif
