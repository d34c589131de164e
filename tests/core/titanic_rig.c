// titanic_rig.c - carries out what a titanic core wants, with nothing around it.

#include "titanic_rig.h"

#include "bytes.h"
#include "durable_digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;

struct titanic_rig *
titanic_rig_new(void)
{
    struct titanic_rig *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->now_ns = 1000 * ms;
    self->config = (struct titanic_config){.asks_max = 64,
                                           .waits_max = 8,
                                           .services_max = 8,
                                           .inflight = 8,
                                           .bytes_max = 1 << 20,
                                           .attempts = 3,
                                           .retry_min_ms = 1000,
                                           .retry_max_ms = 8000,
                                           .timeout_ms = 10000,
                                           .retain_ms = 3600 * 1000,
                                           .drain_ms = 1000,
                                           .clock_ms = 1000000};
    struct store_options options = {.retain_ms = self->config.retain_ms,
                                    .wall_ms = self->config.clock_ms};
    struct store_error error;
    self->store = store_open_memory(&options, &error);
    assert_non_null(self->store);
    return self;
}

void
titanic_rig_start(struct titanic_rig *self)
{
    size_t bytes = titanic_core_bytes(&self->config);
    self->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(self->memory, 0, bytes);
    self->core = titanic_core_init(self->memory, &self->config, self->now_ns);
    rig_wait(self, 0);
}

struct titanic_rig *
titanic_rig_started(void)
{
    struct titanic_rig *self = titanic_rig_new();
    titanic_rig_start(self);
    return self;
}

uint64_t
rig_clock_ms(const struct titanic_rig *self)
{
    return titanic_core_clock_ms(self->core, self->now_ns);
}

// ---- bodies ------------------------------------------------------------------------

static struct durable_body *
body_of(struct titanic_rig *self, const char *text)
{
    size_t size = strlen(text);
    struct durable_body *body = malloc(sizeof *body + 4 + size);
    body->frames = 1;
    body->fields_bytes = 0;
    body->bytes = 4 + size;
    memcpy(bytes_put32(body->data, (uint32_t)size), text, size);
    self->live++;
    return body;
}

static void
text_of(char to[RIG_TEXT], const struct durable_body *body)
{
    snprintf(to, RIG_TEXT, "%.*s", (int)(body->bytes - body->fields_bytes - 4),
             (const char *)body->data + body->fields_bytes + 4);
}

static void
body_free(struct titanic_rig *self, struct durable_body *body)
{
    assert_true(self->live > 0);
    self->live--;
    free(body);
}

// ---- effects -----------------------------------------------------------------------

static void
take_reply(struct titanic_rig *self, const struct titanic_effect *effect)
{
    struct rig_asker *asker = effect->asker;
    assert_true(asker->is_open);
    assert_int_equal(effect->asked, asker->request.service);
    asker->is_open = false;
    asker->status = effect->status;
    switch (effect->says) {
    case TITANIC_SAYS_NOTHING:
        break;
    case TITANIC_SAYS_TEXT:
        snprintf(asker->text, RIG_TEXT, "%.*s", (int)effect->text.size,
                 (const char *)effect->text.data);
        break;
    case TITANIC_SAYS_ID:
        asker->id = effect->id;
        break;
    case TITANIC_SAYS_BODY:
        text_of(asker->text, effect->body);
        body_free(self, effect->body);
        break;
    case TITANIC_SAYS_COUNT:
        snprintf(asker->text, RIG_TEXT, "%d", (int)effect->count);
        break;
    case TITANIC_SAYS_TABLE:
        asker->rows = effect->found == NULL ? 0 : effect->found->count;
        break;
    }
}

static void
take_send(struct titanic_rig *self, const struct titanic_effect *effect)
{
    assert_true(self->sent_count < RIG_SENT);
    struct rig_sent *sent = &self->sent[self->sent_count++];
    *sent = (struct rig_sent){.token = effect->token,
                              .id = effect->id,
                              .at_ms = rig_clock_ms(self),
                              .queue_ms = effect->queue_ms,
                              .is_open = true};
    snprintf(sent->service, sizeof sent->service, "%.*s", (int)effect->service.size,
             (const char *)effect->service.data);
    text_of(sent->body, effect->body);
}

static void
take_cancel(struct titanic_rig *self, uint64_t token)
{
    self->cancelled++;
    for (size_t i = 0; i < self->sent_count; i++)
        if (self->sent[i].is_open && self->sent[i].token == token) {
            self->sent[i].is_open = false;
            return;
        }
    fail_msg("cancelled what was not out");
}

static void
take_effect(struct titanic_rig *self, struct titanic_effect *effect)
{
    switch (effect->kind) {
    case TITANIC_STOW:
        assert_true(self->op_count - self->op_first < RIG_OPS);
        if (effect->op.kind == DURABLE_SUBMIT)
            effect->op.digest = durable_digest(effect->op.service, effect->op.body);
        self->ops[self->op_count++ % RIG_OPS] = effect->op;
        break;
    case TITANIC_REPLY:
        take_reply(self, effect);
        break;
    case TITANIC_SEND:
        take_send(self, effect);
        break;
    case TITANIC_CANCEL:
        take_cancel(self, effect->token);
        break;
    case TITANIC_QUESTION:
        snprintf(self->question, sizeof self->question, "%.*s", (int)effect->service.size,
                 (const char *)effect->service.data);
        self->questions++;
        break;
    case TITANIC_DUMP:
        body_free(self, effect->body);
        break;
    case TITANIC_FREE:
        for (size_t i = 0; i < effect->found->count; i++)
            self->live -= effect->found->rows[i].body != NULL;
        store_rows_free(effect->found);
        break;
    case TITANIC_STOPPED:
        self->has_stopped = true;
        break;
    }
}

void
rig_step(struct titanic_rig *self, struct titanic_event *event)
{
    static struct titanic_effects effects;
    event->now_ns = self->now_ns;
    titanic_core_step(self->core, event, &effects);
    if (effects.count > self->effects_most)
        self->effects_most = effects.count;
    for (size_t i = 0; i < effects.count; i++)
        take_effect(self, &effects.list[i]);
    titanic_core_audit(self->core);
}

// damage takes the body that is named out of what a LOAD has found.
static void
damage(const struct titanic_rig *self, struct durable_op *op)
{
    char text[RIG_TEXT];
    for (size_t i = 0; op->kind == DURABLE_LOAD && op->found != NULL && i < op->found->count; i++) {
        struct durable_row *row = &op->found->rows[i];
        text_of(text, row->body);
        if (self->damaged == NULL || strcmp(text, self->damaged) != 0)
            continue;
        free(row->body);
        row->body = NULL;
        row->body_bytes = 0;
        op->outcome = DURABLE_DAMAGED;
    }
}

bool
rig_commit_one(struct titanic_rig *self)
{
    if (self->op_first == self->op_count)
        return false;
    struct durable_op *op = &self->ops[self->op_first++ % RIG_OPS];
    bool brings = op->kind == DURABLE_SUBMIT || op->kind == DURABLE_ANSWER;
    if (self->refuses_all || (self->refuses && brings))
        op->outcome = DURABLE_REFUSED;
    else
        assert_int_equal(store_apply(self->store, &op, 1), STORE_COMMITTED);
    damage(self, op);
    self->live += op->reply != NULL;
    for (size_t i = 0; op->found != NULL && i < op->found->count; i++)
        self->live += op->found->rows[i].body != NULL;
    struct titanic_event event = {.kind = TITANIC_STOWED, .op = op};
    rig_step(self, &event);
    return true;
}

void
rig_commit(struct titanic_rig *self)
{
    while (rig_commit_one(self))
        continue;
}

static void
tick(struct titanic_rig *self)
{
    struct titanic_event event = {.kind = TITANIC_TICK};
    int turns = 0;
    rig_commit(self);
    while (titanic_core_deadline(self->core) <= self->now_ns) {
        rig_step(self, &event);
        rig_commit(self);
        assert_true(++turns < 1000);
    }
}

void
rig_wait(struct titanic_rig *self, uint64_t wait_ms)
{
    uint64_t until_ns = self->now_ns + wait_ms * ms;
    tick(self);
    while (titanic_core_deadline(self->core) < until_ns) {
        self->now_ns = titanic_core_deadline(self->core);
        tick(self);
    }
    self->now_ns = until_ns;
    tick(self);
}

// ---- clients -----------------------------------------------------------------------

static struct rig_asker *
new_asker(struct titanic_rig *self, enum tsp_service service)
{
    assert_true(self->asker_count < RIG_ASKERS);
    struct rig_asker *asker = &self->askers[self->asker_count++];
    *asker = (struct rig_asker){.is_open = true, .request.service = service};
    return asker;
}

size_t
rig_submit_with(struct titanic_rig *self, const char *service, const char *body,
                const struct tsp_request *more)
{
    struct rig_asker *asker = new_asker(self, TSP_SUBMIT);
    asker->request = *more;
    asker->request.service = TSP_SUBMIT;
    snprintf(asker->target, sizeof asker->target, "%s", service);
    asker->request.target = view_of(asker->target, strlen(asker->target));
    if (more->key.size > 0) {
        memcpy(asker->key, more->key.data, more->key.size);
        asker->request.key = view_of(asker->key, more->key.size);
    }
    struct titanic_event event = {.kind = TITANIC_ASK,
                                  .asker = asker,
                                  .request = &asker->request,
                                  .status = TSP_OK,
                                  .body = body_of(self, body)};
    event.body_bytes = sizeof *event.body + event.body->bytes;
    rig_step(self, &event);
    return self->asker_count - 1;
}

size_t
rig_submit(struct titanic_rig *self, const char *service, const char *body)
{
    struct tsp_request none = {0};
    return rig_submit_with(self, service, body, &none);
}

size_t
rig_ask_id(struct titanic_rig *self, enum tsp_service service, const struct request_id *id,
           uint64_t wait_ms)
{
    struct rig_asker *asker = new_asker(self, service);
    asker->request.id = *id;
    asker->request.wait_ms = wait_ms;
    struct titanic_event event = {
        .kind = TITANIC_ASK, .asker = asker, .request = &asker->request, .status = TSP_OK};
    rig_step(self, &event);
    return self->asker_count - 1;
}

size_t
rig_ask_filter(struct titanic_rig *self, enum tsp_service service,
               const struct durable_filter *filter)
{
    struct rig_asker *asker = new_asker(self, service);
    asker->request.filter = *filter;
    asker->request.filter.limit = DURABLE_ROWS_MAX;
    asker->request.reason = VIEW_LITERAL("by the operator");
    struct titanic_event event = {
        .kind = TITANIC_ASK, .asker = asker, .request = &asker->request, .status = TSP_OK};
    rig_step(self, &event);
    return self->asker_count - 1;
}

struct request_id
rig_accepted(struct titanic_rig *self, const char *service, const char *body)
{
    size_t place = rig_submit(self, service, body);
    rig_wait(self, 0);
    assert_int_equal(self->askers[place].status, TSP_OK);
    return self->askers[place].id;
}

enum tsp_status
rig_fetch(struct titanic_rig *self, const struct request_id *id, const char **text_out)
{
    size_t place = rig_ask_id(self, TSP_REPLY, id, 0);
    rig_wait(self, 0);
    if (text_out != NULL)
        *text_out = self->askers[place].text;
    return self->askers[place].status;
}

// ---- workers -----------------------------------------------------------------------

static void
end_attempt(struct titanic_rig *self, size_t place, struct titanic_event *event)
{
    struct rig_sent *sent = &self->sent[place];
    assert_true(place < self->sent_count && sent->is_open);
    sent->is_open = false;
    event->kind = TITANIC_ANSWER;
    event->token = sent->token;
    rig_step(self, event);
    rig_wait(self, 0);
}

void
rig_answer(struct titanic_rig *self, size_t sent, int status, const char *body)
{
    struct titanic_event event = {.ending = TITANIC_ENDED, .ended_with = status};
    if (status == 200) {
        event.reply = body_of(self, body);
        event.reply_bytes = sizeof *event.reply + event.reply->bytes;
    } else {
        event.text = view_of(body, strlen(body));
    }
    end_attempt(self, sent, &event);
}

void
rig_not_tried(struct titanic_rig *self, size_t sent)
{
    struct titanic_event event = {.ending = TITANIC_NOT_TRIED};
    end_attempt(self, sent, &event);
}

void
rig_lost(struct titanic_rig *self, size_t sent)
{
    struct titanic_event event = {.ending = TITANIC_LOST, .text = VIEW_LITERAL("no answer")};
    end_attempt(self, sent, &event);
}

void
rig_known(struct titanic_rig *self, const char *service, bool has_workers)
{
    struct titanic_event event = {.kind = TITANIC_KNOWN,
                                  .service = view_of(service, strlen(service)),
                                  .is_true = has_workers};
    rig_step(self, &event);
    rig_wait(self, 0);
}

size_t
rig_open(const struct titanic_rig *self, const char *service)
{
    size_t count = 0;
    for (size_t i = 0; i < self->sent_count; i++)
        count += self->sent[i].is_open &&
                 (service == NULL || strcmp(self->sent[i].service, service) == 0);
    return count;
}

struct titanic_core_stats
rig_stats(const struct titanic_rig *self)
{
    struct titanic_core_stats stats;
    titanic_core_stats(self->core, &stats);
    return stats;
}

// ---- the end -----------------------------------------------------------------------

static void
stop(struct titanic_rig *self)
{
    struct titanic_event event = {.kind = TITANIC_DRAIN};
    rig_step(self, &event);
    rig_wait(self, self->config.drain_ms + 1);
    rig_wait(self, 0);
    assert_true(self->has_stopped);
    assert_int_equal(self->live, 0);
    for (size_t i = 0; i < self->asker_count; i++)
        assert_false(self->askers[i].is_open);
}

void
titanic_rig_free(struct titanic_rig *self)
{
    stop(self);
    store_close(self->store);
    free(self->memory);
    free(self);
}

void
titanic_rig_crash(struct titanic_rig *self)
{
    // A drain that waits for nothing and stores nothing is as good as a crash to the core, and
    // gives everything back.
    bool refused = self->refuses;
    self->refuses = true;
    stop(self);
    self->refuses = refused;
    self->has_stopped = false;
    self->config.clock_ms = rig_clock_ms(self);
    free(self->memory);
    for (size_t i = 0; i < self->sent_count; i++)
        self->sent[i].is_open = false;
    titanic_rig_start(self);
}
