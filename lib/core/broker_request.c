// broker_request.c - a request's life: it waits, it is out, it ends once.

#include "broker_state.h"

uint64_t
broker_id_hash(const struct broker_core *self, const struct route *client, uint64_t id)
{
    return siphash_map_pair(&self->map_key, client->address.serial, id);
}

struct request *
broker_request_of(struct broker_core *self, const struct route *client, uint64_t id,
                  uint64_t id_hash)
{
    for (struct map_node *node = map_first(&self->ids, id_hash); node != NULL;
         node = map_next(node)) {
        struct request *request = list_object(node, struct request, in_ids);
        if (request->id == id && request->client == client)
            return request;
    }
    return NULL;
}

void
broker_request_enqueue(struct broker_core *self, struct request *request, bool at_head)
{
    must(request->current == NULL);
    if (at_head)
        list_prepend(&request->service->queue, &request->in_queue);
    else
        list_append(&request->service->queue, &request->in_queue);
    if (request->deadline_ns != UINT64_MAX)
        heap_set(&self->expiries, &request->expiry, request->deadline_ns);
    request->client->queued++;
    self->stats.requests_queued++;
    broker_service_settle(self, request->service);
}

void
broker_request_dequeue(struct broker_core *self, struct request *request)
{
    list_remove(&request->service->queue, &request->in_queue);
    heap_remove(&self->expiries, &request->expiry);
    request->client->queued--;
    self->stats.requests_queued--;
}

void
broker_request_end(struct broker_core *self, struct request *request, enum broker_dump why)
{
    struct service *service = request->service;
    if (list_node_is_linked(&request->in_queue))
        broker_request_dequeue(self, request);
    if (request->dialect == MDP_G1)
        map_remove(&self->ids, &request->in_ids);

    // The tickets die with their request. A worker that still works on it keeps
    // its slot until it has answered.
    struct list_node *node;
    while ((node = list_take(&request->attempts)) != NULL) {
        struct attempt *attempt = list_object(node, struct attempt, in_request);
        attempt->request = NULL;
        if (attempt->worker == NULL)
            broker_attempt_free(self, attempt);
    }
    self->stats.request_bytes -= request->cargo_bytes + request->gathered_cost;
    broker_dump(self, request->gathered, why);
    broker_dump(self, request->cargo, why);
    broker_route_unref(self, request->client);
    slab_give(&self->requests, request);
    broker_service_settle(self, service);
}

void
broker_request_refuse(struct broker_core *self, struct request *request, enum mdp_status status,
                      enum broker_dump why)
{
    broker_answer_error(self, request, status);
    broker_request_end(self, request, why);
}

void
broker_request_expire(struct broker_core *self, struct request *request)
{
    // 502: an attempt was lost, and the time is spent. 404: nobody could have
    // taken it. 408: all who could were busy.
    enum mdp_status status = MDP_EXPIRED;
    const char *why = "all workers of the service were busy";
    if (request->attempts_made > 0) {
        status = MDP_WORKER_LOST;
        why = "its worker was lost, and no other took it in time";
    } else if (service_workers(request->service) == 0) {
        status = MDP_NO_WORKER;
        why = "the service has no worker";
    }
    self->stats.requests_expired++;
    broker_tell(self, request->client->address.routing_id,
                (struct broker_trace){.fact = BROKER_REQUEST_EXPIRED,
                                      .service = service_name(request->service),
                                      .why = why,
                                      .status = status,
                                      .count = request->attempts_made});
    broker_request_refuse(self, request, status, BROKER_DUMP_EXPIRED);
}
