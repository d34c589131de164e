// run.c - two phases: trouble, then all is mended and everything has to end.

#include "run.h"

#include "check_durable.h"
#include "must.h"
#include "pairs.h"
#include "pirates.h"
#include "trouble.h"

#include <stdio.h>
#include <string.h>

enum { STEPS_BETWEEN_AUDITS = 64 };

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

static struct world *running; // for the hook: must() knows no world

static void
on_broken_must(const char *file, int line, const char *condition)
{
    // Each is an invariant of its own: its file is part of the name.
    const char *slash = strrchr(file, '/');
    char name[REASON_BYTES / 4];
    snprintf(name, sizeof name, "must of %s", slash == NULL ? file : slash + 1);
    world_fail(running, name, "line %d: must(%s)", line, condition);
}

// ---- the nodes ----------------------------------------------------------------------------------

static uint64_t
start_of(const struct plan *plan, const struct node *node)
{
    const struct pirates_plan *pirates = &plan->pirates;
    if (pirates->is_there && node_is(node, "broker"))
        return pirates->site[node->index].start_ns;
    if (pirates->is_there && node_is(node, "worker"))
        return pirates->worker[node->index].start_ns;
    if (pirates->is_there)
        return node_is(node, "client") ? pirates->lazy[node->index].start_ns : 0;
    if (strcmp(node->kind->name, "broker") == 0)
        return plan->broker_start_ns[node->index];
    if (strcmp(node->kind->name, "worker") == 0)
        return plan->worker[node->index].start_ns;
    if (strcmp(node->kind->name, "client") == 0)
        return plan->client[node->index].start_ns;
    if (strcmp(node->kind->name, "titanic") == 0)
        return plan->titanic.start_ns;
    if (strcmp(node->kind->name, "durable") == 0)
        return plan->titanic.durable[node->index].start_ns;
    return 0;
}

static void
add_brokers(struct world *world)
{
    for (uint32_t i = 0; i < world->plan.brokers; i++)
        if (i == world->plan.false_broker)
            false_broker_add(world, i);
        else
            broker_node_add(world, i);
}

static void
add_nodes(struct world *world)
{
    if (world->plan.pirates.is_there)
        pirate_nodes_add(world);
    else if (world->plan.pair.is_there)
        pair_nodes_add(world);
    else
        add_brokers(world);
    for (uint32_t i = 0; i < world->plan.workers; i++)
        worker_node_add(world, i);
    for (uint32_t i = 0; i < world->plan.clients; i++)
        client_node_add(world, i);
    if (world->plan.has_stranger)
        hostile_node_add(world);
    if (world->plan.has_liar)
        liar_node_add(world);
    if (world->plan.titanic.is_there) {
        check_durable_init(world);
        titanic_node_add(world);
        durable_nodes_add(world);
    }
    for (uint32_t i = 0; i < world->node_count; i++)
        if (world->nodes[i]->whole == NULL)
            node_start_after(world->nodes[i], start_of(&world->plan, world->nodes[i]));
}

static void
audit_all(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++)
        if (world->nodes[i]->is_alive)
            world->nodes[i]->kind->audit(world->nodes[i]);
}

// go_on lets things happen until a time; false: that were too many events.
static bool
go_on(struct world *world, uint64_t until_ns, uint64_t events_max)
{
    while (world->events < events_max) {
        if (!world_step(world, until_ns))
            return true;
        if (world->events % STEPS_BETWEEN_AUDITS == 0)
            audit_all(world);
    }
    return false;
}

// ---- (end) --------------------------------------------------------------------------------------

// has_ended: is every call over, and nothing left at any broker?
static bool
has_ended(struct world *world)
{
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        const struct broker_node *broker = broker_node_of(world, i);
        if (broker == NULL)
            continue;
        if (!broker->node.is_alive || !check_broker_is_idle(broker))
            return false;
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct node *node = world->nodes[i];
        bool is_client =
            strcmp(node->kind->name, "client") == 0 || strcmp(node->kind->name, "durable") == 0;
        if (strcmp(node->kind->name, "lazy") == 0 && lazy_node_is_calling(node))
            return false;
        if (is_client && client_core_open_count(((const struct client_node *)node)->core) > 0)
            return false;
    }
    return true;
}

// end_durables is the end of the durable requests, which comes first: T8.
static void
end_durables(struct world *world)
{
    const struct titanic_plan *plan = &world->plan.titanic;
    struct node *titanic = titanic_node_of(world);
    if (titanic == NULL)
        return;
    // What waits may have a pause before it, and a probe; what was lost has to time out.
    uint64_t attempt_ms = plan->config.timeout_ms + plan->config.retry_max_ms;
    uint64_t bound_ns =
        check_bound_ns(world) + world->plan.disk.stall_ns_max + 240 * second + 4 * attempt_ms * ms;
    uint64_t until_ns = world->now_ns + bound_ns;
    while (!check_durable_is_over(world, titanic_node_pending(titanic))) {
        if (world->now_ns >= until_ns)
            check_durable_still_open(world, titanic_node_pending(titanic));
        (void)go_on(world, world->now_ns + second, UINT64_MAX);
    }
}

// settle_pair (L1, L5): "a connected majority with one healthy half in it elects exactly one
// ACTIVE", and the other half reaches PASSIVE. A hold-off after a demote is five leases, a voter
// that was started again waits for one, and what was late may come four leases later.
static void
settle_pair(struct world *world)
{
    uint64_t until_ns = world->now_ns + 20 * world->plan.pair.lease_ms * ms + 10 * second;
    while (!check_pair_serves(world)) {
        if (world->now_ns >= until_ns)
            check_pair_unsettled(world);
        (void)go_on(world, world->now_ns + world->plan.pair.lease_ms * ms / 4, UINT64_MAX);
    }
}

// all_answered (B10): "after healing every request is answered, expired or refused within
// 60 virtual seconds plus twice the longest patience". A request of a client that has gone
// is only found out when a worker takes it, so where a service has no worker it waits for
// ever: that is its time to live's business (mdp.md, 3.7). And a queue takes its time: one
// worker with a credit of one does one request in each round trip.
static void
all_answered(struct world *world)
{
    uint64_t backlog = 0;
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        const struct broker_node *broker = broker_node_of(world, i);
        if (broker != NULL && broker->node.is_alive)
            backlog += check_broker_open_count(broker);
    }
    uint64_t round_trip_ns = 4 * world->plan.latency_ns_max + 4 * world->plan.lateness_ns + 5 * ms;
    uint64_t bound_ns = check_bound_ns(world) + backlog * round_trip_ns;
    uint64_t until_ns = world->now_ns + bound_ns;
    // What a broker has not read yet, because it stood still until now, is none of its books'.
    do {
        if (world->now_ns >= until_ns)
            check_still_open(world, bound_ns);
        (void)go_on(world, world->now_ns + second + round_trip_ns, UINT64_MAX);
    } while (!has_ended(world));
}

// has_worker: is there somebody to answer at a site of pirates?
static bool
has_worker(const struct pirates_plan *plan, uint32_t site)
{
    bool has_worker = !plan->site[site].is_queue;
    for (uint32_t i = 0; i < plan->workers; i++)
        has_worker = has_worker || plan->worker[i].site == site;
    return has_worker;
}

static void
probe_pirates(struct world *world, uint64_t healed_ns)
{
    uint64_t known_ns = healed_ns + world->plan.patience_ns + 2 * second;
    if (known_ns > world->now_ns)
        (void)go_on(world, known_ns, UINT64_MAX);
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        if (!has_worker(&world->plan.pirates, i))
            continue;
        struct node *probe = lazy_node_add_probe(world, i);
        node_start(probe);
        while (!lazy_node_has_answer(probe))
            (void)go_on(world, world->now_ns + second, UINT64_MAX);
    }
}

// probe_all: and then each broker answers for each service. First the links are given the time
// to find out which of them have nobody at the other end: until then a request may go to a
// worker that is no more.
static void
probe_all(struct world *world, uint64_t healed_ns)
{
    if (world->plan.pirates.is_there) {
        probe_pirates(world, healed_ns);
        return;
    }
    if (world->plan.workers < world->plan.services)
        return;
    uint64_t known_ns = healed_ns + world->plan.patience_ns + 2 * second;
    if (known_ns > world->now_ns)
        (void)go_on(world, known_ns, UINT64_MAX);
    struct node *probes[BROKERS_MAX] = {0};
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        if (i == world->plan.false_broker)
            continue;
        probes[i] = client_node_add_probe(world, i);
        node_start(probes[i]);
        // Both ask the half that serves, and a limit may leave room for one.
        while (world->pair != NULL && !client_node_is_done(probes[i]))
            (void)go_on(world, world->now_ns + second, UINT64_MAX);
    }
    for (uint32_t i = 0; i < world->plan.brokers; i++)
        while (probes[i] != NULL && !client_node_is_done(probes[i]))
            (void)go_on(world, world->now_ns + second, UINT64_MAX);
}

// survive_alone (L4): "classic: one half alone serves after its grace. guarded: one half and the
// witness serve from cold". All of them end, as with the power, and one half stays away.
static void
survive_alone(struct world *world)
{
    uint32_t lost = (uint32_t)roll(world, STREAM_PAIR, MEMBER_WITNESS);
    const struct member *left = &world->pair->members[1 - lost];
    uint32_t size = pair_size(world);
    if (world->plan.workers < world->plan.services)
        return; // who would answer?
    for (uint32_t i = 0; i < size; i++)
        node_kill(world->pair->members[i].node);
    for (uint32_t i = 0; i < size; i++)
        if (i != lost)
            node_start(world->pair->members[i].node);
    struct node *probe = client_node_add_probe(world, lost);
    node_start(probe);
    while (!client_node_is_done(probe))
        (void)go_on(world, world->now_ns + second, UINT64_MAX);
    if (!member_view(left).is_serving)
        world_fail(world, "L4 lone_survivor", "the half that is left does not serve");
}

// drain_titanic lets it end. It may be away when it is told, as after a fault that was mended just
// now: then it is told again when it is back. A batch that was slow from the first is waited for.
static void
drain_titanic(struct world *world, struct node *titanic)
{
    uint64_t until_ns = world->now_ns + world->plan.titanic.config.drain_ms * ms +
                        world->plan.disk.stall_ns_max + 20 * second;
    while (!titanic->is_alive || !titanic_node_has_stopped(titanic)) {
        if (world->now_ns >= until_ns)
            world_fail(world, "T8 all_done", "titanic's drain does not end");
        titanic_node_drain(titanic);
        (void)go_on(world, world->now_ns + second, UINT64_MAX);
    }
}

// leave lets everybody go as programs do that end, and looks at what is left.
static void
leave(struct world *world)
{
    struct node *titanic = titanic_node_of(world);
    world->is_over = true;
    if (titanic != NULL)
        drain_titanic(world, titanic);
    for (uint32_t i = 0; i < world->plan.brokers; i++)
        if (broker_node_of(world, i) != NULL)
            broker_node_drain(&broker_node_of(world, i)->node);
    uint64_t until_ns = world->now_ns + world->plan.broker.drain_ms * ms + 10 * second;
    (void)go_on(world, until_ns, UINT64_MAX);
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct node *node = world->nodes[i];
        if (node->clock.offset_ns < (uint64_t)1 << 63 && node_now(node) >= (uint64_t)1 << 63)
            mark(world, MARK_MIDDLE_OF_CLOCK);
        if (!node->is_alive)
            continue;
        if (strcmp(node->kind->name, "broker") == 0 || strcmp(node->kind->name, "queue") == 0)
            world_fail(world, "B10 all_answered", "%s%u's drain does not end", node->kind->name,
                       node->index);
        if (strcmp(node->kind->name, "worker") == 0)
            worker_node_stop(node);
        else if (node_is(node, "worker"))
            pirate_node_stop(node);
        else
            node_kill(node);
    }
    check_world_end(world);
}

static void
run(struct world *world)
{
    must_set_hook(on_broken_must);
    links_init(world);
    check_init(world);
    add_nodes(world);
    trouble_begin(world);
    (void)go_on(world, world->plan.trouble_ns, world->plan.events_max);
    uint64_t healed_ns = world->now_ns;
    trouble_end(world);
    if (world->pair != NULL)
        settle_pair(world);
    end_durables(world);
    all_answered(world);
    probe_all(world, healed_ns);
    if (world->pair != NULL)
        survive_alone(world);
    audit_all(world);
    leave(world);
}

// ---- from outside -------------------------------------------------------------------------------

void
run_once(const struct options *options, uint8_t fill, struct outcome *outcome_out)
{
    struct world *world = world_new(options, fill);
    running = world;
    memset(outcome_out, 0, sizeof *outcome_out);
    if (setjmp(world->failed) == 0) {
        run(world);
    } else {
        outcome_out->has_failed = true;
        memcpy(outcome_out->reason, world->reason, sizeof outcome_out->reason);
    }
    must_set_hook(NULL);
    outcome_out->hash = world->hash;
    outcome_out->events = world->events;
    outcome_out->end_ns = world->now_ns;
    outcome_out->calls = check_call_count(world);
    memcpy(outcome_out->marks, world->marks, sizeof outcome_out->marks);
    if (outcome_out->has_failed && options->shows_notes)
        world_print_notes(world);
    world_free(world);
}

void
run_twice(const struct options *options, struct outcome *outcome_out)
{
    struct outcome again;
    struct options quietly = *options;
    quietly.is_tracing = quietly.shows_notes = false;
    run_once(&quietly, 0xa5, &again);
    run_once(options, 0x5a, outcome_out);
    if (again.hash == outcome_out->hash && again.events == outcome_out->events)
        return;
    outcome_out->has_failed = true;
    snprintf(outcome_out->reason, sizeof outcome_out->reason,
             "W2 same_seed_same_trace: %llu events, then %llu", (unsigned long long)again.events,
             (unsigned long long)outcome_out->events);
}
