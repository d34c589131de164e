// test_wait.c - a wait ends for what it should end for, and for nothing else.

#include "wait.h"

#include <czmq.h>
#include <galleon/status.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;

static int epoll_fd;
static int event_fd;

static int
set_up(void **state)
{
    (void)state;
    zsys_init();
    zsys_interrupted = 0;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    event_fd = eventfd(0, EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event);
}

static int
tear_down(void **state)
{
    (void)state;
    zsys_interrupted = 0;
    close(event_fd);
    close(epoll_fd);
    return 0;
}

static void
past_deadline_does_not_wait(void **state)
{
    (void)state;
    assert_int_equal(wait_until(epoll_fd, 0), WAIT_DEADLINE);
    assert_int_equal(wait_until(epoll_fd, galleon_now_ns()), WAIT_DEADLINE);
}

static void
wait_ends_at_its_deadline_and_not_before(void **state)
{
    (void)state;
    uint64_t deadline_ns = galleon_now_ns() + 20 * ms;
    assert_int_equal(wait_until(epoll_fd, deadline_ns), WAIT_DEADLINE);
    assert_true(galleon_now_ns() >= deadline_ns);
}

static void
ready_descriptor_ends_the_wait(void **state)
{
    (void)state;
    uint64_t one = 1;
    assert_int_equal(write(event_fd, &one, sizeof one), sizeof one);
    assert_int_equal(wait_until(epoll_fd, UINT64_MAX), WAIT_READY);
    assert_int_equal(wait_until(epoll_fd, 0), WAIT_READY);
}

// A signal is sent to a thread that may or may not have come to its wait yet.
static void *
wait_for_ever(void *argument)
{
    enum wait_result *result = argument;
    *result = wait_until(epoll_fd, UINT64_MAX);
    return NULL;
}

static void
signal_ends_the_wait_whenever_it_comes(void **state)
{
    (void)state;
    for (int turn = 0; turn < 200; turn++) {
        zsys_interrupted = 0;
        enum wait_result result = WAIT_DEADLINE;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, &result), 0);
        assert_int_equal(pthread_kill(thread, SIGTERM), 0);
        pthread_join(thread, NULL);
        assert_int_equal(result, WAIT_INTERRUPTED);
    }
}

static void
interrupted_process_does_not_wait(void **state)
{
    (void)state;
    raise(SIGINT);
    assert_true(zsys_interrupted);
    assert_int_equal(wait_until(epoll_fd, UINT64_MAX), WAIT_INTERRUPTED);
}

static void
on_signal(int number)
{
    (void)number;
}

static void
other_signal_does_not_end_the_wait(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    // Every millisecond, until the deadline.
    struct itimerval often = {{0, 1000}, {0, 1000}};
    struct itimerval never = {{0, 0}, {0, 0}};
    uint64_t deadline_ns = galleon_now_ns() + 30 * ms;
    setitimer(ITIMER_REAL, &often, NULL);
    enum wait_result result = wait_until(epoll_fd, deadline_ns);
    setitimer(ITIMER_REAL, &never, NULL);
    assert_int_equal(result, WAIT_DEADLINE);
    assert_true(galleon_now_ns() >= deadline_ns);
}

static void
callers_mask_is_as_it_was(void **state)
{
    (void)state;
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    wait_until(epoll_fd, 0);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    assert_int_equal(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(past_deadline_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wait_ends_at_its_deadline_and_not_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(ready_descriptor_ends_the_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signal_ends_the_wait_whenever_it_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(interrupted_process_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_signal_does_not_end_the_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(callers_mask_is_as_it_was, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
