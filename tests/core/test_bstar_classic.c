// test_bstar_classic.c - the rules of classic that are not in a cell: time, epochs, roles.

#include "bstar_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t MS = 1000000;

static void
start(struct bstar_rig *rig, bool is_primary)
{
    struct bstar_config config = rig_config(BSTAR_CLASSIC, is_primary);
    rig_start(rig, &config);
}

static enum classic_state
state_of(const struct bstar_rig *rig)
{
    return rig->core.classic.state;
}

// ---- who begins --------------------------------------------------------------------------------

static void
primary_serves_when_it_hears_the_backup_wait(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
    assert_int_equal(bstar_core_epoch(&rig.core), 1);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_PUBLISH)->beat.digit, BSTAR_SAYS_ACTIVE);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_PUBLISH)->beat.epoch, 1);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_PUBLISH)->beat.node, RIG_NODE);
}

// check_lone: a half that hears nobody serves its first client after its grace, not before.
static void
check_lone(bool is_primary, uint64_t grace_ms)
{
    struct bstar_rig rig;
    start(&rig, is_primary);
    rig_wait(&rig, grace_ms - 1);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
    rig_wait(&rig, 1);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_SERVE), 1);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
}

static void
lone_primary_serves_after_four_seconds_and_lone_backup_after_six(void **state)
{
    (void)state;
    check_lone(true, 4000);
    check_lone(false, 6000);
}

static void
without_a_client_a_lone_half_waits_for_ever(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_wait(&rig, 60000);
    rig_say(&rig, BSTAR_ON_TRAFFIC);
    assert_int_equal(state_of(&rig), CLASSIC_WAIT_P);
}

// ---- silence -----------------------------------------------------------------------------------

static void
passive_half_takes_over_on_the_first_vote_after_patience(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, 4);
    assert_int_equal(state_of(&rig), CLASSIC_PASSIVE);
    rig_wait(&rig, 2000);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
    rig_wait(&rig, 1);
    assert_int_equal(state_of(&rig), CLASSIC_PASSIVE);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_SERVE)->epoch, 5);
}

static void
peer_whose_progress_stands_still_is_silent(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, 4);
    for (int i = 0; i < 5; i++) {
        assert_false(bstar_core_peer_is_silent(&rig.core));
        rig_wait(&rig, 500);
        rig.peer_progress--;
        rig_hear(&rig, BSTAR_SAYS_ACTIVE, 4);
    }
    assert_true(bstar_core_peer_is_silent(&rig.core));
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
}

static void
peer_that_waits_in_our_role_is_not_alive(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, 4);
    for (int i = 0; i < 5; i++) {
        rig_wait(&rig, 500);
        struct bstar_beat beat = {BSTAR_SAYS_BACKUP, false, 0, RIG_PEER, 0, 100 + (uint64_t)i};
        rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_BEAT, .beat = &beat});
    }
    assert_true(bstar_core_peer_is_silent(&rig.core));
}

// ---- our own gap -------------------------------------------------------------------------------

static void
active_half_that_slept_waits_before_it_looks_at_anything(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    rig_sleep(&rig, 1001);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
    assert_int_equal(state_of(&rig), CLASSIC_WAIT_P);
    assert_int_equal(rig.core.stats.gaps, 1);
}

static void
pause_up_to_the_limit_is_no_gap(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    rig_sleep(&rig, 1000);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_SERVE), 1);
}

static void
beats_that_were_queued_while_we_slept_are_dropped_until_the_next_tick(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, 4);
    rig_sleep(&rig, 5000);
    rig_hear(&rig, BSTAR_SAYS_PRIMARY, 0);
    rig_hear(&rig, BSTAR_SAYS_PRIMARY, 0);
    assert_int_equal(state_of(&rig), CLASSIC_PASSIVE);
    assert_int_equal(rig.core.stats.beats_dropped, 2);
    rig_say(&rig, BSTAR_ON_CLIENT); // its age began again
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
    rig_say(&rig, BSTAR_ON_TICK);
    rig_hear(&rig, BSTAR_SAYS_PRIMARY, 0);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
}

// ---- who wins ----------------------------------------------------------------------------------

// is_yielding: does an ACTIVE half of epoch 1 yield to this?
static bool
is_yielding(bool is_primary, bool peer_is_primary, uint64_t epoch, uint64_t node)
{
    struct bstar_rig rig;
    start(&rig, is_primary);
    rig_wait(&rig, 6000);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
    struct bstar_beat beat = {BSTAR_SAYS_ACTIVE, peer_is_primary, epoch, node, 0, 1};
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_BEAT, .beat = &beat});
    assert_int_equal(rig_has(&rig, BSTAR_DO_PUBLISH), 1);
    return state_of(&rig) == CLASSIC_PASSIVE;
}

static void
higher_epoch_stays_then_the_primary_then_the_lower_node(void **state)
{
    (void)state;
    assert_true(is_yielding(true, false, 2, RIG_PEER));
    assert_false(is_yielding(false, true, 0, RIG_PEER));
    assert_false(is_yielding(true, false, 1, RIG_PEER));
    assert_true(is_yielding(false, true, 1, RIG_PEER));
    assert_true(is_yielding(true, true, 1, RIG_NODE - 1));
    assert_false(is_yielding(false, false, 1, RIG_NODE + 1));
}

static void
epoch_is_the_highest_seen_and_one_more(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, 41);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 17);
    assert_int_equal(bstar_core_epoch(&rig.core), 42);
}

static void
highest_epoch_of_all_can_still_be_said(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, BSTAR_EPOCH_MAX);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_PUBLISH)->beat.epoch, BSTAR_EPOCH_MAX);
}

// ---- roles -------------------------------------------------------------------------------------

static void
two_primaries_halt_with_one_alarm_that_names_the_other(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    struct bstar_beat beat = {BSTAR_SAYS_PRIMARY, true, 0, RIG_PEER, 0, 1};
    struct bstar_event event = {.kind = BSTAR_ON_BEAT, .beat = &beat};
    rig_step(&rig, event);
    assert_int_equal(state_of(&rig), CLASSIC_HALTED);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_ALARM)->node, RIG_PEER);
    assert_string_equal(rig_effect(&rig, BSTAR_DO_ALARM)->why, "both halves are primary");
    assert_int_equal(bstar_core_shown(&rig.core), BSTAR_SHOWN_FAULT);
    rig_step(&rig, event);
    assert_int_equal(rig_has(&rig, BSTAR_DO_ALARM), 0);
    assert_int_equal(rig.core.stats.clashes, 2);
    rig_wait(&rig, 600);
    assert_int_equal(state_of(&rig), CLASSIC_HALTED);
}

static void
halted_half_begins_again_when_the_roles_are_right(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    struct bstar_beat beat = {BSTAR_SAYS_PRIMARY, true, 0, RIG_PEER, 0, 1};
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_BEAT, .beat = &beat});
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
}

// ---- what is not believed -----------------------------------------------------------

static void
malformed_beats_and_our_own_are_counted_by_name(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_BEAT, .fault = BSTAR_BAD_HEADER});
    struct bstar_beat own = {BSTAR_SAYS_ACTIVE, false, 9, RIG_NODE, 0, 1};
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_BEAT, .beat = &own});
    assert_int_equal(rig.core.stats.faults[BSTAR_BAD_HEADER], 1);
    assert_int_equal(rig.core.stats.faults[BSTAR_OWN_NODE], 1);
    assert_int_equal(state_of(&rig), CLASSIC_WAIT_P);
    assert_true(bstar_core_peer_is_silent(&rig.core));
}

// ---- bare digits -------------------------------------------------------------------------------

static void
start_bare(struct bstar_rig *rig, bool is_primary)
{
    struct bstar_config config;
    bstar_config_init(&config, BSTAR_CLASSIC, is_primary, true, 0, 0, 0);
    config.node = RIG_NODE;
    rig_start(rig, &config);
}

static void
hear_digit(struct bstar_rig *rig, enum bstar_digit digit)
{
    struct bstar_beat beat = {.digit = digit};
    rig_step(rig, (struct bstar_event){.kind = BSTAR_ON_BEAT, .beat = &beat});
}

static void
with_bare_digits_the_primary_stays_and_the_backup_yields(void **state)
{
    (void)state;
    for (int is_primary = 0; is_primary < 2; is_primary++) {
        struct bstar_rig rig;
        start_bare(&rig, is_primary);
        rig_wait(&rig, 9000);
        rig_say(&rig, BSTAR_ON_CLIENT);
        hear_digit(&rig, BSTAR_SAYS_ACTIVE);
        assert_int_equal(state_of(&rig), is_primary ? CLASSIC_ACTIVE : CLASSIC_PASSIVE);
    }
}

static void
bare_digits_keep_a_peer_alive_without_progress(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start_bare(&rig, false);
    for (int i = 0; i < 10; i++) {
        hear_digit(&rig, BSTAR_SAYS_ACTIVE);
        rig_wait(&rig, 1000);
    }
    assert_false(bstar_core_peer_is_silent(&rig.core));
    assert_int_equal(rig_effect(&rig, BSTAR_DO_PUBLISH)->beat.node, 0);
}

// ---- the operator, and leaving ------------------------------------------------------

static void
demote_is_refused_while_nobody_else_would_serve(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    rig_wait(&rig, 2001);
    rig_say(&rig, BSTAR_ON_DEMOTE);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DECLINE), 1);
    assert_int_equal(state_of(&rig), CLASSIC_ACTIVE);
    rig_hear(&rig, BSTAR_SAYS_PASSIVE, 1);
    rig_say(&rig, BSTAR_ON_DEMOTE);
    assert_int_equal(rig_has(&rig, BSTAR_DO_ACCEPT), 1);
    assert_int_equal(rig_effect(&rig, BSTAR_DO_PUBLISH)->beat.digit, BSTAR_SAYS_PRIMARY);
}

static void
promote_of_a_passive_half_is_refused_while_the_peer_is_alive(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, 1);
    rig_say(&rig, BSTAR_ON_PROMOTE);
    assert_string_equal(rig_effect(&rig, BSTAR_DO_DECLINE)->why, "the peer is alive: demote it");
    assert_int_equal(state_of(&rig), CLASSIC_PASSIVE);
}

static void
what_classic_does_not_have_is_declined(void **state)
{
    (void)state;
    static const enum bstar_event_kind kinds[] = {BSTAR_ON_FREEZE, BSTAR_ON_THAW, BSTAR_ON_CLEAR};
    struct bstar_rig rig;
    start(&rig, true);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        rig_say(&rig, kinds[i]);
        assert_int_equal(rig_has(&rig, BSTAR_DO_DECLINE), 1);
    }
    rig_step(&rig, (struct bstar_event){.kind = BSTAR_ON_PROMOTE, .is_peer_dead = true});
    assert_int_equal(rig_has(&rig, BSTAR_DO_DECLINE), 1);
    assert_int_equal(state_of(&rig), CLASSIC_WAIT_P);
}

static void
active_half_that_stops_waits_aloud_until_it_has_drained(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    rig_say(&rig, BSTAR_ON_STOP);
    assert_int_equal(rig_has(&rig, BSTAR_DO_DRAIN), 1);
    assert_int_equal(rig_has(&rig, BSTAR_DO_EXIT), 0);
    assert_true(bstar_core_may_finish(&rig.core, rig.now_ns));
    assert_false(bstar_core_may_serve(&rig.core, rig.now_ns));
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0); // would make it ACTIVE again
    rig_wait(&rig, 20000);
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
    assert_int_equal(state_of(&rig), CLASSIC_WAIT_P);
    rig_say(&rig, BSTAR_ON_DRAINED);
    assert_int_equal(rig_has(&rig, BSTAR_DO_EXIT), 1);
    assert_true(bstar_core_deadline(&rig.core) == UINT64_MAX);
    rig_hear(&rig, BSTAR_SAYS_BACKUP, 0);
    assert_int_equal(rig.effects.count, 0);
}

// ---- time --------------------------------------------------------------------------------------

static void
beat_goes_out_each_interval_and_missed_ones_are_skipped(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, true);
    rig_wait(&rig, 5000);
    assert_int_equal(rig.core.stats.beats_out, 11);
    rig_sleep(&rig, 900);
    rig_say(&rig, BSTAR_ON_TICK);
    assert_int_equal(rig_has(&rig, BSTAR_DO_PUBLISH), 1);
    assert_true(bstar_core_deadline(&rig.core) == rig.now_ns + 500 * MS);
}

static void
another_start_shows_another_progress(void **state)
{
    (void)state;
    struct bstar_rig rig;
    struct bstar_config config = rig_config(BSTAR_CLASSIC, true);
    rig_start(&rig, &config);
    uint64_t first = rig.core.pulse.progress;
    config.seed[0] = 1;
    rig_start(&rig, &config);
    assert_int_not_equal(rig.core.pulse.progress, first);
}

static void
time_that_goes_back_is_no_time(void **state)
{
    (void)state;
    struct bstar_rig rig;
    start(&rig, false);
    rig_hear(&rig, BSTAR_SAYS_ACTIVE, 4);
    rig.now_ns -= 4000 * MS;
    rig_say(&rig, BSTAR_ON_CLIENT);
    assert_int_equal(rig_has(&rig, BSTAR_DO_REFUSE), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(primary_serves_when_it_hears_the_backup_wait),
        cmocka_unit_test(lone_primary_serves_after_four_seconds_and_lone_backup_after_six),
        cmocka_unit_test(without_a_client_a_lone_half_waits_for_ever),
        cmocka_unit_test(passive_half_takes_over_on_the_first_vote_after_patience),
        cmocka_unit_test(peer_whose_progress_stands_still_is_silent),
        cmocka_unit_test(peer_that_waits_in_our_role_is_not_alive),
        cmocka_unit_test(active_half_that_slept_waits_before_it_looks_at_anything),
        cmocka_unit_test(pause_up_to_the_limit_is_no_gap),
        cmocka_unit_test(beats_that_were_queued_while_we_slept_are_dropped_until_the_next_tick),
        cmocka_unit_test(higher_epoch_stays_then_the_primary_then_the_lower_node),
        cmocka_unit_test(epoch_is_the_highest_seen_and_one_more),
        cmocka_unit_test(highest_epoch_of_all_can_still_be_said),
        cmocka_unit_test(two_primaries_halt_with_one_alarm_that_names_the_other),
        cmocka_unit_test(halted_half_begins_again_when_the_roles_are_right),
        cmocka_unit_test(malformed_beats_and_our_own_are_counted_by_name),
        cmocka_unit_test(with_bare_digits_the_primary_stays_and_the_backup_yields),
        cmocka_unit_test(bare_digits_keep_a_peer_alive_without_progress),
        cmocka_unit_test(demote_is_refused_while_nobody_else_would_serve),
        cmocka_unit_test(promote_of_a_passive_half_is_refused_while_the_peer_is_alive),
        cmocka_unit_test(what_classic_does_not_have_is_declined),
        cmocka_unit_test(active_half_that_stops_waits_aloud_until_it_has_drained),
        cmocka_unit_test(beat_goes_out_each_interval_and_missed_ones_are_skipped),
        cmocka_unit_test(another_start_shows_another_progress),
        cmocka_unit_test(time_that_goes_back_is_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
