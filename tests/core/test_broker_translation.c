// test_broker_translation.c - any client is served by any worker: the translation
// matrix of docs/protocol/mdp.md (3.3), cell by cell.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- the peers -----------------------------------------------------------------------------

static const struct client {
    const char *name;
    mdp_dialect_t dialect;
    bool has_delimiter;
    bool takes_parts; // PARTIALs are passed on
} clients[] = {
    {"0.1", MDP_01, true, false}, {"0.1 without a delimiter", MDP_01, false, false},
    {"0.2", MDP_02, false, true}, {"0.2 with a delimiter", MDP_02, true, false},
    {"g1", MDP_G1, false, true},  {"g1 with a delimiter", MDP_G1, true, false},
};
enum { CLIENTS = sizeof clients / sizeof *clients };

static const mdp_dialect_t workers[] = {MDP_01, MDP_02, MDP_G1};
enum { WORKERS = 3 };

// ask begins anew with a worker of one dialect, which holds a request of the client's.
static struct sent
ask(struct world *world, const struct client *client, mdp_dialect_t worker, const char *body)
{
    world_configure(world, &world->config);
    world_ready(world, "W", worker, "echo", 1);
    struct mdp_record record = {.dialect = client->dialect,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = 7,
                                .service = VIEW_LITERAL("echo")};
    struct mdp_envelope from = {.routing_id = VIEW_LITERAL("C"),
                                .has_delimiter = client->has_delimiter};
    world_say_behind(world, &from, record, body);
    return *world_last(world, "W", MDP_REQUEST);
}

// check_answer: is the latest FINAL in the client's words?
static void
check_answer(const struct world *world, const struct client *client, const char *body)
{
    const struct sent *sent = world_last(world, "C", MDP_FINAL);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
    assert_int_equal(sent->record.dialect, client->dialect);
    assert_int_equal(sent->record.side, MDP_CLIENT_SIDE);
    assert_int_equal(sent->has_delimiter, client->has_delimiter);
    assert_int_equal(sent->record.id, 7);
    assert_string_equal(sent->service, "echo");
    assert_string_equal(sent->body, body);
}

#define for_each_pair                                                                              \
    for (size_t c = 0; c < CLIENTS; c++)                                                           \
        for (size_t w = 0; w < WORKERS; w++)

// ---- the matrix ----------------------------------------------------------------------------

static void
request_reaches_any_worker_in_its_own_dialect(void **state)
{
    struct world *world = *state;
    for_each_pair
    {
        struct sent request = ask(world, &clients[c], workers[w], "a||b");

        assert_int_equal(request.record.dialect, workers[w]);
        assert_int_equal(request.has_delimiter, workers[w] == MDP_01);
        assert_int_equal(request.frames, 3);
        assert_string_equal(request.body, "a||b");
    }
}

static void
answer_reaches_any_client_in_its_own_dialect(void **state)
{
    struct world *world = *state;
    for_each_pair
    {
        struct sent request = ask(world, &clients[c], workers[w], "x");

        world_answer(world, "W", &request, "a|b");

        check_answer(world, &clients[c], "a|b");
        const struct sent *sent = world_last(world, "C", MDP_FINAL);
        assert_int_equal(sent->record.status, MDP_DONE);
        assert_int_equal(sent->record.parts, 0);
        assert_int_equal(sent->frames, 2);
    }
}

static void
partials_are_passed_on_with_their_number_or_gathered_into_one_answer(void **state)
{
    struct world *world = *state;
    for_each_pair
    {
        if (workers[w] == MDP_01)
            continue; // it has none
        struct sent request = ask(world, &clients[c], workers[w], "x");

        world_partial(world, "W", &request, 0, "a|b");
        world_partial(world, "W", &request, 1, "c");
        world_final(world, "W", &request, MDP_DONE, 2, "d|e");

        const struct sent *final = world_last(world, "C", MDP_FINAL);
        if (!clients[c].takes_parts) {
            assert_int_equal(world_count(world, "C", MDP_PARTIAL), 0);
            check_answer(world, &clients[c], "a|b|c|d|e");
            assert_int_equal(final->record.parts, 0);
            assert_int_equal(final->frames, 5);
            continue;
        }
        check_answer(world, &clients[c], "d|e");
        assert_int_equal(world_count(world, "C", MDP_PARTIAL), 2);
        assert_int_equal(final->record.parts, 2);
        for (size_t seq = 0; seq < 2; seq++) {
            const struct sent *part = world_find(world, "C", MDP_PARTIAL, seq);
            assert_string_equal(part->body, seq == 0 ? "a|b" : "c");
            assert_string_equal(part->service, "echo");
            assert_int_equal(part->record.seq, seq);
            assert_int_equal(part->record.id, 7);
        }
    }
}

static void
client_that_was_gone_for_a_part_gets_nothing_of_that_answer(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CLIENTS; c++) {
        struct sent request = ask(world, &clients[c], MDP_02, "x");
        world_request(world, "C", MDP_G1, "mmi.ping", 8, "is it there?");
        world_unsent(world, world_last(world, "C", MDP_FINAL), true);
        world_partial(world, "W", &request, 0, "one");
        world_request(world, "C", MDP_G1, "mmi.ping", 9, "here again");
        world_clear(world);

        world_partial(world, "W", &request, 1, "two");
        world_answer(world, "W", &request, "three");

        assert_int_equal(world_count(world, "C", MDP_PARTIAL), 0);
        assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    }
}

static void
body_of_no_frames_stays_one_through_the_core(void **state)
{
    struct world *world = *state;
    for_each_pair
    {
        struct sent request = ask(world, &clients[c], workers[w], NULL);
        assert_int_equal(request.frames, 0);

        world_answer(world, "W", &request, NULL);

        check_answer(world, &clients[c], "");
        assert_int_equal(world_last(world, "C", MDP_FINAL)->frames, 0);
    }
}

static void
gathered_parts_of_no_frames_add_none(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CLIENTS; c++) {
        if (clients[c].takes_parts)
            continue;
        struct sent request = ask(world, &clients[c], MDP_G1, "x");
        world_partial(world, "W", &request, 0, NULL);
        world_partial(world, "W", &request, 1, "a|");
        world_partial(world, "W", &request, 2, NULL);

        world_final(world, "W", &request, MDP_DONE, 3, "b");

        check_answer(world, &clients[c], "a||b");
        assert_int_equal(world_last(world, "C", MDP_FINAL)->frames, 3);
    }
}

static void
error_of_a_worker_is_its_status_in_g1_and_silence_before(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CLIENTS; c++) {
        struct sent request = ask(world, &clients[c], MDP_G1, "x");

        world_final(world, "W", &request, 409, 0, "conflict");

        if (clients[c].dialect == MDP_G1) {
            check_answer(world, &clients[c], "conflict");
            assert_int_equal(world_status(world, "C"), 409);
            continue;
        }
        assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
        assert_int_equal(world_stats(world)->answers_silent, 1);
        assert_int_equal(world_stats(world)->dumps[BROKER_DUMP_SILENCE], 1);
        assert_int_equal(world_stats(world)->workers_idle, 1);
    }
}

static void
error_stands_in_place_of_what_was_gathered(void **state)
{
    struct world *world = *state;
    struct sent request = ask(world, &clients[5], MDP_G1, "x");
    world_partial(world, "W", &request, 0, "gathered");

    world_final(world, "W", &request, 500, 1, "failed");

    check_answer(world, &clients[5], "failed");
    assert_int_equal(world_status(world, "C"), 500);
}

static void
error_after_partials_keeps_their_number(void **state)
{
    struct world *world = *state;
    struct sent request = ask(world, &clients[4], MDP_G1, "x");
    world_partial(world, "W", &request, 0, "part");

    world_final(world, "W", &request, 500, 1, "failed");

    assert_int_equal(world_status(world, "C"), 500);
    assert_int_equal(world_last(world, "C", MDP_FINAL)->record.parts, 1);
}

// ---- limits of an answer -----------------------------------------------------------------------

// too_large: the answer is dropped; G1 hears 413, the others nothing.
static void
check_too_large(const struct world *world, const struct client *client)
{
    assert_int_equal(world_status(world, "C"), client->dialect == MDP_G1 ? MDP_TOO_LARGE : 0);
    assert_int_equal(world_stats(world)->answers_too_large, 1);
    assert_int_equal(world_stats(world)->request_bytes, 0);
}

static void
gathered_answer_beyond_the_byte_limit_is_dropped(void **state)
{
    struct world *world = *state;
    char half[501];
    memset(half, 'x', 500);
    half[500] = '\0';
    for (size_t c = 0; c < CLIENTS; c++) {
        if (clients[c].takes_parts)
            continue;
        struct sent request = ask(world, &clients[c], MDP_G1, "x");
        world_partial(world, "W", &request, 0, half);
        world_partial(world, "W", &request, 1, half); // 1000: just within
        assert_int_equal(world_stats(world)->answers_too_large, 0);

        world_partial(world, "W", &request, 2, "y");

        check_too_large(world, &clients[c]);
        assert_int_equal(world_stats(world)->workers_busy, 1); // until its FINAL comes
        world_final(world, "W", &request, MDP_DONE, 3, "z");
        assert_int_equal(world_stats(world)->workers_idle, 1);
        assert_int_equal(world_stats(world)->answers_late, 1);
    }
}

static void
final_counts_for_the_limit_of_a_gathered_answer(void **state)
{
    struct world *world = *state;
    char most[1000];
    memset(most, 'x', 999);
    most[999] = '\0';
    for (size_t c = 0; c < CLIENTS; c++) {
        if (clients[c].takes_parts)
            continue;
        for (int over = 0; over < 2; over++) {
            struct sent request = ask(world, &clients[c], MDP_G1, "x");
            world_partial(world, "W", &request, 0, most);

            world_final(world, "W", &request, MDP_DONE, 1, over ? "yz" : "y");

            if (over)
                check_too_large(world, &clients[c]);
            else
                assert_int_equal(world_last(world, "C", MDP_FINAL)->frames, 2);
            assert_int_equal(world_stats(world)->workers_idle, 1);
        }
    }
}

static void
gathered_answer_beyond_the_frame_limit_is_dropped(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CLIENTS; c++) {
        if (clients[c].takes_parts)
            continue;
        struct sent request = ask(world, &clients[c], MDP_02, "x");
        for (uint32_t seq = 0; seq < 4; seq++)
            world_partial(world, "W", &request, seq, "a|b|c|d"); // 16: just within
        assert_int_equal(world_stats(world)->answers_too_large, 0);

        world_answer(world, "W", &request, "e");

        check_too_large(world, &clients[c]);
        assert_int_equal(world_stats(world)->workers_idle, 1);
    }
}

static void
gathered_parts_count_for_the_limit_over_all_bodies(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.request_bytes_max = 200;
    world_configure(world, &config);
    struct sent request = ask(world, &clients[5], MDP_G1, "x"); // costs 65
    world_partial(world, "W", &request, 0, "y");
    world_partial(world, "W", &request, 1, "y");
    assert_int_equal(world_stats(world)->request_bytes, 195);

    world_partial(world, "W", &request, 2, "y");

    check_too_large(world, &clients[5]);
}

static void
answer_of_a_worker_beyond_the_message_limit_ends_its_request(void **state)
{
    struct world *world = *state;
    for_each_pair
    {
        struct sent request = ask(world, &clients[c], workers[w], "x");
        struct mdp_record record = {.dialect = workers[w],
                                    .side = MDP_WORKER_SIDE,
                                    .command = MDP_FINAL,
                                    .fault = MDP_OVER_LIMIT,
                                    .ticket = request.record.ticket};

        world_say(world, "W", record, NULL);

        check_too_large(world, &clients[c]);
        assert_int_equal(world_stats(world)->workers_idle, 1);
    }
}

static void
partial_beyond_the_message_limit_ends_its_request_and_not_its_slot(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CLIENTS; c++) {
        struct sent request = ask(world, &clients[c], MDP_G1, "x");
        struct mdp_record record = {.dialect = MDP_G1,
                                    .side = MDP_WORKER_SIDE,
                                    .command = MDP_PARTIAL,
                                    .fault = MDP_OVER_LIMIT,
                                    .ticket = request.record.ticket};

        world_say(world, "W", record, NULL);

        check_too_large(world, &clients[c]);
        assert_int_equal(world_stats(world)->workers_busy, 1);
        world_final(world, "W", &request, MDP_DONE, 1, "x");
        assert_int_equal(world_stats(world)->workers_idle, 1);
    }
}

static void
service_may_have_workers_of_all_dialects_at_once(void **state)
{
    struct world *world = *state;
    static const char *const ids[] = {"W0", "W1", "W2"};
    for (size_t w = 0; w < WORKERS; w++)
        world_ready(world, ids[w], workers[w], "echo", 1);

    for (uint64_t id = 0; id < 3; id++)
        world_request(world, "C", MDP_G1, "echo", id, "x");

    for (size_t w = 0; w < WORKERS; w++)
        assert_int_equal(world_count(world, ids[w], MDP_REQUEST), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(request_reaches_any_worker_in_its_own_dialect),
        world_test(answer_reaches_any_client_in_its_own_dialect),
        world_test(partials_are_passed_on_with_their_number_or_gathered_into_one_answer),
        world_test(client_that_was_gone_for_a_part_gets_nothing_of_that_answer),
        world_test(body_of_no_frames_stays_one_through_the_core),
        world_test(gathered_parts_of_no_frames_add_none),
        world_test(error_of_a_worker_is_its_status_in_g1_and_silence_before),
        world_test(error_stands_in_place_of_what_was_gathered),
        world_test(error_after_partials_keeps_their_number),
        world_test(gathered_answer_beyond_the_byte_limit_is_dropped),
        world_test(final_counts_for_the_limit_of_a_gathered_answer),
        world_test(gathered_answer_beyond_the_frame_limit_is_dropped),
        world_test(gathered_parts_count_for_the_limit_over_all_bodies),
        world_test(answer_of_a_worker_beyond_the_message_limit_ends_its_request),
        world_test(partial_beyond_the_message_limit_ends_its_request_and_not_its_slot),
        world_test(service_may_have_workers_of_all_dialects_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
