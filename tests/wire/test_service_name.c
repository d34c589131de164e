// test_service_name.c - a name is printable UTF-8 of 1 to 255 bytes.

#include "service_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// is_valid asks about a copy in a block of exactly its size.
static bool
is_valid(struct view name)
{
    uint8_t *block = malloc(name.size + 1);
    if (name.size > 0)
        memcpy(block + 1, name.data, name.size);
    bool valid = service_name_is_valid(view_of(block + 1, name.size));
    free(block);
    return valid;
}

// encode writes a code point as UTF-8 would, surrogates too; returns its size.
static size_t
encode(uint32_t point, size_t size, uint8_t *to)
{
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    if (size == 1) {
        to[0] = (uint8_t)point;
        return 1;
    }
    for (size_t i = size; i-- > 1; point >>= 6)
        to[i] = (uint8_t)(0x80 | (point & 0x3F));
    to[0] = (uint8_t)(leads[size] | point);
    return size;
}

static size_t
size_of(uint32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

static void
plain_names_are_valid(void **state)
{
    (void)state;
    assert_true(is_valid(VIEW_LITERAL("echo")));
    assert_true(is_valid(VIEW_LITERAL(" ")));
    assert_true(is_valid(VIEW_LITERAL("my service/v2")));
    assert_true(is_valid(VIEW_LITERAL("Gr\xC3\xB6\xC3\x9F"
                                      "e")));
}

static void
name_has_at_least_one_byte(void **state)
{
    (void)state;
    assert_false(is_valid(VIEW_LITERAL("")));
    assert_false(service_name_is_valid(VIEW_NONE));
}

static void
name_has_at_most_255_bytes(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'a', sizeof name);
    assert_true(is_valid(view_of(name, 255)));
    assert_false(is_valid(view_of(name, 256)));
}

static void
character_may_not_be_cut_at_the_end_of_255_bytes(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'a', sizeof name);
    memcpy(name + 253, "\xC3\xB6", 2);
    assert_true(is_valid(view_of(name, 255)));
    memcpy(name + 254, "\xC3\xB6", 2);
    assert_false(is_valid(view_of(name, 255)));
}

static void
every_code_point_is_valid_but_for_controls_and_surrogates(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        bool is_control = point < 0x20 || (point >= 0x7F && point <= 0x9F);
        bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
        uint8_t bytes[4];
        size_t size = encode(point, size_of(point), bytes);
        if (service_name_is_valid(view_of(bytes, size)) != !(is_control || is_surrogate))
            fail_msg("U+%04X", point);
    }
}

static void
code_points_beyond_the_last_are_refused(void **state)
{
    (void)state;
    for (uint32_t point = 0x110000; point <= 0x1FFFFF; point++) {
        uint8_t bytes[4];
        if (service_name_is_valid(view_of(bytes, encode(point, 4, bytes))))
            fail_msg("U+%04X", point);
    }
}

static void
overlong_characters_are_refused(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x10000; point++) {
        for (size_t size = size_of(point) + 1; size <= 4; size++) {
            uint8_t bytes[4];
            if (service_name_is_valid(view_of(bytes, encode(point, size, bytes))))
                fail_msg("U+%04X in %zu bytes", point, size);
        }
    }
}

static void
characters_cut_short_are_refused(void **state)
{
    (void)state;
    static const uint32_t points[] = {0xA0, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        uint8_t bytes[5];
        size_t size = encode(points[i], size_of(points[i]), bytes);
        assert_true(is_valid(view_of(bytes, size)));
        for (size_t cut = 1; cut < size; cut++) {
            assert_false(is_valid(view_of(bytes, cut)));
            uint8_t followed[5];
            memcpy(followed, bytes, cut);
            followed[cut] = 'a';
            assert_false(is_valid(view_of(followed, cut + 1)));
        }
    }
}

static void
bytes_that_begin_no_character_are_refused(void **state)
{
    (void)state;
    for (int byte = 0x80; byte <= 0xFF; byte++) {
        if (byte >= 0xC2 && byte <= 0xF4)
            continue;
        const uint8_t name[] = {'a', (uint8_t)byte, 0xA0, 0xA0, 0xA0};
        assert_false(is_valid(view_of(name, sizeof name)));
    }
}

static void
control_anywhere_spoils_a_name(void **state)
{
    (void)state;
    assert_false(is_valid(VIEW_LITERAL("echo\0x")));
    assert_false(is_valid(VIEW_LITERAL("\0")));
    assert_false(is_valid(VIEW_LITERAL("echo\n")));
    assert_false(is_valid(VIEW_LITERAL("\techo")));
    assert_false(is_valid(VIEW_LITERAL("ec\x7Fho")));
    assert_false(is_valid(VIEW_LITERAL("echo\xC2\x85")));
}

static void
names_that_begin_with_mmi_and_a_dot_are_reserved(void **state)
{
    (void)state;
    assert_true(service_name_is_reserved(VIEW_LITERAL("mmi.")));
    assert_true(service_name_is_reserved(VIEW_LITERAL("mmi.service")));
    assert_false(service_name_is_reserved(VIEW_LITERAL("mmi")));
    assert_false(service_name_is_reserved(VIEW_LITERAL("MMI.service")));
    assert_false(service_name_is_reserved(VIEW_LITERAL("a.mmi.")));
    assert_false(service_name_is_reserved(VIEW_NONE));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_names_are_valid),
        cmocka_unit_test(name_has_at_least_one_byte),
        cmocka_unit_test(name_has_at_most_255_bytes),
        cmocka_unit_test(character_may_not_be_cut_at_the_end_of_255_bytes),
        cmocka_unit_test(every_code_point_is_valid_but_for_controls_and_surrogates),
        cmocka_unit_test(code_points_beyond_the_last_are_refused),
        cmocka_unit_test(overlong_characters_are_refused),
        cmocka_unit_test(characters_cut_short_are_refused),
        cmocka_unit_test(bytes_that_begin_no_character_are_refused),
        cmocka_unit_test(control_anywhere_spoils_a_name),
        cmocka_unit_test(names_that_begin_with_mmi_and_a_dot_are_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
