// crash_memory.h - SQLite's allocations, of which some fail.

#ifndef GALLEON_CRASH_MEMORY_H
#define GALLEON_CRASH_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct memory_fault {
    uint64_t at; // the how manieth allocation fails; 0: none
    bool is_for_ever;
};

// crash_memory_install stands between SQLite and its memory; before SQLite is used.
void crash_memory_install(void);

// crash_memory_fail counts from now on; NULL: no allocation fails.
void crash_memory_fail(const struct memory_fault *fault);
uint64_t crash_memory_faults(void); // that have happened since

#endif
