// mdp_client.c - the sockets and the clock around client_core.
//
// Nothing runs by itself: what the application asks for is what happens. Answers are
// taken off a received pack one by one, each when it is asked for, so that none is
// copied or queued in between. What has arrived is read before anything is judged by
// its time, and what was packed is written before anybody waits.

#include <galleon/mdp_client.h>

#include "answers.h"
#include "cargo.h"
#include "client_core.h"
#include "client_links.h"
#include "inbox.h"
#include "making.h"
#include "mdp_inside.h"
#include "must.h"
#include "service_name.h"
#include "text.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    FRAMES_MAX = 4096,     // of a received message
    RECORDS_MAX = 10000,   // read without an answer before time is looked at again
    HELD_PARTS_MAX = 1000, // parts kept for recv while a call waits
    FLUSH_MS_MAX = 1000    // at the end
};

static const uint64_t ms = 1000000;
static const uint64_t answer_bytes_max = 1ull << 30;

struct mdp_client {
    uint32_t window;
    bool hands_out_parts;
    size_t message_bytes_max;
    void *memory; // of the core
    struct client_core *core;
    struct client_effects effects;
    struct client_links links;
    struct cargo_pool pool;
    uint64_t now_ns;
    bool is_quiet; // everything that could be done now was done

    struct inbox inbox;
    struct mdp_reader reader;
    bool is_reading; // there is more in the inbox
    uint32_t reading_from;

    bool has_answer; // of this step, in `answer`
    struct answer answer;
    struct answers held; // for recv
    uint64_t broken;     // a call that lost a part for want of memory

    // What call or recv returned last.
    int status;
    uint32_t part;
    bool was_sent;
    bool is_told;
    char text[ANSWER_TEXT_BYTES];
};

// ---- making one ----------------------------------------------------------------------

static uint32_t
product(uint32_t a, uint32_t b)
{
    uint64_t result = (uint64_t)a * b;
    return result > UINT32_MAX ? UINT32_MAX : (uint32_t)result;
}

static bool
make_core(mdp_client_t *self, const mdp_client_options_t *options, const uint8_t seed[32])
{
    struct client_config config = {
        .window = self->window,
        .timeout_ms = or_default(options->timeout_ms, 2500),
        .attempts = or_default(options->attempts, 3),
        .answer_bytes_max = answer_bytes_max,
        .dialect = options->dialect,
        .hands_out_parts = options->partials,
        .endpoints = self->links.endpoints.names,
        .endpoint_count = self->links.endpoints.count,
    };
    config.deadline_ms =
        or_default(options->deadline_ms, product(config.attempts, config.timeout_ms));
    memcpy(config.seed, seed, sizeof config.seed);
    void *memory = core_memory(client_core_bytes(&config), &self->memory);
    if (memory == NULL)
        return false;
    self->now_ns = galleon_now_ns();
    self->core = client_core_init(memory, &config, self->now_ns);
    return true;
}

mdp_client_t *
mdp_client_new(const char *brokers, const mdp_client_options_t *options)
{
    static const mdp_client_options_t defaults = {0};
    mdp_client_options_t chosen = options == NULL ? defaults : *options;
    chosen.message_bytes_max = cargo_message_bytes_max(chosen.message_bytes_max);
    mdp_client_t *self = calloc(1, sizeof *self);
    uint8_t seed[32];
    if (self == NULL || getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed ||
        !client_links_init(&self->links, brokers, &chosen, seed)) {
        free(self);
        return NULL;
    }
    cargo_pool_init(&self->pool);
    self->hands_out_parts = chosen.partials;
    self->message_bytes_max = chosen.message_bytes_max;
    self->window = or_default(chosen.window, 1000);
    if (zsys_init() == NULL || !inbox_init(&self->inbox, FRAMES_MAX) ||
        !answers_init(&self->held, (size_t)self->window + HELD_PARTS_MAX) ||
        !make_core(self, &chosen, seed)) {
        mdp_client_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- answers -----------------------------------------------------------------------------

// message_of makes a message of parts that were gathered (NULL: none) and a body behind
// them (NULL: none), and lets the parts go. By way of cargo, because its pool gives the
// memory of messages that were sent to those that come. NULL when out of memory.
static zmsg_t *
message_of(mdp_client_t *self, struct cargo *parts, const struct mdp_body *body)
{
    struct cargo *whole = parts;
    bool is_kept = true;
    if (body != NULL) {
        struct mdp_record record = {.side = MDP_CLIENT_SIDE, .command = MDP_FINAL, .body = *body};
        struct cargo *last = cargo_of_record(&self->pool, &record, &self->inbox);
        is_kept = last != NULL && (parts == NULL || cargo_join(&self->pool, parts, last));
        if (parts == NULL)
            whole = last;
        else if (last != NULL && !is_kept)
            cargo_release(&self->pool, last);
    }
    zmsg_t *message = is_kept ? cargo_to_message(&self->pool, whole) : NULL;
    if (whole != NULL)
        cargo_release(&self->pool, whole);
    return message;
}

static void
take_answer(mdp_client_t *self, const struct client_effect *effect)
{
    must(!self->has_answer);
    struct answer *answer = &self->answer;
    self->has_answer = true;
    answer->id = effect->id;
    answer->result = effect->result;
    answer->status = effect->status;
    answer->part = effect->seq;
    answer->was_sent = effect->was_sent;
    answer->is_told = effect->is_told;
    answer->body = NULL;
    text_copy(answer->text, sizeof answer->text, effect->text);
    if (effect->result != GALLEON_OK && effect->result != GALLEON_PENDING)
        return;
    answer->body = message_of(self, effect->cargo, effect->body);
    if (answer->body == NULL)
        answer->result = GALLEON_NO_MEMORY;
}

// hold keeps the answer of this step for recv.
static void
hold(mdp_client_t *self)
{
    must(self->has_answer);
    self->has_answer = false;
    answers_hold(&self->held, &self->answer);
}

static bool
take_held(mdp_client_t *self)
{
    self->has_answer = answers_take(&self->held, &self->answer);
    return self->has_answer;
}

// hand_out gives the answer of this step to the application.
static int
hand_out(mdp_client_t *self, zmsg_t **reply_out)
{
    must(self->has_answer);
    self->has_answer = false;
    self->status = self->answer.status;
    self->part = self->answer.part;
    self->was_sent = self->answer.was_sent;
    self->is_told = self->answer.is_told;
    memcpy(self->text, self->answer.text, strlen(self->answer.text) + 1);
    *reply_out = self->answer.body;
    return self->answer.result;
}

static void
forget_last(mdp_client_t *self)
{
    self->status = 0;
    self->part = 0;
    self->text[0] = '\0';
}

// ---- stepping the core -------------------------------------------------------------------

static void
join(mdp_client_t *self, const struct client_effect *effect)
{
    if (cargo_join(&self->pool, effect->into, effect->cargo))
        return;
    cargo_release(&self->pool, effect->cargo);
    self->broken = effect->id;
}

static void
step(mdp_client_t *self, struct client_event *event)
{
    event->now_ns = self->now_ns;
    self->is_quiet = false;
    client_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++) {
        struct client_effect *effect = &self->effects.list[i];
        switch (effect->kind) {
        case CLIENT_OPEN:
            client_links_open(&self->links, effect->endpoint);
            break;
        case CLIENT_CLOSE:
            client_links_close(&self->links, effect->endpoint);
            break;
        case CLIENT_SEND:
            client_links_send(&self->links, effect);
            break;
        case CLIENT_ANSWER:
            take_answer(self, effect);
            break;
        case CLIENT_JOIN:
            join(self, effect);
            break;
        case CLIENT_DUMP:
            cargo_release(&self->pool, effect->cargo);
            break;
        }
    }
}

// give_up ends a call of whose answer a part could not be kept.
static void
give_up(mdp_client_t *self)
{
    uint64_t id = self->broken;
    struct client_event event = {.kind = CLIENT_CANCEL, .id = id};
    self->broken = 0;
    step(self, &event);
    self->answer = (struct answer){.id = id, .result = GALLEON_NO_MEMORY};
    self->has_answer = true;
}

// settle tells the core what came of its effects.
static void
settle(mdp_client_t *self)
{
    struct client_event event;
    while (client_links_result(&self->links, &event))
        step(self, &event);
}

static void
step_and_settle(mdp_client_t *self, struct client_event *event)
{
    step(self, event);
    if (self->broken != 0)
        give_up(self);
    settle(self);
}

static void
cancel(mdp_client_t *self, uint64_t id)
{
    struct client_event event = {.kind = CLIENT_CANCEL, .id = id};
    step_and_settle(self, &event);
}

// ---- reading -----------------------------------------------------------------------------

// next_record takes the next record of the message being read, or of the next one. One
// that cannot be read at all is a record with that fault.
static bool
next_record(mdp_client_t *self, struct mdp_record *record_out)
{
    static const struct mdp_limits limits = {.frames_max = FRAMES_MAX, .bytes_max = SIZE_MAX};
    for (;;) {
        if (self->is_reading && mdp_wire_next(&self->reader, record_out)) {
            self->is_reading = !self->reader.is_done;
            return true;
        }
        self->is_reading = false;
        if (!client_links_receive(&self->links, &self->inbox, &self->reading_from))
            return false;
        self->now_ns = galleon_now_ns();
        enum mdp_fault fault = mdp_wire_begin(&self->reader, self->inbox.frames, self->inbox.count,
                                              MDP_FROM_BROKER, false, &limits);
        self->is_reading = fault == MDP_SOUND;
        if (fault != MDP_SOUND) {
            *record_out = (struct mdp_record){.fault = fault};
            return true;
        }
    }
}

static void
on_record(mdp_client_t *self, const struct mdp_record *record)
{
    struct client_event event = {
        .kind = CLIENT_RECORD, .endpoint = self->reading_from, .record = record};
    if (record->command == MDP_PARTIAL && record->fault == MDP_SOUND) {
        self->now_ns = galleon_now_ns(); // the time of its attempt begins again
        struct cargo *cargo =
            self->hands_out_parts ? NULL : cargo_of_record(&self->pool, record, &self->inbox);
        event.cargo = cargo;
        event.cargo_bytes = cargo == NULL ? 0 : cargo_bytes(cargo);
    }
    step_and_settle(self, &event);
}

static void
write_packs(mdp_client_t *self)
{
    client_links_write(&self->links);
    settle(self);
}

// advance does what can be done now, up to the next answer: then it is true. It is
// also false where a peer sends more than anybody asked for; is_quiet tells which.
static bool
advance(mdp_client_t *self)
{
    struct mdp_record record;
    size_t budget = RECORDS_MAX;
    self->is_quiet = false;
    while (budget > 0) {
        // What is packed goes out before the next message is looked for, so the last
        // look at a socket comes after the last send over it: nothing that a send has
        // learned from libzmq's threads is missed.
        if (!self->is_reading)
            write_packs(self);
        while (budget > 0 && next_record(self, &record)) {
            budget--;
            on_record(self, &record);
            if (self->has_answer)
                return true;
        }
        struct client_event event = {.kind = CLIENT_TICK};
        if (client_core_deadline(self->core) <= self->now_ns ||
            client_links_event(&self->links, &event)) {
            budget -= budget > 0;
            step_and_settle(self, &event);
            if (self->has_answer)
                return true;
        } else if (!client_links_has_packed(&self->links)) {
            self->is_quiet = true;
            break;
        }
    }
    return false;
}

static uint64_t
deadline_of(const mdp_client_t *self)
{
    uint64_t core_ns = client_core_deadline(self->core);
    uint64_t links_ns = client_links_deadline(&self->links);
    return core_ns < links_ns ? core_ns : links_ns;
}

// next_answer waits for one; false: interrupted.
static bool
next_answer(mdp_client_t *self)
{
    if (!self->is_reading)
        self->now_ns = galleon_now_ns();
    while (!advance(self)) {
        if (!self->is_quiet && zsys_interrupted)
            return false;
        if (self->is_quiet &&
            wait_until(self->links.epoll_fd, deadline_of(self)) == WAIT_INTERRUPTED)
            return false;
        self->links.was_woken = true;
        self->now_ns = galleon_now_ns();
    }
    return true;
}

// ---- calls -------------------------------------------------------------------------------

static bool
has_room(const mdp_client_t *self)
{
    size_t held_finals = self->held.count - self->held.parts;
    return client_core_has_room(self->core) &&
           client_core_open_count(self->core) + held_finals < self->window;
}

// refuse_call answers in a broker's place what it would only send back.
static int
refuse_call(mdp_client_t *self, zmsg_t **request_p, int status, const char *text)
{
    zmsg_destroy(request_p);
    self->status = status;
    snprintf(self->text, sizeof self->text, "%s", text);
    return GALLEON_REFUSED;
}

static int
begin(mdp_client_t *self, const char *service, zmsg_t **request_p,
      const mdp_send_options_t *options)
{
    static const mdp_send_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    struct view name = view_of(service, strlen(service));
    struct view fields = VIEW_NONE;
    if (options->fields != NULL)
        fields = view_of(options->fields, strlen(options->fields));
    if (!service_name_is_valid(name))
        return refuse_call(self, request_p, MDP_MALFORMED,
                           "a service name is 1 to 255 bytes of printable UTF-8");
    if (fields.size > MDP_FIELDS_BYTES_MAX)
        return refuse_call(self, request_p, MDP_MALFORMED, "header fields have at most 4096 bytes");
    if (cargo_message_bound(fields.size, *request_p) > self->message_bytes_max)
        return refuse_call(self, request_p, MDP_TOO_LARGE,
                           "the request is larger than the brokers take (--max-message)");
    if (!has_room(self)) {
        zmsg_destroy(request_p);
        return GALLEON_BUSY;
    }

    struct client_event event = {.kind = CLIENT_CALL,
                                 .service = name,
                                 .ttl_ms = options->ttl_ms,
                                 .is_no_queue = options->no_queue};
    event.cargo = cargo_of_message(&self->pool, fields, request_p);
    if (event.cargo == NULL)
        return GALLEON_NO_MEMORY;
    self->now_ns = galleon_now_ns();
    step_and_settle(self, &event);
    return GALLEON_OK;
}

int
mdp_client_send_with(mdp_client_t *self, struct view service, struct view fields,
                     const struct mdp_body *body, uint32_t ttl_ms, uint64_t *id_out)
{
    *id_out = 0;
    if (fields.size > MDP_FIELDS_BYTES_MAX ||
        mdp_wire_message_bound(fields.size, body->bytes, body->count) > self->message_bytes_max)
        return GALLEON_REFUSED;
    if (!has_room(self))
        return GALLEON_BUSY;
    struct client_event event = {.kind = CLIENT_CALL, .service = service, .ttl_ms = ttl_ms};
    event.cargo = cargo_of_body(&self->pool, fields, body);
    if (event.cargo == NULL)
        return GALLEON_NO_MEMORY;
    self->now_ns = galleon_now_ns();
    step_and_settle(self, &event);
    *id_out = client_core_last_id(self->core);
    return GALLEON_OK;
}

bool
mdp_client_was_sent(const mdp_client_t *self)
{
    return self->was_sent;
}

bool
mdp_client_is_told(const mdp_client_t *self)
{
    return self->is_told;
}

mdp_dialect_t
mdp_client_dialect(const mdp_client_t *self)
{
    return client_core_dialect(self->core);
}

// keep holds an answer that is not waited for. Of a stream that nobody reads only so
// much is kept: then its call ends.
static void
keep(mdp_client_t *self)
{
    if (self->answer.result == GALLEON_PENDING && self->held.parts == HELD_PARTS_MAX) {
        self->has_answer = false;
        zmsg_destroy(&self->answer.body);
        uint64_t id = self->answer.id;
        cancel(self, id);
        self->answer = (struct answer){.id = id, .result = GALLEON_BUSY};
        self->has_answer = true;
    }
    hold(self);
}

// move_frames puts the frames of *from_p at the end of *to_p, and makes that where there
// is none.
static void
move_frames(zmsg_t **to_p, zmsg_t **from_p)
{
    if (*to_p == NULL)
        *to_p = zmsg_new();
    zframe_t *frame;
    while ((frame = zmsg_pop(*from_p)) != NULL)
        zmsg_append(*to_p, &frame);
    zmsg_destroy(from_p);
}

// gather puts a part of an answer to those before it, whatever option partials says: a
// call has one answer.
static void
gather(mdp_client_t *self, zmsg_t **parts_p)
{
    if (self->answer.part == 0)
        zmsg_destroy(parts_p); // the answer starts again
    move_frames(parts_p, &self->answer.body);
    self->has_answer = false;
    if (zmsg_content_size(*parts_p) > answer_bytes_max) {
        cancel(self, self->answer.id);
        self->answer.result = GALLEON_BUSY;
        self->has_answer = true;
    }
}

int
mdp_client_call(mdp_client_t *self, const char *service, zmsg_t **request_p, zmsg_t **reply_out)
{
    *reply_out = NULL;
    forget_last(self);
    int result = begin(self, service, request_p, NULL);
    if (result != GALLEON_OK)
        return result;
    uint64_t id = client_core_last_id(self->core);
    zmsg_t *parts = NULL;
    while (next_answer(self)) {
        bool is_ours = self->answer.id == id;
        if (is_ours && self->answer.result == GALLEON_PENDING)
            gather(self, &parts);
        else if (!is_ours)
            keep(self);
        if (!is_ours || !self->has_answer)
            continue;
        if (parts != NULL && self->answer.body != NULL && self->answer.part > 0) {
            move_frames(&parts, &self->answer.body);
            self->answer.body = parts;
            parts = NULL;
        }
        zmsg_destroy(&parts);
        return hand_out(self, reply_out);
    }
    zmsg_destroy(&parts);
    cancel(self, id);
    return GALLEON_INTERRUPTED;
}

int
mdp_client_send(mdp_client_t *self, const char *service, zmsg_t **request_p,
                const mdp_send_options_t *options, uint64_t *id_out)
{
    int result = begin(self, service, request_p, options);
    *id_out = result == GALLEON_OK ? client_core_last_id(self->core) : 0;
    return result;
}

int
mdp_client_flush(mdp_client_t *self)
{
    self->now_ns = galleon_now_ns();
    self->links.was_woken = true;
    // What is read on the way is kept for recv, as far as there is room for parts.
    while (self->held.parts < HELD_PARTS_MAX && advance(self))
        hold(self);
    write_packs(self);
    return client_core_waiting_count(self->core) > 0 ? GALLEON_BUSY : GALLEON_OK;
}

int
mdp_client_recv(mdp_client_t *self, uint64_t *id_out, zmsg_t **reply_out)
{
    *id_out = 0;
    *reply_out = NULL;
    forget_last(self);
    if (!take_held(self)) {
        if (client_core_open_count(self->core) == 0)
            return GALLEON_UNKNOWN_ID;
        if (!next_answer(self))
            return GALLEON_INTERRUPTED;
    }
    *id_out = self->answer.id;
    return hand_out(self, reply_out);
}

int
mdp_client_cancel(mdp_client_t *self, uint64_t id)
{
    bool is_held = answers_drop(&self->held, id);
    bool is_open = client_core_is_open(self->core, id);
    if (is_open) {
        self->now_ns = galleon_now_ns();
        cancel(self, id);
    }
    return is_held || is_open ? GALLEON_OK : GALLEON_UNKNOWN_ID;
}

int
mdp_client_status(const mdp_client_t *self)
{
    return self->status;
}

const char *
mdp_client_status_text(const mdp_client_t *self)
{
    return self->text;
}

uint32_t
mdp_client_part(const mdp_client_t *self)
{
    return self->part;
}

int
mdp_client_has_service(mdp_client_t *self, const char *service)
{
    zmsg_t *request = zmsg_new();
    zmsg_addstr(request, service);
    zmsg_t *reply;
    int result = mdp_client_call(self, "mmi.service", &request, &reply);
    if (result != GALLEON_OK)
        return result;
    zframe_t *code = zmsg_first(reply);
    if (code != NULL && zframe_size(code) == 3 && memcmp(zframe_data(code), "200", 3) == 0)
        result = GALLEON_OK;
    else if (code != NULL && zframe_size(code) == 3 && memcmp(zframe_data(code), "404", 3) == 0)
        result = GALLEON_NO_SERVICE;
    else
        result = GALLEON_PROTOCOL; // a broker without this part of MMI
    zmsg_destroy(&reply);
    return result;
}

// ---- the caller's own loop -----------------------------------------------------------------

int
mdp_client_fd(mdp_client_t *self)
{
    return self->links.epoll_fd;
}

uint64_t
mdp_client_deadline(const mdp_client_t *self)
{
    bool has_more = !self->is_quiet || self->is_reading || self->held.count > 0;
    return has_more ? 0 : deadline_of(self);
}

int
mdp_client_pump(mdp_client_t *self, uint64_t now_ns, uint64_t *id_out, zmsg_t **reply_out)
{
    *id_out = 0;
    *reply_out = NULL;
    forget_last(self);
    if (now_ns > self->now_ns)
        self->now_ns = now_ns;
    self->links.was_woken = true;
    if (!take_held(self) && !advance(self))
        return GALLEON_OK;
    *id_out = self->answer.id;
    return hand_out(self, reply_out);
}

// ---- the end -------------------------------------------------------------------------------

// write_rest gives what was sent and not yet written a moment to go out.
static void
write_rest(mdp_client_t *self)
{
    uint64_t until_ns = galleon_now_ns() + FLUSH_MS_MAX * ms;
    for (;;) {
        self->now_ns = galleon_now_ns();
        self->links.was_woken = true;
        while (advance(self)) {
            self->has_answer = false;
            zmsg_destroy(&self->answer.body);
        }
        if (client_core_waiting_count(self->core) == 0 || self->now_ns >= until_ns)
            return;
        uint64_t deadline_ns = deadline_of(self);
        if (deadline_ns > until_ns)
            deadline_ns = until_ns;
        if (wait_until(self->links.epoll_fd, deadline_ns) == WAIT_INTERRUPTED)
            return;
    }
}

// release_core ends what is open. There are no connections any more: what the core would
// do with them is not done.
static void
release_core(mdp_client_t *self)
{
    uint64_t id;
    while ((id = client_core_oldest_id(self->core)) != 0) {
        struct client_event event = {.kind = CLIENT_CANCEL, .now_ns = self->now_ns, .id = id};
        client_core_step(self->core, &event, &self->effects);
        for (size_t i = 0; i < self->effects.count; i++)
            if (self->effects.list[i].kind == CLIENT_DUMP)
                cargo_release(&self->pool, self->effects.list[i].cargo);
    }
    free(self->memory);
}

void
mdp_client_destroy(mdp_client_t **self_p)
{
    mdp_client_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    if (self->core != NULL && client_core_open_count(self->core) > 0)
        write_rest(self);
    // What was packed since, such as a CANCEL, goes out; the brokers are not told that
    // nobody waits for what is still open.
    client_links_write(&self->links);
    client_links_release(&self->links, FLUSH_MS_MAX);
    if (self->core != NULL)
        release_core(self);
    answers_release(&self->held);
    inbox_release(&self->inbox);
    cargo_pool_release(&self->pool);
    free(self);
}
