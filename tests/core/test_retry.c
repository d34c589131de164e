// test_retry.c - endpoints in turn, and a pause where the whole list has failed.

#include "later.h"
#include "retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;
static const uint8_t seed[32] = "the seed of the retries";

static struct retry
retry_of(uint32_t endpoint_count, uint64_t back_off_ms_max)
{
    struct retry retry;
    retry_init(&retry, endpoint_count, back_off_ms_max * ms, seed);
    return retry;
}

// pause_after fails once more, and is how long the pause is then.
static uint64_t
pause_after(struct retry *retry, uint64_t now_ns)
{
    retry_failed(retry, now_ns, 0);
    assert_true(retry->resume_ns >= now_ns);
    return retry->resume_ns - now_ns;
}

static void
endpoints_take_turns(void **state)
{
    (void)state;
    struct retry retry = retry_of(3, 0);
    assert_int_equal(retry_next(&retry, 0), 1);
    assert_int_equal(retry_next(&retry, 1), 2);
    assert_int_equal(retry_next(&retry, 2), 0);
    struct retry alone = retry_of(1, 0);
    assert_int_equal(retry_next(&alone, 0), 0);
}

static void
next_endpoint_is_tried_at_once_and_the_list_again_after_a_pause(void **state)
{
    (void)state;
    struct retry retry = retry_of(3, 2000);
    assert_false(retry_ends_round(&retry));
    assert_true(pause_after(&retry, 1000 * ms) == 0);
    assert_false(retry_ends_round(&retry));
    assert_true(pause_after(&retry, 1000 * ms) == 0);
    assert_true(retry_ends_round(&retry));
    assert_in_range(pause_after(&retry, 1000 * ms), 50 * ms, 100 * ms);
    assert_true(pause_after(&retry, 2000 * ms) == 0);
}

static void
pause_doubles_with_each_round_up_to_its_most(void **state)
{
    (void)state;
    static const uint64_t most_ms[] = {100, 200, 400, 500, 500, 500};
    struct retry retry = retry_of(2, 500);
    for (size_t i = 0; i < sizeof most_ms / sizeof *most_ms; i++) {
        assert_true(pause_after(&retry, 7 * ms) == 0);
        assert_in_range(pause_after(&retry, 7 * ms), most_ms[i] * ms / 2, most_ms[i] * ms);
    }
    for (int i = 0; i < 200; i++)
        assert_in_range(pause_after(&retry, 7 * ms) + pause_after(&retry, 7 * ms), 250 * ms,
                        500 * ms);
}

static void
refuse(struct retry *retry, uint64_t now_ns)
{
    retry_refused(retry);
    retry_failed(retry, now_ns, 0);
}

// Two halves of a pair agree within a second or two on who serves: whoever asks them is to
// hear of it soon.
static void
pause_is_not_doubled_at_first_where_somebody_is_there_and_does_not_serve(void **state)
{
    (void)state;
    struct retry retry = retry_of(2, 2000);
    uint64_t now_ns = 5000 * ms;
    size_t asked = 0;
    for (; now_ns < 7000 * ms; asked++) {
        refuse(&retry, now_ns);
        assert_in_range(pause_after(&retry, now_ns), 50 * ms, 100 * ms);
        assert_true(retry_patience_ns(&retry) == 250 * ms || now_ns >= 6900 * ms);
        now_ns = retry.resume_ns;
    }
    assert_in_range(asked, 20, 40);
    refuse(&retry, now_ns);
    assert_in_range(pause_after(&retry, now_ns), 50 * ms, 200 * ms);
    refuse(&retry, now_ns);
    assert_in_range(pause_after(&retry, now_ns), 100 * ms, 400 * ms);
    refuse(&retry, now_ns);
    assert_in_range(pause_after(&retry, now_ns), 200 * ms, 800 * ms);

    // One round in which nobody was there doubles it as ever.
    retry_answered(&retry);
    pause_after(&retry, now_ns);
    assert_in_range(pause_after(&retry, now_ns), 50 * ms, 100 * ms);
    refuse(&retry, now_ns);
    assert_in_range(pause_after(&retry, now_ns), 100 * ms, 200 * ms);
    pause_after(&retry, now_ns);
    assert_in_range(pause_after(&retry, now_ns), 100 * ms, 200 * ms);
    pause_after(&retry, now_ns);
    assert_in_range(pause_after(&retry, now_ns), 200 * ms, 400 * ms);
}

static void
most_below_the_first_pause_is_kept(void **state)
{
    (void)state;
    struct retry retry = retry_of(1, 10);
    for (int i = 0; i < 20; i++)
        assert_in_range(pause_after(&retry, 0), 5 * ms, 10 * ms);
}

static void
without_back_off_there_is_no_pause_but_the_one_asked_for(void **state)
{
    (void)state;
    struct retry retry = retry_of(1, 0);
    for (int i = 0; i < 100; i++)
        assert_true(pause_after(&retry, 5 * ms) == 0);
    retry_failed(&retry, 5 * ms, 3 * ms);
    assert_true(retry.resume_ns == 8 * ms);
}

static void
answer_makes_the_list_a_fresh_one(void **state)
{
    (void)state;
    struct retry retry = retry_of(2, 2000);
    for (int i = 0; i < 9; i++)
        pause_after(&retry, 0);
    retry_answered(&retry);
    assert_true(pause_after(&retry, 0) == 0);
    assert_in_range(pause_after(&retry, 0), 50 * ms, 100 * ms);
    retry_at_once(&retry, 1 * ms);
    assert_true(retry.resume_ns == 1 * ms);
}

static void
pauses_of_two_clients_differ_and_those_of_one_seed_do_not(void **state)
{
    (void)state;
    struct retry one = retry_of(1, 2000);
    struct retry same = retry_of(1, 2000);
    struct retry other;
    retry_init(&other, 1, 2000 * ms, (const uint8_t[32]){1});
    unsigned differences = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t pause_ns = pause_after(&one, 0);
        assert_true(pause_after(&same, 0) == pause_ns);
        differences += pause_after(&other, 0) != pause_ns;
    }
    assert_in_range(differences, 8, 10);
}

static void
patience_doubles_with_each_round_and_has_no_end_without_another_endpoint(void **state)
{
    (void)state;
    static const uint64_t patience_ms[] = {250, 500, 1000, 2000, 2000};
    struct retry retry = retry_of(2, 0);
    for (size_t i = 0; i < sizeof patience_ms / sizeof *patience_ms; i++) {
        assert_true(retry_patience_ns(&retry) == patience_ms[i] * ms);
        pause_after(&retry, 0);
        assert_true(retry_patience_ns(&retry) == patience_ms[i] * ms);
        pause_after(&retry, 0);
    }
    struct retry alone = retry_of(1, 0);
    assert_true(retry_patience_ns(&alone) == UINT64_MAX);
}

static void
time_does_not_wrap(void **state)
{
    (void)state;
    struct retry retry = retry_of(1, 0);
    retry_failed(&retry, UINT64_MAX - 1, 5);
    assert_true(retry.resume_ns == UINT64_MAX);
    assert_true(later_ns(UINT64_MAX, 1) == UINT64_MAX);
    assert_true(later_ns(1, 2) == 3);
    assert_in_range(retry_between(&retry, 3, 4), 3, 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_take_turns),
        cmocka_unit_test(next_endpoint_is_tried_at_once_and_the_list_again_after_a_pause),
        cmocka_unit_test(pause_doubles_with_each_round_up_to_its_most),
        cmocka_unit_test(pause_is_not_doubled_at_first_where_somebody_is_there_and_does_not_serve),
        cmocka_unit_test(most_below_the_first_pause_is_kept),
        cmocka_unit_test(without_back_off_there_is_no_pause_but_the_one_asked_for),
        cmocka_unit_test(answer_makes_the_list_a_fresh_one),
        cmocka_unit_test(pauses_of_two_clients_differ_and_those_of_one_seed_do_not),
        cmocka_unit_test(patience_doubles_with_each_round_and_has_no_end_without_another_endpoint),
        cmocka_unit_test(time_does_not_wrap),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
