// test_list.c - a list keeps its order and its size, whatever is taken out of it.

#include "list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct item {
    int number;
    struct list_node node;
};

enum { ITEMS = 3 };

// Three items, numbered from 0, and a list of them in order.
struct fixture {
    struct list list;
    struct item items[ITEMS];
};

static struct fixture fixture;

static int
set_up(void **state)
{
    list_init(&fixture.list);
    for (int i = 0; i < ITEMS; i++) {
        fixture.items[i].number = i;
        list_node_init(&fixture.items[i].node);
        list_append(&fixture.list, &fixture.items[i].node);
    }
    *state = &fixture;
    return 0;
}

static int
number_of(struct list_node *node)
{
    return list_object(node, struct item, node)->number;
}

static void
assert_numbers(const struct list *list, const int *numbers, size_t count)
{
    size_t seen = 0;
    list_each (node, list) {
        assert_true(seen < count);
        assert_int_equal(number_of(node), numbers[seen++]);
        assert_ptr_equal(node->next->previous, node);
    }
    assert_int_equal(seen, count);
    assert_int_equal(list->size, count);
}

static void
new_list_is_empty(void **state)
{
    (void)state;
    struct list list;
    list_init(&list);
    assert_true(list_is_empty(&list));
    assert_null(list_first(&list));
    assert_null(list_last(&list));
}

static void
new_node_is_on_no_list(void **state)
{
    (void)state;
    struct list_node node;
    list_node_init(&node);
    assert_false(list_node_is_linked(&node));
}

static void
appended_nodes_stand_in_order(void **state)
{
    struct fixture *self = *state;
    assert_numbers(&self->list, (int[]){0, 1, 2}, 3);
}

static void
only_node_of_a_list_is_linked(void **state)
{
    (void)state;
    struct list list;
    struct list_node node;
    list_init(&list);
    list_node_init(&node);
    list_append(&list, &node);
    assert_true(list_node_is_linked(&node));
}

static void
prepended_node_is_first(void **state)
{
    struct fixture *self = *state;
    struct item item = {.number = 9};
    list_prepend(&self->list, &item.node);
    assert_numbers(&self->list, (int[]){9, 0, 1, 2}, 4);
}

static void
inserted_node_stands_after_its_place(void **state)
{
    struct fixture *self = *state;
    struct item item = {.number = 9};
    list_insert_after(&self->list, &self->items[1].node, &item.node);
    assert_numbers(&self->list, (int[]){0, 1, 9, 2}, 4);
}

static void
node_in_the_middle_can_be_removed(void **state)
{
    struct fixture *self = *state;
    list_remove(&self->list, &self->items[1].node);
    assert_numbers(&self->list, (int[]){0, 2}, 2);
    assert_false(list_node_is_linked(&self->items[1].node));
}

static void
removed_node_can_be_inserted_again(void **state)
{
    struct fixture *self = *state;
    list_remove(&self->list, &self->items[0].node);
    list_append(&self->list, &self->items[0].node);
    assert_numbers(&self->list, (int[]){1, 2, 0}, 3);
}

static void
node_moves_from_one_list_to_another(void **state)
{
    struct fixture *self = *state;
    struct list other;
    list_init(&other);
    list_remove(&self->list, &self->items[2].node);
    list_append(&other, &self->items[2].node);
    assert_numbers(&self->list, (int[]){0, 1}, 2);
    assert_numbers(&other, (int[]){2}, 1);
}

static void
take_empties_a_list_from_its_front(void **state)
{
    struct fixture *self = *state;
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(number_of(list_take(&self->list)), i);
    assert_null(list_take(&self->list));
    assert_true(list_is_empty(&self->list));
}

static void
first_and_last_are_the_ends(void **state)
{
    struct fixture *self = *state;
    assert_int_equal(number_of(list_first(&self->list)), 0);
    assert_int_equal(number_of(list_last(&self->list)), 2);
}

static void
next_of_the_last_is_null(void **state)
{
    struct fixture *self = *state;
    assert_ptr_equal(list_next(&self->list, &self->items[1].node), &self->items[2].node);
    assert_null(list_next(&self->list, &self->items[2].node));
    assert_ptr_equal(list_previous(&self->list, &self->items[2].node), &self->items[1].node);
    assert_null(list_previous(&self->list, &self->items[0].node));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_list_is_empty),
        cmocka_unit_test(new_node_is_on_no_list),
        cmocka_unit_test_setup(appended_nodes_stand_in_order, set_up),
        cmocka_unit_test(only_node_of_a_list_is_linked),
        cmocka_unit_test_setup(prepended_node_is_first, set_up),
        cmocka_unit_test_setup(inserted_node_stands_after_its_place, set_up),
        cmocka_unit_test_setup(node_in_the_middle_can_be_removed, set_up),
        cmocka_unit_test_setup(removed_node_can_be_inserted_again, set_up),
        cmocka_unit_test_setup(node_moves_from_one_list_to_another, set_up),
        cmocka_unit_test_setup(take_empties_a_list_from_its_front, set_up),
        cmocka_unit_test_setup(first_and_last_are_the_ends, set_up),
        cmocka_unit_test_setup(next_of_the_last_is_null, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
