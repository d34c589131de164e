// test_drill_outage.c - does a drill see how long clients waited, two halves at once, what is
// stale?

#include "journal_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REQUESTS_MAX = 16, LOADS = 2, MS = 1000000 };

struct books {
    struct journal_rig rig;
    struct drill_request requests[LOADS][REQUESTS_MAX];
    struct drill_load loads[LOADS];
};

static int
set_up(void **state)
{
    struct books *books = calloc(1, sizeof *books);
    assert_non_null(books);
    journal_rig_open(&books->rig);
    for (uint32_t i = 0; i < LOADS; i++) {
        books->loads[i].number = i + 1; // as the stage has it
        books->loads[i].requests = books->requests[i];
    }
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

// call adds a request of a load that was answered under an epoch.
static struct drill_request *
call(struct books *books, uint32_t load, uint64_t sent_ms, uint64_t ended_ms, uint64_t epoch)
{
    struct drill_load *self = &books->loads[load];
    struct drill_request *request = &self->requests[self->sent++];
    *request = (struct drill_request){
        .sent_ns = sent_ms * MS, .ended_ns = ended_ms * MS, .epoch = epoch, .result = GALLEON_OK};
    return request;
}

static void
run(struct books *books, uint64_t key, uint32_t worker, uint64_t began_ms, uint64_t epoch)
{
    uint32_t at = drill_journal_begin(books->rig.journal, key, worker, 1, epoch);
    atomic_store(&books->rig.journal->runs[at].began_ns, began_ms * MS);
}

static uint32_t
dual(const struct books *books)
{
    return drill_count_dual(books->rig.journal, books->loads, LOADS);
}

// ---- outages ----------------------------------------------------------------------------------

static void
outage_is_the_longest_time_between_two_answers_of_which_one_came_after_the_harm(void **state)
{
    struct books *books = *state;
    call(books, 0, 1, 2, 0);
    call(books, 0, 2, 100, 0); // long, and before it
    call(books, 0, 100, 140, 0);
    call(books, 0, 140, 150, 0);
    assert_true(drill_outage_ms(&books->loads[0], 120 * MS, false) == 40);
    assert_true(drill_outage_ms(&books->loads[0], 120 * MS, true) == 20);
    assert_true(drill_outage_ms(&books->loads[0], 150 * MS, false) == 0);
}

static void
request_that_was_not_answered_ends_no_outage(void **state)
{
    struct books *books = *state;
    call(books, 0, 1, 10, 0);
    call(books, 0, 10, 20, 0)->result = GALLEON_TIMED_OUT;
    call(books, 0, 20, 50, 0);
    assert_true(drill_outage_ms(&books->loads[0], 15 * MS, false) == 40);
}

// ---- two at once --------------------------------------------------------------------------------

static void
one_epoch_after_another_is_no_duel(void **state)
{
    struct books *books = *state;
    run(books, 1, 1, 1, 3);
    run(books, 2, 1, 2, 4);
    run(books, 3, 2, 3, 3); // another worker had it already
    run(books, 4, 1, 4, 0); // nobody says
    call(books, 0, 1, 10, 3);
    call(books, 1, 5, 11, 4);
    call(books, 0, 10, 12, 4); // sent before an answer of 4 was there, and after
    call(books, 1, 11, 12, 0);
    assert_int_equal(dual(books), 0);
}

static void
worker_that_begins_for_an_older_epoch_after_a_newer_is_seen(void **state)
{
    struct books *books = *state;
    run(books, 1, 1, 1, 4);
    run(books, 2, 1, 2, 3);
    assert_int_equal(dual(books), 1);
}

static void
client_that_is_answered_by_an_older_epoch_after_a_newer_is_seen(void **state)
{
    struct books *books = *state;
    call(books, 0, 1, 10, 4);
    call(books, 0, 10, 20, 3);
    assert_int_equal(dual(books), 1);
}

static void
older_epoch_that_answers_what_was_sent_after_an_answer_of_a_newer_is_seen(void **state)
{
    struct books *books = *state;
    call(books, 0, 1, 10, 4);
    call(books, 1, 9, 20, 3); // sent before that: it may have gone to who served then
    assert_int_equal(dual(books), 0);
    call(books, 1, 20, 30, 3);
    assert_int_equal(dual(books), 1);
}

static void
run_under_no_epoch_of_a_worker_that_knows_them_is_seen(void **state)
{
    struct books *books = *state;
    run(books, 1, 1, 1, 3);
    run(books, 2, 4, 2, 0);
    assert_int_equal(drill_count_bare(books->rig.journal, 3), 0);
    run(books, 3, 3, 3, 0);
    assert_int_equal(drill_count_bare(books->rig.journal, 3), 1);
}

// ---- what came too late
// ---------------------------------------------------------------------------

static void
run_of_what_was_answered_before_is_stale(void **state)
{
    struct books *books = *state;
    uint32_t fenced = 7;
    call(books, 0, 1, 10, 0);
    call(books, 1, 1, 10, 0);
    call(books, 1, 10, 40, 0);                                // answered after it
    run(books, drill_load_key(&books->loads[0], 0), 1, 5, 1); // before it
    run(books, drill_load_key(&books->loads[1], 1), 1, 35, 2);
    run(books, UINT64_MAX, 1, 35, 2); // of nobody
    assert_int_equal(drill_count_stale(books->rig.journal, books->loads, LOADS, 30 * MS, &fenced),
                     0);
    assert_int_equal(fenced, 0);
    run(books, drill_load_key(&books->loads[0], 0), 4, 31, 0);
    run(books, drill_load_key(&books->loads[1], 0), 1, 32, 1);
    assert_int_equal(drill_count_stale(books->rig.journal, books->loads, LOADS, 30 * MS, &fenced),
                     2);
    assert_int_equal(fenced, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(outage_is_the_longest_time_between_two_answers_of_which_one_came_after_the_harm),
        TEST(request_that_was_not_answered_ends_no_outage),
        TEST(one_epoch_after_another_is_no_duel),
        TEST(worker_that_begins_for_an_older_epoch_after_a_newer_is_seen),
        TEST(client_that_is_answered_by_an_older_epoch_after_a_newer_is_seen),
        TEST(older_epoch_that_answers_what_was_sent_after_an_answer_of_a_newer_is_seen),
        TEST(run_under_no_epoch_of_a_worker_that_knows_them_is_seen),
        TEST(run_of_what_was_answered_before_is_stale),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
