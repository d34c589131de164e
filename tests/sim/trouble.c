// trouble.c - faults of links, clocks and processes.
//
// One thing happens at a time, to something drawn; how long it lasts is drawn so that it is
// as often shorter as longer than what anybody's patience is. What applications do wrong
// (slow, hung, dying, errors) is in worker_node.c, what memory does is where memory is
// asked for.

#include "trouble.h"

#include "nodes.h"
#include "pairs.h"
#include "pirates.h"

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

// a_while is 1 ms to 60 s; each size is as likely as the others.
static uint64_t
a_while(struct world *world)
{
    uint64_t longest_ms = (uint64_t)1 << roll_between(world, STREAM_TROUBLE, 0, 16);
    uint64_t while_ms = roll_between(world, STREAM_TROUBLE, (longest_ms + 1) / 2, longest_ms);
    return (while_ms < 60000 ? while_ms : 60000) * ms;
}

// pick is a node of a kind, NULL where none of them is alive.
static struct node *
pick(struct world *world, const char *kind)
{
    uint64_t first = roll(world, STREAM_TROUBLE, world->node_count);
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct node *node = world->nodes[(first + i) % world->node_count];
        if (node->is_alive && (kind == NULL || node_is(node, kind)))
            return node;
    }
    return NULL;
}

static void
restart(struct node *node)
{
    struct world *world = node->world;
    node_kill(node);
    // Half of them come back at once, the others take their time.
    uint64_t away_ns = roll(world, STREAM_TROUBLE, 2) == 0 ? roll(world, STREAM_TROUBLE, 500 * ms)
                                                           : a_while(world);
    node_start_after(node, away_ns);
}

static void
kill_one(struct world *world, const char *kind, enum mark which)
{
    struct node *node = pick(world, kind);
    if (node == NULL)
        return;
    mark(world, which);
    restart(node);
}

// stand lets a process stand still, with all its parts.
static void
stand(struct node *node, bool is_frozen, uint64_t until_ns)
{
    struct world *world = node->world;
    struct node *whole = node->whole != NULL ? node->whole : node;
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct node *part = world->nodes[i];
        if (part != whole && part->whole != whole)
            continue;
        if (is_frozen)
            links_freeze(part, until_ns);
        node_stand(part, until_ns);
    }
}

// ---- links --------------------------------------------------------------------------------------

static void
stall_one(struct world *world, bool is_long)
{
    struct pipe *pipe = links_pick(world, roll(world, STREAM_TROUBLE, PIPES_MAX));
    uint32_t lanes = (uint32_t)roll_between(world, STREAM_TROUBLE, 1, 3);
    uint64_t longest_ns = world->plan.patience_ns;
    uint64_t while_ns =
        is_long ? longest_ns + a_while(world) + second : roll(world, STREAM_TROUBLE, longest_ns);
    if (pipe != NULL)
        pipe_stall(pipe, lanes, world->now_ns + while_ns);
}

static void
clog_router(struct world *world, const struct router *router)
{
    list_each (node, &router->pipes) {
        struct pipe *pipe = list_object(node, struct pipe, in_broker);
        if (!pipe->is_cut && roll(world, STREAM_TROUBLE, 4) != 0)
            pipe_stall(pipe, 3, world->now_ns + roll(world, STREAM_TROUBLE, 3 * second));
    }
}

// clog_all is what happens to a switch: everything to one broker stands still, and goes on
// one after the other.
static void
clog_all(struct world *world)
{
    struct node *broker = pick(world, "broker");
    if (broker == NULL)
        return;
    for (uint32_t i = 0; i < ROUTERS_MAX; i++)
        if (links_router(world, i)->node == broker)
            clog_router(world, links_router(world, i));
}

static void
cut_some(struct world *world)
{
    uint64_t count = roll(world, STREAM_TROUBLE, 4) == 0 ? 5 : 1;
    for (uint64_t i = 0; i < count; i++) {
        struct pipe *pipe = links_pick(world, roll(world, STREAM_TROUBLE, PIPES_MAX));
        if (pipe != NULL)
            pipe_cut(pipe);
    }
}

static void
block_one(struct world *world)
{
    struct node *peer = pick(world, NULL);
    struct node *broker = pick(world, "broker");
    if (peer != NULL && broker != NULL)
        links_block(world, peer, broker, world->now_ns + a_while(world));
}

// ---- processes ----------------------------------------------------------------------------------

static void
pause_one(struct world *world, bool is_frozen)
{
    struct node *node = pick(world, roll(world, STREAM_TROUBLE, 2) == 0 ? "broker" : NULL);
    if (node == NULL)
        return;
    uint64_t while_ns = a_while(world);
    note(world, node, "stands still for %llu ms, frozen %llu", while_ns / ms, is_frozen, 0);
    stand(node, is_frozen, world->now_ns + while_ns);
}

// suspend_one: what a machine sleeps is a moment to everybody else, so that worlds are not long.
// But members of a pair count on each other's clocks: to them it takes its time.
static void
suspend_one(struct world *world)
{
    struct node *node = pick(world, roll(world, STREAM_TROUBLE, 2) == 0 ? "broker" : NULL);
    if (node == NULL)
        return;
    struct node *whole = node->whole != NULL ? node->whole : node;
    uint64_t while_ns = a_while(world);
    mark(world, MARK_SUSPENDED);
    if (world->pair != NULL) {
        stand(node, true, world->now_ns + while_ns);
        return;
    }
    for (uint32_t i = 0; i < world->node_count; i++)
        if (world->nodes[i] == whole || world->nodes[i]->whole == whole)
            node_suspend(world->nodes[i], while_ns);
}

// set_wall_clock sets it by up to a day, forth or back. Nothing that runs here may change by it:
// only the node's wall clock does.
static void
set_wall_clock(struct world *world)
{
    struct node *node = pick(world, NULL);
    if (node == NULL)
        return;
    int64_t by_ns = (int64_t)roll(world, STREAM_TROUBLE, 2 * 86400) - 86400;
    mark(world, MARK_WALL_STEP);
    note(world, node, "has its wall clock set by %llu s", by_ns, 0, 0);
    node->wall_ns += by_ns * (int64_t)second;
}

static void
drain_broker(struct world *world)
{
    struct node *node = pick(world, "broker");
    if (node == NULL || roll(world, STREAM_TROUBLE, 4) != 0 ||
        strcmp(node->kind->name, "server") == 0)
        return;
    note(world, node, "is told to drain", 0, 0, 0);
    broker_node_drain(node);
}

static void
stop_worker(struct world *world, void *object, uint64_t life)
{
    struct node *node = object;
    if (!node->is_alive || node->life != life)
        return;
    // A program that is stopped while it stands still stops when it goes on.
    if (node->stands_until_ns > world->now_ns || node->frozen_until_ns > world->now_ns) {
        world_at(world, world->now_ns + second, stop_worker, node, life);
        return;
    }
    note(world, node, "leaves", 0, 0, 0);
    if (strcmp(node->kind->name, "worker") == 0)
        worker_node_stop(node);
    else
        pirate_node_stop(node);
    node_start_after(node, roll(world, STREAM_TROUBLE, 3 * second));
}

static void
drain_worker(struct world *world)
{
    struct node *node = pick(world, "worker");
    if (node == NULL || node->stands_until_ns > world->now_ns ||
        node->frozen_until_ns > world->now_ns)
        return;
    if (strcmp(node->kind->name, "worker") == 0) { // a pirate leaves without
        note(world, node, "is told to drain", 0, 0, 0);
        worker_node_drain(node);
    }
    world_at(world, world->now_ns + roll(world, STREAM_TROUBLE, 3 * second), stop_worker, node,
             node->life);
}

// ---- at random times ----------------------------------------------------------------------------

static void
happen(struct world *world, enum fault fault)
{
    switch (fault) {
    case FAULT_CUT:
        cut_some(world);
        break;
    case FAULT_HALF_OPEN:
        stall_one(world, true);
        break;
    case FAULT_CLOG:
        if (roll(world, STREAM_TROUBLE, 2) == 0)
            clog_all(world);
        else
            stall_one(world, false);
        break;
    case FAULT_BLOCK:
        block_one(world);
        break;
    case FAULT_PAUSE:
        pause_one(world, false);
        break;
    case FAULT_FREEZE:
        pause_one(world, true);
        break;
    case FAULT_KILL_WORKER:
        kill_one(world, "worker", MARK_WORKER_RESTARTED);
        break;
    case FAULT_KILL_CLIENT:
        kill_one(world, "client", MARK_CLIENT_RESTARTED);
        break;
    case FAULT_KILL_BROKER:
        kill_one(world, "broker", MARK_BROKER_RESTARTED);
        break;
    case FAULT_DRAIN_BROKER:
        drain_broker(world);
        break;
    case FAULT_DRAIN_WORKER:
        drain_worker(world);
        break;
    case FAULT_SUSPEND:
        suspend_one(world);
        break;
    case FAULT_WALL_STEP:
        set_wall_clock(world);
        break;
    default:
        break;
    }
}

// Those that come at a time; the others are part of what nodes do.
static const enum fault in_time[] = {
    FAULT_CUT,          FAULT_HALF_OPEN,   FAULT_CLOG,        FAULT_BLOCK,       FAULT_PAUSE,
    FAULT_FREEZE,       FAULT_KILL_WORKER, FAULT_KILL_CLIENT, FAULT_KILL_BROKER, FAULT_DRAIN_BROKER,
    FAULT_DRAIN_WORKER, FAULT_SUSPEND,     FAULT_WALL_STEP};

static void
go_wrong(struct world *world, void *object, uint64_t argument)
{
    (void)object;
    (void)argument;
    if (world->is_healed)
        return;
    enum fault fault = in_time[roll(world, STREAM_TROUBLE, sizeof in_time / sizeof *in_time)];
    if (world->plan.has[fault])
        happen(world, fault);
    uint64_t gap_ns = roll_gap(world, STREAM_TROUBLE, world->plan.fault_gap_ns);
    world_at(world, world->now_ns + gap_ns, go_wrong, NULL, 0);
}

void
trouble_begin(struct world *world)
{
    go_wrong(world, NULL, 0);
    if (world->pair != NULL)
        pair_trouble_begin(world);
}

void
trouble_end(struct world *world)
{
    note(world, NULL, "all is mended", 0, 0, 0);
    world->is_healed = true;
    if (world->plan.hwm < 64)
        world->plan.hwm = 64;
    if (world->plan.receive_mark < 64)
        world->plan.receive_mark = 64;
    links_heal(world);
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct node *node = world->nodes[i];
        if (strcmp(node->kind->name, "hostile") == 0) {
            node_kill(node);
            continue;
        }
        if (!node->is_alive) {
            if (node->whole == NULL)
                node_start(node);
            continue;
        }
        node->stands_until_ns = node->frozen_until_ns = 0;
        if (strcmp(node->kind->name, "worker") == 0)
            worker_node_release(node);
        else if (world->plan.pirates.is_there)
            pirate_node_release(node);
        node_poke(node);
    }
    if (world->pair != NULL)
        pair_trouble_end(world);
}
