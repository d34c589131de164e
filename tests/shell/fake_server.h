// fake_server.h - a ROUTER in a thread of its own that does with plain requests what a test's
// script says.
//
// The script is called for each message, and may reply to it or to any before it, or die.

#ifndef GALLEON_FAKE_SERVER_H
#define GALLEON_FAKE_SERVER_H

#include <czmq.h>

struct fake_server;
typedef void fake_server_script_fn(struct fake_server *self, unsigned number);

enum { FAKE_SERVER_REQUESTS_MAX = 256 };

struct fake_server {
    fake_server_script_fn *script;
    char endpoint[256];

    // Of the messages that came, by number - 1. For the script, and for the test once
    // fake_server_wait has seen them.
    zmsg_t *envelopes[FAKE_SERVER_REQUESTS_MAX]; // routing id and what is in front of the body
    zmsg_t *bodies[FAKE_SERVER_REQUESTS_MAX];

    zactor_t *actor;
    zsock_t *router; // NULL: dead
    zsock_t *pipe;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned requests; // for which the script has returned
};

// fake_server_new binds and starts; `endpoint` may have a wildcard for the port.
struct fake_server *fake_server_new(const char *endpoint, fake_server_script_fn *script);
void fake_server_free(struct fake_server *self);

// fake_server_revive lets one that died serve again, at the same endpoint.
void fake_server_revive(struct fake_server *self);

// fake_server_wait waits until so many requests came; it fails the test after ten seconds.
void fake_server_wait(struct fake_server *self, unsigned requests);

// fake_server_is_same_socket: did both requests come over the same connection?
bool fake_server_is_same_socket(struct fake_server *self, unsigned a, unsigned b);

// ---- for scripts ---------------------------------------------------------------------------

void fake_server_echo(struct fake_server *self, unsigned number);
void fake_server_reply(struct fake_server *self, unsigned number, const char *body);
// fake_server_raw sends these frames to whom that request came from; NULL ends them.
void fake_server_raw(struct fake_server *self, unsigned number, const char *const *frames);
// fake_server_die closes the socket, after what was sent has left.
void fake_server_die(struct fake_server *self, unsigned number);

#endif
