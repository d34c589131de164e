// titanic_body.h - bodies as the store keeps them, out of and into Majordomo's.

#ifndef GALLEON_TITANIC_BODY_H
#define GALLEON_TITANIC_BODY_H

#include "durable.h"
#include "mdp_record.h"

#include <czmq.h>

// A request goes to its worker with the fields that were kept and a line of ours, its id.
enum { TITANIC_ID_LINE_BYTES = 45, TITANIC_KEPT_FIELDS_MAX = 4096 - TITANIC_ID_LINE_BYTES };

// titanic_body_new copies fields without the lines that are not the client's to say, and the
// frames of a body from the given one on; NULL when out of memory. free() frees it.
struct durable_body *titanic_body_new(struct view fields, const struct mdp_body *body, size_t from);
// titanic_body_of_message copies the frames of a message.
struct durable_body *titanic_body_of_message(zmsg_t *message);

// titanic_body_parts views it as a body; good as long as it.
struct mdp_body titanic_body_parts(const struct durable_body *self);
struct view titanic_body_fields(const struct durable_body *self);

// titanic_body_bytes is what it costs in memory.
uint64_t titanic_body_bytes(const struct durable_body *self);

#endif
