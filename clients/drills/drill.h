// drill.h - real processes, real harm, and a verdict.
//
// A drill is a function that gets an empty stage: it has a broker and workers started, a load
// begun, does its harm, waits until all is well again, and says so. The stage does the rest: it
// judges the load, ends what was started and removes its folder, whatever happened. Each
// step returns false where the drill is over, and has written down why.
//
// To add one, write its function, and its line in drills.c.

#ifndef GALLEON_DRILL_H
#define GALLEON_DRILL_H

#include "drill_child.h"
#include "drill_journal.h"
#include "drill_load.h"
#include "drill_pair.h"

enum {
    DRILL_CHILDREN_MAX = 16,
    DRILL_LOADS_MAX = 4,
    DRILL_WHY_BYTES = 240,
    DRILL_WINDOW = 4,         // requests that a client has open
    DRILL_HEARTBEAT_MS = 500, // of brokers and workers
    DRILL_GRACE_MS = 1000,    // in each target, for a machine that is busy
    DRILL_START_MS = 20000,   // until what was started is there
    DRILL_LINK_MS = 3000,     // longest silence of a link of ours (link.h)
    DRILL_LIMIT_MS = 500,     // processing limit, where there is one
    DRILL_BACK_MS = 10000,    // the longest back-off of a worker
    DRILL_AWAY_MS = 5000,     // until it is back where that cannot have grown so far
    DRILL_SPARE_MS = 10000,   // beyond a target, so that it is seen by how much it was missed
    DRILL_INFLIGHT = 64,      // requests that titanic has out
    DRILL_PAUSE_MS = 2000,    // the longest that a client waits where all refuse
    DRILL_ATTEMPT_MS = 500,   // of a pair's clients
    DRILL_CUTS = 6,           // ends of titanic before the last
    DRILL_PROGRESS = 20       // answers of each load that prove that it goes on
};

struct drill_stage;

struct drill {
    const char *name;
    const char *about; // the harm, and what has to come of it
    uint32_t recovery_ms_max;
    uint32_t classic_ms_max; // of a pair without a witness; 0: there is nothing to show
    uint32_t twice_max;      // requests that may run twice
    bool needs_g1;           // what it shows, 0.1 and 0.2 do not have
    bool is_pair;            // of two brokers of which one serves
    void (*run)(struct drill_stage *stage);
};

// What is asked for on the command line.
struct drill_settings {
    const char *const *broker_options; // further ones, which NULL ends
    mdp_dialect_t dialect;             // of workers and clients; MDP_AUTO: G1
    uint64_t seed;                     // of what a drill leaves to chance
    bool is_classic;                   // pairs have no witness
    bool is_fast;                      // pairs have short beats and leases, clients little patience
};

// Clients that a pair can tell where to go, and those that it cannot.
enum drill_kind { DRILL_OF_G1, DRILL_OF_OLD, DRILL_KINDS };

struct drill_verdict {
    bool is_pass;
    bool has_recovered;
    double recovery_ms; // from the harm, where it has
    double seconds;     // of the whole drill
    uint32_t sent;
    uint32_t answered;
    uint32_t refused;   // 429, where the drill asks for it
    uint32_t timed_out; // of those lost
    uint32_t wrong;     // of those lost
    uint32_t lost;      // sent, and neither answered rightly nor refused
    uint32_t twice;     // ran more than once
    uint32_t dropped;   // late answers of the harmed worker
    uint32_t pending;   // changes of titanic's files that no sync covered when the power went
    uint32_t gone;      // of those, that were dropped or torn

    // of a pair
    bool has_outage[DRILL_KINDS];
    double outage_ms[DRILL_KINDS]; // the longest that a client saw
    uint32_t dual;                 // effects of two halves that served at once
    uint32_t stale;                // runs of what had waited for a half that was frozen
    uint64_t harmed_ns;
    struct drill_reign reigns[DRILL_REIGNS_MAX];
    size_t reign_count;

    char why[DRILL_WHY_BYTES];
};

struct drill_stage {
    const struct drill *drill;
    struct drill_settings settings;
    char folder[DRILL_PATH_BYTES];
    char journal_path[DRILL_PATH_BYTES];
    char store_folder[DRILL_PATH_BYTES]; // of titanic's files
    char mdbroker[DRILL_PATH_BYTES];
    char endpoint[256]; // of the broker, for all; of a pirate queue, for clients
    char backend[256];  // of a pirate queue, for workers
    struct drill_journal *journal;
    mdp_client_t *control;     // asks the broker how it is
    struct drill_child broker; // or a pirate queue
    struct drill_pair pair;
    char clock_library[DRILL_PATH_BYTES]; // that steps wall clocks,
    char clock_path[DRILL_PATH_BYTES];    // and the file that says by how much
    struct drill_child children[DRILL_CHILDREN_MAX];
    size_t child_count;
    struct drill_child *checker; // of the store, one of them; NULL: not yet
    struct drill_load loads[DRILL_LOADS_MAX];
    size_t load_count;
    uint64_t harmed_ns;
    uint64_t late_before; // answers that the broker had dropped when the harmed worker went on
    uint64_t late_taken_before;
    struct drill_verdict verdict;
};

extern const struct drill drills[];
extern const size_t drill_count;

// drill_run runs one drill once, and leaves nothing behind.
void drill_run(const struct drill *drill, const struct drill_settings *settings,
               struct drill_verdict *verdict_out);

// drill_can_run: does it show anything in this dialect, and in this mode of a pair?
bool drill_can_run(const struct drill *drill, const struct drill_settings *settings);
// drill_allowed_ms is the target of its recovery.
uint32_t drill_allowed_ms(const struct drill *drill, const struct drill_settings *settings);
// drill_allowed_twice is that of the requests that run twice.
uint32_t drill_allowed_twice(const struct drill *drill, const struct drill_settings *settings);

// drill_account counts what became of each request of the loads, which are over; false: out of
// memory. What nobody waited for, because the drill was interrupted, is left out.
bool drill_account(const struct drill_journal *journal, const struct drill_load *loads,
                   size_t load_count, bool is_interrupted, struct drill_verdict *verdict);

// ---- what a drill is made of ----------------------------------------------------------------

// drill_fail writes down why, where nothing has failed before; returns false.
bool drill_fail(struct drill_stage *stage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// drill_until waits until is_so says yes. It is over where that takes too long, where a
// child has ended that should not, and where the tool is interrupted.
typedef bool drill_condition_fn(struct drill_stage *stage, void *context);
bool drill_until(struct drill_stage *stage, drill_condition_fn *is_so, void *context, uint32_t ms,
                 const char *what);

// drill_pass_time waits as long as the harm itself has to last, and still looks at the children.
bool drill_pass_time(struct drill_stage *stage, uint32_t ms);

// drill_new_child is a place for another process, NULL where there is none left; drill_start
// starts one, with its name set, with arguments as in drill_child.h.
struct drill_child *drill_new_child(struct drill_stage *stage, const char *name);
bool drill_start(struct drill_stage *stage, struct drill_child *child,
                 const char *const *arguments);

// drill_has_said looks for a line that a process wrote since it started, which begins and ends
// so, and copies what is between.
bool drill_has_said(const struct drill_child *child, const char *words, const char *ending,
                    char rest_out[256]);

// drill_broker starts the broker with a few more arguments, which NULL ends, and waits until it
// is ready; a second time on the same port.
bool drill_broker(struct drill_stage *stage, const char *const *arguments);

// drill_titanic starts titanic with a store in the stage's folder, and waits until it is ready;
// `again`, which was killed, starts again on the same store. NULL where it is over.
struct drill_child *drill_titanic(struct drill_stage *stage, struct drill_child *again,
                                  const char *free_bytes_min);

// drill_titanic_losing starts one whose disk may lose what it does not sync, and which kills itself
// before that change of its files, 0: none. It may end at once, so it is not waited for.
struct drill_child *drill_titanic_losing(struct drill_stage *stage, struct drill_child *again,
                                         uint64_t kill_at);
bool drill_await_titanic(struct drill_stage *stage, struct drill_child *titanic);
// drill_power_cut is for the files of one that has ended: what was not synced is lost, kept or
// torn, as the seed says.
bool drill_power_cut(struct drill_stage *stage, uint64_t seed);
// drill_check_store has `galleon store check` look at those files.
bool drill_check_store(struct drill_stage *stage);

// drill_limit is the arguments of a broker that has to notice workers that are silent while they
// work: in 0.1 and 0.2 they promise nothing of their link, and only a processing limit helps.
const char *const *drill_limit(const struct drill_stage *stage);

// drill_workers starts a process with some workers. NULL where it is over.
struct drill_child *drill_workers(struct drill_stage *stage, const char *endpoint,
                                  const char *service, uint32_t heartbeat_ms, uint32_t first,
                                  uint32_t count);
struct drill_child *drill_workers_of(struct drill_stage *stage, mdp_dialect_t dialect,
                                     const char *endpoint, const char *service,
                                     uint32_t heartbeat_ms, uint32_t first, uint32_t count);
// drill_client starts a client that can be killed.
struct drill_child *drill_client(struct drill_stage *stage, const char *service, uint32_t requests,
                                 uint32_t work_ms);

// drill_await_workers waits until the broker counts so many workers of a service.
bool drill_await_workers(struct drill_stage *stage, const char *service, uint32_t count,
                         uint32_t ms);
// drill_await_work waits until a worker has begun something since then.
bool drill_await_work(struct drill_stage *stage, uint32_t worker, uint64_t since_ns, uint32_t ms);
// drill_ask_number is a number of one row of a broker's table; false: it does not say.
bool drill_ask_number(struct drill_stage *stage, const char *table, const char *row,
                      const char *column, uint64_t *number_out);

// drill_load starts a load. NULL where it is over.
struct drill_load *drill_load(struct drill_stage *stage, const struct drill_load_options *options);
// drill_await_progress waits until each load that goes on has had some more answers to what was
// sent from now on.
bool drill_await_progress(struct drill_stage *stage, uint32_t ms);

// drill_hostage sends a request whose first worker holds it, and waits until one does: the
// number of that worker, 0 where it is over.
uint32_t drill_hostage(struct drill_stage *stage, struct drill_load **load_out);

// drill_await_hostage waits until it has been answered, which is the recovery.
bool drill_await_hostage(struct drill_stage *stage, struct drill_load *load);

// drill_release lets the harmed worker go on, and ends the drill: its late answer has to be
// dropped, and it has to be back at work.
bool drill_release(struct drill_stage *stage, const struct drill_load *load, uint32_t victim);

// drill_kill kills a process. The drill is over where that had ended by itself.
bool drill_kill(struct drill_stage *stage, struct drill_child *child);
// drill_look looks whether one has ended that should not; false: it has.
bool drill_look(struct drill_stage *stage);

// drill_harm says that the harm is done now; drill_recover, that all is well again. Where there is
// more than one harm the longest recovery counts.
void drill_harm(struct drill_stage *stage);
void drill_recover(struct drill_stage *stage, uint64_t at_ns);

// drill_finish ends the load: what was sent is waited for. drill_end_loads is for a drill that
// takes away what the load needs: after a failure it waits for a little only.
bool drill_finish(struct drill_stage *stage, uint32_t ms);
void drill_end_loads(struct drill_stage *stage);

// The drills.
void drill_worker_killed(struct drill_stage *stage);
void drill_worker_frozen(struct drill_stage *stage);
void drill_worker_hung(struct drill_stage *stage);
void drill_broker_restarted(struct drill_stage *stage);
void drill_broker_frozen(struct drill_stage *stage);
void drill_worker_flood(struct drill_stage *stage);
void drill_network_cut(struct drill_stage *stage);
void drill_network_half_open(struct drill_stage *stage);
void drill_client_gone(struct drill_stage *stage);
void drill_slow_service(struct drill_stage *stage);
void drill_titanic_killed(struct drill_stage *stage);
void drill_titanic_worker_killed(struct drill_stage *stage);
void drill_titanic_broker_restarted(struct drill_stage *stage);
void drill_titanic_disk_full(struct drill_stage *stage);
void drill_titanic_power_cut(struct drill_stage *stage);
void drill_pirate_worker_killed(struct drill_stage *stage);
void drill_pirate_queue_restarted(struct drill_stage *stage);
void drill_pirate_worker_frozen(struct drill_stage *stage);
void drill_primary_killed(struct drill_stage *stage);
void drill_primary_frozen(struct drill_stage *stage);
void drill_pair_link_cut(struct drill_stage *stage);
void drill_pair_link_one_way(struct drill_stage *stage);
void drill_both_killed_backup_returns(struct drill_stage *stage);
void drill_witness_killed(struct drill_stage *stage);
void drill_planned_switchover(struct drill_stage *stage);
void drill_clients_on_each_side(struct drill_stage *stage);
void drill_clock_step(struct drill_stage *stage);

#endif
