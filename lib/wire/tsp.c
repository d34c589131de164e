// tsp.c - what is asked of Titanic, from the frames of a body.
//
// Frames after those that a service has are ignored. What is malformed is answered 400
// and nothing of it is stored.

#include "tsp.h"

#include "mdp_wire.h"
#include "service_name.h"
#include "text.h"
#include "tsp_filter.h"

enum { NUMBER_DIGITS_MAX = 15, STATUS_DIGITS = 3 };

static const struct view service_names[TSP_SERVICES] = {
#define X(name, text) [name] = {(const uint8_t *)(text), sizeof(text) - 1},
    TSP_SERVICE_MAP(X)
#undef X
};

enum tsp_service
tsp_service_of(struct view name)
{
    for (int service = 0; service < TSP_SERVICES; service++)
        if (view_equals(name, service_names[service]))
            return (enum tsp_service)service;
    return TSP_SERVICES;
}

const char *
tsp_service_name(enum tsp_service service)
{
    return service < TSP_SERVICES ? (const char *)service_names[service].data : "";
}

uint32_t
tsp_status_of(struct view frame)
{
    uint64_t status;
    if (frame.size < STATUS_DIGITS ||
        !text_parse_number(view_of(frame.data, STATUS_DIGITS), &status))
        return 0;
    bool is_alone = frame.size == STATUS_DIGITS || frame.data[STATUS_DIGITS] == ' ';
    return is_alone ? (uint32_t)status : 0;
}

// ---- fields ----------------------------------------------------------------------------------

static bool
read_number(struct view text, uint64_t *number_out)
{
    return text.size <= NUMBER_DIGITS_MAX && text_parse_number(text, number_out);
}

// read_field reads a number where there is a line of that name; false: it is none.
static bool
read_field(struct view fields, struct view name, uint64_t *number_out)
{
    struct view value;
    return !mdp_fields_find(fields, name, &value) || read_number(value, number_out);
}

static const char *
read_fields(struct tsp_request *request, struct view fields)
{
    if (fields.size > TSP_FIELDS_BYTES_MAX)
        return "fields of more than 4096 bytes";
    request->fields = fields;
    uint64_t attempts = 0;
    if (mdp_fields_find(fields, VIEW_LITERAL("idempotency-key"), &request->key) &&
        (request->key.size < 1 || request->key.size > DURABLE_KEY_BYTES_MAX))
        return "idempotency-key: not of 1 to 64 bytes";
    if (!read_field(fields, VIEW_LITERAL("not-before-ms"), &request->not_before_ms))
        return "not-before-ms: no number of 1 to 15 digits";
    if (!read_field(fields, VIEW_LITERAL("deadline-ms"), &request->deadline_ms))
        return "deadline-ms: no number of 1 to 15 digits";
    if (!read_field(fields, VIEW_LITERAL("attempts"), &attempts) || attempts > UINT32_MAX)
        return "attempts: no number from 0 to 4294967295";
    request->attempts = (uint32_t)attempts;
    return NULL;
}

// is_kept: does the line go on to the worker?
static bool
is_kept(struct view line)
{
    static const char *const ours[] = {"titanic-id",    "user",        "epoch",
                                       "not-before-ms", "deadline-ms", "attempts"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        struct view value;
        size_t size = 0;
        while (ours[i][size] != '\0')
            size++;
        if (mdp_fields_find(line, view_of(ours[i], size), &value))
            return false;
    }
    return true;
}

size_t
tsp_fields_kept(uint8_t *to, struct view fields)
{
    size_t written = 0;
    while (fields.size > 0) {
        const uint8_t *end = memchr(fields.data, '\n', fields.size);
        size_t size = end == NULL ? fields.size : (size_t)(end - fields.data) + 1;
        struct view line = view_of(fields.data, size);
        if (is_kept(line)) {
            memcpy(to + written, line.data, line.size);
            written += line.size;
        }
        fields = view_skip(fields, size);
    }
    return written;
}

// ---- requests --------------------------------------------------------------------------------

// read_target reads the service that is to do the work, which is followed by its body.
static const char *
read_target(struct tsp_request *request, const struct view *frames, size_t at)
{
    if (!service_name_is_valid(frames[at]))
        return "no name of a service";
    if (!service_name_is_for_workers(frames[at]))
        return "a reserved name";
    request->target = frames[at];
    request->body_from = at + 1;
    return NULL;
}

static const char *
read_request(struct tsp_request *request, const struct view *frames, size_t count)
{
    // 9/TSP: "Frame 1: Service name (printable string)", "Frames 2+: Request body": one at least.
    if (count < 2)
        return "no service and body";
    return read_target(request, frames, 0);
}

static const char *
read_submit(struct tsp_request *request, const struct view *frames, size_t count)
{
    if (count < 2)
        return "no fields and service";
    const char *why = read_fields(request, frames[0]);
    return why != NULL ? why : read_target(request, frames, 1);
}

static const char *
read_id(struct tsp_request *request, const struct view *frames, size_t count)
{
    return count > 0 && request_id_read(frames[0], &request->id) ? NULL : "no id";
}

static const char *
read_wait(struct tsp_request *request, const struct view *frames, size_t count)
{
    const char *why = read_id(request, frames, count);
    if (why != NULL)
        return why;
    return count > 1 && read_number(frames[1], &request->wait_ms) ? NULL
                                                                  : "no number of milliseconds";
}

static const char *
read_filter(struct tsp_request *request, const struct view *frames, size_t count)
{
    return count > 0 ? tsp_filter_read(request, frames[0]) : "no filter";
}

static const char *
read_change(struct tsp_request *request, const struct view *frames, size_t count)
{
    const char *why = read_filter(request, frames, count);
    if (why != NULL)
        return why;
    if (count < 2)
        return "no reason";
    if (frames[1].size > DURABLE_REASON_BYTES_MAX || !text_is_utf8(frames[1]))
        return "reason: more than 256 bytes, or not UTF-8";
    request->reason = frames[1];
    return NULL;
}

// read_name reads what a copy is to be called. It becomes a part of a path, so it is made of
// what no path has a meaning for.
static const char *
read_name(struct tsp_request *request, const struct view *frames, size_t count)
{
    static const char why[] = "a name has 1 to 64 letters, digits, - and _";
    if (count == 0)
        return "no name";
    struct view name = frames[0];
    if (name.size > TSP_NAME_BYTES_MAX)
        return why;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        if (!is_letter && (byte < '0' || byte > '9') && byte != '-' && byte != '_')
            return why;
    }
    request->name = name;
    return NULL;
}

enum tsp_status
tsp_read(enum tsp_service service, const struct view *frames, size_t count,
         struct tsp_request *request_out, const char **why_out)
{
    typedef const char *read_body(struct tsp_request *, const struct view *, size_t);
    static read_body *const readers[TSP_SERVICES] = {
        [TSP_REQUEST] = read_request, [TSP_REPLY] = read_id,     [TSP_CLOSE] = read_id,
        [TSP_SUBMIT] = read_submit,   [TSP_WAIT] = read_wait,    [TSP_LIST] = read_filter,
        [TSP_SHOW] = read_filter,     [TSP_STATS] = read_filter, [TSP_RETRY] = read_change,
        [TSP_CANCEL] = read_change,   [TSP_PURGE] = read_change, [TSP_BACKUP] = read_name,
    };
    *request_out = (struct tsp_request){.service = service};
    const char *why =
        service < TSP_SERVICES ? readers[service](request_out, frames, count) : "no such service";
    *why_out = why == NULL ? "" : why;
    return why == NULL ? TSP_OK : TSP_UNKNOWN;
}
