// bstar_socket.h - the sockets between the members of a pair.
//
// What is lost here is said again soon, so little waits anywhere: nothing for who is not
// connected, a few messages for who does not read. Both ends beat by ZMTP, but towards a
// Guide's half, which may not know how: a cut that no packet tells of is noticed.

#ifndef GALLEON_BSTAR_SOCKET_H
#define GALLEON_BSTAR_SOCKET_H

#include "inbox.h"
#include "listener.h"

enum {
    BSTAR_BYTES_MAX = 1024, // of a frame; who sends more is cut off
    BSTAR_QUEUED_MAX = 1024 // more than this in one turn is a flood
};

// bstar_socket_bind makes a socket that serves. Returns 0 or an errno; in both cases
// bstar_socket_unbind is to follow.
int bstar_socket_bind(struct listener *listener, int type, const char *endpoint, bool is_guide);
void bstar_socket_unbind(struct listener *listener);

// bstar_socket_new makes one that is to connect, NULL without memory or descriptors;
// bstar_socket_connect has it watched, and begins; it returns 0 or an errno.
void *bstar_socket_new(int type, const char *endpoint, bool is_guide);
int bstar_socket_connect(void *handle, const char *endpoint, int epoll_fd);
// bstar_socket_close closes it and leaves NULL. What was sent may go out for a moment.
void bstar_socket_close(void **handle_p, int epoll_fd);

#endif
