// check_chain.c - T7: the audit chain, and the anchor beside it.
//
// The oracle has every record that was given to the disk and the head behind it, made here of
// nothing but SHA-256. What a start finds has to be the beginning of that.

#include "check_durable.h"
#include "titanic_store.h"

struct oracle {
    struct audit_head *heads; // behind record n: heads[n]
    uint64_t count, capacity;
};

typedef unsigned long long number;

static struct oracle *
oracle_of(struct world *world)
{
    if (world->oracle == NULL)
        world->oracle = world_take_zeroed(world, sizeof *world->oracle);
    struct oracle *self = world->oracle;
    if (self->count + 2 > self->capacity) {
        self->capacity = 2 * self->capacity + 256;
        self->heads = world_grow(world, self->heads, self->capacity * sizeof *self->heads);
    }
    return self;
}

static void
hash(const void *first, size_t first_size, struct view second, uint8_t hash_out[SHA256_BYTES])
{
    struct sha256 sum;
    sha256_init(&sum);
    sha256_add(&sum, view_of(first, first_size));
    sha256_add(&sum, second);
    sha256_end(&sum, hash_out);
}

// head_behind: "leaf = SHA-256(0x00 || record), head(n) = SHA-256(0x01 || head(n-1) || leaf(n))".
static struct audit_head
head_behind(const struct audit_head *before, struct view record)
{
    uint8_t leaf[SHA256_BYTES], text[1 + SHA256_BYTES] = {1};
    struct audit_head head;
    hash("", 1, record, leaf);
    memcpy(text + 1, before->bytes, SHA256_BYTES);
    hash(text, sizeof text, view_of(leaf, sizeof leaf), head.bytes);
    return head;
}

static bool
is_same(const struct audit_head *a, const struct audit_head *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

void
check_chain_given(struct node *node, const struct chain *chain, struct view record)
{
    struct oracle *self = oracle_of(node->world);
    if (chain->count == 0 || chain->count > self->count + 1)
        check_fail(node, "T7 chain_holds", "record %llu follows record %llu", (number)chain->count,
                   (number)self->count);
    if (self->count == 0)
        hash(NULL, 0, titanic_store_id(), self->heads[0].bytes);
    // What the disk had no room for was given before, and is not there.
    self->count = chain->count;
    self->heads[self->count] = head_behind(&self->heads[self->count - 1], record);
    if (!is_same(&self->heads[self->count], &chain->head))
        check_fail(node, "T7 chain_holds", "the head is not that of the records, from %llu on",
                   (number)self->count);
}

// chain_holds (T7): "the chain verifies on each crash image, is a prefix of the oracle's, and the
// anchor is not ahead", unless a disk has lied: that is what an anchor is there to notice.
void
check_chain_found(struct node *node, const struct chain *chain, const struct chain *anchor,
                  bool was_lied_to)
{
    struct oracle *self = oracle_of(node->world);
    if (chain->count > self->count)
        check_fail(node, "T7 chain_holds", "there are %llu records, of %llu", (number)chain->count,
                   (number)self->count);
    if (chain->count > 0 && !is_same(&chain->head, &self->heads[chain->count]))
        check_fail(node, "T7 chain_holds",
                   "the chain of %llu records is not the one that was given", (number)chain->count);
    if (anchor->count > chain->count) {
        if (!was_lied_to)
            check_fail(node, "T7 chain_holds", "the anchor is at %llu, ahead of %llu records",
                       (number)anchor->count, (number)chain->count);
        mark(node->world, MARK_ANCHOR_AHEAD);
    } else if (anchor->count > 0) {
        mark(node->world, MARK_ANCHOR_HOLDS);
        if (!is_same(&anchor->head, &self->heads[anchor->count]))
            check_fail(node, "T7 chain_holds", "the chain is not the one anchored at %llu",
                       (number)anchor->count);
    }
    self->count = chain->count; // it goes on from here
}
