// load.h - the load generator: its options, its run, and its peers.
//
// One process with clients and workers as threads, so that a round trip begins
// and ends on one clock. A dialect is seven functions (struct load_dialect); the
// threads that turn them, the measuring and the checking are the same for all,
// and so is what the load itself costs, but for the dialect's own bytes.

#ifndef GALLEON_LOAD_H
#define GALLEON_LOAD_H

#include "load_window.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <zmq.h>

enum {
    LOAD_PATIENCE_MS = 100,  // a thread looks at the run this often where nothing comes
    LOAD_GRACE_MS = 2000,    // silence after which what is in flight is lost
    LOAD_ACCEPT_MS = 10000,  // a peer that is not accepted by then never will be
    LOAD_HEARTBEAT_MS = 2500 // what workers promise, where they have to
};

struct load_dialect;

struct load_options {
    const struct load_dialect *dialect;
    const char *clients_to; // endpoints
    const char *workers_to;
    const char *also_to; // NULL: workers have one session
    const char *service;
    uint32_t clients;
    uint32_t client_threads;
    uint32_t workers;
    uint32_t worker_threads;
    uint32_t window; // of each client
    uint32_t credit; // of each worker
    uint32_t body_bytes;
    uint32_t waiting_services;
    uint32_t idle_workers;
    uint32_t warmup_ms;
    uint32_t measure_ms;
    uint32_t requests;   // 0: measure_ms counts
    uint32_t server_pid; // 0: not known
};

struct load_run {
    const struct load_options *options;
    void *context;
    sem_t accepted;           // posted by each worker and bystander that may begin
    atomic_bool is_measuring; // latencies are noted
    atomic_bool is_stopping;  // clients send no more
    atomic_bool is_ending;    // workers leave
};

struct load_client {
    struct load_run *run;
    void *socket; // of libzmq; NULL where the library has its own
    struct mdp_client *library;
    struct load_window window;
};

struct load_worker {
    struct load_run *run;
    void *socket;
    void *also; // of G1: another session
    struct mdp_worker *library;
    uint8_t *pack; // of G1: what it writes
    size_t pack_used;
    bool is_lost; // the broker sent it away
};

struct load_dialect {
    const char *name;
    bool has_broker;    // false: a relay or a queue, with two sockets and no services
    bool is_one_thread; // each peer has a thread of its own
    // Connects, says hello and returns when the worker may be given requests.
    void (*worker_begin)(struct load_worker *self);
    // Takes what is there and answers it; waits for the first message where
    // flags is 0. False: there was none.
    bool (*worker_turn)(struct load_worker *self, int flags);
    void (*worker_end)(struct load_worker *self);
    void (*client_begin)(struct load_client *self);
    // Sends a request for each free slot.
    void (*client_send)(struct load_client *self);
    // Takes one message. False: there was none.
    bool (*client_receive)(struct load_client *self, int flags);
    void (*client_end)(struct load_client *self);
};

extern const struct load_dialect load_relay;
extern const struct load_dialect load_g1;
extern const struct load_dialect load_01;
extern const struct load_dialect load_02;
extern const struct load_dialect load_api;
extern const struct load_dialect load_paranoid;
extern const struct load_dialect load_simple;

// load_fail prints a sentence and ends the process with 1.
_Noreturn void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// load_allocate gives zeroed memory and never NULL.
void *load_allocate(size_t bytes);

uint64_t load_now_ns(void);

#endif
