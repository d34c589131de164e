// galleon/status.h - what every call of the library can return.
//
// A call returns 0 (GALLEON_OK) or one of these negative numbers. The table is
// an X-macro, so that a program can make its own switch or list from it.

#ifndef GALLEON_STATUS_H
#define GALLEON_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GALLEON_API
#define GALLEON_API __attribute__((visibility("default")))
#endif

#define GALLEON_STATUS_MAP(X)                                                                      \
    X(GALLEON_OK, 0, "ok")                                                                         \
    X(GALLEON_INTERRUPTED, -1, "interrupted by a signal or shutdown")                              \
    X(GALLEON_TIMED_OUT, -2, "no reply; every retry used up")                                      \
    X(GALLEON_NO_SERVICE, -3, "the broker knows no such service")                                  \
    X(GALLEON_PENDING, -4, "accepted, not finished yet")                                           \
    X(GALLEON_UNKNOWN_ID, -5, "no such request")                                                   \
    X(GALLEON_BUSY, -6, "a configured limit is reached")                                           \
    X(GALLEON_PROTOCOL, -7, "the peer broke the protocol")                                         \
    X(GALLEON_STORE, -8, "the store failed; nothing was accepted")                                 \
    X(GALLEON_NO_MEMORY, -9, "out of memory")                                                      \
    X(GALLEON_LOST, -10, "the peer was lost; not delivered")                                       \
    X(GALLEON_REFUSED, -11, "answered with an error status")

enum galleon_status {
#define X(name, value, text) name = value,
    GALLEON_STATUS_MAP(X)
#undef X
};

// galleon_strerror is the text of a status, for people; never NULL.
GALLEON_API const char *galleon_strerror(int status);

// galleon_now_ns reads the clock that every now_ns and deadline of the library
// is on: CLOCK_BOOTTIME (CLOCK_MONOTONIC where there is none).
GALLEON_API uint64_t galleon_now_ns(void);

#ifdef __cplusplus
}
#endif

#endif
