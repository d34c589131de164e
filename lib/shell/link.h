// link.h - one connection of a worker or a client to one broker or queue.
//
// A DEALER with everything set that protocols need: RCVHWM 0 (a full receive
// queue would keep libzmq from answering PINGs), and a monitor that tells when the
// connection is made and when it is cut. What else it does is one of two manners.

#ifndef GALLEON_LINK_H
#define GALLEON_LINK_H

#include "inbox.h"
#include "packer.h"

#include <czmq.h>

// A link beats by itself: the other end never has silence for so long, whatever we do.
enum { LINK_SILENCE_MS = 3000 };

enum link_manner {
    // Nothing queues for a dead connection: what is sent after a cut is refused (IMMEDIATE).
    // What had arrived before it goes too. libzmq connects again by itself. For workers: an
    // answer must not be lost unseen, and a request of a connection that is cut is not theirs.
    LINK_KEEPS_ANSWERS,
    // What arrived before a cut can still be read: the last answers of a broker that ends. One
    // connection, and another link for the next. For clients, who keep what they have sent.
    LINK_READS_ON
};

enum link_event {
    LINK_NOTHING,
    LINK_UP,     // connected: what is sent goes out now
    LINK_DOWN,   // the connection is cut
    LINK_REFUSED // READS_ON: it could not be made
};

struct link {
    void *handle;      // libzmq's socket; NULL: not open
    void *monitor;     // a PAIR, for its events
    bool is_connected; // by the monitor's word
    bool is_up;        // by ours: UP was said, and DOWN was not
    enum link_manner manner;
    bool has_shaken;    // READS_ON: the other end speaks ZMTP
    uint64_t shaken_ns; // READS_ON: it is taken to do so from then on
    struct packer packer;
};

// link_open makes a socket and begins to connect. routing_id is what it is called
// (NULL: libzmq draws one); message_bytes_max is what the peer takes. Returns GALLEON_OK,
// GALLEON_NO_MEMORY (also where no socket or descriptor is left), or GALLEON_PROTOCOL
// where the endpoint is none. inproc connections are made at once and never seen to be cut.
int link_open(struct link *self, enum link_manner manner, const char *endpoint,
              const char *routing_id, size_t message_bytes_max);

// link_close lets what was sent go out for at most linger_ms, without waiting for
// it. What is still packed goes: its entries must have been taken care of.
void link_close(struct link *self, int linger_ms);

static inline bool
link_is_open(const struct link *self)
{
    return self->handle != NULL;
}

// link_watch adds the descriptors of the link to an epoll set; link_unwatch
// before link_close takes them out. Returns 0 or an errno.
int link_watch(struct link *self, int epoll_fd);
void link_unwatch(struct link *self, int epoll_fd);

// link_event takes the next event of the connection.
enum link_event link_event(struct link *self);

// link_deadline is when to ask for an event though no descriptor tells of one, UINT64_MAX for
// never.
uint64_t link_deadline(const struct link *self);

// link_has_input: is there a message, or an event? To be asked before each wait
// on the descriptors, which are edges and not levels: a send too may have taken
// the edge.
bool link_has_input(struct link *self);

// link_send sends one record of 0.1 or 0.2 without waiting: record->body's frames,
// then those of `body` (NULL: none). A body of no frames is sent as one empty frame.
// Returns 0, or the errno of the refused first frame: then nothing was sent.
int link_send(struct link *self, const struct mdp_record *record, bool has_delimiter,
              const struct cargo *body);

// link_send_frames sends a message that is no record of MDP in the same way: one frame or
// more and, where is_more is true, the frames of `body` (NULL: one empty frame).
int link_send_frames(struct link *self, const struct view *frames, size_t count, bool is_more,
                     const struct cargo *body);

#endif
