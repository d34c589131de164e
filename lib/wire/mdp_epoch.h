// mdp_epoch.h - whose reign a record belongs to: the field `epoch` of MDP/G1.
//
// Spec: docs/protocol/mdp-g1.md

#ifndef GALLEON_MDP_EPOCH_H
#define GALLEON_MDP_EPOCH_H

#include "view.h"

struct mdp_epoch {
    uint64_t pair;   // whose
    uint64_t number; // which reign: it only grows
};

// mdp_epoch_find reads the first line `epoch: pair:number` of a record's fields; false where
// there is none, or that line is not of this form.
bool mdp_epoch_find(struct view fields, struct mdp_epoch *epoch_out);

#endif
