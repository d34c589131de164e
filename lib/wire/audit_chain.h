// audit_chain.h - the records of what happened to requests, chained so that none can change.
//
//   leaf    = SHA-256(0x00 || record)
//   head(n) = SHA-256(0x01 || head(n-1) || leaf(n)),  head(0) = SHA-256(store id)
//
// The first byte keeps a leaf from ever passing as a head. A record has one form only: its
// fields in the order of struct audit_record, numbers in network order, a length before each
// string (one byte, two before `text`). So the head of a chain stands for every byte of every
// record before it, and their order.

#ifndef GALLEON_AUDIT_CHAIN_H
#define GALLEON_AUDIT_CHAIN_H

#include "durable.h"
#include "sha256.h"

// The numbers are those on disk.
#define AUDIT_KIND_MAP(X)                                                                          \
    X(AUDIT_ACCEPTED, 1, "accepted")                                                               \
    X(AUDIT_FAILED, 2, "failed") /* an attempt */                                                  \
    X(AUDIT_ANSWERED, 3, "answered")                                                               \
    X(AUDIT_ENDED, 4, "ended") /* dead or expired, as the state says */                            \
    X(AUDIT_RETRIED, 5, "retried")                                                                 \
    X(AUDIT_CLOSED, 6, "closed")                                                                   \
    X(AUDIT_DROPPED, 7, "dropped") /* past its time */

enum audit_kind {
#define X(name, number, text) name = number,
    AUDIT_KIND_MAP(X)
#undef X
        AUDIT_KINDS
};

enum {
    AUDIT_RECORD_BYTES_MAX = 128 + DURABLE_REASON_BYTES_MAX,
    AUDIT_STORE_ID_BYTES = 32, // hex digits
    AUDIT_SIGNED_BYTES = 16 + AUDIT_STORE_ID_BYTES + 8 + SHA256_BYTES
};

struct audit_record {
    uint64_t n; // 1 for the first of the chain
    uint64_t at_ms;
    enum audit_kind kind;
    uint64_t seq;
    struct request_id id;
    struct durable_owner owner; // empty on the wire where it is nobody
    enum durable_state state;   // after it
    uint32_t attempt;           // so many were made
    uint64_t epoch;             // the store's incarnation
    bool has_digest;
    struct durable_digest digest; // ACCEPTED: of the request; ANSWERED: of the answer
    struct view text;             // the reason; at most DURABLE_REASON_BYTES_MAX are taken
};

struct audit_head {
    uint8_t bytes[SHA256_BYTES];
};

// audit_encode writes a record, at most AUDIT_RECORD_BYTES_MAX bytes, and returns the end.
uint8_t *audit_encode(const struct audit_record *record, uint8_t *to);

// audit_decode takes the first record off `rest`, its text a view into it; false: there is
// none of this form.
bool audit_decode(struct view *rest, struct audit_record *record_out);

void audit_head_start(struct audit_head *self, struct view store_id);
// audit_head_add goes on with one record.
void audit_head_add(struct audit_head *self, struct view record);

// audit_head_walk goes on with a block of records, as they stand in the store, and counts n
// up. It stops at the first that is not of this form or not the next by its number: false,
// and *n is the last good one.
bool audit_head_walk(struct audit_head *self, uint64_t *n, struct view records);

// audit_to_sign is what a signature signs: that this store's chain had this head at n.
void audit_to_sign(struct view store_id, uint64_t n, const struct audit_head *head,
                   uint8_t text_out[AUDIT_SIGNED_BYTES]);

#endif
