// test_drill_child.c - the processes of a drill: do they end as they must, and is it said how?
//
// They are this program in a second life, as the tool is its own children's.

#include "../../clients/drills/drill_child.h"
#include "../../clients/drills/drill_worker.h"

#include <galleon/status.h>

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000, SHORT_MS = 200, UNWANTED = 3 };

// ---- what the children do ---------------------------------------------------------------------

static void
on_term(int signal)
{
    (void)signal;
    _exit(0);
}

// drill_worker_main is ours here: a process that is ready when its log has a byte.
int
drill_worker_main(int argc, char **argv)
{
    const char *what = argc > 0 ? argv[0] : "";
    signal(SIGTERM, strcmp(what, "obedient") == 0 ? on_term : SIG_IGN);
    (void)!write(STDOUT_FILENO, "!", 1);
    if (strcmp(what, "brief") == 0)
        return UNWANTED;
    for (;;)
        poll(NULL, 0, PATIENCE_MS);
}

int
drill_client_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

int
drill_pirate_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

// ---- what is tested ---------------------------------------------------------------------------

// Every signal goes by way of here (--wrap).
static int last_signal = 0;

int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);

int
__wrap_kill(pid_t pid, int number)
{
    last_signal = number;
    return __real_kill(pid, number);
}

static bool
is_empty(const char *path)
{
    FILE *file = fopen(path, "r");
    bool is_so = file == NULL || fgetc(file) == EOF;
    if (file != NULL)
        fclose(file);
    return is_so;
}

// begin starts a child and waits until it is ready.
static struct drill_child
begin(const char *what)
{
    struct drill_child child = {.name = "child"};
    const char *arguments[] = {DRILL_CHILD_WORKER, what, NULL};
    snprintf(child.log, sizeof child.log, "/tmp/galleon-test-child-XXXXXX");
    int fd = mkstemp(child.log);
    assert_true(fd >= 0);
    close(fd);
    assert_true(drill_child_start(&child, arguments));
    uint64_t end_ns = galleon_now_ns() + PATIENCE_MS * 1000000ull;
    while (is_empty(child.log)) {
        assert_true(galleon_now_ns() < end_ns);
        poll(NULL, 0, 1);
    }
    unlink(child.log);
    return child;
}

// SIGCONT would take back the SIGSTOPs by which LeakSanitizer stops the threads of an exit.
static void
child_that_ends_is_disturbed_by_nothing(void **state)
{
    (void)state;
    struct drill_child child = begin("obedient");
    assert_true(drill_child_stop(&child, PATIENCE_MS));
    assert_int_equal(last_signal, SIGTERM);
}

static void
child_that_was_stopped_ends_in_order(void **state)
{
    (void)state;
    struct drill_child child = begin("obedient");
    drill_child_signal(&child, SIGSTOP);
    assert_true(drill_child_stop(&child, PATIENCE_MS));
}

static void
child_that_does_not_end_is_killed_and_that_is_said(void **state)
{
    (void)state;
    char how[DRILL_ENDING_BYTES];
    struct drill_child child = begin("stubborn");
    assert_false(drill_child_stop(&child, SHORT_MS));
    assert_false(child.is_running);
    drill_child_describe(&child, how);
    assert_string_equal(how, "by signal 9");
}

static void
exit_code_is_no_good_end_and_is_said(void **state)
{
    (void)state;
    char how[DRILL_ENDING_BYTES];
    struct drill_child child = begin("brief");
    assert_false(drill_child_stop(&child, PATIENCE_MS));
    drill_child_describe(&child, how);
    assert_string_equal(how, "with exit code 3");
}

// await_ended waits until it has ended, and leaves it for the drill to find that out.
static void
await_ended(const struct drill_child *child)
{
    siginfo_t how;
    assert_int_equal(waitid(P_PID, (id_t)child->pid, &how, WEXITED | WNOWAIT), 0);
}

static void
child_that_ended_before_it_was_killed_is_told_from_one_that_we_killed(void **state)
{
    (void)state;
    char how[DRILL_ENDING_BYTES];
    struct drill_child child = begin("brief");
    await_ended(&child);
    assert_false(drill_child_kill(&child));
    assert_false(child.is_running);
    drill_child_describe(&child, how);
    assert_string_equal(how, "with exit code 3");
    child = begin("stubborn");
    assert_true(drill_child_kill(&child));
    assert_false(child.is_running);
}

static void
one_that_finds_a_library_says_where_and_one_that_does_not_says_no(void **state)
{
    (void)state;
    char path[DRILL_PATH_BYTES];
    assert_false(drill_child_find_library("no-such-library.so", path));
    // This program is next to itself.
    assert_true(drill_child_find_library("test_drill_child", path));
    assert_int_equal(access(path, X_OK), 0);
}

int
main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], DRILL_CHILD) == 0)
        return drill_child_main(argc - 2, argv + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_that_ends_is_disturbed_by_nothing),
        cmocka_unit_test(child_that_was_stopped_ends_in_order),
        cmocka_unit_test(child_that_does_not_end_is_killed_and_that_is_said),
        cmocka_unit_test(exit_code_is_no_good_end_and_is_said),
        cmocka_unit_test(child_that_ended_before_it_was_killed_is_told_from_one_that_we_killed),
        cmocka_unit_test(one_that_finds_a_library_says_where_and_one_that_does_not_says_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
