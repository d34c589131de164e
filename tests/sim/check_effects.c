// check_effects.c - T11: what a worker does that keeps an inbox.
//
// The workers of a service share a database, as examples/inbox_worker.c has one. A request's
// effect and its row in the inbox are one transaction in it: where the row is there already the
// worker answers, and does nothing. A worker of 0.1 or 0.2 is not told the request's id, so it
// keeps no inbox, and nothing is promised of it.

#include "check_durable.h"
#include "parcel.h"

struct inbox {
    struct request_id *ids;
    size_t count, capacity;
};

static bool
is_there(const struct inbox *self, const struct request_id *id)
{
    for (size_t i = self->count; i > 0; i--)
        if (request_id_equals(&self->ids[i - 1], id))
            return true;
    return false;
}

static void
add(struct world *world, struct inbox *self, const struct request_id *id)
{
    if (self->count == self->capacity) {
        self->capacity = 2 * self->capacity + 64;
        self->ids = world_grow(world, self->ids, self->capacity * sizeof *self->ids);
    }
    self->ids[self->count++] = *id;
}

// effect_once (T11): "a worker that meets condition 4 applies each key's effect at most once",
// within the horizon. Behind it a key may be taken for another request, but for one of our own
// form: that carries its time and is refused (D9), unless the clock that made it was ahead.
static void
effect_once(const struct node *worker, struct errand *errand)
{
    bool is_anew = errand->was_dropped && (!errand->has_own_key || errand->is_from_ahead);
    errand->effects++;
    if (errand->effects > 1 && errand->has_key && !errand->is_excused && !is_anew)
        check_fail(worker, "T11 effect_once", "the effect of call %llu is there %u times",
                   (unsigned long long)errand->number, errand->effects);
}

void
check_effect(const struct node *worker, const struct parcel *request)
{
    struct world *world = worker->world;
    struct request_id id;
    struct view text;
    if (world->book == NULL ||
        !mdp_fields_find(parcel_fields(request), VIEW_LITERAL("titanic-id"), &text) ||
        !request_id_read(text, &id))
        return;
    if (world->inbox == NULL)
        world->inbox = world_take_zeroed(world, sizeof *world->inbox);
    if (is_there(world->inbox, &id)) {
        mark(world, MARK_IN_INBOX);
        return;
    }
    add(world, world->inbox, &id);
    struct errand *errand = check_errand_of(world, request->call);
    if (errand != NULL)
        effect_once(worker, errand);
}
