// drill_clients.c - the drills about clients: one that dies, and one that asks for too much.

#include "drill.h"

enum {
    WORK_MS = 2,
    // A client that dies with much in the queue: two seconds of work for both workers.
    GONE_WORKERS = 2,
    GONE_REQUESTS = 200,
    GONE_WORK_MS = 20,
    GONE_BEGUN = 4,     // when it is killed
    GONE_RUNS_MAX = 20, // of its requests, that begin after its death
    // A service that gets far more than it can do.
    FAST_WORKERS = 3,
    SLOW_WORKERS = 2,
    SLOW_REQUESTS = 1000, // at once
    SLOW_WORK_MS = 50
};

static bool
begin_load(struct drill_stage *stage, const char *service)
{
    struct drill_load_options options = {.endpoint = stage->endpoint,
                                         .service = service,
                                         .window = DRILL_WINDOW,
                                         .work_ms = WORK_MS,
                                         .client = {.timeout_ms = 30000, .attempts = 1}};
    return drill_load(stage, &options) != NULL;
}

static bool
hire(struct drill_stage *stage, const char *service, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        if (drill_workers(stage, stage->endpoint, service, DRILL_HEARTBEAT_MS, i, 1) == NULL)
            return false;
    return drill_await_workers(stage, service, count, DRILL_START_MS);
}

// ---- client-gone ------------------------------------------------------------------------------

// runs_of_client counts the requests of the client that is killed, of those that began since.
static uint32_t
runs_of_client(const struct drill_stage *stage, uint64_t since_ns)
{
    uint32_t count = drill_journal_count(stage->journal);
    uint32_t runs = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct drill_run *run = &stage->journal->runs[i];
        uint64_t began_ns = atomic_load(&run->began_ns);
        if (began_ns > since_ns && run->key > UINT64_MAX - GONE_REQUESTS)
            runs++;
    }
    return runs;
}

// is_waiting: some of its requests have been served, and most are in the queue.
static bool
is_waiting(struct drill_stage *stage, void *context)
{
    uint64_t queued = 0;
    (void)context;
    return runs_of_client(stage, 0) >= GONE_BEGUN &&
           drill_ask_number(stage, "mmi.services", "drill", "queued", &queued) &&
           queued >= GONE_REQUESTS / 2;
}

void
drill_client_gone(struct drill_stage *stage)
{
    struct drill_child *client;
    if (!drill_broker(stage, NULL) || !hire(stage, "drill", 1, GONE_WORKERS))
        return;
    client = drill_client(stage, "drill", GONE_REQUESTS, GONE_WORK_MS);
    if (client == NULL ||
        !drill_until(stage, is_waiting, NULL, DRILL_START_MS, "its requests wait"))
        return;
    drill_harm(stage);
    // Who comes now stands behind all that it asked for.
    if (!drill_kill(stage, client) || !begin_load(stage, "drill") ||
        !drill_await_progress(stage, DRILL_START_MS))
        return;
    drill_recover(stage, galleon_now_ns());
    drill_finish(stage, DRILL_START_MS);
    uint32_t runs = runs_of_client(stage, stage->harmed_ns);
    if (runs > GONE_RUNS_MAX)
        drill_fail(stage, "%u requests ran for a client that was dead, at most %d may", runs,
                   GONE_RUNS_MAX);
}

// ---- slow-service -----------------------------------------------------------------------------

static bool
has_ended(struct drill_stage *stage, void *context)
{
    const struct drill_load *load = context;
    (void)stage;
    return atomic_load(&load->is_over);
}

// longest_ns is how long the longest call took of those that were sent since; the load is over.
static uint64_t
longest_ns(const struct drill_load *load, uint64_t since_ns)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < load->sent; i++) {
        const struct drill_request *request = &load->requests[i];
        uint64_t took_ns = request->ended_ns - request->sent_ns;
        if (request->sent_ns >= since_ns && took_ns > longest)
            longest = took_ns;
    }
    return longest;
}

static uint32_t
count_refused(const struct drill_load *load)
{
    uint32_t refused = 0;
    for (uint32_t i = 0; i < load->sent; i++)
        refused += load->requests[i].result == GALLEON_BUSY ? 1 : 0;
    return refused;
}

void
drill_slow_service(struct drill_stage *stage)
{
    static const char *const limited[] = {"--service", "slow,queue=50", NULL};
    if (!drill_broker(stage, limited) || !hire(stage, "drill", 1, FAST_WORKERS) ||
        !hire(stage, "slow", FAST_WORKERS + 1, SLOW_WORKERS) || !begin_load(stage, "drill") ||
        !drill_await_progress(stage, DRILL_START_MS))
        return;
    struct drill_load_options options = {.endpoint = stage->endpoint,
                                         .service = "slow",
                                         .window = SLOW_REQUESTS,
                                         .requests = SLOW_REQUESTS,
                                         .work_ms = SLOW_WORK_MS,
                                         .may_be_refused = true,
                                         .client = {.timeout_ms = 30000, .attempts = 1}};
    drill_harm(stage);
    struct drill_load *slow = drill_load(stage, &options);
    if (slow == NULL ||
        !drill_until(stage, has_ended, slow, DRILL_START_MS, "the slow service has done its work"))
        return;
    if (!drill_await_progress(stage, DRILL_START_MS) || !drill_finish(stage, DRILL_START_MS))
        return;
    drill_recover(stage, stage->harmed_ns + longest_ns(&stage->loads[0], stage->harmed_ns));
    if (count_refused(slow) == 0)
        drill_fail(stage, "nothing was refused: the queue has no limit");
}
