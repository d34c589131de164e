// test_titanic_client.c - durable requests as a program makes them, against a titanic that
// does as it is told behind a broker of ours.

#include "broker_stage.h"
#include "fake_broker.h"
#include "fake_titanic.h"

#include <galleon/titanic_client.h>

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ANY_ID "3F2504E04F8941D39A0C0305E82C3301"

static struct stage broker;
static struct fake_titanic *titanic;
static titanic_client_t *client;
static titanic_id_t id;
static zmsg_t *reply;

// ---- the scene -------------------------------------------------------------------------------

static int
open_scene(void **state)
{
    (void)state;
    stage_open(&broker, "tcp://127.0.0.1:*", NULL);
    titanic = fake_titanic_new(broker.endpoint);
    return 0;
}

static int
close_scene(void **state)
{
    (void)state;
    zmsg_destroy(&reply);
    titanic_client_destroy(&client);
    fake_titanic_free(titanic);
    stage_close(&broker);
    return 0;
}

// play starts titanic, as it was told to be, and a client.
static void
play(const mdp_client_options_t *options)
{
    fake_titanic_serve(titanic);
    client = titanic_client_new(broker.endpoint, options);
    assert_non_null(client);
}

static int
submit(const char *body, const titanic_submit_options_t *options)
{
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, body);
    int result = titanic_client_submit(client, "echo", &request, options, &id);
    assert_null(request);
    return result;
}

static void
assert_reply(const char *expected)
{
    assert_non_null(reply);
    assert_int_equal(zmsg_size(reply), 1);
    assert_true(zframe_streq(zmsg_first(reply), expected));
    zmsg_destroy(&reply);
}

// TELL changes what titanic does while it serves.
#define TELL(change)                                                                               \
    do {                                                                                           \
        pthread_mutex_lock(&titanic->lock);                                                        \
        change;                                                                                    \
        pthread_mutex_unlock(&titanic->lock);                                                      \
    } while (0)

static const char *
last_asked(enum tsp_service service)
{
    static char text[sizeof titanic->last[0]];
    TELL(memcpy(text, titanic->last[service], sizeof text));
    return text;
}

static size_t
stored(void)
{
    size_t count;
    TELL(count = titanic->request_count);
    return count;
}

static struct fake_request
first_stored(void)
{
    struct fake_request request;
    TELL(request = titanic->requests[0]);
    return request;
}

static uint64_t
now_ms(void)
{
    return galleon_now_ns() / 1000000;
}

// ---- submit ----------------------------------------------------------------------------------

static void
durable_request_makes_its_round_in_each_dialect(void **state)
{
    (void)state;
    fake_titanic_serve(titanic);
    static const mdp_dialect_t dialects[] = {MDP_AUTO, MDP_G1, MDP_02, MDP_01};
    for (size_t i = 0; i < 4; i++) {
        mdp_client_options_t options = {.dialect = dialects[i]};
        client = titanic_client_new(broker.endpoint, &options);
        assert_int_equal(submit("hello", NULL), GALLEON_OK);
        assert_int_equal(strlen(id.text), 32);
        assert_int_equal(titanic_client_wait(client, &id, 10000, &reply), GALLEON_OK);
        assert_reply("hello");
        assert_int_equal(titanic_client_fetch(client, &id, &reply), GALLEON_OK);
        assert_reply("hello");
        assert_int_equal(titanic_client_close(client, &id), GALLEON_OK);
        assert_int_equal(titanic_client_close(client, &id), GALLEON_OK);
        assert_int_equal(titanic_client_fetch(client, &id, &reply), GALLEON_UNKNOWN_ID);
        assert_null(reply);
        titanic_client_destroy(&client);
        assert_null(client);
    }
}

static void
submit_without_options_is_that_of_the_rfc(void **state)
{
    (void)state;
    play(NULL);
    static const titanic_submit_options_t zeros = {0};
    assert_int_equal(submit("a", NULL), GALLEON_OK);
    assert_int_equal(submit("b", &zeros), GALLEON_OK);
    assert_int_equal(fake_titanic_asked(titanic, TSP_REQUEST), 2);
    assert_int_equal(fake_titanic_asked(titanic, TSP_SUBMIT), 0);
    assert_string_equal(last_asked(TSP_REQUEST), "echo|b");
}

static void
options_are_fields_of_a_submit(void **state)
{
    (void)state;
    play(NULL);
    titanic_submit_options_t all = {"a1", 1000, 60000, 3};
    assert_int_equal(submit("Hi", &all), GALLEON_OK);
    assert_string_equal(
        last_asked(TSP_SUBMIT),
        "idempotency-key: a1\nnot-before-ms: 1000\ndeadline-ms: 60000\nattempts: 3\n|echo|Hi");
    titanic_submit_options_t one = {.deadline_ms = 5};
    assert_int_equal(submit("Hi", &one), GALLEON_OK);
    assert_string_equal(last_asked(TSP_SUBMIT), "deadline-ms: 5\n|echo|Hi");
}

static void
request_of_no_frames_is_an_empty_one(void **state)
{
    (void)state;
    play(NULL);
    zmsg_t *request = zmsg_new();
    assert_int_equal(titanic_client_submit(client, "echo", &request, NULL, &id), GALLEON_OK);
    assert_string_equal(last_asked(TSP_REQUEST), "echo|");
}

static void
options_that_are_not_allowed_are_not_sent(void **state)
{
    (void)state;
    play(NULL);
    char long_key[66];
    memset(long_key, 'k', 65);
    long_key[65] = '\0';
    const titanic_submit_options_t wrong[] = {{.idempotency_key = ""},
                                              {.idempotency_key = "a\nattempts: 1"},
                                              {.idempotency_key = long_key},
                                              {.deadline_ms = 1000000000000000}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(submit("x", &wrong[i]), GALLEON_REFUSED);
        assert_string_equal(id.text, "");
        assert_string_not_equal(titanic_client_status_text(client), "");
    }
    assert_int_equal(fake_titanic_asked(titanic, TSP_SUBMIT), 0);
    titanic_submit_options_t longest = {long_key + 1, 999999999999999, 999999999999999, UINT32_MAX};
    assert_int_equal(submit("x", &longest), GALLEON_OK);
}

static void
ids_of_others_are_kept_as_they_are(void **state)
{
    (void)state;
    titanic->has_dashed_ids = true;
    titanic->is_guide = true;
    play(NULL);
    assert_int_equal(submit("a", NULL), GALLEON_OK);
    assert_string_equal(id.text, "3f2504e0-4f89-41d3-9a0c-000000000001");
    assert_int_equal(titanic_client_fetch(client, &id, &reply), GALLEON_OK);
    assert_reply("a");
}

// ---- what each status means ------------------------------------------------------------------

struct meaning {
    const char *answer;
    int result;
    int status;
    const char *text;
};

static void
each_status_of_a_submit_has_a_result(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"200|" ANY_ID, GALLEON_OK, 200, ""},
        {"200 OK|" ANY_ID "|more", GALLEON_OK, 200, ""},
        {"400|no\033 service", GALLEON_REFUSED, 400, "no? service"},
        {"400", GALLEON_REFUSED, 400, ""},
        {"403|not yours", GALLEON_REFUSED, 403, "not yours"},
        {"409|key in use", GALLEON_REFUSED, 409, "key in use"},
        {"413|too large", GALLEON_REFUSED, 413, "too large"},
        {"429|full", GALLEON_BUSY, 429, "full"},
        {"500|no space", GALLEON_STORE, 500, "no space"},
        {"300", GALLEON_PROTOCOL, 300, ""},
        {"200", GALLEON_PROTOCOL, 200, ""},
        {"200|", GALLEON_PROTOCOL, 200, ""},
        {"200|" ANY_ID "12345", GALLEON_PROTOCOL, 200, ""},
        {"200|a b", GALLEON_PROTOCOL, 200, ""},
        {"", GALLEON_PROTOCOL, 0, ""},
        {"600|what", GALLEON_PROTOCOL, 600, "what"},
        {"2000|" ANY_ID, GALLEON_PROTOCOL, 0, ANY_ID}};
    play(NULL);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        TELL(titanic->told[TSP_REQUEST].answer = meanings[i].answer);
        if (submit("x", NULL) != meanings[i].result)
            fail_msg("`%s` is another", meanings[i].answer);
        assert_int_equal(titanic_client_status(client), meanings[i].status);
        assert_string_equal(titanic_client_status_text(client), meanings[i].text);
        assert_string_equal(id.text, meanings[i].result == GALLEON_OK ? ANY_ID : "");
    }
}

static void
each_status_of_a_fetch_has_a_result(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {{"200|x", GALLEON_OK, 200, ""},
                                              {"300", GALLEON_PENDING, 300, ""},
                                              {"400", GALLEON_UNKNOWN_ID, 400, ""},
                                              {"403|not yours", GALLEON_REFUSED, 403, "not yours"},
                                              {"413|too large", GALLEON_REFUSED, 413, "too large"},
                                              {"429|full", GALLEON_BUSY, 429, "full"},
                                              {"500|timed out", GALLEON_REFUSED, 500, "timed out"},
                                              {"", GALLEON_PROTOCOL, 0, ""}};
    play(NULL);
    titanic_id_t any = {ANY_ID};
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        TELL(titanic->told[TSP_REPLY].answer = meanings[i].answer);
        if (titanic_client_fetch(client, &any, &reply) != meanings[i].result)
            fail_msg("`%s` is another", meanings[i].answer);
        assert_int_equal(titanic_client_status(client), meanings[i].status);
        assert_string_equal(titanic_client_status_text(client), meanings[i].text);
        assert_int_equal(reply != NULL, meanings[i].result == GALLEON_OK);
        zmsg_destroy(&reply);
    }
}

static void
each_status_of_a_close_has_a_result(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {{"200", GALLEON_OK, 200, ""},
                                              {"200 OK", GALLEON_OK, 200, ""},
                                              {"300", GALLEON_PROTOCOL, 300, ""},
                                              {"400", GALLEON_UNKNOWN_ID, 400, ""},
                                              {"500", GALLEON_STORE, 500, ""}};
    play(NULL);
    titanic_id_t any = {ANY_ID};
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        TELL(titanic->told[TSP_CLOSE].answer = meanings[i].answer);
        assert_int_equal(titanic_client_close(client, &any), meanings[i].result);
        assert_int_equal(titanic_client_status(client), meanings[i].status);
    }
}

static void
reply_of_no_frames_is_an_empty_message(void **state)
{
    (void)state;
    titanic->told[TSP_REPLY].answer = "200";
    play(NULL);
    titanic_id_t any = {ANY_ID};
    assert_int_equal(titanic_client_fetch(client, &any, &reply), GALLEON_OK);
    assert_non_null(reply);
    assert_int_equal(zmsg_size(reply), 0);
}

// What a worker of Majordomo says is not what titanic says.
static void
titanic_that_breaks_off_leaves_the_outcome_open(void **state)
{
    (void)state;
    static const struct {
        int status;
        int result;
    } meanings[] = {{500, GALLEON_TIMED_OUT}, {510, GALLEON_TIMED_OUT}, {400, GALLEON_REFUSED},
                    {403, GALLEON_REFUSED},   {413, GALLEON_REFUSED},   {429, GALLEON_BUSY}};
    play(NULL);
    titanic_id_t any = {ANY_ID};
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        TELL(titanic->told[TSP_REQUEST].fail = meanings[i].status);
        TELL(titanic->told[TSP_REPLY].fail = meanings[i].status);
        assert_int_equal(submit("x", NULL), meanings[i].result);
        assert_int_equal(titanic_client_status(client), meanings[i].status);
        assert_string_equal(titanic_client_status_text(client), "as told");
        assert_int_equal(titanic_client_fetch(client, &any, &reply), meanings[i].result);
        assert_null(reply);
    }
}

// ---- silence ---------------------------------------------------------------------------------

static void
submit_without_an_answer_is_open_and_its_key_finds_it(void **state)
{
    (void)state;
    mdp_client_options_t options = {.timeout_ms = 700, .attempts = 1};
    titanic->told[TSP_SUBMIT].silent = 1;
    play(&options);
    titanic_submit_options_t key = {.idempotency_key = "one"};
    assert_int_equal(submit("x", &key), GALLEON_TIMED_OUT);
    assert_string_equal(id.text, "");
    assert_int_equal(titanic_client_status(client), 0);
    assert_int_equal(submit("x", &key), GALLEON_OK);
    assert_string_equal(id.text, first_stored().id);
    assert_int_equal(stored(), 1);
}

// In G1 the broker knows the repeat by its request id, and gives it to nobody a second time.
static void
attempt_without_an_answer_is_repeated_with_its_key(void **state)
{
    (void)state;
    mdp_client_options_t options = {.timeout_ms = 700, .attempts = 3, .dialect = MDP_01};
    titanic->told[TSP_SUBMIT].silent = 1;
    play(&options);
    titanic_submit_options_t key = {.idempotency_key = "one"};
    assert_int_equal(submit("x", &key), GALLEON_OK);
    assert_int_equal(fake_titanic_asked(titanic, TSP_SUBMIT), 2);
    assert_int_equal(stored(), 1);
}

static void
no_titanic_is_no_service_and_no_broker_is_a_timeout(void **state)
{
    (void)state;
    mdp_client_options_t options = {.timeout_ms = 1000, .attempts = 1};
    client = titanic_client_new(broker.endpoint, &options);
    titanic_id_t any = {ANY_ID};
    assert_int_equal(submit("x", NULL), GALLEON_NO_SERVICE);
    assert_int_equal(titanic_client_status(client), 404);
    assert_int_equal(titanic_client_fetch(client, &any, &reply), GALLEON_NO_SERVICE);
    titanic_client_destroy(&client);
    options.timeout_ms = 100;
    client = titanic_client_new("tcp://127.0.0.1:1", &options);
    assert_int_equal(submit("x", NULL), GALLEON_TIMED_OUT);
    assert_int_equal(titanic_client_wait(client, &any, 50, &reply), GALLEON_TIMED_OUT);
    assert_null(reply);
}

static void
brokers_that_are_none_are_refused(void **state)
{
    (void)state;
    errno = 0;
    assert_null(titanic_client_new("localhost", NULL));
    assert_int_equal(errno, EINVAL);
}

// ---- wait ------------------------------------------------------------------------------------

static void *
finish_soon(void *context)
{
    (void)context;
    poll(NULL, 0, 300);
    fake_titanic_finish(titanic);
    return NULL;
}

static void
wait_is_held_until_there_is_an_answer(void **state)
{
    (void)state;
    titanic->pending = UINT32_MAX;
    play(NULL);
    assert_int_equal(submit("x", NULL), GALLEON_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, finish_soon, NULL), 0);
    assert_int_equal(titanic_client_wait(client, &id, 30000, &reply), GALLEON_OK);
    pthread_join(thread, NULL);
    assert_reply("x");
    assert_int_equal(fake_titanic_asked(titanic, TSP_WAIT), 1);
    assert_int_equal(fake_titanic_asked(titanic, TSP_REPLY), 0);
}

static void
wait_longer_than_an_attempt_is_asked_in_pieces(void **state)
{
    (void)state;
    titanic->pending = UINT32_MAX;
    mdp_client_options_t options = {.timeout_ms = 400};
    play(&options);
    assert_int_equal(submit("x", NULL), GALLEON_OK);
    uint64_t begun_ms = now_ms();
    assert_int_equal(titanic_client_wait(client, &id, 1000, &reply), GALLEON_TIMED_OUT);
    assert_null(reply);
    assert_true(now_ms() - begun_ms >= 1000);
    assert_true(now_ms() - begun_ms < 5000);
    assert_in_range(fake_titanic_asked(titanic, TSP_WAIT), 2, 6);
}

static void
wait_that_is_not_held_rests_longer_each_time(void **state)
{
    (void)state;
    titanic->pending = UINT32_MAX;
    titanic->says_busy_waits = true;
    play(NULL);
    assert_int_equal(submit("x", NULL), GALLEON_OK);
    assert_int_equal(titanic_client_wait(client, &id, 700, &reply), GALLEON_TIMED_OUT);
    assert_in_range(fake_titanic_asked(titanic, TSP_WAIT), 2, 9); // 10, 20, 40, ... ms
}

static void
titanic_without_wait_is_asked_again_and_again(void **state)
{
    (void)state;
    titanic->is_guide = true;
    titanic->pending = 5;
    play(NULL);
    assert_int_equal(submit("x", NULL), GALLEON_OK);
    assert_int_equal(titanic_client_wait(client, &id, 30000, &reply), GALLEON_OK);
    assert_reply("x");
    assert_int_equal(fake_titanic_asked(titanic, TSP_REPLY), 6);
    assert_int_equal(fake_titanic_asked(titanic, TSP_WAIT), 0);
}

static void
wait_of_no_time_asks_once(void **state)
{
    (void)state;
    play(NULL);
    assert_int_equal(submit("x", NULL), GALLEON_OK);
    assert_int_equal(titanic_client_wait(client, &id, 0, &reply), GALLEON_OK);
    assert_reply("x");
    TELL(titanic->pending = UINT32_MAX);
    assert_int_equal(titanic_client_wait(client, &id, 0, &reply), GALLEON_TIMED_OUT);
    assert_int_equal(fake_titanic_asked(titanic, TSP_WAIT), 2);
}

static void
wait_ends_at_once_where_asking_again_changes_nothing(void **state)
{
    (void)state;
    play(NULL);
    titanic_id_t any = {ANY_ID};
    assert_int_equal(titanic_client_wait(client, &any, 30000, &reply), GALLEON_UNKNOWN_ID);
    TELL(titanic->told[TSP_WAIT].answer = "500|given up");
    assert_int_equal(titanic_client_wait(client, &any, 30000, &reply), GALLEON_REFUSED);
    assert_string_equal(titanic_client_status_text(client), "given up");
    assert_null(reply);
}

static void *
serve_again(void *context)
{
    (void)context;
    poll(NULL, 0, 400);
    fake_titanic_serve(titanic);
    return NULL;
}

static void
wait_outlives_a_titanic_that_comes_back(void **state)
{
    (void)state;
    mdp_client_options_t options = {.timeout_ms = 200, .attempts = 1};
    play(&options);
    assert_int_equal(submit("x", NULL), GALLEON_OK);
    assert_int_equal(titanic_client_wait(client, &id, 1000, &reply), GALLEON_OK);
    assert_reply("x");
    fake_titanic_stop(titanic);
    int result = titanic_client_wait(client, &id, 300, &reply);
    assert_true(result == GALLEON_NO_SERVICE || result == GALLEON_TIMED_OUT);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve_again, NULL), 0);
    assert_int_equal(titanic_client_wait(client, &id, 30000, &reply), GALLEON_OK);
    pthread_join(thread, NULL);
    assert_reply("x");
}

// A broker without MMI, and behind it a titanic of the Guide's that has the answer at once.
static void
answer_titanic_only(struct fake_broker *self, const struct mdp_record *record)
{
    if (!view_equals(record->service, VIEW_LITERAL("titanic.reply")))
        return;
    const struct view frames[] = {VIEW_LITERAL("200"), VIEW_LITERAL("x")};
    struct mdp_record answer = {.dialect = record->dialect,
                                .command = MDP_FINAL,
                                .status = MDP_DONE,
                                .service = record->service,
                                .body = mdp_body_of(frames, 2)};
    fake_send(self, &answer);
}

static void
broker_that_knows_no_mmi_is_asked_for_it_once(void **state)
{
    (void)state;
    struct fake_broker *mute =
        fake_broker_new("tcp://127.0.0.1:*", FAKE_SILENT, answer_titanic_only, NULL);
    mdp_client_options_t options = {.timeout_ms = 600, .dialect = MDP_01};
    client = titanic_client_new(mute->endpoint, &options);
    titanic_id_t any = {ANY_ID};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(titanic_client_wait(client, &any, 5000, &reply), GALLEON_OK);
        assert_reply("x");
    }
    // One for MMI; on a busy machine titanic may be asked again.
    assert_in_range(fake_broker_counts(mute).requests, 4, 6);
    titanic_client_destroy(&client);
    fake_broker_free(mute);
}

static void *
interrupt_soon(void *whom)
{
    poll(NULL, 0, 200);
    pthread_kill(*(pthread_t *)whom, SIGINT);
    return NULL;
}

static void
signal_ends_a_wait(void **state)
{
    (void)state;
    client = titanic_client_new("tcp://127.0.0.1:1", NULL);
    titanic_id_t any = {ANY_ID};
    pthread_t thread, self = pthread_self();
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, &self), 0);
    uint64_t begun_ms = now_ms();
    assert_int_equal(titanic_client_wait(client, &any, 30000, &reply), GALLEON_INTERRUPTED);
    assert_true(now_ms() - begun_ms < 10000);
    assert_null(reply);
    pthread_join(thread, NULL);
    zsys_interrupted = 0;
    titanic_client_destroy(&client);
}

// ---- call ------------------------------------------------------------------------------------

static void
call_is_submit_wait_and_close(void **state)
{
    (void)state;
    play(NULL);
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, "hello");
    assert_int_equal(titanic_client_call(client, "echo", &request, NULL, 10000, &id, &reply),
                     GALLEON_OK);
    assert_null(request);
    assert_reply("hello");
    assert_int_equal(titanic_client_status(client), 200);
    assert_true(first_stored().is_closed);
}

static void
call_that_times_out_names_the_request(void **state)
{
    (void)state;
    titanic->pending = UINT32_MAX;
    play(NULL);
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, "hello");
    assert_int_equal(titanic_client_call(client, "echo", &request, NULL, 100, &id, &reply),
                     GALLEON_TIMED_OUT);
    assert_null(reply);
    assert_string_equal(id.text, first_stored().id);
    assert_int_equal(fake_titanic_asked(titanic, TSP_CLOSE), 0);
    fake_titanic_finish(titanic);
    assert_int_equal(titanic_client_wait(client, &id, 10000, &reply), GALLEON_OK);
}

// ---- send and recv ---------------------------------------------------------------------------

static uint64_t
send_one(const char *body)
{
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, body);
    uint64_t number;
    assert_int_equal(titanic_client_send(client, "echo", &request, NULL, &number), GALLEON_OK);
    assert_null(request);
    assert_true(number > 0);
    return number;
}

static void
many_submits_are_in_flight(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    mdp_client_options_t options = {.window = COUNT};
    play(&options);
    static bool is_open[2 * COUNT];
    for (int i = 0; i < COUNT; i++) {
        uint64_t number = send_one("x");
        assert_true(number < 2 * COUNT);
        is_open[number] = true;
    }
    zmsg_t *request = zmsg_new();
    uint64_t number;
    assert_int_equal(titanic_client_send(client, "echo", &request, NULL, &number), GALLEON_BUSY);
    assert_null(request);
    assert_int_equal(number, 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(titanic_client_recv(client, &number, &id), GALLEON_OK);
        assert_true(is_open[number]);
        is_open[number] = false;
        assert_int_equal(strlen(id.text), 32);
    }
    assert_int_equal(titanic_client_recv(client, &number, &id), GALLEON_UNKNOWN_ID);
    assert_int_equal(stored(), COUNT);
}

static void
call_between_sends_takes_nothing_from_recv(void **state)
{
    (void)state;
    mdp_client_options_t options = {.window = 3};
    play(&options);
    assert_int_equal(submit("first", NULL), GALLEON_OK);
    titanic_id_t first = id;
    for (int i = 0; i < 3; i++)
        send_one("x");
    assert_int_equal(titanic_client_fetch(client, &first, &reply), GALLEON_OK);
    assert_reply("first");
    assert_int_equal(titanic_client_wait(client, &first, 1000, &reply), GALLEON_OK);
    assert_reply("first");
    for (int i = 0; i < 3; i++) {
        uint64_t number;
        assert_int_equal(titanic_client_recv(client, &number, &id), GALLEON_OK);
        assert_int_equal(strlen(id.text), 32);
    }
}

static void
recv_tells_each_outcome_as_submit_would(void **state)
{
    (void)state;
    mdp_client_options_t options = {.timeout_ms = 700, .attempts = 1};
    play(&options);
    TELL(titanic->told[TSP_REQUEST].silent = 1);
    uint64_t silent = send_one("x");
    uint64_t number;
    assert_int_equal(titanic_client_recv(client, &number, &id), GALLEON_TIMED_OUT);
    assert_int_equal(number, silent);
    TELL(titanic->told[TSP_REQUEST].answer = "429|full");
    uint64_t refused = send_one("x");
    assert_int_equal(titanic_client_flush(client), GALLEON_OK);
    assert_int_equal(titanic_client_recv(client, &number, &id), GALLEON_BUSY);
    assert_int_equal(number, refused);
    assert_string_equal(titanic_client_status_text(client), "full");
    assert_string_equal(id.text, "");
}

int
main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE(durable_request_makes_its_round_in_each_dialect),
        SCENE(submit_without_options_is_that_of_the_rfc),
        SCENE(options_are_fields_of_a_submit),
        SCENE(request_of_no_frames_is_an_empty_one),
        SCENE(options_that_are_not_allowed_are_not_sent),
        SCENE(ids_of_others_are_kept_as_they_are),
        SCENE(each_status_of_a_submit_has_a_result),
        SCENE(each_status_of_a_fetch_has_a_result),
        SCENE(each_status_of_a_close_has_a_result),
        SCENE(reply_of_no_frames_is_an_empty_message),
        SCENE(titanic_that_breaks_off_leaves_the_outcome_open),
        SCENE(submit_without_an_answer_is_open_and_its_key_finds_it),
        SCENE(attempt_without_an_answer_is_repeated_with_its_key),
        SCENE(no_titanic_is_no_service_and_no_broker_is_a_timeout),
        SCENE(brokers_that_are_none_are_refused),
        SCENE(wait_is_held_until_there_is_an_answer),
        SCENE(wait_longer_than_an_attempt_is_asked_in_pieces),
        SCENE(wait_that_is_not_held_rests_longer_each_time),
        SCENE(titanic_without_wait_is_asked_again_and_again),
        SCENE(wait_of_no_time_asks_once),
        SCENE(wait_ends_at_once_where_asking_again_changes_nothing),
        SCENE(wait_outlives_a_titanic_that_comes_back),
        cmocka_unit_test(broker_that_knows_no_mmi_is_asked_for_it_once),
        cmocka_unit_test(signal_ends_a_wait),
        SCENE(call_is_submit_wait_and_close),
        SCENE(call_that_times_out_names_the_request),
        SCENE(many_submits_are_in_flight),
        SCENE(call_between_sends_takes_nothing_from_recv),
        SCENE(recv_tells_each_outcome_as_submit_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
