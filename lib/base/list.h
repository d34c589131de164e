// list.h - an intrusive doubly linked list.
//
// The list an object is on is its state, so removing and appending cost a few
// stores and allocate nothing. A node that is on no list points at itself.

#ifndef GALLEON_LIST_H
#define GALLEON_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list_node {
    struct list_node *next;
    struct list_node *previous;
};

// A list is a ring through its head. It may not be copied or moved.
struct list {
    struct list_node head;
    size_t size;
};

// list_object is the object of which `node` is the member `member`.
#define list_object(node, type, member) ((type *)(void *)((uint8_t *)(node)-offsetof(type, member)))

// list_each visits the nodes in order; the body may not remove any.
#define list_each(node, list)                                                                      \
    for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)

static inline void
list_init(struct list *list)
{
    list->head.next = list->head.previous = &list->head;
    list->size = 0;
}

static inline void
list_node_init(struct list_node *node)
{
    node->next = node->previous = node;
}

static inline bool
list_node_is_linked(const struct list_node *node)
{
    return node->next != node;
}

static inline bool
list_is_empty(const struct list *list)
{
    return list->size == 0;
}

// list_first and list_last are NULL where the list is empty.
static inline struct list_node *
list_first(const struct list *list)
{
    return list->size == 0 ? NULL : list->head.next;
}

static inline struct list_node *
list_last(const struct list *list)
{
    return list->size == 0 ? NULL : list->head.previous;
}

// list_next is NULL after the last node.
static inline struct list_node *
list_next(const struct list *list, const struct list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}

// list_previous is NULL before the first node.
static inline struct list_node *
list_previous(const struct list *list, const struct list_node *node)
{
    return node->previous == &list->head ? NULL : node->previous;
}

static inline void
list_insert_after(struct list *list, struct list_node *place, struct list_node *node)
{
    node->previous = place;
    node->next = place->next;
    place->next->previous = node;
    place->next = node;
    list->size++;
}

static inline void
list_append(struct list *list, struct list_node *node)
{
    list_insert_after(list, list->head.previous, node);
}

static inline void
list_prepend(struct list *list, struct list_node *node)
{
    list_insert_after(list, &list->head, node);
}

static inline void
list_remove(struct list *list, struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_node_init(node);
    list->size--;
}

// list_take removes and returns the first node, NULL where there is none.
static inline struct list_node *
list_take(struct list *list)
{
    struct list_node *node = list_first(list);
    if (node != NULL)
        list_remove(list, node);
    return node;
}

#endif
