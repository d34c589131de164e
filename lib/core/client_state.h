// client_state.h - what a client core holds. For client_*.c only.

#ifndef GALLEON_CLIENT_STATE_H
#define GALLEON_CLIENT_STATE_H

#include "client_core.h"

#include "dialect_question.h"
#include "fence.h"
#include "list.h"
#include "map.h"
#include "must.h"
#include "retry.h"
#include "service_name.h"
#include "slab.h"

// ---- a broker that we may use ----------------------------------------------------

enum endpoint_state {
    ENDPOINT_CLOSED,  // no connection
    ENDPOINT_ASKING,  // one to ask for the dialect, made or not yet
    ENDPOINT_JOINING, // one to serve us, not made yet
    ENDPOINT_SERVING, // made
    ENDPOINT_STATES
};

struct endpoint {
    struct view name;
    uint32_t index;
    enum endpoint_state state;
    uint32_t serial;       // of the connection: a new one has another
    mdp_dialect_t dialect; // spoken on it
    mdp_dialect_t known;   // what the broker speaks; MDP_AUTO: it has to be asked
    bool is_assumed;       // `known` follows from silence, and nothing was heard since
    bool is_good;          // it has answered a call on this connection
    bool is_dirty;         // 0.1, 0.2: it may bring an answer that nobody waits for
    struct dialect_question question;
    uint64_t patience_ends_ns; // for the connection to be made
    uint64_t heard_ns;
    uint64_t probed_ns;  // a HEARTBEAT is out since; 0: none
    uint64_t blocked_ns; // the socket refused: not before this
    struct list sent;    // calls out over this connection, by the end of their attempt
};

// The token of a dialect question; those of requests are their ids.
#define QUESTION_TOKEN UINT64_MAX

// ---- a call --------------------------------------------------------------------------

#define NOWHERE UINT32_MAX

struct call {
    struct map_node by_id;
    struct list_node place; // waiting, or sent at an endpoint
    struct list_node age;   // open, by deadline
    uint64_t id;
    uint64_t deadline_ns;
    uint64_t expires_ns; // of its time to live at the broker
    uint64_t due_ns;     // end of the attempt that is out
    void *cargo;
    uint32_t attempts;
    uint32_t at;      // endpoint and connection of the latest attempt, NOWHERE: none yet
    uint32_t serial;  // of that connection
    uint32_t sent_to; // a bit for each endpoint that has seen it
    uint32_t seq;     // parts taken of this attempt
    void *parts;      // gathered; NULL: none
    uint64_t part_bytes;
    bool is_sent; // on a list of its endpoint, else it waits
    bool is_no_queue;
    bool is_refused; // the last we heard of it was that the broker does not serve
    bool has_hole;   // 0.1, 0.2: a part of this attempt found no memory
    uint8_t service_size;
    uint8_t service[SERVICE_NAME_BYTES_MAX];
};

// ---- the core ------------------------------------------------------------------------

struct client_core {
    struct client_config config;
    uint64_t timeout_ns;
    uint64_t lifetime_ns; // of a call
    struct retry retry;

    // This step.
    uint64_t now_ns;
    struct client_effects *effects;
    bool has_answered;

    struct slab calls;
    struct map by_id;
    struct list open;    // all calls, by deadline
    struct list waiting; // those that no socket has taken
    uint64_t last_id;

    struct endpoint *endpoints;
    struct endpoint *current; // takes what waits
    uint32_t failed;          // a bit for each that has failed in this round
    struct fence fence;
    struct client_stats stats;
};

// client_core.c
// client_add_effect sets the kind and nothing else: to clear all of it for each
// effect would cost more than what the core does besides.
struct client_effect *client_add_effect(struct client_core *self, enum client_effect_kind kind);
void client_connection(struct client_core *self, enum client_effect_kind kind, uint32_t endpoint);
void client_dump(struct client_core *self, void *cargo);
// client_send sends a record that says it all; the token may be 0.
void client_send(struct client_core *self, uint32_t endpoint, uint64_t token,
                 const struct mdp_record *record);

// client_call.c
struct call *client_call_of(const struct client_core *self, uint64_t id);
void client_call_begin(struct client_core *self, const struct client_event *event);
void client_call_cancel(struct client_core *self, uint64_t id);
// client_call_send sends it over a connection that serves.
void client_call_send(struct client_core *self, struct endpoint *endpoint, struct call *call);
// client_call_unsend takes back an attempt that no broker has had; at_head: it is
// the next to be sent.
void client_call_unsend(struct client_core *self, struct call *call, bool at_head);
// client_call_retry takes it back for the next attempt, where there is one; else it
// ends without an answer.
void client_call_retry(struct client_core *self, struct call *call);
void client_call_expire(struct client_core *self, struct call *call);
void client_call_on_unsent(struct client_core *self, const struct client_event *event);
void client_call_on_record(struct client_core *self, const struct client_event *event);

// client_endpoint.c
// client_endpoint_steer goes on with what can be done now: connect, ask, send.
void client_endpoint_steer(struct client_core *self);
uint64_t client_endpoint_deadline(const struct client_core *self);
void client_endpoint_on_up(struct client_core *self, struct endpoint *endpoint);
void client_endpoint_on_down(struct client_core *self, struct endpoint *endpoint);
// client_endpoint_passive: it does not serve, and says maybe where to go instead.
void client_endpoint_passive(struct client_core *self, struct endpoint *endpoint,
                             struct view redirect);
// client_endpoint_missed: it did not answer an attempt that began at since_ns.
void client_endpoint_missed(struct client_core *self, struct endpoint *endpoint, uint64_t since_ns);

// client_endpoint_answered: it has answered; all that failed before is forgotten.
void client_endpoint_answered(struct client_core *self, struct endpoint *endpoint);

static inline struct view
call_service(const struct call *call)
{
    return view_of(call->service, call->service_size);
}

static inline bool
client_has_room(const struct client_core *self, size_t effects)
{
    return self->effects->count + effects <= CLIENT_EFFECTS_MAX;
}

#endif
