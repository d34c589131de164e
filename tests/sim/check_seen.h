// check_seen.h - what the checks remember of one broker, out of its events and effects.

#ifndef GALLEON_CHECK_SEEN_H
#define GALLEON_CHECK_SEEN_H

#include "check.h"

struct seen_worker {
    struct list_node in_broker;
    struct list held; // attempts that it has
    uint64_t number;
    uint8_t id[ROUTING_ID_MAX];
    uint8_t id_size;
    uint32_t service;
    mdp_dialect_t dialect;
    uint32_t credit;
    bool has_promise;
    uint64_t interval_ns; // promised, or the longest gap seen while it was idle
    uint64_t heard_ns;
    uint64_t idle_since_ns;
    uint64_t spoken_to_ns;
    uint64_t slept_at_heard_ns;   // the broker's pauses until then
    uint64_t counted_at_heard_ns; // of them, those that its core has to notice
    uint64_t slept_at_spoken_ns;
    uint32_t unread;
    bool was_idle;
};

struct seen_attempt {
    struct list_node in_worker; // while it has the slot
    struct list_node in_request;
    struct ticket ticket;
    struct parcel *request; // NULL: it is over
    struct seen_worker *worker;
    uint8_t id[ROUTING_ID_MAX]; // of the connection
    uint8_t id_size;
    uint32_t partials;
};

enum { PROBES_ALWAYS = 300 }; // unread messages up to which each beat is sent

struct seen_broker {
    struct list workers;
    struct list open;               // requests
    struct seen_attempt **attempts; // by the serial number in their ticket
    uint32_t attempts_size;
    uint64_t arrival;
    uint64_t slots_taken; // attempts that workers have
    uint64_t zombies;     // of them, those whose request is over
    uint64_t last_first[SERVICES_MAX];
    uint64_t refusals; // 429 that it said itself
    uint64_t slept_ns;
    uint64_t counted_ns;
    uint64_t attempts_before; // its counters, before this step
    // This step.
    const struct broker_event *event;
    struct parcel *newcomer; // the request that came with it
    struct parcel *answered; // the request that its ticket names
    bool has_refused;
    bool has_taken_back;
};

// check_alive.c
void check_lost_on_time(const struct broker_node *broker, const struct seen_worker *worker);
void check_lost_in_the_end(const struct broker_node *broker, const struct seen_worker *worker);
void check_beats_sent(const struct broker_node *broker, const struct seen_worker *worker);

// check_pair_finishes: this half hands over, and has to finish what is out at a worker that is
// there (check_pairs.c).
bool check_pair_finishes(const struct broker_node *broker, const struct asked *asked);

#endif
