// pirate_worker_rig.c - carries out what the core asks for, and writes it down.

#include "pirate_worker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t ms_ns = 1000000;

struct told {
    enum pirate_kind says;
    void *cargo;
    bool is_taken;
};

static void
on_trace(void *context, const struct pirate_worker_trace *trace)
{
    struct rig *self = context;
    self->facts[trace->fact]++;
}

struct rig *
rig_new(enum pirate_dialect dialect)
{
    struct rig *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->now_ns = 1000 * ms_ns;
    self->config = (struct pirate_worker_config){
        .dialect = dialect,
        .heartbeat_ms = 1000,
        .liveness = 3,
        .reconnect_ms_min = 100,
        .reconnect_ms_max = 10000,
        .seed = "a seed for the tests of a pirate",
    };
    return self;
}

// ---- cargo --------------------------------------------------------------------------------

static char *
load(struct rig *self, const char *body)
{
    char *cargo = body == NULL ? NULL : strdup(body);
    self->live += cargo != NULL ? 1 : 0;
    return cargo;
}

static void
unload(struct rig *self, void *cargo)
{
    assert_true(cargo == NULL || self->live > 0);
    self->live -= cargo != NULL ? 1 : 0;
    free(cargo);
}

// ---- steps --------------------------------------------------------------------------------

static void
write_head(struct rig_sent *sent, enum pirate_dialect dialect, const struct mdp_envelope *envelope)
{
    struct pirate_head head;
    size_t used = 0;
    pirate_wire_head_to_queue(&head, dialect, sent->says, envelope);
    for (size_t i = 0; i < head.frame_count; i++) {
        used += (size_t)snprintf(sent->head + used, sizeof sent->head - used, "%s%s",
                                 i > 0 ? " " : "", head.frames[i].size == 0 ? "-" : "");
        for (size_t j = 0; j < head.frames[i].size && used + 3 < sizeof sent->head; j++)
            used += (size_t)snprintf(sent->head + used, sizeof sent->head - used, "%02X",
                                     head.frames[i].data[j]);
    }
}

static struct told
send_out(struct rig *self, const struct pirate_worker_effect *effect)
{
    assert_true(self->is_open);
    if (self->is_refusing)
        return (struct told){effect->says, effect->cargo, false};
    assert_true(self->sent_count < RIG_LOG_MAX);
    struct rig_sent *sent = &self->sent[self->sent_count++];
    sent->at_ns = self->now_ns;
    sent->connection = self->opened;
    sent->says = effect->says;
    write_head(sent, self->config.dialect, &effect->envelope);
    if (effect->cargo != NULL)
        snprintf(sent->body, sizeof sent->body, "%s", (const char *)effect->cargo);
    unload(self, effect->cargo);
    return (struct told){effect->says, NULL, true};
}

static void step(struct rig *self, struct pirate_worker_event *event);

static void
carry_out(struct rig *self, const struct pirate_worker_effects *effects)
{
    struct told told[PIRATE_WORKER_EFFECTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < effects->count; i++) {
        const struct pirate_worker_effect *effect = &effects->list[i];
        switch (effect->kind) {
        case PIRATE_WORKER_OPEN:
            assert_false(self->is_open);
            self->is_open = true;
            self->opened++;
            self->opened_at_ns = self->now_ns;
            break;
        case PIRATE_WORKER_CLOSE:
            assert_true(self->is_open);
            self->is_open = false;
            break;
        case PIRATE_WORKER_SEND:
            told[count++] = send_out(self, effect);
            break;
        case PIRATE_WORKER_DELIVER:
            snprintf(self->body, sizeof self->body, "%s", (const char *)effect->cargo);
            unload(self, effect->cargo);
            break;
        case PIRATE_WORKER_DUMP:
            unload(self, effect->cargo);
            break;
        case PIRATE_WORKER_LOST:
            self->lost += effect->count;
            break;
        }
    }
    while (count-- > 0) {
        struct pirate_worker_event event = {
            .kind = PIRATE_WORKER_UNSENT, .said = told[count].says, .cargo = told[count].cargo};
        if (told[count].is_taken)
            event = (struct pirate_worker_event){.kind = PIRATE_WORKER_SENT};
        if (!told[count].is_taken || told[count].says == PIRATE_REPLY)
            step(self, &event);
    }
}

static void
step(struct rig *self, struct pirate_worker_event *event)
{
    struct pirate_worker_effects effects;
    event->now_ns = self->now_ns;
    pirate_worker_core_step(self->core, event, &effects);
    if (effects.count > self->effects_most)
        self->effects_most = effects.count;
    carry_out(self, &effects);
    pirate_worker_core_audit(self->core);
}

void
rig_event(struct rig *self, enum pirate_worker_event_kind kind)
{
    step(self, &(struct pirate_worker_event){.kind = kind});
}

void
rig_start(struct rig *self)
{
    size_t bytes = (pirate_worker_core_bytes() + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    self->core = pirate_worker_core_init(memory, &self->config, self->now_ns);
    pirate_worker_core_trace(self->core, on_trace, self);
    assert_int_equal(pirate_worker_core_deadline(self->core), 0);
    rig_event(self, PIRATE_WORKER_TICK);
}

void
rig_free(struct rig *self)
{
    self->is_refusing = false;
    rig_event(self, PIRATE_WORKER_STOP);
    assert_int_equal(pirate_worker_core_deadline(self->core), UINT64_MAX);
    assert_false(self->is_open);
    assert_int_equal(self->live, 0);
    free(self->core);
    free(self);
}

struct rig *
rig_serve(enum pirate_dialect dialect)
{
    struct rig *self = rig_new(dialect);
    rig_start(self);
    rig_event(self, PIRATE_WORKER_UP);
    assert_int_equal(rig_last(self)->says, PIRATE_READY);
    return self;
}

void
rig_wait(struct rig *self, uint64_t ms)
{
    uint64_t end_ns = self->now_ns + ms * ms_ns;
    for (uint64_t turns = 0;; turns++) {
        uint64_t deadline_ns = pirate_worker_core_deadline(self->core);
        if (deadline_ns > end_ns)
            break;
        assert_true(turns < 10000); // it does not spin
        if (deadline_ns > self->now_ns)
            self->now_ns = deadline_ns;
        rig_event(self, PIRATE_WORKER_TICK);
    }
    self->now_ns = end_ns;
}

void
rig_sleep(struct rig *self, uint64_t ms)
{
    self->now_ns += ms * ms_ns;
}

void
rig_come_back(struct rig *self)
{
    for (uint64_t i = 0; i <= self->config.reconnect_ms_max && !self->is_open; i++)
        rig_wait(self, 1);
    assert_true(self->is_open);
    rig_event(self, PIRATE_WORKER_UP);
}

// ---- the queue ------------------------------------------------------------------------------

void
rig_hear(struct rig *self, const struct pirate_message *message, const char *body)
{
    step(self, &(struct pirate_worker_event){.kind = PIRATE_WORKER_MESSAGE,
                                             .message = message,
                                             .is_wanted = self->is_wanted,
                                             .cargo = load(self, body)});
}

void
rig_hear_beat(struct rig *self)
{
    rig_hear(self, &(struct pirate_message){.kind = PIRATE_HEARTBEAT}, NULL);
}

void
rig_hear_fault(struct rig *self, enum pirate_fault fault)
{
    rig_hear(self, &(struct pirate_message){.fault = fault}, NULL);
}

void
rig_hear_request(struct rig *self, const char *client, const char *body)
{
    const struct view stack = view_of(client, strlen(client));
    const struct pirate_message message = {
        .kind = PIRATE_REQUEST,
        .envelope = {.stack = &stack,
                     .stack_size = 1,
                     .has_delimiter = self->config.dialect == PIRATE_SIMPLE}};
    rig_hear(self, &message, body);
}

enum pirate_fault
rig_hear_frames(struct rig *self, const struct view *frames, size_t count)
{
    struct pirate_message message;
    pirate_wire_read_queue(&message, self->config.dialect, frames, count, NULL);
    bool is_request = message.fault == PIRATE_SOUND && message.kind == PIRATE_REQUEST;
    rig_hear(self, &message, is_request ? "body" : NULL);
    return message.fault;
}

// ---- the application ------------------------------------------------------------------------

bool
rig_take(struct rig *self)
{
    uint64_t before = rig_counters(self)->requests;
    rig_event(self, PIRATE_WORKER_TAKE);
    return rig_counters(self)->requests > before;
}

bool
rig_answer(struct rig *self, const char *body)
{
    size_t lost = self->lost;
    step(self,
         &(struct pirate_worker_event){.kind = PIRATE_WORKER_ANSWER, .cargo = load(self, body)});
    return self->lost == lost;
}

// ---- what was sent ----------------------------------------------------------------------------

const struct rig_sent *
rig_last(const struct rig *self)
{
    assert_true(self->sent_count > 0);
    return &self->sent[self->sent_count - 1];
}

size_t
rig_count(const struct rig *self, enum pirate_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < self->sent_count; i++)
        count += self->sent[i].says == kind ? 1 : 0;
    return count;
}

const struct pirate_worker_counters *
rig_counters(const struct rig *self)
{
    return pirate_worker_core_counters(self->core);
}
