// text.h - build a text in memory of fixed size, with a length and no NUL.
//
// What does not fit is left out, and is_cut says so.

#ifndef GALLEON_TEXT_H
#define GALLEON_TEXT_H

#include "view.h"

struct text {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool is_cut;
};

static inline void
text_init(struct text *self, void *memory, size_t capacity)
{
    *self = (struct text){memory, 0, capacity, false};
}

static inline struct view
text_view(const struct text *self)
{
    return view_of(self->data, self->size);
}

void text_add(struct text *self, struct view piece);
void text_add_char(struct text *self, char character);
void text_add_number(struct text *self, uint64_t number);

// text_parse_number reads 1 to 19 decimal digits and nothing else.
bool text_parse_number(struct view text, uint64_t *number_out);

// text_utf8_bytes is how many bytes the UTF-8 character at the beginning of `text` has, 0
// where it is none.
size_t text_utf8_bytes(struct view text);

bool text_is_utf8(struct view text);

// text_next takes the next character off *text_p, which is not empty, or a byte that is
// none. False: a terminal would obey it, or could not show it.
bool text_next(struct view *text_p, struct view *character_out);

// text_copy makes a string for people of what a peer sent, whatever it is: as much as fits, and
// a `?` for each character that a terminal could not show.
void text_copy(char *to, size_t room, struct view text);

#endif
