// pirate_main.c - options, signals, pirate_queue_run.

#include "pirate_main.h"

#include "process.h"
#include "serving.h"

#include <errno.h>
#include <stdlib.h>

enum { REQUEST_TTL_MS = 60000, MS_MAX = 24 * 3600 * 1000, COUNT_MAX = 16 * 1024 * 1024 };

struct settings {
    pirate_queue_options_t queue;
    struct serving_endpoints frontend;
    struct serving_endpoints backend;
    size_t io_threads;
    bool is_insecure;
};

static void
set(const struct options *options, int rule, struct settings *settings)
{
    pirate_queue_options_t *queue = &settings->queue;
    switch ((enum pirate_rule)rule) {
    case PIRATE_RULE_FRONTEND:
        serving_add(options, &settings->frontend, options->value);
        break;
    case PIRATE_RULE_BACKEND:
        serving_add(options, &settings->backend, options->value);
        break;
    case PIRATE_RULE_ATTEMPTS:
        queue->attempts = (uint32_t)options_number(options, 1, 1000000);
        break;
    case PIRATE_RULE_LIMIT:
        queue->limit_ms = (uint32_t)options_number(options, 0, MS_MAX);
        break;
    case PIRATE_RULE_REQUEST_TTL:
        queue->request_ttl_ms = (uint32_t)options_number(options, 0, MS_MAX);
        break;
    case PIRATE_RULE_QUEUE_LIMIT:
        queue->requests_max = (uint32_t)options_number(options, 1, COUNT_MAX);
        break;
    case PIRATE_RULE_CLIENT_LIMIT:
        queue->client_requests_max = (uint32_t)options_number(options, 1, COUNT_MAX);
        break;
    case PIRATE_RULE_QUEUE_BYTES:
        queue->request_bytes_max = options_number(options, 1, (uint64_t)1 << 50);
        break;
    case PIRATE_RULE_WORKERS_LIMIT:
        queue->workers_max = (uint32_t)options_number(options, 1, COUNT_MAX);
        break;
    case PIRATE_RULE_MAX_MESSAGE:
        queue->message_bytes_max = options_number(options, 1024, (uint64_t)1 << 40);
        break;
    case PIRATE_RULE_IO_THREADS:
        settings->io_threads = (size_t)options_number(options, 1, 64);
        break;
    case PIRATE_RULE_INSECURE:
        settings->is_insecure = true;
        break;
    case PIRATE_RULE_HEARTBEAT:
        queue->heartbeat_ms = (uint32_t)options_number(options, 10, 60000);
        break;
    case PIRATE_RULE_LIVENESS:
        queue->liveness = (uint32_t)options_number(options, 1, 1000);
        break;
    }
}

static void
read_options(struct options *options, struct settings *settings, int argc, char **argv)
{
    options_init(options, argc, argv);
    for (int rule; (rule = options_next(options)) != OPTIONS_END;)
        set(options, rule, settings);
    if (options->argument_count + options->rest_count > 0)
        options_fail(options, "'%s' is not wanted; endpoints are given by --frontend and --backend",
                     options->arguments[0]);
    if (settings->frontend.count == 0)
        serving_add(options, &settings->frontend, "tcp://127.0.0.1:5555");
    if (settings->backend.count == 0)
        serving_add(options, &settings->backend, "tcp://127.0.0.1:5556");
    serving_check(options, &settings->frontend, "frontend", settings->is_insecure);
    serving_check(options, &settings->backend, "backend", settings->is_insecure);
    if (settings->is_insecure)
        log_warn("PIRATE-INSECURE", "what=\"anybody who can connect may call, serve and listen\"");
}

static pirate_queue_t *queue = NULL;

static void
drain(void)
{
    pirate_queue_drain(queue);
}

// bind_all binds a socket's endpoints, and tells each with its real port to `ready_out`, which
// says it when both sockets serve.
static bool
bind_all(const char *program, const struct serving_endpoints *endpoints,
         int (*bind)(pirate_queue_t *, const char *), const char *(*bound)(const pirate_queue_t *),
         const char *whom, FILE *ready_out)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        if (bind(queue, endpoints->list[i]) != GALLEON_OK) {
            serving_say_cannot_bind(program, endpoints->list[i], errno);
            return false;
        }
        fprintf(ready_out, "%s: ready on %s for %s\n", program, bound(queue), whom);
    }
    return true;
}

// serve binds and runs; returns the exit code.
static int
serve(const char *program, const struct settings *settings)
{
    char *lines = NULL;
    size_t size = 0;
    FILE *ready = open_memstream(&lines, &size);
    bool is_bound = ready != NULL &&
                    bind_all(program, &settings->frontend, pirate_queue_bind_frontend,
                             pirate_queue_frontend, "clients", ready) &&
                    bind_all(program, &settings->backend, pirate_queue_bind_backend,
                             pirate_queue_backend, "workers", ready);
    if (ready != NULL)
        fclose(ready);
    if (is_bound)
        fputs(lines, stderr);
    free(lines);
    return is_bound && pirate_queue_run(queue) == GALLEON_OK ? EXIT_DONE : EXIT_FAILED;
}

int
pirate_main(struct options options, pirate_queue_options_t queue_options, int argc, char **argv)
{
    struct settings settings = {.queue = queue_options, .io_threads = 1};
    settings.queue.request_ttl_ms = REQUEST_TTL_MS;
    process_init(options.program);
    read_options(&options, &settings, argc, argv);
    zsys_set_io_threads(settings.io_threads);
    queue = pirate_queue_new(&settings.queue);
    int code = EXIT_FAILED;
    if (queue == NULL) {
        fprintf(stderr, "%s: out of memory or descriptors\n", options.program);
    } else {
        process_drain_on_signals(drain);
        code = serve(options.program, &settings);
    }
    pirate_queue_destroy(&queue);
    serving_release(&settings.frontend);
    serving_release(&settings.backend);
    return code;
}
