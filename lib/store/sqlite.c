// sqlite.c - a batch of operations as one transaction, and what became of it.
//
// Either all of a batch is committed or nothing of it is. An operation that may clash with
// others asks before it writes, so none can undo its neighbours. What SQLite reports is one of
// four things: no room, no memory, a fault of the file, or doubt. After doubt and fault the
// store does no more: a sync that failed once may "succeed" when it is tried again, because the
// kernel has forgotten what it could not write.

#include "sqlite_store.h"

#include "must.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

// ---- SQLite's answers --------------------------------------------------------------

enum store_result
sqlite_store_result_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return STORE_COMMITTED;
    case SQLITE_FULL:
        return STORE_FULL;
    case SQLITE_NOMEM:
        return STORE_RETRY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_READONLY:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
        return STORE_FAULT;
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_NOMEM)
            return STORE_RETRY;
        return code == SQLITE_IOERR_DATA || code == SQLITE_IOERR_CORRUPTFS ? STORE_FAULT
                                                                           : STORE_DOUBT;
    default:
        return STORE_DOUBT;
    }
}

void
sqlite_store_judge(int code, struct store_error *error_out)
{
    enum store_result result = sqlite_store_result_of(code);
    error_out->result = result == STORE_FAULT ? STORE_FAULT : STORE_DOUBT;
    error_out->is_storage = result == STORE_DOUBT && (code & 0xff) == SQLITE_IOERR;
}

void
sqlite_store_blame(struct sqlite_store *self, const char *what)
{
    snprintf(self->error, sizeof self->error, "%s: %s (%d)", what, sqlite3_errmsg(self->db),
             sqlite3_extended_errcode(self->db));
}

int
sqlite_store_run(struct sqlite_store *self, enum statement which)
{
    int code = sqlite3_step(self->statements[which]);
    must(code != SQLITE_ROW);
    sqlite3_reset(self->statements[which]);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int
sqlite_store_prepare(struct sqlite_store *self)
{
    static const char *const texts[STATEMENTS] = {
#define X(name, text) [STATEMENT_##name] = text,
        STATEMENT_MAP(X)
#undef X
    };
    for (int which = 0; which < STATEMENTS; which++) {
        int code = sqlite3_prepare_v3(self->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                      &self->statements[which], NULL);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

// ---- one batch ---------------------------------------------------------------------

typedef int operation_fn(struct sqlite_store *self, struct durable_op *op);

static operation_fn *const operations[DURABLE_OPS] = {
    [DURABLE_ANSWER] = sqlite_change_answer,  [DURABLE_FAILED] = sqlite_change_failed,
    [DURABLE_KILL] = sqlite_change_kill,      [DURABLE_CLOSE] = sqlite_change_close,
    [DURABLE_FETCH] = sqlite_change_fetch,    [DURABLE_LOAD] = sqlite_query_load,
    [DURABLE_OVERDUE] = sqlite_query_overdue, [DURABLE_LIST] = sqlite_query_filter,
    [DURABLE_STATS] = sqlite_query_stats,     [DURABLE_RETRY] = sqlite_query_filter,
    [DURABLE_CANCEL] = sqlite_query_filter,   [DURABLE_PURGE] = sqlite_query_filter};

static bool
only_reads(enum durable_op_kind kind)
{
    return kind == DURABLE_FETCH || kind == DURABLE_LOAD || kind == DURABLE_OVERDUE ||
           kind == DURABLE_LIST || kind == DURABLE_STATS;
}

static void
forget_outcome(struct durable_op *op)
{
    op->outcome = DURABLE_REFUSED;
    op->reply = NULL;
    op->found = NULL;
    op->text = VIEW_NONE;
    op->has_more = false;
    op->next_ms = 0;
}

int
sqlite_store_tally(struct sqlite_store *self, uint32_t id, const uint64_t numbers[5],
                   const uint8_t head[32])
{
    sqlite3_stmt *set = statement_of(self, STATEMENT_SET_TALLY);
    sqlite3_bind_int64(set, 1, id);
    for (int at = 0; at < 5; at++)
        bind_number(set, 2 + at, numbers[at]);
    if (head != NULL)
        sqlite3_bind_blob(set, 7, head, 32, SQLITE_STATIC);
    else
        sqlite3_bind_null(set, 7);
    return sqlite_store_run(self, STATEMENT_SET_TALLY);
}

static int
write_progress(struct sqlite_store *self)
{
    struct progress *progress = &self->progress;
    progress->commits++;
    const uint64_t numbers[] = {progress->next_seq, progress->clock_ms, progress->changes,
                                progress->commits, progress->leaves};
    return sqlite_store_tally(self, 0, numbers, progress->head.bytes);
}

int
sqlite_store_commit(struct sqlite_store *self)
{
    int code = SQLITE_OK;
    if (self->progress.changes != self->committed.changes) {
        code = sqlite_audit_write(self);
        if (code == SQLITE_OK)
            code = sqlite_counts_write(self);
        if (code == SQLITE_OK)
            code = write_progress(self);
    }
    if (code == SQLITE_OK)
        code = sqlite_store_run(self, STATEMENT_COMMIT);
    if (code != SQLITE_OK)
        return code;
    sqlite_counts_commit(self);
    self->committed = self->progress;
    return SQLITE_OK;
}

// A failure during the batch has undone all of it; one that nobody can judge ends the store.
enum store_result
sqlite_store_undo(struct sqlite_store *self, int code)
{
    enum store_result result = sqlite_store_result_of(code);
    must(result != STORE_COMMITTED);
    sqlite_store_blame(self, "the batch was not committed");
    if (!sqlite3_get_autocommit(self->db)) {
        int rollback = sqlite_store_run(self, STATEMENT_ROLLBACK);
        if (rollback != SQLITE_OK && !sqlite3_get_autocommit(self->db))
            result = STORE_DOUBT;
    }
    sqlite_counts_rollback(self);
    sqlite_audit_rollback(self);
    uint64_t clock_ms = self->progress.clock_ms; // time went on all the same
    self->progress = self->committed;
    self->progress.clock_ms = clock_ms;
    if (result == STORE_FULL) {
        self->is_short = true;
        ballast_drop(self->path);
    }
    // A store that cannot be written can still be read.
    if (result == STORE_DOUBT || (result == STORE_FAULT && (code & 0xff) != SQLITE_READONLY)) {
        self->wrong = result;
        fault_note(self->path, clock_ms, self->error);
    }
    return result;
}

// run_of is how many operations from the first on are submits.
static size_t
run_of(struct durable_op *const *ops, size_t count)
{
    size_t run = 0;
    while (run < count && run < STORE_BATCH_OPS_MAX && ops[run]->kind == DURABLE_SUBMIT)
        run++;
    return run;
}

enum store_result
sqlite_store_doubt(struct sqlite_store *self, const char *what)
{
    snprintf(self->error, sizeof self->error, "%s", what);
    self->wrong = STORE_DOUBT;
    fault_note(self->path, self->progress.clock_ms, what);
    return STORE_DOUBT;
}

static int
do_all(struct sqlite_store *self, struct durable_op *const *ops, size_t count)
{
    int code = SQLITE_OK;
    for (size_t at = 0; at < count; at++) {
        must((unsigned)ops[at]->kind < DURABLE_OPS);
        if (ops[at]->now_ms > self->progress.clock_ms)
            self->progress.clock_ms = ops[at]->now_ms;
    }
    for (size_t at = 0; at < count && code == SQLITE_OK;) {
        size_t run = run_of(ops + at, count - at);
        if (run > 0)
            code = sqlite_group_submit(self, ops + at, run);
        else
            code = operations[ops[at]->kind](self, ops[at]);
        at += run > 0 ? run : 1;
    }
    return code == SQLITE_OK ? sqlite_store_commit(self) : code;
}

static enum store_result
sqlite_apply(struct store *base, struct durable_op *const *ops, size_t count)
{
    struct sqlite_store *self = sqlite_store_of(base);
    bool writes = false;
    for (size_t at = 0; at < count; at++) {
        forget_outcome(ops[at]);
        writes = writes || !only_reads(ops[at]->kind);
    }
    if (self->wrong != STORE_COMMITTED)
        return self->wrong;
    int code = sqlite_store_run(self, writes ? STATEMENT_BEGIN : STATEMENT_BEGIN_READING);
    if (code == SQLITE_OK)
        code = do_all(self, ops, count);
    if (code == SQLITE_OK && (!self->anchors_every_commit || sqlite_audit_anchor(self)))
        return STORE_COMMITTED;
    enum store_result result = code != SQLITE_OK
                                   ? sqlite_store_undo(self, code)
                                   : sqlite_store_doubt(self, "cannot write the anchor");
    for (size_t at = 0; at < count; at++) {
        free(ops[at]->reply);
        store_rows_free(ops[at]->found);
        forget_outcome(ops[at]);
    }
    return result;
}

// ---- the rest ----------------------------------------------------------------------

static enum store_result
sqlite_anchor(struct store *base)
{
    struct sqlite_store *self = sqlite_store_of(base);
    if (self->wrong != STORE_COMMITTED)
        return self->wrong;
    return sqlite_audit_anchor(self) ? STORE_COMMITTED
                                     : sqlite_store_doubt(self, "cannot write the anchor");
}

static uint64_t
file_bytes(const char *path, const char *end)
{
    char name[STORE_PATH_BYTES_MAX + 8];
    struct stat file;
    snprintf(name, sizeof name, "%s%s", path, end);
    return stat(name, &file) == 0 ? (uint64_t)file.st_size : 0;
}

static void
sqlite_info(struct store *base, struct store_info *info_out)
{
    struct sqlite_store *self = sqlite_store_of(base);
    *info_out = (struct store_info){.schema = SCHEMA_VERSION,
                                    .incarnation = self->incarnation,
                                    .is_relaxed = self->is_relaxed,
                                    .has_audit = self->has_audit,
                                    .clock_ms = self->progress.clock_ms,
                                    .pending = self->totals[DURABLE_PENDING],
                                    .done = self->totals[DURABLE_DONE],
                                    .dead = self->totals[DURABLE_DEAD],
                                    .closed = self->totals[DURABLE_CLOSED],
                                    .expired = self->totals[DURABLE_EXPIRED],
                                    .file_bytes = file_bytes(self->path, ""),
                                    .log_bytes = file_bytes(self->path, "-wal"),
                                    .audit_count = self->progress.leaves,
                                    .commits = self->progress.commits,
                                    .checkpoints = self->checkpoints,
                                    .has_room = !self->is_short};
    memcpy(info_out->store_id, self->store_id, sizeof info_out->store_id);
}

static const char *
sqlite_error(const struct store *base)
{
    return ((const struct sqlite_store *)(const void *)base)->error;
}

const struct store_class sqlite_store_class = {.name = "sqlite",
                                               .apply = sqlite_apply,
                                               .idle = sqlite_idle,
                                               .anchor = sqlite_anchor,
                                               .backup = sqlite_backup,
                                               .info = sqlite_info,
                                               .error = sqlite_error,
                                               .close = sqlite_open_close};
