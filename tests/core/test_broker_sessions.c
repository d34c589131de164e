// test_broker_sessions.c - the table of worker sessions, cell by cell.
//
// Each row of docs/protocol/mdp.md (3.5) is said by a stranger, by an idle worker and
// by one that holds a request, in every dialect that can say it.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum session { STRANGER, IDLE, HOLDING, SESSIONS };

// What must follow: of a DISCONNECT the reason, or one of these.
enum {
    REGISTERED = -1, // it was not, and is now
    KEPT = -2,       // nothing is sent; it is what it was
    LEFT = -3,       // nothing is sent; it is forgotten
    NOTHING = -4     // nothing at all
};

enum { IN_01 = 1, IN_02 = 2, IN_G1 = 4, IN_ALL = 7 };

static const struct row {
    const char *name;
    unsigned dialects;
    struct mdp_record record;
    int expected[SESSIONS];
} rows[] = {
    {"READY", IN_ALL, {.command = MDP_READY, .service = {(const uint8_t *)"echo", 4}}, {-1, 1, 1}},
    {"READY, invalid", IN_ALL, {.command = MDP_READY, .fault = MDP_BAD_NAME}, {3, 3, 3}},
    {"READY, reserved",
     IN_ALL,
     {.command = MDP_READY, .service = {(const uint8_t *)"mmi.x", 5}},
     {3, 3, 3}},
    {"FINAL, ticket not live",
     IN_ALL,
     {.command = MDP_FINAL, .status = 200, .ticket = {{1, 2, 3}}},
     {2, KEPT, KEPT}},
    {"FINAL, all zero", IN_G1, {.command = MDP_FINAL, .status = 200}, {2, KEPT, KEPT}},
    {"FINAL, no ticket",
     IN_01 | IN_02,
     {.command = MDP_FINAL, .fault = MDP_BAD_ADDRESS},
     {2, KEPT, KEPT}},
    {"FINAL, no address",
     IN_01 | IN_02,
     {.command = MDP_FINAL, .fault = MDP_NO_ADDRESS},
     {2, 1, 1}},
    {"PARTIAL, ticket not live",
     IN_02 | IN_G1,
     {.command = MDP_PARTIAL, .ticket = {{1, 2, 3}}},
     {2, KEPT, KEPT}},
    {"PARTIAL, no ticket",
     IN_02,
     {.command = MDP_PARTIAL, .fault = MDP_BAD_ADDRESS},
     {2, KEPT, KEPT}},
    {"HEARTBEAT", IN_ALL, {.command = MDP_HEARTBEAT, .interval_ms = 1000}, {2, KEPT, KEPT}},
    {"DISCONNECT", IN_ALL, {.command = MDP_DISCONNECT}, {NOTHING, LEFT, LEFT}},
    {"DRAIN", IN_G1, {.command = MDP_DRAIN}, {2, KEPT, KEPT}},
    {"unknown command", IN_ALL, {.fault = MDP_BAD_COMMAND}, {NOTHING, KEPT, KEPT}},
    {"bad header", IN_ALL, {.fault = MDP_BAD_HEADER}, {NOTHING, KEPT, KEPT}},
    {"unknown version", IN_G1, {.fault = MDP_BAD_VERSION}, {NOTHING, KEPT, KEPT}},
    {"no record", IN_G1, {.fault = MDP_NO_RECORD}, {NOTHING, KEPT, KEPT}},
    {"broken chain", IN_G1, {.fault = MDP_BROKEN_CHAIN}, {1, 1, 1}},
    {"too short", IN_G1, {.command = MDP_FINAL, .fault = MDP_TOO_SHORT}, {1, 1, 1}},
    {"bad contents", IN_G1, {.command = MDP_FINAL, .fault = MDP_BAD_CONTENTS}, {1, 1, 1}},
};

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};

static const struct sent *
enter(struct world *world, enum session session, mdp_dialect_t dialect)
{
    if (session == STRANGER)
        return NULL;
    world_ready(world, "W", dialect, "echo", 4);
    if (session == IDLE)
        return NULL;
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    return world_last(world, "W", MDP_REQUEST);
}

static bool
is_as_expected(const struct world *world, enum session session, mdp_dialect_t dialect, int expected)
{
    const struct broker_stats *stats = world_stats(world);
    size_t heartbeats = world_count(world, "W", MDP_HEARTBEAT);
    size_t disconnects = world_count(world, "W", MDP_DISCONNECT);
    uint64_t out = session == HOLDING ? 1 : 0;
    switch (expected) {
    case REGISTERED:
        return stats->workers == 1 && disconnects == 0 && heartbeats == (dialect == MDP_G1 ? 1 : 0);
    case KEPT:
        return world->sent_count == 0 && stats->workers == 1 && stats->requests_out == out;
    case LEFT:
        return world->sent_count == 0 && stats->workers == 0 && stats->requests_queued == out;
    case NOTHING:
        return world->sent_count == 0 && stats->workers == 0;
    default:
        return world->sent_count == 1 && disconnects == 1 && stats->workers == 0 &&
               world->sent[0].record.reason == (uint32_t)expected &&
               world->sent[0].record.dialect == dialect && stats->requests_queued == out &&
               stats->requests_out == 0;
    }
}

static void
each_cell_of_the_session_table_holds(void **state)
{
    struct world *world = *state;
    size_t failed = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int session = STRANGER; session < SESSIONS; session++)
            for (int d = 0; d < 3; d++) {
                if (!(rows[i].dialects & (1u << d)))
                    continue;
                world_configure(world, &world->config);
                enter(world, (enum session)session, dialects[d]);
                world_clear(world);
                struct mdp_record record = rows[i].record;
                record.dialect = dialects[d];
                record.side = MDP_WORKER_SIDE;

                world_say(world, "W", record, NULL);

                if (!is_as_expected(world, (enum session)session, dialects[d],
                                    rows[i].expected[session])) {
                    print_error("%s, session %d, dialect %d\n", rows[i].name, session, d);
                    failed++;
                }
            }
    assert_int_equal(failed, 0);
}

static void
other_dialect_of_a_registered_worker_ends_its_session(void **state)
{
    struct world *world = *state;
    for (int first = 0; first < 3; first++)
        for (int second = 0; second < 3; second++)
            for (int session = IDLE; session < SESSIONS; session++) {
                if (first == second)
                    continue;
                world_configure(world, &world->config);
                enter(world, (enum session)session, dialects[first]);
                world_clear(world);

                world_bare(world, "W", dialects[second], MDP_HEARTBEAT);

                // In the words of its READY, which are the ones it understands.
                assert_true(is_as_expected(world, (enum session)session, dialects[first], 1));
            }
}

// ---- answers -------------------------------------------------------------------------------

static void
own_answer_is_passed_on_and_frees_the_slot(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++) {
        world_configure(world, &world->config);
        const struct sent *request = enter(world, HOLDING, dialects[d]);

        world_answer(world, "W", request, "y");

        assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "y");
        assert_int_equal(world_stats(world)->workers_idle, 1);
        assert_int_equal(world_stats(world)->requests_out, 0);
    }
}

static void
second_answer_to_one_ticket_is_late(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++) {
        world_configure(world, &world->config);
        const struct sent *request = enter(world, HOLDING, dialects[d]);
        world_answer(world, "W", request, "y");

        world_answer(world, "W", request, "z");

        assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
        assert_int_equal(world_stats(world)->answers_late, 1);
        assert_int_equal(world_stats(world)->workers, 1);
        assert_int_equal(world_count(world, "W", MDP_DISCONNECT), 0);
    }
}

// An answer over another connection than its attempt was given on: whether it is taken
// while the attempt's own worker is still thought to be there, and once it is lost.
static void
late_answer_is_taken_from_0_1_and_g1_and_not_from_0_2(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++)
        for (int is_lost = 0; is_lost < 2; is_lost++)
            for (int is_registered = 0; is_registered < 2; is_registered++) {
                world_configure(world, &world->config);
                struct sent request = *enter(world, HOLDING, dialects[d]);
                if (is_lost)
                    world_cut(world, "W");
                if (is_registered)
                    world_ready(world, "V", dialects[d], "other", 1);

                world_answer(world, "V", &request, "y");

                bool is_taken = dialects[d] != MDP_02;
                assert_int_equal(world_count(world, "C", MDP_FINAL), is_taken ? 1 : 0);
                assert_int_equal(world_stats(world)->answers_late_taken, is_taken ? 1 : 0);
                assert_int_equal(world_stats(world)->answers_late, is_taken ? 0 : 1);
                assert_int_equal(world_count(world, "V", MDP_DISCONNECT), is_registered ? 0 : 1);
            }
}

static void
late_answer_in_another_dialect_than_its_attempt_is_dropped(void **state)
{
    struct world *world = *state;
    struct sent request = *enter(world, HOLDING, MDP_G1);
    world_cut(world, "W");
    request.record.dialect = MDP_01;

    world_answer(world, "V", &request, "y");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    assert_int_equal(world_stats(world)->answers_late, 1);
}

static void
late_g1_answer_with_parts_missing_is_dropped(void **state)
{
    struct world *world = *state;
    struct sent request = *enter(world, HOLDING, MDP_G1);
    world_cut(world, "W");

    world_final(world, "V", &request, MDP_DONE, 1, "y");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    assert_int_equal(world_stats(world)->answers_late, 1);
}

static void
first_answer_wins_and_the_worker_that_still_runs_it_keeps_its_slot(void **state)
{
    struct world *world = *state;
    struct sent first = *enter(world, HOLDING, MDP_G1);
    world_ready(world, "V", MDP_G1, "echo", 1);
    world_cut(world, "W");
    struct sent second = *world_last(world, "V", MDP_REQUEST);

    world_answer(world, "X", &first, "from the first");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "from the first");
    assert_int_equal(world_stats(world)->workers_busy, 1);
    world_answer(world, "V", &second, "from the second");
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
    assert_int_equal(world_stats(world)->workers_idle, 1);
}

static void
partial_counts_only_over_the_connection_of_its_attempt(void **state)
{
    struct world *world = *state;
    struct sent request = *enter(world, HOLDING, MDP_G1);
    world_ready(world, "V", MDP_G1, "echo", 1);

    world_partial(world, "V", &request, 0, "y");

    assert_int_equal(world_count(world, "C", MDP_PARTIAL), 0);
    assert_int_equal(world_stats(world)->answers_late, 1);
    assert_int_equal(world_stats(world)->workers, 2);
}

static void
partial_out_of_order_is_dropped_and_a_final_that_misses_one_loses_the_attempt(void **state)
{
    struct world *world = *state;
    struct sent request = *enter(world, HOLDING, MDP_G1);

    world_partial(world, "W", &request, 1, "y");
    assert_int_equal(world_count(world, "C", MDP_PARTIAL), 0);
    world_final(world, "W", &request, MDP_DONE, 1, "z");

    assert_int_equal(world_stats(world)->answers_bad, 2);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    assert_int_equal(world_stats(world)->requests_queued, 1);
    assert_int_equal(world_stats(world)->workers_idle, 1);
}

static void
status_that_is_the_brokers_own_reaches_the_client_as_500(void **state)
{
    struct world *world = *state;
    static const struct {
        uint16_t said, heard;
    } table[] = {{200, 200}, {400, 400}, {403, 403}, {404, 500}, {408, 500}, {409, 409},
                 {413, 413}, {429, 429}, {499, 500}, {500, 500}, {502, 500}, {503, 500},
                 {509, 500}, {510, 510}, {599, 599}, {600, 500}, {0, 500},   {65535, 500}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        world_configure(world, &world->config);
        const struct sent *request = enter(world, HOLDING, MDP_G1);

        world_final(world, "W", request, table[i].said, 0, "text");

        assert_int_equal(world_status(world, "C"), table[i].heard);
        assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "text");
    }
}

// ---- READY ---------------------------------------------------------------------------------

static void
credit_of_0_is_1_and_more_than_the_limit_is_the_limit(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_G1, "one", 0);
    world_ready(world, "W2", MDP_G1, "many", 1000000);
    for (uint64_t id = 0; id < 3; id++)
        world_request(world, "C1", MDP_G1, "one", id, "x");
    for (uint64_t id = 0; id < 40; id++)
        world_request(world, "C2", MDP_G1, "many", id, "x");

    assert_int_equal(world_count(world, "W1", MDP_REQUEST), 1);
    assert_int_equal(world_count(world, "W2", MDP_REQUEST), world->config.credit_max);
}

static void
old_workers_hold_one_request_whatever_credit_they_say(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_01, "echo", 9);
    world_ready(world, "W2", MDP_02, "echo", 9);

    for (uint64_t id = 0; id < 5; id++)
        world_request(world, "C", MDP_G1, "echo", id, "x");

    assert_int_equal(world_count(world, "W1", MDP_REQUEST), 1);
    assert_int_equal(world_count(world, "W2", MDP_REQUEST), 1);
}

static void
accepted_ready_is_answered_by_heartbeat_in_g1_before_any_request(void **state)
{
    struct world *world = *state;
    world_request(world, "C", MDP_G1, "echo", 1, "x");

    world_ready(world, "W", MDP_G1, "echo", 1);

    assert_int_equal(world->sent[0].record.command, MDP_HEARTBEAT);
    assert_int_equal(world->sent[0].record.interval_ms, 1000);
    assert_int_equal(world->sent[1].record.command, MDP_REQUEST);
}

static void
worker_beyond_a_limit_is_refused_and_counted(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.workers_max = 3;
    config.service_workers_max = 2;
    config.services_max = 2;
    world_configure(world, &config);
    world_ready(world, "W1", MDP_G1, "a", 1);
    world_ready(world, "W2", MDP_G1, "a", 1);

    world_ready(world, "W3", MDP_G1, "a", 1); // of this service
    world_ready(world, "W4", MDP_G1, "b", 1);
    world_ready(world, "W5", MDP_G1, "c", 1); // services
    world_ready(world, "W6", MDP_G1, "b", 1); // in all

    assert_int_equal(world_stats(world)->workers_refused, 3);
    assert_int_equal(world_stats(world)->workers, 3);
    assert_int_equal(world_last(world, "W3", MDP_DISCONNECT)->record.reason, MDP_REASON_REFUSED);
    assert_int_equal(world_last(world, "W5", MDP_DISCONNECT)->record.reason, MDP_REASON_REFUSED);
    assert_int_equal(world_last(world, "W6", MDP_DISCONNECT)->record.reason, MDP_REASON_REFUSED);
    assert_int_equal(world_stats(world)->services, 2);
}

static void
worker_that_drains_gets_nothing_more_and_may_finish(void **state)
{
    struct world *world = *state;
    const struct sent *request = enter(world, HOLDING, MDP_G1);
    world_bare(world, "W", MDP_G1, MDP_DRAIN);

    world_request(world, "C", MDP_G1, "echo", 2, "y");
    world_answer(world, "W", request, "z");

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "z");
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

static void
worker_that_sends_a_delimiter_gets_one(void **state)
{
    struct world *world = *state;
    struct mdp_envelope from = {.routing_id = VIEW_LITERAL("W"), .has_delimiter = true};
    struct mdp_record ready = {.dialect = MDP_02,
                               .side = MDP_WORKER_SIDE,
                               .command = MDP_READY,
                               .service = VIEW_LITERAL("echo")};
    world_say_behind(world, &from, ready, NULL);

    world_request(world, "C", MDP_02, "echo", 0, "x");

    assert_true(world_last(world, "W", MDP_REQUEST)->has_delimiter);
}

// ---- rates ---------------------------------------------------------------------------------

static void
disconnects_to_one_peer_are_one_a_second(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 5; i++)
        world_bare(world, "W", MDP_01, MDP_HEARTBEAT);
    world_bare(world, "V", MDP_01, MDP_HEARTBEAT);
    assert_int_equal(world_count(world, "W", MDP_DISCONNECT), 1);
    assert_int_equal(world_count(world, "V", MDP_DISCONNECT), 1);
    assert_int_equal(world_stats(world)->disconnects_held, 4);

    world_pass(world, 1000);
    world_bare(world, "W", MDP_01, MDP_HEARTBEAT);

    assert_int_equal(world_count(world, "W", MDP_DISCONNECT), 2);
    assert_int_equal(world_stats(world)->disconnects_sent, 3);
}

static void
more_than_20_invalid_messages_in_10_s_end_a_session(void **state)
{
    struct world *world = *state;
    struct mdp_record invalid = {
        .dialect = MDP_01, .side = MDP_WORKER_SIDE, .fault = MDP_BAD_COMMAND};
    enter(world, HOLDING, MDP_01);
    for (int i = 0; i < 20; i++)
        world_say(world, "W", invalid, NULL);
    assert_int_equal(world_stats(world)->workers, 1);

    world_say(world, "W", invalid, NULL);

    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_last(world, "W", MDP_DISCONNECT)->record.reason, MDP_REASON_PROTOCOL);
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

static void
invalid_messages_far_between_are_forgiven(void **state)
{
    struct world *world = *state;
    struct mdp_record invalid = {
        .dialect = MDP_01, .side = MDP_WORKER_SIDE, .fault = MDP_BAD_COMMAND};
    enter(world, IDLE, MDP_01);

    for (int i = 0; i < 60; i++) {
        world_say(world, "W", invalid, NULL);
        world_bare(world, "W", MDP_01, MDP_HEARTBEAT);
        world_pass(world, 600);
    }

    assert_int_equal(world_stats(world)->workers, 1);
}

// The routing id is the worker's, whatever stands between it and what is no header.
static void
junk_behind_a_stack_counts_as_its_senders(void **state)
{
    struct world *world = *state;
    const struct view junk[] = {VIEW_LITERAL("W"), VIEW_LITERAL("a"), VIEW_LITERAL(""),
                                VIEW_LITERAL("no header")};
    enter(world, IDLE, MDP_01);

    for (int i = 0; i < 21; i++)
        world_message(world, junk, 4);

    assert_int_equal(world_stats(world)->faults[MDP_BAD_HEADER], 21);
    assert_int_equal(world_stats(world)->workers, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(each_cell_of_the_session_table_holds),
        world_test(other_dialect_of_a_registered_worker_ends_its_session),
        world_test(own_answer_is_passed_on_and_frees_the_slot),
        world_test(second_answer_to_one_ticket_is_late),
        world_test(late_answer_is_taken_from_0_1_and_g1_and_not_from_0_2),
        world_test(late_answer_in_another_dialect_than_its_attempt_is_dropped),
        world_test(late_g1_answer_with_parts_missing_is_dropped),
        world_test(first_answer_wins_and_the_worker_that_still_runs_it_keeps_its_slot),
        world_test(partial_counts_only_over_the_connection_of_its_attempt),
        world_test(partial_out_of_order_is_dropped_and_a_final_that_misses_one_loses_the_attempt),
        world_test(status_that_is_the_brokers_own_reaches_the_client_as_500),
        world_test(credit_of_0_is_1_and_more_than_the_limit_is_the_limit),
        world_test(old_workers_hold_one_request_whatever_credit_they_say),
        world_test(accepted_ready_is_answered_by_heartbeat_in_g1_before_any_request),
        world_test(worker_beyond_a_limit_is_refused_and_counted),
        world_test(worker_that_drains_gets_nothing_more_and_may_finish),
        world_test(worker_that_sends_a_delimiter_gets_one),
        world_test(disconnects_to_one_peer_are_one_a_second),
        world_test(more_than_20_invalid_messages_in_10_s_end_a_session),
        world_test(invalid_messages_far_between_are_forgiven),
        world_test(junk_behind_a_stack_counts_as_its_senders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
