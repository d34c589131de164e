// bstar_log.h - what changes in a pair, one line each.

#ifndef GALLEON_BSTAR_LOG_H
#define GALLEON_BSTAR_LOG_H

#include "bstar_core.h"

// bstar_log_effects writes the lines of a step: changes of state, alarms, the operator's vote.
void bstar_log_effects(const struct bstar_core *core, const struct bstar_effects *effects);

// What was said last of who is silent.
struct bstar_silences {
    uint64_t began_ns; // nobody is silent before he had time to speak
    bool is_peer_silent;
    bool is_witness_silent;
    // the witness
    bool is_joined;         // it is connected,
    uint64_t joined_ns;     // or is not, since then
    uint64_t asked_ns;      // it was asked, and has not answered since; 0: it has
    uint64_t asked_last_ns; // again
    uint64_t gaps;          // of ours, until now
    // guarded: nobody serves
    uint64_t unserved_ns;     // since then, as far as we hear; 0: somebody does
    const char *unserved_why; // was said; NULL: nothing
};

// bstar_log_asked notes that the witness is asked something that it answers.
void bstar_log_asked(struct bstar_silences *self, uint64_t now_ns);
// bstar_log_silences writes a line when somebody falls silent, or is heard again, and when nobody
// serves for long.
void bstar_log_silences(struct bstar_silences *self, const struct bstar_core *core, bool is_joined);

// How many messages were dropped, for each reason.
struct bstar_strangers {
    uint64_t seen[BSTAR_FAULTS];
    uint64_t said[BSTAR_FAULTS];    // of them
    uint64_t said_ns[BSTAR_FAULTS]; // when; 0: never
};

// bstar_log_strangers is called after each message that may have been dropped, with the node that
// it names: a line at once, and for each reason one in a minute, whoever sends.
void bstar_log_strangers(struct bstar_strangers *self, const struct bstar_core *core,
                         uint64_t node);

#endif
