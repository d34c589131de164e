// hex.h - hexadecimal digits, written in upper case and read in either.

#ifndef GALLEON_HEX_H
#define GALLEON_HEX_H

#include <stdint.h>

enum { HEX_NONE = 16 };

static inline uint8_t
hex_digit(uint8_t value)
{
    return (uint8_t)(value < 10 ? '0' + value : 'A' + value - 10);
}

// hex_value is HEX_NONE where the character is no digit.
static inline uint8_t
hex_value(uint8_t character)
{
    if (character >= '0' && character <= '9')
        return (uint8_t)(character - '0');
    if (character >= 'A' && character <= 'F')
        return (uint8_t)(character - 'A' + 10);
    if (character >= 'a' && character <= 'f')
        return (uint8_t)(character - 'a' + 10);
    return HEX_NONE;
}

#endif
