// sqlite_change.c - operations on one request.

#include "sqlite_store.h"

#include "durable_digest.h"
#include "must.h"

#include <stdlib.h>

// What is bound by reference stays where it is until the statement is reset or bound anew, and
// all of it outlives the batch.
static void
bind_text(sqlite3_stmt *statement, int at, struct view text)
{
    if (text.size == 0)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_blob64(statement, at, text.data, text.size, SQLITE_STATIC);
}

static void
bind_owner(sqlite3_stmt *statement, int at, const struct durable_owner *owner)
{
    static const struct durable_owner nobody;
    bool is_nobody = memcmp(owner, &nobody, sizeof nobody) == 0;
    sqlite3_bind_blob(statement, at, owner->bytes, is_nobody ? 0 : DURABLE_OWNER_BYTES,
                      SQLITE_STATIC);
}

// read_bytes copies a column of just this size; false: it is damaged.
static bool
read_bytes(sqlite3_stmt *from, int column, void *to, size_t size)
{
    const void *data = sqlite3_column_blob(from, column);
    if (data == NULL || (size_t)sqlite3_column_bytes(from, column) != size)
        return false;
    memcpy(to, data, size);
    return true;
}

// ---- bodies ------------------------------------------------------------------------

uint32_t
sqlite_change_parts(const struct durable_body *body)
{
    return body->bytes <= CHUNK_BYTES ? 0
                                      : (uint32_t)((body->bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
}

int
sqlite_change_chunks(struct sqlite_store *self, uint64_t seq, const struct durable_body *body)
{
    sqlite3_stmt *insert = statement_of(self, STATEMENT_INSERT_CHUNK);
    must(sqlite_change_parts(body) < (1u << CHUNK_BITS));
    if (sqlite_change_parts(body) == 0)
        return SQLITE_OK;
    for (size_t at = 0; at < body->bytes; at += CHUNK_BYTES) {
        size_t size = body->bytes - at < CHUNK_BYTES ? body->bytes - at : CHUNK_BYTES;
        bind_number(insert, 1, (seq << CHUNK_BITS) + at / CHUNK_BYTES);
        bind_text(insert, 2, view_of(body->data + at, size));
        int code = sqlite_store_run(self, STATEMENT_INSERT_CHUNK);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

static void
bind_chunks(sqlite3_stmt *statement, uint64_t seq)
{
    bind_number(statement, 1, seq << CHUNK_BITS);
    bind_number(statement, 2, (seq + 1) << CHUNK_BITS);
}

static int
delete_chunks(struct sqlite_store *self, uint64_t seq, uint32_t parts)
{
    if (parts == 0)
        return SQLITE_OK;
    bind_chunks(statement_of(self, STATEMENT_DELETE_CHUNKS), seq);
    return sqlite_store_run(self, STATEMENT_DELETE_CHUNKS);
}

// read_chunks fills the body, and says by *is_whole_out whether it was all there.
static int
read_chunks(struct sqlite_store *self, uint64_t seq, struct durable_body *body, bool *is_whole_out)
{
    sqlite3_stmt *read = statement_of(self, STATEMENT_READ_CHUNKS);
    bind_chunks(read, seq);
    size_t filled = 0;
    uint64_t id = seq << CHUNK_BITS;
    bool is_whole = true;
    int code;
    while ((code = sqlite3_step(read)) == SQLITE_ROW && is_whole) {
        const void *data = sqlite3_column_blob(read, 1);
        size_t size = (size_t)sqlite3_column_bytes(read, 1);
        is_whole = (uint64_t)sqlite3_column_int64(read, 0) == id++ && data != NULL &&
                   size <= body->bytes - filled;
        if (is_whole)
            memcpy(body->data + filled, data, size);
        filled += is_whole ? size : 0;
    }
    sqlite3_reset(read);
    *is_whole_out = is_whole && filled == body->bytes;
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int
sqlite_change_body(struct sqlite_store *self, sqlite3_stmt *from, int column, uint64_t seq,
                   uint32_t parts, uint32_t frames, uint64_t fields_bytes, uint64_t bytes,
                   struct durable_body **body_out)
{
    *body_out = NULL;
    if (fields_bytes > bytes || bytes > ((uint64_t)CHUNK_BYTES << CHUNK_BITS))
        return SQLITE_OK;
    size_t inside = (size_t)sqlite3_column_bytes(from, column);
    if (parts == 0 && inside != bytes)
        return SQLITE_OK;
    struct durable_body *body = body_new(frames, (uint32_t)fields_bytes, bytes);
    if (body == NULL)
        return SQLITE_NOMEM;
    bool is_whole = true;
    int code = SQLITE_OK;
    if (parts > 0)
        code = read_chunks(self, seq, body, &is_whole);
    else if (bytes > 0)
        is_whole = read_bytes(from, column, body->data, bytes);
    if (code != SQLITE_OK || !is_whole)
        free(body);
    else
        *body_out = body;
    return code;
}

// ---- finding one -------------------------------------------------------------------

static int
find(struct sqlite_store *self, enum statement which, struct request *request_out,
     bool *is_found_out)
{
    sqlite3_stmt *find = statement_of(self, which);
    int code = sqlite3_step(find);
    *is_found_out = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        code = SQLITE_OK;
        *request_out = (struct request){
            .seq = (uint64_t)sqlite3_column_int64(find, 0),
            .state = (enum durable_state)sqlite3_column_int(find, 1),
            .service = sqlite_counts_at(self, sqlite3_column_int64(find, 2)),
            .has_key = sqlite3_column_int(find, 5) != 0,
            .attempts = (uint32_t)sqlite3_column_int64(find, 6),
            .parts = (uint32_t)sqlite3_column_int64(find, 7),
            .life = (uint32_t)sqlite3_column_int64(find, 8),
        };
        bool is_nobody = sqlite3_column_bytes(find, 4) == 0;
        if ((unsigned)request_out->state >= DURABLE_STATES || request_out->service == NULL ||
            !read_bytes(find, 3, &request_out->id, sizeof request_out->id) ||
            (!is_nobody && !read_bytes(find, 4, &request_out->owner, sizeof request_out->owner)))
            code = SQLITE_CORRUPT;
    }
    sqlite3_reset(find);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int
sqlite_change_find(struct sqlite_store *self, uint64_t seq, struct request *request_out,
                   bool *is_found_out)
{
    bind_number(statement_of(self, STATEMENT_FIND_SEQ), 1, seq);
    return find(self, STATEMENT_FIND_SEQ, request_out, is_found_out);
}

// find_pending sets the outcome: OK where there is such a request and it is pending.
static int
find_pending(struct sqlite_store *self, struct durable_op *op, struct request *request_out)
{
    bool is_found;
    int code = sqlite_change_find(self, op->seq, request_out, &is_found);
    if (code == SQLITE_OK)
        op->outcome = is_found && request_out->state == DURABLE_PENDING ? DURABLE_OK : DURABLE_NONE;
    return code;
}

// find_life sets the outcome: OK where it is pending, and in the life that the operation means.
static int
find_life(struct sqlite_store *self, struct durable_op *op, struct request *request_out)
{
    int code = find_pending(self, op, request_out);
    if (code == SQLITE_OK && op->outcome == DURABLE_OK && request_out->life != op->life)
        op->outcome = DURABLE_NONE;
    return code;
}

// find_open sets the outcome: OK where there is such a request of this owner, not yet closed.
static int
find_open(struct sqlite_store *self, struct durable_op *op, struct request *request_out)
{
    bool is_found;
    sqlite3_bind_blob(statement_of(self, STATEMENT_FIND_ID), 1, op->id.bytes, REQUEST_ID_BYTES,
                      SQLITE_STATIC);
    int code = find(self, STATEMENT_FIND_ID, request_out, &is_found);
    if (code != SQLITE_OK)
        return code;
    op->outcome = DURABLE_NONE;
    op->state = DURABLE_CLOSED;
    if (is_found && request_out->state != DURABLE_CLOSED &&
        memcmp(&request_out->owner, &op->owner, sizeof op->owner) == 0) {
        op->outcome = DURABLE_OK;
        op->state = request_out->state;
        op->seq = request_out->seq;
    }
    return SQLITE_OK;
}

// ---- what changes ------------------------------------------------------------------

int
sqlite_change_note(struct sqlite_store *self, const struct request *request, enum audit_kind kind,
                   enum durable_state state, uint32_t attempts, struct view text, uint64_t now_ms)
{
    struct audit_record record = {.at_ms = now_ms,
                                  .kind = kind,
                                  .seq = request->seq,
                                  .id = request->id,
                                  .owner = request->owner,
                                  .state = state,
                                  .attempt = attempts,
                                  .text = text};
    return sqlite_audit_note(self, &record);
}

static void
move(struct sqlite_store *self, const struct request *request, enum durable_state to)
{
    sqlite_counts_subtract(self, request->service, request->state);
    sqlite_counts_add(self, request->service, to);
}

int
sqlite_change_find_key(struct sqlite_store *self, struct durable_op *op)
{
    sqlite3_stmt *find = statement_of(self, STATEMENT_FIND_KEY);
    bind_owner(find, 1, &op->owner);
    bind_text(find, 2, op->key);
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
        struct durable_digest digest;
        code = SQLITE_OK;
        if (!read_bytes(find, 2, &op->id, sizeof op->id) ||
            !read_bytes(find, 3, &digest, sizeof digest))
            code = SQLITE_CORRUPT;
        op->seq = (uint64_t)sqlite3_column_int64(find, 0);
        op->state = (enum durable_state)sqlite3_column_int(find, 1);
        op->outcome = durable_digest_equals(&digest, &op->digest) ? DURABLE_SAME : DURABLE_CONFLICT;
    }
    sqlite3_reset(find);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int
sqlite_change_answer(struct sqlite_store *self, struct durable_op *op)
{
    struct request request;
    int code = find_pending(self, op, &request);
    if (code != SQLITE_OK || op->outcome != DURABLE_OK)
        return code;
    const struct durable_body *body = op->body;
    struct durable_digest digest = durable_answer_digest(body);
    uint32_t parts = sqlite_change_parts(body);
    sqlite3_stmt *answer = statement_of(self, STATEMENT_ANSWER);
    bind_number(answer, 1, op->seq);
    bind_number(answer, 2, op->attempts);
    bind_number(answer, 3, op->now_ms);
    bind_number(answer, 4, body->frames);
    bind_number(answer, 5, body->fields_bytes);
    bind_number(answer, 6, body->bytes);
    bind_number(answer, 7, parts);
    sqlite3_bind_blob(answer, 8, digest.bytes, DURABLE_DIGEST_BYTES, SQLITE_STATIC);
    bind_text(answer, 9, parts == 0 ? view_of(body->data, body->bytes) : VIEW_NONE);
    code = sqlite_store_run(self, STATEMENT_ANSWER);
    if (code == SQLITE_OK)
        code = delete_chunks(self, op->seq, request.parts);
    if (code != SQLITE_OK)
        return code;
    move(self, &request, DURABLE_DONE);
    struct audit_record record = {.at_ms = op->now_ms,
                                  .kind = AUDIT_ANSWERED,
                                  .seq = op->seq,
                                  .id = request.id,
                                  .owner = request.owner,
                                  .state = DURABLE_DONE,
                                  .attempt = op->attempts,
                                  .has_digest = true,
                                  .digest = digest};
    code = sqlite_audit_note(self, &record);
    return code == SQLITE_OK ? sqlite_change_chunks(self, op->seq, body) : code;
}

int
sqlite_change_failed(struct sqlite_store *self, struct durable_op *op)
{
    struct request request;
    int code = find_life(self, op, &request);
    if (code != SQLITE_OK || op->outcome != DURABLE_OK)
        return code;
    sqlite3_stmt *failed = statement_of(self, STATEMENT_FAILED);
    bind_number(failed, 1, op->seq);
    bind_number(failed, 2, op->attempts);
    bind_number(failed, 3, op->due_ms);
    bind_text(failed, 4, op->reason);
    code = sqlite_store_run(self, STATEMENT_FAILED);
    if (code == SQLITE_OK)
        code = sqlite_change_note(self, &request, AUDIT_FAILED, DURABLE_PENDING, op->attempts,
                                  op->reason, op->now_ms);
    return code;
}

int
sqlite_change_end(struct sqlite_store *self, const struct request *request,
                  enum durable_state state, uint32_t attempts, struct view reason, uint64_t now_ms)
{
    must(state == DURABLE_DEAD || state == DURABLE_EXPIRED);
    sqlite3_stmt *end = statement_of(self, STATEMENT_END);
    bind_number(end, 1, request->seq);
    sqlite3_bind_int(end, 2, (int)state);
    bind_number(end, 3, attempts);
    bind_text(end, 4, reason);
    bind_number(end, 5, now_ms);
    move(self, request, state);
    int code = sqlite_store_run(self, STATEMENT_END);
    if (code == SQLITE_OK)
        code = sqlite_change_note(self, request, AUDIT_ENDED, state, attempts, reason, now_ms);
    return code;
}

int
sqlite_change_kill(struct sqlite_store *self, struct durable_op *op)
{
    struct request request;
    int code = find_life(self, op, &request);
    if (code != SQLITE_OK || op->outcome != DURABLE_OK)
        return code;
    enum durable_state state = op->state == DURABLE_EXPIRED ? DURABLE_EXPIRED : DURABLE_DEAD;
    return sqlite_change_end(self, &request, state, op->attempts, op->reason, op->now_ms);
}

int
sqlite_change_revive(struct sqlite_store *self, const struct request *request, uint64_t now_ms)
{
    sqlite3_stmt *revive = statement_of(self, STATEMENT_REVIVE);
    bind_number(revive, 1, request->seq);
    bind_number(revive, 2, now_ms);
    move(self, request, DURABLE_PENDING);
    int code = sqlite_store_run(self, STATEMENT_REVIVE);
    if (code == SQLITE_OK)
        code =
            sqlite_change_note(self, request, AUDIT_RETRIED, DURABLE_PENDING, 0, VIEW_NONE, now_ms);
    return code;
}

int
sqlite_change_drop(struct sqlite_store *self, const struct request *request, enum audit_kind kind,
                   uint64_t now_ms)
{
    int code = delete_chunks(self, request->seq, request->parts);
    if (code != SQLITE_OK)
        return code;
    bind_number(statement_of(self, STATEMENT_DELETE), 1, request->seq);
    sqlite_counts_subtract(self, request->service, request->state);
    code = sqlite_store_run(self, STATEMENT_DELETE);
    if (code == SQLITE_OK)
        code = sqlite_change_note(self, request, kind, DURABLE_CLOSED, request->attempts, VIEW_NONE,
                                  now_ms);
    return code;
}

// What a key was used for is remembered: the row stays, without its body.
int
sqlite_change_forget(struct sqlite_store *self, const struct request *request, uint64_t now_ms)
{
    if (!request->has_key)
        return sqlite_change_drop(self, request, AUDIT_CLOSED, now_ms);
    int code = delete_chunks(self, request->seq, request->parts);
    if (code != SQLITE_OK)
        return code;
    sqlite3_stmt *close = statement_of(self, STATEMENT_CLOSE);
    bind_number(close, 1, request->seq);
    bind_number(close, 2, now_ms);
    move(self, request, DURABLE_CLOSED);
    code = sqlite_store_run(self, STATEMENT_CLOSE);
    if (code == SQLITE_OK)
        code = sqlite_change_note(self, request, AUDIT_CLOSED, DURABLE_CLOSED, request->attempts,
                                  VIEW_NONE, now_ms);
    return code;
}

int
sqlite_change_close(struct sqlite_store *self, struct durable_op *op)
{
    struct request request;
    int code = find_open(self, op, &request);
    if (code != SQLITE_OK || op->outcome != DURABLE_OK)
        return code;
    return sqlite_change_forget(self, &request, op->now_ms);
}

// ---- fetch -------------------------------------------------------------------------

static int
read_reply(struct sqlite_store *self, struct durable_op *op)
{
    sqlite3_stmt *read = statement_of(self, STATEMENT_READ_REPLY);
    bind_number(read, 1, op->seq);
    int code = sqlite3_step(read);
    struct durable_digest digest;
    if (code == SQLITE_ROW) {
        code = sqlite_change_body(self, read, 5, op->seq, (uint32_t)sqlite3_column_int64(read, 3),
                                  (uint32_t)sqlite3_column_int64(read, 0),
                                  (uint64_t)sqlite3_column_int64(read, 1),
                                  (uint64_t)sqlite3_column_int64(read, 2), &op->reply);
        if (!read_bytes(read, 4, &digest, sizeof digest)) {
            free(op->reply);
            op->reply = NULL;
        }
    }
    sqlite3_reset(read);
    if (op->reply != NULL) {
        struct durable_digest is = durable_answer_digest(op->reply);
        if (!durable_digest_equals(&is, &digest)) {
            free(op->reply);
            op->reply = NULL;
        }
    }
    if (code == SQLITE_NOMEM)
        op->outcome = DURABLE_REFUSED;
    else if (op->reply == NULL)
        op->outcome = DURABLE_DAMAGED;
    return code == SQLITE_NOMEM ? SQLITE_OK : code;
}

static int
read_reason(struct sqlite_store *self, struct durable_op *op)
{
    sqlite3_stmt *read = statement_of(self, STATEMENT_READ_ROW);
    bind_number(read, 1, op->seq);
    int code = sqlite3_step(read);
    if (code == SQLITE_ROW) {
        struct durable_row row;
        struct rows rows;
        rows_init(&rows);
        sqlite_query_row(self, read, &row);
        rows_add(&rows, &row);
        op->found = rows_end(&rows);
        if (op->found == NULL)
            op->outcome = DURABLE_REFUSED;
        else
            op->text = op->found->rows[0].reason;
        code = SQLITE_OK;
    }
    sqlite3_reset(read);
    return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

int
sqlite_change_fetch(struct sqlite_store *self, struct durable_op *op)
{
    struct request request;
    int code = find_open(self, op, &request);
    if (code != SQLITE_OK || op->outcome != DURABLE_OK)
        return code;
    if (op->state == DURABLE_DONE)
        return read_reply(self, op);
    if (op->state == DURABLE_DEAD || op->state == DURABLE_EXPIRED)
        return read_reason(self, op);
    return SQLITE_OK;
}
