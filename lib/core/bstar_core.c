// bstar_core.c - the way in: times, the look at the clock, effects.

#include "bstar_state.h"

#include <limits.h>

static const uint64_t NS_PER_MS = 1000000;

// ---- configuration --------------------------------------------------------------------------

enum {
    CLASSIC_BEAT_MS = 500,
    CLASSIC_LIVENESS = 4,
    GUIDE_BEAT_MS = 1000,
    GUIDE_LIVENESS = 3,
    GUARDED_BEAT_MS = 100,
    GUARDED_LIVENESS = 5,
    LEASE_MS = 1000,
    MARGIN_MS_MIN = 50,
    MARGIN_PERCENT = 5,
    DRIFT_PERCENT = 1,
    BEAT_MS_MAX = 60000,
    LIVENESS_MAX = 1000,
    LEASE_MS_MAX = 600000
};

static void
set_lease(struct bstar_config *self, uint64_t lease_ns)
{
    uint64_t margin_ns =
        bstar_larger(lease_ns * MARGIN_PERCENT / 100, (uint64_t)MARGIN_MS_MIN * NS_PER_MS);
    uint64_t less_ns = lease_ns * DRIFT_PERCENT / 100 + margin_ns;
    self->lease_ns = lease_ns;
    self->valid_ns = lease_ns > less_ns ? lease_ns - less_ns : 0;
    self->round_ns = lease_ns / 4;
    self->gap_ns = lease_ns / 4;
    self->preference_ns = self->is_primary ? 0 : lease_ns / 4;
    self->drain_ns = lease_ns / 4;
    self->hold_off_ns = 5 * lease_ns;
    self->back_off_ns[0] = lease_ns / 20;
    self->back_off_ns[1] = lease_ns / 4;
    self->after_denial_ns[0] = lease_ns / 100;
    self->after_denial_ns[1] = lease_ns * 6 / 100;
}

void
bstar_config_init(struct bstar_config *self, enum bstar_mode mode, bool is_primary, bool is_bare,
                  uint32_t beat_ms, uint32_t liveness, uint32_t lease_ms)
{
    *self = (struct bstar_config){.mode = mode, .is_primary = is_primary, .is_bare = is_bare};
    bool is_classic = mode == BSTAR_CLASSIC;
    if (beat_ms == 0)
        beat_ms = !is_classic ? GUARDED_BEAT_MS : is_bare ? GUIDE_BEAT_MS : CLASSIC_BEAT_MS;
    if (liveness == 0)
        liveness = !is_classic ? GUARDED_LIVENESS : is_bare ? GUIDE_LIVENESS : CLASSIC_LIVENESS;
    self->beat_ns = beat_ms * NS_PER_MS;
    // More than this is refused by the check below, and cannot overflow before it.
    self->patience_ns = self->beat_ns * bstar_smaller(liveness, LIVENESS_MAX + 1);
    if (!is_classic) {
        set_lease(self, (lease_ms > 0 ? lease_ms : LEASE_MS) * NS_PER_MS);
        return;
    }
    self->gap_ns = liveness > 2 ? self->patience_ns - 2 * self->beat_ns : 0;
    self->grace_ns = (is_primary ? 2 : 3) * self->patience_ns;
}

const char *
bstar_config_check(const struct bstar_config *self)
{
    if (self->node == 0)
        return "a node is never 0";
    if (self->beat_ns == 0 || self->beat_ns > BEAT_MS_MAX * NS_PER_MS)
        return "the pair's heartbeat is not of 1 to 60000 ms";
    if (self->patience_ns > LIVENESS_MAX * self->beat_ns)
        return "the pair's liveness is above 1000 beats";
    if (self->mode == BSTAR_CLASSIC)
        return self->gap_ns < self->beat_ns ? "the pair's liveness is below 3 beats" : NULL;
    if (self->valid_ns <= self->round_ns || self->lease_ns > LEASE_MS_MAX * NS_PER_MS)
        return "the pair's lease is too short, or above 600000 ms";
    if (self->mode == BSTAR_WITNESS)
        return NULL;
    if (self->patience_ns < 4 * self->beat_ns)
        return "the pair's liveness is below 4 beats";
    if (self->gap_ns == 0 || self->gap_ns >= self->lease_ns / 2)
        return "the gap limit is not below half a lease";
    if (self->hold_off_ns < 4 * self->lease_ns)
        return "the hold-off is below four leases";
    return NULL;
}

// ---- effects --------------------------------------------------------------------------------

struct bstar_effect *
bstar_add_effect(struct bstar_core *self, enum bstar_effect_kind kind)
{
    must(self->effects->count < BSTAR_EFFECTS_MAX);
    struct bstar_effect *effect = &self->effects->list[self->effects->count++];
    *effect = (struct bstar_effect){.kind = kind, .why = ""};
    return effect;
}

void
bstar_add_fact(struct bstar_core *self, bool is_voter, size_t row, uint8_t was, uint8_t is)
{
    struct bstar_effects *effects = self->effects;
    if (effects->fact_count < BSTAR_FACTS_MAX)
        effects->facts[effects->fact_count++] =
            (struct bstar_fact){is_voter, (uint8_t)row, was, is};
}

void
bstar_change(struct bstar_core *self, uint8_t was, uint8_t is, uint64_t epoch)
{
    if (was == is)
        return;
    struct bstar_effect *effect = bstar_add_effect(self, BSTAR_DO_CHANGE);
    effect->was = was;
    effect->is = is;
    effect->epoch = epoch;
    self->stats.changes++;
    self->stats.takeovers += bstar_core_shown(self) == BSTAR_SHOWN_ACTIVE;
}

void
bstar_accept(struct bstar_core *self)
{
    bstar_add_effect(self, BSTAR_DO_ACCEPT);
}

void
bstar_decline(struct bstar_core *self, const char *why, uint64_t wait_ns)
{
    struct bstar_effect *effect = bstar_add_effect(self, BSTAR_DO_DECLINE);
    effect->why = why;
    effect->wait_ns = wait_ns;
}

void
bstar_refuse(struct bstar_core *self, const char *why)
{
    self->stats.refused++;
    bstar_add_effect(self, BSTAR_DO_REFUSE)->why = why;
}

void
bstar_alarm(struct bstar_core *self, const char *why)
{
    bstar_add_effect(self, BSTAR_DO_ALARM)->why = why;
}

bool
bstar_has_other_lease(const struct bstar_core *self, const struct bstar_message *message)
{
    return message->lease_ms != 0 && message->lease_ms != bstar_lease_ms(self);
}

void
bstar_exit(struct bstar_core *self)
{
    self->pulse.is_over = true;
    bstar_add_effect(self, BSTAR_DO_EXIT);
}

// ---- the peer -------------------------------------------------------------------------------

void
bstar_heard(struct bstar_core *self, struct bstar_peer *peer, bool shows_progress,
            uint64_t progress)
{
    if (!peer->is_heard || !shows_progress || progress != peer->progress)
        peer->progress_ns = self->now_ns;
    peer->progress = progress;
    peer->heard_ns = self->now_ns;
    peer->is_heard = true;
}

bool
bstar_is_silent(const struct bstar_core *self, const struct bstar_peer *peer)
{
    // "A peer whose counter stands still for the silence limit is silent."
    return !peer->is_heard || self->now_ns - peer->heard_ns > self->config.patience_ns ||
           self->now_ns - peer->progress_ns > self->config.patience_ns;
}

enum { FOR_PROGRESS = 2 }; // what the seed is for

// ---- steps ----------------------------------------------------------------------------------

void
bstar_core_init(struct bstar_core *self, const struct bstar_config *config, uint64_t now_ns)
{
    must(bstar_config_check(config) == NULL);
    memset(self, 0, sizeof *self);
    self->config = *config;
    self->now_ns = now_ns;
    self->pulse.turned_ns = now_ns;
    self->pulse.beat_ns = now_ns;
    // Another start is not to show the progress of the one before it.
    struct prng prng;
    prng_init(&prng, config->seed, FOR_PROGRESS);
    self->pulse.progress = prng_next(&prng) >> 16;
    if (config->mode == BSTAR_CLASSIC)
        bstar_classic_init(self);
    else if (config->mode == BSTAR_GUARDED)
        bstar_guarded_init(self);
    // A voter without a record does not vote.
    self->voter.state = VOTER_MUTE;
}

// look_at_clock is the beginning of every step: first the gap, then our own lease, so that
// nothing that waited for us is judged by what we were before we slept.
static void
look_at_clock(struct bstar_core *self, uint64_t now_ns)
{
    self->now_ns = bstar_larger(now_ns, self->now_ns);
    bool has_slept = self->now_ns - self->pulse.turned_ns > self->config.gap_ns;
    self->pulse.turned_ns = self->now_ns;
    self->pulse.progress++;
    switch (self->config.mode) {
    case BSTAR_CLASSIC:
        if (has_slept)
            bstar_classic_gap(self);
        break;
    case BSTAR_GUARDED:
        if (has_slept)
            bstar_guarded_gap(self);
        bstar_guarded_judge(self);
        voter_advance(self);
        break;
    case BSTAR_WITNESS:
        voter_advance(self);
        break;
    }
}

// tick ends a turn. Missed beats are skipped, never sent in a burst.
static void
tick(struct bstar_core *self)
{
    self->pulse.is_behind = false;
    if (self->config.mode == BSTAR_CLASSIC)
        bstar_classic_tick(self);
    else if (self->config.mode == BSTAR_GUARDED)
        bstar_guarded_tick(self);
}

static void
handle(struct bstar_core *self, const struct bstar_event *event)
{
    switch (self->config.mode) {
    case BSTAR_CLASSIC:
        bstar_classic_event(self, event);
        break;
    case BSTAR_GUARDED:
        bstar_guarded_event(self, event);
        break;
    case BSTAR_WITNESS:
        bstar_witness_event(self, event);
        break;
    }
}

void
bstar_core_step(struct bstar_core *self, const struct bstar_event *event,
                struct bstar_effects *effects)
{
    effects->count = 0;
    effects->fact_count = 0;
    if (self->pulse.is_over)
        return;
    self->effects = effects;
    self->event = event;
    look_at_clock(self, event->now_ns);
    if (event->kind == BSTAR_ON_TICK)
        tick(self);
    else
        handle(self, event);
    self->effects = NULL;
    self->event = NULL;
}

uint64_t
bstar_core_deadline(const struct bstar_core *self)
{
    if (self->pulse.is_over)
        return BSTAR_NEVER;
    if (self->config.mode == BSTAR_WITNESS)
        return voter_deadline(self);
    if (self->config.mode == BSTAR_GUARDED && self->guarded.state == GUARDED_START)
        return BSTAR_NEVER;
    // A loop that wakes up much later than this has slept.
    uint64_t turn_ns = self->pulse.turned_ns + self->config.gap_ns / 2;
    uint64_t deadline_ns = bstar_smaller(self->pulse.beat_ns, turn_ns);
    if (self->config.mode == BSTAR_GUARDED)
        deadline_ns = bstar_smaller(deadline_ns, bstar_guarded_deadline(self));
    return deadline_ns;
}

// ---- what can be read -----------------------------------------------------------------------

// has_slept: no lease ends for a half of classic that has stood still since its last step; what it
// was is stale all the same.
static bool
has_slept(const struct bstar_core *self, uint64_t now_ns)
{
    return now_ns > self->pulse.turned_ns && now_ns - self->pulse.turned_ns > self->config.gap_ns;
}

bool
bstar_core_may_serve(const struct bstar_core *self, uint64_t now_ns)
{
    if (self->pulse.is_over)
        return false;
    if (self->config.mode == BSTAR_CLASSIC)
        return self->classic.state == CLASSIC_ACTIVE && !has_slept(self, now_ns);
    return self->guarded.state == GUARDED_ACTIVE && now_ns < self->guarded.lease_ns;
}

bool
bstar_core_may_finish(const struct bstar_core *self, uint64_t now_ns)
{
    if (self->config.mode == BSTAR_CLASSIC)
        return self->classic.state == CLASSIC_ACTIVE || self->pulse.is_stopping;
    return bstar_core_may_serve(self, now_ns) ||
           (self->guarded.state == GUARDED_DRAINING && self->guarded.is_soft &&
            now_ns < self->guarded.lease_ns);
}

enum bstar_shown
bstar_core_shown(const struct bstar_core *self)
{
    static const enum bstar_shown classic[CLASSIC_STATES] = {
#define X(name, text, shown) [name] = shown,
        BSTAR_CLASSIC_STATE_MAP(X)};
    static const enum bstar_shown guarded[GUARDED_STATES] = {BSTAR_GUARDED_STATE_MAP(X)
#undef X
    };
    if (self->config.mode == BSTAR_WITNESS)
        return self->voter.state == VOTER_MUTE ? BSTAR_SHOWN_FAULT : BSTAR_SHOWN_PASSIVE;
    return self->config.mode == BSTAR_CLASSIC ? classic[self->classic.state]
                                              : guarded[self->guarded.state];
}

const char *
bstar_core_state_name(const struct bstar_core *self)
{
    switch (self->config.mode) {
    case BSTAR_CLASSIC:
        return bstar_classic_view.state(self->classic.state);
    case BSTAR_GUARDED:
        return bstar_guarded_view.state(self->guarded.state);
    default:
        return bstar_voter_view.state(self->voter.state);
    }
}

uint64_t
bstar_core_epoch(const struct bstar_core *self)
{
    switch (self->config.mode) {
    case BSTAR_CLASSIC:
        return self->classic.epoch;
    case BSTAR_GUARDED:
        return self->guarded.epoch;
    default:
        return self->voter.epoch;
    }
}

bool
bstar_core_peer_is_silent(const struct bstar_core *self)
{
    bool is_classic = self->config.mode == BSTAR_CLASSIC;
    return bstar_is_silent(self, is_classic ? &self->classic.peer : &self->guarded.peer);
}

bool
bstar_core_witness_is_silent(const struct bstar_core *self)
{
    return !self->guarded.is_witness_heard ||
           self->now_ns - self->guarded.witness_ns > self->config.lease_ns;
}

// ---- the tables -----------------------------------------------------------------------------

static const struct bstar_table_view *
view_of_table(enum bstar_table table)
{
    return table == BSTAR_TABLE_CLASSIC   ? &bstar_classic_view
           : table == BSTAR_TABLE_GUARDED ? &bstar_guarded_view
                                          : &bstar_voter_view;
}

size_t
bstar_table_rows(enum bstar_table table)
{
    return view_of_table(table)->rows;
}

size_t
bstar_table_states(enum bstar_table table)
{
    return view_of_table(table)->states;
}

const char *
bstar_table_row(enum bstar_table table, size_t row)
{
    must(row < bstar_table_rows(table));
    return view_of_table(table)->row(row);
}

const char *
bstar_table_state(enum bstar_table table, size_t state)
{
    must(state < bstar_table_states(table));
    return view_of_table(table)->state(state);
}

const char *
bstar_table_cell(enum bstar_table table, size_t row, size_t state)
{
    must(row < bstar_table_rows(table) && state < bstar_table_states(table));
    return view_of_table(table)->cell(row, state);
}

void
bstar_table_run(struct bstar_core *self, enum bstar_table table, size_t row,
                const struct bstar_event *event, struct bstar_effects *effects)
{
    must(row < bstar_table_rows(table));
    effects->count = 0;
    effects->fact_count = 0;
    self->now_ns = bstar_larger(event->now_ns, self->now_ns);
    self->effects = effects;
    self->event = event;
    view_of_table(table)->run(self, row);
    self->effects = NULL;
    self->event = NULL;
}
