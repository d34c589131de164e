// broker_dispatch.c - which worker gets which request, and the way back.
//
// The rule is a free slot, then least recently used: service->ready holds the
// workers that have one, and who was given a request goes to its end. See
// choose_worker. A request whose worker is lost comes back to the head of its
// queue under a new ticket; the old one stays good for as long as the request is
// open, so the first answer wins, whoever gives it.

#include "broker_state.h"

#include "bytes.h"
#include "fetch.h"

enum {
    LOOKS_MAX = 16 // workers, and requests, that are passed over for one dispatch
};

// ---- tickets -----------------------------------------------------------------------

// An attempt's token is its place and its serial number; its ticket is the token
// and a keyed hash of it and of a count that never repeats, so that nobody can make
// one up or use one twice.
static uint64_t
token_of(const struct broker_core *self, const struct attempt *attempt)
{
    return (uint64_t)slab_index(&self->attempts, attempt) << 32 | attempt->serial;
}

static struct ticket
ticket_of(struct broker_core *self, uint64_t token)
{
    struct ticket ticket;
    uint64_t proof = siphash_pair(&self->ticket_key, token, ++self->ticket_count);
    bytes_put64(bytes_put64(ticket.bytes, token), proof == 0 ? 1 : proof);
    return ticket;
}

struct attempt *
broker_attempt_at(struct broker_core *self, uint64_t token)
{
    struct attempt *attempt = slab_at(&self->attempts, (uint32_t)(token >> 32));
    return attempt != NULL && attempt->serial == (uint32_t)token ? attempt : NULL;
}

struct attempt *
broker_attempt_find(struct broker_core *self, const struct ticket *ticket)
{
    struct attempt *attempt = broker_attempt_at(self, bytes_get64(ticket->bytes));
    return attempt != NULL && ticket_equals(&attempt->ticket, ticket) ? attempt : NULL;
}

// forget_attempt: it is in no worker's hands, and its ticket dies.
static void
forget_attempt(struct broker_core *self, struct attempt *attempt)
{
    if (attempt->request != NULL)
        list_remove(&attempt->request->attempts, &attempt->in_request);
    broker_attempt_free(self, attempt);
}

void
broker_attempt_free(struct broker_core *self, struct attempt *attempt)
{
    must(attempt->worker == NULL);
    if (list_node_is_linked(&attempt->in_worker))
        list_remove(&self->lost_attempts, &attempt->in_worker);
    slab_give(&self->attempts, attempt);
}

// take_attempt makes one. Where there are too many a lost one has to go, and its ticket with
// it: the request's own oldest, or the oldest of all. NULL: workers hold them all.
static struct attempt *
take_attempt(struct broker_core *self, struct request *request)
{
    struct list_node *oldest = NULL;
    if (request->attempts.size >= TICKETS_MAX)
        forget_attempt(self,
                       list_object(list_first(&request->attempts), struct attempt, in_request));
    else if (self->attempts.used == self->attempts.capacity)
        oldest = list_first(&self->lost_attempts);
    if (oldest != NULL)
        forget_attempt(self, list_object(oldest, struct attempt, in_worker));
    return slab_take(&self->attempts);
}

// ---- who ------------------------------------------------------------------------------

// was_given_over: a lost attempt of this request went over this connection.
static bool
was_given_over(const struct request *request, const struct worker *worker)
{
    list_each (node, &request->attempts)
        if (list_object(node, struct attempt, in_request)->connection ==
            worker->route->in_routes.hash)
            return true;
    return false;
}

// choose_worker: a free slot, then least recently used; never the connection that
// an earlier attempt was lost on. NULL: none for this request.
static struct worker *
choose_worker(const struct service *service, const struct request *request)
{
    int looks = 0;
    list_each (node, &service->ready) {
        struct worker *worker = list_object(node, struct worker, in_service);
        if (list_is_empty(&request->attempts) || !was_given_over(request, worker))
            return worker;
        if (++looks == LOOKS_MAX)
            break;
    }
    return NULL;
}

void
broker_worker_settle(struct broker_core *self, struct worker *worker)
{
    struct service *service = worker->service;
    struct list *from = &service->ready;
    struct list *to = &service->ready;
    if (worker->was_ready == false)
        from = &service->taken;
    bool is_ready =
        worker->held.size < worker->credit && !worker->is_blocked && !worker->is_draining;
    if (!is_ready)
        to = &service->taken;
    worker->was_ready = is_ready;
    if (from != to) {
        list_remove(from, &worker->in_service);
        list_append(to, &worker->in_service);
        broker_service_settle(self, service);
    }
}

// ---- dispatch ---------------------------------------------------------------------------

static uint32_t
ttl_left_ms(const struct broker_core *self, const struct request *request)
{
    if (request->deadline_ns == UINT64_MAX)
        return 0; // no limit
    uint64_t left_ms = (request->deadline_ns - self->now_ns) / NS_PER_MS;
    return left_ms < 1 ? 1 : (uint32_t)left_ms;
}

static void
send_request(struct broker_core *self, const struct request *request, const struct attempt *attempt)
{
    struct worker *worker = attempt->worker;
    struct broker_effect *effect = broker_add_effect(self, BROKER_SEND);
    effect->keeps_cargo = true;
    effect->is_of_reign = true;
    effect->to = &worker->route->address;
    effect->has_delimiter = worker->has_delimiter;
    effect->token = token_of(self, attempt);
    effect->cargo = request->cargo;
    struct mdp_record *record = &effect->record;
    record->dialect = worker->dialect;
    record->side = MDP_WORKER_SIDE;
    record->command = MDP_REQUEST;
    record->flags = self->epoch_flags | (request->attempts_made > 1 ? MDP_FLAG_REDELIVERY : 0);
    record->fields = self->epoch_line;
    record->ttl_ms = ttl_left_ms(self, request);
    record->attempt = request->attempts_made;
    record->ticket = attempt->ticket;
    // One that gets more and more, and has room, would get no HEARTBEAT to look at.
    uint64_t interval_ns = (uint64_t)self->config.heartbeat_ms * NS_PER_MS;
    if (worker->held.size > 1 && awake_now(self) - worker->looked_at_ns >= interval_ns)
        broker_look_for_silence(self, worker, effect);
}

// give hands a request that is on no list to a worker with a free slot.
static void
give(struct broker_core *self, struct request *request, struct worker *worker,
     struct attempt *attempt)
{
    struct service *service = request->service;
    attempt->request = request;
    attempt->worker = worker;
    attempt->connection = worker->route->in_routes.hash;
    attempt->serial = ++self->serial;
    attempt->partials = 0;
    attempt->dialect = worker->dialect;
    attempt->limit.place = 0;
    attempt->ticket = ticket_of(self, token_of(self, attempt));
    list_append(&request->attempts, &attempt->in_request);
    if (list_is_empty(&worker->held)) {
        self->stats.workers_idle--;
        self->stats.workers_busy++;
        worker->beat.patience_ns = UINT64_MAX; // silence of a busy worker means nothing
    }
    list_append(&worker->held, &attempt->in_worker);
    if (service->limit_ns > 0)
        heap_set(&self->limits, &attempt->limit, awake_now(self) + service->limit_ns);
    request->current = attempt;
    request->attempts_made++;
    service->out++;
    self->stats.requests_out++;
    self->stats.attempts++;
    self->stats.redeliveries += request->attempts_made > 1 ? 1 : 0;

    worker->was_idle = false;
    worker->unread++;
    heartbeat_spoke(&worker->beat, awake_now(self));
    send_request(self, request, attempt);
    broker_worker_settle(self, worker);
    if (worker->was_ready) {
        list_remove(&service->ready, &worker->in_service);
        list_append(&service->ready, &worker->in_service);
    }
}

// place gives one waiting request to a worker; false when it stays where it is.
static bool
place(struct broker_core *self, struct request *request)
{
    if (request->deadline_ns <= self->now_ns) {
        broker_request_expire(self, request);
        return true;
    }
    if (request->client->is_gone) {
        // Nobody would hear the answer.
        self->stats.requests_of_gone++;
        broker_request_end(self, request, BROKER_DUMP_UNSENT);
        return true;
    }
    struct worker *worker = choose_worker(request->service, request);
    if (worker == NULL)
        return false;
    struct attempt *attempt = take_attempt(self, request);
    if (attempt == NULL)
        return false;
    broker_request_dequeue(self, request);
    give(self, request, worker, attempt);
    return true;
}

bool
broker_dispatch_at_once(struct broker_core *self, struct request *request)
{
    must(request->current == NULL && list_is_empty(&request->service->queue));
    struct worker *worker = choose_worker(request->service, request);
    struct attempt *attempt = worker == NULL ? NULL : take_attempt(self, request);
    if (attempt == NULL)
        return false;
    give(self, request, worker, attempt);
    return true;
}

// turn_over moves requests that no worker may take now from the head of the queue to its
// end, so that they do not stand in the way of those behind them.
static void
turn_over(struct service *service, size_t count)
{
    while (count-- > 0) {
        struct list_node *node = list_take(&service->queue);
        list_append(&service->queue, node);
    }
}

void
broker_dispatch(struct broker_core *self, struct service *service)
{
    size_t passed_over = 0;
    struct list_node *node = list_first(&service->queue);
    while (node != NULL && can_dispatch(self) && !list_is_empty(&service->ready) &&
           passed_over < LOOKS_MAX) {
        struct list_node *next = list_next(&service->queue, node);
        if (!place(self, list_object(node, struct request, in_queue)))
            passed_over++;
        node = next;
    }
    // What is left in front waits for another worker than those that are ready. Others
    // may be behind it; when all have been looked at, there is no work until something
    // changes.
    if (node != NULL && passed_over == LOOKS_MAX)
        turn_over(service, passed_over);
    service->looks_left -= passed_over < service->looks_left ? passed_over : service->looks_left;
    broker_service_settle(self, service);
    bool is_all_seen = node == NULL || service->looks_left == 0;
    if (is_all_seen && can_dispatch(self) && list_node_is_linked(&service->in_work))
        list_remove(&self->work, &service->in_work);
}

// ---- the way back -----------------------------------------------------------------------

void
broker_attempt_release(struct broker_core *self, struct attempt *attempt)
{
    struct worker *worker = attempt->worker;
    must(worker != NULL);
    list_remove(&worker->held, &attempt->in_worker);
    heap_remove(&self->limits, &attempt->limit);
    attempt->worker = NULL;
    worker->service->out--;
    self->stats.requests_out--;
    if (worker->route->worker == worker) {
        if (list_is_empty(&worker->held)) {
            self->stats.workers_idle++;
            self->stats.workers_busy--;
            broker_watch_worker(self, worker);
        }
        broker_worker_settle(self, worker);
    }
    if (attempt->request == NULL)
        broker_attempt_free(self, attempt);
    else
        list_append(&self->lost_attempts, &attempt->in_worker);
}

bool
broker_may_run_again(const struct request *request)
{
    const struct service *service = request->service;
    return request->attempts_made < service->attempts &&
           (!request->is_partly_answered || service->may_resume);
}

static const char *
why_given_up(const struct request *request, const struct worker *worker)
{
    if (worker->route->worker == worker) // it is not lost
        return "parts of its answer are missing";
    return request->attempts_made < request->service->attempts
               ? "a part of its answer was passed on"
               : "no attempt is left";
}

void
broker_attempt_return(struct broker_core *self, struct attempt *attempt, bool was_sent)
{
    struct request *request = attempt->request;
    const struct worker *worker = attempt->worker;
    struct service *service = worker->service;
    broker_attempt_release(self, attempt);
    if (request == NULL) {
        broker_service_settle(self, service);
        return;
    }
    must(request->current == attempt);
    request->current = NULL;
    if (!was_sent) {
        self->stats.redeliveries -= request->attempts_made > 1 ? 1 : 0;
        request->attempts_made--;
        self->stats.attempts--;
        forget_attempt(self, attempt);
        uint32_t place = slab_index(&self->requests, request);
        self->clear_at = place < self->clear_at ? place : self->clear_at;
    } else if (self->reign != REIGN_ON) {
        broker_reign_drop(self, request);
        return;
    }
    broker_drop_gathered(self, request);
    if (!was_sent || broker_may_run_again(request)) {
        broker_request_enqueue(self, request, true);
        return;
    }
    self->stats.requests_given_up++;
    broker_tell(self, request->client->address.routing_id,
                (struct broker_trace){.fact = BROKER_REQUEST_GIVEN_UP,
                                      .worker = worker->number,
                                      .service = service_name(service),
                                      .why = why_given_up(request, worker),
                                      .status = MDP_WORKER_LOST,
                                      .count = request->attempts_made});
    broker_request_refuse(self, request, MDP_WORKER_LOST, BROKER_DUMP_GIVEN_UP);
}

// ---- looking ahead -----------------------------------------------------------------------

static bool
is_answer(const struct mdp_record *record)
{
    return record->side == MDP_WORKER_SIDE && record->command == MDP_FINAL;
}

// answered is the request that an answer will end, as far as can be seen; NULL: none.
static const struct request *
answered(const struct broker_core *self, const struct mdp_record *record)
{
    if (!is_answer(record))
        return NULL;
    const struct attempt *attempt = slab_at(&self->attempts, bytes_get32(record->ticket.bytes));
    return attempt == NULL ? NULL : attempt->request;
}

// An answer leads from its attempt to the request, and on to the request's body and its
// place among the ids, none of them in the cache any more. One after the other they would
// be waited for three times; here each kind is asked for together.
void
broker_core_look_ahead(const struct broker_core *self, const struct mdp_record *records,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_answer(&records[i]))
            slab_fetch(&self->attempts, bytes_get32(records[i].ticket.bytes),
                       sizeof(struct attempt));
    for (size_t i = 0; i < count; i++) {
        const struct request *request = answered(self, &records[i]);
        if (request != NULL)
            fetch(request, sizeof *request);
    }
    for (size_t i = 0; i < count; i++) {
        const struct request *request = answered(self, &records[i]);
        if (request == NULL)
            continue;
        map_fetch(&self->ids, request->in_ids.hash);
        if (request->cargo != NULL)
            fetch(request->cargo, CACHE_LINE_BYTES);
    }
}
