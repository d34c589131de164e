// lazy_load.c - what a Lazy Pirate client costs, and how long it takes to leave a server.
//
//     lazy_load latency ENDPOINT CALLS           beside a bare REQ socket
//     lazy_load failover FIRST SECOND BODY TIMEOUT-MS CALLS
//
// latency: the two take turns, call by call, so that whatever else the machine does meets both.
// Each writes a request of a hundred bytes and reads the reply, which is compared; the bare
// socket with libzmq's own zmq_send and zmq_recv, and without any timeout.
//
// failover: a new client for each call. A call of BODY is made once FIRST has replied to another
// (nothing is, where BODY is x: then FIRST is not there), and its reply is SECOND's.

#include "load_histogram.h"

#include <galleon/lazy_pirate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_BYTES = 100, WARM_UP = 200 };

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "lazy_load: %s\n", what);
    exit(EXIT_FAILURE);
}

static const char *
reply_of(zmsg_t *reply, size_t *size_out)
{
    zframe_t *frame = zmsg_first(reply);
    if (zmsg_size(reply) != 1)
        fail("a reply of more than a frame");
    *size_out = zframe_size(frame);
    return (const char *)zframe_data(frame);
}

static uint64_t
call_lazy(lazy_pirate_t *client, const char *body, size_t size)
{
    uint64_t from_ns = galleon_now_ns();
    zmsg_t *request = zmsg_new();
    zmsg_addmem(request, body, size);
    zmsg_t *reply;
    if (lazy_pirate_call(client, &request, &reply) != GALLEON_OK)
        fail("no reply");
    uint64_t took_ns = galleon_now_ns() - from_ns;
    size_t reply_size;
    const char *bytes = reply_of(reply, &reply_size);
    if (reply_size != size || memcmp(bytes, body, size) != 0)
        fail("another reply");
    zmsg_destroy(&reply);
    return took_ns;
}

static uint64_t
call_bare(void *socket, const char *body)
{
    char reply[BODY_BYTES];
    uint64_t from_ns = galleon_now_ns();
    if (zmq_send(socket, body, BODY_BYTES, 0) != BODY_BYTES ||
        zmq_recv(socket, reply, sizeof reply, 0) != BODY_BYTES)
        fail("no reply to the bare socket");
    uint64_t took_ns = galleon_now_ns() - from_ns;
    if (memcmp(reply, body, BODY_BYTES) != 0)
        fail("another reply to the bare socket");
    return took_ns;
}

static void
print(const char *name, const struct load_histogram *times)
{
    printf("%s_p50_us=%.3f %s_p99_us=%.3f ", name, (double)load_histogram_at(times, 0.5) / 1e3,
           name, (double)load_histogram_at(times, 0.99) / 1e3);
}

static void
measure_latency(const char *endpoint, unsigned calls)
{
    static struct load_histogram lazy, bare;
    lazy_pirate_t *client = lazy_pirate_new(&endpoint, 1, NULL);
    zsock_t *req = zsock_new_req(endpoint);
    if (client == NULL || req == NULL)
        fail("no client");
    void *socket = zsock_resolve(req);
    char body[BODY_BYTES];
    memset(body, 'x', sizeof body);
    for (unsigned i = 0; i < WARM_UP + calls; i++) {
        memcpy(body, &i, sizeof i);
        uint64_t bare_ns = call_bare(socket, body);
        uint64_t lazy_ns = call_lazy(client, body, sizeof body);
        if (i < WARM_UP)
            continue;
        load_histogram_note(&bare, bare_ns);
        load_histogram_note(&lazy, lazy_ns);
    }
    print("bare", &bare);
    print("lazy", &lazy);
    printf("calls=%u\n", calls);
    zsock_destroy(&req);
    lazy_pirate_destroy(&client);
}

static void
measure_failover(const char *const *endpoints, const char *body, uint32_t timeout_ms,
                 unsigned calls)
{
    static struct load_histogram times;
    lazy_pirate_options_t options = {.timeout_ms = timeout_ms};
    uint64_t most_ns = 0;
    for (unsigned i = 0; i < calls; i++) {
        lazy_pirate_t *client = lazy_pirate_new(endpoints, 2, &options);
        if (client == NULL)
            fail("no client");
        if (strcmp(body, "x") != 0)
            call_lazy(client, "hello", 5);
        uint64_t took_ns = call_lazy(client, body, strlen(body));
        load_histogram_note(&times, took_ns);
        if (took_ns > most_ns)
            most_ns = took_ns;
        lazy_pirate_destroy(&client);
    }
    print("failover", &times);
    printf("failover_max_us=%.3f calls=%u\n", (double)most_ns / 1e3, calls);
}

int
main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "latency") == 0) {
        measure_latency(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    } else if (argc == 7 && strcmp(argv[1], "failover") == 0) {
        const char *endpoints[] = {argv[2], argv[3]};
        measure_failover(endpoints, argv[4], (uint32_t)strtoul(argv[5], NULL, 10),
                         (unsigned)strtoul(argv[6], NULL, 10));
    } else {
        fprintf(stderr, "usage: lazy_load latency ENDPOINT CALLS\n"
                        "       lazy_load failover FIRST SECOND BODY TIMEOUT-MS CALLS\n");
        return 2;
    }
    return 0;
}
