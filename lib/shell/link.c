// link.c - the socket, its options, its monitor.
//
// Up is what can be sent on. With ZMQ_IMMEDIATE: the monitor has said CONNECTED, and
// the socket, which has no pipe before the handshake is done, takes output. The
// monitor alone would be too early; POLLOUT alone would take the pipe of a
// connection that has just been cut for a new one. Without it the pipe is there from
// the beginning, and the monitor tells of the handshake; but for peers older than ZMTP
// 3, which is libzmq before 4.0, it does not (and a limit to it would end their
// connections over and over): they are given a second. A process that is stopped,
// whose connections the kernel accepts, looks the same; its attempts time out.
//
// In libzmq 4.3.4 the pipe that IMMEDIATE takes away at a cut takes along what had
// arrived and was not read yet.

#include "link.h"

#include "endpoints.h"
#include "monitor.h"
#include "sockets.h"

#include <errno.h>
#include <galleon/status.h>
#include <sys/epoll.h>

enum {
    RECONNECT_MS_MIN = 100,
    RECONNECT_MS_MAX = 1000, // a broker that comes back has its workers so soon
    RECONNECT_MS_NEVER = 3600 * 1000,
    CONNECT_MS = 3000, // the system's own patience with a dead host has two minutes
    HANDSHAKE_MS = 3000,
    SHAKEN_MS = 1200, // a peer of old has done it by then
    BEAT_MS = 1000,   // of ZMTP: by it both ends notice a dead connection
    BEAT_PATIENCE_MS = LINK_SILENCE_MS,
    LINGER_MS = 0 // until link_close says otherwise
};

static const uint64_t ns_per_ms = 1000000;

static void
set_options(void *handle, enum link_manner manner, const char *routing_id)
{
    bool is_once = manner == LINK_READS_ON;
    sockets_set(handle, ZMQ_RCVHWM, 0);
    sockets_set(handle, ZMQ_LINGER, LINGER_MS);
    sockets_set(handle, ZMQ_IMMEDIATE, !is_once);
    // Without an interval libzmq would close the socket's end, and what it holds, at a cut.
    sockets_set(handle, ZMQ_RECONNECT_IVL, is_once ? RECONNECT_MS_NEVER : RECONNECT_MS_MIN);
    sockets_set(handle, ZMQ_RECONNECT_IVL_MAX, is_once ? 0 : RECONNECT_MS_MAX);
    sockets_set(handle, ZMQ_CONNECT_TIMEOUT, CONNECT_MS);
    sockets_set(handle, ZMQ_HANDSHAKE_IVL, is_once ? 0 : HANDSHAKE_MS);
    sockets_set(handle, ZMQ_TCP_KEEPALIVE, 1);
    // Safe here only because RCVHWM is 0: input is never stopped.
    sockets_set(handle, ZMQ_HEARTBEAT_IVL, BEAT_MS);
    sockets_set(handle, ZMQ_HEARTBEAT_TIMEOUT, BEAT_PATIENCE_MS);
    sockets_set(handle, ZMQ_HEARTBEAT_TTL, BEAT_PATIENCE_MS);
    if (routing_id != NULL)
        zmq_setsockopt(handle, ZMQ_ROUTING_ID, routing_id, strlen(routing_id));
}

static int
events_of(enum link_manner manner)
{
    int events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED;
    if (manner == LINK_READS_ON)
        events |= ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_CONNECT_RETRIED;
    return events;
}

int
link_open(struct link *self, enum link_manner manner, const char *endpoint, const char *routing_id,
          size_t message_bytes_max)
{
    *self =
        (struct link){.handle = sockets_new(ZMQ_DEALER), .manner = manner, .shaken_ns = UINT64_MAX};
    packer_init(&self->packer, message_bytes_max);
    if (self->handle == NULL)
        return GALLEON_NO_MEMORY;
    set_options(self->handle, manner, routing_id);
    sockets_set(self->handle, ZMQ_IPV6, endpoints_is_ipv6(endpoint));
    self->monitor = monitor_open(self->handle, events_of(manner));
    int status = self->monitor == NULL ? GALLEON_NO_MEMORY : GALLEON_OK;
    if (status == GALLEON_OK && zmq_connect(self->handle, endpoint) != 0)
        status = errno == EMFILE || errno == ENOMEM ? GALLEON_NO_MEMORY : GALLEON_PROTOCOL;
    // libzmq has no events for inproc, where a connection is made on the spot.
    self->is_connected = self->has_shaken = strncmp(endpoint, "inproc://", 9) == 0;
    if (status != GALLEON_OK)
        link_close(self, 0);
    return status;
}

void
link_close(struct link *self, int linger_ms)
{
    if (self->handle == NULL)
        return;
    sockets_set(self->handle, ZMQ_LINGER, linger_ms);
    monitor_close(self->handle, &self->monitor);
    sockets_close(&self->handle);
    packer_release(&self->packer);
    *self = (struct link){0};
}

// ---- descriptors ------------------------------------------------------------------

int
link_watch(struct link *self, int epoll_fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sockets_fd(self->handle), &event) != 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sockets_fd(self->monitor), &event) != 0)
        return errno;
    return 0;
}

void
link_unwatch(struct link *self, int epoll_fd)
{
    if (self->handle == NULL)
        return;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, sockets_fd(self->handle), NULL);
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, sockets_fd(self->monitor), NULL);
}

// ---- events -----------------------------------------------------------------------

// on_end is for a connection that is cut, or was never made.
static enum link_event
on_end(struct link *self)
{
    bool was_up = self->is_up;
    self->is_connected = self->is_up = self->has_shaken = false;
    self->shaken_ns = UINT64_MAX;
    if (was_up)
        return LINK_DOWN;
    return self->manner == LINK_READS_ON ? LINK_REFUSED : LINK_NOTHING;
}

static enum link_event
on_event(struct link *self, uint16_t number)
{
    switch (number) {
    case ZMQ_EVENT_CONNECTED:
        self->is_connected = true;
        self->shaken_ns = galleon_now_ns() + SHAKEN_MS * ns_per_ms;
        return LINK_NOTHING;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        self->has_shaken = true;
        return LINK_NOTHING;
    default:
        return on_end(self);
    }
}

// takes_output: would what is sent go out?
static bool
takes_output(struct link *self)
{
    if (!self->is_connected)
        return false;
    if (self->manner == LINK_READS_ON)
        return self->has_shaken || galleon_now_ns() >= self->shaken_ns;
    return sockets_events(self->handle) & ZMQ_POLLOUT;
}

enum link_event
link_event(struct link *self)
{
    if (self->handle == NULL)
        return LINK_NOTHING;
    uint16_t number;
    while ((number = monitor_next(self->monitor)) != 0) {
        enum link_event event = on_event(self, number);
        if (event != LINK_NOTHING)
            return event;
    }
    if (!self->is_up && takes_output(self)) {
        self->is_up = true;
        return LINK_UP;
    }
    return LINK_NOTHING;
}

uint64_t
link_deadline(const struct link *self)
{
    bool is_shaking = self->handle != NULL && self->manner == LINK_READS_ON && self->is_connected &&
                      !self->is_up && !self->has_shaken;
    return is_shaking ? self->shaken_ns : UINT64_MAX;
}

bool
link_has_input(struct link *self)
{
    if (self->handle == NULL)
        return false;
    if (sockets_events(self->handle) & ZMQ_POLLIN)
        return true;
    if (!self->is_up && takes_output(self))
        return true;
    return sockets_events(self->monitor) & ZMQ_POLLIN;
}

// ---- sending ------------------------------------------------------------------------

static bool
has_body(const struct mdp_record *record)
{
    return record->command == MDP_REQUEST || record->command == MDP_PARTIAL ||
           record->command == MDP_FINAL;
}

// send_body sends the frames of `first`, then those of `cargo` (NULL: none), as the last
// of a message.
static void
send_body(void *handle, const struct mdp_body *first, const struct cargo *cargo)
{
    struct mdp_body rest = {0};
    if (cargo != NULL)
        rest = cargo_body(cargo);
    // A caller may have put the cargo's body into the record already.
    bool is_same = rest.frames == first->frames && rest.packed.data == first->packed.data;
    size_t count = is_same ? 0 : first->count;
    size_t cursor = 0;
    struct view frame;
    for (size_t i = 0; i < count && mdp_body_next(first, &cursor, &frame); i++)
        frame_send(frame, handle, i + 1 < count || rest.count > 0);
    if (rest.count > 0)
        cargo_send(cargo, handle);
    else if (count == 0)
        frame_send(view_of("", 0), handle, false);
}

// send_head sends the frames in front of a body, or those of a whole message.
static int
send_head(void *handle, const struct view *frames, size_t count, bool is_more)
{
    for (size_t i = 0; i < count; i++) {
        int error = frame_send(frames[i], handle, is_more || i + 1 < count);
        // Only the first frame of a message can be refused.
        if (error != 0 && i == 0)
            return error;
    }
    return 0;
}

int
link_send(struct link *self, const struct mdp_record *record, bool has_delimiter,
          const struct cargo *body)
{
    struct mdp_head head;
    mdp_wire_head(&head, record, has_delimiter);
    int error = send_head(self->handle, head.frames, head.frame_count, has_body(record));
    if (error == 0 && has_body(record))
        send_body(self->handle, &record->body, body);
    return error;
}

int
link_send_frames(struct link *self, const struct view *frames, size_t count, bool is_more,
                 const struct cargo *body)
{
    static const struct mdp_body none;
    int error = send_head(self->handle, frames, count, is_more);
    if (error == 0 && is_more)
        send_body(self->handle, &none, body);
    return error;
}
