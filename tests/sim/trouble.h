// trouble.h - what goes wrong, and when.

#ifndef GALLEON_TROUBLE_H
#define GALLEON_TROUBLE_H

#include "world.h"

// trouble_begin lets faults come at random times, of the kinds that the seed has.
void trouble_begin(struct world *world);
// trouble_end mends everything: nodes run, connections carry, nothing hangs.
void trouble_end(struct world *world);

#endif
