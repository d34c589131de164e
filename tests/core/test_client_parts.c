// test_client_parts.c - answers in parts: gathered or handed out, begun again, incomplete.

#include "client_rig.h"

#include <galleon/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { A, B, C };

static void
parts_are_gathered_in_front_of_the_final(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_partial(rig, A, id, 1, "two");
    assert_int_equal(rig->answer_count, 0);
    rig_final(rig, A, id, 200, 2, "three");
    // The cargo of the parts, then the body of the final.
    rig_assert_answer(rig, id, GALLEON_OK, 200, "one|two|three");
    rig_free(rig);
}

static void
second_first_part_starts_the_answer_again(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "old one");
    rig_partial(rig, A, id, 1, "old two");
    rig_partial(rig, A, id, 0, "one");
    rig_final(rig, A, id, 200, 1, "two");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "one|two");

    id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "old");
    rig_final(rig, A, id, 200, 0, "whole"); // and so does an answer without parts
    rig_assert_answer(rig, id, GALLEON_OK, 200, "whole");
    rig_free(rig);
}

static void
answer_with_a_missing_part_is_no_answer_for_its_attempt(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_partial(rig, A, id, 2, "three"); // the second was lost
    rig_final(rig, A, id, 200, 3, "four");
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(client_core_stats(rig->core)->answers_incomplete, 2);

    rig_until(rig, 2500); // the next attempt
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 2);
    rig_partial(rig, A, id, 0, "one");
    rig_partial(rig, A, id, 1, "two");
    rig_final(rig, A, id, 200, 2, "three");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "one|two|three");
    rig_free(rig);
}

// The broker has the request, and drops the repeat: what it sends meanwhile is the answer.
static void
parts_that_come_while_the_repeat_waits_are_taken(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "of a worker that is lost");
    rig_forget(rig);
    rig_until(rig, 2500);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 1);
    struct rig_sent refused = rig->sent[rig->sent_count - 1];
    rig_unsent(rig, &refused);
    assert_int_equal(client_core_waiting_count(rig->core), 1);
    rig_partial(rig, A, id, 0, "one");
    rig_until(rig, rig_ms(rig) + 5);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 2);
    rig_partial(rig, A, id, 1, "two");
    rig_final(rig, A, id, 200, 2, "three");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "one|two|three");
    rig_free(rig);
}

static void
parts_of_a_cut_connection_are_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_partial(rig, A, id, 1, "two");
    rig_down(rig, A);
    rig_up(rig, B);
    rig_partial(rig, B, id, 0, "uno");
    rig_final(rig, B, id, 200, 1, "due");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "uno|due");
    rig_free(rig);
}

static void
parts_of_the_endpoint_that_was_left_do_not_mix_in(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_until(rig, 2500);
    rig_up(rig, B);
    rig_partial(rig, A, id, 1, "two");
    rig_partial(rig, B, id, 0, "uno");
    rig_final(rig, A, id, 200, 2, "three"); // what it needs was dropped
    assert_int_equal(rig->answer_count, 0);
    rig_final(rig, B, id, 200, 1, "due");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "uno|due");
    rig_free(rig);
}

static void
error_after_parts_is_an_answer_without_them(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_final(rig, A, id, 502, 1, "the worker was lost");
    rig_assert_answer(rig, id, GALLEON_REFUSED, 502, "");
    rig_free(rig);
}

static void
each_part_begins_the_time_of_the_attempt_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig->config.deadline_ms = 20000;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "stream");
    for (uint32_t seq = 0; seq < 8; seq++) {
        rig_until(rig, rig_ms(rig) + 2000);
        rig_partial(rig, A, id, seq, "x");
    }
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 1);
    rig_until(rig, 20000); // the deadline stays
    rig_assert_answer(rig, id, GALLEON_TIMED_OUT, 0, "");
    rig_free(rig);
}

static void
answer_above_the_limit_ends_its_call(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig->config.answer_bytes_max = 7;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "stream");
    rig_partial(rig, A, id, 0, "four");
    rig_partial(rig, A, id, 1, "four");
    rig_assert_answer(rig, id, GALLEON_REFUSED, 413, "");
    assert_int_equal(rig_last_sent(rig)->command, MDP_CANCEL);
    rig_partial(rig, A, id, 2, "four");
    assert_int_equal(rig->live, 0);
    rig_free(rig);
}

static void
parts_can_be_handed_out_as_they_come(void **state)
{
    (void)state;
    struct rig *rig = rig_that_hands_out(2);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_assert_answer(rig, id, GALLEON_PENDING, 0, "one");
    assert_int_equal(rig_last_answer(rig)->seq, 0);
    rig_partial(rig, A, id, 1, "two");
    assert_int_equal(rig_last_answer(rig)->seq, 1);
    rig_partial(rig, A, id, 3, "four"); // a hole: not handed out
    assert_int_equal(rig->answer_count, 2);

    rig_down(rig, A);
    rig_up(rig, B);
    rig_partial(rig, B, id, 0, "uno"); // it starts again, and the number says so
    assert_int_equal(rig_last_answer(rig)->seq, 0);
    rig_final(rig, B, id, 200, 1, "due");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "due");
    rig_free(rig);
}

static void
whole_answer_of_the_endpoint_that_was_left_does_not_follow_handed_out_parts(void **state)
{
    (void)state;
    struct rig *rig = rig_that_hands_out(2);
    uint64_t id = rig_call(rig, "list");
    rig_until(rig, 2500);
    rig_up(rig, B);
    rig_partial(rig, B, id, 0, "uno");
    rig_final(rig, A, id, 200, 0, "whole");
    assert_int_equal(rig->answer_count, 1);
    rig_final(rig, B, id, 200, 1, "due");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "due");
    rig_free(rig);
}

static void
count_of_parts_is_modulo_65536(void **state)
{
    (void)state;
    struct rig *rig = rig_that_hands_out(1);
    uint64_t id = rig_call(rig, "stream");
    for (uint32_t seq = 0; seq < 65537; seq++)
        rig_partial(rig, A, id, seq, "x");
    rig_final(rig, A, id, 200, 0, "no");
    assert_true(client_core_is_open(rig->core, id));
    rig_final(rig, A, id, 200, 1, "yes");
    assert_false(client_core_is_open(rig->core, id));
    rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_gathered_in_front_of_the_final),
        cmocka_unit_test(second_first_part_starts_the_answer_again),
        cmocka_unit_test(answer_with_a_missing_part_is_no_answer_for_its_attempt),
        cmocka_unit_test(parts_that_come_while_the_repeat_waits_are_taken),
        cmocka_unit_test(parts_of_a_cut_connection_are_dropped),
        cmocka_unit_test(parts_of_the_endpoint_that_was_left_do_not_mix_in),
        cmocka_unit_test(error_after_parts_is_an_answer_without_them),
        cmocka_unit_test(each_part_begins_the_time_of_the_attempt_again),
        cmocka_unit_test(answer_above_the_limit_ends_its_call),
        cmocka_unit_test(parts_can_be_handed_out_as_they_come),
        cmocka_unit_test(
            whole_answer_of_the_endpoint_that_was_left_does_not_follow_handed_out_parts),
        cmocka_unit_test(count_of_parts_is_modulo_65536),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
