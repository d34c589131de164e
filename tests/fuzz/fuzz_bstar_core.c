// fuzz_bstar_core.c - whatever the members, the clients and the clock do, a member of a pair
// goes on, and keeps to what can be seen from outside.
//
// The input chooses the form (its first byte), and then one event after the other: a byte for
// its kind, and those that it takes. What the shell promises is kept: STORED follows STORE,
// DRAINED a drain, OPENED an OPEN, LOADED comes first.

#include "bstar_core.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAIR = 7, NODE = 20, PEER = 10, WITNESS = 30 };

struct fuzz {
    struct view input;
    struct bstar_core core;
    struct bstar_effects effects;
    uint64_t now_ns;
    bool is_storing;
    bool is_opening;
    bool is_draining;
    bool has_stopped; // or was told to
};

static uint8_t
take(struct fuzz *self)
{
    if (self->input.size == 0)
        return 0;
    uint8_t byte = self->input.data[0];
    self->input = view_skip(self->input, 1);
    return byte;
}

static void
check(const struct fuzz *self, const struct bstar_event *event, uint8_t was)
{
    const struct bstar_core *core = &self->core;
    bool is_fault = core->config.mode == BSTAR_GUARDED && was == GUARDED_FAULT;
    must(!core->pulse.is_over || self->has_stopped);
    must(!is_fault || core->guarded.state == GUARDED_FAULT || event->kind == BSTAR_ON_CLEAR);
    must(!bstar_core_may_serve(core, self->now_ns) || bstar_core_shown(core) == BSTAR_SHOWN_ACTIVE);
    for (size_t i = 0; i < self->effects.count; i++)
        must(self->effects.list[i].kind != BSTAR_DO_SERVE ||
             bstar_core_may_serve(core, self->now_ns));
}

static void
step(struct fuzz *self, struct bstar_event event)
{
    event.now_ns = self->now_ns;
    uint8_t was = (uint8_t)self->core.guarded.state;
    bstar_core_step(&self->core, &event, &self->effects);
    check(self, &event, was);
    for (size_t i = 0; i < self->effects.count; i++) {
        enum bstar_effect_kind kind = self->effects.list[i].kind;
        self->is_storing |= kind == BSTAR_DO_STORE;
        self->is_opening |= kind == BSTAR_DO_OPEN;
        self->is_draining |= kind == BSTAR_DO_DRAIN || kind == BSTAR_DO_DROP;
    }
}

static void
hear_beat(struct fuzz *self)
{
    uint8_t what = take(self);
    struct bstar_beat beat = {
        .digit = (enum bstar_digit)(what % 4 + 1),
        .is_primary = what & 4,
        .epoch = take(self) % 8,
        .node = what & 8 ? NODE : PEER,
        .progress = take(self),
    };
    step(self, (struct bstar_event){.kind = BSTAR_ON_BEAT,
                                    .fault = what > 250 ? BSTAR_BAD_NODE : BSTAR_SOUND,
                                    .beat = &beat});
}

static void
hear_message(struct fuzz *self)
{
    uint8_t what = take(self), who = take(self), epoch = take(self);
    const struct bstar_guarded *guarded = &self->core.guarded;
    struct bstar_message message = {
        .command = (enum bstar_command)(what % 7 + 1),
        .state = who & 1 && who < 200 ? BSTAR_STATE_OF_WITNESS : (who >> 1) % BSTAR_STATES_MAX + 1,
        .pair = what > 250 ? PAIR + 1 : PAIR,
        .node = who & 1     ? WITNESS
                : who > 250 ? NODE
                            : PEER,
        // Near to what is known, or the largest there is.
        .epoch = epoch == 255 ? BSTAR_EPOCH_MAX : guarded->epoch + epoch % 4,
        .progress = epoch,
        .witness = what & 128 ? WITNESS + epoch % 2 : 0,
        .left_ms = epoch == 255 ? UINT32_MAX : epoch * 8u,
    };
    message.epoch -= message.epoch > 0 && message.epoch < BSTAR_EPOCH_MAX;
    if (what & 8)
        message.nonce = guarded->rounds[(what >> 4) % BSTAR_ROUNDS].nonce;
    step(self, (struct bstar_event){.kind = BSTAR_ON_MESSAGE,
                                    .message = &message,
                                    .sender = who & 1 ? BSTAR_FROM_WITNESS : BSTAR_FROM_PEER,
                                    .route = who});
}

static void
answer(struct fuzz *self, bool *is_waiting, enum bstar_event_kind kind)
{
    if (!*is_waiting)
        return;
    *is_waiting = false;
    step(self, (struct bstar_event){.kind = kind});
}

static void
say_word(struct fuzz *self)
{
    static const enum bstar_event_kind words[] = {BSTAR_ON_PROMOTE, BSTAR_ON_DEMOTE,
                                                  BSTAR_ON_FREEZE, BSTAR_ON_THAW, BSTAR_ON_CLEAR};
    uint8_t what = take(self);
    struct bstar_record record = {.pair = PAIR, .epoch = what % 8, .holder = PEER};
    if (what % 5 == 4 && self->is_storing)
        return; // the shell reads what it writes
    step(self, (struct bstar_event){.kind = words[what % 5],
                                    .record = what & 64 ? NULL : &record,
                                    .is_peer_dead = what & 128});
}

static void
do_one(struct fuzz *self)
{
    uint8_t kind = take(self);
    switch (kind % 12) {
    case 0:
    case 1:
        self->now_ns += take(self) * 1000000ull;
        step(self, (struct bstar_event){.kind = BSTAR_ON_TICK});
        break;
    case 2:
        self->now_ns += take(self) * 50000000ull; // nobody looks
        break;
    case 3:
        step(self, (struct bstar_event){.kind = kind & 64 ? BSTAR_ON_CLIENT : BSTAR_ON_TRAFFIC});
        break;
    case 4:
        hear_beat(self);
        break;
    case 5:
    case 6:
        hear_message(self);
        break;
    case 7:
        answer(self, &self->is_storing, kind > 230 ? BSTAR_ON_UNSTORED : BSTAR_ON_STORED);
        break;
    case 8:
        answer(self, &self->is_draining, BSTAR_ON_DRAINED);
        answer(self, &self->is_opening, BSTAR_ON_OPENED);
        break;
    case 9:
        say_word(self);
        break;
    case 10:
        if (self->core.guarded.state != GUARDED_START)
            step(self,
                 (struct bstar_event){.kind = kind > 230 ? BSTAR_ON_FAILED : BSTAR_ON_FENCED});
        break;
    default:
        self->has_stopped |= kind > 240;
        step(self, (struct bstar_event){.kind = kind > 240 ? BSTAR_ON_STOP : BSTAR_ON_TICK});
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz self;
    self = (struct fuzz){.input = view_of(data, size), .now_ns = 1000000000};
    uint8_t form = take(&self);
    struct bstar_config config;
    bstar_config_init(&config, (enum bstar_mode)(form % 3), form & 4, form & 8, 0, 0, 0);
    config.has_store = form & 16;
    config.pair = PAIR;
    config.node = NODE;
    bstar_core_init(&self.core, &config, self.now_ns);
    struct bstar_record record = {.pair = PAIR, .epoch = 3, .holder = form & 32 ? NODE : PEER};
    if (config.mode != BSTAR_CLASSIC)
        step(&self, (struct bstar_event){.kind = BSTAR_ON_LOADED, .record = &record});
    while (self.input.size > 0)
        do_one(&self);
    return 0;
}
