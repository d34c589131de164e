// test_client_limits.c - where a client core's limits end, to the byte and the millisecond.

#include "client_rig.h"

#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { A };

static struct rig *
serving(void)
{
    struct rig *rig = rig_new(MDP_G1, 1);
    rig_start(rig);
    rig_up(rig, A);
    return rig;
}

static void
answer_may_have_as_many_bytes_as_the_limit(void **state)
{
    (void)state;
    struct rig *rig = rig_new(MDP_G1, 1);
    rig->config.answer_bytes_max = 8;
    rig_start(rig);
    rig_up(rig, A);
    uint64_t id = rig_call(rig, "stream");
    rig_partial(rig, A, id, 0, "four");
    rig_partial(rig, A, id, 1, "four");
    assert_int_equal(rig->answer_count, 0);

    rig_partial(rig, A, id, 2, "1");

    assert_int_equal(rig_last_answer(rig)->status, MDP_TOO_LARGE);
    rig_free(rig);
}

static void
deadline_says_something_of_the_broker_from_half_a_timeout_on(void **state)
{
    (void)state;
    for (uint32_t deadline_ms = 1249; deadline_ms <= 1251; deadline_ms += 2) {
        struct rig *rig = rig_new(MDP_G1, 1);
        rig->config.attempts = 1;
        rig->config.deadline_ms = deadline_ms;
        rig_start(rig);
        rig_up(rig, A);
        rig_call(rig, "echo");

        rig_until(rig, deadline_ms);

        assert_int_equal(rig_last_answer(rig)->result, GALLEON_TIMED_OUT);
        size_t beats = 0; // by which it asks whether the connection lives
        for (size_t i = 0; i < rig->sent_count; i++)
            beats += rig->sent[i].command == MDP_HEARTBEAT ? 1 : 0;
        assert_int_equal(beats, deadline_ms < 1250 ? 0 : 1);
        rig_free(rig);
    }
}

static void
cut(struct rig *rig)
{
    rig_down(rig, A);
    while (!rig->is_open[A])
        rig_until(rig, rig_ms(rig) + 10);
    rig_up(rig, A);
}

static void
answer_ends_the_back_off_and_not_only_puts_it_off(void **state)
{
    (void)state;
    struct rig *rig = serving();
    for (int i = 0; i < 6; i++)
        cut(rig);
    rig_final(rig, A, rig_call(rig, "echo"), MDP_DONE, 0, "x");
    cut(rig); // which is made again at once, after an answer

    uint64_t from_ns = rig->now_ns;
    rig_down(rig, A);

    assert_in_range(client_core_deadline(rig->core) - from_ns, 50 * 1000000, 100 * 1000000);
    rig_free(rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_may_have_as_many_bytes_as_the_limit),
        cmocka_unit_test(deadline_says_something_of_the_broker_from_half_a_timeout_on),
        cmocka_unit_test(answer_ends_the_back_off_and_not_only_puts_it_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
