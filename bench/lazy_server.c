// lazy_server.c - what a Lazy Pirate client is measured with: a REP that echoes.
//
// With --odd a ROUTER that echoes, but for two bodies: S, which it never replies to, and K, at
// which it hangs up on everybody and listens anew.
//
// Usage: lazy_server [--odd] ENDPOINT

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { FRAMES_MAX = 8 };

static void
fail(const char *what)
{
    fprintf(stderr, "lazy_server: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(EXIT_FAILURE);
}

// bind_socket makes a socket and writes into *endpoint where it is bound. A port that was just
// closed may be in use for a moment.
static void *
bind_socket(void *context, int type, char *endpoint, size_t size)
{
    int no_time = 0;
    void *socket = zmq_socket(context, type);
    if (socket == NULL)
        fail("no socket");
    zmq_setsockopt(socket, ZMQ_LINGER, &no_time, sizeof no_time);
    while (zmq_bind(socket, endpoint) != 0)
        if (zmq_errno() != EADDRINUSE)
            fail(endpoint);
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size);
    return socket;
}

static size_t
receive(void *socket, zmq_msg_t *frames)
{
    size_t count = 0;
    do {
        zmq_msg_init(&frames[count]);
        if (count == FRAMES_MAX - 1 || zmq_msg_recv(&frames[count++], socket, 0) < 0)
            fail("receive");
    } while (zmq_msg_more(&frames[count - 1]));
    return count;
}

static bool
is_word(zmq_msg_t *frame, char word)
{
    return zmq_msg_size(frame) == 1 && *(char *)zmq_msg_data(frame) == word;
}

int
main(int argc, char **argv)
{
    bool is_odd = argc > 1 && strcmp(argv[1], "--odd") == 0;
    char endpoint[256] = "";
    if (argc != 2 + is_odd) {
        fprintf(stderr, "usage: lazy_server [--odd] ENDPOINT\n");
        return 2;
    }
    snprintf(endpoint, sizeof endpoint, "%s", argv[1 + is_odd]);
    void *context = zmq_ctx_new();
    int type = is_odd ? ZMQ_ROUTER : ZMQ_REP;
    void *socket = bind_socket(context, type, endpoint, sizeof endpoint);
    fprintf(stderr, "lazy_server: ready on %s\n", endpoint);
    for (;;) { // until a signal ends the process
        zmq_msg_t frames[FRAMES_MAX];
        size_t count = receive(socket, frames);
        bool hangs_up = is_odd && is_word(&frames[count - 1], 'K');
        bool is_silent = hangs_up || (is_odd && is_word(&frames[count - 1], 'S'));
        for (size_t i = 0; i < count; i++) {
            if (!is_silent)
                zmq_msg_send(&frames[i], socket, i + 1 < count ? ZMQ_SNDMORE : 0);
            zmq_msg_close(&frames[i]);
        }
        if (hangs_up) {
            zmq_close(socket);
            socket = bind_socket(context, type, endpoint, sizeof endpoint);
        }
    }
}
