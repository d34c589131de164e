// crew.h - what all worker programs are: threads, a command for each request, an end in order.
//
// Each thread has a worker of its own and waits with poll on it and on the signal to stop, as
// any program with a loop of its own would. After the signal it finishes what it was sent, for
// a while, and leaves. The while is one for all that is to be finished: a command that still
// runs at its end is stopped, and what was not begun goes to other workers.
//
// A process has one crew.

#ifndef GALLEON_CREW_H
#define GALLEON_CREW_H

#include "command.h"

enum { CREW_FINISH_MS = 5000 }; // after the signal: so long in all

// What the worker of a thread can do.
struct crew_trade {
    void *(*hire)(void); // a new worker; NULL, with errno, where there is none
    void (*dismiss)(void *worker);
    int (*fd)(void *worker);
    uint64_t (*deadline)(const void *worker);
    // serve answers the next request, if there is one; false: there is nothing more now.
    bool (*serve)(void *worker, uint64_t now_ns);
};

struct crew {
    const char *program;
    const struct crew_trade *trade;
    char **command; // which NULL ends; NULL: echo
    uint64_t output_bytes_max;
    uint32_t threads;
    uint32_t quiet_ms; // after the signal: so long without a request
};

// crew_run serves until a signal, and returns the exit code. SIGTERM, SIGINT and SIGHUP finish
// what is there; a second one, unless it is a hang-up, kills all commands and ends at once.
int crew_run(const struct crew *crew);

// crew_work does what a request asks for, within `serve`: as command_run, of the crew's
// command, or the echo. Takes *request_p whatever it returns.
int crew_work(zmsg_t **request_p, zmsg_t **reply_out, char text[COMMAND_TEXT_BYTES]);

#endif
