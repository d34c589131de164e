// galleon/pirate_queue.h - a Simple or Paranoid Pirate queue you can embed.
//
// Clients come to its frontend, workers to its backend; who has been idle for longest gets
// the next request. brokers/ppqueue.c and spqueue.c are a main() around it. A worker that is
// lost does not lose its request: another is given it, so a request may run more than once.
// One thread runs it: new, bind and run belong to that thread, and only drain and stats may
// be called from others.
// Spec: rfc.zeromq.org/spec/6, docs/protocol/pirates.md

#ifndef GALLEON_PIRATE_QUEUE_H
#define GALLEON_PIRATE_QUEUE_H

#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pirate_queue pirate_queue_t;

typedef struct pirate_queue_options { // every zero means "the default"
    bool simple;                      // false: Paranoid Pirate, true: Simple Pirate, no heartbeats
    uint32_t heartbeat_ms;            // 1000; simple: how often busy workers are looked at
    uint32_t liveness;                // 3 silent intervals: an idle worker is lost
    uint32_t workers_max;             // 16384
    uint32_t requests_max;            // 262144 queued
    uint32_t client_requests_max;     // 1000 queued for one client
    uint64_t request_bytes_max;       // 1 GiB of open requests; beyond it, refuse
    uint64_t message_bytes_max;       // 1 MiB, all frames of a message
    uint32_t frames_max;              // 256 in a message
    uint32_t attempts;                // 3: how often a lost worker's request runs
    uint32_t limit_ms;                // 0: an attempt may take for ever; else its worker is lost
    uint32_t request_ttl_ms;          // 0: a queued request waits for ever
    uint32_t drain_ms;                // 10000: how long a drain waits for what is out
} pirate_queue_options_t;

typedef struct pirate_queue_stats { // one consistent snapshot
    uint64_t requests_in, requests_queued, requests_in_flight;
    uint64_t replies_out, replies_late, replies_too_large;
    uint64_t redeliveries, requests_given_up, requests_expired;
    uint64_t requests_refused; // for one of the four that follow
    uint64_t refused_queue_limit, refused_client_limit, refused_bytes_limit, refused_draining;
    uint64_t clients_gone, clients_slow; // replies that could not be delivered
    uint64_t workers_idle, workers_busy, workers_lost, workers_refused, peers_rejected;
} pirate_queue_stats_t;

// pirate_queue_new copies everything it is given; options may be NULL. NULL with errno ENOMEM
// if out of memory, sockets or descriptors.
GALLEON_API pirate_queue_t *pirate_queue_new(const pirate_queue_options_t *options);
GALLEON_API void pirate_queue_destroy(pirate_queue_t **self_p);

// pirate_queue_bind_frontend is for clients, pirate_queue_bind_backend for workers. Each may be
// called several times. OK, or GALLEON_REFUSED: errno says why.
GALLEON_API int pirate_queue_bind_frontend(pirate_queue_t *self, const char *endpoint);
GALLEON_API int pirate_queue_bind_backend(pirate_queue_t *self, const char *endpoint);

// pirate_queue_frontend and pirate_queue_backend are what was bound last, with the real port
// where a wildcard was asked for. They live until the next bind.
GALLEON_API const char *pirate_queue_frontend(const pirate_queue_t *self);
GALLEON_API const char *pirate_queue_backend(const pirate_queue_t *self);

// pirate_queue_run serves until it has drained (GALLEON_OK), or until the process is interrupted
// and czmq's signal handler says so (GALLEON_INTERRUPTED).
GALLEON_API int pirate_queue_run(pirate_queue_t *self);

// pirate_queue_drain finishes what is out and accepts nothing new. It is safe from a signal
// handler and from other threads.
GALLEON_API void pirate_queue_drain(pirate_queue_t *self);

// pirate_queue_stats may be called from any thread.
GALLEON_API void pirate_queue_stats(const pirate_queue_t *self, pirate_queue_stats_t *stats_out);

// For czmq users: zactor_new (pirate_queue_actor, options). Commands: FRONTEND endpoint and
// BACKEND endpoint bind (answered by a signal, 0 where it is bound), ENDPOINTS (answered by what
// was bound last of each, two strings), DRAIN, $TERM.
GALLEON_API void pirate_queue_actor(zsock_t *pipe, void *options);

#ifdef __cplusplus
}
#endif

#endif
