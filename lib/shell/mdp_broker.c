// mdp_broker.c - the sockets and the clock around broker_core.
//
// The loop: take what has arrived, up to a batch, which may end within a message; step
// the core with each record; tick; write what came of it, one message for each G1 peer;
// give back what was refused; wait. The clock is read once a turn. Nobody waits to fill a
// pack.

#include <galleon/mdp_broker.h>

#include "broker_core.h"
#include "broker_outbox.h"
#include "cargo.h"
#include "connection.h"
#include "inbox.h"
#include "listener.h"
#include "log.h"
#include "must.h"
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>

enum {
    BATCH_MESSAGES = 256,     // taken off the socket before anything is written
    RECORDS_AHEAD = 16,       // of one message, read before the core is stepped with them
    BATCH_RECORDS = 4096,     // the same, in records; a long pack is left for the next turn
    YIELD_RECORDS = 512,      // with so many at hand it lets libzmq fetch more, once
    TICKS_MAX = 256,          // in one turn: the rest of a long job waits for the next
    WAIT_MS_MAX = 1000,       // so that a signal just before the wait is seen
    TURNS_BETWEEN_LOOKS = 32, // at signals and commands, while messages keep coming
    PEER_SILENT_MS = 3000,    // a peer whose host does not answer is gone
    RECEIVE_MARK = 32,        // messages of one peer that libzmq may hold for us
    HWM_SPARE = 64,           // above the largest credit and the largest client window
    CLIENT_WINDOW = 1024
};

struct mdp_broker {
    void *handle; // libzmq's socket
    struct listener listener;
    int epoll_fd;
    int drain_fd; // an eventfd: drain() writes it
    void *pipe;   // of the actor, NULL where there is none
    bool is_drain_asked;
    bool is_stopped;

    void *memory;
    size_t memory_bytes;
    struct broker_core *core;
    struct broker_effects *effects;
    struct mdp_limits limits;
    struct inbox inbox;
    struct mdp_reader reader; // of what is in the inbox; a long pack takes some turns
    struct cargo_pool pool;
    struct broker_outbox outbox;
    uint64_t now_ns;
    uint64_t busy_turns;

    pthread_mutex_t stats_lock;
    mdp_broker_stats_t stats;
};

// ---- making one ----------------------------------------------------------------------

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

// config_of fills in the defaults of reliability: every limit has one.
static struct broker_config
config_of(const mdp_broker_options_t *options)
{
    uint64_t message_bytes = options->message_bytes_max;
    uint64_t request_bytes = options->request_bytes_max;
    struct broker_config config = {
        .heartbeat_ms = or_default(options->heartbeat_ms, 2500),
        .liveness = or_default(options->liveness, 3),
        .services_max = or_default(options->services_max, 1024),
        .workers_max = or_default(options->workers_max, 16384),
        .service_workers_max = 1024,
        .requests_max = or_default(options->requests_max, 262144),
        .service_requests_max = 32768,
        .client_requests_max = or_default(options->client_requests_max, 1000),
        .request_bytes_max = request_bytes != 0 ? request_bytes : (uint64_t)1 << 30,
        .answer_bytes_max = message_bytes != 0 ? message_bytes : 1 << 20,
        .answer_frames_max = or_default(options->frames_max, 256),
        .credit_max = or_default(options->credit_max, 1024),
        .attempts = or_default(options->attempts, 3),
        .request_ttl_ms = options->request_ttl_ms,
        .drain_ms = or_default(options->drain_ms, 10000),
    };
    if (config.service_workers_max > config.workers_max)
        config.service_workers_max = config.workers_max;
    return config;
}

// What a line about a fact is: its code, and what its words and its count are called; NULL
// where it has none.
static const struct fact_words {
    const char *code, *why, *count;
    enum log_level level;
} facts[] = {
    [BROKER_WORKER_REGISTERED] = {"MDP-WORKER-REGISTERED", "dialect", "credit", LOG_LEVEL_INFO},
    [BROKER_WORKER_REFUSED] = {"MDP-WORKER-REFUSED", "why", NULL, LOG_LEVEL_WARN},
    [BROKER_WORKER_LEFT] = {"MDP-WORKER-LEFT", "why", "out", LOG_LEVEL_INFO},
    [BROKER_WORKER_LOST] = {"MDP-WORKER-LOST", "why", "out", LOG_LEVEL_WARN},
    [BROKER_REQUEST_REFUSED] = {"MDP-REQUEST-REFUSED", "why", NULL, LOG_LEVEL_INFO},
    [BROKER_REQUEST_GIVEN_UP] = {"MDP-REQUEST-GIVEN-UP", "why", "attempts", LOG_LEVEL_WARN},
    [BROKER_REQUEST_EXPIRED] = {"MDP-REQUEST-EXPIRED", "why", "attempts", LOG_LEVEL_INFO},
    [BROKER_PEER_REJECTED] = {"MDP-PEER-REJECTED", "why", NULL, LOG_LEVEL_WARN},
    [BROKER_DRAINING] = {"MDP-DRAINING", NULL, "out", LOG_LEVEL_INFO},
};

struct line {
    char text[768]; // a service's name, all of it escaped, and the rest
    size_t size;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *self, const char *format, ...)
{
    size_t room = sizeof self->text - self->size;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(self->text + self->size, room, format, arguments);
    va_end(arguments);
    if (size > 0)
        self->size += (size_t)size < room ? (size_t)size : room - 1;
}

// add_name adds ` service="..."`. A peer chose the name: what would end the quotes is
// escaped, or it could write fields of its own.
static void
add_name(struct line *self, struct view name)
{
    add(self, " service=\"");
    for (size_t i = 0; i < name.size; i++) {
        bool is_special = name.data[i] == '"' || name.data[i] == '\\';
        add(self, "%s%c", is_special ? "\\" : "", name.data[i]);
    }
    add(self, "\"");
}

// log_fact writes a line for a fact, with what belongs to it and no other fields. Names
// of services are printable, and routing ids are never shown: peer is a hash.
static void
log_fact(void *context, const struct broker_trace *trace)
{
    (void)context;
    const struct fact_words *words = &facts[trace->fact];
    if (!log_is_on(words->level))
        return;
    struct line line;
    line.size = 0;
    if (trace->worker != 0)
        add(&line, " worker=%llu", (unsigned long long)trace->worker);
    if (trace->peer != 0)
        add(&line, " peer=%08x", (unsigned)trace->peer);
    if (trace->service.size > 0)
        add_name(&line, trace->service);
    if (trace->status != 0)
        add(&line, " status=%u", (unsigned)trace->status);
    if (words->why != NULL && trace->why != NULL)
        add(&line, " %s=\"%s\"", words->why, trace->why);
    if (words->count != NULL)
        add(&line, " %s=%llu", words->count, (unsigned long long)trace->count);
    log_write(words->level, words->code, "%s", line.text + 1);
}

// make_core gives the core its memory: all limits in one piece, of which an idle
// broker touches a few pages.
static bool
make_core(mdp_broker_t *self, const mdp_broker_options_t *options)
{
    struct broker_config config = config_of(options);
    struct broker_service_config *services = calloc(options->service_count + 1, sizeof *services);
    if (services == NULL ||
        getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed) {
        free(services);
        return false;
    }
    for (size_t i = 0; i < options->service_count; i++) {
        const mdp_service_options_t *one = &options->services[i];
        services[i] = (struct broker_service_config){.name = view_of(one->name, strlen(one->name)),
                                                     .attempts = one->attempts,
                                                     .limit_ms = one->limit_ms,
                                                     .requests_max = one->requests_max,
                                                     .may_resume = one->resume};
    }
    config.services = services;
    config.service_count = options->service_count;
    self->memory_bytes = broker_core_bytes(&config);
    self->memory = mmap(NULL, self->memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (self->memory == MAP_FAILED)
        self->memory = NULL;
    else
        self->core = broker_core_init(self->memory, &config, galleon_now_ns());
    free(services);
    if (self->core == NULL)
        return false;
    broker_core_trace(self->core, log_fact, self);
    return true;
}

static bool
watch(mdp_broker_t *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

// make_socket makes the one ROUTER: nothing it cannot deliver is dropped unseen.
static bool
make_socket(mdp_broker_t *self, const mdp_broker_options_t *options)
{
    // libzmq draws the first routing id from the C library's generator.
    unsigned seed;
    if (zsys_init() == NULL || getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return false;
    srand(seed);
    self->handle = sockets_new(ZMQ_ROUTER);
    if (self->handle == NULL)
        return false;
    // libzmq gives back room in steps of half the mark, so only half of it is sure.
    int hwm = (int)or_default(options->credit_max, 1024);
    hwm = 2 * ((hwm > CLIENT_WINDOW ? hwm : CLIENT_WINDOW) + HWM_SPARE);
    sockets_set(self->handle, ZMQ_ROUTER_MANDATORY, 1);
    sockets_set(self->handle, ZMQ_SNDHWM, hwm);
    sockets_set(self->handle, ZMQ_RCVHWM, RECEIVE_MARK);
    sockets_set(self->handle, ZMQ_SNDTIMEO, 0);
    sockets_set(self->handle, ZMQ_LINGER, 0);
    sockets_set(self->handle, ZMQ_BACKLOG, 1024);
    sockets_set(self->handle, ZMQ_HANDSHAKE_IVL, 3000);
    // No ZMTP heartbeats from here: in libzmq 4.3.4 the timer of one ends the process
    // (`!_io_error`) when it finds a connection that ended while its input was stopped.
    // Our own peers beat instead (link.c), and their TTL ends a dead connection here;
    // for all others TCP has to notice.
    sockets_set(self->handle, ZMQ_TCP_MAXRT, PEER_SILENT_MS);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE_IDLE, 2);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE_INTVL, 1);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE_CNT, 3);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE, 1);
    int64_t message_max = (int64_t)self->limits.bytes_max;
    return zmq_setsockopt(self->handle, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max) == 0 &&
           listener_init(&self->listener, self->handle, 0);
}

static bool
make_poll(mdp_broker_t *self)
{
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return self->epoll_fd >= 0 && self->drain_fd >= 0 && watch(self, self->drain_fd) &&
           watch(self, sockets_fd(self->handle)) && watch(self, listener_fd(&self->listener));
}

mdp_broker_t *
mdp_broker_new(const mdp_broker_options_t *options)
{
    static const mdp_broker_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    mdp_broker_t *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->epoll_fd = self->drain_fd = -1;
    self->reader.is_done = true;
    pthread_mutex_init(&self->stats_lock, NULL);
    cargo_pool_init(&self->pool);
    self->limits.frames_max = or_default(options->frames_max, 256);
    self->limits.bytes_max = options->message_bytes_max != 0 ? options->message_bytes_max : 1 << 20;
    self->effects = malloc(sizeof *self->effects);
    if (self->effects == NULL || !make_socket(self, options) || !make_core(self, options) ||
        !make_poll(self) || !inbox_init(&self->inbox, self->limits.frames_max) ||
        !broker_outbox_init(&self->outbox, self->handle, &self->pool,
                            broker_core_routes_max(self->core))) {
        mdp_broker_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- stepping the core -----------------------------------------------------------------

static void
carry_out(mdp_broker_t *self)
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
        }
    }
}

static void
step(mdp_broker_t *self, struct broker_event *event)
{
    event->now_ns = self->now_ns;
    broker_core_step(self->core, event, self->effects);
    carry_out(self);
}

static void
tick(mdp_broker_t *self, enum broker_event_kind kind)
{
    struct broker_event event = {.kind = kind};
    step(self, &event);
}

// give_back tells the core what the socket refused, latest first.
static void
give_back(mdp_broker_t *self)
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
                                     .is_gone = refused.is_gone};
        step(self, &event);
    }
}

// has_cargo: does the record carry something that the core may keep?
static bool
has_cargo(const struct mdp_record *record)
{
    return record->fault == MDP_SOUND &&
           (record->command == MDP_REQUEST || record->command == MDP_PARTIAL ||
            record->command == MDP_FINAL);
}

// on_record hands one record to the core, with its body.
static void
on_record(mdp_broker_t *self, const struct mdp_envelope *from, struct mdp_record *record)
{
    struct broker_event event; // what a RECORD does not have is not set
    event.kind = BROKER_RECORD;
    event.from = from;
    event.record = record;
    event.cargo = NULL;
    event.cargo_bytes = 0;
    if (record->command == MDP_READY)
        event.connection = connection_of(inbox_connection(&self->inbox));
    if (has_cargo(record)) {
        struct cargo *cargo = cargo_of_record(&self->pool, record, &self->inbox);
        if (cargo == NULL) {
            log_error("MDP-OUT-OF-MEMORY", "what=\"body of %zu bytes\"", record->body.bytes);
            record->fault = MDP_OVER_LIMIT;
        } else {
            event.cargo = cargo;
            event.cargo_bytes = cargo_bytes(cargo);
        }
    }
    step(self, &event);
}

// begin_message begins to read what is in the inbox. What cannot be read is one record
// with a fault; returns how many records it handed over.
static size_t
begin_message(mdp_broker_t *self)
{
    struct mdp_reader *reader = &self->reader;
    enum mdp_fault fault = mdp_wire_begin(reader, self->inbox.frames, self->inbox.count,
                                          MDP_TO_BROKER, true, &self->limits);
    if (fault == MDP_SOUND)
        return 0;
    struct mdp_record record = {.fault = fault, .side = reader->side, .dialect = reader->dialect};
    on_record(self, &reader->envelope, &record);
    return 1;
}

// read_on hands records of the message to the core, some at a time so that it can look
// ahead, to the last or until there were `enough`; returns how many.
static size_t
read_on(mdp_broker_t *self, size_t enough)
{
    struct mdp_record records[RECORDS_AHEAD];
    size_t total = 0;
    while (!self->reader.is_done && total < enough) {
        size_t count = 0;
        while (count < RECORDS_AHEAD && mdp_wire_next(&self->reader, &records[count]))
            count++;
        if (count > 1)
            broker_core_look_ahead(self->core, records, count);
        for (size_t i = 0; i < count; i++)
            on_record(self, &self->reader.envelope, &records[i]);
        total += count;
    }
    return total;
}

// ---- the loop -----------------------------------------------------------------------------

static void
publish_stats(mdp_broker_t *self)
{
    const struct broker_stats *stats = broker_core_stats(self->core);
    pthread_mutex_lock(&self->stats_lock);
    self->stats = (mdp_broker_stats_t){.requests_in = stats->requests_in,
                                       .requests_queued = stats->requests_queued,
                                       .requests_in_flight = stats->requests_out,
                                       .replies_out = stats->replies_out,
                                       .requests_refused = stats->requests_refused,
                                       .requests_expired = stats->requests_expired,
                                       .workers_idle = stats->workers_idle,
                                       .workers_busy = stats->workers_busy,
                                       .workers_lost = stats->workers_lost,
                                       .peers_rejected = stats->peers_rejected};
    pthread_mutex_unlock(&self->stats_lock);
}

// drain_socket handles what has arrived, up to a batch: first what the last one left of
// its message, whose frames stay until all of it is read.
static void
drain_socket(mdp_broker_t *self)
{
    size_t records = read_on(self, BATCH_RECORDS);
    bool has_yielded = false;
    // libzmq learns who else has begun to speak when it is asked for events; while it is
    // only received from, that is every hundredth time, and with such messages too late.
    if (records > 0 && self->reader.is_done)
        (void)sockets_events(self->handle);
    for (int i = 0; i < BATCH_MESSAGES && records < BATCH_RECORDS; i++) {
        if (inbox_receive(&self->inbox, self->handle)) {
            records += begin_message(self);
            records += read_on(self, BATCH_RECORDS - records);
        } else if (records >= YIELD_RECORDS && !has_yielded) {
            // Under heavy load libzmq's I/O thread, where it shares our processor, has
            // more that it could not hand over yet: packs get larger if we let it. With
            // less at hand it would only be a delay.
            has_yielded = true;
            sched_yield();
        } else {
            break;
        }
    }
    if (self->reader.is_done)
        inbox_clear(&self->inbox);
}

// turn handles a batch of what has arrived and writes what came of it.
static void
turn(mdp_broker_t *self)
{
    self->now_ns = galleon_now_ns();
    drain_socket(self);
    if (self->is_drain_asked) {
        self->is_drain_asked = false;
        tick(self, BROKER_DRAIN);
    }
    for (int i = 0; i < TICKS_MAX && broker_core_deadline(self->core) <= self->now_ns; i++)
        tick(self, BROKER_TICK);
    broker_outbox_flush(&self->outbox);
    give_back(self);
    publish_stats(self);
    log_catch_up(self->now_ns);
}

// has_input: is there more to read? A socket's descriptor is an edge, not a level, so
// what is there has to be asked for before each wait.
static bool
has_input(mdp_broker_t *self)
{
    return !self->reader.is_done || (sockets_events(self->handle) & ZMQ_POLLIN);
}

static int
wait_ms(const mdp_broker_t *self)
{
    uint64_t deadline_ns = broker_core_deadline(self->core);
    uint64_t now_ns = galleon_now_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t ms = (deadline_ns - now_ns) / 1000000 + 1;
    return ms < WAIT_MS_MAX ? (int)ms : WAIT_MS_MAX;
}

// on_command obeys the actor's owner; false on $TERM or interruption.
static bool
on_command(mdp_broker_t *self)
{
    char *command = NULL, *endpoint = NULL;
    (void)zstr_recvx(self->pipe, &command, &endpoint, NULL);
    bool goes_on = command != NULL && !streq(command, "$TERM");
    if (!goes_on) {
        // leave
    } else if (streq(command, "BIND")) {
        int rc = endpoint == NULL ? GALLEON_REFUSED : mdp_broker_bind(self, endpoint);
        zsock_signal(self->pipe, rc == GALLEON_OK ? 0 : 1);
    } else if (streq(command, "PORT")) {
        const char *endpoint_now = mdp_broker_endpoint(self);
        const char *colon = strrchr(endpoint_now, ':');
        bool has_port = strncmp(endpoint_now, "tcp:", 4) == 0 && colon != NULL;
        zstr_send(self->pipe, has_port ? colon + 1 : "0");
    } else if (streq(command, "DRAIN")) {
        mdp_broker_drain(self);
    } else {
        log_warn("MDP-ACTOR-COMMAND", "unknown=%s", command);
    }
    zstr_free(&command);
    zstr_free(&endpoint);
    return goes_on;
}

// rest waits until there is something to do. False: leave.
static bool
rest(mdp_broker_t *self)
{
    struct epoll_event events[4];
    bool is_busy = has_input(self);
    // Under load other descriptors are looked at now and then.
    if (is_busy && ++self->busy_turns % TURNS_BETWEEN_LOOKS != 0)
        return !zsys_interrupted;
    // The pipe's descriptor is an edge too: it says nothing before the first look.
    while (self->pipe != NULL && (zsock_events(self->pipe) & ZMQ_POLLIN))
        if (!on_command(self))
            return false;
    int count = epoll_wait(self->epoll_fd, events, 4, is_busy ? 0 : wait_ms(self));
    if (zsys_interrupted)
        return false;
    for (int i = 0; i < count; i++) {
        uint64_t times;
        if (events[i].data.fd == self->drain_fd)
            self->is_drain_asked = read(self->drain_fd, &times, sizeof times) > 0;
        else if (events[i].data.fd == listener_fd(&self->listener))
            listener_pump(&self->listener);
    }
    return true;
}

int
mdp_broker_run(mdp_broker_t *self)
{
    // Its descriptor is an edge, which says nothing before the first look.
    listener_pump(&self->listener);
    do {
        turn(self);
        if (self->is_stopped) {
            // What was said last (DISCONNECT to the workers) may go out.
            sockets_set(self->handle, ZMQ_LINGER, 1000);
            return GALLEON_OK;
        }
    } while (rest(self));
    return GALLEON_INTERRUPTED;
}

// ---- the rest of the API ---------------------------------------------------------------

// end_core drains without waiting: workers are told, and what the core still
// carries comes back, so that a leak is a leak.
static void
end_core(mdp_broker_t *self)
{
    self->now_ns = galleon_now_ns();
    tick(self, BROKER_DRAIN);
    while (!self->is_stopped) {
        broker_outbox_flush(&self->outbox);
        give_back(self);
        self->now_ns = broker_core_end_of_drain(self->core, self->now_ns);
        tick(self, BROKER_TICK);
    }
    broker_outbox_flush(&self->outbox);
    give_back(self);
}

void
mdp_broker_destroy(mdp_broker_t **self_p)
{
    mdp_broker_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    if (self->core != NULL && self->outbox.box_of_route != NULL)
        end_core(self);
    broker_outbox_release(&self->outbox);
    inbox_release(&self->inbox);
    cargo_pool_release(&self->pool);
    listener_release(&self->listener);
    sockets_close(&self->handle);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    if (self->drain_fd >= 0)
        close(self->drain_fd);
    if (self->memory != NULL)
        munmap(self->memory, self->memory_bytes);
    free(self->effects);
    pthread_mutex_destroy(&self->stats_lock);
    free(self);
}

int
mdp_broker_bind(mdp_broker_t *self, const char *endpoint)
{
    errno = listener_bind(&self->listener, endpoint);
    return errno == 0 ? GALLEON_OK : GALLEON_REFUSED;
}

const char *
mdp_broker_endpoint(const mdp_broker_t *self)
{
    return listener_endpoint(&self->listener);
}

void
mdp_broker_drain(mdp_broker_t *self)
{
    uint64_t once = 1;
    int saved = errno;
    (void)!write(self->drain_fd, &once, sizeof once);
    errno = saved;
}

void
mdp_broker_stats(const mdp_broker_t *self, mdp_broker_stats_t *stats_out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&self->stats_lock;
    pthread_mutex_lock(lock);
    *stats_out = self->stats;
    pthread_mutex_unlock(lock);
}

void
mdp_broker_actor(zsock_t *pipe, void *options)
{
    mdp_broker_t *self = mdp_broker_new(options);
    if (self != NULL) {
        self->pipe = pipe;
        if (!watch(self, zsock_fd(pipe)))
            mdp_broker_destroy(&self);
    }
    zsock_signal(pipe, self == NULL ? 1 : 0);
    if (self != NULL)
        (void)mdp_broker_run(self);
    mdp_broker_destroy(&self);
}
