// hostile_node.c - a peer that breaks every rule, and wants to take others with it.
//
// It sends sound records at the wrong time, broken ones at any time, repeats itself,
// forges tickets, floods, registers twice, and answers what it was never given. It never
// registers for a service that others serve: whoever a broker lets do that may answer as
// it likes, and only keys and roles could keep it out.

#include "check.h"
#include "nodes.h"

enum { TICKETS_KEPT = 8, FRAME_BYTES_MAX = 600, SCRATCH_BYTES = 4096 };

static const uint64_t ms = 1000000;

struct hostile_node {
    struct node node;
    struct link *links[LINKS_OF_NODE];
    uint64_t next_ns;                    // when it says something again
    struct ticket tickets[TICKETS_KEPT]; // that it was given
    uint32_t ticket_count;
    uint8_t scratch[SCRATCH_BYTES];
    size_t scratch_used;
    struct draft draft;
};

static struct hostile_node *
self_of(struct node *node)
{
    return (struct hostile_node *)node;
}

static uint64_t
dice(const struct hostile_node *self, uint64_t bound)
{
    return roll(self->node.world, STREAM_TROUBLE, bound);
}

// ---- what it says ------------------------------------------------------------------------

static struct view
noise(struct hostile_node *self, size_t size)
{
    if (self->scratch_used + size > SCRATCH_BYTES)
        size = SCRATCH_BYTES - self->scratch_used;
    uint8_t *bytes = self->scratch + self->scratch_used;
    self->scratch_used += size;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)dice(self, 256);
    return view_of(bytes, size);
}

static struct view
any_service(struct hostile_node *self, bool is_ready)
{
    static const uint8_t text[300] = "a name that is too long";
    switch (dice(self, is_ready ? 6 : 8)) {
    case 0:
        return VIEW_LITERAL("hostile");
    case 1:
        return VIEW_LITERAL("mmi.service");
    case 2:
        return VIEW_LITERAL("mmi.");
    case 3:
        return view_of(text, 255); // with NULs
    case 4:
        return VIEW_LITERAL("hostile too");
    case 5:
        return noise(self, dice(self, 20)); // another one each time
    default:
        return swarm_service((uint32_t)dice(self, self->node.world->plan.services));
    }
}

// any_ticket is one that it was given, nearly such a one, or none at all.
static struct ticket
any_ticket(struct hostile_node *self)
{
    struct ticket ticket;
    struct view random = noise(self, sizeof ticket.bytes);
    memset(ticket.bytes, 0, sizeof ticket.bytes);
    memcpy(ticket.bytes, random.data, random.size);
    if (self->ticket_count == 0 || dice(self, 4) == 0)
        return ticket;
    ticket = self->tickets[dice(self, self->ticket_count)];
    if (dice(self, 3) == 0)
        ticket.bytes[dice(self, sizeof ticket.bytes)] ^= (uint8_t)(1 << dice(self, 8));
    return ticket;
}

static enum mdp_command
any_command(const struct hostile_node *self, mdp_dialect_t dialect, enum mdp_side side)
{
    static const enum mdp_command of_worker[] = {
        MDP_READY, MDP_FINAL, MDP_HEARTBEAT, MDP_FINAL, MDP_PARTIAL, MDP_DISCONNECT, MDP_DRAIN};
    static const enum mdp_command of_client[] = {MDP_REQUEST, MDP_REQUEST, MDP_CANCEL,
                                                 MDP_HEARTBEAT};
    if (side == MDP_CLIENT_SIDE)
        return dialect == MDP_G1 ? of_client[dice(self, 4)] : MDP_REQUEST;
    enum mdp_command command = of_worker[dice(self, dialect == MDP_G1 ? 7 : 6)];
    return command == MDP_PARTIAL && dialect == MDP_01 ? MDP_READY : command;
}

static struct mdp_record
any_record(struct hostile_node *self)
{
    static const uint32_t numbers[] = {0, 1, 2, 99, 100, 60000, 60001, UINT32_MAX};
    static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
    struct mdp_record record = {.dialect = dialects[dice(self, 3)],
                                .side = dice(self, 2) == 0 ? MDP_CLIENT_SIDE : MDP_WORKER_SIDE};
    record.command = any_command(self, record.dialect, record.side);
    record.service = any_service(self, record.command == MDP_READY);
    record.id = dice(self, 4);
    record.ticket = any_ticket(self);
    record.credit = numbers[dice(self, 8)];
    record.interval_ms = numbers[dice(self, 8)];
    record.ttl_ms = numbers[dice(self, 8)];
    record.reason = numbers[dice(self, 8)];
    record.seq = (uint32_t)dice(self, 3);
    record.parts = (uint16_t)dice(self, 3);
    record.status = (uint16_t)(dice(self, 2) == 0 ? 200 : dice(self, 700));
    record.flags = (uint8_t)(dice(self, 4) == 0 ? MDP_FLAG_NO_QUEUE : 0);
    return record;
}

// spoil drops, doubles, cuts or changes a frame.
static void
spoil(struct hostile_node *self)
{
    struct draft *draft = &self->draft;
    size_t at = dice(self, draft->frame_count);
    struct view *frame = &draft->frames[at];
    switch (dice(self, 5)) {
    case 0:
        memmove(frame, frame + 1, (--draft->frame_count - at) * sizeof *frame);
        break;
    case 1:
        draft_add(draft, *frame);
        break;
    case 2:
        frame->size = dice(self, frame->size + 1);
        break;
    case 3:
        *frame = noise(self, frame->size < FRAME_BYTES_MAX ? frame->size : FRAME_BYTES_MAX);
        break;
    default: {
        size_t size = frame->size < FRAME_BYTES_MAX ? frame->size : FRAME_BYTES_MAX;
        struct view changed = noise(self, size);
        uint8_t *bytes = self->scratch + self->scratch_used - changed.size;
        if (changed.size > 0) {
            memcpy(bytes, frame->data, changed.size);
            bytes[dice(self, changed.size)] ^= (uint8_t)(1 << dice(self, 8));
        }
        *frame = changed;
    }
    }
}

static void
draft_any(struct hostile_node *self, struct pack *pack)
{
    self->scratch_used = 0;
    draft_begin(&self->draft);
    if (dice(self, 10) == 0) {
        for (uint64_t i = dice(self, 6); i > 0; i--)
            draft_add(&self->draft, noise(self, dice(self, 40)));
        return;
    }
    struct view frames[3] = {VIEW_NONE, noise(self, dice(self, 100)), VIEW_LITERAL("x")};
    struct mdp_record record = any_record(self);
    record.body = mdp_body_of(frames, dice(self, 4));
    if (record.dialect != MDP_G1) {
        draft_record(&self->draft, &record, dice(self, 4) != 0, NULL);
    } else {
        for (uint64_t i = dice(self, 4); i > 0 && pack_fits(pack, &record); i--)
            pack_add(pack, &record, &(struct pack_entry){record.side, record.command, 0, NULL});
        if (pack->used == 0)
            pack_add(pack, &record, &(struct pack_entry){record.side, record.command, 0, NULL});
        draft_pack(&self->draft, pack);
    }
    if (dice(self, 3) == 0)
        spoil(self);
}

static void
attack(struct hostile_node *self)
{
    struct pack pack = {.world = self->node.world};
    struct link *link = self->links[dice(self, LINKS_OF_NODE)];
    draft_any(self, &pack);
    uint64_t times = dice(self, 8) == 0 ? dice(self, 50) : 1;
    note(self->node.world, &self->node, "says something, %llu times, %llu frames", times,
         self->draft.frame_count, 0);
    for (uint64_t i = 0; i < times && link != NULL && self->draft.frame_count > 0; i++)
        (void)link_send(link, &self->draft);
    pack_clear(&pack);
    world_give(self->node.world, pack.bytes);
    world_give(self->node.world, pack.entries);
}

// ---- what it hears -----------------------------------------------------------------------

static void
read_tickets(struct hostile_node *self, const struct message *message)
{
    static const struct mdp_limits limits = {.frames_max = 4096, .bytes_max = SIZE_MAX};
    struct mdp_reader reader;
    struct mdp_record record;
    if (mdp_wire_begin(&reader, message->frames + 1, message->frame_count - 1, MDP_FROM_BROKER,
                       false, &limits) != MDP_SOUND)
        return;
    while (mdp_wire_next(&reader, &record)) {
        if (record.command != MDP_REQUEST || record.fault != MDP_SOUND)
            continue;
        struct ticket ticket = record.ticket;
        if (record.dialect != MDP_G1 && !ticket_from_text(record.address, &ticket))
            continue;
        self->tickets[dice(self, TICKETS_KEPT)] = ticket;
        self->ticket_count = TICKETS_KEPT;
    }
}

// ---- the node ----------------------------------------------------------------------------

static void
wake(struct node *node)
{
    struct hostile_node *self = self_of(node);
    struct world *world = node->world;
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        struct message *message;
        while (self->links[i] != NULL && (message = mail_take(&self->links[i]->inbox)) != NULL) {
            read_tickets(self, message);
            world_give(world, message);
        }
        // Now and then it goes, and comes back as somebody else.
        if (self->links[i] != NULL && dice(self, 200) == 0) {
            link_close(self->links[i], dice(self, 2) == 0);
            self->links[i] = NULL;
        }
        if (self->links[i] == NULL)
            self->links[i] = link_open(node, i, i, VIEW_NONE);
        (void)link_news(self->links[i]);
    }
    if (world->now_ns < self->next_ns)
        return;
    attack(self);
    self->next_ns = world->now_ns + roll_gap(world, STREAM_TROUBLE, 50 * ms);
}

static void
start(struct node *node)
{
    self_of(node)->ticket_count = 0;
    self_of(node)->next_ns = node->world->now_ns;
}

static void
kill(struct node *node)
{
    struct hostile_node *self = self_of(node);
    for (uint32_t i = 0; i < LINKS_OF_NODE; i++) {
        if (self->links[i] != NULL)
            link_close(self->links[i], false);
        self->links[i] = NULL;
    }
}

static uint64_t
deadline(const struct node *node)
{
    return clock_of(&node->clock, ((const struct hostile_node *)node)->next_ns);
}

static void
audit(const struct node *node)
{
    (void)node;
}

static const struct node_kind hostile_kind = {"hostile", start, kill, wake, deadline, audit, NULL};

void
hostile_node_add(struct world *world)
{
    struct hostile_node *self = world_take_zeroed(world, sizeof *self);
    struct clock_plan clock = {0};
    world_add_node(world, &self->node, &hostile_kind, 0, &clock);
}
