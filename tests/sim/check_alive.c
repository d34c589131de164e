// check_alive.c - who is alive, as a broker should see it: silence, beats, pauses.

#include "check_seen.h"
#include "pairs.h"

static const uint64_t ms = 1000000;

enum { SLACK_MS = 10 };

static uint64_t
patience_of(const struct broker_node *broker, const struct seen_worker *worker, bool with_gaps)
{
    uint64_t own_ns = broker->config.heartbeat_ms * ms;
    bool is_shown = worker->dialect == MDP_G1 || with_gaps;
    uint64_t shown_ns = is_shown ? worker->interval_ns : 0;
    return (shown_ns > own_ns ? shown_ns : own_ns) * broker->config.liveness;
}

// our_pause_expires_nobody (B13): "no peer is lost because we slept". A core sees a pause by
// a deadline that it missed, so it may miss up to one interval of it, and does not look at
// those shorter than that.
static void
our_pause_expires_nobody(const struct broker_node *broker, const struct seen_worker *worker)
{
    uint64_t silent_ns = node_now(&broker->node) - worker->heard_ns;
    uint64_t slept_ns = broker->seen->counted_ns - worker->counted_at_heard_ns;
    if (silent_ns - slept_ns <= patience_of(broker, worker, false))
        check_fail(&broker->node, "B13 our_pause_expires_nobody",
                   "worker %llu, silent for %llu ms, %llu slept",
                   (unsigned long long)worker->number, (unsigned long long)(silent_ns / ms),
                   (unsigned long long)(slept_ns / ms));
}

// check_lost_on_time (B7), too early: "an idle peer is lost only after its patience of silence".
void
check_lost_on_time(const struct broker_node *broker, const struct seen_worker *worker)
{
    uint64_t silent_ns = node_now(&broker->node) - worker->heard_ns;
    if (worker->held.size > 0 || !worker->has_promise ||
        silent_ns <= patience_of(broker, worker, false))
        check_fail(&broker->node, "B7 lost_on_time",
                   "worker %llu is lost after %llu ms, with %zu requests",
                   (unsigned long long)worker->number, (unsigned long long)(silent_ns / ms),
                   worker->held.size);
    our_pause_expires_nobody(broker, worker);
    mark(broker->node.world, MARK_WORKER_SILENT);
}

// check_lost_in_the_end (B7), too late: "and at the latest one interval later". One that holds a
// request is never lost by silence (mdp.md, 3.6).
void
check_lost_in_the_end(const struct broker_node *broker, const struct seen_worker *worker)
{
    uint64_t since_ns = worker->heard_ns;
    if (worker->idle_since_ns > since_ns)
        since_ns = worker->idle_since_ns;
    uint64_t silent_ns = node_now(&broker->node) - since_ns;
    uint64_t most_ns = patience_of(broker, worker, true) + broker->config.heartbeat_ms * ms +
                       broker->seen->slept_ns - worker->slept_at_heard_ns + SLACK_MS * ms;
    if (worker->held.size == 0 && worker->has_promise && silent_ns > most_ns)
        check_fail(&broker->node, "B7 lost_on_time",
                   "worker %llu is silent for %llu ms and still there",
                   (unsigned long long)worker->number, (unsigned long long)(silent_ns / ms));
}

// check_beats_sent (B8): "no longer silence than the interval towards a live worker". One that
// does not read is spared (mdp.md, 3.6, Unread limit).
void
check_beats_sent(const struct broker_node *broker, const struct seen_worker *worker)
{
    uint64_t silent_ns = node_now(&broker->node) - worker->spoken_to_ns;
    uint64_t most_ns = broker->config.heartbeat_ms * ms + broker->seen->slept_ns -
                       worker->slept_at_spoken_ns + SLACK_MS * ms;
    bool is_spared = worker->dialect != MDP_G1 && worker->unread >= PROBES_ALWAYS;
    if (!is_spared && silent_ns > most_ns)
        check_fail(&broker->node, "B8 beats_sent",
                   "worker %llu hears nothing for %llu ms of %llu, %u unread",
                   (unsigned long long)worker->number, (unsigned long long)(silent_ns / ms),
                   (unsigned long long)(most_ns / ms), worker->unread);
}

void
check_slept(struct node *node, uint64_t slept_ns)
{
    struct broker_node *broker = (struct broker_node *)node;
    uint64_t interval_ns = broker->config.heartbeat_ms * ms;
    broker->seen->slept_ns += slept_ns;
    if (node->world->pair != NULL)
        check_apart(node->world, node->world->now_ns);
    if (slept_ns > 2 * interval_ns)
        broker->seen->counted_ns += slept_ns - interval_ns;
    list_each (at, &broker->seen->workers)
        if (slept_ns > patience_of(broker, list_object(at, struct seen_worker, in_broker), true))
            mark(node->world, MARK_PAUSE_EXTENDS);
}
