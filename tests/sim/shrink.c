// shrink.c - the smallest world that still fails.
//
// A smaller world may fail in another way. Then it is no smaller form of this failure: who
// mends what it shows has not mended what was found. So the invariant has to be the same.
// What is switched off stays off where the seed still fails, so one pass over everything is
// enough for most, and a second one for the rest.

#include "run.h"

#include <string.h>

enum { PASSES = 2 };

// is_same: is it the same invariant that does not hold? A reason begins with its name.
static bool
is_same(const struct outcome *a, const struct outcome *b)
{
    size_t size = strcspn(a->reason, ":");
    return strcspn(b->reason, ":") == size && strncmp(a->reason, b->reason, size) == 0;
}

// still_fails keeps the smaller options where they fail in the same way.
static bool
still_fails(struct options *options_io, const struct options *smaller, struct outcome *outcome_io)
{
    struct outcome outcome;
    run_twice(smaller, &outcome);
    if (!outcome.has_failed || !is_same(&outcome, outcome_io))
        return false;
    *options_io = *smaller;
    *outcome_io = outcome;
    return true;
}

static void
shrink_number(struct options *options_io, uint32_t *number_of_options, uint32_t least,
              struct outcome *outcome_io)
{
    size_t offset = (size_t)((uint8_t *)number_of_options - (uint8_t *)options_io);
    for (uint32_t try = least; try < *number_of_options; try++) {
        struct options smaller = *options_io;
        memcpy((uint8_t *)&smaller + offset, &try, sizeof try);
        if (still_fails(options_io, &smaller, outcome_io))
            return;
    }
}

static void
shrink_faults(struct options *options_io, struct outcome *outcome_io)
{
    struct plan plan;
    swarm_draw(&plan, options_io);
    for (int i = 0; i < FAULTS; i++) {
        struct options smaller = *options_io;
        smaller.faults_off |= (uint64_t)1 << i;
        if (plan.has[i])
            (void)still_fails(options_io, &smaller, outcome_io);
    }
}

// shrink_time ends the trouble earlier: where it fails, before, or at half of it.
static void
shrink_time(struct options *options_io, struct outcome *outcome_io)
{
    uint64_t end_ms = outcome_io->end_ns / 1000000 + 1;
    for (int i = 0; i < 6 && end_ms > 1; i++, end_ms /= 2) {
        struct options smaller = *options_io;
        smaller.trouble_ms = end_ms;
        if (options_io->trouble_ms != 0 && end_ms >= options_io->trouble_ms)
            continue;
        if (!still_fails(options_io, &smaller, outcome_io))
            break;
    }
}

void
run_shrink(struct options *options_io, struct outcome *outcome_io)
{
    for (int pass = 0; pass < PASSES; pass++) {
        shrink_time(options_io, outcome_io);
        shrink_number(options_io, &options_io->brokers_max, 1, outcome_io);
        shrink_number(options_io, &options_io->clients_max, 1, outcome_io);
        shrink_number(options_io, &options_io->workers_max, 0, outcome_io);
        shrink_faults(options_io, outcome_io);
    }
}
