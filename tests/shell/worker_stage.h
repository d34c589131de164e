// worker_stage.h - a worker, and a broker that does what the test tells it.
//
// One thread: whoever waits for the other pumps it. The broker is a ROUTER and knows
// the last worker that said something.

#ifndef GALLEON_WORKER_STAGE_H
#define GALLEON_WORKER_STAGE_H

#include "inbox.h"
#include "packer.h"
#include "place.h"

#include <galleon/mdp_worker.h>

enum {
    STAGE_TAKEN_MAX = 4096,
    STAGE_MS_MAX = 20000 // nobody waits longer
};

struct stage {
    struct place place;
    zsock_t *router;
    struct inbox inbox;
    struct mdp_reader reader;
    bool is_reading;
    size_t messages; // read by the broker
    struct packer packer;
    struct cargo_pool pool;

    mdp_dialect_t dialect;
    uint8_t id[256];
    size_t id_size;

    mdp_worker_t *worker;
    mdp_worker_options_t options;
    mdp_request_t *taken[STAGE_TAKEN_MAX]; // by the worker, not given to the test yet
    size_t taken_count;
    uint32_t lost; // as on_lost said
};

// stage_new makes a broker on "tcp", "ipc" or "inproc", and options for a worker that
// speaks this dialect. `first` of a test's brokers makes a folder where it needs one.
struct stage *stage_new(const char *transport, mdp_dialect_t dialect);
void stage_free(struct stage *self);

// stage_work makes the worker, of service echo; stage_serve also lets it say READY and
// answers with HEARTBEAT.
void stage_work(struct stage *self);
void stage_serve(struct stage *self);

// stage_hear is the next record that the broker gets; its views are good until the next.
struct mdp_record stage_hear(struct stage *self);
// stage_expect is the same, and lets heartbeats go by until this command.
struct mdp_record stage_expect(struct stage *self, enum mdp_command command);
// stage_hears: does anything but a heartbeat come within so many milliseconds?
bool stage_hears(struct stage *self, int ms);

// stage_say sends one record to the worker; stage_pack puts one into a pack, which
// stage_send sends. Body: frames parted by |, NULL for none.
void stage_say(struct stage *self, struct mdp_record record, const char *body);
void stage_pack(struct stage *self, struct mdp_record record, const char *body);
void stage_send(struct stage *self);
struct mdp_record stage_request(const struct stage *self, uint32_t number);
struct mdp_record stage_command(const struct stage *self, enum mdp_command command);

// stage_take is the next request that the worker gives its application.
mdp_request_t *stage_take(struct stage *self);
// stage_pump lets the worker do what it can do now.
void stage_pump(struct stage *self);

// stage_text joins the frames of a body with |, in memory of its own.
const char *stage_text(const struct mdp_body *body);
const char *stage_message_text(zmsg_t *message);
zmsg_t *stage_message(const char *text);

// stage_stop ends the broker, stage_restart brings it back where it was.
void stage_stop(struct stage *self);
void stage_restart(struct stage *self);

#endif
