// test_client_core.c - a client in G1: ids, attempts, endpoints, parts.

#include "client_rig.h"

#include <galleon/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { A, B, C };

static uint64_t
at_ms(uint64_t ns)
{
    return ns / 1000000 - 1000;
}

// ---- calls ----------------------------------------------------------------------------

static void
call_is_sent_at_once_and_its_answer_ends_it(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);

    uint64_t id = rig_call(rig, "echo");
    assert_true(id == 1);
    assert_int_equal(rig->sent_count, 1);
    assert_int_equal(rig->sent[0].command, MDP_REQUEST);
    assert_int_equal(rig->sent[0].dialect, MDP_G1);
    assert_true(rig->sent[0].id == 1);
    assert_false(rig->sent[0].has_delimiter);
    assert_string_equal(rig->sent[0].service, "echo");
    assert_string_equal(rig->sent[0].body, "request");

    rig_final(rig, A, id, 200, 0, "reply");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "reply");
    assert_false(client_core_is_open(rig->core, id));
    assert_int_equal(rig->live, 0);

    // G1 sends nothing per request but its record.
    rig_until(rig, 60000);
    assert_int_equal(rig->sent_count, 1);
    assert_true(client_core_deadline(rig->core) == UINT64_MAX);
    rig_free(rig);
}

static void
answers_come_in_any_order_and_are_told_apart_by_id(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_true(rig_call(rig, "echo") == id);
    assert_int_equal(rig->sent_count, 1000);

    // 7 and 1000 have no common factor: each id once, in another order.
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t id = i * 7 % 1000 + 1;
        char body[16];
        snprintf(body, sizeof body, "%u", (unsigned)id);
        rig_final(rig, A, id, 200, 0, body);
        rig_assert_answer(rig, id, GALLEON_OK, 200, body);
    }
    assert_int_equal(client_core_stats(rig->core)->answers, 1000);
    rig_free(rig);
}

static void
window_bounds_what_is_open(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig->config.window = 2;
    rig_start(rig);

    assert_true(client_core_has_room(rig->core));
    rig_call(rig, "echo");
    rig_call(rig, "echo");
    assert_false(client_core_has_room(rig->core));
    rig_cancel(rig, 1);
    assert_true(client_core_has_room(rig->core));
    rig_free(rig);
}

static void
calls_wait_for_the_connection_and_leave_in_order(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig_start(rig);
    assert_true(rig->is_open[A]);
    for (int i = 0; i < 300; i++) // more than the effects of one step
        rig_call(rig, "echo");
    assert_int_equal(rig->sent_count, 0);
    assert_int_equal(client_core_waiting_count(rig->core), 300);

    rig_up(rig, A);
    assert_int_equal(rig->sent_count, 300);
    for (size_t i = 0; i < 300; i++)
        assert_true(rig->sent[i].id == i + 1);
    assert_int_equal(client_core_waiting_count(rig->core), 0);
    rig_free(rig);
}

static void
every_status_has_its_result(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        int result;
    } rows[] = {
        {400, GALLEON_REFUSED},   {403, GALLEON_REFUSED}, {404, GALLEON_NO_SERVICE},
        {408, GALLEON_TIMED_OUT}, {409, GALLEON_REFUSED}, {413, GALLEON_REFUSED},
        {429, GALLEON_BUSY},      {499, GALLEON_REFUSED}, {500, GALLEON_REFUSED},
        {502, GALLEON_REFUSED},   {511, GALLEON_REFUSED}, {0, GALLEON_REFUSED},
        {65535, GALLEON_REFUSED},
    };
    struct rig *rig = rig_serving(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t id = rig_call(rig, "echo");
        rig_final(rig, A, id, rows[i].status, 0, "for people");
        rig_assert_answer(rig, id, rows[i].result, rows[i].status, "");
        assert_string_equal(rig_last_answer(rig)->text, "for people");
    }
    rig_free(rig);
}

static void
time_to_live_is_what_is_left_of_the_call(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    rig_call(rig, "echo");
    // A little less, so that the broker's 404 is here before the deadline.
    assert_in_range(rig->sent[0].ttl_ms, 7000, 7499);
    rig_until(rig, 2500);
    assert_in_range(rig_last_sent(rig)->ttl_ms, 4500, 4999);

    rig_step(rig, (struct client_event){
                      .kind = CLIENT_CALL, .service = VIEW_LITERAL("echo"), .ttl_ms = 60000});
    assert_int_equal(rig_last_sent(rig)->ttl_ms, 60000);
    rig_step(rig, (struct client_event){.kind = CLIENT_CALL,
                                        .service = VIEW_LITERAL("echo"),
                                        .ttl_ms = 100,
                                        .is_no_queue = true});
    assert_int_equal(rig_last_sent(rig)->ttl_ms, 100);
    assert_int_equal(rig_last_sent(rig)->flags, MDP_FLAG_NO_QUEUE);
    struct mdp_record beat = {.dialect = MDP_G1, .command = MDP_HEARTBEAT};
    rig_record(rig, A, &beat);
    rig_until(rig, 5000);
    assert_int_equal(rig_last_sent(rig)->ttl_ms, 1); // 0 would mean the broker's default
    rig_free(rig);
}

static void
cancelled_call_is_heard_of_no_more(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "echo");

    rig_cancel(rig, id);
    assert_int_equal(rig_last_sent(rig)->command, MDP_CANCEL);
    assert_true(rig_last_sent(rig)->id == id);
    assert_int_equal(rig->live, 0);
    rig_final(rig, A, id, 499, 0, "cancelled");
    rig_final(rig, A, id, 200, 0, "late");
    rig_cancel(rig, id);
    rig_cancel(rig, 99);
    rig_until(rig, 10000);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig->sent_count, 2);
    assert_int_equal(client_core_stats(rig->core)->answers_not_ours, 2);
    rig_free(rig);
}

static void
call_cancelled_before_it_left_is_never_sent(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig_start(rig);
    rig_call(rig, "first");
    uint64_t id = rig_call(rig, "second");
    rig_call(rig, "third");
    rig_cancel(rig, id);
    rig_up(rig, A);
    assert_int_equal(rig->sent_count, 2);
    assert_string_equal(rig->sent[0].service, "first");
    assert_string_equal(rig->sent[1].service, "third");
    rig_free(rig);
}

// ---- attempts ---------------------------------------------------------------------------

static void
silence_is_tried_three_times_with_one_id(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 7499);
    assert_int_equal(rig->answer_count, 0);
    rig_until(rig, 7500);

    rig_assert_answer(rig, id, GALLEON_TIMED_OUT, 0, "");
    size_t requests = 0;
    for (size_t i = 0; i < rig->sent_count; i++) {
        if (rig->sent[i].command != MDP_REQUEST)
            continue;
        assert_true(rig->sent[i].id == id);
        assert_int_equal(at_ms(rig->sent[i].at_ns), requests * 2500);
        requests++;
        rig_up(rig, A); // where it was replaced; else it says nothing new
    }
    assert_true(requests >= 2);
    rig_free(rig);
}

static void
attempts_end_before_a_later_deadline(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig->config.deadline_ms = 60000;
    rig->config.attempts = 2;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 60000);
    rig_assert_answer(rig, id, GALLEON_TIMED_OUT, 0, "");
    assert_int_equal(at_ms(rig_last_answer(rig)->at_ns), 5000);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 2);
    // The broker would wait for a worker until the deadline.
    assert_int_equal(rig_count_sent(rig, MDP_CANCEL, A), 1);
    rig_free(rig);
}

static void
deadline_ends_a_call_whose_attempts_are_not_spent(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig->config.deadline_ms = 3000;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 60000);
    rig_assert_answer(rig, id, GALLEON_TIMED_OUT, 0, "");
    assert_int_equal(at_ms(rig_last_answer(rig)->at_ns), 3000);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 2);
    rig_free(rig);
}

static void
broker_that_is_never_there_ends_a_call_by_its_deadline(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig_start(rig);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 20000);
    rig_assert_answer(rig, id, GALLEON_TIMED_OUT, 0, "");
    assert_int_equal(at_ms(rig_last_answer(rig)->at_ns), 7500);
    assert_int_equal(rig->sent_count, 0);
    assert_int_equal(rig->opened[A], 1); // libzmq tries again by itself
    rig_free(rig);
}

static void
thousand_calls_that_end_together_all_end(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    for (int i = 0; i < 1000; i++)
        rig_call(rig, "echo");
    rig_until(rig, 60000);
    assert_int_equal(rig->answer_count, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(rig->answers[i].result, GALLEON_TIMED_OUT);
    rig_free(rig);
}

static void
answer_to_an_earlier_attempt_is_the_answer(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 2600);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 2);
    rig_final(rig, A, id, 200, 0, "first");
    rig_final(rig, A, id, 200, 0, "second");
    assert_int_equal(rig->answer_count, 1);
    rig_assert_answer(rig, id, GALLEON_OK, 200, "first");
    assert_int_equal(client_core_stats(rig->core)->answers_not_ours, 1);
    rig_free(rig);
}

static void
refused_requests_leave_again_in_their_order_and_are_no_attempts(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    for (int i = 0; i < 3; i++)
        rig_call(rig, "echo");
    for (int round = 0; round < 20; round++) {
        struct rig_sent refused[3];
        for (size_t i = 0; i < 3; i++)
            refused[i] = rig->sent[rig->sent_count - 3 + i];
        for (size_t i = 3; i-- > 0;)
            rig_unsent(rig, &refused[i]);
        assert_int_equal(client_core_waiting_count(rig->core), 3);
        rig_forget(rig);
        rig_until(rig, rig_ms(rig) + 5);
        assert_int_equal(rig->sent_count, 3);
        for (size_t i = 0; i < 3; i++)
            assert_true(rig->sent[i].id == i + 1);
    }
    assert_int_equal(client_core_stats(rig->core)->requests_unsent, 60);
    uint64_t from_ms = rig_ms(rig);
    rig_forget(rig);
    rig_until(rig, from_ms + 2500); // three attempts are left, and this was the first
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 3);
    rig_free(rig);
}

// ---- one endpoint ---------------------------------------------------------------------

static void
slow_service_keeps_its_connection_and_its_request(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "slow");
    rig_until(rig, 2500);
    assert_int_equal(rig_count_sent(rig, MDP_HEARTBEAT, A), 1); // nothing was heard: who is there?
    struct mdp_record beat = {.dialect = MDP_G1, .command = MDP_HEARTBEAT};
    rig_record(rig, A, &beat);
    rig_until(rig, 7000);
    assert_int_equal(rig->opened[A], 1);
    rig_final(rig, A, id, 200, 0, "done");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "done");
    rig_free(rig);
}

static void
connection_that_answers_no_heartbeat_is_replaced(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "echo");
    uint64_t younger = 0;
    rig_until(rig, 4000);
    younger = rig_call(rig, "echo");
    assert_int_equal(rig->opened[A], 1);
    rig_until(rig, 5000);
    assert_int_equal(rig->opened[A], 2);
    assert_int_equal(client_core_waiting_count(rig->core), 2);
    rig_forget(rig);
    rig_up(rig, A);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 2);
    rig_final(rig, A, id, 200, 0, "x");
    rig_final(rig, A, younger, 200, 0, "y");
    assert_int_equal(rig->answer_count, 2);
    rig_free(rig);
}

static void
single_attempts_find_a_dead_connection_too(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig->config.attempts = 1;
    rig->config.deadline_ms = 2500;
    rig_start(rig);
    rig_up(rig, A);
    for (int i = 0; i < 2; i++) {
        rig_call(rig, "echo");
        rig_until(rig, rig_ms(rig) + 2500);
    }
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig->opened[A], 2);
    rig_free(rig);
}

static void
cut_connection_is_made_again_and_what_was_open_goes_over_it(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    for (int i = 0; i < 100; i++)
        rig_call(rig, "echo");
    rig_final(rig, A, 50, 200, 0, "x");
    rig_forget(rig);

    rig_down(rig, A);
    assert_true(rig->is_open[A]); // it has served us: no need to wait
    rig_up(rig, A);
    assert_int_equal(rig->sent_count, 99);
    for (size_t i = 0; i < 99; i++)
        assert_true(rig->sent[i].id == (i < 49 ? i + 1 : i + 2));
    assert_int_equal(client_core_stats(rig->core)->requests_repeated, 99);
    rig_free(rig);
}

static void
cuts_are_no_attempts(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "poison");
    for (int i = 0; i < 8; i++) {
        rig_down(rig, A);
        for (uint64_t waited = 0; !rig->is_open[A]; waited += 10)
            rig_until(rig, rig_ms(rig) + 10);
        rig_up(rig, A);
    }
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, A), 9);
    rig_until(rig, 20000);
    rig_assert_answer(rig, id, GALLEON_TIMED_OUT, 0, "");
    assert_true(at_ms(rig_last_answer(rig)->at_ns) == 7500);
    rig_free(rig);
}

static void
broker_that_cuts_each_connection_is_met_with_back_off(void **state)
{
    (void)state;
    static const uint64_t most_ms[] = {100, 200, 400, 800, 1600, 2000, 2000};
    struct rig *rig = rig_serving(1);
    for (size_t i = 0; i < sizeof most_ms / sizeof *most_ms; i++) {
        uint64_t from_ns = rig->now_ns;
        rig_down(rig, A);
        assert_false(rig->is_open[A]);
        uint64_t wait_ns = client_core_deadline(rig->core) - from_ns;
        assert_in_range(wait_ns, most_ms[i] * 500000, most_ms[i] * 1000000);
        rig->now_ns += wait_ns;
        rig_until(rig, 0);
        rig_up(rig, A);
    }
    // One answer, and the next cut finds it as at the beginning.
    rig_final(rig, A, rig_call(rig, "echo"), 200, 0, "x");
    rig_down(rig, A);
    assert_true(rig->is_open[A]);
    rig_free(rig);
}

// ---- several endpoints -----------------------------------------------------------------

static void
cut_connection_moves_open_requests_to_the_next_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(3);
    for (int i = 0; i < 100; i++)
        rig_call(rig, "echo");
    uint64_t now_ns = rig->now_ns;
    rig_forget(rig);

    rig_down(rig, A);
    assert_false(rig->is_open[A]);
    assert_true(rig->is_open[B]);
    rig_up(rig, B);
    assert_true(rig->now_ns == now_ns);
    assert_int_equal(rig->sent_count, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_true(rig->sent[i].id == i + 1);
        assert_int_equal(rig->sent[i].endpoint, B);
    }
    rig_final(rig, B, 1, 200, 0, "x");
    rig_assert_answer(rig, 1, GALLEON_OK, 200, "x");
    rig_free(rig);
}

static void
timeout_sends_the_next_attempt_to_the_next_endpoint(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 2500);
    assert_true(rig->is_open[A] && rig->is_open[B]);
    rig_up(rig, B);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, B), 1);
    assert_true(rig_last_sent(rig)->id == id);
    // What is new goes there as well.
    rig_call(rig, "echo");
    assert_int_equal(rig_last_sent(rig)->endpoint, B);
    rig_free(rig);
}

static void
late_answer_of_the_endpoint_that_was_left_counts(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 2500);
    rig_up(rig, B);
    rig_final(rig, A, id, 200, 0, "late");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "late");
    assert_int_equal(rig_last_sent(rig)->command, MDP_CANCEL); // B need not run it
    assert_int_equal(rig_last_sent(rig)->endpoint, B);
    rig_final(rig, B, id, 499, 0, "");
    assert_int_equal(rig->answer_count, 1);
    rig_free(rig);
}

static void
many_timeouts_move_on_once(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(3);
    for (int i = 0; i < 500; i++)
        rig_call(rig, "echo");
    rig_until(rig, 2500);
    rig_up(rig, B);
    assert_int_equal(rig_count_sent(rig, MDP_REQUEST, B), 500);
    assert_int_equal(rig->opened[C], 0);
    rig_free(rig);
}

static void
endpoint_that_is_not_there_is_passed_over(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 2);
    rig_start(rig);
    uint64_t id = rig_call(rig, "echo");
    rig_until(rig, 250);
    assert_false(rig->is_open[A]);
    assert_true(rig->is_open[B]);
    rig_up(rig, B);
    rig_final(rig, B, id, 200, 0, "x");
    rig_assert_answer(rig, id, GALLEON_OK, 200, "x");
    rig_free(rig);
}

static void
list_that_is_not_there_is_gone_round_with_back_off_and_more_patience(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 2);
    rig_start(rig);
    rig_until(rig, 500);
    assert_false(rig->is_open[A] || rig->is_open[B]); // the list is through: back off
    uint64_t deadline_ms = at_ms(client_core_deadline(rig->core));
    assert_in_range(deadline_ms, 549, 600);
    rig_until(rig, deadline_ms + 1);
    assert_true(rig->is_open[A]);
    rig_until(rig, deadline_ms + 490); // 500 ms of patience this time
    assert_true(rig->is_open[A]);
    rig_until(rig, 60000);
    // Bounded by two seconds of patience and two of back-off.
    assert_in_range(rig->opened[A], 10, 25);
    rig_free(rig);
}

static void
passive_broker_sends_the_client_to_the_next_after_10_to_50_ms(void **state)
{
    (void)state;
    for (uint8_t seed = 0; seed < 20; seed++) {
        struct rig *rig = rig_new(MDP_G1, 2);
        rig->config.seed[0] = seed;
        rig_start(rig);
        rig_up(rig, A);
        for (int i = 0; i < 10; i++)
            rig_call(rig, "echo");
        for (uint64_t id = 1; id <= 10; id++)
            rig_final(rig, A, id, 503, 0, "");
        assert_int_equal(rig->answer_count, 0);
        uint64_t deadline_ns = client_core_deadline(rig->core) - rig->now_ns;
        assert_in_range(deadline_ns, 10 * 1000000, 50 * 1000000);
        rig_forget(rig);
        rig_until(rig, 51);
        rig_up(rig, B);
        assert_int_equal(rig_count_sent(rig, MDP_REQUEST, B), 10);
        for (uint64_t id = 1; id <= 10; id++)
            rig_final(rig, B, id, 200, 0, "x");
        assert_int_equal(rig->answer_count, 10);
        assert_int_equal(client_core_stats(rig->core)->timeouts, 0);
        rig_free(rig);
    }
}

static void
passive_broker_names_an_endpoint_that_is_followed_if_it_is_in_the_list(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t to;
    } rows[] = {{"c", C}, {"b", B}, {"", B}, {"tcp://evil:1", B}, {"cc", B}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_serving(3);
        uint64_t id = rig_call(rig, "echo");
        rig_final(rig, A, id, 503, 0, rows[i].text);
        rig_until(rig, 51);
        rig_up(rig, rows[i].to);
        assert_int_equal(rig_last_sent(rig)->endpoint, rows[i].to);
        rig_free(rig);
    }
}

static void
list_that_is_all_passive_is_gone_round_with_back_off(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    uint64_t id = rig_call(rig, "echo");
    size_t refusals = 0;
    while (rig->answer_count == 0) {
        size_t sent = rig->sent_count;
        while (rig->sent_count == sent && rig->answer_count == 0) {
            rig_until(rig, rig_ms(rig) + 10);
            for (uint32_t e = A; e <= B; e++)
                if (rig->is_open[e])
                    rig_up(rig, e);
        }
        rig_final(rig, rig_last_sent(rig)->endpoint, id, 503, 0, "");
        refusals++;
    }
    rig_assert_answer(rig, id, GALLEON_TIMED_OUT, 503, "");
    assert_int_equal(at_ms(rig_last_answer(rig)->at_ns), 7500);
    // Some ten times a second at first: a pair may be about to agree.
    assert_in_range(refusals, 30, 60);
    rig_free(rig);
}

static void
second_503_of_an_endpoint_that_was_left_changes_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(3);
    uint64_t first = rig_call(rig, "echo");
    uint64_t second = rig_call(rig, "echo");
    rig_final(rig, A, first, 503, 0, "");
    rig_until(rig, 51);
    rig_up(rig, B);
    rig_final(rig, A, second, 503, 0, "");
    rig_until(rig, 60);
    assert_int_equal(rig_last_sent(rig)->endpoint, B);
    assert_true(rig_last_sent(rig)->id == second);
    assert_int_equal(rig->opened[C], 0);
    // Nor does one for a request that is elsewhere by now.
    rig_final(rig, A, first, 503, 0, "");
    assert_true(client_core_is_open(rig->core, first));
    rig_final(rig, B, first, 200, 0, "x");
    rig_assert_answer(rig, first, GALLEON_OK, 200, "x");
    rig_free(rig);
}

// ---- what others send ----------------------------------------------------------------

static void
answers_that_are_not_ours_are_dropped_and_counted(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    uint64_t id = rig_call(rig, "echo");
    rig_final(rig, A, id + 1, 200, 0, "unknown id");
    rig_final(rig, A, UINT64_MAX, 200, 0, "unknown id");
    rig_final(rig, B, id, 200, 0, "never sent there");
    rig_partial(rig, B, id, 0, "never sent there");
    rig_reply(rig, A, MDP_01, MDP_FINAL, "echo", "another dialect");
    rig_reply(rig, A, MDP_02, MDP_FINAL, "echo", "another dialect");
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(client_core_stats(rig->core)->answers_not_ours, 6);

    struct mdp_record worker = {
        .dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = MDP_FINAL, .status = 200};
    rig_record(rig, A, &worker);
    struct mdp_record disconnect = {
        .dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = MDP_DISCONNECT};
    rig_record(rig, A, &disconnect);
    assert_int_equal(client_core_stats(rig->core)->records_ignored, 2);
    assert_true(client_core_is_open(rig->core, id));
    rig_free(rig);
}

static void
records_with_a_fault_are_counted_and_are_no_sign_of_life(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "echo");
    for (uint64_t until = 100; until < 5000; until += 100) {
        rig_until(rig, until);
        for (int fault = MDP_SOUND + 1; fault < MDP_FAULTS; fault++) {
            struct mdp_record record = {.fault = (enum mdp_fault)fault,
                                        .dialect = MDP_G1,
                                        .command = MDP_FINAL,
                                        .id = id,
                                        .status = 200};
            rig_record(rig, A, &record);
        }
    }
    for (int fault = MDP_SOUND + 1; fault < MDP_FAULTS; fault++)
        assert_int_equal(client_core_stats(rig->core)->faults[fault], 49);
    rig_until(rig, 5000);
    assert_int_equal(rig->opened[A], 2);
    rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_is_sent_at_once_and_its_answer_ends_it),
        cmocka_unit_test(answers_come_in_any_order_and_are_told_apart_by_id),
        cmocka_unit_test(window_bounds_what_is_open),
        cmocka_unit_test(calls_wait_for_the_connection_and_leave_in_order),
        cmocka_unit_test(every_status_has_its_result),
        cmocka_unit_test(time_to_live_is_what_is_left_of_the_call),
        cmocka_unit_test(cancelled_call_is_heard_of_no_more),
        cmocka_unit_test(call_cancelled_before_it_left_is_never_sent),
        cmocka_unit_test(silence_is_tried_three_times_with_one_id),
        cmocka_unit_test(attempts_end_before_a_later_deadline),
        cmocka_unit_test(deadline_ends_a_call_whose_attempts_are_not_spent),
        cmocka_unit_test(broker_that_is_never_there_ends_a_call_by_its_deadline),
        cmocka_unit_test(thousand_calls_that_end_together_all_end),
        cmocka_unit_test(answer_to_an_earlier_attempt_is_the_answer),
        cmocka_unit_test(refused_requests_leave_again_in_their_order_and_are_no_attempts),
        cmocka_unit_test(slow_service_keeps_its_connection_and_its_request),
        cmocka_unit_test(connection_that_answers_no_heartbeat_is_replaced),
        cmocka_unit_test(single_attempts_find_a_dead_connection_too),
        cmocka_unit_test(cut_connection_is_made_again_and_what_was_open_goes_over_it),
        cmocka_unit_test(cuts_are_no_attempts),
        cmocka_unit_test(broker_that_cuts_each_connection_is_met_with_back_off),
        cmocka_unit_test(cut_connection_moves_open_requests_to_the_next_at_once),
        cmocka_unit_test(timeout_sends_the_next_attempt_to_the_next_endpoint),
        cmocka_unit_test(late_answer_of_the_endpoint_that_was_left_counts),
        cmocka_unit_test(many_timeouts_move_on_once),
        cmocka_unit_test(endpoint_that_is_not_there_is_passed_over),
        cmocka_unit_test(list_that_is_not_there_is_gone_round_with_back_off_and_more_patience),
        cmocka_unit_test(passive_broker_sends_the_client_to_the_next_after_10_to_50_ms),
        cmocka_unit_test(passive_broker_names_an_endpoint_that_is_followed_if_it_is_in_the_list),
        cmocka_unit_test(list_that_is_all_passive_is_gone_round_with_back_off),
        cmocka_unit_test(second_503_of_an_endpoint_that_was_left_changes_nothing),
        cmocka_unit_test(answers_that_are_not_ours_are_dropped_and_counted),
        cmocka_unit_test(records_with_a_fault_are_counted_and_are_no_sign_of_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
