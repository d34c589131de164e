// pirate_worker_core.c - a request's way through the worker, and what happens to its connection.
//
// A request is on one list at a time, ready, held, out or waiting, and move() puts it there.
// What the connection does is a table of its state and of what happens to it.

#include "pirate_worker_core.h"

#include "back_off.h"
#include "list.h"
#include "must.h"
#include "region.h"
#include "slab.h"
#include "vigil.h"

static const uint64_t ns_per_ms = 1000000;
// A socket that refused is tried again so much later.
static const uint64_t retry_wait_ns = 10000000;

struct request {
    struct list_node in_list;
    struct list *list; // which it is on
    void *cargo;       // ready: the request's; waiting: the answer's, NULL: no frames
    uint32_t connection;
    bool has_delimiter;
    size_t stack_size;
    struct view stack[PIRATE_STACK_MAX]; // in `bytes`
    uint8_t bytes[PIRATE_WORKER_STACK_BYTES_MAX];
};

enum state {
    WAITING,    // no connection; due_ns is when to open one
    CONNECTING, // opened, not up
    BUSY,       // up, and the application still holds a request of another connection
    GREETING,   // READY was said, or an answer in its place; nothing was heard
    SERVING,    // heard from the queue
    STOPPED,
    STATES
};

struct pirate_worker_core {
    struct pirate_worker_config config;
    uint64_t now_ns;
    uint64_t back_ns; // when somebody who was away last came back
    uint64_t interval_ns;
    struct pirate_worker_effects *effects;
    struct pirate_worker_counters counters;
    struct prng prng;
    pirate_worker_tracer_fn *tracer;
    void *tracer_context;

    enum state state;
    uint32_t connection; // counts them
    uint64_t due_ns;     // WAITING
    struct back_off back_off;
    uint64_t since_ns; // when the connection was up
    bool has_served;   // over this connection
    struct vigil vigil;
    uint64_t retry_ns; // the socket refused: not before

    struct slab requests;
    struct list ready;
    struct list held;    // one at most
    struct list out;     // one at most: its REPLY is with the socket, which has not said yet
    struct list waiting; // in the order in which their answers have to go
    uint32_t lost_count; // answers, to be told at the end of the step
};

static struct pirate_worker_effect *
add_effect(struct pirate_worker_core *self, enum pirate_worker_effect_kind kind)
{
    must(self->effects->count < PIRATE_WORKER_EFFECTS_MAX);
    struct pirate_worker_effect *effect = &self->effects->list[self->effects->count++];
    *effect = (struct pirate_worker_effect){.kind = kind};
    return effect;
}

static void
dump(struct pirate_worker_core *self, void *cargo)
{
    if (cargo != NULL)
        add_effect(self, PIRATE_WORKER_DUMP)->cargo = cargo;
}

static void
tell(const struct pirate_worker_core *self, enum pirate_worker_fact fact, const char *why,
     uint64_t count)
{
    const struct pirate_worker_trace trace = {fact, why, count};
    if (self->tracer != NULL)
        self->tracer(self->tracer_context, &trace);
}

static bool
is_paranoid(const struct pirate_worker_core *self)
{
    return self->config.dialect == PIRATE_PARANOID;
}

static bool
is_live(const struct pirate_worker_core *self)
{
    return self->state == GREETING || self->state == SERVING;
}

static bool
is_holding(const struct pirate_worker_core *self)
{
    return !list_is_empty(&self->ready) || !list_is_empty(&self->held);
}

// ---- memory --------------------------------------------------------------------------

static void
lay_out(struct pirate_worker_core *self, struct region *region)
{
    void *memory =
        region_cut(region, slab_bytes(sizeof(struct request), PIRATE_WORKER_REQUESTS_MAX));
    slab_init(&self->requests, sizeof(struct request), PIRATE_WORKER_REQUESTS_MAX, memory);
}

size_t
pirate_worker_core_bytes(void)
{
    struct pirate_worker_core scratch;
    struct region region = {0};
    (void)region_cut(&region, sizeof scratch);
    lay_out(&scratch, &region);
    return region.used;
}

struct pirate_worker_core *
pirate_worker_core_init(void *memory, const struct pirate_worker_config *config, uint64_t now_ns)
{
    struct region region = {.memory = memory};
    struct pirate_worker_core *self = region_cut(&region, sizeof *self);
    must(((uintptr_t)memory & 63) == 0);
    must(config->heartbeat_ms > 0 && config->liveness > 0);
    must(config->reconnect_ms_min <= config->reconnect_ms_max);
    lay_out(self, &region);
    self->config = *config;
    self->now_ns = now_ns;
    self->interval_ns = config->heartbeat_ms * ns_per_ms;
    prng_init(&self->prng, config->seed, 1);
    list_init(&self->ready);
    list_init(&self->held);
    list_init(&self->out);
    list_init(&self->waiting);
    return self;
}

void
pirate_worker_core_trace(struct pirate_worker_core *self, pirate_worker_tracer_fn *tracer,
                         void *context)
{
    self->tracer = tracer;
    self->tracer_context = context;
}

const struct pirate_worker_counters *
pirate_worker_core_counters(const struct pirate_worker_core *self)
{
    return &self->counters;
}

// ---- requests: their lists -----------------------------------------------------------------

static struct request *
first_of(const struct list *list)
{
    return list_object(list_first(list), struct request, in_list);
}

static void
move(struct request *request, struct list *list)
{
    list_remove(request->list, &request->in_list);
    list_append(list, &request->in_list);
    request->list = list;
}

// end gives a request's memory back; its cargo is gone.
static void
end(struct pirate_worker_core *self, struct request *request)
{
    must(request->cargo == NULL);
    list_remove(request->list, &request->in_list);
    slab_give(&self->requests, request);
}

static void
end_all(struct pirate_worker_core *self, struct list *list)
{
    while (!list_is_empty(list)) {
        struct request *request = first_of(list);
        dump(self, request->cargo);
        request->cargo = NULL;
        end(self, request);
    }
}

static void
lose_answers(struct pirate_worker_core *self, uint32_t count)
{
    self->lost_count += count;
    self->counters.answers_lost += count;
}

// ---- sending ------------------------------------------------------------------------------

static struct pirate_worker_effect *
say(struct pirate_worker_core *self, enum pirate_kind kind)
{
    struct pirate_worker_effect *effect = add_effect(self, PIRATE_WORKER_SEND);
    effect->says = kind;
    // A simple queue talks to a REQ, which has a delimiter of its own.
    effect->envelope.has_delimiter = !is_paranoid(self);
    heartbeat_spoke(&self->vigil.beat, self->now_ns);
    return effect;
}

// send_waiting sends the first answer that waits. The next goes at the next TICK, once the
// socket took this one.
static void
send_waiting(struct pirate_worker_core *self)
{
    bool may_send = is_live(self) && list_is_empty(&self->out) && self->now_ns >= self->retry_ns;
    if (!may_send || list_is_empty(&self->waiting))
        return;
    struct request *request = first_of(&self->waiting);
    struct pirate_worker_effect *effect = say(self, PIRATE_REPLY);
    effect->envelope.stack = request->stack;
    effect->envelope.stack_size = request->stack_size;
    effect->cargo = request->cargo;
    request->cargo = NULL;
    move(request, &self->out);
}

// ---- connecting ------------------------------------------------------------------------------

typedef void action(struct pirate_worker_core *self, const struct pirate_worker_event *event);

static void
start(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)event;
    self->state = CONNECTING;
    add_effect(self, PIRATE_WORKER_OPEN);
}

// greet registers. 6/PPP: "The first message in any conversation MUST be W:READY." To a simple
// queue any message says that the worker is ready.
static void
greet(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)event;
    self->state = GREETING;
    vigil_begin(&self->vigil, self->interval_ns, self->config.liveness, self->now_ns);
    if (!is_paranoid(self) && !list_is_empty(&self->waiting))
        return;
    say(self, PIRATE_READY);
    tell(self, PIRATE_WORKER_SAID_READY, "", 0);
}

static void
come_up(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    self->connection++;
    self->since_ns = self->now_ns;
    self->has_served = false;
    self->retry_ns = 0;
    self->counters.connections++;
    if (list_is_empty(&self->held))
        greet(self, event);
    else
        self->state = BUSY;
}

// ---- losing the queue -------------------------------------------------------------------------

static void
lose(struct pirate_worker_core *self, const char *why)
{
    const struct pirate_worker_config *config = &self->config;
    bool was_up = self->state == BUSY || is_live(self);
    // A connection that stood this long was none that came to nothing.
    bool has_stood =
        was_up && self->now_ns - self->since_ns >= config->reconnect_ms_max * ns_per_ms;
    if (self->has_served || has_stood)
        back_off_forget(&self->back_off);
    self->has_served = false;
    self->due_ns =
        self->now_ns + back_off_draw_ns(&self->back_off, &self->prng, config->reconnect_ms_min,
                                        config->reconnect_ms_max);
    self->state = WAITING;
    add_effect(self, PIRATE_WORKER_CLOSE);
    self->counters.requests_gone += self->ready.size;
    end_all(self, &self->ready);
    if (!was_up)
        return;
    self->counters.connections_lost++;
    tell(self, PIRATE_WORKER_LOST_QUEUE, why, 0);
}

static void
cut(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)event;
    lose(self, "cut");
}

static void
fail_to_open(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)event;
    lose(self, "unopened");
}

// break_off: what was wrong may have been a request. On a new connection the queue does not
// wait for its answer.
static void
break_off(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    enum pirate_fault fault = event->message->fault;
    self->counters.breaches++;
    lose(self, fault == PIRATE_SOUND ? "too much at once" : pirate_fault_text(fault));
}

static void
give_up_on_it(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)event;
    self->counters.silences++;
    lose(self, "silent");
}

static void
leave_queue(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)event;
    must(list_is_empty(&self->out));
    if (self->state != WAITING)
        add_effect(self, PIRATE_WORKER_CLOSE);
    self->state = STOPPED;
    lose_answers(self, (uint32_t)self->waiting.size);
    end_all(self, &self->ready);
    end_all(self, &self->held);
    end_all(self, &self->waiting);
}

// ---- being served ------------------------------------------------------------------------------

static void
hear(struct pirate_worker_core *self)
{
    if (self->state == SERVING)
        vigil_measure(&self->vigil, self->back_ns, self->now_ns);
    heartbeat_heard(&self->vigil.beat, self->now_ns);
    if (self->state == SERVING)
        return;
    self->state = SERVING;
    tell(self, PIRATE_WORKER_IS_SERVING, "", 0);
}

static void
be_beaten(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)event;
    self->counters.heartbeats++;
    hear(self);
}

// take_stack copies the addresses, which the answer has to give back as they are.
static bool
take_stack(struct request *request, const struct mdp_envelope *envelope)
{
    size_t used = 0;
    must(envelope->stack_size <= PIRATE_STACK_MAX);
    for (size_t i = 0; i < envelope->stack_size; i++) {
        struct view address = envelope->stack[i];
        if (address.size > sizeof request->bytes - used)
            return false;
        memcpy(request->bytes + used, address.data, address.size);
        request->stack[i] = view_of(request->bytes + used, address.size);
        used += address.size;
    }
    request->stack_size = envelope->stack_size;
    return true;
}

// new_request makes room where there is none by giving up the oldest answer that waits for a
// connection: whoever asked has asked again by now.
static struct request *
new_request(struct pirate_worker_core *self)
{
    struct request *request = slab_take(&self->requests);
    if (request != NULL || list_is_empty(&self->waiting))
        return request;
    struct request *oldest = first_of(&self->waiting);
    dump(self, oldest->cargo);
    oldest->cargo = NULL;
    end(self, oldest);
    lose_answers(self, 1);
    return slab_take(&self->requests);
}

static bool
accept(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    if (event->cargo == NULL)
        return false;
    struct request *request = new_request(self);
    if (request == NULL)
        return false;
    if (!take_stack(request, &event->message->envelope)) {
        slab_give(&self->requests, request);
        return false;
    }
    request->cargo = event->cargo;
    request->connection = self->connection;
    request->list = &self->ready;
    list_append(&self->ready, &request->in_list);
    vigil_hold(&self->vigil);
    return true;
}

static void
deliver(struct pirate_worker_core *self)
{
    if (!pirate_worker_core_has_ready(self))
        return;
    struct request *request = first_of(&self->ready);
    add_effect(self, PIRATE_WORKER_DELIVER)->cargo = request->cargo;
    request->cargo = NULL;
    move(request, &self->held);
    self->counters.requests++;
}

static void
take_in(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    hear(self);
    self->has_served = true;
    if (accept(self, event)) {
        if (event->is_wanted)
            deliver(self);
        return;
    }
    dump(self, event->cargo);
    break_off(self, event);
}

// ---- liveness --------------------------------------------------------------------------------

static void
beat(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    if (!is_paranoid(self) || is_holding(self))
        return;
    vigil_let_go(&self->vigil, self->now_ns);
    switch (vigil_check(&self->vigil, true, self->now_ns)) {
    case HEARTBEAT_REST:
        break;
    case HEARTBEAT_SPEAK:
        say(self, PIRATE_HEARTBEAT);
        break;
    case HEARTBEAT_LOST:
        give_up_on_it(self, event);
        break;
    }
}

uint64_t
pirate_worker_core_deadline(const struct pirate_worker_core *self)
{
    uint64_t deadline_ns = UINT64_MAX;
    if (self->state == WAITING)
        return self->due_ns;
    if (!is_live(self))
        return UINT64_MAX;
    if (is_paranoid(self) && !is_holding(self))
        deadline_ns = vigil_deadline(&self->vigil, true);
    if (!list_is_empty(&self->waiting) && self->retry_ns < deadline_ns)
        deadline_ns = self->retry_ns;
    return deadline_ns;
}

// ---- the table -------------------------------------------------------------------------------

enum input {
    ON_DUE, // its deadline
    ON_UP,
    ON_DOWN,
    ON_UNOPENED,
    ON_HEARTBEAT,
    ON_REQUEST,
    ON_BREACH,   // the queue broke the protocol
    ON_ANSWERED, // what the application held
    ON_STOP,     // we leave
    INPUTS
};

static void
nothing(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    (void)self;
    (void)event;
}

// ignore is for a message over a connection on which nothing was asked for.
static void
ignore(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    dump(self, event->cargo);
    self->counters.messages_ignored++;
}

// clang-format off
static action *const actions[INPUTS][STATES] = {
    //               WAITING      CONNECTING    BUSY         GREETING     SERVING      STOPPED
    [ON_DUE]      = {start,       nothing,      nothing,     beat,        beat,        nothing},
    [ON_UP]       = {nothing,     come_up,      nothing,     nothing,     nothing,     nothing},
    [ON_DOWN]     = {nothing,     nothing,      cut,         cut,         cut,         nothing},
    [ON_UNOPENED] = {nothing,     fail_to_open, nothing,     nothing,     nothing,     nothing},
    [ON_HEARTBEAT]= {ignore,      ignore,       ignore,      be_beaten,   be_beaten,   ignore},
    [ON_REQUEST]  = {ignore,      ignore,       ignore,      take_in,     take_in,     ignore},
    [ON_BREACH]   = {nothing,     nothing,      nothing,     break_off,   break_off,   nothing},
    [ON_ANSWERED] = {nothing,     nothing,      greet,       nothing,     nothing,     nothing},
    [ON_STOP]     = {leave_queue, leave_queue,  leave_queue, leave_queue, leave_queue, nothing},
};
// clang-format on

static void
input(struct pirate_worker_core *self, enum input input, const struct pirate_worker_event *event)
{
    actions[input][self->state](self, event);
}

// ---- events ----------------------------------------------------------------------------------

// is_breach: may a request have been in it? Else it is dropped.
static bool
is_breach(enum pirate_fault fault)
{
    return fault == PIRATE_NO_DELIMITER || fault == PIRATE_BAD_STACK ||
           fault == PIRATE_NO_ADDRESS || fault == PIRATE_OVER_LIMIT;
}

static void
on_message(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    const struct pirate_message *message = event->message;
    if (message->fault != PIRATE_SOUND) {
        self->counters.faults[message->fault]++;
        dump(self, event->cargo);
        if (is_breach(message->fault))
            input(self, ON_BREACH, event);
        return;
    }
    must(message->kind == PIRATE_HEARTBEAT || message->kind == PIRATE_REQUEST);
    input(self, message->kind == PIRATE_REQUEST ? ON_REQUEST : ON_HEARTBEAT, event);
}

static void
on_answer(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    must(!list_is_empty(&self->held));
    struct request *request = first_of(&self->held);
    request->cargo = event->cargo;
    move(request, &self->waiting);
    input(self, ON_ANSWERED, event);
    send_waiting(self);
}

static void
on_sent(struct pirate_worker_core *self)
{
    must(!list_is_empty(&self->out));
    struct request *request = first_of(&self->out);
    self->counters.answers++;
    self->counters.answers_late += request->connection == self->connection ? 0 : 1;
    end(self, request);
}

static void
on_unsent(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    if (event->said == PIRATE_READY)
        input(self, ON_DOWN, event);
    if (event->said != PIRATE_REPLY)
        return; // a heartbeat more or less
    must(!list_is_empty(&self->out));
    struct request *request = first_of(&self->out);
    request->cargo = event->cargo;
    list_remove(&self->out, &request->in_list);
    list_prepend(&self->waiting, &request->in_list);
    request->list = &self->waiting;
    self->counters.answers_unsent++;
    self->retry_ns = self->now_ns + retry_wait_ns;
}

static void
on_event(struct pirate_worker_core *self, const struct pirate_worker_event *event)
{
    switch (event->kind) {
    case PIRATE_WORKER_UP:
        input(self, ON_UP, event);
        send_waiting(self);
        break;
    case PIRATE_WORKER_DOWN:
        input(self, ON_DOWN, event);
        break;
    case PIRATE_WORKER_UNOPENED:
        input(self, ON_UNOPENED, event);
        break;
    case PIRATE_WORKER_MESSAGE:
        on_message(self, event);
        break;
    case PIRATE_WORKER_TAKE:
        deliver(self);
        break;
    case PIRATE_WORKER_ANSWER:
        on_answer(self, event);
        break;
    case PIRATE_WORKER_SENT:
        on_sent(self);
        break;
    case PIRATE_WORKER_UNSENT:
        on_unsent(self, event);
        break;
    case PIRATE_WORKER_TICK:
        if (self->now_ns >= pirate_worker_core_deadline(self))
            input(self, ON_DUE, event);
        send_waiting(self);
        break;
    case PIRATE_WORKER_STOP:
        input(self, ON_STOP, event);
        break;
    }
}

void
pirate_worker_core_step(struct pirate_worker_core *self, const struct pirate_worker_event *event,
                        struct pirate_worker_effects *effects)
{
    effects->count = 0;
    self->effects = effects;
    if (event->now_ns > self->now_ns) {
        // A caller who waits for us comes back for each heartbeat at least.
        if (event->now_ns - self->now_ns > self->interval_ns + self->interval_ns / 2)
            self->back_ns = event->now_ns;
        self->now_ns = event->now_ns;
    }
    on_event(self, event);
    if (self->lost_count > 0) {
        add_effect(self, PIRATE_WORKER_LOST)->count = self->lost_count;
        tell(self, PIRATE_WORKER_LOST_ANSWERS, "", self->lost_count);
        self->lost_count = 0;
    }
    self->effects = NULL;
}

bool
pirate_worker_core_has_ready(const struct pirate_worker_core *self)
{
    return !list_is_empty(&self->ready) && list_is_empty(&self->held);
}

bool
pirate_worker_core_is_held(const struct pirate_worker_core *self)
{
    return !list_is_empty(&self->held);
}

size_t
pirate_worker_core_unsent_count(const struct pirate_worker_core *self)
{
    return is_live(self) ? self->out.size + self->waiting.size : 0;
}

void
pirate_worker_core_audit(const struct pirate_worker_core *self)
{
    const struct list *const lists[] = {&self->ready, &self->held, &self->out, &self->waiting};
    size_t count = 0;
    for (size_t i = 0; i < 4; i++) {
        list_each (node, lists[i]) {
            const struct request *request = list_object(node, struct request, in_list);
            must(request->list == lists[i]);
            must(lists[i] != &self->ready || request->cargo != NULL);
            must((lists[i] != &self->held && lists[i] != &self->out) || request->cargo == NULL);
            count++;
        }
    }
    must(count == self->requests.used);
    must(self->held.size <= 1 && self->out.size <= 1);
    must(is_live(self) || list_is_empty(&self->ready));
}
