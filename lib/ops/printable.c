// printable.c - character by character.

#include "printable.h"

#include "text.h"

// is_control: U+0000 to U+001F, U+007F to U+009F.
static bool
is_control(struct view character)
{
    uint8_t byte = character.data[0];
    if (character.size == 2)
        return byte == 0xc2 && character.data[1] < 0xa0;
    return byte < 0x20 || byte == 0x7f;
}

void
printable_write(FILE *out, struct view text)
{
    while (text.size > 0) {
        size_t size = text_utf8_bytes(text);
        struct view character = view_of(text.data, size == 0 ? 1 : size);
        bool is_layout = text.data[0] == '\n' || text.data[0] == '\t';
        if (size == 0 || (is_control(character) && !is_layout))
            fputc('?', out);
        else
            fwrite(character.data, 1, size, out);
        text = view_skip(text, character.size);
    }
}
