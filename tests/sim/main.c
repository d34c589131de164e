// main.c - seeds in, failures out.
//
//     sim [--seed N] [--seeds N] [--minutes M] [--profile hostile] [--jobs J] [--trace] ...
//
// Worlds of pirates and those with a pair are worlds of their own, with seeds of their own: a run
// that begins with no seed given has some of them behind the others.
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

enum {
    JOBS_MAX = 64,
    SEEDS_FOR_MARKS = 300,
    OTHERS_FOR_MARKS = 100,
    OTHERS_SHARE = 5, // of the seeds, so many times fewer worlds of pirates, and with a pair
    SEEDS_IN_FILE_MAX = 4096
};

enum world_kind { WORLD_OF_BROKERS, WORLD_OF_PIRATES, WORLD_OF_PAIR, WORLD_KINDS };

struct seed {
    uint64_t number;
    enum world_kind kind;
};

struct task {
    struct options options;
    uint64_t seeds;
    bool has_first; // a seed is given
    uint32_t jobs;
    uint32_t plant;
    bool is_shrinking;
    bool wants_failure; // of a planted bug
    const char *file;
};

// What one process has seen, in memory that all of them share.
struct share {
    bool has_failed;
    struct seed failed_seed;
    uint64_t seeds, of_kind[WORLD_KINDS], events, calls, virtual_ns;
    uint64_t marks[MARKS];
};

// ---- the command line ---------------------------------------------------------------------------

static void
print_help(void)
{
    puts(
        "usage: sim [OPTION...]\n"
        "\n"
        "  --seed N         begin with this seed (1)\n"
        "  --seeds N        and run so many (1 where --seed is given, else 500); where it is not,\n"
        "                   and no profile is, a fifth of it are worlds of pirates besides, and\n"
        "                   as many worlds with a pair\n"
        "  --seeds-file F   run the seeds of this file, one in a line\n"
        "  --profile P      normal, hostile: some break every rule, pirates or pairs: their own\n"
        "                   worlds\n"
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
read_profile(struct task *task, const char *name)
{
    task->options.is_hostile = strcmp(name, "hostile") == 0;
    task->options.is_pirates = strcmp(name, "pirates") == 0;
    task->options.is_pairs = strcmp(name, "pairs") == 0;
    if (!task->options.is_hostile && !task->options.is_pirates && !task->options.is_pairs &&
        strcmp(name, "normal") != 0)
        complain("no profile is called", name);
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
            read_profile(task, value);
            i++;
        } else if (strcmp(option, "--without") == 0 && value != NULL) {
            task->options.faults_off = faults_of(value);
            i++;
        } else if (strcmp(option, "--seeds-file") == 0 && value != NULL) {
            task->file = value;
            i++;
        } else if (take_number(task, option, value)) {
            task->has_first = task->has_first || strcmp(option, "--seed") == 0;
            i++;
        } else {
            complain("does not know", option);
        }
    }
    if (task->seeds == 0)
        task->seeds = task->has_first ? 1 : 500;
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
    if (options->is_pirates)
        printf(" --profile pirates");
    if (options->is_pairs)
        printf(" --profile pairs");
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
show_failure(const struct task *task, struct seed seed)
{
    struct options options = task->options;
    struct outcome outcome;
    options.seed = seed.number;
    options.is_pirates = seed.kind == WORLD_OF_PIRATES;
    options.is_pairs = seed.kind == WORLD_OF_PAIR;
    options.shows_notes = true;
    run_twice(&options, &outcome);
    printf("\nseed %llu fails after %llu virtual seconds, %llu events:\n%s\n\n    ",
           (unsigned long long)seed.number, (unsigned long long)(outcome.end_ns / 1000000000),
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

// is_judged: has there been enough for it to be reached? A hostile world has less room for what is
// not its own, which is judged without it.
static bool
is_judged(const struct task *task, const struct share *sum, enum mark mark)
{
    if (mark >= PAIR_MARKS_FROM) {
        bool is_rare = mark == MARK_CLIENT_FENCED;
        return sum->of_kind[WORLD_OF_PAIR] >= (is_rare ? SEEDS_FOR_MARKS : OTHERS_FOR_MARKS);
    }
    if (mark >= PIRATE_MARKS_FROM)
        return sum->of_kind[WORLD_OF_PIRATES] >= OTHERS_FOR_MARKS;
    bool is_of_hostile = mark == MARK_LIAR_ANSWERED || mark == MARK_FALSE_BROKER_SPOKE;
    return sum->of_kind[WORLD_OF_BROKERS] >= SEEDS_FOR_MARKS &&
           is_of_hostile == task->options.is_hostile;
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
    if (sum->of_kind[WORLD_OF_PIRATES] > 0)
        printf("%llu of them are of pirates\n", (unsigned long long)sum->of_kind[WORLD_OF_PIRATES]);
    if (sum->of_kind[WORLD_OF_PAIR] > 0)
        printf("%llu of them have a pair\n", (unsigned long long)sum->of_kind[WORLD_OF_PAIR]);
    bool is_all = true;
    for (int i = 0; i < MARKS; i++) {
        if (sum->marks[i] > 0 || !is_judged(task, sum, (enum mark)i))
            continue;
        printf("never reached: %s\n", mark_text((enum mark)i));
        is_all = false;
    }
    return is_all || task->plant != 0;
}

// ---- running ------------------------------------------------------------------------------------

static void
run_one(const struct task *task, struct seed seed, struct share *share)
{
    struct options options = task->options;
    struct outcome outcome;
    options.seed = seed.number;
    options.is_pirates = seed.kind == WORLD_OF_PIRATES;
    options.is_pairs = seed.kind == WORLD_OF_PAIR;
    run_twice(&options, &outcome);
    share->seeds++;
    share->of_kind[seed.kind]++;
    share->events += outcome.events;
    share->calls += outcome.calls;
    share->virtual_ns += outcome.end_ns;
    // What all kinds of world can reach has to be reached by those of brokers.
    int first = seed.kind == WORLD_OF_BROKERS ? 0 : PIRATE_MARKS_FROM;
    for (int i = first; i < MARKS; i++)
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
run_share(const struct task *task, const struct seed *seeds, uint32_t job, struct share *shares)
{
    for (uint64_t i = job; i < task->seeds && !has_any_failed(task, shares); i += task->jobs)
        run_one(task, seeds[i], &shares[job]);
}

static void
run_all(const struct task *task, const struct seed *seeds, struct share *shares)
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

static bool
is_before(struct seed a, struct seed b)
{
    return a.kind != b.kind ? a.kind < b.kind : a.number < b.number;
}

static void
add_up(const struct task *task, const struct share *shares, struct share *sum)
{
    for (uint32_t i = 0; i < task->jobs; i++) {
        sum->seeds += shares[i].seeds;
        for (int at = 0; at < WORLD_KINDS; at++)
            sum->of_kind[at] += shares[i].of_kind[at];
        sum->events += shares[i].events;
        sum->calls += shares[i].calls;
        sum->virtual_ns += shares[i].virtual_ns;
        for (int at = 0; at < MARKS; at++)
            sum->marks[at] += shares[i].marks[at];
        if (shares[i].has_failed &&
            (!sum->has_failed || is_before(shares[i].failed_seed, sum->failed_seed))) {
            sum->has_failed = true;
            sum->failed_seed = shares[i].failed_seed;
        }
    }
}

static enum world_kind
kind_of(const struct options *options)
{
    if (options->is_pairs)
        return WORLD_OF_PAIR;
    return options->is_pirates ? WORLD_OF_PIRATES : WORLD_OF_BROKERS;
}

// list_seeds fills in one after the other.
static void
list_seeds(struct task *task, struct seed *seeds)
{
    const struct options *options = &task->options;
    bool is_mixed =
        !task->has_first && !options->is_hostile && kind_of(options) == WORLD_OF_BROKERS;
    uint64_t more = is_mixed ? task->seeds / OTHERS_SHARE : 0;
    for (uint64_t i = 0; i < task->seeds; i++)
        seeds[i] = (struct seed){options->seed + i, kind_of(options)};
    for (uint64_t i = 0; i < more; i++) {
        seeds[task->seeds + i] = (struct seed){options->seed + i, WORLD_OF_PIRATES};
        seeds[task->seeds + more + i] = (struct seed){options->seed + i, WORLD_OF_PAIR};
    }
    task->seeds += 2 * more;
}

// read_line reads a line of a file: a number, or the word "pirates" or "pairs" and a number.
static bool
read_line(struct seed *seed, const struct task *task, const char *line)
{
    static const char *const words[WORLD_KINDS] = {
        [WORLD_OF_PIRATES] = "pirates ", [WORLD_OF_PAIR] = "pairs "};
    const char *number = line;
    seed->kind = kind_of(&task->options);
    for (int i = 1; i < WORLD_KINDS; i++) {
        size_t size = strlen(words[i]);
        if (strncmp(line, words[i], size) != 0)
            continue;
        seed->kind = (enum world_kind)i;
        number = line + size;
    }
    seed->number = strtoull(number, NULL, 10);
    return *number >= '0' && *number <= '9';
}

// read_seeds fills in the seeds: those of a file, or one after the other.
static void
read_seeds(struct task *task, struct seed *seeds)
{
    if (task->file == NULL) {
        list_seeds(task, seeds);
        return;
    }
    FILE *file = fopen(task->file, "r");
    if (file == NULL)
        complain("cannot read", task->file);
    char line[400];
    task->seeds = 0;
    while (fgets(line, sizeof line, file) != NULL && task->seeds < SEEDS_IN_FILE_MAX)
        if (read_line(&seeds[task->seeds], task, line))
            task->seeds++;
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
    size_t room = 2 * task.seeds > SEEDS_IN_FILE_MAX ? 2 * task.seeds : SEEDS_IN_FILE_MAX;
    struct seed *seeds = calloc(room, sizeof *seeds);
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
    if (sum.has_failed && sum.failed_seed.number != 0)
        show_failure(&task, sum.failed_seed);
    return is_well && !sum.has_failed ? 0 : 1;
}
