// mdbroker_pair.h - mdbroker's options of a pair: what they are, and what they may not be.

#ifndef GALLEON_MDBROKER_PAIR_H
#define GALLEON_MDBROKER_PAIR_H

#include "options.h"
#include "serving.h"

#include <galleon/bstar.h>

// The rules, as a row of elements for the table of all options; mdbroker_pair_set takes their
// places in this row.
#define MDBROKER_PAIR_RULES                                                                        \
    {"pair", "ROLE", "primary or backup: be one of two brokers, of which one serves"},             \
        {"pair-bind", "EP", "where the other half hears this one"},                                \
        {"pair-peer", "EP", "the --pair-bind of the other half"},                                  \
        {"witness", "EP", "a starwitness: one half serves at a time, whatever is cut"},            \
        {"pair-name", "NAME", "the same in all members (galleon)"},                                \
        {"pair-state", "FILE", "with --witness: what this half has voted"},                        \
        {"pair-init", NULL, "make that file: at the first start only"},                            \
        {"pair-heartbeat", "MS", "beat to the other half this often (500; with --witness 100)"},   \
        {"pair-lease", "MS", "with --witness: serve so long without asking again (1000)"},         \
        {"pair-redirect", "EP",                                                                    \
         "where clients find the other half: told to those that come here"},                       \
    {                                                                                              \
        "pair-guide", NULL, "speak as the Guide's bstar does, to one of those (1000 ms x 3)"       \
    }

struct mdbroker_pair {
    bool is_wanted; // --pair was given
    bstar_role_t role;
    uint32_t given; // a bit for each place
    const char *bind;
    const char *peer;
    const char *redirect; // NULL: none
    bstar_options_t options;
};

void mdbroker_pair_set(struct mdbroker_pair *self, const struct options *options, int place);

// mdbroker_pair_check ends the program where the options do not go together; `clients` are what
// they connect to.
void mdbroker_pair_check(const struct mdbroker_pair *self, const struct options *options,
                         const struct serving_endpoints *clients, bool is_insecure);

// mdbroker_pair_open makes the half; where it cannot it says why. Returns the exit code.
int mdbroker_pair_open(const struct mdbroker_pair *self, bstar_t **half_out);

#endif
