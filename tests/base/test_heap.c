// test_heap.c - the smallest key is first, after any number of moves.

#include "heap.h"

#include "ending.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    CAPACITY = 64,
    STEPS = 50000,
    KEYS = 40 // fewer than nodes, so that keys are equal
};

static struct heap_node *memory[CAPACITY + 1];

static struct heap
new_heap(void)
{
    struct heap heap;
    assert_true(heap_bytes(CAPACITY) <= sizeof memory);
    heap_init(&heap, CAPACITY, memory);
    return heap;
}

static void
empty_heap_is_never_due(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    assert_null(heap_first(&heap));
    assert_true(heap_first_key(&heap) == UINT64_MAX);
}

static void
smallest_key_is_first(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    struct heap_node nodes[3] = {0};
    heap_set(&heap, &nodes[0], 20);
    heap_set(&heap, &nodes[1], 10);
    heap_set(&heap, &nodes[2], 30);
    assert_ptr_equal(heap_first(&heap), &nodes[1]);
    assert_int_equal(heap_first_key(&heap), 10);
}

static void
node_that_is_set_again_moves(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    struct heap_node nodes[2] = {0};
    heap_set(&heap, &nodes[0], 10);
    heap_set(&heap, &nodes[1], 20);
    heap_set(&heap, &nodes[0], 30);
    assert_ptr_equal(heap_first(&heap), &nodes[1]);
    assert_int_equal(heap.size, 2);
}

static void
removed_node_can_be_set_again(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    struct heap_node node = {0};
    heap_set(&heap, &node, 10);
    heap_remove(&heap, &node);
    assert_false(heap_holds(&node));
    heap_set(&heap, &node, 20);
    assert_ptr_equal(heap_first(&heap), &node);
}

static void
node_on_no_heap_may_be_removed(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    struct heap_node node = {0};
    heap_remove(&heap, &node);
    assert_int_equal(heap.size, 0);
}

static void
greatest_key_of_all_may_be_set(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    struct heap_node node = {0};
    heap_set(&heap, &node, UINT64_MAX);
    assert_ptr_equal(heap_first(&heap), &node);
}

static void
set_beyond_capacity(void)
{
    struct heap heap;
    static struct heap_node nodes[CAPACITY + 1];
    heap_init(&heap, CAPACITY, memory);
    for (int i = 0; i <= CAPACITY; i++)
        heap_set(&heap, &nodes[i], 1);
}

static void
remove_from_another_heap(void)
{
    static struct heap_node *other_memory[CAPACITY + 1];
    struct heap heap, other;
    struct heap_node node = {0}, stranger = {0};
    heap_init(&heap, CAPACITY, memory);
    heap_init(&other, CAPACITY, other_memory);
    heap_set(&heap, &node, 1);
    heap_set(&other, &stranger, 1);
    heap_remove(&heap, &stranger);
}

static void
misuse_of_a_heap_ends_the_process(void **state)
{
    (void)state;
    assert_true(ends_by_must(set_beyond_capacity));
    assert_true(ends_by_must(remove_from_another_heap));
}

// ---- against a model: the nodes themselves, searched one by one -----------------------------

static uint64_t
smallest_of(const struct heap_node *nodes)
{
    uint64_t smallest = UINT64_MAX;
    for (int i = 0; i < CAPACITY; i++)
        if (heap_holds(&nodes[i]) && nodes[i].key < smallest)
            smallest = nodes[i].key;
    return smallest;
}

static void
assert_places(const struct heap *heap, const struct heap_node *nodes)
{
    size_t held = 0;
    for (int i = 0; i < CAPACITY; i++) {
        if (!heap_holds(&nodes[i]))
            continue;
        held++;
        assert_true(nodes[i].place <= heap->size);
        assert_ptr_equal(heap->nodes[nodes[i].place], &nodes[i]);
        if (nodes[i].place > 1)
            assert_true(heap->nodes[nodes[i].place / 2]->key <= nodes[i].key);
    }
    assert_int_equal(held, heap->size);
}

static void
heap_agrees_with_a_search_after_each_of_many_steps(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    struct heap_node nodes[CAPACITY] = {0};
    struct prng prng;
    prng_init(&prng, (const uint8_t[32]){7}, 0);
    for (int step = 0; step < STEPS; step++) {
        struct heap_node *node = &nodes[prng_below(&prng, CAPACITY)];
        if (prng_below(&prng, 3) == 0) {
            heap_remove(&heap, node);
        } else {
            uint64_t key = prng_below(&prng, KEYS);
            heap_set(&heap, node, key);
            assert_int_equal(node->key, key);
        }
        assert_true(heap_first_key(&heap) == smallest_of(nodes));
        assert_places(&heap, nodes);
    }
}

static void
full_heap_is_emptied_in_order(void **state)
{
    (void)state;
    struct heap heap = new_heap();
    struct heap_node nodes[CAPACITY] = {0};
    struct prng prng;
    prng_init(&prng, (const uint8_t[32]){8}, 0);
    for (int i = 0; i < CAPACITY; i++)
        heap_set(&heap, &nodes[i], prng_below(&prng, KEYS));
    uint64_t before = 0;
    while (heap.size > 0) {
        struct heap_node *first = heap_first(&heap);
        assert_true(first->key >= before);
        before = first->key;
        heap_remove(&heap, first);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_heap_is_never_due),
        cmocka_unit_test(smallest_key_is_first),
        cmocka_unit_test(node_that_is_set_again_moves),
        cmocka_unit_test(removed_node_can_be_set_again),
        cmocka_unit_test(node_on_no_heap_may_be_removed),
        cmocka_unit_test(greatest_key_of_all_may_be_set),
        cmocka_unit_test(misuse_of_a_heap_ends_the_process),
        cmocka_unit_test(heap_agrees_with_a_search_after_each_of_many_steps),
        cmocka_unit_test(full_heap_is_emptied_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
