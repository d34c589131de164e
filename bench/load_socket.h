// load_socket.h - what every peer of the load does with its socket.

#ifndef GALLEON_LOAD_SOCKET_H
#define GALLEON_LOAD_SOCKET_H

#include "load.h"

enum { LOAD_FRAMES_MAX = 8 };

// A message as it came. A frame that was moved on is empty.
struct load_message {
    zmq_msg_t parts[LOAD_FRAMES_MAX];
    struct view frames[LOAD_FRAMES_MAX];
    size_t count;
};

// load_socket_connect makes a DEALER without high-water marks.
void *load_socket_connect(struct load_run *run, const char *endpoint);
// load_socket_close lets the last words out.
void load_socket_close(void *socket);

// A client that says nothing before its first request, and nothing after its last.
void load_client_connect(struct load_client *self);
void load_client_close(struct load_client *self);

// load_receive takes one message; false where none comes. A true is followed by
// load_message_release.
bool load_receive(struct load_message *self, void *socket, int flags);
void load_message_release(struct load_message *self);

// Each send takes the bytes, or ends the process: without a high-water mark
// nothing can be refused. flags is 0 or ZMQ_SNDMORE.
void load_send(void *socket, struct view bytes, int flags);
void load_send_part(void *socket, zmq_msg_t *part, int flags);

// load_new_part makes a message of `size` bytes, to be written by the caller.
uint8_t *load_new_part(zmq_msg_t *part_out, size_t size);

#endif
