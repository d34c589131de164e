// sha256.h - SHA-256, by the processor's own instructions where it has them.
//
// The state is libsodium's, and so is the code for processors without such instructions:
// there it takes about ten times as long.

#ifndef GALLEON_SHA256_H
#define GALLEON_SHA256_H

#include "view.h"

#include <sodium/crypto_hash_sha256.h>

enum { SHA256_BYTES = crypto_hash_sha256_BYTES };

struct sha256 {
    crypto_hash_sha256_state state;
};

void sha256_init(struct sha256 *self);
void sha256_add(struct sha256 *self, struct view text);
void sha256_end(struct sha256 *self, uint8_t digest_out[SHA256_BYTES]);

// sha256_portably, for tests, makes all that follow use libsodium's code, or no longer.
void sha256_portably(bool is_wanted);

#endif
