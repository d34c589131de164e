// test_lazy_core.c - one call at a time, one socket at a time, and no reply for another's.

#include "lazy_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;

struct rig {
    struct lazy_core core;
    struct lazy_effects effects;
    uint64_t now_ns;
    uint32_t sent_id; // of the last SEND
    unsigned sockets; // open now
    unsigned sends;
    unsigned answers;
    char said[256]; // what the last step asked for
};

static struct rig
rig_of(struct lazy_config config)
{
    struct rig rig = {.now_ns = 1000 * ms};
    if (config.endpoint_count == 0)
        config.endpoint_count = 1;
    if (config.timeout_ms == 0)
        config.timeout_ms = 1000;
    if (config.attempts == 0)
        config.attempts = 3;
    config.seed[0] = 7;
    lazy_core_init(&rig.core, &config);
    return rig;
}

// carry_out does what every caller must be able to rely on: never two sockets, nothing sent
// without one.
static void
carry_out(struct rig *rig, const struct lazy_effect *effect, char *to, size_t room)
{
    switch (effect->kind) {
    case LAZY_OPEN:
        rig->sockets++;
        snprintf(to, room, "open %u", effect->endpoint);
        break;
    case LAZY_CLOSE:
        assert_int_equal(rig->sockets, 1);
        rig->sockets--;
        snprintf(to, room, "close");
        break;
    case LAZY_SEND:
        assert_int_equal(rig->sockets, 1);
        rig->sent_id = effect->id;
        rig->sends++;
        snprintf(to, room, "send");
        break;
    case LAZY_RETRY:
        snprintf(to, room, "retry %u at %u", effect->attempt, effect->endpoint);
        break;
    case LAZY_ANSWER:
        rig->answers++;
        snprintf(to, room, "%s", effect->result == GALLEON_OK ? "reply" : "timed out");
        assert_true(effect->result == GALLEON_OK || effect->result == GALLEON_TIMED_OUT);
        break;
    }
    assert_in_range(rig->sockets, 0, 1);
}

static const char *
step(struct rig *rig, struct lazy_event event)
{
    event.now_ns = rig->now_ns;
    lazy_core_step(&rig->core, &event, &rig->effects);
    rig->said[0] = '\0';
    for (size_t i = 0; i < rig->effects.count; i++) {
        size_t used = strlen(rig->said);
        if (used > 0)
            used += (size_t)snprintf(rig->said + used, sizeof rig->said - used, ", ");
        carry_out(rig, &rig->effects.list[i], rig->said + used, sizeof rig->said - used);
    }
    assert_int_equal(rig->sockets, lazy_core_has_socket(&rig->core));
    return rig->said;
}

static const char *
tell(struct rig *rig, enum lazy_event_kind kind)
{
    return step(rig, (struct lazy_event){.kind = kind});
}

static const char *
reply(struct rig *rig, uint32_t id)
{
    return step(rig, (struct lazy_event){.kind = LAZY_REPLY, .is_sound = true, .id = id});
}

// wait_out lets the time pass up to the next deadline.
static const char *
wait_out(struct rig *rig)
{
    uint64_t deadline_ns = lazy_core_deadline(&rig->core);
    assert_true(deadline_ns != UINT64_MAX);
    if (deadline_ns > rig->now_ns) {
        rig->now_ns = deadline_ns - 1;
        assert_string_equal(tell(rig, LAZY_TICK), "");
        rig->now_ns = deadline_ns;
    }
    return tell(rig, LAZY_TICK);
}

// out makes a call and sends it.
static void
out(struct rig *rig)
{
    tell(rig, LAZY_CALL);
    if (rig->core.state == LAZY_JOINING)
        tell(rig, LAZY_UP);
    assert_int_equal(rig->core.state, LAZY_WAITING);
}

// ---- the good way --------------------------------------------------------------------------

static void
nothing_is_opened_before_the_first_call(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){0});
    assert_true(lazy_core_is_free(&rig.core));
    assert_true(lazy_core_deadline(&rig.core) == UINT64_MAX);
    assert_string_equal(tell(&rig, LAZY_TICK), "");
}

static void
request_is_sent_once_connected_and_its_reply_ends_the_call(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){0});
    assert_string_equal(tell(&rig, LAZY_CALL), "open 0");
    assert_false(lazy_core_is_free(&rig.core));
    assert_string_equal(tell(&rig, LAZY_UP), "send");
    assert_string_equal(reply(&rig, 0), "reply");
    assert_true(lazy_core_is_free(&rig.core));
    assert_true(lazy_core_deadline(&rig.core) == UINT64_MAX);
}

static void
next_call_goes_over_the_same_socket(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){0});
    out(&rig);
    reply(&rig, 0);
    uint32_t id = rig.sent_id;
    assert_string_equal(tell(&rig, LAZY_CALL), "send");
    assert_int_equal(rig.sent_id, (uint32_t)(id + 1));
    assert_string_equal(reply(&rig, 0), "reply");
}

// ---- time ----------------------------------------------------------------------------------

static void
silence_costs_the_socket_and_the_next_attempt_has_a_fresh_one(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.timeout_ms = 700});
    out(&rig);
    assert_true(lazy_core_deadline(&rig.core) == rig.now_ns + 700 * ms);
    assert_string_equal(wait_out(&rig), "close, retry 2 at 0, open 0");
    assert_string_equal(tell(&rig, LAZY_UP), "send");
    assert_string_equal(reply(&rig, 0), "reply");
    assert_int_equal(rig.core.stats.timeouts, 1);
}

static void
call_ends_when_its_attempts_are_spent(void **state)
{
    (void)state;
    for (uint32_t attempts = 1; attempts <= 4; attempts++) {
        struct rig rig = rig_of((struct lazy_config){.attempts = attempts});
        out(&rig);
        for (uint32_t i = 1; i < attempts; i++) {
            wait_out(&rig);
            assert_string_equal(tell(&rig, LAZY_UP), "send");
        }
        assert_string_equal(wait_out(&rig), "close, timed out");
        assert_int_equal(rig.sends, attempts);
        assert_true(lazy_core_is_free(&rig.core));
        assert_int_equal(rig.core.stats.given_up, 1);
    }
}

static void
server_that_is_not_there_is_waited_for_as_long_as_one_that_is_silent(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.timeout_ms = 700, .attempts = 3});
    uint64_t from_ns = rig.now_ns;
    assert_string_equal(tell(&rig, LAZY_CALL), "open 0");
    assert_string_equal(wait_out(&rig), "close, retry 2 at 0, open 0");
    assert_string_equal(wait_out(&rig), "close, retry 3 at 0, open 0");
    assert_string_equal(wait_out(&rig), "close, timed out");
    assert_true(rig.now_ns - from_ns == 3 * 700 * ms);
    assert_int_equal(rig.sends, 0);
}

static void
time_of_an_attempt_begins_again_when_it_is_sent(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.timeout_ms = 700});
    tell(&rig, LAZY_CALL);
    rig.now_ns += 699 * ms;
    assert_string_equal(tell(&rig, LAZY_UP), "send");
    assert_true(lazy_core_deadline(&rig.core) == rig.now_ns + 700 * ms);
}

static void
deadline_ends_the_call_whatever_it_waits_for(void **state)
{
    (void)state;
    const struct lazy_config config = {.deadline_ms = 500, .backoff_ms_max = 2000};
    struct rig joining = rig_of(config);
    tell(&joining, LAZY_CALL);
    assert_string_equal(wait_out(&joining), "close, timed out");
    assert_true(joining.now_ns == 1500 * ms);

    struct rig waiting = rig_of(config);
    out(&waiting);
    assert_string_equal(wait_out(&waiting), "close, timed out");
    assert_true(waiting.now_ns == 1500 * ms);

    struct rig pausing = rig_of(config);
    out(&pausing);
    pausing.now_ns += 490 * ms;
    assert_string_equal(tell(&pausing, LAZY_DOWN), "close");
    assert_string_equal(wait_out(&pausing), "timed out");
    assert_true(pausing.now_ns == 1500 * ms);
    assert_true(lazy_core_deadline(&pausing.core) == UINT64_MAX);
}

static void
attempts_go_on_up_to_the_deadline(void **state)
{
    (void)state;
    struct rig rig =
        rig_of((struct lazy_config){.timeout_ms = 200, .attempts = 1000, .deadline_ms = 1000});
    out(&rig);
    while (!lazy_core_is_free(&rig.core)) {
        wait_out(&rig);
        if (rig.core.state == LAZY_JOINING)
            tell(&rig, LAZY_UP);
    }
    assert_true(rig.now_ns == 2000 * ms);
    assert_int_equal(rig.sends, 5);
    assert_int_equal(rig.answers, 1);
}

static void
deadline_moves_on_so_that_the_next_call_asks_another(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 2, .deadline_ms = 100});
    out(&rig);
    assert_string_equal(wait_out(&rig), "close, timed out");
    assert_string_equal(tell(&rig, LAZY_CALL), "open 1");
}

static void
attempt_longer_than_any_deadline_does_not_wrap(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.timeout_ms = UINT32_MAX, .attempts = 1});
    rig.now_ns = UINT64_MAX - 5;
    out(&rig);
    assert_true(lazy_core_deadline(&rig.core) == UINT64_MAX);
    assert_string_equal(reply(&rig, 0), "reply");
}

// ---- endpoints in turn -----------------------------------------------------------------------

static void
each_attempt_asks_the_next_endpoint_at_once(void **state)
{
    (void)state;
    struct rig rig =
        rig_of((struct lazy_config){.endpoint_count = 3, .attempts = 4, .backoff_ms_max = 2000});
    out(&rig);
    assert_string_equal(wait_out(&rig), "close, retry 2 at 1, open 1");
    tell(&rig, LAZY_UP);
    assert_string_equal(wait_out(&rig), "close, retry 3 at 2, open 2");
    tell(&rig, LAZY_UP);
    // The whole list has failed: now there is a pause.
    assert_string_equal(wait_out(&rig), "close");
    uint64_t from_ns = rig.now_ns;
    assert_string_equal(wait_out(&rig), "retry 4 at 0, open 0");
    assert_in_range(rig.now_ns - from_ns, 50 * ms, 100 * ms);
}

static void
who_replied_is_asked_again(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 2});
    out(&rig);
    wait_out(&rig);
    tell(&rig, LAZY_UP);
    reply(&rig, 0);
    assert_string_equal(tell(&rig, LAZY_CALL), "send");
    assert_int_equal(rig.core.current, 1);
}

static void
call_that_was_given_up_leaves_the_next_endpoint_to_the_next_call(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 3, .attempts = 1});
    out(&rig);
    wait_out(&rig);
    assert_string_equal(tell(&rig, LAZY_CALL), "open 1");
}

static void
request_that_is_not_sent_hops_to_the_next_endpoint_within_its_attempt(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 2, .timeout_ms = 2500});
    tell(&rig, LAZY_CALL);
    uint64_t from_ns = rig.now_ns;
    assert_string_equal(wait_out(&rig), "close, open 1");
    assert_true(rig.now_ns - from_ns == 250 * ms);
    assert_string_equal(wait_out(&rig), "close, open 0");
    assert_true(rig.now_ns - from_ns == 500 * ms);
    // A second round has twice the patience.
    assert_string_equal(wait_out(&rig), "close, open 1");
    assert_true(rig.now_ns - from_ns == 1000 * ms);
    assert_int_equal(rig.core.stats.unreached, 3);
    assert_string_equal(tell(&rig, LAZY_UP), "send");
    assert_string_equal(reply(&rig, 0), "reply");
}

static void
hops_do_not_make_an_attempt_longer(void **state)
{
    (void)state;
    struct rig rig =
        rig_of((struct lazy_config){.endpoint_count = 2, .timeout_ms = 600, .attempts = 1});
    tell(&rig, LAZY_CALL);
    uint64_t from_ns = rig.now_ns;
    assert_string_equal(wait_out(&rig), "close, open 1");
    assert_string_equal(wait_out(&rig), "close, open 0");
    assert_string_equal(wait_out(&rig), "close, timed out");
    assert_true(rig.now_ns - from_ns == 600 * ms);
}

static void
back_off_does_not_hold_up_the_first_attempt_of_a_call(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.attempts = 2, .backoff_ms_max = 2000});
    for (int i = 0; i < 3; i++) {
        assert_string_equal(tell(&rig, LAZY_CALL), "open 0");
        tell(&rig, LAZY_UP);
        assert_string_equal(wait_out(&rig), "close");
        uint64_t from_ns = rig.now_ns;
        assert_string_equal(wait_out(&rig), "retry 2 at 0, open 0");
        // Nor does the doubling go on from call to call.
        assert_in_range(rig.now_ns - from_ns, 50 * ms, 100 * ms);
        tell(&rig, LAZY_UP);
        assert_string_equal(wait_out(&rig), "close, timed out");
    }
}

static void
pause_is_not_part_of_an_attempt(void **state)
{
    (void)state;
    struct rig rig =
        rig_of((struct lazy_config){.timeout_ms = 20, .attempts = 3, .backoff_ms_max = 2000});
    out(&rig);
    assert_string_equal(wait_out(&rig), "close");
    uint64_t resume_ns = rig.core.retry.resume_ns;
    assert_true(resume_ns >= rig.now_ns + 50 * ms);
    assert_string_equal(wait_out(&rig), "retry 2 at 0, open 0");
    assert_true(rig.now_ns == resume_ns);
    assert_true(lazy_core_deadline(&rig.core) == resume_ns + 20 * ms);
}

// ---- connections cut, refused, not begun -------------------------------------------------------

static void
cut_ends_the_attempt_before_its_time(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 2, .attempts = 2});
    out(&rig);
    assert_string_equal(tell(&rig, LAZY_DOWN), "close, retry 2 at 1, open 1");
    tell(&rig, LAZY_UP);
    assert_string_equal(tell(&rig, LAZY_DOWN), "close, timed out");
    assert_int_equal(rig.core.stats.cuts, 2);
    assert_int_equal(rig.core.stats.timeouts, 0);
}

static void
cut_between_calls_costs_no_attempt(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 2, .attempts = 1});
    out(&rig);
    reply(&rig, 0);
    assert_string_equal(tell(&rig, LAZY_DOWN), "close");
    assert_string_equal(tell(&rig, LAZY_CALL), "open 1");
    assert_string_equal(tell(&rig, LAZY_UP), "send");
    assert_string_equal(reply(&rig, 0), "reply");
}

static void
socket_that_is_refused_goes_on_trying_where_there_is_no_other_endpoint(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.attempts = 1});
    tell(&rig, LAZY_CALL);
    uint64_t deadline_ns = lazy_core_deadline(&rig.core);
    assert_string_equal(tell(&rig, LAZY_DOWN), "");
    assert_true(lazy_core_deadline(&rig.core) == deadline_ns);
    assert_string_equal(tell(&rig, LAZY_UP), "send");
}

static void
endpoint_that_refuses_is_left_at_once_and_the_list_begun_again_after_a_while(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 3, .attempts = 1});
    tell(&rig, LAZY_CALL);
    for (int round = 0; round < 3; round++) {
        uint64_t from_ns = rig.now_ns;
        assert_string_equal(tell(&rig, LAZY_DOWN), "close, open 1");
        assert_string_equal(tell(&rig, LAZY_DOWN), "close, open 2");
        assert_string_equal(tell(&rig, LAZY_DOWN), "close");
        assert_string_equal(wait_out(&rig), "open 0");
        assert_true(rig.now_ns - from_ns == 100 * ms);
    }
    assert_string_equal(tell(&rig, LAZY_UP), "send");
    assert_int_equal(rig.core.stats.unreached, 9);
}

static void
socket_that_cannot_be_made_is_tried_again_after_a_while_and_costs_no_attempt(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.timeout_ms = 250, .attempts = 1});
    tell(&rig, LAZY_CALL);
    uint64_t from_ns = rig.now_ns;
    assert_string_equal(tell(&rig, LAZY_UNOPENED), "close");
    assert_string_equal(wait_out(&rig), "open 0");
    assert_true(rig.now_ns - from_ns == 100 * ms);
    assert_string_equal(tell(&rig, LAZY_UNOPENED), "close");
    assert_string_equal(wait_out(&rig), "open 0");
    assert_string_equal(wait_out(&rig), "close, timed out");
    assert_true(rig.now_ns - from_ns == 250 * ms);
}

static void
pause_longer_than_the_rest_of_an_attempt_spends_it(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.timeout_ms = 60, .attempts = 2});
    tell(&rig, LAZY_CALL);
    assert_string_equal(tell(&rig, LAZY_UNOPENED), "close");
    assert_string_equal(wait_out(&rig), "");
    assert_int_equal(rig.core.attempt, 2);
    assert_string_equal(wait_out(&rig), "retry 2 at 0, open 0");
    assert_string_equal(tell(&rig, LAZY_UNOPENED), "close");
    assert_string_equal(wait_out(&rig), "timed out");
}

static void
what_did_not_leave_is_no_attempt_and_gets_no_more_time(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.endpoint_count = 2, .timeout_ms = 1000});
    tell(&rig, LAZY_CALL);
    uint64_t from_ns = rig.now_ns;
    for (int i = 0; i < 6; i++) {
        rig.now_ns += 20 * ms;
        assert_string_equal(tell(&rig, LAZY_UP), "send");
        // Once both have turned us away there is a pause.
        bool is_second = i % 2 == 1;
        assert_string_equal(tell(&rig, LAZY_UNSENT), is_second ? "close" : "close, open 1");
        if (is_second)
            assert_string_equal(wait_out(&rig), "open 0");
    }
    assert_int_equal(rig.core.attempt, 1);
    assert_int_equal(rig.core.stats.requests_sent, 0);
    assert_int_equal(rig.core.stats.requests_unsent, 6);
    while (rig.core.attempt == 1)
        wait_out(&rig);
    assert_true(rig.now_ns - from_ns == 1000 * ms);
}

// ---- messages ----------------------------------------------------------------------------------

static void
what_is_no_reply_is_dropped_and_the_attempt_goes_on(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){0});
    out(&rig);
    uint64_t deadline_ns = lazy_core_deadline(&rig.core);
    rig.now_ns += 10 * ms;
    assert_string_equal(tell(&rig, LAZY_REPLY), "");
    assert_true(lazy_core_deadline(&rig.core) == deadline_ns);
    assert_int_equal(rig.core.stats.replies_malformed, 1);
    assert_string_equal(reply(&rig, 0), "reply");
}

static void
reply_that_nobody_waits_for_costs_the_socket(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){0});
    out(&rig);
    reply(&rig, 0);
    assert_string_equal(reply(&rig, 0), "close");
    assert_int_equal(rig.core.stats.replies_stale, 1);
    assert_string_equal(tell(&rig, LAZY_CALL), "open 0");
    // And so does what is none at all.
    tell(&rig, LAZY_UP);
    reply(&rig, 0);
    assert_string_equal(tell(&rig, LAZY_REPLY), "close");
}

static void
with_ids_a_reply_to_another_request_is_dropped(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.has_ids = true});
    out(&rig);
    uint32_t first = rig.sent_id;
    assert_string_equal(reply(&rig, first), "reply");
    assert_string_equal(reply(&rig, first), ""); // the socket stays: ids tell them apart
    assert_string_equal(tell(&rig, LAZY_CALL), "send");
    assert_string_equal(reply(&rig, first), "");
    assert_string_equal(reply(&rig, first + 2), "");
    assert_int_equal(rig.core.stats.replies_stale, 3);
    assert_string_equal(reply(&rig, first + 1), "reply");
}

static void
ids_of_attempts_differ_and_begin_where_nobody_can_tell(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){.has_ids = true});
    out(&rig);
    uint32_t first = rig.sent_id;
    wait_out(&rig);
    tell(&rig, LAZY_UP);
    assert_int_not_equal(rig.sent_id, first);
    struct lazy_core other;
    struct lazy_config config = rig.core.config;
    config.seed[0]++;
    lazy_core_init(&other, &config);
    assert_int_not_equal(other.last_id + 1, first);
}

static void
message_before_anything_was_sent_changes_nothing(void **state)
{
    (void)state;
    struct rig rig = rig_of((struct lazy_config){0});
    tell(&rig, LAZY_CALL);
    assert_string_equal(reply(&rig, 0), "");
    assert_string_equal(tell(&rig, LAZY_UP), "send");
}

// ---- the end -----------------------------------------------------------------------------------

static void
cancel_ends_the_call_and_its_socket_without_an_answer(void **state)
{
    (void)state;
    struct rig joining = rig_of((struct lazy_config){0});
    tell(&joining, LAZY_CALL);
    assert_string_equal(tell(&joining, LAZY_CANCEL), "close");

    struct rig waiting = rig_of((struct lazy_config){.endpoint_count = 2});
    out(&waiting);
    assert_string_equal(tell(&waiting, LAZY_CANCEL), "close");
    assert_string_equal(tell(&waiting, LAZY_CALL), "open 0"); // it has not failed

    struct rig pausing = rig_of((struct lazy_config){.backoff_ms_max = 100});
    out(&pausing);
    tell(&pausing, LAZY_DOWN);
    assert_string_equal(tell(&pausing, LAZY_CANCEL), "");
    assert_true(lazy_core_is_free(&pausing.core));
    assert_true(lazy_core_deadline(&pausing.core) == UINT64_MAX);
    assert_string_equal(tell(&pausing, LAZY_CANCEL), "");
    assert_int_equal(pausing.core.stats.cancelled, 1);
}

// Events that come late, or for a socket that is gone, find a filled cell.
static void
events_without_a_call_change_nothing(void **state)
{
    (void)state;
    static const enum lazy_event_kind kinds[] = {LAZY_CANCEL,   LAZY_UP,     LAZY_DOWN,
                                                 LAZY_UNOPENED, LAZY_UNSENT, LAZY_TICK};
    struct rig rig = rig_of((struct lazy_config){0});
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_string_equal(tell(&rig, kinds[i]), "");
    assert_string_equal(reply(&rig, 0), "");
    assert_int_equal(rig.core.state, LAZY_REST);
    out(&rig);
    reply(&rig, 0);
    static const enum lazy_event_kind late[] = {LAZY_CANCEL, LAZY_UP, LAZY_UNOPENED, LAZY_UNSENT,
                                                LAZY_TICK};
    for (size_t i = 0; i < sizeof late / sizeof *late; i++)
        assert_string_equal(tell(&rig, late[i]), "");
    assert_int_equal(rig.core.state, LAZY_READY);
}

// ---- whatever happens --------------------------------------------------------------------------

static struct lazy_event
any_event(struct rig *rig, struct prng *chance)
{
    static const enum lazy_event_kind kinds[] = {LAZY_CALL,  LAZY_CANCEL, LAZY_UP,
                                                 LAZY_UP,    LAZY_DOWN,   LAZY_UNOPENED,
                                                 LAZY_REPLY, LAZY_UNSENT, LAZY_TICK};
    struct lazy_event event = {.kind = kinds[prng_below(chance, sizeof kinds / sizeof *kinds)]};
    if (event.kind == LAZY_CALL && !lazy_core_is_free(&rig->core))
        event.kind = LAZY_TICK;
    event.is_sound = prng_below(chance, 4) > 0;
    event.id = rig->sent_id - (uint32_t)prng_below(chance, 3);
    return event;
}

static void
whatever_happens_a_call_ends_once_and_in_time_with_its_attempts(void **state)
{
    (void)state;
    struct prng chance;
    prng_init(&chance, (const uint8_t[32]){9}, 1);
    for (int world = 0; world < 300; world++) {
        struct lazy_config config = {
            .endpoint_count = 1 + (uint32_t)prng_below(&chance, 3),
            .timeout_ms = 1 + (uint32_t)prng_below(&chance, 500),
            .attempts = 1 + (uint32_t)prng_below(&chance, 4),
            .deadline_ms = (uint32_t)prng_below(&chance, 2) * 700,
            .backoff_ms_max = (uint32_t)prng_below(&chance, 2) * 300,
            .has_ids = prng_below(&chance, 2),
        };
        struct rig rig = rig_of(config);
        uint64_t began_ns = 0;
        uint64_t sent = 0; // by stats, so without those taken back
        for (int i = 0; i < 500; i++) {
            bool was_free = lazy_core_is_free(&rig.core);
            unsigned answers = rig.answers;
            struct lazy_event event = any_event(&rig, &chance);
            if (event.kind == LAZY_TICK && lazy_core_deadline(&rig.core) != UINT64_MAX &&
                lazy_core_deadline(&rig.core) > rig.now_ns)
                rig.now_ns = lazy_core_deadline(&rig.core);
            if (event.kind == LAZY_CALL) {
                began_ns = rig.now_ns;
                sent = rig.core.stats.requests_sent;
            }
            step(&rig, event);
            assert_true(rig.answers == answers || (!was_free && rig.answers == answers + 1));
            assert_true(rig.answers == answers || lazy_core_is_free(&rig.core));
            assert_in_range(rig.core.stats.requests_sent - sent, 0, config.attempts);
            if (!lazy_core_is_free(&rig.core) && config.deadline_ms > 0)
                assert_true(lazy_core_deadline(&rig.core) <= began_ns + config.deadline_ms * ms);
        }
        const struct lazy_stats *stats = &rig.core.stats;
        assert_int_equal(stats->calls, stats->replies + stats->given_up + stats->cancelled +
                                           !lazy_core_is_free(&rig.core));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_opened_before_the_first_call),
        cmocka_unit_test(request_is_sent_once_connected_and_its_reply_ends_the_call),
        cmocka_unit_test(next_call_goes_over_the_same_socket),
        cmocka_unit_test(silence_costs_the_socket_and_the_next_attempt_has_a_fresh_one),
        cmocka_unit_test(call_ends_when_its_attempts_are_spent),
        cmocka_unit_test(server_that_is_not_there_is_waited_for_as_long_as_one_that_is_silent),
        cmocka_unit_test(time_of_an_attempt_begins_again_when_it_is_sent),
        cmocka_unit_test(deadline_ends_the_call_whatever_it_waits_for),
        cmocka_unit_test(attempts_go_on_up_to_the_deadline),
        cmocka_unit_test(deadline_moves_on_so_that_the_next_call_asks_another),
        cmocka_unit_test(attempt_longer_than_any_deadline_does_not_wrap),
        cmocka_unit_test(each_attempt_asks_the_next_endpoint_at_once),
        cmocka_unit_test(who_replied_is_asked_again),
        cmocka_unit_test(call_that_was_given_up_leaves_the_next_endpoint_to_the_next_call),
        cmocka_unit_test(request_that_is_not_sent_hops_to_the_next_endpoint_within_its_attempt),
        cmocka_unit_test(hops_do_not_make_an_attempt_longer),
        cmocka_unit_test(back_off_does_not_hold_up_the_first_attempt_of_a_call),
        cmocka_unit_test(pause_is_not_part_of_an_attempt),
        cmocka_unit_test(cut_ends_the_attempt_before_its_time),
        cmocka_unit_test(cut_between_calls_costs_no_attempt),
        cmocka_unit_test(socket_that_is_refused_goes_on_trying_where_there_is_no_other_endpoint),
        cmocka_unit_test(
            endpoint_that_refuses_is_left_at_once_and_the_list_begun_again_after_a_while),
        cmocka_unit_test(
            socket_that_cannot_be_made_is_tried_again_after_a_while_and_costs_no_attempt),
        cmocka_unit_test(pause_longer_than_the_rest_of_an_attempt_spends_it),
        cmocka_unit_test(what_did_not_leave_is_no_attempt_and_gets_no_more_time),
        cmocka_unit_test(what_is_no_reply_is_dropped_and_the_attempt_goes_on),
        cmocka_unit_test(reply_that_nobody_waits_for_costs_the_socket),
        cmocka_unit_test(with_ids_a_reply_to_another_request_is_dropped),
        cmocka_unit_test(ids_of_attempts_differ_and_begin_where_nobody_can_tell),
        cmocka_unit_test(message_before_anything_was_sent_changes_nothing),
        cmocka_unit_test(cancel_ends_the_call_and_its_socket_without_an_answer),
        cmocka_unit_test(events_without_a_call_change_nothing),
        cmocka_unit_test(whatever_happens_a_call_ends_once_and_in_time_with_its_attempts),
    };
    return cmocka_run_group_tests_name("lazy_core", tests, NULL, NULL);
}
