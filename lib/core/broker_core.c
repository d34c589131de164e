// broker_core.c - the way in: memory, events, the deadline.
//
// A step notices a pause, frees what the step before left, handles its event, and
// then goes on with whatever is waiting for room: lost workers whose requests go
// back, services that have both a request and a worker, a drain. What does not fit
// into the effects of one step is done in the next: the deadline says "now".

#include "broker_state.h"

const char *
broker_dump_text(enum broker_dump dump)
{
    static const char *const texts[BROKER_DUMPS] = {
#define X(name, text) [name] = text,
        BROKER_DUMP_MAP(X)
#undef X
    };
    return texts[dump];
}

struct broker_effect *
broker_add_effect(struct broker_core *self, enum broker_effect_kind kind)
{
    must(self->effects->count < BROKER_EFFECTS_MAX);
    static const struct broker_effect blank; // copying it is quicker than clearing
    struct broker_effect *effect = &self->effects->list[self->effects->count++];
    if (kind == BROKER_SEND)
        *effect = blank;
    effect->kind = kind;
    return effect;
}

void
broker_dump(struct broker_core *self, void *cargo, enum broker_dump why)
{
    if (cargo == NULL)
        return;
    struct broker_effect *effect = broker_add_effect(self, BROKER_DUMP);
    effect->cargo = cargo;
    effect->dump = why;
    self->stats.dumps[why]++;
}

void
broker_tell(struct broker_core *self, struct view routing_id, struct broker_trace trace)
{
    if (self->tracer == NULL)
        return;
    if (routing_id.size > 0)
        trace.peer = (uint32_t)siphash(&self->peer_key, routing_id);
    self->tracer(self->tracer_context, &trace);
}

void
broker_tell_of_worker(struct broker_core *self, enum broker_fact fact, const struct worker *worker,
                      const char *why, uint64_t count)
{
    broker_tell(self, worker->route->address.routing_id,
                (struct broker_trace){.fact = fact,
                                      .worker = worker->number,
                                      .service = service_name(worker->service),
                                      .why = why,
                                      .count = count});
}

// ---- memory ---------------------------------------------------------------------

static uint32_t
double_of(uint32_t count)
{
    return count > UINT32_MAX / 2 ? UINT32_MAX : count * 2;
}

static void
cut_slab(struct region *region, struct slab *slab, size_t object_bytes, uint32_t capacity)
{
    void *memory = region_cut(region, slab_bytes(object_bytes, capacity));
    slab_init(slab, object_bytes, capacity, memory);
}

static void
cut_map(struct region *region, struct map *map, size_t size_max)
{
    map_init(map, size_max, region_cut(region, map_bytes(size_max)));
}

static void
cut_heap(struct region *region, struct heap *heap, size_t capacity)
{
    heap_init(heap, capacity, region_cut(region, heap_bytes(capacity)));
}

// lay_out cuts all memory. With none it only counts, and writes into *self, which
// is a scratch copy then.
static void
lay_out(struct broker_core *self, struct region *region, const struct broker_config *config)
{
    // As many requests may be out as may wait. Each has an attempt, and some have
    // lost ones whose tickets are still good.
    uint32_t requests = double_of(config->requests_max);
    uint32_t attempts = double_of(requests);
    size_t routes = (size_t)requests + config->workers_max + 1;
    uint32_t routes_large = routes < ROUTES_LARGE_MAX ? (uint32_t)routes : ROUTES_LARGE_MAX;
    uint32_t routes_small = routes > UINT32_MAX ? UINT32_MAX : (uint32_t)routes;

    cut_slab(region, &self->small_routes, sizeof(struct route) + ROUTE_BYTES_SMALL, routes_small);
    cut_slab(region, &self->large_routes, sizeof(struct route) + ROUTE_BYTES_LARGE, routes_large);
    cut_slab(region, &self->service_slab, sizeof(struct service), config->services_max);
    cut_slab(region, &self->workers, sizeof(struct worker), config->workers_max);
    cut_slab(region, &self->requests, sizeof(struct request), requests);
    cut_slab(region, &self->attempts, sizeof(struct attempt), attempts);
    cut_map(region, &self->routes, routes + routes_large);
    cut_map(region, &self->services, config->services_max);
    cut_map(region, &self->ids, requests);
    cut_heap(region, &self->timers, config->workers_max);
    cut_heap(region, &self->expiries, requests);
    cut_heap(region, &self->limits, attempts);
    self->answer = region_cut(region, ANSWER_BYTES);
    self->settings =
        region_cut(region, (config->service_count + 1) * sizeof(struct broker_service_config));
}

// copy_settings copies the settings of single services with their names.
static void
copy_settings(struct broker_core *self, struct region *region, const struct broker_config *config)
{
    for (size_t i = 0; i < config->service_count; i++) {
        struct view name = config->services[i].name;
        uint8_t *copy = region_cut(region, name.size);
        if (region->memory == NULL)
            continue;
        memcpy(copy, name.data, name.size);
        self->settings[i] = config->services[i];
        self->settings[i].name = view_of(copy, name.size);
    }
}

size_t
broker_core_bytes(const struct broker_config *config)
{
    struct broker_core scratch;
    struct region region = {0};
    (void)region_cut(&region, sizeof scratch);
    lay_out(&scratch, &region, config);
    copy_settings(&scratch, &region, config);
    return region.used;
}

struct broker_core *
broker_core_init(void *memory, const struct broker_config *config, uint64_t now_ns)
{
    struct region region = {.memory = memory};
    struct broker_core *self = region_cut(&region, sizeof *self);
    must(((uintptr_t)memory & 63) == 0);
    must(config->requests_max > 0 && config->workers_max > 0 && config->services_max > 0);
    must(config->heartbeat_ms > 0 && config->liveness > 0 && config->attempts > 0);
    lay_out(self, &region, config);
    copy_settings(self, &region, config);
    self->config = *config;
    self->config.services = self->settings;
    self->now_ns = now_ns;
    self->map_key = siphash_derive(config->seed, 1);
    self->ticket_key = siphash_derive(config->seed, 2);
    self->peer_key = siphash_derive(config->seed, 3);
    list_init(&self->service_list);
    list_init(&self->work);
    list_init(&self->lost);
    list_init(&self->lost_attempts);
    list_init(&self->route_graveyard);
    list_init(&self->service_graveyard);
    self->reign = config->is_paired ? REIGN_HOLD : REIGN_ON;
    return self;
}

void
broker_core_trace(struct broker_core *self, broker_tracer_fn *tracer, void *context)
{
    self->tracer = tracer;
    self->tracer_context = context;
}

uint32_t
broker_core_routes_max(const struct broker_core *self)
{
    uint32_t large = self->large_routes.capacity, small = self->small_routes.capacity;
    return double_of(large > small ? large : small);
}

uint64_t
broker_core_end_of_drain(const struct broker_core *self, uint64_t now_ns)
{
    bool is_waiting = self->drain != DRAIN_NONE && self->drain_until_ns > now_ns;
    return is_waiting ? self->drain_until_ns : now_ns;
}

const struct broker_stats *
broker_core_stats(const struct broker_core *self)
{
    return &self->stats;
}

// ---- steps --------------------------------------------------------------------------

// worker_at is the worker at this connection, NULL where it is none's. A worker has no
// stack, whatever stands in front of what is no header.
static struct worker *
worker_at(struct broker_core *self, const struct mdp_envelope *from)
{
    struct mdp_envelope bare = {.routing_id = from->routing_id, .socket = from->socket};
    struct route *route = broker_route_find(self, &bare);
    return route == NULL ? NULL : route->worker;
}

bool
broker_core_has_worker(struct broker_core *self, const struct mdp_envelope *from)
{
    return worker_at(self, from) != NULL;
}

// on_fault counts what a peer did wrong, whoever it is.
static void
on_fault(struct broker_core *self, const struct broker_event *event)
{
    enum mdp_fault fault = event->record->fault;
    self->stats.faults[fault]++;
    self->stats.peers_rejected++;
    const struct worker *worker = worker_at(self, event->from);
    if (worker != NULL)
        broker_tell_of_worker(self, BROKER_PEER_REJECTED, worker, mdp_fault_text(fault), 0);
    else
        broker_tell(
            self, event->from->routing_id,
            (struct broker_trace){.fact = BROKER_PEER_REJECTED, .why = mdp_fault_text(fault)});
}

static void
on_record(struct broker_core *self, const struct broker_event *event)
{
    const struct mdp_record *record = event->record;
    if (record->fault != MDP_SOUND)
        on_fault(self, event);
    switch (record->fault) {
    case MDP_BAD_HEADER:
    case MDP_BAD_VERSION:
    case MDP_NO_RECORD:
    case MDP_BAD_STACK: {
        // Nothing was read, so it is nobody's side; a worker may not do it often.
        struct worker *worker = worker_at(self, event->from);
        if (worker != NULL)
            broker_on_worker_fault(self, worker);
        broker_dump(self, event->cargo, BROKER_DUMP_INVALID);
        break;
    }
    default:
        if (record->side == MDP_CLIENT_SIDE)
            broker_on_client_record(self, event);
        else
            broker_on_worker_record(self, event);
    }
}

// slow_or_withheld is what counts a message that its peer is still there for.
static uint64_t *
slow_or_withheld(struct broker_core *self, const struct broker_event *event, uint64_t *slow)
{
    return event->is_withheld ? &self->stats.sends_withheld : slow;
}

// on_unsent takes back what the socket did not take.
static void
on_unsent(struct broker_core *self, const struct broker_event *event)
{
    broker_dump(self, event->cargo, BROKER_DUMP_UNSENT);
    if (event->side == MDP_WORKER_SIDE && event->command == MDP_REQUEST) {
        struct attempt *attempt = broker_attempt_at(self, event->token);
        if (attempt != NULL && attempt->worker != NULL) {
            attempt->worker->is_blocked = attempt->worker->is_blocked || !event->is_withheld;
            *slow_or_withheld(self, event, &self->stats.worker_slow) += event->is_gone ? 0 : 1;
            broker_attempt_return(self, attempt, false);
        }
    }
    uint64_t *client_slow = slow_or_withheld(self, event, &self->stats.client_slow);
    if (event->side == MDP_CLIENT_SIDE && event->command == MDP_FINAL)
        *(event->is_gone ? &self->stats.client_gone : client_slow) += 1;
    if (event->side == MDP_CLIENT_SIDE && event->command == MDP_PARTIAL) {
        struct request *request = slab_at(&self->requests, (uint32_t)(event->token >> 32));
        if (request != NULL && request->serial == (uint32_t)event->token)
            request->is_muted = true;
        *client_slow += event->is_gone ? 0 : 1;
    }
    if (!event->is_gone)
        return;
    struct route *route = broker_route_at(self, event->route_number, event->route_serial);
    if (route == NULL)
        return;
    route->is_gone = true;
    if (route->worker != NULL)
        broker_worker_lose_connection(self, route->worker);
}

// may_give: not while the other half of a pair serves, not before we know who has left, and not to
// workers that are parted with: what a drain gives at its end it would take back in the same step,
// and a worker would run it for nobody.
static bool
may_give(const struct broker_core *self)
{
    bool is_parting = self->drain >= DRAIN_WORKERS ||
                      (self->drain != DRAIN_NONE && self->now_ns >= self->drain_until_ns);
    return self->reign == REIGN_ON && !is_parting && !is_catching_up(self);
}

// progress goes on with what waits for room.
static void
progress(struct broker_core *self)
{
    if (self->reign != REIGN_ON)
        broker_reign_go_on(self);
    while (has_room(self) && !list_is_empty(&self->lost))
        broker_worker_wind_up(self,
                              list_object(list_first(&self->lost), struct worker, in_service));
    while (can_dispatch(self) && !list_is_empty(&self->work) && may_give(self))
        broker_dispatch(self, list_object(list_first(&self->work), struct service, in_work));
    if (self->drain != DRAIN_NONE)
        broker_drain_on(self);
}

static void
begin_drain(struct broker_core *self)
{
    self->drain = DRAIN_QUEUES;
    self->drain_until_ns = self->now_ns + (uint64_t)self->config.drain_ms * NS_PER_MS;
    struct list_node *first = list_first(&self->service_list);
    self->drain_at = first == NULL ? NULL : list_object(first, struct service, in_list);
    broker_tell(self, VIEW_NONE,
                (struct broker_trace){.fact = BROKER_DRAINING, .count = self->stats.requests_out});
}

void
broker_core_step(struct broker_core *self, const struct broker_event *event,
                 struct broker_effects *effects)
{
    effects->count = 0;
    self->effects = effects;
    if (event->now_ns > self->now_ns)
        broker_notice_pause(self, event->now_ns);
    broker_route_sweep(self);
    broker_service_sweep(self);

    switch (event->kind) {
    case BROKER_RECORD:
        on_record(self, event);
        progress(self);
        break;
    case BROKER_UNSENT:
        // Nothing is sent until all of a refused pack is back.
        on_unsent(self, event);
        break;
    case BROKER_TICK:
        broker_on_tick(self);
        progress(self);
        break;
    case BROKER_DRAIN:
        if (self->drain == DRAIN_NONE)
            begin_drain(self);
        progress(self);
        break;
    case BROKER_SERVE:
        broker_on_serve(self, event);
        progress(self);
        break;
    case BROKER_FINISH:
        broker_on_finish(self, event);
        progress(self);
        break;
    case BROKER_HOLD:
        broker_on_hold(self, event);
        progress(self);
        break;
    case BROKER_SAID:
        broker_on_said(self, event);
        break;
    }
    self->effects = NULL;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// from_awake turns a time on the awake clock into one on the real clock.
static uint64_t
from_awake(const struct broker_core *self, uint64_t at_ns)
{
    return at_ns == UINT64_MAX ? UINT64_MAX : at_ns + self->paused_ns;
}

uint64_t
broker_core_deadline(const struct broker_core *self)
{
    // While workers hold all attempts there is nothing to do before one of them speaks.
    bool has_work = !list_is_empty(&self->work) && has_attempt(self);
    if (!list_is_empty(&self->lost) || (has_work && !is_catching_up(self)))
        return 0;
    if (self->drain == DRAIN_QUEUES || self->drain == DRAIN_WORKERS)
        return 0;
    uint64_t deadline = earlier(heap_first_key(&self->timers), heap_first_key(&self->limits));
    deadline = earlier(from_awake(self, deadline), heap_first_key(&self->expiries));
    if (has_work)
        deadline = earlier(deadline, self->catching_up_until_ns);
    if (self->drain == DRAIN_OUT)
        deadline = earlier(deadline, self->drain_until_ns);
    if (self->reign != REIGN_ON)
        deadline = earlier(deadline, broker_reign_deadline(self));
    return deadline;
}
