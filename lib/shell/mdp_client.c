// mdp_client.c - the sockets and the clock around client_core.
//
// Nothing runs by itself: what the application asks for is what happens. Answers are
// taken off a received pack one by one, each when it is asked for, so that none is
// copied or queued in between. What has arrived is read before anything is judged by
// its time, and what was packed is written before anybody waits.

#include <galleon/mdp_client.h>

#include "cargo.h"
#include "client_core.h"
#include "endpoints.h"
#include "inbox.h"
#include "link.h"
#include "log.h"
#include "must.h"
#include "prng.h"
#include "service_name.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>

enum {
    FRAMES_MAX = 4096,      // of a received message
    RECORDS_MAX = 10000,    // read without an answer before time is looked at again
    HELD_PARTS_MAX = 1000,  // parts kept for recv while a call waits
    TEXT_BYTES_MAX = 256,   // of a status text
    ROUTING_ID_BYTES = 17,  // printable
    FLUSH_MS_MAX = 1000,    // at the end
    PURPOSE_ROUTING_ID = 11 // of the seed; the core has its own
};

static const uint64_t ms = 1000000;
static const uint64_t answer_bytes_max = 1ull << 30;

// An answer on its way to the application.
struct answer {
    uint64_t id;
    int result;
    int status;
    uint32_t part;
    zmsg_t *body;
    char text[TEXT_BYTES_MAX];
};

// A send that a socket refused.
struct refused {
    uint32_t endpoint;
    uint64_t token;
};

struct mdp_client {
    struct endpoints endpoints;
    bool has_printable_id;
    bool hands_out_parts;
    uint32_t window;
    struct prng names; // for routing ids

    void *memory; // of the core
    struct client_core *core;
    struct client_effects effects;
    struct cargo_pool pool;
    uint64_t now_ns;
    int epoll_fd;
    bool is_quiet;  // everything that could be done now was done
    bool was_woken; // a connection may have been made or cut

    struct link links[ENDPOINTS_MAX];
    uint32_t cut;      // a bit for each: down, to be told after what has arrived is read
    uint32_t failed;   // could not be opened
    uint32_t refusing; // refused a send in this step
    struct refused *refused;
    size_t refused_count;
    size_t refused_capacity;

    struct inbox inbox;
    struct mdp_reader reader;
    bool is_reading;
    uint32_t reading_from;

    bool has_answer; // of this step, in `answer`
    uint64_t broken; // a call that lost a part for want of memory
    struct answer answer;
    struct answer *held; // for recv: a ring
    size_t held_first;
    size_t held_count;
    size_t held_capacity;
    size_t held_parts; // of them

    // What call or recv returned last.
    int status;
    uint32_t part;
    char text[TEXT_BYTES_MAX];
};

// ---- making one ----------------------------------------------------------------------

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static uint32_t
product(uint32_t a, uint32_t b)
{
    uint64_t result = (uint64_t)a * b;
    return result > UINT32_MAX ? UINT32_MAX : (uint32_t)result;
}

static bool
make_core(mdp_client_t *self, const mdp_client_options_t *options)
{
    struct client_config config = {
        .window = self->window,
        .timeout_ms = or_default(options->timeout_ms, 2500),
        .attempts = or_default(options->attempts, 3),
        .answer_bytes_max = answer_bytes_max,
        .dialect = options->dialect,
        .hands_out_parts = options->partials,
        .endpoints = self->endpoints.names,
        .endpoint_count = self->endpoints.count,
    };
    config.deadline_ms =
        or_default(options->deadline_ms, product(config.attempts, config.timeout_ms));
    if (getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return false;
    prng_init(&self->names, config.seed, PURPOSE_ROUTING_ID);

    self->memory = calloc(1, client_core_bytes(&config) + 64);
    if (self->memory == NULL)
        return false;
    void *aligned = (void *)(((uintptr_t)self->memory + 63) / 64 * 64);
    self->now_ns = galleon_now_ns();
    self->core = client_core_init(aligned, &config, self->now_ns);
    return true;
}

mdp_client_t *
mdp_client_new(const char *brokers, const mdp_client_options_t *options)
{
    static const mdp_client_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    mdp_client_t *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    if (!endpoints_init(&self->endpoints, brokers)) {
        free(self);
        return NULL;
    }
    self->has_printable_id = options->printable_id;
    self->hands_out_parts = options->partials;
    self->window = or_default(options->window, 1000);
    self->held_capacity = (size_t)self->window + HELD_PARTS_MAX;
    cargo_pool_init(&self->pool);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->held = calloc(self->held_capacity, sizeof *self->held);
    if (self->epoll_fd < 0 || self->held == NULL || zsys_init() == NULL ||
        !inbox_init(&self->inbox, FRAMES_MAX) || !make_core(self, options)) {
        mdp_client_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- connections -----------------------------------------------------------------------

// draw_routing_id: "one letter that is not m or i, then 16 random characters", for the
// Guide's C++ broker.
static void
draw_routing_id(mdp_client_t *self, char id[ROUTING_ID_BYTES + 1])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    id[0] = 'G';
    for (size_t i = 1; i < ROUTING_ID_BYTES; i++)
        id[i] = digits[prng_below(&self->names, sizeof digits - 1)];
    id[ROUTING_ID_BYTES] = '\0';
}

static uint32_t
bit_of(uint32_t endpoint)
{
    return (uint32_t)1 << endpoint;
}

static void
close_link(mdp_client_t *self, uint32_t endpoint, int linger_ms)
{
    struct link *link = &self->links[endpoint];
    link_unwatch(link, self->epoll_fd);
    packer_clear(&link->packer); // the core has taken back what was in it
    link_close(link, linger_ms);
    self->cut &= ~bit_of(endpoint);
}

static void
open_link(mdp_client_t *self, uint32_t endpoint)
{
    struct link *link = &self->links[endpoint];
    const char *text = self->endpoints.texts[endpoint];
    char id[ROUTING_ID_BYTES + 1];
    draw_routing_id(self, id);
    must(!link_is_open(link));
    int status = link_open(link, text, self->has_printable_id ? id : NULL);
    if (status == GALLEON_OK && link_watch(link, self->epoll_fd) == 0)
        return;
    log_warn("MDP-CLIENT-CONNECT", "endpoint=%s why=\"%s\"", text, galleon_strerror(status));
    close_link(self, endpoint, 0);
    self->failed |= bit_of(endpoint);
}

// ---- sending -----------------------------------------------------------------------------

// refuse remembers what the core is to be told. Out of memory it is not: the attempt
// ends by its time.
static void
refuse(mdp_client_t *self, uint32_t endpoint, uint64_t token)
{
    self->refusing |= bit_of(endpoint);
    if (token == 0)
        return; // a CANCEL or a HEARTBEAT
    if (self->refused_count == self->refused_capacity) {
        size_t capacity = 2 * self->refused_capacity + 64;
        struct refused *larger = realloc(self->refused, capacity * sizeof *larger);
        if (larger == NULL)
            return;
        self->refused = larger;
        self->refused_capacity = capacity;
    }
    self->refused[self->refused_count++] = (struct refused){endpoint, token};
}

// write_pack sends what is packed for one broker; false: it was refused.
static bool
write_pack(mdp_client_t *self, uint32_t endpoint)
{
    struct link *link = &self->links[endpoint];
    if (link->packer.used == 0)
        return true;
    bool is_sent = packer_send(&link->packer, link->handle, NULL) == 0;
    for (size_t i = 0; !is_sent && i < link->packer.entry_count; i++)
        refuse(self, endpoint, link->packer.entries[i].token);
    packer_clear(&link->packer);
    return is_sent;
}

static bool
pack(mdp_client_t *self, uint32_t endpoint, struct client_effect *effect)
{
    struct packer *packer = &self->links[endpoint].packer;
    struct packer_entry entry = {
        .side = MDP_CLIENT_SIDE, .command = effect->record.command, .token = effect->token};
    if (!packer_fits(packer, &effect->record) && !write_pack(self, endpoint))
        return false;
    return packer_add(packer, &effect->record, effect->cargo, &entry);
}

static void
send_record(mdp_client_t *self, struct client_effect *effect)
{
    uint32_t endpoint = effect->endpoint;
    struct link *link = &self->links[endpoint];
    struct mdp_record *record = &effect->record;
    if (effect->cargo != NULL) {
        record->body = cargo_body(effect->cargo);
        record->fields = cargo_fields(effect->cargo);
        if (record->fields.size > 0)
            record->flags |= MDP_FLAG_FIELDS;
    }
    bool is_sent = link_is_open(link) && !(self->refusing & bit_of(endpoint));
    if (is_sent && record->dialect == MDP_G1)
        is_sent = pack(self, endpoint, effect);
    else if (is_sent)
        is_sent = link_send(link, record, effect->has_delimiter, effect->cargo) == 0;
    if (!is_sent)
        refuse(self, endpoint, effect->token);
}

// ---- answers -----------------------------------------------------------------------------

// is_control: U+0000 to U+001F, U+007F, or the second byte of U+0080 to U+009F?
static bool
is_control(struct view text, size_t at)
{
    uint8_t byte = text.data[at];
    return byte < 0x20 || byte == 0x7f ||
           (at > 0 && text.data[at - 1] == 0xc2 && byte >= 0x80 && byte < 0xa0);
}

// copy_text makes a line for people of what a broker sent, whatever it is.
static void
copy_text(char to[TEXT_BYTES_MAX], struct view text)
{
    size_t size = text.size < TEXT_BYTES_MAX - 1 ? text.size : TEXT_BYTES_MAX - 1;
    for (size_t i = 0; i < size; i++)
        to[i] = is_control(text, i) ? '?' : (char)text.data[i];
    to[size] = '\0';
}

static void
add_frames(zmsg_t *message, const struct mdp_body *body)
{
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(body, &cursor, &frame))
        zmsg_addmem(message, frame.data, frame.size);
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
    answer->body = NULL;
    copy_text(answer->text, effect->text);
    if (effect->result == GALLEON_OK || effect->result == GALLEON_PENDING)
        answer->body = zmsg_new();
    if (effect->cargo != NULL) {
        struct mdp_body parts = cargo_body(effect->cargo);
        add_frames(answer->body, &parts);
        cargo_release(&self->pool, effect->cargo);
    }
    if (answer->body != NULL && effect->body != NULL)
        add_frames(answer->body, effect->body);
}

static struct answer *
held_at(const mdp_client_t *self, size_t i)
{
    return &self->held[(self->held_first + i) % self->held_capacity];
}

// hold keeps the answer of this step for recv.
static void
hold(mdp_client_t *self)
{
    must(self->has_answer && self->held_count < self->held_capacity);
    self->has_answer = false;
    if (self->answer.result == GALLEON_PENDING)
        self->held_parts++;
    *held_at(self, self->held_count++) = self->answer;
}

static bool
take_held(mdp_client_t *self)
{
    if (self->held_count == 0)
        return false;
    self->answer = *held_at(self, 0);
    self->has_answer = true;
    self->held_first = (self->held_first + 1) % self->held_capacity;
    self->held_count--;
    if (self->answer.result == GALLEON_PENDING)
        self->held_parts--;
    return true;
}

// drop_held forgets what is held of one call; false: nothing was.
static bool
drop_held(mdp_client_t *self, uint64_t id)
{
    size_t count = self->held_count;
    for (size_t i = 0; i < count; i++) {
        take_held(self);
        if (self->answer.id == id) {
            zmsg_destroy(&self->answer.body);
            self->has_answer = false;
        } else {
            hold(self);
        }
    }
    return self->held_count < count;
}

// hand_out gives the answer of this step to the application.
static int
hand_out(mdp_client_t *self, zmsg_t **reply_out)
{
    must(self->has_answer);
    self->has_answer = false;
    self->status = self->answer.status;
    self->part = self->answer.part;
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
            open_link(self, effect->endpoint);
            break;
        case CLIENT_CLOSE:
            close_link(self, effect->endpoint, 0);
            break;
        case CLIENT_SEND:
            send_record(self, effect);
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

// give_back tells the core what came of its effects, latest first.
static void
give_back(mdp_client_t *self)
{
    while (self->refused_count > 0) {
        struct refused refused = self->refused[--self->refused_count];
        struct client_event event = {
            .kind = CLIENT_UNSENT, .endpoint = refused.endpoint, .token = refused.token};
        step(self, &event);
    }
    self->refusing = 0;
    for (uint32_t i = 0; self->failed != 0; i++) {
        if (!(self->failed & bit_of(i)))
            continue;
        self->failed &= ~bit_of(i);
        struct client_event event = {.kind = CLIENT_DOWN, .endpoint = i};
        step(self, &event);
    }
    if (self->broken != 0) {
        uint64_t id = self->broken;
        self->broken = 0;
        struct client_event event = {.kind = CLIENT_CANCEL, .id = id};
        step(self, &event);
        if (!self->has_answer)
            self->answer = (struct answer){.id = id, .result = GALLEON_NO_MEMORY};
        self->has_answer = true;
    }
}

static void
step_and_settle(mdp_client_t *self, struct client_event *event)
{
    step(self, event);
    while (self->refused_count > 0 || self->refusing != 0 || self->failed != 0 || self->broken != 0)
        give_back(self);
}

static void
cancel(mdp_client_t *self, uint64_t id)
{
    struct client_event event = {.kind = CLIENT_CANCEL, .id = id};
    step_and_settle(self, &event);
}

// ---- reading -----------------------------------------------------------------------------

static bool
receive(mdp_client_t *self)
{
    for (uint32_t i = 0; i < self->endpoints.count; i++) {
        uint32_t endpoint = (self->reading_from + i) % (uint32_t)self->endpoints.count;
        struct link *link = &self->links[endpoint];
        if (!link_is_open(link) || !inbox_receive(&self->inbox, link->handle))
            continue;
        self->reading_from = endpoint;
        self->now_ns = galleon_now_ns();
        self->was_woken = false; // by this; if by something else too, the next wait tells
        return true;
    }
    return false;
}

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
        if (!receive(self))
            return false;
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

// take_event hears of one connection made or cut; false: there was none. Of a cut the
// core is told when what came before it is read.
static bool
take_event(mdp_client_t *self)
{
    for (uint32_t i = 0; i < self->endpoints.count; i++) {
        struct client_event event = {.endpoint = i};
        enum link_event seen = LINK_NOTHING;
        if (self->cut & bit_of(i)) {
            self->cut &= ~bit_of(i);
            event.kind = CLIENT_DOWN;
            log_info("MDP-CLIENT-DOWN", "endpoint=%s", self->endpoints.texts[i]);
        } else if ((seen = link_event(&self->links[i])) == LINK_UP) {
            event.kind = CLIENT_UP;
            log_info("MDP-CLIENT-UP", "endpoint=%s", self->endpoints.texts[i]);
        } else if (seen == LINK_DOWN) {
            self->cut |= bit_of(i);
            return true;
        } else {
            continue;
        }
        step_and_settle(self, &event);
        return true;
    }
    return false;
}

static bool
has_packed(const mdp_client_t *self)
{
    bool has = false;
    for (uint32_t i = 0; i < self->endpoints.count; i++)
        has = has || self->links[i].packer.used > 0;
    return has;
}

static void
write_packs(mdp_client_t *self)
{
    for (uint32_t i = 0; i < self->endpoints.count; i++)
        if (link_is_open(&self->links[i]))
            write_pack(self, i);
    while (self->refused_count > 0 || self->refusing != 0)
        give_back(self);
}

// may_have_event: is there a reason to ask the monitors? Each look costs a system call.
// Nobody but us reads them, so what comes later ends the wait; but while a connection is
// being made what we read off its socket may be the sign that it is.
static bool
may_have_event(const mdp_client_t *self)
{
    if (self->was_woken || self->cut != 0)
        return true;
    for (uint32_t i = 0; i < self->endpoints.count; i++)
        if (link_is_open(&self->links[i]) && !self->links[i].is_up)
            return true;
    return false;
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
        if (client_core_deadline(self->core) <= self->now_ns) {
            struct client_event event = {.kind = CLIENT_TICK};
            step_and_settle(self, &event);
            if (self->has_answer)
                return true;
        } else if (may_have_event(self) && take_event(self)) {
            budget -= budget > 0;
        } else if (!has_packed(self)) {
            self->was_woken = false;
            self->is_quiet = true;
            break;
        }
    }
    return false;
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
            wait_until(self->epoll_fd, client_core_deadline(self->core)) == WAIT_INTERRUPTED)
            return false;
        self->was_woken = true;
        self->now_ns = galleon_now_ns();
    }
    return true;
}

// ---- calls -------------------------------------------------------------------------------

static bool
has_room(const mdp_client_t *self)
{
    size_t held_finals = self->held_count - self->held_parts;
    return client_core_has_room(self->core) &&
           client_core_open_count(self->core) + held_finals < self->window;
}

// refuse_call answers in a broker's place what it would only send back.
static int
refuse_call(mdp_client_t *self, zmsg_t **request_p, const char *text)
{
    zmsg_destroy(request_p);
    self->status = MDP_MALFORMED;
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
        return refuse_call(self, request_p, "a service name is 1 to 255 bytes of printable UTF-8");
    if (fields.size > MDP_FIELDS_BYTES_MAX)
        return refuse_call(self, request_p, "header fields have at most 4096 bytes");
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

// keep holds an answer that is not waited for. Of a stream that nobody reads only so
// much is kept: then its call ends.
static void
keep(mdp_client_t *self)
{
    if (self->answer.result == GALLEON_PENDING && self->held_parts == HELD_PARTS_MAX) {
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
        if (parts != NULL && self->answer.body != NULL) {
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
    self->was_woken = true;
    // What is read on the way is kept for recv, as far as there is room for parts.
    while (self->held_parts < HELD_PARTS_MAX && advance(self))
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
    bool is_held = drop_held(self, id);
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
    return self->epoll_fd;
}

uint64_t
mdp_client_deadline(const mdp_client_t *self)
{
    bool has_more = !self->is_quiet || self->is_reading || self->held_count > 0;
    return has_more ? 0 : client_core_deadline(self->core);
}

int
mdp_client_pump(mdp_client_t *self, uint64_t now_ns, uint64_t *id_out, zmsg_t **reply_out)
{
    *id_out = 0;
    *reply_out = NULL;
    forget_last(self);
    if (now_ns > self->now_ns)
        self->now_ns = now_ns;
    self->was_woken = true;
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
        self->was_woken = true;
        while (advance(self)) {
            self->has_answer = false;
            zmsg_destroy(&self->answer.body);
        }
        if (client_core_waiting_count(self->core) == 0 || self->now_ns >= until_ns)
            return;
        uint64_t deadline_ns = client_core_deadline(self->core);
        if (deadline_ns > until_ns)
            deadline_ns = until_ns;
        if (wait_until(self->epoll_fd, deadline_ns) == WAIT_INTERRUPTED)
            return;
    }
}

static void
release_core(mdp_client_t *self)
{
    uint64_t id;
    while ((id = client_core_oldest_id(self->core)) != 0)
        cancel(self, id);
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
    for (uint32_t i = 0; i < self->endpoints.count; i++) {
        if (link_is_open(&self->links[i]))
            write_pack(self, i);
        close_link(self, i, FLUSH_MS_MAX);
    }
    if (self->core != NULL)
        release_core(self);
    while (take_held(self))
        zmsg_destroy(&self->answer.body);
    inbox_release(&self->inbox);
    cargo_pool_release(&self->pool);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    free(self->refused);
    free(self->held);
    endpoints_release(&self->endpoints);
    free(self);
}
