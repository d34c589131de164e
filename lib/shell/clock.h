// clock.h - the wall clock, for people and horizons.
//
// Whatever waits does so on galleon_now_ns's clock. The wall clock is read once, when a store
// is opened: what was written before a restart knows no other.

#ifndef GALLEON_CLOCK_H
#define GALLEON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_wall_ms(void);

// clock_counts_suspension: does galleon_now_ns go on while the machine is suspended?
bool clock_counts_suspension(void);

#endif
