// broker_client.c - what clients say: REQUEST, CANCEL, HEARTBEAT.
//
// A request is refused here or it becomes a record that lives until it has exactly
// one FINAL. Each limit has a counter of its own.

#include "broker_state.h"
#include "service_name.h"

// What a request is refused with, and why.
struct refusal {
    enum mdp_status status; // MDP_DONE: it is not
    const char *why;
};

static const struct refusal no_refusal = {MDP_DONE, NULL};

// may_queue: is there room for one more that has to wait? Else it counts why not.
static struct refusal
may_queue(struct broker_core *self, const struct service *service, const struct route *client)
{
    if (service->queue.size >= service->requests_max) {
        self->stats.refused_service_queue_limit++;
        return (struct refusal){MDP_QUEUE_FULL, "too many requests wait for the service"};
    }
    if (self->stats.requests_queued >= self->config.requests_max) {
        self->stats.refused_queue_limit++;
        return (struct refusal){MDP_QUEUE_FULL, "too many requests wait"};
    }
    if (client->queued >= self->config.client_requests_max) {
        self->stats.refused_client_limit++;
        return (struct refusal){MDP_QUEUE_FULL, "too many requests of the client wait"};
    }
    return no_refusal;
}

// deadline_of is when the request's time in the queue ends.
static uint64_t
deadline_of(const struct broker_core *self, uint32_t ttl_ms)
{
    if (ttl_ms == 0)
        ttl_ms = self->config.request_ttl_ms;
    if (ttl_ms == 0)
        return UINT64_MAX;
    if (ttl_ms > TTL_MS_MAX)
        ttl_ms = TTL_MS_MAX;
    return self->now_ns + (uint64_t)ttl_ms * NS_PER_MS;
}

static struct request *
make_request(struct broker_core *self, struct service *service, struct route *client,
             const struct broker_event *event, uint64_t id_hash)
{
    const struct mdp_record *record = event->record;
    static const struct request blank; // copying it is quicker than clearing
    struct request *request = slab_take(&self->requests);
    if (request == NULL)
        return NULL;
    *request = blank;
    request->client = client;
    request->service = service;
    request->cargo = event->cargo;
    request->cargo_bytes = event->cargo_bytes;
    request->id = record->id;
    request->deadline_ns = deadline_of(self, record->ttl_ms);
    request->serial = ++self->serial;
    request->dialect = record->dialect;
    request->has_delimiter = event->from->has_delimiter;
    list_node_init(&request->in_queue);
    list_init(&request->attempts);
    client->references++;
    self->stats.request_bytes += request->cargo_bytes;
    if (record->dialect == MDP_G1)
        map_insert(&self->ids, &request->in_ids, id_hash);
    return request;
}

// refuse answers with an error, lets the cargo go and counts.
static void
refuse(struct broker_core *self, struct route *route, const struct broker_event *event,
       struct refusal refusal)
{
    const struct mdp_record *record = event->record;
    bool has_name = record->fault == MDP_SOUND || service_name_is_valid(record->service);
    self->stats.requests_refused++;
    broker_tell(self, route->address.routing_id,
                (struct broker_trace){.fact = BROKER_REQUEST_REFUSED,
                                      .service = has_name ? record->service : VIEW_NONE,
                                      .why = refusal.why,
                                      .status = refusal.status});
    broker_refuse(self, route, event, refusal.status);
    broker_dump(self, event->cargo, BROKER_DUMP_REFUSED);
}

// accept finds or makes the service and gives the request its place: a worker at
// once, or the end of the queue.
static struct refusal
accept(struct broker_core *self, struct route *client, const struct broker_event *event,
       uint64_t id_hash)
{
    const struct mdp_record *record = event->record;
    struct service *service = broker_service_find(self, record->service);
    bool must_wait = service == NULL || list_is_empty(&service->ready) ||
                     !list_is_empty(&service->queue) || is_catching_up(self);
    if (must_wait && record->dialect == MDP_G1 && (record->flags & MDP_FLAG_NO_QUEUE))
        return (struct refusal){MDP_NO_WORKER, "no worker is free"};
    if (self->stats.request_bytes + event->cargo_bytes > self->config.request_bytes_max) {
        self->stats.refused_bytes_limit++;
        return (struct refusal){MDP_QUEUE_FULL, "open requests have too many bytes"};
    }
    if (service == NULL)
        service = broker_service_get(self, record->service);
    if (service == NULL) {
        self->stats.refused_service_limit++;
        return (struct refusal){MDP_QUEUE_FULL, "there are too many services"};
    }
    struct refusal refusal = must_wait ? may_queue(self, service, client) : no_refusal;
    struct request *request = NULL;
    if (refusal.status == MDP_DONE) {
        request = make_request(self, service, client, event, id_hash);
        if (request == NULL) {
            self->stats.refused_queue_limit++;
            refusal = (struct refusal){MDP_QUEUE_FULL, "too many requests are open"};
        }
    }
    if (request == NULL) {
        broker_service_settle(self, service);
        return refusal;
    }
    if (must_wait || !broker_dispatch_at_once(self, request))
        broker_request_enqueue(self, request, false);
    return no_refusal;
}

static struct refusal
refusal_of_one_who_does_not_serve(struct broker_core *self)
{
    bool is_draining = self->drain != DRAIN_NONE;
    *(is_draining ? &self->stats.refused_draining : &self->stats.requests_passive) += 1;
    return (struct refusal){MDP_PASSIVE, is_draining ? "the broker is stopping"
                                                     : "this half of the pair does not serve"};
}

static void
on_request(struct broker_core *self, struct route *route, const struct broker_event *event)
{
    const struct mdp_record *record = event->record;
    bool has_id = record->dialect == MDP_G1;
    uint64_t id_hash = has_id ? broker_id_hash(self, route, record->id) : 0;
    if (has_id && broker_request_of(self, route, record->id, id_hash) != NULL) {
        // Whatever else is wrong with it: the answer to the first is the answer.
        self->stats.requests_duplicate++;
        broker_dump(self, event->cargo, BROKER_DUMP_INVALID);
        return;
    }
    if (record->fault != MDP_SOUND) {
        refuse(self, route, event,
               (struct refusal){record->fault == MDP_OVER_LIMIT ? MDP_TOO_LARGE : MDP_MALFORMED,
                                mdp_fault_text(record->fault)});
        return;
    }
    if (service_name_is_reserved(record->service)) {
        broker_on_mmi(self, route, event);
        return;
    }
    self->stats.requests_in++;
    bool is_serving = self->drain == DRAIN_NONE && self->reign == REIGN_ON;
    struct refusal refusal =
        is_serving ? accept(self, route, event, id_hash) : refusal_of_one_who_does_not_serve(self);
    if (refusal.status != MDP_DONE)
        refuse(self, route, event, refusal);
}

// 499 goes out at once, whether the request waits or is out; the worker is not
// told, and keeps its slot until it has answered.
static void
on_cancel(struct broker_core *self, struct route *route, const struct mdp_record *record)
{
    struct request *request =
        broker_request_of(self, route, record->id, broker_id_hash(self, route, record->id));
    if (request == NULL) { // its FINAL is on the way, or was lost
        self->stats.cancels_unknown++;
        return;
    }
    self->stats.requests_cancelled++;
    broker_request_refuse(self, request, MDP_CANCELLED, BROKER_DUMP_CANCELLED);
}

// Clients need not beat; a beat of theirs is answered, and we never send one first.
static void
on_heartbeat(struct broker_core *self, struct route *route, const struct broker_event *event)
{
    struct broker_effect *effect = broker_add_effect(self, BROKER_SEND);
    effect->to = &route->address;
    effect->has_delimiter = event->from->has_delimiter;
    effect->record.dialect = MDP_G1;
    effect->record.side = MDP_CLIENT_SIDE;
    effect->record.command = MDP_HEARTBEAT;
    effect->record.interval_ms = self->config.heartbeat_ms;
}

// is_answerable: may a faulty record be answered? 0.1 and 0.2 have no error, and a
// record that is too short has no id.
static bool
is_answerable(const struct mdp_record *record)
{
    return record->dialect == MDP_G1 && record->command == MDP_REQUEST &&
           (record->fault == MDP_BAD_NAME || record->fault == MDP_BAD_CONTENTS ||
            record->fault == MDP_OVER_LIMIT);
}

void
broker_on_client_record(struct broker_core *self, const struct broker_event *event)
{
    const struct mdp_record *record = event->record;
    if (record->fault != MDP_SOUND && !is_answerable(record)) {
        broker_dump(self, event->cargo, BROKER_DUMP_INVALID);
        return;
    }
    struct route *route = broker_route_get(self, event->from);
    if (route == NULL) {
        self->stats.refused_route_limit++;
        broker_dump(self, event->cargo, BROKER_DUMP_REFUSED);
        return;
    }
    route->is_gone = false;
    if (record->command == MDP_REQUEST) {
        on_request(self, route, event);
        return;
    }
    broker_dump(self, event->cargo, BROKER_DUMP_INVALID);
    if (record->command == MDP_CANCEL)
        on_cancel(self, route, record);
    else
        on_heartbeat(self, route, event);
}
