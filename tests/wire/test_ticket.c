// test_ticket.c - a ticket survives its way through text, and other text is none.

#include "ticket.h"

#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct ticket example = {{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
                                       0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF}};

// parse reads from a block of exactly the text's size.
static bool
parse(const char *text, size_t size, struct ticket *out)
{
    uint8_t *block = malloc(size + 1);
    memcpy(block + 1, text, size);
    bool is_ticket = ticket_from_text(view_of(block + 1, size), out);
    free(block);
    return is_ticket;
}

static void
example_is_written_as_its_text(void **state)
{
    (void)state;
    uint8_t text[TICKET_TEXT_BYTES];
    ticket_to_text(&example, text);
    assert_memory_equal(text, "004i6l1FaNMN2V62bz3kbhrb", TICKET_TEXT_BYTES);
}

static void
example_is_read_from_its_text(void **state)
{
    (void)state;
    struct ticket ticket;
    assert_true(parse("004i6l1FaNMN2V62bz3kbhrb", TICKET_TEXT_BYTES, &ticket));
    assert_true(ticket_equals(&ticket, &example));
}

static void
any_ticket_survives_its_way_through_text(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, (const uint8_t[32]){3}, 0);
    for (int i = 0; i < 10000; i++) {
        struct ticket ticket, again;
        uint8_t text[TICKET_TEXT_BYTES];
        uint64_t halves[2] = {prng_next(&prng), prng_next(&prng)};
        memcpy(ticket.bytes, halves, TICKET_BYTES);
        ticket_to_text(&ticket, text);
        assert_true(ticket_from_text(view_of(text, sizeof text), &again));
        assert_true(ticket_equals(&ticket, &again));
    }
}

static void
least_and_greatest_words_survive(void **state)
{
    (void)state;
    struct ticket ticket;
    assert_true(parse("0000004gfFC34gfFC3000000", TICKET_TEXT_BYTES, &ticket));
    const struct ticket expected = {
        {0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}};
    assert_true(ticket_equals(&ticket, &expected));
}

static void
word_of_two_to_the_thirty_two_or_more_is_refused(void **state)
{
    (void)state;
    struct ticket ticket;
    assert_false(parse("4gfFC4000000000000000000", TICKET_TEXT_BYTES, &ticket));
    assert_false(parse("0000004gfFC4000000000000", TICKET_TEXT_BYTES, &ticket));
    assert_false(parse("0000000000000000004gfFC4", TICKET_TEXT_BYTES, &ticket));
    assert_false(parse("zzzzzzzzzzzzzzzzzzzzzzzz", TICKET_TEXT_BYTES, &ticket));
}

static void
text_of_another_length_is_refused(void **state)
{
    (void)state;
    struct ticket ticket;
    assert_false(parse("", 0, &ticket));
    assert_false(parse("004i6l1FaNMN2V62bz3kbhr", TICKET_TEXT_BYTES - 1, &ticket));
    assert_false(parse("004i6l1FaNMN2V62bz3kbhrb0", TICKET_TEXT_BYTES + 1, &ticket));
    assert_false(ticket_from_text(VIEW_NONE, &ticket));
}

static void
only_letters_and_digits_are_taken_in_any_place(void **state)
{
    (void)state;
    for (int place = 0; place < TICKET_TEXT_BYTES; place++) {
        for (int byte = 0; byte <= 255; byte++) {
            char text[TICKET_TEXT_BYTES + 1] = "000000000000000000000000";
            text[place] = (char)byte;
            bool is_digit = byte >= '0' && byte <= '9';
            bool is_letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
            // The first digit of a word goes to 4: 5 * 62^5 is beyond 2^32.
            bool fits = place % 6 != 0 || (byte >= '0' && byte <= '4');
            struct ticket ticket;
            assert_int_equal(parse(text, TICKET_TEXT_BYTES, &ticket),
                             (is_digit || is_letter) && fits);
        }
    }
}

static void
tickets_that_differ_in_one_bit_are_not_equal(void **state)
{
    (void)state;
    for (int bit = 0; bit < 8 * TICKET_BYTES; bit++) {
        struct ticket other = example;
        other.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ticket_equals(&example, &other));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_is_written_as_its_text),
        cmocka_unit_test(example_is_read_from_its_text),
        cmocka_unit_test(any_ticket_survives_its_way_through_text),
        cmocka_unit_test(least_and_greatest_words_survive),
        cmocka_unit_test(word_of_two_to_the_thirty_two_or_more_is_refused),
        cmocka_unit_test(text_of_another_length_is_refused),
        cmocka_unit_test(only_letters_and_digits_are_taken_in_any_place),
        cmocka_unit_test(tickets_that_differ_in_one_bit_are_not_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
