// bstar_round.c - rounds, leases, and the way in of a half in guarded.
//
// A round is one question to all voters, sent at one time under one nonce. Up to four may be
// open, renewals all but one; a reply that names none of them is late, and counts nowhere.

#include "bstar_guarded.h"

enum { FOR_NONCES = 1 }; // what the seed is for

static void
run(struct bstar_core *self, enum guarded_row row)
{
    bstar_guarded_view.run(self, row);
}

// ---- what we say ----------------------------------------------------------------------------

struct bstar_message
bstar_own_message(const struct bstar_core *self, enum bstar_command command, uint64_t epoch)
{
    return (struct bstar_message){
        .command = command,
        .state = (uint8_t)(self->guarded.state + 1),
        .pair = self->config.pair,
        .node = self->config.node,
        .epoch = epoch,
    };
}

static void
send(struct bstar_core *self, const struct bstar_message *message, enum bstar_sender to)
{
    struct bstar_effect *effect = bstar_add_effect(self, BSTAR_DO_SEND);
    effect->to = to;
    effect->message = *message;
}

static void
send_both(struct bstar_core *self, const struct bstar_message *message)
{
    send(self, message, BSTAR_FROM_PEER);
    send(self, message, BSTAR_FROM_WITNESS);
}

void
bstar_send_beat(struct bstar_core *self)
{
    struct bstar_message beat = bstar_own_message(self, BSTAR_BEAT, self->guarded.epoch);
    beat.progress = self->pulse.progress;
    beat.witness = self->guarded.witness;
    send(self, &beat, BSTAR_FROM_PEER);
    self->stats.beats_out++;
    self->pulse.beat_ns = bstar_later(self, self->config.beat_ns);
}

void
bstar_send_release(struct bstar_core *self)
{
    struct bstar_message message = bstar_own_message(self, BSTAR_RELEASE, self->guarded.epoch);
    send_both(self, &message);
}

void
bstar_release(struct bstar_core *self)
{
    struct bstar_message message = bstar_own_message(self, BSTAR_RELEASE, self->guarded.epoch);
    // While our own vote is still being written it stays bound: it is freed when that is done.
    if (!self->voter.is_storing)
        (void)voter_request(self, &message, 0);
    send_both(self, &message);
}

// ---- which witness --------------------------------------------------------------------------

static bool
has_two_witnesses(const struct bstar_guarded *guarded)
{
    return guarded->witness != 0 && guarded->peer.witness != 0 &&
           guarded->witness != guarded->peer.witness;
}

bool
bstar_is_split(const struct bstar_core *self)
{
    return has_two_witnesses(&self->guarded) && !self->guarded.has_word;
}

// probe asks the witness which one it is, where the peer has named one that we do not know. What
// we know may be old: who is PASSIVE asks nothing else. The nonce is that of no round.
static void
probe(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    bool is_known = guarded->peer.witness == 0 || guarded->peer.witness == guarded->witness;
    if (guarded->state != GUARDED_PASSIVE || is_known || self->now_ns < guarded->probe_ns)
        return;
    guarded->probe_ns = bstar_later(self, self->config.lease_ns);
    struct bstar_message message = bstar_own_message(self, BSTAR_ASK, guarded->epoch);
    message.lease_ms = bstar_lease_ms(self);
    send(self, &message, BSTAR_FROM_WITNESS);
}

// hear_witness: where it is another node than before, what the peer said of the one before is old.
static void
hear_witness(struct bstar_guarded *guarded, uint64_t node)
{
    if (node != guarded->witness && guarded->peer.witness == guarded->witness)
        guarded->peer.witness = 0;
    guarded->witness = node;
}

// judge_witnesses: one that was made anew is for a moment another one to who hears of it first.
static void
judge_witnesses(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    probe(self);
    if (!has_two_witnesses(guarded)) {
        guarded->split_ns = 0;
        guarded->is_split_said = false;
        return;
    }
    if (guarded->split_ns == 0)
        guarded->split_ns = self->now_ns;
    if (guarded->is_split_said || self->now_ns - guarded->split_ns < self->config.lease_ns)
        return;
    guarded->is_split_said = true;
    bstar_alarm(self, "the peer has another witness");
}

// ---- rounds ---------------------------------------------------------------------------------

// is_majority: two of three, or one and the operator's word.
static bool
is_majority(const struct bstar_round *round)
{
    uint8_t grants = round->grants;
    return (grants & (grants - 1)) != 0; // more than one bit
}

// count_grants looks whether a round has its majority now.
static void
count_grants(struct bstar_core *self, uint8_t number)
{
    struct bstar_round *round = &self->guarded.rounds[number];
    if (!round->is_open || round->has_majority || !is_majority(round))
        return;
    round->has_majority = true;
    self->stats.majorities++;
    self->guarded.judged = number;
    run(self, GUARDED_MAJORITY);
}

void
bstar_begin_round(struct bstar_core *self, enum bstar_command command)
{
    struct bstar_guarded *guarded = &self->guarded;
    guarded->newest = (uint8_t)((guarded->newest + 1) % BSTAR_ROUNDS);
    struct bstar_round *round = &guarded->rounds[guarded->newest];
    *round = (struct bstar_round){
        .is_open = true,
        .command = command,
        .epoch = guarded->epoch,
        .sent_ns = self->now_ns,
        .left_ns = BSTAR_NEVER,
        .nonce = {{prng_next(&guarded->prng), prng_next(&guarded->prng)}},
    };
    struct bstar_message message = bstar_own_message(self, command, guarded->epoch);
    message.nonce = round->nonce;
    message.lease_ms = bstar_lease_ms(self);
    // Our own vote was stored before its round: it is a renewal here, which binds our voter
    // from the time that the lease counts from.
    enum voter_verdict verdict = voter_request(self, &message, 0);
    if (verdict == VOTER_YES)
        round->grants |= OWN_VOTE;
    else
        round->left_ns = voter_left_ns(self);
    if (guarded->has_word)
        round->grants |= OPERATOR_VOTE;
    guarded->round_ns = bstar_later(self, self->config.round_ns);
    self->stats.rounds++;
    send_both(self, &message);
    count_grants(self, guarded->newest);
}

void
bstar_close_rounds(struct bstar_core *self)
{
    for (size_t i = 0; i < BSTAR_ROUNDS; i++)
        self->guarded.rounds[i].is_open = false;
    self->guarded.round_ns = BSTAR_NEVER;
}

bool
bstar_asks_itself(const struct bstar_core *self)
{
    return (self->guarded.rounds[self->guarded.newest].grants & OWN_VOTE) != 0;
}

bool
bstar_extend_lease(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    const struct bstar_round *round = &guarded->rounds[guarded->judged];
    if (guarded->state == GUARDED_DRAINING && !guarded->is_soft)
        return false;
    uint64_t lease_ns = round->sent_ns + self->config.valid_ns;
    guarded->lease_ns = bstar_larger(guarded->lease_ns, lease_ns);
    return self->now_ns < guarded->lease_ns;
}

uint64_t
bstar_draw_back_off(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    uint64_t left_ns = guarded->rounds[guarded->newest].left_ns;
    bool is_denied = left_ns != BSTAR_NEVER;
    const uint64_t *range = is_denied ? self->config.after_denial_ns : self->config.back_off_ns;
    uint64_t wait_ns = range[0] + prng_below(&guarded->prng, range[1] - range[0] + 1);
    // No voter is bound for longer than a LEASE, whatever it says.
    return wait_ns + (is_denied ? bstar_smaller(left_ns, self->config.lease_ns) : 0);
}

// drop_word: "until another voter answers".
static void
drop_word(struct bstar_core *self)
{
    self->guarded.has_word = false;
    for (size_t i = 0; i < BSTAR_ROUNDS; i++)
        self->guarded.rounds[i].grants &= (uint8_t)~OPERATOR_VOTE;
}

static void
on_denial(struct bstar_core *self, const struct bstar_message *message, uint8_t number,
          uint8_t voter)
{
    struct bstar_round *round = &self->guarded.rounds[number];
    round->denials |= voter;
    if (bstar_has_other_lease(self, message))
        self->stats.faults[BSTAR_OTHER_LEASE]++;
    round->left_ns = bstar_smaller(round->left_ns, message->left_ms * (uint64_t)1000000);
    if (message->epoch > self->guarded.epoch)
        run(self, GUARDED_DENIED);
    // With both others against it, there is nothing to wait for.
    bool is_lost = round->denials == (PEER_VOTE | WITNESS_VOTE) && !round->has_majority;
    if (round->is_open && is_lost && round->command != BSTAR_RENEW)
        run(self, GUARDED_ROUND_OVER);
}

void
bstar_on_reply(struct bstar_core *self, const struct bstar_message *message, uint8_t voter)
{
    struct bstar_guarded *guarded = &self->guarded;
    uint8_t number = 0;
    // "A reply whose nonce is not open is dropped before it becomes an event."
    while (number < BSTAR_ROUNDS &&
           !(guarded->rounds[number].is_open &&
             bstar_nonce_equals(&guarded->rounds[number].nonce, &message->nonce)))
        number++;
    if (number == BSTAR_ROUNDS) {
        self->stats.replies_late++;
        return;
    }
    if (guarded->has_word)
        drop_word(self);
    if (message->command == BSTAR_DENY) {
        on_denial(self, message, number, voter);
        return;
    }
    guarded->rounds[number].grants |= voter;
    count_grants(self, number);
}

// ---- messages -------------------------------------------------------------------------------

static enum guarded_row
row_of_beat(const struct bstar_core *self, const struct bstar_message *beat)
{
    if (beat->state != GUARDED_ACTIVE + 1)
        return GUARDED_PEER_ALIVE;
    uint64_t epoch = self->guarded.epoch;
    return beat->epoch > epoch    ? GUARDED_PEER_NEWER
           : beat->epoch == epoch ? GUARDED_PEER_SAME
                                  : GUARDED_PEER_OLDER;
}

static void
on_beat(struct bstar_core *self, const struct bstar_message *beat)
{
    struct bstar_guarded *guarded = &self->guarded;
    if (self->pulse.is_behind) {
        self->stats.beats_dropped++;
        return;
    }
    self->stats.beats_in++;
    bstar_heard(self, &guarded->peer, true, beat->progress);
    guarded->peer.node = beat->node;
    guarded->peer.epoch = beat->epoch;
    guarded->peer.state = beat->state;
    // One that was started again has not heard it yet; what it said before stands until it has.
    if (beat->witness != 0)
        guarded->peer.witness = beat->witness;
    guarded->floor = bstar_larger(guarded->floor, beat->epoch + 1);
    if (guarded->has_word)
        drop_word(self); // it is not dead
    run(self, row_of_beat(self, beat));
}

// on_request is the peer's to our voter.
static void
on_request(struct bstar_core *self, const struct bstar_event *event)
{
    const struct bstar_message *message = event->message;
    bool was_bound = self->voter.state != VOTER_FREE;
    enum voter_verdict verdict = voter_request(self, message, event->route);
    voter_answer(self, verdict, message->nonce, message->epoch, event->route);
    bool is_released =
        message->command == BSTAR_RELEASE && was_bound && self->voter.state == VOTER_FREE;
    if (!is_released || self->guarded.state != GUARDED_PASSIVE)
        return;
    // The holder leaves: there is nobody to be preferred, and nothing to wait for.
    self->guarded.not_before_ns = self->now_ns;
    run(self, GUARDED_PEER_ALIVE);
}

static enum bstar_fault
fault_of(const struct bstar_core *self, const struct bstar_event *event)
{
    const struct bstar_message *message = event->message;
    if (event->fault != BSTAR_SOUND)
        return event->fault;
    if (message->pair != self->config.pair)
        return BSTAR_BAD_PAIR;
    if (message->node == self->config.node)
        return BSTAR_OWN_NODE;
    bool is_reply = message->command == BSTAR_GRANT || message->command == BSTAR_DENY;
    bool is_witness = event->sender == BSTAR_FROM_WITNESS;
    // Whoever answers where the other one should be would be counted as a voter of its own.
    bool is_elsewhere = is_witness != (message->state == BSTAR_STATE_OF_WITNESS);
    return is_elsewhere || (is_witness && !is_reply) ? BSTAR_BAD_SENDER : BSTAR_SOUND;
}

static void
on_message(struct bstar_core *self, const struct bstar_event *event)
{
    struct bstar_guarded *guarded = &self->guarded;
    enum bstar_fault fault = fault_of(self, event);
    if (fault != BSTAR_SOUND || guarded->state == GUARDED_START) {
        self->stats.faults[fault]++;
        run(self, GUARDED_MALFORMED);
        return;
    }
    bool is_witness = event->sender == BSTAR_FROM_WITNESS;
    if (is_witness) {
        guarded->is_witness_heard = true;
        guarded->witness_ns = self->now_ns;
        hear_witness(guarded, event->message->node);
    }
    switch (event->message->command) {
    case BSTAR_BEAT:
        on_beat(self, event->message);
        break;
    case BSTAR_GRANT:
    case BSTAR_DENY:
        bstar_on_reply(self, event->message, is_witness ? WITNESS_VOTE : PEER_VOTE);
        break;
    default:
        on_request(self, event);
    }
}

// ---- the record -----------------------------------------------------------------------------

static void
on_own_vote_stored(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    if (guarded->state == GUARDED_CANDIDATE && guarded->epoch == self->voter.epoch) {
        bstar_begin_round(self, BSTAR_VOTE);
        return;
    }
    // We gave it up while it was written.
    struct bstar_message message = bstar_own_message(self, BSTAR_RELEASE, self->voter.epoch);
    if (self->voter.state != VOTER_MUTE)
        (void)voter_request(self, &message, 0);
}

static void
on_stored(struct bstar_core *self)
{
    struct bstar_voter *voter = &self->voter;
    voter_stored(self);
    if (voter->holder == self->config.node) {
        on_own_vote_stored(self);
        return;
    }
    if (voter->state == VOTER_MUTE)
        return;
    // What the cells adopt is what was granted.
    struct bstar_message granted = {.epoch = voter->epoch};
    struct bstar_event event = *self->event;
    event.message = &granted;
    self->event = &event;
    voter_answer(self, VOTER_YES, voter->nonce, voter->epoch, voter->route);
    run(self, GUARDED_GRANTED_PEER);
    self->event = NULL;
}

// ---- the way in -----------------------------------------------------------------------------

void
bstar_guarded_init(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    guarded->state = GUARDED_START;
    guarded->fault_why = "";
    guarded->round_ns = BSTAR_NEVER;
    prng_init(&guarded->prng, self->config.seed, FOR_NONCES);
}

void
bstar_guarded_gap(struct bstar_core *self)
{
    self->stats.gaps++;
    run(self, GUARDED_GAP);
}

static bool
has_lease(const struct bstar_guarded *guarded)
{
    return guarded->state == GUARDED_ACTIVATING || guarded->state == GUARDED_ACTIVE ||
           (guarded->state == GUARDED_DRAINING && guarded->is_soft);
}

void
bstar_guarded_judge(struct bstar_core *self)
{
    if (has_lease(&self->guarded) && self->now_ns >= self->guarded.lease_ns)
        run(self, GUARDED_LEASE_ENDS);
}

void
bstar_guarded_event(struct bstar_core *self, const struct bstar_event *event)
{
    static const uint8_t rows[] = {
        [BSTAR_ON_CLIENT] = GUARDED_CLIENT, [BSTAR_ON_TRAFFIC] = GUARDED_TRAFFIC,
        [BSTAR_ON_DEMOTE] = GUARDED_DEMOTE, [BSTAR_ON_FREEZE] = GUARDED_FREEZE,
        [BSTAR_ON_THAW] = GUARDED_FREEZE,   [BSTAR_ON_CLEAR] = GUARDED_CLEAR,
        [BSTAR_ON_STOP] = GUARDED_STOP,     [BSTAR_ON_LOADED] = GUARDED_VERIFIED,
        [BSTAR_ON_FAILED] = GUARDED_FAILED, [BSTAR_ON_OPENED] = GUARDED_STORE_OPEN,
        [BSTAR_ON_FENCED] = GUARDED_FENCED,
    };
    switch (event->kind) {
    case BSTAR_ON_TICK:
    case BSTAR_ON_BEAT:
        break; // not ours
    case BSTAR_ON_MESSAGE:
        on_message(self, event);
        break;
    case BSTAR_ON_STORED:
        on_stored(self);
        break;
    case BSTAR_ON_UNSTORED:
        voter_unstored(self);
        run(self, GUARDED_FAILED);
        break;
    case BSTAR_ON_DRAINED:
        // The time for it may have been over first.
        if (self->guarded.state == GUARDED_DRAINING)
            run(self, GUARDED_DRAINED);
        break;
    case BSTAR_ON_PROMOTE:
        run(self, event->is_peer_dead ? GUARDED_PROMOTE_DEAD : GUARDED_PROMOTE);
        break;
    default:
        self->stats.fenced += event->kind == BSTAR_ON_FENCED;
        run(self, rows[event->kind]);
    }
}

// on_round_due: the newest round has had its time.
static void
on_round_due(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    bool has_majority = guarded->rounds[guarded->newest].has_majority;
    guarded->round_ns = BSTAR_NEVER;
    if (has_majority && has_lease(guarded))
        bstar_begin_round(self, BSTAR_RENEW);
    else
        run(self, GUARDED_ROUND_OVER);
}

void
bstar_guarded_tick(struct bstar_core *self)
{
    struct bstar_guarded *guarded = &self->guarded;
    uint64_t now_ns = self->now_ns;
    if (guarded->state == GUARDED_QUARANTINE && now_ns >= guarded->quarantine_ns)
        run(self, GUARDED_QUARANTINE_OVER);
    if (guarded->state == GUARDED_DRAINING && guarded->is_soft && now_ns >= guarded->drain_ns) {
        bstar_guarded_end_finishing(self);
        run(self, GUARDED_DRAINED);
    }
    if (now_ns >= guarded->round_ns)
        on_round_due(self);
    if (guarded->state == GUARDED_START || now_ns < self->pulse.beat_ns)
        return;
    bstar_send_beat(self);
    judge_witnesses(self);
    if (bstar_is_silent(self, &guarded->peer))
        run(self, GUARDED_PEER_SILENT);
}

uint64_t
bstar_guarded_deadline(const struct bstar_core *self)
{
    const struct bstar_guarded *guarded = &self->guarded;
    uint64_t deadline_ns = guarded->round_ns;
    if (guarded->state == GUARDED_QUARANTINE)
        deadline_ns = bstar_smaller(deadline_ns, guarded->quarantine_ns);
    if (has_lease(guarded))
        deadline_ns = bstar_smaller(deadline_ns, guarded->lease_ns);
    if (guarded->state == GUARDED_DRAINING && guarded->is_soft)
        deadline_ns = bstar_smaller(deadline_ns, guarded->drain_ns);
    return deadline_ns;
}
