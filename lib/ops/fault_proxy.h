// fault_proxy.h - a TCP proxy that does to connections what bad networks do.
//
// It takes connections on a free port of the loopback interface and makes one to the server for
// each, in a thread of its own. What it is told holds for those that are there and for those
// that come. Bytes are late, or stay away, or the connection ends; none is lost within one
// that goes on, because TCP would not lose it either.

#ifndef GALLEON_FAULT_PROXY_H
#define GALLEON_FAULT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fault_proxy;

struct fault_proxy_faults {
    uint32_t delay_ms;   // each byte, each way
    bool stalls_forward; // nothing goes from client to server, not even an end
    bool stalls_back;    // nothing goes from server to client
    bool refuses;        // a new connection is reset as soon as it is there
};

// fault_proxy_new serves for `server`, tcp://127.0.0.1:PORT. NULL with errno.
struct fault_proxy *fault_proxy_new(const char *server);
// fault_proxy_destroy resets what is connected.
void fault_proxy_destroy(struct fault_proxy **self_p);

// fault_proxy_endpoint is where clients connect, tcp://127.0.0.1:PORT.
const char *fault_proxy_endpoint(const struct fault_proxy *self);

// fault_proxy_set takes effect before it returns; so does fault_proxy_cut, which resets all
// connections, towards both ends.
void fault_proxy_set(struct fault_proxy *self, const struct fault_proxy_faults *faults);
void fault_proxy_cut(struct fault_proxy *self);

// fault_proxy_connections is how many there are.
size_t fault_proxy_connections(struct fault_proxy *self);

#endif
