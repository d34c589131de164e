// planted_broker.c - the switch of the planted bugs, in a broker of its own: GALLEON_PLANT.

#include "planted.h"

#include <stdlib.h>

uint32_t planted_number;

__attribute__((constructor)) static void
switch_on(void)
{
    const char *number = getenv("GALLEON_PLANT");
    planted_number = number == NULL ? 0 : (uint32_t)strtoul(number, NULL, 10);
}
