// siphash.c - SipHash with two rounds a word and four at the end.

#include "siphash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static inline void
round_once(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline struct state
begin(const struct siphash_key *key)
{
    return (struct state){key->words[0] ^ 0x736f6d6570736575u, key->words[1] ^ 0x646f72616e646f6du,
                          key->words[0] ^ 0x6c7967656e657261u, key->words[1] ^ 0x7465646279746573u};
}

// SipHash-1-3 where it is quick, SipHash-2-4 where it is not. It is a constant of the
// callers', so the branches are gone once these are inlined.
#define INLINE static inline __attribute__((always_inline))

INLINE void
absorb(struct state *s, uint64_t word, bool is_quick)
{
    s->v3 ^= word;
    round_once(s);
    if (!is_quick)
        round_once(s);
    s->v0 ^= word;
}

INLINE uint64_t
finish(struct state *s, bool is_quick)
{
    s->v2 ^= 0xff;
    round_once(s);
    round_once(s);
    round_once(s);
    if (!is_quick)
        round_once(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

INLINE uint64_t
hash_text(const struct siphash_key *key, struct view text, bool is_quick)
{
    struct state s = begin(key);
    size_t whole = text.size / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, text.data + i, sizeof word);
        absorb(&s, word, is_quick);
    }
    uint64_t last = (uint64_t)text.size << 56;
    for (size_t i = whole; i < text.size; i++)
        last |= (uint64_t)text.data[i] << (8 * (i - whole));
    absorb(&s, last, is_quick);
    return finish(&s, is_quick);
}

INLINE uint64_t
hash_pair(const struct siphash_key *key, uint64_t a, uint64_t b, bool is_quick)
{
    struct state s = begin(key);
    absorb(&s, a, is_quick);
    absorb(&s, b, is_quick);
    absorb(&s, (uint64_t)16 << 56, is_quick);
    return finish(&s, is_quick);
}

uint64_t
siphash(const struct siphash_key *key, struct view text)
{
    return hash_text(key, text, false);
}

uint64_t
siphash_pair(const struct siphash_key *key, uint64_t a, uint64_t b)
{
    return hash_pair(key, a, b, false);
}

uint64_t
siphash_map(const struct siphash_key *key, struct view text)
{
    return hash_text(key, text, true);
}

uint64_t
siphash_map_pair(const struct siphash_key *key, uint64_t a, uint64_t b)
{
    return hash_pair(key, a, b, true);
}

struct siphash_key
siphash_derive(const uint8_t seed[32], uint64_t purpose)
{
    struct siphash_key first, second;
    memcpy(&first, seed, sizeof first);
    memcpy(&second, seed + sizeof first, sizeof second);
    return (struct siphash_key){
        {siphash_pair(&first, purpose, 0), siphash_pair(&second, purpose, 1)}};
}
