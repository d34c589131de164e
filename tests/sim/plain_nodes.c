// plain_nodes.c - what the Guide's programs are, without our cores: a REQ worker of a simple queue,
// and a server that replies to one request after the other.

#include "check.h"
#include "pirates.h"
#include "workload.h"

enum { STACK_FRAMES_MAX = 8, STACK_BYTES_MAX = 256 };

static const uint64_t second = 1000000000;

// What stands in front of a body, and goes back as it is.
struct way {
    size_t count;
    size_t sizes[STACK_FRAMES_MAX];
    size_t used;
    uint8_t bytes[STACK_BYTES_MAX];
};

// way_read reads frames up to the first empty one; the place behind it, 0 where there is no way.
static size_t
way_read(struct way *self, const struct view *frames, size_t count)
{
    *self = (struct way){0};
    for (size_t i = 0; i < count; i++) {
        if (frames[i].size == 0)
            return i + 1;
        if (self->count == STACK_FRAMES_MAX || self->used + frames[i].size > STACK_BYTES_MAX)
            return 0;
        memcpy(self->bytes + self->used, frames[i].data, frames[i].size);
        self->used += self->sizes[self->count++] = frames[i].size;
    }
    return 0;
}

static void
way_draft(const struct way *self, struct draft *draft)
{
    const uint8_t *at = self->bytes;
    for (size_t i = 0; i < self->count; at += self->sizes[i++])
        draft_add(draft, view_of(at, self->sizes[i]));
    draft_add(draft, VIEW_NONE);
}

static struct parcel *
parcel_of_body(struct node *node, const struct view *frames, size_t count)
{
    static const struct view one_empty_frame[1];
    struct parcel *parcel =
        count > 0 ? parcel_new(node, frames, count) : parcel_new(node, one_empty_frame, 1);
    workload_name(parcel);
    return parcel;
}

static void
no_audit(const struct node *node)
{
    (void)node;
}

static uint64_t
no_deadline(const struct node *node)
{
    (void)node;
    return UINT64_MAX;
}

// ---- a REQ worker -------------------------------------------------------------------------------

struct req_node {
    struct node node;
    const struct pirate_plan *plan;
    struct link *link;
    struct task task;
    struct way way;
    struct parcel *answer; // that waits for a connection
    bool has_said_ready;
};

static struct req_node *
req_of(struct node *node)
{
    return (struct req_node *)node;
}

static void
req_answer(struct req_node *self)
{
    const struct mdp_body none = {0};
    struct draft draft;
    if (self->answer == NULL)
        return;
    draft_begin(&draft);
    draft_add(&draft, VIEW_NONE);
    way_draft(&self->way, &draft);
    draft_body(&draft, &none, self->answer);
    if (link_send(self->link, &draft) != SENT_TAKEN)
        return;
    parcel_free(self->answer);
    self->answer = NULL;
}

static void
req_read(struct req_node *self, const struct message *message)
{
    // The first empty frame is the REQ's own.
    const struct view *frames = message->frames + 2;
    size_t count = message->frame_count - 2;
    if (self->task.request != NULL || self->answer != NULL)
        check_fail(&self->node, "P3 pirate_queue", "it is given a second request");
    size_t at = way_read(&self->way, frames, count);
    if (message->frame_count < 4 || message->frames[1].size != 0 || at < 2)
        check_fail(&self->node, "P3 pirate_queue", "it is given what is no request");
    task_begin(&self->task, &self->node, parcel_of_body(&self->node, frames + at, count - at));
}

// req_is_lost: one that waits over a connection that has ended will never hear of it. Its keeper
// starts it again.
static bool
req_is_lost(struct req_node *self)
{
    struct world *world = self->node.world;
    if (self->task.request != NULL || self->answer != NULL)
        return false;
    mark(world, MARK_REQ_LOST);
    node_kill(&self->node);
    node_start_after(&self->node, roll(world, STREAM_APPS, second));
    return true;
}

static void
req_greet(struct req_node *self)
{
    static const uint8_t ready[] = {1};
    struct draft draft;
    if (self->has_said_ready)
        return;
    draft_begin(&draft);
    draft_add(&draft, VIEW_NONE);
    draft_add(&draft, view_of(ready, 1));
    self->has_said_ready = link_send(self->link, &draft) == SENT_TAKEN;
}

static void
req_wake(struct node *node)
{
    struct req_node *self = req_of(node);
    struct message *message;
    if (task_kills(&self->task, node))
        return;
    if (self->task.request != NULL && self->task.due_ns <= node->world->now_ns)
        self->answer = task_answer(&self->task, node);
    while ((message = mail_take(&self->link->inbox)) != NULL) {
        req_read(self, message);
        world_give(node->world, message);
    }
    for (enum link_news news; (news = link_news(self->link)) != LINK_QUIET;)
        if (news == LINK_BROKEN && self->has_said_ready && req_is_lost(self))
            return;
    req_greet(self);
    req_answer(self);
    if (self->task.request != NULL && self->task.due_ns != UINT64_MAX)
        node_wake_at(node, self->task.due_ns);
}

static uint64_t
req_deadline(const struct node *node)
{
    const struct req_node *self = (const struct req_node *)node;
    // What a full socket did not take: a REQ would wait there.
    bool waits = self->link->pipe != NULL && (self->answer != NULL || !self->has_said_ready);
    return waits ? node_now(node) + second / 100 : UINT64_MAX;
}

static void
req_start(struct node *node)
{
    struct req_node *self = req_of(node);
    self->has_said_ready = false;
    self->link = link_open(node, 0, BROKERS_MAX + self->plan->site, VIEW_NONE);
}

static void
req_kill(struct node *node)
{
    struct req_node *self = req_of(node);
    link_close(self->link, roll(node->world, STREAM_LINKS, 2) == 0);
    self->link = NULL;
    self->task = (struct task){0};
    self->answer = NULL;
    parcel_free_all(node);
}

static const struct node_kind req_kind = {"req",        req_start, req_kill, req_wake,
                                          req_deadline, no_audit,  NULL};

void
req_node_add(struct world *world, uint32_t index)
{
    struct req_node *self = world_take_zeroed(world, sizeof *self);
    self->plan = &world->plan.pirates.worker[index];
    world_add_node(world, &self->node, &req_kind, index, &self->plan->clock);
}

void
req_node_release(struct node *node)
{
    task_release(&req_of(node)->task, node);
}

// ---- a plain server -----------------------------------------------------------------------------

struct server_node {
    struct node node;
    struct router *router;
    struct task task;
    struct way way;
    uint8_t client[ROUTING_ID_MAX];
    size_t client_size;
};

static struct server_node *
server_of(struct node *node)
{
    return (struct server_node *)node;
}

static void
server_read(struct server_node *self, const struct message *message)
{
    size_t count = message->frame_count - 1;
    size_t at = way_read(&self->way, message->frames + 1, count);
    if (at == 0)
        return; // no request: a REP drops it
    self->client_size = message->frames[0].size;
    memcpy(self->client, message->frames[0].data, self->client_size);
    task_begin(&self->task, &self->node,
               parcel_of_body(&self->node, message->frames + 1 + at, count - at));
}

static void
server_reply(struct server_node *self)
{
    struct world *world = self->node.world;
    const struct mdp_body none = {0};
    struct draft draft;
    struct parcel *answer = task_answer(&self->task, &self->node);
    struct view client = view_of(self->client, self->client_size);
    draft_begin(&draft);
    way_draft(&self->way, &draft);
    draft_body(&draft, &none, answer);
    (void)router_send(self->router, client, &draft);
    if (has(world, FAULT_TWICE) && roll(world, STREAM_APPS, 8) == 0) {
        mark(world, MARK_REPLIED_TWICE);
        (void)router_send(self->router, client, &draft);
    }
    parcel_free(answer);
}

static void
server_wake(struct node *node)
{
    struct server_node *self = server_of(node);
    struct message *message;
    if (task_kills(&self->task, node))
        return;
    if (self->task.request != NULL && self->task.due_ns <= node->world->now_ns)
        server_reply(self);
    while (self->task.request == NULL && (message = router_take(self->router)) != NULL) {
        server_read(self, message);
        world_give(node->world, message);
    }
    if (self->task.request != NULL && self->task.due_ns != UINT64_MAX)
        node_wake_at(node, self->task.due_ns);
}

static void
server_start(struct node *node)
{
    (void)node;
}

static void
server_kill(struct node *node)
{
    struct server_node *self = server_of(node);
    links_end_of_broker(node->world, node);
    self->task = (struct task){0};
    parcel_free_all(node);
}

static const struct node_kind server_kind = {"server",    server_start, server_kill, server_wake,
                                             no_deadline, no_audit,     NULL};

void
server_node_add(struct world *world, uint32_t index)
{
    struct server_node *self = world_take_zeroed(world, sizeof *self);
    self->router = links_router(world, index);
    world_add_node(world, &self->node, &server_kind, index, &world->plan.pirates.site[index].clock);
    self->router->node = &self->node;
}

void
server_node_release(struct node *node)
{
    task_release(&server_of(node)->task, node);
}
