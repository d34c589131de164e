// crash_model.c - requests in a list, and what each operation does to it.

#include "crash_model.h"

#include "bytes.h"
#include "crash_disk.h"
#include "must.h"

#include <stdio.h>
#include <stdlib.h>

struct view
model_service(uint32_t number)
{
    static const char *const names[MODEL_SERVICES] = {"echo", "sum", "a.service-of-some-length"};
    return view_of(names[number % MODEL_SERVICES], strlen(names[number % MODEL_SERVICES]));
}

struct durable_owner
model_owner(uint32_t number)
{
    struct durable_owner owner;
    memset(&owner, number == 0 ? 0 : 0x40 + (int)number, sizeof owner);
    return owner;
}

struct view
model_text(char to[MODEL_TEXT_BYTES], char letter, uint32_t number)
{
    if (number == 0)
        return VIEW_NONE;
    int size = snprintf(to, MODEL_TEXT_BYTES, "%c%u", letter, number);
    return view_of(to, (size_t)size);
}

// ---- bodies ------------------------------------------------------------------------

struct durable_body *
model_make_body(struct model_body what)
{
    uint32_t frames = 1 + what.seed % 3, fields = what.seed % 4 == 0 ? 8 : 0;
    size_t bytes = fields + frames * 4 + what.bytes;
    struct durable_body *body = malloc(sizeof *body + bytes);
    must(body != NULL);
    *body = (struct durable_body){.frames = frames, .fields_bytes = fields, .bytes = bytes};
    struct prng prng;
    crash_prng_init(&prng, what.seed, 2);
    uint8_t *to = body->data;
    if (fields > 0)
        to = bytes_put64(to, prng_next(&prng));
    uint32_t left = what.bytes;
    for (uint32_t frame = 0; frame < frames; frame++) {
        uint32_t size = frame + 1 == frames ? left : left / 2;
        to = bytes_put32(to, size);
        left -= size;
        for (; size >= 8; size -= 8)
            to = bytes_put64(to, prng_next(&prng));
        while (size-- > 0)
            *to++ = (uint8_t)prng_next(&prng);
    }
    must(to == body->data + bytes);
    return body;
}

bool
model_is_body(struct model_body what, const struct durable_body *is)
{
    if (is == NULL)
        return false;
    struct durable_body *body = model_make_body(what);
    bool is_same = is->frames == body->frames && is->fields_bytes == body->fields_bytes &&
                   is->bytes == body->bytes && memcmp(is->data, body->data, body->bytes) == 0;
    free(body);
    return is_same;
}

// ---- rows --------------------------------------------------------------------------

bool
model_is_old(const struct model *self, const struct model_row *row)
{
    uint64_t horizon_ms = self->now_ms - MODEL_RETAIN_MS;
    return (row->state == DURABLE_DONE || row->state == DURABLE_CLOSED) &&
           row->accepted_ms < horizon_ms && row->over_ms < horizon_ms;
}

struct model_row *
model_find_id(struct model *self, const struct request_id *id)
{
    for (size_t at = 0; at < self->count; at++)
        if (memcmp(&self->rows[at].id, id, sizeof *id) == 0)
            return &self->rows[at];
    return NULL;
}

struct model_row *
model_find_key(struct model *self, uint32_t owner, uint32_t key)
{
    for (size_t at = 0; key > 0 && at < self->count; at++)
        if (self->rows[at].key == key && self->rows[at].owner == owner)
            return &self->rows[at];
    return NULL;
}

void
model_remove(struct model *self, struct model_row *row)
{
    size_t at = (size_t)(row - self->rows);
    must(at < self->count);
    self->count--;
    memmove(row, row + 1, (self->count - at) * sizeof *row);
}

// ---- operations --------------------------------------------------------------------

static bool
is_same_body(const struct model_row *one, const struct model_row *other)
{
    return one->service == other->service && one->body.seed == other->body.seed &&
           one->body.bytes == other->body.bytes;
}

enum durable_outcome
model_submit(struct model *self, const struct model_row *row)
{
    const struct model_row *first = model_find_key(self, row->owner, row->key);
    if (first != NULL)
        return is_same_body(first, row) ? DURABLE_SAME : DURABLE_CONFLICT;
    must(self->count < MODEL_ROWS_MAX);
    self->rows[self->count++] = *row;
    return DURABLE_OK;
}

static bool
is_pending(const struct model_row *row)
{
    return row != NULL && row->state == DURABLE_PENDING;
}

enum durable_outcome
model_answer(struct model *self, struct model_row *row, struct model_body reply, uint32_t attempts)
{
    if (!is_pending(row))
        return DURABLE_NONE;
    row->state = DURABLE_DONE;
    row->reply = reply;
    row->attempts = attempts;
    row->over_ms = self->now_ms;
    return DURABLE_OK;
}

enum durable_outcome
model_failed(struct model_row *row, uint32_t attempts, uint64_t due_ms, uint32_t reason)
{
    if (!is_pending(row))
        return DURABLE_NONE;
    row->attempts = attempts;
    row->due_ms = due_ms;
    row->reason = reason;
    return DURABLE_OK;
}

enum durable_outcome
model_end(struct model *self, struct model_row *row, enum durable_state state, uint32_t attempts,
          uint32_t reason)
{
    if (!is_pending(row))
        return DURABLE_NONE;
    row->state = state;
    row->attempts = attempts;
    row->reason = reason;
    row->over_ms = self->now_ms;
    return DURABLE_OK;
}

// A key is remembered until its time is over; what had none is gone.
enum durable_outcome
model_close(struct model *self, struct model_row *row)
{
    if (row == NULL || row->state == DURABLE_CLOSED)
        return DURABLE_NONE;
    row->state = DURABLE_CLOSED;
    row->over_ms = self->now_ms;
    if (row->key == 0)
        model_remove(self, row);
    return DURABLE_OK;
}

void
model_revive(struct model_row *row, uint64_t due_ms)
{
    row->state = DURABLE_PENDING;
    row->life++;
    row->attempts = 0;
    row->due_ms = due_ms;
    row->deadline_ms = 0;
    row->reason = 0;
    row->over_ms = 0;
}
