// store_files.h - the small files that stand beside a store.
//
// PATH.anchor  how far the store had come; what SQLite's recovery drops without a word shows
//              here
// PATH.fault   what went wrong with the storage, a line each, for the next start
// PATH.ballast bytes that are given back when the disk is full, so that closes still fit

#ifndef GALLEON_STORE_STORE_FILES_H
#define GALLEON_STORE_STORE_FILES_H

#include "store.h"

enum { STORE_PATH_BYTES_MAX = 4096, ANCHOR_HEAD_BYTES = 32 };

// ---- the anchor ----------------------------------------------------------------------

struct store_anchor {
    uint64_t incarnation;
    uint64_t changes; // the store has had so many
    uint8_t head[ANCHOR_HEAD_BYTES];
};

// Two slots of 64 bytes, written in turn: a torn write leaves the other. -1: it failed.
int anchor_open(const char *path);
int anchor_open_to_read(const char *path); // it makes none
// anchor_read is the newer of the slots that are whole; false: there is none. *slot_out is
// the one to write next.
bool anchor_read(int fd, struct store_anchor *anchor_out, unsigned *slot_out);
// anchor_write writes the slot and syncs it, and goes on to the other.
bool anchor_write(int fd, unsigned *slot, const struct store_anchor *anchor);

// ---- faults --------------------------------------------------------------------------

enum fault_history {
    FAULT_NONE,
    FAULT_NOTED, // since the last time that the store was checked
    FAULT_TWICE  // within ten minutes: an operator has to look
};

// fault_note adds a line, and does what it can to keep it.
void fault_note(const char *path, uint64_t now_ms, const char *what);
// fault_checked notes that the store was looked at since, and is whole.
void fault_checked(const char *path, uint64_t now_ms);
enum fault_history fault_read(const char *path);

// fault_forget_cached drops what the kernel holds of a file: after a failed sync it may show
// what the disk lacks. Only before SQLite opens it.
void fault_forget_cached(const char *path);

// log_sync syncs what the process before wrote to the log and did not live to sync: this one
// sees it and tells of it, so no loss of power may take it away again. Only before SQLite opens
// it. False: the sync failed.
bool log_sync(const char *path);

// ---- room ----------------------------------------------------------------------------

// room_is_short says whether the disk has less left than a store needs to go on (`least`, 0
// being the default), with some more wanted where it was short before. What it cannot find out
// it takes for enough.
bool room_is_short(const char *path, uint64_t least, bool was_short);

void ballast_take(const char *path); // as much as there is room for, up to 64 MiB
void ballast_drop(const char *path);

#endif
