// rows.c - gathers the rows and counts that an operation finds into one block.

#include "rows.h"

#include "must.h"

#include <stdlib.h>

void
rows_init(struct rows *self)
{
    *self = (struct rows){0};
}

void
rows_release(struct rows *self)
{
    for (size_t at = 0; at < self->count; at++)
        free(self->rows[at].body);
    free(self->rows);
    free(self->services);
    free(self->text);
    rows_init(self);
}

// has_room grows an array by half its size where one more item does not fit.
static bool
has_room(struct rows *self, void **array, size_t *max, size_t needed, size_t item_bytes)
{
    if (self->failed)
        return false;
    if (needed <= *max)
        return true;
    size_t more = needed + needed / 2 + 16;
    void *grown = realloc(*array, more * item_bytes);
    if (grown == NULL) {
        self->failed = true;
        return false;
    }
    *array = grown;
    *max = more;
    return true;
}

static bool
add_text(struct rows *self, struct view *text)
{
    void *memory = self->text;
    bool is_added = has_room(self, &memory, &self->text_max, self->text_bytes + text->size, 1);
    self->text = memory;
    if (!is_added)
        return false;
    if (text->size > 0)
        memcpy(self->text + self->text_bytes, text->data, text->size);
    *text = view_of((const uint8_t *)(uintptr_t)self->text_bytes, text->size);
    self->text_bytes += text->size;
    return true;
}

bool
rows_add(struct rows *self, const struct durable_row *row)
{
    struct durable_row copy = *row;
    void *memory = self->rows;
    bool is_added = has_room(self, &memory, &self->rows_max, self->count + 1, sizeof copy);
    self->rows = memory;
    if (!is_added || !add_text(self, &copy.service) || !add_text(self, &copy.key) ||
        !add_text(self, &copy.reason))
        return false;
    self->rows[self->count++] = copy;
    return true;
}

bool
rows_add_count(struct rows *self, const struct durable_count *count)
{
    struct durable_count copy = *count;
    void *memory = self->services;
    bool is_added =
        has_room(self, &memory, &self->services_max, self->service_count + 1, sizeof copy);
    self->services = memory;
    if (!is_added || !add_text(self, &copy.service))
        return false;
    self->services[self->service_count++] = copy;
    return true;
}

// place turns an offset into an address.
static void
place(struct view *text, const uint8_t *base)
{
    text->data = text->size == 0 ? NULL : base + (uintptr_t)text->data;
}

struct durable_rows *
rows_end(struct rows *self)
{
    size_t rows_bytes = self->count * sizeof *self->rows;
    size_t services_bytes = self->service_count * sizeof *self->services;
    struct durable_rows *found = NULL;
    if (!self->failed)
        found = malloc(sizeof *found + rows_bytes + services_bytes + self->text_bytes);
    if (found == NULL) {
        rows_release(self);
        return NULL;
    }
    uint8_t *at = (uint8_t *)(found + 1);
    found->count = self->count;
    found->rows = (void *)at;
    found->service_count = self->service_count;
    found->services = (void *)(at + rows_bytes);
    uint8_t *text = at + rows_bytes + services_bytes;
    if (rows_bytes > 0)
        memcpy(found->rows, self->rows, rows_bytes);
    if (services_bytes > 0)
        memcpy(found->services, self->services, services_bytes);
    if (self->text_bytes > 0)
        memcpy(text, self->text, self->text_bytes);
    for (size_t i = 0; i < found->count; i++) {
        place(&found->rows[i].service, text);
        place(&found->rows[i].key, text);
        place(&found->rows[i].reason, text);
    }
    for (size_t i = 0; i < found->service_count; i++)
        place(&found->services[i].service, text);
    self->count = 0; // the bodies have another owner now
    rows_release(self);
    return found;
}

void
store_rows_free(struct durable_rows *rows)
{
    if (rows == NULL)
        return;
    for (size_t at = 0; at < rows->count; at++)
        free(rows->rows[at].body);
    free(rows);
}

bool
rows_fit_kind(enum durable_op_kind kind, enum durable_state state)
{
    switch (kind) {
    case DURABLE_RETRY:
        return state == DURABLE_DEAD || state == DURABLE_EXPIRED;
    case DURABLE_CANCEL:
        return state == DURABLE_PENDING;
    case DURABLE_PURGE:
        return state == DURABLE_DONE || state == DURABLE_DEAD || state == DURABLE_EXPIRED;
    default:
        return true;
    }
}

struct durable_body *
body_new(uint32_t frames, uint32_t fields_bytes, size_t bytes)
{
    must(fields_bytes <= bytes);
    struct durable_body *body = malloc(sizeof *body + bytes);
    if (body != NULL)
        *body =
            (struct durable_body){.frames = frames, .fields_bytes = fields_bytes, .bytes = bytes};
    return body;
}
