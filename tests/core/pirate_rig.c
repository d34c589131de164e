// pirate_rig.c - frames of pirates, by way of the decoder.

#include "pirate_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FRAMES_MAX = 16 };

struct pirate_queue_config
pirate_rig_config(enum pirate_dialect dialect)
{
    return (struct pirate_queue_config){
        .dialect = dialect,
        .heartbeat_ms = 1000,
        .liveness = 3,
        .workers_max = 8,
        .requests_max = 16,
        .client_requests_max = 12,
        .request_bytes_max = 1 << 20,
        .message_bytes_max = 1 << 20,
        .frames_max = 256,
        .attempts = 3,
        .drain_ms = 5000,
        .seed = "a fixed seed of thirty-two byte",
    };
}

void
pirate_rig_configure(struct world *world, const struct pirate_queue_config *config)
{
    struct pirate_queue_settings settings;
    pirate_queue_core_configure(&settings, config);
    world_configure(world, &settings.broker);
    world->config.services = NULL; // the core has a copy
    world->connection = (struct broker_connection){.serial = 77, .number = 7};
}

static int
set_up(void **state, enum pirate_dialect dialect)
{
    if (world_set_up(state) != 0)
        return -1;
    struct pirate_queue_config config = pirate_rig_config(dialect);
    pirate_rig_configure(*state, &config);
    return 0;
}

int
pirate_rig_set_up_simple(void **state)
{
    return set_up(state, PIRATE_SIMPLE);
}

int
pirate_rig_set_up_paranoid(void **state)
{
    return set_up(state, PIRATE_PARANOID);
}

static enum pirate_dialect
dialect_of(const struct world *world)
{
    return world->config.manners == BROKER_SIMPLE ? PIRATE_SIMPLE : PIRATE_PARANOID;
}

void
pirate_rig_message(struct world *world, enum pirate_socket socket, const struct view *frames,
                   size_t count)
{
    static const struct mdp_limits limits = {256, 1 << 20};
    struct pirate_message message;
    if (socket == PIRATE_FRONTEND)
        (void)pirate_wire_read_client(&message, frames, count, &limits);
    else
        (void)pirate_wire_read_worker(&message, dialect_of(world), frames, count, &limits);
    struct mdp_envelope from;
    struct mdp_record record;
    pirate_queue_core_record(&message, socket, &from, &record);
    world_record(world, &from, &record);
}

// say_to_backend says what a worker does, with its delimiter where it is a REQ.
static void
say_to_backend(struct world *world, const char *id, const struct view *said, size_t count)
{
    struct view frames[FRAMES_MAX] = {view_of(id, strlen(id))};
    size_t at = 1;
    if (dialect_of(world) == PIRATE_SIMPLE)
        frames[at++] = VIEW_LITERAL("");
    memcpy(frames + at, said, count * sizeof *said);
    pirate_rig_message(world, PIRATE_BACKEND, frames, at + count);
}

void
pirate_rig_ready(struct world *world, const char *id)
{
    say_to_backend(world, id, &VIEW_LITERAL("\001"), 1);
}

void
pirate_rig_beat(struct world *world, const char *id)
{
    say_to_backend(world, id, &VIEW_LITERAL("\002"), 1);
}

// add_body adds the frames of a text; returns how many there are then.
static size_t
add_body(struct view *frames, size_t count, const char *body)
{
    for (const char *at = body; at != NULL && count < FRAMES_MAX; count++) {
        const char *end = strchr(at, '|');
        frames[count] = view_of(at, end == NULL ? strlen(at) : (size_t)(end - at));
        at = end == NULL ? NULL : end + 1;
    }
    return count;
}

void
pirate_rig_ask(struct world *world, const char *id, const char *body)
{
    struct view frames[FRAMES_MAX] = {view_of(id, strlen(id)), VIEW_LITERAL("")};
    size_t count = add_body(frames, 2, body);
    pirate_rig_message(world, PIRATE_FRONTEND, frames, count);
}

void
pirate_rig_reply(struct world *world, const char *id, const struct sent *request, const char *body)
{
    uint8_t text[TICKET_TEXT_BYTES];
    ticket_to_text(&request->record.ticket, text);
    struct view frames[FRAMES_MAX - 2] = {view_of(text, sizeof text), VIEW_LITERAL("")};
    size_t count = add_body(frames, 2, body);
    say_to_backend(world, id, frames, count);
}

struct sent
pirate_rig_job(const struct world *world, const char *id)
{
    return *world_last(world, id, MDP_REQUEST);
}

const char *
pirate_rig_answer(const struct world *world, const char *id)
{
    size_t count = world_count(world, id, MDP_FINAL);
    return count == 0 ? NULL : world_find(world, id, MDP_FINAL, count - 1)->body;
}
