// test_vigil.c - what a worker makes of its server's silence.

#include "vigil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;

// hear is a message at this time, as a worker takes it that was looking since back_ms.
static void
hear(struct vigil *vigil, uint64_t back_ms, uint64_t at_ms)
{
    vigil_measure(vigil, back_ms * ms, at_ms * ms);
    heartbeat_heard(&vigil->beat, at_ms * ms);
}

static bool
is_lost(struct vigil *vigil, bool is_judged, uint64_t at_ms)
{
    heartbeat_spoke(&vigil->beat, at_ms * ms);
    return vigil_check(vigil, is_judged, at_ms * ms) == HEARTBEAT_LOST;
}

static void
silent_server_is_lost_after_its_patience(void **state)
{
    (void)state;
    struct vigil vigil;
    vigil_begin(&vigil, 1000 * ms, 3, 5000 * ms);
    assert_false(is_lost(&vigil, true, 8000));
    assert_true(is_lost(&vigil, true, 8001));
    assert_int_equal(vigil_check(&vigil, true, 8000 * ms), HEARTBEAT_REST);
    assert_int_equal(vigil_deadline(&vigil, true), 8000 * ms + 1);
}

static void
longest_gap_is_the_servers_interval(void **state)
{
    (void)state;
    struct vigil vigil;
    vigil_begin(&vigil, 1000 * ms, 3, 0);
    hear(&vigil, 0, 2000);
    hear(&vigil, 0, 2500);
    assert_false(is_lost(&vigil, true, 8500));
    assert_true(is_lost(&vigil, true, 8501));
    // It counts up to a minute.
    hear(&vigil, 0, 1000000);
    assert_false(is_lost(&vigil, true, 1180000));
    assert_true(is_lost(&vigil, true, 1180001));
}

static void
gap_counts_only_where_we_were_looking(void **state)
{
    (void)state;
    struct vigil vigil;
    vigil_begin(&vigil, 1000 * ms, 3, 0);
    hear(&vigil, 20000, 20000); // we came back only then
    assert_true(is_lost(&vigil, true, 23001));
}

static void
silence_with_a_request_here_is_no_gap_and_no_loss(void **state)
{
    (void)state;
    struct vigil vigil;
    vigil_begin(&vigil, 1000 * ms, 3, 0);
    vigil_hold(&vigil);
    assert_false(is_lost(&vigil, false, 50000));
    hear(&vigil, 0, 50000);
    vigil_let_go(&vigil, 60000 * ms); // from now on it has to beat
    assert_false(is_lost(&vigil, true, 63000));
    assert_true(is_lost(&vigil, true, 63001));
}

static void
letting_go_of_nothing_is_no_sign_of_life(void **state)
{
    (void)state;
    struct vigil vigil;
    vigil_begin(&vigil, 1000 * ms, 3, 0);
    vigil_let_go(&vigil, 3000 * ms);
    assert_true(is_lost(&vigil, true, 3001));
}

static void
our_turn_to_speak_comes_whoever_is_judged(void **state)
{
    (void)state;
    struct vigil vigil;
    vigil_begin(&vigil, 1000 * ms, 3, 0);
    assert_int_equal(vigil_deadline(&vigil, false), 1000 * ms);
    assert_int_equal(vigil_check(&vigil, false, 1000 * ms), HEARTBEAT_SPEAK);
    assert_int_equal(vigil_check(&vigil, true, 1000 * ms), HEARTBEAT_SPEAK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_server_is_lost_after_its_patience),
        cmocka_unit_test(longest_gap_is_the_servers_interval),
        cmocka_unit_test(gap_counts_only_where_we_were_looking),
        cmocka_unit_test(silence_with_a_request_here_is_no_gap_and_no_loss),
        cmocka_unit_test(letting_go_of_nothing_is_no_sign_of_life),
        cmocka_unit_test(our_turn_to_speak_comes_whoever_is_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
