// links.c - connections made, carried, stalled, cut, and made again.

#include "links.h"

#include "bytes.h"

static const uint64_t ms = 1000000;

enum { RECONNECT_MS_MIN = 100, RECONNECT_MS_MAX = 5000, LINKS_MAX = 512 };

struct links {
    struct router routers[ROUTERS_MAX];
    struct pipe *pipes[PIPES_MAX];
    uint32_t pipe_count;
    struct link *links[LINKS_MAX];
    uint32_t link_count;
    uint64_t serial;
    uint64_t blocked_until_ns[NODES_MAX][BROKERS_MAX];
};

static void try_to_connect(struct world *world, void *object, uint64_t serial);

void
links_init(struct world *world)
{
    world->links = world_take_zeroed(world, sizeof *world->links);
    for (int i = 0; i < ROUTERS_MAX; i++)
        list_init(&world->links->routers[i].pipes);
}

struct router *
links_router(struct world *world, uint32_t number)
{
    return &world->links->routers[number];
}

uint32_t
links_count(const struct world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->links->link_count; i++)
        count += world->links->links[i]->is_used;
    return count;
}

static uint64_t
latency(struct world *world)
{
    return roll_between(world, STREAM_LINKS, world->plan.latency_ns_min,
                        world->plan.latency_ns_max);
}

// ---- pipes --------------------------------------------------------------------------------------

static struct pipe *
take_pipe(struct world *world)
{
    struct links *links = world->links;
    struct pipe *pipe = NULL;
    for (uint32_t i = 0; i < links->pipe_count && pipe == NULL; i++)
        if (!links->pipes[i]->is_used)
            pipe = links->pipes[i];
    if (pipe == NULL) {
        if (links->pipe_count == PIPES_MAX)
            world_fail(world, "W4 memory_and_fds_bounded", "%u connections", links->pipe_count);
        pipe = links->pipes[links->pipe_count++] = world_take(world, sizeof *pipe);
    }
    *pipe = (struct pipe){.serial = ++links->serial, .is_used = true};
    list_node_init(&pipe->in_broker);
    return pipe;
}

static void
release_if_over(struct world *world, struct pipe *self)
{
    if (self->is_known || self->link != NULL || list_node_is_linked(&self->in_broker))
        return;
    mail_clear(world, &self->lanes[LANE_UP]);
    mail_clear(world, &self->lanes[LANE_DOWN]);
    self->is_used = false;
}

// name_pipe gives it its routing id: the DEALER's own name, or five bytes of which the
// first is 0.
static void
name_pipe(struct pipe *self, const struct link *link)
{
    self->id_size = link->name_size;
    memcpy(self->id, link->name, link->name_size);
    if (link->name_size == 0) {
        self->id[0] = 0;
        bytes_put32(self->id + 1, (uint32_t)self->serial * 2654435761u);
        self->id_size = 5;
    }
    list_each (node, &self->router->pipes) {
        const struct pipe *other = list_object(node, struct pipe, in_broker);
        if (view_equals(view_of(other->id, other->id_size), view_of(self->id, self->id_size)))
            self->is_parked = true;
    }
}

static void
lose_mail(struct world *world, struct pipe *self, enum lane lane)
{
    if (self->lanes[lane].count > 0)
        mark(world, MARK_CUT_IN_FLIGHT);
    mail_clear(world, &self->lanes[lane]);
}

// dealer_learns: the DEALER's end is closed; libzmq begins to connect again.
static void
dealer_learns(struct world *world, void *object, uint64_t serial)
{
    struct pipe *self = object;
    if (self->serial != serial || self->link == NULL)
        return;
    struct link *link = self->link;
    note(world, self->peer, "connection to broker%llu is cut, pipe %llu", self->broker->index,
         serial, 0);
    lose_mail(world, self, LANE_DOWN);
    self->link = NULL;
    link->pipe = NULL;
    link->has_up = false;
    if (link->is_up_said)
        link->has_down = true;
    release_if_over(world, self);
    link->tries = 0;
    world_at(world, world->now_ns + RECONNECT_MS_MIN * ms, try_to_connect, link, link->serial);
    node_poke(link->peer);
}

// router_learns: the ROUTER's end is closed; it tells nobody.
static void
router_learns(struct world *world, void *object, uint64_t serial)
{
    struct pipe *self = object;
    if (self->serial != serial || !self->is_known)
        return;
    note(world, self->broker, "pipe %llu is gone", serial, 0, 0);
    lose_mail(world, self, LANE_UP);
    self->is_known = false;
    list_remove(&self->router->pipes, &self->in_broker);
    release_if_over(world, self);
}

void
pipe_cut(struct pipe *self)
{
    struct world *world = self->broker->world;
    if (self->is_cut)
        return;
    note(world, self->peer, "pipe %llu to broker%llu breaks", self->serial, self->broker->index, 0);
    self->is_cut = true;
    lose_mail(world, self, LANE_UP);
    lose_mail(world, self, LANE_DOWN);
    world_at(world, world->now_ns + roll(world, STREAM_LINKS, 2 * world->plan.latency_ns_max),
             dealer_learns, self, self->serial);
    // A reset may be lost; then the router's end lives on until nothing was heard for long.
    uint64_t longest_ns = roll(world, STREAM_LINKS, 4) == 0 ? world->plan.patience_ns
                                                            : 2 * world->plan.latency_ns_max;
    world_at(world, world->now_ns + roll(world, STREAM_LINKS, longest_ns), router_learns, self,
             self->serial);
}

// ---- connecting ---------------------------------------------------------------------------------

static bool
can_connect(const struct link *self)
{
    const struct world *world = self->peer->world;
    return self->broker->is_alive && self->broker->frozen_until_ns <= world->now_ns &&
           self->peer->frozen_until_ns <= world->now_ns &&
           world->links->blocked_until_ns[self->peer->number][self->broker->index] <= world->now_ns;
}

static void
try_later(struct link *self)
{
    struct world *world = self->peer->world;
    uint64_t wait_ms = (uint64_t)RECONNECT_MS_MIN << (self->tries < 6 ? self->tries : 6);
    if (wait_ms > RECONNECT_MS_MAX)
        wait_ms = RECONNECT_MS_MAX;
    self->tries++;
    if (self->wants_refusals && !self->broker->is_alive) {
        self->has_refused = true;
        node_poke(self->peer);
    }
    uint64_t wait_ns = wait_ms * ms + roll(world, STREAM_LINKS, RECONNECT_MS_MIN * ms);
    world_at(world, world->now_ns + wait_ns, try_to_connect, self, self->serial);
}

static void
shake_hands(struct world *world, void *object, uint64_t serial)
{
    struct link *self = object;
    if (self->serial != serial || self->pipe != NULL)
        return;
    if (!can_connect(self)) {
        try_later(self);
        return;
    }
    struct pipe *pipe = take_pipe(world);
    pipe->link = self;
    pipe->peer = self->peer;
    pipe->router = self->router;
    pipe->broker = self->broker;
    name_pipe(pipe, self);
    if (pipe->is_parked)
        mark(world, MARK_PARKED);
    pipe->is_known = true;
    list_append(&pipe->router->pipes, &pipe->in_broker);
    self->pipe = pipe;
    self->has_up = true;
    note(world, self->peer, "connects to broker%llu, pipe %llu", self->broker->index, pipe->serial,
         0);
    node_poke(self->peer);
}

static void
try_to_connect(struct world *world, void *object, uint64_t serial)
{
    struct link *self = object;
    if (self->serial != serial || self->pipe != NULL)
        return;
    if (can_connect(self))
        world_at(world, world->now_ns + 3 * latency(world), shake_hands, self, serial);
    else
        try_later(self);
}

// ---- links --------------------------------------------------------------------------------------

struct link *
link_open(struct node *peer, uint32_t slot, uint32_t router, struct view name)
{
    struct world *world = peer->world;
    struct links *links = world->links;
    struct link *self = NULL;
    for (uint32_t i = 0; i < links->link_count && self == NULL; i++)
        if (!links->links[i]->is_used)
            self = links->links[i];
    if (self == NULL) {
        if (links->link_count == LINKS_MAX)
            world_fail(world, "W4 memory_and_fds_bounded", "%u sockets", links->link_count);
        self = links->links[links->link_count++] = world_take(world, sizeof *self);
    }
    *self = (struct link){.is_used = true,
                          .serial = ++links->serial,
                          .peer = peer,
                          .slot = slot,
                          .router = &links->routers[router],
                          .broker = links->routers[router].node};
    self->name_size = (uint8_t)name.size;
    if (name.size > 0)
        memcpy(self->name, name.data, name.size);
    note(world, peer, "opens socket %llu to broker%llu", self->serial, self->broker->index, 0);
    world_at(world, world->now_ns + roll(world, STREAM_LINKS, ms), try_to_connect, self,
             self->serial);
    return self;
}

// lose_tail loses what is under way from some message on: the rest was with the kernel.
static void
lose_tail(struct world *world, struct mail *mail)
{
    uint64_t kept = roll(world, STREAM_LINKS, mail->count + 1);
    struct mail rest = *mail;
    *mail = (struct mail){0};
    struct message *message;
    while ((message = mail_take(&rest)) != NULL) {
        if (mail->count < kept) {
            mail_append(mail, message);
        } else {
            mark(world, MARK_CUT_IN_FLIGHT);
            world_give(world, message);
        }
    }
}

void
link_close(struct link *self, bool lingers)
{
    struct world *world = self->peer->world;
    struct pipe *pipe = self->pipe;
    note(world, self->peer, "closes socket %llu", self->serial, 0, 0);
    mail_clear(world, &self->inbox);
    self->is_used = false;
    self->serial = 0;
    if (pipe == NULL)
        return;
    pipe->link = NULL;
    lose_mail(world, pipe, LANE_DOWN);
    if (!lingers)
        lose_tail(world, &pipe->lanes[LANE_UP]);
    uint64_t end_ns = pipe->last_arrival_ns[LANE_UP];
    if (end_ns < world->now_ns)
        end_ns = world->now_ns;
    // A closed socket waits a second for a peer that does not take what is left.
    if (pipe->stalled_until_ns[LANE_UP] > end_ns)
        end_ns = world->now_ns + world->plan.patience_ns;
    world_at(world, end_ns + latency(world), router_learns, pipe, pipe->serial);
}

// ---- carrying -----------------------------------------------------------------------------------

static void
hand_over(struct world *world, struct pipe *self, enum lane lane, struct message *message)
{
    if (lane == LANE_UP && !self->is_parked && self->broker->is_alive) {
        self->unread++;
        mail_append(&self->router->inbox, message);
        node_poke(self->broker);
    } else if (lane == LANE_DOWN && self->link != NULL) {
        mail_append(&self->link->inbox, message);
        node_poke(self->peer);
    } else {
        world_give(world, message);
    }
}

// lose_breath: a socket that is not read does not answer the links' heartbeats either
// (mdp.md, Z15), so the peer gives it up.
static void
lose_breath(struct world *world, void *object, uint64_t serial)
{
    struct pipe *self = object;
    if (self->serial != serial || self->is_cut || self->unread_since_ns == 0 ||
        world->now_ns - self->unread_since_ns < world->plan.patience_ns)
        return;
    mark(world, MARK_RECEIVE_MARK_CUT);
    pipe_cut(self);
}

// has_room: what a broker does not read stays where it is, until the writer's own mark is
// reached (ZMQ_RCVHWM). Workers and clients of ours have no such mark.
static bool
has_room(struct world *world, struct pipe *self, enum lane lane)
{
    if (lane == LANE_DOWN || self->unread < world->plan.receive_mark) {
        if (lane == LANE_UP)
            self->unread_since_ns = 0;
        return true;
    }
    mark(world, MARK_RECEIVE_MARK);
    if (self->unread_since_ns == 0) {
        self->unread_since_ns = world->now_ns;
        world_at(world, world->now_ns + world->plan.patience_ns, lose_breath, self, self->serial);
    }
    return false;
}

static void
arrive(struct world *world, struct pipe *self, enum lane lane)
{
    struct mail *mail = &self->lanes[lane];
    if (self->stalled_until_ns[lane] > world->now_ns)
        return;
    while (mail->first != NULL && mail->first->arrive_ns <= world->now_ns &&
           has_room(world, self, lane))
        hand_over(world, self, lane, mail_take(mail));
}

static void
arrive_up(struct world *world, void *object, uint64_t serial)
{
    struct pipe *self = object;
    if (self->serial == serial && self->is_known)
        arrive(world, self, LANE_UP);
}

static void
arrive_down(struct world *world, void *object, uint64_t serial)
{
    struct pipe *self = object;
    if (self->serial == serial && self->link != NULL)
        arrive(world, self, LANE_DOWN);
}

static enum sent
send_over(struct pipe *self, enum lane lane, const struct draft *draft)
{
    struct world *world = self->broker->world;
    struct mail *mail = &self->lanes[lane];
    if (mail->count >= world->plan.hwm)
        return SENT_FULL;
    // Nobody will have it, and nobody knows that yet.
    if (self->is_cut || (lane == LANE_DOWN && self->link == NULL))
        return SENT_TAKEN;
    struct message *message = message_make(world, view_of(self->id, self->id_size), draft);
    uint64_t at_ns = world->now_ns + latency(world);
    if (at_ns < self->last_arrival_ns[lane])
        at_ns = self->last_arrival_ns[lane];
    self->last_arrival_ns[lane] = message->arrive_ns = at_ns;
    message->pipe = self;
    message->serial = self->serial;
    mail_append(mail, message);
    world_at(world, at_ns, lane == LANE_UP ? arrive_up : arrive_down, self, self->serial);
    return SENT_TAKEN;
}

enum sent
link_send(struct link *self, const struct draft *draft)
{
    if (self->pipe == NULL) // ZMQ_IMMEDIATE
        return SENT_FULL;
    return send_over(self->pipe, LANE_UP, draft);
}

enum sent
router_send(struct router *self, struct view routing_id, const struct draft *draft)
{
    list_each (node, &self->pipes) {
        struct pipe *pipe = list_object(node, struct pipe, in_broker);
        if (!pipe->is_parked && view_equals(view_of(pipe->id, pipe->id_size), routing_id))
            return send_over(pipe, LANE_DOWN, draft);
    }
    return SENT_GONE;
}

struct message *
router_take(struct router *self)
{
    struct message *message = mail_take(&self->inbox);
    if (message == NULL || message->pipe->serial != message->serial)
        return message;
    message->pipe->unread--;
    message->pipe->unread_since_ns = 0;
    if (message->pipe->is_known)
        arrive(self->node->world, message->pipe, LANE_UP);
    return message;
}

enum link_news
link_news(struct link *self)
{
    if (self->has_down) {
        self->has_down = self->is_up_said = false;
        return LINK_BROKEN;
    }
    if (self->has_up) {
        self->has_up = false;
        self->is_up_said = true;
        return LINK_MADE;
    }
    return LINK_QUIET;
}

bool
link_was_refused(struct link *self)
{
    bool was_refused = self->has_refused;
    self->has_refused = false;
    return was_refused;
}

// ---- trouble ------------------------------------------------------------------------------------

static void
end_of_router(struct world *world, struct router *router)
{
    mail_clear(world, &router->inbox);
    struct list_node *node;
    while ((node = list_first(&router->pipes)) != NULL) {
        struct pipe *pipe = list_object(node, struct pipe, in_broker);
        lose_mail(world, pipe, LANE_UP);
        lose_tail(world, &pipe->lanes[LANE_DOWN]);
        pipe->is_known = false;
        list_remove(&router->pipes, &pipe->in_broker);
        pipe->is_cut = true;
        uint64_t end_ns = pipe->last_arrival_ns[LANE_DOWN];
        if (end_ns < world->now_ns)
            end_ns = world->now_ns;
        world_at(world, end_ns + latency(world), dealer_learns, pipe, pipe->serial);
        release_if_over(world, pipe);
    }
}

void
links_end_of_broker(struct world *world, struct node *broker)
{
    for (uint32_t i = 0; i < ROUTERS_MAX; i++)
        if (links_router(world, i)->node == broker)
            end_of_router(world, links_router(world, i));
}

static bool
is_stalled(const struct pipe *self)
{
    uint64_t now_ns = self->broker->world->now_ns;
    return self->stalled_until_ns[LANE_UP] > now_ns || self->stalled_until_ns[LANE_DOWN] > now_ns;
}

static void
go_on(struct world *world, void *object, uint64_t serial)
{
    struct pipe *self = object;
    if (self->serial != serial || self->is_cut || is_stalled(self))
        return;
    self->stalled_since_ns = 0;
    if (self->lanes[LANE_UP].count + self->lanes[LANE_DOWN].count > 0)
        mark(world, MARK_BURST);
    if (self->is_known)
        arrive(world, self, LANE_UP);
    if (self->link != NULL)
        arrive(world, self, LANE_DOWN);
}

// lose_patience: the links' own heartbeats have been missing for too long.
static void
lose_patience(struct world *world, void *object, uint64_t serial)
{
    struct pipe *self = object;
    if (self->serial != serial || self->is_cut || self->stalled_since_ns == 0 ||
        world->now_ns - self->stalled_since_ns < world->plan.patience_ns)
        return;
    mark(world, MARK_HALF_OPEN_ENDED);
    pipe_cut(self);
}

void
pipe_stall(struct pipe *self, uint32_t lanes, uint64_t until_ns)
{
    struct world *world = self->broker->world;
    note(world, self->peer, "pipe %llu carries nothing until %llu ms, lanes %llu", self->serial,
         until_ns / ms, lanes);
    for (uint32_t i = 0; i < LANES; i++)
        if ((lanes >> i & 1) && self->stalled_until_ns[i] < until_ns)
            self->stalled_until_ns[i] = until_ns;
    if (self->stalled_since_ns == 0)
        self->stalled_since_ns = world->now_ns;
    world_at(world, until_ns, go_on, self, self->serial);
    uint64_t patience_ns = world->plan.patience_ns + roll(world, STREAM_LINKS, 1000 * ms);
    world_at(world, world->now_ns + patience_ns, lose_patience, self, self->serial);
}

void
links_block(struct world *world, const struct node *peer, const struct node *broker,
            uint64_t until_ns)
{
    note(world, peer, "cannot connect to broker%llu until %llu ms", broker->index, until_ns / ms,
         0);
    world->links->blocked_until_ns[peer->number][broker->index] = until_ns;
}

void
links_freeze(struct node *node, uint64_t until_ns)
{
    struct links *links = node->world->links;
    node->frozen_until_ns = until_ns;
    for (uint32_t i = 0; i < links->pipe_count; i++) {
        struct pipe *pipe = links->pipes[i];
        if (pipe->is_used && !pipe->is_cut && (pipe->peer == node || pipe->broker == node))
            pipe_stall(pipe, 1 << LANE_UP | 1 << LANE_DOWN, until_ns);
    }
}

void
links_heal(struct world *world)
{
    struct links *links = world->links;
    memset(links->blocked_until_ns, 0, sizeof links->blocked_until_ns);
    for (uint32_t i = 0; i < links->pipe_count; i++) {
        struct pipe *pipe = links->pipes[i];
        if (!pipe->is_used || !is_stalled(pipe))
            continue;
        pipe->stalled_until_ns[LANE_UP] = pipe->stalled_until_ns[LANE_DOWN] = world->now_ns;
        go_on(world, pipe, pipe->serial);
    }
}

struct pipe *
links_pick(struct world *world, uint64_t number)
{
    struct links *links = world->links;
    for (uint32_t i = 0; i < links->pipe_count; i++) {
        struct pipe *pipe = links->pipes[(number + i) % links->pipe_count];
        if (pipe->is_used && pipe->is_known && !pipe->is_cut)
            return pipe;
    }
    return NULL;
}
