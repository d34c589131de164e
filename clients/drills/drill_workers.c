// drill_workers.c - the drills that harm workers.

#include "drill.h"

#include <signal.h>

enum {
    WORKERS = 3,
    WORK_MS = 2,
    ASK_NS = 20000000 // between two questions to the broker
};

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
                                         .window = DRILL_WINDOW,
                                         .work_ms = WORK_MS,
                                         .client = {.timeout_ms = 30000, .attempts = 1}};
    return drill_await_workers(stage, "drill", WORKERS, DRILL_START_MS) &&
           drill_load(stage, &options) != NULL && drill_load(stage, &options) != NULL &&
           drill_await_progress(stage, DRILL_START_MS);
}

// ask_late asks the broker for the late answers that it has dropped, and taken.
static bool
ask_late(struct drill_stage *stage, uint64_t *dropped_out, uint64_t *taken_out)
{
    return drill_ask_number(stage, "mmi.stats", "answers_late", "value", dropped_out) &&
           drill_ask_number(stage, "mmi.stats", "answers_late_taken", "value", taken_out);
}

static bool
knows_late(struct drill_stage *stage, void *context)
{
    (void)context;
    return ask_late(stage, &stage->late_before, &stage->late_taken_before);
}

// has_dropped: its late answer has been dropped, by the broker or by the worker's own library,
// which knew that its connection was gone.
static bool
has_dropped(struct drill_stage *stage, void *context)
{
    uint64_t *ask_ns = context;
    uint64_t late;
    uint64_t taken;
    if (galleon_now_ns() < *ask_ns)
        return false;
    *ask_ns = galleon_now_ns() + ASK_NS;
    if (!ask_late(stage, &late, &taken))
        return false;
    if (taken > stage->late_taken_before)
        return drill_fail(stage, "a late answer was passed on");
    stage->verdict.dropped =
        (uint32_t)(late - stage->late_before) + atomic_load(&stage->journal->answers_lost);
    return stage->verdict.dropped > 0;
}

bool
drill_release(struct drill_stage *stage, const struct drill_load *load, uint32_t victim)
{
    uint64_t ask_ns = 0;
    if (load->requests[0].worker == victim)
        return drill_fail(stage, "the harmed worker itself has answered");
    if (!drill_until(stage, knows_late, NULL, DRILL_START_MS, "the broker tells its numbers"))
        return false;
    uint64_t now_ns = galleon_now_ns();
    atomic_store(&stage->journal->is_released, true);
    return drill_until(stage, has_dropped, &ask_ns, DRILL_BACK_MS, "the late answer is dropped") &&
           drill_await_work(stage, victim, now_ns, DRILL_BACK_MS) &&
           drill_await_progress(stage, DRILL_START_MS) && drill_finish(stage, DRILL_START_MS);
}

void
drill_worker_killed(struct drill_stage *stage)
{
    struct drill_load *load;
    uint32_t victim = begin(stage, NULL) ? drill_hostage(stage, &load) : 0;
    if (victim == 0)
        return;
    drill_harm(stage);
    if (drill_kill(stage, &stage->children[victim - 1]) && drill_await_hostage(stage, load) &&
        drill_await_progress(stage, DRILL_START_MS))
        drill_finish(stage, DRILL_START_MS);
}

void
drill_worker_frozen(struct drill_stage *stage)
{
    struct drill_load *load;
    uint32_t victim = begin(stage, drill_limit(stage)) ? drill_hostage(stage, &load) : 0;
    if (victim == 0)
        return;
    drill_harm(stage);
    drill_child_signal(&stage->children[victim - 1], SIGSTOP);
    bool is_answered = drill_await_hostage(stage, load);
    drill_child_signal(&stage->children[victim - 1], SIGCONT);
    if (is_answered)
        drill_release(stage, load, victim);
}

void
drill_worker_hung(struct drill_stage *stage)
{
    static const char *const limited[] = {"--service", "drill,limit=500", NULL};
    struct drill_load *load;
    uint32_t victim = begin(stage, limited) ? drill_hostage(stage, &load) : 0;
    if (victim == 0)
        return;
    drill_harm(stage); // it has begun to hang
    if (drill_await_hostage(stage, load))
        drill_release(stage, load, victim);
}
