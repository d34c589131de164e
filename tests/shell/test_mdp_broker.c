// test_mdp_broker.c - the embedded broker over real sockets, among raw peers.

#include "broker_stage.h"

#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};

// skip_where_inproc_is_a_race: both ends read one message there, which libzmq hands over by
// atomics that ThreadSanitizer cannot see.
static void
skip_where_inproc_is_a_race(void)
{
#if defined(__SANITIZE_THREAD__)
    skip();
#endif
}

static void
serve_each_pair_at(const char *endpoint)
{
    struct stage stage;
    stage_open(&stage, endpoint, NULL);
    for (int c = 0; c < 3; c++)
        for (int w = 0; w < 3; w++) {
            struct peer client, worker;
            char service[32];
            snprintf(service, sizeof service, "echo-%d-%d", c, w);
            peer_open(&client, stage.endpoint, dialects[c], 0);
            peer_open(&worker, stage.endpoint, dialects[w], 0);
            peer_ready(&worker, service, 1);

            assert_true(peer_is_served(&client, &worker, service));
            assert_true(peer_is_served(&client, &worker, service));

            peer_close(&client);
            peer_close(&worker);
        }
    stage_close(&stage);
}

static void
any_client_is_served_by_any_worker_over_tcp(void **state)
{
    (void)state;
    serve_each_pair_at("tcp://127.0.0.1:*");
}

static void
any_client_is_served_by_any_worker_over_inproc(void **state)
{
    (void)state;
    skip_where_inproc_is_a_race();
    serve_each_pair_at("inproc://test-mdp-broker");
}

static void
any_client_is_served_by_any_worker_over_ipc(void **state)
{
    (void)state;
    char folder[] = "/tmp/galleon-test-XXXXXX", endpoint[64];
    assert_non_null(mkdtemp(folder));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/broker", folder);

    serve_each_pair_at(endpoint);

    zsys_file_delete(endpoint + strlen("ipc://"));
    zsys_dir_delete("%s", folder);
}

static void
body_of_no_frames_is_one_empty_frame_in_old_dialects(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_01, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    peer_request(&client, "echo", 0, "x");
    struct mdp_record request = peer_expect(&worker, MDP_REQUEST);

    peer_answer(&worker, &request, NULL);

    assert_int_equal(peer_expect(&client, MDP_FINAL).body.count, 1);
    assert_int_equal(client.inbox.count, 4);
    peer_close(&client);
    peer_close(&worker);
    stage_close(&stage);
}

static void
large_bodies_are_passed_whole(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_02, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    char *large = calloc(1, 500001);
    memset(large, 'x', 500000);

    peer_request(&client, "echo", 0, large);
    struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
    assert_true(request.flags & MDP_FLAG_LOOSE);
    assert_int_equal(request.body.bytes, 500000);
    struct mdp_record partial = {
        .side = MDP_WORKER_SIDE, .command = MDP_PARTIAL, .ticket = request.ticket};
    peer_send(&worker, partial, "first");
    struct mdp_record final = {.side = MDP_WORKER_SIDE,
                               .command = MDP_FINAL,
                               .status = MDP_DONE,
                               .parts = 1,
                               .ticket = request.ticket};
    peer_send(&worker, final, "last");

    peer_expect(&client, MDP_PARTIAL);
    assert_string_equal(client.body, "first");
    peer_expect(&client, MDP_FINAL);
    assert_string_equal(client.body, "last");
    free(large);
    peer_close(&client);
    peer_close(&worker);
    stage_close(&stage);
}

// ---- other people's sockets ----------------------------------------------------------------

static void
req_with_correlate_gets_its_answer_and_gathered_parts(void **state)
{
    (void)state;
    struct stage stage;
    struct peer worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&worker, stage.endpoint, MDP_02, 0);
    peer_ready(&worker, "echo", 1);
    zsock_t *req = zsock_new(ZMQ_REQ);
    zsock_set_req_correlate(req, 1);
    zsock_set_req_relaxed(req, 1);
    zsock_set_rcvtimeo(req, 10000);
    assert_int_equal(zsock_connect(req, "%s", stage.endpoint), 0);
    zstr_sendx(req, "MDPC01", "echo", "x", NULL);
    struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
    struct mdp_record partial = {
        .side = MDP_WORKER_SIDE, .command = MDP_PARTIAL, .ticket = request.ticket};
    peer_send(&worker, partial, "a");

    peer_answer(&worker, &request, "b");

    zmsg_t *answer = zmsg_recv(req);
    assert_non_null(answer);
    assert_int_equal(zmsg_size(answer), 4);
    static const char *const frames[] = {"MDPC01", "echo", "a", "b"};
    for (size_t i = 0; i < 4; i++) {
        char *text = zmsg_popstr(answer);
        assert_string_equal(text, frames[i]);
        zstr_free(&text);
    }
    zmsg_destroy(&answer);
    zsock_destroy(&req);
    peer_close(&worker);
    stage_close(&stage);
}

// ---- the actor -----------------------------------------------------------------------------

static void
actor_binds_tells_its_port_and_drains(void **state)
{
    (void)state;
    mdp_broker_options_t options = {0};
    zactor_t *actor = zactor_new(mdp_broker_actor, &options);
    assert_non_null(actor);
    zsock_set_rcvtimeo(actor, 10000);
    zstr_sendx(actor, "BIND", "nonsense", NULL);
    assert_int_equal(zsock_wait(actor), 1);
    zstr_sendx(actor, "PORT", NULL);
    char *port = zstr_recv(actor);
    assert_string_equal(port, "0");
    zstr_free(&port);
    zstr_sendx(actor, "BIND", "tcp://127.0.0.1:*", NULL);
    assert_int_equal(zsock_wait(actor), 0);
    zstr_sendx(actor, "PORT", NULL);
    port = zstr_recv(actor);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%s", port);
    zstr_free(&port);
    struct peer client, worker;
    peer_open(&client, endpoint, MDP_G1, 0);
    peer_open(&worker, endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    assert_true(peer_is_served(&client, &worker, "echo"));

    zstr_sendx(actor, "nonsense", NULL);
    zstr_sendx(actor, "DRAIN", NULL);

    assert_int_equal(peer_expect(&worker, MDP_DISCONNECT).reason, MDP_REASON_STOPPING);
    peer_close(&client);
    peer_close(&worker);
    zactor_destroy(&actor);
}

static void
actor_ends_on_term_with_requests_open(void **state)
{
    (void)state;
    skip_where_inproc_is_a_race();
    zactor_t *actor = zactor_new(mdp_broker_actor, NULL);
    zstr_sendx(actor, "BIND", "inproc://test-mdp-broker-term", NULL);
    assert_int_equal(zsock_wait(actor), 0);
    struct peer client, worker;
    peer_open(&client, "inproc://test-mdp-broker-term", MDP_G1, 0);
    peer_open(&worker, "inproc://test-mdp-broker-term", MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    peer_request(&client, "echo", 1, "held");
    peer_request(&client, "echo", 2, "waits");
    peer_expect(&worker, MDP_REQUEST);

    zactor_destroy(&actor);

    assert_int_equal(peer_expect(&worker, MDP_DISCONNECT).reason, MDP_REASON_STOPPING);
    peer_close(&client);
    peer_close(&worker);
}

// A flood of requests does not keep the owner's word from being heard.
static void
term_is_heard_while_messages_pour_in(void **state)
{
    (void)state;
    skip_where_inproc_is_a_race();
    zactor_t *actor = zactor_new(mdp_broker_actor, NULL);
    zstr_sendx(actor, "BIND", "inproc://test-mdp-broker-flood", NULL);
    assert_int_equal(zsock_wait(actor), 0);
    struct peer client;
    peer_open(&client, "inproc://test-mdp-broker-flood", MDP_01, 0);
    for (int i = 0; i < 20000; i++)
        peer_request(&client, "nobody", 0, "x");

    int64_t before_ms = zclock_mono();
    zactor_destroy(&actor);

    assert_true(zclock_mono() - before_ms < 5000);
    peer_close(&client);
}

// ---- stats, drain, interruption ----------------------------------------------------------------

static bool
has_idle_worker(const mdp_broker_stats_t *stats, uint64_t value)
{
    return stats->workers_idle == value;
}

static bool
has_queued(const mdp_broker_stats_t *stats, uint64_t value)
{
    return stats->requests_queued == value;
}

static void
stats_may_be_asked_for_from_another_thread(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    stage_wait(&stage, has_idle_worker, 1);
    assert_true(peer_is_served(&client, &worker, "echo"));
    peer_request(&client, "echo", 1, "held");
    peer_request(&client, "echo", 2, "waits");
    stage_wait(&stage, has_queued, 1);

    mdp_broker_stats_t stats;
    mdp_broker_stats(stage.broker, &stats);

    assert_int_equal(stats.requests_in, 3);
    assert_int_equal(stats.replies_out, 1);
    assert_int_equal(stats.requests_in_flight, 1);
    assert_int_equal(stats.workers_busy, 1);
    assert_int_equal(stats.workers_idle, 0);
    assert_int_equal(stats.workers_lost, 0);
    struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
    peer_answer(&worker, &request, "x");
    request = peer_expect(&worker, MDP_REQUEST);
    peer_answer(&worker, &request, "x");
    peer_close(&client);
    peer_close(&worker);
    stage_close(&stage);
}

static void
drain_finishes_what_is_out_and_refuses_the_rest(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    peer_request(&client, "echo", 1, "held");
    peer_request(&client, "echo", 2, "waits");
    stage_wait(&stage, has_queued, 1);
    struct mdp_record request = peer_expect(&worker, MDP_REQUEST);

    mdp_broker_drain(stage.broker);

    peer_expect(&worker, MDP_DRAIN);
    struct mdp_record refused = peer_expect(&client, MDP_FINAL);
    assert_int_equal(refused.id, 2);
    assert_int_equal(refused.status, MDP_PASSIVE);
    peer_answer(&worker, &request, "done");
    assert_int_equal(peer_expect(&client, MDP_FINAL).id, 1);
    assert_string_equal(client.body, "done");
    assert_int_equal(peer_expect(&worker, MDP_DISCONNECT).reason, MDP_REASON_STOPPING);
    assert_int_equal(stage_join(&stage), GALLEON_OK);
    peer_close(&client);
    peer_close(&worker);
}

static void
interruption_ends_it_and_what_was_open_leaks_nothing(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_01, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 4);
    for (int i = 0; i < 10; i++)
        peer_request(&client, "echo", 0, "x");
    struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
    struct mdp_record partial = {
        .side = MDP_WORKER_SIDE, .command = MDP_PARTIAL, .ticket = request.ticket};
    peer_send(&worker, partial, "gathered");
    stage_wait(&stage, has_queued, 6);

    zsys_interrupted = 1;
    peer_request(&client, "mmi.service", 0, "echo"); // wakes it
    int result = stage_join(&stage);
    zsys_interrupted = 0;

    assert_int_equal(result, GALLEON_INTERRUPTED);
    peer_close(&client);
    peer_close(&worker);
}

// ---- packing -----------------------------------------------------------------------------------

enum { BURST = 100 };

static void
burst_in_one_pack_stays_a_few_messages_both_ways(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    struct mdp_record records[BURST];
    struct view body = VIEW_LITERAL("a body of some bytes");
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", BURST);
    peer_expect(&worker, MDP_HEARTBEAT);
    worker.messages = 0;
    for (size_t i = 0; i < BURST; i++)
        records[i] = (struct mdp_record){.dialect = MDP_G1,
                                         .side = MDP_CLIENT_SIDE,
                                         .command = MDP_REQUEST,
                                         .id = i,
                                         .service = VIEW_LITERAL("echo"),
                                         .body = mdp_body_of(&body, 1)};

    peer_send_pack(&client, records, BURST);
    for (size_t i = 0; i < BURST; i++) {
        struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
        records[i] = (struct mdp_record){.dialect = MDP_G1,
                                         .side = MDP_WORKER_SIDE,
                                         .command = MDP_FINAL,
                                         .status = MDP_DONE,
                                         .ticket = request.ticket,
                                         .body = mdp_body_of(&body, 1)};
    }
    assert_true(worker.messages <= 3);
    peer_send_pack(&worker, records, BURST);
    for (size_t i = 0; i < BURST; i++)
        assert_int_equal(peer_expect(&client, MDP_FINAL).id, i); // in order, too

    assert_true(client.messages <= 3);
    peer_close(&client);
    peer_close(&worker);
    stage_close(&stage);
}

static void
single_call_leaves_at_once(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", BURST);
    peer_expect(&worker, MDP_HEARTBEAT);

    int64_t before_ms = zclock_mono();
    for (int i = 0; i < 100; i++)
        assert_true(peer_is_served(&client, &worker, "echo"));

    // Whoever waited a millisecond for company, each way, would need longer than this.
    assert_true(zclock_mono() - before_ms < 2000);
    assert_int_equal(client.messages, 100);
    peer_close(&client);
    peer_close(&worker);
    stage_close(&stage);
}

static void
client_with_a_delimiter_gets_a_message_for_each_record(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client;
    struct mdp_record records[3];
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    client.has_delimiter = true;
    for (size_t i = 0; i < 3; i++)
        records[i] = (struct mdp_record){.dialect = MDP_G1,
                                         .side = MDP_CLIENT_SIDE,
                                         .command = MDP_REQUEST,
                                         .id = i,
                                         .service = VIEW_LITERAL("mmi.dialects")};

    peer_send_pack(&client, records, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(peer_expect(&client, MDP_FINAL).id, i);

    assert_int_equal(client.messages, 3);
    peer_close(&client);
    stage_close(&stage);
}

// ---- a client that does not read ---------------------------------------------------------------

enum { SLOW_BATCH = 500, SLOW_BATCHES = 8 };

static void
slow_client_costs_only_its_own_answers(void **state)
{
    (void)state;
    skip_where_inproc_is_a_race();
    struct stage stage;
    struct peer slow, client, worker;
    stage_open(&stage, "inproc://test-mdp-broker-slow", NULL);
    peer_open(&slow, stage.endpoint, MDP_01, 1);
    peer_open(&client, stage.endpoint, MDP_01, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1024);
    for (int batch = 0; batch < SLOW_BATCHES; batch++) {
        for (int i = 0; i < SLOW_BATCH; i++)
            peer_request(&slow, "echo", 0, "x");
        for (int i = 0; i < SLOW_BATCH; i++) {
            struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
            peer_answer(&worker, &request, "y");
        }
    }
    stage_wait(&stage, has_idle_worker, 1);

    assert_true(peer_is_served(&client, &worker, "echo"));

    size_t answers = 0;
    struct mdp_record record;
    while (peer_read(&slow, &record, 100))
        answers++;
    assert_true(answers >= 1024 && answers < SLOW_BATCH * SLOW_BATCHES);
    peer_request(&slow, "mmi.stats", 0, "");
    peer_expect(&slow, MDP_FINAL);
    assert_non_null(strstr(slow.body, "requests_queued\t0\n"));
    peer_close(&slow);
    peer_close(&client);
    peer_close(&worker);
    stage_close(&stage);
}

static void
answer_to_a_client_that_has_left_is_dropped(void **state)
{
    (void)state;
    struct stage stage;
    struct peer gone, client, worker;
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&gone, stage.endpoint, MDP_G1, 0);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    peer_request(&gone, "echo", 1, "x");
    struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
    peer_close(&gone);

    peer_answer(&worker, &request, "y");

    assert_true(peer_is_served(&client, &worker, "echo"));
    peer_close(&client);
    peer_close(&worker);
    stage_close(&stage);
}

static void
request_of_a_worker_that_has_left_goes_to_another(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, first, second;
    mdp_broker_options_t options = {.heartbeat_ms = 100};
    stage_open(&stage, "tcp://127.0.0.1:*", &options);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    peer_open(&first, stage.endpoint, MDP_01, 0);
    peer_ready(&first, "echo", 1);
    peer_request(&client, "echo", 1, "x");
    peer_expect(&first, MDP_REQUEST);
    peer_open(&second, stage.endpoint, MDP_G1, 0);
    peer_ready(&second, "echo", 1);
    peer_expect(&second, MDP_HEARTBEAT);

    peer_close(&first); // no DISCONNECT: the probe finds it out

    struct mdp_record request = peer_expect(&second, MDP_REQUEST);
    assert_int_equal(request.attempt, 2);
    peer_answer(&second, &request, "y");
    assert_int_equal(peer_expect(&client, MDP_FINAL).status, MDP_DONE);
    peer_close(&client);
    peer_close(&second);
    stage_close(&stage);
}

static void
drain_takes_as_long_as_it_was_given(void **state)
{
    (void)state;
    struct stage stage;
    struct peer client, worker;
    mdp_broker_options_t options = {.drain_ms = 300};
    stage_open(&stage, "tcp://127.0.0.1:*", &options);
    peer_open(&client, stage.endpoint, MDP_G1, 0);
    peer_open(&worker, stage.endpoint, MDP_G1, 0);
    peer_ready(&worker, "echo", 1);
    peer_request(&client, "echo", 1, "x");
    peer_expect(&worker, MDP_REQUEST);
    int64_t start_ms = zclock_mono();

    mdp_broker_drain(stage.broker);

    assert_int_equal(stage_join(&stage), GALLEON_OK);
    int64_t took_ms = zclock_mono() - start_ms;
    assert_true(took_ms >= 290 && took_ms < 5000);
    peer_close(&client);
    peer_close(&worker);
}

int
main(void)
{
    zsys_init();
    zsys_handler_set(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_client_is_served_by_any_worker_over_tcp),
        cmocka_unit_test(any_client_is_served_by_any_worker_over_inproc),
        cmocka_unit_test(any_client_is_served_by_any_worker_over_ipc),
        cmocka_unit_test(body_of_no_frames_is_one_empty_frame_in_old_dialects),
        cmocka_unit_test(large_bodies_are_passed_whole),
        cmocka_unit_test(req_with_correlate_gets_its_answer_and_gathered_parts),
        cmocka_unit_test(actor_binds_tells_its_port_and_drains),
        cmocka_unit_test(actor_ends_on_term_with_requests_open),
        cmocka_unit_test(term_is_heard_while_messages_pour_in),
        cmocka_unit_test(stats_may_be_asked_for_from_another_thread),
        cmocka_unit_test(drain_finishes_what_is_out_and_refuses_the_rest),
        cmocka_unit_test(drain_takes_as_long_as_it_was_given),
        cmocka_unit_test(interruption_ends_it_and_what_was_open_leaks_nothing),
        cmocka_unit_test(burst_in_one_pack_stays_a_few_messages_both_ways),
        cmocka_unit_test(single_call_leaves_at_once),
        cmocka_unit_test(client_with_a_delimiter_gets_a_message_for_each_record),
        cmocka_unit_test(slow_client_costs_only_its_own_answers),
        cmocka_unit_test(answer_to_a_client_that_has_left_is_dropped),
        cmocka_unit_test(request_of_a_worker_that_has_left_goes_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
