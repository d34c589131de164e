// load_threads.c - one loop for clients, one for workers.
//
// A descriptor of libzmq tells of a change and not of a state, so whoever is
// told takes all there is, and looks again after sending: the call that sends
// may have eaten the word that something came.

#include "load_threads.h"

#include "load_socket.h"

#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 64,
    SETTLE_MS = 200 // for hellos that nobody answers
};

struct seat {
    struct load_crew *crew;
    uint32_t first; // peers first, first + step, ... below crew->count
    uint32_t step;
};

// ---- waiting for one of several ---------------------------------------------------

static int
new_watch(void)
{
    int watch = epoll_create1(0);
    if (watch < 0)
        load_fail("no epoll");
    return watch;
}

static void
watch_socket(int watch, void *socket, uint32_t number)
{
    int fd = -1;
    size_t size = sizeof fd;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
    if (epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) != 0)
        load_fail("cannot watch a socket");
}

// ---- workers --------------------------------------------------------------------------

static void
serve_one(struct load_worker *self)
{
    const struct load_dialect *dialect = self->run->options->dialect;
    while (!atomic_load_explicit(&self->run->is_ending, memory_order_relaxed) && !self->is_lost)
        dialect->worker_turn(self, 0);
}

static void
serve_many(const struct seat *seat)
{
    struct load_crew *crew = seat->crew;
    const struct load_dialect *dialect = crew->run->options->dialect;
    int watch = new_watch();
    for (uint32_t i = seat->first; i < crew->count; i += seat->step) {
        watch_socket(watch, crew->workers[i].socket, i);
        while (dialect->worker_turn(&crew->workers[i], ZMQ_DONTWAIT))
            continue;
    }
    while (!atomic_load_explicit(&crew->run->is_ending, memory_order_relaxed)) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(watch, events, EVENTS_MAX, LOAD_PATIENCE_MS);
        for (int i = 0; i < count; i++)
            while (dialect->worker_turn(&crew->workers[events[i].data.u32], ZMQ_DONTWAIT))
                continue;
    }
    close(watch);
}

static void *
run_workers(void *argument)
{
    struct seat *seat = argument;
    struct load_crew *crew = seat->crew;
    const struct load_options *options = crew->run->options;
    for (uint32_t i = seat->first; i < crew->count; i += seat->step) {
        crew->workers[i].run = crew->run;
        options->dialect->worker_begin(&crew->workers[i]);
        sem_post(&crew->run->accepted);
    }
    if (seat->first + seat->step >= crew->count)
        serve_one(&crew->workers[seat->first]);
    else
        serve_many(seat);
    for (uint32_t i = seat->first; i < crew->count; i += seat->step) {
        if (crew->workers[i].is_lost)
            load_fail("the broker sent a worker away");
        options->dialect->worker_end(&crew->workers[i]);
    }
    free(seat);
    return NULL;
}

// ---- clients --------------------------------------------------------------------------

// take_answers takes what is there, if anything is in flight. False: nothing came.
static bool
take_answers(struct load_client *self, int flags)
{
    const struct load_dialect *dialect = self->run->options->dialect;
    bool has_any = false;
    while (load_window_in_flight(&self->window) > 0 && dialect->client_receive(self, flags)) {
        has_any = true;
        flags = ZMQ_DONTWAIT;
    }
    return has_any;
}

static bool
is_stopping(const struct load_run *run)
{
    return atomic_load_explicit(&run->is_stopping, memory_order_relaxed);
}

static void
ask_one(struct load_client *self)
{
    const struct load_dialect *dialect = self->run->options->dialect;
    while (!is_stopping(self->run)) {
        dialect->client_send(self);
        take_answers(self, 0);
    }
    uint64_t quiet_since_ns = load_now_ns();
    while (load_window_in_flight(&self->window) > 0 &&
           load_now_ns() - quiet_since_ns < LOAD_GRACE_MS * 1000000ull)
        if (take_answers(self, 0))
            quiet_since_ns = load_now_ns();
}

static uint32_t
in_flight_of_all(const struct seat *seat)
{
    uint32_t in_flight = 0;
    for (uint32_t i = seat->first; i < seat->crew->count; i += seat->step)
        in_flight += load_window_in_flight(&seat->crew->clients[i].window);
    return in_flight;
}

// ask_ready asks and takes until nothing is there.
static bool
ask_ready(struct load_client *self)
{
    bool has_any = false;
    while (take_answers(self, ZMQ_DONTWAIT)) {
        has_any = true;
        if (!is_stopping(self->run))
            self->run->options->dialect->client_send(self);
    }
    return has_any;
}

static void
ask_many(const struct seat *seat)
{
    struct load_crew *crew = seat->crew;
    int watch = new_watch();
    uint64_t quiet_since_ns = load_now_ns();
    for (uint32_t i = seat->first; i < crew->count; i += seat->step) {
        watch_socket(watch, crew->clients[i].socket, i);
        crew->run->options->dialect->client_send(&crew->clients[i]);
        ask_ready(&crew->clients[i]);
    }
    while (!is_stopping(crew->run) ||
           (in_flight_of_all(seat) > 0 &&
            load_now_ns() - quiet_since_ns < LOAD_GRACE_MS * 1000000ull)) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(watch, events, EVENTS_MAX, LOAD_PATIENCE_MS);
        bool has_any = false;
        for (int i = 0; i < count; i++)
            has_any |= ask_ready(&crew->clients[events[i].data.u32]);
        if (has_any || !is_stopping(crew->run))
            quiet_since_ns = load_now_ns();
    }
    close(watch);
}

static void *
run_clients(void *argument)
{
    struct seat *seat = argument;
    struct load_crew *crew = seat->crew;
    const struct load_options *options = crew->run->options;
    for (uint32_t i = seat->first; i < crew->count; i += seat->step)
        options->dialect->client_begin(&crew->clients[i]);
    if (seat->first + seat->step >= crew->count)
        ask_one(&crew->clients[seat->first]);
    else
        ask_many(seat);
    for (uint32_t i = seat->first; i < crew->count; i += seat->step)
        options->dialect->client_end(&crew->clients[i]);
    free(seat);
    return NULL;
}

// ---- crews ------------------------------------------------------------------------------

static void
begin_threads(struct load_crew *self, void *(*run)(void *))
{
    self->threads = load_allocate(self->thread_count * sizeof *self->threads);
    for (uint32_t i = 0; i < self->thread_count; i++) {
        struct seat *seat = load_allocate(sizeof *seat);
        *seat = (struct seat){.crew = self, .first = i, .step = self->thread_count};
        if (pthread_create(&self->threads[i], NULL, run, seat) != 0)
            load_fail("no thread");
    }
}

void
load_workers_begin(struct load_crew *self, struct load_run *run)
{
    const struct load_options *options = run->options;
    *self = (struct load_crew){
        .run = run, .count = options->workers, .thread_count = options->worker_threads};
    self->workers = load_allocate(self->count * sizeof *self->workers);
    begin_threads(self, run_workers);
    for (uint32_t i = 0; i < self->count; i++)
        while (sem_wait(&run->accepted) != 0)
            continue;
    usleep(SETTLE_MS * 1000);
}

void
load_clients_begin(struct load_crew *self, struct load_run *run)
{
    const struct load_options *options = run->options;
    *self = (struct load_crew){
        .run = run, .count = options->clients, .thread_count = options->client_threads};
    self->clients = load_allocate(self->count * sizeof *self->clients);
    for (uint32_t i = 0; i < self->count; i++) {
        self->clients[i].run = run;
        load_window_init(&self->clients[i].window, i, options->window, options->body_bytes,
                         &run->is_measuring);
    }
    begin_threads(self, run_clients);
}

void
load_crew_join(struct load_crew *self)
{
    for (uint32_t i = 0; i < self->thread_count; i++)
        pthread_join(self->threads[i], NULL);
}

void
load_crew_release(struct load_crew *self)
{
    for (uint32_t i = 0; self->clients != NULL && i < self->count; i++)
        load_window_release(&self->clients[i].window);
    free(self->clients);
    free(self->workers);
    free(self->threads);
}
