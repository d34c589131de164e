// titanic_front.c - a worker for each of Titanic's services, all over connections of their own.

#include "titanic_front.h"

#include "bytes.h"
#include "log.h"
#include "mdp_inside.h"
#include "mdp_wire.h"
#include "must.h"
#include "titanic_body.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct asking {
    struct asking *next; // spare
    mdp_request_t *request;
    struct tsp_request tsp;
};

// Submissions share a sync, so there are to be many at hand; a wait holds its place for as
// long as it lasts. The operator's questions may take the store a while.
uint32_t
titanic_front_credit(enum tsp_service service)
{
    if (service <= TSP_SUBMIT || service == TSP_WAIT)
        return 1024;
    return 16;
}

int
titanic_front_init(struct titanic_front *self, const char *brokers, uint32_t heartbeat_ms,
                   uint64_t message_bytes_max)
{
    *self = (struct titanic_front){0};
    for (enum tsp_service service = 0; service < TSP_SERVICES; service++) {
        mdp_worker_options_t options = {.heartbeat_ms = heartbeat_ms,
                                        .credit = titanic_front_credit(service),
                                        .message_bytes_max = message_bytes_max};
        self->workers[service] = mdp_worker_new(brokers, tsp_service_name(service), &options);
        if (self->workers[service] == NULL)
            return errno;
    }
    return 0;
}

void
titanic_front_release(struct titanic_front *self)
{
    for (enum tsp_service service = 0; service < TSP_SERVICES; service++)
        mdp_worker_destroy(&self->workers[service]);
    while (self->spare != NULL) {
        struct asking *asking = self->spare;
        self->spare = asking->next;
        free(asking);
    }
    free(self->scratch);
    self->scratch = NULL;
}

bool
titanic_front_watch(struct titanic_front *self, int epoll_fd)
{
    for (enum tsp_service service = 0; service < TSP_SERVICES; service++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = service};
        int fd = mdp_worker_fd(self->workers[service]);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
            return false;
    }
    return true;
}

uint64_t
titanic_front_deadline(const struct titanic_front *self)
{
    uint64_t deadline_ns = UINT64_MAX;
    for (enum tsp_service service = 0; service < TSP_SERVICES; service++) {
        uint64_t at_ns = mdp_worker_deadline(self->workers[service]);
        deadline_ns = at_ns < deadline_ns ? at_ns : deadline_ns;
    }
    return deadline_ns;
}

void
titanic_front_rest(struct titanic_front *self)
{
    for (enum tsp_service service = 0; service < TSP_SERVICES; service++)
        mdp_worker_rest(self->workers[service]);
}

// ---- what is asked ---------------------------------------------------------------------

// owner_of is who the broker says it is. Nobody, where it does not say: all are one owner then.
static struct durable_owner
owner_of(struct view fields)
{
    struct durable_owner owner = {0};
    struct view user;
    uint8_t hash[crypto_hash_sha256_BYTES];
    if (fields.size == 0 || !mdp_fields_find(fields, VIEW_LITERAL("user"), &user))
        return owner;
    crypto_hash_sha256(hash, user.data, user.size);
    memcpy(owner.bytes, hash, sizeof owner.bytes);
    return owner;
}

static struct asking *
take_asking(struct titanic_front *self)
{
    struct asking *asking = self->spare;
    if (asking == NULL)
        return malloc(sizeof *asking);
    self->spare = asking->next;
    return asking;
}

static void
read_request(enum tsp_service service, struct asking *asking, struct titanic_event *event)
{
    struct view fields;
    struct mdp_body body = mdp_request_peek(asking->request, &fields);
    struct view frames[TITANIC_FRAMES_MAX];
    size_t count = 0, cursor = 0;
    while (count < TITANIC_FRAMES_MAX && mdp_body_next(&body, &cursor, &frames[count]))
        count++;
    const char *why = NULL;
    event->status = tsp_read(service, frames, count, &asking->tsp, &why);
    event->why = view_of(why, why == NULL ? 0 : strlen(why));
    asking->tsp.service = service;
    event->owner = owner_of(fields);
    if (event->status != TSP_OK || (service != TSP_REQUEST && service != TSP_SUBMIT))
        return;
    event->body = titanic_body_new(asking->tsp.fields, &body, asking->tsp.body_from);
    if (event->body != NULL && event->body->fields_bytes > TITANIC_KEPT_FIELDS_MAX) {
        event->status = TSP_TOO_LARGE;
        event->why =
            VIEW_LITERAL("too many fields: they have to go to the worker with the request's id");
    }
    event->body_bytes = event->body == NULL ? 0 : titanic_body_bytes(event->body);
}

bool
titanic_front_take(struct titanic_front *self, enum tsp_service service, uint64_t now_ns,
                   struct titanic_event *event_out)
{
    mdp_request_t *request;
    self->is_dirty[service] = false;
    mdp_worker_pump_take(self->workers[service], now_ns, &request);
    if (request == NULL)
        return false;
    struct asking *asking = take_asking(self);
    if (asking == NULL) {
        (void)mdp_request_fail(&request, MDP_FAILED, "titanic is out of memory");
        return false;
    }
    asking->request = request;
    self->open++;
    *event_out = (struct titanic_event){
        .kind = TITANIC_ASK, .now_ns = now_ns, .asker = asking, .request = &asking->tsp};
    read_request(service, asking, event_out);
    return true;
}

// ---- answers ---------------------------------------------------------------------------

static bool
has_room(struct titanic_front *self, size_t bytes)
{
    if (bytes <= self->scratch_room)
        return true;
    uint8_t *larger = realloc(self->scratch, 2 * bytes);
    if (larger == NULL)
        return false;
    self->scratch = larger;
    self->scratch_room = 2 * bytes;
    return true;
}

static uint8_t *
put_frame(uint8_t *to, const void *data, size_t size)
{
    to = bytes_put32(to, (uint32_t)size);
    if (size > 0)
        memcpy(to, data, size);
    return to + size;
}

struct table { // what a table is made of
    const struct titanic_effect *effect;
    const struct tsp_gauge *gauges;
    size_t gauge_count;
    const struct titanic_core *core;
};

static uint64_t
out_of(void *context, struct view service)
{
    return titanic_core_out(context, service);
}

static size_t
write_table(const struct table *table, uint8_t *to, size_t room)
{
    const struct titanic_effect *effect = table->effect;
    if (effect->asked == TSP_LIST)
        return tsp_write_list(to, room, effect->found, effect->now_ms);
    if (effect->asked == TSP_SHOW)
        return tsp_write_show(to, room, effect->found, effect->now_ms);
    return tsp_write_stats(to, room, effect->found, table->gauges, table->gauge_count, out_of,
                           (void *)(uintptr_t)table->core, effect->now_ms);
}

// payload_bytes is the room for what stands behind the status.
static size_t
payload_bytes(const struct table *table)
{
    const struct titanic_effect *effect = table->effect;
    switch (effect->says) {
    case TITANIC_SAYS_TEXT:
        return 4 + effect->text.size;
    case TITANIC_SAYS_BODY:
        return effect->body->bytes;
    case TITANIC_SAYS_TABLE:
        return 4 + write_table(table, NULL, 0);
    default:
        return 64;
    }
}

static uint8_t *
put_payload(const struct table *table, uint8_t *to, size_t room, size_t *frames)
{
    const struct titanic_effect *effect = table->effect;
    char digits[24];
    uint8_t id[REQUEST_ID_TEXT_BYTES];
    struct mdp_body body;
    *frames += effect->says != TITANIC_SAYS_NOTHING;
    switch (effect->says) {
    case TITANIC_SAYS_NOTHING:
        break;
    case TITANIC_SAYS_TEXT:
        return put_frame(to, effect->text.data, effect->text.size);
    case TITANIC_SAYS_ID:
        request_id_write(&effect->id, id);
        return put_frame(to, id, sizeof id);
    case TITANIC_SAYS_BODY:
        body = titanic_body_parts(effect->body);
        *frames += body.count - 1;
        return mdp_body_write_packed(to, &body);
    case TITANIC_SAYS_COUNT:
        snprintf(digits, sizeof digits, "%" PRIu64, effect->count);
        return put_frame(to, digits, strlen(digits));
    case TITANIC_SAYS_TABLE:
        room = write_table(table, to + 4, room - 4);
        bytes_put32(to, (uint32_t)room);
        return to + 4 + room;
    }
    return to;
}

void
titanic_front_reply(struct titanic_front *self, const struct titanic_effect *effect,
                    const struct tsp_gauge *gauges, size_t gauge_count,
                    const struct titanic_core *core)
{
    struct asking *asking = effect->asker;
    struct table table = {effect, gauges, gauge_count, core};
    size_t room = payload_bytes(&table);
    mdp_request_t *request = asking->request;
    must(self->open > 0);
    self->open--;
    self->is_dirty[effect->asked] = true;
    if (!has_room(self, 8 + room)) {
        (void)mdp_request_fail(&request, MDP_FAILED, "titanic is out of memory");
    } else {
        char status[4];
        snprintf(status, sizeof status, "%u", (unsigned)effect->status % 1000);
        size_t frames = 1;
        uint8_t *end = put_frame(self->scratch, status, 3);
        end = put_payload(&table, end, room, &frames);
        struct mdp_body body = {.packed = view_of(self->scratch, (size_t)(end - self->scratch)),
                                .count = frames};
        body.bytes = body.packed.size - 4 * frames;
        (void)mdp_request_reply_with(&request, &body);
    }
    asking->next = self->spare;
    self->spare = asking;
}
