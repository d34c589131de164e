// disk.h - a disk, as a store that writes a log sees it: batches go in, and some time later
// it is said what became of each.
//
// A batch is some records of bytes; what they mean is the store's business. Batches are
// written one after the other, in the order in which they were given. What was stowed
// survives every end of the process. What was still under way when the process ended may
// be there, may not be, or may be there in part: some whole records of it, and the
// beginning of one more, so that a store has to know its records by a sum. Nothing stands
// behind what was torn.
//
// What else a disk does wrong is the seed's choice (FAULT_DISK_...): it is slow, it says
// that a batch has failed and nobody knows whether it is there, it is full, or it lies: it
// says that a batch is stowed before it is.

#ifndef GALLEON_DISK_H
#define GALLEON_DISK_H

#include "list.h"
#include "view.h"
#include "world.h"

enum disk_result {
    DISK_STOWED,
    DISK_UNKNOWN, // it failed: it is there whole, or not at all
    DISK_FULL     // it is not there
};

// A disk says so once for each batch, in order, between two wakes of its node, and pokes
// it. It says nothing to a process that has ended since it gave the batch.
typedef void disk_done_fn(void *context, uint64_t batch, enum disk_result result);
typedef void disk_record_fn(void *context, struct view record);

struct disk {
    struct node *node; // whose it is
    disk_done_fn *done;
    void *context;
    struct list waiting; // batches, the oldest first
    struct list kept;    // records that are there, the oldest first
    uint64_t bytes;      // in them
    uint64_t last_batch; // that was given; batches count from 1
    uint64_t free_at_ns; // when the head is done with all that waits
    uint64_t lies;       // batches that were called stowed, and a crash has lost
};

// disk_new makes an empty disk, which lives as long as the world.
struct disk *disk_new(struct node *node, disk_done_fn *done, void *context);
// disk_submit gives a batch; the records are copied. Returns its number.
uint64_t disk_submit(struct disk *self, const struct view *records, size_t count);
// disk_crash is the end of the process, or of the machine: call it when the node is killed.
void disk_crash(struct disk *self);
// disk_read says all records that are there: what a process finds when it starts.
void disk_read(const struct disk *self, disk_record_fn *say, void *context);
// disk_trim lets go of everything up to a batch, which makes room.
void disk_trim(struct disk *self, uint64_t batch);

#endif
