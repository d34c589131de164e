// heartbeat.c - four numbers and three questions.

#include <galleon/heartbeat.h>

#include "later.h"

void
heartbeat_init(heartbeat_t *self, uint64_t interval_ns, uint32_t liveness, uint64_t now_ns)
{
    uint64_t patience_ns;
    if (__builtin_mul_overflow(interval_ns, (uint64_t)liveness, &patience_ns))
        patience_ns = UINT64_MAX;
    *self = (heartbeat_t){interval_ns, patience_ns, now_ns, now_ns};
}

void
heartbeat_spoke(heartbeat_t *self, uint64_t now_ns)
{
    self->spoke_at_ns = now_ns;
}

void
heartbeat_heard(heartbeat_t *self, uint64_t now_ns)
{
    self->heard_at_ns = now_ns;
}

heartbeat_verdict_t
heartbeat_check(const heartbeat_t *self, uint64_t now_ns)
{
    if (now_ns > later_ns(self->heard_at_ns, self->patience_ns))
        return HEARTBEAT_LOST;
    if (now_ns >= later_ns(self->spoke_at_ns, self->interval_ns))
        return HEARTBEAT_SPEAK;
    return HEARTBEAT_REST;
}

uint64_t
heartbeat_deadline(const heartbeat_t *self)
{
    uint64_t speak_ns = later_ns(self->spoke_at_ns, self->interval_ns);
    uint64_t lost_ns = later_ns(later_ns(self->heard_at_ns, self->patience_ns), 1);
    return speak_ns < lost_ns ? speak_ns : lost_ns;
}
