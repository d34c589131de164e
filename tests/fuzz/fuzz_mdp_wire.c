// fuzz_mdp_wire.c - any message is read within its bounds, and what was sound is written the same.
//
// The input is a message: frames, each a length of two bytes in network order and that
// many bytes, the last as long as the input is. It is read both ways, with and without
// a routing id, under no limits, those of a broker and very small ones. All that a
// record points at is touched. Sound records are then written as a message of their
// own, which has to read as the same records.

#include "../wire/mdp_message.h"
#include "frames.h"
#include "must.h"
#include "service_name.h"

#include <stdlib.h>

enum { RECORDS_MAX = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// So that no read is optimized away.
volatile uint64_t fuzz_touched;

// ---- what must hold of a record ----------------------------------------------------------------

static void
check_fields(struct view fields)
{
    uint8_t *memory = malloc(2 * fields.size + 2);
    must(memory != NULL);
    size_t size = mdp_fields_clean(memory, fields);
    must(size <= fields.size);
    struct view cleaned = view_of(memory, size), value;
    must(!mdp_fields_find(cleaned, VIEW_LITERAL("user"), &value));
    must(!mdp_fields_find(cleaned, VIEW_LITERAL("epoch"), &value));
    must(mdp_fields_clean(memory + size, cleaned) == size);
    if (mdp_fields_find(fields, VIEW_LITERAL("zone"), &value))
        must(value.data >= fields.data && value.data + value.size < fields.data + fields.size);
    free(memory);
}

static void
check_sound(const struct mdp_record *record, enum mdp_way way)
{
    must(record->command != MDP_NO_COMMAND);
    if (record->service.size > 0)
        must(service_name_is_valid(record->service));
    must(record->fields.size <= MDP_FIELDS_BYTES_MAX);
    must(record->body.frames != NULL || record->body.count <= MDP_PARTS_MAX);
    check_fields(record->fields);
    if (record->address.data != NULL && way == MDP_TO_BROKER) {
        uint8_t text[TICKET_TEXT_BYTES];
        ticket_to_text(&record->ticket, text);
        must(view_equals(record->address, view_of(text, sizeof text)));
    }
}

// check_packed: a body packed into parts has the same frames.
static void
check_packed(const struct mdp_body *body)
{
    size_t size = mdp_body_packed_bytes(body);
    uint8_t *memory = malloc(size + 1);
    must(memory != NULL);
    must(mdp_body_write_packed(memory, body) == memory + size);
    struct mdp_body packed = {
        .packed = view_of(memory, size), .count = body->count, .bytes = body->bytes};
    must(mdp_bodies_are_equal(body, &packed));
    free(memory);
}

// ---- reading, and writing again ----------------------------------------------------------------

struct records {
    struct mdp_record records[RECORDS_MAX];
    size_t count;
};

// read_sound collects the sound records of a message.
static void
read_sound(struct mdp_reader *reader, struct records *out)
{
    struct mdp_record record;
    size_t broken = 0;
    out->count = 0;
    while (mdp_wire_next(reader, &record)) {
        must(broken == 0); // nothing comes after it
        must(record.side == reader->side && record.dialect == reader->dialect);
        fuzz_touched += mdp_record_touch(&record);
        broken += record.fault == MDP_BROKEN_CHAIN;
        if (record.fault != MDP_SOUND)
            continue;
        check_sound(&record, reader->way);
        check_packed(&record.body);
        if (out->count < RECORDS_MAX)
            out->records[out->count++] = record;
    }
    must(!mdp_wire_next(reader, &record));
}

static void
write_and_read_again(const struct mdp_reader *reader, const struct records *records)
{
    struct mdp_message written;
    mdp_message_write(&written, &reader->envelope, records->records, records->count);
    struct mdp_reader again;
    bool has_routing_id = reader->envelope.routing_id.data != NULL;
    must(mdp_wire_begin(&again, written.frames, written.count, reader->way, has_routing_id, NULL) ==
         MDP_SOUND);
    must(view_equals(again.envelope.routing_id, reader->envelope.routing_id));
    must(again.envelope.stack_size == reader->envelope.stack_size);
    must(again.envelope.has_delimiter == reader->envelope.has_delimiter);
    for (size_t i = 0; i < records->count; i++) {
        struct mdp_record record;
        must(mdp_wire_next(&again, &record));
        must(mdp_records_are_equal(&record, &records->records[i]));
    }
    struct mdp_record record;
    must(!mdp_wire_next(&again, &record));
    mdp_message_release(&written);
}

static void
read_one_way(const struct fuzz_frames *frames, enum mdp_way way, bool has_routing_id,
             const struct mdp_limits *limits)
{
    static struct records records;
    struct mdp_reader reader;
    enum mdp_fault fault =
        mdp_wire_begin(&reader, frames->frames, frames->count, way, has_routing_id, limits);
    must(mdp_fault_text(fault) != NULL);
    must(fault == MDP_SOUND || reader.is_done);
    read_sound(&reader, &records);
    if (records.count > 0)
        write_and_read_again(&reader, &records);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mdp_limits broker = {256, 1 << 20}, small = {5, 100};
    static struct fuzz_frames frames;
    fuzz_frames_split(&frames, view_of(data, size), FUZZ_FRAMES_MAX);
    for (int has_routing_id = 0; has_routing_id <= 1; has_routing_id++) {
        for (enum mdp_way way = MDP_TO_BROKER; way <= MDP_FROM_BROKER; way++) {
            read_one_way(&frames, way, has_routing_id, NULL);
            read_one_way(&frames, way, has_routing_id, &broker);
            read_one_way(&frames, way, has_routing_id, &small);
        }
    }
    fuzz_frames_release(&frames);
    return 0;
}
