// test_disk.c - what a store may rely on, and what it may not, of the simulated disk.

#include "disk.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { BATCHES_MAX = 64, RECORDS = 3, RECORD_BYTES = 8 };

static const uint64_t second = 1000000000;

// A store: the node that has the disk.
struct store {
    struct node node;
    struct disk *disk;
    enum disk_result results[BATCHES_MAX + 1];
    uint64_t answered; // the last batch
    uint64_t wakes;
};

static void
start(struct node *node)
{
    (void)node;
}

static void
kill(struct node *node)
{
    disk_crash(((struct store *)node)->disk);
}

static void
wake(struct node *node)
{
    ((struct store *)node)->wakes++;
}

static uint64_t
deadline(const struct node *node)
{
    (void)node;
    return UINT64_MAX;
}

static const struct node_kind store_kind = {"store", start, kill, wake, deadline, NULL, NULL};

static void
on_done(void *context, uint64_t batch, enum disk_result result)
{
    struct store *self = context;
    assert_int_equal(batch, self->answered + 1); // in order
    self->answered = batch;
    self->results[batch] = result;
}

// a_store has a disk with these faults, and no other.
static struct store *
a_store(uint64_t seed, uint64_t faults)
{
    struct options options = {.seed = seed, .minutes = 1, .brokers_max = 1};
    struct clock_plan clock = {0};
    struct world *world = world_new(&options, 0xa5);
    for (int i = 0; i < FAULTS; i++)
        world->plan.has[i] = faults >> i & 1;
    struct store *self = world_take_zeroed(world, sizeof *self);
    world_add_node(world, &self->node, &store_kind, 0, &clock);
    self->disk = disk_new(&self->node, on_done, self);
    node_start(&self->node);
    return self;
}

// submit gives a batch whose records say which they are.
static uint64_t
submit(struct store *self)
{
    uint8_t bytes[RECORDS][RECORD_BYTES];
    struct view records[RECORDS];
    for (int i = 0; i < RECORDS; i++) {
        memset(bytes[i], (int)(self->disk->last_batch + 1), RECORD_BYTES);
        bytes[i][0] = (uint8_t)i;
        records[i] = view_of(bytes[i], RECORD_BYTES);
    }
    return disk_submit(self->disk, records, RECORDS);
}

static void
go_on(struct store *self, uint64_t for_ns)
{
    uint64_t until_ns = self->node.world->now_ns + for_ns;
    while (world_step(self->node.world, until_ns))
        continue;
}

static void
end(struct store *self)
{
    world_free(self->node.world);
}

// What is found on the disk: of each batch, how many records are whole.
struct found {
    uint32_t whole[BATCHES_MAX + 1];
    uint32_t cut;
    uint64_t last;
};

static void
find(void *context, struct view record)
{
    struct found *self = context;
    assert_int_equal(self->cut, 0); // nothing stands behind what was torn
    if (record.size < RECORD_BYTES) {
        self->cut++;
        return;
    }
    uint64_t batch = record.data[1];
    assert_true(batch >= self->last);
    assert_int_equal(record.data[0], self->whole[batch]);
    self->whole[batch]++;
    self->last = batch;
}

static struct found
found_on(const struct store *self)
{
    struct found found = {.last = 0};
    disk_read(self->disk, find, &found);
    return found;
}

// ---- the tests ----------------------------------------------------------------------------------

static void
a_batch_ends_later_and_wakes_its_node(void **state)
{
    (void)state;
    struct store *self = a_store(1, 0);
    go_on(self, second);
    uint64_t wakes = self->wakes;
    uint64_t from_ns = self->node.world->now_ns;
    assert_int_equal(submit(self), 1);
    assert_int_equal(self->answered, 0);
    assert_true(self->disk->free_at_ns >= from_ns + self->node.world->plan.disk.latency_ns_min);
    go_on(self, second);
    assert_int_equal(self->answered, 1);
    assert_int_equal(self->results[1], DISK_STOWED);
    assert_true(self->wakes > wakes);
    end(self);
}

static void
what_was_stowed_survives_and_the_rest_is_a_prefix(void **state)
{
    (void)state;
    uint32_t kept = 0, torn = 0, lost = 0, cut = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct store *self = a_store(seed, 0);
        for (int i = 0; i < 8; i++)
            submit(self);
        go_on(self, self->node.world->plan.disk.latency_ns_max * 4);
        uint64_t stowed = self->answered;
        node_kill(&self->node);
        struct found found = found_on(self);
        bool goes_on = true;
        for (uint64_t i = 1; i <= 8; i++) {
            assert_true(goes_on || found.whole[i] == 0);
            goes_on = goes_on && found.whole[i] == RECORDS;
            assert_true(i > stowed || goes_on);
            kept += i > stowed && goes_on ? 1 : 0;
            torn += found.whole[i] > 0 && found.whole[i] < RECORDS ? 1 : 0;
            lost += found.whole[i] == 0 ? 1 : 0;
        }
        cut += found.cut;
        go_on(self, 10 * second);
        assert_int_equal(self->answered, stowed); // nobody is told any more
        end(self);
    }
    assert_true(kept > 0 && torn > 0 && lost > 0 && cut > 0);
}

static void
a_failed_batch_is_there_whole_or_not_at_all(void **state)
{
    (void)state;
    uint32_t there = 0, not_there = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct store *self = a_store(seed, (uint64_t)1 << FAULT_DISK_FAIL);
        for (int i = 0; i < BATCHES_MAX; i++)
            submit(self);
        go_on(self, 60 * second);
        struct found found = found_on(self);
        assert_int_equal(self->answered, BATCHES_MAX);
        for (uint64_t i = 1; i <= BATCHES_MAX; i++) {
            assert_true(found.whole[i] == RECORDS || found.whole[i] == 0);
            assert_true(self->results[i] == DISK_UNKNOWN || found.whole[i] == RECORDS);
            if (self->results[i] == DISK_UNKNOWN)
                *(found.whole[i] > 0 ? &there : &not_there) += 1;
        }
        end(self);
    }
    assert_true(there > 0 && not_there > 0);
}

static void
a_full_disk_takes_batches_again_after_a_trim(void **state)
{
    (void)state;
    struct store *self = a_store(1, (uint64_t)1 << FAULT_DISK_FULL);
    self->node.world->plan.disk.bytes_max = 4 * RECORDS * RECORD_BYTES;
    for (int i = 0; i < 6; i++)
        submit(self);
    go_on(self, 10 * second);
    assert_int_equal(self->results[4], DISK_STOWED);
    assert_int_equal(self->results[5], DISK_FULL);
    assert_int_equal(found_on(self).whole[5], 0);
    disk_trim(self->disk, 2);
    assert_int_equal(self->disk->bytes, 2 * RECORDS * RECORD_BYTES);
    uint64_t batch = submit(self);
    go_on(self, 10 * second);
    assert_int_equal(self->results[batch], DISK_STOWED);
    assert_int_equal(found_on(self).whole[1], 0);
    end(self);
}

static void
a_disk_that_lies_loses_what_it_called_stowed(void **state)
{
    (void)state;
    uint64_t lies = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct store *self = a_store(seed, (uint64_t)1 << FAULT_DISK_LIE);
        for (int i = 0; i < BATCHES_MAX; i++)
            submit(self);
        while (self->answered < 32 && world_step(self->node.world, UINT64_MAX))
            continue;
        uint64_t stowed = self->answered;
        node_kill(&self->node);
        struct found found = found_on(self);
        bool is_lost = false;
        for (uint64_t i = 1; i <= stowed; i++)
            is_lost = is_lost || found.whole[i] != RECORDS;
        assert_int_equal(is_lost, self->disk->lies > 0); // who checks a store can excuse it
        lies += self->disk->lies;
        end(self);
    }
    assert_true(lies > 0);
}

static void
a_slow_disk_keeps_its_order(void **state)
{
    (void)state;
    struct store *self = a_store(3, (uint64_t)1 << FAULT_DISK_SLOW);
    self->node.world->plan.disk.stall_ns_max = 60 * second;
    for (int i = 0; i < BATCHES_MAX; i++)
        submit(self);
    uint64_t most_ns = BATCHES_MAX * self->node.world->plan.disk.latency_ns_max;
    assert_true(self->disk->free_at_ns > most_ns);
    go_on(self, BATCHES_MAX * 61 * second);
    assert_int_equal(self->answered, BATCHES_MAX);
    end(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_ends_later_and_wakes_its_node),
        cmocka_unit_test(what_was_stowed_survives_and_the_rest_is_a_prefix),
        cmocka_unit_test(a_failed_batch_is_there_whole_or_not_at_all),
        cmocka_unit_test(a_full_disk_takes_batches_again_after_a_trim),
        cmocka_unit_test(a_disk_that_lies_loses_what_it_called_stowed),
        cmocka_unit_test(a_slow_disk_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
