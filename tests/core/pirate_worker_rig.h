// pirate_worker_rig.h - a pirate worker's core with nothing around it: a clock to turn, a queue
// to play.
//
// After each step the rig carries out the effects: it keeps what was sent and delivered, tells
// the core that the socket took it (or refused it, where the test wants that), follows the
// cargo, and audits the core.

#ifndef GALLEON_PIRATE_WORKER_RIG_H
#define GALLEON_PIRATE_WORKER_RIG_H

#include "pirate_worker_core.h"

enum { RIG_LOG_MAX = 1024, RIG_TEXT_MAX = 4096 };

struct rig_sent {
    uint64_t at_ns;
    size_t connection; // 1 being the first
    enum pirate_kind says;
    char head[RIG_TEXT_MAX]; // frames, in hex, parted by blanks; - is an empty one
    char body[64];
};

struct rig {
    struct pirate_worker_core *core;
    struct pirate_worker_config config;
    uint64_t now_ns;
    struct rig_sent sent[RIG_LOG_MAX];
    size_t sent_count;
    bool is_open;     // between OPEN and CLOSE
    bool is_refusing; // the socket takes nothing
    bool is_wanted;   // the application waits for a request
    size_t opened;    // times
    uint64_t opened_at_ns;
    size_t lost; // answers, in all
    size_t live; // cargo that was not given back
    size_t effects_most;
    char body[64]; // of the request last delivered
    size_t facts[4];
};

// rig_new makes a rig at 1 s on its clock: heartbeat 1000 ms, liveness 3, back-off 100 to
// 10,000 ms. Change `config` before rig_start.
struct rig *rig_new(enum pirate_dialect dialect);
void rig_start(struct rig *self);
// rig_free stops the worker, and checks that all cargo came back.
void rig_free(struct rig *self);
// rig_serve starts it and takes it through READY.
struct rig *rig_serve(enum pirate_dialect dialect);

void rig_event(struct rig *self, enum pirate_worker_event_kind kind);
// rig_wait turns the clock and says TICK whenever it is due; rig_sleep turns it while nobody is
// in the library.
void rig_wait(struct rig *self, uint64_t ms);
void rig_sleep(struct rig *self, uint64_t ms);
// rig_come_back waits for the next connection, and it is up.
void rig_come_back(struct rig *self);

// What the queue says. A request comes from a client of this name.
void rig_hear(struct rig *self, const struct pirate_message *message, const char *body);
void rig_hear_beat(struct rig *self);
void rig_hear_fault(struct rig *self, enum pirate_fault fault);
void rig_hear_request(struct rig *self, const char *client, const char *body);
// rig_hear_frames is a message as it stands at the worker's socket.
enum pirate_fault rig_hear_frames(struct rig *self, const struct view *frames, size_t count);

// rig_take is true where a request was delivered; rig_answer false where its answer was lost at
// once.
bool rig_take(struct rig *self);
bool rig_answer(struct rig *self, const char *body);

// rig_last is the last message sent; rig_count counts those of a kind.
const struct rig_sent *rig_last(const struct rig *self);
size_t rig_count(const struct rig *self, enum pirate_kind kind);

const struct pirate_worker_counters *rig_counters(const struct rig *self);

#endif
