// bstar_socket.c - options.

#include "bstar_socket.h"

#include "endpoints.h"
#include "sockets.h"

#include <errno.h>
#include <sys/epoll.h>

enum {
    SEND_QUEUE = 16,
    RECEIVE_QUEUE = 256, // of one connection
    CONNECTIONS_MAX = 64,
    RECONNECT_MS_MIN = 20,
    RECONNECT_MS_MAX = 200,
    CONNECT_MS = 1000,
    HANDSHAKE_MS = 1000,
    BEAT_MS = 250,
    BEAT_PATIENCE_MS = 1000,
    LINGER_MS = 100
};

static void
set_common(void *handle, const char *endpoint, bool is_guide)
{
    int64_t bytes_max = BSTAR_BYTES_MAX;
    zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max);
    sockets_set(handle, ZMQ_SNDHWM, SEND_QUEUE);
    sockets_set(handle, ZMQ_LINGER, LINGER_MS);
    sockets_set(handle, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    sockets_set(handle, ZMQ_TCP_KEEPALIVE, 1);
    sockets_set(handle, ZMQ_IPV6, endpoints_is_ipv6(endpoint));
    if (is_guide)
        return;
    sockets_set(handle, ZMQ_HEARTBEAT_IVL, BEAT_MS);
    sockets_set(handle, ZMQ_HEARTBEAT_TIMEOUT, BEAT_PATIENCE_MS);
    sockets_set(handle, ZMQ_HEARTBEAT_TTL, BEAT_PATIENCE_MS);
}

int
bstar_socket_bind(struct listener *listener, int type, const char *endpoint, bool is_guide)
{
    void *handle = sockets_new(type);
    *listener = (struct listener){.handle = handle};
    if (handle == NULL)
        return ENOMEM;
    set_common(handle, endpoint, is_guide);
    sockets_set(handle, ZMQ_RCVHWM, RECEIVE_QUEUE);
    if (type == ZMQ_ROUTER)
        sockets_set(handle, ZMQ_ROUTER_MANDATORY, 1);
    if (!listener_init(listener, handle, CONNECTIONS_MAX))
        return ENOMEM;
    return listener_bind(listener, endpoint);
}

void
bstar_socket_unbind(struct listener *listener)
{
    void *handle = listener->handle;
    listener_release(listener);
    sockets_close(&handle);
    listener->handle = NULL;
}

void *
bstar_socket_new(int type, const char *endpoint, bool is_guide)
{
    void *handle = sockets_new(type);
    if (handle == NULL)
        return NULL;
    set_common(handle, endpoint, is_guide);
    // A full receive queue would keep libzmq from answering PINGs, and a connection that is
    // replaced while it is full ends the process (libzmq 4.3.4).
    sockets_set(handle, ZMQ_RCVHWM, 0);
    sockets_set(handle, ZMQ_RECONNECT_IVL, RECONNECT_MS_MIN);
    sockets_set(handle, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX);
    sockets_set(handle, ZMQ_CONNECT_TIMEOUT, CONNECT_MS);
    // With it nothing waits for who is not there. That received replies are dropped with their
    // connection is no loss: their round is asked again.
    if (type == ZMQ_DEALER)
        sockets_set(handle, ZMQ_IMMEDIATE, 1);
    if (type == ZMQ_SUB)
        zmq_setsockopt(handle, ZMQ_SUBSCRIBE, "", 0);
    return handle;
}

int
bstar_socket_connect(void *handle, const char *endpoint, int epoll_fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = sockets_fd(handle)};
    bool is_begun = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) == 0 &&
                    zmq_connect(handle, endpoint) == 0;
    return is_begun ? 0 : errno;
}

void
bstar_socket_close(void **handle_p, int epoll_fd)
{
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, sockets_fd(*handle_p), NULL);
    sockets_close(handle_p);
}
