// client_core.c - the way in: memory, events, the deadline.
//
// A step handles its event and then goes on with whatever can be done: the
// connection, its dialect, calls that wait. What does not fit into one step is
// done in the next: the deadline says "now".

#include "client_state.h"

#include "region.h"

enum { TIMEOUT_ROOM = 8 }; // effects that the end of an attempt may have

static const uint64_t ms = 1000000;
static const uint64_t back_off_ns_max = 2000 * 1000000ull;

struct client_effect *
client_add_effect(struct client_core *self, enum client_effect_kind kind)
{
    must(self->effects->count < CLIENT_EFFECTS_MAX);
    struct client_effect *effect = &self->effects->list[self->effects->count++];
    effect->kind = kind;
    return effect;
}

void
client_connection(struct client_core *self, enum client_effect_kind kind, uint32_t endpoint)
{
    client_add_effect(self, kind)->endpoint = endpoint;
}

void
client_send(struct client_core *self, uint32_t endpoint, uint64_t token,
            const struct mdp_record *record)
{
    struct client_effect *effect = client_add_effect(self, CLIENT_SEND);
    effect->endpoint = endpoint;
    effect->token = token;
    effect->has_delimiter = record->dialect == MDP_01;
    effect->record = *record;
    effect->cargo = NULL;
}

void
client_dump(struct client_core *self, void *cargo)
{
    if (cargo != NULL)
        client_add_effect(self, CLIENT_DUMP)->cargo = cargo;
}

// ---- memory ---------------------------------------------------------------------

// lay_out cuts all memory. With none it only counts, and writes into *self, which
// is a scratch copy then.
static size_t
lay_out(struct client_core *self, const struct client_config *config, void *memory)
{
    struct region region = {memory, 0};
    region_cut(&region, sizeof *self);
    self->endpoints = region_cut(&region, config->endpoint_count * sizeof *self->endpoints);
    slab_init(&self->calls, sizeof(struct call), config->window,
              region_cut(&region, slab_bytes(sizeof(struct call), config->window)));
    map_init(&self->by_id, config->window, region_cut(&region, map_bytes(config->window)));
    return region.used;
}

size_t
client_core_bytes(const struct client_config *config)
{
    struct client_core scratch = {0};
    return lay_out(&scratch, config, NULL);
}

struct client_core *
client_core_init(void *memory, const struct client_config *config, uint64_t now_ns)
{
    must(config->endpoint_count > 0 && config->endpoint_count <= CLIENT_ENDPOINTS_MAX);
    must(config->window > 0 && config->attempts > 0);
    must(config->timeout_ms > 0 && config->deadline_ms > 0);
    struct client_core *self = memory;
    lay_out(self, config, memory);
    self->config = *config;
    self->timeout_ns = config->timeout_ms * ms;
    self->lifetime_ns = config->deadline_ms * ms;
    self->now_ns = now_ns;
    retry_init(&self->retry, (uint32_t)config->endpoint_count, back_off_ns_max, config->seed);
    list_init(&self->open);
    list_init(&self->waiting);
    for (size_t i = 0; i < config->endpoint_count; i++) {
        self->endpoints[i] = (struct endpoint){
            .name = config->endpoints[i], .index = (uint32_t)i, .known = config->dialect};
        list_init(&self->endpoints[i].sent);
    }
    self->current = &self->endpoints[0];
    return self;
}

// ---- time -----------------------------------------------------------------------

static struct call *
first_of(const struct list *list)
{
    struct list_node *node = list_first(list);
    return node == NULL ? NULL : list_object(node, struct call, place);
}

static struct call *
oldest_of(const struct client_core *self)
{
    struct list_node *node = list_first(&self->open);
    return node == NULL ? NULL : list_object(node, struct call, age);
}

// on_tick ends what is over: one call, and as many attempts as there is room for.
static void
on_tick(struct client_core *self)
{
    for (size_t i = 0; i < self->config.endpoint_count; i++) {
        struct endpoint *endpoint = &self->endpoints[i];
        struct call *call;
        while ((call = first_of(&endpoint->sent)) != NULL && call->due_ns <= self->now_ns) {
            if (self->has_answered || !client_has_room(self, TIMEOUT_ROOM))
                return;
            uint64_t since_ns = call->due_ns - self->timeout_ns;
            self->stats.timeouts++;
            client_call_retry(self, call);
            client_endpoint_missed(self, endpoint, since_ns);
        }
    }
    struct call *oldest = oldest_of(self);
    if (oldest != NULL && oldest->deadline_ns <= self->now_ns && !self->has_answered &&
        client_has_room(self, TIMEOUT_ROOM))
        client_call_expire(self, oldest);
}

uint64_t
client_core_deadline(const struct client_core *self)
{
    uint64_t deadline_ns = client_endpoint_deadline(self);
    const struct call *oldest = oldest_of(self);
    if (oldest != NULL && oldest->deadline_ns < deadline_ns)
        deadline_ns = oldest->deadline_ns;
    for (size_t i = 0; i < self->config.endpoint_count; i++) {
        const struct call *first = first_of(&self->endpoints[i].sent);
        if (first != NULL && first->due_ns < deadline_ns)
            deadline_ns = first->due_ns;
    }
    return deadline_ns;
}

// ---- the step -------------------------------------------------------------------

static struct endpoint *
endpoint_of(struct client_core *self, const struct client_event *event)
{
    must(event->endpoint < self->config.endpoint_count);
    return &self->endpoints[event->endpoint];
}

void
client_core_step(struct client_core *self, const struct client_event *event,
                 struct client_effects *effects)
{
    must(event->now_ns >= self->now_ns);
    self->now_ns = event->now_ns;
    self->effects = effects;
    self->has_answered = false;
    effects->count = 0;

    switch (event->kind) {
    case CLIENT_CALL:
        client_call_begin(self, event);
        break;
    case CLIENT_CANCEL:
        client_call_cancel(self, event->id);
        break;
    case CLIENT_UP:
        client_endpoint_on_up(self, endpoint_of(self, event));
        break;
    case CLIENT_DOWN:
        client_endpoint_on_down(self, endpoint_of(self, event));
        break;
    case CLIENT_RECORD:
        client_call_on_record(self, event);
        break;
    case CLIENT_UNSENT:
        client_call_on_unsent(self, event);
        return; // the socket is full: more would be refused too
    case CLIENT_TICK:
        on_tick(self);
        break;
    }
    client_endpoint_steer(self);
    self->effects = NULL;
}

// ---- what can be read -------------------------------------------------------------

bool
client_core_has_room(const struct client_core *self)
{
    return self->calls.used < self->config.window;
}

bool
client_core_is_open(const struct client_core *self, uint64_t id)
{
    return client_call_of(self, id) != NULL;
}

size_t
client_core_open_count(const struct client_core *self)
{
    return self->open.size;
}

size_t
client_core_waiting_count(const struct client_core *self)
{
    return self->waiting.size;
}

mdp_dialect_t
client_core_dialect(const struct client_core *self)
{
    return self->current->known;
}

uint64_t
client_core_last_id(const struct client_core *self)
{
    return self->last_id;
}

uint64_t
client_core_oldest_id(const struct client_core *self)
{
    const struct call *oldest = oldest_of(self);
    return oldest == NULL ? 0 : oldest->id;
}

const struct client_stats *
client_core_stats(const struct client_core *self)
{
    return &self->stats;
}

static void
audit_sent(const struct endpoint *endpoint)
{
    uint64_t due_ns = 0;
    size_t count = 0;
    list_each (node, &endpoint->sent) {
        const struct call *call = list_object(node, struct call, place);
        must(call->is_sent);
        must(call->at == endpoint->index);
        must(call->serial == endpoint->serial);
        must(call->due_ns >= due_ns);
        due_ns = call->due_ns;
        count++;
    }
    must(count == endpoint->sent.size);
    must(count == 0 || endpoint->state == ENDPOINT_SERVING);
    must(count <= 1 || endpoint->dialect == MDP_G1);
}

void
client_core_audit(const struct client_core *self)
{
    size_t count = self->waiting.size;
    list_each (node, &self->waiting)
        must(!list_object(node, struct call, place)->is_sent);
    for (size_t i = 0; i < self->config.endpoint_count; i++) {
        const struct endpoint *endpoint = &self->endpoints[i];
        audit_sent(endpoint);
        count += endpoint->sent.size;
        must(endpoint == self->current || endpoint->state == ENDPOINT_CLOSED ||
             endpoint->state == ENDPOINT_SERVING);
    }
    uint64_t deadline_ns = 0;
    list_each (node, &self->open) {
        const struct call *call = list_object(node, struct call, age);
        must(client_call_of(self, call->id) == call);
        must(call->deadline_ns >= deadline_ns);
        deadline_ns = call->deadline_ns;
    }
    must(count == self->open.size);
    must(count == self->by_id.size);
    must(count == self->calls.used);
}
