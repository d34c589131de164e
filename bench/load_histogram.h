// load_histogram.h - how often each latency was seen.
//
// Buckets grow with the value: 128 to each power of two, so a percentile is
// within one percent of the truth, whatever its size, and noting one costs a few
// instructions. Nothing is stored for each request.

#ifndef GALLEON_LOAD_HISTOGRAM_H
#define GALLEON_LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
    LOAD_HISTOGRAM_STEP_BITS = 7,
    LOAD_HISTOGRAM_STEPS = 1 << LOAD_HISTOGRAM_STEP_BITS,
    LOAD_HISTOGRAM_BUCKETS = (64 - LOAD_HISTOGRAM_STEP_BITS + 1) * LOAD_HISTOGRAM_STEPS
};

struct load_histogram {
    uint64_t counts[LOAD_HISTOGRAM_BUCKETS];
    uint64_t total;
};

void load_histogram_note(struct load_histogram *self, uint64_t value);
void load_histogram_add(struct load_histogram *self, const struct load_histogram *other);

// load_histogram_at is the value that `share` (0 to 1) of all are at most; 0
// where there are none.
uint64_t load_histogram_at(const struct load_histogram *self, double share);

#endif
