// broker_outbox.c - SEND effects to messages.

#include "broker_outbox.h"

#include "connection.h"
#include "must.h"
#include "pirate_queue_core.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SPARE_BOXES = 64 }; // empty packers that are kept between batches

// A pack for one route.
struct outbox {
    struct packer packer;
    uint32_t route_number;
    uint64_t route_serial;
    bool has_delimiter; // of a worker that sends one; clients that do get no packs
    bool is_of_reign;   // some record in it is
    uint8_t id_size;
    uint8_t id[255];
};

bool
broker_outbox_init(struct broker_outbox *self, void *const sockets[OUTBOX_SOCKETS_MAX],
                   enum broker_manners manners, struct cargo_pool *pool, uint32_t routes_max)
{
    *self = (struct broker_outbox){.manners = manners, .pool = pool, .routes_max = routes_max};
    memcpy(self->sockets, sockets, sizeof self->sockets);
    packer_init(&self->single, MDP_MESSAGE_BYTES_MAX);
    // Most of it is never touched, so most of it is never there.
    void *memory = mmap(NULL, routes_max * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    self->box_of_route = memory == MAP_FAILED ? NULL : memory;
    return self->box_of_route != NULL;
}

void
broker_outbox_guard(struct broker_outbox *self, broker_gate_fn *gate, void *context)
{
    self->gate = gate;
    self->gate_context = context;
}

void
broker_outbox_release(struct broker_outbox *self)
{
    struct refused refused;
    while (broker_outbox_refusal(self, &refused))
        if (refused.cargo != NULL)
            cargo_release(self->pool, refused.cargo);
    for (size_t i = 0; i < self->box_capacity && self->boxes[i] != NULL; i++) {
        packer_release(&self->boxes[i]->packer);
        free(self->boxes[i]);
    }
    packer_release(&self->single);
    free(self->boxes);
    free(self->refused);
    if (self->box_of_route != NULL)
        munmap(self->box_of_route, self->routes_max * sizeof(uint32_t));
    *self = (struct broker_outbox){0};
}

// ---- what may go out -------------------------------------------------------------------

// gate_error is EPERM where the half of a pair may not send this any more. The clock is read for
// each message: what was decided in a turn that took long, or was stopped in its middle, is not
// sent for that.
static int
gate_error(const struct broker_outbox *self, bool is_of_reign, enum mdp_side side)
{
    if (!is_of_reign || self->gate == NULL)
        return 0;
    return self->gate(self->gate_context, side == MDP_WORKER_SIDE) ? 0 : EPERM;
}

// ---- what was refused ------------------------------------------------------------------

// grown is an array with room for one more element, or NULL.
static void *
grown(void *array, size_t count, size_t *capacity, size_t element_bytes)
{
    if (count < *capacity)
        return array;
    size_t capacity_new = *capacity == 0 ? 64 : *capacity * 2;
    void *array_new = realloc(array, capacity_new * element_bytes);
    if (array_new != NULL) {
        memset((uint8_t *)array_new + *capacity * element_bytes, 0,
               (capacity_new - *capacity) * element_bytes);
        *capacity = capacity_new;
    }
    return array_new;
}

static void
refuse(struct broker_outbox *self, const struct refused *refused)
{
    struct refused *list =
        grown(self->refused, self->refused_count, &self->refused_capacity, sizeof *list);
    // Without the memory to take a request back it would be lost unseen.
    must(list != NULL);
    self->refused = list;
    self->refused[self->refused_count++] = *refused;
}

bool
broker_outbox_refusal(struct broker_outbox *self, struct refused *refused_out)
{
    if (self->refused_count == 0)
        return false;
    *refused_out = self->refused[--self->refused_count];
    return true;
}

static struct refused
refused_of(const struct broker_effect *effect, int error)
{
    return (struct refused){.route_number = effect->to->number,
                            .route_serial = effect->to->serial,
                            .side = effect->record.side,
                            .command = effect->record.command,
                            .token = effect->token,
                            .cargo = effect->keeps_cargo ? NULL : effect->cargo,
                            .is_gone = error == EHOSTUNREACH,
                            .is_withheld = error == EPERM};
}

// end_single lets go of what went out, or takes it back.
static void
end_single(struct broker_outbox *self, const struct broker_effect *effect, int error)
{
    if (error != 0) {
        struct refused refused = refused_of(effect, error);
        refuse(self, &refused);
    } else if (!effect->keeps_cargo && effect->cargo != NULL) {
        cargo_release(self->pool, effect->cargo);
    }
}

// ---- one message for one record -----------------------------------------------------------

// send_address sends routing id and stack; an errno when it is refused.
static int
send_address(void *socket, const struct broker_route *to)
{
    int error = frame_send(to->routing_id, socket, true);
    if (error != 0)
        return error;
    struct view rest = to->stack;
    while (rest.size > 0) {
        size_t size = rest.data[0];
        (void)frame_send(view_of(rest.data + 1, size), socket, true);
        rest = view_skip(rest, 1 + size);
    }
    return 0;
}

static bool
has_body(enum mdp_command command)
{
    return command == MDP_REQUEST || command == MDP_PARTIAL || command == MDP_FINAL;
}

// send_body sends the frames of the record, then those of the cargo: 7/MDP has no
// body of no frames.
static void
send_body(void *socket, const struct mdp_body *body, const struct cargo *cargo)
{
    size_t cursor = 0, sent = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame))
        (void)frame_send(frame, socket, ++sent < body->count || cargo != NULL);
    if (cargo != NULL)
        cargo_send(cargo, socket);
    else if (sent == 0)
        (void)frame_send(VIEW_NONE, socket, false);
}

static void
send_frames(struct broker_outbox *self, const struct broker_effect *effect, const struct view *head,
            size_t head_count)
{
    void *socket = self->sockets[effect->to->socket];
    int error = gate_error(self, effect->is_of_reign, effect->record.side);
    if (error == 0)
        error = send_address(socket, effect->to);
    if (error == 0) {
        bool body_follows = has_body(effect->record.command);
        for (size_t i = 0; i < head_count; i++)
            (void)frame_send(head[i], socket, body_follows || i + 1 < head_count);
        if (body_follows)
            send_body(socket, &effect->record.body, effect->cargo);
    }
    end_single(self, effect, error);
}

static void
send_to_majordomo(struct broker_outbox *self, const struct broker_effect *effect)
{
    struct mdp_head head;
    mdp_wire_head(&head, &effect->record, effect->has_delimiter);
    send_frames(self, effect, head.frames, head.frame_count);
}

static void
send_to_pirate(struct broker_outbox *self, const struct broker_effect *effect)
{
    bool is_simple = self->manners == BROKER_SIMPLE;
    struct pirate_head head;
    if (pirate_queue_core_head(is_simple ? PIRATE_SIMPLE : PIRATE_PARANOID, effect, &head))
        send_frames(self, effect, head.frames, head.frame_count);
    else
        end_single(self, effect, connection_has_ended(effect->connection) ? EHOSTUNREACH : 0);
}

// envelope_of is the way to a peer as frames.
static struct mdp_envelope
envelope_of(const struct broker_effect *effect, struct view stack[MDP_STACK_MAX])
{
    struct mdp_envelope envelope = {.routing_id = effect->to->routing_id,
                                    .stack = stack,
                                    .has_delimiter = effect->has_delimiter};
    struct view rest = effect->to->stack;
    while (rest.size > 0) {
        size_t size = rest.data[0];
        stack[envelope.stack_size++] = view_of(rest.data + 1, size);
        rest = view_skip(rest, 1 + size);
    }
    return envelope;
}

static void
send_single(struct broker_outbox *self, const struct broker_effect *effect,
            struct mdp_record *record, const struct cargo *cargo)
{
    struct packer_entry entry = {.side = record->side, .command = record->command};
    struct view stack[MDP_STACK_MAX];
    struct mdp_envelope envelope = envelope_of(effect, stack);
    int error = gate_error(self, effect->is_of_reign, record->side);
    if (error == 0 && !packer_add(&self->single, record, cargo, &entry))
        error = ENOMEM;
    if (error == 0)
        error = packer_send(&self->single, self->sockets[0], &envelope);
    packer_clear(&self->single);
    end_single(self, effect, error);
}

// ---- packs --------------------------------------------------------------------------------------

// send_box sends a pack; what is refused goes back record by record.
static void
send_box(struct broker_outbox *self, struct outbox *box)
{
    if (box->packer.used == 0)
        return;
    struct mdp_envelope envelope = {.routing_id = view_of(box->id, box->id_size),
                                    .has_delimiter = box->has_delimiter};
    int error = gate_error(self, box->is_of_reign, box->packer.entries[0].side);
    if (error == 0)
        error = packer_send(&box->packer, self->sockets[0], &envelope);
    // Entries have no cargo: pack lets go of it.
    for (size_t i = 0; error != 0 && i < box->packer.entry_count; i++) {
        const struct packer_entry *entry = &box->packer.entries[i];
        struct refused refused = {.route_number = box->route_number,
                                  .route_serial = box->route_serial,
                                  .side = entry->side,
                                  .command = entry->command,
                                  .token = entry->token,
                                  .is_gone = error == EHOSTUNREACH,
                                  .is_withheld = error == EPERM};
        refuse(self, &refused);
    }
    box->is_of_reign = false;
    packer_clear(&box->packer);
}

// box_for is the pack that is open for the route; NULL when out of memory.
static struct outbox *
box_for(struct broker_outbox *self, const struct broker_route *to)
{
    must(to->number < self->routes_max);
    uint32_t place = self->box_of_route[to->number];
    if (place != 0 && self->boxes[place - 1]->route_serial == to->serial)
        return self->boxes[place - 1];
    struct outbox **boxes = grown(self->boxes, self->box_count, &self->box_capacity, sizeof *boxes);
    if (boxes == NULL)
        return NULL;
    self->boxes = boxes;
    struct outbox *box = boxes[self->box_count];
    if (box == NULL) {
        box = boxes[self->box_count] = calloc(1, sizeof *box);
        if (box == NULL)
            return NULL;
        packer_init(&box->packer, MDP_MESSAGE_BYTES_MAX);
    }
    box->route_number = to->number;
    box->route_serial = to->serial;
    box->id_size = (uint8_t)to->routing_id.size;
    memcpy(box->id, to->routing_id.data, to->routing_id.size);
    self->box_of_route[to->number] = (uint32_t)++self->box_count;
    return box;
}

// pack writes a record into its peer's pack. What was copied there is let go at once;
// where the pack is refused, the core is told of each record without its body.
static void
pack(struct broker_outbox *self, const struct broker_effect *effect, struct mdp_record *record,
     const struct cargo *cargo)
{
    struct outbox *box = box_for(self, effect->to);
    struct packer_entry entry = {
        .side = record->side, .command = record->command, .token = effect->token};
    if (cargo != NULL && record->body.count == 0)
        record->body = cargo_body(cargo); // for its size
    if (box != NULL &&
        (box->has_delimiter != effect->has_delimiter || !packer_fits(&box->packer, record)))
        send_box(self, box);
    if (box != NULL)
        box->has_delimiter = effect->has_delimiter;
    bool is_packed = box != NULL && packer_add(&box->packer, record, cargo, &entry);
    if (is_packed)
        box->is_of_reign = box->is_of_reign || effect->is_of_reign;
    end_single(self, effect, is_packed ? 0 : ENOMEM);
}

void
broker_outbox_flush(struct broker_outbox *self)
{
    for (size_t i = 0; i < self->box_count; i++) {
        struct outbox *box = self->boxes[i];
        send_box(self, box);
        self->box_of_route[box->route_number] = 0;
    }
    for (size_t i = self->box_count; i-- > SPARE_BOXES;) {
        packer_release(&self->boxes[i]->packer);
        free(self->boxes[i]);
        self->boxes[i] = NULL;
    }
    self->box_count = 0;
}

// ---- either ----------------------------------------------------------------------------------

// join_fields puts the core's own line in front of the fields that came with the body. Where both
// are too much, the last lines of those are left out.
static struct view
join_fields(struct broker_outbox *self, struct view own, struct view fields)
{
    must(own.size < sizeof self->fields);
    size_t room = sizeof self->fields - own.size;
    while (fields.size > room) {
        size_t size = fields.size - 1;
        while (size > 0 && fields.data[size - 1] != '\n')
            size--;
        fields.size = size;
    }
    memcpy(self->fields, own.data, own.size);
    if (fields.size > 0)
        memcpy(self->fields + own.size, fields.data, fields.size);
    return view_of(self->fields, own.size + fields.size);
}

// add_fields adds the fields that came with the body to those of the core.
static void
add_fields(struct broker_outbox *self, struct mdp_record *record, struct view fields)
{
    if (fields.size == 0)
        return;
    record->flags |= MDP_FLAG_FIELDS;
    record->fields = record->fields.size == 0 ? fields : join_fields(self, record->fields, fields);
}

void
broker_outbox_add(struct broker_outbox *self, struct broker_effect *effect)
{
    if (effect->silence_ms != 0 && connection_is_silent(effect->connection, effect->silence_ms)) {
        end_single(self, effect, EHOSTUNREACH);
        return;
    }
    if (self->manners != BROKER_MAJORDOMO) {
        send_to_pirate(self, effect);
        return;
    }
    struct mdp_record *record = &effect->record;
    const struct cargo *cargo = effect->cargo;
    bool is_g1 = record->dialect == MDP_G1;
    if (cargo != NULL && is_g1 && record->command != MDP_PARTIAL)
        add_fields(self, record, cargo_fields(cargo));
    if (!is_g1)
        send_to_majordomo(self, effect);
    else if (effect->has_delimiter && record->side == MDP_CLIENT_SIDE)
        send_single(self, effect, record, cargo);
    else
        pack(self, effect, record, cargo);
}
