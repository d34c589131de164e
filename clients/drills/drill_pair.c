// drill_pair.c - the halves, their witness, and who of them serves.

#include "drill.h"

#include "../galleon_table.h"
#include "fault_proxy.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WORKERS = 3, // of a dialect, in one process
    WORK_MS = 2,
    ASK_NS = 20000000, // between two questions to a half
    FAST_BEAT_MS = 50,
    FAST_LEASE_MS = 200,
    FAST_ATTEMPT_MS = 100,
    GUARDED_LONG_MS = 1500, // a lease and a half
    CLASSIC_LONG_MS = 3000, // a patience and a half
    WORD_BYTES = 32
};

static const char *const member_names[] = {"primary", "backup", "witness"};

uint32_t
drill_pair_attempt_ms(const struct drill_stage *stage)
{
    return stage->settings.is_fast ? FAST_ATTEMPT_MS : DRILL_ATTEMPT_MS;
}

uint32_t
drill_pair_long_ms(const struct drill_stage *stage)
{
    uint32_t ms = stage->settings.is_classic ? CLASSIC_LONG_MS : GUARDED_LONG_MS;
    return stage->settings.is_fast ? ms / 5 : ms;
}

// ---- ports ------------------------------------------------------------------------------------

// take_port keeps a free port by a socket that does not listen: a broker may, beside it, and nobody
// else gets it.
static bool
take_port(struct drill_stage *stage, char endpoint_out[DRILL_ENDPOINT_BYTES])
{
    struct drill_pair *pair = &stage->pair;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return drill_fail(stage, "cannot take a port: %s", strerror(errno));
    pair->ports[pair->port_count++] = fd;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return drill_fail(stage, "cannot take a port: %s", strerror(errno));
    snprintf(endpoint_out, DRILL_ENDPOINT_BYTES, "tcp://127.0.0.1:%u",
             (unsigned)ntohs(address.sin_port));
    return true;
}

static bool
take_ports(struct drill_stage *stage)
{
    struct drill_pair *pair = &stage->pair;
    for (int half = 0; half < DRILL_HALVES; half++)
        if (!take_port(stage, pair->endpoints[half]) || !take_port(stage, pair->links[half]))
            return false;
    snprintf(stage->endpoint, sizeof stage->endpoint, "%s,%s", pair->endpoints[DRILL_PRIMARY],
             pair->endpoints[DRILL_BACKUP]);
    return take_port(stage, pair->witness);
}

static bool
link_halves(struct drill_stage *stage, bool has_proxies)
{
    struct drill_pair *pair = &stage->pair;
    for (int half = 0; half < DRILL_HALVES; half++) {
        const char *way = pair->links[!half];
        if (has_proxies) {
            pair->proxies[half] = fault_proxy_new(way);
            if (pair->proxies[half] == NULL)
                return drill_fail(stage, "cannot start a proxy: %s", strerror(errno));
            way = fault_proxy_endpoint(pair->proxies[half]);
        }
        snprintf(pair->peers[half], sizeof pair->peers[half], "%s", way);
    }
    return true;
}

// ---- reigns -----------------------------------------------------------------------------------

static struct drill_reign *
open_reign(struct drill_pair *pair, uint32_t half)
{
    for (size_t i = pair->reign_count; i-- > 0;)
        if (pair->reigns[i].half == half && pair->reigns[i].to_ns == 0)
            return &pair->reigns[i];
    return NULL;
}

static void
end_reign(struct drill_pair *pair, uint32_t half)
{
    struct drill_reign *reign = open_reign(pair, half);
    if (reign != NULL)
        reign->to_ns = galleon_now_ns();
}

// note_line takes down what a half has written of its state.
static void
note_line(struct drill_stage *stage, uint32_t half, const char *line)
{
    struct drill_pair *pair = &stage->pair;
    char was[WORD_BYTES], is[WORD_BYTES];
    unsigned long long epoch;
    if (sscanf(line, "warn PAIR-STATE was=%31s is=%31s epoch=%llu", was, is, &epoch) != 3)
        return;
    if (strcmp(was, "ACTIVE") == 0)
        end_reign(pair, half);
    if (strcmp(is, "ACTIVE") != 0)
        return;
    if (pair->reign_count == DRILL_REIGNS_MAX)
        drill_fail(stage, "more reigns than a drill can have");
    else
        pair->reigns[pair->reign_count++] =
            (struct drill_reign){.half = half, .epoch = epoch, .from_ns = galleon_now_ns()};
}

static void
read_log(struct drill_stage *stage, uint32_t half)
{
    struct drill_pair *pair = &stage->pair;
    char line[512];
    FILE *file = fopen(pair->members[half].log, "r");
    if (file == NULL)
        return;
    if (fseek(file, pair->log_read[half], SEEK_SET) == 0) {
        while (fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL) {
            pair->log_read[half] += (long)strlen(line);
            note_line(stage, half, line);
        }
    }
    fclose(file);
}

void
drill_pair_watch(struct drill_stage *stage)
{
    for (uint32_t half = 0; half < DRILL_HALVES; half++)
        if (stage->pair.members[half].name[0] != '\0')
            read_log(stage, half);
}

// ---- members ----------------------------------------------------------------------------------

struct line {
    const char *words[DRILL_ARGUMENTS_MAX];
    size_t count;
};

static void
add(struct line *line, const char *option, const char *value)
{
    if (line->count + 2 < DRILL_ARGUMENTS_MAX) {
        line->words[line->count++] = option;
        if (value != NULL)
            line->words[line->count++] = value;
    }
}

// begin_line is the program; its wall clock is a drill's where that is to be stepped.
static void
begin_line(const struct drill_stage *stage, struct line *line, const char *program)
{
    *line = (struct line){.count = 0};
    if (stage->pair.is_clock_stepped) {
        add(line, DRILL_CHILD_STEPPED, stage->clock_library);
        add(line, stage->clock_path, NULL);
    } else {
        add(line, DRILL_CHILD_PROGRAM, NULL);
    }
    add(line, program, NULL);
}

static void
add_guarded(const struct drill_stage *stage, struct line *line, uint32_t member, const char *record)
{
    static char lease[16];
    bool has_been_there = stage->pair.members[member].name[0] != '\0';
    add(line, member == DRILL_WITNESS ? "--state" : "--pair-state", record);
    if (!has_been_there)
        add(line, "--pair-init", NULL);
    snprintf(lease, sizeof lease, "%d", FAST_LEASE_MS);
    if (stage->settings.is_fast)
        add(line, "--pair-lease", lease);
}

static void
add_half(const struct drill_stage *stage, struct line *line, uint32_t half)
{
    static char beat[16], heartbeat[16];
    const struct drill_pair *pair = &stage->pair;
    snprintf(beat, sizeof beat, "%d", FAST_BEAT_MS);
    snprintf(heartbeat, sizeof heartbeat, "%d", DRILL_PAIR_BEAT_MS);
    add(line, "--bind", pair->endpoints[half]);
    add(line, "--heartbeat", heartbeat);
    add(line, "--pair", member_names[half]);
    add(line, "--pair-bind", pair->links[half]);
    add(line, "--pair-peer", pair->peers[half]);
    add(line, "--pair-redirect", pair->endpoints[!half]);
    if (stage->settings.is_fast)
        add(line, "--pair-heartbeat", beat);
    if (!stage->settings.is_classic)
        add(line, "--witness", pair->witness);
    for (const char *const *at = stage->settings.broker_options; at != NULL && *at != NULL; at++)
        add(line, *at, NULL);
}

static bool
is_ready(struct drill_stage *stage, void *context)
{
    char rest[256];
    (void)stage;
    return drill_has_said(context, "mdbroker: ready on ", "", rest) ||
           drill_has_said(context, "starwitness: ready on ", "", rest);
}

// launch starts a member and does not wait.
static bool
launch(struct drill_stage *stage, uint32_t member)
{
    struct drill_child *child = &stage->pair.members[member];
    char program[DRILL_PATH_BYTES], record[DRILL_PATH_BYTES];
    struct line line;
    drill_child_find(member == DRILL_WITNESS ? "starwitness" : "mdbroker", program);
    snprintf(record, sizeof record, "%.480s/%s.vote", stage->folder, member_names[member]);
    begin_line(stage, &line, program);
    if (member == DRILL_WITNESS)
        add(&line, "--bind", stage->pair.witness);
    else
        add_half(stage, &line, member);
    if (!stage->settings.is_classic)
        add_guarded(stage, &line, member, record);
    snprintf(child->name, sizeof child->name, "%s", member_names[member]);
    return drill_start(stage, child, line.words);
}

static bool
await_ready(struct drill_stage *stage, uint32_t member)
{
    char what[64];
    snprintf(what, sizeof what, "the %s is ready", member_names[member]);
    return drill_until(stage, is_ready, &stage->pair.members[member], DRILL_START_MS, what);
}

bool
drill_pair_start(struct drill_stage *stage, uint32_t member)
{
    return launch(stage, member) && await_ready(stage, member);
}

bool
drill_pair_kill(struct drill_stage *stage, uint32_t member)
{
    if (!drill_kill(stage, &stage->pair.members[member]))
        return false;
    if (member == DRILL_WITNESS)
        return true;
    drill_pair_watch(stage); // what it said before
    end_reign(&stage->pair, member);
    return true;
}

void
drill_pair_freeze(struct drill_stage *stage, uint32_t half)
{
    drill_child_signal(&stage->pair.members[half], SIGSTOP);
    drill_pair_watch(stage);
    end_reign(&stage->pair, half);
}

void
drill_pair_thaw(struct drill_stage *stage, uint32_t half)
{
    drill_child_signal(&stage->pair.members[half], SIGCONT);
}

// ---- questions --------------------------------------------------------------------------------

// ask_word copies a row of a half's status; false: it does not say.
static bool
ask_word(struct drill_stage *stage, uint32_t half, const char *row, char word_out[WORD_BYTES])
{
    struct table table;
    char code[8];
    bool has_answer = false;
    if (table_ask(&table, stage->pair.controls[half], "mmi.ha", "status", code) == GALLEON_OK) {
        for (size_t i = 0; i < table.row_count && table.column_count >= 2; i++) {
            struct view value = table_cell(&table, i, 1);
            if (!view_equals(table_cell(&table, i, 0), view_of(row, strlen(row))) ||
                value.size >= WORD_BYTES)
                continue;
            memcpy(word_out, value.data, value.size);
            word_out[value.size] = '\0';
            has_answer = true;
        }
    }
    table_release(&table);
    return has_answer;
}

struct wanted {
    uint32_t half;
    const char *row;
    const char *word;
    uint64_t ask_ns;
};

static bool
is_time(uint64_t *ask_ns)
{
    if (galleon_now_ns() < *ask_ns)
        return false;
    *ask_ns = galleon_now_ns() + ASK_NS;
    return true;
}

static bool
has_word(struct drill_stage *stage, void *context)
{
    struct wanted *wanted = context;
    char word[WORD_BYTES];
    return is_time(&wanted->ask_ns) && ask_word(stage, wanted->half, wanted->row, word) &&
           strcmp(word, wanted->word) == 0;
}

bool
drill_pair_await_word(struct drill_stage *stage, uint32_t half, const char *row, const char *word)
{
    char what[96];
    struct wanted wanted = {.half = half, .row = row, .word = word};
    snprintf(what, sizeof what, "the %s says %s %s", member_names[half], row, word);
    return drill_until(stage, has_word, &wanted, DRILL_START_MS, what);
}

static bool
reigns(struct drill_stage *stage, void *context)
{
    return open_reign(&stage->pair, *(const uint32_t *)context) != NULL;
}

bool
drill_pair_await_reign(struct drill_stage *stage, uint32_t half)
{
    char what[64];
    snprintf(what, sizeof what, "the %s serves", member_names[half]);
    return drill_until(stage, reigns, &half, DRILL_START_MS, what);
}

// is_settled: one of them serves, the other is passive, and both say so.
static bool
is_settled(struct drill_stage *stage, void *context)
{
    static const char *const words[] = {"ACTIVE", "PASSIVE"};
    char said[DRILL_HALVES][WORD_BYTES];
    if (!is_time(context))
        return false;
    for (uint32_t half = 0; half < DRILL_HALVES; half++)
        if (!ask_word(stage, half, "state", said[half]))
            return false;
    for (int first = 0; first < DRILL_HALVES; first++)
        if (strcmp(said[0], words[first]) == 0 && strcmp(said[1], words[!first]) == 0)
            return true;
    return false;
}

bool
drill_pair_settle_any(struct drill_stage *stage)
{
    uint64_t ask_ns = 0;
    return drill_until(stage, is_settled, &ask_ns, DRILL_START_MS,
                       "one half serves and the other is passive");
}

bool
drill_pair_settle(struct drill_stage *stage, uint32_t half)
{
    return drill_pair_await_word(stage, half, "state", "ACTIVE") &&
           drill_pair_await_word(stage, !half, "state", "PASSIVE");
}

bool
drill_pair_say(struct drill_stage *stage, uint32_t half, const char *word)
{
    char code[16] = "";
    zmsg_t *request = zmsg_new();
    zmsg_t *reply = NULL;
    zmsg_addstr(request, word);
    int result = mdp_client_call(stage->pair.controls[half], "mmi.ha", &request, &reply);
    if (result == GALLEON_OK)
        table_copy_line(code, sizeof code, zmsg_first(reply));
    zmsg_destroy(&reply);
    return strcmp(code, "200") == 0 ||
           drill_fail(stage, "the %s does not obey '%s': %s", member_names[half], word,
                      result == GALLEON_OK ? code : galleon_strerror(result));
}

// ---- workers and clients ----------------------------------------------------------------------

// The dialects that are drilled: both where none is asked for.
static size_t
dialects_of(const struct drill_stage *stage, mdp_dialect_t dialects_out[2])
{
    if (stage->settings.dialect != MDP_AUTO) {
        dialects_out[0] = stage->settings.dialect;
        return 1;
    }
    dialects_out[0] = MDP_G1;
    dialects_out[1] = MDP_01;
    return 2;
}

static bool
hire(struct drill_stage *stage)
{
    mdp_dialect_t dialects[2];
    size_t count = dialects_of(stage, dialects);
    for (uint32_t i = 0; i < count; i++)
        if (drill_workers_of(stage, dialects[i], stage->endpoint, "drill", DRILL_PAIR_BEAT_MS,
                             i * WORKERS + 1, WORKERS) == NULL)
            return false;
    for (int half = 0; half < DRILL_HALVES; half++) {
        stage->control = stage->pair.controls[half]; // of which it is asked
        bool are_there =
            drill_await_workers(stage, "drill", (uint32_t)count * WORKERS, DRILL_START_MS);
        stage->control = NULL;
        if (!are_there)
            return false;
    }
    return true;
}

bool
drill_pair_load(struct drill_stage *stage, const char *endpoints)
{
    mdp_dialect_t dialects[2];
    size_t count = dialects_of(stage, dialects);
    for (size_t i = 0; i < count; i++) {
        struct drill_load_options options = {.endpoint = endpoints,
                                             .service = "drill",
                                             .window = 1,
                                             .work_ms = WORK_MS,
                                             .client = {.timeout_ms = drill_pair_attempt_ms(stage),
                                                        .attempts = 1000,
                                                        .deadline_ms = 60000,
                                                        .dialect = dialects[i]}};
        if (drill_load(stage, &options) == NULL)
            return false;
    }
    return true;
}

// ---- the whole ----------------------------------------------------------------------------------

static bool
open_controls(struct drill_stage *stage)
{
    mdp_client_options_t options = {.timeout_ms = 500, .attempts = 1, .dialect = MDP_G1};
    for (int half = 0; half < DRILL_HALVES; half++) {
        stage->pair.controls[half] = mdp_client_new(stage->pair.endpoints[half], &options);
        if (stage->pair.controls[half] == NULL)
            return drill_fail(stage, "out of memory");
    }
    return true;
}

bool
drill_pair_open(struct drill_stage *stage, bool has_proxies)
{
    if (!take_ports(stage) || !link_halves(stage, has_proxies) || !open_controls(stage))
        return false;
    if (!stage->settings.is_classic && !drill_pair_start(stage, DRILL_WITNESS))
        return false;
    // The primary is first, as its preference has it.
    if (!drill_pair_start(stage, DRILL_PRIMARY) || !drill_pair_start(stage, DRILL_BACKUP) ||
        !drill_pair_settle_any(stage))
        return false;
    stage->pair.serving = open_reign(&stage->pair, DRILL_BACKUP) != NULL;
    return hire(stage);
}

bool
drill_pair_begin(struct drill_stage *stage, bool has_proxies)
{
    return drill_pair_open(stage, has_proxies) && drill_pair_load(stage, stage->endpoint) &&
           drill_pair_load(stage, stage->endpoint) && drill_await_progress(stage, DRILL_START_MS);
}

// measure says what the clients saw: the longest outage of those of each dialect, and of all.
static void
measure(struct drill_stage *stage)
{
    struct drill_verdict *verdict = &stage->verdict;
    for (size_t i = 0; i < stage->load_count; i++) {
        const struct drill_load *load = &stage->loads[i];
        enum drill_kind kind = load->options.client.dialect == MDP_G1 ? DRILL_OF_G1 : DRILL_OF_OLD;
        double ms = drill_outage_ms(load, stage->harmed_ns, stage->pair.counts_from_harm);
        verdict->has_outage[kind] = true;
        if (ms > verdict->outage_ms[kind])
            verdict->outage_ms[kind] = ms;
        drill_recover(stage, stage->harmed_ns + (uint64_t)(ms * 1e6));
    }
    verdict->dual = drill_count_dual(stage->journal, stage->loads, stage->load_count);
    mdp_dialect_t dialects[2];
    (void)dialects_of(stage, dialects);
    bool know_epochs = !stage->settings.is_classic && dialects[0] == MDP_G1;
    uint32_t bare = know_epochs ? drill_count_bare(stage->journal, WORKERS) : 0;
    if (bare > 0)
        drill_fail(stage, "%u runs were asked for under no epoch", bare);
    if (verdict->dual > 0)
        drill_fail(stage, "two halves served at once: %u effects of an older epoch after a newer",
                   verdict->dual);
}

void
drill_pair_end(struct drill_stage *stage)
{
    if (drill_finish(stage, DRILL_START_MS))
        measure(stage);
}

void
drill_pair_close(struct drill_stage *stage)
{
    struct drill_pair *pair = &stage->pair;
    for (int half = 0; half < DRILL_HALVES; half++) {
        mdp_client_destroy(&pair->controls[half]);
        fault_proxy_destroy(&pair->proxies[half]);
    }
    while (pair->port_count > 0)
        close(pair->ports[--pair->port_count]);
    stage->verdict.harmed_ns = stage->harmed_ns;
    memcpy(stage->verdict.reigns, pair->reigns, sizeof pair->reigns);
    stage->verdict.reign_count = pair->reign_count;
}
