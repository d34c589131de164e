// galleon/pirate_worker.h - serve a Paranoid or a Simple Pirate queue.
//
// One request at a time, one thread per worker. It reconnects and beats by itself, whenever
// you are inside recv, reply or pump. It works with Galleon's ppqueue and spqueue, with the
// Guide's, and with any that gives out requests in an envelope.
// Spec: rfc.zeromq.org/spec/6, docs/protocol/pirates.md

#ifndef GALLEON_PIRATE_WORKER_H
#define GALLEON_PIRATE_WORKER_H

#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pirate_worker pirate_worker_t;

typedef struct pirate_worker_options { // every zero means "the default"
    bool simple;                       // a Simple Pirate queue: there are no heartbeats
    uint32_t heartbeat_ms;             // 1000
    uint32_t liveness;                 // 3 silent intervals: the queue is lost
    uint32_t reconnect_ms_min;         // 100, doubled after each failure
    uint32_t reconnect_ms_max;         // 10000
    uint64_t message_bytes_max;        // 1 MiB; the queue's --max-message
    // Replies that were handed over and are known not to have been delivered. It is called
    // from within recv, reply, pump or destroy.
    void (*on_lost)(void *ctx, uint32_t replies);
    void *ctx;
} pirate_worker_options_t;

typedef struct pirate_worker_stats {
    uint64_t requests;      // that you were given
    uint64_t requests_gone; // not begun when their connection ended
    uint64_t replies;       // that a socket took
    uint64_t replies_late;  // of them, over another connection than their request's
    uint64_t replies_lost;  // known not to have been delivered
    uint64_t connections;   // to the queue, in all
    uint64_t connections_lost;
    uint64_t silences;   // of them, because a Paranoid queue was silent for too long
    uint64_t breaches;   // of them, because the queue broke the protocol
    uint64_t heartbeats; // of the queue
    uint64_t faults;     // messages that were dropped because they made no sense
} pirate_worker_stats_t;

// pirate_worker_new copies everything it is given. NULL with errno ENOMEM, or EINVAL where
// the endpoint is none. It does not wait for a queue to be there.
GALLEON_API pirate_worker_t *pirate_worker_new(const char *queue,
                                               const pirate_worker_options_t *options);
// pirate_worker_destroy gives a reply that no socket has taken a second to go, and leaves.
// There is no word for it on this wire: a Galleon queue sees the connection end, and gives a
// request that was not replied to to another worker.
GALLEON_API void pirate_worker_destroy(pirate_worker_t **self_p);

// pirate_worker_recv waits for a request. The caller owns it. NULL means the process was
// interrupted: destroy the worker and leave. A request that was not replied to before the next
// recv has failed: nobody waits for it for ever.
GALLEON_API zmsg_t *pirate_worker_recv(pirate_worker_t *self);
// pirate_worker_reply ends the request last received. Takes *reply_p whatever it returns.
// GALLEON_OK: handed over; it says nothing about arrival, because no pirate confirms an
// answer. An answer found undelivered later is reported through on_lost.
// GALLEON_UNKNOWN_ID: there is no request to reply to. GALLEON_NO_MEMORY, or GALLEON_REFUSED
// where the answer is larger than message_bytes_max (with 4 bytes for each frame and 512 for
// what stands around it): the request has failed.
GALLEON_API int pirate_worker_reply(pirate_worker_t *self, zmsg_t **reply_p);
// pirate_worker_fail ends it with a text for people. There are no errors on this wire: the
// text is the answer's one frame. Returns as pirate_worker_reply does.
GALLEON_API int pirate_worker_fail(pirate_worker_t *self, const char *text);

// For your own loop: poll pirate_worker_fd() until pirate_worker_deadline(), then pump until
// *request_out is NULL: nothing more for you now. After each call on the object the deadline
// may be "now". It returns GALLEON_OK, and gives the next request when the last was replied
// to.
GALLEON_API int pirate_worker_fd(pirate_worker_t *self);
GALLEON_API uint64_t pirate_worker_deadline(const pirate_worker_t *self);
GALLEON_API int pirate_worker_pump(pirate_worker_t *self, uint64_t now_ns, zmsg_t **request_out);

GALLEON_API void pirate_worker_stats(const pirate_worker_t *self, pirate_worker_stats_t *stats_out);

#ifdef __cplusplus
}
#endif

#endif
