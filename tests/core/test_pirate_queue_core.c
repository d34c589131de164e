// test_pirate_queue_core.c - who gets which request, who is alive, and what a lost worker costs.

#include "pirate_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// hold makes W a worker that holds C's request "1".
static struct sent
hold(struct world *world)
{
    pirate_rig_ready(world, "W");
    pirate_rig_ask(world, "C", "1");
    return pirate_rig_job(world, "W");
}

// configure begins again with another limit of one attempt, or other attempts.
static void
configure(struct world *world, uint32_t limit_ms, uint32_t attempts)
{
    bool is_simple = world->config.manners == BROKER_SIMPLE;
    struct pirate_queue_config config =
        pirate_rig_config(is_simple ? PIRATE_SIMPLE : PIRATE_PARANOID);
    config.limit_ms = limit_ms;
    config.attempts = attempts;
    pirate_rig_configure(world, &config);
}

// ---- who gets it: both dialects ----------------------------------------------------------------

static void
reply_comes_back_to_the_client_by_its_own_way(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    const struct view request[] = {VIEW_LITERAL("C"), VIEW_LITERAL("proxy"), VIEW_LITERAL(""),
                                   VIEW_LITERAL("Hi"), VIEW_LITERAL("")};
    pirate_rig_message(world, PIRATE_FRONTEND, request, 5);
    struct sent job = pirate_rig_job(world, "W");
    assert_int_equal(job.frames, 2);
    assert_int_equal(job.stack_bytes, 0);

    pirate_rig_reply(world, "W", &job, "a|b|");

    const struct sent *answer = world_last(world, "C", MDP_FINAL);
    assert_string_equal(answer->body, "a|b|");
    assert_int_equal(answer->frames, 3);
    assert_int_equal(answer->stack_bytes, 6); // a length, and "proxy"
}

static void
worker_that_has_been_idle_for_longest_is_next(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W1");
    pirate_rig_ready(world, "W2");
    pirate_rig_ask(world, "C", "1");
    pirate_rig_ask(world, "C", "2");
    struct sent first = pirate_rig_job(world, "W1"), second = pirate_rig_job(world, "W2");
    pirate_rig_reply(world, "W2", &second, "2");
    pirate_rig_reply(world, "W1", &first, "1");
    world_clear(world);

    pirate_rig_ask(world, "C", "3");

    assert_string_equal(pirate_rig_job(world, "W2").body, "3");
}

static void
worker_is_given_one_request_at_a_time(void **state)
{
    struct world *world = *state;
    struct sent first = hold(world);
    pirate_rig_ask(world, "C", "2");
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);

    pirate_rig_reply(world, "W", &first, "1");

    assert_string_equal(pirate_rig_job(world, "W").body, "2");
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
}

static void
requests_wait_for_a_worker_in_their_order(void **state)
{
    struct world *world = *state;
    pirate_rig_ask(world, "C", "1");
    pirate_rig_ask(world, "D", "2");
    assert_int_equal(world_stats(world)->requests_queued, 2);

    pirate_rig_ready(world, "W1");
    pirate_rig_ready(world, "W2");

    assert_string_equal(pirate_rig_job(world, "W1").body, "1");
    assert_string_equal(pirate_rig_job(world, "W2").body, "2");
}

static void
names_at_one_socket_mean_nothing_at_the_other(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "X");
    pirate_rig_ask(world, "X", "Hi");
    struct sent job = pirate_rig_job(world, "X");
    pirate_rig_reply(world, "X", &job, "Ho");
    assert_string_equal(pirate_rig_answer(world, "X"), "Ho");

    // The client X is gone; the worker X is not.
    world_unsent(world, world_last(world, "X", MDP_FINAL), true);
    assert_int_equal(world_stats(world)->workers_idle, 1);
    assert_int_equal(world_stats(world)->client_gone, 1);
}

// ---- a worker is lost: both dialects -----------------------------------------------------------

static void
request_of_a_lost_worker_goes_to_the_head_of_the_queue(void **state)
{
    struct world *world = *state;
    hold(world);
    pirate_rig_ask(world, "C", "2");
    world_cut(world, "W");
    assert_int_equal(world_stats(world)->workers_lost, 1);

    pirate_rig_ready(world, "V");

    struct sent again = pirate_rig_job(world, "V");
    assert_string_equal(again.body, "1");
    pirate_rig_reply(world, "V", &again, "done");
    assert_string_equal(pirate_rig_answer(world, "C"), "done");
    assert_string_equal(pirate_rig_job(world, "V").body, "2");
}

static void
refused_request_goes_to_another_and_no_attempt_is_spent(void **state)
{
    struct world *world = *state;
    struct sent first = hold(world);
    pirate_rig_ready(world, "V");

    world_unsent(world, &first, true);
    world_tick(world);

    assert_string_equal(pirate_rig_job(world, "V").body, "1");
    assert_int_equal(world_stats(world)->redeliveries, 0);
    assert_int_equal(world_stats(world)->workers, 1);
}

static void
worker_whose_queue_is_full_is_given_nothing_until_it_speaks(void **state)
{
    struct world *world = *state;
    struct sent first = hold(world);
    world_unsent(world, &first, false);
    world_tick(world);
    assert_int_equal(world_stats(world)->requests_queued, 1);
    assert_int_equal(world_stats(world)->workers, 1);

    pirate_rig_ready(world, "W");

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
}

static void
request_is_given_up_after_its_attempts_in_silence(void **state)
{
    struct world *world = *state;
    pirate_rig_ask(world, "C", "1");
    for (int i = 0; i < 3; i++) {
        char id[] = {'W', (char)('1' + i), '\0'};
        pirate_rig_ready(world, id);
        assert_string_equal(pirate_rig_job(world, id).body, "1");
        world_cut(world, id);
    }

    pirate_rig_ready(world, "V");

    assert_int_equal(world_count(world, "V", MDP_REQUEST), 0);
    assert_int_equal(world_stats(world)->requests_given_up, 1);
    assert_int_equal(world_stats(world)->redeliveries, 2);
    assert_null(pirate_rig_answer(world, "C"));
}

static void
late_reply_of_a_lost_worker_is_the_reply(void **state)
{
    struct world *world = *state;
    struct sent first = hold(world);
    pirate_rig_ready(world, "V");
    world_cut(world, "W");
    struct sent second = pirate_rig_job(world, "V");

    pirate_rig_reply(world, "W again", &first, "first");
    pirate_rig_reply(world, "V", &second, "second");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
    assert_string_equal(pirate_rig_answer(world, "C"), "first");
    assert_int_equal(world_stats(world)->answers_late_taken, 1);
    assert_int_equal(world_stats(world)->answers_late, 1);
}

static void
reply_after_another_one_reaches_nobody(void **state)
{
    struct world *world = *state;
    struct sent first = hold(world);
    pirate_rig_ready(world, "V");
    world_cut(world, "W");
    struct sent second = pirate_rig_job(world, "V");
    pirate_rig_reply(world, "V", &second, "second");

    pirate_rig_reply(world, "W again", &first, "first");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
    assert_int_equal(world_stats(world)->answers_late, 1);
}

static void
restarted_worker_gets_what_it_held_under_its_old_name(void **state)
{
    struct world *world = *state;
    hold(world);
    pirate_rig_ready(world, "W"); // before we have noticed
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
    assert_int_equal(world_stats(world)->workers_lost, 1);

    world_cut(world, "W"); // we notice first
    pirate_rig_ready(world, "W");

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 3);
    struct sent third = pirate_rig_job(world, "W");
    pirate_rig_reply(world, "W", &third, "done");
    assert_string_equal(pirate_rig_answer(world, "C"), "done");
}

static void
ready_of_an_idle_worker_changes_nothing(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    pirate_rig_ready(world, "W");
    pirate_rig_ask(world, "C", "1");
    pirate_rig_ask(world, "C", "2");
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
    assert_int_equal(world_stats(world)->workers, 1);
    assert_int_equal(world_stats(world)->workers_registered, 1);
}

static void
attempt_that_takes_longer_than_the_limit_is_lost(void **state)
{
    struct world *world = *state;
    configure(world, 5000, 3);
    struct sent first = hold(world);
    pirate_rig_ready(world, "V");
    world_pass(world, 2000);
    if (world->config.manners == BROKER_PARANOID)
        pirate_rig_beat(world, "V");
    world_pass(world, 2000);
    if (world->config.manners == BROKER_PARANOID)
        pirate_rig_beat(world, "V");
    assert_int_equal(world_stats(world)->workers, 2);

    world_pass(world, 1001);

    assert_int_equal(world_stats(world)->workers, 1);
    assert_string_equal(pirate_rig_job(world, "V").body, "1");
    pirate_rig_reply(world, "W", &first, "late, and taken all the same");
    assert_string_equal(pirate_rig_answer(world, "C"), "late, and taken all the same");
}

static void
worker_that_sends_nonsense_is_lost_in_the_end_and_told_nothing(void **state)
{
    struct world *world = *state;
    hold(world);
    world_clear(world);
    const struct view nonsense[] = {VIEW_LITERAL("W"), VIEW_LITERAL(""), VIEW_LITERAL("C"),
                                    VIEW_LITERAL(""), VIEW_LITERAL("Hi")};
    for (int i = 0; i < 20; i++)
        pirate_rig_message(world, PIRATE_BACKEND, nonsense, 5);
    assert_int_equal(world_stats(world)->workers, 1);

    pirate_rig_message(world, PIRATE_BACKEND, nonsense, 5);

    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_stats(world)->requests_queued, 1);
    assert_int_equal(world_stats(world)->peers_rejected, 21);
    assert_int_equal(world->sent_count, 0);
}

// ---- heartbeats: Paranoid -------------------------------------------------------------------

static void
heartbeat_makes_no_worker(void **state)
{
    struct world *world = *state;
    pirate_rig_beat(world, "W");
    pirate_rig_ask(world, "C", "1");
    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_stats(world)->strangers_unheard, 1);
    assert_int_equal(world->sent_count, 0);
}

static void
reply_makes_no_paranoid_worker(void **state)
{
    struct world *world = *state;
    struct sent first = hold(world);
    world_cut(world, "W");
    pirate_rig_reply(world, "W", &first, "Ho");
    assert_string_equal(pirate_rig_answer(world, "C"), "Ho");
    assert_int_equal(world_stats(world)->workers, 0);
}

static void
silent_idle_worker_is_lost_after_its_patience(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    world_pass(world, 3000);
    assert_int_equal(world_stats(world)->workers, 1);

    world_pass(world, 1);

    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_stats(world)->workers_lost, 1);
    world_clear(world);
    world_pass(world, 10000);
    assert_int_equal(world->sent_count, 0); // a stranger hears nothing, and begins anew
}

static void
any_message_of_a_worker_shows_that_it_lives(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    for (int i = 0; i < 5; i++) {
        world_pass(world, 2500);
        pirate_rig_beat(world, "W");
    }
    pirate_rig_ask(world, "C", "1");
    struct sent job = pirate_rig_job(world, "W");
    world_pass(world, 2500);
    pirate_rig_reply(world, "W", &job, "1");
    world_pass(world, 2500);
    assert_int_equal(world_stats(world)->workers, 1);
}

static void
worker_is_beaten_each_interval_idle_or_busy(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    for (int i = 1; i <= 10; i++) {
        world_pass(world, 1000);
        assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), i);
        pirate_rig_beat(world, "W");
    }
    pirate_rig_ask(world, "C", "1");
    for (int i = 11; i <= 20; i++) {
        world_pass(world, 1000);
        assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), i);
    }
}

static void
silence_of_a_busy_worker_means_nothing(void **state)
{
    struct world *world = *state;
    struct sent job = hold(world);

    world_pass(world, 60000);

    assert_int_equal(world_stats(world)->workers_busy, 1);
    pirate_rig_reply(world, "W", &job, "at last");
    assert_string_equal(pirate_rig_answer(world, "C"), "at last");
    world_pass(world, 3001);
    assert_int_equal(world_stats(world)->workers, 0); // it is idle, and that is another matter
}

static void
beat_that_is_refused_shows_that_a_busy_worker_is_gone(void **state)
{
    struct world *world = *state;
    hold(world);
    pirate_rig_ready(world, "V");
    world_pass(world, 1000);

    world_unsent(world, world_last(world, "W", MDP_HEARTBEAT), true);
    world_tick(world);

    assert_string_equal(pirate_rig_job(world, "V").body, "1");
}

static void
nobody_is_lost_because_we_slept(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    world_pass(world, 500);

    world_sleep(world, 60000);

    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 10000);
    assert_int_equal(world_stats(world)->workers, 0);
}

// ---- no heartbeats: Simple ------------------------------------------------------------------

static void
simple_worker_is_never_lost_by_silence(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    world_pass(world, 24 * 3600 * 1000);
    assert_int_equal(world_stats(world)->workers_idle, 1);
    assert_int_equal(world->sent_count, 0);
}

static void
busy_simple_worker_has_its_connection_looked_at(void **state)
{
    struct world *world = *state;
    struct sent job = hold(world);
    world_pass(world, 2000);
    const struct sent *look = world_last(world, "W", MDP_HEARTBEAT);
    assert_int_equal(look->connection.number, 7);
    assert_int_equal(look->connection.serial, 77);
    size_t looks = world_count(world, "W", MDP_HEARTBEAT);
    assert_int_equal(looks, 2);

    pirate_rig_reply(world, "W", &job, "1");

    world_pass(world, 60000);
    assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), looks);
}

static void
simple_worker_whose_connection_has_ended_is_lost(void **state)
{
    struct world *world = *state;
    hold(world);
    pirate_rig_ready(world, "V");
    world_pass(world, 1000);

    world_unsent(world, world_last(world, "W", MDP_HEARTBEAT), true);
    world_tick(world);

    assert_string_equal(pirate_rig_job(world, "V").body, "1");
    assert_int_equal(world_stats(world)->workers_lost, 1);
}

static void
worker_that_says_ready_again_has_its_new_connection_looked_at(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    world->connection = (struct broker_connection){.serial = 88, .number = 8};
    hold(world);
    world_pass(world, 1000);
    assert_int_equal(world_last(world, "W", MDP_HEARTBEAT)->connection.serial, 88);
}

static void
connection_of_which_nothing_is_known_is_not_looked_at(void **state)
{
    struct world *world = *state;
    world->connection = (struct broker_connection){0};
    hold(world);
    world_pass(world, 60000);
    assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 0);
    assert_int_equal(world_stats(world)->workers_busy, 1);
}

static void
simple_worker_that_replies_to_a_new_queue_is_ready(void **state)
{
    struct world *world = *state;
    struct sent of_the_old_queue = {.record.ticket = {{1, 2, 3, 4, 5, 6, 7, 8}}};

    pirate_rig_reply(world, "W", &of_the_old_queue, "lost with its client's socket");

    assert_int_equal(world_stats(world)->workers_idle, 1);
    assert_int_equal(world_stats(world)->answers_late, 1);
    pirate_rig_ask(world, "C", "1");
    assert_string_equal(pirate_rig_job(world, "W").body, "1");
    world_pass(world, 1000);
    assert_int_equal(world_last(world, "W", MDP_HEARTBEAT)->connection.number, 7);
}

// ---- heads ------------------------------------------------------------------------------------

static void
heads_are_what_the_protocol_says(void **state)
{
    (void)state;
    struct broker_effect effect = {.record = {.side = MDP_WORKER_SIDE, .command = MDP_REQUEST}};
    struct pirate_head head;
    assert_true(pirate_queue_core_head(PIRATE_SIMPLE, &effect, &head));
    assert_int_equal(head.frame_count, 3); // delimiter, ticket, delimiter
    assert_true(pirate_queue_core_head(PIRATE_PARANOID, &effect, &head));
    assert_int_equal(head.frame_count, 2);
    effect.record.command = MDP_HEARTBEAT;
    assert_false(pirate_queue_core_head(PIRATE_SIMPLE, &effect, &head));
    assert_true(pirate_queue_core_head(PIRATE_PARANOID, &effect, &head));
    assert_true(view_equals(head.frames[0], VIEW_LITERAL("\002")));
    effect.record = (struct mdp_record){.side = MDP_CLIENT_SIDE, .command = MDP_FINAL};
    assert_true(pirate_queue_core_head(PIRATE_PARANOID, &effect, &head));
    assert_int_equal(head.frame_count, 1);
    assert_int_equal(head.frames[0].size, 0);
}

#define either_test(name) simple_test(name), paranoid_test(name)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        either_test(reply_comes_back_to_the_client_by_its_own_way),
        either_test(worker_that_has_been_idle_for_longest_is_next),
        either_test(worker_is_given_one_request_at_a_time),
        either_test(requests_wait_for_a_worker_in_their_order),
        either_test(names_at_one_socket_mean_nothing_at_the_other),
        either_test(request_of_a_lost_worker_goes_to_the_head_of_the_queue),
        either_test(refused_request_goes_to_another_and_no_attempt_is_spent),
        either_test(worker_whose_queue_is_full_is_given_nothing_until_it_speaks),
        either_test(request_is_given_up_after_its_attempts_in_silence),
        either_test(late_reply_of_a_lost_worker_is_the_reply),
        either_test(reply_after_another_one_reaches_nobody),
        either_test(restarted_worker_gets_what_it_held_under_its_old_name),
        either_test(ready_of_an_idle_worker_changes_nothing),
        either_test(attempt_that_takes_longer_than_the_limit_is_lost),
        either_test(worker_that_sends_nonsense_is_lost_in_the_end_and_told_nothing),
        paranoid_test(heartbeat_makes_no_worker),
        paranoid_test(reply_makes_no_paranoid_worker),
        paranoid_test(silent_idle_worker_is_lost_after_its_patience),
        paranoid_test(any_message_of_a_worker_shows_that_it_lives),
        paranoid_test(worker_is_beaten_each_interval_idle_or_busy),
        paranoid_test(silence_of_a_busy_worker_means_nothing),
        paranoid_test(beat_that_is_refused_shows_that_a_busy_worker_is_gone),
        paranoid_test(nobody_is_lost_because_we_slept),
        simple_test(simple_worker_is_never_lost_by_silence),
        simple_test(busy_simple_worker_has_its_connection_looked_at),
        simple_test(simple_worker_whose_connection_has_ended_is_lost),
        simple_test(worker_that_says_ready_again_has_its_new_connection_looked_at),
        simple_test(connection_of_which_nothing_is_known_is_not_looked_at),
        simple_test(simple_worker_that_replies_to_a_new_queue_is_ready),
        cmocka_unit_test(heads_are_what_the_protocol_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
