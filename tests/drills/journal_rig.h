// journal_rig.h - a journal of a drill's workers, in a file of its own.

#ifndef GALLEON_JOURNAL_RIG_H
#define GALLEON_JOURNAL_RIG_H

#include "../../clients/drills/drill.h"

struct journal_rig {
    char path[64];
    struct drill_journal *journal;
};

void journal_rig_open(struct journal_rig *self);
void journal_rig_close(struct journal_rig *self);

#endif
