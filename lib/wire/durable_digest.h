// durable_digest.h - what a request is told apart by, and what shows that it is damaged.

#ifndef GALLEON_DURABLE_DIGEST_H
#define GALLEON_DURABLE_DIGEST_H

#include "durable.h"

// durable_digest is SHA-256 over the service and the frames, each with its length before it.
// The fields are not in it: the same key with other fields is the same request.
struct durable_digest durable_digest(struct view service, const struct durable_body *body);

// durable_answer_digest is that of an answer, with its fields.
struct durable_digest durable_answer_digest(const struct durable_body *body);

static inline bool
durable_digest_equals(const struct durable_digest *a, const struct durable_digest *b)
{
    return memcmp(a->bytes, b->bytes, DURABLE_DIGEST_BYTES) == 0;
}

#endif
