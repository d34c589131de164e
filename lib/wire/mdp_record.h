// mdp_record.h - what one Majordomo message says, whatever dialect said it.
//
// 0.1 and 0.2 carry one record in a message, G1 as many as fit. The rest of the
// tree sees records only: which byte means what, and where the delimiters stand,
// is known to mdp_wire alone.

#ifndef GALLEON_MDP_RECORD_H
#define GALLEON_MDP_RECORD_H

#include "ticket.h"
#include "view.h"

#include <galleon/mdp.h>

enum mdp_side { MDP_CLIENT_SIDE, MDP_WORKER_SIDE };

// The way a message goes: 0.1 clients have no command byte, the direction says
// what it is.
enum mdp_way { MDP_TO_BROKER, MDP_FROM_BROKER };

enum mdp_command {
    MDP_NO_COMMAND,
    MDP_READY,
    MDP_REQUEST,
    MDP_PARTIAL,
    MDP_FINAL, // REPLY in 0.1
    MDP_CANCEL,
    MDP_HEARTBEAT,
    MDP_DISCONNECT,
    MDP_DRAIN
};

// What is wrong with a record or a message. A fault is a peer's mistake: it is
// counted under its text, and what follows from it is the reader's decision.
#define MDP_FAULT_MAP(X)                                                                           \
    X(MDP_SOUND, "sound")                                                                          \
    X(MDP_BAD_HEADER, "invalid_header")   /* no header where one should be */                      \
    X(MDP_BAD_VERSION, "unknown_version") /* a pack of another version */                          \
    X(MDP_NO_RECORD, "empty_pack")        /* a pack without a record */                            \
    X(MDP_BAD_STACK, "worker_with_stack") /* a worker behind an address stack */                   \
    X(MDP_BROKEN_CHAIN, "broken_chain")   /* the records cannot be told apart from here on */      \
    X(MDP_BAD_COMMAND, "unknown_command") /* none, unknown, or one of the other direction */       \
    X(MDP_TOO_SHORT, "short_record")      /* below the least size of its command */                \
    X(MDP_BAD_CONTENTS, "bad_contents")   /* name, fields or parts go beyond the record */         \
    X(MDP_BAD_NAME, "invalid_service")    /* no service name, or one that is none */               \
    X(MDP_BAD_ADDRESS, "invalid_address") /* an address that is no ticket */                       \
    X(MDP_NO_ADDRESS, "no_address")       /* an answer without an address */                       \
    X(MDP_OVER_LIMIT, "too_large")        /* more bytes, frames or parts than the limit */

enum mdp_fault {
#define X(name, text) name,
    MDP_FAULT_MAP(X)
#undef X
        MDP_FAULTS
};

enum mdp_flag {
    MDP_FLAG_FIELDS = 0x01,     // fields follow
    MDP_FLAG_NO_QUEUE = 0x02,   // client REQUEST: 404 at once if no worker can take it
    MDP_FLAG_REDELIVERY = 0x04, // worker REQUEST: attempt is above 1
    MDP_FLAG_LOOSE = 0x80       // the body is in the frames that follow
};

enum mdp_reason {
    MDP_REASON_NONE = 0,
    MDP_REASON_PROTOCOL = 1,
    MDP_REASON_NOT_REGISTERED = 2,
    MDP_REASON_REFUSED = 3,
    MDP_REASON_SILENT = 4,
    MDP_REASON_STOPPING = 5,
    MDP_REASON_LIMIT = 6,
    MDP_REASON_FENCED = 7
};

// A body, wherever its bytes are: frames of their own, or parts in a record.
struct mdp_body {
    const struct view *frames; // `count` of them; NULL where the body is packed
    struct view packed;        // parts, each a length of four bytes and that many bytes
    size_t count;              // frames or parts
    size_t bytes;              // in all of them, without lengths
};

struct mdp_record {
    enum mdp_fault fault;
    mdp_dialect_t dialect; // never MDP_AUTO
    enum mdp_side side;
    enum mdp_command command;
    uint8_t flags;
    uint16_t status;      // FINAL
    uint16_t parts;       // FINAL: PARTIALs before it
    uint32_t ttl_ms;      // REQUEST; 0: the default, no limit
    uint32_t attempt;     // REQUEST to a worker, from 1
    uint32_t seq;         // PARTIAL, from 0
    uint32_t credit;      // READY
    uint32_t interval_ms; // READY, HEARTBEAT; 0: no promise
    uint32_t reason;      // DISCONNECT, enum mdp_reason
    uint64_t id;          // the client's name of its request
    struct ticket ticket; // the broker's name of an attempt
    struct view address;  // 0.1, 0.2: what stands at the ticket's place; a worker echoes it
    struct view service;
    struct view fields;
    struct mdp_body body;
};

// Where a message came from, or goes to: the ROUTER's routing id, the addresses
// of proxies in between, the empty frame of a REQ.
struct mdp_envelope {
    struct view routing_id;
    const struct view *stack;
    size_t stack_size;
    bool has_delimiter;
    uint8_t socket; // which of its own, at a server with more than one: each names its peers
};

// mdp_fault_text is the name that the fault is counted under.
const char *mdp_fault_text(enum mdp_fault fault);

#endif
