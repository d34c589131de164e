// tsp_table.c - the tables of titanic.list, titanic.show and titanic.stats.

#include "text.h"
#include "tsp.h"

// A table under way. The first line that does not fit ends what is written, not what is
// counted.
struct table {
    uint8_t *to;
    size_t room;
    size_t size;       // of all of it
    size_t line_begin; // of the line under way
    bool is_cut;
};

static void
add(struct table *self, struct view piece)
{
    if (!self->is_cut && piece.size > self->room - self->size) {
        self->is_cut = true;
        if (self->size > self->line_begin)
            memset(self->to + self->line_begin, 0, self->size - self->line_begin);
    }
    if (!self->is_cut && piece.size > 0)
        memcpy(self->to + self->size, piece.data, piece.size);
    self->size += piece.size;
}

static void
add_char(struct table *self, char character)
{
    add(self, view_of(&character, 1));
    if (character == '\n')
        self->line_begin = self->size;
}

static void
add_number(struct table *self, uint64_t number)
{
    uint8_t digits[20];
    struct text text;
    text_init(&text, digits, sizeof digits);
    text_add_number(&text, number);
    add(self, text_view(&text));
}

static void
add_word(struct table *self, const char *word)
{
    size_t size = 0;
    while (word[size] != '\0')
        size++;
    add(self, view_of(word, size));
}

// add_text: a space in place of what would end the cell, or is no UTF-8.
static void
add_text(struct table *self, struct view text)
{
    while (text.size > 0) {
        struct view character;
        bool is_shown = text_next(&text, &character);
        add(self, is_shown ? character : VIEW_LITERAL(" "));
    }
}

static void
add_id(struct table *self, const struct request_id *id)
{
    uint8_t text[REQUEST_ID_TEXT_BYTES];
    request_id_write(id, text);
    add(self, view_of(text, sizeof text));
}

static const char *
state_name(enum durable_state state)
{
    static const char *const names[DURABLE_STATES] = {
#define X(name, number, text) [name] = text,
        DURABLE_STATE_MAP(X)
#undef X
    };
    return (size_t)state < DURABLE_STATES ? names[state] : "";
}

// left is how long it is from one to the other, 0 where that is over.
static uint64_t
left(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? to_ms - from_ms : 0;
}

// ---- titanic.list ----------------------------------------------------------------------------

static void
add_list_row(struct table *self, const struct durable_row *row, uint64_t now_ms)
{
    add_id(self, &row->id);
    add_char(self, '\t');
    add_text(self, row->service);
    add_char(self, '\t');
    add_word(self, state_name(row->state));
    add_char(self, '\t');
    add_number(self, row->attempts);
    add_char(self, '\t');
    add_number(self, left(row->accepted_ms, now_ms));
    add_char(self, '\t');
    if (row->state == DURABLE_PENDING)
        add_number(self, left(now_ms, row->due_ms));
    add_char(self, '\t');
    add_text(self, row->reason);
    add_char(self, '\n');
}

size_t
tsp_write_list(uint8_t *to, size_t room, const struct durable_rows *rows, uint64_t now_ms)
{
    struct table table = {.to = to, .room = room};
    add_word(&table, "id\tservice\tstate\tattempts\tage\tdue\treason");
    add_char(&table, '\n');
    for (size_t i = 0; i < rows->count; i++)
        add_list_row(&table, &rows->rows[i], now_ms);
    return table.size;
}

// ---- titanic.show ----------------------------------------------------------------------------

static void
begin_value(struct table *self, const struct durable_row *row, const char *name)
{
    add_id(self, &row->id);
    add_char(self, '\t');
    add_word(self, name);
    add_char(self, '\t');
}

static void
add_text_value(struct table *self, const struct durable_row *row, const char *name,
               struct view text)
{
    begin_value(self, row, name);
    add_text(self, text);
    add_char(self, '\n');
}

static void
add_number_value(struct table *self, const struct durable_row *row, const char *name,
                 uint64_t number)
{
    begin_value(self, row, name);
    add_number(self, number);
    add_char(self, '\n');
}

// add_time_value: the time until then, empty where there is no then.
static void
add_time_value(struct table *self, const struct durable_row *row, const char *name, bool has_it,
               uint64_t ms)
{
    begin_value(self, row, name);
    if (has_it)
        add_number(self, ms);
    add_char(self, '\n');
}

static void
add_show_rows(struct table *self, const struct durable_row *row, uint64_t now_ms)
{
    add_text_value(self, row, "service", row->service);
    begin_value(self, row, "state");
    add_word(self, state_name(row->state));
    add_char(self, '\n');
    add_number_value(self, row, "attempts", row->attempts);
    add_number_value(self, row, "attempts_max", row->attempts_max);
    add_text_value(self, row, "key", row->key);
    add_number_value(self, row, "age", left(row->accepted_ms, now_ms));
    add_time_value(self, row, "not_before", row->state == DURABLE_PENDING,
                   left(now_ms, row->due_ms));
    add_time_value(self, row, "deadline", row->deadline_ms > 0, left(now_ms, row->deadline_ms));
    add_number_value(self, row, "frames", row->frames);
    add_number_value(self, row, "bytes", row->bytes);
    add_number_value(self, row, "reply_frames", row->reply_frames);
    add_number_value(self, row, "reply_bytes", row->reply_bytes);
    add_text_value(self, row, "reason", row->reason);
}

size_t
tsp_write_show(uint8_t *to, size_t room, const struct durable_rows *rows, uint64_t now_ms)
{
    struct table table = {.to = to, .room = room};
    add_word(&table, "id\tname\tvalue");
    add_char(&table, '\n');
    for (size_t i = 0; i < rows->count; i++)
        add_show_rows(&table, &rows->rows[i], now_ms);
    return table.size;
}

// ---- titanic.stats ---------------------------------------------------------------------------

static void
begin_stat(struct table *self, struct view service, const char *name)
{
    add_text(self, service);
    add_char(self, '\t');
    add_word(self, name);
    add_char(self, '\t');
}

static void
add_stat(struct table *self, struct view service, const char *name, uint64_t value)
{
    begin_stat(self, service, name);
    add_number(self, value);
    add_char(self, '\n');
}

static void
add_gauge(struct table *self, const struct tsp_gauge *gauge)
{
    begin_stat(self, VIEW_NONE, gauge->name);
    if (gauge->text != NULL)
        add_word(self, gauge->text);
    else
        add_number(self, gauge->value);
    add_char(self, '\n');
}

size_t
tsp_write_stats(uint8_t *to, size_t room, const struct durable_rows *rows,
                const struct tsp_gauge *gauges, size_t gauge_count,
                uint64_t (*out_of)(void *context, struct view service), void *context,
                uint64_t now_ms)
{
    struct table table = {.to = to, .room = room};
    add_word(&table, "service\tname\tvalue");
    add_char(&table, '\n');
    for (size_t i = 0; i < gauge_count; i++)
        add_gauge(&table, &gauges[i]);
    for (size_t i = 0; rows != NULL && i < rows->service_count; i++) {
        const struct durable_count *of = &rows->services[i];
        uint64_t oldest_ms = of->oldest_ms > 0 ? left(of->oldest_ms, now_ms) : 0;
        add_stat(&table, of->service, "pending", of->pending);
        add_stat(&table, of->service, "out", out_of == NULL ? 0 : out_of(context, of->service));
        add_stat(&table, of->service, "done", of->done);
        add_stat(&table, of->service, "dead", of->dead);
        add_stat(&table, of->service, "oldest", oldest_ms);
        add_stat(&table, of->service, "expired", of->expired);
    }
    return table.size;
}
