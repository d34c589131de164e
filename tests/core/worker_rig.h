// worker_rig.h - a worker core with nothing around it: a clock to turn, brokers to play.
//
// After each step the rig carries out the effects: it keeps what was sent, delivered
// and lost, follows the cargo, and audits the core. What was sent stays unconfirmed
// until rig_sent or rig_unsent.

#ifndef GALLEON_WORKER_RIG_H
#define GALLEON_WORKER_RIG_H

#include "worker_core.h"

enum { RIG_LOG_MAX = 8192, RIG_TEXT_MAX = 512, RIG_BROKERS = 4 };

struct rig_cargo {
    char text[RIG_TEXT_MAX]; // frames, parted by |
};

struct rig_sent {
    uint64_t at_ns;
    uint32_t broker;
    size_t connection; // the broker's first, second and so on, 1 being the first
    bool has_delimiter;
    struct mdp_record record; // its views are not good any more
    uint64_t token;
    char service[64];
    char address[64];
    char body[RIG_TEXT_MAX];
    struct rig_cargo *cargo; // until it is confirmed
    bool is_open;            // not confirmed
};

struct rig {
    struct worker_core *core;
    struct worker_config config;
    uint64_t now_ns;
    struct rig_sent sent[RIG_LOG_MAX];
    size_t sent_count;
    bool is_connected[RIG_BROKERS]; // between OPEN and CLOSE
    size_t opened[RIG_BROKERS];     // times
    uint64_t opened_at_ns[RIG_BROKERS];
    char routing_id[RIG_BROKERS][32];
    size_t lost; // answers, in all
    size_t live; // cargo that was not given back
    size_t effects_most;
    uint64_t token; // of the last request delivered
    char body[RIG_TEXT_MAX];
    uint32_t attempt;
    uint32_t tickets; // used
};

// rig_new makes a rig at 1 s on its clock: heartbeat 1000 ms, liveness 3, back-off 100 to
// 10,000 ms, credit 1, service echo, one broker. Change `config` before rig_start.
struct rig *rig_new(mdp_dialect_t dialect);
void rig_start(struct rig *self);
// rig_free stops the worker, and checks that all cargo came back.
void rig_free(struct rig *self);

// rig_serve starts it and takes it through READY to the first heartbeat.
struct rig *rig_serve(mdp_dialect_t dialect, uint32_t credit);

void rig_up(struct rig *self, uint32_t broker);
void rig_down(struct rig *self, uint32_t broker);
// rig_wait turns the clock and says TICK whenever it is due.
void rig_wait(struct rig *self, uint64_t ms);
// rig_sleep turns the clock while nobody is in the library.
void rig_sleep(struct rig *self, uint64_t ms);
void rig_tick(struct rig *self);

// What the broker says, in the dialect of the rig's config. A request's ticket, and its
// address, is its number.
void rig_hear(struct rig *self, uint32_t broker, const struct mdp_record *record, const char *body);
void rig_hear_command(struct rig *self, uint32_t broker, enum mdp_command command);
void rig_hear_fault(struct rig *self, uint32_t broker, enum mdp_fault fault);
void rig_hear_request(struct rig *self, uint32_t broker, uint32_t number, const char *body);

// rig_take is true where a request was delivered: token, body, attempt.
bool rig_take(struct rig *self);
// rig_answer, _partial and _fail return false where the answer was lost at once.
bool rig_answer(struct rig *self, uint64_t token, const char *body);
bool rig_partial(struct rig *self, uint64_t token, const char *body);
bool rig_fail(struct rig *self, uint64_t token, int status, const char *text);

// rig_sent says that the socket took all that was sent to the broker; rig_unsent, that it
// refused all that is not confirmed, last first.
void rig_sent(struct rig *self, uint32_t broker);
void rig_unsent(struct rig *self, uint32_t broker);
void rig_event(struct rig *self, enum worker_event_kind kind);

// rig_wait_until_open waits for the next connection to the broker, so long at most;
// rig_come_back takes a worker that has lost its first broker through READY.
void rig_wait_until_open(struct rig *self, uint32_t broker, uint64_t ms_max);
void rig_come_back(struct rig *self);
// rig_hear_dialects is the answer to the question for the dialect; words may be empty.
void rig_hear_dialects(struct rig *self, const char *code, const char *words);

// rig_last is the last record sent, NULL where there is none; rig_count counts those of a
// command.
const struct rig_sent *rig_last(const struct rig *self);
size_t rig_count(const struct rig *self, enum mdp_command command);
// rig_find is the n-th record sent of a command, 0 being the first.
const struct rig_sent *rig_find(const struct rig *self, enum mdp_command command, size_t n);

#endif
