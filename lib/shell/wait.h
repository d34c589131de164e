// wait.h - wait on an epoll set until something happens, it is time, or a signal.

#ifndef GALLEON_WAIT_H
#define GALLEON_WAIT_H

#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

enum wait_result {
    WAIT_READY,
    WAIT_DEADLINE,
    WAIT_INTERRUPTED // czmq has seen SIGINT or SIGTERM (zsys_interrupted)
};

// wait_is_interrupted: has czmq seen SIGINT or SIGTERM, or has the program said so? Any
// thread may ask.
static inline bool
wait_is_interrupted(void)
{
    return __atomic_load_n(&zsys_interrupted, __ATOMIC_RELAXED) != 0;
}

// wait_until returns at deadline_ns on galleon_now_ns's clock at the latest,
// UINT64_MAX being never. A signal that comes between the caller's last look and
// the wait is not missed: signals are let in only while it waits.
enum wait_result wait_until(int epoll_fd, uint64_t deadline_ns);

#endif
