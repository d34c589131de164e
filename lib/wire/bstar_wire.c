// bstar_wire.c - digits and fields, commands and numbers, slots and checksums.

#include "bstar_wire.h"

#include "bytes.h"
#include "hex.h"
#include "must.h"
#include "sha256.h"
#include "text.h"

const char *
bstar_fault_text(enum bstar_fault fault)
{
    static const char *const texts[BSTAR_FAULTS] = {
#define X(name, text) [name] = text,
        BSTAR_FAULT_MAP(X)
#undef X
    };
    return fault < BSTAR_FAULTS ? texts[fault] : "";
}

// ---- classic -----------------------------------------------------------------------------

enum { BEAT_FIELDS = 7, NODE_DIGITS = 16 };

// split cuts a text at each space; 0: it has more than `max` pieces.
static size_t
split(struct view text, struct view *pieces, size_t max)
{
    size_t count = 0;
    size_t start = 0;
    for (size_t at = 0; at <= text.size; at++) {
        if (at < text.size && text.data[at] != ' ')
            continue;
        if (count == max)
            return 0;
        pieces[count++] = view_of(text.data + start, at - start);
        start = at + 1;
    }
    return count;
}

static bool
read_node(struct view text, uint64_t *node_out)
{
    *node_out = 0;
    if (text.size != NODE_DIGITS)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t digit = hex_value(text.data[i]);
        if (digit == HEX_NONE)
            return false;
        *node_out = *node_out << 4 | digit;
    }
    return *node_out != 0;
}

static enum bstar_fault
read_role(struct view text, struct bstar_beat *beat)
{
    if (!view_equals(text, VIEW_LITERAL("P")) && !view_equals(text, VIEW_LITERAL("B")))
        return BSTAR_BAD_ROLE;
    beat->is_primary = text.data[0] == 'P';
    bool is_other = beat->digit == (beat->is_primary ? BSTAR_SAYS_BACKUP : BSTAR_SAYS_PRIMARY);
    return is_other ? BSTAR_BAD_ROLE : BSTAR_SOUND;
}

// read_fields reads `b1 epoch role node sequence progress`.
static enum bstar_fault
read_fields(struct view frame, struct bstar_beat *beat)
{
    struct view fields[BEAT_FIELDS];
    if (split(frame, fields, BEAT_FIELDS) != BEAT_FIELDS)
        return BSTAR_BAD_FIELDS;
    if (!view_equals(fields[1], VIEW_LITERAL("b1")))
        return BSTAR_BAD_VERSION;
    if (!text_parse_number(fields[2], &beat->epoch) || beat->epoch > BSTAR_EPOCH_MAX ||
        !text_parse_number(fields[5], &beat->sequence) ||
        !text_parse_number(fields[6], &beat->progress))
        return BSTAR_BAD_NUMBER;
    if (!read_node(fields[4], &beat->node))
        return BSTAR_BAD_NODE;
    return read_role(fields[3], beat);
}

enum bstar_fault
bstar_beat_decode(const struct view *frames, size_t count, bool is_bare,
                  struct bstar_beat *beat_out)
{
    *beat_out = (struct bstar_beat){.digit = BSTAR_SAYS_PRIMARY};
    if (count != 1)
        return BSTAR_BAD_FRAMES;
    struct view frame = frames[0];
    if (frame.size == 0 || frame.size > BSTAR_BEAT_BYTES_MAX)
        return BSTAR_BAD_SIZE;
    if (frame.data[0] < '0' + BSTAR_SAYS_PRIMARY || frame.data[0] > '0' + BSTAR_SAYS_PASSIVE)
        return BSTAR_BAD_HEADER;
    beat_out->digit = (enum bstar_digit)(frame.data[0] - '0');
    if (frame.size > 1 && frame.data[1] != ' ')
        return BSTAR_BAD_HEADER;
    if (is_bare != (frame.size == 1))
        return BSTAR_BAD_VERSION;
    return is_bare ? BSTAR_SOUND : read_fields(frame, beat_out);
}

static void
add_node(struct text *text, uint64_t node)
{
    static const char digits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4)
        text_add_char(text, digits[node >> shift & 15]);
}

size_t
bstar_beat_encode(const struct bstar_beat *beat, bool is_bare, uint8_t to[BSTAR_BEAT_BYTES_MAX])
{
    struct text text;
    text_init(&text, to, BSTAR_BEAT_BYTES_MAX);
    text_add_char(&text, (char)('0' + beat->digit));
    if (is_bare)
        return text.size;
    text_add(&text, VIEW_LITERAL(" b1 "));
    text_add_number(&text, beat->epoch);
    text_add(&text, beat->is_primary ? VIEW_LITERAL(" P ") : VIEW_LITERAL(" B "));
    add_node(&text, beat->node);
    text_add_char(&text, ' ');
    text_add_number(&text, beat->sequence);
    text_add_char(&text, ' ');
    text_add_number(&text, beat->progress);
    must(!text.is_cut);
    return text.size;
}

// ---- guarded -----------------------------------------------------------------------------

#define MAGIC VIEW_LITERAL("BSTRG1")

// The sizes of what follows the head: 6 of magic, command, state, pair, node, epoch.
enum { HEAD_BYTES = 32, BEAT_BYTES = 16, NONCE_BYTES = 16, DENIAL_BYTES = 12 };

// And of what older members do not say.
enum { LEASE_BYTES = 4, WITNESS_BYTES = 8 };

// size_of_command is the least size of a message, 0 where there is no such command.
static size_t
size_of_command(uint8_t command)
{
    switch (command) {
    case BSTAR_BEAT:
        return HEAD_BYTES + BEAT_BYTES;
    case BSTAR_ASK:
    case BSTAR_VOTE:
    case BSTAR_RENEW:
    case BSTAR_GRANT:
        return HEAD_BYTES + NONCE_BYTES;
    case BSTAR_RELEASE:
        return HEAD_BYTES;
    case BSTAR_DENY:
        return HEAD_BYTES + NONCE_BYTES + DENIAL_BYTES;
    default:
        return 0;
    }
}

static bool
has_nonce(enum bstar_command command)
{
    return command != BSTAR_BEAT && command != BSTAR_RELEASE;
}

static bool
may_have_lease(enum bstar_command command)
{
    return command == BSTAR_ASK || command == BSTAR_VOTE || command == BSTAR_RENEW ||
           command == BSTAR_DENY;
}

static enum bstar_fault
read_head(struct view frame, struct bstar_message *message)
{
    const uint8_t *at = frame.data + MAGIC.size;
    message->command = (enum bstar_command)at[0];
    message->state = at[1];
    message->pair = bytes_get64(at + 2);
    message->node = bytes_get64(at + 10);
    message->epoch = bytes_get64(at + 18);
    if (message->state > BSTAR_STATES_MAX)
        return BSTAR_BAD_STATE;
    if (message->node == 0)
        return BSTAR_BAD_NODE;
    return message->epoch > BSTAR_EPOCH_MAX ? BSTAR_BAD_NUMBER : BSTAR_SOUND;
}

enum bstar_fault
bstar_message_decode(const struct view *frames, size_t count, struct bstar_message *message_out)
{
    *message_out = (struct bstar_message){.command = BSTAR_BEAT};
    if (count != 1)
        return BSTAR_BAD_FRAMES;
    struct view frame = frames[0];
    if (!view_starts_with(frame, MAGIC))
        return frame.size == 0 ? BSTAR_BAD_SIZE : BSTAR_BAD_HEADER;
    if (frame.size < HEAD_BYTES)
        return BSTAR_BAD_SIZE;
    size_t size = size_of_command(frame.data[MAGIC.size]);
    if (size == 0)
        return BSTAR_BAD_COMMAND;
    if (frame.size < size)
        return BSTAR_BAD_SIZE;
    const uint8_t *rest = frame.data + HEAD_BYTES;
    enum bstar_fault fault = read_head(frame, message_out);
    if (message_out->command == BSTAR_BEAT) {
        message_out->sequence = bytes_get64(rest);
        message_out->progress = bytes_get64(rest + 8);
        if (frame.size >= size + WITNESS_BYTES)
            message_out->witness = bytes_get64(rest + BEAT_BYTES);
    }
    if (has_nonce(message_out->command))
        message_out->nonce = (struct bstar_nonce){{bytes_get64(rest), bytes_get64(rest + 8)}};
    if (may_have_lease(message_out->command) && frame.size >= size + LEASE_BYTES)
        message_out->lease_ms = bytes_get32(frame.data + size);
    if (message_out->command == BSTAR_DENY) {
        message_out->holder = bytes_get64(rest + NONCE_BYTES);
        message_out->left_ms = bytes_get32(rest + NONCE_BYTES + 8);
    }
    return fault;
}

size_t
bstar_message_encode(const struct bstar_message *message, uint8_t to[BSTAR_MESSAGE_BYTES_MAX])
{
    must(size_of_command((uint8_t)message->command) != 0);
    memcpy(to, MAGIC.data, MAGIC.size);
    uint8_t *at = to + MAGIC.size;
    *at++ = (uint8_t)message->command;
    *at++ = message->state;
    at = bytes_put64(at, message->pair);
    at = bytes_put64(at, message->node);
    at = bytes_put64(at, message->epoch);
    if (message->command == BSTAR_BEAT) {
        at = bytes_put64(at, message->sequence);
        at = bytes_put64(at, message->progress);
        if (message->witness != 0)
            at = bytes_put64(at, message->witness);
    }
    if (has_nonce(message->command)) {
        at = bytes_put64(at, message->nonce.words[0]);
        at = bytes_put64(at, message->nonce.words[1]);
    }
    if (message->command == BSTAR_DENY) {
        at = bytes_put64(at, message->holder);
        at = bytes_put32(at, message->left_ms);
    }
    if (may_have_lease(message->command) && message->lease_ms != 0)
        at = bytes_put32(at, message->lease_ms);
    return (size_t)(at - to);
}

static uint64_t
start_of_digest(struct view text)
{
    struct sha256 sum;
    uint8_t digest[SHA256_BYTES];
    sha256_init(&sum);
    sha256_add(&sum, text);
    sha256_end(&sum, digest);
    return bytes_get64(digest);
}

uint64_t
bstar_pair_of(struct view name)
{
    return start_of_digest(name);
}

// ---- the voter's record ---------------------------------------------------------------------

#define RECORD_MAGIC VIEW_LITERAL("BSTRVOT1")

enum { SUM_AT = BSTAR_SLOT_BYTES - 8 };

void
bstar_record_encode(const struct bstar_record *record, uint8_t to[BSTAR_SLOT_BYTES])
{
    memset(to, 0, BSTAR_SLOT_BYTES);
    memcpy(to, RECORD_MAGIC.data, RECORD_MAGIC.size);
    uint8_t *at = to + RECORD_MAGIC.size;
    at = bytes_put64(at, record->pair);
    at = bytes_put64(at, record->serial);
    at = bytes_put64(at, record->epoch);
    bytes_put64(at, record->holder);
    bytes_put64(to + SUM_AT, start_of_digest(view_of(to, SUM_AT)));
}

static bool
read_slot(const uint8_t *from, uint64_t slot, uint64_t pair, struct bstar_record *record)
{
    if (memcmp(from, RECORD_MAGIC.data, RECORD_MAGIC.size) != 0 ||
        bytes_get64(from + SUM_AT) != start_of_digest(view_of(from, SUM_AT)))
        return false;
    record->pair = bytes_get64(from + 8);
    record->serial = bytes_get64(from + 16);
    record->epoch = bytes_get64(from + 24);
    record->holder = bytes_get64(from + 32);
    // One that stands in the other slot was copied there: this file is not as we left it.
    return record->pair == pair && record->serial % 2 == slot && record->epoch <= BSTAR_EPOCH_MAX;
}

bool
bstar_record_decode(struct view file, uint64_t pair, struct bstar_record *record_out)
{
    *record_out = (struct bstar_record){.pair = pair};
    bool is_found = false;
    for (uint64_t slot = 0; slot < 2 && file.size >= (slot + 1) * BSTAR_SLOT_BYTES; slot++) {
        struct bstar_record record;
        if (!read_slot(file.data + slot * BSTAR_SLOT_BYTES, slot, pair, &record))
            continue;
        if (!is_found || record.serial > record_out->serial)
            *record_out = record;
        is_found = true;
    }
    return is_found;
}

#define OWNER_MAGIC VIEW_LITERAL("BSTROWN1")

enum { MEMBER_AT = 24 };

void
bstar_owner_encode(const struct bstar_owner *owner, uint8_t to[BSTAR_SLOT_BYTES])
{
    memset(to, 0, BSTAR_SLOT_BYTES);
    memcpy(to, OWNER_MAGIC.data, OWNER_MAGIC.size);
    bytes_put64(bytes_put64(to + OWNER_MAGIC.size, owner->pair), owner->node);
    to[MEMBER_AT] = (uint8_t)owner->member;
    bytes_put64(to + SUM_AT, start_of_digest(view_of(to, SUM_AT)));
}

bool
bstar_owner_decode(const uint8_t from[BSTAR_SLOT_BYTES], struct bstar_owner *owner_out)
{
    *owner_out = (struct bstar_owner){.pair = bytes_get64(from + 8),
                                      .node = bytes_get64(from + 16),
                                      .member = (char)from[MEMBER_AT]};
    return memcmp(from, OWNER_MAGIC.data, OWNER_MAGIC.size) == 0 &&
           bytes_get64(from + SUM_AT) == start_of_digest(view_of(from, SUM_AT)) &&
           owner_out->node != 0;
}
