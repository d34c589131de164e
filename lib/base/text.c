// text.c - append, and numbers in decimal.

#include "text.h"

void
text_add(struct text *self, struct view piece)
{
    if (piece.size > self->capacity - self->size) {
        self->is_cut = true;
        return;
    }
    if (piece.size > 0)
        memcpy(self->data + self->size, piece.data, piece.size);
    self->size += piece.size;
}

void
text_add_char(struct text *self, char character)
{
    text_add(self, view_of(&character, 1));
}

void
text_add_number(struct text *self, uint64_t number)
{
    uint8_t digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_add(self, view_of(digits + first, sizeof digits - first));
}

bool
text_parse_number(struct view text, uint64_t *number_out)
{
    if (text.size < 1 || text.size > 19)
        return false;
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *number_out = number;
    return true;
}
