// check_classic.c - what must hold of a pair in classic: reliability.md, 2.5.
//
// Two may serve there while something keeps them apart: a way that is cut or slow, a beat that is
// lost, a pause, a start, an operator's word. Until when that is is told as it happens.

#include "check.h"
#include "pairs.h"

static const uint64_t ms = 1000000;

void
check_apart(struct world *world, uint64_t until_ns)
{
    if (world->pair->apart_ns < until_ns)
        world->pair->apart_ns = until_ns;
}

// ---- what it has really heard -------------------------------------------------------------------

// waits_in_our_role: that is no sign of life of a peer, but of one who is none.
static bool
waits_in_our_role(const struct member *member, const struct bstar_beat *beat)
{
    return beat->digit == (member->core.config.is_primary ? BSTAR_SAYS_PRIMARY : BSTAR_SAYS_BACKUP);
}

void
check_classic_hears(struct member *member, const struct bstar_beat *beat)
{
    uint64_t now_ns = node_now(member->node);
    if (waits_in_our_role(member, beat))
        return;
    if (!member->has_heard || member->progress != beat->progress || member_is_bare(member))
        member->progress_ns = now_ns;
    member->progress = beat->progress;
    member->heard_ns = now_ns;
    member->has_heard = true;
}

static bool
is_really_silent(const struct member *member)
{
    uint64_t now_ns = node_now(member->node);
    uint64_t patience_ns = member->core.config.patience_ns;
    return !member->has_heard || now_ns - member->heard_ns > patience_ns ||
           now_ns - member->progress_ns > patience_ns;
}

// takeover_needs_both (S14): "a passive half takes over on silence and a vote; or on hearing its
// peer restart, or both passive", or on the operator's word while it hears nobody.
static void
takeover_needs_both(const struct member *member, const struct bstar_event *event)
{
    bool is_heard = event->kind == BSTAR_ON_BEAT && event->fault == BSTAR_SOUND &&
                    event->beat->digit != BSTAR_SAYS_ACTIVE;
    bool is_voted = event->kind == BSTAR_ON_CLIENT && is_really_silent(member);
    bool is_word = event->kind == BSTAR_ON_PROMOTE && is_really_silent(member);
    if (!is_heard && !is_voted && !is_word)
        check_fail(member->node, "S14 takeover_needs_both", "it takes over at event %u",
                   event->kind);
    mark(member->node->world, is_heard ? MARK_FOLLOWED : MARK_VOTED);
}

// no_false_votes (S12): a client makes a half ACTIVE only while its peer is silent, also one that
// has just started. (Nothing but a request for a service is told to a half, as broker_pair.c has
// it.)
static void
no_false_votes(const struct member *member, const struct bstar_event *event)
{
    if (event->kind == BSTAR_ON_CLIENT && !is_really_silent(member))
        check_fail(member->node, "S12 no_false_votes", "a vote counts while the peer is heard");
}

// ---- who serves ---------------------------------------------------------------------------------

static bool
wins(const struct member *member, uint64_t epoch, const struct bstar_beat *beat)
{
    const struct bstar_config *config = &member->core.config;
    if (member_is_bare(member))
        return !config->is_primary;
    if (beat->epoch != epoch)
        return beat->epoch > epoch;
    return beat->is_primary != config->is_primary ? beat->is_primary : beat->node < config->node;
}

// yields_rightly (S13): "exactly one yields": the higher epoch stays, then the primary, then the
// lower node.
static void
yields_rightly(const struct member *member, const struct bstar_event *event, uint64_t epoch)
{
    if (event->kind != BSTAR_ON_BEAT)
        return;
    if (event->beat->digit != BSTAR_SAYS_ACTIVE || !wins(member, epoch, event->beat))
        check_fail(member->node, "S13 two_only_when_cut", "it yields with epoch %llu to %llu",
                   (unsigned long long)epoch, (unsigned long long)event->beat->epoch);
    mark(member->node->world, member_is_bare(member) ? MARK_YIELDED_BARE : MARK_YIELDED);
}

static bool
is_at_work(const struct member *member)
{
    const struct node *node = member->node;
    uint64_t now_ns = node->world->now_ns;
    return node->is_alive && node->stands_until_ns <= now_ns && node->frozen_until_ns <= now_ns &&
           member_view(member).is_serving;
}

// two_only_when_cut (S13): "two halves serve only while they cannot hear each other or after a
// pause beyond the gap limit, and at most one beat after contact". A beat comes a quarter late
// where the thread says it, and takes its way.
static void
two_only_when_cut(const struct member *member)
{
    struct world *world = member->node->world;
    const struct pair *pair = world->pair;
    const struct plan *plan = &world->plan;
    if (!is_at_work(&pair->members[0]) || !is_at_work(&pair->members[1]))
        return;
    uint64_t way_ns = plan->pair.latency_ns_max + plan->lateness_ns;
    uint64_t most_ns = plan->pair.beat_ms * ms * 3 / 2 + 4 * way_ns;
    if (world->now_ns > pair->apart_ns + most_ns)
        check_fail(member->node, "S13 two_only_when_cut", "both serve, %llu ms after contact",
                   (unsigned long long)((world->now_ns - pair->apart_ns) / ms));
    mark(world, MARK_TWO_SERVE);
}

// ---- steps --------------------------------------------------------------------------------------

static void
judge_change(const struct member *member, const struct bstar_event *event,
             const struct bstar_effect *effect)
{
    bool was_active = effect->was == CLASSIC_ACTIVE;
    if (effect->was == CLASSIC_PASSIVE && effect->is == CLASSIC_ACTIVE)
        takeover_needs_both(member, event);
    if (effect->is == CLASSIC_ACTIVE)
        no_false_votes(member, event);
    if (was_active && effect->is == CLASSIC_PASSIVE)
        yields_rightly(member, event, member->reign);
    if (was_active && effect->is != CLASSIC_PASSIVE && member->core.pulse.is_behind)
        mark(member->node->world, MARK_SLEPT_ACTIVE);
}

// clash_halts: "two primaries or two backups halt with an alarm that names both".
static void
clash_halts(struct member *member, const struct bstar_event *event)
{
    const struct bstar_effects *effects = &member->effects;
    const struct bstar_pulse *pulse = &member->core.pulse;
    for (size_t i = 0; i < effects->count; i++)
        if (effects->list[i].kind == BSTAR_DO_ALARM && effects->list[i].node != 0)
            member->has_alarm = true;
    if (event->kind != BSTAR_ON_BEAT || event->fault != BSTAR_SOUND || pulse->is_behind ||
        pulse->is_stopping || !waits_in_our_role(member, event->beat))
        return;
    enum classic_state is = member->core.classic.state;
    if (is == CLASSIC_WAIT_P || is == CLASSIC_WAIT_B || !member->has_alarm)
        check_fail(member->node, "S0 clash_halts", "its peer has its role, and it is %s",
                   bstar_core_state_name(&member->core));
    if (is == CLASSIC_HALTED)
        mark(member->node->world, MARK_HALTED);
}

void
check_classic_step(struct member *member, const struct bstar_event *event)
{
    const struct bstar_effects *effects = &member->effects;
    for (size_t i = 0; i < effects->count; i++)
        if (effects->list[i].kind == BSTAR_DO_CHANGE)
            judge_change(member, event, &effects->list[i]);
    if (member->core.classic.state == CLASSIC_ACTIVE)
        member->reign = member->core.classic.epoch;
    clash_halts(member, event);
    two_only_when_cut(member);
}

// passive_is_quiet (S11): only ACTIVE answers, or who is stopping, what was already out; not who
// has slept since it was so.
bool
check_classic_may_send(const struct member *member, enum mdp_side side)
{
    const struct bstar_pulse *pulse = &member->core.pulse;
    bool has_slept = member_now(member) > pulse->turned_ns + member->core.config.gap_ns;
    bool is_active = member->core.classic.state == CLASSIC_ACTIVE && !has_slept;
    return is_active || (pulse->is_stopping && side == MDP_CLIENT_SIDE);
}
