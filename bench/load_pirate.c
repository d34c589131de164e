// load_pirate.c - peers of a Simple or a Paranoid Pirate queue.
//
// A worker holds one request at a time, as both say; a client keeps its whole window in flight
// over one DEALER and tells its answers apart by what is in them.

#include "load_socket.h"
#include "pirate_wire.h"

// say sends the frames in front of a body, or READY or HEARTBEAT.
static void
say(struct load_worker *self, enum pirate_dialect dialect, enum pirate_kind kind,
    const struct mdp_envelope *envelope)
{
    struct pirate_head head;
    pirate_wire_head_to_queue(&head, dialect, kind, envelope);
    for (size_t i = 0; i < head.frame_count; i++)
        load_send(self->socket, head.frames[i],
                  kind == PIRATE_REPLY || i + 1 < head.frame_count ? ZMQ_SNDMORE : 0);
}

static void
begin(struct load_worker *self, enum pirate_dialect dialect)
{
    const struct mdp_envelope envelope = {.has_delimiter = true};
    self->socket = load_socket_connect(self->run, self->run->options->workers_to);
    say(self, dialect, PIRATE_READY, &envelope);
}

// answer sends a request's own frames back; they are the last of its message.
static void
answer(struct load_worker *self, enum pirate_dialect dialect, struct load_message *message,
       const struct pirate_message *request)
{
    say(self, dialect, PIRATE_REPLY, &request->envelope);
    for (size_t i = message->count - request->body.count; i < message->count; i++)
        load_send_part(self->socket, &message->parts[i], i + 1 < message->count ? ZMQ_SNDMORE : 0);
}

static bool
turn(struct load_worker *self, enum pirate_dialect dialect, int flags)
{
    struct load_message message;
    struct pirate_message read;
    if (!load_receive(&message, self->socket, flags))
        return false;
    if (pirate_wire_read_queue(&read, dialect, message.frames, message.count, NULL) != PIRATE_SOUND)
        load_fail("the queue sent a bad message: %s", pirate_fault_text(read.fault));
    if (read.kind == PIRATE_REQUEST)
        answer(self, dialect, &message, &read);
    else
        say(self, dialect, PIRATE_HEARTBEAT, NULL);
    load_message_release(&message);
    return true;
}

static void
worker_end(struct load_worker *self)
{
    load_socket_close(self->socket);
}

static void
client_send(struct load_client *self)
{
    while (self->window.free_count > 0) {
        struct view body;
        load_window_open(&self->window, &body);
        load_send(self->socket, view_of("", 0), ZMQ_SNDMORE);
        load_send(self->socket, body, 0);
    }
}

static bool
client_receive(struct load_client *self, int flags)
{
    struct load_message message;
    if (!load_receive(&message, self->socket, flags))
        return false;
    self->window.messages++;
    if (message.count == 2 && message.frames[0].size == 0)
        load_window_close(&self->window, message.frames[1]);
    else
        self->window.wrong++;
    load_message_release(&message);
    return true;
}

// ---- the two of them ------------------------------------------------------------

static void
worker_begin_paranoid(struct load_worker *self)
{
    begin(self, PIRATE_PARANOID);
}

static bool
worker_turn_paranoid(struct load_worker *self, int flags)
{
    return turn(self, PIRATE_PARANOID, flags);
}

static void
worker_begin_simple(struct load_worker *self)
{
    begin(self, PIRATE_SIMPLE);
}

static bool
worker_turn_simple(struct load_worker *self, int flags)
{
    return turn(self, PIRATE_SIMPLE, flags);
}

const struct load_dialect load_paranoid = {
    .name = "ppp",
    .has_broker = false,
    .worker_begin = worker_begin_paranoid,
    .worker_turn = worker_turn_paranoid,
    .worker_end = worker_end,
    .client_begin = load_client_connect,
    .client_send = client_send,
    .client_receive = client_receive,
    .client_end = load_client_close,
};

const struct load_dialect load_simple = {
    .name = "sp",
    .has_broker = false,
    .worker_begin = worker_begin_simple,
    .worker_turn = worker_turn_simple,
    .worker_end = worker_end,
    .client_begin = load_client_connect,
    .client_send = client_send,
    .client_receive = client_receive,
    .client_end = load_client_close,
};
