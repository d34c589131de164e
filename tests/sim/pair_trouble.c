// pair_trouble.c - what happens to a pair besides the faults of any broker: each way between two
// members is cut, members stand still for about as long as a lease, the witness ends, and an
// operator says this and that.

#include "pairs.h"
#include "plants.h"
#include "trouble.h"

static const uint64_t ms = 1000000;

// a_while is about a lease: from a small part of one to eight of them.
static uint64_t
a_while(struct world *world)
{
    uint64_t lease_ns = world->plan.pair.lease_ms * ms;
    return roll(world, STREAM_PAIR, lease_ns >> 4 << roll(world, STREAM_PAIR, 8)) + 1;
}

static struct member *
any(struct world *world, uint32_t count)
{
    return &world->pair->members[roll(world, STREAM_PAIR, count)];
}

static void
cut(struct world *world, uint32_t from, uint32_t to, uint64_t until_ns)
{
    note(world, NULL, "member %llu is not heard by %llu until %llu ms", from, to, until_ns / ms);
    if (world->pair->cut_until_ns[from][to] < until_ns)
        world->pair->cut_until_ns[from][to] = until_ns;
    check_apart(world, until_ns);
}

// isolate is what happens to a half behind a switch that stands still: what it has sent comes when
// another may serve. With one lane it is still asked meanwhile.
static void
isolate(struct world *world, uint32_t half, uint32_t lanes, uint64_t later_ns)
{
    list_each (node, &links_router(world, half)->pipes) {
        struct pipe *pipe = list_object(node, struct pipe, in_broker);
        if (!pipe->is_cut)
            pipe_stall(pipe, lanes, later_ns);
    }
}

static void
draw_way(struct world *world, uint32_t *from_out, uint32_t *to_out)
{
    uint32_t size = pair_size(world);
    *from_out = (uint32_t)roll(world, STREAM_PAIR, size);
    *to_out = (*from_out + 1 + (uint32_t)roll(world, STREAM_PAIR, size - 1)) % size;
}

// cut_some cuts one way, both ways between two, or one off from both others.
static void
cut_some(struct world *world)
{
    uint32_t from, to;
    draw_way(world, &from, &to);
    uint64_t kind = roll(world, STREAM_PAIR, 4);
    uint64_t until_ns = world->now_ns + a_while(world);
    cut(world, from, to, until_ns);
    mark(world, kind == 0 ? MARK_CUT_ONE_WAY : MARK_CUT_BOTH_WAYS);
    if (kind != 0)
        cut(world, to, from, until_ns);
    if (kind == 3 && from < MEMBER_WITNESS)
        isolate(world, from, 3, until_ns + a_while(world));
    if (kind != 3 || pair_size(world) < MEMBERS)
        return;
    cut(world, from, MEMBERS - from - to, until_ns);
    cut(world, MEMBERS - from - to, from, until_ns);
}

// slow lets all that one member says to another take as long as a lease, or two: what is granted
// comes when it is over, or nearly.
static void
slow(struct world *world, uint32_t from, uint32_t to, uint64_t until_ns)
{
    struct pair *pair = world->pair;
    uint64_t lease_ns = world->plan.pair.lease_ms * ms;
    pair->slow_until_ns[from][to] = until_ns;
    pair->slow_ns[from][to] = roll(world, STREAM_PAIR, lease_ns << roll(world, STREAM_PAIR, 2)) + 1;
    note(world, NULL, "member %llu is heard by %llu late, by %llu us", from, to,
         pair->slow_ns[from][to] / 1000);
    mark(world, MARK_WAY_SLOW);
}

static void
break_off(struct world *world, void *half, uint64_t until_ns)
{
    uint32_t number = ((const struct member *)half)->number;
    uint64_t lease_ns = world->plan.pair.lease_ms * ms;
    if (world->is_healed)
        return;
    cut(world, number, MEMBER_WITNESS, until_ns);
    cut(world, MEMBER_WITNESS, number, until_ns);
    isolate(world, number, 1 << LANE_DOWN,
            world->now_ns + lease_ns + roll(world, STREAM_PAIR, 4 * lease_ns));
}

// fade is what becomes of the half that serves when its cable goes: the other hears nothing of it,
// what the witness grants comes late, and then nothing at all.
static void
fade(struct world *world)
{
    struct member *half = any(world, MEMBER_WITNESS);
    if (!half->node->is_alive || !member_view(half).is_serving)
        half = &world->pair->members[1 - half->number];
    uint64_t lease_ns = world->plan.pair.lease_ms * ms;
    uint64_t off_ns = world->now_ns + lease_ns + roll(world, STREAM_PAIR, lease_ns);
    uint64_t until_ns = off_ns + 2 * lease_ns + a_while(world);
    cut(world, half->number, 1 - half->number, until_ns);
    cut(world, 1 - half->number, half->number, until_ns);
    slow(world, MEMBER_WITNESS, half->number, until_ns);
    world_at(world, off_ns, break_off, half, until_ns);
}

static void
slow_some(struct world *world)
{
    uint32_t from, to;
    draw_way(world, &from, &to);
    if (pair_size(world) == MEMBERS && has(world, FAULT_PAIR_CUT) &&
        roll(world, STREAM_PAIR, 4) != 0)
        fade(world);
    else
        slow(world, from, to, world->now_ns + a_while(world));
}

// stood is the end of a pause where a bug is planted: CLOCK_MONOTONIC, which does not count what a
// machine slept.
static void
stood(struct world *world, void *member, uint64_t while_ns)
{
    if (!world->is_healed)
        ((struct member *)member)->still_ns += while_ns;
}

// pause_one is a process that is stopped, or a machine that sleeps: to CLOCK_BOOTTIME it is one.
static void
pause_one(struct world *world)
{
    struct member *member = any(world, pair_size(world));
    struct node *node = member->node;
    uint64_t while_ns = a_while(world);
    if (!node->is_alive || node->stands_until_ns > world->now_ns)
        return;
    if (plants_is_on(PLANT_STILL_CLOCK))
        world_at(world, world->now_ns + while_ns, stood, member, while_ns);
    note(world, node, "of the pair stands still for %llu us", while_ns / 1000, 0, 0);
    mark(world, MARK_MEMBER_PAUSED);
    // In classic the beats of a loop that hangs go on, and of a process that is stopped they do
    // not.
    if (world->plan.pair.is_classic && roll(world, STREAM_PAIR, 2) == 0)
        links_freeze(node, world->now_ns + while_ns);
    node_stand(node, world->now_ns + while_ns);
}

// kill_some ends a member, or all three, as with the power.
static void
kill_some(struct world *world)
{
    uint32_t size = pair_size(world);
    uint32_t which = (uint32_t)roll(world, STREAM_PAIR, size + 1);
    for (uint32_t i = 0; i < size; i++) {
        struct node *node = world->pair->members[i].node;
        if ((which != i && which != size) || !node->is_alive)
            continue;
        node_kill(node);
        node_start_after(node, a_while(world));
    }
    mark(world, which == size ? MARK_ALL_MEMBERS_KILLED : MARK_MEMBER_KILLED);
}

// stall_one lets what a half has sent, or is sent, come after a reign that is over.
static void
stall_one(struct world *world)
{
    struct pipe *pipe = links_pick(world, roll(world, STREAM_PAIR, PIPES_MAX));
    uint32_t lanes = (uint32_t)roll_between(world, STREAM_PAIR, 1, 3);
    uint64_t while_ns = a_while(world);
    if (pipe != NULL)
        pipe_stall(pipe, lanes, world->now_ns + while_ns);
}

static void
say_something(struct world *world)
{
    static const enum bstar_event_kind words[] = {BSTAR_ON_PROMOTE, BSTAR_ON_DEMOTE,
                                                  BSTAR_ON_FREEZE, BSTAR_ON_THAW};
    struct broker_node *half =
        broker_node_of(world, (uint32_t)roll(world, STREAM_PAIR, MEMBER_WITNESS));
    enum bstar_event_kind word = words[roll(world, STREAM_PAIR, sizeof words / sizeof *words)];
    bool stands =
        half->node.stands_until_ns > world->now_ns || half->node.frozen_until_ns > world->now_ns;
    if (half->node.is_alive && !stands)
        pair_says(half, word);
}

// mend is what an operator does about records that failed: a half is cleared, a witness started
// again.
static void
mend(struct world *world, struct member *member)
{
    if (!member->node->is_alive || member->core.config.mode == BSTAR_CLASSIC)
        return;
    bool is_witness = member->number == MEMBER_WITNESS;
    if (is_witness && member->core.voter.state == VOTER_MUTE) {
        node_kill(member->node);
        node_start(member->node);
    }
    if (!is_witness && member->core.guarded.state == GUARDED_FAULT)
        pair_says(broker_node_of(world, member->number), BSTAR_ON_CLEAR);
}

static void
mend_one(struct world *world)
{
    struct member *member = any(world, pair_size(world));
    if (member->node->stands_until_ns <= world->now_ns &&
        member->node->frozen_until_ns <= world->now_ns)
        mend(world, member);
}

static void
go_wrong(struct world *world, void *object, uint64_t argument)
{
    (void)object;
    (void)argument;
    if (world->is_healed)
        return;
    switch (roll(world, STREAM_PAIR, 7)) {
    case 0:
        if (has(world, FAULT_PAIR_CUT))
            cut_some(world);
        break;
    case 1:
        if (has(world, FAULT_PAIR_PAUSE))
            pause_one(world);
        break;
    case 2:
        if (has(world, FAULT_PAIR_KILL))
            kill_some(world);
        break;
    case 3:
        if (has(world, FAULT_PAIR_LATE))
            slow_some(world);
        break;
    case 4:
        if (has(world, FAULT_WORDS))
            say_something(world);
        break;
    case 5:
        if (has(world, FAULT_PAIR_DISK))
            mend_one(world);
        break;
    default:
        if (has(world, FAULT_CLOG))
            stall_one(world);
    }
    uint64_t gap_ns = roll_gap(world, STREAM_PAIR, world->plan.pair.fault_gap_ns);
    world_at(world, world->now_ns + gap_ns, go_wrong, NULL, 0);
}

void
pair_trouble_begin(struct world *world)
{
    go_wrong(world, NULL, 0);
}

// set_roles is the operator who has heard the alarm: both start again, each in a role of its own.
static void
set_roles(struct world *world)
{
    for (uint32_t i = 0; i < MEMBER_WITNESS; i++) {
        node_kill(world->pair->members[i].node);
        node_start(world->pair->members[i].node);
    }
}

// pair_trouble_end: the operator's freezes end too, and so do disks that fail.
void
pair_trouble_end(struct world *world)
{
    memset(world->pair->cut_until_ns, 0, sizeof world->pair->cut_until_ns);
    memset(world->pair->slow_until_ns, 0, sizeof world->pair->slow_until_ns);
    if (world->plan.pair.is_clashing)
        set_roles(world);
    for (uint32_t i = 0; i < MEMBER_WITNESS; i++)
        if (broker_node_of(world, i)->node.is_alive)
            pair_says(broker_node_of(world, i), BSTAR_ON_THAW);
    for (uint32_t i = 0; i < pair_size(world); i++) {
        struct member *member = &world->pair->members[i];
        if (member->is_failed)
            member->disk = member->writing;
        member->is_written = member->is_written || member->is_failed;
        member->is_failed = false;
        mend(world, member);
    }
}
