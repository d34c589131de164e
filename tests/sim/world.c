// world.c - the agenda, memory, the trace, and waking nodes.

#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WAKES_AT_ONCE_MAX = 20000, // of one node at one time: more, and it spins
    AGENDA_MIN = 1024
};

// ---- memory -------------------------------------------------------------------------------------

// Each piece knows its neighbours, so that a run that fails in the middle leaves nothing.
struct block {
    struct list_node in_blocks;
    size_t bytes;
    size_t unused; // so that what follows is aligned to 16
};

static void *
take(struct world *self, size_t bytes, bool is_zeroed)
{
    struct block *block =
        is_zeroed ? calloc(1, sizeof *block + bytes) : malloc(sizeof *block + bytes);
    if (block == NULL)
        abort();
    block->bytes = bytes;
    list_append(&self->blocks, &block->in_blocks);
    self->bytes_live += bytes;
    if (!is_zeroed)
        memset(block + 1, self->fill, bytes < 256 ? bytes : 256);
    return block + 1;
}

void *
world_take(struct world *self, size_t bytes)
{
    return take(self, bytes, false);
}

void *
world_take_zeroed(struct world *self, size_t bytes)
{
    return take(self, bytes, true);
}

void
world_give(struct world *self, void *memory)
{
    if (memory == NULL)
        return;
    struct block *block = (struct block *)memory - 1;
    list_remove(&self->blocks, &block->in_blocks);
    self->bytes_live -= block->bytes;
    free(block);
}

void *
world_grow(struct world *self, void *memory, size_t bytes)
{
    void *larger = world_take(self, bytes);
    if (memory != NULL) {
        size_t had = ((struct block *)memory - 1)->bytes;
        memcpy(larger, memory, had < bytes ? had : bytes);
        world_give(self, memory);
    }
    return larger;
}

struct world *
world_new(const struct options *options, uint8_t fill)
{
    struct world *self = calloc(1, sizeof *self);
    if (self == NULL)
        abort();
    self->options = *options;
    self->fill = fill;
    list_init(&self->blocks);
    list_init(&self->parcels);
    swarm_draw(&self->plan, options);
    uint8_t seed[32];
    for (uint64_t i = 0; i < STREAMS; i++) {
        swarm_seed(seed, options->seed, 100, i);
        prng_init(&self->dice[i], seed, 2);
    }
    return self;
}

void
world_free(struct world *self)
{
    struct list_node *node;
    while ((node = list_take(&self->blocks)) != NULL)
        free(list_object(node, struct block, in_blocks));
    free(self->agenda);
    free(self);
}

// ---- what is due --------------------------------------------------------------------------------

static bool
is_before(const struct due *a, const struct due *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

void
world_at(struct world *self, uint64_t at_ns, due_fn *happen, void *object, uint64_t argument)
{
    if (self->agenda_size + 2 > self->agenda_capacity) {
        self->agenda_capacity = self->agenda_capacity * 2 + AGENDA_MIN;
        self->agenda = realloc(self->agenda, self->agenda_capacity * sizeof *self->agenda);
        if (self->agenda == NULL)
            abort();
    }
    struct due due = {at_ns > self->now_ns ? at_ns : self->now_ns, self->sequence++, happen, object,
                      argument};
    size_t place = ++self->agenda_size;
    for (; place > 1 && is_before(&due, &self->agenda[place / 2]); place /= 2)
        self->agenda[place] = self->agenda[place / 2];
    self->agenda[place] = due;
}

static struct due
take_first(struct world *self)
{
    struct due first = self->agenda[1];
    struct due last = self->agenda[self->agenda_size--];
    size_t place = 1;
    for (size_t child = 2; child <= self->agenda_size; child = place * 2) {
        if (child < self->agenda_size && is_before(&self->agenda[child + 1], &self->agenda[child]))
            child++;
        if (!is_before(&self->agenda[child], &last))
            break;
        self->agenda[place] = self->agenda[child];
        place = child;
    }
    self->agenda[place] = last;
    return first;
}

bool
world_step(struct world *self, uint64_t until_ns)
{
    if (self->agenda_size == 0 || self->agenda[1].at_ns > until_ns) {
        self->now_ns = until_ns;
        return false;
    }
    struct due due = take_first(self);
    self->now_ns = due.at_ns;
    self->events++;
    due.happen(self, due.object, due.argument);
    return true;
}

// ---- the trace ----------------------------------------------------------------------------------

static void
print_note(const struct note *one)
{
    char line[300];
    snprintf(line, sizeof line, one->format, (unsigned long long)one->numbers[0],
             (unsigned long long)one->numbers[1], (unsigned long long)one->numbers[2]);
    unsigned long long us = one->at_ns / 1000;
    printf("%6llu.%06llu ", us / 1000000, us % 1000000);
    if (one->node != NULL)
        printf("%s%u: ", one->node->kind->name, one->node->index);
    printf("%s\n", line);
}

static uint64_t
mix(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

void
world_note(struct world *self, const struct node *node, uint32_t place, const char *format,
           uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t who = node == NULL ? UINT32_MAX : node->number;
    self->hash = mix(mix(mix(mix(mix(self->hash, self->now_ns), who << 32 | place), a), b), c);
    struct note *one = &self->notes[self->note_count++ % NOTES_KEPT];
    *one = (struct note){self->now_ns, node, format, {a, b, c}};
    if (self->options.is_tracing)
        print_note(one);
}

void
world_print_notes(const struct world *self)
{
    uint64_t first = self->note_count > NOTES_KEPT ? self->note_count - NOTES_KEPT : 0;
    for (uint64_t i = first; i < self->note_count; i++)
        print_note(&self->notes[i % NOTES_KEPT]);
}

void
world_fail(struct world *self, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = snprintf(self->reason, sizeof self->reason, "%s: ", name);
    vsnprintf(self->reason + size, sizeof self->reason - (size_t)size, format, arguments);
    va_end(arguments);
    longjmp(self->failed, 1);
}

uint64_t
roll_gap(struct world *self, enum stream stream, uint64_t mean_ns)
{
    // The product of two even numbers has a quarter as its average.
    uint64_t first = roll(self, stream, 1 << 16);
    uint64_t second = roll(self, stream, 1 << 16);
    return (uint64_t)(((unsigned __int128)mean_ns * 4 * first * second) >> 32) + 1;
}

// ---- nodes --------------------------------------------------------------------------------------

void
world_add_node(struct world *self, struct node *node, const struct node_kind *kind, uint32_t index,
               const struct clock_plan *clock)
{
    node->kind = kind;
    node->world = self;
    node->number = self->node_count;
    node->index = index;
    node->clock = *clock;
    node->wake_at_ns = UINT64_MAX;
    self->nodes[self->node_count++] = node;
}

bool
node_is(const struct node *self, const char *kind)
{
    static const struct {
        const char *name, *kind;
    } pirates[] = {{"queue", "broker"},
                   {"server", "broker"},
                   {"pirate", "worker"},
                   {"req", "worker"},
                   {"lazy", "client"}};
    if (strcmp(self->kind->name, kind) == 0)
        return true;
    for (size_t i = 0; i < sizeof pirates / sizeof *pirates; i++)
        if (strcmp(self->kind->name, pirates[i].name) == 0 && strcmp(pirates[i].kind, kind) == 0)
            return true;
    return false;
}

static void wake(struct world *world, void *object, uint64_t serial);

static void
ask_to_wake(struct node *self, uint64_t at_ns)
{
    if (at_ns < self->world->now_ns)
        at_ns = self->world->now_ns;
    if (at_ns < self->stands_until_ns)
        at_ns = self->stands_until_ns;
    if (at_ns < self->frozen_until_ns)
        at_ns = self->frozen_until_ns;
    if (self->wake_at_ns <= at_ns || at_ns == UINT64_MAX)
        return;
    self->wake_at_ns = at_ns;
    world_at(self->world, at_ns, wake, self, ++self->wake_serial);
}

// watch_for_spinning is W1, events_bounded: no loop goes round and round while time stands.
static void
watch_for_spinning(struct node *self)
{
    if (self->world->now_ns != self->busy_since_ns) {
        self->busy_since_ns = self->world->now_ns;
        self->busy_count = 0;
    }
    if (++self->busy_count > WAKES_AT_ONCE_MAX)
        world_fail(self->world, "W1 events_bounded", "%s%u spins", self->kind->name, self->index);
}

static void
wake(struct world *world, void *object, uint64_t serial)
{
    struct node *self = object;
    if (!self->is_alive || serial != self->wake_serial)
        return;
    self->wake_at_ns = UINT64_MAX;
    if (self->stands_until_ns > world->now_ns || self->frozen_until_ns > world->now_ns) {
        ask_to_wake(self, world->now_ns);
        return;
    }
    watch_for_spinning(self);
    uint64_t stood_ns = self->skipped_ns;
    if (self->stood_since_ns != 0)
        stood_ns += node_now(self) - clock_of(&self->clock, self->stood_since_ns);
    if (stood_ns > 0 && self->kind->slept != NULL)
        self->kind->slept(self, stood_ns);
    self->stood_since_ns = self->skipped_ns = 0;
    self->kind->wake(self);
    if (self->is_alive)
        node_rest(self);
}

void
node_wake_at(struct node *self, uint64_t at_ns)
{
    if (self->is_alive)
        ask_to_wake(self, at_ns);
}

void
node_poke(struct node *self)
{
    if (!self->is_alive)
        return;
    ask_to_wake(self, self->world->now_ns +
                          roll(self->world, STREAM_LINKS, self->world->plan.lateness_ns / 8 + 1));
}

// from_clock is the first time of the world's at which the clock shows at_ns.
static uint64_t
from_clock(const struct node *self, uint64_t at_ns)
{
    uint64_t now_ns = self->world->now_ns;
    if (at_ns <= node_now(self))
        return now_ns;
    if (at_ns == UINT64_MAX)
        return UINT64_MAX;
    __int128 left = (__int128)at_ns - self->clock.offset_ns;
    uint64_t guess = (uint64_t)((left << 20) / ((1 << 20) + self->clock.drift));
    if (guess > now_ns + 3)
        guess -= 3;
    while (clock_of(&self->clock, guess) < at_ns)
        guess++;
    return guess;
}

void
node_rest(struct node *self)
{
    uint64_t at_ns = from_clock(self, self->kind->deadline(self));
    if (at_ns == UINT64_MAX)
        return;
    // A wait ends a little late, and never early.
    if (at_ns > self->world->now_ns)
        at_ns += roll(self->world, STREAM_LINKS, self->world->plan.lateness_ns + 1);
    ask_to_wake(self, at_ns);
}

void
node_start(struct node *self)
{
    if (self->is_alive)
        return;
    self->is_alive = true;
    self->life++;
    self->stands_until_ns = self->frozen_until_ns = self->stood_since_ns = self->skipped_ns = 0;
    if (node_now(self) == 0)
        mark(self->world, MARK_CLOCK_AT_ZERO);
    self->wake_at_ns = UINT64_MAX;
    note(self->world, self, "starts, life %llu", self->life, 0, 0);
    self->kind->start(self);
    node_poke(self);
}

static void
start_if_still(struct world *world, void *object, uint64_t life)
{
    (void)world;
    struct node *self = object;
    if (self->life == life)
        node_start(self);
}

void
node_start_after(struct node *self, uint64_t while_ns)
{
    struct world *world = self->world;
    world_at(world, world->now_ns + while_ns, start_if_still, self, self->life);
}

void
node_kill(struct node *self)
{
    if (!self->is_alive)
        return;
    note(self->world, self, "is killed", 0, 0, 0);
    self->kind->kill(self);
    self->is_alive = false;
    self->wake_serial++;
}

void
node_stand(struct node *self, uint64_t until_ns)
{
    if (self->stood_since_ns == 0)
        self->stood_since_ns = self->world->now_ns;
    if (until_ns > self->stands_until_ns)
        self->stands_until_ns = until_ns;
}

void
node_suspend(struct node *self, uint64_t for_ns)
{
    note(self->world, self, "sleeps for %llu ms", for_ns / 1000000, 0, 0);
    self->clock.offset_ns += for_ns;
    self->skipped_ns += for_ns;
    node_poke(self);
}
