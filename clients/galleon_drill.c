// galleon_drill.c - galleon drill ls, drill run: which drills there are, and their verdicts.

#include "drills/drill.h"
#include "galleon_json.h"
#include "galleon_tool.h"
#include "wait.h"

#include <signal.h>

enum { SEEDS = 1000000000 }; // to choose from where none is given

// What came of all runs of one drill.
struct sum {
    const struct drill *drill;
    uint32_t runs;
    uint32_t passed;
    double recovery_ms_max;
    double seconds;
    uint64_t sent, answered, refused, timed_out, wrong, lost, twice;
    double *outages[DRILL_KINDS]; // of a pair, one of each run that has it
    uint32_t outage_count[DRILL_KINDS];
    struct drill_verdict last;
};

static const char *const outage_names[DRILL_KINDS] = {"outage_g1_ms", "outage_old_ms"};

static void
add_number(struct json *json, const char *name, uint64_t number)
{
    json_key(json, view_of(name, strlen(name)));
    json_number(json, number);
}

static void
add_real(struct json *json, const char *name, double number)
{
    json_key(json, view_of(name, strlen(name)));
    json_real(json, number);
}

static void
add_text(struct json *json, const char *name, const char *text)
{
    json_key(json, view_of(name, strlen(name)));
    json_text(json, view_of(text, strlen(text)));
}

// next_line begins an object on a line of its own.
static void
next_line(struct json *json)
{
    fputs(json->needs_comma ? ",\n  " : "\n  ", json->out);
    json->needs_comma = false;
    json_begin(json, '{');
}

// ---- ls -------------------------------------------------------------------------------------

int
tool_drill_ls(struct tool *self)
{
    struct json json = {.out = stdout};
    if (self->is_json)
        json_begin(&json, '[');
    else
        printf("%-26s %13s %6s  %s\n", "drill", "recovers_ms", "twice", "what it does");
    for (size_t i = 0; i < drill_count; i++) {
        const struct drill *drill = &drills[i];
        if (!self->is_json) {
            printf("%-26s %13u %6u  %s\n", drill->name, drill->recovery_ms_max, drill->twice_max,
                   drill->about);
            continue;
        }
        next_line(&json);
        add_text(&json, "drill", drill->name);
        add_number(&json, "recovery_ms_max", drill->recovery_ms_max);
        add_number(&json, "lost_max", 0);
        add_number(&json, "twice_max", drill->twice_max);
        add_text(&json, "about", drill->about);
        json_end(&json, '}');
    }
    if (self->is_json) {
        putchar('\n');
        json_end(&json, ']');
        putchar('\n');
    }
    return tool_end(EXIT_DONE);
}

// ---- run --------------------------------------------------------------------------------------

static const struct drill *
find(const char *name)
{
    for (size_t i = 0; i < drill_count; i++)
        if (strcmp(drills[i].name, name) == 0)
            return &drills[i];
    return NULL;
}

static void
check_name(struct tool *self, const struct drill_settings *settings, const char *name)
{
    const char *names[64] = {"all"};
    for (size_t i = 0; i < drill_count && i < 62; i++)
        names[i + 1] = drills[i].name;
    const struct drill *drill = find(name);
    if (drill != NULL && settings->is_classic && drill->is_pair && drill->classic_ms_max == 0)
        options_fail(&self->options, "drill '%s' is about the witness; it takes no --mode classic.",
                     name);
    if (drill != NULL && !drill_can_run(drill, settings))
        options_fail(&self->options, "drill '%s' is about MDP/G1; it takes no other --dialect.",
                     name);
    if (strcmp(name, "all") == 0 || drill != NULL)
        return;
    const char *nearest = options_nearest(name, names);
    if (nearest != NULL)
        options_fail(&self->options, "there is no drill '%s'; did you mean '%s'?", name, nearest);
    options_fail(&self->options, "there is no drill '%s'; 'galleon drill ls' lists them.", name);
}

static void
print_head(void)
{
    printf("%-26s %-7s %4s %6s %11s %11s %7s %8s %7s %4s %5s %7s\n", "drill", "verdict", "runs",
           "passed", "recovery_ms", "allowed_ms", "sent", "answered", "refused", "lost", "twice",
           "seconds");
}

static int
compare_reals(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;
    return *left < *right ? -1 : *left > *right ? 1 : 0;
}

// percentile is of the outages of one kind of clients, which it sorts: the least that so many of a
// hundred do not exceed.
static double
percentile(struct sum *sum, int kind, uint32_t percent)
{
    uint32_t count = sum->outage_count[kind];
    qsort(sum->outages[kind], count, sizeof *sum->outages[kind], compare_reals);
    uint32_t rank = (count * percent + 99) / 100;
    return sum->outages[kind][rank == 0 ? 0 : rank - 1];
}

// from_harm is a time in ms, from the harm on.
static double
from_harm(const struct drill_verdict *verdict, uint64_t at_ns)
{
    return ((double)at_ns - (double)verdict->harmed_ns) / 1e6;
}

static const char *
half_name(const struct drill_reign *reign)
{
    return reign->half == DRILL_PRIMARY ? "primary" : "backup";
}

// print_pair says below the row what clients saw, and of the last run who served when.
static void
print_pair(struct sum *sum)
{
    static const char *const kinds[DRILL_KINDS] = {"of G1 clients", "of 0.1 and 0.2 clients"};
    for (int kind = 0; kind < DRILL_KINDS; kind++)
        if (sum->outage_count[kind] > 0)
            printf("    outage %s: p50 %.0f ms, p99 %.0f ms, max %.0f ms\n", kinds[kind],
                   percentile(sum, kind, 50), percentile(sum, kind, 99),
                   percentile(sum, kind, 100));
    for (size_t i = 0; i < sum->last.reign_count; i++) {
        const struct drill_reign *reign = &sum->last.reigns[i];
        printf("    %s served, epoch %llu, from %.0f ms", half_name(reign),
               (unsigned long long)reign->epoch, from_harm(&sum->last, reign->from_ns));
        if (reign->to_ns != 0)
            printf(" to %.0f ms", from_harm(&sum->last, reign->to_ns));
        printf("%s\n", i == 0 ? " (0: the harm)" : "");
    }
}

static void
print_sum(struct sum *sum, const struct drill_settings *settings)
{
    printf("%-26s %-7s %4u %6u %11.0f %11u %7llu %8llu %7llu %4llu %5llu %7.1f\n", sum->drill->name,
           sum->passed == sum->runs ? "pass" : "FAIL", sum->runs, sum->passed, sum->recovery_ms_max,
           drill_allowed_ms(sum->drill, settings), (unsigned long long)sum->sent,
           (unsigned long long)sum->answered, (unsigned long long)sum->refused,
           (unsigned long long)sum->lost, (unsigned long long)sum->twice, sum->seconds);
    if (sum->drill->is_pair)
        print_pair(sum);
    fflush(stdout);
}

// write_pair writes what a pair has more.
static void
write_pair(struct json *json, const struct drill_settings *settings,
           const struct drill_verdict *verdict)
{
    add_text(json, "mode", settings->is_classic ? "classic" : "guarded");
    for (int kind = 0; kind < DRILL_KINDS; kind++)
        if (verdict->has_outage[kind])
            add_real(json, outage_names[kind], verdict->outage_ms[kind]);
    add_number(json, "dual", verdict->dual);
    add_number(json, "stale", verdict->stale);
    json_key(json, VIEW_LITERAL("reigns"));
    json_begin(json, '[');
    for (size_t i = 0; i < verdict->reign_count; i++) {
        const struct drill_reign *reign = &verdict->reigns[i];
        json_begin(json, '{');
        add_text(json, "half", half_name(reign));
        add_number(json, "epoch", reign->epoch);
        add_real(json, "from_ms", from_harm(verdict, reign->from_ns));
        if (reign->to_ns != 0)
            add_real(json, "to_ms", from_harm(verdict, reign->to_ns));
        json_end(json, '}');
    }
    json_end(json, ']');
}

static void
write_verdict(struct json *json, const struct drill *drill, uint32_t run,
              const struct drill_settings *settings, const struct drill_verdict *verdict)
{
    next_line(json);
    add_text(json, "drill", drill->name);
    add_number(json, "run", run);
    add_number(json, "seed", settings->seed);
    add_text(json, "verdict", verdict->is_pass ? "pass" : "fail");
    add_text(json, "why", verdict->why);
    if (verdict->has_recovered)
        add_real(json, "recovery_ms", verdict->recovery_ms);
    add_number(json, "recovery_ms_max", drill_allowed_ms(drill, settings));
    add_number(json, "sent", verdict->sent);
    add_number(json, "answered", verdict->answered);
    add_number(json, "refused", verdict->refused);
    add_number(json, "lost", verdict->lost);
    add_number(json, "timed_out", verdict->timed_out);
    add_number(json, "wrong", verdict->wrong);
    add_number(json, "twice", verdict->twice);
    add_number(json, "twice_max", drill_allowed_twice(drill, settings));
    add_number(json, "late_dropped", verdict->dropped);
    add_number(json, "unsynced", verdict->pending);
    add_number(json, "unsynced_lost", verdict->gone);
    add_real(json, "seconds", verdict->seconds);
    if (drill->is_pair)
        write_pair(json, settings, verdict);
    json_end(json, '}');
    fflush(json->out);
}

// write_summary writes of all runs of a pair's drill how long clients waited.
static void
write_summary(struct json *json, struct sum *sum)
{
    next_line(json);
    add_text(json, "drill", sum->drill->name);
    add_number(json, "runs", sum->runs);
    add_number(json, "passed", sum->passed);
    add_number(json, "lost", sum->lost);
    add_number(json, "twice", sum->twice);
    for (int kind = 0; kind < DRILL_KINDS; kind++) {
        if (sum->outage_count[kind] == 0)
            continue;
        json_key(json, view_of(outage_names[kind], strlen(outage_names[kind])));
        json_begin(json, '{');
        add_real(json, "p50", percentile(sum, kind, 50));
        add_real(json, "p99", percentile(sum, kind, 99));
        add_real(json, "max", percentile(sum, kind, 100));
        json_end(json, '}');
    }
    json_end(json, '}');
}

static void
add_up(struct sum *sum, const struct drill_verdict *verdict)
{
    sum->runs++;
    sum->passed += verdict->is_pass ? 1 : 0;
    if (verdict->has_recovered && verdict->recovery_ms > sum->recovery_ms_max)
        sum->recovery_ms_max = verdict->recovery_ms;
    sum->seconds += verdict->seconds;
    sum->sent += verdict->sent;
    sum->answered += verdict->answered;
    sum->refused += verdict->refused;
    sum->lost += verdict->lost;
    sum->twice += verdict->twice;
}

// add_outages keeps those of a run for the percentiles.
static void
add_outages(const struct tool *self, struct sum *sum, const struct drill_verdict *verdict)
{
    sum->last = *verdict;
    for (int kind = 0; kind < DRILL_KINDS; kind++) {
        if (!verdict->has_outage[kind])
            continue;
        if (sum->outages[kind] == NULL)
            sum->outages[kind] = tool_grown(NULL, self->repeat * sizeof *sum->outages[kind]);
        sum->outages[kind][sum->outage_count[kind]++] = verdict->outage_ms[kind];
    }
}

static struct drill_settings
settings_of(const struct tool *self)
{
    return (struct drill_settings){.broker_options = self->broker_options,
                                   .dialect = self->client.dialect,
                                   .seed = self->seed,
                                   .is_classic = self->is_classic,
                                   .is_fast = self->is_fast};
}

// run_one runs a drill as often as asked for; true where it always passed.
static bool
run_one(struct tool *self, const struct drill *drill, struct json *json)
{
    struct sum sum = {.drill = drill};
    struct drill_settings settings = settings_of(self);
    for (uint32_t i = 1; i <= self->repeat && !wait_is_interrupted(); i++, settings.seed++) {
        struct drill_verdict verdict;
        drill_run(drill, &settings, &verdict);
        add_up(&sum, &verdict);
        add_outages(self, &sum, &verdict);
        if (self->is_json)
            write_verdict(json, drill, i, &settings, &verdict);
        if (!verdict.is_pass)
            fprintf(stderr, "galleon: %s, run %u: %s (seed %llu).\n", drill->name, i, verdict.why,
                    (unsigned long long)settings.seed);
    }
    if (!self->is_json && sum.runs > 0)
        print_sum(&sum, &settings);
    if (self->is_json && drill->is_pair && self->repeat > 1)
        write_summary(json, &sum);
    for (int kind = 0; kind < DRILL_KINDS; kind++)
        free(sum.outages[kind]);
    return sum.runs == self->repeat && sum.passed == sum.runs;
}

static bool
is_wanted(const struct tool *self, const struct drill_settings *settings, const struct drill *drill)
{
    if (!drill_can_run(drill, settings))
        return false; // one of 'all'
    for (size_t i = 0; i < self->word_count; i++)
        if (strcmp(self->words[i], drill->name) == 0 || strcmp(self->words[i], "all") == 0)
            return true;
    return false;
}

static void
on_signal(int signal)
{
    (void)signal;
    __atomic_store_n(&zsys_interrupted, 1, __ATOMIC_RELAXED);
}

// end_in_order: what was started is ended and removed, whichever of these signals it is.
static void
end_in_order(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    zsys_handler_set(NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

int
tool_drill_run(struct tool *self)
{
    struct json json = {.out = stdout};
    const struct drill_settings settings = settings_of(self);
    bool has_passed = true;
    for (size_t i = 0; i < self->word_count; i++)
        check_name(self, &settings, self->words[i]);
    end_in_order();
    if (!self->has_seed)
        self->seed = galleon_now_ns() % SEEDS;
    if (self->is_json)
        json_begin(&json, '[');
    else
        print_head();
    for (size_t i = 0; i < drill_count; i++)
        if (is_wanted(self, &settings, &drills[i]) && !wait_is_interrupted())
            has_passed = run_one(self, &drills[i], &json) && has_passed;
    if (self->is_json) {
        putchar('\n');
        json_end(&json, ']');
        putchar('\n');
    }
    return tool_end(has_passed && !wait_is_interrupted() ? EXIT_DONE : EXIT_FAILED);
}
