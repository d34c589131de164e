// vectors.h - the rows of docs/protocol/vectors.md, as data.
//
// The page is made for people and for programs; its first section explains the
// notation. A table whose first column is `id` holds vectors, and each of its
// rows must be one: a row that cannot be read fails the whole page, so that no
// row is passed over in silence.
//
// Frames are cut to blocks of their own size: a read past the end of one is seen
// by a sanitizer. Decoded items, states and expectations stay text.

#ifndef GALLEON_VECTORS_H
#define GALLEON_VECTORS_H

#include "view.h"

struct vector_frames {
    struct view *frames;
    size_t count;
};

// One `key=value` of a decoded record.
struct vector_item {
    const char *key;
    const char *value;
};

enum { VECTOR_ITEMS_MAX = 16 };

// The items of one record. `-` is a record of no items.
struct vector_record {
    struct vector_item items[VECTOR_ITEMS_MAX];
    size_t count;
};

// A row. Columns that its table does not have are NULL.
struct vector {
    char kind;      // V and G are positive, N negative, X bodies of Titanic's services
    const char *id; // V1
    const char *socket;
    const char *way; // V, G: in, out or both, as the socket sees it
    const char *dialect;
    const char *command; // V, G: joined by + for the records of a pack
    const char *state;   // N
    const char *service; // X
    const char *expect;  // N, X
    const char *why;
    struct vector_frames frames;   // X: of the body
    struct vector_record *records; // V, G
    size_t record_count;
    char *text; // what the columns point into
    struct vector *next;
};

// vectors_read reads the page, all rows in order. NULL: a row is malformed, or the
// page cannot be read; a line on stderr says what is wrong where.
struct vector *vectors_read(const char *path);

// vectors_parse reads a page that is in memory. `name` stands in what is said of it.
struct vector *vectors_parse(const char *name, const char *page);

void vectors_destroy(struct vector **self_p);

// vectors_count is the number of rows of a kind.
size_t vectors_count(const struct vector *self, char kind);

// vector_item is the value of an item, NULL where the record has none of that key.
const char *vector_item(const struct vector_record *record, const char *key);

// vector_frames_read reads the tokens of a list. False: one is malformed, and there
// is nothing to release.
bool vector_frames_read(struct vector_frames *self, const char *tokens, char separator);

// vector_frames_copy makes frames of the same bytes, in blocks of their own.
struct vector_frames vector_frames_copy(struct vector_frames frames);

void vector_frames_release(struct vector_frames *self);

#endif
