// pair_server.c - a server that is one half of a pair, in its own loop.
//
//     pair_server primary|backup SERVE PAIR-BIND PAIR-PEER [guide | WITNESS RECORD [init]]
//
// A ROUTER answers each request with the name of its role and the request, while this half
// serves; else it says nothing, and its clients try the other half. To ask is a client's vote.
// `guide` is for a peer from the ZeroMQ Guide. On standard output is one line for each change of
// state.

#include <galleon.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
say_change(void *ctx, bstar_state_t was, bstar_state_t is)
{
    (void)ctx;
    printf("%s %s\n", bstar_state_name(was), bstar_state_name(is));
    fflush(stdout);
}

// answer_all answers what is there, as long as this half may.
static void
answer_all(zsock_t *server, bstar_t *half, const char *role)
{
    while (zsock_events(server) & ZMQ_POLLIN) {
        zmsg_t *message = zmsg_recv(server);
        // A fresh look at the clock for each answer: a lease ends when it ends.
        if (message != NULL && bstar_may_serve(half, galleon_now_ns())) {
            zmsg_addstr(message, role);
            zmsg_send(&message, server);
        }
        zmsg_destroy(&message);
    }
}

static int
timeout_ms(uint64_t deadline_ns)
{
    uint64_t now_ns = galleon_now_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t left_ms = (deadline_ns - now_ns) / 1000000 + 1;
    return left_ms < 1000 ? (int)left_ms : 1000;
}

// serve turns until a signal ends it: first the pair, then the clients, then it waits.
static void
serve(zsock_t *server, bstar_t *half, const char *role)
{
    while (!zsys_interrupted) {
        bstar_pump(half, galleon_now_ns());
        answer_all(server, half, role);
        struct pollfd fds[] = {{.fd = bstar_fd(half), .events = POLLIN},
                               {.fd = zsock_fd(server), .events = POLLIN}};
        // A socket's descriptor tells what is new: what is old has to be asked for.
        bool is_busy = zsock_events(server) & ZMQ_POLLIN;
        poll(fds, 2, is_busy ? 0 : timeout_ms(bstar_deadline(half)));
    }
}

// read_options makes options of what stands behind the endpoints; false: that is not to be.
static bool
read_options(bstar_options_t *options, int argc, char **argv)
{
    *options = (bstar_options_t){.on_change = say_change};
    if (argc == 6 && strcmp(argv[5], "guide") == 0) {
        options->guide_peer = true;
    } else if (argc > 6) {
        options->witness = argv[5];
        options->state_file = argv[6];
        options->init = argc > 7;
    }
    return argc == 5 || options->guide_peer || options->witness != NULL;
}

int
main(int argc, char **argv)
{
    bstar_options_t options;
    if (!read_options(&options, argc, argv)) {
        fprintf(stderr, "usage: pair_server primary|backup SERVE PAIR-BIND PAIR-PEER "
                        "[guide | WITNESS RECORD [init]]\n");
        return 2;
    }
    zsock_t *server = zsock_new_router(argv[2]);
    bstar_role_t role = strcmp(argv[1], "primary") == 0 ? BSTAR_PRIMARY : BSTAR_BACKUP;
    bstar_t *half = bstar_new(role, argv[3], argv[4], &options);
    if (server == NULL || half == NULL) {
        perror("pair_server");
        return 1;
    }
    fprintf(stderr, "pair_server: ready on %s\n", zsock_endpoint(server));
    serve(server, half, argv[1]);
    bstar_destroy(&half);
    zsock_destroy(&server);
    return 0;
}
