// broker_door.h - a ROUTER that serves, and who may come in by it.
//
// Nothing that it cannot deliver is dropped unseen, one peer cannot fill our memory, and a
// peer whose host is gone is noticed.

#ifndef GALLEON_BROKER_DOOR_H
#define GALLEON_BROKER_DOOR_H

#include "listener.h"

enum {
    DOOR_CLIENT_WINDOW = 1024 // answers to one client that are not read yet
};

struct broker_door {
    void *handle; // libzmq's socket
    struct listener listener;
};

// broker_door_init makes the socket, with room for so many unread messages of one peer; false
// where it cannot.
bool broker_door_init(struct broker_door *self, uint64_t frame_bytes_max, uint32_t window);
void broker_door_release(struct broker_door *self);

// broker_door_bind returns OK, or GALLEON_REFUSED: errno says why.
int broker_door_bind(struct broker_door *self, const char *endpoint);

#endif
