// broker_client.c - what clients say: REQUEST, CANCEL, HEARTBEAT.
//
// A request is refused here or it becomes a record that lives until it has exactly
// one FINAL. Each limit has a counter of its own.

#include "broker_state.h"
#include "service_name.h"

// may_queue: is there room for one more that has to wait? Else it counts why not.
static bool
may_queue(struct broker_core *self, const struct service *service, const struct route *client)
{
    if (service->queue.size >= service->requests_max) {
        self->stats.refused_service_queue_limit++;
        return false;
    }
    if (self->stats.requests_queued >= self->config.requests_max) {
        self->stats.refused_queue_limit++;
        return false;
    }
    if (client->queued >= self->config.client_requests_max) {
        self->stats.refused_client_limit++;
        return false;
    }
    return true;
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
       enum mdp_status status)
{
    self->stats.requests_refused++;
    broker_tell(self, BROKER_REQUEST_REFUSED, NULL, event->record->service, "", status);
    broker_refuse(self, route, event, status);
    broker_dump(self, event->cargo, BROKER_DUMP_REFUSED);
}

// accept finds or makes the service and gives the request its place: a worker at
// once, or the end of the queue. Returns MDP_DONE, or the status to refuse it with.
static enum mdp_status
accept(struct broker_core *self, struct route *client, const struct broker_event *event,
       uint64_t id_hash)
{
    const struct mdp_record *record = event->record;
    struct service *service = broker_service_find(self, record->service);
    bool must_wait =
        service == NULL || list_is_empty(&service->ready) || !list_is_empty(&service->queue);
    if (must_wait && record->dialect == MDP_G1 && (record->flags & MDP_FLAG_NO_QUEUE))
        return MDP_NO_WORKER;
    if (self->stats.request_bytes + event->cargo_bytes > self->config.request_bytes_max) {
        self->stats.refused_bytes_limit++;
        return MDP_QUEUE_FULL;
    }
    if (service == NULL)
        service = broker_service_get(self, record->service);
    if (service == NULL) {
        self->stats.refused_service_limit++;
        return MDP_QUEUE_FULL;
    }
    struct request *request = NULL;
    if (!must_wait || may_queue(self, service, client)) {
        request = make_request(self, service, client, event, id_hash);
        self->stats.refused_queue_limit += request == NULL ? 1 : 0;
    }
    if (request == NULL) {
        broker_service_settle(self, service);
        return MDP_QUEUE_FULL;
    }
    if (must_wait || !broker_dispatch_at_once(self, request))
        broker_request_enqueue(self, request, false);
    return MDP_DONE;
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
        refuse(self, route, event, record->fault == MDP_OVER_LIMIT ? MDP_TOO_LARGE : MDP_MALFORMED);
        return;
    }
    if (service_name_is_reserved(record->service)) {
        broker_on_mmi(self, route, event);
        return;
    }
    self->stats.requests_in++;
    enum mdp_status status;
    if (self->drain != DRAIN_NONE) {
        self->stats.refused_draining++;
        status = MDP_PASSIVE;
    } else {
        status = accept(self, route, event, id_hash);
    }
    if (status != MDP_DONE)
        refuse(self, route, event, status);
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
