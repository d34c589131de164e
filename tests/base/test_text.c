// test_text.c - what fits is there, what does not is left out, and numbers are decimal.

#include "text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t memory[64];

static struct text
new_text(size_t capacity)
{
    struct text text;
    text_init(&text, memory, capacity);
    return text;
}

#define assert_text(text, literal) assert_true(view_equals(text_view(text), VIEW_LITERAL(literal)))

static void
pieces_stand_one_after_another(void **state)
{
    (void)state;
    struct text text = new_text(sizeof memory);
    text_add(&text, VIEW_LITERAL("echo"));
    text_add_char(&text, '\t');
    text_add_number(&text, 12);
    assert_text(&text, "echo\t12");
    assert_false(text.is_cut);
}

static void
text_may_fill_its_memory(void **state)
{
    (void)state;
    struct text text = new_text(4);
    text_add(&text, VIEW_LITERAL("echo"));
    assert_text(&text, "echo");
    assert_false(text.is_cut);
}

static void
piece_that_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    struct text text = new_text(6);
    text_add(&text, VIEW_LITERAL("echo"));
    text_add(&text, VIEW_LITERAL("abc"));
    assert_text(&text, "echo");
    assert_true(text.is_cut);
}

static void
text_stays_cut_when_a_later_piece_fits(void **state)
{
    (void)state;
    struct text text = new_text(2);
    text_add_number(&text, 100);
    text_add_char(&text, 'a');
    assert_text(&text, "a");
    assert_true(text.is_cut);
}

static void
bytes_beyond_the_capacity_are_not_touched(void **state)
{
    (void)state;
    memory[4] = 0xEE;
    struct text text = new_text(4);
    for (int i = 0; i < 10; i++)
        text_add_char(&text, 'x');
    assert_int_equal(memory[4], 0xEE);
    assert_int_equal(text.size, 4);
}

static void
empty_piece_fits_everywhere(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, NULL, 0);
    text_add(&text, VIEW_NONE);
    assert_int_equal(text.size, 0);
    assert_false(text.is_cut);
}

static void
least_and_greatest_number_are_written_in_full(void **state)
{
    (void)state;
    struct text text = new_text(sizeof memory);
    text_add_number(&text, 0);
    text_add_char(&text, ' ');
    text_add_number(&text, UINT64_MAX);
    assert_text(&text, "0 18446744073709551615");
}

static void
nul_is_a_byte_like_any_other(void **state)
{
    (void)state;
    struct text text = new_text(sizeof memory);
    text_add(&text, VIEW_LITERAL("a\0b"));
    assert_text(&text, "a\0b");
}

static void
digits_are_a_number(void **state)
{
    (void)state;
    uint64_t number = 1;
    assert_true(text_parse_number(VIEW_LITERAL("0"), &number));
    assert_int_equal(number, 0);
    assert_true(text_parse_number(VIEW_LITERAL("0042"), &number));
    assert_int_equal(number, 42);
    assert_true(text_parse_number(VIEW_LITERAL("9999999999999999999"), &number));
    assert_true(number == 9999999999999999999u);
}

static void
anything_else_is_no_number(void **state)
{
    (void)state;
    const struct view wrong[] = {
        VIEW_NONE,
        VIEW_LITERAL(""),
        VIEW_LITERAL("-1"),
        VIEW_LITERAL("+1"),
        VIEW_LITERAL(" 1"),
        VIEW_LITERAL("1 "),
        VIEW_LITERAL("1\0"),
        VIEW_LITERAL("0x1"),
        VIEW_LITERAL("1e3"),
        VIEW_LITERAL("1/2"),
        VIEW_LITERAL("1:"),
        VIEW_LITERAL("10000000000000000000"),
        VIEW_LITERAL("00000000000000000001"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t number = 7;
        assert_false(text_parse_number(wrong[i], &number));
        assert_int_equal(number, 7);
    }
}

static void
character_of_utf8_has_one_to_four_bytes(void **state)
{
    (void)state;
    static const struct {
        struct view text;
        size_t bytes;
    } rows[] = {
        {VIEW_LITERAL("a"), 1},
        {VIEW_LITERAL("\0"), 1},
        {VIEW_LITERAL("\x7f"), 1},
        {VIEW_LITERAL("\302\200x"), 2},
        {VIEW_LITERAL("\337\277"), 2},
        {VIEW_LITERAL("\340\240\200"), 3},
        {VIEW_LITERAL("\355\237\277"), 3},
        {VIEW_LITERAL("\357\277\277"), 3},
        {VIEW_LITERAL("\360\220\200\200"), 4},
        {VIEW_LITERAL("\364\217\277\277x"), 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(text_utf8_bytes(rows[i].text), rows[i].bytes);
}

static void
anything_else_is_no_character(void **state)
{
    (void)state;
    static const struct view wrong[] = {
        {NULL, 0},
        VIEW_LITERAL("\200"),
        VIEW_LITERAL("\277"),
        VIEW_LITERAL("\301\277"),
        VIEW_LITERAL("\302"),
        VIEW_LITERAL("\302a"),
        VIEW_LITERAL("\340\237\277"),
        VIEW_LITERAL("\340\240"),
        VIEW_LITERAL("\340\240a"),
        VIEW_LITERAL("\355\240\200"),
        VIEW_LITERAL("\360\217\277\277"),
        VIEW_LITERAL("\364\220\200\200"),
        VIEW_LITERAL("\365\200\200\200"),
        VIEW_LITERAL("\377"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(text_utf8_bytes(wrong[i]), 0);
}

static void
text_of_a_peer_becomes_a_string_for_people(void **state)
{
    (void)state;
    char to[8];
    text_copy(to, sizeof to, VIEW_LITERAL("a\033\xC2\x9B\xFF\xC3\xA4"));
    assert_string_equal(to, "a???\xC3\xA4");
    text_copy(to, sizeof to, VIEW_LITERAL("123456\xC3\xA4"));
    assert_string_equal(to, "123456");
    text_copy(to, sizeof to, VIEW_LITERAL("1234567890"));
    assert_string_equal(to, "1234567");
    text_copy(to, sizeof to, VIEW_NONE);
    assert_string_equal(to, "");
}

static void
utf8_is_well_formed_to_its_end(void **state)
{
    (void)state;
    assert_true(text_is_utf8(VIEW_NONE));
    assert_true(text_is_utf8(VIEW_LITERAL("a\n\xC3\xA4\xF0\x9F\x98\x80")));
    assert_false(text_is_utf8(VIEW_LITERAL("a\xC3")));
    assert_false(text_is_utf8(VIEW_LITERAL("\xED\xA0\x80")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_stand_one_after_another),
        cmocka_unit_test(text_may_fill_its_memory),
        cmocka_unit_test(piece_that_does_not_fit_is_left_out_whole),
        cmocka_unit_test(text_stays_cut_when_a_later_piece_fits),
        cmocka_unit_test(bytes_beyond_the_capacity_are_not_touched),
        cmocka_unit_test(empty_piece_fits_everywhere),
        cmocka_unit_test(least_and_greatest_number_are_written_in_full),
        cmocka_unit_test(nul_is_a_byte_like_any_other),
        cmocka_unit_test(digits_are_a_number),
        cmocka_unit_test(anything_else_is_no_number),
        cmocka_unit_test(character_of_utf8_has_one_to_four_bytes),
        cmocka_unit_test(anything_else_is_no_character),
        cmocka_unit_test(text_of_a_peer_becomes_a_string_for_people),
        cmocka_unit_test(utf8_is_well_formed_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
