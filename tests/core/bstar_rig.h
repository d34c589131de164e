// bstar_rig.h - one core by itself, a clock, and what it did last.

#ifndef GALLEON_BSTAR_RIG_H
#define GALLEON_BSTAR_RIG_H

#include "bstar_core.h"

enum { RIG_PAIR = 7, RIG_NODE = 20, RIG_PEER = 10, RIG_WITNESS = 30 };

struct bstar_rig {
    struct bstar_core core;
    struct bstar_effects effects; // of the last step
    uint64_t now_ns;
    uint64_t peer_progress; // goes on with each beat
};

// rig_config is a default of the mode, with what names us.
struct bstar_config rig_config(enum bstar_mode mode, bool is_primary);
void rig_start(struct bstar_rig *self, const struct bstar_config *config);

// rig_step sends an event at the rig's time.
void rig_step(struct bstar_rig *self, struct bstar_event event);
void rig_say(struct bstar_rig *self, enum bstar_event_kind kind);
// rig_wait lets time go on, with a TICK at each deadline on the way and one at the end.
void rig_wait(struct bstar_rig *self, uint64_t ms);
// rig_sleep lets time go on, and nothing happens.
void rig_sleep(struct bstar_rig *self, uint64_t ms);

// rig_has counts effects of a kind in the last step; rig_effect is the first, which is there.
size_t rig_has(const struct bstar_rig *self, enum bstar_effect_kind kind);
const struct bstar_effect *rig_effect(const struct bstar_rig *self, enum bstar_effect_kind kind);

// ---- classic -----------------------------------------------------------------------------------

// rig_hear gives it a beat of the peer, in the other role.
void rig_hear(struct bstar_rig *self, enum bstar_digit digit, uint64_t epoch);

// ---- guarded -----------------------------------------------------------------------------------

// rig_load gives a record of nobody, or of this epoch and holder.
void rig_load(struct bstar_rig *self, uint64_t epoch, uint64_t holder);
// rig_message is from a half in PASSIVE where it does not say otherwise.
void rig_message(struct bstar_rig *self, enum bstar_sender sender, struct bstar_message message);
// rig_hear_beat gives it a beat of the peer.
void rig_hear_beat(struct bstar_rig *self, enum guarded_state state, uint64_t epoch);
// rig_reply answers the newest round.
void rig_reply(struct bstar_rig *self, enum bstar_sender sender, enum bstar_command command,
               uint32_t left_ms);
// rig_elect waits until a half that is PASSIVE asks, and lets the witness elect it.
void rig_elect(struct bstar_rig *self);

#endif
