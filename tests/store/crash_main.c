// crash_main.c - many lives, and of the first that goes wrong the command that repeats it.
//
//     store_crash [--points N] [--seed S] [--rounds R] [--jobs J] [--plant N]
//     store_crash --nth N [--seed S]
//     store_crash --flips N [--seed S]
//
// Each life is a store that crashes some times. Lives are dealt out to processes. With --nth one
// operation of a life fails: each kind of operation, and SQLite's allocations, the first N of each
// in turn, once and for ever. With --flips one bit of what is left of a store is another, or the
// end of a file is cut off.

#include "crash_life.h"
#include "plants.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 16, ROUNDS = 10 };

struct task {
    uint64_t points, seed;
    uint32_t rounds, jobs, plant;
    uint64_t nth, flips;
};

struct share {
    bool has_failed;
    uint64_t points, lives, operations, acknowledged, faults;
};

_Noreturn static void
complain(const char *what)
{
    fprintf(stderr, "store_crash: %s\n", what);
    exit(2);
}

static uint64_t
number_of(const char *text)
{
    char *end = NULL;
    unsigned long long number = text == NULL ? 0 : strtoull(text, &end, 10);
    if (text == NULL || *text == '\0' || *end != '\0')
        complain("an option needs a number");
    return number;
}

static void
read_options(int count, char **texts, struct task *task)
{
    for (int at = 1; at < count; at += 2) {
        uint64_t number = number_of(at + 1 < count ? texts[at + 1] : NULL);
        if (strcmp(texts[at], "--points") == 0)
            task->points = number;
        else if (strcmp(texts[at], "--seed") == 0)
            task->seed = number;
        else if (strcmp(texts[at], "--rounds") == 0)
            task->rounds = (uint32_t)number;
        else if (strcmp(texts[at], "--jobs") == 0)
            task->jobs = number > JOBS_MAX ? JOBS_MAX : (uint32_t)number;
        else if (strcmp(texts[at], "--nth") == 0)
            task->nth = number;
        else if (strcmp(texts[at], "--flips") == 0)
            task->flips = number;
        else if (strcmp(texts[at], "--plant") == 0)
            task->plant = (uint32_t)number;
        else
            complain("the options are --points, --seed, --rounds, --jobs, --plant, --nth, --flips");
    }
}

// ---- lives -------------------------------------------------------------------------

static void
run_life(const struct task *task, uint64_t seed, const char *folder, struct share *share)
{
    struct life_options options = {.seed = seed, .rounds = task->rounds, .folder = folder};
    struct life_result result;
    bool is_right = crash_life_run(&options, &result);
    __atomic_add_fetch(&share->points, result.rounds, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&share->lives, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&share->faults, result.faults, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&share->operations, result.operations, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&share->acknowledged, result.acknowledged, __ATOMIC_SEQ_CST);
    if (is_right || __atomic_exchange_n(&share->has_failed, true, __ATOMIC_SEQ_CST))
        return;
    printf(
        "seed %llu fails after %llu points: %s\n"
        "its files are in %s; it is repeated by: store_crash --seed %llu --points 1 --rounds %u\n",
        (unsigned long long)seed, (unsigned long long)share->points, result.why, folder,
        (unsigned long long)seed, task->rounds);
    fflush(stdout);
}

// ---- the Nth operation ---------------------------------------------------------------

struct nth {
    const char *name;
    uint32_t kinds; // 0: an allocation
    int error;
};

static const struct nth nths[] = {
    {"write", DISK_WRITE, EIO},       {"no room", DISK_WRITE, ENOSPC}, {"sync", DISK_SYNC, EIO},
    {"truncate", DISK_TRUNCATE, EIO}, {"create", DISK_CREATE, EIO},    {"delete", DISK_DELETE, EIO},
    {"open", DISK_OPEN, EMFILE},      {"read", DISK_READ, EIO},        {"memory", 0, 0}};
enum { NTHS = sizeof nths / sizeof *nths };

// The first allocations are those of the opening; a batch's come much later.
static uint64_t
allocation(uint64_t at)
{
    return at <= 100 ? at : (at - 90) * 150;
}

// run_nth lives once and says whether something failed in it; *is_right: and nothing was wrong.
static bool
run_nth(const struct task *task, const struct nth *nth, uint64_t at, bool is_for_ever,
        const char *folder, bool *is_right)
{
    struct life_options options = {.seed = task->seed + at, .rounds = 1, .folder = folder};
    options.fault = (struct disk_fault){nth->kinds, at, is_for_ever, nth->error};
    if (nth->kinds == 0)
        options.no_memory = (struct memory_fault){allocation(at), is_for_ever};
    struct life_result result;
    *is_right = crash_life_run(&options, &result);
    if (!*is_right)
        printf("%s %llu fails %s, seed %llu: %s\nits files are in %s; it is repeated by: "
               "store_crash --nth %llu --seed %llu\n",
               nth->name, (unsigned long long)at, is_for_ever ? "for ever" : "once",
               (unsigned long long)options.seed, result.why, folder, (unsigned long long)at,
               (unsigned long long)task->seed);
    return result.faults > 0;
}

static bool
run_nths(const struct task *task, const char *folder)
{
    bool is_right = true;
    for (size_t which = 0; which < 2 * NTHS && is_right; which++) {
        const struct nth *nth = &nths[which / 2];
        uint64_t lives = 0, hits = 0;
        // A life has so many of a kind and no more.
        for (uint64_t at = 1; at <= task->nth && at < hits + 20 && is_right; at++, lives++)
            hits += run_nth(task, nth, at, which % 2 == 1, folder, &is_right);
        printf("%-8s fails %s: %llu lives, it happened in %llu\n", nth->name,
               which % 2 == 1 ? "for ever" : "once", (unsigned long long)lives,
               (unsigned long long)hits);
    }
    return is_right;
}

// ---- damage --------------------------------------------------------------------------

enum { FLIPS_OF_A_LIFE = 10 };

static bool
run_flips(const struct task *task, const char *folder)
{
    uint64_t right = 0, refused = 0, in_window = 0, wrong = 0, seed = task->seed;
    for (; right + refused + in_window + wrong < task->flips; seed++) {
        struct life_options options = {
            .seed = seed, .rounds = 1, .folder = folder, .flips = FLIPS_OF_A_LIFE};
        struct life_result result;
        if (!crash_life_run(&options, &result)) {
            wrong++;
            printf("seed %llu: %s\n", (unsigned long long)seed, result.why);
        }
        right += result.flips_right;
        refused += result.flips_refused;
        in_window += result.flips_in_window;
    }
    printf("%llu times the store was right all the same, %llu times it refused, %llu times it had "
           "told no anchor, %llu times it was wrong in silence\n",
           (unsigned long long)right, (unsigned long long)refused, (unsigned long long)in_window,
           (unsigned long long)wrong);
    return wrong == 0;
}

static void
empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
    rmdir(path);
}

static void
run_job(const struct task *task, uint32_t job, struct share *share)
{
    char folder[] = "/var/tmp/galleon-crash-XXXXXX";
    if (mkdtemp(folder) == NULL)
        complain("cannot make a folder in /var/tmp");
    uint64_t seed = task->seed + job;
    for (; !share->has_failed && share->points < task->points; seed += task->jobs)
        run_life(task, seed, folder, share);
    if (!share->has_failed)
        empty_folder(folder);
}

// run_alone is for what runs in this process.
static int
run_alone(const struct task *task)
{
    char folder[] = "/var/tmp/galleon-crash-XXXXXX";
    if (mkdtemp(folder) == NULL)
        complain("cannot make a folder in /var/tmp");
    bool is_right = task->nth > 0 ? run_nths(task, folder) : run_flips(task, folder);
    if (is_right)
        empty_folder(folder);
    return is_right ? 0 : 1;
}

static uint64_t
milliseconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int
main(int count, char **texts)
{
    struct task task = {.points = 2000, .seed = 1, .rounds = ROUNDS, .jobs = 2};
    read_options(count, texts, &task);
    if (!plants_switch_on(task.plant))
        complain("there are no planted bugs in this build");
    crash_memory_install();
    if (task.nth > 0 || task.flips > 0)
        return run_alone(&task);
    if (task.points == 1)
        task.jobs = 1;
    struct share *share =
        mmap(NULL, sizeof *share, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (share == MAP_FAILED)
        complain("no memory");
    uint64_t began_ms = milliseconds();
    for (uint32_t job = 0; job < task.jobs; job++) {
        pid_t pid = fork();
        if (pid < 0)
            complain("cannot fork");
        if (pid == 0) {
            run_job(&task, job, share);
            exit(0);
        }
    }
    bool has_ended = true;
    int status;
    while (wait(&status) > 0)
        has_ended = has_ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    double seconds = (double)(milliseconds() - began_ms) / 1000;
    printf("%llu crash points in %llu lives, %llu operations of the disk, %llu failed, "
           "%llu acknowledged: "
           "%.1f s, %.0f points/s%s\n",
           (unsigned long long)share->points, (unsigned long long)share->lives,
           (unsigned long long)share->operations, (unsigned long long)share->faults,
           (unsigned long long)share->acknowledged, seconds, (double)share->points / seconds,
           has_ended ? "" : "; a process ended otherwise");
    return has_ended && !share->has_failed ? 0 : 1;
}
