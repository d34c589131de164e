// crash_disk.h - a disk that loses power.
//
// It is a folder of files in memory. What is written is seen by every read at once, and is on
// the disk only when the file is synced; names, too, come and go for good only when the folder
// is synced. Every write, truncation, sync, deletion and creation is counted. At the operation
// that was asked for the power goes: that one and all that follow fail. Then a seed decides for
// each thing that was pending whether it reached the disk: not at all, all of it, its first
// sectors of 512 bytes, or garbage in its place. What is left can be written out as real files,
// and the disk goes on from it.
//
// An operation can also fail with an error, once or from then on. A sync that fails forgets
// what was pending, as Linux does: reads still see it, the next sync succeeds, and it never
// reaches the disk.

#ifndef GALLEON_CRASH_DISK_H
#define GALLEON_CRASH_DISK_H

#include "prng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_kind {
    DISK_CREATE = 1,
    DISK_WRITE = 2,
    DISK_TRUNCATE = 4,
    DISK_SYNC = 8,
    DISK_DELETE = 16,
    DISK_OPEN = 32, // only to fail: it is no point where power goes
    DISK_READ = 64, // the same
    DISK_COUNTED = DISK_CREATE | DISK_WRITE | DISK_TRUNCATE | DISK_SYNC | DISK_DELETE
};

struct disk_fault {
    uint32_t kinds; // of the operations that are counted for it; 0: none
    uint64_t at;    // the how manieth of them fails
    bool is_for_ever;
    int error; // an errno; ENOSPC of a write: no room
};

struct crash_disk;
struct disk_file;

struct crash_disk *crash_disk_new(uint64_t seed);
void crash_disk_free(struct crash_disk *self);

// ---- trouble -----------------------------------------------------------------------

// crash_disk_crash_at makes the power go at the operation of that number; 0: never.
void crash_disk_crash_at(struct crash_disk *self, uint64_t operation);
void crash_disk_fail(struct crash_disk *self, const struct disk_fault *fault);
// crash_disk_lie makes syncs of files whose names end so do nothing; NULL: none.
void crash_disk_lie(struct crash_disk *self, const char *ending);

uint64_t crash_disk_operations(const struct crash_disk *self);
bool crash_disk_is_dead(const struct crash_disk *self);
// crash_disk_faults is how many have happened since they were asked for.
uint64_t crash_disk_faults(const struct crash_disk *self);

// crash_disk_settle ends a crash: what is on the disk is decided, and power is back. A disk
// whose power did not go loses it now. Open files are no longer of use but to be closed.
void crash_disk_settle(struct crash_disk *self);

// crash_disk_restart ends the process only: power was there all the time, and what is pending
// is still pending.
void crash_disk_restart(struct crash_disk *self);

// crash_disk_export makes `folder` hold what is seen on the disk, and nothing else.
bool crash_disk_export(const struct crash_disk *self, const char *folder);

// ---- files: 0 or an errno ------------------------------------------------------------

int crash_disk_open(struct crash_disk *self, const char *name, bool may_create,
                    struct disk_file **file_out, bool *is_new_out);
void crash_disk_close(struct disk_file *file);
bool crash_disk_exists(const struct crash_disk *self, const char *name);
int crash_disk_delete(struct crash_disk *self, const char *name);
int crash_disk_sync_names(struct crash_disk *self);

int disk_file_read(struct disk_file *file, void *data, size_t size, uint64_t at, size_t *got_out);
int disk_file_write(struct disk_file *file, const void *data, size_t size, uint64_t at);
int disk_file_truncate(struct disk_file *file, uint64_t size);
int disk_file_sync(struct disk_file *file);
// disk_file_drop_cache is POSIX_FADV_DONTNEED: reads see what the disk has.
void disk_file_drop_cache(struct disk_file *file);
uint64_t disk_file_size(const struct disk_file *file);

// crash_prng_init begins the numbers of a seed for one purpose.
void crash_prng_init(struct prng *prng, uint64_t seed, uint64_t purpose);

#endif
