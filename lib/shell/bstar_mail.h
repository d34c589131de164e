// bstar_mail.h - guarded: what the members of a pair say to each other.
//
// A ROUTER takes what others ask; a half asks by a DEALER to its peer and one to the witness,
// where the answers come. Where a request came from is a number (a route) to the core: the
// name that the ROUTER gave its connection. Who brings a name of its own is none of ours.

#ifndef GALLEON_BSTAR_MAIL_H
#define GALLEON_BSTAR_MAIL_H

#include "bstar_core.h"
#include "bstar_line.h"
#include "bstar_socket.h"

enum { BSTAR_OTHERS = 2 }; // by enum bstar_sender

struct bstar_mail {
    struct listener door;                  // ROUTER
    struct bstar_line lines[BSTAR_OTHERS]; // DEALERs
    int epoll_fd;
    struct inbox inbox;
    size_t taken; // of the socket that is read, in this turn
    size_t at;    // which one that is
    uint64_t sequence;
};

struct bstar_letter {
    enum bstar_sender sender;
    uint64_t route; // 0: nobody to reply to
    enum bstar_fault fault;
    struct bstar_message message;
};

// bstar_mail_open returns 0 or an errno; in both cases bstar_mail_close is to follow. Endpoints
// live as long as the mail; a witness has no peer and no witness: NULL.
int bstar_mail_open(struct bstar_mail *self, const char *bind, const char *peer,
                    const char *witness, int epoll_fd);
void bstar_mail_close(struct bstar_mail *self);

// bstar_mail_send and bstar_mail_reply drop what nobody can take now.
void bstar_mail_send(struct bstar_mail *self, enum bstar_sender to,
                     const struct bstar_message *message);
void bstar_mail_reply(struct bstar_mail *self, uint64_t route, const struct bstar_message *message);

// bstar_mail_begin begins a turn of reading, bstar_mail_next takes the next message of it. False:
// there is none now. Of a flood the rest waits, or is dropped with its connection.
static inline void
bstar_mail_begin(struct bstar_mail *self)
{
    self->at = 0;
    self->taken = 0;
}
bool bstar_mail_next(struct bstar_mail *self, struct bstar_letter *letter_out);
// bstar_mail_look looks after the connections.
void bstar_mail_look(struct bstar_mail *self, uint64_t now_ns);
// bstar_mail_reaches: is there a connection to it? Whoever accepts one may still answer nothing.
static inline bool
bstar_mail_reaches(const struct bstar_mail *self, enum bstar_sender whom)
{
    return self->lines[whom].is_joined;
}
bool bstar_mail_has_input(const struct bstar_mail *self);

#endif
