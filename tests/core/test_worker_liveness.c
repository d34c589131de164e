// test_worker_liveness.c - who beats, who is silent for too long, and who is not.

#include "worker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
enum { DIALECTS = 3 };

// ---- liveness --------------------------------------------------------------------------------

static void
worker_beats_when_it_has_said_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 1);
        for (int turn = 0; turn < 20; turn++) {
            rig_hear_command(rig, 0, MDP_HEARTBEAT);
            rig_wait(rig, 500);
        }
        // READY at 0, then one each second.
        assert_int_equal(rig_count(rig, MDP_HEARTBEAT), 10);
        assert_int_equal(rig_last(rig)->record.interval_ms, 1000);
        assert_true(rig->is_connected[0]);
        rig_free(rig);
    }
}

static void
answer_counts_as_a_beat(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    for (uint32_t turn = 0; turn < 20; turn++) {
        rig_wait(rig, 900);
        rig_hear_request(rig, 0, turn, "question");
        rig_take(rig);
        rig_answer(rig, rig->token, "answer");
        rig_sent(rig, 0);
    }
    assert_int_equal(rig_count(rig, MDP_HEARTBEAT), 0);
    rig_free(rig);
}

static void
ready_says_how_long_the_link_is_silent_at_most(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_new(dialects[i]);
        rig->config.link_silence_ms = 3000;
        rig_start(rig);
        rig_up(rig, 0);
        const struct mdp_record *ready = &rig_last(rig)->record; // its fields are the core's own
        bool is_said = view_equals(ready->fields, VIEW_LITERAL("link-silence: 3000\n"));
        assert_true(dialects[i] == MDP_G1 ? is_said : ready->fields.size == 0);
        assert_int_equal(ready->flags, dialects[i] == MDP_G1 ? MDP_FLAG_FIELDS : 0);
        rig_free(rig);
    }
}

static void
missed_beats_are_not_made_up_for(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_sleep(rig, 60000);
    rig_hear_command(rig, 0, MDP_HEARTBEAT);
    rig_wait(rig, 1);
    assert_int_equal(rig_count(rig, MDP_HEARTBEAT), 1);
    rig_free(rig);
}

static void
silent_broker_is_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 1);
        rig_wait(rig, 3000);
        assert_true(rig->is_connected[0]);
        rig_wait(rig, 1);
        assert_false(rig->is_connected[0]);
        assert_int_equal(worker_core_stats(rig->core)->silences, 1);
        assert_int_equal(rig_last(rig)->record.command, MDP_DISCONNECT);
        rig_come_back(rig);
        assert_int_equal(rig_last(rig)->record.command, MDP_READY);
        rig_free(rig);
    }
}

static void
broker_that_never_answers_ready_is_lost(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1);
    rig_start(rig);
    rig_up(rig, 0);
    rig_wait(rig, 3001);
    assert_false(rig->is_connected[0]);
    rig_free(rig);
}

static void
every_record_counts_as_life(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 100);
    for (uint32_t turn = 0; turn < 20; turn++) {
        rig_wait(rig, 2900);
        rig_hear_request(rig, 0, turn, "question");
    }
    assert_true(rig->is_connected[0]);
    rig_free(rig);
}

static void
what_cannot_be_read_is_no_life(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    for (int turn = 0; turn < 3; turn++) {
        rig_wait(rig, 1000);
        rig_hear_fault(rig, 0, MDP_BAD_COMMAND);
    }
    rig_wait(rig, 1);
    assert_false(rig->is_connected[0]);
    rig_free(rig);
}

static void
long_job_reads_what_piled_up_and_judges_then(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 1);
        rig_hear_request(rig, 0, 1, "question");
        rig_take(rig);
        rig_sleep(rig, 60000);
        rig_answer(rig, rig->token, "answer");
        rig_sent(rig, 0);
        for (int beat = 0; beat < 60; beat++)
            rig_hear_command(rig, 0, MDP_HEARTBEAT);
        rig_tick(rig);
        assert_true(rig->is_connected[0]);
        rig_free(rig);
    }
}

static void
g1_broker_that_was_silent_during_a_job_is_lost(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_hear_request(rig, 0, 1, "question");
    rig_take(rig);
    rig_sleep(rig, 60000);
    rig_answer(rig, rig->token, "answer");
    rig_tick(rig);
    assert_false(rig->is_connected[0]);
    rig_free(rig);
}

static void
old_broker_need_not_beat_a_busy_worker(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig *rig = rig_serve(dialects[i], 1);
        rig_hear_request(rig, 0, 1, "question");
        rig_take(rig);
        rig_wait(rig, 60000);
        assert_true(rig->is_connected[0]);
        rig_answer(rig, rig->token, "answer");
        rig_sent(rig, 0);
        rig_wait(rig, 3000);
        assert_int_equal(worker_core_stats(rig->core)->silences, 0);
        // From the answer on it has to.
        rig_wait(rig, 2000);
        assert_int_equal(worker_core_stats(rig->core)->silences, 1);
        rig_free(rig);
    }
}

static void
slower_of_both_intervals_counts(void **state)
{
    (void)state;
    // Rows: what the broker advertises; how long it may be silent, 0 being for ever.
    static const struct {
        uint32_t interval_ms;
        uint64_t patience_ms;
    } rows[] = {{1000, 3000},    {100, 3000},           {1, 3000}, {5000, 15000},
                {60000, 180000}, {4000000000u, 180000}, {0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_serve(MDP_G1, 1);
        struct mdp_record record = {.dialect = MDP_G1,
                                    .side = MDP_WORKER_SIDE,
                                    .command = MDP_HEARTBEAT,
                                    .interval_ms = rows[i].interval_ms};
        rig_hear(rig, 0, &record, NULL);
        if (rows[i].patience_ms == 0) {
            rig_wait(rig, 3600000);
            assert_true(rig->is_connected[0]);
        } else {
            rig_wait(rig, rows[i].patience_ms);
            assert_true(rig->is_connected[0]);
            rig_wait(rig, 1);
            assert_false(rig->is_connected[0]);
        }
        rig_free(rig);
    }
}

static void
old_broker_shows_its_interval_by_its_gaps(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_01, 1);
    // One beat each 2.5 s, which is slower than ours and still in time.
    for (int turn = 0; turn < 3; turn++) {
        rig_wait(rig, 2500);
        rig_hear_command(rig, 0, MDP_HEARTBEAT);
    }
    rig_wait(rig, 7500);
    assert_true(rig->is_connected[0]);
    rig_wait(rig, 1);
    assert_false(rig->is_connected[0]);
    rig_free(rig);
}

static void
gaps_seen_while_nobody_looked_show_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_01, 1);
    rig_sleep(rig, 50000);
    rig_event(rig, WORKER_TAKE);
    rig_hear_command(rig, 0, MDP_HEARTBEAT);
    rig_wait(rig, 3000);
    assert_true(rig->is_connected[0]);
    rig_wait(rig, 1);
    assert_false(rig->is_connected[0]);
    rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_beats_when_it_has_said_nothing),
        cmocka_unit_test(answer_counts_as_a_beat),
        cmocka_unit_test(ready_says_how_long_the_link_is_silent_at_most),
        cmocka_unit_test(missed_beats_are_not_made_up_for),
        cmocka_unit_test(silent_broker_is_lost),
        cmocka_unit_test(broker_that_never_answers_ready_is_lost),
        cmocka_unit_test(every_record_counts_as_life),
        cmocka_unit_test(what_cannot_be_read_is_no_life),
        cmocka_unit_test(long_job_reads_what_piled_up_and_judges_then),
        cmocka_unit_test(g1_broker_that_was_silent_during_a_job_is_lost),
        cmocka_unit_test(old_broker_need_not_beat_a_busy_worker),
        cmocka_unit_test(slower_of_both_intervals_counts),
        cmocka_unit_test(old_broker_shows_its_interval_by_its_gaps),
        cmocka_unit_test(gaps_seen_while_nobody_looked_show_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
