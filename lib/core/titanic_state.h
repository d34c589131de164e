// titanic_state.h - what a titanic core holds. For titanic_*.c only.
//
// State is the list that an object is on:
//
//   ask   asked (the store has an operation of it) -> held (a wait) -> looking (again) -> gone
//   job   ready (of its service) -> out -> ending (the store has its end) -> gone
//         a job whose end the store had no room for is `stuck`, and tries again
//   service  turns (something can be done for it now), blocked (for want of a slot), or none
//
// A job is a pending request that is in memory. Of the pending requests of a service those
// up to its cursor, in the order of (due, seq), are jobs; those behind it are in the store
// only: `has_more` says that some of them are due now, `next_ms` when the next one will be.

#ifndef GALLEON_TITANIC_STATE_H
#define GALLEON_TITANIC_STATE_H

#include "titanic_core.h"

#include "heap.h"
#include "list.h"
#include "map.h"
#include "must.h"
#include "prng.h"
#include "service_name.h"
#include "slab.h"

enum {
    TITANIC_LOAD_ROWS = 256,
    TITANIC_LOAD_BYTES = 4 << 20,
    TITANIC_STUCK_MS = 1000,     // between tries to store an end
    TITANIC_PROBE_MS_MAX = 30000 // between probes of a service without workers
};

// Where a service stands. A service without workers has one request out, the probe.
enum service_place { SERVICE_RESTS, SERVICE_HAS_TURN, SERVICE_IS_BLOCKED };

struct service {
    struct map_node by_name;
    struct list_node place;
    enum service_place at;
    struct heap_node timer; // when next_ms comes, or a pause ends
    struct list ready;
    uint32_t out;
    uint32_t jobs; // ready, out, ending
    uint32_t pins; // operations and questions that speak of it
    uint64_t next_ms;
    uint64_t cursor_due_ms;
    uint64_t cursor_seq;
    uint64_t pause_until_ms; // after an attempt that no worker was given
    uint32_t pauses;         // in a row
    bool has_more;
    bool is_loading;
    bool is_open;       // it is known to have workers: more than one may be out
    bool is_questioned; // a question is out
    uint64_t question_due_ms;
    uint8_t name_size;
    uint8_t name[SERVICE_NAME_BYTES_MAX];
};

enum job_state { JOB_READY, JOB_OUT, JOB_ENDING, JOB_STUCK, JOB_DOOMED };

struct job {
    struct map_node by_id;
    struct list_node place; // ready, out, stuck or doomed; of none while ENDING
    enum job_state state;
    struct service *service;
    uint32_t serial; // in its token
    uint64_t seq;
    struct request_id id;
    uint32_t life;
    uint32_t attempts; // that failed or are out
    uint32_t attempts_max;
    uint64_t due_ms;
    uint64_t deadline_ms;
    struct durable_body *body;
    uint64_t body_bytes;
    bool was_out;                 // DOOMED: its answer is not to come any more
    bool is_unwanted;             // ENDING: somebody else has ended it before
    enum durable_op_kind end;     // ENDING, STUCK: ANSWER, FAILED or KILL
    enum durable_state end_state; // of a KILL
    struct durable_body *reply;   // ENDING, STUCK
    uint64_t reply_bytes;
    uint64_t retry_ms; // FAILED: when it is due again
    uint32_t reason_size;
    uint8_t reason[DURABLE_REASON_BYTES_MAX];
};

enum ask_state { ASK_AT_STORE, ASK_HELD, ASK_LOOKING };

struct ask {
    struct map_node by_id;  // HELD
    struct list_node place; // HELD, LOOKING
    struct heap_node timer; // a wait's end
    enum ask_state state;
    void *asker;
    enum tsp_service asked;
    struct request_id id;
    struct durable_owner owner;
    uint64_t until_ms;         // WAIT
    struct durable_body *body; // SUBMIT
    uint64_t body_bytes;
    struct service *service; // SUBMIT
};

// Who wants to know what comes of an operation.
enum stow_for { FOR_ASK, FOR_JOB, FOR_SERVICE, FOR_START };

struct stow {
    enum stow_for who;
    enum durable_op_kind kind;
    void *of; // the ask, job or service
};

struct titanic_core {
    struct titanic_config config;
    struct titanic_core_stats stats;
    uint64_t started_ns;
    uint64_t now_ns;
    uint64_t now_ms;
    uint64_t last_id_ms;
    struct siphash_key names_key;
    struct prng ids;
    struct prng jitter;
    struct titanic_effects *effects;

    struct slab services;
    struct map services_by_name;
    struct list turns;
    struct list blocked; // could do something, had they a slot
    struct heap timers;

    struct slab jobs;
    struct map jobs_by_id;
    struct list out;
    struct list stuck;
    struct list doomed; // ended by somebody else; to be let go of, step by step
    uint64_t stuck_until_ms;
    uint32_t serial;

    struct slab asks;
    struct map held_by_id;
    struct list held;
    struct list looking;
    struct heap ask_timers;

    struct stow *stows; // a ring: what the store has, in order
    uint64_t stows_begun, stows_told;
    uint64_t stows_max; // a power of two

    uint64_t bytes;  // of bodies
    bool is_started; // the store has been asked what it holds
    bool knows_all;  // every service with something pending has a place, or had one
    uint64_t start_again_ms;
    bool is_full; // the store's disk
    bool is_draining;
    bool has_stopped;
    uint64_t drain_until_ns;
    // How far deadlines have been looked through, and when to go on.
    uint64_t overdue_ms, overdue_seq, next_deadline_ms;
    bool is_looking_for_overdue;
};

// ---- titanic_core.c ------------------------------------------------------------

// titanic_hash is where an id stands in our maps.
uint64_t titanic_hash(const struct titanic_core *self, const struct request_id *id);
struct titanic_effect *titanic_effect(struct titanic_core *self, enum titanic_effect_kind kind);
void titanic_dump(struct titanic_core *self, struct durable_body *body, uint64_t bytes);
// titanic_stow asks the store for something: the caller fills in the operation.
struct durable_op *titanic_stow(struct titanic_core *self, enum durable_op_kind kind,
                                enum stow_for who, void *of);
void titanic_free_found(struct titanic_core *self, struct durable_op *op);
// titanic_start_again asks the store for its services once more, later: one of them with
// something to do has found no place.
void titanic_start_again(struct titanic_core *self);

// ---- titanic_ask.c: what clients ask ---------------------------------------------

void titanic_on_ask(struct titanic_core *self, const struct titanic_event *event);
void titanic_ask_stowed(struct titanic_core *self, struct ask *ask, struct durable_op *op);
// titanic_wake lets whoever waits for the request look again. An answer that is at hand is
// given to the first of them: true, and it is not ours any more.
bool titanic_wake(struct titanic_core *self, const struct request_id *id,
                  struct durable_body *reply);
// titanic_ask_look lets one that was woken, or whose wait is over, ask the store again or go.
bool titanic_ask_look(struct titanic_core *self);
void titanic_asks_drain(struct titanic_core *self);

// ---- titanic_service.c: whose turn is it? ----------------------------------------

struct service *titanic_service_find(const struct titanic_core *self, struct view name);
struct service *titanic_service_get(struct titanic_core *self, struct view name);
// titanic_service_update puts it where it belongs after any change, or frees it.
void titanic_service_update(struct titanic_core *self, struct service *service);
// titanic_service_due says that the store has, or will have, one that is due then.
void titanic_service_due(struct titanic_core *self, struct service *service, uint64_t due_ms);
void titanic_service_stowed(struct titanic_core *self, struct service *service,
                            struct durable_op *op);
void titanic_on_known(struct titanic_core *self, const struct titanic_event *event);
// titanic_slot_is_free: an attempt is over, so somebody may go on.
void titanic_slot_is_free(struct titanic_core *self);
// titanic_serve_turn does one thing for the service whose turn it is; false: nothing to do.
bool titanic_serve_turn(struct titanic_core *self);
bool titanic_service_timer(struct titanic_core *self);

// ---- titanic_job.c: a request on its way -----------------------------------------

uint32_t titanic_jobs_free(const struct titanic_core *self);
// titanic_jobs_may_come: there is room for one more and its body. Where there is no job any
// more there is, so that what the limit is too small for is done one by one.
bool titanic_jobs_may_come(const struct titanic_core *self);
struct job *titanic_job_find(const struct titanic_core *self, const struct request_id *id);
// titanic_job_of makes a job of a row whose body it takes; there has to be room.
struct job *titanic_job_of(struct titanic_core *self, struct service *service,
                           const struct durable_row *row);
void titanic_job_send(struct titanic_core *self, struct job *job);
void titanic_job_end(struct titanic_core *self, struct job *job, enum durable_op_kind end);
void titanic_job_stowed(struct titanic_core *self, struct job *job, struct durable_op *op);
void titanic_job_doom(struct titanic_core *self, struct job *job);
bool titanic_job_bury(struct titanic_core *self);
bool titanic_job_unstick(struct titanic_core *self);
void titanic_on_answer(struct titanic_core *self, const struct titanic_event *event);
void titanic_look_for_overdue(struct titanic_core *self);
void titanic_overdue_found(struct titanic_core *self, struct durable_op *op);

#endif
