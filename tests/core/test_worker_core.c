// test_worker_core.c - how a worker registers, loses a broker, and leaves.

#include "worker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const uint64_t ms_ns = 1000000;

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
enum { DIALECTS = 3 };

// ---- registering ----------------------------------------------------------------------

static void
ready_is_the_first_thing_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_new(dialects[i]);
        rig->config.credit = 7;
        rig_start(rig);
        rig_wait(rig, 60000);
        assert_int_equal(rig->sent_count, 0); // there is no connection yet
        rig_up(rig, 0);
        assert_int_equal(rig->sent_count, 1);
        const struct rig_sent *ready = rig_last(rig);
        assert_int_equal(ready->record.command, MDP_READY);
        assert_int_equal(ready->record.dialect, dialects[i]);
        assert_int_equal(ready->record.side, MDP_WORKER_SIDE);
        assert_int_equal(ready->record.credit, 7);
        assert_int_equal(ready->record.interval_ms, 1000);
        assert_int_equal(ready->has_delimiter, dialects[i] == MDP_01);
        assert_string_equal(ready->service, "echo");
        rig_free(rig);
    }
}

static void
worker_has_a_session_with_each_broker(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1);
    rig->config.broker_count = 3;
    rig->config.credit = 10;
    rig_start(rig);
    for (uint32_t broker = 0; broker < 3; broker++) {
        rig_up(rig, broker);
        assert_int_equal(rig_last(rig)->broker, broker);
    }
    for (uint32_t broker = 0; broker < 3; broker++) {
        rig_hear_request(rig, broker, 2 * broker, "a");
        rig_hear_request(rig, broker, 2 * broker + 1, "b");
    }
    // They take turns, and each gets its own answer.
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(rig_take(rig));
        rig_answer(rig, rig->token, "answer");
        assert_int_equal(rig_last(rig)->record.command, MDP_FINAL);
        assert_int_equal(rig_last(rig)->broker, i % 3);
    }
    rig_down(rig, 1);
    assert_true(rig->is_connected[0]);
    assert_false(rig->is_connected[1]);
    assert_true(rig->is_connected[2]);
    rig_free(rig);
}

static void
refused_ready_begins_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1);
    rig_start(rig);
    rig_up(rig, 0);
    rig_unsent(rig, 0);
    assert_false(rig->is_connected[0]);
    rig_come_back(rig);
    assert_int_equal(rig_count(rig, MDP_READY), 2);
    rig_free(rig);
}

static void
printable_ids_are_new_for_each_socket(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_01);
    rig->config.has_printable_id = true;
    rig_start(rig);
    char before[32] = "";
    for (int turn = 0; turn < 200; turn++) {
        const char *id = rig->routing_id[0];
        assert_int_equal(strlen(id), WORKER_ID_BYTES);
        assert_true((id[0] >= 'A' && id[0] <= 'Z') || (id[0] >= 'a' && id[0] <= 'z'));
        assert_true(id[0] != 'm' && id[0] != 'i');
        for (size_t i = 1; i < WORKER_ID_BYTES; i++)
            assert_true((id[i] >= '0' && id[i] <= '9') || (id[i] >= 'A' && id[i] <= 'Z') ||
                        (id[i] >= 'a' && id[i] <= 'z'));
        assert_string_not_equal(id + 1, before);
        snprintf(before, sizeof before, "%s", id + 1);
        rig_up(rig, 0);
        rig_down(rig, 0);
        rig_wait_until_open(rig, 0, 10001);
    }
    rig_free(rig);
}

static void
ids_are_libzmqs_where_nobody_asked_for_others(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_01, 1);
    assert_string_equal(rig->routing_id[0], "");
    rig_free(rig);
}

// ---- the dialect ------------------------------------------------------------------------

static void
dialect_is_asked_for_on_a_socket_of_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *code, *words;
        mdp_dialect_t dialect;
    } rows[] = {{"200", "0.1 0.2 g1", MDP_G1}, {"501", "", MDP_01}, {"200", "0.1 0.2", MDP_01}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_new(MDP_AUTO);
        rig_start(rig);
        assert_int_equal(rig->opened[0], 1);
        rig_up(rig, 0);
        assert_int_equal(rig->sent_count, 1);
        assert_int_equal(rig_last(rig)->record.command, MDP_REQUEST);
        assert_int_equal(rig_last(rig)->record.dialect, MDP_01);
        assert_string_equal(rig_last(rig)->service, "mmi.dialects");
        assert_true(rig_last(rig)->has_delimiter);
        rig_hear_dialects(rig, rows[i].code, rows[i].words);
        assert_int_equal(rig->opened[0], 2);
        rig_up(rig, 0);
        assert_int_equal(rig_last(rig)->record.command, MDP_READY);
        assert_int_equal(rig_last(rig)->record.dialect, rows[i].dialect);
        assert_int_equal(rig_last(rig)->connection, 2);
        rig_free(rig);
    }
}

static void
silence_after_two_questions_means_01(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_AUTO);
    rig_start(rig);
    rig_wait(rig, 60000); // a broker that is not there yet is not one without MMI
    assert_int_equal(rig->sent_count, 0);
    rig_up(rig, 0);
    rig_wait(rig, 1999);
    assert_int_equal(rig_count(rig, MDP_REQUEST), 2);
    assert_int_equal(rig->opened[0], 1);
    rig_wait(rig, 1);
    assert_int_equal(rig->opened[0], 2);
    rig_up(rig, 0);
    assert_int_equal(rig_last(rig)->record.dialect, MDP_01);
    rig_free(rig);
}

static void
dialect_is_asked_for_again_after_a_loss(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_AUTO);
    rig_start(rig);
    rig_up(rig, 0);
    rig_hear_dialects(rig, "200", "0.1 0.2 g1");
    rig_up(rig, 0);
    rig_down(rig, 0);
    rig_come_back(rig);
    assert_int_equal(rig_last(rig)->record.command, MDP_REQUEST);
    rig_hear_dialects(rig, "501", "");
    rig_up(rig, 0);
    assert_int_equal(rig_last(rig)->record.dialect, MDP_01);
    rig_free(rig);
}

static void
question_that_is_cut_or_refused_is_asked_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_AUTO);
    rig_start(rig);
    rig_up(rig, 0);
    rig_unsent(rig, 0);
    rig_wait(rig, 50);
    assert_int_equal(rig_count(rig, MDP_REQUEST), 2);
    rig_down(rig, 0);
    rig_wait(rig, 10000);
    assert_int_equal(rig_count(rig, MDP_REQUEST), 2);
    rig_up(rig, 0);
    assert_int_equal(rig_count(rig, MDP_REQUEST), 3);
    assert_int_equal(rig->opened[0], 1);
    rig_free(rig);
}

// ---- losing a broker ----------------------------------------------------------------------------

static void
disconnect_is_answered_by_a_new_socket(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 1);
        size_t sent = rig->sent_count;
        rig_hear_command(rig, 0, MDP_DISCONNECT);
        assert_false(rig->is_connected[0]);
        // "it MUST send no further commands to the broker"
        assert_int_equal(rig->sent_count, sent);
        rig_come_back(rig);
        assert_int_equal(rig_last(rig)->record.command, MDP_READY);
        assert_int_equal(rig_last(rig)->connection, 2);
        rig_free(rig);
    }
}

static void
records_behind_disconnect_are_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 5);
    rig_hear_command(rig, 0, MDP_DISCONNECT);
    rig_hear_request(rig, 0, 1, "question");
    rig_hear_command(rig, 0, MDP_HEARTBEAT);
    rig_hear_command(rig, 0, MDP_DRAIN);
    rig_hear_command(rig, 0, MDP_DISCONNECT);
    rig_hear_fault(rig, 0, MDP_BROKEN_CHAIN);
    assert_false(rig_take(rig));
    assert_int_equal(rig->live, 0);
    assert_int_equal(worker_core_stats(rig->core)->sessions_lost, 1);
    rig_free(rig);
}

static void
back_off_doubles_up_to_its_limit_with_jitter(void **state)
{
    (void)state;
    enum { WORKERS = 200 };
    // For each of the first nine losses the bound, and the spread over many workers.
    uint64_t least[9];
    uint64_t most[9] = {0};
    memset(least, 0xff, sizeof least);
    for (uint8_t worker = 0; worker < WORKERS; worker++) {
        struct rig *rig = rig_new(MDP_G1);
        rig->config.seed[0] = worker;
        rig_start(rig);
        for (size_t turn = 0; turn < 9; turn++) {
            rig_up(rig, 0);
            uint64_t lost_ns = rig->now_ns;
            rig_hear_command(rig, 0, MDP_DISCONNECT);
            while (!rig->is_connected[0]) {
                rig->now_ns = worker_core_deadline(rig->core);
                rig_tick(rig);
            }
            uint64_t waited_ns = rig->opened_at_ns[0] - lost_ns;
            least[turn] = waited_ns < least[turn] ? waited_ns : least[turn];
            most[turn] = waited_ns > most[turn] ? waited_ns : most[turn];
        }
        rig_free(rig);
    }
    for (size_t turn = 0; turn < 9; turn++) {
        uint64_t bound_ns = (100ull << turn) * ms_ns;
        if (bound_ns > 10000 * ms_ns)
            bound_ns = 10000 * ms_ns;
        assert_true(most[turn] <= bound_ns);
        assert_true(most[turn] > bound_ns * 9 / 10);
        assert_true(least[turn] < bound_ns / 10);
    }
}

static void
session_that_served_resets_the_back_off(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    for (uint32_t turn = 0; turn < 50; turn++) {
        rig_hear_request(rig, 0, turn, "question");
        rig_down(rig, 0);
        rig_wait_until_open(rig, 0, 101);
        rig_up(rig, 0);
    }
    rig_free(rig);
}

// A half of a pair that serves nobody gives no requests, and may be restarted soon.
static void
broker_that_answered_and_was_restarted_is_found_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    for (uint32_t turn = 0; turn < 50; turn++) {
        rig_down(rig, 0);
        rig_wait_until_open(rig, 0, 101);
        rig_up(rig, 0);
        rig_hear_command(rig, 0, MDP_HEARTBEAT);
    }
    // One that cuts each connection without a word is met with back-off.
    uint64_t from_ns = rig->now_ns;
    for (uint32_t turn = 0; turn < 10; turn++) {
        rig_down(rig, 0);
        rig_wait_until_open(rig, 0, 10001);
        rig_up(rig, 0);
    }
    assert_true(rig->now_ns - from_ns > 5000 * ms_ns);
    rig_free(rig);
}

static void
broken_chain_ends_the_session(void **state)
{
    (void)state;
    static const enum mdp_fault faults[] = {MDP_BROKEN_CHAIN, MDP_TOO_SHORT, MDP_BAD_CONTENTS,
                                            MDP_OVER_LIMIT, MDP_NO_ADDRESS};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct rig *rig = rig_serve(MDP_G1, 1);
        rig_hear_fault(rig, 0, faults[i]);
        assert_false(rig->is_connected[0]);
        assert_int_equal(rig_last(rig)->record.command, MDP_DISCONNECT);
        assert_int_equal(rig_last(rig)->record.reason, MDP_REASON_PROTOCOL);
        assert_int_equal(worker_core_stats(rig->core)->faults[faults[i]], 1);
        rig_free(rig);
    }
}

static void
other_faults_are_dropped_and_counted(void **state)
{
    (void)state;
    static const enum mdp_fault faults[] = {MDP_BAD_HEADER, MDP_BAD_VERSION, MDP_NO_RECORD,
                                            MDP_BAD_STACK,  MDP_BAD_COMMAND, MDP_BAD_NAME,
                                            MDP_BAD_ADDRESS};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct rig *rig = rig_serve(MDP_G1, 1);
        rig_hear_fault(rig, 0, faults[i]);
        assert_true(rig->is_connected[0]);
        assert_int_equal(worker_core_stats(rig->core)->faults[faults[i]], 1);
        rig_free(rig);
    }
}

static void
records_for_somebody_else_are_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    // Another dialect, a client's side, commands that only a worker sends.
    struct mdp_record records[] = {
        {.dialect = MDP_01, .side = MDP_WORKER_SIDE, .command = MDP_REQUEST},
        {.dialect = MDP_01, .side = MDP_WORKER_SIDE, .command = MDP_DISCONNECT},
        {.dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_FINAL},
        {.dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_REQUEST},
        {.dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = MDP_READY},
        {.dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = MDP_FINAL},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        rig_hear(rig, 0, &records[i], "body");
    assert_int_equal(worker_core_stats(rig->core)->records_ignored, 6);
    assert_true(rig->is_connected[0]);
    assert_int_equal(rig->live, 0);
    rig_free(rig);
}

static void
broker_that_sends_beyond_all_credit_is_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 2);
        uint32_t number = 0;
        while (rig->is_connected[0]) {
            assert_true(number < 1000);
            rig_hear_request(rig, 0, number++, "question");
        }
        assert_true(number > 4);
        assert_int_equal(worker_core_stats(rig->core)->breaches, 1);
        rig_free(rig);
    }
}

static void
request_that_memory_was_too_short_for_is_left_to_others(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_hear_request(rig, 0, 1, NULL);
    assert_false(rig->is_connected[0]);
    rig_free(rig);
}

static void
unopened_connection_is_tried_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1);
    rig_start(rig);
    for (int turn = 0; turn < 10; turn++) {
        rig_event(rig, WORKER_UNOPENED);
        assert_false(rig->is_connected[0]);
        rig_wait_until_open(rig, 0, 10001);
    }
    rig_up(rig, 0);
    assert_int_equal(rig_last(rig)->record.command, MDP_READY);
    rig_free(rig);
}

// ---- draining and leaving -----------------------------------------------------------------------

static void
broker_that_drains_still_gets_its_answers(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 2);
    rig_hear_request(rig, 0, 1, "question");
    rig_hear_command(rig, 0, MDP_DRAIN);
    assert_true(rig_take(rig));
    assert_true(rig_answer(rig, rig->token, "answer"));
    assert_int_equal(rig_last(rig)->record.command, MDP_FINAL);
    rig_sent(rig, 0);
    rig_wait(rig, 1000);
    assert_int_equal(rig_last(rig)->record.command, MDP_HEARTBEAT);
    rig_hear_command(rig, 0, MDP_DISCONNECT);
    rig_come_back(rig);
    assert_int_equal(rig_last(rig)->record.command, MDP_READY);
    rig_free(rig);
}

static void
drain_asks_g1_brokers_for_nothing_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 2);
        rig_hear_request(rig, 0, 1, "question");
        rig_take(rig);
        rig_event(rig, WORKER_DRAIN);
        rig_event(rig, WORKER_DRAIN);
        assert_int_equal(rig_count(rig, MDP_DRAIN), dialects[i] == MDP_G1 ? 1 : 0);
        // What was on its way is still taken in, and answered.
        rig_hear_request(rig, 0, 2, "question");
        assert_true(rig_answer(rig, rig->token, "answer"));
        assert_true(rig_take(rig));
        assert_true(rig_answer(rig, rig->token, "answer"));
        assert_int_equal(rig_count(rig, MDP_FINAL), 2);
        rig_free(rig);
    }
}

static void
draining_worker_that_reconnects_says_so(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_event(rig, WORKER_DRAIN);
    rig_down(rig, 0);
    rig_come_back(rig);
    assert_int_equal(rig_find(rig, MDP_READY, 1)->connection, 2);
    assert_int_equal(rig_find(rig, MDP_DRAIN, 1)->connection, 2);
    assert_ptr_equal(rig_last(rig), rig_find(rig, MDP_DRAIN, 1));
    rig_free(rig);
}

static void
stop_says_disconnect_where_it_may(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        for (int says = 0; says < 2; says++) {
            struct rig *rig = rig_new(dialects[i]);
            rig->config.says_disconnect = says;
            rig_start(rig);
            rig_up(rig, 0);
            rig_event(rig, WORKER_STOP);
            assert_int_equal(rig_count(rig, MDP_DISCONNECT), says);
            assert_false(rig->is_connected[0]);
            rig_wait(rig, 100000);
            assert_false(rig->is_connected[0]);
            rig_free(rig);
        }
    }
}

static void
stop_reports_answers_that_still_wait(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 10);
    for (uint32_t i = 0; i < 6; i++) {
        rig_hear_request(rig, 0, i, "question");
        rig_take(rig);
        if (i < 3)
            rig_answer(rig, rig->token, "answer");
    }
    rig_unsent(rig, 0);
    rig_event(rig, WORKER_STOP);
    assert_int_equal(rig->lost, 3);
    rig_free(rig);
}

static void
stop_in_every_state_ends_all(void **state)
{
    (void)state;
    // Waiting, asking, connecting, greeting, serving, draining, stopped.
    for (int stage = 0; stage < 7; stage++) {
        struct rig *rig = rig_new(MDP_AUTO);
        rig_start(rig);
        if (stage == 0)
            rig_event(rig, WORKER_UNOPENED);
        if (stage >= 2) {
            rig_up(rig, 0);
            rig_hear_dialects(rig, "200", "g1");
        }
        if (stage >= 3)
            rig_up(rig, 0);
        if (stage >= 4)
            rig_hear_command(rig, 0, MDP_HEARTBEAT);
        if (stage >= 5)
            rig_hear_command(rig, 0, MDP_DRAIN);
        if (stage >= 6)
            rig_event(rig, WORKER_STOP);
        rig_event(rig, WORKER_STOP);
        assert_false(rig->is_connected[0]);
        assert_int_equal(worker_core_deadline(rig->core), UINT64_MAX);
        assert_int_equal(rig_count(rig, MDP_DISCONNECT), stage >= 3 ? 1 : 0);
        rig_free(rig);
    }
}

// ---- everything at once -------------------------------------------------------------

// walk_step does one thing that can happen at any time.
static void
walk_step(struct rig *rig, uint64_t choice, uint64_t *tokens, size_t *held)
{
    uint32_t broker = (uint32_t)(choice >> 8) % rig->config.broker_count;
    uint32_t number = (uint32_t)(choice >> 16);
    switch (choice % 16) {
    case 0:
        rig_hear_command(rig, broker, MDP_HEARTBEAT);
        break;
    case 1:
    case 2:
    case 3:
        rig_hear_request(rig, broker, number, "question");
        break;
    case 4:
        rig_hear_fault(rig, broker, (enum mdp_fault)(number % MDP_FAULTS));
        break;
    case 5:
        if (number % 4 == 0)
            rig_hear_command(rig, broker, MDP_DISCONNECT);
        break;
    case 6:
        if (rig->is_connected[broker] && number % 4 == 0)
            rig_down(rig, broker);
        break;
    case 7:
    case 8:
        if (rig->is_connected[broker])
            rig_up(rig, broker);
        break;
    case 9:
        if (rig_take(rig))
            tokens[(*held)++] = rig->token;
        break;
    case 10:
        if (*held > 0)
            rig_partial(rig, tokens[number % *held], "part");
        break;
    case 11:
    case 12:
        if (*held > 0) {
            size_t at = number % *held;
            uint64_t token = tokens[at];
            tokens[at] = tokens[--*held];
            rig_answer(rig, token, "answer");
        }
        break;
    case 13:
        rig_sent(rig, broker);
        break;
    case 14:
        rig_unsent(rig, broker);
        break;
    case 15:
        rig_wait(rig, number % 64);
        break;
    }
}

static void
cargo_and_books_agree_whatever_happens(void **state)
{
    (void)state;
    static const mdp_dialect_t all[] = {MDP_01, MDP_02, MDP_G1};
    for (size_t i = 0; i < 30; i++) {
        struct rig *rig = rig_new(all[i % 3]);
        rig->config.broker_count = 1 + (uint32_t)i % RIG_BROKERS;
        rig->config.credit = 1 + (uint32_t)(i * i) % 20;
        rig_start(rig);
        uint64_t tokens[64];
        size_t held = 0;
        uint64_t random = 88172645463325252u + i;
        for (int step = 0; step < 4000; step++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            walk_step(rig, random >> 11, tokens, &held);
            // The log is a record of this step only.
            for (uint32_t broker = 0;
                 rig->sent_count > RIG_LOG_MAX - 200 && broker < rig->config.broker_count; broker++)
                rig_sent(rig, broker);
            if (rig->sent_count > RIG_LOG_MAX - 200)
                rig->sent_count = 0;
        }
        rig_free(rig);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_is_the_first_thing_said),
        cmocka_unit_test(worker_has_a_session_with_each_broker),
        cmocka_unit_test(refused_ready_begins_again),
        cmocka_unit_test(printable_ids_are_new_for_each_socket),
        cmocka_unit_test(ids_are_libzmqs_where_nobody_asked_for_others),
        cmocka_unit_test(dialect_is_asked_for_on_a_socket_of_its_own),
        cmocka_unit_test(silence_after_two_questions_means_01),
        cmocka_unit_test(dialect_is_asked_for_again_after_a_loss),
        cmocka_unit_test(question_that_is_cut_or_refused_is_asked_again),
        cmocka_unit_test(disconnect_is_answered_by_a_new_socket),
        cmocka_unit_test(records_behind_disconnect_are_dropped),
        cmocka_unit_test(back_off_doubles_up_to_its_limit_with_jitter),
        cmocka_unit_test(session_that_served_resets_the_back_off),
        cmocka_unit_test(broker_that_answered_and_was_restarted_is_found_at_once),
        cmocka_unit_test(broken_chain_ends_the_session),
        cmocka_unit_test(other_faults_are_dropped_and_counted),
        cmocka_unit_test(records_for_somebody_else_are_dropped),
        cmocka_unit_test(broker_that_sends_beyond_all_credit_is_left),
        cmocka_unit_test(request_that_memory_was_too_short_for_is_left_to_others),
        cmocka_unit_test(unopened_connection_is_tried_again),
        cmocka_unit_test(broker_that_drains_still_gets_its_answers),
        cmocka_unit_test(drain_asks_g1_brokers_for_nothing_more),
        cmocka_unit_test(draining_worker_that_reconnects_says_so),
        cmocka_unit_test(stop_says_disconnect_where_it_may),
        cmocka_unit_test(stop_reports_answers_that_still_wait),
        cmocka_unit_test(stop_in_every_state_ends_all),
        cmocka_unit_test(cargo_and_books_agree_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
