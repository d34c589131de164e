// test_client_swarm.c - client cores among brokers that do anything, in any order.
//
// Events are drawn from a seed: connections made and cut, answers right and wrong,
// refused sends, time. After each step the rig audits the core; in the end every
// call has ended exactly once and all cargo has come back.

#include "client_rig.h"

#include "prng.h"

#include <galleon/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SEEDS = 60, STEPS = 3000, ENDPOINTS_MAX = 4 };

struct swarm {
    struct rig *rig;
    struct prng dice;
    mdp_dialect_t spoken[ENDPOINTS_MAX]; // what each broker would say
    uint64_t called;
    uint64_t cancelled;
    uint64_t ended; // answers but PENDING
};

static uint64_t
roll(struct swarm *self, uint64_t below)
{
    return prng_below(&self->dice, below);
}

// count_answers checks that no call ends twice, and makes room in the log.
static void
count_answers(struct swarm *self)
{
    for (size_t i = 0; i < self->rig->answer_count; i++) {
        const struct rig_answer *answer = &self->rig->answers[i];
        assert_in_range(answer->id, 1, self->called);
        if (answer->result == GALLEON_PENDING)
            continue;
        assert_false(client_core_is_open(self->rig->core, answer->id));
        self->ended++;
    }
    rig_forget(self->rig);
    assert_true(self->called ==
                self->cancelled + self->ended + client_core_open_count(self->rig->core));
}

static void
say_anything(struct swarm *self, uint32_t endpoint)
{
    static const enum mdp_command commands[] = {MDP_FINAL, MDP_PARTIAL, MDP_HEARTBEAT, MDP_CANCEL,
                                                MDP_DISCONNECT};
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_G1, MDP_01, MDP_02};
    static const uint16_t statuses[] = {200, 200, 200, 503, 503, 404, 0};
    struct view frames[2] = {VIEW_LITERAL("b"), VIEW_LITERAL("g1")};
    uint64_t window = self->rig->config.window + 2;
    uint64_t newest = client_core_last_id(self->rig->core) + 1;
    struct mdp_record record = {
        .fault = roll(self, 8) == 0 ? (enum mdp_fault)roll(self, MDP_FAULTS) : MDP_SOUND,
        .dialect = dialects[roll(self, 4)],
        .side = roll(self, 16) == 0 ? MDP_WORKER_SIDE : MDP_CLIENT_SIDE,
        .command = commands[roll(self, 3 + 2 * roll(self, 2))],
        .status = statuses[roll(self, 7)],
        .parts = (uint16_t)roll(self, 3),
        .seq = (uint32_t)roll(self, 4),
        .id = newest - roll(self, newest < window ? newest + 1 : window),
        .service = roll(self, 4) == 0 ? VIEW_LITERAL("other") : VIEW_LITERAL("echo"),
        .body = {.frames = frames, .count = (size_t)roll(self, 3), .bytes = 1},
    };
    rig_record(self->rig, endpoint, &record);
}

// serve answers what was sent last, as a broker should.
static void
serve(struct swarm *self)
{
    if (self->rig->sent_count == 0)
        return;
    struct rig_sent sent = *rig_last_sent(self->rig);
    if (sent.command != MDP_REQUEST)
        return;
    bool is_question = sent.service[0] == 'm';
    const char *body = is_question && self->spoken[sent.endpoint] == MDP_G1 ? "200|g1" : "501";
    if (sent.dialect == MDP_G1)
        rig_final(self->rig, sent.endpoint, sent.id, 200, 0, "x");
    else
        rig_reply(self->rig, sent.endpoint, sent.dialect, MDP_FINAL, sent.service, body);
}

// refuse takes back what was sent since, the last first, where its connection is still
// there.
static void
refuse(struct swarm *self, size_t since)
{
    struct rig *rig = self->rig;
    for (size_t i = rig->sent_count; i-- > since;) {
        struct rig_sent sent = rig->sent[i];
        if (rig->is_open[sent.endpoint] && rig->opened[sent.endpoint] == sent.connection)
            rig_unsent(rig, &sent);
    }
}

static void
act(struct swarm *self)
{
    struct rig *rig = self->rig;
    uint32_t endpoint = (uint32_t)roll(self, rig->config.endpoint_count);
    switch (roll(self, 10)) {
    case 0:
    case 1:
        if (client_core_has_room(rig->core)) {
            rig_call(rig, "echo");
            self->called++;
        }
        break;
    case 2: {
        uint64_t id = 1 + roll(self, self->called + 1);
        self->cancelled += client_core_is_open(rig->core, id);
        rig_cancel(rig, id);
        break;
    }
    case 3:
    case 4:
        if (rig->is_open[endpoint])
            rig_up(rig, endpoint);
        break;
    case 5:
        if (roll(self, 4) == 0)
            rig_down(rig, endpoint);
        break;
    case 6:
        serve(self);
        break;
    case 7:
        rig_until(rig, rig_ms(rig) + roll(self, roll(self, 8) == 0 ? 3000 : 50));
        break;
    default:
        say_anything(self, endpoint);
        break;
    }
}

static void
run(uint8_t seed)
{
    static const mdp_dialect_t dialects[] = {MDP_AUTO, MDP_AUTO, MDP_G1, MDP_G1, MDP_01, MDP_02};
    struct swarm self = {0};
    uint8_t bytes[32] = {seed};
    prng_init(&self.dice, bytes, 7);
    self.rig = rig_new(dialects[roll(&self, 6)], 1 + (size_t)roll(&self, ENDPOINTS_MAX));
    self.rig->config.window = 1 + (uint32_t)roll(&self, 100);
    self.rig->config.attempts = 1 + (uint32_t)roll(&self, 4);
    self.rig->config.timeout_ms = 10 + (uint32_t)roll(&self, 2500);
    self.rig->config.deadline_ms = 10 + (uint32_t)roll(&self, 10000);
    self.rig->config.hands_out_parts = roll(&self, 2) == 0;
    self.rig->config.answer_bytes_max = roll(&self, 10);
    self.rig->config.seed[0] = seed;
    for (size_t i = 0; i < ENDPOINTS_MAX; i++)
        self.spoken[i] = roll(&self, 2) == 0 ? MDP_G1 : MDP_01;
    rig_start(self.rig);

    for (int i = 0; i < STEPS; i++) {
        size_t sent_before = self.rig->sent_count;
        act(&self);
        if (roll(&self, 10) == 0)
            refuse(&self, sent_before);
        if (self.rig->sent_count > RIG_LOG_MAX / 2 || self.rig->answer_count > 100)
            count_answers(&self);
    }
    // Left alone, whatever is open ends by its deadline.
    count_answers(&self);
    rig_until(self.rig, rig_ms(self.rig) + self.rig->config.deadline_ms + 1);
    count_answers(&self);
    assert_int_equal(client_core_open_count(self.rig->core), 0);
    assert_int_equal(self.rig->live, 0);
    rig_free(self.rig);
}

static void
every_call_ends_once_whatever_brokers_do(void **state)
{
    (void)state;
    const char *only = getenv("GALLEON_SEED");
    for (int seed = 0; seed < SEEDS; seed++) {
        if (only != NULL && strtol(only, NULL, 10) != seed)
            continue;
        print_message("seed %d\n", seed);
        run((uint8_t)seed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_ends_once_whatever_brokers_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
