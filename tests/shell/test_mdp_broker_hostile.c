// test_mdp_broker_hostile.c - whatever arrives over real sockets, the broker goes on serving.

#include "broker_stage.h"
#include "vectors.h"

#include <galleon/status.h>

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

struct fixture {
    struct stage stage;
    struct peer client;
    struct peer worker;
    zsock_t *attacker;
};

static void
attack(struct fixture *self)
{
    zsock_destroy(&self->attacker);
    self->attacker = zsock_new(ZMQ_DEALER);
    zsock_set_linger(self->attacker, 1000);
    zsock_set_sndhwm(self->attacker, 0);
    assert_int_equal(zsock_connect(self->attacker, "%s", self->stage.endpoint), 0);
}

static int
set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    stage_open(&self->stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&self->client, self->stage.endpoint, MDP_G1, 0);
    peer_open(&self->worker, self->stage.endpoint, MDP_G1, 0);
    peer_ready(&self->worker, "good", 1);
    assert_true(peer_is_served(&self->client, &self->worker, "good"));
    attack(self);
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *self = *state;
    assert_true(peer_is_served(&self->client, &self->worker, "good"));
    zsock_destroy(&self->attacker);
    peer_close(&self->client);
    peer_close(&self->worker);
    stage_close(&self->stage);
    free(self);
    return 0;
}

// Numbers that are the same in each run.
static uint32_t
next_number(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static bool
has_rejected(const mdp_broker_stats_t *stats, uint64_t value)
{
    return stats->peers_rejected >= value;
}

static void
send_frames(zsock_t *socket, const struct view *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        zmq_send(zsock_resolve(socket), frames[i].data, frames[i].size,
                 i + 1 < count ? ZMQ_SNDMORE : 0);
}

// ---- what they send ----------------------------------------------------------------------------

static void
random_bytes_are_counted_and_dropped(void **state)
{
    struct fixture *self = *state;
    uint32_t random = 2463534242;
    uint8_t noise[64];
    for (int i = 0; i < 2000; i++) {
        for (size_t at = 0; at < sizeof noise; at++)
            noise[at] = (uint8_t)next_number(&random);
        struct view frames[] = {view_of(noise, next_number(&random) % 64), VIEW_LITERAL(""),
                                view_of(noise, next_number(&random) % 64)};
        send_frames(self->attacker, frames, 1 + next_number(&random) % 3);
    }

    stage_wait(&self->stage, has_rejected, 2000);
}

// Every vector of the page, cut after each frame and within each frame.
static void
truncated_vectors_end_nothing(void **state)
{
    struct fixture *self = *state;
    struct vector *vectors = vectors_read(GALLEON_SOURCE_DIR "/docs/protocol/vectors.md");
    assert_non_null(vectors);
    size_t messages = 0;
    for (struct vector *row = vectors; row != NULL; row = row->next) {
        if (row->socket == NULL || strcmp(row->socket, "mdp") != 0 || row->frames.count > 16)
            continue;
        attack(self); // so that one that said READY is not the next
        for (size_t last = 1; last < row->frames.count; last++) {
            struct view whole = row->frames.frames[last];
            size_t by = whole.size > 64 ? whole.size / 16 : 1;
            for (size_t size = 0; size <= whole.size; size += by) {
                struct view frames[16];
                memcpy(frames, row->frames.frames + 1, last * sizeof *frames);
                frames[last - 1].size = size;
                send_frames(self->attacker, frames, last);
                messages++;
            }
        }
        struct view end[] = {VIEW_LITERAL("end")};
        send_frames(self->attacker, end, 1);
    }
    assert_true(messages > 2000);
    vectors_destroy(&vectors);

    assert_true(peer_is_served(&self->client, &self->worker, "good"));
}

static void
message_of_10000_frames_is_dropped(void **state)
{
    struct fixture *self = *state;
    for (int i = 0; i < 10000; i++)
        zmq_send(zsock_resolve(self->attacker), i == 1 ? "MDPC01" : "", i == 1 ? 6 : 0,
                 ZMQ_SNDMORE);
    zmq_send(zsock_resolve(self->attacker), "end", 3, 0);

    stage_wait(&self->stage, has_rejected, 1);
}

static void
frame_above_the_limit_cuts_its_connection_and_no_other(void **state)
{
    struct fixture *self = *state;
    size_t size = (1 << 20) + 1;
    uint8_t *large = calloc(1, size);
    assert_non_null(large);
    zsock_t *monitor = zsock_new(ZMQ_PAIR);
    assert_int_equal(zmq_socket_monitor(zsock_resolve(self->attacker), "inproc://hostile-monitor",
                                        ZMQ_EVENT_DISCONNECTED),
                     0);
    assert_int_equal(zsock_connect(monitor, "inproc://hostile-monitor"), 0);
    zsock_set_rcvtimeo(monitor, 10000);

    struct view frames[] = {VIEW_LITERAL(""), VIEW_LITERAL("MDPC01"), VIEW_LITERAL("echo"),
                            view_of(large, size)};
    send_frames(self->attacker, frames, 4);

    zmsg_t *event = zmsg_recv(monitor);
    assert_non_null(event);
    zmsg_destroy(&event);
    zmq_socket_monitor(zsock_resolve(self->attacker), NULL, 0);
    zsock_destroy(&monitor);
    free(large);
}

static void
message_above_the_limit_in_frames_within_it_is_answered_413(void **state)
{
    struct fixture *self = *state;
    size_t size = 600000;
    uint8_t *large = calloc(1, size), pack[64];
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .flags = MDP_FLAG_LOOSE,
                                .id = 5,
                                .service = VIEW_LITERAL("echo")};
    uint8_t *end = mdp_wire_write_header(pack, MDP_CLIENT_SIDE);
    end = mdp_wire_write_record(end, &record);
    struct view frames[] = {view_of(pack, (size_t)(end - pack)), view_of(large, size),
                            view_of(large, size)};

    send_frames(self->client.socket, frames, 3);

    struct mdp_record answer = peer_expect(&self->client, MDP_FINAL);
    assert_int_equal(answer.status, MDP_TOO_LARGE);
    assert_int_equal(answer.id, 5);
    free(large);
}

// ---- connections that are none -----------------------------------------------------------------

enum { HALF_OPEN = 1000 };

static int
open_raw(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        (void)connect(fd, (struct sockaddr *)&address, sizeof address);
    return fd;
}

// read_to_end waits until the other side has closed the connection. (libzmq can abort when
// its socket is closed while the first bytes of an old peer are on their way in.)
static void
read_to_end(int fd)
{
    uint8_t bytes[256];
    struct pollfd item = {.fd = fd, .events = POLLIN};
    ssize_t size;
    do {
        assert_int_equal(poll(&item, 1, 10000), 1);
        size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    } while (size > 0);
}

static void
half_open_connections_that_send_garbage_cost_the_others_nothing(void **state)
{
    struct fixture *self = *state;
    static int fds[HALF_OPEN];
    uint32_t random = 88172645;
    size_t opened = 0;
    for (size_t i = 0; i < HALF_OPEN; i++) {
        fds[i] = open_raw(self->stage.endpoint);
        opened += fds[i] >= 0 ? 1 : 0;
        if (i % 100 == 0)
            assert_true(peer_is_served(&self->client, &self->worker, "good"));
    }
    assert_int_equal(opened, HALF_OPEN);
    for (size_t i = 0; i < HALF_OPEN; i++) {
        uint8_t garbage[40];
        for (size_t at = 0; at < sizeof garbage; at++)
            garbage[at] = (uint8_t)next_number(&random);
        if (i % 3 == 0)
            memcpy(garbage, "\xff\0\0\0\0\0\0\0\1\x7f\3", 11); // a greeting, begun
        (void)!send(fds[i], garbage, sizeof garbage, MSG_NOSIGNAL);
    }

    assert_true(peer_is_served(&self->client, &self->worker, "good"));

    for (size_t i = 0; i < HALF_OPEN; i++) {
        shutdown(fds[i], SHUT_WR);
        read_to_end(fds[i]);
        close(fds[i]);
    }
}

static void
hundred_thousand_made_up_names_are_answered_and_forgotten(void **state)
{
    struct fixture *self = *state;
    enum { BATCH = 500, BATCHES = 200 };
    static struct mdp_record records[BATCH];
    static char names[BATCH][32];
    for (int batch = 0; batch < BATCHES; batch++) {
        for (int i = 0; i < BATCH; i++) {
            snprintf(names[i], sizeof names[i], "made-up-%d", batch * BATCH + i);
            records[i] = (struct mdp_record){.dialect = MDP_G1,
                                             .side = MDP_CLIENT_SIDE,
                                             .command = MDP_REQUEST,
                                             .flags = MDP_FLAG_NO_QUEUE,
                                             .id = (uint64_t)i,
                                             .service = view_of(names[i], strlen(names[i]))};
        }
        peer_send_pack(&self->client, records, BATCH);
        for (int i = 0; i < BATCH; i++)
            assert_int_equal(peer_expect(&self->client, MDP_FINAL).status, MDP_NO_WORKER);
    }
    peer_request(&self->client, "mmi.services", 1, NULL);
    peer_expect(&self->client, MDP_FINAL);
    assert_string_equal(self->client.body, "200|service\tworkers\tidle\tqueued\tout\n"
                                           "good\t1\t1\t0\t0\n");
}

// ---- long packs ---------------------------------------------------------------------------------

enum { LONG_PACK = 80000 }; // records of 12 bytes: near the limit of a message

// long_pack makes one message of `count` heartbeats of a client; free it.
static struct view
long_pack(size_t count)
{
    struct mdp_record record = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT};
    size_t size = MDP_PACK_HEADER_BYTES + count * mdp_wire_record_bytes(&record);
    uint8_t *pack = malloc(size);
    assert_non_null(pack);
    uint8_t *end = mdp_wire_write_header(pack, MDP_CLIENT_SIDE);
    for (size_t i = 0; i < count; i++)
        end = mdp_wire_write_record(end, &record);
    return view_of(pack, size);
}

static void
free_pack(struct view pack)
{
    free((void *)(uintptr_t)pack.data);
}

// All answers would fit into one message; there is one for each turn. The open request
// keeps the client known, so that its answers are packed.
static void
answers_to_a_long_pack_leave_before_all_of_it_is_read(void **state)
{
    struct fixture *self = *state;
    enum { COUNT = 5000 };
    struct view pack = long_pack(COUNT);
    peer_request(&self->client, "good", 8, "held");
    struct mdp_record request = peer_expect(&self->worker, MDP_REQUEST);
    self->client.messages = 0;

    send_frames(self->client.socket, &pack, 1);

    for (int i = 0; i < COUNT; i++)
        peer_expect(&self->client, MDP_HEARTBEAT);
    size_t messages = self->client.messages;
    peer_answer(&self->worker, &request, "answer");
    assert_int_equal(peer_expect(&self->client, MDP_FINAL).id, 8);
    assert_int_equal(messages, 2);
    free_pack(pack);
}

static void
loose_request_at_the_end_of_a_long_pack_keeps_its_body(void **state)
{
    struct fixture *self = *state;
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .flags = MDP_FLAG_LOOSE,
                                .id = 9,
                                .service = VIEW_LITERAL("good")};
    uint8_t tail[64], *large = calloc(1, 50000);
    assert_non_null(large);
    memset(large, 'x', 50000);
    size_t tail_size = (size_t)(mdp_wire_write_record(tail, &record) - tail);
    struct view begin = long_pack(10000);
    uint8_t *pack = malloc(begin.size + tail_size);
    assert_non_null(pack);
    memcpy(pack, begin.data, begin.size);
    memcpy(pack + begin.size, tail, tail_size);
    struct view frames[] = {view_of(pack, begin.size + tail_size), view_of(large, 50000),
                            VIEW_LITERAL("end")};

    send_frames(self->client.socket, frames, 3);

    struct mdp_record request = peer_expect(&self->worker, MDP_REQUEST);
    assert_int_equal(request.body.count, 2);
    size_t cursor = 0;
    struct view frame;
    assert_true(mdp_body_next(&request.body, &cursor, &frame));
    assert_true(view_equals(frame, view_of(large, 50000)));
    assert_true(mdp_body_next(&request.body, &cursor, &frame));
    assert_true(view_equals(frame, VIEW_LITERAL("end")));
    peer_answer(&self->worker, &request, "answer");
    assert_int_equal(peer_expect(&self->client, MDP_FINAL).id, 9);
    free_pack(begin);
    free(pack);
    free(large);
}

static void
calls_are_served_among_long_packs(void **state)
{
    struct fixture *self = *state;
    struct view pack = long_pack(LONG_PACK);
    for (int i = 0; i < 5; i++) {
        send_frames(self->attacker, &pack, 1);

        assert_true(peer_is_served(&self->client, &self->worker, "good"));
    }
    free_pack(pack);
}

static void
broker_drains_in_the_middle_of_a_long_pack(void **state)
{
    (void)state;
    struct stage stage;
    struct peer flooder;
    struct view pack = long_pack(LONG_PACK);
    stage_open(&stage, "tcp://127.0.0.1:*", NULL);
    peer_open(&flooder, stage.endpoint, MDP_G1, 0);
    for (int i = 0; i < 10; i++)
        send_frames(flooder.socket, &pack, 1);
    peer_expect(&flooder, MDP_HEARTBEAT);

    mdp_broker_drain(stage.broker);

    assert_int_equal(stage_join(&stage), GALLEON_OK);
    peer_close(&flooder);
    free_pack(pack);
}

// ---- an end while libzmq waits for us --------------------------------------------------------

static void
write_raw(int fd, const void *bytes, size_t size)
{
    struct pollfd item = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&item, 1, 10000), 1);
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static void
read_raw(int fd, uint8_t *bytes, size_t size)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    while (size > 0) {
        assert_int_equal(poll(&item, 1, 10000), 1);
        ssize_t got = recv(fd, bytes, size, 0);
        assert_true(got > 0);
        bytes += got;
        size -= (size_t)got;
    }
}

// open_dealer is a socket that has said what ZMTP 3.0 wants to hear from a DEALER.
static int
open_dealer(const char *endpoint)
{
    static const uint8_t greeting[64] = "\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL";
    static const uint8_t ready[] = "\4\x1c\5READY\x0bSocket-Type\0\0\0\6DEALER";
    uint8_t theirs[256];
    int fd = open_raw(endpoint);
    assert_true(fd >= 0);
    write_raw(fd, greeting, sizeof greeting);
    read_raw(fd, theirs, sizeof greeting);
    write_raw(fd, ready, sizeof ready - 1);
    read_raw(fd, theirs, 2);
    read_raw(fd, theirs, theirs[1]);
    return fd;
}

static void
reset_raw(int fd)
{
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fd);
}

// If the broker's socket sent ZMTP heartbeats, this would end the process: libzmq 4.3.4
// aborts when the timer of one finds a connection that broke while its input was stopped.
static void
connection_that_breaks_while_its_input_is_stopped_ends_no_broker(void **state)
{
    (void)state;
    enum { MESSAGES = 1000, BEAT_MS = 1000 };
    static uint8_t messages[MESSAGES * 3];
    for (size_t i = 0; i < MESSAGES; i++)
        memcpy(messages + i * 3, "\0\1x", 3); // a frame of one byte
    mdp_broker_t *broker = mdp_broker_new(NULL);
    assert_int_equal(mdp_broker_bind(broker, "tcp://127.0.0.1:*"), GALLEON_OK);
    int fd = open_dealer(mdp_broker_endpoint(broker));
    write_raw(fd, messages, sizeof messages);
    zclock_sleep(BEAT_MS / 4); // it does not run yet: libzmq stops at the receive mark

    reset_raw(fd);
    zclock_sleep(BEAT_MS + BEAT_MS / 4);

    mdp_broker_drain(broker);
    assert_int_equal(mdp_broker_run(broker), GALLEON_OK);
    mdp_broker_stats_t stats;
    mdp_broker_stats(broker, &stats);
    assert_true(stats.peers_rejected > 0);
    mdp_broker_destroy(&broker);
}

#define hostile_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    // Both ends of each connection are ours.
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 8192 ? files.rlim_max : 8192;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 4096)
        return 77;
    zsys_init();
    zsys_handler_set(NULL);
    const struct CMUnitTest tests[] = {
        hostile_test(random_bytes_are_counted_and_dropped),
        hostile_test(truncated_vectors_end_nothing),
        hostile_test(message_of_10000_frames_is_dropped),
        hostile_test(frame_above_the_limit_cuts_its_connection_and_no_other),
        hostile_test(message_above_the_limit_in_frames_within_it_is_answered_413),
        hostile_test(half_open_connections_that_send_garbage_cost_the_others_nothing),
        hostile_test(hundred_thousand_made_up_names_are_answered_and_forgotten),
        hostile_test(answers_to_a_long_pack_leave_before_all_of_it_is_read),
        hostile_test(loose_request_at_the_end_of_a_long_pack_keeps_its_body),
        hostile_test(calls_are_served_among_long_packs),
        cmocka_unit_test(broker_drains_in_the_middle_of_a_long_pack),
        cmocka_unit_test(connection_that_breaks_while_its_input_is_stopped_ends_no_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
