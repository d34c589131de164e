// store_check.h - looks at the files of a store that no process has, and changes nothing in them.
//
// It holds the store's lock while it looks, so no daemon can begin to serve it meanwhile. What
// stands in the log (a process that was killed leaves one) is read with the rest, and stays.

#ifndef GALLEON_STORE_STORE_CHECK_H
#define GALLEON_STORE_STORE_CHECK_H

#include "audit_chain.h"
#include "store.h"

enum { STORE_PUBLIC_KEY_BYTES = 32 };

struct store_check;

// store_check_open returns NULL, and *error_out says why: `is_locked` where a process has it.
struct store_check *store_check_open(const char *path, struct store_error *error_out);
void store_check_close(struct store_check **self_p);

// What a store says of itself, without a look at what it says it of.
struct store_outline {
    struct store_info info;
    struct audit_head head; // of the chain, at info.audit_count
    uint64_t changes;       // of state, ever
    bool is_copy;           // a backup that no titanic has started on yet
    bool has_anchor;
    uint64_t anchored; // changes, by the anchor
    uint64_t signatures;
    uint64_t signed_to; // the last record that a signature stands for; 0: none
};

// store_check_outline: false where that cannot be read, and error_out says why.
bool store_check_outline(struct store_check *self, struct store_outline *outline_out,
                         struct store_error *error_out);

// What walking the chain found. Up to the first that is broken everything holds.
struct store_chain {
    bool is_whole;
    uint64_t count; // records that hold
    struct audit_head head;
    uint64_t broken;             // the first record that does not hold, by its number; 0: none
    char why[STORE_ERROR_BYTES]; // and what is wrong with it
    uint64_t signatures;
    uint64_t signed_to; // with a key: as far as its signatures prove it
};

// store_check_chain walks all of it, and compares its end with the store and with the anchor.
// With a public key every signature has to be of that key; NULL: they are only counted.
void store_check_chain(struct store_check *self, const uint8_t *public_key,
                       struct store_chain *chain_out);

// What looking at all pages and all requests found.
struct store_contents {
    bool is_whole;
    uint64_t requests;
    uint64_t counts[DURABLE_STATES]; // so many are in each state
    uint64_t digests;                // bodies and answers that are what was stored
    uint64_t damaged;                // of them, so many are not
    char why[STORE_ERROR_BYTES];     // what was wrong first
};

// store_check_contents reads everything: every page has to fit to the others and to its
// checksum, every body and answer to its digest, and the counts to what is counted.
void store_check_contents(struct store_check *self, struct store_contents *contents_out);

#endif
