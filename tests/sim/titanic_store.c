// titanic_store.c - a log of operations on a disk that fails, in front of the model store.

#include "titanic_store.h"

#include "check_durable.h"
#include "must.h"
#include "rows.h"

#include <stdlib.h>

static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

enum {
    CHECKPOINT_ONE_IN = 32,
    SWEEPS = 16, // in the time for which answers are kept
    NO_MEMORY_ONE_IN = 64,
    FAULT_ONE_IN = 512,
    SWEEP_AGAIN_MS = 1000 // when there was no room for it
};

// What stands in front of each record. A record that was torn is shorter than it says; a batch
// that was torn has fewer of them.
struct head {
    uint64_t batch;
    uint32_t at;
    uint32_t count;
    uint64_t size;
    struct chain chain; // with this record
};

struct record { // of the base
    struct list_node in_base;
    size_t size;
    uint8_t bytes[];
};

static struct stowed *
stowed_of(struct list_node *node)
{
    return list_object(node, struct stowed, in_list);
}

static void on_done(void *context, uint64_t batch, enum disk_result result);
static void on_anchored(void *context, uint64_t batch, enum disk_result result);

struct titanic_store *
titanic_store_new(struct node *node, uint64_t retain_ms, uint64_t anchor_ms)
{
    struct titanic_store *self = world_take_zeroed(node->world, sizeof *self);
    self->node = node;
    self->retain_ms = retain_ms;
    self->disk = disk_new(node, on_done, self);
    self->anchors = disk_new(node, on_anchored, self);
    self->anchor_ns = anchor_ms * ms;
    chain_start(&self->chain_base);
    list_init(&self->waiting);
    list_init(&self->syncing);
    list_init(&self->done);
    list_init(&self->base);
    list_init(&self->gathered);
    return self;
}

// ---- operations as records --------------------------------------------------------------

static bool
changes(const struct durable_op *op)
{
    return op->kind != DURABLE_FETCH && op->kind != DURABLE_LOAD && op->kind != DURABLE_OVERDUE &&
           op->kind != DURABLE_LIST && op->kind != DURABLE_STATS;
}

static size_t
record_bytes(const struct durable_op *op)
{
    size_t body = op->body == NULL ? 0 : sizeof *op->body + op->body->bytes;
    return sizeof(struct head) + sizeof *op + op->service.size + op->key.size + op->reason.size +
           op->filter.service.size + body;
}

static uint8_t *
put(uint8_t *to, struct view bytes)
{
    if (bytes.size > 0)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static struct view
write_record(struct titanic_store *self, const struct durable_op *op, struct head head)
{
    struct world *world = self->node->world;
    uint8_t audit[AUDIT_RECORD_BYTES_MAX];
    struct view text = chain_add(&self->chain_next, op, audit);
    check_chain_given(self->node, &self->chain_next, text);
    head.chain = self->chain_next;
    head.size = record_bytes(op);
    uint8_t *bytes = world_take(world, head.size);
    uint8_t *to = put(bytes, view_of(&head, sizeof head));
    to = put(to, view_of(op, sizeof *op));
    to = put(put(put(put(to, op->service), op->key), op->reason), op->filter.service);
    if (op->body != NULL)
        (void)put(to, view_of(op->body, sizeof *op->body + op->body->bytes));
    return view_of(bytes, head.size);
}

static struct view
get(const uint8_t **from, size_t size)
{
    struct view text = view_of(*from, size);
    *from += size;
    return text;
}

// read_record makes the operation of a record again; its texts stand in the record, its body is
// from malloc.
static void
read_record(const uint8_t *from, struct durable_op *op)
{
    memcpy(op, from, sizeof *op);
    from += sizeof *op;
    op->service = get(&from, op->service.size);
    op->key = get(&from, op->key.size);
    op->reason = get(&from, op->reason.size);
    op->filter.service = get(&from, op->filter.service.size);
    if (op->body == NULL)
        return;
    struct durable_body head;
    memcpy(&head, from, sizeof head);
    struct durable_body *body = body_new(head.frames, head.fields_bytes, head.bytes);
    memcpy(body->data, from + sizeof head, head.bytes);
    op->body = body;
}

// ---- a start ----------------------------------------------------------------------------

static void
add_record(struct world *world, struct list *list, struct view view)
{
    struct record *record = world_take(world, sizeof *record + view.size);
    *record = (struct record){.size = view.size};
    memcpy(record->bytes, view.data, view.size);
    list_append(list, &record->in_base);
}

static void
clear(struct world *world, struct list *list)
{
    struct list_node *node;
    while ((node = list_take(list)) != NULL)
        world_give(world, list_object(node, struct record, in_base));
}

static void
release_found(struct durable_op *op)
{
    free(op->reply);
    store_rows_free(op->found);
    op->reply = NULL;
    op->found = NULL;
}

static void
sweep(struct titanic_store *self, const struct durable_op *op)
{
    bool has_more;
    must(store_idle(self->store, op->now_ms, &has_more) == STORE_COMMITTED);
    self->replay(self->replay_context, op);
}

// chain_found goes on with a record that a start finds. Those of the base have been looked at.
static void
chain_found(struct titanic_store *self, const struct record *record, const struct durable_op *op)
{
    uint8_t audit[AUDIT_RECORD_BYTES_MAX];
    struct head head;
    memcpy(&head, record->bytes, sizeof head);
    if (head.chain.count <= self->chain_base.count)
        return;
    (void)chain_add(&self->chain, op, audit);
    if (memcmp(&self->chain, &head.chain, sizeof self->chain) != 0)
        check_fail(self->node, "T7 chain_holds", "record %llu is not what was chained",
                   (unsigned long long)head.chain.count);
}

static void
do_again(struct titanic_store *self)
{
    struct list_node *node;
    while ((node = list_take(&self->gathered)) != NULL) {
        struct record *record = list_object(node, struct record, in_base);
        struct durable_op op, *ops[1] = {&op};
        read_record(record->bytes + sizeof(struct head), &op);
        chain_found(self, record, &op);
        if ((int)op.kind == STORE_SWEEP) {
            sweep(self, &op);
        } else {
            must(store_apply(self->store, ops, 1) == STORE_COMMITTED);
            self->replay(self->replay_context, &op);
        }
        release_found(&op);
        free((void *)(uintptr_t)op.body);
        world_give(self->node->world, record);
    }
}

// on_record gathers the records of a batch, and does them where all of them are there.
static void
on_record(void *context, struct view view)
{
    struct titanic_store *self = context;
    struct world *world = self->node->world;
    struct head head;
    if (view.size < sizeof head)
        return;
    memcpy(&head, view.data, sizeof head);
    if (view.size != head.size) {
        mark(world, MARK_TORN);
        return;
    }
    if (head.at == 0) {
        clear(world, &self->gathered);
        self->gathering = head.batch;
        self->gathered_count = 0;
    }
    if (head.batch != self->gathering || head.at != self->gathered_count)
        return;
    self->gathered_count++;
    add_record(world, &self->gathered, view);
    if (self->gathered_count == head.count)
        do_again(self);
}

void
titanic_store_open(struct titanic_store *self, titanic_store_replay_fn *replay, void *context)
{
    struct store_options options = {.retain_ms = self->retain_ms};
    struct store_error error;
    self->store = store_open_memory(&options, &error);
    self->replay = replay;
    self->replay_context = context;
    self->gathering = 0;
    self->chain = self->chain_base;
    list_each (node, &self->base) {
        const struct record *record = list_object(node, struct record, in_base);
        on_record(self, view_of(record->bytes, record->size));
    }
    disk_read(self->disk, on_record, self);
    clear(self->node->world, &self->gathered);
    self->was_lied_to = self->disk->lies > self->lies_known;
    self->lies_known = self->disk->lies;
    self->chain_next = self->chain;
    struct chain anchor = anchor_read(self->anchors);
    check_chain_found(self->node, &self->chain, &anchor, self->was_lied_to);
    // An operator has seen what is missing, and goes on without it.
    if (anchor.count > self->chain.count)
        disk_trim(self->anchors, self->anchors->last_batch);
    self->anchored = anchor.count < self->chain.count ? anchor.count : 0;
    self->anchoring = self->anchor_due_ns = 0;
    self->has_room = true;
    self->is_in_doubt = self->is_second_try = self->is_sweeping = false;
    self->is_short = self->is_faulty = self->is_unreadable = false;
    self->sweep_due_ms = 0;
    self->batch = 0;
}

static void
forget_all(struct titanic_store *self, struct list *list)
{
    struct list_node *node;
    while ((node = list_take(list)) != NULL) {
        if (stowed_of(node)->op.kind == DURABLE_ANSWER)
            mark(self->node->world, MARK_ANSWER_LOST);
        release_found(&stowed_of(node)->op);
        world_give(self->node->world, stowed_of(node));
    }
}

void
titanic_store_crash(struct titanic_store *self)
{
    disk_crash(self->disk);
    disk_crash(self->anchors);
    forget_all(self, &self->waiting);
    forget_all(self, &self->syncing);
    forget_all(self, &self->done);
    store_close(self->store);
    self->store = NULL;
}

uint64_t
titanic_store_clock_ms(const struct titanic_store *self)
{
    struct store_info info;
    store_info(self->store, &info);
    // The wall clock there: some day, and what it was set by since.
    int64_t wall_ms = (int64_t)WALL_MS + (int64_t)(self->node->world->now_ns / ms) +
                      self->node->wall_ns / (int64_t)ms;
    return (uint64_t)wall_ms > info.clock_ms ? (uint64_t)wall_ms : info.clock_ms;
}

uint64_t
titanic_store_pending(const struct titanic_store *self)
{
    struct store_info info;
    store_info(self->store, &info);
    return info.pending;
}

// ---- batches ----------------------------------------------------------------------------

void
titanic_store_push(struct titanic_store *self, const struct durable_op *op)
{
    struct stowed *stowed = world_take(self->node->world, sizeof *stowed);
    *stowed = (struct stowed){.op = *op};
    list_append(&self->waiting, &stowed->in_list);
}

static bool
needs_room(const struct durable_op *op)
{
    return op->kind == DURABLE_SUBMIT || op->kind == DURABLE_ANSWER;
}

// is_in_batch: the others are refused. Where room is short those are the submits alone, where a
// disk is full answers too (store_writer.c).
static bool
is_in_batch(const struct titanic_store *self, const struct durable_op *op)
{
    if (self->is_short && op->kind == DURABLE_SUBMIT)
        return false;
    return !self->is_second_try || !needs_room(op);
}

// look_for_room refuses what is new in good time.
static void
look_for_room(struct titanic_store *self)
{
    const struct world *world = self->node->world;
    if (!has(world, FAULT_DISK_FULL) || self->disk->bytes <= world->plan.disk.bytes_max / 4 * 3)
        return;
    self->is_short = true;
    self->has_room = false;
    self->look_due_ns = world->now_ns + second;
}

// commit: the disk has the batch, or there was nothing to be written.
static void
commit(struct titanic_store *self)
{
    struct list_node *node;
    if (self->is_sweeping)
        sweep(self, &self->sweep);
    while ((node = list_take(&self->syncing)) != NULL) {
        struct durable_op *op = &stowed_of(node)->op;
        if (stowed_of(node)->is_in_batch)
            must(store_apply(self->store, &op, 1) == STORE_COMMITTED);
        else
            op->outcome = DURABLE_REFUSED;
        list_append(&self->done, node);
    }
    self->chain = self->chain_next;
    self->batch = 0;
    self->is_second_try = self->is_sweeping = false;
    look_for_room(self);
    node_poke(self->node);
}

// refuse refuses all of the batch: it was rolled back.
static void
refuse(struct titanic_store *self)
{
    struct list_node *node;
    while ((node = list_take(&self->syncing)) != NULL) {
        stowed_of(node)->op.outcome = DURABLE_REFUSED;
        list_append(&self->done, node);
    }
    self->batch = 0;
    self->is_second_try = self->is_sweeping = false;
    node_poke(self->node);
}

// only_read: a store at fault says what it has, where that can be read, and changes nothing.
static void
only_read(struct titanic_store *self)
{
    struct list_node *node;
    while ((node = list_take(&self->syncing)) != NULL) {
        struct durable_op *op = &stowed_of(node)->op;
        op->outcome = DURABLE_REFUSED;
        if (!changes(op) && !self->is_unreadable) {
            mark(self->node->world, MARK_READ_AT_FAULT);
            must(store_apply(self->store, &op, 1) == STORE_COMMITTED);
        }
        list_append(&self->done, node);
    }
    node_poke(self->node);
}

// goes_wrong: does the batch find no memory, or the store something that only an operator mends?
// All of it is refused then.
static bool
goes_wrong(struct titanic_store *self)
{
    struct world *world = self->node->world;
    if (has(world, FAULT_MEMORY) && roll(world, STREAM_MEMORY, NO_MEMORY_ONE_IN) == 0) {
        mark(world, MARK_BATCH_NO_MEMORY);
        return true;
    }
    if (!has(world, FAULT_DISK_FAULT) || roll(world, STREAM_DISK, FAULT_ONE_IN) != 0)
        return false;
    mark(world, MARK_STORE_FAULT);
    note(world, self->node, "its store is at fault", 0, 0, 0);
    self->is_faulty = true;
    self->is_unreadable = roll(world, STREAM_DISK, 2) == 0;
    self->has_room = false;
    return true;
}

// ---- the anchor -------------------------------------------------------------------------

static void
on_anchored(void *context, uint64_t batch, enum disk_result result)
{
    struct titanic_store *self = context;
    if (self->store == NULL || batch != self->anchoring)
        return;
    self->anchoring = 0;
    self->was_anchored = result == DISK_STOWED;
    if (result == DISK_UNKNOWN) {
        mark(self->node->world, MARK_ANCHOR_DOUBT);
        self->is_in_doubt = true;
    } else if (result == DISK_STOWED && batch > 2) {
        disk_trim(self->anchors, batch - 2); // there are two slots
    }
}

// begin_anchor notes how far the store has come, where it is time to; false: it is not.
static bool
begin_anchor(struct titanic_store *self)
{
    const struct world *world = self->node->world;
    if (self->chain.count == self->anchored)
        return false;
    if (world->now_ns < self->anchor_due_ns) {
        node_wake_at(self->node, self->anchor_due_ns);
        return false;
    }
    struct view anchor = view_of(&self->chain, sizeof self->chain);
    self->anchor_due_ns = world->now_ns + self->anchor_ns;
    self->anchored = self->chain.count;
    self->anchoring = disk_submit(self->anchors, &anchor, 1);
    return true;
}

// ---- batches, to the disk ---------------------------------------------------------------

// submit gives the disk what of the batch is to be written.
static void
submit(struct titanic_store *self)
{
    struct world *world = self->node->world;
    uint32_t count = 0;
    self->chain_next = self->chain;
    list_each (node, &self->syncing) {
        struct stowed *stowed = stowed_of(node);
        stowed->is_in_batch = is_in_batch(self, &stowed->op); // there may be room when it is done
        count += changes(&stowed->op) && stowed->is_in_batch;
    }
    if (count == 0) {
        commit(self);
        return;
    }
    struct view *records = world_take(world, count * sizeof *records);
    struct head head = {.batch = self->disk->last_batch + 1, .count = count};
    list_each (node, &self->syncing) {
        const struct durable_op *op = &stowed_of(node)->op;
        if (changes(op) && stowed_of(node)->is_in_batch) {
            records[head.at] = write_record(self, op, head);
            head.at++;
        }
    }
    self->batch = disk_submit(self->disk, records, count);
    for (uint32_t i = 0; i < count; i++)
        world_give(world, (void *)(uintptr_t)records[i].data);
    world_give(world, records);
}

static void
add_to_base(void *context, struct view view)
{
    struct titanic_store *self = context;
    add_record(self->node->world, &self->base, view);
}

// checkpoint takes the log over into what always fits, as SQLite does with its own.
static void
checkpoint(struct titanic_store *self)
{
    // What a disk has only claimed to have is not there to be taken over.
    if (!list_is_empty(&self->disk->waiting))
        return;
    disk_read(self->disk, add_to_base, self);
    self->chain_base = self->chain;
    disk_trim(self->disk, self->disk->last_batch);
}

static void
on_done(void *context, uint64_t batch, enum disk_result result)
{
    struct titanic_store *self = context;
    if (self->store == NULL || batch != self->batch)
        return;
    if (result == DISK_UNKNOWN) {
        mark(self->node->world, MARK_DOUBT);
        self->is_in_doubt = true;
    } else if (result == DISK_FULL && self->is_sweeping) {
        self->sweep_due_ms += SWEEP_AGAIN_MS;
        refuse(self);
    } else if (result == DISK_FULL) {
        mark(self->node->world, MARK_DISK_FULL);
        self->has_room = false;
        self->look_due_ns = self->node->world->now_ns + second;
        bool was_second_try = self->is_second_try;
        self->is_second_try = true;
        if (was_second_try)
            refuse(self);
        else
            submit(self);
    } else {
        commit(self);
        if (roll(self->node->world, STREAM_DISK, CHECKPOINT_ONE_IN) == 0)
            checkpoint(self);
    }
}

// begin_sweep lets go of what has passed its time, where it is time to look; false: it is not.
static bool
begin_sweep(struct titanic_store *self, uint64_t now_ms)
{
    struct world *world = self->node->world;
    if (self->retain_ms >= UINT64_MAX / 4)
        return false;
    if (now_ms < self->sweep_due_ms) {
        node_wake_at(self->node, world->now_ns + (self->sweep_due_ms - now_ms) * ms);
        return false;
    }
    self->sweep_due_ms = now_ms + self->retain_ms / SWEEPS + 1;
    self->sweep = (struct durable_op){.kind = (enum durable_op_kind)STORE_SWEEP, .now_ms = now_ms};
    self->is_sweeping = true;
    struct head head = {.batch = self->disk->last_batch + 1, .count = 1};
    self->chain_next = self->chain;
    struct view record = write_record(self, &self->sweep, head);
    self->batch = disk_submit(self->disk, &record, 1);
    world_give(world, (void *)(uintptr_t)record.data);
    return true;
}

// look_again: is there room again?
static void
look_again(struct titanic_store *self)
{
    struct world *world = self->node->world;
    if (self->has_room || self->is_faulty)
        return;
    if (world->now_ns >= self->look_due_ns) {
        self->look_due_ns = world->now_ns + second;
        if (roll(world, STREAM_DISK, 4) == 0)
            checkpoint(self);
        self->has_room =
            !has(world, FAULT_DISK_FULL) || self->disk->bytes < world->plan.disk.bytes_max / 2;
        self->is_short = self->is_short && !self->has_room;
        if (self->has_room) {
            mark(world, MARK_ROOM_AGAIN);
            node_poke(self->node);
        }
    }
    if (!self->has_room)
        node_wake_at(self->node, self->look_due_ns);
}

bool
titanic_store_is_ahead(struct titanic_store *self)
{
    bool was_anchored = self->was_anchored;
    self->was_anchored = false;
    return was_anchored && !list_is_empty(&self->disk->waiting);
}

void
titanic_store_flush(struct titanic_store *self, uint64_t now_ms)
{
    look_again(self);
    if (self->batch != 0 || self->anchoring != 0 || self->is_in_doubt)
        return;
    if (!self->is_faulty && (begin_anchor(self) || begin_sweep(self, now_ms)))
        return;
    if (list_is_empty(&self->waiting))
        return;
    struct list_node *node;
    while (self->syncing.size < STORE_BATCH_OPS_MAX && (node = list_take(&self->waiting)) != NULL)
        list_append(&self->syncing, node);
    if (self->is_faulty)
        only_read(self);
    else if (goes_wrong(self))
        refuse(self);
    else
        submit(self);
}

struct stowed *
titanic_store_take(struct titanic_store *self)
{
    struct list_node *node = list_take(&self->done);
    return node == NULL ? NULL : stowed_of(node);
}

void
titanic_store_give(struct titanic_store *self, struct stowed *stowed)
{
    world_give(self->node->world, stowed);
}
