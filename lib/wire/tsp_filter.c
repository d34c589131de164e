// tsp_filter.c - `name=value` terms, parted by single spaces, each name at most once.
//
// What a change would do to the wrong requests cannot be undone, so nothing is guessed: a
// filter that is not exactly of the form is refused whole.

#include "tsp_filter.h"
#include "hex.h"
#include "service_name.h"
#include "text.h"

#define TERM_MAP(X)                                                                                \
    X(TERM_SERVICE, "service=")                                                                    \
    X(TERM_STATE, "state=")                                                                        \
    X(TERM_OLDER_THAN, "older-than=")                                                              \
    X(TERM_NEWER_THAN, "newer-than=")                                                              \
    X(TERM_ID, "id=")                                                                              \
    X(TERM_AFTER, "after=")                                                                        \
    X(TERM_LIMIT, "limit=")

enum term {
#define X(name, text) name,
    TERM_MAP(X)
#undef X
        TERMS
};

enum { DURATION_DIGITS_MAX = 9, LIMIT_DIGITS_MAX = 4 };

// unescape writes `text` with each %HH as one byte; 0: half an escape, or more than fits.
static size_t
unescape(uint8_t *to, size_t room, struct view text)
{
    size_t written = 0;
    for (size_t at = 0; at < text.size; at++) {
        uint8_t byte = text.data[at];
        if (byte == '%') {
            uint8_t high = at + 1 < text.size ? hex_value(text.data[at + 1]) : HEX_NONE;
            uint8_t low = at + 2 < text.size ? hex_value(text.data[at + 2]) : HEX_NONE;
            if (high == HEX_NONE || low == HEX_NONE)
                return 0;
            byte = (uint8_t)(high << 4 | low);
            at += 2;
        }
        if (written == room)
            return 0;
        to[written++] = byte;
    }
    return written;
}

static const char *
read_service(struct tsp_request *request, struct view value)
{
    struct view name = value;
    if (value.size > 0 && memchr(value.data, '%', value.size) != NULL)
        name = view_of(request->service_name,
                       unescape(request->service_name, sizeof request->service_name, value));
    if (!service_name_is_valid(name))
        return "service: no name of a service";
    request->filter.service = name;
    return NULL;
}

static const char *
read_state(struct durable_filter *filter, struct view value)
{
#define X(name, number, text)                                                                      \
    if (view_equals(value, VIEW_LITERAL(text))) {                                                  \
        filter->has_state = true;                                                                  \
        filter->state = name;                                                                      \
        return NULL;                                                                               \
    }
    DURABLE_STATE_MAP(X)
#undef X
    return "state: unknown";
}

static bool
read_duration(struct view value, uint64_t *ms_out)
{
    static const struct {
        struct view name;
        uint64_t ms;
    } units[] = {{{(const uint8_t *)"ms", 2}, 1},
                 {{(const uint8_t *)"s", 1}, 1000},
                 {{(const uint8_t *)"m", 1}, 60000},
                 {{(const uint8_t *)"h", 1}, 3600000},
                 {{(const uint8_t *)"d", 1}, 86400000}};
    size_t digits = 0;
    while (digits < value.size && value.data[digits] >= '0' && value.data[digits] <= '9')
        digits++;
    uint64_t number;
    if (digits > DURATION_DIGITS_MAX || !text_parse_number(view_of(value.data, digits), &number))
        return false;
    struct view unit = view_skip(value, digits);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (view_equals(unit, units[i].name)) {
            *ms_out = number * units[i].ms;
            return true;
        }
    }
    return false;
}

static const char *
read_age(struct durable_filter *filter, enum term term, struct view value)
{
    if (term == TERM_OLDER_THAN)
        return read_duration(value, &filter->older_than_ms) ? NULL : "older-than: no duration";
    if (!read_duration(value, &filter->newer_than_ms))
        return "newer-than: no duration";
    // 0 in a filter is "not asked for", and that would be the opposite.
    return filter->newer_than_ms > 0 ? NULL : "newer-than: holds for nothing";
}

static const char *
read_limit(struct durable_filter *filter, struct view value)
{
    uint64_t limit;
    if (value.size > LIMIT_DIGITS_MAX || !text_parse_number(value, &limit) || limit < 1 ||
        limit > DURABLE_ROWS_MAX)
        return "limit: no number from 1 to 1000";
    filter->limit = (uint32_t)limit;
    return NULL;
}

static const char *
read_value(struct tsp_request *request, enum term term, struct view value)
{
    struct durable_filter *filter = &request->filter;
    switch (term) {
    case TERM_SERVICE:
        return read_service(request, value);
    case TERM_STATE:
        return read_state(filter, value);
    case TERM_OLDER_THAN:
    case TERM_NEWER_THAN:
        return read_age(filter, term, value);
    case TERM_ID:
        filter->has_id = request_id_read(value, &filter->id);
        return filter->has_id ? NULL : "id: no id";
    case TERM_AFTER:
        filter->has_after =
            value.size == REQUEST_ID_TEXT_BYTES && request_id_read(value, &filter->after);
        return filter->has_after ? NULL : "after: no id of 32 digits";
    default:
        return read_limit(filter, value);
    }
}

// term_of finds the term and takes its name off the text; TERMS where there is none.
static enum term
term_of(struct view *text_p)
{
    static const struct view names[TERMS] = {
#define X(name, text) [name] = {(const uint8_t *)(text), sizeof(text) - 1},
        TERM_MAP(X)
#undef X
    };
    for (int term = 0; term < TERMS; term++) {
        if (view_starts_with(*text_p, names[term])) {
            *text_p = view_skip(*text_p, names[term].size);
            return (enum term)term;
        }
    }
    return TERMS;
}

// next_term takes what stands before the next space, and the space. A space at the end, or
// two of them, leave a term of no bytes, which has no name.
static struct view
next_term(struct view *text_p, bool *is_last_out)
{
    const uint8_t *space = memchr(text_p->data, ' ', text_p->size);
    *is_last_out = space == NULL;
    if (space == NULL)
        return *text_p;
    struct view term = view_of(text_p->data, (size_t)(space - text_p->data));
    *text_p = view_of(space + 1, text_p->size - term.size - 1);
    return term;
}

// why_not says why such terms cannot be asked of the service; NULL: they can.
static const char *
why_not(enum tsp_service service, unsigned terms)
{
    bool may_be_empty = service == TSP_LIST || service == TSP_STATS;
    if (terms == 0 && !may_be_empty)
        return "at least one term is needed";
    if ((terms & 1U << TERM_ID) != 0 && terms != 1U << TERM_ID)
        return "id stands alone";
    if (service == TSP_STATS && (terms & ~(1U << TERM_SERVICE | 1U << TERM_LIMIT)) != 0)
        return "only service and limit can be asked for";
    return NULL;
}

const char *
tsp_filter_read(struct tsp_request *request, struct view text)
{
    if (text.size > TSP_FILTER_BYTES_MAX)
        return "filter of more than 4096 bytes";
    request->filter.limit = DURABLE_ROWS_MAX;
    unsigned seen = 0;
    for (bool is_last = text.size == 0; !is_last;) {
        if (text.size == 0)
            return "a space at the end";
        struct view value = next_term(&text, &is_last);
        enum term term = term_of(&value);
        if (term == TERMS)
            return "unknown term";
        if ((seen & 1U << term) != 0)
            return "a term stands twice";
        seen |= 1U << term;
        const char *why = read_value(request, term, value);
        if (why != NULL)
            return why;
    }
    return why_not(request->service, seen);
}
