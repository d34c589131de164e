// test_pirate_queue.c - an embedded queue in a thread, and raw pirates around it.
//
// Peers are czmq sockets that write and read frames by hand: no library of ours stands
// between a test and what is on the wire. Whoever waits waits for something, and fails the
// test after ten seconds.

#include <czmq.h>
#include <galleon/pirate_queue.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, BEAT_MS = 50 };

struct stage {
    pirate_queue_options_t options;
    pirate_queue_t *queue;
    pthread_t thread;
    int result; // of pirate_queue_run
    bool is_running;
};

// ---- the queue ---------------------------------------------------------------------------------

static void *
serve(void *context)
{
    struct stage *self = context;
    self->result = pirate_queue_run(self->queue);
    return NULL;
}

static void
open_at(struct stage *self, const char *frontend, const char *backend)
{
    self->queue = pirate_queue_new(&self->options);
    assert_non_null(self->queue);
    assert_int_equal(pirate_queue_bind_frontend(self->queue, frontend), GALLEON_OK);
    assert_int_equal(pirate_queue_bind_backend(self->queue, backend), GALLEON_OK);
    assert_int_equal(pthread_create(&self->thread, NULL, serve, self), 0);
    self->is_running = true;
}

static int
join(struct stage *self)
{
    pthread_join(self->thread, NULL);
    self->is_running = false;
    pirate_queue_destroy(&self->queue);
    assert_null(self->queue);
    return self->result;
}

static int
set_up(void **state, bool is_simple)
{
    struct stage *self = calloc(1, sizeof *self);
    self->options = (pirate_queue_options_t){
        .simple = is_simple, .heartbeat_ms = BEAT_MS, .liveness = 20, .drain_ms = 5000};
    open_at(self, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*");
    *state = self;
    return 0;
}

static int
set_up_simple(void **state)
{
    return set_up(state, true);
}

static int
set_up_paranoid(void **state)
{
    return set_up(state, false);
}

static int
tear_down(void **state)
{
    struct stage *self = *state;
    if (self->is_running) {
        pirate_queue_drain(self->queue);
        assert_int_equal(join(self), GALLEON_OK);
    }
    free(self);
    return 0;
}

static void
open_again(struct stage *self, const char *frontend, const char *backend)
{
    pirate_queue_drain(self->queue);
    assert_int_equal(join(self), GALLEON_OK);
    open_at(self, frontend, backend);
}

typedef bool test_fn(const pirate_queue_stats_t *stats, uint64_t value);

static void
wait_until(struct stage *self, test_fn *is_so, uint64_t value)
{
    int64_t end_ms = zclock_mono() + PATIENCE_MS;
    pirate_queue_stats_t stats;
    do {
        assert_true(zclock_mono() < end_ms);
        zclock_sleep(1);
        pirate_queue_stats(self->queue, &stats);
    } while (!is_so(&stats, value));
}

static bool
has_idle(const pirate_queue_stats_t *stats, uint64_t value)
{
    return stats->workers_idle == value;
}

static bool
has_queued(const pirate_queue_stats_t *stats, uint64_t value)
{
    return stats->requests_queued == value;
}

static bool
has_rejected(const pirate_queue_stats_t *stats, uint64_t value)
{
    return stats->peers_rejected >= value;
}

static bool
has_refused_draining(const pirate_queue_stats_t *stats, uint64_t value)
{
    return stats->refused_draining == value;
}

static bool
has_refused(const pirate_queue_stats_t *stats, uint64_t value)
{
    return stats->requests_refused == value;
}

// ---- peers --------------------------------------------------------------------------

static zsock_t *
connect_to(int type, const char *endpoint)
{
    zsock_t *socket = zsock_new(type);
    assert_non_null(socket);
    zsock_set_linger(socket, 0);
    zsock_set_rcvtimeo(socket, PATIENCE_MS);
    assert_int_equal(zsock_connect(socket, "%s", endpoint), 0);
    return socket;
}

static zsock_t *
client_of(struct stage *self)
{
    return connect_to(ZMQ_REQ, pirate_queue_frontend(self->queue));
}

// worker_of is a DEALER in both dialects, so that it sees whatever comes.
static zsock_t *
worker_of(struct stage *self)
{
    zsock_t *worker = connect_to(ZMQ_DEALER, pirate_queue_backend(self->queue));
    if (self->options.simple)
        assert_int_equal(zstr_sendx(worker, "", "\001", NULL), 0);
    else
        assert_int_equal(zstr_send(worker, "\001"), 0);
    return worker;
}

// take is the next request: its address is the first frame, its body those behind the third.
static zmsg_t *
take(struct stage *self, zsock_t *worker)
{
    for (;;) {
        zmsg_t *message = zmsg_recv(worker);
        assert_non_null(message);
        if (self->options.simple) {
            zframe_t *delimiter = zmsg_pop(message);
            assert_int_equal(zframe_size(delimiter), 0);
            zframe_destroy(&delimiter);
        }
        if (zmsg_size(message) > 1) {
            assert_int_equal(zframe_size(zmsg_first(message)), 24);
            assert_int_equal(zframe_size(zmsg_next(message)), 0);
            return message;
        }
        assert_false(self->options.simple); // it has no HEARTBEAT
        assert_int_equal(zframe_data(zmsg_first(message))[0], 2);
        zmsg_destroy(&message);
    }
}

// echo sends a request back as it came.
static void
echo(struct stage *self, zsock_t *worker, zmsg_t **request_p)
{
    if (self->options.simple)
        zmsg_pushmem(*request_p, "", 0);
    assert_int_equal(zmsg_send(request_p, worker), 0);
}

static void
expect_text(zsock_t *client, const char *text)
{
    char *found = zstr_recv(client);
    assert_non_null(found);
    assert_string_equal(found, text);
    zstr_free(&found);
}

// check_service: a request makes its round.
static void
check_service(struct stage *self, zsock_t *worker)
{
    zsock_t *client = client_of(self);
    zstr_send(client, "Hi");
    zmsg_t *request = take(self, worker);
    echo(self, worker, &request);
    expect_text(client, "Hi");
    zsock_destroy(&client);
}

// ---- serving -----------------------------------------------------------------------------------

static void
request_makes_its_round_over_any_transport(void **state)
{
    struct stage *self = *state;
    static int number;
    char name[64];
    snprintf(name, sizeof name, "inproc://test-pirate-queue-%d", number++);
    const char *const backends[] = {"tcp://127.0.0.1:*", "ipc://*", name};
    size_t count = sizeof backends / sizeof *backends;
#if defined(__SANITIZE_THREAD__)
    count--; // over inproc libzmq hands messages over in a way that it does not see
#endif
    for (size_t i = 0; i < count; i++) {
        open_again(self, "tcp://127.0.0.1:*", backends[i]);
        zsock_t *worker = worker_of(self);
        check_service(self, worker);
        zsock_destroy(&worker);
    }
}

static void
body_of_many_and_large_frames_is_passed_whole(void **state)
{
    struct stage *self = *state;
    zsock_t *client = client_of(self), *worker = worker_of(self);
    zmsg_t *body = zmsg_new();
    zframe_t *large = zframe_new(NULL, 900000);
    memset(zframe_data(large), 'x', 900000);
    zmsg_append(body, &large);
    zmsg_addmem(body, "", 0);
    for (int i = 0; i < 200; i++)
        zmsg_addstrf(body, "%d", i);
    zmsg_t *copy = zmsg_dup(body);
    assert_int_equal(zmsg_send(&body, client), 0);

    zmsg_t *request = take(self, worker);
    echo(self, worker, &request);

    zmsg_t *reply = zmsg_recv(client);
    assert_true(zmsg_eq(reply, copy));
    zmsg_destroy(&reply);
    zmsg_destroy(&copy);
    zsock_destroy(&client);
    zsock_destroy(&worker);
}

static void
window_of_requests_is_answered_by_many_workers(void **state)
{
    enum { WORKERS = 8, REQUESTS = 2000, WINDOW = 100 };
    struct stage *self = *state;
    zsock_t *workers[WORKERS];
    zpoller_t *poller = zpoller_new(NULL);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = worker_of(self);
        zpoller_add(poller, workers[i]);
    }
    zsock_t *client = connect_to(ZMQ_DEALER, pirate_queue_frontend(self->queue));
    zpoller_add(poller, client);
    int sent = 0, received = 0;
    static bool seen[REQUESTS];
    memset(seen, 0, sizeof seen);
    while (received < REQUESTS) {
        for (; sent < REQUESTS && sent < received + WINDOW; sent++)
            zsock_send(client, "si", "", sent);
        zsock_t *ready = zpoller_wait(poller, PATIENCE_MS);
        assert_non_null(ready);
        if (ready == client) {
            char *delimiter;
            int number;
            assert_int_equal(zsock_recv(client, "si", &delimiter, &number), 0);
            assert_string_equal(delimiter, "");
            assert_false(seen[number]);
            seen[number] = true;
            zstr_free(&delimiter);
            received++;
            continue;
        }
        zmsg_t *message = zmsg_recv(ready);
        if (zmsg_size(message) > 1)
            assert_int_equal(zmsg_send(&message, ready), 0);
        zmsg_destroy(&message);
    }
    zpoller_destroy(&poller);
    for (int i = 0; i < WORKERS; i++)
        zsock_destroy(&workers[i]);
    zsock_destroy(&client);
}

static void
addresses_in_front_of_a_request_come_back(void **state)
{
    struct stage *self = *state;
    zsock_t *client = connect_to(ZMQ_DEALER, pirate_queue_frontend(self->queue));
    zsock_t *worker = worker_of(self);
    zstr_sendx(client, "proxy", "number", "", "Hi", NULL);

    zmsg_t *request = take(self, worker);
    assert_int_equal(zmsg_size(request), 3);
    echo(self, worker, &request);

    zmsg_t *reply = zmsg_recv(client);
    assert_int_equal(zmsg_size(reply), 4);
    char *first = zmsg_popstr(reply), *second = zmsg_popstr(reply);
    assert_string_equal(first, "proxy");
    assert_string_equal(second, "number");
    zstr_free(&first);
    zstr_free(&second);
    zmsg_destroy(&reply);
    zsock_destroy(&client);
    zsock_destroy(&worker);
}

// ---- workers that are lost --------------------------------------------------------------------

static void
lose_a_worker_over(struct stage *self, const char *backend)
{
    open_again(self, "tcp://127.0.0.1:*", backend);
    zsock_t *client = client_of(self), *first = worker_of(self);
    zstr_send(client, "Hi");
    zmsg_t *request = take(self, first);
    zmsg_destroy(&request);
    zsock_t *second = worker_of(self);
    wait_until(self, has_idle, 1);

    zsock_destroy(&first);

    request = take(self, second);
    echo(self, second, &request);
    expect_text(client, "Hi");
    pirate_queue_stats_t stats;
    pirate_queue_stats(self->queue, &stats);
    assert_int_equal(stats.redeliveries, 1);
    assert_int_equal(stats.workers_lost, 1);
    zsock_destroy(&second);
    zsock_destroy(&client);
}

static void
request_of_a_worker_that_has_gone_goes_to_another(void **state)
{
    lose_a_worker_over(*state, "tcp://127.0.0.1:*");
    lose_a_worker_over(*state, "ipc://*");
}

static void
idle_worker_that_has_gone_is_noticed_and_costs_no_request(void **state)
{
    struct stage *self = *state;
    zsock_t *first = worker_of(self);
    wait_until(self, has_idle, 1);
    zsock_t *second = worker_of(self);
    wait_until(self, has_idle, 2);
    zsock_destroy(&first);

    wait_until(self, has_idle, 1);

    pirate_queue_stats_t stats;
    pirate_queue_stats(self->queue, &stats);
    assert_int_equal(stats.workers_lost, 1);
    check_service(self, second);

    zsock_destroy(&second);
}

static void
paranoid_worker_is_beaten_and_lost_when_silent(void **state)
{
    struct stage *self = *state;
    zsock_t *worker = worker_of(self);
    wait_until(self, has_idle, 1);
    char *beat = zstr_recv(worker);
    assert_string_equal(beat, "\002");
    zstr_free(&beat);

    wait_until(self, has_idle, 0);

    zstr_send(worker, "\002"); // no readiness
    zstr_send(worker, "\001");
    wait_until(self, has_idle, 1);
    check_service(self, worker);
    zsock_destroy(&worker);
}

// ---- what peers cannot do ---------------------------------------------------------------------

// send_nonsense sends messages of a few frames of a few bytes, most of which mean nothing.
static void
send_nonsense(zsock_t *socket, unsigned *random, int count)
{
    for (int i = 0; i < count; i++) {
        zmsg_t *message = zmsg_new();
        int frames = 1 + rand_r(random) % 4;
        for (int k = 0; k < frames; k++) {
            uint8_t bytes[4] = {0, 1, 2, (uint8_t)rand_r(random)};
            zmsg_addmem(message, bytes + rand_r(random) % 4, (size_t)(rand_r(random) % 2));
        }
        (void)zmsg_send(&message, socket);
    }
}

static void
nonsense_is_counted_and_others_are_served(void **state)
{
    struct stage *self = *state;
    zsock_t *worker = worker_of(self);
    wait_until(self, has_idle, 1);
    unsigned random = 1;
    zsock_t *strangers[] = {connect_to(ZMQ_DEALER, pirate_queue_frontend(self->queue)),
                            connect_to(ZMQ_DEALER, pirate_queue_backend(self->queue))};
    for (int i = 0; i < 2; i++)
        zstr_sendx(strangers[i], "no", "such", "thing", NULL);
    wait_until(self, has_rejected, 2);
    send_nonsense(strangers[1], &random, 2000);
    wait_until(self, has_rejected, 500);
    // It may have said READY, and take requests; it goes.
    zsock_destroy(&strangers[1]);

    check_service(self, worker);

    zsock_destroy(&strangers[0]);
    zsock_destroy(&worker);
}

static void
frame_beyond_the_limit_ends_its_connection_only(void **state)
{
    struct stage *self = *state;
    zsock_t *worker = worker_of(self);
    wait_until(self, has_idle, 1);
    zsock_t *client = client_of(self);
    zframe_t *large = zframe_new(NULL, 2000000);
    memset(zframe_data(large), 'x', 2000000);
    assert_int_equal(zframe_send(&large, client, 0), 0);

    check_service(self, worker);

    pirate_queue_stats_t stats;
    pirate_queue_stats(self->queue, &stats);
    assert_int_equal(stats.requests_in, 1);
    zsock_destroy(&client);
    zsock_destroy(&worker);
}

static void
requests_beyond_the_limit_are_refused_and_counted(void **state)
{
    struct stage *self = *state;
    self->options.requests_max = 10;
    open_again(self, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*");
    zsock_t *client = connect_to(ZMQ_DEALER, pirate_queue_frontend(self->queue));
    for (int i = 0; i < 15; i++)
        zsock_send(client, "si", "", i);
    wait_until(self, has_refused, 5);
    pirate_queue_stats_t stats;
    pirate_queue_stats(self->queue, &stats);
    assert_int_equal(stats.requests_queued, 10);
    assert_int_equal(stats.refused_queue_limit, 5);

    zsock_t *worker = worker_of(self);
    for (int i = 0; i < 10; i++) {
        zmsg_t *request = take(self, worker);
        echo(self, worker, &request);
        char *delimiter;
        int number;
        assert_int_equal(zsock_recv(client, "si", &delimiter, &number), 0);
        assert_int_equal(number, i);
        zstr_free(&delimiter);
    }
    zsock_destroy(&worker);
    zsock_destroy(&client);
}

// ---- the end ---------------------------------------------------------------------------------

static void
drain_finishes_what_is_out_and_refuses_the_rest(void **state)
{
    struct stage *self = *state;
    zsock_t *client = client_of(self), *late = client_of(self), *worker = worker_of(self);
    zstr_send(client, "Hi");
    zmsg_t *request = take(self, worker);

    pirate_queue_drain(self->queue);
    zstr_send(late, "too late");
    wait_until(self, has_refused_draining, 1);

    echo(self, worker, &request);
    expect_text(client, "Hi");
    assert_int_equal(join(self), GALLEON_OK);
    zsock_destroy(&client);
    zsock_destroy(&late);
    zsock_destroy(&worker);
}

static void
what_is_open_at_the_end_leaks_nothing(void **state)
{
    struct stage *self = *state;
    self->options.drain_ms = 50;
    open_again(self, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*");
    zsock_t *worker = worker_of(self);
    zsock_t *client = connect_to(ZMQ_DEALER, pirate_queue_frontend(self->queue));
    for (int i = 0; i < 20; i++)
        zsock_send(client, "si", "", i);
    wait_until(self, has_queued, 19);
    zsock_destroy(&client);
    pirate_queue_drain(self->queue);
    assert_int_equal(join(self), GALLEON_OK);
    zsock_destroy(&worker);
}

static void
endpoint_that_is_taken_is_refused(void **state)
{
    struct stage *self = *state;
    pirate_queue_t *other = pirate_queue_new(NULL);
    assert_non_null(other);
    assert_string_equal(pirate_queue_frontend(other), "");
    assert_int_equal(pirate_queue_bind_frontend(other, pirate_queue_backend(self->queue)),
                     GALLEON_REFUSED);
    assert_int_equal(errno, EADDRINUSE);
    pirate_queue_destroy(&other);
    pirate_queue_destroy(&other);
}

static void
actor_binds_tells_its_endpoints_and_drains(void **state)
{
    (void)state;
    pirate_queue_options_t options = {.simple = true};
    zactor_t *actor = zactor_new(pirate_queue_actor, &options);
    assert_non_null(actor);
    zsock_set_rcvtimeo(actor, PATIENCE_MS);
    zstr_sendx(actor, "FRONTEND", "nonsense", NULL);
    assert_int_equal(zsock_wait(actor), 1);
    zstr_sendx(actor, "FRONTEND", "tcp://127.0.0.1:*", NULL);
    assert_int_equal(zsock_wait(actor), 0);
    zstr_sendx(actor, "BACKEND", "tcp://127.0.0.1:*", NULL);
    assert_int_equal(zsock_wait(actor), 0);
    zstr_sendx(actor, "ENDPOINTS", NULL);
    char *frontend, *backend;
    assert_int_equal(zstr_recvx(actor, &frontend, &backend, NULL), 2);
    zsock_t *client = connect_to(ZMQ_REQ, frontend), *worker = connect_to(ZMQ_REQ, backend);
    zstr_send(worker, "\001");
    zstr_send(client, "Hi");
    zmsg_t *request = zmsg_recv(worker);
    assert_int_equal(zmsg_send(&request, worker), 0);
    expect_text(client, "Hi");

    zstr_sendx(actor, "nonsense", NULL);
    zstr_sendx(actor, "DRAIN", NULL);

    assert_int_equal(zsock_wait(actor), 0); // it has ended
    zsock_set_rcvtimeo(actor, 0);           // so there is no other end to wait for
    zactor_destroy(&actor);
    zstr_free(&frontend);
    zstr_free(&backend);
    zsock_destroy(&client);
    zsock_destroy(&worker);
}

static void
actor_ends_on_term_with_requests_open(void **state)
{
    (void)state;
    zactor_t *actor = zactor_new(pirate_queue_actor, NULL);
    zstr_sendx(actor, "FRONTEND", "tcp://127.0.0.1:*", NULL);
    assert_int_equal(zsock_wait(actor), 0);
    zstr_sendx(actor, "BACKEND", "tcp://127.0.0.1:*", NULL);
    assert_int_equal(zsock_wait(actor), 0);
    zstr_sendx(actor, "ENDPOINTS", NULL);
    char *frontend, *backend;
    assert_int_equal(zstr_recvx(actor, &frontend, &backend, NULL), 2);
    zsock_t *client = connect_to(ZMQ_DEALER, frontend), *worker = connect_to(ZMQ_DEALER, backend);
    zstr_send(worker, "\001");
    zstr_sendx(client, "", "held", NULL);
    zstr_sendx(client, "", "waits", NULL);
    zmsg_t *request = zmsg_recv(worker);
    assert_non_null(request);
    zmsg_destroy(&request);

    zactor_destroy(&actor);

    zstr_free(&frontend);
    zstr_free(&backend);
    zsock_destroy(&client);
    zsock_destroy(&worker);
}

#define simple_test(name)   cmocka_unit_test_setup_teardown(name, set_up_simple, tear_down)
#define paranoid_test(name) cmocka_unit_test_setup_teardown(name, set_up_paranoid, tear_down)
#define either_test(name)   simple_test(name), paranoid_test(name)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        either_test(request_makes_its_round_over_any_transport),
        either_test(body_of_many_and_large_frames_is_passed_whole),
        either_test(window_of_requests_is_answered_by_many_workers),
        either_test(addresses_in_front_of_a_request_come_back),
        either_test(request_of_a_worker_that_has_gone_goes_to_another),
        either_test(idle_worker_that_has_gone_is_noticed_and_costs_no_request),
        paranoid_test(paranoid_worker_is_beaten_and_lost_when_silent),
        either_test(nonsense_is_counted_and_others_are_served),
        either_test(frame_beyond_the_limit_ends_its_connection_only),
        either_test(requests_beyond_the_limit_are_refused_and_counted),
        either_test(drain_finishes_what_is_out_and_refuses_the_rest),
        either_test(what_is_open_at_the_end_leaks_nothing),
        simple_test(endpoint_that_is_taken_is_refused),
        cmocka_unit_test(actor_binds_tells_its_endpoints_and_drains),
        cmocka_unit_test(actor_ends_on_term_with_requests_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
