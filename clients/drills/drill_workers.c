// drill_workers.c - the drills that harm workers.

#include "drill.h"

#include <signal.h>

enum { WORKERS = 3, WORK_MS = 2 };

// begin starts a broker, three workers with one request each at a time, and a load whose clients
// do not repeat: what the broker loses is seen. Worker n is stage->children[n - 1].
static bool
begin(struct drill_stage *stage, const char *const *broker_arguments)
{
    if (!drill_broker(stage, broker_arguments))
        return false;
    for (uint32_t i = 1; i <= WORKERS; i++)
        if (drill_workers(stage, stage->endpoint, "drill", DRILL_HEARTBEAT_MS, i, 1) == NULL)
            return false;
    struct drill_load_options options = {.endpoint = stage->endpoint,
                                         .service = "drill",
                                         .window = 4,
                                         .work_ms = WORK_MS,
                                         .client = {.timeout_ms = 30000, .attempts = 1}};
    return drill_await_workers(stage, "drill", WORKERS, DRILL_START_MS) &&
           drill_load(stage, &options) != NULL && drill_load(stage, &options) != NULL &&
           drill_await_progress(stage, DRILL_START_MS);
}

void
drill_worker_killed(struct drill_stage *stage)
{
    struct drill_load *load;
    uint32_t victim = begin(stage, NULL) ? drill_hostage(stage, &load) : 0;
    if (victim == 0)
        return;
    drill_harm(stage);
    drill_child_kill(&stage->children[victim - 1]);
    if (drill_await_hostage(stage, load) && drill_await_progress(stage, DRILL_START_MS))
        drill_finish(stage, DRILL_START_MS);
}
