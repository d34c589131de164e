// monitor.h - what libzmq tells of a socket's connections.
//
// It tells by messages of a PAIR, whose descriptor (sockets_fd) can be watched.

#ifndef GALLEON_MONITOR_H
#define GALLEON_MONITOR_H

#include <stdint.h>

// monitor_open makes the PAIR that these events (ZMQ_EVENT_...) of the socket come out of; NULL
// where no socket or descriptor is left.
void *monitor_open(void *handle, int events);

// monitor_close ends it, if there is one, and leaves NULL. It comes before the socket is closed.
void monitor_close(void *handle, void **monitor_p);

// monitor_next returns the next event, 0 when there is none. Once it has returned 0 the
// descriptor tells when there is another.
uint16_t monitor_next(void *monitor);

#endif
