// lazy_core.c - a state, an input, what to do: the table near the end says it all.
//
// An attempt is counted when its time begins, and its time begins again when it is sent: it may
// take as long to be connected as to be answered. While it is not sent nothing is at stake, so
// it may go on to another endpoint.

#include "lazy_core.h"

#include "later.h"
#include "must.h"

enum { IDS = 2 }; // what the seed is used for besides retry.c

static const uint64_t ms = 1000000;
// A pause for who is turned away at once, or finds not even a socket.
static const uint64_t refused_ns = 100 * 1000000ull;

typedef void action_fn(struct lazy_core *self);

// ---- effects --------------------------------------------------------------------

static struct lazy_effect *
add_effect(struct lazy_core *self, enum lazy_effect_kind kind)
{
    must(self->effects->count < LAZY_EFFECTS_MAX);
    struct lazy_effect *effect = &self->effects->list[self->effects->count++];
    *effect = (struct lazy_effect){.kind = kind};
    return effect;
}

static void
close_socket(struct lazy_core *self)
{
    if (lazy_core_has_socket(self))
        add_effect(self, LAZY_CLOSE);
}

// end closes the socket: what it may still bring is nobody's.
static void
end(struct lazy_core *self)
{
    close_socket(self);
    self->state = LAZY_REST;
}

static void
give_up(struct lazy_core *self)
{
    self->stats.given_up++;
    end(self);
    add_effect(self, LAZY_ANSWER)->result = GALLEON_TIMED_OUT;
}

// ---- attempts -------------------------------------------------------------------

static void
start_timer(struct lazy_core *self, uint64_t from_ns)
{
    self->due_ns = later_ns(from_ns, self->config.timeout_ms * ms);
}

static void
begin_attempt(struct lazy_core *self)
{
    uint64_t from_ns = self->retry.resume_ns > self->now_ns ? self->retry.resume_ns : self->now_ns;
    self->attempt++;
    self->state = LAZY_PAUSING;
    start_timer(self, from_ns);
    self->unsent_due_ns = self->due_ns;
}

// spend_attempt: it is over without a reply.
static void
spend_attempt(struct lazy_core *self)
{
    if (self->attempt == self->config.attempts)
        give_up(self);
    else
        begin_attempt(self);
}

// move_on leaves an endpoint that failed.
static void
move_on(struct lazy_core *self, uint64_t wait_ns)
{
    close_socket(self);
    self->state = LAZY_PAUSING;
    retry_failed(&self->retry, self->now_ns, wait_ns);
    self->current = retry_next(&self->retry, self->current);
}

// ---- what the table has -----------------------------------------------------------

static void
ignore(struct lazy_core *self)
{
    (void)self;
}

static void
never(struct lazy_core *self)
{
    must(self->state == LAZY_STATES);
}

static void
send_request(struct lazy_core *self)
{
    self->state = LAZY_WAITING;
    self->stats.requests_sent++;
    start_timer(self, self->now_ns);
    add_effect(self, LAZY_SEND)->id = ++self->last_id;
}

static void
begin_call(struct lazy_core *self)
{
    bool has_socket = self->state == LAZY_READY;
    uint64_t deadline_ms = self->config.deadline_ms;
    self->stats.calls++;
    self->deadline_ns = deadline_ms == 0 ? UINT64_MAX : later_ns(self->now_ns, deadline_ms * ms);
    self->attempt = 0;
    self->told = 1; // the first is no retry
    // Pauses are between the attempts of one call.
    retry_answered(&self->retry);
    retry_at_once(&self->retry, self->now_ns);
    begin_attempt(self);
    if (has_socket)
        send_request(self);
}

static void
withdraw(struct lazy_core *self)
{
    self->stats.cancelled++;
    end(self);
}

// lose: the connection that served until now is gone.
static void
lose(struct lazy_core *self)
{
    self->stats.cuts++;
    end(self);
    self->current = retry_next(&self->retry, self->current);
}

static void
miss_cut(struct lazy_core *self)
{
    self->stats.cuts++;
    move_on(self, 0);
    spend_attempt(self);
}

static void
miss_time(struct lazy_core *self)
{
    self->stats.timeouts++;
    move_on(self, 0);
    spend_attempt(self);
}

// miss_pause: the pause was longer than the attempt.
static void
miss_pause(struct lazy_core *self)
{
    self->stats.timeouts++;
    spend_attempt(self);
}

// hop goes on to the next endpoint within the attempt. Who is turned away at once waits before
// the list begins again.
static void
hop(struct lazy_core *self, bool is_quick)
{
    move_on(self, is_quick && retry_ends_round(&self->retry) ? refused_ns : 0);
}

static void
leave_slow(struct lazy_core *self)
{
    self->stats.unreached++;
    hop(self, false);
}

// refused: the socket goes on trying by itself, which is all that can be done where there is no
// other endpoint.
static void
refused(struct lazy_core *self)
{
    if (self->config.endpoint_count == 1)
        return;
    self->stats.unreached++;
    hop(self, true);
}

static void
unopened(struct lazy_core *self)
{
    self->stats.unreached++;
    move_on(self, refused_ns);
}

// take_back: the attempt has not been sent after all, and has no more time than before.
static void
take_back(struct lazy_core *self)
{
    self->due_ns = self->unsent_due_ns;
    self->stats.requests_sent--;
    self->stats.requests_unsent++;
    hop(self, true);
}

static void
finish(struct lazy_core *self)
{
    self->stats.replies++;
    self->state = LAZY_READY;
    retry_answered(&self->retry);
    add_effect(self, LAZY_ANSWER)->result = GALLEON_OK;
}

// suspect: a socket brings what nobody asked for. Without ids the next of it would be taken for
// the reply to the next request.
static void
suspect(struct lazy_core *self)
{
    if (!self->config.has_ids)
        end(self);
}

static void
expire(struct lazy_core *self)
{
    move_on(self, 0);
    give_up(self);
}

static void
open_socket(struct lazy_core *self)
{
    if (self->told < self->attempt) {
        struct lazy_effect *effect = add_effect(self, LAZY_RETRY);
        effect->endpoint = self->current;
        effect->attempt = self->attempt;
        self->told = self->attempt;
    }
    self->state = LAZY_JOINING;
    self->patience_ends_ns = later_ns(self->now_ns, retry_patience_ns(&self->retry));
    add_effect(self, LAZY_OPEN)->endpoint = self->current;
}

// ---- the table --------------------------------------------------------------------

enum input {
    INPUT_CALL,
    INPUT_CANCEL,
    INPUT_UP,
    INPUT_DOWN,
    INPUT_UNOPENED,
    INPUT_REPLY, // to what is out
    INPUT_STRAY, // any other message
    INPUT_UNSENT,
    INPUT_DEADLINE, // of the call
    INPUT_DUE,      // the attempt ends
    INPUT_PATIENCE, // the connection is not made in time
    INPUT_RESUME,   // the pause is over
    INPUTS
};

static action_fn *const actions[INPUTS][LAZY_STATES] = {
    //                  REST        READY       PAUSING      JOINING    WAITING
    [INPUT_CALL] = {begin_call, begin_call, never, never, never},
    [INPUT_CANCEL] = {ignore, ignore, withdraw, withdraw, withdraw},
    [INPUT_UP] = {ignore, ignore, ignore, send_request, ignore},
    [INPUT_DOWN] = {ignore, lose, ignore, refused, miss_cut},
    [INPUT_UNOPENED] = {ignore, ignore, ignore, unopened, ignore},
    [INPUT_REPLY] = {never, never, never, never, finish},
    [INPUT_STRAY] = {ignore, suspect, ignore, ignore, ignore},
    [INPUT_UNSENT] = {ignore, ignore, ignore, ignore, take_back},
    [INPUT_DEADLINE] = {never, never, expire, expire, expire},
    [INPUT_DUE] = {never, never, miss_pause, miss_time, miss_time},
    [INPUT_PATIENCE] = {never, never, never, leave_slow, never},
    [INPUT_RESUME] = {never, never, open_socket, never, never},
};

static enum input
input_of_message(struct lazy_core *self, const struct lazy_event *event)
{
    if (!event->is_sound) {
        self->stats.replies_malformed++;
        return INPUT_STRAY;
    }
    bool is_ours = !self->config.has_ids || event->id == self->last_id;
    if (self->state == LAZY_WAITING && is_ours)
        return INPUT_REPLY;
    self->stats.replies_stale++;
    return INPUT_STRAY;
}

static enum input
input_of(struct lazy_core *self, const struct lazy_event *event)
{
    switch (event->kind) {
    case LAZY_CALL:
        return INPUT_CALL;
    case LAZY_CANCEL:
        return INPUT_CANCEL;
    case LAZY_UP:
        return INPUT_UP;
    case LAZY_DOWN:
        return INPUT_DOWN;
    case LAZY_UNOPENED:
        return INPUT_UNOPENED;
    case LAZY_REPLY:
        return input_of_message(self, event);
    case LAZY_UNSENT:
        return INPUT_UNSENT;
    case LAZY_TICK:
        break;
    }
    return INPUTS;
}

// ---- time ---------------------------------------------------------------------------

// next_of_time is what its state waits for, and when: the first of it, and of two at the same
// time the one that ends more.
static enum input
next_of_time(const struct lazy_core *self, uint64_t *at_ns_out)
{
    enum input next = INPUTS;
    uint64_t at_ns = UINT64_MAX;
    if (!lazy_core_is_free(self) && self->deadline_ns < at_ns) {
        next = INPUT_DEADLINE;
        at_ns = self->deadline_ns;
    }
    if (!lazy_core_is_free(self) && self->due_ns < at_ns) {
        next = INPUT_DUE;
        at_ns = self->due_ns;
    }
    if (self->state == LAZY_JOINING && self->patience_ends_ns < at_ns) {
        next = INPUT_PATIENCE;
        at_ns = self->patience_ends_ns;
    }
    if (self->state == LAZY_PAUSING && self->retry.resume_ns < at_ns) {
        next = INPUT_RESUME;
        at_ns = self->retry.resume_ns;
    }
    *at_ns_out = at_ns;
    return next;
}

uint64_t
lazy_core_deadline(const struct lazy_core *self)
{
    uint64_t at_ns;
    next_of_time(self, &at_ns);
    return at_ns;
}

// ---- the step -------------------------------------------------------------------

void
lazy_core_init(struct lazy_core *self, const struct lazy_config *config)
{
    must(config->timeout_ms > 0 && config->attempts > 0);
    *self = (struct lazy_core){.config = *config};
    retry_init(&self->retry, config->endpoint_count, config->backoff_ms_max * ms, config->seed);
    struct prng ids;
    prng_init(&ids, config->seed, IDS);
    self->last_id = (uint32_t)prng_next(&ids);
}

void
lazy_core_step(struct lazy_core *self, const struct lazy_event *event, struct lazy_effects *effects)
{
    must(event->now_ns >= self->now_ns);
    self->now_ns = event->now_ns;
    self->effects = effects;
    effects->count = 0;
    enum input input = input_of(self, event);
    uint64_t at_ns;
    if (input == INPUTS) {
        input = next_of_time(self, &at_ns);
        if (at_ns > self->now_ns)
            input = INPUTS;
    }
    if (input != INPUTS)
        actions[input][self->state](self);
    // What need not wait does not: a socket is opened in the step that wants it.
    if (next_of_time(self, &at_ns) == INPUT_RESUME && at_ns <= self->now_ns)
        open_socket(self);
    self->effects = NULL;
}
