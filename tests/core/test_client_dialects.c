// test_client_dialects.c - a client core in 0.1 and 0.2, which know no ids, and in `auto`.

#include "client_rig.h"

#include <galleon/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { A, B };

static struct rig *
serving(mdp_dialect_t dialect, size_t endpoints)
{
    struct rig *rig = rig_new(dialect, endpoints);
    rig_start(rig);
    rig_up(rig, A);
    return rig;
}

static void
reply(struct rig *rig, const char *service, const char *body)
{
    rig_reply(rig, A, MDP_01, MDP_FINAL, service, body);
}

static void
assert_answer(const struct rig *rig, uint64_t id, int result, int status, const char *body)
{
    const struct rig_answer *answer = rig_last_answer(rig);
    assert_true(answer->id == id);
    assert_int_equal(answer->result, result);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->body, body);
}

// ---- 0.1 ---------------------------------------------------------------------------------

static void
one_request_is_out_at_a_time_and_the_rest_waits_in_order(void **state)
{
    (void)state;
    static const char *const services[] = {"one", "two", "three"};
    struct rig *rig = serving(MDP_01, 1);
    for (size_t i = 0; i < 3; i++)
        rig_call(rig, services[i]);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig->sent_count, i + 1);
        assert_int_equal(rig->sent[i].dialect, MDP_01);
        assert_true(rig->sent[i].has_delimiter);
        assert_string_equal(rig->sent[i].service, services[i]);
        reply(rig, services[i], "x");
        assert_answer(rig, i + 1, GALLEON_OK, 200, "x");
    }
    assert_int_equal(rig->opened[A], 1);
    rig_free(rig);
}

static void
reply_for_another_service_is_dropped_and_the_call_goes_on(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_01, 1);
    uint64_t id = rig_call(rig, "echo");
    reply(rig, "ech", "x");
    reply(rig, "echoo", "x");
    rig_reply(rig, A, MDP_02, MDP_FINAL, "echo", "x");
    rig_final(rig, A, id, 200, 0, "x");
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(client_core_stats(rig->core)->answers_not_ours, 4);
    reply(rig, "echo", "y");
    assert_answer(rig, id, GALLEON_OK, 200, "y");
    rig_free(rig);
}

static void
timeout_replaces_the_connection_so_that_a_late_answer_is_nobodys(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_01, 1);
    uint64_t id = rig_call(rig, "echo");
    uint64_t next = rig_call(rig, "echo");
    rig_until(rig, 2499);
    assert_int_equal(rig->opened[A], 1);
    rig_until(rig, 2500);
    assert_int_equal(rig->opened[A], 2);
    rig_up(rig, A);
    assert_int_equal(rig->sent_count, 2);
    reply(rig, "echo", "for the first");
    assert_answer(rig, id, GALLEON_OK, 200, "for the first");
    assert_int_equal(rig->sent_count, 3);
    assert_int_equal(rig->opened[A], 2);
    reply(rig, "echo", "for the next");
    assert_answer(rig, next, GALLEON_OK, 200, "for the next");
    rig_free(rig);
}

static void
call_given_up_in_silence_frees_the_way_for_the_next(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_01, 1);
    rig->config.deadline_ms = 3000;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 2500);
    rig_up(rig, A);
    rig_until(rig, 2900);
    uint64_t next = rig_call(rig, "echo");
    rig_until(rig, 3000);
    assert_answer(rig, id, GALLEON_TIMED_OUT, 0, "");
    // What was out may still be answered: over a connection nobody listens to.
    assert_int_equal(rig->opened[A], 3);
    rig_up(rig, A);
    reply(rig, "echo", "y");
    assert_answer(rig, next, GALLEON_OK, 200, "y");
    rig_free(rig);
}

static void
timeout_goes_to_the_next_endpoint(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_01, 2);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 2500);
    assert_false(rig->is_open[A]);
    rig_up(rig, B);
    assert_int_equal(rig_last_sent(rig)->endpoint, B);
    rig_reply(rig, B, MDP_01, MDP_FINAL, "echo", "x");
    assert_answer(rig, id, GALLEON_OK, 200, "x");
    rig_free(rig);
}

static void
cancelled_request_that_is_out_costs_its_connection_once_it_is_needed(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_01, 1);
    rig_cancel(rig, rig_call(rig, "echo"));
    assert_int_equal(rig->sent_count, 1); // 0.1 has no CANCEL
    assert_int_equal(rig->opened[A], 1);
    reply(rig, "echo", "for the cancelled");
    assert_int_equal(rig->answer_count, 0);

    uint64_t id = rig_call(rig, "echo");
    assert_int_equal(rig->opened[A], 2);
    assert_int_equal(rig->sent_count, 1);
    rig_up(rig, A);
    assert_int_equal(rig->sent_count, 2);
    reply(rig, "echo", "x");
    assert_answer(rig, id, GALLEON_OK, 200, "x");
    rig_free(rig);
}

static void
stray_reply_makes_the_connection_suspect(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_01, 1);
    uint64_t first = rig_call(rig, "echo");
    reply(rig, "echo", "x");
    reply(rig, "echo", "x again"); // a broker that answers twice
    assert_int_equal(rig->answer_count, 1);
    assert_answer(rig, first, GALLEON_OK, 200, "x");

    uint64_t second = rig_call(rig, "echo");
    assert_int_equal(rig->opened[A], 2);
    rig_up(rig, A);
    reply(rig, "echo", "y");
    assert_answer(rig, second, GALLEON_OK, 200, "y");
    rig_free(rig);
}

static void
cut_connection_sends_the_open_request_again(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_01, 2);
    uint64_t id = rig_call(rig, "one");
    rig_call(rig, "two");
    rig_down(rig, A);
    rig_up(rig, B);
    assert_true(rig->sent_count == 2);
    assert_string_equal(rig_last_sent(rig)->service, "one");
    rig_reply(rig, B, MDP_01, MDP_FINAL, "one", "x");
    assert_answer(rig, id, GALLEON_OK, 200, "x");
    assert_string_equal(rig_last_sent(rig)->service, "two");
    rig_free(rig);
}

static void
refused_request_is_sent_again_before_the_others(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_01, 1);
    rig_call(rig, "one");
    rig_call(rig, "two");
    rig_unsent(rig, rig_last_sent(rig));
    rig_until(rig, 5);
    assert_int_equal(rig->sent_count, 2);
    assert_string_equal(rig_last_sent(rig)->service, "one");
    assert_int_equal(rig->opened[A], 1);
    rig_free(rig);
}

// ---- 0.2 ---------------------------------------------------------------------------------

static void
partials_of_02_are_gathered_in_the_order_they_come(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_02, 1);
    uint64_t id = rig_call(rig, "list");
    assert_false(rig_last_sent(rig)->has_delimiter);
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_02);
    rig_reply(rig, A, MDP_02, MDP_PARTIAL, "list", "one");
    rig_reply(rig, A, MDP_02, MDP_PARTIAL, "another", "not ours");
    rig_reply(rig, A, MDP_02, MDP_PARTIAL, "list", "two|three");
    rig_reply(rig, A, MDP_02, MDP_FINAL, "list", "four");
    assert_answer(rig, id, GALLEON_OK, 200, "one|two|three|four");
    rig_free(rig);
}

static void
answer_of_02_without_a_part_that_found_no_memory_is_none(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_02, 1);
    uint64_t id = rig_call(rig, "list");
    rig_reply(rig, A, MDP_02, MDP_PARTIAL, "list", "one");
    rig->is_out_of_memory = true;
    rig_reply(rig, A, MDP_02, MDP_PARTIAL, "list", "two");
    rig->is_out_of_memory = false;
    rig_reply(rig, A, MDP_02, MDP_FINAL, "list", "three");
    assert_true(client_core_is_open(rig->core, id));

    rig_until(rig, 2500); // the next attempt
    rig_up(rig, A);
    rig_reply(rig, A, MDP_02, MDP_FINAL, "list", "whole");
    assert_answer(rig, id, GALLEON_OK, 200, "whole");
    rig_free(rig);
}

static void
end_of_an_answer_says_how_many_parts_belong_to_it(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 2);
    rig->config.hands_out_parts = true;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_final(rig, A, id, 200, 1, "two");
    assert_int_equal(rig_last_answer(rig)->seq, 1);

    id = rig_call(rig, "list");
    rig_partial(rig, A, id, 0, "one");
    rig_down(rig, A);
    rig_up(rig, B);
    rig_final(rig, B, id, 200, 0, "whole"); // another run, which has no parts
    assert_answer(rig, id, GALLEON_OK, 200, "whole");
    assert_int_equal(rig_last_answer(rig)->seq, 0);
    rig_free(rig);
}

static void
partials_of_02_are_handed_out_with_their_number(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_02, 1);
    rig->config.hands_out_parts = true;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "list");
    for (uint32_t seq = 0; seq < 3; seq++) {
        rig_reply(rig, A, MDP_02, MDP_PARTIAL, "list", "x");
        assert_answer(rig, id, GALLEON_PENDING, 0, "x");
        assert_int_equal(rig_last_answer(rig)->seq, seq);
    }
    rig_reply(rig, A, MDP_02, MDP_FINAL, "list", "end");
    assert_answer(rig, id, GALLEON_OK, 200, "end");
    rig_free(rig);
}

static void
parts_of_02_before_a_timeout_are_dropped_with_their_connection(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_02, 1);
    uint64_t id = rig_call(rig, "list");
    rig_reply(rig, A, MDP_02, MDP_PARTIAL, "list", "old");
    rig_until(rig, 2500);
    assert_int_equal(rig->opened[A], 2);
    rig_up(rig, A);
    rig_reply(rig, A, MDP_02, MDP_PARTIAL, "list", "one");
    rig_reply(rig, A, MDP_02, MDP_FINAL, "list", "two");
    assert_answer(rig, id, GALLEON_OK, 200, "one|two");
    rig_free(rig);
}

// ---- auto --------------------------------------------------------------------------------

// answer_question plays a broker that has just been asked.
static void
answer_question(struct rig *rig, uint32_t endpoint, const char *body)
{
    assert_string_equal(rig_last_sent(rig)->service, "mmi.dialects");
    assert_true(rig_last_sent(rig)->has_delimiter);
    rig_reply(rig, endpoint, MDP_01, MDP_FINAL, "mmi.dialects", body);
}

static void
galleon_broker_is_spoken_to_in_g1_on_another_connection(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_AUTO, 1);
    uint64_t id = rig_call(rig, "echo");
    assert_int_equal(rig->sent_count, 1); // the question
    answer_question(rig, A, "200|0.1 0.2 g1");
    assert_int_equal(rig->opened[A], 2);
    rig_up(rig, A);
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_G1);
    assert_string_equal(rig_last_sent(rig)->service, "echo");
    rig_final(rig, A, id, 200, 0, "x");
    assert_answer(rig, id, GALLEON_OK, 200, "x");
    rig_free(rig);
}

static void
other_broker_is_spoken_to_in_01(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_AUTO, 1);
    uint64_t id = rig_call(rig, "echo");
    answer_question(rig, A, "501");
    rig_up(rig, A);
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_01);
    reply(rig, "echo", "x");
    assert_answer(rig, id, GALLEON_OK, 200, "x");
    rig_free(rig);
}

static void
broker_without_mmi_is_spoken_to_in_01_after_two_seconds(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_AUTO, 1);
    rig_start(rig);
    rig_call(rig, "echo");
    rig_until(rig, 3000); // it is not there yet: no time runs
    assert_int_equal(rig->opened[A], 1);
    rig_up(rig, A);
    rig_until(rig, 4999);
    assert_int_equal(rig->sent_count, 2); // asked twice
    assert_int_equal(rig->opened[A], 1);
    rig_until(rig, 5000);
    assert_int_equal(rig->opened[A], 2);
    rig_up(rig, A);
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_01);
    rig_free(rig);
}

static void
question_that_the_socket_refused_is_asked_again(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_AUTO, 1);
    rig_unsent(rig, rig_last_sent(rig));
    rig_until(rig, 20);
    assert_int_equal(rig->sent_count, 2);
    answer_question(rig, A, "200|g1");
    assert_int_equal(rig->opened[A], 2);
    rig_free(rig);
}

static void
broker_is_asked_again_after_a_cut(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_AUTO, 1);
    answer_question(rig, A, "200|g1");
    rig_up(rig, A);
    rig_final(rig, A, rig_call(rig, "echo"), 200, 0, "x");
    rig_down(rig, A);
    rig_up(rig, A);
    answer_question(rig, A, "501"); // another broker has taken its place
    rig_up(rig, A);
    rig_call(rig, "echo");
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_01);
    rig_free(rig);
}

static void
broker_cut_while_it_is_asked_is_asked_anew(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_AUTO, 2);
    rig_down(rig, A);
    assert_true(rig->is_open[B]);
    rig_up(rig, B);
    answer_question(rig, B, "200|g1");
    rig_up(rig, B);
    rig_call(rig, "echo");
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_G1);
    assert_int_equal(rig_last_sent(rig)->endpoint, B);
    rig_free(rig);
}

static void
slow_01_broker_is_not_asked_again(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_AUTO, 1);
    answer_question(rig, A, "501");
    rig_up(rig, A);
    rig_call(rig, "slow");
    rig_until(rig, 2500);
    rig_up(rig, A);
    assert_string_equal(rig_last_sent(rig)->service, "slow");
    rig_free(rig);
}

static void
broker_that_has_never_said_anything_is_asked_again(void **state)
{
    (void)state;
    struct rig *rig = serving(MDP_AUTO, 1);
    rig_until(rig, 2000); // silent: 0.1 is assumed
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "echo");
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_01);
    rig_until(rig, 4500); // it was frozen, not without MMI
    rig_up(rig, A);
    answer_question(rig, A, "200|g1");
    rig_up(rig, A);
    assert_int_equal(rig_last_sent(rig)->dialect, MDP_G1);
    rig_final(rig, A, id, 200, 0, "x");
    assert_answer(rig, id, GALLEON_OK, 200, "x");
    rig_free(rig);
}

static void
question_to_an_endpoint_that_is_not_there_goes_to_the_next(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_AUTO, 2);
    rig_start(rig);
    rig_until(rig, 250);
    assert_false(rig->is_open[A]);
    rig_up(rig, B);
    rig_until(rig, 1000);
    assert_true(rig->is_open[B]); // asking has its own time
    answer_question(rig, B, "200|g1");
    rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_is_out_at_a_time_and_the_rest_waits_in_order),
        cmocka_unit_test(reply_for_another_service_is_dropped_and_the_call_goes_on),
        cmocka_unit_test(timeout_replaces_the_connection_so_that_a_late_answer_is_nobodys),
        cmocka_unit_test(call_given_up_in_silence_frees_the_way_for_the_next),
        cmocka_unit_test(timeout_goes_to_the_next_endpoint),
        cmocka_unit_test(cancelled_request_that_is_out_costs_its_connection_once_it_is_needed),
        cmocka_unit_test(stray_reply_makes_the_connection_suspect),
        cmocka_unit_test(cut_connection_sends_the_open_request_again),
        cmocka_unit_test(refused_request_is_sent_again_before_the_others),
        cmocka_unit_test(partials_of_02_are_gathered_in_the_order_they_come),
        cmocka_unit_test(answer_of_02_without_a_part_that_found_no_memory_is_none),
        cmocka_unit_test(end_of_an_answer_says_how_many_parts_belong_to_it),
        cmocka_unit_test(partials_of_02_are_handed_out_with_their_number),
        cmocka_unit_test(parts_of_02_before_a_timeout_are_dropped_with_their_connection),
        cmocka_unit_test(galleon_broker_is_spoken_to_in_g1_on_another_connection),
        cmocka_unit_test(other_broker_is_spoken_to_in_01),
        cmocka_unit_test(broker_without_mmi_is_spoken_to_in_01_after_two_seconds),
        cmocka_unit_test(question_that_the_socket_refused_is_asked_again),
        cmocka_unit_test(broker_is_asked_again_after_a_cut),
        cmocka_unit_test(broker_cut_while_it_is_asked_is_asked_anew),
        cmocka_unit_test(slow_01_broker_is_not_asked_again),
        cmocka_unit_test(broker_that_has_never_said_anything_is_asked_again),
        cmocka_unit_test(question_to_an_endpoint_that_is_not_there_goes_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
