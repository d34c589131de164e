// bstar_search.c - a queue of worlds, and a set of keys.

#include "bstar_search.h"

#include "must.h"
#include "prng.h"

#include <stdio.h>
#include <stdlib.h>

static void *
allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL)
        abort();
    return memory;
}

// ---- the set --------------------------------------------------------------------------------

// Open addressing; the key of no words is none.
struct key_set {
    struct search_key *keys;
    size_t mask;
    size_t count;
};

static void
set_init(struct key_set *self, size_t keys_max)
{
    size_t room = 1024;
    while (room < keys_max * 2)
        room *= 2;
    *self = (struct key_set){allocate(room * sizeof *self->keys), room - 1, 0};
}

static struct search_key *
set_place(const struct key_set *self, struct search_key key)
{
    size_t at = (size_t)key.words[1] & self->mask;
    for (;; at = (at + 1) & self->mask) {
        struct search_key *there = &self->keys[at];
        bool is_free = there->words[0] == 0 && there->words[1] == 0;
        if (is_free || (there->words[0] == key.words[0] && there->words[1] == key.words[1]))
            return there;
    }
}

static bool
set_has(const struct key_set *self, struct search_key key)
{
    const struct search_key *there = set_place(self, key);
    return there->words[0] != 0 || there->words[1] != 0;
}

// set_add says whether it was not yet in it.
static bool
set_add(struct key_set *self, struct search_key key)
{
    if (set_has(self, key))
        return false;
    must(self->count <= self->mask / 4 * 3);
    *set_place(self, key) = key;
    self->count++;
    return true;
}

static struct search_key
key_of(const struct search_model *model, const void *world)
{
    static const struct siphash_key keys[2] = {{{1, 2}}, {{3, 4}}};
    struct search_text text;
    text.size = 0;
    model->write_key(world, &text);
    struct view bytes = view_of(text.bytes, text.size);
    return (struct search_key){{siphash_map(&keys[0], bytes) | 1, siphash_map(&keys[1], bytes)}};
}

// ---- the way to a world ---------------------------------------------------------------------

struct step {
    uint32_t from; // number of the state before
    uint32_t action;
};

// A level of the search: worlds, and their numbers.
struct level {
    uint8_t *worlds;
    uint32_t *numbers;
    size_t count;
    size_t room;
};

struct search {
    const struct search_model *model;
    struct search_result result;
    struct key_set known;
    struct key_set settled;
    struct step *steps;
    size_t states_max;
    struct level levels[2];
    uint8_t *scratch;
};

static void
level_add(struct search *self, struct level *level, const void *world, uint32_t number)
{
    size_t bytes = self->model->world_bytes;
    if (level->count == level->room) {
        level->room = level->room == 0 ? 1024 : level->room * 2;
        level->worlds = realloc(level->worlds, level->room * bytes);
        level->numbers = realloc(level->numbers, level->room * sizeof *level->numbers);
        if (level->worlds == NULL || level->numbers == NULL)
            abort();
    }
    memcpy(level->worlds + level->count * bytes, world, bytes);
    level->numbers[level->count++] = number;
}

static void
print_way(const struct search *self, const void *start, uint32_t number)
{
    uint32_t way[4096];
    size_t length = 0;
    for (; number != 0 && length < sizeof way / sizeof *way; number = self->steps[number].from)
        way[length++] = self->steps[number].action;
    uint8_t *world = allocate(self->model->world_bytes);
    memcpy(world, start, self->model->world_bytes);
    fprintf(stderr, "%s, after %zu actions:\n", self->result.broken, length);
    while (length-- > 0) {
        char text[400];
        self->model->act(world, way[length]);
        self->model->describe(world, way[length], text, sizeof text);
        fprintf(stderr, "  %s\n", text);
    }
    free(world);
}

// ---- what follows once faults have stopped --------------------------------------------------

enum { CALM_MAX = 400 };

static size_t
find_key(const struct search_key *keys, size_t count, struct search_key key)
{
    size_t at = 0;
    while (at < count && (keys[at].words[0] != key.words[0] || keys[at].words[1] != key.words[1]))
        at++;
    return at;
}

// settles lets a world be calm until it comes to one that is known to settle, or to one where
// it has been: from there on it goes round for ever, and all of the round has to be good.
static const char *
settles(const struct search_model *model, struct key_set *good, uint8_t *world, size_t variant)
{
    struct search_key way[CALM_MAX];
    const char *bad[CALM_MAX];
    size_t length;
    model->heal(world, variant);
    for (length = 0; length < CALM_MAX; length++) {
        struct search_key key = key_of(model, world);
        key.words[0] += 2 * variant; // of its own for each variant
        if (set_has(good, key))
            break;
        size_t round = find_key(way, length, key);
        for (size_t i = round; i < length; i++)
            if (bad[i] != NULL)
                return bad[i];
        if (round < length)
            break;
        way[length] = key;
        bad[length] = model->unsettled(world, variant);
        model->calm(world, variant);
    }
    for (size_t i = 0; i < length; i++)
        set_add(good, way[i]);
    return length < CALM_MAX ? NULL : "it never comes to rest";
}

// rests is the same for one world: what it is long after.
static const char *
rests(const struct search_model *model, uint8_t *world, size_t variant)
{
    enum { LONG_AFTER = 100, FOR_SO_LONG = 20 };
    const char *bad = NULL;
    model->heal(world, variant);
    for (int i = 0; i < LONG_AFTER; i++)
        model->calm(world, variant);
    for (int i = 0; i < FOR_SO_LONG && bad == NULL; i++) {
        bad = model->unsettled(world, variant);
        model->calm(world, variant);
    }
    return bad;
}

// look judges a new world.
static void
look(struct search *self, const void *world, size_t action)
{
    const struct search_model *model = self->model;
    self->result.broken = model->broken(world);
    if (model->is_turn != NULL && !model->is_turn(action))
        return;
    for (size_t variant = 0; variant < model->calms && self->result.broken == NULL; variant++) {
        memcpy(self->scratch, world, model->world_bytes);
        self->result.broken = settles(model, &self->settled, self->scratch, variant);
    }
}

// expand tries every action of a world; false: a property is broken by the last number.
static bool
expand(struct search *self, const uint8_t *world, uint32_t number, struct level *next)
{
    const struct search_model *model = self->model;
    uint8_t *changed = self->scratch + model->world_bytes;
    bool is_fresh = false;
    for (size_t action = 0; action < model->actions; action++) {
        if (!is_fresh)
            memcpy(changed, world, model->world_bytes);
        is_fresh = !model->act(changed, action);
        if (is_fresh)
            continue;
        self->result.transitions++;
        if (model->is_beyond != NULL && model->is_beyond(changed))
            continue;
        struct search_key key = key_of(model, changed);
        if (!set_add(&self->known, key))
            continue;
        if (self->result.states == self->states_max) {
            self->result.is_whole = false;
            return true;
        }
        uint32_t new_number = (uint32_t)self->result.states++;
        self->steps[new_number] = (struct step){number, (uint32_t)action};
        look(self, changed, action);
        if (self->result.broken != NULL)
            return false;
        level_add(self, next, changed, new_number);
    }
    return true;
}

static void
search_release(struct search *self)
{
    for (int i = 0; i < 2; i++) {
        free(self->levels[i].worlds);
        free(self->levels[i].numbers);
    }
    free(self->known.keys);
    free(self->settled.keys);
    free(self->steps);
    free(self->scratch);
}

struct search_result
search_all(const struct search_model *model, const void *world, size_t states_max, bool is_quiet)
{
    struct search self = {.model = model, .states_max = states_max};
    self.result.is_whole = true;
    set_init(&self.known, states_max);
    set_init(&self.settled, model->calms * states_max * 2 + 1);
    self.steps = allocate((states_max + 1) * sizeof *self.steps);
    self.scratch = allocate(2 * model->world_bytes);
    set_add(&self.known, key_of(model, world));
    self.result.states = 1;
    level_add(&self, &self.levels[0], world, 0);
    while (self.result.broken == NULL && self.result.is_whole) {
        struct level *level = &self.levels[self.result.depth % 2];
        struct level *next = &self.levels[(self.result.depth + 1) % 2];
        next->count = 0;
        for (size_t i = 0; i < level->count && self.result.is_whole; i++)
            if (!expand(&self, level->worlds + i * model->world_bytes, level->numbers[i], next))
                break;
        if (next->count == 0 && self.result.broken == NULL)
            break;
        self.result.depth++;
    }
    if (self.result.broken != NULL && !is_quiet)
        print_way(&self, world, (uint32_t)self.result.states - 1);
    search_release(&self);
    return self.result;
}

// ---- walks ----------------------------------------------------------------------------------

// draw_action chooses among all actions by their weights.
static size_t
draw_action(struct prng *prng, const uint32_t *sums, size_t actions)
{
    uint64_t at = prng_below(prng, sums[actions - 1]);
    size_t action = 0;
    while (sums[action] <= at)
        action++;
    return action;
}

struct search_result
search_random(const struct search_model *model, const void *world,
              uint32_t (*weight)(size_t action), uint64_t seed, size_t walks, size_t length,
              bool is_quiet)
{
    struct search_result result = {.is_whole = true};
    uint32_t *sums = allocate(model->actions * sizeof *sums);
    uint8_t *worlds = allocate(2 * model->world_bytes);
    size_t *way = allocate(length * sizeof *way);
    for (size_t i = 0; i < model->actions; i++)
        sums[i] = (i > 0 ? sums[i - 1] : 0) + weight(i);
    for (size_t walk = 0; walk < walks && result.broken == NULL; walk++) {
        uint8_t seed_bytes[32] = {0};
        struct prng prng;
        memcpy(seed_bytes, &seed, sizeof seed);
        prng_init(&prng, seed_bytes, walk);
        memcpy(worlds, world, model->world_bytes);
        for (result.depth = 0; result.depth < length && result.broken == NULL; result.depth++) {
            size_t action = draw_action(&prng, sums, model->actions);
            way[result.depth] = action;
            if (!model->act(worlds, action))
                continue;
            result.transitions++;
            result.broken = model->broken(worlds);
        }
        result.states++;
        for (size_t variant = 0; variant < model->calms && result.broken == NULL; variant++) {
            memcpy(worlds + model->world_bytes, worlds, model->world_bytes);
            result.broken = rests(model, worlds + model->world_bytes, variant);
        }
    }
    if (result.broken != NULL && !is_quiet) {
        fprintf(stderr, "%s, in walk %zu of seed %llu:\n", result.broken, result.states - 1,
                (unsigned long long)seed);
        memcpy(worlds, world, model->world_bytes);
        for (size_t i = 0; i < result.depth; i++) {
            char text[400];
            if (!model->act(worlds, way[i]))
                continue;
            model->describe(worlds, way[i], text, sizeof text);
            fprintf(stderr, "  %s\n", text);
        }
    }
    free(sums);
    free(worlds);
    free(way);
    return result;
}
