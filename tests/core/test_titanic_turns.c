// test_titanic_turns.c - nobody is passed over: who waits for a slot, for memory, or to be loaded.

#include "titanic_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

// Many services: a slot is offered to some of them at a time.
enum { MANY = 20 };
static const char *const names[MANY] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
                                        "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"};

static void
slot_of_what_was_not_tried_goes_to_who_waits_for_it(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.inflight = 2;
    titanic_rig_start(rig);
    rig_accepted(rig, "dead", "x");
    rig_accepted(rig, "gone", "x");
    rig_accepted(rig, "alive", "x");
    assert_int_equal(rig_open(rig, "alive"), 0);
    rig_not_tried(rig, 0);
    assert_int_equal(rig_open(rig, "alive"), 1);
    titanic_rig_free(rig);
}

static void
slot_that_the_first_may_not_use_is_offered_to_the_next(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.inflight = MANY + 1;
    rig->config.services_max = MANY + 2;
    titanic_rig_start(rig);
    for (size_t i = 0; i < MANY; i++) {
        rig_accepted(rig, names[i], "x");
        rig_known(rig, names[i], true);
    }
    // One slot is left: each of the many has one out, which is as much as it may.
    for (size_t i = 0; i < MANY; i++)
        rig_accepted(rig, names[i], "y");
    rig_accepted(rig, "last slot", "x");
    rig_accepted(rig, "behind them", "x");
    assert_int_equal(rig->sent_count, MANY + 1);
    rig_answer(rig, MANY, 200, "y");
    assert_int_equal(rig_open(rig, "behind them"), 1);
    titanic_rig_free(rig);
}

static void
slot_that_was_offered_in_vain_is_offered_to_the_next(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.inflight = 1;
    rig->config.services_max = MANY + 1;
    titanic_rig_start(rig);
    rig_accepted(rig, "first", "x");
    for (size_t i = 0; i < MANY; i++)
        rig_submit_with(rig, names[i], "x", &(struct tsp_request){.not_before_ms = 50});
    rig_wait(rig, 60); // they are due, wait for the slot, and are in the store alone
    assert_int_equal(rig->sent_count, 1);
    // All of them but the last are closed, which the core does not see.
    for (size_t i = 0; i < MANY - 1; i++) {
        struct durable_filter filter = {.service = view_of(names[i], 1)};
        rig_ask_filter(rig, TSP_CANCEL, &filter);
    }
    rig_answer(rig, 0, 200, "y");
    assert_int_equal(rig_open(rig, names[MANY - 1]), 1);
    titanic_rig_free(rig);
}

static void
request_that_is_loaded_again_before_its_end_is_told_runs_again(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "first");
    rig_known(rig, "echo", true);
    rig_submit_with(rig, "echo", "second", &(struct tsp_request){.not_before_ms = 50});
    rig_wait(rig, 45);
    struct durable_filter one = {.has_id = true, .id = id};
    rig_ask_filter(rig, TSP_CANCEL, &one);
    rig_ask_filter(rig, TSP_RETRY, &one);
    // The store has told of neither, and is asked for what is due; then the attempt fails.
    rig->now_ns += 5 * UINT64_C(1000000);
    struct titanic_event tick = {.kind = TITANIC_TICK};
    rig_step(rig, &tick);
    struct titanic_event event = {.kind = TITANIC_ANSWER,
                                  .token = rig->sent[0].token,
                                  .ending = TITANIC_ENDED,
                                  .ended_with = 500,
                                  .text = VIEW_LITERAL("no")};
    rig->sent[0].is_open = false;
    rig_step(rig, &event);
    rig_wait(rig, 5);
    assert_int_equal(rig_open(rig, "echo"), 2);
    rig_answer(rig, 1, 200, "y");
    rig_answer(rig, 2, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
what_is_pending_is_found_behind_a_thousand_services(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.services_max = 1100;
    titanic_rig_start(rig);
    char name[16];
    for (int i = 0; i <= DURABLE_ROWS_MAX; i++) {
        snprintf(name, sizeof name, "a%04d", i);
        rig_accepted(rig, name, "x");
        rig_answer(rig, rig->sent_count - 1, 200, "y");
    }
    rig_accepted(rig, "z", "x");
    titanic_rig_crash(rig);
    assert_int_equal(rig_open(rig, "z"), 1);
    titanic_rig_free(rig);
}

static void
damaged_request_is_dead_and_holds_up_no_other(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id ids[4];
    static const char *const bodies[] = {"one", "two", "three", "four"};
    rig->damaged = "two";
    for (size_t i = 0; i < 4; i++)
        ids[i] = rig_accepted(rig, "echo", bodies[i]);
    titanic_rig_crash(rig);
    rig_known(rig, "echo", true);
    rig_wait(rig, 5000);
    for (size_t i = 0; i < rig->sent_count; i++)
        if (rig->sent[i].is_open)
            rig_answer(rig, i, 200, "y");
    const char *text;
    assert_int_equal(rig_fetch(rig, &ids[0], NULL), TSP_OK);
    assert_int_equal(rig_fetch(rig, &ids[1], &text), TSP_ERROR);
    assert_string_equal(text, "damaged in the store");
    assert_int_equal(rig_fetch(rig, &ids[2], NULL), TSP_OK);
    assert_int_equal(rig_fetch(rig, &ids[3], NULL), TSP_OK);
    assert_int_equal(rig_stats(rig).damaged, 1);
    assert_int_equal(rig_stats(rig).given_up, 1);
    titanic_rig_free(rig);
}

static void
memory_that_services_without_workers_have_is_given_to_who_needs_it(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.inflight = 1; // and twice as many in memory
    titanic_rig_start(rig);
    struct request_id dead = rig_accepted(rig, "dead", "x");
    rig_not_tried(rig, 0);
    rig_accepted(rig, "gone", "x");
    rig_not_tried(rig, 1);
    rig_accepted(rig, "alive", "x");
    for (int seconds = 0; seconds < 60 && rig_open(rig, "alive") == 0; seconds++) {
        for (size_t i = 0; i < rig->sent_count; i++)
            if (rig->sent[i].is_open)
                rig_not_tried(rig, i);
        rig_wait(rig, 1000);
    }
    assert_int_equal(rig_open(rig, "alive"), 1);
    rig_answer(rig, rig->sent_count - 1, 200, "y");
    // And nobody is forgotten for that.
    for (int seconds = 0; seconds < 60 && rig_fetch(rig, &dead, NULL) != TSP_OK; seconds++) {
        for (size_t i = 0; i < rig->sent_count; i++)
            if (rig->sent[i].is_open)
                rig_answer(rig, i, 200, "y");
        rig_wait(rig, 1000);
    }
    assert_int_equal(rig_fetch(rig, &dead, NULL), TSP_OK);
    assert_int_equal(rig_stats(rig).answers, 3);
    titanic_rig_free(rig);
}

static void
bodies_that_are_loaded_count_against_the_limit(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.bytes_max = 500;
    titanic_rig_start(rig);
    struct request_id ids[20];
    char body[101];
    memset(body, 'x', 100);
    body[100] = '\0';
    for (size_t i = 0; i < 20; i++)
        ids[i] = rig_accepted(rig, "echo", body);
    titanic_rig_crash(rig);
    rig_known(rig, "echo", true);
    assert_in_range(rig->live, 2, 6);
    assert_int_equal(rig->askers[rig_submit(rig, "echo", body)].status, TSP_BUSY);
    for (size_t i = 0; i < rig->sent_count; i++)
        if (rig->sent[i].is_open)
            rig_answer(rig, i, 200, "y");
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(rig_fetch(rig, &ids[i], NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
room_that_comes_back_from_who_submits_is_used_at_once(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.bytes_max = 600;
    titanic_rig_start(rig);
    char body[101];
    memset(body, 'x', 100);
    body[100] = '\0';
    rig_accepted(rig, "hangs", body);
    rig_submit_with(rig, "later", body, &(struct tsp_request){.not_before_ms = 5});
    rig_commit(rig);
    // While four more are on their way to the store there is no room for what is due.
    for (int i = 0; i < 4; i++)
        rig_submit_with(rig, "echo", body, &(struct tsp_request){.not_before_ms = 60000});
    rig->now_ns += 10 * UINT64_C(1000000);
    struct titanic_event tick = {.kind = TITANIC_TICK};
    rig_step(rig, &tick);
    rig_wait(rig, 10);
    assert_int_equal(rig_open(rig, "later"), 1);
    titanic_rig_free(rig);
}

static void
bodies_of_services_without_workers_give_way_to_others(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    titanic_rig_start(rig);
    char body[101];
    memset(body, 'x', 100);
    body[100] = '\0';
    rig_accepted(rig, "dead", body);
    rig_accepted(rig, "gone", body);
    rig_accepted(rig, "lost", body);
    rig_accepted(rig, "alive", body);
    rig->config.bytes_max = 200;
    titanic_rig_crash(rig);
    for (int seconds = 0; seconds < 60 && rig_open(rig, "alive") == 0; seconds++) {
        for (size_t i = 0; i < rig->sent_count; i++)
            if (rig->sent[i].is_open && strcmp(rig->sent[i].service, "alive") != 0)
                rig_not_tried(rig, i);
        rig_wait(rig, 1000);
    }
    assert_int_equal(rig_open(rig, "alive"), 1);
    titanic_rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slot_of_what_was_not_tried_goes_to_who_waits_for_it),
        cmocka_unit_test(slot_that_the_first_may_not_use_is_offered_to_the_next),
        cmocka_unit_test(slot_that_was_offered_in_vain_is_offered_to_the_next),
        cmocka_unit_test(request_that_is_loaded_again_before_its_end_is_told_runs_again),
        cmocka_unit_test(what_is_pending_is_found_behind_a_thousand_services),
        cmocka_unit_test(damaged_request_is_dead_and_holds_up_no_other),
        cmocka_unit_test(memory_that_services_without_workers_have_is_given_to_who_needs_it),
        cmocka_unit_test(bodies_that_are_loaded_count_against_the_limit),
        cmocka_unit_test(room_that_comes_back_from_who_submits_is_used_at_once),
        cmocka_unit_test(bodies_of_services_without_workers_give_way_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
