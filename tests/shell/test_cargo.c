// test_cargo.c - what goes into cargo comes out of it.

#include "cargo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct cargo_pool pool;

static int
set_up(void **state)
{
    (void)state;
    cargo_pool_init(&pool);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    assert_int_equal(pool.live, 0);
    cargo_pool_release(&pool);
    return 0;
}

static zmsg_t *
message_of(size_t count, size_t bytes)
{
    zmsg_t *message = zmsg_new();
    uint8_t *text = malloc(bytes + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++) {
        memset(text, 'a' + (int)(i % 26), bytes);
        zmsg_addmem(message, text, bytes);
    }
    free(text);
    return message;
}

static struct cargo *
cargo_with(struct view fields, size_t count, size_t bytes)
{
    zmsg_t *message = message_of(count, bytes);
    struct cargo *cargo = cargo_of_message(&pool, fields, &message);
    assert_null(message);
    assert_non_null(cargo);
    return cargo;
}

// assert_frames: `count` frames of `bytes` bytes each, a, b, c and so on, from `letter`.
static void
assert_frames(struct mdp_body body, size_t count, size_t bytes)
{
    assert_int_equal(body.count, count);
    assert_int_equal(body.bytes, count * bytes);
    size_t cursor = 0;
    struct view frame;
    for (size_t i = 0; i < count; i++) {
        assert_true(mdp_body_next(&body, &cursor, &frame));
        assert_int_equal(frame.size, bytes);
        for (size_t j = 0; j < bytes; j++)
            assert_int_equal(frame.data[j], 'a' + (int)(i % 26));
    }
    assert_false(mdp_body_next(&body, &cursor, &frame));
}

static void
small_body_is_packed_with_its_fields(void **state)
{
    (void)state;
    struct cargo *cargo = cargo_with(VIEW_LITERAL("user: me\n"), 3, 100);
    assert_false(cargo_is_loose(cargo));
    assert_true(view_equals(cargo_fields(cargo), VIEW_LITERAL("user: me\n")));
    assert_frames(cargo_body(cargo), 3, 100);
    cargo_release(&pool, cargo);
}

static void
large_body_is_loose_with_its_fields(void **state)
{
    (void)state;
    struct cargo *cargo = cargo_with(VIEW_LITERAL("a: b\n"), 3, 6000);
    assert_true(cargo_is_loose(cargo));
    assert_true(view_equals(cargo_fields(cargo), VIEW_LITERAL("a: b\n")));
    assert_frames(cargo_body(cargo), 3, 6000);
    assert_true(cargo_bytes(cargo) >= 18000);
    cargo_release(&pool, cargo);
}

static void
body_becomes_loose_at_the_limit(void **state)
{
    (void)state;
    struct cargo *below = cargo_with(VIEW_NONE, 1, MDP_LOOSE_BYTES_MIN - 1);
    struct cargo *at = cargo_with(VIEW_NONE, 1, MDP_LOOSE_BYTES_MIN);
    struct cargo *many = cargo_with(VIEW_NONE, MDP_PARTS_MAX + 1, 1);
    assert_false(cargo_is_loose(below));
    assert_true(cargo_is_loose(at));
    assert_true(cargo_is_loose(many));
    assert_frames(cargo_body(many), MDP_PARTS_MAX + 1, 1);
    cargo_release(&pool, below);
    cargo_release(&pool, at);
    cargo_release(&pool, many);
}

static void
body_may_be_empty_or_have_an_empty_frame(void **state)
{
    (void)state;
    zmsg_t *nothing = NULL;
    struct cargo *none = cargo_of_message(&pool, VIEW_NONE, &nothing);
    struct cargo *empty = cargo_with(VIEW_NONE, 1, 0);
    assert_frames(cargo_body(none), 0, 0);
    assert_frames(cargo_body(empty), 1, 0);
    zmsg_t *message = cargo_to_message(&pool, empty);
    assert_int_equal(zmsg_size(message), 1);
    zmsg_destroy(&message);
    cargo_release(&pool, none);
    cargo_release(&pool, empty);
}

static void
message_comes_back_as_it_was(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 33, 34, 100, 3000, 9000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct cargo *cargo = cargo_with(VIEW_NONE, 4, sizes[i]);
        zmsg_t *message = cargo_to_message(&pool, cargo);
        zmsg_t *expected = message_of(4, sizes[i]);
        assert_int_equal(zmsg_size(message), 4);
        zframe_t *frame = zmsg_first(message);
        zframe_t *other = zmsg_first(expected);
        for (; frame != NULL; frame = zmsg_next(message), other = zmsg_next(expected))
            assert_true(zframe_eq(frame, other));
        zmsg_destroy(&message);
        zmsg_destroy(&expected);
        cargo_release(&pool, cargo);
    }
}

// ---- out of records --------------------------------------------------------------------

// A connected pair of sockets, to receive on.
struct wire {
    zsock_t *near;
    zsock_t *far;
    struct inbox inbox;
};

static void
wire_open(struct wire *wire, size_t frames_max)
{
    // A name of its own each time: the socket of the last may still be closing.
    static int number;
    number++;
    wire->near = zsock_new(ZMQ_PAIR);
    wire->far = zsock_new(ZMQ_PAIR);
    zsock_bind(wire->near, "inproc://test-cargo-%d", number);
    zsock_connect(wire->far, "inproc://test-cargo-%d", number);
    assert_true(inbox_init(&wire->inbox, frames_max));
}

static void
wire_close(struct wire *wire)
{
    inbox_release(&wire->inbox);
    zsock_destroy(&wire->near);
    zsock_destroy(&wire->far);
}

static void
wire_carry(struct wire *wire, zmsg_t *message)
{
    assert_int_equal(zmsg_send(&message, wire->near), 0);
    assert_true(inbox_receive(&wire->inbox, zsock_resolve(wire->far)));
}

static struct mdp_record
request_of(const struct wire *wire, struct view fields)
{
    return (struct mdp_record){
        .dialect = MDP_G1,
        .side = MDP_CLIENT_SIDE,
        .command = MDP_REQUEST,
        .fields = fields,
        .body = mdp_body_of(wire->inbox.frames, wire->inbox.count),
    };
}

static void
record_becomes_cargo_of_either_kind(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 20, 100, 6000, 20000};
    struct wire wire;
    wire_open(&wire, 16);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        wire_carry(&wire, message_of(3, sizes[i]));
        struct mdp_record record = request_of(&wire, VIEW_LITERAL("x: y\n"));
        struct cargo *cargo = cargo_of_record(&pool, &record, &wire.inbox);
        inbox_clear(&wire.inbox);
        assert_int_equal(cargo_is_loose(cargo), sizes[i] >= 6000);
        assert_frames(cargo_body(cargo), 3, sizes[i]);
        assert_true(view_equals(cargo_fields(cargo), VIEW_LITERAL("x: y\n")));
        cargo_release(&pool, cargo);
    }
    wire_close(&wire);
}

static void
large_frame_is_moved_and_not_copied(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire, 16);
    wire_carry(&wire, message_of(2, 10000));
    const uint8_t *bytes = wire.inbox.frames[1].data;
    struct mdp_record record = request_of(&wire, VIEW_NONE);
    struct cargo *cargo = cargo_of_record(&pool, &record, &wire.inbox);
    struct mdp_body body = cargo_body(cargo);
    assert_ptr_equal(body.frames[1].data, bytes);
    assert_int_equal(wire.inbox.frames[1].size, 0);
    cargo_release(&pool, cargo);
    wire_close(&wire);
}

static void
large_packed_body_becomes_loose(void **state)
{
    (void)state;
    struct cargo *small = cargo_with(VIEW_NONE, 2, 5000);
    struct mdp_record record = {.command = MDP_FINAL, .side = MDP_WORKER_SIDE};
    // Two packed bodies in one: a sender may pack what it likes.
    struct mdp_body body = cargo_body(small);
    uint8_t packed[2 * 10008];
    memcpy(packed, body.packed.data, 10008);
    memcpy(packed + 10008, body.packed.data, 10008);
    record.body =
        (struct mdp_body){.packed = view_of(packed, sizeof packed), .count = 4, .bytes = 20000};
    struct inbox inbox = {0};
    struct cargo *cargo = cargo_of_record(&pool, &record, &inbox);
    assert_true(cargo_is_loose(cargo));
    assert_int_equal(cargo_body(cargo).count, 4);
    assert_int_equal(cargo_body(cargo).bytes, 20000);
    cargo_release(&pool, cargo);
    cargo_release(&pool, small);
}

static void
fields_of_a_broker_are_taken_from_a_broker_only(void **state)
{
    (void)state;
    struct inbox inbox = {0};
    struct view fields = VIEW_LITERAL("user: root\nidempotency-key: 7\nepoch: x\n");
    struct mdp_record to_broker = {
        .side = MDP_CLIENT_SIDE, .command = MDP_REQUEST, .fields = fields};
    struct mdp_record from_broker = {
        .side = MDP_WORKER_SIDE, .command = MDP_REQUEST, .fields = fields};
    struct cargo *cleaned = cargo_of_record(&pool, &to_broker, &inbox);
    struct cargo *whole = cargo_of_record(&pool, &from_broker, &inbox);
    assert_true(view_equals(cargo_fields(cleaned), VIEW_LITERAL("idempotency-key: 7\n")));
    assert_true(view_equals(cargo_fields(whole), fields));
    cargo_release(&pool, cleaned);
    cargo_release(&pool, whole);
}

// ---- joining -----------------------------------------------------------------------------

// assert_joined: the frames of `first` and then those of `second`.
static void
assert_joined(const struct cargo *cargo, size_t first, size_t first_bytes, size_t second,
              size_t second_bytes)
{
    struct mdp_body body = cargo_body(cargo);
    assert_int_equal(body.count, first + second);
    assert_int_equal(body.bytes, first * first_bytes + second * second_bytes);
    size_t cursor = 0;
    struct view frame;
    for (size_t i = 0; i < first + second; i++) {
        size_t at = i < first ? i : i - first;
        size_t bytes = i < first ? first_bytes : second_bytes;
        assert_true(mdp_body_next(&body, &cursor, &frame));
        assert_int_equal(frame.size, bytes);
        if (bytes > 0) {
            assert_int_equal(frame.data[0], 'a' + (int)(at % 26));
            assert_int_equal(frame.data[bytes - 1], 'a' + (int)(at % 26));
        }
    }
}

static void
joined_cargo_has_all_frames_whatever_the_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t count, bytes;
    } kinds[] = {{0, 0}, {1, 0}, {2, 10}, {3, 1000}, {2, 3000}, {1, 20000}, {200, 40}};
    size_t kind_count = sizeof kinds / sizeof *kinds;
    for (size_t i = 0; i < kind_count; i++) {
        for (size_t j = 0; j < kind_count; j++) {
            struct cargo *into = cargo_with(VIEW_LITERAL("k: v\n"), kinds[i].count, kinds[i].bytes);
            struct cargo *from = cargo_with(VIEW_LITERAL("z: z\n"), kinds[j].count, kinds[j].bytes);
            assert_true(cargo_join(&pool, into, from));
            assert_joined(into, kinds[i].count, kinds[i].bytes, kinds[j].count, kinds[j].bytes);
            assert_true(view_equals(cargo_fields(into), VIEW_LITERAL("k: v\n")));
            cargo_release(&pool, into);
        }
    }
}

static void
joined_cargo_has_the_fields_of_either(void **state)
{
    (void)state;
    static const struct {
        size_t count, bytes;
    } kinds[] = {{0, 0}, {2, 10}, {1, 20000}, {200, 40}};
    for (size_t i = 0; i < 16; i++) {
        struct cargo *into = cargo_with(VIEW_NONE, kinds[i / 4].count, kinds[i / 4].bytes);
        struct cargo *from =
            cargo_with(VIEW_LITERAL("k: v\n"), kinds[i % 4].count, kinds[i % 4].bytes);
        assert_true(cargo_join(&pool, into, from));
        assert_joined(into, kinds[i / 4].count, kinds[i / 4].bytes, kinds[i % 4].count,
                      kinds[i % 4].bytes);
        assert_true(view_equals(cargo_fields(into), VIEW_LITERAL("k: v\n")));
        assert_true(cargo_join(&pool, into, cargo_with(VIEW_LITERAL("z: z\n"), 1, 1)));
        assert_true(view_equals(cargo_fields(into), VIEW_LITERAL("k: v\n")));
        cargo_release(&pool, into);
    }
}

static void
cargo_grows_part_by_part(void **state)
{
    (void)state;
    struct cargo *cargo = cargo_with(VIEW_LITERAL("k: v\n"), 0, 0);
    for (size_t i = 0; i < 1000; i++)
        assert_true(cargo_join(&pool, cargo, cargo_with(VIEW_NONE, 1, 30)));
    assert_int_equal(cargo_body(cargo).count, 1000);
    assert_int_equal(cargo_body(cargo).bytes, 30000);
    assert_true(view_equals(cargo_fields(cargo), VIEW_LITERAL("k: v\n")));
    cargo_release(&pool, cargo);
}

// ---- sending -----------------------------------------------------------------------------

static void
sent_body_arrives_frame_by_frame(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 20, 100, 5000};
    struct wire wire;
    wire_open(&wire, 16);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct cargo *cargo = cargo_with(VIEW_NONE, 3, sizes[i]);
        // Twice: it is shared with what was sent before.
        for (int turn = 0; turn < 2; turn++) {
            cargo_send(cargo, zsock_resolve(wire.near));
            assert_true(inbox_receive(&wire.inbox, zsock_resolve(wire.far)));
            assert_frames(mdp_body_of(wire.inbox.frames, wire.inbox.count), 3, sizes[i]);
        }
        assert_frames(cargo_body(cargo), 3, sizes[i]);
        cargo_release(&pool, cargo);
    }
    wire_close(&wire);
}

static void
body_of_no_frames_is_sent_as_one_empty_frame(void **state)
{
    (void)state;
    struct wire wire;
    wire_open(&wire, 16);
    struct cargo *cargo = cargo_with(VIEW_NONE, 0, 0);
    cargo_send(cargo, zsock_resolve(wire.near));
    assert_true(inbox_receive(&wire.inbox, zsock_resolve(wire.far)));
    assert_int_equal(wire.inbox.count, 1);
    assert_int_equal(wire.inbox.frames[0].size, 0);
    cargo_release(&pool, cargo);
    wire_close(&wire);
}

static void
pool_gives_back_what_it_was_given(void **state)
{
    (void)state;
    struct cargo *first = cargo_with(VIEW_NONE, 1, 100);
    assert_int_equal(cargo_bytes(first), 256);
    assert_int_equal(pool.live, 1);
    cargo_release(&pool, first);
    size_t kept = pool.free_bytes;
    struct cargo *second = cargo_with(VIEW_NONE, 1, 50);
    assert_int_equal(pool.live, 1);
    // A sanitizer's build keeps nothing, so that it sees what is used too late.
    if (kept > 0) {
        assert_ptr_equal(first, second);
        assert_int_equal(pool.free_bytes, kept - 256);
    }
    cargo_release(&pool, second);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_body_is_packed_with_its_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_body_is_loose_with_its_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_becomes_loose_at_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_may_be_empty_or_have_an_empty_frame, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(message_comes_back_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(record_becomes_cargo_of_either_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_frame_is_moved_and_not_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_packed_body_becomes_loose, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_of_a_broker_are_taken_from_a_broker_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(joined_cargo_has_the_fields_of_either, set_up, tear_down),
        cmocka_unit_test_setup_teardown(joined_cargo_has_all_frames_whatever_the_sizes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(cargo_grows_part_by_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sent_body_arrives_frame_by_frame, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_of_no_frames_is_sent_as_one_empty_frame, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pool_gives_back_what_it_was_given, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
