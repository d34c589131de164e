// bstar_classic_world.c - turns, faults, and the properties of classic.

#include "bstar_classic_world.h"

#include <stdio.h>

enum { A, B, HALVES };
enum { BEAT = 1, PATIENCE = 4, GAP = 2, GRACE_P = 8, GRACE_B = 12, START = 1000 };

// ---- what can happen ------------------------------------------------------------------------

#define ACTION_MAP(X)                                                                              \
    X(TICK_AB, "tick, A first, no client")                                                         \
    X(TICK_AB_A, "tick, A first, a client at A")                                                   \
    X(TICK_AB_B, "tick, A first, a client at B")                                                   \
    X(TICK_AB_AB, "tick, A first, clients at both")                                                \
    X(TICK_BA, "tick, B first, no client")                                                         \
    X(TICK_BA_A, "tick, B first, a client at A")                                                   \
    X(TICK_BA_B, "tick, B first, a client at B")                                                   \
    X(TICK_BA_AB, "tick, B first, clients at both")                                                \
    X(CUT, "the link is cut")                                                                      \
    X(CUT_TO_A, "the link to A is cut")                                                            \
    X(CUT_TO_B, "the link to B is cut")                                                            \
    X(HEAL, "the link is healed")                                                                  \
    X(CLOG_TO_A, "what goes to A is late")                                                         \
    X(CLOG_TO_B, "what goes to B is late")                                                         \
    X(FLOW, "what was late comes")                                                                 \
    X(LOSE_TO_A, "a beat to A is lost")                                                            \
    X(LOSE_TO_B, "a beat to B is lost")                                                            \
    X(PAUSE_A, "A is paused")                                                                      \
    X(PAUSE_B, "B is paused")                                                                      \
    X(RESUME_A, "A goes on")                                                                       \
    X(RESUME_B, "B goes on")                                                                       \
    X(CRASH_A, "A crashes")                                                                        \
    X(CRASH_B, "B crashes")                                                                        \
    X(RESTART_A, "A starts again")                                                                 \
    X(RESTART_B, "B starts again")                                                                 \
    X(PROMOTE_A, "A is promoted")                                                                  \
    X(PROMOTE_B, "B is promoted")                                                                  \
    X(DEMOTE_A, "A is demoted")                                                                    \
    X(DEMOTE_B, "B is demoted")

enum action {
#define X(name, text) name,
    ACTION_MAP(X)
#undef X
        ACTIONS
};

static void
start_half(struct classic_world *self, int which)
{
    bool is_primary = which == A;
    struct classic_half *half = &self->halves[which];
    struct bstar_config config = {
        .mode = BSTAR_CLASSIC,
        .is_primary = is_primary,
        .node = is_primary ? 1 : 2,
        .beat_ns = BEAT,
        .patience_ns = PATIENCE,
        .gap_ns = GAP,
        .grace_ns = is_primary ? GRACE_P : GRACE_B,
    };
    self->starts++;
    memcpy(config.seed, &self->starts, sizeof self->starts);
    bstar_core_init(&half->core, &config, self->now);
    half->is_up = true;
    half->is_paused = false;
    half->has_mail = false;
    half->really_ns = 0;
}

// ---- properties -----------------------------------------------------------------------------

// takeover_needs_both, S14: a passive half takes over on silence and a vote; or on hearing its
// peer restart, or both passive. Silence is what really was, not what the half thinks.
static const char *
takeover_needs_both(const struct classic_half *half, const struct bstar_event *event,
                    const struct bstar_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const struct bstar_effect *effect = &effects->list[i];
        if (effect->kind != BSTAR_DO_CHANGE || effect->was != CLASSIC_PASSIVE ||
            effect->is != CLASSIC_ACTIVE)
            continue;
        bool is_silent = event->now_ns - half->really_ns > PATIENCE;
        bool is_restart = event->kind == BSTAR_ON_BEAT && event->beat->digit != BSTAR_SAYS_ACTIVE;
        bool is_word = event->kind == BSTAR_ON_PROMOTE && is_silent;
        if (!is_restart && !is_word && !(event->kind == BSTAR_ON_CLIENT && is_silent))
            return "S14 takeover_needs_both";
    }
    return NULL;
}

// no_false_votes, S12: no traffic causes a transition.
static const char *
no_false_votes(const struct bstar_event *event, const struct bstar_effects *effects)
{
    if (event->kind != BSTAR_ON_TRAFFIC || effects->fact_count == 0)
        return NULL;
    const struct bstar_fact *fact = &effects->facts[effects->fact_count - 1];
    return fact->was != fact->is ? "S12 no_false_votes" : NULL;
}

// no_exit, S8: nothing from the network ends a process.
static const char *
no_exit(const struct classic_half *half)
{
    return half->core.pulse.is_over ? "S8 no_exit" : NULL;
}

// passive_is_quiet, S11: only ACTIVE answers.
static const char *
passive_is_quiet(const struct classic_half *half, bool has_served)
{
    return has_served && half->core.classic.state != CLASSIC_ACTIVE ? "S11 passive_is_quiet" : NULL;
}

// two_only_when_cut, S13: two halves serve only while something keeps them apart, and at most
// one beat after.
static const char *
two_only_when_cut(const struct classic_world *self)
{
    bool are_two = self->halves[A].has_served && self->halves[B].has_served;
    return are_two && self->contact > 1 ? "S13 two_only_when_cut" : NULL;
}

// ---- turns ----------------------------------------------------------------------------------

static void
deliver(struct classic_half *to, const struct bstar_beat *beat)
{
    if (to->is_cut || !to->is_up)
        return;
    if (to->is_clogged) {
        to->clogged_mail = *beat;
        to->has_clogged_mail = true;
        return;
    }
    to->mail = *beat;
    to->has_mail = true;
}

static void
step(struct classic_world *self, int which, struct bstar_event event)
{
    struct classic_half *half = &self->halves[which];
    struct bstar_effects effects;
    event.now_ns = self->now;
    bstar_core_step(&half->core, &event, &effects);
    bool has_served = false;
    for (size_t i = 0; i < effects.count; i++) {
        if (effects.list[i].kind == BSTAR_DO_PUBLISH)
            deliver(&self->halves[1 - which], &effects.list[i].beat);
        has_served |= effects.list[i].kind == BSTAR_DO_SERVE;
    }
    half->has_served |= has_served;
    const char *broken = takeover_needs_both(half, &event, &effects);
    if (broken == NULL)
        broken = no_false_votes(&event, &effects);
    if (broken == NULL)
        broken = no_exit(half);
    if (broken == NULL)
        broken = passive_is_quiet(half, has_served);
    if (self->broken == NULL)
        self->broken = broken;
}

static void
turn(struct classic_world *self, int which, bool has_client)
{
    struct classic_half *half = &self->halves[which];
    if (!half->is_up || half->is_paused)
        return;
    if (half->has_mail) {
        struct bstar_beat beat = half->mail;
        half->has_mail = false;
        half->really_ns = self->now;
        step(self, which, (struct bstar_event){.kind = BSTAR_ON_BEAT, .beat = &beat});
    }
    step(self, which, (struct bstar_event){.kind = BSTAR_ON_TICK});
    step(self, which, (struct bstar_event){.kind = BSTAR_ON_TRAFFIC});
    if (has_client)
        step(self, which, (struct bstar_event){.kind = BSTAR_ON_CLIENT});
}

static bool
are_apart(const struct classic_world *self)
{
    for (int i = 0; i < HALVES; i++) {
        const struct classic_half *half = &self->halves[i];
        if (!half->is_up || half->is_paused || half->is_cut || half->is_clogged)
            return true;
    }
    return false;
}

static void
tick(struct classic_world *self, int first, bool client_at_a, bool client_at_b)
{
    self->now += BEAT;
    self->halves[A].has_served = self->halves[B].has_served = false;
    self->contact = are_apart(self) ? 0 : self->contact + 1;
    bool has_client[HALVES] = {client_at_a, client_at_b};
    turn(self, first, has_client[first]);
    turn(self, 1 - first, has_client[1 - first]);
    if (self->broken == NULL)
        self->broken = two_only_when_cut(self);
}

// ---- faults, and their ends -----------------------------------------------------------------

static bool
set(bool *flag, bool value)
{
    bool is_change = *flag != value;
    *flag = value;
    return is_change;
}

static bool
flow(struct classic_half *half)
{
    bool is_change = set(&half->is_clogged, false);
    if (half->has_clogged_mail)
        deliver(half, &half->clogged_mail);
    half->has_clogged_mail = false;
    return is_change;
}

static bool
begin_fault(struct classic_world *self, enum action action)
{
    struct classic_half *a = &self->halves[A], *b = &self->halves[B];
    bool is_cut = false;
    switch (action) {
    case CUT:
        is_cut = set(&a->is_cut, true);
        return set(&b->is_cut, true) || is_cut;
    case CUT_TO_A:
        return set(&a->is_cut, true);
    case CUT_TO_B:
        return set(&b->is_cut, true);
    case CLOG_TO_A:
        return set(&a->is_clogged, true);
    case CLOG_TO_B:
        return set(&b->is_clogged, true);
    case LOSE_TO_A:
    case LOSE_TO_B:
        if (!set(action == LOSE_TO_A ? &a->has_mail : &b->has_mail, false))
            return false;
        self->contact = 0;
        return true;
    case PAUSE_A:
        return a->is_up && set(&a->is_paused, true);
    case PAUSE_B:
        return b->is_up && set(&b->is_paused, true);
    case CRASH_A:
        return set(&a->is_up, false);
    case CRASH_B:
        return set(&b->is_up, false);
    default:
        return false;
    }
}

static bool
end_fault(struct classic_world *self, enum action action)
{
    struct classic_half *a = &self->halves[A], *b = &self->halves[B];
    bool is_change = false;
    switch (action) {
    case HEAL:
        is_change = set(&a->is_cut, false);
        return set(&b->is_cut, false) || is_change;
    case FLOW:
        is_change = flow(a);
        return flow(b) || is_change;
    case RESUME_A:
        return set(&a->is_paused, false);
    case RESUME_B:
        return set(&b->is_paused, false);
    case RESTART_A:
    case RESTART_B: {
        int which = action == RESTART_B;
        if (self->halves[which].is_up)
            return false;
        start_half(self, which);
        return true;
    }
    default:
        return false;
    }
}

// say_word is the operator's, in a turn as any client's: it may make two for a beat, as a cut
// does.
static bool
say_word(struct classic_world *self, enum action action)
{
    int which = action == PROMOTE_B || action == DEMOTE_B;
    bool is_promote = action == PROMOTE_A || action == PROMOTE_B;
    if (!self->halves[which].is_up || self->halves[which].is_paused)
        return false;
    self->contact = 0;
    turn(self, which, false);
    step(self, which,
         (struct bstar_event){.kind = is_promote ? BSTAR_ON_PROMOTE : BSTAR_ON_DEMOTE});
    return true;
}

static bool
act(void *world, size_t action)
{
    struct classic_world *self = world;
    if (action <= TICK_BA_AB) {
        size_t clients = action % 4;
        tick(self, action < TICK_BA ? A : B, clients & 1, clients & 2);
        return true;
    }
    if (action >= PROMOTE_A) {
        if (self->words_left == 0 || !say_word(self, (enum action)action))
            return false;
        self->words_left--;
        return true;
    }
    if (end_fault(self, (enum action)action))
        return true;
    if (self->faults_left == 0 || !begin_fault(self, (enum action)action))
        return false;
    self->faults_left--;
    return true;
}

// ---- what makes a difference ----------------------------------------------------------------

static void
write_beat(struct search_text *text, const struct bstar_beat *beat, const struct bstar_core *sender)
{
    search_put(text, beat->digit, 1);
    search_put(text, beat->epoch, 1);
    search_put(text, beat->progress == sender->pulse.progress, 1);
}

static void
write_half(struct search_text *text, const struct classic_world *self, int which)
{
    const struct classic_half *half = &self->halves[which];
    const struct bstar_core *other = &self->halves[1 - which].core;
    const struct bstar_classic *classic = &half->core.classic;
    uint64_t now = self->now;
    search_put(text,
               (uint64_t)(half->is_up | half->is_paused << 1 | half->has_mail << 2 |
                          half->has_clogged_mail << 3 | half->is_cut << 4 | half->is_clogged << 5 |
                          half->has_served << 6),
               1);
    if (half->has_mail)
        write_beat(text, &half->mail, other);
    if (half->has_clogged_mail)
        write_beat(text, &half->clogged_mail, other);
    if (!half->is_up)
        return;
    search_put(text, classic->state, 1);
    search_put(text, classic->epoch, 1);
    search_put(text, classic->seen, 1);
    search_put_until(text, now, classic->grace_ns);
    search_put(text,
               (uint64_t)(classic->is_clashing | classic->peer.is_heard << 1 |
                          half->core.pulse.is_behind << 2 |
                          (classic->peer.progress == other->pulse.progress) << 3),
               1);
    search_put_since(text, now, classic->peer.heard_ns, PATIENCE + 1);
    search_put_since(text, now, classic->peer.progress_ns, PATIENCE + 1);
    search_put_since(text, now, half->really_ns, PATIENCE + 1);
    search_put_since(text, now, half->core.pulse.turned_ns, GAP + 1);
    search_put_until(text, now, half->core.pulse.beat_ns);
}

static void
write_key(const void *world, struct search_text *text)
{
    const struct classic_world *self = world;
    search_put(text, self->faults_left, 1);
    search_put(text, self->words_left, 1);
    search_put(text, self->contact > 2 ? 2 : self->contact, 1);
    write_half(text, self, A);
    write_half(text, self, B);
}

static const char *
broken(const void *world)
{
    return ((const struct classic_world *)world)->broken;
}

// ---- once faults have stopped ---------------------------------------------------------------

// Both are well again, or one alone is; A has its turn first, or B.
enum { BOTH_AB, BOTH_BA, ONLY_A, ONLY_B, CALMS };

static void
heal(void *world, size_t variant)
{
    struct classic_world *self = world;
    self->faults_left = 0;
    self->words_left = 0;
    for (enum action action = TICK_AB; action < ACTIONS; action++)
        end_fault(self, action);
    if (variant == ONLY_A || variant == ONLY_B)
        self->halves[variant == ONLY_A ? B : A].is_up = false;
}

static void
calm(void *world, size_t variant)
{
    tick(world, variant == BOTH_BA ? B : A, true, true);
}

// one_serves, L1, lone_survivor, L4, and healed, L5: exactly one half serves, and the other
// one, where it is there, is PASSIVE.
static const char *
unsettled(const void *world, size_t variant)
{
    const struct classic_world *self = world;
    if (self->broken != NULL)
        return self->broken;
    enum classic_state a = self->halves[A].core.classic.state;
    enum classic_state b = self->halves[B].core.classic.state;
    if (variant == ONLY_A || variant == ONLY_B)
        return (variant == ONLY_A ? a : b) == CLASSIC_ACTIVE ? NULL : "L4 lone_survivor";
    if ((a == CLASSIC_ACTIVE) == (b == CLASSIC_ACTIVE))
        return "L1 one_serves";
    return a == CLASSIC_PASSIVE || b == CLASSIC_PASSIVE ? NULL : "L5 healed";
}

// ---- the model ------------------------------------------------------------------------------

static void
describe(const void *world, size_t action, char *to, size_t room)
{
    static const char *const texts[ACTIONS] = {
#define X(name, text) text,
        ACTION_MAP(X)
#undef X
    };
    const struct classic_world *self = world;
    int size =
        snprintf(to, room, "%4llu %-34s", (unsigned long long)(self->now - START), texts[action]);
    for (int i = 0; i < HALVES; i++) {
        const struct classic_half *half = &self->halves[i];
        size += snprintf(to + size, room - (size_t)size, " %c %s%s %s e%llu%s", 'A' + i,
                         half->is_up ? "" : "down ", half->is_paused ? "paused" : "",
                         bstar_core_state_name(&half->core),
                         (unsigned long long)half->core.classic.epoch,
                         half->has_served ? " served" : "");
    }
}

const struct search_model classic_model = {
    .world_bytes = sizeof(struct classic_world),
    .actions = ACTIONS,
    .act = act,
    .write_key = write_key,
    .broken = broken,
    .calms = CALMS,
    .heal = heal,
    .calm = calm,
    .unsettled = unsettled,
    .describe = describe,
};

uint32_t
classic_weight(size_t action)
{
    if (action <= TICK_BA_AB)
        return 100;
    bool is_end = action == HEAL || action == FLOW || (action >= RESUME_A && action <= RESUME_B) ||
                  (action >= RESTART_A && action <= RESTART_B);
    return is_end ? 40 : 4;
}

void
classic_world_init(struct classic_world *self, uint32_t faults, uint32_t words, bool is_settled)
{
    memset(self, 0, sizeof *self);
    self->now = START;
    start_half(self, A);
    start_half(self, B);
    for (int i = 0; is_settled && i < 3 * GRACE_B; i++)
        tick(self, A, true, true);
    self->faults_left = faults;
    self->words_left = words;
}
