// test_worker_fence.c - a worker between two halves of a pair: what an older epoch asks for is
// not run.

#include "worker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { A, B };

static const uint64_t pair = UINT64_C(0x0123456789abcdef);

// serve_pair is a worker that both halves have answered.
static struct rig *
serve_pair(uint32_t credit)
{
    struct rig *rig = rig_new(MDP_G1);
    rig->config.broker_count = 2;
    rig->config.credit = credit;
    rig_start(rig);
    for (uint32_t broker = A; broker <= B; broker++) {
        rig_up(rig, broker);
        rig_sent(rig, broker);
        rig_hear_command(rig, broker, MDP_HEARTBEAT);
    }
    return rig;
}

static void
hear_of_pair(struct rig *rig, uint32_t broker, uint64_t of, uint64_t epoch, const char *body)
{
    char fields[96];
    snprintf(fields, sizeof fields, "idempotency-key: k\nepoch: %016llx:%llu\n",
             (unsigned long long)of, (unsigned long long)epoch);
    uint32_t ticket = ++rig->tickets;
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_REQUEST,
                                .flags = MDP_FLAG_FIELDS,
                                .attempt = 1,
                                .fields = view_of(fields, strlen(fields))};
    memcpy(record.ticket.bytes, &ticket, sizeof ticket);
    rig_hear(rig, broker, &record, body);
    memset(fields, 'x', sizeof fields); // the message is gone
}

static void
hear_request(struct rig *rig, uint32_t broker, uint64_t epoch, const char *body)
{
    hear_of_pair(rig, broker, pair, epoch, body);
}

static void
assert_fenced(const struct rig *rig, uint32_t broker, uint64_t times)
{
    assert_int_equal(worker_core_stats(rig->core)->fenced, times);
    assert_int_equal(rig_last(rig)->record.command, MDP_DISCONNECT);
    assert_int_equal(rig_last(rig)->record.reason, MDP_REASON_FENCED);
    assert_int_equal(rig_last(rig)->broker, broker);
    assert_false(rig->is_connected[broker]);
}

static void
assert_takes(struct rig *rig, const char *body)
{
    assert_true(rig_take(rig));
    assert_string_equal(rig->body, body);
}

static void
request_of_an_older_epoch_is_not_run(void **state)
{
    (void)state;
    struct rig *rig = serve_pair(4);
    hear_request(rig, B, 6, "new");
    hear_request(rig, A, 5, "stale");
    assert_fenced(rig, A, 1);
    assert_takes(rig, "new");
    assert_false(rig_take(rig));
    // No answer of anybody's: the other half's session stands, and its request goes on.
    assert_int_equal(rig_count(rig, MDP_FINAL), 0);
    assert_true(rig->is_connected[B]);
    assert_true(rig_answer(rig, rig->token, "answer"));
    assert_int_equal(rig_last(rig)->broker, B);
    rig_sent(rig, B);
    rig_free(rig);
}

static void
epoch_that_is_known_or_newer_is_served(void **state)
{
    (void)state;
    struct rig *rig = serve_pair(8);
    hear_request(rig, A, 5, "a5");
    hear_request(rig, A, 5, "a5 again");
    assert_takes(rig, "a5");
    assert_takes(rig, "a5 again");
    hear_request(rig, B, 6, "b6");
    hear_request(rig, A, 8, "a8");
    assert_takes(rig, "a8");
    assert_int_equal(worker_core_stats(rig->core)->fenced, 1); // b6, which had waited
    rig_free(rig);
}

static void
what_waits_of_an_older_epoch_goes_when_a_newer_one_comes(void **state)
{
    (void)state;
    struct rig *rig = serve_pair(1);
    hear_request(rig, A, 5, "held");
    hear_request(rig, A, 5, "waits");
    assert_takes(rig, "held");
    uint64_t held = rig->token;
    hear_request(rig, B, 6, "new");
    assert_fenced(rig, A, 1);
    assert_int_equal(worker_core_stats(rig->core)->requests_gone, 1);
    // What runs cannot be taken back. Its answer goes to the half that asked, which knows.
    assert_true(rig_answer(rig, held, "answer"));
    assert_takes(rig, "new");
    rig_come_back(rig);
    assert_int_equal(rig_last(rig)->record.command, MDP_FINAL);
    assert_int_equal(rig_last(rig)->broker, A);
    rig_sent(rig, A);
    rig_free(rig);
}

static void
half_that_serves_again_is_asked_in_its_own_order(void **state)
{
    (void)state;
    struct rig *rig = serve_pair(1);
    hear_request(rig, A, 5, "before");
    hear_request(rig, A, 7, "after");
    assert_takes(rig, "before");
    assert_true(rig_answer(rig, rig->token, "answer"));
    assert_takes(rig, "after");
    assert_int_equal(worker_core_stats(rig->core)->fenced, 0);
    rig_free(rig);
}

static void
worker_that_refused_is_there_again_for_the_next_epoch(void **state)
{
    (void)state;
    struct rig *rig = serve_pair(1);
    hear_request(rig, A, 5, "old");
    assert_takes(rig, "old");
    assert_true(rig_answer(rig, rig->token, "answer"));
    rig_sent(rig, A);
    hear_request(rig, B, 6, "new");
    hear_request(rig, A, 5, "stale");
    assert_fenced(rig, A, 1);
    rig_wait_until_open(rig, A, 101);
    rig_up(rig, A);
    assert_int_equal(rig_last(rig)->record.command, MDP_READY);
    hear_request(rig, A, 7, "newest");
    assert_takes(rig, "newest");
    rig_free(rig);
}

// A half whose pair was made anew would come with low epochs for ever: that is not to keep a
// worker busy with connections.
static void
broker_that_is_always_refused_is_met_with_back_off(void **state)
{
    (void)state;
    struct rig *rig = serve_pair(1);
    hear_request(rig, B, 60, "new");
    for (size_t i = 0; i < 20; i++) {
        hear_request(rig, A, 1, "stale");
        assert_fenced(rig, A, i + 1);
        rig_wait_until_open(rig, A, 10001);
        rig_up(rig, A);
    }
    assert_true(rig->now_ns > UINT64_C(20000000000));
    rig_free(rig);
}

static void
other_pairs_and_brokers_without_one_are_not_judged(void **state)
{
    (void)state;
    struct rig *rig = serve_pair(8);
    hear_request(rig, B, 6, "new");
    hear_of_pair(rig, A, pair + 1, 1, "another pair's");
    rig_hear_request(rig, A, 77, "without");
    assert_int_equal(worker_core_stats(rig->core)->fenced, 0);
    for (int i = 0; i < 3; i++)
        assert_true(rig_take(rig));
    rig_free(rig);
}

// Every broker may be overtaken by one message, and the effects of that step have room.
static void
many_sessions_are_fenced_in_one_step(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1);
    rig->config.broker_count = RIG_BROKERS;
    rig->config.credit = 4;
    rig_start(rig);
    for (uint32_t broker = 0; broker < RIG_BROKERS; broker++) {
        rig_up(rig, broker);
        rig_sent(rig, broker);
        rig_hear_command(rig, broker, MDP_HEARTBEAT);
        for (int i = 0; i < 20 && broker > 0; i++)
            hear_request(rig, broker, 5, "old");
    }
    hear_request(rig, 0, 6, "new");
    assert_int_equal(worker_core_stats(rig->core)->fenced, RIG_BROKERS - 1);
    assert_takes(rig, "new");
    assert_false(rig_take(rig));
    rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_of_an_older_epoch_is_not_run),
        cmocka_unit_test(epoch_that_is_known_or_newer_is_served),
        cmocka_unit_test(what_waits_of_an_older_epoch_goes_when_a_newer_one_comes),
        cmocka_unit_test(half_that_serves_again_is_asked_in_its_own_order),
        cmocka_unit_test(worker_that_refused_is_there_again_for_the_next_epoch),
        cmocka_unit_test(broker_that_is_always_refused_is_met_with_back_off),
        cmocka_unit_test(other_pairs_and_brokers_without_one_are_not_judged),
        cmocka_unit_test(many_sessions_are_fenced_in_one_step),
    };
    return cmocka_run_group_tests_name("worker_fence", tests, NULL, NULL);
}
