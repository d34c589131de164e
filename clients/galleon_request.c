// galleon_request.c - galleon request ls, show, retry, cancel, purge: what titanic keeps, and
// what is to become of it.
//
// Titanic answers with at most a thousand requests, and changes as many at a time: so all of
// them are a number of questions. A change goes on while there is more to change, but not
// beyond what was there when it began: what is retried may be dead again.

#include "galleon_table.h"
#include "galleon_tool.h"
#include "hex.h"
#include "printable.h"
#include "text.h"
#include "tsp.h"

#include <galleon/titanic_client.h>

#include <string.h>

enum { FILTER_BYTES = TSP_FILTER_BYTES_MAX + 256, SHOW_MAX = 200, LIST_MAX = DURABLE_ROWS_MAX };

// ---- the filter ------------------------------------------------------------------------

static void
add_term(struct text *text, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (text->size > 0)
        text_add_char(text, ' ');
    text_add(text, view_of(name, strlen(name)));
    text_add(text, view_of(value, strlen(value)));
}

// add_service escapes what a filter has for itself.
static void
add_service(struct text *text, const char *service)
{
    add_term(text, "service=", service == NULL ? NULL : "");
    for (const char *at = service; at != NULL && *at != '\0'; at++) {
        uint8_t byte = (uint8_t)*at;
        bool is_plain = byte > ' ' && byte != '%' && byte != 0x7f;
        text_add_char(text, is_plain ? *at : '%');
        if (!is_plain) {
            text_add_char(text, (char)hex_digit(byte >> 4));
            text_add_char(text, (char)hex_digit(byte & 15));
        }
    }
}

// write_filter writes the terms of the command line, and those of a page: `after` may be
// empty, limit 0 is none.
static struct view
write_filter(const struct tool *self, uint8_t memory[FILTER_BYTES], struct view after,
             uint64_t limit)
{
    const struct tool_filter *filter = &self->filter;
    struct text text;
    text_init(&text, memory, FILTER_BYTES);
    add_service(&text, filter->service);
    add_term(&text, "state=", filter->state);
    add_term(&text, "older-than=", filter->older_than);
    add_term(&text, "newer-than=", filter->newer_than);
    add_term(&text, "id=", filter->id);
    if (after.size > 0) {
        add_term(&text, "after=", "");
        text_add(&text, after);
    }
    if (limit > 0 && filter->id == NULL) {
        add_term(&text, "limit=", "");
        text_add_number(&text, limit);
    }
    return text_view(&text);
}

// check_filter ends the program where titanic would answer 400.
static void
check_filter(const struct tool *self, enum tsp_service service)
{
    uint8_t memory[FILTER_BYTES];
    struct tsp_request request;
    const char *why;
    const char *reason = self->filter.reason == NULL ? "" : self->filter.reason;
    struct view frames[] = {write_filter(self, memory, VIEW_NONE, 0),
                            view_of(reason, strlen(reason))};
    if (frames[0].size == 0 && service != TSP_LIST)
        options_fail(&self->options, "which requests? Give an ID, or --state, --service, "
                                     "--older-than or --newer-than.");
    if (tsp_read(service, frames, 2, &request, &why) != TSP_OK)
        options_fail(&self->options, "%s.", why);
    if (self->filter.id != NULL && self->filter.limit > 0)
        options_fail(&self->options, "--limit and an ID: give one of them.");
}

static void
take_id(struct tool *self)
{
    if (self->word_count > 0 && self->filter.id != NULL)
        options_fail(&self->options, "--id and an ID: give one of them.");
    if (self->word_count > 0)
        self->filter.id = self->words[0];
}

// explain_code says what titanic answered in place of what it was asked for.
static int
explain_code(const struct tool *self, const char *service, const char *code, const char *why)
{
    uint32_t status = tsp_status_of(view_of(code, strlen(code)));
    fprintf(stderr, "galleon: '%s' at %s answered %s %s.\n", service, self->brokers,
            code[0] == '\0' ? "nothing" : code, why);
    if (self->is_json)
        tool_print_failure(GALLEON_REFUSED, (int)status, why, service);
    return EXIT_FAILED;
}

// ---- ls, show --------------------------------------------------------------------------

// count_ids is how many requests the rows from this one on are about.
static size_t
count_ids(const struct table *table, size_t from)
{
    size_t count = 0;
    for (size_t row = from; row < table->row_count; row++)
        count +=
            row == from || !view_equals(table_cell(table, row, 0), table_cell(table, row - 1, 0));
    return count;
}

// has_gone_on: do the rows end behind where they ended before? What repeats itself has no end.
static bool
has_gone_on(const struct table *table, struct view after)
{
    struct view last = table_cell(table, table->row_count - 1, 0);
    size_t size = last.size < after.size ? last.size : after.size;
    int order = size == 0 ? 0 : memcmp(last.data, after.data, size);
    return order > 0 || (order == 0 && last.size > after.size);
}

// ask asks for all there is, or as many as the limit says: exit code.
static int
ask(struct tool *self, mdp_client_t *client, enum tsp_service service, struct table *table)
{
    const char *name = tsp_service_name(service);
    uint64_t page = service == TSP_SHOW ? SHOW_MAX : LIST_MAX;
    uint64_t left = self->filter.limit > 0 ? self->filter.limit : UINT64_MAX;
    uint8_t memory[FILTER_BYTES];
    for (uint64_t wanted, count = 0;; left -= count) {
        size_t from = table->row_count, rows;
        char code[8];
        wanted = left < page ? left : page;
        struct view after = from > 0 ? table_cell(table, from - 1, 0) : VIEW_NONE;
        struct view filter = write_filter(self, memory, after, wanted);
        zmsg_t *request = zmsg_new();
        zmsg_addmem(request, filter.data, filter.size);
        int result = table_add(table, client, name, &request, &rows, code);
        if (result == GALLEON_PROTOCOL)
            return explain_code(self, name, code, table->why);
        if (result != GALLEON_OK)
            return tool_explain(self, client, result, name);
        count = table->column_count == 0 ? 0 : count_ids(table, from);
        if (count < wanted || count >= left || self->filter.id != NULL)
            return EXIT_DONE;
        if (!has_gone_on(table, after))
            return explain_code(self, name, code, "and goes round in circles");
    }
}

int
tool_request_ls(struct tool *self)
{
    check_filter(self, TSP_LIST);
    mdp_client_t *client = tool_connect(self, self->brokers);
    struct table table = {0};
    int code = ask(self, client, TSP_LIST, &table);
    table_rename(&table, "age", "age_ms");
    table_rename(&table, "due", "due_ms");
    if (code == EXIT_DONE && self->is_json)
        table_print_json(&table, 1);
    else if (code == EXIT_DONE)
        table_print(&table);
    table_release(&table);
    mdp_client_destroy(&client);
    return tool_end(code);
}

// name_of is the name of a value, with its unit.
static struct view
name_of(struct view name)
{
    static const struct view times[][2] = {
        {{(const uint8_t *)"age", 3}, {(const uint8_t *)"age_ms", 6}},
        {{(const uint8_t *)"not_before", 10}, {(const uint8_t *)"not_before_ms", 13}},
        {{(const uint8_t *)"deadline", 8}, {(const uint8_t *)"deadline_ms", 11}}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (view_equals(name, times[i][0]))
            return times[i][1];
    return name;
}

static void
print_value(struct view name, struct view value)
{
    int width = name.size < 14 ? (int)(14 - name.size) : 1;
    printable_write(stdout, name);
    printf("%*s", width, "");
    printable_write(stdout, value);
    putchar('\n');
}

// print_shown prints each request as a block of lines, or as an object.
static void
print_shown(const struct table *table, bool is_json)
{
    struct json json = {.out = stdout};
    if (is_json)
        json_begin(&json, '[');
    for (size_t row = 0; row < table->row_count && table->column_count > 2; row++) {
        struct view id = table_cell(table, row, 0);
        bool is_first = row == 0 || !view_equals(id, table_cell(table, row - 1, 0));
        struct view name = name_of(table_cell(table, row, 1));
        if (is_json && is_first) {
            if (row > 0)
                json_end(&json, '}');
            json_begin(&json, '{');
            json_key(&json, VIEW_LITERAL("id"));
            json_text(&json, id);
        } else if (is_first) {
            fputs(row > 0 ? "\n" : "", stdout);
            print_value(VIEW_LITERAL("id"), id);
        }
        if (is_json) {
            json_key(&json, name);
            table_write_cell(&json, table_cell(table, row, 2));
        } else {
            print_value(name, table_cell(table, row, 2));
        }
    }
    if (is_json) {
        if (table->row_count > 0 && table->column_count > 2)
            json_end(&json, '}');
        json_end(&json, ']');
        putchar('\n');
    }
}

int
tool_request_show(struct tool *self)
{
    take_id(self);
    check_filter(self, TSP_SHOW);
    mdp_client_t *client = tool_connect(self, self->brokers);
    struct table table = {0};
    int code = ask(self, client, TSP_SHOW, &table);
    if (code == EXIT_DONE)
        print_shown(&table, self->is_json);
    if (code == EXIT_DONE && table.row_count == 0) {
        fprintf(stderr, "galleon: there is no such request.\n");
        code = EXIT_FAILED;
    }
    table_release(&table);
    mdp_client_destroy(&client);
    return tool_end(code);
}

// ---- retry, cancel, purge ----------------------------------------------------------------

// change_some changes at most so many: exit code, and how many they were.
static int
change_some(struct tool *self, mdp_client_t *client, enum tsp_service service, uint64_t limit,
            uint64_t *count_out)
{
    const char *name = tsp_service_name(service);
    uint8_t memory[FILTER_BYTES];
    struct view filter = write_filter(self, memory, VIEW_NONE, limit);
    zmsg_t *request = zmsg_new();
    zmsg_t *reply;
    zmsg_addmem(request, filter.data, filter.size);
    zmsg_addstr(request, self->filter.reason == NULL ? "" : self->filter.reason);
    *count_out = 0;
    int result = mdp_client_call(client, name, &request, &reply);
    if (result != GALLEON_OK)
        return tool_explain(self, client, result, name);
    char code[8], text[256];
    table_copy_line(code, sizeof code, zmsg_first(reply));
    table_copy_line(text, sizeof text, zmsg_next(reply));
    zmsg_destroy(&reply);
    if (strcmp(code, "200") == 0 && text_parse_number(view_of(text, strlen(text)), count_out))
        return EXIT_DONE;
    return explain_code(self, name, code, text);
}

// change_all goes on while there is more: exit code, and how many they were.
static int
change_all(struct tool *self, mdp_client_t *client, enum tsp_service service, uint64_t *total_out)
{
    uint64_t left = self->filter.limit > 0 ? self->filter.limit : UINT64_MAX;
    *total_out = 0;
    for (;;) {
        uint64_t wanted = left < LIST_MAX ? left : LIST_MAX, count;
        int code = change_some(self, client, service, wanted, &count);
        *total_out += count;
        left = count < left ? left - count : 0;
        if (code != EXIT_DONE || count < wanted || left == 0 || self->filter.id != NULL)
            return code;
        // What is retried may be there again: not more than there is now.
        if (left > UINT32_MAX && service == TSP_RETRY) {
            struct table table = {0};
            code = ask(self, client, TSP_LIST, &table);
            left = table.row_count;
            table_release(&table);
            if (code != EXIT_DONE || left == 0)
                return code;
        }
    }
}

static int
change(struct tool *self, enum tsp_service service, const char *done)
{
    take_id(self);
    check_filter(self, service);
    mdp_client_t *client = tool_connect(self, self->brokers);
    uint64_t total;
    int code = change_all(self, client, service, &total);
    unsigned long long count = total;
    if (self->is_json && code == EXIT_DONE)
        printf("{\"count\": %llu}\n", count);
    else if (!self->is_json && (code == EXIT_DONE || count > 0))
        printf("%llu request%s %s\n", count, count == 1 ? "" : "s", done);
    mdp_client_destroy(&client);
    return tool_end(code);
}

int
tool_request_retry(struct tool *self)
{
    return change(self, TSP_RETRY, "will be tried again");
}

int
tool_request_cancel(struct tool *self)
{
    return change(self, TSP_CANCEL, "cancelled");
}

int
tool_request_purge(struct tool *self)
{
    return change(self, TSP_PURGE, "forgotten");
}
