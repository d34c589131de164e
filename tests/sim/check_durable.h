// check_durable.h - what must hold of durable requests (T1 to T10).
//
// There are two witnesses. The book has what the store has told the core: Titanic's words are
// held to it when they leave. The errands have what Titanic has told clients: what one heard
// is held to what it heard before, whatever crashed in between.

#ifndef GALLEON_CHECK_DURABLE_H
#define GALLEON_CHECK_DURABLE_H

#include "check.h"
#include "titanic_core.h"

enum { ERRAND_KEY_BYTES = 40 };

// One durable request, as its client sees it.
struct errand {
    uint64_t number; // of the call that its body names; 0: it is a stranger's errand
    uint32_t client;
    uint32_t service;
    bool has_key;
    uint8_t key[ERRAND_KEY_BYTES];
    uint8_t *frames; // of its body, packed
    size_t frames_bytes, frame_count;
    uint64_t delay_ms, deadline_ms;
    uint32_t attempts;
    const struct errand *of; // a stranger's: whose request it asks about
    // What was heard.
    bool is_acked;
    struct request_id id;
    bool is_closed;      // 200 was said to a close
    bool may_be_closed;  // a close was sent
    bool may_be_changed; // a cancel or a retry was sent
    bool is_excused;     // a disk that lied has lost it
    bool was_dropped;    // the store has let go of it, or of its key, after its time
    bool was_answered;
    uint64_t run;    // of the answer
    bool has_failed; // it is dead, or has expired
    bool is_over;    // its client has no more to do with it
    // A key that has the form of an id, and so its time in it.
    bool has_own_key;
    bool is_key_expired; // Titanic says so
    bool is_from_ahead;  // the key is younger than the store's clock was
    uint32_t effects;    // of what workers with an inbox did
    // The call that is open.
    uint64_t call; // the client core's number; 0: none
    uint32_t life; // of the client
    enum tsp_service asked;
    bool is_other;   // a submit with its key and another body
    bool was_closed; // when it was asked
    uint32_t tries;
    uint64_t next_ns; // when to go on; the world's time
};

// ---- errands ----------------------------------------------------------------------------

void check_durable_init(struct world *world);
struct errand *check_new_errand(struct world *world, uint32_t client, uint32_t service);
size_t check_errand_count(const struct world *world);
struct errand *check_errand(const struct world *world, size_t at);
// check_errand_of: NULL where the call is nobody's.
struct errand *check_errand_of(const struct world *world, uint64_t call);
// check_errand_heard: this was said to the call that is open. False: it was no answer to it, but
// that somebody has no room, or no time.
bool check_errand_heard(struct client_node *client, struct errand *errand,
                        const struct view *frames, size_t count);

// check_effect: a worker commits the effect of a request, and a row of its inbox.
void check_effect(const struct node *worker, const struct parcel *request);

// check_chain_given: a record is given to the disk, and this is how far the chain is with it.
// check_chain_found: so far it is at a start, and so far it was anchored.
struct chain;
void check_chain_given(struct node *node, const struct chain *chain, struct view record);
void check_chain_found(struct node *node, const struct chain *chain, const struct chain *anchor,
                       bool was_lied_to);

// ---- Titanic ----------------------------------------------------------------------------

// check_titanic_starts and check_titanic_replays: what its store has after a crash.
void check_titanic_starts(struct node *node);
void check_titanic_replays(struct node *node, const struct durable_op *op);
void check_titanic_started(struct node *node, bool was_lied_to);
// check_titanic_told: the core is told this.
void check_titanic_told(struct node *node, const struct durable_op *op, bool is_short);
// check_is_worked_on: does a worker still work on this request?
bool check_is_worked_on(const struct world *world, const struct request_id *id);
void check_titanic_stows(struct node *node, const struct durable_op *op);
// check_titanic_says: its words are about to leave, to somebody who asked this.
struct asked_of_titanic {
    const struct tsp_request *request;
    const struct durable_owner *owner;
    const struct durable_body *body; // SUBMIT
};
void check_titanic_says(struct node *node, const struct titanic_effect *effect,
                        const struct asked_of_titanic *asked);
void check_titanic_sends(struct node *node, const struct titanic_effect *effect, uint64_t now_ms);
// check_durable_over: (end) is everything done? check_durable_still_open fails with what is not.
bool check_durable_is_over(const struct world *world, uint64_t pending);
void check_durable_still_open(struct world *world, uint64_t pending);

#endif
