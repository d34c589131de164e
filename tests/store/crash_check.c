// crash_check.c - asks a store for all that it has, and compares.

#include "crash_check.h"

#include "audit_chain.h"
#include "durable_digest.h"
#include "must.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool __attribute__((format(printf, 2, 3)))
complain(struct check *self, const char *format, ...)
{
    va_list more;
    va_start(more, format);
    vsnprintf(self->why, sizeof self->why, format, more);
    va_end(more);
    return false;
}

// ask applies one operation. What the store finds wrong itself is a refusal, not a lie.
static bool
ask(struct check *self, struct store *store, struct durable_op *op)
{
    enum store_result result = store_apply(store, &op, 1);
    if (result == STORE_COMMITTED)
        return true;
    self->was_refused = true;
    return complain(self, "the store refuses (%d): %s", (int)result, store_error(store));
}

static void
forget(struct durable_op *op)
{
    store_rows_free(op->found);
    free(op->reply);
    op->found = NULL;
    op->reply = NULL;
}

// ---- rows --------------------------------------------------------------------------

static bool
differs(struct check *self, const struct model_row *row, const char *what, uint64_t is,
        uint64_t should)
{
    return complain(self, "request %llu: %s is %llu, not %llu", (unsigned long long)row->seq, what,
                    (unsigned long long)is, (unsigned long long)should);
}

static bool
compare_texts(struct check *self, const struct model_row *row, const struct durable_row *is)
{
    char text[MODEL_TEXT_BYTES];
    if (!view_equals(is->service, model_service(row->service)))
        return differs(self, row, "its service's length", is->service.size, 0);
    if (!view_equals(is->key, model_text(text, 'k', row->key)))
        return differs(self, row, "its key's length", is->key.size, row->key);
    bool has_reason = row->state != DURABLE_CLOSED && row->state != DURABLE_DONE;
    if (has_reason && !view_equals(is->reason, model_text(text, 'r', row->reason)))
        return differs(self, row, "its reason's length", is->reason.size, row->reason);
    return true;
}

static bool
compare(struct check *self, struct model_row *row, const struct durable_row *is)
{
    if (row->seq == 0)
        row->seq = is->seq;
    if (is->seq != row->seq)
        return differs(self, row, "seq", is->seq, row->seq);
    if (is->state != row->state)
        return differs(self, row, "state", is->state, row->state);
    if (is->life != row->life)
        return differs(self, row, "life", is->life, row->life);
    if (is->attempts != row->attempts)
        return differs(self, row, "attempts", is->attempts, row->attempts);
    if (is->attempts_max != row->attempts_max)
        return differs(self, row, "attempts_max", is->attempts_max, row->attempts_max);
    if (is->accepted_ms != row->accepted_ms)
        return differs(self, row, "accepted_ms", is->accepted_ms, row->accepted_ms);
    if (row->state == DURABLE_PENDING && is->due_ms != row->due_ms)
        return differs(self, row, "due_ms", is->due_ms, row->due_ms);
    if (is->deadline_ms != row->deadline_ms)
        return differs(self, row, "deadline_ms", is->deadline_ms, row->deadline_ms);
    return compare_texts(self, row, is);
}

static bool
compare_list(struct check *self, struct model *model, const struct durable_rows *found,
             bool seen[MODEL_ROWS_MAX])
{
    uint64_t seq = 0;
    for (size_t at = 0; at < found->count; at++) {
        const struct durable_row *is = &found->rows[at];
        struct model_row *row = model_find_id(model, &is->id);
        if (row == NULL)
            return complain(self, "request %llu (%s) is there, and nobody submitted it",
                            (unsigned long long)is->seq,
                            is->state == DURABLE_PENDING ? "pending" : "over");
        if (is->seq <= seq || seen[row - model->rows])
            return complain(self, "request %llu is there twice", (unsigned long long)is->seq);
        seq = is->seq;
        seen[row - model->rows] = true;
        if (!compare(self, row, is))
            return false;
    }
    return true;
}

bool
check_rows(struct check *self, struct store *store, struct model *model)
{
    bool seen[MODEL_ROWS_MAX] = {false};
    for (uint32_t owner = 0; owner < MODEL_OWNERS; owner++) {
        struct durable_op list = {.kind = DURABLE_LIST,
                                  .now_ms = model->now_ms,
                                  .owner = model_owner(owner),
                                  .filter = {.limit = DURABLE_ROWS_MAX}};
        if (!ask(self, store, &list))
            return false;
        bool is_right = list.found != NULL && compare_list(self, model, list.found, seen);
        forget(&list);
        if (!is_right)
            return false;
    }
    for (size_t at = model->count; at-- > 0;) {
        struct model_row *row = &model->rows[at];
        if (seen[at])
            continue;
        if (!model_is_old(model, row))
            return complain(self, "request %llu (key %u, state %d) is lost",
                            (unsigned long long)row->seq, row->key, (int)row->state);
        model_remove(model, row);
    }
    return true;
}

// ---- bodies ------------------------------------------------------------------------

static bool
check_answer(struct check *self, struct store *store, const struct model *model,
             const struct model_row *row)
{
    struct durable_op fetch = {.kind = DURABLE_FETCH,
                               .now_ms = model->now_ms,
                               .id = row->id,
                               .owner = model_owner(row->owner)};
    if (!ask(self, store, &fetch))
        return false;
    char text[MODEL_TEXT_BYTES];
    bool is_closed = row->state == DURABLE_CLOSED;
    bool is_right = fetch.outcome == (is_closed ? DURABLE_NONE : DURABLE_OK);
    if (is_right && !is_closed)
        is_right = fetch.state == row->state;
    if (is_right && row->state == DURABLE_DONE)
        is_right = model_is_body(row->reply, fetch.reply);
    if (is_right && row->state == DURABLE_DEAD)
        is_right = view_equals(fetch.text, model_text(text, 'r', row->reason));
    self->was_refused = fetch.outcome == DURABLE_DAMAGED;
    forget(&fetch);
    return is_right || complain(self, "request %llu (state %d): what is fetched is wrong: %d, %d",
                                (unsigned long long)row->seq, (int)row->state, (int)fetch.outcome,
                                (int)fetch.state);
}

static bool
compare_loaded(struct check *self, const struct model *model, const struct durable_row *is,
               uint64_t *due_ms, uint64_t *seq)
{
    const struct model_row *row = model_find_id((struct model *)(uintptr_t)model, &is->id);
    if (row == NULL || row->state != DURABLE_PENDING)
        return complain(self, "request %llu is loaded and not pending",
                        (unsigned long long)is->seq);
    if (is->due_ms < *due_ms || (is->due_ms == *due_ms && is->seq <= *seq))
        return complain(self, "request %llu is loaded out of turn", (unsigned long long)is->seq);
    *due_ms = is->due_ms;
    *seq = is->seq;
    return model_is_body(row->body, is->body) ||
           complain(self, "request %llu: its body is wrong", (unsigned long long)is->seq);
}

static bool
check_queue(struct check *self, struct store *store, const struct model *model, uint32_t service)
{
    struct durable_op load = {.kind = DURABLE_LOAD,
                              .now_ms = model->now_ms + (1u << 30),
                              .service = model_service(service),
                              .limit = DURABLE_ROWS_MAX};
    if (!ask(self, store, &load))
        return false;
    size_t pending = 0;
    for (size_t at = 0; at < model->count; at++)
        pending += model->rows[at].service == service && model->rows[at].state == DURABLE_PENDING;
    self->was_refused = load.outcome == DURABLE_DAMAGED;
    bool is_right = load.outcome == DURABLE_OK || complain(self, "a queue is damaged");
    if (is_right && load.found->count != pending)
        is_right = complain(self, "%zu requests are queued, not %zu", load.found->count, pending);
    uint64_t due_ms = 0, seq = 0;
    for (size_t at = 0; is_right && at < load.found->count; at++)
        is_right = compare_loaded(self, model, &load.found->rows[at], &due_ms, &seq);
    forget(&load);
    return is_right;
}

bool
check_answers(struct check *self, struct store *store, const struct model *model)
{
    for (size_t at = 0; at < model->count; at++)
        if (!check_answer(self, store, model, &model->rows[at]))
            return false;
    for (uint32_t service = 0; service < MODEL_SERVICES; service++)
        if (!check_queue(self, store, model, service))
            return false;
    return true;
}

// ---- counts ------------------------------------------------------------------------

bool
check_counts(struct check *self, struct store *store, const struct model *model)
{
    uint64_t counts[DURABLE_STATES] = {0};
    for (size_t at = 0; at < model->count; at++)
        counts[model->rows[at].state]++;
    struct store_info info;
    store_info(store, &info);
    const uint64_t is[DURABLE_STATES] = {info.pending, info.done, info.dead, info.closed,
                                         info.expired};
    for (int state = 0; state < DURABLE_STATES; state++)
        if (is[state] != counts[state])
            return complain(self, "%llu are counted in state %d, and there are %llu",
                            (unsigned long long)is[state], state,
                            (unsigned long long)counts[state]);
    return true;
}

// ---- keys --------------------------------------------------------------------------

static bool
submit(struct check *self, struct store *store, const struct model *model,
       const struct model_row *row, struct durable_op *op)
{
    struct durable_body *body = model_make_body(row->body);
    char text[MODEL_TEXT_BYTES];
    *op = (struct durable_op){.kind = DURABLE_SUBMIT,
                              .now_ms = model->now_ms,
                              .owner = model_owner(row->owner),
                              .service = model_service(row->service),
                              .key = model_text(text, 'k', row->key),
                              .body = body,
                              .attempts_max = 3};
    memset(&op->id, 0xee, sizeof op->id);
    op->id.bytes[15] = (uint8_t)row->key;
    op->digest = durable_digest(op->service, body);
    bool is_applied = ask(self, store, op);
    op->body = NULL;
    free(body);
    return is_applied;
}

bool
check_keys(struct check *self, struct store *store, struct model *model, uint64_t seq_max)
{
    struct durable_op op;
    int tried = 0;
    for (size_t at = model->count; at-- > 0 && tried < 4;) {
        const struct model_row *row = &model->rows[at];
        if (row->key == 0 || model_is_old(model, row))
            continue;
        tried++;
        if (!submit(self, store, model, row, &op))
            return false;
        if (op.outcome != DURABLE_SAME || memcmp(&op.id, &row->id, sizeof op.id) != 0)
            return complain(self, "key %u was used, and used again: %d", row->key, (int)op.outcome);
    }
    struct model_row fresh = {.body = {.seed = 5, .bytes = 100}};
    if (!submit(self, store, model, &fresh, &op))
        return false;
    if (op.outcome != DURABLE_OK || op.seq <= seq_max)
        return complain(self, "a new request is %d, with seq %llu after %llu", (int)op.outcome,
                        (unsigned long long)op.seq, (unsigned long long)seq_max);
    return true;
}

// ---- the file ----------------------------------------------------------------------

static bool
expect(struct check *self, sqlite3 *db, const char *sql, const char *wanted)
{
    sqlite3_stmt *statement = NULL;
    bool is_right = false;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *is = (const char *)sqlite3_column_text(statement, 0);
        is_right = is != NULL && strcmp(is, wanted) == 0;
        if (!is_right)
            complain(self, "%s: %s", sql, is != NULL ? is : "nothing");
    } else {
        complain(self, "%s: %s", sql, sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return is_right;
}

// check_chain walks the audit chain from its beginning.
static bool
check_chain(struct check *self, sqlite3 *db)
{
    static const char sql[] = "SELECT records, first, head, "
                              "(SELECT value FROM meta WHERE key = 'store_id') "
                              "FROM audit ORDER BY upto";
    sqlite3_stmt *walk = NULL;
    struct audit_head head;
    uint64_t n = 0;
    bool is_right = sqlite3_prepare_v2(db, sql, -1, &walk, NULL) == SQLITE_OK;
    while (is_right && sqlite3_step(walk) == SQLITE_ROW) {
        if (n == 0)
            audit_head_start(&head, view_of(sqlite3_column_text(walk, 3), AUDIT_STORE_ID_BYTES));
        const void *records = sqlite3_column_blob(walk, 0);
        size_t size = (size_t)sqlite3_column_bytes(walk, 0);
        is_right = (uint64_t)sqlite3_column_int64(walk, 1) == n + 1 &&
                   audit_head_walk(&head, &n, view_of(records, size)) &&
                   memcmp(sqlite3_column_blob(walk, 2), &head, sizeof head) == 0;
    }
    sqlite3_finalize(walk);
    return is_right ||
           complain(self, "the audit chain is broken after record %llu", (unsigned long long)n);
}

bool
check_file(struct check *self, const char *path)
{
    sqlite3 *db = NULL;
    bool is_right = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK;
    is_right = is_right && expect(self, db, "PRAGMA integrity_check", "ok") &&
               expect(self, db,
                      "SELECT count(*) FROM chunk WHERE (id >> 16) NOT IN "
                      "(SELECT seq FROM request WHERE parts > 0)",
                      "0") &&
               expect(self, db,
                      "SELECT count(*) FROM request WHERE parts <> "
                      "(SELECT count(*) FROM chunk WHERE id >> 16 = seq)",
                      "0") &&
               check_chain(self, db);
    sqlite3_close(db);
    return is_right;
}
