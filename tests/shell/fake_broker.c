// fake_broker.c - poll the ROUTER and the test's commands, call the script.

#include "fake_broker.h"

#include "cargo.h"
#include "packer.h"

#include <errno.h>
#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { FRAMES_MAX = 4096, PATIENCE_S = 10 };

// ---- the thread ----------------------------------------------------------------------------

static void
count(struct fake_broker *self, unsigned *counter)
{
    pthread_mutex_lock(&self->lock);
    ++*counter;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static fake_script_fn *
script_of(struct fake_broker *self)
{
    pthread_mutex_lock(&self->lock);
    fake_script_fn *script = self->script;
    pthread_mutex_unlock(&self->lock);
    return script;
}

static void
on_question(struct fake_broker *self, const struct mdp_record *record)
{
    count(self, &self->counts.questions);
    struct view frames[2] = {VIEW_LITERAL("200"), VIEW_LITERAL("0.1 0.2 g1")};
    size_t frame_count = 2;
    if (self->mmi == FAKE_SILENT)
        return;
    if (self->mmi == FAKE_MMI) {
        frames[0] = VIEW_LITERAL("501");
        frame_count = 1;
    }
    struct mdp_record answer = {.dialect = record->dialect,
                                .command = MDP_FINAL,
                                .service = record->service,
                                .body = mdp_body_of(frames, frame_count)};
    fake_send(self, &answer);
}

static void
on_record(struct fake_broker *self, const struct mdp_record *record)
{
    if (record->command == MDP_HEARTBEAT) {
        struct mdp_record beat = {.dialect = MDP_G1, .command = MDP_HEARTBEAT};
        fake_send(self, &beat);
        count(self, &self->counts.beats);
    } else if (view_equals(record->service, VIEW_LITERAL("mmi.dialects"))) {
        on_question(self, record);
    } else if (record->command == MDP_REQUEST) {
        self->number++;
        count(self, &self->counts.requests);
        script_of(self)(self, record);
    } else if (record->command == MDP_CANCEL) {
        count(self, &self->counts.cancels);
    }
}

static void
on_message(struct fake_broker *self)
{
    struct mdp_reader reader;
    struct mdp_record record;
    count(self, &self->counts.messages);
    self->route = self->inbox.frames[0];
    if (mdp_wire_begin(&reader, self->inbox.frames, self->inbox.count, MDP_TO_BROKER, true, NULL) !=
        MDP_SOUND)
        return;
    self->has_delimiter = reader.envelope.has_delimiter;
    while (mdp_wire_next(&reader, &record))
        if (record.fault == MDP_SOUND)
            on_record(self, &record);
}

// bind makes the socket. A port that was just closed may be in use for a moment.
static bool
bind_router(struct fake_broker *self)
{
    self->router = zsock_new(ZMQ_ROUTER);
    zsock_set_sndhwm(self->router, 0);
    zsock_set_rcvhwm(self->router, 0);
    uint64_t until_ns = galleon_now_ns() + PATIENCE_S * 1000000000ull;
    while (zsock_bind(self->router, "%s", self->endpoint) < 0)
        if (galleon_now_ns() > until_ns)
            return false;
    return true;
}

static bool
on_command(struct fake_broker *self)
{
    char *command = zstr_recv(self->commands);
    bool goes_on = command != NULL && strcmp(command, "STOP") != 0;
    if (goes_on && strcmp(command, "DOWN") == 0)
        zsock_destroy(&self->router);
    bool is_done = !goes_on || strcmp(command, "UP") != 0 || bind_router(self);
    zstr_free(&command);
    zsock_signal(self->commands, is_done ? 0 : 1);
    return goes_on;
}

static void *
run(void *argument)
{
    struct fake_broker *self = argument;
    for (;;) {
        zmq_pollitem_t items[2] = {{.socket = zsock_resolve(self->commands), .events = ZMQ_POLLIN}};
        int item_count = 1;
        if (self->router != NULL)
            items[item_count++] =
                (zmq_pollitem_t){.socket = zsock_resolve(self->router), .events = ZMQ_POLLIN};
        if (zmq_poll(items, item_count, -1) < 0 && errno != EINTR)
            break;
        if ((items[0].revents & ZMQ_POLLIN) && !on_command(self))
            break;
        while (self->router != NULL && inbox_receive(&self->inbox, zsock_resolve(self->router)))
            on_message(self);
    }
    zsock_destroy(&self->router);
    return NULL;
}

// ---- the test's side -----------------------------------------------------------------------

struct fake_broker *
fake_broker_new(const char *endpoint, enum fake_mmi mmi, fake_script_fn *script, void *context)
{
    struct fake_broker *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->script = script;
    self->context = context;
    self->mmi = mmi;
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    assert_true(inbox_init(&self->inbox, FRAMES_MAX));

    snprintf(self->endpoint, sizeof self->endpoint, "%s", endpoint);
    assert_true(bind_router(self));
    size_t size = sizeof self->endpoint; // with what the system put in place of a wildcard
    zmq_getsockopt(zsock_resolve(self->router), ZMQ_LAST_ENDPOINT, self->endpoint, &size);
    self->pipe = zsys_create_pipe(&self->commands);
    assert_non_null(self->pipe);
    assert_int_equal(pthread_create(&self->thread, NULL, run, self), 0);
    return self;
}

static void
tell(struct fake_broker *self, const char *command)
{
    zstr_send(self->pipe, command);
    assert_int_equal(zsock_wait(self->pipe), 0);
}

void
fake_broker_free(struct fake_broker *self)
{
    tell(self, "STOP");
    pthread_join(self->thread, NULL);
    zsock_destroy(&self->pipe);
    zsock_destroy(&self->commands);
    inbox_release(&self->inbox);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->changed);
    free(self);
}

void
fake_broker_down(struct fake_broker *self)
{
    tell(self, "DOWN");
}

void
fake_broker_up(struct fake_broker *self)
{
    tell(self, "UP");
}

void
fake_broker_play(struct fake_broker *self, fake_script_fn *script)
{
    pthread_mutex_lock(&self->lock);
    self->script = script;
    pthread_mutex_unlock(&self->lock);
}

struct fake_counts
fake_broker_counts(struct fake_broker *self)
{
    pthread_mutex_lock(&self->lock);
    struct fake_counts counts = self->counts;
    pthread_mutex_unlock(&self->lock);
    return counts;
}

static void
wait_for(struct fake_broker *self, const unsigned *counter, unsigned least)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    int error = 0;
    pthread_mutex_lock(&self->lock);
    while (*counter < least && error == 0)
        error = pthread_cond_timedwait(&self->changed, &self->lock, &until);
    unsigned seen = *counter;
    pthread_mutex_unlock(&self->lock);
    assert_true(seen >= least);
}

void
fake_broker_wait_requests(struct fake_broker *self, unsigned requests)
{
    wait_for(self, &self->counts.requests, requests);
}

void
fake_broker_wait_cancels(struct fake_broker *self, unsigned cancels)
{
    wait_for(self, &self->counts.cancels, cancels);
}

// ---- for scripts ---------------------------------------------------------------------------

void
fake_raw(struct fake_broker *self, const struct view *frames, size_t count)
{
    void *handle = zsock_resolve(self->router);
    frame_send(self->route, handle, true);
    for (size_t i = 0; i < count; i++)
        frame_send(frames[i], handle, i + 1 < count);
}

void
fake_send(struct fake_broker *self, const struct mdp_record *record)
{
    void *handle = zsock_resolve(self->router);
    if (record->dialect == MDP_G1) {
        struct packer packer;
        packer_init(&packer, MDP_MESSAGE_BYTES_MAX);
        struct mdp_envelope envelope = {.routing_id = self->route,
                                        .has_delimiter = self->has_delimiter};
        struct packer_entry entry = {.side = MDP_CLIENT_SIDE, .command = record->command};
        struct mdp_record copy = *record;
        packer_add(&packer, &copy, NULL, &entry);
        packer_send(&packer, handle, &envelope);
        packer_release(&packer);
        return;
    }
    struct mdp_head head;
    mdp_wire_head(&head, record, self->has_delimiter);
    frame_send(self->route, handle, true);
    for (size_t i = 0; i < head.frame_count; i++)
        frame_send(head.frames[i], handle, true);
    size_t cursor = 0;
    struct view frame = VIEW_LITERAL("");
    (void)mdp_body_next(&record->body, &cursor, &frame);
    struct view next;
    while (mdp_body_next(&record->body, &cursor, &next)) {
        frame_send(frame, handle, true);
        frame = next;
    }
    frame_send(frame, handle, false);
}

void
fake_echo(struct fake_broker *self, const struct mdp_record *record)
{
    struct mdp_record answer = {.dialect = record->dialect,
                                .command = MDP_FINAL,
                                .id = record->id,
                                .status = 200,
                                .service = record->service,
                                .body = record->body};
    fake_send(self, &answer);
}

void
fake_answer(struct fake_broker *self, const struct mdp_record *record, uint16_t status,
            uint16_t parts, const char *body)
{
    struct view frame = view_of(body, strlen(body));
    struct mdp_record answer = {.dialect = record->dialect,
                                .command = MDP_FINAL,
                                .id = record->id,
                                .status = status,
                                .parts = parts,
                                .service = record->service,
                                .body = mdp_body_of(&frame, 1)};
    fake_send(self, &answer);
}

void
fake_part(struct fake_broker *self, const struct mdp_record *record, uint32_t seq, const char *body)
{
    struct view frame = view_of(body, strlen(body));
    struct mdp_record answer = {.dialect = record->dialect,
                                .command = MDP_PARTIAL,
                                .id = record->id,
                                .seq = seq,
                                .service = record->service,
                                .body = mdp_body_of(&frame, 1)};
    fake_send(self, &answer);
}
