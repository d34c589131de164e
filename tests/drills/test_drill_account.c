// test_drill_account.c - does a drill see what it must: wrong answers, losses, work done twice?

#include "journal_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REQUESTS_MAX = 16 };

// A load that is over, and the journal of those who worked for it.
struct books {
    struct journal_rig rig;
    struct drill_request requests[REQUESTS_MAX];
    struct drill_load load;
    struct drill_verdict verdict;
};

static int
set_up(void **state)
{
    struct books *books = calloc(1, sizeof *books);
    assert_non_null(books);
    journal_rig_open(&books->rig);
    books->load.number = 7;
    books->load.requests = books->requests;
    *state = books;
    return 0;
}

static int
tear_down(void **state)
{
    struct books *books = *state;
    journal_rig_close(&books->rig);
    free(books);
    return 0;
}

// add takes down one more request, and how often it was begun.
static struct drill_request *
add(struct books *books, int result, uint32_t runs)
{
    struct drill_load *load = &books->load;
    for (uint32_t i = 0; i < runs; i++)
        drill_journal_begin(books->rig.journal, drill_load_key(load, load->sent), i + 1, i + 1, 0);
    struct drill_request *request = &books->requests[load->sent++];
    request->result = result;
    return request;
}

static const struct drill_verdict *
account(struct books *books)
{
    assert_true(drill_account(books->rig.journal, &books->load, 1, false, &books->verdict));
    return &books->verdict;
}

// ---- accounts -----------------------------------------------------------------------------

static void
answered_request_that_somebody_ran_is_answered(void **state)
{
    add(*state, GALLEON_OK, 1);

    const struct drill_verdict *verdict = account(*state);

    assert_int_equal(verdict->sent, 1);
    assert_int_equal(verdict->answered, 1);
    assert_int_equal(verdict->lost, 0);
    assert_int_equal(verdict->twice, 0);
}

static void
answer_that_is_not_right_is_lost_and_wrong(void **state)
{
    add(*state, GALLEON_OK, 1)->is_wrong = true;
    assert_int_equal(account(*state)->lost, 1);
    assert_int_equal(((struct books *)*state)->verdict.wrong, 1);
}

static void
answer_to_what_nobody_ran_is_wrong(void **state)
{
    add(*state, GALLEON_OK, 0);
    assert_int_equal(account(*state)->wrong, 1);
}

static void
request_without_an_answer_is_lost_though_it_ran(void **state)
{
    add(*state, GALLEON_TIMED_OUT, 1);
    add(*state, GALLEON_REFUSED, 0);
    add(*state, GALLEON_BUSY, 0); // and this load may not be refused

    const struct drill_verdict *verdict = account(*state);

    assert_int_equal(verdict->lost, 3);
    assert_int_equal(verdict->timed_out, 1);
    assert_int_equal(verdict->answered, 0);
}

static void
refusal_is_one_only_where_nobody_ran_it(void **state)
{
    struct books *books = *state;
    books->load.options.may_be_refused = true;
    add(books, GALLEON_BUSY, 0);
    add(books, GALLEON_BUSY, 1);

    const struct drill_verdict *verdict = account(books);

    assert_int_equal(verdict->refused, 1);
    assert_int_equal(verdict->lost, 1);
}

static void
request_that_ran_more_than_once_counts_once(void **state)
{
    add(*state, GALLEON_OK, 1);
    add(*state, GALLEON_OK, 2);
    add(*state, GALLEON_OK, 1);
    add(*state, GALLEON_OK, 4);
    assert_int_equal(account(*state)->twice, 2);
}

static void
what_nobody_waited_for_is_left_out_only_where_it_was_interrupted(void **state)
{
    struct books *books = *state;
    add(books, GALLEON_INTERRUPTED, 0);
    assert_int_equal(account(books)->lost, 1);

    books->verdict = (struct drill_verdict){0};
    assert_true(drill_account(books->rig.journal, &books->load, 1, true, &books->verdict));
    assert_int_equal(books->verdict.sent, 0);
    assert_int_equal(books->verdict.lost, 0);
}

// ---- answers ---------------------------------------------------------------------------------

static void
one_changed_bit_of_an_answer_is_seen(void **state)
{
    (void)state;
    struct drill_job job = {.key = 0x700000003, .work_ms = 5};
    struct drill_answer answer = {0};
    drill_job_fill(&job);
    drill_job_answer(&job, &answer);
    assert_true(drill_job_is_answered_by(&job, &answer));
    answer.worker = 9; // who it was may be anybody
    answer.attempt = 3;
    assert_true(drill_job_is_answered_by(&job, &answer));
    for (size_t bit = 0; bit < 8 * sizeof answer; bit++) {
        size_t at = bit / 8;
        bool may_differ = at >= offsetof(struct drill_answer, worker) &&
                          at < offsetof(struct drill_answer, filler);
        if (may_differ)
            continue;
        ((uint8_t *)&answer)[at] ^= (uint8_t)(1 << bit % 8);
        assert_false(drill_job_is_answered_by(&job, &answer));
        ((uint8_t *)&answer)[at] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
answer_to_another_request_is_seen(void **state)
{
    (void)state;
    struct drill_job job = {.key = 1};
    struct drill_job other = {.key = 2};
    struct drill_answer answer = {0};
    drill_job_fill(&job);
    drill_job_fill(&other);
    drill_job_answer(&other, &answer);
    assert_false(drill_job_is_answered_by(&job, &answer));
}

// ---- the journal -------------------------------------------------------------------------------

static void
journal_is_seen_by_whoever_maps_it(void **state)
{
    struct books *books = *state;
    struct drill_journal *other = drill_journal_open(books->rig.path);
    assert_non_null(other);

    uint32_t run = drill_journal_begin(other, 42, 3, 1, 0);
    assert_int_equal(drill_journal_count(books->rig.journal), 1);
    assert_int_equal(books->rig.journal->runs[run].key, 42);
    assert_true(books->rig.journal->runs[run].began_ns > 0);
    assert_true(books->rig.journal->runs[run].ended_ns == 0);
    drill_journal_end(other, run);
    drill_journal_close(&other);

    assert_true(books->rig.journal->runs[run].ended_ns >= books->rig.journal->runs[run].began_ns);
}

static void
journal_that_is_full_says_so(void **state)
{
    struct books *books = *state;
    for (uint32_t i = 0; i < DRILL_RUNS_MAX; i++)
        assert_int_equal(drill_journal_begin(books->rig.journal, i, 1, 1, 0), i);
    assert_false(drill_journal_is_full(books->rig.journal));

    uint32_t run = drill_journal_begin(books->rig.journal, 1, 1, 1, 0);
    drill_journal_end(books->rig.journal, run);

    assert_true(drill_journal_is_full(books->rig.journal));
    assert_int_equal(drill_journal_count(books->rig.journal), DRILL_RUNS_MAX);
}

int
main(void)
{
#define books_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        books_test(answered_request_that_somebody_ran_is_answered),
        books_test(answer_that_is_not_right_is_lost_and_wrong),
        books_test(answer_to_what_nobody_ran_is_wrong),
        books_test(request_without_an_answer_is_lost_though_it_ran),
        books_test(refusal_is_one_only_where_nobody_ran_it),
        books_test(request_that_ran_more_than_once_counts_once),
        books_test(what_nobody_waited_for_is_left_out_only_where_it_was_interrupted),
        cmocka_unit_test(one_changed_bit_of_an_answer_is_seen),
        cmocka_unit_test(answer_to_another_request_is_seen),
        books_test(journal_is_seen_by_whoever_maps_it),
        books_test(journal_that_is_full_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
