// service_name.c - printable UTF-8, by Unicode's table of well-formed sequences.

#include "service_name.h"

// character_size is the length of the well-formed, printable UTF-8 character at
// the start of the text, 0 where there is none.
static size_t
character_size(struct view text)
{
    const uint8_t *c = text.data;
    if (c[0] >= 0x20 && c[0] < 0x7F)
        return 1;
    // Lead byte, and what the first continuation byte may be. C2 80 to C2 9F are
    // the C1 control characters, so C2 begins at A0.
    uint8_t low = 0x80, high = 0xBF;
    size_t size;
    if (c[0] >= 0xC2 && c[0] <= 0xDF) {
        size = 2;
        if (c[0] == 0xC2)
            low = 0xA0;
    } else if (c[0] >= 0xE0 && c[0] <= 0xEF) {
        size = 3;
        if (c[0] == 0xE0)
            low = 0xA0;
        if (c[0] == 0xED)
            high = 0x9F;
    } else if (c[0] >= 0xF0 && c[0] <= 0xF4) {
        size = 4;
        if (c[0] == 0xF0)
            low = 0x90;
        if (c[0] == 0xF4)
            high = 0x8F;
    } else {
        return 0;
    }
    if (text.size < size || c[1] < low || c[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (c[i] < 0x80 || c[i] > 0xBF)
            return 0;
    return size;
}

bool
service_name_is_valid(struct view name)
{
    if (name.size < 1 || name.size > SERVICE_NAME_BYTES_MAX)
        return false;
    while (name.size > 0) {
        size_t size = character_size(name);
        if (size == 0)
            return false;
        name = view_skip(name, size);
    }
    return true;
}
