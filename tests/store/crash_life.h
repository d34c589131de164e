// crash_life.h - the life of one store: work, a crash, a look at what is left, and on.

#ifndef GALLEON_CRASH_LIFE_H
#define GALLEON_CRASH_LIFE_H

#include "crash_check.h"
#include "crash_memory.h"
#include "crash_vfs.h"

struct life_options {
    uint64_t seed;
    uint32_t rounds; // each ends with a crash, or with a fault
    const char *folder;
    struct disk_fault fault; // of the first round; no kinds: as the seed says
    struct memory_fault no_memory;
    uint32_t flips; // of what is left, each alone; then there are neither faults nor more rounds
};

struct life_result {
    uint32_t rounds;
    uint64_t operations; // of the disk
    uint64_t acknowledged;
    uint64_t faults; // that have happened
    // What came of damage: the store was right all the same, it refused, it lied and had told no
    // anchor of what it lost, or the database lied: SQLite's pages have no checksum. All other
    // lies are failures.
    uint64_t flips_right, flips_refused, flips_in_window;
    char why[CHECK_WHY_BYTES + 128];
};

// crash_life_run returns whether nothing was wrong; where something was, `why` says it, and the
// folder holds the files.
bool crash_life_run(const struct life_options *options, struct life_result *result_out);

#endif
