// swarm.c - dice, and what is made of them.

#include "swarm.h"

#include "bytes.h"
#include "prng.h"

static const uint64_t us = 1000;
static const uint64_t ms = 1000000;
static const uint64_t second = 1000000000;

#define VIEW_LITERAL_INIT(text)                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

enum { PAIR_PEERS_MAX = 4 }; // workers, and clients, of a pair

// What a stream of numbers is for. Nodes have one each, so that one less changes no other.
enum part {
    PART_FAULTS = 1,
    PART_NETWORK,
    PART_SIZES,
    PART_BROKER,
    PART_NODE,
    PART_SERVICES,
    PART_DISK,
    PART_HOSTILE,
    PART_TITANIC,
    PART_PIRATES,
    PART_PAIR
};

uint32_t
swarm_owner(const struct plan *self, uint32_t client)
{
    return self->titanic.owners == 0 ? 0 : 1 + client % self->titanic.owners;
}

const char *
fault_text(enum fault fault)
{
    static const char *const texts[FAULTS] = {
#define X(name, text) [name] = text,
        FAULT_MAP(X)
#undef X
    };
    return texts[fault];
}

void
swarm_seed(uint8_t seed_out[32], uint64_t seed, uint64_t of_what, uint64_t number)
{
    memset(seed_out, 0, 32);
    bytes_put64(bytes_put64(bytes_put64(seed_out, seed), of_what), number);
}

static struct prng
dice_of(const struct plan *self, enum part part, uint64_t number)
{
    uint8_t seed[32];
    struct prng dice;
    swarm_seed(seed, self->seed, part, number);
    prng_init(&dice, seed, 1);
    return dice;
}

static uint64_t
between(struct prng *dice, uint64_t from, uint64_t to)
{
    return from + prng_below(dice, to - from + 1);
}

// spread is a number whose size, and not only whose value, is drawn: as many below 10 as
// between 10 and 100.
static uint64_t
spread(struct prng *dice, uint64_t from, uint64_t to)
{
    uint64_t bound = from > 0 ? from : 1;
    uint32_t doublings = 0;
    while (bound < to) {
        bound *= 2;
        doublings++;
    }
    uint64_t low = from << between(dice, 0, doublings == 0 ? 0 : doublings - 1);
    uint64_t high = low * 2 < to ? low * 2 : to;
    return between(dice, low < to ? low : to, high);
}

static bool
chance(struct prng *dice, uint64_t one_in)
{
    return prng_below(dice, one_in) == 0;
}

static uint32_t
smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

struct view
swarm_service(uint32_t number)
{
    static const struct view names[SERVICES_MAX] = {
        VIEW_LITERAL_INIT("echo"), VIEW_LITERAL_INIT("sum"), VIEW_LITERAL_INIT("\xc3\xa9t\xc3\xa9"),
        VIEW_LITERAL_INIT("a service whose name has words in it"), VIEW_LITERAL_INIT("e")};
    return names[number];
}

struct view
swarm_broker(uint32_t number)
{
    static const struct view names[BROKERS_MAX] = {
        VIEW_LITERAL_INIT("sim://0"), VIEW_LITERAL_INIT("sim://1"), VIEW_LITERAL_INIT("sim://2")};
    return names[number];
}

// ---- clocks and order ---------------------------------------------------------------------------

// Clocks begin near 0 or in the middle of their range, and go wrong by up to 1 %.
static struct clock_plan
draw_clock(struct plan *self, struct prng *dice)
{
    struct clock_plan clock = {.offset_ns = prng_below(dice, 4) * second};
    uint64_t spot = prng_below(dice, 4);
    if (spot == 1)
        clock.offset_ns = ((uint64_t)1 << 63) - between(dice, 0, 600) * second;
    if (spot == 2)
        clock.offset_ns = between(dice, 0, 100000) * second;
    int64_t drift = (int64_t)prng_below(dice, 20972) - 10486;
    if (self->has[FAULT_DRIFT])
        clock.drift = drift;
    return clock;
}

// draw_brokers puts all brokers into an order of the node's own.
static void
draw_brokers(const struct plan *self, struct prng *dice, uint32_t order[BROKERS_MAX])
{
    for (uint32_t i = 0; i < BROKERS_MAX; i++)
        order[i] = i;
    for (uint32_t i = self->brokers; i > 1; i--) {
        uint32_t other = (uint32_t)prng_below(dice, i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static mdp_dialect_t
draw_dialect(struct prng *dice)
{
    static const mdp_dialect_t dialects[] = {MDP_G1, MDP_G1, MDP_AUTO, MDP_01, MDP_01, MDP_02};
    return dialects[prng_below(dice, sizeof dialects / sizeof *dialects)];
}

static uint64_t
draw_start(const struct plan *self, struct prng *dice)
{
    uint64_t start_ns = prng_below(dice, 10 * second);
    return self->has[FAULT_LATE_START] ? start_ns : 0;
}

// ---- nodes --------------------------------------------------------------------------------------

static void
draw_broker(struct plan *self)
{
    struct prng dice = dice_of(self, PART_BROKER, 0);
    struct broker_config *config = &self->broker;
    *config = (struct broker_config){
        .heartbeat_ms = (uint32_t)spread(&dice, 100, 10000),
        .liveness = (uint32_t)between(&dice, 1, 5),
        .services_max = 16,
        .workers_max = 128,
        .service_workers_max = 64,
        .requests_max = 1000,
        .service_requests_max = 500,
        .client_requests_max = 200,
        .request_bytes_max = 16 << 20,
        .answer_bytes_max = 1 << 20,
        .answer_frames_max = 256,
        .credit_max = (uint32_t)spread(&dice, 1, 64),
        .attempts = (uint32_t)between(&dice, 1, 5),
        .request_ttl_ms = chance(&dice, 2) ? 0 : (uint32_t)spread(&dice, 100, 60000),
        .drain_ms = (uint32_t)spread(&dice, 10, 10000),
    };
    uint32_t requests = (uint32_t)spread(&dice, 1, 64);
    uint32_t of_service = (uint32_t)between(&dice, 1, requests);
    uint32_t of_client = (uint32_t)between(&dice, 1, requests);
    uint64_t bytes = spread(&dice, 60000, 400000);
    uint32_t workers = WORKERS_MAX + 4 + (uint32_t)prng_below(&dice, 8);
    uint32_t parts = (uint32_t)between(&dice, 4, 64);
    if (self->has[FAULT_LIMITS]) {
        config->requests_max = requests;
        config->service_requests_max = of_service;
        config->client_requests_max = of_client;
        config->request_bytes_max = bytes;
        config->workers_max = workers;
        config->answer_frames_max = parts;
    }
    // What no worker will ever take has to expire.
    if ((self->workers < self->services || self->is_hostile) && config->request_ttl_ms == 0)
        config->request_ttl_ms = 5000;
    for (uint32_t i = 0; i < BROKERS_MAX; i++) {
        struct prng own = dice_of(self, PART_BROKER, 1 + i);
        self->broker_clocks[i] = draw_clock(self, &own);
        self->broker_start_ns[i] = draw_start(self, &own);
    }
}

static void
draw_services(struct plan *self)
{
    for (uint32_t i = 0; i < SERVICES_MAX; i++) {
        struct prng dice = dice_of(self, PART_SERVICES, i);
        struct broker_service_config *config = &self->service_configs[i];
        *config = (struct broker_service_config){.name = swarm_service(i)};
        config->attempts = chance(&dice, 2) ? 0 : (uint32_t)between(&dice, 1, 10);
        // A limit has to be longer than the way there and back.
        uint64_t shortest_ms = 20 + (4 * self->latency_ns_max + 4 * self->lateness_ns) / ms;
        uint64_t limit_ms = shortest_ms + spread(&dice, 50, 20000);
        config->limit_ms = chance(&dice, 2) ? 0 : (uint32_t)limit_ms;
        config->may_resume = chance(&dice, 2);
    }
    self->broker.services = self->service_configs;
    self->broker.service_count = SERVICES_MAX;
}

static void
draw_worker(struct plan *self, uint32_t number)
{
    struct prng dice = dice_of(self, PART_NODE, number);
    struct worker_plan *plan = &self->worker[number];
    draw_brokers(self, &dice, plan->brokers);
    plan->clock = draw_clock(self, &dice);
    // The first ones see to it that each service has a worker.
    uint32_t service = (uint32_t)prng_below(&dice, self->services);
    plan->service = number < self->services ? number : service;
    plan->is_blocking = chance(&dice, 3);
    plan->start_ns = draw_start(self, &dice);
    uint32_t own_ms = (uint32_t)spread(&dice, 100, 10000);
    plan->config = (struct worker_config){
        .service = swarm_service(plan->service),
        .broker_count = self->brokers,
        .dialect = draw_dialect(&dice),
        // Where nobody advertises an interval both sides have to agree on one.
        .heartbeat_ms = self->broker.heartbeat_ms,
        .liveness = (uint32_t)between(&dice, 1, 5),
        .reconnect_ms_min = (uint32_t)spread(&dice, 1, 500),
        .credit = (uint32_t)(chance(&dice, 2) ? 1 : spread(&dice, 1, 64)),
        .has_printable_id = chance(&dice, 4),
        .says_disconnect = !chance(&dice, 8),
    };
    plan->config.reconnect_ms_max =
        plan->config.reconnect_ms_min + (uint32_t)prng_below(&dice, 5000);
    if (plan->config.dialect == MDP_G1 && chance(&dice, 2))
        plan->config.heartbeat_ms = own_ms;
    // A short patience of one interval does not survive a busy network.
    if (plan->config.liveness < 2 && chance(&dice, 2))
        plan->config.liveness = 2;
}

static void
draw_client(struct plan *self, uint32_t number)
{
    struct prng dice = dice_of(self, PART_NODE, 1000 + number);
    struct client_plan *plan = &self->client[number];
    draw_brokers(self, &dice, plan->brokers);
    for (uint32_t i = 0; i < self->brokers; i++)
        plan->names[i] = swarm_broker(plan->brokers[i]);
    plan->clock = draw_clock(self, &dice);
    plan->config = (struct client_config){
        .window = (uint32_t)spread(&dice, 1, 64),
        .timeout_ms = (uint32_t)spread(&dice, 50, 10000),
        .attempts = (uint32_t)between(&dice, 1, 5),
        .answer_bytes_max = 1 << 20,
        .dialect = draw_dialect(&dice),
        .hands_out_parts = chance(&dice, 2),
        .endpoints = plan->names,
        .endpoint_count = self->brokers,
    };
    plan->config.deadline_ms = plan->config.timeout_ms * plan->config.attempts;
    if (chance(&dice, 3))
        plan->config.deadline_ms = (uint32_t)spread(&dice, 100, 30000);
    if (self->has[FAULT_LIMITS] && chance(&dice, 4))
        plan->config.answer_bytes_max = spread(&dice, 100, 4000);
    plan->stack_size = chance(&dice, 4) ? (uint32_t)between(&dice, 1, STACKS_MAX) : 0;
    plan->calls_at_once = (uint32_t)between(&dice, 1, plan->config.window);
    plan->think_ns = spread(&dice, 10, 4000) * ms;
    plan->has_printable_id = chance(&dice, 4);
    plan->start_ns = draw_start(self, &dice);
}

static void
draw_disk(struct plan *self)
{
    struct prng dice = dice_of(self, PART_DISK, 0);
    struct disk_plan *plan = &self->disk;
    plan->latency_ns_min = spread(&dice, 10, 10000) * us;
    plan->latency_ns_max = plan->latency_ns_min + spread(&dice, 10, 50000) * us;
    plan->stall_ns_max = spread(&dice, 100, 60000) * ms;
    plan->bytes_max = spread(&dice, 4096, 1 << 20);
}

// ---- Titanic ------------------------------------------------------------------------------------

enum tsp_service
swarm_front(uint32_t number)
{
    static const enum tsp_service services[] = {TSP_SUBMIT, TSP_REQUEST, TSP_REPLY, TSP_WAIT,
                                                TSP_CLOSE,  TSP_CANCEL,  TSP_RETRY, TSP_PURGE};
    return number < sizeof services / sizeof *services ? services[number] : TSP_SERVICES;
}

static void
draw_titanic_config(struct plan *self, struct prng *dice)
{
    struct titanic_config *config = &self->titanic.config;
    *config = (struct titanic_config){
        .asks_max = 256,
        .waits_max = 64,
        .services_max = 64,
        .inflight = (uint32_t)(chance(dice, 2) ? between(dice, 1, 3) : spread(dice, 1, 16)),
        .bytes_max = 64 << 20,
        .attempts = (uint32_t)between(dice, 1, 6),
        .retry_min_ms = spread(dice, 1, 2000),
        .timeout_ms = spread(dice, 200, 20000),
        .retain_ms = UINT64_MAX / 4,
        .drain_ms = spread(dice, 10, 10000),
    };
    config->retry_max_ms = config->retry_min_ms + prng_below(dice, 5000);
    uint32_t asks = (uint32_t)spread(dice, 2, 16);
    uint32_t waits = (uint32_t)between(dice, 1, 4);
    uint32_t services = (uint32_t)between(dice, 1, 6);
    uint64_t bytes = spread(dice, 60000, 400000);
    if (!self->has[FAULT_LIMITS])
        return;
    config->asks_max = asks;
    config->waits_max = waits < asks ? waits : asks - 1;
    config->services_max = services;
    config->bytes_max = bytes;
}

static void
draw_front(struct plan *self, struct prng *dice, uint32_t number)
{
    struct worker_plan *plan = &self->titanic.front[number];
    const char *name = tsp_service_name(swarm_front(number));
    draw_brokers(self, dice, plan->brokers);
    plan->clock = self->titanic.clock;
    plan->service = SERVICES_MAX;
    plan->config = (struct worker_config){
        .service = view_of(name, strlen(name)),
        .broker_count = self->brokers,
        .dialect = MDP_G1,
        .heartbeat_ms = self->broker.heartbeat_ms,
        .liveness = (uint32_t)between(dice, 2, 5),
        .reconnect_ms_min = (uint32_t)spread(dice, 1, 500),
        .credit = (uint32_t)spread(dice, 1, 64),
        .says_disconnect = true,
    };
    plan->config.reconnect_ms_max = plan->config.reconnect_ms_min + 5000;
}

static void
draw_g1_client(struct plan *self, struct prng *dice, struct client_plan *plan)
{
    draw_brokers(self, dice, plan->brokers);
    for (uint32_t i = 0; i < self->brokers; i++)
        plan->names[i] = swarm_broker(plan->brokers[i]);
    plan->think_ns = 1;
    plan->config = (struct client_config){.window = 256,
                                          .timeout_ms = 2500,
                                          .attempts = 1,
                                          .answer_bytes_max = 1 << 20,
                                          .dialect = MDP_G1,
                                          .endpoints = plan->names,
                                          .endpoint_count = self->brokers};
    plan->clock = self->titanic.clock;
}

static void
draw_durable(struct plan *self, uint32_t number)
{
    struct prng dice = dice_of(self, PART_TITANIC, 1 + number);
    struct client_plan *plan = &self->titanic.durable[number];
    draw_g1_client(self, &dice, plan);
    plan->clock = draw_clock(self, &dice);
    plan->config.window = (uint32_t)spread(&dice, 2, 64);
    plan->config.timeout_ms = (uint32_t)spread(&dice, 500, 20000);
    plan->config.attempts = (uint32_t)between(&dice, 1, 3);
    plan->config.deadline_ms = plan->config.timeout_ms * plan->config.attempts;
    plan->think_ns = spread(&dice, 50, 4000) * ms;
    plan->start_ns = draw_start(self, &dice);
}

// draw_titanic: who asks it, for services that have a worker in the end.
static void
draw_titanic(struct plan *self)
{
    struct prng dice = dice_of(self, PART_TITANIC, 0);
    struct titanic_plan *plan = &self->titanic;
    plan->is_there = chance(&dice, 3) && !self->is_hostile && self->workers > 0;
    plan->clock = draw_clock(self, &dice);
    plan->start_ns = draw_start(self, &dice);
    plan->burst = chance(&dice, 2) ? 1 : (uint32_t)spread(&dice, 1, 32);
    plan->kill_gap_ns = chance(&dice, 4) ? 0 : spread(&dice, 1, 120) * second;
    plan->targets = smaller(self->services, self->workers);
    plan->durables = (uint32_t)between(&dice, 1, DURABLES_MAX);
    plan->errands = (uint32_t)spread(&dice, 4, 100);
    draw_titanic_config(self, &dice);
    for (uint32_t i = 0; swarm_front(i) != TSP_SERVICES; i++)
        draw_front(self, &dice, i);
    draw_g1_client(self, &dice, &plan->back);
    plan->back.config.window = plan->config.inflight;
    plan->back.config.timeout_ms = (uint32_t)plan->config.timeout_ms;
    draw_g1_client(self, &dice, &plan->questions);
    plan->back.config.deadline_ms = plan->back.config.timeout_ms;
    plan->questions.config.deadline_ms = plan->questions.config.timeout_ms;
    for (uint32_t i = 0; i < DURABLES_MAX; i++)
        draw_durable(self, i);
    plan->anchor_ms = chance(&dice, 4) ? 0 : spread(&dice, 100, 4000);
    plan->owners = chance(&dice, 4) ? 0 : (uint32_t)between(&dice, 1, DURABLES_MAX);
    if (chance(&dice, 2))
        plan->config.retain_ms = spread(&dice, 2000, 300000);
    if (plan->is_there && self->has[FAULT_LIMITS])
        self->broker.workers_max += FRONTS_MAX;
}

// ---- pirates ------------------------------------------------------------------------------------

static void
draw_queue(struct plan *self, struct prng *dice, struct pirate_queue_config *config)
{
    *config = (struct pirate_queue_config){
        .dialect = chance(dice, 2) ? PIRATE_SIMPLE : PIRATE_PARANOID,
        .heartbeat_ms = (uint32_t)spread(dice, 100, 10000),
        .liveness = (uint32_t)between(dice, 1, 5),
        .workers_max = 1024,
        .requests_max = 1000,
        .client_requests_max = 200,
        .request_bytes_max = 16 << 20,
        .message_bytes_max = 1 << 20,
        .frames_max = 256,
        .attempts = (uint32_t)between(dice, 1, 5),
        .request_ttl_ms = chance(dice, 2) ? 0 : (uint32_t)spread(dice, 100, 60000),
        .drain_ms = (uint32_t)spread(dice, 10, 10000),
    };
    // A limit has to be longer than the way there and back.
    uint64_t shortest_ms = 20 + (4 * self->latency_ns_max + 4 * self->lateness_ns) / ms;
    uint64_t limit_ms = shortest_ms + spread(dice, 50, 20000);
    config->limit_ms = chance(dice, 2) ? 0 : (uint32_t)limit_ms;
    uint32_t requests = (uint32_t)spread(dice, 1, 64);
    uint32_t of_client = (uint32_t)between(dice, 1, requests);
    uint64_t bytes = spread(dice, 60000, 400000);
    if (!self->has[FAULT_LIMITS])
        return;
    config->requests_max = requests;
    config->client_requests_max = of_client;
    config->request_bytes_max = bytes;
    // A simple worker that is refused waits until its connection ends (pirates.md, 6).
    if (config->dialect == PIRATE_PARANOID)
        config->workers_max = WORKERS_MAX + 4;
}

static void
draw_site(struct plan *self, uint32_t number)
{
    struct prng dice = dice_of(self, PART_PIRATES, 1 + number);
    struct site_plan *plan = &self->pirates.site[number];
    plan->is_queue = !chance(&dice, 4);
    draw_queue(self, &dice, &plan->queue);
    plan->clock = draw_clock(self, &dice);
    plan->start_ns = draw_start(self, &dice);
    if (!plan->is_queue)
        return;
    // What no worker will ever take has to expire.
    if (self->pirates.workers < self->brokers && plan->queue.request_ttl_ms == 0)
        plan->queue.request_ttl_ms = 5000;
    // What the checks ask of a broker.
    struct broker_config *most = &self->broker;
    if (plan->queue.heartbeat_ms > most->heartbeat_ms)
        most->heartbeat_ms = plan->queue.heartbeat_ms;
    if (plan->queue.liveness > most->liveness)
        most->liveness = plan->queue.liveness;
    if (plan->queue.request_ttl_ms > most->request_ttl_ms)
        most->request_ttl_ms = plan->queue.request_ttl_ms;
    if (plan->queue.drain_ms > most->drain_ms)
        most->drain_ms = plan->queue.drain_ms;
}

// draw_pirate: the first ones see to it that each site has a worker; a plain server needs none, and
// who would be its is another's.
static void
draw_pirate(struct plan *self, uint32_t number)
{
    struct prng dice = dice_of(self, PART_PIRATES, 100 + number);
    struct pirate_plan *plan = &self->pirates.worker[number];
    uint32_t site = (uint32_t)prng_below(&dice, self->brokers);
    plan->site = number < self->brokers ? number : site;
    for (uint32_t i = 0; i < self->brokers && !self->pirates.site[plan->site].is_queue; i++)
        plan->site = (plan->site + 1) % self->brokers;
    const struct pirate_queue_config *queue = &self->pirates.site[plan->site].queue;
    plan->clock = draw_clock(self, &dice);
    plan->is_req = chance(&dice, 2) && queue->dialect == PIRATE_SIMPLE;
    plan->is_blocking = chance(&dice, 3);
    plan->start_ns = draw_start(self, &dice);
    plan->config = (struct pirate_worker_config){
        .dialect = queue->dialect,
        .heartbeat_ms = queue->heartbeat_ms,
        .liveness = (uint32_t)between(&dice, 2, 5),
        .reconnect_ms_min = (uint32_t)spread(&dice, 1, 500),
    };
    plan->config.reconnect_ms_max =
        plan->config.reconnect_ms_min + (uint32_t)prng_below(&dice, 5000);
}

// swarm_lazy_ns: an attempt's time begins when its pause is over, and again when it is sent.
uint64_t
swarm_lazy_ns(const struct lazy_config *config)
{
    uint64_t pause_ms = config->backoff_ms_max > 100 ? config->backoff_ms_max : 100;
    uint64_t most_ms = config->attempts * (2 * (uint64_t)config->timeout_ms + pause_ms);
    bool has_deadline = config->deadline_ms > 0 && config->deadline_ms < most_ms;
    return (has_deadline ? config->deadline_ms : most_ms) * ms;
}

static void
draw_lazy(struct plan *self, uint32_t number)
{
    struct prng dice = dice_of(self, PART_PIRATES, 200 + number);
    struct lazy_plan *plan = &self->pirates.lazy[number];
    draw_brokers(self, &dice, plan->sites);
    plan->clock = draw_clock(self, &dice);
    plan->config = (struct lazy_config){
        .endpoint_count = (uint32_t)between(&dice, 1, self->brokers),
        .timeout_ms = (uint32_t)spread(&dice, 50, 10000),
        .attempts = (uint32_t)between(&dice, 1, 5),
        .deadline_ms = chance(&dice, 2) ? 0 : (uint32_t)spread(&dice, 100, 30000),
        .backoff_ms_max = chance(&dice, 2) ? 0 : (uint32_t)spread(&dice, 1, 5000),
        .has_ids = chance(&dice, 2),
    };
    plan->think_ns = spread(&dice, 1, 2000) * ms;
    plan->start_ns = draw_start(self, &dice);
    uint64_t call_ns = swarm_lazy_ns(&plan->config);
    if (call_ns > self->pirates.call_ns_max)
        self->pirates.call_ns_max = call_ns;
}

static void
draw_pirates(struct plan *self)
{
    struct prng dice = dice_of(self, PART_PIRATES, 0);
    struct pirates_plan *plan = &self->pirates;
    plan->is_there = true;
    plan->has_stranger = chance(&dice, 3);
    plan->workers = self->workers;
    plan->lazies = self->clients;
    self->workers = self->clients = 0;
    self->services = 1;
    self->broker.heartbeat_ms = self->broker.liveness = 1;
    for (uint32_t i = 0; i < self->brokers; i++)
        draw_site(self, i);
    for (uint32_t i = 0; i < plan->workers; i++)
        draw_pirate(self, i);
    for (uint32_t i = 0; i < plan->lazies; i++)
        draw_lazy(self, i);
}

// ---- a pair -------------------------------------------------------------------------------------

// hurry: a client that asks the other half before what was late is lost.
static void
hurry(const struct plan *self, struct client_config *config)
{
    config->timeout_ms = smaller(config->timeout_ms, self->pair.lease_ms);
}

// draw_pair makes the halves of a pair of two brokers. Its times are those of a lease: what members
// say to each other takes a small part of one.
static void
draw_pair(struct plan *self)
{
    struct prng dice = dice_of(self, PART_PAIR, 0);
    struct pair_plan *plan = &self->pair;
    plan->is_there = true;
    plan->number = 7;
    plan->lease_ms = (uint32_t)spread(&dice, 200, 4000);
    plan->beat_ms = plan->lease_ms / 10;
    plan->latency_ns_max = spread(&dice, plan->lease_ms * ms / 1000, plan->lease_ms * ms / 32);
    plan->fault_gap_ns = spread(&dice, plan->lease_ms / 4, plan->lease_ms * 32) * ms;
    plan->witness_clock = draw_clock(self, &dice);
    plan->is_classic = chance(&dice, 3);
    plan->is_clashing = chance(&dice, 4) && plan->is_classic;
    // Two ACTIVE halves of one role cannot find out by digits.
    plan->is_bare = chance(&dice, 3) && plan->is_classic && !plan->is_clashing;
    if (plan->is_classic)
        plan->beat_ms = plan->lease_ms / 4;
    self->broker.is_paired = true;
    self->trouble_ns = self->trouble_ns < 120 * second ? self->trouble_ns : 120 * second;
}

// ---- all of it ----------------------------------------------------------------------------------

static void
draw_network(struct plan *self)
{
    struct prng dice = dice_of(self, PART_NETWORK, 0);
    self->latency_ns_min = spread(&dice, 10, 5000) * us;
    self->latency_ns_max = self->latency_ns_min + spread(&dice, 10, 50000) * us;
    self->patience_ns = chance(&dice, 4) ? spread(&dice, 4, 60) * second : 3 * second;
    self->lateness_ns = spread(&dice, 1, 1000) * us;
    self->batch = (uint32_t)spread(&dice, 1, 256);
    self->pack_bytes = (uint32_t)spread(&dice, 64, MDP_PACK_BYTES_MAX);
    uint32_t hwm = (uint32_t)spread(&dice, 1, 100);
    self->hwm = self->has[FAULT_FULL] ? hwm : 2176;
    uint32_t receive_mark = (uint32_t)spread(&dice, 1, 100);
    self->receive_mark = self->has[FAULT_RECEIVE_MARK] ? receive_mark : 2176;
    self->work_ns = spread(&dice, 1, 500) * ms;
    self->fault_gap_ns = spread(&dice, 100, 30000) * ms;
}

// draw_enemies: each is there with probability 1/2, and one of them at least.
static void
draw_enemies(struct plan *self)
{
    struct prng dice = dice_of(self, PART_HOSTILE, 0);
    self->has_liar = chance(&dice, 2) && self->is_hostile;
    bool has_false = chance(&dice, 2) && self->is_hostile;
    self->has_stranger = self->is_hostile && (chance(&dice, 2) || !(self->has_liar || has_false));
    self->false_broker = has_false ? 0 : UINT32_MAX; // draw_sizes says which
}

static void
draw_sizes(struct plan *self, const struct options *options)
{
    struct prng dice = dice_of(self, PART_SIZES, 0);
    uint32_t brokers = (uint32_t)between(&dice, 1, BROKERS_MAX);
    uint32_t workers = (uint32_t)spread(&dice, 1, WORKERS_MAX + 1) - 1;
    uint32_t clients = (uint32_t)spread(&dice, 1, CLIENTS_MAX);
    self->services = (uint32_t)between(&dice, 1, SERVICES_MAX);
    if (chance(&dice, 2))
        brokers = 1;
    // Besides a false one there is at least one that is not.
    bool has_false = self->false_broker != UINT32_MAX && options->brokers_max > 1;
    self->brokers = smaller(has_false && brokers < 2 ? 2 : brokers, options->brokers_max);
    if (options->is_pairs) {
        self->brokers = 2;
        workers = 1 + workers % PAIR_PEERS_MAX;
        clients = 1 + clients % PAIR_PEERS_MAX;
        self->services = smaller(self->services, workers);
    }
    self->false_broker = has_false ? self->brokers - 1 : UINT32_MAX;
    self->workers = smaller(workers, options->workers_max);
    self->clients = smaller(clients, options->clients_max);
    self->trouble_ns = between(&dice, 1, options->minutes) * 60 * second;
    if (options->trouble_ms > 0)
        self->trouble_ns = options->trouble_ms * ms;
    self->events_max = options->events_max;
}

void
swarm_draw(struct plan *self, const struct options *options)
{
    memset(self, 0, sizeof *self);
    self->seed = options->seed;
    self->is_hostile = options->is_hostile;
    struct prng dice = dice_of(self, PART_FAULTS, 0);
    for (int i = 0; i < FAULTS; i++) {
        bool has = chance(&dice, 2);
        self->has[i] = has && !(options->faults_off >> i & 1);
    }
    draw_enemies(self);
    draw_sizes(self, options);
    draw_network(self);
    if (options->is_pirates) {
        draw_pirates(self);
        return;
    }
    draw_broker(self);
    draw_services(self);
    if (options->is_pairs)
        draw_pair(self);
    draw_disk(self);
    for (uint32_t i = 0; i < self->workers; i++)
        draw_worker(self, i);
    for (uint32_t i = 0; i < self->clients; i++)
        draw_client(self, i);
    if (!options->is_pairs)
        draw_titanic(self);
    for (uint32_t i = 0; i < self->clients && options->is_pairs; i++)
        hurry(self, &self->client[i].config);
}

uint64_t
swarm_patience_ns(const struct plan *self)
{
    // The broker goes by the larger interval of both; one that is learned is a minute at most.
    uint32_t liveness = self->broker.liveness;
    uint64_t interval_ns = self->broker.heartbeat_ms * ms;
    if (self->pirates.is_there)
        interval_ns = 60 * second;
    for (uint32_t i = 0; i < self->workers; i++) {
        const struct worker_config *config = &self->worker[i].config;
        if (config->heartbeat_ms * ms > interval_ns)
            interval_ns = config->heartbeat_ms * ms;
        if (config->liveness > liveness)
            liveness = config->liveness;
        if (config->dialect != MDP_G1)
            interval_ns = 60 * second;
    }
    return interval_ns * liveness + self->patience_ns;
}
