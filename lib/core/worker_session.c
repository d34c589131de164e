// worker_session.c - one broker: connection, dialect, registration, heartbeats.
//
// What a session does is a table of its state and of what happens to it. A session
// that ends waits with back-off and begins again on a new socket, for ever.

#include "worker_state.h"

typedef void action(struct session *self, const struct worker_event *event);

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void
session_init(struct session *self, struct worker_core *core, uint32_t number)
{
    *self = (struct session){.core = core, .number = number, .state = WAITING};
    list_init(&self->ready);
    list_init(&self->held);
    list_init(&self->out);
    list_init(&self->waiting);
}

struct worker_effect *
session_send(struct session *self, enum mdp_command command)
{
    struct worker_effect *effect = worker_add_effect(self->core, WORKER_SEND, self->number);
    effect->record =
        (struct mdp_record){.side = MDP_WORKER_SIDE, .dialect = self->dialect, .command = command};
    effect->has_delimiter = self->dialect == MDP_01;
    heartbeat_spoke(&self->vigil.beat, self->core->now_ns);
    return effect;
}

static void
say(struct session *self, enum mdp_command command, uint32_t reason)
{
    struct worker_effect *effect = session_send(self, command);
    effect->record.reason = reason;
    effect->record.interval_ms = self->core->config.heartbeat_ms;
}

// ---- connecting ---------------------------------------------------------------------

// draw_routing_id makes a name that the Guide's brokers can print: "one letter that is
// not m or i, then 16 random characters", new for each socket.
static const char *
draw_routing_id(struct session *self)
{
    static const char letters[] = "abcdefghjklnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789im";
    enum { FIRST = 50, ALL = 62 };
    struct worker_core *core = self->core;
    if (!core->config.has_printable_id)
        return NULL;
    char *id = core->routing_id[self->number];
    id[0] = letters[prng_below(&core->prng, FIRST)];
    for (int i = 1; i < WORKER_ID_BYTES; i++)
        id[i] = letters[prng_below(&core->prng, ALL)];
    id[WORKER_ID_BYTES] = '\0';
    return id;
}

static void
open_connection(struct session *self)
{
    struct worker_effect *effect = worker_add_effect(self->core, WORKER_OPEN, self->number);
    effect->routing_id = draw_routing_id(self);
}

static void
start(struct session *self, const struct worker_event *event)
{
    (void)event;
    self->dialect = self->core->config.dialect;
    self->state = self->dialect == MDP_AUTO ? ASKING : CONNECTING;
    if (self->state == ASKING)
        dialect_question_init(&self->question);
    open_connection(self);
}

// ask goes on with the question. "The library asks again whenever it reconnects."
static void
ask(struct session *self, const struct worker_event *event)
{
    (void)event;
    struct worker_effect *effect;
    switch (dialect_question_next(&self->question, self->core->now_ns)) {
    case DIALECT_WAIT:
        break;
    case DIALECT_ASK:
        effect = worker_add_effect(self->core, WORKER_SEND, self->number);
        effect->record = dialect_question_record();
        effect->has_delimiter = true;
        break;
    case DIALECT_KNOWN:
        // READY is the first thing a worker says on the socket it serves on.
        self->dialect = dialect_question_result(&self->question);
        self->state = CONNECTING;
        worker_add_effect(self->core, WORKER_CLOSE, self->number);
        open_connection(self);
        break;
    }
}

static void
begin_to_ask(struct session *self, const struct worker_event *event)
{
    dialect_question_up(&self->question, self->core->now_ns);
    ask(self, event);
}

static void
stop_asking(struct session *self, const struct worker_event *event)
{
    (void)event;
    dialect_question_down(&self->question);
}

static const char *
dialect_text(mdp_dialect_t dialect)
{
    return dialect == MDP_G1 ? "g1" : dialect == MDP_02 ? "0.2" : "0.1";
}

static void
greet(struct session *self, const struct worker_event *event)
{
    (void)event;
    struct worker_core *core = self->core;
    self->state = GREETING;
    self->connection++;
    self->since_ns = core->now_ns;
    self->has_served = false;
    self->has_promised = true;
    self->retry_ns = 0;
    vigil_begin(&self->vigil, core->interval_ns, core->config.liveness, core->now_ns);
    struct worker_effect *ready = session_send(self, MDP_READY);
    ready->record.service = core->config.service;
    ready->record.credit = core->config.credit;
    ready->record.interval_ms = core->config.heartbeat_ms;
    if (self->dialect == MDP_G1 && core->ready_fields_size > 0) {
        ready->record.flags = MDP_FLAG_FIELDS;
        ready->record.fields = view_of(core->ready_fields, core->ready_fields_size);
    }
    core->stats.sessions++;
    worker_tell(self, WORKER_SAID_READY, dialect_text(self->dialect), 0);
    if (core->is_draining && self->dialect == MDP_G1) {
        self->state = DRAINING;
        say(self, MDP_DRAIN, 0);
    }
}

// ---- losing a broker ----------------------------------------------------------------

// back_off sets when to try again.
static void
back_off(struct session *self)
{
    struct worker_core *core = self->core;
    if (self->has_served)
        back_off_forget(&self->back_off);
    self->has_served = false;
    self->due_ns =
        core->now_ns + back_off_draw_ns(&self->back_off, &core->prng, core->config.reconnect_ms_min,
                                        core->config.reconnect_ms_max);
}

static void
lose(struct session *self, const char *why)
{
    bool was_live = session_is_live(self);
    // A connection that stood this long was none that came to nothing.
    if (was_live &&
        self->core->now_ns - self->since_ns >= self->core->config.reconnect_ms_max * NS_PER_MS)
        self->has_served = true;
    back_off(self);
    self->state = WAITING;
    worker_add_effect(self->core, WORKER_CLOSE, self->number);
    request_end_connection(self);
    if (!was_live)
        return;
    self->core->stats.sessions_lost++;
    worker_tell(self, WORKER_LOST_BROKER, why, 0);
}

// cut: a broker that has answered and is gone was stopped or has ended, and may be back at once:
// that is no connection that came to nothing.
static void
cut(struct session *self, const struct worker_event *event)
{
    (void)event;
    if (self->state != GREETING)
        self->has_served = true;
    lose(self, "cut");
}

static void
fail_to_open(struct session *self, const struct worker_event *event)
{
    (void)event;
    lose(self, "unopened");
}

static const char *
reason_text(const struct mdp_record *record)
{
    static const char *const texts[] = {"disconnect",
                                        "disconnect: protocol error",
                                        "disconnect: not registered",
                                        "disconnect: service refused",
                                        "disconnect: silent for too long",
                                        "disconnect: the broker is stopping",
                                        "disconnect: a request took too long"};
    size_t count = sizeof texts / sizeof *texts;
    return record->dialect == MDP_G1 && record->reason < count ? texts[record->reason] : texts[0];
}

// be_told_to_leave: 7/MDP: "When the worker receives DISCONNECT it MUST send no further
// commands to the broker; it MUST close its socket, and reconnect to the broker on a new
// socket."
static void
be_told_to_leave(struct session *self, const struct worker_event *event)
{
    self->core->stats.disconnects++;
    lose(self, reason_text(event->record));
}

static void
say_goodbye(struct session *self, enum mdp_reason reason)
{
    if (self->core->config.says_disconnect)
        say(self, MDP_DISCONNECT, reason);
}

// break_off: "A worker that gets a broken pack takes a new socket, because a REQUEST may
// have been in it."
static void
break_off(struct session *self, const struct worker_event *event)
{
    self->core->stats.breaches++;
    say_goodbye(self, MDP_REASON_PROTOCOL);
    enum mdp_fault fault = event->record == NULL ? MDP_SOUND : event->record->fault;
    lose(self, fault == MDP_SOUND ? "too many requests" : mdp_fault_text(fault));
}

static void
give_up_on_it(struct session *self, const struct worker_event *event)
{
    (void)event;
    self->core->stats.silences++;
    say_goodbye(self, MDP_REASON_SILENT);
    lose(self, "silent");
}

// ---- being served --------------------------------------------------------------------

static bool
is_holding(const struct session *self)
{
    return !list_is_empty(&self->ready) || !list_is_empty(&self->held);
}

// hear is for every record that shows life. A 0.1 or 0.2 broker tells no interval.
static void
hear(struct session *self)
{
    struct worker_core *core = self->core;
    if (self->dialect != MDP_G1 && self->state != GREETING)
        vigil_measure(&self->vigil, core->back_ns, core->now_ns);
    heartbeat_heard(&self->vigil.beat, core->now_ns);
    if (self->state != GREETING)
        return;
    self->state = SERVING;
    core->is_stale = true;
    worker_tell(self, WORKER_IS_SERVING, dialect_text(self->dialect), 0);
}

static void
beat_back(struct session *self, const struct worker_event *event)
{
    hear(self);
    if (self->dialect != MDP_G1)
        return;
    // "0 is no promise, and then silence proves nothing; other values are read as 100 to
    // 60,000."
    uint64_t interval_ms = event->record->interval_ms;
    self->has_promised = interval_ms > 0;
    interval_ms = smaller(larger(interval_ms, INTERVAL_MS_MIN), INTERVAL_MS_MAX);
    self->vigil.shown_ns = self->has_promised ? interval_ms * NS_PER_MS : 0;
    self->core->is_stale = true;
}

// refuse_reign: "Workers, stores and clients keep the highest number seen per pair and refuse
// lower ones." No status says that: the client would take it for its answer. Its DISCONNECT
// tells the broker that nothing ran, and why.
static void
refuse_reign(struct session *self, const struct worker_event *event)
{
    (void)event;
    self->core->stats.fenced++;
    say_goodbye(self, MDP_REASON_FENCED);
    lose(self, "its epoch is over");
}

// fence_others refuses what waits here of the half that is overtaken. What came before it over
// this connection comes before it still.
static void
fence_others(struct session *self, const struct worker_event *event, const struct mdp_epoch *epoch)
{
    struct worker_core *core = self->core;
    for (uint32_t i = 0; i < core->config.broker_count; i++) {
        struct session *other = &core->sessions[i];
        if (other != self && request_waits_of_older(other, epoch))
            session_input(other, ON_FENCED, event);
    }
}

static void
take_in(struct session *self, const struct worker_event *event)
{
    struct view fields = event->record->fields;
    struct mdp_epoch epoch;
    bool has_epoch = fields.size > 0 && mdp_epoch_find(fields, &epoch);
    hear(self);
    if (has_epoch) {
        enum fence_verdict verdict = fence_judge(&self->core->fence, &epoch);
        if (verdict == FENCE_STALE) {
            worker_dump(self->core, event->cargo);
            session_input(self, ON_FENCED, event);
            return;
        }
        if (verdict == FENCE_RAISED)
            fence_others(self, event, &epoch);
    }
    self->has_served = true;
    if (request_accept(self, event, has_epoch ? &epoch : NULL)) {
        if (event->is_wanted)
            request_deliver(self->core);
        return;
    }
    worker_dump(self->core, event->cargo);
    session_input(self, ON_BREACH, event);
}

static void
expect_no_more(struct session *self, const struct worker_event *event)
{
    (void)event;
    hear(self);
    self->state = DRAINING;
}

// ask_for_no_more: only G1 has a word for it, and once is enough.
static void
ask_for_no_more(struct session *self, const struct worker_event *event)
{
    (void)event;
    if (self->dialect != MDP_G1 || self->state == DRAINING)
        return;
    self->state = DRAINING;
    say(self, MDP_DRAIN, 0);
}

static void
leave_broker(struct session *self, const struct worker_event *event)
{
    (void)event;
    if (session_is_live(self))
        say_goodbye(self, MDP_REASON_NONE);
    if (self->state != WAITING)
        worker_add_effect(self->core, WORKER_CLOSE, self->number);
    self->state = STOPPED;
    request_end_all(self);
}

// ---- liveness ----------------------------------------------------------------------------

// is_judged: does the broker's silence mean anything? A 0.1 or 0.2 broker may be silent as
// long as it thinks us busy: the Guide's beat idle workers only.
static bool
is_judged(const struct session *self)
{
    return self->dialect == MDP_G1 ? self->has_promised : !is_holding(self);
}

static void
beat(struct session *self, const struct worker_event *event)
{
    uint64_t now_ns = self->core->now_ns;
    if (self->dialect != MDP_G1 && !is_holding(self))
        vigil_let_go(&self->vigil, now_ns);
    switch (vigil_check(&self->vigil, is_judged(self), now_ns)) {
    case HEARTBEAT_REST:
        break;
    case HEARTBEAT_SPEAK:
        say(self, MDP_HEARTBEAT, 0);
        break;
    case HEARTBEAT_LOST:
        session_input(self, ON_SILENT, event);
        break;
    }
}

uint64_t
session_deadline(const struct session *self)
{
    switch (self->state) {
    case WAITING:
        return self->due_ns;
    case ASKING:
        return dialect_question_deadline(&self->question);
    case GREETING:
    case SERVING:
    case DRAINING: {
        uint64_t deadline_ns = vigil_deadline(&self->vigil, is_judged(self));
        return list_is_empty(&self->waiting) ? deadline_ns : smaller(deadline_ns, self->retry_ns);
    }
    default:
        return UINT64_MAX;
    }
}

void
session_on_tick(struct session *self)
{
    struct worker_event event = {.kind = WORKER_TICK};
    if (self->core->now_ns >= session_deadline(self))
        session_input(self, ON_DUE, &event);
    request_send_waiting(self);
}

// ---- the table -------------------------------------------------------------------------

static void
nothing(struct session *self, const struct worker_event *event)
{
    (void)self;
    (void)event;
}

// ignore is for a record of a connection that is over, or not yet begun.
static void
ignore(struct session *self, const struct worker_event *event)
{
    worker_dump(self->core, event->cargo);
    self->core->stats.records_ignored++;
}

// LIVE fills the cells of GREETING, SERVING and DRAINING.
#define LIVE(action) action, action, action

// clang-format off
static action *const actions[SESSION_INPUTS][SESSION_STATES] = {
    //                 WAITING       ASKING        CONNECTING    live                    STOPPED
    [ON_DUE]        = {start,        ask,          nothing,      LIVE(beat),             nothing},
    [ON_UP]         = {nothing,      begin_to_ask, greet,        LIVE(nothing),          nothing},
    [ON_DOWN]       = {nothing,      stop_asking,  nothing,      LIVE(cut),              nothing},
    [ON_UNOPENED]   = {nothing,      fail_to_open, fail_to_open, LIVE(nothing),          nothing},
    [ON_HEARTBEAT]  = {ignore,       ignore,       ignore,       LIVE(beat_back),        ignore},
    [ON_REQUEST]    = {ignore,       ignore,       ignore,       LIVE(take_in),          ignore},
    [ON_DISCONNECT] = {ignore,       ignore,       ignore,       LIVE(be_told_to_leave), ignore},
    [ON_DRAIN]      = {ignore,       ignore,       ignore,       LIVE(expect_no_more),   ignore},
    [ON_BREACH]     = {nothing,      nothing,      nothing,      LIVE(break_off),        nothing},
    [ON_FENCED]     = {nothing,      nothing,      nothing,      LIVE(refuse_reign),     nothing},
    [ON_SILENT]     = {nothing,      nothing,      nothing,      LIVE(give_up_on_it),    nothing},
    [ON_QUIT]       = {nothing,      nothing,      nothing,      LIVE(ask_for_no_more),  nothing},
    [ON_STOP]       = {leave_broker, leave_broker, leave_broker, LIVE(leave_broker),     nothing},
};
// clang-format on

void
session_input(struct session *self, enum session_input input, const struct worker_event *event)
{
    enum session_state before = self->state;
    actions[input][self->state](self, event);
    // A request moves no deadline but a later one.
    if (input != ON_REQUEST || self->state != before)
        self->core->is_stale = true;
}

// ---- records ---------------------------------------------------------------------------

// is_breach: may something have been in it that we should have had? Else it is dropped.
static bool
is_breach(enum mdp_fault fault)
{
    return fault == MDP_BROKEN_CHAIN || fault == MDP_TOO_SHORT || fault == MDP_BAD_CONTENTS ||
           fault == MDP_NO_ADDRESS || fault == MDP_OVER_LIMIT;
}

void
session_on_record(struct session *self, const struct worker_event *event)
{
    const struct mdp_record *record = event->record;
    if (record->fault != MDP_SOUND) {
        self->core->stats.faults[record->fault]++;
        worker_dump(self->core, event->cargo);
        if (is_breach(record->fault))
            session_input(self, ON_BREACH, event);
        return;
    }
    if (self->state == ASKING && record->side == MDP_CLIENT_SIDE) {
        worker_dump(self->core, event->cargo);
        dialect_question_answer(&self->question, record);
        ask(self, event);
        self->core->is_stale = true;
        return;
    }
    if (record->side != MDP_WORKER_SIDE || record->dialect != self->dialect) {
        ignore(self, event);
        return;
    }
    switch (record->command) {
    case MDP_HEARTBEAT:
        session_input(self, ON_HEARTBEAT, event);
        break;
    case MDP_REQUEST:
        session_input(self, ON_REQUEST, event);
        break;
    case MDP_DISCONNECT:
        session_input(self, ON_DISCONNECT, event);
        break;
    case MDP_DRAIN:
        session_input(self, ON_DRAIN, event);
        break;
    default:
        ignore(self, event);
    }
}
