// drill_child.h - the processes that a drill starts, harms and ends.
//
// A child is started by way of the tool itself (drill_child_main), which asks the kernel to
// kill it when the tool dies and then becomes what was asked for. Each has a process group of
// its own, so that Ctrl-C reaches the tool alone, which ends them in order.

#ifndef GALLEON_DRILL_CHILD_H
#define GALLEON_DRILL_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// The hidden command of the tool, and what it becomes.
#define DRILL_CHILD         "drill-child"
#define DRILL_CHILD_PROGRAM "program"
#define DRILL_CHILD_LOSING  "losing"
#define DRILL_CHILD_STEPPED "stepped"
#define DRILL_CHILD_WORKER  "worker"
#define DRILL_CHILD_CLIENT  "client"
#define DRILL_CHILD_PIRATE  "pirate"

enum { DRILL_ARGUMENTS_MAX = 64, DRILL_PATH_BYTES = 512, DRILL_ENDING_BYTES = 32 };

struct drill_child {
    char name[32];
    char log[DRILL_PATH_BYTES]; // what it writes on both outputs
    long log_start;             // where this run of it began to write
    pid_t pid;
    bool is_running;
    bool is_doomed; // we have ended it, or are about to
    int ending;     // as waitpid has it, where it is not running
};

// drill_child_start appends to the child's log, which with its name is set already. The first of
// `arguments`, which NULL ends, is what to become. False with errno.
bool drill_child_start(struct drill_child *self, const char *const *arguments);

// drill_child_has_ended looks, and does not wait.
bool drill_child_has_ended(struct drill_child *self);
void drill_child_signal(const struct drill_child *self, int signal);
// drill_child_kill returns when it is dead; false where it had ended before, by itself.
bool drill_child_kill(struct drill_child *self);
// drill_child_stop lets it go on where it is stopped, says SIGTERM and waits for at most so long;
// then it kills. True where it ended in order, with exit code 0.
bool drill_child_stop(struct drill_child *self, uint32_t ms);
// drill_child_describe says how one ended that is not running.
void drill_child_describe(const struct drill_child *self, char text_out[DRILL_ENDING_BYTES]);

// drill_child_find writes where a program of ours is: next to this one, else its bare name,
// which is looked for in PATH.
void drill_child_find(const char *program, char path_out[DRILL_PATH_BYTES]);

// drill_child_find_library does so for one that is preloaded, next to this program or where it is
// installed; false: it is nowhere, or its path cannot be preloaded. Behind DRILL_CHILD_LOSING
// stand its path, the folder that loses what is not synced, and before which change the process
// kills itself (lose_unsynced.c); then what to become. Behind DRILL_CHILD_STEPPED stand its path
// and the file that says by how much the wall clock is off (step_clock.c).
bool drill_child_find_library(const char *library, char path_out[DRILL_PATH_BYTES]);

// drill_child_main is the child's side: arguments behind the hidden command.
int drill_child_main(int argc, char **argv);

#endif
