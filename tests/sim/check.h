// check.h - the invariants: what must be true whatever happens.
//
// Each has the name of the handbook's list (docs/simulator.md) and is one function, or a
// few where it is judged in more than one place. They see what a stranger sees: the events
// that go into a core, the effects that come out, its counters. What they remember of that
// is theirs, and the cores know nothing of it.

#ifndef GALLEON_CHECK_H
#define GALLEON_CHECK_H

#include "nodes.h"

// ---- the registry of calls and runs -------------------------------------------------------------

struct call {
    struct client_node *client;
    uint32_t life; // of the client
    uint32_t service;
    uint64_t id;
    uint64_t ends_by_ns; // on the client's clock
    bool is_open;
    bool is_cancelled;
    bool is_tainted; // a liar was handed it
    bool is_out;     // an attempt is
    uint32_t out_at;
    uint64_t out_since_ns; // or since its last part
    uint32_t charged;      // attempts that a broker has had
    uint32_t parts;        // handed out
    uint64_t run;          // that they are of
    uint64_t digest;       // of the right answer
};

void check_init(struct world *world);
// check_fail: the invariant of that name does not hold at this node.
_Noreturn void check_fail(const struct node *node, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t check_new_call(struct client_node *client, uint32_t service);
// check_new_lazy_call is one of a lazy client's, who judges its answer itself.
uint64_t check_new_lazy_call(struct world *world, uint32_t life);
// check_new_run: an application begins to work on a call (0: nobody's). Runs count from 1.
uint64_t check_new_run(struct world *world, uint64_t call);
// check_run_call is the call that a run is of, 0 where there is no such run.
uint64_t check_run_call(const struct world *world, uint64_t run);
void check_run_ended(struct world *world, uint64_t run, int status);
// check_is_running: does an application work on this call?
bool check_is_running(const struct world *world, uint64_t call);
// check_call_body: this is what is asked.
void check_call_body(struct world *world, uint64_t number, const struct parcel *request);
// check_taint: somebody who lies was handed this call: its answer may be anything.
void check_taint(struct world *world, uint64_t number);
uint64_t check_call_count(const struct world *world);
const struct call *check_call(const struct world *world, uint64_t number);

// check_slept: a loop stood still for so long, by its own clock.
void check_slept(struct node *node, uint64_t slept_ns);

// ---- brokers ------------------------------------------------------------------------------------

void check_broker_start(struct broker_node *broker);
void check_broker_event(struct broker_node *broker, const struct broker_event *event);
void check_broker_fact(struct broker_node *broker, const struct broker_trace *trace);
void check_broker_effect(struct broker_node *broker, const struct broker_effect *effect);
void check_broker_step(struct broker_node *broker, const struct broker_event *event);
void check_broker_turn(struct broker_node *broker);
void check_broker_audit(const struct broker_node *broker);
void check_broker_stopped(struct broker_node *broker); // its drain is over
void check_broker_end(struct broker_node *broker);     // it is gone
// check_still_open fails with what is open for longer than it may.
_Noreturn void check_still_open(struct world *world, uint64_t bound_ns);
size_t check_broker_open_count(const struct broker_node *broker);
// check_broker_is_idle: nothing waits and nothing is out.
bool check_broker_is_idle(const struct broker_node *broker);

// ---- workers ------------------------------------------------------------------------------------

void check_worker_start(struct worker_node *worker);
void check_worker_hears(struct worker_node *worker, uint32_t broker,
                        const struct mdp_record *record);
void check_worker_effect(struct worker_node *worker, const struct worker_effect *effect);
void check_worker_delivers(struct worker_node *worker, const struct worker_effect *effect);
void check_worker_turn(struct worker_node *worker);
void check_worker_stopped(struct worker_node *worker);

// ---- clients ------------------------------------------------------------------------------------

void check_client_start(struct client_node *client);
void check_client_effect(struct client_node *client, const struct client_effect *effect);
void check_client_answer(struct client_node *client, const struct client_effect *effect);
void check_client_hears(struct client_node *client, uint32_t endpoint,
                        const struct mdp_record *record);
void check_client_unsent(struct client_node *client, const struct client_event *event);
void check_client_cancels(struct client_node *client, uint64_t id);
void check_client_step(struct client_node *client, const struct client_event *event);
void check_client_turn(struct client_node *client);
void check_client_audit(const struct client_node *client);
void check_client_end(struct client_node *client);

// check_no_late_effect (S4): this peer takes something of that epoch, 0: of none.
void check_no_late_effect(struct node *node, uint64_t *highest_io, uint64_t epoch);

// ---- (end) --------------------------------------------------------------------------------------

// check_bound is how long after healing everything must be over: the bound of B10, and the
// time for which a client that is not answered asks again, and what it asked then waits.
uint64_t check_bound_ns(const struct world *world);
void check_world_end(struct world *world);

#endif
