// durable_node.c - clients of Titanic: each has some requests, and does to them what it likes.
//
// What a client knows of its requests it has written down: its end loses the calls that are
// open, and nothing else.

#include "bytes.h"
#include "check_durable.h"
#include "nodes.h"
#include "workload.h"

#include <stdio.h>

static const uint64_t ms = 1000000;

enum { FRAMES_MAX = 300, WAIT_MS_MAX = 30000 };

static struct view
service_of(enum tsp_service service)
{
    const char *name = tsp_service_name(service);
    return view_of(name, strlen(name));
}

// ---- a new request ----------------------------------------------------------------------

static void
keep_body(struct world *world, struct errand *errand, const struct parcel *parcel)
{
    errand->frames_bytes = parcel->used;
    errand->frame_count = parcel->count;
    errand->frames = world_take(world, parcel->used + 1);
    memcpy(errand->frames, parcel->data, parcel->used);
}

static uint32_t
owner_of(const struct client_node *self)
{
    return swarm_owner(&self->node.world->plan, self->node.index);
}

// begin_trespass begins to ask about a request of somebody else's, now and then.
static bool
begin_trespass(struct client_node *self)
{
    struct world *world = self->node.world;
    size_t count = check_errand_count(world);
    if (world->plan.titanic.owners < 2 || count == 0 || roll(world, STREAM_TITANIC, 8) != 0)
        return false;
    const struct errand *of = check_errand(world, roll(world, STREAM_TITANIC, count));
    if (!of->is_acked || swarm_owner(&world->plan, of->client) == owner_of(self))
        return false;
    struct errand *errand = check_new_errand(world, self->node.index, of->service);
    errand->of = of;
    errand->id = of->id;
    errand->next_ns = world->now_ns;
    return true;
}

// name_key: keys are an owner's own, so another owner may well have the same.
static void
name_key(const struct client_node *self, struct errand *errand)
{
    uint32_t own = 0;
    for (size_t i = 0; i < check_errand_count(self->node.world); i++)
        own += check_errand(self->node.world, i)->client == self->node.index;
    uint32_t owners = self->node.world->plan.titanic.owners;
    uint32_t whose = owners == 0 ? self->node.index : self->node.index / owners;
    snprintf((char *)errand->key, sizeof errand->key, "key-%u-%u", whose, own);
}

// name_own_key makes a key of our form: the time, and what nobody else draws.
static void
name_own_key(const struct client_node *self, struct errand *errand)
{
    struct request_id id = {{0}};
    uint64_t wall_ms = WALL_MS + self->node.world->now_ns / ms;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
    bytes_put64(id.bytes + 6, errand->number);
    errand->has_own_key = true;
    request_id_write(&id, errand->key);
    errand->key[REQUEST_ID_TEXT_BYTES] = 0;
}

static void
begin_errand(struct client_node *self)
{
    struct world *world = self->node.world;
    uint32_t service = (uint32_t)roll(world, STREAM_TITANIC, world->plan.titanic.targets);
    if (begin_trespass(self))
        return;
    struct errand *errand = check_new_errand(world, self->node.index, service);
    errand->number = check_new_call(self, service);
    struct parcel *parcel = workload_request(&self->node, errand->number);
    check_call_body(world, errand->number, parcel);
    keep_body(world, errand, parcel);
    parcel_free(parcel);
    errand->has_key = roll(world, STREAM_TITANIC, 3) != 0;
    if (roll(world, STREAM_TITANIC, 3) == 0)
        name_own_key(self, errand);
    else
        name_key(self, errand);
    uint64_t kind = roll(world, STREAM_TITANIC, 8);
    if (kind == 0)
        errand->delay_ms = roll(world, STREAM_TITANIC, 20000);
    if (kind == 1)
        errand->deadline_ms = roll_between(world, STREAM_TITANIC, 1, 20000);
    if (kind == 2)
        errand->attempts = (uint32_t)roll_between(world, STREAM_TITANIC, 1, 3);
    errand->next_ns = world->now_ns;
}

// ---- asking -----------------------------------------------------------------------------

static struct parcel *
submit_body(struct client_node *self, const struct errand *errand, bool has_fields)
{
    struct view frames[FRAMES_MAX];
    char fields[200];
    size_t size = 0, count = 0, cursor = 0;
    if (errand->has_key)
        size += (size_t)snprintf(fields, sizeof fields, "idempotency-key: %s\n",
                                 (const char *)errand->key);
    if (errand->delay_ms > 0)
        size += (size_t)snprintf(fields + size, sizeof fields - size, "not-before-ms: %llu\n",
                                 (unsigned long long)errand->delay_ms);
    if (errand->deadline_ms > 0)
        size += (size_t)snprintf(fields + size, sizeof fields - size, "deadline-ms: %llu\n",
                                 (unsigned long long)errand->deadline_ms);
    if (errand->attempts > 0)
        size += (size_t)snprintf(fields + size, sizeof fields - size, "attempts: %u\n",
                                 errand->attempts);
    if (has_fields)
        frames[count++] = view_of(fields, size);
    frames[count++] = swarm_service(errand->service);
    struct mdp_body body = {.packed = view_of(errand->frames, errand->frames_bytes),
                            .count = errand->frame_count,
                            .bytes = errand->frames_bytes - 4 * errand->frame_count};
    while (count < FRAMES_MAX - 1 && mdp_body_next(&body, &cursor, &frames[count]))
        count++;
    if (errand->is_other)
        frames[count++] = VIEW_LITERAL("and something else");
    return parcel_new(&self->node, frames, count);
}

static void
say_owner(const struct client_node *self, struct parcel *parcel)
{
    char line[32];
    if (owner_of(self) == 0)
        return;
    int size = snprintf(line, sizeof line, "sim-user: %u\n", owner_of(self));
    parcel->fields = world_take(self->node.world, (size_t)size);
    parcel->field_bytes = (size_t)size;
    memcpy(parcel->fields, line, (size_t)size);
}

static void
ask(struct client_node *self, struct errand *errand, enum tsp_service service,
    struct parcel *parcel)
{
    note(self->node.world, &self->node, "asks service %llu of call %llu, try %llu", service,
         errand->number, errand->tries);
    errand->asked = service;
    errand->was_closed = errand->is_closed;
    errand->tries++;
    errand->life = self->node.life;
    say_owner(self, parcel);
    errand->call = client_node_call(self, service_of(service), parcel, 0);
}

static void
submit(struct client_node *self, struct errand *errand, bool is_other)
{
    bool is_plain = !errand->has_key && errand->delay_ms == 0 && errand->deadline_ms == 0 &&
                    errand->attempts == 0;
    errand->is_other = is_other;
    ask(self, errand, is_plain ? TSP_REQUEST : TSP_SUBMIT, submit_body(self, errand, !is_plain));
}

static void
ask_by_id(struct client_node *self, struct errand *errand, enum tsp_service service)
{
    uint8_t id[REQUEST_ID_TEXT_BYTES] = {0};
    char wait[24];
    struct view frames[2] = {view_of(id, sizeof id)};
    size_t count = 1;
    request_id_write(&errand->id, id);
    if (service == TSP_WAIT) {
        uint64_t wait_ms = roll(self->node.world, STREAM_TITANIC, WAIT_MS_MAX);
        frames[count++] =
            view_of(wait, (size_t)snprintf(wait, sizeof wait, "%llu", (unsigned long long)wait_ms));
    }
    if (service == TSP_CLOSE)
        errand->may_be_closed = true;
    ask(self, errand, service, parcel_new(&self->node, frames, count));
}

// may_change: this may be done to all requests of the owner.
static void
may_change(const struct client_node *self, enum tsp_service service)
{
    const struct world *world = self->node.world;
    for (size_t i = 0; i < check_errand_count(world); i++) {
        struct errand *errand = check_errand(world, i);
        if (swarm_owner(&world->plan, errand->client) != owner_of(self))
            continue;
        errand->may_be_changed = true;
        errand->may_be_closed |= service == TSP_PURGE;
    }
}

// change asks for something to be done to a request by its id, or to all of some kind.
static void
change(struct client_node *self, struct errand *errand, enum tsp_service service)
{
    static const char *const some[] = {"limit=3", "older-than=1s", "state=dead", "state=pending",
                                       "newer-than=5s limit=2"};
    char filter[64];
    uint8_t id[REQUEST_ID_TEXT_BYTES + 1] = {0};
    request_id_write(&errand->id, id);
    int size = snprintf(filter, sizeof filter, "id=%s", (const char *)id);
    errand->may_be_changed = true;
    errand->may_be_closed |= service == TSP_PURGE;
    if (errand->of == NULL && roll(self->node.world, STREAM_TITANIC, 8) == 0) {
        uint64_t which = roll(self->node.world, STREAM_TITANIC, sizeof some / sizeof *some);
        size = snprintf(filter, sizeof filter, "%s", some[which]);
        may_change(self, service);
    }
    struct view frames[2] = {view_of(filter, (size_t)size), VIEW_LITERAL("the simulator")};
    ask(self, errand, service, parcel_new(&self->node, frames, 2));
}

// trespass asks about somebody else's request, or for something to be done to it.
static void
trespass(struct client_node *self, struct errand *errand)
{
    static const enum tsp_service services[] = {TSP_REPLY,  TSP_WAIT,  TSP_CLOSE,
                                                TSP_CANCEL, TSP_RETRY, TSP_PURGE};
    uint64_t which = roll(self->node.world, STREAM_TITANIC, sizeof services / sizeof *services);
    if (which < 3)
        ask_by_id(self, errand, services[which]);
    else
        change(self, errand, services[which]);
}

// ---- what is next -----------------------------------------------------------------------

// go_on_acked does something to a request that Titanic has.
static void
go_on_acked(struct client_node *self, struct errand *errand)
{
    uint64_t kind = roll(self->node.world, STREAM_TITANIC, 32);
    bool is_ended = errand->was_answered || errand->has_failed;
    if (errand->is_closed && errand->has_key && roll(self->node.world, STREAM_TITANIC, 4) == 0)
        submit(self, errand, false);
    else if (kind < 2 && errand->has_key)
        submit(self, errand, kind == 1);
    else if (kind == 2)
        change(self, errand, TSP_CANCEL);
    else if (kind == 5)
        change(self, errand, TSP_PURGE);
    else if (kind < (errand->has_failed ? 16 : 4))
        change(self, errand, TSP_RETRY);
    else if (kind < (is_ended ? 20 : 6))
        ask_by_id(self, errand, TSP_CLOSE);
    else
        ask_by_id(self, errand, kind < 24 ? TSP_WAIT : TSP_REPLY);
}

// finish: all is mended, so each request that was accepted has to end, and its client to hear it.
// It asks for one at a time, and waits for none at Titanic: waits would fill a small broker, which
// then has no room for what Titanic has to be done.
static void
finish(struct client_node *self, struct errand *errand)
{
    bool is_known = errand->was_answered || errand->has_failed || errand->is_closed;
    bool may_submit = (errand->has_key && !errand->is_key_expired) || errand->tries == 0;
    if (!errand->is_acked && may_submit)
        submit(self, errand, false);
    else if (!errand->is_acked || is_known)
        errand->is_over = true;
    else
        ask_by_id(self, errand, TSP_REPLY);
}

static void
go_on(struct client_node *self, struct errand *errand)
{
    struct world *world = self->node.world;
    if (errand->of != NULL) {
        errand->is_over = errand->tries > 0;
        if (!errand->is_over)
            trespass(self, errand);
    } else if (errand->is_excused) {
        errand->is_over = true; // it is lost, and not by Titanic
    } else if (world->is_healed) {
        finish(self, errand);
    } else if (errand->is_acked) {
        if (errand->is_closed && roll(world, STREAM_TITANIC, 4) == 0)
            errand->is_over = true;
        else
            go_on_acked(self, errand);
    } else if ((errand->has_key && !errand->is_key_expired) || errand->tries == 0) {
        submit(self, errand, false);
    } else {
        errand->is_over = true; // nobody knows whether Titanic has it
    }
}

static bool
may_ask(const struct client_node *self)
{
    if (self->node.world->is_healed && client_core_open_count(self->core) > 0)
        return false;
    return client_core_has_room(self->core);
}

static void
act(struct client_node *self)
{
    struct world *world = self->node.world;
    uint32_t own = 0;
    uint64_t next_ns = UINT64_MAX;
    for (size_t i = 0; i < check_errand_count(world); i++) {
        struct errand *errand = check_errand(world, i);
        if (errand->client != self->node.index)
            continue;
        own++;
        if (errand->call != 0 &&
            (errand->life != self->node.life || !client_core_is_open(self->core, errand->call)))
            errand->call = 0; // nobody will ever know
        if (errand->is_over || errand->call != 0)
            continue;
        if (errand->next_ns <= world->now_ns && may_ask(self))
            go_on(self, errand);
        if (errand->call == 0 && !errand->is_over && errand->next_ns < next_ns)
            next_ns = errand->next_ns;
    }
    if (!world->is_healed && own < world->plan.titanic.errands) {
        if (world->now_ns >= self->next_call_ns) {
            self->next_call_ns =
                world->now_ns + roll_gap(world, STREAM_TITANIC, self->plan->think_ns);
            uint64_t burst = roll_between(world, STREAM_TITANIC, 1, world->plan.titanic.burst);
            while (burst-- > 0)
                begin_errand(self);
            next_ns = world->now_ns;
        }
        next_ns = self->next_call_ns < next_ns ? self->next_call_ns : next_ns;
    }
    if (next_ns <= world->now_ns && !may_ask(self))
        return; // it wakes when a call ends
    node_wake_at(&self->node, next_ns);
}

// ---- answers ----------------------------------------------------------------------------

static struct errand *
errand_of_call(const struct client_node *self, uint64_t call)
{
    const struct world *world = self->node.world;
    for (size_t i = 0; i < check_errand_count(world); i++) {
        struct errand *errand = check_errand(world, i);
        if (errand->client == self->node.index && errand->call == call)
            return errand;
    }
    return NULL;
}

static void
answered(struct client_node *self, const struct client_effect *effect)
{
    struct world *world = self->node.world;
    struct errand *errand = errand_of_call(self, effect->id);
    struct view frames[FRAMES_MAX];
    size_t count = 0, cursor = 0;
    if (errand == NULL)
        return;
    errand->call = 0;
    uint64_t think_ns = world->is_healed ? 500 * ms : self->plan->think_ns;
    errand->next_ns = world->now_ns + roll_gap(world, STREAM_TITANIC, think_ns);
    node_poke(&self->node);
    if (effect->result != GALLEON_OK)
        return;
    if (effect->cargo != NULL) {
        struct mdp_body parts = parcel_body(effect->cargo);
        while (count < FRAMES_MAX && mdp_body_next(&parts, &cursor, &frames[count]))
            count++;
    }
    cursor = 0;
    while (effect->body != NULL && count < FRAMES_MAX &&
           mdp_body_next(effect->body, &cursor, &frames[count]))
        count++;
    (void)check_errand_heard(self, errand, frames, count);
}

void
durable_nodes_add(struct world *world)
{
    for (uint32_t i = 0; i < world->plan.titanic.durables; i++) {
        struct client_node *self =
            client_node_add_durable(world, i, &world->plan.titanic.durable[i]);
        self->act = act;
        self->answered = answered;
    }
}
