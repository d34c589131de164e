// starwitness.c - the third vote of a guarded pair, as a daemon: options, signals, one call.

#include "bstar_lease.h"
#include "bstar_witness.h"
#include "endpoints.h"
#include "options.h"
#include "process.h"
#include "serving.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BIND,
    STATE,
    PAIR_NAME,
    PAIR_INIT,
    PAIR_LEASE,
    EXIT_DOUBT = 75, // stop on storage doubt
    NAME_BYTES_MAX = 64,
    LEASE_MS_MAX = 600000
};

static const struct options_rule rules[] = {
    [BIND] = {"bind", "EP", "vote on this endpoint, of loopback or ipc"},
    [STATE] = {"state", "FILE", "the voter's record"},
    [PAIR_NAME] = {"pair-name", "NAME", "the pair's name, the same in all members (galleon)"},
    [PAIR_INIT] = {"pair-init", NULL, "make the record: the first start only"},
    [PAIR_LEASE] = {"pair-lease", "MS", "the pair's lease, the same in all members (1000)"},
    {0}};

struct settings {
    struct bstar_witness_options witness;
    struct serving_endpoints endpoints;
};

static void
set(const struct options *options, int rule, struct settings *settings)
{
    switch (rule) {
    case BIND:
        serving_add(options, &settings->endpoints, options->value);
        break;
    case STATE:
        settings->witness.state_file = options->value;
        break;
    case PAIR_NAME:
        if (options->value[0] == '\0' || strlen(options->value) > NAME_BYTES_MAX)
            options_fail(options, "--pair-name: a name has 1 to %d bytes", NAME_BYTES_MAX);
        settings->witness.pair = options->value;
        break;
    case PAIR_INIT:
        settings->witness.init = true;
        break;
    case PAIR_LEASE:
        settings->witness.lease_ms =
            (uint32_t)options_number(options, bstar_lease_ms_min(), LEASE_MS_MAX);
        break;
    default:
        break;
    }
}

static struct settings
read_options(int argc, char **argv)
{
    struct settings settings = {.witness.pair = "galleon"};
    struct options options = {
        .program = "starwitness",
        .synopsis = "--bind EP --state FILE [OPTION]...",
        .about = "The third vote of a guarded Binary Star pair: it takes no clients and keeps one\n"
                 "small record. Run it where neither half runs. SIGTERM, SIGINT and SIGHUP end it.",
        .rules = rules,
        .log_level = LOG_LEVEL_WARN};
    options_init(&options, argc, argv);
    for (int rule; (rule = options_next(&options)) != OPTIONS_END;)
        set(&options, rule, &settings);
    if (options.argument_count + options.rest_count > 0)
        options_fail(&options, "'%s' is not wanted; the endpoint is given by --bind",
                     options.argument_count > 0 ? options.arguments[0] : options.rest[0]);
    if (settings.endpoints.count != 1)
        options_fail(&options, "one --bind is wanted, such as --bind tcp://127.0.0.1:5006");
    if (settings.witness.state_file == NULL || settings.witness.state_file[0] == '\0')
        options_fail(&options, "--state is wanted: the file of the voter's record");
    serving_check(&options, &settings.endpoints, "bind", true);
    settings.witness.bind = settings.endpoints.list[0];
    if (!endpoints_is_local(settings.witness.bind))
        options_fail(&options,
                     "'%s' can be reached from other machines, and members of a pair speak plain; "
                     "bind to 127.0.0.1, [::1] or ipc",
                     settings.witness.bind);
    return settings;
}

static struct bstar_witness *witness = NULL;

static void
stop(void)
{
    bstar_witness_stop(witness);
}

// say_why says why there is no witness; returns the exit code.
static int
say_why(const struct bstar_witness_options *options, enum bstar_trouble trouble, int error)
{
    if (trouble != BSTAR_RECORD_GOOD) {
        bool has_reason = trouble == BSTAR_RECORD_FAILED;
        fprintf(stderr, "starwitness: %s: %s%s%s\n", options->state_file,
                bstar_trouble_text(trouble), has_reason ? ": " : "",
                has_reason ? strerror(error) : "");
        bool is_doubt = trouble == BSTAR_RECORD_BAD || trouble == BSTAR_RECORD_FOREIGN ||
                        trouble == BSTAR_RECORD_FAILED;
        return is_doubt ? EXIT_DOUBT : EXIT_FAILED;
    }
    if (error == EEXIST) {
        fprintf(stderr,
                "starwitness: %s is there already, and stays as it is; start without --pair-init\n",
                options->state_file);
        return EXIT_FAILED;
    }
    if (options->init && access(options->state_file, F_OK) != 0)
        fprintf(stderr, "starwitness: cannot make %s: %s\n", options->state_file, strerror(error));
    else
        serving_say_cannot_bind("starwitness", options->bind, error);
    return EXIT_FAILED;
}

int
main(int argc, char **argv)
{
    process_init("starwitness");
    struct settings settings = read_options(argc, argv);
    enum bstar_trouble trouble;
    witness = bstar_witness_new(&settings.witness, &trouble);
    int code = EXIT_DONE;
    if (witness == NULL) {
        code = say_why(&settings.witness, trouble, errno);
    } else {
        process_drain_on_signals(stop);
        fprintf(stderr, "starwitness: ready on %s\n", bstar_witness_endpoint(witness));
        static const int codes[] = {[BSTAR_WITNESS_STOPPED] = EXIT_DONE,
                                    [BSTAR_WITNESS_STUCK] = EXIT_FAILED,
                                    [BSTAR_WITNESS_DOUBTS] = EXIT_DOUBT};
        code = codes[bstar_witness_run(witness)];
    }
    bstar_witness_destroy(&witness);
    serving_release(&settings.endpoints);
    return code;
}
