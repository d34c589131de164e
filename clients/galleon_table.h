// galleon_table.h - the tables that a broker answers with, and how they are shown.

#ifndef GALLEON_GALLEON_TABLE_H
#define GALLEON_GALLEON_TABLE_H

#include "galleon_json.h"
#include "galleon_tool.h"
#include "view.h"

struct table {
    size_t column_count;
    size_t row_count;
    struct view *columns;
    struct view *cells; // row by row
    char **pages;       // what they point into
    size_t page_count;
    char why[256]; // text for people, of an answer that is no table
};

// table_ask takes all pages of a table that an mmi service has: GALLEON_OK, or what the
// call returned; GALLEON_PROTOCOL where the answer is no table, with its code in *code_out
// ("501" and so on). `filter` is the first frame of the request, NULL for none.
int table_ask(struct table *self, mdp_client_t *client, const char *service, const char *filter,
              char code_out[8]);

// table_add asks one question, and adds the rows of its answer: returns as table_ask does.
// The table is all zero before the first.
int table_add(struct table *self, mdp_client_t *client, const char *service, zmsg_t **request_p,
              size_t *rows_out, char code_out[8]);
// table_copy_line keeps the beginning of a frame as text that a terminal can show.
void table_copy_line(char *to, size_t room, zframe_t *frame);
void table_release(struct table *self);

// table_rename gives a column, where there is one of that name, another: a string constant.
void table_rename(struct table *self, const char *column, const char *name);

// table_print shows it to people, in columns; table_print_json as a list of objects, and
// several tables as one list.
void table_print(const struct table *self);
void table_print_json(const struct table *tables, size_t count);
// table_write_cell writes a cell as JSON: a number where it is one, else text.
void table_write_cell(struct json *json, struct view cell);

static inline struct view
table_cell(const struct table *self, size_t row, size_t column)
{
    return self->cells[row * self->column_count + column];
}

#endif
