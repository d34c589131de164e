// bstar_beats.h - classic: a PUB that beats from a thread of its own, a SUB that hears the peer.
//
// The thread says what it was told at once, and says it again where the main loop has told it
// nothing new for a beat and a quarter. What it repeats shows how far the main loop has come:
// of a loop that hangs the peer hears beats, and sees that it hangs. A bare digit cannot show
// that, so the thread says none for a loop that has not turned for the gap limit.

#ifndef GALLEON_BSTAR_BEATS_H
#define GALLEON_BSTAR_BEATS_H

#include "bstar_line.h"
#include "bstar_socket.h"
#include "bstar_wire.h"

#include <pthread.h>

struct bstar_beats {
    // The main loop's.
    struct bstar_line ear; // SUB
    struct inbox inbox;
    size_t taken; // in this turn
    bool is_bare;
    bool is_running; // the thread

    // The thread's, from its start to its end.
    struct listener mouth; // PUB
    pthread_t thread;
    int wake_fd;
    uint64_t beat_ns;
    uint64_t gap_ns;
    uint64_t sequence;

    pthread_mutex_t lock; // of what is below
    struct bstar_beat beat;
    uint64_t told;
    uint64_t turned_ns;
    bool is_ending;
};

struct bstar_beats_options {
    const char *bind, *peer; // to live as long as the beats
    int epoll_fd;
    bool is_bare;
    uint64_t beat_ns, gap_ns;
};

// bstar_beats_open returns 0 or an errno; in both cases bstar_beats_close is to follow.
int bstar_beats_open(struct bstar_beats *self, const struct bstar_beats_options *options);
// bstar_beats_close says what it was told last, if it has not yet.
void bstar_beats_close(struct bstar_beats *self);

void bstar_beats_say(struct bstar_beats *self, const struct bstar_beat *beat);
// bstar_beats_turn: the main loop has turned.
void bstar_beats_turn(struct bstar_beats *self, uint64_t progress, uint64_t now_ns);

// bstar_beats_begin begins a turn of hearing, bstar_beats_next takes the next message of it:
// false: there is none now. Of a flood the rest is dropped, with the connection.
static inline void
bstar_beats_begin(struct bstar_beats *self)
{
    self->taken = 0;
}
bool bstar_beats_next(struct bstar_beats *self, struct bstar_beat *beat_out,
                      enum bstar_fault *fault_out);

bool bstar_beats_has_input(const struct bstar_beats *self);

#endif
