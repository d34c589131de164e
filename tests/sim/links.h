// links.h - sockets as ZeroMQ's are: not like datagrams, and not like a function call.
//
// A link is a DEALER of a worker's or a client's, with libzmq's reconnection behind it. A
// pipe is one connection of it, and what the broker's ROUTER knows: it has a routing id of
// its own. While a pipe stands, messages arrive whole, once and in order. When it ends,
// what was under way is lost both ways; the DEALER is told DOWN, the ROUTER is told
// nothing: later sends to that routing id are GONE. A pipe that carries nothing any more
// looks well from both ends until the links' own heartbeats end it.

#ifndef GALLEON_LINKS_H
#define GALLEON_LINKS_H

#include "mail.h"

// A pirate queue has a second ROUTER, for its workers, BROKERS_MAX behind the first.
enum { ROUTING_ID_MAX = 18, LINKS_OF_NODE = BROKERS_MAX, PIPES_MAX = 4096 };
enum { ROUTERS_MAX = 2 * BROKERS_MAX };

enum lane { LANE_UP, LANE_DOWN, LANES }; // to the broker, and from it

enum sent { SENT_TAKEN, SENT_FULL, SENT_GONE, SENT_WITHHELD }; // the last by ourselves

enum link_news { LINK_QUIET, LINK_MADE, LINK_BROKEN };

struct pipe {
    struct list_node in_broker; // pipes that the router may know
    uint64_t serial;
    bool is_used;
    bool is_known;     // by the router
    bool is_parked;    // its routing id is another's: never read
    bool is_cut;       // what is sent vanishes
    struct link *link; // NULL: the DEALER has another, or none
    struct node *peer; // the worker or client
    struct router *router;
    struct node *broker; // whose it is
    uint8_t id[ROUTING_ID_MAX];
    uint8_t id_size;
    struct mail lanes[LANES];
    uint64_t last_arrival_ns[LANES];
    uint64_t stalled_until_ns[LANES];
    uint64_t stalled_since_ns; // 0: it is not
    size_t unread;             // in the router's inbox
    uint64_t unread_since_ns;  // that it is more than it takes; 0: it is not
};

struct link {
    bool is_used;
    uint64_t serial;
    struct node *peer;
    uint32_t slot;
    struct router *router;
    struct node *broker;
    uint8_t name[ROUTING_ID_MAX]; // that the application gave it
    uint8_t name_size;
    struct pipe *pipe;
    uint32_t tries;
    bool is_up_said;
    bool has_up;
    bool has_down;
    bool wants_refusals; // to be told where nobody listens
    bool has_refused;
    struct mail inbox;
};

// What a broker's ROUTER has.
struct router {
    struct node *node;
    struct list pipes;
    struct mail inbox;
};

void links_init(struct world *world);
struct router *links_router(struct world *world, uint32_t number);

// ---- the DEALER's side --------------------------------------------------------------------------

struct link *link_open(struct node *peer, uint32_t slot, uint32_t router, struct view name);
// link_close: with linger what was sent still goes out.
void link_close(struct link *self, bool lingers);
enum sent link_send(struct link *self, const struct draft *draft);
// link_news takes what became of the connection, once nothing is left to be read.
enum link_news link_news(struct link *self);
// link_was_refused takes it that nobody listened, where that is asked for.
bool link_was_refused(struct link *self);

// ---- the ROUTER's side --------------------------------------------------------------------------

// router_take takes what has arrived; NULL: nothing has.
struct message *router_take(struct router *self);
enum sent router_send(struct router *self, struct view routing_id, const struct draft *draft);

// ---- trouble ------------------------------------------------------------------------------------

// links_end_of_peer: the process is gone; its kernel may still send what it was given.
void links_end_of_broker(struct world *world, struct node *broker);
void pipe_cut(struct pipe *self);
// pipe_stall lets lanes (a bit for each) carry nothing for a while.
void pipe_stall(struct pipe *self, uint32_t lanes, uint64_t until_ns);
// links_block lets no new connection be made.
void links_block(struct world *world, const struct node *peer, const struct node *broker,
                 uint64_t until_ns);
// links_freeze stalls all pipes of a node.
void links_freeze(struct node *node, uint64_t until_ns);
// links_heal ends all of it.
void links_heal(struct world *world);
// links_pick is the nth pipe in use, NULL where there are none.
struct pipe *links_pick(struct world *world, uint64_t number);
uint32_t links_count(const struct world *world);

#endif
