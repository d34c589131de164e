// text.c - append, numbers in decimal, and where a character ends.

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

size_t
text_utf8_bytes(struct view text)
{
    if (text.size == 0)
        return 0;
    uint8_t first = text.data[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size > text.size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
    // Too long for what they say, halves of a pair, beyond the last character.
    uint8_t second = text.data[1];
    bool is_wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                    (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return is_wrong ? 0 : size;
}

bool
text_is_utf8(struct view text)
{
    while (text.size > 0) {
        size_t size = text_utf8_bytes(text);
        if (size == 0)
            return false;
        text = view_skip(text, size);
    }
    return true;
}

// is_control: U+0000 to U+001F, U+007F to U+009F.
static bool
is_control(struct view character)
{
    uint8_t byte = character.data[0];
    if (character.size == 2)
        return byte == 0xc2 && character.data[1] < 0xa0;
    return byte < 0x20 || byte == 0x7f;
}

bool
text_next(struct view *text_p, struct view *character_out)
{
    size_t size = text_utf8_bytes(*text_p);
    *character_out = view_of(text_p->data, size == 0 ? 1 : size);
    *text_p = view_skip(*text_p, character_out->size);
    return size > 0 && !is_control(*character_out);
}

void
text_copy(char *to, size_t room, struct view text)
{
    size_t used = 0;
    while (text.size > 0) {
        struct view character;
        if (!text_next(&text, &character))
            character = VIEW_LITERAL("?");
        if (character.size >= room - used)
            break;
        memcpy(to + used, character.data, character.size);
        used += character.size;
    }
    to[used] = '\0';
}
