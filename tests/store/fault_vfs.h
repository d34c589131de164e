// fault_vfs.h - SQLite's file layer, failing on request.

#ifndef GALLEON_FAULT_VFS_H
#define GALLEON_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULT_VFS_NAME "galleon-fault"

enum fault_call { FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_CALLS };

// Which calls fail, and how. All zero: none.
struct fault_plan {
    uint64_t fail_at[FAULT_CALLS]; // the Nth call of this kind from now on; 0: none
    int code[FAULT_CALLS];         // with this
    bool for_ever;                 // and all behind it
    uint64_t bytes_max;            // no file may grow beyond this; 0: any size
    bool is_read_only;
};

extern struct fault_plan fault_plan;

// fault_vfs_start makes it known to SQLite, and forgets what was counted.
void fault_vfs_start(void);
// fault_vfs_count is how many calls of this kind there were since the start.
uint64_t fault_vfs_count(enum fault_call call);

#endif
