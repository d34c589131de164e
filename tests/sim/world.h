// world.h - virtual time, the nodes, and the record of what happened.
//
// One thread, one seed. Time jumps from one thing that is due to the next; things due at
// the same time happen in the order in which they were asked for. Nothing else decides
// anything: no clock, no address of memory, no order of a hash.
//
// A node is anything with a core and a loop. To add a kind (a store behind a disk, a half
// of a pair), make a struct with a `struct node` at its beginning and a node_kind of its
// own: the world starts it, wakes it, kills it and audits it, and knows no more.

#ifndef GALLEON_WORLD_H
#define GALLEON_WORLD_H

#include "list.h"
#include "marks.h"
#include "prng.h"
#include "swarm.h"

#include <setjmp.h>

enum {
    NODES_MAX = BROKERS_MAX + WORKERS_MAX + 2 * CLIENTS_MAX + 32,
    NOTES_KEPT = 60,
    REASON_BYTES = 400
};

enum stream {
    STREAM_LINKS,
    STREAM_TROUBLE,
    STREAM_CALLS,
    STREAM_APPS,
    STREAM_MEMORY,
    STREAM_DISK,
    STREAM_TITANIC,
    STREAM_PAIR,
    STREAMS
};

struct world;
struct node;
struct registry;

// ---- nodes --------------------------------------------------------------------------------------

struct node_kind {
    const char *name;
    void (*start)(struct node *self);
    void (*kill)(struct node *self);               // it says no goodbye
    void (*wake)(struct node *self);               // once through its loop
    uint64_t (*deadline)(const struct node *self); // on its own clock
    void (*audit)(const struct node *self);
    void (*slept)(struct node *self, uint64_t slept_ns); // its loop stood still; NULL: so what
};

struct node {
    const struct node_kind *kind;
    struct world *world;
    struct node *whole; // whose part it is, which starts and kills it; NULL: it is its own
    uint32_t number;    // in the world
    uint32_t index;     // among its kind
    uint32_t life;      // how often it was started
    bool is_alive;
    struct clock_plan clock;
    uint64_t wake_at_ns; // the world's time; UINT64_MAX: not asked for
    uint64_t wake_serial;
    uint64_t stands_until_ns; // its loop
    uint64_t frozen_until_ns; // all of the process
    uint64_t stood_since_ns;  // 0: it did not
    uint64_t skipped_ns;      // that its clock went on while nothing ran, since it last did
    int64_t wall_ns;          // the wall clock: what it is ahead of the node's own
    uint64_t busy_since_ns;   // wakes at one time, for W1
    uint32_t busy_count;
    uint64_t core_parcels; // that its core has, and what they cost
    uint64_t core_cost;
};

static inline uint64_t
clock_of(const struct clock_plan *clock, uint64_t at_ns)
{
    return clock->offset_ns + at_ns + (uint64_t)(((__int128)at_ns * clock->drift) >> 20);
}

// ---- what is due --------------------------------------------------------------------------------

typedef void due_fn(struct world *world, void *object, uint64_t argument);

struct due {
    uint64_t at_ns;
    uint64_t sequence;
    due_fn *happen;
    void *object;
    uint64_t argument;
};

// ---- the record ---------------------------------------------------------------------------------

// One thing that happened: a line of the trace. The format takes three numbers.
struct note {
    uint64_t at_ns;
    const struct node *node; // NULL: the world
    const char *format;
    uint64_t numbers[3];
};

// ---- the world ----------------------------------------------------------------------------------

struct block; // of memory

struct world {
    struct plan plan;
    struct options options;
    uint64_t now_ns;
    uint64_t events;
    bool is_healed;
    bool is_over; // nothing is asked of anybody any more

    struct due *agenda; // a heap, from 1 on
    size_t agenda_size;
    size_t agenda_capacity;
    uint64_t sequence;

    struct prng dice[STREAMS];
    struct node *nodes[NODES_MAX];
    uint32_t node_count;

    struct links *links;
    struct registry *registry; // of calls, and what checks know
    struct book *book;         // of durable requests
    struct inbox *inbox;       // of the workers that keep one
    struct oracle *oracle;     // of the audit chain
    struct pair *pair;         // NULL: there is none
    struct list parcels;       // all cargo there is
    uint64_t parcel_count;

    uint64_t hash; // of the trace
    struct note notes[NOTES_KEPT];
    uint64_t note_count;
    uint32_t marks[MARKS];

    struct list blocks;
    uint64_t bytes_live;
    uint8_t fill; // of memory that nobody has written yet

    jmp_buf failed;
    char reason[REASON_BYTES];
};

// world_new makes an empty world; world_free ends it with all memory that it gave.
struct world *world_new(const struct options *options, uint8_t fill);
void world_free(struct world *self);

// world_take gives memory that lives as long as the world at most. It never fails: the
// failures of memory that a seed has are somewhere else.
void *world_take(struct world *self, size_t bytes);
void *world_take_zeroed(struct world *self, size_t bytes);
void *world_grow(struct world *self, void *memory, size_t bytes);
void world_give(struct world *self, void *memory);

void world_add_node(struct world *self, struct node *node, const struct node_kind *kind,
                    uint32_t index, const struct clock_plan *clock);

// world_at asks for something to happen; never in the past.
void world_at(struct world *self, uint64_t at_ns, due_fn *happen, void *object, uint64_t argument);
// world_step lets the next thing happen; false where there is none before until_ns.
bool world_step(struct world *self, uint64_t until_ns);

// world_note puts a line into the trace. `place` is where it was said: the hash of a trace
// is made of places and numbers.
void world_note(struct world *self, const struct node *node, uint32_t place, const char *format,
                uint64_t a, uint64_t b, uint64_t c);
#define note(world, node, format, a, b, c)                                                         \
    world_note(world, node, __LINE__, format, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c))
void world_print_notes(const struct world *self);

static inline void
mark(struct world *self, enum mark which)
{
    self->marks[which]++;
}

// world_fail ends the run: the seed has failed, under the name of what does not hold.
_Noreturn void world_fail(struct world *self, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// dice
static inline uint64_t
roll(struct world *self, enum stream stream, uint64_t bound)
{
    return prng_below(&self->dice[stream], bound);
}

static inline uint64_t
roll_between(struct world *self, enum stream stream, uint64_t from, uint64_t to)
{
    return from + roll(self, stream, to - from + 1);
}

// roll_gap is a time whose average is `mean`: short ones are more frequent.
uint64_t roll_gap(struct world *self, enum stream stream, uint64_t mean_ns);

// has: may this fault happen now?
static inline bool
has(const struct world *self, enum fault fault)
{
    return self->plan.has[fault] && !self->is_healed;
}

// ---- nodes, at work -----------------------------------------------------------------------------

static inline uint64_t
node_now(const struct node *self)
{
    return clock_of(&self->clock, self->world->now_ns);
}

// node_is: is it of the kind of that name, or what is there in its place in a world of pirates?
bool node_is(const struct node *self, const char *kind);
void node_start(struct node *self);
// node_start_after starts it in a while, unless something else has meanwhile.
void node_start_after(struct node *self, uint64_t while_ns);
void node_kill(struct node *self);
// node_poke: something has arrived, or the deadline may be another.
void node_poke(struct node *self);
// node_wake_at asks for a wake at a time of the world's, if its loop does not stand then.
void node_wake_at(struct node *self, uint64_t at_ns);
// node_rest asks for a wake at its core's deadline.
void node_rest(struct node *self);
// node_stand lets its loop stand still.
void node_stand(struct node *self, uint64_t until_ns);
// node_suspend: its machine slept. Nothing ran, nothing came in, and its clock, which counts
// that (CLOCK_BOOTTIME), goes on so much later.
void node_suspend(struct node *self, uint64_t for_ns);
// node_wall is the time of the day there, which anybody may set. The cores of today have no
// use for it: it is for those that keep a time longer than their machine runs.
// WALL_MS is what every wall clock shows when the world begins: some day.
#define WALL_MS UINT64_C(1700000000000)

static inline uint64_t
node_wall(const struct node *self)
{
    return node_now(self) + (uint64_t)self->wall_ns;
}

#endif
