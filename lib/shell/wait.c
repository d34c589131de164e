// wait.c - one epoll_pwait, with the signals that end a program let in only there.

#include "wait.h"

#include <errno.h>
#include <galleon/status.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>

// timeout_ms is what is left until the deadline, rounded up: a wait that ends a
// little early would only turn into another.
static int
timeout_ms(uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX)
        return -1;
    uint64_t now_ns = galleon_now_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t left_ms = (deadline_ns - now_ns + 999999) / 1000000;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

enum wait_result
wait_until(int epoll_fd, uint64_t deadline_ns)
{
    sigset_t ours;
    sigset_t callers;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ours, &callers);

    enum wait_result result = WAIT_INTERRUPTED;
    while (!wait_is_interrupted()) {
        struct epoll_event event;
        int left_ms = timeout_ms(deadline_ns);
        int count = epoll_pwait(epoll_fd, &event, 1, left_ms, &callers);
        if (count > 0) {
            result = WAIT_READY;
            break;
        }
        // Interrupted by a signal that is none of ours, or a deadline so far away that
        // epoll cannot wait for it at once: on it goes.
        if (count == 0 && left_ms < INT_MAX) {
            result = WAIT_DEADLINE;
            break;
        }
        if (count < 0 && errno != EINTR) {
            result = WAIT_DEADLINE;
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    return result;
}
