// test_prng.c - numbers follow from the seed, and stay below their bound.

#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t seed[32] = {1, 2, 3};

static struct prng
new_prng(uint64_t purpose)
{
    struct prng prng;
    prng_init(&prng, seed, purpose);
    return prng;
}

static void
same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct prng one = new_prng(1), other = new_prng(1);
    for (int i = 0; i < 1000; i++)
        assert_true(prng_next(&one) == prng_next(&other));
}

static void
another_seed_gives_other_numbers(void **state)
{
    (void)state;
    struct prng one = new_prng(1), other;
    prng_init(&other, (const uint8_t[32]){1, 2, 4}, 1);
    assert_true(prng_next(&one) != prng_next(&other));
}

static void
another_purpose_gives_other_numbers(void **state)
{
    (void)state;
    struct prng one = new_prng(1), other = new_prng(2);
    assert_true(prng_next(&one) != prng_next(&other));
}

static void
numbers_do_not_repeat_soon(void **state)
{
    (void)state;
    struct prng prng = new_prng(1);
    uint64_t seen[200];
    for (int i = 0; i < 200; i++) {
        seen[i] = prng_next(&prng);
        for (int k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    }
}

static void
number_below_zero_or_one_is_zero(void **state)
{
    (void)state;
    struct prng prng = new_prng(1);
    assert_int_equal(prng_below(&prng, 0), 0);
    assert_int_equal(prng_below(&prng, 1), 0);
}

static void
every_number_below_its_bound_comes_about_as_often(void **state)
{
    (void)state;
    struct prng prng = new_prng(1);
    int counts[10] = {0};
    for (int i = 0; i < 10000; i++) {
        uint64_t number = prng_below(&prng, 10);
        assert_in_range(number, 0, 9);
        counts[number]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
}

static void
greatest_bound_is_kept(void **state)
{
    (void)state;
    struct prng prng = new_prng(1);
    uint64_t greatest = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = prng_below(&prng, UINT64_MAX);
        assert_true(number < UINT64_MAX);
        greatest = number > greatest ? number : greatest;
    }
    assert_true(greatest > UINT64_MAX / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_gives_the_same_numbers),
        cmocka_unit_test(another_seed_gives_other_numbers),
        cmocka_unit_test(another_purpose_gives_other_numbers),
        cmocka_unit_test(numbers_do_not_repeat_soon),
        cmocka_unit_test(number_below_zero_or_one_is_zero),
        cmocka_unit_test(every_number_below_its_bound_comes_about_as_often),
        cmocka_unit_test(greatest_bound_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
