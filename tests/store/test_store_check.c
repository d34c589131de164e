// test_store_check.c - a store at rest is looked at: what is wrong with its chain is found.

#include "audit_key.h"
#include "sqlite_store.h"
#include "store_check.h"
#include "store_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sodium/core.h>
#include <sodium/crypto_sign_ed25519.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int
open_rig(void **state)
{
    struct store_rig *rig = store_rig_new(store_open_sqlite);
    *state = rig;
    rig->options.has_audit = true;
    store_rig_reopen(rig);
    return 0;
}

static int
close_rig(void **state)
{
    store_rig_free(*state);
    return 0;
}

static void
end(struct store_rig *rig)
{
    store_close(rig->store);
    rig->store = NULL;
}

// crash ends the store as kill -9 would: the log stays.
static void
crash(struct store_rig *rig)
{
    sqlite_store_of(rig->store)->wrong = STORE_DOUBT;
    end(rig);
}

// tamper is somebody who knows the file's form, and whose pages have good checksums.
static void
tamper(struct store_rig *rig, const char *sql)
{
    char *why = NULL;
    sqlite3 *db = sqlite_store_of(rig->store)->db;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
}

static struct store_chain
walk(struct store_rig *rig, const uint8_t *key)
{
    struct store_chain chain;
    struct store_check *store = store_check_open(rig->path, &rig->error);
    if (store == NULL)
        fail_msg("%s", rig->error.text);
    store_check_chain(store, key, &chain);
    store_check_close(&store);
    return chain;
}

static void
expect_broken(struct store_rig *rig, uint64_t record, const char *part)
{
    struct store_chain chain = walk(rig, NULL);
    assert_false(chain.is_whole);
    assert_int_equal(chain.broken, record);
    if (strstr(chain.why, part) == NULL)
        fail_msg("not \"%s\" but \"%s\"", part, chain.why);
}

// ---- whole ---------------------------------------------------------------------------

static void
whole_chain_is_whole(void **state)
{
    struct store_rig *rig = *state;
    for (int i = 0; i < 5; i++)
        rig_answer(rig, rig_accept(rig, "echo", "hello"), "hello");
    end(rig);
    struct store_chain chain = walk(rig, NULL);
    assert_true(chain.is_whole);
    assert_int_equal(chain.count, 10);
    assert_int_equal(chain.broken, 0);
}

static void
chain_of_a_killed_store_is_read_with_its_log_and_the_log_stays(void **state)
{
    struct store_rig *rig = *state;
    char name[160];
    struct stat before, after;
    rig_accept(rig, "echo", "hello");
    crash(rig);
    snprintf(name, sizeof name, "%s-wal", rig->path);
    assert_int_equal(stat(name, &before), 0);
    assert_true(before.st_size > 0);
    assert_int_equal(walk(rig, NULL).count, 1);
    assert_true(walk(rig, NULL).is_whole);
    assert_int_equal(stat(name, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    rig->store = rig->open(&rig->options, &rig->error);
    assert_non_null(rig->store);
}

static void
store_to_which_nothing_has_happened_is_whole(void **state)
{
    struct store_rig *rig = *state;
    struct store_contents contents;
    crash(rig);
    struct store_chain chain = walk(rig, NULL);
    if (!chain.is_whole)
        fail_msg("%s", chain.why);
    assert_int_equal(chain.count, 0);
    struct store_check *store = store_check_open(rig->path, &rig->error);
    assert_non_null(store);
    store_check_contents(store, &contents);
    assert_true(contents.is_whole);
    store_check_close(&store);
}

static void
look_at_a_store_at_rest_writes_nothing(void **state)
{
    struct store_rig *rig = *state;
    char name[160];
    struct stat before, after;
    rig_accept(rig, "echo", "hello");
    end(rig);
    assert_int_equal(stat(rig->path, &before), 0);
    assert_true(walk(rig, NULL).is_whole);
    assert_int_equal(stat(rig->path, &after), 0);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    snprintf(name, sizeof name, "%s-wal", rig->path);
    assert_int_equal(access(name, F_OK), -1);
}

static void
look_leaves_the_lock_as_it_is_and_makes_none(void **state)
{
    struct store_rig *rig = *state;
    char lock[160];
    struct stat before, after;
    snprintf(lock, sizeof lock, "%s.lock", rig->path);
    rig_accept(rig, "echo", "hello");
    end(rig);
    assert_int_equal(stat(lock, &before), 0);
    assert_true(walk(rig, NULL).is_whole);
    assert_int_equal(stat(lock, &after), 0);
    assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(unlink(lock), 0);
    assert_true(walk(rig, NULL).is_whole);
    assert_int_equal(access(lock, F_OK), -1);
}

static void
store_that_is_looked_at_is_not_opened(void **state)
{
    struct store_rig *rig = *state;
    end(rig);
    struct store_check *one = store_check_open(rig->path, &rig->error);
    struct store_check *two = store_check_open(rig->path, &rig->error);
    assert_non_null(one);
    assert_non_null(two); // who looks disturbs nobody who looks
    assert_null(store_open_sqlite(&rig->options, &rig->error));
    assert_true(rig->error.is_locked);
    store_check_close(&one);
    store_check_close(&two);
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    assert_non_null(rig->store);
}

// look_as_somebody_else looks in a process that may not write; where we are the superuser it
// becomes nobody first. It returns the exit code: 0, the store is whole.
static int
look_as_somebody_else(struct store_rig *rig)
{
    pid_t child = fork();
    if (child == 0) {
        struct store_contents contents;
        struct store_chain chain;
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(3);
        struct store_check *check = store_check_open(rig->path, &rig->error);
        if (check == NULL) {
            fprintf(stderr, "%s\n", rig->error.text);
            _exit(2);
        }
        store_check_contents(check, &contents);
        store_check_chain(check, NULL, &chain);
        fprintf(stderr, "%s%s", contents.why, chain.why);
        store_check_close(&check);
        _exit(contents.is_whole && chain.is_whole ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
may_write(const struct store_rig *rig, bool is_allowed)
{
    static const char *const ends[] = {"", "-wal", ".lock", ".anchor"};
    char name[160];
    for (size_t at = 0; at < sizeof ends / sizeof *ends; at++) {
        snprintf(name, sizeof name, "%s%s", rig->path, ends[at]);
        assert_true(chmod(name, is_allowed ? 0644 : 0444) == 0 || errno == ENOENT);
    }
    assert_int_equal(chmod(rig->folder, is_allowed ? 0755 : 0555), 0);
}

static void
store_that_cannot_be_written_is_looked_at(void **state)
{
    struct store_rig *rig = *state;
    rig_answer(rig, rig_accept(rig, "echo", "hello"), "hello");
    end(rig);
    may_write(rig, false);
    int code = look_as_somebody_else(rig);
    may_write(rig, true);
    assert_int_equal(code, 0);
}

static void
killed_store_that_cannot_be_written_is_looked_at_with_its_log(void **state)
{
    struct store_rig *rig = *state;
    rig_answer(rig, rig_accept(rig, "echo", "hello"), "hello");
    crash(rig);
    may_write(rig, false);
    int code = look_as_somebody_else(rig);
    may_write(rig, true);
    assert_int_equal(code, 0);
}

static void
store_that_a_process_has_is_refused_with_its_pid(void **state)
{
    struct store_rig *rig = *state;
    assert_null(store_check_open(rig->path, &rig->error));
    assert_true(rig->error.is_locked);
    assert_int_equal(rig->error.pid, getpid());
}

static void
what_is_not_there_is_not_made(void **state)
{
    struct store_rig *rig = *state;
    char name[160], lock[200];
    snprintf(name, sizeof name, "%s-other", rig->path);
    snprintf(lock, sizeof lock, "%s.lock", name);
    assert_null(store_check_open(name, &rig->error));
    assert_false(rig->error.is_locked);
    assert_int_equal(access(lock, F_OK), -1);
}

static void
path_with_signs_of_a_uri_is_a_path(void **state)
{
    struct store_rig *rig = *state;
    struct store_error error;
    char name[160];
    rig_accept(rig, "echo", "hello");
    end(rig);
    snprintf(name, sizeof name, "%s?mode=x#%%41", rig->path);
    assert_int_equal(rename(rig->path, name), 0);
    struct store_check *store = store_check_open(name, &error);
    assert_non_null(store);
    store_check_close(&store);
    assert_int_equal(rename(name, rig->path), 0);
    snprintf(name, sizeof name, "%s?mode=x#%%41.lock", rig->path);
    unlink(name);
}

// ---- broken --------------------------------------------------------------------------

static void
fill(struct store_rig *rig)
{
    for (int i = 0; i < 6; i++)
        rig_accept(rig, "echo", "hello");
}

static void
changed_record_is_named(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    // Its time stands in the bytes 9 to 16.
    tamper(rig, "UPDATE audit SET records = CAST(substr(records, 1, 12) || x'ff' || "
                "substr(records, 14) AS BLOB) WHERE first = 3");
    end(rig);
    expect_broken(rig, 3, "changed");
}

static void
record_of_no_form_is_named(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    tamper(rig, "UPDATE audit SET records = substr(records, 1, 20) WHERE first = 4");
    end(rig);
    expect_broken(rig, 4, "cannot be read");
}

static void
removed_record_is_named(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    tamper(rig, "DELETE FROM audit WHERE first IN (2, 3)");
    end(rig);
    expect_broken(rig, 2, "missing, and so are all up to 3");
}

static void
moved_record_is_named(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    tamper(rig, "UPDATE audit SET upto = 100 WHERE first = 2;"
                "UPDATE audit SET upto = 2 WHERE first = 3;"
                "UPDATE audit SET upto = 3 WHERE first = 2");
    end(rig);
    expect_broken(rig, 2, "moved");
}

static void
end_that_was_cut_off_shows_against_the_store(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    tamper(rig, "DELETE FROM audit WHERE first > 4");
    end(rig);
    expect_broken(rig, 5, "missing, and so are all up to 6");
}

static void
end_that_was_cut_off_with_the_store_shows_against_the_anchor(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    assert_int_equal(store_anchor(rig->store), STORE_COMMITTED);
    tamper(rig, "DELETE FROM audit WHERE first > 4;"
                "UPDATE tally SET c = 4, e = 4, head = (SELECT head FROM audit WHERE first = 4) "
                "WHERE id = 0");
    crash(rig);
    expect_broken(rig, 5, "the anchor knows of change 6");
}

static void
chain_that_was_made_again_shows_against_the_anchor(void **state)
{
    struct store_rig *rig = *state;
    uint8_t record[AUDIT_RECORD_BYTES_MAX];
    struct audit_head head;
    char sql[1024], text[2 * AUDIT_RECORD_BYTES_MAX + 1] = "", digits[65] = "";
    rig_accept(rig, "echo", "hello");
    assert_int_equal(store_anchor(rig->store), STORE_COMMITTED);
    struct audit_record forged = {.n = 1, .kind = AUDIT_ACCEPTED, .seq = 1, .epoch = 1};
    size_t size = (size_t)(audit_encode(&forged, record) - record);
    audit_head_start(&head, view_of(sqlite_store_of(rig->store)->store_id, AUDIT_STORE_ID_BYTES));
    audit_head_add(&head, view_of(record, size));
    for (size_t at = 0; at < size; at++)
        snprintf(text + 2 * at, 3, "%02x", record[at]);
    for (size_t at = 0; at < sizeof head.bytes; at++)
        snprintf(digits + 2 * at, 3, "%02x", head.bytes[at]);
    snprintf(sql, sizeof sql,
             "UPDATE audit SET records = x'%s', head = x'%s';"
             "UPDATE tally SET head = x'%s' WHERE id = 0",
             text, digits, digits);
    tamper(rig, sql);
    crash(rig);
    expect_broken(rig, 1, "not the chain that was anchored");
}

// ---- signatures ----------------------------------------------------------------------

static void
sign(struct store_rig *rig, uint8_t public_key[STORE_PUBLIC_KEY_BYTES])
{
    static uint8_t secret_key[STORE_KEY_BYTES];
    assert_true(sodium_init() >= 0);
    crypto_sign_ed25519_keypair(public_key, secret_key);
    rig->options.audit_key = secret_key;
    store_rig_reopen(rig);
}

static void
first_batch_of_a_run_is_signed(void **state)
{
    struct store_rig *rig = *state;
    uint8_t public_key[STORE_PUBLIC_KEY_BYTES];
    sign(rig, public_key);
    fill(rig);
    store_rig_reopen(rig);
    rig_accept(rig, "echo", "hello");
    end(rig);
    struct store_chain chain = walk(rig, public_key);
    assert_true(chain.is_whole);
    assert_int_equal(chain.signatures, 2);
    assert_int_equal(chain.signed_to, 7);
}

static void
signature_of_another_key_breaks_the_chain(void **state)
{
    struct store_rig *rig = *state;
    uint8_t public_key[STORE_PUBLIC_KEY_BYTES], secret_key[STORE_KEY_BYTES];
    sign(rig, public_key);
    fill(rig);
    end(rig);
    crypto_sign_ed25519_keypair(public_key, secret_key);
    struct store_chain chain = walk(rig, public_key);
    assert_false(chain.is_whole);
    assert_int_equal(chain.broken, 1);
    assert_non_null(strstr(chain.why, "signature"));
}

static void
chain_without_a_signature_proves_nothing_to_a_key(void **state)
{
    struct store_rig *rig = *state;
    uint8_t public_key[STORE_PUBLIC_KEY_BYTES];
    sign(rig, public_key);
    fill(rig);
    tamper(rig, "UPDATE audit SET signature = NULL");
    end(rig);
    assert_true(walk(rig, NULL).is_whole);
    assert_false(walk(rig, public_key).is_whole);
}

static void
outline_says_what_is_signed(void **state)
{
    struct store_rig *rig = *state;
    uint8_t public_key[STORE_PUBLIC_KEY_BYTES];
    struct store_outline outline;
    sign(rig, public_key);
    fill(rig);
    end(rig);
    struct store_check *store = store_check_open(rig->path, &rig->error);
    assert_true(store_check_outline(store, &outline, &rig->error));
    store_check_close(&store);
    assert_int_equal(outline.info.audit_count, 6);
    assert_int_equal(outline.info.pending, 6);
    assert_int_equal(outline.signatures, 1);
    assert_int_equal(outline.signed_to, 1);
    assert_true(outline.has_anchor);
    assert_int_equal(outline.anchored, 6);
}

// ---- contents --------------------------------------------------------------------------

static struct store_contents
read_all(struct store_rig *rig)
{
    struct store_contents contents;
    end(rig);
    struct store_check *store = store_check_open(rig->path, &rig->error);
    if (store == NULL)
        fail_msg("%s", rig->error.text);
    store_check_contents(store, &contents);
    store_check_close(&store);
    return contents;
}

static void
expect_damaged(struct store_rig *rig, const char *part)
{
    struct store_contents contents = read_all(rig);
    assert_false(contents.is_whole);
    if (strstr(contents.why, part) == NULL)
        fail_msg("not \"%s\" but \"%s\"", part, contents.why);
}

static void
whole_contents_are_whole(void **state)
{
    struct store_rig *rig = *state;
    struct request_id closed;
    char large[200001] = "";
    memset(large, 'x', sizeof large - 1);
    fill(rig);
    rig_accept(rig, "echo", large);
    rig_answer(rig, rig_accept(rig, "echo", "hello"), large);
    rig_answer(rig, rig_accept(rig, "other", "hello"), "hello");
    rig_accept_id(rig, "echo", "hello", &closed);
    rig_close(rig, closed);
    struct store_contents contents = read_all(rig);
    if (!contents.is_whole)
        fail_msg("%s", contents.why);
    assert_int_equal(contents.requests, 9);
    assert_int_equal(contents.digests, 9);
    assert_int_equal(contents.counts[DURABLE_PENDING], 7);
    assert_int_equal(contents.counts[DURABLE_DONE], 2);
}

static void
changed_body_is_found(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    tamper(rig, "UPDATE request SET body = CAST(substr(body, 1, 4) || 'hullo' AS BLOB) "
                "WHERE seq = 3");
    expect_damaged(rig, "the body of");
}

static void
changed_answer_is_found(void **state)
{
    struct store_rig *rig = *state;
    rig_answer(rig, rig_accept(rig, "echo", "hello"), "hello");
    tamper(rig, "UPDATE request SET body = CAST(substr(body, 1, 4) || 'hullo' AS BLOB)");
    expect_damaged(rig, "the answer of");
}

static void
request_that_was_taken_out_is_missed(void **state)
{
    struct store_rig *rig = *state;
    fill(rig);
    tamper(rig, "DELETE FROM request WHERE seq = 3");
    expect_damaged(rig, "pending");
}

static void
flipped_bit_is_found(void **state)
{
    struct store_rig *rig = *state;
    unsigned found = 0;
    struct store_contents contents;
    fill(rig);
    end(rig);
    struct stat is;
    assert_int_equal(stat(rig->path, &is), 0);
    // Byte 100 of each page but the first, whose header says what the file is.
    for (off_t at = 8192 + 100; at < is.st_size; at += 8192) {
        int fd = open(rig->path, O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        struct store_check *store = store_check_open(rig->path, &rig->error);
        if (store != NULL)
            store_check_contents(store, &contents);
        found += store == NULL || !contents.is_whole;
        store_check_close(&store);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    assert_int_equal(found, is.st_size / 8192 - 1);
}

// ---- keys ----------------------------------------------------------------------------

static void
keys_are_made_once_and_read_again(void **state)
{
    struct store_rig *rig = *state;
    char path[160], public_path[170], why[256];
    uint8_t secret_key[STORE_KEY_BYTES], public_key[STORE_PUBLIC_KEY_BYTES];
    struct stat is;
    snprintf(path, sizeof path, "%s/key", rig->folder);
    snprintf(public_path, sizeof public_path, "%s.pub", path);
    assert_true(audit_key_make(path, why, sizeof why));
    assert_false(audit_key_make(path, why, sizeof why));
    assert_int_equal(stat(path, &is), 0);
    assert_int_equal(is.st_mode & 0777, 0600);
    assert_true(audit_key_read(path, secret_key, why, sizeof why));
    assert_true(audit_key_read_public(public_path, public_key, why, sizeof why));
    // An Ed25519 secret key ends with the public one.
    assert_memory_equal(secret_key + 32, public_key, sizeof public_key);
    assert_false(audit_key_read_public(path, public_key, why, sizeof why));
    assert_int_equal(chmod(path, 0640), 0);
    assert_false(audit_key_read(path, secret_key, why, sizeof why));
    assert_non_null(strstr(why, "0600"));
    unlink(path);
    unlink(public_path);
}

int
main(void)
{
#define ON(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        ON(whole_chain_is_whole),
        ON(chain_of_a_killed_store_is_read_with_its_log_and_the_log_stays),
        ON(store_to_which_nothing_has_happened_is_whole),
        ON(look_at_a_store_at_rest_writes_nothing),
        ON(look_leaves_the_lock_as_it_is_and_makes_none),
        ON(store_that_is_looked_at_is_not_opened),
        ON(store_that_cannot_be_written_is_looked_at),
        ON(killed_store_that_cannot_be_written_is_looked_at_with_its_log),
        ON(store_that_a_process_has_is_refused_with_its_pid),
        ON(what_is_not_there_is_not_made),
        ON(path_with_signs_of_a_uri_is_a_path),
        ON(changed_record_is_named),
        ON(record_of_no_form_is_named),
        ON(removed_record_is_named),
        ON(moved_record_is_named),
        ON(end_that_was_cut_off_shows_against_the_store),
        ON(end_that_was_cut_off_with_the_store_shows_against_the_anchor),
        ON(chain_that_was_made_again_shows_against_the_anchor),
        ON(first_batch_of_a_run_is_signed),
        ON(signature_of_another_key_breaks_the_chain),
        ON(chain_without_a_signature_proves_nothing_to_a_key),
        ON(outline_says_what_is_signed),
        ON(whole_contents_are_whole),
        ON(changed_body_is_found),
        ON(changed_answer_is_found),
        ON(request_that_was_taken_out_is_missed),
        ON(flipped_bit_is_found),
        ON(keys_are_made_once_and_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
