// crew.c - one thread for the signals, the others for the work.

#include "crew.h"

#include "options.h"
#include "process.h"

#include <galleon/mdp.h>
#include <galleon/status.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static struct crew crew;
static struct command_terms terms;
static int stop_fd;   // readable for ever once we are to stop
static int finish_fd; // readable for ever from finish_ns on
static int done_fd;   // counts threads that have ended
// By when all has to be finished; known once we are to stop.
static _Atomic uint64_t finish_ns = UINT64_MAX;
static atomic_bool has_failed = false;

static const uint64_t ns_per_ms = 1000000;

// ---- serving ----------------------------------------------------------------------------

int
crew_work(zmsg_t **request_p, zmsg_t **reply_out, char text[COMMAND_TEXT_BYTES])
{
    if (crew.command != NULL)
        return command_run(crew.command, &terms, request_p, reply_out, text);
    *reply_out = *request_p;
    *request_p = NULL;
    return MDP_DONE;
}

// wait_for_work waits for the worker, for the signal where we are not stopping, and until
// until_ns.
static void
wait_for_work(void *worker, uint64_t until_ns)
{
    uint64_t now_ns = galleon_now_ns();
    uint64_t deadline_ns = crew.trade->deadline(worker);
    int timeout_ms = 0;
    if (until_ns < deadline_ns)
        deadline_ns = until_ns;
    if (deadline_ns > now_ns) {
        uint64_t left_ms = (deadline_ns - now_ns + ns_per_ms - 1) / ns_per_ms;
        timeout_ms = left_ms < CREW_FINISH_MS ? (int)left_ms : CREW_FINISH_MS;
    }
    bool is_stopping = until_ns != UINT64_MAX;
    struct pollfd items[2] = {{.fd = crew.trade->fd(worker), .events = POLLIN},
                              {.fd = is_stopping ? -1 : stop_fd, .events = POLLIN}};
    poll(items, 2, timeout_ms);
}

static void
serve(void *worker)
{
    uint64_t until_ns = UINT64_MAX; // known once we are stopping
    for (;;) {
        uint64_t now_ns = galleon_now_ns();
        if (now_ns >= finish_ns)
            return;
        if (finish_ns != UINT64_MAX && until_ns == UINT64_MAX)
            until_ns = now_ns + crew.quiet_ms * ns_per_ms;
        if (crew.trade->serve(worker, now_ns)) {
            if (until_ns != UINT64_MAX)
                until_ns = now_ns + crew.quiet_ms * ns_per_ms;
            continue;
        }
        if (now_ns >= until_ns)
            return;
        wait_for_work(worker, until_ns);
    }
}

static void *
work(void *unused)
{
    (void)unused;
    uint64_t one = 1;
    void *worker = crew.trade->hire();
    if (worker != NULL) {
        serve(worker);
        crew.trade->dismiss(worker);
    } else {
        fprintf(stderr, "%s: cannot work: %s\n", crew.program, strerror(errno));
        has_failed = true;
    }
    if (write(done_fd, &one, sizeof one) < 0)
        has_failed = true;
    return NULL;
}

// ---- signals and threads -------------------------------------------------------------------

// end_at_once leaves no command behind that nobody waits for.
static _Noreturn void
end_at_once(void)
{
    command_kill_all();
    _exit(EXIT_FAILED);
}

// begin_to_stop tells the threads, and how long they may take.
static void
begin_to_stop(void)
{
    const uint64_t one = 1;
    const struct itimerspec finish = {.it_value.tv_sec = CREW_FINISH_MS / 1000};
    // The workers ask for nothing more, where their protocol has a word for it.
    __atomic_store_n(&zsys_interrupted, 1, __ATOMIC_RELAXED);
    finish_ns = galleon_now_ns() + CREW_FINISH_MS * ns_per_ms;
    if (timerfd_settime(finish_fd, 0, &finish, NULL) != 0 || write(stop_fd, &one, sizeof one) < 0)
        end_at_once();
}

// wait_for_the_end returns when all threads have ended: after a signal, which tells them to,
// or because none could work. A second signal ends the process and its commands at
// once, unless it is a hang-up: of one we may hear from the kernel and from the shell.
static void
wait_for_the_end(int signal_fd)
{
    uint64_t ended = 0;
    bool is_stopping = false;
    while (ended < crew.threads) {
        struct pollfd items[2] = {{.fd = signal_fd, .events = POLLIN},
                                  {.fd = done_fd, .events = POLLIN}};
        poll(items, 2, -1);
        struct signalfd_siginfo signal;
        if (items[0].revents != 0 && read(signal_fd, &signal, sizeof signal) > 0) {
            if (!is_stopping)
                begin_to_stop();
            else if (signal.ssi_signo != SIGHUP)
                end_at_once();
            is_stopping = true;
        }
        uint64_t count;
        if (items[1].revents != 0 && read(done_fd, &count, sizeof count) > 0)
            ended += count;
    }
}

// signals_to_read are those that end us in order. A terminal that hangs up no longer reaches
// the commands, which have groups of their own, so it has to be passed on; but nohup stands.
static sigset_t
signals_to_read(void)
{
    sigset_t signals;
    struct sigaction hangup;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&signals, SIGHUP);
    return signals;
}

static void
start_threads(pthread_t *threads)
{
    for (uint32_t i = 0; i < crew.threads; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0) {
            fprintf(stderr, "%s: cannot start thread %u\n", crew.program, i + 1);
            end_at_once();
        }
    }
}

int
crew_run(const struct crew *whole)
{
    crew = *whole;
    // Where a parent of ours ignored it, commands would be gone before we see how they ended.
    signal(SIGCHLD, SIG_DFL);
    // Blocked in every thread, and read here.
    sigset_t signals = signals_to_read();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    stop_fd = eventfd(0, EFD_CLOEXEC);
    done_fd = eventfd(0, EFD_CLOEXEC);
    finish_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC); // galleon_now_ns's clock
    terms = (struct command_terms){.output_bytes_max = crew.output_bytes_max, .end_fd = finish_fd};
    zsys_init();
    pthread_t *threads = calloc(crew.threads, sizeof *threads);
    if (signal_fd < 0 || stop_fd < 0 || done_fd < 0 || finish_fd < 0 || threads == NULL) {
        fprintf(stderr, "%s: cannot start: %s\n", crew.program, strerror(errno));
        free(threads);
        return EXIT_FAILED;
    }
    start_threads(threads);
    wait_for_the_end(signal_fd);
    for (uint32_t i = 0; i < crew.threads; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return has_failed ? EXIT_FAILED : EXIT_DONE;
}
