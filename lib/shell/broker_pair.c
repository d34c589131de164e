// broker_pair.c - votes, changes, the operator's words, and a gate in front of the socket.
//
// What a change of the half means to the broker is decided by pair_follower. Neither is called from
// within the other: what the half asks for in a hook is noted, and done when it has returned.

#include "broker_pair.h"

#include "connection.h"

#include <galleon/status.h>

#include <stdlib.h>

enum { CHANGES_MAX = 8 }; // in one go; what is left comes in the next turn

// Under load turns are short, and a look at each of the half's sockets takes a system call.
static const uint64_t pump_pause_ns = 1000000;

// ---- hooks and gate ---------------------------------------------------------------------

static void
on_drain(void *context)
{
    struct broker_pair *self = context;
    pair_follower_must_finish(&self->follower);
}

static void
on_drop(void *context)
{
    struct broker_pair *self = context;
    pair_follower_must_drop(&self->follower);
}

static struct half_view
look_at(const struct broker_pair *self, uint64_t now_ns)
{
    struct bstar_stamp stamp = {0};
    (void)bstar_stamp(self->half, &stamp);
    return (struct half_view){.is_serving = bstar_is_serving(self->half, now_ns),
                              .may_finish = bstar_may_finish(self->half, now_ns),
                              .is_in_fault = bstar_state(self->half) == BSTAR_FAULT,
                              .is_over = bstar_is_over(self->half),
                              .epoch = stamp.epoch};
}

// may_send asks the half with a fresh reading of the clock: it may have stood still since the turn
// began, for longer than its lease.
static bool
may_send(void *context, bool is_request)
{
    const struct broker_pair *self = context;
    struct half_view half = look_at(self, galleon_now_ns());
    return pair_follower_may_send(&self->follower, &half, is_request);
}

// ---- what the half says, the core does --------------------------------------------------

static struct view
text_of_503(const struct broker_pair *self)
{
    const char *text = self->follower.is_in_fault ? bstar_why(self->half) : self->redirect;
    return view_of(text, strlen(text));
}

// tell has the core serve, finish or hold.
static void
tell(struct broker_pair *self, enum broker_event_kind kind)
{
    struct broker_event event = {.kind = kind};
    struct bstar_stamp stamp = {0};
    if (kind == BROKER_SERVE) {
        event.has_epoch = bstar_stamp(self->half, &stamp);
        event.pair = stamp.pair;
        event.epoch = stamp.epoch;
    } else {
        event.text = text_of_503(self);
    }
    broker_loop_step(self->loop, &event);
}

// take_quiet hands on what the core has said.
static void
take_quiet(struct broker_pair *self)
{
    if (self->loop->is_quiet)
        self->follower.is_quiet = true;
    self->loop->is_quiet = false;
}

static void
follow(struct broker_pair *self)
{
    enum broker_event_kind kind;
    for (int i = 0; i < CHANGES_MAX; i++) {
        struct half_view half = look_at(self, self->loop->now_ns);
        take_quiet(self);
        if (!pair_follower_next(&self->follower, &half, &kind))
            break;
        tell(self, kind);
    }
}

// ---- making one -------------------------------------------------------------------------

bool
broker_pair_init(struct broker_pair *self, struct broker_loop *loop, bstar_t *half,
                 const char *redirect)
{
    *self =
        (struct broker_pair){.loop = loop, .redirect = strdup(redirect == NULL ? "" : redirect)};
    if (self->redirect == NULL || !broker_loop_watch_half(loop, bstar_fd(half)))
        return false;
    self->half = half;
    const struct bstar_hooks hooks = {.drain = on_drain, .drop = on_drop, .ctx = self};
    bstar_hook(half, &hooks);
    broker_outbox_guard(&loop->outbox, may_send, self);
    loop->now_ns = galleon_now_ns();
    struct half_view view = look_at(self, loop->now_ns);
    pair_follower_begin(&self->follower, &view);
    tell(self, BROKER_HOLD);
    return true;
}

void
broker_pair_release(struct broker_pair *self)
{
    const struct bstar_hooks none = {0};
    if (self->half != NULL)
        bstar_hook(self->half, &none);
    free(self->redirect);
    *self = (struct broker_pair){0};
}

// ---- a turn -----------------------------------------------------------------------------

// leave has the half hand over before the core drains.
static void
leave(struct broker_pair *self)
{
    self->loop->is_drain_asked = false;
    if (pair_follower_leave(&self->follower))
        bstar_stop(self->half, self->loop->now_ns);
    self->is_stirred = true;
}

// pump pumps the half when there is something for it, or it is time for something, or it was not
// looked at for a while: its descriptor is not looked at in each turn either.
static void
pump(struct broker_pair *self)
{
    struct broker_loop *loop = self->loop;
    if (!loop->is_half_readable && loop->now_ns < loop->wake_ns &&
        loop->now_ns < self->pumped_ns + pump_pause_ns)
        return;
    loop->is_half_readable = false;
    self->pumped_ns = loop->now_ns;
    self->is_stirred = true;
    (void)bstar_pump(self->half, loop->now_ns);
}

void
broker_pair_begin_turn(struct broker_pair *self)
{
    broker_loop_begin_turn(self->loop);
    pump(self);
    if (self->loop->is_drain_asked && !self->follower.has_left)
        leave(self);
    follow(self);
}

void
broker_pair_end_turn(struct broker_pair *self)
{
    broker_loop_end_turn(self->loop);
    take_quiet(self);
    struct half_view half = look_at(self, self->loop->now_ns);
    struct pair_end end = pair_follower_end_turn(&self->follower, &half);
    if (end.is_drained)
        bstar_drained(self->half, self->loop->now_ns);
    if (end.has_left)
        self->loop->is_drain_asked = true;
    if (end.has_more)
        self->loop->wake_ns = 0;
    else if (self->is_stirred)
        self->loop->wake_ns = bstar_deadline(self->half);
    self->is_stirred = false;
}

// ---- records ----------------------------------------------------------------------------

static void
say(struct broker_pair *self, uint16_t code, const struct text *text)
{
    struct broker_event event = {.kind = BROKER_SAID, .code = code, .text = text_view(text)};
    broker_loop_step(self->loop, &event);
}

static void
add_words(struct text *text, const char *words)
{
    text_add(text, view_of(words, strlen(words)));
}

// obey says the operator's word to the half; the code of the answer, with its text.
static uint16_t
obey(struct broker_pair *self, enum broker_word word, struct text *text)
{
    static const enum bstar_word words[] = {[BROKER_WORD_PROMOTE] = BSTAR_SAY_PROMOTE,
                                            [BROKER_WORD_PROMOTE_PEER_IS_DEAD] =
                                                BSTAR_SAY_PROMOTE_PEER_IS_DEAD,
                                            [BROKER_WORD_DEMOTE] = BSTAR_SAY_DEMOTE,
                                            [BROKER_WORD_FREEZE] = BSTAR_SAY_FREEZE,
                                            [BROKER_WORD_THAW] = BSTAR_SAY_THAW,
                                            [BROKER_WORD_CLEAR] = BSTAR_SAY_CLEAR};
    struct bstar_answer answer = bstar_say(self->half, words[word], self->loop->now_ns);
    self->is_stirred = true;
    if (answer.is_accepted)
        return 200;
    add_words(text, answer.why == NULL ? "refused" : answer.why);
    if (answer.wait_ms > 0) {
        add_words(text, "; try again in ");
        text_add_number(text, answer.wait_ms);
        add_words(text, " ms");
    }
    return 409;
}

// answer answers mmi.ha. What is changed is changed by somebody on this machine, as far as can
// be seen: behind a proxy it cannot.
static void
answer(struct broker_pair *self, const struct inbox *inbox)
{
    static const char columns[] = "name\tvalue\n";
    uint8_t memory[sizeof columns + BSTAR_TABLE_BYTES];
    struct text text;
    uint16_t code = 200;
    text_init(&text, memory, sizeof memory);
    struct broker_connection connection = connection_of(inbox_connection(inbox));
    self->loop->is_asked = false;
    if (self->loop->word == BROKER_WORD_STATUS) {
        add_words(&text, columns);
        bstar_table(self->half, self->loop->now_ns, &text);
    } else if (self->loop->is_asked_by_proxy ||
               !connection_is_local(connection, inbox_peer_address(inbox))) {
        code = 403;
        add_words(&text, "changes are taken over loopback and ipc, and not through a proxy");
    } else {
        code = obey(self, self->loop->word, &text);
    }
    say(self, code, &text);
    follow(self);
}

void
broker_pair_step(struct broker_pair *self, struct broker_event *event, const struct inbox *inbox)
{
    if (pair_follower_is_vote(&self->follower, event->record)) {
        (void)bstar_may_serve(self->half, self->loop->now_ns);
        self->is_stirred = true;
        follow(self);
    }
    broker_loop_step(self->loop, event);
    if (self->loop->is_asked)
        answer(self, inbox);
    if (self->loop->is_fenced) {
        self->loop->is_fenced = false;
        bstar_fenced(self->half, self->loop->now_ns);
        self->is_stirred = true;
        follow(self);
    }
}
