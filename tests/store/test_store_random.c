// test_store_random.c - thousands of operations on SQLite and on the model in memory, and the
// same has to come of each.
//
// GALLEON_SEED runs one seed; a failure names its own. The store is closed and opened again at
// random, which may change nothing. Numbers of requests may differ between the two, as both
// only promise that they grow: a request is known by the order in which it was accepted.

#include "store_rig.h"

#include "durable_digest.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REQUESTS_MAX = 4096, BATCH_MAX = 12, TEXT_MAX = 200000, STEPS = 250 };

struct world {
    struct prng prng;
    uint64_t seed;
    struct store_rig *sqlite;
    struct store *memory;
    struct request_id ids[REQUESTS_MAX];
    uint64_t seqs[2][REQUESTS_MAX]; // by store: SQLite, memory
    struct durable_owner owners[REQUESTS_MAX];
    size_t count;
    struct durable_op ops[2][BATCH_MAX];
    struct durable_body *bodies[BATCH_MAX];
    struct durable_body *large;
};

static uint64_t
below(struct world *world, uint64_t bound)
{
    return prng_below(&world->prng, bound);
}

static struct view
some_service(struct world *world)
{
    static const char *const names[] = {"a", "bb", "ccc"};
    return rig_view(names[below(world, 3)]);
}

static struct durable_owner
some_owner(struct world *world)
{
    struct durable_owner owner = {{0}};
    owner.bytes[5] = (uint8_t)below(world, 2);
    return owner;
}

static struct durable_body *
some_body(struct world *world)
{
    uint64_t kind = below(world, 40);
    size_t size = kind == 0  ? below(world, TEXT_MAX)
                  : kind < 4 ? 60000 + below(world, 10000)
                             : below(world, 9);
    struct durable_body *body = malloc(sizeof *body + size);
    assert_non_null(body);
    // What is in it no store looks at, but there is room for the lengths of so many frames.
    uint64_t frames = below(world, size < 12 ? size / 4 + 1 : 4);
    *body = (struct durable_body){.frames = (uint32_t)frames, .bytes = size};
    body->fields_bytes = (uint32_t)below(world, size - 4 * frames + 1);
    uint8_t first = (uint8_t)below(world, 3);
    for (size_t at = 0; at < size; at++)
        body->data[at] = (uint8_t)(first + at);
    return body;
}

// ---- operations ------------------------------------------------------------------------

static void
fill_submit(struct world *world, struct durable_op *op, struct durable_body *body)
{
    static const char *const keys[] = {"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"};
    uint64_t now_ms = op->now_ms;
    op->id = store_rig_id(world->sqlite);
    if (below(world, 50) == 0 && world->count > 0) // an id that is known
        op->id = world->ids[below(world, world->count)];
    op->service = some_service(world);
    if (below(world, 2) == 0)
        op->key = rig_view(keys[below(world, 8)]);
    op->body = body;
    op->digest = durable_digest(op->service, body);
    op->attempts_max = (uint32_t)below(world, 20);
    op->due_ms = now_ms + (below(world, 3) == 0 ? below(world, 2000) : 0);
    op->deadline_ms = below(world, 3) == 0 ? now_ms + 1 + below(world, 3000) : 0;
}

static void
fill_filter(struct world *world, struct durable_op *op)
{
    struct durable_filter *filter = &op->filter;
    if (below(world, 2) == 0)
        filter->service = below(world, 10) == 0 ? rig_view("none") : some_service(world);
    if (below(world, 2) == 0 && op->kind != DURABLE_STATS) {
        filter->has_state = true;
        filter->state = (enum durable_state)below(world, DURABLE_STATES);
    }
    if (below(world, 4) == 0)
        filter->older_than_ms = below(world, 3000);
    if (below(world, 4) == 0)
        filter->newer_than_ms = below(world, 3000);
    if (below(world, 4) == 0 && world->count > 0) {
        filter->has_after = true;
        filter->after = world->ids[below(world, world->count)];
    }
    if (below(world, 8) == 0 && world->count > 0 && op->kind != DURABLE_STATS) {
        *filter = (struct durable_filter){.has_id = true};
        filter->id = world->ids[below(world, world->count)];
    }
    if (below(world, 2) == 0)
        filter->limit = (uint32_t)(1 + below(world, 5));
    op->reason = rig_view("an operator");
}

static enum durable_op_kind
some_kind(struct world *world)
{
    static const enum durable_op_kind often[] = {DURABLE_SUBMIT, DURABLE_SUBMIT, DURABLE_ANSWER,
                                                 DURABLE_ANSWER, DURABLE_CLOSE,  DURABLE_FETCH,
                                                 DURABLE_LOAD};
    return below(world, 3) > 0 ? often[below(world, sizeof often / sizeof *often)]
                               : (enum durable_op_kind)below(world, DURABLE_OPS);
}

static void
fill(struct world *world, size_t at)
{
    struct durable_op *op = &world->ops[0][at], *twin = &world->ops[1][at];
    size_t which = world->count > 0 ? below(world, world->count) : 0;
    if (below(world, 3) > 0 && world->count > 20) // mostly one of the last
        which = world->count - 1 - below(world, 20);
    *op = (struct durable_op){.kind = some_kind(world), .now_ms = world->sqlite->now_ms};
    world->bodies[at] = NULL;
    op->owner = below(world, 10) == 0 ? some_owner(world) : world->owners[which];
    op->id = world->ids[which];
    op->seq = world->seqs[0][which];
    op->life = (uint32_t)below(world, 4) / 3;
    op->attempts = (uint32_t)below(world, 9);
    op->reason = below(world, 2) == 0 ? rig_view("it did not work") : VIEW_NONE;
    op->due_ms = op->now_ms + below(world, 1000);
    op->limit = (uint32_t)below(world, 6);
    op->bytes_max = below(world, 4) == 0 ? 1 + below(world, 50) : 0;
    if (op->kind == DURABLE_KILL)
        op->state = below(world, 2) == 0 ? DURABLE_DEAD : DURABLE_EXPIRED;
    if (op->kind == DURABLE_SUBMIT || op->kind == DURABLE_ANSWER)
        op->body = world->bodies[at] = some_body(world);
    if (op->kind == DURABLE_SUBMIT)
        fill_submit(world, op, world->bodies[at]);
    if (op->kind == DURABLE_LOAD)
        op->service = some_service(world);
    if (op->kind >= DURABLE_LIST)
        fill_filter(world, op);
    *twin = *op;
    twin->seq = world->seqs[1][which];
}

// ---- what came of them --------------------------------------------------------------------

static bool
same_body(const struct durable_body *a, const struct durable_body *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->frames == b->frames && a->fields_bytes == b->fields_bytes && a->bytes == b->bytes &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

static bool
same_row(const struct durable_row *a, const struct durable_row *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id) == 0 &&
           memcmp(&a->owner, &b->owner, sizeof a->owner) == 0 && a->state == b->state &&
           a->life == b->life && a->attempts == b->attempts && a->attempts_max == b->attempts_max &&
           a->accepted_ms == b->accepted_ms && a->due_ms == b->due_ms &&
           a->deadline_ms == b->deadline_ms && view_equals(a->service, b->service) &&
           view_equals(a->key, b->key) && view_equals(a->reason, b->reason) &&
           a->frames == b->frames && a->reply_frames == b->reply_frames && a->bytes == b->bytes &&
           a->reply_bytes == b->reply_bytes && same_body(a->body, b->body);
}

static bool
same_found(const struct durable_rows *a, const struct durable_rows *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->count != b->count || a->service_count != b->service_count)
        return false;
    for (size_t at = 0; at < a->count; at++)
        if (!same_row(&a->rows[at], &b->rows[at]))
            return false;
    for (size_t at = 0; at < a->service_count; at++) {
        const struct durable_count *one = &a->services[at], *other = &b->services[at];
        if (!view_equals(one->service, other->service) || one->pending != other->pending ||
            one->done != other->done || one->dead != other->dead ||
            one->expired != other->expired || (at > 0 && one->oldest_ms != other->oldest_ms))
            return false;
    }
    return true;
}

static bool
same_outcome(const struct durable_op *a, const struct durable_op *b)
{
    bool has_state = a->kind == DURABLE_FETCH || a->kind == DURABLE_CLOSE ||
                     (a->kind == DURABLE_SUBMIT && a->outcome != DURABLE_REFUSED);
    return a->outcome == b->outcome && memcmp(&a->id, &b->id, sizeof a->id) == 0 &&
           (!has_state || a->state == b->state) && same_body(a->reply, b->reply) &&
           same_found(a->found, b->found) && view_equals(a->text, b->text) &&
           a->has_more == b->has_more && a->next_ms == b->next_ms;
}

static void
remember(struct world *world, size_t at)
{
    const struct durable_op *op = &world->ops[0][at];
    if (op->kind == DURABLE_SUBMIT && op->outcome == DURABLE_OK && world->count < REQUESTS_MAX) {
        world->ids[world->count] = op->id;
        world->owners[world->count] = op->owner;
        world->seqs[0][world->count] = op->seq;
        world->seqs[1][world->count++] = world->ops[1][at].seq;
    }
}

static void
step(struct world *world, int number)
{
    size_t count = 1 + below(world, BATCH_MAX);
    struct durable_op *order[2][BATCH_MAX];
    for (size_t at = 0; at < count; at++) {
        fill(world, at);
        order[0][at] = &world->ops[0][at];
        order[1][at] = &world->ops[1][at];
    }
    assert_int_equal(store_apply(world->sqlite->store, order[0], count), STORE_COMMITTED);
    assert_int_equal(store_apply(world->memory, order[1], count), STORE_COMMITTED);
    for (size_t at = 0; at < count; at++) {
        struct durable_op *op = order[0][at], *twin = order[1][at];
        if (!same_outcome(op, twin)) {
            print_error("seed %llu, step %d, operation %zu of kind %d: outcome %d, not %d\n",
                        (unsigned long long)world->seed, number, at, (int)op->kind,
                        (int)op->outcome, (int)twin->outcome);
            fail();
        }
        remember(world, at);
        free(op->reply);
        free(twin->reply);
        store_rows_free(op->found);
        store_rows_free(twin->found);
        free(world->bodies[at]);
    }
}

// pass_time lets some or a lot of it pass. Both are given what is past its time to drop.
static void
pass_time(struct world *world)
{
    struct store_rig *rig = world->sqlite;
    bool has_more;
    rig->now_ms += below(world, 100);
    if (below(world, 20) > 0)
        return;
    rig->now_ms += rig->options.retain_ms / 8 + below(world, rig->options.retain_ms);
    rig_idle(rig);
    assert_int_equal(store_idle(world->memory, rig->now_ms, &has_more), STORE_COMMITTED);
}

static void
same_info(struct world *world)
{
    struct store_info one, other;
    store_info(world->sqlite->store, &one);
    store_info(world->memory, &other);
    assert_int_equal(one.pending, other.pending);
    assert_int_equal(one.done, other.done);
    assert_int_equal(one.dead, other.dead);
    assert_int_equal(one.closed, other.closed);
    assert_int_equal(one.expired, other.expired);
}

static void
run(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    uint8_t key[32] = {0};
    memcpy(key, &seed, sizeof seed);
    prng_init(&world->prng, key, 0);
    world->seed = seed;
    world->sqlite = store_rig_new(store_open_sqlite);
    world->sqlite->options.has_audit = seed % 2 == 0;
    world->sqlite->options.is_relaxed = true; // no power is lost here
    store_rig_reopen(world->sqlite);
    world->memory = store_open_memory(&world->sqlite->options, &world->sqlite->error);
    for (int number = 0; number < STEPS; number++) {
        step(world, number);
        pass_time(world);
        same_info(world);
        if (below(world, 25) == 0)
            store_rig_reopen(world->sqlite);
    }
    store_close(world->memory);
    store_rig_free(world->sqlite);
    free(world);
}

static void
both_do_the_same(void **state)
{
    (void)state;
    const char *text = getenv("GALLEON_SEED");
    uint64_t first = text != NULL ? strtoull(text, NULL, 10) : 1;
    uint64_t count = text != NULL ? 1 : getenv("GALLEON_LONG") != NULL ? 500 : 8;
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_do_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
