// pair_follower.h - what a broker that is half of a pair has to be told: serve, finish, or hold.
//
// The half (bstar_core) says who serves, the broker (broker_core) does it, and neither knows of the
// other. Here is what follows for the one from what the other says: which event comes next, when
// the half hears that nothing is left of a reign, and how the two leave. Whoever has both asks
// pair_follower_next after everything that may have changed the half, until there is nothing to do.
//
// A plain value, no clock.

#ifndef GALLEON_PAIR_FOLLOWER_H
#define GALLEON_PAIR_FOLLOWER_H

#include "broker_core.h"

// What the broker was told last.
enum pair_phase { PAIR_HOLDS, PAIR_SERVES, PAIR_FINISHES };

// What a half says of itself, at one time.
struct half_view {
    bool is_serving;
    bool may_finish; // what is out may be answered
    bool is_in_fault;
    bool is_over;   // it was stopped, and has ended
    uint64_t epoch; // of its reign
};

struct pair_follower {
    enum pair_phase phase;
    uint64_t epoch;    // of the reign
    bool is_quiet;     // the broker has said so: nothing of a reign is left
    bool is_in_fault;  // the broker's text of 503 is the reason
    bool must_finish;  // the half has asked for it,
    bool must_drop;    // or for this,
    bool owes_drained; // and wants to know when it is done
    bool is_leaving;   // the half was told to stop
    bool has_left;     // it is over, and the broker drains
};

// pair_follower_begin makes one of a broker that is told to HOLD now, so that it knows the text of
// its 503.
void pair_follower_begin(struct pair_follower *self, const struct half_view *half);

// What the half has asked for: to finish what is out, or to drop it.
void pair_follower_must_finish(struct pair_follower *self);
void pair_follower_must_drop(struct pair_follower *self);

// pair_follower_next says the broker's next event, SERVE, FINISH or HOLD; false: it is as it has
// to be.
bool pair_follower_next(struct pair_follower *self, const struct half_view *half,
                        enum broker_event_kind *kind_out);

// pair_follower_is_vote: is it a client's request that the half has to hear of? "A well-formed
// client REQUEST in any dialect whose service does not begin with mmi.", where this half does not
// serve.
bool pair_follower_is_vote(const struct pair_follower *self, const struct mdp_record *record);

// pair_follower_may_send: may this go out, to a worker or to a client, with what the half says now?
bool pair_follower_may_send(const struct pair_follower *self, const struct half_view *half,
                            bool is_request);

// pair_follower_leave begins to leave; true the first time: the half is to be told to stop.
bool pair_follower_leave(struct pair_follower *self);

struct pair_end {
    bool is_drained; // the half is to be told
    bool has_left;   // the broker is to drain
    bool has_more;   // for another turn, at once
};

// pair_follower_end_turn is asked when all has gone out: an answer that is packed but not sent yet
// would be withheld once the half knows that nothing is left.
struct pair_end pair_follower_end_turn(struct pair_follower *self, const struct half_view *half);

#endif
