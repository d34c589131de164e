// main.c - seeds in, failures out.
//
//     sim [--seed N] [--seeds N] [--minutes M] [--profile hostile] [--jobs J] [--trace] ...
//
// Seeds are dealt out to processes, because one world is one thread. The first seed that
// fails is shown: one command that repeats it, the last lines of its trace, and the
// smallest world that still fails.

#include "plants.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64, SEEDS_FOR_MARKS = 300, SEEDS_IN_FILE_MAX = 4096 };

struct task {
    struct options options;
    uint64_t seeds;
    uint32_t jobs;
    uint32_t plant;
    bool is_shrinking;
    bool wants_failure; // of a planted bug
    const char *file;
};

// What one process has seen, in memory that all of them share.
struct share {
    bool has_failed;
    uint64_t failed_seed;
    uint64_t seeds, events, calls, virtual_ns;
    uint64_t marks[MARKS];
};

// ---- the command line ---------------------------------------------------------------------------

static void
print_help(void)
{
    puts("usage: sim [OPTION...]\n"
         "\n"
         "  --seed N         begin with this seed (1)\n"
         "  --seeds N        and run so many (1 where --seed is given, else 500)\n"
         "  --seeds-file F   run the seeds of this file, one in a line\n"
         "  --profile P      normal, or hostile: some break every rule\n"
         "  --minutes M      of virtual trouble at most (10)\n"
         "  --events N       at most (100000)\n"
         "  --jobs J         processes (as many as there are processors)\n"
         "  --trace          print each event\n"
         "  --no-shrink      do not look for a smaller world that fails\n"
         "  --brokers N, --workers N, --clients N, --until MS, --without KIND[,KIND...]\n"
         "                   a smaller world\n"
         "  --plant N        switch on a planted bug (in sim_planted only)");
}

_Noreturn static void
complain(const char *what, const char *text)
{
    fprintf(stderr, "sim: %s %s\n", what, text);
    exit(2);
}

static uint64_t
number_of(const char *option, const char *text)
{
    char *end = NULL;
    unsigned long long number = text == NULL ? 0 : strtoull(text, &end, 10);
    if (text == NULL || *text == '\0' || *end != '\0')
        complain(option, "needs a number");
    return number;
}

static uint64_t
faults_of(const char *text)
{
    uint64_t faults = 0;
    for (const char *at = text; at != NULL; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t size = strcspn(at, ",");
        uint64_t found = 0;
        for (int i = 0; i < FAULTS; i++)
            if (strlen(fault_text((enum fault)i)) == size &&
                strncmp(fault_text((enum fault)i), at, size) == 0)
                found = (uint64_t)1 << i;
        if (found == 0)
            complain("no fault is called", at);
        faults |= found;
    }
    return faults;
}

// take_number: options that are a number. False: it is none of them.
static bool
take_number(struct task *task, const char *option, const char *value)
{
    struct {
        const char *name;
        uint64_t *wide;
        uint32_t *narrow;
    } numbers[] = {
        {"--seed", &task->options.seed, NULL},
        {"--seeds", &task->seeds, NULL},
        {"--minutes", &task->options.minutes, NULL},
        {"--events", &task->options.events_max, NULL},
        {"--until", &task->options.trouble_ms, NULL},
        {"--jobs", NULL, &task->jobs},
        {"--plant", NULL, &task->plant},
        {"--brokers", NULL, &task->options.brokers_max},
        {"--workers", NULL, &task->options.workers_max},
        {"--clients", NULL, &task->options.clients_max},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(option, numbers[i].name) != 0)
            continue;
        if (numbers[i].wide != NULL)
            *numbers[i].wide = number_of(option, value);
        else
            *numbers[i].narrow = (uint32_t)number_of(option, value);
        return true;
    }
    return false;
}

static void
read_command_line(struct task *task, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(option, "--trace") == 0) {
            task->options.is_tracing = true;
        } else if (strcmp(option, "--no-shrink") == 0) {
            task->is_shrinking = false;
        } else if (strcmp(option, "--help") == 0) {
            print_help();
            exit(0);
        } else if (strcmp(option, "--profile") == 0 && value != NULL) {
            task->options.is_hostile = strcmp(value, "hostile") == 0;
            if (!task->options.is_hostile && strcmp(value, "normal") != 0)
                complain("no profile is called", value);
            i++;
        } else if (strcmp(option, "--without") == 0 && value != NULL) {
            task->options.faults_off = faults_of(value);
            i++;
        } else if (strcmp(option, "--seeds-file") == 0 && value != NULL) {
            task->file = value;
            i++;
        } else if (take_number(task, option, value)) {
            if (strcmp(option, "--seed") == 0 && task->seeds == 0)
                task->seeds = 1;
            i++;
        } else {
            complain("does not know", option);
        }
    }
    if (task->seeds == 0)
        task->seeds = 500;
    if (task->jobs == 0)
        task->jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (task->jobs > JOBS_MAX)
        task->jobs = JOBS_MAX;
    if (task->jobs > task->seeds)
        task->jobs = (uint32_t)task->seeds;
    if (task->options.minutes == 0)
        task->options.minutes = 1;
}

// ---- what is printed ----------------------------------------------------------------------------

// print_command prints what repeats a failure.
static void
print_command(const struct task *task, const struct options *options)
{
    printf("./dev sim --seed %llu", (unsigned long long)options->seed);
    if (options->is_hostile)
        printf(" --profile hostile");
    if (options->minutes != 10)
        printf(" --minutes %llu", (unsigned long long)options->minutes);
    if (options->events_max != 100000)
        printf(" --events %llu", (unsigned long long)options->events_max);
    if (options->brokers_max != BROKERS_MAX)
        printf(" --brokers %u", options->brokers_max);
    if (options->workers_max != WORKERS_MAX)
        printf(" --workers %u", options->workers_max);
    if (options->clients_max != CLIENTS_MAX)
        printf(" --clients %u", options->clients_max);
    if (options->trouble_ms > 0)
        printf(" --until %llu", (unsigned long long)options->trouble_ms);
    const char *before = " --without ";
    for (int i = 0; i < FAULTS; i++) {
        if (!(options->faults_off >> i & 1))
            continue;
        printf("%s%s", before, fault_text((enum fault)i));
        before = ",";
    }
    if (task->plant != 0)
        printf(" --plant %u", task->plant);
    printf("\n");
}

static void
show_failure(const struct task *task, uint64_t seed)
{
    struct options options = task->options;
    struct outcome outcome;
    options.seed = seed;
    options.shows_notes = true;
    run_twice(&options, &outcome);
    printf("\nseed %llu fails after %llu virtual seconds, %llu events:\n%s\n\n    ",
           (unsigned long long)seed, (unsigned long long)(outcome.end_ns / 1000000000),
           (unsigned long long)outcome.events, outcome.reason);
    print_command(task, &options);
    if (!task->is_shrinking || !outcome.has_failed)
        return;
    fflush(stdout); // it takes a while
    options.shows_notes = options.is_tracing = false;
    run_shrink(&options, &outcome);
    printf("\nThe smallest world in which it is so:\n\n");
    options.shows_notes = true;
    run_twice(&options, &outcome);
    printf("\nIt is still so with less, %llu events:\n%s\n\n    ",
           (unsigned long long)outcome.events, outcome.reason);
    print_command(task, &options);
}

// print_sum prints what all of them were; false where a mark was never reached.
static bool
print_sum(const struct task *task, const struct share *sum, double seconds)
{
    double hours = (double)sum->virtual_ns / 3.6e12;
    printf("%llu seeds, each twice: %llu events, %llu calls, %.1f virtual hours in %.1f s, "
           "%.2f virtual hours per second\n",
           (unsigned long long)sum->seeds, (unsigned long long)sum->events,
           (unsigned long long)sum->calls, hours, seconds, 2 * hours / seconds);
    bool is_all = true;
    for (int i = 0; i < MARKS && sum->seeds >= SEEDS_FOR_MARKS; i++) {
        // A hostile world has less room for the others: they are judged without it.
        bool is_of_hostile = i == MARK_LIAR_ANSWERED || i == MARK_FALSE_BROKER_SPOKE;
        if (sum->marks[i] > 0 || is_of_hostile != task->options.is_hostile)
            continue;
        printf("never reached: %s\n", mark_text((enum mark)i));
        is_all = false;
    }
    return is_all || task->plant != 0;
}

// ---- running ------------------------------------------------------------------------------------

static void
run_one(const struct task *task, uint64_t seed, struct share *share)
{
    struct options options = task->options;
    struct outcome outcome;
    options.seed = seed;
    run_twice(&options, &outcome);
    share->seeds++;
    share->events += outcome.events;
    share->calls += outcome.calls;
    share->virtual_ns += outcome.end_ns;
    for (int i = 0; i < MARKS; i++)
        share->marks[i] += outcome.marks[i];
    if (outcome.has_failed) {
        share->has_failed = true;
        share->failed_seed = seed;
    }
}

static bool
has_any_failed(const struct task *task, const struct share *shares)
{
    bool has_failed = false;
    for (uint32_t i = 0; i < task->jobs; i++)
        has_failed = has_failed || ((const volatile struct share *)&shares[i])->has_failed;
    return has_failed;
}

// run_share runs every seed of a process's own until one of anybody's fails.
static void
run_share(const struct task *task, const uint64_t *seeds, uint32_t job, struct share *shares)
{
    for (uint64_t i = job; i < task->seeds && !has_any_failed(task, shares); i += task->jobs)
        run_one(task, seeds[i], &shares[job]);
}

static void
run_all(const struct task *task, const uint64_t *seeds, struct share *shares)
{
    if (task->jobs == 1) {
        run_share(task, seeds, 0, shares);
        return;
    }
    pid_t children[JOBS_MAX];
    fflush(stdout);
    for (uint32_t i = 0; i < task->jobs; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            run_share(task, seeds, i, shares);
            exit(0);
        }
    }
    for (uint32_t i = 0; i < task->jobs; i++) {
        int status = 0;
        if (children[i] < 0 || waitpid(children[i], &status, 0) < 0 || status != 0) {
            printf("process %u of %u ended with %d\n", i, task->jobs, status);
            shares[i].has_failed = true;
        }
    }
}

static void
add_up(const struct task *task, const struct share *shares, struct share *sum)
{
    for (uint32_t i = 0; i < task->jobs; i++) {
        sum->seeds += shares[i].seeds;
        sum->events += shares[i].events;
        sum->calls += shares[i].calls;
        sum->virtual_ns += shares[i].virtual_ns;
        for (int at = 0; at < MARKS; at++)
            sum->marks[at] += shares[i].marks[at];
        if (shares[i].has_failed &&
            (!sum->has_failed || shares[i].failed_seed < sum->failed_seed)) {
            sum->has_failed = true;
            sum->failed_seed = shares[i].failed_seed;
        }
    }
}

// read_seeds fills in the seeds: those of a file, or one after the other.
static void
read_seeds(struct task *task, uint64_t *seeds)
{
    if (task->file == NULL) {
        for (uint64_t i = 0; i < task->seeds; i++)
            seeds[i] = task->options.seed + i;
        return;
    }
    FILE *file = fopen(task->file, "r");
    if (file == NULL)
        complain("cannot read", task->file);
    char line[400];
    task->seeds = 0;
    while (fgets(line, sizeof line, file) != NULL && task->seeds < SEEDS_IN_FILE_MAX)
        if (line[0] >= '0' && line[0] <= '9')
            seeds[task->seeds++] = strtoull(line, NULL, 10);
    fclose(file);
    if (task->jobs > task->seeds)
        task->jobs = task->seeds > 0 ? (uint32_t)task->seeds : 1;
}

int
main(int argc, char **argv)
{
    struct task task = {.options = {.seed = 1,
                                    .minutes = 10,
                                    .events_max = 100000,
                                    .brokers_max = BROKERS_MAX,
                                    .workers_max = WORKERS_MAX,
                                    .clients_max = CLIENTS_MAX},
                        .is_shrinking = true};
    read_command_line(&task, argc, argv);
    if (!plants_switch_on(task.plant))
        complain("this build has", "no such planted bug");
    size_t room = task.seeds > SEEDS_IN_FILE_MAX ? task.seeds : SEEDS_IN_FILE_MAX;
    uint64_t *seeds = calloc(room, sizeof *seeds);
    struct share *shares = mmap(NULL, JOBS_MAX * sizeof *shares, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seeds == NULL || shares == MAP_FAILED)
        complain("is out of", "memory");
    read_seeds(&task, seeds);

    struct timespec from, to;
    struct share sum = {0};
    clock_gettime(CLOCK_MONOTONIC, &from);
    run_all(&task, seeds, shares);
    clock_gettime(CLOCK_MONOTONIC, &to);
    add_up(&task, shares, &sum);
    free(seeds);
    bool is_well = print_sum(
        &task, &sum, (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    if (sum.has_failed && sum.failed_seed != 0)
        show_failure(&task, sum.failed_seed);
    return is_well && !sum.has_failed ? 0 : 1;
}
