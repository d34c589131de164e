// test_broker_drain.c - a graceful stop: nothing new, what is out is finished, the
// workers are told.

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
    world_request(world, "C", MDP_G1, "echo", id, "x");
}

// hold makes W a worker that holds request 1, and drains.
static struct sent
hold_and_drain(struct world *world, mdp_dialect_t dialect)
{
    world_ready(world, "W", dialect, "echo", 1);
    ask(world, 1);
    struct sent request = *world_last(world, "W", MDP_REQUEST);
    world_drain(world);
    return request;
}

static void
idle_broker_stops_at_once_and_tells_its_workers(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_G1, "echo", 1);
    world_ready(world, "W2", MDP_01, "echo", 1);

    world_drain(world);

    assert_true(world->is_stopped);
    assert_int_equal(world_last(world, "W1", MDP_DISCONNECT)->record.reason, MDP_REASON_STOPPING);
    assert_int_equal(world_count(world, "W2", MDP_DISCONNECT), 1);
    assert_int_equal(world_stats(world)->workers, 0);
}

static void
request_that_is_out_is_finished_first(void **state)
{
    struct world *world = *state;
    struct sent request = hold_and_drain(world, MDP_G1);
    assert_false(world->is_stopped);
    assert_int_equal(world_count(world, "W", MDP_DRAIN), 1);
    assert_int_equal(world_count(world, "W", MDP_DISCONNECT), 0);

    world_answer(world, "W", &request, "done");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "done");
    assert_true(world->is_stopped);
    assert_int_equal(world_last(world, "W", MDP_DISCONNECT)->record.reason, MDP_REASON_STOPPING);
}

static void
drain_is_said_to_g1_workers_once_and_to_no_others(void **state)
{
    struct world *world = *state;
    world_ready(world, "V", MDP_02, "other", 1);
    hold_and_drain(world, MDP_G1);
    world_drain(world);
    world_pass(world, 2000);

    assert_int_equal(world_count(world, "W", MDP_DRAIN) + world_count(world, "V", MDP_DRAIN), 1);
}

static void
requests_that_wait_and_new_ones_are_answered_503(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1);
    ask(world, 2);
    world_drain(world);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
    assert_int_equal(world_last(world, "C", MDP_FINAL)->record.id, 2);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, ""); // an endpoint, or nothing

    ask(world, 3);

    assert_int_equal(world_last(world, "C", MDP_FINAL)->record.id, 3);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world_stats(world)->refused_draining, 2);
}

static void
new_worker_is_refused_with_5(void **state)
{
    struct world *world = *state;
    hold_and_drain(world, MDP_G1);

    world_ready(world, "V", MDP_G1, "echo", 1);

    assert_int_equal(world_last(world, "V", MDP_DISCONNECT)->record.reason, MDP_REASON_STOPPING);
    assert_int_equal(world_stats(world)->workers, 1);
}

static void
drain_waits_no_longer_than_its_limit(void **state)
{
    struct world *world = *state;
    hold_and_drain(world, MDP_G1);

    world_pass(world, 4999);
    assert_false(world->is_stopped);
    world_pass(world, 1);

    assert_true(world->is_stopped);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world_stats(world)->requests_out, 0);
}

static void
deadline_is_the_end_of_the_drain_where_nothing_comes_before(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.drain_ms = 4500;
    world_configure(world, &config);
    hold_and_drain(world, MDP_G1);
    world_pass(world, 4400); // the next beat is due at 5000

    uint64_t end_ns = broker_core_end_of_drain(world->core, world->now_ns);
    assert_true(broker_core_deadline(world->core) == end_ns);
    assert_true(end_ns == world->now_ns + 100 * 1000000);
}

// G1: "DRAIN from the broker: I give you nothing more".
static void
worker_that_was_told_gets_nothing_more(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1);
    world_ready(world, "V", MDP_G1, "echo", 2);
    ask(world, 2);
    world_drain(world);

    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
    world_answer(world, "V", world_last(world, "V", MDP_REQUEST), "done");

    assert_int_equal(world_count(world, "V", MDP_REQUEST), 1);
    assert_int_equal(world_find(world, "C", MDP_FINAL, 0)->record.status, MDP_DONE);
    assert_int_equal(world_find(world, "C", MDP_FINAL, 1)->record.status, MDP_PASSIVE);
    assert_true(world->is_stopped);
}

static void
request_of_a_lost_worker_may_be_finished_by_an_old_one(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_01, "echo", 1);
    ask(world, 1);
    world_ready(world, "V", MDP_01, "echo", 1);
    world_drain(world);

    world_bare(world, "W", MDP_01, MDP_DISCONNECT);
    world_answer(world, "V", world_last(world, "V", MDP_REQUEST), "done");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "done");
    assert_true(world->is_stopped);
}

static void
request_that_was_lost_before_the_drain_is_finished_too(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1);
    world_ready(world, "V", MDP_01, "echo", 1);
    ask(world, 2);
    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
    assert_int_equal(world_stats(world)->requests_queued, 1);

    world_drain(world);

    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    world_answer(world, "V", world_last(world, "V", MDP_REQUEST), "2");
    world_answer(world, "V", world_last(world, "V", MDP_REQUEST), "1");
    assert_int_equal(world_find(world, "C", MDP_FINAL, 1)->record.status, MDP_DONE);
    assert_int_equal(world_find(world, "C", MDP_FINAL, 1)->record.id, 1);
    assert_true(world->is_stopped);
}

static void
drain_does_not_wait_for_a_request_that_nobody_can_take(void **state)
{
    struct world *world = *state;
    hold_and_drain(world, MDP_G1);
    world->is_manual = true;

    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
    world_tick(world);

    assert_true(world->is_stopped);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
}

// A worker would run for nobody what is taken from it in the same breath.
static void
request_that_comes_back_at_the_end_of_the_drain_is_given_to_nobody(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.drain_ms = 500; // V is not lost before
    world_configure(world, &config);
    world_ready(world, "W", MDP_01, "echo", 1);
    ask(world, 1);
    world_ready(world, "V", MDP_01, "echo", 1);
    world_drain(world);
    world->now_ns = broker_core_end_of_drain(world->core, world->now_ns);

    world_bare(world, "W", MDP_01, MDP_DISCONNECT);

    assert_int_equal(world_count(world, "V", MDP_REQUEST), 0);
    assert_int_equal(world_count(world, "V", MDP_DISCONNECT), 1);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_true(world->is_stopped);
}

static void
cancelled_request_holds_the_drain_until_its_worker_has_answered(void **state)
{
    struct world *world = *state;
    struct sent request = hold_and_drain(world, MDP_G1);
    world_cancel(world, "C", 1);
    assert_false(world->is_stopped);

    world_answer(world, "W", &request, "x");

    assert_true(world->is_stopped);
    assert_int_equal(world_status(world, "C"), MDP_CANCELLED);
}

static void
drain_with_many_goes_on_step_by_step(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = config.client_requests_max = 1000;
    config.service_requests_max = 1000;
    config.services_max = 200;
    config.workers_max = 200;
    world_configure(world, &config);
    for (uint64_t i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%u", (unsigned)(i % 150));
        world_request(world, "C", MDP_G1, name, i, "x");
    }
    for (int i = 0; i < 100; i++) {
        char name[32], id[32];
        snprintf(name, sizeof name, "t%d", i);
        snprintf(id, sizeof id, "W%d", i);
        if (i < 50)
            world_ready(world, id, MDP_G1, name, 1);
    }
    world->is_manual = true;

    world_drain(world);

    assert_true(world->effects.count <= BROKER_EFFECTS_MAX);
    assert_false(world->is_stopped);
    assert_int_equal(broker_core_deadline(world->core), 0);
    world_tick(world);
    assert_true(world->is_stopped);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1000);
    assert_int_equal(world_stats(world)->services, 0);
}

static void
end_of_drain_is_when_a_tick_would_stop_it(void **state)
{
    struct world *world = *state;
    assert_true(broker_core_end_of_drain(world->core, 5) == 5);
    hold_and_drain(world, MDP_G1);

    world->now_ns = broker_core_end_of_drain(world->core, world->now_ns);
    world_tick(world);

    assert_true(world->is_stopped);
}

static void
nothing_starts_after_the_end(void **state)
{
    struct world *world = *state;
    world_drain(world);

    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1);
    world_request(world, "D", MDP_01, "echo", 0, "x");

    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world_stats(world)->services, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(idle_broker_stops_at_once_and_tells_its_workers),
        world_test(request_that_is_out_is_finished_first),
        world_test(drain_is_said_to_g1_workers_once_and_to_no_others),
        world_test(requests_that_wait_and_new_ones_are_answered_503),
        world_test(new_worker_is_refused_with_5),
        world_test(drain_waits_no_longer_than_its_limit),
        world_test(deadline_is_the_end_of_the_drain_where_nothing_comes_before),
        world_test(worker_that_was_told_gets_nothing_more),
        world_test(request_of_a_lost_worker_may_be_finished_by_an_old_one),
        world_test(request_that_was_lost_before_the_drain_is_finished_too),
        world_test(drain_does_not_wait_for_a_request_that_nobody_can_take),
        world_test(request_that_comes_back_at_the_end_of_the_drain_is_given_to_nobody),
        world_test(cancelled_request_holds_the_drain_until_its_worker_has_answered),
        world_test(drain_with_many_goes_on_step_by_step),
        world_test(end_of_drain_is_when_a_tick_would_stop_it),
        world_test(nothing_starts_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
