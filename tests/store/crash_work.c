// crash_work.c - makes batches, and knows what they should do.

#include "crash_work.h"

#include "bytes.h"
#include "durable_digest.h"
#include "must.h"

#include <stdio.h>
#include <stdlib.h>

void
work_init(struct work *self, uint64_t seed)
{
    *self = (struct work){.count = 0};
    crash_prng_init(&self->prng, seed, 3);
}

static uint64_t
roll(struct work *self, uint64_t below)
{
    return prng_below(&self->prng, below);
}

static struct model_body
make_body(struct work *self, bool is_flood)
{
    struct model_body body = {.seed = ++self->numbers, .bytes = 16 + (uint32_t)roll(self, 600)};
    uint64_t kind = roll(self, 100);
    if (is_flood)
        body.bytes = 300000 + (uint32_t)roll(self, 300000);
    else if (kind < 3)
        body.bytes = 60000 + (uint32_t)roll(self, 12000); // about a chunk
    else if (kind < 5)
        body.bytes = (uint32_t)roll(self, 200000) + 16;
    else if (kind < 15)
        body.bytes = 2000 + (uint32_t)roll(self, 10000);
    return body;
}

static struct request_id
make_id(struct work *self, const struct model *model)
{
    struct request_id id;
    uint8_t *at = bytes_put64(id.bytes, (model->now_ms << 16) | roll(self, 65536));
    bytes_put64(at, ++self->numbers);
    return id;
}

// pick is any request that the store may not have dropped, most often a pending one; NULL: there
// is none.
static struct model_row *
pick(struct work *self, struct model *model)
{
    for (int tries = 0; model->count > 0 && tries < 8; tries++) {
        struct model_row *row = &model->rows[roll(self, model->count)];
        if (!model_is_old(model, row) && (row->state == DURABLE_PENDING || tries > 3))
            return row;
    }
    return NULL;
}

// ---- one request -------------------------------------------------------------------

static void
make_submit(struct work *self, struct work_op *made, struct model *model, bool is_flood)
{
    struct model_row row = {.id = make_id(self, model),
                            .owner = (uint32_t)roll(self, MODEL_OWNERS),
                            .service = (uint32_t)roll(self, MODEL_SERVICES),
                            .body = make_body(self, is_flood),
                            .attempts_max = 1 + (uint32_t)roll(self, 10),
                            .accepted_ms = model->now_ms,
                            .due_ms = model->now_ms + roll(self, 3) * roll(self, 5000)};
    if (roll(self, 4) == 0)
        row.deadline_ms = model->now_ms + roll(self, 100000);
    if (roll(self, 2) == 0)
        row.key = ++self->numbers;
    const struct model_row *other = roll(self, 5) == 0 ? pick(self, model) : NULL;
    if (other != NULL && other->key > 0) {
        row.key = other->key;
        row.owner = other->owner;
        if (roll(self, 3) > 0) {
            row.service = other->service;
            row.body = other->body;
        }
    }
    made->body = model_make_body(row.body);
    made->op = (struct durable_op){.kind = DURABLE_SUBMIT,
                                   .now_ms = model->now_ms,
                                   .id = row.id,
                                   .owner = model_owner(row.owner),
                                   .service = model_service(row.service),
                                   .key = model_text(made->key, 'k', row.key),
                                   .body = made->body,
                                   .attempts_max = row.attempts_max,
                                   .deadline_ms = row.deadline_ms,
                                   .due_ms = row.due_ms};
    made->op.digest = durable_digest(made->op.service, made->body);
    made->outcome = model_submit(model, &row);
    made->id = row.id;
    if (made->outcome == DURABLE_SAME)
        made->id = model_find_key(model, row.owner, row.key)->id;
}

static void
make_by_seq(struct work *self, struct work_op *made, struct model *model, enum durable_op_kind kind)
{
    struct model_row *row = pick(self, model);
    if (row != NULL && row->seq == 0)
        row = NULL; // nobody knows it yet
    uint32_t reason = 1 + (uint32_t)roll(self, 1000), attempts = 1 + (uint32_t)roll(self, 9);
    enum durable_state state = roll(self, 3) == 0 ? DURABLE_EXPIRED : DURABLE_DEAD;
    made->op = (struct durable_op){.kind = kind,
                                   .now_ms = model->now_ms,
                                   .seq = row != NULL ? row->seq : 1000000,
                                   .life = row != NULL ? row->life : 0,
                                   .attempts = attempts,
                                   .state = state,
                                   .due_ms = model->now_ms + roll(self, 9000)};
    if (kind == DURABLE_ANSWER) {
        struct model_body reply = make_body(self, false);
        made->body = model_make_body(reply);
        made->op.body = made->body;
        made->outcome = model_answer(model, row, reply, attempts);
        return;
    }
    made->op.reason = model_text(made->reason, 'r', reason);
    made->outcome = kind == DURABLE_FAILED ? model_failed(row, attempts, made->op.due_ms, reason)
                                           : model_end(model, row, state, attempts, reason);
}

static void
make_by_id(struct work *self, struct work_op *made, struct model *model, enum durable_op_kind kind)
{
    struct model_row *row = pick(self, model);
    made->op = (struct durable_op){.kind = kind, .now_ms = model->now_ms};
    bool is_stranger = roll(self, 8) == 0;
    made->outcome = DURABLE_NONE;
    if (row == NULL) {
        memset(&made->op.id, 0xff, sizeof made->op.id);
        return;
    }
    made->op.id = row->id;
    made->op.owner = model_owner(is_stranger ? 1 - row->owner : row->owner);
    if (is_stranger)
        return;
    made->state = row->state;
    made->reply = row->reply;
    if (kind == DURABLE_CLOSE)
        made->outcome = model_close(model, row);
    else if (row->state != DURABLE_CLOSED)
        made->outcome = DURABLE_OK;
}

// ---- many requests -----------------------------------------------------------------

static bool
is_changed_by(enum durable_op_kind kind, enum durable_state state)
{
    switch (kind) {
    case DURABLE_RETRY:
        return state == DURABLE_DEAD || state == DURABLE_EXPIRED;
    case DURABLE_CANCEL:
        return state == DURABLE_PENDING;
    default:
        return state != DURABLE_PENDING && state != DURABLE_CLOSED;
    }
}

// What is too old for a list is left alone: the store may have dropped it, or not.
static void
make_by_filter(struct work *self, struct work_op *made, struct model *model,
               enum durable_op_kind kind)
{
    uint32_t service = (uint32_t)roll(self, MODEL_SERVICES);
    uint32_t owner = (uint32_t)roll(self, MODEL_OWNERS);
    uint32_t limit = 1 + (uint32_t)roll(self, kind == DURABLE_CANCEL ? 3 : 40);
    uint32_t reason = 1 + (uint32_t)roll(self, 1000);
    made->op = (struct durable_op){.kind = kind,
                                   .now_ms = model->now_ms,
                                   .owner = model_owner(owner),
                                   .reason = model_text(made->reason, 'r', reason),
                                   .due_ms = model->now_ms + roll(self, 9000),
                                   .filter = {.service = model_service(service),
                                              .newer_than_ms = MODEL_RETAIN_MS,
                                              .limit = limit}};
    made->outcome = DURABLE_OK;
    for (size_t at = 0; at < model->count && made->found < limit;) {
        struct model_row *row = &model->rows[at];
        size_t count = model->count;
        if (row->owner == owner && row->service == service && is_changed_by(kind, row->state) &&
            model->now_ms - row->accepted_ms < MODEL_RETAIN_MS) {
            made->found++;
            if (kind == DURABLE_RETRY)
                model_revive(row, made->op.due_ms);
            else if (kind == DURABLE_CANCEL)
                model_end(model, row, DURABLE_DEAD, row->attempts, reason);
            else
                model_close(model, row);
        }
        at += model->count == count;
    }
}

// ---- a batch -----------------------------------------------------------------------

static void
make_op(struct work *self, struct model *model, bool is_flood)
{
    struct work_op *made = &self->ops[self->count++];
    *made = (struct work_op){.outcome = DURABLE_NONE};
    uint64_t kind = roll(self, 100);
    if (is_flood || (kind < 45 && model->count + 8 < MODEL_ROWS_MAX))
        make_submit(self, made, model, is_flood);
    else if (kind < 65)
        make_by_seq(self, made, model, DURABLE_ANSWER);
    else if (kind < 72)
        make_by_seq(self, made, model, DURABLE_FAILED);
    else if (kind < 76)
        make_by_seq(self, made, model, DURABLE_KILL);
    else if (kind < 86)
        make_by_id(self, made, model, DURABLE_CLOSE);
    else if (kind < 95)
        make_by_id(self, made, model, DURABLE_FETCH);
    else if (kind < 97)
        make_by_filter(self, made, model, DURABLE_RETRY);
    else if (kind < 98)
        make_by_filter(self, made, model, DURABLE_CANCEL);
    else
        make_by_filter(self, made, model, DURABLE_PURGE);
}

void
work_make(struct work *self, struct model *model, bool is_flood)
{
    static const uint32_t sizes[] = {1, 1, 1, 2, 4, 12, 40};
    size_t count = 1 + roll(self, sizes[roll(self, sizeof sizes / sizeof *sizes)]);
    if (is_flood)
        count = 20;
    self->count = 0;
    while (self->count < count)
        make_op(self, model, is_flood && model->count + 8 < MODEL_ROWS_MAX);
}

static bool
is_as_it_should(const struct work_op *made)
{
    const struct durable_op *op = &made->op;
    if (op->outcome != made->outcome)
        return false;
    if (op->outcome == DURABLE_SAME || (op->outcome == DURABLE_OK && op->kind == DURABLE_SUBMIT))
        return memcmp(&op->id, &made->id, sizeof op->id) == 0;
    if (op->outcome != DURABLE_OK)
        return true;
    if (op->kind == DURABLE_FETCH || op->kind == DURABLE_CLOSE)
        return op->state == made->state &&
               (op->kind == DURABLE_CLOSE || op->state != DURABLE_DONE ||
                model_is_body(made->reply, op->reply));
    bool is_many =
        op->kind == DURABLE_RETRY || op->kind == DURABLE_CANCEL || op->kind == DURABLE_PURGE;
    return !is_many || (op->found != NULL && op->found->count == made->found);
}

bool
work_check(struct work *self, struct model *model, char why[CHECK_WHY_BYTES])
{
    static const char *const names[DURABLE_OPS] = {
#define X(name, text) [name] = text,
        DURABLE_OP_MAP(X)
#undef X
    };
    for (size_t at = 0; at < self->count; at++) {
        const struct work_op *made = &self->ops[at];
        const struct durable_op *op = &made->op;
        if (!is_as_it_should(made)) {
            snprintf(why, CHECK_WHY_BYTES,
                     "%s of request %llu: outcome %d, not %d (state %d, not %d)", names[op->kind],
                     (unsigned long long)op->seq, (int)op->outcome, (int)made->outcome,
                     (int)op->state, (int)made->state);
            return false;
        }
        if (op->kind != DURABLE_SUBMIT || op->outcome != DURABLE_OK)
            continue;
        if (op->seq <= self->seq_max) {
            snprintf(why, CHECK_WHY_BYTES, "seq %llu after %llu", (unsigned long long)op->seq,
                     (unsigned long long)self->seq_max);
            return false;
        }
        self->seq_max = op->seq;
        struct model_row *row = model_find_id(model, &op->id);
        if (row != NULL)
            row->seq = op->seq;
    }
    return true;
}

void
work_forget(struct work *self)
{
    for (size_t at = 0; at < self->count; at++) {
        free(self->ops[at].body);
        free(self->ops[at].op.reply);
        store_rows_free(self->ops[at].op.found);
    }
    self->count = 0;
}
