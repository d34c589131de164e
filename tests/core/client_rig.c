// client_rig.c - carry out the effects of a client core, and keep them.

#include "client_rig.h"

#include "mdp_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;
static const uint64_t start_ns = 1000 * 1000000ull;

// ---- frames as text -----------------------------------------------------------------

static void
add_text(char *to, struct view text)
{
    size_t used = strlen(to);
    size_t size = text.size < RIG_TEXT_MAX - used - 1 ? text.size : RIG_TEXT_MAX - used - 1;
    if (size > 0)
        memcpy(to + used, text.data, size);
    to[used + size] = '\0';
}

static void
add_frames(char *to, const struct mdp_body *body)
{
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame)) {
        if (to[0] != '\0')
            add_text(to, VIEW_LITERAL("|"));
        add_text(to, frame);
    }
}

static struct rig_cargo *
take_cargo(struct rig *self, const char *text)
{
    struct rig_cargo *cargo = calloc(1, sizeof *cargo);
    assert_non_null(cargo);
    add_text(cargo->text, view_of(text, strlen(text)));
    self->live++;
    return cargo;
}

// free catches what is let go twice, and the leak checker what never is.
static void
let_go(struct rig *self, void *cargo)
{
    assert_non_null(cargo);
    assert_true(self->live > 0);
    self->live--;
    free(cargo);
}

// ---- effects --------------------------------------------------------------------------

static void
keep_sent(struct rig *self, const struct client_effect *effect)
{
    assert_true(self->is_open[effect->endpoint]);
    if (self->sent_count == RIG_LOG_MAX)
        return;
    struct rig_sent *sent = &self->sent[self->sent_count++];
    *sent = (struct rig_sent){
        .at_ns = self->now_ns,
        .endpoint = effect->endpoint,
        .connection = self->opened[effect->endpoint],
        .command = effect->record.command,
        .dialect = effect->record.dialect,
        .id = effect->record.id,
        .token = effect->token,
        .ttl_ms = effect->record.ttl_ms,
        .flags = effect->record.flags,
        .has_delimiter = effect->has_delimiter,
    };
    add_text(sent->service, effect->record.service);
    add_frames(sent->body, &effect->record.body);
    if (effect->cargo != NULL)
        add_text(sent->body, view_of(effect->cargo, strlen(effect->cargo)));
}

static void
keep_answer(struct rig *self, const struct client_effect *effect)
{
    struct rig_answer scratch;
    bool has_room = self->answer_count < RIG_LOG_MAX;
    struct rig_answer *answer = has_room ? &self->answers[self->answer_count++] : &scratch;
    *answer = (struct rig_answer){.at_ns = self->now_ns,
                                  .id = effect->id,
                                  .result = effect->result,
                                  .status = effect->status,
                                  .seq = effect->seq};
    add_text(answer->text, effect->text);
    if (effect->cargo != NULL) {
        add_text(answer->body, view_of(effect->cargo, strlen(effect->cargo)));
        let_go(self, effect->cargo);
    }
    if (effect->body != NULL)
        add_frames(answer->body, effect->body);
}

static void
carry_out(struct rig *self, const struct client_effect *effect)
{
    switch (effect->kind) {
    case CLIENT_OPEN:
        assert_false(self->is_open[effect->endpoint]);
        self->is_open[effect->endpoint] = true;
        self->opened[effect->endpoint]++;
        break;
    case CLIENT_CLOSE:
        self->is_open[effect->endpoint] = false;
        break;
    case CLIENT_SEND:
        keep_sent(self, effect);
        break;
    case CLIENT_ANSWER:
        keep_answer(self, effect);
        break;
    case CLIENT_JOIN: {
        struct rig_cargo *from = effect->cargo;
        struct rig_cargo *into = effect->into;
        add_text(into->text, VIEW_LITERAL("|"));
        add_text(into->text, view_of(from->text, strlen(from->text)));
        let_go(self, from);
        break;
    }
    case CLIENT_DUMP:
        let_go(self, effect->cargo);
        break;
    }
}

void
rig_step(struct rig *self, struct client_event event)
{
    static struct client_effects effects; // 20 KiB
    size_t answers = 0;
    event.now_ns = self->now_ns;
    client_core_step(self->core, &event, &effects);
    for (size_t i = 0; i < effects.count; i++) {
        answers += effects.list[i].kind == CLIENT_ANSWER;
        carry_out(self, &effects.list[i]);
    }
    assert_true(answers <= 1);
    client_core_audit(self->core);
}

// ---- the rig ---------------------------------------------------------------------------

struct rig *
rig_new(mdp_dialect_t dialect, size_t endpoints)
{
    static const struct view names[CLIENT_ENDPOINTS_MAX] = {VIEW_LITERAL("a"), VIEW_LITERAL("b"),
                                                            VIEW_LITERAL("c"), VIEW_LITERAL("d")};
    struct rig *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->now_ns = start_ns;
    self->config = (struct client_config){
        .window = 1000,
        .timeout_ms = 2500,
        .attempts = 3,
        .deadline_ms = 7500,
        .answer_bytes_max = 1 << 20,
        .dialect = dialect,
        .endpoints = names,
        .endpoint_count = endpoints,
        .seed = {1},
    };
    return self;
}

void
rig_start(struct rig *self)
{
    size_t bytes = (client_core_bytes(&self->config) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    self->core = client_core_init(memory, &self->config, self->now_ns);
    assert_true(client_core_deadline(self->core) <= self->now_ns);
    rig_until(self, 0);
}

void
rig_free(struct rig *self)
{
    for (uint64_t id = client_core_last_id(self->core); id > 0; id--)
        if (client_core_is_open(self->core, id))
            rig_cancel(self, id);
    assert_int_equal(client_core_open_count(self->core), 0);
    assert_int_equal(self->live, 0);
    free(self->core);
    free(self);
}

uint64_t
rig_ms(const struct rig *self)
{
    return (self->now_ns - start_ns) / ms;
}

void
rig_until(struct rig *self, uint64_t until_ms)
{
    uint64_t until_ns = start_ns + until_ms * ms;
    if (until_ns < self->now_ns)
        until_ns = self->now_ns;
    size_t steps = 0;
    uint64_t deadline_ns;
    while ((deadline_ns = client_core_deadline(self->core)) <= until_ns) {
        uint64_t before_ns = self->now_ns;
        if (deadline_ns > self->now_ns)
            self->now_ns = deadline_ns;
        rig_step(self, (struct client_event){.kind = CLIENT_TICK});
        steps = self->now_ns == before_ns ? steps + 1 : 0;
        assert_true(steps < 10000); // or it asks for ticks and does nothing
    }
    self->now_ns = until_ns;
}

uint64_t
rig_call(struct rig *self, const char *service)
{
    rig_step(self, (struct client_event){.kind = CLIENT_CALL,
                                         .service = view_of(service, strlen(service)),
                                         .cargo = take_cargo(self, "request")});
    return client_core_last_id(self->core);
}

void
rig_up(struct rig *self, uint32_t endpoint)
{
    assert_true(self->is_open[endpoint]);
    rig_step(self, (struct client_event){.kind = CLIENT_UP, .endpoint = endpoint});
    rig_until(self, rig_ms(self));
}

void
rig_down(struct rig *self, uint32_t endpoint)
{
    rig_step(self, (struct client_event){.kind = CLIENT_DOWN, .endpoint = endpoint});
    rig_until(self, rig_ms(self));
}

void
rig_cancel(struct rig *self, uint64_t id)
{
    rig_step(self, (struct client_event){.kind = CLIENT_CANCEL, .id = id});
}

void
rig_unsent(struct rig *self, const struct rig_sent *sent)
{
    rig_step(self, (struct client_event){
                       .kind = CLIENT_UNSENT, .endpoint = sent->endpoint, .token = sent->token});
}

void
rig_record(struct rig *self, uint32_t endpoint, const struct mdp_record *record)
{
    struct client_event event = {.kind = CLIENT_RECORD, .endpoint = endpoint, .record = record};
    if (record->command == MDP_PARTIAL && !self->config.hands_out_parts &&
        !self->is_out_of_memory) {
        struct rig_cargo *cargo = take_cargo(self, "");
        add_frames(cargo->text, &record->body);
        event.cargo = cargo;
        event.cargo_bytes = record->body.bytes;
    }
    rig_step(self, event);
}

void
rig_final(struct rig *self, uint32_t endpoint, uint64_t id, uint16_t status, uint16_t parts,
          const char *body)
{
    struct view frame = view_of(body, strlen(body));
    struct mdp_record record = {.dialect = MDP_G1,
                                .command = MDP_FINAL,
                                .id = id,
                                .status = status,
                                .parts = parts,
                                .body = mdp_body_of(&frame, 1)};
    rig_record(self, endpoint, &record);
}

void
rig_partial(struct rig *self, uint32_t endpoint, uint64_t id, uint32_t seq, const char *body)
{
    struct view frame = view_of(body, strlen(body));
    struct mdp_record record = {.dialect = MDP_G1,
                                .command = MDP_PARTIAL,
                                .id = id,
                                .seq = seq,
                                .body = mdp_body_of(&frame, 1)};
    rig_record(self, endpoint, &record);
}

void
rig_reply(struct rig *self, uint32_t endpoint, mdp_dialect_t dialect, enum mdp_command command,
          const char *service, const char *body)
{
    struct view frames[2] = {view_of(body, strlen(body))};
    size_t count = 1;
    const char *bar = strchr(body, '|');
    if (bar != NULL) {
        frames[0].size = (size_t)(bar - body);
        frames[1] = view_of(bar + 1, strlen(bar + 1));
        count = 2;
    }
    struct mdp_record record = {.dialect = dialect,
                                .command = command,
                                .status = command == MDP_FINAL ? MDP_DONE : 0,
                                .service = view_of(service, strlen(service)),
                                .body = mdp_body_of(frames, count)};
    rig_record(self, endpoint, &record);
}

void
rig_forget(struct rig *self)
{
    self->sent_count = 0;
    self->answer_count = 0;
}

const struct rig_sent *
rig_last_sent(const struct rig *self)
{
    assert_true(self->sent_count > 0);
    return &self->sent[self->sent_count - 1];
}

const struct rig_answer *
rig_last_answer(const struct rig *self)
{
    assert_true(self->answer_count > 0);
    return &self->answers[self->answer_count - 1];
}

struct rig *
rig_serving(size_t endpoints)
{
    struct rig *rig = rig_new(MDP_G1, endpoints);
    rig_start(rig);
    rig_up(rig, 0);
    return rig;
}

struct rig *
rig_that_hands_out(size_t endpoints)
{
    struct rig *rig = rig_new(MDP_G1, endpoints);
    rig->config.hands_out_parts = true;
    rig_start(rig);
    rig_up(rig, 0);
    return rig;
}

size_t
rig_count_sent(const struct rig *rig, enum mdp_command command, uint32_t endpoint)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->sent_count; i++)
        count += rig->sent[i].command == command && rig->sent[i].endpoint == endpoint;
    return count;
}

void
rig_assert_answer(const struct rig *rig, uint64_t id, int result, int status, const char *body)
{
    const struct rig_answer *answer = rig_last_answer(rig);
    assert_true(answer->id == id);
    assert_int_equal(answer->result, result);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->body, body);
}
