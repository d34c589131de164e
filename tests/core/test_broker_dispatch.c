// test_broker_dispatch.c - which worker gets which request, in which order, under
// which ticket, and what happens where the socket does not take it.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
ask(struct world *world, uint64_t id)
{
    char body[24];
    snprintf(body, sizeof body, "%llu", (unsigned long long)id);
    world_request(world, "C", MDP_G1, "echo", id, body);
}

// ---- who, and in which order -----------------------------------------------------------

static void
requests_are_given_first_in_first_out(void **state)
{
    struct world *world = *state;
    for (uint64_t id = 0; id < 20; id++)
        ask(world, id);

    world_ready(world, "W", MDP_G1, "echo", 20);

    char body[24];
    for (size_t i = 0; i < 20; i++) {
        snprintf(body, sizeof body, "%zu", i);
        assert_string_equal(world_find(world, "W", MDP_REQUEST, i)->body, body);
    }
}

static void
new_request_does_not_overtake_those_that_wait(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1);
    ask(world, 2);
    ask(world, 3);

    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "x");

    assert_string_equal(world_last(world, "W", MDP_REQUEST)->body, "2");
}

static void
least_recently_used_worker_is_next(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_G1, "echo", 8);
    world_ready(world, "W2", MDP_G1, "echo", 8);
    world_ready(world, "W3", MDP_G1, "echo", 8);

    for (uint64_t id = 0; id < 6; id++)
        ask(world, id);

    assert_string_equal(world_find(world, "W1", MDP_REQUEST, 0)->body, "0");
    assert_string_equal(world_find(world, "W2", MDP_REQUEST, 0)->body, "1");
    assert_string_equal(world_find(world, "W3", MDP_REQUEST, 0)->body, "2");
    assert_string_equal(world_find(world, "W1", MDP_REQUEST, 1)->body, "3");
}

static void
worker_without_a_free_slot_is_passed_over(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_01, "echo", 1);
    world_ready(world, "W2", MDP_G1, "echo", 3);

    for (uint64_t id = 0; id < 5; id++)
        ask(world, id);

    assert_int_equal(world_count(world, "W1", MDP_REQUEST), 1);
    assert_int_equal(world_count(world, "W2", MDP_REQUEST), 3);
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

static void
each_service_has_its_own_queue_and_workers(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_G1, "sum", 1, "x");
    ask(world, 2);
    ask(world, 3);

    world_ready(world, "W2", MDP_G1, "sum", 8);

    assert_int_equal(world_count(world, "W2", MDP_REQUEST), 1);
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

static void
time_left_goes_to_the_worker_and_is_at_least_1(void **state)
{
    struct world *world = *state;
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = 1,
                                .ttl_ms = 2500,
                                .service = VIEW_LITERAL("echo")};
    world_say(world, "C", record, "x");
    record.id = 2;
    record.ttl_ms = 1001;
    world_say(world, "C", record, "x");
    world->now_ns += 1000 * 1000000 + 500000;

    world_ready(world, "W", MDP_G1, "echo", 8);

    assert_int_equal(world_find(world, "W", MDP_REQUEST, 0)->record.ttl_ms, 1499);
    assert_int_equal(world_find(world, "W", MDP_REQUEST, 1)->record.ttl_ms, 1);
}

static void
request_without_a_limit_has_a_ttl_of_0(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 8);

    ask(world, 1);

    assert_int_equal(world_last(world, "W", MDP_REQUEST)->record.ttl_ms, 0);
}

// ---- tickets ---------------------------------------------------------------------------

static void
tickets_are_never_zero_and_never_the_same(void **state)
{
    struct world *world = *state;
    static const struct ticket zero;
    static struct ticket tickets[2000];
    world_ready(world, "W", MDP_G1, "echo", 8);
    for (size_t i = 0; i < 2000; i++) {
        ask(world, i);
        const struct sent *sent = world_last(world, "W", MDP_REQUEST);
        tickets[i] = sent->record.ticket;
        world_answer(world, "W", sent, "x");
        world_clear(world);
    }
    for (size_t i = 0; i < 2000; i++) {
        assert_false(ticket_equals(&tickets[i], &zero));
        for (size_t j = 0; j < i; j++)
            assert_false(ticket_equals(&tickets[i], &tickets[j]));
    }
}

// A half of 64 bits that differs in about half its bits from one ticket to the next, and
// under another seed is another.
static void
half_of_a_ticket_follows_from_the_seed_alone(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    struct ticket of_seed[2];
    for (int i = 0; i < 2; i++) {
        config.seed[0] ^= (uint8_t)i;
        world_configure(world, &config);
        world_ready(world, "W", MDP_G1, "echo", 8);
        ask(world, 1);
        of_seed[i] = world_last(world, "W", MDP_REQUEST)->record.ticket;
    }
    int same = 0;
    for (size_t i = 8; i < TICKET_BYTES; i++)
        same += of_seed[0].bytes[i] == of_seed[1].bytes[i] ? 1 : 0;
    assert_true(same <= 2);
}

static void
ticket_that_is_nearly_right_is_late(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 8);
    ask(world, 1);
    struct sent sent = *world_last(world, "W", MDP_REQUEST);
    for (size_t byte = 0; byte < TICKET_BYTES; byte++) {
        struct sent forged = sent;
        forged.record.ticket.bytes[byte] ^= 1;

        world_answer(world, "W", &forged, "forged");

        assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    }
    assert_int_equal(world_stats(world)->answers_late, TICKET_BYTES);
}

// ---- what no socket took -----------------------------------------------------------------

static void
refused_requests_go_back_in_their_old_order_and_are_no_attempts(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 3);
    for (uint64_t id = 1; id <= 4; id++)
        ask(world, id);
    struct sent sent[3];
    for (size_t i = 0; i < 3; i++)
        sent[i] = *world_find(world, "W", MDP_REQUEST, i);

    for (size_t i = 3; i-- > 0;) // as a pack comes back
        world_unsent(world, &sent[i], false);
    world_clear(world);
    world_ready(world, "V", MDP_G1, "echo", 4);

    char body[8];
    for (size_t i = 0; i < 4; i++) {
        snprintf(body, sizeof body, "%zu", i + 1);
        const struct sent *again = world_find(world, "V", MDP_REQUEST, i);
        assert_string_equal(again->body, body);
        assert_int_equal(again->record.attempt, 1);
        assert_int_equal(again->record.flags, 0);
    }
    assert_int_equal(world_stats(world)->attempts, 4);
    assert_int_equal(world_stats(world)->redeliveries, 0);
    assert_int_equal(world_stats(world)->worker_slow, 3);
}

static void
worker_whose_queue_is_full_gets_nothing_until_it_speaks(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 4);
    ask(world, 1);
    world_unsent(world, world_last(world, "W", MDP_REQUEST), false);
    world_clear(world);
    world_tick(world);
    ask(world, 2);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 0);

    world_bare(world, "W", MDP_G1, MDP_HEARTBEAT);

    assert_string_equal(world_find(world, "W", MDP_REQUEST, 0)->body, "1");
    assert_string_equal(world_find(world, "W", MDP_REQUEST, 1)->body, "2");
    assert_int_equal(world_find(world, "W", MDP_REQUEST, 0)->record.attempt, 1);
}

static void
request_refused_by_a_dead_connection_may_use_the_same_name_again(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 4);
    ask(world, 1);
    world_unsent(world, world_last(world, "W", MDP_REQUEST), true);
    world_tick(world);
    assert_int_equal(world_stats(world)->workers_lost, 1);

    world_ready(world, "W", MDP_G1, "echo", 4);

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
    assert_int_equal(world_last(world, "W", MDP_REQUEST)->record.attempt, 1);
}

static void
dead_connection_returns_what_was_sent_before_in_front_of_what_was_refused(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 4);
    for (uint64_t id = 1; id <= 4; id++)
        ask(world, id);

    world_unsent(world, world_find(world, "W", MDP_REQUEST, 3), true);
    world_unsent(world, world_find(world, "W", MDP_REQUEST, 2), true);
    world_tick(world);
    world_ready(world, "V", MDP_G1, "echo", 4);

    static const struct {
        const char *body;
        uint32_t attempt;
    } expected[] = {{"1", 2}, {"2", 2}, {"3", 1}, {"4", 1}};
    for (size_t i = 0; i < 4; i++) {
        const struct sent *sent = world_find(world, "V", MDP_REQUEST, i);
        assert_string_equal(sent->body, expected[i].body);
        assert_int_equal(sent->record.attempt, expected[i].attempt);
    }
}

// Two requests, given and cancelled in one batch, in a pack that meets a dead connection:
// nothing of their service is left but the worker that is on its way out.
static void
cancelled_requests_of_a_refused_pack_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 2);
    ask(world, 1);
    ask(world, 2);
    world_cancel(world, "C", 1);
    world_cancel(world, "C", 2);

    world_unsent(world, world_find(world, "W", MDP_REQUEST, 1), true);
    world_unsent(world, world_find(world, "W", MDP_REQUEST, 0), true);
    world_tick(world);
    world_tick(world);

    assert_int_equal(world_stats(world)->services, 0);
    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_stats(world)->requests_out, 0);
}

static void
heartbeat_that_a_full_queue_refuses_means_nothing(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 2);
    struct sent beat = *world_last(world, "W", MDP_HEARTBEAT);

    world_unsent(world, &beat, false);
    ask(world, 1);

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
}

static void
answer_that_a_slow_client_does_not_take_is_dropped_and_counted(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 2);
    ask(world, 1);
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "x");

    world_unsent(world, world_last(world, "C", MDP_FINAL), false);

    assert_int_equal(world_stats(world)->client_slow, 1);
    assert_int_equal(world_stats(world)->dumps[BROKER_DUMP_UNSENT], 1);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
}

static void
refused_partial_silences_the_rest_of_its_answer(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 2);
    ask(world, 1);
    ask(world, 2);
    struct sent first = *world_find(world, "W", MDP_REQUEST, 0);
    struct sent second = *world_find(world, "W", MDP_REQUEST, 1);
    world_partial(world, "W", &first, 0, "a");
    world_unsent(world, world_last(world, "C", MDP_PARTIAL), false);
    world_clear(world);

    world_partial(world, "W", &first, 1, "b");
    world_final(world, "W", &first, MDP_DONE, 2, "c");
    world_answer(world, "W", &second, "d");

    assert_int_equal(world->sent_count, 1);
    assert_int_equal(world->sent[0].record.id, 2);
    assert_int_equal(world_stats(world)->client_slow, 1);
    assert_int_equal(world_stats(world)->workers_idle, 1);
}

static void
requests_of_a_client_that_is_gone_are_not_run(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    for (uint64_t id = 1; id <= 3; id++)
        ask(world, id);
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "x");
    world_unsent(world, world_last(world, "C", MDP_FINAL), true);

    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "y");

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
    assert_int_equal(world_stats(world)->requests_of_gone, 1);
    assert_int_equal(world_stats(world)->client_gone, 2);
    assert_int_equal(world_stats(world)->requests_queued, 0);
}

static void
client_that_speaks_again_is_not_gone(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1);
    ask(world, 2);
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "x");
    world_unsent(world, world_last(world, "C", MDP_FINAL), true);

    ask(world, 3);
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "y");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "y");
}

// ---- bounded steps -----------------------------------------------------------------------

static void
step_does_what_fits_and_the_next_goes_on(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = config.service_requests_max = config.client_requests_max = 1024;
    config.credit_max = 1024;
    world_configure(world, &config);
    for (uint64_t id = 0; id < 1000; id++)
        ask(world, id);
    world->is_manual = true;

    world_ready(world, "W", MDP_G1, "echo", 1000);

    assert_true(world_count(world, "W", MDP_REQUEST) < BROKER_EFFECTS_MAX);
    assert_int_equal(broker_core_deadline(world->core), 0);
    world_tick(world);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1000);
    assert_true(broker_core_deadline(world->core) > world->now_ns);
}

// ---- where attempts run out ------------------------------------------------------------

enum { FEW_REQUESTS = 17, FEW_ATTEMPTS = 4 * FEW_REQUESTS };

// hold_attempts has a worker hold so many, whose requests are over.
static void
hold_attempts(struct world *world, uint32_t count, uint32_t credit)
{
    struct broker_config config = world_config();
    config.requests_max = FEW_REQUESTS;
    config.credit_max = FEW_ATTEMPTS + 1;
    world_configure(world, &config);
    world_ready(world, "W", MDP_G1, "echo", credit);
    for (uint64_t id = 0; id < count; id++) {
        ask(world, id);
        world_cancel(world, "C", id);
    }
    assert_int_equal(world_count(world, "W", MDP_REQUEST), count);
}

static void
hold_all_attempts(struct world *world)
{
    hold_attempts(world, FEW_ATTEMPTS, FEW_ATTEMPTS + 1);
}

static void
requests_wait_in_their_order_while_no_attempt_is_left(void **state)
{
    struct world *world = *state;
    hold_all_attempts(world);
    for (uint64_t id = 100; id < 100 + FEW_REQUESTS; id++)
        ask(world, id);
    assert_int_equal(world_stats(world)->requests_queued, FEW_REQUESTS);

    for (size_t at = 0; at < FEW_REQUESTS; at++) {
        world_answer(world, "W", world_find(world, "W", MDP_REQUEST, at), "late");

        char body[24];
        snprintf(body, sizeof body, "%zu", 100 + at);
        assert_string_equal(world_last(world, "W", MDP_REQUEST)->body, body);
    }
}

static void
attempt_that_another_service_lets_go_is_used_at_once(void **state)
{
    struct world *world = *state;
    hold_all_attempts(world);
    world_ready(world, "W2", MDP_G1, "sum", 1);
    world_request(world, "C", MDP_G1, "sum", 100, "x");
    assert_int_equal(world_count(world, "W2", MDP_REQUEST), 0);

    world_answer(world, "W", world_find(world, "W", MDP_REQUEST, 0), "late");

    assert_int_equal(world_count(world, "W2", MDP_REQUEST), 1);
}

static void
broker_without_attempts_does_not_spin(void **state)
{
    struct world *world = *state;
    hold_all_attempts(world);
    ask(world, 100);

    assert_true(broker_core_deadline(world->core) > world->now_ns);
}

static void
ticket_of_a_lost_attempt_dies_before_another_request_has_to_wait(void **state)
{
    struct world *world = *state;
    hold_attempts(world, FEW_ATTEMPTS - 1, FEW_ATTEMPTS - 1);
    world_ready(world, "W2", MDP_G1, "echo", 1);
    ask(world, 100); // the last attempt
    assert_int_equal(world_count(world, "W2", MDP_REQUEST), 1);
    world_cut(world, "W2");
    world_pass(world, 1000);
    assert_int_equal(world_stats(world)->requests_queued, 1);

    world_ready(world, "W3", MDP_G1, "sum", 1);
    world_request(world, "C", MDP_G1, "sum", 200, "x");

    assert_int_equal(world_count(world, "W3", MDP_REQUEST), 1);
    world_answer(world, "W2", world_find(world, "W2", MDP_REQUEST, 0), "late");
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(requests_are_given_first_in_first_out),
        world_test(new_request_does_not_overtake_those_that_wait),
        world_test(least_recently_used_worker_is_next),
        world_test(worker_without_a_free_slot_is_passed_over),
        world_test(each_service_has_its_own_queue_and_workers),
        world_test(time_left_goes_to_the_worker_and_is_at_least_1),
        world_test(request_without_a_limit_has_a_ttl_of_0),
        world_test(tickets_are_never_zero_and_never_the_same),
        world_test(half_of_a_ticket_follows_from_the_seed_alone),
        world_test(ticket_that_is_nearly_right_is_late),
        world_test(refused_requests_go_back_in_their_old_order_and_are_no_attempts),
        world_test(worker_whose_queue_is_full_gets_nothing_until_it_speaks),
        world_test(request_refused_by_a_dead_connection_may_use_the_same_name_again),
        world_test(dead_connection_returns_what_was_sent_before_in_front_of_what_was_refused),
        world_test(cancelled_requests_of_a_refused_pack_leave_nothing_behind),
        world_test(heartbeat_that_a_full_queue_refuses_means_nothing),
        world_test(answer_that_a_slow_client_does_not_take_is_dropped_and_counted),
        world_test(refused_partial_silences_the_rest_of_its_answer),
        world_test(requests_of_a_client_that_is_gone_are_not_run),
        world_test(client_that_speaks_again_is_not_gone),
        world_test(step_does_what_fits_and_the_next_goes_on),
        world_test(requests_wait_in_their_order_while_no_attempt_is_left),
        world_test(attempt_that_another_service_lets_go_is_used_at_once),
        world_test(broker_without_attempts_does_not_spin),
        world_test(ticket_of_a_lost_attempt_dies_before_another_request_has_to_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
