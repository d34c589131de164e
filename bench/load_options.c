// load_options.c - the load's command line: one table, one loop.

#include "load_options.h"

#include <getopt.h>
#include <stdio.h>

enum {
    OWN_THREADS = 4, // where not given: so many clients or workers have one each
    HUNDRED_BYTES = 100
};

enum option_key {
    KEY_TO = 256,
    KEY_WORKERS_TO,
    KEY_ALSO_TO,
    KEY_CLIENTS,
    KEY_CLIENT_THREADS,
    KEY_WORKERS,
    KEY_WORKER_THREADS,
    KEY_WINDOW,
    KEY_CREDIT,
    KEY_BODY,
    KEY_WAITING_SERVICES,
    KEY_IDLE_WORKERS,
    KEY_WARMUP,
    KEY_MEASURE,
    KEY_REQUESTS,
    KEY_SERVER_PID,
    KEY_HELP,
    KEY_VERSION
};

static const struct option long_options[] = {
    {"to", required_argument, NULL, KEY_TO},
    {"workers-to", required_argument, NULL, KEY_WORKERS_TO},
    {"also-to", required_argument, NULL, KEY_ALSO_TO},
    {"clients", required_argument, NULL, KEY_CLIENTS},
    {"client-threads", required_argument, NULL, KEY_CLIENT_THREADS},
    {"workers", required_argument, NULL, KEY_WORKERS},
    {"worker-threads", required_argument, NULL, KEY_WORKER_THREADS},
    {"window", required_argument, NULL, KEY_WINDOW},
    {"credit", required_argument, NULL, KEY_CREDIT},
    {"body", required_argument, NULL, KEY_BODY},
    {"waiting-services", required_argument, NULL, KEY_WAITING_SERVICES},
    {"idle-workers", required_argument, NULL, KEY_IDLE_WORKERS},
    {"warmup", required_argument, NULL, KEY_WARMUP},
    {"measure", required_argument, NULL, KEY_MEASURE},
    {"requests", required_argument, NULL, KEY_REQUESTS},
    {"server-pid", required_argument, NULL, KEY_SERVER_PID},
    {"help", no_argument, NULL, KEY_HELP},
    {"version", no_argument, NULL, KEY_VERSION},
    {NULL, 0, NULL, 0},
};

static const char usage_text[] =
    "usage: load relay|g1|0.1|0.2|api|ppp|sp --to ENDPOINT [OPTION]...\n"
    "\n"
    "  --to ENDPOINT           the broker, or a relay's or queue's side of the clients\n"
    "  --workers-to ENDPOINT   a relay's or queue's side of the workers\n"
    "  --also-to ENDPOINT      of G1: workers have a session with this broker, too\n"
    "  --clients N             1\n"
    "  --workers N             1\n"
    "  --client-threads N, --worker-threads N   one for each of up to 4; more share one\n"
    "  --window N              requests in flight for each client, 1\n"
    "  --credit N              of each worker, 1 (g1, api)\n"
    "  --body BYTES            12 or more, 100\n"
    "  --waiting-services N    further services with a request waiting in each, 0\n"
    "  --idle-workers N        further workers without requests, 0\n"
    "  --warmup MS             300\n"
    "  --measure MS            1000\n"
    "  --requests N            measure until so many are answered, not by time\n"
    "  --server-pid PID        say how busy that process was\n";

static uint32_t
number(const char *name, const char *text, uint32_t min, uint32_t max)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "load: --%s %s: wants a number from %u to %u\n", name, text, min, max);
        exit(2);
    }
    return (uint32_t)value;
}

static void
set_dialect(struct load_options *self, const char *name)
{
    static const struct load_dialect *const dialects[] = {
        &load_relay, &load_g1, &load_01, &load_02, &load_api, &load_paranoid, &load_simple};
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (strcmp(dialects[i]->name, name) == 0)
            self->dialect = dialects[i];
    if (self->dialect == NULL) {
        fprintf(stderr, "load: no dialect is called %s\n%s", name, usage_text);
        exit(2);
    }
}

// number_of is where the number of an option goes, with its bounds; NULL where it
// has none.
static uint32_t *
number_of(struct load_options *self, int key, uint32_t *min_out, uint32_t *max_out)
{
    *min_out = 1;
    *max_out = 100000;
    switch (key) {
    case KEY_CLIENTS:
        return &self->clients;
    case KEY_CLIENT_THREADS:
        return &self->client_threads;
    case KEY_WORKERS:
        return &self->workers;
    case KEY_WORKER_THREADS:
        return &self->worker_threads;
    case KEY_WINDOW:
        return &self->window;
    case KEY_CREDIT:
        return &self->credit;
    case KEY_BODY:
        *min_out = LOAD_STAMP_BYTES;
        *max_out = LOAD_BODY_BYTES_MAX;
        return &self->body_bytes;
    case KEY_WAITING_SERVICES:
        return &self->waiting_services;
    case KEY_IDLE_WORKERS:
        return &self->idle_workers;
    case KEY_WARMUP:
        return &self->warmup_ms;
    case KEY_MEASURE:
        return &self->measure_ms;
    case KEY_REQUESTS:
        *max_out = UINT32_MAX;
        return &self->requests;
    case KEY_SERVER_PID:
        *max_out = INT32_MAX;
        return &self->server_pid;
    default:
        return NULL;
    }
}

static void
set_option(struct load_options *self, const struct option *option, int key)
{
    uint32_t min, max;
    int major, minor, patch;
    uint32_t *to = number_of(self, key, &min, &max);
    if (to != NULL) {
        *to = number(option->name, optarg, min, max);
        return;
    }
    switch (key) {
    case KEY_TO:
        self->clients_to = optarg;
        return;
    case KEY_WORKERS_TO:
        self->workers_to = optarg;
        break;
    case KEY_ALSO_TO:
        self->also_to = optarg;
        return;
    case KEY_HELP:
        fputs(usage_text, stdout);
        exit(0);
    case KEY_VERSION:
        zmq_version(&major, &minor, &patch);
        printf("load, libzmq %d.%d.%d\n", major, minor, patch);
        exit(0);
    default:
        fputs(usage_text, stderr);
        exit(2);
    }
}

// fill_gaps sets what was not given from what was.
static void
fill_gaps(struct load_options *self)
{
    if (self->workers_to == NULL)
        self->workers_to = self->clients_to;
    // More than that share one: a switch of threads costs more than what is done in between.
    if (self->client_threads == 0)
        self->client_threads = self->clients > OWN_THREADS ? 1 : self->clients;
    if (self->worker_threads == 0)
        self->worker_threads = self->workers > OWN_THREADS ? 1 : self->workers;
    if (self->client_threads > self->clients || self->dialect->is_one_thread)
        self->client_threads = self->clients;
    if (self->worker_threads > self->workers || self->dialect->is_one_thread)
        self->worker_threads = self->workers;
}

void
load_options_parse(struct load_options *self, int argc, char **argv)
{
    int key, at = 0;
    *self = (struct load_options){.service = "echo",
                                  .clients = 1,
                                  .workers = 1,
                                  .window = 1,
                                  .credit = 1,
                                  .body_bytes = HUNDRED_BYTES,
                                  .warmup_ms = 300,
                                  .measure_ms = 1000};
    while ((key = getopt_long(argc, argv, "", long_options, &at)) != -1)
        set_option(self, &long_options[at], key);
    if (optind + 1 != argc || self->clients_to == NULL) {
        fputs(usage_text, stderr);
        exit(2);
    }
    set_dialect(self, argv[optind]);
    bool has_bystanders = self->waiting_services > 0 || self->idle_workers > 0;
    if (!self->dialect->has_broker && (self->workers_to == NULL || has_bystanders)) {
        fprintf(stderr, "load: a relay or a queue wants --workers-to, and has no services\n");
        exit(2);
    }
    if (self->also_to != NULL && strcmp(self->dialect->name, "g1") != 0) {
        fprintf(stderr, "load: --also-to is for g1\n");
        exit(2);
    }
    fill_gaps(self);
}
