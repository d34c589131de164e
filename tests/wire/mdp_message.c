// mdp_message.c - records to frames by way of mdp_wire's writers.

#include "mdp_message.h"

#include "must.h"

#include <stdlib.h>

static void *
allocate(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    must(memory != NULL);
    return memory;
}

// ---- writing ---------------------------------------------------------------------------------

static void
add(struct mdp_message *self, struct view frame)
{
    self->frames[self->count++] = frame;
}

static void
add_body(struct mdp_message *self, const struct mdp_body *body)
{
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame))
        add(self, frame);
}

static void
add_pack(struct mdp_message *self, const struct mdp_record *records, size_t count)
{
    size_t size = MDP_PACK_HEADER_BYTES;
    for (size_t i = 0; i < count; i++)
        size += mdp_wire_record_bytes(&records[i]);
    self->pack = allocate(size);
    uint8_t *to = mdp_wire_write_header(self->pack, records[0].side);
    for (size_t i = 0; i < count; i++)
        to = mdp_wire_write_record(to, &records[i]);
    must(to == self->pack + size);
    add(self, view_of(self->pack, size));
}

void
mdp_message_write(struct mdp_message *self, const struct mdp_envelope *envelope,
                  const struct mdp_record *records, size_t count)
{
    const struct mdp_record *last = &records[count - 1];
    size_t room = 1 + envelope->stack_size + 1 + 5 + last->body.count;
    *self = (struct mdp_message){.frames = allocate(room * sizeof *self->frames)};
    if (envelope->routing_id.data != NULL)
        add(self, envelope->routing_id);
    for (size_t i = 0; i < envelope->stack_size; i++)
        add(self, envelope->stack[i]);
    if (last->dialect == MDP_G1) {
        if (envelope->has_delimiter)
            add(self, VIEW_LITERAL(""));
        add_pack(self, records, count);
    } else {
        must(count == 1);
        mdp_wire_head(&self->head, last, envelope->has_delimiter);
        for (size_t i = 0; i < self->head.frame_count; i++)
            add(self, self->head.frames[i]);
    }
    if (last->dialect != MDP_G1 || (last->flags & MDP_FLAG_LOOSE))
        add_body(self, &last->body);
}

void
mdp_message_release(struct mdp_message *self)
{
    free(self->frames);
    free(self->pack);
}

// ---- comparing -------------------------------------------------------------------------------

bool
mdp_bodies_are_equal(const struct mdp_body *a, const struct mdp_body *b)
{
    size_t cursor_a = 0, cursor_b = 0;
    for (;;) {
        struct view frame_a, frame_b;
        bool more = mdp_body_next(a, &cursor_a, &frame_a);
        if (mdp_body_next(b, &cursor_b, &frame_b) != more)
            return false;
        if (!more)
            return a->count == b->count && a->bytes == b->bytes;
        if (!view_equals(frame_a, frame_b))
            return false;
    }
}

bool
mdp_records_are_equal(const struct mdp_record *a, const struct mdp_record *b)
{
    return a->fault == b->fault && a->dialect == b->dialect && a->side == b->side &&
           a->command == b->command && a->flags == b->flags && a->status == b->status &&
           a->parts == b->parts && a->ttl_ms == b->ttl_ms && a->attempt == b->attempt &&
           a->seq == b->seq && a->credit == b->credit && a->interval_ms == b->interval_ms &&
           a->reason == b->reason && a->id == b->id && ticket_equals(&a->ticket, &b->ticket) &&
           view_equals(a->address, b->address) && view_equals(a->service, b->service) &&
           view_equals(a->fields, b->fields) && mdp_bodies_are_equal(&a->body, &b->body);
}

static uint64_t
sum_of(struct view view)
{
    uint64_t sum = view.size;
    for (size_t i = 0; i < view.size; i++)
        sum += view.data[i];
    return sum;
}

uint64_t
mdp_record_touch(const struct mdp_record *record)
{
    uint64_t sum = sum_of(record->address) + sum_of(record->service) + sum_of(record->fields);
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(&record->body, &cursor, &frame))
        sum += sum_of(frame);
    return sum;
}
