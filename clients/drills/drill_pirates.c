// drill_pirates.c - the drills of a Paranoid Pirate queue.
//
// The queue says nothing of how it is but what it logs: how many workers have registered. That
// a late answer was dropped shows in the clients, who would have had it twice.

#include "drill.h"

#include <signal.h>

enum { WORKERS = 4, WORK_MS = 2 };

// ---- what is started ------------------------------------------------------------------------

static bool
is_ready(struct drill_stage *stage, void *context)
{
    (void)context;
    static const char words[] = "ppqueue: ready on ";
    return drill_has_said(&stage->broker, words, " for clients", stage->endpoint) &&
           drill_has_said(&stage->broker, words, " for workers", stage->backend);
}

static const char *
or_any_port(const char *endpoint)
{
    return endpoint[0] != '\0' ? endpoint : "tcp://127.0.0.1:*";
}

// start_queue starts the queue, a second time on the same ports. A worker may take so long, in
// ms, for a request; 0: for ever.
static bool
start_queue(struct drill_stage *stage, uint32_t limit_ms)
{
    char program[DRILL_PATH_BYTES], heartbeat[16], limit[16];
    const char *line[DRILL_ARGUMENTS_MAX] = {DRILL_CHILD_PROGRAM, program,
                                             "--frontend",        or_any_port(stage->endpoint),
                                             "--backend",         or_any_port(stage->backend),
                                             "--log-level",       "info",
                                             "--heartbeat",       heartbeat,
                                             "--limit",           limit};
    size_t count = 12;
    drill_child_find("ppqueue", program);
    snprintf(heartbeat, sizeof heartbeat, "%d", DRILL_HEARTBEAT_MS);
    snprintf(limit, sizeof limit, "%u", limit_ms);
    for (const char *const *at = stage->settings.broker_options;
         at != NULL && *at != NULL && count < DRILL_ARGUMENTS_MAX - 1; at++)
        line[count++] = *at;
    snprintf(stage->broker.name, sizeof stage->broker.name, "ppqueue");
    return drill_start(stage, &stage->broker, line) &&
           drill_until(stage, is_ready, NULL, DRILL_START_MS, "the queue is ready");
}

// hire starts one worker. Worker n is stage->children[n - 1].
static bool
hire(struct drill_stage *stage, uint32_t number)
{
    char heartbeat[16], number_text[16];
    const char *line[] = {DRILL_CHILD_PIRATE, stage->journal_path, stage->backend,
                          heartbeat,          number_text,         NULL};
    snprintf(heartbeat, sizeof heartbeat, "%d", DRILL_HEARTBEAT_MS);
    snprintf(number_text, sizeof number_text, "%u", number);
    struct drill_child *child = drill_new_child(stage, "pirate");
    return child != NULL && drill_start(stage, child, line);
}

// is_registered: has the queue written so many lines that say that a worker has come?
static bool
is_registered(struct drill_stage *stage, void *context)
{
    char line[512];
    uint32_t left = *(const uint32_t *)context;
    FILE *file = fopen(stage->broker.log, "r");
    if (file == NULL)
        return false;
    if (fseek(file, stage->broker.log_start, SEEK_SET) == 0)
        while (left > 0 && fgets(line, sizeof line, file) != NULL)
            left -= strstr(line, " PIRATE-WORKER-REGISTERED ") != NULL ? 1 : 0;
    fclose(file);
    return left == 0;
}

static bool
await_registered(struct drill_stage *stage, uint32_t count, uint32_t ms)
{
    return drill_until(stage, is_registered, &count, ms, "all workers are registered");
}

// begin starts the queue, its workers, and two clients.
static bool
begin(struct drill_stage *stage, uint32_t limit_ms, uint32_t timeout_ms, uint32_t attempts)
{
    if (!start_queue(stage, limit_ms))
        return false;
    for (uint32_t i = 1; i <= WORKERS; i++)
        if (!hire(stage, i))
            return false;
    struct drill_load_options options = {
        .endpoint = stage->endpoint,
        .window = DRILL_WINDOW,
        .work_ms = WORK_MS,
        .is_pirate = true,
        .client = {.timeout_ms = timeout_ms, .attempts = attempts}};
    return await_registered(stage, WORKERS, DRILL_START_MS) &&
           drill_load(stage, &options) != NULL && drill_load(stage, &options) != NULL &&
           drill_await_progress(stage, DRILL_START_MS);
}

// ---- the drills -----------------------------------------------------------------------------

void
drill_pirate_worker_killed(struct drill_stage *stage)
{
    struct drill_load *load;
    uint32_t victim = begin(stage, 0, 30000, 1) ? drill_hostage(stage, &load) : 0;
    if (victim == 0)
        return;
    drill_harm(stage);
    drill_child_kill(&stage->children[victim - 1]);
    if (drill_await_hostage(stage, load) && drill_await_progress(stage, DRILL_START_MS))
        drill_finish(stage, DRILL_START_MS);
}

void
drill_pirate_queue_restarted(struct drill_stage *stage)
{
    uint32_t ms = stage->drill->recovery_ms_max + DRILL_SPARE_MS;
    if (!begin(stage, 0, 1000, 30))
        return;
    drill_harm(stage);
    drill_child_kill(&stage->broker);
    if (!start_queue(stage, 0) || !await_registered(stage, WORKERS, ms) ||
        !drill_await_progress(stage, ms))
        return;
    for (uint32_t i = 1; i <= WORKERS; i++)
        if (!drill_await_work(stage, i, stage->harmed_ns, ms))
            return;
    drill_recover(stage, galleon_now_ns());
    drill_finish(stage, DRILL_START_MS);
}

// has_ended_late: the harmed worker is done with what another has answered meanwhile.
static bool
has_ended_late(struct drill_stage *stage, void *context)
{
    (void)context;
    uint32_t holder = atomic_load(&stage->journal->holder);
    return atomic_load(&stage->journal->runs[holder - 1].ended_ns) != 0;
}

// release lets the frozen worker finish what another has answered. Its late answer goes out
// before anything that it does later; once that has been answered, a client that was given the
// late one would have it, too.
static void
release(struct drill_stage *stage, const struct drill_load *load, uint32_t victim)
{
    if (load->requests[0].worker == victim) {
        drill_fail(stage, "the harmed worker itself has answered");
        return;
    }
    uint64_t now_ns = galleon_now_ns();
    atomic_store(&stage->journal->is_released, true);
    if (!drill_until(stage, has_ended_late, NULL, DRILL_BACK_MS, "the late answer is made") ||
        !drill_await_work(stage, victim, now_ns, DRILL_BACK_MS) ||
        !drill_await_progress(stage, DRILL_START_MS) || !drill_finish(stage, DRILL_START_MS))
        return;
    uint32_t stray = 0;
    for (size_t i = 0; i < stage->load_count; i++)
        stray += atomic_load(&stage->loads[i].stray);
    if (stray > 0)
        drill_fail(stage, "a late answer was passed on");
    else
        stage->verdict.dropped = 1;
}

// A worker that promises nothing of its link is missed by nothing but a limit while it works.
void
drill_pirate_worker_frozen(struct drill_stage *stage)
{
    struct drill_load *load;
    uint32_t victim = begin(stage, DRILL_LIMIT_MS, 30000, 1) ? drill_hostage(stage, &load) : 0;
    if (victim == 0)
        return;
    drill_harm(stage);
    drill_child_signal(&stage->children[victim - 1], SIGSTOP);
    bool is_answered = drill_await_hostage(stage, load);
    drill_child_signal(&stage->children[victim - 1], SIGCONT);
    if (is_answered)
        release(stage, load, victim);
}
