// sqlite_schema.c - the tables, the settings of the connection, and older schemas.

#include "sqlite_store.h"

#include "page_vfs.h"

#include <stdio.h>

// ---- the tables --------------------------------------------------------------------
//
// A request is one row from the day it is accepted until it is forgotten. Its body stands at
// the end of the row, and once it is done its answer stands there instead: what has run is not
// run again. A body above 64 KiB stands in chunks, whose numbers are the request's seq and the
// part.
//
// An insert touches the row, the index of ids, both at their right edge because ids are in the
// order of time, and the queue; the index of keys has those with a key only, that of deadlines
// those with one, `ended` those that an operator may look for. A request without an owner has
// an empty one, because two NULLs are never the same.
//
// What every commit changes is on one page: the tallies. Row 0 has the next seq, the clock, how
// many changes and commits there were, and how far the audit chain is; row n has how many requests
// of service n are pending, done, dead, closed and expired.
//
// The rows of `request` have no length checks: a check is a call for each row, and what is bound
// comes from fields of that size.
static const char tables[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tally (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL,"
    " c INTEGER NOT NULL, d INTEGER NOT NULL, e INTEGER NOT NULL, head BLOB) STRICT;"
    "CREATE TABLE service (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE"
    " CHECK (length(name) BETWEEN 1 AND 255)) STRICT;"
    "CREATE TABLE request (seq INTEGER PRIMARY KEY, state INTEGER NOT NULL,"
    " service INTEGER NOT NULL, rid BLOB NOT NULL, owner BLOB NOT NULL, ikey BLOB,"
    " attempts INTEGER NOT NULL, attempts_max INTEGER NOT NULL, accepted_ms INTEGER NOT NULL,"
    " due_ms INTEGER NOT NULL, deadline_ms INTEGER NOT NULL, frames INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, reply_frames INTEGER NOT NULL, reply_bytes INTEGER NOT NULL,"
    " fields_bytes INTEGER NOT NULL, parts INTEGER NOT NULL, over_ms INTEGER NOT NULL,"
    " digest BLOB NOT NULL, reply_digest BLOB, reason BLOB, body BLOB) STRICT;"
    "CREATE UNIQUE INDEX rid ON request (rid);"
    "CREATE UNIQUE INDEX ikey ON request (owner, ikey) WHERE ikey IS NOT NULL;"
    "CREATE INDEX queue ON request (service, due_ms) WHERE state = 0;"
    "CREATE INDEX deadline ON request (deadline_ms) WHERE state = 0 AND deadline_ms > 0;"
    "CREATE INDEX ended ON request (seq) WHERE state IN (2, 4);"
    "CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;"
    "CREATE TABLE audit (upto INTEGER PRIMARY KEY, first INTEGER NOT NULL,"
    " records BLOB NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32), signature BLOB) STRICT;"
    "INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(16)))), ('incarnation', 1);"
    "INSERT INTO tally VALUES (0, 1, 0, 0, 0, 0, zeroblob(32));";

// Version 2: how often a request was retried. A new column can only stand behind the body, but
// where it is 0 or 1, nearly always, it takes no bytes, and is read without the body.
static const char lives[] = "ALTER TABLE request ADD COLUMN life INTEGER NOT NULL DEFAULT 0;";

// From each older schema to the next. Version 1 is the first; a new store goes all the way.
static const struct migration migrations[] = {{0, tables}, {1, lives}};

enum { APPLICATION_ID = 0x47414c4e }; // "GALN"

// ---- settings ----------------------------------------------------------------------

int64_t
sqlite_schema_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static bool
fail(sqlite3 *db, const char *what, struct store_error *error_out)
{
    sqlite_store_judge(sqlite3_extended_errcode(db), error_out);
    snprintf(error_out->text, sizeof error_out->text, "%s: %s", what, sqlite3_errmsg(db));
    return false;
}

// is_read_back says whether the setting is what was asked for; SQLite refuses in silence.
static bool
is_read_back(sqlite3 *db, const char *name, int64_t wanted, struct store_error *error_out)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA %s", name);
    int64_t got = sqlite_schema_number(db, sql);
    if (got == wanted)
        return true;
    if (got == -1)
        return fail(db, sql, error_out);
    error_out->result = STORE_FAULT;
    snprintf(error_out->text, sizeof error_out->text, "%s is %lld, not %lld", name, (long long)got,
             (long long)wanted);
    return false;
}

// is_wal: SQLite answers before the mode is on the disk. Where that fails it has no log and goes
// on with a journal, which it does not sync as we need it; only the end of the statement says so.
static bool
is_wal(sqlite3 *db, struct store_error *error_out)
{
    sqlite3_stmt *statement = NULL;
    bool is_set = false;
    if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        is_set = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    is_set = is_set && sqlite3_step(statement) == SQLITE_DONE;
    is_set = sqlite3_finalize(statement) == SQLITE_OK && is_set;
    return is_set || fail(db, "no write-ahead log", error_out);
}

// lay_out chooses what a new file has for good. The last of it makes the first page.
static bool
lay_out(sqlite3 *db)
{
    int bytes = PAGE_CHECKSUM_BYTES;
    return sqlite3_exec(db, "PRAGMA page_size = 8192", NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_file_control(db, NULL, SQLITE_FCNTL_RESERVE_BYTES, &bytes) == SQLITE_OK &&
           sqlite3_exec(db, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL) == SQLITE_OK;
}

static bool
has_checksums(sqlite3 *db, struct store_error *error_out)
{
    int bytes = -1; // asks, and sets nothing
    if (sqlite3_file_control(db, NULL, SQLITE_FCNTL_RESERVE_BYTES, &bytes) == SQLITE_OK &&
        bytes == PAGE_CHECKSUM_BYTES)
        return true;
    error_out->result = STORE_FAULT;
    snprintf(error_out->text, sizeof error_out->text,
             "it is no store of Galleon's: its pages have no checksums");
    return false;
}

// The order is that of the handbook, and matters: exclusive before WAL, so that the log's index
// is in memory and nobody else can open; the page size before the first table.
bool
sqlite_schema_set(sqlite3 *db, const struct store_options *options, struct store_error *error_out)
{
    static const char then[] = "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA journal_size_limit = 67108864;"
                               "PRAGMA mmap_size = 0;"
                               "PRAGMA cache_size = -65536;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA busy_timeout = 0;"
                               "PRAGMA secure_delete = OFF;"
                               "PRAGMA foreign_keys = OFF;"
                               "PRAGMA recursive_triggers = OFF;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA cell_size_check = ON;";
    if (sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, "cannot use it", error_out);
    // Of an old file these would write: a store that is refused is left as it was found.
    if (sqlite_schema_number(db, "PRAGMA page_count") == 0 && !lay_out(db))
        return fail(db, "cannot use it", error_out);
    if (!is_wal(db, error_out))
        return false;
    const char *synchronous =
        options->is_relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL";
    if (sqlite3_exec(db, synchronous, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db, then, NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, "cannot set it up", error_out);
    return has_checksums(db, error_out) && is_read_back(db, "page_size", 8192, error_out) &&
           is_read_back(db, "synchronous", options->is_relaxed ? 1 : 2, error_out) &&
           is_read_back(db, "wal_autocheckpoint", 0, error_out) &&
           is_read_back(db, "journal_size_limit", 67108864, error_out) &&
           is_read_back(db, "cache_size", -65536, error_out) &&
           is_read_back(db, "temp_store", 2, error_out) &&
           is_read_back(db, "secure_delete", 0, error_out) &&
           is_read_back(db, "foreign_keys", 0, error_out) &&
           is_read_back(db, "recursive_triggers", 0, error_out) &&
           is_read_back(db, "trusted_schema", 0, error_out) &&
           is_read_back(db, "cell_size_check", 1, error_out);
}

// ---- versions -------------------------------------------------------------------------

int
sqlite_schema_migrate(sqlite3 *db, const struct migration *steps, size_t count, int to)
{
    int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    int64_t version = sqlite_schema_number(db, "PRAGMA user_version");
    if (code == SQLITE_OK && version < 0)
        code =
            sqlite3_extended_errcode(db) != SQLITE_OK ? sqlite3_extended_errcode(db) : SQLITE_ERROR;
    for (size_t at = 0; code == SQLITE_OK && at < count && version < to; at++) {
        if (steps[at].from != version)
            continue;
        char sql[64];
        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", (int)++version);
        code = sqlite3_exec(db, steps[at].sql, NULL, NULL, NULL);
        if (code == SQLITE_OK)
            code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK && version != to)
        code = SQLITE_MISMATCH;
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static const char newer[] = "a newer Galleon made it: its schema is not known here";

static bool
refuse(const char *why, struct store_error *error_out)
{
    error_out->result = STORE_FAULT;
    snprintf(error_out->text, sizeof error_out->text, "%s", why);
    return false;
}

bool
sqlite_schema_is_known(sqlite3 *db, struct store_error *error_out)
{
    int64_t application = sqlite_schema_number(db, "PRAGMA application_id");
    int64_t version = sqlite_schema_number(db, "PRAGMA user_version");
    if (application < 0 || version < 0)
        return fail(db, "cannot read it", error_out);
    if (application != APPLICATION_ID)
        return refuse("it is no store of Galleon's", error_out);
    if (version > SCHEMA_VERSION)
        return refuse(newer, error_out);
    return version == SCHEMA_VERSION ||
           refuse("an older Galleon made it: start titanic on it once", error_out);
}

bool
sqlite_schema_bring(sqlite3 *db, struct store_error *error_out)
{
    int64_t application = sqlite_schema_number(db, "PRAGMA application_id");
    int64_t version = sqlite_schema_number(db, "PRAGMA user_version");
    if (application < 0 || version < 0)
        return fail(db, "cannot read it", error_out);
    if (application == 0 && version == 0 &&
        sqlite_schema_number(db, "SELECT count(*) FROM sqlite_schema") == 0) {
        char sql[64];
        snprintf(sql, sizeof sql, "PRAGMA application_id = %d", APPLICATION_ID);
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
            return fail(db, "cannot write it", error_out);
    } else if (application != APPLICATION_ID) {
        return refuse("it is a database, but no store of Galleon's", error_out);
    }
    if (version > SCHEMA_VERSION)
        return refuse(newer, error_out);
    if (version == SCHEMA_VERSION)
        return true;
    size_t count = sizeof migrations / sizeof *migrations;
    int code = sqlite_schema_migrate(db, migrations, count, SCHEMA_VERSION);
    if (code == SQLITE_OK)
        return true;
    // What the connection says by now is of the rollback.
    sqlite_store_judge(code, error_out);
    snprintf(error_out->text, sizeof error_out->text, "cannot bring its schema up to date: %s",
             sqlite3_errstr(code));
    return false;
}
