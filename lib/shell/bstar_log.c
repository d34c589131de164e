// bstar_log.c - effects and silences to lines.

#include "bstar_log.h"

#include "log.h"

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

bool
bstar_asks_witness(const struct bstar_core *core)
{
    enum guarded_state state = core->guarded.state;
    return core->config.mode == BSTAR_GUARDED &&
           (state == GUARDED_ACTIVATING || state == GUARDED_ACTIVE || state == GUARDED_DRAINING);
}

static void
log_witness(struct bstar_silences *self, const struct bstar_core *core)
{
    if (!bstar_asks_witness(core)) {
        self->asks_ns = 0;
        return;
    }
    if (self->asks_ns == 0)
        self->asks_ns = core->now_ns;
    bool is_silent =
        bstar_core_witness_is_silent(core) && core->now_ns - self->asks_ns > core->config.lease_ns;
    if (is_silent && !self->is_witness_silent)
        log_warn("PAIR-WITNESS-SILENT", "lease_ms=%llu",
                 (unsigned long long)(core->config.lease_ns / 1000000));
    else if (!is_silent && self->is_witness_silent && !bstar_core_witness_is_silent(core))
        log_warn("PAIR-WITNESS-HEARD", "epoch=%llu", (unsigned long long)bstar_core_epoch(core));
    else
        return;
    self->is_witness_silent = is_silent;
}

void
bstar_log_silences(struct bstar_silences *self, const struct bstar_core *core)
{
    if (self->began_ns == 0)
        self->began_ns = core->now_ns;
    bool is_silent =
        bstar_core_peer_is_silent(core) && core->now_ns - self->began_ns > core->config.patience_ns;
    if (is_silent && !self->is_peer_silent)
        log_warn("PAIR-PEER-SILENT", "state=%s patience_ms=%llu", bstar_core_state_name(core),
                 (unsigned long long)(core->config.patience_ns / 1000000));
    else if (!is_silent && self->is_peer_silent)
        log_warn("PAIR-PEER-HEARD", "state=%s", bstar_core_state_name(core));
    self->is_peer_silent = is_silent;
    log_witness(self, core);
}

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
bstar_log_rejected(struct bstar_strangers *self, enum bstar_fault fault, uint64_t node,
                   uint64_t now_ns)
{
    static const uint64_t pause_ns = 60 * UINT64_C(1000000000);
    bool is_same = self->said_ns != 0 && self->fault == fault && self->node == node;
    self->count = is_same ? self->count + 1 : 1;
    if (is_same && now_ns - self->said_ns < pause_ns)
        return;
    log_warn("PAIR-MESSAGE-REJECTED", "why=\"%s\" node=%016llx messages=%llu perhaps=\"%s\"",
             bstar_fault_text(fault), (unsigned long long)node, (unsigned long long)self->count,
             hint_of(fault));
    *self = (struct bstar_strangers){.fault = fault, .node = node, .said_ns = now_ns};
}
