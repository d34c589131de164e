// test_endpoints.c - what is an endpoint, and what only looks like one.

#include "endpoints.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void
list_is_cut_at_commas_and_blanks_do_not_count(void **state)
{
    (void)state;
    struct endpoints endpoints;
    assert_true(endpoints_init(&endpoints, " tcp://a:1,\tipc://b ,tcp://[::1]:65535"));
    assert_int_equal(endpoints.count, 3);
    assert_string_equal(endpoints.texts[0], "tcp://a:1");
    assert_string_equal(endpoints.texts[1], "ipc://b");
    assert_string_equal(endpoints.texts[2], "tcp://[::1]:65535");
    endpoints_release(&endpoints);
}

static void
what_nobody_can_connect_to_is_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"",
                                        "nonsense",
                                        "tcp://",
                                        "://a:1",
                                        "tcp://a",
                                        "tcp://:1",
                                        "tcp://a:",
                                        "tcp://a:x",
                                        "tcp://a:1x",
                                        "tcp://a:*",
                                        "tcp://a:0",
                                        "tcp://a:00000",
                                        "tcp://a:65536",
                                        "tcp://a:99999",
                                        "tcp://a:100000",
                                        "tcp://a:18446744073709551617",
                                        "tcp://[::1]",
                                        "tcp://[::1:5555",
                                        "tcp://::1:5555",
                                        "tcp://a:1,",
                                        "tcp://a:1,,tcp://b:1"};
    struct endpoints endpoints;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        errno = 0;
        if (endpoints_init(&endpoints, lists[i]))
            fail_msg("taken: '%s'", lists[i]);
        assert_int_equal(errno, EINVAL);
        assert_null(endpoints.memory);
    }
}

static void
own_address_may_stand_before_that_of_the_broker(void **state)
{
    (void)state;
    struct endpoints endpoints;
    assert_true(endpoints_init(&endpoints, "tcp://192.168.1.17:0;192.168.1.1:5555"));
    endpoints_release(&endpoints);
    assert_false(endpoints_init(&endpoints, "tcp://192.168.1.17:5555;192.168.1.1:0"));
}

static void
more_than_fit_are_refused(void **state)
{
    (void)state;
    struct endpoints endpoints;
    char list[16 * (ENDPOINTS_MAX + 1)];
    size_t size = 0;
    for (size_t i = 0; i <= ENDPOINTS_MAX; i++) {
        size_t last = size;
        size += (size_t)snprintf(list + size, sizeof list - size, "%stcp://a:1", i == 0 ? "" : ",");
        bool fits = endpoints_init(&endpoints, list);
        assert_int_equal(fits, i < ENDPOINTS_MAX);
        assert_int_equal(endpoints.count, fits ? i + 1 : 0);
        assert_true(size > last);
        endpoints_release(&endpoints);
    }
}

static void
any_free_port_can_be_bound_and_no_other_nonsense(void **state)
{
    (void)state;
    static const char *const good[] = {
        "tcp://127.0.0.1:5555", "tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "tcp://*:65535",
        "tcp://[::1]:*",        "tcp://eth0:5555",   "ipc:///tmp/broker", "inproc://broker"};
    static const char *const bad[] = {"127.0.0.1:5555",
                                      "tcp://127.0.0.1",
                                      "tcp://127.0.0.1:65536",
                                      "tcp://127.0.0.1:99999",
                                      "tcp://127.0.0.1:**",
                                      "tcp://[::1]",
                                      "tcp://::1:5555",
                                      "tcp://127.0.0.1:5555,tcp://127.0.0.1:5556",
                                      "tcp://127.0.0.1:0;0.0.0.0:5555"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!endpoints_is_bindable(good[i]))
            fail_msg("refused: '%s'", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (endpoints_is_bindable(bad[i]))
            fail_msg("taken: '%s'", bad[i]);
}

static void
brackets_make_an_address_ipv6(void **state)
{
    (void)state;
    assert_true(endpoints_is_ipv6("tcp://[::1]:5555"));
    assert_true(endpoints_is_ipv6("tcp://[::]:0;[::1]:5555"));
    assert_false(endpoints_is_ipv6("tcp://127.0.0.1:5555"));
    assert_false(endpoints_is_ipv6("tcp://localhost:5555"));
    assert_false(endpoints_is_ipv6("ipc:///tmp/[::1]"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_is_cut_at_commas_and_blanks_do_not_count),
        cmocka_unit_test(what_nobody_can_connect_to_is_refused),
        cmocka_unit_test(own_address_may_stand_before_that_of_the_broker),
        cmocka_unit_test(more_than_fit_are_refused),
        cmocka_unit_test(any_free_port_can_be_bound_and_no_other_nonsense),
        cmocka_unit_test(brackets_make_an_address_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
