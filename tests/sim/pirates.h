// pirates.h - the nodes of a world of pirates, and what is asked of them.
//
// A site is a pirate queue (broker_node.c: to the simulator it is a broker) or a plain server, as
// of a lazy client that has a list of servers and no queue. Workers belong to one queue each and
// are ours (pirate_node.c) or the Guide's (plain_nodes.c); lazy clients (lazy_node.c) call some
// sites in turn.

#ifndef GALLEON_PIRATES_H
#define GALLEON_PIRATES_H

#include "nodes.h"

enum { LAZY_ATTEMPTS_MAX = 16 };

// ---- what a worker or a server works on ---------------------------------------------------------

struct task {
    struct parcel *request; // NULL: none
    uint64_t run;
    uint64_t due_ns; // the world's time; UINT64_MAX: it hangs
    bool kills;      // the process dies of it
};

// task_begin draws how it goes; the request is taken. task_answer makes the answer and ends it.
void task_begin(struct task *self, struct node *node, struct parcel *request);
struct parcel *task_answer(struct task *self, struct node *node);
// task_drop lets it go; task_release ends what hangs, when all is mended.
void task_drop(struct task *self);
void task_release(struct task *self, struct node *node);
// task_kills: is the process to die of it now? Then it has, and is started again later.
bool task_kills(struct task *self, struct node *node);

// ---- nodes --------------------------------------------------------------------------------------

struct lazy_node {
    struct node node;
    const struct lazy_plan *plan;
    struct lazy_core core;
    struct lazy_effects effects;
    struct link *link;
    // The call.
    bool is_calling;
    bool is_over;
    bool is_probe; // it calls once, and wants an answer
    uint64_t call; // in the registry
    struct parcel *request;
    uint64_t next_call_ns; // the world's time
    const struct message *heard;
    size_t body_at; // in it
    // check_pirates.c
    uint64_t ends_by_ns, deadline_ns;
    uint64_t spent;                      // attempts that had ended before the call
    uint32_t sent;                       // that left
    uint64_t digests[LAZY_ATTEMPTS_MAX]; // of the right answer to each
    uint64_t serial;                     // of what was sent
    uint32_t calls_of_link;
    uint32_t site; // that the link goes to
    bool has_opened;
    uint32_t opened; // the last endpoint of the call
    bool is_tainted;
};

struct pirate_node {
    struct node node;
    const struct pirate_plan *plan;
    void *memory;
    struct pirate_worker_core *core;
    struct pirate_worker_effects effects;
    struct link *link;
    struct task task;
    struct pirate_worker_event told[4]; // what came of SENDs, latest first
    uint32_t told_count;
    bool is_refusing, has_failed;
    // check_pirates.c
    uint64_t spoke_ns;     // over this connection; 0: not yet
    uint32_t given;        // requests of this connection that it has not answered
    uint64_t task_of_link; // the connection that its task came over
    uint64_t answers;      // of its application
};

void pirate_nodes_add(struct world *world);
void pirate_node_add(struct world *world, uint32_t index);
void req_node_add(struct world *world, uint32_t index);
void server_node_add(struct world *world, uint32_t index);
void lazy_node_add(struct world *world, uint32_t index);
void pirate_stranger_add(struct world *world);

// pirate_node_stop lets a worker leave, as a program does that ends.
void pirate_node_stop(struct node *node);
// pirate_node_release ends what its application holds: it hangs no more. Of any kind of node.
void pirate_node_release(struct node *node);
void req_node_release(struct node *node);
void server_node_release(struct node *node);

bool lazy_node_is_calling(const struct node *node);
// lazy_node_add_probe adds a client of one site that everything must be well for.
struct node *lazy_node_add_probe(struct world *world, uint32_t site);
bool lazy_node_has_answer(const struct node *node);

// ---- invariants ---------------------------------------------------------------------------------

void check_lazy_call(struct lazy_node *lazy);
void check_lazy_effect(struct lazy_node *lazy, const struct lazy_effect *effect);
// check_lazy_sent: an attempt has left, with this body.
void check_lazy_sent(struct lazy_node *lazy, const struct mdp_body *body);
void check_lazy_answer(struct lazy_node *lazy, const struct lazy_effect *effect);
// check_lazy_strayed: something came while no call was open.
void check_lazy_strayed(const struct lazy_node *lazy);
void check_lazy_slept(struct node *node, uint64_t slept_ns);
void check_lazy_turn(const struct lazy_node *lazy);
void check_lazy_end(const struct lazy_node *lazy);

void check_pirate_given(struct pirate_node *worker);
void check_pirate_said(struct pirate_node *worker, enum pirate_kind says);
void check_pirate_turn(struct pirate_node *worker);
void check_pirate_end(const struct pirate_node *worker);

#endif
