// titanic_ask.c - what clients ask: submit, fetch, wait, close, and the operator's questions.

#include "titanic_state.h"

static struct ask *
ask_of_place(struct list_node *node)
{
    return list_object(node, struct ask, place);
}

// ---- answers -------------------------------------------------------------------

// status_for is how a service says it: 9/TSP knows 200, 300, 400 and 500 and no more, and its
// close never says that an id is unknown.
static enum tsp_status
status_for(enum tsp_service asked, enum tsp_status status)
{
    bool is_rfc = asked <= TSP_CLOSE || asked == TSP_WAIT;
    if (asked == TSP_CLOSE && status == TSP_UNKNOWN)
        return TSP_OK;
    if (!is_rfc || status <= TSP_UNKNOWN)
        return status;
    return TSP_ERROR;
}

static struct titanic_effect *
reply_to(struct titanic_core *self, void *asker, enum tsp_service asked, enum tsp_status status)
{
    struct titanic_effect *effect = titanic_effect(self, TITANIC_REPLY);
    effect->asker = asker;
    effect->asked = asked;
    effect->status = status_for(asked, status);
    effect->says = TITANIC_SAYS_NOTHING;
    effect->text = VIEW_NONE;
    effect->body = NULL;
    effect->found = NULL;
    effect->now_ms = self->now_ms;
    return effect;
}

static void
reply_text(struct titanic_core *self, void *asker, enum tsp_service asked, enum tsp_status status,
           struct view text)
{
    struct titanic_effect *effect = reply_to(self, asker, asked, status);
    // The answer of titanic.close is one frame, always.
    if (asked != TSP_CLOSE) {
        effect->says = TITANIC_SAYS_TEXT;
        effect->text = text;
    }
}

static void
ask_forget(struct titanic_core *self, struct ask *ask)
{
    heap_remove(&self->ask_timers, &ask->timer);
    if (ask->service != NULL) {
        ask->service->pins--;
        titanic_service_update(self, ask->service);
    }
    slab_give(&self->asks, ask);
}

static struct titanic_effect *
ask_reply(struct titanic_core *self, struct ask *ask, enum tsp_status status)
{
    return reply_to(self, ask->asker, ask->asked, status);
}

static void
ask_fail(struct titanic_core *self, struct ask *ask, enum tsp_status status, struct view text)
{
    reply_text(self, ask->asker, ask->asked, status, text);
}

// ---- ASK ---------------------------------------------------------------------------

static void
refuse(struct titanic_core *self, const struct titanic_event *event, enum tsp_status status,
       struct view text)
{
    self->stats.asks_refused++;
    reply_text(self, event->asker, event->request->service, status, text);
    self->bytes += event->body != NULL ? event->body_bytes : 0;
    titanic_dump(self, event->body, event->body_bytes);
}

// key_is_expired (reliability: D9). One that expires on its way to the store is LATE there.
static bool
key_is_expired(const struct titanic_core *self, struct view key)
{
    uint64_t now_ms = self->now_ms, retain_ms = self->config.retain_ms;
    return now_ms > retain_ms && request_key_is_before(key, now_ms - retain_ms);
}

static struct request_id
draw_id(struct titanic_core *self)
{
    struct request_id id;
    if (self->now_ms > self->last_id_ms)
        self->last_id_ms = self->now_ms;
    uint64_t low = prng_next(&self->ids), middle = prng_next(&self->ids);
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(self->last_id_ms >> (40 - 8 * i));
    id.bytes[6] = (uint8_t)(middle >> 8);
    id.bytes[7] = (uint8_t)middle;
    for (int i = 0; i < 8; i++)
        id.bytes[8 + i] = (uint8_t)(low >> (8 * i));
    return id;
}

static struct ask *
ask_new(struct titanic_core *self, const struct titanic_event *event)
{
    struct ask *ask = slab_take(&self->asks);
    *ask = (struct ask){.state = ASK_AT_STORE,
                        .asker = event->asker,
                        .asked = event->request->service,
                        .id = event->request->id,
                        .owner = event->owner};
    return ask;
}

static void
submit(struct titanic_core *self, const struct titanic_event *event)
{
    const struct tsp_request *request = event->request;
    if (self->is_full) {
        self->stats.refused_full++;
        refuse(self, event, TSP_ERROR, VIEW_LITERAL("the disk is full"));
        return;
    }
    if (key_is_expired(self, request->key)) {
        refuse(self, event, TSP_UNKNOWN, VIEW_LITERAL("key expired"));
        return;
    }
    if (event->body == NULL || self->bytes >= self->config.bytes_max ||
        event->body_bytes > self->config.bytes_max - self->bytes) {
        refuse(self, event, TSP_BUSY, VIEW_LITERAL("too many bytes on their way"));
        return;
    }
    struct service *service = titanic_service_get(self, request->target);
    if (service == NULL) {
        refuse(self, event, TSP_BUSY, VIEW_LITERAL("too many services"));
        return;
    }
    struct ask *ask = ask_new(self, event);
    ask->id = draw_id(self);
    ask->body = event->body;
    ask->body_bytes = event->body_bytes;
    ask->service = service;
    service->pins++;
    self->bytes += ask->body_bytes;
    struct durable_op *op = titanic_stow(self, DURABLE_SUBMIT, FOR_ASK, ask);
    op->id = ask->id;
    op->owner = event->owner;
    op->service = request->target;
    op->key = request->key;
    op->body = event->body;
    op->attempts_max = request->attempts != 0 ? request->attempts : self->config.attempts;
    op->due_ms = self->now_ms + request->not_before_ms;
    op->deadline_ms = request->deadline_ms != 0 ? self->now_ms + request->deadline_ms : 0;
}

static void
look_up(struct titanic_core *self, struct ask *ask)
{
    ask->state = ASK_AT_STORE;
    struct durable_op *op = titanic_stow(self, DURABLE_FETCH, FOR_ASK, ask);
    op->id = ask->id;
    op->owner = ask->owner;
}

static void
ask_by_filter(struct titanic_core *self, const struct titanic_event *event,
              enum durable_op_kind kind)
{
    struct durable_op *op = titanic_stow(self, kind, FOR_ASK, ask_new(self, event));
    op->filter = event->request->filter;
    op->reason = event->request->reason;
    op->owner = event->owner;
    // Behind all that was loaded: no cursor stands in the future.
    op->due_ms = self->now_ms + 1;
}

static void
ask_the_store(struct titanic_core *self, const struct titanic_event *event)
{
    struct ask *ask;
    switch (event->request->service) {
    case TSP_REQUEST:
    case TSP_SUBMIT:
        submit(self, event);
        return;
    case TSP_WAIT:
    case TSP_REPLY:
        ask = ask_new(self, event);
        ask->until_ms =
            event->request->service == TSP_WAIT ? self->now_ms + event->request->wait_ms : 0;
        look_up(self, ask);
        return;
    case TSP_CLOSE:
        ask = ask_new(self, event);
        struct durable_op *op = titanic_stow(self, DURABLE_CLOSE, FOR_ASK, ask);
        op->id = ask->id;
        op->owner = ask->owner;
        return;
    case TSP_LIST:
    case TSP_SHOW:
        ask_by_filter(self, event, DURABLE_LIST);
        return;
    case TSP_STATS:
        ask_by_filter(self, event, DURABLE_STATS);
        return;
    case TSP_RETRY:
        ask_by_filter(self, event, DURABLE_RETRY);
        return;
    case TSP_CANCEL:
        ask_by_filter(self, event, DURABLE_CANCEL);
        return;
    case TSP_PURGE:
        ask_by_filter(self, event, DURABLE_PURGE);
        return;
    case TSP_BACKUP:
        // Whoever has the store's files does it, where that is allowed, and asks nobody here.
        refuse(self, event, TSP_FORBIDDEN, VIEW_LITERAL("titanic has no --backup-dir"));
        return;
    case TSP_SERVICES:
        break;
    }
    must(false);
}

void
titanic_on_ask(struct titanic_core *self, const struct titanic_event *event)
{
    const struct tsp_request *request = event->request;
    if (event->status != TSP_OK) {
        self->stats.asks_malformed++;
        reply_text(self, event->asker, request->service, event->status, event->why);
        self->bytes += event->body != NULL ? event->body_bytes : 0;
        titanic_dump(self, event->body, event->body_bytes);
    } else if (self->is_draining) {
        refuse(self, event, TSP_ERROR, VIEW_LITERAL("stopping"));
    } else if (self->asks.used == self->config.asks_max) {
        refuse(self, event, TSP_BUSY, VIEW_LITERAL("too many questions at a time"));
    } else {
        ask_the_store(self, event);
    }
}

// ---- what came of it ---------------------------------------------------------------

// keep_or_leave makes a job of a request that was stored just now, where it is the next of its
// service and there is room; else it is left in the store, to be loaded in its turn. One that
// was delayed is always left: what the store has still to tell of may be due before it.
static void
keep_or_leave(struct titanic_core *self, struct ask *ask, const struct durable_op *op)
{
    struct service *service = ask->service;
    bool is_next = op->due_ms == op->now_ms && !service->has_more && !service->is_loading &&
                   (service->next_ms == 0 || service->next_ms > op->due_ms);
    bool has_room = service->jobs < titanic_jobs_free(self) &&
                    self->bytes < self->config.bytes_max / 2 && !self->is_draining;
    if (!is_next || !has_room) {
        titanic_dump(self, ask->body, ask->body_bytes);
        titanic_service_due(self, service, op->due_ms);
        return;
    }
    self->bytes -= ask->body_bytes; // the job counts them
    struct durable_row row = {.seq = op->seq,
                              .id = op->id,
                              .attempts_max = op->attempts_max,
                              .due_ms = op->due_ms,
                              .deadline_ms = op->deadline_ms,
                              .body = ask->body,
                              .body_bytes = ask->body_bytes};
    titanic_job_of(self, service, &row);
}

static void
submit_stowed(struct titanic_core *self, struct ask *ask, struct durable_op *op)
{
    if (op->outcome == DURABLE_OK || op->outcome == DURABLE_SAME) {
        self->stats.submits++;
        struct titanic_effect *effect = ask_reply(self, ask, TSP_OK);
        effect->says = TITANIC_SAYS_ID;
        effect->id = op->id;
    }
    if (op->outcome == DURABLE_OK) {
        if (op->deadline_ms != 0 &&
            (self->next_deadline_ms == 0 || op->deadline_ms < self->next_deadline_ms))
            self->next_deadline_ms = op->deadline_ms;
        keep_or_leave(self, ask, op);
        return;
    }
    if (op->outcome == DURABLE_SAME) {
        self->stats.submits_same++;
    } else if (op->outcome == DURABLE_CONFLICT) {
        self->stats.submits_conflict++;
        ask_fail(self, ask, TSP_CONFLICT, VIEW_LITERAL("key in use for another body"));
    } else if (op->outcome == DURABLE_LATE) {
        ask_fail(self, ask, TSP_UNKNOWN, VIEW_LITERAL("key expired"));
    } else {
        ask_fail(self, ask, TSP_ERROR, VIEW_LITERAL("not stored"));
    }
    titanic_dump(self, ask->body, ask->body_bytes);
}

static void
hold(struct titanic_core *self, struct ask *ask)
{
    ask->state = ASK_HELD;
    self->stats.waits++;
    list_append(&self->held, &ask->place);
    map_insert(&self->held_by_id, &ask->by_id, titanic_hash(self, &ask->id));
    heap_set(&self->ask_timers, &ask->timer, ask->until_ms);
}

static void
unhold(struct titanic_core *self, struct ask *ask)
{
    self->stats.waits--;
    list_remove(&self->held, &ask->place);
    map_remove(&self->held_by_id, &ask->by_id);
    heap_remove(&self->ask_timers, &ask->timer);
}

// fetched says what a FETCH found; false: the asker waits on.
static bool
fetched(struct titanic_core *self, struct ask *ask, struct durable_op *op)
{
    if (op->outcome == DURABLE_NONE || (op->outcome == DURABLE_OK && op->state == DURABLE_CLOSED)) {
        ask_fail(self, ask, TSP_UNKNOWN, VIEW_LITERAL("no such request"));
    } else if (op->outcome != DURABLE_OK) {
        self->stats.damaged += op->outcome == DURABLE_DAMAGED;
        ask_fail(self, ask, TSP_ERROR,
                 op->outcome == DURABLE_DAMAGED ? VIEW_LITERAL("damaged in the store")
                                                : VIEW_LITERAL("the store did not say"));
    } else if (op->state == DURABLE_DONE) {
        self->stats.replies_done++;
        struct titanic_effect *effect = ask_reply(self, ask, TSP_OK);
        effect->says = TITANIC_SAYS_BODY;
        effect->body = op->reply;
    } else if (op->state != DURABLE_PENDING) {
        ask_fail(self, ask, TSP_ERROR, op->text);
    } else if (ask->until_ms > self->now_ms && self->stats.waits < self->config.waits_max &&
               !self->is_draining) {
        hold(self, ask);
        return false;
    } else {
        ask_reply(self, ask, TSP_PENDING);
    }
    return true;
}

static void
closed(struct titanic_core *self, struct ask *ask, const struct durable_op *op)
{
    if (op->outcome != DURABLE_OK && op->outcome != DURABLE_NONE) {
        ask_fail(self, ask, TSP_ERROR, VIEW_LITERAL("not closed"));
        return;
    }
    self->stats.closes++;
    ask_reply(self, ask, TSP_OK);
    struct job *job = op->outcome == DURABLE_OK ? titanic_job_find(self, &op->id) : NULL;
    if (job != NULL)
        titanic_job_doom(self, job);
    titanic_wake(self, &op->id, NULL);
}

// changed: the store has changed many at once; what we have of them in memory follows.
static void
changed(struct titanic_core *self, const struct durable_op *op)
{
    for (size_t i = 0; op->found != NULL && i < op->found->count; i++) {
        const struct durable_row *row = &op->found->rows[i];
        if (op->kind == DURABLE_RETRY) {
            struct service *service = titanic_service_get(self, row->service);
            if (service != NULL)
                titanic_service_due(self, service, row->due_ms);
            else
                titanic_start_again(self);
            continue;
        }
        struct job *job = titanic_job_find(self, &row->id);
        if (job != NULL)
            titanic_job_doom(self, job);
        titanic_wake(self, &row->id, NULL);
    }
}

static void
answered_by_rows(struct titanic_core *self, struct ask *ask, struct durable_op *op)
{
    // Where the store says nothing any more, it is the statistics that say so.
    if (op->outcome != DURABLE_OK && op->kind != DURABLE_STATS) {
        ask_fail(self, ask, TSP_ERROR, VIEW_LITERAL("the store did not say"));
        return;
    }
    struct titanic_effect *effect = ask_reply(self, ask, TSP_OK);
    if (op->kind == DURABLE_LIST || op->kind == DURABLE_STATS) {
        effect->says = TITANIC_SAYS_TABLE;
        effect->found = op->found;
    } else {
        effect->says = TITANIC_SAYS_COUNT;
        effect->count = op->found == NULL ? 0 : op->found->count;
        changed(self, op);
    }
}

void
titanic_ask_stowed(struct titanic_core *self, struct ask *ask, struct durable_op *op)
{
    bool is_over = true;
    if (op->kind == DURABLE_SUBMIT)
        submit_stowed(self, ask, op);
    else if (op->kind == DURABLE_FETCH)
        is_over = fetched(self, ask, op);
    else if (op->kind == DURABLE_CLOSE)
        closed(self, ask, op);
    else
        answered_by_rows(self, ask, op);
    titanic_free_found(self, op);
    if (is_over)
        ask_forget(self, ask);
}

// ---- waits -------------------------------------------------------------------------

static struct ask *
held_of(const struct titanic_core *self, const struct request_id *id, uint64_t hash)
{
    for (struct map_node *node = map_first(&self->held_by_id, hash); node != NULL;
         node = map_next(node)) {
        struct ask *ask = list_object(node, struct ask, by_id);
        if (request_id_equals(&ask->id, id))
            return ask;
    }
    return NULL;
}

bool
titanic_wake(struct titanic_core *self, const struct request_id *id, struct durable_body *reply)
{
    bool is_given = false;
    uint64_t hash = titanic_hash(self, id);
    struct ask *ask;
    while ((ask = held_of(self, id, hash)) != NULL) {
        unhold(self, ask);
        if (reply != NULL && !is_given) {
            self->stats.replies_done++;
            struct titanic_effect *effect = ask_reply(self, ask, TSP_OK);
            effect->says = TITANIC_SAYS_BODY;
            effect->body = reply;
            is_given = true;
            ask_forget(self, ask);
        } else {
            ask->state = ASK_LOOKING;
            list_append(&self->looking, &ask->place);
        }
    }
    return is_given;
}

bool
titanic_ask_look(struct titanic_core *self)
{
    struct list_node *node = list_take(&self->looking);
    if (node != NULL) {
        look_up(self, ask_of_place(node));
        return true;
    }
    if (heap_first_key(&self->ask_timers) > self->now_ms)
        return false;
    struct ask *ask = list_object(heap_first(&self->ask_timers), struct ask, timer);
    unhold(self, ask);
    ask_reply(self, ask, TSP_PENDING);
    ask_forget(self, ask);
    return true;
}

void
titanic_asks_drain(struct titanic_core *self)
{
    // Their time is over: the next ticks say 300 to them.
    list_each (node, &self->held)
        heap_set(&self->ask_timers, &ask_of_place(node)->timer, 0);
}
