// crash_check.h - whether a store is what the model says.

#ifndef GALLEON_CRASH_CHECK_H
#define GALLEON_CRASH_CHECK_H

#include "crash_model.h"
#include "store.h"

enum { CHECK_WHY_BYTES = 512 };

// What was found, and whether the store itself said that it is damaged.
struct check {
    char why[CHECK_WHY_BYTES];
    bool was_refused;
};

// check_rows compares every request, by lists. Requests that the store may have dropped may be
// missing, and are then taken out of the model; a seq that was not known is put in.
bool check_rows(struct check *self, struct store *store, struct model *model);

// check_answers fetches and loads everything, and compares the bodies.
bool check_answers(struct check *self, struct store *store, const struct model *model);

// check_counts compares the store's counts with the model's, which check_rows has made equal.
bool check_counts(struct check *self, struct store *store, const struct model *model);

// check_keys submits again, and something new: the store is changed by it.
bool check_keys(struct check *self, struct store *store, struct model *model, uint64_t seq_max);

// check_file looks at the file of a store that is closed.
bool check_file(struct check *self, const char *path);

#endif
