// vigil.c - heartbeat.c with a patience that learns.

#include "vigil.h"

static const uint64_t shown_ns_max = 60000000000; // a gap is read as no more

void
vigil_begin(struct vigil *self, uint64_t interval_ns, uint32_t liveness, uint64_t now_ns)
{
    *self = (struct vigil){.interval_ns = interval_ns, .liveness = liveness};
    heartbeat_init(&self->beat, interval_ns, liveness, now_ns);
}

void
vigil_measure(struct vigil *self, uint64_t back_ns, uint64_t now_ns)
{
    bool was_looking = self->beat.heard_at_ns >= back_ns;
    if (!was_looking || self->was_held)
        return;
    uint64_t gap_ns = now_ns - self->beat.heard_at_ns;
    if (gap_ns > shown_ns_max)
        gap_ns = shown_ns_max;
    if (gap_ns > self->shown_ns)
        self->shown_ns = gap_ns;
}

void
vigil_hold(struct vigil *self)
{
    self->was_held = true;
}

void
vigil_let_go(struct vigil *self, uint64_t now_ns)
{
    if (!self->was_held)
        return;
    self->was_held = false;
    heartbeat_heard(&self->beat, now_ns);
}

static uint64_t
patience(const struct vigil *self, bool is_judged)
{
    uint64_t interval_ns = self->shown_ns > self->interval_ns ? self->shown_ns : self->interval_ns;
    uint64_t patience_ns;
    if (!is_judged || __builtin_mul_overflow(interval_ns, (uint64_t)self->liveness, &patience_ns))
        return UINT64_MAX;
    return patience_ns;
}

heartbeat_verdict_t
vigil_check(struct vigil *self, bool is_judged, uint64_t now_ns)
{
    self->beat.patience_ns = patience(self, is_judged);
    return heartbeat_check(&self->beat, now_ns);
}

uint64_t
vigil_deadline(const struct vigil *self, bool is_judged)
{
    heartbeat_t beat = self->beat;
    beat.patience_ns = patience(self, is_judged);
    return heartbeat_deadline(&beat);
}
