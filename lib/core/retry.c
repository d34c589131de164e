// retry.c - count the failures; what to wait for follows from them.

#include "retry.h"

#include "later.h"
#include "must.h"

enum { JITTER = 1 }; // what the seed is used for

static const uint64_t back_off_ns_min = 100 * 1000000ull;
// So long two halves of a pair may need to agree on who serves.
static const uint64_t agreement_ns = 2000 * 1000000ull;
static const uint64_t patience_ns_min = 250 * 1000000ull;
static const uint64_t patience_ns_max = 2000 * 1000000ull;

void
retry_init(struct retry *self, uint32_t endpoint_count, uint64_t back_off_ns_max,
           const uint8_t seed[32])
{
    must(endpoint_count > 0);
    *self = (struct retry){.endpoint_count = endpoint_count, .back_off_ns_max = back_off_ns_max};
    prng_init(&self->jitter, seed, JITTER);
}

uint32_t
retry_next(const struct retry *self, uint32_t endpoint)
{
    must(endpoint < self->endpoint_count);
    return (endpoint + 1) % self->endpoint_count;
}

static uint64_t
doubled(uint64_t start_ns, uint32_t times, uint64_t most_ns)
{
    uint64_t grown_ns = times > 16 ? most_ns : start_ns << times;
    return grown_ns < most_ns ? grown_ns : most_ns;
}

uint64_t
retry_between(struct retry *self, uint64_t from_ns, uint64_t to_ns)
{
    return from_ns + prng_below(&self->jitter, to_ns - from_ns + 1);
}

bool
retry_ends_round(const struct retry *self)
{
    return (self->failures + 1) % self->endpoint_count == 0;
}

void
retry_failed(struct retry *self, uint64_t now_ns, uint64_t wait_ns)
{
    bool is_round = retry_ends_round(self);
    if (self->failures++ == 0)
        self->failing_ns = now_ns;
    if (is_round && self->back_off_ns_max > 0) {
        uint64_t most_ns = doubled(back_off_ns_min, self->doublings, self->back_off_ns_max);
        wait_ns = retry_between(self, most_ns / 2, most_ns);
    }
    if (is_round) {
        bool is_agreeing = self->is_refused && now_ns - self->failing_ns < agreement_ns;
        self->doublings += is_agreeing ? 0 : 1;
        self->is_refused = false;
    }
    self->resume_ns = later_ns(now_ns, wait_ns);
}

void
retry_refused(struct retry *self)
{
    self->is_refused = true;
}

void
retry_at_once(struct retry *self, uint64_t now_ns)
{
    self->resume_ns = now_ns;
}

void
retry_answered(struct retry *self)
{
    self->failures = 0;
    self->doublings = 0;
    self->is_refused = false;
}

uint64_t
retry_patience_ns(const struct retry *self)
{
    if (self->endpoint_count == 1)
        return UINT64_MAX;
    return doubled(patience_ns_min, self->doublings, patience_ns_max);
}
