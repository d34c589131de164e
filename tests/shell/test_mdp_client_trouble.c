// test_mdp_client_trouble.c - the client where brokers are silent, cut, passive or hostile.

#include "fake_broker.h"

#include <galleon/mdp_client.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const char tcp[] = "tcp://127.0.0.1:*";
// Nobody listens there: it is no port that the system gives to anybody.
static const char nowhere[] = "tcp://127.0.0.1:1";

static int
call(mdp_client_t *client, const char *body, zmsg_t **reply_out)
{
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, body);
    return mdp_client_call(client, "echo", &request, reply_out);
}

static void
assert_body(zmsg_t **reply_p, const char *expected)
{
    assert_non_null(*reply_p);
    assert_int_equal(zmsg_size(*reply_p), 1);
    char *text = zframe_strdup(zmsg_first(*reply_p));
    assert_string_equal(text, expected);
    zstr_free(&text);
    zmsg_destroy(reply_p);
}

static void
assert_call(mdp_client_t *client, const char *body)
{
    zmsg_t *reply;
    assert_int_equal(call(client, body, &reply), GALLEON_OK);
    assert_body(&reply, body);
}

static void
say_nothing(struct fake_broker *self, const struct mdp_record *record)
{
    (void)self;
    (void)record;
}

// ---- silence ---------------------------------------------------------------------------------

static void
answer_the_second(struct fake_broker *self, const struct mdp_record *record)
{
    uint64_t *ids = self->context;
    ids[(self->number - 1) % 2] = record->id;
    if (self->number % 2 == 0)
        fake_echo(self, record);
}

static void
second_attempt_is_answered_under_the_same_id(void **state)
{
    (void)state;
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_02, MDP_01, MDP_AUTO};
    for (size_t i = 0; i < 4; i++) {
        uint64_t ids[2] = {0};
        struct fake_broker *broker = fake_broker_new(tcp, FAKE_MMI, answer_the_second, ids);
        mdp_client_options_t options = {.timeout_ms = 100, .dialect = dialects[i]};
        options.deadline_ms = 20000;
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        assert_call(client, "hello");
        mdp_client_destroy(&client);
        fake_broker_free(broker);
        assert_true(ids[0] == ids[1]);
        assert_true((ids[0] != 0) == (dialects[i] == MDP_G1));
    }
}

static void
silence_ends_after_every_attempt(void **state)
{
    (void)state;
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_01};
    for (size_t i = 0; i < 2; i++) {
        struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, say_nothing, NULL);
        mdp_client_options_t options = {.timeout_ms = 50, .attempts = 2, .dialect = dialects[i]};
        options.deadline_ms = 20000;
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        zmsg_t *reply;
        assert_int_equal(call(client, "hello", &reply), GALLEON_TIMED_OUT);
        assert_null(reply);
        assert_int_equal(mdp_client_status(client), 0);
        assert_string_equal(mdp_client_status_text(client), "");
        assert_int_equal(fake_broker_counts(broker).requests, 2);
        mdp_client_destroy(&client);
        fake_broker_free(broker);
    }
}

static void
broker_that_is_not_there_is_waited_for_until_the_deadline(void **state)
{
    (void)state;
    mdp_client_options_t options = {.timeout_ms = 100, .attempts = 3};
    mdp_client_t *client = mdp_client_new(nowhere, &options);
    uint64_t from_ns = galleon_now_ns();
    zmsg_t *reply;
    assert_int_equal(call(client, "hello", &reply), GALLEON_TIMED_OUT);
    uint64_t took_ms = (galleon_now_ns() - from_ns) / 1000000;
    assert_in_range(took_ms, 299, 5000);
    mdp_client_destroy(&client);
}

static void
call_made_before_the_broker_is_there_is_answered(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    fake_broker_down(broker);
    mdp_client_options_t options = {.deadline_ms = 20000};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, "early");
    uint64_t id;
    assert_int_equal(mdp_client_send(client, "echo", &request, NULL, &id), GALLEON_OK);
    assert_int_equal(mdp_client_flush(client), GALLEON_BUSY);
    fake_broker_up(broker);
    zmsg_t *reply;
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
    assert_body(&reply, "early");
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

// A 0.1 broker that answers each second request late: when the next has come.
struct late {
    uint8_t route[32];
    size_t route_size;
};

static void
answer_late(struct fake_broker *self, const struct mdp_record *record)
{
    struct late *late = self->context;
    if (late->route_size == 0) {
        late->route_size = self->route.size;
        memcpy(late->route, self->route.data, self->route.size);
        return;
    }
    struct view route = self->route;
    self->route = view_of(late->route, late->route_size);
    late->route_size = 0;
    fake_answer(self, record, 200, 0, "late");
    self->route = route;
    fake_echo(self, record);
}

static void
late_answer_in_01_is_never_taken_for_anothers(void **state)
{
    (void)state;
    struct late late = {.route_size = 0};
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_MMI, answer_late, &late);
    mdp_client_options_t options = {.timeout_ms = 100, .attempts = 1, .dialect = MDP_01};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    for (int i = 0; i < 3; i++) {
        zmsg_t *reply;
        assert_int_equal(call(client, "first", &reply), GALLEON_TIMED_OUT);
        assert_call(client, "second");
    }
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

// ---- cut connections ----------------------------------------------------------------

static void
requests_open_when_the_broker_restarts_are_sent_again(void **state)
{
    (void)state;
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_01, MDP_AUTO};
    for (size_t i = 0; i < 3; i++) {
        struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, say_nothing, NULL);
        mdp_client_options_t options = {.timeout_ms = 20000, .dialect = dialects[i]};
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        for (int n = 0; n < 10; n++) {
            zmsg_t *request = zmsg_new();
            zmsg_addstr(request, "hello");
            uint64_t id;
            assert_int_equal(mdp_client_send(client, "echo", &request, NULL, &id), GALLEON_OK);
        }
        // A cut has to be seen well before the timeout of 20 s.
        uint64_t until_ns = galleon_now_ns() + 10 * 1000000000ull;
        uint64_t id;
        zmsg_t *reply;
        while (fake_broker_counts(broker).requests == 0) {
            mdp_client_pump(client, galleon_now_ns(), &id, &reply);
            assert_true(galleon_now_ns() < until_ns);
        }
        fake_broker_down(broker);
        fake_broker_play(broker, fake_echo);
        fake_broker_up(broker);
        for (int n = 0; n < 10; n++) {
            assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
            assert_body(&reply, "hello");
        }
        assert_true(galleon_now_ns() < until_ns);
        mdp_client_destroy(&client);
        fake_broker_free(broker);
    }
}

static void
cut_connection_moves_requests_to_the_next_endpoint(void **state)
{
    (void)state;
    struct fake_broker *silent = fake_broker_new(tcp, FAKE_GALLEON, say_nothing, NULL);
    struct fake_broker *other = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    char list[600];
    snprintf(list, sizeof list, "%s,%s", silent->endpoint, other->endpoint);
    mdp_client_options_t options = {.timeout_ms = 20000};
    mdp_client_t *client = mdp_client_new(list, &options);
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, "hello");
    uint64_t id;
    zmsg_t *reply;
    mdp_client_send(client, "echo", &request, NULL, &id);
    uint64_t until_ns = galleon_now_ns() + 10 * 1000000000ull;
    while (fake_broker_counts(silent).requests == 0) {
        mdp_client_pump(client, galleon_now_ns(), &id, &reply);
        assert_true(galleon_now_ns() < until_ns);
    }
    fake_broker_down(silent);
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
    assert_body(&reply, "hello");
    assert_true(galleon_now_ns() < until_ns);
    assert_int_equal(fake_broker_counts(other).requests, 1);
    mdp_client_destroy(&client);
    fake_broker_free(silent);
    fake_broker_free(other);
}

// answer_at_the_end answers, and what it says goes out although the socket is closed.
static void
answer_at_the_end(struct fake_broker *self, const struct mdp_record *record)
{
    zsock_set_linger(self->router, 10000);
    fake_echo(self, record);
}

// A broker that drains answers, and is gone before its client looks. The answer has arrived: to
// ask again would run the work twice.
static void
last_answer_of_a_broker_that_ends_is_taken(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, answer_at_the_end, NULL);
    mdp_client_options_t options = {.timeout_ms = 20000, .attempts = 1};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    for (unsigned n = 1; n <= 20; n++) {
        assert_call(client, "hello"); // so that it has a connection that stands
        zmsg_t *request = zmsg_new();
        zmsg_addstr(request, "last");
        uint64_t id;
        zmsg_t *reply = NULL;
        assert_int_equal(mdp_client_send(client, "echo", &request, NULL, &id), GALLEON_OK);
        assert_int_equal(mdp_client_flush(client), GALLEON_OK);
        fake_broker_wait_requests(broker, 2 * n);
        fake_broker_down(broker);
        assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_OK);
        assert_body(&reply, "last");
        fake_broker_up(broker);
    }
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

// ---- several endpoints --------------------------------------------------------------

static void
frozen_broker_is_left_after_one_timeout(void **state)
{
    (void)state;
    struct fake_broker *frozen = fake_broker_new(tcp, FAKE_GALLEON, say_nothing, NULL);
    struct fake_broker *other = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    char list[600];
    snprintf(list, sizeof list, "%s,%s", frozen->endpoint, other->endpoint);
    mdp_client_options_t options = {.timeout_ms = 100, .deadline_ms = 20000};
    mdp_client_t *client = mdp_client_new(list, &options);
    for (int i = 0; i < 3; i++)
        assert_call(client, "hello");
    assert_int_equal(fake_broker_counts(frozen).requests, 1);
    assert_int_equal(fake_broker_counts(other).requests, 3);
    mdp_client_destroy(&client);
    fake_broker_free(frozen);
    fake_broker_free(other);
}

static void
endpoint_where_nobody_listens_is_passed_over(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    char list[600];
    snprintf(list, sizeof list, "%s, tcp://no.such.host.invalid:5555, %s", nowhere,
             broker->endpoint);
    mdp_client_options_t options = {.deadline_ms = 20000};
    mdp_client_t *client = mdp_client_new(list, &options);
    assert_call(client, "hello");
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

static void
refuse_to_serve(struct fake_broker *self, const struct mdp_record *record)
{
    fake_answer(self, record, 503, 0, self->context);
}

static void
passive_broker_sends_its_clients_to_the_endpoint_it_names(void **state)
{
    (void)state;
    struct fake_broker *skipped = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    struct fake_broker *active = fake_broker_new(tcp, FAKE_GALLEON, fake_echo, NULL);
    struct fake_broker *passive =
        fake_broker_new(tcp, FAKE_GALLEON, refuse_to_serve, active->endpoint);
    char list[900];
    snprintf(list, sizeof list, "%s,%s,%s", passive->endpoint, skipped->endpoint, active->endpoint);
    mdp_client_options_t options = {.attempts = 1, .deadline_ms = 20000};
    mdp_client_t *client = mdp_client_new(list, &options);
    assert_call(client, "hello");
    assert_call(client, "again");
    assert_int_equal(fake_broker_counts(passive).requests, 1);
    assert_int_equal(fake_broker_counts(skipped).requests, 0);
    assert_int_equal(fake_broker_counts(active).requests, 2);
    mdp_client_destroy(&client);
    fake_broker_free(passive);
    fake_broker_free(skipped);
    fake_broker_free(active);
}

static void
only_broker_that_is_passive_is_asked_with_back_off(void **state)
{
    (void)state;
    char nobody[] = "";
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, refuse_to_serve, nobody);
    mdp_client_options_t options = {.deadline_ms = 1000};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    zmsg_t *reply;
    assert_int_equal(call(client, "hello", &reply), GALLEON_TIMED_OUT);
    assert_int_equal(mdp_client_status(client), 503);
    assert_true(strlen(mdp_client_status_text(client)) > 0);
    // Some ten times a second at first: it may be about to serve.
    assert_in_range(fake_broker_counts(broker).requests, 5, 21);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

// ---- hostile brokers ----------------------------------------------------------------

#define G1   "MDPCG1\1"
#define ID_0 "\0\0\0\0\0\0\0\0"

static const struct view hostile[][6] = {
    {VIEW_LITERAL("")},
    {VIEW_LITERAL(""), VIEW_LITERAL("")},
    {VIEW_LITERAL("x"), VIEW_LITERAL("y"), VIEW_LITERAL("z")},
    {VIEW_LITERAL("MDPC01"), VIEW_LITERAL("other")},
    {VIEW_LITERAL(""), VIEW_LITERAL("MDPC01")},
    {VIEW_LITERAL(""), VIEW_LITERAL("MDPC01"), VIEW_LITERAL("other"), VIEW_LITERAL("x")},
    {VIEW_LITERAL(""), VIEW_LITERAL("MDPC01"), VIEW_LITERAL("e\0ho"), VIEW_LITERAL("x")},
    {VIEW_LITERAL(""), VIEW_LITERAL("MDPW01"), VIEW_LITERAL("\2"), VIEW_LITERAL("a")},
    {VIEW_LITERAL("MDPC02"), VIEW_LITERAL("\3")},
    {VIEW_LITERAL("MDPC02"), VIEW_LITERAL("\4"), VIEW_LITERAL("echo"), VIEW_LITERAL("x")},
    {VIEW_LITERAL("MDPC02"), VIEW_LITERAL("\3\3"), VIEW_LITERAL("echo"), VIEW_LITERAL("x")},
    {VIEW_LITERAL("MDPCG1")},
    {VIEW_LITERAL(G1)},
    {VIEW_LITERAL("MDPCG1\2\0\0\0\0\x14\3\0\0\0" ID_0 "\0\xc8\0\0")},
    {VIEW_LITERAL(G1 "\0\0\0\0\0\3\0\0\0" ID_0 "\0\xc8\0\0")},         // size 0
    {VIEW_LITERAL(G1 "\0\xff\xff\xff\xff\3\0\0\0" ID_0 "\0\xc8\0\0")}, // beyond the frame
    {VIEW_LITERAL(G1 "\0\0\0\0\x10\3\0\0\0" ID_0)},                    // too short
    {VIEW_LITERAL(G1 "\0\0\0\0\x14\3\0\0\0" ID_0 "\0\xc8\0\0")},       // nobody's id
    {VIEW_LITERAL(G1 "\0\0\0\0\x14\xee\0\0\0" ID_0 "\0\xc8\0\0")},     // unknown command
    {VIEW_LITERAL(G1 "\0\0\0\0\x14\1\0\0\0" ID_0 "\0\0\0\0")},         // a REQUEST to a client
    {VIEW_LITERAL(G1 "\0\0\0\0\x14\3\x80\0\0" ID_0 "\0\xc8\0\0"), VIEW_LITERAL("x")},
    {VIEW_LITERAL(G1 "\0\0\0\0\x14\3\0\0\0" ID_0 "\0\xc8\0\0"), VIEW_LITERAL("left over")},
    {VIEW_LITERAL(G1 "\0\0\0\0\x18\3\0\0\0" ID_0 "\0\xc8\0\0\0\0\0\x9")}, // part beyond its end
    {VIEW_LITERAL("MDPWG1\1\0\0\0\0\x0c\6\0\0\0\0\0\0\2")},
};

static void
send_everything_and_then_echo(struct fake_broker *self, const struct mdp_record *record)
{
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        size_t count = 0;
        while (count < 6 && hostile[i][count].data != NULL)
            count++;
        fake_raw(self, hostile[i], count);
    }
    static struct view many[5000];
    for (size_t i = 0; i < 5000; i++)
        many[i] = VIEW_LITERAL("x");
    many[0] = VIEW_LITERAL("");
    many[1] = VIEW_LITERAL("MDPC01");
    fake_raw(self, many, 5000);
    fake_echo(self, record);
    if (record->dialect == MDP_G1)
        fake_echo(self, record); // twice
}

static void
hostile_messages_are_dropped_and_the_answer_is_found_among_them(void **state)
{
    (void)state;
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_02, MDP_01};
    for (size_t i = 0; i < 3; i++) {
        struct fake_broker *broker =
            fake_broker_new(tcp, FAKE_GALLEON, send_everything_and_then_echo, NULL);
        mdp_client_options_t options = {.dialect = dialects[i], .deadline_ms = 20000};
        mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
        for (int n = 0; n < 5; n++)
            assert_call(client, "hello");
        mdp_client_destroy(&client);
        fake_broker_free(broker);
    }
}

static void
flood(struct fake_broker *self, const struct mdp_record *record)
{
    for (int i = 0; i < 30000; i++)
        fake_raw(self, hostile[i % 20], 1);
    fake_part(self, record, 7, "out of order");
}

static void
flood_does_not_keep_a_call_from_its_deadline(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, flood, NULL);
    mdp_client_options_t options = {.timeout_ms = 50, .attempts = 2, .dialect = MDP_G1};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    zmsg_t *reply;
    assert_int_equal(call(client, "hello", &reply), GALLEON_TIMED_OUT);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

// ---- signals ------------------------------------------------------------------------

struct interrupter {
    struct fake_broker *broker;
    pthread_t whom;
};

static void *
interrupt(void *argument)
{
    struct interrupter *self = argument;
    fake_broker_wait_requests(self->broker, 1);
    pthread_kill(self->whom, SIGINT);
    return NULL;
}

static void
signal_ends_a_call(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_new(tcp, FAKE_GALLEON, say_nothing, NULL);
    mdp_client_options_t options = {.timeout_ms = 60000, .dialect = MDP_G1};
    mdp_client_t *client = mdp_client_new(broker->endpoint, &options);
    struct interrupter interrupter = {broker, pthread_self()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt, &interrupter), 0);

    zmsg_t *reply;
    assert_int_equal(call(client, "hello", &reply), GALLEON_INTERRUPTED);
    assert_null(reply);
    pthread_join(thread, NULL);
    uint64_t id;
    assert_int_equal(mdp_client_recv(client, &id, &reply), GALLEON_UNKNOWN_ID);

    zsys_interrupted = 0;
    mdp_client_flush(client);
    fake_broker_wait_cancels(broker, 1);
    mdp_client_destroy(&client);
    fake_broker_free(broker);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_attempt_is_answered_under_the_same_id),
        cmocka_unit_test(silence_ends_after_every_attempt),
        cmocka_unit_test(broker_that_is_not_there_is_waited_for_until_the_deadline),
        cmocka_unit_test(call_made_before_the_broker_is_there_is_answered),
        cmocka_unit_test(late_answer_in_01_is_never_taken_for_anothers),
        cmocka_unit_test(requests_open_when_the_broker_restarts_are_sent_again),
        cmocka_unit_test(cut_connection_moves_requests_to_the_next_endpoint),
        cmocka_unit_test(last_answer_of_a_broker_that_ends_is_taken),
        cmocka_unit_test(frozen_broker_is_left_after_one_timeout),
        cmocka_unit_test(endpoint_where_nobody_listens_is_passed_over),
        cmocka_unit_test(passive_broker_sends_its_clients_to_the_endpoint_it_names),
        cmocka_unit_test(only_broker_that_is_passive_is_asked_with_back_off),
        cmocka_unit_test(hostile_messages_are_dropped_and_the_answer_is_found_among_them),
        cmocka_unit_test(flood_does_not_keep_a_call_from_its_deadline),
        cmocka_unit_test(signal_ends_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
