// worker_request.c - a request's way through the worker, and its answer's way out.
//
// A request is on one list at a time: ready, held, out, waiting, or the graveyard;
// move() puts it there. Items of the waiting list that are no requests are parts of
// an answer that a socket refused.

#include "worker_state.h"

// ---- lists -------------------------------------------------------------------------

static struct request *
request_at(const struct worker_core *self, uint64_t token)
{
    struct request *request = slab_at(&self->requests, (uint32_t)token);
    return request != NULL && request->serial == (uint32_t)(token >> 32) ? request : NULL;
}

static uint64_t
token_of(const struct request *request)
{
    uint32_t number = slab_index(&request->session->core->requests, request);
    return (uint64_t)request->serial << 32 | number;
}

// leave takes a request off its list.
static void
leave(struct request *request)
{
    struct worker_core *core = request->session->core;
    core->held_count -= request->list == &request->session->held ? 1 : 0;
    core->ready_count -= request->list == &request->session->ready ? 1 : 0;
    list_remove(request->list, &request->item.in_list);
    request->list = NULL;
}

// enter puts a request that is on no list on one, at its end or at its head.
static void
enter(struct request *request, struct list *list, bool is_first)
{
    struct worker_core *core = request->session->core;
    core->held_count += list == &request->session->held ? 1 : 0;
    core->ready_count += list == &request->session->ready ? 1 : 0;
    if (is_first)
        list_prepend(list, &request->item.in_list);
    else
        list_append(list, &request->item.in_list);
    request->list = list;
}

static void
move(struct request *request, struct list *list)
{
    leave(request);
    enter(request, list, false);
}

// end gives a request's memory back; its cargo is gone.
static void
end(struct request *request)
{
    struct worker_core *core = request->session->core;
    must(request->item.cargo == NULL);
    leave(request);
    request->session->request_count--;
    if (request->address != NULL)
        slab_give(&core->addresses, request->address);
    slab_give(&core->requests, request);
}

static struct item *
item_of(struct list_node *node)
{
    return list_object(node, struct item, in_list);
}

static bool
is_part(const struct item *item)
{
    return item != &item->request->item;
}

// ---- what may be sent ------------------------------------------------------------------

static bool
is_on_its_connection(const struct request *request)
{
    const struct session *session = request->session;
    return session_is_live(session) && session->connection == request->connection;
}

// may_go_late: may the answer go over another connection than its request came on?
// 0.1 keeps its parts to the end; of a G1 answer with PARTIALs the broker has thrown
// away what it took; 0.2 cannot show that a part is missing.
static bool
may_go_late(const struct request *request)
{
    return !request->is_void && request->session->state != STOPPED &&
           (request->dialect == MDP_01 || (request->dialect == MDP_G1 && request->partials == 0));
}

// may_go: over the connection there is, or the next.
static bool
may_go(const struct request *request)
{
    if (is_on_its_connection(request))
        return !request->is_void;
    // The broker may have come back as another: then the ticket means nothing to it.
    if (session_is_live(request->session) && request->session->dialect != request->dialect)
        return false;
    return may_go_late(request);
}

static bool
can_send(const struct session *session)
{
    return session_is_live(session) && list_is_empty(&session->waiting) &&
           session->core->now_ns >= session->retry_ns;
}

static struct worker_effect *
send_answer(struct request *request, enum mdp_command command)
{
    struct worker_effect *effect = session_send(request->session, command);
    effect->token = token_of(request);
    effect->record.ticket = request->ticket;
    if (request->address != NULL)
        effect->record.address = view_of(request->address->bytes, request->address->size);
    return effect;
}

static void
send_final(struct request *request)
{
    struct worker_core *core = request->session->core;
    core->stats.answers_late += is_on_its_connection(request) ? 0 : 1;
    struct worker_effect *effect = send_answer(request, MDP_FINAL);
    effect->record.status = request->status;
    effect->record.parts = (uint16_t)request->partials;
    effect->cargo = request->item.cargo;
    request->item.cargo = NULL;
    move(request, &request->session->out);
}

static void
send_partial(struct request *request, uint32_t seq, void *cargo)
{
    must(seq == request->partials_sent);
    request->partials_sent++;
    request->session->core->stats.partials++;
    struct worker_effect *effect = send_answer(request, MDP_PARTIAL);
    effect->record.seq = seq;
    effect->cargo = cargo;
}

// ---- a request comes in -----------------------------------------------------------------

// has_room_for_one makes room where there is none by giving up the oldest answer that
// waits for a connection: whoever asked has asked again by now.
static bool
has_room_for_one(struct session *session)
{
    struct worker_core *core = session->core;
    if (session->request_count < core->requests_of_broker)
        return true;
    if (list_is_empty(&session->waiting))
        return false;
    struct item *item = item_of(list_first(&session->waiting));
    if (is_part(item))
        return false;
    worker_dump(core, item->cargo);
    item->cargo = NULL;
    core->lost_count++;
    core->stats.answers_lost++;
    end(item->request);
    return true;
}

// take_address copies what the broker calls its client: 7/MDP asks the worker to send it
// back as it is, and nothing more.
static bool
take_address(struct request *request, struct view address)
{
    struct worker_core *core = request->session->core;
    if (address.size > WORKER_ADDRESS_BYTES_MAX)
        return false;
    request->address = slab_take(&core->addresses);
    if (request->address == NULL)
        return false;
    request->address->size = (uint16_t)address.size;
    memcpy(request->address->bytes, address.data, address.size);
    return true;
}

bool
request_accept(struct session *session, const struct worker_event *event,
               const struct mdp_epoch *epoch)
{
    struct worker_core *core = session->core;
    const struct mdp_record *record = event->record;
    if (event->cargo == NULL || !has_room_for_one(session))
        return false;
    struct request *request = slab_take(&core->requests);
    must(request != NULL);
    *request = (struct request){
        .session = session,
        .serial = core->serial++,
        .connection = session->connection,
        .dialect = record->dialect,
        .ticket = record->ticket,
        .attempt = record->attempt,
    };
    if (record->dialect != MDP_G1 && !take_address(request, record->address)) {
        slab_give(&core->requests, request);
        return false;
    }
    if (epoch != NULL) {
        request->epoch = *epoch;
        request->has_epoch = true;
    }
    request->item.request = request;
    request->item.cargo = event->cargo;
    session->request_count++;
    vigil_hold(&session->vigil);
    enter(request, &session->ready, false);
    return true;
}

bool
request_waits_of_older(const struct session *session, const struct mdp_epoch *epoch)
{
    list_each (node, &session->ready) {
        const struct request *request = item_of(node)->request;
        if (request->has_epoch && request->epoch.pair == epoch->pair &&
            request->epoch.number < epoch->number)
            return true;
    }
    return false;
}

// next_session is the one whose turn it is of those with a request.
static struct session *
next_session(struct worker_core *self)
{
    for (uint32_t i = 0; i < self->config.broker_count; i++) {
        uint32_t number = (self->turn + i) % self->config.broker_count;
        if (!list_is_empty(&self->sessions[number].ready)) {
            self->turn = number + 1;
            return &self->sessions[number];
        }
    }
    return NULL;
}

void
request_deliver(struct worker_core *self)
{
    if (!worker_core_has_ready(self))
        return;
    struct session *session = next_session(self);
    struct request *request = item_of(list_first(&session->ready))->request;
    struct worker_effect *effect = worker_add_effect(self, WORKER_DELIVER, session->number);
    effect->token = token_of(request);
    effect->cargo = request->item.cargo;
    effect->attempt = request->attempt;
    request->item.cargo = NULL;
    move(request, &session->held);
    self->stats.requests++;
}

// ---- the application answers ---------------------------------------------------------------

static void
lose_answer(struct request *request)
{
    struct worker_core *core = request->session->core;
    worker_dump(core, request->item.cargo);
    request->item.cargo = NULL;
    core->lost_count++;
    core->stats.answers_lost++;
    end(request);
}

// status_of: what a worker may send; anything else is a failure.
static uint16_t
status_of(int status)
{
    bool is_its_own = status == MDP_DONE || status == MDP_MALFORMED || status == MDP_FORBIDDEN ||
                      status == MDP_CONFLICT || status == MDP_TOO_LARGE ||
                      status == MDP_QUEUE_FULL || status == MDP_FAILED;
    return is_its_own || (status >= 510 && status <= 599) ? (uint16_t)status : MDP_FAILED;
}

// keep puts a cargo behind what is kept for the end of the answer.
static void
keep(struct request *request, void *cargo)
{
    struct worker_core *core = request->session->core;
    if (cargo != NULL && request->item.cargo != NULL) {
        struct worker_effect *effect =
            worker_add_effect(core, WORKER_JOIN, request->session->number);
        effect->token = token_of(request);
        effect->into = request->item.cargo;
        effect->cargo = cargo;
    } else if (cargo != NULL) {
        request->item.cargo = cargo;
    }
}

static void
on_final(struct request *request, const struct worker_event *event)
{
    request->status = status_of(event->status);
    if (request->status != MDP_DONE) {
        // A failure is one without the parts that went before it.
        worker_dump(request->session->core, request->item.cargo);
        request->item.cargo = NULL;
    }
    keep(request, event->cargo);
    if (!may_go(request)) {
        lose_answer(request);
    } else if (can_send(request->session)) {
        send_final(request);
    } else {
        request->item.command = MDP_FINAL;
        move(request, &request->session->waiting);
        request->session->core->is_stale = true;
    }
}

// wait_with_part keeps a part until its socket takes it; false when there is no room.
static bool
wait_with_part(struct request *request, uint32_t seq, void *cargo, bool is_first)
{
    struct worker_core *core = request->session->core;
    struct item *item = slab_take(&core->partials);
    if (item == NULL)
        return false;
    *item = (struct item){.request = request, .cargo = cargo, .command = MDP_PARTIAL, .seq = seq};
    if (is_first)
        list_prepend(&request->session->waiting, &item->in_list);
    else
        list_append(&request->session->waiting, &item->in_list);
    core->is_stale = true;
    return true;
}

// lose_part says that an answer goes nowhere, from this part on.
static void
lose_part(struct request *request, void *cargo)
{
    request->is_void = true;
    worker_dump(request->session->core, cargo);
    request->session->core->lost_count++;
}

static void
on_partial(struct request *request, const struct worker_event *event)
{
    struct session *session = request->session;
    if (request->dialect == MDP_01) {
        keep(request, event->cargo);
        return;
    }
    if (!is_on_its_connection(request) || request->is_void) {
        lose_part(request, event->cargo);
        return;
    }
    uint32_t seq = request->partials++;
    if (can_send(session)) {
        send_partial(request, seq, event->cargo);
    } else if (!wait_with_part(request, seq, event->cargo, false)) {
        // A broker that takes none of so many parts takes nothing any more.
        session_input(session, ON_SILENT, event);
        lose_part(request, event->cargo);
    }
}

bool
worker_core_gathers(const struct worker_core *self, uint64_t token)
{
    const struct request *request = request_at(self, token);
    must(request != NULL && request->list == &request->session->held);
    return request->dialect == MDP_01;
}

void
request_on_answer(struct worker_core *self, const struct worker_event *event)
{
    struct request *request = request_at(self, event->token);
    must(request != NULL && request->list == &request->session->held);
    must(event->command == MDP_PARTIAL || event->command == MDP_FINAL);
    if (event->command == MDP_PARTIAL)
        on_partial(request, event);
    else
        on_final(request, event);
}

// ---- the socket answers ----------------------------------------------------------------------

void
request_on_sent(struct session *session, uint32_t count)
{
    must(count <= session->out.size);
    session->core->stats.answers += count;
    for (uint32_t i = 0; i < count; i++)
        end(item_of(list_first(&session->out))->request);
}

static void
on_part_unsent(struct request *request, void *cargo)
{
    struct session *session = request->session;
    must(request->partials_sent > 0);
    request->partials_sent--;
    if (!is_on_its_connection(request) || request->is_void ||
        !wait_with_part(request, request->partials_sent, cargo, true)) {
        request->is_void = true;
        worker_dump(session->core, cargo);
    }
}

void
request_on_unsent(struct session *session, const struct worker_event *event)
{
    struct worker_core *core = session->core;
    struct request *request = request_at(core, event->token);
    core->stats.answers_unsent += event->command == MDP_FINAL ? 1 : 0;
    session->retry_ns = core->now_ns + RETRY_NS;
    core->is_stale = true;
    if (event->command == MDP_PARTIAL) {
        // Its FINAL, refused with it, may have been given up already.
        if (request == NULL)
            worker_dump(core, event->cargo);
        else
            on_part_unsent(request, event->cargo);
        return;
    }
    must(request != NULL && request->list == &session->out);
    request->item.cargo = event->cargo;
    request->item.command = MDP_FINAL;
    if (!may_go(request)) {
        lose_answer(request);
        return;
    }
    leave(request);
    enter(request, &session->waiting, true);
}

void
request_send_waiting(struct session *session)
{
    struct worker_core *core = session->core;
    if (!session_is_live(session) || core->now_ns < session->retry_ns)
        return;
    while (!list_is_empty(&session->waiting) && worker_has_room(core)) {
        struct item *item = item_of(list_first(&session->waiting));
        struct request *request = item->request;
        if (!is_part(item)) {
            if (may_go(request))
                send_final(request);
            else
                lose_answer(request);
            continue;
        }
        list_remove(&session->waiting, &item->in_list);
        send_partial(request, item->seq, item->cargo);
        slab_give(&core->partials, item);
    }
}

// ---- the end of a connection, and of everything -------------------------------------------------

static void
bury_all(struct session *session, struct list *list)
{
    while (!list_is_empty(list))
        move(item_of(list_first(list))->request, &session->core->graveyard);
}

// bury_waiting gives up what waits and cannot go over another connection.
static void
bury_waiting(struct session *session)
{
    struct worker_core *core = session->core;
    struct list_node *node = list_first(&session->waiting);
    while (node != NULL) {
        struct item *item = item_of(node);
        node = list_next(&session->waiting, node);
        if (is_part(item)) {
            item->request->is_void = true;
            list_remove(&session->waiting, &item->in_list);
            list_append(&core->graveyard, &item->in_list);
        } else if (!may_go_late(item->request)) {
            core->lost_count++;
            core->stats.answers_lost++;
            move(item->request, &core->graveyard);
        }
    }
}

void
request_end_connection(struct session *session)
{
    // The broker has given them to others.
    session->core->stats.requests_gone += session->ready.size;
    bury_all(session, &session->ready);
    bury_waiting(session);
    session->retry_ns = 0;
}

void
request_end_all(struct session *session)
{
    must(session->state == STOPPED);
    request_end_connection(session);
    bury_all(session, &session->held);
    must(list_is_empty(&session->waiting));
}

void
request_sweep(struct worker_core *self)
{
    while (!list_is_empty(&self->graveyard) && worker_has_room(self)) {
        struct item *item = item_of(list_first(&self->graveyard));
        worker_dump(self, item->cargo);
        item->cargo = NULL;
        if (is_part(item)) {
            list_remove(&self->graveyard, &item->in_list);
            slab_give(&self->partials, item);
        } else {
            end(item->request);
        }
    }
}
