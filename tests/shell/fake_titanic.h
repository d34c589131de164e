// fake_titanic.h - a titanic in memory that does as it is told, in a thread of its own.
//
// It serves with workers of the library at a real broker. Requests are "done" at once or
// after some questions; the answer is the request's body. What a test wants to see is
// counted, what it wants to happen is set beforehand, both under the lock.

#ifndef GALLEON_FAKE_TITANIC_H
#define GALLEON_FAKE_TITANIC_H

#include "tsp.h"

#include <czmq.h>
#include <galleon/mdp_worker.h>
#include <pthread.h>

enum { FAKE_REQUESTS_MAX = 2048, FAKE_HELD_MAX = 64 };

struct fake_request {
    char key[65];
    char id[37];
    zmsg_t *body;
    bool is_closed;
};

struct fake_told {      // for each service
    unsigned silent;    // so many of the next are done and not answered
    const char *answer; // what is said instead of acting, frames parted by |
    int fail;           // the status that Majordomo is told instead
};

struct fake_titanic {
    bool is_guide; // titanic.request, titanic.reply and titanic.close only
    bool has_dashed_ids;
    unsigned pending;     // so many fetches are told to wait
    bool says_busy_waits; // titanic.wait is answered 300 at once
    struct fake_told told[TSP_SERVICES];
    unsigned asked[TSP_SERVICES]; // how often each was
    char last[TSP_SERVICES][512]; // the last body, frames parted by |

    struct fake_request requests[FAKE_REQUESTS_MAX];
    size_t request_count;
    struct {
        mdp_request_t *request;
        char id[37];
        uint64_t until_ns;
    } held[FAKE_HELD_MAX]; // waits
    size_t held_count;

    mdp_dialect_t dialect;
    char endpoint[256];
    mdp_worker_t *workers[TSP_SERVICES];
    pthread_t thread;
    pthread_mutex_t lock;
    int stop_fd;
};

// fake_titanic_new makes one that does not serve yet; fake_titanic_serve starts it, and
// returns when the broker knows all its workers. fake_titanic_stop ends the workers, keeps
// the requests.
struct fake_titanic *fake_titanic_new(const char *endpoint);
void fake_titanic_serve(struct fake_titanic *self);
void fake_titanic_stop(struct fake_titanic *self);
void fake_titanic_free(struct fake_titanic *self);

// fake_titanic_finish ends all that is pending: waits are answered.
void fake_titanic_finish(struct fake_titanic *self);
unsigned fake_titanic_asked(struct fake_titanic *self, enum tsp_service service);

#endif
