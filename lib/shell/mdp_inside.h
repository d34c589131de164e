// mdp_inside.h - what other classes of this floor may do with a worker and a client.
//
// The public API holds zmsg_t at its edge. Who passes bodies on, thousands in a batch, reads
// them where they are and writes them once.

#ifndef GALLEON_MDP_INSIDE_H
#define GALLEON_MDP_INSIDE_H

#include "mdp_record.h"

#include <galleon/mdp_client.h>
#include <galleon/mdp_worker.h>

// mdp_request_peek views the body and the header fields; good until the request is answered.
// It is not for requests whose body was taken with mdp_request_body.
struct mdp_body mdp_request_peek(const mdp_request_t *self, struct view *fields_out);

// mdp_request_reply_with is mdp_request_reply with a body in parts form, which is copied.
int mdp_request_reply_with(mdp_request_t **self_p, const struct mdp_body *body);

// mdp_worker_rest asks the brokers for nothing more.
void mdp_worker_rest(mdp_worker_t *self);

// mdp_client_send_with is mdp_client_send with a body in parts form, which is copied.
int mdp_client_send_with(mdp_client_t *self, struct view service, struct view fields,
                         const struct mdp_body *body, uint32_t ttl_ms, uint64_t *id_out);

// mdp_client_was_sent: did a socket ever take the request that was answered last? False: it
// is certain that no worker has seen it.
bool mdp_client_was_sent(const mdp_client_t *self);

// mdp_client_is_told: would its brokers have said that no worker took it? Those of 0.1 and 0.2
// keep such a request without a word, so that their silence says nothing of a worker.
bool mdp_client_is_told(const mdp_client_t *self);

// mdp_client_dialect is what the broker in use speaks, MDP_AUTO while that is not known.
mdp_dialect_t mdp_client_dialect(const mdp_client_t *self);

#endif
