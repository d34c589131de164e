// check.c - what must hold of a broker.

#include "check_seen.h"
#include "workload.h"

#include "bytes.h"
#include "service_name.h"

#include <stdarg.h>
#include <stdio.h>

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

enum { TICKETS_KEPT = 8 };

static _Noreturn void __attribute__((format(printf, 3, 4)))
fail(const struct broker_node *broker, const char *name, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    world_fail(broker->node.world, name, "broker%u: %s", broker->node.index, text);
}

static bool
is_sound(const struct broker_event *event, enum mdp_side side, enum mdp_command command)
{
    return event->kind == BROKER_RECORD && event->record->fault == MDP_SOUND &&
           event->record->side == side && event->record->command == command;
}

static uint64_t
now_of(const struct broker_node *broker)
{
    return node_now(&broker->node);
}

// ---- who is who ---------------------------------------------------------------------------------

static struct seen_worker *
worker_at(const struct seen_broker *self, struct view id)
{
    list_each (node, &self->workers) {
        struct seen_worker *worker = list_object(node, struct seen_worker, in_broker);
        if (view_equals(view_of(worker->id, worker->id_size), id))
            return worker;
    }
    return NULL;
}

static struct seen_worker *
worker_of_number(const struct seen_broker *self, uint64_t number)
{
    list_each (node, &self->workers) {
        struct seen_worker *worker = list_object(node, struct seen_worker, in_broker);
        if (worker->number == number)
            return worker;
    }
    return NULL;
}

static struct seen_attempt *
attempt_of(const struct seen_broker *self, const struct ticket *ticket)
{
    uint32_t serial = bytes_get32(ticket->bytes + 4);
    struct seen_attempt *attempt = serial < self->attempts_size ? self->attempts[serial] : NULL;
    return attempt != NULL && ticket_equals(&attempt->ticket, ticket) ? attempt : NULL;
}

static bool
is_client(const struct asked *asked, struct view id)
{
    return view_equals(view_of(asked->client, asked->client_size), id);
}

// request_for is the open request that an answer is for: by its id in G1; in 0.1 and 0.2 by
// the call that the answer names.
static struct parcel *
request_for(const struct seen_broker *self, const struct broker_effect *effect)
{
    const struct parcel *cargo = effect->cargo;
    list_each (node, &self->open) {
        struct parcel *parcel = list_object(node, struct parcel, asked.in_open);
        if (!is_client(&parcel->asked, effect->to->routing_id) ||
            parcel->asked.dialect != effect->record.dialect)
            continue;
        bool is_g1 = effect->record.dialect == MDP_G1;
        if (is_g1 ? parcel->asked.id == effect->record.id
                  : cargo != NULL && cargo->call == parcel->call)
            return parcel;
    }
    return NULL;
}

static uint32_t
service_number(struct view name)
{
    for (uint32_t i = 0; i < SERVICES_MAX; i++)
        if (view_equals(swarm_service(i), name))
            return i;
    // The one service of a pirate queue.
    return view_equals(VIEW_LITERAL("pirate"), name) ? 0 : SERVICES_MAX;
}

static const struct broker_service_config *
settings_of(const struct broker_node *broker, uint32_t service)
{
    return &broker->node.world->plan.service_configs[service];
}

static uint32_t
attempts_of(const struct broker_node *broker, uint32_t service)
{
    uint32_t attempts = service < SERVICES_MAX ? settings_of(broker, service)->attempts : 0;
    return attempts != 0 ? attempts : broker->config.attempts;
}

// ---- attempts -----------------------------------------------------------------------------------

static void
forget_attempt(struct broker_node *broker, struct seen_attempt *attempt)
{
    broker->seen->attempts[bytes_get32(attempt->ticket.bytes + 4)] = NULL;
    world_give(broker->node.world, attempt);
}

// free_slot: the worker has it no more.
static void
free_slot(struct broker_node *broker, struct seen_attempt *attempt)
{
    struct seen_broker *self = broker->seen;
    list_remove(&attempt->worker->held, &attempt->in_worker);
    if (list_is_empty(&attempt->worker->held))
        attempt->worker->idle_since_ns = now_of(broker);
    attempt->worker = NULL;
    self->slots_taken--;
    if (attempt->request == NULL) {
        self->zombies--;
        forget_attempt(broker, attempt);
    }
}

// end_request: its tickets die, and workers that still work on it keep their slots.
static void
end_request(struct broker_node *broker, struct parcel *parcel)
{
    struct seen_broker *self = broker->seen;
    struct list_node *node;
    parcel->asked.is_open = false;
    list_remove(&self->open, &parcel->asked.in_open);
    while ((node = list_take(&parcel->asked.attempts)) != NULL) {
        struct seen_attempt *attempt = list_object(node, struct seen_attempt, in_request);
        attempt->request = NULL;
        if (attempt->worker != NULL)
            self->zombies++;
        else
            forget_attempt(broker, attempt);
    }
    if (self->answered == parcel)
        self->answered = NULL;
}

static void
add_attempt(struct broker_node *broker, struct parcel *parcel, struct seen_worker *worker,
            const struct ticket *ticket)
{
    struct world *world = broker->node.world;
    struct seen_broker *self = broker->seen;
    uint32_t serial = bytes_get32(ticket->bytes + 4);
    if (serial >= self->attempts_size) {
        uint32_t had = self->attempts_size;
        self->attempts_size = 2 * serial + 256;
        self->attempts =
            world_grow(world, self->attempts, self->attempts_size * sizeof *self->attempts);
        memset(self->attempts + had, 0, (self->attempts_size - had) * sizeof *self->attempts);
    }
    struct seen_attempt *attempt = world_take(world, sizeof *attempt);
    *attempt = (struct seen_attempt){
        .ticket = *ticket, .request = parcel, .worker = worker, .id_size = worker->id_size};
    memcpy(attempt->id, worker->id, worker->id_size);
    self->attempts[serial] = attempt;
    list_append(&worker->held, &attempt->in_worker);
    list_append(&parcel->asked.attempts, &attempt->in_request);
    self->slots_taken++;
}

// ---- B1 to B4, B12: what goes to workers and clients --------------------------------------------

// credit_kept (B2): "no worker has more requests out than its credit".
static void
credit_kept(const struct broker_node *broker, const struct seen_worker *worker)
{
    if (worker->held.size >= worker->credit)
        fail(broker, "B2 credit_kept", "worker %llu has %zu of %u",
             (unsigned long long)worker->number, worker->held.size, worker->credit);
    if (worker->held.size > 0)
        mark(broker->node.world, MARK_CREDIT);
}

// right_worker (B3): "a request goes only to a live worker registered for its service", and
// never over a connection that it was lost on (mdp.md, 3.7). A request remembers the last
// eight of its tickets, and their connections with them.
static void
right_worker(const struct broker_node *broker, const struct seen_worker *worker,
             const struct parcel *parcel, struct view id)
{
    if (worker == NULL)
        fail(broker, "B3 right_worker", "call %llu goes to somebody who is not registered",
             (unsigned long long)parcel->call);
    if (worker->service != parcel->asked.service)
        fail(broker, "B3 right_worker", "call %llu goes to a worker of another service",
             (unsigned long long)parcel->call);
    size_t later = parcel->asked.attempts.size;
    list_each (node, &parcel->asked.attempts) {
        const struct seen_attempt *attempt = list_object(node, struct seen_attempt, in_request);
        if (later-- < TICKETS_KEPT && view_equals(view_of(attempt->id, attempt->id_size), id))
            fail(broker, "B3 right_worker", "call %llu goes where it was lost",
                 (unsigned long long)parcel->call);
    }
}

// fifo (B4): "per service first in, first out, among requests never re-queued".
static void
fifo(struct broker_node *broker, const struct parcel *parcel)
{
    const struct asked *asked = &parcel->asked;
    if (asked->was_returned || asked->service >= SERVICES_MAX)
        return;
    uint64_t *last = &broker->seen->last_first[asked->service];
    if (asked->arrival <= *last)
        fail(broker, "B4 fifo", "call %llu, the %lluth, comes after the %lluth",
             (unsigned long long)parcel->call, (unsigned long long)asked->arrival,
             (unsigned long long)*last);
    *last = asked->arrival;
}

static void
on_dispatch(struct broker_node *broker, const struct broker_effect *effect)
{
    struct parcel *parcel = effect->cargo;
    struct seen_worker *worker = worker_at(broker->seen, effect->to->routing_id);
    if (parcel == NULL || !parcel->asked.is_open)
        fail(broker, "B12 one_final", "what is over is given to a worker");
    right_worker(broker, worker, parcel, effect->to->routing_id);
    credit_kept(broker, worker);
    fifo(broker, parcel);
    parcel->asked.given++;
    parcel->asked.was_returned = true; // if it comes back
    if (parcel->asked.given > attempts_of(broker, parcel->asked.service))
        fail(broker, "B11 nothing_forgotten", "call %llu is given to a worker %u times",
             (unsigned long long)parcel->call, parcel->asked.given);
    if (parcel->asked.given > 1)
        mark(broker->node.world, MARK_REDELIVERY);
    if (effect->record.attempt != parcel->asked.given)
        fail(broker, "B9 books_agree", "attempt %u is called %u", parcel->asked.given,
             effect->record.attempt);
    add_attempt(broker, parcel, worker, &effect->record.ticket);
    note(broker->node.world, &broker->node, "gives call %llu to worker %llu, attempt %llu",
         parcel->call, worker->number, parcel->asked.given);
}

// is_tainted: a worker that lies was handed it, so nothing is asked of its answer.
static bool
is_tainted(const struct broker_node *broker, const struct parcel *request)
{
    const struct call *call = check_call(broker->node.world, request->call);
    return call != NULL && call->is_tainted;
}

// right_reply (B1), at the broker: "a reply reaches only the client that asked, for that
// request".
static void
right_reply(const struct broker_node *broker, const struct parcel *request,
            const struct broker_effect *effect)
{
    const struct parcel *cargo = effect->cargo;
    const struct asked *asked = &request->asked;
    if (!is_client(asked, effect->to->routing_id) ||
        asked->has_delimiter != effect->has_delimiter || asked->dialect != effect->record.dialect)
        fail(broker, "B1 right_reply", "the answer to call %llu goes to another",
             (unsigned long long)request->call);
    if (cargo != NULL && cargo->call != request->call && !is_tainted(broker, request))
        fail(broker, "B1 right_reply", "call %llu gets the answer to call %llu",
             (unsigned long long)request->call, (unsigned long long)cargo->call);
}

// is_refusal: does it say no to the request that this step is about?
static bool
is_refusal(const struct broker_node *broker, const struct broker_effect *effect)
{
    const struct broker_event *event = broker->seen->event;
    return event->kind == BROKER_RECORD && event->record->side == MDP_CLIENT_SIDE &&
           event->record->command == MDP_REQUEST && effect->cargo == NULL &&
           event->record->id == effect->record.id && effect->record.status != MDP_DONE &&
           view_equals(event->from->routing_id, effect->to->routing_id) &&
           !broker->seen->has_refused;
}

static bool
is_mmi(const struct broker_event *event)
{
    return event->kind == BROKER_RECORD && event->record->fault == MDP_SOUND &&
           event->record->command == MDP_REQUEST &&
           service_name_is_reserved(event->record->service);
}

// one_final (B12): "one FINAL per request; a reply under a ticket that is not live reaches
// nobody".
static void
one_final(struct broker_node *broker, const struct broker_effect *effect)
{
    struct seen_broker *self = broker->seen;
    struct parcel *request = self->answered;
    if (request == NULL ||
        (effect->record.dialect == MDP_G1 && request->asked.id != effect->record.id))
        request = request_for(self, effect);
    if (request == self->newcomer && is_refusal(broker, effect)) {
        self->has_refused = true;
        self->refusals += effect->record.status == MDP_QUEUE_FULL ? 1 : 0;
        if (effect->record.status == MDP_NO_WORKER)
            mark(broker->node.world, MARK_NO_QUEUE);
        return;
    }
    if (request == NULL && is_mmi(self->event))
        return;
    if (request == NULL)
        fail(broker, "B12 one_final", "an answer to nothing that is open, status %u",
             effect->record.status);
    right_reply(broker, request, effect);
    if (++request->asked.finals > 1)
        fail(broker, "B12 one_final", "call %llu has a second FINAL",
             (unsigned long long)request->call);
    note(broker->node.world, &broker->node, "answers call %llu, status %llu", request->call,
         effect->record.status, 0);
}

static void
on_partial_out(struct broker_node *broker, const struct broker_effect *effect)
{
    struct seen_broker *self = broker->seen;
    struct parcel *request = self->answered;
    const struct parcel *cargo = effect->cargo;
    if (request == NULL || cargo == NULL || !is_sound(self->event, MDP_WORKER_SIDE, MDP_PARTIAL))
        fail(broker, "B12 one_final", "a part of nothing");
    right_reply(broker, request, effect);
    struct asked *asked = &request->asked;
    bool is_other_run =
        asked->parts > 0 && cargo->run != asked->parts_run && !is_tainted(broker, request);
    if (is_other_run && !settings_of(broker, asked->service)->may_resume)
        fail(broker, "B1 right_reply", "call %llu gets parts of two runs",
             (unsigned long long)request->call);
    if (is_other_run)
        asked->parts = 0;
    if (is_tainted(broker, request))
        asked->parts = effect->record.seq; // a liar counts as it likes
    if (effect->record.seq != asked->parts)
        fail(broker, "B1 right_reply", "call %llu gets part %u in place of %u",
             (unsigned long long)request->call, effect->record.seq, asked->parts);
    asked->parts++;
    asked->has_parts = true;
    asked->parts_run = cargo->run;
    asked->part_token = effect->token;
}

// ---- how requests end ---------------------------------------------------------------------------

static bool
is_reachable(const struct broker_node *broker, struct view id)
{
    list_each (node, &broker->router->pipes) {
        const struct pipe *pipe = list_object(node, struct pipe, in_broker);
        if (view_equals(view_of(pipe->id, pipe->id_size), id))
            return true;
    }
    return false;
}

// is_told (B11): a G1 client hears how its request ended, unless the socket said that it is
// gone or would not take a part of its answer. For 0.1 and 0.2 an error is silence: both
// have no word for it (mdp-g1.md, Mixed dialects). A socket with a name of its own may have
// been gone and be back: until it says something it counts as gone.
static void
is_told(const struct broker_node *broker, const struct parcel *parcel, enum broker_dump why)
{
    const struct asked *asked = &parcel->asked;
    bool is_there = is_reachable(broker, view_of(asked->client, asked->client_size));
    bool may_be_back = asked->client_size > 5;
    if (asked->dialect != MDP_G1 || asked->finals > 0 || asked->is_muted || !is_there ||
        may_be_back)
        return;
    fail(broker, "B11 nothing_forgotten", "call %llu ends (%s) and its client is not told",
         (unsigned long long)parcel->call, broker_dump_text(why));
}

// is_over: a half of a pair that serves no longer drops what is open (mdp.md, 3.9).
static bool
is_over(const struct broker_node *broker)
{
    return broker->half.member != NULL && broker->half.follower.phase != PAIR_SERVES;
}

static bool
may_be_given_up(const struct broker_node *broker, const struct asked *asked)
{
    bool is_spent = asked->given >= attempts_of(broker, asked->service);
    bool is_begun = asked->has_parts && !settings_of(broker, asked->service)->may_resume;
    return is_spent || is_begun || broker->is_draining || is_over(broker);
}

// ends_rightly (B11): "a lost worker's request is re-queued or reported as its policy says".
static void
ends_rightly(struct broker_node *broker, const struct parcel *parcel, enum broker_dump why)
{
    const struct seen_broker *self = broker->seen;
    const struct asked *asked = &parcel->asked;
    unsigned long long call = parcel->call;
    switch (why) {
    case BROKER_DUMP_DONE:
        if (self->answered != parcel)
            fail(broker, "B12 one_final", "call %llu is done, and nobody has answered it", call);
        break;
    case BROKER_DUMP_EXPIRED:
        if (now_of(broker) < asked->expires_ns)
            fail(broker, "B11 nothing_forgotten", "call %llu expires too early", call);
        break;
    case BROKER_DUMP_GIVEN_UP:
        if (!may_be_given_up(broker, asked))
            fail(broker, "B11 nothing_forgotten", "call %llu is given up after %u attempts", call,
                 asked->given);
        break;
    case BROKER_DUMP_CANCELLED:
        if (!is_sound(self->event, MDP_CLIENT_SIDE, MDP_CANCEL) ||
            self->event->record->id != asked->id ||
            !is_client(asked, self->event->from->routing_id))
            fail(broker, "B11 nothing_forgotten", "call %llu is cancelled by nobody", call);
        break;
    case BROKER_DUMP_REFUSED:
        if (!broker->is_draining && !is_over(broker))
            fail(broker, "B11 nothing_forgotten", "call %llu is refused late", call);
        break;
    case BROKER_DUMP_UNSENT:
    case BROKER_DUMP_SILENCE:
        break;
    default:
        fail(broker, "B11 nothing_forgotten", "call %llu ends as %s", call, broker_dump_text(why));
    }
    if ((why == BROKER_DUMP_GIVEN_UP || why == BROKER_DUMP_REFUSED) && is_over(broker) &&
        check_pair_finishes(broker, asked))
        fail(broker, "B11 nothing_forgotten", "call %llu, which is out, is lost in a hand-over",
             call);
    if (why != BROKER_DUMP_UNSENT)
        is_told(broker, parcel, why);
}

static void
mark_end(struct world *world, const struct asked *asked, enum broker_dump why)
{
    bool is_out = false;
    list_each (node, &asked->attempts)
        is_out = is_out || list_object(node, struct seen_attempt, in_request)->worker != NULL;
    if (why == BROKER_DUMP_CANCELLED)
        mark(world, is_out ? MARK_CANCEL_OUT : MARK_CANCEL_QUEUED);
    if (why == BROKER_DUMP_EXPIRED)
        mark(world, MARK_EXPIRED_QUEUED);
    if (why == BROKER_DUMP_GIVEN_UP)
        mark(world, MARK_GIVEN_UP);
    if (why == BROKER_DUMP_UNSENT)
        mark(world, MARK_OF_GONE);
}

static void
on_dump(struct broker_node *broker, const struct broker_effect *effect)
{
    struct parcel *parcel = effect->cargo;
    if (!parcel->asked.is_open)
        return;
    // One that was never accepted, and not given to anybody either.
    bool is_refused = parcel == broker->seen->newcomer && parcel->asked.given == 0;
    if (!is_refused) {
        ends_rightly(broker, parcel, effect->dump);
        mark_end(broker->node.world, &parcel->asked, effect->dump);
        note(broker->node.world, &broker->node, "ends call %llu, %llu", parcel->call, effect->dump,
             0);
    }
    end_request(broker, parcel);
}

static void
on_join(struct broker_node *broker, const struct broker_effect *effect)
{
    const struct parcel *into = effect->into;
    const struct parcel *cargo = effect->cargo;
    mark(broker->node.world, MARK_GATHERED);
    bool is_same = into->call == cargo->call && into->run == cargo->run;
    const struct parcel *request = broker->seen->answered;
    if (!is_same && (request == NULL || !is_tainted(broker, request)))
        fail(broker, "B1 right_reply", "parts of two answers are put together, calls %llu and %llu",
             (unsigned long long)into->call, (unsigned long long)cargo->call);
}

static void
on_said_to_worker(struct broker_node *broker, const struct broker_effect *effect)
{
    struct seen_worker *worker = worker_at(broker->seen, effect->to->routing_id);
    if (effect->record.command == MDP_REQUEST)
        on_dispatch(broker, effect);
    else if (worker == NULL && effect->record.command == MDP_DISCONNECT)
        mark(broker->node.world, MARK_STRANGER_BEATS);
    if (worker == NULL)
        return;
    worker->spoken_to_ns = now_of(broker);
    worker->slept_at_spoken_ns = broker->seen->slept_ns;
    worker->unread++;
}

void
check_broker_effect(struct broker_node *broker, const struct broker_effect *effect)
{
    if (effect->kind == BROKER_DUMP)
        on_dump(broker, effect);
    else if (effect->kind == BROKER_JOIN)
        on_join(broker, effect);
    else if (effect->kind == BROKER_SEND && effect->record.side == MDP_WORKER_SIDE)
        on_said_to_worker(broker, effect);
    else if (effect->kind == BROKER_SEND && effect->record.command == MDP_FINAL)
        one_final(broker, effect);
    else if (effect->kind == BROKER_SEND && effect->record.command == MDP_PARTIAL)
        on_partial_out(broker, effect);
}

// ---- what comes in ------------------------------------------------------------------------------

static void
on_request_in(struct broker_node *broker, const struct broker_event *event)
{
    struct seen_broker *self = broker->seen;
    const struct mdp_record *record = event->record;
    struct parcel *parcel = event->cargo;
    struct asked *asked = &parcel->asked;
    if (service_name_is_reserved(record->service))
        return;
    uint64_t ttl_ms = record->ttl_ms != 0 ? record->ttl_ms : broker->config.request_ttl_ms;
    *asked = (struct asked){
        .is_open = true,
        .client_size = (uint8_t)event->from->routing_id.size,
        .has_delimiter = event->from->has_delimiter,
        .dialect = record->dialect,
        .id = record->id,
        .service = service_number(record->service),
        .arrival = ++self->arrival,
        .expires_ns = ttl_ms == 0 ? UINT64_MAX : now_of(broker) + ttl_ms * ms,
    };
    memcpy(asked->client, event->from->routing_id.data, event->from->routing_id.size);
    list_init(&asked->attempts);
    list_append(&self->open, &asked->in_open);
    self->newcomer = parcel;
}

static void
hear(struct broker_node *broker, struct seen_worker *worker, const struct mdp_record *record)
{
    uint64_t gap_ns = now_of(broker) - worker->heard_ns;
    if (worker->dialect != MDP_G1 && worker->was_idle && gap_ns > worker->interval_ns)
        worker->interval_ns = gap_ns < 60 * second ? gap_ns : 60 * second;
    if (record->command == MDP_HEARTBEAT && worker->dialect == MDP_G1) {
        uint64_t interval_ms = record->interval_ms < 100 ? 100 : record->interval_ms;
        worker->has_promise = record->interval_ms != 0;
        worker->interval_ns = (interval_ms < 60000 ? interval_ms : 60000) * ms;
    }
    worker->heard_ns = now_of(broker);
    worker->slept_at_heard_ns = broker->seen->slept_ns;
    worker->counted_at_heard_ns = broker->seen->counted_ns;
    worker->was_idle = list_is_empty(&worker->held);
    if (worker->unread >= PROBES_ALWAYS) // from now on it is not spared
        worker->spoken_to_ns = worker->heard_ns;
    worker->unread = 0;
}

static void
on_worker_record(struct broker_node *broker, const struct broker_event *event)
{
    struct seen_broker *self = broker->seen;
    const struct mdp_record *record = event->record;
    struct seen_worker *worker = worker_at(self, event->from->routing_id);
    bool is_said = record->fault != MDP_BAD_HEADER && record->fault != MDP_BAD_VERSION &&
                   record->fault != MDP_NO_RECORD && record->fault != MDP_BAD_STACK &&
                   record->fault != MDP_BAD_COMMAND && record->command != MDP_DISCONNECT;
    if (worker != NULL && is_said && record->dialect == worker->dialect)
        hear(broker, worker, record);
    bool is_answer = record->command == MDP_FINAL || record->command == MDP_PARTIAL;
    if (!is_answer || (record->fault != MDP_SOUND && record->fault != MDP_OVER_LIMIT))
        return;
    struct seen_attempt *attempt = attempt_of(self, &record->ticket);
    if (attempt == NULL)
        return;
    self->answered = attempt->request;
    if (record->command == MDP_PARTIAL && attempt->worker != worker)
        self->answered = NULL; // parts count over their own connection only
    if (record->command == MDP_FINAL && worker != NULL && attempt->worker == worker &&
        record->dialect == worker->dialect)
        free_slot(broker, attempt);
}

static void
on_unsent(struct broker_node *broker, const struct broker_event *event)
{
    struct world *world = broker->node.world;
    bool is_worker = event->side == MDP_WORKER_SIDE;
    note(world, &broker->node, "cannot send: command %llu, side %llu, gone %llu", event->command,
         event->side, event->is_gone);
    if (is_worker && event->command == MDP_REQUEST)
        mark(world, event->is_gone ? MARK_UNSENT_REQUEST_GONE : MARK_UNSENT_REQUEST_FULL);
    if (is_worker && event->command == MDP_HEARTBEAT)
        mark(world, MARK_UNSENT_HEARTBEAT);
    if (!is_worker && event->command == MDP_FINAL)
        mark(world, event->is_gone ? MARK_UNSENT_FINAL_GONE : MARK_UNSENT_FINAL_FULL);
    if (is_worker || event->command != MDP_PARTIAL)
        return;
    mark(world, MARK_UNSENT_PARTIAL);
    list_each (node, &broker->seen->open) {
        struct asked *asked = &list_object(node, struct parcel, asked.in_open)->asked;
        if (asked->has_parts && asked->part_token == event->token)
            asked->is_muted = true;
    }
}

// take_back: a REQUEST that no socket took was not an attempt. (One whose worker was lost
// before it was known may count as one: then nothing changes.)
static void
take_back(struct broker_node *broker)
{
    struct seen_broker *self = broker->seen;
    const struct broker_event *event = self->event;
    uint32_t serial = (uint32_t)event->token;
    if (event->kind != BROKER_UNSENT || event->side != MDP_WORKER_SIDE ||
        event->command != MDP_REQUEST || self->has_taken_back)
        return;
    self->has_taken_back = true;
    struct seen_attempt *attempt = serial < self->attempts_size ? self->attempts[serial] : NULL;
    if (attempt == NULL)
        return;
    bool was_attempt = self->attempts_before == broker_core_stats(broker->core)->attempts;
    struct parcel *request = attempt->request;
    if (request != NULL && was_attempt)
        return;
    if (request != NULL) {
        list_remove(&request->asked.attempts, &attempt->in_request);
        request->asked.given--;
        attempt->request = NULL;
        self->zombies += attempt->worker != NULL ? 1 : 0;
    }
    if (attempt->worker != NULL)
        free_slot(broker, attempt);
    else if (attempt->request == NULL)
        forget_attempt(broker, attempt);
}

void
check_broker_event(struct broker_node *broker, const struct broker_event *event)
{
    struct seen_broker *self = broker->seen;
    self->event = event;
    self->newcomer = self->answered = NULL;
    self->has_refused = self->has_taken_back = false;
    self->attempts_before = broker_core_stats(broker->core)->attempts;
    if (event->kind == BROKER_UNSENT)
        on_unsent(broker, event);
    if (event->kind != BROKER_RECORD)
        return;
    note(broker->node.world, &broker->node, "reads side %llu, command %llu, fault %llu",
         event->record->side, event->record->command, event->record->fault);
    if (event->record->side == MDP_WORKER_SIDE)
        on_worker_record(broker, event);
    else if (event->cargo != NULL && event->record->command == MDP_REQUEST)
        on_request_in(broker, event);
}

// ---- facts --------------------------------------------------------------------------------------

static void
on_registered(struct broker_node *broker, const struct broker_trace *trace)
{
    struct world *world = broker->node.world;
    struct seen_broker *self = broker->seen;
    const struct broker_event *event = self->event;
    uint64_t now_ns = now_of(broker);
    struct seen_worker *worker = world_take(world, sizeof *worker);
    *worker = (struct seen_worker){.number = trace->worker,
                                   .id_size = (uint8_t)event->from->routing_id.size,
                                   .service = service_number(trace->service),
                                   .dialect = event->record->dialect,
                                   .credit = (uint32_t)trace->count,
                                   .has_promise = broker->config.manners != BROKER_SIMPLE,
                                   .heard_ns = now_ns,
                                   .idle_since_ns = now_ns,
                                   .spoken_to_ns = now_ns,
                                   .slept_at_heard_ns = self->slept_ns,
                                   .counted_at_heard_ns = self->counted_ns,
                                   .slept_at_spoken_ns = self->slept_ns,
                                   .was_idle = true};
    memcpy(worker->id, event->from->routing_id.data, event->from->routing_id.size);
    list_init(&worker->held);
    if (event->record->dialect == MDP_G1) {
        struct mdp_record beat = *event->record;
        beat.command = MDP_HEARTBEAT;
        hear(broker, worker, &beat);
    }
    uint32_t most = event->record->dialect == MDP_G1 ? event->record->credit : 1;
    if (worker->credit > (most > 1 ? most : 1) || worker->credit > broker->config.credit_max)
        fail(broker, "B2 credit_kept", "a credit of %u is read as %u", most, worker->credit);
    list_append(&self->workers, &worker->in_broker);
    note(world, &broker->node, "registers worker %llu for service %llu, credit %llu",
         worker->number, worker->service, worker->credit);
}

// is_anew: a pirate's worker says READY again, over the same connection. What it held may come to
// it again (pirates.md, 6). So it may where the connection has ended, and READY that came over it
// is read only then.
static bool
is_anew(const struct broker_node *broker, const struct seen_worker *worker, const char *why)
{
    if (broker->site != NULL && strcmp(why, "unreachable") == 0)
        return true;
    return broker->site != NULL && is_sound(broker->seen->event, MDP_WORKER_SIDE, MDP_READY) &&
           view_equals(broker->seen->event->from->routing_id, view_of(worker->id, worker->id_size));
}

static void
forget_where(struct world *world, struct seen_worker *worker)
{
    if (worker->held.size > 0)
        mark(world, MARK_PIRATE_ANEW);
    list_each (node, &worker->held)
        list_object(node, struct seen_attempt, in_worker)->id_size = 0;
}

static void
on_gone(struct broker_node *broker, const struct broker_trace *trace)
{
    struct world *world = broker->node.world;
    struct seen_broker *self = broker->seen;
    take_back(broker);
    struct seen_worker *worker = worker_of_number(self, trace->worker);
    if (worker == NULL || worker->held.size != trace->count)
        fail(broker, "B9 books_agree", "worker %llu goes with %llu requests",
             (unsigned long long)trace->worker, (unsigned long long)trace->count);
    const char *why = trace->why == NULL ? "" : trace->why;
    note(world, &broker->node, "loses worker %llu with %llu requests, fact %llu", trace->worker,
         trace->count, trace->fact);
    if (trace->fact == BROKER_WORKER_LEFT && trace->count > 0)
        mark(world, MARK_WORKER_LEFT_BUSY);
    if (trace->fact == BROKER_WORKER_LOST && trace->count > 0)
        mark(world, MARK_WORKER_LOST_BUSY);
    if (is_anew(broker, worker, why))
        forget_where(world, worker);
    if (strcmp(why, "silent") == 0)
        check_lost_on_time(broker, worker);
    if (strcmp(why, "unreachable") == 0)
        mark(world, MARK_WORKER_UNREACHABLE);
    if (strcmp(why, "processing limit") == 0)
        mark(world, MARK_WORKER_LIMIT);
    struct list_node *node;
    while ((node = list_first(&worker->held)) != NULL) {
        struct seen_attempt *attempt = list_object(node, struct seen_attempt, in_worker);
        if (attempt->request != NULL && attempt->request->asked.has_parts)
            mark(world, MARK_PARTIAL_THEN_LOST);
        free_slot(broker, attempt);
    }
    list_remove(&self->workers, &worker->in_broker);
    world_give(world, worker);
}

void
check_broker_fact(struct broker_node *broker, const struct broker_trace *trace)
{
    switch (trace->fact) {
    case BROKER_WORKER_REGISTERED:
        on_registered(broker, trace);
        break;
    case BROKER_WORKER_LEFT:
    case BROKER_WORKER_LOST:
        on_gone(broker, trace);
        break;
    case BROKER_WORKER_REFUSED:
        mark(broker->node.world, MARK_WORKER_REFUSED);
        break;
    case BROKER_DRAINING:
        if (trace->count > 0)
            mark(broker->node.world, MARK_DRAIN_WITH_WORK);
        break;
    default:
        break;
    }
}

// ---- B5, B6, B9, B11: after each step -----------------------------------------------------------

// cargo_conserved (B5): what the core has, and what it says that it has, cost the same.
static void
cargo_conserved(const struct broker_node *broker)
{
    const struct broker_stats *stats = broker_core_stats(broker->core);
    if (stats->request_bytes != broker->node.core_cost)
        fail(broker, "B5 cargo_conserved", "%llu bytes are kept, %llu are known",
             (unsigned long long)broker->node.core_cost, (unsigned long long)stats->request_bytes);
}

// bounds_kept (B6): "no queue, table or byte count above its limit; every refusal counted".
// Requests that come back from workers may stand beyond the limit of those that wait: there
// is room for as many again.
static void
bounds_kept(const struct broker_node *broker)
{
    const struct broker_stats *stats = broker_core_stats(broker->core);
    const struct broker_config *config = &broker->config;
    if (stats->requests_queued > 2 * (uint64_t)config->requests_max ||
        stats->workers > config->workers_max || stats->services > config->services_max ||
        stats->request_bytes > config->request_bytes_max)
        fail(broker, "B6 bounds_kept", "%llu queued, %llu workers, %llu bytes",
             (unsigned long long)stats->requests_queued, (unsigned long long)stats->workers,
             (unsigned long long)stats->request_bytes);
    uint64_t counted = stats->refused_service_limit + stats->refused_queue_limit +
                       stats->refused_service_queue_limit + stats->refused_client_limit +
                       stats->refused_bytes_limit;
    if (broker->seen->refusals > counted)
        fail(broker, "B6 bounds_kept", "%llu refusals, %llu counted",
             (unsigned long long)broker->seen->refusals, (unsigned long long)counted);
}

// nothing_forgotten (B11): every open request waits or is out. While the deadline is "now"
// the core is in the middle of a long job.
static void
nothing_forgotten(const struct broker_node *broker)
{
    const struct seen_broker *self = broker->seen;
    const struct broker_stats *stats = broker_core_stats(broker->core);
    if (broker_core_deadline(broker->core) == 0)
        return;
    uint64_t open = stats->requests_queued + stats->requests_out - self->zombies;
    if (self->slots_taken != stats->requests_out)
        fail(broker, "B9 books_agree", "%llu are out, %llu by its count",
             (unsigned long long)self->slots_taken, (unsigned long long)stats->requests_out);
    if (self->open.size != open)
        fail(broker, "B11 nothing_forgotten", "%zu requests are open, and %llu somewhere",
             self->open.size, (unsigned long long)open);
    if (stats->workers != self->workers.size ||
        stats->workers != stats->workers_idle + stats->workers_busy)
        fail(broker, "B9 books_agree", "%zu workers, %llu by its count", self->workers.size,
             (unsigned long long)stats->workers);
}

void
check_broker_step(struct broker_node *broker, const struct broker_event *event)
{
    (void)event;
    take_back(broker);
    cargo_conserved(broker);
    bounds_kept(broker);
    nothing_forgotten(broker);
}

// pirate_queue (P3): "the Paranoid Pirate queue keeps B2, B7 and B8". So does the Simple one, but
// that it loses nobody by silence, and looks at a connection in place of a beat. B2 is judged again
// by the worker, and whether it is lost too early in check_alive.c.
static void
pirate_queue(struct broker_node *broker)
{
    // Half of B6: what came back may stand beyond the limit.
    const struct pirate_queue_config *config = &broker->site->queue;
    if (broker_core_stats(broker->core)->requests_queued > 2 * (uint64_t)config->requests_max)
        fail(broker, "B6 bounds_kept", "more than %u requests wait", config->requests_max);
    list_each (node, &broker->seen->workers) {
        const struct seen_worker *worker = list_object(node, struct seen_worker, in_broker);
        if (worker->held.size > 1 || worker->credit != 1)
            fail(broker, "P3 pirate_queue", "worker %llu has %zu requests",
                 (unsigned long long)worker->number, worker->held.size);
        check_lost_in_the_end(broker, worker);
        check_beats_sent(broker, worker);
    }
}

void
check_broker_turn(struct broker_node *broker)
{
    if (broker->site != NULL) {
        pirate_queue(broker);
        return;
    }
    list_each (node, &broker->seen->workers) {
        const struct seen_worker *worker = list_object(node, struct seen_worker, in_broker);
        check_lost_in_the_end(broker, worker);
        check_beats_sent(broker, worker);
    }
}

void
check_broker_audit(const struct broker_node *broker)
{
    (void)broker;
}

// ---- its beginning and its end ------------------------------------------------------------------

void
check_broker_start(struct broker_node *broker)
{
    struct seen_broker *self = world_take_zeroed(broker->node.world, sizeof *self);
    list_init(&self->workers);
    list_init(&self->open);
    broker->seen = self;
}

void
check_broker_stopped(struct broker_node *broker)
{
    if (broker->seen->open.size > 0 || broker->node.core_parcels > 0)
        fail(broker, "B5 cargo_conserved", "%zu requests and %llu bodies are left of a drain",
             broker->seen->open.size, (unsigned long long)broker->node.core_parcels);
}

// keep_marks makes marks of what the core has counted in its life.
static void
keep_marks(struct world *world, const struct broker_stats *stats)
{
    world->marks[MARK_LATE_DROPPED] += (uint32_t)stats->answers_late;
    world->marks[MARK_LATE_TAKEN] += (uint32_t)stats->answers_late_taken;
    world->marks[MARK_SILENCE] += (uint32_t)stats->answers_silent;
    world->marks[MARK_CANCEL_UNKNOWN] += (uint32_t)stats->cancels_unknown;
    world->marks[MARK_REFUSED_DRAINING] += (uint32_t)stats->refused_draining;
    world->marks[MARK_LIMIT_QUEUE] += (uint32_t)stats->refused_queue_limit;
    world->marks[MARK_LIMIT_SERVICE] += (uint32_t)stats->refused_service_queue_limit;
    world->marks[MARK_LIMIT_CLIENT] += (uint32_t)stats->refused_client_limit;
    world->marks[MARK_LIMIT_BYTES] += (uint32_t)stats->refused_bytes_limit;
    world->marks[MARK_DUPLICATE] += (uint32_t)stats->requests_duplicate;
}

void
check_broker_end(struct broker_node *broker)
{
    struct world *world = broker->node.world;
    struct seen_broker *self = broker->seen;
    keep_marks(world, broker_core_stats(broker->core));
    for (uint32_t i = 0; i < self->attempts_size; i++)
        world_give(world, self->attempts[i]);
    world_give(world, self->attempts);
    struct list_node *node;
    while ((node = list_take(&self->workers)) != NULL)
        world_give(world, list_object(node, struct seen_worker, in_broker));
    world_give(world, self);
    broker->seen = NULL;
}

void
check_still_open(struct world *world, uint64_t bound_ns)
{
    unsigned long long bound_s = bound_ns / second;
    for (uint32_t i = 0; i < world->plan.brokers; i++) {
        const struct broker_node *broker = broker_node_of(world, i);
        if (broker == NULL || !broker->node.is_alive || check_broker_is_idle(broker))
            continue;
        const struct broker_stats *stats = broker_core_stats(broker->core);
        struct list_node *node = list_first(&broker->seen->open);
        const struct parcel *first = NULL;
        if (node != NULL)
            first = list_object(node, struct parcel, asked.in_open);
        fail(broker, "B10 all_answered",
             "%llu s after all is mended %llu wait, %llu are out; call %llu, attempts %u", bound_s,
             (unsigned long long)stats->requests_queued, (unsigned long long)stats->requests_out,
             first == NULL ? 0ULL : (unsigned long long)first->call,
             first == NULL ? 0 : first->asked.given);
    }
    world_fail(world, "B10 all_answered", "%llu s after all is mended a call is open", bound_s);
}

size_t
check_broker_open_count(const struct broker_node *broker)
{
    return broker->seen->open.size;
}

bool
check_broker_is_idle(const struct broker_node *broker)
{
    const struct broker_stats *stats = broker_core_stats(broker->core);
    if (!broker->node.world->plan.is_hostile)
        return stats->requests_queued == 0 && stats->requests_out == 0 &&
               broker->seen->open.size == 0;
    // What a hostile peer asks for may wait for a day.
    list_each (node, &broker->seen->open)
        if (list_object(node, struct parcel, asked.in_open)->call != 0)
            return false;
    return true;
}
