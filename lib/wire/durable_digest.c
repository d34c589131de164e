// durable_digest.c - SHA-256 over what a request or an answer consists of.

#include "durable_digest.h"

#include "bytes.h"
#include "must.h"
#include "sha256.h"

// A length before each string: no two different lists of strings are hashed as the same bytes.
static void
add(struct sha256 *hash, struct view text)
{
    uint8_t size[8];
    bytes_put64(size, text.size);
    sha256_add(hash, view_of(size, sizeof size));
    sha256_add(hash, text);
}

struct durable_digest
durable_digest(struct view service, const struct durable_body *body)
{
    must(body->fields_bytes <= body->bytes);
    struct durable_digest digest;
    struct sha256 hash;
    sha256_init(&hash);
    add(&hash, service);
    add(&hash, view_skip(view_of(body->data, body->bytes), body->fields_bytes));
    sha256_end(&hash, digest.bytes);
    return digest;
}

struct durable_digest
durable_answer_digest(const struct durable_body *body)
{
    must(body->fields_bytes <= body->bytes);
    struct durable_digest digest;
    struct sha256 hash;
    sha256_init(&hash);
    add(&hash, view_of(body->data, body->fields_bytes));
    add(&hash, view_skip(view_of(body->data, body->bytes), body->fields_bytes));
    sha256_end(&hash, digest.bytes);
    return digest;
}
