// test_bstar_witnesses.c - two halves that ask two witnesses: each could have a majority by its
// own.

#include "bstar_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { OTHER_WITNESS = 31 };

static void
start(struct bstar_rig *rig)
{
    struct bstar_config config = rig_config(BSTAR_GUARDED, false);
    rig_start(rig, &config);
    rig_load(rig, 0, 0);
    while (rig->core.guarded.state == GUARDED_QUARANTINE)
        rig_wait(rig, 1);
}

// hear_of lets the peer say in a beat which witness it asks.
static void
hear_of(struct bstar_rig *rig, enum guarded_state state, uint64_t witness)
{
    rig_message(rig, BSTAR_FROM_PEER,
                (struct bstar_message){.command = BSTAR_BEAT,
                                       .state = (uint8_t)(state + 1),
                                       .epoch = 3,
                                       .progress = ++rig->peer_progress,
                                       .witness = witness});
}

// follow is to hear a peer that serves for some time. Returns how many alarms there were, and
// counts what was asked of the witness.
static size_t
follow(struct bstar_rig *rig, uint64_t witness, uint64_t ms, size_t *asked_out)
{
    size_t alarms = 0;
    *asked_out = 0;
    for (uint64_t passed = 0; passed < ms; passed += 10) {
        if (passed % 50 == 0)
            hear_of(rig, GUARDED_ACTIVE, witness);
        rig_sleep(rig, 10);
        rig_say(rig, BSTAR_ON_TICK);
        alarms += rig_has(rig, BSTAR_DO_ALARM);
        for (size_t i = 0; i < rig->effects.count; i++)
            *asked_out += rig->effects.list[i].message.command == BSTAR_ASK;
    }
    return alarms;
}

// answer is what a witness says to a question that is no round's.
static void
answer(struct bstar_rig *rig, uint64_t witness)
{
    struct bstar_message message = {
        .command = BSTAR_GRANT, .pair = RIG_PAIR, .node = witness, .epoch = 3};
    rig_step(rig, (struct bstar_event){
                      .kind = BSTAR_ON_MESSAGE, .message = &message, .sender = BSTAR_FROM_WITNESS});
}

static uint64_t
named_in_beat(struct bstar_rig *rig)
{
    for (;;) {
        rig_sleep(rig, 10);
        rig_say(rig, BSTAR_ON_TICK);
        for (size_t i = 0; i < rig->effects.count; i++)
            if (rig->effects.list[i].message.command == BSTAR_BEAT)
                return rig->effects.list[i].message.witness;
    }
}

static void
beat_names_the_witness_that_has_answered(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig);
    assert_int_equal(named_in_beat(&rig), 0);
    answer(&rig, RIG_WITNESS);
    assert_int_equal(named_in_beat(&rig), RIG_WITNESS);
}

static void
passive_half_asks_its_witness_which_one_it_is(void **state)
{
    (void)state;
    struct bstar_rig rig;
    size_t asked;
    start(&rig);
    // Nobody answers: once each LEASE.
    assert_int_equal(follow(&rig, RIG_WITNESS, 3000, &asked), 0);
    assert_in_range(asked, 3, 4);
    answer(&rig, RIG_WITNESS);
    assert_int_equal(follow(&rig, RIG_WITNESS, 3000, &asked), 0);
    assert_int_equal(asked, 0);
    assert_int_equal(rig.core.guarded.state, GUARDED_PASSIVE);
}

static void
half_that_knows_of_two_witnesses_does_not_ask(void **state)
{
    (void)state;
    struct bstar_rig rig;
    size_t asked;
    start(&rig);
    answer(&rig, RIG_WITNESS);
    assert_int_equal(follow(&rig, OTHER_WITNESS, 5000, &asked), 1); // and it is said once
    // They are cut off from each other.
    for (int i = 0; i < 200; i++) {
        rig_wait(&rig, 25);
        answer(&rig, RIG_WITNESS);
        assert_int_equal(rig.core.guarded.state, GUARDED_PASSIVE);
    }
    rig_say(&rig, BSTAR_ON_PROMOTE);
    assert_string_equal(rig_effect(&rig, BSTAR_DO_DECLINE)->why,
                        "the peer has another witness: compare --witness of both");
    // One that was started again has not heard its witness yet.
    hear_of(&rig, GUARDED_QUARANTINE, 0);
    rig_wait(&rig, 1000);
    assert_int_equal(rig.core.guarded.state, GUARDED_PASSIVE);
    hear_of(&rig, GUARDED_PASSIVE, RIG_WITNESS);
    rig_wait(&rig, 200);
    assert_int_equal(rig.core.guarded.state, GUARDED_ASKING);
}

static void
half_that_learns_it_from_the_answer_does_not_vote(void **state)
{
    (void)state;
    struct bstar_rig rig;
    size_t asked;
    start(&rig);
    follow(&rig, OTHER_WITNESS, 200, &asked);
    while (rig.core.guarded.state == GUARDED_PASSIVE)
        rig_wait(&rig, 10);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    assert_int_equal(rig_has(&rig, BSTAR_DO_STORE), 0);
    assert_int_equal(rig.core.guarded.state, GUARDED_PASSIVE);
}

static void
half_that_serves_goes_on_and_says_it_once(void **state)
{
    (void)state;
    struct bstar_rig rig;
    size_t alarms = 0;
    start(&rig);
    rig_elect(&rig);
    for (int i = 0; i < 200; i++) {
        hear_of(&rig, GUARDED_PASSIVE, OTHER_WITNESS);
        rig_wait(&rig, 25);
        alarms += rig_has(&rig, BSTAR_DO_ALARM);
        rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
        assert_int_equal(rig.core.guarded.state, GUARDED_ACTIVE);
    }
    assert_int_equal(alarms, 1);
}

static void
witness_that_was_made_anew_is_no_second_one(void **state)
{
    (void)state;
    struct bstar_rig rig;
    size_t asked;
    start(&rig);
    answer(&rig, RIG_WITNESS);
    // The peer hears it first.
    assert_int_equal(follow(&rig, OTHER_WITNESS, 200, &asked), 0);
    assert_int_equal(asked, 1);
    answer(&rig, OTHER_WITNESS);
    assert_int_equal(follow(&rig, OTHER_WITNESS, 3000, &asked), 0);
    // We do, and of the peer nothing is heard any more.
    while (rig.core.guarded.state == GUARDED_PASSIVE)
        rig_wait(&rig, 10);
    answer(&rig, RIG_WITNESS);
    rig_reply(&rig, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    assert_int_equal(rig.core.guarded.state, GUARDED_CANDIDATE);
}

static void
operators_word_stands_for_two_witnesses_too(void **state)
{
    (void)state;
    struct bstar_rig rig;
    size_t asked;
    start(&rig);
    answer(&rig, RIG_WITNESS);
    follow(&rig, OTHER_WITNESS, 200, &asked);
    rig_wait(&rig, 2000);
    assert_int_equal(rig.core.guarded.state, GUARDED_PASSIVE);
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_PROMOTE, .is_peer_dead = true});
    rig_wait(&rig, 1200);
    rig_say(&rig, BSTAR_ON_STORED);
    assert_int_equal(rig.core.guarded.state, GUARDED_ACTIVE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beat_names_the_witness_that_has_answered),
        cmocka_unit_test(passive_half_asks_its_witness_which_one_it_is),
        cmocka_unit_test(half_that_knows_of_two_witnesses_does_not_ask),
        cmocka_unit_test(half_that_learns_it_from_the_answer_does_not_vote),
        cmocka_unit_test(half_that_serves_goes_on_and_says_it_once),
        cmocka_unit_test(witness_that_was_made_anew_is_no_second_one),
        cmocka_unit_test(operators_word_stands_for_two_witnesses_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
