// broker_pair.h - a broker loop as one half of a pair: what the half says, the core does.
//
// A turn with a half is
//
//     broker_pair_begin_turn(pair);      the clock, then the half where it wants to be pumped,
//                                        then what it means
//     ... broker_pair_step(pair, &event, &inbox) for each record ...
//     broker_pair_end_turn(pair);        as broker_loop_end_turn, and who is done says so
//
// in place of broker_loop's own calls; broker_loop_run stays. Nothing that depends on the reign of
// this half goes out without a look at the clock just before.

#ifndef GALLEON_BROKER_PAIR_H
#define GALLEON_BROKER_PAIR_H

#include "broker_loop.h"
#include "bstar_inside.h"
#include "inbox.h"
#include "pair_follower.h"

struct broker_pair {
    bstar_t *half; // NULL: there is no pair, and nothing here is to be called
    struct broker_loop *loop;
    char *redirect; // the other half's endpoint for clients; "": none
    struct pair_follower follower;
    bool is_stirred; // the half was told or asked something in this turn
    uint64_t pumped_ns;
};

// broker_pair_init joins an open loop to a half, which is borrowed; false when out of memory. The
// redirect is copied; it may be NULL. broker_pair_release after the loop is released.
bool broker_pair_init(struct broker_pair *self, struct broker_loop *loop, bstar_t *half,
                      const char *redirect);
void broker_pair_release(struct broker_pair *self);

void broker_pair_begin_turn(struct broker_pair *self);
// broker_pair_step steps the core with a RECORD out of the inbox. A client's request is a vote
// where this half does not serve, and mmi.ha is answered.
void broker_pair_step(struct broker_pair *self, struct broker_event *event,
                      const struct inbox *inbox);
void broker_pair_end_turn(struct broker_pair *self);

#endif
