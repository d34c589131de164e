// rows.h - gathers the rows and counts that an operation finds into one block.

#ifndef GALLEON_STORE_ROWS_H
#define GALLEON_STORE_ROWS_H

#include "store.h"

// A gathering. While it grows, the views in it hold offsets into `text`. When memory is
// short it `failed`, and what is added goes nowhere.
struct rows {
    struct durable_row *rows;
    size_t count, rows_max;
    struct durable_count *services;
    size_t service_count, services_max;
    uint8_t *text;
    size_t text_bytes, text_max;
    bool failed;
};

void rows_init(struct rows *self);
// rows_release frees what was gathered, with the bodies. After rows_end it does nothing.
void rows_release(struct rows *self);

// rows_add takes a copy of the row and of its texts; the body becomes the gathering's. It
// returns false, and the body stays the caller's, where memory is short.
bool rows_add(struct rows *self, const struct durable_row *row);
bool rows_add_count(struct rows *self, const struct durable_count *count);

// rows_end is one block of all that was gathered, and leaves nothing behind; NULL where
// memory was short.
struct durable_rows *rows_end(struct rows *self);

// rows_fit_kind says whether an operation on many takes requests in this state.
bool rows_fit_kind(enum durable_op_kind kind, enum durable_state state);

// body_new is room for a body of so many bytes; NULL where memory is short.
struct durable_body *body_new(uint32_t frames, uint32_t fields_bytes, size_t bytes);

#endif
