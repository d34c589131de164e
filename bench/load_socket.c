// load_socket.c - libzmq's calls, with every error an end.

#include "load_socket.h"

#include <errno.h>

void *
load_socket_connect(struct load_run *run, const char *endpoint)
{
    int no_limit = 0;
    int patience_ms = LOAD_PATIENCE_MS;
    int linger_ms = 500;
    void *socket = zmq_socket(run->context, ZMQ_DEALER);
    if (socket == NULL)
        load_fail("no socket: %s", zmq_strerror(zmq_errno()));
    zmq_setsockopt(socket, ZMQ_SNDHWM, &no_limit, sizeof no_limit);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &no_limit, sizeof no_limit);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    if (zmq_connect(socket, endpoint) != 0)
        load_fail("cannot connect to %s: %s", endpoint, zmq_strerror(zmq_errno()));
    return socket;
}

void
load_socket_close(void *socket)
{
    zmq_close(socket);
}

void
load_client_connect(struct load_client *self)
{
    self->socket = load_socket_connect(self->run, self->run->options->clients_to);
}

void
load_client_close(struct load_client *self)
{
    load_socket_close(self->socket);
}

bool
load_receive(struct load_message *self, void *socket, int flags)
{
    self->count = 0;
    do {
        if (self->count == LOAD_FRAMES_MAX)
            load_fail("a message of more than %d frames", LOAD_FRAMES_MAX);
        zmq_msg_t *part = &self->parts[self->count];
        zmq_msg_init(part);
        if (zmq_msg_recv(part, socket, flags) < 0) {
            if (zmq_errno() != EAGAIN && zmq_errno() != EINTR)
                load_fail("cannot receive: %s", zmq_strerror(zmq_errno()));
            return false; // only the first frame can be missing
        }
        self->frames[self->count++] = view_of(zmq_msg_data(part), zmq_msg_size(part));
    } while (zmq_msg_more(&self->parts[self->count - 1]));
    return true;
}

void
load_message_release(struct load_message *self)
{
    for (size_t i = 0; i < self->count; i++)
        zmq_msg_close(&self->parts[i]);
}

void
load_send(void *socket, struct view bytes, int flags)
{
    if (zmq_send(socket, bytes.data, bytes.size, flags) < 0)
        load_fail("cannot send: %s", zmq_strerror(zmq_errno()));
}

void
load_send_part(void *socket, zmq_msg_t *part, int flags)
{
    if (zmq_msg_send(part, socket, flags) < 0)
        load_fail("cannot send: %s", zmq_strerror(zmq_errno()));
}

uint8_t *
load_new_part(zmq_msg_t *part_out, size_t size)
{
    if (zmq_msg_init_size(part_out, size) != 0)
        load_fail("out of memory");
    return zmq_msg_data(part_out);
}
