// store_look.h - what the files that look at a stopped store share.

#ifndef GALLEON_STORE_STORE_LOOK_H
#define GALLEON_STORE_STORE_LOOK_H

#include "sqlite_store.h"
#include "store_check.h"

struct store_check {
    struct sqlite_store *store;
    bool is_copy;
};

// store_look_anchor reads what the anchor says; false: there is none, or nothing whole in it.
bool store_look_anchor(const struct store_check *self, struct store_anchor *anchor_out);

#endif
