// test_titanic_ends.c - drains, crashes and starts of Titanic's core.

#include "titanic_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void
what_was_pending_runs_after_a_restart(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id ids[30];
    for (int i = 0; i < 30; i++)
        ids[i] = rig_accepted(rig, i % 2 ? "odd" : "even", "x");
    rig_answer(rig, 0, 200, "first");
    size_t before = rig->sent_count;
    titanic_rig_crash(rig);
    rig_known(rig, "odd", true);
    rig_known(rig, "even", true);
    for (size_t i = before; i < rig->sent_count; i++)
        if (rig->sent[i].is_open)
            rig_answer(rig, i, 200, "y");
    const char *text;
    for (int i = 0; i < 30; i++)
        assert_int_equal(rig_fetch(rig, &ids[i], &text), TSP_OK);
    assert_int_equal(rig_fetch(rig, &ids[0], &text), TSP_OK);
    assert_string_equal(text, "first");
    titanic_rig_free(rig);
}

static void
drain_waits_for_what_is_out_and_takes_nothing_new(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    size_t wait = rig_ask_id(rig, TSP_WAIT, &id, 60000);
    rig_wait(rig, 0);
    struct titanic_event drain = {.kind = TITANIC_DRAIN};
    rig_step(rig, &drain);
    rig_wait(rig, 100);
    assert_int_equal(rig->askers[wait].status, TSP_PENDING);
    size_t refused = rig_submit(rig, "echo", "more");
    assert_int_equal(rig->askers[refused].status, TSP_ERROR);
    assert_false(rig->has_stopped);
    rig_answer(rig, 0, 200, "y");
    assert_true(rig->has_stopped);
    titanic_rig_free(rig);
}

static void
what_was_pending_of_a_service_without_a_place_runs_before_what_is_new(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    rig_accepted(rig, "a", "old");
    rig_accepted(rig, "b", "old");
    rig->config.services_max = 1;
    titanic_rig_crash(rig);
    const char *first = rig->sent[2].service;
    const char *other = strcmp(first, "a") == 0 ? "b" : "a";
    rig_known(rig, first, true);
    rig_answer(rig, 2, 200, "y");
    assert_int_equal(rig->sent_count, 3); // the place is free, and nobody has looked again
    rig_accepted(rig, other, "new");
    rig_known(rig, other, true);
    assert_int_equal(rig->sent_count, 5);
    assert_string_equal(rig->sent[3].body, "old");
    assert_string_equal(rig->sent[4].body, "new");
    titanic_rig_free(rig);
}

static void
drain_does_not_wait_for_a_service_without_workers(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    rig_accepted(rig, "none", "hello");
    rig_known(rig, "none", false);
    assert_int_equal(rig_open(rig, "none"), 1);
    struct titanic_event drain = {.kind = TITANIC_DRAIN};
    rig_step(rig, &drain);
    rig_wait(rig, 0);
    assert_int_equal(rig->cancelled, 1);
    assert_true(rig->has_stopped);
    titanic_rig_free(rig);
}

// A process that was stopped meanwhile finds answers there when it goes on: they are taken before
// what is still out is given up.
static void
answers_that_are_there_when_the_drain_is_over_are_taken(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    rig_accepted(rig, "echo", "first");
    rig_known(rig, "echo", true);
    rig_accepted(rig, "echo", "second");
    assert_int_equal(rig_open(rig, "echo"), 2);
    struct titanic_event drain = {.kind = TITANIC_DRAIN};
    rig_step(rig, &drain);
    rig->now_ns += (rig->config.drain_ms + 1) * 1000000;
    struct titanic_event lost = {.kind = TITANIC_ANSWER,
                                 .token = rig->sent[0].token,
                                 .ending = TITANIC_LOST,
                                 .text = VIEW_LITERAL("no answer")};
    rig->sent[0].is_open = false;
    rig_step(rig, &lost);
    rig_answer(rig, 1, 200, "y");
    assert_int_equal(rig_stats(rig).answers, 1);
    assert_int_equal(rig_stats(rig).answers_late, 0);
    assert_true(rig->has_stopped);
    titanic_rig_free(rig);
}

static void
drain_that_waits_for_the_store_alone_sleeps_until_it_says(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    rig_wait(rig, 0);
    (void)rig_ask_id(rig, TSP_REPLY, &id, 0);
    struct titanic_event drain = {.kind = TITANIC_DRAIN};
    rig_step(rig, &drain);
    rig->now_ns += rig->config.drain_ms * 1000000;
    struct titanic_event tick = {.kind = TITANIC_TICK};
    while (titanic_core_deadline(rig->core) <= rig->now_ns && rig_open(rig, "echo") > 0)
        rig_step(rig, &tick);
    assert_false(rig->has_stopped);
    assert_true(titanic_core_deadline(rig->core) == UINT64_MAX);
    rig_commit(rig);
    assert_true(rig->has_stopped);
    titanic_rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_pending_runs_after_a_restart),
        cmocka_unit_test(drain_waits_for_what_is_out_and_takes_nothing_new),
        cmocka_unit_test(what_was_pending_of_a_service_without_a_place_runs_before_what_is_new),
        cmocka_unit_test(drain_does_not_wait_for_a_service_without_workers),
        cmocka_unit_test(answers_that_are_there_when_the_drain_is_over_are_taken),
        cmocka_unit_test(drain_that_waits_for_the_store_alone_sleeps_until_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
