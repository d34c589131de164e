// sha256.c - SHA-256: the processor's instructions, or libsodium's code.
//
// A durable request costs about seven blocks: its digest, and a leaf and a head of the
// audit chain. In portable code that is two microseconds, half of what storing it takes.

#include "sha256.h"

#include "bytes.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

enum { BLOCK_BYTES = 64 };

enum { UNKNOWN, PORTABLE, NATIVE };

static int how = UNKNOWN; // read and set by any thread, and all find the same

#if defined(__x86_64__)

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static bool
has_instructions(void)
{
    unsigned a, b, c, d;
    enum { SSSE3 = 1 << 9, SSE41 = 1 << 19, SHA = 1 << 29 };
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & SSSE3) == 0 || (c & SSE41) == 0)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & SHA) != 0;
}

// take_blocks is the compression function. The instructions want the state as ABEF and
// CDGH, do two rounds each, and make the next words of the schedule four at a time.
__attribute__((target("sha,sse4.1,ssse3"))) static void
take_blocks(uint32_t state[8], const uint8_t *data, size_t count)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const void *)state), 0xB1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);
    for (; count > 0; count--, data += BLOCK_BYTES) {
        __m128i abef_before = abef, cdgh_before = cdgh, words[4];
        for (int at = 0; at < 16; at++) {
            __m128i *word = &words[at & 3];
            if (at < 4) {
                *word = _mm_loadu_si128((const void *)(data + 16 * at));
                *word = _mm_shuffle_epi8(*word, swap);
            } else {
                __m128i back[3] = {words[(at + 1) & 3], words[(at + 2) & 3], words[(at + 3) & 3]};
                __m128i next = _mm_sha256msg1_epu32(*word, back[0]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(back[2], back[1], 4));
                *word = _mm_sha256msg2_epu32(next, back[2]);
            }
            __m128i add = _mm_loadu_si128((const void *)(round_constants + 4 * at));
            __m128i sum = _mm_add_epi32(*word, add);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1B);
    high = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((void *)state, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

#else

static bool
has_instructions(void)
{
    return false;
}

static void
take_blocks(uint32_t state[8], const uint8_t *data, size_t count)
{
    (void)state, (void)data, (void)count;
}

#endif

static bool
is_native(void)
{
    int known = __atomic_load_n(&how, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        known = has_instructions() ? NATIVE : PORTABLE;
        __atomic_store_n(&how, known, __ATOMIC_RELAXED);
    }
    return known == NATIVE;
}

void
sha256_portably(bool is_wanted)
{
    __atomic_store_n(&how, is_wanted ? PORTABLE : UNKNOWN, __ATOMIC_RELAXED);
}

void
sha256_init(struct sha256 *self)
{
    crypto_hash_sha256_init(&self->state);
}

void
sha256_add(struct sha256 *self, struct view text)
{
    if (!is_native()) {
        crypto_hash_sha256_update(&self->state, text.data, text.size);
        return;
    }
    size_t held = (self->state.count >> 3) & (BLOCK_BYTES - 1); // it counts bits
    self->state.count += (uint64_t)text.size << 3;
    if (held > 0) {
        size_t more = BLOCK_BYTES - held < text.size ? BLOCK_BYTES - held : text.size;
        memcpy(self->state.buf + held, text.data, more);
        text = view_skip(text, more);
        if (held + more < BLOCK_BYTES)
            return;
        take_blocks(self->state.state, self->state.buf, 1);
    }
    size_t blocks = text.size / BLOCK_BYTES;
    if (blocks > 0)
        take_blocks(self->state.state, text.data, blocks);
    text = view_skip(text, blocks * BLOCK_BYTES);
    if (text.size > 0)
        memcpy(self->state.buf, text.data, text.size);
}

void
sha256_end(struct sha256 *self, uint8_t digest_out[SHA256_BYTES])
{
    if (!is_native()) {
        crypto_hash_sha256_final(&self->state, digest_out);
        return;
    }
    uint8_t *block = self->state.buf;
    size_t held = (self->state.count >> 3) & (BLOCK_BYTES - 1);
    block[held++] = 0x80;
    if (held > BLOCK_BYTES - 8) {
        memset(block + held, 0, BLOCK_BYTES - held);
        take_blocks(self->state.state, block, 1);
        held = 0;
    }
    memset(block + held, 0, BLOCK_BYTES - 8 - held);
    bytes_put64(block + BLOCK_BYTES - 8, self->state.count);
    take_blocks(self->state.state, block, 1);
    for (int at = 0; at < 8; at++)
        digest_out = bytes_put32(digest_out, self->state.state[at]);
}
