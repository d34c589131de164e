// test_client_pair.c - a client of a pair: 503 and where it leads, a takeover, epochs.

#include "client_rig.h"
#include "mdp_wire.h"

#include <galleon/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { A, B, C };

static const uint64_t ms = 1000000;

static void
final_of(struct rig *rig, uint32_t endpoint, uint64_t id, uint16_t status, const char *fields)
{
    struct view frame = VIEW_LITERAL("answer");
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_FINAL,
                                .id = id,
                                .status = status,
                                .fields = view_of(fields, strlen(fields)),
                                .body = mdp_body_of(&frame, 1)};
    rig_record(rig, endpoint, &record);
}

#define EPOCH(number) "epoch: 0123456789abcdef:" number "\n"

static uint64_t
fenced(const struct rig *rig)
{
    return client_core_stats(rig->core)->fenced;
}

// ---- epochs ------------------------------------------------------------------------------

static void
answer_of_an_older_epoch_is_dropped_and_the_call_goes_elsewhere(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    final_of(rig, A, rig_call(rig, "echo"), 200, EPOCH("6"));
    assert_int_equal(rig->answer_count, 1);
    uint64_t id = rig_call(rig, "echo");
    final_of(rig, A, id, 200, EPOCH("5"));
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(fenced(rig), 1);
    // As after 503: soon, and it was no attempt.
    uint64_t wait_ns = client_core_deadline(rig->core) - rig->now_ns;
    assert_in_range(wait_ns, 10 * ms, 50 * ms);
    rig_until(rig, rig_ms(rig) + 51);
    rig_up(rig, B);
    assert_int_equal(rig_last_sent(rig)->endpoint, B);
    assert_true(rig_last_sent(rig)->id == id);
    final_of(rig, B, id, 200, EPOCH("6"));
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig_last_answer(rig)->result, GALLEON_OK);
    assert_int_equal(client_core_stats(rig->core)->timeouts, 0);
    rig_free(rig);
}

static void
older_error_is_no_answer_either(void **state)
{
    (void)state;
    static const uint16_t statuses[] = {404, 408, 429, 500, 502};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct rig *rig = rig_serving(2);
        final_of(rig, A, rig_call(rig, "echo"), 200, EPOCH("6"));
        uint64_t id = rig_call(rig, "echo");
        final_of(rig, A, id, statuses[i], EPOCH("5"));
        assert_true(client_core_is_open(rig->core, id));
        assert_int_equal(fenced(rig), 1);
        rig_free(rig);
    }
}

static void
epochs_that_rise_or_stay_or_are_none_are_answers(void **state)
{
    (void)state;
    static const char *const fields[] = {EPOCH("5"), EPOCH("5"), "", EPOCH("6"),
                                         // Another pair's, and what is no epoch.
                                         "epoch: 0000000000000001:1\n", "epoch: 1\n", EPOCH("7")};
    struct rig *rig = rig_serving(1);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        final_of(rig, A, rig_call(rig, "echo"), 200, fields[i]);
        assert_int_equal(rig->answer_count, i + 1);
    }
    assert_int_equal(fenced(rig), 0);
    rig_free(rig);
}

static void
answer_that_nobody_waits_for_raises_the_epoch_too(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    uint64_t id = rig_call(rig, "echo");
    final_of(rig, A, id + 7, 200, EPOCH("9"));
    final_of(rig, A, id, 200, EPOCH("8"));
    assert_true(client_core_is_open(rig->core, id));
    final_of(rig, A, id + 7, 200, EPOCH("8")); // dropped, whoever it is for
    assert_int_equal(fenced(rig), 2);
    rig_free(rig);
}

static void
passive_half_may_speak_under_any_epoch(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    final_of(rig, A, rig_call(rig, "echo"), 200, EPOCH("6"));
    uint64_t id = rig_call(rig, "echo");
    final_of(rig, A, id, 503, EPOCH("5"));
    assert_int_equal(fenced(rig), 0);
    assert_int_equal(client_core_stats(rig->core)->passive, 1);
    // Nor does one raise it: what does not serve has no reign.
    rig_until(rig, 51);
    rig_up(rig, B);
    final_of(rig, B, id, 503, EPOCH("99"));
    rig_until(rig, rig_ms(rig) + 101);
    final_of(rig, rig_last_sent(rig)->endpoint, id, 200, EPOCH("7"));
    assert_int_equal(rig->answer_count, 2);
    rig_free(rig);
}

// parts of the overtaken half are of no use: those of the next begin at 0.
static void
parts_before_an_older_answer_are_dropped_with_it(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    final_of(rig, A, rig_call(rig, "echo"), 200, EPOCH("6"));
    uint64_t id = rig_call(rig, "echo");
    rig_partial(rig, A, id, 0, "stale part");
    struct mdp_record record = {.dialect = MDP_G1,
                                .command = MDP_FINAL,
                                .id = id,
                                .status = 200,
                                .parts = 1,
                                .fields = VIEW_LITERAL(EPOCH("5"))};
    rig_record(rig, A, &record);
    rig_until(rig, rig_ms(rig) + 51);
    rig_up(rig, B);
    rig_final(rig, B, id, 200, 0, "whole");
    assert_string_equal(rig_last_answer(rig)->body, "whole");
    rig_free(rig);
}

static void
broker_that_is_always_overtaken_is_asked_with_back_off(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(1);
    final_of(rig, A, rig_call(rig, "echo"), 200, EPOCH("6"));
    uint64_t id = rig_call(rig, "echo");
    size_t asked = 0;
    while (client_core_is_open(rig->core, id)) {
        size_t sent = rig->sent_count;
        final_of(rig, A, id, 200, EPOCH("5"));
        asked++;
        while (rig->sent_count == sent && client_core_is_open(rig->core, id))
            rig_until(rig, rig_ms(rig) + 1);
    }
    assert_int_equal(rig_last_answer(rig)->result, GALLEON_TIMED_OUT);
    assert_int_equal(rig_last_answer(rig)->status, 503);
    assert_in_range(asked, 20, 60);
    rig_free(rig);
}

// ---- where 503 leads -----------------------------------------------------------------------

// Two that name each other are not asked for ever while a third may serve.
static void
redirect_to_one_that_has_just_refused_is_not_followed(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(3);
    uint64_t id = rig_call(rig, "echo");
    rig_final(rig, A, id, 503, 0, "b");
    rig_until(rig, rig_ms(rig) + 51);
    rig_up(rig, B);
    rig_final(rig, B, id, 503, 0, "a");
    rig_until(rig, rig_ms(rig) + 51);
    rig_up(rig, C);
    assert_int_equal(rig_last_sent(rig)->endpoint, C);
    rig_final(rig, C, id, 200, 0, "x");
    assert_int_equal(rig->answer_count, 1);

    // An answer makes the list a fresh one: what refused then may be asked now.
    uint64_t next = rig_call(rig, "echo");
    rig_final(rig, C, next, 503, 0, "a");
    rig_until(rig, rig_ms(rig) + 51);
    assert_int_equal(rig_last_sent(rig)->endpoint, A);
    assert_true(rig_last_sent(rig)->id == next);
    rig_free(rig);
}

static void
broker_that_names_itself_does_not_keep_its_client(void **state)
{
    (void)state;
    struct rig *rig = rig_serving(2);
    uint64_t id = rig_call(rig, "echo");
    rig_final(rig, A, id, 503, 0, "a");
    rig_until(rig, rig_ms(rig) + 51);
    rig_up(rig, B);
    assert_int_equal(rig_last_sent(rig)->endpoint, B);
    rig_free(rig);
}

// ---- a takeover ---------------------------------------------------------------------------------

// What a client of a pair lives through whose active half is killed: A refuses connections, B
// says 503 and names A, until it serves.
struct takeover {
    struct rig *rig;
    uint64_t serves_ms; // B does from then on
    size_t refusals;
};

// play lets a millisecond pass; true: the call has its answer.
static bool
play(struct takeover *self, uint64_t id)
{
    struct rig *rig = self->rig;
    size_t seen = rig->sent_count;
    rig_until(rig, rig_ms(rig) + 1);
    if (rig->is_open[A])
        rig_down(rig, A);
    if (rig->is_open[B] && rig->opened[B] == 1 && rig->sent_count == 0)
        rig_up(rig, B);
    if (rig->sent_count == seen && seen > 0)
        return false;
    if (rig->sent_count == 0 || !client_core_is_open(rig->core, id))
        return !client_core_is_open(rig->core, id);
    bool serves = rig_ms(rig) >= self->serves_ms;
    self->refusals += !serves;
    rig_final(rig, B, id, serves ? 200 : 503, 0, serves ? "x" : "a");
    return serves;
}

static uint64_t
outage_ms(uint8_t seed, uint64_t serves_ms, size_t *refusals_out)
{
    struct rig *rig = rig_new(MDP_G1, 2);
    rig->config.seed[0] = seed;
    rig->config.deadline_ms = 60000;
    rig_start(rig);
    rig_up(rig, A);
    rig_final(rig, A, rig_call(rig, "echo"), 200, 0, "x");
    uint64_t id = rig_call(rig, "echo");
    rig_down(rig, A);
    rig_forget(rig);
    struct takeover takeover = {.rig = rig, .serves_ms = serves_ms};
    while (!play(&takeover, id))
        assert_true(rig_ms(rig) < 30000);
    uint64_t at_ms = rig_ms(rig);
    *refusals_out = takeover.refusals;
    rig_free(rig);
    return at_ms;
}

// The client adds a small part to what the pair needs, and asks it some ten times a second.
static void
takeover_is_seen_soon_after_it_is_done(void **state)
{
    (void)state;
    static const uint64_t serves_ms[] = {0, 150, 300, 1000, 1900};
    for (size_t i = 0; i < sizeof serves_ms / sizeof *serves_ms; i++) {
        for (uint8_t seed = 0; seed < 100; seed++) {
            size_t refusals;
            uint64_t outage = outage_ms(seed, serves_ms[i], &refusals);
            assert_in_range(outage, serves_ms[i], serves_ms[i] + 160);
            assert_in_range(refusals, serves_ms[i] / 170, serves_ms[i] / 60 + 1);
        }
    }
}

static void
long_outage_is_waited_for_with_back_off(void **state)
{
    (void)state;
    size_t refusals;
    uint64_t outage = outage_ms(1, 20000, &refusals);
    assert_in_range(outage, 20000, 22200);
    assert_in_range(refusals, 20, 50);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_of_an_older_epoch_is_dropped_and_the_call_goes_elsewhere),
        cmocka_unit_test(older_error_is_no_answer_either),
        cmocka_unit_test(epochs_that_rise_or_stay_or_are_none_are_answers),
        cmocka_unit_test(answer_that_nobody_waits_for_raises_the_epoch_too),
        cmocka_unit_test(passive_half_may_speak_under_any_epoch),
        cmocka_unit_test(parts_before_an_older_answer_are_dropped_with_it),
        cmocka_unit_test(broker_that_is_always_overtaken_is_asked_with_back_off),
        cmocka_unit_test(redirect_to_one_that_has_just_refused_is_not_followed),
        cmocka_unit_test(broker_that_names_itself_does_not_keep_its_client),
        cmocka_unit_test(takeover_is_seen_soon_after_it_is_done),
        cmocka_unit_test(long_outage_is_waited_for_with_back_off),
    };
    return cmocka_run_group_tests_name("client_pair", tests, NULL, NULL);
}
