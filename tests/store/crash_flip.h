// crash_flip.h - one bit of a file is another, or its end is gone.

#ifndef GALLEON_CRASH_FLIP_H
#define GALLEON_CRASH_FLIP_H

#include "prng.h"

#include <stdbool.h>
#include <stddef.h>

enum flip_file { FLIP_DATABASE, FLIP_LOG, FLIP_ANCHOR };

struct flip {
    enum flip_file file;
    bool is_cut;
    unsigned long long at; // the bit, or the size that is left
};

// crash_flip damages one file of the store at `path`; false: there was none to damage.
bool crash_flip(struct prng *prng, const char *path, struct flip *flip_out);

#endif
