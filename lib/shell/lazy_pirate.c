// lazy_pirate.c - the socket and the clock around lazy_core.
//
// Everything happens inside a call: what has arrived is read before the connection is judged,
// and the connection before the time.

#include <galleon/lazy_pirate.h>

#include "endpoints.h"
#include "lazy_core.h"
#include "lazy_socket.h"
#include "lazy_wire.h"
#include "log.h"
#include "making.h"
#include "must.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>

enum {
    FRAMES_MAX = 4096, // of a received message
    STRAYS_MAX = 1000  // messages read before the time is looked at again
};

struct lazy_pirate {
    struct endpoints endpoints;
    struct lazy_core core;
    struct lazy_effects effects;
    bool has_ids;
    void (*on_retry)(void *ctx, const char *endpoint, uint32_t attempt);
    void *ctx;

    struct lazy_socket socket;
    enum lazy_socket_event untold; // to be told once what has arrived is read
    bool was_woken;                // the connection may have something new
    bool has_sent;                 // just now
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
    lazy_socket_close(&self->socket, self->epoll_fd);
    self->untold = LAZY_SOCKET_NOTHING;
}

// open_socket returns false where it could not be begun.
static bool
open_socket(lazy_pirate_t *self, const char *endpoint)
{
    self->was_woken = true;
    if (lazy_socket_open(&self->socket, endpoint, self->epoll_fd))
        return true;
    log_warn("LAZY-PIRATE-CONNECT", "endpoint=%s why=\"%s\"", endpoint, zmq_strerror(errno));
    return false;
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
            self->has_sent =
                lazy_socket_send(&self->socket, self->has_ids, effect->id, self->request);
            if (!self->has_sent) {
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

static void
on_connection(lazy_pirate_t *self)
{
    static const enum lazy_event_kind kinds[] = {
        [LAZY_SOCKET_UP] = LAZY_UP,
        [LAZY_SOCKET_CUT] = LAZY_DOWN,
        [LAZY_SOCKET_UNSENT] = LAZY_UNSENT,
        [LAZY_SOCKET_REFUSED] = LAZY_DOWN,
    };
    enum lazy_socket_event event = self->untold;
    self->untold = LAZY_SOCKET_NOTHING;
    step(self, (struct lazy_event){.kind = kinds[event]});
}

// look takes one thing that the socket has for us. False: nothing.
static bool
look(lazy_pirate_t *self)
{
    if (self->socket.handle == NULL)
        return false;
    if (lazy_socket_receive(&self->socket, &self->inbox)) {
        self->was_woken = false; // by this; if by something else too, the next wait tells
        on_message(self);
        return true;
    }
    if (self->untold != LAZY_SOCKET_NOTHING) {
        on_connection(self);
        return true;
    }
    if (self->was_woken)
        self->untold = lazy_socket_event(&self->socket);
    self->was_woken = self->untold != LAZY_SOCKET_NOTHING;
    return self->was_woken;
}

// look_around takes all of it, but for a flood.
static void
look_around(lazy_pirate_t *self)
{
    for (size_t i = 0; i < STRAYS_MAX && !self->is_over && look(self); i++)
        continue;
}

static void
interrupt(lazy_pirate_t *self)
{
    step(self, (struct lazy_event){.kind = LAZY_CANCEL});
    self->is_over = true;
    self->result = GALLEON_INTERRUPTED;
}

// await_soon: most replies come at once. They are waited for as a REQ socket would, for so short
// a time that neither a cut nor a signal has to wait for long.
static void
await_soon(lazy_pirate_t *self)
{
    uint64_t until_ns = galleon_now_ns() + LAZY_SOCKET_SOON_MS * 1000000ull;
    self->has_sent = false;
    if (lazy_core_deadline(&self->core) > until_ns &&
        lazy_socket_await(&self->socket, &self->inbox))
        on_message(self);
}

static void
wait_for_reply(lazy_pirate_t *self)
{
    for (;;) {
        if (self->has_sent)
            await_soon(self);
        look_around(self);
        if (self->is_over)
            return;
        uint64_t deadline_ns = lazy_core_deadline(&self->core);
        if (deadline_ns <= galleon_now_ns())
            step(self, (struct lazy_event){.kind = LAZY_TICK});
        else if (wait_until(self->epoll_fd, deadline_ns) == WAIT_INTERRUPTED)
            interrupt(self);
        self->was_woken = true;
    }
}

int
lazy_pirate_call(lazy_pirate_t *self, zmsg_t **request_p, zmsg_t **reply_out)
{
    self->request = *request_p;
    self->reply = NULL;
    self->is_over = false;
    self->was_woken = true;
    *request_p = NULL;
    *reply_out = NULL;
    // What came since the last call is stale, and the connection may have been cut.
    look_around(self);
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
