// vectors.c - a page into lines, tables and cells; a cell into frames and items.

#include "vectors.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS_MAX = 12, FRAMES_MAX = 100000, FRAME_BYTES_MAX = 100 << 20 };

static void *
allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        abort();
    return memory;
}

// ---- frames ----------------------------------------------------------------------------------

// read_number reads 1 to 9 digits up to `end`.
static bool
read_number(const char *from, const char *end, size_t *number_out)
{
    if (end <= from || end - from > 9)
        return false;
    *number_out = 0;
    for (; from < end; from++) {
        if (!isdigit((unsigned char)*from))
            return false;
        *number_out = *number_out * 10 + (size_t)(*from - '0');
    }
    return *number_out > 0;
}

static int
digit_of(char character)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *found = character == '\0' ? NULL : strchr(digits, character);
    return found == NULL ? -1 : (int)(found - digits);
}

// read_piece reads `H` or `H*n`. With no memory it only counts.
static bool
read_piece(const char *from, const char *end, uint8_t *to, size_t *size_out)
{
    const char *star = memchr(from, '*', (size_t)(end - from));
    const char *digits_end = star == NULL ? end : star;
    size_t times = 1, size = (size_t)(digits_end - from) / 2;
    if (star != NULL && !read_number(star + 1, end, &times))
        return false;
    if (size == 0 || (digits_end - from) % 2 != 0 || size * times > FRAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = digit_of(from[2 * i]), low = digit_of(from[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        for (size_t k = 0; to != NULL && k < times; k++)
            to[k * size + i] = (uint8_t)(high << 4 | low);
    }
    *size_out = size * times;
    return true;
}

// read_pieces reads `-` or pieces joined by dots.
static bool
read_pieces(const char *from, const char *end, uint8_t *to, size_t *size_out)
{
    *size_out = 0;
    if (end - from == 1 && *from == '-')
        return true;
    for (;;) {
        const char *dot = memchr(from, '.', (size_t)(end - from));
        size_t size;
        if (!read_piece(from, dot == NULL ? end : dot, to, &size))
            return false;
        *size_out += size;
        if (dot == NULL)
            return true;
        to = to == NULL ? NULL : to + size;
        from = dot + 1;
    }
}

// new_frame is a block of exactly this size. Of an empty frame there is an address,
// but no byte.
static uint8_t *
new_frame(size_t size)
{
    uint8_t *block = allocate(1, size > 0 ? size : 1);
    return size > 0 ? block : block + 1;
}

static void
destroy_frame(struct view frame)
{
    uintptr_t address = (uintptr_t)frame.data;
    free((void *)(frame.size > 0 ? address : address - 1));
}

static void
add_frame(struct vector_frames *self, const uint8_t *data, size_t size)
{
    uint8_t *frame = new_frame(size);
    if (size > 0)
        memcpy(frame, data, size);
    self->frames[self->count++] = view_of(frame, size);
}

// read_token reads a token, which is one frame or n like it.
static bool
read_token(struct vector_frames *self, const char *from, const char *end)
{
    const char *caret = memchr(from, '^', (size_t)(end - from));
    size_t times = 1, size;
    if (caret != NULL && !read_number(caret + 1, end, &times))
        return false;
    end = caret == NULL ? end : caret;
    if (end == from || times > FRAMES_MAX || !read_pieces(from, end, NULL, &size))
        return false;
    uint8_t *data = allocate(1, size + 1);
    read_pieces(from, end, data, &size);
    self->frames = realloc(self->frames, (self->count + times) * sizeof *self->frames);
    if (self->frames == NULL)
        abort();
    for (size_t i = 0; i < times; i++)
        add_frame(self, data, size);
    free(data);
    return true;
}

bool
vector_frames_read(struct vector_frames *self, const char *tokens, char separator)
{
    *self = (struct vector_frames){0};
    for (;;) {
        const char *end = strchr(tokens, separator);
        if (!read_token(self, tokens, end == NULL ? tokens + strlen(tokens) : end)) {
            vector_frames_release(self);
            return false;
        }
        if (end == NULL)
            return true;
        tokens = end + 1;
    }
}

struct vector_frames
vector_frames_copy(struct vector_frames frames)
{
    struct vector_frames copy = {allocate(frames.count + 1, sizeof *copy.frames), 0};
    for (size_t i = 0; i < frames.count; i++)
        add_frame(&copy, frames.frames[i].data, frames.frames[i].size);
    return copy;
}

void
vector_frames_release(struct vector_frames *self)
{
    for (size_t i = 0; i < self->count; i++)
        destroy_frame(self->frames[i]);
    free(self->frames);
    *self = (struct vector_frames){0};
}

// ---- items -----------------------------------------------------------------------------------

// next_part cuts the text at the separator; NULL is what follows the last part.
static char *
next_part(char **rest, const char *separator)
{
    char *part = *rest;
    char *end = strstr(part, separator);
    if (end != NULL)
        *end = '\0';
    *rest = end == NULL ? NULL : end + strlen(separator);
    return part;
}

static bool
read_items(struct vector_record *self, char *text)
{
    if (strcmp(text, "-") == 0)
        return true;
    while (text != NULL) {
        char *key = next_part(&text, " ");
        char *equals = strchr(key, '=');
        if (equals == NULL || equals == key || equals[1] == '\0')
            return false;
        *equals = '\0';
        if (self->count == VECTOR_ITEMS_MAX || vector_item(self, key) != NULL)
            return false;
        self->items[self->count++] = (struct vector_item){key, equals + 1};
    }
    return true;
}

static bool
read_records(struct vector *self, char *text)
{
    while (text != NULL) {
        char *items = next_part(&text, " ; ");
        self->records = realloc(self->records, (self->record_count + 1) * sizeof *self->records);
        if (self->records == NULL)
            abort();
        struct vector_record *record = &self->records[self->record_count++];
        *record = (struct vector_record){.count = 0};
        if (!read_items(record, items))
            return false;
    }
    // One command for each record.
    size_t commands = 1;
    for (const char *c = self->command; *c != '\0'; c++)
        commands += *c == '+';
    return commands == self->record_count;
}

const char *
vector_item(const struct vector_record *record, const char *key)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->items[i].key, key) == 0)
            return record->items[i].value;
    return NULL;
}

// ---- rows ------------------------------------------------------------------------------------

// A table of the page, and where its cells belong.
struct table {
    const char *kinds;
    const char *header; // of its columns, parted by |
};

static const struct table tables[] = {
    {"VG", "id|socket|way|dialect|command|frames|decoded"},
    {"N", "id|socket|state|frames|expect|why"},
    {"X", "id|service|body|expect|why"},
};

struct cells {
    char *texts[COLUMNS_MAX];
    size_t count;
};

static char *
trim(char *text)
{
    text += strspn(text, " \t");
    char *end = text + strlen(text);
    while (end > text && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    *end = '\0';
    return text;
}

// read_cells cuts a line of a table, which begins and ends with |.
static bool
read_cells(struct cells *self, char *line)
{
    line = trim(line);
    size_t size = strlen(line);
    if (size < 2 || line[0] != '|' || line[size - 1] != '|')
        return false;
    line[size - 1] = '\0';
    char *rest = line + 1;
    for (self->count = 0; rest != NULL; self->count++) {
        if (self->count == COLUMNS_MAX)
            return false;
        self->texts[self->count] = trim(next_part(&rest, "|"));
    }
    return true;
}

// table_of is the table whose header these cells are, NULL where they are none of ours.
static const struct table *
table_of(const struct cells *cells)
{
    char header[100] = "";
    for (size_t i = 0; i < cells->count; i++) {
        size_t size = strlen(header);
        snprintf(header + size, sizeof header - size, "%s%s", i > 0 ? "|" : "", cells->texts[i]);
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i].header, header) == 0)
            return &tables[i];
    return NULL;
}

// is_id: a kind, digits, and perhaps a letter from a to d.
static bool
is_id(const struct table *table, const char *id)
{
    if (id[0] == '\0' || strchr(table->kinds, id[0]) == NULL)
        return false;
    size_t digits = strspn(id + 1, "0123456789");
    const char *letter = id + 1 + digits;
    if (*letter >= 'a' && *letter <= 'd')
        letter++;
    return digits > 0 && *letter == '\0';
}

static bool
is_way(const char *way)
{
    return strcmp(way, "in") == 0 || strcmp(way, "out") == 0 || strcmp(way, "both") == 0;
}

// fill puts the cells where they belong; false where one is malformed.
static bool
fill(struct vector *self, const struct table *table, const struct cells *cells)
{
    char *const *cell = cells->texts;
    self->id = cell[0];
    self->kind = cell[0][0];
    if (table->kinds[0] == 'V') {
        self->socket = cell[1];
        self->way = cell[2];
        self->dialect = cell[3];
        self->command = cell[4];
        return is_way(self->way) && vector_frames_read(&self->frames, cell[5], ' ') &&
               read_records(self, cell[6]);
    }
    if (table->kinds[0] == 'N') {
        self->socket = cell[1];
        self->state = cell[2];
        self->expect = cell[4];
        self->why = cell[5];
        return self->expect[0] != '\0' && vector_frames_read(&self->frames, cell[3], ' ');
    }
    self->service = cell[1];
    self->expect = cell[3];
    self->why = cell[4];
    return self->expect[0] != '\0' && vector_frames_read(&self->frames, cell[2], ' ');
}

static size_t
columns_of(const struct table *table)
{
    size_t columns = 1;
    for (const char *c = table->header; *c != '\0'; c++)
        columns += *c == '|';
    return columns;
}

static bool
is_known(const struct vector *rows, const char *id)
{
    for (; rows != NULL; rows = rows->next)
        if (strcmp(rows->id, id) == 0)
            return true;
    return false;
}

// new_row reads a line of a table; NULL where it is malformed. It takes the line.
static struct vector *
new_row(const struct table *table, const struct vector *before, char *line)
{
    struct vector *self = allocate(1, sizeof *self);
    self->text = line;
    struct cells cells;
    if (!read_cells(&cells, line) || cells.count != columns_of(table) ||
        !is_id(table, cells.texts[0]) || is_known(before, cells.texts[0]) ||
        !fill(self, table, &cells)) {
        vectors_destroy(&self);
        return NULL;
    }
    return self;
}

// ---- the page --------------------------------------------------------------------------------

// What is known between two lines.
struct page {
    const struct table *table; // that the line stands in, NULL where it is in none
    bool is_other_table;       // it stands in one that holds no vectors
    struct vector *first;
    struct vector **end;
};

// read_line takes the line.
static bool
read_line(struct page *self, char *line)
{
    if (line[0] != '|') {
        self->table = NULL;
        self->is_other_table = false;
        free(line);
        return true;
    }
    bool is_rule = strspn(line, "|- \r") == strlen(line);
    if (self->is_other_table || (self->table != NULL && is_rule)) {
        free(line);
        return true;
    }
    if (self->table == NULL) {
        struct cells cells;
        bool is_table = read_cells(&cells, line);
        self->table = is_table ? table_of(&cells) : NULL;
        self->is_other_table = self->table == NULL;
        // A table with ids has vectors: its columns must be known.
        bool is_wrong = !is_table || (self->table == NULL && strcmp(cells.texts[0], "id") == 0);
        free(line);
        return !is_wrong;
    }
    *self->end = new_row(self->table, self->first, line);
    if (*self->end == NULL)
        return false;
    self->end = &(*self->end)->next;
    return true;
}

struct vector *
vectors_parse(const char *name, const char *text)
{
    struct page page = {.table = NULL};
    page.end = &page.first;
    for (size_t number = 1; *text != '\0'; number++) {
        size_t size = strcspn(text, "\n");
        if (!read_line(&page, strndup(text, size))) {
            fprintf(stderr, "%s:%zu: malformed: %.*s\n", name, number, (int)(size < 80 ? size : 80),
                    text);
            vectors_destroy(&page.first);
            return NULL;
        }
        text += text[size] == '\n' ? size + 1 : size;
    }
    if (page.first == NULL)
        fprintf(stderr, "%s: no vector in it\n", name);
    return page.first;
}

struct vector *
vectors_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return NULL;
    }
    char *page = NULL;
    size_t room = 0;
    ssize_t size = getdelim(&page, &room, '\0', file);
    fclose(file);
    struct vector *self = vectors_parse(path, size < 0 ? "" : page);
    free(page);
    return self;
}

void
vectors_destroy(struct vector **self_p)
{
    while (*self_p != NULL) {
        struct vector *self = *self_p;
        *self_p = self->next;
        vector_frames_release(&self->frames);
        free(self->records);
        free(self->text);
        free(self);
    }
}

size_t
vectors_count(const struct vector *self, char kind)
{
    size_t count = 0;
    for (; self != NULL; self = self->next)
        count += self->kind == kind;
    return count;
}
