// test_sockets.c - what becomes of us where there is no socket left.

#include "link.h"
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <galleon/lazy_pirate.h>
#include <galleon/mdp_broker.h>
#include <galleon/mdp_worker.h>
#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

enum {
    DESCRIPTORS_MAX = 256,
    LINK_DESCRIPTORS = 3,   // of a DEALER, and of the two ends of its monitor
    BROKER_DESCRIPTORS = 5, // of the same, and of an epoll set and an eventfd
    PATIENCE_MS = 10000
};

static const char *const nobody = "tcp://127.0.0.1:9";
static int held[DESCRIPTORS_MAX];
static size_t held_count;

// leave takes all descriptors but so many; give_back gives those back.
static void
leave(size_t spare)
{
    // libzmq's own thread may still close what was there before.
    for (int round = 0; round < 5; round++) {
        int fd;
        while ((fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
            held[held_count++] = fd;
        assert_int_equal(errno, EMFILE);
        zclock_sleep(40);
    }
    while (spare-- > 0)
        close(held[--held_count]);
}

static void
give_back(void)
{
    while (held_count > 0)
        close(held[--held_count]);
}

static int
set_up(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = DESCRIPTORS_MAX;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    // libzmq's threads have to be there: without room for their own descriptors it ends us.
    void *socket = sockets_new(ZMQ_PAIR);
    assert_non_null(socket);
    sockets_close(&socket);
    assert_null(socket);
    return 0;
}

static void
no_socket_is_null_and_a_later_one_is_not(void **state)
{
    (void)state;
    leave(0);
    void *socket = sockets_new(ZMQ_DEALER);
    give_back();
    assert_null(socket);
    sockets_close(&socket);

    socket = sockets_new(ZMQ_DEALER);
    assert_non_null(socket);
    sockets_close(&socket);
}

static void
link_that_finds_no_socket_is_not_open(void **state)
{
    (void)state;
    for (size_t spare = 0; spare < LINK_DESCRIPTORS; spare++) {
        struct link link;
        leave(spare);
        int status = link_open(&link, LINK_KEEPS_ANSWERS, nobody, NULL, MDP_MESSAGE_BYTES_MAX);
        give_back();
        assert_int_equal(status, GALLEON_NO_MEMORY);
        assert_false(link_is_open(&link));
    }
}

static void
broker_that_finds_no_socket_is_null_with_enomem(void **state)
{
    (void)state;
    for (size_t spare = 0; spare < BROKER_DESCRIPTORS; spare++) {
        leave(spare);
        errno = 0;
        mdp_broker_t *broker = mdp_broker_new(NULL);
        int error = errno;
        give_back();
        assert_null(broker);
        assert_int_equal(error, ENOMEM);
    }
}

static void
worker_that_finds_no_socket_is_ready_once_there_is_one(void **state)
{
    (void)state;
    mdp_worker_options_t options = {
        .dialect = MDP_G1, .reconnect_ms_min = 10, .reconnect_ms_max = 20};
    zsock_t *router = zsock_new(ZMQ_ROUTER);
    assert_true(zsock_bind(router, "tcp://127.0.0.1:*") > 0);
    mdp_worker_t *worker = mdp_worker_new(zsock_endpoint(router), "echo", &options);
    assert_non_null(worker);
    mdp_request_t *request;
    leave(0);
    // Some attempts fail.
    for (int i = 0; i < 10; i++) {
        mdp_worker_pump_take(worker, galleon_now_ns(), &request);
        zclock_sleep(10);
    }
    assert_false(zsock_events(router) & ZMQ_POLLIN);
    give_back();

    int64_t end_ms = zclock_mono() + PATIENCE_MS;
    while (!(zsock_events(router) & ZMQ_POLLIN) && zclock_mono() < end_ms) {
        mdp_worker_pump_take(worker, galleon_now_ns(), &request);
        zclock_sleep(5);
    }
    assert_true(zsock_events(router) & ZMQ_POLLIN);
    mdp_worker_destroy(&worker);
    zsock_destroy(&router);
}

static void
lazy_client_that_finds_no_socket_ends_in_time_and_asks_once_there_is_one(void **state)
{
    (void)state;
    zsock_t *router = zsock_new(ZMQ_ROUTER);
    assert_true(zsock_bind(router, "tcp://127.0.0.1:*") > 0);
    const char *endpoint = zsock_endpoint(router);
    lazy_pirate_options_t options = {.timeout_ms = 150, .attempts = 2};
    lazy_pirate_t *client = lazy_pirate_new(&endpoint, 1, &options);
    assert_non_null(client);
    lazy_pirate_stats_t stats;
    for (size_t spare = 0; spare <= LINK_DESCRIPTORS; spare++) {
        zmsg_t *request = zmsg_new();
        zmsg_t *reply;
        bool is_enough = spare == LINK_DESCRIPTORS;
        if (!is_enough)
            leave(spare);
        int result = lazy_pirate_call(client, &request, &reply);
        give_back();
        assert_int_equal(result, GALLEON_TIMED_OUT); // nobody replies
        lazy_pirate_stats(client, &stats);
        assert_true((stats.requests_sent > 0) == is_enough);
    }
    assert_true(stats.unreached >= LINK_DESCRIPTORS * options.attempts);
    assert_true(zsock_events(router) & ZMQ_POLLIN);
    lazy_pirate_destroy(&client);
    zsock_destroy(&router);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_socket_is_null_and_a_later_one_is_not),
        cmocka_unit_test(link_that_finds_no_socket_is_not_open),
        cmocka_unit_test(broker_that_finds_no_socket_is_null_with_enomem),
        cmocka_unit_test(worker_that_finds_no_socket_is_ready_once_there_is_one),
        cmocka_unit_test(lazy_client_that_finds_no_socket_ends_in_time_and_asks_once_there_is_one),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
