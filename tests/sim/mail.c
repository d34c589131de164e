// mail.c - the frames of a message, as lib/shell would send them.

#include "mail.h"

struct message *
message_make(struct world *world, struct view routing_id, const struct draft *draft)
{
    size_t bytes = routing_id.size;
    for (size_t i = 0; i < draft->frame_count; i++)
        bytes += draft->frames[i].size;
    size_t count = draft->frame_count + 1;
    struct message *self = world_take(world, sizeof *self + count * sizeof(struct view) + bytes);
    self->next = NULL;
    self->frame_count = count;
    uint8_t *to = (uint8_t *)(self->frames + count);
    for (size_t i = 0; i < count; i++) {
        struct view from = i == 0 ? routing_id : draft->frames[i - 1];
        if (from.size > 0)
            memcpy(to, from.data, from.size);
        self->frames[i] = view_of(to, from.size);
        to += from.size;
    }
    return self;
}

void
mail_append(struct mail *self, struct message *message)
{
    message->next = NULL;
    if (self->last == NULL)
        self->first = message;
    else
        self->last->next = message;
    self->last = message;
    self->count++;
}

struct message *
mail_take(struct mail *self)
{
    struct message *message = self->first;
    if (message == NULL)
        return NULL;
    self->first = message->next;
    if (self->first == NULL)
        self->last = NULL;
    self->count--;
    return message;
}

void
mail_clear(struct world *world, struct mail *self)
{
    struct message *message;
    while ((message = mail_take(self)) != NULL)
        world_give(world, message);
}

// ---- drafts -------------------------------------------------------------------------------------

void
draft_begin(struct draft *self)
{
    self->frame_count = 0;
}

void
draft_add(struct draft *self, struct view frame)
{
    if (self->frame_count < DRAFT_FRAMES_MAX)
        self->frames[self->frame_count++] = frame;
}

static size_t
add_body(struct draft *self, const struct mdp_body *body)
{
    size_t cursor = 0, count = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame)) {
        draft_add(self, frame);
        count++;
    }
    return count;
}

void
draft_body(struct draft *self, const struct mdp_body *body, const struct parcel *parcel)
{
    size_t count = add_body(self, body);
    if (parcel != NULL) {
        struct mdp_body rest = parcel_body(parcel);
        count += add_body(self, &rest);
    }
    if (count == 0)
        draft_add(self, VIEW_NONE); // no protocol has a body of no frames
}

void
draft_record(struct draft *self, const struct mdp_record *record, bool has_delimiter,
             const struct parcel *parcel)
{
    mdp_wire_head(&self->head, record, has_delimiter);
    for (size_t i = 0; i < self->head.frame_count; i++)
        draft_add(self, self->head.frames[i]);
    if (record->command == MDP_REQUEST || record->command == MDP_PARTIAL ||
        record->command == MDP_FINAL)
        draft_body(self, &record->body, parcel);
}

// ---- packs --------------------------------------------------------------------------------------

static bool
is_loose(const struct mdp_record *record)
{
    return record->body.bytes >= MDP_LOOSE_BYTES_MIN;
}

bool
pack_fits(const struct pack *self, const struct mdp_record *record)
{
    if (self->used == 0)
        return true;
    const struct pack_entry *last = &self->entries[self->entry_count - 1];
    size_t body = is_loose(record) ? 0 : mdp_body_packed_bytes(&record->body);
    size_t bytes = MDP_RECORD_HEAD_BYTES_MAX + record->service.size + record->fields.size + body;
    return self->loose == NULL && last->side == record->side && last->command != MDP_DISCONNECT &&
           self->used + bytes <= self->world->plan.pack_bytes;
}

static void
make_room(struct pack *self, size_t bytes)
{
    if (self->used + bytes > self->capacity) {
        self->capacity = 2 * (self->used + bytes) + 256;
        self->bytes = world_grow(self->world, self->bytes, self->capacity);
    }
    if (self->entry_count == self->entry_capacity) {
        self->entry_capacity = 2 * self->entry_capacity + 8;
        self->entries =
            world_grow(self->world, self->entries, self->entry_capacity * sizeof *self->entries);
    }
}

void
pack_add(struct pack *self, struct mdp_record *record, const struct pack_entry *entry)
{
    if (is_loose(record)) {
        struct mdp_body body = record->body;
        uint8_t *copy = world_take(self->world, mdp_body_packed_bytes(&body));
        size_t used = (size_t)(mdp_body_write_packed(copy, &body) - copy);
        self->loose = copy;
        self->loose_body = (struct mdp_body){
            .packed = view_of(copy, used), .count = body.count, .bytes = body.bytes};
        record->flags |= MDP_FLAG_LOOSE;
        mark(self->world, MARK_LOOSE);
    }
    make_room(self, MDP_PACK_HEADER_BYTES + mdp_wire_record_bound(record));
    if (self->used == 0) {
        mdp_wire_write_header(self->bytes, record->side);
        self->used = MDP_PACK_HEADER_BYTES;
    }
    self->used = (size_t)(mdp_wire_write_record(self->bytes + self->used, record) - self->bytes);
    self->entries[self->entry_count++] = *entry;
}

void
draft_pack(struct draft *self, const struct pack *pack)
{
    draft_add(self, view_of(pack->bytes, pack->used));
    if (pack->loose != NULL)
        (void)add_body(self, &pack->loose_body);
}

void
pack_clear(struct pack *self)
{
    self->used = 0;
    self->entry_count = 0;
    world_give(self->world, self->loose);
    self->loose = NULL;
}
