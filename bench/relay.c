// relay.c - the floor: what any ZeroMQ intermediary costs that does nothing.
//
// A ROUTER for clients, a DEALER for workers, and libzmq's own proxy between
// them, without high-water marks. It knows no protocol, no service and no limit,
// so whatever a broker is slower by is the price of what the broker does.
//
// Usage: relay CLIENT-ENDPOINT WORKER-ENDPOINT

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static void
fail(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(EXIT_FAILURE);
}

// bind_socket makes a socket and says in `bound_out` where it is bound.
static void *
bind_socket(void *context, int type, const char *endpoint, char *bound_out, size_t size)
{
    int no_limit = 0;
    void *socket = zmq_socket(context, type);
    if (socket == NULL)
        fail("no socket");
    zmq_setsockopt(socket, ZMQ_SNDHWM, &no_limit, sizeof no_limit);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &no_limit, sizeof no_limit);
    if (zmq_bind(socket, endpoint) != 0)
        fail(endpoint);
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound_out, &size);
    return socket;
}

int
main(int argc, char **argv)
{
    char clients_at[256] = "";
    char workers_at[256] = "";
    if (argc != 3) {
        fprintf(stderr, "usage: relay CLIENT-ENDPOINT WORKER-ENDPOINT\n");
        return 2;
    }
    void *context = zmq_ctx_new();
    void *clients = bind_socket(context, ZMQ_ROUTER, argv[1], clients_at, sizeof clients_at);
    void *workers = bind_socket(context, ZMQ_DEALER, argv[2], workers_at, sizeof workers_at);
    fprintf(stderr, "relay: ready on %s %s\n", clients_at, workers_at);
    zmq_proxy(clients, workers, NULL); // until a signal ends the process
    return EXIT_FAILURE;
}
