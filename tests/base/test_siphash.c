// test_siphash.c - SipHash-2-4 gives the numbers of its authors.

#include "siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

// The reference vectors: key 00 01 .. 0F, text 00 01 .. of each length from 0 to 63.
enum { VECTORS = 64 };

static const uint64_t vectors[VECTORS] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
    0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
    0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
    0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
    0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
    0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
    0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
    0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
    0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

// The key 00 01 .. 0F, and the text 00 01 02 ..
static struct siphash_key key;
static uint8_t text[VECTORS];

static int
set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    memcpy(&key, text, sizeof key);
    return 0;
}

static void
hashes_are_those_of_the_reference(void **state)
{
    (void)state;
    for (size_t size = 0; size < VECTORS; size++)
        assert_true(siphash(&key, view_of(text, size)) == vectors[size]);
}

static void
hash_does_not_depend_on_alignment(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        // A block of its own size, so that a read past the end is seen.
        uint8_t *shifted = malloc(shift + 63);
        memcpy(shifted + shift, text, 63);
        assert_true(siphash(&key, view_of(shifted + shift, 63)) == vectors[63]);
        free(shifted);
    }
}

static void
nothing_has_a_hash_too(void **state)
{
    (void)state;
    assert_true(siphash(&key, VIEW_NONE) == vectors[0]);
}

static void
pair_is_the_hash_of_its_sixteen_bytes(void **state)
{
    (void)state;
    uint64_t a, b;
    memcpy(&a, text, 8);
    memcpy(&b, text + 8, 8);
    assert_true(siphash_pair(&key, a, b) == vectors[16]);
}

static void
each_purpose_derives_another_key(void **state)
{
    (void)state;
    struct siphash_key one = siphash_derive(text, 1);
    struct siphash_key again = siphash_derive(text, 1);
    struct siphash_key other = siphash_derive(text, 2);
    assert_memory_equal(&one, &again, sizeof one);
    assert_true(one.words[0] != other.words[0] && one.words[1] != other.words[1]);
    assert_true(one.words[0] != one.words[1]);
}

static void
each_byte_of_the_seed_changes_the_key(void **state)
{
    (void)state;
    struct siphash_key plain = siphash_derive(text, 1);
    for (size_t i = 0; i < 32; i++) {
        uint8_t seed[32];
        memcpy(seed, text, sizeof seed);
        seed[i] ^= 1;
        struct siphash_key changed = siphash_derive(seed, 1);
        assert_memory_not_equal(&changed, &plain, sizeof plain);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_reference),
        cmocka_unit_test(hash_does_not_depend_on_alignment),
        cmocka_unit_test(nothing_has_a_hash_too),
        cmocka_unit_test(pair_is_the_hash_of_its_sixteen_bytes),
        cmocka_unit_test(each_purpose_derives_another_key),
        cmocka_unit_test(each_byte_of_the_seed_changes_the_key),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
