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
    char *text; // frames joined by '|'
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
    self->memory = NULL;
}

void
world_configure(struct world *self, const struct broker_config *config)
{
    struct broker_config copy = *config; // it may be the one that goes
    world_release(self);
    world_init(self, &copy);
}

int
world_set_up(void **state)
{
    struct world *self = malloc(sizeof *self);
    struct broker_config config = world_config();
    world_init(self, &config);
    *state = self;
    return 0;
}

int
world_tear_down(void **state)
{
    struct world *self = *state;
    world_release(self);
    free(self);
    return 0;
}

// ---- cargo ---------------------------------------------------------------------------

static void
add_frame(struct parcel *parcel, struct view frame)
{
    parcel->text = realloc(parcel->text, parcel->size + frame.size + 2);
    if (parcel->frames++ > 0)
        parcel->text[parcel->size++] = '|';
    if (frame.size > 0)
        memcpy(parcel->text + parcel->size, frame.data, frame.size);
    parcel->size += frame.size;
    parcel->text[parcel->size] = '\0';
}

static struct parcel *
parcel_of(struct world *self, const struct mdp_body *body)
{
    struct parcel *parcel = calloc(1, sizeof *parcel);
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame))
        add_frame(parcel, frame);
    self->cargo_live++;
    return parcel;
}

static void
let_go(struct world *self, void *cargo)
{
    assert_non_null(cargo);
    free(((struct parcel *)cargo)->text);
    free(cargo);
    self->cargo_live--;
}

// join moves the frames of one to the end of the other.
static void
join(struct world *self, struct parcel *into, struct parcel *from)
{
    size_t frames = into->frames + from->frames;
    if (from->frames > 0)
        add_frame(into, view_of(from->text, from->size));
    into->frames = frames;
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
    sent->is_of_reign = effect->is_of_reign;
    sent->token = effect->token;
    sent->silence_ms = effect->silence_ms;
    sent->connection = effect->connection;
    sent->cargo = effect->keeps_cargo ? effect->cargo : NULL;
    sent->route_number = effect->to->number;
    sent->route_serial = effect->to->serial;
    sent->record = effect->record;
    if (effect->record.service.size > 0)
        memcpy(sent->service, effect->record.service.data, effect->record.service.size);
    struct view fields = effect->record.fields;
    assert_true(fields.size < sizeof sent->fields);
    assert_int_equal(fields.size > 0, (effect->record.flags & MDP_FLAG_FIELDS) != 0);
    if (fields.size > 0)
        memcpy(sent->fields, fields.data, fields.size);
    struct parcel body = {0};
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(&effect->record.body, &cursor, &frame))
        add_frame(&body, frame);
    const struct parcel *parcel = effect->cargo;
    if (parcel != NULL && parcel->frames > 0)
        add_frame(&body, view_of(parcel->text, parcel->size));
    sent->frames = effect->record.body.count + (parcel == NULL ? 0 : parcel->frames);
    if (body.text != NULL)
        snprintf(sent->body, sizeof sent->body, "%s", body.text);
    free(body.text);
    sent->had_cargo = parcel != NULL && !effect->keeps_cargo;
    if (sent->had_cargo)
        let_go(self, effect->cargo);
}

static void
carry_out(struct world *self, const struct broker_effect *effect)
{
    switch (effect->kind) {
    case BROKER_SEND:
        record_send(self, effect);
        break;
    case BROKER_DUMP:
        let_go(self, effect->cargo);
        break;
    case BROKER_JOIN:
        join(self, effect->into, effect->cargo);
        break;
    case BROKER_STOPPED:
        self->is_stopped = true;
        break;
    case BROKER_QUIET:
        self->quiet++;
        break;
    case BROKER_FENCED:
        self->fenced++;
        break;
    case BROKER_QUESTION:
        self->asked++;
        self->word = effect->word;
        break;
    }
}

void
world_step(struct world *self, struct broker_event *event)
{
    event->now_ns = self->now_ns;
    broker_core_step(self->core, event, &self->effects);
    assert_true(self->effects.count <= BROKER_EFFECTS_MAX);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
    if (!self->is_large)
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
    struct broker_event event = {
        .kind = BROKER_RECORD, .from = from, .record = record, .connection = self->connection};
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
world_say_behind(struct world *self, const struct mdp_envelope *from, struct mdp_record record,
                 const char *body)
{
    struct view frames[300];
    size_t count = 0;
    for (const char *at = body; at != NULL && count < 300; count++) {
        const char *end = strchr(at, '|');
        frames[count] = view_of(at, end == NULL ? strlen(at) : (size_t)(end - at));
        at = end == NULL ? NULL : end + 1;
    }
    if (body != NULL)
        record.body = mdp_body_of(frames, count);
    world_record(self, from, &record);
}

void
world_say(struct world *self, const char *id, struct mdp_record record, const char *body)
{
    struct mdp_envelope from = {.routing_id = view_of(id, strlen(id)),
                                .has_delimiter = record.dialect == MDP_01};
    world_say_behind(self, &from, record, body);
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
world_final(struct world *self, const char *id, const struct sent *request, uint16_t status,
            uint16_t parts, const char *body)
{
    struct mdp_record record = {.dialect = request->record.dialect,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_FINAL,
                                .status = status,
                                .parts = parts,
                                .ticket = request->record.ticket};
    world_say(self, id, record, body);
}

void
world_answer(struct world *self, const char *id, const struct sent *request, const char *body)
{
    world_final(self, id, request, MDP_DONE, 0, body);
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
world_bare(struct world *self, const char *id, mdp_dialect_t dialect, enum mdp_command command)
{
    struct mdp_record record = {
        .dialect = dialect, .side = MDP_WORKER_SIDE, .command = command, .interval_ms = 1000};
    world_say(self, id, record, NULL);
}

void
world_cancel(struct world *self, const char *id, uint64_t request_id)
{
    struct mdp_record record = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_CANCEL, .id = request_id};
    world_say(self, id, record, NULL);
}

static void
give_back(struct world *self, const struct sent *sent, bool is_gone, bool is_withheld)
{
    struct broker_event event = {.kind = BROKER_UNSENT,
                                 .route_number = sent->route_number,
                                 .route_serial = sent->route_serial,
                                 .side = sent->record.side,
                                 .command = sent->record.command,
                                 .token = sent->token,
                                 .is_gone = is_gone,
                                 .is_withheld = is_withheld};
    struct mdp_body none = {0};
    if (sent->had_cargo)
        event.cargo = parcel_of(self, &none);
    world_step(self, &event);
}

void
world_unsent(struct world *self, const struct sent *sent, bool is_gone)
{
    give_back(self, sent, is_gone, false);
}

void
world_withhold(struct world *self, const struct sent *sent)
{
    give_back(self, sent, false, true);
}

void
world_cut(struct world *self, const char *id)
{
    const struct sent *last = NULL;
    for (size_t i = 0; i < self->sent_count; i++)
        if (strcmp(self->sent[i].to, id) == 0)
            last = &self->sent[i];
    assert_non_null(last);
    struct sent probe = *last;
    probe.record.side = MDP_WORKER_SIDE;
    probe.record.command = MDP_HEARTBEAT;
    probe.token = 0;
    probe.had_cargo = false;
    world_unsent(self, &probe, true);
    world_tick(self);
}

void
world_drain(struct world *self)
{
    struct broker_event event = {.kind = BROKER_DRAIN};
    world_step(self, &event);
    if (!self->is_manual && broker_core_deadline(self->core) <= self->now_ns && !self->is_stopped)
        world_tick(self);
}

// ---- what a half of a pair is told
// ---------------------------------------------------------------

static void
tell(struct world *self, struct broker_event event)
{
    world_step(self, &event);
    if (!self->is_manual && broker_core_deadline(self->core) <= self->now_ns)
        world_tick(self);
}

void
world_serve(struct world *self, uint64_t epoch)
{
    tell(self, (struct broker_event){.kind = BROKER_SERVE,
                                     .has_epoch = epoch != 0,
                                     .pair = 0x00112233aabbccdd,
                                     .epoch = epoch});
}

void
world_finish(struct world *self, const char *text)
{
    tell(self, (struct broker_event){.kind = BROKER_FINISH, .text = view_of(text, strlen(text))});
}

void
world_hold(struct world *self, const char *text)
{
    tell(self, (struct broker_event){.kind = BROKER_HOLD, .text = view_of(text, strlen(text))});
}

void
world_said(struct world *self, uint16_t code, const char *text)
{
    tell(self, (struct broker_event){
                   .kind = BROKER_SAID, .code = code, .text = view_of(text, strlen(text))});
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

const struct sent *
world_last(const struct world *self, const char *to, enum mdp_command command)
{
    size_t count = world_count(self, to, command);
    assert_true(count > 0);
    return world_find(self, to, command, count - 1);
}

uint16_t
world_status(const struct world *self, const char *to)
{
    size_t count = world_count(self, to, MDP_FINAL);
    return count == 0 ? 0 : world_find(self, to, MDP_FINAL, count - 1)->record.status;
}

const struct broker_stats *
world_stats(const struct world *self)
{
    return broker_core_stats(self->core);
}
