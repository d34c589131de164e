// test_store_schema.c - stores that an older Galleon made.

#include "bytes.h"
#include "durable_digest.h"
#include "fault_vfs.h"
#include "page_vfs.h"
#include "sqlite_store.h"
#include "store_check.h"
#include "store_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

// The tables of version 1, as they were.
static const char tables_1[] =
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
    "INSERT INTO tally VALUES (0, 1, 0, 0, 0, 0, zeroblob(32));"
    "PRAGMA application_id = 1195461710; PRAGMA user_version = 1;";

// A pending request that failed twice, one that is done and one that is dead.
static const char requests_1[] =
    "INSERT INTO service VALUES (1, CAST('echo' AS BLOB));"
    "INSERT INTO request SELECT seq, state, 1, rid, x'', NULL, 2, 10, 1000, 2000, 0, 1, 9, "
    "reply, 9 * reply, 0, 0, 3000 * (state > 0), ?1, iif(reply, ?3, NULL), NULL, ?2 FROM ("
    "SELECT 1 AS seq, 0 AS state, 0 AS reply, CAST('aaaaaaaaaaaaaaaa' AS BLOB) AS rid UNION ALL "
    "SELECT 2, 1, 1, CAST('bbbbbbbbbbbbbbbb' AS BLOB) UNION ALL "
    "SELECT 3, 2, 0, CAST('cccccccccccccccc' AS BLOB));";
static const char tallies_1[] = "INSERT INTO tally VALUES (1, 1, 1, 1, 0, 0, NULL);"
                                "UPDATE tally SET a = 4, b = 3000, c = 5, d = 2 WHERE id = 0;";

static void
execute(sqlite3 *db, const char *sql)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        print_error("%s\n", sqlite3_errmsg(db));
    assert_int_equal(code, SQLITE_OK);
}

static void
insert_requests(sqlite3 *db)
{
    struct durable_body *body = rig_body("hello");
    struct durable_digest digest = durable_digest(rig_view("echo"), body);
    struct durable_digest reply_digest = durable_answer_digest(body);
    sqlite3_stmt *insert = NULL;
    const char *rest;
    execute(db, "BEGIN");
    assert_int_equal(sqlite3_prepare_v2(db, requests_1, -1, &insert, &rest), SQLITE_OK);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE); // the service
    sqlite3_finalize(insert);
    assert_int_equal(sqlite3_prepare_v2(db, rest, -1, &insert, NULL), SQLITE_OK);
    sqlite3_bind_blob(insert, 1, digest.bytes, sizeof digest.bytes, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 2, body->data, (int)body->bytes, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 3, reply_digest.bytes, sizeof reply_digest.bytes, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_finalize(insert);
    execute(db, tallies_1);
    execute(db, "COMMIT");
    free(body);
}

// make_version_1 replaces the rig's store by one of version 1.
static void
make_version_1(struct store_rig *rig)
{
    static const char *const ends[] = {"", "-wal", ".anchor", ".fault"};
    sqlite3 *db = NULL;
    int reserve = PAGE_CHECKSUM_BYTES;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (rig->store != NULL)
        store_close(rig->store);
    rig->store = NULL;
    for (size_t at = 0; at < sizeof ends / sizeof *ends; at++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", rig->path, ends[at]);
        unlink(name);
    }
    assert_int_equal(sqlite3_open_v2(rig->path, &db, flags, page_vfs(NULL, false)), SQLITE_OK);
    execute(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 8192");
    sqlite3_file_control(db, NULL, SQLITE_FCNTL_RESERVE_BYTES, &reserve);
    execute(db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL");
    execute(db, tables_1);
    insert_requests(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int
open_rig(void **state)
{
    fault_vfs_start();
    struct store_rig *rig = store_rig_new(store_open_sqlite);
    rig->options.vfs = FAULT_VFS_NAME;
    make_version_1(rig);
    *state = rig;
    return 0;
}

static int
close_rig(void **state)
{
    fault_vfs_start();
    store_rig_free(*state);
    return 0;
}

static void
open_store(struct store_rig *rig)
{
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    if (rig->store == NULL)
        print_error("%s\n", rig->error.text);
    assert_non_null(rig->store);
}

static int64_t
version_of(struct store_rig *rig)
{
    return sqlite_schema_number(sqlite_store_of(rig->store)->db, "PRAGMA user_version");
}

// expect_all: what was in the store of version 1 is there, and lives its first life.
static void
expect_all(struct store_rig *rig)
{
    struct durable_op list = rig_filter(rig, DURABLE_LIST);
    assert_int_equal(rig_apply(rig, &list), DURABLE_OK);
    assert_int_equal(list.found->count, 3);
    for (size_t at = 0; at < 3; at++) {
        const struct durable_row *row = &list.found->rows[at];
        assert_int_equal(row->seq, at + 1);
        assert_int_equal(row->state, at);
        assert_int_equal(row->life, 0);
        assert_int_equal(row->attempts, 2);
        assert_int_equal(row->bytes, 5);
    }
    store_rows_free(list.found);
    struct durable_op load = rig_load(rig, "echo", 10);
    assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
    assert_int_equal(load.found->count, 1);
    assert_true(rig_is(load.found->rows[0].body, "hello"));
    store_rows_free(load.found);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, (struct request_id){{0}});
    memset(fetch.id.bytes, 'b', sizeof fetch.id.bytes);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    assert_true(rig_is(fetch.reply, "hello"));
    free(fetch.reply);
}

static void
store_of_version_1_is_brought_up_to_date(void **state)
{
    struct store_rig *rig = *state;
    open_store(rig);
    assert_int_equal(version_of(rig), SCHEMA_VERSION);
    expect_all(rig);
    struct durable_op failed = rig_by_seq(rig, DURABLE_FAILED, 1);
    failed.attempts = 3;
    failed.due_ms = rig->now_ms;
    assert_int_equal(rig_apply(rig, &failed), DURABLE_OK);
    struct durable_op retry = rig_filter(rig, DURABLE_RETRY);
    assert_int_equal(rig_apply(rig, &retry), DURABLE_OK);
    assert_int_equal(retry.found->count, 1);
    store_rows_free(retry.found);
    struct durable_op kill = rig_by_seq(rig, DURABLE_KILL, 3);
    assert_int_equal(rig_apply(rig, &kill), DURABLE_NONE);
    rig_accept(rig, "echo", "more");
    store_rig_reopen(rig);
    assert_int_equal(version_of(rig), SCHEMA_VERSION);
    kill.life = 1;
    assert_int_equal(rig_apply(rig, &kill), DURABLE_OK);
}

static void
store_that_was_brought_up_to_date_is_whole(void **state)
{
    struct store_rig *rig = *state;
    struct store_contents contents;
    assert_null(store_check_open(rig->path, &rig->error)); // not before
    assert_non_null(strstr(rig->error.text, "older"));
    open_store(rig);
    store_close(rig->store);
    rig->store = NULL;
    struct store_check *check = store_check_open(rig->path, &rig->error);
    assert_non_null(check);
    store_check_contents(check, &contents);
    assert_true(contents.is_whole);
    assert_int_equal(contents.digests, 3);
    store_check_close(&check);
}

// What fails while it is brought up to date leaves it as it was, or as it is to be.
static void
every_call_may_fail_on_the_way(void **state)
{
    static const struct {
        enum fault_call call;
        int code;
    } kinds[] = {{FAULT_WRITE, SQLITE_IOERR_WRITE},
                 {FAULT_WRITE, SQLITE_FULL},
                 {FAULT_SYNC, SQLITE_IOERR_FSYNC},
                 {FAULT_MALLOC, SQLITE_NOMEM}};
    struct store_rig *rig = *state;
    unsigned refused = 0;
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        enum fault_call call = kinds[kind].call;
        for (uint64_t at = 1; rig->store == NULL; at += call == FAULT_MALLOC ? 29 : 1) {
            fault_vfs_start();
            fault_plan.fail_at[call] = fault_vfs_count(call) + at;
            fault_plan.code[call] = kinds[kind].code;
            rig->store = store_open_sqlite(&rig->options, &rig->error);
            bool was_hit = fault_vfs_count(call) >= fault_plan.fail_at[call];
            bool is_disk = (kinds[kind].code & 0xff) == SQLITE_IOERR;
            if (rig->store == NULL) {
                assert_int_equal(rig->error.result, STORE_DOUBT);
                assert_int_equal(rig->error.is_storage, is_disk);
                refused++;
            }
            fault_vfs_start();
            if (rig->store != NULL && was_hit) { // it was not in the way
                store_close(rig->store);
                rig->store = NULL;
            }
            if (!was_hit)
                break;
            open_store(rig);
            assert_int_equal(version_of(rig), SCHEMA_VERSION);
            expect_all(rig);
            make_version_1(rig);
        }
        make_version_1(rig);
    }
    assert_true(refused > 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(store_of_version_1_is_brought_up_to_date, open_rig,
                                        close_rig),
        cmocka_unit_test_setup_teardown(store_that_was_brought_up_to_date_is_whole, open_rig,
                                        close_rig),
        cmocka_unit_test_setup_teardown(every_call_may_fail_on_the_way, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
