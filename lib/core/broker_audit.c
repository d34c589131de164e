// broker_audit.c - everything that must be true of a broker between two steps.
//
// For tests: it goes through all there is. What it checks has the names of the
// invariants that simulator and drills judge by: credit is kept (B2), a request is
// only with a worker of its service (B3), all cargo has its place (B5), no limit is
// passed (B6), lists, counters and heaps agree (B9).

#include "broker_state.h"

// What was counted on the way.
struct count {
    uint64_t workers, idle, out;
    uint64_t queued, with_expiry;
    uint64_t open;     // requests that wait or that a worker works on
    uint64_t bytes;    // of their bodies, and of parts that are kept for them
    uint64_t with_id;  // G1
    uint64_t attempts; // that somebody holds, or whose ticket is still good
    uint64_t lost;     // of them, let go by their workers
    uint64_t with_limit;
};

static void
audit_ticket(const struct broker_core *self, const struct attempt *attempt)
{
    static const struct ticket zero;
    must(!ticket_equals(&attempt->ticket, &zero));
    must(slab_at(&self->attempts, slab_index(&self->attempts, attempt)) == attempt);
}

static void
audit_request(const struct broker_core *self, const struct request *request, struct count *count)
{
    must(request->client->references > 0);
    must(request->attempts.size <= TICKETS_MAX);
    must(request->attempts_made <= request->service->attempts);
    must(request->gathered != NULL || request->gathered_cost == 0);
    must(request->gathered_frames <= self->config.answer_frames_max);
    list_each (node, &request->attempts) {
        const struct attempt *attempt = list_object(node, struct attempt, in_request);
        audit_ticket(self, attempt);
        must(attempt->request == request);
        must(attempt->worker == NULL || attempt == request->current);
        count->attempts += attempt->worker == NULL ? 1 : 0;
        count->lost += attempt->worker == NULL ? 1 : 0;
        must(list_node_is_linked(&attempt->in_worker));
        must(attempt->worker != NULL || !heap_holds(&attempt->limit));
    }
    count->open++;
    count->bytes += request->cargo_bytes + request->gathered_cost;
    count->with_id += request->dialect == MDP_G1 ? 1 : 0;
}

static void
audit_held(const struct broker_core *self, const struct worker *worker, struct count *count)
{
    must(worker->held.size <= worker->credit); // B2
    count->out += worker->held.size;
    list_each (node, &worker->held) {
        const struct attempt *attempt = list_object(node, struct attempt, in_worker);
        must(attempt->worker == worker);
        count->attempts++;
        count->with_limit += heap_holds(&attempt->limit) ? 1 : 0;
        const struct request *request = attempt->request;
        if (request == NULL)
            continue;
        must(request->current == attempt);
        must(request->service == worker->service); // B3
        must(!list_node_is_linked(&request->in_queue));
        must(!heap_holds(&request->expiry));
        audit_request(self, request, count);
    }
}

static void
audit_workers(const struct broker_core *self, const struct service *service,
              const struct list *workers, struct count *count)
{
    bool is_ready = workers == &service->ready;
    list_each (node, workers) {
        const struct worker *worker = list_object(node, struct worker, in_service);
        must(worker->service == service);
        must(worker->route->worker == worker && worker->route->references > 0);
        must(worker->credit >= 1 && worker->credit <= self->config.credit_max);
        must(worker->dialect == MDP_G1 || worker->credit == 1);
        must(worker->was_ready == is_ready);
        must(!is_ready ||
             (worker->held.size < worker->credit && !worker->is_blocked && !worker->is_draining));
        must(heap_holds(&worker->timer));
        count->workers++;
        count->idle += list_is_empty(&worker->held) ? 1 : 0;
        audit_held(self, worker, count);
    }
}

static void
audit_service(const struct broker_core *self, const struct service *service, struct count *count)
{
    must(!service->is_buried);
    must(service_workers(service) <= self->config.service_workers_max);
    uint64_t out = count->out;
    audit_workers(self, service, &service->ready, count);
    audit_workers(self, service, &service->taken, count);
    must(service->out >= count->out - out); // and those of workers that were lost
    bool has_work = !list_is_empty(&service->queue) && !list_is_empty(&service->ready);
    must(has_work || !list_node_is_linked(&service->in_work));
    count->queued += service->queue.size;
    list_each (node, &service->queue) {
        const struct request *request = list_object(node, struct request, in_queue);
        must(request->current == NULL && request->service == service);
        must((request->deadline_ns == UINT64_MAX) == !heap_holds(&request->expiry));
        count->with_expiry += heap_holds(&request->expiry) ? 1 : 0;
        audit_request(self, request, count);
    }
}

// audit_routes: each is held by its open requests and workers, and by nothing else.
static void
audit_routes(const struct broker_core *self)
{
    const struct slab *slabs[] = {&self->small_routes, &self->large_routes};
    uint64_t references = 0, queued = 0, routes = 0;
    for (size_t i = 0; i < sizeof slabs / sizeof *slabs; i++) {
        for (uint32_t at = 0; at < slabs[i]->touched; at++) {
            const struct route *route = slab_at(slabs[i], at);
            if (route == NULL)
                continue;
            must(route->references > 0 || list_node_is_linked(&route->in_graveyard));
            routes++;
            references += route->references;
            queued += route->queued;
        }
    }
    must(routes == self->routes.size);
    uint64_t asking = self->question.route != NULL ? 1 : 0;
    must(references == (uint64_t)self->requests.used + self->workers.used + asking);
    must(queued == self->stats.requests_queued);
}

// audit_reign: what does not serve has nothing open, but for what it has not dropped yet.
static void
audit_reign(const struct broker_core *self)
{
    bool is_clear = self->clear_at >= self->requests.touched;
    must(self->reign == REIGN_ON || self->config.is_paired);
    must(self->reign == REIGN_ON || !is_clear || self->stats.requests_queued == 0);
    must(self->reign != REIGN_HOLD || !is_clear || self->requests.used == 0);
    must(self->reign == REIGN_FINISH || self->reign == REIGN_ON || self->owes_quiet ||
         self->epoch_line.size == 0);
    must((self->epoch_line.size > 0) == (self->epoch_flags != 0));
}

static void
audit_counts(const struct broker_core *self, const struct count *count)
{
    const struct broker_stats *stats = &self->stats;
    must(count->workers == stats->workers);
    must(count->idle == stats->workers_idle);
    must(count->workers - count->idle == stats->workers_busy);
    must(count->workers + self->lost.size == self->workers.used);
    must(count->workers == self->timers.size);
    must(count->queued == stats->requests_queued);
    must(count->with_expiry == self->expiries.size);
    must(count->out == stats->requests_out);
    must(count->open == self->requests.used);
    must(count->bytes == stats->request_bytes);
    must(count->with_id == self->ids.size);
    must(count->attempts == self->attempts.used);
    must(count->lost == self->lost_attempts.size);
    must(count->with_limit == self->limits.size);
    must(self->service_list.size == stats->services);
    must(self->services.size == stats->services);
    must(self->service_list.size + self->service_graveyard.size == self->service_slab.used);
    must(stats->request_bytes <= self->config.request_bytes_max); // B6
}

void
broker_core_audit(const struct broker_core *self)
{
    struct count count = {0};
    uint64_t out = 0;
    list_each (node, &self->service_list) {
        const struct service *service = list_object(node, struct service, in_list);
        out += service->out;
        audit_service(self, service, &count);
    }
    list_each (node, &self->lost) {
        const struct worker *worker = list_object(node, struct worker, in_service);
        must(worker->route->worker != worker && !worker->service->is_buried);
        must(!heap_holds(&worker->timer));
        audit_held(self, worker, &count);
    }
    must(out == self->stats.requests_out);
    audit_counts(self, &count);
    audit_routes(self);
    audit_reign(self);
}
