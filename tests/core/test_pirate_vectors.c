// test_pirate_vectors.c - every negative row of the protocol pages that a queue's sockets meet,
// against its core.
//
// A row says in which state a peer is, what it sends, and what must follow. The ticket of the
// page is replaced by the one that the core has drawn.

#include "pirate_rig.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOLDER GALLEON_SOURCE_DIR "/docs/protocol/"

enum { PAGES = 2, ROWS = 37, ID_BYTES = 5 };

static const char client[] = "\x00\x6B\x8B\x45\x67";
static const char worker[] = "\x00\x6B\x8B\x45\x68";

// What has been counted by now, whatever for.
static uint64_t
all_counters(const struct world *world)
{
    const struct broker_stats *stats = world_stats(world);
    return stats->peers_rejected + stats->answers_late + stats->strangers_unheard;
}

static void
say(struct world *world, enum pirate_socket socket, struct view id, struct view said)
{
    bool has_delimiter = socket == PIRATE_FRONTEND || world->config.manners == BROKER_SIMPLE;
    struct view frames[] = {id, VIEW_LITERAL(""), said};
    if (!has_delimiter)
        frames[1] = said;
    pirate_rig_message(world, socket, frames, has_delimiter ? 3 : 2);
}

// sent_to is the latest of this command to one of the two, NULL where there is none. Their names
// begin with a NUL, so the world's own search does not tell them apart.
static const struct sent *
sent_to(const struct world *world, const char *id, enum mdp_command command)
{
    const struct sent *found = NULL;
    for (size_t i = 0; i < world->sent_count; i++) {
        const struct sent *sent = &world->sent[i];
        if (sent->record.command == command && sent->to_bytes == ID_BYTES &&
            memcmp(sent->to, id, ID_BYTES) == 0)
            found = sent;
    }
    return found;
}

// set_up brings the peer into the row's state; the ticket that it then holds, or zeros.
static struct ticket
set_up(struct world *world, const char *state)
{
    struct ticket ticket = {{0}};
    bool is_lost = strcmp(state, "lost") == 0, is_busy = strcmp(state, "busy") == 0;
    if (strcmp(state, "none") != 0)
        say(world, PIRATE_BACKEND, view_of(worker, ID_BYTES), VIEW_LITERAL("\001"));
    if (is_busy || is_lost) {
        say(world, PIRATE_FRONTEND, view_of(client, ID_BYTES), VIEW_LITERAL("Hi"));
        const struct sent *job = sent_to(world, worker, MDP_REQUEST);
        assert_non_null(job);
        ticket = job->record.ticket;
        if (is_lost) {
            struct sent probe = *job;
            probe.record.command = MDP_HEARTBEAT;
            probe.token = 0;
            world_unsent(world, &probe, true);
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
    static const struct ticket on_page = {{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
                                           0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF}};
    uint8_t page_text[TICKET_TEXT_BYTES], text[TICKET_TEXT_BYTES];
    ticket_to_text(&on_page, page_text);
    ticket_to_text(ticket, text);
    for (size_t i = 0; i < frames.count; i++)
        if (view_equals(frames.frames[i], view_of(page_text, sizeof page_text)))
            memcpy((uint8_t *)(uintptr_t)frames.frames[i].data, text, sizeof text);
}

static bool
expects(const struct vector *row, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = row->expect; at != NULL; at = strchr(at, '+')) {
        at += *at == '+' ? 1 : 0;
        if (strncmp(at, word, size) == 0 && (at[size] == '\0' || at[size] == '+'))
            return true;
    }
    return false;
}

// is_ready: does the next request go to the worker?
static bool
is_ready(struct world *world)
{
    world_clear(world);
    say(world, PIRATE_FRONTEND, VIEW_LITERAL("another"), VIEW_LITERAL("next"));
    return sent_to(world, worker, MDP_REQUEST) != NULL;
}

// why_wrong compares what has happened with what the row expects.
static const char *
why_wrong(struct world *world, const struct vector *row, uint64_t counted, bool was_worker)
{
    const struct broker_stats *stats = world_stats(world);
    bool is_client = strcmp(row->socket, "pirate") == 0;
    bool is_answered = sent_to(world, client, MDP_FINAL) != NULL;
    bool is_requeued = sent_to(world, worker, MDP_REQUEST) != NULL && stats->redeliveries == 1;
    if (expects(row, "accept") && !(is_client ? stats->requests_queued == 1 : is_answered))
        return "is not accepted";
    if (!expects(row, "accept") &&
        (is_answered || stats->requests_in > stats->requests_out + stats->requests_queued))
        return "reaches the client";
    if (expects(row, "drop") && all_counters(world) == counted)
        return "is not counted";
    if (expects(row, "drop") && world->sent_count > 0)
        return "is answered";
    if (expects(row, "requeue") != is_requeued)
        return "is not as it should be with what it held";
    if (expects(row, "heartbeat") && all_counters(world) != counted)
        return "is no heartbeat";
    if (stats->workers != (was_worker || expects(row, "ready") ? 1 : 0))
        return "leaves another number of workers";
    bool is_held = is_requeued || stats->requests_out > 0;
    if (expects(row, "ready") && !is_held && !is_ready(world))
        return "does not leave it ready";
    return NULL;
}

static const char *
judge(struct world *world, const struct vector *row)
{
    enum pirate_dialect dialect = strcmp(row->socket, "ppp") == 0 ? PIRATE_PARANOID : PIRATE_SIMPLE;
    struct pirate_queue_config config = pirate_rig_config(dialect);
    pirate_rig_configure(world, &config);
    bool was_worker = strcmp(row->state, "idle") == 0 || strcmp(row->state, "busy") == 0;
    struct ticket ticket = set_up(world, row->state);
    uint64_t counted = all_counters(world);
    struct vector_frames frames = vector_frames_copy(row->frames);
    static const struct ticket none;
    if (!ticket_equals(&ticket, &none))
        use_ticket(frames, &ticket);
    bool is_client = strcmp(row->socket, "pirate") == 0;
    pirate_rig_message(world, is_client ? PIRATE_FRONTEND : PIRATE_BACKEND, frames.frames,
                       frames.count);
    vector_frames_release(&frames);
    return why_wrong(world, row, counted, was_worker);
}

static bool
is_ours(const struct vector *row)
{
    return row->kind == 'N' && (strcmp(row->socket, "ppp") == 0 || strcmp(row->socket, "sp") == 0 ||
                                strcmp(row->socket, "pirate") == 0);
}

static void
every_negative_row_has_its_consequence(void **state)
{
    struct world *world = *state;
    static const char *const names[PAGES] = {FOLDER "vectors.md", FOLDER "pirates.md"};
    int wrong = 0, count = 0;
    for (int i = 0; i < PAGES; i++) {
        struct vector *rows = vectors_read(names[i]);
        assert_non_null(rows);
        for (const struct vector *row = rows; row != NULL; row = row->next) {
            if (!is_ours(row))
                continue;
            count++;
            const char *why = judge(world, row);
            if (why != NULL) {
                print_error("%s %s\n", row->id, why);
                wrong++;
            }
        }
        vectors_destroy(&rows);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(count, ROWS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        simple_test(every_negative_row_has_its_consequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
