// bstar_beats.c - two sockets and a thread.

#include "bstar_beats.h"

#include "log.h"
#include "sockets.h"

#include <galleon/status.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const uint64_t ns_per_ms = 1000000;

// ---- the thread ------------------------------------------------------------------------------

struct said {
    uint64_t told;   // what was told last
    uint64_t due_ns; // then it is said again
};

static void
publish(struct bstar_beats *self, struct bstar_beat *beat)
{
    uint8_t frame[BSTAR_BEAT_BYTES_MAX];
    beat->sequence = ++self->sequence;
    size_t size = bstar_beat_encode(beat, self->is_bare, frame);
    (void)zmq_send(self->mouth.handle, frame, size, ZMQ_DONTWAIT);
}

// beat_once says what there is to say; false: nothing any more.
static bool
beat_once(struct bstar_beats *self, struct said *said)
{
    pthread_mutex_lock(&self->lock);
    struct bstar_beat beat = self->beat;
    uint64_t told = self->told;
    uint64_t turned_ns = self->turned_ns;
    bool is_ending = self->is_ending;
    pthread_mutex_unlock(&self->lock);

    uint64_t now_ns = galleon_now_ns();
    bool is_new = told != said->told;
    bool is_hanging = self->is_bare && now_ns > turned_ns + self->gap_ns;
    if (is_new || (told > 0 && now_ns >= said->due_ns && !is_ending && !is_hanging))
        publish(self, &beat);
    if (is_new)
        // The loop tells of the next beat when it is due: it has a quarter for that.
        said->due_ns = now_ns + self->beat_ns + self->beat_ns / 4;
    else if (now_ns >= said->due_ns)
        said->due_ns = now_ns + self->beat_ns;
    said->told = told;
    return !is_ending;
}

static void *
beat_on(void *context)
{
    struct bstar_beats *self = context;
    struct said said = {.due_ns = galleon_now_ns() + self->beat_ns};
    while (beat_once(self, &said)) {
        uint64_t now_ns = galleon_now_ns();
        uint64_t left_ms =
            said.due_ns <= now_ns ? 0 : (said.due_ns - now_ns + ns_per_ms - 1) / ns_per_ms;
        struct pollfd wake = {.fd = self->wake_fd, .events = POLLIN};
        uint64_t times;
        if (poll(&wake, 1, (int)left_ms) > 0)
            (void)!read(self->wake_fd, &times, sizeof times);
    }
    return NULL;
}

static int
start(struct bstar_beats *self)
{
    // Signals are the program's: none of them is for this thread.
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &callers);
    int error = pthread_create(&self->thread, NULL, beat_on, self);
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    self->is_running = error == 0;
    return error;
}

static void
wake(struct bstar_beats *self)
{
    uint64_t once = 1;
    (void)!write(self->wake_fd, &once, sizeof once);
}

// ---- the main loop's side -------------------------------------------------------------------

int
bstar_beats_open(struct bstar_beats *self, const struct bstar_beats_options *options)
{
    *self = (struct bstar_beats){.is_bare = options->is_bare,
                                 .beat_ns = options->beat_ns,
                                 .gap_ns = options->gap_ns,
                                 .turned_ns = galleon_now_ns()};
    pthread_mutex_init(&self->lock, NULL);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd < 0 || !inbox_init(&self->inbox, 1))
        return ENOMEM;
    int error = bstar_socket_bind(&self->mouth, ZMQ_PUB, options->bind, self->is_bare);
    if (error != 0)
        return error;
    error = bstar_line_open(&self->ear, ZMQ_SUB, options->peer, self->is_bare, options->epoll_fd);
    return error != 0 ? error : start(self);
}

void
bstar_beats_close(struct bstar_beats *self)
{
    if (self->is_running) {
        pthread_mutex_lock(&self->lock);
        self->is_ending = true;
        pthread_mutex_unlock(&self->lock);
        wake(self);
        pthread_join(self->thread, NULL);
    }
    bstar_line_close(&self->ear);
    bstar_socket_unbind(&self->mouth);
    inbox_release(&self->inbox);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    pthread_mutex_destroy(&self->lock);
}

void
bstar_beats_say(struct bstar_beats *self, const struct bstar_beat *beat)
{
    pthread_mutex_lock(&self->lock);
    self->beat = *beat;
    self->told++;
    pthread_mutex_unlock(&self->lock);
    wake(self);
}

void
bstar_beats_turn(struct bstar_beats *self, uint64_t progress, uint64_t now_ns)
{
    pthread_mutex_lock(&self->lock);
    self->beat.progress = progress;
    self->turned_ns = now_ns;
    pthread_mutex_unlock(&self->lock);
}

// ---- hearing --------------------------------------------------------------------------------

bool
bstar_beats_next(struct bstar_beats *self, struct bstar_beat *beat_out, enum bstar_fault *fault_out)
{
    if (self->ear.handle == NULL || !inbox_receive(&self->inbox, self->ear.handle))
        return false;
    if (self->taken++ == BSTAR_QUEUED_MAX) {
        log_warn("PAIR-FLOOD", "from=%s", self->ear.endpoint);
        bstar_line_drop(&self->ear);
        return false;
    }
    *fault_out = bstar_beat_decode(self->inbox.frames, self->inbox.count, self->is_bare, beat_out);
    return true;
}

bool
bstar_beats_has_input(const struct bstar_beats *self)
{
    return self->ear.handle != NULL && (sockets_events(self->ear.handle) & ZMQ_POLLIN);
}
