// broker_door.c - the options of a serving ROUTER.

#include "broker_door.h"

#include "sockets.h"

#include <galleon/status.h>

#include <errno.h>
#include <sys/random.h>

enum {
    PEER_SILENT_MS = 3000, // a peer whose host does not answer is gone
    RECEIVE_MARK = 32,     // messages of one peer that libzmq may hold for us
    HWM_SPARE = 64         // above the largest window
};

bool
broker_door_init(struct broker_door *self, uint64_t frame_bytes_max, uint32_t window)
{
    // libzmq draws the first routing id from the C library's generator.
    unsigned seed;
    *self = (struct broker_door){.handle = NULL};
    if (zsys_init() == NULL || getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return false;
    srand(seed);
    self->handle = sockets_new(ZMQ_ROUTER);
    if (self->handle == NULL)
        return false;
    // libzmq gives back room in steps of half the mark, so only half of it is sure.
    sockets_set(self->handle, ZMQ_ROUTER_MANDATORY, 1);
    sockets_set(self->handle, ZMQ_SNDHWM, 2 * (int)(window + HWM_SPARE));
    sockets_set(self->handle, ZMQ_RCVHWM, RECEIVE_MARK);
    sockets_set(self->handle, ZMQ_SNDTIMEO, 0);
    sockets_set(self->handle, ZMQ_LINGER, 0);
    sockets_set(self->handle, ZMQ_BACKLOG, 1024);
    sockets_set(self->handle, ZMQ_HANDSHAKE_IVL, 3000);
    // No ZMTP heartbeats from here: in libzmq 4.3.4 the timer of one ends the process
    // (`!_io_error`) when it finds a connection that ended while its input was stopped.
    // Our own peers beat instead (link.c), and their TTL ends a dead connection here;
    // for all others TCP has to notice.
    sockets_set(self->handle, ZMQ_TCP_MAXRT, PEER_SILENT_MS);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE_IDLE, 2);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE_INTVL, 1);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE_CNT, 3);
    sockets_set(self->handle, ZMQ_TCP_KEEPALIVE, 1);
    int64_t frame_max = (int64_t)frame_bytes_max;
    return zmq_setsockopt(self->handle, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) == 0 &&
           listener_init(&self->listener, self->handle, 0);
}

void
broker_door_release(struct broker_door *self)
{
    listener_release(&self->listener);
    sockets_close(&self->handle);
}

int
broker_door_bind(struct broker_door *self, const char *endpoint)
{
    errno = listener_bind(&self->listener, endpoint);
    return errno == 0 ? GALLEON_OK : GALLEON_REFUSED;
}
