// lazy_node.c - a lazy client and its application: lazy_pirate.c, without a socket.
//
// As there everything happens inside a call: what comes in between waits for the next one. Each
// attempt has a number behind the body, so that the digest in an answer says which it answers.

#include "bytes.h"
#include "check.h"
#include "lazy_wire.h"
#include "pirates.h"
#include "workload.h"

enum { LOOKS_MAX = 1000 };

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

static struct lazy_node *
self_of(struct node *node)
{
    return (struct lazy_node *)node;
}

// ---- the socket ---------------------------------------------------------------------------------

// open_socket returns false where it could not be begun.
static bool
open_socket(struct lazy_node *self, uint32_t endpoint)
{
    struct world *world = self->node.world;
    if (self->link != NULL)
        world_fail(world, "W4 memory_and_fds_bounded", "lazy%u opens a second socket",
                   self->node.index);
    if (has(world, FAULT_UNOPENED) && roll(world, STREAM_MEMORY, 4) == 0) {
        mark(world, MARK_LAZY_UNOPENED);
        return false;
    }
    self->site = self->plan->sites[endpoint];
    self->calls_of_link = 0;
    self->link = link_open(&self->node, 0, self->site, VIEW_NONE);
    self->link->wants_refusals = true;
    return true;
}

static void
close_socket(struct lazy_node *self)
{
    if (self->link != NULL)
        link_close(self->link, false);
    self->link = NULL;
}

static bool
send_request(struct lazy_node *self, uint32_t id)
{
    struct world *world = self->node.world;
    uint8_t number[8];
    struct view frames[WORK_FRAMES_MAX + 1];
    struct mdp_body body = parcel_body(self->request);
    struct lazy_head head;
    struct draft draft;
    size_t count = 0;
    for (size_t cursor = 0; mdp_body_next(&body, &cursor, &frames[count]);)
        count++;
    bytes_put64(number, ++self->serial);
    frames[count++] = view_of(number, sizeof number);
    body = mdp_body_of(frames, count);
    lazy_wire_head(&head, self->plan->config.has_ids, id);
    draft_begin(&draft);
    for (size_t i = 0; i < head.frame_count; i++)
        draft_add(&draft, head.frames[i]);
    draft_body(&draft, &body, NULL);
    // Now and then it turns out that both had not shaken hands yet.
    bool is_early = has(world, FAULT_FULL) && roll(world, STREAM_LINKS, 50) == 0;
    if (is_early || self->link == NULL || link_send(self->link, &draft) != SENT_TAKEN) {
        mark(world, MARK_LAZY_UNSENT);
        return false;
    }
    check_lazy_sent(self, &body);
    return true;
}

// ---- stepping the core --------------------------------------------------------------------------

static void
answer(struct lazy_node *self, const struct lazy_effect *effect)
{
    check_lazy_answer(self, effect);
    self->is_over = true;
    self->is_calling = false;
    parcel_free(self->request);
    self->request = NULL;
    struct world *world = self->node.world;
    self->next_call_ns = world->now_ns + roll_gap(world, STREAM_CALLS, self->plan->think_ns);
}

// carry_out does what a step asks for. What came of it is the next event: false where there is
// none.
static bool
carry_out(struct lazy_node *self, struct lazy_event *event)
{
    bool has_event = false;
    for (size_t i = 0; i < self->effects.count; i++) {
        const struct lazy_effect *effect = &self->effects.list[i];
        check_lazy_effect(self, effect);
        switch (effect->kind) {
        case LAZY_OPEN:
            if (!open_socket(self, effect->endpoint)) {
                event->kind = LAZY_UNOPENED;
                has_event = true;
            }
            break;
        case LAZY_CLOSE:
            close_socket(self);
            break;
        case LAZY_SEND:
            if (!send_request(self, effect->id)) {
                event->kind = LAZY_UNSENT;
                has_event = true;
            }
            break;
        case LAZY_RETRY:
            mark(self->node.world, MARK_LAZY_RETRIED);
            break;
        case LAZY_ANSWER:
            answer(self, effect);
            break;
        }
    }
    return has_event;
}

static void
step(struct lazy_node *self, struct lazy_event event)
{
    do {
        event.now_ns = node_now(&self->node);
        lazy_core_step(&self->core, &event, &self->effects);
    } while (carry_out(self, &event));
}

// ---- a round ------------------------------------------------------------------------------------

static void
on_message(struct lazy_node *self, const struct message *message)
{
    struct lazy_event event = {.kind = LAZY_REPLY};
    self->body_at = lazy_wire_reply(message->frames + 1, message->frame_count - 1,
                                    self->plan->config.has_ids, &event.id);
    event.is_sound = self->body_at > 0;
    self->heard = message;
    note(self->node.world, &self->node, "hears a reply, %llu frames, id %llu", message->frame_count,
         event.id, 0);
    bool is_stray = !self->is_calling;
    step(self, event);
    self->heard = NULL;
    if (is_stray)
        check_lazy_strayed(self);
}

// look takes one thing that the socket has for us. False: nothing.
static bool
look(struct lazy_node *self)
{
    struct message *message = self->link == NULL ? NULL : mail_take(&self->link->inbox);
    if (message != NULL) {
        on_message(self, message);
        world_give(self->node.world, message);
        return true;
    }
    if (self->link == NULL)
        return false;
    enum link_news news = link_news(self->link);
    if (news == LINK_QUIET) {
        if (!link_was_refused(self->link))
            return false;
        mark(self->node.world, MARK_LAZY_REFUSED);
        news = LINK_BROKEN;
    }
    step(self, (struct lazy_event){.kind = news == LINK_MADE ? LAZY_UP : LAZY_DOWN});
    return true;
}

static void
look_around(struct lazy_node *self)
{
    for (int i = 0; i < LOOKS_MAX && !self->is_over && look(self); i++)
        continue;
}

static void
call(struct lazy_node *self)
{
    struct world *world = self->node.world;
    // What came since the last call is stale, and the connection may have been cut.
    self->is_over = false;
    look_around(self);
    self->call = check_new_lazy_call(world, self->node.life);
    self->request = workload_request(&self->node, self->call);
    self->is_calling = true;
    note(world, &self->node, "calls, call %llu", self->call, 0, 0);
    check_lazy_call(self);
    step(self, (struct lazy_event){.kind = LAZY_CALL});
}

// cancel_some: an application that is interrupted.
static void
cancel_some(struct lazy_node *self)
{
    struct world *world = self->node.world;
    if (!self->is_calling || !has(world, FAULT_CANCEL) || roll(world, STREAM_CALLS, 200) != 0)
        return;
    step(self, (struct lazy_event){.kind = LAZY_CANCEL});
    mark(world, MARK_LAZY_CANCELLED);
    self->is_calling = false;
    parcel_free(self->request);
    self->request = NULL;
    self->next_call_ns = world->now_ns;
}

static bool
may_call(const struct lazy_node *self)
{
    const struct world *world = self->node.world;
    if (self->is_calling)
        return false;
    return self->is_probe ? self->call == 0
                          : !world->is_healed && world->now_ns >= self->next_call_ns;
}

static void
wake(struct node *node)
{
    struct lazy_node *self = self_of(node);
    if (may_call(self))
        call(self);
    for (int i = 0; i < 64 && self->is_calling; i++) {
        look_around(self);
        if (!self->is_calling || lazy_core_deadline(&self->core) > node_now(node))
            break;
        step(self, (struct lazy_event){.kind = LAZY_TICK});
    }
    cancel_some(self);
    check_lazy_turn(self);
    if (!self->is_calling && !self->is_probe && !node->world->is_healed)
        node_wake_at(node, self->next_call_ns);
}

// ---- the node -----------------------------------------------------------------------------------

static void
start(struct node *node)
{
    struct lazy_node *self = self_of(node);
    struct lazy_config config = self->plan->config;
    swarm_seed(config.seed, node->world->plan.seed, 400 + node->number, node->life);
    lazy_core_init(&self->core, &config);
    self->next_call_ns =
        node->world->now_ns + roll(node->world, STREAM_CALLS, self->plan->think_ns);
}

static void
kill(struct node *node)
{
    struct lazy_node *self = self_of(node);
    check_lazy_end(self);
    close_socket(self);
    self->is_calling = false;
    self->request = NULL;
    parcel_free_all(node);
}

static uint64_t
deadline(const struct node *node)
{
    const struct lazy_node *self = (const struct lazy_node *)node;
    return self->is_calling ? lazy_core_deadline(&self->core) : UINT64_MAX;
}

static void
audit(const struct node *node)
{
    (void)node;
}

static const struct node_kind lazy_kind = {"lazy", start,           kill, wake, deadline,
                                           audit,  check_lazy_slept};
static const struct node_kind probe_kind = {"probe", start,           kill, wake, deadline,
                                            audit,   check_lazy_slept};

static struct lazy_node *
add(struct world *world, uint32_t index, const struct lazy_plan *plan, const struct node_kind *kind)
{
    struct lazy_node *self = world_take_zeroed(world, sizeof *self);
    self->plan = plan;
    world_add_node(world, &self->node, kind, index, &plan->clock);
    return self;
}

void
lazy_node_add(struct world *world, uint32_t index)
{
    (void)add(world, index, &world->plan.pirates.lazy[index], &lazy_kind);
}

bool
lazy_node_is_calling(const struct node *node)
{
    return ((const struct lazy_node *)node)->is_calling;
}

struct node *
lazy_node_add_probe(struct world *world, uint32_t site)
{
    struct lazy_plan *plan = world_take_zeroed(world, sizeof *plan);
    plan->sites[0] = site;
    plan->think_ns = 1;
    plan->config = (struct lazy_config){
        .endpoint_count = 1,
        .timeout_ms = (uint32_t)((swarm_patience_ns(&world->plan) + 20 * second) / ms),
        .attempts = 5, // a queue may give one up with the worker that has it
    };
    struct lazy_node *self = add(world, site, plan, &probe_kind);
    self->is_probe = true;
    return &self->node;
}

bool
lazy_node_has_answer(const struct node *node)
{
    const struct lazy_node *self = (const struct lazy_node *)node;
    return self->call != 0 && !self->is_calling;
}
