// lazy_socket.h - the one connection of a Lazy Pirate client.
//
// A DEALER in place of a REQ: it never waits by itself, and does not mind a second request. A
// monitor tells when it is connected and when it is cut.

#ifndef GALLEON_LAZY_SOCKET_H
#define GALLEON_LAZY_SOCKET_H

#include "inbox.h"

#include <czmq.h>

enum lazy_socket_event {
    LAZY_SOCKET_NOTHING,
    LAZY_SOCKET_UP,     // connected: what is sent leaves once both have shaken hands
    LAZY_SOCKET_CUT,    // the connection is lost
    LAZY_SOCKET_UNSENT, // it is lost, and nothing has left
    LAZY_SOCKET_REFUSED // not connected; libzmq tries again by itself
};

struct lazy_socket {
    void *handle; // libzmq's; NULL: not open
    void *monitor;
    bool is_inproc;
    bool is_up;
    bool has_shaken; // hands: what was sent may have left
};

// lazy_socket_open makes a socket, begins to connect and adds it to an epoll set. False, with
// libzmq's errno, where that cannot be begun.
bool lazy_socket_open(struct lazy_socket *self, const char *endpoint, int epoll_fd);

// lazy_socket_close lets it go, with what it has not sent, and waits until libzmq has closed all
// of it, but not for long: descriptors do not gather, and the server does not see two connections.
void lazy_socket_close(struct lazy_socket *self, int epoll_fd);

// lazy_socket_receive takes a message, if there is one; lazy_socket_event what is new of the
// connection. What came before a cut can be received after it, too. When neither has anything
// the epoll set tells when one has.
bool lazy_socket_receive(struct lazy_socket *self, struct inbox *inbox);
enum lazy_socket_event lazy_socket_event(struct lazy_socket *self);

// lazy_socket_await waits for a message for LAZY_SOCKET_SOON_MS at most, as cheaply as can be,
// and for nothing else. Where both have not shaken hands yet it does not wait.
enum { LAZY_SOCKET_SOON_MS = 5 };
bool lazy_socket_await(struct lazy_socket *self, struct inbox *inbox);

// lazy_socket_send sends a request with the envelope of a REQ. It shares the frames' memory with
// the message. False where the socket takes nothing.
bool lazy_socket_send(struct lazy_socket *self, bool has_id, uint32_t id, zmsg_t *request);

#endif
