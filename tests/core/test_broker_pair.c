// test_broker_pair.c - a broker that is half of a pair: it serves, it finishes, it holds.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PEER     "tcp://127.0.0.1:6001"
#define EPOCH_17 "epoch: 00112233AABBCCDD:17\n"

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};

static int
set_up(void **state)
{
    if (world_set_up(state) != 0)
        return -1;
    struct world *world = *state;
    struct broker_config config = world_config();
    config.is_paired = true;
    world_configure(world, &config);
    return 0;
}

#define pair_test(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

static void
ask(struct world *world, uint64_t id)
{
    world_request(world, "C", MDP_G1, "echo", id, "x");
}

// begin has a worker W, with a credit, and a reign.
static void
begin(struct world *world, uint32_t credit)
{
    world_ready(world, "W", MDP_G1, "echo", credit);
    world_hold(world, PEER);
    world_serve(world, 17);
    world_clear(world);
}

static struct sent
ask_and_give(struct world *world, uint64_t id)
{
    ask(world, id);
    struct sent given = *world_last(world, "W", MDP_REQUEST);
    return given;
}

// ---- while it does not serve -------------------------------------------------------------

static void
half_that_was_never_told_to_serve_refuses_requests(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);

    ask(world, 1);

    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world_last(world, "C", MDP_FINAL)->frames, 0);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 0);
    assert_int_equal(world_stats(world)->requests_passive, 1);
    assert_int_equal(world_stats(world)->requests_in, 1);
}

static void
text_of_503_is_what_it_was_told_last(void **state)
{
    struct world *world = *state;
    world_hold(world, PEER);
    ask(world, 1);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, PEER);

    world_hold(world, "the record of the voter is bad");
    ask(world, 2);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "the record of the voter is bad");

    world_hold(world, "");
    ask(world, 3);
    assert_int_equal(world_last(world, "C", MDP_FINAL)->frames, 0);
}

static void
longer_text_of_503_is_cut(void **state)
{
    struct world *world = *state;
    char text[BROKER_PASSIVE_TEXT_BYTES + 9];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    world_hold(world, text);
    ask(world, 1);

    assert_int_equal(strlen(world_last(world, "C", MDP_FINAL)->body), BROKER_PASSIVE_TEXT_BYTES);
}

static void
old_dialects_hear_nothing_of_a_half_that_does_not_serve(void **state)
{
    struct world *world = *state;
    world_hold(world, PEER);

    world_request(world, "C1", MDP_01, "echo", 0, "x");
    world_request(world, "C2", MDP_02, "echo", 0, "x");

    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world_stats(world)->requests_passive, 2);
    assert_int_equal(world_stats(world)->answers_silent, 2);
}

static void
malformed_requests_are_400_in_every_state(void **state)
{
    struct world *world = *state;
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .fault = MDP_BAD_NAME,
                                .id = 1};
    world_say(world, "C", record, NULL);

    assert_int_equal(world_status(world, "C"), MDP_MALFORMED);
    assert_false(world_last(world, "C", MDP_FINAL)->is_of_reign);
    assert_int_equal(world_stats(world)->requests_passive, 0);
}

static void
mmi_is_answered_in_every_state(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_01, "echo", 1);
    for (int d = 0; d < 3; d++) {
        world_request(world, "C", dialects[d], "mmi.service", 1, "echo");
        const struct sent *sent = world_last(world, "C", MDP_FINAL);
        assert_string_equal(sent->body, "200");
        assert_false(sent->is_of_reign);
        assert_string_equal(sent->fields, "");
    }
}

static void
workers_register_beat_and_stay_without_a_request(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++) {
        char id[] = {'W', (char)('0' + d), '\0'};
        world_ready(world, id, dialects[d], "echo", 1);
        world_clear(world);
        for (int i = 0; i < 10; i++) {
            world_pass(world, 1000);
            world_bare(world, id, dialects[d], MDP_HEARTBEAT);
        }
        assert_true(world_count(world, id, MDP_HEARTBEAT) >= 9);
        assert_int_equal(world_count(world, id, MDP_DISCONNECT), 0);
        world_bare(world, id, dialects[d], MDP_DISCONNECT);
    }
}

static void
clients_heartbeat_is_answered_by_a_half_that_does_not_serve(void **state)
{
    struct world *world = *state;
    struct mdp_record record = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT, .interval_ms = 1000};
    world_say(world, "C", record, NULL);

    assert_int_equal(world_count(world, "C", MDP_HEARTBEAT), 1);
}

// ---- it begins to serve -------------------------------------------------------------------

static void
workers_that_are_there_are_given_requests_at_once(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_pass(world, 900);
    world_serve(world, 0);

    struct sent given = ask_and_give(world, 1);
    world_answer(world, "W", &given, "done");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "done");
    assert_int_equal(world_stats(world)->reigns, 1);
}

static void
records_of_a_reign_carry_its_epoch(void **state)
{
    struct world *world = *state;
    begin(world, 1);

    struct sent given = ask_and_give(world, 1);
    assert_string_equal(given.fields, EPOCH_17);
    world_answer(world, "W", &given, "done");
    assert_string_equal(world_last(world, "C", MDP_FINAL)->fields, EPOCH_17);

    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .flags = MDP_FLAG_NO_QUEUE,
                                .service = VIEW_LITERAL("nobody's"),
                                .id = 2};
    world_say(world, "C", record, NULL);
    assert_int_equal(world_status(world, "C"), MDP_NO_WORKER);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->fields, EPOCH_17);
}

static void
partials_carry_no_epoch(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);

    world_partial(world, "W", &given, 0, "part");

    assert_string_equal(world_last(world, "C", MDP_PARTIAL)->fields, "");
    assert_true(world_last(world, "C", MDP_PARTIAL)->is_of_reign);
}

static void
classic_half_has_no_epoch(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_serve(world, 0);

    struct sent given = ask_and_give(world, 1);
    world_answer(world, "W", &given, "done");

    assert_string_equal(given.fields, "");
    assert_string_equal(world_last(world, "C", MDP_FINAL)->fields, "");
}

static void
next_reign_carries_the_next_epoch(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    world_hold(world, PEER);

    world_serve(world, 4611686018427387904);

    assert_string_equal(ask_and_give(world, 1).fields,
                        "epoch: 00112233AABBCCDD:4611686018427387904\n");
}

static void
what_depends_on_the_reign_says_so(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    assert_true(given.is_of_reign);
    world_answer(world, "W", &given, "done");
    assert_true(world_last(world, "C", MDP_FINAL)->is_of_reign);
    world_pass(world, 1000);
    assert_false(world_last(world, "W", MDP_HEARTBEAT)->is_of_reign);
    world_hold(world, PEER);

    ask(world, 2);

    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_false(world_last(world, "C", MDP_FINAL)->is_of_reign);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->fields, "");
}

// refuse_as_stale has W refuse what it was given.
static void
refuse_as_stale(struct world *world)
{
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_DISCONNECT,
                                .reason = MDP_REASON_FENCED};
    world_say(world, "W", record, NULL);
}

static void
worker_that_knows_a_later_epoch_is_told_of(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    (void)ask_and_give(world, 1);

    refuse_as_stale(world);

    assert_int_equal(world->fenced, 1);
    assert_int_equal(world_stats(world)->reigns_fenced, 1);
    assert_int_equal(world_stats(world)->workers, 0);
    assert_int_equal(world_stats(world)->requests_queued, 1);
}

static void
half_without_an_epoch_is_not_fenced(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_serve(world, 0);
    (void)ask_and_give(world, 1);

    refuse_as_stale(world);

    assert_int_equal(world->fenced, 0);
}

// ---- hard ----------------------------------------------------------------------------------

static void
what_waits_and_what_is_out_is_503_after_a_hard_end(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    ask(world, 1); // out
    ask(world, 2); // waits
    world_clear(world);

    world_hold(world, PEER);

    assert_int_equal(world_count(world, "C", MDP_FINAL), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct sent *sent = world_find(world, "C", MDP_FINAL, i);
        assert_int_equal(sent->record.status, MDP_PASSIVE);
        assert_string_equal(sent->body, PEER);
        assert_string_equal(sent->fields, EPOCH_17); // so that who knows better drops it
        assert_false(sent->is_of_reign);
    }
    assert_int_equal(world->quiet, 2); // of the first hold, before it ever served, too
    assert_int_equal(world_stats(world)->requests_dropped, 2);
    assert_int_equal(world_stats(world)->requests_queued, 0);
}

static void
old_dialects_hear_nothing_of_a_hard_end(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    world_request(world, "C1", MDP_01, "echo", 0, "x"); // out
    world_request(world, "C2", MDP_02, "echo", 0, "x"); // waits
    world_clear(world);

    world_hold(world, PEER);

    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world_stats(world)->requests_dropped, 2);
}

static void
answer_after_a_hard_end_frees_the_slot_and_goes_nowhere(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_hold(world, PEER);
    assert_int_equal(world_stats(world)->requests_out, 1);
    world_clear(world);

    world_answer(world, "W", &given, "done");

    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world_stats(world)->requests_out, 0);
    assert_int_equal(world_stats(world)->answers_late, 1);
    assert_int_equal(world_stats(world)->workers, 1);
}

static void
partial_after_a_hard_end_goes_nowhere(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_hold(world, PEER);
    world_clear(world);

    world_partial(world, "W", &given, 0, "part");

    assert_int_equal(world->sent_count, 0);
}

static void
worker_that_holds_a_request_of_before_is_given_none_until_it_has_answered(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_hold(world, PEER);
    world_serve(world, 18);
    world_clear(world);
    ask(world, 2);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 0);

    world_answer(world, "W", &given, "late");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
}

static void
request_that_may_not_run_again_is_502_after_a_hard_end(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    const struct broker_service_config never = {.name = VIEW_LITERAL("once"), .attempts = 1};
    config.is_paired = true;
    config.services = &never;
    config.service_count = 1;
    world_configure(world, &config);
    world_serve(world, 17);
    world_ready(world, "W", MDP_G1, "once", 1);
    world_request(world, "C", MDP_G1, "once", 1, "out");
    world_request(world, "C", MDP_G1, "once", 2, "waits");

    world_hold(world, PEER);

    const struct sent *out = world_find(world, "C", MDP_FINAL, 0);
    assert_int_equal(out->record.id, 1);
    assert_int_equal(out->record.status, MDP_WORKER_LOST);
    assert_false(out->is_of_reign); // or the gate would keep it back
    assert_int_equal(world_find(world, "C", MDP_FINAL, 1)->record.status, MDP_PASSIVE);
    assert_int_equal(world_stats(world)->requests_given_up, 1);
}

static void
request_of_which_a_part_went_out_is_502_after_a_hard_end(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_partial(world, "W", &given, 0, "part");

    world_hold(world, PEER);

    assert_int_equal(world_status(world, "C"), MDP_WORKER_LOST);
}

static void
session_of_a_worker_goes_on_across_changes(void **state)
{
    struct world *world = *state;
    for (int d = 0; d < 3; d++) {
        char id[] = {'W', (char)('0' + d), '\0'};
        world_ready(world, id, dialects[d], "echo", 1);
    }
    for (uint64_t epoch = 1; epoch < 4; epoch++) {
        world_serve(world, epoch);
        world_finish(world, PEER);
        world_hold(world, PEER);
    }
    for (int d = 0; d < 3; d++) {
        char id[] = {'W', (char)('0' + d), '\0'};
        assert_int_equal(world_count(world, id, MDP_DISCONNECT), 0);
        assert_int_equal(world_count(world, id, MDP_DRAIN), 0);
    }
    assert_int_equal(world_stats(world)->workers, 3);
}

static void
worker_that_is_lost_after_a_hard_end_is_no_second_answer(void **state)
{
    struct world *world = *state;
    begin(world, 2);
    ask(world, 1);
    ask(world, 2);
    world_hold(world, PEER);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 2);

    world_cut(world, "W");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 2);
    assert_int_equal(world_stats(world)->workers, 0);
}

// many has more requests open than one step can drop.
static void
many(struct world *world)
{
    begin(world, 16);
    for (uint64_t id = 1; id <= 40; id++)
        ask(world, id);
    assert_int_equal(world_stats(world)->requests_out, 16);
    assert_int_equal(world_stats(world)->requests_queued, 24);
    world_clear(world);
}

static void
end_of_a_reign_with_much_open_takes_some_steps_and_passes_nothing_on(void **state)
{
    struct world *world = *state;
    many(world);
    world->is_manual = true;
    world->quiet = 0;
    world_hold(world, PEER);
    assert_int_equal(world->quiet, 0);
    assert_true(world_count(world, "C", MDP_FINAL) < 40);
    assert_true(broker_core_deadline(world->core) == 0);

    world_tick(world);

    assert_int_equal(world->quiet, 1);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 40);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(world_find(world, "C", MDP_FINAL, i)->record.status, MDP_PASSIVE);
}

enum { OUT = 32 };

// have_out has W hold so many requests that one step cannot drop them.
static void
have_out(struct world *world, struct sent given[OUT])
{
    begin(world, OUT);
    for (uint64_t id = 1; id <= OUT; id++)
        given[id - 1] = ask_and_give(world, id);
}

static void
answer_to_what_is_not_dropped_yet_goes_nowhere(void **state)
{
    struct world *world = *state;
    struct sent given[OUT];
    have_out(world, given);
    world->is_manual = true;
    world_hold(world, PEER);
    assert_true(world_count(world, "C", MDP_FINAL) < OUT - 2);

    world_answer(world, "W", &given[OUT - 1], "done");
    world_partial(world, "W", &given[OUT - 2], 0, "part");
    world_tick(world);

    assert_int_equal(world_count(world, "C", MDP_PARTIAL), 0);
    assert_int_equal(world_count(world, "C", MDP_FINAL), OUT);
    for (size_t i = 0; i < OUT; i++)
        assert_int_equal(world_find(world, "C", MDP_FINAL, i)->record.status, MDP_PASSIVE);
}

static void
worker_that_comes_before_all_is_dropped_is_given_nothing(void **state)
{
    struct world *world = *state;
    world_serve(world, 17);
    for (uint64_t id = 1; id <= OUT / 2; id++) {
        world_request(world, "C", MDP_G1, "echo", id, "x");
        world_request(world, "D", MDP_G1, "echo", id, "x");
    }
    assert_int_equal(world_stats(world)->requests_queued, OUT);
    world->is_manual = true;
    world_hold(world, PEER);
    assert_true(world_stats(world)->requests_queued > 0);

    world_ready(world, "W", MDP_G1, "echo", OUT);
    world_tick(world);

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 0);
    assert_int_equal(world_stats(world)->requests_dropped, OUT);
}

static void
late_answer_of_a_lost_worker_goes_nowhere_after_a_hard_end(void **state)
{
    struct world *world = *state;
    struct sent given[OUT];
    have_out(world, given);
    world_cut(world, "W"); // the requests wait, and their tickets are good
    world->is_manual = true;
    world_hold(world, PEER);
    size_t dropped = world_count(world, "C", MDP_FINAL);
    assert_true(dropped < OUT);

    world_answer(world, "W", &given[OUT - 1], "late");

    assert_true(world_count(world, "C", MDP_FINAL) > dropped);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world_stats(world)->answers_late_taken, 0);
    world_tick(world);
    assert_int_equal(world_count(world, "C", MDP_FINAL), OUT);
}

static void
repeat_of_a_request_that_is_dropped_is_answered(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    ask(world, 1);
    world_hold(world, PEER);
    world_clear(world);

    ask(world, 1);

    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world_stats(world)->requests_duplicate, 0);
}

// ---- soft ----------------------------------------------------------------------------------

static void
what_waits_is_503_and_what_is_out_is_answered_after_a_soft_end(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    ask(world, 2);
    world->quiet = 0;
    world_clear(world);

    world_finish(world, PEER);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 1);
    assert_int_equal(world_last(world, "C", MDP_FINAL)->record.id, 2);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world->quiet, 0);

    world_answer(world, "W", &given, "done");
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "done");
    assert_string_equal(world_last(world, "C", MDP_FINAL)->fields, EPOCH_17);
    assert_true(world_last(world, "C", MDP_FINAL)->is_of_reign);
    assert_int_equal(world->quiet, 1);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 0);
}

static void
soft_end_with_nothing_open_is_quiet_at_once(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    world->quiet = 0;

    world_finish(world, PEER);

    assert_int_equal(world->quiet, 1);
}

static void
parts_are_passed_on_in_a_soft_end(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_finish(world, PEER);

    world_partial(world, "W", &given, 0, "part");
    world_final(world, "W", &given, 200, 1, "rest");

    assert_string_equal(world_last(world, "C", MDP_PARTIAL)->body, "part");
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "rest");
}

static void
new_requests_are_503_in_a_soft_end(void **state)
{
    struct world *world = *state;
    begin(world, 2);
    (void)ask_and_give(world, 1);
    world_finish(world, PEER);
    world_clear(world);

    ask(world, 2);

    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, PEER);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 0);
    assert_int_equal(world_stats(world)->requests_passive, 1);
}

static void
request_whose_worker_is_lost_in_a_soft_end_is_503(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    world_ready(world, "V", MDP_G1, "echo", 1);
    (void)ask_and_give(world, 1);
    world_finish(world, PEER);
    world->quiet = 0;
    world_clear(world);

    struct mdp_record record = {
        .dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = MDP_DISCONNECT};
    world_say(world, "W", record, NULL);

    assert_int_equal(world_count(world, "V", MDP_REQUEST), 0);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world->quiet, 1);
}

static void
request_that_no_socket_took_in_a_soft_end_is_503(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_finish(world, PEER);
    world->quiet = 0;
    world_clear(world);

    world_unsent(world, &given, false);
    assert_int_equal(world->sent_count, 0); // until all of a pack is back
    assert_true(broker_core_deadline(world->core) <= world->now_ns);
    world_tick(world);

    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world->quiet, 1);
}

static void
soft_end_takes_no_longer_than_a_drain(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_finish(world, PEER);
    world->quiet = 0;
    world_clear(world);

    world_pass(world, 4999);
    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
    world_pass(world, 1);

    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world->quiet, 1);
    world_clear(world);
    world_answer(world, "W", &given, "late");
    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
}

static void
soft_end_may_turn_hard(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_finish(world, PEER);
    world->quiet = 0;

    world_hold(world, PEER);
    assert_int_equal(world_status(world, "C"), MDP_PASSIVE);
    assert_int_equal(world->quiet, 1);
    world_clear(world);
    world_answer(world, "W", &given, "late");

    assert_int_equal(world_count(world, "C", MDP_FINAL), 0);
}

static void
half_that_does_not_serve_is_quiet_when_it_is_told_to_finish(void **state)
{
    struct world *world = *state;

    world_finish(world, PEER);

    assert_int_equal(world->quiet, 1);
    ask(world, 1);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, PEER);
}

// ---- what the socket was not given --------------------------------------------------------

static void
request_that_was_withheld_is_no_attempt_and_no_fault_of_its_worker(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_clear(world);

    world_withhold(world, &given);
    world_tick(world);

    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
    assert_int_equal(world_last(world, "W", MDP_REQUEST)->record.attempt, 1);
    assert_int_equal(world_stats(world)->sends_withheld, 1);
    assert_int_equal(world_stats(world)->worker_slow, 0);
}

static void
answer_that_was_withheld_is_counted_for_itself(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_answer(world, "W", &given, "done");

    world_withhold(world, world_last(world, "C", MDP_FINAL));

    assert_int_equal(world_stats(world)->sends_withheld, 1);
    assert_int_equal(world_stats(world)->client_slow, 0);
}

// ---- and leaves -----------------------------------------------------------------------------

static void
drain_of_a_half_does_not_wait_for_what_was_dropped(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    (void)ask_and_give(world, 1);
    world_hold(world, PEER);
    world_clear(world);

    world_drain(world);

    assert_true(world->is_stopped);
    assert_int_equal(world_last(world, "W", MDP_DISCONNECT)->record.reason, MDP_REASON_STOPPING);
}

static void
drain_of_a_half_that_serves_names_the_other_one(void **state)
{
    struct world *world = *state;
    begin(world, 1);
    struct sent given = ask_and_give(world, 1);
    world_drain(world);

    ask(world, 2);
    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, PEER);
    assert_false(world->is_stopped);
    world_answer(world, "W", &given, "done");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "done");
    assert_true(world->is_stopped);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        pair_test(half_that_was_never_told_to_serve_refuses_requests),
        pair_test(text_of_503_is_what_it_was_told_last),
        pair_test(longer_text_of_503_is_cut),
        pair_test(old_dialects_hear_nothing_of_a_half_that_does_not_serve),
        pair_test(malformed_requests_are_400_in_every_state),
        pair_test(mmi_is_answered_in_every_state),
        pair_test(workers_register_beat_and_stay_without_a_request),
        pair_test(clients_heartbeat_is_answered_by_a_half_that_does_not_serve),
        pair_test(workers_that_are_there_are_given_requests_at_once),
        pair_test(records_of_a_reign_carry_its_epoch),
        pair_test(partials_carry_no_epoch),
        pair_test(classic_half_has_no_epoch),
        pair_test(next_reign_carries_the_next_epoch),
        pair_test(what_depends_on_the_reign_says_so),
        pair_test(worker_that_knows_a_later_epoch_is_told_of),
        pair_test(half_without_an_epoch_is_not_fenced),
        pair_test(what_waits_and_what_is_out_is_503_after_a_hard_end),
        pair_test(old_dialects_hear_nothing_of_a_hard_end),
        pair_test(answer_after_a_hard_end_frees_the_slot_and_goes_nowhere),
        pair_test(partial_after_a_hard_end_goes_nowhere),
        pair_test(worker_that_holds_a_request_of_before_is_given_none_until_it_has_answered),
        pair_test(request_that_may_not_run_again_is_502_after_a_hard_end),
        pair_test(request_of_which_a_part_went_out_is_502_after_a_hard_end),
        pair_test(session_of_a_worker_goes_on_across_changes),
        pair_test(worker_that_is_lost_after_a_hard_end_is_no_second_answer),
        pair_test(end_of_a_reign_with_much_open_takes_some_steps_and_passes_nothing_on),
        pair_test(answer_to_what_is_not_dropped_yet_goes_nowhere),
        pair_test(worker_that_comes_before_all_is_dropped_is_given_nothing),
        pair_test(late_answer_of_a_lost_worker_goes_nowhere_after_a_hard_end),
        pair_test(repeat_of_a_request_that_is_dropped_is_answered),
        pair_test(what_waits_is_503_and_what_is_out_is_answered_after_a_soft_end),
        pair_test(soft_end_with_nothing_open_is_quiet_at_once),
        pair_test(parts_are_passed_on_in_a_soft_end),
        pair_test(new_requests_are_503_in_a_soft_end),
        pair_test(request_whose_worker_is_lost_in_a_soft_end_is_503),
        pair_test(request_that_no_socket_took_in_a_soft_end_is_503),
        pair_test(soft_end_takes_no_longer_than_a_drain),
        pair_test(soft_end_may_turn_hard),
        pair_test(half_that_does_not_serve_is_quiet_when_it_is_told_to_finish),
        pair_test(request_that_was_withheld_is_no_attempt_and_no_fault_of_its_worker),
        pair_test(answer_that_was_withheld_is_counted_for_itself),
        pair_test(drain_of_a_half_does_not_wait_for_what_was_dropped),
        pair_test(drain_of_a_half_that_serves_names_the_other_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
