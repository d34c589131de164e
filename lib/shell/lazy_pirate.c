// lazy_pirate.c - the socket and the clock around lazy_core.
//
// A DEALER in place of a REQ: it sends and receives what the core says, and never waits by
// itself. With ZMQ_IMMEDIATE it takes output exactly while it is connected, which is all that
// the core wants to know of the connection, so that no monitor is needed. libzmq may bring a cut
// connection back before anybody looks; while a request is out somebody always looks.
//
// No ZMTP heartbeats: a server that works, or one of another library, may be slow to answer
// them, and what decides about it is the timeout.

#include <galleon/lazy_pirate.h>

#include "cargo.h"
#include "endpoints.h"
#include "inbox.h"
#include "lazy_core.h"
#include "lazy_wire.h"
#include "log.h"
#include "must.h"
#include "sockets.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>

enum {
    FRAMES_MAX = 4096, // of a received message
    STRAYS_MAX = 1000, // messages read before the time is looked at again
    RECONNECT_MS = 100,
    RECONNECT_MS_MAX = 1000,
    HANDSHAKE_MS = 3000
};

struct lazy_pirate {
    struct endpoints endpoints;
    struct lazy_core core;
    struct lazy_effects effects;
    bool has_ids;
    void (*on_retry)(void *ctx, const char *endpoint, uint32_t attempt);
    void *ctx;

    void *handle; // the socket; NULL: none
    bool is_up;
    int epoll_fd;
    struct inbox inbox;
    size_t body_at; // of the message in the inbox

    // The call.
    zmsg_t *request;
    bool is_over;
    int result;
    zmsg_t *reply;
};

// ---- making one ----------------------------------------------------------------------

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

// read_endpoints makes one list of them; false with errno.
static bool
read_endpoints(lazy_pirate_t *self, const char *const *endpoints, size_t count)
{
    size_t room = 1;
    for (size_t i = 0; i < count; i++)
        room += strlen(endpoints[i]) + 1;
    char *list = calloc(1, room);
    if (list == NULL)
        return false;
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(list + used, room - used, "%s%s", i == 0 ? "" : ",", endpoints[i]);
    bool is_good = endpoints_init(&self->endpoints, list);
    int error = errno;
    free(list);
    errno = error;
    return is_good;
}

static bool
draw_seed(uint8_t seed[32], uint64_t given)
{
    memset(seed, 0, 32);
    memcpy(seed, &given, sizeof given);
    return given != 0 || getrandom(seed, 32, 0) == 32;
}

static bool
make_core(lazy_pirate_t *self, const lazy_pirate_options_t *options)
{
    struct lazy_config config = {
        .endpoint_count = (uint32_t)self->endpoints.count,
        .timeout_ms = or_default(options->timeout_ms, 2500),
        .attempts = or_default(options->attempts, 3),
        .deadline_ms = options->deadline_ms,
        .backoff_ms_max = options->backoff_ms_max,
        .has_ids = options->request_ids,
    };
    if (!draw_seed(config.seed, options->jitter_seed))
        return false;
    lazy_core_init(&self->core, &config);
    return true;
}

lazy_pirate_t *
lazy_pirate_new(const char *const *endpoints, size_t endpoint_count,
                const lazy_pirate_options_t *options)
{
    static const lazy_pirate_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    lazy_pirate_t *self = calloc(1, sizeof *self);
    if (self == NULL || !read_endpoints(self, endpoints, endpoint_count)) {
        free(self);
        return NULL;
    }
    self->has_ids = options->request_ids;
    self->on_retry = options->on_retry;
    self->ctx = options->ctx;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (zsys_init() == NULL || self->epoll_fd < 0 || !inbox_init(&self->inbox, FRAMES_MAX) ||
        !make_core(self, options)) {
        lazy_pirate_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- the socket ------------------------------------------------------------------------

static void
close_socket(lazy_pirate_t *self)
{
    if (self->handle == NULL)
        return;
    epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, sockets_fd(self->handle), NULL);
    sockets_set(self->handle, ZMQ_LINGER, 0);
    sockets_close(&self->handle);
    self->is_up = false;
}

static bool
connect_socket(lazy_pirate_t *self, const char *endpoint)
{
    self->handle = sockets_new(ZMQ_DEALER);
    if (self->handle == NULL)
        return false;
    sockets_set(self->handle, ZMQ_IMMEDIATE, 1);
    sockets_set(self->handle, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    sockets_set(self->handle, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX);
    sockets_set(self->handle, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE, 1);
    sockets_set(self->handle, ZMQ_IPV6, endpoints_is_ipv6(endpoint));
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, sockets_fd(self->handle), &event) == 0 &&
           zmq_connect(self->handle, endpoint) == 0;
}

// open_socket returns false where it could not be begun.
static bool
open_socket(lazy_pirate_t *self, const char *endpoint)
{
    must(self->handle == NULL);
    if (connect_socket(self, endpoint))
        return true;
    log_warn("LAZY-PIRATE-CONNECT", "endpoint=%s why=\"%s\"", endpoint, zmq_strerror(errno));
    close_socket(self);
    return false;
}

// send_request returns false where the socket refused it.
static bool
send_request(lazy_pirate_t *self, uint32_t id)
{
    struct lazy_head head;
    lazy_wire_head(&head, self->has_ids, id);
    for (size_t i = 0; i < head.frame_count; i++) {
        int error = frame_send(head.frames[i], self->handle, true);
        // Only the first frame of a message can be refused.
        if (error != 0 && i == 0)
            return false;
    }
    size_t left = zmsg_size(self->request);
    if (left == 0)
        frame_send(view_of("", 0), self->handle, false);
    // czmq shares what a frame holds with the message that it sends.
    for (zframe_t *frame = zmsg_first(self->request); frame != NULL;
         frame = zmsg_next(self->request))
        zframe_send(&frame, self->handle,
                    ZFRAME_REUSE | ZFRAME_DONTWAIT | (--left > 0 ? ZFRAME_MORE : 0));
    return true;
}

// ---- stepping the core -------------------------------------------------------------------

static void
retry(lazy_pirate_t *self, const struct lazy_effect *effect)
{
    const char *endpoint = self->endpoints.texts[effect->endpoint];
    log_info("LAZY-PIRATE-RETRY", "endpoint=%s attempt=%u", endpoint, effect->attempt);
    if (self->on_retry != NULL)
        self->on_retry(self->ctx, endpoint, effect->attempt);
}

static zmsg_t *
message_of_inbox(lazy_pirate_t *self)
{
    zmsg_t *message = zmsg_new();
    for (size_t i = self->body_at; i < self->inbox.count; i++)
        if (message != NULL &&
            zmsg_addmem(message, self->inbox.frames[i].data, self->inbox.frames[i].size) != 0)
            zmsg_destroy(&message);
    return message;
}

static void
answer(lazy_pirate_t *self, int result)
{
    must(!self->is_over);
    self->is_over = true;
    self->result = result;
    if (result != GALLEON_OK)
        return;
    self->reply = message_of_inbox(self);
    if (self->reply == NULL)
        self->result = GALLEON_NO_MEMORY;
}

// carry_out does what a step asks for. What came of it is the next event: false where there is
// none.
static bool
carry_out(lazy_pirate_t *self, struct lazy_event *event)
{
    bool has_event = false;
    for (size_t i = 0; i < self->effects.count; i++) {
        const struct lazy_effect *effect = &self->effects.list[i];
        switch (effect->kind) {
        case LAZY_OPEN:
            if (!open_socket(self, self->endpoints.texts[effect->endpoint])) {
                event->kind = LAZY_UNOPENED;
                has_event = true;
            }
            break;
        case LAZY_CLOSE:
            close_socket(self);
            break;
        case LAZY_SEND:
            if (!send_request(self, effect->id)) {
                event->kind = LAZY_UNSENT;
                has_event = true;
            }
            break;
        case LAZY_RETRY:
            retry(self, effect);
            break;
        case LAZY_ANSWER:
            answer(self, effect->result);
            break;
        }
    }
    return has_event;
}

static void
step(lazy_pirate_t *self, struct lazy_event event)
{
    do {
        event.now_ns = galleon_now_ns();
        lazy_core_step(&self->core, &event, &self->effects);
    } while (carry_out(self, &event));
}

// ---- waiting -----------------------------------------------------------------------------

static void
on_message(lazy_pirate_t *self)
{
    struct lazy_event event = {.kind = LAZY_REPLY};
    bool is_whole = self->inbox.count <= self->inbox.frames_max;
    self->body_at =
        lazy_wire_reply(self->inbox.frames, self->inbox.count, self->has_ids, &event.id);
    event.is_sound = is_whole && self->body_at > 0;
    step(self, event);
}

// look takes what the socket has for us: messages first, then whether it is connected. False:
// nothing.
static bool
look(lazy_pirate_t *self)
{
    if (self->handle == NULL)
        return false;
    int events = sockets_events(self->handle);
    if ((events & ZMQ_POLLIN) && inbox_receive(&self->inbox, self->handle)) {
        on_message(self);
        return true;
    }
    bool is_up = events & ZMQ_POLLOUT;
    if (is_up == self->is_up)
        return false;
    self->is_up = is_up;
    step(self, (struct lazy_event){.kind = is_up ? LAZY_UP : LAZY_DOWN});
    return true;
}

static void
wait_for_reply(lazy_pirate_t *self)
{
    while (!self->is_over) {
        for (size_t i = 0; i < STRAYS_MAX && !self->is_over && look(self); i++)
            continue;
        if (self->is_over)
            break;
        uint64_t deadline_ns = lazy_core_deadline(&self->core);
        if (deadline_ns <= galleon_now_ns()) {
            step(self, (struct lazy_event){.kind = LAZY_TICK});
        } else if (wait_until(self->epoll_fd, deadline_ns) == WAIT_INTERRUPTED) {
            step(self, (struct lazy_event){.kind = LAZY_CANCEL});
            self->is_over = true;
            self->result = GALLEON_INTERRUPTED;
        }
    }
}

int
lazy_pirate_call(lazy_pirate_t *self, zmsg_t **request_p, zmsg_t **reply_out)
{
    self->request = *request_p;
    *request_p = NULL;
    *reply_out = NULL;
    self->is_over = false;
    self->reply = NULL;
    // What came since the last call is stale, and a connection may have been cut.
    for (size_t i = 0; i < STRAYS_MAX && look(self); i++)
        continue;
    step(self, (struct lazy_event){.kind = LAZY_CALL});
    wait_for_reply(self);
    inbox_clear(&self->inbox);
    zmsg_destroy(&self->request);
    *reply_out = self->reply;
    return self->result;
}

void
lazy_pirate_stats(const lazy_pirate_t *self, lazy_pirate_stats_t *stats_out)
{
    const struct lazy_stats *stats = &self->core.stats;
    *stats_out = (lazy_pirate_stats_t){
        .calls = stats->calls,
        .replies = stats->replies,
        .given_up = stats->given_up,
        .requests_sent = stats->requests_sent,
        .timeouts = stats->timeouts,
        .cuts = stats->cuts,
        .unreached = stats->unreached,
        .replies_stale = stats->replies_stale,
        .replies_malformed = stats->replies_malformed,
    };
}

void
lazy_pirate_destroy(lazy_pirate_t **self_p)
{
    lazy_pirate_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    close_socket(self);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    inbox_release(&self->inbox);
    endpoints_release(&self->endpoints);
    free(self);
}
