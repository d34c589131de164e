// test_pirate_limits.c - what a pirate queue refuses, and under which counter; and how it stops.

#include "pirate_rig.h"

#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pirate_queue_config
config_of(const struct world *world)
{
    bool is_simple = world->config.manners == BROKER_SIMPLE;
    return pirate_rig_config(is_simple ? PIRATE_SIMPLE : PIRATE_PARANOID);
}

static void
ask_times(struct world *world, const char *id, int times)
{
    for (int i = 0; i < times; i++)
        pirate_rig_ask(world, id, "x");
}

// ---- limits -----------------------------------------------------------------------------------

static void
request_beyond_the_queue_limit_is_refused_in_silence(void **state)
{
    struct world *world = *state;
    ask_times(world, "C", 10);
    ask_times(world, "D", 6);
    assert_int_equal(world_stats(world)->requests_refused, 0);

    pirate_rig_ask(world, "E", "one too many");

    const struct broker_stats *stats = world_stats(world);
    assert_int_equal(stats->requests_queued, 16);
    assert_int_equal(stats->requests_refused, 1);
    assert_int_equal(stats->refused_queue_limit + stats->refused_service_queue_limit, 1);
    assert_int_equal(world->sent_count, 0);
}

static void
request_beyond_a_clients_limit_leaves_room_for_others(void **state)
{
    struct world *world = *state;
    ask_times(world, "C", 12);

    pirate_rig_ask(world, "C", "one too many");
    pirate_rig_ask(world, "D", "welcome");

    assert_int_equal(world_stats(world)->requests_queued, 13);
    assert_int_equal(world_stats(world)->refused_client_limit, 1);
}

static void
request_beyond_the_limit_of_bytes_is_refused(void **state)
{
    struct world *world = *state;
    struct pirate_queue_config config = config_of(world);
    config.request_bytes_max = 200; // of the rig's bodies of 65 bytes three
    pirate_rig_configure(world, &config);

    ask_times(world, "C", 4);

    assert_int_equal(world_stats(world)->requests_queued, 3);
    assert_int_equal(world_stats(world)->refused_bytes_limit, 1);
}

static void
limit_of_bytes_counts_what_is_out(void **state)
{
    struct world *world = *state;
    struct pirate_queue_config config = config_of(world);
    config.request_bytes_max = 100;
    pirate_rig_configure(world, &config);
    pirate_rig_ready(world, "W");
    pirate_rig_ask(world, "C", "1");
    struct sent job = pirate_rig_job(world, "W");
    pirate_rig_ask(world, "C", "2");
    assert_int_equal(world_stats(world)->refused_bytes_limit, 1);

    pirate_rig_reply(world, "W", &job, "done");

    assert_int_equal(world_stats(world)->request_bytes, 0);
    pirate_rig_ask(world, "C", "3");
    assert_string_equal(pirate_rig_job(world, "W").body, "3");
}

static void
worker_beyond_the_limit_is_refused_and_told_nothing(void **state)
{
    struct world *world = *state;
    for (char name = 'A'; name < 'A' + 9; name++)
        pirate_rig_ready(world, (char[]){name, '\0'});
    assert_int_equal(world_stats(world)->workers, 8);
    assert_int_equal(world_stats(world)->workers_refused, 1);
    assert_int_equal(world->sent_count, 0);
}

static void
request_whose_time_is_over_is_dropped_in_silence(void **state)
{
    struct world *world = *state;
    struct pirate_queue_config config = config_of(world);
    config.request_ttl_ms = 2000;
    pirate_rig_configure(world, &config);
    pirate_rig_ask(world, "C", "1");
    world_pass(world, 1999);
    assert_int_equal(world_stats(world)->requests_queued, 1);

    world_pass(world, 2);

    assert_int_equal(world_stats(world)->requests_queued, 0);
    assert_int_equal(world_stats(world)->requests_expired, 1);
    assert_int_equal(world->sent_count, 0);
}

static void
reply_beyond_the_limit_ends_its_request_and_frees_its_worker(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    pirate_rig_ask(world, "C", "1");
    struct sent job = pirate_rig_job(world, "W");
    uint8_t text[TICKET_TEXT_BYTES];
    ticket_to_text(&job.record.ticket, text);
    struct view frames[300] = {VIEW_LITERAL("W")};
    size_t at = 1;
    if (world->config.manners == BROKER_SIMPLE)
        frames[at++] = VIEW_LITERAL("");
    frames[at] = view_of(text, sizeof text);
    for (size_t i = at + 1; i < 300; i++)
        frames[i] = VIEW_LITERAL("");

    pirate_rig_message(world, PIRATE_BACKEND, frames, 300);

    assert_int_equal(world_stats(world)->answers_too_large, 1);
    assert_int_equal(world_stats(world)->requests_out, 0);
    assert_int_equal(world_stats(world)->workers_idle, 1);
    assert_null(pirate_rig_answer(world, "C"));
}

static void
reply_to_a_client_that_is_gone_is_counted(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    for (int i = 0; i < 2; i++) {
        pirate_rig_ask(world, "C", "1");
        struct sent job = pirate_rig_job(world, "W");
        pirate_rig_reply(world, "W", &job, "done");
        world_unsent(world, world_last(world, "C", MDP_FINAL), i == 0);
    }
    assert_int_equal(world_stats(world)->client_gone, 1);
    assert_int_equal(world_stats(world)->client_slow, 1);
}

// ---- drain ------------------------------------------------------------------------------------

static void
drain_finishes_what_is_out_and_takes_nothing_new(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    pirate_rig_ask(world, "C", "1");
    pirate_rig_ask(world, "C", "2");
    struct sent job = pirate_rig_job(world, "W");

    world_drain(world);

    assert_false(world->is_stopped);
    pirate_rig_ask(world, "C", "3");
    pirate_rig_ready(world, "V");
    assert_int_equal(world_stats(world)->refused_draining, 2);
    assert_int_equal(world_stats(world)->workers_refused, 1);
    pirate_rig_reply(world, "W", &job, "done");
    assert_string_equal(pirate_rig_answer(world, "C"), "done");
    assert_true(world->is_stopped);
    assert_int_equal(world_count(world, "W", MDP_DISCONNECT), 0);
    assert_int_equal(world_count(world, "W", MDP_REQUEST), 1);
}

static void
drain_gives_a_lost_workers_request_to_another(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    pirate_rig_ready(world, "V");
    pirate_rig_ask(world, "C", "1");
    world_drain(world);
    world_cut(world, "W");
    struct sent job = pirate_rig_job(world, "V");
    pirate_rig_reply(world, "V", &job, "done");
    assert_string_equal(pirate_rig_answer(world, "C"), "done");
    assert_true(world->is_stopped);
}

static void
drain_is_over_in_time_whatever_workers_do(void **state)
{
    struct world *world = *state;
    pirate_rig_ready(world, "W");
    pirate_rig_ask(world, "C", "1");
    world_drain(world);
    world_pass(world, 4999);
    assert_false(world->is_stopped);

    world_pass(world, 1);

    assert_true(world->is_stopped);
}

// ---- anything, in any order -------------------------------------------------------------------

enum { STEPS = 4000, SEEDS = 10, NAMES = 12 };

// one_of is a peer's name; workers and clients share some.
static const char *
one_of(struct prng *random)
{
    static const char *const names[NAMES] = {"A", "B", "C", "D", "E", "F",
                                             "G", "H", "I", "J", "K", "L"};
    return names[prng_below(random, NAMES)];
}

// sent_at is a message that was sent since the last clear, NULL where there is none of it.
static const struct sent *
any_sent(const struct world *world, struct prng *random)
{
    return world->sent_count == 0 ? NULL : &world->sent[prng_below(random, world->sent_count)];
}

static void
do_anything(struct world *world, struct prng *random)
{
    const struct sent *sent = any_sent(world, random);
    switch (prng_below(random, 8)) {
    case 0:
        pirate_rig_ready(world, one_of(random));
        break;
    case 1:
        pirate_rig_beat(world, one_of(random));
        break;
    case 2:
    case 3:
        pirate_rig_ask(world, one_of(random), "x");
        break;
    case 4:
    case 5: { // right or wrong, in time, late, twice, or under another name
        const char *who = sent == NULL || prng_below(random, 4) == 0 ? one_of(random) : sent->to;
        if (sent != NULL && sent->record.command == MDP_REQUEST) {
            struct sent copy = *sent;
            pirate_rig_reply(world, who, &copy, "y");
        }
        break;
    }
    case 6:
        if (sent != NULL && !sent->had_cargo) {
            struct sent copy = *sent;
            world_unsent(world, &copy, prng_below(random, 2) == 0);
            world_tick(world);
        }
        break;
    default:
        world_pass(world, prng_below(random, 1500));
        break;
    }
}

static void
books_agree_whatever_peers_do(void **state)
{
    struct world *world = *state;
    for (uint8_t seed = 0; seed < SEEDS; seed++) {
        struct pirate_queue_config config = config_of(world);
        config.limit_ms = seed % 2 == 0 ? 0 : 3000;
        config.request_ttl_ms = seed % 3 == 0 ? 0 : 5000;
        pirate_rig_configure(world, &config);
        struct prng random;
        prng_init(&random, (uint8_t[32]){seed}, 1);
        for (int i = 0; i < STEPS; i++) {
            if (world->sent_count > WORLD_SENT_MAX / 2)
                world_clear(world);
            do_anything(world, &random); // each step is audited
        }
        const struct broker_stats *stats = world_stats(world);
        assert_true(stats->replies_out > 0 && stats->workers_lost > 0);
        assert_true(stats->redeliveries > 0 && stats->answers_late > 0);
    }
}

#define either_test(name) simple_test(name), paranoid_test(name)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        either_test(request_beyond_the_queue_limit_is_refused_in_silence),
        either_test(request_beyond_a_clients_limit_leaves_room_for_others),
        either_test(request_beyond_the_limit_of_bytes_is_refused),
        either_test(limit_of_bytes_counts_what_is_out),
        either_test(worker_beyond_the_limit_is_refused_and_told_nothing),
        either_test(request_whose_time_is_over_is_dropped_in_silence),
        either_test(reply_beyond_the_limit_ends_its_request_and_frees_its_worker),
        either_test(reply_to_a_client_that_is_gone_is_counted),
        either_test(drain_finishes_what_is_out_and_takes_nothing_new),
        either_test(drain_gives_a_lost_workers_request_to_another),
        either_test(drain_is_over_in_time_whatever_workers_do),
        either_test(books_agree_whatever_peers_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
