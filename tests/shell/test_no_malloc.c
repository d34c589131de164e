// test_no_malloc.c - the hot path asks nobody for memory: 100,000 G1 requests through a
// running broker, and some through a pirate queue, and the calls of our own objects are counted.
//
// The linker turns malloc and its kin in our static archives, and in this file, into the
// functions below (--wrap). What libzmq and czmq allocate is not seen, and not meant.

#include "broker_stage.h"

#include <galleon/pirate_queue.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    PACK = 100,
    REQUESTS = 100000,
    WARM_UP = 10000,
    SINGLES = 5000,
    SPARE = 64 // a table that grows once more, a buffer that is let go
};

// Under AddressSanitizer cargo is not kept for the next, so that a late use is seen.
#if defined(__SANITIZE_ADDRESS__)
enum { CALLS_OF_ONE = 2 };
#else
enum { CALLS_OF_ONE = 0 };
#endif

static atomic_ulong allocations;
static atomic_ulong releases;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

void *
__wrap_malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, size);
}

void *
__wrap_realloc(void *memory, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(memory, size);
}

void
__wrap_free(void *memory)
{
    atomic_fetch_add(&releases, 1);
    __real_free(memory);
}

// ---- the load ------------------------------------------------------------------------------

struct fixture {
    struct stage stage;
    struct peer client;
    struct peer worker;
};

static int
set_up(void **state)
{
    // A name of its own for each test: the socket of the last may still be closing.
    static int number;
    char endpoint[64];
    struct fixture *self = calloc(1, sizeof *self);
    snprintf(endpoint, sizeof endpoint, "inproc://test-no-malloc-%d", number++);
    stage_open(&self->stage, endpoint, NULL);
    peer_open(&self->client, self->stage.endpoint, MDP_G1, 0);
    peer_open(&self->worker, self->stage.endpoint, MDP_G1, 0);
    peer_ready(&self->worker, "echo", PACK);
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *self = *state;
    peer_close(&self->client);
    peer_close(&self->worker);
    stage_close(&self->stage);
    free(self);
    return 0;
}

static void
make_rounds(struct fixture *self, size_t requests, size_t pack)
{
    static struct mdp_record records[PACK];
    static uint8_t bytes[100];
    const struct view body = view_of(bytes, sizeof bytes);
    for (size_t done = 0; done < requests; done += pack) {
        for (size_t i = 0; i < pack; i++)
            records[i] = (struct mdp_record){.dialect = MDP_G1,
                                             .side = MDP_CLIENT_SIDE,
                                             .command = MDP_REQUEST,
                                             .id = i,
                                             .service = VIEW_LITERAL("echo"),
                                             .body = mdp_body_of(&body, 1)};
        peer_send_pack(&self->client, records, pack);
        for (size_t i = 0; i < pack; i++) {
            struct mdp_record request = peer_expect(&self->worker, MDP_REQUEST);
            records[i] = (struct mdp_record){.dialect = MDP_G1,
                                             .side = MDP_WORKER_SIDE,
                                             .command = MDP_FINAL,
                                             .status = MDP_DONE,
                                             .ticket = request.ticket,
                                             .body = mdp_body_of(&body, 1)};
        }
        peer_send_pack(&self->worker, records, pack);
        for (size_t i = 0; i < pack; i++)
            (void)peer_expect(&self->client, MDP_FINAL);
    }
}

// ---- the tests -----------------------------------------------------------------------------

static void
packed_requests_allocate_nothing(void **state)
{
    struct fixture *self = *state;
    assert_true(atomic_load(&allocations) > 0); // or nothing is counted at all
    make_rounds(self, WARM_UP, PACK);
    unsigned long allocated = atomic_load(&allocations), released = atomic_load(&releases);

    make_rounds(self, REQUESTS, PACK);

    allocated = atomic_load(&allocations) - allocated;
    released = atomic_load(&releases) - released;
    assert_in_range(allocated, 0, (unsigned long)CALLS_OF_ONE * REQUESTS + SPARE);
    assert_in_range(released, 0, (unsigned long)CALLS_OF_ONE * REQUESTS + SPARE);
}

static void
single_requests_allocate_nothing(void **state)
{
    struct fixture *self = *state;
    make_rounds(self, WARM_UP, PACK);
    make_rounds(self, 200, 1);
    unsigned long allocated = atomic_load(&allocations), released = atomic_load(&releases);

    make_rounds(self, SINGLES, 1);

    allocated = atomic_load(&allocations) - allocated;
    released = atomic_load(&releases) - released;
    assert_in_range(allocated, 0, (unsigned long)CALLS_OF_ONE * SINGLES + SPARE);
    assert_in_range(released, 0, (unsigned long)CALLS_OF_ONE * SINGLES + SPARE);
}

// ---- a pirate queue ------------------------------------------------------------------------

static void *
serve_pirates(void *queue)
{
    assert_int_equal(pirate_queue_run(queue), GALLEON_OK);
    return NULL;
}

// echo receives a message of a few small frames and sends it back.
static void
echo(void *worker)
{
    char frames[4][128];
    int sizes[4], count = 0, more = 1;
    for (size_t size = sizeof more; more; count++) {
        assert_true(count < 4);
        sizes[count] = zmq_recv(worker, frames[count], sizeof frames[count], 0);
        assert_in_range(sizes[count], 0, sizeof frames[count]);
        assert_int_equal(zmq_getsockopt(worker, ZMQ_RCVMORE, &more, &size), 0);
    }
    for (int i = 0; i < count; i++)
        assert_int_equal(
            zmq_send(worker, frames[i], (size_t)sizes[i], i + 1 < count ? ZMQ_SNDMORE : 0),
            sizes[i]);
}

static void
make_pirate_rounds(void *client, void *worker, int rounds)
{
    char bytes[100] = {0};
    for (int i = 0; i < rounds; i++) {
        assert_int_equal(zmq_send(client, bytes, sizeof bytes, 0), sizeof bytes);
        echo(worker);
        assert_int_equal(zmq_recv(client, bytes, sizeof bytes, 0), sizeof bytes);
    }
}

static void
pirates_requests_allocate_nothing(void **state)
{
    (void)state;
    pirate_queue_options_t options = {.simple = true};
    pirate_queue_t *queue = pirate_queue_new(&options);
    assert_int_equal(pirate_queue_bind_frontend(queue, "tcp://127.0.0.1:*"), GALLEON_OK);
    assert_int_equal(pirate_queue_bind_backend(queue, "tcp://127.0.0.1:*"), GALLEON_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve_pirates, queue), 0);
    zsock_t *client = zsock_new_req(pirate_queue_frontend(queue));
    zsock_t *worker = zsock_new_req(pirate_queue_backend(queue));
    zsock_set_rcvtimeo(client, 10000);
    zsock_set_rcvtimeo(worker, 10000);
    zstr_send(worker, "\001");
    make_pirate_rounds(zsock_resolve(client), zsock_resolve(worker), 500);
    unsigned long allocated = atomic_load(&allocations), released = atomic_load(&releases);

    make_pirate_rounds(zsock_resolve(client), zsock_resolve(worker), SINGLES);

    allocated = atomic_load(&allocations) - allocated;
    released = atomic_load(&releases) - released;
    assert_in_range(allocated, 0, (unsigned long)CALLS_OF_ONE * SINGLES + SPARE);
    assert_in_range(released, 0, (unsigned long)CALLS_OF_ONE * SINGLES + SPARE);
    zsock_destroy(&client);
    zsock_destroy(&worker);
    pirate_queue_drain(queue);
    pthread_join(thread, NULL);
    pirate_queue_destroy(&queue);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packed_requests_allocate_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(single_requests_allocate_nothing, set_up, tear_down),
        cmocka_unit_test(pirates_requests_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
