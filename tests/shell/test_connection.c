// test_connection.c - which connections are silent, on sockets of all kinds.

#include "connection.h"

#include <galleon/status.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SILENCE_MS = 40, WHILE_MS = 120, PATIENCE_MS = 10000 };

struct pair {
    int peer_fd;
    int fd; // the broker's end
    struct broker_connection connection;
};

static void
pass(int ms)
{
    uint64_t end_ns = galleon_now_ns() + (uint64_t)ms * 1000000;
    while (galleon_now_ns() < end_ns)
        poll(NULL, 0, 1);
}

// connect_pair makes a TCP connection to ourselves; false where the family is not there.
static bool
connect_pair(struct pair *pair, int family)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_six = family == AF_INET6;
    struct sockaddr *address = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;
    socklen_t size = is_six ? sizeof six : sizeof four;
    int listen_fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listen_fd < 0 || bind(listen_fd, address, size) != 0) {
        close(listen_fd);
        return false;
    }
    assert_int_equal(listen(listen_fd, 1), 0);
    assert_int_equal(getsockname(listen_fd, address, &size), 0);
    pair->peer_fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(pair->peer_fd, address, size), 0);
    pair->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair->fd >= 0);
    close(listen_fd);
    pair->connection = connection_of(pair->fd);
    return true;
}

static void
close_pair(struct pair *pair)
{
    close(pair->fd);
    close(pair->peer_fd);
}

static void
say(const struct pair *pair)
{
    assert_int_equal(send(pair->peer_fd, "!", 1, 0), 1);
    struct pollfd item = {.fd = pair->fd, .events = POLLIN};
    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
}

static void
read_all(const struct pair *pair)
{
    char bytes[64];
    assert_true(recv(pair->fd, bytes, sizeof bytes, 0) > 0);
}

static void
peer_that_says_nothing_is_silent_and_one_that_speaks_is_not(void **state)
{
    (void)state;
    static const int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        if (!connect_pair(&pair, families[i]))
            continue; // no IPv6 here
        assert_false(connection_is_silent(pair.connection, PATIENCE_MS));
        pass(WHILE_MS);
        assert_true(connection_is_silent(pair.connection, SILENCE_MS));
        assert_false(connection_is_silent(pair.connection, PATIENCE_MS));
        assert_false(connection_is_silent(pair.connection, UINT32_MAX));

        say(&pair);
        read_all(&pair);
        assert_false(connection_is_silent(pair.connection, PATIENCE_MS));
        close_pair(&pair);
    }
}

static void
what_we_have_not_read_is_not_the_peers_silence(void **state)
{
    (void)state;
    struct pair pair;
    assert_true(connect_pair(&pair, AF_INET));
    say(&pair);
    pass(WHILE_MS);
    assert_false(connection_is_silent(pair.connection, SILENCE_MS));
    read_all(&pair);
    assert_true(connection_is_silent(pair.connection, SILENCE_MS));
    close_pair(&pair);
}

// A worker that keeps its routing id may be back over another connection, and its old descriptor
// may be that of somebody who has nothing to say.
static void
descriptor_that_is_another_connections_by_now_is_not_meant(void **state)
{
    (void)state;
    struct pair old;
    struct pair other;
    assert_true(connect_pair(&old, AF_INET));
    assert_true(connect_pair(&other, AF_INET));
    pass(WHILE_MS);
    assert_true(connection_is_silent(old.connection, SILENCE_MS));

    assert_int_equal(dup2(other.fd, old.fd), old.fd);
    assert_true(connection_is_silent(connection_of(old.fd), SILENCE_MS));
    assert_false(connection_is_silent(old.connection, SILENCE_MS));
    close_pair(&other);
    close(old.fd);
    assert_false(connection_is_silent(old.connection, SILENCE_MS));
    close(old.peer_fd);
}

static void
what_is_no_tcp_connection_is_never_silent(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pass(WHILE_MS);
    assert_false(connection_is_silent(connection_of(fds[0]), SILENCE_MS));
    close(fds[0]);
    close(fds[1]);

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(connection_of(fds[0]).number, 0);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(connection_of(fds[0]).number, 0);
    assert_int_equal(connection_of(0).number, 0);
    assert_false(connection_is_silent(connection_of(0), SILENCE_MS));
}

static void
connection_has_ended_when_its_descriptor_is_closed_or_anothers(void **state)
{
    (void)state;
    struct pair pair, other;
    assert_true(connect_pair(&pair, AF_INET));
    assert_false(connection_has_ended(pair.connection));
    close(pair.peer_fd);
    struct pollfd item = {.fd = pair.fd, .events = POLLIN};
    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
    assert_false(connection_has_ended(pair.connection)); // as long as it is not closed
    close(pair.fd);
    assert_true(connection_has_ended(pair.connection));
    assert_true(connect_pair(&other, AF_INET));
    assert_int_equal(dup2(other.fd, pair.fd), pair.fd);
    assert_true(connection_has_ended(pair.connection));
    if (pair.fd != other.fd && pair.fd != other.peer_fd)
        close(pair.fd);
    close_pair(&other);
    assert_false(connection_has_ended((struct broker_connection){0}));
}

static void
connection_over_loopback_is_local_and_so_is_ipc(void **state)
{
    (void)state;
    struct pair four, six;
    int fds[2];
    assert_true(connect_pair(&four, AF_INET));
    assert_true(connection_is_local(four.connection, "127.0.0.1"));
    assert_true(connection_is_local(four.connection, "127.1.2.3"));
    assert_true(connection_is_local(four.connection, "::ffff:127.0.0.1"));
    if (connect_pair(&six, AF_INET6)) {
        assert_true(connection_is_local(six.connection, "::1"));
        close_pair(&six);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(connection_is_local(connection_of(fds[0]), "localhost:0:0:1"));
    close(fds[0]);
    close(fds[1]);
    close_pair(&four);
}

static void
connection_of_which_either_side_says_otherwise_is_not_local(void **state)
{
    (void)state;
    static const char *const elsewhere[] = {"",           "10.0.0.1",        "128.0.0.1",
                                            "::2",        "::ffff:10.0.0.1", "localhost",
                                            "127.0.0.1 ", "127.0.0"};
    struct pair pair;
    assert_true(connect_pair(&pair, AF_INET));
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        assert_false(connection_is_local(pair.connection, elsewhere[i]));
    close_pair(&pair);
    assert_false(connection_is_local(pair.connection, "127.0.0.1")); // it is no connection
    assert_false(connection_is_local((struct broker_connection){0}, "127.0.0.1"));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_false(connection_is_local(connection_of(fd), "127.0.0.1"));
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peer_that_says_nothing_is_silent_and_one_that_speaks_is_not),
        cmocka_unit_test(what_we_have_not_read_is_not_the_peers_silence),
        cmocka_unit_test(descriptor_that_is_another_connections_by_now_is_not_meant),
        cmocka_unit_test(what_is_no_tcp_connection_is_never_silent),
        cmocka_unit_test(connection_has_ended_when_its_descriptor_is_closed_or_anothers),
        cmocka_unit_test(connection_over_loopback_is_local_and_so_is_ipc),
        cmocka_unit_test(connection_of_which_either_side_says_otherwise_is_not_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
