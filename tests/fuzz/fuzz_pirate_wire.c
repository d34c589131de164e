// fuzz_pirate_wire.c - any message is read within its bounds, and what was sound is written
// the same.
//
// The input is a message: frames, each a length of two bytes in network order and that many
// bytes, the last as long as the input is. It is read at all five sockets, without limits,
// with those of a queue and with very small ones. What is sound is written again by who may
// say it, and has to read as the same.

#include "frames.h"
#include "must.h"
#include "pirate_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// So that no read is optimized away.
volatile uint64_t fuzz_touched;

static void
touch(const struct view *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < frames[i].size; k++)
            fuzz_touched += frames[i].data[k];
}

// ---- what must hold of a message ----------------------------------------------------------------

static void
check(const struct pirate_message *message, enum pirate_fault fault)
{
    must(message->fault == fault);
    must(pirate_fault_text(fault) != NULL);
    if (fault != PIRATE_SOUND) {
        must(message->body.count == 0 && message->envelope.stack_size == 0);
        must(message->kind == PIRATE_NOTHING || fault == PIRATE_OVER_LIMIT);
        return;
    }
    must(message->kind != PIRATE_NOTHING);
    must(message->envelope.stack_size <= PIRATE_STACK_MAX);
    bool has_body = message->kind == PIRATE_REQUEST || message->kind == PIRATE_REPLY;
    must((message->body.count > 0) == has_body);
    touch(message->envelope.stack, message->envelope.stack_size);
    touch(message->body.frames, message->body.count);
    for (size_t i = 0; i < message->envelope.stack_size; i++)
        must(message->envelope.stack[i].size > 0);
}

static void
check_same(const struct pirate_message *a, const struct pirate_message *b)
{
    must(a->kind == b->kind);
    must(ticket_equals(&a->ticket, &b->ticket));
    must(a->envelope.stack_size == b->envelope.stack_size);
    for (size_t i = 0; i < a->envelope.stack_size; i++)
        must(view_equals(a->envelope.stack[i], b->envelope.stack[i]));
    must(a->body.count == b->body.count && a->body.bytes == b->body.bytes);
    for (size_t i = 0; i < a->body.count; i++)
        must(view_equals(a->body.frames[i], b->body.frames[i]));
}

// ---- reading, and writing again -----------------------------------------------------------------

// A message as it is sent: a routing id where it goes through a ROUTER, a head, a body.
struct written {
    struct view frames[1 + FUZZ_FRAMES_MAX + 16];
    size_t count;
};

static void
write_message(struct written *self, const struct pirate_message *message,
              const struct pirate_head *head)
{
    self->count = 0;
    if (message->envelope.routing_id.data != NULL)
        self->frames[self->count++] = message->envelope.routing_id;
    for (size_t i = 0; i < head->frame_count; i++)
        self->frames[self->count++] = head->frames[i];
    for (size_t i = 0; i < message->body.count; i++)
        self->frames[self->count++] = message->body.frames[i];
}

static void
at_frontend(const struct fuzz_frames *frames, const struct mdp_limits *limits)
{
    struct pirate_message message, again;
    struct pirate_head head;
    struct written written;
    check(&message, pirate_wire_read_client(&message, frames->frames, frames->count, limits));
    if (message.fault != PIRATE_SOUND)
        return;
    pirate_wire_head_to_client(&head, &message.envelope);
    write_message(&written, &message, &head);
    must(pirate_wire_read_client(&again, written.frames, written.count, NULL) == PIRATE_SOUND);
    check_same(&message, &again);
}

// at_backend writes what a worker said as one says it: its ticket is the address.
static void
at_backend(const struct fuzz_frames *frames, enum pirate_dialect dialect,
           const struct mdp_limits *limits)
{
    struct pirate_message message, again;
    struct pirate_head head;
    struct written written;
    check(&message,
          pirate_wire_read_worker(&message, dialect, frames->frames, frames->count, limits));
    if (message.fault != PIRATE_SOUND)
        return;
    uint8_t text[TICKET_TEXT_BYTES];
    ticket_to_text(&message.ticket, text);
    struct view address = view_of(text, sizeof text);
    struct mdp_envelope envelope = {
        .stack = &address, .stack_size = 1, .has_delimiter = message.envelope.has_delimiter};
    pirate_wire_head_to_queue(&head, dialect, message.kind, &envelope);
    write_message(&written, &message, &head);
    must(pirate_wire_read_worker(&again, dialect, written.frames, written.count, NULL) ==
         PIRATE_SOUND);
    check_same(&message, &again);
}

// at_worker writes what a queue said as its own kind of answer.
static void
at_worker(const struct fuzz_frames *frames, enum pirate_dialect dialect,
          const struct mdp_limits *limits)
{
    struct pirate_message message, again;
    struct pirate_head head;
    struct written written;
    check(&message,
          pirate_wire_read_queue(&message, dialect, frames->frames, frames->count, limits));
    if (message.fault != PIRATE_SOUND || message.kind != PIRATE_REQUEST)
        return;
    pirate_wire_head_to_queue(&head, dialect, PIRATE_REPLY, &message.envelope);
    write_message(&written, &message, &head);
    must(pirate_wire_read_queue(&again, dialect, written.frames, written.count, NULL) ==
         PIRATE_SOUND);
    must(again.envelope.has_delimiter == message.envelope.has_delimiter);
    check_same(&message, &again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mdp_limits queue = {256, 1 << 20}, small = {5, 100};
    const struct mdp_limits *const limits[] = {NULL, &queue, &small};
    static struct fuzz_frames frames;
    fuzz_frames_split(&frames, view_of(data, size), FUZZ_FRAMES_MAX);
    for (int i = 0; i < 3; i++) {
        at_frontend(&frames, limits[i]);
        for (enum pirate_dialect dialect = PIRATE_SIMPLE; dialect <= PIRATE_PARANOID; dialect++) {
            at_backend(&frames, dialect, limits[i]);
            at_worker(&frames, dialect, limits[i]);
        }
    }
    fuzz_frames_release(&frames);
    return 0;
}
