// slab.c - a bump pointer and a free list.

#include "slab.h"

#include "fetch.h"
#include "must.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONS 1
#endif
#endif

#ifdef SLAB_POISONS
void __asan_poison_memory_region(void const volatile *address, size_t size);
void __asan_unpoison_memory_region(void const volatile *address, size_t size);
#define poison(address, size)   __asan_poison_memory_region(address, size)
#define unpoison(address, size) __asan_unpoison_memory_region(address, size)
#else
#define poison(address, size)   ((void)0)
#define unpoison(address, size) ((void)0)
#endif

enum { FETCH_BYTES_MAX = 256 };

// What stands in front of each object.
struct slot {
    uint32_t is_live;
    uint32_t free_next; // slot number + 1; 0: none
    uint64_t index;
};

static struct slot *
slot_of(const void *object)
{
    return (struct slot *)(uintptr_t)object - 1;
}

static size_t
slot_bytes_for(size_t object_bytes)
{
    return sizeof(struct slot) + (object_bytes + 15) / 16 * 16;
}

size_t
slab_bytes(size_t object_bytes, uint32_t capacity)
{
    return slot_bytes_for(object_bytes) * capacity;
}

void
slab_init(struct slab *self, size_t object_bytes, uint32_t capacity, void *memory)
{
    *self = (struct slab){
        .memory = memory, .slot_bytes = slot_bytes_for(object_bytes), .capacity = capacity};
    // An earlier slab in the same memory may have left freed objects behind.
    unpoison(memory, slab_bytes(object_bytes, capacity));
}

static struct slot *
slot_at(const struct slab *self, uint32_t index)
{
    return (struct slot *)(void *)(self->memory + self->slot_bytes * index);
}

// fetch_next begins to load the slot that is taken next: it was freed long ago, and
// waiting for it would cost more than all else that happens here.
static void
fetch_next(const struct slab *self)
{
    if (self->free_first == 0)
        return;
    fetch(slot_at(self, self->free_first - 1),
          self->slot_bytes < FETCH_BYTES_MAX ? self->slot_bytes : FETCH_BYTES_MAX);
}

void *
slab_take(struct slab *self)
{
    struct slot *slot;
    if (self->free_first != 0) {
        slot = slot_at(self, self->free_first - 1);
        self->free_first = slot->free_next;
        fetch_next(self);
        unpoison(slot + 1, self->slot_bytes - sizeof *slot);
    } else if (self->touched < self->capacity) {
        slot = slot_at(self, self->touched);
        slot->index = self->touched++;
    } else {
        return NULL;
    }
    slot->is_live = 1;
    self->used++;
    return slot + 1;
}

void
slab_give(struct slab *self, void *object)
{
    struct slot *slot = slot_of(object);
    must(slot->is_live == 1);
    slot->is_live = 0;
    slot->free_next = self->free_first;
    self->free_first = (uint32_t)slot->index + 1;
    self->used--;
    poison(object, self->slot_bytes - sizeof *slot);
}

uint32_t
slab_index(const struct slab *self, const void *object)
{
    (void)self;
    return (uint32_t)slot_of(object)->index;
}

void *
slab_at(const struct slab *self, uint32_t index)
{
    if (index >= self->touched)
        return NULL;
    struct slot *slot = slot_at(self, index);
    return slot->is_live ? slot + 1 : NULL;
}

void
slab_fetch(const struct slab *self, uint32_t index, size_t bytes)
{
    if (index >= self->touched)
        return;
    fetch(slot_at(self, index), bytes + sizeof(struct slot));
}
