// drill_stage.c - the folder, the broker, the workers, and waiting for them.

#include "drill.h"

#include "../galleon_table.h"
#include "power_cut.h"
#include "text.h"
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LAST_MS = 5000,           // for what is open when a drill has failed
    ASK_MS = 20,              // between two questions to the broker
    LOOK_BACK_NS = 1000000000 // the journal is nearly in order of time
};

static const uint64_t ns_per_ms = 1000000;

// ---- waiting ------------------------------------------------------------------------------

bool
drill_fail(struct drill_stage *stage, const char *format, ...)
{
    va_list arguments;
    if (stage->verdict.why[0] != '\0')
        return false;
    va_start(arguments, format);
    vsnprintf(stage->verdict.why, sizeof stage->verdict.why, format, arguments);
    va_end(arguments);
    return false;
}

static bool
is_alive(struct drill_stage *stage, struct drill_child *child)
{
    if (child->is_doomed || child->name[0] == '\0' || !drill_child_has_ended(child))
        return true;
    char how[DRILL_ENDING_BYTES];
    child->is_doomed = true; // it is told once
    drill_child_describe(child, how);
    return drill_fail(stage, "%s ended by itself, %s", child->name, how);
}

bool
drill_look(struct drill_stage *stage)
{
    bool are_alive = is_alive(stage, &stage->broker);
    for (size_t i = 0; i < DRILL_MEMBERS; i++)
        are_alive = is_alive(stage, &stage->pair.members[i]) && are_alive;
    for (size_t i = 0; i < stage->child_count; i++)
        are_alive = is_alive(stage, &stage->children[i]) && are_alive;
    return are_alive;
}

bool
drill_kill(struct drill_stage *stage, struct drill_child *child)
{
    char how[DRILL_ENDING_BYTES];
    if (drill_child_kill(child))
        return true;
    drill_child_describe(child, how);
    return drill_fail(stage, "%s ended by itself, %s", child->name, how);
}

// may_go_on looks for what ends every drill.
static bool
may_go_on(struct drill_stage *stage)
{
    if (wait_is_interrupted())
        return drill_fail(stage, "interrupted");
    drill_pair_watch(stage);
    return drill_look(stage);
}

bool
drill_until(struct drill_stage *stage, drill_condition_fn *is_so, void *context, uint32_t ms,
            const char *what)
{
    uint64_t end_ns = galleon_now_ns() + ms * ns_per_ms;
    while (may_go_on(stage)) {
        bool is_late = galleon_now_ns() >= end_ns; // a last look comes after the deadline
        if (is_so(stage, context))
            return true;
        if (is_late)
            return drill_fail(stage, "%s: not within %u ms", what, ms);
        poll(NULL, 0, 1);
    }
    return false;
}

bool
drill_pass_time(struct drill_stage *stage, uint32_t ms)
{
    uint64_t end_ns = galleon_now_ns() + ms * ns_per_ms;
    while (may_go_on(stage)) {
        if (galleon_now_ns() >= end_ns)
            return true;
        poll(NULL, 0, 1);
    }
    return false;
}

// ---- processes ------------------------------------------------------------------------------

bool
drill_start(struct drill_stage *stage, struct drill_child *child, const char *const *arguments)
{
    snprintf(child->log, sizeof child->log, "%.460s/%s.log", stage->folder, child->name);
    return drill_child_start(child, arguments) ||
           drill_fail(stage, "cannot start %s: %s", child->name, strerror(errno));
}

struct drill_child *
drill_new_child(struct drill_stage *stage, const char *name)
{
    if (stage->child_count == DRILL_CHILDREN_MAX) {
        drill_fail(stage, "too many processes");
        return NULL;
    }
    struct drill_child *child = &stage->children[stage->child_count++];
    snprintf(child->name, sizeof child->name, "%s %zu", name, stage->child_count);
    return child;
}

// has_ending is true where a line of this size ends so, behind its first words.
static bool
has_ending(const char *line, size_t size, size_t words_size, const char *ending)
{
    size_t ending_size = strlen(ending);
    return size >= words_size + ending_size &&
           memcmp(line + size - ending_size, ending, ending_size) == 0;
}

bool
drill_has_said(const struct drill_child *child, const char *words, const char *ending,
               char rest_out[256])
{
    char line[256];
    size_t words_size = strlen(words);
    bool has_said = false;
    FILE *file = fopen(child->log, "r");
    if (file == NULL)
        return false;
    if (fseek(file, child->log_start, SEEK_SET) == 0) {
        while (!has_said && fgets(line, sizeof line, file) != NULL) {
            size_t size = strcspn(line, "\n");
            has_said = line[size] == '\n' && strncmp(line, words, words_size) == 0 &&
                       has_ending(line, size, words_size, ending);
            line[has_said ? size - strlen(ending) : size] = '\0';
        }
    }
    fclose(file);
    if (has_said)
        snprintf(rest_out, 256, "%s", line + words_size);
    return has_said;
}

static bool
is_ready(struct drill_stage *stage, void *context)
{
    (void)context;
    return drill_has_said(&stage->broker, "mdbroker: ready on ", "", stage->endpoint);
}

static bool
connect_control(struct drill_stage *stage)
{
    mdp_client_options_t options = {.timeout_ms = 500, .attempts = 1, .dialect = MDP_G1};
    mdp_client_destroy(&stage->control);
    stage->control = mdp_client_new(stage->endpoint, &options);
    return stage->control != NULL || drill_fail(stage, "out of memory");
}

bool
drill_broker(struct drill_stage *stage, const char *const *arguments)
{
    char heartbeat[16];
    const char *line[DRILL_ARGUMENTS_MAX] = {DRILL_CHILD_PROGRAM,
                                             stage->mdbroker,
                                             "--bind",
                                             stage->endpoint[0] != '\0' ? stage->endpoint
                                                                        : "tcp://127.0.0.1:*",
                                             "--heartbeat",
                                             heartbeat};
    size_t count = 6;
    snprintf(heartbeat, sizeof heartbeat, "%d", DRILL_HEARTBEAT_MS);
    for (; arguments != NULL && *arguments != NULL && count < DRILL_ARGUMENTS_MAX - 1; arguments++)
        line[count++] = *arguments;
    for (const char *const *at = stage->settings.broker_options;
         at != NULL && *at != NULL && count < DRILL_ARGUMENTS_MAX - 1; at++)
        line[count++] = *at;
    snprintf(stage->broker.name, sizeof stage->broker.name, "mdbroker");
    return drill_start(stage, &stage->broker, line) &&
           drill_until(stage, is_ready, NULL, DRILL_START_MS, "the broker is ready") &&
           connect_control(stage);
}

static bool
is_titanic_ready(struct drill_stage *stage, void *context)
{
    char rest[256];
    (void)stage;
    return drill_has_said(context, "titanic: ready on ", "", rest);
}

bool
drill_await_titanic(struct drill_stage *stage, struct drill_child *titanic)
{
    return drill_until(stage, is_titanic_ready, titanic, DRILL_START_MS, "titanic is ready");
}

// start_titanic starts it behind what its line begins with, at most six words.
static struct drill_child *
start_titanic(struct drill_stage *stage, struct drill_child *again, const char *const *first,
              const char *free_bytes_min)
{
    char program[DRILL_PATH_BYTES], store[DRILL_PATH_BYTES];
    const char *rest[] = {program, "--broker",    stage->endpoint, "--store",
                          store,   "--free-min",  free_bytes_min,  "--retry-min",
                          "50",    "--retry-max", "500",           "--inflight",
                          "64",    NULL};
    const char *line[6 + sizeof rest / sizeof *rest];
    size_t count = 0;
    while (first[count] != NULL) {
        line[count] = first[count];
        count++;
    }
    memcpy(line + count, rest, sizeof rest);
    drill_child_find("titanic", program);
    snprintf(store, sizeof store, "sqlite:%.480s/titanic.db", stage->store_folder);
    struct drill_child *child = again != NULL ? again : drill_new_child(stage, "titanic");
    if (mkdir(stage->store_folder, 0700) != 0 && errno != EEXIST)
        drill_fail(stage, "cannot make a folder for a store: %s", strerror(errno));
    return child != NULL && drill_start(stage, child, line) ? child : NULL;
}

struct drill_child *
drill_titanic(struct drill_stage *stage, struct drill_child *again, const char *free_bytes_min)
{
    static const char *const first[] = {DRILL_CHILD_PROGRAM, NULL};
    struct drill_child *child = start_titanic(stage, again, first, free_bytes_min);
    return child != NULL && drill_await_titanic(stage, child) ? child : NULL;
}

struct drill_child *
drill_titanic_losing(struct drill_stage *stage, struct drill_child *again, uint64_t kill_at)
{
    char library[DRILL_PATH_BYTES], number[24];
    const char *first[] = {DRILL_CHILD_LOSING, library, stage->store_folder, number, NULL};
    snprintf(number, sizeof number, "%llu", (unsigned long long)kill_at);
    if (!drill_child_find_library("lose_unsynced.so", library)) {
        drill_fail(stage, "lose_unsynced.so is not found, or its path has a space or a colon");
        return NULL;
    }
    struct drill_child *child = start_titanic(stage, again, first, "1");
    if (child != NULL)
        child->is_doomed = kill_at > 0;
    return child;
}

bool
drill_power_cut(struct drill_stage *stage, uint64_t seed)
{
    struct power_cut result;
    int error = power_cut(stage->store_folder, seed, &result);
    if (error == ENOENT)
        return drill_fail(stage, "titanic does not run on the disk that loses");
    if (error != 0)
        return drill_fail(stage, "cannot cut the power: %s", strerror(error));
    stage->verdict.pending += result.pending;
    stage->verdict.gone += result.dropped + result.torn;
    return true;
}

static bool
has_checked(struct drill_stage *stage, void *context)
{
    (void)stage;
    return drill_child_has_ended(context);
}

bool
drill_check_store(struct drill_stage *stage)
{
    char store[DRILL_PATH_BYTES], how[DRILL_ENDING_BYTES];
    const char *line[] = {DRILL_CHILD_PROGRAM, "/proc/self/exe", "store", "check", store, NULL};
    snprintf(store, sizeof store, "%.480s/titanic.db", stage->store_folder);
    if (stage->checker == NULL)
        stage->checker = drill_new_child(stage, "check");
    struct drill_child *child = stage->checker;
    if (child == NULL || !drill_start(stage, child, line))
        return false;
    child->is_doomed = true; // it ends by itself
    if (!drill_until(stage, has_checked, child, DRILL_START_MS, "the store is checked"))
        return false;
    if (WIFEXITED(child->ending) && WEXITSTATUS(child->ending) == 0)
        return true;
    drill_child_describe(child, how);
    return drill_fail(stage, "'galleon store check' ended %s", how);
}

const char *const *
drill_limit(const struct drill_stage *stage)
{
    static const char *const limited[] = {"--service", "drill,limit=500", NULL};
    bool is_old = stage->settings.dialect == MDP_01 || stage->settings.dialect == MDP_02;
    return is_old ? limited : NULL;
}

struct drill_child *
drill_workers_of(struct drill_stage *stage, mdp_dialect_t dialect, const char *endpoint,
                 const char *service, uint32_t heartbeat_ms, uint32_t first, uint32_t count)
{
    char numbers[4][16], parent[16];
    const char *stepped[] = {DRILL_CHILD_STEPPED, stage->clock_library, stage->clock_path,
                             "/proc/self/exe",    DRILL_CHILD,          parent};
    const char *rest[] = {DRILL_CHILD_WORKER, stage->journal_path, endpoint,   service, numbers[0],
                          numbers[1],         numbers[2],          numbers[3], NULL};
    const char *line[(sizeof stepped + sizeof rest) / sizeof *rest];
    size_t before = stage->pair.is_clock_stepped ? sizeof stepped / sizeof *stepped : 0;
    memcpy(line, stepped, before * sizeof *stepped);
    memcpy(line + before, rest, sizeof rest);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(numbers[0], sizeof numbers[0], "%u", heartbeat_ms);
    snprintf(numbers[1], sizeof numbers[1], "%u", first);
    snprintf(numbers[2], sizeof numbers[2], "%u", count);
    snprintf(numbers[3], sizeof numbers[3], "%d", (int)dialect);
    struct drill_child *child = drill_new_child(stage, "worker");
    return child != NULL && drill_start(stage, child, line) ? child : NULL;
}

struct drill_child *
drill_workers(struct drill_stage *stage, const char *endpoint, const char *service,
              uint32_t heartbeat_ms, uint32_t first, uint32_t count)
{
    return drill_workers_of(stage, stage->settings.dialect, endpoint, service, heartbeat_ms, first,
                            count);
}

struct drill_child *
drill_client(struct drill_stage *stage, const char *service, uint32_t requests, uint32_t work_ms)
{
    char numbers[2][16];
    const char *line[] = {DRILL_CHILD_CLIENT, stage->endpoint, service,
                          numbers[0],         numbers[1],      NULL};
    snprintf(numbers[0], sizeof numbers[0], "%u", requests);
    snprintf(numbers[1], sizeof numbers[1], "%u", work_ms);
    struct drill_child *child = drill_new_child(stage, "client");
    return child != NULL && drill_start(stage, child, line) ? child : NULL;
}

// ---- questions to the broker -----------------------------------------------------------------

static bool
is_cell(const struct table *table, size_t row, size_t column, const char *text)
{
    return view_equals(table_cell(table, row, column), view_of(text, strlen(text)));
}

bool
drill_ask_number(struct drill_stage *stage, const char *table_name, const char *row,
                 const char *column, uint64_t *number_out)
{
    struct table table;
    char code[8];
    bool has_answer = false;
    if (table_ask(&table, stage->control, table_name, NULL, code) == GALLEON_OK) {
        for (size_t i = 0; i < table.row_count; i++)
            for (size_t j = 0; j < table.column_count && is_cell(&table, i, 0, row); j++)
                if (view_equals(table.columns[j], view_of(column, strlen(column))))
                    has_answer = text_parse_number(table_cell(&table, i, j), number_out);
    }
    table_release(&table);
    return has_answer;
}

struct workers_wanted {
    const char *service;
    uint64_t count;
    uint64_t ask_ns;
};

static bool
has_workers(struct drill_stage *stage, void *context)
{
    struct workers_wanted *wanted = context;
    uint64_t count;
    if (galleon_now_ns() < wanted->ask_ns)
        return false;
    wanted->ask_ns = galleon_now_ns() + ASK_MS * ns_per_ms;
    return drill_ask_number(stage, "mmi.services", wanted->service, "workers", &count) &&
           count == wanted->count;
}

bool
drill_await_workers(struct drill_stage *stage, const char *service, uint32_t count, uint32_t ms)
{
    char what[64];
    struct workers_wanted wanted = {.service = service, .count = count};
    snprintf(what, sizeof what, "%u workers are registered", count);
    return drill_until(stage, has_workers, &wanted, ms, what);
}

// ---- the load ------------------------------------------------------------------------------

struct drill_load *
drill_load(struct drill_stage *stage, const struct drill_load_options *options)
{
    if (stage->load_count == DRILL_LOADS_MAX) {
        drill_fail(stage, "too many loads");
        return NULL;
    }
    struct drill_load *load = &stage->loads[stage->load_count++];
    struct drill_load_options own = *options;
    if (own.client.dialect == MDP_AUTO)
        own.client.dialect = stage->settings.dialect;
    if (drill_load_start(load, (uint32_t)stage->load_count, &own))
        return load;
    drill_fail(stage, "cannot start a load");
    return NULL;
}

struct progress {
    uint64_t since_ns;
    uint32_t answered[DRILL_LOADS_MAX];
};

// goes_on: of a load without an end, enough of what was sent since then has been answered.
static bool
goes_on(struct drill_stage *stage, void *context)
{
    struct progress *progress = context;
    for (size_t i = 0; i < stage->load_count; i++) {
        struct drill_load *load = &stage->loads[i];
        uint32_t answered = atomic_load(&load->answered);
        if (atomic_load(&load->answer_sent_ns) < progress->since_ns)
            progress->answered[i] = answered;
        if (load->options.requests == 0 && answered - progress->answered[i] < DRILL_PROGRESS)
            return false;
    }
    return true;
}

bool
drill_await_progress(struct drill_stage *stage, uint32_t ms)
{
    struct progress progress = {.since_ns = galleon_now_ns()};
    for (size_t i = 0; i < stage->load_count; i++)
        progress.answered[i] = atomic_load(&stage->loads[i].answered);
    return drill_until(stage, goes_on, &progress, ms, "each client is answered");
}

static bool
is_held(struct drill_stage *stage, void *context)
{
    uint32_t holder = atomic_load(&stage->journal->holder);
    uint32_t *worker = context;
    if (holder == 0)
        return false;
    *worker = stage->journal->runs[holder - 1].worker;
    return true;
}

uint32_t
drill_hostage(struct drill_stage *stage, struct drill_load **load_out)
{
    uint32_t worker = 0;
    struct drill_load_options options = {.endpoint = stage->endpoint,
                                         .service = "drill",
                                         .window = 1,
                                         .requests = 1,
                                         .work_ms = 1,
                                         .may_hold = true,
                                         .is_pirate = stage->backend[0] != '\0',
                                         .client = {.timeout_ms = 60000, .attempts = 1}};
    *load_out = drill_load(stage, &options);
    if (*load_out == NULL ||
        !drill_until(stage, is_held, &worker, DRILL_START_MS, "a worker is busy"))
        return 0;
    return worker;
}

struct comeback {
    uint32_t worker;
    uint64_t since_ns;
};

// is_back: the worker has begun something since then.
static bool
is_back(struct drill_stage *stage, void *context)
{
    const struct comeback *comeback = context;
    for (uint32_t i = drill_journal_count(stage->journal); i-- > 0;) {
        const struct drill_run *run = &stage->journal->runs[i];
        uint64_t began_ns = atomic_load(&run->began_ns);
        if (began_ns != 0 && run->worker == comeback->worker && began_ns > comeback->since_ns)
            return true;
        if (began_ns != 0 && began_ns + LOOK_BACK_NS < comeback->since_ns)
            return false;
    }
    return false;
}

bool
drill_await_work(struct drill_stage *stage, uint32_t worker, uint64_t since_ns, uint32_t ms)
{
    char what[64];
    struct comeback comeback = {worker, since_ns};
    snprintf(what, sizeof what, "worker %u works again", worker);
    return drill_until(stage, is_back, &comeback, ms, what);
}

static bool
has_ended(struct drill_stage *stage, void *context)
{
    struct drill_load *load = context;
    (void)stage;
    return atomic_load(&load->ended) > 0;
}

bool
drill_await_hostage(struct drill_stage *stage, struct drill_load *load)
{
    uint32_t ms = stage->drill->recovery_ms_max + DRILL_SPARE_MS;
    if (!drill_until(stage, has_ended, load, ms, "the request of the harmed worker is answered"))
        return false;
    if (atomic_load(&load->answered) == 0)
        return drill_fail(stage, "the request of the harmed worker was lost: %s (%d)",
                          galleon_strerror(load->requests[0].result), load->requests[0].status);
    drill_recover(stage, load->requests[0].ended_ns);
    return true;
}

static bool
has_all(struct drill_stage *stage, void *context)
{
    (void)context;
    for (size_t i = 0; i < stage->load_count; i++)
        if (!atomic_load(&stage->loads[i].is_over))
            return false;
    return true;
}

bool
drill_finish(struct drill_stage *stage, uint32_t ms)
{
    for (size_t i = 0; i < stage->load_count; i++)
        drill_load_tell(&stage->loads[i]);
    return drill_until(stage, has_all, NULL, ms, "all requests have ended");
}

void
drill_end_loads(struct drill_stage *stage)
{
    // What becomes of the rest is worth knowing also after a failure.
    if (stage->verdict.why[0] != '\0' && !wait_is_interrupted())
        (void)drill_finish(stage, LAST_MS);
    for (size_t i = 0; i < stage->load_count; i++)
        drill_load_end(&stage->loads[i]);
}

void
drill_harm(struct drill_stage *stage)
{
    stage->harmed_ns = galleon_now_ns();
}

void
drill_recover(struct drill_stage *stage, uint64_t at_ns)
{
    double ms = at_ns < stage->harmed_ns ? 0 : (double)(at_ns - stage->harmed_ns) / 1e6;
    if (!stage->verdict.has_recovered || ms > stage->verdict.recovery_ms)
        stage->verdict.recovery_ms = ms;
    stage->verdict.has_recovered = true;
}
