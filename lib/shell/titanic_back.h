// titanic_back.h - Titanic as a broker's client: it has requests done.
//
// A broker that speaks G1 is given all at once: it says of each whether a worker was there. One
// that speaks 0.1 or 0.2 says nothing, and has one place for all that we send: what no worker
// takes would hold up all others there for as long as an attempt may take. So what is meant for
// such a broker is held here. The next goes out when nothing else is out, and only to a service
// of which the broker has said within a second, by an answer or by mmi.service, that it has
// workers. Where it says 404 the request was not tried. Where it knows no mmi.service nobody
// can know, and the request goes out.

#ifndef GALLEON_TITANIC_BACK_H
#define GALLEON_TITANIC_BACK_H

#include "heap.h"
#include "list.h"
#include "map.h"
#include "titanic_core.h"
#include "titanic_known.h"

#include <galleon/mdp_client.h>

enum { TITANIC_QUESTIONS_MAX = 256 }; // open at a time

struct titanic_call { // by slot, the low half of a token
    struct map_node by_id;
    uint64_t id; // the client's; 0: none
    uint64_t token;
    struct view service; // the core's, as is the body
    struct request_id request;
    const struct durable_body *body;
    uint64_t expires_ns;     // of its time to wait for a worker
    struct heap_node expiry; // held
    struct list_node place;  // held
};

struct titanic_question {
    uint64_t id; // 0: free
    uint8_t name_size;
    uint8_t name[255];
};

struct titanic_back {
    mdp_client_t *client;    // for requests
    mdp_client_t *questions; // for mmi.service, with a timeout of its own
    struct titanic_call *calls;
    uint32_t slots;
    struct map by_id; // of those that are out
    struct list held; // those that are not, in order
    struct heap expiries;
    void *map_memory;
    void *heap_memory;
    bool has_news; // of what is held, more may go than did at the last take
    struct titanic_known known;
    uint64_t is_mute_until_ns; // the broker knows no mmi.service
    struct titanic_question asked[TITANIC_QUESTIONS_MAX];
    uint32_t ttl_ms;
    zmsg_t *reply; // of the event that was taken last
};

// titanic_back_init connects. `slots` is more than any slot of a token. 0 or an errno; release
// it then too.
int titanic_back_init(struct titanic_back *self, const char *brokers, uint32_t slots,
                      uint32_t inflight, uint32_t timeout_ms, uint64_t message_bytes_max);
void titanic_back_release(struct titanic_back *self);
// titanic_back_watch adds its descriptors to an epoll set, under these numbers.
bool titanic_back_watch(struct titanic_back *self, int epoll_fd, uint32_t number,
                        uint32_t questions_number);

// titanic_back_send sends an attempt; where it cannot, *failed_out is how the attempt ended.
bool titanic_back_send(struct titanic_back *self, const struct titanic_effect *effect,
                       uint64_t now_ns, struct titanic_event *failed_out);
void titanic_back_cancel(struct titanic_back *self, uint64_t token);
// titanic_back_question asks whether a service has workers; false: not now.
bool titanic_back_question(struct titanic_back *self, struct view service);

// titanic_back_take makes an event of the next answer, ANSWER or KNOWN. Its views are good
// until the next call. False: none for now.
bool titanic_back_take(struct titanic_back *self, uint64_t now_ns, struct titanic_event *event_out);

uint64_t titanic_back_deadline(const struct titanic_back *self);

#endif
