// fake_broker.h - a ROUTER in a thread of its own that does what a test's script says.
//
// For each record that arrives the script is called, and may answer with the functions
// below. It answers mmi.dialects as `dialects` says, beats of clients, and counts.

#ifndef GALLEON_FAKE_BROKER_H
#define GALLEON_FAKE_BROKER_H

#include "inbox.h"
#include "mdp_wire.h"

#include <czmq.h>
#include <pthread.h>

struct fake_broker;
typedef void fake_script_fn(struct fake_broker *self, const struct mdp_record *record);

enum fake_mmi {
    FAKE_GALLEON, // 200 and its dialects
    FAKE_MMI,     // 501
    FAKE_SILENT   // no MMI at all
};

struct fake_counts {
    unsigned messages;
    unsigned requests; // but for mmi.dialects
    unsigned cancels;
    unsigned beats;
    unsigned questions;
};

struct fake_broker {
    fake_script_fn *script;
    void *context; // the script's own
    enum fake_mmi mmi;
    char endpoint[256];

    // Of the message that the script is called for.
    struct view route;
    bool has_delimiter;
    unsigned number; // of the request, from 1

    pthread_t thread;
    zsock_t *pipe; // the test's end
    zsock_t *commands;
    zsock_t *router;
    struct inbox inbox;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fake_counts counts;
};

// fake_broker_new binds and starts; `endpoint` may have a wildcard for the port.
struct fake_broker *fake_broker_new(const char *endpoint, enum fake_mmi mmi, fake_script_fn *script,
                                    void *context);
void fake_broker_free(struct fake_broker *self);

// fake_broker_down closes the socket, fake_broker_up binds one at the same endpoint.
void fake_broker_down(struct fake_broker *self);
void fake_broker_up(struct fake_broker *self);

// fake_broker_play gives it another script.
void fake_broker_play(struct fake_broker *self, fake_script_fn *script);

struct fake_counts fake_broker_counts(struct fake_broker *self);
// fake_broker_wait waits until so many requests or cancels came; it fails the test after
// ten seconds.
void fake_broker_wait_requests(struct fake_broker *self, unsigned requests);
void fake_broker_wait_cancels(struct fake_broker *self, unsigned cancels);

// ---- for scripts ---------------------------------------------------------------------------

// fake_echo answers a request with its own body, in its dialect.
void fake_echo(struct fake_broker *self, const struct mdp_record *record);
// fake_answer answers with one frame of text and a status.
void fake_answer(struct fake_broker *self, const struct mdp_record *record, uint16_t status,
                 uint16_t parts, const char *body);
void fake_part(struct fake_broker *self, const struct mdp_record *record, uint32_t seq,
               const char *body);
// fake_send sends a record in its dialect to the client that is being served.
void fake_send(struct fake_broker *self, const struct mdp_record *record);
// fake_raw sends frames as they are.
void fake_raw(struct fake_broker *self, const struct view *frames, size_t count);

#endif
