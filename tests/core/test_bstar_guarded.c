// test_bstar_guarded.c - the rules of guarded that are not in a cell: rounds, leases, waits.

#include "bstar_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t MS = 1000000;

// start begins a half with a record, after its quarantine where is_over.
static void
start(struct bstar_rig *rig, bool is_primary, bool is_over)
{
    struct bstar_config config = rig_config(BSTAR_GUARDED, is_primary);
    rig_start(rig, &config);
    rig_load(rig, 0, 0);
    if (is_over)
        while (rig->core.guarded.state == GUARDED_QUARANTINE)
            rig_wait(rig, 1);
}

static void
start_active(struct bstar_rig *rig)
{
    start(rig, true, true);
    rig_elect(rig);
    assert_int_equal(rig->core.guarded.state, GUARDED_ACTIVE);
}

static enum guarded_state
state_of(const struct bstar_rig *rig)
{
    return rig->core.guarded.state;
}

// until_it_asks lets the preference delay go by.
static void
until_it_asks(struct bstar_rig *rig)
{
    while (state_of(rig) == GUARDED_PASSIVE)
        rig_wait(rig, 10);
}

// start_and_win starts it well, and gives it its majority.
static void
start_and_win(struct bstar_rig *rig)
{
    start(rig, true, true);
    until_it_asks(rig);
    rig_reply(rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
}

// sent finds what was sent to the peer or the witness in the last step.
static const struct bstar_message *
sent(const struct bstar_rig *rig, enum bstar_command command, enum bstar_sender to)
{
    for (size_t i = 0; i < rig->effects.count; i++) {
        const struct bstar_effect *effect = &rig->effects.list[i];
        if (effect->kind == BSTAR_DO_SEND && effect->to == to && effect->message.command == command)
            return &effect->message;
    }
    return NULL;
}

// ---- a cold start ------------------------------------------------------------------------------

static void
half_waits_one_lease_then_asks_before_it_votes(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, false);
    assert_true(bstar_core_deadline(&rig.core) <= rig.now_ns);
    rig_wait(&rig, 999);
    assert_int_equal(state_of(&rig), GUARDED_QUARANTINE);
    rig_wait(&rig, 1);
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
    const struct bstar_message *ask = sent(&rig, BSTAR_ASK, BSTAR_FROM_WITNESS);
    assert_non_null(ask);
    assert_int_equal(ask->epoch, 0);
    assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), 0);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    assert_int_equal(state_of(&rig), GUARDED_CANDIDATE);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_STORE)->record.epoch, 1);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_STORE)->record.holder, RIG_NODE);
    assert_null(sent(&rig, BSTAR_VOTE, BSTAR_FROM_WITNESS)); // its own vote is not on disk yet
    rig_say(&rig, BSTAR_ON_STORED);
    assert_int_equal(sent(&rig, BSTAR_VOTE, BSTAR_FROM_WITNESS)->epoch, 1);
    assert_non_null(sent(&rig, BSTAR_VOTE, BSTAR_FROM_PEER));
    rig_reply(&rig, BSTAR_FROM_PEER, BSTAR_GRANT, 0);
    assert_int_equal(state_of(&rig), GUARDED_ACTIVE);
}

static void
backup_asks_a_quarter_of_a_lease_later(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false, true);
    rig_wait(&rig, 249);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    rig_wait(&rig, 101);
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
}

static void
half_does_nothing_before_its_record_is_read(void **state)
{
    (void)state;
    struct bstar_rig rig;
    struct bstar_config config = rig_config(BSTAR_GUARDED, true);
    rig_start(&rig, &config);
    assert_true(bstar_core_deadline(&rig.core) == UINT64_MAX);
    rig_sleep(&rig, 60000);
    rig_say(&rig, BSTAR_ON_TICK);
    assert_int_equal(rig.effects.count, 0);
    rig_say(&rig, BSTAR_ON_FAILED);
    assert_int_equal(state_of(&rig), GUARDED_FAULT);
}

// ---- the lease ----------------------------------------------------------------------

static void
lease_counts_from_when_the_round_was_sent(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_and_win(&rig);
    rig_say(&rig, BSTAR_ON_STORED);
    uint64_t sent_ns = rig.now_ns;
    rig_sleep(&rig, 200);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    // 1000 ms less 1 % of drift less 50 ms of margin.
    assert_true(bstar_core_may_serve(&rig.core, sent_ns + 940 * MS - 1));
    assert_false(bstar_core_may_serve(&rig.core, sent_ns + 940 * MS));
}

static void
lease_that_is_over_is_over_before_the_client_is_looked_at(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    rig_wait(&rig, 930);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_SERVE), 1);
    rig_sleep(&rig, 10);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DROP), 1);
    assert_int_equal(state_of(&rig), GUARDED_DRAINING);
    assert_int_equal(rig.core.stats.leases_ended, 1);
    rig_say(&rig, BSTAR_ON_DRAINED);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    assert_null(sent(&rig, BSTAR_RELEASE, BSTAR_FROM_WITNESS));
}

static void
renewals_keep_the_lease_and_write_nothing(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    for (int i = 0; i < 400; i++) {
        rig_wait(&rig, 25);
        assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), 0);
        rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    }
    assert_int_equal(state_of(&rig), GUARDED_ACTIVE);
    assert_in_range(rig.core.stats.rounds, 40, 44); // one each 250 ms, ASK and VOTE
    assert_int_equal(bstar_core_epoch(&rig.core), 1);
}

static void
grant_of_a_round_that_is_closed_counts_nowhere(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_and_win(&rig);
    rig_say(&rig, BSTAR_ON_STORED);
    struct bstar_message late = *sent(&rig, BSTAR_VOTE, BSTAR_FROM_WITNESS);
    late.command = BSTAR_GRANT;
    late.state = BSTAR_STATE_OF_WITNESS;
    rig_wait(&rig, 250); // the round is over
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    rig_message(&rig, BSTAR_FROM_WITNESS, late);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    assert_int_equal(rig.core.stats.replies_late, 1);
}

static void
each_round_has_a_nonce_of_its_own(void **state)
{
    (void)state;
    struct bstar_rig rig;
    struct bstar_nonce nonces[10];
    start_active(&rig);
    for (size_t i = 0; i < 10; i++) {
        const struct bstar_guarded *guarded = &rig.core.guarded;
        nonces[i] = guarded->rounds[guarded->newest].nonce;
        for (size_t k = 0; k < i; k++)
            assert_false(bstar_nonce_equals(&nonces[i], &nonces[k]));
        rig_wait(&rig, 250);
        rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    }
}

static void
two_grants_of_one_voter_are_one(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    until_it_asks(&rig);
    rig.core.guarded.rounds[rig.core.guarded.newest].grants = 0; // our own word is none of them
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
    rig_reply(&rig, BSTAR_FROM_PEER, BSTAR_GRANT, 0);
    assert_int_equal(state_of(&rig), GUARDED_CANDIDATE);
}

// ---- backing off --------------------------------------------------------------------

static void
denied_half_waits_for_the_time_left_and_a_little(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    until_it_asks(&rig);
    rig_reply(&rig, BSTAR_FROM_PEER, BSTAR_DENY, 700);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_DENY, 300);
    // Both are against it: there is nothing to wait for.
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    uint64_t wait_ns = rig.core.guarded.not_before_ns - rig.now_ns;
    assert_in_range(wait_ns / MS, 310, 360);
}

static void
time_left_beyond_a_lease_is_not_believed(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    until_it_asks(&rig);
    rig_reply(&rig, BSTAR_FROM_PEER, BSTAR_DENY, UINT32_MAX);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_DENY, UINT32_MAX);
    assert_in_range((rig.core.guarded.not_before_ns - rig.now_ns) / MS, 1010, 1060);
}

static void
unanswered_half_waits_at_random(void **state)
{
    (void)state;
    uint64_t waits[8];
    size_t different = 0;
    for (size_t i = 0; i < 8; i++) {
        struct bstar_rig rig;
        struct bstar_config config = rig_config(BSTAR_GUARDED, true);
        config.seed[0] = (uint8_t)i;
        rig_start(&rig, &config);
        rig_load(&rig, 0, 0);
        while (state_of(&rig) != GUARDED_ASKING)
            rig_wait(&rig, 1);
        while (state_of(&rig) == GUARDED_ASKING)
            rig_wait(&rig, 1);
        waits[i] = rig.core.guarded.not_before_ns - rig.now_ns;
        assert_in_range(waits[i] / MS, 50, 250);
        different += i > 0 && waits[i] != waits[0];
    }
    assert_in_range(different, 5, 7);
}

static void
denial_with_a_newer_epoch_raises_the_next_vote(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    until_it_asks(&rig);
    const struct bstar_guarded *guarded = &rig.core.guarded;
    rig_message(&rig, BSTAR_FROM_PEER,
                (struct bstar_message){.command = BSTAR_DENY,
                                       .epoch = 40,
                                       .nonce = guarded->rounds[guarded->newest].nonce});
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_STORE)->record.epoch, 41);
}

static void
there_is_no_vote_beyond_the_highest_epoch(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    rig_hear_beat(&rig, GUARDED_FAULT, BSTAR_EPOCH_MAX);
    until_it_asks(&rig);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), 0);
    assert_int_equal(rig_has(&rig, BSTAR_DO_ALARM), 1);
}

// ---- the peer -----------------------------------------------------------------------

static void
passive_half_asks_when_the_peer_has_been_silent_for_five_beats(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false, true);
    rig_hear_beat(&rig, GUARDED_ACTIVE, 3);
    assert_int_equal(bstar_core_epoch(&rig.core), 3);
    rig_wait(&rig, 500);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    rig_wait(&rig, 101);
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
}

static void
holder_that_releases_is_followed_at_once(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false, true);
    rig_hear_beat(&rig, GUARDED_ACTIVE, 3);
    // Our voter has granted it.
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_RENEW, .epoch = 3});
    rig_say(&rig, BSTAR_ON_STORED);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->message.command, BSTAR_GRANT);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->route, 5);
    rig_hear_beat(&rig, GUARDED_ACTIVE, 3);
    rig_message(&rig, BSTAR_FROM_PEER,
                (struct bstar_message){.command = BSTAR_RELEASE, .epoch = 3});
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
    assert_non_null(sent(&rig, BSTAR_ASK, BSTAR_FROM_WITNESS));
}

static void
while_a_record_is_written_other_requests_go_unanswered(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false, true);
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_VOTE, .epoch = 3});
    assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), 1);
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_VOTE, .epoch = 4});
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_ASK, .epoch = 3});
    assert_int_equal(rig.effects.count, 0);
    assert_int_equal(rig.core.stats.votes_busy, 2);
}

static void
foreign_messages_are_counted_by_name_and_decide_nothing(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    struct bstar_message beat = {.command = BSTAR_BEAT,
                                 .state = GUARDED_ACTIVE + 1,
                                 .pair = RIG_PAIR,
                                 .node = RIG_PEER,
                                 .epoch = 99};
    struct bstar_event event = {.kind = BSTAR_ON_MESSAGE, .message = &beat};
    beat.pair = RIG_PAIR + 1;
    rig_step(&rig, event);
    beat.pair = RIG_PAIR;
    beat.node = RIG_NODE;
    rig_step(&rig, event);
    beat.node = RIG_WITNESS;
    event.sender = BSTAR_FROM_WITNESS;
    rig_step(&rig, event);
    event.fault = BSTAR_BAD_STATE;
    rig_step(&rig, event);
    assert_int_equal(state_of(&rig), GUARDED_ACTIVE);
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_PAIR], 1);
    assert_int_equal(rig.core.stats.faults[BSTAR_OWN_NODE], 1);
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_SENDER], 1);
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_STATE], 1);
}

static void
who_answers_in_the_place_of_another_is_no_voter(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    until_it_asks(&rig);
    struct bstar_message grant = *sent(&rig, BSTAR_ASK, BSTAR_FROM_WITNESS);
    grant.command = BSTAR_GRANT;
    grant.state = GUARDED_PASSIVE + 1;
    rig_message(&rig, BSTAR_FROM_WITNESS, grant); // --witness leads to the peer
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_SENDER], 1);
    assert_true(bstar_core_witness_is_silent(&rig.core));
    grant.state = BSTAR_STATE_OF_WITNESS;
    grant.pair = RIG_PAIR;
    grant.node = RIG_WITNESS;
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_MESSAGE, .message = &grant});
    assert_int_equal(state_of(&rig), GUARDED_ASKING); // --pair-peer leads to the witness
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_SENDER], 2);
    rig_message(&rig, BSTAR_FROM_WITNESS, grant);
    assert_int_equal(state_of(&rig), GUARDED_CANDIDATE);
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_SENDER], 2);
}

// ---- LEASE --------------------------------------------------------------------------

static void
every_question_says_our_lease(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    until_it_asks(&rig);
    assert_int_equal(sent(&rig, BSTAR_ASK, BSTAR_FROM_PEER)->lease_ms, 1000);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    rig_say(&rig, BSTAR_ON_STORED);
    assert_int_equal(sent(&rig, BSTAR_VOTE, BSTAR_FROM_WITNESS)->lease_ms, 1000);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    rig_sleep(&rig, 250);
    rig_say(&rig, BSTAR_ON_TICK);
    assert_int_equal(sent(&rig, BSTAR_RENEW, BSTAR_FROM_WITNESS)->lease_ms, 1000);
}

static void
who_counts_with_another_lease_is_denied(void **state)
{
    (void)state;
    static const enum bstar_command commands[] = {BSTAR_ASK, BSTAR_VOTE, BSTAR_RENEW};
    for (int is_witness = 0; is_witness < 2; is_witness++)
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
            struct bstar_rig rig;
            struct bstar_config config =
                rig_config(is_witness ? BSTAR_WITNESS : BSTAR_GUARDED, false);
            struct bstar_message question = {.command = commands[i], .epoch = 2, .lease_ms = 1001};
            rig_start(&rig, &config);
            rig_load(&rig, 1, RIG_PEER);
            rig_message(&rig, BSTAR_FROM_PEER, question);
            assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->message.command, BSTAR_DENY);
            assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->message.lease_ms, 1000);
            assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), 0);
            assert_int_equal(rig.core.stats.faults[BSTAR_OTHER_LEASE], 1);
            // An older member does not say.
            question.lease_ms = 0;
            rig_message(&rig, BSTAR_FROM_PEER, question);
            assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), commands[i] != BSTAR_ASK);
            assert_int_equal(rig.core.stats.faults[BSTAR_OTHER_LEASE], 1);
        }
}

// It serves by the vote of the other half, and its log says why the witness gives none.
static void
half_that_is_denied_by_another_lease_says_so(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    rig_wait(&rig, 250);
    const struct bstar_guarded *guarded = &rig.core.guarded;
    struct bstar_message denial = {
        .command = BSTAR_DENY, .nonce = guarded->rounds[guarded->newest].nonce, .lease_ms = 1000};
    rig_message(&rig, BSTAR_FROM_WITNESS, denial);
    assert_int_equal(rig.core.stats.faults[BSTAR_OTHER_LEASE], 0);
    denial.lease_ms = 5000;
    rig_message(&rig, BSTAR_FROM_WITNESS, denial);
    assert_int_equal(rig.core.stats.faults[BSTAR_OTHER_LEASE], 1);
    assert_int_equal(state_of(&rig), GUARDED_ACTIVE);
}

// ---- our own gap --------------------------------------------------------------------

static void
short_gap_leaves_the_lease_and_a_long_one_ends_it(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    rig_sleep(&rig, 400);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig.core.stats.gaps, 1);
    assert_int_equal(rig_has(&rig, BSTAR_DO_SERVE), 1);
    rig_sleep(&rig, 600);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
    assert_int_equal(state_of(&rig), GUARDED_DRAINING);
}

static void
beats_that_were_queued_in_a_gap_are_dropped(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true, true);
    rig_sleep(&rig, 3000);
    rig_hear_beat(&rig, GUARDED_ACTIVE, 8);
    assert_int_equal(bstar_core_epoch(&rig.core), 0);
    assert_int_equal(rig.core.stats.beats_dropped, 1);
    rig_say(&rig, BSTAR_ON_TICK);
    rig_hear_beat(&rig, GUARDED_ACTIVE, 8);
    assert_int_equal(bstar_core_epoch(&rig.core), 8);
}

// ---- the operator -------------------------------------------------------------------

static void
demote_drains_then_releases_then_holds_off(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    rig_say(&rig, BSTAR_ON_DEMOTE);
    assert_int_equal(state_of(&rig), GUARDED_DRAINING);
    assert_false(bstar_core_may_serve(&rig.core, rig.now_ns));
    assert_true(bstar_core_may_finish(&rig.core, rig.now_ns));
    assert_null(sent(&rig, BSTAR_RELEASE, BSTAR_FROM_PEER));
    rig_say(&rig, BSTAR_ON_DRAINED);
    assert_int_equal(rig.effects.list[0].kind, BSTAR_DO_CHANGE); // first it is quiet
    assert_int_equal(sent(&rig, BSTAR_RELEASE, BSTAR_FROM_PEER)->epoch, 1);
    rig_wait(&rig, 4900);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    rig_wait(&rig, 201);
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
}

static void
drain_that_does_not_end_is_ended(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    rig_say(&rig, BSTAR_ON_DEMOTE);
    rig_wait(&rig, 249);
    assert_int_equal(state_of(&rig), GUARDED_DRAINING);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DROP), 0);
    rig_wait(&rig, 1);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    assert_int_equal(rig.effects.list[0].kind, BSTAR_DO_DROP); // and only then is it released
    assert_int_equal(rig_has(&rig, BSTAR_DO_DROP), 1);
    rig_say(&rig, BSTAR_ON_DRAINED); // later than we waited
    assert_int_equal(rig.effects.count, 0);
}

static void
drain_whose_store_fails_is_ended(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    rig_say(&rig, BSTAR_ON_DEMOTE);
    rig_say(&rig, BSTAR_ON_FAILED);
    assert_int_equal(state_of(&rig), GUARDED_FAULT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DROP), 1);
    // A hard one has asked for it already.
    start_active(&rig);
    rig_wait(&rig, 2000);
    assert_int_equal(state_of(&rig), GUARDED_DRAINING);
    rig_say(&rig, BSTAR_ON_FAILED);
    assert_int_equal(state_of(&rig), GUARDED_FAULT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DROP), 0);
}

static void
frozen_half_does_not_ask(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false, true);
    rig_say(&rig, BSTAR_ON_FREEZE);
    rig_wait(&rig, 5000);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    rig_say(&rig, BSTAR_ON_PROMOTE);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DECLINE), 1);
    rig_say(&rig, BSTAR_ON_THAW);
    rig_wait(&rig, 101);
    assert_int_equal(state_of(&rig), GUARDED_ASKING);
}

static void
promoted_half_whose_own_voter_is_bound_waits_for_it(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false, true);
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_VOTE, .epoch = 1});
    rig_say(&rig, BSTAR_ON_STORED);
    rig_say(&rig, BSTAR_ON_PROMOTE);
    assert_int_equal(rig_has(&rig, BSTAR_DO_ACCEPT), 1);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    assert_in_range((rig.core.guarded.not_before_ns - rig.now_ns) / MS, 1010, 1060);
}

// say_word_in says the operator's word when nobody is heard, in PASSIVE or ASKING: a half that is
// alone goes to and fro between them, and no operator could tell when.
static void
say_word_in(struct bstar_rig *rig, enum guarded_state from)
{
    struct bstar_event word = {.kind = BSTAR_ON_PROMOTE, .is_peer_dead = true};
    start(rig, false, true);
    rig_hear_beat(rig, GUARDED_ACTIVE, 3);
    rig_step(rig, word);
    assert_string_equal(rig_effect(rig, BSTAR_DO_DECLINE)->why, "the peer is alive: demote it");
    rig_wait(rig, 5000);
    while (state_of(rig) != from)
        rig_wait(rig, 1);
    rig_step(rig, word);
    assert_int_equal(rig_effect(rig, BSTAR_DO_AUDIT)->epoch, 1003);
    rig_wait(rig, 999);
    assert_int_equal(state_of(rig), GUARDED_PASSIVE);
    rig_wait(rig, 101);
    assert_int_equal(state_of(rig), GUARDED_CANDIDATE);
}

static void
operators_word_stands_for_a_vote_until_another_voter_answers(void **state)
{
    (void)state;
    static const enum guarded_state from[] = {GUARDED_PASSIVE, GUARDED_ASKING};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        struct bstar_rig rig;
        say_word_in(&rig, from[i]);
        rig_say(&rig, BSTAR_ON_STORED);
        assert_int_equal(state_of(&rig), GUARDED_ACTIVE);
        assert_int_equal(bstar_core_epoch(&rig.core), 1003);
        rig_wait(&rig, 10000);
        assert_int_equal(state_of(&rig), GUARDED_ACTIVE);
        // The witness is back, and does not agree.
        rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_DENY, 0);
        rig_wait(&rig, 1000);
        assert_int_not_equal(state_of(&rig), GUARDED_ACTIVE);
    }
}

// "after one LEASE ASKING with the operator's vote": also where he says `promote` meanwhile.
static void
plain_promotion_does_not_shorten_the_wait_of_the_word(void **state)
{
    (void)state;
    struct bstar_rig rig;
    struct bstar_event word = {.kind = BSTAR_ON_PROMOTE, .is_peer_dead = true};
    start(&rig, false, true);
    rig_wait(&rig, 5000);
    while (state_of(&rig) != GUARDED_PASSIVE)
        rig_wait(&rig, 1);
    rig_step(&rig, word);
    assert_int_equal(rig_has(&rig, BSTAR_DO_AUDIT), 1);
    rig_say(&rig, BSTAR_ON_PROMOTE);
    assert_int_not_equal(state_of(&rig), GUARDED_CANDIDATE);
    rig_wait(&rig, 990);
    assert_int_not_equal(state_of(&rig), GUARDED_CANDIDATE);
}

// "... and ends when another voter answers or the peer is heard."
static void
operators_word_ends_when_the_peer_is_heard(void **state)
{
    (void)state;
    struct bstar_rig rig;
    say_word_in(&rig, GUARDED_PASSIVE);
    rig_say(&rig, BSTAR_ON_STORED);
    assert_int_equal(state_of(&rig), GUARDED_ACTIVE);
    rig_hear_beat(&rig, GUARDED_PASSIVE, 3);
    rig_wait(&rig, 1000);
    assert_int_not_equal(state_of(&rig), GUARDED_ACTIVE);
}

// ---- trouble ------------------------------------------------------------------------

static void
record_that_cannot_be_written_is_fault_until_it_is_cleared(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_and_win(&rig);
    rig_say(&rig, BSTAR_ON_UNSTORED);
    assert_int_equal(state_of(&rig), GUARDED_FAULT);
    assert_int_equal(rig.core.voter.state, VOTER_MUTE);
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_VOTE, .epoch = 9});
    assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->message.command, BSTAR_DENY);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_string_equal(rig_effect(&rig, BSTAR_DO_REFUSE)->why, "the record or the store failed");
    rig_wait(&rig, 60000);
    assert_int_equal(state_of(&rig), GUARDED_FAULT);
    rig_say(&rig, BSTAR_ON_CLEAR); // the record is bad still
    assert_int_equal(state_of(&rig), GUARDED_FAULT);
    struct bstar_record record = {RIG_PAIR, 4, 1, RIG_NODE};
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_CLEAR, .record = &record});
    assert_int_equal(state_of(&rig), GUARDED_QUARANTINE);
    assert_int_equal(rig.core.voter.state, VOTER_AMNESIA);
}

static void
worker_that_refuses_our_epoch_makes_us_renew_once_each_beat(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    uint64_t rounds = rig.core.stats.rounds;
    rig_wait(&rig, 100);
    for (int i = 0; i < 50; i++)
        rig_say(&rig, BSTAR_ON_FENCED);
    assert_int_equal(rig.core.stats.rounds, rounds + 1);
    assert_int_equal(rig.core.stats.fenced, 50);
    assert_int_equal(bstar_core_epoch(&rig.core), 1);
}

static void
vote_that_was_given_up_while_it_was_written_is_freed(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_and_win(&rig);
    rig_say(&rig, BSTAR_ON_DEMOTE);
    assert_int_equal(state_of(&rig), GUARDED_PASSIVE);
    rig_say(&rig, BSTAR_ON_STORED);
    assert_int_equal(rig.core.voter.state, VOTER_FREE);
    assert_int_equal(rig.core.voter.epoch, 1);
    assert_null(sent(&rig, BSTAR_VOTE, BSTAR_FROM_WITNESS));
}

// ---- leaving, and a store -----------------------------------------------------------

static void
active_half_that_stops_drains_releases_and_exits(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_active(&rig);
    rig_say(&rig, BSTAR_ON_STOP);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DRAIN), 1);
    rig_say(&rig, BSTAR_ON_DRAINED);
    assert_non_null(sent(&rig, BSTAR_RELEASE, BSTAR_FROM_WITNESS));
    assert_int_equal(rig.effects.list[rig.effects.count - 1].kind, BSTAR_DO_EXIT);
    assert_true(bstar_core_deadline(&rig.core) == UINT64_MAX);
}

static void
half_with_a_store_serves_when_it_is_open(void **state)
{
    (void)state;
    struct bstar_rig rig;
    struct bstar_config config = rig_config(BSTAR_GUARDED, true);
    config.has_store = true;
    rig_start(&rig, &config);
    rig_load(&rig, 6, RIG_PEER);
    while (state_of(&rig) == GUARDED_QUARANTINE)
        rig_wait(&rig, 1);
    rig_elect(&rig);
    assert_int_equal(state_of(&rig), GUARDED_ACTIVATING);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_OPEN)->epoch, 7);
    assert_false(bstar_core_may_serve(&rig.core, rig.now_ns));
    rig_say(&rig, BSTAR_ON_OPENED);
    assert_true(bstar_core_may_serve(&rig.core, rig.now_ns));
}

// ---- the witness --------------------------------------------------------------------

static void
witness_answers_requests_and_nothing_else(void **state)
{
    (void)state;
    struct bstar_rig rig;
    struct bstar_config config = rig_config(BSTAR_WITNESS, false);
    rig_start(&rig, &config);
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_ASK});
    assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->message.command, BSTAR_DENY); // no record
    rig_load(&rig, 0, 0);
    assert_true(bstar_core_deadline(&rig.core) == rig.now_ns + 1000 * MS);
    rig_wait(&rig, 1000);
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_ASK});
    assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->message.command, BSTAR_GRANT);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_REPLY)->message.state, 0);
    rig_message(&rig, BSTAR_FROM_PEER, (struct bstar_message){.command = BSTAR_BEAT});
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_SENDER], 1);
    rig_say(&rig, BSTAR_ON_STOP);
    assert_int_equal(rig_has(&rig, BSTAR_DO_EXIT), 1);
}

// ---- configuration ------------------------------------------------------------------

static void
witness_whose_hold_runs_out_while_it_writes_waits_for_the_disk(void **state)
{
    (void)state;
    struct bstar_rig rig;
    struct bstar_config config = rig_config(BSTAR_WITNESS, false);
    rig_start(&rig, &config);
    rig_load(&rig, 1, RIG_PEER);
    rig_message(&rig, BSTAR_FROM_PEER,
                (struct bstar_message){.command = BSTAR_VOTE, .state = 5, .epoch = 2});
    assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), 1);
    rig_sleep(&rig, 2000);
    rig_say(&rig, BSTAR_ON_TICK);
    // Nothing can be done before it is stored: a time that is over would make the loop spin.
    assert_true(bstar_core_deadline(&rig.core) > rig.now_ns);
}

static void
times_scale_with_the_lease_and_the_margin_stays(void **state)
{
    (void)state;
    struct bstar_config config;
    bstar_config_init(&config, BSTAR_GUARDED, false, false, 50, 0, 200);
    config.node = RIG_NODE;
    assert_null(bstar_config_check(&config));
    assert_int_equal(config.valid_ns, 148 * MS);
    assert_int_equal(config.round_ns, 50 * MS);
    assert_int_equal(config.gap_ns, 50 * MS);
    assert_int_equal(config.patience_ns, 250 * MS);
    assert_int_equal(config.preference_ns, 50 * MS);
    assert_int_equal(config.hold_off_ns, 1000 * MS);
    bstar_config_init(&config, BSTAR_GUARDED, true, false, 0, 0, 0);
    assert_int_equal(config.valid_ns, 940 * MS);
    assert_int_equal(config.preference_ns, 0);
}

static const char *
complaint(enum bstar_mode mode, uint32_t beat_ms, uint32_t liveness, uint32_t lease_ms)
{
    struct bstar_config config;
    bstar_config_init(&config, mode, true, false, beat_ms, liveness, lease_ms);
    config.node = RIG_NODE;
    const char *why = bstar_config_check(&config);
    return why == NULL ? "" : why;
}

static void
what_cannot_work_is_refused(void **state)
{
    (void)state;
    static const char lease[] = "the pair's lease is too short, or above 600000 ms";
    static const char beat[] = "the pair's heartbeat is not of 1 to 60000 ms";
    static const char liveness[] = "the pair's liveness is above 1000 beats";
    assert_string_equal(complaint(BSTAR_GUARDED, 0, 0, 0), "");
    assert_string_equal(complaint(BSTAR_WITNESS, 0, 0, 0), "");
    assert_string_equal(complaint(BSTAR_CLASSIC, 0, 0, 0), "");
    assert_string_equal(complaint(BSTAR_GUARDED, 0, 0, 60), lease);
    assert_string_equal(complaint(BSTAR_WITNESS, 0, 0, UINT32_MAX), lease);
    assert_string_equal(complaint(BSTAR_GUARDED, 0, 3, 0), "the pair's liveness is below 4 beats");
    assert_string_equal(complaint(BSTAR_CLASSIC, 0, 2, 0), "the pair's liveness is below 3 beats");
    assert_string_equal(complaint(BSTAR_CLASSIC, UINT32_MAX, UINT32_MAX, 0), beat);
    assert_string_equal(complaint(BSTAR_CLASSIC, 60000, UINT32_MAX, 0), liveness);
    struct bstar_config config = rig_config(BSTAR_WITNESS, false);
    config.node = 0;
    assert_string_equal(bstar_config_check(&config), "a node is never 0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_waits_one_lease_then_asks_before_it_votes),
        cmocka_unit_test(backup_asks_a_quarter_of_a_lease_later),
        cmocka_unit_test(half_does_nothing_before_its_record_is_read),
        cmocka_unit_test(lease_counts_from_when_the_round_was_sent),
        cmocka_unit_test(lease_that_is_over_is_over_before_the_client_is_looked_at),
        cmocka_unit_test(renewals_keep_the_lease_and_write_nothing),
        cmocka_unit_test(grant_of_a_round_that_is_closed_counts_nowhere),
        cmocka_unit_test(each_round_has_a_nonce_of_its_own),
        cmocka_unit_test(two_grants_of_one_voter_are_one),
        cmocka_unit_test(denied_half_waits_for_the_time_left_and_a_little),
        cmocka_unit_test(time_left_beyond_a_lease_is_not_believed),
        cmocka_unit_test(unanswered_half_waits_at_random),
        cmocka_unit_test(denial_with_a_newer_epoch_raises_the_next_vote),
        cmocka_unit_test(there_is_no_vote_beyond_the_highest_epoch),
        cmocka_unit_test(passive_half_asks_when_the_peer_has_been_silent_for_five_beats),
        cmocka_unit_test(holder_that_releases_is_followed_at_once),
        cmocka_unit_test(while_a_record_is_written_other_requests_go_unanswered),
        cmocka_unit_test(foreign_messages_are_counted_by_name_and_decide_nothing),
        cmocka_unit_test(who_answers_in_the_place_of_another_is_no_voter),
        cmocka_unit_test(every_question_says_our_lease),
        cmocka_unit_test(who_counts_with_another_lease_is_denied),
        cmocka_unit_test(half_that_is_denied_by_another_lease_says_so),
        cmocka_unit_test(short_gap_leaves_the_lease_and_a_long_one_ends_it),
        cmocka_unit_test(beats_that_were_queued_in_a_gap_are_dropped),
        cmocka_unit_test(demote_drains_then_releases_then_holds_off),
        cmocka_unit_test(drain_that_does_not_end_is_ended),
        cmocka_unit_test(drain_whose_store_fails_is_ended),
        cmocka_unit_test(frozen_half_does_not_ask),
        cmocka_unit_test(promoted_half_whose_own_voter_is_bound_waits_for_it),
        cmocka_unit_test(operators_word_stands_for_a_vote_until_another_voter_answers),
        cmocka_unit_test(plain_promotion_does_not_shorten_the_wait_of_the_word),
        cmocka_unit_test(operators_word_ends_when_the_peer_is_heard),
        cmocka_unit_test(record_that_cannot_be_written_is_fault_until_it_is_cleared),
        cmocka_unit_test(worker_that_refuses_our_epoch_makes_us_renew_once_each_beat),
        cmocka_unit_test(vote_that_was_given_up_while_it_was_written_is_freed),
        cmocka_unit_test(active_half_that_stops_drains_releases_and_exits),
        cmocka_unit_test(half_with_a_store_serves_when_it_is_open),
        cmocka_unit_test(witness_answers_requests_and_nothing_else),
        cmocka_unit_test(witness_whose_hold_runs_out_while_it_writes_waits_for_the_disk),
        cmocka_unit_test(times_scale_with_the_lease_and_the_margin_stays),
        cmocka_unit_test(what_cannot_work_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
