// memory.c - a store in memory: the simplest thing that does what a store should.
//
// One array of requests in the order of their numbers, and every operation looks at all of
// it. What another store does differently on any operations is a bug of one of the two.

#include "rows.h"

#include "durable_digest.h"
#include "list.h"
#include "must.h"
#include "tsp.h"

#include <stdlib.h>

struct request {
    struct durable_row row; // its texts and its body are from malloc
    struct durable_digest digest;
    uint64_t over_ms; // when it was done or closed
};

struct memory_store {
    struct store base;
    struct request **requests;
    size_t count, requests_max;
    uint64_t next_seq;
    uint64_t clock_ms;
    uint64_t retain_ms;
    uint64_t swept_ms; // what was over before this may be gone
    uint64_t commits;
};

static struct memory_store *
of(struct store *base)
{
    return list_object(base, struct memory_store, base);
}

// ---- requests --------------------------------------------------------------------

static struct view
copy_text(struct view text)
{
    if (text.size == 0)
        return VIEW_NONE;
    uint8_t *copy = malloc(text.size);
    must(copy != NULL);
    memcpy(copy, text.data, text.size);
    return view_of(copy, text.size);
}

static void
free_text(struct view text)
{
    free((void *)(uintptr_t)text.data);
}

static struct durable_body *
copy_body(const struct durable_body *body)
{
    struct durable_body *copy = body_new(body->frames, body->fields_bytes, body->bytes);
    must(copy != NULL);
    memcpy(copy->data, body->data, body->bytes);
    return copy;
}

static void
set_reason(struct request *request, struct view reason)
{
    free_text(request->row.reason);
    request->row.reason = copy_text(reason);
}

static void
free_request(struct request *request)
{
    free_text(request->row.service);
    free_text(request->row.key);
    free_text(request->row.reason);
    free(request->row.body);
    free(request);
}

static void
forget(struct memory_store *self, size_t at)
{
    free_request(self->requests[at]);
    self->count--;
    memmove(self->requests + at, self->requests + at + 1,
            (self->count - at) * sizeof *self->requests);
}

static struct request *
find_pending(const struct memory_store *self, uint64_t seq)
{
    for (size_t at = 0; at < self->count; at++)
        if (self->requests[at]->row.seq == seq && self->requests[at]->row.state == DURABLE_PENDING)
            return self->requests[at];
    return NULL;
}

// find_life finds it only where it is the life that the operation speaks of.
static struct request *
find_life(const struct memory_store *self, const struct durable_op *op)
{
    struct request *request = find_pending(self, op->seq);
    return request != NULL && request->row.life == op->life ? request : NULL;
}

static bool
same_id(const struct request_id *a, const struct request_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool
same_owner(const struct durable_owner *a, const struct durable_owner *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

// close leaves what the key needs, and nothing where there is none. It says what is left.
static struct request *
close_request(struct memory_store *self, struct request *request, uint64_t now_ms)
{
    if (request->row.key.size == 0) {
        size_t at = 0;
        while (self->requests[at] != request)
            at++;
        forget(self, at);
        return NULL;
    }
    request->row.state = DURABLE_CLOSED;
    request->over_ms = now_ms;
    free(request->row.body);
    request->row.body = NULL;
    return request;
}

// ---- one request -------------------------------------------------------------------

static void
submit(struct memory_store *self, struct durable_op *op)
{
    for (size_t at = 0; at < self->count; at++) {
        const struct request *one = self->requests[at];
        if (op->key.size > 0 && view_equals(one->row.key, op->key) &&
            same_owner(&one->row.owner, &op->owner)) {
            bool is_same = durable_digest_equals(&one->digest, &op->digest);
            op->outcome = is_same ? DURABLE_SAME : DURABLE_CONFLICT;
            op->id = one->row.id;
            op->seq = one->row.seq;
            op->state = one->row.state;
            return;
        }
    }
    for (size_t at = 0; at < self->count; at++)
        if (same_id(&self->requests[at]->row.id, &op->id))
            return; // refused
    if (request_key_is_before(op->key, self->swept_ms)) {
        op->outcome = DURABLE_LATE;
        return;
    }
    if (self->count == self->requests_max) {
        self->requests_max = self->requests_max * 2 + 16;
        self->requests = realloc(self->requests, self->requests_max * sizeof *self->requests);
        must(self->requests != NULL);
    }
    struct request *request = calloc(1, sizeof *request);
    must(request != NULL);
    request->digest = op->digest;
    request->row = (struct durable_row){.seq = self->next_seq++,
                                        .id = op->id,
                                        .owner = op->owner,
                                        .attempts_max = op->attempts_max,
                                        .accepted_ms = op->now_ms,
                                        .due_ms = op->due_ms,
                                        .deadline_ms = op->deadline_ms,
                                        .service = copy_text(op->service),
                                        .key = copy_text(op->key),
                                        .frames = op->body->frames,
                                        .bytes = durable_body_content(op->body),
                                        .body = copy_body(op->body)};
    self->requests[self->count++] = request;
    op->seq = request->row.seq;
    op->state = DURABLE_PENDING;
    op->outcome = DURABLE_OK;
}

static void
answer(struct memory_store *self, struct durable_op *op)
{
    struct request *request = find_pending(self, op->seq);
    op->outcome = request != NULL ? DURABLE_OK : DURABLE_NONE;
    if (request == NULL)
        return;
    free(request->row.body);
    request->row.body = copy_body(op->body);
    request->row.reply_frames = op->body->frames;
    request->row.reply_bytes = durable_body_content(op->body);
    request->row.state = DURABLE_DONE;
    request->row.attempts = op->attempts;
    request->over_ms = op->now_ms;
}

static void
failed(struct memory_store *self, struct durable_op *op)
{
    struct request *request = find_life(self, op);
    op->outcome = request != NULL ? DURABLE_OK : DURABLE_NONE;
    if (request == NULL)
        return;
    request->row.attempts = op->attempts;
    request->row.due_ms = op->due_ms;
    set_reason(request, op->reason);
}

static void
kill_one(struct memory_store *self, struct durable_op *op)
{
    struct request *request = find_life(self, op);
    op->outcome = request != NULL ? DURABLE_OK : DURABLE_NONE;
    if (request == NULL)
        return;
    request->row.state = op->state == DURABLE_EXPIRED ? DURABLE_EXPIRED : DURABLE_DEAD;
    request->row.attempts = op->attempts;
    set_reason(request, op->reason);
}

static struct request *
find_open(const struct memory_store *self, struct durable_op *op)
{
    op->outcome = DURABLE_NONE;
    op->state = DURABLE_CLOSED;
    for (size_t at = 0; at < self->count; at++) {
        struct request *one = self->requests[at];
        if (same_id(&one->row.id, &op->id) && same_owner(&one->row.owner, &op->owner) &&
            one->row.state != DURABLE_CLOSED) {
            op->outcome = DURABLE_OK;
            op->state = one->row.state;
            op->seq = one->row.seq;
            return one;
        }
    }
    return NULL;
}

static void
close_one(struct memory_store *self, struct durable_op *op)
{
    struct request *request = find_open(self, op);
    if (request != NULL)
        close_request(self, request, op->now_ms);
}

static void
add_row(struct rows *rows, const struct request *request)
{
    struct durable_row row = request->row;
    row.body = NULL;
    must(rows_add(rows, &row));
}

static void
fetch_one(struct memory_store *self, struct durable_op *op)
{
    const struct request *request = find_open(self, op);
    if (request == NULL)
        return;
    if (op->state == DURABLE_DONE)
        op->reply = copy_body(request->row.body);
    if (op->state == DURABLE_DEAD || op->state == DURABLE_EXPIRED) {
        struct rows rows;
        rows_init(&rows);
        add_row(&rows, request);
        op->found = rows_end(&rows);
        must(op->found != NULL);
        op->text = op->found->rows[0].reason;
    }
}

// ---- many requests -------------------------------------------------------------------

// What LOAD and OVERDUE go by: their time, then their number.
static uint64_t
time_of(const struct durable_op *op, const struct request *request)
{
    return op->kind == DURABLE_LOAD ? request->row.due_ms : request->row.deadline_ms;
}

// has_come says whether the time of it is there: due now, or a deadline before now.
static bool
has_come(const struct durable_op *op, const struct request *request)
{
    uint64_t time_ms = time_of(op, request);
    return op->kind == DURABLE_LOAD ? time_ms <= op->now_ms : time_ms < op->now_ms;
}

static bool
is_wanted(const struct durable_op *op, const struct request *request)
{
    if (request->row.state != DURABLE_PENDING)
        return false;
    return op->kind == DURABLE_LOAD ? view_equals(request->row.service, op->service)
                                    : request->row.deadline_ms > 0;
}

static struct request *
first_behind(const struct memory_store *self, const struct durable_op *op, uint64_t after_ms,
             uint64_t after_seq)
{
    struct request *first = NULL;
    for (size_t at = 0; at < self->count; at++) {
        struct request *one = self->requests[at];
        uint64_t time_ms = time_of(op, one);
        bool is_behind = time_ms > after_ms || (time_ms == after_ms && one->row.seq > after_seq);
        if (is_wanted(op, one) && is_behind && has_come(op, one) &&
            (first == NULL || time_ms < time_of(op, first)))
            first = one;
    }
    return first;
}

static void
come_next(struct memory_store *self, struct durable_op *op)
{
    struct rows rows;
    rows_init(&rows);
    uint64_t after_ms = op->after_due_ms, after_seq = op->after_seq, bytes = 0;
    uint32_t limit = op->limit == 0 ? DURABLE_ROWS_MAX : op->limit;
    struct request *one;
    while ((one = first_behind(self, op, after_ms, after_seq)) != NULL) {
        if (rows.count == limit || (op->bytes_max > 0 && bytes >= op->bytes_max))
            break;
        struct durable_row row = one->row;
        row.body = op->kind == DURABLE_LOAD ? copy_body(one->row.body) : NULL;
        row.body_bytes = row.body != NULL ? row.body->bytes : 0;
        must(rows_add(&rows, &row));
        bytes += row.body_bytes;
        after_ms = time_of(op, one);
        after_seq = one->row.seq;
    }
    op->has_more = one != NULL;
    for (size_t at = 0; at < self->count; at++) {
        const struct request *later = self->requests[at];
        if (is_wanted(op, later) && !has_come(op, later) &&
            (op->next_ms == 0 || time_of(op, later) < op->next_ms))
            op->next_ms = time_of(op, later);
    }
    op->found = rows_end(&rows);
    must(op->found != NULL);
    op->outcome = DURABLE_OK;
}

static uint64_t
seq_of(const struct memory_store *self, const struct request_id *id)
{
    for (size_t at = 0; at < self->count; at++)
        if (same_id(&self->requests[at]->row.id, id))
            return self->requests[at]->row.seq;
    return 0;
}

static bool
fits_filter(const struct memory_store *self, const struct durable_op *op,
            const struct request *request)
{
    const struct durable_filter *filter = &op->filter;
    const struct durable_row *row = &request->row;
    uint64_t age_ms = op->now_ms > row->accepted_ms ? op->now_ms - row->accepted_ms : 0;
    if (!same_owner(&row->owner, &op->owner) ||
        (filter->service.size > 0 && !view_equals(filter->service, row->service)) ||
        (filter->has_state && filter->state != row->state) || age_ms < filter->older_than_ms ||
        (filter->newer_than_ms > 0 && age_ms >= filter->newer_than_ms) ||
        (filter->has_id && !same_id(&filter->id, &row->id)))
        return false;
    if (!filter->has_after)
        return true;
    uint64_t after = seq_of(self, &filter->after);
    return after > 0 ? row->seq > after : memcmp(&row->id, &filter->after, sizeof row->id) > 0;
}

static bool
change(struct memory_store *self, struct durable_op *op, struct request *request, struct rows *rows)
{
    if (op->kind == DURABLE_RETRY) {
        request->row.state = DURABLE_PENDING;
        request->row.life++;
        request->row.attempts = 0;
        request->row.due_ms = op->due_ms;
        request->row.deadline_ms = 0;
        set_reason(request, VIEW_NONE);
    } else if (op->kind == DURABLE_CANCEL) {
        request->row.state = DURABLE_DEAD;
        set_reason(request, op->reason);
    } else if (op->kind == DURABLE_PURGE) {
        request->row.state = DURABLE_CLOSED; // so it stands in the rows
        add_row(rows, request);
        return close_request(self, request, op->now_ms) == NULL;
    }
    add_row(rows, request);
    return false;
}

static void
by_filter(struct memory_store *self, struct durable_op *op)
{
    struct rows rows;
    rows_init(&rows);
    uint32_t limit = op->filter.limit == 0 ? DURABLE_ROWS_MAX : op->filter.limit;
    for (size_t at = 0; at < self->count && rows.count < limit;) {
        struct request *one = self->requests[at];
        bool is_gone = fits_filter(self, op, one) && rows_fit_kind(op->kind, one->row.state) &&
                       change(self, op, one, &rows);
        at += is_gone ? 0 : 1;
    }
    op->found = rows_end(&rows);
    must(op->found != NULL);
    op->outcome = DURABLE_OK;
}

// ---- counts ------------------------------------------------------------------------

static void
count_one(struct durable_count *count, const struct request *request)
{
    count->pending += request->row.state == DURABLE_PENDING;
    count->done += request->row.state == DURABLE_DONE;
    count->dead += request->row.state == DURABLE_DEAD;
    count->expired += request->row.state == DURABLE_EXPIRED;
}

static int
compare_names(const void *a, const void *b)
{
    struct view one = ((const struct durable_count *)a)->service;
    struct view other = ((const struct durable_count *)b)->service;
    int order = memcmp(one.data, other.data, one.size < other.size ? one.size : other.size);
    return order != 0 ? order : (one.size > other.size) - (one.size < other.size);
}

static struct durable_count *
count_of(struct durable_count *counts, size_t *count, struct view name)
{
    for (size_t at = 0; at < *count; at++)
        if (view_equals(counts[at].service, name))
            return &counts[at];
    counts[*count] = (struct durable_count){.service = name};
    return &counts[(*count)++];
}

// The oldest of a service is the pending one that is due first.
static void
find_oldest(const struct memory_store *self, struct durable_count *count)
{
    const struct request *first = NULL;
    for (size_t at = 0; at < self->count; at++) {
        const struct request *one = self->requests[at];
        if (one->row.state == DURABLE_PENDING && view_equals(one->row.service, count->service) &&
            (first == NULL || one->row.due_ms < first->row.due_ms))
            first = one;
    }
    count->oldest_ms = first != NULL ? first->row.accepted_ms : 0;
}

static void
stats(struct memory_store *self, struct durable_op *op)
{
    struct durable_count *counts = calloc(self->count + 1, sizeof *counts), total = {0};
    must(counts != NULL);
    size_t count = 0;
    for (size_t at = 0; at < self->count; at++) {
        struct view name = self->requests[at]->row.service;
        if (self->requests[at]->row.state == DURABLE_CLOSED)
            continue;
        count_one(&total, self->requests[at]);
        if (op->filter.service.size == 0 || view_equals(name, op->filter.service))
            count_one(count_of(counts, &count, name), self->requests[at]);
    }
    if (count > 0)
        qsort(counts, count, sizeof *counts, compare_names);
    for (size_t at = 0; at < count; at++)
        find_oldest(self, &counts[at]);
    struct rows rows;
    rows_init(&rows);
    uint32_t limit = op->filter.limit == 0 ? DURABLE_ROWS_MAX : op->filter.limit;
    if (op->limit > 0)
        limit = op->limit;
    must(rows_add_count(&rows, &total));
    for (size_t at = 0; at < count && rows.service_count - 1 < limit; at++)
        if (op->limit == 0 || counts[at].pending > 0)
            must(rows_add_count(&rows, &counts[at]));
    free(counts);
    op->found = rows_end(&rows);
    must(op->found != NULL);
    op->outcome = DURABLE_OK;
}

// ---- the store ---------------------------------------------------------------------

static void
do_one(struct memory_store *self, struct durable_op *op)
{
    static void (*const functions[DURABLE_OPS])(struct memory_store *, struct durable_op *) = {
        [DURABLE_SUBMIT] = submit,  [DURABLE_ANSWER] = answer,     [DURABLE_FAILED] = failed,
        [DURABLE_KILL] = kill_one,  [DURABLE_CLOSE] = close_one,   [DURABLE_FETCH] = fetch_one,
        [DURABLE_LOAD] = come_next, [DURABLE_OVERDUE] = come_next, [DURABLE_LIST] = by_filter,
        [DURABLE_STATS] = stats,    [DURABLE_RETRY] = by_filter,   [DURABLE_CANCEL] = by_filter,
        [DURABLE_PURGE] = by_filter};
    op->outcome = DURABLE_REFUSED;
    op->reply = NULL;
    op->found = NULL;
    op->text = VIEW_NONE;
    op->has_more = false;
    op->next_ms = 0;
    functions[op->kind](self, op);
    if (op->now_ms > self->clock_ms)
        self->clock_ms = op->now_ms;
}

static enum store_result
memory_apply(struct store *base, struct durable_op *const *ops, size_t count)
{
    for (size_t at = 0; at < count; at++)
        do_one(of(base), ops[at]);
    of(base)->commits++;
    return STORE_COMMITTED;
}

static enum store_result
memory_idle(struct store *base, uint64_t now_ms, bool *has_more_out)
{
    struct memory_store *self = of(base);
    if (now_ms > self->retain_ms && now_ms - self->retain_ms > self->swept_ms)
        self->swept_ms = now_ms - self->retain_ms;
    if (now_ms > self->clock_ms)
        self->clock_ms = now_ms;
    for (size_t at = self->count; at-- > 0;) {
        const struct request *one = self->requests[at];
        bool is_over = one->row.state == DURABLE_DONE || one->row.state == DURABLE_CLOSED;
        if (is_over && now_ms > one->over_ms && now_ms - one->over_ms > self->retain_ms)
            forget(self, at);
    }
    *has_more_out = false;
    return STORE_COMMITTED;
}

static enum store_result
memory_anchor(struct store *base)
{
    (void)base;
    return STORE_COMMITTED;
}

static enum store_result
memory_backup(struct store *base, const char *path, bool *is_done_out)
{
    (void)base, (void)path;
    *is_done_out = true;
    return STORE_COMMITTED;
}

static void
memory_info(struct store *base, struct store_info *info_out)
{
    struct memory_store *self = of(base);
    *info_out = (struct store_info){
        .is_relaxed = true, .has_room = true, .clock_ms = self->clock_ms, .commits = self->commits};
    for (size_t at = 0; at < self->count; at++) {
        enum durable_state state = self->requests[at]->row.state;
        info_out->pending += state == DURABLE_PENDING;
        info_out->done += state == DURABLE_DONE;
        info_out->dead += state == DURABLE_DEAD;
        info_out->closed += state == DURABLE_CLOSED;
        info_out->expired += state == DURABLE_EXPIRED;
    }
}

static const char *
memory_error(const struct store *base)
{
    (void)base;
    return "";
}

static void
memory_close(struct store *base)
{
    struct memory_store *self = of(base);
    for (size_t at = 0; at < self->count; at++)
        free_request(self->requests[at]);
    free(self->requests);
    free(self);
}

static const struct store_class memory_class = {.name = "memory",
                                                .apply = memory_apply,
                                                .idle = memory_idle,
                                                .anchor = memory_anchor,
                                                .backup = memory_backup,
                                                .info = memory_info,
                                                .error = memory_error,
                                                .close = memory_close};

struct store *
store_open_memory(const struct store_options *options, struct store_error *error_out)
{
    *error_out = (struct store_error){0};
    struct memory_store *self = calloc(1, sizeof *self);
    must(self != NULL);
    self->base.class = &memory_class;
    self->next_seq = 1;
    self->clock_ms = options->wall_ms;
    self->retain_ms = options->retain_ms;
    return &self->base;
}
