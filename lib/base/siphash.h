// siphash.h - SipHash-2-4, the keyed hash behind everything a peer may not guess.
//
// Maps whose keys a peer chooses are hashed with it, so that nobody can make
// names collide; tickets and ids are drawn from it, so that nobody can predict
// them. Reference: Aumasson and Bernstein, "SipHash: a fast short-input PRF".

#ifndef GALLEON_SIPHASH_H
#define GALLEON_SIPHASH_H

#include "view.h"

#include <stdint.h>

struct siphash_key {
    uint64_t words[2];
};

uint64_t siphash(const struct siphash_key *key, struct view text);

// siphash_pair hashes two numbers: the 16 bytes of both in little-endian order.
uint64_t siphash_pair(const struct siphash_key *key, uint64_t a, uint64_t b);

// siphash_derive makes a key of its own for one purpose out of a 32-byte seed.
struct siphash_key siphash_derive(const uint8_t seed[32], uint64_t purpose);

#endif
