// test_broker_client.c - what clients may ask of a broker, and each limit on it.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct mdp_record
request_of(uint64_t id, uint8_t flags, uint32_t ttl_ms)
{
    return (struct mdp_record){.dialect = MDP_G1,
                               .side = MDP_CLIENT_SIDE,
                               .command = MDP_REQUEST,
                               .id = id,
                               .flags = flags,
                               .ttl_ms = ttl_ms,
                               .service = VIEW_LITERAL("echo")};
}

// ---- requests ------------------------------------------------------------------------------

static void
request_goes_to_a_worker_of_its_service_at_once(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_G1, "other", 8);
    world_ready(world, "W2", MDP_G1, "echo", 8);

    world_request(world, "C", MDP_G1, "echo", 7, "hello");

    const struct sent *sent = world_last(world, "W2", MDP_REQUEST);
    assert_string_equal(sent->body, "hello");
    assert_int_equal(sent->record.attempt, 1);
    assert_int_equal(sent->record.flags, 0);
    assert_true(sent->keeps_cargo);
    assert_int_equal(world_count(world, "W1", MDP_REQUEST), 0);
}

static void
answer_goes_to_the_client_that_asked_and_to_no_other(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 8);
    world_request(world, "C1", MDP_G1, "echo", 7, "one");
    world_request(world, "C2", MDP_G1, "echo", 7, "two");

    world_answer(world, "W", world_find(world, "W", MDP_REQUEST, 1), "two!");

    const struct sent *sent = world_last(world, "C2", MDP_FINAL);
    assert_string_equal(sent->body, "two!");
    assert_int_equal(sent->record.id, 7);
    assert_int_equal(sent->record.status, MDP_DONE);
    assert_int_equal(world_count(world, "C1", MDP_FINAL), 0);
}

static void
one_client_may_mix_dialects_and_pipeline(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 8);

    world_request(world, "C", MDP_01, "echo", 0, "a");
    world_request(world, "C", MDP_02, "echo", 0, "b");
    world_request(world, "C", MDP_G1, "echo", 1, "c");
    for (size_t i = 0; i < 3; i++)
        world_answer(world, "W", world_find(world, "W", MDP_REQUEST, i), "x");

    assert_int_equal(world_find(world, "C", MDP_FINAL, 0)->record.dialect, MDP_01);
    assert_int_equal(world_find(world, "C", MDP_FINAL, 1)->record.dialect, MDP_02);
    assert_int_equal(world_find(world, "C", MDP_FINAL, 2)->record.dialect, MDP_G1);
}

static void
worker_may_be_a_client_too(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_G1, "echo", 8);
    world_ready(world, "W2", MDP_G1, "sum", 8);

    world_request(world, "W2", MDP_G1, "echo", 1, "x");
    world_answer(world, "W1", world_last(world, "W1", MDP_REQUEST), "y");

    assert_string_equal(world_last(world, "W2", MDP_FINAL)->body, "y");
    assert_int_equal(world_stats(world)->workers, 2);
}

static void
answer_has_the_stack_and_the_delimiter_of_its_request(void **state)
{
    struct world *world = *state;
    const struct view stack[] = {VIEW_LITERAL("proxy"), VIEW_LITERAL("a")};
    struct mdp_envelope from = {VIEW_LITERAL("C"), stack, 2, true, 0};
    world_ready(world, "W", MDP_G1, "echo", 8);
    world_say_behind(world, &from, request_of(1, 0, 0), "x");
    world_request(world, "C", MDP_G1, "echo", 1, "y"); // another client: it has no stack

    world_answer(world, "W", world_find(world, "W", MDP_REQUEST, 0), "for the stack");

    const struct sent *sent = world_last(world, "C", MDP_FINAL);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
    assert_int_equal(sent->stack_bytes, 1 + 5 + 1 + 1);
    assert_true(sent->has_delimiter);
    assert_string_equal(sent->body, "for the stack");
}

static void
repeat_of_an_open_id_is_dropped_and_counted(void **state)
{
    struct world *world = *state;
    world_request(world, "C", MDP_G1, "echo", 7, "first");

    world_request(world, "C", MDP_G1, "other", 7, "second");

    assert_int_equal(world_stats(world)->requests_duplicate, 1);
    assert_int_equal(world_stats(world)->requests_queued, 1);
    assert_int_equal(world_stats(world)->services, 1);
    assert_int_equal(world->sent_count, 0);
}

static void
faulty_repeat_of_an_open_id_does_not_end_the_first(void **state)
{
    struct world *world = *state;
    struct mdp_record faulty = request_of(7, 0, 0);
    faulty.fault = MDP_BAD_CONTENTS;
    world_request(world, "C", MDP_G1, "echo", 7, "first");

    world_say(world, "C", faulty, NULL);

    assert_int_equal(world_stats(world)->requests_duplicate, 1);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
}

static void
id_may_be_used_again_after_its_answer(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 8);
    world_request(world, "C", MDP_G1, "echo", 7, "first");
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "1");

    world_request(world, "C", MDP_G1, "echo", 7, "second");
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "2");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 2);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "2");
}

static void
no_queue_is_answered_404_at_once_where_no_worker_is_free(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_G1, "echo", 1, "x");

    world_say(world, "C", request_of(2, MDP_FLAG_NO_QUEUE, 0), "y");

    assert_int_equal(world_status(world, "C"), MDP_NO_WORKER);
    assert_int_equal(world_stats(world)->requests_queued, 0);
    assert_int_equal(world_stats(world)->requests_refused, 1);
}

static void
no_queue_is_served_where_a_worker_is_free(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);

    world_say(world, "C", request_of(2, MDP_FLAG_NO_QUEUE, 0), "y");

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
}

static void
no_queue_for_an_unknown_service_makes_no_record_of_it(void **state)
{
    struct world *world = *state;

    world_say(world, "C", request_of(2, MDP_FLAG_NO_QUEUE, 0), "y");

    assert_int_equal(world_status(world, "C"), MDP_NO_WORKER);
    assert_int_equal(world_stats(world)->services, 0);
}

static void
malformed_g1_request_is_answered_400_and_too_large_413(void **state)
{
    struct world *world = *state;
    static const struct {
        enum mdp_fault fault;
        uint16_t status;
    } rows[] = {{MDP_BAD_NAME, MDP_MALFORMED},
                {MDP_BAD_CONTENTS, MDP_MALFORMED},
                {MDP_OVER_LIMIT, MDP_TOO_LARGE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mdp_record record = request_of(i, 0, 0);
        record.fault = rows[i].fault;

        world_say(world, "C", record, NULL);

        assert_int_equal(world_status(world, "C"), rows[i].status);
        assert_int_equal(world_last(world, "C", MDP_FINAL)->record.id, i);
        assert_int_equal(world_stats(world)->faults[rows[i].fault], 1);
    }
    assert_int_equal(world_stats(world)->peers_rejected, 3);
    assert_int_equal(world_stats(world)->requests_refused, 3);
}

static void
faulty_request_of_an_old_dialect_is_dropped_without_an_answer(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 2; i++) {
        struct mdp_record record = request_of(0, 0, 0);
        record.dialect = i == 0 ? MDP_01 : MDP_02;
        record.fault = MDP_BAD_NAME;

        world_say(world, "C", record, NULL);
    }
    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world_stats(world)->faults[MDP_BAD_NAME], 2);
    assert_int_equal(world_stats(world)->services, 0);
}

static void
heartbeat_of_a_client_is_answered_by_one(void **state)
{
    struct world *world = *state;
    struct mdp_record beat = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT, .interval_ms = 50};

    world_say(world, "C", beat, NULL);

    assert_int_equal(world->sent_count, 1);
    assert_int_equal(world_last(world, "C", MDP_HEARTBEAT)->record.interval_ms, 1000);
    assert_int_equal(world->sent[0].record.side, MDP_CLIENT_SIDE);
    world_pass(world, 10000);
    assert_int_equal(world->sent_count, 1); // the broker never sends one first
}

static void
answers_to_one_peer_go_over_one_route(void **state)
{
    struct world *world = *state;
    struct mdp_record beat = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT, .interval_ms = 50};

    for (int i = 0; i < 100; i++)
        world_say(world, "C", beat, NULL);

    assert_int_equal(world->sent_count, 100);
    for (int i = 1; i < 100; i++)
        assert_int_equal(world->sent[i].route_serial, world->sent[0].route_serial);
}

static void
routes_of_peers_that_have_gone_are_used_again(void **state)
{
    struct world *world = *state;
    struct mdp_record beat = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT, .interval_ms = 50};

    for (int i = 0; i < 4000; i++) {
        char id[16];
        snprintf(id, sizeof id, "C%d", i);
        world_say(world, id, beat, NULL);
    }

    assert_int_equal(world->sent_count, 4000);
    for (int i = 0; i < 4000; i++)
        assert_true(world->sent[i].route_number < 200);
}

// ---- cancel --------------------------------------------------------------------------------

static void
cancel_of_a_waiting_request_is_answered_499(void **state)
{
    struct world *world = *state;
    world_request(world, "C", MDP_G1, "echo", 7, "x");

    world_cancel(world, "C", 7);

    assert_int_equal(world_status(world, "C"), MDP_CANCELLED);
    assert_int_equal(world_stats(world)->requests_cancelled, 1);
    assert_int_equal(world_stats(world)->requests_queued, 0);
    assert_int_equal(world_stats(world)->services, 0);
}

static void
cancelled_request_keeps_its_slot_until_the_worker_has_answered(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    world_request(world, "C", MDP_G1, "echo", 2, "y");

    world_cancel(world, "C", 1);

    assert_int_equal(world_status(world, "C"), MDP_CANCELLED);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
    world_answer(world, "W", world_find(world, "W", MDP_REQUEST, 0), "late");
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1); // what it sends is dropped
    assert_int_equal(world_stats(world)->answers_late, 1);
    assert_string_equal(world_last(world, "W", MDP_REQUEST)->body, "y");
}

static void
cancel_of_an_id_that_is_not_open_is_dropped_and_counted(void **state)
{
    struct world *world = *state;
    world_request(world, "C1", MDP_G1, "echo", 7, "x");

    world_cancel(world, "C2", 7); // not its request

    assert_int_equal(world_stats(world)->cancels_unknown, 1);
    assert_int_equal(world_stats(world)->requests_queued, 1);
    assert_int_equal(world->sent_count, 0);
}

// ---- limits --------------------------------------------------------------------------------

static void
client_limit_is_counted_and_spares_other_clients(void **state)
{
    struct world *world = *state;
    for (uint64_t id = 0; id < world->config.client_requests_max; id++)
        world_request(world, "C1", MDP_G1, "echo", id, "x");

    world_request(world, "C1", MDP_G1, "echo", 1000, "x");
    world_request(world, "C2", MDP_G1, "echo", 1, "x");

    assert_int_equal(world_status(world, "C1"), MDP_QUEUE_FULL);
    assert_int_equal(world_stats(world)->refused_client_limit, 1);
    assert_int_equal(world_status(world, "C2"), 0);
}

static void
client_limit_counts_what_waits_and_not_what_is_out(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 32);

    for (uint64_t id = 0; id < 32 + world->config.client_requests_max; id++)
        world_request(world, "C", MDP_G1, "echo", id, "x");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    assert_int_equal(world_stats(world)->requests_out, 32);
}

static void
service_queue_limit_is_counted_and_spares_other_services(void **state)
{
    struct world *world = *state;
    for (uint64_t id = 0; id < world->config.service_requests_max; id++)
        world_request(world, id % 2 ? "C1" : "C2", MDP_G1, "echo", id, "x");

    world_request(world, "C3", MDP_G1, "echo", 1, "x");
    world_request(world, "C4", MDP_G1, "other", 1, "x");

    assert_int_equal(world_status(world, "C3"), MDP_QUEUE_FULL);
    assert_int_equal(world_stats(world)->refused_service_queue_limit, 1);
    assert_int_equal(world_status(world, "C4"), 0);
}

static void
queue_limit_of_a_single_service_is_its_own(void **state)
{
    struct world *world = *state;
    struct broker_service_config service = {.name = VIEW_LITERAL("echo"), .requests_max = 2};
    struct broker_config config = world_config();
    config.services = &service;
    config.service_count = 1;
    world_configure(world, &config);

    for (uint64_t id = 0; id < 3; id++) {
        world_request(world, "C", MDP_G1, "echo", id, "x");
        world_request(world, "C", MDP_G1, "other", 10 + id, "x");
    }

    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
    assert_int_equal(world_last(world, "C", MDP_FINAL)->record.id, 2);
    assert_int_equal(world_stats(world)->refused_service_queue_limit, 1);
}

static void
limit_over_all_services_is_counted(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = 3;
    world_configure(world, &config);
    const char *const services[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        world_request(world, "C1", MDP_G1, services[i], (uint64_t)i, "x");

    world_request(world, "C2", MDP_G1, "d", 9, "x");

    assert_int_equal(world_status(world, "C2"), MDP_QUEUE_FULL);
    assert_int_equal(world_stats(world)->refused_queue_limit, 1);
    assert_int_equal(world_stats(world)->services, 3); // none was left behind for d
}

static void
bytes_limit_counts_bodies_until_they_are_answered(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.request_bytes_max = 195; // a body of 1 costs 65 here
    world_configure(world, &config);
    world_ready(world, "W", MDP_G1, "echo", 32);
    for (uint64_t id = 0; id < 3; id++)
        world_request(world, "C", MDP_G1, "echo", id, "x");

    world_request(world, "C", MDP_G1, "echo", 3, "x");

    assert_int_equal(world_status(world, "C"), MDP_QUEUE_FULL);
    assert_int_equal(world_stats(world)->refused_bytes_limit, 1);
    assert_int_equal(world_stats(world)->request_bytes, 195);
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "y");
    world_request(world, "C", MDP_G1, "echo", 4, "x");
    assert_int_equal(world_stats(world)->refused_bytes_limit, 1);
}

static void
services_limit_is_counted(void **state)
{
    struct world *world = *state;
    char name[16];
    for (uint32_t i = 0; i < world->config.services_max; i++) {
        snprintf(name, sizeof name, "s%u", i);
        world_request(world, "C1", MDP_G1, name, i, "x");
    }

    world_request(world, "C2", MDP_G1, "one more", 1, "x");

    assert_int_equal(world_status(world, "C2"), MDP_QUEUE_FULL);
    assert_int_equal(world_stats(world)->refused_service_limit, 1);
}

static void
old_clients_hear_nothing_of_a_refusal_and_it_is_counted(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.client_requests_max = 1;
    world_configure(world, &config);
    world_request(world, "C", MDP_01, "echo", 0, "x");

    world_request(world, "C", MDP_01, "echo", 0, "y");
    world_request(world, "C", MDP_02, "echo", 0, "z");

    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world_stats(world)->requests_refused, 2);
    assert_int_equal(world_stats(world)->answers_silent, 2);
    assert_int_equal(world_stats(world)->dumps[BROKER_DUMP_REFUSED], 2);
}

// more peers than there are routes: all that wait, all that are out, all workers and one.
static void
peer_that_no_route_is_left_for_is_dropped_and_counted(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = 1;
    config.workers_max = 1;
    world_configure(world, &config);
    char long_id[200];
    memset(long_id, 'x', sizeof long_id);
    long_id[sizeof long_id - 1] = '\0';
    world_ready(world, "W", MDP_G1, "echo", 32);
    for (int i = 0; i < 3; i++) {
        char id[4] = {(char)('a' + i), '\0'};
        world_request(world, id, MDP_G1, "echo", 1, "x");
    }

    world_request(world, long_id, MDP_G1, "echo", 1, "x");
    for (int i = 0; i < 10; i++) {
        char id[4] = {'d', (char)('a' + i), '\0'};
        world_request(world, id, MDP_G1, "echo", 1, "x");
    }

    const struct broker_stats *stats = world_stats(world);
    assert_true(stats->requests_out + stats->requests_queued <= 2);
    assert_true(stats->refused_queue_limit + stats->refused_route_limit > 0);
    assert_int_equal(stats->requests_in + stats->refused_route_limit, 14);
}

// Found by the simulator, with seed 110: a route was looked for when the step had effects.
static void
strangers_find_no_room_for_a_route_and_nothing_breaks(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = 1;
    config.workers_max = 1;
    world_configure(world, &config);
    for (int i = 0; i < 100; i++) {
        char id[16];
        snprintf(id, sizeof id, "S%d", i);
        struct sent nothing = {.record.dialect = MDP_G1};
        world_final(world, id, &nothing, 200, 0, "body"); // it is let go, then DISCONNECT
    }
    assert_int_equal(world->sent_count, 100);
}

// Long routing ids have fewer routes than there may be requests.
static void
peer_with_a_long_id_is_refused_where_such_routes_are_all_taken(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = config.service_requests_max = 20000;
    config.request_bytes_max = 1 << 30;
    world_configure(world, &config);
    world->is_large = true;
    for (int i = 0; i < 16384 + 3; i++) {
        char id[80];
        snprintf(id, sizeof id, "%070d", i);
        world_request(world, id, MDP_G1, "echo", 1, "x");
        world_clear(world);
    }

    world->is_large = false;
    world_tick(world);
    assert_int_equal(world_stats(world)->refused_route_limit, 3);
    assert_int_equal(world_stats(world)->requests_queued, 16384);
    assert_int_equal(world_stats(world)->dumps[BROKER_DUMP_REFUSED], 3);
}

// ---- services come and go ------------------------------------------------------------------

static void
service_goes_with_its_last_request(void **state)
{
    struct world *world = *state;
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    assert_int_equal(world_stats(world)->services, 1);

    world_cancel(world, "C", 1);

    assert_int_equal(world_stats(world)->services, 0);
}

static void
service_goes_with_its_last_worker(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_01, "echo", 1);

    world_bare(world, "W", MDP_01, MDP_DISCONNECT);

    assert_int_equal(world_stats(world)->services, 0);
    assert_int_equal(world_stats(world)->workers_left, 1);
}

static void
hundred_thousand_made_up_names_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.request_ttl_ms = 10;
    world_configure(world, &config);
    for (uint32_t i = 0; i < 100000; i++) {
        char name[32], id[32];
        snprintf(name, sizeof name, "made-up-%u", i);
        snprintf(id, sizeof id, "C%u", i);
        world_request(world, id, MDP_G1, name, i, "x");
        if (world->sent_count > 1000)
            world_clear(world);
        if (i % 16 == 15)
            world_pass(world, 11);
    }
    world_pass(world, 11);
    const struct broker_stats *stats = world_stats(world);
    assert_int_equal(stats->services, 0);
    assert_int_equal(stats->requests_queued, 0);
    assert_int_equal(stats->request_bytes, 0);
    assert_int_equal(stats->requests_expired, 100000);
    assert_int_equal(world->cargo_live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(request_goes_to_a_worker_of_its_service_at_once),
        world_test(answer_goes_to_the_client_that_asked_and_to_no_other),
        world_test(one_client_may_mix_dialects_and_pipeline),
        world_test(worker_may_be_a_client_too),
        world_test(answer_has_the_stack_and_the_delimiter_of_its_request),
        world_test(repeat_of_an_open_id_is_dropped_and_counted),
        world_test(faulty_repeat_of_an_open_id_does_not_end_the_first),
        world_test(id_may_be_used_again_after_its_answer),
        world_test(no_queue_is_answered_404_at_once_where_no_worker_is_free),
        world_test(no_queue_is_served_where_a_worker_is_free),
        world_test(no_queue_for_an_unknown_service_makes_no_record_of_it),
        world_test(malformed_g1_request_is_answered_400_and_too_large_413),
        world_test(faulty_request_of_an_old_dialect_is_dropped_without_an_answer),
        world_test(heartbeat_of_a_client_is_answered_by_one),
        world_test(answers_to_one_peer_go_over_one_route),
        world_test(routes_of_peers_that_have_gone_are_used_again),
        world_test(cancel_of_a_waiting_request_is_answered_499),
        world_test(cancelled_request_keeps_its_slot_until_the_worker_has_answered),
        world_test(cancel_of_an_id_that_is_not_open_is_dropped_and_counted),
        world_test(client_limit_is_counted_and_spares_other_clients),
        world_test(client_limit_counts_what_waits_and_not_what_is_out),
        world_test(service_queue_limit_is_counted_and_spares_other_services),
        world_test(queue_limit_of_a_single_service_is_its_own),
        world_test(limit_over_all_services_is_counted),
        world_test(bytes_limit_counts_bodies_until_they_are_answered),
        world_test(services_limit_is_counted),
        world_test(old_clients_hear_nothing_of_a_refusal_and_it_is_counted),
        world_test(peer_that_no_route_is_left_for_is_dropped_and_counted),
        world_test(strangers_find_no_room_for_a_route_and_nothing_breaks),
        world_test(peer_with_a_long_id_is_refused_where_such_routes_are_all_taken),
        world_test(service_goes_with_its_last_request),
        world_test(service_goes_with_its_last_worker),
        world_test(hundred_thousand_made_up_names_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
