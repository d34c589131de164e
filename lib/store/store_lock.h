// store_lock.h - one process on one store: PATH.lock.

#ifndef GALLEON_STORE_STORE_LOCK_H
#define GALLEON_STORE_STORE_LOCK_H

#include "store.h"

// store_lock takes the lock beside the store, or waits for it where the options say so, and
// returns its descriptor; -1, and *error_out says who has it.
int store_lock(const struct store_options *options, struct store_error *error_out);

// store_lock_to_look keeps any process from opening the store while it is looked at, and changes
// nothing: others may look, too. *fd_out is -1 where the store has no lock, because no process
// ever opened it there. False: a process has it, and *error_out says which.
bool store_lock_to_look(const char *path, int *fd_out, struct store_error *error_out);

// store_unlock lets go; the file stays.
void store_unlock(int fd);

#endif
