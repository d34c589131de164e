// check_pairs.c - what must hold of a pair: reliability.md, 2.5.

#include "check_seen.h"
#include "pairs.h"

static const uint64_t ms = 1000000;

// ---- leases and epochs --------------------------------------------------------------------------

static bool
has_lease(const struct member *member)
{
    const struct bstar_guarded *guarded = &member->core.guarded;
    bool may_hold = guarded->state == GUARDED_ACTIVATING || guarded->state == GUARDED_ACTIVE ||
                    (guarded->state == GUARDED_DRAINING && guarded->is_soft);
    return member->node->is_alive && may_hold && member_now(member) < guarded->lease_ns;
}

// one_lease (S1): "at most one half holds a valid lease at any instant, with clocks drifting up to
// rho".
static void
one_lease(const struct member *member)
{
    const struct pair *pair = member->node->world->pair;
    if (has_lease(&pair->members[0]) && has_lease(&pair->members[1]))
        check_fail(member->node, "S1 one_lease", "epochs %llu and %llu have valid leases",
                   (unsigned long long)pair->members[0].core.guarded.epoch,
                   (unsigned long long)pair->members[1].core.guarded.epoch);
}

// one_owner (S2): "no epoch is ever owned by two halves".
static void
one_owner(const struct member *member)
{
    struct pair *pair = member->node->world->pair;
    uint64_t epoch = member->core.guarded.epoch;
    if (!has_lease(member) || epoch >= OWNERS_MAX)
        return;
    uint64_t *owner = &pair->owners[epoch];
    if (*owner != 0 && *owner != member->core.config.node)
        check_fail(member->node, "S2 one_owner", "epoch %llu was the other half's",
                   (unsigned long long)epoch);
    *owner = member->core.config.node;
}

// epochs_rise (S3): "epochs strictly increase at each voter, across restarts".
static void
epochs_rise(struct member *member)
{
    const struct bstar_voter *voter = &member->core.voter;
    if (voter->epoch < member->best_epoch ||
        (voter->epoch == member->best_epoch && voter->holder != member->best_holder))
        check_fail(member->node, "S3 epochs_rise", "epoch %llu of %llu is granted after %llu",
                   (unsigned long long)voter->epoch, (unsigned long long)voter->holder,
                   (unsigned long long)member->best_epoch);
    member->best_epoch = voter->epoch;
    member->best_holder = voter->holder;
}

// amnesia_wait (S9): "a restarted voter grants no new holder for one LEASE", unless the holder that
// its record names has released it.
static void
amnesia_wait(const struct member *member)
{
    uint64_t waited_ns = node_now(member->node) - member->restarted_ns;
    if (member->restarted_ns != 0 && waited_ns < member->core.config.lease_ns &&
        member->core.voter.holder != member->bound_to)
        check_fail(member->node, "S9 amnesia_wait", "it grants another %llu ms after its start",
                   (unsigned long long)(waited_ns / 1000000));
}

static void
judge_grant(struct member *member, const struct bstar_voter *was)
{
    const struct bstar_voter *voter = &member->core.voter;
    if (voter->epoch == was->epoch && voter->holder == was->holder)
        return;
    epochs_rise(member);
    amnesia_wait(member);
}

// ---- states -------------------------------------------------------------------------------------

// no_exit (S8): "nothing from the network ends a process".
static void
no_exit(const struct member *member)
{
    if (member->core.pulse.is_over && !member->was_stopped)
        check_fail(member->node, "S8 no_exit", "it is over, and nobody has stopped it");
}

// fault_sticks (S10): "FAULT is left only by the operator".
static void
fault_sticks(struct member *member, const struct bstar_event *event)
{
    bool is_fault = member->core.guarded.state == GUARDED_FAULT;
    bool may_leave = event->kind == BSTAR_ON_CLEAR || event->kind == BSTAR_ON_LOADED;
    if (member->was_fault && !is_fault && !may_leave)
        check_fail(member->node, "S10 fault_sticks", "it has left FAULT by itself");
    member->was_fault = is_fault;
}

// no_false_votes (S12): "worker, heartbeat and mmi traffic never cause a transition; in guarded no
// client traffic does". What the clock causes stands before it among the facts.
static void
no_false_votes(const struct member *member, const struct bstar_event *event)
{
    const struct bstar_effects *effects = &member->effects;
    if ((event->kind != BSTAR_ON_TRAFFIC && event->kind != BSTAR_ON_CLIENT) ||
        effects->fact_count == 0)
        return;
    const struct bstar_fact *fact = &effects->facts[effects->fact_count - 1];
    if (fact->was != fact->is)
        check_fail(member->node, "S12 no_false_votes", "a client moves it from %u to %u", fact->was,
                   fact->is);
}

// no_bugs: what the table calls a bug never happens.
static void
no_bugs(const struct member *member)
{
    if (member->core.stats.bugs > 0)
        check_fail(member->node, "S0 no_bugs", "a cell that says bug");
}

static const struct member *
other_half(const struct member *member)
{
    return &member->node->world->pair->members[1 - member->number];
}

static bool
is_candidate(const struct member *member)
{
    return member->node->is_alive && member->core.guarded.state == GUARDED_CANDIDATE;
}

static void
mark_rows(const struct member *member)
{
    const struct bstar_effects *effects = &member->effects;
    struct world *world = member->node->world;
    for (size_t i = 0; i < effects->count; i++) {
        const struct bstar_effect *effect = &effects->list[i];
        if (effect->kind != BSTAR_DO_CHANGE)
            continue;
        if (effect->is == GUARDED_CANDIDATE && is_candidate(other_half(member)))
            mark(world, MARK_DUEL);
        if (effect->is == GUARDED_FAULT)
            mark(world, MARK_FAULT);
        if (effect->is == GUARDED_ACTIVE && effect->epoch > 1)
            mark(world, MARK_TAKEOVER);
        if (effect->is == GUARDED_DRAINING)
            mark(world, member->core.guarded.is_soft ? MARK_SOFT_DRAIN : MARK_LEASE_ENDED);
        if (effect->was == GUARDED_DRAINING && effect->is == GUARDED_PASSIVE)
            mark(world, MARK_DRAIN_DONE);
    }
}

void
check_member_started(struct member *member)
{
    member->restarted_ns = member->node->life > 1 ? node_now(member->node) : 0;
    member->was_fault = member->was_stopped = member->has_heard = member->has_alarm = false;
    check_apart(member->node->world, member->node->world->now_ns);
}

void
check_member_step(struct member *member, const struct bstar_event *event,
                  const struct bstar_voter *was)
{
    member->was_stopped = member->was_stopped || event->kind == BSTAR_ON_STOP;
    no_exit(member);
    if (member_is_classic(member)) {
        check_classic_step(member, event);
        return;
    }
    bool is_release = event->kind == BSTAR_ON_MESSAGE && event->fault == BSTAR_SOUND &&
                      event->message->command == BSTAR_RELEASE &&
                      event->message->node == member->best_holder &&
                      event->message->epoch == member->best_epoch;
    if (is_release)
        member->restarted_ns = 0;
    // An operator who clears FAULT has the record read as at a start.
    bool is_cleared = event->kind == BSTAR_ON_CLEAR && member->was_fault &&
                      member->core.guarded.state == GUARDED_QUARANTINE;
    if (is_cleared) {
        mark(member->node->world, MARK_FAULT_CLEARED);
        member->restarted_ns = node_now(member->node);
    }
    if (event->kind == BSTAR_ON_LOADED || is_cleared) {
        // What was being written when it ended may be there, though nobody was told.
        epochs_rise(member);
        member->bound_to = member->core.voter.holder;
    } else {
        judge_grant(member, was);
    }
    if (member->number == MEMBER_WITNESS)
        return;
    fault_sticks(member, event);
    no_false_votes(member, event);
    one_lease(member);
    one_owner(member);
    no_bugs(member);
    mark_rows(member);
}

// ---- what is served -----------------------------------------------------------------------------

// passive_is_quiet (S11): "only ACTIVE (or a soft drain, for what was already out) answers".
void
check_pair_sends(const struct broker_node *broker, enum mdp_side side)
{
    const struct member *member = broker->half.member;
    bool is_active = member->core.guarded.state == GUARDED_ACTIVE;
    bool is_draining = member->core.guarded.state == GUARDED_DRAINING && side == MDP_CLIENT_SIDE;
    bool may = member_is_classic(member) ? check_classic_may_send(member, side)
                                         : has_lease(member) && (is_active || is_draining);
    if (!may)
        check_fail(&broker->node, "S11 passive_is_quiet", "it serves as %s",
                   bstar_core_state_name(&member->core));
    if (is_draining)
        mark(broker->node.world, MARK_HANDED_OVER);
}

bool
check_pair_finishes(const struct broker_node *broker, const struct asked *asked)
{
    const struct member *member = broker->half.member;
    const struct bstar_guarded *guarded = &member->core.guarded;
    if (member_is_classic(member) || !has_lease(member) || guarded->state != GUARDED_DRAINING)
        return false;
    // The half gives it so long, and the broker as it is configured.
    uint64_t since_ns = guarded->drain_ns - member->core.config.drain_ns;
    uint64_t most_ns = since_ns + broker->config.drain_ms * ms;
    if (member_now(member) >= (most_ns < guarded->drain_ns ? most_ns : guarded->drain_ns))
        return false;
    list_each (node, &asked->attempts)
        if (list_object(node, struct seen_attempt, in_request)->worker != NULL)
            return true;
    return false;
}

// no_late_effect (S4): "at no receiver does an effect with epoch e follow one with a higher epoch".
void
check_no_late_effect(struct node *node, uint64_t *highest_io, uint64_t epoch)
{
    if (epoch == 0)
        check_fail(node, "S4 no_late_effect", "it takes what carries no epoch");
    if (epoch < *highest_io)
        check_fail(node, "S4 no_late_effect", "it takes what is of epoch %llu after %llu",
                   (unsigned long long)epoch, (unsigned long long)*highest_io);
    *highest_io = epoch;
}

// ---- when all is mended -------------------------------------------------------------------------

bool
check_pair_serves(const struct world *world)
{
    uint32_t active = 0, passive = 0;
    for (uint32_t i = 0; i < MEMBER_WITNESS; i++) {
        const struct member *member = &world->pair->members[i];
        if (!member->node->is_alive)
            continue;
        bool is_draining =
            !member_is_classic(member) && member->core.guarded.state == GUARDED_DRAINING;
        active += bstar_core_shown(&member->core) == BSTAR_SHOWN_ACTIVE ? 1 : 0;
        passive += bstar_core_shown(&member->core) == BSTAR_SHOWN_PASSIVE && !is_draining ? 1 : 0;
    }
    return active == 1 && passive == 1;
}

void
check_pair_unsettled(struct world *world)
{
    world_fail(world, "L1 one_serves", "after all is mended the halves are %s and %s",
               bstar_core_state_name(&world->pair->members[0].core),
               bstar_core_state_name(&world->pair->members[1].core));
}
