// disk.c - one head, one log; when a batch is there, and when it is said to be, are two times.

#include "disk.h"

static const uint64_t ms = 1000000;

struct record {
    struct list_node in_list;
    uint64_t batch;
    size_t size;
    uint8_t bytes[];
};

struct batch {
    struct list_node in_waiting;
    struct list records;
    uint64_t number;
    uint64_t bytes;
    enum disk_result result;
    bool is_there;    // written, or never to be
    bool is_answered; // said to be so
};

static struct world *
world_of(const struct disk *self)
{
    return self->node->world;
}

// dice: faults of a disk's, each as often as the others.
static bool
goes_wrong(const struct disk *self, enum fault fault)
{
    return has(world_of(self), fault) && roll(world_of(self), STREAM_DISK, 16) == 0;
}

struct disk *
disk_new(struct node *node, disk_done_fn *done, void *context)
{
    struct disk *self = world_take_zeroed(node->world, sizeof *self);
    self->node = node;
    self->done = done;
    self->context = context;
    list_init(&self->waiting);
    list_init(&self->kept);
    return self;
}

// ---- records ------------------------------------------------------------------------------------

static void
add_record(struct world *world, struct batch *batch, struct view view)
{
    struct record *record = world_take(world, sizeof *record + view.size);
    *record = (struct record){.batch = batch->number, .size = view.size};
    if (view.size > 0)
        memcpy(record->bytes, view.data, view.size);
    list_append(&batch->records, &record->in_list);
    batch->bytes += view.size;
}

static void
keep(struct disk *self, struct record *record)
{
    self->bytes += record->size;
    list_append(&self->kept, &record->in_list);
}

static void
keep_all(struct disk *self, struct batch *batch)
{
    struct list_node *node;
    while ((node = list_take(&batch->records)) != NULL)
        keep(self, list_object(node, struct record, in_list));
}

static void
drop_all(struct disk *self, struct batch *batch)
{
    struct list_node *node;
    while ((node = list_take(&batch->records)) != NULL)
        world_give(world_of(self), list_object(node, struct record, in_list));
}

static void
release_if_over(struct disk *self, struct batch *batch)
{
    if (!batch->is_there || !batch->is_answered)
        return;
    list_remove(&self->waiting, &batch->in_waiting);
    drop_all(self, batch);
    world_give(world_of(self), batch);
}

// batch_of: NULL where a crash has taken it.
static struct batch *
batch_of(const struct disk *self, uint64_t number)
{
    list_each (node, &self->waiting) {
        struct batch *batch = list_object(node, struct batch, in_waiting);
        if (batch->number == number)
            return batch;
    }
    return NULL;
}

// ---- writing ------------------------------------------------------------------------------------

// decide what becomes of a batch when it is its turn. One that fails is there or not.
static void
decide(struct disk *self, struct batch *batch)
{
    struct world *world = world_of(self);
    batch->is_there = true;
    bool is_full =
        has(world, FAULT_DISK_FULL) && self->bytes + batch->bytes > world->plan.disk.bytes_max;
    if (is_full)
        batch->result = DISK_FULL;
    else if (batch->result == DISK_STOWED && goes_wrong(self, FAULT_DISK_FAIL))
        batch->result = DISK_UNKNOWN;
    if (batch->result == DISK_STOWED ||
        (batch->result == DISK_UNKNOWN && roll(world, STREAM_DISK, 2) == 0))
        keep_all(self, batch);
}

static void
answer(struct disk *self, struct batch *batch)
{
    enum disk_result result = batch->result;
    uint64_t number = batch->number;
    batch->is_answered = true;
    note(world_of(self), self->node, "disk: batch %llu ends as %llu", number, result, 0);
    release_if_over(self, batch);
    self->done(self->context, number, result);
    node_poke(self->node);
}

static void
is_written(struct world *world, void *object, uint64_t number)
{
    (void)world;
    struct disk *self = object;
    struct batch *batch = batch_of(self, number);
    if (batch == NULL)
        return;
    if (batch->is_answered) { // a lie that has come true
        batch->is_there = true;
        keep_all(self, batch);
        release_if_over(self, batch);
        return;
    }
    decide(self, batch);
    answer(self, batch);
}

// is_claimed: a disk that lies says "stowed" of what only its cache has, unless one before
// it has not been answered: answers come in order.
static void
is_claimed(struct world *world, void *object, uint64_t number)
{
    (void)world;
    struct disk *self = object;
    struct batch *batch = batch_of(self, number);
    if (batch == NULL || batch->is_answered)
        return;
    list_each (node, &self->waiting) {
        const struct batch *other = list_object(node, struct batch, in_waiting);
        if (other == batch)
            break;
        if (!other->is_answered)
            return;
    }
    answer(self, batch);
}

static uint64_t
time_of(struct disk *self)
{
    struct world *world = world_of(self);
    const struct disk_plan *plan = &world->plan.disk;
    uint64_t time_ns = roll_between(world, STREAM_DISK, plan->latency_ns_min, plan->latency_ns_max);
    if (goes_wrong(self, FAULT_DISK_SLOW))
        time_ns += roll(world, STREAM_DISK, plan->stall_ns_max);
    return time_ns + 1;
}

uint64_t
disk_submit(struct disk *self, const struct view *records, size_t count)
{
    struct world *world = world_of(self);
    struct batch *batch = world_take(world, sizeof *batch);
    *batch = (struct batch){.number = ++self->last_batch};
    list_init(&batch->records);
    for (size_t i = 0; i < count; i++)
        add_record(world, batch, records[i]);
    list_append(&self->waiting, &batch->in_waiting);
    uint64_t from_ns = self->free_at_ns > world->now_ns ? self->free_at_ns : world->now_ns;
    self->free_at_ns = from_ns + time_of(self);
    note(world, self->node, "disk: batch %llu of %llu records, until %llu ms", batch->number, count,
         self->free_at_ns / ms);
    if (goes_wrong(self, FAULT_DISK_LIE))
        world_at(world, from_ns + (self->free_at_ns - from_ns) / 2, is_claimed, self,
                 batch->number);
    world_at(world, self->free_at_ns, is_written, self, batch->number);
    return batch->number;
}

// ---- the end of a process -----------------------------------------------------------------------

// tear keeps some records of a batch, and the beginning of the one behind them; never all.
static void
tear(struct disk *self, struct batch *batch)
{
    struct world *world = world_of(self);
    struct list_node *node;
    uint64_t whole = batch->records.size == 0 ? 0 : roll(world, STREAM_DISK, batch->records.size);
    while (whole-- > 0 && (node = list_take(&batch->records)) != NULL)
        keep(self, list_object(node, struct record, in_list));
    node = list_first(&batch->records);
    if (node == NULL)
        return;
    struct record *cut = list_object(node, struct record, in_list);
    cut->size = cut->size == 0 ? 0 : roll(world, STREAM_DISK, cut->size);
    if (cut->size == 0)
        return;
    list_remove(&batch->records, node);
    keep(self, cut);
}

void
disk_crash(struct disk *self)
{
    struct world *world = world_of(self);
    struct list_node *node;
    bool goes_on = true; // nothing is there behind a batch that is not
    note(world, self->node, "disk: %llu batches are under way at the end", self->waiting.size, 0,
         0);
    while ((node = list_take(&self->waiting)) != NULL) {
        struct batch *batch = list_object(node, struct batch, in_waiting);
        uint64_t fate = roll(world, STREAM_DISK, 3);
        if (goes_on && fate == 0)
            keep_all(self, batch);
        else if (goes_on && fate == 1)
            tear(self, batch);
        goes_on = goes_on && fate == 0;
        self->lies += batch->is_answered && !goes_on ? 1 : 0;
        drop_all(self, batch);
        world_give(world, batch);
    }
    self->free_at_ns = 0;
}

// ---- reading ------------------------------------------------------------------------------------

void
disk_read(const struct disk *self, disk_record_fn *say, void *context)
{
    list_each (node, &self->kept) {
        const struct record *record = list_object(node, struct record, in_list);
        say(context, view_of(record->bytes, record->size));
    }
}

void
disk_trim(struct disk *self, uint64_t batch)
{
    struct list_node *node;
    while ((node = list_first(&self->kept)) != NULL) {
        struct record *record = list_object(node, struct record, in_list);
        if (record->batch > batch)
            return;
        list_remove(&self->kept, node);
        self->bytes -= record->size;
        world_give(world_of(self), record);
    }
}
