// drill_broker.c - the drills that harm the broker.

#include "drill.h"

#include <signal.h>
#include <sys/resource.h>

enum {
    WORKERS = 4,
    WORK_MS = 2,
    FROZEN_MS = 2000, // longer than the workers' patience
    // The flood: crews of workers, each a process.
    CREWS = 4,
    CREW = 250,
    CREW_DESCRIPTORS = 2500, // a worker has four, and more while it reconnects
    FLOOD_HEARTBEAT_MS = 2500
};

// begin_load starts two clients that repeat what is not answered.
static bool
begin_load(struct drill_stage *stage)
{
    struct drill_load_options options = {
        .endpoint = stage->endpoint,
        .service = "drill",
        .window = DRILL_WINDOW,
        .work_ms = WORK_MS,
        .client = {.timeout_ms = 2000, .attempts = 30, .deadline_ms = 60000}};
    return drill_load(stage, &options) != NULL && drill_load(stage, &options) != NULL &&
           drill_await_progress(stage, DRILL_START_MS);
}

static bool
begin(struct drill_stage *stage)
{
    if (!drill_broker(stage, NULL))
        return false;
    for (uint32_t i = 1; i <= WORKERS; i++)
        if (drill_workers(stage, stage->endpoint, "drill", DRILL_HEARTBEAT_MS, i, 1) == NULL)
            return false;
    return drill_await_workers(stage, "drill", WORKERS, DRILL_START_MS) && begin_load(stage);
}

// end waits until all workers are there and all clients served, which is the recovery.
static void
end(struct drill_stage *stage, uint32_t workers)
{
    uint32_t ms = stage->drill->recovery_ms_max + DRILL_SPARE_MS;
    if (!drill_await_workers(stage, "drill", workers, ms) || !drill_await_progress(stage, ms))
        return;
    // Where they are few each will have had something to do.
    for (uint32_t i = 1; i <= workers && workers == WORKERS; i++)
        if (!drill_await_work(stage, i, stage->harmed_ns, ms))
            return;
    drill_recover(stage, galleon_now_ns());
    drill_finish(stage, DRILL_START_MS);
}

void
drill_broker_restarted(struct drill_stage *stage)
{
    if (!begin(stage))
        return;
    drill_harm(stage);
    if (drill_kill(stage, &stage->broker) && drill_broker(stage, NULL))
        end(stage, WORKERS);
}

void
drill_broker_frozen(struct drill_stage *stage)
{
    if (!begin(stage))
        return;
    drill_child_signal(&stage->broker, SIGSTOP);
    bool has_passed = drill_pass_time(stage, FROZEN_MS);
    drill_child_signal(&stage->broker, SIGCONT);
    drill_harm(stage); // what is to be recovered from is over now
    if (has_passed)
        end(stage, WORKERS);
}

// has_descriptors: without them libzmq would end the processes of the workers.
static bool
has_descriptors(struct drill_stage *stage)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < CREW_DESCRIPTORS)
        return drill_fail(stage,
                          "each process needs %d descriptors, and may have %llu (ulimit -Hn)",
                          CREW_DESCRIPTORS, (unsigned long long)limit.rlim_max);
    return true;
}

void
drill_worker_flood(struct drill_stage *stage)
{
    if (!has_descriptors(stage) || !drill_broker(stage, NULL))
        return;
    for (uint32_t i = 0; i < CREWS; i++)
        if (drill_workers(stage, stage->endpoint, "drill", FLOOD_HEARTBEAT_MS, i * CREW + 1,
                          CREW) == NULL)
            return;
    if (!drill_await_workers(stage, "drill", CREWS * CREW, DRILL_START_MS) || !begin_load(stage))
        return;
    drill_harm(stage);
    if (drill_kill(stage, &stage->broker) && drill_broker(stage, NULL))
        end(stage, CREWS * CREW);
}
