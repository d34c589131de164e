// mdworker.c - a Majordomo worker: echo, or a command for each request.
//
// Each thread has a worker of its own and waits with poll on it and on the signal to
// stop, as any program with a loop of its own would. After the signal it finishes what
// the brokers have sent, for a while, and leaves. The while is one for all that is to be
// finished: a command that still runs at its end is stopped, and what was not begun goes
// to other workers.

#include "command.h"
#include "mdp_wire.h"
#include "options.h"
#include "process.h"
#include "service_name.h"

#include <galleon/mdp_worker.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

enum {
    BROKER,
    CREDIT,
    THREADS,
    HEARTBEAT,
    DIALECT,
    PRINTABLE_ID,
    NO_DISCONNECT,
    MAX_MESSAGE,
    // The brokers count our heads as well, and the size of the one frame.
    HEAD_BYTES = MDP_HEADS_BYTES_MAX + 4,
    // After the signal: so long without a request, or so long in all.
    QUIET_MS = 100,
    FINISH_MS = 5000
};

static const struct options_rule rules[] = {
    [BROKER] = {"broker", "EP", "a broker (tcp://127.0.0.1:5555); may be repeated"},
    [CREDIT] = {"credit", "N", "requests that each thread holds at once (1); above 1 needs G1"},
    [THREADS] = {"threads", "N", "workers in this process, each in a thread (1)"},
    [HEARTBEAT] = {"heartbeat", "MS", "beat this often (2500)"},
    [DIALECT] = {"dialect", "NAME", "auto, g1, 0.2 or 0.1 (auto)"},
    [PRINTABLE_ID] = {"printable-id", NULL, "for the Guide's C++ broker"},
    [NO_DISCONNECT] = {"no-disconnect", NULL, "for the Guide's Python broker, which dies of it"},
    [MAX_MESSAGE] = {"max-message", "BYTES",
                     "largest answer, as the brokers' --max-message (1048576)"},
    {0}};

struct settings {
    char *brokers;
    const char *service;
    char **command; // NULL: echo
    struct command_terms terms;
    uint32_t threads;
    mdp_worker_options_t worker;
};

static struct settings settings = {.threads = 1, .worker.message_bytes_max = MDP_MESSAGE_BYTES_MAX};
static int stop_fd;   // readable for ever once we are to stop
static int finish_fd; // readable for ever from finish_ns on
static int done_fd;   // counts threads that have ended
// By when all has to be finished; known once we are to stop.
static _Atomic uint64_t finish_ns = UINT64_MAX;
static atomic_bool has_failed = false;

static const uint64_t ns_per_ms = 1000000;

// ---- serving ----------------------------------------------------------------------------

static void
handle(mdp_request_t *request)
{
    zmsg_t *message = mdp_request_body(request);
    if (settings.command == NULL) {
        mdp_request_reply(&request, &message);
        return;
    }
    char text[COMMAND_TEXT_BYTES];
    zmsg_t *output;
    int status = command_run(settings.command, &settings.terms, &message, &output, text);
    if (status == MDP_DONE) {
        mdp_request_reply(&request, &output);
        return;
    }
    log_warn("MDWORKER-COMMAND-FAILED", "service=\"%s\" status=%d why=\"%s\"", settings.service,
             status, text);
    mdp_request_fail(&request, status, text);
}

// wait_for_work waits for the worker, for the signal where we are not stopping, and until
// until_ns.
static void
wait_for_work(mdp_worker_t *worker, uint64_t until_ns)
{
    uint64_t now_ns = galleon_now_ns();
    uint64_t deadline_ns = mdp_worker_deadline(worker);
    int timeout_ms = 0;
    if (until_ns < deadline_ns)
        deadline_ns = until_ns;
    if (deadline_ns > now_ns) {
        uint64_t left_ms = (deadline_ns - now_ns + ns_per_ms - 1) / ns_per_ms;
        timeout_ms = left_ms < FINISH_MS ? (int)left_ms : FINISH_MS;
    }
    bool is_stopping = until_ns != UINT64_MAX;
    struct pollfd items[2] = {{.fd = mdp_worker_fd(worker), .events = POLLIN},
                              {.fd = is_stopping ? -1 : stop_fd, .events = POLLIN}};
    poll(items, 2, timeout_ms);
}

static void
serve(mdp_worker_t *worker)
{
    uint64_t until_ns = UINT64_MAX; // known once we are stopping
    for (;;) {
        mdp_request_t *request;
        uint64_t now_ns = galleon_now_ns();
        if (now_ns >= finish_ns)
            return;
        if (finish_ns != UINT64_MAX && until_ns == UINT64_MAX)
            until_ns = now_ns + QUIET_MS * ns_per_ms;
        mdp_worker_pump_take(worker, now_ns, &request);
        if (request != NULL) {
            handle(request);
            if (until_ns != UINT64_MAX)
                until_ns = now_ns + QUIET_MS * ns_per_ms;
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
    mdp_worker_t *worker = mdp_worker_new(settings.brokers, settings.service, &settings.worker);
    if (worker != NULL) {
        serve(worker);
    } else {
        fprintf(stderr, "mdworker: cannot work: %s\n", strerror(errno));
        has_failed = true;
    }
    mdp_worker_destroy(&worker);
    if (write(done_fd, &one, sizeof one) < 0)
        has_failed = true;
    return NULL;
}

// ---- options ------------------------------------------------------------------------------

static void
set(const struct options *options, int rule)
{
    switch (rule) {
    case BROKER:
        options_add_endpoint(options, &settings.brokers);
        break;
    case CREDIT:
        settings.worker.credit = (uint32_t)options_number(options, 1, 65536);
        break;
    case THREADS:
        settings.threads = (uint32_t)options_number(options, 1, 256);
        break;
    case HEARTBEAT:
        settings.worker.heartbeat_ms = (uint32_t)options_number(options, 10, 60000);
        break;
    case DIALECT:
        settings.worker.dialect = options_dialect(options);
        break;
    case PRINTABLE_ID:
        settings.worker.printable_id = true;
        break;
    case NO_DISCONNECT:
        settings.worker.no_disconnect = true;
        break;
    case MAX_MESSAGE:
        settings.worker.message_bytes_max =
            options_number(options, MDP_MESSAGE_BYTES_MIN, (uint64_t)1 << 40);
        break;
    default:
        break;
    }
}

// check_service: titanic.* belongs to the broker that keeps requests on disk.
static void
check_service(const struct options *options)
{
    struct view name = view_of(settings.service, strlen(settings.service));
    if (service_name_is_valid(name) && service_name_is_for_workers(name))
        return;
    options_fail(options,
                 "'%s' can be no service's name; one has 1 to 255 bytes of UTF-8 without control "
                 "characters, and mmi.* and titanic.* are reserved",
                 settings.service);
}

static void
read_options(int argc, char **argv)
{
    struct options options = {
        .program = "mdworker",
        .synopsis = "[OPTION]... SERVICE [-- COMMAND ARG...]",
        .about =
            "Serves SERVICE. Without a COMMAND it echoes. With one, the frames of a request "
            "are its\nstandard input, its standard output is the reply, and an exit code "
            "other than 0 is a\nfailed request (status 500 in G1).\nSIGTERM, SIGINT and SIGHUP "
            "finish what is there, for 5 seconds; a command that runs on is\nstopped. A "
            "second signal kills all commands and ends at once.",
        .rules = rules,
        .log_level = LOG_LEVEL_WARN};
    options_init(&options, argc, argv);
    for (int rule; (rule = options_next(&options)) != OPTIONS_END;)
        set(&options, rule);
    if (options.argument_count == 0)
        options_fail(&options, "which SERVICE?");
    if (options.argument_count > 1)
        options_fail(&options, "'%s' is not wanted; a command stands behind --",
                     options.arguments[1]);
    bool is_old = settings.worker.dialect == MDP_01 || settings.worker.dialect == MDP_02;
    if (is_old && settings.worker.credit > 1)
        options_fail(&options, "--credit above 1 needs --dialect g1 or auto");
    settings.service = options.arguments[0];
    check_service(&options);
    settings.command = options.rest_count > 0 ? options.rest : NULL;
    settings.terms.output_bytes_max = settings.worker.message_bytes_max - HEAD_BYTES;
    if (settings.brokers == NULL)
        settings.brokers = strdup("tcp://127.0.0.1:5555");
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
    const struct itimerspec finish = {.it_value.tv_sec = FINISH_MS / 1000};
    // The workers ask their brokers for nothing more.
    __atomic_store_n(&zsys_interrupted, 1, __ATOMIC_RELAXED);
    finish_ns = galleon_now_ns() + FINISH_MS * ns_per_ms;
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
    while (ended < settings.threads) {
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

int
main(int argc, char **argv)
{
    process_init("mdworker");
    read_options(argc, argv);
    // Where a parent of ours ignored it, commands would be gone before we see how they ended.
    signal(SIGCHLD, SIG_DFL);
    // Blocked in every thread, and read here.
    sigset_t signals = signals_to_read();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    stop_fd = eventfd(0, EFD_CLOEXEC);
    done_fd = eventfd(0, EFD_CLOEXEC);
    finish_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC); // galleon_now_ns's clock
    settings.terms.end_fd = finish_fd;
    zsys_init();
    pthread_t *threads = calloc(settings.threads, sizeof *threads);
    if (signal_fd < 0 || stop_fd < 0 || done_fd < 0 || finish_fd < 0 || threads == NULL) {
        fprintf(stderr, "mdworker: cannot start: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    for (uint32_t i = 0; i < settings.threads; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0) {
            fprintf(stderr, "mdworker: cannot start thread %u\n", i + 1);
            end_at_once();
        }
    }
    wait_for_the_end(signal_fd);
    for (uint32_t i = 0; i < settings.threads; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    free(settings.brokers);
    return has_failed ? EXIT_FAILED : EXIT_DONE;
}
