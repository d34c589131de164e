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

// The rules with one of them left out. M_NOT_DURABLE, M_NO_NONCE, M_SERVES_ON and M_ABANDONED stand
// where their rule does.

// The lease is counted from receipt of the grants.
#ifdef M_FROM_RECEIPT
#define LEASE_FROM(age) LEASE
#else
#define LEASE_FROM(age) (LEASE + 1 - age)
#endif

// No wait after a voter's restart.
#ifdef M_NO_WAIT
#define HOLD_AT_START 0
#else
#define HOLD_AT_START LEASE
#endif

// A member's clock stands still while it is paused.
#ifdef M_STILL_CLOCK
#define STANDS_STILL(member) paused[member]
#else
#define STANDS_STILL(member) false
#endif

// A voter stays bound for ever.
#ifdef M_STAYS_BOUND
#define IS_BOUND_FOR_EVER(voter) (holder[voter] != NOBODY)
#else
#define IS_BOUND_FOR_EVER(voter) false
#endif

// A voter that is bound gives its vote away.
#ifdef M_GIVES_AWAY
#define IS_FREE(voter) true
#else
#define IS_FREE(voter) (hold[voter] == 0)
#endif

// The voter of a half binds itself by a look at the clock that was before it had the message: it
// was paused in between.
#ifdef M_OLD_CLOCK
#define IS_AWAKE(voter) (!paused[voter] || voter != W)
#define HOLD_NOW(voter) (paused[voter] -> LEASE - slept[voter] : LEASE)
#else
#define IS_AWAKE(voter) (!paused[voter])
#define HOLD_NOW(voter) LEASE
#endif

// With ONLY_LEASES what breaks is one of those that matter most.
#ifdef ONLY_LEASES
#define CHECK(property) skip
#else
#define CHECK(property) assert(property)
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

// The properties, by their names: spin says which assertion does not hold. (no_late_lease: none
// begins for an epoch below one that was the other half's, without which S4 would rest on the fence
// alone. own_vote: who has a lease has its own vote for each further round.)
hidden byte one_lease;
hidden byte one_owner;
hidden byte epochs_rise;
hidden byte no_late_lease;
hidden byte amnesia_wait;
hidden byte own_vote;
hidden byte one_serves;

#define NAME(member)          'A' + member + (member == W) * ('W' - 'C')
#define SAID(set, number)     ((set >> (number)) & 1)
#define AGE(half, round)      age[(half) * ROUNDS + (round)]
#define VOTE_OF(voter, round) (1 << ((voter) * ROUNDS + (round)))
#define IS_OPEN(half)         (age[(half) * ROUNDS] > 0 || age[(half) * ROUNDS + ROUNDS - 1] > 0)

// ---- a voter ------------------------------------------------------------------------------------

inline set_free(voter)
{
    hold[voter] = 0;
    amnesia[voter] = 0;
}

// forget what was said of epochs that no voter will ever look at again: it makes no difference, and
// two states fewer are that differ in it only.
#define IS_PAST(half, voter, number)                                                               \
    (epoch[voter] > number || (epoch[voter] == number && holder[voter] != half))

inline forget_of_half(half)
{
    if
    :: IS_PAST(half, 1 - half, i) && IS_PAST(half, W, i) ->
        asked[half] = asked[half] & ~(1 << i);
        released[half] = released[half] & ~(1 << i)
    :: else
    fi
}

inline forget()
{
#ifdef M_NOT_DURABLE
    skip // its voters may
#else
    for (i : 1 .. EPOCHS) {
        forget_of_half(A);
        forget_of_half(B)
    }
#endif
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
        CHECK(epochs_rise);
        amnesia_wait = amnesia[voter] == 0 || half == best_of[voter];
        CHECK(amnesia_wait);
        epoch[voter] = number;
        holder[voter] = half;
        best[voter] = number;
        best_of[voter] = half;
        forget()
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
    CHECK(no_late_lease)
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
            if
            :: IS_BOUND_FOR_EVER(m)
            :: else -> count_down(hold[m])
            fi;
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

// wake: it was paused between its look at the clock and this message; now it looks again.
inline wake(member)
{
#ifdef M_OLD_CLOCK
    if
    :: paused[member] ->
        printf("%c goes on, by an old clock\n", NAME(member));
        paused[member] = false
    :: else
    fi
#else
    skip
#endif
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

#define VOTES(half, number)                                                                        \
    :: d_step { !paused[half] && term[half] == 0 && number > epoch[half] &&                        \
                WOULD_GRANT(half, half, number) ->                                                 \
        printf("%c votes, epoch %d\n", NAME(half), number);                                        \
        judge(half, half, number);                                                                 \
        term[half] = number;                                                                       \
        asked[half] = asked[half] | (1 << number);                                                 \
        open_round(half, 0) }

#define RENEWS(half, round)                                                                        \
    :: d_step { !paused[half] && lease[half] > 0 ->                                                \
        printf("%c renews epoch %d\n", NAME(half), term[half]);                                    \
        judge(half, half, term[half]);                                                             \
        own_vote = is_granted;                                                                     \
        CHECK(own_vote);                                                                           \
        if                                                                                         \
        :: is_granted -> open_round(half, round)                                                   \
        :: else                                                                                    \
        fi }

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
        wake(voter);                                                                               \
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

// ---- once faults have stopped -------------------------------------------------------------------

// One more thing can happen in any state, with CALM: nobody is paused any more, but for the one
// that is gone for good, or the one link, or way of a link, that stays cut; what was on its way is
// lost; all is heard at once from now on; and the halves do as their rules say: renew, or ask and
// then vote. After TURNS ticks exactly one half has a lease, which is one_serves, L1, with L4 and
// L5 (L2 is about clients; and that two do not duel for ever, L3, is for the C search, where both
// have rounds at the same time). All of it is one step, whose end is the end.

#ifdef CALM

hidden byte gone;
hidden short cuts;
hidden byte floor[2];
hidden byte yes;
hidden byte own;
hidden byte turn;

#define NONE         3
#define WAY(from, to) (1 << ((from) * 3 + (to)))
#define IS_LINKED(from, to) ((cuts & WAY(from, to)) == 0)
#define SAYS_YES(voter, half)                                                                      \
    (IS_LINKED(half, voter) && IS_LINKED(voter, half) &&                                           \
     (holder[voter] == half || hold[voter] == 0))
#define LARGER(a, b) (a > b -> a : b)

inline exchange(half, voter)
{
    if
    :: IS_LINKED(half, voter) ->
        judge(half, voter, term[half]);
        if
        :: IS_LINKED(voter, half) && is_granted -> yes++
        :: IS_LINKED(voter, half) && !is_granted ->
            floor[half] = LARGER(floor[half], epoch[voter])
        :: else
        fi
    :: else
    fi
}

inline free_at(half, voter)
{
    if
    :: IS_LINKED(half, voter) && holder[voter] == half && epoch[voter] == term[half] ->
        set_free(voter)
    :: else
    fi
}

inline give_back(half)
{
    free_at(half, half);
    free_at(half, 1 - half);
    free_at(half, W);
    step_back(half)
}

inline hold_round(half)
{
    yes = 0;
    judge(half, half, term[half]);
    own = is_granted;
    exchange(half, 1 - half);
    exchange(half, W);
    if
    :: own + yes >= 2 ->
        ticks = LEASE;
        gain(half)
    :: own + yes < 2 && lease[half] == 0 -> give_back(half)
    :: else
    fi
}

inline take_turn(half)
{
    if
    :: half != gone && lease[half] > 0 -> hold_round(half)
    :: half != gone && lease[half] == 0 && hold[half] == 0 &&
       (SAYS_YES(1 - half, half) || SAYS_YES(W, half)) ->
        term[half] = LARGER(epoch[half], floor[half]) + 1;
        hold_round(half)
    :: else
    fi
}

inline begin_calm_of_half(half)
{
    floor[half] = 0;
    if
    :: half == gone -> step_back(half)
    :: half != gone && lease[half] == 0 && term[half] > 0 -> give_back(half)
    :: else -> close_rounds(half)
    fi
}

inline forget_all()
{
    for (m : A .. W) {
        epoch[m] = 0;
        holder[m] = NOBODY;
        hold[m] = 0;
        paused[m] = false;
        best[m] = 0;
        best_of[m] = NOBODY;
        amnesia[m] = 0
    }
    for (m : A .. B) {
        asked[m] = 0;
        released[m] = 0;
        step_back(m)
    }
    for (m : 0 .. EPOCHS + TURNS) {
        owner[m] = NOBODY
    }
    restarts = 0;
    pauses = 0
}

inline calm()
{
    for (m : A .. W) {
        paused[m] = false
    }
    begin_calm_of_half(A);
    begin_calm_of_half(B);
    for (turn : 1 .. TURNS) {
        pass_time();
        take_turn(A);
        take_turn(B)
    }
    one_serves = (lease[A] > 0) != (lease[B] > 0);
    assert(one_serves);
    forget_all()
}

#define BOTH(a, b) (WAY(a, b) | WAY(b, a))
#define CALMS                                                                                      \
    :: atomic {                                                                                    \
        if                                                                                         \
        :: gone = NONE; cuts = 0                                                                   \
        :: gone = A; cuts = BOTH(A, B) | BOTH(A, W)                                                \
        :: gone = B; cuts = BOTH(A, B) | BOTH(B, W)                                                \
        :: gone = W; cuts = BOTH(A, W) | BOTH(B, W)                                                \
        :: gone = NONE; cuts = BOTH(A, B)                                                          \
        :: gone = NONE; cuts = BOTH(A, W)                                                          \
        :: gone = NONE; cuts = BOTH(B, W)                                                          \
        :: gone = NONE; cuts = WAY(A, B)                                                           \
        :: gone = NONE; cuts = WAY(B, A)                                                           \
        :: gone = NONE; cuts = WAY(A, W)                                                           \
        :: gone = NONE; cuts = WAY(W, A)                                                           \
        :: gone = NONE; cuts = WAY(B, W)                                                           \
        :: gone = NONE; cuts = WAY(W, B)                                                           \
        fi;                                                                                        \
        d_step { calm() };                                                                         \
        goto end }
#else
#define CALMS
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
    CALMS
    od;
end:
    skip
}
