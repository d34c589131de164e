// crash_work.h - batches of operations as a seed says, with what should come of each.

#ifndef GALLEON_CRASH_WORK_H
#define GALLEON_CRASH_WORK_H

#include "crash_check.h"
#include "crash_disk.h"
#include "store.h"

enum { WORK_OPS_MAX = 64 };

struct work_op {
    struct durable_op op;
    struct durable_body *body;
    char key[MODEL_TEXT_BYTES];
    char reason[MODEL_TEXT_BYTES];
    enum durable_outcome outcome; // that should be
    struct request_id id;         // SUBMIT: that should be
    struct model_body reply;      // FETCH: that should be, where the state is DONE
    enum durable_state state;
    size_t found; // RETRY, CANCEL, PURGE: so many changed
};

struct work {
    struct prng prng;
    uint32_t numbers; // given to bodies, ids and keys
    uint64_t seq_max; // of what was acknowledged
    size_t count;
    struct work_op ops[WORK_OPS_MAX];
};

void work_init(struct work *self, uint64_t seed);

// work_make makes a batch, and does to the model what it should do to the store. A flood is of
// large bodies, which make the log long enough to be copied.
void work_make(struct work *self, struct model *model, bool is_flood);

// work_check compares what came of a batch that was committed, and notes the seqs.
bool work_check(struct work *self, struct model *model, char why[CHECK_WHY_BYTES]);

void work_forget(struct work *self); // what the batch has

#endif
