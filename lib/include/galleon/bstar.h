// galleon/bstar.h - one half of a primary/backup pair.
//
// Without a witness (classic) silence and a client's vote decide, and both halves may serve
// while the link is cut. With one (guarded) two of three voters grant a lease, and at most
// one half holds a valid one. Nothing from the network ever ends a half.
//
//     bstar_t *half = bstar_new(BSTAR_PRIMARY, "tcp://127.0.0.1:5003",
//                               "tcp://127.0.0.1:5004", NULL);
//     forever:
//         poll your sockets and bstar_fd(half) until bstar_deadline(half);
//         bstar_pump(half, galleon_now_ns());
//         for each request: if (bstar_may_serve(half, galleon_now_ns())) answer it;
//
// One thread uses it; a thread of its own sends the beats.
// Spec: docs/protocol/bstar.md

#ifndef GALLEON_BSTAR_H
#define GALLEON_BSTAR_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bstar bstar_t;

typedef enum { BSTAR_PRIMARY, BSTAR_BACKUP } bstar_role_t;

typedef enum {
    BSTAR_WAITING, // started, or about to serve: not serving yet
    BSTAR_ACTIVE,  // serving clients
    BSTAR_PASSIVE, // the peer serves, we watch
    BSTAR_FAULT    // roles clash, or the voter record is bad: needs an operator
} bstar_state_t;

typedef struct bstar_options { // every zero means "the default"
    uint32_t heartbeat_ms;     // 500; guarded 100
    uint32_t liveness;         // 4 silent beats: the peer is lost; guarded 5
    uint32_t lease_ms;         // guarded: 1000, at least 103; its other times scale with it
    const char *pair;          // its name, the same in all members: "galleon"
    const char *witness;       // NULL: classic; an endpoint: guarded
    const char *state_file;    // the voter record; guarded needs it
    bool init;                 // make that record: the first start only
    bool guide_peer;           // bare digits for a Guide half: 1000 ms x 3
    void (*on_change)(void *ctx, bstar_state_t was, bstar_state_t is);
    void *ctx;
} bstar_options_t;

// bstar_new copies everything it is given; options may be NULL. NULL with errno: EINVAL for
// options or endpoints that cannot be (guarded speaks plain, so on loopback and ipc only, and
// what is guarded's is not for classic), EADDRINUSE and the like for what could not be bound,
// ENOMEM; in guarded EBUSY where another process has the record, EEXIST where `init` finds one,
// and whatever else keeps it from being made, ENOTSUP where no clock counts suspension. A voter
// record that is missing or bad is no error here: the half is in FAULT, and says so.
GALLEON_API bstar_t *bstar_new(bstar_role_t role, const char *bind_endpoint,
                               const char *peer_endpoint, const bstar_options_t *options);
// bstar_destroy leaves at once; a lease is released, so that the peer need not wait for its end.
GALLEON_API void bstar_destroy(bstar_t **self_p);

// bstar_may_serve is the client vote: a client has knocked, may we answer? In classic it is
// also what turns a passive half active, once its peer has been silent; in guarded it only
// asks whether our lease is valid at now_ns, on galleon_now_ns's clock.
GALLEON_API bool bstar_may_serve(bstar_t *self, uint64_t now_ns);

GALLEON_API bstar_state_t bstar_state(const bstar_t *self);
GALLEON_API const char *bstar_state_name(bstar_state_t state);

// For your own loop, as in mdp_worker.h: poll fd until deadline, then pump. on_change is called
// from within pump and may_serve.
GALLEON_API int bstar_fd(bstar_t *self);
GALLEON_API uint64_t bstar_deadline(const bstar_t *self);
GALLEON_API int bstar_pump(bstar_t *self, uint64_t now_ns);

// bstar_endpoint is what it is bound to, with the real port where "*" was asked for.
GALLEON_API const char *bstar_endpoint(const bstar_t *self);

#ifdef __cplusplus
}
#endif

#endif
