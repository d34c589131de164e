// prng.h - numbers that follow from a seed: jitter, nonces, tickets.
//
// SipHash under a key of its own, in counter mode: nobody who sees some of the
// numbers can tell the next. The same seed gives the same numbers, which is what
// makes a run repeatable.

#ifndef GALLEON_PRNG_H
#define GALLEON_PRNG_H

#include "siphash.h"

struct prng {
    struct siphash_key key;
    uint64_t counter;
};

static inline void
prng_init(struct prng *self, const uint8_t seed[32], uint64_t purpose)
{
    self->key = siphash_derive(seed, purpose);
    self->counter = 0;
}

static inline uint64_t
prng_next(struct prng *self)
{
    uint64_t counter = self->counter++;
    return siphash_pair(&self->key, counter, 0);
}

// prng_below is a number from 0 to bound - 1, 0 where bound is 0. (It multiplies
// and keeps the high half: the bias is below bound / 2^64.)
static inline uint64_t
prng_below(struct prng *self, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)prng_next(self) * bound) >> 64);
}

#endif
