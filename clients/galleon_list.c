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

static int
show(struct tool *self, const char *service, const char *filter)
{
    mdp_client_t *client = tool_connect(self, self->brokers);
    struct table table;
    char code[8];
    int exit_code = EXIT_DONE;
    int result = table_ask(&table, client, service, filter, code);
    table_rename(&table, "age", "age_ms"); // people and scripts see the unit
    if (result == GALLEON_PROTOCOL) {
        explain_code(self, service, code);
        exit_code = EXIT_FAILED;
        uint64_t status;
        if (!text_parse_number(view_of(code, strlen(code)), &status) || status > UINT16_MAX)
            status = 0; // it is no code
        if (self->is_json)
            tool_print_failure(result, (int)status, "", service);
    } else if (result != GALLEON_OK) {
        exit_code = tool_explain(self, client, result, service);
    } else if (filter != NULL && *filter != '\0' && table.row_count == 0) {
        exit_code = tool_explain_missing(self, client, filter);
    }
    if (result == GALLEON_OK && self->is_json)
        table_print_json(&table);
    else if (exit_code == EXIT_DONE)
        table_print(&table);
    table_release(&table);
    mdp_client_destroy(&client);
    return tool_end(exit_code);
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

int
tool_stat(struct tool *self)
{
    return show(self, "mmi.stats", NULL);
}
