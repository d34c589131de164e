// ending.h - runs a piece of code in a process of its own, to see whether must() ends it.

#ifndef GALLEON_ENDING_H
#define GALLEON_ENDING_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

// ends_by_must is whether the act ended its process by the trap of must().
static inline bool
ends_by_must(void (*act)(void))
{
    pid_t child = fork();
    if (child == 0) {
        // Neither cmocka nor a sanitizer may catch it.
        signal(SIGILL, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        act();
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGTRAP);
}

#endif
