// test_bstar_classic_search.c - every mix of two faults, in every order, with every client.

#include "bstar_classic_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { STATES_MAX = 4000000, SEEDS = 10 };

static void
search(uint32_t faults, uint32_t words, bool is_settled)
{
    struct classic_world world;
    classic_world_init(&world, faults, words, is_settled);
    struct search_result result = search_all(&classic_model, &world, STATES_MAX, false);
    printf("%u faults, %u words: %zu states, %zu transitions, %zu deep\n", faults, words,
           result.states, result.transitions, result.depth);
    assert_null(result.broken);
    assert_true(result.is_whole);
}

static void
two_faults_from_the_start_settle_in_one_active_half(void **state)
{
    (void)state;
    search(2, 0, false);
}

static void
two_faults_of_a_pair_that_serves_settle_in_one_active_half(void **state)
{
    (void)state;
    search(2, 0, true);
}

static void
three_faults_of_a_pair_that_serves_settle_in_one_active_half(void **state)
{
    (void)state;
    if (!SEARCHES_ALL)
        skip();
    search(3, 0, true);
}

static void
operator_may_say_two_words_amid_a_fault(void **state)
{
    (void)state;
    search(1, 2, true);
}

static void
walks_of_many_faults_settle_in_one_active_half(void **state)
{
    (void)state;
    struct classic_world world;
    classic_world_init(&world, UINT32_MAX, UINT32_MAX, false);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct search_result result =
            search_random(&classic_model, &world, classic_weight, seed, 20, 3000, false);
        assert_null(result.broken);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_faults_from_the_start_settle_in_one_active_half),
        cmocka_unit_test(two_faults_of_a_pair_that_serves_settle_in_one_active_half),
        cmocka_unit_test(three_faults_of_a_pair_that_serves_settle_in_one_active_half),
        cmocka_unit_test(walks_of_many_faults_settle_in_one_active_half),
        cmocka_unit_test(operator_may_say_two_words_amid_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
