// pirate_worker.c - the socket and the clock around pirate_worker_core.
//
// Nothing runs by itself: the queue is read and beaten while the application is inside recv,
// reply or pump. A round reads all that has arrived, or up to the next request where one is
// wanted, and then looks at the time.
//
// To a Simple Pirate queue, too, it is a DEALER, which writes and reads the empty frame that
// a REQ would: a REQ cannot leave a request that came to nothing.

#include <galleon/pirate_worker.h>

#include "cargo.h"
#include "endpoints.h"
#include "inbox.h"
#include "link.h"
#include "log.h"
#include "making.h"
#include "must.h"
#include "pirate_worker_core.h"
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>

enum {
    FRAMES_MAX = 4096,   // of a received message
    MESSAGES_MAX = 1000, // read in a round
    LINGER_MS = 1000,    // how long a closed socket goes on sending
    FLUSH_MS_MAX = 1000, // at the end
    RETRY_MS = 10,       // between looks at it
    OUTCOMES_MAX = 4     // SENDs of one step
};

static const uint64_t ns_per_ms = 1000000;

// What came of a SEND, where the core wants to know.
struct outcome {
    enum pirate_kind says;
    struct cargo *cargo;
    bool is_taken;
};

struct pirate_worker {
    struct endpoints queue; // one
    enum pirate_dialect dialect;
    size_t message_bytes_max;
    void (*on_lost)(void *ctx, uint32_t replies);
    void *ctx;

    void *memory; // of the core
    struct pirate_worker_core *core;
    struct pirate_worker_effects effects;
    struct cargo_pool pool;
    struct inbox inbox;
    struct link link;
    int epoll_fd;
    uint64_t now_ns;
    bool is_quiet; // everything that could be done now was done
    bool is_woken; // by a descriptor

    struct outcome outcomes[OUTCOMES_MAX];
    size_t outcome_count;
    bool has_refused;        // in this step
    bool has_failed;         // its connection could not be begun
    struct cargo *delivered; // and not given to the application yet
    uint32_t lost;           // answers, to be told when the step is over
};

// ---- the connection -------------------------------------------------------------------

static void
on_trace(void *context, const struct pirate_worker_trace *trace)
{
    const pirate_worker_t *self = context;
    const char *queue = self->queue.texts[0];
    switch (trace->fact) {
    case PIRATE_WORKER_SAID_READY:
        log_debug("PIRATE-WORKER-READY", "queue=%s", queue);
        break;
    case PIRATE_WORKER_IS_SERVING:
        log_info("PIRATE-WORKER-SERVING", "queue=%s", queue);
        break;
    case PIRATE_WORKER_LOST_QUEUE:
        log_warn("PIRATE-WORKER-QUEUE-LOST", "queue=%s why=\"%s\"", queue, trace->why);
        break;
    case PIRATE_WORKER_LOST_ANSWERS:
        log_warn("PIRATE-WORKER-ANSWERS-LOST", "queue=%s answers=%llu", queue,
                 (unsigned long long)trace->count);
        break;
    }
}

static void
open_link(pirate_worker_t *self)
{
    const char *endpoint = self->queue.texts[0];
    must(!link_is_open(&self->link));
    int status =
        link_open(&self->link, LINK_KEEPS_ANSWERS, endpoint, NULL, self->message_bytes_max);
    if (status == GALLEON_OK && link_watch(&self->link, self->epoll_fd) == 0)
        return;
    if (status == GALLEON_OK)
        status = GALLEON_NO_MEMORY; // epoll had no room
    log_warn("PIRATE-WORKER-CONNECT", "queue=%s why=\"%s\"", endpoint, galleon_strerror(status));
    link_unwatch(&self->link, self->epoll_fd);
    link_close(&self->link, 0);
    self->has_failed = true;
}

static void
close_link(pirate_worker_t *self)
{
    if (!link_is_open(&self->link))
        return;
    link_unwatch(&self->link, self->epoll_fd);
    link_close(&self->link, LINGER_MS);
}

// ---- sending --------------------------------------------------------------------------

static bool
send_message(pirate_worker_t *self, const struct pirate_worker_effect *effect)
{
    struct pirate_head head;
    // What comes behind a refused message is refused too, so that nothing overtakes it.
    if (!link_is_open(&self->link) || self->has_refused)
        return false;
    self->is_quiet = false; // a send may take the edge of what has arrived
    pirate_wire_head_to_queue(&head, self->dialect, effect->says, &effect->envelope);
    return link_send_frames(&self->link, head.frames, head.frame_count,
                            effect->says == PIRATE_REPLY, effect->cargo) == 0;
}

static void
carry_out_send(pirate_worker_t *self, const struct pirate_worker_effect *effect)
{
    struct outcome outcome = {
        .says = effect->says, .cargo = effect->cargo, .is_taken = send_message(self, effect)};
    self->has_refused = !outcome.is_taken;
    if (outcome.is_taken && outcome.cargo != NULL)
        cargo_release(&self->pool, outcome.cargo);
    if (outcome.is_taken && outcome.says != PIRATE_REPLY)
        return;
    must(self->outcome_count < OUTCOMES_MAX);
    self->outcomes[self->outcome_count++] = outcome;
}

// ---- stepping the core ----------------------------------------------------------------

static void
carry_out(pirate_worker_t *self, const struct pirate_worker_effect *effect)
{
    switch (effect->kind) {
    case PIRATE_WORKER_OPEN:
        open_link(self);
        break;
    case PIRATE_WORKER_CLOSE:
        close_link(self);
        break;
    case PIRATE_WORKER_SEND:
        carry_out_send(self, effect);
        break;
    case PIRATE_WORKER_DELIVER:
        must(self->delivered == NULL);
        self->delivered = effect->cargo;
        break;
    case PIRATE_WORKER_DUMP:
        cargo_release(&self->pool, effect->cargo);
        break;
    case PIRATE_WORKER_LOST:
        self->lost += effect->count;
        break;
    }
}

static void
step_once(pirate_worker_t *self, struct pirate_worker_event *event)
{
    event->now_ns = self->now_ns;
    self->has_refused = false;
    pirate_worker_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
}

// step tells the core also what came of its effects: what was refused, last first.
static void
step(pirate_worker_t *self, struct pirate_worker_event *event)
{
    step_once(self, event);
    while (self->outcome_count > 0) {
        struct outcome outcome = self->outcomes[--self->outcome_count];
        struct pirate_worker_event told = {.kind = PIRATE_WORKER_SENT};
        if (!outcome.is_taken)
            told = (struct pirate_worker_event){
                .kind = PIRATE_WORKER_UNSENT, .said = outcome.says, .cargo = outcome.cargo};
        step_once(self, &told);
    }
    if (!self->has_failed)
        return;
    struct pirate_worker_event unopened = {.kind = PIRATE_WORKER_UNOPENED};
    self->has_failed = false;
    step_once(self, &unopened);
}

// tell_lost calls the application's hook; not from within a step.
static void
tell_lost(pirate_worker_t *self)
{
    uint32_t lost = self->lost;
    self->lost = 0;
    if (lost > 0 && self->on_lost != NULL)
        self->on_lost(self->ctx, lost);
}

// ---- a round --------------------------------------------------------------------------

static bool
is_found(const pirate_worker_t *self, bool is_wanted)
{
    return is_wanted && (self->delivered != NULL || pirate_worker_core_has_ready(self->core));
}

// receive takes the next message; false: there is none.
static bool
receive(pirate_worker_t *self, bool is_wanted)
{
    static const struct mdp_limits limits = {.frames_max = FRAMES_MAX, .bytes_max = SIZE_MAX};
    struct pirate_message message;
    struct pirate_worker_event event = {
        .kind = PIRATE_WORKER_MESSAGE, .message = &message, .is_wanted = is_wanted};
    if (!inbox_receive(&self->inbox, self->link.handle))
        return false;
    if (pirate_wire_read_queue(&message, self->dialect, self->inbox.frames, self->inbox.count,
                               &limits) == PIRATE_SOUND &&
        message.kind == PIRATE_REQUEST) {
        const struct mdp_record record = {
            .side = MDP_WORKER_SIDE, .command = MDP_REQUEST, .body = message.body};
        event.cargo = cargo_of_record(&self->pool, &record, &self->inbox);
    }
    step(self, &event);
    return true;
}

// see tells the core how the connection stands; false: nothing has happened to it.
static bool
see(pirate_worker_t *self)
{
    enum link_event seen = link_event(&self->link);
    if (seen == LINK_NOTHING)
        return false;
    struct pirate_worker_event event = {.kind = seen == LINK_UP ? PIRATE_WORKER_UP
                                                                : PIRATE_WORKER_DOWN};
    step(self, &event);
    return true;
}

// read_queue reads what has arrived and how the connection stands, or only as far as the
// next request. False: there may be more.
static bool
read_queue(pirate_worker_t *self, bool is_wanted)
{
    for (int i = 0; i < MESSAGES_MAX && link_is_open(&self->link); i++) {
        if (is_found(self, is_wanted))
            return false;
        if (receive(self, is_wanted))
            continue;
        // A cut wakes us by the monitor's own descriptor, which nobody else reads.
        if (self->link.is_up && is_wanted && !self->is_woken)
            return true;
        if (!see(self))
            return true;
    }
    return !link_is_open(&self->link);
}

// go_round does what can be done now; where a request is wanted, only until there is one.
// is_quiet afterwards: there is nothing more before something arrives or the core's deadline.
static void
go_round(pirate_worker_t *self, bool is_wanted)
{
    self->is_quiet = true;
    bool is_all_read = read_queue(self, is_wanted);
    self->is_woken = false;
    if (!is_all_read && is_found(self, is_wanted))
        return;
    if (is_all_read) {
        inbox_clear(&self->inbox);
        if (pirate_worker_core_deadline(self->core) <= self->now_ns) {
            struct pirate_worker_event event = {.kind = PIRATE_WORKER_TICK};
            step(self, &event);
        }
    }
    self->is_quiet = is_all_read && (self->is_quiet || !link_has_input(&self->link));
}

// seek does what is due, and finds the next request where one is wanted.
static struct cargo *
seek(pirate_worker_t *self, bool is_wanted)
{
    bool is_due = pirate_worker_core_deadline(self->core) <= self->now_ns;
    go_round(self, is_wanted && !is_due);
    if (is_wanted && self->delivered == NULL) {
        struct pirate_worker_event event = {.kind = PIRATE_WORKER_TAKE};
        step(self, &event);
    }
    struct cargo *request = self->delivered;
    self->delivered = NULL;
    tell_lost(self);
    return request;
}

// ---- making one -----------------------------------------------------------------------

static bool
make_core(pirate_worker_t *self, const pirate_worker_options_t *options)
{
    struct pirate_worker_config config = {
        .dialect = self->dialect,
        .heartbeat_ms = at_most(or_default(options->heartbeat_ms, 1000), 60000),
        .liveness = or_default(options->liveness, 3),
        .reconnect_ms_min = or_default(options->reconnect_ms_min, 100),
        .reconnect_ms_max = or_default(options->reconnect_ms_max, 10000),
    };
    config.reconnect_ms_min = at_most(config.reconnect_ms_min, config.reconnect_ms_max);
    if (getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return false;
    void *memory = core_memory(pirate_worker_core_bytes(), &self->memory);
    if (memory == NULL)
        return false;
    self->now_ns = galleon_now_ns();
    self->core = pirate_worker_core_init(memory, &config, self->now_ns);
    pirate_worker_core_trace(self->core, on_trace, self);
    return true;
}

pirate_worker_t *
pirate_worker_new(const char *queue, const pirate_worker_options_t *options)
{
    static const pirate_worker_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    pirate_worker_t *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    bool is_list = endpoints_init(&self->queue, queue);
    if (!is_list || self->queue.count != 1) {
        if (is_list) {
            endpoints_release(&self->queue);
            errno = EINVAL;
        }
        free(self);
        return NULL;
    }
    self->dialect = options->simple ? PIRATE_SIMPLE : PIRATE_PARANOID;
    self->message_bytes_max = cargo_message_bytes_max(options->message_bytes_max);
    self->on_lost = options->on_lost;
    self->ctx = options->ctx;
    cargo_pool_init(&self->pool);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0 || zsys_init() == NULL || !inbox_init(&self->inbox, FRAMES_MAX) ||
        !make_core(self, options)) {
        pirate_worker_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- requests -------------------------------------------------------------------------

static int
answer(pirate_worker_t *self, struct cargo *cargo)
{
    struct pirate_worker_event event = {.kind = PIRATE_WORKER_ANSWER, .cargo = cargo};
    self->now_ns = galleon_now_ns();
    // A connection that was cut while the application worked is not the one to answer over.
    while (see(self))
        continue;
    step(self, &event);
    return GALLEON_OK;
}

int
pirate_worker_fail(pirate_worker_t *self, const char *text)
{
    if (!pirate_worker_core_is_held(self->core))
        return GALLEON_UNKNOWN_ID;
    zmsg_t *message = zmsg_new();
    if (message != NULL)
        zmsg_addstr(message, text);
    // Out of memory the text is left out.
    return answer(self, cargo_of_message(&self->pool, VIEW_NONE, &message));
}

int
pirate_worker_reply(pirate_worker_t *self, zmsg_t **reply_p)
{
    if (!pirate_worker_core_is_held(self->core)) {
        zmsg_destroy(reply_p);
        return GALLEON_UNKNOWN_ID;
    }
    if (cargo_message_bound(0, *reply_p) > self->message_bytes_max) {
        zmsg_destroy(reply_p);
        (void)pirate_worker_fail(self, "the answer is larger than the worker may send");
        return GALLEON_REFUSED;
    }
    struct cargo *cargo = cargo_of_message(&self->pool, VIEW_NONE, reply_p);
    if (cargo == NULL) {
        (void)pirate_worker_fail(self, "the worker is out of memory");
        return GALLEON_NO_MEMORY;
    }
    return answer(self, cargo);
}

// give makes the application's message of a request. Out of memory it has failed.
static zmsg_t *
give(pirate_worker_t *self, struct cargo *request)
{
    if (request == NULL)
        return NULL;
    zmsg_t *message = cargo_to_message(&self->pool, request);
    cargo_release(&self->pool, request);
    if (message == NULL)
        (void)pirate_worker_fail(self, "the worker is out of memory");
    return message;
}

// ---- waiting for them -----------------------------------------------------------------

zmsg_t *
pirate_worker_recv(pirate_worker_t *self)
{
    if (pirate_worker_core_is_held(self->core))
        (void)pirate_worker_fail(self, "the worker gave no answer");
    for (;;) {
        if (wait_is_interrupted())
            return NULL;
        self->now_ns = galleon_now_ns();
        zmsg_t *message = give(self, seek(self, true));
        if (message != NULL)
            return message;
        if (self->is_quiet)
            self->is_woken =
                wait_until(self->epoll_fd, pirate_worker_core_deadline(self->core)) == WAIT_READY;
    }
}

// ---- the caller's own loop ------------------------------------------------------------

int
pirate_worker_fd(pirate_worker_t *self)
{
    return self->epoll_fd;
}

uint64_t
pirate_worker_deadline(const pirate_worker_t *self)
{
    bool has_more = !self->is_quiet || pirate_worker_core_has_ready(self->core);
    return has_more ? 0 : pirate_worker_core_deadline(self->core);
}

int
pirate_worker_pump(pirate_worker_t *self, uint64_t now_ns, zmsg_t **request_out)
{
    if (now_ns > self->now_ns)
        self->now_ns = now_ns;
    self->is_woken = true; // for all we know
    *request_out = give(self, seek(self, !pirate_worker_core_is_held(self->core)));
    return GALLEON_OK;
}

void
pirate_worker_stats(const pirate_worker_t *self, pirate_worker_stats_t *stats_out)
{
    const struct pirate_worker_counters *counters = pirate_worker_core_counters(self->core);
    *stats_out = (pirate_worker_stats_t){
        .requests = counters->requests,
        .requests_gone = counters->requests_gone,
        .replies = counters->answers,
        .replies_late = counters->answers_late,
        .replies_lost = counters->answers_lost,
        .connections = counters->connections,
        .connections_lost = counters->connections_lost,
        .silences = counters->silences,
        .breaches = counters->breaches,
        .heartbeats = counters->heartbeats,
    };
    for (int i = 0; i < PIRATE_FAULTS; i++)
        stats_out->faults += counters->faults[i];
}

// ---- the end --------------------------------------------------------------------------

// write_rest gives answers that no socket has taken a moment to go out.
static void
write_rest(pirate_worker_t *self)
{
    uint64_t until_ns = self->now_ns + FLUSH_MS_MAX * ns_per_ms;
    for (;;) {
        go_round(self, false);
        if (pirate_worker_core_unsent_count(self->core) == 0 || self->now_ns >= until_ns)
            return;
        struct pollfd input = {.fd = self->epoll_fd, .events = POLLIN};
        (void)poll(&input, 1, RETRY_MS);
        self->now_ns = galleon_now_ns();
    }
}

void
pirate_worker_destroy(pirate_worker_t **self_p)
{
    pirate_worker_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    if (self->core != NULL) {
        struct pirate_worker_event stop = {.kind = PIRATE_WORKER_STOP};
        self->now_ns = galleon_now_ns();
        write_rest(self);
        step(self, &stop);
        tell_lost(self);
    }
    free(self->memory);
    inbox_release(&self->inbox);
    cargo_pool_release(&self->pool);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    endpoints_release(&self->queue);
    free(self);
}
