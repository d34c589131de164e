// broker_pair.c - votes, changes, the operator's words, and a gate in front of the socket.
//
// The half decides and the core obeys, and neither is called from within the other: what the half
// asks for in a hook is noted, and done when it has returned.

#include "broker_pair.h"

#include "connection.h"
#include "service_name.h"

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
    self->must_finish = self->owes_drained = true;
}

static void
on_drop(void *context)
{
    struct broker_pair *self = context;
    self->must_drop = self->owes_drained = true;
}

// may_send asks the half with a fresh reading of the clock: it may have stood still since the turn
// began, for longer than its lease.
static bool
may_send(void *context, bool is_request)
{
    const struct broker_pair *self = context;
    uint64_t now_ns = galleon_now_ns();
    if (self->phase == PAIR_FINISHES && !is_request)
        return bstar_may_finish(self->half, now_ns);
    return bstar_is_serving(self->half, now_ns);
}

// ---- what the half says, the core does --------------------------------------------------

static struct view
text_of_503(const struct broker_pair *self)
{
    const char *text = self->is_in_fault ? bstar_why(self->half) : self->redirect;
    return view_of(text, strlen(text));
}

// end_reign has the core finish or hold.
static void
end_reign(struct broker_pair *self, enum pair_phase phase)
{
    struct broker_event event = {.kind = phase == PAIR_HOLDS ? BROKER_HOLD : BROKER_FINISH};
    self->is_in_fault = bstar_state(self->half) == BSTAR_FAULT;
    event.text = text_of_503(self);
    self->phase = phase;
    self->loop->is_quiet = false;
    broker_loop_step(self->loop, &event);
}

static void
begin_reign(struct broker_pair *self)
{
    struct broker_event event = {.kind = BROKER_SERVE};
    self->stamp = (struct bstar_stamp){0};
    event.has_epoch = bstar_stamp(self->half, &self->stamp);
    event.pair = self->stamp.pair;
    event.epoch = self->stamp.epoch;
    self->phase = PAIR_SERVES;
    self->loop->is_quiet = false;
    broker_loop_step(self->loop, &event);
}

// is_over: what the core does, it may not do any longer.
static bool
is_over(const struct broker_pair *self)
{
    uint64_t now_ns = self->loop->now_ns;
    struct bstar_stamp stamp = {0};
    switch (self->phase) {
    case PAIR_SERVES:
        (void)bstar_stamp(self->half, &stamp);
        return !bstar_is_serving(self->half, now_ns) || stamp.epoch != self->stamp.epoch;
    case PAIR_FINISHES:
        return !bstar_may_finish(self->half, now_ns);
    case PAIR_HOLDS:
        break;
    }
    return (bstar_state(self->half) == BSTAR_FAULT) != self->is_in_fault;
}

// may_begin: it serves, and nothing of its last reign is left.
static bool
may_begin(const struct broker_pair *self)
{
    return self->phase == PAIR_HOLDS && self->loop->is_quiet && !self->owes_drained &&
           !self->is_leaving && bstar_is_serving(self->half, self->loop->now_ns);
}

// follow_once makes one change; false: there is none to make.
static bool
follow_once(struct broker_pair *self)
{
    if (self->phase == PAIR_FINISHES && self->loop->is_quiet)
        self->phase = PAIR_HOLDS; // the core holds once it has finished
    if (self->must_drop) {
        self->must_drop = self->must_finish = false;
        end_reign(self, PAIR_HOLDS);
    } else if (self->must_finish) {
        self->must_finish = false;
        end_reign(self, self->phase == PAIR_SERVES ? PAIR_FINISHES : PAIR_HOLDS);
    } else if (is_over(self)) {
        end_reign(self, PAIR_HOLDS);
    } else if (may_begin(self)) {
        begin_reign(self);
    } else {
        return false;
    }
    return true;
}

static void
follow(struct broker_pair *self)
{
    for (int i = 0; i < CHANGES_MAX && follow_once(self); i++)
        continue;
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
    end_reign(self, PAIR_HOLDS); // so that it knows the text of 503
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
    if (!self->is_leaving)
        bstar_stop(self->half, self->loop->now_ns);
    self->is_leaving = self->is_stirred = true;
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
    if (self->loop->is_drain_asked && !self->has_left)
        leave(self);
    follow(self);
}

void
broker_pair_end_turn(struct broker_pair *self)
{
    broker_loop_end_turn(self->loop);
    // Only now: an answer that is packed but not sent yet would be withheld once the half knows.
    bool is_asked = self->must_drop || self->must_finish; // meanwhile, and not obeyed yet
    bool is_done = self->owes_drained && self->loop->is_quiet && !is_asked;
    if (is_done) {
        self->owes_drained = false;
        bstar_drained(self->half, self->loop->now_ns);
    }
    bool has_gone = self->is_leaving && !self->has_left && bstar_is_over(self->half);
    if (has_gone)
        self->has_left = self->loop->is_drain_asked = true;
    if (is_done || has_gone || is_asked)
        self->loop->wake_ns = 0;
    else if (self->is_stirred)
        self->loop->wake_ns = bstar_deadline(self->half);
    self->is_stirred = false;
}

// ---- records ----------------------------------------------------------------------------

// is_vote: "a well-formed client REQUEST in any dialect whose service does not begin with mmi."
static bool
is_vote(const struct mdp_record *record)
{
    return record->side == MDP_CLIENT_SIDE && record->command == MDP_REQUEST &&
           record->fault == MDP_SOUND && !service_name_is_reserved(record->service);
}

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
    if (self->phase == PAIR_HOLDS && !self->is_leaving && is_vote(event->record)) {
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
