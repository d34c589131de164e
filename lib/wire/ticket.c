// ticket.c - four 32-bit words, each as six base-62 digits.

#include "ticket.h"

#include "bytes.h"

enum { WORDS = 4, DIGITS = 6, BASE = 62 };

static const uint8_t digits[BASE + 1] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void
ticket_to_text(const struct ticket *self, uint8_t text_out[TICKET_TEXT_BYTES])
{
    for (int word = 0; word < WORDS; word++) {
        uint32_t value = bytes_get32(self->bytes + 4 * word);
        for (int digit = DIGITS - 1; digit >= 0; digit--) {
            text_out[word * DIGITS + digit] = digits[value % BASE];
            value /= BASE;
        }
    }
}

// digit_value is BASE where the character is no digit.
static uint32_t
digit_value(uint8_t character)
{
    if (character >= '0' && character <= '9')
        return (uint32_t)(character - '0');
    if (character >= 'A' && character <= 'Z')
        return (uint32_t)(character - 'A') + 10;
    if (character >= 'a' && character <= 'z')
        return (uint32_t)(character - 'a') + 36;
    return BASE;
}

bool
ticket_from_text(struct view text, struct ticket *ticket_out)
{
    if (text.size != TICKET_TEXT_BYTES)
        return false;
    struct ticket ticket;
    for (int word = 0; word < WORDS; word++) {
        uint64_t value = 0;
        for (int digit = 0; digit < DIGITS; digit++) {
            uint32_t one = digit_value(text.data[word * DIGITS + digit]);
            if (one == BASE)
                return false;
            value = value * BASE + one;
        }
        if (value > UINT32_MAX)
            return false;
        bytes_put32(ticket.bytes + 4 * word, (uint32_t)value);
    }
    *ticket_out = ticket;
    return true;
}
