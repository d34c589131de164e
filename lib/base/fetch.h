// fetch.h - begin to load memory before it is needed.

#ifndef GALLEON_FETCH_H
#define GALLEON_FETCH_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_LINE_BYTES = 64 };

// fetch begins to load `bytes` bytes that will be written soon, and waits for nothing. Any
// address will do.
static inline void
fetch(const void *memory, size_t bytes)
{
    const uint8_t *line = memory;
    for (size_t at = 0; at < bytes; at += CACHE_LINE_BYTES)
        __builtin_prefetch(line + at, 1);
    // GCC takes a function that does nothing but prefetch for one without effect, and
    // leaves out the calls of it. This it cannot see through.
    __asm__ volatile("");
}

#endif
