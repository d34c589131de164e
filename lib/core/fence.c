// fence.c - a short list, the pair heard of last in front.

#include "fence.h"

// to_front moves a place to the front, and those before it one back.
static void
to_front(struct fence *self, uint32_t place)
{
    struct mdp_epoch epoch = self->highest[place];
    memmove(&self->highest[1], &self->highest[0], place * sizeof epoch);
    self->highest[0] = epoch;
}

// place_of finds the pair's place, or makes one: the next, or that of the pair which was not
// heard of for longest. is_new_out: it holds nothing of the pair yet.
static uint32_t
place_of(struct fence *self, uint64_t pair, bool *is_new_out)
{
    uint32_t place = 0;
    while (place < self->count && self->highest[place].pair != pair)
        place++;
    *is_new_out = place == self->count;
    if (*is_new_out && self->count < FENCE_PAIRS_MAX)
        self->count++;
    return place < self->count ? place : self->count - 1;
}

enum fence_verdict
fence_judge(struct fence *self, const struct mdp_epoch *epoch)
{
    bool is_new;
    uint32_t place = place_of(self, epoch->pair, &is_new);
    struct mdp_epoch *highest = &self->highest[place];
    enum fence_verdict verdict = FENCE_SAME;
    if (is_new || epoch->number > highest->number) {
        verdict = FENCE_RAISED;
        *highest = *epoch;
    } else if (epoch->number < highest->number) {
        verdict = FENCE_STALE;
    }
    if (place > 0)
        to_front(self, place);
    return verdict;
}
