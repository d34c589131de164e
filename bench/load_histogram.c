// load_histogram.c - buckets that grow with the value.

#include "load_histogram.h"

// Values below LOAD_HISTOGRAM_STEPS have a bucket each; above, the seven bits
// behind the first say which of the 128 steps of its power of two it is.
static unsigned
bucket_of(uint64_t value)
{
    if (value < LOAD_HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - LOAD_HISTOGRAM_STEP_BITS;
    return shift * LOAD_HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

// middle_of is the value in the middle of a bucket.
static uint64_t
middle_of(unsigned bucket)
{
    if (bucket < 2 * LOAD_HISTOGRAM_STEPS)
        return bucket;
    unsigned shift = bucket / LOAD_HISTOGRAM_STEPS - 1;
    uint64_t step = bucket % LOAD_HISTOGRAM_STEPS + LOAD_HISTOGRAM_STEPS;
    return (step << shift) + ((uint64_t)1 << (shift - 1));
}

void
load_histogram_note(struct load_histogram *self, uint64_t value)
{
    self->counts[bucket_of(value)]++;
    self->total++;
}

void
load_histogram_add(struct load_histogram *self, const struct load_histogram *other)
{
    for (unsigned i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++)
        self->counts[i] += other->counts[i];
    self->total += other->total;
}

uint64_t
load_histogram_at(const struct load_histogram *self, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)self->total);
    uint64_t seen = 0;
    for (unsigned i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
        seen += self->counts[i];
        if (seen > wanted)
            return middle_of(i);
    }
    return 0;
}
