// mdp_wire.h - Majordomo on the wire: 0.1, 0.2 and G1, bytes to records and back.
//
// Reading: begin on the frames of one message, then take records until there is
// none left. Views in a record point into the frames. Nothing is allocated, and
// no frame or byte is touched before it is known to be there.
//
// Writing: 0.1 and 0.2 put a few small frames in front of the body
// (mdp_wire_head); G1 writes records behind one pack header.
//
// Spec: rfc.zeromq.org/spec/7 and /18, docs/protocol/mdp-g1.md

#ifndef GALLEON_MDP_WIRE_H
#define GALLEON_MDP_WIRE_H

#include "mdp_record.h"

enum {
    MDP_PACK_HEADER_BYTES = 8,
    MDP_RECORD_HEAD_BYTES_MAX = 34,  // without name, fields and body
    MDP_PACK_BYTES_MAX = 65536,      // frame 0 of a sender, unless one record alone is larger
    MDP_LOOSE_BYTES_MIN = 16385,     // a sender moves bodies of this size, and copies smaller ones
    MDP_FIELDS_BYTES_MAX = 4096,     // header fields of a record
    MDP_MESSAGE_BYTES_MAX = 1 << 20, // what a broker takes where nobody has told it otherwise
    MDP_MESSAGE_BYTES_MIN = 1024,    // the least that it can be told
    MDP_HEADS_BYTES_MAX = 512,       // in a message of one record, beside fields and body
    MDP_PARTS_MAX = 256,             // in a record
    MDP_STACK_MAX = 7                // addresses in front of a delimiter
};

// What a message may be: beyond it records are MDP_OVER_LIMIT.
struct mdp_limits {
    size_t frames_max; // routing id included
    size_t bytes_max;  // in all frames
};

// mdp_limits_are_passed: does a message have more? NULL: there are none.
bool mdp_limits_are_passed(const struct mdp_limits *limits, const struct view *frames,
                           size_t frame_count);

struct mdp_reader {
    struct mdp_envelope envelope;
    mdp_dialect_t dialect;
    enum mdp_side side;
    enum mdp_way way;
    const struct view *frames; // from the header on
    size_t frame_count;
    size_t offset;      // G1: of the next record in frame 0
    bool is_over_limit; // more frames or bytes than the limits say
    bool is_done;
};

// mdp_wire_begin finds the header. At the broker's ROUTER (way MDP_TO_BROKER, or
// what it sends) the first frame is the routing id; where has_routing_id is
// false, as at a DEALER, there is none. On a fault nothing can be read, but for
// the side and the routing id where there is one.
enum mdp_fault mdp_wire_begin(struct mdp_reader *self, const struct view *frames,
                              size_t frame_count, enum mdp_way way, bool has_routing_id,
                              const struct mdp_limits *limits);

// mdp_wire_next reads the next record; false when there is none. A record may
// have a fault: then only what was read before it is set (its command, id and
// ticket where they stand at their place). After MDP_BROKEN_CHAIN nothing more
// comes.
bool mdp_wire_next(struct mdp_reader *self, struct mdp_record *record_out);

// The frames of a 0.1 or 0.2 message in front of its body.
struct mdp_head {
    struct view frames[5];
    size_t frame_count;
    uint8_t command;
    uint8_t ticket_text[TICKET_TEXT_BYTES];
};

// mdp_wire_head makes them. They point into the record and into *self.
void mdp_wire_head(struct mdp_head *self, const struct mdp_record *record, bool has_delimiter);

// mdp_wire_write_header begins a pack; returns the byte after it.
uint8_t *mdp_wire_write_header(uint8_t *to, enum mdp_side side);

// mdp_wire_record_bytes is what mdp_wire_write_record will write.
size_t mdp_wire_record_bytes(const struct mdp_record *record);

// mdp_wire_record_bound is as much or a little more, and quicker to know.
static inline size_t
mdp_wire_record_bound(const struct mdp_record *record)
{
    return MDP_RECORD_HEAD_BYTES_MAX + record->service.size + record->fields.size +
           record->body.bytes + 4 * record->body.count;
}

// mdp_wire_write_record writes one G1 record and returns the byte after it. A
// LOOSE record ends before its body, which the sender puts into frames.
uint8_t *mdp_wire_write_record(uint8_t *to, const struct mdp_record *record);

// mdp_body_next takes frames out of a body one by one: begin with *cursor at 0;
// false after the last.
bool mdp_body_next(const struct mdp_body *body, size_t *cursor, struct view *frame_out);

// mdp_body_of is a body of `count` frames.
struct mdp_body mdp_body_of(const struct view *frames, size_t count);

// mdp_body_packed_bytes is the room it takes as parts of a record.
static inline size_t
mdp_body_packed_bytes(const struct mdp_body *body)
{
    return body->bytes + 4 * body->count;
}

// mdp_wire_message_bound is as much as a message with such a body has in any dialect, or
// a little more.
static inline size_t
mdp_wire_message_bound(size_t fields_bytes, size_t body_bytes, size_t body_frames)
{
    return MDP_HEADS_BYTES_MAX + fields_bytes + body_bytes + 4 * body_frames;
}

// mdp_body_write_packed writes it as parts; returns the byte after them.
uint8_t *mdp_body_write_packed(uint8_t *to, const struct mdp_body *body);

// mdp_fields_clean copies fields without the lines that only a broker may say
// (`epoch`, `user`); returns the bytes written, at most fields.size.
size_t mdp_fields_clean(uint8_t *to, struct view fields);

// mdp_fields_find is the value of the first line of that name; false where there
// is none.
bool mdp_fields_find(struct view fields, struct view name, struct view *value_out);

#endif
