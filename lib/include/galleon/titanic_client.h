// galleon/titanic_client.h - requests that survive a crash of anybody (9/TSP).
//
// Titanic keeps a request on disk, has a service work on it, and keeps the answer until
// you close it. It works with any titanic behind any Majordomo broker; a key, a delay, a
// deadline and attempts need Galleon's. One thread per client.
// Spec: rfc.zeromq.org/spec/9, docs/protocol/titanic.md

#ifndef GALLEON_TITANIC_CLIENT_H
#define GALLEON_TITANIC_CLIENT_H

#include "mdp_client.h"
#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct titanic_client titanic_client_t;
// 32 hex digits from Galleon, up to 36 characters from others: opaque text.
typedef struct titanic_id {
    char text[37];
} titanic_id_t;

typedef struct titanic_submit_options { // needs Galleon's titanic, but for zeros
    const char *idempotency_key; // NULL: none; a repeated submit may run twice. 1 to 64 bytes
    uint64_t not_before_ms;      // 0: at once; else this long after acceptance
    uint64_t deadline_ms;        // 0: none; no attempt starts this long after acceptance
    uint32_t attempts;           // 0: titanic's --attempts, 10
} titanic_submit_options_t;

// titanic_client_new takes what mdp_client_new does, and fails as it does; partials are
// not handed out.
GALLEON_API titanic_client_t *titanic_client_new(const char *brokers,
                                                 const mdp_client_options_t *options);
GALLEON_API void titanic_client_destroy(titanic_client_t **self_p);

// Where it is not said otherwise below, the functions return
//
// GALLEON_TIMED_OUT    there was no answer in time, or the titanic that was asked was lost:
//                      what came of it is not known
// GALLEON_NO_SERVICE   no titanic is there
// GALLEON_BUSY         a limit of the brokers or of titanic is reached: try again later
// GALLEON_PROTOCOL     the answer is none of a titanic
// GALLEON_INTERRUPTED  SIGINT or SIGTERM
// GALLEON_NO_MEMORY

// titanic_client_submit returns GALLEON_OK only once the request is on disk. Takes
// *request_p whatever it returns. Keep *id_out: it is the only way to the answer; it is
// empty text where the result is not GALLEON_OK. GALLEON_TIMED_OUT: the outcome is unknown;
// submit again with the same key and you get the same id. GALLEON_REFUSED: not accepted (the
// same key with another body, for one). GALLEON_STORE: not accepted, because titanic cannot
// store it now. All but GALLEON_TIMED_OUT are about the last time that it was asked for:
// without a key and with more than one attempt (mdp_client_options_t), an earlier one may
// have been accepted. options may be NULL. A request of no frames is sent as an empty one.
GALLEON_API int titanic_client_submit(titanic_client_t *self, const char *service,
                                      zmsg_t **request_p, const titanic_submit_options_t *options,
                                      titanic_id_t *id_out);

// titanic_client_send submits and returns at once; *number_out names the outcome. Takes
// *request_p whatever it returns: GALLEON_OK; GALLEON_BUSY when the window is full (option
// window); GALLEON_REFUSED for options that are not allowed, or a request that is too large.
// It leaves with the next recv or flush, or with any other call.
GALLEON_API int titanic_client_send(titanic_client_t *self, const char *service, zmsg_t **request_p,
                                    const titanic_submit_options_t *options, uint64_t *number_out);
// titanic_client_flush writes what send has gathered, as mdp_client_flush does.
GALLEON_API int titanic_client_flush(titanic_client_t *self);
// titanic_client_recv waits for whichever outcome is next, in any order. Returns what
// titanic_client_submit would, for *number_out; GALLEON_UNKNOWN_ID when none is open.
GALLEON_API int titanic_client_recv(titanic_client_t *self, uint64_t *number_out,
                                    titanic_id_t *id_out);

// titanic_client_fetch: GALLEON_OK (the caller owns the reply, else *reply_out is NULL),
// GALLEON_PENDING, GALLEON_UNKNOWN_ID, or GALLEON_REFUSED: given up after its attempts, or
// past its deadline.
GALLEON_API int titanic_client_fetch(titanic_client_t *self, const titanic_id_t *id,
                                     zmsg_t **reply_out);
// titanic_client_wait fetches until there is an answer: as fetch, but GALLEON_TIMED_OUT in
// place of GALLEON_PENDING once timeout_ms have passed. While titanic or the broker is not
// there it goes on asking; then the result is that of the last time. It takes a second
// longer at most. The request goes on; wait again, or fetch later. Galleon's titanic
// answers as soon as there is an answer; any other is asked again and again, less often as
// time goes by.
GALLEON_API int titanic_client_wait(titanic_client_t *self, const titanic_id_t *id,
                                    uint32_t timeout_ms, zmsg_t **reply_out);
// titanic_client_close forgets the request, its answer, and what is still to be done of it.
// Safe to repeat. GALLEON_STORE: titanic cannot do it now.
GALLEON_API int titanic_client_close(titanic_client_t *self, const titanic_id_t *id);

// titanic_client_call is submit, wait, and close once there is an answer. *id_out names the
// request from the moment it is accepted: on GALLEON_TIMED_OUT it is empty text where it is
// not known whether it was.
GALLEON_API int titanic_client_call(titanic_client_t *self, const char *service, zmsg_t **request_p,
                                    const titanic_submit_options_t *options, uint32_t timeout_ms,
                                    titanic_id_t *id_out, zmsg_t **reply_out);

// titanic_client_status is what titanic said last: 200, 300 and so on, or the status of
// Majordomo (mdp.h) where no titanic answered; 0 when there was none. The text is for
// people, such as why a request was given up; "" if there was none. It lives until the next
// call on the object.
GALLEON_API int titanic_client_status(const titanic_client_t *self);
GALLEON_API const char *titanic_client_status_text(const titanic_client_t *self);

#ifdef __cplusplus
}
#endif

#endif
