// test_pirate_worker_core.c - how a pirate's worker registers, serves, and loses its queue.
//
// The rows of the protocol pages that a worker's socket meets are data here: read by the wire,
// taken by the core, answered.

#include "pirate_worker_rig.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOLDER GALLEON_SOURCE_DIR "/docs/protocol/"

static const uint64_t ms_ns = 1000000;

static const enum pirate_dialect dialects[] = {PIRATE_PARANOID, PIRATE_SIMPLE};

enum { DIALECTS = 2 };

// ---- the rows -----------------------------------------------------------------------------

// hex_of writes frames as rig_sent.head has them, a body of no more than `count` of them.
static void
hex_of(char text[RIG_TEXT_MAX], struct vector_frames frames, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, RIG_TEXT_MAX - used, "%s%s", i > 0 ? " " : "",
                                 frames.frames[i].size == 0 ? "-" : "");
        for (size_t j = 0; j < frames.frames[i].size; j++)
            used += (size_t)snprintf(text + used, RIG_TEXT_MAX - used, "%02X",
                                     frames.frames[i].data[j]);
    }
}

// head_size is how many frames stand in front of the body of a sound request.
static size_t
head_size(const struct vector *row, bool is_simple)
{
    size_t at = is_simple && row->frames.frames[0].size == 0 ? 1 : 0;
    while (row->frames.frames[at].size > 0)
        at++;
    return at + 1;
}

static void
check_request(struct rig *rig, const struct vector *row)
{
    char head[RIG_TEXT_MAX];
    bool is_simple = rig->config.dialect == PIRATE_SIMPLE;
    assert_true(rig_take(rig));
    assert_true(rig_answer(rig, "answer"));
    assert_int_equal(rig_last(rig)->says, PIRATE_REPLY);
    assert_string_equal(rig_last(rig)->body, "answer");
    hex_of(head, row->frames, head_size(row, is_simple));
    // Where the row is what a REQ's application sees, ours has the REQ's own frame in front.
    bool has_own = is_simple && row->frames.frames[0].size > 0;
    assert_string_equal(rig_last(rig)->head + (has_own ? strlen("- ") : 0), head);
}

// check_row gives a serving worker the row; returns 1.
static size_t
check_row(const struct vector *row)
{
    bool is_simple = strcmp(row->socket, "sp-worker") == 0;
    struct rig *rig = rig_serve(is_simple ? PIRATE_SIMPLE : PIRATE_PARANOID);
    size_t before = rig->sent_count;
    print_message("%s %s\n", row->id, row->socket);
    enum pirate_fault fault = rig_hear_frames(rig, row->frames.frames, row->frames.count);
    bool is_dropped = row->expect != NULL && strcmp(row->expect, "drop") == 0;
    assert_int_equal(fault != PIRATE_SOUND, is_dropped);
    assert_int_equal(rig->sent_count, before);
    if (is_dropped) {
        assert_int_equal(rig_counters(rig)->faults[fault], 1);
        assert_false(rig_take(rig));
    } else if (row->command != NULL && strcmp(row->command, "heartbeat") == 0) {
        assert_int_equal(rig_counters(rig)->heartbeats, 1);
    } else {
        check_request(rig, row);
    }
    rig_free(rig);
    return 1;
}

static bool
is_said_to_us(const struct vector *row)
{
    bool is_worker = row->socket != NULL && (strcmp(row->socket, "ppp-worker") == 0 ||
                                             strcmp(row->socket, "sp-worker") == 0);
    return is_worker && (row->way == NULL || strcmp(row->way, "out") != 0);
}

static void
every_row_of_a_workers_socket_is_served_or_dropped(void **state)
{
    (void)state;
    static const char *const names[] = {FOLDER "vectors.md", FOLDER "pirates.md"};
    size_t rows = 0;
    for (size_t i = 0; i < 2; i++) {
        struct vector *page = vectors_read(names[i]);
        assert_non_null(page);
        for (const struct vector *row = page; row != NULL; row = row->next)
            rows += is_said_to_us(row) ? check_row(row) : 0;
        vectors_destroy(&page);
    }
    // V20c-d, V21d, V40b, V40d, V41b, V42c, V43b, N148 to N157.
    assert_int_equal(rows, 18);
}

static void
what_may_have_been_a_request_takes_a_new_connection(void **state)
{
    (void)state;
    static const bool is_breach[PIRATE_FAULTS] = {
        [PIRATE_NO_DELIMITER] = true,
        [PIRATE_BAD_STACK] = true,
        [PIRATE_NO_ADDRESS] = true,
        [PIRATE_OVER_LIMIT] = true,
    };
    for (size_t i = 0; i < DIALECTS; i++)
        for (int fault = 1; fault < PIRATE_FAULTS; fault++) {
            struct rig *rig = rig_serve(dialects[i]);
            rig_hear_fault(rig, (enum pirate_fault)fault);
            assert_int_equal(rig->is_open, !is_breach[fault]);
            assert_int_equal(rig_counters(rig)->breaches, is_breach[fault]);
            assert_int_equal(rig_counters(rig)->faults[fault], 1);
            if (is_breach[fault]) {
                rig_come_back(rig);
                assert_int_equal(rig_last(rig)->says, PIRATE_READY);
                assert_int_equal(rig_last(rig)->connection, 2);
            }
            rig_free(rig);
        }
}

// ---- registering ----------------------------------------------------------------------

static void
ready_is_the_first_thing_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_new(dialects[i]);
        rig_start(rig);
        rig_wait(rig, 60000);
        assert_int_equal(rig->opened, 1); // there is no connection yet
        assert_int_equal(rig->sent_count, 0);
        rig_event(rig, PIRATE_WORKER_UP);
        assert_int_equal(rig->sent_count, 1);
        assert_string_equal(rig_last(rig)->head, dialects[i] == PIRATE_SIMPLE ? "- 01" : "01");
        assert_int_equal(rig->facts[PIRATE_WORKER_SAID_READY], 1);
        rig_free(rig);
    }
}

static void
refused_ready_begins_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_new(dialects[i]);
        rig_start(rig);
        rig->is_refusing = true;
        rig_event(rig, PIRATE_WORKER_UP);
        assert_false(rig->is_open);
        rig->is_refusing = false;
        rig_come_back(rig);
        assert_int_equal(rig_last(rig)->says, PIRATE_READY);
        rig_free(rig);
    }
}

static void
connection_that_cannot_be_begun_is_tried_again_later(void **state)
{
    (void)state;
    struct rig *rig = rig_new(PIRATE_PARANOID);
    uint64_t most_ns = 0;
    rig_start(rig);
    for (int i = 0; i < 200; i++) {
        uint64_t failed_ns = rig->now_ns;
        rig->is_open = true;
        rig_event(rig, PIRATE_WORKER_UNOPENED);
        assert_false(rig->is_open);
        for (int ms = 0; !rig->is_open && ms <= 10000; ms++)
            rig_wait(rig, 1);
        assert_true(rig->is_open);
        uint64_t wait_ns = rig->opened_at_ns - failed_ns;
        assert_true(i > 0 || wait_ns <= 100 * ms_ns);
        most_ns = wait_ns > most_ns ? wait_ns : most_ns;
    }
    assert_true(most_ns > 8000 * ms_ns && most_ns <= 10000 * ms_ns);
    rig_free(rig);
}

static void
back_off_begins_anew_after_a_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        for (int turn = 0; turn < 100; turn++) {
            rig_hear_request(rig, "C", "hello");
            assert_true(rig_take(rig));
            rig_answer(rig, "answer");
            uint64_t cut_ns = rig->now_ns;
            rig_event(rig, PIRATE_WORKER_DOWN);
            rig_come_back(rig);
            assert_true(rig->opened_at_ns - cut_ns <= 100 * ms_ns);
        }
        rig_free(rig);
    }
}

static void
back_off_grows_where_connections_come_to_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        uint64_t most_ns = 0;
        for (int turn = 0; turn < 100; turn++) {
            uint64_t cut_ns = rig->now_ns;
            rig_event(rig, PIRATE_WORKER_DOWN);
            rig_come_back(rig);
            if (turn > 10 && rig->opened_at_ns - cut_ns > most_ns)
                most_ns = rig->opened_at_ns - cut_ns;
        }
        assert_true(most_ns > 5000 * ms_ns);
        // One that stands for long is none of them.
        for (int beats = 0; beats < 11; beats++) {
            rig_hear_beat(rig);
            rig_wait(rig, 1000);
        }
        uint64_t cut_ns = rig->now_ns;
        rig_event(rig, PIRATE_WORKER_DOWN);
        rig_come_back(rig);
        assert_true(rig->opened_at_ns - cut_ns <= 100 * ms_ns);
        rig_free(rig);
    }
}

// ---- serving --------------------------------------------------------------------------

static void
answer_goes_to_whoever_asked(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        for (int number = 0; number < 100; number++) {
            char client[16], body[16], head[64];
            snprintf(client, sizeof client, "%02d", number);
            snprintf(body, sizeof body, "b%d", number);
            rig_hear_request(rig, client, body);
            assert_true(rig_take(rig));
            assert_string_equal(rig->body, body);
            assert_true(rig_answer(rig, body));
            snprintf(head, sizeof head, "%s%02X%02X -", dialects[i] == PIRATE_SIMPLE ? "- " : "",
                     client[0], client[1]);
            assert_string_equal(rig_last(rig)->head, head);
            assert_string_equal(rig_last(rig)->body, body);
        }
        assert_int_equal(rig_counters(rig)->answers, 100);
        assert_int_equal(rig_counters(rig)->answers_late, 0);
        rig_free(rig);
    }
}

static void
application_has_one_request_at_a_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        rig_hear_request(rig, "A", "first");
        rig_hear_request(rig, "B", "second");
        assert_true(rig_take(rig));
        assert_false(rig_take(rig));
        rig_answer(rig, "one");
        assert_true(rig_take(rig));
        assert_string_equal(rig->body, "second");
        rig_answer(rig, "two");
        assert_false(rig_take(rig));
        rig_free(rig);
    }
}

static void
request_that_is_waited_for_comes_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        rig->is_wanted = true;
        rig_hear_request(rig, "A", "first");
        assert_true(pirate_worker_core_is_held(rig->core));
        assert_string_equal(rig->body, "first");
        rig_hear_request(rig, "B", "second"); // and one at a time
        assert_string_equal(rig->body, "first");
        rig_free(rig);
    }
}

static void
queue_that_gives_too_much_at_once_is_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        for (int number = 0; number < PIRATE_WORKER_REQUESTS_MAX; number++)
            rig_hear_request(rig, "C", "hello");
        assert_true(rig->is_open);
        assert_true(rig_take(rig));
        rig_hear_request(rig, "C", "one too many");
        assert_false(rig->is_open);
        assert_int_equal(rig_counters(rig)->breaches, 1);
        assert_int_equal(rig_counters(rig)->requests_gone, PIRATE_WORKER_REQUESTS_MAX - 1);
        rig_free(rig);
    }
}

static void
request_that_there_is_no_memory_for_takes_a_new_connection(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_request(rig, "C", NULL);
    assert_false(rig->is_open);
    rig_free(rig);
}

static void
addresses_beyond_all_measure_take_a_new_connection(void **state)
{
    (void)state;
    char address[600];
    memset(address, 'x', sizeof address - 1);
    address[sizeof address - 1] = '\0';
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    struct view stack[4];
    for (int i = 0; i < 4; i++)
        stack[i] = view_of(address, 512);
    struct pirate_message message = {.kind = PIRATE_REQUEST,
                                     .envelope = {.stack = stack, .stack_size = 4}};
    rig_hear(rig, &message, "it fits");
    assert_true(rig_take(rig));
    rig_answer(rig, "answer");
    stack[3] = view_of(address, 513);
    rig_hear(rig, &message, "it does not");
    assert_false(rig->is_open);
    assert_int_equal(rig_counters(rig)->breaches, 1);
    rig_free(rig);
}

static void
answer_without_frames_is_an_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        rig_hear_request(rig, "C", "hello");
        assert_true(rig_take(rig));
        assert_true(rig_answer(rig, NULL));
        assert_int_equal(rig_last(rig)->says, PIRATE_REPLY);
        rig_free(rig);
    }
}

// ---- answers that cannot go at once ---------------------------------------------------------

static void
refused_answer_goes_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        rig_hear_request(rig, "C", "hello");
        assert_true(rig_take(rig));
        rig->is_refusing = true;
        assert_true(rig_answer(rig, "answer"));
        assert_int_equal(pirate_worker_core_unsent_count(rig->core), 1);
        rig_wait(rig, 35);
        assert_int_equal(rig_counters(rig)->answers_unsent, 4); // at once, and each 10 ms
        rig->is_refusing = false;
        rig_wait(rig, 10);
        assert_string_equal(rig_last(rig)->body, "answer");
        assert_int_equal(pirate_worker_core_unsent_count(rig->core), 0);
        rig_free(rig);
    }
}

static void
answers_that_wait_go_in_order(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig->is_refusing = true;
    for (int number = 0; number < 5; number++) {
        char body[16];
        snprintf(body, sizeof body, "%d", number);
        rig_hear_request(rig, "C", body);
        assert_true(rig_take(rig));
        rig_answer(rig, body);
    }
    assert_int_equal(rig_counters(rig)->answers_unsent, 1); // the others stand behind it
    rig_wait(rig, 15);                                      // and it is refused once more
    rig->is_refusing = false;
    rig_wait(rig, 10);
    assert_int_equal(rig_count(rig, PIRATE_REPLY), 5);
    for (size_t number = 0; number < 5; number++)
        assert_int_equal(rig->sent[rig->sent_count - 5 + number].body[0], '0' + (int)number);
    rig_free(rig);
}

static void
new_connection_is_asked_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new(PIRATE_PARANOID);
    rig->config.reconnect_ms_min = rig->config.reconnect_ms_max = 0;
    rig_start(rig);
    rig_event(rig, PIRATE_WORKER_UP);
    rig_hear_request(rig, "C", "hello");
    assert_true(rig_take(rig));
    rig->is_refusing = true;
    rig_answer(rig, "answer");
    rig_event(rig, PIRATE_WORKER_DOWN);
    rig->is_refusing = false;
    rig_event(rig, PIRATE_WORKER_TICK);
    rig_event(rig, PIRATE_WORKER_UP); // no time has passed since the refusal
    assert_int_equal(rig_last(rig)->says, PIRATE_REPLY);
    rig_free(rig);
}

static void
oldest_answer_makes_room_where_none_is_taken(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig->is_refusing = true;
    for (int number = 0; number < PIRATE_WORKER_REQUESTS_MAX + 3; number++) {
        rig_hear_request(rig, "C", "hello");
        assert_true(rig_take(rig));
        rig_answer(rig, "answer");
    }
    assert_true(rig->is_open);
    assert_int_equal(rig->lost, 3);
    assert_int_equal(rig_counters(rig)->answers_lost, 3);
    rig_free(rig);
}

static void
paranoid_answer_goes_late_behind_ready(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_request(rig, "C", "hello");
    assert_true(rig_take(rig));
    rig_event(rig, PIRATE_WORKER_DOWN);
    assert_true(rig_answer(rig, "answer"));
    rig_come_back(rig);
    assert_int_equal(rig->sent_count, 3);
    assert_int_equal(rig->sent[1].says, PIRATE_READY);
    assert_int_equal(rig->sent[2].says, PIRATE_REPLY);
    assert_int_equal(rig->sent[2].connection, 2);
    assert_int_equal(rig_counters(rig)->answers_late, 1);
    rig_free(rig);
}

static void
simple_answer_goes_late_in_place_of_ready(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_SIMPLE);
    rig_hear_request(rig, "C", "hello");
    assert_true(rig_take(rig));
    rig_event(rig, PIRATE_WORKER_DOWN);
    assert_true(rig_answer(rig, "answer"));
    rig_come_back(rig);
    assert_int_equal(rig->sent_count, 2);
    assert_int_equal(rig_last(rig)->says, PIRATE_REPLY);
    assert_int_equal(rig_last(rig)->connection, 2);
    assert_int_equal(rig_counters(rig)->answers_late, 1);
    rig_free(rig);
}

static void
ready_waits_for_an_application_that_is_busy(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        rig_hear_request(rig, "C", "hello");
        assert_true(rig_take(rig));
        rig_event(rig, PIRATE_WORKER_DOWN);
        rig_come_back(rig);
        rig_wait(rig, 60000);
        assert_int_equal(rig->sent_count, 1); // READY, of the first connection
        rig_hear_request(rig, "C", "nobody asked for it");
        assert_int_equal(rig_counters(rig)->messages_ignored, 1);
        // That connection may go as well.
        rig_event(rig, PIRATE_WORKER_DOWN);
        assert_false(rig->is_open);
        rig_come_back(rig);
        assert_true(rig_answer(rig, "answer"));
        assert_int_equal(rig->sent_count, dialects[i] == PIRATE_SIMPLE ? 2 : 3);
        assert_int_equal(rig_last(rig)->says, PIRATE_REPLY);
        assert_int_equal(rig_last(rig)->connection, 3);
        // And from here on it is served.
        rig_hear_request(rig, "C", "again");
        assert_true(rig_take(rig));
        rig_answer(rig, "answer");
        rig_free(rig);
    }
}

static void
requests_that_were_not_begun_go_with_their_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        rig_hear_request(rig, "C", "hello");
        rig_event(rig, PIRATE_WORKER_DOWN);
        assert_int_equal(rig_counters(rig)->requests_gone, 1);
        rig_come_back(rig);
        assert_false(rig_take(rig));
        assert_int_equal(rig_last(rig)->says, PIRATE_READY);
        rig_free(rig);
    }
}

static void
answers_that_wait_at_the_end_are_told_of(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_request(rig, "C", "hello");
    assert_true(rig_take(rig));
    rig_event(rig, PIRATE_WORKER_DOWN);
    rig_answer(rig, "answer");
    rig_event(rig, PIRATE_WORKER_STOP);
    assert_int_equal(rig->lost, 1);
    rig_free(rig);
}

// ---- liveness ---------------------------------------------------------------------------

static void
paranoid_worker_beats_when_it_said_nothing_else(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    for (int i = 0; i < 10; i++) {
        rig_hear_beat(rig);
        rig_wait(rig, 1000);
    }
    assert_int_equal(rig_count(rig, PIRATE_HEARTBEAT), 10);
    assert_string_equal(rig_last(rig)->head, "02");
    // An answer is as good as a beat.
    rig_wait(rig, 500);
    rig_hear_request(rig, "C", "hello");
    assert_true(rig_take(rig));
    rig_answer(rig, "answer");
    rig_wait(rig, 999);
    assert_int_equal(rig_count(rig, PIRATE_HEARTBEAT), 10);
    rig_wait(rig, 1);
    assert_int_equal(rig_count(rig, PIRATE_HEARTBEAT), 11);
    rig_free(rig);
}

static void
simple_worker_has_no_heartbeats_and_judges_nobody(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_SIMPLE);
    rig_wait(rig, 3600000);
    assert_int_equal(rig->sent_count, 1);
    assert_true(rig->is_open);
    assert_int_equal(pirate_worker_core_deadline(rig->core), UINT64_MAX);
    rig_free(rig);
}

static void
busy_worker_does_not_beat(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_request(rig, "C", "hello");
    rig_wait(rig, 5000); // it waits for the application
    assert_true(rig_take(rig));
    rig_wait(rig, 60000);
    assert_int_equal(rig_count(rig, PIRATE_HEARTBEAT), 0);
    rig_free(rig);
}

static void
silent_queue_is_lost_after_its_patience(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_beat(rig);
    rig_wait(rig, 3000);
    assert_int_equal(rig_counters(rig)->silences, 0);
    rig_wait(rig, 1);
    assert_int_equal(rig_counters(rig)->silences, 1);
    rig_come_back(rig);
    assert_int_equal(rig_last(rig)->says, PIRATE_READY);
    assert_int_equal(rig->facts[PIRATE_WORKER_LOST_QUEUE], 1);
    rig_free(rig);
}

static void
queue_that_never_answers_ready_is_lost_too(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_wait(rig, 3001);
    assert_int_equal(rig_counters(rig)->silences, 1);
    rig_free(rig);
}

static void
queue_with_a_longer_interval_is_given_its_patience(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_beat(rig);
    for (int i = 0; i < 5; i++) {
        rig_wait(rig, 2500);
        rig_hear_beat(rig);
    }
    rig_wait(rig, 7500);
    assert_int_equal(rig_counters(rig)->silences, 0);
    rig_wait(rig, 1);
    assert_int_equal(rig_counters(rig)->silences, 1);
    rig_free(rig);
}

static void
silence_before_the_first_word_is_no_interval(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_wait(rig, 2900);
    rig_hear_beat(rig);
    rig_wait(rig, 3001);
    assert_int_equal(rig_counters(rig)->silences, 1);
    rig_free(rig);
}

static void
silence_while_it_works_is_no_loss(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_beat(rig);
    rig_hear_request(rig, "C", "hello");
    assert_true(rig_take(rig));
    rig_sleep(rig, 60000);
    assert_true(rig_answer(rig, "answer"));
    assert_true(rig->is_open);
    // From now on it has to beat.
    rig_wait(rig, 3000);
    assert_int_equal(rig_counters(rig)->silences, 0);
    rig_wait(rig, 1);
    assert_int_equal(rig_counters(rig)->silences, 1);
    rig_free(rig);
}

static void
beats_that_piled_up_are_heard_before_anybody_is_judged(void **state)
{
    (void)state;
    struct rig *rig = rig_serve(PIRATE_PARANOID);
    rig_hear_beat(rig);
    rig_sleep(rig, 60000); // the application was elsewhere
    rig_hear_beat(rig);
    rig_event(rig, PIRATE_WORKER_TICK);
    assert_true(rig->is_open);
    // And that gap was ours, not the queue's.
    rig_wait(rig, 3001);
    assert_int_equal(rig_counters(rig)->silences, 1);
    rig_free(rig);
}

static void
effects_stay_within_their_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIALECTS; i++) {
        struct rig *rig = rig_serve(dialects[i]);
        rig->is_refusing = true;
        for (int number = 0; number < 8; number++) {
            rig_hear_request(rig, "C", "hello");
            assert_true(rig_take(rig));
            rig_answer(rig, "answer");
        }
        for (int number = 0; number < 8; number++)
            rig_hear_request(rig, "C", "hello");
        rig_event(rig, PIRATE_WORKER_STOP);
        assert_int_equal(rig->effects_most, 18); // CLOSE, sixteen dumps, LOST
        rig_free(rig);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_a_workers_socket_is_served_or_dropped),
        cmocka_unit_test(what_may_have_been_a_request_takes_a_new_connection),
        cmocka_unit_test(ready_is_the_first_thing_said),
        cmocka_unit_test(refused_ready_begins_again),
        cmocka_unit_test(connection_that_cannot_be_begun_is_tried_again_later),
        cmocka_unit_test(back_off_begins_anew_after_a_request),
        cmocka_unit_test(back_off_grows_where_connections_come_to_nothing),
        cmocka_unit_test(answer_goes_to_whoever_asked),
        cmocka_unit_test(application_has_one_request_at_a_time),
        cmocka_unit_test(request_that_is_waited_for_comes_at_once),
        cmocka_unit_test(queue_that_gives_too_much_at_once_is_left),
        cmocka_unit_test(request_that_there_is_no_memory_for_takes_a_new_connection),
        cmocka_unit_test(addresses_beyond_all_measure_take_a_new_connection),
        cmocka_unit_test(answer_without_frames_is_an_answer),
        cmocka_unit_test(refused_answer_goes_again),
        cmocka_unit_test(answers_that_wait_go_in_order),
        cmocka_unit_test(new_connection_is_asked_at_once),
        cmocka_unit_test(oldest_answer_makes_room_where_none_is_taken),
        cmocka_unit_test(paranoid_answer_goes_late_behind_ready),
        cmocka_unit_test(simple_answer_goes_late_in_place_of_ready),
        cmocka_unit_test(ready_waits_for_an_application_that_is_busy),
        cmocka_unit_test(requests_that_were_not_begun_go_with_their_connection),
        cmocka_unit_test(answers_that_wait_at_the_end_are_told_of),
        cmocka_unit_test(paranoid_worker_beats_when_it_said_nothing_else),
        cmocka_unit_test(simple_worker_has_no_heartbeats_and_judges_nobody),
        cmocka_unit_test(busy_worker_does_not_beat),
        cmocka_unit_test(silent_queue_is_lost_after_its_patience),
        cmocka_unit_test(queue_that_never_answers_ready_is_lost_too),
        cmocka_unit_test(queue_with_a_longer_interval_is_given_its_patience),
        cmocka_unit_test(silence_before_the_first_word_is_no_interval),
        cmocka_unit_test(silence_while_it_works_is_no_loss),
        cmocka_unit_test(beats_that_piled_up_are_heard_before_anybody_is_judged),
        cmocka_unit_test(effects_stay_within_their_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
