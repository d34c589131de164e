// worker_node.c - a worker and its application: mdp_worker.c, without sockets.
//
// The application is of one of two kinds. One that blocks looks at no socket while it
// works, as a loop of recv and reply does; the other holds as many requests as its credit
// allows and answers them as they are done.

#include "check_durable.h"
#include "nodes.h"
#include "workload.h"

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

static struct worker_node *
self_of(struct node *node)
{
    return (struct worker_node *)node;
}

static uint32_t
bit_of(uint32_t broker)
{
    return (uint32_t)1 << broker;
}

// ---- sending ------------------------------------------------------------------------------------

static void
refuse(struct worker_node *self, uint32_t broker, const struct pack_entry *entry)
{
    struct world *world = self->node.world;
    self->refusing |= bit_of(broker);
    if (self->refused_count == self->refused_capacity) {
        self->refused_capacity = 2 * self->refused_capacity + 16;
        self->refused =
            world_grow(world, self->refused, self->refused_capacity * sizeof *self->refused);
    }
    if (entry->command == MDP_FINAL)
        mark(world, MARK_UNSENT_BY_WORKER);
    if (entry->command == MDP_PARTIAL)
        mark(world, MARK_UNSENT_PART_BY_WORKER);
    self->refused[self->refused_count++] = (struct worker_event){.kind = WORKER_UNSENT,
                                                                 .broker = broker,
                                                                 .command = entry->command,
                                                                 .token = entry->token,
                                                                 .cargo = entry->parcel};
}

static void
went_out(struct worker_node *self, uint32_t broker, const struct pack_entry *entry)
{
    parcel_free(entry->parcel);
    self->sent[broker] += entry->command == MDP_FINAL ? 1 : 0;
}

static void
write_pack(struct worker_node *self, uint32_t broker)
{
    struct pack *pack = &self->packs[broker];
    if (pack->used == 0)
        return;
    struct draft draft;
    draft_begin(&draft);
    draft_pack(&draft, pack);
    bool is_taken = link_send(self->links[broker], &draft) == SENT_TAKEN;
    for (size_t i = 0; i < pack->entry_count; i++) {
        if (is_taken)
            went_out(self, broker, &pack->entries[i]);
        else
            refuse(self, broker, &pack->entries[i]);
    }
    pack_clear(pack);
}

static void
send(struct worker_node *self, struct worker_effect *effect)
{
    uint32_t broker = effect->broker;
    struct parcel *parcel = effect->cargo;
    struct mdp_record *record = &effect->record;
    struct pack_entry entry = {MDP_WORKER_SIDE, record->command, effect->token, parcel};
    if (parcel != NULL)
        parcel_out_of_core(parcel, &self->node);
    bool is_taken = self->links[broker] != NULL && !(self->refusing & bit_of(broker));
    if (is_taken && record->dialect == MDP_G1) {
        if (parcel != NULL)
            record->body = parcel_body(parcel);
        if (!pack_fits(&self->packs[broker], record))
            write_pack(self, broker);
        is_taken = !(self->refusing & bit_of(broker));
        if (is_taken)
            pack_add(&self->packs[broker], record, &entry);
    } else if (is_taken) {
        struct draft draft;
        draft_begin(&draft);
        draft_record(&draft, record, effect->has_delimiter, parcel);
        is_taken = link_send(self->links[broker], &draft) == SENT_TAKEN;
        if (is_taken)
            went_out(self, broker, &entry);
    }
    if (!is_taken)
        refuse(self, broker, &entry);
}

static void
close_link(struct worker_node *self, uint32_t broker)
{
    if (self->links[broker] == NULL)
        return;
    write_pack(self, broker);
    link_close(self->links[broker], true);
    self->links[broker] = NULL;
    self->failed &= ~bit_of(broker);
}

static void
open_link(struct worker_node *self, const struct worker_effect *effect)
{
    struct world *world = self->node.world;
    uint32_t broker = effect->broker;
    if (self->links[broker] != NULL)
        world_fail(world, "W4 memory_and_fds_bounded", "worker%u opens a second socket",
                   self->node.index);
    if (has(world, FAULT_UNOPENED) && roll(world, STREAM_MEMORY, 4) == 0) {
        self->failed |= bit_of(broker);
        return;
    }
    struct view name = VIEW_NONE;
    if (effect->routing_id != NULL)
        name = view_of(effect->routing_id, strlen(effect->routing_id));
    self->links[broker] = link_open(&self->node, broker, self->plan->brokers[broker], name);
}

// ---- the application ----------------------------------------------------------------------------

// work_time is how long this request takes; UINT64_MAX: for ever.
static uint64_t
work_time(struct worker_node *self)
{
    struct world *world = self->node.world;
    uint64_t kind = roll(world, STREAM_APPS, 100);
    if (has(world, FAULT_HUNG_APP) && kind == 0)
        return UINT64_MAX;
    if (has(world, FAULT_SLOW_APP) && kind < 10)
        return roll_gap(world, STREAM_APPS, 5 * second);
    if (world->is_healed)
        return roll(world, STREAM_APPS, ms);
    return roll_gap(world, STREAM_APPS, world->plan.work_ns);
}

static int
draw_status(struct world *world)
{
    static const int statuses[] = {400, 403, 409, 429, 500, 510, 599, 503, 200};
    if (!has(world, FAULT_ERRORS) || roll(world, STREAM_APPS, 8) != 0)
        return MDP_DONE;
    return statuses[roll(world, STREAM_APPS, sizeof statuses / sizeof *statuses)];
}

static void
deliver(struct worker_node *self, const struct worker_effect *effect)
{
    struct world *world = self->node.world;
    struct parcel *parcel = effect->cargo;
    parcel_out_of_core(parcel, &self->node);
    check_worker_delivers(self, effect);
    if (self->take != NULL) {
        self->job_count++;
        self->take(self, effect->token, parcel);
        return;
    }
    uint64_t takes_ns = work_time(self);
    struct job job = {
        .is_open = true,
        .token = effect->token,
        .request = parcel,
        .run = check_new_run(world, parcel->call),
        .due_ns = takes_ns == UINT64_MAX ? UINT64_MAX : world->now_ns + takes_ns,
        .status = draw_status(world),
        .kills = has(world, FAULT_DYING_APP) && roll(world, STREAM_APPS, 50) == 0,
    };
    if (has(world, FAULT_PARTIALS) && roll(world, STREAM_APPS, 3) == 0)
        job.parts = (uint32_t)roll_between(world, STREAM_APPS, 1, 5);
    note(world, &self->node, "is given call %llu, run %llu, attempt %llu", parcel->call, job.run,
         effect->attempt);
    uint32_t slot = 0;
    while (slot < HELD_MAX && self->jobs[slot].is_open)
        slot++;
    if (slot == HELD_MAX)
        world_fail(world, "B2 credit_kept", "worker%u holds %u requests", self->node.index, slot);
    self->jobs[slot] = job;
    self->job_count++;
}

static void step(struct worker_node *self, struct worker_event *event);

static void
answer(struct worker_node *self, struct job *job)
{
    struct world *world = self->node.world;
    bool is_part = job->said < job->parts;
    struct worker_event event = {.kind = WORKER_ANSWER,
                                 .command = is_part ? MDP_PARTIAL : MDP_FINAL,
                                 .token = job->token,
                                 .status = job->status};
    if (!is_part && job->status != MDP_DONE)
        event.cargo = workload_failure(&self->node, job->request, job->run);
    else
        event.cargo = workload_answer(&self->node, job->request, job->run, job->said,
                                      is_part ? WORK_LAST : job->parts);
    note(world, &self->node, "answers call %llu, run %llu, part %llu", job->request->call, job->run,
         is_part ? job->said : WORK_LAST);
    job->said++;
    if (is_part) {
        job->due_ns = world->now_ns + roll(world, STREAM_APPS, world->plan.work_ns / 4 + 1);
    } else {
        if (job->status == MDP_DONE)
            check_effect(&self->node, job->request);
        check_run_ended(world, job->run, job->status);
        parcel_free(job->request);
        job->is_open = false;
        self->job_count--;
    }
    step(self, &event);
}

static uint64_t
next_due(const struct worker_node *self)
{
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < HELD_MAX; i++)
        if (self->jobs[i].is_open && self->jobs[i].due_ns < due_ns)
            due_ns = self->jobs[i].due_ns;
    return due_ns;
}

// work does what the application has done by now; false: the process died of it.
static bool
work(struct worker_node *self)
{
    struct world *world = self->node.world;
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        struct job *job = &self->jobs[i];
        if (!job->is_open || job->due_ns > world->now_ns)
            continue;
        if (job->kills) {
            mark(world, MARK_WORKER_RESTARTED);
            // Half of them have committed what they did, and nobody hears of it.
            if (world->book != NULL && job->status == MDP_DONE &&
                roll(world, STREAM_APPS, 2) == 0) {
                mark(world, MARK_EFFECT_THEN_DEATH);
                check_effect(&self->node, job->request);
            }
            node_kill(&self->node);
            node_start_after(&self->node, roll_gap(world, STREAM_APPS, second));
            return false;
        }
        answer(self, job);
    }
    return true;
}

// ---- stepping the core --------------------------------------------------------------------------

static void
carry_out(struct worker_node *self, struct worker_effect *effect)
{
    struct parcel *parcel = effect->cargo;
    check_worker_effect(self, effect);
    switch (effect->kind) {
    case WORKER_OPEN:
        open_link(self, effect);
        break;
    case WORKER_CLOSE:
        close_link(self, effect->broker);
        break;
    case WORKER_SEND:
        send(self, effect);
        break;
    case WORKER_DELIVER:
        deliver(self, effect);
        break;
    case WORKER_JOIN:
        parcel_out_of_core(parcel, &self->node);
        parcel_join(effect->into, parcel);
        break;
    case WORKER_DUMP:
        parcel_out_of_core(parcel, &self->node);
        parcel_free(parcel);
        break;
    case WORKER_LOST:
        self->node.world->marks[MARK_ANSWER_LOST_BY_WORKER] += effect->count;
        break;
    }
}

static void
step(struct worker_node *self, struct worker_event *event)
{
    event->now_ns = node_now(&self->node);
    if (event->cargo != NULL)
        parcel_into_core(event->cargo, &self->node);
    worker_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
}

// settle tells the core what came of its effects.
static void
settle(struct worker_node *self)
{
    bool goes_on = true;
    while (goes_on) {
        goes_on = self->refused_count > 0 || self->failed != 0;
        for (uint32_t i = 0; i < self->plan->config.broker_count; i++) {
            struct worker_event event = {.kind = WORKER_SENT, .broker = i, .count = self->sent[i]};
            self->sent[i] = 0;
            goes_on = goes_on || event.count > 0;
            if (event.count > 0)
                step(self, &event);
        }
        while (self->refused_count > 0) {
            struct worker_event event = self->refused[--self->refused_count];
            step(self, &event);
        }
        self->refusing = 0;
        for (uint32_t i = 0; i < self->plan->config.broker_count; i++) {
            struct worker_event event = {.kind = WORKER_UNOPENED, .broker = i};
            if (!(self->failed & bit_of(i)))
                continue;
            self->failed &= ~bit_of(i);
            step(self, &event);
        }
    }
}

static void
step_and_settle(struct worker_node *self, struct worker_event *event)
{
    step(self, event);
    settle(self);
}

// ---- a round ------------------------------------------------------------------------------------

static void
on_record(struct worker_node *self, uint32_t broker, const struct mdp_record *record)
{
    struct world *world = self->node.world;
    struct worker_event event = {.kind = WORKER_RECORD, .broker = broker, .record = record};
    if (record->command == MDP_REQUEST && record->side == MDP_WORKER_SIDE &&
        record->fault == MDP_SOUND) {
        if (has(world, FAULT_MEMORY) && roll(world, STREAM_MEMORY, 200) == 0) {
            mark(world, MARK_NO_MEMORY);
            self->breaches += self->breaches < UINT64_MAX ? 1 : 0; // as which it will be read
        } else {
            struct parcel *parcel = parcel_of_record(&self->node, record);
            workload_name(parcel);
            event.cargo = parcel;
        }
    }
    check_worker_hears(self, broker, record);
    step_and_settle(self, &event);
}

static void
read_message(struct worker_node *self, uint32_t broker, const struct message *message)
{
    static const struct mdp_limits limits = {.frames_max = 4096, .bytes_max = SIZE_MAX};
    struct mdp_reader reader;
    struct mdp_record record = {0};
    record.fault = mdp_wire_begin(&reader, message->frames + 1, message->frame_count - 1,
                                  MDP_FROM_BROKER, false, &limits);
    if (record.fault != MDP_SOUND) {
        on_record(self, broker, &record);
        return;
    }
    while (mdp_wire_next(&reader, &record))
        on_record(self, broker, &record);
}

static void
read_broker(struct worker_node *self, uint32_t broker)
{
    struct message *message;
    while (self->links[broker] != NULL && (message = mail_take(&self->links[broker]->inbox))) {
        read_message(self, broker, message);
        world_give(self->node.world, message);
    }
    if (self->links[broker] == NULL)
        return;
    enum link_news news = link_news(self->links[broker]);
    if (news == LINK_QUIET)
        return;
    struct worker_event event = {.kind = news == LINK_MADE ? WORKER_UP : WORKER_DOWN,
                                 .broker = broker};
    step_and_settle(self, &event);
    if (self->links[broker] != NULL)
        read_broker(self, broker); // a cut one may be up again already
}

static void
write_all(struct worker_node *self)
{
    for (uint32_t i = 0; i < self->plan->config.broker_count; i++)
        if (self->links[i] != NULL)
            write_pack(self, i);
    settle(self);
}

static void
wake(struct node *node)
{
    struct worker_node *self = self_of(node);
    if (!work(self))
        return;
    write_all(self);
    for (uint32_t i = 0; i < self->plan->config.broker_count; i++)
        read_broker(self, i);
    // One that blocks takes the next request when it has answered the last.
    uint32_t jobs_max = self->plan->is_blocking ? 1 : HELD_MAX;
    while (self->job_count < jobs_max && worker_core_has_ready(self->core)) {
        struct worker_event event = {.kind = WORKER_TAKE};
        step_and_settle(self, &event);
    }
    for (int i = 0; i < 64 && worker_core_deadline(self->core) <= node_now(node); i++) {
        struct worker_event event = {.kind = WORKER_TICK};
        step_and_settle(self, &event);
    }
    write_all(self);
    check_worker_turn(self);
    // Its core may say "now" for good while answers wait for a socket.
    uint64_t due_ns = next_due(self);
    if (self->plan->is_blocking && self->job_count > 0)
        node_stand(node, due_ns);
    if (due_ns != UINT64_MAX)
        node_wake_at(node, due_ns);
}

static void
start(struct node *node)
{
    struct worker_node *self = self_of(node);
    struct worker_config config = self->plan->config;
    swarm_seed(config.seed, node->world->plan.seed, 300 + node->index, node->life);
    self->memory = world_take_zeroed(node->world, worker_core_bytes(&config) + 64);
    void *aligned = (void *)(((uintptr_t)self->memory + 63) / 64 * 64);
    self->core = worker_core_init(aligned, &config, node_now(node));
    self->is_draining = false;
    check_worker_start(self);
}

static void
kill(struct node *node)
{
    struct worker_node *self = self_of(node);
    for (uint32_t i = 0; i < LINKS_OF_NODE; i++) {
        if (self->links[i] != NULL)
            link_close(self->links[i], roll(node->world, STREAM_LINKS, 2) == 0);
        self->links[i] = NULL;
        for (size_t at = 0; at < self->packs[i].entry_count; at++)
            parcel_free(self->packs[i].entries[at].parcel);
        pack_clear(&self->packs[i]);
        self->sent[i] = 0;
    }
    while (self->refused_count > 0)
        parcel_free(self->refused[--self->refused_count].cargo);
    self->refusing = self->failed = 0;
    for (uint32_t i = 0; i < HELD_MAX; i++)
        if (self->jobs[i].is_open)
            parcel_free(self->jobs[i].request);
    memset(self->jobs, 0, sizeof self->jobs);
    self->job_count = 0;
    parcel_free_all(node);
    world_give(node->world, self->memory);
    self->memory = NULL;
    self->core = NULL;
}

static uint64_t
deadline(const struct node *node)
{
    const struct worker_node *self = (const struct worker_node *)node;
    return worker_core_deadline(self->core);
}

static void
audit(const struct node *node)
{
    worker_core_audit(((const struct worker_node *)node)->core);
}

static const struct node_kind worker_kind = {"worker", start, kill, wake, deadline, audit, NULL};
static const struct node_kind front_kind = {"front", start, kill, wake, deadline, audit, NULL};

static struct worker_node *
add(struct world *world, uint32_t index, struct worker_plan *plan, const struct node_kind *kind)
{
    struct worker_node *self = world_take_zeroed(world, sizeof *self);
    self->plan = plan;
    for (uint32_t i = 0; i < LINKS_OF_NODE; i++)
        self->packs[i].world = world;
    world_add_node(world, &self->node, kind, index, &self->plan->clock);
    return self;
}

void
worker_node_add(struct world *world, uint32_t index)
{
    (void)add(world, index, &world->plan.worker[index], &worker_kind);
}

struct worker_node *
worker_node_add_front(struct node *whole, uint32_t index, struct worker_plan *plan)
{
    struct worker_node *self = add(whole->world, index, plan, &front_kind);
    self->node.whole = whole;
    return self;
}

void
worker_node_answer(struct worker_node *self, uint64_t token, struct parcel *answer)
{
    struct worker_event event = {.kind = WORKER_ANSWER,
                                 .command = MDP_FINAL,
                                 .token = token,
                                 .status = MDP_DONE,
                                 .cargo = answer};
    self->job_count--;
    step_and_settle(self, &event);
    node_poke(&self->node);
}

void
worker_node_drain(struct node *node)
{
    struct worker_node *self = self_of(node);
    struct worker_event event = {.kind = WORKER_DRAIN};
    self->is_draining = true;
    mark(node->world, MARK_WORKER_DRAINED);
    step_and_settle(self, &event);
    write_all(self);
    node_rest(node);
}

void
worker_node_stop(struct node *node)
{
    struct worker_node *self = self_of(node);
    struct worker_event event = {.kind = WORKER_STOP};
    step_and_settle(self, &event);
    while (worker_core_deadline(self->core) == 0) {
        event.kind = WORKER_TICK;
        step_and_settle(self, &event);
    }
    check_worker_stopped(self);
    node_kill(node);
}

void
worker_node_release(struct node *node)
{
    struct worker_node *self = self_of(node);
    for (uint32_t i = 0; i < HELD_MAX; i++)
        if (self->jobs[i].is_open && self->jobs[i].due_ns > node->world->now_ns)
            self->jobs[i].due_ns = node->world->now_ns + roll(node->world, STREAM_APPS, ms);
    node->stands_until_ns = 0;
    node_wake_at(node, next_due(self));
}
