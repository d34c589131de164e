// audit_chain.c - the records of what happened to requests, chained so that none can change.

#include "audit_chain.h"

#include "bytes.h"
#include "must.h"

static const struct durable_owner nobody;

// ---- records -----------------------------------------------------------------------

static uint8_t *
put_string(uint8_t *to, const void *data, size_t size)
{
    *to++ = (uint8_t)size;
    memcpy(to, data, size);
    return to + size;
}

uint8_t *
audit_encode(const struct audit_record *record, uint8_t *to)
{
    bool has_owner = memcmp(&record->owner, &nobody, sizeof nobody) != 0;
    size_t text_bytes =
        record->text.size < DURABLE_REASON_BYTES_MAX ? record->text.size : DURABLE_REASON_BYTES_MAX;
    to = bytes_put64(to, record->n);
    to = bytes_put64(to, record->at_ms);
    *to++ = (uint8_t)record->kind;
    to = bytes_put64(to, record->seq);
    to = put_string(to, record->id.bytes, REQUEST_ID_BYTES);
    to = put_string(to, record->owner.bytes, has_owner ? DURABLE_OWNER_BYTES : 0);
    *to++ = (uint8_t)record->state;
    to = bytes_put32(to, record->attempt);
    to = bytes_put64(to, record->epoch);
    to = put_string(to, record->digest.bytes, record->has_digest ? DURABLE_DIGEST_BYTES : 0);
    to = bytes_put16(to, (uint16_t)text_bytes);
    if (text_bytes > 0)
        memcpy(to, record->text.data, text_bytes);
    return to + text_bytes;
}

// A reader that has `failed` gives zeros.
struct reader {
    struct view rest;
    bool failed;
};

static const uint8_t *
take(struct reader *reader, size_t size)
{
    static const uint8_t zeros[REQUEST_ID_BYTES + DURABLE_DIGEST_BYTES];
    if (reader->failed || reader->rest.size < size) {
        reader->failed = true;
        return zeros;
    }
    const uint8_t *data = reader->rest.data;
    reader->rest = view_skip(reader->rest, size);
    return data;
}

// take_string takes a string of the size given, or where `is_optional` an empty one.
static bool
take_string(struct reader *reader, void *to, size_t size, bool is_optional)
{
    size_t is = *take(reader, 1);
    if (is == 0 && is_optional)
        return false;
    if (is != size)
        reader->failed = true;
    memcpy(to, take(reader, size), size);
    return true;
}

bool
audit_decode(struct view *rest, struct audit_record *record_out)
{
    struct reader reader = {.rest = *rest};
    struct audit_record record = {0};
    record.n = bytes_get64(take(&reader, 8));
    record.at_ms = bytes_get64(take(&reader, 8));
    record.kind = (enum audit_kind)take(&reader, 1)[0];
    record.seq = bytes_get64(take(&reader, 8));
    take_string(&reader, record.id.bytes, REQUEST_ID_BYTES, false);
    bool has_owner = take_string(&reader, record.owner.bytes, DURABLE_OWNER_BYTES, true);
    record.state = (enum durable_state)take(&reader, 1)[0];
    record.attempt = bytes_get32(take(&reader, 4));
    record.epoch = bytes_get64(take(&reader, 8));
    record.has_digest = take_string(&reader, record.digest.bytes, DURABLE_DIGEST_BYTES, true);
    record.text.size = bytes_get16(take(&reader, 2));
    if (record.text.size > DURABLE_REASON_BYTES_MAX)
        return false;
    record.text.data = take(&reader, record.text.size);
    // One form only: nobody is the empty owner, never sixteen zeros.
    if (reader.failed || record.kind < AUDIT_ACCEPTED || record.kind >= AUDIT_KINDS ||
        (unsigned)record.state >= DURABLE_STATES ||
        (has_owner && memcmp(&record.owner, &nobody, sizeof nobody) == 0))
        return false;
    *record_out = record;
    *rest = reader.rest;
    return true;
}

// ---- the chain ---------------------------------------------------------------------

void
audit_head_start(struct audit_head *self, struct view store_id)
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, store_id);
    sha256_end(&hash, self->bytes);
}

void
audit_head_add(struct audit_head *self, struct view record)
{
    static const uint8_t leaf_mark[] = {0x00};
    uint8_t text[1 + 2 * SHA256_BYTES] = {0x01};
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, view_of(leaf_mark, sizeof leaf_mark));
    sha256_add(&hash, record);
    sha256_end(&hash, text + 1 + SHA256_BYTES);
    memcpy(text + 1, self->bytes, SHA256_BYTES);
    sha256_init(&hash);
    sha256_add(&hash, view_of(text, sizeof text));
    sha256_end(&hash, self->bytes);
}

bool
audit_head_walk(struct audit_head *self, uint64_t *n, struct view records)
{
    while (records.size > 0) {
        struct view rest = records;
        struct audit_record record;
        if (!audit_decode(&rest, &record) || record.n != *n + 1)
            return false;
        audit_head_add(self, view_of(records.data, records.size - rest.size));
        *n = record.n;
        records = rest;
    }
    return true;
}

void
audit_to_sign(struct view store_id, uint64_t n, const struct audit_head *head,
              uint8_t text_out[AUDIT_SIGNED_BYTES])
{
    static const char purpose[17] = "galleon audit 1\n"; // a signature is good for nothing else
    must(store_id.size == AUDIT_STORE_ID_BYTES);
    memcpy(text_out, purpose, 16);
    memcpy(text_out + 16, store_id.data, AUDIT_STORE_ID_BYTES);
    uint8_t *at = bytes_put64(text_out + 16 + AUDIT_STORE_ID_BYTES, n);
    memcpy(at, head->bytes, SHA256_BYTES);
}
