// test_mdp_wire.c - what the tables of vectors do not say: limits, LOOSE, fields, bodies, misuse.
//
// Messages are made by the writers and then bent. The tables are in
// test_mdp_wire_vectors.c.

#include "bytes.h"
#include "ending.h"
#include "mdp_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICKET_TEXT VIEW_LITERAL("004i6l1FaNMN2V62bz3kbhrb")
#define ID          VIEW_LITERAL("\0client")

enum { FRAMES_MAX = 400 };

static const struct mdp_limits limits = {256, 1 << 20};

// ---- making and reading ----------------------------------------------------------------------

static struct mdp_record
request(void)
{
    return (struct mdp_record){.dialect = MDP_G1,
                               .side = MDP_CLIENT_SIDE,
                               .command = MDP_REQUEST,
                               .id = 1,
                               .ttl_ms = 2500,
                               .service = VIEW_LITERAL("echo")};
}

static struct mdp_record
heartbeat(enum mdp_side side)
{
    return (struct mdp_record){
        .dialect = MDP_G1, .side = side, .command = MDP_HEARTBEAT, .interval_ms = 1000};
}

// What reading a message gave: the fault of the message, or its records.
struct outcome {
    enum mdp_fault fault;
    struct mdp_reader reader;
    struct mdp_record records[4];
    size_t count;
};

static struct outcome
read_frames_under(const struct view *frames, size_t count, enum mdp_way way,
                  const struct mdp_limits *under)
{
    struct outcome outcome = {.count = 0};
    outcome.fault = mdp_wire_begin(&outcome.reader, frames, count, way, true, under);
    struct mdp_record record;
    while (mdp_wire_next(&outcome.reader, &record)) {
        assert_true(outcome.count < 4);
        outcome.records[outcome.count++] = record;
    }
    return outcome;
}

static struct outcome
read_frames(const struct view *frames, size_t count)
{
    return read_frames_under(frames, count, MDP_TO_BROKER, &limits);
}

// A pack in memory, after a routing id and before the frames of its LOOSE record.
struct pack {
    uint8_t bytes[1 << 17];
    size_t size;
    struct view frames[FRAMES_MAX];
    size_t count;
};

static struct pack *
new_pack(enum mdp_side side)
{
    static struct pack pack;
    mdp_wire_write_header(pack.bytes, side);
    pack.size = MDP_PACK_HEADER_BYTES;
    pack.frames[0] = ID;
    pack.count = 2;
    return &pack;
}

static void
add_record(struct pack *self, const struct mdp_record *record)
{
    uint8_t *end = mdp_wire_write_record(self->bytes + self->size, record);
    self->size = (size_t)(end - self->bytes);
}

static void
add_frames(struct pack *self, struct view frame, size_t count)
{
    while (count-- > 0)
        self->frames[self->count++] = frame;
}

static struct outcome
read_pack(struct pack *self)
{
    self->frames[1] = view_of(self->bytes, self->size);
    return read_frames(self->frames, self->count);
}

// ---- the envelope ----------------------------------------------------------------------------

static void
message_of_no_frames_has_no_header(void **state)
{
    (void)state;
    struct mdp_reader reader;
    struct mdp_record record;
    assert_int_equal(mdp_wire_begin(&reader, NULL, 0, MDP_TO_BROKER, true, &limits),
                     MDP_BAD_HEADER);
    assert_int_equal(mdp_wire_begin(&reader, NULL, 0, MDP_TO_BROKER, false, NULL), MDP_BAD_HEADER);
    assert_false(mdp_wire_next(&reader, &record));
}

static void
routing_id_that_looks_like_a_header_is_none(void **state)
{
    (void)state;
    const struct view frames[] = {VIEW_LITERAL("MDPC01"), VIEW_LITERAL("echo"), VIEW_LITERAL("")};
    assert_int_equal(read_frames(frames, 3).fault, MDP_BAD_HEADER);
}

static void
routing_id_is_known_of_a_message_without_a_header(void **state)
{
    (void)state;
    const struct view frames[] = {ID, VIEW_LITERAL("nonsense")};
    struct outcome outcome = read_frames(frames, 2);
    assert_int_equal(outcome.fault, MDP_BAD_HEADER);
    assert_true(view_equals(outcome.reader.envelope.routing_id, ID));
}

static void
side_is_known_of_a_worker_behind_a_stack(void **state)
{
    (void)state;
    const struct view frames[] = {ID, VIEW_LITERAL("proxy"), VIEW_LITERAL(""),
                                  VIEW_LITERAL("MDPW01"), VIEW_LITERAL("\1")};
    struct outcome outcome = read_frames(frames, 5);
    assert_int_equal(outcome.fault, MDP_BAD_STACK);
    assert_int_equal(outcome.reader.side, MDP_WORKER_SIDE);
    assert_int_equal(outcome.count, 0);
}

static void
addresses_without_a_delimiter_are_no_stack(void **state)
{
    (void)state;
    for (size_t count = 1; count <= MDP_STACK_MAX + 2; count++) {
        struct view frames[MDP_STACK_MAX + 5] = {ID};
        for (size_t i = 1; i <= count; i++)
            frames[i] = VIEW_LITERAL("proxy");
        frames[count + 1] = VIEW_LITERAL("MDPC01");
        frames[count + 2] = VIEW_LITERAL("echo");
        assert_int_equal(read_frames(frames, count + 3).fault, MDP_BAD_HEADER);
    }
}

static void
same_frames_say_other_things_on_the_way_back(void **state)
{
    (void)state;
    const struct view frames[] = {ID, VIEW_LITERAL(""), VIEW_LITERAL("MDPC01"),
                                  VIEW_LITERAL("echo"), VIEW_LITERAL("Hi")};
    struct outcome in = read_frames_under(frames, 5, MDP_TO_BROKER, NULL);
    struct outcome out = read_frames_under(frames, 5, MDP_FROM_BROKER, NULL);
    assert_int_equal(in.records[0].command, MDP_REQUEST);
    assert_int_equal(in.records[0].status, 0);
    assert_int_equal(out.records[0].command, MDP_FINAL);
    assert_int_equal(out.records[0].status, MDP_DONE);
}

static void
frame_of_six_bytes_that_begins_like_a_pack_is_no_header(void **state)
{
    (void)state;
    for (size_t size = 0; size < MDP_PACK_HEADER_BYTES; size++) {
        const struct view frames[] = {ID, view_of("MDPWG1\1\0", size)};
        assert_int_equal(read_frames(frames, 2).fault, MDP_BAD_HEADER);
    }
}

// ---- limits ----------------------------------------------------------------------------------

// read_old reads a 0.1 request with a body of `count` frames of `size` bytes.
static struct outcome
read_old(struct view service, size_t count, size_t size)
{
    static struct view frames[FRAMES_MAX];
    static const uint8_t zeros[1 << 20];
    assert_true(size <= sizeof zeros);
    frames[0] = ID;
    frames[1] = VIEW_LITERAL("");
    frames[2] = VIEW_LITERAL("MDPC01");
    frames[3] = service;
    for (size_t i = 0; i < count; i++)
        frames[4 + i] = view_of(zeros, size);
    return read_frames(frames, 4 + count);
}

static void
old_message_at_its_limits_is_sound(void **state)
{
    (void)state;
    size_t head = ID.size + 6 + 4;
    assert_int_equal(read_old(VIEW_LITERAL("echo"), 252, 1).records[0].fault, MDP_SOUND);
    assert_int_equal(read_old(VIEW_LITERAL("echo"), 1, (1 << 20) - head).records[0].fault,
                     MDP_SOUND);
}

static void
old_message_beyond_its_limits_is_too_large(void **state)
{
    (void)state;
    size_t head = ID.size + 6 + 4;
    assert_int_equal(read_old(VIEW_LITERAL("echo"), 253, 1).records[0].fault, MDP_OVER_LIMIT);
    assert_int_equal(read_old(VIEW_LITERAL("echo"), 1, (1 << 20) - head + 1).records[0].fault,
                     MDP_OVER_LIMIT);
}

static void
old_message_that_is_too_large_is_sound_otherwise(void **state)
{
    (void)state;
    // Who reads MDP_OVER_LIMIT may rely on the rest: another fault comes first.
    struct outcome outcome = read_old(VIEW_LITERAL("echo"), 253, 1);
    assert_true(view_equals(outcome.records[0].service, VIEW_LITERAL("echo")));
    assert_int_equal(outcome.records[0].command, MDP_REQUEST);
    assert_int_equal(read_old(VIEW_LITERAL("\n"), 253, 1).records[0].fault, MDP_BAD_NAME);
}

static void
without_limits_a_message_may_be_of_any_size(void **state)
{
    (void)state;
    struct view frames[FRAMES_MAX] = {ID, VIEW_LITERAL("MDPC02"), VIEW_LITERAL("\1"),
                                      VIEW_LITERAL("echo")};
    struct outcome outcome = read_frames_under(frames, FRAMES_MAX, MDP_TO_BROKER, NULL);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_int_equal(outcome.records[0].body.count, FRAMES_MAX - 4);
}

static void
too_many_frames_refuse_the_loose_record_alone(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    add_record(pack, &record);
    record.flags = MDP_FLAG_LOOSE;
    record.id = 2;
    add_record(pack, &record);
    add_frames(pack, VIEW_LITERAL("x"), 254);
    assert_int_equal(read_pack(pack).records[1].fault, MDP_SOUND);
    add_frames(pack, VIEW_LITERAL("x"), 1);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.count, 2);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_int_equal(outcome.records[1].fault, MDP_OVER_LIMIT);
    assert_int_equal(outcome.records[1].id, 2);
}

static void
too_many_bytes_refuse_the_loose_record_alone(void **state)
{
    (void)state;
    static const uint8_t zeros[1 << 20];
    struct pack *pack = new_pack(MDP_WORKER_SIDE);
    struct mdp_record record = heartbeat(MDP_WORKER_SIDE);
    add_record(pack, &record);
    record.command = MDP_FINAL;
    record.flags = MDP_FLAG_LOOSE;
    record.ticket.bytes[0] = 7;
    add_record(pack, &record);
    size_t rest = sizeof zeros - ID.size - pack->size;
    add_frames(pack, view_of(zeros, rest + 1), 1);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_int_equal(outcome.records[1].fault, MDP_OVER_LIMIT);
    assert_int_equal(outcome.records[1].ticket.bytes[0], 7);
    pack->frames[2] = view_of(zeros, rest);
    assert_int_equal(read_pack(pack).records[1].fault, MDP_SOUND);
}

static void
pack_that_is_too_large_itself_is_dropped(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    add_record(pack, &record);
    const struct mdp_limits exact = {2, pack->size}, less = {2, pack->size - 1};
    pack->frames[1] = view_of(pack->bytes, pack->size);
    struct outcome outcome = read_frames_under(pack->frames, 2, MDP_TO_BROKER, &exact);
    assert_int_equal(outcome.fault, MDP_SOUND);
    assert_int_equal(outcome.count, 1);
    outcome = read_frames_under(pack->frames, 2, MDP_TO_BROKER, &less);
    assert_int_equal(outcome.fault, MDP_OVER_LIMIT);
    assert_int_equal(outcome.count, 0);
}

static void
record_has_at_most_256_parts(void **state)
{
    (void)state;
    struct view frames[MDP_PARTS_MAX + 1] = {VIEW_LITERAL("first")};
    for (size_t count = MDP_PARTS_MAX; count <= MDP_PARTS_MAX + 1; count++) {
        struct pack *pack = new_pack(MDP_CLIENT_SIDE);
        struct mdp_record record = request();
        record.body = mdp_body_of(frames, count);
        add_record(pack, &record);
        struct outcome outcome = read_pack(pack);
        assert_int_equal(outcome.records[0].fault,
                         count > MDP_PARTS_MAX ? MDP_OVER_LIMIT : MDP_SOUND);
        assert_int_equal(outcome.records[0].id, 1);
    }
}

static void
fields_have_at_most_4096_bytes(void **state)
{
    (void)state;
    static const uint8_t zeros[MDP_FIELDS_BYTES_MAX + 1];
    for (size_t size = 0; size <= sizeof zeros; size += size == 0 ? MDP_FIELDS_BYTES_MAX : 1) {
        struct pack *pack = new_pack(MDP_CLIENT_SIDE);
        struct mdp_record record = request();
        record.flags = MDP_FLAG_FIELDS;
        record.fields = view_of(zeros, size);
        add_record(pack, &record);
        struct outcome outcome = read_pack(pack);
        bool fits = size <= MDP_FIELDS_BYTES_MAX;
        assert_int_equal(outcome.records[0].fault, fits ? MDP_SOUND : MDP_BAD_CONTENTS);
        assert_int_equal(outcome.records[0].fields.size, fits ? size : 0);
    }
}

// ---- LOOSE -----------------------------------------------------------------------------------

static void
loose_record_takes_the_frames(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    record.flags = MDP_FLAG_LOOSE;
    add_record(pack, &record);
    add_frames(pack, VIEW_LITERAL("Hi"), 2);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_ptr_equal(outcome.records[0].body.frames, pack->frames + 2);
    assert_int_equal(outcome.records[0].body.count, 2);
    assert_int_equal(outcome.records[0].body.bytes, 4);
}

static void
body_of_a_loose_record_is_not_written_into_it(void **state)
{
    (void)state;
    struct view frames[] = {VIEW_LITERAL("Hi")};
    struct mdp_record record = request();
    size_t without = mdp_wire_record_bytes(&record);
    record.flags = MDP_FLAG_LOOSE;
    record.body = mdp_body_of(frames, 1);
    assert_int_equal(mdp_wire_record_bytes(&record), without);
}

static void
loose_record_in_the_middle_breaks_the_chain(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    add_record(pack, &record);
    record.flags = MDP_FLAG_LOOSE;
    add_record(pack, &record);
    add_record(pack, &record);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.count, 2);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_int_equal(outcome.records[1].fault, MDP_BROKEN_CHAIN);
}

static void
frames_of_a_loose_command_without_a_body_are_dropped(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_WORKER_SIDE);
    struct mdp_record record = heartbeat(MDP_WORKER_SIDE);
    record.flags = MDP_FLAG_LOOSE;
    add_record(pack, &record);
    add_frames(pack, VIEW_LITERAL("Hi"), 1);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_int_equal(outcome.records[0].body.count, 0);
}

static void
frames_after_a_record_that_is_not_loose_break_the_chain(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_WORKER_SIDE);
    struct mdp_record record = heartbeat(MDP_WORKER_SIDE);
    add_record(pack, &record);
    add_frames(pack, VIEW_LITERAL(""), 1);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.records[0].fault, MDP_BROKEN_CHAIN);
    assert_int_equal(outcome.records[0].side, MDP_WORKER_SIDE);
}

// ---- records of G1 ---------------------------------------------------------------------------

static void
record_shorter_than_its_command_says_is_too_short(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    add_record(pack, &record);
    uint8_t *at = pack->bytes + MDP_PACK_HEADER_BYTES;
    for (uint32_t size = 8; size < 20; size++) {
        bytes_put32(at, size);
        pack->size = MDP_PACK_HEADER_BYTES + size;
        struct outcome outcome = read_pack(pack);
        assert_int_equal(outcome.records[0].fault, MDP_TOO_SHORT);
        assert_int_equal(outcome.records[0].command, MDP_REQUEST);
    }
}

static void
bytes_after_a_command_without_a_body_are_ignored(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_WORKER_SIDE);
    struct mdp_record record = heartbeat(MDP_WORKER_SIDE);
    add_record(pack, &record);
    bytes_put32(pack->bytes + MDP_PACK_HEADER_BYTES, 15);
    memset(pack->bytes + pack->size, 0xEE, 3);
    pack->size += 3;
    add_record(pack, &record);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.count, 2);
    assert_true(mdp_records_are_equal(&outcome.records[0], &record));
    assert_true(mdp_records_are_equal(&outcome.records[1], &record));
}

static void
name_length_of_a_command_without_a_name_is_ignored(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_WORKER_SIDE);
    struct mdp_record record = heartbeat(MDP_WORKER_SIDE);
    add_record(pack, &record);
    pack->bytes[MDP_PACK_HEADER_BYTES + 6] = 255;
    pack->bytes[MDP_PACK_HEADER_BYTES + 7] = 255;
    struct outcome outcome = read_pack(pack);
    assert_true(mdp_records_are_equal(&outcome.records[0], &record));
}

static void
fields_flag_of_a_command_without_fields_is_ignored(void **state)
{
    (void)state;
    struct view frames[] = {VIEW_LITERAL("Hi")};
    struct pack *pack = new_pack(MDP_WORKER_SIDE);
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_PARTIAL,
                                .flags = MDP_FLAG_FIELDS,
                                .body = mdp_body_of(frames, 1)};
    add_record(pack, &record);
    assert_int_equal(pack->size, MDP_PACK_HEADER_BYTES + 28 + 4 + 2);
    struct outcome outcome = read_pack(pack);
    assert_true(mdp_records_are_equal(&outcome.records[0], &record));
}

static void
request_is_refused_for_its_name_but_keeps_its_id(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    record.service = VIEW_LITERAL("\t");
    add_record(pack, &record);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.records[0].fault, MDP_BAD_NAME);
    assert_int_equal(outcome.records[0].command, MDP_REQUEST);
    assert_int_equal(outcome.records[0].id, 1);
}

static void
longest_name_fits_a_record(void **state)
{
    (void)state;
    uint8_t name[255];
    memset(name, 'a', sizeof name);
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    record.service = view_of(name, sizeof name);
    add_record(pack, &record);
    struct outcome outcome = read_pack(pack);
    assert_true(mdp_records_are_equal(&outcome.records[0], &record));
}

static void
commands_of_the_receivers_side_are_unknown(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    add_record(pack, &record);
    pack->frames[1] = view_of(pack->bytes, pack->size);
    struct outcome outcome = read_frames_under(pack->frames, 2, MDP_FROM_BROKER, NULL);
    assert_int_equal(outcome.records[0].fault, MDP_BAD_COMMAND);
    assert_int_equal(outcome.records[0].command, MDP_NO_COMMAND);
}

static void
nothing_comes_after_a_broken_chain(void **state)
{
    (void)state;
    struct pack *pack = new_pack(MDP_CLIENT_SIDE);
    struct mdp_record record = request();
    add_record(pack, &record);
    bytes_put32(pack->bytes + MDP_PACK_HEADER_BYTES, UINT32_MAX);
    add_record(pack, &record);
    struct outcome outcome = read_pack(pack);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.records[0].fault, MDP_BROKEN_CHAIN);
    assert_false(mdp_wire_next(&outcome.reader, &record));
}

// ---- 0.1 and 0.2 -----------------------------------------------------------------------------

static void
worker_without_a_ticket_for_its_answer_is_given_no_ticket(void **state)
{
    (void)state;
    // The first words are sound, the last is not.
    const struct view frames[] = {ID, VIEW_LITERAL("MDPW02"), VIEW_LITERAL("\4"),
                                  VIEW_LITERAL("004i6l1FaNMN2V62bz3kbhr!")};
    struct outcome outcome = read_frames(frames, 4);
    assert_int_equal(outcome.records[0].fault, MDP_BAD_ADDRESS);
    assert_true(ticket_equals(&outcome.records[0].ticket, &(struct ticket){{0}}));
}

static void
worker_is_given_any_address_and_echoes_it(void **state)
{
    (void)state;
    const struct view frames[] = {ID,
                                  VIEW_LITERAL(""),
                                  VIEW_LITERAL("MDPW01"),
                                  VIEW_LITERAL("\2"),
                                  VIEW_LITERAL("\0any\0address"),
                                  VIEW_LITERAL(""),
                                  VIEW_LITERAL("Hi")};
    struct outcome outcome = read_frames_under(frames, 7, MDP_FROM_BROKER, NULL);
    struct mdp_record *record = &outcome.records[0];
    assert_int_equal(record->fault, MDP_SOUND);
    assert_true(view_equals(record->address, frames[4]));
    record->command = MDP_FINAL;
    struct mdp_message written;
    mdp_message_write(&written, &outcome.reader.envelope, record, 1);
    assert_int_equal(written.count, 7);
    assert_true(view_equals(written.frames[4], frames[4]));
    mdp_message_release(&written);
}

static void
only_the_first_empty_frame_after_an_address_is_a_delimiter(void **state)
{
    (void)state;
    const struct view frames[] = {ID,
                                  VIEW_LITERAL("MDPW02"),
                                  VIEW_LITERAL("\4"),
                                  TICKET_TEXT,
                                  VIEW_LITERAL(""),
                                  VIEW_LITERAL(""),
                                  VIEW_LITERAL("Hi")};
    struct outcome outcome = read_frames(frames, 7);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_int_equal(outcome.records[0].body.count, 2);
    assert_int_equal(outcome.records[0].body.bytes, 2);
}

static void
answer_without_a_body_has_one_empty_frame(void **state)
{
    (void)state;
    const struct view frames[] = {ID, VIEW_LITERAL("MDPW02"), VIEW_LITERAL("\4"), TICKET_TEXT,
                                  VIEW_LITERAL("")};
    struct outcome outcome = read_frames(frames, 5);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_int_equal(outcome.records[0].body.count, 1);
    assert_int_equal(outcome.records[0].body.bytes, 0);
}

static void
frames_after_ready_and_heartbeat_are_ignored(void **state)
{
    (void)state;
    const struct view frames[] = {ID, VIEW_LITERAL("MDPW02"), VIEW_LITERAL("\1"),
                                  VIEW_LITERAL("echo"), VIEW_LITERAL("more")};
    struct outcome outcome = read_frames(frames, 5);
    assert_int_equal(outcome.records[0].fault, MDP_SOUND);
    assert_true(view_equals(outcome.records[0].service, VIEW_LITERAL("echo")));
    assert_int_equal(outcome.records[0].body.count, 0);
}

// ---- bodies ----------------------------------------------------------------------------------

static const struct view body_frames[] = {
    {(const uint8_t *)"one", 3}, {(const uint8_t *)"", 0}, {(const uint8_t *)"three", 5}};

// packed_body is the same as parts, in a block of exactly its size.
static struct mdp_body
packed_body(const struct mdp_body *body)
{
    size_t size = mdp_body_packed_bytes(body);
    uint8_t *memory = malloc(size + 1);
    assert_ptr_equal(mdp_body_write_packed(memory + 1, body), memory + 1 + size);
    return (struct mdp_body){
        .packed = view_of(memory + 1, size), .count = body->count, .bytes = body->bytes};
}

static void
release_packed(struct mdp_body *body)
{
    free((void *)((uintptr_t)body->packed.data - 1));
}

static void
body_counts_its_frames_and_bytes(void **state)
{
    (void)state;
    struct mdp_body body = mdp_body_of(body_frames, 3);
    assert_int_equal(body.count, 3);
    assert_int_equal(body.bytes, 8);
    assert_int_equal(mdp_body_packed_bytes(&body), 20);
}

static void
packed_body_gives_the_same_frames(void **state)
{
    (void)state;
    struct mdp_body body = mdp_body_of(body_frames, 3);
    struct mdp_body packed = packed_body(&body);
    struct mdp_body again = packed_body(&packed);
    assert_true(mdp_bodies_are_equal(&body, &packed));
    assert_true(mdp_bodies_are_equal(&body, &again));
    release_packed(&packed);
    release_packed(&again);
}

static void
body_of_no_frames_gives_none(void **state)
{
    (void)state;
    struct mdp_body bodies[] = {{0}, mdp_body_of(NULL, 0), mdp_body_of(body_frames, 0)};
    for (size_t i = 0; i < 3; i++) {
        size_t cursor = 0;
        struct view frame;
        uint8_t byte;
        assert_false(mdp_body_next(&bodies[i], &cursor, &frame));
        assert_int_equal(mdp_body_packed_bytes(&bodies[i]), 0);
        assert_ptr_equal(mdp_body_write_packed(&byte, &bodies[i]), &byte);
    }
}

static void
packed_body_can_be_written_in_an_older_dialect(void **state)
{
    (void)state;
    struct mdp_body body = mdp_body_of(body_frames, 3);
    struct mdp_record record = {.dialect = MDP_01,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_FINAL,
                                .service = VIEW_LITERAL("echo"),
                                .body = packed_body(&body)};
    struct mdp_message written;
    mdp_message_write(&written, &(struct mdp_envelope){.has_delimiter = true}, &record, 1);
    assert_int_equal(written.count, 6);
    assert_true(view_equals(written.frames[5], body_frames[2]));
    mdp_message_release(&written);
    release_packed(&record.body);
}

// ---- fields ----------------------------------------------------------------------------------

// is_cleaned_to: what is left of the fields, copied to a block of their size.
static bool
is_cleaned_to(struct view fields, struct view expected)
{
    uint8_t *memory = malloc(fields.size + 1);
    size_t size = mdp_fields_clean(memory + 1, fields);
    bool same = view_equals(view_of(memory + 1, size), expected);
    free(memory);
    return same;
}

#define assert_clean(fields, expected)                                                             \
    assert_true(is_cleaned_to(VIEW_LITERAL(fields), VIEW_LITERAL(expected)))

static void
clean_takes_out_every_line_that_is_the_brokers(void **state)
{
    (void)state;
    assert_clean("user: a\nzone: b\nepoch: c\nuser: d\n", "zone: b\n");
    assert_clean("user: \n", "");
}

static void
clean_leaves_all_other_lines(void **state)
{
    (void)state;
    assert_clean("", "");
    assert_clean("\n\n", "\n\n");
    assert_clean("users: a\nUser: b\n user: c\nuser:d\nuser e\nuser\n",
                 "users: a\nUser: b\n user: c\nuser:d\nuser e\nuser\n");
    assert_clean("traceparent: a\nno form", "traceparent: a\nno form");
}

static void
clean_of_nothing_is_nothing(void **state)
{
    (void)state;
    uint8_t byte;
    assert_int_equal(mdp_fields_clean(&byte, VIEW_NONE), 0);
}

static void
assert_finds(struct view fields, const char *name, const char *expected)
{
    struct view value;
    bool found = mdp_fields_find(fields, view_of(name, strlen(name)), &value);
    assert_int_equal(found, expected != NULL);
    if (expected != NULL)
        assert_true(view_equals(value, view_of(expected, strlen(expected))));
}

static void
find_gives_the_first_line_of_a_name(void **state)
{
    (void)state;
    struct view fields = VIEW_LITERAL("zone: a\nidempotency-key: k: 1\nzone: b\nempty: \n");
    assert_finds(fields, "zone", "a");
    assert_finds(fields, "idempotency-key", "k: 1");
    assert_finds(fields, "empty", "");
    assert_finds(fields, "zon", NULL);
    assert_finds(fields, "one", NULL);
    assert_finds(fields, "key", NULL);
}

static void
line_of_another_form_is_not_found(void **state)
{
    (void)state;
    assert_finds(VIEW_LITERAL("zone: a"), "zone", NULL);
    assert_finds(VIEW_LITERAL("zone:a\n"), "zone", NULL);
    assert_finds(VIEW_LITERAL("zone:\n"), "zone", NULL);
    assert_finds(VIEW_LITERAL("zone\n"), "zone", NULL);
    assert_finds(VIEW_LITERAL("\n"), "zone", NULL);
    assert_finds(VIEW_NONE, "zone", NULL);
}

// ---- writing, and misuse ---------------------------------------------------------------------

static void
write_as_an_older_dialect(mdp_dialect_t dialect, enum mdp_side side, enum mdp_command command)
{
    struct mdp_head head;
    struct mdp_record record = {.dialect = dialect, .side = side, .command = command};
    mdp_wire_head(&head, &record, true);
}

static void
write_g1(enum mdp_side side, enum mdp_command command)
{
    uint8_t memory[100];
    struct mdp_record record = {.dialect = MDP_G1, .side = side, .command = command};
    mdp_wire_write_record(memory, &record);
}

static void
write_no_command(void)
{
    write_g1(MDP_WORKER_SIDE, MDP_NO_COMMAND);
}

static void
write_drain_to_a_client(void)
{
    write_g1(MDP_CLIENT_SIDE, MDP_DRAIN);
}

static void
write_no_command_in_01(void)
{
    write_as_an_older_dialect(MDP_01, MDP_WORKER_SIDE, MDP_NO_COMMAND);
}

static void
write_drain_in_02(void)
{
    write_as_an_older_dialect(MDP_02, MDP_WORKER_SIDE, MDP_DRAIN);
}

static void
write_head_in_g1(void)
{
    write_as_an_older_dialect(MDP_G1, MDP_WORKER_SIDE, MDP_HEARTBEAT);
}

static void
write_partial_in_01(void)
{
    write_as_an_older_dialect(MDP_01, MDP_WORKER_SIDE, MDP_PARTIAL);
}

static void
record_that_its_dialect_cannot_say_ends_the_process(void **state)
{
    (void)state;
    assert_true(ends_by_must(write_no_command));
    assert_true(ends_by_must(write_drain_to_a_client));
    assert_true(ends_by_must(write_no_command_in_01));
    assert_true(ends_by_must(write_drain_in_02));
    assert_true(ends_by_must(write_head_in_g1));
    assert_true(ends_by_must(write_partial_in_01));
}

static void
record_takes_the_bytes_that_were_counted(void **state)
{
    (void)state;
    struct mdp_record record = request();
    record.flags = MDP_FLAG_FIELDS | MDP_FLAG_NO_QUEUE;
    record.fields = VIEW_LITERAL("zone: a\n");
    record.body = mdp_body_of(body_frames, 3);
    size_t size = mdp_wire_record_bytes(&record);
    uint8_t *memory = malloc(size);
    assert_ptr_equal(mdp_wire_write_record(memory, &record), memory + size);
    assert_int_equal(bytes_get32(memory), size);
    free(memory);
}

static void
every_fault_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < MDP_FAULTS; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(mdp_fault_text((enum mdp_fault)i),
                                    mdp_fault_text((enum mdp_fault)k));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_of_no_frames_has_no_header),
        cmocka_unit_test(routing_id_that_looks_like_a_header_is_none),
        cmocka_unit_test(routing_id_is_known_of_a_message_without_a_header),
        cmocka_unit_test(side_is_known_of_a_worker_behind_a_stack),
        cmocka_unit_test(addresses_without_a_delimiter_are_no_stack),
        cmocka_unit_test(same_frames_say_other_things_on_the_way_back),
        cmocka_unit_test(frame_of_six_bytes_that_begins_like_a_pack_is_no_header),
        cmocka_unit_test(old_message_at_its_limits_is_sound),
        cmocka_unit_test(old_message_beyond_its_limits_is_too_large),
        cmocka_unit_test(old_message_that_is_too_large_is_sound_otherwise),
        cmocka_unit_test(without_limits_a_message_may_be_of_any_size),
        cmocka_unit_test(too_many_frames_refuse_the_loose_record_alone),
        cmocka_unit_test(too_many_bytes_refuse_the_loose_record_alone),
        cmocka_unit_test(pack_that_is_too_large_itself_is_dropped),
        cmocka_unit_test(record_has_at_most_256_parts),
        cmocka_unit_test(fields_have_at_most_4096_bytes),
        cmocka_unit_test(loose_record_takes_the_frames),
        cmocka_unit_test(body_of_a_loose_record_is_not_written_into_it),
        cmocka_unit_test(loose_record_in_the_middle_breaks_the_chain),
        cmocka_unit_test(frames_of_a_loose_command_without_a_body_are_dropped),
        cmocka_unit_test(frames_after_a_record_that_is_not_loose_break_the_chain),
        cmocka_unit_test(record_shorter_than_its_command_says_is_too_short),
        cmocka_unit_test(bytes_after_a_command_without_a_body_are_ignored),
        cmocka_unit_test(name_length_of_a_command_without_a_name_is_ignored),
        cmocka_unit_test(fields_flag_of_a_command_without_fields_is_ignored),
        cmocka_unit_test(request_is_refused_for_its_name_but_keeps_its_id),
        cmocka_unit_test(longest_name_fits_a_record),
        cmocka_unit_test(commands_of_the_receivers_side_are_unknown),
        cmocka_unit_test(nothing_comes_after_a_broken_chain),
        cmocka_unit_test(worker_without_a_ticket_for_its_answer_is_given_no_ticket),
        cmocka_unit_test(worker_is_given_any_address_and_echoes_it),
        cmocka_unit_test(only_the_first_empty_frame_after_an_address_is_a_delimiter),
        cmocka_unit_test(answer_without_a_body_has_one_empty_frame),
        cmocka_unit_test(frames_after_ready_and_heartbeat_are_ignored),
        cmocka_unit_test(body_counts_its_frames_and_bytes),
        cmocka_unit_test(packed_body_gives_the_same_frames),
        cmocka_unit_test(body_of_no_frames_gives_none),
        cmocka_unit_test(packed_body_can_be_written_in_an_older_dialect),
        cmocka_unit_test(clean_takes_out_every_line_that_is_the_brokers),
        cmocka_unit_test(clean_leaves_all_other_lines),
        cmocka_unit_test(clean_of_nothing_is_nothing),
        cmocka_unit_test(find_gives_the_first_line_of_a_name),
        cmocka_unit_test(line_of_another_form_is_not_found),
        cmocka_unit_test(record_that_its_dialect_cannot_say_ends_the_process),
        cmocka_unit_test(record_takes_the_bytes_that_were_counted),
        cmocka_unit_test(every_fault_has_a_text_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
