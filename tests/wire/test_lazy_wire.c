// test_lazy_wire.c - the envelope of a REQ socket, with and without an id.

#include "lazy_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FRAME(text) VIEW_LITERAL(text)
#define EMPTY       VIEW_LITERAL("")

static void
head_is_an_empty_frame_and_the_id_in_front(void **state)
{
    (void)state;
    struct lazy_head head;
    lazy_wire_head(&head, false, 0x01020304);
    assert_int_equal(head.frame_count, 1);
    assert_int_equal(head.frames[0].size, 0);
    lazy_wire_head(&head, true, 0x01020304);
    assert_int_equal(head.frame_count, 2);
    assert_true(view_equals(head.frames[0], FRAME("\x01\x02\x03\x04")));
    assert_int_equal(head.frames[1].size, 0);
}

static void
body_of_a_reply_stands_behind_its_envelope(void **state)
{
    (void)state;
    static const struct {
        bool has_id;
        size_t count;
        struct view frames[4];
        size_t body_at; // 0: no reply
        uint32_t id;
    } rows[] = {
        {false, 2, {EMPTY, FRAME("body")}, 1, 0},
        {false, 3, {EMPTY, EMPTY, FRAME("body")}, 1, 0},
        {false, 4, {EMPTY, FRAME("a"), EMPTY, FRAME("b")}, 1, 0},
        {false, 2, {EMPTY, EMPTY}, 1, 0},
        {false, 0, {EMPTY}, 0, 0},
        {false, 1, {EMPTY}, 0, 0},
        {false, 1, {FRAME("body")}, 0, 0},
        {false, 2, {FRAME("body"), EMPTY}, 0, 0},
        {false, 3, {FRAME("\x01\x02\x03\x04"), EMPTY, FRAME("body")}, 0, 0},
        {true, 3, {FRAME("\x01\x02\x03\x04"), EMPTY, FRAME("body")}, 2, 0x01020304},
        {true, 4, {FRAME("\x00\x00\x00\x00"), EMPTY, FRAME("a"), FRAME("b")}, 2, 0},
        {true, 3, {FRAME("\xff\xff\xff\xff"), EMPTY, EMPTY}, 2, UINT32_MAX},
        {true, 0, {EMPTY}, 0, 0},
        {true, 1, {FRAME("\x01\x02\x03\x04")}, 0, 0},
        {true, 2, {FRAME("\x01\x02\x03\x04"), EMPTY}, 0, 0},
        {true, 2, {EMPTY, FRAME("body")}, 0, 0},
        {true, 3, {FRAME("\x01\x02\x03\x04"), FRAME("a"), FRAME("b")}, 0, 0},
        {true, 3, {FRAME("\x01\x02\x03"), EMPTY, FRAME("body")}, 0, 0},
        {true, 3, {FRAME("\x01\x02\x03\x04\x05"), EMPTY, FRAME("body")}, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t id = 99;
        assert_int_equal(lazy_wire_reply(rows[i].frames, rows[i].count, rows[i].has_id, &id),
                         rows[i].body_at);
        if (rows[i].body_at > 0)
            assert_int_equal(id, rows[i].id);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_is_an_empty_frame_and_the_id_in_front),
        cmocka_unit_test(body_of_a_reply_stands_behind_its_envelope),
    };
    return cmocka_run_group_tests_name("lazy_wire", tests, NULL, NULL);
}
