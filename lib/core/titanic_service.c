// titanic_service.c - whose turn is it?
//
// Requests of one service must not hold up those of another, and what a service may have
// out must not be a number that somebody has to guess. So it is a dynamic threshold, as in
// the shared buffers of switches: a service may have as many requests out as there are
// slots left. One alone gets half of them, two a third each, and a newcomer finds one free.
//
// A service that is not known to have workers has one request out, which waits in the
// broker's queue: the probe. When it is answered, or the broker says that there are workers,
// the others follow.

#include "titanic_state.h"

enum { OFFERS_MAX = 64 }; // services that a slot is offered to at a time

static struct service *
service_of_place(struct list_node *node)
{
    return list_object(node, struct service, place);
}

static struct service *
service_of_timer(struct heap_node *node)
{
    return list_object(node, struct service, timer);
}

static struct view
name_of(const struct service *service)
{
    return view_of(service->name, service->name_size);
}

struct service *
titanic_service_find(const struct titanic_core *self, struct view name)
{
    uint64_t hash = siphash_map(&self->names_key, name);
    for (struct map_node *node = map_first(&self->services_by_name, hash); node != NULL;
         node = map_next(node)) {
        struct service *service = list_object(node, struct service, by_name);
        if (view_equals(name_of(service), name))
            return service;
    }
    return NULL;
}

struct service *
titanic_service_get(struct titanic_core *self, struct view name)
{
    struct service *service = titanic_service_find(self, name);
    if (service != NULL)
        return service;
    must(name.size <= SERVICE_NAME_BYTES_MAX);
    service = slab_take(&self->services);
    if (service == NULL)
        return NULL;
    // Where not all have a place, this one may have requests in the store that came before.
    *service = (struct service){.name_size = (uint8_t)name.size, .has_more = !self->knows_all};
    memcpy(service->name, name.data, name.size);
    list_init(&service->ready);
    list_node_init(&service->place);
    map_insert(&self->services_by_name, &service->by_name, siphash_map(&self->names_key, name));
    return service;
}

// ---- where it belongs ----------------------------------------------------------------

static uint32_t
slots_free(const struct titanic_core *self)
{
    return self->config.inflight - (uint32_t)self->out.size;
}

static uint32_t
out_max(const struct titanic_core *self, const struct service *service)
{
    return service->is_open ? slots_free(self) : slots_free(self) > 0;
}

static bool
has_work(const struct service *service)
{
    return !list_is_empty(&service->ready) || (service->has_more && !service->is_loading);
}

static bool
is_needed(const struct service *service)
{
    return service->jobs > 0 || service->pins > 0 || service->has_more || service->next_ms != 0;
}

// wants_question: it has more to do than its probe, and only the broker can say whether there
// is anybody to do it.
static bool
wants_question(const struct service *service)
{
    return !service->is_open && service->out > 0 && !service->is_questioned && has_work(service);
}

static void
put(struct titanic_core *self, struct service *service, enum service_place at)
{
    if (service->at == at)
        return;
    if (service->at != SERVICE_RESTS)
        list_remove(service->at == SERVICE_HAS_TURN ? &self->turns : &self->blocked,
                    &service->place);
    service->at = at;
    if (at != SERVICE_RESTS)
        list_append(at == SERVICE_HAS_TURN ? &self->turns : &self->blocked, &service->place);
}

static void
set_timer(struct titanic_core *self, struct service *service, bool is_paused)
{
    uint64_t at = UINT64_MAX;
    if (service->next_ms != 0)
        at = service->next_ms;
    if (is_paused && service->pause_until_ms < at)
        at = service->pause_until_ms;
    if (wants_question(service) && service->question_due_ms < at)
        at = service->question_due_ms;
    if (at == UINT64_MAX)
        heap_remove(&self->timers, &service->timer);
    else
        heap_set(&self->timers, &service->timer, at);
}

void
titanic_service_update(struct titanic_core *self, struct service *service)
{
    if (!is_needed(service)) {
        put(self, service, SERVICE_RESTS);
        heap_remove(&self->timers, &service->timer);
        map_remove(&self->services_by_name, &service->by_name);
        slab_give(&self->services, service);
        return;
    }
    bool is_paused = has_work(service) && service->pause_until_ms > self->now_ms;
    set_timer(self, service, is_paused);
    if (!has_work(service) || is_paused || (!service->is_open && service->out > 0))
        put(self, service, SERVICE_RESTS);
    else if (service->out >= out_max(self, service))
        put(self, service, SERVICE_IS_BLOCKED);
    else
        put(self, service, SERVICE_HAS_TURN);
}

void
titanic_slot_is_free(struct titanic_core *self)
{
    // One slot may be what a few of them waited for. The others come later: each answer
    // brings the next ones here, and those that still may not go stand at the end.
    size_t left = self->blocked.size < OFFERS_MAX ? self->blocked.size : OFFERS_MAX;
    for (int taken = 0; taken < 4 && left > 0; left--) {
        struct service *service = service_of_place(list_first(&self->blocked));
        size_t turns = self->turns.size;
        put(self, service, SERVICE_RESTS);
        titanic_service_update(self, service);
        taken += self->turns.size > turns;
    }
}

void
titanic_service_due(struct titanic_core *self, struct service *service, uint64_t due_ms)
{
    if (due_ms <= self->now_ms)
        service->has_more = true;
    else if (service->next_ms == 0 || due_ms < service->next_ms)
        service->next_ms = due_ms;
    titanic_service_update(self, service);
}

// ---- what it does in its turn ------------------------------------------------------------

static void
question(struct titanic_core *self, struct service *service)
{
    service->is_questioned = true;
    service->pins++;
    titanic_effect(self, TITANIC_QUESTION)->service = name_of(service);
}

static void
load(struct titanic_core *self, struct service *service)
{
    uint32_t limit = out_max(self, service) - service->out;
    if (limit > titanic_jobs_free(self))
        limit = titanic_jobs_free(self);
    if (limit > TITANIC_LOAD_ROWS)
        limit = TITANIC_LOAD_ROWS;
    self->stats.loads++;
    service->is_loading = true;
    service->pins++;
    struct durable_op *op = titanic_stow(self, DURABLE_LOAD, FOR_SERVICE, service);
    op->service = name_of(service);
    op->after_due_ms = service->cursor_due_ms;
    op->after_seq = service->cursor_seq;
    op->limit = limit;
    op->bytes_max = TITANIC_LOAD_BYTES;
    // What arrives from here on is behind what this will find.
    service->has_more = false;
}

bool
titanic_serve_turn(struct titanic_core *self)
{
    struct list_node *node = list_first(&self->turns);
    if (node == NULL || self->is_draining)
        return false;
    struct service *service = service_of_place(node);
    put(self, service, SERVICE_RESTS);
    struct list_node *first = list_first(&service->ready);
    bool can_load = first == NULL && titanic_jobs_may_come(self);
    if (service->out >= out_max(self, service) || (first == NULL && !can_load)) {
        // Others have taken the slots since, or no memory is left.
        put(self, service, SERVICE_IS_BLOCKED);
        return true;
    }
    if (!service->is_open && !service->is_questioned && service->question_due_ms <= self->now_ms)
        question(self, service);
    if (first == NULL)
        load(self, service);
    else
        titanic_job_send(self, list_object(first, struct job, place));
    titanic_service_update(self, service);
    return true;
}

static void
rest(struct titanic_core *self, struct service *service, const struct durable_op *op)
{
    self->stats.damaged += op->outcome == DURABLE_DAMAGED;
    service->has_more = true;
    service->pause_until_ms = self->now_ms + TITANIC_STUCK_MS;
}

// end_damaged gives up a request whose body is not what was stored: it would hold up all behind
// it for ever. It is the service's operation, as the load was.
static void
end_damaged(struct titanic_core *self, struct service *service, const struct durable_row *row)
{
    self->stats.damaged++;
    service->is_loading = true;
    service->pins++;
    struct durable_op *op = titanic_stow(self, DURABLE_KILL, FOR_SERVICE, service);
    op->seq = row->seq;
    op->id = row->id;
    op->life = row->life;
    op->attempts = row->attempts;
    op->state = DURABLE_DEAD;
    op->reason = VIEW_LITERAL("damaged in the store");
}

static void
damaged_ended(struct titanic_core *self, struct service *service, const struct durable_op *op)
{
    service->is_loading = false;
    service->pins--;
    if (op->outcome == DURABLE_OK) {
        self->stats.given_up++;
        titanic_wake(self, &op->id, NULL);
    } else if (op->outcome == DURABLE_REFUSED) {
        rest(self, service, op);
    }
    titanic_service_update(self, service);
}

// take_rows makes jobs of what was loaded, as far as that goes: it is for a later load where
// there is no room, and where something has to be told to or by the store first. One that was
// cancelled and retried may be here still, its former end on its way there.
static void
take_rows(struct titanic_core *self, struct service *service, struct durable_rows *found)
{
    for (size_t i = 0; found != NULL && i < found->count; i++) {
        struct durable_row *row = &found->rows[i];
        if (!titanic_jobs_may_come(self) || self->is_draining ||
            titanic_job_find(self, &row->id) != NULL) {
            service->has_more = true;
            return;
        }
        if (row->body == NULL) {
            service->has_more = true;
            end_damaged(self, service, row);
            return;
        }
        titanic_job_of(self, service, row);
        row->body = NULL;
    }
}

void
titanic_service_stowed(struct titanic_core *self, struct service *service, struct durable_op *op)
{
    if (op->kind == DURABLE_KILL) {
        damaged_ended(self, service, op);
        return;
    }
    service->is_loading = false;
    service->pins--;
    bool is_empty = op->found == NULL || op->found->count == 0;
    if (is_empty && op->outcome != DURABLE_OK) {
        rest(self, service, op);
    } else {
        service->has_more |= op->has_more;
        service->next_ms = op->next_ms;
        take_rows(self, service, op->found);
    }
    titanic_service_update(self, service);
    // What it had a slot for is gone from the store: the slot is somebody else's.
    if (is_empty)
        titanic_slot_is_free(self);
}

// ---- what the broker says of it --------------------------------------------------------

void
titanic_on_known(struct titanic_core *self, const struct titanic_event *event)
{
    struct service *service = titanic_service_find(self, event->service);
    if (service == NULL || !service->is_questioned)
        return;
    service->is_questioned = false;
    service->pins--;
    if (event->is_true) {
        service->is_open = true;
        service->pauses = 0;
        service->pause_until_ms = 0;
    } else {
        service->is_open = false;
        service->pauses += service->pauses < 16;
        uint64_t pause_ms = (uint64_t)1000 << service->pauses;
        service->question_due_ms =
            self->now_ms + (pause_ms < TITANIC_PROBE_MS_MAX ? pause_ms : TITANIC_PROBE_MS_MAX);
    }
    titanic_service_update(self, service);
}

bool
titanic_service_timer(struct titanic_core *self)
{
    if (heap_first_key(&self->timers) > self->now_ms)
        return false;
    struct service *service = service_of_timer(heap_first(&self->timers));
    if (service->next_ms != 0 && service->next_ms <= self->now_ms) {
        service->next_ms = 0;
        service->has_more = true;
    }
    if (wants_question(service) && service->question_due_ms <= self->now_ms && !self->is_draining)
        question(self, service);
    titanic_service_update(self, service);
    if (self->is_draining)
        heap_remove(&self->timers, &service->timer);
    return true;
}
