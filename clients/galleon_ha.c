// galleon_ha.c - galleon ha status, promote, demote, freeze, thaw, clear: a pair of brokers and
// its operator.
//
// Each half is asked by itself: which of them serves is what is to be found out, or to be changed.

#include "galleon_store.h"
#include "galleon_table.h"
#include "galleon_tool.h"
#include "printable.h"
#include "text.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_MS_MAX = 600000 };

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

// value_is: does the row of this name say this?
static bool
value_is(const struct table *table, const char *name, const char *value)
{
    for (size_t row = 0; row < table->row_count; row++)
        if (view_equals(table_cell(table, row, 0), view_of(name, strlen(name))))
            return view_equals(table_cell(table, row, 1), view_of(value, strlen(value)));
    return false;
}

// number_at is the number in the row of this name, 0 where there is none.
static uint64_t
number_at(const struct table *table, const char *name)
{
    uint64_t number = 0;
    for (size_t row = 0; row < table->row_count; row++)
        if (view_equals(table_cell(table, row, 0), view_of(name, strlen(name))))
            (void)text_parse_number(table_cell(table, row, 1), &number);
    return number <= LEASE_MS_MAX ? number : 0;
}

// What the halves that were asked have said.
struct halves {
    uint32_t active;
    uint32_t guarded;
    uint32_t classic;
};

// note_half counts what one half says, and says what is to be done where it can do nothing itself.
static void
note_half(struct halves *self, const char *broker, const struct table *table)
{
    self->active += value_is(table, "state", "ACTIVE");
    self->guarded += value_is(table, "mode", "guarded");
    self->classic += value_is(table, "mode", "classic");
    if (value_is(table, "state", "FAULT"))
        fprintf(stderr,
                "galleon: the half at %s votes and serves no more. Mend what it says under 'why', "
                "then: galleon --broker %s ha clear.\n",
                broker, broker);
    if (value_is(table, "state", "HALTED"))
        fprintf(
            stderr,
            "galleon: the half at %s waits until one of the two is started again with the other "
            "--pair.\n",
            broker);
}

static void
explain_halves(const struct halves *self)
{
    if (self->guarded > 0 && self->classic > 0)
        fprintf(stderr, "galleon: only one of these halves has a witness: they cannot hear each "
                        "other. See --witness in mdbroker(1).\n");
    if (self->active > 1)
        fprintf(stderr,
                "galleon: more than one of these says that it serves: the link between them "
                "is cut, they are of several pairs, or it changed meanwhile.\n");
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
show_one(const struct tool *self, struct json *json, const char *broker, struct halves *halves)
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
    if (result == GALLEON_OK)
        note_half(halves, broker, &table);
    table_release(&table);
    mdp_client_destroy(&client);
    return code;
}

int
tool_ha_status(struct tool *self)
{
    struct json json = {.out = stdout};
    struct halves halves = {0};
    char *list = strdup(self->brokers);
    char *rest = list;
    int code = EXIT_DONE;
    if (self->is_json)
        json_begin(&json, '[');
    for (size_t i = 0; rest != NULL; i++) {
        if (i > 0 && !self->is_json)
            putchar('\n');
        int one = show_one(self, &json, strsep(&rest, ","), &halves);
        code = one != EXIT_DONE ? one : code;
    }
    if (self->is_json) {
        json_end(&json, ']');
        putchar('\n');
    }
    explain_halves(&halves);
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

// What a half says of itself while it is waited for.
struct look {
    bool is_known;
    bool is_active;
    bool is_peer_alive;
    uint64_t lease_ms; // the pair's; 0 in one that has none
};

static void
look_at(struct look *self, mdp_client_t *client)
{
    char answer[8];
    struct table table;
    self->is_known = table_ask(&table, client, service, "status", answer) == GALLEON_OK;
    self->is_active = self->is_known && value_is(&table, "state", "ACTIVE");
    self->is_peer_alive = self->is_known && value_is(&table, "peer", "alive");
    if (self->is_known)
        self->lease_ms = number_at(&table, "pair-lease-ms");
    table_release(&table);
}

// await_promotion says where the half is that was promoted, if it does not serve soon: it was
// accepted that it asks, and the others may say no. By the operator's word it asks one lease later,
// and a member that was just started grants nothing for one. Exit code.
static int
await_promotion(const struct tool *self, mdp_client_t *client)
{
    enum { PAUSE_MS = 50, PATIENCE_MS = 3000, LEASES = 3 };
    struct look look = {0};
    uint64_t began_ns = galleon_now_ns();
    uint64_t patience_ms;
    for (;;) {
        look_at(&look, client);
        patience_ms = PATIENCE_MS + LEASES * look.lease_ms;
        if (look.is_active || galleon_now_ns() - began_ns > patience_ms * 1000000)
            break;
        poll(NULL, 0, PAUSE_MS);
    }
    if (look.is_active)
        return EXIT_DONE;
    fprintf(stderr, "galleon: but the half at %s does not serve %.1f s later.\n", self->brokers,
            (double)patience_ms / 1000);
    if (look.is_peer_alive)
        fprintf(stderr, "Its peer is alive: if that one serves, say 'ha demote' to it instead.\n");
    else if (look.is_known)
        fprintf(stderr,
                "It needs the vote of its peer or of the witness: galleon --broker %s ha "
                "status says which is heard.\n",
                self->brokers);
    return EXIT_FAILED;
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
    if (code == EXIT_DONE && strcmp(word, "promote") == 0) {
        fflush(stdout);
        code = await_promotion(self, client);
    }
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
