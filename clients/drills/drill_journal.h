// drill_journal.h - who ran what, and when: memory that the tool and its workers share.
//
// It is a file that all of them map, so that what a worker wrote is there whatever became of
// the worker.

#ifndef GALLEON_DRILL_JOURNAL_H
#define GALLEON_DRILL_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { DRILL_RUNS_MAX = 1 << 18 };

// One time that a worker had a request.
struct drill_run {
    uint64_t key; // of the request
    uint32_t worker;
    uint32_t attempt;          // as the broker says
    uint64_t epoch;            // as the broker says, 0: it does not
    _Atomic uint64_t began_ns; // 0: still being written
    _Atomic uint64_t ended_ns; // 0: not yet, or never
};

struct drill_journal {
    _Atomic uint32_t run_count;    // may be more than there is room for
    _Atomic uint32_t holder;       // the run that holds its request, from 1
    atomic_bool is_released;       // it may go on
    _Atomic uint32_t answers_lost; // that workers know of
    struct drill_run runs[DRILL_RUNS_MAX];
};

// drill_journal_open maps the file, which is made where it is not there. NULL with errno.
struct drill_journal *drill_journal_open(const char *path);
void drill_journal_close(struct drill_journal **self_p);

// drill_journal_count is how many runs there are to be read.
uint32_t drill_journal_count(const struct drill_journal *self);
bool drill_journal_is_full(const struct drill_journal *self);

// drill_journal_begin returns the number of the run, DRILL_RUNS_MAX where there is no room.
uint32_t drill_journal_begin(struct drill_journal *self, uint64_t key, uint32_t worker,
                             uint32_t attempt, uint64_t epoch);
void drill_journal_end(struct drill_journal *self, uint32_t run);

#endif
