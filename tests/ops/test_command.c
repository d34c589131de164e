// test_command.c - a command gets its input whole, and its output comes back whole.

#include "command.h"

#include <fcntl.h>
#include <galleon/mdp.h>
#include <galleon/status.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[] = "/tmp/galleon-test-command-XXXXXX";
// What a script writes for the test to read; every script knows it as $NOTE.
static char note[64];
// A pipe: a script that writes to $OVER has had its time.
static char over[64];

static int
set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    // What a command leaves behind becomes ours, so that we see how it ends.
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || mkdtemp(folder) == NULL)
        return -1;
    snprintf(note, sizeof note, "%s/note", folder);
    snprintf(over, sizeof over, "%s/over", folder);
    if (mkfifo(over, 0600) != 0)
        return -1;
    return setenv("NOTE", note, 1) + setenv("OVER", over, 1);
}

static int
tear_down(void **state)
{
    (void)state;
    unlink(note);
    unlink(over);
    return rmdir(folder);
}

// note_number is the number in the note, and forgets it; it waits until there is one.
static long
note_number(void)
{
    char text[32] = "";
    for (int i = 0; strchr(text, '\n') == NULL && i < 3000; i++) {
        FILE *file = fopen(note, "r");
        if (file == NULL || fgets(text, sizeof text, file) == NULL)
            poll(NULL, 0, 10);
        if (file != NULL)
            fclose(file);
    }
    assert_non_null(strchr(text, '\n'));
    unlink(note);
    return strtol(text, NULL, 10);
}

// is_killed waits for the end of what a command left behind. A dying command may still
// have reaped it.
static bool
is_killed(pid_t pid)
{
    int ending = 0;
    if (waitpid(pid, &ending, 0) == pid)
        return WIFSIGNALED(ending);
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static zmsg_t *
message_of(size_t count, size_t bytes)
{
    zmsg_t *message = zmsg_new();
    uint8_t *text = malloc(bytes + 1);
    for (size_t i = 0; i < count; i++) {
        memset(text, 'a' + (int)(i % 26), bytes);
        zmsg_addmem(message, text, bytes);
    }
    free(text);
    return message;
}

// run_within gives a shell's answer; *text_out is its output, or why there is none.
static int
run_within(const struct command_terms *terms, const char *script, zmsg_t *input,
           const char **text_out)
{
    static char text[COMMAND_TEXT_BYTES];
    static char output_text[1024];
    char shell[] = "sh";
    char flag[] = "-c";
    char *argv[] = {shell, flag, strdup(script), NULL};
    zmsg_t *output;
    int status = command_run(argv, terms, &input, &output, text);
    free(argv[2]);
    assert_null(input);
    assert_int_equal(output != NULL, status == MDP_DONE);
    *text_out = text;
    if (output != NULL) {
        assert_int_equal(zmsg_size(output), 1);
        zframe_t *frame = zmsg_first(output);
        size_t size = zframe_size(frame) < 1023 ? zframe_size(frame) : 1023;
        memcpy(output_text, zframe_data(frame), size);
        output_text[size] = '\0';
        *text_out = output_text;
    }
    zmsg_destroy(&output);
    return status;
}

static const struct command_terms ample = {.output_bytes_max = 8 << 20, .end_fd = -1};

static int
run(const char *script, zmsg_t *input, const char **text_out)
{
    return run_within(&ample, script, input, text_out);
}

static void
frames_are_the_input_and_the_output_is_one_frame(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(run("tr a-z A-Z", message_of(3, 2), &text), MDP_DONE);
    assert_string_equal(text, "AABBCC");
    assert_int_equal(run("cat", message_of(0, 0), &text), MDP_DONE);
    assert_string_equal(text, "");
    assert_int_equal(run("cat", message_of(2, 0), &text), MDP_DONE);
    assert_string_equal(text, "");
}

static void
more_than_a_pipe_holds_goes_through(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(run("wc -c", message_of(10, 300000), &text), MDP_DONE);
    assert_int_equal(atoll(text), 3000000);

    char cat[] = "cat";
    char *argv[] = {cat, NULL};
    char why[COMMAND_TEXT_BYTES];
    zmsg_t *input = message_of(10, 300000);
    zmsg_t *output;
    assert_int_equal(command_run(argv, &ample, &input, &output, why), MDP_DONE);
    assert_int_equal(zmsg_content_size(output), 3000000);
    zmsg_destroy(&output);
}

static void
input_that_nobody_reads_is_no_mistake(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(run("echo done", message_of(10, 300000), &text), MDP_DONE);
    assert_string_equal(text, "done\n");
}

static void
exit_code_other_than_0_is_a_failure(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(run("echo no; exit 3", message_of(1, 1), &text), MDP_FAILED);
    assert_string_equal(text, "exit status 3");
    assert_int_equal(run("kill -9 $$", message_of(1, 1), &text), MDP_FAILED);
    assert_string_equal(text, "ended by signal 9");
}

static void
command_that_is_not_there_is_a_failure(void **state)
{
    (void)state;
    char name[] = "no-such-command-anywhere";
    char *argv[] = {name, NULL};
    char why[COMMAND_TEXT_BYTES];
    zmsg_t *input = message_of(1, 1);
    zmsg_t *output;
    assert_int_equal(command_run(argv, &ample, &input, &output, why), MDP_FAILED);
    assert_null(output);
    assert_non_null(strstr(why, "no-such-command-anywhere"));
}

static void
endless_output_is_cut_off(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(run("yes", message_of(1, 1), &text), MDP_TOO_LARGE);
    assert_string_equal(text, "the output has more than 8388608 bytes");
}

// status_of gives the status of an output of so many bytes; where it is 200, they are
// the output.
static int
status_of(uint64_t bytes, uint64_t bytes_max)
{
    const struct command_terms terms = {.output_bytes_max = bytes_max, .end_fd = -1};
    char head[] = "head";
    char flag[] = "-c";
    char zeros[] = "/dev/zero";
    char count[32];
    snprintf(count, sizeof count, "%llu", (unsigned long long)bytes);
    char *argv[] = {head, flag, count, zeros, NULL};
    char why[COMMAND_TEXT_BYTES];
    zmsg_t *input = message_of(0, 0);
    zmsg_t *output;
    int status = command_run(argv, &terms, &input, &output, why);
    if (status == MDP_DONE)
        assert_int_equal(zmsg_content_size(output), bytes);
    zmsg_destroy(&output);
    return status;
}

static void
limit_of_the_output_is_exact(void **state)
{
    (void)state;
    static const uint64_t limits[] = {0, 1, 1000, 4095, 4096, 4097, 65536, 99999, 1047552};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        assert_int_equal(status_of(limits[i], limits[i]), MDP_DONE);
        assert_int_equal(status_of(limits[i] + 1, limits[i]), MDP_TOO_LARGE);
    }
}

static void
limit_of_the_output_costs_no_memory_by_itself(void **state)
{
    (void)state;
    assert_int_equal(status_of(100000, UINT64_MAX), MDP_DONE);
}

static void
command_has_signals_as_it_should(void **state)
{
    (void)state;
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    const char *text;
    assert_int_equal(run("kill -TERM $$; echo alive", message_of(0, 0), &text), MDP_FAILED);
    assert_string_equal(text, "ended by signal 15");
    assert_int_equal(run("kill -PIPE $$; echo alive", message_of(0, 0), &text), MDP_FAILED);
    assert_string_equal(text, "ended by signal 13");
    assert_int_equal(run("kill -INT $$; echo alive", message_of(0, 0), &text), MDP_FAILED);
    assert_string_equal(text, "ended by signal 2");
    // Nor does what it starts.
    assert_int_equal(run("grep SigBlk /proc/self/status", message_of(0, 0), &text), MDP_DONE);
    assert_string_equal(text, "SigBlk:\t0000000000000000\n");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void
input_goes_on_when_the_output_is_closed(void **state)
{
    (void)state;
    const char *text;
    const char *script = "exec >&-; wc -c > $NOTE";
    assert_int_equal(run(script, message_of(10, 300000), &text), MDP_DONE);
    assert_string_equal(text, "");
    assert_int_equal(note_number(), 3000000);
}

static void
output_that_a_child_holds_is_waited_for(void **state)
{
    (void)state;
    const char *text;
    const char *script = "{ sleep 0.2; echo more; } & echo one";
    assert_int_equal(run(script, message_of(0, 0), &text), MDP_DONE);
    assert_string_equal(text, "one\nmore\n");
}

static void
too_much_output_ends_the_children_too(void **state)
{
    (void)state;
    const char *text;
    const char *script = "sleep 60 & echo $! > $NOTE; yes";
    assert_int_equal(run(script, message_of(0, 0), &text), MDP_TOO_LARGE);
    assert_true(is_killed((pid_t)note_number()));
}

// run_until_over runs a script that would take a minute, or more, until it has written to
// $OVER.
static int
run_until_over(const char *script, const char **text_out)
{
    int end_fd = open(over, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct command_terms terms = {.output_bytes_max = 8 << 20, .end_fd = end_fd};
    uint64_t before_ns = galleon_now_ns();
    int status = run_within(&terms, script, message_of(0, 0), text_out);
    assert_true(galleon_now_ns() - before_ns < 30 * (uint64_t)1000000000);
    close(end_fd);
    return status;
}

static void
command_that_hangs_is_stopped(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(run_until_over("echo > $OVER; sleep 60", &text), MDP_FAILED);
    assert_string_equal(text, "stopped while it ran");
}

static void
command_that_wants_to_run_on_is_stopped(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "trap '' TERM; echo > $OVER; sleep 60; sleep 60",
        "exec >&-; echo > $OVER; sleep 60",
        "trap '' TERM; exec >&-; echo > $OVER; sleep 60; sleep 60",
        "trap '' TERM; echo > $OVER; while :; do echo; sleep 0.01; done",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        const char *text;
        assert_int_equal(run_until_over(scripts[i], &text), MDP_FAILED);
        assert_string_equal(text, "stopped while it ran");
    }
}

static void
command_that_is_stopped_may_clean_up(void **state)
{
    (void)state;
    const char *text;
    const char *script = "trap 'echo 1 > $NOTE; exit 0' TERM; sleep 60 & echo > $OVER; wait";
    assert_int_equal(run_until_over(script, &text), MDP_FAILED);
    assert_string_equal(text, "stopped while it ran");
    assert_int_equal(note_number(), 1);
}

static void
children_of_a_stopped_command_end_with_it(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "sleep 60 & echo $! > $NOTE; echo > $OVER; wait",
        "sh -c 'trap \"\" TERM; echo $$ > $NOTE; echo > $OVER; sleep 60; :' & wait",
        "sleep 60 > /dev/null & echo $! > $NOTE; echo > $OVER; wait",
        // It has ended, and its child holds the output.
        "sleep 60 & echo $! > $NOTE; (sleep 0.2; echo > $OVER) > /dev/null &",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        const char *text;
        assert_int_equal(run_until_over(scripts[i], &text), MDP_FAILED);
        assert_string_equal(text, "stopped while it ran");
        assert_true(is_killed((pid_t)note_number()));
    }
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

static void
child_that_has_left_the_group_holds_up_nobody(void **state)
{
    (void)state;
    const char *text;
    const char *script = "setsid sh -c 'echo $$ > $NOTE; echo > $OVER; exec sleep 60' & wait";
    assert_int_equal(run_until_over(script, &text), MDP_FAILED);
    pid_t pid = (pid_t)note_number();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(is_killed(pid));
}

static void *
run_until_killed(void *status)
{
    const char *text;
    const char *script = "sleep 60 & echo $! > $NOTE; wait";
    *(int *)status = run(script, message_of(0, 0), &text);
    return NULL;
}

// The last of the tests: after it no command runs.
static void
kill_all_ends_every_command_and_lets_none_begin(void **state)
{
    (void)state;
    pthread_t thread;
    int status = 0;
    assert_int_equal(pthread_create(&thread, NULL, run_until_killed, &status), 0);
    pid_t pid = (pid_t)note_number();
    command_kill_all();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(status, MDP_FAILED);
    assert_true(is_killed(pid));

    const char *text;
    assert_int_equal(run("echo 1 > $NOTE", message_of(0, 0), &text), MDP_FAILED);
    assert_int_not_equal(access(note, F_OK), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_the_input_and_the_output_is_one_frame),
        cmocka_unit_test(more_than_a_pipe_holds_goes_through),
        cmocka_unit_test(input_that_nobody_reads_is_no_mistake),
        cmocka_unit_test(exit_code_other_than_0_is_a_failure),
        cmocka_unit_test(command_that_is_not_there_is_a_failure),
        cmocka_unit_test(endless_output_is_cut_off),
        cmocka_unit_test(limit_of_the_output_is_exact),
        cmocka_unit_test(limit_of_the_output_costs_no_memory_by_itself),
        cmocka_unit_test(command_has_signals_as_it_should),
        cmocka_unit_test(input_goes_on_when_the_output_is_closed),
        cmocka_unit_test(output_that_a_child_holds_is_waited_for),
        cmocka_unit_test(too_much_output_ends_the_children_too),
        cmocka_unit_test(command_that_hangs_is_stopped),
        cmocka_unit_test(command_that_wants_to_run_on_is_stopped),
        cmocka_unit_test(command_that_is_stopped_may_clean_up),
        cmocka_unit_test(children_of_a_stopped_command_end_with_it),
        cmocka_unit_test(child_that_has_left_the_group_holds_up_nobody),
        cmocka_unit_test(kill_all_ends_every_command_and_lets_none_begin),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
