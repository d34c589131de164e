// test_tsp.c - bodies of Titanic's services beyond the vectors: ids, fields, filters, tables.

#include "tsp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID "3F2504E04F8941D39A0C0305E82C3301"

static struct view
text_of(const char *text)
{
    return view_of(text, strlen(text));
}

// ---- ids and status --------------------------------------------------------------------------

static void
id_is_read_in_either_case_with_dashes_and_without(void **state)
{
    (void)state;
    static const char *const texts[] = {ID, "3f2504e04f8941d39a0c0305e82c3301",
                                        "3F2504E0-4F89-41D3-9A0C-0305E82C3301",
                                        "3f2504e0-4f89-41d3-9a0c-0305e82C3301"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct request_id id;
        uint8_t text[REQUEST_ID_TEXT_BYTES];
        assert_true(request_id_read(text_of(texts[i]), &id));
        request_id_write(&id, text);
        assert_memory_equal(text, ID, sizeof text);
    }
}

static void
what_is_no_id_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "3F2504E0",
                                        "3F2504E04F8941D39A0C0305E82C330",
                                        "3F2504E04F8941D39A0C0305E82C33011",
                                        "3F2504E04F8941D39A0C0305E82C330G",
                                        "3F2504E0-4F89-41D39A0C0305E82C33",
                                        "3F2504E04-F89-41D3-9A0C-0305E82C3301",
                                        "3F2504E0-4F89-41D3-9A0C-0305E82C330-",
                                        "../../../../../../../../etc/passwd  "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct request_id id;
        if (request_id_read(text_of(texts[i]), &id))
            fail_msg("`%s` was taken", texts[i]);
    }
}

static void
ids_are_ordered_as_their_times_are(void **state)
{
    (void)state;
    struct request_id early, late;
    assert_true(request_id_read(text_of("0198F00000FFFFFFFFFFFFFFFFFFFFFF"), &early));
    assert_true(request_id_read(text_of("0198F0000100000000000000000000AA"), &late));
    assert_int_equal(request_id_ms(&early), 0x0198F00000FF);
    assert_true(request_id_compare(&early, &late) < 0);
    assert_true(request_id_compare(&late, &early) > 0);
    assert_true(request_id_equals(&late, &late));
    assert_false(request_id_equals(&early, &late));
}

static void
status_is_three_digits_with_nothing_or_a_space_behind(void **state)
{
    (void)state;
    assert_int_equal(tsp_status_of(text_of("200")), 200);
    assert_int_equal(tsp_status_of(text_of("200 OK")), 200);
    static const char *const wrong[] = {"", "20", "2000", "200OK", " 200", "2 0", "OK"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(tsp_status_of(text_of(wrong[i])), 0);
}

static void
service_is_known_by_its_whole_name(void **state)
{
    (void)state;
    assert_int_equal(tsp_service_of(VIEW_LITERAL("titanic.request")), TSP_REQUEST);
    assert_int_equal(tsp_service_of(VIEW_LITERAL("titanic.reques")), TSP_SERVICES);
    assert_int_equal(tsp_service_of(VIEW_LITERAL("titanic.requests")), TSP_SERVICES);
    assert_int_equal(tsp_service_of(VIEW_NONE), TSP_SERVICES);
}

// ---- requests --------------------------------------------------------------------------------

static struct tsp_request request;

static enum tsp_status
ask(enum tsp_service service, const char *first, const char *second)
{
    struct view frames[2] = {text_of(first == NULL ? "" : first),
                             text_of(second == NULL ? "" : second)};
    const char *why;
    size_t count = second != NULL ? 2 : first != NULL ? 1 : 0;
    return tsp_read(service, frames, count, &request, &why);
}

static void
request_wants_a_service_and_a_body(void **state)
{
    (void)state;
    assert_int_equal(ask(TSP_REQUEST, "echo", "Hi"), TSP_OK);
    assert_true(view_equals(request.target, VIEW_LITERAL("echo")));
    assert_int_equal(request.body_from, 1);
    assert_int_equal(ask(TSP_REQUEST, "echo", NULL), TSP_UNKNOWN);
    assert_int_equal(ask(TSP_REQUEST, NULL, NULL), TSP_UNKNOWN);
    assert_int_equal(ask(TSP_REQUEST, "", "Hi"), TSP_UNKNOWN);
    assert_int_equal(ask(TSP_REQUEST, "titanic.request", "Hi"), TSP_UNKNOWN);
    assert_int_equal(ask(TSP_REQUEST, "mmi.service", "Hi"), TSP_UNKNOWN);
}

static void
body_of_no_frames_is_refused_by_every_service(void **state)
{
    (void)state;
    for (int service = 0; service <= TSP_SERVICES; service++)
        assert_int_equal(ask((enum tsp_service)service, NULL, NULL), TSP_UNKNOWN);
}

static void
wait_of_sixteen_digits_is_refused(void **state)
{
    (void)state;
    assert_int_equal(ask(TSP_WAIT, ID, "999999999999999"), TSP_OK);
    assert_int_equal(request.wait_ms, 999999999999999);
    assert_int_equal(ask(TSP_WAIT, ID, "0000000000000001"), TSP_UNKNOWN);
    assert_int_equal(ask(TSP_WAIT, ID, ""), TSP_UNKNOWN);
}

static void
key_may_be_of_any_bytes_up_to_64(void **state)
{
    (void)state;
    char fields[100] = "idempotency-key: ";
    memset(fields + 17, 0xFF, 64);
    fields[20] = ':';
    fields[81] = '\n';
    assert_int_equal(ask(TSP_SUBMIT, fields, "echo"), TSP_OK);
    assert_int_equal(request.key.size, 64);
}

static void
reason_is_utf8_of_256_bytes(void **state)
{
    (void)state;
    char reason[300] = {0};
    memset(reason, 'a', 254);
    memcpy(reason + 254, "\xC3\xA4", 2);
    assert_int_equal(ask(TSP_PURGE, "state=dead", reason), TSP_OK);
    assert_int_equal(request.reason.size, 256);
    reason[255] = '\0';
    assert_int_equal(ask(TSP_PURGE, "state=dead", reason), TSP_UNKNOWN);
}

// ---- filters ---------------------------------------------------------------------------------

static void
escaped_service_is_kept_in_the_request(void **state)
{
    (void)state;
    assert_int_equal(ask(TSP_LIST, "service=%65%63ho%25 state=closed", NULL), TSP_OK);
    assert_true(view_equals(request.filter.service, VIEW_LITERAL("echo%")));
    assert_ptr_equal(request.filter.service.data, request.service_name);
    assert_int_equal(request.filter.state, DURABLE_CLOSED);
}

static void
page_begins_after_an_id(void **state)
{
    (void)state;
    assert_int_equal(ask(TSP_LIST, "after=" ID " limit=0010", NULL), TSP_OK);
    assert_true(request.filter.has_after);
    assert_int_equal(request_id_ms(&request.filter.after), 0x3F2504E04F89);
    assert_int_equal(request.filter.limit, 10);
    assert_int_equal(ask(TSP_LIST, "after=3F2504E0-4F89-41D3-9A0C-0305E82C3301", NULL),
                     TSP_UNKNOWN);
}

static void
units_are_of_time(void **state)
{
    (void)state;
    assert_int_equal(ask(TSP_LIST, "older-than=999999999d newer-than=1ms", NULL), TSP_OK);
    assert_true(request.filter.older_than_ms == 999999999ULL * 86400000);
    assert_int_equal(request.filter.newer_than_ms, 1);
    assert_int_equal(ask(TSP_LIST, "older-than=2m newer-than=3h", NULL), TSP_OK);
    assert_int_equal(request.filter.older_than_ms, 120000);
    assert_int_equal(request.filter.newer_than_ms, 10800000);
}

// It would be taken for a filter without the term, which changes everything.
static void
filter_that_holds_for_nothing_is_refused(void **state)
{
    (void)state;
    assert_int_equal(ask(TSP_PURGE, "newer-than=0s", "why"), TSP_UNKNOWN);
    assert_int_equal(ask(TSP_PURGE, "older-than=0s", "why"), TSP_OK);
}

static void
malformed_filters_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {" ",
                                        "limit=1 ",
                                        "limit=00001",
                                        "limit=-1",
                                        "limit=",
                                        "older-than=",
                                        "older-than=s",
                                        "older-than=1S",
                                        "older-than=1",
                                        "older-than=1 s",
                                        "service=%",
                                        "service=%4",
                                        "service=%4g",
                                        "service=a%0Ab",
                                        "service=\xFF",
                                        "state=Dead",
                                        "State=dead",
                                        "state=dead,done",
                                        "id=" ID "0",
                                        "after=",
                                        "state=dead\n",
                                        "service=a service=a",
                                        "id=" ID " service=a"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (ask(TSP_LIST, wrong[i], NULL) != TSP_UNKNOWN)
            fail_msg("`%s` was taken", wrong[i]);
}

static void
filter_has_at_most_4096_bytes(void **state)
{
    (void)state;
    static char filter[5000];
    memcpy(filter, "service=", 8);
    memset(filter + 8, 'a', 255);
    assert_int_equal(ask(TSP_LIST, filter, NULL), TSP_OK);
    memset(filter + 8, 'a', 256);
    assert_int_equal(ask(TSP_LIST, filter, NULL), TSP_UNKNOWN);
    memset(filter + 8, 'a', 4089);
    assert_int_equal(ask(TSP_LIST, filter, NULL), TSP_UNKNOWN);
}

// ---- tables ----------------------------------------------------------------------------------

static struct durable_row
row_of(enum durable_state of)
{
    struct durable_row row = {.state = of,
                              .attempts = 1,
                              .attempts_max = 10,
                              .accepted_ms = 1000,
                              .due_ms = 5000,
                              .deadline_ms = 9000,
                              .service = VIEW_LITERAL("echo"),
                              .key = VIEW_LITERAL("a\tb"),
                              .reason = VIEW_LITERAL("no\nway\xC2\x85\xFF."),
                              .frames = 2,
                              .bytes = 7,
                              .reply_frames = 1,
                              .reply_bytes = 3};
    assert_true(request_id_read(text_of(ID), &row.id));
    return row;
}

static void
assert_table(const uint8_t *table, size_t size, const char *wanted)
{
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(table, wanted, size);
}

static void
list_has_a_line_for_each_request(void **state)
{
    (void)state;
    struct durable_row found[] = {row_of(DURABLE_PENDING), row_of(DURABLE_EXPIRED)};
    struct durable_rows rows = {.count = 2, .rows = found};
    uint8_t table[1000];
    size_t size = tsp_write_list(table, sizeof table, &rows, 4000);
    assert_table(table, size,
                 "id\tservice\tstate\tattempts\tage\tdue\treason\n" ID
                 "\techo\tpending\t1\t3000\t1000\tno way  .\n" ID
                 "\techo\texpired\t1\t3000\t\tno way  .\n");
    size = tsp_write_list(table, sizeof table, &rows, 500); // the clock stands before the store's
    assert_true(size > 0);
    found[0].due_ms = 0;
    rows.count = 1;
    size = tsp_write_list(table, sizeof table, &rows, 4000);
    assert_table(table, size,
                 "id\tservice\tstate\tattempts\tage\tdue\treason\n" ID
                 "\techo\tpending\t1\t3000\t0\tno way  .\n");
}

static void
show_has_a_line_for_each_value(void **state)
{
    (void)state;
    struct durable_row found = row_of(DURABLE_PENDING);
    struct durable_rows rows = {.count = 1, .rows = &found};
    uint8_t table[1000];
    size_t size = tsp_write_show(table, sizeof table, &rows, 4000);
    assert_table(table, size,
                 "id\tname\tvalue\n" ID "\tservice\techo\n" ID "\tstate\tpending\n" ID
                 "\tattempts\t1\n" ID "\tattempts_max\t10\n" ID "\tkey\ta b\n" ID "\tage\t3000\n" ID
                 "\tnot_before\t1000\n" ID "\tdeadline\t5000\n" ID "\tframes\t2\n" ID
                 "\tbytes\t7\n" ID "\treply_frames\t1\n" ID "\treply_bytes\t3\n" ID
                 "\treason\tno way  .\n");
}

static uint64_t
three_are_out(void *context, struct view service)
{
    (void)context;
    return service.size == 0 ? 3 : 2;
}

static void
stats_have_gauges_then_counts(void **state)
{
    (void)state;
    static const struct tsp_gauge gauges[] = {{"durability", 0, "full"}, {"waits", 4, NULL}};
    struct durable_count counts[] = {
        {.pending = 1, .done = 2, .dead = 3, .expired = 4, .oldest_ms = 100},
        {.service = VIEW_LITERAL("echo"), .pending = 5}};
    struct durable_rows rows = {.service_count = 2, .services = counts};
    uint8_t table[1000];
    size_t size = tsp_write_stats(table, sizeof table, &rows, gauges, 2, three_are_out, NULL, 1100);
    assert_table(table, size,
                 "service\tname\tvalue\n\tdurability\tfull\n\twaits\t4\n"
                 "\tpending\t1\n\tout\t3\n\tdone\t2\n\tdead\t3\n\toldest\t1000\n\texpired\t4\n"
                 "echo\tpending\t5\necho\tout\t2\necho\tdone\t0\necho\tdead\t0\n"
                 "echo\toldest\t0\necho\texpired\t0\n");
}

static void
table_is_cut_between_lines(void **state)
{
    (void)state;
    struct durable_row found[] = {row_of(DURABLE_PENDING), row_of(DURABLE_DEAD)};
    struct durable_rows rows = {.count = 2, .rows = found};
    uint8_t whole[2000];
    size_t size = tsp_write_show(NULL, 0, &rows, 4000);
    assert_true(size <= sizeof whole);
    assert_int_equal(tsp_write_show(whole, size, &rows, 4000), size);
    for (size_t room = 0; room < size; room++) {
        uint8_t *part = calloc(room + 1, 1);
        assert_non_null(part);
        assert_int_equal(tsp_write_show(part, room, &rows, 4000), size);
        size_t fits = room;
        while (fits > 0 && whole[fits - 1] != '\n')
            fits--;
        assert_memory_equal(part, whole, fits);
        for (size_t i = fits; i < room; i++)
            assert_int_equal(part[i], 0);
        free(part);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_is_read_in_either_case_with_dashes_and_without),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(ids_are_ordered_as_their_times_are),
        cmocka_unit_test(status_is_three_digits_with_nothing_or_a_space_behind),
        cmocka_unit_test(service_is_known_by_its_whole_name),
        cmocka_unit_test(request_wants_a_service_and_a_body),
        cmocka_unit_test(body_of_no_frames_is_refused_by_every_service),
        cmocka_unit_test(wait_of_sixteen_digits_is_refused),
        cmocka_unit_test(key_may_be_of_any_bytes_up_to_64),
        cmocka_unit_test(reason_is_utf8_of_256_bytes),
        cmocka_unit_test(escaped_service_is_kept_in_the_request),
        cmocka_unit_test(page_begins_after_an_id),
        cmocka_unit_test(units_are_of_time),
        cmocka_unit_test(filter_that_holds_for_nothing_is_refused),
        cmocka_unit_test(malformed_filters_are_refused),
        cmocka_unit_test(filter_has_at_most_4096_bytes),
        cmocka_unit_test(list_has_a_line_for_each_request),
        cmocka_unit_test(show_has_a_line_for_each_value),
        cmocka_unit_test(stats_have_gauges_then_counts),
        cmocka_unit_test(table_is_cut_between_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
