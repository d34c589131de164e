// client_rig.h - a client core with nothing around it: a clock to turn, brokers to play.
//
// After each step the rig carries out the effects: it keeps what was sent and what
// was answered, follows the cargo, and audits the core.

#ifndef GALLEON_CLIENT_RIG_H
#define GALLEON_CLIENT_RIG_H

#include "client_core.h"

enum { RIG_LOG_MAX = 8192, RIG_TEXT_MAX = 256 };

struct rig_cargo {
    char text[RIG_TEXT_MAX]; // frames, parted by |
};

struct rig_sent {
    uint64_t at_ns;
    uint32_t endpoint;
    size_t connection; // the endpoint's first, second and so on
    enum mdp_command command;
    mdp_dialect_t dialect;
    uint64_t id;
    uint64_t token;
    uint32_t ttl_ms;
    uint8_t flags;
    bool has_delimiter;
    char service[RIG_TEXT_MAX];
    char body[RIG_TEXT_MAX];
};

struct rig_answer {
    uint64_t at_ns;
    uint64_t id;
    int result;
    int status;
    uint32_t seq;
    char text[RIG_TEXT_MAX];
    char body[RIG_TEXT_MAX];
};

struct rig {
    struct client_core *core;
    struct client_config config;
    uint64_t now_ns;
    struct rig_sent sent[RIG_LOG_MAX];
    size_t sent_count;
    struct rig_answer answers[RIG_LOG_MAX];
    size_t answer_count;
    bool is_open[CLIENT_ENDPOINTS_MAX];
    size_t opened[CLIENT_ENDPOINTS_MAX]; // times
    size_t live;                         // cargo that was not given back
    bool is_out_of_memory;               // for parts of answers
};

// rig_begin makes a rig of `endpoints` brokers named "a", "b" and so on, at 1 s on its
// clock: timeout 2500 ms, 3 attempts, deadline 7500 ms, window 1000. Change `config`
// in between.
struct rig *rig_new(mdp_dialect_t dialect, size_t endpoints);
void rig_start(struct rig *self);
// rig_free cancels what is open, and checks that all cargo came back.
void rig_free(struct rig *self);

// rig_until turns the clock to that many milliseconds after the start, with a TICK
// whenever the core asks for one.
void rig_until(struct rig *self, uint64_t ms);
uint64_t rig_ms(const struct rig *self);

uint64_t rig_call(struct rig *self, const char *service);
void rig_step(struct rig *self, struct client_event event);
void rig_up(struct rig *self, uint32_t endpoint);
void rig_down(struct rig *self, uint32_t endpoint);
void rig_cancel(struct rig *self, uint64_t id);
void rig_unsent(struct rig *self, const struct rig_sent *sent);
void rig_record(struct rig *self, uint32_t endpoint, const struct mdp_record *record);

// G1, with a body of one frame.
void rig_final(struct rig *self, uint32_t endpoint, uint64_t id, uint16_t status, uint16_t parts,
               const char *body);
void rig_partial(struct rig *self, uint32_t endpoint, uint64_t id, uint32_t seq, const char *body);
// 0.1 and 0.2.
void rig_reply(struct rig *self, uint32_t endpoint, mdp_dialect_t dialect, enum mdp_command command,
               const char *service, const char *body);

// rig_forget empties what was kept.
void rig_forget(struct rig *self);
const struct rig_sent *rig_last_sent(const struct rig *self);
const struct rig_answer *rig_last_answer(const struct rig *self);

// rig_serving is one whose first broker is connected, in G1; rig_that_hands_out is too, and does
// not gather parts.
struct rig *rig_serving(size_t endpoints);
struct rig *rig_that_hands_out(size_t endpoints);
size_t rig_count_sent(const struct rig *rig, enum mdp_command command, uint32_t endpoint);
// rig_assert_answer is about the last one.
void rig_assert_answer(const struct rig *rig, uint64_t id, int result, int status,
                       const char *body);

#endif
