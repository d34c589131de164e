// drill_pairs.c - the drills of two brokers of which one serves.

#include "drill.h"

// return_as_passive starts again who was killed: it must not take its place back.
static bool
return_as_passive(struct drill_stage *stage, uint32_t half)
{
    return drill_pair_start(stage, half) && drill_pair_settle(stage, !half);
}

void
drill_primary_killed(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, false))
        return;
    drill_harm(stage);
    if (drill_pair_kill(stage, DRILL_PRIMARY) && drill_pair_await_reign(stage, DRILL_BACKUP) &&
        drill_await_progress(stage, DRILL_START_MS) && return_as_passive(stage, DRILL_PRIMARY) &&
        drill_await_progress(stage, DRILL_START_MS))
        drill_pair_end(stage);
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
    stage->verdict.stale = stale;
    if (fenced > 0 || stale > UNDER_WAY_MAX)
        drill_fail(stage, "%u stale requests ran when the primary went on, %u of them fenced",
                   stale, fenced);
}

void
drill_primary_frozen(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, false))
        return;
    drill_harm(stage);
    drill_pair_freeze(stage, DRILL_PRIMARY);
    bool is_replaced = drill_pair_await_reign(stage, DRILL_BACKUP) &&
                       drill_await_progress(stage, DRILL_START_MS) &&
                       drill_pass_time(stage, drill_pair_attempt_ms(stage));
    uint64_t thawed_ns = galleon_now_ns();
    drill_pair_thaw(stage, DRILL_PRIMARY);
    if (!is_replaced || !drill_pair_settle(stage, DRILL_BACKUP) ||
        !drill_await_progress(stage, DRILL_START_MS))
        return;
    drill_pair_end(stage);
    judge_stale(stage, thawed_ns);
}

void
drill_planned_switchover(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, false))
        return;
    drill_harm(stage);
    if (drill_pair_say(stage, DRILL_PRIMARY, "demote") &&
        drill_pair_await_reign(stage, DRILL_BACKUP) &&
        drill_await_progress(stage, DRILL_START_MS) && drill_pair_settle(stage, DRILL_BACKUP))
        drill_pair_end(stage);
}
