// test_must.c - a broken invariant is told to the hook, and then the process ends.

#include "must.h"

#include "ending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int pipe_ends[2];
static int evaluations;

// tell writes what it was told into the pipe.
static void
tell(const char *file, int line, const char *condition)
{
    dprintf(pipe_ends[1], "%s %d %s", strrchr(file, '/') + 1, line, condition);
}

static void
break_an_invariant(void)
{
    must(1 + 1 == 3);
}

static void
break_an_invariant_with_a_hook(void)
{
    must_set_hook(tell);
#line 4711
    must(1 + 1 == 3);
}

static void
keep_an_invariant(void)
{
    must_set_hook(tell);
    must(1 + 1 == 2);
}

static void
broken_invariant_ends_the_process(void **state)
{
    (void)state;
    assert_true(ends_by_must(break_an_invariant));
}

static void
kept_invariant_does_nothing(void **state)
{
    (void)state;
    assert_false(ends_by_must(keep_an_invariant));
}

static void
hook_is_told_file_line_and_condition_first(void **state)
{
    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_true(ends_by_must(break_an_invariant_with_a_hook));
    close(pipe_ends[1]);
    char told[100] = "";
    assert_true(read(pipe_ends[0], told, sizeof told - 1) > 0);
    close(pipe_ends[0]);
    assert_string_equal(told, "test_must.c 4711 1 + 1 == 3");
}

static void
condition_is_evaluated_once(void **state)
{
    (void)state;
    must(++evaluations == 1);
    assert_int_equal(evaluations, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_invariant_ends_the_process),
        cmocka_unit_test(kept_invariant_does_nothing),
        cmocka_unit_test(hook_is_told_file_line_and_condition_first),
        cmocka_unit_test(condition_is_evaluated_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
