// load_window.c - slots, stamps, and the check of every answer.
//
// An id is the number of the request above the number of its slot, so an answer
// finds its slot without a search.

#include "load_window.h"

#include "load.h"
#include "must.h"

enum {
    SLOT_BITS = 20,
    TIMED_EVERY = 16 // where more than one request is in flight
};

void
load_window_init(struct load_window *self, uint32_t client, uint32_t size, size_t body_bytes,
                 const atomic_bool *is_measuring)
{
    must(size >= 1 && size <= LOAD_WINDOW_MAX);
    must(body_bytes >= LOAD_STAMP_BYTES);
    memset(self, 0, sizeof *self);
    self->client = client;
    self->size = self->free_count = size;
    self->timed_every = size == 1 ? 1 : TIMED_EVERY;
    self->body_bytes = body_bytes;
    self->is_measuring = is_measuring;
    self->slots = load_allocate(size * sizeof *self->slots);
    self->free = load_allocate(size * sizeof *self->free);
    self->body = load_allocate(body_bytes);
    for (uint32_t i = 0; i < size; i++)
        self->free[i] = size - 1 - i;
    for (size_t i = 0; i < body_bytes; i++)
        self->body[i] = (uint8_t)(client * 31 + i * 7 + (i >> 8));
    memcpy(self->body + sizeof(uint64_t), &client, sizeof client);
}

void
load_window_release(struct load_window *self)
{
    free(self->slots);
    free(self->free);
    free(self->body);
}

uint64_t
load_window_open(struct load_window *self, struct view *body_out)
{
    must(self->free_count > 0);
    uint32_t at = self->free[--self->free_count];
    uint64_t id = ++self->serial << SLOT_BITS | at;
    self->slots[at].id = id;
    self->slots[at].sent_ns = self->serial % self->timed_every == 0 ? load_now_ns() : 0;
    self->sent++;
    memcpy(self->body, &id, sizeof id);
    *body_out = view_of(self->body, self->body_bytes);
    return id;
}

// slot_of is the slot of a request that is in flight, NULL where there is none.
static struct load_slot *
slot_of(struct load_window *self, uint64_t id)
{
    uint64_t at = id & ((1 << SLOT_BITS) - 1);
    if (id == 0 || at >= self->size || self->slots[at].id != id)
        return NULL;
    return &self->slots[at];
}

static void
set_free(struct load_window *self, struct load_slot *slot)
{
    slot->id = 0;
    self->free[self->free_count++] = (uint32_t)(slot - self->slots);
}

void
load_window_close(struct load_window *self, struct view body)
{
    uint64_t id = 0;
    if (body.size == self->body_bytes)
        memcpy(&id, body.data, sizeof id);
    struct load_slot *slot = slot_of(self, id);
    if (slot == NULL ||
        memcmp(body.data + sizeof id, self->body + sizeof id, body.size - sizeof id) != 0) {
        self->wrong++;
        return;
    }
    if (slot->sent_ns != 0 && atomic_load_explicit(self->is_measuring, memory_order_relaxed))
        load_histogram_note(&self->latencies, load_now_ns() - slot->sent_ns);
    set_free(self, slot);
    uint64_t done = atomic_load_explicit(&self->done, memory_order_relaxed);
    atomic_store_explicit(&self->done, done + 1, memory_order_relaxed);
}

void
load_window_fail(struct load_window *self, uint64_t id)
{
    struct load_slot *slot = slot_of(self, id);
    if (slot == NULL) {
        self->wrong++;
        return;
    }
    self->failed++;
    set_free(self, slot);
}
