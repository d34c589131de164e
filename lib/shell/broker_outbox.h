// broker_outbox.h - what a batch of messages made for each peer.
//
// G1 peers get one pack at the end of the batch; others, and peers behind a
// delimiter, get a message for each record at once. What the socket refuses is
// kept as a list for the core, last record last. Pirates get a message for each record, by
// one of two sockets.

#ifndef GALLEON_BROKER_OUTBOX_H
#define GALLEON_BROKER_OUTBOX_H

#include "broker_core.h"
#include "cargo.h"
#include "packer.h"

// One record that did not go out.
struct refused {
    uint32_t route_number;
    uint64_t route_serial;
    enum mdp_side side;
    enum mdp_command command;
    uint64_t token;
    struct cargo *cargo;
    bool is_gone;
    bool is_withheld;
};

// Whether what a half of a pair does may go out yet, by the clock of this moment: a request to a
// worker, or an answer. NULL: always.
typedef bool broker_gate_fn(void *context, bool is_request);

struct outbox;

enum { OUTBOX_SOCKETS_MAX = 2 };

struct broker_outbox {
    void *sockets[OUTBOX_SOCKETS_MAX]; // by the numbers that routes have
    enum broker_manners manners;
    struct cargo_pool *pool;
    struct outbox **boxes; // used in this batch first, in order; then spare ones
    size_t box_count;
    size_t box_capacity;
    uint32_t *box_of_route; // by route number: its place in boxes + 1
    uint32_t routes_max;
    struct packer single; // a G1 record behind a delimiter
    broker_gate_fn *gate;
    void *gate_context;
    uint8_t fields[MDP_FIELDS_BYTES_MAX]; // of a record, the core's first
    struct refused *refused;
    size_t refused_count;
    size_t refused_capacity;
};

// broker_outbox_init takes as many sockets as the manners need: Majordomo has one. False when
// out of memory.
bool broker_outbox_init(struct broker_outbox *self, void *const sockets[OUTBOX_SOCKETS_MAX],
                        enum broker_manners manners, struct cargo_pool *pool, uint32_t routes_max);
void broker_outbox_release(struct broker_outbox *self);

// broker_outbox_guard has the gate asked before each message that depends on the reign of this
// half: what it does not let through is refused, with all that stands in the same message.
void broker_outbox_guard(struct broker_outbox *self, broker_gate_fn *gate, void *context);

// broker_outbox_add carries out one SEND, and fills in its record.
void broker_outbox_add(struct broker_outbox *self, struct broker_effect *effect);

// broker_outbox_flush sends every pack of the batch.
void broker_outbox_flush(struct broker_outbox *self);

// broker_outbox_refusal takes the latest refused record; false where there is none.
bool broker_outbox_refusal(struct broker_outbox *self, struct refused *refused_out);

#endif
