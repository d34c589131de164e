// galleon/heartbeat.h - is the peer alive, and is it our turn to speak?
//
// A plain value: no heap, no clock, no socket. Any traffic counts as a beat:
// tell it when you sent something and when you heard something, and ask it what
// to do now. The caller brings the time, on galleon_now_ns's clock or any other
// that only goes forward.

#ifndef GALLEON_HEARTBEAT_H
#define GALLEON_HEARTBEAT_H

#include "status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct heartbeat {
    uint64_t interval_ns; // speak at least this often
    uint64_t patience_ns; // silence longer than this means the peer is lost
    uint64_t spoke_at_ns; // when we last sent anything
    uint64_t heard_at_ns; // when we last received anything
} heartbeat_t;

typedef enum {
    HEARTBEAT_REST,  // nothing to do before heartbeat_deadline()
    HEARTBEAT_SPEAK, // send a beat, then call heartbeat_spoke()
    HEARTBEAT_LOST   // the peer has been silent for too long
} heartbeat_verdict_t;

// heartbeat_init starts both timers at now_ns; patience is interval * liveness.
GALLEON_API void heartbeat_init(heartbeat_t *self, uint64_t interval_ns, uint32_t liveness,
                                uint64_t now_ns);
GALLEON_API void heartbeat_spoke(heartbeat_t *self, uint64_t now_ns);
GALLEON_API void heartbeat_heard(heartbeat_t *self, uint64_t now_ns);

// heartbeat_check judges without changing anything; LOST outranks SPEAK.
GALLEON_API heartbeat_verdict_t heartbeat_check(const heartbeat_t *self, uint64_t now_ns);

// heartbeat_deadline returns when heartbeat_check next stops saying REST.
GALLEON_API uint64_t heartbeat_deadline(const heartbeat_t *self);

#ifdef __cplusplus
}
#endif

#endif
