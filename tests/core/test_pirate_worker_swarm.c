// test_pirate_worker_swarm.c - whatever comes in whatever order: what must hold all the time.
//
// The rig audits the core after each step and follows the cargo. Here it is asked besides that
// READY, or a late answer in its place, is the first thing said over a connection and READY is
// said once; that nobody beats who has a request; and that each answer is sent once or told of
// as lost.

#include "pirate_worker_rig.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { SEEDS = 60, EVENTS = 3000 };

struct swarm {
    struct rig *rig;
    struct prng prng;
    bool is_up;
    bool is_held;
    bool was_held; // before the event
    size_t checked_connection;
    size_t readies; // over it
    size_t checked; // of rig->sent
    uint64_t number;
    size_t taken, answered, replies;
};

static uint64_t
below(struct swarm *self, uint64_t bound)
{
    return prng_below(&self->prng, bound);
}

static void
check_sent(struct swarm *self, const struct rig_sent *sent)
{
    bool is_paranoid = self->rig->config.dialect == PIRATE_PARANOID;
    bool is_first = sent->connection != self->checked_connection;
    if (is_first) {
        self->checked_connection = sent->connection;
        self->readies = 0;
        assert_true(sent->says == PIRATE_READY || (!is_paranoid && sent->says == PIRATE_REPLY));
    }
    self->readies += sent->says == PIRATE_READY ? 1 : 0;
    assert_true(self->readies <= 1);
    assert_true(sent->says != PIRATE_READY || is_first);
    assert_true(sent->says != PIRATE_HEARTBEAT || (is_paranoid && !self->was_held));
    self->replies += sent->says == PIRATE_REPLY ? 1 : 0;
}

static void
check(struct swarm *self)
{
    struct rig *rig = self->rig;
    for (; self->checked < rig->sent_count; self->checked++)
        check_sent(self, &rig->sent[self->checked]);
    if (rig->sent_count > RIG_LOG_MAX / 2)
        rig->sent_count = self->checked = 0;
    self->is_up = self->is_up && rig->is_open;
    self->is_held = pirate_worker_core_is_held(rig->core);
    assert_true(self->replies + rig->lost <= self->answered);
}

static void
hear(struct swarm *self)
{
    struct rig *rig = self->rig;
    char client[16];
    switch (below(self, 16)) {
    case 0:
        rig_hear_fault(rig, (enum pirate_fault)(1 + below(self, PIRATE_FAULTS - 1)));
        break;
    case 1:
    case 2:
    case 3:
    case 4:
        rig_hear_beat(rig);
        break;
    default:
        snprintf(client, sizeof client, "c%u", (unsigned)self->number++ % 1000);
        rig_hear_request(rig, client, below(self, 30) == 0 ? NULL : "hello");
    }
}

static void
wait(struct swarm *self)
{
    static const uint64_t waits_ms[] = {1, 10, 100, 900, 3500, 20000};
    uint64_t ms = waits_ms[below(self, sizeof waits_ms / sizeof *waits_ms)];
    if (below(self, 4) == 0)
        rig_sleep(self->rig, ms);
    else
        rig_wait(self->rig, ms);
}

static void
one_event(struct swarm *self)
{
    struct rig *rig = self->rig;
    self->was_held = self->is_held;
    switch (below(self, 9)) {
    case 0:
        wait(self);
        break;
    case 1:
        if (rig->is_open && !self->is_up) {
            self->is_up = true;
            rig_event(rig, PIRATE_WORKER_UP);
        }
        break;
    case 2:
        if (self->is_up && below(self, 6) == 0)
            rig_event(rig, PIRATE_WORKER_DOWN);
        break;
    case 3:
        rig->is_refusing = below(self, 3) == 0;
        break;
    case 4:
    case 5:
        self->taken += rig_take(rig) ? 1 : 0;
        break;
    case 6:
        if (self->is_held) {
            self->answered++;
            rig_answer(rig, below(self, 10) == 0 ? NULL : "answer");
        }
        break;
    default:
        if (self->is_up)
            hear(self);
    }
    check(self);
}

static void
rules_hold_whatever_comes(void **state)
{
    (void)state;
    size_t replies = 0, late = 0, silences = 0;
    for (uint8_t seed = 0; seed < SEEDS; seed++) {
        struct swarm swarm = {.rig = rig_new(seed % 2 ? PIRATE_SIMPLE : PIRATE_PARANOID)};
        const uint8_t bytes[32] = {seed};
        prng_init(&swarm.prng, bytes, 1);
        rig_start(swarm.rig);
        for (int i = 0; i < EVENTS; i++)
            one_event(&swarm);
        replies += swarm.replies;
        late += rig_counters(swarm.rig)->answers_late;
        silences += rig_counters(swarm.rig)->silences;
        // Nothing but what waits is missing, and that is told of at the end.
        rig_event(swarm.rig, PIRATE_WORKER_STOP);
        assert_int_equal(swarm.replies + swarm.rig->lost, swarm.answered);
        assert_int_equal(rig_counters(swarm.rig)->answers, swarm.replies);
        rig_free(swarm.rig);
    }
    // It has been everywhere.
    assert_true(replies > 1000 && late > 100 && silences > 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_hold_whatever_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
