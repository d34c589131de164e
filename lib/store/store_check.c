// store_check.c - opens a store that no process has, to look at it.

#include "store_look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct store_check *
store_check_open(const char *path, struct store_error *error_out)
{
    *error_out = (struct store_error){.result = STORE_DOUBT};
    struct store_check *self = calloc(1, sizeof *self);
    if (self == NULL) {
        snprintf(error_out->text, sizeof error_out->text, "out of memory");
        return NULL;
    }
    // The lock would be made beside it, where there is none.
    if (access(path, F_OK) != 0)
        snprintf(error_out->text, sizeof error_out->text, "%.150s: %s", path, strerror(errno));
    else
        self->store = sqlite_open_to_look(path, error_out);
    if (self->store == NULL) {
        free(self);
        return NULL;
    }
    self->is_copy = sqlite_backup_is_copy(self->store->db);
    return self;
}

void
store_check_close(struct store_check **self_p)
{
    struct store_check *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    store_close(&self->store->base);
    free(self);
}

bool
store_look_anchor(const struct store_check *self, struct store_anchor *anchor_out)
{
    unsigned slot;
    return self->store->anchor_fd >= 0 && anchor_read(self->store->anchor_fd, anchor_out, &slot);
}

// ---- what it says of itself ------------------------------------------------------------

// last_number is the number of the last record of a row.
static uint64_t
last_number(sqlite3_stmt *row, int column)
{
    uint64_t last = 0;
    struct audit_record record;
    const void *bytes = sqlite3_column_blob(row, column);
    if (bytes == NULL)
        return 0;
    struct view records = view_of(bytes, (size_t)sqlite3_column_bytes(row, column));
    while (records.size > 0 && audit_decode(&records, &record))
        last = record.n;
    return last;
}

static int
read_signatures(struct sqlite_store *store, struct store_outline *outline)
{
    static const char sql[] = "SELECT count(signature), (SELECT max(upto) FROM audit WHERE "
                              "signature IS NOT NULL) FROM audit";
    static const char last[] = "SELECT records FROM audit WHERE upto = ?1";
    sqlite3_stmt *count = NULL, *read = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &count, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(store->db, last, -1, &read, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(count)) == SQLITE_ROW) {
        outline->signatures = (uint64_t)sqlite3_column_int64(count, 0);
        sqlite3_bind_int64(read, 1, sqlite3_column_int64(count, 1));
        code = sqlite3_step(read);
        if (code == SQLITE_ROW && outline->signatures > 0)
            outline->signed_to = last_number(read, 0);
    }
    sqlite3_finalize(count);
    sqlite3_finalize(read);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

bool
store_check_outline(struct store_check *self, struct store_outline *outline_out,
                    struct store_error *error_out)
{
    struct sqlite_store *store = self->store;
    struct store_anchor anchor;
    *outline_out = (struct store_outline){
        .head = store->progress.head, .changes = store->progress.changes, .is_copy = self->is_copy};
    store_info(&store->base, &outline_out->info);
    outline_out->has_anchor = store_look_anchor(self, &anchor);
    if (outline_out->has_anchor)
        outline_out->anchored = anchor.changes;
    int code = read_signatures(store, outline_out);
    if (code == SQLITE_OK)
        return true;
    error_out->result = sqlite_store_result_of(code);
    snprintf(error_out->text, sizeof error_out->text, "%.120s: cannot read it: %.100s", store->path,
             sqlite3_errmsg(store->db));
    return false;
}
