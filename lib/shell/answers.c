// answers.c - a ring of fixed size.

#include "answers.h"

#include "must.h"

#include <galleon/status.h>
#include <stdlib.h>

bool
answers_init(struct answers *self, size_t capacity)
{
    *self = (struct answers){.capacity = capacity};
    self->ring = calloc(capacity, sizeof *self->ring);
    return self->ring != NULL;
}

void
answers_release(struct answers *self)
{
    struct answer answer;
    while (answers_take(self, &answer))
        zmsg_destroy(&answer.body);
    free(self->ring);
    *self = (struct answers){0};
}

void
answers_hold(struct answers *self, const struct answer *answer)
{
    must(self->count < self->capacity);
    self->ring[(self->first + self->count++) % self->capacity] = *answer;
    self->parts += answer->result == GALLEON_PENDING;
}

bool
answers_take(struct answers *self, struct answer *answer_out)
{
    if (self->count == 0)
        return false;
    *answer_out = self->ring[self->first];
    self->first = (self->first + 1) % self->capacity;
    self->count--;
    self->parts -= answer_out->result == GALLEON_PENDING;
    return true;
}

bool
answers_drop(struct answers *self, uint64_t id)
{
    size_t count = self->count;
    for (size_t i = 0; i < count; i++) {
        struct answer answer;
        answers_take(self, &answer);
        if (answer.id == id)
            zmsg_destroy(&answer.body);
        else
            answers_hold(self, &answer);
    }
    return self->count < count;
}
