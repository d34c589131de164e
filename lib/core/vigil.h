// vigil.h - what a worker may make of its server's silence.
//
// heartbeat.h knows one interval. A server that tells none may have a longer one than we, so
// it is given the patience of the longest gap that it has shown while it had to speak; and it
// may beat idle workers only, as the Guide's do, so while a request of its is with us its
// silence means nothing.
//
// A plain value: no heap, no clock.

#ifndef GALLEON_VIGIL_H
#define GALLEON_VIGIL_H

#include <galleon/heartbeat.h>
#include <stdbool.h>

struct vigil {
    heartbeat_t beat;
    uint64_t interval_ns; // ours
    uint32_t liveness;
    uint64_t shown_ns; // the server's interval, as far as it is known
    bool was_held;     // a request was here since the server was last judged
};

// vigil_begin begins with a connection: nothing is known of the server.
void vigil_begin(struct vigil *self, uint64_t interval_ns, uint32_t liveness, uint64_t now_ns);

// vigil_measure: the server speaks now. How long it was silent is its interval, or less, where
// it had to speak all the time, and we were looking: back_ns is since when.
void vigil_measure(struct vigil *self, uint64_t back_ns, uint64_t now_ns);

// vigil_hold: a request is here. vigil_let_go: none is, and from now on the server has to beat.
void vigil_hold(struct vigil *self);
void vigil_let_go(struct vigil *self, uint64_t now_ns);

// vigil_check and vigil_deadline are heartbeat.h's; where the server's silence means nothing
// (is_judged is false), only our own turn to speak counts.
heartbeat_verdict_t vigil_check(struct vigil *self, bool is_judged, uint64_t now_ns);
uint64_t vigil_deadline(const struct vigil *self, bool is_judged);

#endif
