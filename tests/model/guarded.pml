// guarded.pml - Binary Star's guarded mode for spin: three voters, two halves, a clock.
//
// The rules are those of docs/protocol/bstar.md, section 3, written down a second time and not
// from the C code, so that a mistake would have to be made twice. tests/model/run checks it; the
// numbers below come from there.
//
// Time goes in ticks, LEASE of them to a lease. Timers count down, so nothing grows for ever.
//
// The network loses, delays, reorders and repeats whatever it likes: what was said once may be
// heard at any time after, never, or twice. So a cut, one-way or not, of any length and in any
// number, is nothing that had to be added: its messages are those that are not heard. A message
// needs no place of its own either: which were said follows from `asked`, `released` and `age`.
//
// A half may do whatever its table lets it do under some course of events, at any time: vote while
// its own voter lets it, renew, give up with a release or without, sit still. What only keeps a
// half from acting is left out, for it takes behaviours away and adds none: asking before voting,
// preference, back-off, quarantine, hold-off, freeze, beats, gaps, denials (they do nothing but
// end a round and raise the next epoch, which here is any that is higher), FAULT (gives up, and a
// voter that answers nothing), stores, clients. A nonce is the round that it names: the answers to
// a round that is closed are gone with it. A write of a record is one step with its grant; a crash
// before or after it is a message that nobody heard. A crash is a restart; who stays down sits
// still. Restarts and pauses are counted, RESTARTS and PAUSES of them.
//
// Not modelled: clocks that drift, and so the margin (both count the same ticks here), the
// operator's word that the peer is dead, what a receiver refuses by its fence.
//
// With CALM each state is asked what follows once faults have stopped (L1, L4, L5): see the end.

#ifndef LEASE
#define LEASE 2
#endif
#ifndef EPOCHS
#define EPOCHS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef PAUSES
#define PAUSES 1
#endif

#define A      0
#define B      1
#define W      2
#define NOBODY 2

#ifdef CALM
#define TURNS (2 * LEASE + 3)
#else
#define TURNS 0
#endif

// ---- the mutants --------------------------------------------------------------------------------

#ifdef M_FROM_RECEIPT
#define LEASE_FROM(age) LEASE
#else
#define LEASE_FROM(age) (LEASE + 1 - age)
#endif

#ifdef M_NO_WAIT
#define HOLD_AT_START 0
#else
#define HOLD_AT_START LEASE
#endif

#ifdef M_STILL_CLOCK
#define STANDS_STILL(m) paused[m]
#else
#define STANDS_STILL(m) false
#endif

#ifdef M_GIVES_AWAY
#define IS_FREE(v) true
#else
#define IS_FREE(v) (hold[v] == 0)
#endif

#ifdef M_OLD_CLOCK
#define IS_AWAKE(v) true
#define HOLD_NOW(v) (LEASE - slept[v])
#else
#define IS_AWAKE(v) (!paused[v])
#define HOLD_NOW(v) LEASE
#endif

// ---- what there is ------------------------------------------------------------------------------

// A voter: its record, and for how long it is bound.
byte epoch[3];
byte holder[3] = NOBODY;
byte hold[3] = LEASE;

// A half: the epoch that it is a candidate for or holds, 0: none; how long its lease lasts yet;
// how long ago its open rounds were sent, from 1, 0: closed. Its own vote counts in each.
byte term[2];
byte lease[2];
byte age[2 * ROUNDS];

// What was said, a bit for each epoch: VOTE or RENEW, and RELEASE. And who has granted which round
// that is open, a bit for each.
byte asked[2];
byte released[2];
byte granted[2];

bool paused[3];
byte restarts = RESTARTS;
byte pauses = PAUSES;
#ifdef M_OLD_CLOCK
byte slept[3];
#endif

// What only the checks know: whose lease an epoch was; the last that a voter granted, and to
// whom; how much of a LEASE there is yet since its restart.
byte owner[EPOCHS + TURNS + 1] = NOBODY;
byte best[3];
byte best_of[3] = NOBODY;
byte amnesia[3];

hidden byte i;
hidden byte m;
hidden byte ticks;
hidden byte is_granted;

// The properties, by their names: spin says which assertion does not hold.
hidden byte one_lease;
hidden byte one_owner;
hidden byte epochs_rise;
hidden byte no_late_lease;
hidden byte amnesia_wait;
hidden byte one_serves;

#define SAID(set, number)   ((set >> (number)) & 1)
#define AGE(half, round)    age[(half) * ROUNDS + (round)]
#define VOTE_OF(voter, round) (1 << ((voter) * ROUNDS + (round)))
#define IS_OPEN(half)       (age[(half) * ROUNDS] > 0 || age[(half) * ROUNDS + ROUNDS - 1] > 0)

// ---- a voter ------------------------------------------------------------------------------------

inline set_free(voter)
{
    hold[voter] = 0;
    amnesia[voter] = 0;
}

// judge: VOTE or RENEW of an epoch by a half, to a voter. "Grants a newer epoch only when its hold
// is over, or to the holder it already recorded"; "the recorded epoch to the recorded holder at
// any time".
inline judge(half, voter, number)
{
    is_granted = false;
    if
    :: number == epoch[voter] && half == holder[voter] ->
        is_granted = true
    :: number > epoch[voter] && (half == holder[voter] || IS_FREE(voter)) ->
        is_granted = true;
        epochs_rise = number > best[voter] || (number == best[voter] && half == best_of[voter]);
        assert(epochs_rise);
        amnesia_wait = amnesia[voter] == 0 || half == best_of[voter];
        assert(amnesia_wait);
        epoch[voter] = number;
        holder[voter] = half;
        best[voter] = number;
        best_of[voter] = half
    :: else
    fi;
    if
    :: is_granted -> hold[voter] = HOLD_NOW(voter)
    :: else
    fi
}

// ---- a half -------------------------------------------------------------------------------------

inline close_round(half, round)
{
    AGE(half, round) = 0;
#ifndef M_NO_NONCE
    granted[half] = granted[half] & ~(VOTE_OF(A, round) | VOTE_OF(B, round) | VOTE_OF(W, round))
#endif
}

inline close_rounds(half)
{
    for (i : 0 .. ROUNDS - 1) {
        close_round(half, i)
    }
}

inline open_round(half, round)
{
    close_round(half, round);
    AGE(half, round) = 1
}

inline step_back(half)
{
    close_rounds(half);
    lease[half] = 0;
    term[half] = 0
}

// release: "a failed or abandoned vote is released at all voters", our own first.
inline release(half)
{
    released[half] = released[half] | (1 << term[half]);
    if
    :: epoch[half] == term[half] && holder[half] == half -> set_free(half)
    :: else
    fi
}

// gain: "the lease counts from the time the round was sent".
inline gain(half)
{
    if
    :: ticks > lease[half] -> lease[half] = ticks
    :: else
    fi;
    one_lease = lease[A] == 0 || lease[B] == 0;
    assert(one_lease);
    one_owner = owner[term[half]] == half || owner[term[half]] == NOBODY;
    assert(one_owner);
    owner[term[half]] = half;
    no_late_lease = true;
    for (i : term[half] + 1 .. EPOCHS + TURNS) {
        no_late_lease = no_late_lease && owner[i] != 1 - half
    }
    assert(no_late_lease)
}

inline step_back_after_release(half)
{
    if
#ifdef M_SERVES_ON
    :: lease[half] > 0 -> close_rounds(half)
#endif
#ifdef M_ABANDONED
    :: lease[half] == 0
#endif
    :: else -> step_back(half)
    fi
}

// ---- the clock ----------------------------------------------------------------------------------

inline count_down(timer)
{
    if
    :: timer > 0 -> timer--
    :: else
    fi
}

inline pass_time_of_half(half)
{
    if
    :: lease[half] == 1 -> step_back(half)
    :: else -> count_down(lease[half])
    fi;
    for (i : 0 .. ROUNDS - 1) {
        // What was sent a LEASE ago can give none.
        if
        :: AGE(half, i) == LEASE -> close_round(half, i)
        :: AGE(half, i) > 0 && AGE(half, i) < LEASE -> AGE(half, i)++
        :: else
        fi
    };
    if
    :: lease[half] == 0 && !IS_OPEN(half) -> term[half] = 0
    :: else
    fi
}

inline pass_time()
{
    for (m : A .. W) {
        count_down(amnesia[m]);
#ifdef M_OLD_CLOCK
        if
        :: paused[m] && slept[m] < LEASE -> slept[m]++
        :: else
        fi;
#endif
        if
        :: STANDS_STILL(m)
        :: else ->
            count_down(hold[m]);
            if
            :: m != W -> pass_time_of_half(m)
            :: else
            fi
        fi
    }
}

// ---- faults -------------------------------------------------------------------------------------

inline restart(member)
{
    if
    :: member != W -> step_back(member)
    :: else
    fi;
    paused[member] = false;
#ifdef M_NOT_DURABLE
    epoch[member] = 0;
    holder[member] = NOBODY;
#endif
    hold[member] = HOLD_AT_START;
    amnesia[member] = LEASE
}

inline begin_pause(member)
{
    paused[member] = true;
#ifdef M_OLD_CLOCK
    slept[member] = 0
#endif
}

// ---- what can happen ----------------------------------------------------------------------------

// Each is one step, which can be done where its first line holds.

#define WOULD_GRANT(half, voter, number)                                                           \
    ((half == holder[voter] && number >= epoch[voter]) ||                                          \
     (IS_FREE(voter) && number > epoch[voter]))
#define NAME(member) 'A' + member + (member == W) * ('W' - 'C')

#define VOTES(half, number)                                                                        \
    :: d_step { !paused[half] && term[half] == 0 && number > epoch[half] &&                        \
                WOULD_GRANT(half, half, number) ->                                                 \
        printf("%c votes, epoch %d\n", NAME(half), number);                                        \
        judge(half, half, number);                                                                 \
        term[half] = number;                                                                       \
        asked[half] = asked[half] | (1 << number);                                                 \
        open_round(half, 0) }

#define RENEWS(half, round)                                                                        \
    :: d_step { !paused[half] && lease[half] > 0 && WOULD_GRANT(half, half, term[half]) ->         \
        printf("%c renews epoch %d\n", NAME(half), term[half]);                                    \
        judge(half, half, term[half]);                                                             \
        open_round(half, round) }

#define GIVES_UP(half)                                                                             \
    :: d_step { !paused[half] && term[half] > 0 ->                                                 \
        printf("%c gives up epoch %d\n", NAME(half), term[half]);                                  \
        step_back(half) }                                                                          \
    :: d_step { !paused[half] && term[half] > 0 ->                                                 \
        printf("%c gives up epoch %d and releases it\n", NAME(half), term[half]);                  \
        release(half);                                                                             \
        step_back_after_release(half);                                                             \
        skip }

// Of its open round, or of one that is long over, whose answer counts nowhere.
#define HEARS_REQUEST(half, voter, number, round)                                                  \
    :: d_step { SAID(asked[half], number) && IS_AWAKE(voter) && WOULD_GRANT(half, voter, number) -> \
        printf("%c grants %c epoch %d\n", NAME(voter), NAME(half), number);                        \
        judge(half, voter, number);                                                                \
        if                                                                                         \
        :: term[half] == number && AGE(half, round) > 0 ->                                         \
            granted[half] = granted[half] | VOTE_OF(voter, round)                                  \
        :: else                                                                                    \
        fi }

#define HEARS_RELEASE(half, voter, number)                                                         \
    :: d_step { SAID(released[half], number) && !paused[voter] && holder[voter] == half &&         \
                epoch[voter] == number ->                                                          \
        printf("%c hears that %c releases epoch %d\n", NAME(voter), NAME(half), number);           \
        set_free(voter) }

#define HEARS_GRANT(half, voter, round)                                                            \
    :: d_step { AGE(half, round) > 0 && (granted[half] & VOTE_OF(voter, round)) && !paused[half] -> \
        printf("%c hears that %c grants it epoch %d\n", NAME(half), NAME(voter), term[half]);      \
        ticks = LEASE_FROM(AGE(half, round));                                                      \
        close_round(half, round);                                                                  \
        gain(half) }

#define FAULTS(member)                                                                             \
    :: d_step { restarts > 0 ->                                                                    \
        printf("%c restarts\n", NAME(member));                                                     \
        restarts--;                                                                                \
        restart(member) }                                                                          \
    :: d_step { !paused[member] && pauses > 0 ->                                                   \
        printf("%c is paused\n", NAME(member));                                                    \
        pauses--;                                                                                  \
        begin_pause(member) }                                                                      \
    :: d_step { paused[member] ->                                                                  \
        printf("%c goes on\n", NAME(member));                                                      \
        paused[member] = false }

#if EPOCHS == 3
#define FOR_EPOCHS(act, half)              act(half, 1) act(half, 2) act(half, 3)
#define FOR_EPOCHS_OF(act, half, voter)    act(half, voter, 1) act(half, voter, 2)                 \
                                           act(half, voter, 3)
#define FOR_REQUESTS(half, voter, round)   HEARS_REQUEST(half, voter, 1, round)                    \
                                           HEARS_REQUEST(half, voter, 2, round)                    \
                                           HEARS_REQUEST(half, voter, 3, round)
#else
#define FOR_EPOCHS(act, half)              act(half, 1) act(half, 2)
#define FOR_EPOCHS_OF(act, half, voter)    act(half, voter, 1) act(half, voter, 2)
#define FOR_REQUESTS(half, voter, round)   HEARS_REQUEST(half, voter, 1, round)                    \
                                           HEARS_REQUEST(half, voter, 2, round)
#endif

#define LINK_OF_ROUND(half, voter, round)                                                          \
    FOR_REQUESTS(half, voter, round) HEARS_GRANT(half, voter, round)
#if ROUNDS == 2
#define RENEWALS(half)    RENEWS(half, 0) RENEWS(half, 1)
#define LINK(half, voter) LINK_OF_ROUND(half, voter, 0) LINK_OF_ROUND(half, voter, 1)              \
                          FOR_EPOCHS_OF(HEARS_RELEASE, half, voter)
#else
#define RENEWALS(half)    RENEWS(half, 0)
#define LINK(half, voter) LINK_OF_ROUND(half, voter, 0)                                            \
                          FOR_EPOCHS_OF(HEARS_RELEASE, half, voter)
#endif

active proctype world()
{
    do
    FOR_EPOCHS(VOTES, A)
    FOR_EPOCHS(VOTES, B)
    RENEWALS(A)
    RENEWALS(B)
    GIVES_UP(A)
    GIVES_UP(B)
    LINK(A, B)
    LINK(A, W)
    LINK(B, A)
    LINK(B, W)
    FAULTS(A)
    FAULTS(B)
    FAULTS(W)
    :: d_step { true ->
        printf("a tick; leases %d %d, holds %d %d %d\n", lease[A], lease[B], hold[A], hold[B],
               hold[W]);
        pass_time();
        skip }
    od
}
