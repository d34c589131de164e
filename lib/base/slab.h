// slab.h - objects of one size out of memory that is handed in.
//
// Memory is touched only as far as it was ever used, and freed slots are used
// again last in, first out: few live objects mean few warm pages. Each slot
// begins with a small header of the slab's, so that slab_at can tell a live
// object from a freed one: a number that came from the network is looked up
// safely. Under AddressSanitizer freed objects are poisoned.

#ifndef GALLEON_SLAB_H
#define GALLEON_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
    uint8_t *memory;
    size_t slot_bytes;
    uint32_t capacity;
    uint32_t touched; // slots that were ever used
    uint32_t used;
    uint32_t free_first; // slot number + 1; 0: none
};

// slab_bytes is the memory that `capacity` objects of this size ask for.
size_t slab_bytes(size_t object_bytes, uint32_t capacity);
void slab_init(struct slab *self, size_t object_bytes, uint32_t capacity, void *memory);

// slab_take returns an object whose bytes are not set, NULL when all are in use.
void *slab_take(struct slab *self);
void slab_give(struct slab *self, void *object);

// slab_index is the object's number, 0 and on.
uint32_t slab_index(const struct slab *self, const void *object);
// slab_fetch begins to load an object that slab_at will be asked for. Any number may
// be given.
void slab_fetch(const struct slab *self, uint32_t index, size_t bytes);
// slab_at is the live object of that number, NULL where there is none.
void *slab_at(const struct slab *self, uint32_t index);

#endif
