// audit_key.h - the keys that sign the audit chain, in files: hex digits on one line.
//
// The secret key has a file that its owner alone may read; the public one stands beside it as
// FILE.pub, and is for whoever verifies.

#ifndef GALLEON_STORE_AUDIT_KEY_H
#define GALLEON_STORE_AUDIT_KEY_H

#include "store.h"
#include "store_check.h"

// Each returns false where it is not done, and says why for people.

// audit_key_make makes FILE and FILE.pub; it never overwrites one.
bool audit_key_make(const char *path, char *why, size_t room);

// audit_key_read refuses a file that others than its owner may read or write.
bool audit_key_read(const char *path, uint8_t key_out[STORE_KEY_BYTES], char *why, size_t room);

bool audit_key_read_public(const char *path, uint8_t key_out[STORE_PUBLIC_KEY_BYTES], char *why,
                           size_t room);

#endif
