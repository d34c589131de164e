// test_vectors.c - the page of vectors is read whole, and a mistake in it is found.

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PAGE GALLEON_SOURCE_DIR "/docs/protocol/vectors.md"

#define POSITIVE                                                                                   \
    "| id | socket | way | dialect | command | frames | decoded |\n"                               \
    "| --- | --- | --- | --- | --- | --- | --- |\n"
#define NEGATIVE                                                                                   \
    "| id | socket | state | frames | expect | why |\n"                                            \
    "| --- | --- | --- | --- | --- | --- |\n"
#define BODIES                                                                                     \
    "| id | service | body | expect | why |\n"                                                     \
    "| --- | --- | --- | --- | --- |\n"

static void
page_has_all_its_rows(void **state)
{
    (void)state;
    struct vector *rows = vectors_read(PAGE);
    assert_non_null(rows);
    assert_int_equal(vectors_count(rows, 'V'), 69);
    assert_int_equal(vectors_count(rows, 'G'), 39);
    assert_int_equal(vectors_count(rows, 'N'), 115);
    assert_int_equal(vectors_count(rows, 'X'), 56);
    vectors_destroy(&rows);
}

static void
positive_row_has_frames_and_records(void **state)
{
    (void)state;
    struct vector *row =
        vectors_parse("page", POSITIVE "| G9 | mdp | in | g1 | a+b | 00FF - | id=1 x=2 ; - |\n");
    assert_non_null(row);
    assert_string_equal(row->id, "G9");
    assert_int_equal(row->kind, 'G');
    assert_string_equal(row->socket, "mdp");
    assert_string_equal(row->way, "in");
    assert_string_equal(row->dialect, "g1");
    assert_string_equal(row->command, "a+b");
    assert_int_equal(row->frames.count, 2);
    assert_int_equal(row->record_count, 2);
    assert_string_equal(vector_item(&row->records[0], "x"), "2");
    assert_null(vector_item(&row->records[0], "y"));
    assert_int_equal(row->records[1].count, 0);
    vectors_destroy(&row);
}

static void
negative_row_has_state_and_expectation(void **state)
{
    (void)state;
    struct vector *row =
        vectors_parse("page", NEGATIVE "| N9 | mdp | busy g1 | 00 | accept ; drop | why so |\n");
    assert_non_null(row);
    assert_string_equal(row->state, "busy g1");
    assert_string_equal(row->expect, "accept ; drop");
    assert_string_equal(row->why, "why so");
    vectors_destroy(&row);
}

static void
body_row_may_lack_a_reason(void **state)
{
    (void)state;
    struct vector *row = vectors_parse("page", BODIES "| X9 | titanic.wait | 00 30 | 400 |  |\n");
    assert_non_null(row);
    assert_string_equal(row->service, "titanic.wait");
    assert_int_equal(row->frames.count, 2);
    assert_string_equal(row->expect, "400");
    assert_string_equal(row->why, "");
    vectors_destroy(&row);
}

static void
rows_keep_their_order_and_other_text_is_passed_over(void **state)
{
    (void)state;
    struct vector *rows = vectors_parse(
        "page",
        "# Title\n\n| a | b |\n| --- | --- |\n| V1 x | 1 |\n\n" NEGATIVE
        "| N2 | mdp | any | 00 | drop | |\n| N1 | mdp | any | 00 | drop | |\n\nText.\n\n" BODIES
        "| X1 | s | 00 | 400 | |\n");
    assert_non_null(rows);
    assert_string_equal(rows->id, "N2");
    assert_string_equal(rows->next->id, "N1");
    assert_string_equal(rows->next->next->id, "X1");
    assert_null(rows->next->next->next);
    vectors_destroy(&rows);
}

static void
assert_frame(struct vector_frames frames, size_t at, const char *bytes, size_t size)
{
    assert_true(at < frames.count);
    assert_true(view_equals(frames.frames[at], view_of(bytes, size)));
}

static void
tokens_are_frames(void **state)
{
    (void)state;
    struct vector_frames frames;
    assert_true(vector_frames_read(&frames, "00FF - 61*3 0A.62*2.63 64^2 -^2", ' '));
    assert_int_equal(frames.count, 8);
    assert_frame(frames, 0, "\0\xFF", 2);
    assert_frame(frames, 1, "", 0);
    assert_frame(frames, 2, "aaa", 3);
    assert_frame(frames, 3, "\nbbc", 4);
    assert_frame(frames, 4, "d", 1);
    assert_frame(frames, 5, "d", 1);
    assert_frame(frames, 7, "", 0);
    vector_frames_release(&frames);
}

static void
several_bytes_are_repeated_in_order(void **state)
{
    (void)state;
    struct vector_frames frames;
    assert_true(vector_frames_read(&frames, "6162*3", ','));
    assert_frame(frames, 0, "ababab", 6);
    vector_frames_release(&frames);
}

static void
malformed_tokens_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",     " ",     "0",     "00  00", "00 ",   " 00",   "0G",    "fe",    "00*", "00*0",
        "00^",  "00^0",  "*3",    "^3",     "00.",   ".00",   "-.00",  "00.-",  "--",  "-*3",
        "00^x", "00*1x", "00^-1", "00**2",  "00^2^", "00\t0", "00*2*", "00^2*3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct vector_frames frames;
        if (vector_frames_read(&frames, wrong[i], ' '))
            fail_msg("`%s` was taken", wrong[i]);
    }
}

static void
malformed_rows_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "no table at all\n",
        // ids: of no vector, of another table, twice
        POSITIVE "| V1e | mdp | in | 0.1 | a | 00 | - |\n",
        POSITIVE "| v1 | mdp | in | 0.1 | a | 00 | - |\n",
        POSITIVE "| V | mdp | in | 0.1 | a | 00 | - |\n",
        POSITIVE "| N1 | mdp | in | 0.1 | a | 00 | - |\n",
        NEGATIVE "| N1 | mdp | any | 00 | drop | |\n| N1 | mdp | any | 00 | drop | |\n",
        // cells: too few, too many, no end
        NEGATIVE "| N1 | mdp | any | 00 | drop |\n",
        NEGATIVE "| N1 | mdp | any | 00 | drop | | |\n",
        NEGATIVE "| N1 | mdp | any | 00 | drop | why\n",
        // columns that nobody knows
        "| id | socket | frames |\n| --- | --- | --- |\n| V1 | mdp | 00 |\n",
        // contents
        POSITIVE "| V1 | mdp | up | 0.1 | a | 00 | - |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | 0 | - |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | | - |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | 00 | |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | 00 | x |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | 00 | =1 |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | 00 | x=1  y=1 |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | 00 | x=1 x=1 |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a | 00 | - ; - |\n",
        POSITIVE "| V1 | mdp | in | 0.1 | a+b | 00 | - |\n",
        NEGATIVE "| N1 | mdp | any | 00 | | |\n",
        BODIES "| X1 | s | 0 | 400 | |\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (vectors_parse("wrong page", wrong[i]) != NULL)
            fail_msg("page %zu was taken: %s", i, wrong[i]);
}

static void
page_that_is_not_there_is_refused(void **state)
{
    (void)state;
    assert_null(vectors_read(PAGE ".not-there"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_has_all_its_rows),
        cmocka_unit_test(positive_row_has_frames_and_records),
        cmocka_unit_test(negative_row_has_state_and_expectation),
        cmocka_unit_test(body_row_may_lack_a_reason),
        cmocka_unit_test(rows_keep_their_order_and_other_text_is_passed_over),
        cmocka_unit_test(tokens_are_frames),
        cmocka_unit_test(several_bytes_are_repeated_in_order),
        cmocka_unit_test(malformed_tokens_are_refused),
        cmocka_unit_test(malformed_rows_are_refused),
        cmocka_unit_test(page_that_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
