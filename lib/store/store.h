// store.h - where durable requests are kept, whatever keeps them.
//
// A store applies operations (durable.h) in order, a batch in one transaction. When
// store_apply has said STORE_COMMITTED, what the operations say of themselves is true
// and stays true whatever crashes; before that nobody may be told. Nothing here has a
// thread or a clock: the writer (shell/store_writer.h) is the one thread that calls,
// and the times are in the operations.
//
// A store never chooses to be less than it promised: what it cannot keep it refuses,
// and when it cannot know whether something was kept it says STORE_DOUBT, after which it
// is of no more use but to be closed.

#ifndef GALLEON_STORE_H
#define GALLEON_STORE_H

#include "durable.h"

enum {
    STORE_ERROR_BYTES = 256,
    STORE_KEY_BYTES = 64, // of an Ed25519 secret key
    STORE_BATCH_OPS_MAX = 1024
};

enum store_result {
    STORE_COMMITTED,
    STORE_FULL,  // no room: all of the batch was rolled back; closes may still fit
    STORE_RETRY, // no memory: all of the batch was rolled back, and nothing else is wrong
    STORE_DOUBT, // a sync or a commit failed: kept or not, nobody knows (exit 75)
    STORE_FAULT  // damaged or read-only: only an operator can mend it
};

struct store_options {
    const char *path;    // of the database; its lock, anchor and fault note stand beside it
    bool is_relaxed;     // acknowledge what only the operating system has
    bool waits_for_lock; // --standby
    bool has_audit;
    const uint8_t *audit_key;  // STORE_KEY_BYTES, or NULL: the chain is not signed
    bool anchors_every_commit; // else the caller calls store_anchor now and then
    uint64_t retain_ms;        // answers that nobody closed, and keys
    uint64_t free_bytes_min;   // nothing new with less of the disk; 0: 512 MiB, or a tenth of it
                               // where that is less
    uint64_t wall_ms;          // the wall clock now
    const char *vfs;           // SQLite's file layer by name; NULL: the system's. For tests
    // Called again and again while it waits for the lock; false: stop waiting. May be NULL.
    bool (*goes_on_waiting)(void *context);
    void *context;
};

struct store_info {
    char store_id[33]; // hex
    uint32_t schema;
    uint64_t incarnation;
    bool is_relaxed;
    bool has_audit;
    uint64_t clock_ms; // the store's clock: at least this
    uint64_t pending, done, dead, closed, expired;
    uint64_t file_bytes, log_bytes;
    uint64_t audit_count;
    uint64_t commits, checkpoints;
    bool has_room; // for what is new
};

// Why a store was not opened, or what is wrong with it.
struct store_error {
    enum store_result result; // DOUBT: another start may do; FAULT: it needs an operator
    bool is_storage;          // DOUBT: a read, a write or a sync failed. What was written last is
                              // not known (exit 75)
    bool is_locked;           // another process has it
    int pid;                  // that one; 0: unknown
    char text[STORE_ERROR_BYTES];
};

struct store;

// What a kind of store does; the functions below are for callers.
struct store_class {
    const char *name;
    enum store_result (*apply)(struct store *self, struct durable_op *const *ops, size_t count);
    enum store_result (*idle)(struct store *self, uint64_t now_ms, bool *has_more_out);
    enum store_result (*anchor)(struct store *self);
    enum store_result (*backup)(struct store *self, const char *path, bool *is_done_out);
    void (*info)(struct store *self, struct store_info *info_out);
    const char *(*error)(const struct store *self);
    void (*close)(struct store *self);
};

struct store {
    const struct store_class *class;
};

// store_open_sqlite opens or makes the database; the sequence is in docs/operating/titanic.md.
// NULL, and *error_out says why.
struct store *store_open_sqlite(const struct store_options *options, struct store_error *error_out);

// store_open_memory keeps everything in memory: for tests, as what a store should do.
struct store *store_open_memory(const struct store_options *options, struct store_error *error_out);

// store_close makes what was committed as short to open as it can, and lets go of the lock.
// What was committed is safe without it.
static inline void
store_close(struct store *self)
{
    self->class->close(self);
}

// store_apply does the operations in order, in one transaction, and fills in what came of
// them. Whatever it returns, an operation's reply and found are the caller's. Where it does
// not return STORE_COMMITTED every operation's outcome is DURABLE_REFUSED.
// Where room is short a batch is committed all the same, and its submits alone are refused.
// After STORE_FAULT of a store that can be read but not written, batches that only read go on.
static inline enum store_result
store_apply(struct store *self, struct durable_op *const *ops, size_t count)
{
    return self->class->apply(self, ops, count);
}

// store_idle does a slice of what can wait: checkpoints, what has passed its time, free
// pages. It takes a few milliseconds at most. *has_more_out: call again when there is nothing
// better to do. It is also to be called after each batch, whatever came of that. STORE_FULL
// and STORE_RETRY mean that nothing was done and nothing is wrong; the rest is as for a batch.
static inline enum store_result
store_idle(struct store *self, uint64_t now_ms, bool *has_more_out)
{
    return self->class->idle(self, now_ms, has_more_out);
}

// store_anchor notes beside the store how far it has come, and syncs the note.
static inline enum store_result
store_anchor(struct store *self)
{
    return self->class->anchor(self);
}

// store_backup copies a slice of the store to a new file; call until it is done. STORE_FULL:
// the copy was given up, and the store is as well as it was; store_error says why.
static inline enum store_result
store_backup(struct store *self, const char *path, bool *is_done_out)
{
    return self->class->backup(self, path, is_done_out);
}

// store_backup_tidy removes what is left in a folder of copies that were cut off: NAME.db.part,
// but for those that a process is making.
void store_backup_tidy(const char *folder);

static inline void
store_info(struct store *self, struct store_info *info_out)
{
    self->class->info(self, info_out);
}

// store_error says what was wrong when a function last returned something bad.
static inline const char *
store_error(const struct store *self)
{
    return self->class->error(self);
}

// store_rows_free frees what an operation found, NULL being nothing, with the bodies that
// nobody has taken out of it.
void store_rows_free(struct durable_rows *rows);

#endif
