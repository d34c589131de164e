// drill_journal.c - a mapped file, and one counter that gives out its places.

#include "drill_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <galleon/status.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

struct drill_journal *
drill_journal_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    void *memory = MAP_FAILED;
    if (ftruncate(fd, sizeof(struct drill_journal)) == 0)
        memory =
            mmap(NULL, sizeof(struct drill_journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error = errno;
    close(fd);
    errno = error;
    return memory == MAP_FAILED ? NULL : memory;
}

void
drill_journal_close(struct drill_journal **self_p)
{
    if (*self_p != NULL)
        munmap(*self_p, sizeof **self_p);
    *self_p = NULL;
}

uint32_t
drill_journal_count(const struct drill_journal *self)
{
    uint32_t count = atomic_load(&self->run_count);
    return count < DRILL_RUNS_MAX ? count : DRILL_RUNS_MAX;
}

bool
drill_journal_is_full(const struct drill_journal *self)
{
    return atomic_load(&self->run_count) > DRILL_RUNS_MAX;
}

uint32_t
drill_journal_begin(struct drill_journal *self, uint64_t key, uint32_t worker, uint32_t attempt,
                    uint64_t epoch)
{
    uint32_t number = atomic_fetch_add(&self->run_count, 1);
    if (number >= DRILL_RUNS_MAX) {
        atomic_store(&self->run_count, DRILL_RUNS_MAX + 1); // or it would begin anew one day
        return DRILL_RUNS_MAX;
    }
    struct drill_run *run = &self->runs[number];
    run->key = key;
    run->worker = worker;
    run->attempt = attempt;
    run->epoch = epoch;
    atomic_store(&run->began_ns, galleon_now_ns());
    return number;
}

void
drill_journal_end(struct drill_journal *self, uint32_t run)
{
    if (run < DRILL_RUNS_MAX)
        atomic_store(&self->runs[run].ended_ns, galleon_now_ns());
}
