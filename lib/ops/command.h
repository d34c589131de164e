// command.h - one run of a command: frames in, output back.

#ifndef GALLEON_COMMAND_H
#define GALLEON_COMMAND_H

#include <czmq.h>

enum { COMMAND_TEXT_BYTES = 128 };

struct command_terms {
    uint64_t output_bytes_max;
};

// command_run runs argv, which NULL ends, found by PATH. The frames of *input_p, one
// after the other, are its standard input; what it writes to standard output is the
// one frame of *output_out. Takes *input_p whatever it returns. Returns 200, or the
// status that a failed request gets, with why in `text` and *output_out NULL: 500
// where the command could not be run or did not exit with 0, 413 where it wrote more
// than the terms allow.
//
// SIGPIPE has to be ignored. SIGINT is blocked in the command: a Ctrl-C meant for the
// worker does not end what the worker has promised to finish.
int command_run(char *const *argv, const struct command_terms *terms, zmsg_t **input_p,
                zmsg_t **output_out, char text[COMMAND_TEXT_BYTES]);

#endif
