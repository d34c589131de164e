// titanic_back.h - Titanic as a broker's client: it has requests done.

#ifndef GALLEON_TITANIC_BACK_H
#define GALLEON_TITANIC_BACK_H

#include "map.h"
#include "titanic_core.h"

#include <galleon/mdp_client.h>

enum { TITANIC_QUESTIONS_MAX = 256 }; // open at a time

struct titanic_call { // by slot, the low half of a token
    struct map_node by_id;
    uint64_t id; // the client's; 0: none
    uint64_t token;
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
    void *map_memory;
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
                       struct titanic_event *failed_out);
void titanic_back_cancel(struct titanic_back *self, uint64_t token);
// titanic_back_question asks whether a service has workers; false: not now.
bool titanic_back_question(struct titanic_back *self, struct view service);

// titanic_back_take makes an event of the next answer, ANSWER or KNOWN. Its views are good
// until the next call. False: none for now.
bool titanic_back_take(struct titanic_back *self, uint64_t now_ns, struct titanic_event *event_out);

uint64_t titanic_back_deadline(const struct titanic_back *self);

#endif
