// back_off.c - a bound that doubles, and a number below it.

#include "back_off.h"

static const uint64_t ns_per_ms = 1000000;

uint64_t
back_off_draw_ns(struct back_off *self, struct prng *prng, uint32_t ms_min, uint32_t ms_max)
{
    uint64_t bound_ms = ms_min;
    for (uint32_t i = 0; i < self->failures && bound_ms < ms_max; i++)
        bound_ms *= 2;
    if (bound_ms > ms_max)
        bound_ms = ms_max;
    self->failures++;
    return prng_below(prng, bound_ms * ns_per_ms + 1);
}

void
back_off_forget(struct back_off *self)
{
    self->failures = 0;
}
