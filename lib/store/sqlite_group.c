// sqlite_group.c - many submits as one statement.
//
// A run of submits is inserted by one INSERT that selects from `submits`, a table that only
// exists here: its rows are the operations themselves. So the cursors are opened once for the
// run and stay at the right edges, and nothing is bound: it saves more than a third. Rows that
// clash on an id or a key are passed over, and looked for afterwards.

#include "sqlite_store.h"

#include "durable_digest.h"
#include "must.h"
#include "tsp.h"

enum column {
    SEQ,
    SERVICE,
    RID,
    OWNER,
    IKEY,
    ATTEMPTS_MAX,
    ACCEPTED_MS,
    DUE_MS,
    DEADLINE_MS,
    FRAMES,
    FIELDS_BYTES,
    BYTES,
    PARTS,
    DIGEST,
    BODY
};

struct submits {
    sqlite3_vtab base;
    struct sqlite_store *store;
};

struct submits_cursor {
    sqlite3_vtab_cursor base;
    struct group *group;
    size_t at;
};

// ---- the table ---------------------------------------------------------------------

static int
connect(sqlite3 *db, void *store, int count, const char *const *arguments, sqlite3_vtab **out,
        char **error_out)
{
    (void)count, (void)arguments, (void)error_out;
    static const char columns[] =
        "CREATE TABLE submits (seq, service, rid, owner, ikey, attempts_max, accepted_ms, due_ms,"
        " deadline_ms, frames, fields_bytes, bytes, parts, digest, body)";
    int code = sqlite3_declare_vtab(db, columns);
    if (code != SQLITE_OK)
        return code;
    struct submits *table = sqlite3_malloc(sizeof *table);
    if (table == NULL)
        return SQLITE_NOMEM;
    *table = (struct submits){.store = store};
    *out = &table->base;
    return SQLITE_OK;
}

static int
disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

static int
choose_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = STORE_BATCH_OPS_MAX;
    info->estimatedRows = STORE_BATCH_OPS_MAX;
    return SQLITE_OK;
}

static int
open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    struct submits_cursor *cursor = sqlite3_malloc(sizeof *cursor);
    if (cursor == NULL)
        return SQLITE_NOMEM;
    *cursor = (struct submits_cursor){.group = &((struct submits *)table)->store->group};
    *out = &cursor->base;
    return SQLITE_OK;
}

static int
close_cursor(sqlite3_vtab_cursor *cursor)
{
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int
go_to_start(sqlite3_vtab_cursor *cursor, int plan, const char *name, int count,
            sqlite3_value **values)
{
    (void)plan, (void)name, (void)count, (void)values;
    ((struct submits_cursor *)cursor)->at = 0;
    return SQLITE_OK;
}

static int
go_on(sqlite3_vtab_cursor *cursor)
{
    ((struct submits_cursor *)cursor)->at++;
    return SQLITE_OK;
}

static int
is_at_end(sqlite3_vtab_cursor *base)
{
    const struct submits_cursor *cursor = (const struct submits_cursor *)base;
    return cursor->at >= cursor->group->count;
}

static int
give_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)((struct submits_cursor *)cursor)->at;
    return SQLITE_OK;
}

static void
give_text(sqlite3_context *to, struct view text)
{
    if (text.size == 0)
        sqlite3_result_null(to);
    else
        sqlite3_result_blob64(to, text.data, text.size, SQLITE_STATIC);
}

static void
give_owner(sqlite3_context *to, const struct durable_owner *owner)
{
    static const struct durable_owner nobody;
    bool is_nobody = memcmp(owner, &nobody, sizeof nobody) == 0;
    sqlite3_result_blob(to, owner->bytes, is_nobody ? 0 : DURABLE_OWNER_BYTES, SQLITE_STATIC);
}

static void
give_number(sqlite3_context *to, uint64_t value)
{
    sqlite3_result_int64(to, value > INT64_MAX ? INT64_MAX : (sqlite3_int64)value);
}

static void
give_body(sqlite3_context *to, const struct durable_body *body)
{
    bool is_inside = sqlite_change_parts(body) == 0;
    give_text(to, is_inside ? view_of(body->data, body->bytes) : VIEW_NONE);
}

static int
give(sqlite3_vtab_cursor *base, sqlite3_context *to, int column)
{
    const struct submits_cursor *cursor = (const struct submits_cursor *)base;
    const struct durable_op *op = cursor->group->ops[cursor->at];
    switch ((enum column)column) {
    case SEQ:
        return give_number(to, op->seq), SQLITE_OK;
    case SERVICE:
        return give_number(to, cursor->group->services[cursor->at]->id), SQLITE_OK;
    case RID:
        return give_text(to, view_of(op->id.bytes, REQUEST_ID_BYTES)), SQLITE_OK;
    case OWNER:
        return give_owner(to, &op->owner), SQLITE_OK;
    case IKEY:
        return give_text(to, op->key), SQLITE_OK;
    case ATTEMPTS_MAX:
        return give_number(to, op->attempts_max), SQLITE_OK;
    case ACCEPTED_MS:
        return give_number(to, op->now_ms), SQLITE_OK;
    case DUE_MS:
        return give_number(to, op->due_ms), SQLITE_OK;
    case DEADLINE_MS:
        return give_number(to, op->deadline_ms), SQLITE_OK;
    case FRAMES:
        return give_number(to, op->body->frames), SQLITE_OK;
    case FIELDS_BYTES:
        return give_number(to, op->body->fields_bytes), SQLITE_OK;
    case BYTES:
        return give_number(to, op->body->bytes), SQLITE_OK;
    case PARTS:
        return give_number(to, sqlite_change_parts(op->body)), SQLITE_OK;
    case DIGEST:
        return give_text(to, view_of(op->digest.bytes, DURABLE_DIGEST_BYTES)), SQLITE_OK;
    case BODY:
        return give_body(to, op->body), SQLITE_OK;
    }
    return SQLITE_OK;
}

int
sqlite_group_init(struct sqlite_store *self)
{
    static const sqlite3_module module = {.xConnect = connect,
                                          .xBestIndex = choose_index,
                                          .xDisconnect = disconnect,
                                          .xOpen = open_cursor,
                                          .xClose = close_cursor,
                                          .xFilter = go_to_start,
                                          .xNext = go_on,
                                          .xEof = is_at_end,
                                          .xColumn = give,
                                          .xRowid = give_rowid};
    return sqlite3_create_module(self->db, "submits", &module, self);
}

// ---- a run of submits ----------------------------------------------------------------

// accept counts what was inserted, and writes the chunks of a large body.
static int
accept(struct sqlite_store *self, struct durable_op *op, struct service *service)
{
    sqlite_counts_add(self, service, DURABLE_PENDING);
    op->state = DURABLE_PENDING;
    op->outcome = DURABLE_OK;
    struct audit_record record = {.at_ms = op->now_ms,
                                  .kind = AUDIT_ACCEPTED,
                                  .seq = op->seq,
                                  .id = op->id,
                                  .owner = op->owner,
                                  .state = DURABLE_PENDING,
                                  .has_digest = true,
                                  .digest = op->digest};
    int code = sqlite_audit_note(self, &record);
    return code == SQLITE_OK ? sqlite_change_chunks(self, op->seq, op->body) : code;
}

// find_out says what became of a submit in a run not all of which was inserted.
static int
find_out(struct sqlite_store *self, struct durable_op *op, struct service *service)
{
    struct request request;
    bool is_found;
    int code = sqlite_change_find(self, op->seq, &request, &is_found);
    if (code == SQLITE_OK && is_found)
        return accept(self, op, service);
    op->seq = 0;
    return code == SQLITE_OK && op->key.size > 0 ? sqlite_change_find_key(self, op) : code;
}

// look_back is for a key that was made before what was swept: its request is there still, or it is
// late, and may not run again.
static int
look_back(struct sqlite_store *self, struct durable_op *op)
{
    int code = sqlite_change_find_key(self, op);
    if (code == SQLITE_OK && op->outcome == DURABLE_REFUSED)
        op->outcome = DURABLE_LATE;
    return code;
}

int
sqlite_group_submit(struct sqlite_store *self, struct durable_op *const *ops, size_t count)
{
    struct group *group = &self->group;
    must(count <= STORE_BATCH_OPS_MAX);
    if (self->is_short)
        return SQLITE_OK; // all refused
    group->count = 0;
    int code = SQLITE_OK;
    for (size_t at = 0; at < count && code == SQLITE_OK; at++) {
        struct service *service = sqlite_counts_service(self, ops[at]->service);
        if (service == NULL)
            continue; // refused
        if (request_key_is_before(ops[at]->key, self->swept_ms)) {
            code = look_back(self, ops[at]);
            continue;
        }
        ops[at]->seq = self->progress.next_seq++;
        group->services[group->count] = service;
        group->ops[group->count++] = ops[at];
    }
    if (code == SQLITE_OK)
        code = sqlite_store_run(self, STATEMENT_INSERT);
    bool is_whole = code == SQLITE_OK && sqlite3_changes(self->db) == (int)group->count;
    for (size_t at = 0; at < group->count && code == SQLITE_OK; at++)
        code = is_whole ? accept(self, group->ops[at], group->services[at])
                        : find_out(self, group->ops[at], group->services[at]);
    return code;
}
