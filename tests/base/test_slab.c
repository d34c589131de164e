// test_slab.c - objects come and go, and a number finds a live one only.

#include "slab.h"

#include "ending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
int __asan_address_is_poisoned(void const volatile *address);
#endif

enum {
    OBJECT_BYTES = 40, // not a multiple of 16
    CAPACITY = 4,
    PAGE_BYTES = 4096
};

static int
set_up(void **state)
{
    static struct slab slab;
    slab_init(&slab, OBJECT_BYTES, CAPACITY, malloc(slab_bytes(OBJECT_BYTES, CAPACITY)));
    *state = &slab;
    return 0;
}

static int
tear_down(void **state)
{
    struct slab *self = *state;
    free(self->memory);
    return 0;
}

static void
take_all(struct slab *self, void **objects)
{
    for (int i = 0; i < CAPACITY; i++) {
        objects[i] = slab_take(self);
        assert_non_null(objects[i]);
        memset(objects[i], i, OBJECT_BYTES);
    }
}

static void
objects_do_not_overlap(void **state)
{
    struct slab *self = *state;
    uint8_t *objects[CAPACITY];
    take_all(self, (void **)objects);
    for (int i = 0; i < CAPACITY; i++)
        for (int byte = 0; byte < OBJECT_BYTES; byte++)
            assert_int_equal(objects[i][byte], i);
}

static void
objects_are_aligned_for_anything(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    take_all(self, objects);
    for (int i = 0; i < CAPACITY; i++)
        assert_int_equal((uintptr_t)objects[i] % _Alignof(max_align_t), 0);
}

static void
slab_in_full_use_gives_nothing(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    take_all(self, objects);
    assert_null(slab_take(self));
    assert_int_equal(self->used, CAPACITY);
}

static void
object_given_back_makes_room_again(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    take_all(self, objects);
    slab_give(self, objects[2]);
    assert_int_equal(self->used, CAPACITY - 1);
    assert_ptr_equal(slab_take(self), objects[2]);
    assert_null(slab_take(self));
}

static void
last_object_given_back_is_taken_first(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    take_all(self, objects);
    slab_give(self, objects[1]);
    slab_give(self, objects[3]);
    slab_give(self, objects[0]);
    assert_ptr_equal(slab_take(self), objects[0]);
    assert_ptr_equal(slab_take(self), objects[3]);
    assert_ptr_equal(slab_take(self), objects[1]);
}

static void
freed_slot_is_used_before_a_fresh_one(void **state)
{
    struct slab *self = *state;
    void *first = slab_take(self);
    slab_give(self, first);
    assert_ptr_equal(slab_take(self), first);
    assert_int_equal(self->touched, 1);
}

static void
index_and_at_are_each_others_inverse(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    take_all(self, objects);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        assert_int_equal(slab_index(self, objects[i]), i);
        assert_ptr_equal(slab_at(self, i), objects[i]);
    }
}

static void
index_stays_when_its_slot_is_used_again(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    take_all(self, objects);
    slab_give(self, objects[2]);
    assert_int_equal(slab_index(self, slab_take(self)), 2);
}

static void
number_of_a_freed_object_finds_nothing(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    take_all(self, objects);
    slab_give(self, objects[1]);
    assert_null(slab_at(self, 1));
    assert_ptr_equal(slab_at(self, 0), objects[0]);
}

static void
number_out_of_range_finds_nothing(void **state)
{
    struct slab *self = *state;
    void *objects[CAPACITY];
    assert_null(slab_at(self, 0));
    take_all(self, objects);
    assert_null(slab_at(self, CAPACITY));
    assert_null(slab_at(self, UINT32_MAX));
}

static void
number_that_was_never_used_finds_nothing(void **state)
{
    struct slab *self = *state;
    memset(self->memory, 0xFF, slab_bytes(OBJECT_BYTES, CAPACITY));
    assert_non_null(slab_take(self));
    assert_null(slab_at(self, 1));
}

static void
slab_without_capacity_gives_nothing(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES, 0, NULL);
    assert_null(slab_take(&slab));
    assert_null(slab_at(&slab, 0));
}

static void
few_objects_touch_little_of_a_large_memory(void **state)
{
    (void)state;
    uint32_t capacity = 100000;
    size_t bytes = slab_bytes(OBJECT_BYTES, capacity);
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    // Whoever reads or writes beyond the first page is stopped.
    assert_int_equal(mprotect(memory + PAGE_BYTES, bytes - PAGE_BYTES, PROT_NONE), 0);
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES, capacity, memory);
    for (int i = 0; i < 1000; i++) {
        void *one = slab_take(&slab), *other = slab_take(&slab);
        memset(one, 1, OBJECT_BYTES);
        memset(other, 2, OBJECT_BYTES);
        slab_give(&slab, one);
        slab_give(&slab, other);
    }
    assert_int_equal(slab.touched, 2);
    munmap(memory, bytes);
}

static void
memory_can_serve_a_second_slab(void **state)
{
    (void)state;
    static _Alignas(max_align_t) uint8_t memory[1024];
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES, CAPACITY, memory);
    slab_give(&slab, slab_take(&slab));
    slab_init(&slab, OBJECT_BYTES, CAPACITY, memory);
    void *objects[CAPACITY];
    take_all(&slab, objects);
}

static void
give_twice(void)
{
    static _Alignas(max_align_t) uint8_t memory[1024];
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES, CAPACITY, memory);
    void *object = slab_take(&slab);
    slab_give(&slab, object);
    slab_give(&slab, object);
}

static void
object_given_back_twice_ends_the_process(void **state)
{
    (void)state;
    assert_true(ends_by_must(give_twice));
}

static void
freed_objects_are_poisoned_for_a_sanitizer(void **state)
{
#ifdef HAS_ASAN
    struct slab *self = *state;
    uint8_t *object = slab_take(self);
    assert_false(__asan_address_is_poisoned(object));
    slab_give(self, object);
    assert_true(__asan_address_is_poisoned(object));
    assert_true(__asan_address_is_poisoned(object + OBJECT_BYTES - 1));
    assert_ptr_equal(slab_take(self), object);
    assert_false(__asan_address_is_poisoned(object));
    assert_false(__asan_address_is_poisoned(object + OBJECT_BYTES - 1));
#else
    (void)state;
    skip();
#endif
}

#define with_slab(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        with_slab(objects_do_not_overlap),
        with_slab(objects_are_aligned_for_anything),
        with_slab(slab_in_full_use_gives_nothing),
        with_slab(object_given_back_makes_room_again),
        with_slab(last_object_given_back_is_taken_first),
        with_slab(freed_slot_is_used_before_a_fresh_one),
        with_slab(index_and_at_are_each_others_inverse),
        with_slab(index_stays_when_its_slot_is_used_again),
        with_slab(number_of_a_freed_object_finds_nothing),
        with_slab(number_out_of_range_finds_nothing),
        with_slab(number_that_was_never_used_finds_nothing),
        cmocka_unit_test(slab_without_capacity_gives_nothing),
        cmocka_unit_test(few_objects_touch_little_of_a_large_memory),
        cmocka_unit_test(memory_can_serve_a_second_slab),
        cmocka_unit_test(object_given_back_twice_ends_the_process),
        with_slab(freed_objects_are_poisoned_for_a_sanitizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
