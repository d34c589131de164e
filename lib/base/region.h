// region.h - cut one piece of memory into the parts of a core.
//
// A core says how much memory it needs and is handed it in one piece. The same
// code that sums the sizes cuts the pieces: with no memory it only counts.

#ifndef GALLEON_REGION_H
#define GALLEON_REGION_H

#include <stddef.h>
#include <stdint.h>

struct region {
    uint8_t *memory; // NULL: count only
    size_t used;
};

// region_cut returns the next piece, aligned for anything, NULL when counting.
static inline void *
region_cut(struct region *self, size_t bytes)
{
    size_t start = (self->used + 63) / 64 * 64;
    self->used = start + bytes;
    return self->memory == NULL ? NULL : self->memory + start;
}

#endif
