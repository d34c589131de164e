// listener.c - bind, count, stop listening, listen again.

#include "listener.h"

#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum {
    DESCRIPTORS_SPARE = 256, // for the process itself
    WARN_PERCENT = 80,
    CLOSE_PERCENT = 90
};

static size_t
descriptors_for_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= 2 * DESCRIPTORS_SPARE)
        return DESCRIPTORS_SPARE;
    return (size_t)limit.rlim_cur - DESCRIPTORS_SPARE;
}

bool
listener_init(struct listener *self, void *handle, size_t connections_max)
{
    static atomic_uint number;
    char name[64];
    *self = (struct listener){.handle = handle, .connections_max = connections_max};
    if (connections_max == 0)
        self->connections_max = descriptors_for_connections();
    snprintf(name, sizeof name, "inproc://galleon-listener-%u", atomic_fetch_add(&number, 1));
    if (zmq_socket_monitor(handle, name, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0)
        return false;
    self->monitor = zsock_new(ZMQ_PAIR);
    if (self->monitor == NULL)
        return false;
    // libzmq's I/O thread waits where its events find no room.
    zsock_set_rcvhwm(self->monitor, 0);
    return zmq_connect(zsock_resolve(self->monitor), name) == 0;
}

void
listener_release(struct listener *self)
{
    if (self->handle != NULL)
        zmq_socket_monitor(self->handle, NULL, 0);
    zsock_destroy(&self->monitor);
}

int
listener_bind(struct listener *self, const char *endpoint)
{
    if (self->endpoint_count == LISTENER_ENDPOINTS_MAX)
        return ENOSPC;
    if (zmq_bind(self->handle, endpoint) != 0)
        return zmq_errno();
    char *bound = self->endpoints[self->endpoint_count];
    size_t size = LISTENER_ENDPOINT_BYTES;
    if (zmq_getsockopt(self->handle, ZMQ_LAST_ENDPOINT, bound, &size) != 0)
        return zmq_errno();
    self->endpoint_count++;
    return 0;
}

const char *
listener_endpoint(const struct listener *self)
{
    return self->endpoint_count == 0 ? "" : self->endpoints[self->endpoint_count - 1];
}

int
listener_fd(const struct listener *self)
{
    return zsock_fd(self->monitor);
}

// is_counted: inproc has no connections that cost a descriptor, and cannot be bound
// again while it has peers.
static bool
is_counted(const char *endpoint)
{
    return strncmp(endpoint, "inproc:", 7) != 0;
}

static void
stop_listening(struct listener *self)
{
    log_error("MDP-CONNECTIONS-FULL", "connections=%zu max=%zu", self->connections,
              self->connections_max);
    self->is_closed = true;
    for (size_t i = 0; i < self->endpoint_count; i++)
        if (is_counted(self->endpoints[i]))
            (void)zmq_unbind(self->handle, self->endpoints[i]);
}

// listen_again may find that libzmq has not let go of the address yet: then it stays
// closed, and is tried again at the next event.
static void
listen_again(struct listener *self)
{
    for (size_t i = 0; i < self->endpoint_count; i++)
        if (is_counted(self->endpoints[i]) && zmq_bind(self->handle, self->endpoints[i]) != 0 &&
            zmq_errno() != EADDRINUSE)
            log_error("MDP-CANNOT-LISTEN", "endpoint=%s why=\"%s\"", self->endpoints[i],
                      zmq_strerror(zmq_errno()));
    self->is_closed = false;
    log_warn("MDP-LISTENING-AGAIN", "connections=%zu max=%zu", self->connections,
             self->connections_max);
}

static void
judge(struct listener *self)
{
    size_t percent = self->connections * 100 / self->connections_max;
    if (percent >= CLOSE_PERCENT && !self->is_closed)
        stop_listening(self);
    if (percent < WARN_PERCENT && self->is_closed)
        listen_again(self);
    if (percent >= WARN_PERCENT && !self->is_warned)
        log_warn("MDP-CONNECTIONS-MANY", "connections=%zu max=%zu", self->connections,
                 self->connections_max);
    self->is_warned = percent >= WARN_PERCENT;
}

// count takes one event: a number of 16 bits in a first frame, the address in a second.
static bool
count(struct listener *self)
{
    void *handle = zsock_resolve(self->monitor);
    uint16_t number = 0;
    zmq_msg_t message;
    zmq_msg_init(&message);
    int size = zmq_msg_recv(&message, handle, ZMQ_DONTWAIT);
    if (size >= (int)sizeof number)
        memcpy(&number, zmq_msg_data(&message), sizeof number);
    while (size >= 0 && zmq_msg_more(&message))
        if (zmq_msg_recv(&message, handle, ZMQ_DONTWAIT) < 0)
            break;
    zmq_msg_close(&message);
    if (number == ZMQ_EVENT_ACCEPTED)
        self->connections++;
    if (number == ZMQ_EVENT_DISCONNECTED && self->connections > 0)
        self->connections--;
    return size >= 0;
}

void
listener_pump(struct listener *self)
{
    while (count(self))
        judge(self);
}
