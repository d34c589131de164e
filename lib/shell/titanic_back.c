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

static const uint64_t ns_per_ms = 1000000;
// A broker that once gave no answer is not asked before each request again for so long.
static const uint64_t mute_ns = 5 * 60 * 1000 * 1000000ull;

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
    list_init(&self->held);
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
    self->heap_memory = calloc(1, heap_bytes(slots));
    if (self->calls == NULL || self->map_memory == NULL || self->heap_memory == NULL)
        return ENOMEM;
    map_init(&self->by_id, slots, self->map_memory);
    heap_init(&self->expiries, slots, self->heap_memory);
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
    free(self->heap_memory);
    self->calls = NULL;
    self->map_memory = self->heap_memory = NULL;
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
    uint64_t c = self->has_news ? 0 : heap_first_key(&self->expiries);
    uint64_t first = a < b ? a : b;
    return first < c ? first : c;
}

// ---- sending ---------------------------------------------------------------------------

// The client's ids are numbers that it counts up, and nobody else chooses them.
static uint64_t
hash_of(uint64_t id)
{
    return id * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t
write_fields(uint8_t to[FIELDS_BYTES_MAX], const struct titanic_call *call)
{
    static const char name[] = "titanic-id: ";
    struct view kept = titanic_body_fields(call->body);
    memcpy(to, name, strlen(name));
    request_id_write(&call->request, to + strlen(name));
    size_t size = strlen(name) + REQUEST_ID_TEXT_BYTES;
    to[size++] = '\n';
    must(size == TITANIC_ID_LINE_BYTES && kept.size <= TITANIC_KEPT_FIELDS_MAX);
    if (kept.size > 0)
        memcpy(to + size, kept.data, kept.size);
    return size + kept.size;
}

static void
not_tried(const struct titanic_call *call, struct titanic_event *event_out)
{
    *event_out = (struct titanic_event){
        .kind = TITANIC_ANSWER, .token = call->token, .ending = TITANIC_NOT_TRIED};
}

// hand_over gives a request to the client; false: it cannot, and *failed_out says what that is.
static bool
hand_over(struct titanic_back *self, struct titanic_call *call, uint64_t now_ns,
          struct titanic_event *failed_out)
{
    uint8_t fields[FIELDS_BYTES_MAX];
    struct mdp_body body = titanic_body_parts(call->body);
    size_t size = write_fields(fields, call);
    uint64_t ttl_ms = call->expires_ns > now_ns ? (call->expires_ns - now_ns) / ns_per_ms : 0;
    int result = mdp_client_send_with(self->client, call->service, view_of(fields, size), &body,
                                      ttl_ms > 0 ? (uint32_t)ttl_ms : 1, &call->id);
    if (result != GALLEON_OK) {
        call->id = 0;
        not_tried(call, failed_out);
        if (result == GALLEON_REFUSED) {
            failed_out->ending = TITANIC_ENDED;
            failed_out->ended_with = MDP_TOO_LARGE;
            failed_out->text = VIEW_LITERAL("larger than the brokers take (--max-message)");
        }
        return false;
    }
    map_insert(&self->by_id, &call->by_id, hash_of(call->id));
    return true;
}

bool
titanic_back_send(struct titanic_back *self, const struct titanic_effect *effect, uint64_t now_ns,
                  struct titanic_event *failed_out)
{
    must((uint32_t)effect->token < self->slots);
    struct titanic_call *call = &self->calls[(uint32_t)effect->token];
    uint64_t wait_ms = effect->queue_ms < self->ttl_ms ? effect->queue_ms : self->ttl_ms;
    must(call->id == 0 && !heap_holds(&call->expiry));
    call->token = effect->token;
    call->service = effect->service;
    call->request = effect->id;
    call->body = effect->body;
    call->expires_ns = now_ns + wait_ms * ns_per_ms;
    if (mdp_client_dialect(self->client) == MDP_G1 && list_is_empty(&self->held))
        return hand_over(self, call, now_ns, failed_out);
    list_append(&self->held, &call->place);
    heap_set(&self->expiries, &call->expiry, call->expires_ns);
    self->has_news = true;
    return true;
}

static void
unhold(struct titanic_back *self, struct titanic_call *call)
{
    list_remove(&self->held, &call->place);
    heap_remove(&self->expiries, &call->expiry);
}

static void
forget(struct titanic_back *self, struct titanic_call *call)
{
    map_remove(&self->by_id, &call->by_id);
    call->id = 0;
    self->has_news = !list_is_empty(&self->held);
}

void
titanic_back_cancel(struct titanic_back *self, uint64_t token)
{
    must((uint32_t)token < self->slots);
    struct titanic_call *call = &self->calls[(uint32_t)token];
    if (call->token != token)
        return;
    if (heap_holds(&call->expiry)) {
        unhold(self, call);
    } else if (call->id != 0) {
        (void)mdp_client_cancel(self->client, call->id);
        forget(self, call);
    }
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

// ---- what is held ----------------------------------------------------------------------

static bool
is_being_asked(const struct titanic_back *self, struct view service)
{
    for (size_t i = 0; i < TITANIC_QUESTIONS_MAX; i++) {
        const struct titanic_question *question = &self->asked[i];
        if (question->id != 0 && view_equals(view_of(question->name, question->name_size), service))
            return true;
    }
    return false;
}

static struct titanic_call *
call_of_place(struct list_node *node)
{
    return list_object(node, struct titanic_call, place);
}

// give_back finds one that is not to be tried: its time is over, or nobody is there to do it.
// From the last to the first, because the core puts each before those that it has.
static bool
give_back(struct titanic_back *self, uint64_t now_ns, struct titanic_event *event_out)
{
    struct titanic_call *call = NULL;
    if (heap_first_key(&self->expiries) <= now_ns)
        call = list_object(heap_first(&self->expiries), struct titanic_call, expiry);
    bool is_asked_first = mdp_client_dialect(self->client) != MDP_G1;
    for (struct list_node *node = list_last(&self->held);
         node != NULL && call == NULL && is_asked_first; node = list_previous(&self->held, node))
        if (titanic_known_look(&self->known, call_of_place(node)->service, now_ns) == SERVED_NO)
            call = call_of_place(node);
    if (call == NULL)
        return false;
    unhold(self, call);
    not_tried(call, event_out);
    return true;
}

// may_go asks where nobody knows.
static bool
may_go(struct titanic_back *self, struct view service, uint64_t now_ns)
{
    if (now_ns < self->is_mute_until_ns ||
        titanic_known_look(&self->known, service, now_ns) == SERVED_YES)
        return true;
    if (!is_being_asked(self, service))
        (void)titanic_back_question(self, service);
    return false;
}

// feed lets go what may go of what is held; true: one could not, and *event_out says so.
static bool
feed(struct titanic_back *self, uint64_t now_ns, struct titanic_event *event_out)
{
    if (give_back(self, now_ns, event_out))
        return true;
    self->has_news = false;
    mdp_dialect_t dialect = mdp_client_dialect(self->client);
    struct list_node *next, *node = dialect == MDP_AUTO ? NULL : list_first(&self->held);
    for (; node != NULL; node = next) {
        struct titanic_call *call = call_of_place(node);
        next = list_next(&self->held, node);
        if (dialect != MDP_G1 && self->by_id.size > 0)
            break;
        if (dialect != MDP_G1 && !may_go(self, call->service, now_ns))
            continue;
        unhold(self, call);
        if (!hand_over(self, call, now_ns, event_out))
            return true;
    }
    return false;
}

// ---- answers ---------------------------------------------------------------------------

// ending_of: 404, 429, 503, and 408 of a request that was still queued, are no attempts, and
// neither is what no socket ever took: nothing ran. Of a broker that says none of that the
// silence is no attempt either: it may be that no worker ever was there, and nobody is to
// give a request up for that.
static enum titanic_ending
ending_of(int result, int status, bool was_sent, bool is_told)
{
    if (result == GALLEON_OK || result == GALLEON_NO_MEMORY)
        return TITANIC_ENDED;
    if (status == MDP_NO_WORKER || status == MDP_QUEUE_FULL || status == MDP_PASSIVE ||
        status == MDP_EXPIRED || !was_sent)
        return TITANIC_NOT_TRIED;
    if (status == 0 && !is_told)
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
    if (result == GALLEON_OK)
        titanic_known_note(&self->known, call->service, true, event->now_ns);
    int status = mdp_client_status(self->client);
    const char *text = mdp_client_status_text(self->client);
    event->kind = TITANIC_ANSWER;
    event->token = call->token;
    event->ending = ending_of(result, status, mdp_client_was_sent(self->client),
                              mdp_client_is_told(self->client));
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

// note_answer keeps what a broker says of a service; true: it has workers. One that says
// neither 200 nor 404, or nothing, does not know the question.
static bool
note_answer(struct titanic_back *self, struct view service, int result, uint64_t now_ns)
{
    zframe_t *frame = result == GALLEON_OK ? zmsg_first(self->reply) : NULL;
    struct view code = frame == NULL ? VIEW_NONE : view_of(zframe_data(frame), zframe_size(frame));
    bool has_workers = view_equals(code, VIEW_LITERAL("200"));
    if (has_workers || view_equals(code, VIEW_LITERAL("404"))) {
        titanic_known_note(&self->known, service, has_workers, now_ns);
        self->is_mute_until_ns = 0;
    } else if (mdp_client_was_sent(self->questions)) {
        self->is_mute_until_ns = now_ns + mute_ns;
    }
    return has_workers;
}

static bool
take_known(struct titanic_back *self, uint64_t id, int result, struct titanic_event *event)
{
    for (size_t i = 0; i < TITANIC_QUESTIONS_MAX; i++) {
        struct titanic_question *question = &self->asked[i];
        if (question->id != id)
            continue;
        question->id = 0;
        event->kind = TITANIC_KNOWN;
        event->service = view_of(question->name, question->name_size);
        event->is_true = note_answer(self, event->service, result, event->now_ns);
        self->has_news = !list_is_empty(&self->held);
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
            return feed(self, now_ns, event_out);
        if (take_known(self, id, result, event_out))
            return true;
    }
}
