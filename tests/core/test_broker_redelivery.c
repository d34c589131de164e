// test_broker_redelivery.c - what becomes of a request whose worker is lost.

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

static void
configure(struct world *world, struct broker_service_config service)
{
    struct broker_config config = world_config();
    service.name = VIEW_LITERAL("echo");
    config.services = &service;
    config.service_count = 1;
    world_configure(world, &config);
}

// hold makes W a worker that holds request 1 of C's.
static struct sent
hold(struct world *world)
{
    world_ready(world, "W", MDP_G1, "echo", 4);
    ask(world, 1);
    return *world_last(world, "W", MDP_REQUEST);
}

// ---- the ways to lose a worker -------------------------------------------------------------

static void
leave(struct world *world)
{
    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
}

static void
say_ready_again(struct world *world)
{
    world_ready(world, "W", MDP_G1, "echo", 4);
}

static void
meet_a_dead_connection(struct world *world)
{
    world_cut(world, "W");
}

static void
pass_the_limit(struct world *world)
{
    world_pass(world, 501);
}

static void
request_of_a_lost_worker_is_given_to_another(void **state)
{
    struct world *world = *state;
    static const struct {
        void (*lose)(struct world *world);
        int reason; // of a DISCONNECT, -1: none
    } ways[] = {{leave, -1},
                {say_ready_again, MDP_REASON_PROTOCOL},
                {meet_a_dead_connection, -1},
                {pass_the_limit, MDP_REASON_LIMIT}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        configure(world, (struct broker_service_config){.limit_ms = 500});
        struct sent first = hold(world);
        world_ready(world, "V", MDP_G1, "echo", 4);

        ways[i].lose(world);

        struct sent again = *world_last(world, "V", MDP_REQUEST);
        assert_string_equal(again.body, "1");
        assert_int_equal(again.record.attempt, 2);
        assert_int_equal(again.record.flags, MDP_FLAG_REDELIVERY);
        assert_false(ticket_equals(&again.record.ticket, &first.record.ticket));
        assert_int_equal(world_count(world, "W", MDP_DISCONNECT), ways[i].reason < 0 ? 0 : 1);
        if (ways[i].reason >= 0)
            assert_int_equal(world_last(world, "W", MDP_DISCONNECT)->record.reason, ways[i].reason);
        assert_int_equal(world_stats(world)->redeliveries, 1);
        world_answer(world, "V", &again, "done");
        assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "done");
    }
}

static void
limit_of_one_attempt_ends_it_though_the_worker_beats(void **state)
{
    struct world *world = *state;
    configure(world, (struct broker_service_config){.limit_ms = 5000});
    hold(world);
    for (int i = 0; i < 9; i++) {
        world_pass(world, 500);
        world_bare(world, "W", MDP_G1, MDP_HEARTBEAT);
    }
    assert_int_equal(world_stats(world)->workers, 1);

    world_pass(world, 501);

    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

// ---- how often -----------------------------------------------------------------------------

// fail_at gives the request to worker after worker until it is given no more; how often.
static int
fail_at_all(struct world *world)
{
    int given = 0;
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "W%d", i);
        world_ready(world, id, MDP_G1, "echo", 1);
        if (world_count(world, id, MDP_REQUEST) == 0)
            break;
        given++;
        world_bare(world, id, MDP_G1, MDP_DISCONNECT);
    }
    return given;
}

static void
request_is_given_up_with_502_when_its_attempts_are_spent(void **state)
{
    struct world *world = *state;
    ask(world, 1);

    int given = fail_at_all(world);

    assert_int_equal(given, 3);
    assert_int_equal(world_status(world, "C"), MDP_WORKER_LOST);
    assert_int_equal(world_stats(world)->requests_given_up, 1);
    assert_int_equal(world_stats(world)->dumps[BROKER_DUMP_GIVEN_UP], 1);
}

static void
attempts_of_a_single_service_are_its_own(void **state)
{
    struct world *world = *state;
    configure(world, (struct broker_service_config){.attempts = 12});
    ask(world, 1);

    int given = fail_at_all(world);

    assert_int_equal(given, 12); // more than there are live tickets of one request
    assert_int_equal(world_status(world, "C"), MDP_WORKER_LOST);
}

static void
request_that_may_never_run_again_is_given_up_at_once(void **state)
{
    struct world *world = *state;
    configure(world, (struct broker_service_config){.attempts = 1});
    ask(world, 1);

    int given = fail_at_all(world);

    assert_int_equal(given, 1);
    assert_int_equal(world_status(world, "C"), MDP_WORKER_LOST);
}

static void
given_up_is_silence_for_old_clients(void **state)
{
    struct world *world = *state;
    world_request(world, "C1", MDP_01, "echo", 0, "x");
    world_request(world, "C2", MDP_02, "echo", 0, "x");

    fail_at_all(world);
    fail_at_all(world);

    assert_int_equal(world_count(world, "C1", MDP_FINAL), 0);
    assert_int_equal(world_count(world, "C2", MDP_FINAL), 0);
    assert_int_equal(world_stats(world)->requests_given_up, 2);
    assert_int_equal(world_stats(world)->answers_silent, 2);
}

static void
error_status_is_an_answer_and_not_a_loss(void **state)
{
    struct world *world = *state;
    struct sent request = hold(world);
    world_ready(world, "V", MDP_G1, "echo", 4);

    world_final(world, "W", &request, 500, 0, "no");

    assert_int_equal(world_status(world, "C"), 500);
    assert_int_equal(world_count(world, "V", MDP_REQUEST), 0);
}

// ---- PARTIALs ------------------------------------------------------------------------------

static void
request_does_not_run_again_after_a_partial_was_passed_on(void **state)
{
    struct world *world = *state;
    struct sent request = hold(world);
    world_ready(world, "V", MDP_G1, "echo", 4);
    world_partial(world, "W", &request, 0, "part");

    leave(world);

    assert_int_equal(world_status(world, "C"), MDP_WORKER_LOST);
    assert_int_equal(world_count(world, "V", MDP_REQUEST), 0);
}

static void
service_that_may_resume_runs_again_after_a_partial(void **state)
{
    struct world *world = *state;
    configure(world, (struct broker_service_config){.may_resume = true});
    struct sent request = hold(world);
    world_ready(world, "V", MDP_G1, "echo", 4);
    world_partial(world, "W", &request, 0, "part");

    leave(world);
    struct sent again = *world_last(world, "V", MDP_REQUEST);
    world_partial(world, "V", &again, 0, "again");
    world_final(world, "V", &again, MDP_DONE, 1, "end");

    assert_int_equal(world_count(world, "C", MDP_PARTIAL), 2);
    assert_int_equal(world_find(world, "C", MDP_PARTIAL, 1)->record.seq, 0);
    assert_int_equal(world_last(world, "C", MDP_FINAL)->record.parts, 1);
}

static void
parts_gathered_from_a_lost_attempt_are_thrown_away_and_it_runs_again(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_02, "echo", 1);
    world_request(world, "C", MDP_01, "echo", 0, "x");
    world_partial(world, "W", world_last(world, "W", MDP_REQUEST), 0, "lost");
    world_ready(world, "V", MDP_02, "echo", 1);

    world_bare(world, "W", MDP_02, MDP_DISCONNECT);
    struct sent again = *world_last(world, "V", MDP_REQUEST);
    world_partial(world, "V", &again, 0, "a");
    world_answer(world, "V", &again, "b");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "a|b");
}

// The client is given one run's answer, never a mixture of two.
static void
late_answer_is_not_mixed_with_parts_gathered_from_another_attempt(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_01, "echo", 0, "x");
    struct sent first = *world_last(world, "W", MDP_REQUEST);
    world_ready(world, "V", MDP_G1, "echo", 1);
    world_cut(world, "W");
    struct sent second = *world_last(world, "V", MDP_REQUEST);
    world_partial(world, "V", &second, 0, "of the second");

    world_answer(world, "X", &first, "all of the first");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "all of the first");
}

static void
late_answer_whose_own_parts_were_thrown_away_is_dropped(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_01, "echo", 0, "x");
    struct sent first = *world_last(world, "W", MDP_REQUEST);
    world_partial(world, "W", &first, 0, "thrown away");
    world_cut(world, "W");

    world_final(world, "X", &first, MDP_DONE, 1, "the rest");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    assert_int_equal(world_stats(world)->answers_late, 1);
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

static void
late_answer_is_dropped_where_the_client_holds_parts_of_another_attempt(void **state)
{
    struct world *world = *state;
    for (int parts = 0; parts < 2; parts++) {
        configure(world, (struct broker_service_config){.may_resume = true});
        struct sent first = hold(world);
        if (parts == 1)
            world_partial(world, "W", &first, 0, "of the first");
        world_ready(world, "V", MDP_G1, "echo", 1);
        world_cut(world, "W");
        struct sent second = *world_last(world, "V", MDP_REQUEST);
        world_partial(world, "V", &second, 0, "of the second");

        world_final(world, "X", &first, MDP_DONE, (uint16_t)parts, "of the first");

        assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
        world_final(world, "V", &second, MDP_DONE, 1, "of the second");
        assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "of the second");
    }
}

static void
late_answer_ends_what_its_own_parts_began(void **state)
{
    struct world *world = *state;
    configure(world, (struct broker_service_config){.may_resume = true});
    struct sent first = hold(world);
    world_partial(world, "W", &first, 0, "part");
    world_cut(world, "W");

    world_final(world, "X", &first, MDP_DONE, 1, "end");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "end");
    assert_int_equal(world_stats(world)->requests_queued, 0);
}

// ---- order, deadline, connection -------------------------------------------------------------

static void
requests_of_a_lost_worker_go_to_the_head_in_their_old_order(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 3);
    for (uint64_t id = 1; id <= 5; id++)
        ask(world, id);

    leave(world);
    world_ready(world, "V", MDP_G1, "echo", 5);

    char body[8];
    for (size_t i = 0; i < 5; i++) {
        snprintf(body, sizeof body, "%zu", i + 1);
        assert_string_equal(world_find(world, "V", MDP_REQUEST, i)->body, body);
    }
}

static void
worker_with_many_requests_is_wound_up_in_order_over_several_steps(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = config.service_requests_max = config.client_requests_max = 1024;
    config.credit_max = 1024;
    config.attempts = 1; // each is answered
    world_configure(world, &config);
    world_ready(world, "W", MDP_G1, "echo", 500);
    for (uint64_t id = 0; id < 500; id++)
        ask(world, id);
    world->is_manual = true;

    leave(world);

    assert_true(world_count(world, "C", MDP_FINAL) <= BROKER_EFFECTS_MAX);
    assert_int_equal(broker_core_deadline(world->core), 0);
    world_tick(world);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 500);
    assert_int_equal(world_stats(world)->services, 0);
}

static void
lost_worker_with_32_requests_gives_all_of_them_back(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 32);
    for (uint64_t id = 0; id < 32; id++)
        ask(world, id);

    world_cut(world, "W");
    world_ready(world, "V", MDP_G1, "echo", 32);

    assert_int_equal(world_count(world, "V", MDP_REQUEST), 32);
    assert_string_equal(world_find(world, "V", MDP_REQUEST, 0)->body, "0");
    assert_string_equal(world_find(world, "V", MDP_REQUEST, 31)->body, "31");
}

static void
same_connection_never_gets_a_request_it_lost(void **state)
{
    struct world *world = *state;
    hold(world);
    ask(world, 2);
    leave(world);

    world_ready(world, "W", MDP_G1, "echo", 4);
    ask(world, 3);

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 3); // 1 and 2 before, now 3
    assert_string_equal(world_last(world, "W", MDP_REQUEST)->body, "3");
    world_ready(world, "V", MDP_G1, "echo", 4);
    assert_int_equal(world_count(world, "V", MDP_REQUEST), 2);
}

static void
requests_that_wait_for_another_connection_hold_up_nobody(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 32);
    for (uint64_t id = 0; id < 30; id++)
        ask(world, id);
    leave(world);
    world_ready(world, "W", MDP_G1, "echo", 32);
    world_clear(world);

    world_request(world, "D", MDP_G1, "echo", 100, "x");
    world_request(world, "E", MDP_G1, "echo", 100, "x");

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
    world_ready(world, "V", MDP_G1, "echo", 32);
    assert_int_equal(world_count(world, "V", MDP_REQUEST), 30);
}

static void
redelivery_that_no_socket_took_is_none(void **state)
{
    struct world *world = *state;
    hold(world);
    leave(world);
    world_ready(world, "V", MDP_G1, "echo", 4);
    assert_int_equal(world_stats(world)->redeliveries, 1);

    world_unsent(world, world_last(world, "V", MDP_REQUEST), false);

    assert_int_equal(world_stats(world)->redeliveries, 0);
    assert_int_equal(world_stats(world)->attempts, 1);
}

// There is room for four attempts, lost ones and all.
static void
request_gives_up_its_oldest_ticket_where_there_is_room_for_no_more(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = 1;
    config.attempts = 10;
    world_configure(world, &config);
    ask(world, 1);
    struct sent tickets[5];
    for (int i = 0; i < 5; i++) {
        char id[4] = {'W', (char)('0' + i), '\0'};
        world_ready(world, id, MDP_G1, "echo", 1);
        tickets[i] = *world_last(world, id, MDP_REQUEST);
        if (i < 4)
            world_bare(world, id, MDP_G1, MDP_DISCONNECT);
    }

    world_ready(world, "W0", MDP_G1, "other", 1);
    world_answer(world, "W0", &tickets[0], "too late");
    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    world_ready(world, "W1", MDP_G1, "other", 1);
    world_answer(world, "W1", &tickets[1], "the oldest that is good");
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "the oldest that is good");
}

static void
deadline_is_kept_and_its_end_after_a_loss_is_502(void **state)
{
    struct world *world = *state;
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = 1,
                                .ttl_ms = 1000,
                                .service = VIEW_LITERAL("echo")};
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_say(world, "C", record, "x");
    world_pass(world, 400);
    leave(world);

    world_pass(world, 599);
    assert_int_equal(world_status(world, "C"), 0);
    world_pass(world, 2);

    assert_int_equal(world_status(world, "C"), MDP_WORKER_LOST);
    assert_int_equal(world_stats(world)->requests_expired, 1);
}

static void
late_answer_ends_a_request_that_waits_to_run_again(void **state)
{
    struct world *world = *state;
    struct sent request = hold(world);
    leave(world);

    world_answer(world, "X", &request, "late");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "late");
    assert_int_equal(world_stats(world)->requests_queued, 0);
    assert_int_equal(world_stats(world)->services, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(request_of_a_lost_worker_is_given_to_another),
        world_test(limit_of_one_attempt_ends_it_though_the_worker_beats),
        world_test(request_is_given_up_with_502_when_its_attempts_are_spent),
        world_test(attempts_of_a_single_service_are_its_own),
        world_test(request_that_may_never_run_again_is_given_up_at_once),
        world_test(given_up_is_silence_for_old_clients),
        world_test(error_status_is_an_answer_and_not_a_loss),
        world_test(request_does_not_run_again_after_a_partial_was_passed_on),
        world_test(service_that_may_resume_runs_again_after_a_partial),
        world_test(parts_gathered_from_a_lost_attempt_are_thrown_away_and_it_runs_again),
        world_test(late_answer_is_not_mixed_with_parts_gathered_from_another_attempt),
        world_test(late_answer_whose_own_parts_were_thrown_away_is_dropped),
        world_test(late_answer_is_dropped_where_the_client_holds_parts_of_another_attempt),
        world_test(late_answer_ends_what_its_own_parts_began),
        world_test(requests_of_a_lost_worker_go_to_the_head_in_their_old_order),
        world_test(worker_with_many_requests_is_wound_up_in_order_over_several_steps),
        world_test(lost_worker_with_32_requests_gives_all_of_them_back),
        world_test(same_connection_never_gets_a_request_it_lost),
        world_test(requests_that_wait_for_another_connection_hold_up_nobody),
        world_test(redelivery_that_no_socket_took_is_none),
        world_test(request_gives_up_its_oldest_ticket_where_there_is_room_for_no_more),
        world_test(deadline_is_kept_and_its_end_after_a_loss_is_502),
        world_test(late_answer_ends_a_request_that_waits_to_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
