// frames.h - the input of a fuzz target as a message.
//
// Frames, each a length of two bytes in network order and that many bytes, the last as long as
// the input is. Each has a block of its own, of its size, so that a read past it is seen.

#ifndef GALLEON_FRAMES_H
#define GALLEON_FRAMES_H

#include "bytes.h"
#include "must.h"
#include "view.h"

#include <stdlib.h>

enum { FUZZ_FRAMES_MAX = 300 };

struct fuzz_frames {
    struct view frames[FUZZ_FRAMES_MAX];
    uint8_t *blocks[FUZZ_FRAMES_MAX];
    size_t count;
};

// fuzz_frames_split takes at most so many; what is beyond them is left out.
static inline void
fuzz_frames_split(struct fuzz_frames *self, struct view input, size_t most)
{
    must(most <= FUZZ_FRAMES_MAX);
    self->count = 0;
    while (input.size >= 2 && self->count < most) {
        size_t size = bytes_get16(input.data);
        input = view_skip(input, 2);
        if (size > input.size)
            size = input.size;
        uint8_t *block = malloc(size + 1);
        must(block != NULL);
        if (size > 0)
            memcpy(block + 1, input.data, size);
        self->blocks[self->count] = block;
        self->frames[self->count++] = view_of(block + 1, size);
        input = view_skip(input, size);
    }
}

static inline void
fuzz_frames_release(struct fuzz_frames *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->blocks[i]);
}

#endif
