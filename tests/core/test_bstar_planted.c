// test_bstar_planted.c - who tests the searches: bugs that are in the cores on purpose.
//
// Built of copies of bstar_core with plant.py's bugs behind a switch. Each has to be
// found by the searches, and none that is not there.

#include "bstar_classic_world.h"
#include "bstar_guarded_world.h"
#include "plants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { STATES_MAX = 500000, STILL_CLOCK = 4 };

// Where a bug of guarded has to be found: the smallest of the searches that does.
static const struct hunt {
    uint32_t number;
    enum guarded_beginning beginning;
    uint32_t faults;
    uint32_t words;
} hunts[] = {
    // The five mutants of reliability, and the two more.
    {1, GUARDED_APART, 2, 0},
    {2, GUARDED_SETTLED, 1, 0},
    {3, GUARDED_SETTLED, 1, 0},
    {STILL_CLOCK, GUARDED_SETTLED, 1, 0},
    {5, GUARDED_SETTLED, 2, 0},
    {6, GUARDED_APART, 1, 1},
    {7, GUARDED_SETTLED, 2, 0},
    // Further ones.
    {8, GUARDED_SETTLED, 2, 0},
    {9, GUARDED_SETTLED, 1, 0},
    {10, GUARDED_SETTLED, 1, 0},
    {11, GUARDED_APART, 1, 0},
};

static const char *
search_guarded(const struct hunt *hunt)
{
    struct guarded_world world;
    guarded_world_init(&world, hunt->beginning, hunt->faults, hunt->words);
    world.has_still_clock = hunt->number == STILL_CLOCK;
    world.forgives_bugs = true; // a property has to break
    return search_all(&guarded_model, &world, STATES_MAX, true).broken;
}

static const char *
search_classic(bool is_settled)
{
    struct classic_world world;
    classic_world_init(&world, 2, 0, is_settled);
    return search_all(&classic_model, &world, STATES_MAX, true).broken;
}

static bool
is_found(uint32_t number, const char *broken)
{
    printf("%3u %s\n", number, broken != NULL ? broken : "NOT FOUND");
    return broken != NULL;
}

static void
each_bug_of_guarded_is_found(void **state)
{
    (void)state;
    size_t missed = 0;
    for (size_t i = 0; i < sizeof hunts / sizeof *hunts; i++) {
        assert_true(plants_switch_on(hunts[i].number));
        missed += !is_found(hunts[i].number, search_guarded(&hunts[i]));
    }
    assert_int_equal(missed, 0);
}

static void
each_bug_of_classic_is_found(void **state)
{
    (void)state;
    size_t missed = 0;
    for (uint32_t number = 20; number <= 24; number++) {
        assert_true(plants_switch_on(number));
        const char *broken = search_classic(true);
        missed += !is_found(number, broken != NULL ? broken : search_classic(false));
    }
    assert_int_equal(missed, 0);
}

static void
copies_without_a_bug_have_none(void **state)
{
    (void)state;
    assert_true(plants_switch_on(0));
    struct hunt hunt = {0, GUARDED_SETTLED, 1, 1};
    assert_null(search_guarded(&hunt));
    assert_null(search_classic(true));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bug_of_guarded_is_found),
        cmocka_unit_test(each_bug_of_classic_is_found),
        cmocka_unit_test(copies_without_a_bug_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
