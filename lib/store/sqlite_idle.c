// sqlite_idle.c - what can wait: checkpoints, what is past its time, free pages.
//
// A slice of it is done after each batch and whenever there is nothing better to do. What is
// past its time is found without an index: requests were accepted in the order of their
// numbers, so a lap from the first number ends at the first one that is too young, and passes
// only what is old and still there.

#include "sqlite_store.h"

enum {
    LOG_PAGES_SHORT = 16,
    LOG_PAGES_SOFT = 1024,     // 8 MiB: copied to the database by the next idle slice
    LOG_PAGES_HARD = 8 * 1024, // 64 MiB: and cut to nothing
    SWEEP_ROWS = 500,
    LAPS = 16,            // in the time that answers are retained
    FREE_PAGES_MIN = 1024 // 8 MiB
};

static int
checkpoint(struct sqlite_store *self)
{
    int how =
        self->log_pages > LOG_PAGES_HARD ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int code = sqlite3_wal_checkpoint_v2(self->db, NULL, how, NULL, NULL);
    if (code == SQLITE_OK) {
        self->checkpoints++;
        self->log_pages = 0;
    }
    return code;
}

// find_old fills `seqs` with what is past its time among the next rows. *is_lap_over_out: no
// row behind them is old enough.
static int
find_old(struct sqlite_store *self, uint64_t now_ms, uint64_t seqs[SWEEP_ROWS], size_t *count_out,
         bool *is_lap_over_out)
{
    sqlite3_stmt *old = statement_of(self, STATEMENT_OLD);
    bind_number(old, 1, self->sweep_seq);
    bind_number(old, 2, SWEEP_ROWS);
    uint64_t horizon_ms = now_ms - self->retain_ms;
    size_t seen = 0;
    int code;
    *count_out = 0;
    *is_lap_over_out = false;
    while ((code = sqlite3_step(old)) == SQLITE_ROW) {
        int state = sqlite3_column_int(old, 1);
        if ((uint64_t)sqlite3_column_int64(old, 2) >= horizon_ms) {
            *is_lap_over_out = true;
            break;
        }
        seen++;
        self->sweep_seq = (uint64_t)sqlite3_column_int64(old, 0);
        if ((state == DURABLE_DONE || state == DURABLE_CLOSED) &&
            (uint64_t)sqlite3_column_int64(old, 3) < horizon_ms)
            seqs[(*count_out)++] = self->sweep_seq;
    }
    sqlite3_reset(old);
    *is_lap_over_out = *is_lap_over_out || seen < SWEEP_ROWS;
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static int
sweep(struct sqlite_store *self, uint64_t now_ms, bool *is_lap_over_out)
{
    uint64_t seqs[SWEEP_ROWS];
    size_t count = 0;
    if (now_ms - self->retain_ms > self->swept_ms)
        self->swept_ms = now_ms - self->retain_ms;
    int code = sqlite_store_run(self, STATEMENT_BEGIN);
    if (code == SQLITE_OK)
        code = find_old(self, now_ms, seqs, &count, is_lap_over_out);
    for (size_t at = 0; at < count && code == SQLITE_OK; at++) {
        struct request request;
        bool is_found;
        code = sqlite_change_find(self, seqs[at], &request, &is_found);
        if (code == SQLITE_OK && is_found)
            code = sqlite_change_drop(self, &request, AUDIT_DROPPED, now_ms);
    }
    // What kept a key of our form from being used again is gone, and only the clock does now.
    if (count > 0 && now_ms > self->progress.clock_ms)
        self->progress.clock_ms = now_ms;
    return code == SQLITE_OK ? sqlite_store_commit(self) : code;
}

// look_for_room refuses what is new in good time, so that answers and closes still fit.
static void
look_for_room(struct sqlite_store *self)
{
    bool is_short = room_is_short(self->path, self->free_bytes_min, self->is_short);
    if (is_short && !self->is_short)
        ballast_drop(self->path);
    else if (!is_short && self->is_short)
        ballast_take(self->path);
    self->is_short = is_short;
}

static bool
is_time_to_sweep(const struct sqlite_store *self, uint64_t now_ms)
{
    return now_ms > self->retain_ms && now_ms >= self->sweep_next_ms;
}

// free_pages gives pages that nothing is on back to the disk, where they are many and nothing
// was committed of late that would use them again.
static int
free_pages(struct sqlite_store *self, bool *has_more_out)
{
    sqlite3_stmt *count = statement_of(self, STATEMENT_FREE_PAGES);
    sqlite3_stmt *vacuum = statement_of(self, STATEMENT_VACUUM);
    int code = sqlite3_step(count);
    bool are_many = code == SQLITE_ROW && sqlite3_column_int64(count, 0) >= FREE_PAGES_MIN;
    sqlite3_reset(count);
    if (!are_many)
        return code == SQLITE_ROW ? SQLITE_OK : code;
    do
        code = sqlite3_step(vacuum);
    while (code == SQLITE_ROW);
    sqlite3_reset(vacuum);
    *has_more_out = true;
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

enum store_result
sqlite_idle(struct store *base, uint64_t now_ms, bool *has_more_out)
{
    struct sqlite_store *self = sqlite_store_of(base);
    *has_more_out = false;
    if (self->wrong != STORE_COMMITTED)
        return self->wrong;
    int code = SQLITE_OK;
    // Where room is short the log is kept short too.
    if (self->log_pages >= (self->is_short ? LOG_PAGES_SHORT : LOG_PAGES_SOFT)) {
        code = checkpoint(self);
        *has_more_out = true;
        if (code == SQLITE_OK && !sqlite_audit_anchor(self))
            return sqlite_store_doubt(self, "cannot write the anchor");
    } else if (is_time_to_sweep(self, now_ms)) {
        bool is_lap_over = false;
        code = sweep(self, now_ms, &is_lap_over);
        *has_more_out = true;
        if (is_lap_over) {
            self->sweep_seq = 0;
            self->sweep_next_ms = now_ms + self->retain_ms / LAPS;
        }
    } else if (self->commits_before == self->committed.commits && self->copying == NULL) {
        code = free_pages(self, has_more_out);
    }
    self->commits_before = self->committed.commits;
    if (code != SQLITE_OK)
        return sqlite_store_undo(self, code);
    look_for_room(self);
    return STORE_COMMITTED;
}
