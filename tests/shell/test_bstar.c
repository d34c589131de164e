// test_bstar.c - classic: halves with real sockets, and peers that speak by hand.

#include "bstar_stage.h"

#include <galleon/status.h>

#include <czmq.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static int
set_up(void **state)
{
    struct bstar_stage *self = calloc(1, sizeof *self);
    bstar_stage_open(self);
    // A gap of a second: a busy machine is none.
    self->options = (bstar_options_t){.heartbeat_ms = 50, .liveness = 22};
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_close(self);
    free(self);
    return 0;
}

static void
start_both(struct bstar_stage *self)
{
    bstar_stage_start(self, STAGE_PRIMARY);
    bstar_stage_start(self, STAGE_BACKUP);
    bstar_stage_until(self, bstar_stage_leads, STAGE_PRIMARY);
}

static bool
hears_peer(struct bstar_stage *self, int half)
{
    return strcmp(bstar_stage_row(self, half, "peer"), "alive") == 0;
}

static bool
misses_peer(struct bstar_stage *self, int half)
{
    return strcmp(bstar_stage_row(self, half, "peer"), "silent") == 0;
}

static bool
is_at_fault(struct bstar_stage *self, int half)
{
    return bstar_state(self->halves[half]) == BSTAR_FAULT;
}

// ---- two halves ------------------------------------------------------------------------------

static void
a_cold_pair_settles_with_the_primary_active(void **state)
{
    struct bstar_stage *self = *state;
    start_both(self);
    assert_true(bstar_stage_serves(self, STAGE_PRIMARY));
    assert_false(bstar_stage_serves(self, STAGE_BACKUP));
    assert_true(bstar_is_serving(self->halves[STAGE_PRIMARY], galleon_now_ns()));
    assert_false(bstar_is_serving(self->halves[STAGE_BACKUP], galleon_now_ns()));
    assert_string_equal(bstar_stage_row(self, STAGE_PRIMARY, "mode"), "classic");
    assert_string_equal(bstar_stage_row(self, STAGE_PRIMARY, "state"), "ACTIVE");
    struct bstar_stamp stamp;
    assert_false(bstar_stamp(self->halves[STAGE_PRIMARY], &stamp));
}

static void
a_half_that_leaves_is_followed_at_once(void **state)
{
    struct bstar_stage *self = *state;
    start_both(self);
    bstar_destroy(&self->halves[STAGE_PRIMARY]);
    assert_null(self->halves[STAGE_PRIMARY]);
    // No client knocks: what it said last was enough.
    bstar_stage_until(self, bstar_stage_is_active, STAGE_BACKUP);
    bstar_stage_start(self, STAGE_PRIMARY);
    bstar_stage_until(self, bstar_stage_leads, STAGE_BACKUP);
}

static void
a_half_that_hangs_is_replaced_when_a_client_asks(void **state)
{
    struct bstar_stage *self = *state;
    start_both(self);
    // Its thread beats on; its progress stands still.
    self->is_hung[STAGE_PRIMARY] = true;
    bstar_stage_until(self, misses_peer, STAGE_BACKUP);
    assert_true(bstar_stage_is_passive(self, STAGE_BACKUP));
    assert_true(bstar_stage_serves(self, STAGE_BACKUP));
    assert_true(bstar_stage_is_active(self, STAGE_BACKUP));
    assert_false(bstar_is_serving(self->halves[STAGE_PRIMARY], galleon_now_ns()));
    // It wakes up, and yields.
    assert_false(bstar_stage_serves(self, STAGE_PRIMARY));
    self->is_hung[STAGE_PRIMARY] = false;
    bstar_stage_until(self, bstar_stage_leads, STAGE_BACKUP);
}

static void
a_backup_alone_serves_after_its_grace(void **state)
{
    struct bstar_stage *self = *state;
    self->options = (bstar_options_t){.heartbeat_ms = 20, .liveness = 5};
    bstar_stage_start(self, STAGE_BACKUP);
    assert_false(bstar_stage_serves(self, STAGE_BACKUP));
    bstar_stage_until(self, bstar_stage_serves, STAGE_BACKUP);
    assert_true(bstar_stage_is_active(self, STAGE_BACKUP));
}

static void
two_of_one_role_are_a_fault_that_ends_with_it(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start(self, STAGE_PRIMARY);
    self->halves[STAGE_BACKUP] = bstar_new(BSTAR_PRIMARY, self->ends[STAGE_BACKUP],
                                           self->ends[STAGE_PRIMARY], &self->options);
    assert_non_null(self->halves[STAGE_BACKUP]);
    bstar_stage_until(self, is_at_fault, STAGE_PRIMARY);
    assert_string_equal(bstar_why(self->halves[STAGE_PRIMARY]), "both halves are primary");
    assert_false(bstar_stage_serves(self, STAGE_PRIMARY));
    bstar_destroy(&self->halves[STAGE_BACKUP]);
    bstar_stage_start(self, STAGE_BACKUP);
    bstar_stage_until(self, bstar_stage_leads, STAGE_PRIMARY);
    assert_string_equal(bstar_why(self->halves[STAGE_PRIMARY]), "");
}

// ---- the operator ----------------------------------------------------------------------------

static struct bstar_answer
say(struct bstar_stage *self, int half, enum bstar_word word)
{
    return bstar_say(self->halves[half], word, galleon_now_ns());
}

static bool
one_leads(struct bstar_stage *self, int half)
{
    (void)half;
    return bstar_stage_leads(self, STAGE_PRIMARY) || bstar_stage_leads(self, STAGE_BACKUP);
}

static void
a_demoted_half_is_followed_at_once(void **state)
{
    struct bstar_stage *self = *state;
    start_both(self);
    struct bstar_answer answer = say(self, STAGE_BACKUP, BSTAR_SAY_PROMOTE);
    assert_false(answer.is_accepted);
    assert_string_equal(answer.why, "the peer is alive: demote it");
    // A beat from when the backup still waited may be on its way: by the table the primary then
    // leads again, and is told once more.
    for (int i = 0; i < 5 && !bstar_stage_leads(self, STAGE_BACKUP); i++) {
        bstar_stage_until(self, hears_peer, STAGE_PRIMARY);
        assert_true(say(self, STAGE_PRIMARY, BSTAR_SAY_DEMOTE).is_accepted);
        assert_false(bstar_is_serving(self->halves[STAGE_PRIMARY], galleon_now_ns()));
        bstar_stage_until(self, one_leads, STAGE_BACKUP);
    }
    assert_true(bstar_stage_leads(self, STAGE_BACKUP));
}

static void
classic_declines_the_words_of_guarded(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start(self, STAGE_PRIMARY);
    assert_false(say(self, STAGE_PRIMARY, BSTAR_SAY_FREEZE).is_accepted);
    assert_false(say(self, STAGE_PRIMARY, BSTAR_SAY_THAW).is_accepted);
    assert_false(say(self, STAGE_PRIMARY, BSTAR_SAY_CLEAR).is_accepted);
    assert_false(say(self, STAGE_PRIMARY, BSTAR_SAY_PROMOTE_PEER_IS_DEAD).is_accepted);
    assert_true(say(self, STAGE_PRIMARY, BSTAR_SAY_PROMOTE).is_accepted);
    assert_true(bstar_stage_is_active(self, STAGE_PRIMARY));
}

// ---- callbacks ------------------------------------------------------------------------------

struct notes {
    int drains, drops, changes;
    bstar_state_t last_was, last_is;
};

static void
note_drain(void *ctx)
{
    ((struct notes *)ctx)->drains++;
}

static void
note_drop(void *ctx)
{
    ((struct notes *)ctx)->drops++;
}

static void
note_change(void *ctx, bstar_state_t was, bstar_state_t is)
{
    struct notes *notes = ctx;
    if (notes->changes > 0)
        assert_int_equal(was, notes->last_is);
    notes->changes++;
    notes->last_was = was;
    notes->last_is = is;
}

static void
a_stopping_half_leaves_when_it_is_drained(void **state)
{
    struct bstar_stage *self = *state;
    struct notes notes = {0};
    self->options.on_change = note_change;
    self->options.ctx = &notes;
    bstar_stage_start(self, STAGE_PRIMARY);
    self->options.on_change = NULL;
    bstar_stage_start(self, STAGE_BACKUP);
    bstar_stage_until(self, bstar_stage_leads, STAGE_PRIMARY);
    assert_int_equal(notes.last_was, BSTAR_WAITING);
    assert_int_equal(notes.last_is, BSTAR_ACTIVE);

    struct bstar_hooks hooks = {.drain = note_drain, .drop = note_drop, .ctx = &notes};
    bstar_t *half = self->halves[STAGE_PRIMARY];
    bstar_hook(half, &hooks);
    bstar_stop(half, galleon_now_ns());
    bstar_stop(half, galleon_now_ns());
    assert_int_equal(notes.drains, 1);
    assert_false(bstar_is_over(half));
    assert_false(bstar_may_serve(half, galleon_now_ns()));
    assert_true(bstar_may_finish(half, galleon_now_ns()));
    bstar_stage_until(self, bstar_stage_is_active, STAGE_BACKUP);
    assert_false(bstar_is_over(half));
    bstar_drained(half, galleon_now_ns());
    assert_true(bstar_is_over(half));
    assert_true(bstar_deadline(half) == UINT64_MAX);
    assert_int_equal(notes.drops, 0);
}

static void
a_passive_half_stops_at_once(void **state)
{
    struct bstar_stage *self = *state;
    start_both(self);
    bstar_stop(self->halves[STAGE_BACKUP], galleon_now_ns());
    assert_true(bstar_is_over(self->halves[STAGE_BACKUP]));
    assert_true(bstar_stage_is_active(self, STAGE_PRIMARY));
}

// ---- peers by hand --------------------------------------------------------------------------

struct hand {
    zsock_t *mouth; // PUB
    zsock_t *ear;   // SUB
};

// open_hand is the peer of the backup.
static void
open_hand(struct hand *self, struct bstar_stage *stage)
{
    self->mouth = zsock_new(ZMQ_PUB);
    zsock_set_sndhwm(self->mouth, 0);
    assert_int_equal(zsock_bind(self->mouth, "%s", stage->ends[STAGE_PRIMARY]), 0);
    bstar_stage_start(stage, STAGE_BACKUP);
    self->ear = zsock_new_sub(stage->ends[STAGE_BACKUP], "");
    assert_non_null(self->ear);
    zsock_set_rcvtimeo(self->ear, 10000);
}

static void
close_hand(struct hand *self)
{
    zsock_destroy(&self->mouth);
    zsock_destroy(&self->ear);
}

static const char active_beat[] = "3 b1 17 P 9f02c4d1a7be3350 4711 88213";

// say_until: a PUB drops what it says before anybody has subscribed.
static void
say_until(struct hand *self, struct bstar_stage *stage, const char *beat, bstar_stage_fact *is_so)
{
    uint64_t end_ns = galleon_now_ns() + 10000000000u;
    while (!is_so(stage, STAGE_BACKUP)) {
        assert_true(galleon_now_ns() < end_ns);
        zstr_send(self->mouth, beat);
        bstar_stage_turn(stage);
    }
}

static void
a_half_follows_the_beats_it_hears(void **state)
{
    struct bstar_stage *self = *state;
    struct hand hand;
    open_hand(&hand, self);
    say_until(&hand, self, active_beat, bstar_stage_is_passive);
    assert_string_equal(bstar_stage_row(self, STAGE_BACKUP, "epoch"), "17");
    assert_string_equal(bstar_stage_row(self, STAGE_BACKUP, "peer-node"), "9f02c4d1a7be3350");
    // It waits again: it was started anew.
    say_until(&hand, self, "1 b1 0 P 9f02c4d1a7be3350 1 1", bstar_stage_is_active);
    assert_string_equal(bstar_stage_row(self, STAGE_BACKUP, "epoch"), "18");
    close_hand(&hand);
}

static void
a_vote_is_judged_when_all_beats_are_read(void **state)
{
    struct bstar_stage *self = *state;
    struct hand hand;
    self->options.liveness = 5;
    open_hand(&hand, self);
    say_until(&hand, self, active_beat, bstar_stage_is_passive);
    // It is asked and asked, but its owner does not pump it for twice the patience.
    char beat[64];
    for (int i = 0; i < 100; i++) {
        snprintf(beat, sizeof beat, "3 b1 17 P 9f02c4d1a7be3350 %d %d", i, i);
        zstr_send(hand.mouth, beat);
        zclock_sleep(5);
        assert_false(bstar_stage_serves(self, STAGE_BACKUP));
    }
    close_hand(&hand);
}

static void
a_loop_that_hangs_is_heard_to_hang(void **state)
{
    struct bstar_stage *self = *state;
    struct hand hand;
    open_hand(&hand, self);
    // Nobody turns it: the thread says what it was told, and where the loop stands.
    char *first = NULL, *last = NULL;
    unsigned long long sequence[2], progress[2];
    bstar_stage_turn(self);
    for (int i = 0; i < 5; i++) {
        char *beat = zstr_recv(hand.ear);
        assert_non_null(beat);
        zstr_free(&last);
        last = first == NULL ? NULL : beat;
        if (first == NULL)
            first = beat;
    }
    assert_int_equal(sscanf(first, "2 b1 0 B %*s %llu %llu", &sequence[0], &progress[0]), 2);
    assert_int_equal(sscanf(last, "2 b1 0 B %*s %llu %llu", &sequence[1], &progress[1]), 2);
    assert_true(sequence[1] == sequence[0] + 4);
    zstr_free(&first);
    // Those of the loop itself came first.
    for (int i = 0; i < 3; i++) {
        first = zstr_recv(hand.ear);
        assert_int_equal(sscanf(first, "2 b1 0 B %*s %*u %llu", &progress[0]), 1);
        assert_true(progress[0] == progress[1]);
        zstr_free(&first);
    }
    zstr_free(&last);
    close_hand(&hand);
}

static bool
has_rejected(struct bstar_stage *self, int half)
{
    return strtoull(bstar_stage_row(self, half, "invalid_header"), NULL, 10) > 0;
}

static void
garbage_is_counted_and_nothing_else(void **state)
{
    struct bstar_stage *self = *state;
    struct hand hand;
    open_hand(&hand, self);
    say_until(&hand, self, active_beat, bstar_stage_is_passive);
    uint8_t noise[4096];
    memset(noise, 0xa5, sizeof noise);
    for (size_t size = 0; size <= 600; size++) {
        zmq_send(zsock_resolve(hand.mouth), noise, size, 0);
        if (size % 100 == 0)
            bstar_stage_turn(self);
    }
    zstr_sendm(hand.mouth, active_beat);
    zstr_sendm(hand.mouth, "2");
    zstr_send(hand.mouth, "3");
    bstar_stage_until(self, has_rejected, STAGE_BACKUP);
    assert_true(bstar_stage_is_passive(self, STAGE_BACKUP));
    // Beyond the limit the connection is cut; it comes back.
    zmq_send(zsock_resolve(hand.mouth), noise, sizeof noise, 0);
    say_until(&hand, self, "1 b1 0 P 9f02c4d1a7be3350 1 1", bstar_stage_is_active);
    close_hand(&hand);
}

static void
a_flood_is_cut_off(void **state)
{
    struct bstar_stage *self = *state;
    char text[4096];
    struct hand hand;
    open_hand(&hand, self);
    say_until(&hand, self, active_beat, bstar_stage_is_passive);
    struct bstar_stage_log log;
    bstar_stage_begin_log(&log);
    for (int i = 0; i < 100000; i++)
        zstr_send(hand.mouth, active_beat);
    say_until(&hand, self, "1 b1 0 P 9f02c4d1a7be3350 1 1", bstar_stage_is_active);
    bstar_stage_end_log(&log, text, sizeof text);
    assert_non_null(strstr(text, "warn PAIR-FLOOD from=ipc://"));
    close_hand(&hand);
}

static void
a_stranger_at_the_beats_does_no_harm(void **state)
{
    struct bstar_stage *self = *state;
    start_both(self);
    zsock_t *stranger = zsock_new(ZMQ_DEALER);
    assert_int_equal(zsock_connect(stranger, "%s", self->ends[STAGE_PRIMARY]), 0);
    zsock_t *subscriber = zsock_new(ZMQ_XSUB);
    assert_int_equal(zsock_connect(subscriber, "%s", self->ends[STAGE_PRIMARY]), 0);
    for (int i = 0; i < 200; i++) {
        zmq_send(zsock_resolve(subscriber), "\1\2\3garbage", 10, ZMQ_DONTWAIT);
        zmq_send(zsock_resolve(stranger), "garbage", 7, ZMQ_DONTWAIT);
        bstar_stage_turn(self);
    }
    assert_true(bstar_stage_leads(self, STAGE_PRIMARY));
    zsock_destroy(&stranger);
    zsock_destroy(&subscriber);
}

static void
no_bare_digit_is_said_for_a_loop_that_hangs(void **state)
{
    struct bstar_stage *self = *state;
    struct hand hand;
    self->options.guide_peer = true;
    open_hand(&hand, self);
    bstar_stage_turn(self);
    char *beat = zstr_recv(hand.ear);
    assert_string_equal(beat, "2");
    zstr_free(&beat);
    // Ten beats long there is none: it fell silent.
    zsock_set_rcvtimeo(hand.ear, 500);
    uint64_t end_ns = galleon_now_ns() + 20000000000u;
    while ((beat = zstr_recv(hand.ear)) != NULL) {
        assert_true(galleon_now_ns() < end_ns);
        zstr_free(&beat);
    }
    zsock_set_rcvtimeo(hand.ear, 10000);
    bstar_stage_turn(self);
    beat = zstr_recv(hand.ear);
    assert_string_equal(beat, "2");
    zstr_free(&beat);
    close_hand(&hand);
}

static void
changes_and_alarms_are_logged(void **state)
{
    struct bstar_stage *self = *state;
    char text[16384];
    struct bstar_stage_log log;
    bstar_stage_begin_log(&log);
    self->options.liveness = 5;
    struct hand hand;
    open_hand(&hand, self);
    say_until(&hand, self, "3 b1 17 B 9f02c4d1a7be3350 4711 1", bstar_stage_is_passive);
    bstar_stage_until(self, misses_peer, STAGE_BACKUP);
    bstar_stage_turn(self);
    assert_true(bstar_stage_serves(self, STAGE_BACKUP));
    zstr_send(hand.mouth, "what");
    bstar_stage_until(self, has_rejected, STAGE_BACKUP);
    close_hand(&hand);
    bstar_stage_end_log(&log, text, sizeof text);
    static const char *const lines[] = {
        "info PAIR-STATE was=WAIT-B is=PASSIVE epoch=17 why=\"peer ACTIVE, it wins\"",
        "error PAIR-ALARM why=\"both halves are backup\" node=9f02c4d1a7be3350 own=",
        "warn PAIR-PEER-SILENT state=PASSIVE patience_ms=250",
        "warn PAIR-STATE was=PASSIVE is=ACTIVE epoch=18 why=\"vote, peer silent, grace",
        "warn PAIR-MESSAGE-REJECTED why=\"invalid_header\"",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("no line \"%s\" in:\n%s", lines[i], text);
}

// ---- making one ------------------------------------------------------------------------------

static void
assert_refused(const char *bind, const char *peer, const bstar_options_t *options, int error)
{
    errno = 0;
    assert_null(bstar_new(BSTAR_PRIMARY, bind, peer, options));
    assert_int_equal(errno, error);
}

static void
what_cannot_be_is_refused(void **state)
{
    struct bstar_stage *self = *state;
    const char *bind = "tcp://127.0.0.1:*";
    const char *peer = "tcp://127.0.0.1:9";
    assert_refused(NULL, peer, NULL, EINVAL);
    assert_refused(bind, NULL, NULL, EINVAL);
    assert_refused("nonsense", peer, NULL, EINVAL);
    assert_refused(bind, "tcp://127.0.0.1:*", NULL, EINVAL);
    assert_refused(bind, "tcp://127.0.0.1:9,tcp://127.0.0.1:10", NULL, EINVAL);
    assert_refused(bind, peer, &(bstar_options_t){.liveness = 2}, EINVAL);
    assert_refused(bind, peer, &(bstar_options_t){.heartbeat_ms = 70000}, EINVAL);
    assert_refused(bind, peer, &(bstar_options_t){.state_file = self->files[0]}, EINVAL);
    assert_refused(bind, peer, &(bstar_options_t){.init = true}, EINVAL);
    assert_refused(bind, peer, &(bstar_options_t){.lease_ms = 1000}, EINVAL);
    bstar_t *half = bstar_new(BSTAR_PRIMARY, bind, peer, NULL);
    assert_non_null(half);
    assert_null(strchr(bstar_endpoint(half), '*'));
    assert_refused(bstar_endpoint(half), peer, NULL, EADDRINUSE);
    bstar_destroy(&half);
    bstar_destroy(&half);
}

static void
states_have_names(void **state)
{
    (void)state;
    assert_string_equal(bstar_state_name(BSTAR_WAITING), "WAITING");
    assert_string_equal(bstar_state_name(BSTAR_ACTIVE), "ACTIVE");
    assert_string_equal(bstar_state_name(BSTAR_PASSIVE), "PASSIVE");
    assert_string_equal(bstar_state_name(BSTAR_FAULT), "FAULT");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_cold_pair_settles_with_the_primary_active),
        TEST(a_half_that_leaves_is_followed_at_once),
        TEST(a_half_that_hangs_is_replaced_when_a_client_asks),
        TEST(a_backup_alone_serves_after_its_grace),
        TEST(two_of_one_role_are_a_fault_that_ends_with_it),
        TEST(a_demoted_half_is_followed_at_once),
        TEST(classic_declines_the_words_of_guarded),
        TEST(a_stopping_half_leaves_when_it_is_drained),
        TEST(a_passive_half_stops_at_once),
        TEST(a_half_follows_the_beats_it_hears),
        TEST(a_vote_is_judged_when_all_beats_are_read),
        TEST(a_loop_that_hangs_is_heard_to_hang),
        TEST(garbage_is_counted_and_nothing_else),
        TEST(a_flood_is_cut_off),
        TEST(a_stranger_at_the_beats_does_no_harm),
        TEST(no_bare_digit_is_said_for_a_loop_that_hangs),
        TEST(changes_and_alarms_are_logged),
        TEST(what_cannot_be_is_refused),
        TEST(states_have_names),
    };
    zsys_handler_set(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
