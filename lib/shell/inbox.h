// inbox.h - one message at a time off a socket, as frames.
//
// All frames of a message are taken off the socket, however many there are; those
// beyond the limit are let go as they come, and one more than the limit is kept
// so that the decoder sees that there were too many.

#ifndef GALLEON_INBOX_H
#define GALLEON_INBOX_H

#include "mdp_wire.h"

#include <zmq.h>

struct inbox {
    zmq_msg_t *messages; // room for frames_max + 1
    struct view *frames; // what they hold
    size_t count;
    size_t frames_max;
};

// inbox_init returns false when out of memory.
bool inbox_init(struct inbox *self, size_t frames_max);
void inbox_release(struct inbox *self);

// inbox_receive takes the next message without waiting, after letting go of the
// one before. False: there is none.
bool inbox_receive(struct inbox *self, void *socket);
// inbox_await is the same, but waits for as long as the socket's ZMQ_RCVTIMEO says, or until a
// signal comes.
bool inbox_await(struct inbox *self, void *socket);
void inbox_clear(struct inbox *self);

// inbox_connection is the descriptor of the connection that the message came over, 0 where
// there is none.
int inbox_connection(const struct inbox *self);

// inbox_peer_address is where that connection came from when it was made, as libzmq writes it; ""
// where that is not known.
const char *inbox_peer_address(const struct inbox *self);

// inbox_holds: is it one of self->frames?
static inline bool
inbox_holds(const struct inbox *self, const struct view *frame)
{
    return (uintptr_t)frame >= (uintptr_t)self->frames &&
           (uintptr_t)frame < (uintptr_t)(self->frames + self->count);
}

// inbox_take moves a frame's message out to *to, which it makes; the frame is empty
// after it. `frame` is one of self->frames.
void inbox_take(struct inbox *self, const struct view *frame, zmq_msg_t *to);

#endif
