// galleon_call.c - galleon call, galleon ping: ask once, and say what came of it.

#include "body.h"
#include "galleon_json.h"
#include "galleon_table.h"
#include "galleon_tool.h"
#include "service_name.h"
#include "tsp.h"

#include <errno.h>
#include <stdlib.h>

enum { QUICK_MS = 1000, PASSIVE = 503 };

// ---- why there is no answer -----------------------------------------------------------

// nearest_service is the service that somebody may have meant who wrote `name`, on the
// heap; NULL where none is near or the broker does not say.
static char *
nearest_service(mdp_client_t *client, const char *name)
{
    struct table table;
    char code[8];
    char *nearest = NULL;
    if (table_ask(&table, client, "mmi.services", NULL, code) == GALLEON_OK) {
        char **names = tool_grown(NULL, (table.row_count + 1) * sizeof *names);
        size_t count = 0;
        for (size_t row = 0; row < table.row_count; row++) {
            struct view cell = table_cell(&table, row, 0);
            char *text = tool_grown(NULL, cell.size + 1);
            memcpy(text, cell.data, cell.size);
            text[cell.size] = '\0';
            // That somebody asked for it does not make a service of it.
            bool is_served = table.column_count < 2 ||
                             !view_equals(table_cell(&table, row, 1), VIEW_LITERAL("0"));
            if (is_served && strcmp(text, name) != 0)
                names[count++] = text;
            else
                free(text);
        }
        names[count] = NULL;
        const char *found = options_nearest(name, (const char *const *)names);
        nearest = found == NULL ? NULL : strdup(found);
        for (size_t i = 0; i < count; i++)
            free(names[i]);
        free(names);
    }
    table_release(&table);
    return nearest;
}

int
tool_explain_missing(struct tool *self, mdp_client_t *client, const char *service)
{
    char *nearest = nearest_service(client, service);
    if (nearest != NULL) {
        fprintf(stderr, "galleon: nobody serves '%s' at %s; did you mean '%s'?\n", service,
                self->brokers, nearest);
    } else {
        bool is_default = strcmp(self->brokers, TOOL_BROKER) == 0;
        const char *option = is_default ? "" : " --broker ";
        const char *where = is_default ? "" : self->brokers;
        fprintf(stderr, "galleon: nobody serves '%s' at %s.\n", service, self->brokers);
        if (service_name_is_for_workers(view_of(service, strlen(service))))
            fprintf(stderr, "Start a worker: mdworker%s%s %s. ", option, where, service);
        else if (tsp_service_of(view_of(service, strlen(service))) != TSP_SERVICES)
            fprintf(stderr, "Start a titanic: titanic%s%s. ", option, where);
        fprintf(stderr, "What is served: galleon%s%s service ls.\n", option, where);
    }
    free(nearest);
    return EXIT_NO_SERVICE;
}

// count_brokers is how many endpoints a list has.
static uint32_t
count_brokers(const char *brokers)
{
    uint32_t count = 1;
    for (; *brokers != '\0'; brokers++)
        count += *brokers == ',' ? 1 : 0;
    return count;
}

// ask_for_service asks the broker about a service that did not answer: what
// mdp_client_has_service returns. 0.1 and 0.2 cannot say 404, they are silent.
static int
ask_for_service(struct tool *self, const char *service)
{
    struct tool quick = *self;
    quick.client.timeout_ms = QUICK_MS;
    quick.client.attempts = count_brokers(self->brokers);
    mdp_client_t *client = tool_connect(&quick, self->brokers);
    int result = mdp_client_has_service(client, service);
    mdp_client_destroy(&client);
    return result;
}

// explain_silence tells what the broker said when it was asked for the service: `found`.
static void
explain_silence(struct tool *self, const char *service, int found)
{
    if (found == GALLEON_TIMED_OUT)
        fprintf(stderr, "galleon: no broker answers at %s.\nIs one running there: galleon ping.\n",
                self->brokers);
    else if (found == GALLEON_OK)
        fprintf(stderr,
                "galleon: no answer from '%s' at %s in time.\nThe broker answers, and a worker "
                "serves it: is --timeout long enough?\n",
                service, self->brokers);
    else
        fprintf(stderr,
                "galleon: no answer from '%s' at %s.\nIs there a broker: galleon ping. "
                "Is --timeout long enough?\n",
                service, self->brokers);
}

void
tool_print_failure(int result, int status, const char *text, const char *service)
{
    struct json json = {.out = stdout};
    const char *error = galleon_strerror(result);
    json_begin(&json, '{');
    json_key(&json, VIEW_LITERAL("service"));
    json_text(&json, view_of(service, strlen(service)));
    json_key(&json, VIEW_LITERAL("status"));
    json_number(&json, (uint64_t)status);
    json_key(&json, VIEW_LITERAL("error"));
    json_text(&json, view_of(error, strlen(error)));
    json_key(&json, VIEW_LITERAL("text"));
    json_text(&json, view_of(text, strlen(text)));
    json_end(&json, '}');
    putchar('\n');
}

int
tool_explain(struct tool *self, mdp_client_t *client, int result, const char *service)
{
    int status = mdp_client_status(client);
    char *text = strdup(mdp_client_status_text(client)); // the next call overwrites it
    int code = result == GALLEON_TIMED_OUT ? EXIT_TIMED_OUT : EXIT_FAILED;
    int found = GALLEON_TIMED_OUT; // mmi is the broker's own
    if (result == GALLEON_TIMED_OUT && status == 0 && strncmp(service, "mmi.", 4) != 0)
        found = ask_for_service(self, service);
    if (found == GALLEON_NO_SERVICE)
        result = GALLEON_NO_SERVICE;
    if (result == GALLEON_NO_SERVICE) {
        code = tool_explain_missing(self, client, service);
    } else if (status != 0) {
        fprintf(stderr, "galleon: '%s' at %s answered %d %s.\n", service, self->brokers, status,
                text == NULL ? "" : text);
        if (status == PASSIVE)
            fprintf(stderr, "Which half of a pair serves: galleon --broker %s ha status.\n",
                    self->brokers);
    } else if (result == GALLEON_TIMED_OUT) {
        explain_silence(self, service, found);
    } else {
        fprintf(stderr, "galleon: %s.\n", galleon_strerror(result));
    }
    if (self->is_json)
        tool_print_failure(result, status, text == NULL ? "" : text, service);
    free(text);
    return code;
}

// ---- call -------------------------------------------------------------------------------

static struct view
frame_view(zframe_t *frame)
{
    return view_of(zframe_data(frame), zframe_size(frame));
}

static void
print_reply_json(const char *service, zmsg_t *reply, uint64_t took_ns)
{
    struct json json = {.out = stdout};
    json_begin(&json, '{');
    json_key(&json, VIEW_LITERAL("service"));
    json_text(&json, view_of(service, strlen(service)));
    json_key(&json, VIEW_LITERAL("status"));
    json_number(&json, MDP_DONE);
    json_key(&json, VIEW_LITERAL("ms"));
    json_real(&json, (double)took_ns / 1e6);
    json_key(&json, VIEW_LITERAL("body"));
    json_begin(&json, '[');
    for (zframe_t *frame = zmsg_first(reply); frame != NULL; frame = zmsg_next(reply))
        json_bytes(&json, frame_view(frame));
    json_end(&json, ']');
    json_end(&json, '}');
    putchar('\n');
}

int
tool_call(struct tool *self)
{
    const char *service = self->words[0];
    mdp_client_t *client = tool_connect(self, self->brokers);
    zmsg_t *request = body_of_words(self->words + 1, self->word_count - 1);
    if (request == NULL)
        tool_fail("cannot read standard input: %s", strerror(errno));
    zmsg_t *reply;
    uint64_t from_ns = galleon_now_ns();
    int result = mdp_client_call(client, service, &request, &reply);
    int code = EXIT_DONE;
    if (result != GALLEON_OK)
        code = tool_explain(self, client, result, service);
    else if (self->is_json)
        print_reply_json(service, reply, galleon_now_ns() - from_ns);
    else
        body_print(reply);
    zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    return tool_end(code);
}

// ---- ping -------------------------------------------------------------------------------

struct ping {
    const char *endpoint;
    int result;
    uint64_t took_ns;
    char dialects[64]; // "" where the broker does not say
};

// ask_dialects: what does it speak? Only a Galleon broker knows the question.
static void
ask_dialects(mdp_client_t *client, struct ping *ping)
{
    zmsg_t *request = zmsg_new();
    zmsg_t *reply;
    if (mdp_client_call(client, "mmi.dialects", &request, &reply) != GALLEON_OK)
        return;
    zframe_t *code = zmsg_first(reply);
    zframe_t *words = zmsg_next(reply);
    if (code != NULL && words != NULL && view_equals(frame_view(code), VIEW_LITERAL("200")))
        snprintf(ping->dialects, sizeof ping->dialects, "%.*s", (int)zframe_size(words),
                 (const char *)zframe_data(words));
    for (char *at = ping->dialects; *at != '\0'; at++)
        if ((*at < '0' || *at > 'z') && *at != '.' && *at != ' ')
            *at = '?';
    zmsg_destroy(&reply);
}

static void
ping_one(struct tool *self, struct ping *ping)
{
    mdp_client_t *client = tool_connect(self, ping->endpoint);
    // The first connects; the second is what a call costs.
    for (int i = 0; i < 2; i++) {
        zmsg_t *request = zmsg_new();
        zmsg_addstr(request, "ping");
        zmsg_t *reply = NULL;
        uint64_t from_ns = galleon_now_ns();
        ping->result = mdp_client_call(client, "mmi.ping", &request, &reply);
        ping->took_ns = galleon_now_ns() - from_ns;
        zmsg_destroy(&reply);
        if (ping->result != GALLEON_OK)
            break;
    }
    if (ping->result == GALLEON_OK)
        ask_dialects(client, ping);
    mdp_client_destroy(&client);
}

static void
print_ping(const struct ping *ping)
{
    if (ping->result == GALLEON_OK)
        printf("%s: answers in %.3f ms, speaks %s\n", ping->endpoint, (double)ping->took_ns / 1e6,
               ping->dialects[0] == '\0' ? "0.1" : ping->dialects);
    else if (ping->result == GALLEON_TIMED_OUT)
        fprintf(stderr, "galleon: no broker answers at %s.\nIs one running: mdbroker --bind %s\n",
                ping->endpoint, ping->endpoint);
    else
        fprintf(stderr, "galleon: %s: %s.\n", ping->endpoint, galleon_strerror(ping->result));
}

static void
print_ping_json(struct json *json, const struct ping *ping)
{
    const char *words = ping->result == GALLEON_OK ? "ok" : galleon_strerror(ping->result);
    json_begin(json, '{');
    json_key(json, VIEW_LITERAL("broker"));
    json_text(json, view_of(ping->endpoint, strlen(ping->endpoint)));
    json_key(json, VIEW_LITERAL("result"));
    json_text(json, view_of(words, strlen(words)));
    if (ping->result == GALLEON_OK) {
        json_key(json, VIEW_LITERAL("ms"));
        json_real(json, (double)ping->took_ns / 1e6);
        json_key(json, VIEW_LITERAL("dialects"));
        json_text(json, view_of(ping->dialects, strlen(ping->dialects)));
    }
    json_end(json, '}');
}

int
tool_ping(struct tool *self)
{
    struct json json = {.out = stdout};
    char *list = strdup(self->brokers);
    char *rest = list;
    int code = EXIT_DONE;
    if (self->is_json)
        json_begin(&json, '[');
    while (rest != NULL) {
        struct ping ping = {.endpoint = strsep(&rest, ",")};
        ping_one(self, &ping);
        if (ping.result != GALLEON_OK)
            code = ping.result == GALLEON_TIMED_OUT ? EXIT_TIMED_OUT : EXIT_FAILED;
        if (self->is_json)
            print_ping_json(&json, &ping);
        else
            print_ping(&ping);
    }
    if (self->is_json) {
        json_end(&json, ']');
        putchar('\n');
    }
    free(list);
    return tool_end(code);
}
