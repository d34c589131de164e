// galleon/mdp_broker.h - a Majordomo broker you can embed.
//
// It serves 7/MDP, 18/MDP and MDP/G1, and 8/MMI, to clients and workers on one
// socket; brokers/mdbroker.c is a main() around it. One thread runs it: new, bind
// and run belong to that thread, and only drain and stats may be called from
// others.
// Spec: rfc.zeromq.org/spec/7, /8, /18, docs/protocol/mdp-g1.md

#ifndef GALLEON_MDP_BROKER_H
#define GALLEON_MDP_BROKER_H

#include "mdp.h"
#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdp_broker mdp_broker_t;

typedef struct mdp_service_options { // one service; every zero means "the default"
    const char *name;
    uint32_t attempts;     // the broker's; 1: a lost worker's request never runs again
    uint32_t limit_ms;     // processing limit of one attempt; 0: off
    uint32_t requests_max; // 32768 queued for it
    bool resume;           // may be run again after a PARTIAL was passed on
} mdp_service_options_t;

typedef struct mdp_broker_options {        // every zero means "the default"
    uint32_t heartbeat_ms;                 // 2500
    uint32_t liveness;                     // 3
    uint32_t services_max;                 // 1024
    uint32_t workers_max;                  // 16384; 1024 of one service
    uint32_t requests_max;                 // 262144 queued over all services
    uint32_t client_requests_max;          // 1000 queued for one client
    uint64_t request_bytes_max;            // 1 GiB of open requests; beyond it, refuse
    uint64_t message_bytes_max;            // 1 MiB, all frames of a message
    uint32_t frames_max;                   // 256 in a message
    uint32_t credit_max;                   // 1024: most requests out with one worker
    uint32_t attempts;                     // 3: how often a lost worker's request runs
    uint32_t request_ttl_ms;               // 0: a queued request waits for ever
    uint32_t drain_ms;                     // 10000: how long a drain waits for what is out
    const mdp_service_options_t *services; // settings of single services
    size_t service_count;
    struct bstar *bstar;       // borrowed (bstar.h); NULL: not part of a pair
    const char *pair_redirect; // named in 503: the peer's endpoint for clients; NULL: none
} mdp_broker_options_t;

typedef struct mdp_broker_stats { // one consistent snapshot
    uint64_t requests_in, requests_queued, requests_in_flight;
    uint64_t replies_out, requests_refused, requests_expired;
    uint64_t workers_idle, workers_busy, workers_lost, peers_rejected;
} mdp_broker_stats_t;

// mdp_broker_new copies everything it is given, but for the half of a pair, which has to
// live longer than the broker; options may be NULL. NULL with errno ENOMEM if out of
// memory, sockets or descriptors.
//
// With a half of a pair it serves while that is ACTIVE, and run pumps it: nobody else may
// meanwhile. Else requests are answered 503 in G1 and not at all in 0.1 and 0.2; workers
// and mmi are served in every state. What is open when the half ceases to serve is dropped.
GALLEON_API mdp_broker_t *mdp_broker_new(const mdp_broker_options_t *options);
GALLEON_API void mdp_broker_destroy(mdp_broker_t **self_p);

// mdp_broker_bind may be called several times; clients and workers share it. OK,
// or GALLEON_REFUSED: errno says why.
GALLEON_API int mdp_broker_bind(mdp_broker_t *self, const char *endpoint);

// mdp_broker_endpoint is what was bound last, with the real port where a wildcard
// was asked for. It lives until the next bind.
GALLEON_API const char *mdp_broker_endpoint(const mdp_broker_t *self);

// mdp_broker_run serves until it has drained (GALLEON_OK), or until the process is
// interrupted and czmq's signal handler says so (GALLEON_INTERRUPTED).
GALLEON_API int mdp_broker_run(mdp_broker_t *self);

// mdp_broker_drain finishes what is out and accepts nothing new; half of a pair hands over
// first. It is safe from a signal handler and from other threads.
GALLEON_API void mdp_broker_drain(mdp_broker_t *self);

// mdp_broker_stats may be called from any thread.
GALLEON_API void mdp_broker_stats(const mdp_broker_t *self, mdp_broker_stats_t *stats_out);

// For czmq users: zactor_new (mdp_broker_actor, options). Commands: BIND endpoint
// (answered by a signal, 0 where it is bound), PORT (answered by the number as a
// string, "0" where the last endpoint has none), DRAIN, $TERM.
GALLEON_API void mdp_broker_actor(zsock_t *pipe, void *options);

#ifdef __cplusplus
}
#endif

#endif
