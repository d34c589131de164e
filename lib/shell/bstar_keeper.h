// bstar_keeper.h - writes a voter's record in a thread of its own.
//
// A disk may take longer than a lease: the loop goes on meanwhile. One record at a time.

#ifndef GALLEON_BSTAR_KEEPER_H
#define GALLEON_BSTAR_KEEPER_H

#include "bstar_record.h"

#include <pthread.h>

struct bstar_keeper {
    const struct bstar_record_file *file;
    pthread_t thread;
    bool is_running;
    int wake_fd;
    int done_fd; // readable when a record is written, or could not be

    pthread_mutex_t lock; // of what is below
    struct bstar_record record;
    bool is_asked;
    bool is_done;
    int error; // of it; 0: it is on disk
    bool is_ending;
};

// bstar_keeper_open returns 0 or an errno; in both cases bstar_keeper_close is to follow. The file
// lives as long, and is open whenever a record is written.
int bstar_keeper_open(struct bstar_keeper *self, const struct bstar_record_file *file);
// bstar_keeper_close waits for a record that is being written.
void bstar_keeper_close(struct bstar_keeper *self);

void bstar_keeper_write(struct bstar_keeper *self, const struct bstar_record *record);
// bstar_keeper_is_done: is it over? Each record is told of once. *error_out is 0 where it is on
// disk, else an errno.
bool bstar_keeper_is_done(struct bstar_keeper *self, int *error_out);

#endif
