// crash_life.h - the life of one store: work, a crash, a look at what is left, and on.

#ifndef GALLEON_CRASH_LIFE_H
#define GALLEON_CRASH_LIFE_H

#include "crash_check.h"
#include "crash_vfs.h"

struct life_options {
    uint64_t seed;
    uint32_t rounds; // each ends with a crash, or with a fault
    const char *folder;
    struct disk_fault fault; // instead of the crashes: from the first round on
    uint32_t steps_max;      // of a round; 0: until it crashes
};

struct life_result {
    uint32_t rounds;
    uint64_t operations; // of the disk
    uint64_t acknowledged;
    uint64_t faults; // that have happened
    char why[CHECK_WHY_BYTES + 128];
};

// crash_life_run returns whether nothing was wrong; where something was, `why` says it, and the
// folder holds the files.
bool crash_life_run(const struct life_options *options, struct life_result *result_out);

// crash_life_leave works for so many steps, then crashes, or closes the store where the seed
// says so. The folder holds the files, the model what should be in them.
bool crash_life_leave(const struct life_options *options, struct model *model_out,
                      struct life_result *result_out);

#endif
