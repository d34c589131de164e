// broker_timer.c - what time brings: beats, silence, expiry, the end of a drain.
//
// Three ordered structures: timers (a worker's next beat or the end of our
// patience), expiries (requests that wait), limits (attempts that may not take
// longer). A worker's timer is not moved when it speaks or hears, only looked at
// when it comes: it may be early and is never late.
//
// Liveness runs on the awake clock, which leaves out the pauses of our own
// process: nobody is lost because we slept.

#include "broker_state.h"

enum { CATCHING_UP_MS = 200 }; // at most, to read what has come while we slept

void
broker_notice_pause(struct broker_core *self, uint64_t now_ns)
{
    uint64_t due_ns = broker_core_deadline(self);
    if (due_ns < self->now_ns)
        due_ns = self->now_ns;
    uint64_t interval_ns = (uint64_t)self->config.heartbeat_ms * NS_PER_MS;
    if (due_ns < now_ns && now_ns - due_ns > interval_ns) {
        self->paused_ns += now_ns - due_ns;
        self->pause_ns = now_ns - due_ns;
        self->pause_end_ns = now_ns;
        uint64_t most_ns = CATCHING_UP_MS * NS_PER_MS;
        self->catching_up_until_ns = now_ns + (interval_ns < most_ns ? interval_ns : most_ns);
    }
    self->now_ns = now_ns;
}

void
broker_watch_worker(struct broker_core *self, struct worker *worker)
{
    if (list_is_empty(&worker->held) && worker->has_promise) {
        uint64_t own_ns = (uint64_t)self->config.heartbeat_ms * NS_PER_MS;
        uint64_t shown_ns = worker->longest_gap_ns;
        worker->beat.patience_ns = (shown_ns > own_ns ? shown_ns : own_ns) * self->config.liveness;
    }
    uint64_t due_ns = heartbeat_deadline(&worker->beat);
    if (!heap_holds(&worker->timer) || due_ns < worker->timer.key)
        heap_set(&self->timers, &worker->timer, due_ns);
}

// may_probe: a 0.1 or 0.2 worker that does not read fills its receive queue, and a
// full one would cut it off although it lives. So: every interval at first, then
// every tenth, then not at all. A simple pirate is told nothing: a probe stands for a look at
// its connection.
static bool
may_probe(const struct broker_core *self, struct worker *worker)
{
    if (self->config.manners == BROKER_SIMPLE)
        return worker->connection.number != 0;
    if (worker->dialect == MDP_G1 || worker->unread < UNREAD_SPARE)
        return true;
    return worker->unread < UNREAD_MAX && ++worker->probes_skipped % 10 == 0;
}

static void
on_timer(struct broker_core *self, struct worker *worker)
{
    switch (heartbeat_check(&worker->beat, awake_now(self))) {
    case HEARTBEAT_LOST:
        broker_worker_disconnect(self, worker, MDP_REASON_SILENT, "silent");
        return;
    case HEARTBEAT_SPEAK:
        if (may_probe(self, worker))
            broker_send_to_worker(self, worker, MDP_HEARTBEAT, 0);
        else
            heartbeat_spoke(&worker->beat, awake_now(self));
        break;
    case HEARTBEAT_REST:
        break;
    }
    heap_set(&self->timers, &worker->timer, heartbeat_deadline(&worker->beat));
}

static void
on_limit(struct broker_core *self, struct attempt *attempt)
{
    struct worker *worker = attempt->worker;
    heap_remove(&self->limits, &attempt->limit);
    if (worker->route->worker == worker) // else it is lost already
        broker_worker_disconnect(self, worker, MDP_REASON_LIMIT, "processing limit");
}

void
broker_on_tick(struct broker_core *self)
{
    while (has_room(self) && heap_first_key(&self->limits) <= awake_now(self))
        on_limit(self, list_object(heap_first(&self->limits), struct attempt, limit));
    while (has_room(self) && heap_first_key(&self->expiries) <= self->now_ns)
        broker_request_expire(self,
                              list_object(heap_first(&self->expiries), struct request, expiry));
    while (has_room(self) && heap_first_key(&self->timers) <= awake_now(self))
        on_timer(self, list_object(heap_first(&self->timers), struct worker, timer));
}

// ---- drain ---------------------------------------------------------------------------

// tell_workers says DRAIN to the G1 workers of a list that have not heard it: they are
// given nothing more. False where there was no room for all.
static bool
tell_workers(struct broker_core *self, struct list *workers)
{
    struct list_node *node = list_first(workers);
    while (node != NULL) {
        struct list_node *next = list_next(workers, node);
        struct worker *worker = list_object(node, struct worker, in_service);
        node = next;
        if (worker->is_told || worker->dialect != MDP_G1)
            continue;
        if (!has_room(self))
            return false;
        worker->is_told = worker->is_draining = true;
        broker_send_to_worker(self, worker, MDP_DRAIN, 0);
        broker_worker_settle(self, worker);
    }
    return true;
}

// drain_service refuses what waits and tells the workers; false where there was no
// room for all.
static bool
drain_service(struct broker_core *self, struct service *service)
{
    struct list_node *node = list_first(&service->queue);
    while (node != NULL) {
        struct list_node *next = list_next(&service->queue, node);
        struct request *request = list_object(node, struct request, in_queue);
        if (!has_room(self))
            return false;
        // One whose worker was lost is ours to finish.
        if (request->attempts_made == 0) {
            self->stats.refused_draining++;
            broker_request_refuse(self, request, MDP_PASSIVE, BROKER_DUMP_REFUSED);
        }
        node = next;
    }
    return tell_workers(self, &service->ready) && tell_workers(self, &service->taken);
}

static void
drain_queues(struct broker_core *self)
{
    while (self->drain_at != NULL) {
        struct service *service = self->drain_at;
        if (!drain_service(self, service))
            return;
        if (self->drain_at == service) { // it is still there
            struct list_node *next = list_next(&self->service_list, &service->in_list);
            self->drain_at = next == NULL ? NULL : list_object(next, struct service, in_list);
        }
    }
    self->drain = DRAIN_OUT;
}

// part_with_all says DISCONNECT to every worker; what is still out is given up.
static void
part_with_all(struct broker_core *self)
{
    while (!list_is_empty(&self->service_list)) {
        struct service *service =
            list_object(list_first(&self->service_list), struct service, in_list);
        while (service->queue.size > 0) {
            if (!has_room(self))
                return;
            broker_request_refuse(
                self, list_object(list_first(&service->queue), struct request, in_queue),
                MDP_PASSIVE, BROKER_DUMP_GIVEN_UP);
        }
        while (service_workers(service) > 0) {
            if (!has_room(self))
                return;
            struct list_node *node = list_first(&service->ready);
            if (node == NULL)
                node = list_first(&service->taken);
            struct worker *worker = list_object(node, struct worker, in_service);
            broker_send_to_worker(self, worker, MDP_DISCONNECT, MDP_REASON_STOPPING);
            broker_worker_leave(self, worker, "stopping");
        }
        while (!list_is_empty(&self->lost)) {
            if (!has_room(self))
                return;
            broker_worker_wind_up(self,
                                  list_object(list_first(&self->lost), struct worker, in_service));
        }
    }
    if (!has_room(self))
        return;
    (void)broker_add_effect(self, BROKER_STOPPED);
    self->drain = DRAIN_OVER;
}

void
broker_drain_on(struct broker_core *self)
{
    if (self->drain == DRAIN_QUEUES)
        drain_queues(self);
    // A lost worker's request may go to one that was not told; what still waits when
    // nothing is out, nobody will take.
    // Of what a half of a pair has dropped workers may still have some: nobody waits for that.
    bool is_dropped = self->config.is_paired && self->requests.used == 0;
    bool is_over = (self->stats.requests_out == 0 || is_dropped) && list_is_empty(&self->work);
    if (self->drain == DRAIN_OUT && (is_over || self->now_ns >= self->drain_until_ns))
        self->drain = DRAIN_WORKERS;
    if (self->drain == DRAIN_WORKERS)
        part_with_all(self);
}
