// mdbroker.c - the Majordomo broker as a daemon: options, signals, mdp_broker_run.

#include "mdbroker_pair.h"
#include "options.h"
#include "process.h"
#include "service_name.h"
#include "serving.h"

#include <galleon/mdp_broker.h>

#include <errno.h>
#include <stdlib.h>

enum {
    BIND,
    HEARTBEAT,
    LIVENESS,
    ATTEMPTS,
    REQUEST_TTL,
    QUEUE_LIMIT,
    QUEUE_BYTES,
    SERVICE,
    SERVICES_LIMIT,
    MAX_MESSAGE,
    IO_THREADS,
    INSECURE,
    PAIR, // the first of MDBROKER_PAIR_RULES
    REQUEST_TTL_MS = 60000,
    MS_MAX = 24 * 3600 * 1000
};

static const struct options_rule rules[] = {
    [BIND] = {"bind", "EP", "serve on this endpoint (tcp://127.0.0.1:5555); may be repeated"},
    [HEARTBEAT] = {"heartbeat", "MS", "beat to workers this often (2500)"},
    [LIVENESS] = {"liveness", "N", "silent intervals after which an idle worker is lost (3)"},
    [ATTEMPTS] = {"attempts", "N", "how often a request runs whose worker is lost (3)"},
    [REQUEST_TTL] = {"request-ttl", "MS", "how long a request may wait (60000; 0: for ever)"},
    [QUEUE_LIMIT] = {"queue-limit", "N", "requests that may wait, over all services (262144)"},
    [QUEUE_BYTES] = {"queue-bytes", "N", "bytes of open requests (1073741824)"},
    [SERVICE] = {"service", "NAME[,attempts=N|never][,limit=MS][,queue=N][,resume]",
                 "settings of one service; may be repeated"},
    [SERVICES_LIMIT] = {"services-limit", "N", "services at a time (1024)"},
    [MAX_MESSAGE] = {"max-message", "BYTES", "largest message, all frames (1048576)"},
    [IO_THREADS] = {"io-threads", "N", "I/O threads of libzmq (1)"},
    [INSECURE] = {"insecure", NULL, "serve beyond loopback although nothing is encrypted"},
    [PAIR] = MDBROKER_PAIR_RULES,
    {0}};

struct settings {
    mdp_broker_options_t broker;
    mdp_service_options_t *services;
    struct serving_endpoints endpoints;
    struct mdbroker_pair pair;
    size_t io_threads;
    bool is_insecure;
};

static void *
grown(void *array, size_t count, size_t item_bytes)
{
    void *larger = realloc(array, (count + 1) * item_bytes);
    if (larger == NULL) {
        fprintf(stderr, "mdbroker: out of memory\n");
        exit(EXIT_FAILED);
    }
    return larger;
}

// number_after is the number behind `name=`, which has to be there and in bounds.
static uint32_t
number_after(const struct options *options, const char *term, uint64_t min, uint64_t max)
{
    const char *digits = strchr(term, '=') + 1;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0' || errno != 0 || number < min ||
        number > max)
        options_fail(options, "--service: '%s' wants a number from %llu to %llu", term,
                     (unsigned long long)min, (unsigned long long)max);
    return (uint32_t)number;
}

static void
add_service_term(const struct options *options, mdp_service_options_t *service, const char *term)
{
    if (strcmp(term, "attempts=never") == 0)
        service->attempts = 1;
    else if (strncmp(term, "attempts=", 9) == 0)
        service->attempts = number_after(options, term, 1, 1000000);
    else if (strncmp(term, "limit=", 6) == 0)
        service->limit_ms = number_after(options, term, 1, MS_MAX);
    else if (strncmp(term, "queue=", 6) == 0)
        service->requests_max = number_after(options, term, 1, UINT32_MAX / 4);
    else if (strcmp(term, "resume") == 0)
        service->resume = true;
    else
        options_fail(options,
                     "--service: '%s' is no setting; there are attempts=N, attempts=never, "
                     "limit=MS, queue=N and resume",
                     term);
}

// add_service reads NAME[,term]...; the value is cut up in place.
static void
add_service(const struct options *options, struct settings *settings)
{
    char *rest = strdup(options->value);
    char *name = strsep(&rest, ",");
    struct view view = view_of(name, strlen(name));
    if (!service_name_is_valid(view) || service_name_is_reserved(view))
        options_fail(options, "--service: '%s' can be no service's name", name);
    for (size_t i = 0; i < settings->broker.service_count; i++)
        if (strcmp(settings->services[i].name, name) == 0)
            options_fail(options, "--service: '%s' is given twice; put its settings together",
                         name);
    settings->services =
        grown(settings->services, settings->broker.service_count, sizeof *settings->services);
    mdp_service_options_t *service = &settings->services[settings->broker.service_count++];
    *service = (mdp_service_options_t){.name = name};
    while (rest != NULL)
        add_service_term(options, service, strsep(&rest, ","));
    settings->broker.services = settings->services;
}

static void
set(const struct options *options, int rule, struct settings *settings)
{
    mdp_broker_options_t *broker = &settings->broker;
    switch (rule) {
    case BIND:
        serving_add(options, &settings->endpoints, options->value);
        break;
    case HEARTBEAT:
        broker->heartbeat_ms = (uint32_t)options_number(options, 10, 60000);
        break;
    case LIVENESS:
        broker->liveness = (uint32_t)options_number(options, 1, 1000);
        break;
    case ATTEMPTS:
        broker->attempts = (uint32_t)options_number(options, 1, 1000000);
        break;
    case REQUEST_TTL:
        broker->request_ttl_ms = (uint32_t)options_number(options, 0, MS_MAX);
        break;
    case QUEUE_LIMIT:
        broker->requests_max = (uint32_t)options_number(options, 1, 16 * 1024 * 1024);
        break;
    case QUEUE_BYTES:
        broker->request_bytes_max = options_number(options, 1, (uint64_t)1 << 50);
        break;
    case SERVICE:
        add_service(options, settings);
        break;
    case SERVICES_LIMIT:
        broker->services_max = (uint32_t)options_number(options, 1, 16 * 1024 * 1024);
        break;
    case MAX_MESSAGE:
        broker->message_bytes_max = options_number(options, 1024, (uint64_t)1 << 40);
        break;
    case IO_THREADS:
        settings->io_threads = (size_t)options_number(options, 1, 64);
        break;
    case INSECURE:
        settings->is_insecure = true;
        break;
    default:
        mdbroker_pair_set(&settings->pair, options, rule - PAIR);
        break;
    }
}

static struct settings
read_options(int argc, char **argv)
{
    struct settings settings = {.broker.request_ttl_ms = REQUEST_TTL_MS, .io_threads = 1};
    struct options options = {
        .program = "mdbroker",
        .synopsis = "[OPTION]...",
        .about = "Serves Majordomo clients and workers (MDP/0.1, MDP/0.2, MDP/G1, MMI) on one "
                 "socket.\nWith --pair it is one of two, of which one serves.\n"
                 "SIGTERM, SIGINT and SIGHUP drain: what is out is finished, workers are told.",
        .rules = rules,
        .log_level = LOG_LEVEL_WARN};
    options_init(&options, argc, argv);
    for (int rule; (rule = options_next(&options)) != OPTIONS_END;)
        set(&options, rule, &settings);
    if (options.argument_count + options.rest_count > 0)
        options_fail(&options, "'%s' is not wanted; endpoints are given by --bind",
                     options.arguments[0]);
    if (settings.endpoints.count == 0)
        serving_add(&options, &settings.endpoints, "tcp://127.0.0.1:5555");
    serving_check(&options, &settings.endpoints, "bind", settings.is_insecure);
    mdbroker_pair_check(&settings.pair, &options, &settings.endpoints, settings.is_insecure);
    if (settings.is_insecure)
        log_warn("MDP-INSECURE", "what=\"anybody who can connect may call, serve and listen\"");
    return settings;
}

static void
release(struct settings *settings)
{
    serving_release(&settings->endpoints);
    for (size_t i = 0; i < settings->broker.service_count; i++)
        free((char *)(uintptr_t)settings->services[i].name);
    free(settings->services);
}

static mdp_broker_t *broker = NULL;
static bstar_t *half = NULL; // of a pair

static void
drain(void)
{
    mdp_broker_drain(broker);
}

// bind_one says why where it cannot.
static bool
bind_one(const char *endpoint)
{
    if (mdp_broker_bind(broker, endpoint) == GALLEON_OK)
        return true;
    serving_say_cannot_bind("mdbroker", endpoint, errno);
    return false;
}

// serve binds and runs; returns the exit code.
static int
serve(const struct settings *settings)
{
    for (size_t i = 0; i < settings->endpoints.count; i++) {
        if (!bind_one(settings->endpoints.list[i]))
            return EXIT_FAILED;
        fprintf(stderr, "mdbroker: ready on %s\n", mdp_broker_endpoint(broker));
    }
    return mdp_broker_run(broker) == GALLEON_OK ? EXIT_DONE : EXIT_FAILED;
}

static int
run(struct settings *settings)
{
    if (settings->pair.is_wanted) {
        int code = mdbroker_pair_open(&settings->pair, &half);
        if (code != EXIT_DONE)
            return code;
        settings->broker.bstar = half;
        settings->broker.pair_redirect = settings->pair.redirect;
    }
    broker = mdp_broker_new(&settings->broker);
    if (broker == NULL) {
        fprintf(stderr, "mdbroker: out of memory or descriptors\n");
        return EXIT_FAILED;
    }
    process_drain_on_signals(drain);
    return serve(settings);
}

int
main(int argc, char **argv)
{
    process_init("mdbroker");
    struct settings settings = read_options(argc, argv);
    zsys_set_io_threads(settings.io_threads);
    int code = run(&settings);
    mdp_broker_destroy(&broker);
    bstar_destroy(&half);
    release(&settings);
    return code;
}
