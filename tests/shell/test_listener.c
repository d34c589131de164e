// test_listener.c - counting connections, on real sockets.

#include "listener.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

enum {
    CONNECTIONS_MAX = 10,
    ANSWER_MS = 200, // loopback answers at once or never
    PATIENCE_MS = 10000
};

struct fixture {
    zsock_t *socket;
    struct listener listener;
    struct sockaddr_in address;
};

static int
set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->socket = zsock_new(ZMQ_ROUTER);
    assert_true(listener_init(&self->listener, zsock_resolve(self->socket), CONNECTIONS_MAX));
    assert_int_equal(listener_bind(&self->listener, "tcp://127.0.0.1:*"), 0);
    const char *colon = strrchr(listener_endpoint(&self->listener), ':');
    self->address.sin_family = AF_INET;
    self->address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    self->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *self = *state;
    listener_release(&self->listener);
    zsock_destroy(&self->socket);
    free(self);
    return 0;
}

// dial makes a TCP connection; -1 where nobody takes it.
static int
dial(const struct fixture *self)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    connect(fd, (const struct sockaddr *)&self->address, sizeof self->address);
    struct pollfd item = {.fd = fd, .events = POLLOUT};
    if (poll(&item, 1, ANSWER_MS) == 1 && !(item.revents & (POLLERR | POLLHUP)))
        return fd;
    close(fd);
    return -1;
}

// pump_until counts events until there are so many connections, or time is over.
static bool
pump_until(struct fixture *self, size_t connections)
{
    int64_t end = zclock_mono() + PATIENCE_MS;
    while (self->listener.connections != connections && zclock_mono() < end) {
        zmq_pollitem_t item = {.socket = self->listener.monitor, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 100);
        listener_pump(&self->listener);
    }
    return self->listener.connections == connections;
}

// dial_until tries until a connection is taken (true), or is not (false).
static bool
dial_until(struct fixture *self, bool is_wanted)
{
    int64_t end = zclock_mono() + PATIENCE_MS;
    do {
        int fd = dial(self);
        if (fd >= 0)
            close(fd);
        if ((fd >= 0) == is_wanted)
            return true;
        listener_pump(&self->listener);
        zclock_sleep(5);
    } while (zclock_mono() < end);
    return false;
}

static void
wildcard_port_is_shown_as_the_real_one(void **state)
{
    struct fixture *self = *state;
    assert_null(strchr(listener_endpoint(&self->listener), '*'));
    assert_true(ntohs(self->address.sin_port) > 0);
}

static void
endpoint_in_use_is_an_error(void **state)
{
    struct fixture *self = *state;
    char endpoint[LISTENER_ENDPOINT_BYTES];
    snprintf(endpoint, sizeof endpoint, "%s", listener_endpoint(&self->listener));
    assert_int_equal(listener_bind(&self->listener, endpoint), EADDRINUSE);
}

// has_ipv6: has this machine ::1?
static bool
has_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool is_there = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return is_there;
}

static void
ipv6_address_is_bound_beside_one_of_ipv4(void **state)
{
    struct fixture *self = *state;
    if (!has_ipv6())
        skip();
    assert_int_equal(listener_bind(&self->listener, "tcp://[::1]:*"), 0);
    assert_memory_equal(listener_endpoint(&self->listener), "tcp://[::1]:", 12);
    assert_int_equal(listener_bind(&self->listener, "tcp://127.0.0.1:*"), 0);
    assert_memory_equal(listener_endpoint(&self->listener), "tcp://127.0.0.1:", 16);
}

static void
it_takes_no_more_at_nine_tenths_and_takes_them_again_below_eight(void **state)
{
    struct fixture *self = *state;
    int fds[9];
    for (size_t i = 0; i < 9; i++) {
        fds[i] = dial(self);
        assert_true(fds[i] >= 0);
    }
    assert_true(pump_until(self, 9));
    assert_true(self->listener.is_closed);
    assert_true(dial_until(self, false));
    // Those that are there stay.
    assert_int_equal(self->listener.connections, 9);

    // At eight tenths, which is not below them, it does not yet.
    close(fds[8]);
    assert_true(pump_until(self, 8));
    assert_true(self->listener.is_closed);
    close(fds[7]);
    assert_true(pump_until(self, 7));
    assert_false(self->listener.is_closed);

    for (size_t i = 0; i < 7; i++)
        close(fds[i]);
    assert_true(pump_until(self, 0));
    assert_false(self->listener.is_closed);
    assert_true(dial_until(self, true));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wildcard_port_is_shown_as_the_real_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(endpoint_in_use_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ipv6_address_is_bound_beside_one_of_ipv4, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            it_takes_no_more_at_nine_tenths_and_takes_them_again_below_eight, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
