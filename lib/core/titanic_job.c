// titanic_job.c - a request on its way: ready, out with a worker, its end told to the store.

#include "titanic_state.h"

static struct job *
job_of_place(struct list_node *node)
{
    return list_object(node, struct job, place);
}

static uint64_t
token_of(const struct titanic_core *self, const struct job *job)
{
    return (uint64_t)job->serial << 32 | slab_index(&self->jobs, job);
}

static struct job *
job_at(const struct titanic_core *self, uint64_t token)
{
    struct job *job = slab_at(&self->jobs, (uint32_t)token);
    return job != NULL && job->serial == token >> 32 ? job : NULL;
}

uint32_t
titanic_jobs_free(const struct titanic_core *self)
{
    return self->jobs.capacity - self->jobs.used;
}

bool
titanic_jobs_may_come(const struct titanic_core *self)
{
    return self->jobs.used == 0 ||
           (titanic_jobs_free(self) > 0 && self->bytes < self->config.bytes_max);
}

struct job *
titanic_job_find(const struct titanic_core *self, const struct request_id *id)
{
    for (struct map_node *node = map_first(&self->jobs_by_id, titanic_hash(self, id)); node != NULL;
         node = map_next(node)) {
        struct job *job = list_object(node, struct job, by_id);
        if (request_id_equals(&job->id, id))
            return job;
    }
    return NULL;
}

static bool
is_behind_cursor(const struct service *service, const struct durable_row *row)
{
    return row->due_ms > service->cursor_due_ms ||
           (row->due_ms == service->cursor_due_ms && row->seq > service->cursor_seq);
}

struct job *
titanic_job_of(struct titanic_core *self, struct service *service, const struct durable_row *row)
{
    must(titanic_job_find(self, &row->id) == NULL);
    // Else those between would never be loaded.
    must(is_behind_cursor(service, row));
    struct job *job = slab_take(&self->jobs);
    must(job != NULL);
    *job = (struct job){.state = JOB_READY,
                        .service = service,
                        .serial = ++self->serial,
                        .seq = row->seq,
                        .id = row->id,
                        .life = row->life,
                        .attempts = row->attempts,
                        .attempts_max = row->attempts_max,
                        .due_ms = row->due_ms,
                        .deadline_ms = row->deadline_ms,
                        .body = row->body,
                        .body_bytes = row->body_bytes};
    self->bytes += job->body_bytes;
    map_insert(&self->jobs_by_id, &job->by_id, titanic_hash(self, &job->id));
    list_append(&service->ready, &job->place);
    self->stats.ready++;
    service->jobs++;
    service->cursor_due_ms = row->due_ms;
    service->cursor_seq = row->seq;
    titanic_service_update(self, service);
    return job;
}

static void
job_free(struct titanic_core *self, struct job *job)
{
    struct service *service = job->service;
    titanic_dump(self, job->body, job->body_bytes);
    titanic_dump(self, job->reply, job->reply_bytes);
    map_remove(&self->jobs_by_id, &job->by_id);
    slab_give(&self->jobs, job);
    service->jobs--;
    titanic_service_update(self, service);
    titanic_slot_is_free(self);
}

// job_leave takes it off the list that it is on.
static void
job_leave(struct titanic_core *self, struct job *job)
{
    if (job->state == JOB_READY) {
        list_remove(&job->service->ready, &job->place);
        self->stats.ready--;
    } else if (job->state == JOB_OUT) {
        list_remove(&self->out, &job->place);
        job->service->out--;
    } else if (job->state == JOB_STUCK) {
        list_remove(&self->stuck, &job->place);
    } else if (job->state == JOB_DOOMED) {
        list_remove(&self->doomed, &job->place);
    }
}

// ---- out and back ------------------------------------------------------------------------

static bool
is_overdue(const struct titanic_core *self, const struct job *job)
{
    return job->deadline_ms != 0 && job->deadline_ms < self->now_ms;
}

static void
expire(struct titanic_core *self, struct job *job)
{
    job->end_state = DURABLE_EXPIRED;
    titanic_job_end(self, job, DURABLE_KILL);
}

void
titanic_job_send(struct titanic_core *self, struct job *job)
{
    if (is_overdue(self, job)) {
        expire(self, job);
        return;
    }
    job_leave(self, job);
    job->state = JOB_OUT;
    job->service->out++;
    job->attempts++;
    list_append(&self->out, &job->place);
    self->stats.attempts++;
    struct titanic_effect *effect = titanic_effect(self, TITANIC_SEND);
    effect->token = token_of(self, job);
    effect->service = view_of(job->service->name, job->service->name_size);
    effect->id = job->id;
    effect->body = job->body;
    effect->timeout_ms = self->config.timeout_ms;
    // A deadline says when the last attempt may start, and one that waits at the broker has
    // not started. The broker's word that it is over comes when it is.
    effect->queue_ms = job->deadline_ms != 0 ? job->deadline_ms - self->now_ms + 1 : UINT64_MAX;
}

// The reason is kept as it was said, as far as there is room; a character is not cut in two.
static void
set_reason(struct job *job, struct view text)
{
    size_t size = text.size;
    if (size > DURABLE_REASON_BYTES_MAX) {
        size = DURABLE_REASON_BYTES_MAX;
        while (size > 0 && (text.data[size] & 0xc0) == 0x80)
            size--;
    }
    if (size > 0)
        memcpy(job->reason, text.data, size);
    job->reason_size = (uint32_t)size;
}

void
titanic_job_end(struct titanic_core *self, struct job *job, enum durable_op_kind end)
{
    if (job->state != JOB_ENDING)
        job_leave(self, job);
    job->state = JOB_ENDING;
    job->end = end;
    struct durable_op *op = titanic_stow(self, end, FOR_JOB, job);
    op->seq = job->seq;
    op->id = job->id;
    op->life = job->life;
    op->attempts = job->attempts;
    op->service = view_of(job->service->name, job->service->name_size);
    op->body = job->reply;
    // It may be told late, when the store had no room before: behind all that was loaded since.
    op->due_ms = job->retry_ms > self->now_ms ? job->retry_ms : self->now_ms + 1;
    op->state = job->end_state;
    op->reason = job->end == DURABLE_KILL && job->reason_size == 0
                     ? VIEW_LITERAL("expired")
                     : view_of(job->reason, job->reason_size);
}

// The pause doubles with each attempt; where in its second half it ends is drawn, so that
// what failed together does not come back together.
static uint64_t
pause_after(struct titanic_core *self, uint32_t attempts)
{
    uint64_t pause_ms = self->config.retry_max_ms;
    uint32_t doublings = attempts - 1;
    if (doublings < 32 && self->config.retry_min_ms << doublings < pause_ms)
        pause_ms = self->config.retry_min_ms << doublings;
    return pause_ms - prng_below(&self->jitter, pause_ms / 2 + 1);
}

static void
attempt_failed(struct titanic_core *self, struct job *job, struct view text)
{
    self->stats.attempts_failed++;
    set_reason(job, text.size > 0 ? text : VIEW_LITERAL("failed"));
    job->retry_ms = self->now_ms + pause_after(self, job->attempts);
    if (job->attempts >= job->attempts_max) {
        job->end_state = DURABLE_DEAD;
        titanic_job_end(self, job, DURABLE_KILL);
    } else if (job->deadline_ms != 0 && job->retry_ms > job->deadline_ms) {
        expire(self, job);
    } else {
        titanic_job_end(self, job, DURABLE_FAILED);
    }
}

// give_way lets go of what a service has in memory and cannot use now, where nobody has room any
// more: those with workers need it. It is pending in the store, and loaded again from the start.
static void
give_way(struct titanic_core *self, struct service *service)
{
    // What is being loaded would be taken for what comes first.
    if (titanic_jobs_may_come(self) || service->jobs != service->ready.size || service->is_loading)
        return;
    while (!list_is_empty(&service->ready))
        titanic_job_doom(self, job_of_place(list_first(&service->ready)));
    service->cursor_due_ms = service->cursor_seq = 0;
    service->has_more = true;
    titanic_service_update(self, service);
}

// not_tried: nothing ran, so it was no attempt. The service is without workers, or full.
static void
not_tried(struct titanic_core *self, struct job *job)
{
    struct service *service = job->service;
    self->stats.attempts_void++;
    job_leave(self, job);
    job->state = JOB_READY;
    job->attempts--;
    list_prepend(&service->ready, &job->place);
    self->stats.ready++;
    service->is_open = false;
    // Those that went out together come back together, and say no more than the first.
    if (service->pause_until_ms <= self->now_ms) {
        service->pauses += service->pauses < 16;
        uint64_t pause_ms = pause_after(self, service->pauses);
        service->pause_until_ms =
            self->now_ms + (pause_ms < TITANIC_PROBE_MS_MAX ? pause_ms : TITANIC_PROBE_MS_MAX);
    }
    if (self->is_draining)
        titanic_job_doom(self, job);
    else if (is_overdue(self, job))
        expire(self, job);
    else
        titanic_service_update(self, service);
}

void
titanic_on_answer(struct titanic_core *self, const struct titanic_event *event)
{
    struct job *job = job_at(self, event->token);
    self->bytes += event->reply != NULL ? event->reply_bytes : 0;
    if (job == NULL || job->state != JOB_OUT) {
        self->stats.answers_late++;
        titanic_dump(self, event->reply, event->reply_bytes);
        return;
    }
    struct service *service = job->service;
    if (event->ending == TITANIC_NOT_TRIED) {
        titanic_dump(self, event->reply, event->reply_bytes);
        not_tried(self, job);
        give_way(self, service);
        titanic_slot_is_free(self);
        return;
    }
    if (event->ending == TITANIC_ENDED) {
        service->is_open = true;
        service->pauses = 0;
    }
    if (event->ending == TITANIC_ENDED && event->ended_with == TSP_OK && event->reply != NULL) {
        self->stats.answers++;
        job->reply = event->reply;
        job->reply_bytes = event->reply_bytes;
        titanic_job_end(self, job, DURABLE_ANSWER);
    } else {
        titanic_dump(self, event->reply, event->reply_bytes);
        attempt_failed(self, job, event->text);
    }
    titanic_service_update(self, service);
    titanic_slot_is_free(self);
}

// ---- what came of its end -----------------------------------------------------------------

static void
job_is_over(struct titanic_core *self, struct job *job, const struct durable_op *op)
{
    if (op->kind == DURABLE_FAILED) {
        titanic_service_due(self, job->service, op->due_ms);
        return;
    }
    if (op->kind == DURABLE_KILL)
        *(op->state == DURABLE_DEAD ? &self->stats.given_up : &self->stats.overdue) += 1;
    if (titanic_wake(self, &job->id, job->reply)) {
        self->bytes -= job->reply_bytes;
        job->reply = NULL;
    }
}

void
titanic_job_stowed(struct titanic_core *self, struct job *job, struct durable_op *op)
{
    if (op->outcome == DURABLE_REFUSED && !job->is_unwanted) {
        // The store had no room. What is known is kept, and told again.
        job->state = JOB_STUCK;
        list_append(&self->stuck, &job->place);
        self->stuck_until_ms = self->now_ms + TITANIC_STUCK_MS;
        return;
    }
    if (op->outcome == DURABLE_OK)
        job_is_over(self, job, op);
    else
        self->stats.answers_late++; // closed, cancelled or expired in the meantime, or retried
    job_free(self, job);
}

bool
titanic_job_unstick(struct titanic_core *self)
{
    if (list_is_empty(&self->stuck) || self->stuck_until_ms > self->now_ms)
        return false;
    struct job *job = job_of_place(list_first(&self->stuck));
    titanic_job_end(self, job, job->end);
    return true;
}

// ---- ended by somebody else ---------------------------------------------------------------

void
titanic_job_doom(struct titanic_core *self, struct job *job)
{
    // What the store is about to say of its end, it will say: that it came late. Should it have
    // no room, nobody wants that end any more, and a retry may load the request once more.
    job->is_unwanted = true;
    if (job->state == JOB_ENDING || job->state == JOB_DOOMED)
        return;
    job->was_out = job->state == JOB_OUT;
    job_leave(self, job);
    job->state = JOB_DOOMED;
    list_append(&self->doomed, &job->place);
    titanic_service_update(self, job->service);
}

bool
titanic_job_bury(struct titanic_core *self)
{
    struct list_node *node = list_first(&self->doomed);
    if (node == NULL)
        return false;
    struct job *job = job_of_place(node);
    if (job->was_out) {
        // What its worker says goes no further than the broker, or is dropped on arrival.
        self->stats.attempts_abandoned += !self->is_draining;
        titanic_effect(self, TITANIC_CANCEL)->token = token_of(self, job);
    }
    job_leave(self, job);
    job_free(self, job);
    return true;
}

// ---- deadlines ----------------------------------------------------------------------------

void
titanic_look_for_overdue(struct titanic_core *self)
{
    if (self->is_looking_for_overdue || self->next_deadline_ms == 0 ||
        self->next_deadline_ms >= self->now_ms || self->is_draining)
        return;
    self->is_looking_for_overdue = true;
    struct durable_op *op = titanic_stow(self, DURABLE_OVERDUE, FOR_START, NULL);
    op->after_due_ms = self->overdue_ms;
    op->after_seq = self->overdue_seq;
    op->limit = TITANIC_EFFECTS_MAX / 4;
}

// Those that a worker has may end as they will: a deadline says when the last attempt may
// start. Should it fail, titanic_job_send finds the deadline passed.
void
titanic_overdue_found(struct titanic_core *self, struct durable_op *op)
{
    self->is_looking_for_overdue = false;
    size_t count = op->outcome != DURABLE_OK || op->found == NULL ? 0 : op->found->count;
    for (size_t i = 0; i < count; i++) {
        const struct durable_row *row = &op->found->rows[i];
        self->overdue_ms = row->deadline_ms;
        self->overdue_seq = row->seq;
        struct job *job = titanic_job_find(self, &row->id);
        if (job != NULL && job->state == JOB_READY) {
            expire(self, job);
        } else if (job == NULL) {
            struct durable_op *kill = titanic_stow(self, DURABLE_KILL, FOR_START, NULL);
            kill->seq = row->seq;
            kill->id = row->id;
            kill->life = row->life;
            kill->attempts = row->attempts;
            kill->state = DURABLE_EXPIRED;
            kill->reason = VIEW_LITERAL("expired");
        }
    }
    if (op->outcome != DURABLE_OK)
        self->next_deadline_ms = self->now_ms + TITANIC_STUCK_MS;
    else
        self->next_deadline_ms = op->has_more ? self->now_ms - 1 : op->next_ms;
}
