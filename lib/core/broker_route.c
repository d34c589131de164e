// broker_route.c - where messages come from and answers go.
//
// Clients have no record: what is kept is the way back to them, shared by all
// their open requests, found by a keyed hash once per message. Records of one
// pack come from one peer, so the last route is looked at first.

#include "broker_state.h"

// So many routes that nobody holds are kept, in case their peers go on talking: what is said
// to a peer in one turn should go to one route, and travel in one pack.
enum { ROUTES_IDLE = 64 };

// What a route is compared by.
struct path {
    struct view routing_id;
    struct view stack;
    uint64_t hash;
    uint8_t socket;
};

static struct path
path_of(const struct broker_core *self, const struct mdp_envelope *from,
        uint8_t stack[ROUTE_BYTES_LARGE])
{
    struct path path = {.routing_id = from->routing_id, .socket = from->socket};
    path.hash = siphash_map(&self->map_key, from->routing_id);
    if (from->socket != 0)
        path.hash = siphash_map_pair(&self->map_key, path.hash, from->socket);
    if (from->stack_size == 0)
        return path;
    size_t used = 0;
    for (size_t i = 0; i < from->stack_size && i < MDP_STACK_MAX; i++) {
        // Addresses longer than a routing id can be are cut: such a peer only
        // shares its way back with itself.
        struct view address = from->stack[i];
        size_t size = address.size < 255 ? address.size : 255;
        stack[used++] = (uint8_t)size;
        memcpy(stack + used, address.data, size);
        used += size;
    }
    path.stack = view_of(stack, used);
    path.hash =
        siphash_map_pair(&self->map_key, path.hash, siphash_map(&self->map_key, path.stack));
    return path;
}

static struct route *
find(const struct broker_core *self, const struct path *path)
{
    for (struct map_node *node = map_first(&self->routes, path->hash); node != NULL;
         node = map_next(node)) {
        struct route *route = list_object(node, struct route, in_routes);
        if (route->address.socket == path->socket &&
            view_equals(route->address.routing_id, path->routing_id) &&
            view_equals(route->address.stack, path->stack))
            return route;
    }
    return NULL;
}

static bool
is_last(const struct broker_core *self, const struct mdp_envelope *from)
{
    const struct route *last = self->last_route;
    return last != NULL && from->stack_size == 0 && last->address.stack.size == 0 &&
           last->address.socket == from->socket &&
           view_equals(last->address.routing_id, from->routing_id);
}

struct route *
broker_route_find(struct broker_core *self, const struct mdp_envelope *from)
{
    if (is_last(self, from))
        return self->last_route;
    uint8_t stack[ROUTE_BYTES_LARGE];
    struct path path = path_of(self, from, stack);
    struct route *route = find(self, &path);
    if (route != NULL)
        self->last_route = route;
    return route;
}

static struct route *
make(struct broker_core *self, const struct path *path)
{
    size_t bytes = path->routing_id.size + path->stack.size;
    bool is_large = bytes > ROUTE_BYTES_SMALL;
    struct slab *slab = is_large ? &self->large_routes : &self->small_routes;
    struct route *route = slab_take(slab);
    if (route == NULL)
        return NULL;
    *route = (struct route){.is_large = is_large};
    memcpy(route->bytes, path->routing_id.data, path->routing_id.size);
    if (path->stack.size > 0)
        memcpy(route->bytes + path->routing_id.size, path->stack.data, path->stack.size);
    route->address = (struct broker_route){
        .number = slab_index(slab, route) * 2 + (is_large ? 1 : 0),
        .serial = ++self->route_serial,
        .socket = path->socket,
        .routing_id = view_of(route->bytes, path->routing_id.size),
        .stack = view_of(route->bytes + path->routing_id.size, path->stack.size)};
    map_insert(&self->routes, &route->in_routes, path->hash);
    list_append(&self->route_graveyard, &route->in_graveyard);
    return route;
}

struct route *
broker_route_get(struct broker_core *self, const struct mdp_envelope *from)
{
    if (is_last(self, from))
        return self->last_route;
    uint8_t stack[ROUTE_BYTES_LARGE];
    struct path path = path_of(self, from, stack);
    struct route *route = find(self, &path);
    if (route == NULL)
        route = make(self, &path);
    if (route != NULL)
        self->last_route = route;
    return route;
}

struct route *
broker_route_at(struct broker_core *self, uint32_t number, uint64_t serial)
{
    struct slab *slab = number & 1 ? &self->large_routes : &self->small_routes;
    struct route *route = slab_at(slab, number / 2);
    return route != NULL && route->address.serial == serial ? route : NULL;
}

void
broker_route_unref(struct broker_core *self, struct route *route)
{
    must(route->references > 0);
    if (--route->references == 0 && !list_node_is_linked(&route->in_graveyard))
        list_append(&self->route_graveyard, &route->in_graveyard);
}

static bool
is_full(const struct slab *slab)
{
    return slab->used == slab->capacity;
}

void
broker_route_sweep(struct broker_core *self)
{
    must(self->effects->count == 0); // which may point at them
    bool is_short = is_full(&self->small_routes) || is_full(&self->large_routes);
    while (self->route_graveyard.size > (is_short ? 0 : ROUTES_IDLE)) {
        struct list_node *node = list_take(&self->route_graveyard);
        struct route *route = list_object(node, struct route, in_graveyard);
        if (route->references > 0)
            continue;
        must(route->worker == NULL && route->queued == 0);
        if (self->last_route == route)
            self->last_route = NULL;
        map_remove(&self->routes, &route->in_routes);
        slab_give(route->is_large ? &self->large_routes : &self->small_routes, route);
    }
}
