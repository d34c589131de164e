// test_heartbeat.c - when to speak, when the other is lost, and when to look again.

#include <galleon/heartbeat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { INTERVAL = 1000, START = 5000 };

static heartbeat_t
beat_of(uint32_t liveness)
{
    heartbeat_t beat;
    heartbeat_init(&beat, INTERVAL, liveness, START);
    return beat;
}

static void
rests_until_its_interval_is_over(void **state)
{
    (void)state;
    heartbeat_t beat = beat_of(3);
    assert_int_equal(heartbeat_check(&beat, START), HEARTBEAT_REST);
    assert_int_equal(heartbeat_check(&beat, START + INTERVAL - 1), HEARTBEAT_REST);
    assert_int_equal(heartbeat_check(&beat, START + INTERVAL), HEARTBEAT_SPEAK);
    // To be asked changes nothing.
    assert_int_equal(heartbeat_check(&beat, START + INTERVAL), HEARTBEAT_SPEAK);
}

static void
whatever_is_sent_is_a_beat(void **state)
{
    (void)state;
    heartbeat_t beat = beat_of(3);
    heartbeat_spoke(&beat, START + 600);
    assert_int_equal(heartbeat_check(&beat, START + INTERVAL), HEARTBEAT_REST);
    assert_int_equal(heartbeat_check(&beat, START + 600 + INTERVAL), HEARTBEAT_SPEAK);
}

static void
peer_is_lost_after_more_silence_than_its_patience(void **state)
{
    (void)state;
    for (uint32_t liveness = 1; liveness <= 5; liveness++) {
        heartbeat_t beat = beat_of(liveness);
        uint64_t lost = START + (uint64_t)liveness * INTERVAL + 1;
        heartbeat_spoke(&beat, lost);
        assert_int_equal(heartbeat_check(&beat, lost - 1), HEARTBEAT_REST);
        assert_int_equal(heartbeat_check(&beat, lost), HEARTBEAT_LOST);
    }
}

static void
whatever_is_heard_is_a_beat(void **state)
{
    (void)state;
    heartbeat_t beat = beat_of(2);
    heartbeat_heard(&beat, START + 1500);
    heartbeat_spoke(&beat, START + 3000);
    assert_int_equal(heartbeat_check(&beat, START + 3500), HEARTBEAT_REST);
    assert_int_equal(heartbeat_check(&beat, START + 3501), HEARTBEAT_LOST);
    // A peer that was taken for lost is not any more once it is heard.
    heartbeat_heard(&beat, START + 3501);
    assert_int_equal(heartbeat_check(&beat, START + 3501), HEARTBEAT_REST);
}

static void
lost_outranks_speak(void **state)
{
    (void)state;
    heartbeat_t beat = beat_of(1);
    assert_int_equal(heartbeat_check(&beat, START + INTERVAL), HEARTBEAT_SPEAK);
    assert_int_equal(heartbeat_check(&beat, START + INTERVAL + 1), HEARTBEAT_LOST);
}

static void
deadline_is_exactly_when_it_stops_to_rest(void **state)
{
    (void)state;
    static const struct {
        uint64_t spoke, heard;
    } rows[] = {{START, START},        {START + 900, START},  {START, START + 900},
                {START + 2500, START}, {START + 2999, START}, {START + 3001, START}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        heartbeat_t beat = beat_of(3);
        heartbeat_spoke(&beat, rows[i].spoke);
        heartbeat_heard(&beat, rows[i].heard);
        uint64_t deadline = heartbeat_deadline(&beat);
        assert_int_equal(heartbeat_check(&beat, deadline - 1), HEARTBEAT_REST);
        assert_int_not_equal(heartbeat_check(&beat, deadline), HEARTBEAT_REST);
    }
}

static void
patience_without_an_end_is_never_over(void **state)
{
    (void)state;
    heartbeat_t beat = beat_of(3);
    beat.patience_ns = UINT64_MAX;
    beat.interval_ns = UINT64_MAX;
    assert_true(heartbeat_deadline(&beat) == UINT64_MAX);
    assert_int_equal(heartbeat_check(&beat, UINT64_MAX - 1), HEARTBEAT_REST);
    heartbeat_init(&beat, UINT64_MAX / 2, 3, START);
    assert_true(beat.patience_ns == UINT64_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_until_its_interval_is_over),
        cmocka_unit_test(whatever_is_sent_is_a_beat),
        cmocka_unit_test(peer_is_lost_after_more_silence_than_its_patience),
        cmocka_unit_test(whatever_is_heard_is_a_beat),
        cmocka_unit_test(lost_outranks_speak),
        cmocka_unit_test(deadline_is_exactly_when_it_stops_to_rest),
        cmocka_unit_test(patience_without_an_end_is_never_over),
    };
    return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL);
}
