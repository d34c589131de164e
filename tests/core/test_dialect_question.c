// test_dialect_question.c - G1 to a Galleon broker, 0.1 to any other, and no hurry before it is up.

#include "dialect_question.h"

#include "mdp_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { FRAMES_MAX = 8 };

static const uint64_t ms = 1000000;

struct frames {
    struct view list[FRAMES_MAX];
    size_t count;
};

// answer gives the question a message, as it comes off a DEALER.
static void
answer(struct dialect_question *question, const struct frames *frames)
{
    struct mdp_reader reader;
    struct mdp_record record;
    if (mdp_wire_begin(&reader, frames->list, frames->count, MDP_FROM_BROKER, false, NULL) !=
        MDP_SOUND)
        return;
    while (mdp_wire_next(&reader, &record))
        dialect_question_answer(question, &record);
}

// asked is a question that was sent at 1000 ms.
static struct dialect_question
asked(void)
{
    struct dialect_question question;
    dialect_question_init(&question);
    dialect_question_up(&question, 1000 * ms);
    assert_int_equal(dialect_question_next(&question, 1000 * ms), DIALECT_ASK);
    return question;
}

static void
words_with_g1_mean_g1_and_everything_else_means_01(void **state)
{
    (void)state;
    static const struct {
        const char *frames[FRAMES_MAX]; // after the delimiter and the header
        mdp_dialect_t result;
    } rows[] = {
        {{"mmi.dialects", "200", "0.1 0.2 g1"}, MDP_G1},
        {{"mmi.dialects", "200", "g1"}, MDP_G1},
        {{"mmi.dialects", "200", "g2 g1 0.1"}, MDP_G1},
        {{"mmi.dialects", "200", "0.1 0.2 g1", "more"}, MDP_G1},
        {{"mmi.dialects", "501"}, MDP_01},
        {{"mmi.dialects", "404"}, MDP_01},
        {{"mmi.dialects", "200"}, MDP_01},
        {{"mmi.dialects", "200", "0.1 0.2"}, MDP_01},
        {{"mmi.dialects", "200", "g10 xg1 G1"}, MDP_01},
        {{"mmi.dialects", "200", ""}, MDP_01},
        {{"mmi.dialects", "501", "0.1 0.2 g1"}, MDP_01},
        {{"mmi.dialects", ""}, MDP_01},
        {{"mmi.dialects", "UnknownCommand"}, MDP_01},
        {{"echo", "200", "0.1 0.2 g1"}, MDP_01},
        {{"mmi.dialects"}, MDP_01},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dialect_question question = asked();
        struct frames frames = {{VIEW_LITERAL(""), VIEW_LITERAL("MDPC01")}, 2};
        for (const char *const *at = rows[i].frames; *at != NULL; at++)
            frames.list[frames.count++] = view_of(*at, strlen(*at));

        answer(&question, &frames);

        assert_int_equal(dialect_question_result(&question), rows[i].result);
        assert_int_equal(dialect_question_next(&question, 1001 * ms), DIALECT_KNOWN);
        assert_true(dialect_question_deadline(&question) <= 1001 * ms);
    }
}

static void
garbage_is_no_answer(void **state)
{
    (void)state;
    static const struct frames rows[] = {
        {{VIEW_LITERAL("")}, 1},
        {{VIEW_LITERAL("200")}, 1},
        {{VIEW_LITERAL("200"), VIEW_LITERAL("0.1 0.2 g1")}, 2},
        {{VIEW_LITERAL(""), VIEW_LITERAL("MDPC01")}, 2},
        {{VIEW_LITERAL(""), VIEW_LITERAL("MDPC01"), VIEW_LITERAL("\n"), VIEW_LITERAL("200")}, 4},
        {{VIEW_LITERAL(""), VIEW_LITERAL("MDPW01"), VIEW_LITERAL("\4")}, 3},
        {{VIEW_LITERAL(""), VIEW_LITERAL("MDPW01"), VIEW_LITERAL("\5")}, 3},
        {{VIEW_LITERAL("MDPC02"), VIEW_LITERAL("\3"), VIEW_LITERAL("mmi.dialects"),
          VIEW_LITERAL("200"), VIEW_LITERAL("g1")},
         5},
        {{VIEW_LITERAL("MDPCG1\1\0\0\0\0\x14\3\0\0\0\0\0\0\0\0\0\0\1\0\xc8\0\0")}, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dialect_question question = asked();
        answer(&question, &rows[i]);
        assert_int_equal(dialect_question_result(&question), MDP_AUTO);
        assert_int_equal(dialect_question_next(&question, 1001 * ms), DIALECT_WAIT);
    }
}

static void
silence_for_a_second_asked_twice_means_01(void **state)
{
    (void)state;
    struct dialect_question question = asked();

    assert_true(dialect_question_deadline(&question) == 2000 * ms);
    assert_int_equal(dialect_question_next(&question, 2000 * ms - 1), DIALECT_WAIT);
    assert_int_equal(dialect_question_next(&question, 2000 * ms), DIALECT_ASK);
    assert_true(dialect_question_deadline(&question) == 3000 * ms);
    assert_int_equal(dialect_question_next(&question, 3000 * ms - 1), DIALECT_WAIT);
    assert_int_equal(dialect_question_next(&question, 3000 * ms), DIALECT_KNOWN);
    assert_int_equal(dialect_question_result(&question), MDP_01);
}

static void
a_broker_that_is_not_there_is_waited_for(void **state)
{
    (void)state;
    struct dialect_question question;
    dialect_question_init(&question);

    assert_true(dialect_question_deadline(&question) == UINT64_MAX);
    assert_int_equal(dialect_question_next(&question, 3600 * 1000 * ms), DIALECT_WAIT);
    assert_int_equal(dialect_question_result(&question), MDP_AUTO);
}

static void
a_cut_connection_starts_the_question_again(void **state)
{
    (void)state;
    struct dialect_question question = asked();
    assert_int_equal(dialect_question_next(&question, 2000 * ms), DIALECT_ASK);

    dialect_question_down(&question);
    assert_true(dialect_question_deadline(&question) == UINT64_MAX);
    assert_int_equal(dialect_question_next(&question, 9000 * ms), DIALECT_WAIT);

    dialect_question_up(&question, 9000 * ms);
    assert_int_equal(dialect_question_next(&question, 9000 * ms), DIALECT_ASK);
    assert_int_equal(dialect_question_next(&question, 10000 * ms), DIALECT_ASK);
    assert_int_equal(dialect_question_next(&question, 11000 * ms), DIALECT_KNOWN);
}

static void
a_question_that_was_not_sent_is_asked_again_soon(void **state)
{
    (void)state;
    struct dialect_question question = asked();

    dialect_question_unsent(&question, 1000 * ms);
    assert_int_equal(dialect_question_next(&question, 1000 * ms), DIALECT_WAIT);
    assert_true(dialect_question_deadline(&question) < 1100 * ms);

    // It counts neither time nor questions: two more, a second each.
    assert_int_equal(dialect_question_next(&question, 1100 * ms), DIALECT_ASK);
    assert_int_equal(dialect_question_next(&question, 2100 * ms), DIALECT_ASK);
    assert_int_equal(dialect_question_next(&question, 3099 * ms), DIALECT_WAIT);
    assert_int_equal(dialect_question_next(&question, 3100 * ms), DIALECT_KNOWN);

    // Where the connection was cut before, there is nothing to wait for.
    question = asked();
    dialect_question_down(&question);
    dialect_question_unsent(&question, 1000 * ms);
    assert_true(dialect_question_deadline(&question) == UINT64_MAX);
}

static void
the_first_answer_stays(void **state)
{
    (void)state;
    struct dialect_question question = asked();
    struct frames frames = {{VIEW_LITERAL(""), VIEW_LITERAL("MDPC01"), VIEW_LITERAL("mmi.dialects"),
                             VIEW_LITERAL("200"), VIEW_LITERAL("0.1 0.2 g1")},
                            5};
    answer(&question, &frames);
    frames.list[3] = VIEW_LITERAL("501");
    answer(&question, &frames);
    assert_int_equal(dialect_question_result(&question), MDP_G1);
}

static void
the_question_has_one_empty_body_frame(void **state)
{
    (void)state;
    struct mdp_record record = dialect_question_record();
    struct mdp_head head;
    mdp_wire_head(&head, &record, true);

    assert_int_equal(head.frame_count, 3);
    assert_int_equal(head.frames[0].size, 0);
    assert_true(view_equals(head.frames[1], VIEW_LITERAL("MDPC01")));
    assert_true(view_equals(head.frames[2], VIEW_LITERAL("mmi.dialects")));
    assert_int_equal(record.body.count, 1);
    assert_int_equal(record.body.bytes, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_with_g1_mean_g1_and_everything_else_means_01),
        cmocka_unit_test(garbage_is_no_answer),
        cmocka_unit_test(silence_for_a_second_asked_twice_means_01),
        cmocka_unit_test(a_broker_that_is_not_there_is_waited_for),
        cmocka_unit_test(a_cut_connection_starts_the_question_again),
        cmocka_unit_test(a_question_that_was_not_sent_is_asked_again_soon),
        cmocka_unit_test(the_first_answer_stays),
        cmocka_unit_test(the_question_has_one_empty_body_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
