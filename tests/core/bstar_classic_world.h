// bstar_classic_world.h - two halves in classic, the link between them, and clients.
//
// Time goes in beats: in a TICK each half that runs has one turn, in either order, reads
// the newest beat that came, and is perhaps asked by a client. What a half publishes is
// there before the next turn of the other. All else is a fault, of which a world has so
// many to spend, or the end of one, which costs nothing and may never come.

#ifndef GALLEON_BSTAR_CLASSIC_WORLD_H
#define GALLEON_BSTAR_CLASSIC_WORLD_H

#include "bstar_core.h"
#include "bstar_search.h"

struct classic_half {
    struct bstar_core core;
    bool is_up;
    bool is_paused;
    bool has_mail; // the newest that came
    bool has_clogged_mail;
    struct bstar_beat mail;
    struct bstar_beat clogged_mail; // the newest that is stuck on the way to us
    // On the way to us:
    bool is_cut;
    bool is_clogged;
    // What the checks know.
    bool has_served;    // in this tick
    uint64_t really_ns; // when a beat of the other reached us last, in its right role
};

struct classic_world {
    uint64_t now;
    uint32_t faults_left;
    uint32_t words_left; // of the operator
    uint64_t starts;     // of either half: each has a seed of its own
    uint64_t contact;    // whole ticks in which nothing kept the halves apart
    const char *broken;
    struct classic_half halves[2];
};

// classic_world_init starts both halves at once; where is_settled, lets them agree first.
void classic_world_init(struct classic_world *self, uint32_t faults, uint32_t words,
                        bool is_settled);

// classic_weight is how often an action is to be tried in a walk.
uint32_t classic_weight(size_t action);

extern const struct search_model classic_model;

#endif
