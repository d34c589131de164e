// sockets.h - libzmq's sockets of czmq's context, whose making may fail.
//
// zsock_new ends the process where there is no socket left. For a library that is the
// world's fault and not the program's: a connection that cannot be begun now can be later.

#ifndef GALLEON_SOCKETS_H
#define GALLEON_SOCKETS_H

// sockets_new makes a socket of this type; NULL where there is no socket, descriptor or
// memory left. sockets_close closes one, if there is one, and leaves NULL.
void *sockets_new(int type);
void sockets_close(void **handle_p);

// sockets_set sets an option that is a number, and cannot be wrong.
void sockets_set(void *handle, int option, int value);

// sockets_fd is to be watched; its readiness is an edge. sockets_events is what is ready,
// and makes libzmq handle what its threads have told the socket; sends and receives do so
// only now and then.
int sockets_fd(void *handle);
int sockets_events(void *handle);

#endif
