// pirate_stranger.c - a peer of queues and servers that keeps to no rule, or only floods.
//
// At a frontend it sends requests in hundreds, with stacks of every length, and what is no
// request; at a backend it says it is a worker, takes requests and answers them wrongly, twice,
// under another's ticket, or never. What it was handed is tainted: nothing is asked of its answer.

#include "check.h"
#include "pirates.h"
#include "workload.h"

enum { DOORS = ROUTERS_MAX, WORDS = 8, TICKETS_KEPT = 8 };

static const uint64_t ms = 1000000;

struct stranger {
    struct node node;
    struct link *links[DOORS];
    uint64_t next_ns;
    uint8_t tickets[TICKETS_KEPT][TICKET_TEXT_BYTES];
    bool has_tickets;
    uint8_t noise[64];
};

static struct stranger *
self_of(struct node *node)
{
    return (struct stranger *)node;
}

static uint64_t
dice(const struct stranger *self, uint64_t bound)
{
    return roll(self->node.world, STREAM_TROUBLE, bound);
}

static bool
is_backend(uint32_t door)
{
    return door >= BROKERS_MAX;
}

static bool
is_there(const struct stranger *self, uint32_t door)
{
    const struct plan *plan = &self->node.world->plan;
    uint32_t site = door % BROKERS_MAX;
    if (site >= plan->brokers)
        return false;
    return !is_backend(door) || (plan->pirates.has_stranger && plan->pirates.site[site].is_queue);
}

// ---- what it says -------------------------------------------------------------------------------

// any_ticket is one that it was given, nearly such a one, or none at all.
static struct view
any_ticket(struct stranger *self)
{
    uint8_t *bytes = self->noise;
    for (size_t i = 0; i < TICKET_TEXT_BYTES; i++)
        bytes[i] = (uint8_t)('0' + dice(self, 10));
    if (self->has_tickets && dice(self, 4) != 0)
        memcpy(bytes, self->tickets[dice(self, TICKETS_KEPT)], TICKET_TEXT_BYTES);
    if (dice(self, 4) == 0)
        bytes[dice(self, TICKET_TEXT_BYTES)] ^= 1;
    return view_of(bytes, TICKET_TEXT_BYTES);
}

static struct view
any_frame(struct stranger *self)
{
    static const uint8_t words[WORDS] = {0, 1, 2, 3};
    switch (dice(self, 5)) {
    case 0:
        return VIEW_NONE;
    case 1:
        return view_of(words, dice(self, WORDS));
    case 2:
        return any_ticket(self);
    default:
        return view_of(&words[dice(self, 4)], 1);
    }
}

static void
draft_worker(struct stranger *self, uint32_t door, struct draft *draft)
{
    static const uint8_t control[] = {1, 2};
    uint32_t site = door % BROKERS_MAX;
    bool is_simple = self->node.world->plan.pirates.site[site].queue.dialect == PIRATE_SIMPLE;
    if (is_simple)
        draft_add(draft, VIEW_NONE);
    switch (dice(self, 4)) {
    case 0:
        draft_add(draft, view_of(control, 1));
        break;
    case 1:
        draft_add(draft, view_of(control + 1, 1));
        break;
    default:
        draft_add(draft, any_ticket(self));
        draft_add(draft, VIEW_NONE);
        draft_add(draft, VIEW_LITERAL("whatever"));
    }
}

static void
draft_client(struct stranger *self, struct draft *draft)
{
    for (uint64_t i = dice(self, 3); i > 0; i--)
        draft_add(draft, VIEW_LITERAL("proxy"));
    draft_add(draft, VIEW_NONE);
    draft_add(draft, VIEW_LITERAL("whatever"));
}

// flood is what breaks no rule, and is too much.
static void
flood(struct stranger *self, uint32_t door)
{
    struct draft draft;
    draft_begin(&draft);
    draft_client(self, &draft);
    mark(self->node.world, MARK_PIRATE_FLOOD);
    for (uint64_t i = dice(self, 200); i > 0; i--)
        (void)link_send(self->links[door], &draft);
}

static void
attack(struct stranger *self, uint32_t door)
{
    struct draft draft;
    draft_begin(&draft);
    if (dice(self, 3) == 0)
        for (uint64_t i = 1 + dice(self, 12); i > 0; i--)
            draft_add(&draft, any_frame(self));
    else if (is_backend(door))
        draft_worker(self, door, &draft);
    else
        draft_client(self, &draft);
    for (uint64_t i = dice(self, 8) == 0 ? dice(self, 30) : 1; i > 0; i--)
        (void)link_send(self->links[door], &draft);
}

static void
say_something(struct stranger *self)
{
    struct world *world = self->node.world;
    uint32_t door = (uint32_t)dice(self, DOORS);
    if (self->links[door] == NULL)
        return;
    note(world, &self->node, "says something to %llu", door, 0, 0);
    if (!is_backend(door) && has(world, FAULT_FLOOD) && dice(self, 8) == 0)
        flood(self, door);
    else if (world->plan.pirates.has_stranger)
        attack(self, door);
}

// ---- what it hears ------------------------------------------------------------------------------

static void
read_ticket(struct stranger *self, const struct message *message)
{
    struct mdp_body body = {0};
    uint64_t call = 0, run = 0;
    for (size_t i = 1; i < message->frame_count; i++) {
        if (message->frames[i].size == TICKET_TEXT_BYTES && i < 3) {
            memcpy(self->tickets[dice(self, TICKETS_KEPT)], message->frames[i].data,
                   TICKET_TEXT_BYTES);
            self->has_tickets = true;
        }
        body = mdp_body_of(&message->frames[i], message->frame_count - i);
        workload_name_of(&body, &call, &run);
    }
    mark(self->node.world, MARK_PIRATE_LIAR);
    check_taint(self->node.world, call);
}

// ---- the node -----------------------------------------------------------------------------------

static void
serve_door(struct stranger *self, uint32_t door)
{
    struct message *message;
    while (self->links[door] != NULL && (message = mail_take(&self->links[door]->inbox)) != NULL) {
        if (is_backend(door) && message->frame_count > 3)
            read_ticket(self, message);
        world_give(self->node.world, message);
    }
    // Now and then it goes, and comes back as somebody else.
    if (self->links[door] != NULL && dice(self, 200) == 0) {
        link_close(self->links[door], dice(self, 2) == 0);
        self->links[door] = NULL;
    }
    if (self->links[door] == NULL)
        self->links[door] = link_open(&self->node, 0, door, VIEW_NONE);
    (void)link_news(self->links[door]);
}

static void
wake(struct node *node)
{
    struct stranger *self = self_of(node);
    struct world *world = node->world;
    for (uint32_t i = 0; i < DOORS; i++)
        if (is_there(self, i))
            serve_door(self, i);
    if (world->now_ns < self->next_ns)
        return;
    say_something(self);
    self->next_ns = world->now_ns + roll_gap(world, STREAM_TROUBLE, 200 * ms);
}

static void
start(struct node *node)
{
    self_of(node)->has_tickets = false;
    self_of(node)->next_ns = node->world->now_ns;
}

static void
kill(struct node *node)
{
    struct stranger *self = self_of(node);
    for (uint32_t i = 0; i < DOORS; i++) {
        if (self->links[i] != NULL)
            link_close(self->links[i], false);
        self->links[i] = NULL;
    }
}

static uint64_t
deadline(const struct node *node)
{
    return clock_of(&node->clock, ((const struct stranger *)node)->next_ns);
}

static void
audit(const struct node *node)
{
    (void)node;
}

static const struct node_kind stranger_kind = {"hostile", start, kill, wake, deadline, audit, NULL};

void
pirate_stranger_add(struct world *world)
{
    struct stranger *self = world_take_zeroed(world, sizeof *self);
    struct clock_plan clock = {0};
    world_add_node(world, &self->node, &stranger_kind, 0, &clock);
}
