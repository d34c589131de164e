// broker_state.h - what a broker knows, shared by the files of broker_core.
//
// The list that an object is on is its state:
//
//     request   service->queue, or out: request->current is its attempt
//     worker    service->ready (a free slot), service->taken (none), core->lost
//     attempt   worker->held, or let go: only request->attempts knows it
//     service   core->services, and core->work while it can dispatch
//
// Whatever an effect may point at (routes, services) goes through a graveyard and
// is freed at the beginning of the next step.
//
// The files, in the order in which a request meets them: broker_core.c (events),
// broker_route.c (peers), broker_client.c (requests in), broker_dispatch.c (who
// gets it), broker_worker.c (sessions and answers), broker_answer.c (answers
// out), broker_timer.c (time), broker_mmi.c (questions about the broker itself),
// broker_reign.c (whether a half of a pair serves); broker_audit.c checks all of it for
// tests.

#ifndef GALLEON_BROKER_STATE_H
#define GALLEON_BROKER_STATE_H

#include "broker_core.h"
#include "heap.h"
#include "list.h"
#include "map.h"
#include "must.h"
#include "prng.h"
#include "region.h"
#include "siphash.h"
#include "slab.h"
#include "text.h"

#include <galleon/heartbeat.h>

enum {
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    TTL_MS_MAX = 24 * 3600 * 1000, // a client may not ask for more
    INTERVAL_MS_MIN = 100,         // what a peer's promise is read as
    INTERVAL_MS_MAX = 60000,
    TICKETS_MAX = 8,        // live tickets of one request; older ones die
    EFFECTS_OF_ONE = 8,     // the most that one object adds to a step
    ROUTE_BYTES_SMALL = 56, // routing id and stack of all but a few peers
    ROUTE_BYTES_LARGE = 256 * (1 + MDP_STACK_MAX),
    ROUTES_LARGE_MAX = 16384,
    DISCONNECTS_KEPT = 256, // peers whose last DISCONNECT is remembered
    ANSWER_BYTES = 1 << 19, // a table of 1,000 rows
    UNREAD_SPARE = 300,     // messages a 0.1 or 0.2 worker has not read: probe less
    UNREAD_MAX = 900,       // and not at all: its receive queue holds 1000
    INVALID_MAX = 20,       // faults of a worker in INVALID_WINDOW_S
    INVALID_WINDOW_S = 10,
    SERVICE_LOOKS_MAX = 1024, // requests looked at for a worker each time something changes
    CLEAR_LOOKS_MAX = 4096,   // places for a request looked at in one step, at the end of a reign
    EPOCH_LINE_BYTES = 64,
    MMI_TABLES_PER_S = 100
};

// A peer that something is open with: a worker, or the client of a request.
struct route {
    struct broker_route address;
    struct map_node in_routes;
    struct list_node in_graveyard;
    struct worker *worker; // registered over it, or NULL
    uint32_t references;   // its open requests, its worker
    uint32_t queued;       // requests of it that wait
    bool is_gone;          // the socket knows it no more
    bool is_large;
    uint8_t bytes[];
};

struct service {
    struct map_node in_services;
    struct list_node in_list; // core->service_list, or the graveyard
    struct list_node in_work; // core->work: it has a request and a worker for it
    struct list queue;        // requests that wait, the next one first
    struct list ready;        // workers with a free slot, least recently used first
    struct list taken;        // workers without, and those that get nothing more
    size_t looks_left;        // requests that may be passed over before it is no work
    uint32_t out;             // attempts that workers hold
    uint32_t leaving;         // its workers on core->lost
    uint32_t attempts;        // settings
    uint32_t requests_max;
    uint64_t limit_ns;
    bool may_resume;
    bool is_buried; // in the graveyard
    uint8_t name_bytes;
    uint8_t name[255];
};

struct worker {
    struct list_node in_service; // ready or taken; core->lost
    struct list held;            // attempts it has, oldest first
    struct heap_node timer;      // when to look at it; may be early, never late
    heartbeat_t beat;            // on the awake clock
    struct route *route;
    struct service *service;
    uint64_t number;
    uint64_t registered_at_ns;
    uint64_t longest_gap_ns; // of an idle 0.1 or 0.2 worker: the interval it shows
    uint64_t looked_at_ns;   // for silence of its link, on the awake clock
    struct broker_connection connection;
    uint64_t invalid_since_ns;
    uint32_t invalid_count;
    uint32_t credit;
    uint32_t unread; // 0.1, 0.2: messages to it since it last said something
    uint32_t probes_skipped;
    uint32_t silence_ms; // its link is never silent for so long, whatever it does; 0: who knows
    mdp_dialect_t dialect;
    bool has_delimiter;
    bool has_promise; // false: its silence proves nothing
    bool was_idle;    // when it last said something
    bool is_blocked;  // its queue was full: nothing more until it says something
    bool is_draining;
    bool was_ready; // on service->ready, else on service->taken
    bool is_told;   // of our own drain
};

struct request {
    struct list_node in_queue;
    struct heap_node expiry; // while it waits
    struct map_node in_ids;  // G1: by (client, id)
    struct list attempts;    // whose tickets are live, latest last
    struct attempt *current; // NULL while it waits
    struct route *client;
    struct service *service;
    void *cargo;
    size_t cargo_bytes;
    void *gathered;       // parts of an answer that goes out in one piece
    size_t gathered_cost; // in memory
    size_t gathered_bytes;
    size_t gathered_frames;
    uint64_t id;
    uint64_t deadline_ns; // UINT64_MAX: none
    uint32_t serial;
    uint32_t attempts_made;
    uint32_t parts_of; // the attempt (its serial) whose PARTIALs were taken last; 0: none
    mdp_dialect_t dialect;
    bool has_delimiter;
    bool is_partly_answered; // a PARTIAL was passed on
    bool is_muted;           // one was refused or dropped: the client gets nothing more
};

struct attempt {
    struct list_node in_request;
    struct list_node in_worker;
    struct heap_node limit;  // on the awake clock
    struct request *request; // NULL: answered or cancelled; the slot is still taken
    struct worker *worker;   // NULL: let go
    uint64_t connection;     // hash of the route it was given over; 0: that is over
    struct ticket ticket;
    uint32_t serial;
    uint32_t partials; // taken
    mdp_dialect_t dialect;
};

enum drain {
    DRAIN_NONE,
    DRAIN_QUEUES,  // refuse what waits, tell the workers
    DRAIN_OUT,     // wait for what is out
    DRAIN_WORKERS, // say DISCONNECT to all
    DRAIN_OVER
};

// What a half of a pair does for clients. Without a pair it is always ON.
enum reign {
    REIGN_ON,
    REIGN_FINISH, // what is out may be answered
    REIGN_HOLD    // nothing
};

// Who asked what the core cannot answer. The route is held until it is.
struct question {
    struct route *route; // NULL: nobody
    uint64_t id;
    mdp_dialect_t dialect;
    bool has_delimiter;
};

struct disconnect {
    uint64_t connection;
    uint64_t at_ns;
};

struct broker_core {
    struct broker_config config;
    struct broker_stats stats;
    broker_tracer_fn *tracer;
    void *tracer_context;
    struct broker_effects *effects; // of the step under way

    // Time. The awake clock leaves out the pauses of our own process, so that
    // nobody is lost because we slept.
    uint64_t now_ns;
    uint64_t paused_ns;
    uint64_t catching_up_until_ns; // after a pause: until then nothing is given to workers
    uint64_t pause_ns;             // the last one: how long it was, and when it ended
    uint64_t pause_end_ns;

    struct siphash_key map_key;
    struct siphash_key ticket_key;
    struct siphash_key peer_key; // of the numbers that facts name peers by
    uint32_t serial;             // of the last request or attempt
    uint64_t route_serial;
    uint64_t ticket_count;
    uint64_t worker_number;

    struct map routes, services, ids;
    struct slab small_routes, large_routes, service_slab, workers, requests, attempts;
    struct heap timers, expiries, limits;
    struct list service_list;  // in the order they were made
    struct list work;          // services that can dispatch
    struct list lost;          // workers whose requests have to go back
    struct list lost_attempts; // let go by their workers, oldest first; their requests are open
    struct list route_graveyard, service_graveyard;

    struct route *last_route;     // the peer of the record before
    struct service *last_service; // the service of the request before

    enum drain drain;
    uint64_t drain_until_ns;
    struct service *drain_at; // DRAIN_QUEUES: where we are

    enum reign reign;
    bool owes_quiet;          // QUIET has to be said
    uint32_t clear_at;        // no place for a request before this one has one to be dropped
    uint64_t finish_until_ns; // REIGN_FINISH: then it is HOLD
    uint8_t epoch_flags;      // of a record that carries the line below
    struct view epoch_line;   // made once for each reign; empty: none
    struct view passive_text; // of 503
    struct question question;

    struct disconnect disconnects[DISCONNECTS_KEPT];
    uint64_t mmi_second;
    uint32_t mmi_tables; // answered in that second
    uint8_t *answer;     // ANSWER_BYTES
    struct view answer_frames[2];
    uint8_t answer_code[4];
    uint8_t epoch_bytes[EPOCH_LINE_BYTES];
    uint8_t passive_bytes[BROKER_PASSIVE_TEXT_BYTES];
    struct broker_service_config *settings;
};

// ---- broker_core.c -----------------------------------------------------------

static inline uint64_t
awake_now(const struct broker_core *self)
{
    return self->now_ns - self->paused_ns;
}

// is_catching_up: we have slept, and may not have read yet who has left meanwhile. An attempt
// with such a worker would be spent for nothing.
static inline bool
is_catching_up(const struct broker_core *self)
{
    return self->now_ns < self->catching_up_until_ns;
}

static inline struct view
service_name(const struct service *service)
{
    return view_of(service->name, service->name_bytes);
}

// has_room: may one more object add its effects to this step?
static inline bool
has_room(const struct broker_core *self)
{
    return self->effects->count + EFFECTS_OF_ONE <= BROKER_EFFECTS_MAX;
}

// has_attempt: workers do not hold them all, so that one is free or can be made so.
static inline bool
has_attempt(const struct broker_core *self)
{
    return self->attempts.used < self->attempts.capacity || !list_is_empty(&self->lost_attempts);
}

static inline bool
can_dispatch(const struct broker_core *self)
{
    return has_room(self) && has_attempt(self);
}

struct broker_effect *broker_add_effect(struct broker_core *self, enum broker_effect_kind kind);
// broker_dump lets cargo go; NULL is allowed.
void broker_dump(struct broker_core *self, void *cargo, enum broker_dump why);
// broker_tell tells a fact about the peer with this routing id (empty: about none).
void broker_tell(struct broker_core *self, struct view routing_id, struct broker_trace trace);
void broker_tell_of_worker(struct broker_core *self, enum broker_fact fact,
                           const struct worker *worker, const char *why, uint64_t count);

// ---- broker_route.c ------------------------------------------------------------

// broker_route_find is the route that is known, NULL where there is none.
struct route *broker_route_find(struct broker_core *self, const struct mdp_envelope *from);
// broker_route_get makes it where there is none; NULL when there are too many. It lives
// until the next step, or a little longer, unless something takes a reference.
struct route *broker_route_get(struct broker_core *self, const struct mdp_envelope *from);
struct route *broker_route_at(struct broker_core *self, uint32_t number, uint64_t serial);
void broker_route_unref(struct broker_core *self, struct route *route);
// broker_route_sweep forgets those that have been without a reference for long, all of them
// where there is no room for another. At the beginning of a step.
void broker_route_sweep(struct broker_core *self);

// ---- broker_service.c ----------------------------------------------------------

struct service *broker_service_find(struct broker_core *self, struct view name);
// broker_service_get makes it where there is none; NULL beyond the limit.
struct service *broker_service_get(struct broker_core *self, struct view name);
// broker_service_settle puts it where it belongs after a change: on the work list
// while it can dispatch, into the graveyard when nothing is left of it.
void broker_service_settle(struct broker_core *self, struct service *service);
void broker_service_sweep(struct broker_core *self);

static inline size_t
service_workers(const struct service *service)
{
    return service->ready.size + service->taken.size;
}

// ---- broker_client.c -----------------------------------------------------------

void broker_on_client_record(struct broker_core *self, const struct broker_event *event);

// ---- broker_request.c: a request's life from queue to end ------------------------

// broker_request_enqueue puts it at the end of its queue, or at the head where it
// was there before.
void broker_request_enqueue(struct broker_core *self, struct request *request, bool at_head);
void broker_request_dequeue(struct broker_core *self, struct request *request);
// broker_request_end forgets a request that was answered or given up. Attempts
// that a worker still holds keep their slot.
void broker_request_end(struct broker_core *self, struct request *request, enum broker_dump why);
// broker_request_expire ends one whose time was over in the queue.
void broker_request_expire(struct broker_core *self, struct request *request);
// broker_request_refuse answers a request that waits with an error and ends it.
void broker_request_refuse(struct broker_core *self, struct request *request,
                           enum mdp_status status, enum broker_dump why);
// broker_request_of finds a client's open request by its id and the hash of it.
struct request *broker_request_of(struct broker_core *self, const struct route *client, uint64_t id,
                                  uint64_t id_hash);
uint64_t broker_id_hash(const struct broker_core *self, const struct route *client, uint64_t id);

// ---- broker_dispatch.c -----------------------------------------------------------

// broker_dispatch gives the service's requests to its workers while there is room.
void broker_dispatch(struct broker_core *self, struct service *service);
// broker_dispatch_at_once gives a new request to a worker, past the empty queue; false
// where none can take it.
bool broker_dispatch_at_once(struct broker_core *self, struct request *request);
// broker_attempt_return takes an attempt from its worker: the request goes back to
// the head of its queue, or is given up. Where it was never sent it is as if it
// had not been made.
void broker_attempt_return(struct broker_core *self, struct attempt *attempt, bool was_sent);
// broker_attempt_release frees the worker's slot; what is left of the attempt lives
// with its request.
void broker_attempt_release(struct broker_core *self, struct attempt *attempt);
// broker_attempt_free: no worker holds it, and nobody asks for its ticket any more.
void broker_attempt_free(struct broker_core *self, struct attempt *attempt);
// broker_may_run_again: has it attempts left, and did no PARTIAL of it go out that forbids it?
bool broker_may_run_again(const struct request *request);
struct attempt *broker_attempt_find(struct broker_core *self, const struct ticket *ticket);
struct attempt *broker_attempt_at(struct broker_core *self, uint64_t token);
// broker_worker_settle moves a worker to the list that its slots say.
void broker_worker_settle(struct broker_core *self, struct worker *worker);

// ---- broker_worker.c -------------------------------------------------------------

void broker_on_worker_record(struct broker_core *self, const struct broker_event *event);
void broker_on_worker_fault(struct broker_core *self, struct worker *worker);
// broker_worker_lose forgets a worker; what it held goes back step by step.
void broker_worker_lose(struct broker_core *self, struct worker *worker, const char *why);
// broker_worker_lose_connection does the same where the connection is gone: what it held may
// go to whoever comes back under its name.
void broker_worker_lose_connection(struct broker_core *self, struct worker *worker);
// broker_worker_leave does the same where nothing is wrong: it goes, or we do. `why` may
// be NULL.
void broker_worker_leave(struct broker_core *self, struct worker *worker, const char *why);
// broker_worker_disconnect says DISCONNECT, then the same.
void broker_worker_disconnect(struct broker_core *self, struct worker *worker,
                              enum mdp_reason reason, const char *why);
// broker_worker_wind_up returns attempts of a lost worker, latest first, while there
// is room.
void broker_worker_wind_up(struct broker_core *self, struct worker *worker);
// broker_look_for_silence has a SEND to a busy worker refused where its link is silent.
void broker_look_for_silence(struct broker_core *self, struct worker *worker,
                             struct broker_effect *effect);
void broker_send_to_worker(struct broker_core *self, struct worker *worker,
                           enum mdp_command command, uint32_t reason);
const char *broker_dialect_name(mdp_dialect_t dialect);

// ---- broker_answer.c -------------------------------------------------------------

// broker_answer sends a worker's or the broker's final answer and leaves the request
// to be ended by the caller. Takes the event's cargo.
void broker_answer(struct broker_core *self, struct request *request, uint16_t status,
                   uint32_t parts, const struct broker_event *event);
// broker_answer_error is an answer of the broker's own: a status and its text.
void broker_answer_error(struct broker_core *self, struct request *request, enum mdp_status status);
// broker_refuse answers a request that was never made.
void broker_refuse(struct broker_core *self, struct route *route, const struct broker_event *event,
                   enum mdp_status status);
void broker_pass_partial(struct broker_core *self, struct request *request, struct attempt *attempt,
                         const struct broker_event *event);
// broker_drop_gathered lets go of parts that were gathered and passed on to nobody.
void broker_drop_gathered(struct broker_core *self, struct request *request);
// broker_takes_one_message: does the client get its answer in one piece?
bool broker_takes_one_message(const struct request *request);

// ---- broker_timer.c ----------------------------------------------------------------

// broker_notice_pause takes a pause of our own process out of the awake clock.
void broker_notice_pause(struct broker_core *self, uint64_t now_ns);
void broker_on_tick(struct broker_core *self);
void broker_watch_worker(struct broker_core *self, struct worker *worker);
void broker_drain_on(struct broker_core *self);

// ---- broker_mmi.c --------------------------------------------------------------------

void broker_on_mmi(struct broker_core *self, struct route *route, const struct broker_event *event);
// broker_on_said answers the question that is open.
void broker_on_said(struct broker_core *self, const struct broker_event *event);

// ---- broker_reign.c ------------------------------------------------------------------

void broker_on_serve(struct broker_core *self, const struct broker_event *event);
void broker_on_finish(struct broker_core *self, const struct broker_event *event);
void broker_on_hold(struct broker_core *self, const struct broker_event *event);
// broker_reign_go_on drops what has to be dropped, while there is room, and says QUIET.
void broker_reign_go_on(struct broker_core *self);
// broker_reign_drop ends a request that waits or is out: 503, or 502 where it may not run again.
void broker_reign_drop(struct broker_core *self, struct request *request);
// broker_reign_deadline is when broker_reign_go_on has something to do.
uint64_t broker_reign_deadline(const struct broker_core *self);

#endif
