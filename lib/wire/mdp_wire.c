// mdp_wire.c - the tables of the three dialects, and the walk through a message.
//
// The bytes of commands stand in two tables and nowhere else: the same number
// means another command in each dialect and on each side (0x04 is HEARTBEAT to a
// 0.1 worker and FINAL to a 0.2 one), so nothing is ever copied from one to the
// other. Reading goes envelope, header, record; each step looks only at what the
// step before has shown to be there.

#include "mdp_wire.h"

#include "bytes.h"
#include "must.h"
#include "service_name.h"

enum {
    HEADER_BYTES = 6,
    VERSION = 1,
    RECORD_HEAD_BYTES = 8,
    COMMANDS_MAX = 8 // rows of a table, the end included
};

#define EMPTY_FRAME VIEW_LITERAL("")

static const struct view one_empty_frame[1] = {{(const uint8_t *)"", 0}};

// A copy of these costs half of what clearing does: compilers clear so many bytes with
// `rep stos`, which is slow to start, and there is one for every record.
static const struct mdp_record blank_record;
static const struct mdp_reader blank_reader;

const char *
mdp_fault_text(enum mdp_fault fault)
{
    static const char *const texts[MDP_FAULTS] = {
#define X(name, text) [name] = text,
        MDP_FAULT_MAP(X)
#undef X
    };
    return texts[fault];
}

// ---- what each dialect calls its commands -----------------------------------

enum ways { TO = 1 << MDP_TO_BROKER, FROM = 1 << MDP_FROM_BROKER, BOTH = TO | FROM };

// A command of 0.1 or 0.2: one byte in a frame of its own.
struct frame_command {
    uint8_t byte;
    enum mdp_command command;
    enum ways ways;
};

// 7/MDP, worker side.
static const struct frame_command worker_01[COMMANDS_MAX] = {{1, MDP_READY, TO},
                                                             {2, MDP_REQUEST, FROM},
                                                             {3, MDP_FINAL, TO},
                                                             {4, MDP_HEARTBEAT, BOTH},
                                                             {5, MDP_DISCONNECT, BOTH}};
// 18/MDP, worker side and client side.
static const struct frame_command worker_02[COMMANDS_MAX] = {
    {1, MDP_READY, TO}, {2, MDP_REQUEST, FROM},   {3, MDP_PARTIAL, TO},
    {4, MDP_FINAL, TO}, {5, MDP_HEARTBEAT, BOTH}, {6, MDP_DISCONNECT, BOTH}};
static const struct frame_command client_02[COMMANDS_MAX] = {
    {1, MDP_REQUEST, TO}, {2, MDP_PARTIAL, FROM}, {3, MDP_FINAL, FROM}};

static const struct frame_command *
frame_commands(mdp_dialect_t dialect, enum mdp_side side)
{
    if (side == MDP_CLIENT_SIDE)
        return client_02; // 0.1 clients send no command
    return dialect == MDP_01 ? worker_01 : worker_02;
}

// A command of G1: a byte in its record.
struct record_command {
    uint8_t byte;
    enum mdp_command command;
    enum ways ways;
    uint8_t fixed_bytes;
    bool has_name;
    bool has_fields;
    bool has_body;
};

static const struct record_command client_g1[COMMANDS_MAX] = {
    {1, MDP_REQUEST, TO, 12, true, true, true},
    {2, MDP_PARTIAL, FROM, 12, false, false, true},
    {3, MDP_FINAL, FROM, 12, false, true, true},
    {4, MDP_CANCEL, TO, 8, false, false, false},
    {5, MDP_HEARTBEAT, BOTH, 4, false, false, false},
};
static const struct record_command worker_g1[COMMANDS_MAX] = {
    {1, MDP_READY, TO, 8, true, true, false},
    {2, MDP_REQUEST, FROM, 24, false, true, true},
    {3, MDP_PARTIAL, TO, 20, false, false, true},
    {4, MDP_FINAL, TO, 20, false, true, true},
    {5, MDP_HEARTBEAT, BOTH, 4, false, false, false},
    {6, MDP_DISCONNECT, BOTH, 4, false, false, false},
    {7, MDP_DRAIN, BOTH, 0, false, false, false},
};

static const struct record_command *
record_commands(enum mdp_side side)
{
    return side == MDP_CLIENT_SIDE ? client_g1 : worker_g1;
}

// record_command_of is the rule of a command on a side; it must have one.
static const struct record_command *
record_command_of(enum mdp_side side, enum mdp_command command)
{
    const struct record_command *rule = record_commands(side);
    while (rule->byte != 0 && rule->command != command)
        rule++;
    must(rule->byte != 0);
    return rule;
}

// ---- reading: the envelope and the header -------------------------------------

struct header {
    uint8_t magic[HEADER_BYTES + 1];
    enum mdp_side side;
    mdp_dialect_t dialect;
};

static const struct header headers[] = {
    {"MDPCG1", MDP_CLIENT_SIDE, MDP_G1}, {"MDPWG1", MDP_WORKER_SIDE, MDP_G1},
    {"MDPC01", MDP_CLIENT_SIDE, MDP_01}, {"MDPW01", MDP_WORKER_SIDE, MDP_01},
    {"MDPC02", MDP_CLIENT_SIDE, MDP_02}, {"MDPW02", MDP_WORKER_SIDE, MDP_02},
};

// header_of is the header that a frame is, NULL where it is none.
static const struct header *
header_of(struct view frame)
{
    if (frame.size < HEADER_BYTES)
        return NULL;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const struct header *header = &headers[i];
        bool fits = header->dialect == MDP_G1 ? frame.size >= MDP_PACK_HEADER_BYTES
                                              : frame.size == HEADER_BYTES;
        if (fits && memcmp(frame.data, header->magic, HEADER_BYTES) == 0)
            return header;
    }
    return NULL;
}

// find_header sets the envelope and what follows it; NULL where there is no header.
static const struct header *
find_header(struct mdp_reader *self, const struct view *frames, size_t count)
{
    const struct header *header = count > 0 ? header_of(frames[0]) : NULL;
    size_t at = 0;
    if (header == NULL) {
        while (at < count && at <= MDP_STACK_MAX && frames[at].size > 0)
            at++;
        if (at + 1 >= count || at > MDP_STACK_MAX)
            return NULL;
        self->envelope.stack = frames;
        self->envelope.stack_size = at;
        self->envelope.has_delimiter = true;
        header = header_of(frames[++at]);
    }
    self->frames = frames + at;
    self->frame_count = count - at;
    return header;
}

static enum mdp_fault
check_pack(struct mdp_reader *self, const struct mdp_limits *limits)
{
    struct view pack = self->frames[0];
    if (pack.data[HEADER_BYTES] != VERSION)
        return MDP_BAD_VERSION;
    if (pack.size == MDP_PACK_HEADER_BYTES)
        return MDP_NO_RECORD;
    if (limits != NULL && pack.size > limits->bytes_max)
        return MDP_OVER_LIMIT;
    self->offset = MDP_PACK_HEADER_BYTES;
    return MDP_SOUND;
}

bool
mdp_limits_are_passed(const struct mdp_limits *limits, const struct view *frames,
                      size_t frame_count)
{
    if (limits == NULL)
        return false;
    size_t bytes = 0;
    for (size_t i = 0; i < frame_count && bytes <= limits->bytes_max; i++)
        bytes += frames[i].size;
    return frame_count > limits->frames_max || bytes > limits->bytes_max;
}

enum mdp_fault
mdp_wire_begin(struct mdp_reader *self, const struct view *frames, size_t frame_count,
               enum mdp_way way, bool has_routing_id, const struct mdp_limits *limits)
{
    *self = blank_reader;
    self->way = way;
    self->is_done = true;
    if (has_routing_id && frame_count > 0)
        self->envelope.routing_id = frames[0];
    size_t skip = has_routing_id ? 1 : 0;
    if (frame_count <= skip)
        return MDP_BAD_HEADER;

    const struct header *header = find_header(self, frames + skip, frame_count - skip);
    if (header == NULL)
        return MDP_BAD_HEADER;
    self->side = header->side;
    self->dialect = header->dialect;
    self->is_over_limit = mdp_limits_are_passed(limits, frames, frame_count);
    if (self->side == MDP_WORKER_SIDE && self->envelope.stack_size > 0)
        return MDP_BAD_STACK;
    enum mdp_fault fault = self->dialect == MDP_G1 ? check_pack(self, limits) : MDP_SOUND;
    self->is_done = fault != MDP_SOUND;
    return fault;
}

// ---- reading: 0.1 and 0.2 ------------------------------------------------------

struct mdp_body
mdp_body_of(const struct view *frames, size_t count)
{
    struct mdp_body body = {.frames = frames, .count = count};
    for (size_t i = 0; i < count; i++)
        body.bytes += frames[i].size;
    return body;
}

// rest_of_frames is the body that begins at frame `at`: 7/MDP: "Frames 3+:
// Request body"; none is read as one empty frame.
static struct mdp_body
rest_of_frames(const struct mdp_reader *self, size_t at)
{
    if (at >= self->frame_count)
        return mdp_body_of(one_empty_frame, 1);
    return mdp_body_of(self->frames + at, self->frame_count - at);
}

static void
read_service(const struct mdp_reader *self, size_t at, struct mdp_record *out)
{
    if (at < self->frame_count && service_name_is_valid(self->frames[at]))
        out->service = self->frames[at];
    else
        out->fault = MDP_BAD_NAME;
}

// read_addressed reads address, delimiter and body. An answer with the right ticket
// is never lost for its shape: the delimiter may be missing, and the body too.
static void
read_addressed(const struct mdp_reader *self, size_t at, struct mdp_record *out)
{
    if (at >= self->frame_count) {
        out->fault = MDP_NO_ADDRESS;
        return;
    }
    out->address = self->frames[at++];
    if (self->way == MDP_TO_BROKER && !ticket_from_text(out->address, &out->ticket)) {
        out->fault = MDP_BAD_ADDRESS;
        return;
    }
    if (at < self->frame_count && self->frames[at].size == 0)
        at++;
    out->body = rest_of_frames(self, at);
}

static enum mdp_command
read_command(const struct mdp_reader *self, size_t at)
{
    if (at >= self->frame_count || self->frames[at].size != 1)
        return MDP_NO_COMMAND;
    const struct frame_command *rule = frame_commands(self->dialect, self->side);
    for (; rule->byte != 0; rule++)
        if (rule->byte == self->frames[at].data[0] && (rule->ways & (1 << self->way)))
            return rule->command;
    return MDP_NO_COMMAND;
}

static void
read_frames(struct mdp_reader *self, struct mdp_record *out)
{
    size_t at = 1;
    self->is_done = true;
    if (self->dialect == MDP_01 && self->side == MDP_CLIENT_SIDE)
        out->command = self->way == MDP_TO_BROKER ? MDP_REQUEST : MDP_FINAL;
    else
        out->command = read_command(self, at++);

    out->status = out->command == MDP_FINAL ? MDP_DONE : 0;
    if (out->command == MDP_NO_COMMAND) {
        out->fault = MDP_BAD_COMMAND;
    } else if (self->side == MDP_CLIENT_SIDE) {
        read_service(self, at++, out);
        out->body = rest_of_frames(self, at);
    } else if (out->command == MDP_READY) {
        read_service(self, at, out);
    } else if (out->command != MDP_HEARTBEAT && out->command != MDP_DISCONNECT) {
        read_addressed(self, at, out);
    }
    if (out->fault == MDP_SOUND && self->is_over_limit)
        out->fault = MDP_OVER_LIMIT;
}

// ---- reading: G1 -----------------------------------------------------------------

// read_parts checks every length of a packed body and counts its parts.
static enum mdp_fault
read_parts(struct view parts, struct mdp_body *body_out)
{
    size_t count = 0;
    for (size_t at = 0; at < parts.size; count++) {
        if (parts.size - at < 4)
            return MDP_BAD_CONTENTS;
        size_t size = bytes_get32(parts.data + at);
        at += 4;
        if (parts.size - at < size)
            return MDP_BAD_CONTENTS;
        at += size;
    }
    *body_out = (struct mdp_body){.packed = parts, .count = count, .bytes = parts.size - 4 * count};
    return count > MDP_PARTS_MAX ? MDP_OVER_LIMIT : MDP_SOUND;
}

static enum mdp_fault
read_fields(struct view *rest, struct view *fields_out)
{
    if (rest->size < 2)
        return MDP_BAD_CONTENTS;
    size_t size = bytes_get16(rest->data);
    *rest = view_skip(*rest, 2);
    if (size > rest->size || size > MDP_FIELDS_BYTES_MAX)
        return MDP_BAD_CONTENTS;
    *fields_out = view_of(rest->data, size);
    *rest = view_skip(*rest, size);
    return MDP_SOUND;
}

static void
read_fixed(const uint8_t *at, enum mdp_side side, struct mdp_record *out)
{
    if (out->command == MDP_READY) {
        out->credit = bytes_get32(at);
        out->interval_ms = bytes_get32(at + 4);
        return;
    }
    if (out->command == MDP_HEARTBEAT) {
        out->interval_ms = bytes_get32(at);
        return;
    }
    if (out->command == MDP_DISCONNECT) {
        out->reason = bytes_get32(at);
        return;
    }
    if (out->command == MDP_DRAIN)
        return;
    if (side == MDP_CLIENT_SIDE) {
        out->id = bytes_get64(at);
        at += 8;
    } else {
        memcpy(out->ticket.bytes, at, TICKET_BYTES);
        at += TICKET_BYTES;
    }
    if (out->command == MDP_REQUEST) {
        out->ttl_ms = bytes_get32(at);
        out->attempt = side == MDP_WORKER_SIDE ? bytes_get32(at + 4) : 0;
    } else if (out->command == MDP_PARTIAL) {
        out->seq = bytes_get32(at);
    } else if (out->command == MDP_FINAL) {
        out->status = bytes_get16(at);
        out->parts = bytes_get16(at + 2);
    }
}

// read_contents reads what stands behind the fixed part: name, fields, body.
static enum mdp_fault
read_contents(const struct mdp_reader *self, const struct record_command *rule, struct view rest,
              size_t name_size, struct mdp_record *out)
{
    if (rule->has_name) {
        if (name_size > rest.size)
            return MDP_BAD_CONTENTS;
        out->service = view_of(rest.data, name_size);
        rest = view_skip(rest, name_size);
    }
    if (rule->has_fields && (out->flags & MDP_FLAG_FIELDS)) {
        enum mdp_fault fault = read_fields(&rest, &out->fields);
        if (fault != MDP_SOUND)
            return fault;
    }
    if (rule->has_body) {
        bool is_loose = out->flags & MDP_FLAG_LOOSE;
        if (is_loose && rest.size > 0)
            return MDP_BAD_CONTENTS;
        if (is_loose && self->is_over_limit)
            return MDP_OVER_LIMIT;
        if (is_loose)
            out->body = mdp_body_of(self->frames + 1, self->frame_count - 1);
        else if (rest.size > 0) {
            enum mdp_fault fault = read_parts(rest, &out->body);
            if (fault != MDP_SOUND)
                return fault;
        }
    }
    if (rule->has_name && !service_name_is_valid(out->service))
        return MDP_BAD_NAME;
    return MDP_SOUND;
}

// read_record reads one record that is known to lie in the frame.
static enum mdp_fault
read_record(const struct mdp_reader *self, struct view record, struct mdp_record *out)
{
    const struct record_command *rule = record_commands(self->side);
    uint8_t byte = record.data[4];
    while (rule->byte != 0 && rule->byte != byte)
        rule++;
    if (rule->byte == 0 || !(rule->ways & (1 << self->way)))
        return MDP_BAD_COMMAND;
    out->command = rule->command;
    out->flags = record.data[5];
    size_t least = (size_t)RECORD_HEAD_BYTES + rule->fixed_bytes;
    if (record.size < least)
        return MDP_TOO_SHORT;
    read_fixed(record.data + RECORD_HEAD_BYTES, self->side, out);
    return read_contents(self, rule, view_skip(record, least), record.data[6], out);
}

// next_in_chain finds where the next record ends; false where the chain breaks.
static bool
next_in_chain(struct mdp_reader *self, struct view *record_out)
{
    struct view rest = view_skip(self->frames[0], self->offset);
    if (rest.size < RECORD_HEAD_BYTES)
        return false;
    size_t size = bytes_get32(rest.data);
    if (size < RECORD_HEAD_BYTES || size > rest.size)
        return false;
    bool is_loose = rest.data[5] & MDP_FLAG_LOOSE;
    bool is_last = size == rest.size;
    if (is_loose && !is_last)
        return false;
    if (!is_loose && is_last && self->frame_count > 1)
        return false;
    self->offset += size;
    self->is_done = is_last;
    *record_out = view_of(rest.data, size);
    return true;
}

bool
mdp_wire_next(struct mdp_reader *self, struct mdp_record *record_out)
{
    if (self->is_done)
        return false;
    *record_out = blank_record;
    record_out->side = self->side;
    record_out->dialect = self->dialect;
    struct view record;
    if (self->dialect != MDP_G1) {
        read_frames(self, record_out);
    } else if (next_in_chain(self, &record)) {
        record_out->fault = read_record(self, record, record_out);
    } else {
        record_out->fault = MDP_BROKEN_CHAIN;
        self->is_done = true;
    }
    return true;
}

// ---- writing ----------------------------------------------------------------------

void
mdp_wire_head(struct mdp_head *self, const struct mdp_record *record, bool has_delimiter)
{
    must(record->dialect == MDP_01 || record->dialect == MDP_02);
    size_t count = 0;
    if (has_delimiter)
        self->frames[count++] = EMPTY_FRAME;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (headers[i].dialect == record->dialect && headers[i].side == record->side)
            self->frames[count++] = view_of(headers[i].magic, HEADER_BYTES);

    if (record->dialect == MDP_02 || record->side == MDP_WORKER_SIDE) {
        const struct frame_command *rule = frame_commands(record->dialect, record->side);
        while (rule->byte != 0 && rule->command != record->command)
            rule++;
        must(rule->byte != 0);
        self->command = rule->byte;
        self->frames[count++] = view_of(&self->command, 1);
    }
    if (record->side == MDP_CLIENT_SIDE || record->command == MDP_READY) {
        self->frames[count++] = record->service;
    } else if (record->command != MDP_HEARTBEAT && record->command != MDP_DISCONNECT) {
        struct view address = record->address;
        if (address.data == NULL) {
            ticket_to_text(&record->ticket, self->ticket_text);
            address = view_of(self->ticket_text, TICKET_TEXT_BYTES);
        }
        self->frames[count++] = address;
        self->frames[count++] = EMPTY_FRAME;
    }
    self->frame_count = count;
}

uint8_t *
mdp_wire_write_header(uint8_t *to, enum mdp_side side)
{
    memcpy(to, side == MDP_CLIENT_SIDE ? "MDPCG1\1" : "MDPWG1\1", MDP_PACK_HEADER_BYTES);
    return to + MDP_PACK_HEADER_BYTES;
}

static bool
has_fields(const struct record_command *rule, const struct mdp_record *record)
{
    return rule->has_fields && (record->flags & MDP_FLAG_FIELDS);
}

static bool
has_packed_body(const struct record_command *rule, const struct mdp_record *record)
{
    return rule->has_body && !(record->flags & MDP_FLAG_LOOSE);
}

size_t
mdp_wire_record_bytes(const struct mdp_record *record)
{
    const struct record_command *rule = record_command_of(record->side, record->command);
    size_t bytes = (size_t)RECORD_HEAD_BYTES + rule->fixed_bytes;
    if (rule->has_name)
        bytes += record->service.size;
    if (has_fields(rule, record))
        bytes += 2 + record->fields.size;
    if (has_packed_body(rule, record))
        bytes += mdp_body_packed_bytes(&record->body);
    return bytes;
}

static uint8_t *
write_fixed(uint8_t *to, const struct mdp_record *record)
{
    if (record->command == MDP_READY)
        return bytes_put32(bytes_put32(to, record->credit), record->interval_ms);
    if (record->command == MDP_HEARTBEAT)
        return bytes_put32(to, record->interval_ms);
    if (record->command == MDP_DISCONNECT)
        return bytes_put32(to, record->reason);
    if (record->command == MDP_DRAIN)
        return to;
    if (record->side == MDP_CLIENT_SIDE) {
        to = bytes_put64(to, record->id);
    } else {
        memcpy(to, record->ticket.bytes, TICKET_BYTES);
        to += TICKET_BYTES;
    }
    if (record->command == MDP_REQUEST) {
        to = bytes_put32(to, record->ttl_ms);
        return record->side == MDP_WORKER_SIDE ? bytes_put32(to, record->attempt) : to;
    }
    if (record->command == MDP_PARTIAL)
        return bytes_put32(to, record->seq);
    if (record->command == MDP_FINAL)
        return bytes_put16(bytes_put16(to, record->status), record->parts);
    return to; // CANCEL
}

uint8_t *
mdp_wire_write_record(uint8_t *to, const struct mdp_record *record)
{
    const struct record_command *rule = record_command_of(record->side, record->command);
    uint8_t *start = to;
    to += 4; // its size, known at the end
    *to++ = rule->byte;
    *to++ = record->flags;
    *to++ = rule->has_name ? (uint8_t)record->service.size : 0;
    *to++ = 0;
    to = write_fixed(to, record);
    if (rule->has_name) {
        memcpy(to, record->service.data, record->service.size);
        to += record->service.size;
    }
    if (has_fields(rule, record)) {
        to = bytes_put16(to, (uint16_t)record->fields.size);
        if (record->fields.size > 0)
            memcpy(to, record->fields.data, record->fields.size);
        to += record->fields.size;
    }
    if (has_packed_body(rule, record))
        to = mdp_body_write_packed(to, &record->body);
    (void)bytes_put32(start, (uint32_t)(to - start));
    return to;
}

// ---- bodies and fields --------------------------------------------------------------

bool
mdp_body_next(const struct mdp_body *body, size_t *cursor, struct view *frame_out)
{
    if (body->frames != NULL) {
        if (*cursor >= body->count)
            return false;
        *frame_out = body->frames[(*cursor)++];
        return true;
    }
    if (*cursor >= body->packed.size)
        return false;
    const uint8_t *part = body->packed.data + *cursor;
    *frame_out = view_of(part + 4, bytes_get32(part));
    *cursor += 4 + frame_out->size;
    return true;
}

uint8_t *
mdp_body_write_packed(uint8_t *to, const struct mdp_body *body)
{
    if (body->frames == NULL) {
        if (body->packed.size > 0)
            memcpy(to, body->packed.data, body->packed.size);
        return to + body->packed.size;
    }
    for (size_t i = 0; i < body->count; i++) {
        struct view frame = body->frames[i];
        to = bytes_put32(to, (uint32_t)frame.size);
        if (frame.size > 0)
            memcpy(to, frame.data, frame.size);
        to += frame.size;
    }
    return to;
}

// next_line takes one line, its LF included where it has one.
static bool
next_line(struct view *rest, struct view *line_out)
{
    if (rest->size == 0)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data) + 1;
    *line_out = view_of(rest->data, size);
    *rest = view_skip(*rest, size);
    return true;
}

// line_has_name: is it `name: value` LF with this name?
static bool
line_has_name(struct view line, struct view name)
{
    return line.data[line.size - 1] == '\n' && line.size >= name.size + 3 &&
           view_starts_with(line, name) && line.data[name.size] == ':' &&
           line.data[name.size + 1] == ' ';
}

size_t
mdp_fields_clean(uint8_t *to, struct view fields)
{
    size_t written = 0;
    struct view line;
    while (next_line(&fields, &line)) {
        if (line_has_name(line, VIEW_LITERAL("epoch")) || line_has_name(line, VIEW_LITERAL("user")))
            continue;
        memcpy(to + written, line.data, line.size);
        written += line.size;
    }
    return written;
}

bool
mdp_fields_find(struct view fields, struct view name, struct view *value_out)
{
    struct view line;
    while (next_line(&fields, &line)) {
        if (!line_has_name(line, name))
            continue;
        *value_out = view_of(line.data + name.size + 2, line.size - name.size - 3);
        return true;
    }
    return false;
}
