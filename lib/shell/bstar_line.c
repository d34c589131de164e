// bstar_line.c - a socket and its monitor.

#include "bstar_line.h"

#include "bstar_socket.h"
#include "log.h"
#include "monitor.h"
#include "sockets.h"

#include <errno.h>

enum {
    EVENTS = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
             ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
};

// An attempt to connect takes up to a second.
static const uint64_t quiet_ns_max = 1500000000u;

static int
begin(struct bstar_line *self)
{
    self->is_up = false;
    self->is_joined = false;
    self->quiet_ns = 0;
    self->handle = bstar_socket_new(self->type, self->endpoint, self->is_guide);
    if (self->handle == NULL)
        return ENOMEM;
    self->monitor = monitor_open(self->handle, EVENTS);
    if (self->monitor == NULL)
        return ENOMEM;
    return bstar_socket_connect(self->handle, self->endpoint, self->epoll_fd);
}

int
bstar_line_open(struct bstar_line *self, int type, const char *endpoint, bool is_guide,
                int epoll_fd)
{
    *self = (struct bstar_line){
        .type = type, .endpoint = endpoint, .is_guide = is_guide, .epoll_fd = epoll_fd};
    return begin(self);
}

void
bstar_line_close(struct bstar_line *self)
{
    if (self->handle == NULL)
        return;
    monitor_close(self->handle, &self->monitor);
    bstar_socket_close(&self->handle, self->epoll_fd);
}

void
bstar_line_drop(struct bstar_line *self)
{
    bstar_line_close(self);
    int error = begin(self);
    if (error == 0)
        return;
    log_error("PAIR-CONNECT", "endpoint=%s why=\"%s\"", self->endpoint, zmq_strerror(error));
    bstar_line_close(self);
}

// count_failure says of an endpoint that it lets nobody in, once a minute; not of the first time:
// what is there may just have been ending.
static void
count_failure(struct bstar_line *self, uint64_t now_ns)
{
    static const uint64_t pause_ns = 60 * UINT64_C(1000000000);
    self->failures++;
    if (self->failures < 2 || (self->said_ns != 0 && now_ns - self->said_ns < pause_ns))
        return;
    self->said_ns = now_ns;
    log_warn("PAIR-HANDSHAKE", "endpoint=%s attempts=%llu perhaps=\"%s\"", self->endpoint,
             (unsigned long long)self->failures,
             "only one of the two halves has --witness, or this is the port of something else, or "
             "of a process that is stopped");
}

// follow takes an event. Of a socket that does not fit ours we mostly hear that it is gone again,
// and of an old libzmq, such as a Guide's half may have, nothing in between.
static void
follow(struct bstar_line *self, uint16_t number, uint64_t now_ns)
{
    bool is_knocking = self->is_up && !self->is_joined && !self->is_guide;
    self->is_joined = number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    self->is_up = self->is_joined || number == ZMQ_EVENT_CONNECTED;
    self->quiet_ns = now_ns;
    if (self->is_joined)
        self->failures = 0;
    else if (is_knocking && !self->is_up)
        count_failure(self, now_ns);
}

void
bstar_line_look(struct bstar_line *self, uint64_t now_ns)
{
    // libzmq has no events for inproc, where a connection is made on the spot.
    if (self->endpoint == NULL || strncmp(self->endpoint, "inproc://", 9) == 0)
        return;
    if (self->quiet_ns == 0)
        self->quiet_ns = now_ns;
    uint16_t number;
    while (self->monitor != NULL && (number = monitor_next(self->monitor)) != 0)
        follow(self, number, now_ns);
    if (!self->is_up && now_ns > self->quiet_ns + quiet_ns_max)
        bstar_line_drop(self);
}
