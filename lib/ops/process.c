// process.c - signals, and last words.

#include "process.h"

#include "must.h"

#include <czmq.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *program_name = "galleon";
static void (*drain_hook)(void) = NULL;
static volatile sig_atomic_t signals_seen = 0;

static void
say_last_words(const char *file, int line, const char *condition)
{
    void *frames[64];
    fprintf(stderr, "%s: bug: %s:%d: this must hold: %s\n", program_name, file, line, condition);
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
}

// raise_descriptors: shells give few of them by default, and each connection is one.
static void
raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void
process_allow_many(void)
{
    raise_descriptors();
    // By default libzmq gives 1023 of them, and each connection of ours is three.
    zsys_set_max_sockets(0);
}

// teach_malloc: packs of a few hundred KiB come and go thousands of times in a second, several at
// once. glibc keeps free memory of twice the largest block that it has mapped and that was freed,
// and gives pages back beyond that, so that the kernel has to clear new ones all the time. It
// learns from a block of 4 MiB here, which is never touched; what is larger still teaches it more,
// and what the environment says (MALLOC_MMAP_THRESHOLD_) stands.
static void
teach_malloc(void)
{
    void *volatile block = malloc(4 << 20); // volatile: or the compiler leaves both out
    free(block);
}

static void
on_signal(int signal)
{
    // Of one hang-up we may hear twice, from the kernel and from the shell.
    if (signal == SIGHUP && signals_seen > 0)
        return;
    if (signals_seen++ > 0)
        _exit(1);
    drain_hook();
}

void
process_init(const char *program)
{
    program_name = program;
    signal(SIGPIPE, SIG_IGN);
    // A limit on the size of files (ulimit -f, LimitFSIZE) makes a write fail, as a full disk does.
    signal(SIGXFSZ, SIG_IGN);
    zsys_handler_set(NULL); // the next line would catch SIGINT and SIGTERM for good
    process_allow_many();
    teach_malloc();
    must_set_hook(say_last_words);
}

void
process_drain_on_signals(void (*drain)(void))
{
    drain_hook = drain;
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct sigaction hangup;
    // nohup stands.
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}
