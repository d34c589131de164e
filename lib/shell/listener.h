// listener.h - the endpoints of a serving socket, and how many may connect.
//
// Each connection costs a descriptor; at the end of them libzmq's listener spins, and
// libzmq itself may end the process. So connections are counted, from the socket's own
// events: at 80 % of what there is the listener says so, at 90 % it takes no more, and
// below 80 % it does again. Connections that are there are left alone, which is why it
// does not unbind: libzmq would cut them all. The kernel drops the first packet of a
// new connection instead, and who connects goes on trying. (Over ipc it only says so.)

#ifndef GALLEON_LISTENER_H
#define GALLEON_LISTENER_H

#include <czmq.h>

enum { LISTENER_ENDPOINTS_MAX = 32, LISTENER_ENDPOINT_BYTES = 256 };

struct listener {
    void *handle;  // libzmq's socket
    void *monitor; // a PAIR for its events
    char endpoints[LISTENER_ENDPOINTS_MAX][LISTENER_ENDPOINT_BYTES];
    size_t endpoint_count;
    int fds[LISTENER_ENDPOINTS_MAX]; // that listen, as far as libzmq has told
    size_t fd_count;
    size_t connections;
    size_t connections_max;
    bool is_warned;
    bool is_closed;
};

// listener_init takes the limit from RLIMIT_NOFILE, less what the process needs
// itself; connections_max is for tests, 0 for that. False when out of memory or sockets.
bool listener_init(struct listener *self, void *handle, size_t connections_max);
void listener_release(struct listener *self);

// listener_bind returns 0 or an errno.
int listener_bind(struct listener *self, const char *endpoint);

// listener_endpoint is what was bound last, with its real port; "" before the first.
const char *listener_endpoint(const struct listener *self);

// listener_fd is to be watched; listener_pump then counts what has happened.
int listener_fd(const struct listener *self);
void listener_pump(struct listener *self);

#endif
