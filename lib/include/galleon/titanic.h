// galleon/titanic.h - durable request/reply, the service itself (9/TSP and more).
//
// It stands behind a Majordomo broker: as a worker it takes requests and keeps them on
// disk, as a client it has them done, and keeps the answers until they are fetched and
// closed. brokers/titanic.c is a main(). One thread calls; titanic_drain and titanic_stats
// may be called from any.
// Spec: rfc.zeromq.org/spec/9, docs/protocol/titanic.md

#ifndef GALLEON_TITANIC_H
#define GALLEON_TITANIC_H

#include "mdp.h"
#include "status.h"

#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct titanic titanic_t;

typedef struct titanic_options { // every zero means "the default"
    bool relaxed;                // acknowledge what only the operating system has
    bool standby;                // wait while another process has the store
    uint32_t attempts;           // 10
    uint32_t retry_ms_min;       // 1000, doubled after each attempt, with jitter
    uint32_t retry_ms_max;       // 300000
    uint32_t timeout_ms;         // 600000, of one attempt
    uint32_t inflight;           // 1000 requests out at the broker
    uint64_t retain_ms;          // 7 days: answers that nobody closed, and keys
    uint32_t anchor_ms;          // 100: between notes of how far the store has come
    bool anchor_every_commit;    // or with each commit, for one more sync
    bool no_audit;               // keep no chain of what happened
    const char *backup_dir;      // titanic.backup writes here and nowhere else; NULL: it is refused
    const char *audit_key;       // a file with the key that signs it, of mode 0600; NULL: unsigned
    uint64_t free_bytes_min;    // 512 MiB, or a tenth of the disk if less: below it, stop accepting
    uint32_t drain_ms;          // 10000: how long a drain waits for what is out
    uint32_t heartbeat_ms;      // 2500
    uint64_t message_bytes_max; // 1 MiB; the brokers' --max-message
    // Called once, from within titanic_run, when a broker first has all of our services.
    void (*on_serving)(void *ctx);
    void *ctx;
} titanic_options_t;

typedef struct titanic_stats {
    uint64_t submits, answers, attempts, closes, dead, expired;
    uint64_t pending, done, out, waits;
    uint64_t commits;
} titanic_stats_t;

// titanic_new opens the store ("sqlite:PATH") and checks it. It does not wait for a broker
// to be there, but with `standby` for the store. NULL, and *why_out says why for people (to
// be freed); errno is EBUSY where another process has the store, EIO where a read, a write or
// a sync of it failed (another start checks it), ENOTRECOVERABLE where it cannot be opened or is
// damaged, EINVAL where an argument is wrong, ENOMEM.
GALLEON_API titanic_t *titanic_new(const char *brokers, const char *store,
                                   const titanic_options_t *options, char **why_out);
GALLEON_API void titanic_destroy(titanic_t **self_p);

// titanic_run serves until it has drained (GALLEON_OK), the process is interrupted and
// czmq's signal handler says so (GALLEON_INTERRUPTED), or the store is in doubt
// (GALLEON_STORE): then nothing more is acknowledged, and another start finds out.
GALLEON_API int titanic_run(titanic_t *self);

// titanic_drain finishes what is out and accepts nothing new. It is safe from a signal
// handler and from other threads.
GALLEON_API void titanic_drain(titanic_t *self);

GALLEON_API void titanic_stats(const titanic_t *self, titanic_stats_t *stats_out);

#ifdef __cplusplus
}
#endif

#endif
