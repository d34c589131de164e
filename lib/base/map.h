// map.h - an intrusive hash map over memory that is handed in.
//
// Linear hashing: the table grows and shrinks by one bucket at a time, so no
// insert ever stops to rehash everything, and a map with few members touches
// little of the memory it was given. Chains are short because the caller hashes
// with a key that no peer knows (siphash.h); the full 64-bit hash is kept beside
// each node, so a chain is walked without opening the objects.
//
// The map knows hashes only. To find an object, walk map_first and map_next and
// compare the key yourself:
//
//     for (struct map_node *n = map_first(map, hash); n != NULL; n = map_next(n))
//         if (view_equals(object_of(n)->name, name)) ...

#ifndef GALLEON_MAP_H
#define GALLEON_MAP_H

#include "fetch.h"

#include <stddef.h>
#include <stdint.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t buckets_max; // a power of two
    size_t bucket_count;
    size_t size;
};

// map_bytes is the memory that a map of up to `size_max` members asks for.
size_t map_bytes(size_t size_max);

// map_init takes map_bytes(size_max) bytes, all zero, which the map then owns.
void map_init(struct map *self, size_t size_max, void *memory);

void map_insert(struct map *self, struct map_node *node, uint64_t hash);
void map_remove(struct map *self, struct map_node *node);

static inline size_t
map_bucket(const struct map *self, uint64_t hash)
{
    // The first bit_ceil(bucket_count) buckets, folded back where not yet split.
    size_t mask = ((size_t)2 << (63 - __builtin_clzl(self->bucket_count))) - 1;
    size_t bucket = hash & mask;
    return bucket < self->bucket_count ? bucket : hash & (mask >> 1);
}

static inline struct map_node *
map_match(struct map_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

// map_first is the first node with this hash, NULL where there is none.
static inline struct map_node *
map_first(const struct map *self, uint64_t hash)
{
    return map_match(self->buckets[map_bucket(self, hash)], hash);
}

// map_fetch begins to load the place where this hash will be looked for.
static inline void
map_fetch(const struct map *self, uint64_t hash)
{
    fetch(&self->buckets[map_bucket(self, hash)], sizeof *self->buckets);
}

// map_next is the next node with the same hash.
static inline struct map_node *
map_next(const struct map_node *node)
{
    return map_match(node->next, node->hash);
}

#endif
