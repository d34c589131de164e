// test_titanic_core.c - what becomes of a durable request.

#include "titanic_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

// ---- acknowledgements ----------------------------------------------------------------

static void
nothing_is_acknowledged_before_the_store_has_it(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    size_t first = rig_submit(rig, "echo", "one");
    size_t second = rig_submit(rig, "echo", "two");
    assert_int_equal(rig->askers[first].status, 0);
    assert_int_equal(rig->sent_count, 0);
    rig_commit_one(rig);
    assert_int_equal(rig->askers[first].status, TSP_OK);
    assert_int_equal(rig->askers[second].status, 0);
    rig_commit(rig);
    assert_int_equal(rig->askers[second].status, TSP_OK);
    assert_int_equal(rig_stats(rig).submits, 2);
    titanic_rig_free(rig);
}

static void
close_is_acknowledged_after_the_store_and_so_is_an_answer(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    size_t wait = rig_ask_id(rig, TSP_WAIT, &id, 1000);
    rig_commit(rig);
    struct titanic_event event = {.kind = TITANIC_ANSWER,
                                  .token = rig->sent[0].token,
                                  .ending = TITANIC_ENDED,
                                  .ended_with = 500,
                                  .text = VIEW_LITERAL("no")};
    rig->sent[0].is_open = false;
    rig_step(rig, &event);
    assert_int_equal(rig->op_count - rig->op_first, 1);
    size_t close = rig_ask_id(rig, TSP_CLOSE, &id, 0);
    assert_int_equal(rig->askers[close].status, 0);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[close].status, TSP_OK);
    assert_int_equal(rig->askers[wait].status, TSP_UNKNOWN);
    titanic_rig_free(rig);
}

static void
store_without_room_is_an_error_to_who_submits_and_holds_answers_back(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    rig->refuses = true;
    size_t refused = rig_submit(rig, "echo", "more");
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[refused].status, TSP_ERROR);
    rig_answer(rig, 0, 200, "done");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_PENDING);
    rig_wait(rig, 5000);
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_PENDING);
    rig->refuses = false;
    rig_wait(rig, 1000);
    const char *text;
    assert_int_equal(rig_fetch(rig, &id, &text), TSP_OK);
    assert_string_equal(text, "done");
    assert_int_equal(rig->sent_count, 1);
    titanic_rig_free(rig);
}

static void
failure_that_the_store_had_no_room_for_is_due_again_when_it_is_told(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "first");
    rig_known(rig, "echo", true);
    rig->refuses_all = true;
    rig_answer(rig, 0, 500, "no");
    rig_wait(rig, 3500); // its pause is over by now
    rig->refuses_all = false;
    rig_accepted(rig, "echo", "second");
    rig_wait(rig, 10000);
    assert_int_equal(rig->sent_count, 3);
    assert_string_equal(rig->sent[2].body, "first");
    rig_answer(rig, 2, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
full_disk_refuses_submissions_and_takes_closes(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    struct titanic_event full = {.kind = TITANIC_ACCEPTING, .is_true = false};
    rig_step(rig, &full);
    size_t refused = rig_submit(rig, "echo", "more");
    assert_int_equal(rig->askers[refused].status, TSP_ERROR);
    size_t close = rig_ask_id(rig, TSP_CLOSE, &id, 0);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[close].status, TSP_OK);
    full.is_true = true;
    rig_step(rig, &full);
    rig_accepted(rig, "echo", "again");
    titanic_rig_free(rig);
}

// ---- answers ---------------------------------------------------------------------------

static void
answer_is_there_until_it_is_closed(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_PENDING);
    assert_string_equal(rig->sent[0].body, "hello");
    assert_string_equal(rig->sent[0].service, "echo");
    rig_answer(rig, 0, 200, "HELLO");
    const char *text;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_fetch(rig, &id, &text), TSP_OK);
        assert_string_equal(text, "HELLO");
    }
    for (int i = 0; i < 2; i++) {
        size_t close = rig_ask_id(rig, TSP_CLOSE, &id, 0);
        rig_wait(rig, 0);
        assert_int_equal(rig->askers[close].status, TSP_OK);
    }
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_UNKNOWN);
    titanic_rig_free(rig);
}

static void
close_of_an_unknown_id_is_fine_and_a_fetch_is_not(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = {{1, 2, 3}};
    size_t close = rig_ask_id(rig, TSP_CLOSE, &id, 0);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[close].status, TSP_OK);
    assert_string_equal(rig->askers[close].text, "");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_UNKNOWN);
    titanic_rig_free(rig);
}

static void
all_who_wait_are_told_when_the_answer_is_stored(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    size_t waits[3];
    for (int i = 0; i < 3; i++)
        waits[i] = rig_ask_id(rig, TSP_WAIT, &id, 60000);
    rig_wait(rig, 30000);
    assert_int_equal(rig_stats(rig).waits, 3);
    rig_answer(rig, 0, 200, "HELLO");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig->askers[waits[i]].status, TSP_OK);
        assert_string_equal(rig->askers[waits[i]].text, "HELLO");
    }
    titanic_rig_free(rig);
}

static void
wait_ends_with_300_when_its_time_is_over(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    size_t none = rig_ask_id(rig, TSP_WAIT, &id, 0);
    size_t wait = rig_ask_id(rig, TSP_WAIT, &id, 5000);
    rig_wait(rig, 4999);
    assert_int_equal(rig->askers[none].status, TSP_PENDING);
    assert_int_equal(rig->askers[wait].status, 0);
    rig_wait(rig, 1);
    assert_int_equal(rig->askers[wait].status, TSP_PENDING);
    titanic_rig_free(rig);
}

static void
wait_beyond_the_limit_is_answered_at_once(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    for (uint32_t i = 0; i < rig->config.waits_max; i++)
        rig_ask_id(rig, TSP_WAIT, &id, 60000);
    size_t more = rig_ask_id(rig, TSP_WAIT, &id, 60000);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[more].status, TSP_PENDING);
    assert_int_equal(rig_stats(rig).waits, rig->config.waits_max);
    titanic_rig_free(rig);
}

// ---- attempts --------------------------------------------------------------------------

static void
failed_attempt_is_made_again_after_a_growing_pause_and_then_given_up(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    rig_answer(rig, 0, 500, "out of paper");
    rig_wait(rig, 499);
    assert_int_equal(rig->sent_count, 1);
    rig_wait(rig, 501);
    assert_int_equal(rig->sent_count, 2);
    rig_lost(rig, 1);
    rig_wait(rig, 999);
    assert_int_equal(rig->sent_count, 2);
    rig_wait(rig, 1001);
    assert_int_equal(rig->sent_count, 3);
    rig_answer(rig, 2, 510, "no ink");
    rig_wait(rig, 600000);
    assert_int_equal(rig->sent_count, 3);
    const char *text;
    assert_int_equal(rig_fetch(rig, &id, &text), TSP_ERROR);
    assert_string_equal(text, "no ink");
    assert_int_equal(rig_stats(rig).given_up, 1);
    titanic_rig_free(rig);
}

static void
attempts_of_a_request_are_its_own_where_it_says_so(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct tsp_request once = {.attempts = 1};
    size_t place = rig_submit_with(rig, "echo", "hello", &once);
    rig_wait(rig, 0);
    rig_answer(rig, 0, 500, "no");
    assert_int_equal(rig_fetch(rig, &rig->askers[place].id, NULL), TSP_ERROR);
    titanic_rig_free(rig);
}

static void
what_no_worker_was_given_is_no_attempt(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    for (size_t i = 0; i < 20; i++) {
        rig_not_tried(rig, i);
        assert_int_equal(rig->sent_count, i + 1);
        rig_wait(rig, 31000);
        assert_int_equal(rig->sent_count, i + 2);
    }
    assert_int_equal(rig_stats(rig).attempts_failed, 0);
    for (size_t i = 20; i < 22; i++) {
        rig_answer(rig, i, 500, "no");
        rig_wait(rig, 10000);
    }
    rig_answer(rig, 22, 200, "at last");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
requests_that_no_worker_was_given_at_once_rest_no_longer_than_one(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    rig_accepted(rig, "echo", "first");
    rig_known(rig, "echo", true);
    rig_accepted(rig, "echo", "second");
    rig_accepted(rig, "echo", "third");
    assert_int_equal(rig_open(rig, "echo"), 3);
    for (size_t place = 3; place > 0; place--)
        rig_not_tried(rig, place - 1);
    uint64_t from_ms = rig_clock_ms(rig);
    rig_wait(rig, 1001);
    assert_int_equal(rig->sent_count, 4);
    assert_string_equal(rig->sent[3].body, "first");
    assert_in_range(rig->sent[3].at_ms - from_ms, 500, 1001);
    titanic_rig_free(rig);
}

static void
answer_after_a_close_is_not_wanted(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    rig_ask_id(rig, TSP_CLOSE, &id, 0);
    rig_wait(rig, 0);
    assert_int_equal(rig->cancelled, 1);
    assert_int_equal(rig_stats(rig).attempts_abandoned, 1);
    assert_int_equal(rig_open(rig, NULL), 0);
    // It may be on its way all the same.
    struct titanic_event late = {.kind = TITANIC_ANSWER,
                                 .token = rig->sent[0].token,
                                 .ending = TITANIC_ENDED,
                                 .ended_with = 500};
    rig_step(rig, &late);
    assert_int_equal(rig_stats(rig).answers_late, 1);
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_UNKNOWN);
    titanic_rig_free(rig);
}

static void
answer_that_meets_a_close_at_the_store_is_late(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    size_t close = rig_ask_id(rig, TSP_CLOSE, &id, 0); // at the store first
    struct titanic_event answer = {.kind = TITANIC_ANSWER,
                                   .token = rig->sent[0].token,
                                   .ending = TITANIC_ENDED,
                                   .ended_with = 510,
                                   .text = VIEW_LITERAL("no")};
    rig->sent[0].is_open = false;
    rig_step(rig, &answer);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[close].status, TSP_OK);
    assert_int_equal(rig_stats(rig).answers_late, 1);
    assert_int_equal(rig->cancelled, 0);
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_UNKNOWN);
    titanic_rig_free(rig);
}

// ---- whose turn ------------------------------------------------------------------------

static void
service_without_workers_has_one_request_out_until_it_is_taken(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    for (int i = 0; i < 20; i++)
        rig_accepted(rig, "none", "x");
    assert_int_equal(rig_open(rig, "none"), 1);
    assert_string_equal(rig->question, "none");
    rig_known(rig, "none", false);
    rig_wait(rig, 600000);
    assert_int_equal(rig_open(rig, "none"), 1);
    assert_true(rig->questions < 40);
    rig_answer(rig, 0, 200, "y");
    assert_true(rig_open(rig, "none") > 1);
    titanic_rig_free(rig);
}

static void
service_with_workers_is_used_as_soon_as_the_broker_says_so(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    for (int i = 0; i < 20; i++)
        rig_accepted(rig, "echo", "x");
    rig_known(rig, "echo", true);
    assert_int_equal(rig_open(rig, "echo"), 4); // of 8 slots
    titanic_rig_free(rig);
}

static void
slow_service_leaves_slots_for_others(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    const char *const names[] = {"a", "b", "c"};
    for (size_t s = 0; s < 3; s++) {
        for (int i = 0; i < 20; i++)
            rig_accepted(rig, names[s], "x");
        rig_known(rig, names[s], true);
    }
    for (size_t s = 0; s < 3; s++)
        assert_true(rig_open(rig, names[s]) >= 1);
    rig_accepted(rig, "late", "x");
    assert_int_equal(rig_open(rig, "late"), 1);
    // When all others are answered, the one that is left gets what it may have.
    for (size_t i = 0; i < rig->sent_count; i++)
        if (rig->sent[i].is_open && strcmp(rig->sent[i].service, "a") != 0)
            rig_answer(rig, i, 200, "y");
    assert_true(rig_open(rig, "a") >= 4);
    titanic_rig_free(rig);
}

static void
requests_of_a_service_go_out_in_the_order_they_came(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    char text[16];
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof text, "%d", i);
        rig_accepted(rig, "echo", text);
    }
    rig_known(rig, "echo", true);
    for (size_t i = 0; i < rig->sent_count; i++)
        rig_answer(rig, i, 200, "y");
    assert_int_equal(rig->sent_count, 60);
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_string_equal(rig->sent[i].body, text);
    }
    titanic_rig_free(rig);
}

// ---- times -------------------------------------------------------------------------------

static void
delayed_request_is_not_sent_before_its_time(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct tsp_request later = {.not_before_ms = 5000};
    rig_submit_with(rig, "echo", "later", &later);
    rig_wait(rig, 4999);
    assert_int_equal(rig->sent_count, 0);
    rig_accepted(rig, "echo", "now");
    assert_int_equal(rig->sent_count, 1);
    rig_known(rig, "echo", true);
    rig_wait(rig, 1);
    assert_int_equal(rig->sent_count, 2);
    assert_string_equal(rig->sent[1].body, "later");
    titanic_rig_free(rig);
}

static void
delayed_request_whose_time_came_before_the_store_said_so_holds_back_none(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.inflight = 1;
    titanic_rig_start(rig);
    struct tsp_request later = {.not_before_ms = 1000};
    rig_submit_with(rig, "echo", "later", &later);
    rig->now_ns += 500 * UINT64_C(1000000);
    rig_submit(rig, "echo", "sooner");
    rig->now_ns += 1500 * UINT64_C(1000000);
    rig_wait(rig, 0); // now the store says of both that it has them
    for (size_t i = 0; i < 2; i++)
        rig_answer(rig, i, 200, "y");
    assert_int_equal(rig->sent_count, 2);
    assert_string_equal(rig->sent[0].body, "sooner");
    assert_string_equal(rig->sent[1].body, "later");
    titanic_rig_free(rig);
}

static void
request_past_its_deadline_is_expired_and_does_not_run(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    rig_accepted(rig, "echo", "first");
    struct tsp_request soon = {.deadline_ms = 3000};
    size_t place = rig_submit_with(rig, "echo", "second", &soon);
    rig_wait(rig, 0);
    struct request_id id = rig->askers[place].id;
    size_t wait = rig_ask_id(rig, TSP_WAIT, &id, 60000);
    rig_wait(rig, 2999);
    assert_int_equal(rig->askers[wait].status, 0);
    rig_wait(rig, 10);
    assert_int_equal(rig->askers[wait].status, TSP_ERROR);
    rig_answer(rig, 0, 200, "y");
    assert_int_equal(rig->sent_count, 1);
    assert_int_equal(rig_stats(rig).overdue, 1);
    titanic_rig_free(rig);
}

static void
attempt_that_is_out_at_the_deadline_may_end_as_it_will(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct tsp_request soon = {.deadline_ms = 3000};
    size_t good = rig_submit_with(rig, "echo", "good", &soon);
    size_t bad = rig_submit_with(rig, "other", "bad", &soon);
    rig_wait(rig, 5000);
    assert_int_equal(rig_open(rig, NULL), 2);
    assert_int_equal(rig_fetch(rig, &rig->askers[good].id, NULL), TSP_PENDING);
    rig_answer(rig, 0, 200, "y");
    rig_answer(rig, 1, 500, "no");
    assert_int_equal(rig_fetch(rig, &rig->askers[good].id, NULL), TSP_OK);
    assert_int_equal(rig_fetch(rig, &rig->askers[bad].id, NULL), TSP_ERROR);
    titanic_rig_free(rig);
}

static void
request_that_no_worker_took_by_its_deadline_is_expired(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    rig_accepted(rig, "echo", "no hurry");
    struct tsp_request soon = {.deadline_ms = 3000};
    size_t place = rig_submit_with(rig, "other", "soon", &soon);
    rig_wait(rig, 0);
    assert_int_equal(rig->sent[0].queue_ms, UINT64_MAX);
    uint64_t left_ms = rig->sent[1].queue_ms;
    assert_in_range(left_ms, 2999, 3001);
    rig_wait(rig, left_ms);
    rig_not_tried(rig, 1);
    rig_wait(rig, 0);
    assert_int_equal(rig_fetch(rig, &rig->askers[place].id, NULL), TSP_ERROR);
    assert_int_equal(rig_stats(rig).overdue, 1);
    assert_int_equal(rig->sent_count, 2);
    titanic_rig_free(rig);
}

// ---- keys ----------------------------------------------------------------------------------

static void
same_key_is_the_same_request_and_another_body_a_conflict(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct tsp_request key = {.key = VIEW_LITERAL("order-1")};
    size_t first = rig_submit_with(rig, "echo", "hello", &key);
    size_t second = rig_submit_with(rig, "echo", "hello", &key);
    size_t third = rig_submit_with(rig, "echo", "other", &key);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[second].status, TSP_OK);
    assert_memory_equal(&rig->askers[first].id, &rig->askers[second].id, sizeof(struct request_id));
    assert_int_equal(rig->askers[third].status, TSP_CONFLICT);
    assert_int_equal(rig->sent_count, 1);
    titanic_rig_free(rig);
}

static void
key_of_our_form_that_is_too_old_is_refused(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.retain_ms = 1000;
    titanic_rig_start(rig);
    struct request_id id = {{0}};
    uint64_t made_ms = rig_clock_ms(rig) - 500;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(made_ms >> (40 - 8 * i));
    uint8_t text[REQUEST_ID_TEXT_BYTES];
    request_id_write(&id, text);
    struct tsp_request key = {.key = view_of(text, sizeof text)};
    size_t young = rig_submit_with(rig, "echo", "hello", &key);
    rig_wait(rig, 600);
    size_t old = rig_submit_with(rig, "echo", "hello", &key);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[young].status, TSP_OK);
    assert_int_equal(rig->askers[old].status, TSP_UNKNOWN);
    assert_string_equal(rig->askers[old].text, "key expired");
    titanic_rig_free(rig);
}

// A disk that stalls lets a submit wait until what its key stood for is swept.
static void
key_that_grows_too_old_on_its_way_to_the_store_is_refused(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.retain_ms = 1000;
    titanic_rig_start(rig);
    struct request_id id = {{0}};
    uint64_t made_ms = rig_clock_ms(rig);
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(made_ms >> (40 - 8 * i));
    uint8_t text[REQUEST_ID_TEXT_BYTES];
    request_id_write(&id, text);
    struct tsp_request key = {.key = view_of(text, sizeof text)};
    size_t late = rig_submit_with(rig, "echo", "hello", &key);
    bool has_more;
    assert_int_equal(store_idle(rig->store, made_ms + 2 * 3600 * 1000, &has_more), STORE_COMMITTED);
    rig_wait(rig, 0);
    assert_int_equal(rig->askers[late].status, TSP_UNKNOWN);
    assert_string_equal(rig->askers[late].text, "key expired");
    assert_int_equal(rig->sent_count, 0);
    titanic_rig_free(rig);
}

// ---- operators -------------------------------------------------------------------------------

static void
cancelled_request_is_dead_and_retried_one_runs_again(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    size_t wait = rig_ask_id(rig, TSP_WAIT, &id, 60000);
    struct durable_filter all = {.service = VIEW_LITERAL("echo")};
    size_t cancel = rig_ask_filter(rig, TSP_CANCEL, &all);
    rig_wait(rig, 0);
    assert_string_equal(rig->askers[cancel].text, "1");
    assert_int_equal(rig->askers[wait].status, TSP_ERROR);
    assert_string_equal(rig->askers[wait].text, "by the operator");
    assert_int_equal(rig_open(rig, NULL), 0);
    size_t retry = rig_ask_filter(rig, TSP_RETRY, &all);
    rig_wait(rig, 10);
    assert_string_equal(rig->askers[retry].text, "1");
    assert_int_equal(rig_open(rig, "echo"), 1);
    rig_answer(rig, 1, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    size_t purge = rig_ask_filter(rig, TSP_PURGE, &all);
    rig_wait(rig, 0);
    assert_string_equal(rig->askers[purge].text, "1");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_UNKNOWN);
    titanic_rig_free(rig);
}

static void
retry_finds_the_answer_of_before_that_had_no_room(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    struct durable_filter all = {.service = VIEW_LITERAL("echo")};
    rig->refuses = true;
    rig_ask_filter(rig, TSP_CANCEL, &all);
    rig_ask_filter(rig, TSP_RETRY, &all);
    rig_answer(rig, 0, 200, "y"); // meets both at the store, and a full disk
    rig_wait(rig, 3000);
    rig->refuses = false;
    rig_wait(rig, 3000);
    if (rig_open(rig, "echo") > 0)
        rig_answer(rig, rig->sent_count - 1, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

// meet_a_cancel_and_a_retry has the operator end all requests of echo and retry them, while what
// comes of the one that is out is on its way to the store.
static void
meet_a_cancel_and_a_retry(struct titanic_rig *rig, const char *reason)
{
    struct durable_filter all = {.service = VIEW_LITERAL("echo")};
    rig_ask_filter(rig, TSP_CANCEL, &all);
    rig_ask_filter(rig, TSP_RETRY, &all);
    struct titanic_event event = {.kind = TITANIC_ANSWER,
                                  .token = rig->sent[0].token,
                                  .ending = TITANIC_ENDED,
                                  .ended_with = 500,
                                  .text = view_of(reason, strlen(reason))};
    rig->sent[0].is_open = false;
    rig_step(rig, &event);
    rig_wait(rig, 10);
}

static void
failure_of_before_does_not_delay_a_retried_request(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    meet_a_cancel_and_a_retry(rig, "no");
    assert_int_equal(rig_open(rig, "echo"), 1); // at once, and no pause of a second before
    rig_answer(rig, 1, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
last_failure_of_before_does_not_end_a_retried_request(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.attempts = 1;
    titanic_rig_start(rig);
    struct request_id id = rig_accepted(rig, "echo", "hello");
    meet_a_cancel_and_a_retry(rig, "no");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_PENDING);
    assert_int_equal(rig_open(rig, "echo"), 1);
    rig_answer(rig, 1, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
expiry_of_what_was_not_loaded_does_not_end_a_retried_request(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    size_t place = rig_submit_with(rig, "echo", "x",
                                   &(struct tsp_request){.not_before_ms = 50, .deadline_ms = 20});
    rig_wait(rig, 0);
    struct request_id id = rig->askers[place].id;
    // What is overdue has been looked for, and is to be ended; the operator is quicker.
    rig->now_ns += 30 * UINT64_C(1000000);
    struct titanic_event tick = {.kind = TITANIC_TICK};
    rig_step(rig, &tick);
    struct durable_filter all = {.service = VIEW_LITERAL("echo")};
    rig_ask_filter(rig, TSP_CANCEL, &all);
    rig_ask_filter(rig, TSP_RETRY, &all);
    rig_wait(rig, 10);
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_PENDING);
    assert_int_equal(rig_open(rig, "echo"), 1);
    titanic_rig_free(rig);
}

static void
retried_request_whose_end_is_on_its_way_to_the_store_is_not_loaded_beside_it(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    struct request_id id = rig_accepted(rig, "echo", "hello");
    rig_known(rig, "echo", true);
    rig_submit_with(rig, "echo", "later", &(struct tsp_request){.not_before_ms = 50});
    rig_wait(rig, 0);
    struct durable_filter one = {.has_id = true, .id = id};
    rig_ask_filter(rig, TSP_CANCEL, &one);
    rig_ask_filter(rig, TSP_RETRY, &one);
    // The load for the delayed one stands behind the retry, and before the answer.
    rig->now_ns += 60 * UINT64_C(1000000);
    struct titanic_event tick = {.kind = TITANIC_TICK};
    rig_step(rig, &tick);
    rig_answer(rig, 0, 500, "no");
    rig_wait(rig, 1000);
    for (size_t place = 1; place < rig->sent_count; place++)
        rig_answer(rig, place, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
retry_of_an_expired_request_is_not_expired_by_what_was_loaded_before(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.inflight = 2;
    titanic_rig_start(rig);
    rig_accepted(rig, "a", "x");
    rig_accepted(rig, "b", "x");
    rig_submit_with(rig, "first", "x", &(struct tsp_request){.not_before_ms = 50});
    rig_submit_with(rig, "late", "x",
                    &(struct tsp_request){.not_before_ms = 100, .deadline_ms = 500});
    rig_commit(rig);
    // The store is asked for what is overdue, and then for the same request, to run.
    rig->now_ns += 600 * UINT64_C(1000000);
    struct titanic_event tick = {.kind = TITANIC_TICK};
    rig_step(rig, &tick);
    rig_answer(rig, 1, 200, "y");
    rig_commit(rig);
    assert_int_equal(rig_open(rig, "first"), 1);
    assert_int_equal(rig_stats(rig).overdue, 1);
    struct durable_filter late = {.service = VIEW_LITERAL("late")};
    size_t retry = rig_ask_filter(rig, TSP_RETRY, &late);
    rig_wait(rig, 10);
    assert_string_equal(rig->askers[retry].text, "1");
    rig_answer(rig, 0, 200, "y");
    rig_wait(rig, 10);
    assert_int_equal(rig_open(rig, "late"), 1);
    titanic_rig_free(rig);
}

// ---- limits ------------------------------------------------------------------------------------

static void
more_questions_than_the_limit_are_refused(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    for (uint32_t i = 0; i < rig->config.asks_max; i++)
        rig_submit(rig, "echo", "x");
    size_t more = rig_submit(rig, "echo", "x");
    assert_int_equal(rig->askers[more].status, TSP_BUSY);
    rig_wait(rig, 0);
    assert_int_equal(rig_stats(rig).submits, rig->config.asks_max);
    titanic_rig_free(rig);
}

static void
more_services_than_the_limit_are_refused_and_room_comes_back(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    char name[16];
    for (uint32_t i = 0; i < rig->config.services_max; i++) {
        snprintf(name, sizeof name, "s%u", i);
        rig_accepted(rig, name, "x");
    }
    size_t refused = rig_submit(rig, "one-more", "x");
    assert_int_equal(rig->askers[refused].status, TSP_BUSY);
    rig_answer(rig, 0, 200, "y");
    rig_known(rig, "s0", true);
    rig_accepted(rig, "one-more", "x");
    titanic_rig_free(rig);
}

static void
retried_request_whose_service_finds_no_room_runs_when_there_is_some(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_started();
    char name[16];
    struct request_id id = rig_accepted(rig, "late", "x");
    struct durable_filter late = {.service = VIEW_LITERAL("late")};
    rig_ask_filter(rig, TSP_CANCEL, &late);
    rig_wait(rig, 0);
    rig_known(rig, "late", true);
    size_t from = rig->sent_count;
    for (uint32_t i = 0; i < rig->config.services_max; i++) {
        snprintf(name, sizeof name, "s%u", i);
        rig_accepted(rig, name, "x");
    }
    size_t retry = rig_ask_filter(rig, TSP_RETRY, &late);
    rig_wait(rig, 10);
    assert_string_equal(rig->askers[retry].text, "1");
    assert_int_equal(rig_open(rig, "late"), 0);
    for (uint32_t i = 0; i < rig->config.services_max; i++) {
        snprintf(name, sizeof name, "s%u", i);
        rig_answer(rig, from + i, 200, "y");
        rig_known(rig, name, true);
    }
    rig_wait(rig, 60000);
    assert_int_equal(rig_open(rig, "late"), 1);
    rig_answer(rig, rig->sent_count - 1, 200, "y");
    assert_int_equal(rig_fetch(rig, &id, NULL), TSP_OK);
    titanic_rig_free(rig);
}

static void
bodies_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct titanic_rig *rig = titanic_rig_new();
    rig->config.bytes_max = 100;
    titanic_rig_start(rig);
    rig_submit(rig, "echo", "0123456789012345678901234567890123456789");
    size_t more = rig_submit(rig, "echo", "0123456789012345678901234567890123456789");
    assert_int_equal(rig->askers[more].status, TSP_BUSY);
    rig_wait(rig, 0);
    rig_answer(rig, 0, 200, "y");
    rig_accepted(rig, "echo", "0123456789012345678901234567890123456789");
    titanic_rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_acknowledged_before_the_store_has_it),
        cmocka_unit_test(close_is_acknowledged_after_the_store_and_so_is_an_answer),
        cmocka_unit_test(store_without_room_is_an_error_to_who_submits_and_holds_answers_back),
        cmocka_unit_test(failure_that_the_store_had_no_room_for_is_due_again_when_it_is_told),
        cmocka_unit_test(full_disk_refuses_submissions_and_takes_closes),
        cmocka_unit_test(answer_is_there_until_it_is_closed),
        cmocka_unit_test(close_of_an_unknown_id_is_fine_and_a_fetch_is_not),
        cmocka_unit_test(all_who_wait_are_told_when_the_answer_is_stored),
        cmocka_unit_test(wait_ends_with_300_when_its_time_is_over),
        cmocka_unit_test(wait_beyond_the_limit_is_answered_at_once),
        cmocka_unit_test(failed_attempt_is_made_again_after_a_growing_pause_and_then_given_up),
        cmocka_unit_test(attempts_of_a_request_are_its_own_where_it_says_so),
        cmocka_unit_test(what_no_worker_was_given_is_no_attempt),
        cmocka_unit_test(requests_that_no_worker_was_given_at_once_rest_no_longer_than_one),
        cmocka_unit_test(answer_after_a_close_is_not_wanted),
        cmocka_unit_test(answer_that_meets_a_close_at_the_store_is_late),
        cmocka_unit_test(service_without_workers_has_one_request_out_until_it_is_taken),
        cmocka_unit_test(service_with_workers_is_used_as_soon_as_the_broker_says_so),
        cmocka_unit_test(slow_service_leaves_slots_for_others),
        cmocka_unit_test(requests_of_a_service_go_out_in_the_order_they_came),
        cmocka_unit_test(delayed_request_is_not_sent_before_its_time),
        cmocka_unit_test(delayed_request_whose_time_came_before_the_store_said_so_holds_back_none),
        cmocka_unit_test(request_past_its_deadline_is_expired_and_does_not_run),
        cmocka_unit_test(attempt_that_is_out_at_the_deadline_may_end_as_it_will),
        cmocka_unit_test(request_that_no_worker_took_by_its_deadline_is_expired),
        cmocka_unit_test(same_key_is_the_same_request_and_another_body_a_conflict),
        cmocka_unit_test(key_of_our_form_that_is_too_old_is_refused),
        cmocka_unit_test(key_that_grows_too_old_on_its_way_to_the_store_is_refused),
        cmocka_unit_test(cancelled_request_is_dead_and_retried_one_runs_again),
        cmocka_unit_test(retry_finds_the_answer_of_before_that_had_no_room),
        cmocka_unit_test(failure_of_before_does_not_delay_a_retried_request),
        cmocka_unit_test(last_failure_of_before_does_not_end_a_retried_request),
        cmocka_unit_test(expiry_of_what_was_not_loaded_does_not_end_a_retried_request),
        cmocka_unit_test(
            retried_request_whose_end_is_on_its_way_to_the_store_is_not_loaded_beside_it),
        cmocka_unit_test(retry_of_an_expired_request_is_not_expired_by_what_was_loaded_before),
        cmocka_unit_test(more_questions_than_the_limit_are_refused),
        cmocka_unit_test(more_services_than_the_limit_are_refused_and_room_comes_back),
        cmocka_unit_test(retried_request_whose_service_finds_no_room_runs_when_there_is_some),
        cmocka_unit_test(bodies_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
