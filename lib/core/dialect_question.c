// dialect_question.c - ask twice, wait a second each time, take what comes.

#include "dialect_question.h"

#include "mdp_wire.h"
#include "must.h"

static const uint64_t patience_ns = 1000 * 1000000ull;
// A socket that has just said it is connected may still refuse the first message.
static const uint64_t unsent_ns = 10 * 1000000ull;

enum { QUESTIONS_MAX = 2 };

#define QUESTION_SERVICE VIEW_LITERAL("mmi.dialects")

void
dialect_question_init(struct dialect_question *self)
{
    *self = (struct dialect_question){.due_ns = UINT64_MAX, .result = MDP_AUTO};
}

void
dialect_question_up(struct dialect_question *self, uint64_t now_ns)
{
    self->is_up = true;
    self->asked = 0;
    self->due_ns = now_ns;
}

void
dialect_question_down(struct dialect_question *self)
{
    self->is_up = false;
    self->due_ns = UINT64_MAX;
}

enum dialect_next
dialect_question_next(struct dialect_question *self, uint64_t now_ns)
{
    if (self->result != MDP_AUTO)
        return DIALECT_KNOWN;
    if (!self->is_up || now_ns < self->due_ns)
        return DIALECT_WAIT;
    if (self->asked == QUESTIONS_MAX) {
        // "1 s after the question could be sent, asked twice, the library goes on in 0.1."
        self->result = MDP_01;
        return DIALECT_KNOWN;
    }
    self->asked++;
    self->due_ns = now_ns + patience_ns;
    return DIALECT_ASK;
}

void
dialect_question_unsent(struct dialect_question *self, uint64_t now_ns)
{
    must(self->asked > 0);
    self->asked--;
    self->due_ns = self->is_up ? now_ns + unsent_ns : UINT64_MAX;
}

uint64_t
dialect_question_deadline(const struct dialect_question *self)
{
    return self->result != MDP_AUTO ? 0 : self->due_ns;
}

// has_word: is it one of the words of a text, parted by spaces?
static bool
has_word(struct view text, struct view word)
{
    size_t start = 0;
    for (size_t at = 0; at <= text.size; at++) {
        if (at < text.size && text.data[at] != ' ')
            continue;
        if (view_equals(view_of(text.data + start, at - start), word))
            return true;
        start = at + 1;
    }
    return false;
}

void
dialect_question_answer(struct dialect_question *self, const struct mdp_record *record)
{
    if (self->result != MDP_AUTO || record->fault != MDP_SOUND || record->command != MDP_FINAL ||
        record->side != MDP_CLIENT_SIDE || record->dialect != MDP_01)
        return;
    // Nothing else was asked on this socket, so whatever answers is the answer: "a stock
    // broker says 501", and others say what they like.
    self->result = MDP_01;
    size_t cursor = 0;
    struct view code;
    struct view words;
    if (view_equals(record->service, QUESTION_SERVICE) &&
        mdp_body_next(&record->body, &cursor, &code) && view_equals(code, VIEW_LITERAL("200")) &&
        mdp_body_next(&record->body, &cursor, &words) && has_word(words, VIEW_LITERAL("g1")))
        self->result = MDP_G1;
}

struct mdp_record
dialect_question_record(void)
{
    static const struct view one_empty_frame[1] = {{(const uint8_t *)"", 0}};
    return (struct mdp_record){
        .dialect = MDP_01,
        .side = MDP_CLIENT_SIDE,
        .command = MDP_REQUEST,
        .service = QUESTION_SERVICE,
        .body = mdp_body_of(one_empty_frame, 1),
    };
}
