// nodes.h - the three kinds of node there are: what stands around each core.
//
// Each does what its file in lib/shell does with sockets: takes what has arrived, steps
// the core, carries out effects, gives back what was refused, and rests until its
// deadline.

#ifndef GALLEON_NODES_H
#define GALLEON_NODES_H

#include "broker_core.h"
#include "client_core.h"
#include "links.h"
#include "pair_follower.h"
#include "worker_core.h"

enum { HELD_MAX = 64 };

// ---- a broker -----------------------------------------------------------------------------------

struct box { // a pack for one peer
    struct pack pack;
    uint32_t number;
    uint64_t serial;
    bool has_delimiter;
    bool is_of_reign; // some record in it is
    uint8_t id[ROUTING_ID_MAX];
    uint8_t id_size;
};

struct refused { // that the core is to be told, latest first
    uint32_t number;
    uint64_t serial;
    enum mdp_side side;
    enum mdp_command command;
    uint64_t token;
    struct parcel *parcel;
    bool is_gone;
    bool is_withheld;
};

struct member;

struct broker_half {       // pairs.h
    struct member *member; // NULL: it is no half of a pair
    struct pair_follower follower;
    bool is_fenced;
    bool has_more;   // for another turn, at once
    bool is_halfway; // its machine sleeps between what was decided and what is sent
};

struct broker_node {
    struct node node;
    struct router *router;
    void *memory;
    struct broker_core *core;
    struct broker_config config;
    struct broker_effects effects;
    struct box *boxes;
    size_t box_count, box_capacity;
    struct refused *refused;
    size_t refused_count, refused_capacity;
    bool is_drain_asked;
    bool is_draining;
    bool is_stopped;
    struct seen_broker *seen; // check.c
    // Where it is a pirate queue: what it is told, and its workers' ROUTER. router is its clients'.
    const struct site_plan *site;
    struct router *back;
    struct pirate_queue_settings settings;
    struct broker_half half;
    uint8_t fields[MDP_FIELDS_BYTES_MAX]; // of a record, the core's first
};

void broker_node_add(struct world *world, uint32_t index);
void broker_node_add_queue(struct world *world, uint32_t index);
void broker_node_drain(struct node *node);
// broker_node_step steps the core of a half with what its half says.
void broker_node_step(struct broker_node *self, struct broker_event *event);
// broker_node_of: NULL where it is a false one, or a plain server.
struct broker_node *broker_node_of(struct world *world, uint32_t index);

// ---- a worker -----------------------------------------------------------------------------------

struct job { // a request that the application has
    bool is_open;
    uint64_t token;
    struct parcel *request;
    uint64_t run;
    uint64_t due_ns; // the world's time; UINT64_MAX: it hangs
    uint32_t parts;  // to be said before the end
    uint32_t said;
    int status;
    bool kills; // the process dies of it
};

struct worker_node {
    struct node node;
    struct worker_plan *plan;
    void *memory;
    struct worker_core *core;
    struct worker_effects effects;
    struct link *links[LINKS_OF_NODE];
    struct pack packs[LINKS_OF_NODE];
    uint32_t sent[LINKS_OF_NODE]; // FINALs that the core is to be told of
    uint32_t refusing, failed;    // a bit for each broker
    struct worker_event *refused;
    size_t refused_count, refused_capacity;
    struct job jobs[HELD_MAX];
    uint32_t job_count;
    bool is_draining;
    // check_peers.c
    uint64_t spoke_ns[LINKS_OF_NODE]; // to its brokers; 0: it is not registered
    uint64_t breaches;                // that were none of its broker's doing
    uint64_t epoch;                   // check_pairs.c: the highest of what it took
    // Where another node is its application: it is handed what is asked, and answers.
    void (*take)(struct worker_node *self, uint64_t token, struct parcel *request);
    void *context;
};

void worker_node_add(struct world *world, uint32_t index);
void worker_node_drain(struct node *node);
// worker_node_stop lets it leave as a program does that ends.
void worker_node_stop(struct node *node);
// worker_node_release ends what the application holds: it hangs no more.
void worker_node_release(struct node *node);
// worker_node_add_front adds a worker that is a part of `whole`.
struct worker_node *worker_node_add_front(struct node *whole, uint32_t index,
                                          struct worker_plan *plan);
// worker_node_answer ends what `take` was handed; the answer is given away.
void worker_node_answer(struct worker_node *self, uint64_t token, struct parcel *answer);

// ---- a client -----------------------------------------------------------------------------------

struct client_node {
    struct node node;
    struct client_plan *plan;
    void *memory;
    struct client_core *core;
    struct client_effects effects;
    struct link *links[LINKS_OF_NODE];
    struct pack packs[LINKS_OF_NODE];
    uint32_t refusing, failed, cut;
    struct client_event *refused;
    size_t refused_count, refused_capacity;
    uint64_t *calls; // numbers of the registry's, by the core's id - 1
    size_t call_count, call_capacity;
    uint64_t broken;       // a call of whose answer a part was lost to memory; 0: none
    uint64_t next_call_ns; // the world's time
    size_t first_open;     // check_peers.c: calls before it are over
    uint64_t epoch;        // check_pairs.c: the highest of what it took
    uint64_t heard_epoch;  // and of what it heard
    const struct mdp_record *heard;
    bool is_probe; // it calls each service once, and wants an answer
    uint32_t probed;
    // Where something else is its application: what it does when it wakes, and what it hears.
    void (*act)(struct client_node *self);
    void (*answered)(struct client_node *self, const struct client_effect *effect);
    void *context;
};

void client_node_add(struct world *world, uint32_t index);
// client_node_add_probe adds a client of one broker that everything must be well for.
struct node *client_node_add_probe(struct world *world, uint32_t broker);
// client_node_add_back adds a client that is a part of `whole`; client_node_add_durable one by
// itself. What is done with it is in act and answered.
struct client_node *client_node_add_back(struct node *whole, uint32_t index,
                                         struct client_plan *plan);
struct client_node *client_node_add_durable(struct world *world, uint32_t index,
                                            struct client_plan *plan);
// client_node_call calls with a body that is given away; there has to be room. It returns the
// core's number of the call. client_node_cancel takes it back, if it is open.
uint64_t client_node_call(struct client_node *self, struct view service, struct parcel *request,
                          uint32_t ttl_ms);
void client_node_cancel(struct client_node *self, uint64_t id);
// hostile_node_add adds a peer that keeps to no rule; it is gone when all is mended, as are
// a worker that lies about what it was handed, and a broker that makes everything up.
void hostile_node_add(struct world *world);
void liar_node_add(struct world *world);
void false_broker_add(struct world *world, uint32_t index);

// client_node_is_done: has the probe had all its answers?
bool client_node_is_done(const struct node *node);

// ---- Titanic (titanic_node.c), and its clients (durable_node.c) ---------------------------------

void titanic_node_add(struct world *world);
void durable_nodes_add(struct world *world);
// titanic_node_of: NULL where there is none.
struct node *titanic_node_of(const struct world *world);
void titanic_node_drain(struct node *node);
bool titanic_node_has_stopped(const struct node *node);
// titanic_node_pending is how many requests its store has that have not ended.
uint64_t titanic_node_pending(const struct node *node);

#endif
