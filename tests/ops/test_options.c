// test_options.c - what a command line means, and what is said where it means nothing.

#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { BROKER, CREDIT, DIALECT, QUIET, NAME, NAMES, OUTPUT_BYTES = 4096 };

static const struct options_rule rules[] = {[BROKER] = {"broker", "EP", "where it is"},
                                            [CREDIT] = {"credit", "N", "how many"},
                                            [DIALECT] = {"dialect", "NAME", "what it speaks"},
                                            [QUIET] = {"quiet", NULL, "say less"},
                                            [NAME] = {"name", "WORD", "what it is called"},
                                            [NAMES] = {"names", "WORDS", "what others are called"},
                                            {0}};

// What a line was read as.
struct line {
    char *brokers;
    uint64_t credit;
    mdp_dialect_t dialect;
    bool is_quiet;
    const char *name;
    struct options options;
    char *argv[32];
};

// read_line reads a line of words parted by single spaces. The words stay in `memory`.
static void
read_line(struct line *line, char *memory)
{
    int argc = 0;
    for (char *word = strtok(memory, " "); word != NULL; word = strtok(NULL, " "))
        line->argv[argc++] = word;
    line->options = (struct options){.program = "thing",
                                     .synopsis = "[OPTION]... WORD [-- MORE...]",
                                     .about = "Does things.",
                                     .rules = rules};
    options_init(&line->options, argc, line->argv);
    for (int rule; (rule = options_next(&line->options)) != OPTIONS_END;) {
        if (rule == BROKER)
            options_add_endpoint(&line->options, &line->brokers);
        if (rule == CREDIT)
            line->credit = options_number(&line->options, 1, 100);
        if (rule == DIALECT)
            line->dialect = options_dialect(&line->options);
        if (rule == QUIET)
            line->is_quiet = true;
        if (rule == NAME)
            line->name = line->options.value;
    }
}

static void
line_is_read_whatever_the_order(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "thing --broker tcp://a:1 --credit 7 --quiet --dialect 0.2 --broker ipc://b word",
        "thing word --broker=tcp://a:1 --credit=7 --quiet --dialect=0.2 --broker=ipc://b",
        "thing --quiet --bro tcp://a:1 word --cred 7 --broker ipc://b --dialect 0.2"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct line line = {0};
        char memory[256];
        snprintf(memory, sizeof memory, "%s", lines[i]);
        read_line(&line, memory);
        assert_string_equal(line.brokers, "tcp://a:1,ipc://b");
        assert_int_equal(line.credit, 7);
        assert_int_equal(line.dialect, MDP_02);
        assert_true(line.is_quiet);
        assert_int_equal(line.options.argument_count, 1);
        assert_string_equal(line.options.arguments[0], "word");
        assert_int_equal(line.options.rest_count, 0);
        free(line.brokers);
    }
}

static void
what_stands_behind_two_dashes_is_kept_apart(void **state)
{
    (void)state;
    struct line line = {0};
    char memory[] = "thing one --credit 3 two -- --credit 4 -x -- y";
    read_line(&line, memory);
    assert_int_equal(line.credit, 3);
    assert_int_equal(line.options.argument_count, 2);
    assert_string_equal(line.options.arguments[1], "two");
    assert_int_equal(line.options.rest_count, 5);
    assert_string_equal(line.options.rest[0], "--credit");
    assert_string_equal(line.options.rest[3], "--");
    assert_string_equal(line.options.rest[4], "y");
    assert_null(line.options.rest[5]);
}

static void
dashes_that_are_a_value_part_nothing(void **state)
{
    (void)state;
    struct line line = {0};
    char memory[] = "thing one --name -- two --name --";
    read_line(&line, memory);
    assert_string_equal(line.name, "--");
    assert_int_equal(line.options.argument_count, 2);
    assert_string_equal(line.options.arguments[1], "two");
    assert_int_equal(line.options.rest_count, 0);

    struct line other = {0};
    char more[] = "thing --name -- one -- two three";
    read_line(&other, more);
    assert_int_equal(other.options.argument_count, 1);
    assert_string_equal(other.options.arguments[0], "one");
    assert_int_equal(other.options.rest_count, 2);
    assert_string_equal(other.options.rest[0], "two");
}

// run reads the line in a process of its own; returns its exit code and what it said.
static int
run(const char *text, char output[OUTPUT_BYTES])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct line line = {0};
        char memory[256];
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        snprintf(memory, sizeof memory, "%s", text);
        read_line(&line, memory);
        _exit(100);
    }
    close(ends[1]);
    size_t size = 0;
    ssize_t count;
    while ((count = read(ends[0], output + size, OUTPUT_BYTES - 1 - size)) > 0)
        size += (size_t)count;
    output[size] = '\0';
    close(ends[0]);
    int ending;
    assert_int_equal(waitpid(pid, &ending, 0), pid);
    assert_true(WIFEXITED(ending));
    return WEXITSTATUS(ending);
}

static void
wrong_line_ends_with_2_and_says_what_to_do(void **state)
{
    (void)state;
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"thing --brokr x", "thing: there is no option --brokr; did you mean --broker?"},
        {"thing --brokr=x", "did you mean --broker?"},
        {"thing --crdeit 3", "did you mean --credit?"},
        {"thing --log-levle info", "did you mean --log-level?"},
        {"thing --zzzzzzzzzzzz", "there is no option --zzzzzzzzzzzz\n"},
        {"thing -c", "there is no option -c\n"},
        {"thing word -xy", "there is no option -x\n"},
        {"thing word -xy=3 --credit 3", "there is no option -x\n"},
        {"thing --credit 3 -x word", "there is no option -x\n"},
        {"thing word -broker tcp://a:1", "there is no option -broker; did you mean --broker?"},
        {"thing --na x", "--na is not clear; it may be --name or --names"},
        {"thing --na=x", "--na is not clear; it may be --name or --names"},
        {"thing --=x", "there is no option --=x"},
        {"thing --credit", "--credit needs a value"},
        {"thing --quiet=yes", "--quiet takes no value"},
        {"thing --qui=yes", "--quiet takes no value"},
        {"thing --credit 0", "--credit: '0' is not a whole number from 1 to 100"},
        {"thing --credit 101", "from 1 to 100"},
        {"thing --credit -1", "from 1 to 100"},
        {"thing --credit 3x", "'3x' is not a whole number"},
        {"thing --credit 99999999999999999999", "is not a whole number"},
        {"thing --dialect g2", "--dialect: 'g2' is none of auto, g1, 0.2 or 0.1"},
        {"thing --broker localhost:5555", "'localhost:5555' is no endpoint; one looks like tcp"},
        {"thing --broker tcp://a:99999", "'tcp://a:99999' is no endpoint; one looks like tcp"},
        {"thing --broker tcp://a:0", "'tcp://a:0' is no endpoint"},
        {"thing --broker tcp://a:1,tcp://b:*", "'tcp://a:1,tcp://b:*' is no endpoint"},
        {"thing --log-level loud", "'loud' is none of off, error, warn, info or debug"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char output[OUTPUT_BYTES];
        assert_int_equal(run(rows[i].line, output), 2);
        assert_non_null(strstr(output, rows[i].said));
        assert_non_null(strstr(output, "Try 'thing --help'."));
    }
}

static void
help_names_every_option(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES];
    assert_int_equal(run("thing --help", output), 0);
    assert_non_null(strstr(output, "usage: thing [OPTION]... WORD [-- MORE...]\n"));
    assert_non_null(strstr(output, "Does things."));
    assert_non_null(strstr(output, "--broker EP"));
    assert_non_null(strstr(output, "how many"));
    assert_non_null(strstr(output, "--log-level LEVEL"));
    assert_int_equal(run("thing --version", output), 0);
    assert_memory_equal(output, "thing 0.", 8);
}

static void
nearest_is_found_where_there_is_one(void **state)
{
    (void)state;
    static const char *const names[] = {"broker", "credit", "heartbeat", "log-level", NULL};
    assert_string_equal(options_nearest("heartbaet", names), "heartbeat");
    assert_string_equal(options_nearest("heart", names), "heartbeat");
    assert_string_equal(options_nearest("loglevel", names), "log-level");
    assert_string_equal(options_nearest("credits", names), "credit");
    assert_null(options_nearest("frobnicate", names));
    assert_null(options_nearest("", names));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_is_read_whatever_the_order),
        cmocka_unit_test(what_stands_behind_two_dashes_is_kept_apart),
        cmocka_unit_test(dashes_that_are_a_value_part_nothing),
        cmocka_unit_test(wrong_line_ends_with_2_and_says_what_to_do),
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(nearest_is_found_where_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
