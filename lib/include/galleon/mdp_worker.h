// galleon/mdp_worker.h - serve one Majordomo service.
//
// One thread per worker and its requests. It reconnects and beats by itself,
// whenever you are inside recv, take or pump. In G1 it answers in packs: what
// you reply is written before the next wait, or when 64 KiB have gathered.
// Use recv and reply, or take and mdp_request, not both on one worker.
// Spec: rfc.zeromq.org/spec/7, rfc.zeromq.org/spec/18, docs/protocol/mdp-g1.md

#ifndef GALLEON_MDP_WORKER_H
#define GALLEON_MDP_WORKER_H

#include "mdp.h"
#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdp_worker mdp_worker_t;
typedef struct mdp_request mdp_request_t;

typedef struct mdp_worker_options { // every zero means "the default"
    uint32_t heartbeat_ms;          // 2500
    uint32_t liveness;              // 3 silent intervals: broker is lost
    uint32_t reconnect_ms_min;      // 100, doubled after each failure
    uint32_t reconnect_ms_max;      // 10000
    uint32_t credit;                // 1: requests held at once; above 1 needs G1
    uint64_t message_bytes_max;     // 1 MiB; the brokers' --max-message
    mdp_dialect_t dialect;
    bool printable_id;  // for the Guide's C++ broker
    bool no_disconnect; // for the Guide's Python broker, which dies of it
    // Replies that were handed over and are known not to have been delivered. It
    // is called from within recv, take, pump or destroy.
    void (*on_lost)(void *ctx, uint32_t replies);
    void *ctx;
} mdp_worker_options_t;

// mdp_worker_new copies everything it is given. NULL with errno ENOMEM, or EINVAL
// where an endpoint or the service is none. It does not wait for a broker to be
// there.
GALLEON_API mdp_worker_t *mdp_worker_new(const char *brokers, const char *service,
                                         const mdp_worker_options_t *options);
// mdp_worker_destroy writes what is packed (for at most a second) and says
// DISCONNECT. The brokers give requests that are still open to other workers;
// their handles are void.
GALLEON_API void mdp_worker_destroy(mdp_worker_t **self_p);

// mdp_worker_recv waits for a request. The caller owns it. NULL means the
// process was interrupted: destroy the worker and leave. A request that was not
// replied to before the next recv has failed: nobody waits for it for ever.
GALLEON_API zmsg_t *mdp_worker_recv(mdp_worker_t *self);
// mdp_worker_partial sends one piece of a longer answer (18/MDP and G1; in 0.1
// the pieces are kept and go out with the reply). Takes *part_p whatever it
// returns: OK; GALLEON_LOST, and then the rest of the answer is void; or
// GALLEON_REFUSED: too large for the brokers, and the request has failed (413)
// when you reply to it.
GALLEON_API int mdp_worker_partial(mdp_worker_t *self, zmsg_t **part_p);
// mdp_worker_reply ends the request last received. Takes *reply_p whatever it
// returns. GALLEON_OK: handed over; it says nothing about arrival, because no
// dialect confirms an answer. GALLEON_LOST: the connection is already known to
// be gone and the answer cannot go over a new one (0.2, or after a partial).
// An answer found undelivered later is reported through on_lost; one that the
// network loses unseen is reported by nobody, and the broker runs the request
// again. GALLEON_UNKNOWN_ID: there is no request to reply to.
// GALLEON_NO_MEMORY: the request has failed. GALLEON_REFUSED: so it has, with
// 413, because the answer or a part of it is too large for the brokers: more
// than message_bytes_max with 4 bytes for each frame and 512 for our heads.
GALLEON_API int mdp_worker_reply(mdp_worker_t *self, zmsg_t **reply_p);

// mdp_worker_take waits for a request and gives you a handle, so that up to
// `credit` may be open at once and be answered in any order. Returns
// GALLEON_OK or GALLEON_INTERRUPTED (*request_out is NULL). Once interrupted, the
// brokers are asked for nothing more; what you hold can still be answered.
GALLEON_API int mdp_worker_take(mdp_worker_t *self, mdp_request_t **request_out);
// mdp_request_body hands the body over; the second time it is NULL.
GALLEON_API zmsg_t *mdp_request_body(mdp_request_t *self);
// mdp_request_field is a header field such as "idempotency-key", or NULL. It
// lives as long as the request.
GALLEON_API const char *mdp_request_field(const mdp_request_t *self, const char *name);
// mdp_request_attempt counts from 1; above 1 an earlier worker was lost. 0: the
// dialect does not say.
GALLEON_API uint32_t mdp_request_attempt(const mdp_request_t *self);
// mdp_request_partial, _reply and _fail return as mdp_worker_reply does.
GALLEON_API int mdp_request_partial(mdp_request_t *self, zmsg_t **part_p);
// mdp_request_reply ends the request. Takes both, whatever it returns.
GALLEON_API int mdp_request_reply(mdp_request_t **self_p, zmsg_t **reply_p);
// mdp_request_fail ends it with a status (400, 403, 409, 413, 429, 500 or 510
// to 599; any other becomes 500) and a text for people, or NULL. 0.1 and 0.2
// have no error: the text becomes the body there.
GALLEON_API int mdp_request_fail(mdp_request_t **self_p, int status, const char *text);

// For your own loop: poll mdp_worker_fd() until mdp_worker_deadline(), then
// pump (or pump_take) until *request_out is NULL: nothing more for you now.
// After each call on the object the deadline may be "now". Both return
// GALLEON_OK. pump gives the next request when the last was replied to.
GALLEON_API int mdp_worker_fd(mdp_worker_t *self);
GALLEON_API uint64_t mdp_worker_deadline(const mdp_worker_t *self);
GALLEON_API int mdp_worker_pump(mdp_worker_t *self, uint64_t now_ns, zmsg_t **request_out);
GALLEON_API int mdp_worker_pump_take(mdp_worker_t *self, uint64_t now_ns,
                                     mdp_request_t **request_out);

#ifdef __cplusplus
}
#endif

#endif
