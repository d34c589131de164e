// fake_half.c - the names of bstar.c, and nothing behind them.

#include "fake_half.h"

#include <galleon/status.h>

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void
be(struct bstar *self, struct fake_will will)
{
    self->will = will;
    if (self->will.why == NULL)
        self->will.why = "";
}

void
fake_half_init(struct bstar *self, struct fake_will will)
{
    *self = (struct bstar){.lock = PTHREAD_MUTEX_INITIALIZER,
                           .has_changed = PTHREAD_COND_INITIALIZER,
                           .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    be(self, will);
}

void
fake_half_release(struct bstar *self)
{
    close(self->fd);
}

static void
wake(struct bstar *self)
{
    uint64_t once = 1;
    (void)!write(self->fd, &once, sizeof once);
}

// change has the next pump make the change, and waits until it has.
static void
change(struct bstar *self, struct fake_will will, bool must_drain, bool must_drop)
{
    pthread_mutex_lock(&self->lock);
    self->next = will;
    self->must_drain = must_drain;
    self->must_drop = must_drop;
    self->must_change = true;
    wake(self);
    while (self->must_change)
        pthread_cond_wait(&self->has_changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
}

void
fake_half_set(struct bstar *self, struct fake_will will)
{
    change(self, will, false, false);
}

void
fake_half_end(struct bstar *self, bool is_soft, struct fake_will will)
{
    change(self, will, is_soft, !is_soft);
}

struct fake_calls
fake_half_calls(struct bstar *self)
{
    pthread_mutex_lock(&self->lock);
    struct fake_calls calls = self->calls;
    pthread_mutex_unlock(&self->lock);
    return calls;
}

// ---- what the broker calls -----------------------------------------------------------------

static struct bstar *
locked(const bstar_t *self)
{
    struct bstar *fake = (struct bstar *)(uintptr_t)self;
    pthread_mutex_lock(&fake->lock);
    return fake;
}

static struct fake_will
will_of(const bstar_t *self)
{
    struct bstar *fake = locked(self);
    struct fake_will will = fake->will;
    pthread_mutex_unlock(&fake->lock);
    return will;
}

int
bstar_fd(bstar_t *self)
{
    return self->fd;
}

uint64_t
bstar_deadline(const bstar_t *self)
{
    // Who is late tells it by the clock of the turn, so each turn has to begin with a pump.
    return will_of(self).is_late ? 0 : UINT64_MAX;
}

void
bstar_hook(bstar_t *self, const struct bstar_hooks *hooks)
{
    self->hooks = *hooks;
}

int
bstar_pump(bstar_t *self, uint64_t now_ns)
{
    uint64_t times;
    (void)!read(self->fd, &times, sizeof times);
    struct bstar *fake = locked(self);
    fake->pumped_ns = now_ns;
    bool must_drain = fake->must_drain, must_drop = fake->must_drop;
    if (fake->must_change) {
        be(fake, fake->next);
        fake->must_change = fake->must_drain = fake->must_drop = false;
        pthread_cond_broadcast(&fake->has_changed);
    }
    pthread_mutex_unlock(&fake->lock);
    if (must_drain)
        self->hooks.drain(self->hooks.ctx);
    if (must_drop)
        self->hooks.drop(self->hooks.ctx);
    return GALLEON_OK;
}

bstar_state_t
bstar_state(const bstar_t *self)
{
    return will_of(self).state;
}

const char *
bstar_why(const bstar_t *self)
{
    return will_of(self).why;
}

// is_in_time: was the clock not read again since the turn began, or does that not matter?
static bool
is_in_time(const bstar_t *self, uint64_t now_ns)
{
    struct bstar *fake = locked(self);
    bool is_in_time = !fake->will.is_late || now_ns <= fake->pumped_ns;
    pthread_mutex_unlock(&fake->lock);
    return is_in_time;
}

bool
bstar_is_serving(const bstar_t *self, uint64_t now_ns)
{
    return will_of(self).serves && is_in_time(self, now_ns);
}

bool
bstar_may_finish(const bstar_t *self, uint64_t now_ns)
{
    struct fake_will will = will_of(self);
    return (will.serves || will.finishes) && is_in_time(self, now_ns);
}

bool
bstar_may_serve(bstar_t *self, uint64_t now_ns)
{
    (void)now_ns;
    struct bstar *fake = locked(self);
    fake->calls.votes++;
    if (fake->will.takes_vote)
        fake->will.serves = true;
    bool serves = fake->will.serves;
    pthread_mutex_unlock(&fake->lock);
    return serves;
}

bool
bstar_stamp(const bstar_t *self, struct bstar_stamp *stamp_out)
{
    *stamp_out = (struct bstar_stamp){.pair = 0x832d40bbe5f340cf, .epoch = will_of(self).epoch};
    return stamp_out->epoch != 0;
}

void
bstar_drained(bstar_t *self, uint64_t now_ns)
{
    (void)now_ns;
    struct bstar *fake = locked(self);
    fake->calls.drained++;
    fake->calls.finished_before_drained = fake->will.finishes;
    fake->will.finishes = false;
    pthread_mutex_unlock(&fake->lock);
}

struct bstar_answer
bstar_say(bstar_t *self, enum bstar_word word, uint64_t now_ns)
{
    (void)now_ns;
    struct bstar *fake = locked(self);
    fake->calls.words++;
    fake->calls.word = word;
    struct bstar_answer answer = fake->will.answer;
    pthread_mutex_unlock(&fake->lock);
    return answer;
}

void
bstar_table(const bstar_t *self, uint64_t now_ns, struct text *text)
{
    (void)self;
    (void)now_ns;
    text_add(text, VIEW_LITERAL("mode\tfake\nstate\tsomething\n"));
}

void
bstar_fenced(bstar_t *self, uint64_t now_ns)
{
    (void)now_ns;
    struct bstar *fake = locked(self);
    fake->calls.fenced++;
    pthread_mutex_unlock(&fake->lock);
}

void
bstar_stop(bstar_t *self, uint64_t now_ns)
{
    (void)now_ns;
    struct bstar *fake = locked(self);
    fake->calls.stops++;
    pthread_mutex_unlock(&fake->lock);
}

bool
bstar_is_over(const bstar_t *self)
{
    struct bstar *fake = locked(self);
    bool is_over = fake->calls.stops > 0 && !fake->will.stays;
    pthread_mutex_unlock(&fake->lock);
    return is_over;
}
