// store_writer.h - the one thread that owns a store.
//
// Operations go in, in order; what came of them comes out in the same order, after the
// commit of the batch that they were in. While a batch is being synced the next one gathers
// by itself, so nothing ever waits for a batch to fill.

#ifndef GALLEON_STORE_WRITER_H
#define GALLEON_STORE_WRITER_H

#include "store.h"

#include <stdbool.h>

struct store_writer;

struct store_writer_options {
    struct store *store; // it is the thread's from now on, until store_writer_stop
    size_t ops_max;      // more are never handed over at a time
    uint64_t clock_ms;   // the store's clock at now_ns
    uint64_t now_ns;
    uint32_t anchor_ms; // between anchors; 0: the store does it itself
};

// store_writer_start returns NULL with errno where it cannot.
struct store_writer *store_writer_start(const struct store_writer_options *options);

// store_writer_stop commits what it has been handed, and ends the thread. What came of
// that is not told any more.
void store_writer_stop(struct store_writer **self_p);

// store_writer_backup begins to copy the store to a new file, in slices, while it serves. Not
// while another copy is made. What became of it stands in the state.
void store_writer_backup(struct store_writer *self, const char *path);

// store_writer_push hands operations over.
void store_writer_push(struct store_writer *self, struct durable_op *const *ops, size_t count);

// store_writer_take takes the next operations that are committed, at most `room`.
size_t store_writer_take(struct store_writer *self, struct durable_op **ops, size_t room);

// store_writer_fd is readable while there is something to take, or to be looked at.
// store_writer_hush takes the readiness; to be called before store_writer_take.
int store_writer_fd(const struct store_writer *self);
void store_writer_hush(struct store_writer *self);

enum store_writer_copy { COPY_NONE, COPY_GOES_ON, COPY_DONE, COPY_FAILED };

struct store_writer_state {
    enum store_result result;      // DOUBT, FAULT: it has stopped, and nothing more is committed
    bool has_room;                 // the store says so, and the last batch fitted
    char error[STORE_ERROR_BYTES]; // where something is wrong
    struct store_info info;        // of the last commit
    uint64_t commit_ns_last;       // how long a batch took, its sync with it
    uint64_t commit_ns_max;
    enum store_writer_copy copy;
    char copy_error[STORE_ERROR_BYTES];
    uint64_t backlog; // operations that wait
};

void store_writer_state(struct store_writer *self, struct store_writer_state *state_out);

#endif
