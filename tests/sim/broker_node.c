// broker_node.c - a broker: mdp_broker.c and broker_outbox.c, without sockets. And a pirate queue,
// which is a broker with two ROUTERs and other words: pirate_queue.c.

#include "check.h"
#include "must.h"
#include "nodes.h"
#include "pairs.h"
#include "workload.h"

enum { TICKS_MAX = 256, FRAMES_MAX = 256 };

static const uint64_t ms = 1000000;

static struct broker_node *
self_of(struct node *node)
{
    return (struct broker_node *)node;
}

// ---- what was refused ---------------------------------------------------------------------------

static void
refuse(struct broker_node *self, const struct refused *refused)
{
    struct world *world = self->node.world;
    if (self->refused_count == self->refused_capacity) {
        self->refused_capacity = 2 * self->refused_capacity + 16;
        self->refused =
            world_grow(world, self->refused, self->refused_capacity * sizeof *self->refused);
    }
    self->refused[self->refused_count++] = *refused;
}

// end_of lets go of what went out, or takes it back.
static void
end_of(struct broker_node *self, const struct broker_effect *effect, struct parcel *given,
       enum sent sent)
{
    if (sent == SENT_TAKEN) {
        parcel_free(given);
        return;
    }
    struct refused refused = {.number = effect->to->number,
                              .serial = effect->to->serial,
                              .side = effect->record.side,
                              .command = effect->record.command,
                              .token = effect->token,
                              .parcel = given,
                              .is_gone = sent == SENT_GONE,
                              .is_withheld = sent == SENT_WITHHELD};
    refuse(self, &refused);
}

// ---- sending ------------------------------------------------------------------------------------

static void
draft_stack(struct draft *draft, struct view stack)
{
    while (stack.size > 0) {
        size_t size = stack.data[0];
        draft_add(draft, view_of(stack.data + 1, size));
        stack = view_skip(stack, 1 + size);
    }
}

// give_to_router asks the half first, by the clock of this moment.
static enum sent
give_to_router(struct broker_node *self, bool is_of_reign, enum mdp_side side, struct view id,
               const struct draft *draft)
{
    if (is_of_reign && self->half.member != NULL && !pair_may_send(self, side))
        return SENT_WITHHELD;
    return router_send(self->router, id, draft);
}

static void
send_box(struct broker_node *self, struct box *box)
{
    struct pack *pack = &box->pack;
    if (pack->used == 0)
        return;
    struct draft draft;
    draft_begin(&draft);
    if (box->has_delimiter)
        draft_add(&draft, VIEW_NONE);
    draft_pack(&draft, pack);
    enum sent sent = give_to_router(self, box->is_of_reign, pack->entries[0].side,
                                    view_of(box->id, box->id_size), &draft);
    if (sent != SENT_TAKEN && pack->entry_count > 1)
        mark(self->node.world, MARK_UNSENT_PACK);
    for (size_t i = 0; i < pack->entry_count; i++) {
        const struct pack_entry *entry = &pack->entries[i];
        if (sent == SENT_TAKEN) {
            parcel_free(entry->parcel);
            continue;
        }
        struct refused refused = {.number = box->number,
                                  .serial = box->serial,
                                  .side = entry->side,
                                  .command = entry->command,
                                  .token = entry->token,
                                  .parcel = entry->parcel,
                                  .is_gone = sent == SENT_GONE,
                                  .is_withheld = sent == SENT_WITHHELD};
        refuse(self, &refused);
    }
    box->is_of_reign = false;
    pack_clear(pack);
}

static struct box *
box_for(struct broker_node *self, const struct broker_route *to)
{
    struct world *world = self->node.world;
    for (size_t i = 0; i < self->box_count; i++)
        if (self->boxes[i].number == to->number && self->boxes[i].serial == to->serial)
            return &self->boxes[i];
    if (self->box_count == self->box_capacity) {
        size_t had = self->box_capacity;
        self->box_capacity = 2 * had + 8;
        self->boxes = world_grow(world, self->boxes, self->box_capacity * sizeof *self->boxes);
        memset(self->boxes + had, 0, (self->box_capacity - had) * sizeof *self->boxes);
    }
    struct box *box = &self->boxes[self->box_count++];
    box->pack.world = world;
    box->number = to->number;
    box->serial = to->serial;
    box->is_of_reign = false;
    box->id_size = (uint8_t)to->routing_id.size;
    memcpy(box->id, to->routing_id.data, to->routing_id.size);
    return box;
}

static void
pack(struct broker_node *self, const struct broker_effect *effect, struct mdp_record *record,
     struct parcel *given)
{
    struct box *box = box_for(self, effect->to);
    if (box->has_delimiter != effect->has_delimiter || !pack_fits(&box->pack, record))
        send_box(self, box);
    box->has_delimiter = effect->has_delimiter;
    // Half of the seeds give the body back with UNSENT, as the header says; the others
    // have let it go once it was in the pack, as the shell does.
    bool is_kept = self->node.world->plan.batch & 1;
    struct pack_entry entry = {record->side, record->command, effect->token,
                               is_kept ? given : NULL};
    pack_add(&box->pack, record, &entry);
    box->is_of_reign = box->is_of_reign || effect->is_of_reign;
    if (!is_kept)
        parcel_free(given);
}

static void
flush(struct broker_node *self)
{
    for (size_t i = 0; i < self->box_count; i++)
        send_box(self, &self->boxes[i]);
    self->box_count = 0;
}

// join_bodies makes one body of the record's frames and then the parcel's.
static void
join_bodies(struct mdp_record *record, const struct parcel *parcel,
            struct view frames[MDP_PARTS_MAX])
{
    struct mdp_body rest = parcel_body(parcel);
    if (record->body.count == 0) {
        record->body = rest;
        return;
    }
    size_t count = 0;
    for (size_t cursor = 0; mdp_body_next(&record->body, &cursor, &frames[count]);)
        count++;
    for (size_t cursor = 0; mdp_body_next(&rest, &cursor, &frames[count]);)
        count++;
    record->body = mdp_body_of(frames, count);
}

// has_ended: a look at a connection, of which nothing is sent.
static bool
has_ended(const struct broker_node *self, struct broker_connection connection)
{
    list_each (node, &self->back->pipes)
        if (list_object(node, struct pipe, in_broker)->serial == connection.serial)
            return false;
    return true;
}

static void
send_to_pirate(struct broker_node *self, const struct broker_effect *effect, struct parcel *given)
{
    const struct mdp_record *record = &effect->record;
    struct pirate_head head;
    struct draft draft;
    if (!pirate_queue_core_head(self->site->queue.dialect, effect, &head)) {
        bool is_gone = has_ended(self, effect->connection);
        if (is_gone)
            mark(self->node.world, MARK_PIRATE_LOOKED_GONE);
        end_of(self, effect, given, is_gone ? SENT_GONE : SENT_TAKEN);
        return;
    }
    draft_begin(&draft);
    draft_stack(&draft, effect->to->stack);
    for (size_t i = 0; i < head.frame_count; i++)
        draft_add(&draft, head.frames[i]);
    if (record->command != MDP_HEARTBEAT)
        draft_body(&draft, &record->body, effect->cargo);
    struct router *router = effect->to->socket == PIRATE_FRONTEND ? self->router : self->back;
    end_of(self, effect, given, router_send(router, effect->to->routing_id, &draft));
}

// add_fields puts those that came with the body behind the core's own.
static void
add_fields(struct broker_node *self, struct mdp_record *record, struct view fields)
{
    size_t own = record->fields.size;
    if (fields.size == 0 || own + fields.size > sizeof self->fields)
        return;
    if (own > 0)
        memcpy(self->fields, record->fields.data, own);
    memcpy(self->fields + own, fields.data, fields.size);
    record->fields = view_of(self->fields, own + fields.size);
    record->flags |= MDP_FLAG_FIELDS;
}

static void
send(struct broker_node *self, struct broker_effect *effect)
{
    struct mdp_record *record = &effect->record;
    struct parcel *parcel = effect->cargo;
    struct parcel *given = effect->keeps_cargo ? NULL : parcel;
    if (given != NULL)
        parcel_out_of_core(given, &self->node);
    if (self->site != NULL) {
        send_to_pirate(self, effect, given);
        return;
    }
    if (record->dialect != MDP_G1) {
        struct draft draft;
        draft_begin(&draft);
        draft_stack(&draft, effect->to->stack);
        draft_record(&draft, record, effect->has_delimiter, parcel);
        enum sent sent =
            give_to_router(self, effect->is_of_reign, record->side, effect->to->routing_id, &draft);
        end_of(self, effect, given, sent);
        return;
    }
    if (parcel != NULL && record->command != MDP_PARTIAL)
        add_fields(self, record, parcel_fields(parcel));
    struct view frames[MDP_PARTS_MAX];
    if (parcel != NULL)
        join_bodies(record, parcel, frames);
    pack(self, effect, record, given);
    if (effect->has_delimiter && record->side == MDP_CLIENT_SIDE)
        flush(self);
}

// ---- stepping the core --------------------------------------------------------------------------

static void
carry_out(struct broker_node *self, struct broker_effect *effect)
{
    check_broker_effect(self, effect);
    struct parcel *parcel = effect->cargo;
    switch (effect->kind) {
    case BROKER_SEND:
        send(self, effect);
        break;
    case BROKER_DUMP:
        parcel_out_of_core(parcel, &self->node);
        parcel_free(parcel);
        break;
    case BROKER_JOIN:
        parcel_out_of_core(parcel, &self->node);
        parcel_join(effect->into, parcel);
        break;
    case BROKER_STOPPED:
        self->is_stopped = true;
        break;
    case BROKER_QUIET:
        self->half.follower.is_quiet = true;
        break;
    case BROKER_FENCED:
        self->half.is_fenced = true;
        break;
    case BROKER_QUESTION:
        must(false); // nobody asks
    }
}

static void
step(struct broker_node *self, struct broker_event *event)
{
    event->now_ns = node_now(&self->node);
    if (event->cargo != NULL)
        parcel_into_core(event->cargo, &self->node);
    check_broker_event(self, event);
    broker_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
    check_broker_step(self, event);
}

void
broker_node_step(struct broker_node *self, struct broker_event *event)
{
    step(self, event);
}

static void
step_kind(struct broker_node *self, enum broker_event_kind kind)
{
    struct broker_event event = {.kind = kind};
    step(self, &event);
}

static void
give_back(struct broker_node *self)
{
    while (self->refused_count > 0) {
        struct refused refused = self->refused[--self->refused_count];
        struct broker_event event = {.kind = BROKER_UNSENT,
                                     .route_number = refused.number,
                                     .route_serial = refused.serial,
                                     .side = refused.side,
                                     .command = refused.command,
                                     .token = refused.token,
                                     .cargo = refused.parcel,
                                     .is_gone = refused.is_gone,
                                     .is_withheld = refused.is_withheld};
        step(self, &event);
    }
}

static void
on_record(struct broker_node *self, const struct mdp_envelope *from, struct mdp_record *record,
          struct broker_connection connection)
{
    struct world *world = self->node.world;
    struct broker_event event = {
        .kind = BROKER_RECORD, .from = from, .record = record, .connection = connection};
    bool has_cargo = record->fault == MDP_SOUND &&
                     (record->command == MDP_REQUEST || record->command == MDP_PARTIAL ||
                      record->command == MDP_FINAL);
    if (has_cargo && has(world, FAULT_MEMORY) && roll(world, STREAM_MEMORY, 100) == 0) {
        mark(world, MARK_NO_MEMORY);
        record->fault = MDP_OVER_LIMIT;
    } else if (has_cargo) {
        struct parcel *parcel = parcel_of_record(&self->node, record);
        workload_name(parcel);
        event.cargo = parcel;
        event.cargo_bytes = parcel->cost;
    }
    if (self->half.member != NULL)
        pair_before_record(self, record);
    step(self, &event);
    if (self->half.member != NULL)
        pair_after_record(self);
}

static void
read_message(struct broker_node *self, const struct message *message)
{
    static const struct mdp_limits limits = {.frames_max = FRAMES_MAX,
                                             .bytes_max = MDP_MESSAGE_BYTES_MAX};
    static const struct broker_connection unknown;
    struct mdp_reader reader;
    enum mdp_fault fault = mdp_wire_begin(&reader, message->frames, message->frame_count,
                                          MDP_TO_BROKER, true, &limits);
    if (fault != MDP_SOUND) {
        struct mdp_record record = {.fault = fault, .side = reader.side, .dialect = reader.dialect};
        on_record(self, &reader.envelope, &record, unknown);
        return;
    }
    struct mdp_record record;
    while (mdp_wire_next(&reader, &record))
        on_record(self, &reader.envelope, &record, unknown);
}

// is_new_worker: may it make a worker of its peer? Only then the connection is asked for.
static bool
is_new_worker(struct broker_node *self, const struct mdp_envelope *from,
              const struct mdp_record *record)
{
    if (record->command == MDP_READY)
        return true;
    return self->site->queue.dialect == PIRATE_SIMPLE && record->command == MDP_FINAL &&
           !broker_core_has_worker(self->core, from);
}

static void
read_pirate(struct broker_node *self, enum pirate_socket socket, const struct message *message)
{
    const struct pirate_queue_config *config = &self->site->queue;
    const struct mdp_limits limits = {.frames_max = config->frames_max,
                                      .bytes_max = config->message_bytes_max};
    struct broker_connection connection = {0};
    struct pirate_message pirate;
    struct mdp_envelope from;
    struct mdp_record record;
    if (socket == PIRATE_FRONTEND)
        pirate_wire_read_client(&pirate, message->frames, message->frame_count, &limits);
    else
        pirate_wire_read_worker(&pirate, config->dialect, message->frames, message->frame_count,
                                &limits);
    pirate_queue_core_record(&pirate, socket, &from, &record);
    if (is_new_worker(self, &from, &record))
        connection = (struct broker_connection){.serial = message->serial, .number = 1};
    on_record(self, &from, &record, connection);
}

// read_router reads what has arrived at a socket, up to a batch.
static void
read_router(struct broker_node *self, struct router *router)
{
    struct world *world = self->node.world;
    struct message *message;
    for (uint32_t i = 0; i < world->plan.batch && (message = router_take(router)); i++) {
        if (self->site == NULL)
            read_message(self, message);
        else
            read_pirate(self, router == self->back ? PIRATE_BACKEND : PIRATE_FRONTEND, message);
        world_give(world, message);
    }
}

// ---- the node -----------------------------------------------------------------------------------

static void
on_fact(void *context, const struct broker_trace *trace)
{
    check_broker_fact(context, trace);
}

static void
configure(struct broker_node *self)
{
    self->config = self->node.world->plan.broker;
    if (self->site == NULL)
        return;
    pirate_queue_core_configure(&self->settings, &self->site->queue);
    self->config = self->settings.broker;
}

static void
start(struct node *node)
{
    struct broker_node *self = self_of(node);
    configure(self);
    swarm_seed(self->config.seed, node->world->plan.seed, 200 + node->index, node->life);
    size_t bytes = broker_core_bytes(&self->config);
    self->memory = world_take_zeroed(node->world, bytes + 64);
    void *aligned = (void *)(((uintptr_t)self->memory + 63) / 64 * 64);
    self->core = broker_core_init(aligned, &self->config, node_now(node));
    broker_core_trace(self->core, on_fact, self);
    self->router = links_router(node->world, node->index);
    self->router->node = node;
    self->is_drain_asked = self->is_draining = self->is_stopped = false;
    self->box_count = self->refused_count = 0;
    check_broker_start(self);
    if (self->half.member != NULL)
        pair_start(self);
}

static void
kill(struct node *node)
{
    struct broker_node *self = self_of(node);
    links_end_of_broker(node->world, node);
    check_broker_end(self);
    if (self->half.member != NULL)
        pair_kill(self);
    for (size_t i = 0; i < self->box_count; i++)
        pack_clear(&self->boxes[i].pack);
    self->box_count = self->refused_count = 0;
    parcel_free_all(node);
    world_give(node->world, self->memory);
    self->memory = NULL;
    self->core = NULL;
}

// stop is the end of a drained process; another one follows.
static void
stop(struct broker_node *self)
{
    struct world *world = self->node.world;
    mark(world, MARK_DRAIN_OVER);
    check_broker_stopped(self);
    node_kill(&self->node);
    if (!world->is_over)
        node_start_after(&self->node, roll(world, STREAM_TROUBLE, 3000 * ms));
}

static void
begin_turn(struct broker_node *self)
{
    if (self->half.member != NULL)
        pair_begin_turn(self);
    if (self->back != NULL)
        read_router(self, self->back);
    read_router(self, self->router);
    if (self->is_drain_asked) {
        self->is_drain_asked = false;
        self->is_draining = true;
        step_kind(self, BROKER_DRAIN);
    }
    for (int i = 0; i < TICKS_MAX && broker_core_deadline(self->core) <= node_now(&self->node); i++)
        step_kind(self, BROKER_TICK);
}

static void
wake(struct node *node)
{
    struct broker_node *self = self_of(node);
    if (!self->half.is_halfway)
        begin_turn(self);
    if (self->half.member != NULL && pair_sleeps(self))
        return;
    flush(self);
    give_back(self);
    if (self->half.member != NULL)
        pair_end_turn(self);
    check_broker_turn(self);
    if (self->is_stopped)
        stop(self);
}

static uint64_t
deadline(const struct node *node)
{
    const struct broker_node *self = (const struct broker_node *)node;
    bool has_more =
        self->router->inbox.count > 0 || (self->back != NULL && self->back->inbox.count > 0);
    uint64_t deadline_ns = has_more ? 0 : broker_core_deadline(self->core);
    if (self->half.member == NULL)
        return deadline_ns;
    uint64_t half_ns = pair_deadline(self);
    return half_ns < deadline_ns ? half_ns : deadline_ns;
}

static void
audit(const struct node *node)
{
    const struct broker_node *self = (const struct broker_node *)node;
    broker_core_audit(self->core);
    check_broker_audit(self);
}

static const struct node_kind broker_kind = {"broker", start, kill,       wake,
                                             deadline, audit, check_slept};
static const struct node_kind queue_kind = {"queue",  start, kill,       wake,
                                            deadline, audit, check_slept};

void
broker_node_add(struct world *world, uint32_t index)
{
    struct broker_node *self = world_take_zeroed(world, sizeof *self);
    world_add_node(world, &self->node, &broker_kind, index, &world->plan.broker_clocks[index]);
    links_router(world, index)->node = &self->node;
}

void
broker_node_add_queue(struct world *world, uint32_t index)
{
    struct broker_node *self = world_take_zeroed(world, sizeof *self);
    self->site = &world->plan.pirates.site[index];
    self->back = links_router(world, BROKERS_MAX + index);
    world_add_node(world, &self->node, &queue_kind, index, &self->site->clock);
    links_router(world, index)->node = self->back->node = &self->node;
}

struct broker_node *
broker_node_of(struct world *world, uint32_t index)
{
    bool is_server = world->plan.pirates.is_there && !world->plan.pirates.site[index].is_queue;
    if (index == world->plan.false_broker || is_server)
        return NULL;
    return self_of(links_router(world, index)->node);
}

void
broker_node_drain(struct node *node)
{
    struct broker_node *self = self_of(node);
    self->is_drain_asked = true;
    node_poke(node);
}
