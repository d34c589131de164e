// pair_beats.c - bstar_beats.c without sockets: a thread that beats, and what is heard of it.
//
// What the main loop tells is said at once, and said again while it tells nothing new: of a loop
// that hangs the peer hears beats, which show no progress. A process that is stopped says nothing,
// and the first thing that it says when it goes on is what it was before.

#include "check.h"
#include "pairs.h"

static const uint64_t ms = 1000000;

static uint64_t
beat_ns(const struct member *self)
{
    return self->node->world->plan.pair.beat_ms * ms;
}

// ---- saying -------------------------------------------------------------------------------------

static void
say(struct member *self)
{
    struct letter letter = {0};
    self->beat.sequence = ++self->sequence;
    letter.size = bstar_beat_encode(&self->beat, member_is_bare(self), letter.bytes);
    member_post(self, 1 - self->number, &letter);
}

static void
say_again(struct world *world, void *object, uint64_t told)
{
    struct member *self = object;
    if (!self->node->is_alive || self->told != told)
        return;
    uint64_t at_ns = self->node->frozen_until_ns;
    if (at_ns <= world->now_ns) {
        // A digit shows no progress: of a loop that hangs the thread says none.
        if (!member_is_bare(self) || world->now_ns <= self->turned_ns + self->core.config.gap_ns)
            say(self);
        at_ns = world->now_ns + beat_ns(self);
    }
    world_at(world, at_ns, say_again, self, told);
}

void
beats_publish(struct member *self, const struct bstar_beat *beat)
{
    struct world *world = self->node->world;
    self->beat = *beat;
    say(self);
    // The loop tells of the next beat when it is due: it has a quarter for that.
    world_at(world, world->now_ns + beat_ns(self) + beat_ns(self) / 4, say_again, self,
             ++self->told);
}

// ---- hearing ------------------------------------------------------------------------------------

void
beats_read(struct member *self, const struct letter *letter)
{
    struct view frame = view_of(letter->bytes, letter->size);
    struct bstar_beat beat;
    struct bstar_event event = {.kind = BSTAR_ON_BEAT,
                                .fault = bstar_beat_decode(&frame, 1, member_is_bare(self), &beat),
                                .beat = &beat};
    if (event.fault == BSTAR_SOUND)
        check_classic_hears(self, &beat);
    member_step(self, event);
}

// leave_behind: after a gap what is on its way to it is of before it, and is dropped with the
// connection.
static void
leave_behind(struct member *self)
{
    if (self->gaps == self->core.stats.gaps)
        return;
    self->gaps = self->core.stats.gaps;
    self->line++;
    self->node->world->pair->last_ns[1 - self->number][self->number] = 0;
    member_drop_letters(self);
}

void
beats_turn(struct member *self)
{
    leave_behind(self);
    self->beat.progress = self->core.pulse.progress;
    self->turned_ns = self->node->world->now_ns;
}
