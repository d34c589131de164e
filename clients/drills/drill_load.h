// drill_load.h - a client that checks: each reply is what it must be, each request is accounted
// for.
//
// A load is a thread with a connection and a window of its own. Its tables are its own until it
// has ended; what the drill looks at before are its counters, and times.

#ifndef GALLEON_DRILL_LOAD_H
#define GALLEON_DRILL_LOAD_H

#include "drill_job.h"

#include <galleon/mdp_client.h>

#include <pthread.h>
#include <stdatomic.h>

enum { DRILL_REQUESTS_MAX = 50000 };

struct drill_load_options {
    const char *endpoint;
    const char *service;
    uint32_t window;
    uint32_t requests; // 0: until it is told to stop
    uint32_t work_ms;
    bool may_hold;
    bool may_be_refused; // 429 is an answer that this load expects
    bool is_pirate;      // of a pirate queue: of `client` it has the timeout and the attempts
    mdp_client_options_t client;
};

struct drill_request {
    uint64_t id; // of the call; 0: not open
    uint64_t sent_ns;
    uint64_t ended_ns;
    uint32_t worker; // that answered
    uint64_t epoch;  // under which, 0: it was not told
    int result;
    int status;
    bool is_wrong; // an answer, and not to this
};

struct drill_load {
    struct drill_load_options options;
    uint32_t number;
    pthread_t thread;
    bool is_started;
    atomic_bool is_stopping; // it sends nothing more
    atomic_bool is_aborted;  // it waits for nothing more
    atomic_bool is_over;     // nothing is open
    _Atomic uint32_t answered;
    _Atomic uint32_t ended;          // answered or not
    _Atomic uint64_t first_ended_ns; // 0: none yet
    _Atomic uint64_t answer_sent_ns; // when the request was sent that was answered last
    _Atomic uint32_t stray;          // answers that nobody waited for any more, to a pirate
    struct drill_request *requests;
    uint32_t sent;
};

// drill_load_start begins; false: there is no thread or no memory for it. The number is
// another for each load of a drill.
bool drill_load_start(struct drill_load *self, uint32_t number,
                      const struct drill_load_options *options);
// drill_load_tell makes it send nothing more; is_over then says when all that is open has been
// answered or given up. drill_load_end waits for nothing of that, only for the thread.
void drill_load_tell(struct drill_load *self);
void drill_load_end(struct drill_load *self);
void drill_load_release(struct drill_load *self);

// ---- what its clients are made of ----------------------------------------------------------

// drill_load_make_job is what a request of this number asks for; drill_load_may_send is true as
// long as there is another one to be sent.
void drill_load_make_job(const struct drill_load *self, uint32_t request, struct drill_job *job);
bool drill_load_may_send(struct drill_load *self);
// drill_load_note takes down how a request ended; a reply, its frames alone, is checked.
void drill_load_note(struct drill_load *self, struct drill_request *request, int result, int status,
                     zmsg_t *reply);
// drill_pirate_load_run is the client of a pirate queue.
void drill_pirate_load_run(struct drill_load *self);

static inline uint64_t
drill_load_key(const struct drill_load *self, uint32_t request)
{
    return (uint64_t)self->number << 32 | request;
}

#endif
