// titanic.c - durable request/reply as a daemon: options, signals, titanic_run.

#include "endpoints.h"
#include "options.h"
#include "process.h"

#include <galleon/titanic.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BROKER,
    STORE,
    DURABILITY,
    ATTEMPTS,
    RETRY_MIN,
    RETRY_MAX,
    TIMEOUT,
    INFLIGHT,
    RETAIN,
    ANCHOR,
    AUDIT,
    AUDIT_KEY,
    BACKUP_DIR,
    FREE_MIN,
    MAX_MESSAGE,
    STANDBY,
    EXIT_DOUBT = 75, // stop on storage doubt
    MS_MAX = 24 * 3600 * 1000
};

static const struct options_rule rules[] = {
    [BROKER] = {"broker", "EP", "a broker (tcp://127.0.0.1:5555); may be repeated"},
    [STORE] = {"store", "sqlite:PATH", "where requests are kept (sqlite:titanic.db)"},
    [DURABILITY] = {"durability", "full|relaxed",
                    "acknowledge what is on disk (full), or what the system has"},
    [ATTEMPTS] = {"attempts", "N", "how often a request is tried (10)"},
    [RETRY_MIN] = {"retry-min", "MS", "pause after the first failure, then doubled (1000)"},
    [RETRY_MAX] = {"retry-max", "MS", "longest pause (300000)"},
    [TIMEOUT] = {"timeout", "MS", "how long one attempt may take (600000)"},
    [INFLIGHT] = {"inflight", "N", "requests out at the broker at a time (1000)"},
    [RETAIN] = {"retain", "SECONDS", "keep answers that nobody closed, and keys (604800)"},
    [ANCHOR] = {"anchor", "100ms|every-commit", "how often the store's length is noted (100ms)"},
    [AUDIT] = {"audit", "on|off", "keep a chain of what happened (on)"},
    [AUDIT_KEY] = {"audit-key", "FILE", "sign the chain with this key (galleon audit keygen)"},
    [BACKUP_DIR] = {"backup-dir", "DIR",
                    "where galleon store backup has it write copies (nowhere)"},
    [FREE_MIN] = {"free-min", "BYTES",
                  "accept nothing new with less free space (512 MiB, or a tenth if less)"},
    [MAX_MESSAGE] = {"max-message", "BYTES", "largest message, as the brokers' (1048576)"},
    [STANDBY] = {"standby", NULL, "wait while another process has the store"},
    {0}};

struct settings {
    titanic_options_t titanic;
    char *brokers;
    const char *store;
};

static void
set(const struct options *options, int rule, struct settings *settings)
{
    static const char *const durabilities[] = {"full", "relaxed", NULL};
    static const char *const anchors[] = {"100ms", "every-commit", NULL};
    static const char *const switches[] = {"on", "off", NULL};
    titanic_options_t *titanic = &settings->titanic;
    switch (rule) {
    case BROKER:
        options_add_endpoint(options, &settings->brokers);
        break;
    case STORE:
        settings->store = options->value;
        break;
    case DURABILITY:
        titanic->relaxed = options_choice(options, durabilities) == 1;
        break;
    case ATTEMPTS:
        titanic->attempts = (uint32_t)options_number(options, 1, 1000000);
        break;
    case RETRY_MIN:
        titanic->retry_ms_min = (uint32_t)options_number(options, 1, MS_MAX);
        break;
    case RETRY_MAX:
        titanic->retry_ms_max = (uint32_t)options_number(options, 1, MS_MAX);
        break;
    case TIMEOUT:
        titanic->timeout_ms = (uint32_t)options_number(options, 1, MS_MAX);
        break;
    case INFLIGHT:
        titanic->inflight = (uint32_t)options_number(options, 1, 100000);
        break;
    case RETAIN:
        titanic->retain_ms = options_number(options, 1, UINT32_MAX) * 1000;
        break;
    case ANCHOR:
        titanic->anchor_every_commit = options_choice(options, anchors) == 1;
        break;
    case AUDIT:
        titanic->no_audit = options_choice(options, switches) == 1;
        break;
    case AUDIT_KEY:
        titanic->audit_key = options->value;
        break;
    case BACKUP_DIR:
        titanic->backup_dir = options->value;
        break;
    case FREE_MIN:
        titanic->free_bytes_min = options_number(options, 1, (uint64_t)1 << 50);
        break;
    case MAX_MESSAGE:
        titanic->message_bytes_max = options_number(options, 1024, (uint64_t)1 << 40);
        break;
    case STANDBY:
        titanic->standby = true;
        break;
    default:
        break;
    }
}

static struct settings
read_options(int argc, char **argv)
{
    struct settings settings = {.store = "sqlite:titanic.db"};
    struct options options = {
        .program = "titanic",
        .synopsis = "[OPTION]...",
        .about = "Keeps requests on disk, has them done by Majordomo services, and keeps the "
                 "answers\n(9/TSP). 200 is said after the sync. SIGTERM, SIGINT and SIGHUP drain.",
        .rules = rules,
        .log_level = LOG_LEVEL_WARN};
    options_init(&options, argc, argv);
    for (int rule; (rule = options_next(&options)) != OPTIONS_END;)
        set(&options, rule, &settings);
    if (options.argument_count + options.rest_count > 0)
        options_fail(&options, "'%s' is not wanted; a broker is given by --broker",
                     options.argument_count > 0 ? options.arguments[0] : options.rest[0]);
    if (settings.brokers == NULL)
        settings.brokers = strdup("tcp://127.0.0.1:5555");
    return settings;
}

static titanic_t *titanic = NULL;
static volatile sig_atomic_t has_started = false;

// A standby has nothing to finish, and whoever is just opening the store has promised nothing.
static void
drain(void)
{
    if (!has_started)
        _exit(EXIT_DONE);
    titanic_drain(titanic);
}

static void
say_ready(void *brokers)
{
    fprintf(stderr, "titanic: ready on %s\n", (const char *)brokers);
}

// code_of_start is the exit code where there is no titanic; `error` says why.
static int
code_of_start(int error)
{
    if (error == EIO)
        return EXIT_DOUBT;
    return error == EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static int
exit_code(int result)
{
    if (result == GALLEON_STORE)
        return EXIT_DOUBT;
    return result == GALLEON_OK ? EXIT_DONE : EXIT_FAILED;
}

int
main(int argc, char **argv)
{
    process_init("titanic");
    struct settings settings = read_options(argc, argv);
    settings.titanic.on_serving = say_ready;
    settings.titanic.ctx = settings.brokers;
    char *why = NULL;
    process_drain_on_signals(drain);
    titanic = titanic_new(settings.brokers, settings.store, &settings.titanic, &why);
    int code = EXIT_FAILED;
    if (titanic == NULL) {
        code = code_of_start(errno);
        fprintf(stderr, "titanic: %s\n", why == NULL ? "out of memory" : why);
    } else {
        has_started = true;
        code = exit_code(titanic_run(titanic));
    }
    // In doubt nothing more is said to anybody, not even goodbye: the next start finds out.
    if (code == EXIT_DOUBT)
        _exit(code);
    titanic_destroy(&titanic);
    free(why);
    free(settings.brokers);
    return code;
}
