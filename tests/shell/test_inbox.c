// test_inbox.c - messages come off a socket whole, whatever their length.

#include "inbox.h"

#include <czmq.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FRAMES_MAX = 4 };

static zsock_t *near;
static zsock_t *far;
static struct inbox inbox;

static int
set_up(void **state)
{
    (void)state;
    // A name of its own each time: the socket of the last may still be closing.
    static int number;
    number++;
    near = zsock_new(ZMQ_PAIR);
    far = zsock_new(ZMQ_PAIR);
    zsock_bind(near, "inproc://test-inbox-%d", number);
    zsock_connect(far, "inproc://test-inbox-%d", number);
    return inbox_init(&inbox, FRAMES_MAX) ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    inbox_release(&inbox);
    zsock_destroy(&near);
    zsock_destroy(&far);
    return 0;
}

static void
send_frames(size_t count)
{
    zmsg_t *message = zmsg_new();
    for (size_t i = 0; i < count; i++)
        zmsg_addstrf(message, "frame %zu", i);
    assert_int_equal(zmsg_send(&message, near), 0);
}

static void
empty_socket_gives_nothing_and_does_not_wait(void **state)
{
    (void)state;
    assert_false(inbox_receive(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, 0);
}

static void
message_comes_with_all_its_frames(void **state)
{
    (void)state;
    send_frames(FRAMES_MAX);
    assert_true(inbox_receive(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, FRAMES_MAX);
    assert_true(view_equals(inbox.frames[3], VIEW_LITERAL("frame 3")));
    assert_false(inbox_receive(&inbox, zsock_resolve(far)));
}

static void
message_that_is_too_long_is_cut_and_the_next_is_whole(void **state)
{
    (void)state;
    send_frames(FRAMES_MAX + 1);
    send_frames(200);
    send_frames(2);
    assert_true(inbox_receive(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, FRAMES_MAX + 1);
    assert_true(inbox_receive(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, FRAMES_MAX + 1);
    assert_true(view_equals(inbox.frames[FRAMES_MAX], VIEW_LITERAL("frame 4")));
    assert_true(inbox_receive(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, 2);
}

static void
frame_can_be_taken_out(void **state)
{
    (void)state;
    send_frames(3);
    assert_true(inbox_receive(&inbox, zsock_resolve(far)));
    assert_true(inbox_holds(&inbox, &inbox.frames[1]));
    assert_false(inbox_holds(&inbox, &inbox.frames[3]));
    zmq_msg_t message;
    inbox_take(&inbox, &inbox.frames[1], &message);
    assert_int_equal(zmq_msg_size(&message), 7);
    assert_memory_equal(zmq_msg_data(&message), "frame 1", 7);
    assert_int_equal(inbox.frames[1].size, 0);
    assert_true(view_equals(inbox.frames[2], VIEW_LITERAL("frame 2")));
    zmq_msg_close(&message);
}

static void
message_is_waited_for_as_long_as_the_socket_says(void **state)
{
    (void)state;
    zsock_set_rcvtimeo(far, 30);
    int64_t from_ms = zclock_mono();
    assert_false(inbox_await(&inbox, zsock_resolve(far)));
    assert_true(zclock_mono() - from_ms >= 29);
    assert_int_equal(inbox.count, 0);
    send_frames(3);
    assert_true(inbox_await(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, 3);
    send_frames(FRAMES_MAX + 5);
    send_frames(1);
    assert_true(inbox_await(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, FRAMES_MAX + 1);
    assert_true(inbox_await(&inbox, zsock_resolve(far)));
    assert_int_equal(inbox.count, 1);
}

static void
connection_of_a_message_is_known_after_a_poll_too(void **state)
{
    (void)state;
    zsock_t *router = zsock_new(ZMQ_ROUTER);
    int port = zsock_bind(router, "tcp://127.0.0.1:*");
    zsock_t *dealer = zsock_new(ZMQ_DEALER);
    assert_int_equal(zsock_connect(dealer, "tcp://127.0.0.1:%d", port), 0);
    zsock_set_rcvtimeo(router, 10000);
    for (int i = 0; i < 2; i++) {
        zstr_send(dealer, "READY");
        // A ROUTER that was asked for its events has made the routing id's frame already.
        zmq_pollitem_t item = {.socket = zsock_resolve(router), .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, 10000), 1);
        assert_true(inbox_receive(&inbox, zsock_resolve(router)));
        assert_true(inbox_connection(&inbox) > 0);
    }
    inbox_clear(&inbox);
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty_socket_gives_nothing_and_does_not_wait, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(message_comes_with_all_its_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(message_that_is_too_long_is_cut_and_the_next_is_whole,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(message_is_waited_for_as_long_as_the_socket_says, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(frame_can_be_taken_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connection_of_a_message_is_known_after_a_poll_too, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
