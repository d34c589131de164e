// test_tsp_vectors.c - every row of docs/protocol/vectors.md that Titanic's services meet.
//
// What a request means is written as the page writes it, in the page's order, and the two
// texts are compared: so nothing that a row does not name may be set.

#include "tsp.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE GALLEON_SOURCE_DIR "/docs/protocol/vectors.md"

enum { X_ROWS = 56, V_REQUESTS = 7, V_ANSWERS = 11, TEXT_BYTES_MAX = 8192 };

static struct vector *rows;

static int
read_page(void **state)
{
    (void)state;
    rows = vectors_read(PAGE);
    return rows == NULL ? -1 : 0;
}

static int
forget_page(void **state)
{
    (void)state;
    vectors_destroy(&rows);
    return 0;
}

// ---- what was read, as text ------------------------------------------------------------------

static void
say(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, TEXT_BYTES_MAX - used, format, arguments);
    va_end(arguments);
}

static void
say_hex(char *text, const char *name, struct view bytes)
{
    say(text, " %s=", name);
    for (size_t i = 0; i < bytes.size; i++)
        say(text, "%02X", bytes.data[i]);
    if (bytes.size == 0)
        say(text, "-");
}

static void
say_number(char *text, const char *name, uint64_t number)
{
    if (number > 0)
        say(text, " %s=%llu", name, (unsigned long long)number);
}

static void
say_service(char *text, struct view service)
{
    say(text, " service=");
    for (size_t i = 0; i < service.size; i++)
        say(text, service.data[i] == ' ' || service.data[i] == '%' ? "%%%02X" : "%c",
            service.data[i]);
}

static void
say_id(char *text, const struct request_id *id)
{
    uint8_t digits[REQUEST_ID_TEXT_BYTES];
    request_id_write(id, digits);
    say(text, " id=%.32s", (const char *)digits);
}

// say_other: the fields that are kept, but for the key.
static void
say_other(char *text, struct view fields)
{
    uint8_t *kept = malloc(fields.size + 1);
    assert_non_null(kept);
    struct view other = view_of(kept, tsp_fields_kept(kept, fields));
    struct view key = VIEW_LITERAL("idempotency-key: ");
    if (view_starts_with(other, key)) {
        const uint8_t *end = memchr(other.data, '\n', other.size);
        other = view_skip(other, (size_t)(end - other.data) + 1);
    }
    if (other.size > 0)
        say_hex(text, "other", other);
    free(kept);
}

static void
say_submit(char *text, const struct tsp_request *request, struct vector_frames body)
{
    if (request->key.size > 0)
        say_hex(text, "key", request->key);
    say_number(text, "not_before", request->not_before_ms);
    say_number(text, "deadline", request->deadline_ms);
    say_number(text, "attempts", request->attempts);
    say_other(text, request->fields);
    say_service(text, request->target);
    for (size_t i = request->body_from; i < body.count; i++)
        say_hex(text, "body", body.frames[i]);
}

static void
say_filter(char *text, const struct durable_filter *filter)
{
    static const char *const states[] = {"pending", "done", "dead", "closed", "expired"};
    if (filter->service.size > 0)
        say_service(text, filter->service);
    if (filter->has_state)
        say(text, " state=%s", states[filter->state]);
    say_number(text, "older_than", filter->older_than_ms);
    say_number(text, "newer_than", filter->newer_than_ms);
    if (filter->has_id)
        say_id(text, &filter->id);
    say_number(text, "limit", filter->limit);
}

// meaning_of writes what the body means, or the code, as the page does.
static void
meaning_of(enum tsp_service service, struct vector_frames body, char *text)
{
    struct tsp_request request;
    const char *why;
    text[0] = '\0';
    enum tsp_status status = tsp_read(service, body.frames, body.count, &request, &why);
    if (status != TSP_OK) {
        assert_true(why[0] != '\0');
        say(text, " %d", (int)status);
        return;
    }
    assert_string_equal(why, "");
    assert_int_equal(request.service, service);
    if (service == TSP_REQUEST || service == TSP_SUBMIT)
        say_submit(text, &request, body);
    else if (service == TSP_REPLY || service == TSP_CLOSE || service == TSP_WAIT)
        say_id(text, &request.id);
    else
        say_filter(text, &request.filter);
    if (service == TSP_WAIT)
        say(text, " ms=%llu", (unsigned long long)request.wait_ms);
    if (service >= TSP_RETRY)
        say_hex(text, "reason", request.reason);
}

static struct view
view_of_text(const char *text)
{
    return view_of(text, strlen(text));
}

// ---- the rows --------------------------------------------------------------------------------

static void
every_row_of_a_body_means_what_it_says(void **state)
{
    (void)state;
    static char text[TEXT_BYTES_MAX];
    int wrong = 0, count = 0;
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        if (row->kind != 'X')
            continue;
        enum tsp_service service = tsp_service_of(view_of_text(row->service));
        assert_int_not_equal(service, TSP_SERVICES);
        assert_string_equal(tsp_service_name(service), row->service);
        meaning_of(service, row->frames, text);
        if (strcmp(text + 1, row->expect) != 0) {
            print_error("%s is `%s`\n", row->id, text + 1);
            wrong++;
        }
        count++;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(count, X_ROWS);
}

// body_of_row: the body of a row of section 1 that goes to Titanic or comes from it.
static bool
body_of_row(const struct vector *row, enum tsp_service *service_out, struct vector_frames *body_out)
{
    if (row->kind != 'V' || row->record_count != 1)
        return false;
    const char *service = vector_item(&row->records[0], "service");
    const char *body = vector_item(&row->records[0], "body");
    if (service == NULL || body == NULL)
        return false;
    *service_out = tsp_service_of(view_of_text(service));
    return *service_out != TSP_SERVICES && vector_frames_read(body_out, body, ',');
}

static void
every_request_among_the_majordomo_rows_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        const char *meaning;
    } wanted[V_REQUESTS] = {
        {"V17a", " service=echo body=4869"},
        {"V18a", " id=3F2504E04F8941D39A0C0305E82C3301"},
        {"V25a", " id=3F2504E04F8941D39A0C0305E82C3301"},
        {"V30a", " key=6131 not_before=1000 deadline=60000 attempts=3 service=echo body=4869"},
        {"V31a", " id=3F2504E04F8941D39A0C0305E82C3301 ms=5000"},
        {"V32a", " state=dead limit=1"},
        {"V33a", " state=dead older_than=604800000 limit=1000 reason=6F6C64"},
    };
    static char text[TEXT_BYTES_MAX];
    int count = 0;
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        enum tsp_service service;
        struct vector_frames body;
        if (!body_of_row(row, &service, &body))
            continue;
        if (strcmp(row->way, "in") == 0) {
            meaning_of(service, body, text);
            assert_true(count < V_REQUESTS);
            assert_string_equal(row->id, wanted[count].id);
            assert_string_equal(text, wanted[count].meaning);
            count++;
        }
        vector_frames_release(&body);
    }
    assert_int_equal(count, V_REQUESTS);
}

static void
every_answer_among_the_majordomo_rows_begins_with_its_status(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        uint32_t status;
    } wanted[V_ANSWERS] = {{"V17b", 200}, {"V18b", 300}, {"V18c", 400}, {"V18d", 200},
                           {"V25b", 200}, {"V30b", 200}, {"V30c", 409}, {"V31b", 300},
                           {"V31c", 200}, {"V32b", 200}, {"V33b", 200}};
    int count = 0;
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        enum tsp_service service;
        struct vector_frames body;
        if (!body_of_row(row, &service, &body))
            continue;
        if (strcmp(row->way, "out") == 0) {
            assert_true(count < V_ANSWERS);
            assert_string_equal(row->id, wanted[count].id);
            assert_int_equal(tsp_status_of(body.frames[0]), wanted[count].status);
            struct request_id id;
            bool has_id =
                (service == TSP_REQUEST || service == TSP_SUBMIT) && wanted[count].status == TSP_OK;
            assert_true(!has_id || request_id_read(body.frames[1], &id));
            count++;
        }
        vector_frames_release(&body);
    }
    assert_int_equal(count, V_ANSWERS);
}

static void
written_list_is_that_of_its_row(void **state)
{
    (void)state;
    struct durable_row request = {.state = DURABLE_DEAD,
                                  .attempts = 10,
                                  .accepted_ms = 1000,
                                  .service = VIEW_LITERAL("echo"),
                                  .reason = VIEW_LITERAL("timed out")};
    assert_true(request_id_read(VIEW_LITERAL("3F2504E04F8941D39A0C0305E82C3301"), &request.id));
    struct durable_rows found = {.count = 1, .rows = &request};
    uint8_t table[1000];
    size_t size = tsp_write_list(table, sizeof table, &found, 7201000);
    for (const struct vector *row = rows; row != NULL; row = row->next) {
        enum tsp_service service;
        struct vector_frames body;
        if (strcmp(row->id, "V32b") != 0 || !body_of_row(row, &service, &body))
            continue;
        assert_true(view_equals(body.frames[1], view_of(table, size)));
        vector_frames_release(&body);
        return;
    }
    fail();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_a_body_means_what_it_says),
        cmocka_unit_test(every_request_among_the_majordomo_rows_is_read),
        cmocka_unit_test(every_answer_among_the_majordomo_rows_begins_with_its_status),
        cmocka_unit_test(written_list_is_that_of_its_row),
    };
    return cmocka_run_group_tests(tests, read_page, forget_page);
}
