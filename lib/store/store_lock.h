// store_lock.h - one process on one store: PATH.lock.

#ifndef GALLEON_STORE_STORE_LOCK_H
#define GALLEON_STORE_STORE_LOCK_H

#include "store.h"

// store_lock takes the lock beside the store, or waits for it where the options say so, and
// returns its descriptor; -1, and *error_out says who has it.
int store_lock(const struct store_options *options, struct store_error *error_out);

// store_unlock lets go; the file stays.
void store_unlock(int fd);

#endif
