// bstar_line.h - a connection to another member, which is never given up.
//
// libzmq connects again by itself, but not to who broke its protocol: what is at the endpoint
// for a moment may be none of ours, or send too much. So a line that libzmq does nothing about
// is begun anew.

#ifndef GALLEON_BSTAR_LINE_H
#define GALLEON_BSTAR_LINE_H

#include <stdbool.h>
#include <stdint.h>

struct bstar_line {
    void *handle; // libzmq's socket; NULL: it could not be made, and is tried again
    void *monitor;
    int type;
    const char *endpoint; // lives as long; NULL: no line
    bool is_guide;
    int epoll_fd;
    bool is_up;
    bool is_joined;    // and a socket that fits ours is there (not known of inproc and old libzmqs)
    uint64_t failures; // handshakes, one after the other
    uint64_t said_ns;  // that they fail; 0: it was not
    uint64_t quiet_ns; // since then libzmq has done nothing about it; 0: not known yet
};

// bstar_line_open begins to connect, and has epoll_fd watch it. Returns 0 or an errno, which is of
// the first attempt only; bstar_line_close is to follow in both cases.
int bstar_line_open(struct bstar_line *self, int type, const char *endpoint, bool is_guide,
                    int epoll_fd);
// bstar_line_close lets what was sent go out for a moment.
void bstar_line_close(struct bstar_line *self);

// bstar_line_look looks what became of it, and begins anew where nothing does.
void bstar_line_look(struct bstar_line *self, uint64_t now_ns);

// bstar_line_drop drops all that is on its way to us, with the connection, and begins anew.
void bstar_line_drop(struct bstar_line *self);

#endif
