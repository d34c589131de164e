// fuzz_tsp.c - any body is read within its bounds, and what was taken keeps to the rules.
//
// The input is the number of a service, a byte, and then frames, each a length of two
// bytes in network order and that many bytes, the last as long as the input is.

#include "frames.h"
#include "must.h"
#include "service_name.h"
#include "tsp.h"

#include <stdlib.h>

enum { FRAMES_MAX = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_fields(struct view fields)
{
    uint8_t *kept = malloc(2 * fields.size + 1);
    must(kept != NULL);
    size_t size = tsp_fields_kept(kept, fields);
    must(size <= fields.size);
    must(tsp_fields_kept(kept + size, view_of(kept, size)) == size);
    free(kept);
}

static void
check_filter(const struct durable_filter *filter)
{
    must(filter->limit >= 1 && filter->limit <= DURABLE_ROWS_MAX);
    must(filter->service.size == 0 || service_name_is_valid(filter->service));
    must(filter->state < DURABLE_STATES);
}

// check_table: a table of what was asked for is cut to whole lines, whatever the bytes are.
static void
check_table(const struct tsp_request *request)
{
    struct durable_row row = {.service = request->target,
                              .key = request->key,
                              .reason = request->fields,
                              .state = DURABLE_PENDING};
    struct durable_rows rows = {.count = 1, .rows = &row};
    size_t size = tsp_write_show(NULL, 0, &rows, 0);
    uint8_t *table = malloc(size);
    must(table != NULL);
    must(tsp_write_show(table, size, &rows, 0) == size);
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += table[i] == '\n';
    must(lines == 14 && table[size - 1] == '\n');
    must(tsp_write_show(table, size / 2, &rows, 0) == size);
    free(table);
}

static void
check(const struct tsp_request *request, const struct fuzz_frames *frames)
{
    if (request->service == TSP_REQUEST || request->service == TSP_SUBMIT) {
        must(service_name_is_valid(request->target));
        must(service_name_is_for_workers(request->target));
        must(request->body_from <= frames->count);
        must(request->key.size <= DURABLE_KEY_BYTES_MAX);
        check_fields(request->fields);
        check_table(request);
    } else if (request->service == TSP_BACKUP) {
        // It becomes a part of a path.
        must(request->name.size <= TSP_NAME_BYTES_MAX);
        for (size_t i = 0; i < request->name.size; i++)
            must(strchr("./", request->name.data[i]) == NULL);
    } else if (request->service >= TSP_LIST) {
        check_filter(&request->filter);
        must(request->reason.size <= DURABLE_REASON_BYTES_MAX);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct fuzz_frames frames;
    fuzz_frames_split(&frames, view_of(data + 1, size - 1), FRAMES_MAX);
    enum tsp_service service = (enum tsp_service)(data[0] % TSP_SERVICES);
    struct tsp_request request;
    const char *why;
    enum tsp_status status = tsp_read(service, frames.frames, frames.count, &request, &why);
    must(status == TSP_OK || status == TSP_UNKNOWN);
    must((status == TSP_OK) == (why[0] == '\0'));
    if (status == TSP_OK)
        check(&request, &frames);
    for (size_t i = 0; i < frames.count; i++)
        must(tsp_status_of(frames.frames[i]) <= 999);
    fuzz_frames_release(&frames);
    return 0;
}
