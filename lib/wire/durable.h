// durable.h - what a durable request is, for the core that decides and the store that keeps.
//
// core and store do not know each other: this is what they both know. An operation
// (struct durable_op) is what the core wants of the store, and what came of it. The
// store applies operations in order, a batch in one transaction, and what came of them
// is told after the commit and not before.
//
// Times are milliseconds of the store's clock: the wall clock at the store's opening,
// but never before what the store has seen, and from then on the clock of all deadlines.
// So a step of the wall clock moves nothing.

#ifndef GALLEON_DURABLE_H
#define GALLEON_DURABLE_H

#include "view.h"

enum {
    REQUEST_ID_BYTES = 16,
    REQUEST_ID_TEXT_BYTES = 32, // upper-case hex digits
    DURABLE_OWNER_BYTES = 16,
    DURABLE_DIGEST_BYTES = 32,
    DURABLE_KEY_BYTES_MAX = 64,
    DURABLE_REASON_BYTES_MAX = 256,
    DURABLE_ROWS_MAX = 1000 // in one answer to LIST, or one change
};

// A request's name: 48 bits of milliseconds, never going back within a store, then 80
// that nobody can guess. An id is not an access right: the owner is checked too.
struct request_id {
    uint8_t bytes[REQUEST_ID_BYTES];
};

// Whose request it is: a hash of who the broker says asked; all zero where it does not say.
struct durable_owner {
    uint8_t bytes[DURABLE_OWNER_BYTES];
};

struct durable_digest { // SHA-256 over service and frames: durable_digest.h
    uint8_t bytes[DURABLE_DIGEST_BYTES];
};

// The numbers are the store's, on disk.
#define DURABLE_STATE_MAP(X)                                                                       \
    X(DURABLE_PENDING, 0, "pending") /* also while a worker has it */                              \
    X(DURABLE_DONE, 1, "done")                                                                     \
    X(DURABLE_DEAD, 2, "dead")                                                                     \
    X(DURABLE_CLOSED, 3, "closed")                                                                 \
    X(DURABLE_EXPIRED, 4, "expired")

enum durable_state {
#define X(name, number, text) name = number,
    DURABLE_STATE_MAP(X)
#undef X
        DURABLE_STATES
};

// A body with its header fields as one block from malloc: first the fields, then the
// frames, each a length of four bytes (network order) and that many bytes.
struct durable_body {
    uint32_t frames;
    uint32_t fields_bytes;
    size_t bytes; // of data: fields, lengths and frames
    uint8_t data[];
};

// durable_body_content is how many bytes stand in its frames.
static inline uint64_t
durable_body_content(const struct durable_body *body)
{
    return body->bytes - body->fields_bytes - 4 * (uint64_t)body->frames;
}

// Which requests: terms that all must hold. What is 0 or empty is not asked for.
struct durable_filter {
    struct view service;
    bool has_state;
    enum durable_state state;
    uint64_t older_than_ms; // accepted at least so long ago
    uint64_t newer_than_ms; // less than so long ago
    bool has_id;
    struct request_id id;
    bool has_after;
    struct request_id after; // accepted after this one
    uint32_t limit;          // 1 to DURABLE_ROWS_MAX
};

// ---- operations ----------------------------------------------------------------

#define DURABLE_OP_MAP(X)                                                                          \
    X(DURABLE_SUBMIT, "submit")   /* keep a new request */                                         \
    X(DURABLE_ANSWER, "answer")   /* keep the answer of a pending one: DONE */                     \
    X(DURABLE_FAILED, "failed")   /* an attempt failed; it is due again later */                   \
    X(DURABLE_KILL, "kill")       /* it is over without an answer: `state`, DEAD or EXPIRED */     \
    X(DURABLE_CLOSE, "close")     /* forget it, whatever its state */                              \
    X(DURABLE_FETCH, "fetch")     /* its state, and the answer where there is one */               \
    X(DURABLE_LOAD, "load")       /* the next pending ones of a service, with their bodies */      \
    X(DURABLE_OVERDUE, "overdue") /* those pending past their deadline; changes nothing */         \
    X(DURABLE_LIST, "list")                                                                        \
    X(DURABLE_STATS, "stats")                                                                      \
    X(DURABLE_RETRY, "retry")   /* DEAD and EXPIRED ones: PENDING, as if new: another life */      \
    X(DURABLE_CANCEL, "cancel") /* PENDING ones: DEAD, with a reason */                            \
    X(DURABLE_PURGE, "purge")   /* DONE, DEAD and EXPIRED ones: CLOSED */

enum durable_op_kind {
#define X(name, text) name,
    DURABLE_OP_MAP(X)
#undef X
        DURABLE_OPS
};

enum durable_outcome {
    DURABLE_OK,
    DURABLE_SAME,     // SUBMIT: the key is known, with this body; `id` and `state` are of the first
    DURABLE_CONFLICT, // SUBMIT: the key is known, with another body
    DURABLE_LATE,     // SUBMIT: the key is of our own form, and from before what was swept
    DURABLE_NONE,     // there is no such request of this owner, or it is not in a state for this
    DURABLE_REFUSED,  // nothing was done: the store has no room, or no memory
    DURABLE_DAMAGED   // FETCH, LOAD: what is there is not what was stored; in LOAD a row without
                      // its body is such a one, and the others are good
};

// One request as it stands in the store.
struct durable_row {
    uint64_t seq; // the store's own number: grows, is never used again
    struct request_id id;
    struct durable_owner owner;
    enum durable_state state;
    uint32_t life;     // how often it was retried
    uint32_t attempts; // made so far, in this life
    uint32_t attempts_max;
    uint64_t accepted_ms;
    uint64_t due_ms;      // no attempt starts earlier
    uint64_t deadline_ms; // nor later; 0: none
    struct view service;  // this, key and reason lie in the memory of the rows
    struct view key;
    struct view reason; // the last error
    uint32_t frames, reply_frames;
    uint64_t bytes, reply_bytes; // in the frames: neither fields nor lengths
    struct durable_body *body;   // LOAD: from malloc, and the reader's from now on; else NULL
    uint64_t body_bytes;         // of its data
};

struct durable_count { // of one service; of the whole store where the name is empty
    struct view service;
    uint64_t pending, done, dead, expired;
    uint64_t oldest_ms; // when the pending one that is due first was accepted; 0: none
};

// What an operation found: one block from malloc, which the views of its rows point into.
// Its bodies are not in it.
struct durable_rows {
    size_t count;
    struct durable_row *rows;
    size_t service_count;
    struct durable_count *services;
};

struct durable_op {
    enum durable_op_kind kind;
    uint64_t now_ms; // when the core asked for it

    // Which request. SUBMIT: `id` is the one it gets. CLOSE and FETCH go by `id`, ANSWER,
    // FAILED and KILL by `seq`.
    uint64_t seq;
    struct request_id id;
    struct durable_owner owner;
    // FAILED, KILL: the life that they speak of. One that was cancelled and retried meanwhile
    // knows nothing of it: NONE. An answer is one whatever life it was asked for in.
    uint32_t life;

    // SUBMIT; LOAD asks by service. Views are the caller's until what came of it is told.
    struct view service;
    struct view key; // empty: none
    struct durable_digest digest;
    const struct durable_body *body; // SUBMIT, ANSWER
    uint32_t attempts_max;
    uint64_t deadline_ms;

    uint64_t due_ms;   // SUBMIT, FAILED, RETRY
    uint32_t attempts; // ANSWER, FAILED, KILL: made so far, with the last
    struct view reason;

    // LOAD: those that are due at now_ms and stand behind (after_due_ms, after_seq) in the
    // order of (due_ms, seq), at most `limit` of them and not much more than bytes_max.
    // OVERDUE: those whose deadline is before now_ms, of all services, behind the same two in
    // the order of (deadline_ms, seq), at most `limit`.
    // STATS: where it is not 0 only services that have something pending, and so many of them;
    // else all, and as many as the filter says.
    uint64_t after_due_ms;
    uint64_t after_seq;
    uint32_t limit;
    uint64_t bytes_max;

    struct durable_filter filter; // LIST, STATS, RETRY, CANCEL, PURGE; now_ms is its clock

    // ---- what came of it
    enum durable_outcome outcome;
    enum durable_state state;   // FETCH, CLOSE: what it was; SUBMIT: what it is. KILL: given
                                // (`seq` too is filled in by SUBMIT, FETCH and CLOSE)
    struct durable_body *reply; // FETCH of a DONE one: from malloc, the reader's
    struct durable_rows *found; // LOAD, OVERDUE, LIST, STATS; what RETRY, CANCEL, PURGE changed
    struct view text;           // FETCH of a DEAD or EXPIRED one: its reason, in `found`'s memory
    bool has_more;              // LOAD, OVERDUE: there is more of it now
    uint64_t next_ms; // LOAD: when the next will be due; OVERDUE: the next deadline; 0: none
};

#endif
