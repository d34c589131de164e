// test_bstar_guarded_search.c - every mix of faults of three members, to a bound.

#include "bstar_guarded_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STATES_MAX = 4000000, SEEDS = 10 };

static void
search(enum guarded_beginning beginning, uint32_t faults, uint32_t words)
{
    struct guarded_world world;
    guarded_world_init(&world, beginning, faults, words);
    struct search_result result = search_all(&guarded_model, &world, STATES_MAX, false);
    printf("%u faults, %u words: %zu states, %zu transitions, %zu deep\n", faults, words,
           result.states, result.transitions, result.depth);
    assert_null(result.broken);
    assert_true(result.is_whole);
}

static void
one_fault_from_the_start_gives_no_two_leases(void **state)
{
    (void)state;
    search(GUARDED_COLD, 1, 0);
}

static void
two_faults_of_a_pair_that_serves_give_no_two_leases(void **state)
{
    (void)state;
    if (!SEARCHES_ALL)
        skip();
    search(GUARDED_SETTLED, 2, 0);
}

static void
one_more_fault_of_halves_that_are_apart_gives_no_two_leases(void **state)
{
    (void)state;
    search(GUARDED_APART, 1, 0);
}

// The smallest search in which a lease that is counted from receipt shows. (It takes long.)
static void
two_more_faults_of_halves_that_are_apart_give_no_two_leases(void **state)
{
    (void)state;
    if (getenv("GALLEON_LONG") == NULL)
        skip();
    search(GUARDED_APART, 2, 0);
}

static void
one_fault_of_halves_with_a_store_gives_no_two_leases(void **state)
{
    (void)state;
    search(GUARDED_STORE, 1, 1);
}

static void
operator_may_say_a_word_before_or_after_a_fault(void **state)
{
    (void)state;
    search(GUARDED_SETTLED, 1, 1);
}

static void
walks_of_many_faults_with_clocks_that_drift_keep_every_property(void **state)
{
    (void)state;
    struct guarded_world world;
    guarded_world_init(&world, GUARDED_FINE, UINT32_MAX, UINT32_MAX);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct search_result result =
            search_random(&guarded_model, &world, guarded_weight, seed, 20, 3000, false);
        assert_null(result.broken);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_fault_from_the_start_gives_no_two_leases),
        cmocka_unit_test(two_faults_of_a_pair_that_serves_give_no_two_leases),
        cmocka_unit_test(one_more_fault_of_halves_that_are_apart_gives_no_two_leases),
        cmocka_unit_test(two_more_faults_of_halves_that_are_apart_give_no_two_leases),
        cmocka_unit_test(one_fault_of_halves_with_a_store_gives_no_two_leases),
        cmocka_unit_test(operator_may_say_a_word_before_or_after_a_fault),
        cmocka_unit_test(walks_of_many_faults_with_clocks_that_drift_keep_every_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
