// back_off.h - how long a worker waits before its next connection.
//
// At once up to a bound that doubles with each connection that came to nothing, anywhere in
// between, so that workers that lost their server together do not come back together.
//
// A plain value: no heap, no clock. It begins as all zeros.

#ifndef GALLEON_BACK_OFF_H
#define GALLEON_BACK_OFF_H

#include "prng.h"

struct back_off {
    uint32_t failures; // in a row
};

// back_off_draw_ns draws the next wait: 0 to ms_min, to twice as much the next time, and so on,
// to ms_max at most.
uint64_t back_off_draw_ns(struct back_off *self, struct prng *prng, uint32_t ms_min,
                          uint32_t ms_max);

// back_off_forget: a connection has come to something.
void back_off_forget(struct back_off *self);

#endif
