// broker_stage.h - an embedded broker in a thread, and raw peers around it.
//
// Peers are DEALER sockets that write and read records with mdp_wire and know nothing
// else: no library of ours stands between a test and what is on the wire. Whoever waits
// waits for something, and fails the test after ten seconds.

#ifndef GALLEON_BROKER_STAGE_H
#define GALLEON_BROKER_STAGE_H

#include "inbox.h"
#include "mdp_wire.h"

#include <czmq.h>
#include <galleon/mdp_broker.h>
#include <pthread.h>

// ---- the broker ------------------------------------------------------------------------------

struct stage {
    mdp_broker_options_t options;
    const char *bind; // may have a wildcard
    char endpoint[256];
    mdp_broker_t *broker;
    int result; // of mdp_broker_run
    bool is_up;
    bool is_over;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

// stage_open starts a broker that serves at `bind`; stage_close drains and ends it.
void stage_open(struct stage *self, const char *bind, const mdp_broker_options_t *options);
void stage_close(struct stage *self);
// stage_join waits until mdp_broker_run has returned, and returns what it did.
int stage_join(struct stage *self);

// stage_wait waits until `is_so` says so of the broker's statistics.
typedef bool stage_test_fn(const mdp_broker_stats_t *stats, uint64_t value);
void stage_wait(struct stage *self, stage_test_fn *is_so, uint64_t value);

// ---- peers -------------------------------------------------------------------------------------

struct peer {
    zsock_t *socket;
    mdp_dialect_t dialect;
    bool has_delimiter;
    struct inbox inbox;
    struct mdp_reader reader;
    size_t messages; // read
    char body[8192]; // of the record that was read last, frames joined by '|'
};

// peer_open connects a DEALER; rcvhwm 0 is no limit.
void peer_open(struct peer *self, const char *endpoint, mdp_dialect_t dialect, int rcvhwm);
void peer_close(struct peer *self);

// peer_send writes one record in a message of its own; a body is frames joined by '|',
// NULL: none.
void peer_send(struct peer *self, struct mdp_record record, const char *body);
// peer_send_pack writes many G1 records in one message.
void peer_send_pack(struct peer *self, const struct mdp_record *records, size_t count);

// peer_read reads the next record; false when there is none for that long.
bool peer_read(struct peer *self, struct mdp_record *record_out, int timeout_ms);
// peer_expect reads on until a record with this command comes.
struct mdp_record peer_expect(struct peer *self, enum mdp_command command);

void peer_ready(struct peer *self, const char *service, uint32_t credit);
void peer_request(struct peer *self, const char *service, uint64_t id, const char *body);
void peer_answer(struct peer *self, const struct mdp_record *request, const char *body);
// peer_is_served: a call to `service`, whose worker is `worker`, makes its round.
bool peer_is_served(struct peer *self, struct peer *worker, const char *service);

#endif
