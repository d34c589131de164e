// test_bytes.c - numbers on the wire begin with their highest byte.

#include "bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t bytes[] = {0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10};

static void
highest_byte_is_read_first(void **state)
{
    (void)state;
    assert_int_equal(bytes_get16(bytes), 0xFEDC);
    assert_int_equal(bytes_get32(bytes), 0xFEDCBA98);
    assert_true(bytes_get64(bytes) == 0xFEDCBA9876543210u);
}

static void
highest_byte_is_written_first(void **state)
{
    (void)state;
    uint8_t to[8];
    bytes_put16(to, 0xFEDC);
    assert_memory_equal(to, bytes, 2);
    bytes_put32(to, 0xFEDCBA98);
    assert_memory_equal(to, bytes, 4);
    bytes_put64(to, 0xFEDCBA9876543210u);
    assert_memory_equal(to, bytes, 8);
}

static void
put_returns_the_byte_after_its_number(void **state)
{
    (void)state;
    uint8_t to[14];
    assert_ptr_equal(bytes_put64(bytes_put32(bytes_put16(to, 1), 2), 3), to + sizeof to);
    assert_int_equal(bytes_get16(to), 1);
    assert_int_equal(bytes_get32(to + 2), 2);
    assert_int_equal(bytes_get64(to + 6), 3);
}

static void
numbers_need_no_alignment_and_no_byte_more(void **state)
{
    (void)state;
    uint8_t *to = malloc(15);
    bytes_put16(bytes_put32(bytes_put64(to + 1, UINT64_MAX), 1), UINT16_MAX);
    assert_true(bytes_get64(to + 1) == UINT64_MAX);
    assert_int_equal(bytes_get32(to + 9), 1);
    assert_int_equal(bytes_get16(to + 13), UINT16_MAX);
    free(to);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(highest_byte_is_read_first),
        cmocka_unit_test(highest_byte_is_written_first),
        cmocka_unit_test(put_returns_the_byte_after_its_number),
        cmocka_unit_test(numbers_need_no_alignment_and_no_byte_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
