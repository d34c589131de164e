// pair_node.c - a broker as one half of a pair, as broker_pair.c joins the two; and the witness.

#include "check.h"
#include "must.h"
#include "pairs.h"

enum { CHANGES_MAX = 8 };

static struct member *
member_of(const struct broker_node *self)
{
    return self->half.member;
}

// ---- what the half says, the core does ----------------------------------------------------------

static void
tell(struct broker_node *self, enum broker_event_kind kind)
{
    const struct world *world = self->node.world;
    struct broker_event event = {.kind = kind};
    if (kind == BROKER_SERVE) {
        mark(self->node.world, MARK_REIGN);
        event.has_epoch = !world->plan.pair.is_classic;
        event.pair = world->plan.pair.number;
        event.epoch = self->half.follower.epoch;
    } else if (!self->half.follower.is_in_fault) {
        event.text = swarm_broker(1 - self->node.index);
    }
    broker_node_step(self, &event);
}

static void
follow(struct broker_node *self)
{
    enum broker_event_kind kind;
    for (int i = 0; i < CHANGES_MAX; i++) {
        struct half_view half = member_view(member_of(self));
        if (!pair_follower_next(&self->half.follower, &half, &kind))
            break;
        tell(self, kind);
    }
}

// ---- a turn -------------------------------------------------------------------------------------

void
pair_begin_turn(struct broker_node *self)
{
    struct broker_half *half = &self->half;
    member_turn(half->member);
    if (self->is_drain_asked && !half->follower.has_left) {
        self->is_drain_asked = false;
        if (pair_follower_leave(&half->follower))
            member_step(half->member, (struct bstar_event){.kind = BSTAR_ON_STOP});
    }
    follow(self);
}

void
pair_before_record(struct broker_node *self, const struct mdp_record *record)
{
    if (!pair_follower_is_vote(&self->half.follower, record))
        return;
    mark(self->node.world, MARK_ASKED_PASSIVE);
    (void)member_may_serve(self->half.member);
    follow(self);
}

void
pair_after_record(struct broker_node *self)
{
    if (!self->half.is_fenced)
        return;
    self->half.is_fenced = false;
    member_step(self->half.member, (struct bstar_event){.kind = BSTAR_ON_FENCED});
    follow(self);
}

bool
pair_sleeps(struct broker_node *self)
{
    struct world *world = self->node.world;
    bool has_slept = self->half.is_halfway;
    self->half.is_halfway = false;
    if (has_slept || !has(world, FAULT_SUSPEND) || roll(world, STREAM_PAIR, 500) != 0)
        return false;
    uint64_t sleeps_ns =
        roll(world, STREAM_PAIR, 4 * (uint64_t)world->plan.pair.lease_ms * 1000000);
    note(world, &self->node, "sleeps for %llu us in the middle of a turn", sleeps_ns / 1000, 0, 0);
    self->half.is_halfway = true;
    node_stand(&self->node, world->now_ns + sleeps_ns);
    return true;
}

void
pair_end_turn(struct broker_node *self)
{
    struct broker_half *half = &self->half;
    struct member *member = half->member;
    struct half_view view = member_view(member);
    struct pair_end end = pair_follower_end_turn(&half->follower, &view);
    if (end.is_drained)
        member_step(member, (struct bstar_event){.kind = BSTAR_ON_DRAINED});
    if (end.has_left)
        self->is_drain_asked = true;
    half->has_more = end.has_more;
}

uint64_t
pair_deadline(const struct broker_node *self)
{
    if (self->half.has_more || self->half.is_halfway)
        return 0;
    return self->half.follower.has_left ? UINT64_MAX : member_deadline(self->half.member);
}

bool
pair_may_send(const struct broker_node *self, enum mdp_side side)
{
    const struct broker_half *half = &self->half;
    struct half_view view = member_view(half->member);
    bool may = pair_follower_may_send(&half->follower, &view, side == MDP_WORKER_SIDE);
    if (may)
        check_pair_sends(self, side);
    else
        mark(self->node.world, MARK_WITHHELD);
    return may;
}

void
pair_says(struct broker_node *self, enum bstar_event_kind word)
{
    if (self->half.follower.is_leaving)
        return;
    note(self->node.world, &self->node, "is told the word %llu", word, 0, 0);
    check_apart(self->node.world, self->node.world->now_ns);
    const struct bstar_record *record = word == BSTAR_ON_CLEAR ? &self->half.member->disk : NULL;
    member_step(self->half.member, (struct bstar_event){.kind = word, .record = record});
    follow(self);
    node_poke(&self->node);
}

void
pair_start(struct broker_node *self)
{
    self->half = (struct broker_half){.member = self->half.member};
    member_start(self->half.member);
    struct half_view view = member_view(self->half.member);
    pair_follower_begin(&self->half.follower, &view);
    tell(self, BROKER_HOLD);
}

void
pair_kill(struct broker_node *self)
{
    member_kill(self->half.member);
}

// ---- the witness --------------------------------------------------------------------------------

struct witness_node {
    struct node node;
    struct member *member;
};

static struct member *
of_witness(const struct node *node)
{
    return ((const struct witness_node *)node)->member;
}

static void
start(struct node *node)
{
    member_start(of_witness(node));
}

static void
kill(struct node *node)
{
    member_kill(of_witness(node));
}

static void
wake(struct node *node)
{
    member_turn(of_witness(node));
}

static uint64_t
deadline(const struct node *node)
{
    return member_deadline(of_witness(node));
}

static void
audit(const struct node *node)
{
    (void)node;
}

static const struct node_kind witness_kind = {"witness", start, kill, wake, deadline, audit, NULL};

void
pair_nodes_add(struct world *world)
{
    world->pair = world_take_zeroed(world, sizeof *world->pair);
    for (uint32_t i = 0; i < MEMBERS; i++)
        world->pair->members[i].number = i;
    for (uint32_t i = 0; i < MEMBER_WITNESS; i++) {
        broker_node_add(world, i);
        struct broker_node *half = broker_node_of(world, i);
        half->half.member = &world->pair->members[i];
        half->half.member->node = &half->node;
        half->half.member->follower = &half->half.follower;
    }
    if (world->plan.pair.is_classic)
        return;
    struct witness_node *witness = world_take_zeroed(world, sizeof *witness);
    witness->member = &world->pair->members[MEMBER_WITNESS];
    witness->member->node = &witness->node;
    world_add_node(world, &witness->node, &witness_kind, 0, &world->plan.pair.witness_clock);
}
