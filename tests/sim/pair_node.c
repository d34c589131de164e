// pair_node.c - a broker as one half of a pair, as broker_pair.c joins the two; and the witness.

#include "check.h"
#include "must.h"
#include "pairs.h"
#include "service_name.h"

enum { CHANGES_MAX = 8 };

static struct member *
member_of(const struct broker_node *self)
{
    return self->half.member;
}

// ---- what the half says, the core does ----------------------------------------------------------

static bool
is_in_fault(const struct broker_node *self)
{
    return bstar_core_shown(&member_of(self)->core) == BSTAR_SHOWN_FAULT;
}

static void
end_reign(struct broker_node *self, enum half_phase phase)
{
    struct broker_event event = {.kind = phase == HALF_HOLDS ? BROKER_HOLD : BROKER_FINISH,
                                 .text = swarm_broker(1 - self->node.index)};
    if (is_in_fault(self))
        event.text = VIEW_NONE;
    self->half.phase = phase;
    self->half.is_in_fault = is_in_fault(self);
    self->half.is_quiet = false;
    broker_node_step(self, &event);
}

static void
begin_reign(struct broker_node *self)
{
    struct world *world = self->node.world;
    struct broker_event event = {.kind = BROKER_SERVE,
                                 .has_epoch = !world->plan.pair.is_classic,
                                 .pair = world->plan.pair.number,
                                 .epoch = bstar_core_epoch(&member_of(self)->core)};
    mark(world, MARK_REIGN);
    self->half.epoch = event.epoch;
    self->half.phase = HALF_SERVES;
    self->half.is_quiet = false;
    broker_node_step(self, &event);
}

static bool
is_over(const struct broker_node *self)
{
    const struct bstar_core *core = &member_of(self)->core;
    if (self->half.phase == HALF_SERVES)
        return !member_is_serving(member_of(self)) || bstar_core_epoch(core) != self->half.epoch;
    if (self->half.phase == HALF_HOLDS)
        return is_in_fault(self) != self->half.is_in_fault; // 503 has another text
    return !bstar_core_may_finish(core, member_now(self->half.member));
}

static bool
may_begin(const struct broker_node *self)
{
    const struct broker_half *half = &self->half;
    return half->phase == HALF_HOLDS && half->is_quiet && !half->owes_drained &&
           !half->is_leaving && member_is_serving(half->member);
}

static bool
follow_once(struct broker_node *self)
{
    struct broker_half *half = &self->half;
    struct member *member = half->member;
    if (half->phase == HALF_FINISHES && half->is_quiet)
        half->phase = HALF_HOLDS;
    if (member->must_drop) {
        member->must_drop = member->must_finish = false;
        half->owes_drained = true;
        end_reign(self, HALF_HOLDS);
    } else if (member->must_finish) {
        member->must_finish = false;
        half->owes_drained = true;
        end_reign(self, half->phase == HALF_SERVES ? HALF_FINISHES : HALF_HOLDS);
    } else if (is_over(self)) {
        end_reign(self, HALF_HOLDS);
    } else if (may_begin(self)) {
        begin_reign(self);
    } else {
        return false;
    }
    return true;
}

static void
follow(struct broker_node *self)
{
    for (int i = 0; i < CHANGES_MAX && follow_once(self); i++)
        continue;
}

// ---- a turn -------------------------------------------------------------------------------------

void
pair_begin_turn(struct broker_node *self)
{
    struct broker_half *half = &self->half;
    member_turn(half->member);
    if (self->is_drain_asked && !half->has_left) {
        self->is_drain_asked = false;
        if (!half->is_leaving)
            member_step(half->member, (struct bstar_event){.kind = BSTAR_ON_STOP});
        half->is_leaving = true;
    }
    follow(self);
}

void
pair_before_record(struct broker_node *self, const struct mdp_record *record)
{
    bool is_vote = record->side == MDP_CLIENT_SIDE && record->command == MDP_REQUEST &&
                   record->fault == MDP_SOUND && !service_name_is_reserved(record->service);
    if (self->half.phase != HALF_HOLDS || self->half.is_leaving || !is_vote)
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
    bool is_asked = member->must_drop || member->must_finish;
    bool is_done = half->owes_drained && half->is_quiet && !is_asked;
    if (is_done) {
        half->owes_drained = false;
        if (member->is_draining) {
            member->is_draining = false;
            member_step(member, (struct bstar_event){.kind = BSTAR_ON_DRAINED});
        }
    }
    bool has_gone = half->is_leaving && !half->has_left && member->core.pulse.is_over;
    if (has_gone)
        half->has_left = self->is_drain_asked = true;
    half->has_more = is_done || has_gone || is_asked;
}

uint64_t
pair_deadline(const struct broker_node *self)
{
    if (self->half.has_more || self->half.is_halfway)
        return 0;
    return self->half.has_left ? UINT64_MAX : member_deadline(self->half.member);
}

bool
pair_may_send(const struct broker_node *self, enum mdp_side side)
{
    const struct broker_half *half = &self->half;
    bool may = member_may_send(half->member, half->phase == HALF_FINISHES, side == MDP_WORKER_SIDE);
    if (may)
        check_pair_sends(self, side);
    else
        mark(self->node.world, MARK_WITHHELD);
    return may;
}

void
pair_says(struct broker_node *self, enum bstar_event_kind word)
{
    if (self->half.is_leaving)
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
    end_reign(self, HALF_HOLDS);
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
    }
    if (world->plan.pair.is_classic)
        return;
    struct witness_node *witness = world_take_zeroed(world, sizeof *witness);
    witness->member = &world->pair->members[MEMBER_WITNESS];
    witness->member->node = &witness->node;
    world_add_node(world, &witness->node, &witness_kind, 0, &world->plan.pair.witness_clock);
}
