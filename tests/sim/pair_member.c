// pair_member.c - bstar.c and bstar_witness.c, without sockets, disks and threads.
//
// Letters between members are lost, late and out of order, and each way can be cut. A record is on
// the disk a while after it is asked for; a process that ends before has it there or not.

#include "check.h"
#include "pairs.h"

static struct pair *
pair_of(const struct member *self)
{
    return self->node->world->pair;
}

// ---- letters ------------------------------------------------------------------------------------

static void
arrive(struct world *world, void *object, uint64_t argument)
{
    struct letter *letter = object;
    struct member *to = &world->pair->members[letter->to];
    (void)argument;
    if (!to->node->is_alive || to->node->life != letter->life || to->line != letter->line) {
        world_give(world, letter);
        return;
    }
    if (to->last == NULL)
        to->first = letter;
    else
        to->last->next = letter;
    to->last = letter;
    node_poke(to->node);
}

static uint64_t
delay(struct world *world, uint32_t from, uint32_t to)
{
    const struct pair_plan *plan = &world->plan.pair;
    if (world->pair->slow_until_ns[from][to] > world->now_ns)
        return world->pair->slow_ns[from][to];
    if (has(world, FAULT_PAIR_LATE) && roll(world, STREAM_PAIR, 20) == 0) {
        mark(world, MARK_LETTER_LATE);
        return roll(world, STREAM_PAIR, 4 * (uint64_t)plan->lease_ms * 1000000);
    }
    return roll_between(world, STREAM_PAIR, plan->latency_ns_max / 8, plan->latency_ns_max);
}

// in_order: a PUB keeps its order, so that one that is late makes those behind it late.
static uint64_t
in_order(struct member *self, uint32_t to, uint64_t at_ns)
{
    struct world *world = self->node->world;
    uint64_t *last_ns = &world->pair->last_ns[self->number][to];
    if (at_ns < *last_ns)
        at_ns = *last_ns;
    *last_ns = at_ns;
    if (at_ns > world->now_ns + world->plan.pair.latency_ns_max)
        check_apart(world, at_ns);
    return at_ns;
}

void
member_post(struct member *self, uint32_t to, const struct letter *what)
{
    struct world *world = self->node->world;
    bool is_lost = has(world, FAULT_PAIR_LOSE) && roll(world, STREAM_PAIR, 20) == 0;
    const struct member *receiver = &pair_of(self)->members[to];
    if (is_lost)
        check_apart(world, world->now_ns);
    if (is_lost || pair_of(self)->cut_until_ns[self->number][to] > world->now_ns ||
        !receiver->node->is_alive)
        return;
    struct letter *letter = world_take_zeroed(world, sizeof *letter);
    *letter = *what;
    letter->from = self->number;
    letter->to = to;
    letter->life = receiver->node->life;
    letter->line = receiver->line;
    uint64_t at_ns = world->now_ns + delay(world, self->number, to);
    if (member_is_classic(self))
        at_ns = in_order(self, to, at_ns);
    world_at(world, at_ns, arrive, letter, 0);
}

static void
post(struct member *self, uint32_t to, const struct bstar_message *message)
{
    struct letter letter = {0};
    letter.size = bstar_message_encode(message, letter.bytes);
    member_post(self, to, &letter);
}

static void
read_letter(struct member *self, const struct letter *letter)
{
    struct view frame = view_of(letter->bytes, letter->size);
    struct bstar_message message;
    struct bstar_event event = {.kind = BSTAR_ON_MESSAGE,
                                .fault = bstar_message_decode(&frame, 1, &message),
                                .message = &message,
                                .sender = letter->from == MEMBER_WITNESS ? BSTAR_FROM_WITNESS
                                                                         : BSTAR_FROM_PEER,
                                .route = letter->from};
    member_step(self, event);
}

void
member_read_letters(struct member *self)
{
    struct letter *letter;
    while ((letter = self->first) != NULL) {
        self->first = letter->next;
        if (self->first == NULL)
            self->last = NULL;
        if (member_is_classic(self))
            beats_read(self, letter);
        else
            read_letter(self, letter);
        world_give(self->node->world, letter);
    }
}

void
member_drop_letters(struct member *self)
{
    struct letter *letter;
    while ((letter = self->first) != NULL) {
        self->first = letter->next;
        world_give(self->node->world, letter);
    }
    self->last = NULL;
}

// ---- the disk -----------------------------------------------------------------------------------

static void
on_disk(struct world *world, void *object, uint64_t serial)
{
    struct member *self = object;
    if (!self->is_writing || self->write_serial != serial)
        return;
    self->is_writing = false;
    self->is_failed = has(world, FAULT_PAIR_DISK) && roll(world, STREAM_PAIR, 8) == 0;
    self->is_written = !self->is_failed;
    // What failed may be there all the same.
    if (self->is_written || roll(world, STREAM_PAIR, 2) == 0)
        self->disk = self->writing;
    node_poke(self->node);
}

static void
write_record(struct member *self, const struct bstar_record *record)
{
    struct world *world = self->node->world;
    self->writing = *record;
    self->is_writing = true;
    uint64_t takes_ns = roll(world, STREAM_PAIR, world->plan.pair.latency_ns_max) + 1;
    world_at(world, world->now_ns + takes_ns, on_disk, self, ++self->write_serial);
}

// ---- stepping the core --------------------------------------------------------------------------

static void
carry_out(struct member *self, const struct bstar_effect *effect)
{
    switch (effect->kind) {
    case BSTAR_DO_PUBLISH:
        beats_publish(self, &effect->beat);
        break;
    case BSTAR_DO_SEND:
        post(self, effect->to == BSTAR_FROM_WITNESS ? MEMBER_WITNESS : 1 - self->number,
             &effect->message);
        break;
    case BSTAR_DO_REPLY:
        post(self, (uint32_t)effect->route, &effect->message);
        break;
    case BSTAR_DO_STORE:
        write_record(self, &effect->record);
        break;
    case BSTAR_DO_CHANGE:
        note(self->node->world, self->node, "was in state %llu of the pair, is in %llu, epoch %llu",
             effect->was, effect->is, bstar_core_epoch(&self->core));
        break;
    case BSTAR_DO_SERVE:
        self->is_served = true;
        break;
    case BSTAR_DO_DRAIN:
        pair_follower_must_finish(self->follower);
        break;
    case BSTAR_DO_DROP:
        pair_follower_must_drop(self->follower);
        break;
    default:
        break;
    }
}

void
member_step(struct member *self, struct bstar_event event)
{
    struct bstar_voter was = self->core.voter;
    event.now_ns = member_now(self);
    bstar_core_step(&self->core, &event, &self->effects);
    check_member_step(self, &event, &was);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
}

void
member_turn(struct member *self)
{
    if (self->is_written) {
        self->is_written = false;
        member_step(self, (struct bstar_event){.kind = BSTAR_ON_STORED});
    }
    if (self->is_failed) {
        self->is_failed = false;
        member_step(self, (struct bstar_event){.kind = BSTAR_ON_UNSTORED});
    }
    member_read_letters(self);
    member_step(self, (struct bstar_event){.kind = BSTAR_ON_TICK});
    if (member_is_classic(self))
        beats_turn(self);
}

uint64_t
member_now(const struct member *self)
{
    return node_now(self->node) - self->still_ns;
}

uint64_t
member_deadline(const struct member *self)
{
    uint64_t deadline_ns = bstar_core_deadline(&self->core);
    if (self->first != NULL || self->is_written || self->is_failed)
        return 0;
    return deadline_ns == UINT64_MAX ? UINT64_MAX : deadline_ns + self->still_ns;
}

// ---- what it is asked ---------------------------------------------------------------------------

bool
member_may_serve(struct member *self)
{
    // A vote is about a peer that is silent: nothing of its may be waiting to be read.
    if (member_is_classic(self) && !bstar_core_may_serve(&self->core, member_now(self)))
        member_read_letters(self);
    self->is_served = false;
    member_step(self, (struct bstar_event){.kind = BSTAR_ON_CLIENT});
    return self->is_served;
}

struct half_view
member_view(const struct member *self)
{
    const struct bstar_core *core = &self->core;
    uint64_t now_ns = member_now(self);
    return (struct half_view){.is_serving = bstar_core_may_serve(core, now_ns),
                              .may_finish = bstar_core_may_finish(core, now_ns),
                              .is_in_fault = bstar_core_shown(core) == BSTAR_SHOWN_FAULT,
                              .is_over = core->pulse.is_over,
                              .epoch = bstar_core_epoch(core)};
}

// ---- its beginning and its end ------------------------------------------------------------------

void
member_start(struct member *self)
{
    struct world *world = self->node->world;
    const struct pair_plan *plan = &world->plan.pair;
    enum bstar_mode mode = plan->is_classic                 ? BSTAR_CLASSIC
                           : self->number == MEMBER_WITNESS ? BSTAR_WITNESS
                                                            : BSTAR_GUARDED;
    struct bstar_config config;
    bool is_primary = self->number == 0;
    if (plan->is_clashing && !world->is_healed)
        is_primary = world->plan.seed % 2 == 0;
    bstar_config_init(&config, mode, is_primary, plan->is_bare, plan->beat_ms, 0, plan->lease_ms);
    config.pair = plan->number;
    config.node = self->number + 1;
    // In classic there is no file that would keep it.
    if (plan->is_classic)
        config.node += (uint64_t)self->node->life << 32;
    self->disk.pair = plan->number;
    swarm_seed(config.seed, world->plan.seed, 500 + self->number, self->node->life);
    bstar_core_init(&self->core, &config, member_now(self));
    self->gaps = 0;
    self->turned_ns = world->now_ns;
    self->line++;
    check_member_started(self);
    if (plan->is_classic)
        return;
    member_step(self, (struct bstar_event){.kind = BSTAR_ON_LOADED, .record = &self->disk});
}

void
member_kill(struct member *self)
{
    struct world *world = self->node->world;
    // What was being written is there, or not.
    if (self->is_writing && roll(world, STREAM_PAIR, 2) == 0)
        self->disk = self->writing;
    if (self->is_writing)
        mark(world, MARK_KILLED_WRITING);
    self->is_writing = self->is_written = self->is_failed = false;
    member_drop_letters(self);
}
