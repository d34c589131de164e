// bstar_mail.c - a ROUTER, two DEALERs, one frame each way.

#include "bstar_mail.h"

#include "bytes.h"
#include "log.h"
#include "sockets.h"

#include <errno.h>
#include <sys/epoll.h>

// A name that a ROUTER gives: a 0, and a number of 32 bits.
enum { ROUTE_BYTES = 5 };

static const uint64_t route_flag = (uint64_t)1 << 32; // so that no route is 0

static uint64_t
route_of(struct view name)
{
    if (name.size != ROUTE_BYTES || name.data[0] != 0)
        return 0;
    return route_flag | bytes_get32(name.data + 1);
}

static void
name_of(uint64_t route, uint8_t to[ROUTE_BYTES])
{
    to[0] = 0;
    bytes_put32(to + 1, (uint32_t)route);
}

// ---- making it ------------------------------------------------------------------------------

static int
connect_to(struct bstar_mail *self, enum bstar_sender whom, const char *endpoint)
{
    if (endpoint == NULL)
        return 0;
    return bstar_line_open(&self->lines[whom], ZMQ_DEALER, endpoint, false, self->epoll_fd);
}

int
bstar_mail_open(struct bstar_mail *self, const char *bind, const char *peer, const char *witness,
                int epoll_fd)
{
    *self = (struct bstar_mail){.epoll_fd = epoll_fd};
    // The routing id, and one frame.
    if (!inbox_init(&self->inbox, 2))
        return ENOMEM;
    int error = bstar_socket_bind(&self->door, ZMQ_ROUTER, bind, false);
    if (error != 0)
        return error;
    int fd = sockets_fd(self->door.handle);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return errno;
    error = connect_to(self, BSTAR_FROM_PEER, peer);
    return error != 0 ? error : connect_to(self, BSTAR_FROM_WITNESS, witness);
}

void
bstar_mail_close(struct bstar_mail *self)
{
    for (size_t i = 0; i < BSTAR_OTHERS; i++)
        bstar_line_close(&self->lines[i]);
    if (self->door.handle != NULL)
        epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, sockets_fd(self->door.handle), NULL);
    bstar_socket_unbind(&self->door);
    inbox_release(&self->inbox);
}

// ---- saying ---------------------------------------------------------------------------------

void
bstar_mail_send(struct bstar_mail *self, enum bstar_sender to, const struct bstar_message *message)
{
    if (self->lines[to].handle == NULL)
        return;
    struct bstar_message copy = *message;
    if (copy.command == BSTAR_BEAT)
        copy.sequence = ++self->sequence;
    uint8_t frame[BSTAR_MESSAGE_BYTES_MAX];
    size_t size = bstar_message_encode(&copy, frame);
    (void)zmq_send(self->lines[to].handle, frame, size, ZMQ_DONTWAIT);
}

void
bstar_mail_reply(struct bstar_mail *self, uint64_t route, const struct bstar_message *message)
{
    if (route == 0)
        return;
    uint8_t name[ROUTE_BYTES];
    uint8_t frame[BSTAR_MESSAGE_BYTES_MAX];
    name_of(route, name);
    size_t size = bstar_message_encode(message, frame);
    // Who is gone, or does not read, is refused at the first frame.
    if (zmq_send(self->door.handle, name, ROUTE_BYTES, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0)
        (void)zmq_send(self->door.handle, frame, size, ZMQ_DONTWAIT);
}

// ---- reading --------------------------------------------------------------------------------

static bool
is_reply(const struct bstar_message *message)
{
    return message->command == BSTAR_GRANT || message->command == BSTAR_DENY;
}

// read_request reads what came to the ROUTER: requests and beats.
static void
read_request(const struct bstar_mail *self, struct bstar_letter *letter)
{
    const struct inbox *inbox = &self->inbox;
    letter->sender = BSTAR_FROM_PEER;
    letter->route = route_of(inbox->frames[0]);
    letter->fault = bstar_message_decode(inbox->frames + 1, inbox->count - 1, &letter->message);
    if (letter->fault == BSTAR_SOUND && (letter->route == 0 || is_reply(&letter->message)))
        letter->fault = BSTAR_BAD_SENDER;
}

// read_reply reads what came to a DEALER: answers to what we asked.
static void
read_reply(const struct bstar_mail *self, enum bstar_sender sender, struct bstar_letter *letter)
{
    const struct inbox *inbox = &self->inbox;
    letter->sender = sender;
    letter->route = 0;
    letter->fault = bstar_message_decode(inbox->frames, inbox->count, &letter->message);
    if (letter->fault == BSTAR_SOUND && !is_reply(&letter->message))
        letter->fault = BSTAR_BAD_SENDER;
}

// socket_at: the ROUTER is the first, so that a beat is known before the answers to our own
// questions are.
static void *
socket_at(const struct bstar_mail *self, size_t at)
{
    return at == 0 ? self->door.handle : self->lines[at - 1].handle;
}

// leave_socket goes on to the next one.
static void
leave_socket(struct bstar_mail *self)
{
    // What else is at the ROUTER waits: its queues are bounded.
    if (self->at > 0 && self->taken > BSTAR_QUEUED_MAX) {
        log_warn("PAIR-FLOOD", "from=%s", self->lines[self->at - 1].endpoint);
        bstar_line_drop(&self->lines[self->at - 1]);
    }
    self->at++;
    self->taken = 0;
}

bool
bstar_mail_next(struct bstar_mail *self, struct bstar_letter *letter_out)
{
    while (self->at <= BSTAR_OTHERS) {
        void *handle = socket_at(self, self->at);
        if (handle == NULL || self->taken++ >= BSTAR_QUEUED_MAX ||
            !inbox_receive(&self->inbox, handle)) {
            leave_socket(self);
            continue;
        }
        if (self->at == 0)
            read_request(self, letter_out);
        else
            read_reply(self, (enum bstar_sender)(self->at - 1), letter_out);
        return true;
    }
    inbox_clear(&self->inbox);
    return false;
}

void
bstar_mail_look(struct bstar_mail *self, uint64_t now_ns)
{
    for (size_t i = 0; i < BSTAR_OTHERS; i++)
        bstar_line_look(&self->lines[i], now_ns);
}

bool
bstar_mail_has_input(const struct bstar_mail *self)
{
    for (size_t at = 0; at <= BSTAR_OTHERS; at++) {
        void *handle = socket_at(self, at);
        if (handle != NULL && (sockets_events(handle) & ZMQ_POLLIN))
            return true;
    }
    return false;
}
