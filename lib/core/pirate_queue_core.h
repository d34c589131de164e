// pirate_queue_core.h - every decision of a Simple or Paranoid Pirate queue.
//
// A queue is a broker of one service whose workers have a pirate's manners: who is alive,
// who gets which request, what becomes of one whose worker is lost, and every limit are
// broker_core's. What is here is the way in and out: how a queue's limits are a broker's,
// what a pirate's message means to it, and which frames its effects are.
//
//     pirate_queue_core_configure(&settings, &config);
//     core = broker_core_init(memory, &settings.broker, now_ns);
//     pirate_queue_core_record(&message, socket, &from, &record);
//     broker_core_step(core, {BROKER_RECORD, &from, &record, ...}, &effects);
//     if (pirate_queue_core_head(dialect, effect, &head)) ...
//
// Spec: rfc.zeromq.org/spec/6, docs/protocol/pirates.md

#ifndef GALLEON_PIRATE_QUEUE_CORE_H
#define GALLEON_PIRATE_QUEUE_CORE_H

#include "broker_core.h"
#include "pirate_wire.h"

// The sockets of a queue; routing ids of one mean nothing at the other.
enum pirate_socket { PIRATE_FRONTEND, PIRATE_BACKEND, PIRATE_SOCKETS };

// Every limit must be set, but where 0 is said to mean something; pirate_queue.h has the
// defaults.
struct pirate_queue_config {
    enum pirate_dialect dialect;
    uint32_t heartbeat_ms; // simple: how often a busy worker's connection is looked at
    uint32_t liveness;
    uint32_t workers_max;
    uint32_t requests_max;        // queued
    uint32_t client_requests_max; // queued, of one client
    uint64_t request_bytes_max;   // of open requests
    uint64_t message_bytes_max;
    uint32_t frames_max;
    uint32_t attempts;
    uint32_t limit_ms;       // of one attempt; 0: off
    uint32_t request_ttl_ms; // 0: a queued request waits for ever
    uint32_t drain_ms;
    uint8_t seed[32];
};

struct pirate_queue_settings {
    struct broker_config broker;
    struct broker_service_config service;
};

// pirate_queue_core_configure says what a broker_core is to be told. It points into *self.
void pirate_queue_core_configure(struct pirate_queue_settings *self,
                                 const struct pirate_queue_config *config);

// pirate_queue_core_record says what a message that came in at a socket means. Its views are
// the message's.
void pirate_queue_core_record(const struct pirate_message *message, enum pirate_socket socket,
                              struct mdp_envelope *from_out, struct mdp_record *record_out);

// pirate_queue_core_head makes the frames of a SEND between the way to its peer (routing id
// and stack) and the body. False: nothing is to be sent, but effect->connection looked at.
bool pirate_queue_core_head(enum pirate_dialect dialect, const struct broker_effect *effect,
                            struct pirate_head *head_out);

#endif
