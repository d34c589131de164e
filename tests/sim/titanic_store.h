// titanic_store.h - Titanic's store in the simulator: the model store, on a simulated disk.
//
// It does what store_writer.c does around a store: operations gather while a batch is under
// way, and what came of a batch is told when the disk has said that it is there. The store
// itself is the one in memory (lib/store/memory.c); a batch changes it when it is stowed, and
// not before. On the disk there is a log of the operations, which a start reads again: what is
// not there whole is not there.

#ifndef GALLEON_TITANIC_STORE_H
#define GALLEON_TITANIC_STORE_H

#include "audit_chain.h"
#include "disk.h"
#include "durable.h"
#include "store.h"

struct stowed { // an operation on its way
    struct durable_op op;
    struct list_node in_list;
    bool is_in_batch; // else it is refused
};

// What the store does of itself, as an operation in its log: it lets go of what has passed its
// time.
enum { STORE_SWEEP = DURABLE_OPS };

// titanic_store_replay_fn is told of each operation that is done again at a start, and of each
// STORE_SWEEP.
typedef void titanic_store_replay_fn(void *context, const struct durable_op *op);

// How far an audit chain has come (titanic_chain.c).
struct chain {
    uint64_t count; // of records
    struct audit_head head;
};

struct titanic_store {
    struct node *node;
    struct disk *disk;
    struct store *store;  // NULL: it is closed
    struct list waiting;  // operations for the next batch
    struct list syncing;  // of the batch that is under way
    struct list done;     // that are to be told
    uint64_t batch;       // on the disk; 0: none is under way
    bool is_second_try;   // of what fits on a full disk
    bool has_room;        // the last batch fitted, and there is some left
    bool is_short;        // there is little left: submits are refused before the disk does it
    bool is_faulty;       // only an operator can mend it: nothing changes any more
    bool is_unreadable;   // faulty, and what is there cannot be read
    bool is_in_doubt;     // nobody knows what is there: the process has to end
    uint64_t look_due_ns; // the world's time: is there room again?
    // What can wait: to let go of what has passed its time.
    uint64_t retain_ms;    // UINT64_MAX / 2: for ever
    uint64_t sweep_due_ms; // the store's clock
    bool is_sweeping;      // the batch that is under way
    struct durable_op sweep;
    // The audit chain: what is committed, with the batch under way, in the base, and anchored.
    struct chain chain, chain_next, chain_base;
    struct disk *anchors;
    uint64_t anchor_ns;     // between two
    uint64_t anchor_due_ns; // the world's time
    uint64_t anchoring;     // a batch on that disk; 0: none is under way
    uint64_t anchored;      // records
    bool was_anchored;      // since somebody looked
    struct list base;       // what was taken over from the log, the oldest first
    uint64_t lies_known;
    bool was_lied_to; // what it has now is less than what was promised
    // At a start: the records of a batch, until all are there.
    struct list gathered;
    uint64_t gathering;
    uint32_t gathered_count;
    titanic_store_replay_fn *replay;
    void *replay_context;
};

// titanic_store_new: an anchor_ms of 0 anchors every commit.
struct titanic_store *titanic_store_new(struct node *node, uint64_t retain_ms, uint64_t anchor_ms);
// titanic_store_open reads the log; what was stowed is done again.
void titanic_store_open(struct titanic_store *self, titanic_store_replay_fn *replay, void *context);
// titanic_store_crash is the end of the process: what was not stowed is lost, or not.
void titanic_store_crash(struct titanic_store *self);

void titanic_store_push(struct titanic_store *self, const struct durable_op *op);
// titanic_store_is_ahead: it was anchored just now, and the disk has only claimed to have all of
// it.
bool titanic_store_is_ahead(struct titanic_store *self);
// titanic_store_flush begins the next batch, where none is under way, or what can wait.
void titanic_store_flush(struct titanic_store *self, uint64_t now_ms);
// titanic_store_take takes the next operation that is committed; NULL: none. It is to be given
// back, with nothing left in it.
struct stowed *titanic_store_take(struct titanic_store *self);
void titanic_store_give(struct titanic_store *self, struct stowed *stowed);
// titanic_store_clock_ms is what the store's clock is at a start.
uint64_t titanic_store_clock_ms(const struct titanic_store *self);
uint64_t titanic_store_pending(const struct titanic_store *self);

// ---- titanic_chain.c --------------------------------------------------------------------

struct view titanic_store_id(void);
void chain_start(struct chain *self);
// chain_add goes on with an operation, and says what its record is.
struct view chain_add(struct chain *self, const struct durable_op *op,
                      uint8_t record[AUDIT_RECORD_BYTES_MAX]);
// anchor_read is the newest anchor that is whole.
struct chain anchor_read(const struct disk *disk);

#endif
