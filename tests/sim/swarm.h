// swarm.h - what a seed decides before anything runs: who is there, which faults exist at
// all, how often they come, and every knob of the cores and of the network.
//
// A plan is a pure function of the options: the same options give the same plan, and a
// smaller one (fewer nodes, a fault kind less, an earlier end) leaves the rest as it was,
// because each part draws from a stream of its own.

#ifndef GALLEON_SWARM_H
#define GALLEON_SWARM_H

#include "broker_core.h"
#include "client_core.h"
#include "lazy_core.h"
#include "pirate_queue_core.h"
#include "pirate_worker_core.h"
#include "titanic_core.h"
#include "worker_core.h"

enum { BROKERS_MAX = 3, WORKERS_MAX = 20, CLIENTS_MAX = 20, SERVICES_MAX = 5, STACKS_MAX = 3 };
enum { FRONTS_MAX = 9, DURABLES_MAX = 4 };

// The faults. A seed has each kind with probability 1/2.
#define FAULT_MAP(X)                                                                               \
    X(FAULT_CUT, "cut")                 /* a connection is reset */                                \
    X(FAULT_HALF_OPEN, "half_open")     /* one way, or both, carries nothing */                    \
    X(FAULT_CLOG, "clog")               /* the same, and then all at once */                       \
    X(FAULT_BLOCK, "block")             /* no new connections between two nodes */                 \
    X(FAULT_PAUSE, "pause")             /* a node's loop stands still, its I/O thread not */       \
    X(FAULT_FREEZE, "freeze")           /* a whole process stands still */                         \
    X(FAULT_KILL_WORKER, "kill_worker") /* and it comes back after a while */                      \
    X(FAULT_KILL_CLIENT, "kill_client")                                                            \
    X(FAULT_KILL_BROKER, "kill_broker")                                                            \
    X(FAULT_DRAIN_BROKER, "drain_broker")                                                          \
    X(FAULT_DRAIN_WORKER, "drain_worker")                                                          \
    X(FAULT_SLOW_APP, "slow_app")   /* requests that take long */                                  \
    X(FAULT_HUNG_APP, "hung_app")   /* requests that are never answered */                         \
    X(FAULT_DYING_APP, "dying_app") /* the process ends with the request */                        \
    X(FAULT_ERRORS, "errors")       /* answers with an error status */                             \
    X(FAULT_PARTIALS, "partials")   /* answers in parts */                                         \
    X(FAULT_CANCEL, "cancel")       /* calls that are taken back */                                \
    X(FAULT_MEMORY, "memory")       /* an allocation fails */                                      \
    X(FAULT_UNOPENED, "unopened")   /* no descriptor for a socket */                               \
    X(FAULT_FULL, "full")           /* high-water marks that are reached */                        \
    X(FAULT_LIMITS, "limits")       /* queue limits that are reached */                            \
    X(FAULT_DRIFT, "drift")         /* clocks that do not agree */                                 \
    X(FAULT_LATE_START, "late_start")                                                              \
    X(FAULT_DISK_SLOW, "disk_slow")                                                                \
    X(FAULT_DISK_FAIL, "disk_fail") /* a batch is there or not, and nobody knows */                \
    X(FAULT_DISK_FULL, "disk_full")                                                                \
    X(FAULT_DISK_LIE, "disk_lie")   /* it says "stowed" too early */                               \
    X(FAULT_SUSPEND, "suspend")     /* a machine sleeps: its clock has gone on, it has not */      \
    X(FAULT_WALL_STEP, "wall_step") /* the wall clock is set to another time */                    \
    X(FAULT_RECEIVE_MARK, "receive_mark") /* one that does not read is sent no more */             \
    X(FAULT_DISK_FAULT, "disk_fault")     /* a store that only an operator can mend */             \
    X(FAULT_DRAIN_TITANIC, "drain_titanic")                                                        \
    X(FAULT_FLOOD, "flood")           /* a client that waits for no reply */                       \
    X(FAULT_TWICE, "twice")           /* a server that replies twice */                            \
    X(FAULT_PAIR_CUT, "pair_cut")     /* one member of a pair is not heard by another */           \
    X(FAULT_PAIR_LOSE, "pair_lose")   /* letters between members are lost */                       \
    X(FAULT_PAIR_LATE, "pair_late")   /* or late */                                                \
    X(FAULT_PAIR_PAUSE, "pair_pause") /* a member stands still for about a lease */                \
    X(FAULT_PAIR_KILL, "pair_kill")                                                                \
    X(FAULT_WORDS, "words")         /* an operator says this and that */                           \
    X(FAULT_PAIR_DISK, "pair_disk") /* a member's record cannot be written */

enum fault {
#define X(name, text) name,
    FAULT_MAP(X)
#undef X
        FAULTS
};

const char *fault_text(enum fault fault);

// What the command line says.
struct options {
    uint64_t seed;
    uint64_t minutes;
    uint64_t events_max;
    uint64_t trouble_ms; // 0: as the seed has it
    uint32_t brokers_max, workers_max, clients_max;
    uint64_t faults_off; // a bit for each kind
    bool is_hostile;
    bool is_pirates;
    bool is_pairs;
    bool is_tracing;
    bool shows_notes; // of a run that fails
};

struct clock_plan {
    uint64_t offset_ns;
    int64_t drift; // of 2^20
};

struct disk_plan {
    uint64_t latency_ns_min, latency_ns_max; // of a batch
    uint64_t stall_ns_max;                   // and of one that takes long
    uint64_t bytes_max;                      // where it can be full
};

struct worker_plan {
    struct worker_config config;
    struct clock_plan clock;
    uint32_t service;
    uint32_t brokers[BROKERS_MAX]; // by the worker's own numbers
    bool is_blocking;              // it looks at no socket while it works
    uint64_t start_ns;
};

struct client_plan {
    struct client_config config;
    struct clock_plan clock;
    uint32_t brokers[BROKERS_MAX];
    struct view names[BROKERS_MAX];
    uint32_t stack_size; // addresses in front of its delimiter, as behind proxies
    uint64_t think_ns;   // between calls
    uint32_t calls_at_once;
    bool has_printable_id;
    uint64_t start_ns;
};

// A Titanic, which a third of the seeds have, and its clients.
struct titanic_plan {
    bool is_there;
    struct titanic_config config;
    struct clock_plan clock;
    uint64_t start_ns;
    uint64_t kill_gap_ns; // between ends of it, on the average; 0: never
    uint32_t targets;     // services that durable requests are for
    uint32_t durables;    // clients
    uint32_t errands;     // requests of each
    uint32_t burst;       // of them at once, at most
    uint64_t anchor_ms;   // between anchors of its store; 0: one for each commit
    uint32_t owners;      // whom its clients belong to; 0: nobody says
    struct worker_plan front[FRONTS_MAX];
    struct client_plan back, questions;
    struct client_plan durable[DURABLES_MAX];
};

// ---- pirates ----------------------------------------------------------------------------------
// Instead of brokers there are sites: queues with workers of their own, and plain servers.

struct site_plan {
    bool is_queue;
    struct pirate_queue_config queue;
    struct clock_plan clock;
    uint64_t start_ns;
};

struct pirate_plan { // a queue's worker
    struct pirate_worker_config config;
    struct clock_plan clock;
    uint32_t site;
    bool is_req;      // the Guide's, which can neither beat nor leave what came to nothing
    bool is_blocking; // it looks at no socket while it works
    uint64_t start_ns;
};

struct lazy_plan {
    struct lazy_config config;
    struct clock_plan clock;
    uint32_t sites[BROKERS_MAX];
    uint64_t think_ns; // between calls
    uint64_t start_ns;
};

struct pirates_plan {
    bool is_there;
    bool has_stranger; // who keeps to no rule
    uint32_t workers, lazies;
    uint64_t call_ns_max; // that any call takes
    struct site_plan site[BROKERS_MAX];
    struct pirate_plan worker[WORKERS_MAX];
    struct lazy_plan lazy[CLIENTS_MAX];
};

// A pair, of which the two brokers are the halves. In classic the lease is the patience.
struct pair_plan {
    bool is_there;
    bool is_classic;
    bool is_bare;     // classic: digits of the Guide's, and no more
    bool is_clashing; // classic: both have one role, until an operator sees it
    uint64_t number;  // of the pair
    uint32_t beat_ms, lease_ms;
    uint64_t latency_ns_max; // between members, and of a record's way to the disk
    uint64_t fault_gap_ns;
    struct clock_plan witness_clock;
};

struct plan {
    uint64_t seed;
    bool is_hostile;       // some of these three are there:
    bool has_stranger;     // a peer that keeps to no rule
    bool has_liar;         // a worker whose answers are wrong
    uint32_t false_broker; // that makes everything up; UINT32_MAX: none
    bool has[FAULTS];
    uint64_t fault_gap_ns; // between faults, on the average
    uint64_t trouble_ns;
    uint64_t events_max;
    uint64_t latency_ns_min, latency_ns_max;
    uint64_t patience_ns; // of the links' own heartbeats
    uint64_t work_ns;     // of a service, on the average
    uint64_t lateness_ns; // of a loop that is woken
    uint32_t hwm;
    uint32_t receive_mark; // messages that wait for a reader, of one connection
    uint32_t batch;        // messages in a turn of the broker
    uint32_t pack_bytes;   // of one message with more than one record
    uint32_t brokers, workers, clients, services;
    struct broker_config broker;
    struct broker_service_config service_configs[SERVICES_MAX];
    struct clock_plan broker_clocks[BROKERS_MAX];
    uint64_t broker_start_ns[BROKERS_MAX];
    struct disk_plan disk; // of each node that has one
    struct titanic_plan titanic;
    struct pirates_plan pirates;
    struct pair_plan pair;
    struct worker_plan worker[WORKERS_MAX];
    struct client_plan client[CLIENTS_MAX];
};

// swarm_draw makes the plan of these options.
void swarm_draw(struct plan *self, const struct options *options);

// swarm_seed is the seed of a stream's generator, or of one life of a core.
void swarm_seed(uint8_t seed_out[32], uint64_t seed, uint64_t of_what, uint64_t number);

// swarm_front is the service that the front of that number serves, TSP_SERVICES behind the last.
enum tsp_service swarm_front(uint32_t number);

// swarm_owner is whom a client of Titanic belongs to; 0: nobody says.
uint32_t swarm_owner(const struct plan *self, uint32_t client);

// swarm_lazy_ns is how long a call of a lazy client takes at most, on its clock.
uint64_t swarm_lazy_ns(const struct lazy_config *config);

// swarm_patience is the longest that any peer of this plan may be silent.
uint64_t swarm_patience_ns(const struct plan *self);

struct view swarm_service(uint32_t number);
struct view swarm_broker(uint32_t number);

#endif
