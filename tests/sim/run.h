// run.h - one seed, from its beginning to its end.

#ifndef GALLEON_RUN_H
#define GALLEON_RUN_H

#include "world.h"

struct outcome {
    bool has_failed;
    char reason[REASON_BYTES];
    uint64_t hash;
    uint64_t events;
    uint64_t calls;
    uint64_t end_ns; // virtual
    uint64_t failed_at_ns;
    uint32_t marks[MARKS];
};

// run_once lets a seed run. `fill` is what memory is full of that nobody has written yet.
void run_once(const struct options *options, uint8_t fill, struct outcome *outcome_out);
// run_twice lets it run twice, and fails where the traces differ (W2).
void run_twice(const struct options *options, struct outcome *outcome_out);

// run_shrink makes the options of a failing seed smaller as long as the same invariant does
// not hold; *outcome_io is what fails, then what still does.
void run_shrink(struct options *options_io, struct outcome *outcome_io);

#endif
