// bstar_guarded_world.c - letters, faults, and the properties of guarded.

#include "bstar_guarded_world.h"

#include "must.h"

#include <stdio.h>

static const uint64_t TICK = GUARDED_TICK;
static const uint64_t START = 1000 * 1000000ull;

enum { LEASE = GUARDED_LEASE, PATIENCE = GUARDED_PATIENCE, GAP = GUARDED_GAP_TICKS };
enum { PAIR = 7, FINE_MS = 25 };

// ---- what can happen ------------------------------------------------------------------------

#define ACTION_MAP(X)                                                                              \
    X(DELIVER, "is delivered")                                                                     \
    X(LOSE, "is lost")                                                                             \
    X(DELAY, "is late")                                                                            \
    X(CRASH_A, "A crashes")                                                                        \
    X(CRASH_B, "B crashes")                                                                        \
    X(CRASH_W, "W crashes")                                                                        \
    X(TIME_AB, "tick, A first")                                                                    \
    X(TIME_BA, "tick, B first")                                                                    \
    X(LATE_0, "what was late comes: the first")                                                    \
    X(LATE_1, "what was late comes: the second")                                                   \
    X(LATE_2, "what was late comes: the third")                                                    \
    X(RESTART_A, "A starts again")                                                                 \
    X(RESTART_B, "B starts again")                                                                 \
    X(RESTART_W, "W starts again")                                                                 \
    X(PAUSE_A, "A is paused")                                                                      \
    X(PAUSE_B, "B is paused")                                                                      \
    X(PAUSE_W, "W is paused")                                                                      \
    X(RESUME_A, "A goes on")                                                                       \
    X(RESUME_B, "B goes on")                                                                       \
    X(RESUME_W, "W goes on")                                                                       \
    X(CUT_A_B, "A and B are cut off from each other")                                              \
    X(CUT_A_W, "A and W are cut off from each other")                                              \
    X(CUT_B_W, "B and W are cut off from each other")                                              \
    X(CUT_A, "A is cut off")                                                                       \
    X(CUT_B, "B is cut off")                                                                       \
    X(CUT_W, "W is cut off")                                                                       \
    X(CUT_A_TO_B, "A is not heard by B")                                                           \
    X(CUT_B_TO_A, "B is not heard by A")                                                           \
    X(CUT_A_TO_W, "A is not heard by W")                                                           \
    X(CUT_W_TO_A, "W is not heard by A")                                                           \
    X(CUT_B_TO_W, "B is not heard by W")                                                           \
    X(CUT_W_TO_B, "W is not heard by B")                                                           \
    X(HEAL, "all links are healed")                                                                \
    X(FAIL_WRITE, "the record cannot be written")                                                  \
    X(PROMOTE_A, "A is promoted")                                                                  \
    X(PROMOTE_B, "B is promoted")                                                                  \
    X(DEMOTE_A, "A is demoted")                                                                    \
    X(DEMOTE_B, "B is demoted")                                                                    \
    X(CLEAR_A, "A is cleared")                                                                     \
    X(CLEAR_B, "B is cleared")

enum action {
#define X(name, text) name,
    ACTION_MAP(X)
#undef X
        ACTIONS
};

static uint32_t
way(int from, int to)
{
    return 1u << (from * MEMBERS + to);
}

static uint32_t
ways(int a, int b)
{
    return way(a, b) | way(b, a);
}

uint64_t
guarded_clock(const struct guarded_world *self, int which)
{
    const struct member *member = &self->members[which];
    int64_t ahead = (int64_t)(self->now - START) / 1000 * member->drift;
    return self->now + (uint64_t)ahead - member->behind;
}

// ---- properties -----------------------------------------------------------------------------

static bool
has_lease(const struct guarded_world *self, int which)
{
    const struct member *member = &self->members[which];
    const struct bstar_guarded *guarded = &member->core.guarded;
    bool may_hold = guarded->state == GUARDED_ACTIVATING || guarded->state == GUARDED_ACTIVE ||
                    (guarded->state == GUARDED_DRAINING && guarded->is_soft);
    return member->is_up && may_hold && guarded_clock(self, which) < guarded->lease_ns;
}

// one_lease, S1: at most one half holds a valid lease at any instant.
static const char *
one_lease(const struct guarded_world *self)
{
    return has_lease(self, MEMBER_A) && has_lease(self, MEMBER_B) ? "S1 one_lease" : NULL;
}

// one_owner, S2: no epoch is ever owned by two halves.
static const char *
one_owner(struct guarded_world *self)
{
    for (int i = 0; i < MEMBER_W; i++) {
        if (!has_lease(self, i))
            continue;
        uint64_t node = self->members[i].core.config.node;
        uint64_t epoch = self->members[i].core.guarded.epoch;
        struct owner *owner = &self->owners[epoch % OWNERS_MAX];
        if (owner->epoch == epoch && owner->node != node)
            return "S2 one_owner";
        *owner = (struct owner){epoch, node};
    }
    return NULL;
}

// epochs_rise, S3: at each voter, across restarts. amnesia_wait, S9: a restarted voter grants
// no new holder for one LEASE, unless the holder that its record names has released it.
static const char *
judge_grant(const struct guarded_world *self, struct member *member, const struct bstar_voter *was)
{
    const struct bstar_voter *voter = &member->core.voter;
    if (voter->epoch == was->epoch && voter->holder == was->holder)
        return NULL;
    if (voter->epoch < member->best_epoch ||
        (voter->epoch == member->best_epoch && voter->holder != member->best_holder))
        return "S3 epochs_rise";
    member->best_epoch = voter->epoch;
    member->best_holder = voter->holder;
    // By its own clock, which may be fast.
    uint64_t lease_ns = member->core.config.lease_ns / 1000 * (1000 - (uint64_t)member->drift);
    bool is_waiting = member->restarted != 0 && self->now - member->restarted < lease_ns;
    return is_waiting && voter->holder != member->bound_to ? "S9 amnesia_wait" : NULL;
}

// no_store_no_active, S6: who has a store does not serve before it is open.
static const char *
no_store_no_active(const struct guarded_world *self, const struct member *member)
{
    const struct bstar_guarded *guarded = &member->core.guarded;
    bool is_wrong =
        self->has_store && guarded->state == GUARDED_ACTIVE && member->opened != guarded->epoch;
    return is_wrong ? "S6 no_store_no_active" : NULL;
}

// no_false_votes, S12: no traffic, and here no client, causes a transition. What the clock
// causes stands before it among the facts.
static const char *
no_false_votes(enum bstar_event_kind kind, const struct bstar_effects *effects)
{
    if ((kind != BSTAR_ON_TRAFFIC && kind != BSTAR_ON_CLIENT) || effects->fact_count == 0)
        return NULL;
    const struct bstar_fact *fact = &effects->facts[effects->fact_count - 1];
    return fact->was != fact->is ? "S12 no_false_votes" : NULL;
}

// no_exit, S8: nothing from the network ends a process. (Nobody says STOP here.)
static const char *
no_exit(const struct member *member)
{
    return member->core.pulse.is_over ? "S8 no_exit" : NULL;
}

// fault_sticks, S10: FAULT is left only by the operator.
static const char *
fault_sticks(struct member *member)
{
    bool is_fault =
        member->core.config.mode == BSTAR_GUARDED && member->core.guarded.state == GUARDED_FAULT;
    bool is_left = member->was_fault && !is_fault && !member->was_cleared;
    member->was_fault = is_fault;
    member->was_cleared = false;
    return is_left ? "S10 fault_sticks" : NULL;
}

// no_bugs: what the table calls a bug never happens.
static const char *
no_bugs(const struct member *member)
{
    return member->core.stats.bugs > 0 ? "a cell that says bug" : NULL;
}

// no_late_effect, S4: nothing is served with an epoch below one that was served with; and
// passive_is_quiet, S11: only ACTIVE serves, under a valid lease.
static const char *
judge_served(struct guarded_world *self, int which, uint64_t epoch)
{
    bool is_allowed =
        has_lease(self, which) && self->members[which].core.guarded.state == GUARDED_ACTIVE;
    bool is_late = epoch < self->served;
    self->served = epoch > self->served ? epoch : self->served;
    return !is_allowed ? "S11 passive_is_quiet" : is_late ? "S4 no_late_effect" : NULL;
}

static void
judge(struct guarded_world *self, const char *broken)
{
    if (self->broken == NULL)
        self->broken = broken;
}

// ---- letters --------------------------------------------------------------------------------

static void
put(struct letters *letters, const struct letter *letter)
{
    must(letters->count < LETTERS_MAX);
    letters->list[letters->count++] = *letter;
}

static struct letter
take(struct letters *letters, size_t at)
{
    struct letter letter = letters->list[at];
    letters->count--;
    for (size_t i = at; i < letters->count; i++)
        letters->list[i] = letters->list[i + 1];
    return letter;
}

static void
drop_letters(struct letters *letters, int to, bool only_own)
{
    for (size_t i = letters->count; i-- > 0;)
        if (letters->list[i].to == to && (!only_own || letters->list[i].kind != LETTER_MESSAGE))
            take(letters, i);
}

static void deliver(struct guarded_world *self, const struct letter *letter);

static void
post(struct guarded_world *self, const struct letter *letter)
{
    bool is_own = letter->kind != LETTER_MESSAGE;
    if (!is_own && (self->cuts & way(letter->from, letter->to)))
        return;
    if (!is_own && letter->message.command == BSTAR_BEAT)
        deliver(self, letter);
    else
        put(&self->prompt, letter);
}

static void
post_effect(struct guarded_world *self, int from, const struct bstar_effect *effect)
{
    struct letter letter = {.from = (uint8_t)from, .to = (uint8_t)from};
    switch (effect->kind) {
    case BSTAR_DO_SEND:
        letter.to = effect->to == BSTAR_FROM_WITNESS ? MEMBER_W : (uint8_t)(1 - from);
        letter.message = effect->message;
        break;
    case BSTAR_DO_REPLY:
        letter.to = (uint8_t)effect->route;
        letter.message = effect->message;
        break;
    case BSTAR_DO_STORE:
        letter.kind = LETTER_STORE;
        letter.message.epoch = effect->record.epoch;
        letter.message.node = effect->record.holder;
        letter.message.sequence = effect->record.serial;
        break;
    case BSTAR_DO_DRAIN:
    case BSTAR_DO_DROP:
        letter.kind = LETTER_DRAINED;
        break;
    case BSTAR_DO_OPEN:
        letter.kind = LETTER_OPENED;
        break;
    case BSTAR_DO_CLOSE:
        self->members[from].opened = 0;
        return;
    case BSTAR_DO_SERVE:
        judge(self, judge_served(self, from, effect->epoch));
        return;
    default:
        return;
    }
    post(self, &letter);
}

static void
step(struct guarded_world *self, int which, struct bstar_event event)
{
    struct member *member = &self->members[which];
    struct bstar_effects effects;
    struct bstar_voter was = member->core.voter;
    if (!member->is_up)
        return;
    event.now_ns = guarded_clock(self, which);
    bstar_core_step(&member->core, &event, &effects);
    if (event.kind == BSTAR_ON_MESSAGE && event.message->command == BSTAR_RELEASE &&
        event.message->node == member->best_holder && event.message->epoch == member->best_epoch)
        member->restarted = 0;
    judge(self, judge_grant(self, member, &was));
    judge(self, no_exit(member));
    judge(self, fault_sticks(member));
    judge(self, no_false_votes(event.kind, &effects));
    if (event.kind == BSTAR_ON_OPENED)
        member->opened = member->core.guarded.epoch;
    judge(self, no_store_no_active(self, member));
    // Before anybody else hears of it.
    judge(self, one_lease(self));
    judge(self, one_owner(self));
    if (!self->forgives_bugs)
        judge(self, no_bugs(member));
    for (size_t i = 0; i < effects.count; i++)
        post_effect(self, which, &effects.list[i]);
}

static void
deliver(struct guarded_world *self, const struct letter *letter)
{
    struct member *to = &self->members[letter->to];
    if (!to->is_up)
        return;
    if (to->is_paused) {
        if (letter->kind != LETTER_MESSAGE || self->held.count < HELD_MAX)
            put(&self->held, letter);
        return;
    }
    struct bstar_event event = {.kind = BSTAR_ON_MESSAGE};
    switch (letter->kind) {
    case LETTER_MESSAGE:
        event.message = &letter->message;
        event.sender = letter->from == MEMBER_W ? BSTAR_FROM_WITNESS : BSTAR_FROM_PEER;
        event.route = letter->from;
        break;
    case LETTER_STORE:
        to->disk.serial = letter->message.sequence;
        to->disk.epoch = letter->message.epoch;
        to->disk.holder = letter->message.node;
        event.kind = BSTAR_ON_STORED;
        break;
    case LETTER_DRAINED:
        event.kind = BSTAR_ON_DRAINED;
        break;
    case LETTER_OPENED:
        event.kind = BSTAR_ON_OPENED;
        break;
    }
    step(self, letter->to, event);
}

// ---- members --------------------------------------------------------------------------------

static enum bstar_mode
mode_of(int which)
{
    return which == MEMBER_W ? BSTAR_WITNESS : BSTAR_GUARDED;
}

static struct bstar_config
coarse_config(int which)
{
    struct bstar_config config = {
        .mode = mode_of(which),
        .is_primary = which == MEMBER_A,
        .beat_ns = TICK,
        .patience_ns = PATIENCE * TICK,
        .gap_ns = GAP * TICK,
        .lease_ns = LEASE * TICK,
        .valid_ns = LEASE * TICK,
        .round_ns = TICK,
        .preference_ns = which == MEMBER_B ? TICK : 0,
        .drain_ns = 2 * TICK,
        .hold_off_ns = 4 * LEASE * TICK,
    };
    // What a half draws is fixed here, and another for each: with the same for both, two that
    // do all at once would duel for ever, which is what the drawing is for.
    config.back_off_ns[0] = config.back_off_ns[1] = which == MEMBER_B ? 2 * TICK : TICK;
    config.after_denial_ns[0] = config.after_denial_ns[1] = which == MEMBER_B ? TICK : 0;
    return config;
}

static struct bstar_config
fine_config(int which)
{
    struct bstar_config config;
    bstar_config_init(&config, mode_of(which), which == MEMBER_A, false, 0, 0, 0);
    return config;
}

static void
start_member(struct guarded_world *self, int which)
{
    struct member *member = &self->members[which];
    struct bstar_config config = self->is_fine ? fine_config(which) : coarse_config(which);
    config.pair = PAIR;
    config.node = (uint64_t)which + 1;
    config.has_store = self->has_store && which != MEMBER_W;
    self->starts++;
    memcpy(config.seed, &self->starts, sizeof self->starts);
    bstar_core_init(&member->core, &config, guarded_clock(self, which));
    member->is_up = true;
    member->is_paused = false;
    member->was_fault = false;
    step(self, which, (struct bstar_event){.kind = BSTAR_ON_LOADED, .record = &member->disk});
}

static bool
restart_member(struct guarded_world *self, int which)
{
    struct member *member = &self->members[which];
    if (member->is_up)
        return false;
    member->restarted = self->now;
    member->bound_to = member->best_holder;
    start_member(self, which);
    return true;
}

static bool
crash_member(struct guarded_world *self, int which)
{
    if (!self->members[which].is_up)
        return false;
    self->members[which].is_up = false;
    self->members[which].opened = 0;
    drop_letters(&self->prompt, which, false);
    drop_letters(&self->held, which, false);
    // What is late may come to the one that starts again, but for what was its own.
    drop_letters(&self->late, which, true);
    return true;
}

static bool
pause_member(struct guarded_world *self, int which)
{
    struct member *member = &self->members[which];
    if (!member->is_up || member->is_paused || self->prompt.count > 0)
        return false;
    member->is_paused = true;
    return true;
}

static bool
resume_member(struct guarded_world *self, int which)
{
    if (!self->members[which].is_paused)
        return false;
    self->members[which].is_paused = false;
    // A client is the first that it looks at.
    if (which != MEMBER_W)
        step(self, which, (struct bstar_event){.kind = BSTAR_ON_CLIENT});
    for (size_t i = 0; i < self->held.count;)
        if (self->held.list[i].to == which) {
            struct letter letter = take(&self->held, i);
            if (letter.kind == LETTER_MESSAGE && letter.message.command == BSTAR_BEAT)
                deliver(self, &letter);
            else
                put(&self->prompt, &letter);
        } else {
            i++;
        }
    return true;
}

static bool
deliver_late(struct guarded_world *self, size_t at)
{
    if (at >= self->late.count)
        return false;
    struct letter letter = take(&self->late, at);
    deliver(self, &letter);
    return true;
}

static void
tick_member(struct guarded_world *self, int which)
{
    struct member *member = &self->members[which];
    if (!member->is_up || member->is_paused)
        return;
    step(self, which, (struct bstar_event){.kind = BSTAR_ON_TICK});
    if (which == MEMBER_W)
        return;
    step(self, which, (struct bstar_event){.kind = BSTAR_ON_TRAFFIC});
    step(self, which, (struct bstar_event){.kind = BSTAR_ON_CLIENT});
}

static void
pass_time(struct guarded_world *self, int first)
{
    uint64_t passed = self->is_fine ? FINE_MS * TICK : TICK;
    self->now += passed;
    for (int i = 0; i < MEMBERS; i++)
        if (self->members[i].is_paused && self->has_still_clock)
            self->members[i].behind += passed;
    tick_member(self, MEMBER_W);
    tick_member(self, first);
    tick_member(self, 1 - first);
    judge(self, one_lease(self));
}

// ---- actions --------------------------------------------------------------------------------

static bool
cut(struct guarded_world *self, uint32_t more)
{
    bool is_change = (self->cuts | more) != self->cuts;
    self->cuts |= more;
    return is_change;
}

// cut_of is the ways that an action cuts, 0 where it cuts none.
static uint32_t
cut_of(enum action action)
{
    enum { A = MEMBER_A, B = MEMBER_B, W = MEMBER_W };
    switch (action) {
    case CUT_A_B:
        return ways(A, B);
    case CUT_A_W:
        return ways(A, W);
    case CUT_B_W:
        return ways(B, W);
    case CUT_A:
        return ways(A, B) | ways(A, W);
    case CUT_B:
        return ways(A, B) | ways(B, W);
    case CUT_W:
        return ways(A, W) | ways(B, W);
    case CUT_A_TO_B:
        return way(A, B);
    case CUT_B_TO_A:
        return way(B, A);
    case CUT_A_TO_W:
        return way(A, W);
    case CUT_W_TO_A:
        return way(W, A);
    case CUT_B_TO_W:
        return way(B, W);
    case CUT_W_TO_B:
        return way(W, B);
    default:
        return 0;
    }
}

// spoil_next is a fault of what is next.
static bool
spoil_next(struct guarded_world *self, enum action action)
{
    if (self->prompt.count == 0)
        return false;
    bool is_message = self->prompt.list[0].kind == LETTER_MESSAGE;
    bool is_write = self->prompt.list[0].kind == LETTER_STORE;
    if ((action == FAIL_WRITE && !is_write) || (action == LOSE && !is_message) ||
        (action == DELAY && self->late.count == LATE_MAX))
        return false;
    struct letter letter = take(&self->prompt, 0);
    if (action == FAIL_WRITE)
        step(self, letter.to, (struct bstar_event){.kind = BSTAR_ON_UNSTORED});
    else if (action == DELAY)
        put(&self->late, &letter);
    return true;
}

static bool
begin_fault(struct guarded_world *self, enum action action)
{
    switch (action) {
    case CRASH_A:
        return crash_member(self, MEMBER_A);
    case CRASH_B:
        return crash_member(self, MEMBER_B);
    case CRASH_W:
        return crash_member(self, MEMBER_W);
    case PAUSE_A:
        return pause_member(self, MEMBER_A);
    case PAUSE_B:
        return pause_member(self, MEMBER_B);
    case PAUSE_W:
        return pause_member(self, MEMBER_W);
    case LOSE:
    case DELAY:
    case FAIL_WRITE:
        return spoil_next(self, action);
    default:
        return self->prompt.count == 0 && cut(self, cut_of(action));
    }
}

static bool
end_fault(struct guarded_world *self, enum action action)
{
    switch (action) {
    case LATE_0:
    case LATE_1:
    case LATE_2:
        return deliver_late(self, action == LATE_0 ? 0 : action == LATE_1 ? 1 : 2);
    case RESTART_A:
        return restart_member(self, MEMBER_A);
    case RESTART_B:
        return restart_member(self, MEMBER_B);
    case RESTART_W:
        return restart_member(self, MEMBER_W);
    case RESUME_A:
        return resume_member(self, MEMBER_A);
    case RESUME_B:
        return resume_member(self, MEMBER_B);
    case RESUME_W:
        return resume_member(self, MEMBER_W);
    case HEAL: {
        bool was_cut = self->cuts != 0;
        self->cuts = 0;
        return was_cut;
    }
    default:
        return false;
    }
}

static bool
say_word(struct guarded_world *self, enum action action)
{
    static const enum bstar_event_kind kinds[] = {BSTAR_ON_PROMOTE, BSTAR_ON_DEMOTE,
                                                  BSTAR_ON_CLEAR};
    int number = (int)action - PROMOTE_A;
    int which = number % 2 == 0 ? MEMBER_A : MEMBER_B;
    struct member *member = &self->members[which];
    enum bstar_event_kind kind = kinds[number / 2];
    if (!member->is_up || member->is_paused ||
        (kind == BSTAR_ON_CLEAR) != (member->core.guarded.state == GUARDED_FAULT))
        return false;
    if (kind == BSTAR_ON_CLEAR) {
        // As after a start.
        member->was_cleared = true;
        member->restarted = self->now;
        member->bound_to = member->best_holder;
    }
    step(self, which, (struct bstar_event){.kind = kind, .record = &member->disk});
    return true;
}

static bool
act(void *world, size_t number)
{
    struct guarded_world *self = world;
    enum action action = (enum action)number;
    bool is_quiet = self->prompt.count == 0;
    if (action == DELIVER) {
        if (is_quiet)
            return false;
        struct letter letter = take(&self->prompt, 0);
        deliver(self, &letter);
        return true;
    }
    if (action == TIME_AB || action == TIME_BA) {
        if (is_quiet)
            pass_time(self, action == TIME_AB ? MEMBER_A : MEMBER_B);
        return is_quiet;
    }
    if (action >= PROMOTE_A) {
        if (!is_quiet || self->words_left == 0 || !say_word(self, action))
            return false;
        self->words_left--;
        return true;
    }
    if (is_quiet && end_fault(self, action))
        return true;
    if (self->faults_left == 0 || !begin_fault(self, action))
        return false;
    self->faults_left--;
    return true;
}

// ---- the search -----------------------------------------------------------------------------

static const char *
broken(const void *world)
{
    return ((const struct guarded_world *)world)->broken;
}

static bool
is_beyond(const void *world)
{
    const struct guarded_world *self = world;
    for (int i = 0; i < MEMBERS; i++)
        if (self->members[i].core.voter.epoch > 4)
            return true;
    return false;
}

// ---- once faults have stopped ---------------------------------------------------------------

// All are well again, or one of the three is gone for good.
enum { ALL_WELL, WITHOUT_A, WITHOUT_B, WITHOUT_W, CALMS };

static void
deliver_all(struct guarded_world *self)
{
    while (self->prompt.count > 0) {
        struct letter letter = take(&self->prompt, 0);
        deliver(self, &letter);
    }
}

static void
heal(void *world, size_t variant)
{
    struct guarded_world *self = world;
    self->faults_left = 0;
    self->words_left = 0;
    deliver_all(self);
    for (enum action action = LATE_0; action <= HEAL; action++)
        while (end_fault(self, action))
            deliver_all(self);
    // A witness whose record failed is started again by who runs it.
    if (self->members[MEMBER_W].core.voter.state == VOTER_MUTE && crash_member(self, MEMBER_W))
        restart_member(self, MEMBER_W);
    for (enum action action = CLEAR_A; action <= CLEAR_B; action++)
        say_word(self, action);
    if (variant != ALL_WELL)
        crash_member(self, (int)variant - 1);
    deliver_all(self);
}

static void
calm(void *world, size_t variant)
{
    (void)variant;
    struct guarded_world *self = world;
    for (int i = 0; i < (self->is_fine ? 10 : 1); i++) {
        pass_time(self, MEMBER_A);
        deliver_all(self);
    }
}

// one_serves, L1, lone_survivor, L4, healed, L5: exactly one half is ACTIVE, and the other one,
// where it is there, is PASSIVE. (L3, no_duel, is the same as L1 here: both would duel for ever.)
static const char *
unsettled(const void *world, size_t variant)
{
    const struct guarded_world *self = world;
    if (self->broken != NULL)
        return self->broken;
    enum guarded_state a = self->members[MEMBER_A].core.guarded.state;
    enum guarded_state b = self->members[MEMBER_B].core.guarded.state;
    if (variant == WITHOUT_A || variant == WITHOUT_B)
        return (variant == WITHOUT_A ? b : a) == GUARDED_ACTIVE ? NULL : "L4 lone_survivor";
    if ((a == GUARDED_ACTIVE) == (b == GUARDED_ACTIVE))
        return "L1 one_serves";
    return a == GUARDED_PASSIVE || b == GUARDED_PASSIVE ? NULL : "L5 healed";
}

// is_turn: what follows calmly from a world follows from those after it, too, until something
// happens.
static bool
is_turn(size_t action)
{
    return action != DELIVER && action != TIME_AB && action != TIME_BA;
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
    static const char *const commands[] = {"",      "BEAT",    "ASK",   "VOTE",
                                           "RENEW", "RELEASE", "GRANT", "DENY"};
    static const char *const kinds[] = {"", "write", "drain", "store"};
    const struct guarded_world *self = world;
    int size = snprintf(to, room, "%3llu %-24s", (unsigned long long)((self->now - START) / TICK),
                        texts[action]);
    for (int i = 0; i < MEMBERS; i++) {
        const struct member *member = &self->members[i];
        size += snprintf(to + size, room - (size_t)size, " %c%s%s %s e%llu %s", 'A' + i,
                         member->is_up ? "" : " down", member->is_paused ? " paused" : "",
                         i == MEMBER_W ? "" : bstar_core_state_name(&member->core),
                         (unsigned long long)bstar_core_epoch(&member->core),
                         has_lease(self, i) && i != MEMBER_W ? "LEASE" : "");
    }
    if (self->prompt.count > 0)
        snprintf(to + size, room - (size_t)size, " | next: %c>%c %s%s",
                 'A' + self->prompt.list[0].from, 'A' + self->prompt.list[0].to,
                 kinds[self->prompt.list[0].kind],
                 self->prompt.list[0].kind == LETTER_MESSAGE
                     ? commands[self->prompt.list[0].message.command]
                     : "");
}

const struct search_model guarded_model = {
    .world_bytes = sizeof(struct guarded_world),
    .actions = ACTIONS,
    .act = act,
    .write_key = guarded_write_key,
    .broken = broken,
    .calms = CALMS,
    .is_turn = is_turn,
    .heal = heal,
    .calm = calm,
    .unsettled = unsettled,
    .is_beyond = is_beyond,
    .describe = describe,
};

uint32_t
guarded_weight(size_t action)
{
    switch ((enum action)action) {
    case DELIVER:
        return 6000;
    case TIME_AB:
    case TIME_BA:
        return 2000;
    case LATE_0:
    case LATE_1:
    case LATE_2:
    case HEAL:
    case RESTART_A:
    case RESTART_B:
    case RESTART_W:
    case RESUME_A:
    case RESUME_B:
    case RESUME_W:
        return 100;
    case LOSE:
    case DELAY:
        return 100;
    case CLEAR_A:
    case CLEAR_B:
        return 100;
    default:
        return 8;
    }
}

void
guarded_world_init(struct guarded_world *self, enum guarded_beginning beginning, uint32_t faults,
                   uint32_t words)
{
    memset(self, 0, sizeof *self);
    self->now = START;
    self->is_fine = beginning == GUARDED_FINE;
    self->has_store = beginning == GUARDED_STORE;
    if (self->is_fine) {
        self->members[MEMBER_A].drift = 10;
        self->members[MEMBER_B].drift = -10;
    }
    if (beginning == GUARDED_APART)
        self->cuts = cut_of(CUT_A_B);
    for (int i = 0; i < MEMBERS; i++) {
        self->members[i].disk.pair = PAIR;
        start_member(self, i);
    }
    bool is_cold = beginning == GUARDED_COLD || beginning == GUARDED_FINE;
    for (int i = 0; !is_cold && i < 4 * LEASE; i++)
        calm(self, ALL_WELL);
    self->faults_left = faults;
    self->words_left = words;
}
