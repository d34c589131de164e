// broker_worker.c - sessions with workers, and their answers.
//
// What a worker may say, and when, is one table: `rules` below has a cell for each
// thing said in each state of the session, as docs/protocol/mdp.md (3.5) has it.
// 7/MDP: "Any received command that is valid but unexpected MUST be answered by
// DISCONNECT"; answers that name nothing live have only lost a race and are
// dropped.

#include "broker_state.h"
#include "mdp_wire.h"
#include "service_name.h"

enum { LINK_SILENCE_MS_MIN = 100 }; // less would be noise

enum session { STRANGER, IDLE, HOLDING, SESSIONS };

enum said {
    SAID_READY,      // with a valid service
    SAID_BAD_READY,  // invalid, reserved or refused service
    SAID_ANSWER,     // FINAL or REPLY, a well-formed ticket
    SAID_BAD_ANSWER, // its address is no ticket
    SAID_NO_ADDRESS, // it has none
    SAID_PARTIAL,
    SAID_HEARTBEAT,
    SAID_DISCONNECT,
    SAID_DRAIN,
    SAID_OTHER_DIALECT, // than its READY
    SAID_NOTHING_KNOWN, // unknown command
    SAID_BROKEN,        // G1: broken chain, short record, contents beyond its end
    SAIDS
};

enum action {
    REGISTER,
    REGISTER_AGAIN, // a pirate has begun anew, and forgotten what it holds
    PART,           // DISCONNECT; forget it where it is registered
    TAKE,           // an answer: its own, or by the rule for late ones
    TAKE_AND_PART,
    TAKE_AND_REGISTER,
    PASS,      // a PARTIAL, if it is its own
    LIVE,      // it is alive, and that is all
    LEAVE,     // it goes: no answer
    HOLD_BACK, // give it nothing more
    DROP,
    DROP_INVALID // and it may not do that often
};

// Rows: what was said. Columns: stranger, idle, holds requests. The reason is that
// of the DISCONNECT to one that is registered; a stranger is not registered.
static const struct rule {
    enum action actions[SESSIONS];
    enum mdp_reason reason;
    enum mdp_reason reason_stranger;
} rules[SAIDS] = {
    [SAID_READY] = {{REGISTER, PART, PART}, MDP_REASON_PROTOCOL, MDP_REASON_NONE},
    [SAID_BAD_READY] = {{PART, PART, PART}, MDP_REASON_REFUSED, MDP_REASON_REFUSED},
    [SAID_ANSWER] = {{TAKE_AND_PART, TAKE, TAKE}, MDP_REASON_NONE, MDP_REASON_NOT_REGISTERED},
    [SAID_BAD_ANSWER] = {{PART, DROP_INVALID, DROP_INVALID},
                         MDP_REASON_NONE,
                         MDP_REASON_NOT_REGISTERED},
    [SAID_NO_ADDRESS] = {{PART, PART, PART}, MDP_REASON_PROTOCOL, MDP_REASON_NOT_REGISTERED},
    [SAID_PARTIAL] = {{PART, PASS, PASS}, MDP_REASON_NONE, MDP_REASON_NOT_REGISTERED},
    [SAID_HEARTBEAT] = {{PART, LIVE, LIVE}, MDP_REASON_NONE, MDP_REASON_NOT_REGISTERED},
    [SAID_DISCONNECT] = {{DROP, LEAVE, LEAVE}, MDP_REASON_NONE, MDP_REASON_NONE},
    [SAID_DRAIN] = {{PART, HOLD_BACK, HOLD_BACK}, MDP_REASON_NONE, MDP_REASON_NOT_REGISTERED},
    [SAID_OTHER_DIALECT] = {{PART, PART, PART}, MDP_REASON_PROTOCOL, MDP_REASON_PROTOCOL},
    [SAID_NOTHING_KNOWN] = {{DROP, DROP_INVALID, DROP_INVALID}, MDP_REASON_NONE, MDP_REASON_NONE},
    [SAID_BROKEN] = {{PART, PART, PART}, MDP_REASON_PROTOCOL, MDP_REASON_PROTOCOL},
};

// The same of pirates, who have no DISCONNECT. READY comes first, and again once the worker took
// us for dead; HEARTBEAT is no READY (docs/protocol/pirates.md).
static const struct rule paranoid_rules[SAIDS] = {
    [SAID_READY] = {.actions = {REGISTER, REGISTER_AGAIN, REGISTER_AGAIN}},
    [SAID_BAD_READY] = {.actions = {DROP, DROP, DROP}},
    [SAID_ANSWER] = {.actions = {TAKE, TAKE, TAKE}},
    [SAID_BAD_ANSWER] = {.actions = {DROP, DROP_INVALID, DROP_INVALID}},
    [SAID_NO_ADDRESS] = {.actions = {DROP, DROP_INVALID, DROP_INVALID}},
    [SAID_PARTIAL] = {.actions = {DROP, DROP, DROP}},
    [SAID_HEARTBEAT] = {.actions = {DROP, LIVE, LIVE}},
    [SAID_DISCONNECT] = {.actions = {DROP, DROP, DROP}},
    [SAID_DRAIN] = {.actions = {DROP, DROP, DROP}},
    [SAID_OTHER_DIALECT] = {.actions = {DROP, DROP, DROP}},
    [SAID_NOTHING_KNOWN] = {.actions = {DROP, DROP_INVALID, DROP_INVALID}},
    [SAID_BROKEN] = {.actions = {DROP, DROP, DROP}},
};

// A simple worker is a REQ: it has answered, so it waits for a request, whoever it is.
static const struct rule simple_answer = {.actions = {TAKE_AND_REGISTER, TAKE, TAKE}};

static const struct rule *
rule_for(const struct broker_core *self, enum said said)
{
    if (self->config.manners == BROKER_MAJORDOMO)
        return &rules[said];
    bool is_simple = self->config.manners == BROKER_SIMPLE;
    return is_simple && said == SAID_ANSWER ? &simple_answer : &paranoid_rules[said];
}

// What one that is registered did wrong, where it is parted with for what it said.
static const char *const errors[SAIDS] = {
    [SAID_READY] = "it said READY twice",
    [SAID_BAD_READY] = "it said READY for what can be no service",
    [SAID_NO_ADDRESS] = "it answered without an address",
    [SAID_OTHER_DIALECT] = "it changed its dialect",
    [SAID_BROKEN] = "it sent what cannot be read",
};

const char *
broker_dialect_name(mdp_dialect_t dialect)
{
    return dialect == MDP_G1 ? "g1" : dialect == MDP_02 ? "0.2" : "0.1";
}

// language_of is the dialect as it is told of.
static const char *
language_of(const struct broker_core *self, const struct worker *worker)
{
    if (self->config.manners == BROKER_MAJORDOMO)
        return broker_dialect_name(worker->dialect);
    return self->config.manners == BROKER_SIMPLE ? "sp" : "ppp";
}

// ---- sending -------------------------------------------------------------------------

// silence_after_pause_ms: where we have slept during the silence, that part of it proves nothing.
// The whole machine may have slept, and the kernel counts on.
static uint32_t
silence_after_pause_ms(const struct broker_core *self, uint32_t silence_ms)
{
    uint64_t since_ms = (self->now_ns - self->pause_end_ns) / NS_PER_MS;
    uint64_t slept_ms = since_ms < silence_ms ? self->pause_ns / NS_PER_MS : 0;
    return slept_ms < UINT32_MAX - silence_ms ? silence_ms + (uint32_t)slept_ms : UINT32_MAX;
}

void
broker_look_for_silence(struct broker_core *self, struct worker *worker,
                        struct broker_effect *effect)
{
    // What we have not read while we slept is not the worker's silence.
    if (worker->silence_ms == 0 || worker->connection.number == 0 || is_catching_up(self))
        return;
    worker->looked_at_ns = awake_now(self);
    effect->silence_ms = silence_after_pause_ms(self, worker->silence_ms);
    effect->connection = worker->connection;
}

void
broker_send_to_worker(struct broker_core *self, struct worker *worker, enum mdp_command command,
                      uint32_t reason)
{
    if (command == MDP_DISCONNECT && self->config.manners != BROKER_MAJORDOMO)
        return;
    struct broker_effect *effect = broker_add_effect(self, BROKER_SEND);
    effect->to = &worker->route->address;
    effect->has_delimiter = worker->has_delimiter;
    effect->record.dialect = worker->dialect;
    effect->record.side = MDP_WORKER_SIDE;
    effect->record.command = command;
    effect->record.reason = reason;
    effect->record.interval_ms = self->config.heartbeat_ms;
    if (command == MDP_HEARTBEAT && !list_is_empty(&worker->held))
        broker_look_for_silence(self, worker, effect);
    if (self->config.manners == BROKER_SIMPLE)
        effect->connection = worker->connection;
    worker->unread++;
    heartbeat_spoke(&worker->beat, awake_now(self));
}

// may_disconnect: one DISCONNECT a second for each connection, remembered in a
// small table in which a newer one may take another's place.
static bool
may_disconnect(struct broker_core *self, const struct route *route)
{
    if (self->config.manners != BROKER_MAJORDOMO)
        return false; // they have no word for it
    uint64_t connection = route->in_routes.hash;
    struct disconnect *last = &self->disconnects[connection % DISCONNECTS_KEPT];
    if (last->connection == connection && last->at_ns != 0 &&
        self->now_ns - last->at_ns < NS_PER_S) {
        self->stats.disconnects_held++;
        return false;
    }
    *last = (struct disconnect){connection, self->now_ns};
    self->stats.disconnects_sent++;
    return true;
}

static void
disconnect_stranger(struct broker_core *self, const struct broker_event *event,
                    enum mdp_reason reason)
{
    struct route *route = broker_route_get(self, event->from);
    if (route == NULL || !may_disconnect(self, route))
        return;
    struct broker_effect *effect = broker_add_effect(self, BROKER_SEND);
    effect->to = &route->address;
    effect->has_delimiter = event->from->has_delimiter;
    effect->record.dialect = event->record->dialect;
    effect->record.side = MDP_WORKER_SIDE;
    effect->record.command = MDP_DISCONNECT;
    effect->record.reason = reason;
}

// ---- coming and going --------------------------------------------------------------------

// why_not_welcome is why no further worker may register for this service, NULL where one
// may. `route` is NULL where there was no room for it.
static const char *
why_not_welcome(struct broker_core *self, const struct route *route, struct view name)
{
    if (self->drain != DRAIN_NONE)
        return "the broker is stopping";
    const struct service *service = broker_service_find(self, name);
    if (service != NULL && service_workers(service) >= self->config.service_workers_max)
        return "the service has too many workers";
    if (service == NULL && self->service_slab.used == self->service_slab.capacity)
        return "there are too many services";
    if (self->workers.used == self->workers.capacity)
        return "there are too many workers";
    return route == NULL ? "there are too many peers" : NULL;
}

// read_promise takes the interval that the worker shows.
static void
read_promise(struct broker_core *self, struct worker *worker, uint32_t interval_ms)
{
    uint64_t own_ns = (uint64_t)self->config.heartbeat_ms * NS_PER_MS;
    uint64_t shown_ns = worker->longest_gap_ns;
    worker->has_promise =
        self->config.manners != BROKER_SIMPLE && (worker->dialect != MDP_G1 || interval_ms != 0);
    if (worker->dialect == MDP_G1 && interval_ms != 0) {
        uint32_t ms = interval_ms < INTERVAL_MS_MIN   ? INTERVAL_MS_MIN
                      : interval_ms > INTERVAL_MS_MAX ? INTERVAL_MS_MAX
                                                      : interval_ms;
        self->stats.intervals_clamped += ms != interval_ms ? 1 : 0;
        shown_ns = worker->longest_gap_ns = (uint64_t)ms * NS_PER_MS;
    }
    uint64_t larger_ns = shown_ns > own_ns ? shown_ns : own_ns;
    bool is_silent_rightly = !worker->has_promise || !list_is_empty(&worker->held);
    worker->beat.patience_ns = is_silent_rightly ? UINT64_MAX : larger_ns * self->config.liveness;
}

// link_silence_ms is what a worker promises of its link, 0 where it promises nothing.
static uint32_t
link_silence_ms(const struct mdp_record *record)
{
    struct view value;
    uint64_t ms;
    if (record->dialect != MDP_G1 ||
        !mdp_fields_find(record->fields, VIEW_LITERAL("link-silence"), &value) ||
        !text_parse_number(value, &ms) || ms < LINK_SILENCE_MS_MIN || ms > INTERVAL_MS_MAX)
        return 0;
    return (uint32_t)ms;
}

static void
on_ready(struct broker_core *self, const struct broker_event *event)
{
    const struct mdp_record *record = event->record;
    struct route *route = broker_route_get(self, event->from);
    const char *why = why_not_welcome(self, route, record->service);
    if (why != NULL) {
        bool is_stopping = self->drain != DRAIN_NONE;
        self->stats.workers_refused++;
        broker_tell(self, event->from->routing_id,
                    (struct broker_trace){
                        .fact = BROKER_WORKER_REFUSED, .service = record->service, .why = why});
        disconnect_stranger(self, event, is_stopping ? MDP_REASON_STOPPING : MDP_REASON_REFUSED);
        return;
    }
    struct service *service = broker_service_get(self, record->service);
    struct worker *worker = slab_take(&self->workers);
    must(service != NULL && worker != NULL);
    uint32_t credit = record->dialect == MDP_G1 && record->credit > 1 ? record->credit : 1;
    *worker = (struct worker){
        .route = route,
        .service = service,
        .number = ++self->worker_number,
        .registered_at_ns = self->now_ns,
        .silence_ms = link_silence_ms(record),
        .connection = event->connection,
        .credit = credit < self->config.credit_max ? credit : self->config.credit_max,
        .dialect = record->dialect,
        .has_delimiter = event->from->has_delimiter,
        .was_idle = true,
    };
    list_init(&worker->held);
    uint64_t interval_ns = (uint64_t)self->config.heartbeat_ms * NS_PER_MS;
    heartbeat_init(&worker->beat, interval_ns, self->config.liveness, awake_now(self));
    read_promise(self, worker, record->interval_ms);
    route->worker = worker;
    route->is_gone = false;
    route->references++;
    list_append(&service->taken, &worker->in_service);
    self->stats.workers++;
    self->stats.workers_idle++;
    self->stats.workers_registered++;
    broker_watch_worker(self, worker);
    // "An accepted READY is answered by a HEARTBEAT" (G1), so that the worker knows.
    if (worker->dialect == MDP_G1)
        broker_send_to_worker(self, worker, MDP_HEARTBEAT, 0);
    broker_worker_settle(self, worker);
    broker_tell_of_worker(self, BROKER_WORKER_REGISTERED, worker, language_of(self, worker),
                          worker->credit);
}

void
broker_worker_wind_up(struct broker_core *self, struct worker *worker)
{
    struct list_node *node;
    while (has_room(self) && (node = list_last(&worker->held)) != NULL)
        broker_attempt_return(self, list_object(node, struct attempt, in_worker), true);
    if (!list_is_empty(&worker->held))
        return;
    list_remove(&self->lost, &worker->in_service);
    worker->service->leaving--;
    broker_route_unref(self, worker->route);
    broker_service_settle(self, worker->service);
    slab_give(&self->workers, worker);
}

// forget takes a worker out of everything at once, and leaves it on the list of
// lost ones until what it held is back.
static void
forget(struct broker_core *self, struct worker *worker)
{
    struct service *service = worker->service;
    list_remove(worker->was_ready ? &service->ready : &service->taken, &worker->in_service);
    heap_remove(&self->timers, &worker->timer);
    worker->route->worker = NULL;
    self->stats.workers--;
    *(list_is_empty(&worker->held) ? &self->stats.workers_idle : &self->stats.workers_busy) -= 1;
    list_append(&self->lost, &worker->in_service);
    service->leaving++;
    // The last of a service may leave requests that wait, and no work.
    broker_service_settle(self, service);
}

void
broker_worker_lose(struct broker_core *self, struct worker *worker, const char *why)
{
    self->stats.workers_lost++;
    broker_tell_of_worker(self, BROKER_WORKER_LOST, worker, why, worker->held.size);
    forget(self, worker);
}

// give_up_claim: what the worker holds may go to the next one under its name, too.
static void
give_up_claim(struct worker *worker)
{
    list_each (node, &worker->held)
        list_object(node, struct attempt, in_worker)->connection = 0;
}

void
broker_worker_lose_connection(struct broker_core *self, struct worker *worker)
{
    give_up_claim(worker);
    broker_worker_lose(self, worker, "unreachable");
}

void
broker_worker_leave(struct broker_core *self, struct worker *worker, const char *why)
{
    self->stats.workers_left++;
    broker_tell_of_worker(self, BROKER_WORKER_LEFT, worker, why, worker->held.size);
    forget(self, worker);
}

void
broker_worker_disconnect(struct broker_core *self, struct worker *worker, enum mdp_reason reason,
                         const char *why)
{
    if (may_disconnect(self, worker->route))
        broker_send_to_worker(self, worker, MDP_DISCONNECT, reason);
    broker_worker_lose(self, worker, why);
}

// on_ready_again: a pirate that took us for dead, or was started anew under its old name.
static void
on_ready_again(struct broker_core *self, struct worker *worker, const struct broker_event *event)
{
    if (list_is_empty(&worker->held)) {
        worker->connection = event->connection;
        return;
    }
    give_up_claim(worker);
    broker_worker_lose(self, worker, "it has begun anew");
    on_ready(self, event);
}

// ---- signs of life --------------------------------------------------------------------------

// hear: "Any received command except DISCONNECT acts as a heartbeat".
static void
hear(struct broker_core *self, struct worker *worker, const struct mdp_record *record)
{
    uint64_t now_ns = awake_now(self);
    if (worker->dialect != MDP_G1 && worker->was_idle) {
        // Nobody agreed on an interval, so the longest gap seen stands for it.
        uint64_t gap_ns = now_ns - worker->beat.heard_at_ns;
        uint64_t gap_max = (uint64_t)INTERVAL_MS_MAX * NS_PER_MS;
        gap_ns = gap_ns < gap_max ? gap_ns : gap_max;
        if (gap_ns > worker->longest_gap_ns) {
            worker->longest_gap_ns = gap_ns;
            read_promise(self, worker, 0);
        }
    }
    heartbeat_heard(&worker->beat, now_ns);
    if (record->command == MDP_HEARTBEAT && worker->dialect == MDP_G1)
        read_promise(self, worker, record->interval_ms);
    worker->was_idle = list_is_empty(&worker->held);
    worker->unread = 0;
    if (worker->is_blocked) {
        worker->is_blocked = false;
        broker_worker_settle(self, worker);
    }
}

void
broker_on_worker_fault(struct broker_core *self, struct worker *worker)
{
    uint64_t window_ns = (uint64_t)INVALID_WINDOW_S * NS_PER_S;
    if (self->now_ns - worker->invalid_since_ns > window_ns) {
        worker->invalid_since_ns = self->now_ns;
        worker->invalid_count = 0;
    }
    if (++worker->invalid_count > INVALID_MAX)
        broker_worker_disconnect(self, worker, MDP_REASON_PROTOCOL, "too many invalid messages");
}

// ---- answers ----------------------------------------------------------------------------------

// 200, 400, 403, 409, 413, 429, 500 and 510 to 599 are a worker's; the others are
// the broker's own.
static uint16_t
worker_status(uint16_t status)
{
    static const uint16_t allowed[] = {200, 400, 403, 409, 413, 429, 500};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (status == allowed[i])
            return status;
    return status >= 510 && status <= 599 ? status : MDP_FAILED;
}

static bool
has_all_parts(const struct attempt *attempt, const struct mdp_record *record)
{
    return record->dialect != MDP_G1 || record->parts == (uint16_t)attempt->partials;
}

// may_come_late: an answer over another connection than its attempt was given on. A
// 0.2 worker may have lost a PARTIAL with the connection, and nothing would show it.
// Its PARTIALs and no others have to be with the client, or gathered still: an answer
// is one attempt's, never a mixture. Parts gathered from another can be thrown away.
static bool
may_come_late(const struct attempt *attempt, const struct mdp_record *record)
{
    const struct request *request = attempt->request;
    bool is_whole = attempt->partials == 0
                        ? request->parts_of == 0 || broker_takes_one_message(request)
                        : request->parts_of == attempt->serial;
    return record->dialect == attempt->dialect && record->dialect != MDP_02 && is_whole &&
           has_all_parts(attempt, record);
}

// finish passes the answer on and ends the request.
static void
finish(struct broker_core *self, struct request *request, struct attempt *attempt,
       const struct broker_event *event)
{
    if (event->record->fault == MDP_OVER_LIMIT) {
        self->stats.answers_too_large++;
        broker_dump(self, event->cargo, BROKER_DUMP_SILENCE);
        broker_request_refuse(self, request, MDP_TOO_LARGE, BROKER_DUMP_SILENCE);
        return;
    }
    broker_answer(self, request, worker_status(event->record->status), attempt->partials, event);
    broker_request_end(self, request, BROKER_DUMP_DONE);
}

static void
on_own_answer(struct broker_core *self, struct attempt *attempt, const struct broker_event *event)
{
    struct request *request = attempt->request;
    if (request == NULL) { // cancelled, or answered elsewhere
        self->stats.answers_late++;
        broker_dump(self, event->cargo, BROKER_DUMP_LATE);
        struct service *service = attempt->worker->service;
        broker_attempt_release(self, attempt);
        broker_service_settle(self, service);
        return;
    }
    if (!has_all_parts(attempt, event->record)) {
        self->stats.answers_bad++;
        broker_dump(self, event->cargo, BROKER_DUMP_INVALID);
        broker_attempt_return(self, attempt, true);
        return;
    }
    request->current = NULL;
    broker_attempt_release(self, attempt);
    finish(self, request, attempt, event);
}

// attempt_of is the attempt that the record answers. Nothing of a reign that was ended hard is
// passed on: there the request goes first.
static struct attempt *
attempt_of(struct broker_core *self, const struct mdp_record *record)
{
    struct attempt *attempt = broker_attempt_find(self, &record->ticket);
    if (self->reign != REIGN_HOLD || attempt == NULL || attempt->request == NULL)
        return attempt;
    broker_reign_drop(self, attempt->request);
    return broker_attempt_find(self, &record->ticket);
}

static void
on_answer(struct broker_core *self, struct worker *worker, const struct broker_event *event)
{
    const struct mdp_record *record = event->record;
    struct attempt *attempt = attempt_of(self, record);
    if (attempt != NULL && worker != NULL && attempt->worker == worker) {
        on_own_answer(self, attempt, event);
        return;
    }
    if (attempt != NULL && attempt->request != NULL && may_come_late(attempt, record)) {
        self->stats.answers_late_taken++;
        if (attempt->partials == 0)
            broker_drop_gathered(self, attempt->request);
        finish(self, attempt->request, attempt, event);
        return;
    }
    self->stats.answers_late++;
    broker_dump(self, event->cargo, BROKER_DUMP_LATE);
}

// on_partial passes on what its own attempt sent, in order; in 0.2 the order is the
// connection's.
static void
on_partial(struct broker_core *self, struct worker *worker, const struct broker_event *event)
{
    const struct mdp_record *record = event->record;
    struct attempt *attempt = attempt_of(self, record);
    bool is_own = attempt != NULL && attempt->worker == worker && attempt->request != NULL;
    bool is_next = is_own && (record->dialect != MDP_G1 || record->seq == attempt->partials);
    if (!is_next) {
        *(is_own ? &self->stats.answers_bad : &self->stats.answers_late) += 1;
        broker_dump(self, event->cargo, BROKER_DUMP_LATE);
    } else if (record->fault == MDP_OVER_LIMIT) {
        self->stats.answers_too_large++;
        broker_dump(self, event->cargo, BROKER_DUMP_SILENCE);
        broker_request_refuse(self, attempt->request, MDP_TOO_LARGE, BROKER_DUMP_SILENCE);
    } else {
        broker_pass_partial(self, attempt->request, attempt, event);
    }
}

// ---- the table at work ------------------------------------------------------------------------

static enum said
what_was_said(const struct mdp_record *record)
{
    switch (record->fault) {
    case MDP_BROKEN_CHAIN:
    case MDP_TOO_SHORT:
    case MDP_BAD_CONTENTS:
        return SAID_BROKEN;
    case MDP_BAD_NAME:
        return SAID_BAD_READY;
    case MDP_BAD_ADDRESS:
        return record->command == MDP_PARTIAL ? SAID_PARTIAL : SAID_BAD_ANSWER;
    case MDP_NO_ADDRESS:
        return SAID_NO_ADDRESS;
    case MDP_BAD_COMMAND:
        return SAID_NOTHING_KNOWN;
    default:
        break;
    }
    switch (record->command) {
    case MDP_READY:
        return service_name_is_reserved(record->service) ? SAID_BAD_READY : SAID_READY;
    case MDP_PARTIAL:
        return SAID_PARTIAL;
    case MDP_FINAL:
        return SAID_ANSWER;
    case MDP_HEARTBEAT:
        return SAID_HEARTBEAT;
    case MDP_DISCONNECT:
        return SAID_DISCONNECT;
    case MDP_DRAIN:
        return SAID_DRAIN;
    default:
        return SAID_NOTHING_KNOWN;
    }
}

static void
part(struct broker_core *self, struct worker *worker, const struct broker_event *event,
     const struct rule *rule)
{
    if (worker == NULL)
        disconnect_stranger(self, event, rule->reason_stranger);
    else
        broker_worker_disconnect(self, worker, rule->reason, errors[rule - rules]);
}

static bool
record_is(const struct broker_event *event, enum mdp_command command)
{
    return event->record->fault == MDP_SOUND && event->record->command == command;
}

// leave: it goes. Where it says that the other half of our pair serves by now, somebody has to
// find out.
static void
leave(struct broker_core *self, struct worker *worker, const struct mdp_record *record)
{
    bool is_fenced = record->reason == MDP_REASON_FENCED && self->epoch_line.size > 0;
    if (is_fenced) {
        self->stats.reigns_fenced++;
        (void)broker_add_effect(self, BROKER_FENCED);
    }
    broker_worker_leave(self, worker, is_fenced ? "it knows a later epoch" : NULL);
}

static void
act(struct broker_core *self, enum action action, struct worker *worker,
    const struct broker_event *event, const struct rule *rule)
{
    bool takes_cargo =
        action == TAKE || action == TAKE_AND_PART || action == TAKE_AND_REGISTER || action == PASS;
    if (!takes_cargo)
        broker_dump(self, event->cargo, BROKER_DUMP_INVALID);
    switch (action) {
    case REGISTER:
        on_ready(self, event);
        break;
    case REGISTER_AGAIN:
        on_ready_again(self, worker, event);
        break;
    case PART:
        part(self, worker, event, rule);
        break;
    case TAKE:
        on_answer(self, worker, event);
        break;
    case TAKE_AND_PART:
        on_answer(self, worker, event);
        part(self, worker, event, rule);
        break;
    case TAKE_AND_REGISTER:
        on_answer(self, worker, event);
        on_ready(self, event);
        break;
    case PASS:
        on_partial(self, worker, event);
        break;
    case LEAVE:
        leave(self, worker, event->record);
        break;
    case HOLD_BACK:
        worker->is_draining = true;
        broker_worker_settle(self, worker);
        break;
    case DROP_INVALID:
        broker_on_worker_fault(self, worker);
        break;
    case DROP:
        self->stats.strangers_left += record_is(event, MDP_DISCONNECT) ? 1 : 0;
        self->stats.strangers_unheard += record_is(event, MDP_HEARTBEAT) ? 1 : 0;
        break;
    case LIVE:
        break;
    }
}

void
broker_on_worker_record(struct broker_core *self, const struct broker_event *event)
{
    const struct mdp_record *record = event->record;
    struct route *route = broker_route_find(self, event->from);
    struct worker *worker = route == NULL ? NULL : route->worker;
    enum session session = STRANGER;
    if (worker != NULL)
        session = list_is_empty(&worker->held) ? IDLE : HOLDING;

    enum said said = what_was_said(record);
    if (worker != NULL && record->dialect != worker->dialect)
        said = SAID_OTHER_DIALECT;
    else if (worker != NULL && said != SAID_DISCONNECT && said != SAID_NOTHING_KNOWN)
        hear(self, worker, record);
    const struct rule *rule = rule_for(self, said);
    act(self, rule->actions[session], worker, event, rule);
}
