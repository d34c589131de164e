// lazy_socket.c - the socket, its options, its monitor.
//
// Not ZMQ_IMMEDIATE: with it libzmq drops what has arrived when a connection is cut, and the
// last words of a server that ends would be lost. So the socket would take a request at any
// time, and it is the monitor that says when there is somebody to take it.
//
// No ZMTP heartbeats: a server of another library may not answer them, and what decides about a
// server is the timeout of its reply.

#include "lazy_socket.h"

#include "cargo.h"
#include "endpoints.h"
#include "lazy_wire.h"
#include "monitor.h"
#include "must.h"
#include "sockets.h"

#include <errno.h>
#include <galleon/status.h>
#include <sys/epoll.h>
#include <time.h>

enum {
    RECONNECT_MS = 100,
    RECONNECT_MS_MAX = 1000,
    HANDSHAKE_MS = 3000,
    CLOSE_MS_MAX = 50,
    EVENTS = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
             ZMQ_EVENT_CONNECT_RETRIED
};

// ---- opening and closing ---------------------------------------------------------------

static bool
watch(int epoll_fd, void *handle)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sockets_fd(handle), &event) == 0;
}

static bool
begin(struct lazy_socket *self, const char *endpoint, int epoll_fd)
{
    if (self->handle == NULL)
        return false;
    sockets_set(self->handle, ZMQ_LINGER, 0);
    sockets_set(self->handle, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    sockets_set(self->handle, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX);
    sockets_set(self->handle, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE, 1);
    sockets_set(self->handle, ZMQ_RCVTIMEO, LAZY_SOCKET_SOON_MS);
    sockets_set(self->handle, ZMQ_IPV6, endpoints_is_ipv6(endpoint));
    self->monitor = monitor_open(self->handle, EVENTS);
    return self->monitor != NULL && watch(epoll_fd, self->handle) &&
           watch(epoll_fd, self->monitor) && zmq_connect(self->handle, endpoint) == 0;
}

bool
lazy_socket_open(struct lazy_socket *self, const char *endpoint, int epoll_fd)
{
    must(self->handle == NULL);
    // libzmq has no events for inproc, where a connection is made on the spot.
    *self = (struct lazy_socket){.handle = sockets_new(ZMQ_DEALER),
                                 .is_inproc = strncmp(endpoint, "inproc://", 9) == 0};
    if (begin(self, endpoint, epoll_fd))
        return true;
    int error = errno;
    lazy_socket_close(self, epoll_fd);
    errno = error;
    return false;
}

// wait_until_gone: libzmq closes in threads of its own, and tells nobody. But what is closed is
// out of the epoll set, whoever has its number then. That takes some hundred microseconds; where
// it takes longer, others need the processor more than we, or a child that was forked has it, too.
static void
wait_until_gone(int epoll_fd, int fd)
{
    const struct timespec moment = {.tv_nsec = 50000};
    uint64_t until_ns = galleon_now_ns() + CLOSE_MS_MAX * 1000000ull;
    struct epoll_event event = {.events = EPOLLIN};
    while (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 && galleon_now_ns() < until_ns)
        nanosleep(&moment, NULL);
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void
lazy_socket_close(struct lazy_socket *self, int epoll_fd)
{
    if (self->handle == NULL)
        return;
    int fd = sockets_fd(self->handle);
    int monitor_fd = self->monitor == NULL ? -1 : sockets_fd(self->monitor);
    monitor_close(self->handle, &self->monitor);
    sockets_close(&self->handle);
    wait_until_gone(epoll_fd, fd);
    wait_until_gone(epoll_fd, monitor_fd);
    *self = (struct lazy_socket){0};
}

// ---- what comes --------------------------------------------------------------------------

bool
lazy_socket_receive(struct lazy_socket *self, struct inbox *inbox)
{
    if (!inbox_receive(inbox, self->handle))
        return false;
    self->has_shaken = true; // peers older than ZMTP 3 do so without an event
    return true;
}

bool
lazy_socket_await(struct lazy_socket *self, struct inbox *inbox)
{
    return self->has_shaken && inbox_await(inbox, self->handle);
}

static enum lazy_socket_event
on_event(struct lazy_socket *self, uint16_t number)
{
    bool was_up = self->is_up;
    bool had_shaken = self->has_shaken;
    switch (number) {
    case ZMQ_EVENT_CONNECTED:
        self->is_up = true;
        return was_up ? LAZY_SOCKET_NOTHING : LAZY_SOCKET_UP;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        self->has_shaken = true;
        return LAZY_SOCKET_NOTHING;
    case ZMQ_EVENT_DISCONNECTED:
        self->is_up = false;
        self->has_shaken = false;
        if (!was_up)
            return LAZY_SOCKET_NOTHING;
        return had_shaken ? LAZY_SOCKET_CUT : LAZY_SOCKET_UNSENT;
    default:
        return was_up ? LAZY_SOCKET_NOTHING : LAZY_SOCKET_REFUSED;
    }
}

enum lazy_socket_event
lazy_socket_event(struct lazy_socket *self)
{
    if (self->is_inproc && !self->is_up) {
        self->is_up = true;
        return LAZY_SOCKET_UP;
    }
    uint16_t number;
    while ((number = monitor_next(self->monitor)) != 0) {
        enum lazy_socket_event event = on_event(self, number);
        if (event != LAZY_SOCKET_NOTHING)
            return event;
    }
    return LAZY_SOCKET_NOTHING;
}

// ---- what goes ---------------------------------------------------------------------------

bool
lazy_socket_send(struct lazy_socket *self, bool has_id, uint32_t id, zmsg_t *request)
{
    struct lazy_head head;
    lazy_wire_head(&head, has_id, id);
    for (size_t i = 0; i < head.frame_count; i++) {
        int error = frame_send(head.frames[i], self->handle, true);
        // Only the first frame of a message can be refused.
        if (error != 0 && i == 0)
            return false;
    }
    size_t left = zmsg_size(request);
    if (left == 0)
        frame_send(view_of("", 0), self->handle, false);
    for (zframe_t *frame = zmsg_first(request); frame != NULL; frame = zmsg_next(request)) {
        int flags = ZFRAME_REUSE | ZFRAME_DONTWAIT | (--left > 0 ? ZFRAME_MORE : 0);
        zframe_send(&frame, self->handle, flags);
    }
    return true;
}
