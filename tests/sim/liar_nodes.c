// liar_nodes.c - two who are trusted and should not be: a worker that answers as it likes, and
// a broker that makes everything up.
//
// The liar registers for a service that others serve too. Of what it is given, some it
// answers wrongly, in parts that do not fit or twice, and some never. A broker cannot know
// better, so what holds of the calls that it was handed is only that they end; of all
// others, everything does.
//
// The false broker listens where a broker should. It reads what it is sent, and says what
// comes to its mind: forged answers and tickets, requests beyond any credit, wrong
// commands, broken frames, floods. Whoever asks it can expect nothing of the answer; but
// no core may break, keep more than its bounds, or take from it an answer to what another
// broker was asked.

#include "check.h"
#include "nodes.h"
#include "workload.h"

enum { TASKS_MAX = 64, IDS_KEPT = 16, NOISE_MAX = 300, SAYS_AT_ONCE_MAX = 60 };

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

static const struct mdp_limits no_limits = {.frames_max = 4096, .bytes_max = SIZE_MAX};

static uint64_t
dice(const struct node *node, uint64_t bound)
{
    return roll(node->world, STREAM_TROUBLE, bound);
}

static struct view
noise(const struct node *node, uint8_t bytes[NOISE_MAX])
{
    size_t size = dice(node, NOISE_MAX);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)dice(node, 256);
    return view_of(bytes, size);
}

// draft_one makes a message of a record.
static void
draft_one(struct draft *draft, struct pack *pack, struct mdp_record *record, bool has_delimiter)
{
    struct pack_entry entry = {record->side, record->command, 0, NULL};
    draft_begin(draft);
    if (record->dialect != MDP_G1) {
        draft_record(draft, record, has_delimiter, NULL);
        return;
    }
    pack_clear(pack);
    pack_add(pack, record, &entry);
    draft_pack(draft, pack);
}

static void
audit(const struct node *node)
{
    (void)node;
}

// ---- a worker that lies -------------------------------------------------------------------------

struct task { // a request that it was handed
    uint64_t call;
    struct ticket ticket;
    uint64_t due_ns;
    uint32_t broker;
};

struct liar_node {
    struct node node;
    uint32_t service;
    mdp_dialect_t dialect;
    struct link *links[LINKS_OF_NODE];
    struct pack pack;
    struct draft draft;
    struct task tasks[TASKS_MAX];
    uint32_t task_count;
    uint64_t beat_ns;
};

static struct liar_node *
liar_of(struct node *node)
{
    return (struct liar_node *)node;
}

static void
tell(struct liar_node *self, uint32_t broker, struct mdp_record *record)
{
    record->dialect = self->dialect;
    record->side = MDP_WORKER_SIDE;
    draft_one(&self->draft, &self->pack, record, true);
    if (self->links[broker] != NULL)
        (void)link_send(self->links[broker], &self->draft);
}

static void
answer_wrongly(struct liar_node *self, struct task *task)
{
    uint8_t bytes[NOISE_MAX], address[TICKET_TEXT_BYTES];
    struct node *node = &self->node;
    struct view frame = noise(node, bytes);
    struct mdp_record record = {.ticket = task->ticket, .body = mdp_body_of(&frame, 1)};
    ticket_to_text(&task->ticket, address);
    record.address = view_of(address, sizeof address);
    record.status = (uint16_t)(dice(node, 2) == 0 ? 200 : dice(node, 700));
    record.parts = (uint16_t)dice(node, 3);
    for (uint64_t i = self->dialect == MDP_01 ? 0 : dice(node, 4); i > 0; i--) {
        record.command = MDP_PARTIAL;
        record.seq = (uint32_t)dice(node, 3);
        tell(self, task->broker, &record);
    }
    record.command = MDP_FINAL;
    uint64_t times = dice(node, 3) == 0 ? 2 : 1;
    note(node->world, node, "answers call %llu wrongly, %llu times", task->call, times, 0);
    mark(node->world, MARK_LIAR_ANSWERED);
    for (uint64_t i = 0; i < times; i++)
        tell(self, task->broker, &record);
}

static void
take_task(struct liar_node *self, uint32_t broker, const struct mdp_record *record)
{
    struct world *world = self->node.world;
    struct task task = {.ticket = record->ticket,
                        .due_ns = world->now_ns + roll_gap(world, STREAM_TROUBLE, second),
                        .broker = broker};
    if (record->dialect != MDP_G1 && !ticket_from_text(record->address, &task.ticket))
        return;
    struct parcel *parcel = parcel_of_record(&self->node, record);
    workload_name(parcel);
    task.call = parcel->call;
    parcel_free(parcel);
    check_taint(world, task.call);
    // Some it keeps for ever.
    if (self->task_count < TASKS_MAX && dice(&self->node, 8) != 0)
        self->tasks[self->task_count++] = task;
}

static void
liar_reads(struct liar_node *self, uint32_t broker, const struct message *message)
{
    struct mdp_reader reader;
    struct mdp_record record;
    if (mdp_wire_begin(&reader, message->frames + 1, message->frame_count - 1, MDP_FROM_BROKER,
                       false, &no_limits) != MDP_SOUND)
        return;
    while (mdp_wire_next(&reader, &record))
        if (record.command == MDP_REQUEST && record.fault == MDP_SOUND)
            take_task(self, broker, &record);
}

static void
introduce(struct liar_node *self, uint32_t broker)
{
    struct mdp_record ready = {.command = MDP_READY,
                               .service = swarm_service(self->service),
                               .credit = 1 + (uint32_t)dice(&self->node, 8),
                               .interval_ms = self->node.world->plan.broker.heartbeat_ms};
    tell(self, broker, &ready);
}

static void
liar_beats(struct liar_node *self)
{
    struct world *world = self->node.world;
    if (world->now_ns < self->beat_ns)
        return;
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        struct mdp_record beat = {.command = MDP_HEARTBEAT,
                                  .interval_ms = world->plan.broker.heartbeat_ms};
        tell(self, i, &beat);
        if (dice(&self->node, 50) == 0) // it may have been lost; if not, it is a second one
            introduce(self, i);
    }
    self->beat_ns = world->now_ns + world->plan.broker.heartbeat_ms * ms;
}

static void
liar_wake(struct node *node)
{
    struct liar_node *self = liar_of(node);
    struct world *world = node->world;
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        struct message *message;
        if (self->links[i] == NULL)
            self->links[i] = link_open(node, i, i, VIEW_NONE);
        while ((message = mail_take(&self->links[i]->inbox)) != NULL) {
            liar_reads(self, i, message);
            world_give(world, message);
        }
        if (link_news(self->links[i]) == LINK_MADE)
            introduce(self, i);
    }
    for (uint32_t i = 0; i < self->task_count; i++) {
        struct task task = self->tasks[i];
        if (task.due_ns > world->now_ns)
            continue;
        self->tasks[i--] = self->tasks[--self->task_count];
        answer_wrongly(self, &task);
    }
    liar_beats(self);
}

static void
liar_start(struct node *node)
{
    static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1, MDP_G1};
    struct liar_node *self = liar_of(node);
    self->service = (uint32_t)dice(node, node->world->plan.services);
    self->dialect = dialects[dice(node, sizeof dialects / sizeof *dialects)];
    self->task_count = 0;
    self->beat_ns = node->world->now_ns;
}

static void
liar_kill(struct node *node)
{
    struct liar_node *self = liar_of(node);
    for (uint32_t i = 0; i < LINKS_OF_NODE; i++) {
        if (self->links[i] != NULL)
            link_close(self->links[i], false);
        self->links[i] = NULL;
    }
    pack_clear(&self->pack);
}

static uint64_t
liar_deadline(const struct node *node)
{
    const struct liar_node *self = (const struct liar_node *)node;
    uint64_t due_ns = self->beat_ns;
    for (uint32_t i = 0; i < self->task_count; i++)
        if (self->tasks[i].due_ns < due_ns)
            due_ns = self->tasks[i].due_ns;
    return clock_of(&node->clock, due_ns);
}

static const struct node_kind liar_kind = {"hostile",     liar_start, liar_kill, liar_wake,
                                           liar_deadline, audit,      NULL};

void
liar_node_add(struct world *world)
{
    struct liar_node *self = world_take_zeroed(world, sizeof *self);
    struct clock_plan clock = {0};
    self->pack.world = world;
    world_add_node(world, &self->node, &liar_kind, 1, &clock);
}

// ---- a broker that makes it up ------------------------------------------------------------------

struct false_broker {
    struct node node; // its index is a broker's
    struct router *router;
    struct pack pack;
    struct draft draft;
    uint64_t next_ns;
    uint64_t ids[IDS_KEPT]; // of requests
    uint64_t id_count;
};

static struct false_broker *
false_of(struct node *node)
{
    return (struct false_broker *)node;
}

static struct mdp_record
any_record(struct false_broker *self)
{
    static const enum mdp_command to_worker[] = {MDP_REQUEST,   MDP_REQUEST,   MDP_REQUEST,
                                                 MDP_HEARTBEAT, MDP_HEARTBEAT, MDP_DISCONNECT};
    static const enum mdp_command to_client[] = {MDP_FINAL, MDP_FINAL, MDP_PARTIAL, MDP_HEARTBEAT};
    static const uint32_t numbers[] = {0, 1, 2, 100, 60000, UINT32_MAX};
    static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1, MDP_G1};
    struct node *node = &self->node;
    struct mdp_record record = {.dialect = dialects[dice(node, 4)],
                                .side = dice(node, 2) == 0 ? MDP_CLIENT_SIDE : MDP_WORKER_SIDE};
    if (record.side == MDP_WORKER_SIDE)
        record.command = to_worker[dice(node, 6)];
    else if (record.dialect == MDP_G1)
        record.command = to_client[dice(node, 4)];
    else
        record.command = MDP_FINAL;
    for (size_t i = 0; i < sizeof record.ticket.bytes; i++)
        record.ticket.bytes[i] = (uint8_t)dice(node, 256);
    record.id = dice(node, 3) == 0 ? dice(node, 40) : self->ids[dice(node, IDS_KEPT)];
    record.service = swarm_service((uint32_t)dice(node, node->world->plan.services));
    record.status = (uint16_t)(dice(node, 3) == 0 ? dice(node, 700) : dice(node, 2) ? 200 : 503);
    record.parts = (uint16_t)dice(node, 3);
    record.seq = (uint32_t)dice(node, 4);
    record.attempt = numbers[dice(node, 6)];
    record.interval_ms = numbers[dice(node, 6)];
    record.reason = numbers[dice(node, 6)];
    return record;
}

static struct pipe *
any_pipe(struct false_broker *self)
{
    uint64_t number =
        self->router->pipes.size == 0 ? 0 : dice(&self->node, self->router->pipes.size);
    list_each (node, &self->router->pipes)
        if (number-- == 0)
            return list_object(node, struct pipe, in_broker);
    return NULL;
}

static void
say_something(struct false_broker *self)
{
    uint8_t bytes[NOISE_MAX], address[TICKET_TEXT_BYTES];
    struct node *node = &self->node;
    struct pipe *pipe = any_pipe(self);
    if (pipe == NULL)
        return;
    struct mdp_record record = any_record(self);
    struct view frame = noise(node, bytes);
    record.body = mdp_body_of(&frame, dice(node, 2));
    ticket_to_text(&record.ticket, address);
    record.address = view_of(address, sizeof address);
    draft_one(&self->draft, &self->pack, &record, dice(node, 8) != 0);
    uint64_t kind = dice(node, 6);
    if (kind == 0) // nonsense in place of a frame
        self->draft.frames[dice(node, self->draft.frame_count)] = frame;
    else if (kind == 1)
        draft_add(&self->draft, frame);
    else if (kind == 2)
        self->draft.frame_count--;
    uint64_t times = dice(node, 8) == 0 ? dice(node, SAYS_AT_ONCE_MAX) : 1;
    note(node->world, node, "makes up command %llu, side %llu, %llu times", record.command,
         record.side, times);
    mark(node->world, MARK_FALSE_BROKER_SPOKE);
    for (uint64_t i = 0; i < times && self->draft.frame_count > 0; i++)
        (void)router_send(self->router, view_of(pipe->id, pipe->id_size), &self->draft);
}

static void
false_reads(struct false_broker *self, const struct message *message)
{
    struct mdp_reader reader;
    struct mdp_record record;
    if (mdp_wire_begin(&reader, message->frames, message->frame_count, MDP_TO_BROKER, true,
                       &no_limits) != MDP_SOUND)
        return;
    while (mdp_wire_next(&reader, &record))
        if (record.command == MDP_REQUEST && record.fault == MDP_SOUND)
            self->ids[self->id_count++ % IDS_KEPT] = record.id;
}

static void
false_wake(struct node *node)
{
    struct false_broker *self = false_of(node);
    struct message *message;
    while ((message = router_take(self->router)) != NULL) {
        false_reads(self, message);
        world_give(node->world, message);
    }
    if (node->world->now_ns < self->next_ns)
        return;
    say_something(self);
    self->next_ns = node->world->now_ns + roll_gap(node->world, STREAM_TROUBLE, 50 * ms);
}

static void
false_start(struct node *node)
{
    struct false_broker *self = false_of(node);
    self->router = links_router(node->world, node->index);
    self->next_ns = node->world->now_ns;
}

static void
false_kill(struct node *node)
{
    links_end_of_broker(node->world, node);
    pack_clear(&false_of(node)->pack);
}

static uint64_t
false_deadline(const struct node *node)
{
    return clock_of(&node->clock, ((const struct false_broker *)node)->next_ns);
}

static const struct node_kind false_kind = {"hostile",      false_start, false_kill, false_wake,
                                            false_deadline, audit,       NULL};

void
false_broker_add(struct world *world, uint32_t index)
{
    struct false_broker *self = world_take_zeroed(world, sizeof *self);
    struct clock_plan clock = {0};
    self->pack.world = world;
    world_add_node(world, &self->node, &false_kind, index, &clock);
    links_router(world, index)->node = &self->node;
}
