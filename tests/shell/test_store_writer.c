// test_store_writer.c - nobody is told of an operation before its commit, nor of another's.
//
// The store here is a gate: each batch waits in it until the test says what becomes of it. So
// what is told while a commit is under way is no matter of luck.
//
//     test_store_writer [--plant N]      of the build that carries bugs: with that one

#include "store_writer.h"

#include "list.h"
#include "plants.h"

#include <galleon/status.h>

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { OPS = 16, BATCHES_MAX = 16, PATIENCE_S = 20 };

struct gate {
    struct store base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t begun;   // batches that came in
    size_t ended;   // that went out
    size_t allowed; // that may
    enum store_result results[BATCHES_MAX];
    size_t sizes[BATCHES_MAX];
    enum durable_op_kind kinds[BATCHES_MAX][OPS];
    size_t anchors;
    size_t anchors_in_commit; // while a batch was in
};

static struct gate gate;
static struct store_writer *writer;
static struct durable_op ops[OPS];

// ---- the gate ----------------------------------------------------------------------------

static enum store_result
gate_apply(struct store *base, struct durable_op *const *batch, size_t count)
{
    (void)base;
    pthread_mutex_lock(&gate.lock);
    size_t number = gate.begun++;
    if (number < BATCHES_MAX) {
        gate.sizes[number] = count;
        for (size_t i = 0; i < count && i < OPS; i++)
            gate.kinds[number][i] = batch[i]->kind;
    }
    pthread_cond_broadcast(&gate.changed);
    while (gate.allowed <= number)
        pthread_cond_wait(&gate.changed, &gate.lock);
    enum store_result result = number < BATCHES_MAX ? gate.results[number] : STORE_COMMITTED;
    gate.ended++;
    pthread_mutex_unlock(&gate.lock);
    for (size_t i = 0; i < count; i++)
        batch[i]->outcome = result == STORE_COMMITTED ? DURABLE_OK : DURABLE_REFUSED;
    return result;
}

static enum store_result
gate_idle(struct store *base, uint64_t now_ms, bool *has_more_out)
{
    (void)base, (void)now_ms;
    *has_more_out = false;
    return STORE_COMMITTED;
}

static enum store_result
gate_anchor(struct store *base)
{
    (void)base;
    pthread_mutex_lock(&gate.lock);
    gate.anchors++;
    gate.anchors_in_commit += gate.begun == 0;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    return STORE_COMMITTED;
}

static void
gate_info(struct store *base, struct store_info *info_out)
{
    (void)base;
    *info_out = (struct store_info){.has_room = true};
}

static const char *
gate_error(const struct store *base)
{
    (void)base;
    return "as the test says";
}

static const struct store_class gate_class = {.name = "gate",
                                              .apply = gate_apply,
                                              .idle = gate_idle,
                                              .anchor = gate_anchor,
                                              .info = gate_info,
                                              .error = gate_error};

static struct timespec
deadline(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += PATIENCE_S;
    return at;
}

// wait_for waits until a count of the gate's has come so far.
static void
wait_for(const size_t *count, size_t wanted)
{
    struct timespec until = deadline();
    int error = 0;
    pthread_mutex_lock(&gate.lock);
    while (*count < wanted && error == 0)
        error = pthread_cond_timedwait(&gate.changed, &gate.lock, &until);
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(error, 0);
}

// let_go lets the next batch go out.
static void
let_go(enum store_result result)
{
    pthread_mutex_lock(&gate.lock);
    gate.results[gate.allowed++] = result;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

// open_for_good lets all go out that come.
static void
open_for_good(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.allowed = SIZE_MAX;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

// ---- the writer --------------------------------------------------------------------------

static int
set_up(void **state)
{
    (void)state;
    gate = (struct gate){.base.class = &gate_class};
    pthread_mutex_init(&gate.lock, NULL);
    pthread_cond_init(&gate.changed, NULL);
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < OPS; i++)
        ops[i] = (struct durable_op){.kind = DURABLE_CLOSE, .outcome = DURABLE_DAMAGED};
    struct store_writer_options options = {.store = &gate.base, .ops_max = 64, .anchor_ms = 1};
    writer = store_writer_start(&options);
    return writer == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
    (void)state;
    open_for_good();
    store_writer_stop(&writer);
    pthread_cond_destroy(&gate.changed);
    pthread_mutex_destroy(&gate.lock);
    return 0;
}

static void
push(size_t from, size_t count)
{
    struct durable_op *pushed[OPS];
    for (size_t i = 0; i < count; i++)
        pushed[i] = &ops[from + i];
    store_writer_push(writer, pushed, count);
}

// take_now takes what there is, which has to begin with this operation.
static size_t
take_now(size_t first)
{
    struct durable_op *taken[OPS];
    size_t count = store_writer_take(writer, taken, OPS);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(taken[i], &ops[first + i]);
    return count;
}

// take waits for the writer to have something.
static size_t
take(size_t first)
{
    struct pollfd ready = {.fd = store_writer_fd(writer), .events = POLLIN};
    size_t count;
    do {
        assert_int_equal(poll(&ready, 1, PATIENCE_S * 1000), 1);
        store_writer_hush(writer);
        count = take_now(first);
    } while (count == 0);
    return count;
}

static struct store_writer_state
state_when(enum store_result result)
{
    struct store_writer_state state;
    struct pollfd ready = {.fd = store_writer_fd(writer), .events = POLLIN};
    store_writer_state(writer, &state);
    while (state.result != result) {
        assert_int_equal(poll(&ready, 1, PATIENCE_S * 1000), 1);
        store_writer_hush(writer);
        store_writer_state(writer, &state);
    }
    return state;
}

// ---- the watermark -----------------------------------------------------------------------

static void
nothing_is_told_before_its_commit(void **state)
{
    (void)state;
    push(0, 3);
    wait_for(&gate.begun, 1);
    assert_int_equal(take_now(0), 0);
    let_go(STORE_COMMITTED);
    assert_int_equal(take(0), 3);
    assert_int_equal(ops[2].outcome, DURABLE_OK);
}

static void
what_is_told_is_what_was_committed_and_no_more(void **state)
{
    (void)state;
    push(0, 3);
    wait_for(&gate.begun, 1);
    push(3, 2); // for the next batch
    let_go(STORE_COMMITTED);
    wait_for(&gate.begun, 2);
    assert_int_equal(gate.sizes[1], 2);
    assert_int_equal(take(0), 3);
    assert_int_equal(take_now(3), 0);
    let_go(STORE_COMMITTED);
    assert_int_equal(take(3), 2);
}

static void
batch_in_doubt_is_never_told(void **state)
{
    (void)state;
    push(0, 2);
    let_go(STORE_DOUBT);
    (void)state_when(STORE_DOUBT);
    assert_int_equal(take_now(0), 0);
}

static void
nothing_is_anchored_before_its_commit(void **state)
{
    (void)state;
    push(0, 1);
    wait_for(&gate.begun, 1);
    assert_int_equal(gate.anchors_in_commit, 0);
    let_go(STORE_COMMITTED);
    wait_for(&gate.anchors, 1);
    assert_int_equal(gate.anchors_in_commit, 0);
}

// ---- what did not fit --------------------------------------------------------------------

static void
full_disk_refuses_what_is_new_and_does_the_rest(void **state)
{
    (void)state;
    ops[0].kind = DURABLE_SUBMIT;
    ops[2].kind = DURABLE_ANSWER;
    push(0, 3);
    let_go(STORE_FULL);
    let_go(STORE_COMMITTED);
    assert_int_equal(take(0), 3);
    assert_int_equal(gate.sizes[1], 1);
    assert_int_equal(gate.kinds[1][0], DURABLE_CLOSE);
    assert_int_equal(ops[0].outcome, DURABLE_REFUSED);
    assert_int_equal(ops[1].outcome, DURABLE_OK);
    assert_int_equal(ops[2].outcome, DURABLE_REFUSED);
}

static void
disk_that_is_full_for_everything_refuses_it(void **state)
{
    (void)state;
    ops[0].kind = DURABLE_SUBMIT;
    push(0, 2);
    let_go(STORE_FULL);
    let_go(STORE_FULL);
    assert_int_equal(take(0), 2);
    assert_int_equal(ops[0].outcome, DURABLE_REFUSED);
    assert_int_equal(ops[1].outcome, DURABLE_REFUSED);
    struct store_writer_state now;
    store_writer_state(writer, &now);
    assert_int_equal(now.result, STORE_COMMITTED);
}

static void
batch_that_found_no_memory_is_refused_and_the_next_is_not(void **state)
{
    (void)state;
    push(0, 1);
    let_go(STORE_RETRY);
    assert_int_equal(take(0), 1);
    assert_int_equal(ops[0].outcome, DURABLE_REFUSED);
    push(1, 1);
    let_go(STORE_COMMITTED);
    assert_int_equal(take(1), 1);
    assert_int_equal(ops[1].outcome, DURABLE_OK);
}

static void
store_at_fault_is_read_and_not_changed(void **state)
{
    (void)state;
    push(0, 1);
    let_go(STORE_FAULT);
    assert_false(state_when(STORE_FAULT).has_room);
    assert_int_equal(take_now(0), 1);
    assert_int_equal(ops[0].outcome, DURABLE_REFUSED);
    ops[2].kind = DURABLE_FETCH;
    push(1, 2);
    let_go(STORE_COMMITTED);
    assert_int_equal(take(1), 2);
    assert_int_equal(gate.sizes[1], 1);
    assert_int_equal(gate.kinds[1][0], DURABLE_FETCH);
    assert_int_equal(ops[1].outcome, DURABLE_REFUSED);
    assert_int_equal(ops[2].outcome, DURABLE_OK);
}

static void
stop_commits_what_was_handed_over(void **state)
{
    (void)state;
    push(0, 1);
    wait_for(&gate.begun, 1);
    push(1, 3);
    open_for_good();
    store_writer_stop(&writer);
    assert_int_equal(gate.ended, 2);
    assert_int_equal(gate.sizes[1], 3);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(nothing_is_told_before_its_commit),
        TEST(what_is_told_is_what_was_committed_and_no_more),
        TEST(batch_in_doubt_is_never_told),
        TEST(nothing_is_anchored_before_its_commit),
        TEST(full_disk_refuses_what_is_new_and_does_the_rest),
        TEST(disk_that_is_full_for_everything_refuses_it),
        TEST(batch_that_found_no_memory_is_refused_and_the_next_is_not),
        TEST(store_at_fault_is_read_and_not_changed),
        TEST(stop_commits_what_was_handed_over),
#undef TEST
    };
    bool is_planted = argc == 3 && strcmp(argv[1], "--plant") == 0;
    uint32_t plant = is_planted ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    if (!plants_switch_on(plant))
        return 2;
    if (is_planted)
        cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
