// making.h - what every class does when it is made: defaults, bounds, memory for its core.

#ifndef GALLEON_MAKING_H
#define GALLEON_MAKING_H

#include <stdint.h>
#include <stdlib.h>

// An option of 0 means its default.
static inline uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static inline uint64_t
or_default_64(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static inline uint32_t
at_most(uint32_t value, uint32_t most)
{
    return value < most ? value : most;
}

// core_memory is zeroed and begins on a cache line; *to_free is what free() takes. NULL where
// there is none. calloc, so that a large core costs only the pages it touches.
static inline void *
core_memory(size_t bytes, void **to_free)
{
    enum { CACHE_LINE = 64 };
    *to_free = calloc(1, bytes + CACHE_LINE);
    if (*to_free == NULL)
        return NULL;
    uintptr_t beyond = (uintptr_t)*to_free % CACHE_LINE;
    return (char *)*to_free + (beyond == 0 ? 0 : CACHE_LINE - beyond);
}

#endif
