// test_mdp_client.c - the client's API over real sockets, against brokers that play a part.

#include "fake_broker.h"

#include <galleon/mdp_client.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const char tcp[] = "tcp://127.0.0.1:*";

static zmsg_t *
text_message(const char *text)
{
    zmsg_t *message = zmsg_new();
    zmsg_addstr(message, text);
    return message;
}

static int
call(mdp_client_t *client, const char *service, const char *body, zmsg_t **reply_out)
{
    zmsg_t *request = text_message(body);
    int result = mdp_client_call(client, service, &request, reply_out);
    assert_null(request);
    return result;
}

// assert_body compares the frames of a reply, parted by |, and lets it go.
static void
assert_body(zmsg_t **reply_p, const char *expected)
{
    char text[256] = "";
    assert_non_null(*reply_p);
    for (zframe_t *frame = zmsg_first(*reply_p); frame != NULL; frame = zmsg_next(*reply_p)) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.*s", used == 0 ? "" : "|",
                 (int)zframe_size(frame), (const char *)zframe_data(frame));
    }
    assert_string_equal(text, expected);
    zmsg_destroy(reply_p);
}

static void
assert_call(mdp_client_t *client, const char *body)
{
    zmsg_t *reply;
    assert_int_equal(call(client, "echo", body, &reply), GALLEON_OK);
    assert_int_equal(mdp_client_status(client), 200);
    assert_body(&reply, body);
}

static uint64_t
send_text(mdp_client_t *client, const char *service, const char *body)
{
    zmsg_t *request = text_message(body);
    uint64_t id;
    assert_int_equal(mdp_client_send(client, service, &request, NULL, &id), GALLEON_OK);
    assert_null(request);
    return id;
}

// ---- transports and dialects ----------------------------------------------------------------

static void
calls_over(const char *bind)
{
    static const mdp_dialect_t dialects[] = {MDP_AUTO, MDP_G1, MDP_02, MDP_01};
    for (size_t i = 0; i < 4; i++) {
        struct fake_broker *broker = fake_broker_new(bind, FAKE_GALLEON, fake_echo, NULL);
        mdp_client_options_t options = {.dialect = dialects[i]};
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        for (int n = 0; n < 3; n++)
            assert_call(client, "hello");
        mdp_client_destroy(&client);
        assert_null(client);
        fake_broker_free(broker);
    }
}

static void
calls_work_in_each_dialect_over_each_transport(void **state)
{
    (void)state;
    calls_over(tcp);
    calls_over("ipc://*");
#if !defined(__SANITIZE_THREAD__)
    // Both ends read one message there, handed over by atomics that ThreadSanitizer
    // cannot see.
    calls_over("inproc://galleon-test-client");
#endif
}

static void
auto_speaks_01_to_a_broker_that_says_501(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_MMI, fake_echo, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    assert_call(client, "hello");
    assert_call(client, "again");
    assert_int_equal(fake_broker_counts(broker).questions, 1);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
auto_speaks_01_to_a_broker_without_mmi(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_SILENT, fake_echo, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    assert_call(client, "hello");
    assert_int_equal(fake_broker_counts(broker).questions, 2);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
expect_printable(struct fake_broker *self, const struct mdp_record *record)
{
    bool *is_printable = self->context;
    *is_printable =
        self->route.size == 17 && self->route.data[0] != 'm' && self->route.data[0] != 'i';
    for (size_t i = 0; i < self->route.size; i++)
        *is_printable = *is_printable && isalnum(self->route.data[i]);
    fake_echo(self, record);
}

static void
printable_id_is_one(void **state)
{
    (void)state;
    bool is_printable = false;
    struct fake_broker *broker =
        fake_broker_new(tcp, FAKE_GALLEON, expect_printable, &is_printable);
    mdp_client_options_t options = {.printable_id = true};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    assert_call(client, "hello");
    mdp_client_destroy(&client);
    fake_broker_free(broker);
    assert_true(is_printable);
}

static void
bodies_of_any_shape_come_back_as_they_went(void **state)
{
    (void)state;
    static const struct {
        size_t frames;
        size_t bytes;
    } rows[] = {{0, 0}, {1, 0}, {3, 0}, {1, 100000}, {2, 4096}, {256, 10}, {300, 100}, {2, 8193}};
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        zmsg_t *request = zmsg_new();
        char *bytes = malloc(rows[i].bytes + 1);
        memset(bytes, 0, rows[i].bytes + 1); // NULs too
        for (size_t n = 0; n < rows[i].frames; n++)
            zmsg_addmem(request, bytes, rows[i].bytes);
        zmsg_t *reply;
        assert_int_equal(mdp_client_call(client, "echo", &request, &reply), GALLEON_OK);
        assert_int_equal(zmsg_size(reply), rows[i].frames);
        assert_int_equal(zmsg_content_size(reply), rows[i].frames * rows[i].bytes);
        zmsg_destroy(&reply);
        free(bytes);
    }
    zmsg_t *nothing = NULL;
    zmsg_t *reply;
    assert_int_equal(mdp_client_call(client, "echo", &nothing, &reply), GALLEON_OK);
    assert_int_equal(zmsg_size(reply), 0);
    zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

// ---- many at once -----------------------------------------------------------------------------

static void
burst_of_sends_leaves_in_few_messages_and_not_before_it_is_asked_for(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    assert_call(client, "hello"); // connected
    unsigned before = fake_broker_counts(broker).messages;

    bool seen[1001] = {false};
    uint64_t first = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t id = send_text(client, "echo", "a hundred bytes or so");
        first = i == 0 ? id : first;
        assert_true(id == first + (uint64_t)i);
    }
    zmsg_t *request = text_message("one too many");
    uint64_t none;
    assert_int_equal(mdp_client_send(client, "echo", &request, NULL, &none), GALLEON_BUSY);
    assert_null(request);
    assert_true(none == 0);
    assert_int_equal(mdp_client_flush(client), GALLEON_OK);
    for (int i = 0; i < 1000; i++) {
        uint64_t id;
        zmsg_t *reply;
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        assert_in_range(id, first, first + 999);
        assert_false(seen[id - first]);
        seen[id - first] = true;
        zmsg_destroy(&reply);
    }
    assert_in_range(fake_broker_counts(broker).messages - before, 1, 20);
    uint64_t id;
    zmsg_t *reply;
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_UNKNOWN_ID);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
flush_writes_without_waiting_for_answers(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    mdp_client_options_t options = {.dialect = MDP_G1};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    for (int i = 0; i < 100; i++)
        send_text(client, "echo", "hello");
    struct pollfd poll_fd = {.fd = mdp_client_fd(client), .events = POLLIN};
    while (mdp_client_flush(client) == GALLEON_BUSY) // until it is connected
        poll(&poll_fd, 1, 10);
    fake_broker_wait_requests(broker, 100);
    assert_in_range(fake_broker_counts(broker).messages, 1, 5);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
destroy_writes_what_was_sent(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    for (int i = 0; i < 100; i++)
        send_text(client, "echo", "hello");
    mdp_client_destroy(&client); // not even connected yet
    fake_broker_wait_requests(broker, 100);
    fake_broker_free(broker);
}

static void
call_among_open_sends_leaves_their_answers_for_recv(void **state)
{
    (void)state;
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_01};
    for (size_t i = 0; i < 2; i++) {
        struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
        mdp_client_options_t options = {.dialect = dialects[i], .window = 4};
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        uint64_t first = send_text(client, "echo", "one");
        uint64_t second = send_text(client, "echo", "two");
        uint64_t third = send_text(client, "echo", "three");
        assert_call(client, "four");
        // Answers that nobody has taken count: what is kept has a bound.
        send_text(client, "echo", "five");
        zmsg_t *request = text_message("six");
        uint64_t id;
        assert_int_equal(mdp_client_send(client, "echo", &request, NULL, &id), GALLEON_BUSY);

        assert_int_equal(mdp_client_cancel(client, second), GALLEON_OK);
        zmsg_t *reply;
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        assert_true(id == first);
        assert_body(&reply, "one");
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        assert_true(id == third);
        assert_body(&reply, "three");
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        assert_body(&reply, "five");
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_UNKNOWN_ID);
        mdp_client_destroy(&client);
        fake_broker_free(broker);
    }
}

static void
say_nothing(struct fake_broker *self, const struct mdp_record *record)
{
    (void)self;
    (void)record;
}

static void
cancel_tells_the_broker_and_ends_the_call(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, say_nothing, NULL);
    mdp_client_options_t options = {.dialect = MDP_G1};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    uint64_t id = send_text(client, "echo", "hello");
    struct pollfd poll_fd = {.fd = mdp_client_fd(client), .events = POLLIN};
    while (mdp_client_flush(client) == GALLEON_BUSY)
        poll(&poll_fd, 1, 10);
    fake_broker_wait_requests(broker, 1);

    assert_int_equal(mdp_client_cancel(client, id), GALLEON_OK);
    assert_int_equal(mdp_client_cancel(client, id), GALLEON_UNKNOWN_ID);
    mdp_client_flush(client);
    fake_broker_wait_cancels(broker, 1);
    zmsg_t *reply;
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_UNKNOWN_ID);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
own_loop_needs_one_descriptor_and_a_deadline(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    for (int i = 0; i < 50; i++)
        send_text(client, "echo", "hello");
    int answers = 0;
    while (answers < 50) {
        uint64_t now_ns = galleon_now_ns();
        uint64_t deadline_ns = mdp_client_deadline(client);
        uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / 1000000 + 1 : 0;
        struct pollfd poll_fd = {.fd = mdp_client_fd(client), .events = POLLIN};
        assert_true(left_ms < 10000);
        poll(&poll_fd, 1, (int)left_ms);
        uint64_t id;
        do {
            zmsg_t *reply;
            int result = mdp_client_pump(client, galleon_now_ns(), &id, &reply);
            assert_int_equal(result, GALLEON_OK);
            answers += id != 0;
            zmsg_destroy(&reply);
        } while (id != 0);
    }
    assert_true(mdp_client_deadline(client) > galleon_now_ns());
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

// ---- answers ------------------------------------------------------------------------------------

static void
answer_with_the_status_asked_for(struct fake_broker *self, const struct mdp_record *record)
{
    size_t cursor = 0;
    struct view frame;
    uint16_t status = 0;
    if (mdp_body_next(&record->body, &cursor, &frame))
        for (size_t i = 0; i < frame.size; i++)
            status = (uint16_t)(10 * status + frame.data[i] - '0');
    fake_answer(self, record, status, 0, "for \033[31mpe\302\2331mople\377\n");
}

static void
error_status_has_its_result_and_a_text_that_is_safe_to_print(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        int result;
    } rows[] = {{"404", GALLEON_NO_SERVICE}, {"408", GALLEON_TIMED_OUT}, {"429", GALLEON_BUSY},
                {"500", GALLEON_REFUSED},    {"502", GALLEON_REFUSED},   {"599", GALLEON_REFUSED}};
    struct fake_broker *broker =
        fake_broker_new(tcp, FAKE_GALLEON, answer_with_the_status_asked_for, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        zmsg_t *reply;
        assert_int_equal(call(client, "echo", rows[i].status, &reply), rows[i].result);
        assert_null(reply);
        assert_int_equal(mdp_client_status(client), (int)strtol(rows[i].status, NULL, 10));
        assert_string_equal(mdp_client_status_text(client), "for ?[31mpe?1mople??");
    }
    zmsg_t *reply;
    assert_int_equal(call(client, "echo", "200", &reply), GALLEON_OK);
    assert_string_equal(mdp_client_status_text(client), "");
    zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
names_that_are_none_are_refused_before_they_leave(void **state)
{
    (void)state;
    mdp_client_t *client = mdp_client_new("tcp://127.0.0.1:1", NULL);
    zmsg_t *reply;
    assert_int_equal(call(client, "", "hello", &reply), GALLEON_REFUSED);
    assert_int_equal(mdp_client_status(client), 400);
    assert_true(strlen(mdp_client_status_text(client)) > 0);
    assert_int_equal(call(client, "line\nfeed", "hello", &reply), GALLEON_REFUSED);
    mdp_client_destroy(&client);
}

static int
send_bytes(mdp_client_t *client, size_t bytes, const char *fields)
{
    static const char zeros[4096];
    mdp_send_options_t options = {.fields = fields};
    zmsg_t *request = zmsg_new();
    uint64_t id;
    zmsg_addmem(request, zeros, bytes);
    int result = mdp_client_send(client, "echo", &request, &options, &id);
    assert_null(request);
    assert_int_equal(id != 0, result == GALLEON_OK);
    return result;
}

static void
request_that_is_too_large_is_refused_before_it_leaves(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    mdp_client_options_t options = {.message_bytes_max = 2048};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    assert_int_equal(send_bytes(client, 1532, NULL), GALLEON_OK);
    assert_int_equal(send_bytes(client, 1533, NULL), GALLEON_REFUSED);
    assert_int_equal(mdp_client_status(client), 413);
    assert_true(strlen(mdp_client_status_text(client)) > 0);
    assert_int_equal(send_bytes(client, 1522, "key: value\n"), GALLEON_REFUSED);
    assert_int_equal(send_bytes(client, 1521, "key: value\n"), GALLEON_OK);
    for (int i = 0; i < 2; i++) {
        uint64_t id;
        zmsg_t *reply;
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        zmsg_destroy(&reply);
    }
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
lists_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"",          "localhost:5555",
                                        ",",         "tcp://localhost",
                                        "tcp://",    "tcp://a:5555,",
                                        "://x",      "tcp://a:1,b:2",
                                        "tcp://a:x", "tcp://a:5555 tcp://b:5555x"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        errno = 0;
        assert_null(mdp_client_new(lists[i], NULL));
        assert_int_equal(errno, EINVAL);
    }
    mdp_client_t *client = mdp_client_new(" tcp://a:1 ,\tipc:///tmp/x", NULL);
    assert_non_null(client);
    mdp_client_destroy(&client);
    mdp_client_destroy(&client);
}

static void
answer_in_parts(struct fake_broker *self, const struct mdp_record *record)
{
    fake_part(self, record, 0, "one");
    fake_part(self, record, 1, "two");
    fake_answer(self, record, 200, 2, "three");
}

static void
answer_in_parts_and_again_whole(struct fake_broker *self, const struct mdp_record *record)
{
    fake_part(self, record, 0, "one");
    fake_part(self, record, 1, "two");
    fake_answer(self, record, 200, 0, "whole");
}

static void
parts_of_a_lost_attempt_are_no_part_of_the_answer(void **state)
{
    (void)state;
    struct fake_broker *broker =
        fake_broker_new(tcp, FAKE_GALLEON, answer_in_parts_and_again_whole, NULL);
    for (int partials = 0; partials < 2; partials++) {
        mdp_client_options_t options = {.dialect = MDP_G1, .partials = partials == 1};
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        zmsg_t *reply;
        assert_int_equal(call(client, "echo", "hello", &reply), GALLEON_OK);
        assert_body(&reply, "whole");

        uint64_t id = send_text(client, "echo", "hello");
        for (uint32_t part = 0; partials == 1 && part < 2; part++) {
            assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_PENDING);
            assert_int_equal(mdp_client_part(client), part);
            zmsg_destroy(&reply);
        }
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        assert_int_equal(mdp_client_part(client), 0);
        assert_body(&reply, "whole");
        mdp_client_destroy(&client);
    }
    fake_broker_free(broker);
}

static void
partials_are_gathered_or_handed_out(void **state)
{
    (void)state;
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_02};
    for (size_t i = 0; i < 2; i++) {
        struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, answer_in_parts, NULL);
        mdp_client_options_t options = {.dialect = dialects[i]};
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        zmsg_t *reply;
        assert_int_equal(call(client, "list", "", &reply), GALLEON_OK);
        assert_body(&reply, "one|two|three");
        mdp_client_destroy(&client);

        options.partials = true;
        client = mdp_client_new(broker->endpoint, &options);
        uint64_t sent = send_text(client, "list", "");
        static const char *const parts[] = {"one", "two"};
        uint64_t id;
        for (uint32_t n = 0; n < 2; n++) {
            assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_PENDING);
            assert_true(id == sent);
            assert_int_equal(mdp_client_part(client), n);
            assert_body(&reply, parts[n]);
        }
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        assert_body(&reply, "three");
        // A call has one answer in any case.
        assert_int_equal(call(client, "list", "", &reply), GALLEON_OK);
        assert_body(&reply, "one|two|three");
        mdp_client_destroy(&client);
        fake_broker_free(broker);
    }
}

static void
answer_large_parts(struct fake_broker *self, const struct mdp_record *record)
{
    static char text[20001];
    memset(text, 'x', sizeof text - 1);
    for (uint32_t seq = 0; seq < 40; seq++)
        fake_part(self, record, seq, seq % 2 == 0 ? text : "small");
    fake_answer(self, record, 200, 40, text);
}

static void
large_partials_are_gathered(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, answer_large_parts, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    zmsg_t *reply;
    assert_int_equal(call(client, "list", "", &reply), GALLEON_OK);
    assert_int_equal(zmsg_size(reply), 41);
    assert_int_equal(zmsg_content_size(reply), 20 * 20000 + 20 * 5 + 20000);
    zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
stream_to_the_first_call(struct fake_broker *self, const struct mdp_record *record)
{
    if (self->number == 1)
        for (uint32_t seq = 0; seq < 3000; seq++)
            fake_part(self, record, seq, "x");
    else
        fake_echo(self, record);
}

static void
stream_that_nobody_reads_is_kept_up_to_a_bound(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, stream_to_the_first_call, NULL);
    mdp_client_options_t options = {.partials = true};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    uint64_t stream = send_text(client, "stream", "");
    assert_call(client, "hello");
    uint64_t id;
    zmsg_t *reply;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_PENDING);
        assert_true(id == stream);
        zmsg_destroy(&reply);
    }
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_BUSY);
    assert_true(id == stream);
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_UNKNOWN_ID);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
answer_mmi(struct fake_broker *self, const struct mdp_record *record)
{
    size_t cursor = 0;
    struct view name = VIEW_NONE;
    bool is_mmi = view_equals(record->service, VIEW_LITERAL("mmi.service"));
    (void)mdp_body_next(&record->body, &cursor, &name);
    const char *code = view_equals(name, VIEW_LITERAL("echo")) ? "200" : "404";
    if (view_equals(name, VIEW_LITERAL("odd")))
        code = "UnknownService";
    fake_answer(self, record, 200, 0, is_mmi ? code : "?");
}

static void
has_service_asks_mmi(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, answer_mmi, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    assert_int_equal(mdp_client_has_service(client, "echo"), GALLEON_OK);
    assert_int_equal(mdp_client_has_service(client, "none"), GALLEON_NO_SERVICE);
    assert_int_equal(mdp_client_has_service(client, "odd"), GALLEON_PROTOCOL);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
tell_what_was_asked(struct fake_broker *self, const struct mdp_record *record)
{
    char text[128];
    snprintf(text, sizeof text, "%u %d %.*s", record->ttl_ms,
             (record->flags & MDP_FLAG_NO_QUEUE) != 0, (int)record->fields.size,
             record->fields.size == 0 ? "" : (const char *)record->fields.data);
    fake_answer(self, record, 200, 0, text);
}

static void
options_of_a_request_reach_the_broker(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, tell_what_was_asked, NULL);
    mdp_client_t *client = mdp_client_new(broker->endpoint, NULL);
    mdp_send_options_t options = {
        .ttl_ms = 12345, .no_queue = true, .fields = "traceparent: 00-1\nidempotency-key: k\n"};
    zmsg_t *request = text_message("hello");
    uint64_t id;
    zmsg_t *reply;
    assert_int_equal(mdp_client_send(client, "echo", &request, &options, &id), GALLEON_OK);
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
    char *text = zframe_strdup(zmsg_first(reply));
    assert_int_equal(strncmp(text, "123", 3), 0); // the way took a few milliseconds
    assert_string_equal(text + 5, " 1 traceparent: 00-1\nidempotency-key: k\n");
    zstr_free(&text);
    zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_work_in_each_dialect_over_each_transport),
        cmocka_unit_test(auto_speaks_01_to_a_broker_that_says_501),
        cmocka_unit_test(auto_speaks_01_to_a_broker_without_mmi),
        cmocka_unit_test(printable_id_is_one),
        cmocka_unit_test(bodies_of_any_shape_come_back_as_they_went),
        cmocka_unit_test(burst_of_sends_leaves_in_few_messages_and_not_before_it_is_asked_for),
        cmocka_unit_test(flush_writes_without_waiting_for_answers),
        cmocka_unit_test(destroy_writes_what_was_sent),
        cmocka_unit_test(call_among_open_sends_leaves_their_answers_for_recv),
        cmocka_unit_test(cancel_tells_the_broker_and_ends_the_call),
        cmocka_unit_test(own_loop_needs_one_descriptor_and_a_deadline),
        cmocka_unit_test(error_status_has_its_result_and_a_text_that_is_safe_to_print),
        cmocka_unit_test(names_that_are_none_are_refused_before_they_leave),
        cmocka_unit_test(request_that_is_too_large_is_refused_before_it_leaves),
        cmocka_unit_test(lists_that_are_none_are_refused),
        cmocka_unit_test(parts_of_a_lost_attempt_are_no_part_of_the_answer),
        cmocka_unit_test(partials_are_gathered_or_handed_out),
        cmocka_unit_test(large_partials_are_gathered),
        cmocka_unit_test(stream_that_nobody_reads_is_kept_up_to_a_bound),
        cmocka_unit_test(has_service_asks_mmi),
        cmocka_unit_test(options_of_a_request_reach_the_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
