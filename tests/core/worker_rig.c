// worker_rig.c - carries out what the core asks for, and writes it down.

#include "worker_rig.h"

#include "mdp_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t ms_ns = 1000000;

static struct worker_effects effects;

struct rig *
rig_new(mdp_dialect_t dialect)
{
    struct rig *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->now_ns = 1000 * ms_ns;
    self->config = (struct worker_config){
        .service = VIEW_LITERAL("echo"),
        .broker_count = 1,
        .dialect = dialect,
        .heartbeat_ms = 1000,
        .liveness = 3,
        .reconnect_ms_min = 100,
        .reconnect_ms_max = 10000,
        .credit = 1,
        .says_disconnect = true,
        .seed = "a seed for the tests of a worker",
    };
    return self;
}

static void step(struct rig *self, struct worker_event *event);

void
rig_start(struct rig *self)
{
    size_t bytes = (worker_core_bytes(&self->config) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    self->core = worker_core_init(memory, &self->config, self->now_ns);
    assert_int_equal(worker_core_deadline(self->core), 0);
    rig_tick(self);
}

struct rig *
rig_serve(mdp_dialect_t dialect, uint32_t credit)
{
    struct rig *self = rig_new(dialect);
    self->config.credit = credit;
    rig_start(self);
    rig_up(self, 0);
    rig_sent(self, 0);
    rig_hear_command(self, 0, MDP_HEARTBEAT);
    return self;
}

void
rig_free(struct rig *self)
{
    rig_event(self, WORKER_STOP);
    for (uint32_t broker = 0; broker < self->config.broker_count; broker++)
        rig_unsent(self, broker);
    while (worker_core_deadline(self->core) == 0)
        rig_tick(self);
    assert_int_equal(worker_core_deadline(self->core), UINT64_MAX);
    assert_int_equal(self->live, 0);
    free(self->core);
    free(self);
}

// ---- cargo -------------------------------------------------------------------------------

static struct rig_cargo *
load(struct rig *self, const char *text)
{
    if (text == NULL)
        return NULL;
    struct rig_cargo *cargo = calloc(1, sizeof *cargo);
    assert_non_null(cargo);
    snprintf(cargo->text, sizeof cargo->text, "%s", text);
    self->live++;
    return cargo;
}

static void
unload(struct rig *self, struct rig_cargo *cargo)
{
    if (cargo == NULL)
        return;
    assert_true(self->live > 0);
    self->live--;
    free(cargo);
}

// ---- effects -----------------------------------------------------------------------------

static void
copy_view(char *to, size_t size, struct view text)
{
    assert_true(text.size < size);
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    to[text.size] = '\0';
}

static void
on_send(struct rig *self, const struct worker_effect *effect)
{
    assert_true(self->sent_count < RIG_LOG_MAX);
    assert_true(self->is_connected[effect->broker]);
    struct rig_sent *sent = &self->sent[self->sent_count++];
    *sent = (struct rig_sent){
        .at_ns = self->now_ns,
        .broker = effect->broker,
        .connection = self->opened[effect->broker],
        .has_delimiter = effect->has_delimiter,
        .record = effect->record,
        .token = effect->token,
        .cargo = effect->cargo,
        .is_open = true,
    };
    copy_view(sent->service, sizeof sent->service, effect->record.service);
    copy_view(sent->address, sizeof sent->address, effect->record.address);
    if (sent->cargo != NULL)
        snprintf(sent->body, sizeof sent->body, "%s", sent->cargo->text);
}

static void
on_join(struct rig *self, const struct worker_effect *effect)
{
    struct rig_cargo *into = effect->into;
    struct rig_cargo *from = effect->cargo;
    size_t size = strlen(into->text);
    snprintf(into->text + size, sizeof into->text - size, "|%s", from->text);
    unload(self, from);
}

static void
carry_out(struct rig *self, const struct worker_effect *effect)
{
    struct rig_cargo *cargo = effect->cargo;
    switch (effect->kind) {
    case WORKER_OPEN:
        assert_false(self->is_connected[effect->broker]);
        self->is_connected[effect->broker] = true;
        self->opened[effect->broker]++;
        self->opened_at_ns[effect->broker] = self->now_ns;
        if (effect->routing_id != NULL)
            snprintf(self->routing_id[effect->broker], 32, "%s", effect->routing_id);
        break;
    case WORKER_CLOSE:
        self->is_connected[effect->broker] = false;
        break;
    case WORKER_SEND:
        on_send(self, effect);
        break;
    case WORKER_DELIVER:
        self->token = effect->token;
        self->attempt = effect->attempt;
        snprintf(self->body, sizeof self->body, "%s", cargo->text);
        unload(self, cargo);
        break;
    case WORKER_JOIN:
        on_join(self, effect);
        break;
    case WORKER_DUMP:
        unload(self, cargo);
        break;
    case WORKER_LOST:
        self->lost += effect->count;
        break;
    }
}

static void
step(struct rig *self, struct worker_event *event)
{
    event->now_ns = self->now_ns;
    worker_core_step(self->core, event, &effects);
    if (effects.count > self->effects_most)
        self->effects_most = effects.count;
    for (size_t i = 0; i < effects.count; i++)
        carry_out(self, &effects.list[i]);
    worker_core_audit(self->core);
}

// ---- time --------------------------------------------------------------------------------

void
rig_event(struct rig *self, enum worker_event_kind kind)
{
    step(self, &(struct worker_event){.kind = kind});
}

void
rig_tick(struct rig *self)
{
    rig_event(self, WORKER_TICK);
}

void
rig_sleep(struct rig *self, uint64_t ms)
{
    self->now_ns += ms * ms_ns;
}

void
rig_wait(struct rig *self, uint64_t ms)
{
    uint64_t until_ns = self->now_ns + ms * ms_ns;
    for (;;) {
        uint64_t deadline_ns = worker_core_deadline(self->core);
        if (deadline_ns > until_ns)
            break;
        // The core may not ask for the same moment for ever.
        if (deadline_ns > self->now_ns)
            self->now_ns = deadline_ns;
        rig_tick(self);
    }
    self->now_ns = until_ns;
}

// ---- the network --------------------------------------------------------------------------

void
rig_up(struct rig *self, uint32_t broker)
{
    assert_true(self->is_connected[broker]);
    step(self, &(struct worker_event){.kind = WORKER_UP, .broker = broker});
}

void
rig_down(struct rig *self, uint32_t broker)
{
    step(self, &(struct worker_event){.kind = WORKER_DOWN, .broker = broker});
}

void
rig_sent(struct rig *self, uint32_t broker)
{
    uint32_t count = 0;
    for (size_t i = 0; i < self->sent_count; i++) {
        struct rig_sent *sent = &self->sent[i];
        if (!sent->is_open || sent->broker != broker)
            continue;
        sent->is_open = false;
        unload(self, sent->cargo);
        sent->cargo = NULL;
        count += sent->record.command == MDP_FINAL ? 1 : 0;
    }
    if (count > 0)
        step(self, &(struct worker_event){.kind = WORKER_SENT, .broker = broker, .count = count});
}

void
rig_unsent(struct rig *self, uint32_t broker)
{
    size_t end = self->sent_count;
    for (size_t i = end; i-- > 0;) {
        struct rig_sent *sent = &self->sent[i];
        if (!sent->is_open || sent->broker != broker)
            continue;
        sent->is_open = false;
        struct rig_cargo *cargo = sent->cargo;
        sent->cargo = NULL;
        step(self, &(struct worker_event){.kind = WORKER_UNSENT,
                                          .broker = broker,
                                          .command = sent->record.command,
                                          .token = sent->token,
                                          .cargo = cargo});
    }
    // Nothing is sent until all of it is back.
    assert_int_equal(self->sent_count, end);
}

void
rig_hear(struct rig *self, uint32_t broker, const struct mdp_record *record, const char *body)
{
    step(self,
         &(struct worker_event){
             .kind = WORKER_RECORD, .broker = broker, .record = record, .cargo = load(self, body)});
}

static struct mdp_record
record_of(const struct rig *self, enum mdp_command command)
{
    mdp_dialect_t dialect = self->config.dialect == MDP_AUTO ? MDP_G1 : self->config.dialect;
    return (struct mdp_record){
        .dialect = dialect, .side = MDP_WORKER_SIDE, .command = command, .interval_ms = 1000};
}

void
rig_hear_command(struct rig *self, uint32_t broker, enum mdp_command command)
{
    struct mdp_record record = record_of(self, command);
    rig_hear(self, broker, &record, NULL);
}

void
rig_hear_fault(struct rig *self, uint32_t broker, enum mdp_fault fault)
{
    struct mdp_record record = record_of(self, MDP_NO_COMMAND);
    record.fault = fault;
    rig_hear(self, broker, &record, NULL);
}

void
rig_hear_request(struct rig *self, uint32_t broker, uint32_t number, const char *body)
{
    struct mdp_record record = record_of(self, MDP_REQUEST);
    char address[32];
    snprintf(address, sizeof address, "client-%u", number);
    if (record.dialect == MDP_G1) {
        record.attempt = 1;
        memcpy(record.ticket.bytes, &number, sizeof number);
    } else {
        record.address = view_of(address, strlen(address));
    }
    rig_hear(self, broker, &record, body);
}

void
rig_wait_until_open(struct rig *self, uint32_t broker, uint64_t ms_max)
{
    for (uint64_t i = 0; i < ms_max && !self->is_connected[broker]; i++)
        rig_wait(self, 1);
    assert_true(self->is_connected[broker]);
}

void
rig_come_back(struct rig *self)
{
    rig_wait_until_open(self, 0, self->config.reconnect_ms_max + 1);
    rig_up(self, 0);
}

void
rig_hear_dialects(struct rig *self, const char *code, const char *words)
{
    struct view frames[2] = {view_of(code, strlen(code)), view_of(words, strlen(words))};
    struct mdp_record record = {.dialect = MDP_01,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_FINAL,
                                .service = VIEW_LITERAL("mmi.dialects"),
                                .body = mdp_body_of(frames, words[0] == '\0' ? 1 : 2)};
    rig_hear(self, 0, &record, NULL);
}

// ---- the application ------------------------------------------------------------------------

bool
rig_take(struct rig *self)
{
    uint64_t before = worker_core_stats(self->core)->requests;
    rig_event(self, WORKER_TAKE);
    return worker_core_stats(self->core)->requests > before;
}

static bool
answer(struct rig *self, uint64_t token, enum mdp_command command, int status, const char *body)
{
    size_t lost = self->lost;
    step(self, &(struct worker_event){.kind = WORKER_ANSWER,
                                      .command = command,
                                      .token = token,
                                      .status = status,
                                      .cargo = load(self, body)});
    return self->lost == lost;
}

bool
rig_answer(struct rig *self, uint64_t token, const char *body)
{
    return answer(self, token, MDP_FINAL, MDP_DONE, body);
}

bool
rig_partial(struct rig *self, uint64_t token, const char *body)
{
    return answer(self, token, MDP_PARTIAL, 0, body);
}

bool
rig_fail(struct rig *self, uint64_t token, int status, const char *text)
{
    return answer(self, token, MDP_FINAL, status, text);
}

// ---- what was sent ----------------------------------------------------------------------------

const struct rig_sent *
rig_last(const struct rig *self)
{
    return self->sent_count == 0 ? NULL : &self->sent[self->sent_count - 1];
}

size_t
rig_count(const struct rig *self, enum mdp_command command)
{
    size_t count = 0;
    for (size_t i = 0; i < self->sent_count; i++)
        count += self->sent[i].record.command == command ? 1 : 0;
    return count;
}

const struct rig_sent *
rig_find(const struct rig *self, enum mdp_command command, size_t n)
{
    for (size_t i = 0; i < self->sent_count; i++)
        if (self->sent[i].record.command == command && n-- == 0)
            return &self->sent[i];
    fail_msg("only so many records of command %d were sent", (int)command);
    return NULL;
}
