// mdp_epoch.c - 16 hex digits, a colon and a decimal number.

#include "mdp_epoch.h"

#include "mdp_wire.h"
#include "text.h"

enum { PAIR_DIGITS = 16 };

// digit_of is the value of a hex digit, 16 where it is none.
static uint8_t
digit_of(uint8_t character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return 16;
}

static bool
parse_pair(struct view text, uint64_t *pair_out)
{
    uint64_t pair = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t digit = digit_of(text.data[i]);
        if (digit == 16)
            return false;
        pair = pair << 4 | digit;
    }
    *pair_out = pair;
    return true;
}

bool
mdp_epoch_find(struct view fields, struct mdp_epoch *epoch_out)
{
    struct view text;
    return mdp_fields_find(fields, VIEW_LITERAL("epoch"), &text) && text.size > PAIR_DIGITS &&
           text.data[PAIR_DIGITS] == ':' &&
           parse_pair(view_of(text.data, PAIR_DIGITS), &epoch_out->pair) &&
           text_parse_number(view_skip(text, PAIR_DIGITS + 1), &epoch_out->number);
}
