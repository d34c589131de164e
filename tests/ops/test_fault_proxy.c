// test_fault_proxy.c - a server and clients on plain sockets, and a proxy between them.

#include "fault_proxy.h"

#include <galleon/status.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

enum {
    PATIENCE_MS = 10000,
    QUIET_MS = 50, // in which nothing may come
    LARGE = 1000000
};

// A server that listens, and one connection to it by way of the proxy.
struct scene {
    int listen_fd;
    struct fault_proxy *proxy;
    int client_fd;
    int server_fd;
};

static uint64_t
now_ms(void)
{
    return galleon_now_ns() / 1000000;
}

static int
connect_to(const char *endpoint)
{
    unsigned port;
    assert_int_equal(sscanf(endpoint, "tcp://127.0.0.1:%u", &port), 1);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static bool
has_events(int fd, short events, int ms)
{
    struct pollfd item = {.fd = fd, .events = events};
    return poll(&item, 1, ms) == 1;
}

static int
accept_server(const struct scene *scene)
{
    assert_true(has_events(scene->listen_fd, POLLIN, PATIENCE_MS));
    return accept4(scene->listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

static int
set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char endpoint[64];
    assert_non_null(scene);
    scene->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene->listen_fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(scene->listen_fd, 8), 0);
    getsockname(scene->listen_fd, (struct sockaddr *)&address, &size);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    scene->proxy = fault_proxy_new(endpoint);
    assert_non_null(scene->proxy);
    scene->client_fd = connect_to(fault_proxy_endpoint(scene->proxy));
    scene->server_fd = accept_server(scene);
    *state = scene;
    return 0;
}

static int
tear_down(void **state)
{
    struct scene *scene = *state;
    fault_proxy_destroy(&scene->proxy);
    close(scene->client_fd);
    close(scene->server_fd);
    close(scene->listen_fd);
    free(scene);
    return 0;
}

static void
assert_arrives(int fd, const char *text)
{
    char bytes[64] = "";
    size_t size = 0;
    while (size < strlen(text)) {
        assert_true(has_events(fd, POLLIN, PATIENCE_MS));
        ssize_t more = recv(fd, bytes + size, sizeof bytes - 1 - size, 0);
        assert_true(more > 0);
        size += (size_t)more;
    }
    assert_string_equal(bytes, text);
}

static void
say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

// ---- the tests --------------------------------------------------------------------------------

static void
bytes_pass_both_ways(void **state)
{
    struct scene *scene = *state;
    say(scene->client_fd, "question");
    assert_arrives(scene->server_fd, "question");
    say(scene->server_fd, "answer");
    assert_arrives(scene->client_fd, "answer");
    assert_int_equal(fault_proxy_connections(scene->proxy), 1);
}

static void
many_bytes_stay_in_order(void **state)
{
    struct scene *scene = *state;
    uint32_t sent = 0;
    uint32_t received = 0;
    uint8_t bytes[5000];
    while (received < LARGE) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)((sent + i) * 7 >> 3);
        ssize_t size =
            sent == LARGE ? 0 : send(scene->client_fd, bytes, sizeof bytes, MSG_DONTWAIT);
        sent += size > 0 ? (uint32_t)size : 0;
        size = recv(scene->server_fd, bytes, sizeof bytes, sent == LARGE ? 0 : MSG_DONTWAIT);
        for (ssize_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], (uint8_t)((received++) * 7 >> 3));
    }
}

static void
end_of_one_direction_is_passed_on_after_its_bytes(void **state)
{
    struct scene *scene = *state;
    char byte;
    say(scene->client_fd, "last");
    shutdown(scene->client_fd, SHUT_WR);
    assert_arrives(scene->server_fd, "last");
    assert_int_equal(recv(scene->server_fd, &byte, 1, 0), 0);
    say(scene->server_fd, "answer");
    assert_arrives(scene->client_fd, "answer");
    close(scene->server_fd);
    scene->server_fd = -1;
    assert_int_equal(recv(scene->client_fd, &byte, 1, 0), 0);
}

static void
delay_makes_bytes_late_each_way(void **state)
{
    struct scene *scene = *state;
    const struct fault_proxy_faults faults = {.delay_ms = 100};
    fault_proxy_set(scene->proxy, &faults);
    uint64_t start_ms = now_ms();
    say(scene->client_fd, "question");
    assert_arrives(scene->server_fd, "question");
    assert_true(now_ms() - start_ms >= 99);
    say(scene->server_fd, "answer");
    assert_arrives(scene->client_fd, "answer");
    assert_true(now_ms() - start_ms >= 199);
}

static void
stall_of_one_direction_leaves_the_other_alone(void **state)
{
    struct scene *scene = *state;
    const struct fault_proxy_faults stall = {.stalls_forward = true};
    const struct fault_proxy_faults none = {0};
    fault_proxy_set(scene->proxy, &stall);
    say(scene->client_fd, "question");
    say(scene->server_fd, "news");
    assert_arrives(scene->client_fd, "news");
    assert_false(has_events(scene->server_fd, POLLIN, QUIET_MS));
    fault_proxy_set(scene->proxy, &none);
    assert_arrives(scene->server_fd, "question");
}

static void
stall_hides_the_end_of_a_peer(void **state)
{
    struct scene *scene = *state;
    const struct fault_proxy_faults stall = {.stalls_forward = true, .stalls_back = true};
    const struct fault_proxy_faults none = {0};
    char byte;
    fault_proxy_set(scene->proxy, &stall);
    close(scene->client_fd);
    scene->client_fd = -1;
    assert_false(has_events(scene->server_fd, POLLIN, QUIET_MS));
    fault_proxy_set(scene->proxy, &none);
    assert_true(has_events(scene->server_fd, POLLIN, PATIENCE_MS));
    assert_int_equal(recv(scene->server_fd, &byte, 1, 0), 0);
}

static void
cut_resets_both_ends_and_new_connections_are_served(void **state)
{
    struct scene *scene = *state;
    char byte;
    fault_proxy_cut(scene->proxy);
    assert_int_equal(recv(scene->client_fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(recv(scene->server_fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(fault_proxy_connections(scene->proxy), 0);
    close(scene->client_fd);
    close(scene->server_fd);
    scene->client_fd = connect_to(fault_proxy_endpoint(scene->proxy));
    scene->server_fd = accept_server(scene);
    bytes_pass_both_ways(state);
}

static void
refused_connection_is_reset_and_others_stay(void **state)
{
    struct scene *scene = *state;
    const struct fault_proxy_faults faults = {.refuses = true};
    char byte;
    fault_proxy_set(scene->proxy, &faults);
    int fd = connect_to(fault_proxy_endpoint(scene->proxy));
    assert_true(has_events(fd, POLLIN, PATIENCE_MS));
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    close(fd);
    bytes_pass_both_ways(state);
}

static void
client_is_reset_where_there_is_no_server(void **state)
{
    struct scene *scene = *state;
    char byte;
    close(scene->listen_fd);
    int fd = connect_to(fault_proxy_endpoint(scene->proxy));
    assert_true(has_events(fd, POLLIN, PATIENCE_MS));
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    close(fd);
    scene->listen_fd = -1;
}

static void
what_is_no_endpoint_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "tcp://127.0.0.1",
                                        "tcp://127.0.0.1:0",
                                        "tcp://localhost:5",
                                        "tcp://127.0.0.1:99999",
                                        "ipc:///x"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(fault_proxy_new(wrong[i]));
        assert_int_equal(errno, EINVAL);
    }
}

int
main(void)
{
#define scene_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        scene_test(bytes_pass_both_ways),
        scene_test(many_bytes_stay_in_order),
        scene_test(end_of_one_direction_is_passed_on_after_its_bytes),
        scene_test(delay_makes_bytes_late_each_way),
        scene_test(stall_of_one_direction_leaves_the_other_alone),
        scene_test(stall_hides_the_end_of_a_peer),
        scene_test(cut_resets_both_ends_and_new_connections_are_served),
        scene_test(refused_connection_is_reset_and_others_stay),
        scene_test(client_is_reset_where_there_is_no_server),
        cmocka_unit_test(what_is_no_endpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
