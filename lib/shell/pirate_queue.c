// pirate_queue.c - two sockets around pirate_queue_core.
//
// A turn of the loop: take what workers say, up to a batch, and then what clients do, so
// that there is room for it; step the core with each message; the rest is broker_loop's.

#include <galleon/pirate_queue.h>

#include "broker_log.h"
#include "broker_loop.h"
#include "connection.h"
#include "inbox.h"
#include "log.h"
#include "making.h"
#include "pirate_queue_core.h"
#include "sockets.h"

#include <errno.h>
#include <pthread.h>

enum { BATCH_MESSAGES = 256 }; // taken off a socket before anything is written

struct pirate_queue {
    struct broker_loop loop;
    struct broker_door doors[PIRATE_SOCKETS];
    void *pipe; // of the actor, NULL where there is none
    enum pirate_dialect dialect;
    struct mdp_limits limits;
    struct inbox inbox;
    enum pirate_fault fault; // of the message that is being read

    pthread_mutex_t stats_lock;
    pirate_queue_stats_t stats;
};

// ---- making one ----------------------------------------------------------------------

// config_of fills in the defaults: every limit has one.
static struct pirate_queue_config
config_of(const pirate_queue_options_t *options)
{
    uint64_t message_bytes = options->message_bytes_max;
    uint64_t request_bytes = options->request_bytes_max;
    return (struct pirate_queue_config){
        .dialect = options->simple ? PIRATE_SIMPLE : PIRATE_PARANOID,
        .heartbeat_ms = or_default(options->heartbeat_ms, 1000),
        .liveness = or_default(options->liveness, 3),
        .workers_max = or_default(options->workers_max, 16384),
        .requests_max = or_default(options->requests_max, 262144),
        .client_requests_max = or_default(options->client_requests_max, 1000),
        .request_bytes_max = request_bytes != 0 ? request_bytes : (uint64_t)1 << 30,
        .message_bytes_max = message_bytes != 0 ? message_bytes : MDP_MESSAGE_BYTES_MAX,
        .frames_max = or_default(options->frames_max, 256),
        .attempts = or_default(options->attempts, 3),
        .limit_ms = options->limit_ms,
        .request_ttl_ms = options->request_ttl_ms,
        .drain_ms = or_default(options->drain_ms, 10000),
    };
}

// log_fact says what is wrong with a message in a pirate's words.
static void
log_fact(void *context, const struct broker_trace *trace)
{
    const pirate_queue_t *self = context;
    struct broker_trace ours = *trace;
    if (trace->fact == BROKER_PEER_REJECTED)
        ours.why = pirate_fault_text(self->fault);
    broker_log_pirate(NULL, &ours);
}

static bool
make_loop(pirate_queue_t *self, const struct pirate_queue_config *config)
{
    struct pirate_queue_settings settings;
    pirate_queue_core_configure(&settings, config);
    if (!broker_loop_init(&self->loop, &settings.broker))
        return false;
    broker_core_trace(self->loop.core, log_fact, self);
    return broker_loop_open(&self->loop, self->doors, PIRATE_SOCKETS, settings.broker.manners);
}

pirate_queue_t *
pirate_queue_new(const pirate_queue_options_t *options)
{
    static const pirate_queue_options_t defaults = {0};
    struct pirate_queue_config config = config_of(options == NULL ? &defaults : options);
    pirate_queue_t *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    broker_loop_blank(&self->loop);
    pthread_mutex_init(&self->stats_lock, NULL);
    self->dialect = config.dialect;
    self->limits.frames_max = config.frames_max;
    self->limits.bytes_max = config.message_bytes_max;
    // The doors first: without a descriptor left for them libzmq says so, and later it does not.
    bool is_made = true;
    for (int i = 0; is_made && i < PIRATE_SOCKETS; i++)
        is_made = broker_door_init(&self->doors[i], config.message_bytes_max, DOOR_CLIENT_WINDOW);
    if (!is_made || !make_loop(self, &config) ||
        !inbox_init(&self->inbox, self->limits.frames_max)) {
        pirate_queue_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- reading ---------------------------------------------------------------------------

// is_new_worker: may the message make a worker of its peer? Only then the connection is asked
// for: that is a system call.
static bool
is_new_worker(pirate_queue_t *self, const struct mdp_envelope *from,
              const struct mdp_record *record)
{
    if (record->command == MDP_READY)
        return true;
    return self->dialect == PIRATE_SIMPLE && record->command == MDP_FINAL &&
           !broker_core_has_worker(self->loop.core, from);
}

static void
on_message(pirate_queue_t *self, const struct pirate_message *message, enum pirate_socket socket)
{
    struct mdp_envelope from;
    struct mdp_record record;
    pirate_queue_core_record(message, socket, &from, &record);
    struct broker_event event; // what a RECORD does not have is not set
    event.kind = BROKER_RECORD;
    event.from = &from;
    event.record = &record;
    event.cargo = NULL;
    event.cargo_bytes = 0;
    event.connection = (struct broker_connection){0};
    if (is_new_worker(self, &from, &record))
        event.connection = connection_of(inbox_connection(&self->inbox));
    if (message->body.count > 0) {
        struct cargo *cargo = cargo_of_record(&self->loop.pool, &record, &self->inbox);
        if (cargo == NULL) {
            log_error("PIRATE-OUT-OF-MEMORY", "what=\"body of %zu bytes\"", record.body.bytes);
            self->fault = PIRATE_OVER_LIMIT;
            record.fault = MDP_OVER_LIMIT;
        } else {
            event.cargo = cargo;
            event.cargo_bytes = cargo_bytes(cargo);
        }
    }
    broker_loop_step(&self->loop, &event);
}

// drain_door handles what has arrived at a socket, up to a batch.
static void
drain_door(pirate_queue_t *self, enum pirate_socket socket)
{
    const struct inbox *inbox = &self->inbox;
    for (int i = 0; i < BATCH_MESSAGES; i++) {
        if (!inbox_receive(&self->inbox, self->doors[socket].handle))
            break;
        struct pirate_message message;
        if (socket == PIRATE_FRONTEND)
            self->fault =
                pirate_wire_read_client(&message, inbox->frames, inbox->count, &self->limits);
        else
            self->fault = pirate_wire_read_worker(&message, self->dialect, inbox->frames,
                                                  inbox->count, &self->limits);
        on_message(self, &message, socket);
    }
    inbox_clear(&self->inbox);
}

// ---- the loop -----------------------------------------------------------------------------

static void
publish_stats(pirate_queue_t *self)
{
    const struct broker_stats *stats = broker_core_stats(self->loop.core);
    uint64_t queue_limit = stats->refused_queue_limit + stats->refused_service_queue_limit;
    pthread_mutex_lock(&self->stats_lock);
    self->stats = (pirate_queue_stats_t){.requests_in = stats->requests_in,
                                         .requests_queued = stats->requests_queued,
                                         .requests_in_flight = stats->requests_out,
                                         .replies_out = stats->replies_out,
                                         .replies_late = stats->answers_late,
                                         .replies_too_large = stats->answers_too_large,
                                         .redeliveries = stats->redeliveries,
                                         .requests_given_up = stats->requests_given_up,
                                         .requests_expired = stats->requests_expired,
                                         .requests_refused = stats->requests_refused,
                                         .refused_queue_limit = queue_limit,
                                         .refused_client_limit = stats->refused_client_limit,
                                         .refused_bytes_limit = stats->refused_bytes_limit,
                                         .refused_draining = stats->refused_draining,
                                         .clients_gone = stats->client_gone,
                                         .clients_slow = stats->client_slow,
                                         .workers_idle = stats->workers_idle,
                                         .workers_busy = stats->workers_busy,
                                         .workers_lost = stats->workers_lost,
                                         .workers_refused = stats->workers_refused,
                                         .peers_rejected = stats->peers_rejected};
    pthread_mutex_unlock(&self->stats_lock);
}

static void
turn(void *object)
{
    pirate_queue_t *self = object;
    broker_loop_begin_turn(&self->loop);
    drain_door(self, PIRATE_BACKEND);
    drain_door(self, PIRATE_FRONTEND);
    broker_loop_end_turn(&self->loop);
    publish_stats(self);
}

static bool
has_input(void *object)
{
    pirate_queue_t *self = object;
    int events = 0;
    for (int i = 0; i < PIRATE_SOCKETS; i++)
        events |= sockets_events(self->doors[i].handle);
    return events & ZMQ_POLLIN;
}

// bind_as_told binds for the actor's owner, and tells it whether it is bound.
static void
bind_as_told(pirate_queue_t *self, enum pirate_socket socket, const char *endpoint)
{
    bool is_bound =
        endpoint != NULL && broker_door_bind(&self->doors[socket], endpoint) == GALLEON_OK;
    zsock_signal(self->pipe, is_bound ? 0 : 1);
}

// on_command obeys the actor's owner; false on $TERM or interruption.
static bool
on_command(void *object)
{
    pirate_queue_t *self = object;
    char *command = NULL, *endpoint = NULL;
    (void)zstr_recvx(self->pipe, &command, &endpoint, NULL);
    bool goes_on = command != NULL && !streq(command, "$TERM");
    if (!goes_on) {
        // leave
    } else if (streq(command, "FRONTEND")) {
        bind_as_told(self, PIRATE_FRONTEND, endpoint);
    } else if (streq(command, "BACKEND")) {
        bind_as_told(self, PIRATE_BACKEND, endpoint);
    } else if (streq(command, "ENDPOINTS")) {
        zstr_sendx(self->pipe, pirate_queue_frontend(self), pirate_queue_backend(self), NULL);
    } else if (streq(command, "DRAIN")) {
        pirate_queue_drain(self);
    } else {
        log_warn("PIRATE-ACTOR-COMMAND", "unknown=%s", command);
    }
    zstr_free(&command);
    zstr_free(&endpoint);
    return goes_on;
}

int
pirate_queue_run(pirate_queue_t *self)
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
pirate_queue_destroy(pirate_queue_t **self_p)
{
    pirate_queue_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    broker_loop_release(&self->loop);
    inbox_release(&self->inbox);
    for (int i = 0; i < PIRATE_SOCKETS; i++)
        broker_door_release(&self->doors[i]);
    pthread_mutex_destroy(&self->stats_lock);
    free(self);
}

int
pirate_queue_bind_frontend(pirate_queue_t *self, const char *endpoint)
{
    return broker_door_bind(&self->doors[PIRATE_FRONTEND], endpoint);
}

int
pirate_queue_bind_backend(pirate_queue_t *self, const char *endpoint)
{
    return broker_door_bind(&self->doors[PIRATE_BACKEND], endpoint);
}

const char *
pirate_queue_frontend(const pirate_queue_t *self)
{
    return listener_endpoint(&self->doors[PIRATE_FRONTEND].listener);
}

const char *
pirate_queue_backend(const pirate_queue_t *self)
{
    return listener_endpoint(&self->doors[PIRATE_BACKEND].listener);
}

void
pirate_queue_drain(pirate_queue_t *self)
{
    broker_loop_drain(&self->loop);
}

void
pirate_queue_stats(const pirate_queue_t *self, pirate_queue_stats_t *stats_out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&self->stats_lock;
    pthread_mutex_lock(lock);
    *stats_out = self->stats;
    pthread_mutex_unlock(lock);
}

void
pirate_queue_actor(zsock_t *pipe, void *options)
{
    pirate_queue_t *self = pirate_queue_new(options);
    if (self != NULL) {
        self->pipe = pipe;
        if (!broker_loop_watch(&self->loop, zsock_fd(pipe)))
            pirate_queue_destroy(&self);
    }
    zsock_signal(pipe, self == NULL ? 1 : 0);
    if (self != NULL)
        (void)pirate_queue_run(self);
    pirate_queue_destroy(&self);
}
