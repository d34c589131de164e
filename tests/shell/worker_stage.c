// worker_stage.c - a ROUTER, and the pumping in between.

#include "worker_stage.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FRAMES_MAX = 300, TEXT_MAX = 1 << 20 };

static const uint64_t ms_ns = 1000000;

static void
on_lost(void *ctx, uint32_t replies)
{
    struct stage *self = ctx;
    self->lost += replies;
}

static void
bind_router(struct stage *self)
{
    self->router = zsock_new(ZMQ_ROUTER);
    zsock_set_linger(self->router, 0);
    zsock_set_rcvhwm(self->router, 1); // what is not read stays with the worker
    zsock_set_router_mandatory(self->router, 1);
    place_bind(&self->place, self->router);
}

struct stage *
stage_new(const char *transport, mdp_dialect_t dialect)
{
    struct stage *self = calloc(1, sizeof *self);
    assert_non_null(self);
    zsys_init();
    self->dialect = dialect;
    self->options = (mdp_worker_options_t){.dialect = dialect, .on_lost = on_lost, .ctx = self};
    assert_true(inbox_init(&self->inbox, FRAMES_MAX));
    packer_init(&self->packer, MDP_MESSAGE_BYTES_MAX);
    cargo_pool_init(&self->pool);
    place_make(&self->place, transport);
    bind_router(self);
    return self;
}

void
stage_free(struct stage *self)
{
    mdp_worker_destroy(&self->worker);
    zsock_destroy(&self->router);
    packer_release(&self->packer);
    inbox_release(&self->inbox);
    cargo_pool_release(&self->pool);
    place_remove(&self->place);
    free(self);
}

void
stage_stop(struct stage *self)
{
    zsock_destroy(&self->router);
    self->is_reading = false;
}

void
stage_restart(struct stage *self)
{
    bind_router(self);
}

// ---- pumping ---------------------------------------------------------------------------

void
stage_pump(struct stage *self)
{
    mdp_request_t *request;
    if (self->worker == NULL)
        return;
    do {
        mdp_worker_pump_take(self->worker, galleon_now_ns(), &request);
        if (request != NULL) {
            assert_true(self->taken_count < STAGE_TAKEN_MAX);
            self->taken[self->taken_count++] = request;
        }
    } while (request != NULL);
}

// wait_a_moment waits on worker and broker, for the worker's deadline and 20 ms at most.
static void
wait_a_moment(struct stage *self)
{
    uint64_t now_ns = galleon_now_ns();
    uint64_t deadline_ns = self->worker == NULL ? UINT64_MAX : mdp_worker_deadline(self->worker);
    int ms = 20;
    if (deadline_ns < now_ns + 20 * ms_ns)
        ms = deadline_ns <= now_ns ? 0 : (int)((deadline_ns - now_ns + ms_ns - 1) / ms_ns);
    zmq_pollitem_t items[2] = {
        {.fd = self->worker == NULL ? -1 : mdp_worker_fd(self->worker), .events = ZMQ_POLLIN},
        {.socket = zsock_resolve(self->router), .events = ZMQ_POLLIN}};
    zmq_poll(self->worker == NULL ? items + 1 : items, self->worker == NULL ? 1 : 2, ms);
}

mdp_request_t *
stage_take(struct stage *self)
{
    uint64_t until_ns = galleon_now_ns() + STAGE_MS_MAX * ms_ns;
    for (;;) {
        stage_pump(self);
        if (self->taken_count > 0)
            break;
        assert_true(galleon_now_ns() < until_ns);
        wait_a_moment(self);
    }
    mdp_request_t *request = self->taken[0];
    memmove(self->taken, self->taken + 1, --self->taken_count * sizeof *self->taken);
    return request;
}

// ---- the broker's ears --------------------------------------------------------------------

static bool
hear_now(struct stage *self, struct mdp_record *record_out)
{
    for (;;) {
        if (self->is_reading && mdp_wire_next(&self->reader, record_out))
            return true;
        self->is_reading = false;
        if (self->router == NULL || !inbox_receive(&self->inbox, zsock_resolve(self->router)))
            return false;
        self->messages++;
        assert_int_equal(mdp_wire_begin(&self->reader, self->inbox.frames, self->inbox.count,
                                        MDP_TO_BROKER, true, NULL),
                         MDP_SOUND);
        self->is_reading = true;
        self->id_size = self->inbox.frames[0].size;
        memcpy(self->id, self->inbox.frames[0].data, self->id_size);
    }
}

struct mdp_record
stage_hear(struct stage *self)
{
    struct mdp_record record;
    uint64_t until_ns = galleon_now_ns() + STAGE_MS_MAX * ms_ns;
    while (!hear_now(self, &record)) {
        assert_true(galleon_now_ns() < until_ns);
        stage_pump(self);
        wait_a_moment(self);
    }
    return record;
}

struct mdp_record
stage_expect(struct stage *self, enum mdp_command command)
{
    struct mdp_record record;
    do
        record = stage_hear(self);
    while (record.command == MDP_HEARTBEAT && command != MDP_HEARTBEAT);
    // An answer from a foreign broker's point of view has an address and no ticket.
    assert_true(record.fault == MDP_SOUND || record.fault == MDP_BAD_ADDRESS);
    assert_int_equal(record.command, command);
    return record;
}

bool
stage_hears(struct stage *self, int ms)
{
    struct mdp_record record;
    uint64_t until_ns = galleon_now_ns() + (uint64_t)ms * ms_ns;
    do {
        stage_pump(self);
        if (hear_now(self, &record) && record.command != MDP_HEARTBEAT)
            return true;
        wait_a_moment(self);
    } while (galleon_now_ns() < until_ns);
    return false;
}

// ---- the broker's mouth ---------------------------------------------------------------------

zmsg_t *
stage_message(const char *text)
{
    zmsg_t *message = zmsg_new();
    for (;;) {
        size_t size = strcspn(text, "|");
        zmsg_addmem(message, text, size);
        if (text[size] == '\0')
            return message;
        text += size + 1;
    }
}

static struct cargo *
cargo_of(struct stage *self, const char *body)
{
    if (body == NULL)
        return NULL;
    zmsg_t *message = stage_message(body);
    return cargo_of_message(&self->pool, VIEW_NONE, &message);
}

void
stage_pack(struct stage *self, struct mdp_record record, const char *body)
{
    struct cargo *cargo = cargo_of(self, body);
    struct packer_entry entry = {.side = record.side, .command = record.command};
    if (cargo != NULL)
        record.body = cargo_body(cargo);
    assert_true(packer_fits(&self->packer, &record));
    assert_true(packer_add(&self->packer, &record, cargo, &entry));
    if (cargo != NULL)
        cargo_release(&self->pool, cargo);
}

void
stage_send(struct stage *self)
{
    struct mdp_envelope envelope = {.routing_id = view_of(self->id, self->id_size)};
    assert_int_equal(packer_send(&self->packer, zsock_resolve(self->router), &envelope), 0);
    packer_clear(&self->packer);
}

static void
say_in_frames(struct stage *self, const struct mdp_record *record, const char *body)
{
    zmsg_t *message = body == NULL ? zmsg_new() : stage_message(body);
    struct mdp_head head;
    mdp_wire_head(&head, record, record->dialect == MDP_01);
    while (head.frame_count-- > 0) {
        struct view frame = head.frames[head.frame_count];
        zmsg_pushmem(message, frame.data, frame.size);
    }
    zmsg_pushmem(message, self->id, self->id_size);
    assert_int_equal(zmsg_send(&message, self->router), 0);
}

void
stage_say(struct stage *self, struct mdp_record record, const char *body)
{
    if (record.dialect != MDP_G1) {
        say_in_frames(self, &record, body);
        return;
    }
    stage_pack(self, record, body);
    stage_send(self);
}

struct mdp_record
stage_command(const struct stage *self, enum mdp_command command)
{
    return (struct mdp_record){
        .dialect = self->dialect, .side = MDP_WORKER_SIDE, .command = command, .interval_ms = 2500};
}

struct mdp_record
stage_request(const struct stage *self, uint32_t number)
{
    struct mdp_record record = stage_command(self, MDP_REQUEST);
    record.attempt = 1;
    memcpy(record.ticket.bytes, &number, sizeof number);
    return record;
}

// ---- the worker -----------------------------------------------------------------------------

void
stage_work(struct stage *self)
{
    self->worker = mdp_worker_new(self->place.endpoint, "echo", &self->options);
    assert_non_null(self->worker);
}

void
stage_serve(struct stage *self)
{
    if (self->worker == NULL)
        stage_work(self);
    stage_expect(self, MDP_READY);
    stage_say(self, stage_command(self, MDP_HEARTBEAT), NULL);
}

// ---- texts ------------------------------------------------------------------------------------

const char *
stage_text(const struct mdp_body *body)
{
    static char text[TEXT_MAX];
    size_t cursor = 0;
    size_t size = 0;
    struct view frame;
    for (size_t i = 0; mdp_body_next(body, &cursor, &frame); i++) {
        assert_true(size + frame.size + 2 < TEXT_MAX);
        if (i > 0)
            text[size++] = '|';
        if (frame.size > 0)
            memcpy(text + size, frame.data, frame.size);
        size += frame.size;
    }
    text[size] = '\0';
    return text;
}

const char *
stage_message_text(zmsg_t *message)
{
    struct view frames[FRAMES_MAX];
    size_t count = 0;
    zframe_t *frame = zmsg_first(message);
    for (; frame != NULL; frame = zmsg_next(message))
        frames[count++] = view_of(zframe_data(frame), zframe_size(frame));
    struct mdp_body body = mdp_body_of(frames, count);
    return stage_text(&body);
}
