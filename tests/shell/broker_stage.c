// broker_stage.c - one thread for the broker, sockets for its peers.

#include "broker_stage.h"

#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, FRAMES_MAX = 300, PACK_BYTES = 65536 };

// ---- the broker ------------------------------------------------------------------------------

static void
say(struct stage *self, bool *what)
{
    pthread_mutex_lock(&self->lock);
    *what = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void *
serve(void *context)
{
    struct stage *self = context;
    self->broker = mdp_broker_new(&self->options);
    if (self->broker != NULL && mdp_broker_bind(self->broker, self->bind) == GALLEON_OK)
        snprintf(self->endpoint, sizeof self->endpoint, "%s", mdp_broker_endpoint(self->broker));
    say(self, &self->is_up);
    if (self->broker != NULL)
        self->result = mdp_broker_run(self->broker);
    say(self, &self->is_over);
    return NULL;
}

static void
wait_for(struct stage *self, const bool *what)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    int error = 0;
    pthread_mutex_lock(&self->lock);
    while (!*what && error == 0)
        error = pthread_cond_timedwait(&self->changed, &self->lock, &end);
    bool has_come = *what;
    pthread_mutex_unlock(&self->lock);
    assert_true(has_come);
}

void
stage_open(struct stage *self, const char *bind, const mdp_broker_options_t *options)
{
    *self = (struct stage){.bind = bind, .lock = PTHREAD_MUTEX_INITIALIZER};
    if (options != NULL)
        self->options = *options;
    pthread_cond_init(&self->changed, NULL);
    assert_int_equal(pthread_create(&self->thread, NULL, serve, self), 0);
    wait_for(self, &self->is_up);
    assert_non_null(self->broker);
    assert_string_not_equal(self->endpoint, "");
}

int
stage_join(struct stage *self)
{
    if (self->broker == NULL)
        return self->result;
    wait_for(self, &self->is_over);
    pthread_join(self->thread, NULL);
    mdp_broker_destroy(&self->broker);
    pthread_cond_destroy(&self->changed);
    return self->result;
}

void
stage_close(struct stage *self)
{
    if (self->broker == NULL)
        return;
    mdp_broker_drain(self->broker);
    assert_int_equal(stage_join(self), GALLEON_OK);
}

void
stage_wait(struct stage *self, stage_test_fn *is_so, uint64_t value)
{
    mdp_broker_stats_t stats;
    int64_t end_ms = zclock_mono() + PATIENCE_MS;
    for (;;) {
        mdp_broker_stats(self->broker, &stats);
        if (is_so(&stats, value))
            return;
        assert_true(zclock_mono() < end_ms);
        zclock_sleep(1);
    }
}

// ---- peers -------------------------------------------------------------------------------------

void
peer_open(struct peer *self, const char *endpoint, mdp_dialect_t dialect, int rcvhwm)
{
    *self = (struct peer){.dialect = dialect, .has_delimiter = dialect == MDP_01};
    self->reader.is_done = true;
    self->socket = zsock_new(ZMQ_DEALER);
    assert_non_null(self->socket);
    zsock_set_rcvhwm(self->socket, rcvhwm);
    zsock_set_sndhwm(self->socket, 0);
    zsock_set_linger(self->socket, 0);
    assert_int_equal(zsock_connect(self->socket, "%s", endpoint), 0);
    assert_true(inbox_init(&self->inbox, FRAMES_MAX));
}

void
peer_close(struct peer *self)
{
    inbox_release(&self->inbox);
    zsock_destroy(&self->socket);
}

static void
send_frames(struct peer *self, const struct view *frames, size_t count)
{
    void *handle = zsock_resolve(self->socket);
    for (size_t i = 0; i < count; i++) {
        int flags = i + 1 < count ? ZMQ_SNDMORE : 0;
        assert_true(zmq_send(handle, frames[i].data, frames[i].size, flags) >= 0);
    }
}

void
peer_send_pack(struct peer *self, const struct mdp_record *records, size_t count)
{
    static uint8_t pack[PACK_BYTES];
    struct view frames[2] = {VIEW_LITERAL("")};
    uint8_t *end = mdp_wire_write_header(pack, records[0].side);
    for (size_t i = 0; i < count; i++) {
        assert_true((size_t)(end - pack) + mdp_wire_record_bytes(&records[i]) <= PACK_BYTES);
        end = mdp_wire_write_record(end, &records[i]);
    }
    frames[1] = view_of(pack, (size_t)(end - pack));
    if (self->has_delimiter)
        send_frames(self, frames, 2);
    else
        send_frames(self, frames + 1, 1);
}

void
peer_send(struct peer *self, struct mdp_record record, const char *body)
{
    struct view frames[FRAMES_MAX];
    struct mdp_head head;
    size_t count = 0;
    record.dialect = self->dialect;
    if (self->dialect != MDP_G1) {
        mdp_wire_head(&head, &record, self->has_delimiter);
        for (; count < head.frame_count; count++)
            frames[count] = head.frames[count];
    }
    size_t first = count;
    for (const char *at = body; at != NULL && count < FRAMES_MAX; count++) {
        const char *end = strchr(at, '|');
        frames[count] = view_of(at, end == NULL ? strlen(at) : (size_t)(end - at));
        at = end == NULL ? NULL : end + 1;
    }
    if (self->dialect != MDP_G1) {
        send_frames(self, frames, count);
        return;
    }
    if (body != NULL)
        record.body = mdp_body_of(frames + first, count - first);
    peer_send_pack(self, &record, 1);
}

static void
keep_body(struct peer *self, const struct mdp_body *body)
{
    size_t cursor = 0, used = 0;
    struct view frame;
    for (size_t i = 0; mdp_body_next(body, &cursor, &frame); i++) {
        if (used + frame.size + 2 > sizeof self->body)
            break;
        if (i > 0)
            self->body[used++] = '|';
        memcpy(self->body + used, frame.data, frame.size);
        used += frame.size;
    }
    self->body[used] = '\0';
}

// receive takes the next message in; false when there is none for that long.
static bool
receive(struct peer *self, int timeout_ms)
{
    zmq_pollitem_t item = {zsock_resolve(self->socket), 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, timeout_ms) <= 0)
        return false;
    assert_true(inbox_receive(&self->inbox, zsock_resolve(self->socket)));
    assert_int_equal(mdp_wire_begin(&self->reader, self->inbox.frames, self->inbox.count,
                                    MDP_FROM_BROKER, false, NULL),
                     MDP_SOUND);
    assert_int_equal(self->reader.dialect, self->dialect);
    assert_int_equal(self->reader.envelope.has_delimiter, self->has_delimiter);
    self->messages++;
    return true;
}

bool
peer_read(struct peer *self, struct mdp_record *record_out, int timeout_ms)
{
    while (!mdp_wire_next(&self->reader, record_out))
        if (!receive(self, timeout_ms))
            return false;
    assert_int_equal(record_out->fault, MDP_SOUND);
    // A worker echoes what stands at the ticket's place.
    if (record_out->address.size == TICKET_TEXT_BYTES)
        assert_true(ticket_from_text(record_out->address, &record_out->ticket));
    record_out->address = VIEW_NONE;
    keep_body(self, &record_out->body);
    return true;
}

struct mdp_record
peer_expect(struct peer *self, enum mdp_command command)
{
    struct mdp_record record;
    do
        assert_true(peer_read(self, &record, PATIENCE_MS));
    while (record.command != command);
    return record;
}

void
peer_ready(struct peer *self, const char *service, uint32_t credit)
{
    struct mdp_record record = {.side = MDP_WORKER_SIDE,
                                .command = MDP_READY,
                                .credit = credit,
                                .service = view_of(service, strlen(service))};
    peer_send(self, record, NULL);
}

void
peer_request(struct peer *self, const char *service, uint64_t id, const char *body)
{
    struct mdp_record record = {.side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = id,
                                .service = view_of(service, strlen(service))};
    peer_send(self, record, body);
}

void
peer_answer(struct peer *self, const struct mdp_record *request, const char *body)
{
    struct mdp_record record = {.side = MDP_WORKER_SIDE,
                                .command = MDP_FINAL,
                                .status = MDP_DONE,
                                .ticket = request->ticket};
    peer_send(self, record, body);
}

bool
peer_is_served(struct peer *self, struct peer *worker, const char *service)
{
    peer_request(self, service, 4711, "question|");
    struct mdp_record request = peer_expect(worker, MDP_REQUEST);
    bool is_there = strcmp(worker->body, "question|") == 0;
    peer_answer(worker, &request, "answer||3");
    struct mdp_record answer = peer_expect(self, MDP_FINAL);
    return is_there && strcmp(self->body, "answer||3") == 0 &&
           (self->dialect != MDP_G1 || (answer.id == 4711 && answer.status == MDP_DONE));
}
