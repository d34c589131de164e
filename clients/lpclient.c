// lpclient.c - ask a server until it replies: a Lazy Pirate client in one page.
//
// It is the example for galleon/lazy_pirate.h too: make a client, call, look at the result,
// print the reply.

#include "body.h"
#include "options.h"

#include <galleon/lazy_pirate.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENDPOINT, TIMEOUT, ATTEMPTS, BACKOFF, DEADLINE, REQUEST_IDS, MS_MAX = 24 * 3600 * 1000 };

static const struct options_rule rules[] = {
    [ENDPOINT] = {"endpoint", "EP", "a server; may be repeated: they are tried in turn"},
    [TIMEOUT] = {"timeout", "MS", "wait this long for a reply to one attempt (2500)"},
    [ATTEMPTS] = {"attempts", "N", "ask so many times (3)"},
    [BACKOFF] = {"backoff", "MS", "once all servers have failed, pause for up to this long (0)"},
    [DEADLINE] = {"deadline", "MS", "end the call after this long, whatever the attempts (none)"},
    [REQUEST_IDS] = {"request-ids", NULL, "for servers that echo the envelope, as a REP does"},
    {0}};

static const char about[] =
    "Sends a request to a server with a REP or a ROUTER socket, or to a queue, and prints each\n"
    "frame of the reply on a line. Without a reply in time it opens a new connection, to the next\n"
    "server, and asks again. Each BODY is a frame of the request; - is one that is read from\n"
    "standard input. Without --endpoint, what stands in front of -- are the servers.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out.";

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "lpclient: %s: %s.\n", what, strerror(errno));
    exit(EXIT_FAILED);
}

static void
print(zmsg_t *reply)
{
    body_print(reply);
    if (fflush(stdout) != 0)
        fail("cannot write to standard output");
}

static void
tell_retry(void *ctx, const char *endpoint, uint32_t attempt)
{
    (void)ctx;
    fprintf(stderr, "lpclient: no reply; attempt %u goes to %s.\n", attempt, endpoint);
}

static void
read_options(struct options *options, lazy_pirate_options_t *chosen, char **servers_p)
{
    for (int rule; (rule = options_next(options)) != OPTIONS_END;) {
        if (rule == ENDPOINT)
            options_add_endpoint(options, servers_p);
        else if (rule == TIMEOUT)
            chosen->timeout_ms = (uint32_t)options_number(options, 1, MS_MAX);
        else if (rule == ATTEMPTS)
            chosen->attempts = (uint32_t)options_number(options, 1, 1000);
        else if (rule == BACKOFF)
            chosen->backoff_ms_max = (uint32_t)options_number(options, 0, MS_MAX);
        else if (rule == DEADLINE)
            chosen->deadline_ms = (uint32_t)options_number(options, 1, MS_MAX);
        else
            chosen->request_ids = true;
    }
}

// explain says why there is no reply, and what to do; returns the exit code.
static int
explain(int result, const char *servers)
{
    if (result != GALLEON_TIMED_OUT) {
        fprintf(stderr, "lpclient: %s.\n", galleon_strerror(result));
        return EXIT_FAILED;
    }
    fprintf(stderr, "lpclient: no reply from %s.\n", servers);
    fprintf(stderr, "Is a server running there, and is --timeout long enough?\n");
    return EXIT_TIMED_OUT;
}

int
main(int argc, char **argv)
{
    struct options options = {.program = "lpclient",
                              .synopsis = "[OPTION]... [ENDPOINT... --] [BODY...]",
                              .about = about,
                              .rules = rules,
                              .log_level = LOG_LEVEL_WARN};
    lazy_pirate_options_t chosen = {.on_retry = tell_retry};
    char *servers = NULL;
    options_init(&options, argc, argv);
    read_options(&options, &chosen, &servers);

    // Those behind -- stand next to the others.
    char **words = options.arguments;
    size_t count = options.argument_count + options.rest_count;
    if (servers == NULL) {
        options.name = rules[ENDPOINT].name;
        for (; words < options.rest; words++, count--) {
            options.value = *words;
            options_add_endpoint(&options, &servers);
        }
    }
    if (servers == NULL)
        options_fail(&options, "a server is missing: --endpoint tcp://127.0.0.1:5555.");
    lazy_pirate_t *client = lazy_pirate_new((const char *const *)&servers, 1, &chosen);
    if (client == NULL)
        options_fail(&options, "'%s' is no list of at most 32 endpoints.", servers);
    zmsg_t *request = body_of_words(words, count);
    if (request == NULL)
        fail("cannot read standard input");
    zmsg_t *reply;
    int result = lazy_pirate_call(client, &request, &reply);
    int code = EXIT_DONE;
    if (result == GALLEON_OK)
        print(reply);
    else
        code = explain(result, servers);
    zmsg_destroy(&reply);
    lazy_pirate_destroy(&client);
    free(servers);
    return code;
}
