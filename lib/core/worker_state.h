// worker_state.h - what worker_core's files share: sessions, requests, answers.

#ifndef GALLEON_WORKER_STATE_H
#define GALLEON_WORKER_STATE_H

#include "back_off.h"
#include "dialect_question.h"
#include "fence.h"
#include "list.h"
#include "must.h"
#include "prng.h"
#include "slab.h"
#include "vigil.h"
#include "worker_core.h"

enum {
    // Requests of one broker beyond twice the credit: one connection's are held while
    // the next one's come in, and 0.1 brokers may not count.
    REQUESTS_SPARE = 16,
    ADDRESSES_OF_BROKER = 16, // 0.1, 0.2: besides those that are held
    PARTIALS_MAX = 256,       // that wait for a socket to take them
    INTERVAL_MS_MIN = 100,    // a broker's interval is read as
    INTERVAL_MS_MAX = 60000
};

static const uint64_t NS_PER_MS = 1000000;
// A socket that refused is tried again so much later.
static const uint64_t RETRY_NS = 10 * NS_PER_MS;

// ---- requests and answers -----------------------------------------------------------

// An item of a list: a request, or a part of an answer that waits.
struct item {
    struct list_node in_list;
    struct request *request;
    void *cargo; // ready: the request's; held: parts kept for 0.1; waiting: the answer's
    enum mdp_command command; // waiting: PARTIAL or FINAL
    uint32_t seq;             // PARTIAL
};

struct address {
    uint16_t size;
    uint8_t bytes[WORKER_ADDRESS_BYTES_MAX];
};

struct request {
    struct item item;
    struct list *list; // which it is on
    struct session *session;
    uint32_t serial;     // beside its number in the slab, so that no token comes twice
    uint32_t connection; // of its session
    mdp_dialect_t dialect;
    struct ticket ticket;
    struct address *address; // 0.1, 0.2
    uint32_t attempt;
    uint32_t partials;      // of its answer
    uint32_t partials_sent; // of them, given to the socket and not refused
    struct mdp_epoch epoch;
    bool has_epoch;
    uint16_t status; // of its FINAL
    bool is_void;    // the rest of its answer goes nowhere
};

// ---- sessions ------------------------------------------------------------------------

enum session_state {
    WAITING,    // no connection; due_ns is when to open one
    ASKING,     // which dialect? on a connection for this alone
    CONNECTING, // opened, not up
    GREETING,   // READY was said, nothing was heard
    SERVING,    // heard from the broker
    DRAINING,   // the broker gives nothing more, or was asked not to
    STOPPED,
    SESSION_STATES
};

struct session {
    struct worker_core *core;
    uint32_t number;
    enum session_state state;
    mdp_dialect_t dialect; // of this connection
    uint32_t connection;   // counts them
    uint64_t due_ns;       // WAITING
    struct back_off back_off;
    uint64_t since_ns; // READY
    bool has_served;   // on this connection
    struct dialect_question question;

    struct vigil vigil;
    bool has_promised; // G1: it beats at the interval it has told. 0.1, 0.2: always
    uint64_t retry_ns; // the socket refused: not before

    struct list ready;
    struct list held;
    struct list out;     // FINALs handed to the socket, which has not said yet
    struct list waiting; // items in the order they have to go
    uint32_t request_count;
};

struct worker_core {
    struct worker_config config;
    uint64_t now_ns;
    uint64_t back_ns; // when somebody who was away last came back
    uint64_t interval_ns;
    uint64_t deadline_ns; // of the sessions; may be early
    bool is_stale;        // may be late, too: it is to be found anew
    struct worker_effects *effects;
    struct worker_stats stats;
    struct prng prng;
    worker_tracer_fn *tracer;
    void *tracer_context;

    struct session *sessions;
    struct fence fence;
    struct slab requests;
    struct slab addresses;
    struct slab partials;
    struct list graveyard; // items whose cargo is to be dumped
    uint32_t requests_of_broker;
    uint32_t serial;
    uint32_t turn; // the session that TAKE begins with
    uint32_t held_count;
    uint32_t ready_count;
    uint32_t lost_count; // answers, to be told at the end of the step
    bool is_draining;
    uint8_t ready_fields[40]; // what READY says of the link
    size_t ready_fields_size;
    char routing_id[WORKER_BROKERS_MAX][WORKER_ID_BYTES + 1];
};

static inline bool
session_is_live(const struct session *self)
{
    return self->state == GREETING || self->state == SERVING || self->state == DRAINING;
}

// ---- worker_core.c ---------------------------------------------------------------------

// EFFECTS_SPARE is what must be left for what a step may not put off.
enum { EFFECTS_SPARE = 8 };

struct worker_effect *worker_add_effect(struct worker_core *self, enum worker_effect_kind kind,
                                        uint32_t broker);
void worker_dump(struct worker_core *self, void *cargo);
void worker_tell(const struct session *session, enum worker_fact fact, const char *why,
                 uint64_t count);

static inline bool
worker_has_room(const struct worker_core *self)
{
    return self->effects->count + EFFECTS_SPARE < WORKER_EFFECTS_MAX;
}

// ---- worker_session.c --------------------------------------------------------------------

// What can happen to a session.
enum session_input {
    ON_DUE, // its deadline
    ON_UP,
    ON_DOWN,
    ON_UNOPENED,
    ON_HEARTBEAT,
    ON_REQUEST,
    ON_DISCONNECT,
    ON_DRAIN,
    ON_BREACH, // the broker broke the protocol
    ON_FENCED, // its requests are of an epoch that is over
    ON_SILENT,
    ON_QUIT, // we want nothing more
    ON_STOP, // we leave
    SESSION_INPUTS
};

void session_init(struct session *self, struct worker_core *core, uint32_t number);
void session_input(struct session *self, enum session_input input,
                   const struct worker_event *event);
void session_on_record(struct session *self, const struct worker_event *event);
void session_on_tick(struct session *self);
uint64_t session_deadline(const struct session *self);
// session_send adds a SEND of a command in the session's dialect, to be filled in.
struct worker_effect *session_send(struct session *self, enum mdp_command command);

// ---- worker_request.c ----------------------------------------------------------------------

// request_accept takes a REQUEST in, of an epoch (NULL: none); false where the broker may not
// send it.
bool request_accept(struct session *session, const struct worker_event *event,
                    const struct mdp_epoch *epoch);
// request_waits_of_older: is one ready that belongs to an older epoch of the same pair?
bool request_waits_of_older(const struct session *session, const struct mdp_epoch *epoch);
void request_deliver(struct worker_core *self);
void request_on_answer(struct worker_core *self, const struct worker_event *event);
void request_on_sent(struct session *session, uint32_t count);
void request_on_unsent(struct session *session, const struct worker_event *event);
// request_send_waiting sends what waits for its broker's socket.
void request_send_waiting(struct session *session);
// request_end_connection drops what only the old connection could carry.
void request_end_connection(struct session *session);
// request_end_all drops everything.
void request_end_all(struct session *session);
// request_sweep dumps what the graveyard holds.
void request_sweep(struct worker_core *self);

#endif
