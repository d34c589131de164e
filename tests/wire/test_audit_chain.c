// test_audit_chain.c - a chain stands for every byte of its records, and for their order.

#include "audit_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct audit_record
example(uint64_t n)
{
    struct audit_record record = {.n = n,
                                  .at_ms = 1700000000000 + n,
                                  .kind = AUDIT_ENDED,
                                  .seq = 40 + n,
                                  .state = DURABLE_DEAD,
                                  .attempt = 3,
                                  .epoch = 2,
                                  .text = VIEW_LITERAL("out of tea")};
    record.id.bytes[15] = (uint8_t)n;
    if (n % 2 == 0) {
        record.owner.bytes[0] = 9;
        record.has_digest = true;
        record.digest.bytes[31] = 1;
    }
    return record;
}

// encode_many writes `count` records one after another, and says where each ends.
static size_t
encode_many(uint8_t *to, size_t count, size_t ends[])
{
    uint8_t *at = to;
    for (size_t n = 1; n <= count; n++) {
        struct audit_record record = example(n);
        at = audit_encode(&record, at);
        ends[n] = (size_t)(at - to);
    }
    return (size_t)(at - to);
}

static void
record_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        uint8_t text[AUDIT_RECORD_BYTES_MAX], again[AUDIT_RECORD_BYTES_MAX];
        struct audit_record record = example(n), is;
        struct view rest = view_of(text, (size_t)(audit_encode(&record, text) - text));
        size_t size = rest.size;
        assert_true(audit_decode(&rest, &is));
        assert_int_equal(rest.size, 0);
        assert_true(view_equals(is.text, record.text));
        assert_int_equal(audit_encode(&is, again) - again, size);
        assert_memory_equal(text, again, size);
    }
}

static void
cut_record_is_none(void **state)
{
    (void)state;
    uint8_t text[AUDIT_RECORD_BYTES_MAX];
    struct audit_record record = example(2), is;
    size_t size = (size_t)(audit_encode(&record, text) - text);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, text, cut);
        struct view rest = view_of(copy, cut);
        assert_false(audit_decode(&rest, &is));
        free(copy);
    }
}

static void
long_reason_is_cut(void **state)
{
    (void)state;
    uint8_t text[AUDIT_RECORD_BYTES_MAX];
    uint8_t reason[1000] = {0};
    struct audit_record record = example(2), is;
    record.text = view_of(reason, sizeof reason);
    struct view rest = view_of(text, (size_t)(audit_encode(&record, text) - text));
    assert_true(rest.size <= AUDIT_RECORD_BYTES_MAX);
    assert_true(audit_decode(&rest, &is));
    assert_int_equal(is.text.size, DURABLE_REASON_BYTES_MAX);
}

// The head of two records, by the definition and libsodium's code alone.
static void
head_is_what_the_definition_says(void **state)
{
    (void)state;
    uint8_t texts[2 * AUDIT_RECORD_BYTES_MAX];
    size_t ends[3] = {0};
    encode_many(texts, 2, ends);
    unsigned char head[32], block[1 + 64], input[1 + AUDIT_RECORD_BYTES_MAX];
    crypto_hash_sha256(head, (const unsigned char *)"abc", 3);
    for (int n = 0; n < 2; n++) {
        size_t size = ends[n + 1] - ends[n];
        input[0] = 0;
        memcpy(input + 1, texts + ends[n], size);
        block[0] = 1;
        memcpy(block + 1, head, 32);
        crypto_hash_sha256(block + 33, input, 1 + size);
        crypto_hash_sha256(head, block, sizeof block);
    }
    struct audit_head is;
    uint64_t n = 0;
    audit_head_start(&is, VIEW_LITERAL("abc"));
    assert_true(audit_head_walk(&is, &n, view_of(texts, ends[2])));
    assert_int_equal(n, 2);
    assert_memory_equal(is.bytes, head, sizeof head);
}

static void
any_changed_bit_changes_the_head(void **state)
{
    (void)state;
    enum { COUNT = 4 };
    uint8_t texts[COUNT * AUDIT_RECORD_BYTES_MAX];
    size_t ends[COUNT + 1] = {0}, size = encode_many(texts, COUNT, ends);
    struct audit_head head;
    uint64_t n = 0;
    audit_head_start(&head, VIEW_LITERAL("id"));
    assert_true(audit_head_walk(&head, &n, view_of(texts, size)));
    for (size_t bit = 0; bit < 8 * size; bit++) {
        struct audit_head other;
        uint64_t to = 0;
        texts[bit / 8] ^= (uint8_t)(1 << bit % 8);
        audit_head_start(&other, VIEW_LITERAL("id"));
        bool is_whole = audit_head_walk(&other, &to, view_of(texts, size));
        assert_true(!is_whole || memcmp(&head, &other, sizeof head) != 0);
        texts[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
removed_or_moved_record_is_named(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    uint8_t texts[COUNT * AUDIT_RECORD_BYTES_MAX];
    size_t ends[COUNT + 1] = {0}, size = encode_many(texts, COUNT, ends);
    struct audit_head head;
    uint64_t n = 0;
    audit_head_start(&head, VIEW_LITERAL("id"));
    memmove(texts + ends[2], texts + ends[3], size - ends[3]); // without the third
    assert_false(audit_head_walk(&head, &n, view_of(texts, size - (ends[3] - ends[2]))));
    assert_int_equal(n, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_is_read_as_it_was_written),
        cmocka_unit_test(cut_record_is_none),
        cmocka_unit_test(long_reason_is_cut),
        cmocka_unit_test(head_is_what_the_definition_says),
        cmocka_unit_test(any_changed_bit_changes_the_head),
        cmocka_unit_test(removed_or_moved_record_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
