// pair_follower.c - three phases, and what ends each.

#include "pair_follower.h"

#include "service_name.h"

void
pair_follower_begin(struct pair_follower *self, const struct half_view *half)
{
    *self = (struct pair_follower){.phase = PAIR_HOLDS, .is_in_fault = half->is_in_fault};
}

void
pair_follower_must_finish(struct pair_follower *self)
{
    self->must_finish = self->owes_drained = true;
}

void
pair_follower_must_drop(struct pair_follower *self)
{
    self->must_drop = self->owes_drained = true;
}

// is_over: what the broker does, it may not do any longer, or its 503 has another text.
static bool
is_over(const struct pair_follower *self, const struct half_view *half)
{
    switch (self->phase) {
    case PAIR_SERVES:
        return !half->is_serving || half->epoch != self->epoch;
    case PAIR_FINISHES:
        return !half->may_finish;
    case PAIR_HOLDS:
        break;
    }
    return half->is_in_fault != self->is_in_fault;
}

// may_begin: it serves, and nothing of its last reign is left.
static bool
may_begin(const struct pair_follower *self, const struct half_view *half)
{
    return self->phase == PAIR_HOLDS && self->is_quiet && !self->owes_drained &&
           !self->is_leaving && half->is_serving;
}

static enum broker_event_kind
enter(struct pair_follower *self, const struct half_view *half, enum pair_phase phase)
{
    static const enum broker_event_kind kinds[] = {
        [PAIR_HOLDS] = BROKER_HOLD, [PAIR_SERVES] = BROKER_SERVE, [PAIR_FINISHES] = BROKER_FINISH};
    self->phase = phase;
    self->is_quiet = false;
    if (phase == PAIR_SERVES)
        self->epoch = half->epoch;
    else
        self->is_in_fault = half->is_in_fault;
    return kinds[phase];
}

bool
pair_follower_next(struct pair_follower *self, const struct half_view *half,
                   enum broker_event_kind *kind_out)
{
    enum pair_phase next;
    if (self->phase == PAIR_FINISHES && self->is_quiet)
        self->phase = PAIR_HOLDS; // the broker holds once it has finished
    if (self->must_drop) {
        self->must_drop = self->must_finish = false;
        next = PAIR_HOLDS;
    } else if (self->must_finish) {
        self->must_finish = false;
        next = self->phase == PAIR_SERVES ? PAIR_FINISHES : PAIR_HOLDS;
    } else if (is_over(self, half)) {
        next = PAIR_HOLDS;
    } else if (may_begin(self, half)) {
        next = PAIR_SERVES;
    } else {
        return false;
    }
    *kind_out = enter(self, half, next);
    return true;
}

bool
pair_follower_is_vote(const struct pair_follower *self, const struct mdp_record *record)
{
    return self->phase == PAIR_HOLDS && !self->is_leaving && record->side == MDP_CLIENT_SIDE &&
           record->command == MDP_REQUEST && record->fault == MDP_SOUND &&
           !service_name_is_reserved(record->service);
}

bool
pair_follower_may_send(const struct pair_follower *self, const struct half_view *half,
                       bool is_request)
{
    return self->phase == PAIR_FINISHES && !is_request ? half->may_finish : half->is_serving;
}

bool
pair_follower_leave(struct pair_follower *self)
{
    bool is_first = !self->is_leaving;
    self->is_leaving = true;
    return is_first;
}

struct pair_end
pair_follower_end_turn(struct pair_follower *self, const struct half_view *half)
{
    bool is_asked = self->must_drop || self->must_finish; // meanwhile, and not obeyed yet
    struct pair_end end = {
        .is_drained = self->owes_drained && self->is_quiet && !is_asked,
        .has_left = self->is_leaving && !self->has_left && half->is_over,
    };
    self->owes_drained = self->owes_drained && !end.is_drained;
    self->has_left = self->has_left || end.has_left;
    end.has_more = end.is_drained || end.has_left || is_asked;
    return end;
}
