// test_broker_mmi.c - what the broker answers about itself.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// asked is the body of the broker's answer.
static const char *
asked(struct world *world, mdp_dialect_t dialect, const char *service, const char *body)
{
    world_clear(world);
    world_request(world, "C", dialect, service, 9, body);
    const struct sent *sent = world_last(world, "C", MDP_FINAL);
    assert_int_equal(sent->record.dialect, dialect);
    assert_int_equal(sent->record.status, MDP_DONE);
    assert_int_equal(sent->record.id, 9);
    assert_string_equal(sent->service, service);
    return sent->body;
}

static void
service_is_200_with_a_worker_and_404_without_in_every_dialect(void **state)
{
    struct world *world = *state;
    static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
    world_ready(world, "W", MDP_G1, "echo", 1);
    for (int d = 0; d < 3; d++) {
        assert_string_equal(asked(world, dialects[d], "mmi.service", "echo"), "200");
        assert_string_equal(asked(world, dialects[d], "mmi.service", "ech"), "404");
        assert_string_equal(asked(world, dialects[d], "mmi.service", ""), "404");
        assert_string_equal(asked(world, dialects[d], "mmi.service", NULL), "404");
    }
    assert_int_equal(world_last(world, "C", MDP_FINAL)->frames, 1);
}

static void
service_that_was_only_asked_for_has_no_worker(void **state)
{
    struct world *world = *state;
    world_request(world, "D", MDP_G1, "echo", 1, "x");

    assert_string_equal(asked(world, MDP_01, "mmi.service", "echo"), "404");
}

static void
service_of_a_worker_that_is_lost_is_404(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_01, "echo", 1);
    world_request(world, "D", MDP_G1, "echo", 1, "x");
    world_bare(world, "W", MDP_01, MDP_DISCONNECT);

    assert_string_equal(asked(world, MDP_01, "mmi.service", "echo"), "404");
}

static void
names_that_are_not_known_are_501(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"mmi.", "mmi.x", "mmi.services2", "mmi.ha", "mmi.Service"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(asked(world, MDP_01, names[i], "x"), "501");
    assert_int_equal(world_stats(world)->requests_in, 0);
    assert_int_equal(world_stats(world)->services, 0);
}

static void
dialects_are_those_the_broker_speaks(void **state)
{
    assert_string_equal(asked(*state, MDP_01, "mmi.dialects", ""), "200|0.1 0.2 g1");
}

static void
ping_echoes_the_frames_of_its_request(void **state)
{
    assert_string_equal(asked(*state, MDP_G1, "mmi.ping", "a||b"), "200|a||b");
    assert_string_equal(asked(*state, MDP_G1, "mmi.ping", NULL), "200");
}

static void
services_are_a_table(void **state)
{
    struct world *world = *state;
    world_ready(world, "W1", MDP_G1, "echo", 1);
    world_ready(world, "W2", MDP_G1, "echo", 1);
    world_request(world, "D", MDP_G1, "echo", 1, "x");
    world_request(world, "D", MDP_G1, "sum", 2, "x");

    assert_string_equal(asked(world, MDP_G1, "mmi.services", NULL),
                        "200|service\tworkers\tidle\tqueued\tout\n"
                        "echo\t2\t1\t0\t1\n"
                        "sum\t0\t0\t1\t0\n");
    assert_string_equal(asked(world, MDP_G1, "mmi.services", "1"),
                        "200|service\tworkers\tidle\tqueued\tout\n"
                        "sum\t0\t0\t1\t0\n");
}

static void
workers_are_a_table_by_number_and_never_by_routing_id(void **state)
{
    struct world *world = *state;
    world_ready(world, "secret", MDP_G1, "echo", 4);
    world_ready(world, "secret2", MDP_01, "sum", 1);
    world_request(world, "D", MDP_G1, "echo", 1, "x");
    world_bare(world, "secret", MDP_G1, MDP_DRAIN);
    world->now_ns += 1500 * 1000000;

    const char *all = asked(world, MDP_G1, "mmi.workers", NULL);
    assert_string_equal(all, "200|worker\tservice\tdialect\tstate\tcredit\tout\tage\n"
                             "1\techo\tg1\tdraining\t4\t1\t1500\n"
                             "2\tsum\t0.1\tidle\t1\t0\t1500\n");
    assert_null(strstr(all, "secret"));
    assert_string_equal(asked(world, MDP_G1, "mmi.workers", "sum"),
                        "200|worker\tservice\tdialect\tstate\tcredit\tout\tage\n"
                        "2\tsum\t0.1\tidle\t1\t0\t1500\n");
    assert_string_equal(asked(world, MDP_G1, "mmi.workers", "|1"),
                        "200|worker\tservice\tdialect\tstate\tcredit\tout\tage\n"
                        "2\tsum\t0.1\tidle\t1\t0\t1500\n");
}

static void
malformed_question_for_a_table_is_400(void **state)
{
    struct world *world = *state;
    assert_memory_equal(asked(world, MDP_G1, "mmi.services", "many"), "400", 3);
    assert_memory_equal(asked(world, MDP_G1, "mmi.services", "-1"), "400", 3);
    assert_memory_equal(asked(world, MDP_G1, "mmi.workers", "a\nb"), "400", 3);
    assert_memory_equal(asked(world, MDP_G1, "mmi.workers", "echo|x"), "400", 3);
}

static void
stats_name_every_counter(void **state)
{
    struct world *world = *state;
    world_request(world, "D", MDP_G1, "echo", 1, "x");

    const char *table = asked(world, MDP_G1, "mmi.stats", NULL);

    assert_memory_equal(table, "200|name\tvalue\n", 15);
    assert_non_null(strstr(table, "\nrequests_queued\t1\n"));
    assert_non_null(strstr(table, "\nrequests_in\t1\n"));
}

static void
tables_are_limited_to_100_a_second(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 100; i++)
        asked(world, MDP_G1, "mmi.stats", NULL);

    world_request(world, "C", MDP_G1, "mmi.workers", 10, NULL);
    assert_int_equal(world_status(world, "C"), MDP_QUEUE_FULL);
    assert_int_equal(world_stats(world)->mmi_refused, 1);
    assert_string_equal(asked(world, MDP_G1, "mmi.service", "echo"), "404"); // costs no more
    world_pass(world, 1000);

    asked(world, MDP_G1, "mmi.workers", NULL);
}

static void
table_of_more_rows_than_1000_is_cut_and_goes_on_with_skip(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.services_max = config.workers_max = config.requests_max = 2000;
    config.client_requests_max = 2000;
    world_configure(world, &config);
    for (uint64_t i = 0; i < 1200; i++) {
        char name[300];
        memset(name, 'n', 250);
        snprintf(name + 250, sizeof name - 250, "%04d", (int)i);
        world_request(world, "D", MDP_G1, name, i, "x");
    }
    world->is_manual = true;

    world_request(world, "C", MDP_G1, "mmi.services", 1, NULL);

    size_t bytes = world->effects.list[0].record.body.bytes;
    assert_int_equal(bytes, 3 + strlen("service\tworkers\tidle\tqueued\tout\n") +
                                1000 * (254 + strlen("\t0\t0\t1\t0\n")));
    world_request(world, "C", MDP_G1, "mmi.services", 2, "1199");
    assert_true(world->effects.list[0].record.body.bytes < 400);
}

static void
question_is_answered_while_draining(void **state)
{
    struct world *world = *state;
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "D", MDP_G1, "echo", 1, "x");
    world_drain(world);

    assert_string_equal(asked(world, MDP_01, "mmi.service", "echo"), "200");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(service_is_200_with_a_worker_and_404_without_in_every_dialect),
        world_test(service_that_was_only_asked_for_has_no_worker),
        world_test(service_of_a_worker_that_is_lost_is_404),
        world_test(names_that_are_not_known_are_501),
        world_test(dialects_are_those_the_broker_speaks),
        world_test(ping_echoes_the_frames_of_its_request),
        world_test(services_are_a_table),
        world_test(workers_are_a_table_by_number_and_never_by_routing_id),
        world_test(malformed_question_for_a_table_is_400),
        world_test(stats_name_every_counter),
        world_test(tables_are_limited_to_100_a_second),
        world_test(table_of_more_rows_than_1000_is_cut_and_goes_on_with_skip),
        world_test(question_is_answered_while_draining),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
