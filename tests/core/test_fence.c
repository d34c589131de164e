// test_fence.c - epochs of one pair only rise; those of another say nothing of it.

#include "fence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static enum fence_verdict
judge(struct fence *fence, uint64_t pair, uint64_t number)
{
    struct mdp_epoch epoch = {pair, number};
    return fence_judge(fence, &epoch);
}

static void
lower_epoch_of_a_pair_is_stale(void **state)
{
    (void)state;
    struct fence fence = {0};
    assert_int_equal(judge(&fence, 1, 5), FENCE_RAISED);
    assert_int_equal(judge(&fence, 1, 5), FENCE_SAME);
    assert_int_equal(judge(&fence, 1, 4), FENCE_STALE);
    assert_int_equal(judge(&fence, 1, 6), FENCE_RAISED);
    assert_int_equal(judge(&fence, 1, 5), FENCE_STALE);
    assert_int_equal(judge(&fence, 1, UINT64_MAX), FENCE_RAISED);
    assert_int_equal(judge(&fence, 1, UINT64_MAX - 1), FENCE_STALE);
}

static void
stale_epoch_lowers_nothing(void **state)
{
    (void)state;
    struct fence fence = {0};
    judge(&fence, 1, 5);
    judge(&fence, 1, 3);
    assert_int_equal(judge(&fence, 1, 4), FENCE_STALE);
    assert_int_equal(judge(&fence, 1, 5), FENCE_SAME);
}

static void
pairs_do_not_judge_each_other(void **state)
{
    (void)state;
    struct fence fence = {0};
    // Pair 0 and epoch 0 are like any other.
    assert_int_equal(judge(&fence, 0, 0), FENCE_RAISED);
    assert_int_equal(judge(&fence, 0, 0), FENCE_SAME);
    assert_int_equal(judge(&fence, 1, 5), FENCE_RAISED);
    assert_int_equal(judge(&fence, 2, 1), FENCE_RAISED);
    assert_int_equal(judge(&fence, 2, 1), FENCE_SAME);
    assert_int_equal(judge(&fence, 1, 4), FENCE_STALE);
    assert_int_equal(judge(&fence, 2, 0), FENCE_STALE);
    assert_int_equal(judge(&fence, 1, 5), FENCE_SAME);
}

static void
as_many_pairs_as_there_is_room_for_are_kept(void **state)
{
    (void)state;
    struct fence fence = {0};
    for (uint64_t pair = 0; pair < FENCE_PAIRS_MAX; pair++)
        assert_int_equal(judge(&fence, pair, 9), FENCE_RAISED);
    // In any order.
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(judge(&fence, i * 7 % FENCE_PAIRS_MAX, 8), FENCE_STALE);
}

static void
pair_not_heard_of_for_longest_makes_room_for_the_next(void **state)
{
    (void)state;
    struct fence fence = {0};
    for (uint64_t pair = 0; pair < FENCE_PAIRS_MAX; pair++)
        judge(&fence, pair, 9);
    judge(&fence, 0, 9); // so that pair 1 is the one
    assert_int_equal(judge(&fence, 100, 1), FENCE_RAISED);
    assert_int_equal(judge(&fence, 100, 0), FENCE_STALE);
    assert_int_equal(judge(&fence, 0, 8), FENCE_STALE);
    for (uint64_t pair = 2; pair < FENCE_PAIRS_MAX; pair++)
        assert_int_equal(judge(&fence, pair, 8), FENCE_STALE);
    assert_int_equal(judge(&fence, 1, 8), FENCE_RAISED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lower_epoch_of_a_pair_is_stale),
        cmocka_unit_test(stale_epoch_lowers_nothing),
        cmocka_unit_test(pairs_do_not_judge_each_other),
        cmocka_unit_test(as_many_pairs_as_there_is_room_for_are_kept),
        cmocka_unit_test(pair_not_heard_of_for_longest_makes_room_for_the_next),
    };
    return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
