// drill_pair_network.c - the drills of a pair whose halves cannot hear each other, and of clients
// that reach one of them only.
//
// With a witness nothing may come of it: who serves goes on with the witness's vote, and the other
// gets none. Without one both may serve as long as it lasts, and one of them has to yield when they
// hear each other again.

#include "drill.h"

#include "fault_proxy.h"

#include <errno.h>
#include <stdio.h>

static const struct fault_proxy_faults none = {0};
static const struct fault_proxy_faults silent = {.stalls_forward = true, .stalls_back = true};

// judge_reigns: with a witness the link is nobody's vote.
static bool
judge_reigns(struct drill_stage *stage)
{
    if (stage->settings.is_classic || stage->pair.reign_count == 1)
        return true;
    return drill_fail(stage, "%zu reigns, and nobody was harmed who serves",
                      stage->pair.reign_count);
}

// go_on waits longer than any patience, while all clients are answered.
static bool
go_on(struct drill_stage *stage)
{
    return drill_pass_time(stage, drill_pair_long_ms(stage)) &&
           drill_await_progress(stage, DRILL_START_MS) && judge_reigns(stage);
}

// come_together ends a drill: the halves hear each other, and agree.
static void
come_together(struct drill_stage *stage)
{
    if (drill_pair_await_word(stage, DRILL_PRIMARY, "peer", "alive") &&
        drill_pair_await_word(stage, DRILL_BACKUP, "peer", "alive") &&
        drill_pair_settle_any(stage) && drill_await_progress(stage, DRILL_START_MS) &&
        judge_reigns(stage))
        drill_pair_end(stage);
}

void
drill_pair_link_cut(struct drill_stage *stage)
{
    const struct fault_proxy_faults refusing = {.refuses = true};
    if (!drill_pair_begin(stage, true))
        return;
    struct fault_proxy **proxies = stage->pair.proxies;
    drill_harm(stage);
    for (int half = 0; half < DRILL_HALVES; half++) {
        fault_proxy_set(proxies[half], &refusing);
        fault_proxy_cut(proxies[half]);
    }
    bool goes_on = go_on(stage);
    for (int half = 0; half < DRILL_HALVES; half++)
        fault_proxy_set(proxies[half], &none);
    if (goes_on)
        come_together(stage);
}

// silence_one keeps all away that one half says to the other, over the connection that it has made
// and over that which the other has.
static void
silence_one(struct drill_stage *stage, uint32_t half)
{
    const struct fault_proxy_faults own = {.stalls_forward = true};
    const struct fault_proxy_faults others = {.stalls_back = true};
    fault_proxy_set(stage->pair.proxies[half], &own);
    fault_proxy_set(stage->pair.proxies[!half], &others);
}

void
drill_pair_link_one_way(struct drill_stage *stage)
{
    if (!drill_pair_begin(stage, true))
        return;
    drill_harm(stage);
    for (uint32_t half = 0; half < DRILL_HALVES; half++) {
        silence_one(stage, half);
        if (!drill_pair_await_word(stage, !half, "peer", "silent") || !go_on(stage))
            return;
    }
    for (int half = 0; half < DRILL_HALVES; half++)
        fault_proxy_set(stage->pair.proxies[half], &none);
    come_together(stage);
}

// ---- clients-on-each-side -----------------------------------------------------------------------

// The ways of the clients of each side to each half.
struct sides {
    struct fault_proxy *ways[DRILL_HALVES][DRILL_HALVES];
    char endpoints[DRILL_HALVES][2 * DRILL_ENDPOINT_BYTES];
    size_t first_load[DRILL_HALVES + 1]; // of each side; the last: how many there are
    uint32_t answered[DRILL_LOADS_MAX];
};

static bool
open_sides(struct drill_stage *stage, struct sides *sides)
{
    for (int side = 0; side < DRILL_HALVES; side++) {
        for (int half = 0; half < DRILL_HALVES; half++) {
            sides->ways[side][half] = fault_proxy_new(stage->pair.endpoints[half]);
            if (sides->ways[side][half] == NULL)
                return drill_fail(stage, "cannot start a proxy: %s", strerror(errno));
        }
        snprintf(sides->endpoints[side], sizeof sides->endpoints[side], "%s,%s",
                 fault_proxy_endpoint(sides->ways[side][0]),
                 fault_proxy_endpoint(sides->ways[side][1]));
        sides->first_load[side] = stage->load_count;
        if (!drill_pair_load(stage, sides->endpoints[side]))
            return false;
    }
    sides->first_load[DRILL_HALVES] = stage->load_count;
    return drill_await_progress(stage, DRILL_START_MS);
}

// part separates the sides: neither the halves nor the clients hear anything of the other.
static void
part(struct drill_stage *stage, struct sides *sides, const struct fault_proxy_faults *faults)
{
    for (int side = 0; side < DRILL_HALVES; side++) {
        fault_proxy_set(stage->pair.proxies[side], faults);
        fault_proxy_set(sides->ways[side][!side], faults);
    }
}

static void
count_answers(const struct drill_stage *stage, struct sides *sides)
{
    for (size_t i = 0; i < stage->load_count; i++)
        sides->answered[i] = atomic_load(&stage->loads[i].answered);
}

// has_answers: the clients of a side have had some since they were counted.
static bool
has_answers(const struct drill_stage *stage, const struct sides *sides, uint32_t side,
            uint32_t least)
{
    for (size_t i = sides->first_load[side]; i < sides->first_load[side + 1]; i++)
        if (atomic_load(&stage->loads[i].answered) - sides->answered[i] < least)
            return false;
    return true;
}

struct wanted {
    const struct sides *sides;
    uint32_t side;
};

static bool
is_served(struct drill_stage *stage, void *context)
{
    const struct wanted *wanted = context;
    return has_answers(stage, wanted->sides, wanted->side, DRILL_PROGRESS);
}

// live_apart: the side of the primary is served, and that of the backup too where there is no
// witness, and else is not: who is passive must not be made to serve by clients that reach nobody
// else.
static bool
live_apart(struct drill_stage *stage, struct sides *sides)
{
    struct wanted wanted = {.sides = sides, .side = stage->pair.serving};
    // What was on its way has come.
    if (!drill_pass_time(stage, drill_pair_long_ms(stage)))
        return false;
    count_answers(stage, sides);
    if (!drill_until(stage, is_served, &wanted, DRILL_START_MS, "the primary's side is answered") ||
        !drill_pass_time(stage, drill_pair_attempt_ms(stage)))
        return false;
    wanted.side = !stage->pair.serving;
    if (stage->settings.is_classic)
        return drill_until(stage, is_served, &wanted, DRILL_START_MS,
                           "the backup's side is answered");
    if (has_answers(stage, sides, !stage->pair.serving, 1))
        return drill_fail(stage, "the side of the passive half is answered");
    return true;
}

static void
run_sides(struct drill_stage *stage, struct sides *sides)
{
    if (!drill_pair_open(stage, true) || !open_sides(stage, sides))
        return;
    part(stage, sides, &silent);
    bool has_lived = live_apart(stage, sides);
    drill_harm(stage); // what is to be recovered from is over now
    stage->pair.counts_from_harm = true;
    part(stage, sides, &none);
    if (has_lived)
        come_together(stage);
}

void
drill_clients_on_each_side(struct drill_stage *stage)
{
    struct sides sides = {.first_load = {0}};
    run_sides(stage, &sides);
    drill_end_loads(stage);
    for (int side = 0; side < DRILL_HALVES; side++)
        for (int half = 0; half < DRILL_HALVES; half++)
            fault_proxy_destroy(&sides.ways[side][half]);
}
