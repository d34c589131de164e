// view.h - bytes that somebody else owns.
//
// A view is borrowed: it is good until the call it was given to returns, unless
// the callee says otherwise. It may hold NULs and is never a C string.

#ifndef GALLEON_VIEW_H
#define GALLEON_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct view {
    const uint8_t *data;
    size_t size;
};

#define VIEW_NONE ((struct view){NULL, 0})
// VIEW_LITERAL is the view of a string literal, without its NUL.
#define VIEW_LITERAL(text) ((struct view){(const uint8_t *)(text), sizeof(text) - 1})

static inline struct view
view_of(const void *data, size_t size)
{
    return (struct view){data, size};
}

static inline bool
view_equals(struct view a, struct view b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool
view_starts_with(struct view text, struct view start)
{
    return text.size >= start.size &&
           (start.size == 0 || memcmp(text.data, start.data, start.size) == 0);
}

// view_skip is the view without its first n bytes; n is at most its size.
static inline struct view
view_skip(struct view text, size_t n)
{
    return n == 0 ? text : (struct view){text.data + n, text.size - n};
}

#endif
