// galleon/lazy_pirate.h - a request client that retries: close, reopen, resend, give up.
//
// For any server with a REP or a ROUTER socket, and for queues in front of such: it sends what
// a REQ socket sends. With several endpoints it is failover without a broker: the next server is
// asked where one does not reply, and stays in use as long as it does. One thread per client, one
// call at a time, never more than one socket. A retry may run the work twice: make it idempotent.
// Spec: docs/protocol/pirates.md (the ZeroMQ Guide, chapter 4)

#ifndef GALLEON_LAZY_PIRATE_H
#define GALLEON_LAZY_PIRATE_H

#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lazy_pirate lazy_pirate_t;

typedef struct lazy_pirate_options { // every zero means "the default"
    uint32_t timeout_ms;             // 2500, for one attempt: to be connected, and to be answered
    uint32_t attempts;               // 3; 1 means never retry
    uint32_t backoff_ms_max;         // retry at once; else wait when the whole list has failed
    uint64_t jitter_seed;            // taken from the system
    // Each attempt but the first, before it connects. Not to be called back from.
    void (*on_retry)(void *ctx, const char *endpoint, uint32_t attempt);
    void *ctx;
    uint32_t deadline_ms; // none; bounds the whole call, whatever the attempts
    bool request_ids;     // replies name their request: for servers that echo the envelope
} lazy_pirate_options_t;

typedef struct lazy_pirate_stats {
    uint64_t calls, replies, given_up;
    uint64_t requests_sent;     // attempts that left
    uint64_t timeouts;          // attempts that ended by their time
    uint64_t cuts;              // connections that were lost
    uint64_t unreached;         // connections that were not made, so that another was tried
    uint64_t replies_stale;     // dropped: nobody waited for them
    uint64_t replies_malformed; // dropped: not what answers a REQ socket
} lazy_pirate_stats_t;

// lazy_pirate_new copies everything it is given, and connects when it is first used. Endpoints
// are tried in turn, so a Binary Star pair is {"primary", "backup"}. NULL if out of memory, or
// with errno EINVAL where there is none, one is none, or there are more than 32.
//
// The pause of backoff_ms_max is up to 100 ms, doubled with each round through the list.
//
// With request_ids the envelope is that of ZMQ_REQ_CORRELATE, and a server that replies twice
// is told apart. A REP returns it as it is; the Guide's queues do not know it. Without, a reply
// that nobody waits for costs its connection, and one that comes twice while the next is waited
// for cannot be told.
GALLEON_API lazy_pirate_t *lazy_pirate_new(const char *const *endpoints, size_t endpoint_count,
                                           const lazy_pirate_options_t *options);
GALLEON_API void lazy_pirate_destroy(lazy_pirate_t **self_p);

// lazy_pirate_call asks and waits. Takes *request_p whatever it returns; the caller owns
// *reply_out when it returns GALLEON_OK, else *reply_out is NULL. A request without frames is
// sent as one empty frame.
//
// GALLEON_TIMED_OUT: no reply; every attempt was used up, or the deadline came.
// GALLEON_INTERRUPTED: by a signal. GALLEON_NO_MEMORY: there was a reply, and no room for it.
GALLEON_API int lazy_pirate_call(lazy_pirate_t *self, zmsg_t **request_p, zmsg_t **reply_out);

// lazy_pirate_stats counts since the beginning.
GALLEON_API void lazy_pirate_stats(const lazy_pirate_t *self, lazy_pirate_stats_t *stats_out);

#ifdef __cplusplus
}
#endif

#endif
