// client_call.c - a call's life: it waits, it is out, it ends once.
//
// An attempt is counted when it goes out and taken back where no broker has had
// it: the socket refused it, the connection was cut, or the answer was 503. What
// is left are attempts that a broker let pass in silence.
//
// An answer of an epoch that is over is none: a half of a pair that has been overtaken gave it,
// and does not know yet. The call goes to another broker, as after 503.

#include "client_state.h"

#include "later.h"
#include "mdp_wire.h"

static const uint64_t ms = 1000000;
// A broker's 404 and 408 come when the time to live is over: so that they are here
// before the call's own deadline, the broker is told a little less.
static const uint64_t verdict_ns_max = 200 * 1000000ull;
static const uint64_t unsent_ns = 5 * 1000000ull;

#define TEXT_PASSIVE   VIEW_LITERAL("this broker does not serve")
#define TEXT_TOO_LARGE VIEW_LITERAL("the answer is larger than this client takes")

struct call *
client_call_of(const struct client_core *self, uint64_t id)
{
    // Ids are ours and follow each other: no peer can make them collide.
    struct map_node *node = map_first(&self->by_id, id);
    return node == NULL ? NULL : list_object(node, struct call, by_id);
}

static bool
speaks_g1(const struct endpoint *endpoint)
{
    return endpoint->dialect == MDP_G1;
}

// ---- begin and end ------------------------------------------------------------------

void
client_call_begin(struct client_core *self, const struct client_event *event)
{
    must(event->service.size > 0 && event->service.size <= SERVICE_NAME_BYTES_MAX);
    struct call *call = slab_take(&self->calls);
    must(call != NULL);
    memset(call, 0, offsetof(struct call, service));
    memcpy(call->service, event->service.data, event->service.size);
    call->service_size = (uint8_t)event->service.size;
    call->id = ++self->last_id;
    call->cargo = event->cargo;
    call->is_no_queue = event->is_no_queue;
    call->at = NOWHERE;

    uint64_t spare_ns = self->lifetime_ns / 10;
    if (spare_ns > verdict_ns_max)
        spare_ns = verdict_ns_max;
    uint64_t ttl_ns = event->ttl_ms == 0 ? self->lifetime_ns - spare_ns : event->ttl_ms * ms;
    call->expires_ns = later_ns(self->now_ns, ttl_ns);
    call->deadline_ns = later_ns(self->now_ns, self->lifetime_ns);

    map_insert(&self->by_id, &call->by_id, call->id);
    list_append(&self->open, &call->age);
    list_append(&self->waiting, &call->place);
    self->stats.calls++;
}

static void
leave_list(struct client_core *self, struct call *call)
{
    list_remove(call->is_sent ? &self->endpoints[call->at].sent : &self->waiting, &call->place);
    call->is_sent = false;
}

// is_told: whoever has it would have said that no worker took it. In 0.1 and 0.2 nobody does.
static bool
is_told(const struct client_core *self, const struct call *call)
{
    for (size_t i = 0; i < self->config.endpoint_count; i++)
        if ((call->sent_to & (uint32_t)1 << i) != 0 && !speaks_g1(&self->endpoints[i]))
            return false;
    return true;
}

// end forgets a call. Its request goes; its parts are the caller's business.
static void
end(struct client_core *self, struct call *call)
{
    client_dump(self, call->cargo);
    leave_list(self, call);
    list_remove(&self->open, &call->age);
    map_remove(&self->by_id, &call->by_id);
    slab_give(&self->calls, call);
}

// withdraw: nobody waits for the answer of the attempt that is out.
static void
withdraw(struct client_core *self, const struct call *call)
{
    if (!call->is_sent)
        return;
    struct endpoint *endpoint = &self->endpoints[call->at];
    if (!speaks_g1(endpoint)) {
        endpoint->is_dirty = true;
        return;
    }
    struct mdp_record cancel = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_CANCEL, .id = call->id};
    client_send(self, endpoint->index, 0, &cancel);
}

static struct client_effect *
add_answer(struct client_core *self, const struct call *call, int result, int status)
{
    must(!self->has_answered);
    self->has_answered = true;
    struct client_effect *effect = client_add_effect(self, CLIENT_ANSWER);
    effect->id = call->id;
    effect->result = result;
    effect->status = status;
    effect->seq = 0;
    effect->text = VIEW_NONE;
    effect->was_sent = call->sent_to != 0;
    effect->is_told = is_told(self, call);
    effect->body = NULL;
    effect->cargo = NULL;
    return effect;
}

// fail ends a call that has no answer of a broker's.
static void
fail(struct client_core *self, struct call *call, int result, int status, struct view text)
{
    self->stats.given_up++;
    withdraw(self, call);
    client_dump(self, call->parts);
    add_answer(self, call, result, status)->text = text;
    end(self, call);
}

static void
time_out(struct client_core *self, struct call *call)
{
    if (call->is_refused)
        fail(self, call, GALLEON_TIMED_OUT, MDP_PASSIVE, TEXT_PASSIVE);
    else
        fail(self, call, GALLEON_TIMED_OUT, 0, VIEW_NONE);
}

void
client_call_cancel(struct client_core *self, uint64_t id)
{
    struct call *call = client_call_of(self, id);
    if (call == NULL)
        return;
    self->stats.cancelled++;
    withdraw(self, call);
    client_dump(self, call->parts);
    end(self, call);
}

void
client_call_expire(struct client_core *self, struct call *call)
{
    struct endpoint *endpoint = call->is_sent ? &self->endpoints[call->at] : NULL;
    uint64_t since_ns = call->due_ns - self->timeout_ns;
    time_out(self, call);
    // The deadline may come a little before the end of the last attempt, and says as
    // much about the broker; soon after the attempt began it says nothing.
    if (endpoint != NULL && self->now_ns - since_ns >= self->timeout_ns / 2)
        client_endpoint_missed(self, endpoint, since_ns);
}

// ---- attempts -----------------------------------------------------------------------

static uint32_t
ttl_left_ms(const struct client_core *self, const struct call *call)
{
    uint64_t left_ms = call->expires_ns > self->now_ns ? (call->expires_ns - self->now_ns) / ms : 0;
    if (left_ms > UINT32_MAX)
        return UINT32_MAX;
    return left_ms == 0 ? 1 : (uint32_t)left_ms; // 0 would be the broker's default
}

// over_same: is this the connection that the attempt before went over?
static bool
over_same(const struct call *call, const struct endpoint *endpoint)
{
    return call->at == endpoint->index && call->serial == endpoint->serial;
}

static void
restart_timer(struct client_core *self, struct endpoint *endpoint, struct call *call)
{
    call->due_ns = later_ns(self->now_ns, self->timeout_ns);
    list_append(&endpoint->sent, &call->place);
}

static const struct mdp_record no_record;

void
client_call_send(struct client_core *self, struct endpoint *endpoint, struct call *call)
{
    must(endpoint->state == ENDPOINT_SERVING && !call->is_sent);
    leave_list(self, call);
    if (!over_same(call, endpoint)) {
        // Another connection: the answer begins anew. (Over the same one a broker
        // drops the repeat of what it still has, and the parts go on.)
        client_dump(self, call->parts);
        call->parts = NULL;
        call->part_bytes = 0;
        call->seq = 0;
        call->has_hole = false;
        call->at = endpoint->index;
        call->serial = endpoint->serial;
    }
    self->stats.requests_sent++;
    if (call->sent_to != 0)
        self->stats.requests_repeated++;
    call->sent_to |= (uint32_t)1 << endpoint->index;
    call->attempts++;
    call->is_sent = true;
    call->is_refused = false;
    restart_timer(self, endpoint, call);

    struct client_effect *effect = client_add_effect(self, CLIENT_SEND);
    effect->endpoint = endpoint->index;
    effect->token = call->id;
    effect->has_delimiter = endpoint->dialect == MDP_01;
    effect->cargo = call->cargo;
    effect->record = no_record;
    effect->record.dialect = endpoint->dialect;
    effect->record.side = MDP_CLIENT_SIDE;
    effect->record.command = MDP_REQUEST;
    effect->record.flags = call->is_no_queue ? MDP_FLAG_NO_QUEUE : 0;
    effect->record.id = call->id;
    effect->record.ttl_ms = ttl_left_ms(self, call);
    effect->record.service = call_service(call);
}

void
client_call_unsend(struct client_core *self, struct call *call, bool at_head)
{
    must(call->is_sent && call->attempts > 0);
    leave_list(self, call);
    call->attempts--;
    if (at_head)
        list_prepend(&self->waiting, &call->place);
    else
        list_append(&self->waiting, &call->place);
}

void
client_call_retry(struct client_core *self, struct call *call)
{
    must(call->is_sent);
    if (call->attempts >= self->config.attempts) {
        time_out(self, call);
        return;
    }
    // In 0.1 and 0.2 the rest of the queue has to wait for this one anyway.
    bool at_head = !speaks_g1(&self->endpoints[call->at]);
    client_call_unsend(self, call, at_head);
    call->attempts++;
}

void
client_call_on_unsent(struct client_core *self, const struct client_event *event)
{
    struct endpoint *endpoint = &self->endpoints[event->endpoint];
    endpoint->blocked_ns = later_ns(self->now_ns, unsent_ns);
    if (event->token == QUESTION_TOKEN && endpoint->state == ENDPOINT_ASKING)
        dialect_question_unsent(&endpoint->question, self->now_ns);
    struct call *call = client_call_of(self, event->token);
    // A HEARTBEAT and a CANCEL have no token; nothing is lost with them.
    if (call == NULL || !call->is_sent || call->at != event->endpoint)
        return;
    self->stats.requests_unsent++;
    client_call_unsend(self, call, true);
}

// ---- answers ------------------------------------------------------------------------

// addressee is the call that a record answers, NULL where it is none of ours.
static struct call *
addressee(struct client_core *self, struct endpoint *endpoint, const struct mdp_record *record)
{
    if (record->dialect != endpoint->dialect)
        return NULL;
    if (speaks_g1(endpoint)) {
        struct call *call = client_call_of(self, record->id);
        bool was_sent_there = call != NULL && (call->sent_to & (uint32_t)1 << endpoint->index) != 0;
        return was_sent_there ? call : NULL;
    }
    // Nothing correlates: it answers the one call that is out, if it names its service.
    struct list_node *node = list_first(&endpoint->sent);
    if (node == NULL) {
        endpoint->is_dirty = true; // a stray one: who knows what comes next
        return NULL;
    }
    struct call *call = list_object(node, struct call, place);
    return view_equals(record->service, call_service(call)) ? call : NULL;
}

static int
result_of_status(int status)
{
    switch (status) {
    case MDP_DONE:
        return GALLEON_OK;
    case MDP_NO_WORKER:
        return GALLEON_NO_SERVICE;
    case MDP_EXPIRED:
        return GALLEON_TIMED_OUT;
    case MDP_QUEUE_FULL:
        return GALLEON_BUSY;
    default:
        return GALLEON_REFUSED;
    }
}

// has_its_parts: are the parts that we hold those that the FINAL belongs to?
static bool
has_its_parts(const struct endpoint *endpoint, const struct call *call,
              const struct mdp_record *record)
{
    return over_same(call, endpoint) && record->status == MDP_DONE &&
           (record->dialect != MDP_G1 || record->parts == (call->seq & 0xffff));
}

// is_complete: is this all that the answer has?
static bool
is_complete(const struct client_core *self, const struct endpoint *endpoint,
            const struct call *call, const struct mdp_record *record)
{
    if (record->dialect != MDP_G1)
        return !call->has_hole; // it does not count them
    if (record->status != MDP_DONE)
        return true; // an error is one without its parts too
    // An answer that has no PARTIALs is whole: what we hold is of an attempt that was lost
    // before it. (The count is modulo 65536, so of longer answers 0 says nothing.)
    bool is_single = record->parts == 0 && call->seq <= UINT16_MAX;
    if (over_same(call, endpoint))
        return is_single || has_its_parts(endpoint, call, record);
    // Over a connection that was left: not where the application holds parts that it
    // has not been told to drop.
    return is_single && (call->seq == 0 || !self->config.hands_out_parts);
}

// finish ends a call with its answer.
static void
finish(struct client_core *self, struct endpoint *endpoint, struct call *call,
       const struct mdp_record *record)
{
    self->stats.answers++;
    client_endpoint_answered(self, endpoint);
    if (call->is_sent && call->at != endpoint->index)
        withdraw(self, call);

    bool has_parts = has_its_parts(endpoint, call, record);
    if (!has_parts)
        client_dump(self, call->parts);
    struct client_effect *effect =
        add_answer(self, call, result_of_status(record->status), record->status);
    size_t cursor = 0;
    if (record->status == MDP_DONE)
        effect->body = &record->body;
    else
        (void)mdp_body_next(&record->body, &cursor, &effect->text);
    if (has_parts) {
        effect->cargo = call->parts;
        effect->seq = call->seq;
    }
    end(self, call);
}

// go_elsewhere: the broker does not serve, and names another or nobody.
static void
go_elsewhere(struct client_core *self, struct endpoint *endpoint, struct call *call,
             struct view redirect)
{
    if (!call->is_sent || call->at != endpoint->index)
        return; // it has gone elsewhere already
    client_call_unsend(self, call, false);
    call->at = NOWHERE;
    call->is_refused = true;
    client_endpoint_passive(self, endpoint, redirect);
}

static void
on_passive(struct client_core *self, struct endpoint *endpoint, struct call *call,
           const struct mdp_record *record)
{
    size_t cursor = 0;
    struct view redirect = VIEW_NONE;
    self->stats.passive++;
    (void)mdp_body_next(&record->body, &cursor, &redirect);
    go_elsewhere(self, endpoint, call, redirect);
}

// is_stale: "Workers, stores and clients keep the highest number seen per pair and refuse lower
// ones." Whoever does not serve may say so under any epoch.
static bool
is_stale(struct client_core *self, const struct mdp_record *record)
{
    struct mdp_epoch epoch;
    return record->fields.size > 0 && record->status != MDP_PASSIVE &&
           mdp_epoch_find(record->fields, &epoch) &&
           fence_judge(&self->fence, &epoch) == FENCE_STALE;
}

static void
on_final(struct client_core *self, struct endpoint *endpoint, struct call *call,
         const struct mdp_record *record)
{
    if (record->dialect == MDP_G1 && record->status == MDP_PASSIVE)
        on_passive(self, endpoint, call, record);
    else if (is_complete(self, endpoint, call, record))
        finish(self, endpoint, call, record);
    else
        self->stats.answers_incomplete++; // "treated as no answer": the attempt goes on
}

// take_part keeps a part, or hands it out.
static void
take_part(struct client_core *self, struct call *call, const struct client_event *event)
{
    uint32_t seq = call->seq++;
    self->stats.parts++;
    if (self->config.hands_out_parts) {
        struct client_effect *effect = add_answer(self, call, GALLEON_PENDING, 0);
        effect->seq = seq;
        effect->body = &event->record->body;
        return;
    }
    call->part_bytes += event->cargo_bytes;
    if (call->parts == NULL) {
        call->parts = event->cargo;
    } else {
        struct client_effect *effect = client_add_effect(self, CLIENT_JOIN);
        effect->id = call->id;
        effect->cargo = event->cargo;
        effect->into = call->parts;
    }
    if (call->part_bytes > self->config.answer_bytes_max)
        fail(self, call, GALLEON_REFUSED, MDP_TOO_LARGE, TEXT_TOO_LARGE);
}

static void
on_partial(struct client_core *self, struct endpoint *endpoint, struct call *call,
           const struct client_event *event)
{
    const struct mdp_record *record = event->record;
    // Also while a repeat waits for its turn: the broker that has the request drops it.
    bool is_ours = over_same(call, endpoint);
    if (is_ours && record->dialect == MDP_G1 && record->seq == 0 && call->seq > 0) {
        // "a second seq 0 means that the answer starts again on another worker, and
        // the client drops the parts it holds"
        client_dump(self, call->parts);
        call->parts = NULL;
        call->part_bytes = 0;
        call->seq = 0;
    }
    bool is_next = record->dialect != MDP_G1 || record->seq == call->seq;
    bool is_kept = self->config.hands_out_parts || event->cargo != NULL;
    if (!is_ours || !is_next || !is_kept) {
        if (is_ours)
            self->stats.answers_incomplete++;
        else
            self->stats.answers_not_ours++;
        if (is_ours && !is_kept)
            call->has_hole = true;
        client_dump(self, event->cargo);
        return;
    }
    // A part shows that the attempt is alive: its time begins again.
    client_endpoint_answered(self, endpoint);
    if (call->is_sent) {
        list_remove(&endpoint->sent, &call->place);
        restart_timer(self, endpoint, call);
    }
    take_part(self, call, event);
}

void
client_call_on_record(struct client_core *self, const struct client_event *event)
{
    must(event->endpoint < self->config.endpoint_count);
    struct endpoint *endpoint = &self->endpoints[event->endpoint];
    const struct mdp_record *record = event->record;
    if (record->fault != MDP_SOUND) {
        self->stats.faults[record->fault]++;
        client_dump(self, event->cargo);
        return;
    }
    endpoint->heard_ns = self->now_ns;
    endpoint->probed_ns = 0;
    endpoint->is_assumed = false;
    bool is_answer = record->side == MDP_CLIENT_SIDE &&
                     (record->command == MDP_FINAL || record->command == MDP_PARTIAL);
    if (endpoint->state == ENDPOINT_ASKING && record->dialect == MDP_01) {
        dialect_question_answer(&endpoint->question, record);
    } else if (is_answer) {
        struct call *call = addressee(self, endpoint, record);
        if (call != NULL && record->command == MDP_PARTIAL) {
            on_partial(self, endpoint, call, event);
            return;
        }
        if (is_stale(self, record)) {
            self->stats.fenced++;
            if (call != NULL)
                go_elsewhere(self, endpoint, call, VIEW_NONE);
        } else if (call != NULL) {
            on_final(self, endpoint, call, record);
        } else {
            self->stats.answers_not_ours++;
        }
    } else if (record->command != MDP_HEARTBEAT) {
        self->stats.records_ignored++;
    }
    client_dump(self, event->cargo);
}
