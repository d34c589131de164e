// test_map.c - the map finds what is in it, through growth, shrinking and equal hashes.

#include "map.h"

#include "ending.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

enum {
    SIZE_MAX_OF_MAP = 1024,
    NODES = 1500, // the map may hold more than it was sized for: chains are longer then
    HASHES = 700,
    STEPS = 60000,
    PAGE_BYTES = 4096,
    MEMBERS_OF_PAGE = PAGE_BYTES / sizeof(struct map_node *) / 2 // half as many as buckets
};

struct fixture {
    struct map map;
    struct map_node *nodes; // NODES of them
};

static int
set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->nodes = calloc(NODES, sizeof *self->nodes);
    map_init(&self->map, SIZE_MAX_OF_MAP, calloc(1, map_bytes(SIZE_MAX_OF_MAP)));
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *self = *state;
    free(self->map.buckets);
    free(self->nodes);
    free(self);
    return 0;
}

// hash_of spreads small numbers over all 64 bits.
static uint64_t
hash_of(uint64_t number)
{
    static const struct siphash_key key = {{1, 2}};
    return siphash_pair(&key, number, 0);
}

static size_t
count_matches(const struct map *map, uint64_t hash)
{
    size_t count = 0;
    for (struct map_node *node = map_first(map, hash); node != NULL; node = map_next(node))
        count++;
    return count;
}

static void
new_map_finds_nothing(void **state)
{
    struct fixture *self = *state;
    for (uint64_t hash = 0; hash < 100; hash++)
        assert_null(map_first(&self->map, hash));
}

static void
inserted_node_is_found(void **state)
{
    struct fixture *self = *state;
    map_insert(&self->map, &self->nodes[0], 42);
    assert_ptr_equal(map_first(&self->map, 42), &self->nodes[0]);
    assert_null(map_next(&self->nodes[0]));
    assert_int_equal(self->map.size, 1);
}

static void
hash_that_shares_a_bucket_is_not_found(void **state)
{
    struct fixture *self = *state;
    map_insert(&self->map, &self->nodes[0], 42);
    assert_null(map_first(&self->map, 42 + ((uint64_t)1 << 32)));
}

static void
nodes_of_equal_hash_are_all_found(void **state)
{
    struct fixture *self = *state;
    for (int i = 0; i < 3; i++)
        map_insert(&self->map, &self->nodes[i], 42);
    map_insert(&self->map, &self->nodes[3], 42 + ((uint64_t)1 << 32));
    assert_int_equal(count_matches(&self->map, 42), 3);
}

static void
one_of_equal_hash_can_be_removed(void **state)
{
    struct fixture *self = *state;
    for (int i = 0; i < 3; i++)
        map_insert(&self->map, &self->nodes[i], 42);
    map_remove(&self->map, &self->nodes[1]);
    assert_int_equal(count_matches(&self->map, 42), 2);
    assert_ptr_not_equal(map_first(&self->map, 42), &self->nodes[1]);
}

static void
removed_node_can_be_inserted_again(void **state)
{
    struct fixture *self = *state;
    map_insert(&self->map, &self->nodes[0], 42);
    map_remove(&self->map, &self->nodes[0]);
    map_insert(&self->map, &self->nodes[0], 43);
    assert_null(map_first(&self->map, 42));
    assert_ptr_equal(map_first(&self->map, 43), &self->nodes[0]);
}

static void
all_are_found_after_each_step_of_growth(void **state)
{
    struct fixture *self = *state;
    for (size_t i = 0; i < 300; i++) {
        map_insert(&self->map, &self->nodes[i], hash_of(i));
        assert_true(self->map.bucket_count >= self->map.size + i / 2);
        for (size_t k = 0; k <= i; k++)
            assert_ptr_equal(map_first(&self->map, hash_of(k)), &self->nodes[k]);
    }
}

static void
all_are_found_after_each_step_of_shrinking(void **state)
{
    struct fixture *self = *state;
    for (size_t i = 0; i < 300; i++)
        map_insert(&self->map, &self->nodes[i], hash_of(i));
    size_t grown = self->map.bucket_count;
    for (size_t i = 0; i < 300; i++) {
        map_remove(&self->map, &self->nodes[i]);
        assert_null(map_first(&self->map, hash_of(i)));
        for (size_t k = i + 1; k < 300; k++)
            assert_ptr_equal(map_first(&self->map, hash_of(k)), &self->nodes[k]);
    }
    assert_true(self->map.bucket_count < grown);
}

static void
one_that_comes_and_goes_moves_no_bucket(void **state)
{
    struct fixture *self = *state;
    for (size_t i = 0; i < 300; i++)
        map_insert(&self->map, &self->nodes[i], hash_of(i));
    map_remove(&self->map, &self->nodes[299]);
    map_insert(&self->map, &self->nodes[299], hash_of(299));
    size_t before = self->map.bucket_count;
    for (int i = 0; i < 100; i++) {
        map_remove(&self->map, &self->nodes[299]);
        assert_int_equal(self->map.bucket_count, before);
        map_insert(&self->map, &self->nodes[299], hash_of(299));
        assert_int_equal(self->map.bucket_count, before);
    }
}

static void
map_that_is_all_grown_takes_more(void **state)
{
    struct fixture *self = *state;
    for (size_t i = 0; i < NODES; i++)
        map_insert(&self->map, &self->nodes[i], hash_of(i));
    assert_int_equal(self->map.bucket_count, self->map.buckets_max);
    assert_int_equal(map_bytes(SIZE_MAX_OF_MAP), self->map.buckets_max * sizeof(void *));
    for (size_t i = 0; i < NODES; i++)
        assert_ptr_equal(map_first(&self->map, hash_of(i)), &self->nodes[i]);
}

static void
few_members_touch_little_of_a_large_memory(void **state)
{
    struct fixture *self = *state;
    size_t size_max = 1 << 20;
    uint8_t *memory =
        mmap(NULL, map_bytes(size_max), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    // Whoever reads or writes beyond the first page is stopped.
    assert_int_equal(mprotect(memory + PAGE_BYTES, map_bytes(size_max) - PAGE_BYTES, PROT_NONE), 0);
    struct map map;
    map_init(&map, size_max, memory);

    for (size_t i = 0; i < MEMBERS_OF_PAGE; i++)
        map_insert(&map, &self->nodes[i], hash_of(i));

    for (size_t i = 0; i < MEMBERS_OF_PAGE; i++) {
        assert_ptr_equal(map_first(&map, hash_of(i)), &self->nodes[i]);
        map_remove(&map, &self->nodes[i]);
    }
    munmap(memory, map_bytes(size_max));
}

static void
remove_a_node_that_is_not_there(void)
{
    static struct map_node *buckets[16];
    struct map map;
    struct map_node node = {.hash = 1}, stranger = {.hash = 1};
    map_init(&map, 16, buckets);
    map_insert(&map, &node, 1);
    map_remove(&map, &stranger);
}

static void
removing_what_is_not_in_the_map_ends_the_process(void **state)
{
    (void)state;
    assert_true(ends_by_must(remove_a_node_that_is_not_there));
}

// ---- against a model: which hash each node is in under --------------------------------------

struct model {
    bool is_in[NODES];
    uint64_t number[NODES]; // hash_of this
    size_t of_number[HASHES];
    size_t size;
};

static void
toggle(struct fixture *self, struct model *model, struct prng *prng, size_t which)
{
    struct map_node *node = &self->nodes[which];
    if (model->is_in[which]) {
        map_remove(&self->map, node);
        model->of_number[model->number[which]]--;
        model->size--;
    } else {
        model->number[which] = prng_below(prng, HASHES);
        map_insert(&self->map, node, hash_of(model->number[which]));
        model->of_number[model->number[which]]++;
        model->size++;
    }
    model->is_in[which] = !model->is_in[which];
}

static void
assert_same(const struct fixture *self, const struct model *model)
{
    assert_int_equal(self->map.size, model->size);
    for (size_t number = 0; number < HASHES; number++) {
        uint64_t hash = hash_of(number);
        assert_int_equal(count_matches(&self->map, hash), model->of_number[number]);
        for (struct map_node *n = map_first(&self->map, hash); n != NULL; n = map_next(n)) {
            size_t which = (size_t)(n - self->nodes);
            assert_true(model->is_in[which] && model->number[which] == number);
        }
    }
}

static void
map_agrees_with_a_table_through_tides(void **state)
{
    struct fixture *self = *state;
    struct model *model = calloc(1, sizeof *model);
    struct prng prng;
    prng_init(&prng, (const uint8_t[32]){9}, 0);
    for (size_t step = 0; step < STEPS; step++) {
        size_t which = prng_below(&prng, NODES);
        // Flood and ebb: inserts alone, then removals alone, then both.
        size_t tide = step / 4000 % 3;
        if (tide == 2 || model->is_in[which] == (tide == 1))
            toggle(self, model, &prng, which);
        if (step % 500 == 0)
            assert_same(self, model);
    }
    assert_same(self, model);
    free(model);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_map_finds_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inserted_node_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hash_that_shares_a_bucket_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nodes_of_equal_hash_are_all_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_of_equal_hash_can_be_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed_node_can_be_inserted_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_are_found_after_each_step_of_growth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_are_found_after_each_step_of_shrinking, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_comes_and_goes_moves_no_bucket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(map_that_is_all_grown_takes_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(few_members_touch_little_of_a_large_memory, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(removing_what_is_not_in_the_map_ends_the_process, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(map_agrees_with_a_table_through_tides, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
