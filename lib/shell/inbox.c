// inbox.c - a fixed row of messages, and views of what is in them.

#include "inbox.h"

#include <errno.h>
#include <stdlib.h>

bool
inbox_init(struct inbox *self, size_t frames_max)
{
    *self = (struct inbox){.frames_max = frames_max};
    self->messages = malloc((frames_max + 1) * sizeof *self->messages);
    self->frames = malloc((frames_max + 1) * sizeof *self->frames);
    if (self->messages != NULL && self->frames != NULL)
        return true;
    inbox_release(self);
    return false;
}

void
inbox_release(struct inbox *self)
{
    inbox_clear(self);
    free(self->messages);
    free(self->frames);
    *self = (struct inbox){0};
}

void
inbox_clear(struct inbox *self)
{
    for (size_t i = 0; i < self->count; i++)
        zmq_msg_close(&self->messages[i]);
    self->count = 0;
}

// receive_frame takes one frame without waiting; false: there is none. *message is
// to be closed only where it is true.
static bool
receive_frame(zmq_msg_t *message, void *socket)
{
    zmq_msg_init(message);
    for (;;) {
        if (zmq_msg_recv(message, socket, ZMQ_DONTWAIT) >= 0)
            return true;
        if (errno != EINTR)
            break;
    }
    zmq_msg_close(message);
    return false;
}

// await_frame takes one as soon as it comes, within the time that the socket has for it.
static bool
await_frame(zmq_msg_t *message, void *socket)
{
    zmq_msg_init(message);
    if (zmq_msg_recv(message, socket, 0) >= 0)
        return true;
    zmq_msg_close(message);
    return false;
}

// drop_rest lets go of what is left of a message that is too long.
static void
drop_rest(void *socket)
{
    zmq_msg_t message;
    bool is_more = true;
    while (is_more && receive_frame(&message, socket)) {
        is_more = zmq_msg_more(&message);
        zmq_msg_close(&message);
    }
}

// receive_rest takes what follows the first frame. libzmq hands over whole messages: once that
// is here, so is the rest.
static void
receive_rest(struct inbox *self, void *socket)
{
    for (;;) {
        zmq_msg_t *message = &self->messages[self->count];
        self->frames[self->count++] = view_of(zmq_msg_data(message), zmq_msg_size(message));
        if (!zmq_msg_more(message))
            break;
        if (self->count > self->frames_max) {
            drop_rest(socket);
            break;
        }
        if (!receive_frame(&self->messages[self->count], socket))
            break;
    }
}

bool
inbox_receive(struct inbox *self, void *socket)
{
    inbox_clear(self);
    if (!receive_frame(&self->messages[0], socket))
        return false;
    receive_rest(self, socket);
    return true;
}

bool
inbox_await(struct inbox *self, void *socket)
{
    inbox_clear(self);
    if (!await_frame(&self->messages[0], socket))
        return false;
    receive_rest(self, socket);
    return true;
}

int
inbox_connection(const struct inbox *self)
{
    // Not of the first frame: a ROUTER that was asked for its events made that one itself, ahead
    // of the message, and in libzmq 4.3.4 it says nothing of where it came from.
    int fd = self->count == 0 ? 0 : zmq_msg_get(&self->messages[self->count - 1], ZMQ_SRCFD);
    return fd > 0 ? fd : 0;
}

const char *
inbox_peer_address(const struct inbox *self)
{
    // Of the last frame, for the same reason.
    const char *address =
        self->count == 0 ? NULL : zmq_msg_gets(&self->messages[self->count - 1], "Peer-Address");
    return address == NULL ? "" : address;
}

void
inbox_take(struct inbox *self, const struct view *frame, zmq_msg_t *to)
{
    size_t at = (size_t)(frame - self->frames);
    zmq_msg_init(to);
    zmq_msg_move(to, &self->messages[at]);
    self->frames[at] = view_of("", 0);
}
