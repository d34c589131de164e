// printable.c - character by character.

#include "printable.h"

#include "text.h"

void
printable_write(FILE *out, struct view text)
{
    struct view character;
    while (text.size > 0) {
        bool is_layout = text.data[0] == '\n' || text.data[0] == '\t';
        if (text_next(&text, &character) || is_layout)
            fwrite(character.data, 1, character.size, out);
        else
            fputc('?', out);
    }
}
