// dialect_question.h - which dialect does this broker speak?
//
// Setting `auto` of workers and clients: ask `mmi.dialects` in 0.1 form on a
// socket of its own, before any other is opened. Who answers 200 and names the
// word g1 is spoken to in G1, everybody else in 0.1, and so is who says nothing
// within a second, asked twice. Time runs only while the connection is up: a
// broker that is not there yet is not one without MMI.
//
// A plain value: no heap, no clock, no socket. On a new socket
//
//     dialect_question_init(&question);
//     when the connection is made, or cut:  dialect_question_up, _down
//     for each message that it can decode:  dialect_question_answer
//     after each of these, and at dialect_question_deadline:
//         switch (dialect_question_next(&question, now_ns)) ...
//
// Spec: docs/protocol/mdp-g1.md, Falling back

#ifndef GALLEON_DIALECT_QUESTION_H
#define GALLEON_DIALECT_QUESTION_H

#include "mdp_record.h"

enum dialect_next {
    DIALECT_WAIT, // for an answer, or for the deadline
    DIALECT_ASK,  // send dialect_question_record() now
    DIALECT_KNOWN // dialect_question_result(): close the socket
};

struct dialect_question {
    bool is_up;
    uint32_t asked;       // since the connection is up
    uint64_t due_ns;      // ask again, or give up
    mdp_dialect_t result; // MDP_AUTO until it is known
};

void dialect_question_init(struct dialect_question *self);

// dialect_question_up: the connection is made. dialect_question_down: it is cut,
// and what was asked over it is forgotten.
void dialect_question_up(struct dialect_question *self, uint64_t now_ns);
void dialect_question_down(struct dialect_question *self);

// dialect_question_next says what to do now. ASK counts as asked; where the socket
// refuses the question, say dialect_question_unsent.
enum dialect_next dialect_question_next(struct dialect_question *self, uint64_t now_ns);
void dialect_question_unsent(struct dialect_question *self, uint64_t now_ns);

// dialect_question_answer takes a record off the socket. One that has a fault or
// is no answer changes nothing.
void dialect_question_answer(struct dialect_question *self, const struct mdp_record *record);

// dialect_question_deadline is when to ask for what is next, UINT64_MAX for never.
uint64_t dialect_question_deadline(const struct dialect_question *self);

// dialect_question_record is the question, its one empty body frame included. It
// is sent with a delimiter.
struct mdp_record dialect_question_record(void);

// dialect_question_result is MDP_G1 or MDP_01, MDP_AUTO while it is not known.
static inline mdp_dialect_t
dialect_question_result(const struct dialect_question *self)
{
    return self->result;
}

#endif
