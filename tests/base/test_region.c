// test_region.c - what was counted is what is cut.

#include "region.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIECES = 5 };

static const size_t sizes[PIECES] = {1, 64, 65, 0, 100};

static size_t
cut_all(struct region *self, uint8_t **pieces)
{
    for (int i = 0; i < PIECES; i++)
        pieces[i] = region_cut(self, sizes[i]);
    return self->used;
}

static void
region_without_memory_counts_only(void **state)
{
    (void)state;
    struct region region = {0};
    uint8_t *pieces[PIECES];
    assert_true(cut_all(&region, pieces) >= 230);
    for (int i = 0; i < PIECES; i++)
        assert_null(pieces[i]);
}

static void
cutting_uses_what_was_counted(void **state)
{
    (void)state;
    struct region count = {0};
    uint8_t *pieces[PIECES];
    size_t bytes = cut_all(&count, pieces);
    // A block of exactly this size, so that a write past its end is seen.
    struct region region = {.memory = malloc(bytes)};
    assert_int_equal(cut_all(&region, pieces), bytes);
    for (int i = 0; i < PIECES; i++)
        memset(pieces[i], i, sizes[i]);
    for (int i = 0; i < PIECES; i++)
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(pieces[i][at], i);
    free(region.memory);
}

static void
pieces_begin_on_a_cache_line_of_their_own(void **state)
{
    (void)state;
    static _Alignas(64) uint8_t memory[1024];
    struct region region = {.memory = memory};
    uint8_t *pieces[PIECES];
    cut_all(&region, pieces);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal((uintptr_t)pieces[i] % 64, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(region_without_memory_counts_only),
        cmocka_unit_test(cutting_uses_what_was_counted),
        cmocka_unit_test(pieces_begin_on_a_cache_line_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
