// load_redis.c - durable work through Redis: what the strongest peer does with the same load.
//
//   load_redis submit|durable --port N [--window N] [--body BYTES] [--seconds N] [--workers N]
//
// submit: XADD, pipelined over one connection, as many in flight as the window. durable: the same,
// and workers, each a thread with a connection, that take up to 100 by XREADGROUP, then
// acknowledge and delete them together (XACK, XDEL); a request is done once its worker has both
// answers. At the end the stream is counted: it holds every request that was acknowledged, or
// none that was done.

#include "load_peer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAKE_MAX = 100, BLOCK_MS = 200, ID_BYTES = 48, GRACE_MS = 5000, RING_WINDOWS = 64 };

// A request in flight, at its number modulo the places.
struct place {
    uint64_t started_ns;
    _Atomic uint64_t number; // plus one; 0: nobody's
};

struct run {
    struct peer_options options;
    struct place *places;
    uint64_t ring; // places: many windows, as workers end out of order
    uint8_t *body;
    uint64_t sent, acked;
    sem_t free_places;     // durable
    _Atomic uint64_t done; // durable
    _Atomic uint64_t wrong;
    atomic_bool is_over;
    uint64_t stop_ns, ended_ns;
};

struct worker {
    struct run *run;
    uint32_t number;
    pthread_t thread;
    struct peer peer;
    struct load_histogram latencies;
};

// ---- RESP -------------------------------------------------------------------------------

// take_head reads the first line of a reply of this type, and returns its number.
static long long
take_head(struct peer *peer, char type)
{
    char *line = peer_take_line(peer);
    if (line[0] != type)
        peer_die("Redis says \"%s\" where %c was due", line, type);
    return strtoll(line + 1, NULL, 10);
}

// take_bulk reads a string of at most `limit` bytes, and returns how many it has.
static size_t
take_bulk(struct peer *peer, void *out, size_t limit)
{
    long long count = take_head(peer, '$');
    if (count < 0 || (size_t)count > limit)
        peer_die("Redis sends a string of %lld bytes", count);
    memcpy(out, peer_take(peer, (size_t)count + 2), (size_t)count);
    return (size_t)count;
}

static void
put_word(struct peer *peer, const char *word)
{
    peer_print(peer, "$%zu\r\n%s\r\n", strlen(word), word);
}

static long long
ask_number(struct peer *peer, const char *command)
{
    peer_print(peer, "%s\r\n", command);
    peer_flush(peer);
    return take_head(peer, ':');
}

// ---- submit -----------------------------------------------------------------------------

// submit_one puts one request, whose body begins with its number.
static void
submit_one(struct run *run, struct peer *peer, uint64_t now_ns)
{
    uint32_t size = run->options.body_bytes;
    struct place *place = &run->places[run->sent % run->ring];
    place->started_ns = now_ns;
    if (atomic_exchange(&place->number, run->sent + 1) != 0)
        atomic_fetch_add(&run->wrong, 1);
    memcpy(run->body, &run->sent, sizeof run->sent);
    peer_print(peer, "*5\r\n$4\r\nXADD\r\n$4\r\njobs\r\n$1\r\n*\r\n$1\r\nb\r\n$%u\r\n", size);
    peer_put(peer, run->body, size);
    peer_put(peer, "\r\n", 2);
    run->sent++;
}

static bool
may_send(const struct run *run, uint64_t now_ns)
{
    uint64_t requests = run->options.requests;
    return requests > 0 ? run->sent < requests : now_ns < run->stop_ns;
}

// take_acks waits for one acknowledgement, and takes all that are there.
static void
take_acks(struct run *run, struct peer *peer, struct load_histogram *latencies)
{
    char id[ID_BYTES];
    do {
        take_bulk(peer, id, sizeof id);
        struct place *place = &run->places[run->acked++ % run->ring];
        if (latencies != NULL) {
            load_histogram_note(latencies, peer_now_ns() - place->started_ns);
            atomic_store(&place->number, 0);
        }
    } while (peer_has_more(peer) && run->acked < run->sent);
}

static void
submit(struct run *run, struct peer *peer, struct load_histogram *latencies)
{
    for (;;) {
        uint64_t now_ns = peer_now_ns();
        while (may_send(run, now_ns) && run->sent - run->acked < run->options.window)
            submit_one(run, peer, now_ns);
        if (run->sent == run->acked)
            break;
        peer_flush(peer);
        take_acks(run, peer, latencies);
    }
    run->ended_ns = peer_now_ns();
}

// ---- durable ----------------------------------------------------------------------------

// finish_one notes that a request is done; twice, or one that was never sent, is wrong.
static void
finish_one(struct worker *self, uint64_t number, uint64_t now_ns)
{
    struct run *run = self->run;
    struct place *place = &run->places[number % run->ring];
    uint64_t started_ns = place->started_ns;
    uint64_t expected = number + 1;
    if (!atomic_compare_exchange_strong(&place->number, &expected, 0)) {
        atomic_fetch_add(&run->wrong, 1);
        return;
    }
    load_histogram_note(&self->latencies, now_ns - started_ns);
    atomic_fetch_add(&run->done, 1);
    sem_post(&run->free_places);
}

// take_jobs reads what XREADGROUP says; 0: nothing was there.
static size_t
take_jobs(struct worker *self, char (*ids)[ID_BYTES], uint64_t *numbers)
{
    struct peer *peer = &self->peer;
    char name[ID_BYTES];
    uint8_t *body = peer_allocate(self->run->options.body_bytes);
    long long streams = take_head(peer, '*');
    size_t count = 0;
    if (streams > 0) {
        take_head(peer, '*');
        take_bulk(peer, name, sizeof name);
        count = (size_t)take_head(peer, '*');
    }
    for (size_t i = 0; i < count && i < TAKE_MAX; i++) {
        take_head(peer, '*');
        ids[i][take_bulk(peer, ids[i], ID_BYTES - 1)] = '\0';
        take_head(peer, '*');
        take_bulk(peer, name, sizeof name);
        take_bulk(peer, body, self->run->options.body_bytes);
        memcpy(&numbers[i], body, sizeof numbers[i]);
    }
    free(body);
    return count;
}

static void
acknowledge(struct worker *self, char (*ids)[ID_BYTES], size_t count)
{
    struct peer *peer = &self->peer;
    peer_print(peer, "*%zu\r\n$4\r\nXACK\r\n$4\r\njobs\r\n$1\r\ng\r\n", count + 3);
    for (size_t i = 0; i < count; i++)
        put_word(peer, ids[i]);
    peer_print(peer, "*%zu\r\n$4\r\nXDEL\r\n$4\r\njobs\r\n", count + 2);
    for (size_t i = 0; i < count; i++)
        put_word(peer, ids[i]);
    peer_flush(peer);
    for (int answer = 0; answer < 2; answer++)
        if (take_head(peer, ':') != (long long)count)
            atomic_fetch_add(&self->run->wrong, 1);
}

static void *
work(void *argument)
{
    struct worker *self = argument;
    char ids[TAKE_MAX][ID_BYTES];
    uint64_t numbers[TAKE_MAX];
    while (!atomic_load(&self->run->is_over)) {
        peer_print(&self->peer, "XREADGROUP GROUP g w%u COUNT %d BLOCK %d STREAMS jobs >\r\n",
                   self->number, TAKE_MAX, BLOCK_MS);
        peer_flush(&self->peer);
        size_t count = take_jobs(self, ids, numbers);
        if (count == 0)
            continue;
        acknowledge(self, ids, count);
        uint64_t now_ns = peer_now_ns();
        for (size_t i = 0; i < count; i++)
            finish_one(self, numbers[i], now_ns);
    }
    return NULL;
}

// wait_for_place waits a second at most: then it is seen whether the time is over.
static void
wait_for_place(struct run *run)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (sem_timedwait(&run->free_places, &until) == 0)
        sem_post(&run->free_places);
}

// produce submits while the window has room, and reads the acknowledgements.
static void
produce(struct run *run, struct peer *peer)
{
    for (;;) {
        uint64_t now_ns = peer_now_ns();
        uint64_t before = run->sent;
        while (may_send(run, now_ns) &&
               atomic_load(&run->places[run->sent % run->ring].number) == 0 &&
               sem_trywait(&run->free_places) == 0)
            submit_one(run, peer, now_ns);
        peer_flush(peer);
        if (run->sent > run->acked)
            take_acks(run, peer, NULL);
        else if (!may_send(run, now_ns))
            return;
        else if (run->sent == before)
            wait_for_place(run);
    }
}

static void
durable(struct run *run, struct peer *peer, struct load_histogram *latencies)
{
    struct worker *workers = peer_allocate(run->options.workers * sizeof *workers);
    for (uint32_t i = 0; i < run->options.workers; i++) {
        workers[i].run = run;
        workers[i].number = i;
        peer_connect(&workers[i].peer, &run->options);
        if ((errno = pthread_create(&workers[i].thread, NULL, work, &workers[i])) != 0)
            peer_die("a thread: %s", strerror(errno));
    }
    produce(run, peer);
    uint64_t give_up_ns = peer_now_ns() + GRACE_MS * 1000000ull;
    while (atomic_load(&run->done) < run->sent && peer_now_ns() < give_up_ns)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    run->ended_ns = peer_now_ns(); // workers that wait for more take a while to end
    atomic_store(&run->is_over, true);
    run->acked = atomic_load(&run->done);
    for (uint32_t i = 0; i < run->options.workers; i++) {
        pthread_join(workers[i].thread, NULL);
        load_histogram_add(latencies, &workers[i].latencies);
        peer_close(&workers[i].peer);
    }
    free(workers);
}

// ---- all of it --------------------------------------------------------------------------

static uint64_t
difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

int
main(int argc, char **argv)
{
    struct run run = {0};
    peer_options_parse(&run.options, argc, argv);
    bool is_durable = strcmp(run.options.work, "durable") == 0;
    if (!is_durable && strcmp(run.options.work, "submit") != 0)
        peer_die("%s: neither submit nor durable", run.options.work);
    run.ring = (uint64_t)run.options.window * RING_WINDOWS;
    run.places = peer_allocate(run.ring * sizeof *run.places);
    run.body = peer_allocate(run.options.body_bytes);
    memset(run.body, 'x', run.options.body_bytes);
    sem_init(&run.free_places, 0, run.options.window);
    struct peer peer;
    peer_connect(&peer, &run.options);
    ask_number(&peer, "DEL jobs");
    peer_print(&peer, "XGROUP CREATE jobs g $ MKSTREAM\r\n");
    peer_flush(&peer);
    if (strcmp(peer_take_line(&peer), "+OK") != 0)
        peer_die("Redis makes no group");

    struct peer_result result = {.latencies = peer_allocate(sizeof *result.latencies)};
    result.began_ns = peer_now_ns();
    run.stop_ns = result.began_ns + run.options.seconds * 1000000000ull;
    (is_durable ? durable : submit)(&run, &peer, result.latencies);
    result.ended_ns = run.ended_ns;
    result.done = run.acked;
    uint64_t there = (uint64_t)ask_number(&peer, "XLEN jobs");
    result.lost = difference(there, is_durable ? 0 : run.sent) + (run.sent - run.acked) +
                  atomic_load(&run.wrong);
    int code = peer_report(&run.options, &result);
    peer_close(&peer);
    sem_destroy(&run.free_places);
    free(result.latencies);
    free(run.places);
    free(run.body);
    return code;
}
