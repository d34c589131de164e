// test_pirate_wire.c - every row of the protocol pages that a pirate's socket meets.
//
// Positive rows are read in the ways they name and written again. Negative rows are read,
// and the wire's own verdict is compared with the table below (what a queue does about it
// is the queue's test). Frames lie in blocks of their own size, so that a read past the
// end of one is seen.

#include "pirate_wire.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOLDER GALLEON_SOURCE_DIR "/docs/protocol/"

enum { PAGES = 2, POSITIVE_ROWS = 34, NEGATIVE_ROWS = 47, FRAMES_MAX = 64 };

static const struct mdp_limits limits = {256, 1 << 20};

static struct vector *pages[PAGES];

static int
read_pages(void **state)
{
    (void)state;
    pages[0] = vectors_read(FOLDER "vectors.md");
    pages[1] = vectors_read(FOLDER "pirates.md");
    return pages[0] == NULL || pages[1] == NULL ? -1 : 0;
}

static int
forget_pages(void **state)
{
    (void)state;
    for (int i = 0; i < PAGES; i++)
        vectors_destroy(&pages[i]);
    return 0;
}

// ---- sockets ---------------------------------------------------------------------------------

struct socket {
    const char *name;
    enum { FRONTEND, BACKEND, WORKER } place;
    enum pirate_dialect dialect;
};

static const struct socket sockets[] = {
    {"pirate", FRONTEND, PIRATE_SIMPLE},     {"sp", BACKEND, PIRATE_SIMPLE},
    {"ppp", BACKEND, PIRATE_PARANOID},       {"sp-worker", WORKER, PIRATE_SIMPLE},
    {"ppp-worker", WORKER, PIRATE_PARANOID},
};

// socket_of is where a row is met, NULL where that is no pirate's socket.
static const struct socket *
socket_of(const struct vector *row)
{
    for (size_t i = 0; row->kind != 'X' && i < sizeof sockets / sizeof *sockets; i++)
        if (strcmp(sockets[i].name, row->socket) == 0)
            return &sockets[i];
    return NULL;
}

// next_row is the row after this one, over all pages, that a pirate's socket meets.
static const struct vector *
next_row(const struct vector *row, int *page)
{
    do {
        row = row == NULL ? pages[*page] : row->next;
        while (row == NULL && ++*page < PAGES)
            row = pages[*page];
    } while (row != NULL && socket_of(row) == NULL);
    return row;
}

static enum pirate_fault
read_at(const struct socket *socket, struct pirate_message *message, struct vector_frames frames)
{
    if (socket->place == FRONTEND)
        return pirate_wire_read_client(message, frames.frames, frames.count, &limits);
    if (socket->place == BACKEND)
        return pirate_wire_read_worker(message, socket->dialect, frames.frames, frames.count,
                                       &limits);
    return pirate_wire_read_queue(message, socket->dialect, frames.frames, frames.count, &limits);
}

// ---- positive rows ---------------------------------------------------------------------------

// What a row says, and what that points into.
struct expectation {
    struct pirate_message message;
    struct vector_frames stack, body, ticket;
};

static enum pirate_kind
kind_of(const char *command)
{
    static const char *const names[] = {[PIRATE_READY] = "ready",
                                        [PIRATE_HEARTBEAT] = "heartbeat",
                                        [PIRATE_REQUEST] = "request",
                                        [PIRATE_REPLY] = "reply"};
    for (enum pirate_kind kind = PIRATE_READY; kind <= PIRATE_REPLY; kind++)
        if (strcmp(names[kind], command) == 0)
            return kind;
    return PIRATE_NOTHING;
}

static bool
read_list(const struct vector_record *record, const char *key, struct vector_frames *out)
{
    const char *value = vector_item(record, key);
    return value == NULL || vector_frames_read(out, value, ',');
}

// read_row makes a message of the row's text; false where it says what nobody knows.
static bool
read_row(struct expectation *self, const struct vector *row)
{
    *self = (struct expectation){.message.kind = kind_of(row->command)};
    const struct vector_record *record = &row->records[0];
    if (self->message.kind == PIRATE_NOTHING || row->record_count != 1 ||
        !read_list(record, "envelope", &self->stack) || !read_list(record, "body", &self->body) ||
        !read_list(record, "ticket", &self->ticket))
        return false;
    self->message.body = mdp_body_of(self->body.frames, self->body.count);
    self->message.envelope.stack = self->stack.frames;
    self->message.envelope.stack_size = self->stack.count;
    self->message.envelope.has_delimiter = vector_item(record, "delim") != NULL;
    if (self->ticket.count > 0)
        memcpy(self->message.ticket.bytes, self->ticket.frames[0].data, TICKET_BYTES);
    return true;
}

static void
release_row(struct expectation *self)
{
    vector_frames_release(&self->stack);
    vector_frames_release(&self->body);
    vector_frames_release(&self->ticket);
}

static bool
views_are_equal(const struct view *a, const struct view *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!view_equals(a[i], b[i]))
            return false;
    return true;
}

static bool
decodes(const struct vector *row, const struct pirate_message *expected)
{
    const struct socket *socket = socket_of(row);
    struct pirate_message found;
    if (read_at(socket, &found, row->frames) != PIRATE_SOUND || found.fault != PIRATE_SOUND)
        return false;
    struct view routing_id = socket->place == WORKER ? VIEW_NONE : row->frames.frames[0];
    bool has_delimiter = socket->place == WORKER ? expected->envelope.has_delimiter
                                                 : socket->dialect == PIRATE_SIMPLE;
    return found.kind == expected->kind && view_equals(found.envelope.routing_id, routing_id) &&
           found.envelope.has_delimiter == has_delimiter &&
           found.envelope.stack_size == expected->envelope.stack_size &&
           views_are_equal(found.envelope.stack, expected->envelope.stack,
                           found.envelope.stack_size) &&
           found.body.count == expected->body.count && found.body.bytes == expected->body.bytes &&
           views_are_equal(found.body.frames, expected->body.frames, found.body.count) &&
           ticket_equals(&found.ticket, &expected->ticket);
}

static bool
encodes(const struct vector *row, const struct pirate_message *message)
{
    const struct socket *socket = socket_of(row);
    struct pirate_head head;
    if (socket->place == FRONTEND)
        pirate_wire_head_to_client(&head, &message->envelope);
    else if (socket->place == BACKEND)
        pirate_wire_head_to_worker(&head, socket->dialect, message->kind, &message->ticket);
    else
        pirate_wire_head_to_queue(&head, socket->dialect, message->kind, &message->envelope);

    size_t skip = socket->place == WORKER ? 0 : 1;
    const struct view *frames = row->frames.frames + skip;
    return row->frames.count == skip + head.frame_count + message->body.count &&
           views_are_equal(frames, head.frames, head.frame_count) &&
           views_are_equal(frames + head.frame_count, message->body.frames, message->body.count);
}

static void
every_positive_row_decodes_and_encodes(void **state)
{
    (void)state;
    int wrong = 0, count = 0, page = 0;
    for (const struct vector *row = NULL; (row = next_row(row, &page)) != NULL;) {
        if (row->kind == 'N')
            continue;
        count++;
        struct expectation expected;
        bool is_right = read_row(&expected, row);
        if (strcmp(row->way, "out") != 0)
            is_right = is_right && decodes(row, &expected.message);
        if (strcmp(row->way, "in") != 0)
            is_right = is_right && encodes(row, &expected.message);
        release_row(&expected);
        if (!is_right) {
            print_error("%s is wrong\n", row->id);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(count, POSITIVE_ROWS);
}

// ---- negative rows ---------------------------------------------------------------------------

// A row that is not here is sound as far as the wire can tell.
static const struct {
    const char *id;
    const char *fault;
} verdicts[] = {
    {"N47", "unknown_control"},  {"N48", "unknown_control"},  {"N50", "empty_message"},
    {"N51", "invalid_address"},  {"N116", "empty_message"},   {"N117", "no_delimiter"},
    {"N119", "long_stack"},      {"N120", "too_large"},       {"N121", "too_large"},
    {"N122", "empty_message"},   {"N129", "unknown_control"}, {"N130", "invalid_address"},
    {"N133", "invalid_address"}, {"N134", "unknown_control"}, {"N135", "too_large"},
    {"N136", "empty_message"},   {"N137", "no_delimiter"},    {"N138", "unknown_control"},
    {"N139", "invalid_address"}, {"N144", "invalid_address"}, {"N148", "unknown_control"},
    {"N149", "unknown_control"}, {"N150", "no_delimiter"},    {"N151", "long_stack"},
    {"N153", "no_delimiter"},    {"N154", "empty_message"},   {"N155", "no_delimiter"},
    {"N156", "no_address"},
};

static const char *
verdict_on(const char *id)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        if (strcmp(verdicts[i].id, id) == 0)
            return verdicts[i].fault;
    return "sound";
}

static void
every_negative_row_has_its_verdict(void **state)
{
    (void)state;
    int wrong = 0, count = 0, page = 0;
    for (const struct vector *row = NULL; (row = next_row(row, &page)) != NULL;) {
        if (row->kind != 'N')
            continue;
        count++;
        struct pirate_message message;
        const char *found = pirate_fault_text(read_at(socket_of(row), &message, row->frames));
        if (strcmp(found, verdict_on(row->id)) != 0) {
            print_error("%s: %s\n", row->id, found);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(count, NEGATIVE_ROWS);
}

static void
faulty_message_says_nothing_but_who_sent_it(void **state)
{
    (void)state;
    const struct view frames[] = {VIEW_LITERAL("W"), VIEW_LITERAL("C"), VIEW_LITERAL(""),
                                  VIEW_LITERAL("Hi")};
    struct pirate_message message;
    assert_int_equal(pirate_wire_read_worker(&message, PIRATE_PARANOID, frames, 4, &limits),
                     PIRATE_BAD_ADDRESS);
    assert_int_equal(message.fault, PIRATE_BAD_ADDRESS);
    assert_int_equal(message.kind, PIRATE_NOTHING);
    assert_true(view_equals(message.envelope.routing_id, frames[0]));
    assert_int_equal(message.body.count, 0);
}

static void
body_that_is_missing_is_one_empty_frame(void **state)
{
    (void)state;
    const struct view request[] = {VIEW_LITERAL("C"), VIEW_LITERAL("")};
    struct pirate_message message;
    assert_int_equal(pirate_wire_read_client(&message, request, 2, &limits), PIRATE_SOUND);
    assert_int_equal(message.body.count, 1);
    assert_int_equal(message.body.bytes, 0);
    assert_int_equal(pirate_wire_read_queue(&message, PIRATE_PARANOID, request, 2, NULL),
                     PIRATE_SOUND);
    assert_int_equal(message.envelope.stack_size, 1);
    assert_int_equal(message.body.count, 1);
}

static void
reply_without_its_delimiter_keeps_its_body(void **state)
{
    (void)state;
    uint8_t text[TICKET_TEXT_BYTES];
    struct ticket ticket = {{1, 2, 3}};
    ticket_to_text(&ticket, text);
    const struct view frames[] = {VIEW_LITERAL("W"), view_of(text, sizeof text), VIEW_LITERAL("Hi"),
                                  VIEW_LITERAL("")};
    struct pirate_message message;
    assert_int_equal(pirate_wire_read_worker(&message, PIRATE_PARANOID, frames, 4, &limits),
                     PIRATE_SOUND);
    assert_int_equal(message.body.count, 2);
    assert_true(view_equals(message.body.frames[0], VIEW_LITERAL("Hi")));
}

static void
answer_over_the_limit_says_which_it_is(void **state)
{
    (void)state;
    static const struct mdp_limits small = {4, 100};
    uint8_t text[TICKET_TEXT_BYTES];
    struct ticket ticket = {{1, 2, 3}};
    ticket_to_text(&ticket, text);
    const struct view frames[] = {VIEW_LITERAL("W"), view_of(text, sizeof text), VIEW_LITERAL(""),
                                  VIEW_LITERAL("Hi"), VIEW_LITERAL("Ho")};
    struct pirate_message message;
    assert_int_equal(pirate_wire_read_worker(&message, PIRATE_PARANOID, frames, 5, &small),
                     PIRATE_OVER_LIMIT);
    assert_int_equal(message.kind, PIRATE_REPLY);
    assert_true(ticket_equals(&message.ticket, &ticket));
    assert_int_equal(message.body.count, 0);
}

// ---- truncation ------------------------------------------------------------------------------

static uint64_t touched; // so that no read is optimized away

static void
touch(const struct view *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < frames[i].size; k++)
            touched += frames[i].data[k];
}

// read_everywhere reads a message at all sockets and touches all it points at.
static void
read_everywhere(struct vector_frames frames)
{
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        struct pirate_message message;
        if (read_at(&sockets[i], &message, frames) != PIRATE_SOUND)
            continue;
        touch(message.envelope.stack, message.envelope.stack_size);
        touch(message.body.frames, message.body.count);
    }
}

static void
every_truncation_of_a_row_is_read_within_its_bounds(void **state)
{
    (void)state;
    int page = 0;
    for (const struct vector *row = NULL; (row = next_row(row, &page)) != NULL;) {
        read_everywhere(row->frames);
        size_t count = row->frames.count < FRAMES_MAX ? row->frames.count : 0;
        for (size_t from = 0; from < count; from++)
            for (size_t to = from; to <= count; to++) {
                struct vector_frames part = {row->frames.frames + from, to - from};
                struct vector_frames copy = vector_frames_copy(part);
                read_everywhere(copy);
                vector_frames_release(&copy);
            }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_positive_row_decodes_and_encodes),
        cmocka_unit_test(every_negative_row_has_its_verdict),
        cmocka_unit_test(faulty_message_says_nothing_but_who_sent_it),
        cmocka_unit_test(body_that_is_missing_is_one_empty_frame),
        cmocka_unit_test(reply_without_its_delimiter_keeps_its_body),
        cmocka_unit_test(answer_over_the_limit_says_which_it_is),
        cmocka_unit_test(every_truncation_of_a_row_is_read_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, read_pages, forget_pages);
}
