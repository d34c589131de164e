// sqlite_audit.c - a record of every change in the chain, and the anchor beside the store.
//
// The records of a batch are one row, in the transaction of the batch. A row's number is how
// many changes the store has had with it, which is what the anchor notes too: so the head that
// the anchor has can be compared with the store's, also where the store has gone on since. With
// the audit off there are no rows, and the head stands still.

#include "sqlite_store.h"

#include "must.h"

#include <sodium/core.h>
#include <sodium/crypto_sign_ed25519.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ROW_BYTES_MAX = 256 * 1024, // then another row is begun
    SIGN_EVERY = 4096           // records
};

// ---- records -------------------------------------------------------------------------

static bool
has_room(struct sqlite_store *self)
{
    size_t needed = self->records_bytes + AUDIT_RECORD_BYTES_MAX;
    if (needed <= self->records_max)
        return true;
    uint8_t *grown = realloc(self->records, 2 * needed);
    if (grown == NULL)
        return false;
    self->records = grown;
    self->records_max = 2 * needed;
    return true;
}

static int
write_row(struct sqlite_store *self)
{
    struct progress *progress = &self->progress;
    uint8_t text[AUDIT_SIGNED_BYTES], signature[crypto_sign_ed25519_BYTES];
    sqlite3_stmt *insert = statement_of(self, STATEMENT_INSERT_AUDIT);
    bind_number(insert, 1, progress->changes);
    bind_number(insert, 2, self->records_first);
    sqlite3_bind_blob64(insert, 3, self->records, self->records_bytes, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 4, progress->head.bytes, sizeof progress->head.bytes, SQLITE_STATIC);
    sqlite3_bind_null(insert, 5);
    if (self->has_audit_key && progress->leaves - progress->leaves_signed >= SIGN_EVERY) {
        struct view store_id = view_of(self->store_id, AUDIT_STORE_ID_BYTES);
        audit_to_sign(store_id, progress->leaves, &progress->head, text);
        crypto_sign_ed25519_detached(signature, NULL, text, sizeof text, self->audit_key);
        sqlite3_bind_blob(insert, 5, signature, sizeof signature, SQLITE_STATIC);
        progress->leaves_signed = progress->leaves;
    }
    self->records_bytes = 0;
    return sqlite_store_run(self, STATEMENT_INSERT_AUDIT);
}

int
sqlite_audit_note(struct sqlite_store *self, struct audit_record *record)
{
    struct progress *progress = &self->progress;
    progress->changes++;
    if (!self->has_audit)
        return SQLITE_OK;
    if (!has_room(self))
        return SQLITE_NOMEM;
    record->n = ++progress->leaves;
    record->epoch = self->incarnation;
    if (self->records_bytes == 0)
        self->records_first = record->n;
    uint8_t *at = self->records + self->records_bytes;
    size_t size = (size_t)(audit_encode(record, at) - at);
    audit_head_add(&progress->head, view_of(at, size));
    self->records_bytes += size;
    return self->records_bytes < ROW_BYTES_MAX ? SQLITE_OK : write_row(self);
}

int
sqlite_audit_write(struct sqlite_store *self)
{
    return self->records_bytes > 0 ? write_row(self) : SQLITE_OK;
}

void
sqlite_audit_rollback(struct sqlite_store *self)
{
    self->records_bytes = 0;
}

// ---- the anchor ------------------------------------------------------------------------

bool
sqlite_audit_anchor(struct sqlite_store *self)
{
    const struct progress *progress = &self->committed;
    if (self->anchor_fd < 0 || progress->changes == self->anchored)
        return true;
    // The anchor is never ahead of what the disk has, or the store would be refused after a power
    // cut that took no more than it may.
    if (self->is_relaxed && !log_sync(self->path))
        return false;
    struct store_anchor anchor = {.incarnation = self->incarnation, .changes = progress->changes};
    memcpy(anchor.head, progress->head.bytes, sizeof anchor.head);
    if (!anchor_write(self->anchor_fd, &self->anchor_slot, &anchor))
        return false;
    self->anchored = progress->changes;
    return true;
}

// head_at is the chain's head when the store had so many changes: that of the last row before.
static int
head_at(struct sqlite_store *self, uint64_t changes, struct audit_head *head_out)
{
    static const char sql[] = "SELECT head FROM audit WHERE upto <= ?1 ORDER BY upto DESC LIMIT 1";
    sqlite3_stmt *find = NULL;
    int code = sqlite3_prepare_v2(self->db, sql, -1, &find, NULL);
    audit_head_start(head_out, view_of(self->store_id, AUDIT_STORE_ID_BYTES));
    if (code == SQLITE_OK) {
        bind_number(find, 1, changes);
        code = sqlite3_step(find);
    }
    if (code == SQLITE_ROW) {
        const void *head = sqlite3_column_blob(find, 0);
        if (head != NULL && sqlite3_column_bytes(find, 0) == sizeof head_out->bytes)
            memcpy(head_out->bytes, head, sizeof head_out->bytes);
        code = SQLITE_DONE;
    }
    sqlite3_finalize(find);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool
fault(struct sqlite_store *self, struct store_error *error_out, const char *what, uint64_t from,
      uint64_t to)
{
    error_out->result = STORE_FAULT;
    snprintf(error_out->text, sizeof error_out->text,
             "%.100s: %s, changes %llu to %llu (see %.60s.anchor)", self->path, what,
             (unsigned long long)from, (unsigned long long)to, self->path);
    return false;
}

// unread: what it says cannot be read, which is no word of what it says.
static bool
unread(struct sqlite_store *self, int code, struct store_error *error_out)
{
    sqlite_store_judge(code, error_out);
    snprintf(error_out->text, sizeof error_out->text, "%.100s: cannot read its audit chain: %.100s",
             self->path, sqlite3_errstr(code));
    return false;
}

bool
sqlite_audit_check(struct sqlite_store *self, struct store_error *error_out)
{
    struct store_anchor anchor;
    struct audit_head head;
    const struct progress *progress = &self->progress;
    int code = head_at(self, progress->changes, &head);
    if (code != SQLITE_OK)
        return unread(self, code, error_out);
    if (memcmp(&head, &progress->head, sizeof head) != 0)
        return fault(self, error_out, "the audit chain does not end where the store does", 0,
                     progress->changes);
    if (!anchor_read(self->anchor_fd, &anchor, &self->anchor_slot) ||
        anchor.incarnation < self->incarnation)
        return true;
    if (anchor.incarnation > self->incarnation)
        return fault(self, error_out,
                     "this is an older copy of the store; acknowledged data missing",
                     progress->changes + 1, anchor.changes);
    if (anchor.changes > progress->changes)
        return fault(self, error_out, "acknowledged data missing", progress->changes + 1,
                     anchor.changes);
    code = head_at(self, anchor.changes, &head);
    if (code != SQLITE_OK)
        return unread(self, code, error_out);
    if (memcmp(head.bytes, anchor.head, sizeof anchor.head) != 0)
        return fault(self, error_out, "the audit chain is not the one that was anchored", 1,
                     anchor.changes);
    return true;
}

bool
sqlite_audit_init(struct sqlite_store *self, const struct store_options *options)
{
    if (options->audit_key != NULL) {
        if (sodium_init() < 0)
            return false;
        memcpy(self->audit_key, options->audit_key, sizeof self->audit_key);
        self->has_audit_key = true;
    }
    struct progress *progress = &self->progress;
    // The first batch of a run is signed, and then one after so many records each.
    progress->leaves_signed = progress->leaves - SIGN_EVERY;
    self->committed = *progress;
    self->anchored = UINT64_MAX;
    return true;
}
