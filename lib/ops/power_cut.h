// power_cut.h - the loss of power, as the files of a folder would show it.
//
// Of a process that ran with an undo_log.h and is dead now. Each write that no sync covers is
// dropped, kept, or kept in part, by sectors of 512 bytes; each truncation, and each name that came
// or went since the folder was synced, is dropped or kept. A seed says which. The files are then as
// the disk would have them, and what they have is on it: the log is gone.

#ifndef GALLEON_POWER_CUT_H
#define GALLEON_POWER_CUT_H

#include <stdint.h>

// What was pending when the power went, and what became of it.
struct power_cut {
    uint32_t pending; // writes, truncations and names
    uint32_t dropped;
    uint32_t torn;
};

// power_cut returns 0 or an errno: ENOENT where there is no log.
int power_cut(const char *folder, uint64_t seed, struct power_cut *result_out);

#endif
