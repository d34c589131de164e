// sqlite_query.c - operations on many requests: what is due, what is asked for by a filter.

#include "sqlite_store.h"

#include "durable_digest.h"
#include "must.h"

#include <stdlib.h>

static struct view
text_of(sqlite3_stmt *from, int column)
{
    const void *data = sqlite3_column_blob(from, column); // before its size
    return view_of(data, (size_t)sqlite3_column_bytes(from, column));
}

static uint64_t
number_at(sqlite3_stmt *from, int column)
{
    return (uint64_t)sqlite3_column_int64(from, column);
}

// content_of is how many bytes of a body are in its frames. Its fields are counted with it
// only while they stand in the row.
static uint64_t
content_of(sqlite3_stmt *from, int frames_column, bool has_fields)
{
    uint64_t bytes = number_at(from, frames_column + 1);
    uint64_t others = 4 * number_at(from, frames_column) + (has_fields ? number_at(from, 16) : 0);
    return bytes > others ? bytes - others : 0;
}

void
sqlite_query_row(struct sqlite_store *self, sqlite3_stmt *from, struct durable_row *row_out)
{
    const struct service *service = sqlite_counts_at(self, sqlite3_column_int64(from, 2));
    bool is_done = sqlite3_column_int(from, 1) == DURABLE_DONE;
    *row_out = (struct durable_row){
        .seq = number_at(from, 0),
        .state = (enum durable_state)sqlite3_column_int(from, 1),
        .service = service != NULL ? view_of(service->name, service->name_bytes) : VIEW_NONE,
        .key = text_of(from, 5),
        .life = (uint32_t)number_at(from, 17),
        .attempts = (uint32_t)number_at(from, 6),
        .attempts_max = (uint32_t)number_at(from, 7),
        .accepted_ms = number_at(from, 8),
        .due_ms = number_at(from, 9),
        .deadline_ms = number_at(from, 10),
        .frames = (uint32_t)number_at(from, 11),
        .bytes = content_of(from, 11, !is_done),
        .reply_frames = (uint32_t)number_at(from, 13),
        .reply_bytes = content_of(from, 13, is_done),
        .reason = text_of(from, 15),
    };
    struct view id = text_of(from, 3), owner = text_of(from, 4);
    if (id.size == REQUEST_ID_BYTES)
        memcpy(&row_out->id, id.data, id.size);
    if (owner.size == DURABLE_OWNER_BYTES)
        memcpy(&row_out->owner, owner.data, owner.size);
}

static uint32_t
limit_of(uint32_t limit)
{
    return limit == 0 || limit > DURABLE_ROWS_MAX ? DURABLE_ROWS_MAX : limit;
}

// finish makes what was gathered the operation's.
static void
finish(struct durable_op *op, struct rows *rows)
{
    op->found = rows_end(rows);
    if (op->found == NULL)
        op->outcome = DURABLE_REFUSED;
}

// ---- what is due, what is overdue -----------------------------------------------------

// load_body reads a row's body; where it is not what was stored it stays NULL, and the
// operation says so.
static int
load_body(struct sqlite_store *self, struct durable_op *op, sqlite3_stmt *from,
          struct durable_row *row)
{
    uint32_t parts = (uint32_t)number_at(from, ROW_COLUMN_COUNT);
    int code = sqlite_change_body(self, from, ROW_COLUMN_COUNT + 2, row->seq, parts, row->frames,
                                  number_at(from, 16), number_at(from, 12), &row->body);
    if (code != SQLITE_OK)
        return code;
    struct view digest = text_of(from, ROW_COLUMN_COUNT + 1);
    if (row->body != NULL) {
        struct durable_digest is = durable_digest(row->service, row->body);
        if (!view_equals(digest, view_of(is.bytes, sizeof is.bytes))) {
            free(row->body);
            row->body = NULL;
        }
    }
    if (row->body == NULL)
        op->outcome = DURABLE_DAMAGED;
    else
        row->body_bytes = row->body->bytes;
    return SQLITE_OK;
}

// gather takes rows until the limit, or until they are enough bytes. One row more is asked
// for than is wanted, which is how it knows that there is more.
static int
gather(struct sqlite_store *self, struct durable_op *op, sqlite3_stmt *from, struct rows *rows)
{
    uint64_t bytes = 0;
    uint32_t limit = limit_of(op->limit);
    int code;
    while ((code = sqlite3_step(from)) == SQLITE_ROW) {
        if (rows->count == limit || (op->bytes_max > 0 && bytes >= op->bytes_max)) {
            op->has_more = true;
            break;
        }
        struct durable_row row;
        sqlite_query_row(self, from, &row);
        int body_code = op->kind == DURABLE_LOAD ? load_body(self, op, from, &row) : SQLITE_OK;
        if (body_code == SQLITE_OK && !rows_add(rows, &row)) {
            free(row.body);
            body_code = SQLITE_NOMEM;
        }
        if (body_code != SQLITE_OK) {
            code = body_code;
            break;
        }
        bytes += row.body_bytes;
    }
    sqlite3_reset(from);
    if (code == SQLITE_NOMEM)
        rows->failed = true; // only this operation is refused
    return code == SQLITE_DONE || code == SQLITE_ROW || code == SQLITE_NOMEM ? SQLITE_OK : code;
}

static int
read_next(sqlite3_stmt *next, struct durable_op *op)
{
    int code = sqlite3_step(next);
    if (code == SQLITE_ROW)
        op->next_ms = number_at(next, 0);
    sqlite3_reset(next);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static int
come_next(struct sqlite_store *self, struct durable_op *op, enum statement which,
          enum statement which_next)
{
    struct rows rows;
    rows_init(&rows);
    op->outcome = DURABLE_OK;
    int code = gather(self, op, statement_of(self, which), &rows);
    if (code == SQLITE_OK)
        code = read_next(statement_of(self, which_next), op);
    if (code != SQLITE_OK)
        rows_release(&rows);
    else
        finish(op, &rows);
    return code;
}

int
sqlite_query_load(struct sqlite_store *self, struct durable_op *op)
{
    sqlite3_stmt *load = statement_of(self, STATEMENT_LOAD);
    sqlite3_stmt *next = statement_of(self, STATEMENT_NEXT_DUE);
    const struct service *service = sqlite_counts_find(self, op->service);
    int id = service != NULL ? (int)service->id : -1;
    sqlite3_bind_int(load, 1, id);
    bind_number(load, 2, op->after_due_ms);
    bind_number(load, 3, op->after_seq);
    bind_number(load, 4, op->now_ms);
    bind_number(load, 5, limit_of(op->limit) + 1);
    sqlite3_bind_int(next, 1, id);
    bind_number(next, 2, op->now_ms);
    return come_next(self, op, STATEMENT_LOAD, STATEMENT_NEXT_DUE);
}

int
sqlite_query_overdue(struct sqlite_store *self, struct durable_op *op)
{
    sqlite3_stmt *overdue = statement_of(self, STATEMENT_OVERDUE);
    bind_number(overdue, 1, op->after_due_ms);
    bind_number(overdue, 2, op->after_seq);
    bind_number(overdue, 3, op->now_ms);
    bind_number(overdue, 4, limit_of(op->limit) + 1);
    bind_number(statement_of(self, STATEMENT_NEXT_DEADLINE), 1, op->now_ms);
    return come_next(self, op, STATEMENT_OVERDUE, STATEMENT_NEXT_DEADLINE);
}

// ---- by a filter -----------------------------------------------------------------------

// A search: what SQL looks for, what is looked at here, and when it can end.
struct search {
    enum statement which;
    int state_min, state_max;
    const struct service *service; // NULL: all
    bool has_after_id;             // `after` is not in the store any more
    uint64_t after_seq;
    uint64_t rest; // so many requests of that service and those states are left to be seen
};

static int
seq_of(struct sqlite_store *self, const struct request_id *id, uint64_t *seq_out)
{
    sqlite3_stmt *find = statement_of(self, STATEMENT_FIND_ID);
    sqlite3_bind_blob(find, 1, id->bytes, REQUEST_ID_BYTES, SQLITE_STATIC);
    int code = sqlite3_step(find);
    *seq_out = code == SQLITE_ROW ? number_at(find, 0) : 0;
    sqlite3_reset(find);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

// count_rest is how many requests SQL will find from the beginning: when that many were seen
// the rest of the table need not be read. It is what makes a list of few among millions quick.
static uint64_t
count_rest(const struct sqlite_store *self, const struct search *search)
{
    const uint64_t *counts = search->service != NULL ? search->service->counts : self->totals;
    uint64_t rest = 0;
    for (int state = search->state_min; state <= search->state_max; state++)
        if (search->which == STATEMENT_SCAN ||
            rows_fit_kind(DURABLE_RETRY, (enum durable_state)state))
            rest += counts[state];
    return rest;
}

static int
prepare_search(struct sqlite_store *self, const struct durable_op *op, struct search *search,
               bool *is_empty_out)
{
    const struct durable_filter *filter = &op->filter;
    *search = (struct search){.which = STATEMENT_SCAN, .state_max = DURABLE_STATES - 1};
    *is_empty_out = false;
    if (op->kind == DURABLE_CANCEL)
        search->state_max = DURABLE_PENDING;
    if (op->kind == DURABLE_PURGE)
        search->state_min = DURABLE_DONE;
    if (filter->has_state) {
        *is_empty_out = !rows_fit_kind(op->kind, filter->state);
        search->state_min = search->state_max = (int)filter->state;
    }
    if (op->kind == DURABLE_RETRY ||
        (filter->has_state && rows_fit_kind(DURABLE_RETRY, filter->state)))
        search->which = STATEMENT_SCAN_ENDED;
    if (filter->service.size > 0) {
        search->service = sqlite_counts_find(self, filter->service);
        *is_empty_out = *is_empty_out || search->service == NULL;
    }
    search->rest = count_rest(self, search);
    int code = SQLITE_OK;
    if (filter->has_after) {
        code = seq_of(self, &filter->after, &search->after_seq);
        search->has_after_id = search->after_seq == 0;
        search->rest = UINT64_MAX;
    }
    if (filter->has_id && code == SQLITE_OK) {
        uint64_t seq;
        code = seq_of(self, &filter->id, &seq);
        *is_empty_out = *is_empty_out || seq == 0;
        if (seq > search->after_seq) {
            search->after_seq = seq - 1;
            search->which = STATEMENT_SCAN;
        }
        search->rest = 1;
    }
    return code;
}

static bool
fits(const struct durable_op *op, const struct search *search, const struct durable_row *row)
{
    const struct durable_filter *filter = &op->filter;
    uint64_t age_ms = op->now_ms > row->accepted_ms ? op->now_ms - row->accepted_ms : 0;
    return rows_fit_kind(op->kind, row->state) &&
           memcmp(&row->owner, &op->owner, sizeof row->owner) == 0 &&
           age_ms >= filter->older_than_ms &&
           (filter->newer_than_ms == 0 || age_ms < filter->newer_than_ms) &&
           (!filter->has_id || memcmp(&filter->id, &row->id, sizeof row->id) == 0) &&
           (!search->has_after_id || memcmp(&row->id, &filter->after, sizeof row->id) > 0);
}

static int
run_search(struct sqlite_store *self, const struct durable_op *op, struct search *search,
           struct rows *rows)
{
    sqlite3_stmt *scan = statement_of(self, search->which);
    bind_number(scan, 1, search->after_seq);
    sqlite3_bind_int(scan, 2, search->state_min);
    sqlite3_bind_int(scan, 3, search->state_max);
    sqlite3_bind_int(scan, 4, search->service != NULL ? (int)search->service->id : 0);
    sqlite3_bind_int(scan, 5, search->service != NULL ? (int)search->service->id : INT32_MAX);
    uint32_t limit = limit_of(op->filter.limit);
    int code = SQLITE_DONE;
    while (rows->count < limit && search->rest > 0 && (code = sqlite3_step(scan)) == SQLITE_ROW) {
        struct durable_row row;
        sqlite_query_row(self, scan, &row);
        search->rest--;
        if (fits(op, search, &row) && !rows_add(rows, &row))
            break;
    }
    sqlite3_reset(scan);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

// change does to a row that was found what the operation asks for, in the store and in the row.
static int
change(struct sqlite_store *self, const struct durable_op *op, struct durable_row *row,
       struct view *reason)
{
    struct request request;
    bool is_found;
    int code = sqlite_change_find(self, row->seq, &request, &is_found);
    if (code != SQLITE_OK || !is_found)
        return code != SQLITE_OK ? code : SQLITE_CORRUPT;
    switch (op->kind) {
    case DURABLE_RETRY:
        row->state = DURABLE_PENDING;
        row->life++;
        row->attempts = 0;
        row->due_ms = op->due_ms;
        row->deadline_ms = 0;
        *reason = VIEW_NONE;
        return sqlite_change_revive(self, &request, op->due_ms);
    case DURABLE_CANCEL:
        row->state = DURABLE_DEAD;
        *reason = op->reason;
        return sqlite_change_end(self, &request, DURABLE_DEAD, request.attempts, op->reason,
                                 op->now_ms);
    default:
        row->state = DURABLE_CLOSED;
        return sqlite_change_forget(self, &request, op->now_ms);
    }
}

int
sqlite_query_filter(struct sqlite_store *self, struct durable_op *op)
{
    struct search search;
    struct rows rows, changed;
    bool is_empty;
    rows_init(&rows);
    rows_init(&changed);
    int code = prepare_search(self, op, &search, &is_empty);
    if (code == SQLITE_OK && !is_empty)
        code = run_search(self, op, &search, &rows);
    if (code != SQLITE_OK) {
        rows_release(&rows);
        return code;
    }
    op->outcome = DURABLE_OK;
    finish(op, &rows);
    if (op->kind == DURABLE_LIST || op->found == NULL)
        return SQLITE_OK;
    for (size_t at = 0; at < op->found->count && code == SQLITE_OK; at++) {
        struct durable_row *row = &op->found->rows[at];
        struct view reason = row->reason;
        code = change(self, op, row, &reason);
        row->reason = reason;
        rows_add(&changed, row);
    }
    store_rows_free(op->found);
    op->found = NULL;
    if (code == SQLITE_OK)
        finish(op, &changed);
    if (code == SQLITE_OK && op->found == NULL)
        code = SQLITE_NOMEM; // what was changed has to be told
    rows_release(&changed);
    return code;
}

// ---- counts -----------------------------------------------------------------------------

static int
compare_names(const void *a, const void *b)
{
    const struct service *one = *(const struct service *const *)a;
    const struct service *other = *(const struct service *const *)b;
    size_t size = one->name_bytes < other->name_bytes ? one->name_bytes : other->name_bytes;
    int order = memcmp(one->name, other->name, size);
    return order != 0
               ? order
               : (one->name_bytes > other->name_bytes) - (one->name_bytes < other->name_bytes);
}

static bool
is_counted(const struct service *service, const struct durable_op *op)
{
    if (service == NULL ||
        (op->filter.service.size > 0 &&
         !view_equals(view_of(service->name, service->name_bytes), op->filter.service)))
        return false;
    if (op->limit > 0)
        return service->counts[DURABLE_PENDING] > 0;
    return service->counts[DURABLE_PENDING] + service->counts[DURABLE_DONE] +
               service->counts[DURABLE_DEAD] + service->counts[DURABLE_EXPIRED] >
           0;
}

static int
count_service(struct sqlite_store *self, const struct service *service, struct rows *rows)
{
    struct durable_count count = {.service = view_of(service->name, service->name_bytes),
                                  .pending = service->counts[DURABLE_PENDING],
                                  .done = service->counts[DURABLE_DONE],
                                  .dead = service->counts[DURABLE_DEAD],
                                  .expired = service->counts[DURABLE_EXPIRED]};
    sqlite3_stmt *first = statement_of(self, STATEMENT_FIRST_DUE);
    sqlite3_bind_int(first, 1, (int)service->id);
    int code = sqlite3_step(first);
    if (code == SQLITE_ROW)
        count.oldest_ms = number_at(first, 0);
    sqlite3_reset(first);
    rows_add_count(rows, &count);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int
sqlite_query_stats(struct sqlite_store *self, struct durable_op *op)
{
    struct rows rows;
    rows_init(&rows);
    struct durable_count total = {.pending = self->totals[DURABLE_PENDING],
                                  .done = self->totals[DURABLE_DONE],
                                  .dead = self->totals[DURABLE_DEAD],
                                  .expired = self->totals[DURABLE_EXPIRED]};
    rows_add_count(&rows, &total);
    const struct service **sorted = malloc((self->services_end + 1) * sizeof *sorted);
    if (sorted == NULL)
        rows.failed = true;
    size_t count = 0;
    for (uint32_t id = 0; sorted != NULL && id < self->services_end; id++)
        if (is_counted(self->services[id], op))
            sorted[count++] = self->services[id];
    if (count > 0)
        qsort(sorted, count, sizeof *sorted, compare_names);
    int code = SQLITE_OK;
    uint32_t limit = op->limit > 0 ? op->limit : limit_of(op->filter.limit);
    for (size_t at = 0; at < count && at < limit && code == SQLITE_OK; at++)
        code = count_service(self, sorted[at], &rows);
    free(sorted);
    op->outcome = DURABLE_OK;
    if (code == SQLITE_OK)
        finish(op, &rows);
    rows_release(&rows);
    return code;
}
