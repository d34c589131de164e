// clock.c - the one place that reads a clock.

#include "clock.h"

#include <galleon/status.h>

#include <time.h>

// CLOCK_BOOTTIME goes on while the machine is suspended: what is due after the
// pause is due then, and not a night later.
#ifdef CLOCK_BOOTTIME
#define CLOCK_OURS CLOCK_BOOTTIME
#else
#define CLOCK_OURS CLOCK_MONOTONIC
#endif

uint64_t
galleon_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_OURS, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool
clock_counts_suspension(void)
{
#ifdef CLOCK_BOOTTIME
    struct timespec tick;
    return clock_getres(CLOCK_BOOTTIME, &tick) == 0;
#else
    return false;
#endif
}
