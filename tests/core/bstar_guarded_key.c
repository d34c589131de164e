// bstar_guarded_key.c - what makes a difference between two worlds of guarded, and what does not.
//
// Not how late it is, but how long until then; not a nonce, but which open round it names; not
// what was counted.

#include "bstar_guarded_world.h"

static const uint64_t TICK = GUARDED_TICK;

enum { LEASE = GUARDED_LEASE, PATIENCE = GUARDED_PATIENCE, GAP = GUARDED_GAP_TICKS };

static void
write_until(struct search_text *text, uint64_t now, uint64_t then)
{
    uint64_t left = then <= now ? 0 : (then - now + TICK - 1) / TICK;
    search_put(text, left > 254 ? 255 : left, 1);
}

static void
write_since(struct search_text *text, uint64_t now, uint64_t then, uint64_t most)
{
    uint64_t age = (now - then) / TICK;
    search_put(text, age > most ? most : age, 1);
}

// write_nonce says which open round of the half that drew it it names.
static void
write_nonce(struct search_text *text, const struct guarded_world *self, int owner,
            const struct bstar_nonce *nonce)
{
    const struct bstar_guarded *guarded = &self->members[owner].core.guarded;
    uint8_t age = 0;
    for (; age < BSTAR_ROUNDS; age++) {
        const struct bstar_round *round =
            &guarded->rounds[(guarded->newest + BSTAR_ROUNDS - age) % BSTAR_ROUNDS];
        if (round->is_open && bstar_nonce_equals(&round->nonce, nonce))
            break;
    }
    search_put(text, age, 1);
}

static void
write_letters(struct search_text *text, const struct guarded_world *self,
              const struct letters *letters)
{
    search_put(text, letters->count, 1);
    for (size_t i = 0; i < letters->count; i++) {
        const struct letter *letter = &letters->list[i];
        const struct bstar_message *message = &letter->message;
        bool is_reply = message->command == BSTAR_GRANT || message->command == BSTAR_DENY;
        search_put(text, (uint64_t)(letter->kind | letter->from << 2 | letter->to << 4), 1);
        if (letter->kind == LETTER_STORE) {
            search_put(text, message->epoch, 1);
            search_put(text, message->node, 1);
        }
        if (letter->kind != LETTER_MESSAGE)
            continue;
        search_put(text, message->command, 1);
        search_put(text, message->epoch, 1);
        if (message->command == BSTAR_BEAT)
            search_put(text, message->state | message->witness << 4, 1);
        else if (message->command != BSTAR_RELEASE)
            write_nonce(text, self, is_reply ? letter->to : letter->from, &message->nonce);
        if (message->command == BSTAR_DENY)
            search_put(text, message->left_ms, 1);
    }
}

static void
write_voter(struct search_text *text, const struct guarded_world *self,
            const struct bstar_voter *voter, uint64_t now)
{
    search_put(text, voter->state, 1);
    search_put(text, voter->epoch, 1);
    search_put(text, voter->holder, 1);
    write_until(text, now, voter->hold_ns);
    search_put(text, voter->is_storing, 1);
    if (!voter->is_storing)
        return;
    search_put(text, voter->next_epoch, 1);
    search_put(text, voter->next_holder, 1);
    write_nonce(text, self, (int)voter->next_holder - 1, &voter->nonce);
}

static void
write_rounds(struct search_text *text, const struct bstar_guarded *guarded, uint64_t now)
{
    for (uint8_t age = 0; age < BSTAR_ROUNDS; age++) {
        const struct bstar_round *round =
            &guarded->rounds[(guarded->newest + BSTAR_ROUNDS - age) % BSTAR_ROUNDS];
        search_put(text, (uint64_t)(round->is_open | round->has_majority << 1), 1);
        if (age == 0)
            search_put(text, round->left_ns == UINT64_MAX ? 255 : round->left_ns / TICK, 1);
        // One so old that it gives no lease is as good as closed.
        if (!round->is_open)
            continue;
        search_put(text, round->command, 1);
        search_put(text, (uint64_t)(round->grants | round->denials << 4), 1);
        search_put(text, round->epoch, 1);
        write_since(text, now, round->sent_ns, LEASE);
    }
}

static void
write_half(struct search_text *text, const struct bstar_core *core, uint64_t now)
{
    const struct bstar_guarded *guarded = &core->guarded;
    search_put(text, guarded->state, 1);
    search_put(text, guarded->epoch, 1);
    search_put(text, guarded->floor, 1);
    search_put(text,
               (uint64_t)(guarded->is_soft | guarded->is_frozen << 1 | guarded->has_word << 2 |
                          guarded->peer.is_heard << 3 | core->pulse.is_behind << 4),
               1);
    write_until(text, now, guarded->lease_ns);
    write_until(text, now, guarded->quarantine_ns);
    write_until(text, now, guarded->not_before_ns);
    write_until(text, now, guarded->hold_off_ns);
    write_until(text, now, guarded->drain_ns);
    write_until(text, now, guarded->round_ns);
    write_since(text, now, guarded->peer.heard_ns, PATIENCE + 1);
    write_since(text, now, guarded->peer.progress_ns, PATIENCE + 1);
    write_since(text, now, core->pulse.turned_ns, GAP + 1);
    write_until(text, now, core->pulse.beat_ns);
    search_put(text, guarded->witness << 4 | guarded->peer.witness, 1);
    if (guarded->witness != guarded->peer.witness)
        write_until(text, now, guarded->probe_ns);
    write_rounds(text, guarded, now);
}

static void
write_member(struct search_text *text, const struct guarded_world *self, int which)
{
    const struct member *member = &self->members[which];
    uint64_t now = guarded_clock(self, which);
    search_put(text, (uint64_t)(member->is_up | member->is_paused << 1 | member->was_fault << 2),
               1);
    search_put(text, member->behind / TICK, 1);
    search_put(text, member->disk.epoch, 1);
    search_put(text, member->disk.holder, 1);
    search_put(text, member->opened, 1);
    search_put(text, member->best_epoch, 1);
    search_put(text, member->best_holder, 1);
    if (member->restarted != 0 && self->now - member->restarted < LEASE * TICK) {
        search_put(text, (self->now - member->restarted) / TICK + 1, 1);
        search_put(text, member->bound_to, 1);
    }
    if (!member->is_up)
        return;
    write_voter(text, self, &member->core.voter, now);
    if (which != MEMBER_W)
        write_half(text, &member->core, now);
}

void
guarded_write_key(const void *world, struct search_text *text)
{
    const struct guarded_world *self = world;
    search_put(text, self->faults_left, 1);
    search_put(text, self->words_left, 1);
    search_put(text, self->cuts, 2);
    search_put(text, self->served, 1);
    for (size_t i = 0; i < OWNERS_MAX; i++) {
        search_put(text, self->owners[i].epoch, 1);
        search_put(text, self->owners[i].node, 1);
    }
    write_letters(text, self, &self->prompt);
    write_letters(text, self, &self->late);
    write_letters(text, self, &self->held);
    for (int i = 0; i < MEMBERS; i++)
        write_member(text, self, i);
}
