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
};

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
        printf("%-24s %13s %6s  %s\n", "drill", "recovers_ms", "twice", "what it does");
    for (size_t i = 0; i < drill_count; i++) {
        const struct drill *drill = &drills[i];
        if (!self->is_json) {
            printf("%-24s %13u %6u  %s\n", drill->name, drill->recovery_ms_max, drill->twice_max,
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
check_name(struct tool *self, const char *name)
{
    const char *names[64] = {"all"};
    for (size_t i = 0; i < drill_count && i < 62; i++)
        names[i + 1] = drills[i].name;
    const struct drill *drill = find(name);
    if (drill != NULL && !drill_can_run(drill, self->client.dialect))
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
    printf("%-24s %-7s %4s %6s %11s %11s %7s %8s %7s %4s %5s %7s\n", "drill", "verdict", "runs",
           "passed", "recovery_ms", "allowed_ms", "sent", "answered", "refused", "lost", "twice",
           "seconds");
}

static void
print_sum(const struct sum *sum)
{
    printf("%-24s %-7s %4u %6u %11.0f %11u %7llu %8llu %7llu %4llu %5llu %7.1f\n", sum->drill->name,
           sum->passed == sum->runs ? "pass" : "FAIL", sum->runs, sum->passed, sum->recovery_ms_max,
           sum->drill->recovery_ms_max, (unsigned long long)sum->sent,
           (unsigned long long)sum->answered, (unsigned long long)sum->refused,
           (unsigned long long)sum->lost, (unsigned long long)sum->twice, sum->seconds);
    fflush(stdout);
}

static void
write_verdict(struct json *json, const struct drill *drill, uint32_t run, uint64_t seed,
              const struct drill_verdict *verdict)
{
    next_line(json);
    add_text(json, "drill", drill->name);
    add_number(json, "run", run);
    add_number(json, "seed", seed);
    add_text(json, "verdict", verdict->is_pass ? "pass" : "fail");
    add_text(json, "why", verdict->why);
    if (verdict->has_recovered)
        add_real(json, "recovery_ms", verdict->recovery_ms);
    add_number(json, "recovery_ms_max", drill->recovery_ms_max);
    add_number(json, "sent", verdict->sent);
    add_number(json, "answered", verdict->answered);
    add_number(json, "refused", verdict->refused);
    add_number(json, "lost", verdict->lost);
    add_number(json, "timed_out", verdict->timed_out);
    add_number(json, "wrong", verdict->wrong);
    add_number(json, "twice", verdict->twice);
    add_number(json, "twice_max", drill->twice_max);
    add_number(json, "late_dropped", verdict->dropped);
    add_number(json, "unsynced", verdict->pending);
    add_number(json, "unsynced_lost", verdict->gone);
    add_real(json, "seconds", verdict->seconds);
    json_end(json, '}');
    fflush(json->out);
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

// run_one runs a drill as often as asked for; true where it always passed.
static bool
run_one(struct tool *self, const struct drill *drill, struct json *json)
{
    struct sum sum = {.drill = drill};
    struct drill_settings settings = {.broker_options = self->broker_options,
                                      .dialect = self->client.dialect,
                                      .seed = self->seed};
    for (uint32_t i = 1; i <= self->repeat && !wait_is_interrupted(); i++, settings.seed++) {
        struct drill_verdict verdict;
        drill_run(drill, &settings, &verdict);
        add_up(&sum, &verdict);
        if (self->is_json)
            write_verdict(json, drill, i, settings.seed, &verdict);
        if (!verdict.is_pass)
            fprintf(stderr, "galleon: %s, run %u: %s (seed %llu).\n", drill->name, i, verdict.why,
                    (unsigned long long)settings.seed);
    }
    if (!self->is_json && sum.runs > 0)
        print_sum(&sum);
    return sum.runs == self->repeat && sum.passed == sum.runs;
}

static bool
is_wanted(const struct tool *self, const struct drill *drill)
{
    if (!drill_can_run(drill, self->client.dialect))
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
    bool has_passed = true;
    for (size_t i = 0; i < self->word_count; i++)
        check_name(self, self->words[i]);
    end_in_order();
    if (!self->has_seed)
        self->seed = galleon_now_ns() % SEEDS;
    if (self->is_json)
        json_begin(&json, '[');
    else
        print_head();
    for (size_t i = 0; i < drill_count; i++)
        if (is_wanted(self, &drills[i]) && !wait_is_interrupted())
            has_passed = run_one(self, &drills[i], &json) && has_passed;
    if (self->is_json) {
        putchar('\n');
        json_end(&json, ']');
        putchar('\n');
    }
    return tool_end(has_passed && !wait_is_interrupted() ? EXIT_DONE : EXIT_FAILED);
}
