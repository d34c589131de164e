// client_node.c - a client and its application: mdp_client.c and client_links.c, without
// sockets.
//
// The application has some calls open at a time, thinks in between, and takes some of them
// back. A probe is a client that comes when all is mended, and has to be answered.

#include "check.h"
#include "nodes.h"
#include "workload.h"

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

static struct client_node *
self_of(struct node *node)
{
    return (struct client_node *)node;
}

static uint32_t
bit_of(uint32_t endpoint)
{
    return (uint32_t)1 << endpoint;
}

// ---- sending ------------------------------------------------------------------------------------

static void
refuse(struct client_node *self, uint32_t endpoint, uint64_t token)
{
    struct world *world = self->node.world;
    self->refusing |= bit_of(endpoint);
    if (token == 0)
        return; // a CANCEL or a HEARTBEAT
    mark(world, MARK_UNSENT_BY_CLIENT);
    if (self->refused_count == self->refused_capacity) {
        self->refused_capacity = 2 * self->refused_capacity + 16;
        self->refused =
            world_grow(world, self->refused, self->refused_capacity * sizeof *self->refused);
    }
    self->refused[self->refused_count++] =
        (struct client_event){.kind = CLIENT_UNSENT, .endpoint = endpoint, .token = token};
}

// draft_stack adds addresses, as a proxy or a REQ with a number of its own would.
static void
draft_stack(const struct client_node *self, struct draft *draft)
{
    static const uint8_t address[STACKS_MAX][5] = {"\0\0\0\7", "proxy", "\1\2\3\4"};
    for (uint32_t i = 0; i < self->plan->stack_size; i++)
        draft_add(draft, view_of(address[i], sizeof address[i]));
}

static bool
write_pack(struct client_node *self, uint32_t endpoint)
{
    struct pack *pack = &self->packs[endpoint];
    if (pack->used == 0)
        return true;
    struct draft draft;
    draft_begin(&draft);
    draft_pack(&draft, pack);
    bool is_sent = link_send(self->links[endpoint], &draft) == SENT_TAKEN;
    for (size_t i = 0; i < pack->entry_count && !is_sent; i++)
        refuse(self, endpoint, pack->entries[i].token);
    pack_clear(pack);
    return is_sent;
}

static bool
pack(struct client_node *self, struct client_effect *effect)
{
    uint32_t endpoint = effect->endpoint;
    struct pack_entry entry = {MDP_CLIENT_SIDE, effect->record.command, effect->token, NULL};
    if (!pack_fits(&self->packs[endpoint], &effect->record) && !write_pack(self, endpoint))
        return false;
    pack_add(&self->packs[endpoint], &effect->record, &entry);
    return true;
}

static void
send(struct client_node *self, struct client_effect *effect)
{
    uint32_t endpoint = effect->endpoint;
    struct parcel *parcel = effect->cargo;
    struct mdp_record *record = &effect->record;
    if (parcel != NULL && record->dialect == MDP_G1) {
        record->body = parcel_body(parcel);
        record->fields = parcel_fields(parcel);
        record->flags |= record->fields.size > 0 ? MDP_FLAG_FIELDS : 0;
    }
    bool is_sent = self->links[endpoint] != NULL && !(self->refusing & bit_of(endpoint));
    if (is_sent && record->dialect == MDP_G1) {
        is_sent = pack(self, effect);
    } else if (is_sent) {
        struct draft draft;
        draft_begin(&draft);
        if (effect->has_delimiter)
            draft_stack(self, &draft);
        draft_record(&draft, record, effect->has_delimiter, parcel);
        is_sent = link_send(self->links[endpoint], &draft) == SENT_TAKEN;
    }
    if (!is_sent)
        refuse(self, endpoint, effect->token);
}

static void
close_link(struct client_node *self, uint32_t endpoint)
{
    if (self->links[endpoint] != NULL)
        link_close(self->links[endpoint], false);
    self->links[endpoint] = NULL;
    pack_clear(&self->packs[endpoint]);
    self->cut &= ~bit_of(endpoint);
}

static struct view
draw_name(struct client_node *self, uint8_t bytes[17])
{
    static const char letters[] = "abcdefghjklnopqrstuvwxyz0123456789";
    if (!self->plan->has_printable_id)
        return VIEW_NONE;
    bytes[0] = 'G';
    for (int i = 1; i < 17; i++)
        bytes[i] = (uint8_t)letters[roll(self->node.world, STREAM_LINKS, sizeof letters - 1)];
    return view_of(bytes, 17);
}

static void
open_link(struct client_node *self, uint32_t endpoint)
{
    struct world *world = self->node.world;
    uint8_t name[17];
    if (self->links[endpoint] != NULL)
        world_fail(world, "W4 memory_and_fds_bounded", "client%u opens a second socket",
                   self->node.index);
    if (has(world, FAULT_UNOPENED) && roll(world, STREAM_MEMORY, 4) == 0) {
        self->failed |= bit_of(endpoint);
        return;
    }
    self->links[endpoint] =
        link_open(&self->node, endpoint, self->plan->brokers[endpoint], draw_name(self, name));
}

// ---- stepping the core --------------------------------------------------------------------------

static void
join(struct client_node *self, const struct client_effect *effect)
{
    struct world *world = self->node.world;
    struct parcel *parcel = effect->cargo;
    parcel_out_of_core(parcel, &self->node);
    if (has(world, FAULT_MEMORY) && roll(world, STREAM_MEMORY, 100) == 0) {
        mark(world, MARK_NO_MEMORY);
        parcel_free(parcel);
        self->broken = effect->id;
        return;
    }
    parcel_join(effect->into, parcel);
}

static void
carry_out(struct client_node *self, struct client_effect *effect)
{
    struct parcel *parcel = effect->cargo;
    check_client_effect(self, effect);
    switch (effect->kind) {
    case CLIENT_OPEN:
        open_link(self, effect->endpoint);
        break;
    case CLIENT_CLOSE:
        close_link(self, effect->endpoint);
        break;
    case CLIENT_SEND:
        send(self, effect);
        break;
    case CLIENT_ANSWER:
        if (parcel != NULL)
            parcel_out_of_core(parcel, &self->node);
        check_client_answer(self, effect);
        if (self->answered != NULL)
            self->answered(self, effect);
        parcel_free(parcel);
        break;
    case CLIENT_JOIN:
        join(self, effect);
        break;
    case CLIENT_DUMP:
        parcel_out_of_core(parcel, &self->node);
        parcel_free(parcel);
        break;
    }
}

// clear_effect sets what the core does not: it fills in only what a kind of effect has.
static void
clear_effect(struct client_effect *effect)
{
    bool has_cargo = effect->kind == CLIENT_SEND || effect->kind == CLIENT_ANSWER ||
                     effect->kind == CLIENT_JOIN || effect->kind == CLIENT_DUMP;
    if (!has_cargo)
        effect->cargo = NULL;
}

static void
step(struct client_node *self, struct client_event *event)
{
    event->now_ns = node_now(&self->node);
    if (event->cargo != NULL)
        parcel_into_core(event->cargo, &self->node);
    client_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++) {
        clear_effect(&self->effects.list[i]);
        carry_out(self, &self->effects.list[i]);
    }
    check_client_step(self, event);
}

static void
settle(struct client_node *self)
{
    while (self->refused_count > 0 || self->failed != 0) {
        while (self->refused_count > 0) {
            struct client_event event = self->refused[--self->refused_count];
            check_client_unsent(self, &event);
            step(self, &event);
        }
        self->refusing = 0;
        if (self->failed != 0) {
            uint32_t endpoint = (uint32_t)__builtin_ctz(self->failed);
            struct client_event event = {.kind = CLIENT_DOWN, .endpoint = endpoint};
            self->failed &= ~bit_of(endpoint);
            step(self, &event);
        }
    }
    self->refusing = 0;
}

static void
step_and_settle(struct client_node *self, struct client_event *event)
{
    step(self, event);
    if (self->broken != 0) {
        struct client_event end = {.kind = CLIENT_CANCEL, .id = self->broken};
        self->broken = 0;
        check_client_cancels(self, end.id);
        step(self, &end);
        if (self->answered != NULL)
            self->answered(self, &(struct client_effect){.kind = CLIENT_ANSWER,
                                                         .id = end.id,
                                                         .result = GALLEON_NO_MEMORY,
                                                         .was_sent = true});
    }
    settle(self);
}

// ---- reading ------------------------------------------------------------------------------------

static void
on_record(struct client_node *self, uint32_t endpoint, const struct mdp_record *record)
{
    struct world *world = self->node.world;
    struct client_event event = {.kind = CLIENT_RECORD, .endpoint = endpoint, .record = record};
    if (record->command == MDP_PARTIAL && record->fault == MDP_SOUND &&
        !self->plan->config.hands_out_parts) {
        if (has(world, FAULT_MEMORY) && roll(world, STREAM_MEMORY, 100) == 0) {
            mark(world, MARK_NO_MEMORY);
        } else {
            event.cargo = parcel_of_record(&self->node, record);
            event.cargo_bytes = ((struct parcel *)event.cargo)->cost;
        }
    }
    check_client_hears(self, endpoint, record);
    step_and_settle(self, &event);
}

static void
read_message(struct client_node *self, uint32_t endpoint, const struct message *message)
{
    static const struct mdp_limits limits = {.frames_max = 4096, .bytes_max = SIZE_MAX};
    struct mdp_reader reader;
    struct mdp_record record = {0};
    const struct view *frames = message->frames + 1;
    size_t count = message->frame_count - 1;
    // What stands in front of the delimiter went back to whoever put it there.
    if (count > self->plan->stack_size && self->plan->stack_size > 0 &&
        frames[self->plan->stack_size].size == 0 && frames[0].size == 5) {
        frames += self->plan->stack_size;
        count -= self->plan->stack_size;
    }
    record.fault = mdp_wire_begin(&reader, frames, count, MDP_FROM_BROKER, false, &limits);
    if (record.fault != MDP_SOUND) {
        on_record(self, endpoint, &record);
        return;
    }
    while (mdp_wire_next(&reader, &record))
        on_record(self, endpoint, &record);
}

static void
read_endpoint(struct client_node *self, uint32_t endpoint)
{
    struct message *message;
    while (self->links[endpoint] != NULL &&
           (message = mail_take(&self->links[endpoint]->inbox)) != NULL) {
        read_message(self, endpoint, message);
        world_give(self->node.world, message);
    }
    if (self->links[endpoint] == NULL)
        return;
    enum link_news news = link_news(self->links[endpoint]);
    if (news == LINK_QUIET)
        return;
    struct client_event event = {.kind = news == LINK_MADE ? CLIENT_UP : CLIENT_DOWN,
                                 .endpoint = endpoint};
    step_and_settle(self, &event);
    if (self->links[endpoint] != NULL)
        read_endpoint(self, endpoint);
}

static void
write_all(struct client_node *self)
{
    for (uint32_t i = 0; i < self->plan->config.endpoint_count; i++)
        if (self->links[i] != NULL)
            (void)write_pack(self, i);
    settle(self);
}

// ---- the application ----------------------------------------------------------------------------

static void
begin_call(struct client_node *self, uint64_t number, struct client_event *event)
{
    if (self->call_count == self->call_capacity) {
        self->call_capacity = 2 * self->call_capacity + 64;
        self->calls =
            world_grow(self->node.world, self->calls, self->call_capacity * sizeof *self->calls);
    }
    self->calls[self->call_count++] = number;
    step_and_settle(self, event);
}

static void
call(struct client_node *self, uint32_t service, uint32_t ttl_ms, bool is_no_queue)
{
    struct world *world = self->node.world;
    uint64_t number = check_new_call(self, service);
    struct client_event event = {.kind = CLIENT_CALL,
                                 .service = swarm_service(service),
                                 .ttl_ms = ttl_ms,
                                 .is_no_queue = is_no_queue};
    event.cargo = workload_request(&self->node, number);
    check_call_body(world, number, event.cargo);
    note(world, &self->node, "calls service %llu, call %llu, open %llu", service, number,
         client_core_open_count(self->core));
    begin_call(self, number, &event);
}

uint64_t
client_node_call(struct client_node *self, struct view service, struct parcel *request,
                 uint32_t ttl_ms)
{
    uint64_t number = check_new_call(self, SERVICES_MAX);
    struct client_event event = {
        .kind = CLIENT_CALL, .service = service, .ttl_ms = ttl_ms, .cargo = request};
    // The body is not this call's: who called judges the answer.
    check_taint(self->node.world, number);
    begin_call(self, number, &event);
    node_poke(&self->node);
    return self->call_count;
}

void
client_node_cancel(struct client_node *self, uint64_t id)
{
    if (!client_core_is_open(self->core, id))
        return;
    struct client_event event = {.kind = CLIENT_CANCEL, .id = id};
    check_client_cancels(self, id);
    step_and_settle(self, &event);
    node_poke(&self->node);
}

static void
cancel_one(struct client_node *self)
{
    uint64_t last = client_core_last_id(self->core);
    uint64_t id = last - roll(self->node.world, STREAM_CALLS, last < 16 ? last : 16);
    if (!client_core_is_open(self->core, id))
        return;
    struct client_event event = {.kind = CLIENT_CANCEL, .id = id};
    check_client_cancels(self, id);
    step_and_settle(self, &event);
}

static void
call_some(struct client_node *self)
{
    struct world *world = self->node.world;
    uint64_t some = roll_between(world, STREAM_CALLS, 1, self->plan->calls_at_once);
    for (uint64_t i = 0; i < some && client_core_has_room(self->core); i++) {
        uint32_t service = (uint32_t)roll(world, STREAM_CALLS, world->plan.services);
        uint64_t kind = roll(world, STREAM_CALLS, 16);
        uint32_t ttl_ms = kind == 0 ? (uint32_t)roll_between(world, STREAM_CALLS, 1, 5000) : 0;
        call(self, service, ttl_ms, kind == 1);
    }
    if (has(world, FAULT_CANCEL) && client_core_open_count(self->core) > 0 &&
        roll(world, STREAM_CALLS, 3) == 0)
        cancel_one(self);
}

// probe calls one service after the other, each when the one before is answered.
static void
probe(struct client_node *self)
{
    if (client_core_open_count(self->core) > 0 || self->probed == self->node.world->plan.services)
        return;
    call(self, self->probed++, 0, false);
}

static void
go_on_calling(struct client_node *self)
{
    struct world *world = self->node.world;
    if (self->act != NULL) {
        self->act(self);
        return;
    }
    if (self->is_probe) {
        probe(self);
    } else if (!world->is_healed && world->now_ns >= self->next_call_ns) {
        call_some(self);
        self->next_call_ns = world->now_ns + roll_gap(world, STREAM_CALLS, self->plan->think_ns);
    }
    if (!world->is_healed && !self->is_probe)
        node_wake_at(&self->node, self->next_call_ns);
}

// ---- the node -----------------------------------------------------------------------------------

static void
wake(struct node *node)
{
    struct client_node *self = self_of(node);
    for (int i = 0; i < 64; i++) {
        for (uint32_t at = 0; at < self->plan->config.endpoint_count; at++)
            read_endpoint(self, at);
        if (client_core_deadline(self->core) > node_now(node))
            break;
        struct client_event event = {.kind = CLIENT_TICK};
        step_and_settle(self, &event);
    }
    go_on_calling(self);
    write_all(self);
    check_client_turn(self);
}

static void
start(struct node *node)
{
    struct client_node *self = self_of(node);
    struct world *world = node->world;
    struct client_config config = self->plan->config;
    swarm_seed(config.seed, world->plan.seed, 400 + node->number, node->life);
    self->memory = world_take_zeroed(world, client_core_bytes(&config) + 64);
    void *aligned = (void *)(((uintptr_t)self->memory + 63) / 64 * 64);
    self->core = client_core_init(aligned, &config, node_now(node));
    self->call_count = 0;
    self->broken = 0;
    self->next_call_ns = world->now_ns + roll(world, STREAM_CALLS, self->plan->think_ns);
    check_client_start(self);
}

static void
kill(struct node *node)
{
    struct client_node *self = self_of(node);
    for (uint32_t i = 0; i < LINKS_OF_NODE; i++)
        close_link(self, i);
    self->refused_count = 0;
    self->refusing = self->failed = self->cut = 0;
    check_client_end(self);
    parcel_free_all(node);
    world_give(node->world, self->memory);
    self->memory = NULL;
    self->core = NULL;
}

static uint64_t
deadline(const struct node *node)
{
    const struct client_node *self = (const struct client_node *)node;
    bool has_more = self->is_probe && client_core_open_count(self->core) == 0 &&
                    self->probed < node->world->plan.services;
    return has_more ? 0 : client_core_deadline(self->core);
}

static void
audit(const struct node *node)
{
    const struct client_node *self = (const struct client_node *)node;
    client_core_audit(self->core);
    check_client_audit(self);
}

static const struct node_kind client_kind = {"client", start, kill, wake, deadline, audit, NULL};
static const struct node_kind probe_kind = {"probe", start, kill, wake, deadline, audit, NULL};
static const struct node_kind back_kind = {"back", start, kill, wake, deadline, audit, NULL};
static const struct node_kind durable_kind = {"durable", start, kill, wake, deadline, audit, NULL};

static struct client_node *
add(struct world *world, uint32_t index, struct client_plan *plan, const struct node_kind *kind)
{
    struct client_node *self = world_take_zeroed(world, sizeof *self);
    self->plan = plan;
    for (uint32_t i = 0; i < LINKS_OF_NODE; i++)
        self->packs[i].world = world;
    world_add_node(world, &self->node, kind, index, &plan->clock);
    return self;
}

void
client_node_add(struct world *world, uint32_t index)
{
    (void)add(world, index, &world->plan.client[index], &client_kind);
}

struct client_node *
client_node_add_back(struct node *whole, uint32_t index, struct client_plan *plan)
{
    struct client_node *self = add(whole->world, index, plan, &back_kind);
    self->node.whole = whole;
    return self;
}

struct client_node *
client_node_add_durable(struct world *world, uint32_t index, struct client_plan *plan)
{
    return add(world, index, plan, &durable_kind);
}

struct node *
client_node_add_probe(struct world *world, uint32_t broker)
{
    struct client_plan *plan = world_take_zeroed(world, sizeof *plan);
    plan->brokers[0] = broker;
    plan->names[0] = swarm_broker(broker);
    plan->config = (struct client_config){
        .window = 1,
        .timeout_ms = (uint32_t)((swarm_patience_ns(&world->plan) * 2 + 60 * second) / ms),
        .attempts = 1,
        .answer_bytes_max = 1 << 20,
        .dialect = MDP_G1,
        .endpoints = plan->names,
        .endpoint_count = 1,
    };
    plan->config.deadline_ms = plan->config.timeout_ms;
    if (world->plan.pair.is_there) { // whoever of the two is asked first
        plan->brokers[1] = 1 - broker;
        plan->names[1] = swarm_broker(1 - broker);
        plan->config.endpoint_count = 2;
    }
    struct client_node *self = add(world, broker, plan, &probe_kind);
    self->is_probe = true;
    return &self->node;
}

bool
client_node_is_done(const struct node *node)
{
    const struct client_node *self = (const struct client_node *)node;
    return self->probed == node->world->plan.services && client_core_open_count(self->core) == 0;
}
