// test_mdp_broker_pair.c - the embedded broker as half of a pair, over real sockets.

#include "broker_stage.h"
#include "fake_half.h"

#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define PEER     "tcp://127.0.0.1:6001"
#define EPOCH_17 "epoch: 832D40BBE5F340CF:17\n"

enum { PATIENCE_MS = 10000 };

static const struct fake_will passive = {.state = BSTAR_PASSIVE};
static const struct fake_will active = {.state = BSTAR_ACTIVE, .serves = true, .epoch = 17};

struct scene {
    struct bstar half;
    struct stage stage;
    struct peer client;  // G1
    struct peer worker;  // G1, of "echo"
    struct peer watcher; // asks about the broker
};

static void
open_at(struct scene *self, const char *bind)
{
    const mdp_broker_options_t options = {.bstar = &self->half, .pair_redirect = PEER};
    fake_half_init(&self->half, passive);
    stage_open(&self->stage, bind, &options);
    peer_open(&self->client, self->stage.endpoint, MDP_G1, 0);
    peer_open(&self->worker, self->stage.endpoint, MDP_G1, 0);
    peer_open(&self->watcher, self->stage.endpoint, MDP_G1, 0);
    peer_ready(&self->worker, "echo", 1);
    (void)peer_expect(&self->worker, MDP_HEARTBEAT);
}

static int
set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    open_at(scene, "tcp://127.0.0.1:*");
    *state = scene;
    return 0;
}

static int
tear_down(void **state)
{
    struct scene *scene = *state;
    stage_close(&scene->stage);
    peer_close(&scene->client);
    peer_close(&scene->worker);
    peer_close(&scene->watcher);
    fake_half_release(&scene->half);
    free(scene);
    return 0;
}

#define pair_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

// counter is one of the broker's.
static uint64_t
counter(struct scene *self, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "\n%s\t", name);
    peer_request(&self->watcher, "mmi.stats", 1, NULL);
    (void)peer_expect(&self->watcher, MDP_FINAL);
    const char *at = strstr(self->watcher.body, line);
    assert_non_null(at);
    return strtoull(at + strlen(line), NULL, 10);
}

static void
wait_for(struct scene *self, const char *name, uint64_t value)
{
    int64_t end_ms = zclock_mono() + PATIENCE_MS;
    while (counter(self, name) < value) {
        assert_true(zclock_mono() < end_ms);
        zclock_sleep(15); // a broker answers a hundred tables in a second
    }
}

static void
wait_for_drained(struct scene *self, uint32_t times)
{
    int64_t end_ms = zclock_mono() + PATIENCE_MS;
    while (fake_half_calls(&self->half).drained < times) {
        assert_true(zclock_mono() < end_ms);
        zclock_sleep(1);
    }
}

static void
begin(struct scene *self)
{
    fake_half_set(&self->half, active);
    wait_for(self, "reigns", 1);
}

// hears_nothing: nothing is on its way to a G1 client but the answer to its heartbeat.
static void
hears_nothing(struct peer *client)
{
    struct mdp_record record = {
        .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT, .interval_ms = 1000};
    peer_send(client, record, NULL);
    assert_true(peer_read(client, &record, PATIENCE_MS));
    assert_int_equal(record.command, MDP_HEARTBEAT);
}

static struct mdp_record
ask(struct scene *self, uint64_t id)
{
    peer_request(&self->client, "echo", id, "x");
    return peer_expect(&self->worker, MDP_REQUEST);
}

// ---- who serves ----------------------------------------------------------------------------

static void
half_that_does_not_serve_answers_503_with_the_other_s_endpoint(void **state)
{
    struct scene *scene = *state;

    peer_request(&scene->client, "echo", 1, "x");

    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).status, MDP_PASSIVE);
    assert_string_equal(scene->client.body, PEER);
}

static void
half_in_fault_says_why(void **state)
{
    struct scene *scene = *state;
    fake_half_set(&scene->half, (struct fake_will){.state = BSTAR_FAULT, .why = "it is broken"});
    do {
        peer_request(&scene->client, "echo", 1, "x");
        (void)peer_expect(&scene->client, MDP_FINAL);
    } while (strcmp(scene->client.body, PEER) == 0);
    assert_string_equal(scene->client.body, "it is broken");

    fake_half_set(&scene->half, passive);

    do {
        peer_request(&scene->client, "echo", 1, "x");
        (void)peer_expect(&scene->client, MDP_FINAL);
    } while (strcmp(scene->client.body, "it is broken") == 0);
    assert_string_equal(scene->client.body, PEER);
}

static void
worker_that_waited_is_served_by_once_the_half_serves(void **state)
{
    struct scene *scene = *state;
    begin(scene);

    assert_true(peer_is_served(&scene->client, &scene->worker, "echo"));
}

static void
request_of_any_dialect_is_a_vote_and_served_where_it_counts(void **state)
{
    static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
    struct scene *scene = *state;
    for (int d = 0; d < 3; d++) {
        struct peer client;
        struct fake_will will = passive;
        will.takes_vote = true;
        fake_half_set(&scene->half, will);
        wait_for(scene, "reigns", (uint64_t)d);
        uint32_t votes = fake_half_calls(&scene->half).votes;
        peer_open(&client, scene->stage.endpoint, dialects[d], 0);

        assert_true(peer_is_served(&client, &scene->worker, "echo"));

        assert_int_equal(fake_half_calls(&scene->half).votes, votes + 1);
        peer_close(&client);
    }
    assert_int_equal(counter(scene, "reigns"), 3);
}

static void
mmi_and_workers_are_no_votes(void **state)
{
    struct scene *scene = *state;

    (void)counter(scene, "workers");
    peer_request(&scene->client, "mmi.service", 1, "echo");
    (void)peer_expect(&scene->client, MDP_FINAL);
    assert_string_equal(scene->client.body, "200");
    hears_nothing(&scene->client);

    assert_int_equal(fake_half_calls(&scene->half).votes, 0);
}

static void
requests_and_answers_carry_the_epoch_before_other_fields(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    struct mdp_record record = {.side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .flags = MDP_FLAG_FIELDS,
                                .id = 1,
                                .service = VIEW_LITERAL("echo"),
                                .fields = VIEW_LITERAL("epoch: 1:2\nidempotency-key: 7\n")};
    peer_send(&scene->client, record, "x");
    struct mdp_record request = peer_expect(&scene->worker, MDP_REQUEST);
    assert_true(view_equals(request.fields, VIEW_LITERAL(EPOCH_17 "idempotency-key: 7\n")));

    peer_answer(&scene->worker, &request, "y");

    struct mdp_record answer = peer_expect(&scene->client, MDP_FINAL);
    assert_true(view_equals(answer.fields, VIEW_LITERAL(EPOCH_17)));
}

static void
fields_that_leave_no_room_for_the_epoch_lose_their_last_lines(void **state)
{
    struct scene *scene = *state;
    char fields[MDP_FIELDS_BYTES_MAX];
    memset(fields, 'x', sizeof fields);
    memcpy(fields, "first: 1\n", 9);
    memcpy(fields + 9, "second: ", 8);
    fields[sizeof fields - 11] = '\n';
    memcpy(fields + sizeof fields - 10, "third: 33\n", 10);
    begin(scene);
    struct mdp_record record = {.side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .flags = MDP_FLAG_FIELDS,
                                .id = 1,
                                .service = VIEW_LITERAL("echo"),
                                .fields = view_of(fields, sizeof fields)};

    peer_send(&scene->client, record, "x");

    struct mdp_record request = peer_expect(&scene->worker, MDP_REQUEST);
    assert_true(view_equals(request.fields, VIEW_LITERAL(EPOCH_17 "first: 1\n")));
    peer_answer(&scene->worker, &request, "y");
    (void)peer_expect(&scene->client, MDP_FINAL);
}

static void
refusal_of_a_worker_reaches_the_half(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    (void)ask(scene, 1);
    struct mdp_record record = {
        .side = MDP_WORKER_SIDE, .command = MDP_DISCONNECT, .reason = MDP_REASON_FENCED};

    peer_send(&scene->worker, record, NULL);

    wait_for(scene, "reigns_fenced", 1);
    assert_int_equal(fake_half_calls(&scene->half).fenced, 1);
    fake_half_set(&scene->half, passive);
    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).status, MDP_PASSIVE);
}

// ---- it ceases to serve ---------------------------------------------------------------------

static void
what_is_open_is_503_when_the_half_says_no_more(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    struct mdp_record given = ask(scene, 1);

    fake_half_set(&scene->half, passive); // no hook: its lease is over, or it has yielded

    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).status, MDP_PASSIVE);
    assert_string_equal(scene->client.body, PEER);
    peer_answer(&scene->worker, &given, "late");
    wait_for(scene, "answers_late", 1);
    hears_nothing(&scene->client);
    assert_int_equal(fake_half_calls(&scene->half).drained, 0);
}

static void
what_is_out_is_dropped_when_the_half_asks_so(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    (void)ask(scene, 1);

    fake_half_end(&scene->half, false, passive);

    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).status, MDP_PASSIVE);
    wait_for_drained(scene, 1);
}

static void
what_is_out_is_answered_before_the_half_is_told_that_it_has_drained(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    struct mdp_record given = ask(scene, 1);
    fake_half_end(&scene->half, true, (struct fake_will){.state = BSTAR_PASSIVE, .finishes = true});
    peer_request(&scene->client, "echo", 2, "x");
    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).id, 2);
    assert_int_equal(fake_half_calls(&scene->half).drained, 0);

    peer_answer(&scene->worker, &given, "done");

    struct mdp_record answer = peer_expect(&scene->client, MDP_FINAL);
    assert_int_equal(answer.status, MDP_DONE);
    assert_string_equal(scene->client.body, "done");
    wait_for_drained(scene, 1);
    assert_true(fake_half_calls(&scene->half).finished_before_drained);
    assert_int_equal(counter(scene, "sends_withheld"), 0);
}

static void
soft_end_turns_hard_when_the_half_may_not_finish(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    (void)ask(scene, 1);
    fake_half_end(&scene->half, true, (struct fake_will){.state = BSTAR_PASSIVE, .finishes = true});
    peer_request(&scene->client, "echo", 2, "x");
    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).id, 2);

    fake_half_set(&scene->half, passive);

    struct mdp_record answer = peer_expect(&scene->client, MDP_FINAL);
    assert_int_equal(answer.id, 1);
    assert_int_equal(answer.status, MDP_PASSIVE);
    wait_for_drained(scene, 1);
}

static void
next_reign_begins_when_nothing_of_the_last_is_left(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    struct mdp_record given = ask(scene, 1);
    struct fake_will next = active;
    next.epoch = 18;

    fake_half_set(&scene->half, next); // it has lost its lease and won another, all unseen

    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).status, MDP_PASSIVE);
    wait_for(scene, "reigns", 2);
    peer_answer(&scene->worker, &given, "late");
    struct mdp_record request = ask(scene, 2);
    assert_true(view_equals(request.fields, VIEW_LITERAL("epoch: 832D40BBE5F340CF:18\n")));
    peer_answer(&scene->worker, &request, "done");
    assert_int_equal(peer_expect(&scene->client, MDP_FINAL).status, MDP_DONE);
}

// ---- the gate -----------------------------------------------------------------------------

static void
request_is_not_sent_once_the_lease_is_over(void **state)
{
    static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1};
    struct scene *scene = *state;
    begin(scene);
    for (int d = 0; d < 3; d++) {
        struct peer worker;
        struct fake_will late = active;
        char service[] = {'s', (char)('0' + d), '\0'};
        peer_open(&worker, scene->stage.endpoint, dialects[d], 0);
        peer_ready(&worker, service, 1);
        wait_for(scene, "workers", 2);
        uint64_t before = counter(scene, "sends_withheld");
        late.is_late = true;
        fake_half_set(&scene->half, late);

        peer_request(&scene->client, service, 1, "x");
        wait_for(scene, "sends_withheld", before + 1);
        fake_half_set(&scene->half, active);

        struct mdp_record request = peer_expect(&worker, MDP_REQUEST);
        assert_true(dialects[d] != MDP_G1 || request.attempt == 1);
        peer_answer(&worker, &request, "done");
        assert_int_equal(peer_expect(&scene->client, MDP_FINAL).status, MDP_DONE);
        struct mdp_record leave = {.side = MDP_WORKER_SIDE, .command = MDP_DISCONNECT};
        peer_send(&worker, leave, NULL);
        wait_for(scene, "workers_left", (uint64_t)d + 1);
        peer_close(&worker);
    }
    assert_int_equal(counter(scene, "worker_slow"), 0);
}

static void
answer_is_not_sent_once_the_lease_is_over(void **state)
{
    struct scene *scene = *state;
    struct peer clients[4]; // the last behind a delimiter
    begin(scene);
    for (int i = 0; i < 4; i++) {
        static const mdp_dialect_t dialects[] = {MDP_01, MDP_02, MDP_G1, MDP_G1};
        struct fake_will late = active;
        peer_open(&clients[i], scene->stage.endpoint, dialects[i], 0);
        clients[i].has_delimiter = dialects[i] == MDP_01 || i == 3;
        peer_request(&clients[i], "echo", 1, "x");
        struct mdp_record request = peer_expect(&scene->worker, MDP_REQUEST);
        late.is_late = true;
        fake_half_set(&scene->half, late);
        hears_nothing(&scene->client); // a turn has passed

        peer_answer(&scene->worker, &request, "done");

        wait_for(scene, "sends_withheld", (uint64_t)i + 1);
        fake_half_set(&scene->half, active);
        hears_nothing(&scene->client);
    }
    for (int i = 0; i < 4; i++) {
        struct mdp_record record;
        assert_true(clients[i].dialect == MDP_G1 || !peer_read(&clients[i], &record, 0));
        if (clients[i].dialect == MDP_G1)
            hears_nothing(&clients[i]);
        peer_close(&clients[i]);
    }
    assert_int_equal(counter(scene, "client_slow"), 0);
}

static void
what_does_not_depend_on_the_lease_is_sent_without_one(void **state)
{
    struct scene *scene = *state;
    struct fake_will late = active;
    begin(scene);
    late.is_late = true;
    fake_half_set(&scene->half, late);

    hears_nothing(&scene->client);
    struct mdp_record record = {.side = MDP_WORKER_SIDE, .command = MDP_DRAIN};
    peer_send(&scene->worker, record, NULL);
    assert_int_equal(peer_expect(&scene->worker, MDP_HEARTBEAT).command, MDP_HEARTBEAT);
    assert_int_equal(counter(scene, "sends_withheld"), 0);
}

// ---- leaving --------------------------------------------------------------------------------

static void
broker_leaves_when_its_half_is_over(void **state)
{
    struct scene *scene = *state;
    struct fake_will will = active;
    begin(scene);
    will.stays = true;
    fake_half_set(&scene->half, will);

    mdp_broker_drain(scene->stage.broker);
    while (fake_half_calls(&scene->half).stops == 0)
        hears_nothing(&scene->client);
    mdp_broker_drain(scene->stage.broker); // once more changes nothing
    hears_nothing(&scene->client);
    assert_false(scene->stage.is_over);
    assert_int_equal(fake_half_calls(&scene->half).stops, 1);

    fake_half_set(&scene->half, passive);
    assert_int_equal(stage_join(&scene->stage), GALLEON_OK);
    assert_int_equal(peer_expect(&scene->worker, MDP_DISCONNECT).reason, MDP_REASON_STOPPING);
}

// ---- the operator ---------------------------------------------------------------------------

static const char *
say_to(struct peer *peer, const char *words)
{
    peer_request(peer, "mmi.ha", 1, words);
    assert_int_equal(peer_expect(peer, MDP_FINAL).status, MDP_DONE);
    return peer->body;
}

static void
words_over_loopback_reach_the_half(void **state)
{
    static const struct {
        const char *words;
        enum bstar_word word;
    } rows[] = {
        {"promote", BSTAR_SAY_PROMOTE}, {"promote|peer-is-dead", BSTAR_SAY_PROMOTE_PEER_IS_DEAD},
        {"demote", BSTAR_SAY_DEMOTE},   {"freeze", BSTAR_SAY_FREEZE},
        {"thaw", BSTAR_SAY_THAW},       {"clear", BSTAR_SAY_CLEAR}};
    struct scene *scene = *state;
    struct fake_will will = passive;
    will.answer.is_accepted = true;
    fake_half_set(&scene->half, will);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(say_to(&scene->client, rows[i].words), "200");
        assert_int_equal(fake_half_calls(&scene->half).words, i + 1);
        assert_int_equal(fake_half_calls(&scene->half).word, rows[i].word);
    }
}

static void
status_is_the_table_of_the_half(void **state)
{
    struct scene *scene = *state;

    assert_string_equal(say_to(&scene->client, "status"),
                        "200|name\tvalue\nmode\tfake\nstate\tsomething\n");
}

static void
refusal_of_the_half_is_409_with_its_reason(void **state)
{
    struct scene *scene = *state;
    struct fake_will will = passive;
    will.answer.why = "not now";
    fake_half_set(&scene->half, will);
    assert_string_equal(say_to(&scene->client, "promote"), "409|not now");

    will.answer.wait_ms = 250;
    fake_half_set(&scene->half, will);

    assert_string_equal(say_to(&scene->client, "promote"), "409|not now; try again in 250 ms");
}

static void
words_through_a_proxy_are_403_and_status_is_not(void **state)
{
    struct scene *scene = *state;
    zsock_t *socket = zsock_new_dealer(scene->stage.endpoint);
    static const char *const words[] = {"demote", "status"};
    for (int i = 0; i < 2; i++) {
        zstr_sendx(socket, "an address", "", "MDPC01", "mmi.ha", words[i], NULL);
        zmsg_t *reply = zmsg_recv(socket);
        assert_int_equal(zmsg_size(reply), 6);
        for (int frame = 0; frame < 4; frame++)
            zframe_destroy(&(zframe_t *){zmsg_pop(reply)});
        char *code = zmsg_popstr(reply);
        assert_string_equal(code, i == 0 ? "403" : "200");
        zstr_free(&code);
        zmsg_destroy(&reply);
    }
    assert_int_equal(fake_half_calls(&scene->half).words, 0);
    zsock_destroy(&socket);
}

// say_at opens another scene there, says demote, and returns the code.
static int
say_at(const char *bind)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct fake_will will = passive;
    open_at(scene, bind);
    will.answer.is_accepted = true;
    fake_half_set(&scene->half, will);
    int code = atoi(say_to(&scene->client, "demote"));
    assert_int_equal(fake_half_calls(&scene->half).words, code == 200 ? 1 : 0);
    void *state = scene;
    tear_down(&state);
    return code;
}

static void
words_over_ipc_are_taken_and_over_inproc_are_not(void **state)
{
    (void)state;
    char folder[] = "/tmp/galleon-test-XXXXXX", endpoint[64];
    assert_non_null(mkdtemp(folder));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/broker", folder);

    assert_int_equal(say_at(endpoint), 200);
    zsys_file_delete(endpoint + strlen("ipc://"));
    zsys_dir_delete("%s", folder);
#if !defined(__SANITIZE_THREAD__)
    assert_int_equal(say_at("inproc://test-mdp-broker-pair"), 403);
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        pair_test(half_that_does_not_serve_answers_503_with_the_other_s_endpoint),
        pair_test(half_in_fault_says_why),
        pair_test(worker_that_waited_is_served_by_once_the_half_serves),
        pair_test(request_of_any_dialect_is_a_vote_and_served_where_it_counts),
        pair_test(mmi_and_workers_are_no_votes),
        pair_test(requests_and_answers_carry_the_epoch_before_other_fields),
        pair_test(fields_that_leave_no_room_for_the_epoch_lose_their_last_lines),
        pair_test(refusal_of_a_worker_reaches_the_half),
        pair_test(what_is_open_is_503_when_the_half_says_no_more),
        pair_test(what_is_out_is_dropped_when_the_half_asks_so),
        pair_test(what_is_out_is_answered_before_the_half_is_told_that_it_has_drained),
        pair_test(soft_end_turns_hard_when_the_half_may_not_finish),
        pair_test(next_reign_begins_when_nothing_of_the_last_is_left),
        pair_test(request_is_not_sent_once_the_lease_is_over),
        pair_test(answer_is_not_sent_once_the_lease_is_over),
        pair_test(what_does_not_depend_on_the_lease_is_sent_without_one),
        pair_test(broker_leaves_when_its_half_is_over),
        pair_test(words_over_loopback_reach_the_half),
        pair_test(status_is_the_table_of_the_half),
        pair_test(refusal_of_the_half_is_409_with_its_reason),
        pair_test(words_through_a_proxy_are_403_and_status_is_not),
        cmocka_unit_test(words_over_ipc_are_taken_and_over_inproc_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
