// titanic_known.c - a few names, looked through from the first to the last.

#include "titanic_known.h"

#include "must.h"

static const uint64_t second_ns = 1000 * 1000000ull;

static bool
is_at(const struct titanic_known *self, size_t at, struct view service)
{
    return self->of[at].until_ns != 0 &&
           view_equals(view_of(self->of[at].name, self->of[at].name_size), service);
}

void
titanic_known_note(struct titanic_known *self, struct view service, bool has_workers,
                   uint64_t now_ns)
{
    size_t place = 0;
    must(service.size <= sizeof self->of[0].name);
    for (size_t at = 0; at < TITANIC_KNOWN_MAX; at++) {
        if (is_at(self, at, service)) {
            place = at;
            break;
        }
        if (self->of[at].until_ns < self->of[place].until_ns)
            place = at;
    }
    self->of[place].until_ns = now_ns + second_ns;
    self->of[place].has_workers = has_workers;
    self->of[place].name_size = (uint8_t)service.size;
    memcpy(self->of[place].name, service.data, service.size);
}

enum titanic_served
titanic_known_look(const struct titanic_known *self, struct view service, uint64_t now_ns)
{
    for (size_t at = 0; at < TITANIC_KNOWN_MAX; at++)
        if (is_at(self, at, service) && now_ns < self->of[at].until_ns)
            return self->of[at].has_workers ? SERVED_YES : SERVED_NO;
    return SERVED_NOBODY_KNOWS;
}
