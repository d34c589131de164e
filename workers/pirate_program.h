// pirate_program.h - what spworker and ppworker share, which is all but the name.

#ifndef GALLEON_PIRATE_PROGRAM_H
#define GALLEON_PIRATE_PROGRAM_H

#include "options.h"

#include <stdbool.h>

// pirate_program is the main() of a worker program. Only a worker that is not simple has the
// options about heartbeats.
int pirate_program(const char *program, bool is_simple, int argc, char **argv);

#endif
