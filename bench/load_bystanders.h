// load_bystanders.h - what a broker has beside the load that is measured.
//
// Further services, each with a request waiting in it that nobody will answer,
// and further workers, registered and idle. They speak G1 and take no part in
// the figures: these tell what their presence costs.

#ifndef GALLEON_LOAD_BYSTANDERS_H
#define GALLEON_LOAD_BYSTANDERS_H

#include "load.h"

struct load_bystanders {
    struct load_run *run;
    pthread_t thread;
    void **clients; // whose requests wait
    uint32_t client_count;
    void **workers;    // idle ones
    uint64_t *beat_ns; // when each has to beat next
    uint64_t answered; // waiting requests that were answered all the same
    uint64_t lost;     // idle workers that the broker sent away
    uint64_t accepted;
    bool is_started;
};

// load_bystanders_begin returns when the broker has taken all of them.
void load_bystanders_begin(struct load_bystanders *self, struct load_run *run);
void load_bystanders_end(struct load_bystanders *self);

#endif
