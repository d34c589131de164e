// mdp_worker.c - the sockets and the clock around worker_core.
//
// Nothing runs by itself: brokers are read and beaten while the application is inside
// recv, take or pump. A round writes what is packed, reads all that has arrived, looks
// at the time and writes again. As long as a received pack lasts, requests are taken
// off it one by one, each when it is asked for, and answers go into the next pack
// without a look at any socket: that is what makes many small requests cheap. It ends
// early where it would hold an answer back for more than a quarter of a millisecond
// (the packs are written), or a heartbeat, or for 10 ms (a whole round).

#include <galleon/mdp_worker.h>

#include "cargo.h"
#include "endpoints.h"
#include "inbox.h"
#include "link.h"
#include "log.h"
#include "making.h"
#include "mdp_inside.h"
#include "must.h"
#include "service_name.h"
#include "wait.h"
#include "worker_core.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>

enum {
    FRAMES_MAX = 4096,   // of a received message
    MESSAGES_MAX = 1000, // read from one broker in a round
    LINGER_MS = 1000,    // how long a closed socket goes on sending
    FLUSH_MS_MAX = 1000, // at the end
    RETRY_MS = 10        // between looks at it
};

static const uint64_t ns_per_ms = 1000000;
// At most so long from pack to pack, and from round to round, while there are requests.
static const uint64_t write_ns = 250000;
static const uint64_t round_ns = 10000000;

struct mdp_request {
    mdp_worker_t *worker; // NULL: not open
    uint64_t token;
    struct cargo *cargo; // what is left of the request; NULL: nothing
    char *fields;        // a copy, its lines ended by NULs
    uint32_t attempt;
    bool has_body;
    size_t answer_bytes; // of the parts that wait for its end
    int broken;          // a part of its answer could not be kept: GALLEON_REFUSED or _NO_MEMORY
};

// What a socket refused.
struct refused {
    uint32_t broker;
    enum mdp_command command;
    uint64_t token;
    struct cargo *cargo;
};

struct mdp_worker {
    struct endpoints brokers;
    char *service;
    size_t message_bytes_max;
    void (*on_lost)(void *ctx, uint32_t replies);
    void *ctx;

    void *memory; // of the core
    struct worker_core *core;
    struct worker_effects effects;
    struct cargo_pool pool;
    struct inbox inbox;
    struct mdp_reader reader; // of what is in it
    bool is_reading;
    uint32_t reading_from;
    int epoll_fd;
    uint64_t now_ns;
    uint64_t write_ns; // when packs are to be written
    uint64_t round_ns; // when the next round is due
    bool is_quiet;     // everything that could be done now was done
    bool is_woken;     // by a descriptor
    bool is_draining;

    struct link links[ENDPOINTS_MAX];
    uint32_t sent[ENDPOINTS_MAX]; // FINALs that the core is to be told of
    uint32_t sending;             // a bit for each broker: sent is not 0
    uint32_t packing;             // something is in its packer
    uint32_t refusing;            // its socket refused a send in this step
    uint32_t failed;              // its connection could not be begun
    struct refused *refused;
    size_t refused_count;
    size_t refused_capacity;

    mdp_request_t *requests;  // by slot number
    mdp_request_t *delivered; // and not given to the application yet
    mdp_request_t *current;   // of recv and reply
    uint32_t lost;            // answers, to be told when the step is over
};

static uint32_t
bit_of(uint32_t broker)
{
    return (uint32_t)1 << broker;
}

// ---- connections --------------------------------------------------------------------

static void
on_trace(void *context, const struct worker_trace *trace)
{
    const mdp_worker_t *self = context;
    const char *broker = self->brokers.texts[trace->broker];
    switch (trace->fact) {
    case WORKER_SAID_READY:
        log_debug("MDP-WORKER-READY", "broker=%s service=\"%s\" dialect=%s", broker, self->service,
                  trace->why);
        break;
    case WORKER_IS_SERVING:
        log_info("MDP-WORKER-SERVING", "broker=%s service=\"%s\" dialect=%s", broker, self->service,
                 trace->why);
        break;
    case WORKER_LOST_BROKER:
        log_warn("MDP-WORKER-BROKER-LOST", "broker=%s service=\"%s\" why=\"%s\"", broker,
                 self->service, trace->why);
        break;
    case WORKER_LOST_ANSWERS:
        log_warn("MDP-WORKER-ANSWERS-LOST", "broker=%s service=\"%s\" answers=%llu", broker,
                 self->service, (unsigned long long)trace->count);
        break;
    }
}

static void
open_link(mdp_worker_t *self, uint32_t broker, const char *routing_id)
{
    struct link *link = &self->links[broker];
    const char *endpoint = self->brokers.texts[broker];
    must(!link_is_open(link));
    int status = link_open(link, LINK_KEEPS_ANSWERS, endpoint, routing_id, self->message_bytes_max);
    if (status == GALLEON_OK && link_watch(link, self->epoll_fd) == 0)
        return;
    if (status == GALLEON_OK)
        status = GALLEON_NO_MEMORY; // epoll had no room
    log_warn("MDP-WORKER-CONNECT", "broker=%s why=\"%s\"", endpoint, galleon_strerror(status));
    link_unwatch(link, self->epoll_fd);
    link_close(link, 0);
    self->failed |= bit_of(broker);
}

// ---- sending ------------------------------------------------------------------------

static void
refuse(mdp_worker_t *self, uint32_t broker, const struct packer_entry *entry)
{
    self->refusing |= bit_of(broker);
    if (self->refused_count == self->refused_capacity) {
        size_t capacity = 2 * self->refused_capacity + 64;
        struct refused *larger = realloc(self->refused, capacity * sizeof *larger);
        // Without the memory to take an answer back it would be lost unseen.
        must(larger != NULL);
        self->refused = larger;
        self->refused_capacity = capacity;
    }
    self->refused[self->refused_count++] =
        (struct refused){broker, entry->command, entry->token, entry->cargo};
}

// take_back makes cargo again out of what was packed, and refuses all of it.
static void
take_back(mdp_worker_t *self, uint32_t broker, const struct packer *packer)
{
    struct view frame = view_of(packer->bytes, packer->used);
    struct mdp_reader reader;
    struct mdp_record record;
    enum mdp_fault fault = mdp_wire_begin(&reader, &frame, 1, MDP_TO_BROKER, false, NULL);
    must(fault == MDP_SOUND);
    for (size_t i = 0; i < packer->entry_count; i++) {
        struct packer_entry entry = packer->entries[i];
        bool is_read = entry.cargo == NULL && mdp_wire_next(&reader, &record);
        if (is_read && record.body.count > 0) {
            must(record.fault == MDP_SOUND && record.command == entry.command);
            entry.cargo = cargo_of_record(&self->pool, &record, &self->inbox);
            must(entry.cargo != NULL);
        }
        refuse(self, broker, &entry);
    }
}

// went_out lets go of what the socket has taken.
static void
went_out(mdp_worker_t *self, uint32_t broker, const struct packer_entry *entry)
{
    if (entry->cargo != NULL)
        cargo_release(&self->pool, entry->cargo);
    if (entry->command != MDP_FINAL)
        return;
    self->sent[broker]++;
    self->sending |= bit_of(broker);
}

static void
write_pack(mdp_worker_t *self, uint32_t broker)
{
    struct link *link = &self->links[broker];
    struct packer *packer = &link->packer;
    self->packing &= ~bit_of(broker);
    if (packer->used == 0)
        return;
    if (packer_send(packer, link->handle, NULL) == 0)
        for (size_t i = 0; i < packer->entry_count; i++)
            went_out(self, broker, &packer->entries[i]);
    else
        take_back(self, broker, packer);
    packer_clear(packer);
    self->is_quiet = false; // a send may take the edge of what has arrived
}

static void
write_packs(mdp_worker_t *self)
{
    for (uint32_t broker = 0; self->packing != 0; broker++)
        if (self->packing & bit_of(broker))
            write_pack(self, broker);
}

// pack puts a record into the broker's pack; false where it was refused. A small body is
// in the pack then, and its cargo is let go: the next one finds it warm.
static bool
pack(mdp_worker_t *self, uint32_t broker, struct mdp_record *record,
     const struct packer_entry *whole)
{
    struct packer *packer = &self->links[broker].packer;
    struct packer_entry entry = *whole;
    if (whole->cargo != NULL) {
        record->body = cargo_body(whole->cargo);
        if (!cargo_is_loose(whole->cargo))
            entry.cargo = NULL;
    }
    if (!packer_fits(packer, record))
        write_pack(self, broker);
    if ((self->refusing & bit_of(broker)) || !packer_add(packer, record, whole->cargo, &entry))
        return false;
    if (entry.cargo != whole->cargo)
        cargo_release(&self->pool, whole->cargo);
    self->packing |= bit_of(broker);
    return true;
}

static void
send_record(mdp_worker_t *self, struct worker_effect *effect)
{
    uint32_t broker = effect->broker;
    struct link *link = &self->links[broker];
    struct packer_entry entry = {.side = MDP_WORKER_SIDE,
                                 .command = effect->record.command,
                                 .token = effect->token,
                                 .cargo = effect->cargo};
    // What comes behind a refused record is refused too, so that nothing overtakes it.
    bool is_taken = link_is_open(link) && !(self->refusing & bit_of(broker));
    if (is_taken && effect->record.dialect == MDP_G1) {
        is_taken = pack(self, broker, &effect->record, &entry);
    } else if (is_taken) {
        self->is_quiet = false;
        is_taken = link_send(link, &effect->record, effect->has_delimiter, entry.cargo) == 0;
        if (is_taken)
            went_out(self, broker, &entry);
    }
    if (!is_taken)
        refuse(self, broker, &entry);
}

static void
close_link(mdp_worker_t *self, uint32_t broker)
{
    struct link *link = &self->links[broker];
    if (!link_is_open(link))
        return;
    write_pack(self, broker);
    link_unwatch(link, self->epoll_fd);
    link_close(link, LINGER_MS);
    self->failed &= ~bit_of(broker);
}

// ---- stepping the core ----------------------------------------------------------------

static void
deliver(mdp_worker_t *self, const struct worker_effect *effect)
{
    mdp_request_t *request = &self->requests[(uint32_t)effect->token];
    must(request->worker == NULL && effect->cargo != NULL);
    *request = (mdp_request_t){
        .worker = self,
        .token = effect->token,
        .cargo = effect->cargo,
        .attempt = effect->attempt,
        .has_body = true,
    };
    self->delivered = request;
}

static void
join(mdp_worker_t *self, const struct worker_effect *effect)
{
    if (cargo_join(&self->pool, effect->into, effect->cargo))
        return;
    cargo_release(&self->pool, effect->cargo);
    self->requests[(uint32_t)effect->token].broken = GALLEON_NO_MEMORY;
}

static void
carry_out(mdp_worker_t *self, struct worker_effect *effect)
{
    switch (effect->kind) {
    case WORKER_OPEN:
        open_link(self, effect->broker, effect->routing_id);
        break;
    case WORKER_CLOSE:
        close_link(self, effect->broker);
        break;
    case WORKER_SEND:
        send_record(self, effect);
        break;
    case WORKER_DELIVER:
        deliver(self, effect);
        break;
    case WORKER_JOIN:
        join(self, effect);
        break;
    case WORKER_DUMP:
        cargo_release(&self->pool, effect->cargo);
        break;
    case WORKER_LOST:
        self->lost += effect->count;
        break;
    }
}

static void
step(mdp_worker_t *self, struct worker_event *event)
{
    event->now_ns = self->now_ns;
    worker_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
}

// tell_core tells it what came of its effects: what was refused, last first.
static void
tell_core(mdp_worker_t *self)
{
    while (self->sending != 0 || self->refused_count > 0 || self->failed != 0) {
        for (uint32_t i = 0; self->sending != 0; i++) {
            if (!(self->sending & bit_of(i)))
                continue;
            struct worker_event event = {.kind = WORKER_SENT, .broker = i, .count = self->sent[i]};
            self->sending &= ~bit_of(i);
            self->sent[i] = 0;
            step(self, &event);
        }
        while (self->refused_count > 0) {
            struct refused refused = self->refused[--self->refused_count];
            struct worker_event event = {.kind = WORKER_UNSENT,
                                         .broker = refused.broker,
                                         .command = refused.command,
                                         .token = refused.token,
                                         .cargo = refused.cargo};
            step(self, &event);
        }
        self->refusing = 0;
        for (uint32_t i = 0; self->failed != 0; i++) {
            if (!(self->failed & bit_of(i)))
                continue;
            struct worker_event event = {.kind = WORKER_UNOPENED, .broker = i};
            self->failed &= ~bit_of(i);
            step(self, &event);
        }
    }
}

static inline void
settle(mdp_worker_t *self)
{
    if (self->sending != 0 || self->refused_count > 0 || self->failed != 0)
        tell_core(self);
}

static void
step_and_settle(mdp_worker_t *self, struct worker_event *event)
{
    step(self, event);
    settle(self);
}

// tell_lost calls the application's hook; not from within a step.
static void
tell_lost(mdp_worker_t *self)
{
    uint32_t lost = self->lost;
    self->lost = 0;
    if (lost > 0 && self->on_lost != NULL)
        self->on_lost(self->ctx, lost);
}

// ---- a round ----------------------------------------------------------------------------

static void
on_record(mdp_worker_t *self, const struct mdp_record *record, bool is_wanted)
{
    struct worker_event event = {.kind = WORKER_RECORD,
                                 .broker = self->reading_from,
                                 .record = record,
                                 .is_wanted = is_wanted};
    if (record->command == MDP_REQUEST && record->side == MDP_WORKER_SIDE &&
        record->fault == MDP_SOUND)
        event.cargo = cargo_of_record(&self->pool, record, &self->inbox);
    step_and_settle(self, &event);
}

static bool
is_found(const mdp_worker_t *self, bool is_wanted)
{
    return is_wanted && (self->delivered != NULL || worker_core_has_ready(self->core));
}

// read_on reads the message at hand to its end, or to the next request where the
// application wants one.
static void
read_on(mdp_worker_t *self, bool is_wanted)
{
    struct mdp_record record;
    while (self->is_reading && !is_found(self, is_wanted)) {
        self->is_reading = mdp_wire_next(&self->reader, &record);
        if (self->is_reading)
            on_record(self, &record, is_wanted);
    }
}

// receive begins to read the next message of a broker; false: there is none.
static bool
receive(mdp_worker_t *self, uint32_t broker)
{
    static const struct mdp_limits limits = {.frames_max = FRAMES_MAX, .bytes_max = SIZE_MAX};
    must(!self->is_reading);
    if (!inbox_receive(&self->inbox, self->links[broker].handle))
        return false;
    self->reading_from = broker;
    enum mdp_fault fault = mdp_wire_begin(&self->reader, self->inbox.frames, self->inbox.count,
                                          MDP_FROM_BROKER, false, &limits);
    self->is_reading = fault == MDP_SOUND;
    if (!self->is_reading)
        on_record(self, &(struct mdp_record){.fault = fault}, false);
    return true;
}

// read_broker reads what has arrived and how the connection stands, or only as far as
// the next request. False: there may be more.
static bool
read_broker(mdp_worker_t *self, uint32_t broker, bool is_wanted)
{
    struct link *link = &self->links[broker];
    for (int i = 0; i < MESSAGES_MAX && link_is_open(link); i++) {
        if (receive(self, broker)) {
            read_on(self, is_wanted);
            if (is_found(self, is_wanted))
                return false;
            continue;
        }
        // A cut wakes us by the monitor's own descriptor, which nobody else reads.
        if (link->is_up && is_wanted && !self->is_woken)
            return true;
        enum link_event seen = link_event(link);
        if (seen == LINK_NOTHING)
            return true;
        struct worker_event event = {.kind = seen == LINK_UP ? WORKER_UP : WORKER_DOWN,
                                     .broker = broker};
        step_and_settle(self, &event);
    }
    return !link_is_open(link);
}

// read_brokers reads all of them, or as far as the next request.
static bool
read_brokers(mdp_worker_t *self, bool is_wanted)
{
    bool is_all_read = true;
    uint32_t count = (uint32_t)self->brokers.count;
    uint32_t first = self->reading_from + 1;
    read_on(self, is_wanted);
    for (uint32_t i = 0; i < count && !is_found(self, is_wanted); i++)
        is_all_read = read_broker(self, (first + i) % count, is_wanted) && is_all_read;
    return is_all_read && !is_found(self, is_wanted);
}

static bool
has_input(mdp_worker_t *self)
{
    for (uint32_t i = 0; i < self->brokers.count; i++)
        if (link_has_input(&self->links[i]))
            return true;
    return false;
}

static void
write_all(mdp_worker_t *self)
{
    write_packs(self);
    settle(self);
    self->write_ns = self->now_ns + write_ns;
}

// go_round does what can be done now; where a request is wanted, only until there is
// one. is_quiet afterwards: there is nothing more before something arrives or the core's
// deadline.
static void
go_round(mdp_worker_t *self, bool is_wanted)
{
    write_all(self);
    self->is_quiet = true;
    bool is_all_read = read_brokers(self, is_wanted);
    self->is_woken = false;
    if (is_all_read || !is_wanted) {
        self->round_ns = self->now_ns + round_ns;
        if (worker_core_deadline(self->core) <= self->now_ns) {
            struct worker_event event = {.kind = WORKER_TICK};
            step_and_settle(self, &event);
        }
        write_all(self);
    }
    if (is_all_read)
        inbox_clear(&self->inbox);
    self->is_quiet = is_all_read && (self->is_quiet || !has_input(self));
}

// next_request takes the next of those that were read, or can be read without a look at
// a socket.
static mdp_request_t *
next_request(mdp_worker_t *self)
{
    read_on(self, true);
    if (self->delivered == NULL && worker_core_has_ready(self->core)) {
        struct worker_event event = {.kind = WORKER_TAKE};
        step_and_settle(self, &event);
    }
    mdp_request_t *request = self->delivered;
    self->delivered = NULL;
    return request;
}

// seek does what is due, and finds the next request where one is wanted.
static mdp_request_t *
seek(mdp_worker_t *self, bool is_wanted)
{
    mdp_request_t *request = NULL;
    bool is_due =
        self->now_ns >= self->round_ns || worker_core_deadline(self->core) <= self->now_ns;
    if (is_due || !is_wanted)
        go_round(self, false);
    else if (self->now_ns >= self->write_ns)
        write_all(self);
    if (is_wanted)
        request = next_request(self);
    if (is_wanted && request == NULL && !is_due) {
        go_round(self, true);
        request = next_request(self);
    }
    tell_lost(self);
    return request;
}

void
mdp_worker_rest(mdp_worker_t *self)
{
    if (self->is_draining)
        return;
    self->is_draining = true;
    struct worker_event event = {.kind = WORKER_DRAIN};
    step_and_settle(self, &event);
    write_packs(self);
    settle(self);
}

// ---- making one ---------------------------------------------------------------------------

static bool
make_core(mdp_worker_t *self, const mdp_worker_options_t *options)
{
    struct worker_config config = {
        .service = view_of(self->service, strlen(self->service)),
        .broker_count = (uint32_t)self->brokers.count,
        .dialect = options->dialect,
        .heartbeat_ms = at_most(or_default(options->heartbeat_ms, 2500), 60000),
        .liveness = or_default(options->liveness, 3),
        .reconnect_ms_min = or_default(options->reconnect_ms_min, 100),
        .reconnect_ms_max = or_default(options->reconnect_ms_max, 10000),
        .credit = at_most(or_default(options->credit, 1), WORKER_CREDIT_MAX),
        .link_silence_ms = LINK_SILENCE_MS,
        .has_printable_id = options->printable_id,
        .says_disconnect = !options->no_disconnect,
    };
    config.reconnect_ms_min = at_most(config.reconnect_ms_min, config.reconnect_ms_max);
    if (getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return false;
    void *memory = core_memory(worker_core_bytes(&config), &self->memory);
    if (memory == NULL)
        return false;
    self->now_ns = galleon_now_ns();
    self->core = worker_core_init(memory, &config, self->now_ns);
    worker_core_trace(self->core, on_trace, self);
    self->requests = calloc(worker_core_requests_max(self->core), sizeof *self->requests);
    return self->requests != NULL;
}

mdp_worker_t *
mdp_worker_new(const char *brokers, const char *service, const mdp_worker_options_t *options)
{
    static const mdp_worker_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    struct view name = view_of(service, strlen(service));
    if (!service_name_is_valid(name) || service_name_is_reserved(name)) {
        errno = EINVAL;
        return NULL;
    }
    mdp_worker_t *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    if (!endpoints_init(&self->brokers, brokers)) {
        free(self);
        return NULL;
    }
    self->message_bytes_max = cargo_message_bytes_max(options->message_bytes_max);
    self->on_lost = options->on_lost;
    self->ctx = options->ctx;
    cargo_pool_init(&self->pool);
    self->service = strdup(service);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->service == NULL || self->epoll_fd < 0 || zsys_init() == NULL ||
        !inbox_init(&self->inbox, FRAMES_MAX) || !make_core(self, options)) {
        mdp_worker_destroy(&self);
        errno = ENOMEM;
    }
    return self;
}

// ---- requests -----------------------------------------------------------------------------

// let_go empties a request that is over.
static void
let_go(mdp_request_t *self)
{
    if (self->cargo != NULL)
        cargo_release(&self->worker->pool, self->cargo);
    free(self->fields);
    self->cargo = NULL;
    self->fields = NULL;
    if (self->worker->current == self)
        self->worker->current = NULL;
    self->worker = NULL;
}

zmsg_t *
mdp_request_body(mdp_request_t *self)
{
    if (!self->has_body)
        return NULL;
    self->has_body = false;
    zmsg_t *body = cargo_to_message(&self->worker->pool, self->cargo);
    if (cargo_fields(self->cargo).size == 0) {
        cargo_release(&self->worker->pool, self->cargo);
        self->cargo = NULL;
    }
    return body;
}

struct mdp_body
mdp_request_peek(const mdp_request_t *self, struct view *fields_out)
{
    must(self->has_body);
    *fields_out = cargo_fields(self->cargo);
    return cargo_body(self->cargo);
}

// copy_fields makes C strings of the lines.
static char *
copy_fields(struct view fields)
{
    char *copy = malloc(fields.size);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < fields.size; i++)
        copy[i] = fields.data[i] == '\n' ? '\0' : (char)fields.data[i];
    return copy;
}

const char *
mdp_request_field(const mdp_request_t *self, const char *name)
{
    if (self->cargo == NULL)
        return NULL;
    struct view fields = cargo_fields(self->cargo);
    struct view value;
    if (!mdp_fields_find(fields, view_of(name, strlen(name)), &value))
        return NULL;
    mdp_request_t *request = &self->worker->requests[(uint32_t)self->token];
    if (request->fields == NULL)
        request->fields = copy_fields(fields);
    return request->fields == NULL ? NULL : request->fields + (value.data - fields.data);
}

uint32_t
mdp_request_attempt(const mdp_request_t *self)
{
    return self->attempt;
}

// answer hands a part of an answer, or its end, to the core.
static int
answer(mdp_request_t *request, enum mdp_command command, int status, struct cargo *cargo)
{
    mdp_worker_t *self = request->worker;
    struct worker_event event = {.kind = WORKER_ANSWER,
                                 .command = command,
                                 .token = request->token,
                                 .status = status,
                                 .cargo = cargo};
    uint32_t lost_before = self->lost;
    step(self, &event);
    // What this answer lost is for the caller, and not for the hook.
    bool is_lost = self->lost > lost_before;
    self->lost -= is_lost ? 1 : 0;
    settle(self);
    return is_lost ? GALLEON_LOST : GALLEON_OK;
}

// fail ends a request with a status and a text. Out of memory the text is left out.
static int
fail(mdp_request_t *request, int status, const char *text)
{
    zmsg_t *message = NULL;
    if (text != NULL && text[0] != '\0') {
        message = zmsg_new();
        zmsg_addstr(message, text);
    }
    struct cargo *cargo = cargo_of_message(&request->worker->pool, VIEW_NONE, &message);
    int result = answer(request, MDP_FINAL, status, cargo);
    let_go(request);
    return result;
}

// take_part makes cargo of a part of an answer, or of its end. Where it cannot, or an
// earlier one could not be taken, the request is broken.
static struct cargo *
take_part(mdp_request_t *self, zmsg_t **part_p)
{
    mdp_worker_t *worker = self->worker;
    size_t bytes = cargo_message_bound(self->answer_bytes, *part_p);
    struct cargo *cargo = NULL;
    if (self->broken == GALLEON_OK && bytes > worker->message_bytes_max)
        self->broken = GALLEON_REFUSED;
    if (self->broken != GALLEON_OK) {
        zmsg_destroy(part_p);
        return NULL;
    }
    cargo = cargo_of_message(&worker->pool, VIEW_NONE, part_p);
    if (cargo == NULL)
        self->broken = GALLEON_NO_MEMORY;
    else if (worker_core_gathers(worker->core, self->token))
        self->answer_bytes = bytes - MDP_HEADS_BYTES_MAX;
    return cargo;
}

int
mdp_request_partial(mdp_request_t *self, zmsg_t **part_p)
{
    struct cargo *cargo = take_part(self, part_p);
    return cargo == NULL ? self->broken : answer(self, MDP_PARTIAL, 0, cargo);
}

int
mdp_request_reply(mdp_request_t **self_p, zmsg_t **reply_p)
{
    mdp_request_t *self = *self_p;
    *self_p = NULL;
    struct cargo *cargo = take_part(self, reply_p);
    int broken = self->broken;
    if (broken == GALLEON_REFUSED)
        (void)fail(self, MDP_TOO_LARGE, "the answer is larger than the worker may send");
    else if (broken != GALLEON_OK)
        (void)fail(self, MDP_FAILED, "the worker is out of memory");
    if (cargo == NULL)
        return broken;
    int result = answer(self, MDP_FINAL, MDP_DONE, cargo);
    let_go(self);
    return result;
}

int
mdp_request_reply_with(mdp_request_t **self_p, const struct mdp_body *body)
{
    mdp_request_t *self = *self_p;
    *self_p = NULL;
    struct cargo *cargo = cargo_of_body(&self->worker->pool, VIEW_NONE, body);
    if (cargo == NULL)
        return fail(self, MDP_FAILED, "the worker is out of memory");
    int result = answer(self, MDP_FINAL, MDP_DONE, cargo);
    let_go(self);
    return result;
}

int
mdp_request_fail(mdp_request_t **self_p, int status, const char *text)
{
    mdp_request_t *self = *self_p;
    *self_p = NULL;
    return fail(self, status, text);
}

// ---- waiting for them -----------------------------------------------------------------------

int
mdp_worker_take(mdp_worker_t *self, mdp_request_t **request_out)
{
    *request_out = NULL;
    for (;;) {
        if (wait_is_interrupted()) {
            mdp_worker_rest(self);
            return GALLEON_INTERRUPTED;
        }
        self->now_ns = galleon_now_ns();
        *request_out = seek(self, true);
        if (*request_out != NULL)
            return GALLEON_OK;
        if (self->is_quiet)
            self->is_woken =
                wait_until(self->epoll_fd, worker_core_deadline(self->core)) == WAIT_READY;
    }
}

zmsg_t *
mdp_worker_recv(mdp_worker_t *self)
{
    if (self->current != NULL)
        (void)fail(self->current, MDP_FAILED, "the worker gave no answer");
    if (mdp_worker_take(self, &self->current) != GALLEON_OK)
        return NULL;
    return mdp_request_body(self->current);
}

int
mdp_worker_partial(mdp_worker_t *self, zmsg_t **part_p)
{
    if (self->current != NULL)
        return mdp_request_partial(self->current, part_p);
    zmsg_destroy(part_p);
    return GALLEON_UNKNOWN_ID;
}

int
mdp_worker_reply(mdp_worker_t *self, zmsg_t **reply_p)
{
    mdp_request_t *request = self->current;
    if (request != NULL)
        return mdp_request_reply(&request, reply_p);
    zmsg_destroy(reply_p);
    return GALLEON_UNKNOWN_ID;
}

// ---- the caller's own loop --------------------------------------------------------------------

int
mdp_worker_fd(mdp_worker_t *self)
{
    return self->epoll_fd;
}

uint64_t
mdp_worker_deadline(const mdp_worker_t *self)
{
    bool has_request =
        self->current == NULL && (self->is_reading || worker_core_has_ready(self->core));
    bool has_more = !self->is_quiet || self->packing != 0 || has_request;
    return has_more ? 0 : worker_core_deadline(self->core);
}

static mdp_request_t *
pump(mdp_worker_t *self, uint64_t now_ns, bool is_wanted)
{
    if (now_ns > self->now_ns)
        self->now_ns = now_ns;
    if (wait_is_interrupted())
        mdp_worker_rest(self);
    self->is_woken = true; // for all we know
    return seek(self, is_wanted);
}

int
mdp_worker_pump_take(mdp_worker_t *self, uint64_t now_ns, mdp_request_t **request_out)
{
    *request_out = pump(self, now_ns, true);
    return GALLEON_OK;
}

int
mdp_worker_pump(mdp_worker_t *self, uint64_t now_ns, zmsg_t **request_out)
{
    mdp_request_t *request = pump(self, now_ns, self->current == NULL);
    *request_out = NULL;
    if (request != NULL) {
        self->current = request;
        *request_out = mdp_request_body(request);
    }
    return GALLEON_OK;
}

// ---- the end ----------------------------------------------------------------------------------

// write_rest gives answers that no socket has taken a moment to go out, also when the
// process was interrupted.
static void
write_rest(mdp_worker_t *self)
{
    uint64_t until_ns = self->now_ns + FLUSH_MS_MAX * ns_per_ms;
    for (;;) {
        go_round(self, false);
        if (worker_core_unsent_count(self->core) == 0 || self->now_ns >= until_ns)
            return;
        struct pollfd input = {.fd = self->epoll_fd, .events = POLLIN};
        (void)poll(&input, 1, RETRY_MS);
        self->now_ns = galleon_now_ns();
    }
}

// leave says DISCONNECT and takes everything back from the core.
static void
leave(mdp_worker_t *self)
{
    self->now_ns = galleon_now_ns();
    uint32_t count = worker_core_requests_max(self->core);
    write_rest(self);
    for (uint32_t i = 0; i < count; i++)
        if (self->requests[i].worker != NULL)
            let_go(&self->requests[i]);
    struct worker_event stop = {.kind = WORKER_STOP};
    step_and_settle(self, &stop);
    while (worker_core_deadline(self->core) != UINT64_MAX) {
        struct worker_event tick = {.kind = WORKER_TICK};
        step_and_settle(self, &tick);
    }
    tell_lost(self);
}

void
mdp_worker_destroy(mdp_worker_t **self_p)
{
    mdp_worker_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    if (self->requests != NULL)
        leave(self);
    free(self->requests);
    free(self->memory);
    free(self->refused);
    inbox_release(&self->inbox);
    cargo_pool_release(&self->pool);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    endpoints_release(&self->brokers);
    free(self->service);
    free(self);
}
