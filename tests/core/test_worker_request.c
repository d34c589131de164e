// test_worker_request.c - what becomes of a request, and of its answer.

#include "worker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
enum { DIALECTS = 3 };

// ---- requests and answers -------------------------------------------------------------------

static void
request_is_answered_with_what_names_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 1);
        assert_false(rig_take(rig));
        rig_hear_request(rig, 0, 42, "question");
        assert_true(rig_take(rig));
        assert_string_equal(rig->body, "question");
        assert_int_equal(rig->attempt, dialects[i] == MDP_G1 ? 1 : 0);
        assert_true(rig_answer(rig, rig->token, "answer"));
        const struct rig_sent *final = rig_last(rig);
        assert_int_equal(final->record.command, MDP_FINAL);
        assert_int_equal(final->record.dialect, dialects[i]);
        assert_int_equal(final->record.status, 200);
        assert_int_equal(final->record.parts, 0);
        assert_string_equal(final->body, "answer");
        uint32_t number = 42;
        if (dialects[i] == MDP_G1)
            assert_memory_equal(final->record.ticket.bytes, &number, sizeof number);
        else
            assert_string_equal(final->address, "client-42");
        rig_sent(rig, 0);
        assert_int_equal(worker_core_stats(rig->core)->answers, 1);
        assert_int_equal(rig->lost, 0);
        rig_free(rig);
    }
}

static void
foreign_address_is_echoed_as_it_is(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_01, 1);
    uint8_t bytes[WORKER_ADDRESS_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    struct mdp_record record = {.dialect = MDP_01,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_REQUEST,
                                .address = view_of(bytes, 5)};
    rig_hear(rig, 0, &record, "question");
    memset(bytes, 0xee, 5); // the message is gone by now
    rig_take(rig);
    rig_answer(rig, rig->token, "answer");
    assert_int_equal(rig_last(rig)->record.address.size, 5);
    assert_memory_equal(rig_last(rig)->address, "\0\1\2\3\4", 5);
    rig_sent(rig, 0);

    // One that is longer than any routing id is a broker's mistake, and not our end.
    record.address = view_of(bytes, sizeof bytes);
    rig_hear(rig, 0, &record, "question");
    assert_int_equal(worker_core_stats(rig->core)->breaches, 1);
    rig_free(rig);
}

// A sound 0.1 broker gives one request over each connection, and an application with a
// large credit may hold those of many: that is no breach of anybody's.
static void
requests_of_many_connections_keep_their_addresses(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_01, 32);
    for (uint32_t i = 0; i < 30; i++) {
        rig_hear_request(rig, 0, i, "question");
        assert_true(rig_take(rig));
        rig_down(rig, 0);
        rig_come_back(rig);
    }
    assert_int_equal(worker_core_stats(rig->core)->breaches, 0);
    rig_free(rig);
}

static void
application_holds_no_more_than_its_credit(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 3);
    uint64_t tokens[5];
    for (uint32_t i = 0; i < 5; i++)
        rig_hear_request(rig, 0, i, "question");
    for (size_t i = 0; i < 3; i++) {
        assert_true(rig_take(rig));
        tokens[i] = rig->token;
    }
    assert_false(rig_take(rig));
    assert_false(worker_core_has_ready(rig->core));
    // In any order.
    rig_answer(rig, tokens[1], "answer 1");
    assert_true(worker_core_has_ready(rig->core));
    assert_true(rig_take(rig));
    rig_answer(rig, tokens[0], "answer 0");
    assert_true(rig_take(rig));
    assert_string_equal(rig_find(rig, MDP_FINAL, 0)->body, "answer 1");
    assert_string_equal(rig_find(rig, MDP_FINAL, 1)->body, "answer 0");
    rig_free(rig);
}

static void
answer_may_have_no_frames(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_hear_request(rig, 0, 1, "question");
    rig_take(rig);
    assert_true(rig_answer(rig, rig->token, NULL));
    assert_string_equal(rig_last(rig)->body, "");
    rig_free(rig);
}

static void
worker_sends_only_the_statuses_it_may(void **state)
{
    (void)state;
    static const struct {
        int said, sent;
    } rows[] = {{200, 200}, {400, 400}, {403, 403}, {409, 409}, {413, 413},  {429, 429}, {500, 500},
                {510, 510}, {599, 599}, {0, 500},   {404, 500}, {408, 500},  {499, 500}, {502, 500},
                {503, 500}, {509, 500}, {600, 500}, {-1, 500},  {65736, 500}};
    struct rig *rig = rig_serve(MDP_G1, 1);
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rig_hear_request(rig, 0, i, "question");
        rig_take(rig);
        assert_true(rig_fail(rig, rig->token, rows[i].said, "text"));
        assert_int_equal(rig_last(rig)->record.status, rows[i].sent);
        assert_string_equal(rig_last(rig)->body, "text");
        rig_sent(rig, 0);
    }
    rig_free(rig);
}

// ---- partials --------------------------------------------------------------------------------

static void
partials_are_numbered_and_counted(void **state)
{
    (void)state;
    for (size_t i = 1; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i], 1);
        rig_hear_request(rig, 0, 1, "question");
        rig_take(rig);
        assert_true(rig_partial(rig, rig->token, "one"));
        assert_true(rig_partial(rig, rig->token, "two"));
        assert_true(rig_answer(rig, rig->token, "end"));
        assert_int_equal(rig_find(rig, MDP_PARTIAL, 0)->record.seq, 0);
        assert_int_equal(rig_find(rig, MDP_PARTIAL, 1)->record.seq, 1);
        assert_string_equal(rig_find(rig, MDP_PARTIAL, 1)->body, "two");
        assert_int_equal(rig_find(rig, MDP_FINAL, 0)->record.parts, 2);
        rig_free(rig);
    }
}

static void
partials_of_01_go_out_with_the_reply(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_01, 1);
    rig_hear_request(rig, 0, 1, "question");
    rig_take(rig);
    size_t sent = rig->sent_count;
    assert_true(rig_partial(rig, rig->token, "one"));
    assert_true(rig_partial(rig, rig->token, "two"));
    assert_int_equal(rig->sent_count, sent);
    assert_true(rig_answer(rig, rig->token, "end"));
    assert_string_equal(rig_last(rig)->body, "one|two|end");
    rig_sent(rig, 0);
    // Without frames at the end, and never ended at all.
    rig_hear_request(rig, 0, 2, "question");
    rig_take(rig);
    rig_partial(rig, rig->token, "one");
    rig_answer(rig, rig->token, NULL);
    assert_string_equal(rig_last(rig)->body, "one");
    rig_sent(rig, 0);
    rig_hear_request(rig, 0, 3, "question");
    rig_take(rig);
    rig_partial(rig, rig->token, "one");
    rig_free(rig);
}

// ---- a lost connection --------------------------------------------------------------

static void
answer_goes_over_the_next_connection_where_it_may(void **state)
{
    (void)state;
    // Rows: dialect, with a partial before; may its answer go over a new connection?
    static const struct {
        mdp_dialect_t dialect;
        bool has_partial, may_go;
    } rows[] = {{MDP_01, false, true}, {MDP_01, true, true},  {MDP_02, false, false},
                {MDP_02, true, false}, {MDP_G1, false, true}, {MDP_G1, true, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int is_back = 0; is_back < 2; is_back++) {
            struct rig *rig = rig_serve(rows[i].dialect, 1);
            rig_hear_request(rig, 0, 9, "question");
            rig_take(rig);
            uint64_t token = rig->token;
            if (rows[i].has_partial)
                assert_true(rig_partial(rig, token, "part"));
            rig_sent(rig, 0);
            rig_down(rig, 0);
            // Answered before or after the worker is back.
            if (is_back)
                rig_come_back(rig);
            assert_int_equal(rig_answer(rig, token, "answer"), rows[i].may_go);
            assert_int_equal(rig->lost, rows[i].may_go ? 0 : 1);
            if (!is_back)
                rig_come_back(rig);
            assert_int_equal(rig_count(rig, MDP_FINAL), rows[i].may_go ? 1 : 0);
            if (rows[i].may_go) {
                assert_int_equal(rig_last(rig)->connection, 2);
                assert_int_equal(rig_find(rig, MDP_READY, 1)->connection, 2);
                assert_true(rig_find(rig, MDP_READY, 1) < rig_last(rig));
                assert_int_equal(worker_core_stats(rig->core)->answers_late, 1);
            }
            rig_free(rig);
        }
    }
}

static void
partial_after_a_loss_makes_the_answer_void(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_hear_request(rig, 0, 1, "question");
    rig_take(rig);
    uint64_t token = rig->token;
    rig_down(rig, 0);
    rig_come_back(rig);
    assert_false(rig_partial(rig, token, "part"));
    assert_false(rig_partial(rig, token, "part"));
    assert_false(rig_answer(rig, token, "end"));
    assert_int_equal(rig_count(rig, MDP_PARTIAL), 0);
    assert_int_equal(rig_count(rig, MDP_FINAL), 0);
    assert_int_equal(worker_core_stats(rig->core)->answers_lost, 1);
    rig_free(rig);
}

static void
late_answer_in_another_dialect_is_lost(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_AUTO);
    rig->config.credit = 2;
    rig_start(rig);
    rig_up(rig, 0);
    rig_hear_dialects(rig, "200", "g1");
    rig_up(rig, 0);
    rig_hear_request(rig, 0, 1, "question");
    rig_hear_request(rig, 0, 2, "question");
    rig_take(rig);
    uint64_t first = rig->token;
    rig_take(rig);
    rig_down(rig, 0);
    assert_true(rig_answer(rig, first, "before it is known"));
    rig_come_back(rig);
    rig_hear_dialects(rig, "501", "");
    rig_up(rig, 0);
    assert_int_equal(rig->lost, 1);
    assert_false(rig_answer(rig, rig->token, "after"));
    assert_int_equal(rig_count(rig, MDP_FINAL), 0);
    rig_free(rig);
}

static void
requests_nobody_has_seen_go_with_their_connection(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 200);
    for (uint32_t i = 0; i < 200; i++)
        rig_hear_request(rig, 0, i, "question");
    assert_true(rig_take(rig));
    rig_down(rig, 0);
    // More than one step has to let go of them.
    assert_int_equal(worker_core_deadline(rig->core), 0);
    assert_false(rig_take(rig));
    while (worker_core_deadline(rig->core) == 0)
        rig_tick(rig);
    assert_int_equal(rig->live, 0);
    assert_int_equal(worker_core_stats(rig->core)->requests_gone, 199);
    assert_true(rig->effects_most < WORKER_EFFECTS_MAX);
    rig_free(rig);
}

static void
oldest_late_answer_makes_room_for_new_requests(void **state)
{
    (void)state;
    enum { TURNS = 40, ROOM = 18 }; // twice the credit and 16
    struct rig *rig = rig_serve(MDP_G1, 1);
    // Each turn: a request, a cut, its answer; READY goes out, and the socket is full.
    for (uint32_t i = 0; i < TURNS; i++) {
        char text[32];
        snprintf(text, sizeof text, "late %u", i);
        rig_hear_request(rig, 0, i, "question");
        assert_true(rig_take(rig));
        rig_down(rig, 0);
        assert_true(rig_answer(rig, rig->token, text));
        size_t sent = rig->sent_count;
        rig_come_back(rig);
        assert_int_equal(rig->sent[sent].record.command, MDP_READY);
        rig->sent[sent].is_open = false;
        rig_unsent(rig, 0);
    }
    assert_int_equal(rig->lost, TURNS - ROOM);
    size_t sent = rig->sent_count;
    rig_wait(rig, 10);
    assert_int_equal(rig->sent_count, sent + ROOM);
    assert_string_equal(rig->sent[sent].body, "late 22");
    assert_string_equal(rig_last(rig)->body, "late 39");
    rig_free(rig);
}

// ---- refused sends ---------------------------------------------------------------------------

static void
refused_answers_are_sent_again_in_order(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 4);
    uint64_t tokens[4];
    for (uint32_t i = 0; i < 4; i++) {
        rig_hear_request(rig, 0, i, "question");
        rig_take(rig);
        tokens[i] = rig->token;
    }
    rig_answer(rig, tokens[0], "zero");
    rig_partial(rig, tokens[1], "one a");
    rig_partial(rig, tokens[1], "one b");
    rig_answer(rig, tokens[1], "one");
    size_t sent = rig->sent_count;
    rig_unsent(rig, 0);
    // What comes now waits behind them.
    rig_answer(rig, tokens[2], "two");
    rig_partial(rig, tokens[3], "three a");
    assert_int_equal(rig->sent_count, sent);
    assert_int_equal(worker_core_unsent_count(rig->core), 6);
    rig_wait(rig, 9);
    assert_int_equal(rig->sent_count, sent);
    rig_wait(rig, 1);
    static const char *const bodies[] = {"zero", "one a", "one b", "one", "two", "three a"};
    assert_int_equal(rig->sent_count, sent + 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(rig->sent[sent + i].body, bodies[i]);
    assert_int_equal(rig->sent[sent + 1].record.seq, 0);
    assert_int_equal(rig->sent[sent + 2].record.seq, 1);
    assert_int_equal(rig->sent[sent + 3].record.parts, 2);
    rig_sent(rig, 0);
    assert_int_equal(worker_core_stats(rig->core)->answers, 3);
    assert_int_equal(rig->lost, 0);
    rig_free(rig);
}

static void
refused_again_they_stay_in_order(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_hear_request(rig, 0, 1, "question");
    rig_take(rig);
    rig_partial(rig, rig->token, "a");
    rig_partial(rig, rig->token, "b");
    rig_answer(rig, rig->token, "c");
    for (int turn = 0; turn < 5; turn++) {
        rig_unsent(rig, 0);
        size_t sent = rig->sent_count;
        rig_wait(rig, 10);
        assert_int_equal(rig->sent_count, sent + 3);
        assert_string_equal(rig->sent[sent].body, "a");
        assert_int_equal(rig->sent[sent].record.seq, 0);
        assert_string_equal(rig->sent[sent + 1].body, "b");
        assert_int_equal(rig->sent[sent + 1].record.seq, 1);
        assert_string_equal(rig->sent[sent + 2].body, "c");
    }
    rig_free(rig);
}

static void
answers_that_come_back_after_a_cut_are_late_or_lost(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 2);
    rig_hear_request(rig, 0, 1, "question");
    rig_hear_request(rig, 0, 2, "question");
    rig_take(rig);
    rig_answer(rig, rig->token, "whole");
    rig_take(rig);
    rig_partial(rig, rig->token, "part");
    rig_answer(rig, rig->token, "end");
    rig_down(rig, 0);
    rig_unsent(rig, 0);
    assert_int_equal(rig->lost, 1);
    size_t sent = rig->sent_count;
    rig_come_back(rig);
    assert_int_equal(rig->sent_count, sent + 2);
    assert_string_equal(rig_last(rig)->body, "whole");
    rig_free(rig);
}

static void
waiting_answers_that_cannot_go_on_are_reported(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_02, 1);
    rig_hear_request(rig, 0, 1, "question");
    rig_take(rig);
    rig_answer(rig, rig->token, "answer");
    rig_unsent(rig, 0);
    assert_int_equal(rig->lost, 0);
    rig_down(rig, 0);
    assert_int_equal(rig->lost, 1);
    rig_free(rig);
}

static void
broker_that_takes_no_partials_is_given_up(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_hear_request(rig, 0, 1, "question");
    rig_take(rig);
    uint64_t token = rig->token;
    rig_partial(rig, token, "first");
    rig_unsent(rig, 0);
    size_t taken = 0;
    while (rig_partial(rig, token, "part"))
        assert_true(++taken < 1000);
    assert_false(rig->is_connected[0]);
    assert_false(rig_answer(rig, token, "end"));
    assert_int_equal(worker_core_stats(rig->core)->answers_lost, 1);
    rig_free(rig);
}

static void
refused_heartbeat_changes_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(MDP_G1, 1);
    rig_wait(rig, 1000);
    assert_int_equal(rig_last(rig)->record.command, MDP_HEARTBEAT);
    rig_unsent(rig, 0);
    assert_true(rig->is_connected[0]);
    rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_answered_with_what_names_it),
        cmocka_unit_test(foreign_address_is_echoed_as_it_is),
        cmocka_unit_test(requests_of_many_connections_keep_their_addresses),
        cmocka_unit_test(application_holds_no_more_than_its_credit),
        cmocka_unit_test(answer_may_have_no_frames),
        cmocka_unit_test(worker_sends_only_the_statuses_it_may),
        cmocka_unit_test(partials_are_numbered_and_counted),
        cmocka_unit_test(partials_of_01_go_out_with_the_reply),
        cmocka_unit_test(answer_goes_over_the_next_connection_where_it_may),
        cmocka_unit_test(partial_after_a_loss_makes_the_answer_void),
        cmocka_unit_test(late_answer_in_another_dialect_is_lost),
        cmocka_unit_test(requests_nobody_has_seen_go_with_their_connection),
        cmocka_unit_test(oldest_late_answer_makes_room_for_new_requests),
        cmocka_unit_test(refused_answers_are_sent_again_in_order),
        cmocka_unit_test(refused_again_they_stay_in_order),
        cmocka_unit_test(answers_that_come_back_after_a_cut_are_late_or_lost),
        cmocka_unit_test(waiting_answers_that_cannot_go_on_are_reported),
        cmocka_unit_test(broker_that_takes_no_partials_is_given_up),
        cmocka_unit_test(refused_heartbeat_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
