// titanic_node.c - Titanic: what lib/shell/titanic*.c does around its core, without sockets.
//
// It is made of parts: in front a worker for each of its services, behind a client for requests
// and one for questions, beside it the store. They start and end together, as one process.

#include "check_durable.h"
#include "durable_digest.h"
#include "nodes.h"
#include "rows.h"
#include "sha256.h"
#include "titanic_store.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

enum {
    FRAMES_MAX = 300,
    FIELDS_MAX = TSP_FIELDS_BYTES_MAX + 64,
    RESTART_MS_MAX = 4000,
    DRAIN_GAP_S = 20
};

struct asking { // somebody who asks: an asker of the core's
    struct list_node in_list;
    struct worker_node *front;
    uint64_t token;
    struct parcel *parcel;
    struct tsp_request tsp;
    struct durable_owner owner;
    struct durable_body *body; // SUBMIT: the core's
};

struct answer { // of the back's, until the core is told
    struct list_node in_list;
    bool is_known; // to a question
    uint64_t call;
    enum titanic_ending ending;
    int status;
    struct durable_body *reply;
    bool is_true;
    uint8_t text[64];
    size_t text_size;
};

struct out {       // an attempt, by slot
    uint64_t call; // of the back's; 0: none
    uint64_t token;
    struct request_id id;
};

struct question {
    struct list_node in_list;
    uint64_t call;
    uint8_t name[256];
    size_t name_size;
};

struct titanic_node {
    struct node node;
    struct titanic_plan *plan;
    struct worker_node *fronts[FRONTS_MAX];
    struct client_node *back, *questions;
    struct titanic_store *store;
    void *memory;
    struct titanic_core *core;
    struct titanic_effects effects;
    struct list asked;   // that the core has not seen
    struct list open;    // that it has
    struct list answers; // that it is to be told
    struct list asked_about;
    struct out *out;
    uint32_t slots;
    uint32_t out_count;
    struct titanic_event *later;
    size_t later_count, later_capacity;
    struct durable_body **cargo; // that the core has
    size_t cargo_count, cargo_capacity;
    struct request_id ending; // the attempt that the core is told of: its end is to be stowed
    bool is_end_stowed;
    bool accepts;
    bool is_draining;
    bool is_stopped;
    uint64_t mended_at_ns; // the world's time: when an operator has mended the store; 0: it is well
};

static struct titanic_node *
self_of(struct node *node)
{
    return (struct titanic_node *)node;
}

// ---- cargo ------------------------------------------------------------------------------

// into_core and out_of_core: cargo_conserved (B5) for durable bodies.
static void
into_core(struct titanic_node *self, struct durable_body *body)
{
    if (body == NULL)
        return;
    if (self->cargo_count == self->cargo_capacity) {
        self->cargo_capacity = 2 * self->cargo_capacity + 64;
        self->cargo = world_grow(self->node.world, self->cargo,
                                 self->cargo_capacity * sizeof(struct durable_body *));
    }
    self->cargo[self->cargo_count++] = body;
}

static void
out_of_core(struct titanic_node *self, const struct durable_body *body)
{
    size_t at = self->cargo_count;
    while (at > 0 && self->cargo[at - 1] != body)
        at--;
    if (at == 0)
        check_fail(&self->node, "B5 cargo_conserved", "its core gives a body that it has not");
    self->cargo[at - 1] = self->cargo[--self->cargo_count];
}

static struct mdp_body
parts_of(const struct durable_body *body)
{
    size_t bytes = body->bytes - body->fields_bytes;
    return (struct mdp_body){.packed = view_of(body->data + body->fields_bytes, bytes),
                             .count = body->frames,
                             .bytes = bytes - 4 * (size_t)body->frames};
}

static size_t
frames_of(const struct mdp_body *body, struct view *frames, size_t count)
{
    size_t cursor = 0;
    while (count < FRAMES_MAX && mdp_body_next(body, &cursor, &frames[count]))
        count++;
    return count;
}

static struct durable_body *
body_of(struct view fields, const struct view *frames, size_t count)
{
    struct mdp_body body = mdp_body_of(frames, count);
    size_t packed = mdp_body_packed_bytes(&body);
    struct durable_body *self =
        body_new((uint32_t)count, (uint32_t)fields.size, fields.size + packed);
    uint32_t kept = (uint32_t)(fields.size == 0 ? 0 : tsp_fields_kept(self->data, fields));
    self->fields_bytes = kept;
    uint8_t *end = mdp_body_write_packed(self->data + kept, &body);
    self->bytes = (size_t)(end - self->data);
    return self;
}

static uint64_t
cost_of(const struct durable_body *body)
{
    return body == NULL ? 0 : sizeof *body + body->bytes;
}

static bool
runs_out_of_memory(const struct titanic_node *self)
{
    struct world *world = self->node.world;
    if (!has(world, FAULT_MEMORY) || roll(world, STREAM_MEMORY, 100) != 0)
        return false;
    mark(world, MARK_NO_MEMORY);
    return true;
}

// ---- in front ---------------------------------------------------------------------------

static void
take(struct worker_node *front, uint64_t token, struct parcel *request)
{
    struct titanic_node *self = front->context;
    struct asking *asking = world_take_zeroed(self->node.world, sizeof *asking);
    asking->front = front;
    asking->token = token;
    asking->parcel = request;
    list_append(&self->asked, &asking->in_list);
    node_poke(&self->node);
}

// owner_of is who a broker would say it is, if one here knew: the field has another name, since
// brokers take "user" away that comes from clients.
static struct durable_owner
owner_of(const struct parcel *parcel)
{
    struct durable_owner owner = {0};
    struct view user;
    uint8_t hash[SHA256_BYTES];
    struct sha256 sum;
    if (!mdp_fields_find(parcel_fields(parcel), VIEW_LITERAL("sim-user"), &user))
        return owner;
    sha256_init(&sum);
    sha256_add(&sum, user);
    sha256_end(&sum, hash);
    memcpy(owner.bytes, hash, sizeof owner.bytes);
    return owner;
}

static void
read_asked(struct titanic_node *self, struct asking *asking, struct titanic_event *event)
{
    struct view frames[FRAMES_MAX];
    struct mdp_body body = parcel_body(asking->parcel);
    size_t count = frames_of(&body, frames, 0);
    enum tsp_service service = swarm_front(asking->front->node.index);
    *event = (struct titanic_event){.kind = TITANIC_ASK, .asker = asking, .request = &asking->tsp};
    const char *why = NULL;
    event->status = tsp_read(service, frames, count, &asking->tsp, &why);
    event->why = view_of(why, why == NULL ? 0 : strlen(why));
    asking->tsp.service = service;
    asking->owner = event->owner = owner_of(asking->parcel);
    bool has_body = service == TSP_REQUEST || service == TSP_SUBMIT;
    if (event->status != TSP_OK || !has_body || runs_out_of_memory(self))
        return;
    size_t from = asking->tsp.body_from;
    event->body = body_of(asking->tsp.fields, frames + from, count - from);
    event->body_bytes = cost_of(event->body);
    asking->body = event->body;
}

static size_t
payload(const struct titanic_effect *effect, struct view *frames, uint8_t text[64])
{
    struct mdp_body body;
    switch (effect->says) {
    case TITANIC_SAYS_NOTHING:
    case TITANIC_SAYS_TABLE:
        return 1;
    case TITANIC_SAYS_TEXT:
        frames[1] = effect->text;
        return 2;
    case TITANIC_SAYS_ID:
        request_id_write(&effect->id, text);
        frames[1] = view_of(text, REQUEST_ID_TEXT_BYTES);
        return 2;
    case TITANIC_SAYS_BODY:
        body = parts_of(effect->body);
        return frames_of(&body, frames, 1);
    case TITANIC_SAYS_COUNT:
        frames[1] = view_of(
            text, (size_t)snprintf((char *)text, 64, "%llu", (unsigned long long)effect->count));
        return 2;
    }
    return 1;
}

static void
reply(struct titanic_node *self, const struct titanic_effect *effect)
{
    struct asking *asking = effect->asker;
    struct view frames[FRAMES_MAX];
    char status[4];
    uint8_t text[64];
    note(self->node.world, &self->node, "says %llu to token %llu of front %llu", effect->status,
         asking->token, asking->front->node.index);
    const struct asked_of_titanic asked = {&asking->tsp, &asking->owner, asking->body};
    check_titanic_says(&self->node, effect, &asked);
    snprintf(status, sizeof status, "%u", (unsigned)effect->status % 1000);
    frames[0] = view_of(status, 3);
    size_t count = payload(effect, frames, text);
    struct parcel *answer = parcel_new(&asking->front->node, frames, count);
    if (effect->says == TITANIC_SAYS_BODY) {
        out_of_core(self, effect->body);
        free(effect->body);
    }
    parcel_free(asking->parcel);
    worker_node_answer(asking->front, asking->token, answer);
    list_remove(&self->open, &asking->in_list);
    world_give(self->node.world, asking);
}

// ---- behind -----------------------------------------------------------------------------

static void
add_later(struct titanic_node *self, const struct titanic_event *event)
{
    if (self->later_count == self->later_capacity) {
        self->later_capacity = 2 * self->later_capacity + 16;
        self->later =
            world_grow(self->node.world, self->later, self->later_capacity * sizeof *self->later);
    }
    self->later[self->later_count++] = *event;
}

static struct parcel *
parcel_of(struct titanic_node *self, const struct titanic_effect *effect)
{
    struct view frames[FRAMES_MAX];
    struct mdp_body body = parts_of(effect->body);
    struct parcel *parcel = parcel_new(&self->back->node, frames, frames_of(&body, frames, 0));
    static const char name[] = "titanic-id: ";
    size_t kept = effect->body->fields_bytes;
    parcel->fields = world_take(self->node.world, FIELDS_MAX + kept);
    memcpy(parcel->fields, name, strlen(name));
    request_id_write(&effect->id, parcel->fields + strlen(name));
    parcel->field_bytes = strlen(name) + REQUEST_ID_TEXT_BYTES;
    parcel->fields[parcel->field_bytes++] = '\n';
    memcpy(parcel->fields + parcel->field_bytes, effect->body->data, kept);
    parcel->field_bytes += kept;
    parcel->cost += parcel->field_bytes;
    workload_name(parcel);
    return parcel;
}

static void
send(struct titanic_node *self, const struct titanic_effect *effect)
{
    uint32_t slot = (uint32_t)effect->token;
    uint64_t now_ms = titanic_core_clock_ms(self->core, node_now(&self->node));
    if (slot >= self->slots || self->out[slot].call != 0)
        check_fail(&self->node, "B9 books_agree", "slot %u is taken", slot);
    for (uint32_t i = 0; i < self->slots; i++)
        if (self->out[i].call != 0 && request_id_equals(&self->out[i].id, &effect->id))
            check_fail(&self->node, "T9 one_ending", "a request is out twice");
    check_titanic_sends(&self->node, effect, now_ms);
    if (!client_core_has_room(self->back->core)) {
        struct titanic_event event = {
            .kind = TITANIC_ANSWER, .token = effect->token, .ending = TITANIC_NOT_TRIED};
        add_later(self, &event);
        return;
    }
    uint32_t timeout_ms = self->plan->back.config.timeout_ms;
    uint32_t margin_ms = timeout_ms / 8 < 5000 ? timeout_ms / 8 : 5000;
    struct parcel *parcel = parcel_of(self, effect);
    note(self->node.world, &self->node, "sends call %llu, token %llu, out %llu", parcel->call,
         effect->token, self->out_count);
    self->out[slot] = (struct out){.token = effect->token, .id = effect->id};
    self->out[slot].call =
        client_node_call(self->back, effect->service, parcel, timeout_ms - margin_ms);
    if (++self->out_count > self->plan->config.inflight)
        check_fail(&self->node, "B6 bounds_kept", "%u requests are out", self->out_count);
}

static void
cancel(struct titanic_node *self, uint64_t token)
{
    struct out *out = &self->out[(uint32_t)token];
    if (out->call == 0 || out->token != token)
        return;
    mark(self->node.world, MARK_CLOSED_OUT);
    client_node_cancel(self->back, out->call);
    out->call = 0;
    self->out_count--;
}

static void
ask_about(struct titanic_node *self, struct view service)
{
    struct titanic_event none = {.kind = TITANIC_KNOWN, .service = service};
    if (!client_core_has_room(self->questions->core)) {
        add_later(self, &none);
        return;
    }
    struct question *question = world_take_zeroed(self->node.world, sizeof *question);
    question->name_size = service.size;
    memcpy(question->name, service.data, service.size);
    list_append(&self->asked_about, &question->in_list);
    struct parcel *parcel = parcel_new(&self->questions->node, &service, 1);
    question->call = client_node_call(self->questions, VIEW_LITERAL("mmi.service"), parcel, 0);
}

// ending_of: what was not tried is no attempt (titanic_back.c).
static enum titanic_ending
ending_of(const struct client_effect *effect)
{
    int status = effect->status;
    if (effect->result == GALLEON_OK || effect->result == GALLEON_NO_MEMORY)
        return TITANIC_ENDED;
    if (status == MDP_NO_WORKER || status == MDP_QUEUE_FULL || status == MDP_PASSIVE ||
        status == MDP_EXPIRED || !effect->was_sent)
        return TITANIC_NOT_TRIED;
    return status == 0 ? TITANIC_LOST : TITANIC_ENDED;
}

static size_t
frames_of_answer(const struct client_effect *effect, struct view *frames)
{
    size_t count = 0;
    if (effect->cargo != NULL) {
        struct mdp_body parts = parcel_body(effect->cargo);
        count = frames_of(&parts, frames, count);
    }
    return effect->body == NULL ? count : frames_of(effect->body, frames, count);
}

static void
answered(struct client_node *client, const struct client_effect *effect)
{
    struct titanic_node *self = client->context;
    struct view frames[FRAMES_MAX];
    struct answer *answer = world_take_zeroed(self->node.world, sizeof *answer);
    answer->is_known = client == self->questions;
    answer->call = effect->id;
    answer->ending = ending_of(effect);
    answer->status = effect->result == GALLEON_OK ? MDP_DONE : effect->status;
    size_t count = effect->result == GALLEON_OK ? frames_of_answer(effect, frames) : 0;
    if (answer->is_known)
        answer->is_true = count > 0 && view_equals(frames[0], VIEW_LITERAL("200"));
    else if (effect->result == GALLEON_OK && !runs_out_of_memory(self))
        answer->reply = body_of(VIEW_NONE, frames, count);
    answer->text_size =
        effect->text.size < sizeof answer->text ? effect->text.size : sizeof answer->text;
    if (answer->text_size > 0)
        memcpy(answer->text, effect->text.data, answer->text_size);
    list_append(&self->answers, &answer->in_list);
    node_poke(&self->node);
}

// ---- stepping the core ------------------------------------------------------------------

static void
free_found(struct titanic_node *self, struct durable_rows *found)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->rows[i].body != NULL)
            out_of_core(self, found->rows[i].body);
    store_rows_free(found);
}

static void
stow(struct titanic_node *self, struct titanic_effect *effect)
{
    struct durable_op *op = &effect->op;
    check_titanic_stows(&self->node, op);
    bool is_end =
        op->kind == DURABLE_ANSWER || op->kind == DURABLE_FAILED || op->kind == DURABLE_KILL;
    if (is_end && request_id_equals(&op->id, &self->ending))
        self->is_end_stowed = true;
    if (op->kind == DURABLE_SUBMIT)
        op->digest = durable_digest(op->service, op->body);
    titanic_store_push(self->store, op);
}

static void
carry_out(struct titanic_node *self, struct titanic_effect *effect)
{
    switch (effect->kind) {
    case TITANIC_STOW:
        stow(self, effect);
        break;
    case TITANIC_REPLY:
        reply(self, effect);
        break;
    case TITANIC_SEND:
        send(self, effect);
        break;
    case TITANIC_CANCEL:
        cancel(self, effect->token);
        break;
    case TITANIC_QUESTION:
        ask_about(self, effect->service);
        break;
    case TITANIC_DUMP:
        out_of_core(self, effect->body);
        free(effect->body);
        break;
    case TITANIC_FREE:
        free_found(self, effect->found);
        break;
    case TITANIC_STOPPED:
        self->is_stopped = true;
        break;
    }
}

static void
step_once(struct titanic_node *self, struct titanic_event *event)
{
    event->now_ns = node_now(&self->node);
    titanic_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
}

static void
step(struct titanic_node *self, struct titanic_event *event)
{
    step_once(self, event);
    while (self->later_count > 0) {
        struct titanic_event later = self->later[--self->later_count];
        step_once(self, &later);
    }
}

// ---- a turn -----------------------------------------------------------------------------

// note_waits marks what became of waits in a step.
static void
note_waits(struct titanic_node *self, bool is_answer)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        const struct titanic_effect *effect = &self->effects.list[i];
        if (effect->kind == TITANIC_REPLY && effect->asked == TSP_WAIT)
            mark(self->node.world, is_answer                       ? MARK_WAIT_WOKEN
                                   : effect->status == TSP_PENDING ? MARK_WAIT_OVER
                                                                   : MARK_DURABLE_DONE);
    }
}

// note_changes marks what a change meets: what is out, or with a worker still.
static void
note_changes(struct titanic_node *self, const struct durable_op *op)
{
    struct world *world = self->node.world;
    bool is_change =
        op->kind == DURABLE_RETRY || op->kind == DURABLE_CANCEL || op->kind == DURABLE_PURGE;
    size_t count = !is_change || op->found == NULL ? 0 : op->found->count;
    if (count > 1)
        mark(world, MARK_CHANGED_MANY);
    for (size_t i = 0; i < count; i++) {
        const struct request_id *id = &op->found->rows[i].id;
        bool is_worked_on = check_is_worked_on(world, id);
        if (op->kind == DURABLE_PURGE)
            mark(world, is_worked_on ? MARK_PURGED_OUT : MARK_PURGED);
        if (op->kind == DURABLE_RETRY && is_worked_on)
            mark(world, MARK_RETRIED_OUT);
        for (uint32_t slot = 0; op->kind == DURABLE_CANCEL && slot < self->slots; slot++)
            if (self->out[slot].call != 0 && request_id_equals(&self->out[slot].id, id))
                mark(world, MARK_CANCELLED_OUT);
    }
}

static void
take_stowed(struct titanic_node *self)
{
    struct stowed *stowed;
    while ((stowed = titanic_store_take(self->store)) != NULL) {
        struct durable_op *op = &stowed->op;
        note(self->node.world, &self->node, "is told of operation %llu: %llu, seq %llu", op->kind,
             op->outcome, op->seq);
        struct titanic_event event = {.kind = TITANIC_STOWED, .op = op};
        bool is_answer = op->kind == DURABLE_ANSWER;
        check_titanic_told(&self->node, op, self->store->is_short);
        note_changes(self, op);
        into_core(self, op->reply);
        for (size_t i = 0; op->found != NULL && i < op->found->count; i++)
            into_core(self, op->found->rows[i].body);
        step(self, &event);
        note_waits(self, is_answer);
        titanic_store_give(self->store, stowed);
    }
}

static void
take_asked(struct titanic_node *self)
{
    struct list_node *node;
    while ((node = list_take(&self->asked)) != NULL) {
        struct asking *asking = list_object(node, struct asking, in_list);
        struct titanic_event event;
        read_asked(self, asking, &event);
        list_append(&self->open, &asking->in_list);
        into_core(self, event.body);
        step(self, &event);
    }
}

static void
take_known(struct titanic_node *self, const struct answer *answer)
{
    list_each (node, &self->asked_about) {
        struct question *question = list_object(node, struct question, in_list);
        if (question->call != answer->call)
            continue;
        struct titanic_event event = {.kind = TITANIC_KNOWN,
                                      .service = view_of(question->name, question->name_size),
                                      .is_true = answer->is_true};
        list_remove(&self->asked_about, node);
        step(self, &event);
        world_give(self->node.world, question);
        return;
    }
}

static void
take_answer(struct titanic_node *self, const struct answer *answer)
{
    struct out *out = NULL;
    for (uint32_t i = 0; i < self->slots && out == NULL; i++)
        if (self->out[i].call == answer->call)
            out = &self->out[i];
    if (out == NULL) { // it was taken back
        free(answer->reply);
        return;
    }
    if (answer->ending != TITANIC_ENDED)
        mark(self->node.world, answer->ending == TITANIC_LOST ? MARK_LOST_ATTEMPT : MARK_NOT_TRIED);
    struct titanic_event event = {.kind = TITANIC_ANSWER,
                                  .token = out->token,
                                  .ending = answer->ending,
                                  .ended_with = answer->status,
                                  .reply = answer->reply,
                                  .reply_bytes = cost_of(answer->reply),
                                  .text = view_of(answer->text, answer->text_size)};
    out->call = 0;
    self->out_count--;
    into_core(self, answer->reply);
    self->ending = out->id;
    self->is_end_stowed = false;
    step(self, &event);
    // T9: what a worker may have done is an attempt, and the store hears of it.
    if (answer->ending != TITANIC_NOT_TRIED && !self->is_end_stowed)
        check_fail(&self->node, "T9 one_ending", "an attempt has ended, and the store is not told");
}

static void
take_answers(struct titanic_node *self)
{
    struct list_node *node;
    while ((node = list_take(&self->answers)) != NULL) {
        struct answer *answer = list_object(node, struct answer, in_list);
        if (answer->is_known)
            take_known(self, answer);
        else
            take_answer(self, answer);
        world_give(self->node.world, answer);
    }
}

// ends_at_once ends it at the worst time: between what it was told and what it says next. Where a
// disk lies, what was told is more than there is.
static bool
ends_at_once(struct titanic_node *self, bool was_told)
{
    struct world *world = self->node.world;
    bool is_ahead = titanic_store_is_ahead(self->store);
    if (self->plan->kill_gap_ns == 0 || world->is_healed)
        return false;
    if (is_ahead)
        return roll(world, STREAM_TITANIC, 2) == 0;
    if (!was_told)
        return false;
    return roll(world, STREAM_TITANIC, has(world, FAULT_DISK_LIE) ? 64 : 512) == 0;
}

// end_in_doubt: what nobody knows it finds out by starting again (exit 75).
static void
end_in_doubt(struct titanic_node *self)
{
    struct world *world = self->node.world;
    uint64_t away_ns = roll(world, STREAM_TITANIC, RESTART_MS_MAX) * ms;
    node_kill(&self->node);
    node_start_after(&self->node, away_ns);
}

// end_drained: its drain is over, so it has gone, and it is started again.
static void
end_drained(struct titanic_node *self)
{
    (void)titanic_node_has_stopped(&self->node);
    mark(self->node.world, MARK_DRAIN_AND_RESTART);
    for (uint32_t i = 0; self->fronts[i] != NULL; i++)
        worker_node_stop(&self->fronts[i]->node);
    end_in_doubt(self);
}

// is_mended: a store at fault serves what it can, until an operator has mended it and starts
// Titanic again.
static bool
is_mended(struct titanic_node *self)
{
    struct world *world = self->node.world;
    if (!self->store->is_faulty)
        return false;
    if (self->mended_at_ns == 0)
        self->mended_at_ns = world->now_ns + roll_gap(world, STREAM_TITANIC, 10 * second);
    if (!world->is_healed && world->now_ns < self->mended_at_ns) {
        node_wake_at(&self->node, self->mended_at_ns);
        return false;
    }
    mark(world, MARK_FAULT_MENDED);
    return true;
}

static void
look_for_room(struct titanic_node *self)
{
    if (self->accepts == self->store->has_room)
        return;
    self->accepts = self->store->has_room;
    if (!self->accepts)
        mark(self->node.world, MARK_NOT_ACCEPTING);
    struct titanic_event event = {.kind = TITANIC_ACCEPTING, .is_true = self->accepts};
    step(self, &event);
}

static void
wake(struct node *node)
{
    struct titanic_node *self = self_of(node);
    if (self->store->is_in_doubt || is_mended(self)) {
        end_in_doubt(self);
        return;
    }
    bool was_told = !list_is_empty(&self->store->done);
    look_for_room(self);
    take_stowed(self);
    take_asked(self);
    take_answers(self);
    for (int i = 0; i < 64 && titanic_core_deadline(self->core) <= node_now(node); i++) {
        struct titanic_event event = {.kind = TITANIC_TICK};
        step(self, &event);
    }
    if (ends_at_once(self, was_told)) {
        mark(node->world, MARK_TITANIC_RESTARTED);
        end_in_doubt(self);
        return;
    }
    if (self->is_stopped && !node->world->is_over) {
        end_drained(self);
        return;
    }
    titanic_store_flush(self->store, titanic_core_clock_ms(self->core, node_now(node)));
}

// ---- the node ---------------------------------------------------------------------------

static void
replay(void *context, const struct durable_op *op)
{
    check_titanic_replays(context, op);
}

static void
start(struct node *node)
{
    struct titanic_node *self = self_of(node);
    struct world *world = node->world;
    struct titanic_config config = self->plan->config;
    check_titanic_starts(node);
    titanic_store_open(self->store, replay, node);
    check_titanic_started(node, self->store->was_lied_to);
    config.clock_ms = titanic_store_clock_ms(self->store);
    swarm_seed(config.seed, world->plan.seed, 500, node->life);
    self->memory = world_take_zeroed(world, titanic_core_bytes(&config) + 64);
    void *aligned = (void *)(((uintptr_t)self->memory + 63) / 64 * 64);
    self->core = titanic_core_init(aligned, &config, node_now(node));
    self->slots = titanic_core_slots(self->core);
    self->out = world_take_zeroed(world, self->slots * sizeof *self->out);
    note(world, node, "has %llu out, %llu questions, %llu services at most", config.inflight,
         config.asks_max, config.services_max);
    self->accepts = true;
    self->is_draining = self->is_stopped = false;
    self->mended_at_ns = 0;
    for (uint32_t i = 0; self->fronts[i] != NULL; i++)
        node_start(&self->fronts[i]->node);
    node_start(&self->back->node);
    node_start(&self->questions->node);
}

static void
forget_lists(struct titanic_node *self)
{
    struct world *world = self->node.world;
    struct list_node *node;
    while ((node = list_take(&self->asked)) != NULL || (node = list_take(&self->open)) != NULL)
        world_give(world, list_object(node, struct asking, in_list));
    while ((node = list_take(&self->answers)) != NULL) {
        struct answer *answer = list_object(node, struct answer, in_list);
        free(answer->reply);
        world_give(world, answer);
    }
    while ((node = list_take(&self->asked_about)) != NULL)
        world_give(world, list_object(node, struct question, in_list));
}

static void
kill(struct node *node)
{
    struct titanic_node *self = self_of(node);
    struct world *world = node->world;
    titanic_store_crash(self->store);
    forget_lists(self);
    while (self->cargo_count > 0)
        free(self->cargo[--self->cargo_count]);
    self->later_count = 0;
    self->out_count = 0;
    world_give(world, self->out);
    world_give(world, self->memory);
    self->out = NULL;
    self->memory = NULL;
    self->core = NULL;
    for (uint32_t i = 0; self->fronts[i] != NULL; i++) {
        node_kill(&self->fronts[i]->node);
        self->fronts[i]->job_count = 0;
    }
    node_kill(&self->back->node);
    node_kill(&self->questions->node);
}

static uint64_t
deadline(const struct node *node)
{
    return titanic_core_deadline(((const struct titanic_node *)node)->core);
}

static void
audit(const struct node *node)
{
    const struct titanic_node *self = (const struct titanic_node *)node;
    titanic_core_audit(self->core);
}

static const struct node_kind titanic_kind = {"titanic", start, kill, wake, deadline, audit, NULL};

// end_a_client ends one of its clients too, which comes back.
static void
end_a_client(struct world *world)
{
    uint64_t first = roll(world, STREAM_TITANIC, world->node_count);
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct node *node = world->nodes[(first + i) % world->node_count];
        if (!node->is_alive || strcmp(node->kind->name, "durable") != 0)
            continue;
        node_kill(node);
        node_start_after(node, roll(world, STREAM_TITANIC, second));
        return;
    }
}

// end_now_and_then is its end at any time: kill -9, or the power.
static void
end_now_and_then(struct world *world, void *object, uint64_t is_first)
{
    struct node *node = object;
    if (world->is_healed)
        return;
    if (is_first == 0 && node->is_alive) {
        mark(world, MARK_TITANIC_RESTARTED);
        node_kill(node);
        uint64_t away_ns = roll_gap(world, STREAM_TITANIC, 2 * second);
        node_start_after(node, away_ns);
    }
    if (is_first == 0 && has(world, FAULT_KILL_CLIENT))
        end_a_client(world);
    uint64_t gap_ns = roll_gap(world, STREAM_TITANIC, world->plan.titanic.kill_gap_ns);
    world_at(world, world->now_ns + gap_ns, end_now_and_then, node, 0);
}

// drain_now_and_then tells it to end, whatever it has out; it is started again.
static void
drain_now_and_then(struct world *world, void *object, uint64_t is_first)
{
    struct node *node = object;
    if (world->is_healed)
        return;
    bool stands = node->stands_until_ns > world->now_ns || node->frozen_until_ns > world->now_ns;
    if (is_first == 0 && node->is_alive && !stands)
        titanic_node_drain(node);
    uint64_t gap_ns = roll_gap(world, STREAM_TITANIC, DRAIN_GAP_S * second);
    world_at(world, world->now_ns + gap_ns, drain_now_and_then, node, 0);
}

static void
no_act(struct client_node *client)
{
    (void)client;
}

void
titanic_node_add(struct world *world)
{
    struct titanic_node *self = world_take_zeroed(world, sizeof *self);
    self->plan = &world->plan.titanic;
    world_add_node(world, &self->node, &titanic_kind, 0, &self->plan->clock);
    self->store =
        titanic_store_new(&self->node, self->plan->config.retain_ms, self->plan->anchor_ms);
    list_init(&self->asked);
    list_init(&self->open);
    list_init(&self->answers);
    list_init(&self->asked_about);
    for (uint32_t i = 0; swarm_front(i) != TSP_SERVICES; i++) {
        self->fronts[i] = worker_node_add_front(&self->node, i, &self->plan->front[i]);
        self->fronts[i]->take = take;
        self->fronts[i]->context = self;
    }
    self->back = client_node_add_back(&self->node, 0, &self->plan->back);
    self->questions = client_node_add_back(&self->node, 1, &self->plan->questions);
    self->back->context = self->questions->context = self;
    self->back->answered = self->questions->answered = answered;
    self->back->act = self->questions->act = no_act;
    if (self->plan->kill_gap_ns > 0)
        end_now_and_then(world, &self->node, 1);
    if (has(world, FAULT_DRAIN_TITANIC))
        drain_now_and_then(world, &self->node, 1);
}

struct node *
titanic_node_of(const struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++)
        if (world->nodes[i]->kind == &titanic_kind)
            return world->nodes[i];
    return NULL;
}

void
titanic_node_drain(struct node *node)
{
    struct titanic_node *self = self_of(node);
    struct titanic_event event = {.kind = TITANIC_DRAIN};
    if (!node->is_alive || self->is_draining)
        return;
    self->is_draining = true;
    if (self->out_count > 0)
        mark(node->world, MARK_DRAIN_WITH_OUT);
    for (uint32_t i = 0; self->fronts[i] != NULL; i++)
        worker_node_drain(&self->fronts[i]->node);
    step(self, &event);
    node_poke(node);
}

bool
titanic_node_has_stopped(const struct node *node)
{
    const struct titanic_node *self = (const struct titanic_node *)node;
    if (!self->is_stopped)
        return false;
    if (self->cargo_count > 0)
        check_fail(node, "B5 cargo_conserved", "%zu bodies are left of a drain", self->cargo_count);
    mark(node->world, MARK_TITANIC_DRAINED);
    return true;
}

uint64_t
titanic_node_pending(const struct node *node)
{
    const struct titanic_node *self = (const struct titanic_node *)node;
    return node->is_alive ? titanic_store_pending(self->store) : UINT64_MAX;
}
