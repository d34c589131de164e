// pirate_wire.c - three readers, three heads, and the two bytes that the pirates share.
//
// Reading goes limits, control or data, stack, delimiter, body; each step looks only at
// what the step before has shown to be there.

#include "pirate_wire.h"

#include "must.h"

enum { READY_BYTE = 1, HEARTBEAT_BYTE = 2 }; // 6/PPP

#define EMPTY_FRAME     VIEW_LITERAL("")
#define READY_FRAME     VIEW_LITERAL("\001")
#define HEARTBEAT_FRAME VIEW_LITERAL("\002")

static const struct view one_empty_frame[1] = {{(const uint8_t *)"", 0}};
static const struct pirate_message blank_message; // see mdp_wire.c

const char *
pirate_fault_text(enum pirate_fault fault)
{
    static const char *const texts[PIRATE_FAULTS] = {
#define X(name, text) [name] = text,
        PIRATE_FAULT_MAP(X)
#undef X
    };
    return texts[fault];
}

// ---- reading ----------------------------------------------------------------------------------

// Frames that are still to be read.
struct rest {
    const struct view *frames;
    size_t count;
};

static void
skip(struct rest *self, size_t count)
{
    self->frames += count;
    self->count -= count;
}

static enum pirate_fault
fail(struct pirate_message *self, enum pirate_fault fault)
{
    struct view routing_id = self->envelope.routing_id;
    *self = blank_message;
    self->envelope.routing_id = routing_id;
    self->fault = fault;
    return fault;
}

// begin blanks the message and leaves its frames, the routing id not among them.
static enum pirate_fault
begin(struct pirate_message *self, const struct view *frames, size_t count, bool has_routing_id,
      const struct mdp_limits *limits, struct rest *rest_out)
{
    *self = blank_message;
    *rest_out = (struct rest){frames, count};
    if (has_routing_id && count > 0) {
        self->envelope.routing_id = frames[0];
        skip(rest_out, 1);
    }
    if (rest_out->count == 0)
        return fail(self, PIRATE_EMPTY);
    return mdp_limits_are_passed(limits, frames, count) ? fail(self, PIRATE_OVER_LIMIT)
                                                        : PIRATE_SOUND;
}

// read_stack reads addresses up to the delimiter, and the delimiter.
static enum pirate_fault
read_stack(struct pirate_message *self, struct rest *rest, size_t stack_max)
{
    size_t at = 0;
    while (at < rest->count && at <= stack_max && rest->frames[at].size > 0)
        at++;
    if (at > stack_max)
        return fail(self, PIRATE_BAD_STACK);
    if (at == rest->count)
        return fail(self, PIRATE_NO_DELIMITER);
    self->envelope.stack = rest->frames;
    self->envelope.stack_size = at;
    skip(rest, at + 1);
    return PIRATE_SOUND;
}

// read_body takes all that is left.
static void
read_body(struct pirate_message *self, enum pirate_kind kind, const struct rest *rest)
{
    self->kind = kind;
    self->body =
        rest->count > 0 ? mdp_body_of(rest->frames, rest->count) : mdp_body_of(one_empty_frame, 1);
}

static bool
is_byte(struct view frame, uint8_t byte)
{
    return frame.size == 1 && frame.data[0] == byte;
}

enum pirate_fault
pirate_wire_read_client(struct pirate_message *self, const struct view *frames, size_t frame_count,
                        const struct mdp_limits *limits)
{
    struct rest rest;
    if (begin(self, frames, frame_count, true, limits, &rest) != PIRATE_SOUND ||
        read_stack(self, &rest, MDP_STACK_MAX) != PIRATE_SOUND)
        return self->fault;
    self->envelope.has_delimiter = true;
    read_body(self, PIRATE_REQUEST, &rest);
    return PIRATE_SOUND;
}

// read_said reads what a worker says, behind its routing id.
static enum pirate_fault
read_said(struct pirate_message *self, bool is_simple, struct rest *rest)
{
    if (is_simple && rest->frames[0].size > 0)
        return fail(self, PIRATE_NO_DELIMITER);
    if (is_simple)
        skip(rest, 1);
    if (rest->count == 0)
        return fail(self, PIRATE_EMPTY);
    self->envelope.has_delimiter = is_simple;

    bool is_single = rest->count == 1;
    if (is_single && is_byte(rest->frames[0], READY_BYTE)) {
        self->kind = PIRATE_READY;
        return PIRATE_SOUND;
    }
    if (is_single && !is_simple && is_byte(rest->frames[0], HEARTBEAT_BYTE)) {
        self->kind = PIRATE_HEARTBEAT;
        return PIRATE_SOUND;
    }
    // "Exactly one frame after the worker's id is control" in PPP; a REQ that forgot its body
    // has named its request all the same.
    if (is_single && (!is_simple || rest->frames[0].size != TICKET_TEXT_BYTES))
        return fail(self, PIRATE_BAD_CONTROL);
    if (!ticket_from_text(rest->frames[0], &self->ticket))
        return fail(self, PIRATE_BAD_ADDRESS);
    skip(rest, 1);
    if (rest->count > 0 && rest->frames[0].size == 0)
        skip(rest, 1);
    read_body(self, PIRATE_REPLY, rest);
    return PIRATE_SOUND;
}

enum pirate_fault
pirate_wire_read_worker(struct pirate_message *self, enum pirate_dialect dialect,
                        const struct view *frames, size_t frame_count,
                        const struct mdp_limits *limits)
{
    struct rest rest;
    if (begin(self, frames, frame_count, true, NULL, &rest) != PIRATE_SOUND)
        return self->fault;
    enum pirate_fault fault = read_said(self, dialect == PIRATE_SIMPLE, &rest);
    if (!mdp_limits_are_passed(limits, frames, frame_count))
        return fault;
    if (fault != PIRATE_SOUND)
        return fail(self, PIRATE_OVER_LIMIT);
    self->body = blank_message.body;
    self->fault = PIRATE_OVER_LIMIT;
    return self->fault;
}

enum pirate_fault
pirate_wire_read_queue(struct pirate_message *self, enum pirate_dialect dialect,
                       const struct view *frames, size_t frame_count,
                       const struct mdp_limits *limits)
{
    struct rest rest;
    if (begin(self, frames, frame_count, false, limits, &rest) != PIRATE_SOUND)
        return self->fault;
    bool is_simple = dialect == PIRATE_SIMPLE;
    if (is_simple && rest.frames[0].size == 0) {
        self->envelope.has_delimiter = true;
        skip(&rest, 1);
    }
    if (!is_simple && rest.count == 1) {
        if (!is_byte(rest.frames[0], HEARTBEAT_BYTE))
            return fail(self, PIRATE_BAD_CONTROL);
        self->kind = PIRATE_HEARTBEAT;
        return PIRATE_SOUND;
    }
    if (rest.count == 0)
        return fail(self, PIRATE_EMPTY);
    if (read_stack(self, &rest, PIRATE_STACK_MAX) != PIRATE_SOUND)
        return self->fault;
    // 6/PPP leaves the stack out where it likes; a simple queue always knows its client.
    if (is_simple && self->envelope.stack_size == 0)
        return fail(self, PIRATE_NO_ADDRESS);
    read_body(self, PIRATE_REQUEST, &rest);
    return PIRATE_SOUND;
}

// ---- writing ----------------------------------------------------------------------------------

static void
add(struct pirate_head *self, struct view frame)
{
    must(self->frame_count < sizeof self->frames / sizeof *self->frames);
    self->frames[self->frame_count++] = frame;
}

static void
add_stack(struct pirate_head *self, const struct mdp_envelope *envelope)
{
    must(envelope->stack_size <= PIRATE_STACK_MAX);
    for (size_t i = 0; i < envelope->stack_size; i++)
        add(self, envelope->stack[i]);
    add(self, EMPTY_FRAME);
}

void
pirate_wire_head_to_client(struct pirate_head *self, const struct mdp_envelope *envelope)
{
    self->frame_count = 0;
    add_stack(self, envelope);
}

void
pirate_wire_head_to_worker(struct pirate_head *self, enum pirate_dialect dialect,
                           enum pirate_kind kind, const struct ticket *ticket)
{
    must(kind == PIRATE_REQUEST || (kind == PIRATE_HEARTBEAT && dialect == PIRATE_PARANOID));
    self->frame_count = 0;
    if (kind == PIRATE_HEARTBEAT) {
        add(self, HEARTBEAT_FRAME);
        return;
    }
    if (dialect == PIRATE_SIMPLE)
        add(self, EMPTY_FRAME);
    ticket_to_text(ticket, self->ticket_text);
    add(self, view_of(self->ticket_text, sizeof self->ticket_text));
    add(self, EMPTY_FRAME);
}

void
pirate_wire_head_to_queue(struct pirate_head *self, enum pirate_dialect dialect,
                          enum pirate_kind kind, const struct mdp_envelope *envelope)
{
    must(kind == PIRATE_READY || kind == PIRATE_REPLY ||
         (kind == PIRATE_HEARTBEAT && dialect == PIRATE_PARANOID));
    self->frame_count = 0;
    if (dialect == PIRATE_SIMPLE && envelope->has_delimiter)
        add(self, EMPTY_FRAME);
    if (kind == PIRATE_REPLY)
        add_stack(self, envelope);
    else
        add(self, kind == PIRATE_READY ? READY_FRAME : HEARTBEAT_FRAME);
}
