// broker_loop.c - step, carry out, give back, wait.

#include "broker_loop.h"

#include "log.h"
#include "sockets.h"

#include <galleon/status.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>

enum {
    TICKS_MAX = 256,          // in one turn: the rest of a long job waits for the next
    WAIT_MS_MAX = 1000,       // so that a signal just before the wait is seen
    TURNS_BETWEEN_LOOKS = 32, // at signals and commands, while messages keep coming
    LAST_WORDS_MS = 1000      // what was said last, to workers and clients, may go out
};

// ---- making one -------------------------------------------------------------------------------

// make_core gives the core its memory: all limits in one piece, of which an idle broker
// touches a few pages.
static bool
make_core(struct broker_loop *self, struct broker_config *config)
{
    if (getrandom(config->seed, sizeof config->seed, 0) != (ssize_t)sizeof config->seed)
        return false;
    self->memory_bytes = broker_core_bytes(config);
    self->memory = mmap(NULL, self->memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (self->memory == MAP_FAILED) {
        self->memory = NULL;
        return false;
    }
    self->core = broker_core_init(self->memory, config, galleon_now_ns());
    return true;
}

bool
broker_loop_watch(struct broker_loop *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool
broker_loop_watch_half(struct broker_loop *self, int fd)
{
    self->half_fd = fd;
    return broker_loop_watch(self, fd);
}

void
broker_loop_blank(struct broker_loop *self)
{
    *self =
        (struct broker_loop){.epoll_fd = -1, .drain_fd = -1, .half_fd = -1, .wake_ns = UINT64_MAX};
    cargo_pool_init(&self->pool);
}

bool
broker_loop_init(struct broker_loop *self, struct broker_config *config)
{
    broker_loop_blank(self);
    self->effects = malloc(sizeof *self->effects);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return self->effects != NULL && self->epoll_fd >= 0 && self->drain_fd >= 0 &&
           broker_loop_watch(self, self->drain_fd) && make_core(self, config);
}

bool
broker_loop_open(struct broker_loop *self, struct broker_door *doors, size_t count,
                 enum broker_manners manners)
{
    void *sockets[LOOP_DOORS_MAX] = {NULL};
    for (size_t i = 0; i < count; i++) {
        sockets[i] = doors[i].handle;
        self->doors[self->door_count++] = &doors[i];
        if (!broker_loop_watch(self, sockets_fd(doors[i].handle)) ||
            !broker_loop_watch(self, listener_fd(&doors[i].listener)))
            return false;
    }
    return broker_outbox_init(&self->outbox, sockets, manners, &self->pool,
                              broker_core_routes_max(self->core));
}

// ---- stepping the core --------------------------------------------------------------------------

static void
carry_out(struct broker_loop *self)
{
    for (size_t i = 0; i < self->effects->count; i++) {
        struct broker_effect *effect = &self->effects->list[i];
        switch (effect->kind) {
        case BROKER_SEND:
            broker_outbox_add(&self->outbox, effect);
            break;
        case BROKER_DUMP:
            cargo_release(&self->pool, effect->cargo);
            break;
        case BROKER_JOIN:
            if (!cargo_join(&self->pool, effect->into, effect->cargo)) {
                // The answer is short of a part; better than to stop for all.
                log_error("MDP-OUT-OF-MEMORY", "what=\"part of an answer\"");
                cargo_release(&self->pool, effect->cargo);
            }
            break;
        case BROKER_STOPPED:
            self->is_stopped = true;
            break;
        case BROKER_QUIET:
            self->is_quiet = true;
            break;
        case BROKER_FENCED:
            self->is_fenced = true;
            break;
        case BROKER_QUESTION:
            self->is_asked = true;
            self->is_asked_by_proxy = effect->to->stack.size > 0;
            self->word = effect->word;
            break;
        }
    }
}

void
broker_loop_step(struct broker_loop *self, struct broker_event *event)
{
    event->now_ns = self->now_ns;
    broker_core_step(self->core, event, self->effects);
    carry_out(self);
}

static void
tick(struct broker_loop *self, enum broker_event_kind kind)
{
    struct broker_event event = {.kind = kind};
    broker_loop_step(self, &event);
}

// give_back tells the core what the socket refused, latest first.
static void
give_back(struct broker_loop *self)
{
    struct refused refused;
    while (broker_outbox_refusal(&self->outbox, &refused)) {
        struct broker_event event = {.kind = BROKER_UNSENT,
                                     .route_number = refused.route_number,
                                     .route_serial = refused.route_serial,
                                     .side = refused.side,
                                     .command = refused.command,
                                     .token = refused.token,
                                     .cargo = refused.cargo,
                                     .is_gone = refused.is_gone,
                                     .is_withheld = refused.is_withheld};
        broker_loop_step(self, &event);
    }
}

static void
flush(struct broker_loop *self)
{
    broker_outbox_flush(&self->outbox);
    give_back(self);
}

// ---- turns --------------------------------------------------------------------------

void
broker_loop_begin_turn(struct broker_loop *self)
{
    self->now_ns = galleon_now_ns();
}

void
broker_loop_end_turn(struct broker_loop *self)
{
    if (self->is_drain_asked) {
        self->is_drain_asked = false;
        tick(self, BROKER_DRAIN);
    }
    for (int i = 0; i < TICKS_MAX && broker_core_deadline(self->core) <= self->now_ns; i++)
        tick(self, BROKER_TICK);
    flush(self);
    log_catch_up(self->now_ns);
}

static int
wait_ms(const struct broker_loop *self)
{
    uint64_t deadline_ns = broker_core_deadline(self->core);
    if (self->wake_ns < deadline_ns)
        deadline_ns = self->wake_ns;
    uint64_t now_ns = galleon_now_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t ms = (deadline_ns - now_ns) / 1000000 + 1;
    return ms < WAIT_MS_MAX ? (int)ms : WAIT_MS_MAX;
}

// is_pressed: messages wait, and nothing else has to be looked at in this turn.
static bool
is_pressed(struct broker_loop *self, bool is_busy)
{
    return is_busy && ++self->busy_turns % TURNS_BETWEEN_LOOKS != 0;
}

// pump_doors looks at the doors' own events before the first turn: their descriptors are edges,
// which say nothing before the first look.
static void
pump_doors(struct broker_loop *self)
{
    for (size_t i = 0; i < self->door_count; i++)
        listener_pump(&self->doors[i]->listener);
}

static void
on_readable(struct broker_loop *self, int fd)
{
    uint64_t times;
    if (fd == self->drain_fd)
        self->is_drain_asked = read(self->drain_fd, &times, sizeof times) > 0;
    if (fd == self->half_fd)
        self->is_half_readable = true;
    for (size_t i = 0; i < self->door_count; i++)
        if (fd == listener_fd(&self->doors[i]->listener))
            listener_pump(&self->doors[i]->listener);
}

// wait_for_any waits until there is something to do, not at all where something is. False: the
// process was interrupted.
static bool
wait_for_any(struct broker_loop *self, bool is_busy)
{
    struct epoll_event events[2 + 2 * LOOP_DOORS_MAX];
    int count =
        epoll_wait(self->epoll_fd, events, 2 + 2 * LOOP_DOORS_MAX, is_busy ? 0 : wait_ms(self));
    if (zsys_interrupted)
        return false;
    for (int i = 0; i < count; i++)
        on_readable(self, events[i].data.fd);
    return true;
}

// rest waits until there is something to do. False: leave.
static bool
rest(struct broker_loop *self, const struct broker_owner *owner)
{
    bool is_busy = owner->has_input(owner->self);
    // Under load other descriptors are looked at now and then.
    if (is_pressed(self, is_busy))
        return !zsys_interrupted;
    // The pipe's descriptor is an edge too: it says nothing before the first look.
    while (owner->pipe != NULL && (zsock_events(owner->pipe) & ZMQ_POLLIN))
        if (!owner->on_command(owner->self))
            return false;
    return wait_for_any(self, is_busy);
}

int
broker_loop_run(struct broker_loop *self, const struct broker_owner *owner)
{
    pump_doors(self);
    do {
        owner->turn(owner->self);
        if (self->is_stopped) {
            for (size_t i = 0; i < self->door_count; i++)
                sockets_set(self->doors[i]->handle, ZMQ_LINGER, LAST_WORDS_MS);
            return GALLEON_OK;
        }
    } while (rest(self, owner));
    return GALLEON_INTERRUPTED;
}

void
broker_loop_drain(struct broker_loop *self)
{
    uint64_t once = 1;
    int saved = errno;
    (void)!write(self->drain_fd, &once, sizeof once);
    errno = saved;
}

// ---- the end ------------------------------------------------------------------------

static void
end_core(struct broker_loop *self)
{
    self->now_ns = galleon_now_ns();
    tick(self, BROKER_DRAIN);
    while (!self->is_stopped) {
        flush(self);
        self->now_ns = broker_core_end_of_drain(self->core, self->now_ns);
        tick(self, BROKER_TICK);
    }
    flush(self);
}

void
broker_loop_release(struct broker_loop *self)
{
    if (self->core != NULL && self->outbox.box_of_route != NULL)
        end_core(self);
    broker_outbox_release(&self->outbox);
    cargo_pool_release(&self->pool);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    if (self->drain_fd >= 0)
        close(self->drain_fd);
    if (self->memory != NULL)
        munmap(self->memory, self->memory_bytes);
    free(self->effects);
}
