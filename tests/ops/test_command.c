// test_command.c - a command gets its input whole, and its output comes back whole.

#include "command.h"

#include <galleon/mdp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int
set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return 0;
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

static const struct command_terms ample = {.output_bytes_max = 8 << 20};

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
    const struct command_terms terms = {.output_bytes_max = bytes_max};
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
    pthread_sigmask(SIG_BLOCK, &set, &before);
    const char *text;
    assert_int_equal(run("kill -TERM $$; echo alive", message_of(0, 0), &text), MDP_FAILED);
    assert_string_equal(text, "ended by signal 15");
    assert_int_equal(run("kill -PIPE $$; echo alive", message_of(0, 0), &text), MDP_FAILED);
    assert_string_equal(text, "ended by signal 13");
    assert_int_equal(run("kill -INT $$; echo alive", message_of(0, 0), &text), MDP_DONE);
    assert_string_equal(text, "alive\n");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
