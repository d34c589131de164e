// test_broker_ha.c - what an operator says to half of a pair: mmi.ha.

#include "broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static const char *
ha(struct world *world, const char *body)
{
    world_request(world, "C", MDP_01, "mmi.ha", 0, body);
    return world_last(world, "C", MDP_FINAL)->body;
}

static void
broker_without_a_pair_answers_501(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    world_configure(world, &config);

    assert_string_equal(ha(world, "status"), "501"); // V34a, V34b
}

static void
every_word_is_asked_and_answered_in_every_dialect(void **state)
{
    static const struct {
        const char *body;
        enum broker_word word;
    } rows[] = {{"status", BROKER_WORD_STATUS},
                {"promote", BROKER_WORD_PROMOTE},
                {"promote|peer-is-dead", BROKER_WORD_PROMOTE_PEER_IS_DEAD},
                {"demote", BROKER_WORD_DEMOTE},
                {"freeze", BROKER_WORD_FREEZE},
                {"thaw", BROKER_WORD_THAW},
                {"clear", BROKER_WORD_CLEAR}};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int d = 0; d < 3; d++) {
            world->asked = 0;
            world_clear(world);
            world_request(world, "C", dialects[d], "mmi.ha", 7, rows[i].body);
            assert_int_equal(world->asked, 1);
            assert_int_equal(world->word, rows[i].word);
            assert_int_equal(world_count(world, "C", MDP_FINAL), 0);

            world_said(world, 409, "not now");

            const struct sent *sent = world_last(world, "C", MDP_FINAL);
            assert_string_equal(sent->body, "409|not now");
            assert_string_equal(sent->service, "mmi.ha");
            assert_int_equal(sent->record.dialect, dialects[d]);
            assert_int_equal(sent->record.status, MDP_DONE);
            assert_int_equal(sent->has_delimiter, dialects[d] == MDP_01);
            assert_true(dialects[d] != MDP_G1 || sent->record.id == 7);
        }
    }
}

static void
answer_without_a_text_is_one_frame(void **state)
{
    struct world *world = *state;
    world_request(world, "C", MDP_G1, "mmi.ha", 7, "demote");

    world_said(world, 200, "");

    assert_string_equal(world_last(world, "C", MDP_FINAL)->body, "200");
    assert_int_equal(world_last(world, "C", MDP_FINAL)->frames, 1);
}

static void
what_is_no_word_is_400(void **state)
{
    static const char *const bodies[] = {NULL,
                                         "",
                                         "|",
                                         "stat",
                                         "STATUS",
                                         "status|",
                                         "status|peer-is-dead",
                                         "promote|",
                                         "promote|peer-is-alive",
                                         "promote|peer-is-dead|",
                                         "demote|peer-is-dead",
                                         "peer-is-dead"};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        world_clear(world);
        assert_string_equal(ha(world, bodies[i]), "400|malformed");
    }
    assert_int_equal(world->asked, 0);
}

static void
status_is_a_table_and_there_are_so_many_in_a_second(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 100; i++) {
        world_request(world, "C", MDP_G1, "mmi.ha", 1, "status");
        world_said(world, 200, "name\tvalue\n");
    }
    world_request(world, "C", MDP_G1, "mmi.ha", 1, "status");
    assert_int_equal(world_status(world, "C"), MDP_QUEUE_FULL);
    world->asked = 0;

    world_request(world, "C", MDP_G1, "mmi.ha", 1, "demote");
    assert_int_equal(world->asked, 1);
    world_said(world, 200, "");
}

static void
who_asked_may_be_gone_before_the_answer(void **state)
{
    struct world *world = *state;
    world_request(world, "C", MDP_G1, "mmi.ha", 1, "status");
    world_tick(world);

    world_said(world, 200, "name\tvalue\n");
    world_unsent(world, world_last(world, "C", MDP_FINAL), true);

    assert_int_equal(world_stats(world)->client_gone, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        pair_test(broker_without_a_pair_answers_501),
        pair_test(every_word_is_asked_and_answered_in_every_dialect),
        pair_test(answer_without_a_text_is_one_frame),
        pair_test(what_is_no_word_is_400),
        pair_test(status_is_a_table_and_there_are_so_many_in_a_second),
        pair_test(who_asked_may_be_gone_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
