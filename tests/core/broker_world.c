// broker_world.c - the outside of a broker core, in memory.

#include "broker_world.h"

#include "must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A body as the test's shell keeps it.
struct parcel {
    size_t frames;
    size_t size;
    char text[];
};

struct broker_config
world_config(void)
{
    return (struct broker_config){
        .heartbeat_ms = 1000,
        .liveness = 3,
        .services_max = 16,
        .workers_max = 64,
        .service_workers_max = 32,
        .requests_max = 64,
        .service_requests_max = 32,
        .client_requests_max = 24,
        .request_bytes_max = 1 << 20,
        .answer_bytes_max = 1000,
        .answer_frames_max = 16,
        .credit_max = 32,
        .attempts = 3,
        .drain_ms = 5000,
        .seed = "a fixed seed of thirty-two byte",
    };
}

void
world_init(struct world *self, const struct broker_config *config)
{
    memset(self, 0, sizeof *self);
    self->config = *config;
    self->now_ns = 1000000000;
    size_t bytes = (broker_core_bytes(config) + 63) / 64 * 64;
    self->memory = aligned_alloc(64, bytes);
    memset(self->memory, 0, bytes);
    self->core = broker_core_init(self->memory, config, self->now_ns);
    self->sent = calloc(WORLD_SENT_MAX, sizeof *self->sent);
}

void
world_release(struct world *self)
{
    struct broker_event event = {.kind = BROKER_DRAIN};
    world_step(self, &event);
    while (!self->is_stopped) {
        self->now_ns = broker_core_end_of_drain(self->core, self->now_ns);
        struct broker_event tick = {.kind = BROKER_TICK};
        self->sent_count = 0;
        world_step(self, &tick);
    }
    assert_int_equal(self->cargo_live, 0);
    free(self->memory);
    free(self->sent);
}

// ---- cargo ---------------------------------------------------------------------------

static struct parcel *
parcel_of(struct world *self, const struct mdp_body *body)
{
    struct parcel *parcel = calloc(1, sizeof *parcel + body->bytes + body->count + 1);
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame)) {
        if (parcel->frames++ > 0)
            parcel->text[parcel->size++] = '|';
        memcpy(parcel->text + parcel->size, frame.data, frame.size);
        parcel->size += frame.size;
    }
    self->cargo_live++;
    return parcel;
}

static void
let_go(struct world *self, void *cargo)
{
    assert_non_null(cargo);
    free(cargo);
    self->cargo_live--;
}

// join moves what is joined to the end of the first, which cannot grow in place: its
// text is limited instead.
static void
join(struct world *self, struct parcel *into, struct parcel *from)
{
    into->frames += from->frames;
    let_go(self, from);
}

// ---- effects --------------------------------------------------------------------------

static void
record_send(struct world *self, const struct broker_effect *effect)
{
    assert_true(self->sent_count < WORLD_SENT_MAX);
    struct sent *sent = &self->sent[self->sent_count++];
    memset(sent, 0, sizeof *sent);
    sent->to_bytes = effect->to->routing_id.size;
    memcpy(sent->to, effect->to->routing_id.data, sent->to_bytes);
    sent->stack_bytes = effect->to->stack.size;
    sent->has_delimiter = effect->has_delimiter;
    sent->keeps_cargo = effect->keeps_cargo;
    sent->token = effect->token;
    sent->cargo = effect->keeps_cargo ? effect->cargo : NULL;
    sent->route_number = effect->to->number;
    sent->route_serial = effect->to->serial;
    sent->record = effect->record;
    if (effect->record.service.size > 0)
        memcpy(sent->service, effect->record.service.data, effect->record.service.size);
    size_t cursor = 0, used = 0;
    struct view frame;
    while (mdp_body_next(&effect->record.body, &cursor, &frame)) {
        if (used > 0)
            sent->body[used++] = '|';
        size_t fits = sizeof sent->body - used - 2;
        size_t size = frame.size < fits ? frame.size : fits;
        memcpy(sent->body + used, frame.data, size);
        used += size;
    }
    const struct parcel *parcel = effect->cargo;
    if (parcel != NULL)
        snprintf(sent->body + used, sizeof sent->body - used, "%s%s", used > 0 ? "|" : "",
                 parcel->text);
    if (effect->cargo != NULL && !effect->keeps_cargo)
        let_go(self, effect->cargo);
}

void
world_step(struct world *self, struct broker_event *event)
{
    event->now_ns = self->now_ns;
    broker_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++) {
        const struct broker_effect *effect = &self->effects.list[i];
        if (effect->kind == BROKER_SEND)
            record_send(self, effect);
        else if (effect->kind == BROKER_DUMP)
            let_go(self, effect->cargo);
        else if (effect->kind == BROKER_JOIN)
            join(self, effect->into, effect->cargo);
        else
            self->is_stopped = true;
    }
    broker_core_audit(self->core);
}

void
world_tick(struct world *self)
{
    do {
        struct broker_event event = {.kind = BROKER_TICK};
        world_step(self, &event);
    } while (broker_core_deadline(self->core) <= self->now_ns && !self->is_stopped);
}

void
world_pass(struct world *self, uint64_t ms)
{
    uint64_t end_ns = self->now_ns + ms * 1000000;
    for (;;) {
        uint64_t due_ns = broker_core_deadline(self->core);
        if (due_ns > end_ns || self->is_stopped)
            break;
        if (due_ns > self->now_ns)
            self->now_ns = due_ns;
        world_tick(self);
    }
    self->now_ns = end_ns;
}

void
world_sleep(struct world *self, uint64_t ms)
{
    self->now_ns += ms * 1000000;
    world_tick(self);
}

// ---- what peers say ---------------------------------------------------------------------

static bool
has_cargo(const struct mdp_record *record)
{
    return record->fault == MDP_SOUND &&
           (record->command == MDP_REQUEST || record->command == MDP_PARTIAL ||
            record->command == MDP_FINAL);
}

void
world_record(struct world *self, const struct mdp_envelope *from, const struct mdp_record *record)
{
    struct broker_event event = {.kind = BROKER_RECORD, .from = from, .record = record};
    if (has_cargo(record)) {
        event.cargo = parcel_of(self, &record->body);
        event.cargo_bytes = record->body.bytes + 64;
    }
    world_step(self, &event);
    if (!self->is_manual && broker_core_deadline(self->core) <= self->now_ns)
        world_tick(self);
}

void
world_message(struct world *self, const struct view *frames, size_t count)
{
    struct mdp_limits limits = {256, 1 << 20};
    struct mdp_reader reader;
    struct mdp_record record;
    enum mdp_fault fault = mdp_wire_begin(&reader, frames, count, MDP_TO_BROKER, true, &limits);
    if (fault != MDP_SOUND) {
        record =
            (struct mdp_record){.fault = fault, .side = reader.side, .dialect = reader.dialect};
        world_record(self, &reader.envelope, &record);
    }
    while (mdp_wire_next(&reader, &record))
        world_record(self, &reader.envelope, &record);
}

void
world_say(struct world *self, const char *id, struct mdp_record record, const char *body)
{
    struct mdp_envelope from = {.routing_id = view_of(id, strlen(id)),
                                .has_delimiter = record.dialect == MDP_01};
    struct view frame = view_of(body, body == NULL ? 0 : strlen(body));
    if (body != NULL)
        record.body = mdp_body_of(&frame, 1);
    world_record(self, &from, &record);
}

void
world_ready(struct world *self, const char *id, mdp_dialect_t dialect, const char *service,
            uint32_t credit)
{
    struct mdp_record record = {.dialect = dialect,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_READY,
                                .credit = credit,
                                .interval_ms = 1000,
                                .service = view_of(service, strlen(service))};
    world_say(self, id, record, NULL);
}

void
world_request(struct world *self, const char *id, mdp_dialect_t dialect, const char *service,
              uint64_t request_id, const char *body)
{
    struct mdp_record record = {.dialect = dialect,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = request_id,
                                .service = view_of(service, strlen(service))};
    world_say(self, id, record, body);
}

void
world_answer(struct world *self, const char *id, const struct sent *request, const char *body)
{
    struct mdp_record record = {.dialect = request->record.dialect,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_FINAL,
                                .status = MDP_DONE,
                                .ticket = request->record.ticket};
    world_say(self, id, record, body);
}

void
world_partial(struct world *self, const char *id, const struct sent *request, uint32_t seq,
              const char *body)
{
    struct mdp_record record = {.dialect = request->record.dialect,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_PARTIAL,
                                .seq = seq,
                                .ticket = request->record.ticket};
    world_say(self, id, record, body);
}

void
world_unsent(struct world *self, const struct sent *sent, bool is_gone)
{
    struct broker_event event = {.kind = BROKER_UNSENT,
                                 .route_number = sent->route_number,
                                 .route_serial = sent->route_serial,
                                 .side = sent->record.side,
                                 .command = sent->record.command,
                                 .token = sent->token,
                                 .is_gone = is_gone};
    world_step(self, &event);
}

// ---- what came out ---------------------------------------------------------------------------

const struct sent *
world_find(const struct world *self, const char *to, enum mdp_command command, size_t nth)
{
    for (size_t i = 0; i < self->sent_count; i++) {
        const struct sent *sent = &self->sent[i];
        if (sent->record.command == command && strcmp(sent->to, to) == 0 && nth-- == 0)
            return sent;
    }
    return NULL;
}

size_t
world_count(const struct world *self, const char *to, enum mdp_command command)
{
    size_t count = 0;
    while (world_find(self, to, command, count) != NULL)
        count++;
    return count;
}

void
world_clear(struct world *self)
{
    self->sent_count = 0;
}
