// undo_log.h - what the files of a folder were before each change that no sync covers.
//
// Beside FOLDER stands FOLDER.undo: the file `log`, and a link to each file whose name went. Before
// a file is changed the bytes that go are written there; when it was synced, that is written there
// too. Nothing of it is ever synced: it is about processes that die on a machine that does not.
// power_cut.h takes from it what a disk could have lost.
//
// A file is its inode, so a log can be carried on by another process. One process at a time has
// it, and calls none of these from two threads at once. Each returns 0 or an errno.

#ifndef GALLEON_UNDO_LOG_H
#define GALLEON_UNDO_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { UNDO_MAGIC = 0x756e646f, UNDO_PATH_BYTES = 512, UNDO_NAME_BYTES = 256 };

enum undo_kind {
    UNDO_WRITE = 1,
    UNDO_RESIZE,
    UNDO_SYNC,
    UNDO_CREATE,
    UNDO_REMOVE,
    UNDO_RENAME,
    UNDO_SYNC_NAMES
};

// What the log is a list of. Behind each stand `bytes` further ones: of a write or a resize what
// the file had there; of a name that name, of a renaming both, each with a NUL.
struct undo_entry {
    uint32_t magic;
    uint32_t kind;
    uint64_t file;     // its inode
    uint64_t at;       // of a write; the size after a resize; how far in the log a sync reaches
    uint64_t size;     // bytes written
    uint64_t old_size; // of the file
    uint64_t old_file; // that had the new name before a renaming; 0: none
    uint64_t bytes;
};

struct undo_log {
    int fd;
    int folder_fd;
    int kept_fd; // FOLDER.undo
    dev_t device;
    ino_t folder;
    uint64_t size;
};

// undo_log_open carries on the log of a folder, or begins it; the folder has to be there.
int undo_log_open(struct undo_log *self, const char *folder);
void undo_log_close(struct undo_log *self);

// undo_log_remove removes FOLDER.undo, where it is there: what the folder has is what it had.
void undo_log_remove(const char *folder);

// Before the change. `fd` is one of the file, whatever it was opened for.
int undo_log_write(struct undo_log *self, int fd, uint64_t at, uint64_t size);
int undo_log_resize(struct undo_log *self, int fd, uint64_t size);
int undo_log_remove_name(struct undo_log *self, const char *name);
int undo_log_rename(struct undo_log *self, const char *from, const char *to);

// undo_log_strike takes back what was added since the log was so long: it was not done.
void undo_log_strike(struct undo_log *self, uint64_t size);

// After it: the file was not there before.
int undo_log_create(struct undo_log *self, int fd, const char *name);

// After a sync that went well, which covers what was in the log when it was as long as `size`.
int undo_log_sync(struct undo_log *self, int fd, uint64_t size);
int undo_log_sync_names(struct undo_log *self, uint64_t size);

#endif
