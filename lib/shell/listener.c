// listener.c - bind, count, take no more, take them again.

#include "listener.h"

#include "endpoints.h"
#include "log.h"
#include "sockets.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>

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
    int events = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(handle, name, events) != 0)
        return false;
    self->monitor = sockets_new(ZMQ_PAIR);
    if (self->monitor == NULL)
        return false;
    // libzmq's I/O thread waits where its events find no room.
    sockets_set(self->monitor, ZMQ_RCVHWM, 0);
    return zmq_connect(self->monitor, name) == 0;
}

void
listener_release(struct listener *self)
{
    if (self->handle != NULL)
        zmq_socket_monitor(self->handle, NULL, 0);
    sockets_close(&self->monitor);
}

int
listener_bind(struct listener *self, const char *endpoint)
{
    if (self->endpoint_count == LISTENER_ENDPOINTS_MAX)
        return ENOSPC;
    int is_ipv6 = endpoints_is_ipv6(endpoint);
    if (zmq_setsockopt(self->handle, ZMQ_IPV6, &is_ipv6, sizeof is_ipv6) != 0 ||
        zmq_bind(self->handle, endpoint) != 0)
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
    return sockets_fd(self->monitor);
}

// take_no_more has the kernel drop what arrives at the listening sockets: a filter that
// keeps no byte of any packet.
static void
take_no_more(struct listener *self)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    for (size_t i = 0; i < self->fd_count; i++)
        (void)setsockopt(self->fds[i], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    self->is_closed = true;
    log_error("MDP-CONNECTIONS-FULL", "connections=%zu max=%zu endpoint=%s", self->connections,
              self->connections_max, listener_endpoint(self));
}

static void
take_again(struct listener *self)
{
    int ignored = 0;
    for (size_t i = 0; i < self->fd_count; i++)
        (void)setsockopt(self->fds[i], SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored);
    self->is_closed = false;
    log_warn("MDP-CONNECTIONS-TAKEN-AGAIN", "connections=%zu max=%zu endpoint=%s",
             self->connections, self->connections_max, listener_endpoint(self));
}

static void
judge(struct listener *self)
{
    size_t percent = self->connections * 100 / self->connections_max;
    if (percent >= CLOSE_PERCENT && !self->is_closed)
        take_no_more(self);
    if (percent < WARN_PERCENT && self->is_closed)
        take_again(self);
    if (percent >= WARN_PERCENT && !self->is_warned)
        log_warn("MDP-CONNECTIONS-MANY", "connections=%zu max=%zu endpoint=%s", self->connections,
                 self->connections_max, listener_endpoint(self));
    self->is_warned = percent >= WARN_PERCENT;
}

// An event of libzmq's: a number of 16 bits and a value of 32 in a first frame, the
// address in a second.
struct event {
    uint16_t number;
    int32_t value;
};

static bool
next_event(struct listener *self, struct event *event_out)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    int size = zmq_msg_recv(&message, self->monitor, ZMQ_DONTWAIT);
    *event_out = (struct event){0};
    if (size >= 6) {
        const uint8_t *data = zmq_msg_data(&message);
        memcpy(&event_out->number, data, sizeof event_out->number);
        memcpy(&event_out->value, data + 2, sizeof event_out->value);
    }
    while (size >= 0 && zmq_msg_more(&message))
        if (zmq_msg_recv(&message, self->monitor, ZMQ_DONTWAIT) < 0)
            break;
    zmq_msg_close(&message);
    return size >= 0;
}

void
listener_pump(struct listener *self)
{
    struct event event;
    while (next_event(self, &event)) {
        if (event.number == ZMQ_EVENT_LISTENING && self->fd_count < LISTENER_ENDPOINTS_MAX)
            self->fds[self->fd_count++] = event.value;
        if (event.number == ZMQ_EVENT_ACCEPTED)
            self->connections++;
        if (event.number == ZMQ_EVENT_DISCONNECTED && self->connections > 0)
            self->connections--;
        judge(self);
    }
}
