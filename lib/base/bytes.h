// bytes.h - unsigned numbers in network byte order.

#ifndef GALLEON_BYTES_H
#define GALLEON_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t
bytes_get16(const uint8_t *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return __builtin_bswap16(value);
}

static inline uint32_t
bytes_get32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t
bytes_get64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return __builtin_bswap64(value);
}

// Each put returns the byte after what it wrote.
static inline uint8_t *
bytes_put16(uint8_t *to, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static inline uint8_t *
bytes_put32(uint8_t *to, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static inline uint8_t *
bytes_put64(uint8_t *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bytes.h swaps on little-endian machines only"
#endif

#endif
