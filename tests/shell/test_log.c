// test_log.c - lines are whole, harmless, and not too many.

#include "log.h"

#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { OUTPUT_BYTES = 65536 };

static char output[OUTPUT_BYTES];

// said runs `speak` in a process of its own, at this level, and returns what it wrote.
static const char *
said(enum log_level level, void (*speak)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        log_set_level(level);
        speak();
        exit(0);
    }
    close(ends[1]);
    size_t size = 0;
    ssize_t count;
    while ((count = read(ends[0], output + size, OUTPUT_BYTES - 1 - size)) > 0)
        size += (size_t)count;
    output[size] = '\0';
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return output;
}

static size_t
count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

static void
speak_at_every_level(void)
{
    log_error("CODE-E", "n=%d", 1);
    log_warn("CODE-W", "n=%d", 2);
    log_info("CODE-I", "n=%d", 3);
    log_debug("CODE-D", "n=%d", 4);
}

static void
level_says_what_is_written(void **state)
{
    (void)state;
    assert_string_equal(said(LOG_LEVEL_OFF, speak_at_every_level), "");
    assert_string_equal(said(LOG_LEVEL_ERROR, speak_at_every_level), "error CODE-E n=1\n");
    assert_string_equal(said(LOG_LEVEL_WARN, speak_at_every_level),
                        "error CODE-E n=1\nwarn CODE-W n=2\n");
    assert_string_equal(said(LOG_LEVEL_DEBUG, speak_at_every_level),
                        "error CODE-E n=1\nwarn CODE-W n=2\ninfo CODE-I n=3\ndebug CODE-D n=4\n");
}

static void
speak_too_much(void)
{
    for (int i = 0; i < 1000; i++)
        log_warn("CODE-LOUD", "i=%d", i);
    log_warn("CODE-CALM", "i=%d", 1);
}

static void
loud_code_is_cut_and_counted(void **state)
{
    (void)state;
    const char *text;
    uint64_t from_ns;
    do { // again where a slow machine took more than the second that is looked at
        from_ns = galleon_now_ns();
        text = said(LOG_LEVEL_WARN, speak_too_much);
    } while (galleon_now_ns() - from_ns >= 1000000000u);
    assert_int_equal(count_of(text, "warn CODE-LOUD"), 20);
    assert_int_equal(count_of(text, "warn CODE-CALM"), 1);
    assert_int_equal(count_of(text, "LOG-LEFT-OUT"), 1);
    assert_non_null(strstr(text, "warn LOG-LEFT-OUT code=CODE-LOUD lines=980\n"));
}

// wait_a_second: nobody sleeps here, until the clock says that the second is over.
static void
wait_a_second(void)
{
    uint64_t until_ns = galleon_now_ns() + 1000000000u;
    while (galleon_now_ns() < until_ns)
        continue;
}

static void
speak_after_a_second(void)
{
    speak_too_much();
    wait_a_second();
    log_warn("CODE-LOUD", "i=%s", "last");
}

static void
next_second_begins_with_what_was_left_out(void **state)
{
    (void)state;
    const char *text = said(LOG_LEVEL_WARN, speak_after_a_second);
    const char *left_out = strstr(text, "LOG-LEFT-OUT code=CODE-LOUD");
    const char *last = strstr(text, "warn CODE-LOUD i=last\n");
    assert_non_null(left_out);
    assert_non_null(last);
    assert_true(left_out < last);
}

static void
catch_up_and_end_without_last_words(void)
{
    uint64_t from_ns = galleon_now_ns();
    speak_too_much();
    log_catch_up(from_ns); // which is too early
    fputs("later\n", stderr);
    wait_a_second();
    log_catch_up(galleon_now_ns());
    log_catch_up(galleon_now_ns()); // says it once
    _exit(0);
}

static void
what_was_left_out_is_said_when_its_second_is_over(void **state)
{
    (void)state;
    const char *text = said(LOG_LEVEL_WARN, catch_up_and_end_without_last_words);
    const char *later = strstr(text, "later\n");
    assert_non_null(later);
    assert_int_equal(count_of(later, "LOG-LEFT-OUT code=CODE-LOUD"), 1);
}

static void
speak_like_a_peer(void)
{
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    log_warn("CODE-PEER", "name=%s", "a\nerror FORGED\x1b[31m\t\x7f");
    log_warn("CODE-PEER", "name=%s", longer);
}

static void
line_stays_one_line_whatever_a_peer_says(void **state)
{
    (void)state;
    const char *text = said(LOG_LEVEL_WARN, speak_like_a_peer);
    assert_memory_equal(text, "warn CODE-PEER name=a?error FORGED?[31m??\n", 42);
    assert_int_equal(count_of(text, "\n"), 2);
    assert_true(strlen(text) < 42 + 1100);
}

static void
level_has_a_name(void **state)
{
    (void)state;
    enum log_level level;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_true(log_level_parse("off", &level));
    assert_int_equal(level, LOG_LEVEL_OFF);
    assert_false(log_level_parse("loud", &level));
    assert_false(log_level_parse("", &level));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_says_what_is_written),
        cmocka_unit_test(loud_code_is_cut_and_counted),
        cmocka_unit_test(next_second_begins_with_what_was_left_out),
        cmocka_unit_test(what_was_left_out_is_said_when_its_second_is_over),
        cmocka_unit_test(line_stays_one_line_whatever_a_peer_says),
        cmocka_unit_test(level_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
