// fake_server.c - poll the ROUTER and the test's commands, call the script.

#include "fake_server.h"

#include <errno.h>
#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { PATIENCE_S = 10, LINGER_MS = 5000 };

// ---- the thread ----------------------------------------------------------------------------

static void
on_message(struct fake_server *self)
{
    zmsg_t *message = zmsg_recv(self->router);
    unsigned number = self->requests + 1; // nobody else writes it
    if (message == NULL || number > FAKE_SERVER_REQUESTS_MAX) {
        zmsg_destroy(&message);
        return;
    }
    zmsg_t *envelope = zmsg_new();
    zframe_t *frame = zmsg_pop(message);
    zmsg_append(envelope, &frame);
    bool is_end = false;
    while (!is_end && (frame = zmsg_pop(message)) != NULL) {
        is_end = zframe_size(frame) == 0;
        zmsg_append(envelope, &frame);
    }
    self->envelopes[number - 1] = envelope;
    self->bodies[number - 1] = message;
    self->script(self, number);

    pthread_mutex_lock(&self->lock);
    self->requests = number;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

// bind_router makes the socket. A port that was just closed may be in use for a moment.
static bool
bind_router(struct fake_server *self)
{
    self->router = zsock_new(ZMQ_ROUTER);
    zsock_set_linger(self->router, LINGER_MS);
    uint64_t until_ns = galleon_now_ns() + PATIENCE_S * 1000000000ull;
    while (zsock_bind(self->router, "%s", self->endpoint) < 0)
        if (galleon_now_ns() > until_ns)
            return false;
    return true;
}

static void
run(zsock_t *pipe, void *argument)
{
    struct fake_server *self = argument;
    self->pipe = pipe;
    zsock_signal(pipe, 0);
    bool goes_on = true;
    while (goes_on) {
        zmq_pollitem_t items[2] = {{.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN}};
        int item_count = 1;
        if (self->router != NULL)
            items[item_count++] =
                (zmq_pollitem_t){.socket = zsock_resolve(self->router), .events = ZMQ_POLLIN};
        if (zmq_poll(items, item_count, -1) < 0 && errno != EINTR)
            break;
        if (items[0].revents & ZMQ_POLLIN) {
            char *command = zstr_recv(pipe);
            goes_on = command != NULL && strcmp(command, "$TERM") != 0;
            if (goes_on)
                zsock_signal(pipe, bind_router(self) ? 0 : 1);
            zstr_free(&command);
        } else if (item_count == 2 && (items[1].revents & ZMQ_POLLIN)) {
            on_message(self);
        }
    }
    if (self->router != NULL)
        zsock_set_linger(self->router, 0);
    zsock_destroy(&self->router);
}

// ---- the test's side -----------------------------------------------------------------------

struct fake_server *
fake_server_new(const char *endpoint, fake_server_script_fn *script)
{
    struct fake_server *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->script = script;
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    snprintf(self->endpoint, sizeof self->endpoint, "%s", endpoint);
    assert_true(bind_router(self));
    size_t size = sizeof self->endpoint; // with what the system put in place of a wildcard
    zmq_getsockopt(zsock_resolve(self->router), ZMQ_LAST_ENDPOINT, self->endpoint, &size);
    self->actor = zactor_new(run, self);
    assert_non_null(self->actor);
    return self;
}

void
fake_server_free(struct fake_server *self)
{
    zactor_destroy(&self->actor);
    for (size_t i = 0; i < FAKE_SERVER_REQUESTS_MAX; i++) {
        zmsg_destroy(&self->envelopes[i]);
        zmsg_destroy(&self->bodies[i]);
    }
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->changed);
    free(self);
}

void
fake_server_revive(struct fake_server *self)
{
    zstr_send(self->actor, "REVIVE");
    assert_int_equal(zsock_wait(self->actor), 0);
}

void
fake_server_wait(struct fake_server *self, unsigned requests)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    int error = 0;
    pthread_mutex_lock(&self->lock);
    while (self->requests < requests && error == 0)
        error = pthread_cond_timedwait(&self->changed, &self->lock, &until);
    unsigned seen = self->requests;
    pthread_mutex_unlock(&self->lock);
    assert_true(seen >= requests);
}

bool
fake_server_is_same_socket(struct fake_server *self, unsigned a, unsigned b)
{
    fake_server_wait(self, a > b ? a : b);
    return zframe_eq(zmsg_first(self->envelopes[a - 1]), zmsg_first(self->envelopes[b - 1]));
}

// ---- for scripts ---------------------------------------------------------------------------

void
fake_server_raw(struct fake_server *self, unsigned number, const char *const *frames)
{
    zmsg_t *message = zmsg_new();
    zframe_t *route = zframe_dup(zmsg_first(self->envelopes[number - 1]));
    zmsg_append(message, &route);
    for (; *frames != NULL; frames++)
        zmsg_addstr(message, *frames);
    zmsg_send(&message, self->router);
}

static void
send_behind_envelope(struct fake_server *self, unsigned number, zmsg_t *body)
{
    zmsg_t *message = zmsg_dup(self->envelopes[number - 1]);
    zframe_t *frame;
    while ((frame = zmsg_pop(body)) != NULL)
        zmsg_append(message, &frame);
    zmsg_destroy(&body);
    zmsg_send(&message, self->router);
}

void
fake_server_echo(struct fake_server *self, unsigned number)
{
    send_behind_envelope(self, number, zmsg_dup(self->bodies[number - 1]));
}

void
fake_server_reply(struct fake_server *self, unsigned number, const char *body)
{
    zmsg_t *message = zmsg_new();
    zmsg_addstr(message, body);
    send_behind_envelope(self, number, message);
}

void
fake_server_die(struct fake_server *self, unsigned number)
{
    (void)number;
    zsock_destroy(&self->router);
}
