// bstar_guarded.c - a half with a witness: it serves while two of three voters hold it.
//
// It asks before it votes, so that a half that is merely cut off disturbs nobody. A lease
// counts from when its round was sent; grants count for their round only, which they name by
// its nonce; our own lease is judged at the beginning of every step, before anything that
// was queued is believed. What is in bstar_round.c are rounds and leases, here is what a
// half does.

#include "bstar_guarded.h"

static void
move_to(struct bstar_core *self, enum guarded_state state)
{
    enum guarded_state was = self->guarded.state;
    self->guarded.state = state;
    bstar_change(self, (uint8_t)was, (uint8_t)state, self->guarded.epoch);
}

static const struct bstar_message *
heard_message(const struct bstar_core *self)
{
    return self->event->message;
}

// ---- what we believe ------------------------------------------------------------------------

// see_epoch: "vote with epoch = highest seen + 1".
static void
see_epoch(struct bstar_core *self, uint64_t epoch)
{
    self->guarded.floor = bstar_larger(self->guarded.floor, epoch + 1);
}

static void
note(struct bstar_core *self)
{
    (void)self;
}

static void
adopt(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    guarded->epoch = bstar_larger(guarded->epoch, heard_message(self)->epoch);
}

// follow: while we hear an ACTIVE peer, what we prefer begins anew.
static void
follow(struct bstar_core *self)
{
    uint64_t later_ns = bstar_later(self, self->config.preference_ns);
    self->guarded.not_before_ns = bstar_larger(self->guarded.not_before_ns, later_ns);
}

static void
adopt_and_follow(struct bstar_core *self)
{
    adopt(self);
    follow(self);
}

// ---- stepping back --------------------------------------------------------------------------

static void
to_passive(struct bstar_core *self)
{
    bstar_close_rounds(self);
    move_to(self, GUARDED_PASSIVE);
}

static void
give_way(struct bstar_core *self)
{
    to_passive(self);
    follow(self);
}

static void
adopt_and_give_way(struct bstar_core *self)
{
    adopt(self);
    give_way(self);
}

// release_and_give_way: what is released is our vote, by its own epoch.
static void
release_and_give_way(struct bstar_core *self)
{
    bstar_release(self);
    give_way(self);
}

static void
adopt_release_and_give_way(struct bstar_core *self)
{
    bstar_release(self);
    adopt_and_give_way(self);
}

static void
back_off(struct bstar_core *self)
{
    self->stats.back_offs++;
    uint64_t not_before_ns = bstar_later(self, bstar_draw_back_off(self));
    if (self->guarded.state == GUARDED_CANDIDATE)
        bstar_release(self);
    to_passive(self);
    self->guarded.not_before_ns = not_before_ns;
}

// ---- stepping forward -----------------------------------------------------------------------

static bool
is_able(const struct bstar_core *self)
{
    const struct bstar_guarded *guarded = &self->guarded;
    return self->now_ns >= guarded->not_before_ns && self->now_ns >= guarded->hold_off_ns &&
           !guarded->is_frozen && !self->pulse.is_stopping && self->voter.state == VOTER_FREE &&
           !self->voter.is_storing && !bstar_is_split(self);
}

// ask first: nothing becomes durable, so who is cut off pushes no epoch up.
static void
ask(struct bstar_core *self)
{
    move_to(self, GUARDED_ASKING);
    bstar_begin_round(self, BSTAR_ASK);
}

static void
ask_if_able(struct bstar_core *self)
{
    if (is_able(self))
        ask(self);
}

// vote: our own vote is stored first, the round is sent when it is.
static void
vote(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    uint64_t highest = bstar_larger(guarded->epoch, self->voter.epoch);
    uint64_t epoch = bstar_larger(highest + 1, guarded->floor);
    bstar_close_rounds(self);
    // It may be this round's answer that has told us so.
    if (bstar_is_split(self)) {
        back_off(self);
        return;
    }
    if (epoch > BSTAR_EPOCH_MAX) {
        bstar_alarm(self, "there is no higher epoch");
        back_off(self);
        return;
    }
    guarded->epoch = epoch;
    move_to(self, GUARDED_CANDIDATE);
    guarded->round_ns = BSTAR_NEVER;
    struct bstar_message message = bstar_own_message(self, BSTAR_VOTE, epoch);
    if (voter_request(self, &message, 0) != VOTER_STORES)
        back_off(self);
}

// take_lease: "valid once two of three (self included) have granted", unless it is over.
static void
take_lease(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    if (!bstar_extend_lease(self)) {
        back_off(self);
        return;
    }
    move_to(self, GUARDED_ACTIVATING);
    if (self->config.has_store)
        bstar_add_effect(self, BSTAR_DO_OPEN)->epoch = guarded->epoch;
    else
        bstar_guarded_view.run(self, GUARDED_STORE_OPEN);
}

static void
extend(struct bstar_core *self)
{
    (void)bstar_extend_lease(self);
}

static void
serve_clients(struct bstar_core *self)
{
    move_to(self, GUARDED_ACTIVE);
    bstar_send_beat(self);
}

static void
renew_now(struct bstar_core *self)
{
    bstar_begin_round(self, BSTAR_RENEW);
}

// renew_soon: whoever refuses us may do so as often as it likes.
static void
renew_soon(struct bstar_core *self)
{
    const struct bstar_guarded *guarded = &self->guarded;
    if (self->now_ns - guarded->rounds[guarded->newest].sent_ns >= self->config.beat_ns)
        renew_now(self);
}

// ---- stopping to serve ----------------------------------------------------------------------

void
bstar_guarded_end_finishing(struct bstar_core *self)
{
    if (self->guarded.is_soft)
        bstar_add_effect(self, BSTAR_DO_DROP);
}

static void
drain_soft(struct bstar_core *self)
{
    self->guarded.is_soft = true;
    self->guarded.drain_ns = bstar_later(self, self->config.drain_ns);
    move_to(self, GUARDED_DRAINING);
    bstar_add_effect(self, BSTAR_DO_DRAIN);
}

// drain_hard: what we held is over, for us at once; nothing is released.
static void
drain_hard(struct bstar_core *self)
{
    self->guarded.is_soft = false;
    self->guarded.lease_ns = 0;
    bstar_close_rounds(self);
    move_to(self, GUARDED_DRAINING);
    bstar_add_effect(self, BSTAR_DO_DROP);
}

static void
turn_hard(struct bstar_core *self)
{
    if (self->guarded.is_soft)
        drain_hard(self);
}

static void
adopt_and_drain_hard(struct bstar_core *self)
{
    adopt(self);
    drain_hard(self);
}

static void
adopt_and_turn_hard(struct bstar_core *self)
{
    adopt(self);
    turn_hard(self);
}

static void
end_lease(struct bstar_core *self)
{
    self->stats.leases_ended++;
    drain_hard(self);
}

static void
end_lease_of_drain(struct bstar_core *self)
{
    self->stats.leases_ended++;
    turn_hard(self);
}

// end_drain: first nothing of ours goes out any more, then the lease is given back.
static void
end_drain(struct bstar_core *self)
{
    bool was_soft = self->guarded.is_soft;
    self->guarded.is_soft = false;
    self->guarded.lease_ns = 0;
    to_passive(self);
    if (self->config.has_store)
        bstar_add_effect(self, BSTAR_DO_CLOSE);
    if (was_soft)
        bstar_release(self);
    if (self->pulse.is_stopping)
        bstar_exit(self);
}

// ---- clients --------------------------------------------------------------------------------

static void
refuse_wait(struct bstar_core *self)
{
    bstar_refuse(self, "wait");
}

static void
refuse_peer(struct bstar_core *self)
{
    bstar_refuse(self, "peer");
}

static void
refuse_why(struct bstar_core *self)
{
    bstar_refuse(self, self->guarded.fault_why);
}

static void
serve(struct bstar_core *self)
{
    self->stats.served++;
    bstar_add_effect(self, BSTAR_DO_SERVE)->epoch = self->guarded.epoch;
}

// ---- trouble --------------------------------------------------------------------------------

// fault is left by the operator only.
static void
fault(struct bstar_core *self, const char *why)
{
    self->guarded.fault_why = why;
    bstar_guarded_end_finishing(self);
    self->guarded.is_soft = false;
    self->guarded.lease_ns = 0;
    self->guarded.has_word = false;
    bstar_close_rounds(self);
    voter_mute(self);
    move_to(self, GUARDED_FAULT);
    bstar_alarm(self, why);
}

static void
bug(struct bstar_core *self)
{
    self->stats.bugs++;
    fault(self, "a bug: what cannot happen did");
}

static void
fail(struct bstar_core *self)
{
    fault(self, "the record or the store failed");
}

static void
fail_and_release(struct bstar_core *self)
{
    fail(self);
    bstar_send_release(self);
}

static void
fail_drain(struct bstar_core *self)
{
    bool was_soft = self->guarded.is_soft;
    fail(self);
    if (was_soft)
        bstar_send_release(self);
}

static void
close_store(struct bstar_core *self)
{
    bstar_add_effect(self, BSTAR_DO_CLOSE);
}

static void
raise_floor(struct bstar_core *self)
{
    see_epoch(self, heard_message(self)->epoch);
}

static void
raise_floor_and_back_off(struct bstar_core *self)
{
    raise_floor(self);
    back_off(self);
}

// note_after_hard: once it is hard we have adopted what the peer serves with.
static void
note_after_hard(struct bstar_core *self)
{
    if (self->guarded.is_soft)
        bug(self);
}

static void
adopt_after_hard(struct bstar_core *self)
{
    if (self->guarded.is_soft)
        bug(self);
    else
        adopt(self);
}

// ---- our own gap ----------------------------------------------------------------------------

static void
restart_age(struct bstar_core *self)
{
    self->pulse.is_behind = true;
    self->guarded.peer.heard_ns = self->now_ns;
    self->guarded.peer.progress_ns = self->now_ns;
}

static void
judge_and_restart_age(struct bstar_core *self)
{
    restart_age(self);
    bstar_guarded_judge(self);
}

static void
drop_and_back_off(struct bstar_core *self)
{
    self->pulse.is_behind = true;
    back_off(self);
}

// ---- the operator ---------------------------------------------------------------------------

static void
decline(struct bstar_core *self)
{
    const char *why = "it is starting";
    if (self->guarded.state == GUARDED_FAULT)
        why = self->guarded.fault_why;
    else if (self->event->kind == BSTAR_ON_CLEAR)
        why = "it is not in FAULT: there is nothing to clear";
    else if (self->guarded.state == GUARDED_DRAINING)
        why = "it is handing over; try again when it is PASSIVE";
    else if (self->event->kind == BSTAR_ON_PROMOTE)
        why = "it serves already, or is about to";
    bstar_decline(self, why, 0);
}

static void
decline_and_say_when(struct bstar_core *self)
{
    bstar_decline(self, "it has just started", self->guarded.quarantine_ns - self->now_ns);
}

static void
accept(struct bstar_core *self)
{
    bstar_accept(self);
}

static void
promote(struct bstar_core *self)
{
    if (self->guarded.is_frozen) {
        bstar_decline(self, "it is frozen: thaw it", 0);
        return;
    }
    if (bstar_is_split(self)) {
        bstar_decline(self, "the peer has another witness: compare --witness of both", 0);
        return;
    }
    bstar_accept(self);
    self->guarded.hold_off_ns = 0;
    // His other word stands for a vote, but not before its wait is over.
    if (self->guarded.has_word && self->now_ns < self->guarded.not_before_ns)
        return;
    ask(self);
    if (!bstar_asks_itself(self))
        back_off(self);
}

// promote_without_peer: "waits one LEASE, jumps the epoch by 1000, lets the operator's word
// stand for one vote until another voter answers".
static void
promote_without_peer(struct bstar_core *self)
{
    enum { JUMP = 1000 };
    struct bstar_guarded *guarded = &self->guarded;
    if (guarded->is_frozen || !bstar_is_silent(self, &guarded->peer)) {
        bstar_decline(
            self, guarded->is_frozen ? "it is frozen: thaw it" : "the peer is alive: demote it", 0);
        return;
    }
    bstar_accept(self);
    // Who hears nobody asks most of the time: what it has asked until now is forgotten.
    if (guarded->state == GUARDED_ASKING)
        to_passive(self);
    bstar_add_effect(self, BSTAR_DO_AUDIT)->epoch = guarded->epoch + JUMP;
    guarded->has_word = true;
    guarded->hold_off_ns = 0;
    guarded->not_before_ns = bstar_later(self, self->config.lease_ns);
    see_epoch(self, bstar_smaller(guarded->epoch + JUMP, BSTAR_EPOCH_MAX) - 1);
}

static void
hold_off(struct bstar_core *self)
{
    bstar_accept(self);
    self->guarded.hold_off_ns = bstar_later(self, self->config.hold_off_ns);
    self->guarded.has_word = false;
}

static void
give_way_and_hold_off(struct bstar_core *self)
{
    hold_off(self);
    to_passive(self);
}

static void
release_and_hold_off(struct bstar_core *self)
{
    hold_off(self);
    bstar_release(self);
    to_passive(self);
}

static void
drain_and_hold_off(struct bstar_core *self)
{
    hold_off(self);
    drain_soft(self);
}

static void
set_flag(struct bstar_core *self)
{
    bstar_accept(self);
    self->guarded.is_frozen = self->event->kind == BSTAR_ON_FREEZE;
}

static void
set_flag_and_stop_asking(struct bstar_core *self)
{
    set_flag(self);
    if (self->guarded.is_frozen)
        to_passive(self);
}

static void
set_flag_and_stop_voting(struct bstar_core *self)
{
    set_flag(self);
    if (!self->guarded.is_frozen)
        return;
    bstar_release(self);
    to_passive(self);
}

static void
begin_quarantine(struct bstar_core *self)
{
    const struct bstar_record *record = self->event->record;
    voter_load(self, record);
    self->guarded.epoch = bstar_larger(self->guarded.epoch, record->epoch);
    self->guarded.quarantine_ns = bstar_later(self, self->config.lease_ns);
    move_to(self, GUARDED_QUARANTINE);
}

static void
clear(struct bstar_core *self)
{
    if (self->event->record == NULL || self->voter.is_storing) {
        bstar_decline(self, "the record or the store is bad", 0);
        return;
    }
    bstar_accept(self);
    begin_quarantine(self);
}

static void
end_quarantine(struct bstar_core *self)
{
    to_passive(self);
    follow(self);
}

// ---- leaving --------------------------------------------------------------------------------

static void
leave(struct bstar_core *self)
{
    bstar_exit(self);
}

static void
release_and_leave(struct bstar_core *self)
{
    bstar_release(self);
    bstar_exit(self);
}

static void
drain_and_leave(struct bstar_core *self)
{
    self->pulse.is_stopping = true;
    drain_soft(self);
}

static void
leave_when_drained(struct bstar_core *self)
{
    self->pulse.is_stopping = true;
}

// ---- the table ------------------------------------------------------------------------------

struct cell {
    void (*act)(struct bstar_core *self);
    const char *text;
};

// clang-format off
#define BUG      {bug, "bug"}
#define STAY     {note, "stay"}
#define NOTE     {note, "note"}
#define VERIFIED {begin_quarantine, "QUARANTINE"}
#define OVER     {end_quarantine, "PASSIVE"}
#define ADOPT    {adopt, "adopt"}
#define AD_FOLL  {adopt_and_follow, "adopt, follow"}
#define AD_WAY   {adopt_and_give_way, "adopt, PASSIVE"}
#define AD_REL   {adopt_release_and_give_way, "adopt, release, PASSIVE"}
#define AD_HARD  {adopt_and_drain_hard, "adopt, DRAINING hard"}
#define AD_TURN  {adopt_and_turn_hard, "adopt; turn hard"}
#define FOLLOW   {follow, "follow"}
#define WAY      {give_way, "PASSIVE"}
#define REL_WAY  {release_and_give_way, "release, PASSIVE"}
#define ABLE     {ask_if_able, "ASKING if able"}
#define BEAT     {bstar_send_beat, "stay, beat at once"}
#define R_WAIT   {refuse_wait, "503 wait"}
#define R_PEER   {refuse_peer, "503 peer"}
#define R_WHY    {refuse_why, "503 reason"}
#define SERVE    {serve, "serve, stamp epoch"}
#define WARM     {note, "warm"}
#define TAKE     {note, "serve"}
#define TAKE_R   {note, "warm; soft takes replies"}
#define VOTE     {vote, "CANDIDATE"}
#define LEASE    {take_lease, "ACTIVATING if the deadline is ahead, else back off"}
#define NOTE_D   {note_after_hard, "hard: note; soft: bug"}
#define EXTEND   {extend, "extend"}
#define EXT_SOFT {extend, "soft: extend; hard: stay"}
#define BACK     {back_off, "back off"}
#define RENEW    {renew_now, "next round now"}
#define R_SOON   {renew_soon, "next round now, one each beat"}
#define FLOOR    {raise_floor, "raise floor"}
#define FL_BACK  {raise_floor_and_back_off, "raise floor, back off"}
#define ENDS     {end_lease, "DRAINING hard"}
#define ENDS_D   {end_lease_of_drain, "turn hard"}
#define GRANTED  {adopt_after_hard, "hard: adopt; soft: bug"}
#define ACTIVE   {serve_clients, "ACTIVE"}
#define CLOSE    {close_store, "close it"}
#define FAIL     {fail, "FAULT"}
#define FAIL_R   {fail_and_release, "stop acks, release, FAULT"}
#define FAIL_A   {fail_and_release, "release, FAULT"}
#define FAIL_D   {fail_drain, "release if soft, FAULT"}
#define DRAINED  {end_drain, "soft: release; PASSIVE (or exit)"}
#define RESTART  {restart_age, "drop queued beats, peer age restarts"}
#define BACK_G   {drop_and_back_off, "back off"}
#define JUDGE    {judge_and_restart_age, "judge lease; drop beats, age restarts"}
#define NO       {decline, "refuse"}
#define NO_WHEN  {decline_and_say_when, "refuse, say when"}
#define PROMOTE  {promote, "ASKING, no preference delay"}
#define OK       {accept, "stay"}
#define WORD     {promote_without_peer, "after one LEASE ASKING with the operator's vote; " \
                                        "refused while the peer is heard"}
#define WORD_A   {promote_without_peer, "PASSIVE; after one LEASE ASKING with the operator's " \
                                        "vote; refused while the peer is heard"}
#define OFF      {hold_off, "hold-off"}
#define OFF_WAY  {give_way_and_hold_off, "PASSIVE, hold-off"}
#define OFF_REL  {release_and_hold_off, "release, PASSIVE, hold-off"}
#define OFF_DRN  {drain_and_hold_off, "DRAINING soft, hold-off"}
#define FLAG     {set_flag, "flag"}
#define FLAG_A   {set_flag_and_stop_asking, "flag; freeze: PASSIVE"}
#define FLAG_C   {set_flag_and_stop_voting, "flag; freeze: release, PASSIVE"}
#define CLEAR    {clear, "verify: good: QUARANTINE, bad: stay"}
#define EXIT     {leave, "exit"}
#define REL_EXIT {release_and_leave, "release, exit"}
#define DRN_EXIT {drain_and_leave, "DRAINING soft, then exit"}
#define EXIT_D   {leave_when_drained, "exit when drained"}
#define DROP     {note, "drop, count"}

static const struct cell table[GUARDED_ROWS][GUARDED_STATES] = {
    //   START     QUARANT.  PASSIVE   ASKING    CANDID.   ACTIVAT.  ACTIVE    DRAINING  FAULT
    [GUARDED_VERIFIED] =
        {VERIFIED, BUG,      BUG,      BUG,      BUG,      BUG,      BUG,      BUG,      STAY},
    [GUARDED_QUARANTINE_OVER] =
        {BUG,      OVER,     BUG,      BUG,      BUG,      BUG,      BUG,      BUG,      STAY},
    [GUARDED_PEER_NEWER] =
        {BUG,      ADOPT,    AD_FOLL,  AD_WAY,   AD_REL,   AD_HARD,  AD_HARD,  AD_TURN,  NOTE},
    [GUARDED_PEER_SAME] =
        {BUG,      NOTE,     FOLLOW,   WAY,      REL_WAY,  BUG,      BUG,      NOTE_D,   NOTE},
    [GUARDED_PEER_OLDER] =
        {BUG,      NOTE,     ABLE,     STAY,     STAY,     STAY,     BEAT,     STAY,     NOTE},
    [GUARDED_PEER_ALIVE] =
        {BUG,      NOTE,     ABLE,     STAY,     STAY,     STAY,     STAY,     STAY,     NOTE},
    [GUARDED_PEER_SILENT] =
        {BUG,      NOTE,     ABLE,     STAY,     STAY,     STAY,     STAY,     STAY,     NOTE},
    [GUARDED_CLIENT] =
        {BUG,      R_WAIT,   R_PEER,   R_WAIT,   R_WAIT,   R_WAIT,   SERVE,    R_PEER,   R_WHY},
    [GUARDED_TRAFFIC] =
        {BUG,      WARM,     WARM,     WARM,     WARM,     WARM,     TAKE,     TAKE_R,   WARM},
    [GUARDED_MAJORITY] =
        {BUG,      BUG,      BUG,      VOTE,     LEASE,    EXTEND,   EXTEND,   EXT_SOFT, STAY},
    [GUARDED_ROUND_OVER] =
        {BUG,      BUG,      BUG,      BACK,     BACK,     RENEW,    RENEW,    STAY,     STAY},
    [GUARDED_DENIED] =
        {BUG,      BUG,      BUG,      FLOOR,    FL_BACK,  FLOOR,    FLOOR,    FLOOR,    STAY},
    [GUARDED_LEASE_ENDS] =
        {BUG,      BUG,      BUG,      BUG,      BUG,      ENDS,     ENDS,     ENDS_D,   STAY},
    [GUARDED_GRANTED_PEER] =
        {BUG,      ADOPT,    ADOPT,    AD_WAY,   BUG,      BUG,      BUG,      GRANTED,  STAY},
    [GUARDED_STORE_OPEN] =
        {BUG,      BUG,      CLOSE,    CLOSE,    CLOSE,    ACTIVE,   BUG,      CLOSE,    CLOSE},
    [GUARDED_FAILED] =
        {FAIL,     FAIL,     FAIL,     FAIL,     FAIL,     FAIL_A,   FAIL_R,   FAIL_D,   STAY},
    [GUARDED_DRAINED] =
        {BUG,      BUG,      BUG,      BUG,      BUG,      BUG,      BUG,      DRAINED,  STAY},
    [GUARDED_GAP] =
        {STAY,     STAY,     RESTART,  BACK_G,   BACK_G,   JUDGE,    JUDGE,    JUDGE,    STAY},
    [GUARDED_PROMOTE] =
        {NO,       NO_WHEN,  PROMOTE,  OK,       OK,       OK,       OK,       NO,       NO},
    [GUARDED_PROMOTE_DEAD] =
        {NO,       NO_WHEN,  WORD,     WORD_A,   NO,       NO,       NO,       NO,       NO},
    [GUARDED_DEMOTE] =
        {NO,       OFF,      OFF,      OFF_WAY,  OFF_REL,  OFF_DRN,  OFF_DRN,  OFF,      NO},
    [GUARDED_FREEZE] =
        {FLAG,     FLAG,     FLAG,     FLAG_A,   FLAG_C,   FLAG,     FLAG,     FLAG,     FLAG},
    [GUARDED_CLEAR] =
        {NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO,       CLEAR},
    [GUARDED_STOP] =
        {EXIT,     EXIT,     EXIT,     EXIT,     REL_EXIT, DRN_EXIT, DRN_EXIT, EXIT_D,   EXIT},
    [GUARDED_FENCED] =
        {BUG,      NOTE,     NOTE,     NOTE,     NOTE,     R_SOON,   R_SOON,   NOTE,     NOTE},
    [GUARDED_MALFORMED] =
        {BUG,      DROP,     DROP,     DROP,     DROP,     DROP,     DROP,     DROP,     DROP},
};
// clang-format on

static void
run(struct bstar_core *self, size_t row)
{
    enum guarded_state was = self->guarded.state;
    table[row][was].act(self);
    bstar_add_fact(self, false, row, (uint8_t)was, (uint8_t)self->guarded.state);
}

static const char *
row_text(size_t row)
{
    static const char *const texts[GUARDED_ROWS] = {
#define X(name, text) text,
        GUARDED_ROW_MAP(X)
#undef X
    };
    return texts[row];
}

static const char *
state_text(size_t state)
{
    static const char *const texts[GUARDED_STATES] = {
#define X(name, text, shown) text,
        BSTAR_GUARDED_STATE_MAP(X)
#undef X
    };
    return texts[state];
}

static const char *
cell_text(size_t row, size_t state)
{
    return table[row][state].text;
}

const struct bstar_table_view bstar_guarded_view = {GUARDED_ROWS, GUARDED_STATES, row_text,
                                                    state_text,   cell_text,      run};
