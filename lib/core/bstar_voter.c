// bstar_voter.c - one of the three who grant leases: the same code in both halves and the
// witness.
//
// A voter gives its word to one holder at a time, for one LEASE, and never an epoch twice.
// What it has said last is on disk before anybody hears of it. How long it is bound it only
// remembers; so after a start it takes itself for bound for a whole LEASE.

#include "bstar_state.h"

// ---- the table, part one: its rows ----------------------------------------------------------

// `c` is the half that asks.
#define VOTER_ROW_MAP(X)                                                                           \
    X(ASK_HOLDER, "ask, c is the recorded holder")                                                 \
    X(ASK_OTHER, "ask, c is another")                                                              \
    X(VOTE_HOLDER, "vote, newer epoch, c is the recorded holder")                                  \
    X(VOTE_OTHER, "vote, newer epoch, c is another")                                               \
    X(RENEWAL, "vote or renewal, recorded epoch and holder")                                       \
    X(STALE, "older epoch, or the recorded epoch from another")                                    \
    X(OTHER_LEASE, "ask, vote or renewal of who has another LEASE")                                \
    X(RELEASE_HELD, "release, recorded epoch and holder")                                          \
    X(RELEASE_OTHER, "any other release")                                                          \
    X(RUNS_OUT, "wait or hold runs out")                                                           \
    X(UNWRITTEN, "the record cannot be written")                                                   \
    X(MALFORMED, "malformed, unknown pair, unknown key")

enum voter_row {
#define X(name, text) name,
    VOTER_ROW_MAP(X)
#undef X
        ROWS
};

// ---- the cells ------------------------------------------------------------------------------

// What is judged: a request of another member, or our own half's.
typedef enum voter_verdict judge(struct bstar_core *self);

static enum voter_verdict
say_yes(struct bstar_core *self)
{
    (void)self;
    return VOTER_YES;
}

static enum voter_verdict
say_no(struct bstar_core *self)
{
    (void)self;
    return VOTER_NO;
}

// deny_lease: a hold of ours would end before or after the lease that is counted from it.
static enum voter_verdict
deny_lease(struct bstar_core *self)
{
    self->stats.faults[BSTAR_OTHER_LEASE]++;
    return VOTER_NO;
}

static enum voter_verdict
say_nothing(struct bstar_core *self)
{
    (void)self;
    return VOTER_SILENT;
}

static void
hold(struct bstar_core *self)
{
    self->voter.state = VOTER_HELD;
    self->voter.hold_ns = bstar_later(self, self->config.lease_ns);
}

// grant_again is a renewal: nothing is written.
static enum voter_verdict
grant_again(struct bstar_core *self)
{
    hold(self);
    return VOTER_YES;
}

// store_first: "it stores {epoch, holder}, sets hold_until = now + LEASE, then replies".
static enum voter_verdict
store_first(struct bstar_core *self)
{
    struct bstar_voter *voter = &self->voter;
    voter->is_storing = true;
    struct bstar_effect *effect = bstar_add_effect(self, BSTAR_DO_STORE);
    effect->record = (struct bstar_record){
        .pair = self->config.pair,
        .serial = voter->serial + 1,
        .epoch = voter->next_epoch,
        .holder = voter->next_holder,
    };
    return VOTER_STORES;
}

static enum voter_verdict
set_free(struct bstar_core *self)
{
    self->voter.state = VOTER_FREE;
    self->voter.hold_ns = 0;
    return VOTER_SILENT;
}

static enum voter_verdict
fall_silent(struct bstar_core *self)
{
    self->voter.state = VOTER_MUTE;
    bstar_alarm(self, "the voter's record cannot be written");
    return VOTER_SILENT;
}

static enum voter_verdict
count_bug(struct bstar_core *self)
{
    self->stats.bugs++;
    bstar_alarm(self, "a bug: a hold ran out that nobody had");
    return VOTER_SILENT;
}

// ---- the table, part two --------------------------------------------------------------------

struct cell {
    judge *act;
    const char *text;
};

// clang-format off
#define YES    {say_yes, "yes"}
#define NO     {say_no, "no"}
#define NO_T   {say_no, "no, time left"}
#define STORE  {store_first, "store, grant, HELD"}
#define STORE_X {store_first, "store, grant, extend"}
#define DENY   {say_no, "deny"}
#define DENY_T {say_no, "deny, time left"}
#define DENY_R {say_no, "deny, show record"}
#define DENY_C {deny_lease, "deny, count"}
#define GRANT  {grant_again, "grant, HELD"}
#define EXTEND {grant_again, "grant, extend"}
#define FREE   {set_free, "FREE"}
#define STAY   {say_nothing, "stay"}
#define IGNORE {say_nothing, "ignore"}
#define BUG    {count_bug, "bug"}
#define MUTE   {fall_silent, "MUTE, no reply"}
#define DROP   {say_nothing, "drop, count"}

static const struct cell table[ROWS][VOTER_STATES] = {
    //                  AMNESIA FREE    HELD     MUTE
    [ASK_HOLDER]    = {YES,    YES,    YES,     NO},
    [ASK_OTHER]     = {NO_T,   YES,    NO_T,    NO},
    [VOTE_HOLDER]   = {STORE,  STORE,  STORE_X, DENY},
    [VOTE_OTHER]    = {DENY_T, STORE,  DENY_T,  DENY},
    [RENEWAL]       = {GRANT,  GRANT,  EXTEND,  DENY},
    [STALE]         = {DENY_R, DENY_R, DENY_R,  DENY},
    [OTHER_LEASE]   = {DENY_C, DENY_C, DENY_C,  DENY_C},
    [RELEASE_HELD]  = {FREE,   STAY,   FREE,    IGNORE},
    [RELEASE_OTHER] = {IGNORE, IGNORE, IGNORE,  IGNORE},
    [RUNS_OUT]      = {FREE,   BUG,    FREE,    IGNORE},
    [UNWRITTEN]     = {MUTE,   MUTE,   MUTE,    STAY},
    [MALFORMED]     = {DROP,   DROP,   DROP,    DROP},
};
// clang-format on

static enum voter_verdict
run(struct bstar_core *self, size_t row)
{
    enum voter_state was = self->voter.state;
    enum voter_verdict verdict = table[row][was].act(self);
    bstar_add_fact(self, true, row, (uint8_t)was, (uint8_t)self->voter.state);
    return verdict;
}

static const char *
row_text(size_t row)
{
    static const char *const texts[ROWS] = {
#define X(name, text) text,
        VOTER_ROW_MAP(X)
#undef X
    };
    return texts[row];
}

static const char *
state_text(size_t state)
{
    static const char *const texts[VOTER_STATES] = {
#define X(name, text) text,
        BSTAR_VOTER_STATE_MAP(X)
#undef X
    };
    return texts[state];
}

static const char *
cell_text(size_t row, size_t state)
{
    return table[row][state].text;
}

// run_cell answers, too: there is nobody else to do it.
static void
run_cell(struct bstar_core *self, size_t row)
{
    const struct bstar_message *message = self->event->message;
    struct bstar_voter *voter = &self->voter;
    if (message != NULL) {
        voter->next_epoch = message->epoch;
        voter->next_holder = message->node;
    }
    enum voter_verdict verdict = run(self, row);
    if (message != NULL)
        voter_answer(self, verdict, message->nonce, message->epoch, self->event->route);
}

const struct bstar_table_view bstar_voter_view = {ROWS,       VOTER_STATES, row_text,
                                                  state_text, cell_text,    run_cell};

// ---- requests -------------------------------------------------------------------------------

static enum voter_row
row_of_request(const struct bstar_core *self, const struct bstar_message *message)
{
    const struct bstar_voter *voter = &self->voter;
    if (bstar_has_other_lease(self, message))
        return OTHER_LEASE;
    bool is_holder = message->node == voter->holder;
    if (message->command == BSTAR_ASK)
        return is_holder ? ASK_HOLDER : ASK_OTHER;
    bool is_recorded = is_holder && message->epoch == voter->epoch;
    if (message->command == BSTAR_RELEASE)
        return is_recorded ? RELEASE_HELD : RELEASE_OTHER;
    if (is_recorded)
        return RENEWAL;
    // A renewal of an epoch that this voter has not heard of is a vote like any other.
    if (message->epoch > voter->epoch)
        return is_holder ? VOTE_HOLDER : VOTE_OTHER;
    return STALE;
}

enum voter_verdict
voter_request(struct bstar_core *self, const struct bstar_message *message, uint64_t route)
{
    struct bstar_voter *voter = &self->voter;
    if (voter->is_storing) {
        // Whom it is bound to is just changing: whoever asks will ask again.
        self->stats.votes_busy++;
        return VOTER_SILENT;
    }
    voter->next_epoch = message->epoch;
    voter->next_holder = message->node;
    voter->route = route;
    voter->nonce = message->nonce;
    enum voter_verdict verdict = run(self, row_of_request(self, message));
    self->stats.grants += verdict == VOTER_YES && message->command != BSTAR_ASK;
    self->stats.denials += verdict == VOTER_NO;
    return verdict;
}

void
voter_answer(struct bstar_core *self, enum voter_verdict verdict, struct bstar_nonce nonce,
             uint64_t epoch, uint64_t route)
{
    if (verdict != VOTER_YES && verdict != VOTER_NO)
        return;
    struct bstar_effect *effect = bstar_add_effect(self, BSTAR_DO_REPLY);
    effect->route = route;
    effect->message = (struct bstar_message){
        .command = verdict == VOTER_YES ? BSTAR_GRANT : BSTAR_DENY,
        .state = self->config.mode == BSTAR_WITNESS ? BSTAR_STATE_OF_WITNESS
                                                    : (uint8_t)(self->guarded.state + 1),
        .pair = self->config.pair,
        .node = self->config.node,
        .epoch = epoch,
        .nonce = nonce,
    };
    if (verdict == VOTER_YES)
        return;
    effect->message.lease_ms = bstar_lease_ms(self);
    // "a denial also carries its record and the time left"
    effect->message.epoch = self->voter.epoch;
    effect->message.holder = self->voter.holder;
    uint64_t left_ms = (voter_left_ns(self) + 999999) / 1000000;
    effect->message.left_ms = left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
}

void
voter_stored(struct bstar_core *self)
{
    struct bstar_voter *voter = &self->voter;
    must(voter->is_storing);
    voter->is_storing = false;
    voter->serial++;
    voter->epoch = voter->next_epoch;
    voter->holder = voter->next_holder;
    if (voter->state == VOTER_MUTE)
        return;
    hold(self);
    self->stats.grants++;
}

void
voter_unstored(struct bstar_core *self)
{
    self->voter.is_storing = false;
    run(self, UNWRITTEN);
}

// ---- the rest of its life -------------------------------------------------------------------

void
voter_load(struct bstar_core *self, const struct bstar_record *record)
{
    self->voter = (struct bstar_voter){
        .state = VOTER_AMNESIA,
        .serial = record->serial,
        .epoch = record->epoch,
        .holder = record->holder,
        .hold_ns = bstar_later(self, self->config.lease_ns),
    };
}

void
voter_mute(struct bstar_core *self)
{
    self->voter.state = VOTER_MUTE;
}

void
voter_malformed(struct bstar_core *self)
{
    run(self, MALFORMED);
}

void
voter_advance(struct bstar_core *self)
{
    if (self->now_ns >= voter_deadline(self))
        run(self, RUNS_OUT);
}

uint64_t
voter_deadline(const struct bstar_core *self)
{
    const struct bstar_voter *voter = &self->voter;
    bool is_bound = voter->state == VOTER_AMNESIA || voter->state == VOTER_HELD;
    return is_bound && !voter->is_storing ? voter->hold_ns : BSTAR_NEVER;
}

uint64_t
voter_left_ns(const struct bstar_core *self)
{
    const struct bstar_voter *voter = &self->voter;
    if (voter->state == VOTER_MUTE)
        return self->config.lease_ns;
    if (voter->state == VOTER_FREE || voter->hold_ns <= self->now_ns)
        return 0;
    return voter->hold_ns - self->now_ns;
}

// ---- the witness: a voter and nothing more --------------------------------------------------

static void
on_request(struct bstar_core *self, const struct bstar_event *event)
{
    const struct bstar_message *message = event->message;
    enum bstar_fault fault = event->fault;
    if (fault == BSTAR_SOUND && message->pair != self->config.pair)
        fault = BSTAR_BAD_PAIR;
    else if (fault == BSTAR_SOUND && message->node == self->config.node)
        fault = BSTAR_OWN_NODE;
    else if (fault == BSTAR_SOUND &&
             (message->command < BSTAR_ASK || message->command > BSTAR_RELEASE))
        fault = BSTAR_BAD_SENDER;
    if (fault != BSTAR_SOUND) {
        self->stats.faults[fault]++;
        voter_malformed(self);
        return;
    }
    enum voter_verdict verdict = voter_request(self, message, event->route);
    voter_answer(self, verdict, message->nonce, message->epoch, event->route);
}

void
bstar_witness_event(struct bstar_core *self, const struct bstar_event *event)
{
    struct bstar_voter *voter = &self->voter;
    switch (event->kind) {
    case BSTAR_ON_LOADED:
        voter_load(self, event->record);
        break;
    case BSTAR_ON_MESSAGE:
        on_request(self, event);
        break;
    case BSTAR_ON_STORED:
        voter_stored(self);
        if (voter->state != VOTER_MUTE)
            voter_answer(self, VOTER_YES, voter->nonce, voter->epoch, voter->route);
        break;
    case BSTAR_ON_UNSTORED:
        voter_unstored(self);
        break;
    case BSTAR_ON_STOP:
        bstar_exit(self);
        break;
    default:
        break; // a half's
    }
}
