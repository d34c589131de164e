// titanic_core.c - the way in: memory, events, the deadline.
//
// A step handles its event and then goes on with whatever can be done. What does not fit
// into one step is done in the next: the deadline says "now".

#include "titanic_state.h"

#include "region.h"

enum {
    IDS = 1, // what the seed is used for
    NAMES,
    JITTER,
    WORK_ROOM = 4, // effects that one piece of work may have
    STOWS_MORE = TITANIC_EFFECTS_MAX
};

static const uint64_t ms = 1000000;

uint64_t
titanic_hash(const struct titanic_core *self, const struct request_id *id)
{
    return siphash_map(&self->names_key, view_of(id->bytes, sizeof id->bytes));
}

struct titanic_effect *
titanic_effect(struct titanic_core *self, enum titanic_effect_kind kind)
{
    must(self->effects->count < TITANIC_EFFECTS_MAX);
    struct titanic_effect *effect = &self->effects->list[self->effects->count++];
    effect->kind = kind;
    return effect;
}

void
titanic_dump(struct titanic_core *self, struct durable_body *body, uint64_t bytes)
{
    if (body == NULL)
        return;
    must(self->bytes >= bytes);
    bool was_full = self->bytes >= self->config.bytes_max;
    self->bytes -= bytes;
    titanic_effect(self, TITANIC_DUMP)->body = body;
    if (was_full && self->bytes < self->config.bytes_max)
        titanic_slot_is_free(self);
}

struct durable_op *
titanic_stow(struct titanic_core *self, enum durable_op_kind kind, enum stow_for who, void *of)
{
    must(self->stows_begun - self->stows_told < self->stows_max);
    struct stow *stow = &self->stows[self->stows_begun++ & (self->stows_max - 1)];
    stow->who = who;
    stow->kind = kind;
    stow->of = of;
    struct durable_op *op = &titanic_effect(self, TITANIC_STOW)->op;
    *op = (struct durable_op){.kind = kind, .now_ms = self->now_ms};
    return op;
}

void
titanic_free_found(struct titanic_core *self, struct durable_op *op)
{
    if (op->found != NULL)
        titanic_effect(self, TITANIC_FREE)->found = op->found;
    op->found = NULL;
}

// ---- memory ---------------------------------------------------------------------

static uint32_t
jobs_max(const struct titanic_config *config)
{
    return 2 * config->inflight;
}

static uint64_t
power_of_two(uint64_t least)
{
    uint64_t power = 1;
    while (power < least)
        power *= 2;
    return power;
}

// Each ask, each job and each service has at most one operation at the store.
static uint64_t
stows_max(const struct titanic_config *config)
{
    return power_of_two((uint64_t)config->asks_max + jobs_max(config) + config->services_max +
                        STOWS_MORE);
}

// lay_out cuts all memory. With none it only counts, and writes into *self, which
// is a scratch copy then.
static size_t
lay_out(struct titanic_core *self, const struct titanic_config *config, void *memory)
{
    struct region region = {memory, 0};
    region_cut(&region, sizeof *self);
    void *services = region_cut(&region, slab_bytes(sizeof(struct service), config->services_max));
    void *by_name = region_cut(&region, map_bytes(config->services_max));
    void *timers = region_cut(&region, heap_bytes(config->services_max));
    void *jobs = region_cut(&region, slab_bytes(sizeof(struct job), jobs_max(config)));
    void *by_id = region_cut(&region, map_bytes(jobs_max(config)));
    void *asks = region_cut(&region, slab_bytes(sizeof(struct ask), config->asks_max));
    void *held = region_cut(&region, map_bytes(config->asks_max));
    void *ask_timers = region_cut(&region, heap_bytes(config->asks_max));
    self->stows = region_cut(&region, stows_max(config) * sizeof *self->stows);
    if (memory == NULL)
        return region.used;
    slab_init(&self->services, sizeof(struct service), config->services_max, services);
    map_init(&self->services_by_name, config->services_max, by_name);
    heap_init(&self->timers, config->services_max, timers);
    slab_init(&self->jobs, sizeof(struct job), jobs_max(config), jobs);
    map_init(&self->jobs_by_id, jobs_max(config), by_id);
    slab_init(&self->asks, sizeof(struct ask), config->asks_max, asks);
    map_init(&self->held_by_id, config->asks_max, held);
    heap_init(&self->ask_timers, config->asks_max, ask_timers);
    return region.used;
}

size_t
titanic_core_bytes(const struct titanic_config *config)
{
    struct titanic_core scratch = {0};
    return lay_out(&scratch, config, NULL);
}

struct titanic_core *
titanic_core_init(void *memory, const struct titanic_config *config, uint64_t now_ns)
{
    must(config->asks_max > 0 && config->services_max > 0 && config->inflight > 0 &&
         config->attempts > 0 && config->retry_min_ms > 0 && config->timeout_ms > 0 &&
         config->retry_min_ms <= UINT32_MAX && config->bytes_max > 0);
    struct titanic_core *self = memory;
    self->config = *config;
    lay_out(self, config, memory);
    self->stows_max = stows_max(config);
    self->started_ns = self->now_ns = now_ns;
    self->now_ms = self->last_id_ms = config->clock_ms;
    self->names_key = siphash_derive(config->seed, NAMES);
    prng_init(&self->ids, config->seed, IDS);
    prng_init(&self->jitter, config->seed, JITTER);
    list_init(&self->turns);
    list_init(&self->blocked);
    list_init(&self->out);
    list_init(&self->stuck);
    list_init(&self->doomed);
    list_init(&self->held);
    list_init(&self->looking);
    return self;
}

// ---- the start: what does the store hold? -----------------------------------------

static void
ask_for_services(struct titanic_core *self)
{
    if (self->is_started || self->is_draining || self->start_again_ms > self->now_ms)
        return;
    self->is_started = true;
    titanic_stow(self, DURABLE_STATS, FOR_START, NULL)->limit = UINT32_MAX;
}

void
titanic_start_again(struct titanic_core *self)
{
    self->is_started = false;
    self->knows_all = false;
    self->start_again_ms = self->now_ms + TITANIC_PROBE_MS_MAX;
}

static void
services_found(struct titanic_core *self, const struct durable_op *op)
{
    size_t count = op->outcome != DURABLE_OK || op->found == NULL ? 0 : op->found->service_count;
    bool has_all = op->outcome == DURABLE_OK;
    for (size_t i = 0; i < count; i++) {
        const struct durable_count *found = &op->found->services[i];
        if (found->service.size == 0 || found->pending == 0)
            continue;
        struct service *service = titanic_service_get(self, found->service);
        if (service != NULL)
            titanic_service_due(self, service, self->now_ms);
        has_all &= service != NULL;
    }
    // Those that find no place now find one when others have no work any more.
    self->knows_all = has_all;
    if (!has_all)
        titanic_start_again(self);
}

static void
start_stowed(struct titanic_core *self, struct durable_op *op)
{
    if (op->kind == DURABLE_STATS) {
        services_found(self, op);
        if (self->next_deadline_ms == 0)
            self->next_deadline_ms = 1;
    } else if (op->kind == DURABLE_OVERDUE) {
        titanic_overdue_found(self, op);
    } else if (op->outcome == DURABLE_OK) {
        // It may have been loaded while the store was asked to end it.
        struct job *job = titanic_job_find(self, &op->id);
        if (job != NULL)
            titanic_job_doom(self, job);
        self->stats.overdue++;
        titanic_wake(self, &op->id, NULL);
    } else if (op->outcome == DURABLE_REFUSED) {
        // The store had no room for an end: look through the deadlines again, later.
        self->overdue_ms = self->overdue_seq = 0;
        self->next_deadline_ms = self->now_ms + TITANIC_STUCK_MS;
    }
    titanic_free_found(self, op);
}

// ---- events -------------------------------------------------------------------------

static void
on_stowed(struct titanic_core *self, struct durable_op *op)
{
    must(self->stows_told < self->stows_begun);
    struct stow stow = self->stows[self->stows_told++ & (self->stows_max - 1)];
    must(stow.kind == op->kind);
    switch (stow.who) {
    case FOR_ASK:
        titanic_ask_stowed(self, stow.of, op);
        break;
    case FOR_JOB:
        titanic_job_stowed(self, stow.of, op);
        titanic_free_found(self, op);
        break;
    case FOR_SERVICE:
        titanic_service_stowed(self, stow.of, op);
        titanic_free_found(self, op);
        break;
    case FOR_START:
        start_stowed(self, op);
        break;
    }
}

// is_untaken: is it out, and in the broker's queue? The service has no worker, as the broker
// says: no drain has to wait for one.
static bool
is_untaken(const struct job *job)
{
    const struct service *service = job->service;
    return job->state == JOB_OUT && !service->is_open && !service->is_questioned;
}

static void
on_drain(struct titanic_core *self)
{
    if (self->is_draining)
        return;
    self->is_draining = true;
    self->drain_until_ns = self->now_ns + self->config.drain_ms * ms;
    titanic_asks_drain(self);
    for (uint32_t i = 0; i < self->jobs.touched; i++) {
        struct job *job = slab_at(&self->jobs, i);
        if (job != NULL && (job->state == JOB_READY || is_untaken(job)))
            titanic_job_doom(self, job);
    }
}

// give_up_on_slow lets go of what has not come to its end while we drained: it is pending in
// the store, and runs again after the next start.
static void
give_up_on_slow(struct titanic_core *self)
{
    while (!list_is_empty(&self->out))
        titanic_job_doom(self, list_object(list_first(&self->out), struct job, place));
    while (!list_is_empty(&self->stuck))
        titanic_job_doom(self, list_object(list_first(&self->stuck), struct job, place));
}

// go_on_draining: what has come meanwhile is told before the TICK that gives up the rest.
static void
go_on_draining(struct titanic_core *self, bool is_all_told)
{
    if (is_all_told && self->now_ns >= self->drain_until_ns)
        give_up_on_slow(self);
    if (self->jobs.used > 0 || self->asks.used > 0 || self->stows_told < self->stows_begun ||
        self->has_stopped)
        return;
    self->has_stopped = true;
    titanic_effect(self, TITANIC_STOPPED);
}

static bool
work(struct titanic_core *self)
{
    return titanic_job_bury(self) || titanic_ask_look(self) || titanic_service_timer(self) ||
           titanic_job_unstick(self) || titanic_serve_turn(self);
}

void
titanic_core_step(struct titanic_core *self, const struct titanic_event *event,
                  struct titanic_effects *effects)
{
    must(event->now_ns >= self->now_ns);
    self->effects = effects;
    effects->count = 0;
    self->now_ns = event->now_ns;
    self->now_ms = titanic_core_clock_ms(self, event->now_ns);
    switch (event->kind) {
    case TITANIC_ASK:
        titanic_on_ask(self, event);
        break;
    case TITANIC_STOWED:
        on_stowed(self, event->op);
        break;
    case TITANIC_ANSWER:
        titanic_on_answer(self, event);
        break;
    case TITANIC_KNOWN:
        titanic_on_known(self, event);
        break;
    case TITANIC_ACCEPTING:
        self->is_full = !event->is_true;
        break;
    case TITANIC_TICK:
        break;
    case TITANIC_DRAIN:
        on_drain(self);
        break;
    }
    ask_for_services(self);
    titanic_look_for_overdue(self);
    while (effects->count + WORK_ROOM <= TITANIC_EFFECTS_MAX - WORK_ROOM && work(self))
        continue;
    if (self->is_draining)
        go_on_draining(self, event->kind == TITANIC_TICK);
    self->effects = NULL;
}

// ---- what can be read -----------------------------------------------------------------

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
titanic_core_deadline(const struct titanic_core *self)
{
    bool has_work = !list_is_empty(&self->doomed) || !list_is_empty(&self->looking) ||
                    (!self->is_draining && !list_is_empty(&self->turns));
    if (has_work)
        return 0;
    uint64_t at_ms = earlier(heap_first_key(&self->timers), heap_first_key(&self->ask_timers));
    if (!list_is_empty(&self->stuck))
        at_ms = earlier(at_ms, self->stuck_until_ms);
    if (!self->is_draining && !self->is_started)
        at_ms = earlier(at_ms, self->start_again_ms);
    if (!self->is_draining && !self->is_looking_for_overdue && self->next_deadline_ms != 0)
        at_ms = earlier(at_ms, self->next_deadline_ms + 1);
    uint64_t at_ns = UINT64_MAX;
    if (at_ms != UINT64_MAX)
        at_ns = at_ms <= self->config.clock_ms
                    ? 0
                    : self->started_ns + (at_ms - self->config.clock_ms) * ms;
    // Behind its end there is nothing left to give up: the store's word is waited for.
    if (self->is_draining && !(list_is_empty(&self->out) && list_is_empty(&self->stuck)))
        at_ns = earlier(at_ns, self->drain_until_ns);
    return at_ns;
}

uint64_t
titanic_core_clock_ms(const struct titanic_core *self, uint64_t now_ns)
{
    return self->config.clock_ms + (now_ns - self->started_ns) / ms;
}

uint32_t
titanic_core_slots(const struct titanic_core *self)
{
    return self->jobs.capacity;
}

uint64_t
titanic_core_out(const struct titanic_core *self, struct view service)
{
    if (service.size == 0)
        return self->out.size;
    const struct service *found = titanic_service_find(self, service);
    return found == NULL ? 0 : found->out;
}

void
titanic_core_stats(const struct titanic_core *self, struct titanic_core_stats *stats_out)
{
    *stats_out = self->stats;
    stats_out->asks = self->asks.used;
    stats_out->out = self->out.size;
    stats_out->services = self->services.used;
    stats_out->stowing = self->stows_begun - self->stows_told;
}

void
titanic_core_audit(const struct titanic_core *self)
{
    uint64_t bytes = 0, ready = 0, out = 0, jobs = 0;
    for (uint32_t i = 0; i < self->jobs.touched; i++) {
        const struct job *job = slab_at(&self->jobs, i);
        if (job == NULL)
            continue;
        bytes +=
            (job->body != NULL ? job->body_bytes : 0) + (job->reply != NULL ? job->reply_bytes : 0);
        ready += job->state == JOB_READY;
        out += job->state == JOB_OUT;
        must(titanic_job_find(self, &job->id) == job);
    }
    for (uint32_t i = 0; i < self->asks.touched; i++) {
        const struct ask *ask = slab_at(&self->asks, i);
        if (ask != NULL && ask->body != NULL)
            bytes += ask->body_bytes;
    }
    uint64_t service_out = 0;
    for (uint32_t i = 0; i < self->services.touched; i++) {
        const struct service *service = slab_at(&self->services, i);
        if (service == NULL)
            continue;
        jobs += service->jobs;
        service_out += service->out;
        must(titanic_service_find(self, view_of(service->name, service->name_size)) == service);
    }
    must(bytes == self->bytes);
    must(ready == self->stats.ready);
    must(out == self->out.size && out == service_out);
    must(jobs == self->jobs.used);
    must(self->out.size <= self->config.inflight);
    must(self->stats.waits == self->held.size && self->held.size == self->held_by_id.size);
}
