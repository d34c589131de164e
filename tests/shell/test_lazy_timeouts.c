// test_lazy_timeouts.c - timeouts by the thousand, and never more than one socket.
//
//     test_lazy_timeouts [TIMEOUTS]
//
// The Guide's client, which closes and opens as fast as it can, runs out of descriptors. The
// servers are in a process of their own, so that every descriptor counted is the client's.

#include <galleon/lazy_pirate.h>

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

enum {
    TIMEOUTS = 2000,
    ATTEMPTS = 100, // of a call
    // libzmq closes in a thread of its own: the socket before, its connection, and what opens.
    SPARE = 24,
    PATIENCE_MS = 10000
};

static unsigned timeouts = TIMEOUTS;

static unsigned
count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    unsigned count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

// ---- servers ---------------------------------------------------------------------------------

struct servers {
    pid_t child;
    char silent[64]; // takes requests, and never replies
    char deaf[64];   // takes connections, and never says a word
};

static _Noreturn void
serve(int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    void *context = zmq_ctx_new();
    void *silent = zmq_socket(context, ZMQ_ROUTER);
    void *deaf = zmq_socket(context, ZMQ_STREAM);
    char text[2][64] = {""};
    size_t size = sizeof text[0];
    if (zmq_bind(silent, "tcp://127.0.0.1:*") != 0 || zmq_bind(deaf, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(silent, ZMQ_LAST_ENDPOINT, text[0], &size) != 0 ||
        zmq_getsockopt(deaf, ZMQ_LAST_ENDPOINT, text[1], (size = sizeof text[1], &size)) != 0 ||
        write(fd, text, sizeof text) != (ssize_t)sizeof text)
        _exit(1);
    zmq_pollitem_t items[2] = {{.socket = silent, .events = ZMQ_POLLIN},
                               {.socket = deaf, .events = ZMQ_POLLIN}};
    char bytes[256];
    while (zmq_poll(items, 2, -1) > 0)
        for (size_t i = 0; i < 2; i++)
            while (zmq_recv(items[i].socket, bytes, sizeof bytes, ZMQ_DONTWAIT) >= 0)
                continue;
    _exit(1);
}

static int
start_servers(void **state)
{
    static struct servers servers;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    servers.child = fork();
    assert_true(servers.child >= 0);
    if (servers.child == 0)
        serve(fds[1]);
    close(fds[1]);
    char text[2][64];
    assert_int_equal(read(fds[0], text, sizeof text), sizeof text);
    close(fds[0]);
    memcpy(servers.silent, text[0], sizeof text[0]);
    memcpy(servers.deaf, text[1], sizeof text[1]);
    *state = &servers;
    return 0;
}

static int
stop_servers(void **state)
{
    struct servers *servers = *state;
    kill(servers->child, SIGKILL);
    return waitpid(servers->child, NULL, 0) == servers->child ? 0 : -1;
}

// ---- the client ------------------------------------------------------------------------------

static unsigned most; // descriptors seen

static void
look(void *ctx, const char *endpoint, uint32_t attempt)
{
    (void)ctx;
    (void)endpoint;
    (void)attempt;
    unsigned count = count_descriptors();
    if (count > most)
        most = count;
}

// time_out lets so many attempts end by their time, and the descriptors be counted.
static void
time_out(const char *const *endpoints, size_t endpoint_count)
{
    lazy_pirate_options_t options = {.timeout_ms = 1, .attempts = ATTEMPTS, .on_retry = look};
    lazy_pirate_t *client = lazy_pirate_new(endpoints, endpoint_count, &options);
    assert_non_null(client);
    unsigned before = count_descriptors();
    most = before;
    for (unsigned i = 0; i < timeouts / ATTEMPTS; i++) {
        zmsg_t *request = zmsg_new();
        zmsg_addstr(request, "hello");
        zmsg_t *reply;
        assert_int_equal(lazy_pirate_call(client, &request, &reply), GALLEON_TIMED_OUT);
    }
    lazy_pirate_stats_t stats;
    lazy_pirate_stats(client, &stats);
    assert_int_equal(stats.timeouts + stats.cuts, timeouts / ATTEMPTS * ATTEMPTS);
    print_message("%llu timeouts, %llu sent, %u descriptors at most, %u before\n",
                  (unsigned long long)stats.timeouts, (unsigned long long)stats.requests_sent, most,
                  before);
    assert_in_range(most, before, before + SPARE);
    lazy_pirate_destroy(&client);
    // The epoll set of the client has gone, and what libzmq still closes goes.
    int64_t until_ms = zclock_mono() + PATIENCE_MS;
    while (count_descriptors() >= before && zclock_mono() < until_ms)
        zclock_sleep(5);
    assert_in_range(count_descriptors(), 0, before - 1);
}

static int
set_up(void **state)
{
    // libzmq's threads have descriptors of their own, which stay.
    zsock_t *first = zsock_new(ZMQ_PAIR);
    zsock_destroy(&first);
    return start_servers(state);
}

static void
timeouts_of_a_silent_server_leave_no_descriptor_behind(void **state)
{
    const struct servers *servers = *state;
    const char *endpoints[] = {servers->silent};
    time_out(endpoints, 1);
}

static void
timeouts_of_a_server_that_says_no_word_leave_no_descriptor_behind(void **state)
{
    const struct servers *servers = *state;
    const char *endpoints[] = {servers->deaf};
    time_out(endpoints, 1);
}

int
main(int argc, char **argv)
{
    if (argc > 1)
        timeouts = (unsigned)strtoul(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeouts_of_a_silent_server_leave_no_descriptor_behind),
        cmocka_unit_test(timeouts_of_a_server_that_says_no_word_leave_no_descriptor_behind),
    };
    return cmocka_run_group_tests_name("lazy_timeouts", tests, set_up, stop_servers);
}
