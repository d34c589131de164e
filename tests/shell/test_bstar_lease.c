// test_bstar_lease.c - guarded: two halves and a witness, records on disk, real sockets.
//
// The stage fails as soon as two halves serve at one moment, in any of these tests.

#include "bstar_half.h"
#include "bstar_stage.h"
#include "monitor.h"

#include <galleon/status.h>

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LEASE_MS = 1500 };

static int
set_up(void **state)
{
    struct bstar_stage *self = calloc(1, sizeof *self);
    bstar_stage_open(self);
    // Long enough for a busy machine: a loop that stands still for so long loses its lease.
    self->options = (bstar_options_t){.lease_ms = LEASE_MS};
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

static bool
exactly_one_leads(struct bstar_stage *self, int half)
{
    (void)half;
    return bstar_stage_leads(self, STAGE_PRIMARY) || bstar_stage_leads(self, STAGE_BACKUP);
}

static int
leader(struct bstar_stage *self)
{
    return bstar_stage_is_active(self, STAGE_PRIMARY) ? STAGE_PRIMARY : STAGE_BACKUP;
}

// start_all returns which half leads.
static int
start_all(struct bstar_stage *self)
{
    bstar_stage_start_witness(self);
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    bstar_stage_start_guarded(self, STAGE_BACKUP);
    bstar_stage_until(self, exactly_one_leads, 0);
    return leader(self);
}

static uint64_t
epoch_of(struct bstar_stage *self, int half)
{
    struct bstar_stamp stamp;
    assert_true(bstar_stamp(self->halves[half], &stamp));
    return stamp.epoch;
}

static struct bstar_answer
say(struct bstar_stage *self, int half, enum bstar_word word)
{
    return bstar_say(self->halves[half], word, galleon_now_ns());
}

static bool
misses_peer(struct bstar_stage *self, int half)
{
    return strcmp(bstar_stage_row(self, half, "peer"), "alive") != 0;
}

static bool
misses_witness(struct bstar_stage *self, int half)
{
    return strcmp(bstar_stage_row(self, half, "witness"), "silent") == 0;
}

static bool
hears_witness(struct bstar_stage *self, int half)
{
    return strcmp(bstar_stage_row(self, half, "witness"), "alive") == 0;
}

static bool
is_at_fault(struct bstar_stage *self, int half)
{
    return bstar_state(self->halves[half]) == BSTAR_FAULT;
}

static bool
accepts_promotion(struct bstar_stage *self, int half)
{
    return say(self, half, BSTAR_SAY_PROMOTE_PEER_IS_DEAD).is_accepted;
}

// ---- who serves ------------------------------------------------------------------------------

// asks_nobody: it has asked its witness which one it is, and that is some time ago.
static bool
asks_nobody(struct bstar_stage *self, int half)
{
    return strcmp(bstar_stage_row(self, half, "witness"), "not asked") == 0;
}

static void
a_cold_pair_elects_one(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    assert_true(bstar_stage_serves(self, active));
    assert_false(bstar_stage_serves(self, 1 - active));
    assert_true(epoch_of(self, active) > 0);
    struct bstar_stamp stamp;
    assert_true(bstar_stamp(self->halves[active], &stamp));
    assert_true(stamp.pair == bstar_pair_of(view_of("galleon", 7)));
    assert_string_equal(bstar_stage_row(self, active, "witness"), "alive");
    bstar_stage_until(self, asks_nobody, 1 - active);
}

static void
one_half_and_the_witness_are_enough(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_witness(self);
    bstar_stage_start_guarded(self, STAGE_BACKUP);
    bstar_stage_until(self, bstar_stage_serves, STAGE_BACKUP);
}

static void
a_half_that_leaves_gives_its_lease_back(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    uint64_t epoch = epoch_of(self, active);
    bstar_destroy(&self->halves[active]);
    bstar_stage_until(self, bstar_stage_is_active, 1 - active);
    assert_true(epoch_of(self, 1 - active) > epoch);
}

static void
a_half_that_hangs_loses_its_lease(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    self->is_hung[active] = true;
    bstar_stage_until(self, bstar_stage_is_active, 1 - active);
    // What it still takes itself for does not count.
    assert_true(bstar_stage_is_active(self, active));
    assert_false(bstar_is_serving(self->halves[active], galleon_now_ns()));
    assert_false(bstar_may_finish(self->halves[active], galleon_now_ns()));
    assert_false(bstar_stage_serves(self, active));
    self->is_hung[active] = false;
    bstar_stage_until(self, bstar_stage_leads, 1 - active);
}

static void
without_a_witness_the_pair_goes_on(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    uint64_t epoch = epoch_of(self, active);
    bstar_stage_stop_witness(self);
    bstar_stage_until(self, misses_witness, active);
    assert_true(bstar_stage_leads(self, active));
    bstar_stage_start_witness(self);
    bstar_stage_until(self, hears_witness, active);
    assert_true(bstar_stage_leads(self, active));
    assert_true(epoch_of(self, active) == epoch);
}

static void
a_half_alone_serves_by_the_operators_word_only(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    bstar_stage_stop_witness(self);
    assert_false(say(self, 1 - active, BSTAR_SAY_PROMOTE_PEER_IS_DEAD).is_accepted);
    bstar_destroy(&self->halves[active]);
    bstar_stage_until(self, misses_peer, 1 - active);
    assert_false(bstar_stage_serves(self, 1 - active));
    bstar_stage_until(self, accepts_promotion, 1 - active);
    bstar_stage_until(self, bstar_stage_serves, 1 - active);
    assert_true(epoch_of(self, 1 - active) > 1000);
}

// ---- who is missed ---------------------------------------------------------------------------

static void
assert_said(const char *text, const char *line)
{
    if (strstr(text, line) == NULL)
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

static bool
takes_witness_for_well(struct bstar_stage *self, int half)
{
    return strcmp(bstar_stage_row(self, half, "witness"), "not asked") == 0;
}

static void
a_half_that_watches_misses_the_witness_and_hears_it_again(void **state)
{
    struct bstar_stage *self = *state;
    char text[16384];
    struct bstar_stage_log log;
    int active = start_all(self);
    bstar_stage_begin_log(&log);
    bstar_stage_stop_witness(self);
    bstar_stage_until(self, misses_witness, 1 - active);
    bstar_stage_until(self, misses_witness, active);
    bstar_stage_start_witness(self);
    bstar_stage_until(self, takes_witness_for_well, 1 - active);
    bstar_stage_until(self, hears_witness, active);
    bstar_stage_end_log(&log, text, sizeof text);
    static const char *const lines[] = {
        "warn PAIR-WITNESS-SILENT state=PASSIVE lease_ms=1500 why=\"not connected\"\n",
        "warn PAIR-WITNESS-SILENT state=ACTIVE lease_ms=1500 why=\"not connected\"\n",
        "warn PAIR-WITNESS-HEARD state=PASSIVE epoch=",
        "warn PAIR-WITNESS-HEARD state=ACTIVE epoch=",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_said(text, lines[i]);
    assert_null(strstr(text, "PAIR-NOBODY-SERVES"));
}

static void
a_witness_that_answers_nothing_is_missed(void **state)
{
    struct bstar_stage *self = *state;
    char text[16384];
    struct bstar_stage_log log;
    zsock_t *mute = zsock_new(ZMQ_ROUTER);
    assert_int_equal(zsock_bind(mute, "%s", self->ends[STAGE_HALVES]), 0);
    bstar_stage_begin_log(&log);
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    bstar_stage_until(self, misses_witness, STAGE_PRIMARY);
    bstar_stage_end_log(&log, text, sizeof text);
    assert_said(text, "why=\"connected, and does not answer\"\n");
    zsock_destroy(&mute);
}

static bool
has_waited(struct bstar_stage *self, int half)
{
    const struct bstar_silences *silences = &self->halves[half]->silences;
    return silences->unserved_ns != 0 &&
           galleon_now_ns() - silences->unserved_ns > 6 * self->options.lease_ms * 1000000ull;
}

static void
that_nobody_serves_is_said_once(void **state)
{
    struct bstar_stage *self = *state;
    char text[16384];
    struct bstar_stage_log log;
    self->options.lease_ms = 500;
    bstar_stage_begin_log(&log);
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    bstar_stage_until(self, has_waited, STAGE_PRIMARY);
    assert_true(say(self, STAGE_PRIMARY, BSTAR_SAY_FREEZE).is_accepted);
    bstar_stage_turn(self);
    bstar_stage_end_log(&log, text, sizeof text);
    const char *first = strstr(text, "warn PAIR-NOBODY-SERVES");
    assert_non_null(first);
    assert_non_null(strstr(first, "why=\"the peer is silent, the witness is silent\"\n"));
    const char *second = strstr(first + 1, "warn PAIR-NOBODY-SERVES");
    assert_non_null(second);
    assert_non_null(strstr(second, "why=\"it is frozen\"\n"));
    assert_null(strstr(second + 1, "warn PAIR-NOBODY-SERVES"));
}

// ---- the operator ----------------------------------------------------------------------------

struct notes {
    int drains, drops;
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
a_planned_switch_waits_for_what_is_out(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    struct notes notes = {0};
    struct bstar_hooks hooks = {note_drain, note_drop, &notes};
    bstar_t *half = self->halves[active];
    bstar_hook(half, &hooks);
    assert_true(say(self, active, BSTAR_SAY_DEMOTE).is_accepted);
    assert_int_equal(notes.drains, 1);
    assert_false(bstar_is_serving(half, galleon_now_ns()));
    assert_true(bstar_may_finish(half, galleon_now_ns()));
    assert_true(bstar_stage_is_passive(self, 1 - active));
    bstar_drained(half, galleon_now_ns());
    assert_false(bstar_may_finish(half, galleon_now_ns()));
    bstar_stage_until(self, bstar_stage_leads, 1 - active);
    assert_int_equal(notes.drops, 0);
}

static void
a_half_that_stood_still_does_not_blame_the_witness(void **state)
{
    struct bstar_stage *self = *state;
    char text[16384];
    struct bstar_stage_log log;
    int active = start_all(self);
    struct notes notes = {0};
    struct bstar_hooks hooks = {note_drain, note_drop, &notes};
    bstar_hook(self->halves[active], &hooks);
    bstar_stage_begin_log(&log);
    self->is_hung[active] = true;
    bstar_stage_until(self, bstar_stage_is_active, 1 - active);
    self->is_hung[active] = false;
    // What is out is never dropped, for as long as two leases: it stays in DRAINING.
    uint64_t end_ns = galleon_now_ns() + 2 * LEASE_MS * 1000000ull;
    while (galleon_now_ns() < end_ns)
        bstar_stage_turn(self);
    bstar_stage_end_log(&log, text, sizeof text);
    assert_int_equal(notes.drops, 1);
    assert_string_equal(bstar_stage_row(self, active, "state"), "DRAINING");
    assert_null(strstr(text, "PAIR-WITNESS-SILENT"));
    assert_said(text, "warn PAIR-GAP limit_ms=375 gaps=");
    assert_said(text, "warn PAIR-PEER-HEARD state=ACTIVE\n");
}

static void
a_drain_that_takes_too_long_is_dropped(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    struct notes notes = {0};
    struct bstar_hooks hooks = {note_drain, note_drop, &notes};
    bstar_hook(self->halves[active], &hooks);
    assert_true(say(self, active, BSTAR_SAY_DEMOTE).is_accepted);
    bstar_stage_until(self, bstar_stage_leads, 1 - active);
    assert_int_equal(notes.drains, 1);
    assert_int_equal(notes.drops, 1);
}

static void
a_stopped_half_hands_over_first(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    bstar_stop(self->halves[active], galleon_now_ns());
    assert_true(bstar_is_over(self->halves[active]));
    bstar_stage_until(self, bstar_stage_is_active, 1 - active);
}

static void
a_frozen_half_is_thawed_first(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    assert_true(say(self, 1 - active, BSTAR_SAY_FREEZE).is_accepted);
    bstar_destroy(&self->halves[active]);
    bstar_stage_until(self, misses_peer, 1 - active);
    struct bstar_answer answer = say(self, 1 - active, BSTAR_SAY_PROMOTE);
    assert_false(answer.is_accepted);
    assert_string_equal(answer.why, "it is frozen: thaw it");
    assert_true(say(self, 1 - active, BSTAR_SAY_THAW).is_accepted);
    bstar_stage_until(self, bstar_stage_is_active, 1 - active);
}

static void
a_half_that_just_started_says_when_to_promote(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    struct bstar_answer answer = say(self, STAGE_PRIMARY, BSTAR_SAY_PROMOTE);
    assert_false(answer.is_accepted);
    assert_in_range(answer.wait_ms, 1, LEASE_MS);
}

static void
a_refusal_of_the_epoch_changes_nothing(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    uint64_t epoch = epoch_of(self, active);
    for (int i = 0; i < 100; i++)
        bstar_fenced(self->halves[active], galleon_now_ns());
    bstar_stage_turn(self);
    assert_true(bstar_stage_leads(self, active));
    assert_true(epoch_of(self, active) == epoch);
}

// ---- records --------------------------------------------------------------------------------

static void
a_restarted_half_is_the_same_node_and_epochs_rise(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    uint64_t epoch = epoch_of(self, active);
    char node[32];
    snprintf(node, sizeof node, "%s", bstar_stage_row(self, active, "node"));
    bstar_destroy(&self->halves[active]);
    bstar_stage_until(self, bstar_stage_is_active, 1 - active);
    bstar_stage_start_guarded(self, active);
    assert_string_equal(bstar_stage_row(self, active, "node"), node);
    bstar_stage_until(self, bstar_stage_leads, 1 - active);
    bstar_destroy(&self->halves[1 - active]);
    bstar_stage_until(self, bstar_stage_is_active, active);
    assert_true(epoch_of(self, active) > epoch + 1);
}

static void
a_half_without_a_record_is_at_fault_until_it_is_cleared(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_witness(self);
    self->options.witness = self->ends[STAGE_HALVES];
    self->options.state_file = self->files[STAGE_PRIMARY];
    bstar_stage_start(self, STAGE_PRIMARY);
    assert_true(is_at_fault(self, STAGE_PRIMARY));
    assert_non_null(strstr(bstar_why(self->halves[STAGE_PRIMARY]), "there is no record"));
    bstar_stage_turn(self);
    assert_false(bstar_stage_serves(self, STAGE_PRIMARY));
    struct bstar_answer answer = say(self, STAGE_PRIMARY, BSTAR_SAY_CLEAR);
    assert_false(answer.is_accepted);
    assert_non_null(strstr(answer.why, "there is no record"));

    struct bstar_owner owner = {.pair = bstar_pair_of(view_of("galleon", 7)), .member = 'P'};
    assert_int_equal(bstar_record_make(self->files[STAGE_PRIMARY], owner), 0);
    assert_true(say(self, STAGE_PRIMARY, BSTAR_SAY_CLEAR).is_accepted);
    assert_string_equal(bstar_why(self->halves[STAGE_PRIMARY]), "");
    bstar_stage_until(self, bstar_stage_serves, STAGE_PRIMARY);
}

static void
a_damaged_record_is_a_fault_and_no_epoch_0(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    bstar_destroy(&self->halves[STAGE_PRIMARY]);
    FILE *file = fopen(self->files[STAGE_PRIMARY], "r+");
    assert_non_null(file);
    for (int i = 0; i < BSTAR_RECORD_BYTES; i++)
        fputc('x', file);
    fclose(file);
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    assert_true(is_at_fault(self, STAGE_PRIMARY));
    assert_string_equal(bstar_why(self->halves[STAGE_PRIMARY]), "the record is damaged");
}

static void
a_half_that_cannot_write_its_vote_is_at_fault(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_witness(self);
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    int read_only = open(self->files[STAGE_PRIMARY], O_RDONLY);
    assert_true(read_only >= 0);
    assert_true(dup2(read_only, self->halves[STAGE_PRIMARY]->file.fd) >= 0);
    close(read_only);
    bstar_stage_until(self, is_at_fault, STAGE_PRIMARY);
    assert_string_equal(bstar_why(self->halves[STAGE_PRIMARY]),
                        "the record cannot be read or written");
    assert_false(bstar_stage_serves(self, STAGE_PRIMARY));
    assert_true(say(self, STAGE_PRIMARY, BSTAR_SAY_CLEAR).is_accepted);
    bstar_stage_until(self, bstar_stage_serves, STAGE_PRIMARY);
}

static void
assert_refused(struct bstar_stage *self, const bstar_options_t *options, int error)
{
    errno = 0;
    assert_null(bstar_new(BSTAR_PRIMARY, self->ends[0], self->ends[1], options));
    assert_int_equal(errno, error);
}

static void
a_record_has_one_half_and_is_made_once(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    bstar_options_t options = self->options;
    assert_refused(self, &options, EEXIST);
    options.init = false;
    assert_refused(self, &options, EBUSY);
    options.state_file = NULL;
    assert_refused(self, &options, EINVAL);
}

static void
guarded_stays_on_this_machine(void **state)
{
    struct bstar_stage *self = *state;
    static const char *const far[] = {"tcp://10.0.0.1:5003", "tcp://localhost:5003",
                                      "tcp://127.example.org:5003", "tcp://[::]:5003",
                                      "inproc://pair"};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        bstar_options_t options = {.witness = self->ends[2], .state_file = self->files[0]};
        errno = 0;
        assert_null(bstar_new(BSTAR_PRIMARY, far[i], self->ends[1], &options));
        assert_int_equal(errno, EINVAL);
        errno = 0;
        assert_null(bstar_new(BSTAR_PRIMARY, self->ends[0], far[i], &options));
        assert_int_equal(errno, EINVAL);
        options.witness = far[i];
        assert_refused(self, &options, EINVAL);
    }
}

// ---- strangers ------------------------------------------------------------------------------

static void
send_noise(void *handle)
{
    uint8_t noise[4096];
    memset(noise, 0x42, sizeof noise);
    for (size_t size = 0; size <= 300; size++)
        zmq_send(handle, noise, size, ZMQ_DONTWAIT);
    memcpy(noise, "BSTRG1", 6);
    for (size_t size = 6; size <= 300; size++)
        zmq_send(handle, noise, size, ZMQ_DONTWAIT);
    for (int command = 0; command < 256; command++) {
        noise[6] = (uint8_t)command;
        zmq_send(handle, noise, 64, ZMQ_DONTWAIT);
    }
    if (zmq_send(handle, noise, 64, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0)
        zmq_send(handle, noise, 64, ZMQ_DONTWAIT);
}

static bool
has_rejected(struct bstar_stage *self, int half)
{
    return strtoull(bstar_stage_row(self, half, "invalid_header"), NULL, 10) >= 300;
}

static void
noise_is_counted_and_nothing_else(void **state)
{
    struct bstar_stage *self = *state;
    int active = start_all(self);
    uint64_t epoch = epoch_of(self, active);
    zsock_t *strangers[STAGE_HALVES + 1];
    for (int i = 0; i <= STAGE_HALVES; i++) {
        strangers[i] = zsock_new(ZMQ_DEALER);
        if (i == STAGE_HALVES)
            zsock_set_identity(strangers[i], "a name of its own");
        assert_int_equal(zsock_connect(strangers[i], "%s", self->ends[i]), 0);
        send_noise(zsock_resolve(strangers[i]));
    }
    bstar_stage_until(self, has_rejected, STAGE_PRIMARY);
    bstar_stage_until(self, has_rejected, STAGE_BACKUP);
    // What is too large cuts its sender off.
    char *large = calloc(1, 100000);
    for (int i = 0; i <= STAGE_HALVES; i++) {
        zmq_send(zsock_resolve(strangers[i]), large, 100000, ZMQ_DONTWAIT);
        zsock_destroy(&strangers[i]);
    }
    free(large);
    bstar_stage_turn(self);
    assert_true(bstar_stage_leads(self, active));
    assert_true(epoch_of(self, active) == epoch);
}

static bool
has_wrong_size(struct bstar_stage *self, int half)
{
    const uint64_t *faults = self->halves[half]->core.stats.faults;
    return faults[BSTAR_BAD_SIZE] + faults[BSTAR_BAD_HEADER] > 0;
}

static void
a_message_that_is_too_large_ends_its_connection(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    zsock_t *stranger = zsock_new(ZMQ_DEALER);
    void *handle = zsock_resolve(stranger);
    void *monitor = monitor_open(handle, ZMQ_EVENT_DISCONNECTED);
    assert_non_null(monitor);
    assert_int_equal(zsock_connect(stranger, "%s", self->ends[STAGE_PRIMARY]), 0);
    static const uint8_t noise[BSTAR_BYTES_MAX + 1];
    zmq_send(handle, noise, BSTAR_BYTES_MAX, 0);
    bstar_stage_until(self, has_wrong_size, STAGE_PRIMARY);
    assert_int_equal(monitor_next(monitor), 0);
    zmq_send(handle, noise, BSTAR_BYTES_MAX + 1, 0);
    uint64_t end_ns = galleon_now_ns() + 10000000000u;
    while (monitor_next(monitor) == 0) {
        assert_true(galleon_now_ns() < end_ns);
        bstar_stage_turn(self);
    }
    monitor_close(handle, &monitor);
    zsock_destroy(&stranger);
}

static bool
has_another_pair(struct bstar_stage *self, int half)
{
    return strtoull(bstar_stage_row(self, half, "unknown_pair"), NULL, 10) >= 50;
}

static void
strangers_are_said_once_for_each_reason(void **state)
{
    struct bstar_stage *self = *state;
    char text[16384];
    struct bstar_stage_log log;
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    zsock_t *stranger = zsock_new(ZMQ_DEALER);
    assert_int_equal(zsock_connect(stranger, "%s", self->ends[STAGE_PRIMARY]), 0);
    bstar_stage_begin_log(&log);
    for (uint64_t node = 1; node <= 50; node++) {
        struct bstar_message beat = {
            .command = BSTAR_BEAT, .state = 1, .pair = 4711, .node = node, .epoch = 1};
        uint8_t frame[BSTAR_MESSAGE_BYTES_MAX];
        size_t size = bstar_message_encode(&beat, frame);
        zmq_send(zsock_resolve(stranger), frame, size, 0);
        zmq_send(zsock_resolve(stranger), "garbage", 7, 0);
    }
    bstar_stage_until(self, has_another_pair, STAGE_PRIMARY);
    bstar_stage_end_log(&log, text, sizeof text);
    int lines = 0;
    for (const char *at = text; (at = strstr(at, "PAIR-MESSAGE-REJECTED")) != NULL; at++)
        lines++;
    assert_int_equal(lines, 2);
    assert_said(text, "warn PAIR-MESSAGE-REJECTED why=\"unknown_pair\" node=0000000000000001 "
                      "messages=1 perhaps=");
    zsock_destroy(&stranger);
}

static bool
has_wrong_sender(struct bstar_stage *self, int half)
{
    return strtoull(bstar_stage_row(self, half, "wrong_sender"), NULL, 10) > 0;
}

static void
grants_come_from_who_was_asked(void **state)
{
    struct bstar_stage *self = *state;
    start_all(self);
    zsock_t *stranger = zsock_new(ZMQ_DEALER);
    assert_int_equal(zsock_connect(stranger, "%s", self->ends[STAGE_PRIMARY]), 0);
    struct bstar_message grant = {.command = BSTAR_GRANT,
                                  .pair = bstar_pair_of(view_of("galleon", 7)),
                                  .node = 1,
                                  .epoch = 1};
    uint8_t frame[BSTAR_MESSAGE_BYTES_MAX];
    size_t size = bstar_message_encode(&grant, frame);
    zmq_send(zsock_resolve(stranger), frame, size, 0);
    bstar_stage_until(self, has_wrong_sender, STAGE_PRIMARY);
    zsock_destroy(&stranger);
}

static bool
has_other_lease(struct bstar_stage *self, int half)
{
    return strtoull(bstar_stage_row(self, half, "lease_differs"), NULL, 10) > 0;
}

static void
a_half_with_another_lease_is_denied_and_named(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    self->options.lease_ms = 2 * LEASE_MS;
    bstar_stage_start_guarded(self, STAGE_BACKUP);
    bstar_stage_until(self, has_other_lease, STAGE_BACKUP);
    bstar_stage_until(self, has_other_lease, STAGE_PRIMARY);
    assert_int_equal(strtoull(bstar_stage_row(self, STAGE_PRIMARY, "grants"), NULL, 10), 0);
    assert_int_equal(strtoull(bstar_stage_row(self, STAGE_BACKUP, "grants"), NULL, 10), 0);
}

// ---- clocks ----------------------------------------------------------------------------------

static void
ask_half(zsock_t *member, enum bstar_command command, uint64_t node, uint64_t epoch)
{
    struct bstar_message message = {.command = command,
                                    .state = 1,
                                    .pair = bstar_pair_of(view_of("galleon", 7)),
                                    .node = node,
                                    .epoch = epoch,
                                    .nonce = {{(uint8_t)command, (uint8_t)node}}};
    uint8_t frame[BSTAR_MESSAGE_BYTES_MAX];
    size_t size = bstar_message_encode(&message, frame);
    assert_int_equal(zmq_send(zsock_resolve(member), frame, size, 0), (int)size);
}

// answer_at turns the half at one reading of the clock until it answers.
static struct bstar_message
answer_at(bstar_t *half, zsock_t *member, uint64_t now_ns)
{
    uint8_t frame[BSTAR_MESSAGE_BYTES_MAX];
    struct bstar_message answer;
    int size = -1;
    for (int i = 0; i < 2000 && size < 0; i++) {
        (void)bstar_pump(half, now_ns);
        size = zmq_recv(zsock_resolve(member), frame, sizeof frame, 0);
    }
    assert_true(size > 0);
    struct view read = view_of(frame, (size_t)size);
    assert_int_equal(bstar_message_decode(&read, 1, &answer), BSTAR_SOUND);
    return answer;
}

static bool
is_passive(struct bstar_stage *self, int half)
{
    return bstar_state(self->halves[half]) == BSTAR_PASSIVE;
}

// A loop looked at the clock and was stopped; when it goes on there is a vote that came meanwhile.
// A hold from the old reading would be over before the lease that it grants.
static void
a_vote_is_held_from_when_it_was_there(void **state)
{
    struct bstar_stage *self = *state;
    bstar_stage_start_guarded(self, STAGE_BACKUP);
    bstar_stage_until(self, is_passive, STAGE_BACKUP);
    bstar_t *half = self->halves[STAGE_BACKUP];
    zsock_t *member = zsock_new(ZMQ_DEALER);
    zsock_set_rcvtimeo(member, 5);
    assert_int_equal(zsock_connect(member, "%s", self->ends[STAGE_BACKUP]), 0);
    uint64_t before_ns = galleon_now_ns();
    ask_half(member, BSTAR_VOTE, 7, 100);
    zclock_sleep(LEASE_MS / 5);
    uint64_t there_ns = galleon_now_ns();
    assert_int_equal(answer_at(half, member, before_ns).command, BSTAR_GRANT);
    ask_half(member, BSTAR_VOTE, 8, 101);
    struct bstar_message denial = answer_at(half, member, galleon_now_ns());
    uint64_t since_ms = (galleon_now_ns() - there_ns) / 1000000;
    assert_int_equal(denial.command, BSTAR_DENY);
    assert_true(denial.left_ms + since_ms + 1 >= LEASE_MS);
    zsock_destroy(&member);
}

static void
a_witness_comes_back_after_something_else_was_there(void **state)
{
    struct bstar_stage *self = *state;
    // It speaks too much for a member: libzmq gives such a connection up.
    zsock_t *other = zsock_new(ZMQ_ROUTER);
    assert_int_equal(zsock_bind(other, "%s", self->ends[STAGE_HALVES]), 0);
    bstar_stage_start_guarded(self, STAGE_PRIMARY);
    zsock_set_rcvtimeo(other, 1);
    zmsg_t *asked = NULL;
    uint64_t end_ns = galleon_now_ns() + 20000000000u;
    while (asked == NULL) {
        assert_true(galleon_now_ns() < end_ns);
        bstar_stage_turn(self);
        asked = zmsg_recv(other);
    }
    zframe_t *who = zmsg_pop(asked);
    zmsg_destroy(&asked);
    char *large = calloc(1, 100000);
    zframe_send(&who, other, ZFRAME_MORE);
    zmq_send(zsock_resolve(other), large, 100000, 0);
    free(large);
    bstar_stage_turn(self);
    zsock_set_linger(other, 1000);
    zsock_destroy(&other);
    bstar_stage_start_witness(self);
    bstar_stage_until(self, bstar_stage_serves, STAGE_PRIMARY);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_cold_pair_elects_one),
        TEST(one_half_and_the_witness_are_enough),
        TEST(a_half_that_leaves_gives_its_lease_back),
        TEST(a_half_that_hangs_loses_its_lease),
        TEST(without_a_witness_the_pair_goes_on),
        TEST(a_half_alone_serves_by_the_operators_word_only),
        TEST(a_half_that_watches_misses_the_witness_and_hears_it_again),
        TEST(a_witness_that_answers_nothing_is_missed),
        TEST(that_nobody_serves_is_said_once),
        TEST(a_half_that_stood_still_does_not_blame_the_witness),
        TEST(a_planned_switch_waits_for_what_is_out),
        TEST(a_drain_that_takes_too_long_is_dropped),
        TEST(a_stopped_half_hands_over_first),
        TEST(a_frozen_half_is_thawed_first),
        TEST(a_half_that_just_started_says_when_to_promote),
        TEST(a_refusal_of_the_epoch_changes_nothing),
        TEST(a_restarted_half_is_the_same_node_and_epochs_rise),
        TEST(a_half_without_a_record_is_at_fault_until_it_is_cleared),
        TEST(a_damaged_record_is_a_fault_and_no_epoch_0),
        TEST(a_half_that_cannot_write_its_vote_is_at_fault),
        TEST(a_record_has_one_half_and_is_made_once),
        TEST(guarded_stays_on_this_machine),
        TEST(noise_is_counted_and_nothing_else),
        TEST(a_message_that_is_too_large_ends_its_connection),
        TEST(strangers_are_said_once_for_each_reason),
        TEST(grants_come_from_who_was_asked),
        TEST(a_half_with_another_lease_is_denied_and_named),
        TEST(a_vote_is_held_from_when_it_was_there),
        TEST(a_witness_comes_back_after_something_else_was_there),
    };
    zsys_handler_set(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
