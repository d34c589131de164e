// mdp_broker.c - the socket around broker_core.
//
// A turn of the loop: take what has arrived, up to a batch, which may end within a message;
// step the core with each record; then broker_loop ticks, writes what came of it, one message
// for each G1 peer, and gives back what was refused. Nobody waits to fill a pack.

#include <galleon/mdp_broker.h>

#include "broker_log.h"
#include "broker_loop.h"
#include "broker_pair.h"
#include "connection.h"
#include "inbox.h"
#include "log.h"
#include "making.h"
#include "sockets.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

enum {
    BATCH_MESSAGES = 256, // taken off the socket before anything is written
    RECORDS_AHEAD = 16,   // of one message, read before the core is stepped with them
    BATCH_RECORDS = 4096, // the same, in records; a long pack is left for the next turn
    YIELD_RECORDS = 512   // with so many at hand it lets libzmq fetch more, once
};

struct mdp_broker {
    struct broker_loop loop;
    struct broker_pair pair; // pair.half is NULL where there is none
    struct broker_door door;
    void *pipe; // of the actor, NULL where there is none
    struct mdp_limits limits;
    struct inbox inbox;
    struct mdp_reader reader; // of what is in the inbox; a long pack takes some turns

    pthread_mutex_t stats_lock;
    mdp_broker_stats_t stats;
};

// ---- making one ----------------------------------------------------------------------

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
        .is_paired = options->bstar != NULL,
    };
    if (config.service_workers_max > config.workers_max)
        config.service_workers_max = config.workers_max;
    return config;
}

// make_loop makes the core with the settings of single services.
static bool
make_loop(mdp_broker_t *self, const mdp_broker_options_t *options)
{
    struct broker_config config = config_of(options);
    struct broker_service_config *services = calloc(options->service_count + 1, sizeof *services);
    if (services == NULL)
        return false;
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
    bool is_made = broker_loop_init(&self->loop, &config);
    free(services);
    if (is_made)
        broker_core_trace(self->loop.core, broker_log_majordomo, NULL);
    return is_made;
}

// window_of is the largest number of messages to one peer that it has not read yet.
static uint32_t
window_of(const mdp_broker_options_t *options)
{
    uint32_t credit = or_default(options->credit_max, 1024);
    return credit > DOOR_CLIENT_WINDOW ? credit : DOOR_CLIENT_WINDOW;
}

static bool
join_pair(mdp_broker_t *self, const mdp_broker_options_t *options)
{
    return options->bstar == NULL ||
           broker_pair_init(&self->pair, &self->loop, options->bstar, options->pair_redirect);
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
    broker_loop_blank(&self->loop);
    self->reader.is_done = true;
    pthread_mutex_init(&self->stats_lock, NULL);
    self->limits.frames_max = or_default(options->frames_max, 256);
    self->limits.bytes_max = options->message_bytes_max != 0 ? options->message_bytes_max : 1 << 20;
    // The door first: without a descriptor left for it libzmq says so, and later it does not.
    if (!broker_door_init(&self->door, self->limits.bytes_max, window_of(options)) ||
        !make_loop(self, options) ||
        !broker_loop_open(&self->loop, &self->door, 1, BROKER_MAJORDOMO) ||
        !inbox_init(&self->inbox, self->limits.frames_max) || !join_pair(self, options)) {
        mdp_broker_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- reading ---------------------------------------------------------------------------

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
        struct cargo *cargo = cargo_of_record(&self->loop.pool, record, &self->inbox);
        if (cargo == NULL) {
            log_error("MDP-OUT-OF-MEMORY", "what=\"body of %zu bytes\"", record->body.bytes);
            record->fault = MDP_OVER_LIMIT;
        } else {
            event.cargo = cargo;
            event.cargo_bytes = cargo_bytes(cargo);
        }
    }
    if (self->pair.half == NULL)
        broker_loop_step(&self->loop, &event);
    else
        broker_pair_step(&self->pair, &event, &self->inbox);
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
            broker_core_look_ahead(self->loop.core, records, count);
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
    const struct broker_stats *stats = broker_core_stats(self->loop.core);
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
        (void)sockets_events(self->door.handle);
    for (int i = 0; i < BATCH_MESSAGES && records < BATCH_RECORDS; i++) {
        if (inbox_receive(&self->inbox, self->door.handle)) {
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
turn(void *object)
{
    mdp_broker_t *self = object;
    if (self->pair.half == NULL) {
        broker_loop_begin_turn(&self->loop);
        drain_socket(self);
        broker_loop_end_turn(&self->loop);
    } else {
        broker_pair_begin_turn(&self->pair);
        drain_socket(self);
        broker_pair_end_turn(&self->pair);
    }
    publish_stats(self);
}

static bool
has_input(void *object)
{
    mdp_broker_t *self = object;
    return !self->reader.is_done || (sockets_events(self->door.handle) & ZMQ_POLLIN);
}

// on_command obeys the actor's owner; false on $TERM or interruption.
static bool
on_command(void *object)
{
    mdp_broker_t *self = object;
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

int
mdp_broker_run(mdp_broker_t *self)
{
    const struct broker_owner owner = {.self = self,
                                       .turn = turn,
                                       .has_input = has_input,
                                       .pipe = self->pipe,
                                       .on_command = on_command};
    return broker_loop_run(&self->loop, &owner);
}

// ---- the rest of the API ---------------------------------------------------------------

void
mdp_broker_destroy(mdp_broker_t **self_p)
{
    mdp_broker_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    broker_loop_release(&self->loop);
    broker_pair_release(&self->pair);
    inbox_release(&self->inbox);
    broker_door_release(&self->door);
    pthread_mutex_destroy(&self->stats_lock);
    free(self);
}

int
mdp_broker_bind(mdp_broker_t *self, const char *endpoint)
{
    return broker_door_bind(&self->door, endpoint);
}

const char *
mdp_broker_endpoint(const mdp_broker_t *self)
{
    return listener_endpoint(&self->door.listener);
}

void
mdp_broker_drain(mdp_broker_t *self)
{
    broker_loop_drain(&self->loop);
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
        if (!broker_loop_watch(&self->loop, zsock_fd(pipe)))
            mdp_broker_destroy(&self);
    }
    zsock_signal(pipe, self == NULL ? 1 : 0);
    if (self != NULL)
        (void)mdp_broker_run(self);
    mdp_broker_destroy(&self);
}
