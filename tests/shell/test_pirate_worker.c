// test_pirate_worker.c - a pirate's worker with real sockets, against a queue that follows a
// script.
//
// One thread: whoever waits for the other pumps it. The queue is a ROUTER and knows the last
// worker that said something.

#include "place.h"

#include <galleon/pirate_worker.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    WAIT_MS_MAX = 20000, // nobody waits longer
    DIALECTS = 2
};

static const uint64_t ms_ns = 1000000;
static const char *const transports[] = {"inproc", "ipc", "tcp"};

struct queue {
    struct place place;
    zsock_t *router;
    bool is_simple;
    zframe_t *id; // of the last worker that was heard
    pirate_worker_t *worker;
    pirate_worker_options_t options;
    zmsg_t *request; // that the worker gave its application
    uint32_t lost;   // as on_lost said
};

static void
on_lost(void *ctx, uint32_t replies)
{
    struct queue *self = ctx;
    self->lost += replies;
}

static void
bind_router(struct queue *self)
{
    self->router = zsock_new(ZMQ_ROUTER);
    zsock_set_linger(self->router, 0);
    zsock_set_router_mandatory(self->router, 1);
    place_bind(&self->place, self->router);
}

static struct queue *
queue_new(const char *transport, bool is_simple)
{
    struct queue *self = calloc(1, sizeof *self);
    assert_non_null(self);
    zsys_init();
    self->is_simple = is_simple;
    self->options = (pirate_worker_options_t){
        .simple = is_simple, .heartbeat_ms = 100, .on_lost = on_lost, .ctx = self};
    place_make(&self->place, transport);
    bind_router(self);
    return self;
}

static void
queue_free(struct queue *self)
{
    pirate_worker_destroy(&self->worker);
    assert_null(self->worker);
    zmsg_destroy(&self->request);
    zframe_destroy(&self->id);
    zsock_destroy(&self->router);
    place_remove(&self->place);
    free(self);
}

static void
queue_stop(struct queue *self)
{
    zsock_destroy(&self->router);
}

// ---- pumping --------------------------------------------------------------------------------

static void
pump(struct queue *self)
{
    zmsg_t *request = NULL;
    if (self->worker == NULL)
        return;
    assert_int_equal(pirate_worker_pump(self->worker, galleon_now_ns(), &request), GALLEON_OK);
    if (request != NULL)
        assert_null(self->request);
    if (request != NULL)
        self->request = request;
}

// wait_a_moment waits on worker and queue, for the worker's deadline and 20 ms at most.
static void
wait_a_moment(struct queue *self)
{
    uint64_t now_ns = galleon_now_ns();
    uint64_t deadline_ns = self->worker == NULL ? UINT64_MAX : pirate_worker_deadline(self->worker);
    int ms = 20;
    if (deadline_ns < now_ns + 20 * ms_ns)
        ms = deadline_ns <= now_ns ? 0 : (int)((deadline_ns - now_ns + ms_ns - 1) / ms_ns);
    zmq_pollitem_t items[2] = {
        {.fd = self->worker == NULL ? -1 : pirate_worker_fd(self->worker), .events = ZMQ_POLLIN},
        {.socket = self->router == NULL ? NULL : zsock_resolve(self->router),
         .fd = -1,
         .events = ZMQ_POLLIN}};
    bool has_both = self->worker != NULL && self->router != NULL;
    zmq_poll(self->worker == NULL ? items + 1 : items, has_both ? 2 : 1, ms);
}

// hear is the next message that the queue gets, without the worker's id and the delimiter of
// a simple worker.
static zmsg_t *
hear(struct queue *self)
{
    uint64_t until_ns = galleon_now_ns() + WAIT_MS_MAX * ms_ns;
    while (!(zsock_events(self->router) & ZMQ_POLLIN)) {
        assert_true(galleon_now_ns() < until_ns);
        pump(self);
        wait_a_moment(self);
    }
    zmsg_t *message = zmsg_recv(self->router);
    zframe_destroy(&self->id);
    self->id = zmsg_pop(message);
    if (self->is_simple) {
        zframe_t *delimiter = zmsg_pop(message);
        assert_int_equal(zframe_size(delimiter), 0);
        zframe_destroy(&delimiter);
    }
    return message;
}

// text_of joins the frames of a message with |, and takes it.
static const char *
text_of(zmsg_t *message)
{
    static char text[4096];
    size_t used = 0;
    bool is_first = true;
    for (zframe_t *frame = zmsg_first(message); frame != NULL; frame = zmsg_next(message)) {
        assert_true(used + zframe_size(frame) + 2 < sizeof text);
        if (!is_first)
            text[used++] = '|';
        memcpy(text + used, zframe_data(frame), zframe_size(frame));
        used += zframe_size(frame);
        is_first = false;
    }
    text[used] = '\0';
    zmsg_destroy(&message);
    return text;
}

static bool
is_byte(zmsg_t *message, uint8_t byte)
{
    zframe_t *frame = zmsg_first(message);
    return zmsg_size(message) == 1 && zframe_size(frame) == 1 && zframe_data(frame)[0] == byte;
}

// expect lets heartbeats go by until a message of this one byte.
static void
expect(struct queue *self, uint8_t byte)
{
    for (;;) {
        zmsg_t *message = hear(self);
        bool is_it = is_byte(message, byte);
        bool is_beat = is_byte(message, 2);
        zmsg_destroy(&message);
        if (is_it)
            return;
        assert_true(is_beat);
    }
}

// expect_answer is the same for anything that is not one byte.
static const char *
expect_answer(struct queue *self)
{
    for (;;) {
        zmsg_t *message = hear(self);
        if (!is_byte(message, 2))
            return text_of(message);
        zmsg_destroy(&message);
    }
}

// say sends frames to the worker that was heard last: parted by |.
static void
say(struct queue *self, const char *text)
{
    zmsg_t *message = zmsg_new();
    zframe_t *id = zframe_dup(self->id);
    zmsg_append(message, &id);
    if (self->is_simple)
        zmsg_addmem(message, "", 0);
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, "|");
        zmsg_addmem(message, at, size);
        at += size;
        if (*at == '\0')
            break;
    }
    assert_int_equal(zmsg_send(&message, self->router), 0);
}

static void
work(struct queue *self)
{
    self->worker = pirate_worker_new(self->place.endpoint, &self->options);
    assert_non_null(self->worker);
    expect(self, 1);
}

// take is the next request that the worker gives its application.
static zmsg_t *
take(struct queue *self)
{
    uint64_t until_ns = galleon_now_ns() + WAIT_MS_MAX * ms_ns;
    for (pump(self); self->request == NULL; pump(self)) {
        assert_true(galleon_now_ns() < until_ns);
        wait_a_moment(self);
    }
    zmsg_t *request = self->request;
    self->request = NULL;
    return request;
}

static void
reply(struct queue *self, const char *text)
{
    zmsg_t *message = zmsg_new();
    zmsg_addstr(message, text);
    assert_int_equal(pirate_worker_reply(self->worker, &message), GALLEON_OK);
    assert_null(message);
}

static pirate_worker_stats_t
stats_of(struct queue *self)
{
    pirate_worker_stats_t stats;
    pirate_worker_stats(self->worker, &stats);
    return stats;
}

// pump_until lets the worker work until it has lost so many connections.
static void
pump_until_lost(struct queue *self, uint64_t connections)
{
    uint64_t until_ns = galleon_now_ns() + WAIT_MS_MAX * ms_ns;
    while (stats_of(self).connections_lost < connections) {
        assert_true(galleon_now_ns() < until_ns);
        pump(self);
        wait_a_moment(self);
    }
}

// ---- serving ----------------------------------------------------------------------------------

static void
request_is_answered_over_every_transport(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct queue *queue = queue_new(transports[i / DIALECTS], i % DIALECTS);
        work(queue);
        for (int number = 0; number < 20; number++) {
            say(queue, "far|near||one||two");
            zmsg_t *request = take(queue);
            zmsg_addstr(request, "!");
            assert_int_equal(pirate_worker_reply(queue->worker, &request), GALLEON_OK);
            assert_string_equal(expect_answer(queue), "far|near||one||two|!");
        }
        assert_int_equal(stats_of(queue).requests, 20);
        assert_int_equal(stats_of(queue).replies, 20);
        queue_free(queue);
    }
}

static void
large_bodies_pass(void **state)
{
    (void)state;
    struct queue *queue = queue_new("tcp", false);
    zframe_t *large = zframe_new(NULL, 500000);
    memset(zframe_data(large), 'x', zframe_size(large));
    work(queue);
    zmsg_t *message = zmsg_new();
    zframe_t *id = zframe_dup(queue->id);
    zframe_t *body = zframe_dup(large);
    zmsg_append(message, &id);
    zmsg_addstr(message, "client");
    zmsg_addstr(message, "");
    zmsg_append(message, &body);
    assert_int_equal(zmsg_send(&message, queue->router), 0);
    zmsg_t *request = take(queue);
    assert_true(zframe_eq(zmsg_first(request), large));
    assert_int_equal(pirate_worker_reply(queue->worker, &request), GALLEON_OK);
    message = hear(queue);
    assert_int_equal(zmsg_size(message), 3);
    assert_true(zframe_eq(zmsg_last(message), large));
    zmsg_destroy(&message);
    zframe_destroy(&large);
    queue_free(queue);
}

// The ten-line worker, in a thread of its own.
static void *
run_ten_lines(void *argument)
{
    struct queue *queue = argument;
    pirate_worker_t *worker = pirate_worker_new(queue->place.endpoint, &queue->options);
    for (zmsg_t *message; (message = pirate_worker_recv(worker));)
        pirate_worker_reply(worker, &message);
    pirate_worker_destroy(&worker);
    return NULL;
}

static void
worker_in_ten_lines_works_and_leaves_when_interrupted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct queue *queue = queue_new(transports[1 + i / DIALECTS], i % DIALECTS);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, run_ten_lines, queue), 0);
        expect(queue, 1);
        for (int number = 0; number < 50; number++) {
            say(queue, "client||hello");
            assert_string_equal(expect_answer(queue), "client||hello");
        }
        pthread_kill(thread, SIGTERM);
        pthread_join(thread, NULL);
        zsys_interrupted = 0;
        queue_free(queue);
    }
}

static void
request_without_an_answer_fails_at_the_next_recv(void **state)
{
    (void)state;
    struct queue *queue = queue_new("tcp", false);
    work(queue);
    say(queue, "client||first");
    zmsg_t *request = pirate_worker_recv(queue->worker);
    assert_string_equal(text_of(request), "first");
    say(queue, "client||second");
    request = pirate_worker_recv(queue->worker);
    assert_string_equal(text_of(request), "second");
    assert_string_equal(expect_answer(queue), "client||the worker gave no answer");
    assert_int_equal(pirate_worker_fail(queue->worker, "no such luck"), GALLEON_OK);
    assert_string_equal(expect_answer(queue), "client||no such luck");
    queue_free(queue);
}

static void
answer_to_nothing_is_refused(void **state)
{
    (void)state;
    struct queue *queue = queue_new("tcp", true);
    work(queue);
    zmsg_t *message = zmsg_new();
    assert_int_equal(pirate_worker_reply(queue->worker, &message), GALLEON_UNKNOWN_ID);
    assert_null(message);
    assert_int_equal(pirate_worker_fail(queue->worker, "why"), GALLEON_UNKNOWN_ID);
    queue_free(queue);
}

static void
answer_that_is_too_large_fails_its_request(void **state)
{
    (void)state;
    struct queue *queue = queue_new("tcp", false);
    queue->options.message_bytes_max = 2048;
    work(queue);
    say(queue, "client||hello");
    zmsg_t *request = take(queue);
    zmsg_destroy(&request);
    zmsg_t *message = zmsg_new();
    zframe_t *frame = zframe_new(NULL, 2048);
    memset(zframe_data(frame), 'x', 2048);
    zmsg_append(message, &frame);
    assert_int_equal(pirate_worker_reply(queue->worker, &message), GALLEON_REFUSED);
    assert_null(message);
    assert_string_equal(expect_answer(queue),
                        "client||the answer is larger than the worker may send");
    queue_free(queue);
}

static void
worker_needs_one_endpoint(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "nothing", "tcp://127.0.0.1:1,tcp://127.0.0.1:2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        assert_null(pirate_worker_new(wrong[i], NULL));
        assert_int_equal(errno, EINVAL);
    }
    pirate_worker_t *nobody = NULL;
    pirate_worker_destroy(&nobody);
}

// ---- liveness -----------------------------------------------------------------------------------

static void
paranoid_worker_beats_and_loses_a_silent_queue(void **state)
{
    (void)state;
    struct queue *queue = queue_new("tcp", false);
    work(queue);
    uint64_t until_ns = galleon_now_ns() + 1000 * ms_ns;
    while (galleon_now_ns() < until_ns) { // longer than its patience
        expect(queue, 2);
        say(queue, "\002");
    }
    assert_int_equal(stats_of(queue).connections, 1);
    expect(queue, 1); // it is not beaten any more
    assert_int_equal(stats_of(queue).silences, 1);
    assert_int_equal(stats_of(queue).connections, 2);
    queue_free(queue);
}

static void
restarted_queue_hears_ready_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct queue *queue = queue_new(transports[1 + i / DIALECTS], i % DIALECTS);
        queue->options.heartbeat_ms = 60000; // the cut alone tells
        work(queue);
        for (int turn = 0; turn < 3; turn++) {
            queue_stop(queue);
            pump_until_lost(queue, (uint64_t)turn + 1);
            bind_router(queue);
            expect(queue, 1);
            say(queue, "client||hello");
            zmsg_t *request = take(queue);
            assert_int_equal(pirate_worker_reply(queue->worker, &request), GALLEON_OK);
            assert_string_equal(expect_answer(queue), "client||hello");
        }
        queue_free(queue);
    }
}

static size_t
count_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void
lost_connections_leave_no_descriptors(void **state)
{
    (void)state;
    struct queue *queue = queue_new("tcp", false);
    queue->options.reconnect_ms_max = 1;
    queue->options.reconnect_ms_min = 1;
    work(queue);
    size_t before = count_descriptors();
    for (uint64_t turn = 1; turn <= 200; turn++) {
        say(queue, "no|delimiter"); // a reason to come anew
        pump_until_lost(queue, turn);
        expect(queue, 1);
    }
    // libzmq lets go of sockets in a thread of its own.
    uint64_t until_ns = galleon_now_ns() + WAIT_MS_MAX * ms_ns;
    while (count_descriptors() > before + 8)
        assert_true(galleon_now_ns() < until_ns);
    assert_int_equal(stats_of(queue).connections, 201);
    queue_free(queue);
}

static void
answer_goes_over_the_connection_that_there_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct queue *queue = queue_new("tcp", i);
        work(queue);
        say(queue, "client||hello");
        zmsg_t *request = take(queue);
        zmsg_destroy(&request);
        queue_stop(queue); // while the application works
        bind_router(queue);
        uint64_t until_ns = galleon_now_ns() + WAIT_MS_MAX * ms_ns;
        struct pollfd input = {.fd = pirate_worker_fd(queue->worker), .events = POLLIN};
        assert_true(poll(&input, 1, WAIT_MS_MAX) > 0 && galleon_now_ns() < until_ns);
        reply(queue, "late");
        if (!queue->is_simple)
            expect(queue, 1);
        assert_string_equal(expect_answer(queue), "client||late");
        assert_int_equal(stats_of(queue).replies_late, 1);
        assert_int_equal(queue->lost, 0);
        queue_free(queue);
    }
}

static void
answer_that_finds_no_queue_is_told_of_at_the_end(void **state)
{
    (void)state;
    struct queue *queue = queue_new("tcp", false);
    uint32_t *lost = &queue->lost;
    work(queue);
    say(queue, "client||hello");
    zmsg_t *request = take(queue);
    zmsg_destroy(&request);
    queue_stop(queue);
    pump_until_lost(queue, 1);
    reply(queue, "in vain");
    pirate_worker_destroy(&queue->worker);
    assert_int_equal(*lost, 1);
    queue_free(queue);
}

static void
nonsense_is_counted_and_survived(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"\001", "\003", "", "\002\002"};
    struct queue *queue = queue_new("tcp", false);
    work(queue);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        say(queue, nonsense[i]);
    say(queue, "client||hello");
    zmsg_t *request = take(queue);
    assert_int_equal(pirate_worker_reply(queue->worker, &request), GALLEON_OK);
    assert_string_equal(expect_answer(queue), "client||hello");
    assert_int_equal(stats_of(queue).faults, 4);
    // What may have been a request makes it come anew, and register.
    say(queue, "no|delimiter");
    expect(queue, 1);
    assert_int_equal(stats_of(queue).breaches, 1);
    assert_int_equal(stats_of(queue).connections, 2);
    queue_free(queue);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_answered_over_every_transport),
        cmocka_unit_test(large_bodies_pass),
        cmocka_unit_test(worker_in_ten_lines_works_and_leaves_when_interrupted),
        cmocka_unit_test(request_without_an_answer_fails_at_the_next_recv),
        cmocka_unit_test(answer_to_nothing_is_refused),
        cmocka_unit_test(answer_that_is_too_large_fails_its_request),
        cmocka_unit_test(worker_needs_one_endpoint),
        cmocka_unit_test(paranoid_worker_beats_and_loses_a_silent_queue),
        cmocka_unit_test(restarted_queue_hears_ready_again),
        cmocka_unit_test(lost_connections_leave_no_descriptors),
        cmocka_unit_test(answer_goes_over_the_connection_that_there_is),
        cmocka_unit_test(answer_that_finds_no_queue_is_told_of_at_the_end),
        cmocka_unit_test(nonsense_is_counted_and_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
