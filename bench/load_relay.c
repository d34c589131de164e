// load_relay.c - peers of the bare relay: one frame, no protocol.
//
// A request is a single frame, the least a message can be; the relay's ROUTER
// puts the client's id in front of it, and the worker sends both back.

#include "load_socket.h"

static void
worker_begin(struct load_worker *self)
{
    // A relay gives requests to whoever is connected.
    self->socket = load_socket_connect(self->run, self->run->options->workers_to);
}

static bool
worker_turn(struct load_worker *self, int flags)
{
    struct load_message message;
    if (!load_receive(&message, self->socket, flags))
        return false;
    for (size_t i = 0; i < message.count; i++)
        load_send_part(self->socket, &message.parts[i], i + 1 < message.count ? ZMQ_SNDMORE : 0);
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
    load_window_close(&self->window, message.frames[message.count - 1]);
    load_message_release(&message);
    return true;
}

const struct load_dialect load_relay = {
    .name = "relay",
    .has_broker = false,
    .worker_begin = worker_begin,
    .worker_turn = worker_turn,
    .worker_end = worker_end,
    .client_begin = load_client_connect,
    .client_send = client_send,
    .client_receive = client_receive,
    .client_end = load_client_close,
};
