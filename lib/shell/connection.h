// connection.h - what the kernel knows of one of libzmq's connections.

#ifndef GALLEON_CONNECTION_H
#define GALLEON_CONNECTION_H

#include "broker_core.h"

// connection_of names the socket that a descriptor is now.
struct broker_connection connection_of(int fd);

// connection_is_silent: has nothing come over it for more than so long? libzmq would end it by
// the TTL of the peer's last PING, but forgets that with each message that follows. What is
// here and not read yet is no silence, and what is not TCP, or has ended, is never silent. libzmq
// closes descriptors when it likes, and the system gives them to others: those are not meant.
bool connection_is_silent(struct broker_connection self, uint32_t ms);

// connection_is_local: does it come from this machine, by loopback or ipc? The descriptor may be
// another connection's already, and `address` (inbox_peer_address) is what libzmq says of the one
// that was meant: both have to say so.
bool connection_is_local(struct broker_connection self, const char *address);

// connection_has_ended: has libzmq closed it? Of one that nothing is known of it is false.
bool connection_has_ended(struct broker_connection self);

#endif
