// pirate_node.c - a worker of ours of a pirate queue, and its application: pirate_worker.c,
// without a socket.

#include "check.h"
#include "pirates.h"
#include "workload.h"

enum { TICKS_MAX = 64, ROUNDS_MAX = 64 };

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

static struct pirate_node *
self_of(struct node *node)
{
    return (struct pirate_node *)node;
}

// ---- what any application of theirs does --------------------------------------------------------

static uint64_t
work_time(struct world *world)
{
    uint64_t kind = roll(world, STREAM_APPS, 100);
    if (has(world, FAULT_HUNG_APP) && kind == 0)
        return UINT64_MAX;
    if (has(world, FAULT_SLOW_APP) && kind < 10)
        return roll_gap(world, STREAM_APPS, 5 * second);
    if (world->is_healed)
        return roll(world, STREAM_APPS, ms);
    return roll_gap(world, STREAM_APPS, world->plan.work_ns);
}

void
task_begin(struct task *self, struct node *node, struct parcel *request)
{
    struct world *world = node->world;
    uint64_t takes_ns = work_time(world);
    *self = (struct task){
        .request = request,
        .run = check_new_run(world, request->call),
        .due_ns = takes_ns == UINT64_MAX ? UINT64_MAX : world->now_ns + takes_ns,
        .kills = has(world, FAULT_DYING_APP) && roll(world, STREAM_APPS, 50) == 0,
    };
    note(world, node, "is given call %llu, run %llu", request->call, self->run, 0);
}

struct parcel *
task_answer(struct task *self, struct node *node)
{
    struct parcel *answer = workload_answer(node, self->request, self->run, 0, 0);
    note(node->world, node, "answers call %llu, run %llu", self->request->call, self->run, 0);
    check_run_ended(node->world, self->run, MDP_DONE);
    task_drop(self);
    return answer;
}

void
task_drop(struct task *self)
{
    parcel_free(self->request);
    *self = (struct task){0};
}

void
task_release(struct task *self, struct node *node)
{
    struct world *world = node->world;
    if (self->request != NULL && self->due_ns > world->now_ns)
        self->due_ns = world->now_ns + roll(world, STREAM_APPS, ms);
    node->stands_until_ns = 0;
    if (self->request != NULL)
        node_wake_at(node, self->due_ns);
}

bool
task_kills(struct task *self, struct node *node)
{
    struct world *world = node->world;
    if (self->request == NULL || self->due_ns > world->now_ns || !self->kills)
        return false;
    mark(world, MARK_PIRATE_DIED_OF_REQUEST);
    node_kill(node);
    node_start_after(node, roll_gap(world, STREAM_APPS, second));
    return true;
}

// ---- the connection -----------------------------------------------------------------------------

static void
open_link(struct pirate_node *self)
{
    struct world *world = self->node.world;
    if (self->link != NULL)
        world_fail(world, "W4 memory_and_fds_bounded", "pirate%u opens a second socket",
                   self->node.index);
    if (has(world, FAULT_UNOPENED) && roll(world, STREAM_MEMORY, 4) == 0) {
        self->has_failed = true;
        return;
    }
    self->link = link_open(&self->node, 0, BROKERS_MAX + self->plan->site, VIEW_NONE);
}

static void
close_link(struct pirate_node *self)
{
    if (self->link != NULL)
        link_close(self->link, true);
    self->link = NULL;
    self->spoke_ns = 0;
    self->given = 0;
}

// is_full: one request at a time fills no socket, so now and then one is full of itself.
static bool
is_full(const struct pirate_node *self)
{
    struct world *world = self->node.world;
    return has(world, FAULT_FULL) && roll(world, STREAM_LINKS, 100) == 0;
}

static bool
send_message(struct pirate_node *self, const struct pirate_worker_effect *effect)
{
    struct pirate_head head;
    struct draft draft;
    // What comes behind a refused message is refused too, so that nothing overtakes it.
    if (self->link == NULL || self->is_refusing || is_full(self))
        return false;
    pirate_wire_head_to_queue(&head, self->plan->config.dialect, effect->says, &effect->envelope);
    draft_begin(&draft);
    for (size_t i = 0; i < head.frame_count; i++)
        draft_add(&draft, head.frames[i]);
    if (effect->says == PIRATE_REPLY) {
        const struct mdp_body none = {0};
        draft_body(&draft, &none, effect->cargo);
    }
    return link_send(self->link, &draft) == SENT_TAKEN;
}

static void
carry_out_send(struct pirate_node *self, const struct pirate_worker_effect *effect)
{
    struct parcel *parcel = effect->cargo;
    if (parcel != NULL)
        parcel_out_of_core(parcel, &self->node);
    bool is_taken = send_message(self, effect);
    struct pirate_worker_event told = {.kind = PIRATE_WORKER_SENT};
    self->is_refusing = !is_taken;
    if (is_taken) {
        parcel_free(parcel);
        check_pirate_said(self, effect->says);
    } else {
        if (effect->says == PIRATE_REPLY)
            mark(self->node.world, MARK_PIRATE_UNSENT);
        self->spoke_ns = self->spoke_ns == 0 ? 0 : node_now(&self->node); // it would have
        told = (struct pirate_worker_event){
            .kind = PIRATE_WORKER_UNSENT, .said = effect->says, .cargo = parcel};
    }
    if (is_taken && effect->says != PIRATE_REPLY)
        return;
    if (self->told_count == sizeof self->told / sizeof *self->told)
        world_fail(self->node.world, "W3 step_budget", "pirate%u says too much", self->node.index);
    self->told[self->told_count++] = told;
}

// ---- stepping the core --------------------------------------------------------------------------

static void
carry_out(struct pirate_node *self, const struct pirate_worker_effect *effect)
{
    struct parcel *parcel = effect->cargo;
    switch (effect->kind) {
    case PIRATE_WORKER_OPEN:
        open_link(self);
        break;
    case PIRATE_WORKER_CLOSE:
        close_link(self);
        break;
    case PIRATE_WORKER_SEND:
        carry_out_send(self, effect);
        break;
    case PIRATE_WORKER_DELIVER:
        parcel_out_of_core(parcel, &self->node);
        if (self->task.request != NULL)
            world_fail(self->node.world, "B2 credit_kept", "pirate%u has two requests",
                       self->node.index);
        task_begin(&self->task, &self->node, parcel);
        break;
    case PIRATE_WORKER_DUMP:
        parcel_out_of_core(parcel, &self->node);
        parcel_free(parcel);
        break;
    case PIRATE_WORKER_LOST:
        self->node.world->marks[MARK_PIRATE_LOST_ANSWER] += effect->count;
        break;
    }
}

static void
step_once(struct pirate_node *self, struct pirate_worker_event *event)
{
    event->now_ns = node_now(&self->node);
    if (event->cargo != NULL)
        parcel_into_core(event->cargo, &self->node);
    self->is_refusing = false;
    pirate_worker_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
}

// step tells the core also what came of its effects: what was refused, latest first.
static void
step(struct pirate_node *self, struct pirate_worker_event event)
{
    step_once(self, &event);
    while (self->told_count > 0) {
        struct pirate_worker_event told = self->told[--self->told_count];
        step_once(self, &told);
    }
    if (!self->has_failed)
        return;
    self->has_failed = false;
    struct pirate_worker_event unopened = {.kind = PIRATE_WORKER_UNOPENED};
    step_once(self, &unopened);
}

// ---- a round ------------------------------------------------------------------------------------

static void
read_message(struct pirate_node *self, const struct message *message)
{
    static const struct mdp_limits limits = {.frames_max = 4096, .bytes_max = SIZE_MAX};
    struct world *world = self->node.world;
    struct pirate_message pirate;
    struct pirate_worker_event event = {
        .kind = PIRATE_WORKER_MESSAGE, .message = &pirate, .is_wanted = self->task.request == NULL};
    enum pirate_fault fault =
        pirate_wire_read_queue(&pirate, self->plan->config.dialect, message->frames + 1,
                               message->frame_count - 1, &limits);
    note(world, &self->node, "hears %llu from its queue, fault %llu", pirate.kind, fault, 0);
    bool is_request = fault == PIRATE_SOUND && pirate.kind == PIRATE_REQUEST;
    if (is_request)
        check_pirate_given(self);
    if (is_request && has(world, FAULT_MEMORY) && roll(world, STREAM_MEMORY, 200) == 0) {
        mark(world, MARK_PIRATE_NO_MEMORY);
    } else if (is_request) {
        const struct mdp_record record = {
            .side = MDP_WORKER_SIDE, .command = MDP_REQUEST, .body = pirate.body};
        struct parcel *parcel = parcel_of_record(&self->node, &record);
        workload_name(parcel);
        event.cargo = parcel;
    }
    step(self, event);
}

// see tells the core how the connection stands; false: nothing has happened to it.
static bool
see(struct pirate_node *self)
{
    if (self->link == NULL)
        return false;
    enum link_news news = link_news(self->link);
    if (news == LINK_QUIET)
        return false;
    step(self, (struct pirate_worker_event){.kind = news == LINK_MADE ? PIRATE_WORKER_UP
                                                                      : PIRATE_WORKER_DOWN});
    return true;
}

static void
read_queue(struct pirate_node *self)
{
    for (int i = 0; i < ROUNDS_MAX && self->link != NULL; i++) {
        struct message *message;
        while (self->link != NULL && (message = mail_take(&self->link->inbox)) != NULL) {
            read_message(self, message);
            world_give(self->node.world, message);
        }
        if (!see(self))
            return;
    }
}

static void
answer(struct pirate_node *self)
{
    if (self->task.request == NULL || self->task.due_ns > self->node.world->now_ns)
        return;
    // A connection that was cut while the application worked is not the one to answer over.
    while (see(self))
        continue;
    self->answers++;
    step(self, (struct pirate_worker_event){.kind = PIRATE_WORKER_ANSWER,
                                            .cargo = task_answer(&self->task, &self->node)});
}

static void
wake(struct node *node)
{
    struct pirate_node *self = self_of(node);
    if (task_kills(&self->task, node))
        return;
    answer(self);
    read_queue(self);
    for (int i = 0; i < TICKS_MAX && pirate_worker_core_deadline(self->core) <= node_now(node); i++)
        step(self, (struct pirate_worker_event){.kind = PIRATE_WORKER_TICK});
    if (self->task.request == NULL)
        step(self, (struct pirate_worker_event){.kind = PIRATE_WORKER_TAKE});
    check_pirate_turn(self);
    if (self->task.request == NULL)
        return;
    if (self->plan->is_blocking)
        node_stand(node, self->task.due_ns);
    if (self->task.due_ns != UINT64_MAX)
        node_wake_at(node, self->task.due_ns);
}

// ---- the node -----------------------------------------------------------------------------------

static void
on_fact(void *context, const struct pirate_worker_trace *trace)
{
    const struct pirate_node *self = context;
    note(self->node.world, &self->node, "fact %llu of the core, %llu", trace->fact, trace->count,
         0);
}

static void
start(struct node *node)
{
    struct pirate_node *self = self_of(node);
    struct pirate_worker_config config = self->plan->config;
    swarm_seed(config.seed, node->world->plan.seed, 300 + node->index, node->life);
    self->memory = world_take_zeroed(node->world, pirate_worker_core_bytes() + 64);
    void *aligned = (void *)(((uintptr_t)self->memory + 63) / 64 * 64);
    self->core = pirate_worker_core_init(aligned, &config, node_now(node));
    pirate_worker_core_trace(self->core, on_fact, self);
}

static void
kill(struct node *node)
{
    struct pirate_node *self = self_of(node);
    check_pirate_end(self);
    if (self->link != NULL)
        link_close(self->link, roll(node->world, STREAM_LINKS, 2) == 0);
    self->link = NULL;
    self->spoke_ns = 0;
    self->given = self->told_count = 0;
    self->answers = 0;
    self->is_refusing = self->has_failed = false;
    self->task = (struct task){0};
    parcel_free_all(node);
    world_give(node->world, self->memory);
    self->memory = NULL;
    self->core = NULL;
}

static uint64_t
deadline(const struct node *node)
{
    return pirate_worker_core_deadline(((const struct pirate_node *)node)->core);
}

static void
audit(const struct node *node)
{
    pirate_worker_core_audit(((const struct pirate_node *)node)->core);
}

static const struct node_kind pirate_kind = {"pirate", start, kill, wake, deadline, audit, NULL};

void
pirate_node_add(struct world *world, uint32_t index)
{
    struct pirate_node *self = world_take_zeroed(world, sizeof *self);
    self->plan = &world->plan.pirates.worker[index];
    world_add_node(world, &self->node, &pirate_kind, index, &self->plan->clock);
}

void
pirate_node_stop(struct node *node)
{
    if (strcmp(node->kind->name, "pirate") == 0) {
        struct pirate_node *self = self_of(node);
        step(self, (struct pirate_worker_event){.kind = PIRATE_WORKER_STOP});
        task_drop(&self->task);
        if (node->core_parcels > 0)
            check_fail(node, "B5 cargo_conserved", "%llu bodies are left of it",
                       (unsigned long long)node->core_parcels);
    }
    node_kill(node);
}

void
pirate_node_release(struct node *node)
{
    if (strcmp(node->kind->name, "pirate") == 0)
        task_release(&self_of(node)->task, node);
    else if (strcmp(node->kind->name, "req") == 0)
        req_node_release(node);
    else if (strcmp(node->kind->name, "server") == 0)
        server_node_release(node);
}

// ---- all of them --------------------------------------------------------------------------------

void
pirate_nodes_add(struct world *world)
{
    const struct pirates_plan *plan = &world->plan.pirates;
    for (uint32_t i = 0; i < world->plan.brokers; i++)
        if (plan->site[i].is_queue)
            broker_node_add_queue(world, i);
        else
            server_node_add(world, i);
    for (uint32_t i = 0; i < plan->workers; i++) {
        if (!plan->site[plan->worker[i].site].is_queue)
            continue; // there is none
        if (plan->worker[i].is_req)
            req_node_add(world, i);
        else
            pirate_node_add(world, i);
    }
    for (uint32_t i = 0; i < plan->lazies; i++)
        lazy_node_add(world, i);
    if (plan->has_stranger || world->plan.has[FAULT_FLOOD])
        pirate_stranger_add(world);
}
