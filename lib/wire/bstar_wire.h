// bstar_wire.h - what the members of a Binary Star pair say to each other.
//
// `classic` says one ASCII frame: the Guide's digit alone (--pair-guide), or the digit and
// six fields after it. `guarded` has messages of its own, binary, in network byte order.
// Only this file knows which byte means what. Nothing is allocated, nothing points into
// the frame; a fault is a peer's mistake, counted under its text.
//
// Spec: docs/protocol/bstar.md

#ifndef GALLEON_BSTAR_WIRE_H
#define GALLEON_BSTAR_WIRE_H

#include "view.h"

#define BSTAR_FAULT_MAP(X)                                                                         \
    X(BSTAR_SOUND, "sound")                                                                        \
    X(BSTAR_BAD_FRAMES, "frame_count")     /* not one frame */                                     \
    X(BSTAR_BAD_SIZE, "invalid_size")      /* empty, too short for its command, or too long */     \
    X(BSTAR_BAD_HEADER, "invalid_header")  /* no digit from 1 to 4, no BSTRG1 */                   \
    X(BSTAR_BAD_VERSION, "unknown_format") /* a bare digit where b1 is spoken, or the reverse */   \
    X(BSTAR_BAD_FIELDS, "field_count")     /* not seven fields, each a space apart */              \
    X(BSTAR_BAD_NUMBER, "invalid_number")  /* no decimal number, or an epoch out of bounds */      \
    X(BSTAR_BAD_ROLE, "invalid_role")      /* neither P nor B, or a waiting digit of the other */  \
    X(BSTAR_BAD_NODE, "invalid_node")      /* not 16 hex digits, or 0 */                           \
    X(BSTAR_BAD_COMMAND, "unknown_command")                                                        \
    X(BSTAR_BAD_STATE, "unknown_state")                                                            \
    X(BSTAR_BAD_PAIR, "unknown_pair")     /* of another pair than ours */                          \
    X(BSTAR_OWN_NODE, "own_node")         /* our own message, or a member with our node */         \
    X(BSTAR_BAD_SENDER, "wrong_sender")   /* what this member does not say */                      \
    X(BSTAR_OTHER_LEASE, "lease_differs") /* LEASE of who asks or denies is not ours */

enum bstar_fault {
#define X(name, text) name,
    BSTAR_FAULT_MAP(X)
#undef X
        BSTAR_FAULTS
};

// bstar_fault_text is the name that the fault is counted under.
const char *bstar_fault_text(enum bstar_fault fault);

// An epoch on the wire is at most this: so one that a member makes, one more than the
// highest it has seen, can always be said.
#define BSTAR_EPOCH_MAX ((uint64_t)1 << 62)

// ---- classic -----------------------------------------------------------------------------

enum bstar_digit {
    BSTAR_SAYS_PRIMARY = 1, // the primary, waiting
    BSTAR_SAYS_BACKUP = 2,  // the backup, waiting
    BSTAR_SAYS_ACTIVE = 3,
    BSTAR_SAYS_PASSIVE = 4
};

struct bstar_beat {
    enum bstar_digit digit;
    // All that follows is 0 in a bare digit.
    bool is_primary;
    uint64_t epoch;
    uint64_t node; // random for each installation, never 0
    uint64_t sequence;
    uint64_t progress; // of the main loop: where it stands still, the half hangs
};

enum { BSTAR_BEAT_BYTES_MAX = 128 };

// bstar_beat_decode reads the frames of a message, in the format with fields or, for a
// Guide's half, as the bare digit. Anything else is a fault: a half speaks one format.
enum bstar_fault bstar_beat_decode(const struct view *frames, size_t count, bool is_bare,
                                   struct bstar_beat *beat_out);

// bstar_beat_encode writes the frame and returns its size.
size_t bstar_beat_encode(const struct bstar_beat *beat, bool is_bare,
                         uint8_t to[BSTAR_BEAT_BYTES_MAX]);

// ---- guarded -----------------------------------------------------------------------------

enum bstar_command {
    BSTAR_BEAT = 1,
    BSTAR_ASK = 2,
    BSTAR_VOTE = 3,
    BSTAR_RENEW = 4,
    BSTAR_RELEASE = 5,
    BSTAR_GRANT = 6,
    BSTAR_DENY = 7
};

struct bstar_nonce {
    uint64_t words[2];
};

enum { BSTAR_STATE_OF_WITNESS = 0, BSTAR_STATES_MAX = 9 };

struct bstar_message {
    enum bstar_command command;
    uint8_t state; // of who says it: 1 to 9 in the order of the state table, 0 a witness
    uint64_t pair; // the first 8 bytes of SHA-256 of its name
    uint64_t node; // who says it
    uint64_t epoch;
    uint64_t sequence;        // BEAT
    uint64_t progress;        // BEAT
    uint64_t witness;         // BEAT: node of the one that it asks, 0: not heard, or not said
    struct bstar_nonce nonce; // ASK, VOTE, RENEW, GRANT, DENY
    uint64_t holder;          // DENY: as recorded, 0: nobody
    uint32_t left_ms;         // DENY: until there may be another holder
    uint32_t lease_ms;        // ASK, VOTE, RENEW, DENY: LEASE of who says it, 0: it does not say
};

enum { BSTAR_MESSAGE_BYTES_MAX = 64 };

// bstar_message_decode reads the frames of a message. Bytes after those of its command
// are ignored; what older members do not say, its last field, is 0 where it is not there.
enum bstar_fault bstar_message_decode(const struct view *frames, size_t count,
                                      struct bstar_message *message_out);

// bstar_message_encode leaves a last field out that is 0 and may be missing.
size_t bstar_message_encode(const struct bstar_message *message,
                            uint8_t to[BSTAR_MESSAGE_BYTES_MAX]);

// bstar_pair_of is the number of a pair's name.
uint64_t bstar_pair_of(struct view name);

static inline bool
bstar_nonce_equals(const struct bstar_nonce *a, const struct bstar_nonce *b)
{
    return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

// ---- the voter's record ---------------------------------------------------------------------

// What a voter has granted last. A file of two slots: the next record goes where the older
// one is, so that a torn write leaves the other.
struct bstar_record {
    uint64_t pair;
    uint64_t serial; // of the write; the slot is serial % 2
    uint64_t epoch;
    uint64_t holder; // 0: nobody yet
};

enum { BSTAR_SLOT_BYTES = 64, BSTAR_RECORD_BYTES = 2 * BSTAR_SLOT_BYTES };

// Whose record it is: a third slot, written once, when the file is made. A file that was copied
// from another member is found out by it.
struct bstar_owner {
    uint64_t pair;
    uint64_t node; // never 0
    char member;   // P, B or W: the primary, the backup, the witness
};

enum { BSTAR_FILE_BYTES = BSTAR_RECORD_BYTES + BSTAR_SLOT_BYTES };

void bstar_owner_encode(const struct bstar_owner *owner, uint8_t to[BSTAR_SLOT_BYTES]);
// bstar_owner_decode is false where the bytes are no owner's.
bool bstar_owner_decode(const uint8_t from[BSTAR_SLOT_BYTES], struct bstar_owner *owner_out);

// bstar_record_encode writes one slot; where it goes in the file is bstar_record_offset.
void bstar_record_encode(const struct bstar_record *record, uint8_t to[BSTAR_SLOT_BYTES]);

static inline size_t
bstar_record_offset(const struct bstar_record *record)
{
    return record->serial % 2 * BSTAR_SLOT_BYTES;
}

// bstar_record_decode finds the newest record of this pair in the bytes of a file. False:
// there is none, and a voter without a record does not vote.
bool bstar_record_decode(struct view file, uint64_t pair, struct bstar_record *record_out);

#endif
