// check_pirates.c - what must hold of lazy clients and of a pirate queue's workers. What must hold
// of the queue is in check.c: it is a broker, and P3 says which of a broker's invariants it keeps.

#include "check.h"
#include "pirates.h"
#include "workload.h"

static const uint64_t ms = 1000000;

enum { SLACK_MS = 20 };

// ---- lazy clients -------------------------------------------------------------------------------

static uint64_t
ended_attempts(const struct lazy_node *lazy)
{
    return lazy->core.stats.timeouts + lazy->core.stats.cuts;
}

void
check_lazy_call(struct lazy_node *lazy)
{
    const struct lazy_config *config = &lazy->plan->config;
    uint64_t now_ns = node_now(&lazy->node);
    lazy->ends_by_ns = now_ns + swarm_lazy_ns(config);
    lazy->deadline_ns = config->deadline_ms == 0 ? UINT64_MAX : now_ns + config->deadline_ms * ms;
    lazy->spent = ended_attempts(lazy);
    lazy->sent = 0;
    lazy->is_tainted = lazy->has_opened = false;
}

// in_turn (B11): an endpoint that failed is left, and the next of the list is asked.
static void
in_turn(struct lazy_node *lazy, uint32_t endpoint)
{
    uint32_t count = lazy->plan->config.endpoint_count;
    if (lazy->has_opened && endpoint != (lazy->opened + 1) % count)
        check_fail(&lazy->node, "B11 nothing_forgotten", "endpoint %u of %u is asked after %u",
                   endpoint, count, lazy->opened);
    lazy->has_opened = true;
    lazy->opened = endpoint;
}

void
check_lazy_effect(struct lazy_node *lazy, const struct lazy_effect *effect)
{
    note(lazy->node.world, &lazy->node, "effect %llu of the core, endpoint %llu, attempt %llu",
         effect->kind, effect->endpoint, effect->attempt);
    if (effect->kind == LAZY_RETRY &&
        (effect->attempt < 2 || effect->attempt > lazy->plan->config.attempts))
        check_fail(&lazy->node, "P1 attempts_bounded", "attempt %u of %u", effect->attempt,
                   lazy->plan->config.attempts);
    if (effect->kind == LAZY_OPEN)
        in_turn(lazy, effect->endpoint);
}

// attempts_bounded (P1): "a lazy client sends at most `attempts`". What has not left is not sent.
static void
attempts_bounded(const struct lazy_node *lazy)
{
    if (!lazy->is_calling)
        check_fail(&lazy->node, "P1 attempts_bounded", "it sends, and no call is open");
    if (lazy->sent > lazy->plan->config.attempts)
        check_fail(&lazy->node, "P1 attempts_bounded", "call %llu is sent %u times",
                   (unsigned long long)lazy->call, lazy->sent);
}

void
check_lazy_sent(struct lazy_node *lazy, const struct mdp_body *body)
{
    struct world *world = lazy->node.world;
    lazy->digests[lazy->sent++ % LAZY_ATTEMPTS_MAX] = workload_digest(body);
    attempts_bounded(lazy);
    // A second reply to the call before cannot be told from this one's (pirates.md, 1).
    lazy->calls_of_link++;
    bool may_be_second = !world->plan.pirates.site[lazy->site].is_queue &&
                         world->plan.has[FAULT_TWICE] && lazy->calls_of_link > 1;
    lazy->is_tainted = may_be_second && !lazy->plan->config.has_ids;
    note(world, &lazy->node, "sends call %llu to %llu, attempt %llu", lazy->call, lazy->site,
         lazy->sent);
}

// sequence_strict (P2): "it never takes an answer to an earlier attempt".
static void
sequence_strict(const struct lazy_node *lazy, const struct answer_head *head)
{
    for (uint32_t i = 0; i + 1 < lazy->sent; i++)
        if (head->digest == lazy->digests[i])
            check_fail(&lazy->node, "P2 sequence_strict",
                       "call %llu takes the answer to attempt %u after %u were sent",
                       (unsigned long long)lazy->call, i + 1, lazy->sent);
}

// right_reply (B1), at the client: for this call, whole, and as it was asked.
static void
right_reply(const struct lazy_node *lazy)
{
    const struct message *message = lazy->heard;
    const struct call *call = check_call(lazy->node.world, lazy->call);
    struct answer_head head;
    if (message == NULL || lazy->sent == 0)
        check_fail(&lazy->node, "B1 right_reply", "call %llu has an answer that nobody gave",
                   (unsigned long long)lazy->call);
    if (call->is_tainted || lazy->is_tainted)
        return;
    if (!workload_head(message->frames[1 + lazy->body_at], &head) || head.call != lazy->call)
        check_fail(&lazy->node, "B1 right_reply", "call %llu gets the answer to another",
                   (unsigned long long)lazy->call);
    sequence_strict(lazy, &head);
    if (head.digest != lazy->digests[lazy->sent - 1] || head.part != 0 || head.total != 0)
        check_fail(&lazy->node, "B1 right_reply", "the answer to call %llu is wrong",
                   (unsigned long long)lazy->call);
}

// check_lazy_strayed is P2, too: without numbers a connection that brings what nobody asked for is
// not to be trusted (pirates.md, 1).
void
check_lazy_strayed(const struct lazy_node *lazy)
{
    if (lazy->link != NULL && !lazy->plan->config.has_ids)
        check_fail(&lazy->node, "P2 sequence_strict", "it keeps a connection that brought a stray");
}

// given_up_rightly (B11): when its deadline has come, or after all attempts, and not before.
static void
given_up_rightly(const struct lazy_node *lazy)
{
    uint64_t spent = ended_attempts(lazy) - lazy->spent;
    if (node_now(&lazy->node) < lazy->deadline_ns && spent < lazy->plan->config.attempts)
        check_fail(&lazy->node, "B11 nothing_forgotten", "call %llu is given up after %llu of %u",
                   (unsigned long long)lazy->call, (unsigned long long)spent,
                   lazy->plan->config.attempts);
}

// loses_for_a_late_beat: a queue with a patience of one interval loses a worker, whose beats are an
// interval apart, for one that is late, so its workers come and go also when all is well.
static bool
loses_for_a_late_beat(const struct lazy_node *lazy)
{
    const struct site_plan *site = &lazy->node.world->plan.pirates.site[lazy->plan->sites[0]];
    return site->is_queue && site->queue.dialect == PIRATE_PARANOID && site->queue.liveness == 1;
}

void
check_lazy_answer(struct lazy_node *lazy, const struct lazy_effect *effect)
{
    struct world *world = lazy->node.world;
    note(world, &lazy->node, "has call %llu ended by %llu", lazy->call, effect->result, 0);
    if (!lazy->is_calling)
        check_fail(&lazy->node, "B12 one_final", "call %llu, which is over, is answered",
                   (unsigned long long)lazy->call);
    if (effect->result == GALLEON_OK) {
        right_reply(lazy);
        mark(world, MARK_LAZY_ANSWERED);
        if (lazy->site != lazy->plan->sites[0])
            mark(world, MARK_LAZY_FAILED_OVER);
        if (!world->plan.pirates.site[lazy->site].is_queue)
            mark(world, MARK_LAZY_BROKERLESS);
        return;
    }
    if (lazy->is_probe && !loses_for_a_late_beat(lazy))
        check_fail(&lazy->node, "B10 all_answered", "site %u gives no answer after all is mended",
                   lazy->plan->sites[0]);
    given_up_rightly(lazy);
    mark(world, MARK_LAZY_GIVEN_UP);
    if (node_now(&lazy->node) >= lazy->deadline_ns)
        mark(world, MARK_LAZY_DEADLINE);
}

// check_lazy_slept: what it has slept is none of its attempts' time. A deadline it is.
void
check_lazy_slept(struct node *node, uint64_t slept_ns)
{
    struct lazy_node *lazy = (struct lazy_node *)node;
    lazy->ends_by_ns += slept_ns;
    if (lazy->ends_by_ns > lazy->deadline_ns)
        lazy->ends_by_ns = lazy->deadline_ns;
}

// all_answered (B10): every call ends, answered or given up within its time.
void
check_lazy_turn(const struct lazy_node *lazy)
{
    if (lazy->is_calling && node_now(&lazy->node) > lazy->ends_by_ns + SLACK_MS * ms)
        check_fail(&lazy->node, "B10 all_answered", "call %llu is open after its time",
                   (unsigned long long)lazy->call);
    if (lazy->is_calling == lazy_core_is_free(&lazy->core))
        check_fail(&lazy->node, "B9 books_agree", "call %llu is open to one of us only",
                   (unsigned long long)lazy->call);
    if (lazy_core_has_socket(&lazy->core) != (lazy->link != NULL))
        check_fail(&lazy->node, "W4 memory_and_fds_bounded", "it has %u socket, by its count %u",
                   lazy->link != NULL, lazy_core_has_socket(&lazy->core));
}

void
check_lazy_end(const struct lazy_node *lazy)
{
    const struct lazy_stats *stats = &lazy->core.stats;
    uint32_t *marks = lazy->node.world->marks;
    marks[MARK_LAZY_STALE] += (uint32_t)stats->replies_stale;
    marks[MARK_LAZY_TIMED_OUT] += (uint32_t)stats->timeouts;
    marks[MARK_LAZY_CUT] += (uint32_t)stats->cuts;
}

// ---- a queue's workers --------------------------------------------------------------------------

// check_pirate_given is B2 of P3, at the worker: over a connection it has one request at most.
void
check_pirate_given(struct pirate_node *worker)
{
    if (worker->given > 0)
        check_fail(&worker->node, "P3 pirate_queue", "it is given a second request");
    worker->given++;
    worker->task_of_link = worker->link->serial;
}

void
check_pirate_said(struct pirate_node *worker, enum pirate_kind says)
{
    struct world *world = worker->node.world;
    note(world, &worker->node, "says %llu", says, 0, 0);
    worker->spoke_ns = node_now(&worker->node);
    if (says == PIRATE_READY && worker->task.request != NULL)
        check_fail(&worker->node, "B2 credit_kept", "it asks for a request while it has one");
    if (says != PIRATE_REPLY)
        return;
    if (worker->task_of_link == worker->link->serial)
        worker->given = 0;
    else
        mark(world, MARK_PIRATE_LATE_ANSWER);
}

// beats_sent (B8), at a paranoid worker: while nothing is there to do, its queue hears something
// in each interval.
static void
beats_sent(struct pirate_node *worker)
{
    uint64_t now_ns = node_now(&worker->node);
    bool is_busy =
        pirate_worker_core_is_held(worker->core) || pirate_worker_core_has_ready(worker->core);
    if (worker->spoke_ns == 0 || worker->plan->config.dialect == PIRATE_SIMPLE)
        return;
    if (is_busy)
        worker->spoke_ns = now_ns;
    if (now_ns - worker->spoke_ns > worker->plan->config.heartbeat_ms * ms + SLACK_MS * ms)
        check_fail(&worker->node, "B8 beats_sent", "its queue hears nothing for %llu ms",
                   (unsigned long long)((now_ns - worker->spoke_ns) / ms));
}

// nothing_forgotten (B11), at the worker: what its application has answered was sent, or waits, or
// is counted as lost.
static void
nothing_forgotten(const struct pirate_node *worker)
{
    const struct pirate_worker_counters *counters = pirate_worker_core_counters(worker->core);
    uint64_t known = counters->answers + counters->answers_lost;
    if (worker->node.core_parcels == 0 && worker->answers != known)
        check_fail(&worker->node, "B11 nothing_forgotten",
                   "%llu answers, and %llu of them known of", (unsigned long long)worker->answers,
                   (unsigned long long)known);
}

void
check_pirate_turn(struct pirate_node *worker)
{
    // B6: at most so many requests, and one answer on its way.
    if (worker->node.core_parcels > PIRATE_WORKER_REQUESTS_MAX)
        check_fail(&worker->node, "B6 bounds_kept", "it keeps %llu bodies",
                   (unsigned long long)worker->node.core_parcels);
    nothing_forgotten(worker);
    beats_sent(worker);
}

void
check_pirate_end(const struct pirate_node *worker)
{
    const struct pirate_worker_counters *counters = pirate_worker_core_counters(worker->core);
    uint32_t *marks = worker->node.world->marks;
    marks[MARK_PIRATE_SILENCE] += (uint32_t)counters->silences;
    marks[MARK_PIRATE_CUT] += (uint32_t)counters->connections_lost;
}
