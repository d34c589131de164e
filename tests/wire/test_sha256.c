// test_sha256.c - SHA-256 by NIST's examples, and the same from both kinds of code.

#include "durable_digest.h"
#include "sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
expect(const char *text, size_t times, const char *wanted)
{
    for (int portably = 0; portably < 2; portably++) {
        struct sha256 hash;
        uint8_t digest[SHA256_BYTES];
        char hex[2 * SHA256_BYTES + 1];
        sha256_portably(portably == 1);
        sha256_init(&hash);
        for (size_t time = 0; time < times; time++)
            sha256_add(&hash, view_of(text, strlen(text)));
        sha256_end(&hash, digest);
        for (size_t at = 0; at < SHA256_BYTES; at++)
            snprintf(hex + 2 * at, 3, "%02x", digest[at]);
        assert_string_equal(hex, wanted);
    }
    sha256_portably(false);
}

// FIPS 180-2, appendix B, and the empty message.
static void
examples_of_nist_come_out(void **state)
{
    (void)state;
    expect("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect("aaaaaaaaaa", 100000,
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void
both_codes_agree_on_every_length_and_cut(void **state)
{
    (void)state;
    uint8_t text[300], native[SHA256_BYTES], portable[SHA256_BYTES];
    for (size_t at = 0; at < sizeof text; at++)
        text[at] = (uint8_t)(at * 7 + at / 64);
    for (size_t size = 0; size <= sizeof text; size++) {
        for (size_t cut = 0; cut <= size; cut += 1 + size / 9) {
            for (int portably = 0; portably < 2; portably++) {
                struct sha256 hash;
                sha256_portably(portably == 1);
                sha256_init(&hash);
                sha256_add(&hash, view_of(text, cut));
                sha256_add(&hash, view_of(text + cut, size - cut));
                sha256_end(&hash, portably == 1 ? portable : native);
            }
            assert_memory_equal(native, portable, SHA256_BYTES);
        }
    }
    sha256_portably(false);
}

static void
digest_of_a_request_is_of_service_and_frames(void **state)
{
    (void)state;
    struct durable_body *body = calloc(1, sizeof *body + 8);
    *body = (struct durable_body){.frames = 1, .fields_bytes = 2, .bytes = 8};
    memcpy(body->data, "ab\0\0\0\2xy", 8);
    struct durable_digest one = durable_digest(VIEW_LITERAL("echo"), body);
    body->data[0] = 'z'; // a field
    struct durable_digest two = durable_digest(VIEW_LITERAL("echo"), body);
    assert_true(durable_digest_equals(&one, &two));
    body->data[7] = 'z';
    two = durable_digest(VIEW_LITERAL("echo"), body);
    assert_false(durable_digest_equals(&one, &two));
    body->data[7] = 'y';
    two = durable_digest(VIEW_LITERAL("ech"), body);
    assert_false(durable_digest_equals(&one, &two));
    free(body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_nist_come_out),
        cmocka_unit_test(both_codes_agree_on_every_length_and_cut),
        cmocka_unit_test(digest_of_a_request_is_of_service_and_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
