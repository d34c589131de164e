// bstar_rig.c - events at the time of a clock that the test winds.

#include "bstar_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t MS = 1000000;

struct bstar_config
rig_config(enum bstar_mode mode, bool is_primary)
{
    struct bstar_config config;
    bstar_config_init(&config, mode, is_primary, false, 0, 0, 0);
    config.node = RIG_NODE;
    config.pair = RIG_PAIR;
    return config;
}

void
rig_start(struct bstar_rig *self, const struct bstar_config *config)
{
    memset(self, 0, sizeof *self);
    self->now_ns = 5000 * MS;
    bstar_core_init(&self->core, config, self->now_ns);
}

void
rig_step(struct bstar_rig *self, struct bstar_event event)
{
    event.now_ns = self->now_ns;
    bstar_core_step(&self->core, &event, &self->effects);
}

void
rig_say(struct bstar_rig *self, enum bstar_event_kind kind)
{
    rig_step(self, (struct bstar_event){.kind = kind});
}

void
rig_wait(struct bstar_rig *self, uint64_t ms)
{
    uint64_t end_ns = self->now_ns + ms * MS;
    while (bstar_core_deadline(&self->core) < end_ns) {
        uint64_t due_ns = bstar_core_deadline(&self->core);
        self->now_ns = due_ns > self->now_ns ? due_ns : self->now_ns;
        rig_say(self, BSTAR_ON_TICK);
        assert_true(bstar_core_deadline(&self->core) > self->now_ns);
    }
    self->now_ns = end_ns;
    rig_say(self, BSTAR_ON_TICK);
}

void
rig_sleep(struct bstar_rig *self, uint64_t ms)
{
    self->now_ns += ms * MS;
}

size_t
rig_has(const struct bstar_rig *self, enum bstar_effect_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < self->effects.count; i++)
        count += self->effects.list[i].kind == kind;
    return count;
}

const struct bstar_effect *
rig_effect(const struct bstar_rig *self, enum bstar_effect_kind kind)
{
    size_t at = 0;
    while (at < self->effects.count && self->effects.list[at].kind != kind)
        at++;
    assert_in_range(at + 1, 1, self->effects.count);
    return &self->effects.list[at];
}

// ---- classic -----------------------------------------------------------------------------------

void
rig_hear(struct bstar_rig *self, enum bstar_digit digit, uint64_t epoch)
{
    struct bstar_beat beat = {
        .digit = digit,
        .is_primary = !self->core.config.is_primary,
        .epoch = epoch,
        .node = RIG_PEER,
        .progress = ++self->peer_progress,
    };
    rig_step(self, (struct bstar_event){.kind = BSTAR_ON_BEAT, .beat = &beat});
}

// ---- guarded -----------------------------------------------------------------------------------

void
rig_load(struct bstar_rig *self, uint64_t epoch, uint64_t holder)
{
    struct bstar_record record = {RIG_PAIR, 3, epoch, holder};
    rig_step(self, (struct bstar_event){.kind = BSTAR_ON_LOADED, .record = &record});
}

void
rig_message(struct bstar_rig *self, enum bstar_sender sender, struct bstar_message message)
{
    message.pair = RIG_PAIR;
    if (sender == BSTAR_FROM_PEER && message.state == 0)
        message.state = GUARDED_PASSIVE + 1;
    message.node = sender == BSTAR_FROM_WITNESS ? RIG_WITNESS : RIG_PEER;
    rig_step(self,
             (struct bstar_event){
                 .kind = BSTAR_ON_MESSAGE, .message = &message, .sender = sender, .route = 5});
}

void
rig_hear_beat(struct bstar_rig *self, enum guarded_state state, uint64_t epoch)
{
    rig_message(self, BSTAR_FROM_PEER,
                (struct bstar_message){.command = BSTAR_BEAT,
                                       .state = (uint8_t)(state + 1),
                                       .epoch = epoch,
                                       .progress = ++self->peer_progress});
}

void
rig_reply(struct bstar_rig *self, enum bstar_sender sender, enum bstar_command command,
          uint32_t left_ms)
{
    const struct bstar_guarded *guarded = &self->core.guarded;
    const struct bstar_round *round = &guarded->rounds[guarded->newest];
    rig_message(
        self, sender,
        (struct bstar_message){
            .command = command, .epoch = round->epoch, .nonce = round->nonce, .left_ms = left_ms});
}

void
rig_elect(struct bstar_rig *self)
{
    while (self->core.guarded.state == GUARDED_PASSIVE)
        rig_wait(self, 10);
    assert_int_equal(self->core.guarded.state, GUARDED_ASKING);
    rig_reply(self, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
    assert_int_equal(self->core.guarded.state, GUARDED_CANDIDATE);
    rig_say(self, BSTAR_ON_STORED);
    rig_reply(self, BSTAR_FROM_WITNESS, BSTAR_GRANT, 0);
}
