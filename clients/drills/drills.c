// drills.c - the list of drills, and what is done for each: judge it, and clean up.

#include "drill.h"

#include "undo_log.h"
#include "wait.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    STOP_MS = 15000, // for a broker to drain and leave
    LAST_MS = 5000   // for what is open when a drill has failed
};

const struct drill drills[] = {
    {.name = "worker-killed",
     .about = "SIGKILL of a busy worker: another answers its request",
     .recovery_ms_max = DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1,
     .run = drill_worker_killed},
    {.name = "worker-frozen",
     .about = "SIGSTOP of a busy worker: another answers, and its own late answer is dropped",
     .recovery_ms_max = DRILL_LINK_MS + 2 * DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1,
     .run = drill_worker_frozen},
    {.name = "worker-hung",
     .about = "an application hangs: after the processing limit another worker answers",
     .recovery_ms_max = DRILL_LIMIT_MS + DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1,
     .run = drill_worker_hung},
    {.name = "broker-restarted",
     .about = "SIGKILL of the broker, and a new one on its port: all come back",
     .recovery_ms_max = DRILL_AWAY_MS,
     .twice_max = 2 * DRILL_WINDOW,
     .run = drill_broker_restarted},
    {.name = "broker-frozen",
     .about = "SIGSTOP of the broker for 2 s, and SIGCONT: all are there again",
     .recovery_ms_max = DRILL_AWAY_MS,
     .twice_max = 2 * DRILL_WINDOW,
     .run = drill_broker_frozen},
    {.name = "network-cut",
     .about = "connections of a busy worker and of a client end: another worker answers",
     .recovery_ms_max = DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1 + DRILL_WINDOW,
     .run = drill_network_cut},
    {.name = "network-half-open",
     .about = "nothing comes from a busy worker and from a client, who hear everything",
     .recovery_ms_max = DRILL_LINK_MS + 2 * DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1 + DRILL_WINDOW,
     .run = drill_network_half_open},
    {.name = "client-gone",
     .about = "SIGKILL of a client with 200 requests in the queue: they are dropped",
     .recovery_ms_max = DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 0,
     .run = drill_client_gone},
    {.name = "slow-service",
     .about = "1000 requests for a slow service: refused, and no other service is late",
     .recovery_ms_max = DRILL_GRACE_MS,
     .twice_max = 0,
     .needs_g1 = true, // others have one request out at a time, and no status
     .run = drill_slow_service},
    {.name = "worker-flood",
     .about = "1000 workers lose their broker, and come to a new one at once",
     .recovery_ms_max = DRILL_BACK_MS + DRILL_GRACE_MS,
     .twice_max = 2 * DRILL_WINDOW,
     .run = drill_worker_flood},
    {.name = "titanic-killed",
     .about = "SIGKILL of titanic under a load: all that it acknowledged is answered",
     .recovery_ms_max = DRILL_AWAY_MS,
     .twice_max = DRILL_INFLIGHT,
     .needs_g1 = true,
     .run = drill_titanic_killed},
    {.name = "titanic-worker-killed",
     .about = "SIGKILL of a worker with a durable request: another answers it",
     .recovery_ms_max = DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1,
     .needs_g1 = true,
     .run = drill_titanic_worker_killed},
    {.name = "titanic-broker-restarted",
     .about = "SIGKILL of the broker between clients and titanic: nothing is lost or doubled",
     .recovery_ms_max = DRILL_AWAY_MS,
     .twice_max = DRILL_INFLIGHT,
     .needs_g1 = true,
     .run = drill_titanic_broker_restarted},
    {.name = "titanic-disk-full",
     .about = "no room on the disk: submits are refused, closes work, and it recovers by itself",
     .recovery_ms_max = DRILL_AWAY_MS,
     .twice_max = 0,
     .needs_g1 = true,
     .run = drill_titanic_disk_full},
    {.name = "titanic-power-cut",
     .about = "titanic killed, and what it has not synced lost, six times: nothing is missing",
     .recovery_ms_max = DRILL_AWAY_MS,
     .twice_max = DRILL_CUTS * DRILL_INFLIGHT,
     .needs_g1 = true,
     .run = drill_titanic_power_cut},
    {.name = "pirate-worker-killed",
     .about = "SIGKILL of a busy worker of a pirate queue: another answers its request",
     .recovery_ms_max = DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1,
     .run = drill_pirate_worker_killed},
    {.name = "pirate-queue-restarted",
     .about = "SIGKILL of a pirate queue, and a new one on its ports: all come back",
     .recovery_ms_max = DRILL_AWAY_MS,
     .twice_max = 2 * DRILL_WINDOW,
     .run = drill_pirate_queue_restarted},
    {.name = "pirate-worker-frozen",
     .about = "SIGSTOP of a busy worker of a pirate queue: its own late answer is dropped",
     .recovery_ms_max = DRILL_LIMIT_MS + DRILL_HEARTBEAT_MS + DRILL_GRACE_MS,
     .twice_max = 1,
     .run = drill_pirate_worker_frozen},
    {.name = "primary-killed",
     .about = "SIGKILL of the half of a pair that serves: the other takes over",
     .recovery_ms_max = 5000,
     .classic_ms_max = 5000,
     .twice_max = DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_primary_killed},
    {.name = "primary-frozen",
     .about = "SIGSTOP of the half that serves, and SIGCONT: it serves nothing that is stale",
     .recovery_ms_max = 5000,
     .classic_ms_max = 5000,
     .twice_max = 2 * DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_primary_frozen},
    {.name = "pair-link-cut",
     .about = "the halves cannot hear each other: who serves goes on",
     .recovery_ms_max = DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .classic_ms_max = DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .twice_max = DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_pair_link_cut},
    {.name = "pair-link-one-way",
     .about = "one half cannot hear the other, then the other way round: who serves goes on",
     .recovery_ms_max = DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .classic_ms_max = DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .twice_max = DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_pair_link_one_way},
    {.name = "both-killed-backup-returns",
     .about = "SIGKILL of both halves, and only the backup is started again: it serves",
     .recovery_ms_max = 3000 + DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .classic_ms_max = 6000 + DRILL_PAUSE_MS + DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     // What was out, and what a busy machine answers later than an attempt.
     .twice_max = 2 * DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_both_killed_backup_returns},
    {.name = "witness-killed",
     .about = "SIGKILL of the witness, and a new one: who serves goes on",
     .recovery_ms_max = DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .twice_max = DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_witness_killed},
    {.name = "planned-switchover",
     .about = "demote of the half that serves: the other takes over, and nothing is lost",
     .recovery_ms_max = 300 + DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .classic_ms_max = 300 + DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .twice_max = 1,
     .is_pair = true,
     .run = drill_planned_switchover},
    {.name = "clients-on-each-side",
     .about = "each half has clients that reach nobody else: one side is served until it heals",
     .recovery_ms_max = DRILL_AWAY_MS,
     .classic_ms_max = DRILL_AWAY_MS,
     .twice_max = 2 * DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_clients_on_each_side},
    {.name = "clock-step",
     .about = "wall clocks are an hour ahead, an hour behind, a day ahead: nothing comes of it",
     .recovery_ms_max = DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .classic_ms_max = DRILL_ATTEMPT_MS + DRILL_GRACE_MS,
     .twice_max = DRILL_LOADS_MAX,
     .is_pair = true,
     .run = drill_clock_step},
};

const size_t drill_count = sizeof drills / sizeof *drills;

// ---- judging ------------------------------------------------------------------------------

static void
judge(struct drill_stage *stage)
{
    struct drill_verdict *verdict = &stage->verdict;
    if (!drill_account(stage->journal, stage->loads, stage->load_count, wait_is_interrupted(),
                       verdict))
        drill_fail(stage, "out of memory");
    if (verdict->wrong > 0)
        drill_fail(stage, "wrong answers: %u", verdict->wrong);
    if (verdict->lost > 0)
        drill_fail(stage, "requests lost: %u", verdict->lost);
    uint32_t twice_max = drill_allowed_twice(stage->drill, &stage->settings);
    if (verdict->twice > twice_max)
        drill_fail(stage, "requests run twice: %u, at most %u may", verdict->twice, twice_max);
    if (drill_journal_is_full(stage->journal))
        drill_fail(stage, "too many runs to write down");
    uint32_t allowed_ms = drill_allowed_ms(stage->drill, &stage->settings);
    if (verdict->has_recovered && verdict->recovery_ms > allowed_ms)
        drill_fail(stage, "recovered after %.0f ms, not within %u", verdict->recovery_ms,
                   allowed_ms);
    if (!verdict->has_recovered)
        drill_fail(stage, "it did not recover");
    verdict->is_pass = verdict->why[0] == '\0';
}

// ---- before and after -----------------------------------------------------------------------

static bool
open_stage(struct drill_stage *stage)
{
    const char *temporary = getenv("TMPDIR");
    if (temporary == NULL || *temporary == '\0')
        temporary = "/tmp";
    snprintf(stage->folder, sizeof stage->folder, "%.400s/galleon-drill-XXXXXX", temporary);
    if (mkdtemp(stage->folder) == NULL) {
        stage->folder[0] = '\0';
        return drill_fail(stage, "cannot make a folder in %.100s: %s", temporary, strerror(errno));
    }
    snprintf(stage->journal_path, sizeof stage->journal_path, "%.480s/journal", stage->folder);
    snprintf(stage->store_folder, sizeof stage->store_folder, "%.480s/store", stage->folder);
    stage->journal = drill_journal_open(stage->journal_path);
    if (stage->journal == NULL)
        return drill_fail(stage, "cannot make the journal: %s", strerror(errno));
    drill_child_find("mdbroker", stage->mdbroker);
    return true;
}

// stop_one ends a process: in order where the drill went well, and then it must end well.
static void
stop_one(struct drill_stage *stage, struct drill_child *child, bool is_well)
{
    char how[DRILL_ENDING_BYTES];
    if (!is_well) {
        (void)drill_child_kill(child);
        return;
    }
    uint64_t start_ns = galleon_now_ns();
    if (drill_child_stop(child, STOP_MS))
        return;
    drill_child_describe(child, how);
    drill_fail(stage, "%s did not end in order, but %s, %.1f s after SIGTERM", child->name, how,
               (double)(galleon_now_ns() - start_ns) / 1e9);
}

// stop_all ends the broker last: workers take leave of it.
static void
stop_all(struct drill_stage *stage)
{
    // What ended by itself may have done so with exit code 0.
    bool is_well = drill_look(stage) && stage->verdict.why[0] == '\0';
    for (size_t i = 0; i < stage->child_count; i++)
        stop_one(stage, &stage->children[i], is_well);
    stop_one(stage, &stage->broker, is_well);
    for (size_t i = 0; i < DRILL_MEMBERS; i++)
        stop_one(stage, &stage->pair.members[i], is_well);
}

// show_log writes the end of what a child has written.
static void
show_log(const struct drill_child *child)
{
    enum { BYTES_MAX = 4096 };
    char text[BYTES_MAX + 1];
    FILE *file = child->name[0] == '\0' ? NULL : fopen(child->log, "r");
    if (file == NULL)
        return;
    if (fseek(file, -BYTES_MAX, SEEK_END) != 0)
        rewind(file);
    text[fread(text, 1, BYTES_MAX, file)] = '\0';
    fclose(file);
    if (text[0] != '\0')
        fprintf(stderr, "-- %s\n%s", child->name, text);
}

static void
show_logs(const struct drill_stage *stage)
{
    show_log(&stage->broker);
    for (size_t i = 0; i < DRILL_MEMBERS; i++)
        show_log(&stage->pair.members[i]);
    for (size_t i = 0; i < stage->child_count; i++)
        show_log(&stage->children[i]);
}

// remove_store removes what titanic leaves, where there was one.
static void
remove_store(const struct drill_stage *stage)
{
    static const char *const endings[] = {"",        "-wal",   "-journal", ".lock",
                                          ".anchor", ".fault", ".ballast"};
    char path[DRILL_PATH_BYTES];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        snprintf(path, sizeof path, "%.480s/titanic.db%s", stage->store_folder, endings[i]);
        unlink(path);
    }
    undo_log_remove(stage->store_folder);
    rmdir(stage->store_folder);
}

// remove_pair removes what the members of a pair leave.
static void
remove_pair(const struct drill_stage *stage)
{
    static const char *const records[] = {"primary", "backup", "witness"};
    char path[DRILL_PATH_BYTES];
    for (size_t i = 0; i < DRILL_MEMBERS; i++) {
        snprintf(path, sizeof path, "%.480s/%s.vote", stage->folder, records[i]);
        unlink(path);
        unlink(stage->pair.members[i].log);
    }
    unlink(stage->clock_path);
}

static void
close_stage(struct drill_stage *stage)
{
    for (size_t i = 0; i < stage->load_count; i++)
        drill_load_release(&stage->loads[i]);
    drill_journal_close(&stage->journal);
    if (stage->folder[0] == '\0')
        return;
    for (size_t i = 0; i < stage->child_count; i++)
        unlink(stage->children[i].log);
    unlink(stage->broker.log);
    remove_pair(stage);
    unlink(stage->journal_path);
    remove_store(stage);
    if (rmdir(stage->folder) != 0)
        fprintf(stderr, "galleon: cannot remove %s: %s\n", stage->folder, strerror(errno));
}

bool
drill_can_run(const struct drill *drill, const struct drill_settings *settings)
{
    if (drill->is_pair && settings->is_classic && drill->classic_ms_max == 0)
        return false;
    return !drill->needs_g1 || settings->dialect == MDP_AUTO || settings->dialect == MDP_G1;
}

uint32_t
drill_allowed_ms(const struct drill *drill, const struct drill_settings *settings)
{
    return drill->is_pair && settings->is_classic ? drill->classic_ms_max : drill->recovery_ms_max;
}

uint32_t
drill_allowed_twice(const struct drill *drill, const struct drill_settings *settings)
{
    // Where the machine is busy clients repeat after 100 ms what is under way, and short leases
    // end.
    if (drill->is_pair && settings->is_fast)
        return 8 * DRILL_LOADS_MAX;
    // Without a witness a half that yields drops what is under way.
    bool may_drop = drill->is_pair && settings->is_classic && drill->twice_max < DRILL_LOADS_MAX;
    return may_drop ? DRILL_LOADS_MAX : drill->twice_max;
}

void
drill_run(const struct drill *drill, const struct drill_settings *settings,
          struct drill_verdict *verdict_out)
{
    static struct drill_stage stage;
    uint64_t start_ns = galleon_now_ns();
    stage = (struct drill_stage){.drill = drill, .settings = *settings};
    if (open_stage(&stage))
        drill->run(&stage);
    drill_end_loads(&stage);
    mdp_client_destroy(&stage.control);
    stop_all(&stage);
    drill_pair_close(&stage);
    if (stage.journal != NULL)
        judge(&stage);
    stage.verdict.seconds = (double)(galleon_now_ns() - start_ns) / 1e9;
    if (!stage.verdict.is_pass)
        show_logs(&stage);
    close_stage(&stage);
    *verdict_out = stage.verdict;
}
