// tsp_id.c - the ids of durable requests: hex digits, with dashes or without.

#include "bytes.h"
#include "hex.h"
#include "tsp.h"

enum { DASHED_TEXT_BYTES = 36 };

static bool
is_place_of_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

bool
request_id_read(struct view text, struct request_id *id_out)
{
    bool has_dashes = text.size == DASHED_TEXT_BYTES;
    if (!has_dashes && text.size != REQUEST_ID_TEXT_BYTES)
        return false;
    struct request_id id = {{0}};
    size_t digits = 0;
    for (size_t at = 0; at < text.size; at++) {
        if (has_dashes && is_place_of_dash(at)) {
            if (text.data[at] != '-')
                return false;
            continue;
        }
        uint8_t value = hex_value(text.data[at]);
        if (value == HEX_NONE)
            return false;
        id.bytes[digits / 2] = (uint8_t)(id.bytes[digits / 2] << 4 | value);
        digits++;
    }
    *id_out = id;
    return true;
}

void
request_id_write(const struct request_id *id, uint8_t text_out[REQUEST_ID_TEXT_BYTES])
{
    for (size_t i = 0; i < REQUEST_ID_BYTES; i++) {
        text_out[2 * i] = hex_digit(id->bytes[i] >> 4);
        text_out[2 * i + 1] = hex_digit(id->bytes[i] & 15);
    }
}

bool
request_id_equals(const struct request_id *a, const struct request_id *b)
{
    return memcmp(a->bytes, b->bytes, REQUEST_ID_BYTES) == 0;
}

uint64_t
request_id_ms(const struct request_id *id)
{
    return bytes_get64(id->bytes) >> 16;
}

bool
request_key_is_before(struct view key, uint64_t ms)
{
    struct request_id id;
    return key.size == REQUEST_ID_TEXT_BYTES && request_id_read(key, &id) &&
           request_id_ms(&id) < ms;
}

int
request_id_compare(const struct request_id *a, const struct request_id *b)
{
    return memcmp(a->bytes, b->bytes, REQUEST_ID_BYTES);
}
