// heap.c - sift up, sift down.

#include "heap.h"

#include "must.h"

size_t
heap_bytes(size_t capacity)
{
    return (capacity + 1) * sizeof(struct heap_node *);
}

void
heap_init(struct heap *self, size_t capacity, void *memory)
{
    *self = (struct heap){memory, capacity, 0};
}

static void
put(struct heap *self, struct heap_node *node, size_t place)
{
    self->nodes[place] = node;
    node->place = place;
}

static void
sift_up(struct heap *self, struct heap_node *node, size_t place)
{
    while (place > 1 && self->nodes[place / 2]->key > node->key) {
        put(self, self->nodes[place / 2], place);
        place /= 2;
    }
    put(self, node, place);
}

static void
sift_down(struct heap *self, struct heap_node *node, size_t place)
{
    for (;;) {
        size_t child = place * 2;
        if (child > self->size)
            break;
        if (child < self->size && self->nodes[child + 1]->key < self->nodes[child]->key)
            child++;
        if (self->nodes[child]->key >= node->key)
            break;
        put(self, self->nodes[child], place);
        place = child;
    }
    put(self, node, place);
}

void
heap_set(struct heap *self, struct heap_node *node, uint64_t key)
{
    if (node->place == 0) {
        must(self->size < self->capacity);
        node->key = key;
        sift_up(self, node, ++self->size);
    } else if (key < node->key) {
        node->key = key;
        sift_up(self, node, node->place);
    } else {
        node->key = key;
        sift_down(self, node, node->place);
    }
}

void
heap_remove(struct heap *self, struct heap_node *node)
{
    if (node->place == 0)
        return;
    must(self->nodes[node->place] == node);
    size_t hole = node->place;
    struct heap_node *last = self->nodes[self->size--];
    node->place = 0;
    if (last == node)
        return;
    if (hole > 1 && self->nodes[hole / 2]->key > last->key)
        sift_up(self, last, hole);
    else
        sift_down(self, last, hole);
}
