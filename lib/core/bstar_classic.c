// bstar_classic.c - two halves: silence of the peer and a client's vote decide.
//
// The Guide's machine, corrected: nothing that a peer says ends the process. Where both
// claim the same, the higher epoch wins, then the primary, then the lower node. Whoever
// steps down, sleeps or leaves looks to its peer like a restart, which a passive half
// answers by becoming active.

#include "bstar_state.h"

// ---- the table, part one: its rows ----------------------------------------------------------

#define CLASSIC_ROW_MAP(X)                                                                         \
    X(PEER_WAITS_OTHER, "peer waits, other role")                                                  \
    X(PEER_WAITS_SAME, "peer waits, our own role")                                                 \
    X(PEER_ACTIVE_WINS, "peer ACTIVE, it wins")                                                    \
    X(PEER_ACTIVE_LOSES, "peer ACTIVE, we win")                                                    \
    X(PEER_PASSIVE_WINS, "peer PASSIVE, it wins")                                                  \
    X(PEER_PASSIVE_LOSES, "peer PASSIVE, we win")                                                  \
    X(VOTE_ALIVE, "vote, peer alive")                                                              \
    X(VOTE_GRACE, "vote, peer silent, grace not over")                                             \
    X(VOTE_SILENT, "vote, peer silent, grace over")                                                \
    X(TRAFFIC, "worker, heartbeat or mmi traffic")                                                 \
    X(GAP, "own gap")                                                                              \
    X(PROMOTE, "operator: promote")                                                                \
    X(DEMOTE, "operator: demote")                                                                  \
    X(MALFORMED, "malformed or foreign message")                                                   \
    X(STOP, "stop signal")

enum classic_row {
#define X(name, text) name,
    CLASSIC_ROW_MAP(X)
#undef X
        ROWS
};

static void run(struct bstar_core *self, size_t row);

// ---- what we say ----------------------------------------------------------------------------

static enum classic_state
own_wait(const struct bstar_core *self)
{
    return self->config.is_primary ? CLASSIC_WAIT_P : CLASSIC_WAIT_B;
}

static enum bstar_digit
digit_of(const struct bstar_core *self)
{
    if (self->classic.state == CLASSIC_ACTIVE)
        return BSTAR_SAYS_ACTIVE;
    if (self->classic.state == CLASSIC_PASSIVE)
        return BSTAR_SAYS_PASSIVE;
    // HALTED "publishes its waiting digit".
    return self->config.is_primary ? BSTAR_SAYS_PRIMARY : BSTAR_SAYS_BACKUP;
}

static void
publish(struct bstar_core *self)
{
    struct bstar_effect *effect = bstar_add_effect(self, BSTAR_DO_PUBLISH);
    effect->beat = (struct bstar_beat){.digit = digit_of(self)};
    if (!self->config.is_bare) {
        effect->beat.is_primary = self->config.is_primary;
        effect->beat.epoch = self->classic.epoch;
        effect->beat.node = self->config.node;
        effect->beat.progress = self->pulse.progress;
    }
    self->stats.beats_out++;
    self->pulse.beat_ns = bstar_later(self, self->config.beat_ns);
}

static void
move_to(struct bstar_core *self, enum classic_state state)
{
    enum classic_state was = self->classic.state;
    self->classic.state = state;
    bstar_change(self, (uint8_t)was, (uint8_t)state, self->classic.epoch);
}

static void
give_grace(struct bstar_core *self)
{
    uint64_t grace_ns = bstar_later(self, self->config.patience_ns);
    self->classic.grace_ns = bstar_larger(self->classic.grace_ns, grace_ns);
}

// ---- the cells ------------------------------------------------------------------------------

static void
stay(struct bstar_core *self)
{
    (void)self;
}

// become_active: "A half takes highest epoch seen + 1 each time it becomes ACTIVE."
static void
become_active(struct bstar_core *self)
{
    struct bstar_classic *classic = &self->classic;
    if (classic->seen < BSTAR_EPOCH_MAX)
        classic->seen++;
    classic->epoch = classic->seen;
    move_to(self, CLASSIC_ACTIVE);
    publish(self);
}

static void
follow(struct bstar_core *self)
{
    self->classic.epoch = self->classic.peer.epoch;
    move_to(self, CLASSIC_PASSIVE);
}

static void
yield(struct bstar_core *self)
{
    self->stats.yields++;
    follow(self);
    publish(self);
}

static void
say_at_once(struct bstar_core *self)
{
    publish(self);
}

static void
halt(struct bstar_core *self)
{
    move_to(self, CLASSIC_HALTED);
}

static void
wait_and_judge(struct bstar_core *self)
{
    move_to(self, own_wait(self));
    run(self, PEER_WAITS_OTHER);
}

static void
refuse(struct bstar_core *self)
{
    bool is_halted = self->classic.state == CLASSIC_HALTED;
    bool is_passive = self->classic.state == CLASSIC_PASSIVE;
    bstar_refuse(self, is_halted ? "both have the same role" : is_passive ? "peer" : "wait");
}

static void
serve(struct bstar_core *self)
{
    self->stats.served++;
    bstar_add_effect(self, BSTAR_DO_SERVE)->epoch = self->classic.epoch;
}

static void
become_active_and_serve(struct bstar_core *self)
{
    become_active(self);
    serve(self);
}

static void
drop_queued(struct bstar_core *self)
{
    self->pulse.is_behind = true;
}

static void
drop_queued_grace(struct bstar_core *self)
{
    drop_queued(self);
    give_grace(self);
}

// wait_again: what we were is stale; the peer may have taken over while we slept.
static void
wait_again(struct bstar_core *self)
{
    drop_queued_grace(self);
    move_to(self, own_wait(self));
    publish(self);
}

static void
drop_queued_restart_age(struct bstar_core *self)
{
    drop_queued(self);
    self->classic.peer.heard_ns = self->now_ns;
    self->classic.peer.progress_ns = self->now_ns;
}

static void
promote(struct bstar_core *self)
{
    bstar_accept(self);
    become_active(self);
}

static void
promote_if_silent(struct bstar_core *self)
{
    if (bstar_is_silent(self, &self->classic.peer))
        promote(self);
    else
        bstar_decline(self, "the peer is alive: demote it", 0);
}

static void
accept(struct bstar_core *self)
{
    bstar_accept(self);
}

static void
demote(struct bstar_core *self)
{
    if (bstar_is_silent(self, &self->classic.peer)) {
        bstar_decline(self, "the peer is silent: nobody would serve", 0);
        return;
    }
    bstar_accept(self);
    give_grace(self);
    move_to(self, own_wait(self));
    publish(self);
}

static void
leave(struct bstar_core *self)
{
    bstar_exit(self);
}

static void
drain_and_leave(struct bstar_core *self)
{
    self->pulse.is_stopping = true;
    move_to(self, own_wait(self));
    publish(self);
    bstar_add_effect(self, BSTAR_DO_DRAIN);
}

// ---- the table, part two --------------------------------------------------------------------

struct cell {
    void (*act)(struct bstar_core *self);
    const char *text;
};

// clang-format off
#define STAY    {stay, "stay"}
#define SERVE   {serve, "serve"}
#define TAKE    {stay, "serve"}
#define REFUSE  {refuse, "refuse"}
#define WARM    {stay, "warm"}
#define UP      {become_active, "ACTIVE e+1"}
#define UP_VOTE {become_active_and_serve, "ACTIVE e+1, serve"}
#define FOLLOW  {follow, "PASSIVE"}
#define STILL   {follow, "stay, follow its epoch"}
#define YIELD   {yield, "PASSIVE: yield"}
#define BEAT    {say_at_once, "stay, send a beat at once"}
#define HALT    {halt, "HALTED, alarm"}
#define CLASH   {stay, "stay, alarm"}
#define JUDGE   {wait_and_judge, "back to own WAIT, judge again"}
#define GRACE   {drop_queued_grace, "drop queued beats, grace = one patience"}
#define RESET   {wait_again, "own WAIT, drop queued beats, grace = one patience"}
#define RESTART {drop_queued_restart_age, "drop queued beats, peer age restarts"}
#define BEHIND  {drop_queued, "drop queued beats"}
#define PROMO   {promote, "ACTIVE e+1"}
#define PROMO_S {promote_if_silent, "ACTIVE e+1 if the peer is silent, " \
                                    "else refuse: demote the other half"}
#define ACCEPT  {accept, "stay"}
#define DEMOTED {demote, "own WAIT, one beat at once, grace = one patience; " \
                         "refused while the peer is silent"}
#define DROP    {stay, "drop, count"}
#define EXIT    {leave, "exit"}
#define LEAVE   {drain_and_leave, "publish the waiting digit, drain, exit"}

static const struct cell table[ROWS][CLASSIC_STATES] = {
    //                       WAIT-P   WAIT-B   ACTIVE   PASSIVE  HALTED
    [PEER_WAITS_OTHER]   = {UP,      STAY,    STAY,    UP,      JUDGE},
    [PEER_WAITS_SAME]    = {HALT,    HALT,    CLASH,   CLASH,   STAY},
    [PEER_ACTIVE_WINS]   = {FOLLOW,  FOLLOW,  YIELD,   STILL,   FOLLOW},
    [PEER_ACTIVE_LOSES]  = {FOLLOW,  FOLLOW,  BEAT,    STILL,   FOLLOW},
    [PEER_PASSIVE_WINS]  = {STAY,    STAY,    STAY,    STAY,    STAY},
    [PEER_PASSIVE_LOSES] = {STAY,    STAY,    STAY,    UP,      STAY},
    [VOTE_ALIVE]         = {REFUSE,  REFUSE,  SERVE,   REFUSE,  REFUSE},
    [VOTE_GRACE]         = {REFUSE,  REFUSE,  SERVE,   UP_VOTE, REFUSE},
    [VOTE_SILENT]        = {UP_VOTE, UP_VOTE, SERVE,   UP_VOTE, REFUSE},
    [TRAFFIC]            = {WARM,    WARM,    TAKE,    WARM,    WARM},
    [GAP]                = {GRACE,   GRACE,   RESET,   RESTART, BEHIND},
    [PROMOTE]            = {PROMO,   PROMO,   ACCEPT,  PROMO_S, PROMO},
    [DEMOTE]             = {ACCEPT,  ACCEPT,  DEMOTED, ACCEPT,  ACCEPT},
    [MALFORMED]          = {DROP,    DROP,    DROP,    DROP,    DROP},
    [STOP]               = {EXIT,    EXIT,    LEAVE,   EXIT,    EXIT},
};
// clang-format on

static void
run(struct bstar_core *self, size_t row)
{
    enum classic_state was = self->classic.state;
    table[row][was].act(self);
    bstar_add_fact(self, false, row, (uint8_t)was, (uint8_t)self->classic.state);
}

static const char *
row_text(size_t row)
{
    static const char *const texts[ROWS] = {
#define X(name, text) text,
        CLASSIC_ROW_MAP(X)
#undef X
    };
    return texts[row];
}

static const char *
state_text(size_t state)
{
    static const char *const texts[CLASSIC_STATES] = {
#define X(name, text, shown) text,
        BSTAR_CLASSIC_STATE_MAP(X)
#undef X
    };
    return texts[state];
}

static const char *
cell_text(size_t row, size_t state)
{
    return table[row][state].text;
}

const struct bstar_table_view bstar_classic_view = {ROWS,       CLASSIC_STATES, row_text,
                                                    state_text, cell_text,      run};

// ---- which row an event is ------------------------------------------------------------------

// peer_wins: "higher epoch; if equal, the primary; if roles are equal, the lower node id."
// Bare digits say no epoch and no role: both count as 0, and the peer as the other one.
static bool
peer_wins(const struct bstar_core *self, const struct bstar_beat *beat)
{
    uint64_t own_epoch = self->config.is_bare ? 0 : self->classic.epoch;
    if (beat->epoch != own_epoch)
        return beat->epoch > own_epoch;
    if (self->config.is_bare || beat->is_primary != self->config.is_primary)
        return !self->config.is_primary;
    return beat->node < self->config.node;
}

static bool
has_our_role(const struct bstar_core *self, const struct bstar_beat *beat)
{
    if (beat->digit == BSTAR_SAYS_PRIMARY || beat->digit == BSTAR_SAYS_BACKUP)
        return (beat->digit == BSTAR_SAYS_PRIMARY) == self->config.is_primary;
    return !self->config.is_bare && beat->is_primary == self->config.is_primary;
}

static enum classic_row
row_of_beat(const struct bstar_core *self, const struct bstar_beat *beat)
{
    switch (beat->digit) {
    case BSTAR_SAYS_ACTIVE:
        return peer_wins(self, beat) ? PEER_ACTIVE_WINS : PEER_ACTIVE_LOSES;
    case BSTAR_SAYS_PASSIVE:
        return peer_wins(self, beat) ? PEER_PASSIVE_WINS : PEER_PASSIVE_LOSES;
    default:
        return has_our_role(self, beat) ? PEER_WAITS_SAME : PEER_WAITS_OTHER;
    }
}

// note_clash raises the alarm when the peer begins to show our role, not at each beat.
static void
note_clash(struct bstar_core *self, const struct bstar_beat *beat)
{
    bool is_clashing = has_our_role(self, beat);
    self->stats.clashes += is_clashing;
    if (is_clashing && !self->classic.is_clashing) {
        struct bstar_effect *effect = bstar_add_effect(self, BSTAR_DO_ALARM);
        effect->why =
            self->config.is_primary ? "both halves are primary" : "both halves are backup";
        effect->node = beat->node;
    }
    self->classic.is_clashing = is_clashing;
}

static void
on_beat(struct bstar_core *self, const struct bstar_event *event)
{
    enum bstar_fault fault = event->fault;
    if (fault == BSTAR_SOUND && !self->config.is_bare && event->beat->node == self->config.node)
        fault = BSTAR_OWN_NODE;
    if (fault != BSTAR_SOUND) {
        self->stats.faults[fault]++;
        run(self, MALFORMED);
        return;
    }
    // "drop queued beats": they say what the peer was before we slept.
    if (self->pulse.is_behind || self->pulse.is_stopping) {
        self->stats.beats_dropped++;
        return;
    }
    const struct bstar_beat *beat = event->beat;
    struct bstar_classic *classic = &self->classic;
    enum classic_row row = row_of_beat(self, beat);
    self->stats.beats_in++;
    // "Any valid message from the peer refreshes its age, except one that waits in our own role."
    if (row != PEER_WAITS_SAME)
        bstar_heard(self, &classic->peer, !self->config.is_bare, beat->progress);
    classic->peer.node = beat->node;
    classic->peer.epoch = beat->epoch;
    classic->peer.state = (uint8_t)beat->digit;
    classic->seen = bstar_larger(classic->seen, beat->epoch);
    note_clash(self, beat);
    run(self, row);
}

static void
on_vote(struct bstar_core *self)
{
    if (self->pulse.is_stopping) {
        bstar_refuse(self, "stopping");
        return;
    }
    enum classic_row row = VOTE_SILENT;
    if (!bstar_is_silent(self, &self->classic.peer))
        row = VOTE_ALIVE;
    else if (self->now_ns < self->classic.grace_ns)
        row = VOTE_GRACE;
    run(self, row);
}

void
bstar_classic_init(struct bstar_core *self)
{
    self->classic.state = own_wait(self);
    self->classic.grace_ns = bstar_later(self, self->config.grace_ns);
}

void
bstar_classic_gap(struct bstar_core *self)
{
    self->stats.gaps++;
    run(self, GAP);
}

void
bstar_classic_event(struct bstar_core *self, const struct bstar_event *event)
{
    switch (event->kind) {
    case BSTAR_ON_BEAT:
        on_beat(self, event);
        break;
    case BSTAR_ON_CLIENT:
        on_vote(self);
        break;
    case BSTAR_ON_TRAFFIC:
        run(self, TRAFFIC);
        break;
    case BSTAR_ON_PROMOTE:
    case BSTAR_ON_DEMOTE:
        if (self->pulse.is_stopping)
            bstar_decline(self, "stopping", 0);
        else if (event->is_peer_dead)
            bstar_decline(self, "classic needs no such word", 0);
        else
            run(self, event->kind == BSTAR_ON_PROMOTE ? PROMOTE : DEMOTE);
        break;
    case BSTAR_ON_FREEZE:
    case BSTAR_ON_THAW:
    case BSTAR_ON_CLEAR:
        bstar_decline(self, "classic has none", 0);
        break;
    case BSTAR_ON_STOP:
        if (!self->pulse.is_stopping)
            run(self, STOP);
        break;
    case BSTAR_ON_DRAINED:
        if (self->pulse.is_stopping)
            bstar_exit(self);
        break;
    default:
        break; // guarded's
    }
}

void
bstar_classic_tick(struct bstar_core *self)
{
    if (self->now_ns >= self->pulse.beat_ns)
        publish(self);
}
