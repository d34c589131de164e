// galleon/mdp_client.h - call Majordomo services.
//
// One thread per client. In G1 requests travel in packs: send only gathers, and what is
// gathered is written by recv before it waits, by call, flush or pump, or when 64 KiB are
// together. Nothing waits for a pack to fill. In 0.1 and 0.2, which have no request ids,
// one request is out at a time, and the rest waits in the client.
// Spec: rfc.zeromq.org/spec/7, rfc.zeromq.org/spec/18, docs/protocol/mdp-g1.md

#ifndef GALLEON_MDP_CLIENT_H
#define GALLEON_MDP_CLIENT_H

#include "mdp.h"
#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdp_client mdp_client_t;

typedef struct mdp_client_options { // every zero means "the default"
    uint32_t timeout_ms;            // 2500, for one attempt
    uint32_t attempts;              // 3; 1 means never retry
    uint32_t deadline_ms;           // attempts * timeout; bounds the whole call
    uint32_t window;                // 1000: most calls open before send refuses
    uint64_t message_bytes_max;     // 1 MiB; the brokers' --max-message
    mdp_dialect_t dialect;
    bool printable_id; // for the Guide's C++ broker
    bool partials;     // recv hands out partials; false: they are gathered into the reply
} mdp_client_options_t;

typedef struct mdp_send_options { // G1 only; other dialects ignore it
    uint32_t ttl_ms;              // 0: what is left of the call's deadline
    bool no_queue;                // refuse with 404 if no worker is free
    const char *fields;           // "name: value\n" lines, at most 4096 bytes; NULL: none
} mdp_send_options_t;

// mdp_client_new copies everything it is given, and connects when it is first used. NULL
// if out of memory, or with errno EINVAL where `brokers` is no list of endpoints.
GALLEON_API mdp_client_t *mdp_client_new(const char *brokers, const mdp_client_options_t *options);
// mdp_client_destroy writes what was sent (for at most a second); answers to calls that
// are still open are dropped.
GALLEON_API void mdp_client_destroy(mdp_client_t **self_p);

// mdp_client_call asks and waits. Takes *request_p whatever it returns; the caller owns
// *reply_out when it returns GALLEON_OK, else *reply_out is NULL. A retry may run the work
// twice: make services idempotent, or use titanic.
//
// GALLEON_TIMED_OUT: no answer (status 503: all brokers refused to serve), or one of 408.
// GALLEON_NO_SERVICE: 404. GALLEON_REFUSED: another error status, a name that is none, or a
// request too large for the brokers (413: more than message_bytes_max with its fields, 4
// bytes for each frame and 512 for our heads).
// GALLEON_BUSY: the window is full, or 429. GALLEON_INTERRUPTED: the call was cancelled.
GALLEON_API int mdp_client_call(mdp_client_t *self, const char *service, zmsg_t **request_p,
                                zmsg_t **reply_out);

// mdp_client_send asks and returns at once; *id_out names the answer. Takes *request_p
// whatever it returns: GALLEON_OK; GALLEON_BUSY when the window is full; GALLEON_REFUSED
// for a name that is none, too many fields, or a request that is too large. The request leaves with
// the next recv, call, flush or pump.
GALLEON_API int mdp_client_send(mdp_client_t *self, const char *service, zmsg_t **request_p,
                                const mdp_send_options_t *options, uint64_t *id_out);
// mdp_client_flush writes what send has gathered: call it before you do something else
// than recv. GALLEON_BUSY: no connection takes it now; it is kept, and tried again by the
// next recv, flush or pump.
GALLEON_API int mdp_client_flush(mdp_client_t *self);
// mdp_client_recv waits for whichever answer is next, in any order. Returns what
// mdp_client_call would, for *id_out; GALLEON_PENDING for one partial (option partials);
// GALLEON_UNKNOWN_ID when no call is open.
GALLEON_API int mdp_client_recv(mdp_client_t *self, uint64_t *id_out, zmsg_t **reply_out);
// mdp_client_cancel ends an open call: recv will not return it any more. In G1 the broker
// is told: a request that waits does not run; a worker that has it goes on, and its answer
// is dropped. OK, or GALLEON_UNKNOWN_ID.
GALLEON_API int mdp_client_cancel(mdp_client_t *self, uint64_t id);

// mdp_client_status is the status of the answer that call, recv or pump returned last:
// 200, 404 and so on (mdp.h); 200 for any answer in 0.1 and 0.2; 0 when there was none.
// The text is for people, "" if there was none, and lives until the next call, recv or
// pump.
GALLEON_API int mdp_client_status(const mdp_client_t *self);
GALLEON_API const char *mdp_client_status_text(const mdp_client_t *self);
// mdp_client_part is the number of the partial that was returned last, from 0. A second 0
// for one call means that its answer starts again: drop the parts you hold. After the last
// of an answer it is how many partials belong to it: 0 where none of those you hold does.
GALLEON_API uint32_t mdp_client_part(const mdp_client_t *self);

// mdp_client_has_service asks mmi.service: GALLEON_OK, or GALLEON_NO_SERVICE;
// GALLEON_PROTOCOL from a broker that does not know how to answer; else as call.
GALLEON_API int mdp_client_has_service(mdp_client_t *self, const char *service);

// For your own loop: poll fd until deadline, then pump until *id_out is 0 (ids begin at
// 1): nothing more for you now. Else it returns what recv would. After each call on the
// object the deadline may be "now", for one while something waits to be written: pump
// writes it.
GALLEON_API int mdp_client_fd(mdp_client_t *self);
GALLEON_API uint64_t mdp_client_deadline(const mdp_client_t *self);
GALLEON_API int mdp_client_pump(mdp_client_t *self, uint64_t now_ns, uint64_t *id_out,
                                zmsg_t **reply_out);

#ifdef __cplusplus
}
#endif

#endif
