// test_mdp_worker.c - a worker with real sockets, against a broker that follows a script.

#include "worker_stage.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint64_t ms_ns = 1000000;

static const char *const transports[] = {"inproc", "ipc", "tcp"};
static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};

static void
reply(mdp_request_t *request, const char *text)
{
    zmsg_t *message = stage_message(text);
    assert_int_equal(mdp_request_reply(&request, &message), GALLEON_OK);
    assert_null(request);
    assert_null(message);
}

// take_and_reply answers the next request with what it says, and "!".
static void
echo(struct stage *stage)
{
    mdp_request_t *request = stage_take(stage);
    zmsg_t *body = mdp_request_body(request);
    assert_null(mdp_request_body(request));
    zmsg_addstr(body, "!");
    assert_int_equal(mdp_request_reply(&request, &body), GALLEON_OK);
}

// ---- serving ---------------------------------------------------------------------------

static void
request_is_answered_over_every_transport_in_every_dialect(void **state)
{
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        struct stage *stage = stage_new(transports[i / 3], dialects[i % 3]);
        stage_work(stage);
        struct mdp_record ready = stage_expect(stage, MDP_READY);
        assert_int_equal(ready.dialect, dialects[i % 3]);
        assert_true(view_equals(ready.service, VIEW_LITERAL("echo")));
        stage_say(stage, stage_command(stage, MDP_HEARTBEAT), NULL);
        for (uint32_t number = 0; number < 10; number++) {
            struct mdp_record request = stage_request(stage, number);
            stage_say(stage, request, "one||two");
            echo(stage);
            struct mdp_record final = stage_expect(stage, MDP_FINAL);
            assert_true(ticket_equals(&final.ticket, &request.ticket));
            assert_int_equal(final.status, 200);
            assert_string_equal(stage_text(&final.body), "one||two|!");
        }
        stage_free(stage);
    }
}

// The ten-line worker, in a thread of its own.
static void *
run_ten_lines(void *argument)
{
    struct stage *stage = argument;
    mdp_worker_t *worker = mdp_worker_new(stage->place.endpoint, "echo", &stage->options);
    for (zmsg_t *message; (message = mdp_worker_recv(worker));)
        mdp_worker_reply(worker, &message);
    mdp_worker_destroy(&worker);
    return NULL;
}

static void
worker_in_ten_lines_works_and_leaves_when_interrupted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct stage *stage = stage_new(transports[1 + i / 3], dialects[i % 3]);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, run_ten_lines, stage), 0);
        stage_expect(stage, MDP_READY);
        stage_say(stage, stage_command(stage, MDP_HEARTBEAT), NULL);
        for (uint32_t number = 0; number < 50; number++) {
            stage_say(stage, stage_request(stage, number), "hello");
            struct mdp_record final = stage_expect(stage, MDP_FINAL);
            assert_string_equal(stage_text(&final.body), "hello");
        }
        pthread_kill(thread, SIGTERM);
        if (stage->dialect == MDP_G1)
            stage_expect(stage, MDP_DRAIN);
        stage_expect(stage, MDP_DISCONNECT);
        pthread_join(thread, NULL);
        zsys_interrupted = 0;
        stage_free(stage);
    }
}

static void
request_without_an_answer_fails_at_the_next_recv(void **state)
{
    (void)state;
    struct stage *stage = stage_new("inproc", MDP_G1);
    stage->options.credit = 2;
    stage_serve(stage);
    zmsg_t *message;
    stage_pack(stage, stage_request(stage, 1), "one");
    stage_pack(stage, stage_request(stage, 2), "two");
    stage_send(stage);
    message = mdp_worker_recv(stage->worker);
    zmsg_destroy(&message);
    message = mdp_worker_recv(stage->worker);
    assert_int_equal(mdp_worker_reply(stage->worker, &message), GALLEON_OK);
    struct mdp_record final = stage_expect(stage, MDP_FINAL);
    assert_int_equal(final.status, 500);
    final = stage_expect(stage, MDP_FINAL);
    assert_int_equal(final.status, 200);
    assert_string_equal(stage_text(&final.body), "two");
    // Nothing is left to reply to.
    message = zmsg_new();
    assert_int_equal(mdp_worker_reply(stage->worker, &message), GALLEON_UNKNOWN_ID);
    assert_null(message);
    message = zmsg_new();
    assert_int_equal(mdp_worker_partial(stage->worker, &message), GALLEON_UNKNOWN_ID);
    assert_null(message);
    stage_free(stage);
}

static void
request_says_its_attempt_and_its_fields(void **state)
{
    (void)state;
    struct stage *stage = stage_new("inproc", MDP_G1);
    stage_serve(stage);
    struct mdp_record record = stage_request(stage, 1);
    record.attempt = 3;
    record.flags = MDP_FLAG_FIELDS | MDP_FLAG_REDELIVERY;
    record.fields = VIEW_LITERAL("idempotency-key: k7\nuser: me\nbroken line\nuser: you\n");
    stage_say(stage, record, "body");
    mdp_request_t *request = stage_take(stage);
    assert_int_equal(mdp_request_attempt(request), 3);
    const char *key = mdp_request_field(request, "idempotency-key");
    const char *user = mdp_request_field(request, "user");
    zmsg_t *body = mdp_request_body(request);
    assert_string_equal(key, "k7");
    assert_string_equal(user, "me");
    assert_string_equal(mdp_request_field(request, "user"), "me");
    assert_null(mdp_request_field(request, "key"));
    assert_int_equal(mdp_request_reply(&request, &body), GALLEON_OK);
    stage_expect(stage, MDP_FINAL);
    // Without any.
    stage_say(stage, stage_request(stage, 2), "body");
    request = stage_take(stage);
    assert_int_equal(mdp_request_attempt(request), 1);
    assert_null(mdp_request_field(request, "user"));
    reply(request, "answer");
    stage_free(stage);
}

static void
large_bodies_go_both_ways(void **state)
{
    (void)state;
    char *text = malloc(300001);
    memset(text, 'x', 300000);
    text[300000] = '\0';
    text[100000] = '|';
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("tcp", dialects[i]);
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 1), text);
        mdp_request_t *request = stage_take(stage);
        zmsg_t *body = mdp_request_body(request);
        assert_int_equal(zmsg_size(body), 2);
        assert_int_equal(zmsg_content_size(body), 299999);
        assert_int_equal(mdp_request_reply(&request, &body), GALLEON_OK);
        struct mdp_record final = stage_expect(stage, MDP_FINAL);
        assert_string_equal(stage_text(&final.body), text);
        stage_free(stage);
    }
    free(text);
}

static zmsg_t *
zeros(size_t bytes)
{
    static const char memory[4096];
    zmsg_t *message = zmsg_new();
    zmsg_addmem(message, memory, bytes);
    return message;
}

static struct stage *
stage_with_limit(mdp_dialect_t dialect)
{
    struct stage *stage = stage_new("inproc", dialect);
    stage->options.message_bytes_max = 2048;
    stage_serve(stage);
    stage_say(stage, stage_request(stage, 1), "body");
    return stage;
}

static void
assert_too_large(struct stage *stage)
{
    struct mdp_record final = stage_expect(stage, MDP_FINAL);
    assert_int_equal(final.status, stage->dialect == MDP_G1 ? 413 : 200);
    assert_string_equal(stage_text(&final.body), "the answer is larger than the worker may send");
}

static void
answer_that_is_too_large_fails_its_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_with_limit(dialects[i]);
        mdp_request_t *request = stage_take(stage);
        zmsg_t *message = zeros(1533);
        assert_int_equal(mdp_request_reply(&request, &message), GALLEON_REFUSED);
        assert_null(request);
        assert_null(message);
        assert_too_large(stage);

        stage_say(stage, stage_request(stage, 2), "body");
        request = stage_take(stage);
        message = zeros(1532);
        assert_int_equal(mdp_request_reply(&request, &message), GALLEON_OK);
        assert_int_equal(stage_expect(stage, MDP_FINAL).body.bytes, 1532);
        stage_free(stage);
    }
}

static void
part_that_is_too_large_fails_its_request_at_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_with_limit(dialects[i]);
        mdp_request_t *request = stage_take(stage);
        static const size_t parts[] = {100, 4000, 100};
        for (size_t n = 0; n < 3; n++) {
            zmsg_t *part = zeros(parts[n]);
            assert_int_equal(mdp_request_partial(request, &part),
                             n == 0 ? GALLEON_OK : GALLEON_REFUSED);
            assert_null(part);
        }
        zmsg_t *message = zeros(1);
        assert_int_equal(mdp_request_reply(&request, &message), GALLEON_REFUSED);
        assert_null(message);
        if (dialects[i] != MDP_01)
            assert_int_equal(stage_expect(stage, MDP_PARTIAL).body.bytes, 100);
        assert_too_large(stage);
        stage_free(stage);
    }
}

static void
parts_that_go_out_together_are_limited_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_with_limit(dialects[i]);
        mdp_request_t *request = stage_take(stage);
        zmsg_t *part = zeros(1000);
        assert_int_equal(mdp_request_partial(request, &part), GALLEON_OK);
        part = zeros(1000);
        bool is_over = dialects[i] == MDP_01;
        assert_int_equal(mdp_request_reply(&request, &part),
                         is_over ? GALLEON_REFUSED : GALLEON_OK);
        if (!is_over)
            assert_int_equal(stage_expect(stage, MDP_PARTIAL).body.bytes, 1000);
        if (is_over)
            assert_too_large(stage);
        else
            assert_int_equal(stage_expect(stage, MDP_FINAL).body.bytes, 1000);
        stage_free(stage);
    }
}

static void
failure_has_a_status_and_a_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("inproc", dialects[i]);
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 1), "body");
        mdp_request_t *request = stage_take(stage);
        assert_int_equal(mdp_request_fail(&request, 409, "no such thing"), GALLEON_OK);
        assert_null(request);
        struct mdp_record final = stage_expect(stage, MDP_FINAL);
        assert_int_equal(final.status, dialects[i] == MDP_G1 ? 409 : 200);
        assert_string_equal(stage_text(&final.body), "no such thing");

        stage_say(stage, stage_request(stage, 2), "body");
        request = stage_take(stage);
        assert_int_equal(mdp_request_fail(&request, 200000, NULL), GALLEON_OK);
        final = stage_expect(stage, MDP_FINAL);
        assert_int_equal(final.status, dialects[i] == MDP_G1 ? 500 : 200);
        assert_int_equal(final.body.bytes, 0);
        stage_free(stage);
    }
}

static void
partials_come_before_their_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("inproc", dialects[i]);
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 1), "body");
        mdp_request_t *request = stage_take(stage);
        for (int part = 0; part < 3; part++) {
            zmsg_t *message = stage_message("part");
            assert_int_equal(mdp_request_partial(request, &message), GALLEON_OK);
            assert_null(message);
        }
        reply(request, "end");
        for (uint32_t part = 0; i > 0 && part < 3; part++) {
            struct mdp_record partial = stage_expect(stage, MDP_PARTIAL);
            assert_int_equal(partial.seq, dialects[i] == MDP_G1 ? part : 0);
            assert_string_equal(stage_text(&partial.body), "part");
        }
        struct mdp_record final = stage_expect(stage, MDP_FINAL);
        assert_int_equal(final.parts, dialects[i] == MDP_G1 ? 3 : 0);
        assert_string_equal(stage_text(&final.body), i > 0 ? "end" : "part|part|part|end");
        stage_free(stage);
    }
}

// ---- packing ---------------------------------------------------------------------------

static void
burst_is_answered_in_few_messages(void **state)
{
    (void)state;
    struct stage *stage = stage_new("tcp", MDP_G1);
    stage->options.credit = 1000;
    stage_work(stage);
    assert_int_equal(stage_expect(stage, MDP_READY).credit, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        stage_pack(stage, stage_request(stage, i), "0123456789");
    stage_send(stage);
    // They are read together, held together, and answered before anybody waits.
    mdp_request_t *requests[1000];
    for (size_t i = 0; i < 1000; i++)
        requests[i] = stage_take(stage);
    size_t before = stage->messages;
    for (size_t i = 1000; i-- > 0;)
        reply(requests[i], "answer");
    for (uint32_t i = 1000; i-- > 0;) {
        struct mdp_record final = stage_expect(stage, MDP_FINAL);
        struct mdp_record request = stage_request(stage, i);
        assert_true(ticket_equals(&final.ticket, &request.ticket));
    }
    assert_true(stage->messages - before <= 2);
    stage_free(stage);
}

static void
single_reply_leaves_when_the_worker_waits(void **state)
{
    (void)state;
    struct stage *stage = stage_new("inproc", MDP_G1);
    stage->options.credit = 100;
    stage_serve(stage);
    stage_say(stage, stage_request(stage, 1), "question");
    reply(stage_take(stage), "answer");
    assert_int_equal(mdp_worker_deadline(stage->worker), 0);
    mdp_request_t *request;
    mdp_worker_pump_take(stage->worker, galleon_now_ns(), &request);
    assert_null(request);
    assert_true(inbox_receive(&stage->inbox, zsock_resolve(stage->router)));
    stage_free(stage);
}

static void
more_than_a_pack_goes_out_in_several(void **state)
{
    (void)state;
    struct stage *stage = stage_new("tcp", MDP_G1);
    stage->options.credit = 300;
    stage_serve(stage);
    char text[1001];
    memset(text, 'y', 1000);
    text[1000] = '\0';
    for (uint32_t i = 0; i < 300; i++)
        stage_pack(stage, stage_request(stage, i), "question");
    stage_send(stage);
    mdp_request_t *requests[300];
    for (size_t i = 0; i < 300; i++)
        requests[i] = stage_take(stage);
    size_t before = stage->messages;
    for (size_t i = 0; i < 300; i++)
        reply(requests[i], text);
    for (uint32_t i = 0; i < 300; i++) {
        assert_int_equal(stage_expect(stage, MDP_FINAL).body.bytes, 1000);
        assert_true(stage->inbox.frames[1].size <= MDP_PACK_BYTES_MAX);
    }
    assert_int_equal(stage->messages - before, 5);
    stage_free(stage);
}

static void
answers_a_full_socket_refused_arrive_all_the_same(void **state)
{
    (void)state;
    enum { REQUESTS = 2000 };
    for (size_t i = 0; i < 2; i++) {
        // Small ones are made again out of the pack; large ones were kept.
        char text[20001];
        size_t bytes = i == 0 ? 100 : 20000;
        memset(text, 'z', bytes);
        text[bytes] = '\0';
        struct stage *stage = stage_new("inproc", MDP_G1);
        stage->options.credit = REQUESTS;
        stage_serve(stage);
        for (uint32_t number = 0; number < REQUESTS; number++) {
            struct mdp_record request = stage_request(stage, number);
            if (!packer_fits(&stage->packer, &request))
                stage_send(stage);
            stage_pack(stage, request, "question");
        }
        stage_send(stage);
        mdp_request_t *requests[REQUESTS];
        for (size_t number = 0; number < REQUESTS; number++)
            requests[number] = stage_take(stage);
        // One message for each, and nobody reads: the socket holds a thousand.
        for (size_t number = 0; number < REQUESTS; number++) {
            reply(requests[number], text);
            stage_pump(stage);
        }
        bool is_seen[REQUESTS] = {false};
        for (size_t number = 0; number < REQUESTS; number++) {
            struct mdp_record final = stage_expect(stage, MDP_FINAL);
            uint32_t at;
            memcpy(&at, final.ticket.bytes, sizeof at);
            assert_true(at < REQUESTS && !is_seen[at]);
            is_seen[at] = true;
            assert_int_equal(final.body.bytes, bytes);
        }
        assert_int_equal(stage->lost, 0);
        stage_free(stage);
    }
}

static void
slow_jobs_do_not_hold_each_other_up(void **state)
{
    (void)state;
    struct stage *stage = stage_new("inproc", MDP_G1);
    stage->options.credit = 2;
    stage_serve(stage);
    stage_pack(stage, stage_request(stage, 1), "question");
    stage_pack(stage, stage_request(stage, 2), "question");
    stage_send(stage);
    mdp_request_t *request;
    uint64_t until_ns = galleon_now_ns() + STAGE_MS_MAX * ms_ns;
    do {
        assert_true(galleon_now_ns() < until_ns);
        mdp_worker_pump_take(stage->worker, galleon_now_ns(), &request);
    } while (request == NULL);
    reply(request, "answer");
    // A millisecond's work later the next is asked for, and the first leaves.
    mdp_worker_pump_take(stage->worker, galleon_now_ns() + ms_ns, &request);
    assert_non_null(request);
    assert_true(inbox_receive(&stage->inbox, zsock_resolve(stage->router)));
    reply(request, "answer");
    stage_free(stage);
}

// ---- the caller's own loop ---------------------------------------------------------------

static void
descriptor_tells_of_every_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        struct stage *stage = stage_new(transports[i / 3], dialects[i % 3]);
        stage_serve(stage);
        for (uint32_t number = 0; number < 200; number++) {
            stage_say(stage, stage_request(stage, number), "question");
            zmsg_t *message = NULL;
            while (message == NULL) {
                uint64_t now_ns = galleon_now_ns();
                uint64_t deadline_ns = mdp_worker_deadline(stage->worker);
                int timeout = deadline_ns <= now_ns ? 0 : STAGE_MS_MAX;
                struct pollfd item = {.fd = mdp_worker_fd(stage->worker), .events = POLLIN};
                int ready = poll(&item, 1, timeout);
                assert_true(timeout == 0 || ready == 1);
                mdp_worker_pump(stage->worker, galleon_now_ns(), &message);
            }
            assert_int_equal(mdp_worker_reply(stage->worker, &message), GALLEON_OK);
        }
        for (int number = 0; number < 200; number++)
            stage_expect(stage, MDP_FINAL);
        stage_free(stage);
    }
}

static void
pump_gives_the_next_when_the_last_is_answered(void **state)
{
    (void)state;
    struct stage *stage = stage_new("inproc", MDP_G1);
    stage->options.credit = 2;
    stage_serve(stage);
    stage_pack(stage, stage_request(stage, 1), "one");
    stage_pack(stage, stage_request(stage, 2), "two");
    stage_send(stage);
    zmsg_t *first = NULL;
    zmsg_t *second = NULL;
    while (first == NULL)
        mdp_worker_pump(stage->worker, galleon_now_ns(), &first);
    mdp_worker_pump(stage->worker, galleon_now_ns(), &second);
    assert_null(second);
    assert_true(mdp_worker_deadline(stage->worker) > 0); // nobody has to spin meanwhile
    assert_string_equal(stage_message_text(first), "one");
    mdp_worker_reply(stage->worker, &first);
    mdp_worker_pump(stage->worker, galleon_now_ns(), &second);
    assert_string_equal(stage_message_text(second), "two");
    mdp_worker_reply(stage->worker, &second);
    stage_free(stage);
}

static void
heartbeats_go_both_ways_and_keep_the_session(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("tcp", dialects[i]);
        stage->options.heartbeat_ms = 50;
        stage_serve(stage);
        for (int beat = 0; beat < 8; beat++) {
            struct mdp_record record = stage_expect(stage, MDP_HEARTBEAT);
            assert_int_equal(record.interval_ms, dialects[i] == MDP_G1 ? 50 : 0);
            stage_say(stage, stage_command(stage, MDP_HEARTBEAT), NULL);
        }
        stage_free(stage);
    }
}

// ---- losing brokers -----------------------------------------------------------------------

static void
disconnect_brings_a_new_socket(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("tcp", dialects[i]);
        stage_serve(stage);
        uint8_t before[256];
        memcpy(before, stage->id, sizeof before);
        stage_say(stage, stage_command(stage, MDP_DISCONNECT), NULL);
        stage_expect(stage, MDP_READY);
        assert_memory_not_equal(before, stage->id, sizeof before);
        stage_free(stage);
    }
}

static void
silent_broker_is_left_and_found_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("tcp", dialects[i]);
        stage->options.heartbeat_ms = 20;
        stage_serve(stage);
        struct mdp_record record = stage_command(stage, MDP_HEARTBEAT);
        record.interval_ms = 100;
        stage_say(stage, record, NULL);
        stage_expect(stage, MDP_DISCONNECT);
        stage_expect(stage, MDP_READY);
        stage_free(stage);
    }
}

static void
restarted_broker_is_found_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct stage *stage = stage_new(transports[1 + i / 3], dialects[i % 3]);
        stage_serve(stage);
        stage_stop(stage);
        stage_restart(stage);
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 1), "question");
        echo(stage);
        stage_expect(stage, MDP_FINAL);
        stage_free(stage);
    }
}

static void
broker_may_come_after_its_worker(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new(transports[i], MDP_G1);
        stage_stop(stage);
        if (i == 0) // a name that was never there: connections to the old one are made on the spot
            strcat(stage->place.endpoint, "-later");
        stage_work(stage);
        stage_pump(stage);
        stage_restart(stage);
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 1), "question");
        echo(stage);
        stage_expect(stage, MDP_FINAL);
        stage_free(stage);
    }
}

static void
answer_is_delivered_over_the_next_connection(void **state)
{
    (void)state;
    static const mdp_dialect_t late[] = {MDP_01, MDP_G1};
    for (size_t i = 0; i < 2; i++) {
        struct stage *stage = stage_new("tcp", late[i]);
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 77), "question");
        mdp_request_t *request = stage_take(stage);
        stage_stop(stage);
        stage_restart(stage);
        stage_serve(stage);
        reply(request, "late");
        struct mdp_record final = stage_expect(stage, MDP_FINAL);
        struct mdp_record expected = stage_request(stage, 77);
        assert_true(ticket_equals(&final.ticket, &expected.ticket));
        assert_string_equal(stage_text(&final.body), "late");
        assert_int_equal(stage->lost, 0);
        stage_free(stage);
    }
}

static void
answer_that_cannot_go_on_is_lost(void **state)
{
    (void)state;
    for (size_t i = 1; i < 3; i++) {
        struct stage *stage = stage_new("tcp", dialects[i]);
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 1), "question");
        mdp_request_t *request = stage_take(stage);
        zmsg_t *message = stage_message("part");
        assert_int_equal(mdp_request_partial(request, &message), GALLEON_OK);
        stage_expect(stage, MDP_PARTIAL);
        stage_stop(stage);
        stage_restart(stage);
        stage_serve(stage);
        message = stage_message("part");
        assert_int_equal(mdp_request_partial(request, &message), GALLEON_LOST);
        message = stage_message("end");
        assert_int_equal(mdp_request_reply(&request, &message), GALLEON_LOST);
        assert_null(message);
        // The caller knows already.
        assert_int_equal(stage->lost, 0);
        assert_false(stage_hears(stage, 20));
        stage_free(stage);
    }
}

static void
answer_nobody_took_is_told_of_at_the_end(void **state)
{
    (void)state;
    struct stage *stage = stage_new("tcp", MDP_G1);
    stage->options.credit = 2;
    stage_serve(stage);
    stage_pack(stage, stage_request(stage, 1), "question");
    stage_pack(stage, stage_request(stage, 2), "question");
    stage_send(stage);
    mdp_request_t *first = stage_take(stage);
    mdp_request_t *second = stage_take(stage);
    stage_stop(stage);
    // Once the cut is known a part is lost.
    uint64_t until_ns = galleon_now_ns() + STAGE_MS_MAX * ms_ns;
    zmsg_t *message = stage_message("part");
    while (mdp_request_partial(second, &message) != GALLEON_LOST) {
        assert_true(galleon_now_ns() < until_ns);
        struct pollfd item = {.fd = mdp_worker_fd(stage->worker), .events = POLLIN};
        poll(&item, 1, 10);
        stage_pump(stage);
        message = stage_message("part");
    }
    reply(first, "answer");
    mdp_worker_destroy(&stage->worker);
    assert_int_equal(stage->lost, 1);
    stage_free(stage);
}

static void
worker_serves_several_brokers(void **state)
{
    (void)state;
    struct stage *one = stage_new("tcp", MDP_G1);
    struct stage *two = stage_new("ipc", MDP_G1);
    char both[600];
    snprintf(both, sizeof both, "%s, %s", one->place.endpoint, two->place.endpoint);
    one->worker = mdp_worker_new(both, "echo", &one->options);
    assert_non_null(one->worker);
    stage_expect(one, MDP_READY);
    // The second has no worker of its own to pump: the first's is.
    two->worker = one->worker;
    stage_expect(two, MDP_READY);
    for (uint32_t i = 0; i < 20; i++) {
        stage_say(one, stage_request(one, i), "from one");
        stage_say(two, stage_request(two, i), "from two");
        // Which is first is not known; credit 1 is for both together.
        echo(one);
        echo(one);
        struct mdp_record final = stage_expect(one, MDP_FINAL);
        assert_string_equal(stage_text(&final.body), "from one|!");
        final = stage_expect(two, MDP_FINAL);
        assert_string_equal(stage_text(&final.body), "from two|!");
    }
    stage_stop(one);
    stage_say(two, stage_request(two, 99), "still here");
    two->worker = one->worker;
    echo(two);
    struct mdp_record final = stage_expect(two, MDP_FINAL);
    assert_string_equal(stage_text(&final.body), "still here|!");
    one->worker = NULL;
    stage_free(two);
    stage_free(one);
}

static void
say_of_epoch(struct stage *stage, uint32_t number, struct view fields, const char *body)
{
    struct mdp_record record = stage_request(stage, number);
    record.flags = MDP_FLAG_FIELDS;
    record.fields = fields;
    stage_say(stage, record, body);
}

static void
overtaken_half_of_a_pair_is_refused(void **state)
{
    (void)state;
    struct stage *stage = stage_new("tcp", MDP_G1);
    stage_serve(stage);
    say_of_epoch(stage, 1, VIEW_LITERAL("epoch: 0123456789abcdef:6\n"), "new");
    echo(stage);
    stage_expect(stage, MDP_FINAL);
    say_of_epoch(stage, 2, VIEW_LITERAL("epoch: 0123456789abcdef:5\n"), "stale");
    assert_int_equal(stage_expect(stage, MDP_DISCONNECT).reason, MDP_REASON_FENCED);
    stage_expect(stage, MDP_READY);
    stage_free(stage);
}

// ---- the dialect ----------------------------------------------------------------------------

static void
dialect_is_found_by_asking(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        mdp_dialect_t dialect;
    } rows[] = {{"200|0.1 0.2 g1", MDP_G1}, {"501", MDP_01}};
    for (size_t i = 0; i < 2; i++) {
        struct stage *stage = stage_new("tcp", MDP_AUTO);
        stage_work(stage);
        struct mdp_record question = stage_expect(stage, MDP_REQUEST);
        assert_int_equal(question.dialect, MDP_01);
        assert_true(view_equals(question.service, VIEW_LITERAL("mmi.dialects")));
        struct mdp_record answer = {.dialect = MDP_01,
                                    .side = MDP_CLIENT_SIDE,
                                    .command = MDP_FINAL,
                                    .service = VIEW_LITERAL("mmi.dialects")};
        stage_say(stage, answer, rows[i].answer);
        stage->dialect = rows[i].dialect;
        assert_int_equal(stage_expect(stage, MDP_READY).dialect, rows[i].dialect);
        stage_say(stage, stage_command(stage, MDP_HEARTBEAT), NULL);
        stage_say(stage, stage_request(stage, 1), "question");
        echo(stage);
        stage_expect(stage, MDP_FINAL);
        stage_free(stage);
    }
}

static void
id_is_printable_where_asked_for(void **state)
{
    (void)state;
    struct stage *stage = stage_new("tcp", MDP_01);
    stage->options.printable_id = true;
    stage_serve(stage);
    assert_int_equal(stage->id_size, 17);
    for (size_t i = 0; i < 17; i++)
        assert_true(isalnum(stage->id[i]));
    stage_free(stage);
}

// ---- hostile brokers --------------------------------------------------------------------------

static void
nothing_a_broker_sends_ends_the_worker(void **state)
{
    (void)state;
    static const char *const messages[] = {"",
                                           "||",
                                           "|MDPW01",
                                           "|MDPW01|",
                                           "|MDPW01|\x02",
                                           "|MDPW01|\x02|x",
                                           "|MDPW01|\x02\x02|x||y",
                                           "|MDPW01|\x09",
                                           "|MDPW02|\x02|x||y",
                                           "MDPW02|\x02",
                                           "MDPW02|\x04|x||y",
                                           "|MDPC01|echo|answer",
                                           "MDPC02|\x03|echo|answer",
                                           "MDPWG1",
                                           "MDPWG1\x01\x01",
                                           "MDPWG1\x01\x01zzzzzzzzzzzzzzzz",
                                           "MDPWG1\x02\x02zzzzzzzzzzzzzzzz",
                                           "MDPCG1\x01\x01zzzz",
                                           "a|b|c|d|e|f|g|h|i|j|k|l|m"};
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("tcp", dialects[i]);
        stage->options.reconnect_ms_max = 1;
        // The worker may be gone to a new socket when it is spoken to.
        zsock_set_router_mandatory(stage->router, 0);
        stage_serve(stage);
        for (size_t j = 0; j < sizeof messages / sizeof *messages; j++) {
            zmsg_t *message = stage_message(messages[j]);
            zmsg_pushmem(message, stage->id, stage->id_size);
            zmsg_send(&message, stage->router);
            // It is there still, or back on a new socket.
            struct mdp_record request = stage_request(stage, (uint32_t)j);
            stage_say(stage, request, "question");
            mdp_request_t *taken = NULL;
            uint64_t until_ns = galleon_now_ns() + STAGE_MS_MAX * ms_ns;
            while (taken == NULL && galleon_now_ns() < until_ns) {
                if (stage_hears(stage, 1)) {
                    stage->is_reading = false;
                    stage_say(stage, request, "question");
                }
                if (stage->taken_count > 0)
                    taken = stage_take(stage);
            }
            // The session it came in may have ended since.
            assert_non_null(taken);
            assert_int_not_equal(mdp_request_fail(&taken, 500, "text"), GALLEON_PROTOCOL);
            stage_pump(stage);
            while (stage->taken_count > 0) {
                taken = stage_take(stage);
                (void)mdp_request_fail(&taken, 500, "text");
            }
        }
        stage_free(stage);
    }
}

// ---- the end ------------------------------------------------------------------------------------

static void
worker_says_goodbye_where_it_may(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct stage *stage = stage_new("tcp", dialects[i / 2]);
        stage->options.no_disconnect = i % 2 == 1;
        stage_serve(stage);
        stage_say(stage, stage_request(stage, 1), "question");
        reply(stage_take(stage), "answer");
        mdp_worker_destroy(&stage->worker);
        assert_null(stage->worker);
        stage_expect(stage, MDP_FINAL);
        if (i % 2 == 0)
            stage_expect(stage, MDP_DISCONNECT);
        else
            assert_false(stage_hears(stage, 50));
        stage_free(stage);
    }
}

static void
open_requests_end_with_the_worker(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = stage_new("inproc", dialects[i]);
        stage->options.credit = 3;
        stage_serve(stage);
        for (uint32_t number = 0; number < 3; number++)
            stage_say(stage, stage_request(stage, number), "question");
        mdp_request_t *request = stage_take(stage);
        zmsg_t *part = stage_message("part");
        assert_int_equal(mdp_request_partial(request, &part), GALLEON_OK);
        mdp_worker_destroy(&stage->worker);
        stage_free(stage);
    }
}

static void
interrupted_worker_asks_for_nothing_more_and_can_finish(void **state)
{
    (void)state;
    struct stage *stage = stage_new("inproc", MDP_G1);
    stage->options.credit = 2;
    stage_serve(stage);
    stage_say(stage, stage_request(stage, 1), "question");
    mdp_request_t *held = stage_take(stage);
    zsys_interrupted = 1;
    mdp_request_t *request = held;
    assert_int_equal(mdp_worker_take(stage->worker, &request), GALLEON_INTERRUPTED);
    assert_null(request);
    assert_null(mdp_worker_recv(stage->worker));
    stage_expect(stage, MDP_DRAIN);
    reply(held, "answer");
    mdp_worker_destroy(&stage->worker);
    stage_expect(stage, MDP_FINAL);
    stage_expect(stage, MDP_DISCONNECT);
    zsys_interrupted = 0;
    stage_free(stage);
}

static void
worker_that_cannot_be_is_not_made(void **state)
{
    (void)state;
    static const char *const endpoints[] = {"", "nonsense", "tcp://127.0.0.1:5555,", "tcp://x"};
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        errno = 0;
        assert_null(mdp_worker_new(endpoints[i], "echo", NULL));
        assert_int_equal(errno, EINVAL);
    }
    static const char *const services[] = {"", "mmi.service", "mmi.", "line\nfeed", "\xff"};
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        errno = 0;
        assert_null(mdp_worker_new("tcp://127.0.0.1:5555", services[i], NULL));
        assert_int_equal(errno, EINVAL);
    }
    mdp_worker_t *none = NULL;
    mdp_worker_destroy(&none);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_answered_over_every_transport_in_every_dialect),
        cmocka_unit_test(worker_in_ten_lines_works_and_leaves_when_interrupted),
        cmocka_unit_test(request_without_an_answer_fails_at_the_next_recv),
        cmocka_unit_test(request_says_its_attempt_and_its_fields),
        cmocka_unit_test(large_bodies_go_both_ways),
        cmocka_unit_test(answer_that_is_too_large_fails_its_request),
        cmocka_unit_test(part_that_is_too_large_fails_its_request_at_the_end),
        cmocka_unit_test(parts_that_go_out_together_are_limited_together),
        cmocka_unit_test(failure_has_a_status_and_a_text),
        cmocka_unit_test(partials_come_before_their_end),
        cmocka_unit_test(burst_is_answered_in_few_messages),
        cmocka_unit_test(single_reply_leaves_when_the_worker_waits),
        cmocka_unit_test(more_than_a_pack_goes_out_in_several),
        cmocka_unit_test(answers_a_full_socket_refused_arrive_all_the_same),
        cmocka_unit_test(slow_jobs_do_not_hold_each_other_up),
        cmocka_unit_test(descriptor_tells_of_every_request),
        cmocka_unit_test(pump_gives_the_next_when_the_last_is_answered),
        cmocka_unit_test(heartbeats_go_both_ways_and_keep_the_session),
        cmocka_unit_test(disconnect_brings_a_new_socket),
        cmocka_unit_test(silent_broker_is_left_and_found_again),
        cmocka_unit_test(restarted_broker_is_found_again),
        cmocka_unit_test(broker_may_come_after_its_worker),
        cmocka_unit_test(answer_is_delivered_over_the_next_connection),
        cmocka_unit_test(answer_that_cannot_go_on_is_lost),
        cmocka_unit_test(answer_nobody_took_is_told_of_at_the_end),
        cmocka_unit_test(worker_serves_several_brokers),
        cmocka_unit_test(overtaken_half_of_a_pair_is_refused),
        cmocka_unit_test(dialect_is_found_by_asking),
        cmocka_unit_test(id_is_printable_where_asked_for),
        cmocka_unit_test(nothing_a_broker_sends_ends_the_worker),
        cmocka_unit_test(worker_says_goodbye_where_it_may),
        cmocka_unit_test(open_requests_end_with_the_worker),
        cmocka_unit_test(interrupted_worker_asks_for_nothing_more_and_can_finish),
        cmocka_unit_test(worker_that_cannot_be_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
