// worker_core.c - the way in: memory, events, the deadline.
//
// A step handles its event, sends what waited where that is due, and dumps what ended
// connections left, as far as the effects of one step reach: with more to do the
// deadline is "now".

#include "worker_state.h"

#include "region.h"
#include "text.h"

struct worker_effect *
worker_add_effect(struct worker_core *self, enum worker_effect_kind kind, uint32_t broker)
{
    must(self->effects->count < WORKER_EFFECTS_MAX);
    struct worker_effect *effect = &self->effects->list[self->effects->count++];
    // The record is large, and SEND alone has one: session_send sets it.
    memset(effect, 0, offsetof(struct worker_effect, record));
    effect->kind = kind;
    effect->broker = broker;
    return effect;
}

void
worker_dump(struct worker_core *self, void *cargo)
{
    if (cargo != NULL)
        worker_add_effect(self, WORKER_DUMP, 0)->cargo = cargo;
}

void
worker_tell(const struct session *session, enum worker_fact fact, const char *why, uint64_t count)
{
    const struct worker_core *core = session->core;
    if (core->tracer == NULL)
        return;
    struct worker_trace trace = {fact, session->number, why, count};
    core->tracer(core->tracer_context, &trace);
}

// ---- memory ----------------------------------------------------------------------------

static uint32_t
requests_of_broker(const struct worker_config *config)
{
    return 2 * config->credit + REQUESTS_SPARE;
}

// addresses_max: 0.1 and 0.2 brokers give one request over each connection, but an
// application may hold those of as many connections as it has credit.
static uint32_t
addresses_max(const struct worker_config *config)
{
    uint32_t held = config->dialect == MDP_G1 ? 0 : config->credit;
    return held + config->broker_count * ADDRESSES_OF_BROKER;
}

static void
cut_slab(struct region *region, struct slab *slab, size_t object_bytes, uint32_t capacity)
{
    void *memory = region_cut(region, slab_bytes(object_bytes, capacity));
    slab_init(slab, object_bytes, capacity, memory);
}

// lay_out cuts all memory. With none it only counts, and writes into *self, which is a
// scratch copy then. Returns where the service's name goes.
static uint8_t *
lay_out(struct worker_core *self, struct region *region, const struct worker_config *config)
{
    uint32_t brokers = config->broker_count;
    self->sessions = region_cut(region, brokers * sizeof *self->sessions);
    cut_slab(region, &self->requests, sizeof(struct request), brokers * requests_of_broker(config));
    cut_slab(region, &self->addresses, sizeof(struct address), addresses_max(config));
    cut_slab(region, &self->partials, sizeof(struct item), PARTIALS_MAX);
    return region_cut(region, config->service.size);
}

size_t
worker_core_bytes(const struct worker_config *config)
{
    struct worker_core scratch;
    struct region region = {0};
    (void)region_cut(&region, sizeof scratch);
    lay_out(&scratch, &region, config);
    return region.used;
}

// write_ready_fields writes what READY says of the link, where there is something to say.
static void
write_ready_fields(struct worker_core *self)
{
    struct text text;
    if (self->config.link_silence_ms == 0)
        return;
    text_init(&text, self->ready_fields, sizeof self->ready_fields);
    text_add(&text, VIEW_LITERAL("link-silence: "));
    text_add_number(&text, self->config.link_silence_ms);
    text_add_char(&text, '\n');
    self->ready_fields_size = text.size;
}

struct worker_core *
worker_core_init(void *memory, const struct worker_config *config, uint64_t now_ns)
{
    struct region region = {.memory = memory};
    struct worker_core *self = region_cut(&region, sizeof *self);
    must(((uintptr_t)memory & 63) == 0);
    must(config->broker_count > 0 && config->broker_count <= WORKER_BROKERS_MAX);
    must(config->heartbeat_ms > 0 && config->liveness > 0 && config->credit > 0);
    must(config->credit <= WORKER_CREDIT_MAX);
    must(config->reconnect_ms_min <= config->reconnect_ms_max);
    uint8_t *service = lay_out(self, &region, config);
    memcpy(service, config->service.data, config->service.size);
    self->config = *config;
    self->config.service = view_of(service, config->service.size);
    self->now_ns = now_ns;
    self->interval_ns = config->heartbeat_ms * NS_PER_MS;
    self->requests_of_broker = requests_of_broker(config);
    prng_init(&self->prng, config->seed, 1);
    list_init(&self->graveyard);
    write_ready_fields(self);
    for (uint32_t i = 0; i < config->broker_count; i++)
        session_init(&self->sessions[i], self, i);
    return self;
}

void
worker_core_trace(struct worker_core *self, worker_tracer_fn *tracer, void *context)
{
    self->tracer = tracer;
    self->tracer_context = context;
}

const struct worker_stats *
worker_core_stats(const struct worker_core *self)
{
    return &self->stats;
}

// ---- steps --------------------------------------------------------------------------------

static void
on_unsent(struct session *session, const struct worker_event *event)
{
    switch (event->command) {
    case MDP_PARTIAL:
    case MDP_FINAL:
        request_on_unsent(session, event);
        break;
    case MDP_REQUEST: // the question for the dialect
        if (session->state == ASKING)
            dialect_question_unsent(&session->question, session->core->now_ns);
        session->core->is_stale = true;
        break;
    case MDP_READY:
        session_input(session, ON_DOWN, event);
        break;
    default:
        break; // a heartbeat more or less
    }
}

static void
all_sessions(struct worker_core *self, enum session_input input, const struct worker_event *event)
{
    for (uint32_t i = 0; i < self->config.broker_count; i++)
        session_input(&self->sessions[i], input, event);
}

static void
on_event(struct worker_core *self, const struct worker_event *event)
{
    must(event->broker < self->config.broker_count);
    struct session *session = &self->sessions[event->broker];
    switch (event->kind) {
    case WORKER_UP:
        session_input(session, ON_UP, event);
        request_send_waiting(session);
        break;
    case WORKER_DOWN:
        session_input(session, ON_DOWN, event);
        break;
    case WORKER_UNOPENED:
        session_input(session, ON_UNOPENED, event);
        break;
    case WORKER_RECORD:
        session_on_record(session, event);
        break;
    case WORKER_TAKE:
        request_deliver(self);
        break;
    case WORKER_ANSWER:
        request_on_answer(self, event);
        break;
    case WORKER_SENT:
        request_on_sent(session, event->count);
        break;
    case WORKER_UNSENT:
        // Nothing is sent until all of a refused pack is back.
        on_unsent(session, event);
        break;
    case WORKER_TICK:
        for (uint32_t i = 0; i < self->config.broker_count; i++)
            session_on_tick(&self->sessions[i]);
        self->is_stale = true;
        break;
    case WORKER_DRAIN:
        self->is_draining = true;
        all_sessions(self, ON_QUIT, event);
        break;
    case WORKER_STOP:
        all_sessions(self, ON_STOP, event);
        break;
    }
}

static void
find_deadline(struct worker_core *self)
{
    self->is_stale = false;
    self->deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < self->config.broker_count; i++) {
        uint64_t deadline_ns = session_deadline(&self->sessions[i]);
        if (deadline_ns < self->deadline_ns)
            self->deadline_ns = deadline_ns;
    }
}

void
worker_core_step(struct worker_core *self, const struct worker_event *event,
                 struct worker_effects *effects)
{
    effects->count = 0;
    self->effects = effects;
    if (event->now_ns > self->now_ns) {
        // A caller who waits for us comes back for each heartbeat at least.
        if (event->now_ns - self->now_ns > self->interval_ns + self->interval_ns / 2)
            self->back_ns = event->now_ns;
        self->now_ns = event->now_ns;
    }
    on_event(self, event);
    request_sweep(self);
    if (self->lost_count > 0) {
        worker_add_effect(self, WORKER_LOST, event->broker)->count = self->lost_count;
        worker_tell(&self->sessions[event->broker], WORKER_LOST_ANSWERS, "", self->lost_count);
        self->lost_count = 0;
    }
    if (self->is_stale)
        find_deadline(self);
    self->effects = NULL;
}

uint64_t
worker_core_deadline(const struct worker_core *self)
{
    return list_is_empty(&self->graveyard) ? self->deadline_ns : 0;
}

uint32_t
worker_core_requests_max(const struct worker_core *self)
{
    return self->requests.capacity;
}

bool
worker_core_has_ready(const struct worker_core *self)
{
    return self->ready_count > 0 && self->held_count < self->config.credit;
}

size_t
worker_core_unsent_count(const struct worker_core *self)
{
    size_t count = 0;
    for (uint32_t i = 0; i < self->config.broker_count; i++) {
        const struct session *session = &self->sessions[i];
        if (session_is_live(session))
            count += session->out.size + session->waiting.size;
    }
    return count;
}

// ---- the audit ----------------------------------------------------------------------------

static uint32_t
audit_list(const struct session *session, const struct list *list)
{
    uint32_t requests = 0;
    list_each (node, list) {
        const struct item *item = list_object(node, struct item, in_list);
        const struct request *request = item->request;
        must(request->session == session);
        if (item != &request->item) {
            must(list == &session->waiting && item->command == MDP_PARTIAL);
            continue;
        }
        must(request->list == list);
        must((request->address == NULL) == (request->dialect == MDP_G1));
        must(request->partials_sent <= request->partials);
        requests++;
    }
    return requests;
}

void
worker_core_audit(const struct worker_core *self)
{
    uint32_t held = 0;
    uint32_t ready = 0;
    uint32_t requests = 0;
    for (uint32_t i = 0; i < self->config.broker_count; i++) {
        const struct session *session = &self->sessions[i];
        uint32_t own = audit_list(session, &session->ready) + audit_list(session, &session->held) +
                       audit_list(session, &session->out) + audit_list(session, &session->waiting);
        list_each (node, &self->graveyard) {
            const struct item *item = list_object(node, struct item, in_list);
            own += item == &item->request->item && item->request->session == session ? 1 : 0;
        }
        must(own == session->request_count);
        must(own <= self->requests_of_broker);
        must(session_is_live(session) || list_is_empty(&session->ready));
        requests += own;
        held += (uint32_t)session->held.size;
        ready += (uint32_t)session->ready.size;
    }
    must(requests == self->requests.used);
    must(held == self->held_count && held <= self->config.credit);
    must(ready == self->ready_count);
}
