// test_world.c - the clocks of a node: what goes on while it sleeps, and what may be set.

#include "world.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint64_t second = 1000000000;

struct sleeper {
    struct node node;
    uint64_t slept_ns;
    uint64_t woke_at_ns; // by its clock
};

static void
start(struct node *node)
{
    (void)node;
}

static void
wake(struct node *node)
{
    ((struct sleeper *)node)->woke_at_ns = node_now(node);
}

static uint64_t
deadline(const struct node *node)
{
    (void)node;
    return UINT64_MAX;
}

static void
slept(struct node *node, uint64_t slept_ns)
{
    ((struct sleeper *)node)->slept_ns += slept_ns;
}

static const struct node_kind sleeper_kind = {"sleeper", start, start, wake, deadline, NULL, slept};

static struct sleeper *
a_sleeper(uint64_t offset_ns)
{
    struct options options = {.seed = 1, .minutes = 1, .brokers_max = 1};
    struct clock_plan clock = {.offset_ns = offset_ns};
    struct world *world = world_new(&options, 0xa5);
    struct sleeper *self = world_take_zeroed(world, sizeof *self);
    world_add_node(world, &self->node, &sleeper_kind, 0, &clock);
    node_start(&self->node);
    while (world_step(world, second))
        continue;
    return self;
}

static void
a_machine_that_slept_has_a_later_clock_and_the_world_has_not(void **state)
{
    (void)state;
    struct sleeper *self = a_sleeper(0);
    struct world *world = self->node.world;
    uint64_t now_ns = world->now_ns;
    node_suspend(&self->node, 50 * second);
    while (world_step(world, now_ns + second))
        continue;
    assert_int_equal(world->now_ns, now_ns + second);
    assert_int_equal(self->slept_ns, 50 * second);
    assert_true(self->woke_at_ns >= now_ns + 50 * second);
    world_free(world);
}

static void
a_sleep_within_a_pause_counts_once(void **state)
{
    (void)state;
    struct sleeper *self = a_sleeper(0);
    struct world *world = self->node.world;
    node_stand(&self->node, world->now_ns + 2 * second);
    node_suspend(&self->node, 50 * second);
    while (world_step(world, world->now_ns + 10 * second))
        continue;
    assert_int_equal(self->slept_ns, 52 * second);
    world_free(world);
}

static void
a_wall_clock_that_is_set_is_not_the_clock_of_the_node(void **state)
{
    (void)state;
    struct sleeper *self = a_sleeper(((uint64_t)1 << 63) - second);
    uint64_t now_ns = node_now(&self->node);
    assert_true(now_ns >= (uint64_t)1 << 63);
    assert_int_equal(node_wall(&self->node), now_ns);
    self->node.wall_ns = -(int64_t)(3600 * second);
    assert_int_equal(node_now(&self->node), now_ns);
    assert_int_equal(node_wall(&self->node), now_ns - 3600 * second);
    world_free(self->node.world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_that_slept_has_a_later_clock_and_the_world_has_not),
        cmocka_unit_test(a_sleep_within_a_pause_counts_once),
        cmocka_unit_test(a_wall_clock_that_is_set_is_not_the_clock_of_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
