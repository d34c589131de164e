// store_contents.c - reads all of a store: pages, bodies, answers, counts.

#include "store_look.h"

#include "durable_digest.h"
#include "tsp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEQ, STATE, SERVICE, RID, FIELDS, FRAMES, BYTES, REPLY_FRAMES, REPLY_BYTES, PARTS, DIGEST };
enum { REPLY_DIGEST = DIGEST + 1, BODY };

static const char all_requests[] =
    "SELECT seq, state, service, rid, fields_bytes, frames, bytes, reply_frames, reply_bytes, "
    "parts, digest, reply_digest, body FROM request ORDER BY seq";

static void blame(struct store_contents *contents, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// blame keeps what was wrong first.
static void
blame(struct store_contents *contents, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (contents->is_whole)
        vsnprintf(contents->why, sizeof contents->why, format, arguments);
    va_end(arguments);
    contents->is_whole = false;
}

static void
check_pages(struct sqlite_store *store, struct store_contents *contents)
{
    sqlite3_stmt *check = NULL;
    int code = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &check, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(check);
    if (code != SQLITE_ROW)
        blame(contents, "its pages cannot be read: %.150s", sqlite3_errmsg(store->db));
    else if (strcmp((const char *)sqlite3_column_text(check, 0), "ok") != 0)
        blame(contents, "its pages: %.200s", (const char *)sqlite3_column_text(check, 0));
    sqlite3_finalize(check);
}

static uint64_t
number_at(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

static void
name_request(sqlite3_stmt *row, char text[REQUEST_ID_TEXT_BYTES + 1])
{
    struct request_id id = {{0}};
    const void *bytes = sqlite3_column_blob(row, RID);
    if (bytes != NULL && sqlite3_column_bytes(row, RID) == REQUEST_ID_BYTES)
        memcpy(id.bytes, bytes, sizeof id.bytes);
    request_id_write(&id, (uint8_t *)text);
    text[REQUEST_ID_TEXT_BYTES] = '\0';
}

// is_as_stored compares a body or an answer with its digest.
static bool
is_as_stored(sqlite3_stmt *row, const struct service *service, const struct durable_body *body,
             bool is_answer)
{
    int column = is_answer ? REPLY_DIGEST : DIGEST;
    const void *digest = sqlite3_column_blob(row, column);
    if (body == NULL || digest == NULL || service == NULL ||
        sqlite3_column_bytes(row, column) != DURABLE_DIGEST_BYTES)
        return false;
    struct durable_digest is =
        is_answer ? durable_answer_digest(body)
                  : durable_digest(view_of(service->name, service->name_bytes), body);
    return memcmp(is.bytes, digest, sizeof is.bytes) == 0;
}

static int
check_body(struct sqlite_store *store, sqlite3_stmt *row, bool is_answer,
           struct store_contents *contents)
{
    struct durable_body *body = NULL;
    int code = sqlite_change_body(
        store, row, BODY, number_at(row, SEQ), (uint32_t)number_at(row, PARTS),
        (uint32_t)number_at(row, is_answer ? REPLY_FRAMES : FRAMES), number_at(row, FIELDS),
        number_at(row, is_answer ? REPLY_BYTES : BYTES), &body);
    if (code != SQLITE_OK)
        return code;
    char id[REQUEST_ID_TEXT_BYTES + 1];
    const struct service *service = sqlite_counts_at(store, sqlite3_column_int64(row, SERVICE));
    if (is_as_stored(row, service, body, is_answer)) {
        contents->digests++;
    } else {
        name_request(row, id);
        contents->damaged++;
        blame(contents, "the %s of %s is not what was stored", is_answer ? "answer" : "body", id);
    }
    free(body);
    return SQLITE_OK;
}

static int
check_request(struct sqlite_store *store, sqlite3_stmt *row, struct store_contents *contents)
{
    uint64_t state = number_at(row, STATE);
    char id[REQUEST_ID_TEXT_BYTES + 1];
    contents->requests++;
    if (state >= DURABLE_STATES) {
        name_request(row, id);
        blame(contents, "%s is in no state that there is", id);
        return SQLITE_OK;
    }
    contents->counts[state]++;
    // What is closed has no body any more.
    return state == DURABLE_CLOSED ? SQLITE_OK
                                   : check_body(store, row, state == DURABLE_DONE, contents);
}

static void
check_requests(struct sqlite_store *store, struct store_contents *contents)
{
    sqlite3_stmt *rows = NULL;
    int code = sqlite3_prepare_v2(store->db, all_requests, -1, &rows, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW)
        code = check_request(store, rows, contents);
    if (code != SQLITE_DONE)
        blame(contents, "its requests cannot be read: %.150s", sqlite3_errmsg(store->db));
    sqlite3_finalize(rows);
}

void
store_check_contents(struct store_check *self, struct store_contents *contents_out)
{
    static const char *const names[] = {
#define X(name, number, text) [name] = text,
        DURABLE_STATE_MAP(X)
#undef X
    };
    *contents_out = (struct store_contents){.is_whole = true};
    check_pages(self->store, contents_out);
    if (!contents_out->is_whole)
        return;
    check_requests(self->store, contents_out);
    for (int state = 0; state < DURABLE_STATES; state++)
        if (contents_out->counts[state] != self->store->totals[state])
            blame(contents_out, "%" PRIu64 " are %s, but the store has counted %" PRIu64,
                  contents_out->counts[state], names[state], self->store->totals[state]);
}
