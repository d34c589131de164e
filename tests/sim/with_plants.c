// with_plants.c - the switch of the planted bugs.

#include "planted.h"
#include "plants.h"

uint32_t planted_number;

bool
plants_switch_on(uint32_t number)
{
    planted_number = number;
    return true;
}

bool
plants_is_on(uint32_t number)
{
    return planted(number);
}
