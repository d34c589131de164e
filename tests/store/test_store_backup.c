// test_store_backup.c - copies of a store, whole or cut off.

#include "store_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int
open_rig(void **state)
{
    *state = store_rig_new(store_open_sqlite);
    return 0;
}

static int
close_rig(void **state)
{
    store_rig_free(*state);
    return 0;
}

static void
name_file(const struct store_rig *rig, const char *end, char name[256])
{
    snprintf(name, 256, "%s%s", rig->path, end);
}

static void
backup_is_whole_and_another_incarnation(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id, last;
    char name[256];
    struct store_info info;
    rig->options.has_audit = true;
    store_rig_reopen(rig);
    char *large = malloc(60001);
    memset(large, 'x', 60000);
    large[60000] = '\0';
    for (int at = 0; at < 60; at++)
        rig_accept_id(rig, "echo", large, &id);
    free(large);
    name_file(rig, ".copy", name);
    bool is_done = false;
    int slices = 0;
    while (!is_done) {
        assert_int_equal(store_backup(rig->store, name, &is_done), STORE_COMMITTED);
        if (slices++ == 0) {
            assert_int_not_equal(access(name, F_OK), 0);
            rig_accept_id(rig, "echo", "meanwhile", &last);
        }
    }
    assert_true(slices > 1);
    static const char *const left[] = {".copy.part", ".copy.part-journal", ".copy.part-wal"};
    for (size_t at = 0; at < sizeof left / sizeof *left; at++) {
        char beside[256];
        name_file(rig, left[at], beside);
        assert_int_not_equal(access(beside, F_OK), 0);
    }
    rig_accept(rig, "echo", "behind it");
    store_info(rig->store, &info);
    assert_int_equal(info.incarnation, 1);
    assert_int_equal(info.pending, 62);
    store_close(rig->store);
    assert_int_equal(rename(name, rig->path), 0);
    rig->store = store_open_sqlite(&rig->options, &rig->error);
    if (rig->store == NULL)
        print_error("%s\n", rig->error.text);
    assert_non_null(rig->store);
    store_info(rig->store, &info);
    assert_int_equal(info.incarnation, 2);
    assert_int_equal(info.pending, 61);
    assert_int_equal(rig_close(rig, last), DURABLE_OK);
    store_rig_reopen(rig);
    store_info(rig->store, &info);
    assert_int_equal(info.incarnation, 2);
}

static void
backup_that_is_given_up_leaves_nothing(void **state)
{
    struct store_rig *rig = *state;
    char copy[256], part[256];
    bool is_done;
    char *large = malloc(60001);
    memset(large, 'x', 60000);
    large[60000] = '\0';
    for (int at = 0; at < 60; at++)
        rig_accept(rig, "echo", large);
    free(large);
    name_file(rig, ".db", copy);
    name_file(rig, ".db.part", part);
    assert_int_equal(store_backup(rig->store, copy, &is_done), STORE_COMMITTED);
    assert_false(is_done);
    assert_int_equal(access(part, F_OK), 0);
    store_rig_reopen(rig);
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_not_equal(access(copy, F_OK), 0);
}

// make_part makes a file; with a pipe it is a process of its own that has it locked until told.
static pid_t
make_part(const char *name, const int *told)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(name, O_RDWR | O_CREAT, 0600);
        bool is_locked = fd >= 0 && (told == NULL || fcntl(fd, F_SETLK, &lock) == 0);
        (void)!write(ready[1], &byte, is_locked ? 1 : 0);
        close(ready[1]);
        if (told != NULL)
            (void)!read(told[0], &byte, 1);
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void
what_a_killed_backup_has_left_is_removed_and_one_that_is_made_stays(void **state)
{
    struct store_rig *rig = *state;
    char left[256], made[256], other[256];
    int told[2];
    name_file(rig, "-left.db.part", left);
    name_file(rig, "-made.db.part", made);
    name_file(rig, "-other.part", other);
    assert_int_equal(pipe(told), 0);
    pid_t ends[] = {make_part(left, NULL), make_part(other, NULL)};
    pid_t goes_on = make_part(made, told);
    for (int at = 0; at < 2; at++)
        assert_int_equal(waitpid(ends[at], NULL, 0), ends[at]);
    store_backup_tidy(rig->folder);
    assert_int_not_equal(access(left, F_OK), 0);
    assert_int_equal(access(made, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);
    close(told[1]);
    close(told[0]);
    kill(goes_on, SIGKILL);
    assert_int_equal(waitpid(goes_on, NULL, 0), goes_on);
    store_backup_tidy(rig->folder);
    assert_int_not_equal(access(made, F_OK), 0);
    store_backup_tidy("/nowhere at all");
}

#define ON(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ON(backup_is_whole_and_another_incarnation),
        ON(backup_that_is_given_up_leaves_nothing),
        ON(what_a_killed_backup_has_left_is_removed_and_one_that_is_made_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
