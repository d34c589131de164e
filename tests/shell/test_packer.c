// test_packer.c - what is packed arrives in order, in one message, or not at all.

#include "packer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// A ROUTER that packs, and a DEALER that reads. Both know each other: the DEALER has
// said hello.
struct fixture {
    zsock_t *router;
    zsock_t *dealer;
    struct inbox inbox;
    struct packer packer;
    struct cargo_pool pool;
    struct mdp_envelope envelope;
};

static int
set_up(void **state)
{
    // A name of its own for each test: the socket of the last may still be closing.
    static int number;
    struct fixture *self = calloc(1, sizeof *self);
    number++;
    self->router = zsock_new(ZMQ_ROUTER);
    zsock_set_router_mandatory(self->router, 1);
    zsock_set_sndhwm(self->router, 2);
    zsock_bind(self->router, "inproc://test-packer-%d", number);
    self->dealer = zsock_new(ZMQ_DEALER);
    zsock_set_identity(self->dealer, "peer");
    zsock_set_rcvhwm(self->dealer, 2);
    zsock_connect(self->dealer, "inproc://test-packer-%d", number);
    zstr_send(self->dealer, "hello");
    assert_true(inbox_init(&self->inbox, 300));
    while (!inbox_receive(&self->inbox, zsock_resolve(self->router)))
        continue;
    packer_init(&self->packer, MDP_MESSAGE_BYTES_MAX);
    cargo_pool_init(&self->pool);
    self->envelope.routing_id = VIEW_LITERAL("peer");
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *self = *state;
    packer_release(&self->packer);
    inbox_release(&self->inbox);
    cargo_pool_release(&self->pool);
    zsock_destroy(&self->dealer);
    zsock_destroy(&self->router);
    free(self);
    return 0;
}

static struct cargo *
cargo_with(struct fixture *self, size_t count, size_t bytes)
{
    zmsg_t *message = zmsg_new();
    uint8_t *text = calloc(1, bytes + 1);
    for (size_t i = 0; i < count; i++) {
        memset(text, 'a' + (int)(i % 26), bytes);
        zmsg_addmem(message, text, bytes);
    }
    free(text);
    struct cargo *cargo = cargo_of_message(&self->pool, VIEW_NONE, &message);
    assert_non_null(cargo);
    return cargo;
}

static struct mdp_record
request(uint64_t number)
{
    return (struct mdp_record){.dialect = MDP_G1,
                               .side = MDP_WORKER_SIDE,
                               .command = MDP_REQUEST,
                               .attempt = (uint32_t)number + 1};
}

// add packs a REQUEST with this body, which is let go at once.
static bool
add(struct fixture *self, uint64_t number, struct cargo *cargo)
{
    struct mdp_record record = request(number);
    struct packer_entry entry = {MDP_WORKER_SIDE, MDP_REQUEST, number, NULL};
    if (cargo != NULL)
        record.body = cargo_body(cargo);
    bool is_fit = packer_fits(&self->packer, &record);
    if (is_fit)
        assert_true(packer_add(&self->packer, &record, cargo, &entry));
    if (cargo != NULL)
        cargo_release(&self->pool, cargo);
    return is_fit;
}

static int
send_pack(struct fixture *self)
{
    return packer_send(&self->packer, zsock_resolve(self->router), &self->envelope);
}

// receive begins to read the next message at the DEALER.
static struct mdp_reader
receive(struct fixture *self)
{
    struct mdp_reader reader;
    assert_true(inbox_receive(&self->inbox, zsock_resolve(self->dealer)));
    assert_int_equal(mdp_wire_begin(&reader, self->inbox.frames, self->inbox.count, MDP_FROM_BROKER,
                                    false, NULL),
                     MDP_SOUND);
    return reader;
}

static void
records_arrive_in_order_in_one_message(void **state)
{
    struct fixture *self = *state;
    for (uint64_t i = 0; i < 100; i++)
        assert_true(add(self, i, cargo_with(self, 2, 100)));
    assert_int_equal(self->packer.entry_count, 100);
    assert_int_equal(send_pack(self), 0);
    struct mdp_reader reader = receive(self);
    struct mdp_record record;
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(mdp_wire_next(&reader, &record));
        assert_int_equal(record.fault, MDP_SOUND);
        assert_int_equal(record.attempt, i + 1);
        assert_int_equal(record.body.count, 2);
        assert_int_equal(record.body.bytes, 200);
        assert_int_equal(self->packer.entries[i].token, i);
    }
    assert_false(mdp_wire_next(&reader, &record));
    assert_false(inbox_receive(&self->inbox, zsock_resolve(self->dealer)));
    packer_clear(&self->packer);
    assert_int_equal(self->packer.entry_count, 0);
}

static void
pack_is_full_at_64_kib(void **state)
{
    struct fixture *self = *state;
    size_t count = 0;
    while (add(self, count, cargo_with(self, 1, 1000)))
        count++;
    assert_true(self->packer.used <= MDP_PACK_BYTES_MAX);
    assert_true(self->packer.used + 1036 > MDP_PACK_BYTES_MAX);
    assert_int_equal(self->packer.entry_count, count);
}

static void
pack_is_full_at_what_the_peer_takes(void **state)
{
    struct fixture *self = *state;
    packer_release(&self->packer);
    packer_init(&self->packer, 8192);
    size_t count = 0;
    while (add(self, count, cargo_with(self, 1, 1000)))
        count++;
    assert_int_equal(count, (8192 - 512) / 1036);
    packer_clear(&self->packer);
    // A large body takes no others along; by itself it is for the sender to refuse.
    assert_true(add(self, 0, cargo_with(self, 1, 1000)));
    assert_false(add(self, 1, cargo_with(self, 1, 20000)));
    packer_clear(&self->packer);
    assert_true(add(self, 1, cargo_with(self, 1, 20000)));
}

static void
loose_body_follows_the_pack_and_closes_it(void **state)
{
    struct fixture *self = *state;
    assert_true(add(self, 0, cargo_with(self, 1, 100)));
    assert_true(add(self, 1, cargo_with(self, 3, 6000)));
    assert_false(add(self, 2, NULL));
    assert_int_equal(send_pack(self), 0);
    struct mdp_reader reader = receive(self);
    struct mdp_record record;
    assert_true(mdp_wire_next(&reader, &record));
    assert_int_equal(record.body.bytes, 100);
    assert_true(mdp_wire_next(&reader, &record));
    assert_int_equal(record.fault, MDP_SOUND);
    assert_int_equal(record.flags & MDP_FLAG_LOOSE, MDP_FLAG_LOOSE);
    assert_int_equal(record.body.count, 3);
    assert_int_equal(record.body.bytes, 18000);
    assert_int_equal(record.body.frames[2].data[5999], 'c');
    assert_false(mdp_wire_next(&reader, &record));
}

static void
large_bodies_do_not_take_a_message_past_its_limit(void **state)
{
    struct fixture *self = *state;
    size_t large = (1 << 20) - 100;
    assert_true(add(self, 0, cargo_with(self, 1, 900)));
    assert_false(add(self, 1, cargo_with(self, 1, large)));
    packer_clear(&self->packer);
    // Alone it goes, whoever has a limit.
    assert_true(add(self, 1, cargo_with(self, 1, large)));
    assert_int_equal(self->packer.loose_count, 1);
}

static void
body_of_record_and_cargo_is_both(void **state)
{
    struct fixture *self = *state;
    static const size_t sizes[] = {100, 20000};
    for (size_t i = 0; i < 2; i++) {
        struct cargo *cargo = cargo_with(self, 2, sizes[i]);
        struct view code = VIEW_LITERAL("200");
        struct mdp_record record = request(0);
        record.body = mdp_body_of(&code, 1);
        struct packer_entry entry = {.command = MDP_REQUEST};
        assert_true(packer_add(&self->packer, &record, cargo, &entry));
        cargo_release(&self->pool, cargo);
        assert_int_equal(send_pack(self), 0);
        packer_clear(&self->packer);
        struct mdp_reader reader = receive(self);
        assert_true(mdp_wire_next(&reader, &record));
        assert_int_equal(record.body.count, 3);
        size_t cursor = 0;
        struct view frame;
        assert_true(mdp_body_next(&record.body, &cursor, &frame));
        assert_true(view_equals(frame, code));
        assert_true(mdp_body_next(&record.body, &cursor, &frame));
        assert_int_equal(frame.size, sizes[i]);
        assert_true(mdp_body_next(&record.body, &cursor, &frame));
        assert_int_equal(frame.data[0], 'b');
    }
}

static void
body_of_a_cargo_is_taken_where_the_record_has_none(void **state)
{
    struct fixture *self = *state;
    struct cargo *cargo = cargo_with(self, 2, 10);
    struct mdp_record record = request(0);
    struct packer_entry entry = {.command = MDP_REQUEST};
    assert_true(packer_add(&self->packer, &record, cargo, &entry));
    cargo_release(&self->pool, cargo);
    assert_int_equal(send_pack(self), 0);
    struct mdp_reader reader = receive(self);
    assert_true(mdp_wire_next(&reader, &record));
    assert_int_equal(record.body.count, 2);
}

static void
sides_do_not_share_a_pack(void **state)
{
    struct fixture *self = *state;
    assert_true(add(self, 0, NULL));
    struct mdp_record record = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_HEARTBEAT};
    assert_false(packer_fits(&self->packer, &record));
}

static void
nothing_is_packed_after_disconnect(void **state)
{
    struct fixture *self = *state;
    struct mdp_record record = {
        .dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = MDP_DISCONNECT};
    struct packer_entry entry = {.side = MDP_WORKER_SIDE, .command = MDP_DISCONNECT};
    assert_true(packer_add(&self->packer, &record, NULL, &entry));
    assert_false(add(self, 0, NULL));
}

static void
pack_for_nobody_is_refused_and_stays_as_it_was(void **state)
{
    struct fixture *self = *state;
    assert_true(add(self, 7, cargo_with(self, 1, 100)));
    assert_true(add(self, 8, cargo_with(self, 2, 9000)));
    self->envelope.routing_id = VIEW_LITERAL("stranger");
    assert_int_equal(send_pack(self), EHOSTUNREACH);
    assert_int_equal(self->packer.entry_count, 2);
    assert_int_equal(self->packer.loose_count, 2);
    self->envelope.routing_id = VIEW_LITERAL("peer");
    assert_int_equal(send_pack(self), 0);
    struct mdp_reader reader = receive(self);
    struct mdp_record record;
    assert_true(mdp_wire_next(&reader, &record));
    assert_true(mdp_wire_next(&reader, &record));
    assert_int_equal(record.body.bytes, 18000);
}

static void
pack_for_a_full_peer_is_refused_and_nothing_waits(void **state)
{
    struct fixture *self = *state;
    int error = 0;
    int sent = 0;
    for (; sent < 100; sent++) {
        assert_true(add(self, (uint64_t)sent, cargo_with(self, 1, 10)));
        error = send_pack(self);
        if (error != 0)
            break;
        packer_clear(&self->packer);
    }
    assert_int_equal(error, EAGAIN);
    for (int i = 0; i < sent; i++) {
        struct mdp_reader reader = receive(self);
        struct mdp_record record;
        assert_true(mdp_wire_next(&reader, &record));
        assert_int_equal(record.attempt, i + 1);
    }
    // What was refused is still there, and goes now.
    while ((error = send_pack(self)) == EAGAIN)
        continue;
    assert_int_equal(error, 0);
    struct mdp_reader reader = receive(self);
    struct mdp_record record;
    assert_true(mdp_wire_next(&reader, &record));
    assert_int_equal(record.attempt, sent + 1);
}

static void
envelope_with_stack_and_delimiter_is_kept(void **state)
{
    struct fixture *self = *state;
    struct view stack[2] = {VIEW_LITERAL("proxy"), VIEW_LITERAL("0123")};
    self->envelope.stack = stack;
    self->envelope.stack_size = 2;
    self->envelope.has_delimiter = true;
    struct mdp_record record = {
        .dialect = MDP_G1, .side = MDP_CLIENT_SIDE, .command = MDP_FINAL, .status = 200};
    struct packer_entry entry = {.side = MDP_CLIENT_SIDE, .command = MDP_FINAL};
    assert_true(packer_add(&self->packer, &record, NULL, &entry));
    assert_int_equal(send_pack(self), 0);
    assert_true(inbox_receive(&self->inbox, zsock_resolve(self->dealer)));
    assert_int_equal(self->inbox.count, 4);
    assert_true(view_equals(self->inbox.frames[0], stack[0]));
    assert_true(view_equals(self->inbox.frames[1], stack[1]));
    assert_int_equal(self->inbox.frames[2].size, 0);
}

static void
idle_packer_is_small(void **state)
{
    struct fixture *self = *state;
    assert_true(add(self, 0, NULL));
    assert_true(self->packer.capacity <= 512);
    while (add(self, 0, cargo_with(self, 1, 1000)))
        continue;
    assert_true(self->packer.capacity > 60000);
    packer_clear(&self->packer);
    // Many small packs after a large one: the memory goes.
    for (int i = 0; i < 200; i++) {
        assert_true(add(self, 0, NULL));
        packer_clear(&self->packer);
    }
    assert_true(self->packer.capacity <= 512);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(records_arrive_in_order_in_one_message),
        TEST(pack_is_full_at_64_kib),
        TEST(pack_is_full_at_what_the_peer_takes),
        TEST(loose_body_follows_the_pack_and_closes_it),
        TEST(large_bodies_do_not_take_a_message_past_its_limit),
        TEST(body_of_record_and_cargo_is_both),
        TEST(body_of_a_cargo_is_taken_where_the_record_has_none),
        TEST(sides_do_not_share_a_pack),
        TEST(nothing_is_packed_after_disconnect),
        TEST(pack_for_nobody_is_refused_and_stays_as_it_was),
        TEST(pack_for_a_full_peer_is_refused_and_nothing_waits),
        TEST(envelope_with_stack_and_delimiter_is_kept),
        TEST(idle_packer_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
