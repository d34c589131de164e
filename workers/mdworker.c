// mdworker.c - a Majordomo worker: echo, or a command for each request.

#include "crew.h"
#include "mdp_wire.h"
#include "options.h"
#include "process.h"
#include "service_name.h"

#include <galleon/mdp_worker.h>

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
    QUIET_MS = 100 // after the signal: so long without a request
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
    struct crew crew;
    mdp_worker_options_t worker;
};

static struct settings settings = {
    .crew = {.program = "mdworker", .threads = 1, .quiet_ms = QUIET_MS},
    .worker.message_bytes_max = MDP_MESSAGE_BYTES_MAX};

// ---- serving ----------------------------------------------------------------------------

static void *
hire(void)
{
    return mdp_worker_new(settings.brokers, settings.service, &settings.worker);
}

static void
dismiss(void *worker)
{
    mdp_worker_t *self = worker;
    mdp_worker_destroy(&self);
}

static int
fd(void *worker)
{
    return mdp_worker_fd(worker);
}

static uint64_t
deadline(const void *worker)
{
    return mdp_worker_deadline(worker);
}

static bool
serve(void *worker, uint64_t now_ns)
{
    mdp_request_t *request;
    mdp_worker_pump_take(worker, now_ns, &request);
    if (request == NULL)
        return false;
    char text[COMMAND_TEXT_BYTES];
    zmsg_t *message = mdp_request_body(request);
    zmsg_t *reply;
    int status = crew_work(&message, &reply, text);
    if (status == MDP_DONE) {
        mdp_request_reply(&request, &reply);
        return true;
    }
    log_warn("MDWORKER-COMMAND-FAILED", "service=\"%s\" status=%d why=\"%s\"", settings.service,
             status, text);
    mdp_request_fail(&request, status, text);
    return true;
}

static const struct crew_trade trade = {hire, dismiss, fd, deadline, serve};

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
        settings.crew.threads = (uint32_t)options_number(options, 1, 256);
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
    settings.crew.trade = &trade;
    settings.crew.command = options.rest_count > 0 ? options.rest : NULL;
    settings.crew.output_bytes_max = settings.worker.message_bytes_max - HEAD_BYTES;
    if (settings.brokers == NULL)
        settings.brokers = strdup("tcp://127.0.0.1:5555");
}

int
main(int argc, char **argv)
{
    process_init("mdworker");
    read_options(argc, argv);
    int code = crew_run(&settings.crew);
    free(settings.brokers);
    return code;
}
