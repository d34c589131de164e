// step_clock.h - by how much the wall clock of some processes is off: a file that all of them map.

#ifndef GALLEON_STEP_CLOCK_H
#define GALLEON_STEP_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct step_clock {
    _Atomic int64_t ahead_s;
    _Atomic uint32_t processes; // that have mapped it
    _Atomic uint64_t readings;  // of their wall clocks
};

#endif
