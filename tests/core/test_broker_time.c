// test_broker_time.c - beats, silence, expiry, and the pauses of our own process.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};

static void
ask(struct world *world, uint64_t id, uint32_t ttl_ms)
{
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = id,
                                .ttl_ms = ttl_ms,
                                .service = VIEW_LITERAL("echo")};
    world_say(world, "C", record, "x");
}

static void
ready_with_interval(struct world *world, const char *id, uint32_t interval_ms)
{
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_READY,
                                .credit = 4,
                                .interval_ms = interval_ms,
                                .service = VIEW_LITERAL("echo")};
    world_say(world, id, record, NULL);
}

// ---- silence -------------------------------------------------------------------------------

static void
idle_worker_is_lost_after_three_intervals_of_silence_and_not_before(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++) {
        world_configure(world, &world->config);
        world_ready(world, "W", dialects[d], "echo", 1);
        world_pass(world, 3000);
        assert_int_equal(world_stats(world)->workers, 1);

        world_pass(world, 1);

        assert_int_equal(world_stats(world)->workers, 0);
        assert_int_equal(world_stats(world)->workers_lost, 1);
        assert_int_equal(world_last(world, "W", MDP_DISCONNECT)->record.reason, MDP_REASON_SILENT);
    }
}

static void
anything_a_worker_says_counts_as_life(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    struct sent nothing_live = {.record = {.dialect = MDP_G1, .ticket = {{1}}}};
    for (int i = 0; i < 4; i++) {
        world_pass(world, 2900);
        world_answer(world, "W", &nothing_live, "x");
    }

    assert_int_equal(world_stats(world)->workers, 1);
}

static void
patience_is_of_the_larger_interval(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W1", 100);
    ready_with_interval(world, "W2", 5000);

    world_pass(world, 3001);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 12000 - 1);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 1);

    assert_int_equal(world_stats(world)->workers, 0);
}

static void
interval_of_0_is_no_promise_and_silence_proves_nothing(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W", 0);

    world_pass(world, 3600 * 1000);

    assert_int_equal(world_stats(world)->workers, 1);
}

static void
absurd_intervals_are_clamped_and_counted(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W1", 1);
    ready_with_interval(world, "W2", UINT32_MAX);

    assert_int_equal(world_stats(world)->intervals_clamped, 2);
    world_pass(world, 180000);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 1);
    assert_int_equal(world_stats(world)->workers, 0);
}

static void
heartbeat_may_show_another_interval_than_ready_did(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W", 1000);
    struct mdp_record beat = {
        .dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = MDP_HEARTBEAT, .interval_ms = 4000};
    world_say(world, "W", beat, NULL);

    world_pass(world, 12000);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 1);

    assert_int_equal(world_stats(world)->workers, 0);
}

static void
longest_gap_of_an_idle_old_worker_stands_for_its_interval(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_01, "echo", 1);
    world_pass(world, 2000);
    world_bare(world, "W", MDP_01, MDP_HEARTBEAT);

    world_pass(world, 6000);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 1);

    assert_int_equal(world_stats(world)->workers, 0);
}

static void
time_at_work_is_no_gap_of_an_old_worker(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_01, "echo", 1);
    ask(world, 1, 0);
    world_pass(world, 50000);
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "x");

    world_pass(world, 3001);

    assert_int_equal(world_stats(world)->workers, 0);
}

static void
worker_that_holds_a_request_is_never_lost_by_silence(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++) {
        world_configure(world, &world->config);
        world_ready(world, "W", dialects[d], "echo", 1);
        ask(world, 1, 0);

        world_pass(world, 100000);

        assert_int_equal(world_stats(world)->workers, 1);
        assert_int_equal(world_stats(world)->requests_out, 1);
    }
}

static void
worker_is_judged_again_from_its_answer_on(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1, 0);
    world_pass(world, 100000);
    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "x");

    world_pass(world, 3000);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 1);

    assert_int_equal(world_stats(world)->workers, 0);
}

static void
live_worker_in_front_of_dead_ones_does_not_delay_their_purge(void **state)
{
    struct world *world = *state;
    world_ready(world, "live", MDP_01, "echo", 1);
    world_ready(world, "dead", MDP_01, "echo", 1);
    for (int i = 0; i < 31; i++) {
        world_bare(world, "live", MDP_01, MDP_HEARTBEAT);
        world_pass(world, 100);
    }

    assert_int_equal(world_stats(world)->workers, 1);
    assert_int_equal(world_count(world, "dead", MDP_DISCONNECT), 1);
}

// ---- beats ---------------------------------------------------------------------------------

static void
beats_go_out_each_interval_to_idle_and_busy_workers(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++)
        for (int is_busy = 0; is_busy < 2; is_busy++) {
            world_configure(world, &world->config);
            ready_with_interval(world, "X", 0); // so that there is somebody else
            world_ready(world, "W", dialects[d], "sum", 1);
            if (is_busy)
                world_request(world, "C", MDP_G1, "sum", 1, "x");
            world_clear(world);

            world_pass(world, 2999);
            assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 2);
            world_pass(world, 1);

            assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 3);
        }
}

static void
beat_is_left_out_where_something_else_was_said(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 30);
    world_clear(world);
    for (uint64_t id = 0; id < 20; id++) {
        world_pass(world, 900);
        ask(world, id, 0);
    }

    assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 0);
}

static void
unread_messages_of_an_old_worker_thin_the_beats_and_end_them(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 2; d++) {
        world_configure(world, &world->config);
        world_ready(world, "W", dialects[d], "echo", 1);
        ask(world, 1, 0);
        world_clear(world);
        world_pass(world, 299 * 1000);
        assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 299); // 300 with the request
        world_pass(world, 100 * 1000);
        assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 309);
        world_clear(world);

        world_pass(world, 20 * 1000 * 1000);

        assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 900 - 310);
        assert_int_equal(world_stats(world)->workers, 1);
        world_bare(world, "W", dialects[d], MDP_HEARTBEAT);
        world_clear(world);
        world_pass(world, 3000);
        assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 3);
    }
}

static void
g1_workers_are_exempt_from_the_unread_limit(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1, 0);
    world_clear(world);

    world_pass(world, 1000 * 1000);

    assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 1000);
}

// ---- expiry --------------------------------------------------------------------------------

static void
request_that_nobody_could_take_ends_with_404_and_one_for_busy_workers_with_408(void **state)
{
    struct world *world = *state;
    ask(world, 1, 500);
    world_pass(world, 499);
    assert_int_equal(world_status(world, "C"), 0);
    world_pass(world, 1);
    assert_int_equal(world_status(world, "C"), MDP_NO_WORKER);

    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 2, 0);
    ask(world, 3, 500);
    world_pass(world, 500);

    assert_int_equal(world_status(world, "C"), MDP_EXPIRED);
    assert_int_equal(world_stats(world)->requests_expired, 2);
    assert_int_equal(world_stats(world)->dumps[BROKER_DUMP_EXPIRED], 2);
}

static void
ttl_of_0_is_the_brokers_default_and_24_hours_are_the_most(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.request_ttl_ms = 1000;
    world_configure(world, &config);
    ask(world, 1, 0);
    ask(world, 2, UINT32_MAX);
    world_request(world, "D", MDP_01, "echo", 0, "x");

    world_pass(world, 1000);
    assert_int_equal(world_stats(world)->requests_expired, 2);
    assert_int_equal(world_stats(world)->answers_silent, 1);
    world_pass(world, 24 * 3600 * 1000 - 1001);
    assert_int_equal(world_stats(world)->requests_expired, 2);
    world_pass(world, 1);

    assert_int_equal(world_stats(world)->requests_expired, 3);
}

static void
without_a_default_a_request_waits_for_ever(void **state)
{
    struct world *world = *state;
    ask(world, 1, 0);

    world_pass(world, (uint64_t)1000 * 24 * 3600 * 1000);

    assert_int_equal(world_stats(world)->requests_queued, 1);
    assert_true(broker_core_deadline(world->core) == UINT64_MAX);
}

static void
request_that_is_out_when_its_time_ends_keeps_its_worker_and_its_answer_counts(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1, 500);
    world_pass(world, 2000);

    world_answer(world, "W", world_last(world, "W", MDP_REQUEST), "late but welcome");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "late but welcome");
    assert_int_equal(world_stats(world)->requests_expired, 0);
}

static void
thousand_requests_that_expire_at_once_take_several_steps(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.requests_max = config.service_requests_max = config.client_requests_max = 1000;
    world_configure(world, &config);
    for (uint64_t id = 0; id < 1000; id++)
        ask(world, id, 500);
    world->is_manual = true;
    world->now_ns += 500 * 1000000;
    struct broker_event tick = {.kind = BROKER_TICK};

    world_step(world, &tick);

    assert_true(world->effects.count > 0 && world->effects.count <= BROKER_EFFECTS_MAX);
    assert_true(broker_core_deadline(world->core) <= world->now_ns);
    world_tick(world);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1000);
}

// ---- links that beat ---------------------------------------------------------------------------

static void
ready_on_link(struct world *world, mdp_dialect_t dialect, const char *fields, uint32_t credit)
{
    struct mdp_record record = {.dialect = dialect,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_READY,
                                .flags = MDP_FLAG_FIELDS,
                                .credit = credit,
                                .interval_ms = 1000,
                                .service = VIEW_LITERAL("echo"),
                                .fields = view_of(fields, strlen(fields))};
    world_say(world, "W", record, NULL);
}

static void
ready_with_fields(struct world *world, mdp_dialect_t dialect, const char *fields)
{
    ready_on_link(world, dialect, fields, 1);
}

static const struct broker_connection own = {.number = 17, .serial = 1};

static void
beat_to_a_busy_worker_asks_whether_its_link_is_silent(void **state)
{
    struct world *world = *state;
    world->connection = own;
    ready_with_fields(world, MDP_G1, "user: me\nlink-silence: 3000\n");
    world_pass(world, 1000);
    assert_int_equal(world_last(world, "W", MDP_HEARTBEAT)->silence_ms, 0); // idle: MDP's own

    world->connection = (struct broker_connection){.number = 18, .serial = 2}; // the client's
    ask(world, 1, 0);
    world_clear(world);
    world_pass(world, 1000);

    assert_int_equal(world_last(world, "W", MDP_HEARTBEAT)->silence_ms, 3000);
    assert_int_equal(world_last(world, "W", MDP_HEARTBEAT)->connection.number, 17);
    assert_int_equal(world_last(world, "W", MDP_HEARTBEAT)->connection.serial, 1);
}

static void
busy_worker_whose_link_is_silent_loses_its_request_to_another(void **state)
{
    struct world *world = *state;
    world->connection = own;
    ready_with_fields(world, MDP_G1, "link-silence: 3000\n");
    ask(world, 1, 0);
    world_ready(world, "W2", MDP_G1, "echo", 1);
    world_pass(world, 1000);

    world_unsent(world, world_last(world, "W", MDP_HEARTBEAT), true);
    world_tick(world);

    assert_int_equal(world_stats(world)->workers, 1);
    assert_int_equal(world_last(world, "W2", MDP_REQUEST)->record.attempt, 2);
}

// A worker with room gets one request after the other, and no HEARTBEAT between them.
static void
requests_to_a_busy_worker_ask_once_in_an_interval(void **state)
{
    struct world *world = *state;
    world->connection = own;
    ready_on_link(world, MDP_G1, "link-silence: 3000\n", 100);
    uint32_t asked = 0;
    for (uint64_t i = 0; i < 10; i++) {
        world_clear(world);
        world_pass(world, 450);
        ask(world, i, 0);
        bool is_asked = world_last(world, "W", MDP_REQUEST)->silence_ms != 0;
        assert_false(is_asked && i == 0); // it was idle
        asked += is_asked ? 1 : 0;
    }
    assert_int_equal(asked, 3); // the third, the sixth and the ninth
}

static void
request_that_finds_a_silent_link_is_given_to_another(void **state)
{
    struct world *world = *state;
    world->connection = own;
    ready_on_link(world, MDP_G1, "link-silence: 3000\n", 100);
    ask(world, 1, 0);
    world_pass(world, 900);
    ask(world, 2, 0);
    world_ready(world, "W2", MDP_G1, "echo", 2);

    world_unsent(world, world_last(world, "W", MDP_REQUEST), true);
    world_tick(world);

    assert_int_equal(world_stats(world)->workers, 1);
    assert_int_equal(world_stats(world)->workers_lost, 1);
    assert_int_equal(world_stats(world)->requests_out, 2);
}

// The kernel counts on while all of the machine sleeps.
static void
pause_of_our_own_is_not_the_silence_of_a_link(void **state)
{
    struct world *world = *state;
    world->connection = own;
    ready_with_fields(world, MDP_G1, "link-silence: 3000\n");
    ask(world, 1, 0);
    world_pass(world, 1000);
    uint64_t slept_ms = 60000;
    world_sleep(world, slept_ms);
    // Of the minute one interval was no pause: a beat was due.
    uint32_t most_ms = 0;
    for (int i = 0; i < 6; i++) {
        world_clear(world);
        world_pass(world, 1000);
        uint32_t ms = world_last(world, "W", MDP_HEARTBEAT)->silence_ms;
        if (i >= 3)
            assert_int_equal(ms, 3000);
        most_ms = ms > most_ms ? ms : most_ms;
    }
    assert_in_range(most_ms, 3000 + slept_ms - 1000, 3000 + slept_ms);
}

static void
link_that_promises_nothing_is_not_asked(void **state)
{
    static const struct {
        mdp_dialect_t dialect;
        int connection;
        const char *fields;
    } rows[] = {{MDP_G1, 17, ""},
                {MDP_G1, 17, "link-silence: 0\n"},
                {MDP_G1, 17, "link-silence: 99\n"},
                {MDP_G1, 17, "link-silence: 60001\n"},
                {MDP_G1, 17, "link-silence: 3000 ms\n"},
                {MDP_G1, 0, "link-silence: 3000\n"},
                {MDP_01, 17, "link-silence: 3000\n"}};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world_configure(world, &world->config);
        world->connection.number = rows[i].connection;
        ready_with_fields(world, rows[i].dialect, rows[i].fields);
        ask(world, 1, 0);
        world_pass(world, 1000);

        assert_int_equal(world_last(world, "W", MDP_HEARTBEAT)->silence_ms, 0);
    }
}

// ---- our own pauses ------------------------------------------------------------------------

static void
pause_of_our_own_process_expires_no_worker(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++) {
        world_configure(world, &world->config);
        world_ready(world, "W", dialects[d], "echo", 1);
        world_pass(world, 500);

        world_sleep(world, 60000);
        assert_int_equal(world_stats(world)->workers, 1);
        world_pass(world, 1900);
        world_bare(world, "W", dialects[d], MDP_HEARTBEAT);
        world_pass(world, 2900);

        assert_int_equal(world_stats(world)->workers, 1);
    }
}

// The beat of the first second is late by more than an interval, or by less.
static void
pause_is_what_is_longer_than_an_interval(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W", 1000);
    world_sleep(world, 2500);
    world_pass(world, 1990);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 20);
    assert_int_equal(world_stats(world)->workers, 0);

    ready_with_interval(world, "V", 1000);
    world_sleep(world, 1990);
    world_pass(world, 1020);
    assert_int_equal(world_stats(world)->workers, 0);
}

static void
worker_that_is_silent_after_our_pause_too_is_lost(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W", 1000);
    world_sleep(world, 60000);

    world_pass(world, 3001);

    assert_int_equal(world_stats(world)->workers, 0);
}

static void
pause_of_our_own_process_passes_nobodys_processing_limit(void **state)
{
    struct world *world = *state;
    struct broker_service_config service = {.name = VIEW_LITERAL("echo"), .limit_ms = 5000};
    struct broker_config config = world_config();
    config.services = &service;
    config.service_count = 1;
    world_configure(world, &config);
    world_ready(world, "W", MDP_G1, "echo", 1);
    ask(world, 1, 0);

    world_sleep(world, 60000);
    assert_int_equal(world_stats(world)->workers, 1);
    world_pass(world, 5001);

    assert_int_equal(world_stats(world)->workers, 0);
}

static void
pause_of_our_own_process_spends_no_attempt_on_workers_that_have_left_meanwhile(void **state)
{
    static const char *const gone[] = {"W1", "W2", "W3"};
    struct world *world = *state;
    for (int i = 0; i < 3; i++)
        world_ready(world, gone[i], MDP_G1, "echo", 1);
    world_ready(world, "W4", MDP_G1, "echo", 1);

    // What they said before they left is read after a client's request.
    world_sleep(world, 60000);
    ask(world, 1, 0);
    for (int i = 0; i < 3; i++)
        world_bare(world, gone[i], MDP_G1, MDP_DISCONNECT);
    world_pass(world, 200);

    assert_int_equal(world_stats(world)->attempts, 1);
    assert_int_equal(world_last(world, "W4", MDP_REQUEST)->record.attempt, 1);
}

static void
requests_are_given_out_again_soon_after_a_pause(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 2);
    world_sleep(world, 60000);
    ask(world, 1, 0);
    ask(world, 2, 0);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 0);

    world_pass(world, 200);

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 2);
}

static void
many_pauses_add_up_and_still_expire_nobody(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W", 1000);
    for (int i = 0; i < 100; i++) {
        world_sleep(world, 10000);
        world_bare(world, "W", MDP_G1, MDP_HEARTBEAT);
        world_pass(world, 500);
    }

    assert_int_equal(world_stats(world)->workers, 1);
}

static void
beats_that_were_missed_in_a_pause_are_not_sent_in_a_burst(void **state)
{
    struct world *world = *state;
    ready_with_interval(world, "W", 1000);
    world_clear(world);

    world_sleep(world, 60000);

    assert_int_equal(world_count(world, "W", MDP_HEARTBEAT), 1);
}

static void
deadline_is_never_behind_after_a_tick_so_nothing_spins(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof id, "W%d", i);
        world_ready(world, id, dialects[i % 3], "echo", 2);
    }
    uint64_t ticks = 0;
    uint64_t end_ns = world->now_ns + (uint64_t)60 * 1000000000;
    while (world->now_ns < end_ns) {
        uint64_t due_ns = broker_core_deadline(world->core);
        if (due_ns == UINT64_MAX)
            break;
        assert_true(due_ns >= world->now_ns);
        world->now_ns = due_ns;
        struct broker_event tick = {.kind = BROKER_TICK};
        world_step(world, &tick);
        ticks++;
    }
    assert_true(ticks < 200); // 30 workers that live for 3 seconds
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(idle_worker_is_lost_after_three_intervals_of_silence_and_not_before),
        world_test(anything_a_worker_says_counts_as_life),
        world_test(patience_is_of_the_larger_interval),
        world_test(interval_of_0_is_no_promise_and_silence_proves_nothing),
        world_test(absurd_intervals_are_clamped_and_counted),
        world_test(heartbeat_may_show_another_interval_than_ready_did),
        world_test(longest_gap_of_an_idle_old_worker_stands_for_its_interval),
        world_test(time_at_work_is_no_gap_of_an_old_worker),
        world_test(worker_that_holds_a_request_is_never_lost_by_silence),
        world_test(worker_is_judged_again_from_its_answer_on),
        world_test(live_worker_in_front_of_dead_ones_does_not_delay_their_purge),
        world_test(beats_go_out_each_interval_to_idle_and_busy_workers),
        world_test(beat_is_left_out_where_something_else_was_said),
        world_test(unread_messages_of_an_old_worker_thin_the_beats_and_end_them),
        world_test(g1_workers_are_exempt_from_the_unread_limit),
        world_test(request_that_nobody_could_take_ends_with_404_and_one_for_busy_workers_with_408),
        world_test(ttl_of_0_is_the_brokers_default_and_24_hours_are_the_most),
        world_test(without_a_default_a_request_waits_for_ever),
        world_test(request_that_is_out_when_its_time_ends_keeps_its_worker_and_its_answer_counts),
        world_test(thousand_requests_that_expire_at_once_take_several_steps),
        world_test(beat_to_a_busy_worker_asks_whether_its_link_is_silent),
        world_test(busy_worker_whose_link_is_silent_loses_its_request_to_another),
        world_test(requests_to_a_busy_worker_ask_once_in_an_interval),
        world_test(request_that_finds_a_silent_link_is_given_to_another),
        world_test(pause_of_our_own_is_not_the_silence_of_a_link),
        world_test(link_that_promises_nothing_is_not_asked),
        world_test(pause_of_our_own_process_expires_no_worker),
        world_test(pause_is_what_is_longer_than_an_interval),
        world_test(worker_that_is_silent_after_our_pause_too_is_lost),
        world_test(pause_of_our_own_process_passes_nobodys_processing_limit),
        world_test(pause_of_our_own_process_spends_no_attempt_on_workers_that_have_left_meanwhile),
        world_test(requests_are_given_out_again_soon_after_a_pause),
        world_test(many_pauses_add_up_and_still_expire_nobody),
        world_test(beats_that_were_missed_in_a_pause_are_not_sent_in_a_burst),
        world_test(deadline_is_never_behind_after_a_tick_so_nothing_spins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
