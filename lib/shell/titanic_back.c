// titanic_back.c - two clients: one for requests, one to ask whether a service has workers.

#include "titanic_back.h"

#include "mdp_inside.h"
#include "mdp_wire.h"
#include "must.h"
#include "titanic_body.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

enum { QUESTION_TIMEOUT_MS = 2500, FIELDS_BYTES_MAX = TSP_FIELDS_BYTES_MAX + 64 };

// What a request may wait at the broker: so much less than its attempt may take that the
// broker's word of it, that no worker took it, is here before we stop waiting for one.
static uint32_t
ttl_of(uint32_t timeout_ms)
{
    uint32_t margin_ms = timeout_ms / 8;
    return timeout_ms - (margin_ms < 5000 ? margin_ms : 5000);
}

int
titanic_back_init(struct titanic_back *self, const char *brokers, uint32_t slots, uint32_t inflight,
                  uint32_t timeout_ms, uint64_t message_bytes_max)
{
    *self = (struct titanic_back){.slots = slots, .ttl_ms = ttl_of(timeout_ms)};
    mdp_client_options_t options = {.timeout_ms = timeout_ms,
                                    .attempts = 1,
                                    .window = inflight,
                                    .message_bytes_max = message_bytes_max};
    mdp_client_options_t for_questions = {
        .timeout_ms = QUESTION_TIMEOUT_MS, .attempts = 1, .window = TITANIC_QUESTIONS_MAX};
    self->client = mdp_client_new(brokers, &options);
    if (self->client == NULL)
        return errno;
    self->questions = mdp_client_new(brokers, &for_questions);
    if (self->questions == NULL)
        return errno;
    self->calls = calloc(slots, sizeof *self->calls);
    self->map_memory = calloc(1, map_bytes(slots));
    if (self->calls == NULL || self->map_memory == NULL)
        return ENOMEM;
    map_init(&self->by_id, slots, self->map_memory);
    return 0;
}

void
titanic_back_release(struct titanic_back *self)
{
    zmsg_destroy(&self->reply);
    mdp_client_destroy(&self->client);
    mdp_client_destroy(&self->questions);
    free(self->calls);
    free(self->map_memory);
    self->calls = NULL;
    self->map_memory = NULL;
}

static bool
watch(int epoll_fd, mdp_client_t *client, uint32_t number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, mdp_client_fd(client), &event) == 0;
}

bool
titanic_back_watch(struct titanic_back *self, int epoll_fd, uint32_t number,
                   uint32_t questions_number)
{
    return watch(epoll_fd, self->client, number) &&
           watch(epoll_fd, self->questions, questions_number);
}

uint64_t
titanic_back_deadline(const struct titanic_back *self)
{
    uint64_t a = mdp_client_deadline(self->client);
    uint64_t b = mdp_client_deadline(self->questions);
    return a < b ? a : b;
}

// ---- sending ---------------------------------------------------------------------------

// The client's ids are numbers that it counts up, and nobody else chooses them.
static uint64_t
hash_of(uint64_t id)
{
    return id * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t
write_fields(uint8_t to[FIELDS_BYTES_MAX], const struct titanic_effect *effect)
{
    static const char name[] = "titanic-id: ";
    struct view kept = titanic_body_fields(effect->body);
    memcpy(to, name, strlen(name));
    request_id_write(&effect->id, to + strlen(name));
    size_t size = strlen(name) + REQUEST_ID_TEXT_BYTES;
    to[size++] = '\n';
    must(size == TITANIC_ID_LINE_BYTES && kept.size <= TITANIC_KEPT_FIELDS_MAX);
    if (kept.size > 0)
        memcpy(to + size, kept.data, kept.size);
    return size + kept.size;
}

bool
titanic_back_send(struct titanic_back *self, const struct titanic_effect *effect,
                  struct titanic_event *failed_out)
{
    uint8_t fields[FIELDS_BYTES_MAX];
    struct mdp_body body = titanic_body_parts(effect->body);
    size_t size = write_fields(fields, effect);
    uint64_t id;
    int result = mdp_client_send_with(self->client, effect->service, view_of(fields, size), &body,
                                      self->ttl_ms, &id);
    if (result != GALLEON_OK) {
        bool is_too_large = result == GALLEON_REFUSED;
        *failed_out = (struct titanic_event){
            .kind = TITANIC_ANSWER,
            .token = effect->token,
            .ending = is_too_large ? TITANIC_ENDED : TITANIC_NOT_TRIED,
            .ended_with = MDP_TOO_LARGE,
            .text = VIEW_LITERAL("larger than the brokers take (--max-message)")};
        return false;
    }
    struct titanic_call *call = &self->calls[(uint32_t)effect->token];
    must((uint32_t)effect->token < self->slots && call->id == 0);
    call->id = id;
    call->token = effect->token;
    map_insert(&self->by_id, &call->by_id, hash_of(id));
    return true;
}

static void
forget(struct titanic_back *self, struct titanic_call *call)
{
    map_remove(&self->by_id, &call->by_id);
    call->id = 0;
}

void
titanic_back_cancel(struct titanic_back *self, uint64_t token)
{
    struct titanic_call *call = &self->calls[(uint32_t)token];
    must((uint32_t)token < self->slots);
    if (call->id == 0 || call->token != token)
        return;
    (void)mdp_client_cancel(self->client, call->id);
    forget(self, call);
}

bool
titanic_back_question(struct titanic_back *self, struct view service)
{
    struct titanic_question *question = NULL;
    for (size_t i = 0; i < TITANIC_QUESTIONS_MAX && question == NULL; i++)
        if (self->asked[i].id == 0)
            question = &self->asked[i];
    struct mdp_body body = mdp_body_of(&service, 1);
    if (question == NULL || mdp_client_send_with(self->questions, VIEW_LITERAL("mmi.service"),
                                                 VIEW_NONE, &body, 0, &question->id) != GALLEON_OK)
        return false;
    question->name_size = (uint8_t)service.size;
    memcpy(question->name, service.data, service.size);
    return true;
}

// ---- answers ---------------------------------------------------------------------------

// ending_of: 404, 429, 503, and 408 of a request that was still queued, are no attempts, and
// neither is what no socket ever took: nothing ran.
static enum titanic_ending
ending_of(int result, int status, bool was_sent)
{
    if (result == GALLEON_OK || result == GALLEON_NO_MEMORY)
        return TITANIC_ENDED;
    if (status == MDP_NO_WORKER || status == MDP_QUEUE_FULL || status == MDP_PASSIVE ||
        status == MDP_EXPIRED || !was_sent)
        return TITANIC_NOT_TRIED;
    return status == 0 ? TITANIC_LOST : TITANIC_ENDED;
}

static struct titanic_call *
call_of(struct titanic_back *self, uint64_t id)
{
    for (struct map_node *node = map_first(&self->by_id, hash_of(id)); node != NULL;
         node = map_next(node)) {
        struct titanic_call *call = (struct titanic_call *)(void *)node;
        if (call->id == id)
            return call;
    }
    return NULL;
}

static void
take_answer(struct titanic_back *self, struct titanic_call *call, int result,
            struct titanic_event *event)
{
    int status = mdp_client_status(self->client);
    const char *text = mdp_client_status_text(self->client);
    event->kind = TITANIC_ANSWER;
    event->token = call->token;
    event->ending = ending_of(result, status, mdp_client_was_sent(self->client));
    event->ended_with = result == GALLEON_OK ? MDP_DONE : status;
    if (result == GALLEON_OK) {
        event->reply = titanic_body_of_message(self->reply);
        event->reply_bytes = event->reply == NULL ? 0 : titanic_body_bytes(event->reply);
    }
    if (text[0] == '\0')
        text = event->ending == TITANIC_LOST ? "no answer in time" : "out of memory";
    event->text = view_of(text, strlen(text));
    forget(self, call);
}

static bool
take_known(struct titanic_back *self, uint64_t id, int result, struct titanic_event *event)
{
    for (size_t i = 0; i < TITANIC_QUESTIONS_MAX; i++) {
        struct titanic_question *question = &self->asked[i];
        if (question->id != id)
            continue;
        question->id = 0;
        zframe_t *code = result == GALLEON_OK ? zmsg_first(self->reply) : NULL;
        event->kind = TITANIC_KNOWN;
        event->service = view_of(question->name, question->name_size);
        event->is_true = code != NULL && view_equals(view_of(zframe_data(code), zframe_size(code)),
                                                     VIEW_LITERAL("200"));
        return true;
    }
    return false;
}

bool
titanic_back_take(struct titanic_back *self, uint64_t now_ns, struct titanic_event *event_out)
{
    uint64_t id;
    for (;;) {
        *event_out = (struct titanic_event){.now_ns = now_ns};
        zmsg_destroy(&self->reply);
        int result = mdp_client_pump(self->client, now_ns, &id, &self->reply);
        struct titanic_call *call = id == 0 ? NULL : call_of(self, id);
        if (call != NULL) {
            take_answer(self, call, result, event_out);
            return true;
        }
        if (id == 0)
            break;
    }
    while (true) {
        zmsg_destroy(&self->reply);
        int result = mdp_client_pump(self->questions, now_ns, &id, &self->reply);
        if (id == 0)
            return false;
        if (take_known(self, id, result, event_out))
            return true;
    }
}
