// packer.c - a buffer that grows by doubling, and the row of what is in it.

#include "packer.h"

#include "must.h"

#include <errno.h>
#include <stdlib.h>

enum {
    BYTES_MIN = 512,
    ENTRIES_MIN = 8,
    // After so many packs in a row that needed little, memory is let go.
    SMALL_PACKS_MAX = 64
};

void
packer_init(struct packer *self, size_t message_bytes_max)
{
    must(message_bytes_max > MDP_HEADS_BYTES_MAX);
    *self = (struct packer){.bytes_max = message_bytes_max - MDP_HEADS_BYTES_MAX};
}

void
packer_release(struct packer *self)
{
    packer_clear(self);
    free(self->bytes);
    free(self->entries);
    free(self->loose);
    *self = (struct packer){.bytes_max = self->bytes_max};
}

// ---- adding -------------------------------------------------------------------------

// grow returns an array with room for `needed` items, doubled from what it was, NULL
// when out of memory: it is as it was.
static void *
grow(void *array, size_t *capacity, size_t item_bytes, size_t first, size_t needed)
{
    size_t room = *capacity == 0 ? first : *capacity;
    while (room < needed)
        room *= 2;
    void *larger = realloc(array, room * item_bytes);
    if (larger != NULL)
        *capacity = room;
    return larger;
}

static bool
has_room_for_bytes(struct packer *self, size_t needed)
{
    if (needed <= self->capacity)
        return true;
    uint8_t *bytes = grow(self->bytes, &self->capacity, 1, BYTES_MIN, needed);
    if (bytes == NULL)
        return false;
    self->bytes = bytes;
    return true;
}

static bool
has_room_for_entry(struct packer *self)
{
    if (self->entry_count < self->entry_capacity)
        return true;
    struct packer_entry *entries = grow(self->entries, &self->entry_capacity, sizeof *entries,
                                        ENTRIES_MIN, self->entry_count + 1);
    if (entries == NULL)
        return false;
    self->entries = entries;
    return true;
}

static bool
has_room_for_loose(struct packer *self, size_t needed)
{
    if (needed <= self->loose_capacity)
        return true;
    // It is empty: nothing is packed behind a LOOSE record.
    must(self->loose_count == 0);
    zmq_msg_t *loose = malloc(needed * sizeof *loose);
    if (loose == NULL)
        return false;
    free(self->loose);
    self->loose = loose;
    self->loose_capacity = needed;
    return true;
}

static bool
is_large(size_t bytes, size_t count)
{
    return bytes >= MDP_LOOSE_BYTES_MIN || count > MDP_PARTS_MAX;
}

bool
packer_fits(const struct packer *self, const struct mdp_record *record)
{
    if (self->used == 0)
        return true;
    must(self->entry_count > 0);
    const struct packer_entry *last = &self->entries[self->entry_count - 1];
    if (self->loose_count > 0 || last->side != record->side || last->command == MDP_DISCONNECT)
        return false;
    size_t bytes = self->used + mdp_wire_record_bytes(record);
    if (!is_large(record->body.bytes, record->body.count))
        return bytes <= MDP_PACK_BYTES_MAX && bytes <= self->bytes_max;
    // It will be LOOSE: its head goes into the pack, its frames behind it.
    return bytes - mdp_body_packed_bytes(&record->body) <= MDP_PACK_BYTES_MAX &&
           bytes <= self->bytes_max;
}

static bool
is_same_body(const struct mdp_body *a, const struct mdp_body *b)
{
    return a->frames == b->frames && a->packed.data == b->packed.data && a->count == b->count;
}

static bool
copy_message(zmq_msg_t *message, struct view frame)
{
    if (zmq_msg_init_size(message, frame.size) != 0)
        return false;
    if (frame.size > 0)
        memcpy(zmq_msg_data(message), frame.data, frame.size);
    return true;
}

// add_loose puts a body's frames behind the pack: shared where they are those of
// `cargo`, else copied. False when out of memory.
static bool
add_loose(struct packer *self, const struct mdp_body *body, const struct cargo *cargo)
{
    if (cargo != NULL && cargo_is_loose(cargo)) {
        cargo_share(cargo, self->loose + self->loose_count);
        self->loose_count += body->count;
        return true;
    }
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame)) {
        if (!copy_message(&self->loose[self->loose_count], frame))
            return false;
        self->loose_count++;
    }
    return true;
}

static void
drop_loose(struct packer *self)
{
    for (size_t i = 0; i < self->loose_count; i++)
        zmq_msg_close(&self->loose[i]);
    self->loose_count = 0;
}

// add_record writes the record, whose body is in record->body where it is not LOOSE.
static bool
add_record(struct packer *self, const struct mdp_record *record, const struct packer_entry *entry)
{
    size_t start = self->used == 0 ? MDP_PACK_HEADER_BYTES : self->used;
    if (!has_room_for_entry(self) ||
        !has_room_for_bytes(self, start + mdp_wire_record_bound(record)))
        return false;
    if (self->used == 0)
        mdp_wire_write_header(self->bytes, record->side);
    self->used = (size_t)(mdp_wire_write_record(self->bytes + start, record) - self->bytes);
    self->entries[self->entry_count++] = *entry;
    return true;
}

// add_both writes a small body of the frames of `head` and then those of `tail`.
static bool
add_both(struct packer *self, struct mdp_record *record, const struct mdp_body *head,
         const struct mdp_body *tail, const struct packer_entry *entry)
{
    struct view frames[MDP_PARTS_MAX];
    size_t count = 0;
    for (size_t cursor = 0; mdp_body_next(head, &cursor, &frames[count]);)
        count++;
    for (size_t cursor = 0; mdp_body_next(tail, &cursor, &frames[count]);)
        count++;
    record->body = mdp_body_of(frames, count);
    bool is_added = add_record(self, record, entry);
    record->body = *head;
    return is_added;
}

bool
packer_add(struct packer *self, struct mdp_record *record, const struct cargo *body,
           const struct packer_entry *entry)
{
    must(self->loose_count == 0);
    struct mdp_body none = {0};
    struct mdp_body tail = body == NULL ? none : cargo_body(body);
    struct mdp_body head = is_same_body(&record->body, &tail) ? none : record->body;
    if (is_large(head.bytes + tail.bytes, head.count + tail.count)) {
        record->flags |= MDP_FLAG_LOOSE;
        if (has_room_for_loose(self, head.count + tail.count) && add_loose(self, &head, NULL) &&
            add_loose(self, &tail, body) && add_record(self, record, entry))
            return true;
        drop_loose(self);
        return false;
    }
    if (head.count > 0 && tail.count > 0)
        return add_both(self, record, &head, &tail, entry);
    if (head.count == 0)
        record->body = tail;
    return add_record(self, record, entry);
}

// ---- sending ------------------------------------------------------------------------

// send_envelope returns the errno of the first frame; what comes behind it cannot be
// refused.
static int
send_envelope(const struct mdp_envelope *envelope, void *socket)
{
    int error = frame_send(envelope->routing_id, socket, true);
    if (error != 0)
        return error;
    for (size_t i = 0; i < envelope->stack_size; i++)
        frame_send(envelope->stack[i], socket, true);
    if (envelope->has_delimiter)
        frame_send(view_of("", 0), socket, true);
    return 0;
}

int
packer_send(struct packer *self, void *socket, const struct mdp_envelope *envelope)
{
    must(self->used > 0);
    zmq_msg_t pack;
    if (zmq_msg_init_size(&pack, self->used) != 0)
        return ENOMEM;
    memcpy(zmq_msg_data(&pack), self->bytes, self->used);
    int error = envelope == NULL ? 0 : send_envelope(envelope, socket);
    if (error != 0) {
        zmq_msg_close(&pack);
        return error;
    }
    error = frame_send_message(&pack, socket, self->loose_count > 0);
    if (error != 0 && envelope == NULL)
        return error;
    for (size_t i = 0; i < self->loose_count; i++)
        frame_send_message(&self->loose[i], socket, i + 1 < self->loose_count);
    self->loose_count = 0;
    return 0;
}

void
packer_clear(struct packer *self)
{
    drop_loose(self);
    self->entry_count = 0;
    if (self->used == 0)
        return;
    size_t used = self->used;
    self->used = 0;
    if (self->capacity <= BYTES_MIN || used > self->capacity / 8)
        self->small_packs = 0;
    else if (++self->small_packs == SMALL_PACKS_MAX)
        packer_release(self);
}
