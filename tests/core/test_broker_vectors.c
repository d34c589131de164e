// test_broker_vectors.c - every negative row of docs/protocol/vectors.md for socket
// `mdp`, against the broker's core.
//
// A row says in which state a peer is, what it sends, and what must follow, record
// by record. The ticket of the page is replaced by the one the core has drawn.

#include "broker_world.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char client[] = "\x00\x6B\x8B\x45\x67";
static const char worker[] = "\x00\x6B\x8B\x45\x68";
enum { ID_BYTES = 5 };

static const uint8_t page_ticket[TICKET_BYTES] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                                  0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};

static mdp_dialect_t
dialect_of(const char *name)
{
    if (strcmp(name, "g1") == 0)
        return MDP_G1;
    return strcmp(name, "0.2") == 0 ? MDP_02 : MDP_01;
}

static void
say(struct world *world, const char *id, struct mdp_record record, bool has_body)
{
    struct mdp_envelope from = {.routing_id = view_of(id, ID_BYTES),
                                .has_delimiter = record.dialect == MDP_01};
    struct view frame = VIEW_LITERAL("Hi");
    if (has_body)
        record.body = mdp_body_of(&frame, 1);
    uint8_t pack[4096];
    struct view frames[16];
    struct mdp_head head;
    size_t count = 0;
    frames[count++] = from.routing_id;
    if (record.dialect == MDP_G1) {
        uint8_t *end = mdp_wire_write_header(pack, record.side);
        end = mdp_wire_write_record(end, &record);
        frames[count++] = view_of(pack, (size_t)(end - pack));
    } else {
        mdp_wire_head(&head, &record, from.has_delimiter);
        for (size_t i = 0; i < head.frame_count; i++)
            frames[count++] = head.frames[i];
        if (has_body)
            frames[count++] = frame;
    }
    world_message(world, frames, count);
}

static void
say_ready(struct world *world, mdp_dialect_t dialect)
{
    struct mdp_record record = {.dialect = dialect,
                                .side = MDP_WORKER_SIDE,
                                .command = MDP_READY,
                                .credit = 32,
                                .interval_ms = 2500,
                                .service = VIEW_LITERAL("echo")};
    say(world, worker, record, false);
}

static void
say_request(struct world *world, mdp_dialect_t dialect)
{
    struct mdp_record record = {.dialect = dialect,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = 1,
                                .service = VIEW_LITERAL("echo")};
    say(world, client, record, true);
}

// set_up brings the peer into the row's state; the ticket it then holds, or zeros.
static struct ticket
set_up(struct world *world, const char *state)
{
    struct ticket ticket = {{0}};
    char word[16] = "", dialect_name[16] = "g1";
    sscanf(state, "%15s %15s", word, dialect_name);
    mdp_dialect_t dialect = dialect_of(dialect_name);
    if (strcmp(word, "idle") == 0)
        say_ready(world, dialect);
    if (strcmp(word, "open") == 0)
        say_request(world, MDP_G1);
    if (strcmp(word, "busy") == 0 || strcmp(word, "lost") == 0) {
        say_ready(world, dialect);
        say_request(world, dialect == MDP_G1 ? MDP_G1 : MDP_01);
        const struct sent *request = NULL;
        for (size_t i = 0; i < world->sent_count; i++)
            if (world->sent[i].record.command == MDP_REQUEST)
                request = &world->sent[i];
        assert_non_null(request);
        ticket = request->record.ticket;
        if (strcmp(word, "lost") == 0) {
            struct sent heartbeat = *request;
            heartbeat.record.command = MDP_HEARTBEAT;
            heartbeat.token = 0;
            world_unsent(world, &heartbeat, true);
            world_tick(world);
        }
    }
    world_clear(world);
    return ticket;
}

// use_ticket writes the real ticket where the page has its own.
static void
use_ticket(struct vector_frames frames, const struct ticket *ticket)
{
    uint8_t page_text[TICKET_TEXT_BYTES], text[TICKET_TEXT_BYTES];
    struct ticket page;
    memcpy(page.bytes, page_ticket, TICKET_BYTES);
    ticket_to_text(&page, page_text);
    ticket_to_text(ticket, text);
    for (size_t i = 0; i < frames.count; i++) {
        uint8_t *data = (uint8_t *)(uintptr_t)frames.frames[i].data;
        size_t size = frames.frames[i].size;
        if (size == TICKET_TEXT_BYTES && memcmp(data, page_text, size) == 0)
            memcpy(data, text, size);
        for (size_t at = 0; at + TICKET_BYTES <= size; at++)
            if (memcmp(data + at, page_ticket, TICKET_BYTES) == 0)
                memcpy(data + at, ticket->bytes, TICKET_BYTES);
    }
}

// ---- what followed -----------------------------------------------------------------------

// How the world stood before and after one record.
struct look {
    struct broker_stats stats;
    size_t sent;
};

static struct look
look(const struct world *world)
{
    return (struct look){*broker_core_stats(world->core), world->sent_count};
}

static const struct sent *
sent_since(const struct world *world, const struct look *before, enum mdp_command command)
{
    for (size_t i = before->sent; i < world->sent_count; i++)
        if (world->sent[i].record.command == command)
            return &world->sent[i];
    return NULL;
}

static bool
was_accepted(const struct world *world, const struct look *before)
{
    const struct broker_stats *now = broker_core_stats(world->core);
    return now->requests_in > before->stats.requests_in ||
           now->replies_out > before->stats.replies_out ||
           now->mmi_requests > before->stats.mmi_requests ||
           now->workers_registered > before->stats.workers_registered ||
           sent_since(world, before, MDP_HEARTBEAT) != NULL;
}

// holds is whether one word of an expectation is true of what happened.
static bool
holds(const struct world *world, const struct look *before, const char *word)
{
    const struct broker_stats *now = broker_core_stats(world->core);
    unsigned number = 0;
    if (strcmp(word, "drop") == 0)
        return world->sent_count == before->sent && now->workers == before->stats.workers &&
               now->requests_queued + now->requests_out ==
                   before->stats.requests_queued + before->stats.requests_out &&
               memcmp(now, &before->stats, sizeof *now) != 0;
    if (strcmp(word, "accept") == 0)
        return was_accepted(world, before);
    if (strcmp(word, "heartbeat") == 0)
        return world->sent_count == before->sent && now->workers == before->stats.workers;
    if (strcmp(word, "forget") == 0)
        return world->sent_count == before->sent && now->workers == 0;
    if (strcmp(word, "requeue") == 0)
        return now->requests_queued == 1;
    if (strncmp(word, "disconnect", 10) == 0) {
        const struct sent *sent = sent_since(world, before, MDP_DISCONNECT);
        bool has_reason = sscanf(word, "disconnect %u", &number) == 1;
        return sent != NULL && now->workers == 0 && (!has_reason || sent->record.reason == number);
    }
    if (sscanf(word, "final %u", &number) == 1) {
        const struct sent *sent = sent_since(world, before, MDP_FINAL);
        return sent != NULL && sent->record.status == number;
    }
    return false;
}

static bool
all_hold(const struct world *world, const struct look *before, const char *expect)
{
    char words[256];
    snprintf(words, sizeof words, "%s", expect);
    for (char *word = strtok(words, "+"); word != NULL; word = strtok(NULL, "+"))
        if (!holds(world, before, word))
            return false;
    return true;
}

// run_message steps record by record and judges each by its expectation; the last one stands
// for the rest of the message.
static bool
run_message(struct world *world, struct vector_frames frames, const char *expect)
{
    struct mdp_limits limits = {256, 1 << 20};
    struct mdp_reader reader;
    struct mdp_record record = {0};
    char list[256];
    snprintf(list, sizeof list, "%s", expect);
    char *rest = list;
    enum mdp_fault fault =
        mdp_wire_begin(&reader, frames.frames, frames.count, MDP_TO_BROKER, true, &limits);
    bool has_record = fault == MDP_SOUND && mdp_wire_next(&reader, &record);
    if (!has_record)
        record =
            (struct mdp_record){.fault = fault, .side = reader.side, .dialect = reader.dialect};
    while (rest != NULL) {
        char *next = strstr(rest, " ; ");
        if (next != NULL)
            *next = '\0';
        struct look before = look(world);
        do {
            world_record(world, &reader.envelope, &record);
            has_record = mdp_wire_next(&reader, &record);
        } while (next == NULL && has_record);
        if (!all_hold(world, &before, rest))
            return false;
        rest = next == NULL ? NULL : next + 3;
        if (rest != NULL && !has_record)
            return false;
    }
    return true;
}

static void
every_negative_row_has_its_effect(void **state)
{
    (void)state;
    struct vector *vectors = vectors_read(GALLEON_SOURCE_DIR "/docs/protocol/vectors.md");
    assert_non_null(vectors);
    size_t rows = 0, failed = 0;
    for (struct vector *row = vectors; row != NULL; row = row->next) {
        if (row->kind != 'N' || strcmp(row->socket, "mdp") != 0)
            continue;
        struct broker_config config = world_config();
        struct world world;
        world_init(&world, &config);
        struct ticket ticket = set_up(&world, row->state);
        struct ticket zero = {{0}};
        if (!ticket_equals(&ticket, &zero))
            use_ticket(row->frames, &ticket);
        if (!run_message(&world, row->frames, row->expect)) {
            print_error("%s: not as expected: %s (%s)\n", row->id, row->expect, row->why);
            failed++;
        }
        rows++;
        world_release(&world);
    }
    vectors_destroy(&vectors);
    assert_true(rows > 90);
    assert_int_equal(failed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_negative_row_has_its_effect)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
