// titanic_front.h - Titanic's services as a broker's workers: what is asked, and the answers.

#ifndef GALLEON_TITANIC_FRONT_H
#define GALLEON_TITANIC_FRONT_H

#include "titanic_core.h"

#include <galleon/mdp_worker.h>

enum { TITANIC_FRAMES_MAX = 256 };

struct asking; // somebody who asked, and what; an asker of the core's

struct titanic_front {
    mdp_worker_t *workers[TSP_SERVICES];
    bool is_dirty[TSP_SERVICES]; // something was answered since its last pump
    struct asking *spare;
    uint64_t open;    // asked and not answered
    uint8_t *scratch; // the parts of an answer
    size_t scratch_room;
};

// titanic_front_credit is how many requests of a service are held at once.
uint32_t titanic_front_credit(enum tsp_service service);

// titanic_front_init connects to the brokers. 0 or an errno; release it then too.
int titanic_front_init(struct titanic_front *self, const char *brokers, uint32_t heartbeat_ms,
                       uint64_t message_bytes_max);
// titanic_front_release says goodbye; nothing may be open.
void titanic_front_release(struct titanic_front *self);

// titanic_front_watch adds its descriptors to an epoll set, each with its service's number.
bool titanic_front_watch(struct titanic_front *self, int epoll_fd);

// titanic_front_take takes the next request of a service and makes an event of it, ASK; the
// asker and the body are the core's then. False: none for now.
bool titanic_front_take(struct titanic_front *self, enum tsp_service service, uint64_t now_ns,
                        struct titanic_event *event_out);

// titanic_front_reply carries out a REPLY. `gauges` are for titanic.stats.
void titanic_front_reply(struct titanic_front *self, const struct titanic_effect *effect,
                         const struct tsp_gauge *gauges, size_t gauge_count,
                         const struct titanic_core *core);

// titanic_front_rest asks the brokers for nothing more.
void titanic_front_rest(struct titanic_front *self);

// titanic_front_deadline is when a worker wants to be pumped.
uint64_t titanic_front_deadline(const struct titanic_front *self);

#endif
