// test_process.c - what a daemon does about itself. Without sanitizers: their malloc is another.

#include "process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { PACKS = 8, PACK_BYTES = 300 << 10, ROUNDS = 100, PAGE_BYTES = 4096 };

static long
faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

static void
use_packs(void)
{
    char *volatile packs[PACKS];
    for (int i = 0; i < PACKS; i++) {
        packs[i] = malloc(PACK_BYTES);
        assert_non_null(packs[i]);
        memset(packs[i], i, PACK_BYTES);
    }
    for (int i = 0; i < PACKS; i++)
        free(packs[i]);
}

static void
packs_that_come_again_have_their_pages(void **state)
{
    (void)state;
    process_init("test_process");
    use_packs();
    long before = faults();
    for (int i = 0; i < ROUNDS; i++)
        use_packs();
    // Given back each time they would all be faulted in again, in each round.
    assert_in_range(faults() - before, 0, PACKS * PACK_BYTES / PAGE_BYTES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(packs_that_come_again_have_their_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
