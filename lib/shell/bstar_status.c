// bstar_status.c - a half as a table: what an operator looks at.

#include "bstar_half.h"

static void
begin_row(struct text *text, const char *name)
{
    text_add(text, view_of(name, strlen(name)));
    text_add_char(text, '\t');
}

static void
add_words(struct text *text, const char *name, const char *value)
{
    begin_row(text, name);
    text_add(text, view_of(value, strlen(value)));
    text_add_char(text, '\n');
}

static void
add_count(struct text *text, const char *name, uint64_t value)
{
    begin_row(text, name);
    text_add_number(text, value);
    text_add_char(text, '\n');
}

static void
add_node(struct text *text, const char *name, uint64_t node)
{
    static const char digits[] = "0123456789abcdef";
    begin_row(text, name);
    for (int shift = 60; shift >= 0; shift -= 4)
        text_add_char(text, digits[node >> shift & 15]);
    text_add_char(text, '\n');
}

static const char *
peer_text(const bstar_t *self)
{
    const struct bstar_core *core = &self->core;
    const struct bstar_peer *peer = self->is_guarded ? &core->guarded.peer : &core->classic.peer;
    if (!peer->is_heard)
        return "never heard";
    return bstar_core_peer_is_silent(core) ? "silent" : "alive";
}

// witness_text: a half that asks nothing knows only whether the witness is connected.
static const char *
witness_text(const bstar_t *self)
{
    if (!self->is_guarded)
        return "none";
    if (self->silences.is_witness_silent)
        return "silent";
    if (!bstar_core_witness_is_silent(&self->core))
        return "alive";
    return self->silences.asked_ns != 0 ? "asked" : "not asked";
}

static void
add_lease(const bstar_t *self, uint64_t now_ns, struct text *text)
{
    uint64_t lease_ns = self->core.guarded.lease_ns;
    add_count(text, "pair-lease-ms", self->core.config.lease_ns / 1000000);
    add_count(text, "lease-ms", lease_ns > now_ns ? (lease_ns - now_ns) / 1000000 : 0);
    add_words(text, "voter", bstar_table_state(BSTAR_TABLE_VOTER, self->core.voter.state));
    add_count(text, "voter-epoch", self->core.voter.epoch);
    add_node(text, "voter-holder", self->core.voter.holder);
}

void
bstar_table(const bstar_t *self, uint64_t now_ns, struct text *text)
{
    const struct bstar_core *core = &self->core;
    const struct bstar_stats *stats = &core->stats;
    const struct bstar_peer *peer = self->is_guarded ? &core->guarded.peer : &core->classic.peer;
    add_words(text, "mode", self->is_guarded ? "guarded" : "classic");
    add_words(text, "role", core->config.is_primary ? "primary" : "backup");
    add_words(text, "state", bstar_core_state_name(core));
    add_count(text, "epoch", bstar_core_epoch(core));
    add_words(text, "peer", peer_text(self));
    add_words(text, "witness", witness_text(self));
    add_words(text, "frozen", self->is_guarded && core->guarded.is_frozen ? "yes" : "no");
    add_words(text, "why", bstar_why(self));
    add_node(text, "node", core->config.node);
    add_node(text, "peer-node", peer->node);
    add_count(text, "peer-epoch", peer->epoch);
    if (self->is_guarded)
        add_lease(self, now_ns, text);
#define X(name) add_count(text, #name, stats->name);
    BSTAR_COUNTER_MAP(X)
#undef X
    for (size_t i = BSTAR_SOUND + 1; i < BSTAR_FAULTS; i++)
        if (stats->faults[i] > 0)
            add_count(text, bstar_fault_text((enum bstar_fault)i), stats->faults[i]);
}
