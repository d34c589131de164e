// pairs.h - a pair: two brokers of which one serves, and in guarded their witness.
//
// A member is bstar_core with its mail, its disk and its clock (pair_member.c; the beats of classic
// are in pair_beats.c). Two of them stand in a broker each, as lib/shell/broker_pair.c has it, and
// the third is a node of its own (pair_node.c). What holds of them is in check_pairs.c, and of
// those in classic in check_classic.c.

#ifndef GALLEON_PAIRS_H
#define GALLEON_PAIRS_H

#include "bstar_core.h"
#include "nodes.h"

enum { MEMBER_WITNESS = 2, MEMBERS = 3, OWNERS_MAX = 4096 };
enum { PLANT_STILL_CLOCK = 119 }; // plant.py: planted in pair_trouble.c

struct letter {
    struct letter *next;
    uint32_t from, to;
    uint32_t life; // of the member that it goes to: a connection does not outlive a process
    uint32_t line; // classic: the connection
    size_t size;
    uint8_t bytes[BSTAR_BEAT_BYTES_MAX];
};

struct member {
    struct node *node;
    uint32_t number;
    struct bstar_core core;
    struct bstar_effects effects;
    struct letter *first, *last; // that have arrived
    uint64_t still_ns;           // that its clock stood still: 0 but for a planted bug
    // The disk, which outlives a process.
    struct bstar_record disk, writing;
    uint64_t write_serial;
    bool is_writing;
    bool is_written;                // and not told yet
    bool is_failed;                 // nor of this: it could not be written
    struct pair_follower *follower; // its broker's, which is asked to drain; NULL: the witness
    bool is_served;                 // by the last step
    // classic: what its thread says, and how often it was told; the connection to it.
    struct bstar_beat beat;
    uint64_t told, sequence;
    uint64_t turned_ns; // the world's time
    uint64_t gaps;
    uint32_t line;
    // check_classic.c: what it really heard of the other
    bool has_heard;
    uint64_t heard_ns, progress, progress_ns;
    uint64_t reign; // the epoch that it served with last
    bool has_alarm; // it has named the other, which has its role
    // check_pairs.c
    uint64_t best_epoch, best_holder; // that it granted last
    uint64_t bound_to;                // whom its record named when it started,
    uint64_t restarted_ns;            // and when; 0: it has released, or was never killed
    bool was_fault, was_stopped;
};

struct pair {
    struct member members[MEMBERS];
    uint64_t cut_until_ns[MEMBERS][MEMBERS]; // from, to
    uint64_t slow_until_ns[MEMBERS][MEMBERS];
    uint64_t slow_ns[MEMBERS][MEMBERS]; // that each letter takes until then
    uint64_t last_ns[MEMBERS][MEMBERS]; // classic: when the last one arrives
    uint64_t apart_ns;                  // classic: something keeps them apart until then
    uint64_t owners[OWNERS_MAX];        // of each epoch: who had a lease for it
    uint64_t settled_ns;                // since when exactly one serves, when all is mended
};

// ---- members (pair_member.c) --------------------------------------------------------------------

void member_start(struct member *self);
void member_kill(struct member *self);
// member_turn: what the disk has done, all that has arrived, TICK.
void member_turn(struct member *self);
void member_step(struct member *self, struct bstar_event event);
// member_now is its clock, which counts what it slept.
uint64_t member_now(const struct member *self);
uint64_t member_deadline(const struct member *self);
// member_may_serve is a client's knock: in guarded it is no vote.
bool member_may_serve(struct member *self);
// member_view is what it says of itself now.
struct half_view member_view(const struct member *self);

// member_post sends a letter; member_read_letters reads what has arrived.
void member_post(struct member *self, uint32_t to, const struct letter *letter);
void member_read_letters(struct member *self);
void member_drop_letters(struct member *self);

static inline bool
member_is_classic(const struct member *self)
{
    return self->node->world->plan.pair.is_classic;
}

static inline bool
member_is_bare(const struct member *self)
{
    return self->node->world->plan.pair.is_bare;
}

// pair_size is how many members there are.
static inline uint32_t
pair_size(const struct world *world)
{
    return world->plan.pair.is_classic ? MEMBER_WITNESS : MEMBERS;
}

// ---- beats of classic (pair_beats.c) ------------------------------------------------------------

void beats_publish(struct member *self, const struct bstar_beat *beat);
void beats_read(struct member *self, const struct letter *letter);
// beats_turn ends a turn of the main loop.
void beats_turn(struct member *self);

// ---- nodes (pair_node.c) ------------------------------------------------------------------------

void pair_nodes_add(struct world *world);
// Of a broker that is a half, around its own loop.
void pair_start(struct broker_node *self);
void pair_kill(struct broker_node *self);
void pair_begin_turn(struct broker_node *self);
void pair_before_record(struct broker_node *self, const struct mdp_record *record);
void pair_after_record(struct broker_node *self);
// pair_sleeps: does its machine sleep between what was decided and what is sent? Then the turn goes
// on when it wakes.
bool pair_sleeps(struct broker_node *self);
void pair_end_turn(struct broker_node *self);
uint64_t pair_deadline(const struct broker_node *self);
bool pair_may_send(const struct broker_node *self, enum mdp_side side);
// pair_says is what an operator says to a half; CLEAR with its record as it is on the disk.
void pair_says(struct broker_node *self, enum bstar_event_kind word);

// ---- trouble (pair_trouble.c) -------------------------------------------------------------------

void pair_trouble_begin(struct world *world);
void pair_trouble_end(struct world *world);

// ---- invariants (check_pairs.c) -----------------------------------------------------------------

void check_member_started(struct member *member);
void check_member_step(struct member *member, const struct bstar_event *event,
                       const struct bstar_voter *was);
// check_pair_sends: this broker's socket is given something that depends on its reign.
void check_pair_sends(const struct broker_node *broker, enum mdp_side side);
// check_pair_serves (L1): is exactly one half ACTIVE, and the other one passive (L5)?
bool check_pair_serves(const struct world *world);
_Noreturn void check_pair_unsettled(struct world *world);

// ---- invariants of classic (check_classic.c) ----------------------------------------------------

// check_apart: something keeps the halves apart, or did, until then.
void check_apart(struct world *world, uint64_t until_ns);
void check_classic_hears(struct member *member, const struct bstar_beat *beat);
void check_classic_step(struct member *member, const struct bstar_event *event);
bool check_classic_may_send(const struct member *member, enum mdp_side side);

#endif
