// test_store_sqlite.c - what only a store on a disk does: settings, locks, faults, damage.

#include "fault_vfs.h"
#include "page_vfs.h"
#include "sqlite_store.h"
#include "store_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium/core.h>
#include <sodium/crypto_sign_ed25519.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int
open_rig(void **state)
{
    fault_vfs_start();
    *state = store_rig_new(store_open_sqlite);
    return 0;
}

// The same on the file layer that fails on request.
static int
open_fault_rig(void **state)
{
    open_rig(state);
    struct store_rig *rig = *state;
    rig->options.vfs = FAULT_VFS_NAME;
    rig->options.has_audit = true;
    store_rig_reopen(rig);
    return 0;
}

static int
close_rig(void **state)
{
    fault_vfs_start();
    store_rig_free(*state);
    return 0;
}

static sqlite3 *
db_of(struct store_rig *rig)
{
    return sqlite_store_of(rig->store)->db;
}

static void
expect_not_opened(struct store_rig *rig, enum store_result result, const char *part)
{
    struct store *store = store_open_sqlite(&rig->options, &rig->error);
    assert_null(store);
    assert_int_equal(rig->error.result, result);
    if (strstr(rig->error.text, part) == NULL)
        print_error("not \"%s\" but \"%s\"\n", part, rig->error.text);
    assert_non_null(strstr(rig->error.text, part));
}

// crash ends the store as kill -9 would: the files stay as they are, and the lock goes.
static void
crash(struct store_rig *rig)
{
    struct sqlite_store *store = sqlite_store_of(rig->store);
    store->wrong = STORE_DOUBT; // so that closing writes nothing
    store_close(rig->store);
    rig->store = NULL;
}

static void
name_file(const struct store_rig *rig, const char *end, char name[256])
{
    snprintf(name, 256, "%s%s", rig->path, end);
}

// ---- settings ----------------------------------------------------------------------------

static void
settings_read_back(void **state)
{
    sqlite3 *db = db_of(((struct store_rig *)*state));
    assert_int_equal(sqlite_schema_number(db, "PRAGMA page_size"), 8192);
    assert_int_equal(sqlite_schema_number(db, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(sqlite_schema_number(db, "PRAGMA synchronous"), 2);
    assert_int_equal(sqlite_schema_number(db, "PRAGMA wal_autocheckpoint"), 0);
    assert_int_equal(sqlite_schema_number(db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(sqlite_schema_number(db, "PRAGMA user_version"), SCHEMA_VERSION);
    assert_int_equal(
        sqlite_schema_number(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(
        sqlite_schema_number(db, "SELECT locking_mode = 'exclusive' FROM pragma_locking_mode"), 1);
}

static void
relaxed_store_says_so(void **state)
{
    struct store_rig *rig = *state;
    struct store_info info;
    rig->options.is_relaxed = true;
    store_rig_reopen(rig);
    assert_int_equal(sqlite_schema_number(db_of(rig), "PRAGMA synchronous"), 1);
    store_info(rig->store, &info);
    assert_true(info.is_relaxed);
}

static bool
plan_has(sqlite3 *db, const char *sql, const char *part)
{
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *plan = NULL;
    bool has_part = false, has_sort = false;
    assert_int_equal(sqlite3_prepare_v2(db, explain, -1, &plan, NULL), SQLITE_OK);
    while (sqlite3_step(plan) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(plan, 3);
        has_part = has_part || strstr(text, part) != NULL;
        has_sort = has_sort || strstr(text, "TEMP B-TREE") != NULL;
    }
    sqlite3_finalize(plan);
    sqlite3_free(explain);
    return has_part && !has_sort;
}

static void
nothing_is_sorted_or_searched_in_vain(void **state)
{
    struct store_rig *rig = *state;
    const struct sqlite_store *store = sqlite_store_of(rig->store);
    static const struct {
        enum statement which;
        const char *part;
    } wanted[] = {
        {STATEMENT_LOAD, "INDEX queue (service=? AND due_ms>? AND due_ms<?)"},
        {STATEMENT_NEXT_DUE, "INDEX queue (service=? AND due_ms>?)"},
        {STATEMENT_FIRST_DUE, "INDEX queue (service=?)"},
        {STATEMENT_OVERDUE, "INDEX deadline (deadline_ms>? AND deadline_ms<?)"},
        {STATEMENT_NEXT_DEADLINE, "INDEX deadline (deadline_ms>?)"},
        {STATEMENT_FIND_KEY, "INDEX ikey (owner=? AND ikey=?)"},
        {STATEMENT_FIND_ID, "INDEX rid (rid=?)"},
        {STATEMENT_SCAN, "PRIMARY KEY (rowid>?)"},
        {STATEMENT_SCAN_ENDED, "INDEX ended (seq>?)"},
    };
    for (size_t at = 0; at < sizeof wanted / sizeof *wanted; at++) {
        const char *sql = sqlite3_sql(store->statements[wanted[at].which]);
        if (!plan_has(store->db, sql, wanted[at].part))
            print_error("%s\n", sql);
        assert_true(plan_has(store->db, sql, wanted[at].part));
    }
}

// ---- who may open ------------------------------------------------------------------------

static void
second_instance_is_refused_with_the_pid_of_the_first(void **state)
{
    struct store_rig *rig = *state;
    expect_not_opened(rig, STORE_DOUBT, "in use");
    assert_true(rig->error.is_locked);
    assert_int_equal(rig->error.pid, getpid());
}

static bool
goes_on(void *context)
{
    struct store_rig *rig = context;
    rig->ids++;
    if (rig->ids == 3) { // the first one ends
        store_close(rig->store);
        rig->store = NULL;
    }
    return rig->ids < 100;
}

static void
standby_waits_until_the_first_ends(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    rig_accept_id(rig, "echo", "hello", &id);
    rig->ids = 0;
    rig->options.waits_for_lock = true;
    rig->options.goes_on_waiting = goes_on;
    rig->options.context = rig;
    struct store *second = store_open_sqlite(&rig->options, &rig->error);
    assert_non_null(second);
    assert_int_equal(rig->ids, 3);
    rig->store = second;
    assert_int_equal(rig_close(rig, id), DURABLE_OK);
}

static void
execute(const struct store_rig *rig, const char *sql)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    assert_int_equal(sqlite3_open_v2(rig->path, &db, flags, page_vfs(NULL, false)), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void
newer_schema_is_refused(void **state)
{
    struct store_rig *rig = *state;
    store_close(rig->store);
    rig->store = NULL;
    execute(rig, "PRAGMA user_version = 1000");
    expect_not_opened(rig, STORE_FAULT, "newer");
}

static void
other_databases_are_left_alone(void **state)
{
    struct store_rig *rig = *state;
    store_close(rig->store);
    rig->store = NULL;
    unlink(rig->path);
    execute(rig, "CREATE TABLE mine (x)");
    expect_not_opened(rig, STORE_FAULT, "");
}

static void
older_schema_is_migrated_or_left_as_it_was(void **state)
{
    (void)state;
    static const struct migration steps[] = {
        {0, "CREATE TABLE a (x); INSERT INTO a VALUES (7);"},
        {1, "CREATE TABLE b (y); INSERT INTO b SELECT x + 1 FROM a;"},
        {2, "DROP TABLE a; DROP TABLE nobody;"},
    };
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite_schema_migrate(db, steps, 1, 1), SQLITE_OK);
    assert_int_equal(sqlite_schema_migrate(db, steps, 2, 2), SQLITE_OK);
    assert_int_equal(sqlite_schema_number(db, "SELECT y FROM b"), 8);
    assert_int_equal(sqlite_schema_number(db, "PRAGMA user_version"), 2);
    assert_int_not_equal(sqlite_schema_migrate(db, steps, 3, 3), SQLITE_OK);
    assert_int_equal(sqlite_schema_number(db, "SELECT x FROM a"), 7);
    assert_int_equal(sqlite_schema_number(db, "PRAGMA user_version"), 2);
    sqlite3_close(db);
}

// ---- restarts ----------------------------------------------------------------------------

static void
everything_is_there_after_a_crash(void **state)
{
    struct store_rig *rig = *state;
    struct request_id pending, done;
    rig_accept_id(rig, "echo", "hello", &pending);
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &done);
    rig_answer(rig, seq, "world");
    crash(rig);
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    assert_non_null(rig->store);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, done);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    assert_true(rig_is(fetch.reply, "world"));
    free(fetch.reply);
    fetch = rig_by_id(rig, DURABLE_FETCH, pending);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    assert_int_equal(fetch.state, DURABLE_PENDING);
    struct store_info info;
    store_info(rig->store, &info);
    assert_int_equal(info.pending, 1);
    assert_int_equal(info.done, 1);
    assert_true(rig_accept(rig, "echo", "more") > seq);
}

static void
clock_never_goes_back(void **state)
{
    struct store_rig *rig = *state;
    struct store_info info;
    rig->now_ms += 5000;
    rig_accept(rig, "echo", "hello");
    uint64_t before_ms = rig->now_ms;
    rig->now_ms -= 3600 * 1000;
    store_rig_reopen(rig);
    store_info(rig->store, &info);
    assert_int_equal(info.clock_ms, before_ms);
}

static void
nothing_is_dropped_early_when_the_clock_was_set_back(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    rig_answer(rig, rig_accept_id(rig, "echo", "x", &id), "y");
    rig->now_ms -= 100 * rig->options.retain_ms;
    store_rig_reopen(rig);
    rig_idle(rig);
    rig->now_ms += 100 * rig->options.retain_ms;
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    free(fetch.reply);
}

// ---- faults ------------------------------------------------------------------------------

static enum store_result
try_submit(struct store_rig *rig, struct durable_op *op)
{
    struct durable_body *body = rig_body("hello");
    *op = rig_submit(rig, "echo", body);
    struct durable_op *one = op;
    enum store_result result = store_apply(rig->store, &one, 1);
    free(body);
    return result;
}

static void
failed_sync_is_doubt_and_the_end(void **state)
{
    struct store_rig *rig = *state;
    struct request_id before;
    struct durable_op op;
    rig_accept_id(rig, "echo", "hello", &before);
    fault_plan.fail_at[FAULT_SYNC] = fault_vfs_count(FAULT_SYNC) + 1;
    fault_plan.code[FAULT_SYNC] = SQLITE_IOERR_FSYNC;
    assert_int_equal(try_submit(rig, &op), STORE_DOUBT);
    assert_int_equal(op.outcome, DURABLE_REFUSED);
    uint64_t syncs = fault_vfs_count(FAULT_SYNC);
    assert_int_equal(try_submit(rig, &op), STORE_DOUBT); // though a sync would succeed now
    bool has_more;
    assert_int_equal(store_idle(rig->store, rig->now_ms, &has_more), STORE_DOUBT);
    assert_int_equal(store_anchor(rig->store), STORE_DOUBT);
    store_rig_reopen(rig); // closing did not sync either
    assert_true(fault_vfs_count(FAULT_SYNC) <= syncs + 8);
    assert_int_equal(rig_close(rig, before), DURABLE_OK);
}

static void
second_fault_in_ten_minutes_needs_an_operator(void **state)
{
    struct store_rig *rig = *state;
    struct durable_op op;
    char note[256];
    for (int time = 0; time < 2; time++) {
        fault_plan.fail_at[FAULT_SYNC] = fault_vfs_count(FAULT_SYNC) + 1;
        fault_plan.code[FAULT_SYNC] = SQLITE_IOERR_FSYNC;
        assert_int_equal(try_submit(rig, &op), STORE_DOUBT);
        rig->now_ms += 60 * 1000;
        if (time == 0)
            store_rig_reopen(rig);
    }
    store_close(rig->store);
    rig->store = NULL;
    expect_not_opened(rig, STORE_FAULT, "twice within ten minutes");
    name_file(rig, ".fault", note);
    assert_int_equal(unlink(note), 0);
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    assert_non_null(rig->store);
}

static void
fault_an_hour_later_is_another_first_one(void **state)
{
    struct store_rig *rig = *state;
    struct durable_op op;
    for (int time = 0; time < 3; time++) {
        fault_plan.fail_at[FAULT_SYNC] = fault_vfs_count(FAULT_SYNC) + 1;
        fault_plan.code[FAULT_SYNC] = SQLITE_IOERR_FSYNC;
        assert_int_equal(try_submit(rig, &op), STORE_DOUBT);
        rig->now_ms += 3600 * 1000;
        store_rig_reopen(rig);
    }
}

static void
full_disk_refuses_the_batch_and_then_closes_fit(void **state)
{
    struct store_rig *rig = *state;
    struct request_id ids[40];
    struct durable_op op;
    char *large = malloc(50001);
    memset(large, 'x', 50000);
    large[50000] = '\0';
    for (int at = 0; at < 40; at++)
        rig_accept_id(rig, "echo", large, &ids[at]);
    free(large);
    char name[256];
    struct stat log;
    name_file(rig, "-wal", name);
    assert_int_equal(stat(name, &log), 0);
    fault_plan.bytes_max = (uint64_t)log.st_size;
    struct durable_body *body = rig_body("hello");
    enum store_result result;
    do { // what is left of the last page's place
        op = rig_submit(rig, "echo", body);
        struct durable_op *one = &op;
        result = store_apply(rig->store, &one, 1);
    } while (result == STORE_COMMITTED);
    free(body);
    assert_int_equal(result, STORE_FULL);
    assert_int_equal(op.outcome, DURABLE_REFUSED);
    struct store_info info;
    store_info(rig->store, &info);
    uint64_t pending = info.pending;
    // What is new is refused without trying; as soon as a checkpoint makes room, closes fit.
    assert_int_equal(try_submit(rig, &op), STORE_COMMITTED);
    assert_int_equal(op.outcome, DURABLE_REFUSED);
    fault_plan.bytes_max += 256 * 1024; // the ballast
    bool has_more;
    for (int at = 0; at < 40; at++) {
        assert_int_equal(store_idle(rig->store, rig->now_ms, &has_more), STORE_COMMITTED);
        assert_int_equal(rig_close(rig, ids[at]), DURABLE_OK);
    }
    store_info(rig->store, &info);
    assert_int_equal(info.pending, pending - 40);
    fault_vfs_start();
    rig_idle(rig);
    assert_int_equal(try_submit(rig, &op), STORE_COMMITTED);
    assert_int_equal(op.outcome, DURABLE_OK);
}

static void
read_only_store_still_serves_answers(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    struct durable_op op;
    rig_answer(rig, rig_accept_id(rig, "echo", "hello", &id), "world");
    fault_plan.is_read_only = true;
    assert_int_equal(try_submit(rig, &op), STORE_FAULT);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    assert_true(rig_is(fetch.reply, "world"));
    free(fetch.reply);
    assert_int_equal(try_submit(rig, &op), STORE_FAULT);
}

// Every write and every sync of a little life fails in turn: nothing that was said to be
// committed may be gone afterwards, and what was not may be there only whole.
static void
live_with_fault(struct store_rig *rig, enum fault_call call, int code, uint64_t at, bool for_ever,
                bool *was_hit_out)
{
    struct request_id ids[8];
    bool accepted[8] = {false}, answered[8] = {false};
    fault_plan.fail_at[call] = fault_vfs_count(call) + at;
    fault_plan.code[call] = code;
    fault_plan.for_ever = for_ever;
    bool has_more;
    for (int i = 0; i < 8; i++) {
        struct durable_op op;
        accepted[i] = try_submit(rig, &op) == STORE_COMMITTED && op.outcome == DURABLE_OK;
        ids[i] = op.id;
        if (accepted[i]) {
            struct durable_body *body = rig_body("world");
            struct durable_op answer = rig_by_seq(rig, DURABLE_ANSWER, op.seq);
            struct durable_op *one = &answer;
            answer.body = body;
            answered[i] = store_apply(rig->store, &one, 1) == STORE_COMMITTED;
            free(body);
        }
        sqlite_store_of(rig->store)->log_pages = 100000; // so that there is a checkpoint
        store_idle(rig->store, rig->now_ms, &has_more);
    }
    *was_hit_out = fault_vfs_count(call) >= fault_plan.fail_at[call];
    fault_vfs_start();
    rig->now_ms += 3600 * 1000; // so that no two notes are of ten minutes
    store_rig_reopen(rig);
    for (int i = 0; i < 8; i++) {
        struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, ids[i]);
        enum durable_outcome outcome = rig_apply(rig, &fetch);
        assert_true(!accepted[i] || outcome == DURABLE_OK);
        assert_true(!answered[i] || fetch.state == DURABLE_DONE);
        assert_true(outcome != DURABLE_OK || fetch.state != DURABLE_DONE ||
                    rig_is(fetch.reply, "world"));
        free(fetch.reply);
    }
    assert_int_equal(sqlite_schema_number(db_of(rig), "SELECT count(*) = (SELECT total(a + b + c + "
                                                      "d + e) FROM tally WHERE id > 0) FROM "
                                                      "request"),
                     1);
}

static void
lack_of_memory_refuses_one_batch(void **state)
{
    struct store_rig *rig = *state;
    struct durable_op op;
    unsigned refused = 0;
    for (uint64_t at = 1; at < 60; at++) {
        fault_plan.fail_at[FAULT_MALLOC] = fault_vfs_count(FAULT_MALLOC) + at;
        fault_plan.code[FAULT_MALLOC] = SQLITE_NOMEM;
        enum store_result result = try_submit(rig, &op);
        assert_true(result == STORE_COMMITTED || result == STORE_RETRY);
        assert_true(result == STORE_COMMITTED || op.outcome == DURABLE_REFUSED);
        refused += result == STORE_RETRY;
        fault_plan.fail_at[FAULT_MALLOC] = 0;
        assert_int_equal(try_submit(rig, &op), STORE_COMMITTED);
        assert_int_equal(op.outcome, DURABLE_OK);
    }
    assert_true(refused > 5);
}

static void
failing_open_leaves_nothing_behind(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    rig_accept_id(rig, "echo", "hello", &id);
    store_close(rig->store);
    rig->store = NULL;
    for (uint64_t at = 1; rig->store == NULL; at += 7) {
        assert_true(at < 5000);
        fault_plan.fail_at[FAULT_MALLOC] = fault_vfs_count(FAULT_MALLOC) + at;
        fault_plan.code[FAULT_MALLOC] = SQLITE_NOMEM;
        rig->store = store_open_sqlite(&rig->options, &rig->error);
        assert_true(rig->store != NULL || rig->error.result == STORE_DOUBT);
    }
    fault_vfs_start();
    assert_int_equal(rig_close(rig, id), DURABLE_OK);
}

static void
remove_store(struct store_rig *rig)
{
    static const char *const ends[] = {"", "-wal", "-journal", ".anchor", ".fault"};
    if (rig->store != NULL)
        store_close(rig->store);
    rig->store = NULL;
    for (size_t at = 0; at < sizeof ends / sizeof *ends; at++) {
        char name[sizeof rig->path + 16];
        snprintf(name, sizeof name, "%s%s", rig->path, ends[at]);
        unlink(name);
    }
}

// What a store promises rests on its log: one whose making failed half-way has to say so.
static void
new_store_has_its_log_or_is_none(void **state)
{
    struct store_rig *rig = *state;
    char log[sizeof rig->path + 16];
    snprintf(log, sizeof log, "%s-wal", rig->path);
    for (int call = FAULT_WRITE; call <= FAULT_SYNC; call++) {
        bool was_hit = true;
        unsigned refused = 0;
        for (uint64_t at = 1; was_hit; at++) {
            remove_store(rig);
            fault_plan.fail_at[call] = at;
            fault_plan.code[call] = call == FAULT_WRITE ? SQLITE_IOERR_WRITE : SQLITE_IOERR_FSYNC;
            rig->store = store_open_sqlite(&rig->options, &rig->error);
            was_hit = fault_vfs_count((enum fault_call)call) >= at;
            refused += rig->store == NULL;
            fault_vfs_start();
            if (rig->store == NULL)
                continue;
            struct durable_op op;
            assert_int_equal(try_submit(rig, &op), STORE_COMMITTED);
            assert_int_equal(access(log, F_OK), 0);
        }
        assert_true(refused > 0);
    }
}

static void
every_call_may_fail(void **state)
{
    static const struct {
        enum fault_call call;
        int code;
    } kinds[] = {{FAULT_WRITE, SQLITE_IOERR_WRITE},
                 {FAULT_WRITE, SQLITE_FULL},
                 {FAULT_SYNC, SQLITE_IOERR_FSYNC},
                 {FAULT_READ, SQLITE_IOERR_READ},
                 {FAULT_MALLOC, SQLITE_NOMEM}};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            bool was_hit = true;
            uint64_t step = getenv("GALLEON_LONG") != NULL ? 1 : 5;
            for (uint64_t at = 1; was_hit && at < 400; at += step)
                live_with_fault(*state, kinds[kind].call, kinds[kind].code, at, for_ever == 1,
                                &was_hit);
        }
    }
}

// ---- damage ------------------------------------------------------------------------------

static void
flip(const char *name, off_t at, int bit)
{
    uint8_t byte;
    int fd = open(name, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1 << bit);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

// Bits anywhere in the database flip while it is closed. What comes then is what was stored,
// or a refusal: never something else, and never "unknown".
static void
flip_and_look(struct store_rig *rig, const struct request_id *done, const struct request_id *waits,
              off_t at, int bit, unsigned *refused)
{
    flip(rig->path, at, bit);
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    if (rig->store == NULL) {
        assert_int_equal(rig->error.result, STORE_FAULT);
        *refused += 1;
    } else {
        struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, *done);
        struct durable_op look = rig_by_id(rig, DURABLE_FETCH, *waits);
        struct durable_op load = rig_load(rig, "echo", 1000);
        struct durable_op *ops[] = {&fetch, &look, &load};
        for (int op = 0; op < 3; op++) {
            enum store_result result = store_apply(rig->store, &ops[op], 1);
            assert_true(result == STORE_COMMITTED || result == STORE_FAULT);
            *refused += result == STORE_FAULT;
            assert_true(result == STORE_FAULT || ops[op]->outcome == DURABLE_OK ||
                        ops[op]->outcome == DURABLE_DAMAGED);
        }
        assert_true(fetch.outcome != DURABLE_OK || rig_is(fetch.reply, "this is the answer"));
        assert_true(look.outcome != DURABLE_OK || look.state == DURABLE_PENDING);
        assert_true(load.outcome != DURABLE_OK || load.found->count == 30);
        free(fetch.reply);
        store_rows_free(load.found);
        crash(rig);
    }
    rig->store = NULL;
    flip(rig->path, at, bit);
    char note[256];
    name_file(rig, ".fault", note);
    unlink(note);
    name_file(rig, "-wal", note);
    unlink(note);
}

static void
flipped_bits_never_lie(void **state)
{
    struct store_rig *rig = *state;
    struct request_id done, waits;
    struct stat file;
    for (int at = 0; at < 30; at++)
        rig_accept_id(rig, "echo", "this is the request", &waits);
    rig_answer(rig, rig_accept_id(rig, "done", "something", &done), "this is the answer");
    store_close(rig->store);
    rig->store = NULL;
    assert_int_equal(stat(rig->path, &file), 0);
    unsigned refused = 0;
    off_t step = getenv("GALLEON_LONG") != NULL ? 7 : 331;
    for (off_t at = 0; at < file.st_size; at += step)
        flip_and_look(rig, &done, &waits, at, (int)(at % 8), &refused);
    assert_true(refused > 20);
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    assert_non_null(rig->store);
}

// Where the page says that it is right all the same, the digest of a body says that it is not.
static void
body_that_is_not_its_digests_is_not_given_out(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    rig_accept(rig, "echo", "this is the request");
    rig_answer(rig, rig_accept_id(rig, "done", "something", &id), "this is the answer");
    assert_int_equal(sqlite3_exec(db_of(rig),
                                  "UPDATE request SET body = CAST(substr(body, 1, 9) || 'X' || "
                                  "substr(body, 11) AS BLOB)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    struct durable_op load = rig_load(rig, "echo", 10);
    assert_int_equal(rig_apply(rig, &load), DURABLE_DAMAGED);
    assert_int_equal(load.found->count, 1);
    assert_null(load.found->rows[0].body);
    store_rows_free(load.found);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_DAMAGED);
    assert_null(fetch.reply);
}

static void
lost_end_of_the_log_is_noticed_by_the_anchor(void **state)
{
    struct store_rig *rig = *state;
    char name[256];
    for (int audit = 0; audit < 2; audit++) {
        rig->options.has_audit = audit == 1;
        store_rig_reopen(rig);
        for (int at = 0; at < 5; at++)
            rig_accept(rig, "echo", "hello");
        assert_int_equal(store_anchor(rig->store), STORE_COMMITTED);
        name_file(rig, "-wal", name);
        struct stat log;
        assert_int_equal(stat(name, &log), 0);
        crash(rig);
        flip(name, log.st_size - 100, 3); // in the last frame: SQLite drops it without a word
        expect_not_opened(rig, STORE_FAULT, "acknowledged data missing");
        flip(name, log.st_size - 100, 3);
        rig->store = store_open_sqlite(&rig->options, &rig->error);
        if (rig->store == NULL)
            print_error("%s\n", rig->error.text);
        assert_non_null(rig->store);
    }
}

static void
older_copy_of_the_store_is_refused(void **state)
{
    struct store_rig *rig = *state;
    char command[600];
    rig->options.has_audit = true;
    store_rig_reopen(rig);
    rig_accept(rig, "echo", "hello");
    store_close(rig->store);
    snprintf(command, sizeof command, "cp %s %s.old", rig->path, rig->path);
    assert_int_equal(system(command), 0);
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    rig_accept(rig, "echo", "hello");
    store_close(rig->store);
    rig->store = NULL;
    snprintf(command, sizeof command, "mv %s.old %s", rig->path, rig->path);
    assert_int_equal(system(command), 0);
    expect_not_opened(rig, STORE_FAULT, "acknowledged data missing");
}

static void
changed_audit_record_is_found(void **state)
{
    struct store_rig *rig = *state;
    rig->options.has_audit = true;
    store_rig_reopen(rig);
    for (int at = 0; at < 20; at++)
        rig_accept(rig, "echo", "hello");
    struct sqlite_store *store = sqlite_store_of(rig->store);
    for (int changed = 0; changed < 2; changed++) {
        struct audit_head head;
        uint64_t n = 0;
        bool is_whole = true;
        sqlite3_stmt *read = NULL;
        audit_head_start(&head, view_of(store->store_id, AUDIT_STORE_ID_BYTES));
        assert_int_equal(sqlite3_prepare_v2(store->db, "SELECT records FROM audit ORDER BY upto",
                                            -1, &read, NULL),
                         SQLITE_OK);
        while (is_whole && sqlite3_step(read) == SQLITE_ROW)
            is_whole = audit_head_walk(
                &head, &n,
                view_of(sqlite3_column_blob(read, 0), (size_t)sqlite3_column_bytes(read, 0)));
        sqlite3_finalize(read);
        bool is_right =
            is_whole && memcmp(&head, &store->committed.head, sizeof head) == 0 && n == 20;
        assert_true(is_right == (changed == 0));
        assert_int_equal(sqlite3_exec(store->db,
                                      "UPDATE audit SET records = CAST(substr(records, 1, 30) || "
                                      "x'77' || substr(records, 32) AS BLOB) WHERE upto = 7",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
    }
}

static void
submit_many(struct store_rig *rig, size_t count)
{
    struct durable_body *body = rig_body("hello");
    struct durable_op *ops = calloc(count, sizeof *ops);
    struct durable_op **order = calloc(count, sizeof(struct durable_op *));
    for (size_t at = 0; at < count; at++) {
        ops[at] = rig_submit(rig, "echo", body);
        order[at] = &ops[at];
    }
    assert_int_equal(store_apply(rig->store, order, count), STORE_COMMITTED);
    free(order);
    free(ops);
    free(body);
}

// count_signatures walks the chain as whoever verifies it will, and expects each signature in
// it to be right.
static unsigned
count_signatures(struct sqlite_store *store, const uint8_t *public_key)
{
    struct view store_id = view_of(store->store_id, AUDIT_STORE_ID_BYTES);
    struct audit_head head;
    uint64_t n = 0;
    unsigned count = 0;
    sqlite3_stmt *read = NULL;
    static const char sql[] = "SELECT records, signature FROM audit ORDER BY upto";
    assert_int_equal(sqlite3_prepare_v2(store->db, sql, -1, &read, NULL), SQLITE_OK);
    audit_head_start(&head, store_id);
    while (sqlite3_step(read) == SQLITE_ROW) {
        const void *records = sqlite3_column_blob(read, 0), *signature;
        uint8_t text[AUDIT_SIGNED_BYTES];
        assert_true(
            audit_head_walk(&head, &n, view_of(records, (size_t)sqlite3_column_bytes(read, 0))));
        signature = sqlite3_column_blob(read, 1);
        if (signature == NULL)
            continue;
        audit_to_sign(store_id, n, &head, text);
        assert_int_equal(
            crypto_sign_ed25519_verify_detached(signature, text, sizeof text, public_key), 0);
        count++;
    }
    sqlite3_finalize(read);
    return count;
}

static void
room_that_is_asked_for_is_wanted(void **state)
{
    struct store_rig *rig = *state;
    struct store_info info;
    store_info(rig->store, &info);
    assert_true(info.has_room);
    uint64_t seq = rig_accept(rig, "echo", "hello");
    rig->options.free_bytes_min = (uint64_t)1 << 60;
    store_rig_reopen(rig);
    store_info(rig->store, &info);
    assert_false(info.has_room);
    struct durable_body *body = rig_body("hello");
    struct durable_op submit = rig_submit(rig, "echo", body);
    assert_int_equal(rig_apply(rig, &submit), DURABLE_REFUSED);
    free(body);
    // What ends a request goes on.
    assert_int_equal(rig_answer(rig, seq, "hello"), DURABLE_OK);
}

static void
chain_is_signed_now_and_then(void **state)
{
    struct store_rig *rig = *state;
    uint8_t public_key[crypto_sign_ed25519_PUBLICKEYBYTES], secret_key[STORE_KEY_BYTES];
    assert_true(sodium_init() >= 0);
    crypto_sign_ed25519_keypair(public_key, secret_key);
    rig->options.has_audit = true;
    rig->options.audit_key = secret_key;
    store_rig_reopen(rig);
    for (int batch = 0; batch < 11; batch++) // with the first, the sixth and the last
        submit_many(rig, 1000);
    assert_int_equal(count_signatures(sqlite_store_of(rig->store), public_key), 3);
}

static void
room_of_what_is_gone_is_given_back(void **state)
{
    struct store_rig *rig = *state;
    struct request_id ids[600];
    struct store_info before, after;
    char *large = malloc(60001);
    memset(large, 'x', 60000);
    large[60000] = '\0';
    for (int at = 0; at < 600; at++)
        rig_accept_id(rig, "echo", large, &ids[at]);
    free(large);
    rig_idle(rig);
    store_info(rig->store, &before);
    for (int at = 0; at < 600; at++)
        assert_int_equal(rig_close(rig, ids[at]), DURABLE_OK);
    rig_idle(rig);
    store_rig_reopen(rig);
    store_info(rig->store, &after);
    assert_true(after.file_bytes < before.file_bytes / 4 * 3);
}

// A key that holds its time is refused by the store's clock once what kept it is swept; so that
// clock must not fall behind the sweep, whatever the wall's says then.
static void
clock_is_never_behind_a_sweep(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    struct store_info info;
    rig_answer(rig, rig_accept_id(rig, "echo", "hello", &id), "done");
    uint64_t before_ms = rig->now_ms;
    rig->now_ms += 2 * rig->options.retain_ms;
    uint64_t swept_ms = rig->now_ms;
    rig_idle(rig);
    rig->now_ms = before_ms;
    store_rig_reopen(rig);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_NONE);
    store_info(rig->store, &info);
    assert_true(info.clock_ms >= swept_ms);
}

#define ON(test)        cmocka_unit_test_setup_teardown(test, open_rig, close_rig)
#define ON_FAULTS(test) cmocka_unit_test_setup_teardown(test, open_fault_rig, close_rig)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ON(settings_read_back),
        ON(clock_is_never_behind_a_sweep),
        ON(relaxed_store_says_so),
        ON(nothing_is_sorted_or_searched_in_vain),
        ON(second_instance_is_refused_with_the_pid_of_the_first),
        ON(standby_waits_until_the_first_ends),
        ON(newer_schema_is_refused),
        ON(other_databases_are_left_alone),
        cmocka_unit_test(older_schema_is_migrated_or_left_as_it_was),
        ON(everything_is_there_after_a_crash),
        ON(clock_never_goes_back),
        ON(nothing_is_dropped_early_when_the_clock_was_set_back),
        ON_FAULTS(failed_sync_is_doubt_and_the_end),
        ON_FAULTS(second_fault_in_ten_minutes_needs_an_operator),
        ON_FAULTS(fault_an_hour_later_is_another_first_one),
        ON_FAULTS(full_disk_refuses_the_batch_and_then_closes_fit),
        ON_FAULTS(read_only_store_still_serves_answers),
        ON_FAULTS(every_call_may_fail),
        ON_FAULTS(lack_of_memory_refuses_one_batch),
        ON_FAULTS(failing_open_leaves_nothing_behind),
        ON_FAULTS(new_store_has_its_log_or_is_none),
        ON(flipped_bits_never_lie),
        ON(body_that_is_not_its_digests_is_not_given_out),
        ON(lost_end_of_the_log_is_noticed_by_the_anchor),
        ON(older_copy_of_the_store_is_refused),
        ON(changed_audit_record_is_found),
        ON(room_that_is_asked_for_is_wanted),
        ON(chain_is_signed_now_and_then),
        ON(room_of_what_is_gone_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
