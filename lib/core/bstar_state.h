// bstar_state.h - what the files of bstar_core share.

#ifndef GALLEON_BSTAR_STATE_H
#define GALLEON_BSTAR_STATE_H

#include "bstar_core.h"
#include "later.h"
#include "must.h"

static const uint64_t BSTAR_NEVER = UINT64_MAX;

// ---- tables ----------------------------------------------------------------------------

struct bstar_table_view {
    size_t rows;
    size_t states;
    const char *(*row)(size_t row);
    const char *(*state)(size_t state);
    const char *(*cell)(size_t row, size_t state);
    void (*run)(struct bstar_core *core, size_t row);
};

// ---- bstar_core.c ----------------------------------------------------------------------

struct bstar_effect *bstar_add_effect(struct bstar_core *self, enum bstar_effect_kind kind);
void bstar_add_fact(struct bstar_core *self, bool is_voter, size_t row, uint8_t was, uint8_t is);
// bstar_change tells of a change of state, where there is one.
void bstar_change(struct bstar_core *self, uint8_t was, uint8_t is, uint64_t epoch);
void bstar_accept(struct bstar_core *self);
void bstar_decline(struct bstar_core *self, const char *why, uint64_t wait_ns);
void bstar_refuse(struct bstar_core *self, const char *why);
void bstar_alarm(struct bstar_core *self, const char *why);
void bstar_exit(struct bstar_core *self);

// bstar_heard notes a sign of life. Where the progress that the peer shows stands still, the
// sign is its beat thread's only.
void bstar_heard(struct bstar_core *self, struct bstar_peer *peer, bool shows_progress,
                 uint64_t progress);
bool bstar_is_silent(const struct bstar_core *self, const struct bstar_peer *peer);

// bstar_later is a time from now, or never.
static inline uint64_t
bstar_later(const struct bstar_core *self, uint64_t by_ns)
{
    return later_ns(self->now_ns, by_ns);
}

// bstar_has_other_lease: who says this has another LEASE than we; an older member does not say.
bool bstar_has_other_lease(const struct bstar_core *self, const struct bstar_message *message);

// bstar_lease_ms is our LEASE as it is said.
static inline uint32_t
bstar_lease_ms(const struct bstar_core *self)
{
    return (uint32_t)(self->config.lease_ns / 1000000);
}

static inline uint64_t
bstar_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t
bstar_smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// ---- bstar_classic.c -------------------------------------------------------------------

void bstar_classic_init(struct bstar_core *self);
void bstar_classic_gap(struct bstar_core *self);
void bstar_classic_event(struct bstar_core *self, const struct bstar_event *event);
void bstar_classic_tick(struct bstar_core *self);
extern const struct bstar_table_view bstar_classic_view;

// ---- bstar_guarded.c -------------------------------------------------------------------

void bstar_guarded_init(struct bstar_core *self);
void bstar_guarded_gap(struct bstar_core *self);
// bstar_guarded_judge looks at our own lease.
void bstar_guarded_judge(struct bstar_core *self);
void bstar_guarded_event(struct bstar_core *self, const struct bstar_event *event);
void bstar_guarded_tick(struct bstar_core *self);
uint64_t bstar_guarded_deadline(const struct bstar_core *self);
extern const struct bstar_table_view bstar_guarded_view;

// ---- bstar_voter.c ---------------------------------------------------------------------

enum voter_verdict {
    VOTER_SILENT, // no reply
    VOTER_YES,
    VOTER_NO,
    VOTER_STORES // STORE was asked for: yes when it is written
};

// voter_load begins with a record: for one LEASE as if it had just been granted.
void voter_load(struct bstar_core *self, const struct bstar_record *record);
// voter_mute is for a half in FAULT, and a record that failed.
void voter_mute(struct bstar_core *self);
// voter_request judges ASK, VOTE, RENEW and RELEASE.
enum voter_verdict voter_request(struct bstar_core *self, const struct bstar_message *message,
                                 uint64_t route);
// voter_stored ends a write: the record stands, and is held from now on.
void voter_stored(struct bstar_core *self);
void voter_unstored(struct bstar_core *self);
void voter_malformed(struct bstar_core *self);
// voter_advance frees a hold that has run out.
void voter_advance(struct bstar_core *self);
// voter_deadline is when its wait or hold runs out; while it writes, that has to wait for the disk.
uint64_t voter_deadline(const struct bstar_core *self);
uint64_t voter_left_ns(const struct bstar_core *self);
// voter_answer adds the REPLY that a verdict makes of a request.
void voter_answer(struct bstar_core *self, enum voter_verdict verdict, struct bstar_nonce nonce,
                  uint64_t epoch, uint64_t route);

void bstar_witness_event(struct bstar_core *self, const struct bstar_event *event);
extern const struct bstar_table_view bstar_voter_view;

#endif
