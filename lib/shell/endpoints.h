// endpoints.h - a list of brokers, as users write it: endpoints parted by commas.

#ifndef GALLEON_ENDPOINTS_H
#define GALLEON_ENDPOINTS_H

#include "view.h"

enum { ENDPOINTS_MAX = 32 };

struct endpoints {
    size_t count;
    const char *texts[ENDPOINTS_MAX]; // C strings, in memory of the list's own
    struct view names[ENDPOINTS_MAX]; // the same
    char *memory;
};

// endpoints_init reads a list; blanks around an endpoint do not count. False, with
// errno ENOMEM, or EINVAL where an endpoint is none or there are none or too many.
bool endpoints_init(struct endpoints *self, const char *list);
void endpoints_release(struct endpoints *self);

// endpoints_is_bindable: is it one endpoint for a server? Its port may be 0 or *, which is
// any that is free.
bool endpoints_is_bindable(const char *text);

// endpoints_is_local: can nobody beyond this machine reach it, or be reached by it? That is ipc,
// and tcp at 127.x.x.x and [::1], by number: a name may mean anything.
bool endpoints_is_local(const char *text);

// endpoints_is_ipv6: is it an address in brackets? For these alone a socket's ZMQ_IPV6 is
// on: with it libzmq would bind * and 127.0.0.1 as IPv6 too, and look for localhost at
// ::1, where a broker on 127.0.0.1 does not listen.
bool endpoints_is_ipv6(const char *text);

#endif
