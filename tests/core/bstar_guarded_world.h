// bstar_guarded_world.h - two halves in guarded, their witness, the links, the disks.
//
// Time goes in ticks, four to a LEASE. Beats are there at once. Each other message, and each
// write of a record, is an action of its own: it is delivered, or lost, or late by as much
// as anybody likes, and a member may crash before it or after. Losing, delaying, cutting,
// pausing and crashing are faults, of which a world has so many to spend; their ends cost
// nothing and may never come.

#ifndef GALLEON_BSTAR_GUARDED_WORLD_H
#define GALLEON_BSTAR_GUARDED_WORLD_H

#include "bstar_core.h"
#include "bstar_search.h"

// A denial tells the time left in whole milliseconds, so a tick is one.
#define GUARDED_TICK ((uint64_t)1000000)

enum { GUARDED_LEASE = 4, GUARDED_PATIENCE = 4, GUARDED_GAP_TICKS = 1 }; // in ticks

enum { MEMBER_A, MEMBER_B, MEMBER_W, MEMBERS };

enum { LETTERS_MAX = 16, HELD_MAX = 6, LATE_MAX = 6, OWNERS_MAX = 8 };

enum letter_kind { LETTER_MESSAGE, LETTER_STORE, LETTER_DRAINED, LETTER_OPENED };

struct letter {
    enum letter_kind kind;
    uint8_t from;
    uint8_t to;
    struct bstar_message message; // STORE: the record is in its epoch, node and sequence
};

struct letters {
    size_t count;
    struct letter list[LETTERS_MAX];
};

struct member {
    struct bstar_core core;
    struct bstar_record disk;
    bool is_up;
    bool is_paused;
    uint64_t behind; // its clock is, by so much: a clock that stands still in a pause
    int drift;       // of its clock, in permille
    // What the checks know.
    bool was_fault;
    bool was_cleared;
    uint64_t opened;     // the epoch that the store was opened with, 0: it is closed
    uint64_t best_epoch; // that it granted, and to whom
    uint64_t best_holder;
    uint64_t restarted; // when; 0: never
    uint64_t bound_to;  // whom its record named then
};

struct guarded_world {
    uint64_t now;
    uint32_t faults_left;
    uint32_t words_left;
    uint64_t starts;
    bool is_fine;         // not ticks, but milliseconds, the default times, and clocks that drift
    bool has_store;       // each half opens one before it serves
    bool forgives_bugs;   // a cell that says bug breaks nothing by itself
    bool has_still_clock; // a bug: a member's clock stands still while it is paused
    uint32_t cuts;        // a bit for each way from one member to another
    const char *broken;
    struct letters prompt; // the first is next
    struct letters late;
    struct letters held; // for members that are paused
    struct member members[MEMBERS];
    // What the checks know.
    struct owner {
        uint64_t epoch;
        uint64_t node;
    } owners[OWNERS_MAX]; // of the last epochs: who had a lease for it
    uint64_t served;      // the highest epoch that anything was served with
};

enum guarded_beginning {
    GUARDED_COLD,    // all three start at once, with new records
    GUARDED_SETTLED, // A is ACTIVE already
    GUARDED_STORE,   // as before, and each half has a store to open before it serves
    GUARDED_APART,   // A is ACTIVE, and the halves never heard each other
    GUARDED_FINE     // for walks: cold, in milliseconds, with clocks that drift
};

void guarded_world_init(struct guarded_world *self, enum guarded_beginning beginning,
                        uint32_t faults, uint32_t words);

// guarded_clock is what a member's own clock says.
uint64_t guarded_clock(const struct guarded_world *self, int which);

// guarded_write_key is in bstar_guarded_key.c.
void guarded_write_key(const void *world, struct search_text *text);

// guarded_weight is how often an action is to be tried in a walk.
uint32_t guarded_weight(size_t action);

extern const struct search_model guarded_model;

#endif
