// cargo.c - one block for a small body, messages of libzmq's for a large one.
//
// Packed: header fields, then the parts as a G1 record has them. Loose: views of
// the frames, then the messages that hold them, then the fields. Both stand in the
// cargo's own block until a join outgrows it.

#include "cargo.h"

#include "bytes.h"
#include "fetch.h"
#include "must.h"

#include <errno.h>
#include <stdlib.h>

enum {
    POOL_BYTES_MAX = 16 << 20, // kept for the next
    FRAME_BYTES_KEPT = 1024,   // a larger frame is not kept for the next message
    // Shorter frames of a loose body are copied: libzmq receives small frames into a
    // buffer of 8 KiB that they share, and one of them would keep it all alive.
    MOVED_BYTES_MIN = 2048
};

struct cargo {
    struct cargo *next;  // in the pool
    uint8_t *data;       // own, or a block of the heap
    zmq_msg_t *messages; // loose: in data; NULL: packed
    size_t room;         // packed: bytes in data; loose: frames
    size_t body_bytes;
    uint32_t count; // of frames
    uint32_t fields_bytes;
    size_t block_bytes;
    uint32_t size_class; // CARGO_CLASSES: of the heap
    _Alignas(16) uint8_t own[];
};

// ---- the pool ---------------------------------------------------------------------

static const size_t class_bytes[CARGO_CLASSES] = {256, 1024, 4096, 20480};

#if defined(__SANITIZE_ADDRESS__)
static const bool keeps_cargo = false; // so that the sanitizer sees a late use
#else
static const bool keeps_cargo = true;
#endif

void
cargo_pool_init(struct cargo_pool *self)
{
    *self = (struct cargo_pool){0};
}

void
cargo_pool_release(struct cargo_pool *self)
{
    must(self->live == 0);
    for (size_t i = 0; i < CARGO_CLASSES; i++) {
        while (self->free[i] != NULL) {
            struct cargo *cargo = self->free[i];
            self->free[i] = cargo->next;
            free(cargo);
        }
    }
    self->free_bytes = 0;
    while (self->message_count > 0)
        zmsg_destroy(&self->messages[--self->message_count]);
    while (self->frame_count > 0)
        zframe_destroy(&self->frames[--self->frame_count]);
}

// take returns cargo with room for data_bytes, NULL when out of memory.
static struct cargo *
take(struct cargo_pool *pool, size_t data_bytes)
{
    size_t bytes = sizeof(struct cargo) + data_bytes;
    uint32_t size_class = 0;
    while (size_class < CARGO_CLASSES && class_bytes[size_class] < bytes)
        size_class++;
    struct cargo *self = size_class < CARGO_CLASSES ? pool->free[size_class] : NULL;
    if (self != NULL) {
        pool->free[size_class] = self->next;
        pool->free_bytes -= class_bytes[size_class];
        fetch(self->next, bytes); // what is taken next was freed long ago
    } else {
        if (size_class < CARGO_CLASSES)
            bytes = class_bytes[size_class];
        self = malloc(bytes);
        if (self == NULL)
            return NULL;
        self->block_bytes = bytes;
        self->size_class = size_class;
    }
    pool->live++;
    self->data = self->own;
    self->messages = NULL;
    self->room = self->block_bytes - sizeof(struct cargo);
    self->body_bytes = 0;
    self->count = 0;
    self->fields_bytes = 0;
    return self;
}

static void
give(struct cargo_pool *pool, struct cargo *self)
{
    must(pool->live > 0);
    pool->live--;
    uint32_t size_class = self->size_class;
    if (!keeps_cargo || size_class == CARGO_CLASSES ||
        pool->free_bytes + class_bytes[size_class] > POOL_BYTES_MAX) {
        free(self);
        return;
    }
    self->next = pool->free[size_class];
    pool->free[size_class] = self;
    pool->free_bytes += class_bytes[size_class];
}

void
cargo_release(struct cargo_pool *pool, struct cargo *self)
{
    if (self->messages != NULL)
        for (uint32_t i = 0; i < self->count; i++)
            zmq_msg_close(&self->messages[i]);
    if (self->data != self->own)
        free(self->data);
    give(pool, self);
}

// ---- what it holds ------------------------------------------------------------------

static size_t
loose_bytes(size_t frames)
{
    return frames * (sizeof(struct view) + sizeof(zmq_msg_t));
}

static struct view *
frames_of(const struct cargo *self)
{
    return (struct view *)(void *)self->data;
}

bool
cargo_is_loose(const struct cargo *self)
{
    return self->messages != NULL;
}

struct view
cargo_fields(const struct cargo *self)
{
    const uint8_t *start = self->data;
    if (self->messages != NULL)
        start += loose_bytes(self->room);
    return view_of(start, self->fields_bytes);
}

struct mdp_body
cargo_body(const struct cargo *self)
{
    struct mdp_body body = {.count = self->count, .bytes = self->body_bytes};
    if (self->messages != NULL)
        body.frames = frames_of(self);
    else
        body.packed = view_of(self->data + self->fields_bytes, self->body_bytes + 4 * body.count);
    return body;
}

size_t
cargo_bytes(const struct cargo *self)
{
    size_t bytes = self->block_bytes;
    if (self->messages != NULL) {
        bytes += self->body_bytes;
        if (self->data != self->own)
            bytes += loose_bytes(self->room) + self->fields_bytes;
    } else if (self->data != self->own) {
        bytes += self->room;
    }
    return bytes;
}

static bool
has_to_be_loose(size_t bytes, size_t count)
{
    return bytes >= MDP_LOOSE_BYTES_MIN || count > MDP_PARTS_MAX;
}

// ---- making it ------------------------------------------------------------------------

// take_loose returns cargo with room for `count` messages, none of them set, and
// behind them fields.
static struct cargo *
take_loose(struct cargo_pool *pool, size_t count, size_t fields_bytes)
{
    struct cargo *self = take(pool, loose_bytes(count) + fields_bytes);
    if (self == NULL)
        return NULL;
    self->room = count;
    self->messages = (zmq_msg_t *)(void *)(self->data + count * sizeof(struct view));
    return self;
}

// copy_message makes a message of a copy; false when out of memory.
static bool
copy_message(zmq_msg_t *message, struct view frame)
{
    if (zmq_msg_init_size(message, frame.size) != 0)
        return false;
    if (frame.size > 0)
        memcpy(zmq_msg_data(message), frame.data, frame.size);
    return true;
}

// add_view takes the message at the next place in, which has been set.
static void
add_view(struct cargo *self)
{
    zmq_msg_t *message = &self->messages[self->count];
    frames_of(self)[self->count++] = view_of(zmq_msg_data(message), zmq_msg_size(message));
    self->body_bytes += zmq_msg_size(message);
}

static bool
is_from_broker(const struct mdp_record *record)
{
    return (record->side == MDP_WORKER_SIDE) == (record->command == MDP_REQUEST);
}

static uint32_t
write_fields(uint8_t *to, const struct mdp_record *record)
{
    if (record->fields.size == 0)
        return 0;
    if (!is_from_broker(record))
        return (uint32_t)mdp_fields_clean(to, record->fields);
    memcpy(to, record->fields.data, record->fields.size);
    return (uint32_t)record->fields.size;
}

static struct cargo *
loose_of_record(struct cargo_pool *pool, const struct mdp_record *record, struct inbox *inbox)
{
    struct cargo *self = take_loose(pool, record->body.count, record->fields.size);
    if (self == NULL)
        return NULL;
    size_t cursor = 0;
    struct view frame;
    for (size_t i = 0; mdp_body_next(&record->body, &cursor, &frame); i++) {
        bool is_received =
            inbox != NULL && record->body.frames != NULL && inbox_holds(inbox, record->body.frames);
        if (is_received && frame.size >= MOVED_BYTES_MIN) {
            inbox_take(inbox, &record->body.frames[i], &self->messages[i]);
        } else if (!copy_message(&self->messages[i], frame)) {
            cargo_release(pool, self);
            return NULL;
        }
        add_view(self);
    }
    self->fields_bytes = write_fields(self->data + loose_bytes(self->room), record);
    return self;
}

struct cargo *
cargo_of_record(struct cargo_pool *pool, const struct mdp_record *record, struct inbox *inbox)
{
    const struct mdp_body *body = &record->body;
    if (has_to_be_loose(body->bytes, body->count))
        return loose_of_record(pool, record, inbox);
    struct cargo *self = take(pool, record->fields.size + mdp_body_packed_bytes(body));
    if (self == NULL)
        return NULL;
    self->fields_bytes = write_fields(self->data, record);
    mdp_body_write_packed(self->data + self->fields_bytes, body);
    self->count = (uint32_t)body->count;
    self->body_bytes = body->bytes;
    return self;
}

struct cargo *
cargo_of_body(struct cargo_pool *pool, struct view fields, const struct mdp_body *body)
{
    // As a broker's request: then the fields are kept as they are.
    struct mdp_record record = {
        .side = MDP_WORKER_SIDE, .command = MDP_REQUEST, .fields = fields, .body = *body};
    return cargo_of_record(pool, &record, NULL);
}

static void
release_frame(void *data, void *hint)
{
    (void)data;
    zframe_t *frame = hint;
    zframe_destroy(&frame);
}

// message_of_frame takes *frame_p; false when out of memory.
static bool
message_of_frame(zmq_msg_t *message, zframe_t **frame_p)
{
    bool is_done;
    size_t size = zframe_size(*frame_p);
    if (size >= MOVED_BYTES_MIN) {
        is_done =
            zmq_msg_init_data(message, zframe_data(*frame_p), size, release_frame, *frame_p) == 0;
        if (is_done)
            *frame_p = NULL;
    } else {
        is_done = copy_message(message, view_of(zframe_data(*frame_p), size));
    }
    zframe_destroy(frame_p);
    return is_done;
}

// keep_frame keeps a frame for cargo_to_message, where there is room for it.
static void
keep_frame(struct cargo_pool *pool, zframe_t *frame, size_t size)
{
    if (keeps_cargo && pool->frame_count < CARGO_MESSAGES && size <= FRAME_BYTES_KEPT)
        pool->frames[pool->frame_count++] = frame;
    else
        zframe_destroy(&frame);
}

// keep_message keeps a message without frames: with those of keep_frame czmq allocates
// half as often.
static void
keep_message(struct cargo_pool *pool, zmsg_t *message)
{
    if (keeps_cargo && pool->message_count < CARGO_MESSAGES)
        pool->messages[pool->message_count++] = message;
    else
        zmsg_destroy(&message);
}

static struct cargo *
loose_of_message(struct cargo_pool *pool, struct view fields, zmsg_t *message, size_t count)
{
    struct cargo *self = take_loose(pool, count, fields.size);
    if (self == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        zframe_t *frame = zmsg_pop(message);
        if (!message_of_frame(&self->messages[i], &frame)) {
            cargo_release(pool, self);
            return NULL;
        }
        add_view(self);
    }
    if (fields.size > 0)
        memcpy(self->data + loose_bytes(self->room), fields.data, fields.size);
    self->fields_bytes = (uint32_t)fields.size;
    return self;
}

static struct cargo *
packed_of_message(struct cargo_pool *pool, struct view fields, zmsg_t *message, size_t bytes,
                  size_t count)
{
    struct cargo *self = take(pool, fields.size + bytes + 4 * count);
    if (self == NULL)
        return NULL;
    uint8_t *to = self->data;
    if (fields.size > 0)
        memcpy(to, fields.data, fields.size);
    to += fields.size;
    for (size_t i = 0; i < count; i++) {
        zframe_t *frame = zmsg_pop(message);
        size_t size = zframe_size(frame);
        to = bytes_put32(to, (uint32_t)size);
        memcpy(to, zframe_data(frame), size);
        to += size;
        keep_frame(pool, frame, size);
    }
    self->count = (uint32_t)count;
    self->body_bytes = bytes;
    self->fields_bytes = (uint32_t)fields.size;
    return self;
}

struct cargo *
cargo_of_message(struct cargo_pool *pool, struct view fields, zmsg_t **message_p)
{
    zmsg_t *message = *message_p;
    *message_p = NULL;
    if (message == NULL)
        return packed_of_message(pool, fields, NULL, 0, 0);
    size_t bytes = zmsg_content_size(message);
    size_t count = zmsg_size(message);
    struct cargo *self = has_to_be_loose(bytes, count)
                             ? loose_of_message(pool, fields, message, count)
                             : packed_of_message(pool, fields, message, bytes, count);
    if (self == NULL)
        zmsg_destroy(&message);
    else
        keep_message(pool, message);
    return self;
}

size_t
cargo_message_bound(size_t fields_bytes, zmsg_t *body)
{
    size_t bytes = body == NULL ? 0 : zmsg_content_size(body);
    size_t frames = body == NULL ? 0 : zmsg_size(body);
    return mdp_wire_message_bound(fields_bytes, bytes, frames);
}

size_t
cargo_message_bytes_max(uint64_t option)
{
    if (option == 0)
        return MDP_MESSAGE_BYTES_MAX;
    return option < MDP_MESSAGE_BYTES_MIN ? MDP_MESSAGE_BYTES_MIN : option;
}

// add_frame puts a copy of a frame at the end; false when out of memory.
static bool
add_frame(struct cargo_pool *pool, zmsg_t *message, struct view bytes)
{
    if (pool->frame_count == 0)
        return zmsg_addmem(message, bytes.data, bytes.size) == 0;
    zframe_t *frame = pool->frames[--pool->frame_count];
    zframe_reset(frame, bytes.data, bytes.size);
    zframe_set_more(frame, 0);
    return zmsg_append(message, &frame) == 0;
}

zmsg_t *
cargo_to_message(struct cargo_pool *pool, const struct cargo *self)
{
    zmsg_t *message = pool->message_count > 0 ? pool->messages[--pool->message_count] : zmsg_new();
    struct mdp_body body = cargo_body(self);
    size_t cursor = 0;
    struct view frame;
    while (message != NULL && mdp_body_next(&body, &cursor, &frame))
        if (!add_frame(pool, message, frame))
            zmsg_destroy(&message);
    return message;
}

// ---- joining ----------------------------------------------------------------------------

// put_data makes `data` what the cargo has, in place of what it had.
static void
put_data(struct cargo *self, uint8_t *data, size_t room)
{
    if (self->data != self->own)
        free(self->data);
    self->data = data;
    self->room = room;
}

// fill_messages puts the frames into an array of messages: moved where they are
// messages already, else copied. False when out of memory: nothing was moved.
static bool
fill_messages(struct cargo *self, zmq_msg_t *messages)
{
    struct mdp_body body = cargo_body(self);
    size_t cursor = 0;
    struct view frame;
    for (size_t i = 0; mdp_body_next(&body, &cursor, &frame); i++) {
        if (self->messages != NULL) {
            zmq_msg_init(&messages[i]);
            zmq_msg_move(&messages[i], &self->messages[i]);
            zmq_msg_close(&self->messages[i]);
        } else if (!copy_message(&messages[i], frame)) {
            while (i-- > 0)
                zmq_msg_close(&messages[i]);
            return false;
        }
    }
    return true;
}

// rebuild makes it a loose body with room for so many frames, and with these fields; false
// when out of memory: it is as it was.
static bool
rebuild(struct cargo *self, size_t room, struct view fields)
{
    uint8_t *data = malloc(loose_bytes(room) + fields.size);
    if (data == NULL)
        return false;
    zmq_msg_t *messages = (zmq_msg_t *)(void *)(data + room * sizeof(struct view));
    if (!fill_messages(self, messages)) {
        free(data);
        return false;
    }
    if (fields.size > 0)
        memcpy(data + loose_bytes(room), fields.data, fields.size);
    put_data(self, data, room);
    self->messages = messages;
    self->fields_bytes = (uint32_t)fields.size;
    uint32_t frame_count = self->count;
    self->count = 0;
    self->body_bytes = 0;
    while (self->count < frame_count)
        add_view(self);
    return true;
}

// loosen makes it a loose body with room for more frames; false as in rebuild.
static bool
loosen(struct cargo *self, size_t count)
{
    if (self->messages != NULL && self->room >= count)
        return true;
    return rebuild(self, self->messages == NULL ? count : 2 * count, cargo_fields(self));
}

// give_fields puts fields into what has none; false as in rebuild.
static bool
give_fields(struct cargo *self, struct view fields)
{
    if (self->messages != NULL)
        return rebuild(self, self->room, fields);
    struct mdp_body body = cargo_body(self);
    size_t bytes = mdp_body_packed_bytes(&body);
    uint8_t *data = malloc(fields.size + bytes);
    if (data == NULL)
        return false;
    memcpy(data, fields.data, fields.size);
    memcpy(data + fields.size, self->data, bytes);
    put_data(self, data, fields.size + bytes);
    self->fields_bytes = (uint32_t)fields.size;
    return true;
}

static bool
join_loose(struct cargo *into, struct cargo *from)
{
    if (!loosen(from, from->count) || !loosen(into, (size_t)into->count + from->count))
        return false;
    for (uint32_t i = 0; i < from->count; i++) {
        zmq_msg_init(&into->messages[into->count]);
        zmq_msg_move(&into->messages[into->count], &from->messages[i]);
        add_view(into);
    }
    return true;
}

static bool
join_packed(struct cargo *into, const struct cargo *from)
{
    struct mdp_body body = cargo_body(into);
    struct mdp_body tail = cargo_body(from);
    size_t used = into->fields_bytes + mdp_body_packed_bytes(&body);
    size_t needed = used + mdp_body_packed_bytes(&tail);
    if (needed > into->room) {
        uint8_t *data = malloc(2 * needed);
        if (data == NULL)
            return false;
        memcpy(data, into->data, used);
        put_data(into, data, 2 * needed);
    }
    mdp_body_write_packed(into->data + used, &tail);
    into->count += from->count;
    into->body_bytes += from->body_bytes;
    return true;
}

bool
cargo_join(struct cargo_pool *pool, struct cargo *into, struct cargo *from)
{
    bool is_loose =
        into->messages != NULL || from->messages != NULL ||
        has_to_be_loose(into->body_bytes + from->body_bytes, (size_t)into->count + from->count);
    struct view fields = cargo_fields(from);
    if (fields.size > 0 && into->fields_bytes == 0 && !give_fields(into, fields))
        return false;
    if (is_loose ? !join_loose(into, from) : !join_packed(into, from))
        return false;
    cargo_release(pool, from);
    return true;
}

// ---- sending ------------------------------------------------------------------------------

int
frame_send_message(zmq_msg_t *message, void *socket, bool is_more)
{
    int flags = ZMQ_DONTWAIT | (is_more ? ZMQ_SNDMORE : 0);
    while (zmq_msg_send(message, socket, flags) < 0) {
        if (errno == EINTR)
            continue;
        int error = errno;
        zmq_msg_close(message);
        return error;
    }
    return 0;
}

int
frame_send(struct view frame, void *socket, bool is_more)
{
    zmq_msg_t message;
    // A frame left out would make the next message the end of this one: when out of
    // memory an empty frame takes its place.
    if (!copy_message(&message, frame))
        zmq_msg_init(&message);
    return frame_send_message(&message, socket, is_more);
}

void
cargo_share(const struct cargo *self, zmq_msg_t *messages)
{
    must(self->messages != NULL);
    for (uint32_t i = 0; i < self->count; i++) {
        zmq_msg_init(&messages[i]);
        zmq_msg_copy(&messages[i], &self->messages[i]);
    }
}

void
cargo_send(const struct cargo *self, void *socket)
{
    if (self->count == 0)
        frame_send(view_of("", 0), socket, false);
    struct mdp_body body = cargo_body(self);
    size_t cursor = 0;
    struct view frame;
    for (uint32_t i = 0; mdp_body_next(&body, &cursor, &frame); i++) {
        bool is_more = i + 1 < self->count;
        if (self->messages == NULL) {
            frame_send(frame, socket, is_more);
            continue;
        }
        zmq_msg_t copy;
        zmq_msg_init(&copy);
        zmq_msg_copy(&copy, &self->messages[i]);
        frame_send_message(&copy, socket, is_more);
    }
}
