// pirate_wire.h - Simple Pirate and Paranoid Pirate on the wire, bytes to messages and back.
//
// Neither has a header: what a message is follows from the socket that it stands at, so
// there is one reader for each. A queue has two sockets, its frontend for clients (the
// same in both dialects) and its backend for workers; a worker has one. Views in a
// message point into the frames. Nothing is allocated, and no frame or byte is touched
// before it is known to be there.
//
// Spec: rfc.zeromq.org/spec/6, docs/protocol/pirates.md

#ifndef GALLEON_PIRATE_WIRE_H
#define GALLEON_PIRATE_WIRE_H

#include "mdp_wire.h"

enum pirate_dialect { PIRATE_SIMPLE, PIRATE_PARANOID };

enum pirate_kind { PIRATE_NOTHING, PIRATE_READY, PIRATE_HEARTBEAT, PIRATE_REQUEST, PIRATE_REPLY };

// What is wrong with a message: a peer's mistake, counted under its text and dropped.
#define PIRATE_FAULT_MAP(X)                                                                        \
    X(PIRATE_SOUND, "sound")                                                                       \
    X(PIRATE_EMPTY, "empty_message")         /* no frame that says anything */                     \
    X(PIRATE_NO_DELIMITER, "no_delimiter")   /* no empty frame where one must be */                \
    X(PIRATE_BAD_CONTROL, "unknown_control") /* one frame that is no control of this dialect */    \
    X(PIRATE_BAD_STACK, "long_stack")        /* more addresses than the limit */                   \
    X(PIRATE_BAD_ADDRESS, "invalid_address") /* an address that is no ticket */                    \
    X(PIRATE_NO_ADDRESS, "no_address")       /* a request to a REQ worker that is nobody's */      \
    X(PIRATE_OVER_LIMIT, "too_large")        /* more bytes or frames than the limit */

enum pirate_fault {
#define X(name, text) name,
    PIRATE_FAULT_MAP(X)
#undef X
        PIRATE_FAULTS
};

// A worker's queue puts the client's routing id in front of the client's own stack.
enum { PIRATE_STACK_MAX = MDP_STACK_MAX + 1 };

struct pirate_message {
    enum pirate_fault fault;
    enum pirate_kind kind;
    struct mdp_envelope envelope; // REQUEST at a worker: the stack is what its REPLY gives back
    struct ticket ticket;         // REPLY at the backend
    struct mdp_body body;         // REQUEST, REPLY: at least one frame
};

// Each reads the frames of one message, and says what is wrong with it as the message does,
// of which no more is set then than its routing id. The routing id comes first at a queue's
// ROUTERs. A body without a frame is read as one empty frame.

// pirate_wire_read_client: a REQUEST of a client, of which its stack and body are read.
enum pirate_fault pirate_wire_read_client(struct pirate_message *self, const struct view *frames,
                                          size_t frame_count, const struct mdp_limits *limits);

// pirate_wire_read_worker: READY, HEARTBEAT (paranoid only) or REPLY of a worker. An answer
// with the right ticket is never lost for its shape: the delimiter after it may be missing,
// and where that leaves no doubt the body too. Of one over the limit kind and ticket are set
// as far as they can be read, so that its request ends, too.
enum pirate_fault pirate_wire_read_worker(struct pirate_message *self, enum pirate_dialect dialect,
                                          const struct view *frames, size_t frame_count,
                                          const struct mdp_limits *limits);

// pirate_wire_read_queue: HEARTBEAT (paranoid only) or REQUEST of a queue, at a worker's
// socket. A simple worker on a DEALER meets the empty frame that a REQ takes away; it is
// skipped, and noted as the envelope's delimiter. Limits may be NULL: none.
enum pirate_fault pirate_wire_read_queue(struct pirate_message *self, enum pirate_dialect dialect,
                                         const struct view *frames, size_t frame_count,
                                         const struct mdp_limits *limits);

// The frames between the routing id (which a ROUTER puts in front) and the body.
struct pirate_head {
    struct view frames[1 + PIRATE_STACK_MAX + 1];
    size_t frame_count;
    uint8_t ticket_text[TICKET_TEXT_BYTES];
};

// Each makes them; they point into the message and into *self.

// pirate_wire_head_to_client: in front of a REPLY, the client's own stack in the envelope.
void pirate_wire_head_to_client(struct pirate_head *self, const struct mdp_envelope *envelope);

// pirate_wire_head_to_worker: HEARTBEAT (paranoid only), or REQUEST under this ticket.
void pirate_wire_head_to_worker(struct pirate_head *self, enum pirate_dialect dialect,
                                enum pirate_kind kind, const struct ticket *ticket);

// pirate_wire_head_to_queue: READY, HEARTBEAT (paranoid only), or a REPLY to the request
// that came with this envelope. A simple worker on a DEALER sets the envelope's delimiter,
// which a REQ adds by itself.
void pirate_wire_head_to_queue(struct pirate_head *self, enum pirate_dialect dialect,
                               enum pirate_kind kind, const struct mdp_envelope *envelope);

// pirate_fault_text is the name that the fault is counted under.
const char *pirate_fault_text(enum pirate_fault fault);

#endif
