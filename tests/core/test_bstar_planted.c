// test_bstar_planted.c - who tests the searches: bugs that are in the cores on purpose.
//
// Built of copies of bstar_core with bstar_plant.py's bugs behind a switch. Each has to be
// found by the searches, and none that is not there.

#include "bstar_classic_world.h"
#include "bstar_guarded_world.h"
#include "plants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { STATES_MAX = 500000, STILL_CLOCK = 4 };

static const char *
search_guarded(uint32_t number, enum guarded_beginning beginning, uint32_t faults, uint32_t words)
{
    struct guarded_world world;
    guarded_world_init(&world, beginning, faults, words);
    world.has_still_clock = number == STILL_CLOCK;
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

// hunt goes from small searches to larger ones.
static const char *
hunt_guarded(uint32_t number)
{
    const char *broken = search_guarded(number, GUARDED_SETTLED, 1, 0);
    if (broken == NULL)
        broken = search_guarded(number, GUARDED_APART, 1, 0);
    if (broken == NULL)
        broken = search_guarded(number, GUARDED_SETTLED, 1, 1);
    if (broken == NULL)
        broken = search_guarded(number, GUARDED_APART, 1, 1);
    if (broken == NULL)
        broken = search_guarded(number, GUARDED_SETTLED, 2, 0);
    if (broken == NULL)
        broken = search_guarded(number, GUARDED_APART, 2, 0);
    return broken;
}

static const char *
hunt_classic(uint32_t number)
{
    (void)number;
    const char *broken = search_classic(true);
    return broken != NULL ? broken : search_classic(false);
}

static void
find(const char *(*hunt)(uint32_t number), uint32_t first, uint32_t last)
{
    uint32_t missed = 0;
    for (uint32_t number = first; number <= last; number++) {
        assert_true(plants_switch_on(number));
        const char *broken = hunt(number);
        printf("%3u %s\n", number, broken != NULL ? broken : "NOT FOUND");
        missed += broken == NULL;
    }
    plants_switch_on(0);
    assert_int_equal(missed, 0);
}

static void
each_mutant_of_reliability_is_found(void **state)
{
    (void)state;
    find(hunt_guarded, 1, 7);
}

static void
each_further_bug_of_guarded_is_found(void **state)
{
    (void)state;
    find(hunt_guarded, 8, 11);
}

static void
each_bug_of_classic_is_found(void **state)
{
    (void)state;
    find(hunt_classic, 20, 24);
}

static void
copies_without_a_bug_have_none(void **state)
{
    (void)state;
    assert_true(plants_switch_on(0));
    assert_null(search_guarded(0, GUARDED_SETTLED, 1, 1));
    assert_null(search_classic(true));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mutant_of_reliability_is_found),
        cmocka_unit_test(each_further_bug_of_guarded_is_found),
        cmocka_unit_test(each_bug_of_classic_is_found),
        cmocka_unit_test(copies_without_a_bug_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
