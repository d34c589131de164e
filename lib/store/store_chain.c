// store_chain.c - walks the audit chain of a store, and says where it breaks.
//
// The store has a head for each row of records and none for each record: of a record whose bytes
// were changed but not its form, the row is what can be named. All else (a record that is
// missing, moved, or of no form) has its number.

#include "store_look.h"

#include <inttypes.h>
#include <sodium/core.h>
#include <sodium/crypto_sign_ed25519.h>
#include <stdarg.h>
#include <stdio.h>

struct walk {
    struct sqlite_store *store;
    struct store_chain *chain;
    const uint8_t *public_key;
    const struct store_anchor *anchor; // NULL: there is none to compare with
    struct audit_head anchored;        // the head when the store had the anchor's changes
};

static bool broken(struct store_chain *chain, uint64_t record, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool
broken(struct store_chain *chain, uint64_t record, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(chain->why, sizeof chain->why, format, arguments);
    va_end(arguments);
    chain->broken = record;
    chain->is_whole = false;
    return false;
}

// is_elsewhere says whether a row of records that begins with this one stands anywhere.
static bool
is_elsewhere(struct sqlite_store *store, uint64_t record)
{
    char sql[80];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM audit WHERE first = %" PRIu64, record);
    return sqlite_schema_number(store->db, sql) > 0;
}

static bool
begins_right(const struct walk *walk, uint64_t first)
{
    struct store_chain *chain = walk->chain;
    uint64_t next = chain->count + 1;
    if (first == next)
        return true;
    if (first < next)
        return broken(chain, next, "record %" PRIu64 " stands there again", first);
    if (is_elsewhere(walk->store, next))
        return broken(chain, next, "it was moved: record %" PRIu64 " stands in its place", first);
    return broken(chain, next, "it is missing, and so are all up to %" PRIu64, first - 1);
}

// add_records goes on with the records of a row, and leaves the count at the last good one.
static bool
add_records(struct store_chain *chain, struct view records, struct audit_head *head)
{
    while (records.size > 0) {
        struct view rest = records;
        struct audit_record record;
        uint64_t next = chain->count + 1;
        if (!audit_decode(&rest, &record))
            return broken(chain, next, "it cannot be read: it was changed");
        if (record.n != next)
            return broken(chain, next, "record %" PRIu64 " stands in its place", record.n);
        audit_head_add(head, view_of(records.data, records.size - rest.size));
        chain->count = next;
        records = rest;
    }
    return true;
}

static bool
is_signed(const struct walk *walk, struct view signature)
{
    struct store_chain *chain = walk->chain;
    uint8_t text[AUDIT_SIGNED_BYTES];
    if (signature.size == 0)
        return true;
    chain->signatures++;
    if (walk->public_key == NULL)
        return true;
    audit_to_sign(view_of(walk->store->store_id, AUDIT_STORE_ID_BYTES), chain->count, &chain->head,
                  text);
    if (signature.size != crypto_sign_ed25519_BYTES ||
        crypto_sign_ed25519_verify_detached(signature.data, text, sizeof text, walk->public_key) !=
            0)
        return broken(chain, chain->signed_to + 1,
                      "the signature at record %" PRIu64 " is not of this key for this chain: one "
                      "of the records up to there was changed, or another key signed",
                      chain->count);
    chain->signed_to = chain->count;
    return true;
}

static struct view
column_of(sqlite3_stmt *row, int column)
{
    const void *bytes = sqlite3_column_blob(row, column);
    return bytes == NULL ? VIEW_NONE : view_of(bytes, (size_t)sqlite3_column_bytes(row, column));
}

static bool
add_row(struct walk *walk, sqlite3_stmt *row)
{
    struct store_chain *chain = walk->chain;
    uint64_t before = chain->count;
    struct audit_head head = chain->head;
    struct view stored = column_of(row, 3);
    if (!begins_right(walk, (uint64_t)sqlite3_column_int64(row, 1)) ||
        !add_records(chain, column_of(row, 2), &head))
        return false;
    if (chain->count == before)
        return broken(chain, before + 1, "it is missing: its row is empty");
    if (!view_equals(stored, view_of(head.bytes, sizeof head.bytes))) {
        uint64_t last = chain->count;
        chain->count = before;
        if (last == before + 1)
            return broken(chain, last, "it is not what was chained: it was changed");
        return broken(chain, before + 1,
                      "of the records up to %" PRIu64 ", written together, one was changed", last);
    }
    chain->head = head;
    if (walk->anchor != NULL && (uint64_t)sqlite3_column_int64(row, 0) <= walk->anchor->changes)
        walk->anchored = head;
    return is_signed(walk, column_of(row, 4));
}

static bool
add_rows(struct walk *walk)
{
    static const char sql[] = "SELECT upto, first, records, head, signature FROM audit "
                              "ORDER BY upto";
    sqlite3_stmt *rows = NULL;
    bool is_well = true;
    int code = sqlite3_prepare_v2(walk->store->db, sql, -1, &rows, NULL);
    while (code == SQLITE_OK && is_well && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        is_well = add_row(walk, rows);
        code = SQLITE_OK;
    }
    if (is_well && code != SQLITE_DONE)
        is_well = broken(walk->chain, walk->chain->count + 1, "it cannot be read: %.100s",
                         sqlite3_errmsg(walk->store->db));
    sqlite3_finalize(rows);
    return is_well;
}

// ends_right compares the end of the chain with what the store and the anchor say.
static bool
ends_right(const struct walk *walk)
{
    const struct progress *progress = &walk->store->progress;
    const struct store_anchor *anchor = walk->anchor;
    struct store_chain *chain = walk->chain;
    uint64_t next = chain->count + 1;
    if (chain->count < progress->leaves)
        return broken(chain, next, "it is missing, and so are all up to %" PRIu64 ", the last",
                      progress->leaves);
    if (chain->count > progress->leaves)
        return broken(chain, progress->leaves + 1, "the store knows of no record after %" PRIu64,
                      progress->leaves);
    if (memcmp(&chain->head, &progress->head, sizeof chain->head) != 0)
        return broken(chain, chain->count, "its head is not the one that the store ends with");
    if (anchor == NULL)
        return true;
    if (anchor->incarnation > walk->store->incarnation || anchor->changes > progress->changes)
        return broken(chain, next,
                      "the end is missing: the anchor knows of change %" PRIu64
                      ", and the store ends at %" PRIu64,
                      anchor->changes, progress->changes);
    if (anchor->incarnation == walk->store->incarnation &&
        memcmp(walk->anchored.bytes, anchor->head, sizeof anchor->head) != 0)
        return broken(chain, chain->count > 0,
                      "this is not the chain that was anchored at change "
                      "%" PRIu64 ": all of it was made again",
                      anchor->changes);
    return true;
}

void
store_check_chain(struct store_check *self, const uint8_t *public_key,
                  struct store_chain *chain_out)
{
    struct store_anchor anchor;
    struct walk walk = {.store = self->store, .chain = chain_out, .public_key = public_key};
    *chain_out = (struct store_chain){0};
    audit_head_start(&chain_out->head, view_of(self->store->store_id, AUDIT_STORE_ID_BYTES));
    walk.anchored = chain_out->head;
    // The anchor beside a copy that nobody has started on is of the store before it.
    if (!self->is_copy && store_look_anchor(self, &anchor))
        walk.anchor = &anchor;
    if (public_key != NULL && sodium_init() < 0) {
        broken(chain_out, 0, "libsodium cannot be used");
        return;
    }
    chain_out->is_whole = add_rows(&walk) && ends_right(&walk);
    if (chain_out->is_whole && public_key != NULL && chain_out->count > 0 &&
        chain_out->signed_to == 0)
        broken(chain_out, 1,
               "it holds together, but no signature is in it: the key proves nothing");
}
