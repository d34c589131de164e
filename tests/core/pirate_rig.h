// pirate_rig.h - a pirate queue's core with a clock of its own, and pirates to talk to it.
//
// It is a broker_world; what peers say goes through the pirates' decoder, as it does in a
// queue. An id is a short text, a body its frames joined by '|'.

#ifndef GALLEON_PIRATE_RIG_H
#define GALLEON_PIRATE_RIG_H

#include "broker_world.h"
#include "pirate_queue_core.h"

// pirate_rig_config is a queue with small limits: heartbeat 1000 ms, liveness 3, 3 attempts.
struct pirate_queue_config pirate_rig_config(enum pirate_dialect dialect);
void pirate_rig_configure(struct world *world, const struct pirate_queue_config *config);

// pirate_rig_message hands over one message as a ROUTER gives it.
void pirate_rig_message(struct world *world, enum pirate_socket socket, const struct view *frames,
                        size_t count);

void pirate_rig_ready(struct world *world, const char *id);
void pirate_rig_beat(struct world *world, const char *id); // paranoid only
void pirate_rig_ask(struct world *world, const char *id, const char *body);
// pirate_rig_reply answers what was sent to a worker.
void pirate_rig_reply(struct world *world, const char *id, const struct sent *request,
                      const char *body);

// pirate_rig_job is the latest request to this worker; it fails the test where there is none.
struct sent pirate_rig_job(const struct world *world, const char *id);
// pirate_rig_answer is the body of the latest reply to this client, NULL where there is none.
const char *pirate_rig_answer(const struct world *world, const char *id);

// For cmocka: *state is a world with pirate_rig_config of the dialect.
int pirate_rig_set_up_simple(void **state);
int pirate_rig_set_up_paranoid(void **state);
#define simple_test(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, pirate_rig_set_up_simple, world_tear_down)
#define paranoid_test(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, pirate_rig_set_up_paranoid, world_tear_down)

#endif
