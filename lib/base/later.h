// later.h - a time added to a time; UINT64_MAX is never, and stays it.

#ifndef GALLEON_LATER_H
#define GALLEON_LATER_H

#include <stdint.h>

static inline uint64_t
later_ns(uint64_t from_ns, uint64_t by_ns)
{
    return by_ns > UINT64_MAX - from_ns ? UINT64_MAX : from_ns + by_ns;
}

#endif
