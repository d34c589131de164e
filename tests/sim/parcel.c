// parcel.c - bodies as they stand in a G1 record.

#include "parcel.h"

#include "mdp_epoch.h"

enum { COST_OF_ONE = 64 };

static struct parcel *
make(struct node *node, size_t capacity)
{
    struct world *world = node->world;
    struct parcel *self = world_take(world, sizeof *self);
    *self = (struct parcel){.node = node, .capacity = capacity};
    self->data = world_take(world, capacity + 1);
    list_append(&world->parcels, &self->in_all);
    world->parcel_count++;
    return self;
}

static void
set_body(struct parcel *self, const struct mdp_body *body)
{
    self->count = body->count;
    self->bytes = body->bytes;
    self->used = (size_t)(mdp_body_write_packed(self->data, body) - self->data);
    self->cost = COST_OF_ONE + self->used + self->field_bytes;
}

struct parcel *
parcel_of_record(struct node *node, const struct mdp_record *record)
{
    struct parcel *self = make(node, mdp_body_packed_bytes(&record->body));
    struct mdp_epoch epoch;
    if (record->fields.size > 0 && mdp_epoch_find(record->fields, &epoch))
        self->epoch = epoch.number;
    if (record->fields.size > 0) {
        self->fields = world_take(node->world, record->fields.size);
        self->field_bytes = mdp_fields_clean(self->fields, record->fields);
    }
    set_body(self, &record->body);
    return self;
}

struct parcel *
parcel_new(struct node *node, const struct view *frames, size_t count)
{
    struct mdp_body body = mdp_body_of(frames, count);
    struct parcel *self = make(node, mdp_body_packed_bytes(&body));
    set_body(self, &body);
    return self;
}

void
parcel_free(struct parcel *self)
{
    if (self == NULL)
        return;
    struct world *world = self->node->world;
    if (self->is_in_core)
        world_fail(world, "B5 cargo_conserved", "%s%u lets go what its core has",
                   self->node->kind->name, self->node->index);
    list_remove(&world->parcels, &self->in_all);
    world->parcel_count--;
    world_give(world, self->data);
    world_give(world, self->fields);
    world_give(world, self);
}

void
parcel_free_all(struct node *node)
{
    struct list *parcels = &node->world->parcels;
    struct list_node *at = list_first(parcels);
    while (at != NULL) {
        struct list_node *next = list_next(parcels, at);
        struct parcel *parcel = list_object(at, struct parcel, in_all);
        if (parcel->node == node) {
            if (parcel->is_in_core)
                parcel_out_of_core(parcel, node);
            parcel_free(parcel);
        }
        at = next;
    }
}

struct mdp_body
parcel_body(const struct parcel *self)
{
    return (struct mdp_body){
        .packed = view_of(self->data, self->used), .count = self->count, .bytes = self->bytes};
}

void
parcel_into_core(struct parcel *self, const struct node *node)
{
    if (self->is_in_core || self->node != node)
        world_fail(node->world, "B5 cargo_conserved", "%s%u's core gets cargo that it has",
                   node->kind->name, node->index);
    self->is_in_core = true;
    self->node->core_parcels++;
    self->node->core_cost += self->cost;
}

void
parcel_out_of_core(struct parcel *self, const struct node *node)
{
    if (!self->is_in_core || self->node != node)
        world_fail(node->world, "B5 cargo_conserved", "%s%u's core gives cargo that it has not",
                   node->kind->name, node->index);
    self->is_in_core = false;
    self->node->core_parcels--;
    self->node->core_cost -= self->cost;
}

void
parcel_join(struct parcel *into, struct parcel *from)
{
    struct world *world = into->node->world;
    if (into->used + from->used > into->capacity) {
        into->capacity = 2 * (into->used + from->used);
        into->data = world_grow(world, into->data, into->capacity + 1);
    }
    memcpy(into->data + into->used, from->data, from->used);
    into->used += from->used;
    into->count += from->count;
    into->bytes += from->bytes;
    into->cost += from->cost;
    into->node->core_cost += into->is_in_core ? from->cost : 0;
    parcel_free(from);
}
