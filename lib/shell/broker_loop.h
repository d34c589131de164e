// broker_loop.h - a broker_core with its memory, its clock, and its way out.
//
// What every server around such a core has in common. Its owner takes what has arrived off
// its own sockets and steps the core with it; a turn is
//
//     broker_loop_begin_turn(loop);
//     ... broker_loop_step(loop, &event) for each record ...
//     broker_loop_end_turn(loop);
//
// and broker_loop_run makes one after the other, and waits in between.
// The clock is read once a turn.

#ifndef GALLEON_BROKER_LOOP_H
#define GALLEON_BROKER_LOOP_H

#include "broker_core.h"
#include "broker_door.h"
#include "broker_outbox.h"
#include "cargo.h"

enum { LOOP_DOORS_MAX = 2 };

struct broker_loop {
    int epoll_fd;
    int drain_fd; // an eventfd: broker_loop_drain writes it
    bool is_drain_asked;
    bool is_stopped; // the drain is over
    struct broker_door *doors[LOOP_DOORS_MAX];
    size_t door_count;

    void *memory;
    size_t memory_bytes;
    struct broker_core *core;
    struct broker_effects *effects;
    struct cargo_pool pool;
    struct broker_outbox outbox;
    uint64_t now_ns;
    uint64_t wake_ns; // it waits no longer than until then; UINT64_MAX: for the core
    uint64_t busy_turns;
    int half_fd;           // of a half of a pair; -1: none
    bool is_half_readable; // its owner clears it

    // What the core of a half of a pair has said, for its owner to see and to clear.
    bool is_quiet;
    bool is_fenced;
    bool is_asked;          // what becomes of `word`?
    bool is_asked_by_proxy; // somebody behind it, who may be anywhere
    enum broker_word word;
};

// broker_loop_blank makes one that can be released, and does nothing else.
void broker_loop_blank(struct broker_loop *self);

// broker_loop_init makes all but the way out; false where it cannot, and what is there is to be
// released. The seed of the configuration is drawn here.
bool broker_loop_init(struct broker_loop *self, struct broker_config *config);

// broker_loop_open opens the way out by these doors, in the order of their numbers in records,
// and watches them; they are closed after the loop is released. False as above.
bool broker_loop_open(struct broker_loop *self, struct broker_door *doors, size_t count,
                      enum broker_manners manners);

// broker_loop_watch has a wait end when there is something to read.
bool broker_loop_watch(struct broker_loop *self, int fd);
// broker_loop_watch_half does so too, and says what it was.
bool broker_loop_watch_half(struct broker_loop *self, int fd);

// broker_loop_release drains without waiting: workers are told, and what the core still carries
// comes back, so that a leak is a leak.
void broker_loop_release(struct broker_loop *self);

void broker_loop_begin_turn(struct broker_loop *self);
// broker_loop_step steps the core with an event at this turn's time, and carries out what comes
// of it.
void broker_loop_step(struct broker_loop *self, struct broker_event *event);
// broker_loop_end_turn ticks, writes what is packed, and gives back what was refused.
void broker_loop_end_turn(struct broker_loop *self);

// What broker_loop_run asks of the owner.
struct broker_owner {
    void *self;
    void (*turn)(void *self);
    // Is there more to read? A socket's descriptor is an edge, not a level, so what is there has to
    // be asked for before each wait.
    bool (*has_input)(void *self);
    zsock_t *pipe;                  // of the actor, NULL where there is none
    bool (*on_command)(void *self); // obeys one that came over the pipe; false: leave
};

// broker_loop_run serves until a drain is over (GALLEON_OK; what was said last may still go out),
// or it is interrupted, or told to leave.
int broker_loop_run(struct broker_loop *self, const struct broker_owner *owner);

// broker_loop_drain has the next turn begin a drain. It is safe from a signal handler and from
// other threads.
void broker_loop_drain(struct broker_loop *self);

#endif
