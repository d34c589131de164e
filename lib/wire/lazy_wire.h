// lazy_wire.h - the envelope of a plain request: what a REQ socket writes in front of a body.
//
//     [""][body]+             what any REP, and any ROUTER of the Guide, takes
//     [4-byte id][""][body]+  the same as by ZMQ_REQ_CORRELATE
//
// A REP, and a ROUTER that gives back what stands in front of the empty frame, return the id.
// A queue that takes the frame after the routing id for the empty one breaks on it.
//
// Spec: docs/protocol/pirates.md

#ifndef GALLEON_LAZY_WIRE_H
#define GALLEON_LAZY_WIRE_H

#include "view.h"

enum { LAZY_ID_BYTES = 4, LAZY_HEAD_FRAMES_MAX = 2 };

struct lazy_head {
    struct view frames[LAZY_HEAD_FRAMES_MAX]; // one may point into *self
    size_t frame_count;
    uint8_t id[LAZY_ID_BYTES];
};

// lazy_wire_head makes the frames in front of a body.
void lazy_wire_head(struct lazy_head *self, bool has_id, uint32_t id);

// lazy_wire_reply is the place of the first frame of a reply's body, 0 where it is no reply:
// the envelope is another, or there is no body. *id_out is 0 without an id.
size_t lazy_wire_reply(const struct view *frames, size_t count, bool has_id, uint32_t *id_out);

#endif
