// test_bstar_wire.c - what members of a pair say, row by row of the pages, and their record.

#include "bstar_wire.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE       GALLEON_SOURCE_DIR "/docs/protocol/bstar.md"
#define GUIDE_PAGE GALLEON_SOURCE_DIR "/docs/protocol/vectors.md"

static struct vector *rows;

static int
read_page(void **state)
{
    (void)state;
    rows = vectors_read(PAGE);
    return rows == NULL ? -1 : 0;
}

static int
forget_page(void **state)
{
    (void)state;
    vectors_destroy(&rows);
    return 0;
}

static uint64_t
number_of(const struct vector *row, const char *key, int base)
{
    const char *value = vector_item(&row->records[0], key);
    assert_non_null(value);
    return strtoull(value, NULL, base);
}

// number_if_any is 0 where the row does not have it.
static uint64_t
number_if_any(const struct vector *row, const char *key, int base)
{
    const char *value = vector_item(&row->records[0], key);
    return value == NULL ? 0 : strtoull(value, NULL, base);
}

// ---- classic ---------------------------------------------------------------------------------

static void
check_beat(const struct vector *row)
{
    struct bstar_beat beat;
    uint8_t frame[BSTAR_BEAT_BYTES_MAX];
    assert_int_equal(bstar_beat_decode(row->frames.frames, row->frames.count, false, &beat),
                     BSTAR_SOUND);
    assert_int_equal(beat.digit, number_of(row, "digit", 10));
    assert_int_equal(beat.epoch, number_of(row, "epoch", 10));
    assert_int_equal(beat.node, number_of(row, "node", 16));
    assert_int_equal(beat.sequence, number_of(row, "sequence", 10));
    assert_int_equal(beat.progress, number_of(row, "progress", 10));
    assert_string_equal(beat.is_primary ? "P" : "B", vector_item(&row->records[0], "role"));
    size_t size = bstar_beat_encode(&beat, false, frame);
    if (strcmp(row->way, "in") != 0)
        assert_true(view_equals(view_of(frame, size), row->frames.frames[0]));
}

static void
every_row_of_a_beat_is_read_and_written(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct vector *row = rows; row != NULL; row = row->next)
        if (row->kind == 'V' && strcmp(row->dialect, "b1") == 0) {
            check_beat(row);
            count++;
        }
    assert_int_equal(count, 5);
}

static void
every_digit_of_the_guide_is_read_and_written(void **state)
{
    (void)state;
    static const char *const names[] = {"primary", "backup", "active", "passive"};
    struct vector *page = vectors_read(GUIDE_PAGE);
    size_t count = 0;
    for (const struct vector *row = page; row != NULL; row = row->next) {
        if (row->kind != 'V' || strcmp(row->socket, "bstar") != 0)
            continue;
        struct bstar_beat beat;
        uint8_t frame[BSTAR_BEAT_BYTES_MAX];
        assert_int_equal(bstar_beat_decode(row->frames.frames, 1, true, &beat), BSTAR_SOUND);
        assert_string_equal(vector_item(&row->records[0], "state"), names[beat.digit - 1]);
        size_t size = bstar_beat_encode(&beat, true, frame);
        assert_true(view_equals(view_of(frame, size), row->frames.frames[0]));
        count++;
    }
    assert_int_equal(count, 4);
    vectors_destroy(&page);
}

static void
largest_beat_fits(void **state)
{
    (void)state;
    struct bstar_beat beat = {BSTAR_SAYS_PASSIVE, true,       UINT64_MAX,
                              UINT64_MAX,         UINT64_MAX, UINT64_MAX};
    uint8_t frame[BSTAR_BEAT_BYTES_MAX];
    assert_in_range(bstar_beat_encode(&beat, false, frame), 1, BSTAR_BEAT_BYTES_MAX);
}

// ---- guarded ---------------------------------------------------------------------------------

static void
check_nonce(const struct vector *row, const struct bstar_nonce *nonce)
{
    char half[17] = "";
    const char *text = vector_item(&row->records[0], "nonce");
    memcpy(half, text, 16);
    assert_int_equal(nonce->words[0], strtoull(half, NULL, 16));
    assert_int_equal(nonce->words[1], strtoull(text + 16, NULL, 16));
}

static void
check_message(const struct vector *row)
{
    static const char *const names[] = {"",      "beat",    "ask",   "vote",
                                        "renew", "release", "grant", "deny"};
    struct bstar_message message;
    uint8_t frame[BSTAR_MESSAGE_BYTES_MAX];
    assert_int_equal(bstar_message_decode(row->frames.frames, row->frames.count, &message),
                     BSTAR_SOUND);
    assert_string_equal(names[message.command], row->command);
    assert_int_equal(message.state, number_of(row, "state", 10));
    assert_int_equal(message.pair, number_of(row, "pair", 16));
    assert_int_equal(message.node, number_of(row, "node", 16));
    assert_int_equal(message.epoch, number_of(row, "epoch", 10));
    if (message.command == BSTAR_BEAT) {
        assert_int_equal(message.sequence, number_of(row, "sequence", 10));
        assert_int_equal(message.progress, number_of(row, "progress", 10));
    } else if (message.command != BSTAR_RELEASE) {
        check_nonce(row, &message.nonce);
    }
    if (message.command == BSTAR_DENY) {
        assert_int_equal(message.holder, number_of(row, "holder", 16));
        assert_int_equal(message.left_ms, number_of(row, "left", 10));
    }
    assert_int_equal(message.witness, number_if_any(row, "witness", 16));
    assert_int_equal(message.lease_ms, number_if_any(row, "lease", 10));
    size_t size = bstar_message_encode(&message, frame);
    if (strcmp(row->way, "in") != 0)
        assert_true(view_equals(view_of(frame, size), row->frames.frames[0]));
}

static void
every_row_of_a_message_is_read_and_written(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct vector *row = rows; row != NULL; row = row->next)
        if (row->kind == 'V' && strcmp(row->dialect, "guarded") == 0) {
            check_message(row);
            count++;
        }
    assert_int_equal(count, 16);
}

static void
pair_is_known_by_its_name(void **state)
{
    (void)state;
    for (const struct vector *row = rows; row != NULL; row = row->next)
        if (row->kind == 'V' && strcmp(row->dialect, "guarded") == 0)
            assert_int_equal(bstar_pair_of(VIEW_LITERAL("galleon")), number_of(row, "pair", 16));
}

// ---- malformed -------------------------------------------------------------------------------

static enum bstar_fault
fault_of(const struct vector *row)
{
    struct bstar_beat beat;
    struct bstar_message message;
    if (strcmp(row->state, "guarded") == 0)
        return bstar_message_decode(row->frames.frames, row->frames.count, &message);
    return bstar_beat_decode(row->frames.frames, row->frames.count, strcmp(row->state, "bare") == 0,
                             &beat);
}

static void
every_negative_row_has_its_fault(void **state)
{
    (void)state;
    for (const struct vector *row = rows; row != NULL; row = row->next)
        if (row->kind == 'N')
            assert_string_equal(bstar_fault_text(fault_of(row)), row->expect);
    assert_int_equal(vectors_count(rows, 'N'), 38);
}

static void
every_shorter_message_is_malformed(void **state)
{
    (void)state;
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        if (row->kind != 'V' || strcmp(row->way, "in") == 0)
            continue;
        bool is_beat = strcmp(row->dialect, "b1") == 0;
        // A number loses its last digit and is one still; so cut to before the last field.
        size_t longest = row->frames.frames[0].size - (is_beat ? 20 : 1);
        // Without what older members do not say it is a message of theirs.
        longest -= vector_item(&row->records[0], "lease") != NULL     ? 4
                   : vector_item(&row->records[0], "witness") != NULL ? 8
                                                                      : 0;
        for (size_t size = 0; size <= longest; size++) {
            uint8_t *copy = malloc(size + 1);
            assert_non_null(copy);
            memcpy(copy + 1, row->frames.frames[0].data, size);
            struct view frame = view_of(copy + 1, size);
            struct bstar_beat beat;
            struct bstar_message message;
            enum bstar_fault fault = is_beat ? bstar_beat_decode(&frame, 1, false, &beat)
                                             : bstar_message_decode(&frame, 1, &message);
            assert_int_not_equal(fault, BSTAR_SOUND);
            free(copy);
        }
    }
}

// ---- the record ------------------------------------------------------------------------------

static void
put(uint8_t file[BSTAR_RECORD_BYTES], const struct bstar_record *record)
{
    bstar_record_encode(record, file + bstar_record_offset(record));
}

static void
newer_of_two_records_counts(void **state)
{
    (void)state;
    uint8_t file[BSTAR_RECORD_BYTES] = {0};
    struct bstar_record found;
    for (uint64_t serial = 0; serial < 5; serial++) {
        put(file, &(struct bstar_record){7, serial, 100 + serial, 200 + serial});
        assert_true(bstar_record_decode(view_of(file, sizeof file), 7, &found));
        assert_int_equal(found.serial, serial);
        assert_int_equal(found.epoch, 100 + serial);
        assert_int_equal(found.holder, 200 + serial);
    }
}

static void
torn_write_leaves_the_record_before_it(void **state)
{
    (void)state;
    struct bstar_record before = {7, 4, 10, 1}, next = {7, 5, 11, 2}, found;
    for (size_t torn = 0; torn < BSTAR_SLOT_BYTES; torn++) {
        uint8_t file[BSTAR_RECORD_BYTES] = {0}, slot[BSTAR_SLOT_BYTES];
        put(file, &before);
        bstar_record_encode(&next, slot);
        memcpy(file + bstar_record_offset(&next), slot, torn);
        assert_true(bstar_record_decode(view_of(file, sizeof file), 7, &found));
        assert_int_equal(found.serial, 4);
    }
}

static void
flipped_bit_makes_a_slot_none(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < BSTAR_SLOT_BYTES * 8; bit++) {
        uint8_t file[BSTAR_RECORD_BYTES] = {0};
        struct bstar_record found;
        put(file, &(struct bstar_record){7, 0, 10, 1});
        file[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(bstar_record_decode(view_of(file, sizeof file), 7, &found));
    }
}

static void
record_of_another_pair_or_place_is_none(void **state)
{
    (void)state;
    uint8_t file[BSTAR_RECORD_BYTES] = {0};
    struct bstar_record found;
    put(file, &(struct bstar_record){7, 0, 10, 1});
    assert_false(bstar_record_decode(view_of(file, sizeof file), 8, &found));
    assert_false(bstar_record_decode(view_of(file, BSTAR_SLOT_BYTES - 1), 7, &found));
    assert_true(bstar_record_decode(view_of(file, BSTAR_SLOT_BYTES), 7, &found));
    memcpy(file + BSTAR_SLOT_BYTES, file, BSTAR_SLOT_BYTES);
    memset(file, 0, BSTAR_SLOT_BYTES);
    assert_false(bstar_record_decode(view_of(file, sizeof file), 7, &found));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_a_beat_is_read_and_written),
        cmocka_unit_test(every_digit_of_the_guide_is_read_and_written),
        cmocka_unit_test(largest_beat_fits),
        cmocka_unit_test(every_row_of_a_message_is_read_and_written),
        cmocka_unit_test(pair_is_known_by_its_name),
        cmocka_unit_test(every_negative_row_has_its_fault),
        cmocka_unit_test(every_shorter_message_is_malformed),
        cmocka_unit_test(newer_of_two_records_counts),
        cmocka_unit_test(torn_write_leaves_the_record_before_it),
        cmocka_unit_test(flipped_bit_makes_a_slot_none),
        cmocka_unit_test(record_of_another_pair_or_place_is_none),
    };
    return cmocka_run_group_tests(tests, read_page, forget_page);
}
