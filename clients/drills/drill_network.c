// drill_network.c - the drills that harm connections: a proxy stands between each worker and the
// broker, and between one of the clients and the broker.

#include "drill.h"

#include "fault_proxy.h"

#include <errno.h>

// The first proxy is the client's; the others have the numbers of their workers.
enum { CLIENT, WORKERS = 3, PROXIES = WORKERS + 1, WORK_MS = 2 };

struct network {
    struct fault_proxy *proxies[PROXIES];
};

static bool
open_network(struct drill_stage *stage, struct network *network)
{
    for (size_t i = 0; i < PROXIES; i++) {
        network->proxies[i] = fault_proxy_new(stage->endpoint);
        if (network->proxies[i] == NULL)
            return drill_fail(stage, "cannot start a proxy: %s", strerror(errno));
    }
    return true;
}

static void
close_network(struct network *network)
{
    for (size_t i = 0; i < PROXIES; i++)
        fault_proxy_destroy(&network->proxies[i]);
}

// begin starts the workers, a client behind a proxy that repeats, and one that has a connection
// of its own and does not: what the broker loses is seen.
static bool
begin(struct drill_stage *stage, const struct network *network)
{
    for (uint32_t i = 1; i <= WORKERS; i++)
        if (drill_workers(stage, fault_proxy_endpoint(network->proxies[i]), "drill",
                          DRILL_HEARTBEAT_MS, i, 1) == NULL)
            return false;
    struct drill_load_options direct = {.endpoint = stage->endpoint,
                                        .service = "drill",
                                        .window = DRILL_WINDOW,
                                        .work_ms = WORK_MS,
                                        .client = {.timeout_ms = 30000, .attempts = 1}};
    struct drill_load_options repeating = direct;
    repeating.endpoint = fault_proxy_endpoint(network->proxies[CLIENT]);
    repeating.client =
        (mdp_client_options_t){.timeout_ms = 2000, .attempts = 30, .deadline_ms = 60000};
    return drill_await_workers(stage, "drill", WORKERS, DRILL_START_MS) &&
           drill_load(stage, &direct) != NULL && drill_load(stage, &repeating) != NULL &&
           drill_await_progress(stage, DRILL_START_MS);
}

static void
set_both(const struct network *network, uint32_t victim, const struct fault_proxy_faults *faults)
{
    fault_proxy_set(network->proxies[CLIENT], faults);
    fault_proxy_set(network->proxies[victim], faults);
}

// harm makes the network of a busy worker and of a client fail, and heals it when another worker
// has answered.
static void
harm(struct drill_stage *stage, const struct network *network,
     const struct fault_proxy_faults *faults, bool is_cut)
{
    const struct fault_proxy_faults none = {0};
    struct drill_load *load;
    uint32_t victim = begin(stage, network) ? drill_hostage(stage, &load) : 0;
    if (victim == 0)
        return;
    drill_harm(stage);
    set_both(network, victim, faults);
    if (is_cut) {
        fault_proxy_cut(network->proxies[CLIENT]);
        fault_proxy_cut(network->proxies[victim]);
    }
    bool is_answered = drill_await_hostage(stage, load);
    set_both(network, victim, &none);
    if (is_answered)
        drill_release(stage, load, victim);
}

static void
run(struct drill_stage *stage, const struct fault_proxy_faults *faults, bool is_cut)
{
    struct network network = {{NULL}};
    // What is cut is noticed without a limit.
    const char *const *arguments = is_cut ? NULL : drill_limit(stage);
    if (drill_broker(stage, arguments) && open_network(stage, &network))
        harm(stage, &network, faults, is_cut);
    drill_end_loads(stage);
    close_network(&network);
}

void
drill_network_cut(struct drill_stage *stage)
{
    const struct fault_proxy_faults faults = {.refuses = true};
    run(stage, &faults, true);
}

void
drill_network_half_open(struct drill_stage *stage)
{
    const struct fault_proxy_faults faults = {.stalls_forward = true};
    run(stage, &faults, false);
}
