// titanic_body.c - one block from malloc: fields, then the frames in parts form.

#include "titanic_body.h"

#include "bytes.h"
#include "mdp_wire.h"
#include "must.h"
#include "tsp.h"

#include <stdlib.h>

static struct durable_body *
take(size_t fields_bytes, size_t body_bytes, size_t frames)
{
    struct durable_body *self = malloc(sizeof *self + fields_bytes + body_bytes + 4 * frames);
    if (self == NULL)
        return NULL;
    self->frames = (uint32_t)frames;
    self->fields_bytes = (uint32_t)fields_bytes;
    self->bytes = fields_bytes + body_bytes + 4 * frames;
    return self;
}

struct durable_body *
titanic_body_new(struct view fields, const struct mdp_body *body, size_t from)
{
    must(from <= body->count);
    struct durable_body *self = take(fields.size, body->bytes, body->count);
    if (self == NULL)
        return NULL;
    size_t kept = fields.size == 0 ? 0 : tsp_fields_kept(self->data, fields);
    self->fields_bytes = (uint32_t)kept;
    self->frames = (uint32_t)(body->count - from);
    uint8_t *to = self->data + kept;
    size_t cursor = 0;
    struct view frame;
    for (size_t i = 0; mdp_body_next(body, &cursor, &frame); i++) {
        if (i < from)
            continue;
        to = bytes_put32(to, (uint32_t)frame.size);
        if (frame.size > 0)
            memcpy(to, frame.data, frame.size);
        to += frame.size;
    }
    self->bytes = (size_t)(to - self->data);
    return self;
}

struct durable_body *
titanic_body_of_message(zmsg_t *message)
{
    struct durable_body *self = take(0, zmsg_content_size(message), zmsg_size(message));
    if (self == NULL)
        return NULL;
    uint8_t *to = self->data;
    for (zframe_t *frame = zmsg_first(message); frame != NULL; frame = zmsg_next(message)) {
        to = bytes_put32(to, (uint32_t)zframe_size(frame));
        memcpy(to, zframe_data(frame), zframe_size(frame));
        to += zframe_size(frame);
    }
    return self;
}

struct view
titanic_body_fields(const struct durable_body *self)
{
    return view_of(self->data, self->fields_bytes);
}

struct mdp_body
titanic_body_parts(const struct durable_body *self)
{
    size_t bytes = self->bytes - self->fields_bytes;
    return (struct mdp_body){.packed = view_of(self->data + self->fields_bytes, bytes),
                             .count = self->frames,
                             .bytes = bytes - 4 * (size_t)self->frames};
}

uint64_t
titanic_body_bytes(const struct durable_body *self)
{
    return sizeof *self + self->bytes;
}
