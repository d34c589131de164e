// mdclient.c - call a Majordomo service from the command line: a client in one page.
//
// It is the example for galleon/mdp_client.h too: make a client, call, look at the
// result, print the reply.

#include "body.h"
#include "options.h"
#include "service_name.h"

#include <galleon/mdp_client.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BROKER, TIMEOUT, ATTEMPTS, DIALECT, MAX_MESSAGE, PRINTABLE_ID, MS_MAX = 24 * 3600 * 1000 };

static const struct options_rule rules[] = {
    [BROKER] = {"broker", "EP", "a broker (tcp://127.0.0.1:5555); may be repeated"},
    [TIMEOUT] = {"timeout", "MS", "wait this long for an answer to one attempt (2500)"},
    [ATTEMPTS] = {"attempts", "N", "ask so many times (3)"},
    [DIALECT] = {"dialect", "NAME", "auto, g1, 0.2 or 0.1 (auto)"},
    [MAX_MESSAGE] = {"max-message", "BYTES",
                     "the brokers' --max-message (1048576), with 512 and 4 a frame for heads"},
    [PRINTABLE_ID] = {"printable-id", NULL, "call ourselves by letters (the Guide's C++ broker)"},
    {0}};

static const char default_broker[] = "tcp://127.0.0.1:5555";

static const char about[] =
    "Sends a request to a service and prints each frame of the reply on a line. Each BODY is\n"
    "a frame of the request; - is one that is read from standard input.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out, 4 no such service.";

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "mdclient: %s: %s.\n", what, strerror(errno));
    exit(EXIT_FAILED);
}

static void
print(zmsg_t *reply)
{
    body_print(reply);
    if (fflush(stdout) != 0)
        fail("cannot write to standard output");
}

// explain says why there is no reply, and what to do; returns the exit code.
static int
explain(const mdp_client_t *client, int result, const char *service, const char *brokers)
{
    int status = mdp_client_status(client);
    if (result == GALLEON_NO_SERVICE) {
        const char *option = strcmp(brokers, default_broker) == 0 ? "" : " --broker ";
        const char *where = *option == '\0' ? "" : brokers;
        fprintf(stderr, "mdclient: nobody serves '%s' at %s.\n", service, brokers);
        if (service_name_is_for_workers(view_of(service, strlen(service))))
            fprintf(stderr, "Start a worker: mdworker%s%s %s. ", option, where, service);
        fprintf(stderr, "What is served: galleon%s%s service ls.\n", option, where);
        return EXIT_NO_SERVICE;
    }
    if (status != 0) {
        fprintf(stderr, "mdclient: '%s' answered %d %s.\n", service, status,
                mdp_client_status_text(client));
    } else if (result == GALLEON_TIMED_OUT) {
        fprintf(stderr, "mdclient: no answer from '%s' at %s.\n", service, brokers);
        fprintf(stderr, "Is there a broker: galleon ping. Is it served: galleon service ls.\n");
    } else {
        fprintf(stderr, "mdclient: %s.\n", galleon_strerror(result));
    }
    return result == GALLEON_TIMED_OUT ? EXIT_TIMED_OUT : EXIT_FAILED;
}

int
main(int argc, char **argv)
{
    struct options options = {.program = "mdclient",
                              .synopsis = "[OPTION]... SERVICE [BODY...]",
                              .about = about,
                              .rules = rules,
                              .log_level = LOG_LEVEL_WARN};
    mdp_client_options_t client_options = {0};
    char *brokers = NULL;
    options_init(&options, argc, argv);
    for (int rule; (rule = options_next(&options)) != OPTIONS_END;) {
        if (rule == BROKER)
            options_add_endpoint(&options, &brokers);
        else if (rule == TIMEOUT)
            client_options.timeout_ms = (uint32_t)options_number(&options, 1, MS_MAX);
        else if (rule == ATTEMPTS)
            client_options.attempts = (uint32_t)options_number(&options, 1, 1000);
        else if (rule == DIALECT)
            client_options.dialect = options_dialect(&options);
        else if (rule == MAX_MESSAGE)
            client_options.message_bytes_max = options_number(&options, 1024, (uint64_t)1 << 40);
        else
            client_options.printable_id = true;
    }
    char **words = options.arguments; // those behind -- stand next to them
    size_t count = options.argument_count + options.rest_count;
    if (count == 0)
        options_fail(&options, "a SERVICE is missing.");
    if (!service_name_is_valid(view_of(words[0], strlen(words[0]))))
        options_fail(&options, "'%s' can be no service's name: 1 to 255 bytes of printable UTF-8.",
                     words[0]);

    const char *endpoints = brokers != NULL ? brokers : default_broker;
    mdp_client_t *client = mdp_client_new(endpoints, &client_options);
    if (client == NULL)
        options_fail(&options, "--broker: '%s' is no list of endpoints.", endpoints);
    zmsg_t *request = body_of_words(words + 1, count - 1);
    if (request == NULL)
        fail("cannot read standard input");
    zmsg_t *reply;
    int result = mdp_client_call(client, words[0], &request, &reply);
    int code = EXIT_DONE;
    if (result == GALLEON_OK)
        print(reply);
    else
        code = explain(client, result, words[0], endpoints);
    zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    free(brokers);
    return code;
}
