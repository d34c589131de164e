// bstar_lease.c - by the core's own arithmetic.

#include "bstar_lease.h"

#include "bstar_core.h"

uint32_t
bstar_lease_ms_min(void)
{
    struct bstar_config config;
    uint32_t lease_ms = 0;
    do
        bstar_config_init(&config, BSTAR_GUARDED, true, false, 0, 0, ++lease_ms);
    while (config.valid_ns <= 2 * config.round_ns);
    return lease_ms;
}
