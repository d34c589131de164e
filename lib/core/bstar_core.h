// bstar_core.h - every decision of one member of a Binary Star pair, and nothing else.
//
// One machine in three forms: a half in `classic` (two members: silence and a client's vote
// decide), a half in `guarded` (two halves and a witness: two of three voters grant a
// lease), and the witness, which is a voter and nothing more. A pure state machine: one
// event in, a bounded list of effects out, in the order in which they must happen. The
// caller
//
//     bstar_core_init(&core, &config, now);
//     for each message, answer, operator's word, client that knocks:
//         bstar_core_step(&core, &event, &effects);
//     at bstar_core_deadline(&core): the same with BSTAR_ON_TICK
//
// and carries out the effects after each step, before the next. The order of a turn is part
// of the promise: read the clock, give the core every message that is queued (of beats the
// newest is enough), then TICK, then the clients, then send. Each step looks at the clock
// first: a loop that slept for too long has a gap, a lease that is over is over, whatever
// the event is. Silence and rounds are judged at TICK only, when all that was queued is
// read; and beats that were queued while we slept decide nothing.
//
// The struct is plain: no pointers into itself or elsewhere. A copy of it is the same
// machine at the same moment, which is how it is searched (tests/core/bstar_search.h).
// What it does in which state is one table for each form, in bstar_classic.c,
// bstar_guarded.c and bstar_voter.c, and the same tables are in the page.
//
// Spec: docs/protocol/bstar.md

#ifndef GALLEON_BSTAR_CORE_H
#define GALLEON_BSTAR_CORE_H

#include "bstar_wire.h"
#include "prng.h"

enum bstar_mode { BSTAR_CLASSIC, BSTAR_GUARDED, BSTAR_WITNESS };

// ---- configuration ---------------------------------------------------------------------

// Everything must be set: bstar_config_init does, but for what names us and the seed.
struct bstar_config {
    enum bstar_mode mode;
    bool is_primary;
    bool is_bare;   // classic: bare digits for a Guide's half
    bool has_store; // guarded: one is opened before anything is served
    uint64_t pair;  // guarded, witness: bstar_pair_of
    uint64_t node;  // ours, never 0
    uint64_t beat_ns;
    uint64_t patience_ns; // silence longer than this is silence
    uint64_t gap_ns;      // our own loop slept for longer than this
    uint64_t grace_ns;    // classic: after a start no vote counts before
    // guarded; the witness has LEASE alone
    uint64_t lease_ns;           // a voter holds for so long
    uint64_t valid_ns;           // a lease is good for so long after its round was sent
    uint64_t round_ns;           // a round that has no majority by then is over
    uint64_t preference_ns;      // so much later than the other half asks this one
    uint64_t drain_ns;           // what is out may be finished for so long
    uint64_t hold_off_ns;        // after a demote
    uint64_t back_off_ns[2];     // least and most, where nobody denied
    uint64_t after_denial_ns[2]; // least and most, beyond the time left
    uint8_t seed[32];            // new at every start: nonces, back-off, progress follow from it
};

// bstar_config_init sets the times, and 0 or false for the rest. beat_ms, liveness and
// lease_ms are 0 for the defaults.
void bstar_config_init(struct bstar_config *self, enum bstar_mode mode, bool is_primary,
                       bool is_bare, uint32_t beat_ms, uint32_t liveness, uint32_t lease_ms);

// bstar_config_check says what is wrong with it, NULL: nothing.
const char *bstar_config_check(const struct bstar_config *self);

// ---- events ----------------------------------------------------------------------------

enum bstar_sender { BSTAR_FROM_PEER, BSTAR_FROM_WITNESS };

enum bstar_event_kind {
    BSTAR_ON_TICK,     // all that was queued is read
    BSTAR_ON_BEAT,     // classic: a beat of the peer, or the fault it has
    BSTAR_ON_MESSAGE,  // guarded, witness: a message, or the fault it has
    BSTAR_ON_CLIENT,   // a client's REQUEST, not for mmi.: SERVE or REFUSE
    BSTAR_ON_TRAFFIC,  // anything of workers, heartbeats, mmi
    BSTAR_ON_PROMOTE,  // the operator's words: ACCEPT or DECLINE
    BSTAR_ON_DEMOTE,   //
    BSTAR_ON_FREEZE,   // guarded
    BSTAR_ON_THAW,     // guarded
    BSTAR_ON_CLEAR,    // guarded: the record and the store were read again
    BSTAR_ON_STOP,     // leave: EXIT, at once or when DRAINED
    BSTAR_ON_LOADED,   // guarded, witness: the record is `record`; the store is sound
    BSTAR_ON_STORED,   // what STORE asked for is on disk
    BSTAR_ON_UNSTORED, // it could not be written
    BSTAR_ON_OPENED,   // guarded: the store is open and has our epoch
    BSTAR_ON_FAILED,   // guarded: the store or the record failed
    BSTAR_ON_DRAINED,  // nothing of ours is out any more
    BSTAR_ON_FENCED    // guarded: a worker or client has refused our epoch
};

struct bstar_event {
    enum bstar_event_kind kind;
    uint64_t now_ns; // CLOCK_BOOTTIME

    enum bstar_fault fault;              // BEAT, MESSAGE: SOUND, or the message is not set
    const struct bstar_beat *beat;       // BEAT
    const struct bstar_message *message; // MESSAGE
    enum bstar_sender sender;            // MESSAGE
    uint64_t route;                      // MESSAGE: comes back with the REPLY to it
    const struct bstar_record *record;   // LOADED; CLEAR: NULL where it is bad
    bool is_peer_dead;                   // PROMOTE: the operator has seen it
};

// ---- effects ---------------------------------------------------------------------------

enum bstar_effect_kind {
    BSTAR_DO_PUBLISH, // classic: `beat` at once, and then from time to time
    BSTAR_DO_SEND,    // guarded: `message` to the peer or the witness
    BSTAR_DO_REPLY,   // guarded, witness: `message` to who sent what came with `route`
    BSTAR_DO_STORE,   // write `record`, sync it, then say STORED
    BSTAR_DO_CHANGE,  // `was` is over, `is` begins: stop or begin to serve now
    BSTAR_DO_SERVE,   // the client: with `epoch`
    BSTAR_DO_REFUSE,  // the client: 503
    BSTAR_DO_ACCEPT,  // the operator's word
    BSTAR_DO_DECLINE, // the operator's word: 409 and `why`; `wait_ns`: try again then
    BSTAR_DO_OPEN,    // open the store and write `epoch` into it, then say OPENED
    BSTAR_DO_CLOSE,   // close the store
    BSTAR_DO_DRAIN,   // finish what is out, then say DRAINED
    BSTAR_DO_DROP,    // drop what is out, then say DRAINED
    BSTAR_DO_ALARM,   // `why`, for people; in a clash of roles `node` is the other's
    BSTAR_DO_AUDIT,   // the operator's word is a vote from now on
    BSTAR_DO_EXIT
};

struct bstar_effect {
    enum bstar_effect_kind kind;
    enum bstar_sender to; // SEND
    uint64_t route;       // REPLY
    uint8_t was, is;      // CHANGE: numbers of the state table
    uint64_t epoch;
    uint64_t node;
    uint64_t wait_ns;
    const char *why; // a literal
    struct bstar_beat beat;
    struct bstar_message message;
    struct bstar_record record;
};

enum { BSTAR_EFFECTS_MAX = 24, BSTAR_FACTS_MAX = 8 };

// A fact, for whoever keeps a log or counts cells: this row of the table was executed.
struct bstar_fact {
    bool is_voter; // of the voter's table
    uint8_t row;
    uint8_t was;
    uint8_t is;
};

struct bstar_effects {
    size_t count;
    size_t fact_count; // those beyond the last are left out
    struct bstar_effect list[BSTAR_EFFECTS_MAX];
    struct bstar_fact facts[BSTAR_FACTS_MAX];
};

// ---- what can be read ------------------------------------------------------------------

// What the API shows of any state, in the order of bstar_state_t.
enum bstar_shown {
    BSTAR_SHOWN_WAITING,
    BSTAR_SHOWN_ACTIVE,
    BSTAR_SHOWN_PASSIVE,
    BSTAR_SHOWN_FAULT
};

#define BSTAR_COUNTER_MAP(X)                                                                       \
    X(beats_out)                                                                                   \
    X(beats_in)                                                                                    \
    X(beats_dropped) /* queued while we slept */                                                   \
    X(gaps)          /* our own loop slept for too long */                                         \
    X(changes)       /* of state */                                                                \
    X(takeovers)     /* of them, into ACTIVE */                                                    \
    X(yields)        /* classic: to a peer that wins */                                            \
    X(served)                                                                                      \
    X(refused)                                                                                     \
    X(clashes) /* beats of a peer in our role */                                                   \
    X(rounds)  /* asked, voted, renewed */                                                         \
    X(majorities)                                                                                  \
    X(back_offs)                                                                                   \
    X(leases_ended)                                                                                \
    X(replies_late) /* their nonce is not open */                                                  \
    X(fenced)       /* a worker or client refused our epoch */                                     \
    X(grants)       /* given as a voter */                                                         \
    X(denials)                                                                                     \
    X(votes_busy) /* unanswered: another was being written */                                      \
    X(bugs)       /* what cannot happen */

struct bstar_stats {
#define X(name) uint64_t name;
    BSTAR_COUNTER_MAP(X)
#undef X
    uint64_t faults[BSTAR_FAULTS]; // messages dropped, but for OTHER_LEASE, by what was wrong
};

// ---- the three forms -------------------------------------------------------------------

#define BSTAR_CLASSIC_STATE_MAP(X)                                                                 \
    X(CLASSIC_WAIT_P, "WAIT-P", BSTAR_SHOWN_WAITING)                                               \
    X(CLASSIC_WAIT_B, "WAIT-B", BSTAR_SHOWN_WAITING)                                               \
    X(CLASSIC_ACTIVE, "ACTIVE", BSTAR_SHOWN_ACTIVE)                                                \
    X(CLASSIC_PASSIVE, "PASSIVE", BSTAR_SHOWN_PASSIVE)                                             \
    X(CLASSIC_HALTED, "HALTED", BSTAR_SHOWN_FAULT)

enum classic_state {
#define X(name, text, shown) name,
    BSTAR_CLASSIC_STATE_MAP(X)
#undef X
        CLASSIC_STATES
};

#define BSTAR_GUARDED_STATE_MAP(X)                                                                 \
    X(GUARDED_START, "START", BSTAR_SHOWN_WAITING)                                                 \
    X(GUARDED_QUARANTINE, "QUARANTINE", BSTAR_SHOWN_WAITING)                                       \
    X(GUARDED_PASSIVE, "PASSIVE", BSTAR_SHOWN_PASSIVE)                                             \
    X(GUARDED_ASKING, "ASKING", BSTAR_SHOWN_WAITING)                                               \
    X(GUARDED_CANDIDATE, "CANDIDATE", BSTAR_SHOWN_WAITING)                                         \
    X(GUARDED_ACTIVATING, "ACTIVATING", BSTAR_SHOWN_WAITING)                                       \
    X(GUARDED_ACTIVE, "ACTIVE", BSTAR_SHOWN_ACTIVE)                                                \
    X(GUARDED_DRAINING, "DRAINING", BSTAR_SHOWN_PASSIVE)                                           \
    X(GUARDED_FAULT, "FAULT", BSTAR_SHOWN_FAULT)

enum guarded_state {
#define X(name, text, shown) name,
    BSTAR_GUARDED_STATE_MAP(X)
#undef X
        GUARDED_STATES
};

#define BSTAR_VOTER_STATE_MAP(X)                                                                   \
    X(VOTER_AMNESIA, "AMNESIA") /* one LEASE after start: as if it had just granted */             \
    X(VOTER_FREE, "FREE")                                                                          \
    X(VOTER_HELD, "HELD")                                                                          \
    X(VOTER_MUTE, "MUTE")

enum voter_state {
#define X(name, text) name,
    BSTAR_VOTER_STATE_MAP(X)
#undef X
        VOTER_STATES
};

// What a half knows of the other.
struct bstar_peer {
    bool is_heard;        // ever
    uint64_t heard_ns;    // last
    uint64_t progress;    // of its main loop,
    uint64_t progress_ns; // and since when it is that
    uint64_t node;
    uint64_t epoch;
    uint64_t witness; // guarded: the one that it has named last
    uint8_t state;    // classic: its digit; guarded: as on the wire
};

// What all forms share.
struct bstar_pulse {
    uint64_t turned_ns; // the last step
    uint64_t beat_ns;   // the next beat is due
    uint64_t progress;  // of our loop: one for each step
    bool is_behind;     // beats that come were queued while we slept
    bool is_stopping;
    bool is_over; // EXIT was said
};

struct bstar_classic {
    enum classic_state state;
    uint64_t epoch;    // of our reign, or of the one that we follow
    uint64_t seen;     // the highest epoch we know of
    uint64_t grace_ns; // votes count from then on
    bool is_clashing;  // the peer has our role
    struct bstar_peer peer;
};

struct bstar_voter {
    enum voter_state state;
    uint64_t serial; // of the record on disk
    uint64_t epoch;  // as on disk
    uint64_t holder;
    uint64_t hold_ns; // AMNESIA, HELD: until then
    bool is_storing;  // the record below, for who asked so:
    uint64_t next_epoch;
    uint64_t next_holder;
    uint64_t route;
    struct bstar_nonce nonce;
};

enum { BSTAR_ROUNDS = 4 };

struct bstar_round {
    bool is_open;
    bool has_majority;
    enum bstar_command command;
    uint8_t grants;   // a bit for each voter
    uint8_t denials;  //
    uint64_t epoch;   // meant
    uint64_t sent_ns; // the lease counts from here
    uint64_t left_ns; // the least that a denial said
    struct bstar_nonce nonce;
};

struct bstar_guarded {
    enum guarded_state state;
    uint64_t epoch;    // of our reign or vote, or the highest that we believe in
    uint64_t floor;    // the least epoch of our next vote
    uint64_t lease_ns; // ACTIVATING, ACTIVE, soft DRAINING: ours until then
    uint64_t quarantine_ns;
    uint64_t not_before_ns; // back-off and preference
    uint64_t hold_off_ns;
    uint64_t drain_ns;
    uint64_t round_ns;   // the newest round is over, or the next one is due
    uint64_t witness_ns; // it answered last
    uint64_t witness;    // and this node is it; 0: it has not answered yet
    uint64_t probe_ns;   // the next question to it, to know which one it is
    uint64_t split_ns;   // since when the peer has another one, 0: it has not
    bool is_split_said;
    bool is_witness_heard;
    bool is_soft; // DRAINING
    bool is_frozen;
    bool has_word;  // the operator's stands for a vote
    uint8_t newest; // round
    uint8_t judged; // round that a row is about
    const char *fault_why;
    struct bstar_round rounds[BSTAR_ROUNDS];
    struct bstar_peer peer;
    struct prng prng;
};

struct bstar_core {
    struct bstar_config config;
    uint64_t now_ns;
    struct bstar_pulse pulse;
    struct bstar_classic classic;
    struct bstar_guarded guarded;
    struct bstar_voter voter;
    struct bstar_stats stats;
    // Of the step; NULL between steps.
    struct bstar_effects *effects;
    const struct bstar_event *event;
};

// bstar_core_init begins in WAIT, or in START until LOADED.
void bstar_core_init(struct bstar_core *self, const struct bstar_config *config, uint64_t now_ns);

// bstar_core_step never fails. It overwrites *effects.
void bstar_core_step(struct bstar_core *self, const struct bstar_event *event,
                     struct bstar_effects *effects);

// bstar_core_deadline is when to send TICK, UINT64_MAX for never.
uint64_t bstar_core_deadline(const struct bstar_core *self);

// bstar_core_may_serve: may a request be dispatched, a reply sent, a commit made at this
// moment? The lease is compared with now_ns, in classic the time since the last step: ask again
// before each batch.
bool bstar_core_may_serve(const struct bstar_core *self, uint64_t now_ns);
// bstar_core_may_finish: may a reply to what is out already be sent? A soft drain may, too.
bool bstar_core_may_finish(const struct bstar_core *self, uint64_t now_ns);

enum bstar_shown bstar_core_shown(const struct bstar_core *self);
const char *bstar_core_state_name(const struct bstar_core *self);
uint64_t bstar_core_epoch(const struct bstar_core *self);
bool bstar_core_peer_is_silent(const struct bstar_core *self);
// bstar_core_witness_is_silent: guarded, and it has answered nothing for one LEASE.
bool bstar_core_witness_is_silent(const struct bstar_core *self);

// ---- the tables, for the page and the tests -------------------------------------------------

enum bstar_table { BSTAR_TABLE_CLASSIC, BSTAR_TABLE_GUARDED, BSTAR_TABLE_VOTER };

size_t bstar_table_rows(enum bstar_table table);
size_t bstar_table_states(enum bstar_table table);
const char *bstar_table_row(enum bstar_table table, size_t row);
const char *bstar_table_state(enum bstar_table table, size_t state);
const char *bstar_table_cell(enum bstar_table table, size_t row, size_t state);

// bstar_table_run does one cell, that of the state the core is in, without asking whether
// the event can happen there. It is for tests: nothing else gets to a cell that says "bug".
void bstar_table_run(struct bstar_core *self, enum bstar_table table, size_t row,
                     const struct bstar_event *event, struct bstar_effects *effects);

#endif
