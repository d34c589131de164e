// test_mdp_wire_vectors.c - every row of docs/protocol/vectors.md that the broker's ROUTER meets.
//
// Positive rows are read in the ways they name, with and without the routing id, and
// written again; negative rows are read, and the wire's own verdict is compared with
// the table below (what the broker does about it is the broker's test). Frames lie in
// blocks of their own size, so that a read past the end of one is seen.

#include "bytes.h"
#include "mdp_message.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE GALLEON_SOURCE_DIR "/docs/protocol/vectors.md"

enum {
    RECORDS_MAX = 8,
    V_ROWS = 51, // of socket mdp
    G_ROWS = 39,
    N_ROWS = 105
};

static const struct mdp_limits limits = {256, 1 << 20};

static struct vector *rows;

static int
read_page(void **state)
{
    (void)state;
    rows = vectors_read(PAGE);
    return rows == NULL ? -1 : 0;
}

static int
forget_page(void **state)
{
    (void)state;
    vectors_destroy(&rows);
    return 0;
}

static bool
is_positive(const struct vector *row)
{
    return row->kind != 'X' && row->kind != 'N' && strcmp(row->socket, "mdp") == 0;
}

static bool
is_negative(const struct vector *row)
{
    return row->kind == 'N' && strcmp(row->socket, "mdp") == 0;
}

// ---- what a row says -------------------------------------------------------------------------

// A record as a row tells it, and what it points into.
struct expectation {
    struct mdp_record record;
    struct vector_frames body;
    struct vector_frames fields;
    struct vector_frames ticket;
    uint8_t address[TICKET_TEXT_BYTES];
};

struct row_expectation {
    struct mdp_envelope envelope;
    struct vector_frames stack;
    struct expectation records[RECORDS_MAX];
    size_t count;
};

static mdp_dialect_t
dialect_of(const char *name)
{
    if (strcmp(name, "g1") == 0)
        return MDP_G1;
    return strcmp(name, "0.2") == 0 ? MDP_02 : MDP_01;
}

// read_command reads `side.command`; false where there is none of that name.
static bool
read_command(const char *name, struct mdp_record *out)
{
    static const struct {
        const char *name;
        enum mdp_command command;
    } commands[] = {
        {"ready", MDP_READY},         {"request", MDP_REQUEST}, {"partial", MDP_PARTIAL},
        {"final", MDP_FINAL},         {"reply", MDP_FINAL},     {"cancel", MDP_CANCEL},
        {"heartbeat", MDP_HEARTBEAT}, {"drain", MDP_DRAIN},     {"disconnect", MDP_DISCONNECT},
    };
    size_t size = strcspn(name, "+");
    if (size < 8 || (strncmp(name, "client.", 7) != 0 && strncmp(name, "worker.", 7) != 0))
        return false;
    out->side = name[0] == 'c' ? MDP_CLIENT_SIDE : MDP_WORKER_SIDE;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strlen(commands[i].name) == size - 7 &&
            strncmp(commands[i].name, name + 7, size - 7) == 0) {
            out->command = commands[i].command;
            return true;
        }
    }
    return false;
}

// read_number: the item `key`, if it is one of those that are numbers.
static bool
read_number(const struct vector_item *item, struct mdp_record *out)
{
    char *end;
    unsigned long long value = strtoull(item->value, &end, 10);
    if (*end != '\0')
        return false;
    if (strcmp(item->key, "flags") == 0)
        out->flags = (uint8_t)value;
    else if (strcmp(item->key, "id") == 0)
        out->id = value;
    else if (strcmp(item->key, "ttl") == 0)
        out->ttl_ms = (uint32_t)value;
    else if (strcmp(item->key, "attempt") == 0)
        out->attempt = (uint32_t)value;
    else if (strcmp(item->key, "seq") == 0)
        out->seq = (uint32_t)value;
    else if (strcmp(item->key, "status") == 0)
        out->status = (uint16_t)value;
    else if (strcmp(item->key, "parts") == 0)
        out->parts = (uint16_t)value;
    else if (strcmp(item->key, "credit") == 0)
        out->credit = (uint32_t)value;
    else if (strcmp(item->key, "interval") == 0)
        out->interval_ms = (uint32_t)value;
    else if (strcmp(item->key, "reason") == 0)
        out->reason = (uint32_t)value;
    else
        return false;
    return true;
}

static bool
read_item(struct row_expectation *self, struct expectation *out, const struct vector_item *item)
{
    if (strcmp(item->key, "service") == 0) {
        out->record.service = view_of(item->value, strlen(item->value));
        return true;
    }
    if (strcmp(item->key, "delim") == 0) {
        self->envelope.has_delimiter = strcmp(item->value, "1") == 0;
        return self->envelope.has_delimiter;
    }
    if (strcmp(item->key, "envelope") == 0)
        return vector_frames_read(&self->stack, item->value, ',');
    if (strcmp(item->key, "body") == 0)
        return vector_frames_read(&out->body, item->value, ',');
    if (strcmp(item->key, "fields") == 0)
        return vector_frames_read(&out->fields, item->value, ',') && out->fields.count == 1;
    if (strcmp(item->key, "ticket") == 0)
        return vector_frames_read(&out->ticket, item->value, ',') && out->ticket.count == 1 &&
               out->ticket.frames[0].size == TICKET_BYTES;
    return read_number(item, &out->record);
}

static bool
read_expectation(struct row_expectation *self, const struct vector *row, size_t which,
                 const char *command)
{
    struct expectation *out = &self->records[which];
    out->record.dialect = dialect_of(row->dialect);
    if (!read_command(command, &out->record))
        return false;
    for (size_t i = 0; i < row->records[which].count; i++)
        if (!read_item(self, out, &row->records[which].items[i]))
            return false;
    out->record.body = mdp_body_of(out->body.frames, out->body.count);
    if (out->fields.count > 0) {
        out->record.fields = out->fields.frames[0];
        out->record.flags |= MDP_FLAG_FIELDS;
    }
    if (out->ticket.count > 0)
        memcpy(out->record.ticket.bytes, out->ticket.frames[0].data, TICKET_BYTES);
    if (out->record.dialect != MDP_G1) {
        // An older dialect's answer is always 200; its ticket is text.
        out->record.status = out->record.command == MDP_FINAL ? MDP_DONE : 0;
        ticket_to_text(&out->record.ticket, out->address);
        if (out->ticket.count > 0)
            out->record.address = view_of(out->address, sizeof out->address);
    }
    return true;
}

// read_row makes records of the row's text; false where it says what nobody knows.
static bool
read_row(struct row_expectation *self, const struct vector *row)
{
    *self = (struct row_expectation){.count = row->record_count};
    if (self->count > RECORDS_MAX)
        return false;
    const char *command = row->command;
    for (size_t i = 0; i < self->count; i++) {
        if (!read_expectation(self, row, i, command))
            return false;
        command += strcspn(command, "+") + 1;
    }
    self->envelope.routing_id = row->frames.frames[0];
    self->envelope.stack = self->stack.frames;
    self->envelope.stack_size = self->stack.count;
    return true;
}

static void
release_row(struct row_expectation *self)
{
    for (size_t i = 0; i < self->count; i++) {
        vector_frames_release(&self->records[i].body);
        vector_frames_release(&self->records[i].fields);
        vector_frames_release(&self->records[i].ticket);
    }
    vector_frames_release(&self->stack);
}

// ---- positive rows ---------------------------------------------------------------------------

static bool
envelopes_are_equal(const struct mdp_envelope *a, const struct mdp_envelope *b)
{
    if (a->stack_size != b->stack_size || a->has_delimiter != b->has_delimiter)
        return false;
    for (size_t i = 0; i < a->stack_size; i++)
        if (!view_equals(a->stack[i], b->stack[i]))
            return false;
    return true;
}

// decodes: reading the row's frames gives its records, and then no more.
static bool
decodes(const struct vector *row, const struct row_expectation *expected, enum mdp_way way,
        bool has_routing_id)
{
    struct mdp_reader reader;
    struct vector_frames frames = row->frames;
    size_t skip = has_routing_id ? 0 : 1;
    if (mdp_wire_begin(&reader, frames.frames + skip, frames.count - skip, way, has_routing_id,
                       &limits) != MDP_SOUND)
        return false;
    if (!envelopes_are_equal(&reader.envelope, &expected->envelope))
        return false;
    struct view routing_id = has_routing_id ? frames.frames[0] : VIEW_NONE;
    if (!view_equals(reader.envelope.routing_id, routing_id))
        return false;
    struct mdp_record record;
    for (size_t i = 0; i < expected->count; i++) {
        struct mdp_record wanted = expected->records[i].record;
        if (wanted.dialect != MDP_G1 && way == MDP_FROM_BROKER)
            wanted.ticket = (struct ticket){{0}}; // a worker echoes the address as it is
        if (!mdp_wire_next(&reader, &record) || !mdp_records_are_equal(&record, &wanted))
            return false;
    }
    return !mdp_wire_next(&reader, &record);
}

// encodes: writing the records gives the row's frames.
static bool
encodes(const struct vector *row, const struct row_expectation *expected, bool has_address)
{
    struct mdp_record records[RECORDS_MAX];
    for (size_t i = 0; i < expected->count; i++) {
        records[i] = expected->records[i].record;
        if (!has_address)
            records[i].address = VIEW_NONE; // the broker has a ticket only
    }
    struct mdp_message written;
    mdp_message_write(&written, &expected->envelope, records, expected->count);
    bool same = written.count == row->frames.count;
    for (size_t i = 0; same && i < written.count; i++)
        same = view_equals(written.frames[i], row->frames.frames[i]);
    mdp_message_release(&written);
    return same;
}

static bool
goes(const struct vector *row, const char *way)
{
    return strcmp(row->way, way) == 0 || strcmp(row->way, "both") == 0;
}

// why_wrong says what is wrong with the way a row is read or written, NULL: nothing.
static const char *
why_wrong(const struct vector *row)
{
    struct row_expectation expected;
    const char *why = NULL;
    if (!read_row(&expected, row))
        why = "says what nobody knows";
    else if (goes(row, "in") && !decodes(row, &expected, MDP_TO_BROKER, true))
        why = "does not decode";
    else if (goes(row, "in") && !decodes(row, &expected, MDP_TO_BROKER, false))
        why = "does not decode without a routing id";
    else if (goes(row, "out") && !decodes(row, &expected, MDP_FROM_BROKER, true))
        why = "does not decode on its way out";
    else if (goes(row, "out") && !decodes(row, &expected, MDP_FROM_BROKER, false))
        why = "does not decode at the peer";
    else if (!encodes(row, &expected, true))
        why = "does not encode";
    else if (!encodes(row, &expected, false))
        why = "does not encode from its ticket";
    release_row(&expected);
    return why;
}

static void
every_positive_row_decodes_and_encodes(void **state)
{
    (void)state;
    int wrong = 0, v_rows = 0, g_rows = 0;
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        if (!is_positive(row))
            continue;
        v_rows += row->kind == 'V';
        g_rows += row->kind == 'G';
        const char *why = why_wrong(row);
        if (why != NULL) {
            print_error("%s %s\n", row->id, why);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(v_rows, V_ROWS);
    assert_int_equal(g_rows, G_ROWS);
}

// ---- truncation ------------------------------------------------------------------------------

static uint64_t touched; // so that no read is optimized away

// read_everything reads a message in all ways and touches all it points at.
static void
read_everything(struct vector_frames frames)
{
    for (int how = 0; how < 8; how++) {
        struct mdp_reader reader;
        if (mdp_wire_begin(&reader, frames.frames, frames.count,
                           how & 1 ? MDP_TO_BROKER : MDP_FROM_BROKER, how & 2,
                           how & 4 ? &limits : NULL) != MDP_SOUND)
            continue;
        struct mdp_record record;
        while (mdp_wire_next(&reader, &record))
            touched += mdp_record_touch(&record);
    }
}

// cut_frame makes of frame `at` its first `size` bytes, in a block of that size.
static void
cut_frame(struct vector_frames *frames, size_t at, size_t size)
{
    struct view *frame = &frames->frames[at];
    struct vector_frames whole = {frame, 1};
    struct view part = view_of(frame->data, size);
    struct vector_frames copy = vector_frames_copy((struct vector_frames){&part, 1});
    whole.frames = malloc(sizeof *frame);
    *whole.frames = *frame;
    vector_frames_release(&whole);
    *frame = copy.frames[0];
    free(copy.frames);
}

static void
every_truncation_of_a_positive_row_is_read_within_its_bounds(void **state)
{
    (void)state;
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        if (!is_positive(row))
            continue;
        for (size_t at = 0; at < row->frames.count; at++) {
            struct vector_frames frames = vector_frames_copy(row->frames);
            // Short to the point: a long frame is read no other way than one of 500 bytes.
            size_t size = frames.frames[at].size;
            for (size = size < 500 ? size : 500; size-- > 0;) {
                cut_frame(&frames, at, size);
                read_everything(frames);
                read_everything((struct vector_frames){frames.frames, at + 1});
            }
            vector_frames_release(&frames);
            read_everything((struct vector_frames){row->frames.frames, at});
        }
    }
}

// ---- negative rows ---------------------------------------------------------------------------

// What the wire itself finds wrong: the fault of the message, or of each of its records.
// A row that is not here is sound as far as the wire can tell.
static const struct {
    const char *id;
    const char *faults;
} verdicts[] = {
    {"N1", "invalid_header"},
    {"N2", "invalid_header"},
    {"N3", "invalid_service"},
    {"N5", "unknown_command"},
    {"N6", "invalid_service"},
    {"N7", "no_address"},
    {"N8", "no_address"},
    {"N11", "unknown_command"},
    {"N12", "unknown_command"},
    {"N13", "unknown_command"},
    {"N14", "invalid_header"},
    {"N15", "invalid_header"},
    {"N16", "invalid_header"},
    {"N17", "invalid_header"},
    {"N18", "invalid_header"},
    {"N19", "invalid_service"},
    {"N20", "invalid_service"},
    {"N21", "invalid_service"},
    {"N22", "invalid_service"},
    {"N27", "invalid_address"},
    {"N36", "too_large"},
    {"N37", "unknown_command"},
    {"N38", "unknown_command"},
    {"N39", "worker_with_stack"},
    {"N40", "invalid_header"},
    {"N41", "invalid_service"},
    {"N42", "no_address"},
    {"N43", "no_address"},
    {"N57", "invalid_service"},
    {"N58", "invalid_header"},
    {"N59", "unknown_command"},
    {"N60", "invalid_address"},
    {"N61", "short_record"},
    {"N62", "invalid_service"},
    {"N63", "bad_contents"},
    {"N64", "bad_contents"},
    {"N66", "unknown_command"},
    {"N67", "unknown_command"},
    {"N75", "short_record"},
    {"N77", "invalid_header"},
    {"N78", "invalid_header"},
    {"N81", "invalid_address"},
    {"N82", "unknown_version"},
    {"N83", "empty_pack"},
    {"N84", "empty_pack"},
    {"N85", "sound ; broken_chain"},
    {"N86", "sound ; broken_chain"},
    {"N87", "sound ; broken_chain"},
    {"N88", "broken_chain"},
    {"N89", "broken_chain"},
    {"N90", "sound ; broken_chain"},
    {"N91", "broken_chain"},
    {"N92", "sound ; broken_chain"},
    {"N93", "sound ; broken_chain"},
    {"N94", "broken_chain"},
    {"N95", "sound ; unknown_command ; sound"},
    {"N96", "unknown_command"},
    {"N97", "bad_contents ; sound"},
    {"N98", "bad_contents ; sound"},
    {"N99", "bad_contents ; sound"},
    {"N100", "bad_contents"},
    {"N101", "bad_contents"},
    {"N103", "invalid_service"},
    {"N104", "bad_contents"},
    {"N105", "bad_contents"},
    {"N106", "invalid_service"},
    {"N107", "too_large"},
    {"N108", "sound ; too_large"},
    {"N114", "worker_with_stack"},
    {"N115", "unknown_command"},
};

static const char *
verdict_on(const char *id)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        if (strcmp(verdicts[i].id, id) == 0)
            return verdicts[i].faults;
    return NULL;
}

// read_faults writes the verdict; `sound` in each place where there is nothing wrong.
static void
read_faults(const struct vector *row, char *to, size_t size)
{
    struct mdp_reader reader;
    enum mdp_fault fault = mdp_wire_begin(&reader, row->frames.frames, row->frames.count,
                                          MDP_TO_BROKER, true, &limits);
    to[0] = '\0';
    if (fault != MDP_SOUND)
        snprintf(to, size, "%s", mdp_fault_text(fault));
    struct mdp_record record;
    while (mdp_wire_next(&reader, &record)) {
        size_t used = strlen(to);
        snprintf(to + used, size - used, "%s%s", used > 0 ? " ; " : "",
                 mdp_fault_text(record.fault));
    }
}

static void
every_negative_row_has_its_verdict(void **state)
{
    (void)state;
    int wrong = 0, n_rows = 0;
    size_t with_verdict = 0;
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        if (!is_negative(row))
            continue;
        n_rows++;
        char found[200];
        read_faults(row, found, sizeof found);
        const char *expected = verdict_on(row->id);
        with_verdict += expected != NULL;
        bool is_sound = strstr(found, "_") == NULL;
        if (expected == NULL ? !is_sound : strcmp(found, expected) != 0) {
            print_error("{\"%s\", \"%s\"},\n", row->id, found);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(n_rows, N_ROWS);
    assert_int_equal(with_verdict, sizeof verdicts / sizeof *verdicts);
}

static void
every_negative_row_is_read_within_its_bounds(void **state)
{
    (void)state;
    for (const struct vector *row = rows; row != NULL; row = row->next)
        if (is_negative(row))
            read_everything(row->frames);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_positive_row_decodes_and_encodes),
        cmocka_unit_test(every_truncation_of_a_positive_row_is_read_within_its_bounds),
        cmocka_unit_test(every_negative_row_has_its_verdict),
        cmocka_unit_test(every_negative_row_is_read_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, read_page, forget_page);
}
