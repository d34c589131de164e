// test_link.c - a link comes up, is seen to go down, and comes up again.

#include "link.h"
#include "wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <galleon/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>

#include <cmocka.h>

static const uint64_t patience_ns = 10000000000u;

struct fixture {
    struct link link;
    enum link_manner manner;
    struct inbox inbox;
    int epoll_fd;
    zsock_t *router;
    char endpoint[256];
    char folder[64];
};

static int
set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->router = zsock_new(ZMQ_ROUTER);
    assert_true(inbox_init(&self->inbox, 16));
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *self = *state;
    link_unwatch(&self->link, self->epoll_fd);
    link_close(&self->link, 0);
    inbox_release(&self->inbox);
    zsock_destroy(&self->router);
    close(self->epoll_fd);
    if (self->folder[0] != '\0') {
        unlink(self->endpoint + strlen("ipc://"));
        rmdir(self->folder);
    }
    free(self);
    return 0;
}

static void
bind_tcp(struct fixture *self)
{
    assert_true(zsock_bind(self->router, "tcp://127.0.0.1:*") > 0);
    snprintf(self->endpoint, sizeof self->endpoint, "%s", zsock_endpoint(self->router));
}

// name_ipc makes a name that nobody listens at.
static void
name_ipc(struct fixture *self)
{
    snprintf(self->folder, sizeof self->folder, "/tmp/test-link-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/router", self->folder);
}

static void
bind_ipc(struct fixture *self)
{
    name_ipc(self);
    assert_int_equal(zsock_bind(self->router, "%s", self->endpoint), 0);
}

static void
open_link(struct fixture *self, const char *routing_id)
{
    assert_int_equal(
        link_open(&self->link, self->manner, self->endpoint, routing_id, MDP_MESSAGE_BYTES_MAX),
        GALLEON_OK);
    assert_int_equal(link_watch(&self->link, self->epoll_fd), 0);
}

// next_event waits for the next event of the link, on its descriptors.
static enum link_event
next_event(struct fixture *self)
{
    uint64_t deadline_ns = galleon_now_ns() + patience_ns;
    for (;;) {
        enum link_event event = link_event(&self->link);
        if (event != LINK_NOTHING)
            return event;
        if (link_has_input(&self->link))
            continue;
        uint64_t until_ns = link_deadline(&self->link);
        if (wait_until(self->epoll_fd, until_ns < deadline_ns ? until_ns : deadline_ns) ==
            WAIT_DEADLINE)
            assert_true(galleon_now_ns() < deadline_ns);
    }
}

static void
receive(struct fixture *self, void *socket)
{
    uint64_t deadline_ns = galleon_now_ns() + patience_ns;
    while (!inbox_receive(&self->inbox, socket)) {
        assert_true(galleon_now_ns() < deadline_ns);
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 100);
    }
}

static struct mdp_record
ready(void)
{
    return (struct mdp_record){.dialect = MDP_01,
                               .side = MDP_WORKER_SIDE,
                               .command = MDP_READY,
                               .service = VIEW_LITERAL("echo")};
}

// carries: a message goes there, and one comes back.
static void
assert_carries(struct fixture *self)
{
    struct mdp_record record = ready();
    assert_int_equal(link_send(&self->link, &record, true, NULL), 0);
    receive(self, zsock_resolve(self->router));
    assert_int_equal(self->inbox.count, 5);
    assert_int_equal(self->inbox.frames[1].size, 0);
    assert_true(view_equals(self->inbox.frames[2], VIEW_LITERAL("MDPW01")));
    assert_true(view_equals(self->inbox.frames[4], VIEW_LITERAL("echo")));

    zframe_t *id = zframe_new(self->inbox.frames[0].data, self->inbox.frames[0].size);
    assert_int_equal(zframe_send(&id, self->router, ZFRAME_MORE), 0);
    assert_int_equal(zstr_send(self->router, "answer"), 0);
    uint64_t deadline_ns = galleon_now_ns() + patience_ns;
    while (!link_has_input(&self->link))
        assert_int_equal(wait_until(self->epoll_fd, deadline_ns), WAIT_READY);
    assert_true(inbox_receive(&self->inbox, self->link.handle));
    assert_true(view_equals(self->inbox.frames[0], VIEW_LITERAL("answer")));
}

static int
set_up_to_read_on(void **state)
{
    int result = set_up(state);
    ((struct fixture *)*state)->manner = LINK_READS_ON;
    return result;
}

static void
link_over_tcp_comes_up_and_carries(void **state)
{
    struct fixture *self = *state;
    bind_tcp(self);
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    assert_carries(self);
}

static void
link_over_ipv6_comes_up_and_carries(void **state)
{
    struct fixture *self = *state;
    zsock_set_ipv6(self->router, 1);
    if (zsock_bind(self->router, "tcp://[::1]:*") < 0)
        skip(); // this machine has no ::1
    snprintf(self->endpoint, sizeof self->endpoint, "%s", zsock_endpoint(self->router));
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    assert_carries(self);
}

static void
localhost_is_where_a_broker_on_127_0_0_1_listens(void **state)
{
    struct fixture *self = *state;
    int port = zsock_bind(self->router, "tcp://127.0.0.1:*");
    snprintf(self->endpoint, sizeof self->endpoint, "tcp://localhost:%d", port);
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    assert_carries(self);
}

static void
link_over_ipc_comes_up_and_carries(void **state)
{
    struct fixture *self = *state;
    bind_ipc(self);
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    assert_carries(self);
}

static void
link_over_inproc_comes_up_and_carries(void **state)
{
    struct fixture *self = *state;
    snprintf(self->endpoint, sizeof self->endpoint, "inproc://test-link-%d", self->manner);
    assert_int_equal(zsock_bind(self->router, "%s", self->endpoint), 0);
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    assert_carries(self);
}

static void
routing_id_is_the_one_asked_for(void **state)
{
    struct fixture *self = *state;
    bind_tcp(self);
    open_link(self, "k0123456789abcdef");
    assert_int_equal(next_event(self), LINK_UP);
    struct mdp_record record = ready();
    assert_int_equal(link_send(&self->link, &record, true, NULL), 0);
    receive(self, zsock_resolve(self->router));
    assert_true(view_equals(self->inbox.frames[0], VIEW_LITERAL("k0123456789abcdef")));
}

static void
nothing_is_taken_before_the_connection_is_made(void **state)
{
    struct fixture *self = *state;
    name_ipc(self);
    open_link(self, NULL);
    struct mdp_record record = ready();
    assert_int_equal(link_send(&self->link, &record, true, NULL), EAGAIN);
    assert_int_equal(link_event(&self->link), LINK_NOTHING);
}

static void
cut_is_seen_and_so_is_the_next_connection(void **state)
{
    struct fixture *self = *state;
    bind_tcp(self);
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    for (int turn = 0; turn < 3; turn++) {
        zsock_destroy(&self->router);
        assert_int_equal(next_event(self), LINK_DOWN);
        struct mdp_record record = ready();
        // What the socket held for the old connection is gone with it.
        while (link_send(&self->link, &record, true, NULL) == 0)
            link_has_input(&self->link);
        assert_int_equal(link_event(&self->link), LINK_NOTHING);

        self->router = zsock_new(ZMQ_ROUTER);
        uint64_t deadline_ns = galleon_now_ns() + patience_ns;
        while (zsock_bind(self->router, "%s", self->endpoint) < 0)
            assert_true(galleon_now_ns() < deadline_ns);
        assert_int_equal(next_event(self), LINK_UP);
        assert_carries(self);
    }
}

// wait_for_the_cut looks at the monitor alone: no message is read on the way, and libzmq has
// handled nothing of the cut in our thread.
static void
wait_for_the_cut(struct fixture *self)
{
    uint64_t deadline_ns = galleon_now_ns() + patience_ns;
    while (link_event(&self->link) != LINK_DOWN) {
        assert_true(galleon_now_ns() < deadline_ns);
        zmq_pollitem_t item = {.socket = self->link.monitor, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 100);
    }
}

// A broker that drains sends its last answers and is gone.
static void
what_arrived_before_a_cut_can_be_read_after_it(void **state)
{
    enum { ANSWERS = 100 };
    struct fixture *self = *state;
    bind_tcp(self);
    open_link(self, "k0123456789abcdef");
    assert_int_equal(next_event(self), LINK_UP);
    assert_carries(self);
    for (int i = 0; i < ANSWERS; i++) {
        zstr_sendm(self->router, "k0123456789abcdef");
        zstr_sendf(self->router, "answer %d", i);
    }
    zsock_set_linger(self->router, 10000);
    zsock_destroy(&self->router);
    wait_for_the_cut(self);
    for (int i = 0; i < ANSWERS; i++) {
        char answer[32];
        snprintf(answer, sizeof answer, "answer %d", i);
        assert_true(inbox_receive(&self->inbox, self->link.handle));
        assert_true(view_equals(self->inbox.frames[0], view_of(answer, strlen(answer))));
    }
    assert_false(inbox_receive(&self->inbox, self->link.handle));
}

static void
connection_that_cannot_be_made_is_refused_at_once(void **state)
{
    struct fixture *self = *state;
    uint64_t from_ns = galleon_now_ns();
    bind_tcp(self);
    zsock_destroy(&self->router); // nobody listens there now
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_REFUSED);
    link_unwatch(&self->link, self->epoll_fd);
    link_close(&self->link, 0);
    name_ipc(self);
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_REFUSED);
    assert_true(galleon_now_ns() - from_ns < patience_ns);
}

// listen_raw listens without libzmq, and returns the socket.
static int
listen_raw(struct fixture *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return listener;
}

// The kernel accepts connections for a process that is stopped: such a broker does
// not answer, and another is to be tried first.
static void
peer_that_does_not_speak_is_not_up_at_once(void **state)
{
    struct fixture *self = *state;
    int listener = listen_raw(self);
    uint64_t from_ns = galleon_now_ns();
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    assert_true(galleon_now_ns() - from_ns > 1000 * UINT64_C(1000000));
    close(listener);
}

// libzmq 3 and older speak ZMTP 2: nobody tells of their handshake.
static void
peer_of_old_is_up_after_a_while(void **state)
{
    static const uint8_t greeting[] = {0xff, 0, 0, 0,    0, 0,
                                       0,    0, 1, 0x7f, 1, 6, // ZMTP 2.0, a ROUTER
                                       0,    0};               // without a name of its own
    struct fixture *self = *state;
    int listener = listen_raw(self);
    open_link(self, NULL);
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(write(peer, greeting, sizeof greeting), sizeof greeting);
    assert_int_equal(next_event(self), LINK_UP);
    assert_true(link_deadline(&self->link) == UINT64_MAX);

    struct mdp_record record = ready();
    assert_int_equal(link_send(&self->link, &record, true, NULL), 0);
    uint8_t seen[256];
    size_t size = 0;
    while (size < sizeof seen && memmem(seen, size, "\6MDPW01", 7) == NULL) {
        ssize_t count = read(peer, seen + size, sizeof seen - size);
        assert_true(count > 0);
        size += (size_t)count;
    }
    assert_true(size < sizeof seen);
    close(peer);
    close(listener);
}

static void
body_of_record_and_cargo_are_sent_one_after_the_other(void **state)
{
    struct fixture *self = *state;
    bind_tcp(self);
    open_link(self, NULL);
    assert_int_equal(next_event(self), LINK_UP);
    struct cargo_pool pool;
    cargo_pool_init(&pool);
    struct view first = VIEW_LITERAL("first");
    struct mdp_record record = {.dialect = MDP_01,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_FINAL,
                                .address = VIEW_LITERAL("client")};
    // Each row: has the record frames, has the cargo; what must arrive.
    static const struct {
        bool has_record, has_cargo;
        size_t count;
    } rows[] = {{false, false, 1}, {true, false, 1}, {false, true, 2}, {true, true, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cargo *cargo = NULL;
        if (rows[i].has_cargo) {
            zmsg_t *message = zmsg_new();
            zmsg_addstr(message, "second");
            zmsg_addstr(message, "third");
            cargo = cargo_of_message(&pool, VIEW_NONE, &message);
        }
        record.body = rows[i].has_record ? mdp_body_of(&first, 1) : (struct mdp_body){0};
        assert_int_equal(link_send(&self->link, &record, true, cargo), 0);
        receive(self, zsock_resolve(self->router));
        assert_int_equal(self->inbox.count, 6 + rows[i].count);
        assert_true(view_equals(self->inbox.frames[4], VIEW_LITERAL("client")));
        assert_int_equal(self->inbox.frames[5].size, 0);
        if (cargo != NULL) {
            struct view last = self->inbox.frames[self->inbox.count - 1];
            assert_true(view_equals(last, VIEW_LITERAL("third")));
            cargo_release(&pool, cargo);
        }
    }
    cargo_pool_release(&pool);
}

static void
what_is_no_endpoint_is_refused(void **state)
{
    struct fixture *self = *state;
    static const char *const endpoints[] = {"", "nonsense", "tcp://", "tcp://host:port",
                                            "http://127.0.0.1:80"};
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        assert_int_equal(
            link_open(&self->link, self->manner, endpoints[i], NULL, MDP_MESSAGE_BYTES_MAX),
            GALLEON_PROTOCOL);
        assert_false(link_is_open(&self->link));
    }
}

static void
link_can_be_closed_twice_and_when_never_opened(void **state)
{
    struct fixture *self = *state;
    link_close(&self->link, 0);
    bind_tcp(self);
    open_link(self, NULL);
    link_unwatch(&self->link, self->epoll_fd);
    link_close(&self->link, 0);
    link_close(&self->link, 0);
    assert_false(link_is_open(&self->link));
    assert_false(link_has_input(&self->link));
    assert_int_equal(link_event(&self->link), LINK_NOTHING);
}

int
main(void)
{
#define TEST(name)     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define READS_ON(name) cmocka_unit_test_setup_teardown(name, set_up_to_read_on, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(link_over_tcp_comes_up_and_carries),
        READS_ON(link_over_tcp_comes_up_and_carries),
        TEST(link_over_ipv6_comes_up_and_carries),
        READS_ON(link_over_ipv6_comes_up_and_carries),
        TEST(localhost_is_where_a_broker_on_127_0_0_1_listens),
        TEST(link_over_ipc_comes_up_and_carries),
        READS_ON(link_over_ipc_comes_up_and_carries),
        TEST(link_over_inproc_comes_up_and_carries),
        READS_ON(link_over_inproc_comes_up_and_carries),
        TEST(routing_id_is_the_one_asked_for),
        TEST(nothing_is_taken_before_the_connection_is_made),
        TEST(cut_is_seen_and_so_is_the_next_connection),
        READS_ON(what_arrived_before_a_cut_can_be_read_after_it),
        READS_ON(connection_that_cannot_be_made_is_refused_at_once),
        READS_ON(peer_that_does_not_speak_is_not_up_at_once),
        READS_ON(peer_of_old_is_up_after_a_while),
        TEST(body_of_record_and_cargo_are_sent_one_after_the_other),
        TEST(what_is_no_endpoint_is_refused),
        TEST(link_can_be_closed_twice_and_when_never_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
