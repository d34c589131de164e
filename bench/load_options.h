// load_options.h - the load's command line.

#ifndef GALLEON_LOAD_OPTIONS_H
#define GALLEON_LOAD_OPTIONS_H

#include "load.h"

// load_options_parse ends the process: with 2 and a sentence where the command
// line is wrong, with 0 after --help and --version.
void load_options_parse(struct load_options *self, int argc, char **argv);

#endif
