// client_core.h - every decision of a Majordomo client, and nothing else.
//
// A pure state machine in the form of broker_core.h: one event in, a bounded list
// of effects out, in the order in which they must happen. The caller
//
//     core = client_core_init(zeroed memory of client_core_bytes(config), config, now);
//     for each call, each record that arrives, each connection made or cut:
//         client_core_step(core, &event, &effects);
//     at client_core_deadline(core): the same with CLIENT_TICK
//
// and carries out the effects after each step, before the next: what they point
// to is good until then. A step ends at most one call, or hands out at most one
// part of an answer, so nobody has to queue answers; with more to do the deadline
// is "now".
//
// A call is on one of two kinds of lists: it waits in the client, or it was sent
// to one of the endpoints. One endpoint is in use, which takes what waits; one
// that was left keeps its connection, so that what it still answers is not lost.
// In G1 any number of calls is out at once, known by their ids. 0.1 and 0.2 have
// no ids: one call is out at a time, and a connection that may still bring an
// answer nobody waits for is replaced before it carries the next.
//
// Cargo is the body of a request with its fields, or parts of an answer: a
// pointer that the core carries and never opens. What comes in with an event goes
// out exactly once, in an ANSWER, a JOIN or a DUMP.
//
// Spec: rfc.zeromq.org/spec/7, /18, docs/protocol/mdp-g1.md

#ifndef GALLEON_CLIENT_CORE_H
#define GALLEON_CLIENT_CORE_H

#include "mdp_record.h"

#include <galleon/status.h>

enum { CLIENT_ENDPOINTS_MAX = 32, CLIENT_EFFECTS_MAX = 64 };

// Everything must be set; mdp_client.h has the defaults.
struct client_config {
    uint32_t window;           // calls open at once
    uint32_t timeout_ms;       // of one attempt
    uint32_t attempts;         // of one call
    uint32_t deadline_ms;      // of one call
    uint64_t answer_bytes_max; // of an answer gathered out of PARTIALs
    mdp_dialect_t dialect;
    bool hands_out_parts;         // PARTIALs are answers; else they are gathered
    const struct view *endpoints; // borrowed as long as the core lives
    size_t endpoint_count;        // 1 to CLIENT_ENDPOINTS_MAX
    uint8_t seed[32];
};

// ---- events --------------------------------------------------------------------

enum client_event_kind {
    CLIENT_CALL,   // a new call; only where client_core_has_room. Its id is client_core_last_id
    CLIENT_CANCEL, // end a call; one that is not open is not cancelled
    CLIENT_UP,     // the connection that an OPEN asked for is made
    CLIENT_DOWN,   // it is cut, or could not be made
    CLIENT_RECORD, // one record of a message, or the fault it has
    CLIENT_UNSENT, // the socket refused what a SEND asked for
    CLIENT_TICK    // the deadline has come, or may have
};

struct client_event {
    enum client_event_kind kind;
    uint64_t now_ns; // never goes back

    // CALL: cargo is the request. CANCEL: id.
    struct view service; // a valid name
    uint32_t ttl_ms;     // 0: what is left of the call's deadline
    bool is_no_queue;    // 404 at once where no worker is free
    uint64_t id;

    // UP, DOWN, RECORD, UNSENT
    uint32_t endpoint;

    // RECORD: a PARTIAL of a core that gathers brings its body as cargo (NULL: out of
    // memory, the part counts as lost). All others bring none.
    const struct mdp_record *record;
    void *cargo;
    size_t cargo_bytes;

    // UNSENT: what the refused SEND said. Several come last first.
    uint64_t token;
};

// ---- effects -------------------------------------------------------------------

enum client_effect_kind {
    CLIENT_OPEN,   // a new connection to `endpoint`
    CLIENT_CLOSE,  // let the connection go, if there is one
    CLIENT_SEND,   // `record` to `endpoint`, its body being record.body, then the cargo's
    CLIENT_ANSWER, // for the application
    CLIENT_JOIN,   // the frames of `cargo` go to the end of `into`
    CLIENT_DUMP    // let the cargo go
};

struct client_effect {
    enum client_effect_kind kind; // what it does not name below is not set
    uint32_t endpoint;            // OPEN, CLOSE, SEND

    // SEND: the cargo (NULL: none) stays the core's. The token is to be given back in
    // UNSENT.
    uint64_t token;
    bool has_delimiter;
    struct mdp_record record;

    // ANSWER, JOIN: the call.
    uint64_t id;

    // ANSWER: the frames of cargo (NULL: none), which is given away, and then those of
    // `body` (NULL: none), which is a record's.
    int result;   // enum galleon_status; PENDING for a part
    int status;   // 0: there was no answer
    uint32_t seq; // of a part, from 0; 0 again: the answer starts again. Else how many it has
    struct view text;
    bool was_sent; // a socket has taken it at least once
    bool is_told;  // its brokers say it of a request that no worker took: silence means more
    const struct mdp_body *body;

    void *cargo; // SEND, ANSWER, JOIN, DUMP
    void *into;  // JOIN
};

struct client_effects {
    size_t count;
    struct client_effect list[CLIENT_EFFECTS_MAX];
};

// ---- what can be read -----------------------------------------------------------

#define CLIENT_COUNTER_MAP(X)                                                                      \
    X(calls)                                                                                       \
    X(requests_sent)      /* each attempt, and each move */                                        \
    X(requests_repeated)  /* of them, not the first of their call */                               \
    X(requests_unsent)    /* refused by a socket */                                                \
    X(answers)            /* of any status but 503 */                                              \
    X(parts)              /* taken */                                                              \
    X(answers_not_ours)   /* dropped: late, twice, or for another */                               \
    X(answers_incomplete) /* dropped: parts missing */                                             \
    X(records_ignored)    /* sound, and nothing for a client */                                    \
    X(timeouts)           /* of attempts */                                                        \
    X(given_up)           /* calls that ended without an answer */                                 \
    X(cancelled)                                                                                   \
    X(passive)  /* 503 */                                                                          \
    X(fenced)   /* answers dropped: of an epoch that is over */                                    \
    X(cuts)     /* connections cut, or not made */                                                 \
    X(replaced) /* connections that we gave up ourselves */                                        \
    X(probes)   /* heartbeats to a silent broker */

struct client_stats {
#define X(name) uint64_t name;
    CLIENT_COUNTER_MAP(X)
#undef X
    uint64_t faults[MDP_FAULTS]; // records dropped, by what was wrong
};

// ---- the core ----------------------------------------------------------------------

struct client_core;

// client_core_bytes is the memory to hand in. Most of it is never touched.
size_t client_core_bytes(const struct client_config *config);

// client_core_init builds the core in zeroed memory, aligned to 64 bytes. Its
// deadline is now: it wants to connect.
struct client_core *client_core_init(void *memory, const struct client_config *config,
                                     uint64_t now_ns);

// client_core_step never fails. It overwrites *effects.
void client_core_step(struct client_core *self, const struct client_event *event,
                      struct client_effects *effects);

// client_core_deadline is when to send TICK, 0 for now, UINT64_MAX for never.
uint64_t client_core_deadline(const struct client_core *self);

bool client_core_has_room(const struct client_core *self);
bool client_core_is_open(const struct client_core *self, uint64_t id);
size_t client_core_open_count(const struct client_core *self);
// client_core_waiting_count is how many of them no socket has taken yet.
size_t client_core_waiting_count(const struct client_core *self);
// client_core_dialect is what the broker in use speaks, MDP_AUTO while that is not known.
mdp_dialect_t client_core_dialect(const struct client_core *self);
uint64_t client_core_last_id(const struct client_core *self);
// client_core_oldest_id is the open call that was begun first, 0 where there is none.
uint64_t client_core_oldest_id(const struct client_core *self);

const struct client_stats *client_core_stats(const struct client_core *self);

// client_core_audit checks that lists and counters agree. It is for tests.
void client_core_audit(const struct client_core *self);

#endif
