// galleon_table.c - pages of at most 1,000 rows, lines of cells parted by TAB.

#include "galleon_table.h"

#include "printable.h"
#include "text.h"

#include <poll.h>
#include <stdlib.h>

enum {
    PAGES_MAX = 1000,
    PAGE_ROWS = 1000, // of a page that is not the last
    BUSY_MAX = 20,    // times that a broker may say "not so fast"
    BUSY_MS = 250,
    NUMBER_DIGITS_MAX = 15 // that every reader of JSON takes as they are
};

// ---- reading ------------------------------------------------------------------------

// next_line takes a line, without its LF.
static bool
next_line(struct view *rest, struct view *line_out)
{
    if (rest->size == 0)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
    *line_out = view_of(rest->data, size);
    *rest = view_skip(*rest, end == NULL ? size : size + 1);
    return true;
}

static struct view
next_cell(struct view *line)
{
    const uint8_t *end = line->size == 0 ? NULL : memchr(line->data, '\t', line->size);
    size_t size = end == NULL ? line->size : (size_t)(end - line->data);
    struct view cell = view_of(line->data, size);
    *line = view_skip(*line, end == NULL ? size : size + 1);
    return cell;
}

static void
read_columns(struct table *self, struct view line)
{
    if (self->columns != NULL)
        return; // another page of the same table
    while (line.size > 0) {
        self->columns = tool_grown(self->columns, (self->column_count + 1) * sizeof *self->columns);
        self->columns[self->column_count++] = next_cell(&line);
    }
}

// add_page reads a page, which the table keeps, and returns how many rows it has.
static size_t
add_page(struct table *self, char *page, size_t size)
{
    self->pages = tool_grown(self->pages, (self->page_count + 1) * sizeof *self->pages);
    self->pages[self->page_count++] = page;
    struct view rest = view_of(page, size);
    struct view line;
    if (!next_line(&rest, &line))
        return 0;
    read_columns(self, line);
    size_t rows = 0;
    while (self->column_count > 0 && next_line(&rest, &line)) {
        size_t count = (self->row_count + 1) * self->column_count;
        self->cells = tool_grown(self->cells, count * sizeof *self->cells);
        for (size_t i = 0; i < self->column_count; i++)
            self->cells[self->row_count * self->column_count + i] = next_cell(&line);
        self->row_count++;
        rows++;
    }
    return rows;
}

void
table_copy_line(char *to, size_t room, zframe_t *frame)
{
    text_copy(to, room,
              frame == NULL ? VIEW_NONE : view_of(zframe_data(frame), zframe_size(frame)));
}

int
table_add(struct table *self, mdp_client_t *client, const char *service, zmsg_t **request_p,
          size_t *rows_out, char code_out[8])
{
    zmsg_t *reply;
    code_out[0] = '\0';
    *rows_out = 0;
    int result = mdp_client_call(client, service, request_p, &reply);
    if (result != GALLEON_OK)
        return result;
    table_copy_line(code_out, 8, zmsg_first(reply));
    zframe_t *page = zmsg_next(reply);
    if (strcmp(code_out, "200") == 0 && page != NULL) {
        size_t size = zframe_size(page);
        char *copy = tool_grown(NULL, size + 1);
        memcpy(copy, zframe_data(page), size);
        *rows_out = add_page(self, copy, size);
    } else {
        result = GALLEON_PROTOCOL;
        table_copy_line(self->why, sizeof self->why, page);
    }
    zmsg_destroy(&reply);
    return result;
}

// ask_page asks for the page that begins at a row. *rows_out: how many it has.
static int
ask_page(struct table *self, mdp_client_t *client, const char *service, const char *filter,
         size_t *rows_out, char code_out[8])
{
    zmsg_t *request = zmsg_new();
    if (filter != NULL)
        zmsg_addstr(request, filter);
    if (self->row_count > 0)
        zmsg_addstrf(request, "%zu", self->row_count);
    return table_add(self, client, service, &request, rows_out, code_out);
}

int
table_ask(struct table *self, mdp_client_t *client, const char *service, const char *filter,
          char code_out[8])
{
    *self = (struct table){0};
    code_out[0] = '\0';
    int busy = 0;
    for (int pages = 0; pages < PAGES_MAX;) {
        size_t rows = 0;
        int result = ask_page(self, client, service, filter, &rows, code_out);
        if (result == GALLEON_BUSY && ++busy < BUSY_MAX) {
            poll(NULL, 0, BUSY_MS); // a broker answers so many tables in a second
            continue;
        }
        if (result != GALLEON_OK || rows < PAGE_ROWS)
            return result;
        pages++;
    }
    return GALLEON_OK;
}

void
table_rename(struct table *self, const char *column, const char *name)
{
    for (size_t i = 0; i < self->column_count; i++)
        if (view_equals(self->columns[i], view_of(column, strlen(column))))
            self->columns[i] = view_of(name, strlen(name));
}

void
table_release(struct table *self)
{
    for (size_t i = 0; i < self->page_count; i++)
        free(self->pages[i]);
    free(self->pages);
    free(self->columns);
    free(self->cells);
    *self = (struct table){0};
}

// ---- showing ------------------------------------------------------------------------

static bool
is_number(struct view cell)
{
    uint64_t number;
    bool has_leading_zero = cell.size > 1 && cell.data[0] == '0';
    return cell.size <= NUMBER_DIGITS_MAX && !has_leading_zero && text_parse_number(cell, &number);
}

static size_t
width_of(struct view cell)
{
    size_t width = 0;
    while (cell.size > 0) {
        size_t size = text_utf8_bytes(cell);
        cell = view_skip(cell, size == 0 ? 1 : size);
        width++;
    }
    return width;
}

struct column {
    size_t width;
    bool is_number; // all of it: it stands at the right
};

static struct column *
measure(const struct table *self)
{
    struct column *columns = tool_grown(NULL, (self->column_count + 1) * sizeof *columns);
    for (size_t i = 0; i < self->column_count; i++) {
        columns[i] = (struct column){width_of(self->columns[i]), self->row_count > 0};
        for (size_t row = 0; row < self->row_count; row++) {
            struct view cell = table_cell(self, row, i);
            size_t width = width_of(cell);
            if (columns[i].width < width)
                columns[i].width = width;
            columns[i].is_number = columns[i].is_number && is_number(cell);
        }
    }
    return columns;
}

static void
print_row(const struct table *self, const struct column *columns, const struct view *cells)
{
    for (size_t i = 0; i < self->column_count; i++) {
        int pad = (int)(columns[i].width - width_of(cells[i]));
        bool is_last = i + 1 == self->column_count;
        if (columns[i].is_number)
            printf("%*s", pad, "");
        printable_write(stdout, cells[i]);
        if (!columns[i].is_number && !is_last)
            printf("%*s", pad, "");
        fputs(is_last ? "\n" : "  ", stdout);
    }
}

void
table_print(const struct table *self)
{
    if (self->column_count == 0)
        return;
    struct column *columns = measure(self);
    print_row(self, columns, self->columns);
    for (size_t row = 0; row < self->row_count; row++)
        print_row(self, columns, &self->cells[row * self->column_count]);
    free(columns);
}

void
table_write_cell(struct json *json, struct view cell)
{
    uint64_t number = 0;
    if (is_number(cell) && text_parse_number(cell, &number))
        json_number(json, number);
    else
        json_text(json, cell);
}

void
table_print_json(const struct table *tables, size_t count)
{
    struct json json = {.out = stdout};
    size_t rows = 0;
    json_begin(&json, '[');
    for (const struct table *table = tables; table < tables + count; table++) {
        for (size_t row = 0; row < table->row_count; row++) {
            fputs(rows++ == 0 ? "\n  " : ",\n  ", stdout);
            json.needs_comma = false;
            json_begin(&json, '{');
            for (size_t i = 0; i < table->column_count; i++) {
                json_key(&json, table->columns[i]);
                table_write_cell(&json, table_cell(table, row, i));
            }
            json_end(&json, '}');
        }
    }
    fputs(rows > 0 ? "\n" : "", stdout);
    json_end(&json, ']');
    putchar('\n');
}
