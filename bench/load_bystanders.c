// load_bystanders.c - one thread that looks at all bystanders four times a second.
//
// It does not wait on their sockets: a thousand descriptors in a poll would cost
// more than what comes over them.

#include "load_bystanders.h"

#include "load_g1.h"
#include "load_socket.h"

#include <stdio.h>
#include <unistd.h>

enum {
    LOOK_MS = 250,
    LOOKS = LOAD_HEARTBEAT_MS / LOOK_MS - 1, // between two heartbeats of a worker
    TTL_MS = 3600000,                        // the broker caps it
    WAITING_MAX = 500,                       // for each client: a broker has a limit of its own
    NAME_BYTES = 32
};

#define IDLE_SERVICE "idle"

// ---- services with a request waiting ----------------------------------------------

static void
send_request(void *socket, uint64_t id, const char *service)
{
    static const uint8_t bytes[100];
    struct view body = view_of(bytes, sizeof bytes);
    struct mdp_record request = {.dialect = MDP_G1,
                                 .side = MDP_CLIENT_SIDE,
                                 .command = MDP_REQUEST,
                                 .id = id,
                                 .ttl_ms = TTL_MS,
                                 .service = view_of(service, strlen(service)),
                                 .body = mdp_body_of(&body, 1)};
    load_g1_send_record(socket, &request);
}

// take_answers counts what was answered, and says whether `awaited` was among it.
static bool
take_answers(struct load_bystanders *self, void *client, uint64_t awaited, int flags)
{
    struct load_message message;
    bool has_come = false;
    while (!has_come && load_receive(&message, client, flags)) {
        struct mdp_reader reader;
        struct mdp_record record;
        load_g1_begin(&reader, &message);
        while (load_g1_next(&reader, &record)) {
            has_come |= record.id == awaited;
            self->answered += record.id != awaited;
        }
        load_message_release(&message);
    }
    return has_come;
}

// begin_waiting asks something the broker answers itself after all that will
// wait: when the answer is there, they wait.
static void
begin_waiting(struct load_bystanders *self)
{
    const struct load_options *options = self->run->options;
    uint64_t until_ns = load_now_ns() + LOAD_ACCEPT_MS * 1000000ull;
    uint32_t count = (options->waiting_services + WAITING_MAX - 1) / WAITING_MAX;
    self->clients = load_allocate(count * sizeof *self->clients);
    for (uint32_t i = 0; i < options->waiting_services; i++) {
        char name[NAME_BYTES];
        if (i % WAITING_MAX == 0)
            self->clients[self->client_count++] =
                load_socket_connect(self->run, options->clients_to);
        snprintf(name, sizeof name, "waiting-%05u", i);
        send_request(self->clients[i / WAITING_MAX], i + 1, name);
    }
    for (uint32_t i = 0; i < count; i++) {
        send_request(self->clients[i], UINT64_MAX, "mmi.ping");
        while (!take_answers(self, self->clients[i], UINT64_MAX, 0))
            if (load_now_ns() > until_ns)
                load_fail("the broker did not take %u waiting requests", options->waiting_services);
    }
}

// ---- idle workers -------------------------------------------------------------------

static void
beat(void *socket)
{
    struct mdp_record heartbeat = {.dialect = MDP_G1,
                                   .side = MDP_WORKER_SIDE,
                                   .command = MDP_HEARTBEAT,
                                   .interval_ms = LOAD_HEARTBEAT_MS};
    load_g1_send_record(socket, &heartbeat);
}

// look_at takes what the broker said to one worker.
static void
look_at(struct load_bystanders *self, uint32_t at, uint64_t now_ns)
{
    struct load_message message;
    while (load_receive(&message, self->workers[at], ZMQ_DONTWAIT)) {
        struct mdp_reader reader;
        struct mdp_record record;
        load_g1_begin(&reader, &message);
        while (load_g1_next(&reader, &record))
            self->lost += record.command == MDP_DISCONNECT;
        load_message_release(&message);
        if (self->beat_ns[at] == 0) {
            self->accepted++;
            self->beat_ns[at] = now_ns + (at % LOOKS + 1) * LOOK_MS * 1000000ull;
        }
    }
    if (self->beat_ns[at] != 0 && now_ns >= self->beat_ns[at]) {
        beat(self->workers[at]);
        self->beat_ns[at] += LOOKS * LOOK_MS * 1000000ull;
    }
}

static void
look_at_all(struct load_bystanders *self)
{
    uint64_t now_ns = load_now_ns();
    for (uint32_t i = 0; i < self->run->options->idle_workers; i++)
        look_at(self, i, now_ns);
}

static void
begin_idle(struct load_bystanders *self)
{
    const struct load_options *options = self->run->options;
    uint64_t until_ns = load_now_ns() + LOAD_ACCEPT_MS * 1000000ull;
    if (options->idle_workers == 0)
        return;
    self->workers = load_allocate(options->idle_workers * sizeof *self->workers);
    self->beat_ns = load_allocate(options->idle_workers * sizeof *self->beat_ns);
    for (uint32_t i = 0; i < options->idle_workers; i++) {
        self->workers[i] = load_socket_connect(self->run, options->workers_to);
        load_g1_send_ready(self->workers[i], IDLE_SERVICE, 1, LOAD_HEARTBEAT_MS);
    }
    while (self->accepted < options->idle_workers) {
        look_at_all(self);
        usleep(10000);
        if (load_now_ns() > until_ns)
            load_fail("the broker took %llu of %u idle workers", (unsigned long long)self->accepted,
                      options->idle_workers);
    }
}

// ---- all of them ----------------------------------------------------------------------

static void *
stand_by(void *argument)
{
    struct load_bystanders *self = argument;
    begin_waiting(self);
    begin_idle(self);
    sem_post(&self->run->accepted);
    while (!atomic_load(&self->run->is_ending)) {
        look_at_all(self);
        usleep(LOOK_MS * 1000);
    }
    for (uint32_t i = 0; i < self->client_count; i++) {
        take_answers(self, self->clients[i], 0, ZMQ_DONTWAIT);
        load_socket_close(self->clients[i]);
    }
    for (uint32_t i = 0; i < self->run->options->idle_workers; i++)
        load_socket_close(self->workers[i]);
    return NULL;
}

void
load_bystanders_begin(struct load_bystanders *self, struct load_run *run)
{
    *self = (struct load_bystanders){.run = run};
    if (run->options->waiting_services == 0 && run->options->idle_workers == 0)
        return;
    if (pthread_create(&self->thread, NULL, stand_by, self) != 0)
        load_fail("no thread");
    self->is_started = true;
    while (sem_wait(&run->accepted) != 0)
        continue;
}

void
load_bystanders_end(struct load_bystanders *self)
{
    if (self->is_started)
        pthread_join(self->thread, NULL);
    free(self->clients);
    free(self->workers);
    free(self->beat_ns);
}
