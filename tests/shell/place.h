// place.h - where a test's server listens: an endpoint of a transport, and a folder for ipc.

#ifndef GALLEON_PLACE_H
#define GALLEON_PLACE_H

#include <czmq.h>

struct place {
    char folder[64];    // "": none
    char endpoint[256]; // as the server is reached once it is bound
};

// place_make makes one for "tcp", "ipc" or "inproc", at which nobody else is.
void place_make(struct place *self, const char *transport);
void place_remove(struct place *self);

// place_bind binds a server there, the first or the next.
void place_bind(struct place *self, zsock_t *server);

#endif
