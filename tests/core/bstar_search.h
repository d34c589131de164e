// bstar_search.h - goes through every state that a world of cores can come to.
//
// A world is plain memory: it is copied, changed by one action, and known again by a key
// that leaves out what makes no difference (how late it is, what counters say). The search
// is breadth first, so a way to a violation that it prints is among the shortest.

#ifndef GALLEON_BSTAR_SEARCH_H
#define GALLEON_BSTAR_SEARCH_H

#include "view.h"

// With sanitizers the large searches take minutes: the release build goes through those.
#ifdef __SANITIZE_ADDRESS__
enum { SEARCHES_ALL = false };
#else
enum { SEARCHES_ALL = true };
#endif

struct search_key {
    uint64_t words[2];
};

// What makes a key: bytes, in order.
struct search_text {
    uint8_t bytes[2048];
    size_t size;
};

static inline void
search_put(struct search_text *self, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes && self->size < sizeof self->bytes; i++)
        self->bytes[self->size++] = (uint8_t)(number >> 8 * i);
}

// search_put_until is how long it is until then, 0 where that is over.
static inline void
search_put_until(struct search_text *self, uint64_t now, uint64_t then)
{
    search_put(self, then <= now ? 0 : then - now > 254 ? 255 : then - now, 1);
}

// search_put_since is how long ago that was; longer than `most` makes no difference.
static inline void
search_put_since(struct search_text *self, uint64_t now, uint64_t then, uint64_t most)
{
    uint64_t age = now - then;
    search_put(self, age > most ? most : age, 1);
}

struct search_model {
    size_t world_bytes;
    size_t actions; // in each state the same numbers; not all are possible in it
    // act does it; false where it is not possible, and the world is as it was.
    bool (*act)(void *world, size_t action);
    void (*write_key)(const void *world, struct search_text *text);
    // broken names the property that does not hold, NULL: all do.
    const char *(*broken)(const void *world);
    // What follows once faults have stopped, in as many variants as there are: heal ends all
    // faults that end, calm lets time go on without any, and in the round that a calm world
    // comes to, unsettled names what is not as it should be, NULL: all is.
    // is_turn says after which actions that is asked; NULL: after all.
    size_t calms;
    bool (*is_turn)(size_t action);
    void (*heal)(void *world, size_t variant);
    void (*calm)(void *world, size_t variant);
    const char *(*unsettled)(const void *world, size_t variant);
    // is_beyond: the world is left out of the search, as too far away.
    bool (*is_beyond)(const void *world);
    void (*describe)(const void *world, size_t action, char *to, size_t room);
};

struct search_result {
    const char *broken; // NULL: nothing is
    size_t states;
    size_t transitions;
    size_t depth;
    bool is_whole; // no state was left out for want of room
};

// search_all begins at `world` and ends at the first violation, or when states_max states
// are known. What is found is printed to stderr, as actions from the beginning; with
// is_quiet it is not.
struct search_result search_all(const struct search_model *model, const void *world,
                                size_t states_max, bool is_quiet);

// search_random walks `walks` times, each of `length` actions, from the beginning. An
// action's chance is weight(action); the seed says which.
struct search_result search_random(const struct search_model *model, const void *world,
                                   uint32_t (*weight)(size_t action), uint64_t seed, size_t walks,
                                   size_t length, bool is_quiet);

#endif
