// check_peers.c - what must hold of workers, of clients, and of the world in the end.

#include "check.h"
#include "mdp_epoch.h"
#include "workload.h"

#include <stdarg.h>
#include <stdio.h>

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

enum { SLACK_MS = 20, SPARE_MAX = 16, REQUEST_BYTES_MAX = 200000 };

struct run {
    uint64_t call;
    int status; // 0: it has not ended
};

struct registry {
    struct call *calls;
    uint64_t call_count, call_capacity;
    struct run *runs;
    uint64_t run_count, run_capacity;
};

void
check_fail(const struct node *node, const char *name, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    world_fail(node->world, name, "%s%u: %s", node->kind->name, node->index, text);
}

// ---- the registry -------------------------------------------------------------------------------

void
check_init(struct world *world)
{
    world->registry = world_take_zeroed(world, sizeof *world->registry);
}

static uint64_t
add_call(struct world *world, const struct call *call)
{
    struct registry *self = world->registry;
    if (self->call_count == self->call_capacity) {
        self->call_capacity = 2 * self->call_capacity + 1024;
        self->calls = world_grow(world, self->calls, self->call_capacity * sizeof *self->calls);
    }
    self->calls[self->call_count++] = *call;
    return self->call_count;
}

uint64_t
check_new_lazy_call(struct world *world, uint32_t life)
{
    const struct call call = {.life = life};
    return add_call(world, &call);
}

uint64_t
check_new_call(struct client_node *client, uint32_t service)
{
    const struct call call = {
        .client = client,
        .life = client->node.life,
        .service = service,
        .id = client->call_count + 1,
        .ends_by_ns = node_now(&client->node) + client->plan->config.deadline_ms * ms,
        .is_open = true,
    };
    return add_call(client->node.world, &call);
}

uint64_t
check_call_count(const struct world *world)
{
    return world->registry->call_count;
}

static struct call *
call_at(const struct world *world, uint64_t number)
{
    bool is_known = number > 0 && number <= world->registry->call_count;
    return is_known ? &world->registry->calls[number - 1] : NULL;
}

const struct call *
check_call(const struct world *world, uint64_t number)
{
    return call_at(world, number);
}

void
check_call_body(struct world *world, uint64_t number, const struct parcel *request)
{
    struct mdp_body body = parcel_body(request);
    call_at(world, number)->digest = workload_digest(&body);
}

void
check_taint(struct world *world, uint64_t number)
{
    struct call *call = call_at(world, number);
    if (call != NULL)
        call->is_tainted = true;
}

uint64_t
check_new_run(struct world *world, uint64_t call)
{
    struct registry *self = world->registry;
    if (self->run_count == self->run_capacity) {
        self->run_capacity = 2 * self->run_capacity + 1024;
        self->runs = world_grow(world, self->runs, self->run_capacity * sizeof *self->runs);
    }
    self->runs[self->run_count++] = (struct run){.call = call};
    return self->run_count;
}

uint64_t
check_run_call(const struct world *world, uint64_t run)
{
    bool is_known = run > 0 && run <= world->registry->run_count;
    return is_known ? world->registry->runs[run - 1].call : 0;
}

bool
check_is_running(const struct world *world, uint64_t call)
{
    for (uint64_t i = world->registry->run_count; i > 0; i--)
        if (world->registry->runs[i - 1].call == call && world->registry->runs[i - 1].status == 0)
            return true;
    return false;
}

void
check_run_ended(struct world *world, uint64_t run, int status)
{
    world->registry->runs[run - 1].status = status;
}

// ---- workers ------------------------------------------------------------------------------------

void
check_worker_start(struct worker_node *worker)
{
    memset(worker->spoke_ns, 0, sizeof worker->spoke_ns);
    worker->breaches = 0;
    worker->epoch = 0;
}

void
check_worker_hears(struct worker_node *worker, uint32_t broker, const struct mdp_record *record)
{
    note(worker->node.world, &worker->node, "hears command %llu from its broker %llu, fault %llu",
         record->command, broker, record->fault);
}

void
check_worker_effect(struct worker_node *worker, const struct worker_effect *effect)
{
    if (effect->kind == WORKER_CLOSE)
        worker->spoke_ns[effect->broker] = 0;
    if (effect->kind == WORKER_SEND && effect->record.side == MDP_WORKER_SIDE)
        worker->spoke_ns[effect->broker] = node_now(&worker->node);
    if (effect->kind == WORKER_SEND && effect->record.side == MDP_CLIENT_SIDE)
        mark(worker->node.world, MARK_ASKED_DIALECT);
}

// has_epochs: those of classic fence nothing.
static bool
has_epochs(const struct world *world)
{
    return world->pair != NULL && !world->plan.pair.is_classic;
}

// right_worker (B3), at the worker: the request is for the service that it serves.
void
check_worker_delivers(struct worker_node *worker, const struct worker_effect *effect)
{
    const struct parcel *parcel = effect->cargo;
    const struct call *call = call_at(worker->node.world, parcel->call);
    if (has_epochs(worker->node.world) && effect->attempt > 0)
        check_no_late_effect(&worker->node, &worker->epoch, parcel->epoch);
    if (call != NULL && call->service != worker->plan->service && !call->is_tainted)
        check_fail(&worker->node, "B3 right_worker", "it is given call %llu for another service",
                   (unsigned long long)parcel->call);
    if (worker->job_count >= worker->plan->config.credit)
        check_fail(&worker->node, "B2 credit_kept", "it is given more than %u requests",
                   worker->plan->config.credit);
}

// beats_sent (B8), at the worker: while it is in its library, no broker that it is
// registered at hears nothing for longer than the interval.
static void
beats_sent(const struct worker_node *worker)
{
    uint64_t interval_ns = worker->plan->config.heartbeat_ms * ms;
    for (uint32_t i = 0; i < LINKS_OF_NODE; i++)
        if (worker->spoke_ns[i] != 0 &&
            node_now(&worker->node) - worker->spoke_ns[i] > interval_ns + SLACK_MS * ms)
            check_fail(&worker->node, "B8 beats_sent",
                       "its broker %u has heard nothing for %llu ms", i,
                       (unsigned long long)((node_now(&worker->node) - worker->spoke_ns[i]) / ms));
}

// credit_kept (B2), at the worker: no broker of ours breaks the protocol. (A request that
// found no memory looks like a breach to the core, and a false broker makes them.)
static void
no_breach(struct worker_node *worker)
{
    const struct worker_stats *stats = worker_core_stats(worker->core);
    bool has_false = worker->node.world->plan.false_broker != UINT32_MAX;
    if (has_false)
        worker->breaches = UINT64_MAX;
    if (stats->breaches > worker->breaches)
        check_fail(&worker->node, "B2 credit_kept", "its broker broke the protocol");
    if (stats->silences > 0)
        worker->node.world->marks[MARK_WORKER_GAVE_UP_BROKER] = 1;
    if (stats->fenced > 0)
        worker->node.world->marks[MARK_WORKER_FENCED] = 1;
}

// bounds_kept (B6), at the worker, whatever its brokers send: one body for each request that
// it has room for, and one for what is said of each.
static void
worker_bounds_kept(const struct worker_node *worker)
{
    uint64_t most = 4 * (uint64_t)worker->plan->config.credit + 2 * SPARE_MAX;
    if (worker->node.core_parcels > most)
        check_fail(&worker->node, "B6 bounds_kept", "it keeps %llu bodies",
                   (unsigned long long)worker->node.core_parcels);
}

void
check_worker_turn(struct worker_node *worker)
{
    worker_bounds_kept(worker);
    beats_sent(worker);
    no_breach(worker);
}

void
check_worker_stopped(struct worker_node *worker)
{
    if (worker->node.core_parcels > 0)
        check_fail(&worker->node, "B5 cargo_conserved", "%llu bodies are left of it",
                   (unsigned long long)worker->node.core_parcels);
}

// ---- clients ------------------------------------------------------------------------------------

static struct call *
call_of(const struct client_node *client, uint64_t id)
{
    if (id == 0 || id > client->call_count)
        return NULL;
    return call_at(client->node.world, client->calls[id - 1]);
}

void
check_client_start(struct client_node *client)
{
    client->first_open = 0;
    client->epoch = client->heard_epoch = 0;
    client->heard = NULL;
}

// attempts_bounded (P1): "sends at most `attempts`". What no broker has had is not one: the
// socket refused it, its connection ended, or the answer was 503, or an older reign's
// (client_call.c).
static void
attempts_bounded(const struct client_node *client, const struct call *call)
{
    if (call->charged > client->plan->config.attempts)
        check_fail(&client->node, "P1 attempts_bounded", "its call %llu is sent %u times",
                   (unsigned long long)call->id, call->charged);
}

static void
on_send(struct client_node *client, const struct client_effect *effect)
{
    struct call *call = call_of(client, effect->token);
    if (effect->record.command != MDP_REQUEST || call == NULL)
        return;
    if (!call->is_open)
        check_fail(&client->node, "P1 attempts_bounded", "it sends call %llu, which is over",
                   (unsigned long long)call->id);
    call->charged++;
    call->is_out = true;
    call->out_at = effect->endpoint;
    if (client->plan->brokers[effect->endpoint] == client->node.world->plan.false_broker)
        call->is_tainted = true;
    call->out_since_ns = node_now(&client->node);
    note(client->node.world, &client->node, "sends call %llu to its broker %llu, attempt %llu",
         call->id, effect->endpoint, call->charged);
    attempts_bounded(client, call);
}

// on_close gives back what went out over a connection that ends. (The attempt by whose
// timeout the connection is given up counts, and this one is given back too: with ids that
// are out since the same time nobody could tell which it was.)
static void
on_close(struct client_node *client, uint32_t endpoint)
{
    for (size_t i = client->first_open; i < client->call_count; i++) {
        struct call *call = call_at(client->node.world, client->calls[i]);
        if (!call->is_out || call->out_at != endpoint)
            continue;
        call->is_out = false;
        call->charged--;
    }
}

void
check_client_effect(struct client_node *client, const struct client_effect *effect)
{
    if (effect->kind == CLIENT_SEND)
        on_send(client, effect);
    else if (effect->kind == CLIENT_CLOSE)
        on_close(client, effect->endpoint);
}

static uint64_t
epoch_of(const struct mdp_record *record)
{
    struct mdp_epoch epoch;
    return mdp_epoch_find(record->fields, &epoch) ? epoch.number : 0;
}

// is_stale: what an older reign says is no answer, as 503 is none (mdp-g1.md, Epochs).
static bool
is_stale(struct client_node *client, const struct mdp_record *record)
{
    uint64_t epoch = epoch_of(record);
    bool is_stale = epoch != 0 && epoch < client->heard_epoch;
    if (epoch > client->heard_epoch)
        client->heard_epoch = epoch;
    if (is_stale)
        mark(client->node.world, MARK_CLIENT_FENCED);
    return is_stale;
}

void
check_client_hears(struct client_node *client, uint32_t endpoint, const struct mdp_record *record)
{
    note(client->node.world, &client->node, "hears command %llu from its broker %llu, id %llu",
         record->command, endpoint, record->id);
    client->heard = record;
    if (record->fault != MDP_SOUND || record->dialect != MDP_G1)
        return;
    bool is_passive = record->command == MDP_FINAL && record->status == MDP_PASSIVE;
    bool is_dropped = record->command == MDP_FINAL && !is_passive && is_stale(client, record);
    struct call *call = call_of(client, record->id);
    if (call == NULL || !call->is_out || call->out_at != endpoint)
        return;
    if (record->command == MDP_PARTIAL)
        call->out_since_ns = node_now(&client->node);
    if (is_passive)
        mark(client->node.world, MARK_PASSIVE);
    if (is_passive || is_dropped) {
        call->is_out = false;
        call->charged--;
    }
}

void
check_client_unsent(struct client_node *client, const struct client_event *event)
{
    struct call *call = call_of(client, event->token);
    if (call == NULL || !call->is_out || call->out_at != event->endpoint)
        return;
    call->is_out = false;
    call->charged--;
}

void
check_client_cancels(struct client_node *client, uint64_t id)
{
    struct call *call = call_of(client, id);
    note(client->node.world, &client->node, "takes call %llu back", id, 0, 0);
    call->is_open = false;
    call->is_cancelled = true;
}

// What an answer is made of: parts that were kept, then the last one's frames.
struct reading {
    const struct client_node *client;
    struct call *call;
    uint32_t parts;
    uint64_t run;
    bool is_ended;
};

// is_failure: 0.1 and 0.2 workers have no word for an error, so what their applications
// say in place of an answer comes as one.
static bool
is_failure(const struct reading *self, struct view frame)
{
    const struct world *world = self->client->node.world;
    uint64_t number, run;
    if (!workload_is_failure(frame, &number, &run))
        return false;
    if (call_at(world, number) != self->call || world->registry->runs[run - 1].status == MDP_DONE)
        check_fail(&self->client->node, "B1 right_reply", "its call %llu fails in place of another",
                   (unsigned long long)self->call->id);
    return true;
}

// read_body judges the frames of an answer (B1): all of one run, of this call, nothing
// missing, and the digest is that of what was asked.
static void
read_body(struct reading *self, const struct mdp_body *body)
{
    const struct node *node = &self->client->node;
    unsigned long long number = self->call->id;
    struct answer_head head;
    struct view frame;
    size_t cursor = 0;
    while (mdp_body_next(body, &cursor, &frame)) {
        if (is_failure(self, frame))
            self->is_ended = true;
        if (!workload_head(frame, &head))
            continue;
        const struct call *named = call_at(node->world, head.call);
        if (named != self->call)
            check_fail(node, "B1 right_reply", "its call %llu gets the answer to another", number);
        if (self->is_ended || head.part != self->parts ||
            (self->parts > 0 && head.run != self->run))
            check_fail(node, "B1 right_reply",
                       "its call %llu gets part %u of run %llu, after %u of %llu", number,
                       head.part, (unsigned long long)head.run, self->parts,
                       (unsigned long long)self->run);
        if (head.digest != self->call->digest)
            check_fail(node, "B1 right_reply", "the answer to its call %llu is wrong", number);
        self->run = head.run;
        self->is_ended = head.total != WORK_LAST;
        self->parts += self->is_ended ? 0 : 1;
        if (self->is_ended && head.total != self->parts)
            check_fail(node, "B1 right_reply", "its call %llu gets %u parts of %u", number,
                       self->parts, head.total);
    }
}

// may_mix: 0.2 has no word for "the answer starts again", so a service that is set to
// resume gives such a client parts of two runs (mdp.md, 3.7). And a liar gives what it likes.
static bool
may_mix(const struct client_node *client, const struct call *call)
{
    bool is_02 = client->plan->config.dialect == MDP_02;
    if (call->is_tainted)
        return true;
    return is_02 && client->node.world->plan.service_configs[call->service].may_resume;
}

static void
on_part(struct client_node *client, struct call *call, const struct client_effect *effect)
{
    if (effect->seq == 0)
        call->parts = 0;
    struct reading reading = {client, call, call->parts, call->run, false};
    call->out_since_ns = node_now(&client->node);
    if (may_mix(client, call))
        return;
    read_body(&reading, effect->body);
    call->parts = reading.parts;
    call->run = reading.run;
    if (reading.is_ended || effect->seq + 1 != call->parts)
        check_fail(&client->node, "B1 right_reply", "its call %llu gets part %u as %u",
                   (unsigned long long)call->id, call->parts - 1, effect->seq);
}

// right_reply (B1), at the client.
static void
right_reply(struct client_node *client, struct call *call, const struct client_effect *effect)
{
    struct reading reading = {client, call, call->parts, call->run, false};
    if (may_mix(client, call))
        return;
    // Of what was handed out before, none may belong to it.
    if (!client->plan->config.hands_out_parts || effect->seq == 0)
        reading.parts = 0;
    if (effect->cargo != NULL) {
        struct mdp_body parts = parcel_body(effect->cargo);
        read_body(&reading, &parts);
    }
    if (effect->body != NULL)
        read_body(&reading, effect->body);
    if (!reading.is_ended)
        check_fail(&client->node, "B1 right_reply", "its call %llu gets no end of an answer",
                   (unsigned long long)call->id);
    mark(client->node.world, MARK_ANSWERED);
    if (reading.parts > 0)
        mark(client->node.world, MARK_ANSWERED_IN_PARTS);
}

// right_failure (B1): an error that a worker has said is this call's.
static void
right_failure(struct client_node *client, struct call *call, const struct client_effect *effect)
{
    struct reading reading = {.client = client, .call = call};
    if (!call->is_tainted && is_failure(&reading, effect->text))
        mark(client->node.world, MARK_ANSWERED_WITH_ERROR);
}

// leaves_for_a_late_beat: a worker with a patience of one interval gives its broker up for a
// beat that is late, so it comes and goes also when all is well, and a request may go with it.
static bool
leaves_for_a_late_beat(const struct plan *plan, uint32_t service)
{
    for (uint32_t i = 0; i < plan->workers; i++)
        if (plan->worker[i].service == service && plan->worker[i].config.liveness == 1)
            return true;
    return false;
}

// all_answered (B10), for the probes: what is called when all is well is answered.
static void
all_answered(const struct client_node *client, const struct call *call, int result, int status)
{
    if (client->is_probe && status == MDP_WORKER_LOST &&
        leaves_for_a_late_beat(&client->node.world->plan, call->service))
        return;
    if (client->is_probe && result != GALLEON_OK)
        check_fail(&client->node, "B10 all_answered", "service %u ends with %d after all is mended",
                   call->service, result);
}

void
check_client_answer(struct client_node *client, const struct client_effect *effect)
{
    struct call *call = call_of(client, effect->id);
    note(client->node.world, &client->node, "has the answer to call %llu: %llu, status %llu",
         effect->id, effect->result, effect->status);
    if (call == NULL || !call->is_open)
        check_fail(&client->node, "B12 one_final", "its call %llu, which is over, is answered",
                   (unsigned long long)effect->id);
    if (effect->result == GALLEON_PENDING) {
        on_part(client, call, effect);
        return;
    }
    call->is_open = call->is_out = false;
    // S4, at the client; 0.1 and 0.2 have no fields.
    if (effect->result == GALLEON_OK && has_epochs(client->node.world) && client->heard != NULL &&
        client->heard->dialect == MDP_G1)
        check_no_late_effect(&client->node, &client->epoch, epoch_of(client->heard));
    if (effect->result == GALLEON_OK)
        right_reply(client, call, effect);
    else if (effect->status != 0 && effect->status != MDP_PASSIVE)
        right_failure(client, call, effect);
    else
        mark(client->node.world, MARK_CALL_TIMED_OUT);
    all_answered(client, call, effect->result, effect->status);
}

void
check_client_step(struct client_node *client, const struct client_event *event)
{
    (void)event;
    client->heard = NULL;
    // B5: a client without calls has no bodies.
    if (client_core_open_count(client->core) == 0 && client->node.core_parcels > 0)
        check_fail(&client->node, "B5 cargo_conserved", "%llu bodies are left and no call is open",
                   (unsigned long long)client->node.core_parcels);
}

// bounds_kept (B6), at the client, whatever its brokers send: for each call its request, and
// an answer that is gathered.
static void
client_bounds_kept(const struct client_node *client)
{
    const struct client_config *config = &client->plan->config;
    uint64_t most = config->window * (config->answer_bytes_max + REQUEST_BYTES_MAX);
    if (client->node.core_parcels > 2 * (uint64_t)config->window || client->node.core_cost > most)
        check_fail(&client->node, "B6 bounds_kept", "it keeps %llu bodies of %llu bytes",
                   (unsigned long long)client->node.core_parcels,
                   (unsigned long long)client->node.core_cost);
}

// open_calls_end (B10): no call is open after its deadline.
void
check_client_turn(struct client_node *client)
{
    client_bounds_kept(client);
    uint64_t now_ns = node_now(&client->node);
    while (client->first_open < client->call_count) {
        const struct call *call = call_at(client->node.world, client->calls[client->first_open]);
        if (call->is_open) {
            if (now_ns > call->ends_by_ns + SLACK_MS * ms)
                check_fail(&client->node, "B10 all_answered",
                           "its call %llu is open after its deadline",
                           (unsigned long long)call->id);
            break;
        }
        client->first_open++;
    }
}

// books_agree (B9): both count the same calls.
void
check_client_audit(const struct client_node *client)
{
    size_t open = 0;
    for (size_t i = client->first_open; i < client->call_count; i++) {
        const struct call *call = call_at(client->node.world, client->calls[i]);
        open += call->is_open ? 1 : 0;
        if (call->is_open != client_core_is_open(client->core, call->id))
            check_fail(&client->node, "B9 books_agree", "its call %llu is open to one of us only",
                       (unsigned long long)call->id);
    }
    if (open != client_core_open_count(client->core))
        check_fail(&client->node, "B9 books_agree", "%zu calls are open, %zu by its count", open,
                   client_core_open_count(client->core));
}

void
check_client_end(struct client_node *client)
{
    const struct client_stats *stats = client_core_stats(client->core);
    client->node.world->marks[MARK_ATTEMPT_TIMED_OUT] += (uint32_t)stats->timeouts;
    for (size_t i = client->first_open; i < client->call_count; i++)
        call_at(client->node.world, client->calls[i])->is_open = false;
}

// ---- (end) --------------------------------------------------------------------------------------

// It is longer than the invariant's by two terms, and cannot be shorter: a request that a
// client sends once more on its last attempt begins its own time to live only then, and one
// of a client that has died waits for all of that, because nobody tells a broker of it.
uint64_t
check_bound_ns(const struct world *world)
{
    uint32_t deadline_ms = 0;
    for (uint32_t i = 0; i < world->plan.clients; i++)
        if (world->plan.client[i].config.deadline_ms > deadline_ms)
            deadline_ms = world->plan.client[i].config.deadline_ms;
    return 60 * second + 2 * swarm_patience_ns(&world->plan) +
           (deadline_ms + world->plan.broker.request_ttl_ms) * ms +
           2 * world->plan.pirates.call_ns_max; // drift
}

// memory_and_fds_bounded (W4): when everybody has gone, everything has.
void
check_world_end(struct world *world)
{
    if (world->parcel_count > 0)
        world_fail(world, "B5 cargo_conserved", "%llu bodies are left in the end",
                   (unsigned long long)world->parcel_count);
    if (links_count(world) > 0)
        world_fail(world, "W4 memory_and_fds_bounded", "%u sockets are left in the end",
                   links_count(world));
}
