// command.h - one run of a command: frames in, output back.

#ifndef GALLEON_COMMAND_H
#define GALLEON_COMMAND_H

#include <czmq.h>

enum { COMMAND_TEXT_BYTES = 128 };

struct command_terms {
    uint64_t output_bytes_max;
    int end_fd; // readable for ever once the command has had its time; -1: it has all the time
};

// command_run runs argv, which NULL ends, found by PATH, in a process group of its own.
// The frames of *input_p, one after the other, are its standard input; what it writes to
// standard output is the one frame of *output_out. It is over when it has ended and
// nobody whom it started holds its standard output. Takes *input_p whatever it returns.
// Returns 200, or the status that a failed request gets, with why in `text` and
// *output_out NULL: 500 where the command could not be run, did not exit with 0 or was
// stopped, 413 where it wrote more than the terms allow.
//
// Stopped is the whole group: SIGTERM when end_fd is readable, SIGKILL half a second
// later. What it starts in the background and is still there after a run that was not
// stopped is left alone.
//
// SIGPIPE has to be ignored, and SIGCHLD may not be. The command blocks no signal, whatever
// the worker blocks. A Ctrl-C meant for the worker does not reach it: its group is another.
int command_run(char *const *argv, const struct command_terms *terms, zmsg_t **input_p,
                zmsg_t **output_out, char text[COMMAND_TEXT_BYTES]);

// command_kill_all ends the groups of all commands that run, in any thread, with SIGKILL,
// and none can begin any more. For the moment before _exit, which would leave them behind.
void command_kill_all(void);

#endif
