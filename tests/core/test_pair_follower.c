// test_pair_follower.c - what a broker is told as its half of a pair changes.

#include "pair_follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct half_view passive = {0};
static const struct half_view fault = {.is_in_fault = true};
static const struct half_view active = {.is_serving = true, .may_finish = true, .epoch = 7};
static const struct half_view again = {.is_serving = true, .may_finish = true, .epoch = 9};
static const struct half_view draining = {.may_finish = true, .epoch = 7};
static const struct half_view over = {.is_over = true};

static void
assert_told(struct pair_follower *self, const struct half_view *half, enum broker_event_kind wanted)
{
    enum broker_event_kind kind = BROKER_TICK;
    assert_true(pair_follower_next(self, half, &kind));
    assert_int_equal(kind, wanted);
}

static void
assert_rests(struct pair_follower *self, const struct half_view *half)
{
    enum broker_event_kind kind;
    assert_false(pair_follower_next(self, half, &kind));
}

// serving is a broker that was told to serve.
static struct pair_follower
serving(void)
{
    struct pair_follower self = {.is_quiet = true};
    assert_told(&self, &active, BROKER_SERVE);
    assert_rests(&self, &active);
    return self;
}

static void
half_that_serves_has_the_broker_serve(void **state)
{
    (void)state;
    struct pair_follower self = {0};
    assert_rests(&self, &active); // until the broker has said that nothing is left
    self.is_quiet = true;
    assert_rests(&self, &passive);
    assert_told(&self, &active, BROKER_SERVE);
    assert_false(self.is_quiet);
    assert_int_equal(self.epoch, 7);
}

static void
half_that_serves_no_longer_has_it_hold(void **state)
{
    (void)state;
    struct pair_follower self = serving();
    assert_told(&self, &passive, BROKER_HOLD);
    assert_rests(&self, &passive);
    self = serving();
    assert_told(&self, &draining, BROKER_HOLD); // and its epoch is the same
}

static void
another_reign_begins_when_the_last_has_left_nothing(void **state)
{
    (void)state;
    struct pair_follower self = serving();
    assert_told(&self, &again, BROKER_HOLD);
    assert_rests(&self, &again);
    self.is_quiet = true;
    assert_told(&self, &again, BROKER_SERVE);
    assert_int_equal(self.epoch, 9);
}

static void
soft_drain_finishes_and_then_holds(void **state)
{
    (void)state;
    struct pair_follower self = serving();
    pair_follower_must_finish(&self);
    assert_told(&self, &draining, BROKER_FINISH);
    assert_rests(&self, &draining);
    assert_false(pair_follower_end_turn(&self, &draining).is_drained);
    self.is_quiet = true;
    struct pair_end end = pair_follower_end_turn(&self, &draining);
    assert_true(end.is_drained);
    assert_true(end.has_more);
    assert_false(pair_follower_end_turn(&self, &draining).is_drained); // it is told once
    assert_rests(&self, &draining);
    assert_int_equal(self.phase, PAIR_HOLDS);
}

static void
soft_drain_whose_time_is_over_holds(void **state)
{
    (void)state;
    struct pair_follower self = serving();
    pair_follower_must_finish(&self);
    assert_told(&self, &draining, BROKER_FINISH);
    assert_told(&self, &passive, BROKER_HOLD);
}

static void
hard_drain_goes_before_a_soft_one(void **state)
{
    (void)state;
    struct pair_follower self = serving();
    pair_follower_must_finish(&self);
    pair_follower_must_drop(&self);
    assert_told(&self, &draining, BROKER_HOLD);
    assert_rests(&self, &draining);
}

static void
drain_of_one_that_holds_is_done_when_it_is_quiet(void **state)
{
    (void)state;
    struct pair_follower self = {.is_quiet = true};
    pair_follower_must_finish(&self);
    assert_told(&self, &passive, BROKER_HOLD);
    assert_false(pair_follower_end_turn(&self, &passive).is_drained);
    self.is_quiet = true;
    assert_true(pair_follower_end_turn(&self, &passive).is_drained);
}

static void
nothing_is_drained_while_more_is_asked_for(void **state)
{
    (void)state;
    struct pair_follower self = {.is_quiet = true};
    pair_follower_must_drop(&self);
    struct pair_end end = pair_follower_end_turn(&self, &passive);
    assert_false(end.is_drained);
    assert_true(end.has_more);
    self = (struct pair_follower){.is_quiet = true};
    pair_follower_must_finish(&self);
    end = pair_follower_end_turn(&self, &passive);
    assert_false(end.is_drained);
    assert_true(end.has_more);
}

static void
no_reign_begins_before_the_drain_was_told(void **state)
{
    (void)state;
    struct pair_follower self = serving();
    pair_follower_must_drop(&self);
    assert_told(&self, &again, BROKER_HOLD);
    self.is_quiet = true;
    assert_rests(&self, &again);
    assert_true(pair_follower_end_turn(&self, &again).is_drained);
    assert_told(&self, &again, BROKER_SERVE);
}

static void
fault_has_another_text(void **state)
{
    (void)state;
    struct pair_follower self;
    pair_follower_begin(&self, &fault);
    assert_rests(&self, &fault); // it has it from the beginning
    pair_follower_begin(&self, &passive);
    assert_told(&self, &fault, BROKER_HOLD);
    assert_true(self.is_in_fault);
    assert_rests(&self, &fault);
    assert_told(&self, &passive, BROKER_HOLD);
    assert_false(self.is_in_fault);
}

static void
leaving_half_ends_before_the_broker_drains(void **state)
{
    (void)state;
    struct pair_follower self = {.is_quiet = true};
    assert_true(pair_follower_leave(&self));
    assert_false(pair_follower_leave(&self)); // the half is told once
    assert_rests(&self, &active);             // and no reign begins any more
    assert_false(pair_follower_end_turn(&self, &passive).has_left);
    struct pair_end end = pair_follower_end_turn(&self, &over);
    assert_true(end.has_left);
    assert_true(end.has_more);
    assert_false(pair_follower_end_turn(&self, &over).has_left);
}

static void
what_may_go_out_is_of_the_phase(void **state)
{
    (void)state;
    struct pair_follower self = serving();
    assert_true(pair_follower_may_send(&self, &active, true));
    assert_true(pair_follower_may_send(&self, &active, false));
    assert_false(pair_follower_may_send(&self, &draining, true));
    assert_false(pair_follower_may_send(&self, &draining, false));
    pair_follower_must_finish(&self);
    assert_told(&self, &draining, BROKER_FINISH);
    assert_false(pair_follower_may_send(&self, &draining, true));
    assert_true(pair_follower_may_send(&self, &draining, false)); // an answer to what is out
    assert_false(pair_follower_may_send(&self, &passive, false));
    pair_follower_must_drop(&self);
    assert_told(&self, &draining, BROKER_HOLD);
    assert_false(pair_follower_may_send(&self, &draining, false)); // what was out is dropped
}

static void
client_request_of_one_that_holds_is_a_vote(void **state)
{
    (void)state;
    struct pair_follower self = {0};
    const struct mdp_record request = {.side = MDP_CLIENT_SIDE,
                                       .command = MDP_REQUEST,
                                       .fault = MDP_SOUND,
                                       .service = view_of("echo", 4)};
    assert_true(pair_follower_is_vote(&self, &request));
    struct mdp_record other = request;
    other.side = MDP_WORKER_SIDE;
    assert_false(pair_follower_is_vote(&self, &other));
    other = request;
    other.command = MDP_HEARTBEAT;
    assert_false(pair_follower_is_vote(&self, &other));
    other = request;
    other.fault = MDP_BAD_NAME;
    assert_false(pair_follower_is_vote(&self, &other));
    other = request;
    other.service = view_of("mmi.ha", 6);
    assert_false(pair_follower_is_vote(&self, &other));
    (void)pair_follower_leave(&self);
    assert_false(pair_follower_is_vote(&self, &request));
    self = serving();
    assert_false(pair_follower_is_vote(&self, &request));
    pair_follower_must_finish(&self);
    assert_told(&self, &draining, BROKER_FINISH);
    assert_false(pair_follower_is_vote(&self, &request));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_that_serves_has_the_broker_serve),
        cmocka_unit_test(half_that_serves_no_longer_has_it_hold),
        cmocka_unit_test(another_reign_begins_when_the_last_has_left_nothing),
        cmocka_unit_test(soft_drain_finishes_and_then_holds),
        cmocka_unit_test(soft_drain_whose_time_is_over_holds),
        cmocka_unit_test(hard_drain_goes_before_a_soft_one),
        cmocka_unit_test(drain_of_one_that_holds_is_done_when_it_is_quiet),
        cmocka_unit_test(nothing_is_drained_while_more_is_asked_for),
        cmocka_unit_test(no_reign_begins_before_the_drain_was_told),
        cmocka_unit_test(fault_has_another_text),
        cmocka_unit_test(leaving_half_ends_before_the_broker_drains),
        cmocka_unit_test(what_may_go_out_is_of_the_phase),
        cmocka_unit_test(client_request_of_one_that_holds_is_a_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
