// galleon_list.c - galleon service ls, worker ls, stat: a broker's tables.

#include "galleon_table.h"
#include "galleon_tool.h"
#include "text.h"

#include <string.h>

static void
explain_code(const struct tool *self, const char *service, const char *code)
{
    if (strcmp(code, "501") == 0)
        fprintf(stderr,
                "galleon: the broker at %s does not know %s: it is another's, not an mdbroker. "
                "'galleon call' works with it.\n",
                self->brokers, service);
    else
        fprintf(stderr, "galleon: the broker at %s answered %s to %s.\n", self->brokers,
                code[0] == '\0' ? "nothing" : code, service);
}

// ask asks a broker for a table, and says why there is none: exit code.
static int
ask(struct tool *self, mdp_client_t *client, const char *service, const char *filter,
    struct table *table)
{
    char code[8];
    int result = table_ask(table, client, service, filter, code);
    table_rename(table, "age", "age_ms"); // people and scripts see the unit
    if (result == GALLEON_OK)
        return EXIT_DONE;
    if (result != GALLEON_PROTOCOL)
        return tool_explain(self, client, result, service);
    explain_code(self, service, code);
    uint64_t status;
    if (!text_parse_number(view_of(code, strlen(code)), &status) || status > UINT16_MAX)
        status = 0; // it is no code
    if (self->is_json)
        tool_print_failure(result, (int)status, "", service);
    return EXIT_FAILED;
}

static int
show(struct tool *self, const char *service, const char *filter)
{
    mdp_client_t *client = tool_connect(self, self->brokers);
    struct table table;
    int code = ask(self, client, service, filter, &table);
    bool is_table = code == EXIT_DONE;
    if (is_table && filter != NULL && *filter != '\0' && table.row_count == 0)
        code = tool_explain_missing(self, client, filter);
    if (is_table && self->is_json)
        table_print_json(&table, 1);
    else if (code == EXIT_DONE)
        table_print(&table);
    table_release(&table);
    mdp_client_destroy(&client);
    return tool_end(code);
}

int
tool_service_ls(struct tool *self)
{
    return show(self, "mmi.services", NULL);
}

int
tool_worker_ls(struct tool *self)
{
    const char *service = self->word_count > 0 ? self->words[0] : "";
    return show(self, "mmi.workers", service);
}

// ---- stat ----------------------------------------------------------------------------

// ask_titanic asks a titanic for its statistics where one is served; false: there are none.
static bool
ask_titanic(mdp_client_t *client, struct table *table)
{
    char code[8];
    size_t rows;
    if (mdp_client_has_service(client, "titanic.stats") != GALLEON_OK)
        return false;
    zmsg_t *request = zmsg_new();
    zmsg_addmem(request, "", 0);
    if (table_add(table, client, "titanic.stats", &request, &rows, code) == GALLEON_OK)
        return true;
    fprintf(stderr, "galleon: titanic does not tell its statistics: %s %s.\n",
            code[0] == '\0' ? "no answer" : code, table->why);
    return false;
}

int
tool_stat(struct tool *self)
{
    mdp_client_t *client = tool_connect(self, self->brokers);
    struct table tables[2] = {{0}, {0}};
    int code = ask(self, client, "mmi.stats", NULL, &tables[0]);
    size_t count = code == EXIT_DONE && ask_titanic(client, &tables[1]) ? 2 : 1;
    if (code == EXIT_DONE && self->is_json) {
        table_print_json(tables, count);
    } else if (code == EXIT_DONE) {
        table_print(&tables[0]);
        if (count == 2) {
            table_rename(&tables[1], "service", "titanic"); // an empty cell: all of it
            putchar('\n');
            table_print(&tables[1]);
        }
    }
    table_release(&tables[0]);
    table_release(&tables[1]);
    mdp_client_destroy(&client);
    return tool_end(code);
}
