// bstar_log.c - effects and silences to lines.

#include "bstar_log.h"

#include "log.h"

enum { UNSERVED_LEASES = 4 }; // after which it is said

static enum bstar_table
table_of(const struct bstar_core *core)
{
    return core->config.mode == BSTAR_CLASSIC ? BSTAR_TABLE_CLASSIC : BSTAR_TABLE_GUARDED;
}

// why_of is the row of the table that the change is from.
static const char *
why_of(const struct bstar_core *core, const struct bstar_effects *effects,
       const struct bstar_effect *change)
{
    for (size_t i = 0; i < effects->fact_count; i++) {
        const struct bstar_fact *fact = &effects->facts[i];
        if (!fact->is_voter && fact->was == change->was && fact->is == change->is)
            return bstar_table_row(table_of(core), fact->row);
    }
    // One row ran another: the last of them began it.
    for (size_t i = effects->fact_count; i > 0; i--)
        if (!effects->facts[i - 1].is_voter)
            return bstar_table_row(table_of(core), effects->facts[i - 1].row);
    return "";
}

static bool
is_weighty(const struct bstar_core *core, uint8_t state)
{
    if (core->config.mode == BSTAR_CLASSIC)
        return state == CLASSIC_ACTIVE || state == CLASSIC_HALTED;
    return state == GUARDED_ACTIVE || state == GUARDED_FAULT;
}

static void
log_change(const struct bstar_core *core, const struct bstar_effects *effects,
           const struct bstar_effect *change)
{
    bool is_warning = is_weighty(core, change->was) || is_weighty(core, change->is);
    log_at(is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "PAIR-STATE",
           "was=%s is=%s epoch=%llu why=\"%s\"", bstar_table_state(table_of(core), change->was),
           bstar_table_state(table_of(core), change->is), (unsigned long long)change->epoch,
           why_of(core, effects, change));
}

void
bstar_log_effects(const struct bstar_core *core, const struct bstar_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const struct bstar_effect *effect = &effects->list[i];
        if (effect->kind == BSTAR_DO_CHANGE)
            log_change(core, effects, effect);
        if (effect->kind == BSTAR_DO_ALARM && effect->node != 0)
            log_error("PAIR-ALARM", "why=\"%s\" node=%016llx own=%016llx", effect->why,
                      (unsigned long long)effect->node, (unsigned long long)core->config.node);
        else if (effect->kind == BSTAR_DO_ALARM)
            log_error("PAIR-ALARM", "why=\"%s\"", effect->why);
        if (effect->kind == BSTAR_DO_AUDIT)
            log_warn("PAIR-AUDIT", "what=\"the operator's word is a vote\" epoch=%llu",
                     (unsigned long long)effect->epoch);
    }
}

// ---- the witness ----------------------------------------------------------------------------

void
bstar_log_asked(struct bstar_silences *self, uint64_t now_ns)
{
    if (self->asked_ns == 0)
        self->asked_ns = now_ns;
    self->asked_last_ns = now_ns;
}

// follow_witness: what was asked over a connection that is gone, or before we stood still, may
// have been answered to nobody.
static void
follow_witness(struct bstar_silences *self, const struct bstar_core *core, bool is_joined)
{
    if (self->is_joined != is_joined || self->gaps != core->stats.gaps) {
        self->is_joined = is_joined;
        self->joined_ns = core->now_ns;
        self->gaps = core->stats.gaps;
        self->asked_ns = 0;
    }
    if (core->guarded.is_witness_heard && core->guarded.witness_ns >= self->asked_ns)
        self->asked_ns = 0;
}

// is_witness_back: a half that asks waits for the answer, another for a connection that lasts.
static bool
is_witness_back(const struct bstar_silences *self, const struct bstar_core *core)
{
    bool has_answered =
        core->guarded.is_witness_heard && core->guarded.witness_ns > self->joined_ns;
    bool has_lasted = core->now_ns - self->joined_ns > core->config.lease_ns;
    return self->is_joined && self->asked_ns == 0 && (has_answered || has_lasted);
}

// log_witness: a half that watches asks nothing, and needs the witness all the same when the other
// one is gone: it goes by the connection.
static void
log_witness(struct bstar_silences *self, const struct bstar_core *core, bool is_joined)
{
    uint64_t lease_ns = core->config.lease_ns;
    follow_witness(self, core, is_joined);
    bool is_cut = !is_joined && core->now_ns - self->joined_ns > lease_ns;
    bool is_mute = self->asked_ns != 0 && self->asked_last_ns - self->asked_ns > lease_ns;
    if (!self->is_witness_silent && (is_cut || is_mute)) {
        self->is_witness_silent = true;
        log_warn("PAIR-WITNESS-SILENT", "state=%s lease_ms=%llu why=\"%s\"",
                 bstar_core_state_name(core), (unsigned long long)(lease_ns / 1000000),
                 is_cut ? "not connected" : "connected, and does not answer");
    } else if (self->is_witness_silent && is_witness_back(self, core)) {
        self->is_witness_silent = false;
        log_warn("PAIR-WITNESS-HEARD", "state=%s epoch=%llu", bstar_core_state_name(core),
                 (unsigned long long)bstar_core_epoch(core));
    }
}

// ---- nobody ---------------------------------------------------------------------------------

// is_refused: has a voter just said that it is bound to somebody? He may serve, where we do not
// hear him.
static bool
is_refused(const struct bstar_core *core)
{
    const struct bstar_round *round = &core->guarded.rounds[core->guarded.newest];
    return round->denials != 0 && round->left_ns > 0 &&
           core->now_ns - round->sent_ns < 3 * core->config.lease_ns;
}

// why_nobody is why this half does not serve though no other seems to; NULL: one does, or what
// keeps it is said elsewhere.
static const char *
why_nobody(const struct bstar_silences *self, const struct bstar_core *core)
{
    const struct bstar_guarded *guarded = &core->guarded;
    bool is_peer_silent = bstar_core_peer_is_silent(core);
    bool is_peer_serving = !is_peer_silent && guarded->peer.state == GUARDED_ACTIVE + 1;
    bool is_ours = guarded->state == GUARDED_ACTIVE || guarded->state == GUARDED_DRAINING ||
                   guarded->state == GUARDED_START || guarded->state == GUARDED_FAULT;
    if (is_ours || is_peer_serving || is_refused(core))
        return NULL;
    if (guarded->is_frozen)
        return "it is frozen";
    if (core->now_ns < guarded->hold_off_ns)
        return "it was told to demote";
    if (is_peer_silent && self->is_witness_silent)
        return "the peer is silent, the witness is silent";
    if (is_peer_silent)
        return "the peer is silent, the witness does not grant";
    return self->is_witness_silent ? "the peer does not grant, the witness is silent"
                                   : "neither the peer nor the witness grants";
}

static void
log_nobody(struct bstar_silences *self, const struct bstar_core *core)
{
    const char *why = why_nobody(self, core);
    if (why == NULL) {
        self->unserved_ns = 0;
        self->unserved_why = NULL;
        return;
    }
    if (self->unserved_ns == 0)
        self->unserved_ns = core->now_ns;
    if (why == self->unserved_why ||
        core->now_ns - self->unserved_ns <= UNSERVED_LEASES * core->config.lease_ns)
        return;
    log_warn("PAIR-NOBODY-SERVES", "state=%s why=\"%s\"", bstar_core_state_name(core), why);
    self->unserved_why = why;
}

// ---- the peer -------------------------------------------------------------------------------

void
bstar_log_silences(struct bstar_silences *self, const struct bstar_core *core, bool is_joined)
{
    if (self->began_ns == 0)
        self->began_ns = self->joined_ns = core->now_ns;
    bool is_silent =
        bstar_core_peer_is_silent(core) && core->now_ns - self->began_ns > core->config.patience_ns;
    if (is_silent && !self->is_peer_silent)
        log_warn("PAIR-PEER-SILENT", "state=%s patience_ms=%llu", bstar_core_state_name(core),
                 (unsigned long long)(core->config.patience_ns / 1000000));
    else if (!is_silent && self->is_peer_silent)
        log_warn("PAIR-PEER-HEARD", "state=%s", bstar_core_state_name(core));
    self->is_peer_silent = is_silent;
    if (core->config.mode != BSTAR_GUARDED)
        return;
    log_witness(self, core, is_joined);
    log_nobody(self, core);
}

// ---- strangers ------------------------------------------------------------------------------

// hint_of: what an operator may have done that makes such messages.
static const char *
hint_of(enum bstar_fault fault)
{
    switch (fault) {
    case BSTAR_BAD_PAIR:
        return "another pair, or another --pair-name, is connected to this endpoint";
    case BSTAR_OWN_NODE:
        return "a member that has a copy of our record, or this one itself, is connected";
    case BSTAR_BAD_VERSION:
        return "one half has --pair-guide and the other has not";
    case BSTAR_BAD_SENDER:
        return "a half is where the witness should be, or the reverse";
    case BSTAR_OTHER_LEASE:
        return "--pair-lease is not the same in all members of this pair";
    default:
        return "what is connected here is no member of a pair";
    }
}

void
bstar_log_strangers(struct bstar_strangers *self, const struct bstar_core *core, uint64_t node)
{
    static const uint64_t pause_ns = 60 * UINT64_C(1000000000);
    for (size_t i = BSTAR_SOUND + 1; i < BSTAR_FAULTS; i++) {
        uint64_t count = core->stats.faults[i] - self->said[i];
        bool is_new = core->stats.faults[i] != self->seen[i];
        self->seen[i] = core->stats.faults[i];
        if (!is_new || (self->said_ns[i] != 0 && core->now_ns - self->said_ns[i] < pause_ns))
            continue;
        log_warn("PAIR-MESSAGE-REJECTED", "why=\"%s\" node=%016llx messages=%llu perhaps=\"%s\"",
                 bstar_fault_text((enum bstar_fault)i), (unsigned long long)node,
                 (unsigned long long)count, hint_of((enum bstar_fault)i));
        self->said[i] = core->stats.faults[i];
        self->said_ns[i] = core->now_ns;
    }
}
