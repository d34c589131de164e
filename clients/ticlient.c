// ticlient.c - durable requests from the command line: the example for galleon/titanic_client.h.
//
// submit gives an id, fetch gives the answer under it, close forgets both; call is all three.

#include "body.h"
#include "options.h"
#include "service_name.h"

#include <galleon/titanic_client.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BROKER, TIMEOUT, KEY, WAIT, MS_MAX = 24 * 3600 * 1000, CALL_MS = 60000 };
enum { SUBMIT, CALL, FETCH, CLOSE };
static const struct options_rule rules[] = {
    [BROKER] = {"broker", "EP", "a broker (tcp://127.0.0.1:5555); may be repeated"},
    [TIMEOUT] = {"timeout", "MS", "ask titanic three times for this long (2500)"},
    [KEY] = {"key", "KEY", "submit, call: the same key again is the same request"},
    [WAIT] = {"wait", "MS", "fetch, call: wait this long for the answer (fetch 0, call 60000)"},
    {0}};
static const char *const commands[] = {"submit", "call", "fetch", "close", NULL};

static const char about[] =
    "Gives a request to titanic, which keeps it until it is done, whoever crashes meanwhile.\n"
    "\n"
    "  submit SERVICE [BODY...]  store a request, print its id\n"
    "  fetch ID                  print the answer\n"
    "  close ID                  forget the request and its answer\n"
    "  call SERVICE [BODY...]    submit, wait, close\n"
    "\n"
    "Each BODY is a frame; - is one that is read from standard input.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out or not finished, 4 no titanic.";

// command_of checks the words, of which the first is the command.
static size_t
command_of(struct options *options, size_t word_count)
{
    size_t command = 0;
    const char *name = word_count == 0 ? "" : options->arguments[0];
    const char *word = word_count < 2 ? "" : options->arguments[1];
    while (commands[command] != NULL && strcmp(commands[command], name) != 0)
        command++;
    if (commands[command] == NULL)
        options_fail(options, "'%s' is no COMMAND: submit, fetch, close or call.", name);
    bool is_id = command == FETCH || command == CLOSE;
    if (is_id && (word_count != 2 || strlen(word) >= sizeof(titanic_id_t)))
        options_fail(options, "'%s' needs one ID, as submit has printed it.", name);
    if (!is_id && !service_name_is_valid(view_of(word, strlen(word))))
        options_fail(options, "'%s' needs the name of a service.", name);
    return command;
}

static zmsg_t *
read_body(char **words, size_t count)
{
    zmsg_t *body = body_of_words(words, count);
    if (body != NULL)
        return body;
    fprintf(stderr, "ticlient: cannot read standard input: %s.\n", strerror(errno));
    exit(EXIT_FAILED);
}

// explain says what is wrong and what to do; returns the exit code.
static int
explain(const titanic_client_t *client, int result, const titanic_id_t *id, const char *brokers)
{
    if (result == GALLEON_NO_SERVICE) {
        fprintf(stderr, "ticlient: no titanic is at %s. Start one: titanic --broker %s\n", brokers,
                brokers);
        return EXIT_NO_SERVICE;
    }
    if (result != GALLEON_PENDING && result != GALLEON_TIMED_OUT) {
        fprintf(stderr, "ticlient: %s: %d %s\n", galleon_strerror(result),
                titanic_client_status(client), titanic_client_status_text(client));
        return EXIT_FAILED;
    }
    if (id->text[0] != '\0')
        fprintf(stderr, "ticlient: no answer yet. Later: ticlient --wait 60000 fetch %s\n",
                id->text);
    else
        fprintf(stderr,
                "ticlient: no answer from titanic at %s: it may have stored the request. "
                "With a --key it is safe to submit it again.\n",
                brokers);
    return EXIT_TIMED_OUT;
}

int
main(int argc, char **argv)
{
    struct options options = {.program = "ticlient",
                              .synopsis = "[OPTION]... COMMAND [ARGUMENT]...",
                              .about = about,
                              .rules = rules,
                              .log_level = LOG_LEVEL_WARN};
    mdp_client_options_t client_options = {0};
    titanic_submit_options_t submit_options = {0};
    char *list = NULL;
    uint32_t wait_ms = 0;
    options_init(&options, argc, argv);
    for (int rule; (rule = options_next(&options)) != OPTIONS_END;) {
        if (rule == BROKER)
            options_add_endpoint(&options, &list);
        else if (rule == TIMEOUT)
            client_options.timeout_ms = (uint32_t)options_number(&options, 1, MS_MAX);
        else if (rule == KEY)
            submit_options.idempotency_key = options.value;
        else
            wait_ms = (uint32_t)options_number(&options, 1, MS_MAX);
    }
    char **words = options.arguments; // those behind -- stand next to them
    size_t count = options.argument_count + options.rest_count;
    size_t command = command_of(&options, count);
    const char *brokers = list != NULL ? list : "tcp://127.0.0.1:5555";
    titanic_client_t *client = titanic_client_new(brokers, &client_options);
    if (client == NULL)
        options_fail(&options, "--broker: '%s' is no list of endpoints.", brokers);

    titanic_id_t id = {{0}};
    zmsg_t *body = command == SUBMIT || command == CALL ? read_body(words + 2, count - 2) : NULL;
    zmsg_t *reply = NULL;
    int result;
    if (body == NULL)
        snprintf(id.text, sizeof id.text, "%s", words[1]);
    if (command == SUBMIT)
        result = titanic_client_submit(client, words[1], &body, &submit_options, &id);
    else if (command == CALL)
        result = titanic_client_call(client, words[1], &body, &submit_options,
                                     wait_ms > 0 ? wait_ms : CALL_MS, &id, &reply);
    else if (command == CLOSE)
        result = titanic_client_close(client, &id);
    else if (wait_ms > 0)
        result = titanic_client_wait(client, &id, wait_ms, &reply);
    else
        result = titanic_client_fetch(client, &id, &reply);

    int code = result == GALLEON_OK ? EXIT_DONE : explain(client, result, &id, brokers);
    if (command == SUBMIT && code == EXIT_DONE)
        printf("%s\n", id.text);
    if (reply != NULL)
        body_print(reply);
    zmsg_destroy(&reply);
    titanic_client_destroy(&client);
    free(list);
    return fflush(stdout) == 0 ? code : EXIT_FAILED;
}
