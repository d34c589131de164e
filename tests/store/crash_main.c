// crash_main.c - many lives, and of the first that goes wrong the command that repeats it.
//
//     store_crash [--points N] [--seed S] [--rounds R] [--jobs J] [--plant N]
//
// Each life is a store that crashes some times. Lives are dealt out to processes.

#include "crash_life.h"
#include "plants.h"

#include <dirent.h>
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
        else if (strcmp(texts[at], "--plant") == 0)
            task->plant = (uint32_t)number;
        else
            complain("the options are --points, --seed, --rounds, --jobs and --plant");
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
