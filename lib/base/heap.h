// heap.h - an intrusive binary heap: what is due first?
//
// Each node knows its place, so any of them can be removed or moved. The array
// is handed in; the heap never holds more than it has room for.

#ifndef GALLEON_HEAP_H
#define GALLEON_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    size_t place; // 1 and on; 0 where it is on no heap
};

struct heap {
    struct heap_node **nodes; // nodes[0] is not used
    size_t capacity;
    size_t size;
};

// heap_bytes is the memory that a heap of up to `capacity` nodes asks for.
size_t heap_bytes(size_t capacity);
void heap_init(struct heap *self, size_t capacity, void *memory);

// heap_set puts the node in, or moves it where it is in already.
void heap_set(struct heap *self, struct heap_node *node, uint64_t key);
// heap_remove may be called on a node that is on no heap.
void heap_remove(struct heap *self, struct heap_node *node);

// heap_first is the node with the smallest key, NULL where the heap is empty.
static inline struct heap_node *
heap_first(const struct heap *self)
{
    return self->size == 0 ? NULL : self->nodes[1];
}

// heap_first_key is UINT64_MAX where the heap is empty.
static inline uint64_t
heap_first_key(const struct heap *self)
{
    return self->size == 0 ? UINT64_MAX : self->nodes[1]->key;
}

static inline bool
heap_holds(const struct heap_node *node)
{
    return node->place != 0;
}

#endif
