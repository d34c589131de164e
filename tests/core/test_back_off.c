// test_back_off.c - a wait anywhere below a bound, which doubles.

#include "back_off.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { DRAWS = 400 };

static const uint64_t ms_ns = 1000000;
static const uint8_t seed[32] = {7};

static void
bound_doubles_with_each_failure_up_to_the_most(void **state)
{
    (void)state;
    static const uint64_t bounds_ms[] = {100, 200, 400, 800, 1000, 1000};
    uint64_t most_ns[6] = {0};
    struct prng prng;
    prng_init(&prng, seed, 1);
    for (int draw = 0; draw < DRAWS; draw++) {
        struct back_off back_off = {0};
        for (int i = 0; i < 6; i++) {
            uint64_t wait_ns = back_off_draw_ns(&back_off, &prng, 100, 1000);
            assert_true(wait_ns <= bounds_ms[i] * ms_ns);
            most_ns[i] = wait_ns > most_ns[i] ? wait_ns : most_ns[i];
        }
    }
    // Full jitter: all of the range is used.
    for (int i = 0; i < 6; i++)
        assert_true(most_ns[i] > bounds_ms[i] * ms_ns * 9 / 10);
}

static void
success_begins_at_the_least_again(void **state)
{
    (void)state;
    struct prng prng;
    struct back_off back_off = {0};
    prng_init(&prng, seed, 1);
    for (int draw = 0; draw < DRAWS; draw++) {
        for (int i = 0; i < 8; i++)
            (void)back_off_draw_ns(&back_off, &prng, 10, 100000);
        back_off_forget(&back_off);
        assert_true(back_off_draw_ns(&back_off, &prng, 10, 100000) <= 10 * ms_ns);
        back_off_forget(&back_off);
    }
}

static void
bound_does_not_overflow(void **state)
{
    (void)state;
    struct prng prng;
    struct back_off back_off = {.failures = UINT32_MAX - 1};
    prng_init(&prng, seed, 1);
    assert_true(back_off_draw_ns(&back_off, &prng, 1, UINT32_MAX) <= UINT32_MAX * ms_ns);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bound_doubles_with_each_failure_up_to_the_most),
        cmocka_unit_test(success_begins_at_the_least_again),
        cmocka_unit_test(bound_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
