// test_view.c - views compare by content, and an empty one needs no memory.

#include "view.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
equal_bytes_at_two_places_are_equal(void **state)
{
    (void)state;
    char one[] = "echo", other[] = "echo";
    assert_true(view_equals(view_of(one, 4), view_of(other, 4)));
}

static void
view_differs_from_its_own_beginning(void **state)
{
    (void)state;
    assert_false(view_equals(VIEW_LITERAL("echo"), VIEW_LITERAL("ech")));
}

static void
bytes_after_a_nul_count(void **state)
{
    (void)state;
    assert_false(view_equals(VIEW_LITERAL("a\0b"), VIEW_LITERAL("a\0c")));
}

static void
all_empty_views_are_equal(void **state)
{
    (void)state;
    assert_true(view_equals(VIEW_NONE, VIEW_LITERAL("")));
}

static void
literal_leaves_its_nul_out(void **state)
{
    (void)state;
    assert_int_equal(VIEW_LITERAL("echo").size, 4);
}

static void
text_starts_with_itself(void **state)
{
    (void)state;
    assert_true(view_starts_with(VIEW_LITERAL("mmi."), VIEW_LITERAL("mmi.")));
}

static void
text_does_not_start_with_what_is_longer(void **state)
{
    (void)state;
    assert_false(view_starts_with(VIEW_LITERAL("mmi"), VIEW_LITERAL("mmi.")));
}

static void
text_does_not_start_with_other_bytes(void **state)
{
    (void)state;
    assert_false(view_starts_with(VIEW_LITERAL("mmx.service"), VIEW_LITERAL("mmi.")));
}

static void
everything_starts_with_nothing(void **state)
{
    (void)state;
    assert_true(view_starts_with(VIEW_NONE, VIEW_NONE));
    assert_true(view_starts_with(VIEW_LITERAL("a"), VIEW_NONE));
}

static void
skip_takes_bytes_off_the_front(void **state)
{
    (void)state;
    assert_true(view_equals(view_skip(VIEW_LITERAL("MDPC01"), 3), VIEW_LITERAL("C01")));
}

static void
skip_of_everything_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(view_skip(VIEW_LITERAL("abc"), 3).size, 0);
    assert_int_equal(view_skip(VIEW_NONE, 0).size, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bytes_at_two_places_are_equal),
        cmocka_unit_test(view_differs_from_its_own_beginning),
        cmocka_unit_test(bytes_after_a_nul_count),
        cmocka_unit_test(all_empty_views_are_equal),
        cmocka_unit_test(literal_leaves_its_nul_out),
        cmocka_unit_test(text_starts_with_itself),
        cmocka_unit_test(text_does_not_start_with_what_is_longer),
        cmocka_unit_test(text_does_not_start_with_other_bytes),
        cmocka_unit_test(everything_starts_with_nothing),
        cmocka_unit_test(skip_takes_bytes_off_the_front),
        cmocka_unit_test(skip_of_everything_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
