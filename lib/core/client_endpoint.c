// client_endpoint.c - which broker is in use, and how it is reached.
//
// A connection is used once: it is opened, made, cut or given up, and then there is
// a new one. With dialect `auto` one more goes before it, to ask. What an endpoint
// does with an event follows from its state, and from nothing else (the table).

#include "client_state.h"
#include "later.h"

static const uint64_t ms = 1000000;

enum {
    REDIRECT_MS_MIN = 10,
    REDIRECT_MS_MAX = 50,
    STEER_ROOM = 8, // effects that going on may have, but for sending
    SEND_ROOM = 2   // those of one call that is sent
};

// ---- the connection -------------------------------------------------------------

static void
open_connection(struct client_core *self, struct endpoint *endpoint)
{
    must(endpoint->state == ENDPOINT_CLOSED);
    endpoint->serial++;
    endpoint->dialect = endpoint->known;
    endpoint->patience_ends_ns = later_ns(self->now_ns, retry_patience_ns(&self->retry));
    endpoint->is_good = false;
    endpoint->is_dirty = false;
    endpoint->probed_ns = 0;
    endpoint->blocked_ns = 0;
    if (endpoint->known == MDP_AUTO) {
        endpoint->state = ENDPOINT_ASKING;
        dialect_question_init(&endpoint->question);
    } else {
        endpoint->state = ENDPOINT_JOINING;
    }
    client_connection(self, CLIENT_OPEN, endpoint->index);
}

// close_connection takes back what was sent over it: it waits again, before all
// else and in its order.
static void
close_connection(struct client_core *self, struct endpoint *endpoint)
{
    struct list_node *node;
    while ((node = list_last(&endpoint->sent)) != NULL)
        client_call_unsend(self, list_object(node, struct call, place), true);
    endpoint->state = ENDPOINT_CLOSED;
    client_connection(self, CLIENT_CLOSE, endpoint->index);
}

static void
ask_again(struct client_core *self, struct endpoint *endpoint)
{
    endpoint->known = self->config.dialect;
    endpoint->is_assumed = false;
}

// replace gives a connection up that is still there.
static void
replace(struct client_core *self, struct endpoint *endpoint)
{
    self->stats.replaced++;
    close_connection(self, endpoint);
    // "The library asks again whenever it reconnects." Not where a broker that has
    // told what it speaks is slow: without MMI each question takes two seconds.
    if (endpoint->dialect == MDP_G1 || endpoint->is_assumed)
        ask_again(self, endpoint);
}

// ---- which one is in use ------------------------------------------------------------

static struct endpoint *
next_of(const struct client_core *self, const struct endpoint *endpoint)
{
    return &self->endpoints[retry_next(&self->retry, endpoint->index)];
}

// use: what waits goes there from now on. The one that is left has been lost, or it
// serves: then it keeps its connection, and may still answer.
static void
use(struct client_core *self, struct endpoint *endpoint)
{
    must(self->current->state == ENDPOINT_SERVING || self->current->state == ENDPOINT_CLOSED);
    self->current = endpoint;
}

static uint32_t
bit_of(const struct endpoint *endpoint)
{
    return (uint32_t)1 << endpoint->index;
}

// successor_of is who comes after one that failed: the one it names (NULL: none), or the next
// in the list, but none that has failed in this round. So two that name each other do not keep
// the client from a third.
static struct endpoint *
successor_of(struct client_core *self, const struct endpoint *endpoint, struct endpoint *named)
{
    if (named != NULL && (self->failed & bit_of(named)) == 0)
        return named;
    struct endpoint *next = next_of(self, endpoint);
    for (size_t i = 0; i < self->config.endpoint_count && (self->failed & bit_of(next)) != 0; i++)
        next = next_of(self, next);
    return next;
}

// move_on leaves an endpoint that failed: after wait_ns, or with back-off where the whole
// list has failed since the last answer.
static void
move_on(struct client_core *self, struct endpoint *from, struct endpoint *named, uint64_t wait_ns)
{
    bool is_round = retry_ends_round(&self->retry);
    retry_failed(&self->retry, self->now_ns, wait_ns);
    self->failed = is_round ? 0 : self->failed | bit_of(from);
    use(self, successor_of(self, from, named));
}

void
client_endpoint_answered(struct client_core *self, struct endpoint *endpoint)
{
    endpoint->is_good = true;
    self->failed = 0;
    retry_answered(&self->retry);
}

void
client_endpoint_passive(struct client_core *self, struct endpoint *endpoint, struct view redirect)
{
    if (endpoint != self->current)
        return; // it was left for an earlier one
    struct endpoint *named = NULL;
    for (size_t i = 0; i < self->config.endpoint_count; i++)
        if (view_equals(self->endpoints[i].name, redirect))
            named = &self->endpoints[i];
    retry_refused(&self->retry);
    move_on(self, endpoint, named,
            retry_between(&self->retry, REDIRECT_MS_MIN * ms, REDIRECT_MS_MAX * ms));
}

void
client_endpoint_missed(struct client_core *self, struct endpoint *endpoint, uint64_t since_ns)
{
    if (endpoint->state != ENDPOINT_SERVING)
        return;
    if (endpoint == self->current)
        use(self, next_of(self, endpoint));
    if (endpoint->dialect != MDP_G1) {
        // Its answer may still come, and would be taken for the next one's.
        replace(self, endpoint);
    } else if (endpoint->heard_ns <= since_ns) {
        // All was silent. A slow service keeps its connection, over which a repeat is
        // not run twice; a dead connection does not answer a HEARTBEAT either.
        if (endpoint->probed_ns == 0) {
            self->stats.probes++;
            endpoint->probed_ns = self->now_ns;
            struct mdp_record beat = {
                .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT};
            client_send(self, endpoint->index, 0, &beat);
        } else if (self->now_ns - endpoint->probed_ns >= self->timeout_ns) {
            replace(self, endpoint);
        }
    }
}

// ---- the table ----------------------------------------------------------------------

typedef void action_fn(struct client_core *self, struct endpoint *endpoint);

static void
ignore(struct client_core *self, struct endpoint *endpoint)
{
    (void)self;
    (void)endpoint;
}

static void
ask(struct client_core *self, struct endpoint *endpoint)
{
    endpoint->patience_ends_ns = UINT64_MAX; // the question has its own time
    dialect_question_up(&endpoint->question, self->now_ns);
}

static void
serve(struct client_core *self, struct endpoint *endpoint)
{
    endpoint->state = ENDPOINT_SERVING;
    endpoint->heard_ns = self->now_ns;
}

// lose: the connection is cut, or could not be made.
static void
lose(struct client_core *self, struct endpoint *endpoint)
{
    self->stats.cuts++;
    close_connection(self, endpoint);
    ask_again(self, endpoint);
    if (endpoint != self->current)
        return;
    if (endpoint->is_good) {
        // It has served us until now: the list has not been tried yet.
        retry_at_once(&self->retry, self->now_ns);
        use(self, next_of(self, endpoint));
    } else {
        move_on(self, endpoint, NULL, 0);
    }
}

enum endpoint_event { EVENT_UP, EVENT_DOWN, EVENT_PATIENCE_ENDS, EVENTS };

static action_fn *const actions[ENDPOINT_STATES][EVENTS] = {
    //                    UP      DOWN    PATIENCE_ENDS
    [ENDPOINT_CLOSED] = {ignore, ignore, ignore},
    [ENDPOINT_ASKING] = {ask, lose, lose},
    [ENDPOINT_JOINING] = {serve, lose, lose},
    [ENDPOINT_SERVING] = {ignore, lose, ignore},
};

void
client_endpoint_on_up(struct client_core *self, struct endpoint *endpoint)
{
    actions[endpoint->state][EVENT_UP](self, endpoint);
}

void
client_endpoint_on_down(struct client_core *self, struct endpoint *endpoint)
{
    actions[endpoint->state][EVENT_DOWN](self, endpoint);
}

// ---- going on -----------------------------------------------------------------------

static void
go_on_asking(struct client_core *self, struct endpoint *endpoint)
{
    bool was_known = dialect_question_result(&endpoint->question) != MDP_AUTO;
    switch (dialect_question_next(&endpoint->question, self->now_ns)) {
    case DIALECT_WAIT:
        break;
    case DIALECT_ASK: {
        struct mdp_record question = dialect_question_record();
        client_send(self, endpoint->index, QUESTION_TOKEN, &question);
        break;
    }
    case DIALECT_KNOWN:
        close_connection(self, endpoint);
        endpoint->known = dialect_question_result(&endpoint->question);
        endpoint->is_assumed = !was_known;
        open_connection(self, endpoint);
        break;
    }
}

static bool
is_one_at_a_time(const struct endpoint *endpoint)
{
    return endpoint->dialect != MDP_G1;
}

static void
send_what_waits(struct client_core *self, struct endpoint *endpoint)
{
    struct list_node *node;
    while (self->now_ns >= endpoint->blocked_ns && client_has_room(self, SEND_ROOM) &&
           (node = list_first(&self->waiting)) != NULL) {
        if (is_one_at_a_time(endpoint) && !list_is_empty(&endpoint->sent))
            return;
        client_call_send(self, endpoint, list_object(node, struct call, place));
    }
}

void
client_endpoint_steer(struct client_core *self)
{
    struct endpoint *endpoint = self->current;
    if (!client_has_room(self, STEER_ROOM))
        return;
    if (self->now_ns >= endpoint->patience_ends_ns)
        actions[endpoint->state][EVENT_PATIENCE_ENDS](self, endpoint);

    endpoint = self->current;
    if (self->now_ns < self->retry.resume_ns)
        return;
    if (endpoint->state == ENDPOINT_SERVING && endpoint->is_dirty &&
        list_is_empty(&endpoint->sent) && !list_is_empty(&self->waiting))
        replace(self, endpoint);

    if (endpoint->state == ENDPOINT_CLOSED)
        open_connection(self, endpoint);
    else if (endpoint->state == ENDPOINT_ASKING)
        go_on_asking(self, endpoint);
    else if (endpoint->state == ENDPOINT_SERVING)
        send_what_waits(self, endpoint);
}

static uint64_t
later_of(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

// steer_deadline is when the endpoint in use has something to go on with.
static uint64_t
steer_deadline(const struct client_core *self, const struct endpoint *endpoint)
{
    switch (endpoint->state) {
    case ENDPOINT_CLOSED:
        return 0;
    case ENDPOINT_ASKING:
        return dialect_question_deadline(&endpoint->question);
    case ENDPOINT_SERVING:
        if (list_is_empty(&self->waiting) ||
            (is_one_at_a_time(endpoint) && !list_is_empty(&endpoint->sent)))
            return UINT64_MAX;
        return endpoint->blocked_ns;
    case ENDPOINT_JOINING:
    case ENDPOINT_STATES:
        break;
    }
    return UINT64_MAX;
}

uint64_t
client_endpoint_deadline(const struct client_core *self)
{
    const struct endpoint *endpoint = self->current;
    bool is_connecting = endpoint->state == ENDPOINT_ASKING || endpoint->state == ENDPOINT_JOINING;
    uint64_t deadline_ns = later_of(steer_deadline(self, endpoint), self->retry.resume_ns);
    if (is_connecting && endpoint->patience_ends_ns < deadline_ns)
        deadline_ns = endpoint->patience_ends_ns;
    return deadline_ns;
}
