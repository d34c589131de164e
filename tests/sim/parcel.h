// parcel.h - the simulator's cargo: a counted body, which knows who holds it.
//
// A core gets a parcel with an event and gives it out once, in an effect. The parcel says
// which of the two has it, so a body that is given twice, or used after it was let go, is
// found when it happens and not when it is missed.

#ifndef GALLEON_PARCEL_H
#define GALLEON_PARCEL_H

#include "list.h"
#include "mdp_wire.h"
#include "world.h"

enum { PARCEL_NAME_BYTES = 20 };

// What check.c knows of a request that a broker has.
struct asked {
    bool is_open;                      // accepted, and not over
    struct list_node in_open;          // of its broker
    struct list attempts;              // whose tickets are live
    uint8_t client[PARCEL_NAME_BYTES]; // routing id
    uint8_t client_size;
    bool has_delimiter;
    mdp_dialect_t dialect;
    uint64_t id; // G1
    uint32_t service;
    uint64_t arrival;    // the broker's count
    uint64_t expires_ns; // on the broker's clock; UINT64_MAX: never
    uint32_t given;      // attempts made
    bool was_returned;   // to the head of its queue
    uint32_t parts;      // passed on to the client
    uint64_t parts_run;  // the run that they are of
    uint64_t part_token; // of the last one
    bool has_parts;      // one was passed on, ever
    uint32_t finals;
    bool is_muted; // a part of its answer was refused
};

struct parcel {
    struct list_node in_all;
    struct node *node; // whose it is
    bool is_in_core;   // the node's core has it, else its shell
    size_t cost;       // in memory, as the core was told
    size_t count;      // parts
    size_t bytes;      // in them
    size_t used;       // of data
    size_t capacity;
    uint8_t *data;
    uint8_t *fields;
    size_t field_bytes;
    uint64_t call;  // that it is the request or an answer of; 0: nobody's
    uint64_t run;   // of an answer: which run of the application made it
    uint64_t epoch; // of the message that it came with; 0: none
    struct asked asked;
};

// parcel_of_record copies fields and body of a record.
struct parcel *parcel_of_record(struct node *node, const struct mdp_record *record);
// parcel_new is a body of the frames.
struct parcel *parcel_new(struct node *node, const struct view *frames, size_t count);
void parcel_free(struct parcel *self);
// parcel_free_all lets go of everything that a process had.
void parcel_free_all(struct node *node);
struct mdp_body parcel_body(const struct parcel *self);
static inline struct view
parcel_fields(const struct parcel *self)
{
    return view_of(self->fields, self->field_bytes);
}

// parcel_into_core and parcel_out_of_core: who has it now. The core may not give out what
// it does not have.
void parcel_into_core(struct parcel *self, const struct node *node);
void parcel_out_of_core(struct parcel *self, const struct node *node);
// parcel_join puts the frames of *from at the end of *into and lets *from go.
void parcel_join(struct parcel *into, struct parcel *from);

#endif
