// map.c - linear hashing: split a bucket or two with an insert, merge one with a remove.

#include "map.h"

#include "must.h"

#include <stdbool.h>

enum {
    BUCKETS_MIN = 16,
    SPLITS = 2 // with each insert, so that there are twice as many buckets as members
};

static size_t
buckets_for(size_t size_max)
{
    size_t buckets = BUCKETS_MIN;
    while (buckets < size_max)
        buckets *= 2;
    return buckets;
}

size_t
map_bytes(size_t size_max)
{
    return buckets_for(size_max) * sizeof(struct map_node *);
}

void
map_init(struct map *self, size_t size_max, void *memory)
{
    *self = (struct map){memory, buckets_for(size_max), BUCKETS_MIN, 0};
}

// split moves the members of the oldest unsplit bucket that belong there into
// the new bucket at the end.
static void
split(struct map *self)
{
    size_t added = self->bucket_count;
    size_t half = (size_t)1 << (63 - __builtin_clzl(added));
    struct map_node **from = &self->buckets[added - half];
    struct map_node **to = &self->buckets[added];
    self->bucket_count++;
    *to = NULL;
    while (*from != NULL) {
        struct map_node *node = *from;
        if (map_bucket(self, node->hash) == added) {
            *from = node->next;
            node->next = *to;
            *to = node;
        } else {
            from = &node->next;
        }
    }
}

// merge undoes the latest split.
static void
merge(struct map *self)
{
    size_t removed = --self->bucket_count;
    size_t half = (size_t)1 << (63 - __builtin_clzl(removed));
    struct map_node **end = &self->buckets[removed - half];
    while (*end != NULL)
        end = &(*end)->next;
    *end = self->buckets[removed];
    self->buckets[removed] = NULL;
}

// is_crowded: more members than half the buckets? Each step along a chain is a wait for
// memory.
static bool
is_crowded(const struct map *self)
{
    return 2 * self->size >= self->bucket_count && self->bucket_count < self->buckets_max;
}

void
map_insert(struct map *self, struct map_node *node, uint64_t hash)
{
    for (int i = 0; i < SPLITS && is_crowded(self); i++)
        split(self);
    struct map_node **bucket = &self->buckets[map_bucket(self, hash)];
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    self->size++;
}

void
map_remove(struct map *self, struct map_node *node)
{
    struct map_node **link = &self->buckets[map_bucket(self, node->hash)];
    while (*link != NULL && *link != node)
        link = &(*link)->next;
    must(*link == node);
    *link = node->next;
    node->next = NULL;
    self->size--;
    // Shrink only well below the point of growth, so that one member that comes
    // and goes does not split and merge each time.
    if (self->bucket_count > BUCKETS_MIN && self->size < self->bucket_count / 8)
        merge(self);
}
