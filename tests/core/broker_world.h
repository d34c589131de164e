// broker_world.h - a broker core with a clock of its own, and a record of what it sends.
//
// Tests say things to the core as peers would ("W1 is ready for echo") and look at
// what came out. Cargo is real memory, so a body that is lost is a leak and one
// that is let go twice is an error of the sanitizer's.

#ifndef GALLEON_BROKER_WORLD_H
#define GALLEON_BROKER_WORLD_H

#include "broker_core.h"

enum { WORLD_SENT_MAX = 4096 };

// A message that the core sent, copied.
struct sent {
    char to[256]; // the routing id, as text where it is text
    size_t to_bytes;
    size_t stack_bytes;
    bool has_delimiter;
    bool keeps_cargo;
    bool had_cargo; // which was given away with it
    bool is_of_reign;
    uint64_t token;
    uint32_t silence_ms;
    struct broker_connection connection;
    void *cargo; // kept by the core still, where keeps_cargo
    uint32_t route_number;
    uint64_t route_serial;
    struct mdp_record record; // its views are not to be used
    char service[256];
    char fields[256]; // of the core's own; those of the cargo are behind them
    size_t frames;
    char body[1024]; // frames joined by '|'
};

struct world {
    struct broker_config config;
    void *memory;
    struct broker_core *core;
    struct broker_effects effects;
    uint64_t now_ns;
    struct sent *sent;
    size_t sent_count;
    uint64_t cargo_live;
    bool is_stopped;
    uint32_t quiet;  // times that QUIET was said
    uint32_t fenced; // times that FENCED was said
    uint32_t asked;  // questions about the pair
    enum broker_word word;
    bool is_large;                       // an audit of each step would take too long
    struct broker_connection connection; // that records come over
    bool is_manual;                      // do not tick until nothing is due after each step
};

// world_config is a broker with small limits: heartbeat 1000 ms, liveness 3.
struct broker_config world_config(void);

void world_init(struct world *self, const struct broker_config *config);
// world_release drains the core, and checks that all cargo came back.
void world_release(struct world *self);

void world_step(struct world *self, struct broker_event *event);
// world_tick sends TICK until nothing is due any more.
void world_tick(struct world *self);
// world_pass lets time pass, with a TICK at each deadline.
void world_pass(struct world *self, uint64_t ms);
// world_sleep lets time pass as if our process had been stopped, then ticks.
void world_sleep(struct world *self, uint64_t ms);

// world_message hands over one message as the ROUTER gives it.
void world_message(struct world *self, const struct view *frames, size_t count);

// world_record hands over one record.
void world_record(struct world *self, const struct mdp_envelope *from,
                  const struct mdp_record *record);

// world_configure begins again with other limits.
void world_configure(struct world *self, const struct broker_config *config);

// What peers say. An id is a short text. A body is its frames joined by '|', NULL: no
// frames. A 0.1 peer sends a delimiter, and others where world_say_behind says so.
void world_say_behind(struct world *self, const struct mdp_envelope *from, struct mdp_record record,
                      const char *body);
void world_say(struct world *self, const char *id, struct mdp_record record, const char *body);
void world_ready(struct world *self, const char *id, mdp_dialect_t dialect, const char *service,
                 uint32_t credit);
void world_request(struct world *self, const char *id, mdp_dialect_t dialect, const char *service,
                   uint64_t request_id, const char *body);
// world_answer answers what was sent to a worker.
void world_answer(struct world *self, const char *id, const struct sent *request, const char *body);
// world_final is the same with a status, and how many PARTIALs came before it.
void world_final(struct world *self, const char *id, const struct sent *request, uint16_t status,
                 uint16_t parts, const char *body);
void world_partial(struct world *self, const char *id, const struct sent *request, uint32_t seq,
                   const char *body);
// world_bare says a command without contents, such as HEARTBEAT, DISCONNECT or DRAIN.
void world_bare(struct world *self, const char *id, mdp_dialect_t dialect,
                enum mdp_command command);
void world_cancel(struct world *self, const char *id, uint64_t request_id);

// world_unsent gives a message back as refused.
void world_unsent(struct world *self, const struct sent *sent, bool is_gone);
// world_cut says that the connection of a peer is gone: its next HEARTBEAT is refused.
void world_cut(struct world *self, const char *id);
// world_withhold gives a message back that was ours not to send.
void world_withhold(struct world *self, const struct sent *sent);
void world_drain(struct world *self);

// What is said to a half of a pair. Epoch 0 is none; the text of 503 is `text`.
void world_serve(struct world *self, uint64_t epoch);
void world_finish(struct world *self, const char *text);
void world_hold(struct world *self, const char *text);
void world_said(struct world *self, uint16_t code, const char *text);

// world_find is the nth message of this command to this peer since the last
// world_clear, NULL where there is none.
const struct sent *world_find(const struct world *self, const char *to, enum mdp_command command,
                              size_t nth);
size_t world_count(const struct world *self, const char *to, enum mdp_command command);
void world_clear(struct world *self);
// world_last is the latest of this command to this peer; it fails the test where there is none.
const struct sent *world_last(const struct world *self, const char *to, enum mdp_command command);
// world_status is the status of the latest FINAL to this client, 0 where there is none.
uint16_t world_status(const struct world *self, const char *to);
const struct broker_stats *world_stats(const struct world *self);

// For cmocka: *state is a world with world_config.
int world_set_up(void **state);
int world_tear_down(void **state);
#define world_test(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

#endif
