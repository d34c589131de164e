// fence.h - the highest epoch that was seen of each pair, and what is below it.
//
// A lease alone cannot stop a half that checked it, slept, and then acts: who receives can. A
// worker refuses a request, and a client an answer, of an epoch below the highest it has seen
// of the same pair.
//
// A plain value: no heap, no clock. It begins as all zeros. The bound is what the brokers of one
// worker can be; beyond it the pair that was not heard of for longest is forgotten.

#ifndef GALLEON_FENCE_H
#define GALLEON_FENCE_H

#include "mdp_epoch.h"

enum { FENCE_PAIRS_MAX = 16 };

struct fence {
    struct mdp_epoch highest[FENCE_PAIRS_MAX]; // those heard of last come first
    uint32_t count;
};

enum fence_verdict {
    FENCE_SAME,   // the reign that is known
    FENCE_RAISED, // a newer one, or the first of its pair: what is of older ones is stale now
    FENCE_STALE   // an older one: nothing of it may have an effect
};

enum fence_verdict fence_judge(struct fence *self, const struct mdp_epoch *epoch);

#endif
