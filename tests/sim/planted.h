// planted.h - which planted bug is on, for the copies of the cores that carry them.

#ifndef GALLEON_PLANTED_H
#define GALLEON_PLANTED_H

#include <stdbool.h>
#include <stdint.h>

extern uint32_t planted_number; // 0: none

static inline bool
planted(uint32_t number)
{
    return planted_number == number;
}

#endif
