// pirate_program.c - the options, and a crew of pirate workers.

#include "pirate_program.h"

#include "crew.h"
#include "mdp_wire.h"
#include "process.h"

#include <galleon/pirate_worker.h>

enum {
    QUEUE,
    THREADS,
    MAX_MESSAGE,
    HEARTBEAT,
    LIVENESS,
    // The queue counts our heads as well, and the size of the one frame.
    HEAD_BYTES = MDP_HEADS_BYTES_MAX + 4
};

static const struct options_rule paranoid_rules[] = {
    [QUEUE] = {"queue", "EP", "the queue's backend (tcp://127.0.0.1:5556)"},
    [THREADS] = {"threads", "N", "workers in this process, each in a thread (1)"},
    [MAX_MESSAGE] = {"max-message", "BYTES",
                     "largest answer, as the queue's --max-message (1048576)"},
    [HEARTBEAT] = {"heartbeat", "MS", "beat this often (1000)"},
    [LIVENESS] = {"liveness", "N", "silent intervals after which the queue is lost (3)"},
    {0}};

static struct {
    const char *program;
    char *queue;
    struct crew crew;
    pirate_worker_options_t worker;
} settings = {.crew.threads = 1, .worker.message_bytes_max = MDP_MESSAGE_BYTES_MAX};

// ---- serving ----------------------------------------------------------------------------

static void *
hire(void)
{
    return pirate_worker_new(settings.queue, &settings.worker);
}

static void
dismiss(void *worker)
{
    pirate_worker_t *self = worker;
    pirate_worker_destroy(&self);
}

static int
fd(void *worker)
{
    return pirate_worker_fd(worker);
}

static uint64_t
deadline(const void *worker)
{
    return pirate_worker_deadline(worker);
}

static bool
serve(void *worker, uint64_t now_ns)
{
    zmsg_t *request;
    pirate_worker_pump(worker, now_ns, &request);
    if (request == NULL)
        return false;
    char text[COMMAND_TEXT_BYTES];
    zmsg_t *reply;
    int status = crew_work(&request, &reply, text);
    if (status == MDP_DONE) {
        pirate_worker_reply(worker, &reply);
        return true;
    }
    log_warn("PIRATE-COMMAND-FAILED", "queue=%s why=\"%s\"", settings.queue, text);
    pirate_worker_fail(worker, text);
    return true;
}

static const struct crew_trade trade = {hire, dismiss, fd, deadline, serve};

// ---- options ------------------------------------------------------------------------------

static void
set_queue(const struct options *options)
{
    if (settings.queue != NULL || strchr(options->value, ',') != NULL)
        options_fail(options, "a pirate's worker has one --queue");
    options_add_endpoint(options, &settings.queue);
}

static void
set(const struct options *options, int rule)
{
    switch (rule) {
    case QUEUE:
        set_queue(options);
        break;
    case THREADS:
        settings.crew.threads = (uint32_t)options_number(options, 1, 256);
        break;
    case MAX_MESSAGE:
        settings.worker.message_bytes_max =
            options_number(options, MDP_MESSAGE_BYTES_MIN, (uint64_t)1 << 40);
        break;
    case HEARTBEAT:
        settings.worker.heartbeat_ms = (uint32_t)options_number(options, 10, 60000);
        break;
    case LIVENESS:
        settings.worker.liveness = (uint32_t)options_number(options, 1, 1000);
        break;
    default:
        break;
    }
}

static void
read_options(int argc, char **argv)
{
    // The simple worker's are the first of the others'.
    static struct options_rule simple_rules[HEARTBEAT + 1];
    memcpy(simple_rules, paranoid_rules, HEARTBEAT * sizeof *simple_rules);
    bool is_simple = settings.worker.simple;
    struct options options = {
        .program = settings.program,
        .synopsis = "[OPTION]... [-- COMMAND ARG...]",
        .about = is_simple
                     ? "Serves a Simple Pirate queue, Galleon's spqueue or the Guide's. Without a "
                       "COMMAND it\nechoes. With one, the frames of a request are its standard "
                       "input and its standard\noutput is the reply; where it fails, the reply "
                       "says why.\nSIGTERM, SIGINT and SIGHUP finish the request that is there, "
                       "for 5 seconds; a command\nthat runs on is stopped. A second signal kills "
                       "all commands and ends at once."
                     : "Serves a Paranoid Pirate queue, Galleon's ppqueue or the Guide's. Without "
                       "a COMMAND it\nechoes. With one, the frames of a request are its standard "
                       "input and its standard\noutput is the reply; where it fails, the reply "
                       "says why.\nSIGTERM, SIGINT and SIGHUP finish the request that is there, "
                       "for 5 seconds; a command\nthat runs on is stopped. A second signal kills "
                       "all commands and ends at once.",
        .rules = is_simple ? simple_rules : paranoid_rules,
        .log_level = LOG_LEVEL_WARN};
    options_init(&options, argc, argv);
    for (int rule; (rule = options_next(&options)) != OPTIONS_END;)
        set(&options, rule);
    if (options.argument_count > 0)
        options_fail(&options, "'%s' is not wanted; a command stands behind --",
                     options.arguments[0]);
    settings.crew.program = settings.program;
    settings.crew.trade = &trade;
    settings.crew.command = options.rest_count > 0 ? options.rest : NULL;
    settings.crew.output_bytes_max = settings.worker.message_bytes_max - HEAD_BYTES;
    if (settings.queue == NULL)
        settings.queue = strdup("tcp://127.0.0.1:5556");
}

int
pirate_program(const char *program, bool is_simple, int argc, char **argv)
{
    process_init(program);
    settings.program = program;
    settings.worker.simple = is_simple;
    read_options(argc, argv);
    int code = crew_run(&settings.crew);
    free(settings.queue);
    return code;
}
