// siphash.h - SipHash, the keyed hash behind everything a peer may not guess.
//
// Tickets and ids are drawn from SipHash-2-4, so that nobody can predict them.
// Maps whose keys a peer chooses are hashed with SipHash-1-3, which is enough where
// nobody ever sees a hash, so that nobody can make names collide. Reference:
// Aumasson and Bernstein, "SipHash: a fast short-input PRF".

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

// siphash_map and siphash_map_pair are the same with fewer rounds, for maps.
uint64_t siphash_map(const struct siphash_key *key, struct view text);
uint64_t siphash_map_pair(const struct siphash_key *key, uint64_t a, uint64_t b);

// siphash_derive makes a key of its own for one purpose out of a 32-byte seed.
struct siphash_key siphash_derive(const uint8_t seed[32], uint64_t purpose);

#endif
