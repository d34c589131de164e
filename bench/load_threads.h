// load_threads.h - the threads that turn clients and workers.
//
// A thread with one peer waits in libzmq; one with several waits on all their
// descriptors. Which of them does what is the same for every dialect.

#ifndef GALLEON_LOAD_THREADS_H
#define GALLEON_LOAD_THREADS_H

#include "load.h"

// All peers of one kind, and their threads: thread i has the peers i, i + T, ...
struct load_crew {
    struct load_run *run;
    pthread_t *threads;
    uint32_t thread_count;
    uint32_t count;
    struct load_client *clients;
    struct load_worker *workers;
};

// load_workers_begin returns when all workers may be given requests.
void load_workers_begin(struct load_crew *self, struct load_run *run);
void load_clients_begin(struct load_crew *self, struct load_run *run);

// load_crew_join waits until all have left: clients when run->is_stopping and
// nothing is in flight or comes any more, workers when run->is_ending.
void load_crew_join(struct load_crew *self);
void load_crew_release(struct load_crew *self);

#endif
