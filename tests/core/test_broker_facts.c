// test_broker_facts.c - what the broker tells whoever keeps its log.

#include "broker_world.h"
#include "siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FACTS_MAX = 64 };

// The facts that were told, latest last.
static struct broker_trace facts[FACTS_MAX];
static char services[FACTS_MAX][256];
static size_t fact_count;

static void
keep(void *context, const struct broker_trace *trace)
{
    (void)context;
    assert_in_range(fact_count, 0, FACTS_MAX - 1);
    if (trace->service.size > 0)
        memcpy(services[fact_count], trace->service.data, trace->service.size);
    services[fact_count][trace->service.size] = '\0';
    facts[fact_count++] = *trace;
}

static void
listen(struct world *world)
{
    fact_count = 0;
    broker_core_trace(world->core, keep, NULL);
}

// fact is the nth of its kind.
static const struct broker_trace *
fact(enum broker_fact kind, size_t nth)
{
    for (size_t i = 0; i < fact_count; i++)
        if (facts[i].fact == kind && nth-- == 0)
            return &facts[i];
    fail_msg("fact %d was not told", (int)kind);
    return NULL;
}

// assert_fact checks what is told of a kind for the first time. It has a peer.
static const struct broker_trace *
assert_fact(enum broker_fact kind, uint64_t worker, const char *service, uint32_t status,
            const char *why, uint64_t count)
{
    const struct broker_trace *found = fact(kind, 0);
    assert_true(found->peer != 0);
    assert_int_equal(found->worker, worker);
    assert_string_equal(services[found - facts], service);
    assert_int_equal(found->status, status);
    if (why == NULL)
        assert_null(found->why);
    else
        assert_string_equal(found->why, why);
    assert_int_equal(found->count, count);
    return found;
}

static void
configure(struct world *world, struct broker_config config, struct broker_service_config service)
{
    service.name = VIEW_LITERAL("echo");
    config.services = &service;
    config.service_count = 1;
    world_configure(world, &config);
    listen(world);
}

static void
one_peer_is_the_same_in_all_facts_and_no_other_is(void **state)
{
    struct world *world = *state;
    listen(world);
    world_ready(world, "W1", MDP_G1, "echo", 4);
    world_ready(world, "W2", MDP_01, "echo", 1);
    world_bare(world, "W1", MDP_G1, MDP_DISCONNECT);
    world_ready(world, "W1", MDP_G1, "sum", 4);

    assert_int_equal(fact(BROKER_WORKER_REGISTERED, 0)->peer, fact(BROKER_WORKER_LEFT, 0)->peer);
    assert_int_equal(fact(BROKER_WORKER_REGISTERED, 0)->peer,
                     fact(BROKER_WORKER_REGISTERED, 2)->peer);
    assert_int_not_equal(fact(BROKER_WORKER_REGISTERED, 0)->peer,
                         fact(BROKER_WORKER_REGISTERED, 1)->peer);
}

// Whoever reads a log may not learn where a name falls in our maps, nor a ticket's proof.
static void
peer_of_a_fact_is_no_hash_that_is_used_elsewhere(void **state)
{
    struct world *world = *state;
    listen(world);
    world_ready(world, "W", MDP_G1, "echo", 4);
    for (uint64_t purpose = 1; purpose <= 2; purpose++) {
        struct siphash_key key = siphash_derive(world->config.seed, purpose);
        struct view id = VIEW_LITERAL("W");
        assert_int_not_equal(fact(BROKER_WORKER_REGISTERED, 0)->peer, (uint32_t)siphash(&key, id));
        assert_int_not_equal(fact(BROKER_WORKER_REGISTERED, 0)->peer,
                             (uint32_t)siphash_map(&key, id));
    }
}

static void
worker_that_comes_and_goes_is_told_by_number_and_service(void **state)
{
    struct world *world = *state;
    listen(world);
    world_ready(world, "W", MDP_G1, "echo", 4);
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
    assert_fact(BROKER_WORKER_REGISTERED, 1, "echo", 0, "g1", 4);
    assert_fact(BROKER_WORKER_LEFT, 1, "echo", 0, NULL, 1);
}

static void
worker_that_is_lost_is_told_with_what_it_held_and_why(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 3; i++) {
        configure(world, world_config(), (struct broker_service_config){.limit_ms = 500});
        world_ready(world, "W", MDP_G1, "echo", 4);
        world_request(world, "C", MDP_G1, "echo", 1, "x");
        if (i == 0)
            world_cut(world, "W");
        else if (i == 1)
            world_ready(world, "W", MDP_G1, "echo", 4);
        else
            world_pass(world, 501);
        static const char *const why[] = {"unreachable", "it said READY twice", "processing limit"};
        assert_fact(BROKER_WORKER_LOST, 1, "echo", 0, why[i], 1);
    }
}

static void
worker_that_is_there_when_the_broker_stops_is_left_and_not_lost(void **state)
{
    struct world *world = *state;
    listen(world);
    world_ready(world, "W", MDP_G1, "echo", 4);
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    world_drain(world);
    world_pass(world, 5000);

    assert_true(world->is_stopped);
    assert_fact(BROKER_WORKER_LEFT, 1, "echo", 0, "stopping", 1);
    for (size_t i = 0; i < fact_count; i++)
        assert_int_not_equal(facts[i].fact, BROKER_WORKER_LOST);
    assert_int_equal(world_stats(world)->workers_lost, 0);
    assert_int_equal(world_stats(world)->workers_left, 1);
}

static void
worker_that_is_refused_is_told_which_limit_it_met(void **state)
{
    struct world *world = *state;
    static const char *const why[] = {"the service has too many workers",
                                      "there are too many services", "there are too many workers",
                                      "the broker is stopping"};
    for (int i = 0; i < 4; i++) {
        struct broker_config config = world_config();
        config.service_workers_max = i == 0 ? 1 : 32;
        config.services_max = i == 1 ? 1 : 16;
        config.workers_max = i == 2 ? 1 : 64;
        configure(world, config, (struct broker_service_config){0});
        world_ready(world, "W", MDP_G1, "echo", 1);
        if (i == 3) { // it goes on until its request is answered
            world_request(world, "C", MDP_G1, "echo", 1, "x");
            world_drain(world);
        }
        const char *service = i == 1 ? "sum" : "echo";
        world_ready(world, "V", MDP_G1, service, 1);
        assert_fact(BROKER_WORKER_REFUSED, 0, service, 0, why[i], 0);
    }
}

static void
request_that_is_given_up_is_told_with_its_last_worker(void **state)
{
    struct world *world = *state;
    configure(world, world_config(), (struct broker_service_config){.attempts = 2});
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    world_ready(world, "V", MDP_G1, "echo", 1);
    world_bare(world, "V", MDP_G1, MDP_DISCONNECT);
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
    const struct broker_trace *given_up =
        assert_fact(BROKER_REQUEST_GIVEN_UP, 2, "echo", 502, "no attempt is left", 2);
    assert_int_not_equal(given_up->peer, fact(BROKER_WORKER_LEFT, 1)->peer);
}

static void
request_that_may_not_run_again_is_told_why(void **state)
{
    struct world *world = *state;
    listen(world);
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    struct sent request = *world_last(world, "W", MDP_REQUEST);
    world_partial(world, "W", &request, 0, "half");
    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
    assert_fact(BROKER_REQUEST_GIVEN_UP, 1, "echo", 502, "a part of its answer was passed on", 1);

    configure(world, world_config(), (struct broker_service_config){.attempts = 1});
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    request = *world_last(world, "W", MDP_REQUEST);
    world_final(world, "W", &request, 200, 7, "the eighth");
    assert_fact(BROKER_REQUEST_GIVEN_UP, 1, "echo", 502, "parts of its answer are missing", 1);
}

static void
request_that_expires_is_told_with_what_it_waited_for(void **state)
{
    struct world *world = *state;
    struct broker_config config = world_config();
    config.request_ttl_ms = 500;
    configure(world, config, (struct broker_service_config){0});
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    world_pass(world, 501);
    assert_fact(BROKER_REQUEST_EXPIRED, 0, "echo", 404, "the service has no worker", 0);

    configure(world, config, (struct broker_service_config){0});
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    world_request(world, "C", MDP_G1, "echo", 2, "x");
    world_pass(world, 501);
    assert_fact(BROKER_REQUEST_EXPIRED, 0, "echo", 408, "all workers of the service were busy", 0);

    configure(world, config, (struct broker_service_config){0});
    world_ready(world, "W", MDP_G1, "echo", 1);
    world_request(world, "C", MDP_G1, "echo", 1, "x");
    world_bare(world, "W", MDP_G1, MDP_DISCONNECT);
    world_pass(world, 501);
    assert_fact(BROKER_REQUEST_EXPIRED, 0, "echo", 502,
                "its worker was lost, and no other took it in time", 1);
}

static void
request_that_is_refused_is_told_which_limit_it_met(void **state)
{
    struct world *world = *state;
    static const char *const why[] = {
        "too many requests wait for the service", "too many requests wait",
        "too many requests of the client wait", "open requests have too many bytes",
        "there are too many services"};
    for (int i = 0; i < 5; i++) {
        struct broker_config config = world_config();
        config.service_requests_max = i == 0 ? 1 : 32;
        config.requests_max = i == 1 ? 1 : 64;
        config.client_requests_max = i == 2 ? 1 : 24;
        config.request_bytes_max = i == 3 ? 1 : 1 << 20;
        config.services_max = i == 4 ? 1 : 16;
        configure(world, config, (struct broker_service_config){0});
        world_request(world, "C", MDP_G1, "echo", 1, i == 3 ? NULL : "x");
        const char *service = i == 4 ? "sum" : "echo";
        world_request(world, "C", MDP_G1, service, 2, "many bytes");
        assert_fact(BROKER_REQUEST_REFUSED, 0, service, 429, why[i], 0);
    }
}

static void
name_that_is_none_is_not_told(void **state)
{
    struct world *world = *state;
    listen(world);
    struct mdp_record record = {.dialect = MDP_G1,
                                .side = MDP_CLIENT_SIDE,
                                .command = MDP_REQUEST,
                                .id = 1,
                                .service = VIEW_LITERAL("bad\nname")};
    record.fault = MDP_BAD_NAME;
    world_say(world, "C", record, "x");
    assert_fact(BROKER_REQUEST_REFUSED, 0, "", 400, "invalid_service", 0);

    listen(world);
    record.fault = MDP_OVER_LIMIT; // which is found before the name is looked at
    world_say(world, "C", record, "x");
    assert_fact(BROKER_REQUEST_REFUSED, 0, "", 413, "too_large", 0);
}

static void
nonsense_is_told_with_the_worker_that_sent_it(void **state)
{
    struct world *world = *state;
    listen(world);
    const struct view nonsense[] = {VIEW_LITERAL("X"), VIEW_LITERAL("nonsense")};
    world_message(world, nonsense, 2);
    assert_fact(BROKER_PEER_REJECTED, 0, "", 0, "invalid_header", 0);

    listen(world);
    world_ready(world, "W", MDP_G1, "echo", 1);
    const struct view from_worker[] = {VIEW_LITERAL("W"), VIEW_LITERAL("nonsense")};
    world_message(world, from_worker, 2);
    const struct broker_trace *rejected =
        assert_fact(BROKER_PEER_REJECTED, 1, "echo", 0, "invalid_header", 0);
    assert_int_equal(rejected->peer, fact(BROKER_WORKER_REGISTERED, 0)->peer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(one_peer_is_the_same_in_all_facts_and_no_other_is),
        world_test(peer_of_a_fact_is_no_hash_that_is_used_elsewhere),
        world_test(worker_that_comes_and_goes_is_told_by_number_and_service),
        world_test(worker_that_is_lost_is_told_with_what_it_held_and_why),
        world_test(worker_that_is_there_when_the_broker_stops_is_left_and_not_lost),
        world_test(worker_that_is_refused_is_told_which_limit_it_met),
        world_test(request_that_is_given_up_is_told_with_its_last_worker),
        world_test(request_that_may_not_run_again_is_told_why),
        world_test(request_that_expires_is_told_with_what_it_waited_for),
        world_test(request_that_is_refused_is_told_which_limit_it_met),
        world_test(name_that_is_none_is_not_told),
        world_test(nonsense_is_told_with_the_worker_that_sent_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
