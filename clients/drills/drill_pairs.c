// drill_pairs.c - the drills of two brokers of which one serves.

#include "drill.h"

#include "step_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WAITING = 20 }; // requests for a half that is frozen

// return_as_passive starts again who was killed: it must not take its place back. A lease of 200 ms
// ends by itself where the machine is busy, and then either may be next.
static bool
return_as_passive(struct drill_stage *stage, uint32_t half)
{
    if (!drill_pair_start(stage, half))
        return false;
    return stage->settings.is_fast ? drill_pair_settle_any(stage) : drill_pair_settle(stage, !half);
}

void
drill_primary_killed(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, false))
        return;
    uint32_t first = stage->pair.serving;
    drill_harm(stage);
    if (drill_pair_kill(stage, first) && drill_pair_await_reign(stage, !first) &&
        drill_await_progress(stage, DRILL_START_MS) && return_as_passive(stage, first) &&
        drill_await_progress(stage, DRILL_START_MS))
        drill_pair_end(stage);
}

// A client that asks the half which serves, and nobody else, while that is frozen: what it has
// asked for waits there, and nobody takes it back.
struct waiting {
    mdp_client_t *client;
    uint32_t asked;
};

static bool
connect_waiting(struct drill_stage *stage, struct waiting *waiting)
{
    mdp_client_options_t options = {.timeout_ms = 60000, .attempts = 1, .dialect = MDP_G1};
    const char *endpoint = stage->pair.endpoints[stage->pair.serving];
    waiting->client = mdp_client_new(endpoint, &options);
    if (waiting->client == NULL)
        return drill_fail(stage, "out of memory");
    return mdp_client_has_service(waiting->client, "drill") == GALLEON_OK ||
           drill_fail(stage, "the half that serves does not answer");
}

static bool
ask_frozen(struct drill_stage *stage, struct waiting *waiting)
{
    for (uint64_t id; waiting->asked < WAITING; waiting->asked++) {
        struct drill_job job = {.key = UINT64_MAX - waiting->asked};
        zmsg_t *message = zmsg_new();
        drill_job_fill(&job);
        zmsg_addmem(message, &job, sizeof job);
        if (mdp_client_send(waiting->client, "drill", &message, NULL, &id) != GALLEON_OK)
            return drill_fail(stage, "cannot ask the half that is frozen");
    }
    return mdp_client_flush(waiting->client) == GALLEON_OK ||
           drill_fail(stage, "cannot ask the half that is frozen");
}

static uint32_t
count_waiting_runs(const struct drill_stage *stage)
{
    uint32_t runs = 0;
    for (uint32_t i = drill_journal_count(stage->journal); i-- > 0;)
        runs += stage->journal->runs[i].key > UINT64_MAX - WAITING ? 1 : 0;
    return runs;
}

// judge_stale looks for what the one that was frozen did of what had waited for it.
static void
judge_stale(struct drill_stage *stage, uint64_t thawed_ns)
{
    // What was on its way to a worker when it was stopped arrives: a worker that knows epochs
    // refuses it, another runs it.
    enum { UNDER_WAY_MAX = 1 };
    uint32_t fenced;
    uint32_t stale =
        drill_count_stale(stage->journal, stage->loads, stage->load_count, thawed_ns, &fenced);
    uint32_t waited = count_waiting_runs(stage);
    stage->verdict.stale = stale + waited;
    if (waited > 0)
        drill_fail(stage, "%u requests ran that had waited for the half that was frozen", waited);
    if (fenced > 0 || stale > UNDER_WAY_MAX)
        drill_fail(stage, "%u stale requests ran when the primary went on, %u of them fenced",
                   stale, fenced);
}

static void
freeze(struct drill_stage *stage, struct waiting *waiting)
{
    uint32_t frozen = stage->pair.serving;
    drill_harm(stage);
    drill_pair_freeze(stage, frozen);
    bool is_replaced = ask_frozen(stage, waiting) && drill_pair_await_reign(stage, !frozen) &&
                       drill_await_progress(stage, DRILL_START_MS);
    uint64_t thawed_ns = galleon_now_ns();
    drill_pair_thaw(stage, frozen);
    // A broker that has slept reads all that has come before it gives anybody work.
    if (!is_replaced || !drill_pair_settle(stage, !frozen) ||
        !drill_pass_time(stage, DRILL_ATTEMPT_MS) || !drill_await_progress(stage, DRILL_START_MS))
        return;
    drill_pair_end(stage);
    judge_stale(stage, thawed_ns);
}

void
drill_primary_frozen(struct drill_stage *stage)
{
    struct waiting waiting = {.asked = 0};
    if (drill_pair_begin(stage, false) && connect_waiting(stage, &waiting))
        freeze(stage, &waiting);
    mdp_client_destroy(&waiting.client);
}

void
drill_planned_switchover(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, false))
        return;
    uint32_t first = stage->pair.serving;
    drill_harm(stage);
    if (drill_pair_say(stage, first, "demote") && drill_pair_await_reign(stage, !first) &&
        drill_await_progress(stage, DRILL_START_MS) && drill_pair_settle(stage, !first))
        drill_pair_end(stage);
}

void
drill_both_killed_backup_returns(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, false))
        return;
    uint32_t first = stage->pair.serving;
    drill_harm(stage);
    if (drill_pair_kill(stage, first) && drill_pair_kill(stage, !first) &&
        drill_pair_start(stage, !first) && drill_pair_await_reign(stage, !first) &&
        drill_await_progress(stage, DRILL_START_MS) && return_as_passive(stage, first) &&
        drill_await_progress(stage, DRILL_START_MS))
        drill_pair_end(stage);
}

// goes_on: longer than any lease all clients are answered, and nobody else serves.
static bool
goes_on(struct drill_stage *stage)
{
    if (!drill_pass_time(stage, drill_pair_long_ms(stage)) ||
        !drill_await_progress(stage, DRILL_START_MS))
        return false;
    return stage->pair.reign_count == 1 ||
           drill_fail(stage, "%zu reigns, and nobody was harmed who serves",
                      stage->pair.reign_count);
}

void
drill_witness_killed(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, false))
        return;
    uint32_t first = stage->pair.serving;
    drill_harm(stage);
    if (drill_pair_kill(stage, DRILL_WITNESS) &&
        drill_pair_await_word(stage, first, "witness", "silent") && goes_on(stage) &&
        drill_pair_start(stage, DRILL_WITNESS) &&
        drill_pair_await_word(stage, first, "witness", "alive") && goes_on(stage) &&
        drill_pair_settle(stage, first))
        drill_pair_end(stage);
}

// ---- clock-step ---------------------------------------------------------------------------------

// open_clock makes the file by which wall clocks are stepped; NULL where it is over.
static struct step_clock *
open_clock(struct drill_stage *stage)
{
    struct step_clock *clock = MAP_FAILED;
    if (!drill_child_find_library("step_clock.so", stage->clock_library)) {
        drill_fail(stage, "step_clock.so is not found, or its path has a space or a colon");
        return NULL;
    }
    snprintf(stage->clock_path, sizeof stage->clock_path, "%.480s/clock", stage->folder);
    int fd = open(stage->clock_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, sizeof *clock) == 0)
        clock = mmap(NULL, sizeof *clock, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (clock == MAP_FAILED)
        drill_fail(stage, "cannot make a clock: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return clock == MAP_FAILED ? NULL : clock;
}

static void
step_clocks(struct drill_stage *stage, struct step_clock *clock)
{
    enum { HOUR_S = 3600 };
    static const int64_t steps_s[] = {HOUR_S, -HOUR_S, 24 * HOUR_S};
    stage->pair.is_clock_stepped = true;
    if (!drill_pair_begin(stage, false))
        return;
    drill_harm(stage);
    for (size_t i = 0; i < sizeof steps_s / sizeof *steps_s; i++) {
        atomic_store(&clock->ahead_s, steps_s[i]);
        if (!goes_on(stage))
            return;
    }
    size_t members = stage->settings.is_classic ? DRILL_HALVES : DRILL_MEMBERS;
    uint32_t wanted = (uint32_t)(members + stage->child_count);
    if (atomic_load(&clock->processes) != wanted)
        drill_fail(stage, "the clocks of %u processes were stepped, not of %u",
                   atomic_load(&clock->processes), wanted);
    if (drill_pair_settle(stage, stage->pair.serving))
        drill_pair_end(stage);
}

void
drill_clock_step(struct drill_stage *stage)
{
    struct step_clock *clock = open_clock(stage);
    if (clock == NULL)
        return;
    step_clocks(stage, clock);
    munmap(clock, sizeof *clock);
}
