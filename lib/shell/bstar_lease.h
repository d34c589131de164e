// bstar_lease.h - how short a lease may be.

#ifndef GALLEON_BSTAR_LEASE_H
#define GALLEON_BSTAR_LEASE_H

#include <stdint.h>

// bstar_lease_ms_min is the least lease that is worth asking for: what its margin and the drift of
// clocks leave of it has to bear that one renewal is lost.
uint32_t bstar_lease_ms_min(void);

#endif
