// galleon_ha.c - galleon ha status, promote, demote, freeze, thaw, clear: a pair of brokers and
// its operator.
//
// Each half is asked by itself: which of them serves is what is to be found out, or to be changed.

#include "galleon_store.h"
#include "galleon_table.h"
#include "galleon_tool.h"
#include "printable.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static const char service[] = "mmi.ha";

static uint64_t
number_of(const char *code)
{
    uint64_t number;
    bool is_number = text_parse_number(view_of(code, strlen(code)), &number);
    return is_number && number <= UINT16_MAX ? number : 0;
}

// explain says on standard error what a half answered in place of what was asked for.
static int
explain(struct tool *self, mdp_client_t *client, int result, const char *code, const char *text)
{
    if (result != GALLEON_PROTOCOL)
        return tool_explain(self, client, result, service);
    if (strcmp(code, "501") == 0)
        fprintf(stderr,
                "galleon: the broker at %s is no half of a pair: see --pair in mdbroker(1).\n",
                self->brokers);
    else
        fprintf(stderr, "galleon: the half at %s answered %s%s%s.\n", self->brokers,
                code[0] == '\0' ? "nothing" : code, text[0] == '\0' ? "" : ": ", text);
    if (self->is_json)
        tool_print_failure(GALLEON_REFUSED, (int)number_of(code), text, service);
    return EXIT_FAILED;
}

// ---- status ----------------------------------------------------------------------------

static void
print_half(const char *broker, const struct table *table)
{
    size_t width = strlen("broker");
    for (size_t row = 0; row < table->row_count; row++) {
        size_t size = table_cell(table, row, 0).size;
        width = size > width ? size : width;
    }
    printf("%-*s  %s\n", (int)width, "broker", broker);
    for (size_t row = 0; row < table->row_count; row++) {
        struct view name = table_cell(table, row, 0);
        printable_write(stdout, name);
        printf("%*s", (int)(width - name.size) + 2, "");
        printable_write(stdout, table_cell(table, row, 1));
        putchar('\n');
    }
}

// print_half_json prints an object; result is GALLEON_OK, or why there is no table.
static void
print_half_json(struct json *json, const char *broker, int result, const struct table *table)
{
    const char *words = result == GALLEON_OK ? "ok" : galleon_strerror(result);
    json_begin(json, '{');
    json_key(json, VIEW_LITERAL("broker"));
    json_text(json, view_of(broker, strlen(broker)));
    json_key(json, VIEW_LITERAL("result"));
    json_text(json, view_of(words, strlen(words)));
    for (size_t row = 0; result == GALLEON_OK && row < table->row_count; row++) {
        json_key(json, table_cell(table, row, 0));
        table_write_cell(json, table_cell(table, row, 1));
    }
    json_end(json, '}');
}

// show_one asks one half: exit code.
static int
show_one(const struct tool *self, struct json *json, const char *broker)
{
    struct tool one = *self;
    one.brokers = broker;
    one.is_json = false; // a failure is said to people, and is an object of the list
    char answer[8];
    struct table table;
    mdp_client_t *client = tool_connect(&one, broker);
    int result = table_ask(&table, client, service, "status", answer);
    if (result == GALLEON_OK && table.column_count < 2)
        result = GALLEON_PROTOCOL;
    int code = EXIT_DONE;
    if (result != GALLEON_OK)
        code = explain(&one, client, result, answer, table.why);
    if (self->is_json)
        print_half_json(json, broker, result, &table);
    else if (result == GALLEON_OK)
        print_half(broker, &table);
    table_release(&table);
    mdp_client_destroy(&client);
    return code;
}

int
tool_ha_status(struct tool *self)
{
    struct json json = {.out = stdout};
    char *list = strdup(self->brokers);
    char *rest = list;
    int code = EXIT_DONE;
    if (self->is_json)
        json_begin(&json, '[');
    for (size_t i = 0; rest != NULL; i++) {
        if (i > 0 && !self->is_json)
            putchar('\n');
        int one = show_one(self, &json, strsep(&rest, ","));
        code = one != EXIT_DONE ? one : code;
    }
    if (self->is_json) {
        json_end(&json, ']');
        putchar('\n');
    }
    free(list);
    return tool_end(code);
}

// ---- changes ---------------------------------------------------------------------------

static void
print_word_json(const char *broker, const char *word)
{
    struct json json = {.out = stdout};
    json_begin(&json, '{');
    tool_json_text(&json, "broker", broker);
    tool_json_text(&json, "accepted", word);
    json_end(&json, '}');
    putchar('\n');
}

// say says words to the one half that is named, and whether it obeys: exit code.
static int
say(struct tool *self, const char *word, const char *more)
{
    if (strchr(self->brokers, ',') != NULL)
        options_fail(&self->options, "'ha %s' is said to one half: give one --broker.", word);
    mdp_client_t *client = tool_connect(self, self->brokers);
    zmsg_t *request = zmsg_new();
    zmsg_t *reply = NULL;
    zmsg_addstr(request, word);
    if (more != NULL)
        zmsg_addstr(request, more);
    char answer[8] = "", text[256] = "";
    int result = mdp_client_call(client, service, &request, &reply);
    if (result == GALLEON_OK) {
        table_copy_line(answer, sizeof answer, zmsg_first(reply));
        table_copy_line(text, sizeof text, zmsg_next(reply));
        result = strcmp(answer, "200") == 0 ? GALLEON_OK : GALLEON_PROTOCOL;
    }
    int code = EXIT_DONE;
    if (result != GALLEON_OK)
        code = explain(self, client, result, answer, text);
    else if (self->is_json)
        print_word_json(self->brokers, word);
    else
        printf("%s: accepted\n", word);
    zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    return tool_end(code);
}

int
tool_ha_promote(struct tool *self)
{
    return say(self, "promote", self->is_peer_dead ? "peer-is-dead" : NULL);
}

int
tool_ha_demote(struct tool *self)
{
    return say(self, "demote", NULL);
}

int
tool_ha_freeze(struct tool *self)
{
    return say(self, "freeze", NULL);
}

int
tool_ha_thaw(struct tool *self)
{
    return say(self, "thaw", NULL);
}

int
tool_ha_clear(struct tool *self)
{
    return say(self, "clear", NULL);
}
