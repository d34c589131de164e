// cargo.h - the body of a request or an answer, with its header fields.
//
// What the cores carry and never open. Small bodies are copied once, out of the
// message they came in, and stand as they stand in a G1 record; large ones are
// the received frames themselves, moved and never copied. A pool keeps cargo of
// common sizes for the next, so the hot path allocates nothing.

#ifndef GALLEON_CARGO_H
#define GALLEON_CARGO_H

#include "inbox.h"
#include "mdp_wire.h"

#include <czmq.h>

enum {
    CARGO_CLASSES = 4,  // sizes of kept cargo: 256 bytes, 1, 4 and 20 KiB
    CARGO_MESSAGES = 64 // empty czmq messages and frames that are kept
};

struct cargo;

struct cargo_pool {
    struct cargo *free[CARGO_CLASSES];
    size_t free_bytes; // in all lists; beyond a bound cargo goes back to the heap
    uint64_t live;     // taken and not released: 0 at the end, or we leak
    zmsg_t *messages[CARGO_MESSAGES];
    size_t message_count;
    zframe_t *frames[CARGO_MESSAGES];
    size_t frame_count;
};

void cargo_pool_init(struct cargo_pool *self);
// cargo_pool_release: all cargo must have been released.
void cargo_pool_release(struct cargo_pool *self);

// cargo_of_record makes cargo out of a record's fields and body; NULL when out of
// memory. Large frames are moved out of the inbox, which the record was read from.
// Of a record that goes to a broker the fields that only a broker may say are left
// out.
struct cargo *cargo_of_record(struct cargo_pool *pool, const struct mdp_record *record,
                              struct inbox *inbox);
// cargo_of_message takes *message_p whatever it returns; NULL there is a body of no
// frames. fields may be empty.
struct cargo *cargo_of_message(struct cargo_pool *pool, struct view fields, zmsg_t **message_p);
// cargo_of_body copies fields and a body; NULL when out of memory.
struct cargo *cargo_of_body(struct cargo_pool *pool, struct view fields,
                            const struct mdp_body *body);
void cargo_release(struct cargo_pool *pool, struct cargo *cargo);

// cargo_message_bound is at least what a broker will get of it in all frames (NULL: no
// body); cargo_message_bytes_max is how much it may be: the option, or its default.
size_t cargo_message_bound(size_t fields_bytes, zmsg_t *body);
size_t cargo_message_bytes_max(uint64_t option);

// cargo_to_message is the body as a czmq message, NULL when out of memory. The cargo
// stays as it is. (czmq gives no way to put a received frame into a message but to
// copy it. The message itself may be one that cargo_of_message was given before.)
zmsg_t *cargo_to_message(struct cargo_pool *pool, const struct cargo *self);

struct view cargo_fields(const struct cargo *self);
// cargo_body views the body; good as long as the cargo.
struct mdp_body cargo_body(const struct cargo *self);
// cargo_bytes is what it costs in memory.
size_t cargo_bytes(const struct cargo *self);
// cargo_is_loose: is the body large, so that in G1 its frames follow the pack?
bool cargo_is_loose(const struct cargo *self);

// cargo_join puts the frames of *from at the end of *into, and its fields there where there
// are none, and releases *from. False when out of memory: no frame has moved.
bool cargo_join(struct cargo_pool *pool, struct cargo *into, struct cargo *from);

// cargo_share makes messages of the frames of a loose body, which they share with
// it; there is room for cargo_body's count of them, and each is to be closed.
void cargo_share(const struct cargo *self, zmq_msg_t *messages);

// cargo_send sends the body as the last frames of a message, without waiting. It
// is for after the first frame has been taken, when the rest cannot be refused.
// A body of no frames is sent as one empty frame.
void cargo_send(const struct cargo *self, void *socket);

// frame_send sends one frame without waiting; 0 or an errno. For all frames but the
// first of a message the errno may be ignored: what cannot go out is dropped with
// the connection.
int frame_send(struct view frame, void *socket, bool is_more);
// frame_send_message is the same for a message of libzmq's, which is closed.
int frame_send_message(zmq_msg_t *message, void *socket, bool is_more);

#endif
