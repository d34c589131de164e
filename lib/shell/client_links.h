// client_links.h - the connections of a client: at most one to each broker of its list.
//
// What the core asks for is done here, and what came of it is handed back as events:
// sends that a socket refused, connections that could not be opened, made or cut.

#ifndef GALLEON_CLIENT_LINKS_H
#define GALLEON_CLIENT_LINKS_H

#include "client_core.h"
#include "endpoints.h"
#include "link.h"
#include "prng.h"

#include <galleon/mdp_client.h>

// A send that a socket refused.
struct refused_send {
    uint32_t endpoint;
    uint64_t token;
};

struct client_links {
    struct endpoints endpoints;
    struct link links[ENDPOINTS_MAX];
    int epoll_fd;
    bool was_woken; // a connection may have been made or cut
    bool has_printable_id;
    size_t message_bytes_max;
    struct prng names; // for routing ids

    uint32_t cut;      // a bit for each: down, to be told after what has arrived is read
    uint32_t failed;   // could not be opened
    uint32_t refusing; // has refused a send that the core has not been told of
    struct refused_send *refused;
    size_t refused_count;
    size_t refused_capacity;
};

// client_links_init reads the list of brokers; message_bytes_max of the options is set. False, with
// errno EINVAL where it is none, else ENOMEM.
bool client_links_init(struct client_links *self, const char *brokers,
                       const mdp_client_options_t *options, const uint8_t seed[32]);
// client_links_release lets what was sent go out for at most linger_ms.
void client_links_release(struct client_links *self, int linger_ms);

void client_links_open(struct client_links *self, uint32_t endpoint);
void client_links_close(struct client_links *self, uint32_t endpoint);

// client_links_send packs what a SEND asks for, or sends it where its dialect knows no
// packs. client_links_write sends what is packed.
void client_links_send(struct client_links *self, struct client_effect *effect);
void client_links_write(struct client_links *self);
bool client_links_has_packed(const struct client_links *self);

// client_links_result is what came of the effects of a step: the next event for the core,
// false where there is none. Refused sends come latest first.
bool client_links_result(struct client_links *self, struct client_event *event_out);

// client_links_event hears of one connection made or cut; false: there was none. A cut is
// told by the call after the one that saw it, so that what came before can be read.
bool client_links_event(struct client_links *self, struct client_event *event_out);
// client_links_deadline is when to ask for one though no descriptor tells of it.
uint64_t client_links_deadline(const struct client_links *self);

// client_links_receive takes a message off any connection, *endpoint_p's last: they take
// turns.
bool client_links_receive(struct client_links *self, struct inbox *inbox, uint32_t *endpoint_p);

#endif
