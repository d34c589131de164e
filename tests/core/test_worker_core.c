// test_worker_core.c - what a worker says to its brokers, and when.

#include "worker_rig.h"

#include "mdp_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const uint64_t ms_ns = 1000000;

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
enum { DIALECTS = 3 };

// wait_until_open waits for the next connection to the broker, at most so long.
static void
wait_until_open(struct rig *rig, uint32_t broker, uint64_t ms_max)
{
    for (uint64_t i = 0; i < ms_max && !rig->is_connected[broker]; i++)
        rig_wait(rig, 1);
    assert_true(rig->is_connected[broker]);
}

// come_back takes a worker that has lost its broker through READY.
static void
come_back(struct rig *rig)
{
    wait_until_open(rig, 0, 10001);
    rig_up(rig, 0);
}

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
    come_back(rig);
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
        wait_until_open(rig, 0, 10001);
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
hear_dialects(struct rig *rig, const char *code, const char *words)
{
    struct view frames[2] = {view_of(code, strlen(code)), view_of(words, strlen(words))};
    struct mdp_record record = {.dialect = MDP_01,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_FINAL,
                                .service = VIEW_LITERAL("mmi.dialects"),
                                .body = mdp_body_of(frames, words[0] == '\0' ? 1 : 2)};
    rig_hear(rig, 0, &record, NULL);
}

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
        hear_dialects(rig, rows[i].code, rows[i].words);
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
    hear_dialects(rig, "200", "0.1 0.2 g1");
    rig_up(rig, 0);
    rig_down(rig, 0);
    come_back(rig);
    assert_int_equal(rig_last(rig)->record.command, MDP_REQUEST);
    hear_dialects(rig, "501", "");
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

// ---- a lost connection
// ---------------------------------------------------------------------------

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
                come_back(rig);
            assert_int_equal(rig_answer(rig, token, "answer"), rows[i].may_go);
            assert_int_equal(rig->lost, rows[i].may_go ? 0 : 1);
            if (!is_back)
                come_back(rig);
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
    come_back(rig);
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
    hear_dialects(rig, "200", "g1");
    rig_up(rig, 0);
    rig_hear_request(rig, 0, 1, "question");
    rig_hear_request(rig, 0, 2, "question");
    rig_take(rig);
    uint64_t first = rig->token;
    rig_take(rig);
    rig_down(rig, 0);
    assert_true(rig_answer(rig, first, "before it is known"));
    come_back(rig);
    hear_dialects(rig, "501", "");
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
    struct rig *rig = rig_serve(MDP_G1, 1);
    // Each turn: a request, a loss, its answer while there is no connection.
    for (uint32_t i = 0; i < 60; i++) {
        rig_hear_request(rig, 0, i, "question");
        assert_true(rig_take(rig));
        uint64_t token = rig->token;
        rig_down(rig, 0);
        assert_true(rig_answer(rig, token, "late"));
        come_back(rig);
        rig_unsent(rig, 0);
        if (!rig->is_connected[0])
            come_back(rig);
        rig_sent(rig, 0);
    }
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
    come_back(rig);
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
        come_back(rig);
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
        come_back(rig);
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
        wait_until_open(rig, 0, 101);
        rig_up(rig, 0);
    }
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
        wait_until_open(rig, 0, 10001);
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
    come_back(rig);
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
    come_back(rig);
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
            hear_dialects(rig, "200", "g1");
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

// ---- everything at once
// ---------------------------------------------------------------------------

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
        cmocka_unit_test(request_is_answered_with_what_names_it),
        cmocka_unit_test(foreign_address_is_echoed_as_it_is),
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
        cmocka_unit_test(worker_beats_when_it_has_said_nothing),
        cmocka_unit_test(answer_counts_as_a_beat),
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
        cmocka_unit_test(disconnect_is_answered_by_a_new_socket),
        cmocka_unit_test(records_behind_disconnect_are_dropped),
        cmocka_unit_test(back_off_doubles_up_to_its_limit_with_jitter),
        cmocka_unit_test(session_that_served_resets_the_back_off),
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
