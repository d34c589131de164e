// lazy_wire.c - one frame, or two.

#include "lazy_wire.h"

#include "bytes.h"

void
lazy_wire_head(struct lazy_head *self, bool has_id, uint32_t id)
{
    self->frame_count = 0;
    if (has_id) {
        bytes_put32(self->id, id);
        self->frames[self->frame_count++] = view_of(self->id, sizeof self->id);
    }
    self->frames[self->frame_count++] = view_of("", 0);
}

size_t
lazy_wire_reply(const struct view *frames, size_t count, bool has_id, uint32_t *id_out)
{
    size_t at = 0;
    *id_out = 0;
    if (has_id) {
        if (count == 0 || frames[0].size != LAZY_ID_BYTES)
            return 0;
        *id_out = bytes_get32(frames[0].data);
        at = 1;
    }
    // An envelope alone is not what a REQ socket would take for a reply either.
    if (at + 2 > count || frames[at].size != 0)
        return 0;
    return at + 1;
}
