// test_titanic_swarm.c - clients, workers, a store and an operator who do what a seed says.
//
// Whatever happens, what was accepted ends once: it is answered with what its body asks for,
// or closed, cancelled, given up or expired by somebody who may. Then all is healed, and
// nothing may be left.

#include "titanic_rig.h"

#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REQUESTS_MAX = 600, STEPS = 400, SERVICES = 4 };

struct kept {
    struct request_id id;
    char body[32];
    bool is_closed; // by us, told or not
    bool may_fail;  // cancelled, given a deadline, or failed by a worker
};

struct swarm {
    struct titanic_rig *rig;
    struct prng prng;
    struct kept kept[REQUESTS_MAX];
    size_t count;
    size_t submits[REQUESTS_MAX]; // askers that are not looked at yet
    size_t submit_count;
    char bodies[REQUESTS_MAX][32]; // theirs
    bool fail_limits[REQUESTS_MAX];
    size_t number;
};

static const char *const services[SERVICES] = {"a", "b", "c", "d"};

static uint64_t
draw(struct swarm *self, uint64_t bound)
{
    return prng_below(&self->prng, bound);
}

// collect takes note of what was accepted by now.
static void
collect(struct swarm *self)
{
    size_t left = 0;
    for (size_t i = 0; i < self->submit_count; i++) {
        struct rig_asker *asker = &self->rig->askers[self->submits[i]];
        if (asker->is_open) {
            memmove(self->bodies[left], self->bodies[i], sizeof self->bodies[i]);
            self->fail_limits[left] = self->fail_limits[i];
            self->submits[left++] = self->submits[i];
        } else if (asker->status == TSP_OK) {
            struct kept *kept = &self->kept[self->count++];
            *kept = (struct kept){.id = asker->id, .may_fail = self->fail_limits[i]};
            memcpy(kept->body, self->bodies[i], sizeof kept->body);
        } else {
            assert_true(asker->status == TSP_BUSY || asker->status == TSP_ERROR);
        }
    }
    self->submit_count = left;
}

static void
submit(struct swarm *self)
{
    if (self->number == REQUESTS_MAX - 1)
        return;
    size_t at = self->submit_count++;
    struct tsp_request more = {0};
    if (draw(self, 4) == 0)
        more.not_before_ms = draw(self, 20000);
    if (draw(self, 6) == 0)
        more.deadline_ms = 1 + draw(self, 20000);
    more.attempts = draw(self, 3) == 0 ? 1 + (uint32_t)draw(self, 2) : 0;
    self->fail_limits[at] = more.deadline_ms != 0;
    snprintf(self->bodies[at], sizeof self->bodies[at], "%zu", self->number++);
    self->submits[at] =
        rig_submit_with(self->rig, services[draw(self, SERVICES)], self->bodies[at], &more);
}

static struct kept *
any(struct swarm *self)
{
    return self->count == 0 ? NULL : &self->kept[draw(self, self->count)];
}

static struct kept *
kept_of(struct swarm *self, const struct request_id *id)
{
    collect(self);
    for (size_t i = 0; i < self->count; i++)
        if (request_id_equals(&self->kept[i].id, id))
            return &self->kept[i];
    return NULL;
}

static void
work(struct swarm *self)
{
    struct titanic_rig *rig = self->rig;
    if (rig->sent_count == 0)
        return;
    size_t place = draw(self, rig->sent_count), tried = 0;
    while (!rig->sent[place].is_open && tried++ < rig->sent_count)
        place = (place + 1) % rig->sent_count;
    if (!rig->sent[place].is_open)
        return;
    struct kept *kept = kept_of(self, &rig->sent[place].id);
    char reply[40];
    snprintf(reply, sizeof reply, "re %.36s", rig->sent[place].body);
    switch (draw(self, 8)) {
    case 0:
        if (kept != NULL)
            kept->may_fail = true;
        rig_answer(rig, place, 500, "no");
        break;
    case 1:
        if (kept != NULL)
            kept->may_fail = true;
        rig_lost(rig, place);
        break;
    case 2:
        rig_not_tried(rig, place);
        break;
    default:
        rig_answer(rig, place, 200, reply);
        break;
    }
}

static void
operate(struct swarm *self)
{
    struct durable_filter filter = {0};
    const char *name = services[draw(self, SERVICES)];
    filter.service = view_of(name, strlen(name));
    static const enum tsp_service what[] = {TSP_CANCEL, TSP_RETRY, TSP_LIST, TSP_STATS, TSP_PURGE};
    enum tsp_service service = what[draw(self, 5)];
    for (size_t i = 0; i < self->count; i++) {
        self->kept[i].may_fail |= service == TSP_CANCEL;
        self->kept[i].is_closed |= service == TSP_PURGE;
    }
    rig_ask_filter(self->rig, service, &filter);
    rig_commit(self->rig);
    collect(self);
    for (size_t i = 0; i < self->count; i++) {
        self->kept[i].may_fail |= service == TSP_CANCEL;
        self->kept[i].is_closed |= service == TSP_PURGE;
    }
}

static void
ask(struct swarm *self)
{
    struct kept *kept = any(self);
    if (kept == NULL)
        return;
    switch (draw(self, 4)) {
    case 0:
        kept->is_closed = true;
        rig_ask_id(self->rig, TSP_CLOSE, &kept->id, 0);
        break;
    case 1:
        rig_ask_id(self->rig, TSP_WAIT, &kept->id, draw(self, 30000));
        break;
    default:
        rig_ask_id(self->rig, TSP_REPLY, &kept->id, 0);
        break;
    }
}

static void
do_something(struct swarm *self)
{
    struct titanic_rig *rig = self->rig;
    uint64_t what = draw(self, 100);
    if (rig->asker_count > RIG_ASKERS - 16 || rig->sent_count > RIG_SENT - 64)
        return;
    if (what < 25)
        submit(self);
    else if (what < 50)
        work(self);
    else if (what < 65)
        ask(self);
    else if (what < 80)
        (void)rig_commit_one(rig);
    else if (what < 90)
        rig_wait(rig, draw(self, 3000));
    else if (what < 93)
        rig_known(rig, services[draw(self, SERVICES)], draw(self, 2) == 0);
    else if (what < 95)
        rig->refuses = !rig->refuses;
    else if (what < 98)
        operate(self);
    else if (what < 99) {
        rig_commit(rig);
        collect(self);
        titanic_rig_crash(rig);
    }
    collect(self);
}

// heal: workers for all, and answers to everything, until nothing is left to be done.
static void
heal(struct swarm *self)
{
    struct titanic_rig *rig = self->rig;
    rig->refuses = false;
    for (int round = 0; round < 400; round++) {
        rig_wait(rig, 1000);
        for (size_t i = 0; i < SERVICES; i++)
            rig_known(rig, services[i], true);
        for (size_t i = 0; i < rig->sent_count && rig->sent_count < RIG_SENT - 64; i++) {
            char reply[40];
            snprintf(reply, sizeof reply, "re %.36s", rig->sent[i].body);
            if (rig->sent[i].is_open)
                rig_answer(rig, i, 200, reply);
        }
        collect(self);
    }
    assert_int_equal(self->submit_count, 0);
    assert_int_equal(rig_open(rig, NULL), 0);
}

static void
check_all(struct swarm *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct kept *kept = &self->kept[i];
        const char *text;
        char expected[40];
        enum tsp_status status = rig_fetch(self->rig, &kept->id, &text);
        snprintf(expected, sizeof expected, "re %s", kept->body);
        if (status == TSP_OK)
            assert_string_equal(text, expected);
        else if (status == TSP_UNKNOWN)
            assert_true(kept->is_closed);
        else if (status == TSP_ERROR)
            assert_true(kept->may_fail);
        else
            fail_msg("request %s is left pending", kept->body);
    }
}

static void
run(uint64_t seed)
{
    struct swarm *self = calloc(1, sizeof *self);
    uint8_t bytes[32] = {0};
    memcpy(bytes, &seed, sizeof seed);
    prng_init(&self->prng, bytes, 1);
    self->rig = titanic_rig_new();
    self->rig->config.inflight = 1 + (uint32_t)draw(self, 12);
    self->rig->config.asks_max = 4 + (uint32_t)draw(self, 60);
    self->rig->config.services_max = SERVICES;
    self->rig->config.waits_max = (uint32_t)draw(self, 8);
    self->rig->config.bytes_max = 2000 + draw(self, 20000);
    memcpy(self->rig->config.seed, bytes, sizeof bytes);
    titanic_rig_start(self->rig);
    for (int i = 0; i < STEPS; i++)
        do_something(self);
    heal(self);
    check_all(self);
    assert_true(self->rig->effects_most <= TITANIC_EFFECTS_MAX);
    titanic_rig_free(self->rig);
    free(self);
}

static void
whatever_happens_what_was_accepted_ends_once(void **state)
{
    (void)state;
    const char *only = getenv("TITANIC_SWARM_SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    uint64_t last = only == NULL ? 60 : first;
    const char *many = getenv("TITANIC_SWARM_SEEDS");
    if (many != NULL)
        last = strtoull(many, NULL, 10);
    for (uint64_t seed = first; seed <= last; seed++) {
        fprintf(stderr, "\rseed %d ", (int)seed);
        run(seed);
    }
    fprintf(stderr, "\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_what_was_accepted_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
