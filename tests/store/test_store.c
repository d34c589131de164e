// test_store.c - the contract of every store: each test runs against all of them.

#include "store_rig.h"

#include "durable_digest.h"
#include "tsp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int
open_memory(void **state)
{
    *state = store_rig_new(store_open_memory);
    return 0;
}

static int
open_sqlite(void **state)
{
    *state = store_rig_new(store_open_sqlite);
    return 0;
}

static int
close_rig(void **state)
{
    store_rig_free(*state);
    return 0;
}

// ---- the life of a request -----------------------------------------------------------

static void
accepted_request_is_pending(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    rig_accept_id(rig, "echo", "hello", &id);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    assert_int_equal(fetch.state, DURABLE_PENDING);
    assert_null(fetch.reply);
}

static void
accepted_request_is_loaded_as_it_was(void **state)
{
    struct store_rig *rig = *state;
    struct durable_body *body = rig_body("hello");
    struct durable_op submit = rig_submit(rig, "echo", body);
    submit.key = rig_view("a key");
    submit.deadline_ms = rig->now_ms + 5000;
    assert_int_equal(rig_apply(rig, &submit), DURABLE_OK);
    struct durable_op load = rig_load(rig, "echo", 10);
    assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
    assert_int_equal(load.found->count, 1);
    const struct durable_row *row = load.found->rows;
    assert_int_equal(row->seq, submit.seq);
    assert_memory_equal(&row->id, &submit.id, sizeof row->id);
    assert_int_equal(row->state, DURABLE_PENDING);
    assert_int_equal(row->attempts, 0);
    assert_int_equal(row->attempts_max, 10);
    assert_int_equal(row->accepted_ms, rig->now_ms);
    assert_int_equal(row->due_ms, rig->now_ms);
    assert_int_equal(row->deadline_ms, rig->now_ms + 5000);
    assert_true(view_equals(row->service, rig_view("echo")));
    assert_true(view_equals(row->key, rig_view("a key")));
    assert_int_equal(row->frames, 1);
    assert_true(rig_is(row->body, "hello"));
    assert_false(load.has_more);
    store_rows_free(load.found);
    free(body);
}

static void
answer_is_fetched_as_often_as_asked(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &id);
    assert_int_equal(rig_answer(rig, seq, "world"), DURABLE_OK);
    for (int time = 0; time < 3; time++) {
        struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
        assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
        assert_int_equal(fetch.state, DURABLE_DONE);
        assert_true(rig_is(fetch.reply, "world"));
        free(fetch.reply);
    }
}

static void
second_answer_is_not_kept(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &id);
    assert_int_equal(rig_answer(rig, seq, "first"), DURABLE_OK);
    assert_int_equal(rig_answer(rig, seq, "second"), DURABLE_NONE);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    assert_true(rig_is(fetch.reply, "first"));
    free(fetch.reply);
}

static void
closed_request_is_unknown(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &id);
    assert_int_equal(rig_close(rig, id), DURABLE_OK);
    assert_int_equal(rig_close(rig, id), DURABLE_NONE);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_NONE);
    assert_int_equal(rig_answer(rig, seq, "late"), DURABLE_NONE);
    struct durable_op load = rig_load(rig, "echo", 10);
    assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
    assert_int_equal(load.found->count, 0);
    store_rows_free(load.found);
}

static void
close_says_what_it_was(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &id);
    rig_answer(rig, seq, "world");
    struct durable_op op = rig_by_id(rig, DURABLE_CLOSE, id);
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.state, DURABLE_DONE);
    assert_int_equal(op.seq, seq);
}

static void
other_owner_finds_nothing(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    rig->owner.bytes[3] = 7;
    rig_accept_id(rig, "echo", "hello", &id);
    rig->owner.bytes[3] = 8;
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_NONE);
    assert_int_equal(rig_close(rig, id), DURABLE_NONE);
    struct durable_op list = rig_filter(rig, DURABLE_LIST);
    assert_int_equal(rig_apply(rig, &list), DURABLE_OK);
    assert_int_equal(list.found->count, 0);
    store_rows_free(list.found);
    rig->owner.bytes[3] = 7;
    assert_int_equal(rig_close(rig, id), DURABLE_OK);
}

static void
killed_request_says_why(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &id);
    struct durable_op op = rig_by_seq(rig, DURABLE_KILL, seq);
    op.state = DURABLE_DEAD;
    op.reason = rig_view("500 out of tea");
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    assert_int_equal(fetch.state, DURABLE_DEAD);
    assert_true(view_equals(fetch.text, rig_view("500 out of tea")));
    store_rows_free(fetch.found);
    assert_int_equal(rig_answer(rig, seq, "late"), DURABLE_NONE);
}

// ---- keys ------------------------------------------------------------------------------

static struct durable_op
submit_key(struct store_rig *rig, const char *key, const char *text)
{
    struct durable_body *body = rig_body(text);
    struct durable_op op = rig_submit(rig, "echo", body);
    op.key = rig_view(key);
    rig_apply(rig, &op);
    free(body);
    return op;
}

static void
same_key_is_the_same_request(void **state)
{
    struct store_rig *rig = *state;
    struct durable_op first = submit_key(rig, "k", "hello");
    struct durable_op second = submit_key(rig, "k", "hello");
    assert_int_equal(first.outcome, DURABLE_OK);
    assert_int_equal(second.outcome, DURABLE_SAME);
    assert_memory_equal(&first.id, &second.id, sizeof first.id);
    assert_int_equal(second.seq, first.seq);
    assert_int_equal(second.state, DURABLE_PENDING);
}

static void
same_key_with_another_body_is_a_conflict(void **state)
{
    struct store_rig *rig = *state;
    submit_key(rig, "k", "hello");
    assert_int_equal(submit_key(rig, "k", "hullo").outcome, DURABLE_CONFLICT);
}

static void
key_is_its_owners(void **state)
{
    struct store_rig *rig = *state;
    submit_key(rig, "k", "hello");
    rig->owner.bytes[0] = 1;
    assert_int_equal(submit_key(rig, "k", "hello").outcome, DURABLE_OK);
}

static void
key_outlives_its_request(void **state)
{
    struct store_rig *rig = *state;
    struct durable_op first = submit_key(rig, "k", "hello");
    assert_int_equal(rig_close(rig, first.id), DURABLE_OK);
    struct durable_op second = submit_key(rig, "k", "hello");
    assert_int_equal(second.outcome, DURABLE_SAME);
    assert_int_equal(second.state, DURABLE_CLOSED);
    assert_memory_equal(&first.id, &second.id, sizeof first.id);
    assert_int_equal(rig_close(rig, first.id), DURABLE_NONE);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, first.id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_NONE);
}

static void
key_is_free_when_its_time_is_over(void **state)
{
    struct store_rig *rig = *state;
    struct durable_op first = submit_key(rig, "k", "hello");
    rig_close(rig, first.id);
    rig->now_ms += rig->options.retain_ms + 1;
    rig_idle(rig);
    struct durable_op second = submit_key(rig, "k", "hello");
    assert_int_equal(second.outcome, DURABLE_OK);
    assert_true(second.seq > first.seq);
}

// What is asked may wait long for a stalled disk, and what keeps its key from being used twice may
// be swept before its turn comes.
static void
key_of_our_form_from_before_the_sweep_is_late(void **state)
{
    struct store_rig *rig = *state;
    struct request_id made = {{0}};
    for (int i = 0; i < 6; i++)
        made.bytes[i] = (uint8_t)(rig->now_ms >> (40 - 8 * i));
    char key[REQUEST_ID_TEXT_BYTES + 1] = "";
    request_id_write(&made, (uint8_t *)key);
    struct durable_op first = submit_key(rig, key, "hello");
    assert_int_equal(first.outcome, DURABLE_OK);
    rig->now_ms += rig->options.retain_ms / 2;
    rig_close(rig, first.id);
    rig->now_ms += rig->options.retain_ms / 2 + 1;
    rig_idle(rig);
    struct durable_op again = submit_key(rig, key, "hello"); // the tombstone is there still
    assert_int_equal(again.outcome, DURABLE_SAME);
    rig->now_ms += rig->options.retain_ms;
    rig_idle(rig);
    struct durable_op late = submit_key(rig, key, "hello");
    assert_int_equal(late.outcome, DURABLE_LATE);
    assert_int_equal(late.seq, 0);
    struct durable_op other = submit_key(rig, "another", "hello");
    assert_int_equal(other.outcome, DURABLE_OK);
}

static void
id_is_given_once(void **state)
{
    struct store_rig *rig = *state;
    struct durable_body *body = rig_body("hello");
    struct durable_op first = rig_submit(rig, "echo", body);
    struct durable_op second = first;
    assert_int_equal(rig_apply(rig, &first), DURABLE_OK);
    assert_int_equal(rig_apply(rig, &second), DURABLE_REFUSED);
    free(body);
}

static void
seq_is_never_used_again(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t first = rig_accept_id(rig, "echo", "hello", &id);
    rig_close(rig, id);
    assert_true(rig_accept(rig, "echo", "hello") > first);
}

// ---- bodies ------------------------------------------------------------------------------

static void
body_of_any_size_comes_back(void **state)
{
    struct store_rig *rig = *state;
    static const size_t sizes[] = {0, 1, 1000, 65532, 65533, 65536, 65537, 131072, 300001};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        char *text = malloc(sizes[at] + 1);
        for (size_t i = 0; i < sizes[at]; i++)
            text[i] = (char)('a' + i % 23);
        text[sizes[at]] = '\0';
        struct request_id id;
        uint64_t seq = rig_accept_id(rig, "sizes", text, &id);
        struct durable_op load = rig_load(rig, "sizes", 1);
        assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
        assert_true(rig_is(load.found->rows[0].body, text));
        store_rows_free(load.found);
        assert_int_equal(rig_answer(rig, seq, text), DURABLE_OK);
        struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
        assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
        assert_true(rig_is(fetch.reply, text));
        free(fetch.reply);
        assert_int_equal(rig_close(rig, id), DURABLE_OK);
        free(text);
    }
}

static void
fields_and_empty_bodies_come_back(void **state)
{
    struct store_rig *rig = *state;
    struct durable_body *body = malloc(sizeof *body + 5);
    *body = (struct durable_body){.frames = 0, .fields_bytes = 5, .bytes = 5};
    memcpy(body->data, "a: b\n", 5);
    struct durable_op submit = rig_submit(rig, "echo", body);
    assert_int_equal(rig_apply(rig, &submit), DURABLE_OK);
    struct durable_op load = rig_load(rig, "echo", 1);
    assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
    const struct durable_body *is = load.found->rows[0].body;
    assert_int_equal(is->frames, 0);
    assert_int_equal(is->fields_bytes, 5);
    assert_int_equal(is->bytes, 5);
    assert_memory_equal(is->data, "a: b\n", 5);
    store_rows_free(load.found);
    free(body);
}

static struct durable_row
listed(struct store_rig *rig)
{
    struct durable_op list = rig_filter(rig, DURABLE_LIST);
    assert_int_equal(rig_apply(rig, &list), DURABLE_OK);
    assert_int_equal(list.found->count, 1);
    struct durable_row row = list.found->rows[0];
    store_rows_free(list.found);
    return row;
}

static void
sizes_are_those_of_the_frames_alone(void **state)
{
    struct store_rig *rig = *state;
    static const char data[] = "a: b\n\0\0\0\002hi\0\0\0\0\0\0\0\003you";
    const size_t bytes = sizeof data - 1;
    struct durable_body *body = malloc(sizeof *body + bytes);
    *body = (struct durable_body){.frames = 3, .fields_bytes = 5, .bytes = bytes};
    memcpy(body->data, data, bytes);
    struct durable_op submit = rig_submit(rig, "echo", body);
    submit.key = rig_view("k");
    assert_int_equal(rig_apply(rig, &submit), DURABLE_OK);
    assert_int_equal(listed(rig).frames, 3);
    assert_int_equal(listed(rig).bytes, 5);
    struct durable_op load = rig_load(rig, "echo", 1);
    assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
    assert_int_equal(load.found->rows[0].bytes, 5);
    assert_int_equal(load.found->rows[0].body_bytes, bytes);
    store_rows_free(load.found);
    struct durable_op answer = rig_by_seq(rig, DURABLE_ANSWER, submit.seq);
    answer.body = body;
    assert_int_equal(rig_apply(rig, &answer), DURABLE_OK);
    struct durable_row row = listed(rig);
    assert_int_equal(row.bytes, 5);
    assert_int_equal(row.reply_frames, 3);
    assert_int_equal(row.reply_bytes, 5);
    assert_int_equal(rig_close(rig, submit.id), DURABLE_OK);
    row = listed(rig);
    assert_int_equal(row.state, DURABLE_CLOSED);
    assert_int_equal(row.bytes, 5);
    assert_int_equal(row.reply_bytes, 5);
    free(body);
}

static void
size_of_a_request_that_was_never_answered_stays_when_it_is_closed(void **state)
{
    struct store_rig *rig = *state;
    struct durable_body *body = malloc(sizeof *body + 11);
    *body = (struct durable_body){.frames = 1, .fields_bytes = 5, .bytes = 11};
    memcpy(body->data, "a: b\n\0\0\0\002hi", 11);
    struct durable_op submit = rig_submit(rig, "echo", body);
    submit.key = rig_view("k");
    assert_int_equal(rig_apply(rig, &submit), DURABLE_OK);
    assert_int_equal(rig_close(rig, submit.id), DURABLE_OK);
    assert_int_equal(listed(rig).bytes, 2);
    assert_int_equal(listed(rig).reply_bytes, 0);
    free(body);
}

// ---- what is due ---------------------------------------------------------------------------

static void
requests_are_loaded_in_order_and_pages(void **state)
{
    struct store_rig *rig = *state;
    uint64_t seqs[7];
    for (int at = 0; at < 7; at++)
        seqs[at] = rig_accept(rig, "echo", "x");
    rig_accept(rig, "other", "x");
    struct durable_op load = rig_load(rig, "echo", 3);
    int seen = 0;
    do {
        assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
        assert_true(load.found->count > 0 && load.found->count <= 3);
        for (size_t at = 0; at < load.found->count; at++) {
            assert_int_equal(load.found->rows[at].seq, seqs[seen++]);
            load.after_due_ms = load.found->rows[at].due_ms;
            load.after_seq = load.found->rows[at].seq;
        }
        store_rows_free(load.found);
    } while (load.has_more);
    assert_int_equal(seen, 7);
}

static void
load_stops_at_its_bytes(void **state)
{
    struct store_rig *rig = *state;
    for (int at = 0; at < 5; at++)
        rig_accept(rig, "echo", "0123456789");
    struct durable_op load = rig_load(rig, "echo", 100);
    load.bytes_max = 20;
    assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
    assert_int_equal(load.found->count, 2);
    assert_true(load.has_more);
    store_rows_free(load.found);
}

static void
request_that_is_not_due_is_not_loaded(void **state)
{
    struct store_rig *rig = *state;
    struct durable_body *body = rig_body("later");
    struct durable_op submit = rig_submit(rig, "echo", body);
    submit.due_ms = rig->now_ms + 100;
    rig_apply(rig, &submit);
    free(body);
    struct durable_op load = rig_load(rig, "echo", 10);
    rig_apply(rig, &load);
    assert_int_equal(load.found->count, 0);
    assert_int_equal(load.next_ms, rig->now_ms + 100);
    store_rows_free(load.found);
    rig->now_ms += 100;
    load = rig_load(rig, "echo", 10);
    rig_apply(rig, &load);
    assert_int_equal(load.found->count, 1);
    assert_int_equal(load.next_ms, 0);
    store_rows_free(load.found);
}

static void
failed_attempt_is_due_again_later(void **state)
{
    struct store_rig *rig = *state;
    uint64_t first = rig_accept(rig, "echo", "first");
    uint64_t second = rig_accept(rig, "echo", "second");
    struct durable_op op = rig_by_seq(rig, DURABLE_FAILED, first);
    op.attempts = 3;
    op.due_ms = rig->now_ms + 1;
    op.reason = rig_view("no luck");
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    rig->now_ms += 1;
    struct durable_op load = rig_load(rig, "echo", 10);
    rig_apply(rig, &load);
    assert_int_equal(load.found->count, 2);
    assert_int_equal(load.found->rows[0].seq, second);
    assert_int_equal(load.found->rows[1].attempts, 3);
    assert_true(view_equals(load.found->rows[1].reason, rig_view("no luck")));
    store_rows_free(load.found);
}

static uint64_t
accept_until(struct store_rig *rig, uint64_t deadline_ms)
{
    struct durable_body *body = rig_body("x");
    struct durable_op submit = rig_submit(rig, "echo", body);
    submit.deadline_ms = deadline_ms;
    assert_int_equal(rig_apply(rig, &submit), DURABLE_OK);
    free(body);
    return submit.seq;
}

static void
overdue_requests_are_found_in_order(void **state)
{
    struct store_rig *rig = *state;
    uint64_t late = accept_until(rig, rig->now_ms + 20);
    uint64_t early = accept_until(rig, rig->now_ms + 10);
    accept_until(rig, rig->now_ms + 30);
    accept_until(rig, 0);
    rig->now_ms += 21;
    struct durable_op op = rig_by_seq(rig, DURABLE_OVERDUE, 0);
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.found->count, 2);
    assert_int_equal(op.found->rows[0].seq, early);
    assert_int_equal(op.found->rows[1].seq, late);
    assert_int_equal(op.next_ms, rig->now_ms + 9);
    store_rows_free(op.found);
    op = rig_by_seq(rig, DURABLE_KILL, early);
    op.state = DURABLE_EXPIRED;
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    op = rig_by_seq(rig, DURABLE_OVERDUE, 0);
    op.limit = 1;
    rig_apply(rig, &op);
    assert_int_equal(op.found->rows[0].seq, late);
    assert_false(op.has_more);
    store_rows_free(op.found);
}

// ---- what operators ask ----------------------------------------------------------------------

static size_t
list_count(struct store_rig *rig, struct durable_op *op)
{
    assert_int_equal(rig_apply(rig, op), DURABLE_OK);
    size_t count = op->found->count;
    store_rows_free(op->found);
    return count;
}

static void
list_goes_by_its_filter(void **state)
{
    struct store_rig *rig = *state;
    struct request_id ids[4];
    for (int at = 0; at < 4; at++) {
        uint64_t seq = rig_accept_id(rig, at < 3 ? "echo" : "other", "x", &ids[at]);
        if (at == 0)
            rig_answer(rig, seq, "y");
        rig->now_ms += 1000;
    }
    struct durable_op op = rig_filter(rig, DURABLE_LIST);
    assert_int_equal(list_count(rig, &op), 4);
    op.filter.service = rig_view("echo");
    assert_int_equal(list_count(rig, &op), 3);
    op.filter.has_state = true;
    op.filter.state = DURABLE_PENDING;
    assert_int_equal(list_count(rig, &op), 2);
    op.filter.older_than_ms = 3000;
    assert_int_equal(list_count(rig, &op), 1);
    op.filter.older_than_ms = 0;
    op.filter.newer_than_ms = 3000;
    assert_int_equal(list_count(rig, &op), 1);
    op = rig_filter(rig, DURABLE_LIST);
    op.filter.has_after = true;
    op.filter.after = ids[1];
    assert_int_equal(list_count(rig, &op), 2);
    op.filter.limit = 1;
    assert_int_equal(list_count(rig, &op), 1);
    op = rig_filter(rig, DURABLE_LIST);
    op.filter.has_id = true;
    op.filter.id = ids[2];
    assert_int_equal(list_count(rig, &op), 1);
    op.filter.service = rig_view("nobody");
    assert_int_equal(list_count(rig, &op), 0);
}

static void
cancelled_request_is_dead_until_retried(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &id);
    struct durable_op op = rig_filter(rig, DURABLE_CANCEL);
    op.filter.has_id = true;
    op.filter.id = id;
    op.reason = rig_view("not wanted");
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.found->count, 1);
    assert_int_equal(op.found->rows[0].state, DURABLE_DEAD);
    assert_true(view_equals(op.found->rows[0].reason, rig_view("not wanted")));
    store_rows_free(op.found);
    assert_int_equal(rig_answer(rig, seq, "late"), DURABLE_NONE);
    op = rig_filter(rig, DURABLE_RETRY);
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.found->count, 1);
    assert_int_equal(op.found->rows[0].state, DURABLE_PENDING);
    store_rows_free(op.found);
    struct durable_op load = rig_load(rig, "echo", 1);
    rig_apply(rig, &load);
    assert_true(rig_is(load.found->rows[0].body, "hello"));
    store_rows_free(load.found);
}

// live_again cancels everything and retries it.
static void
live_again(struct store_rig *rig)
{
    struct durable_op cancel = rig_filter(rig, DURABLE_CANCEL);
    assert_int_equal(list_count(rig, &cancel), 1);
    struct durable_op retry = rig_filter(rig, DURABLE_RETRY);
    retry.due_ms = rig->now_ms;
    assert_int_equal(list_count(rig, &retry), 1);
}

static void
end_of_an_earlier_life_does_not_touch_the_next(void **state)
{
    struct store_rig *rig = *state;
    uint64_t seq = rig_accept(rig, "echo", "hello");
    assert_int_equal(listed(rig).life, 0);
    live_again(rig);
    assert_int_equal(listed(rig).life, 1);
    live_again(rig);
    assert_int_equal(listed(rig).life, 2);
    for (uint32_t life = 0; life < 2; life++) {
        struct durable_op failed = rig_by_seq(rig, DURABLE_FAILED, seq);
        failed.life = life;
        failed.due_ms = rig->now_ms + 1000;
        assert_int_equal(rig_apply(rig, &failed), DURABLE_NONE);
        struct durable_op kill = rig_by_seq(rig, DURABLE_KILL, seq);
        kill.life = life;
        kill.state = DURABLE_DEAD;
        assert_int_equal(rig_apply(rig, &kill), DURABLE_NONE);
    }
    assert_int_equal(listed(rig).state, DURABLE_PENDING);
    assert_int_equal(listed(rig).attempts, 0);
    assert_int_equal(listed(rig).due_ms, rig->now_ms);
    struct durable_op kill = rig_by_seq(rig, DURABLE_KILL, seq);
    kill.life = 2;
    kill.state = DURABLE_DEAD;
    assert_int_equal(rig_apply(rig, &kill), DURABLE_OK);
}

static void
answer_of_an_earlier_life_is_as_good(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    uint64_t seq = rig_accept_id(rig, "echo", "hello", &id);
    live_again(rig);
    assert_int_equal(rig_answer(rig, seq, "world"), DURABLE_OK);
    assert_int_equal(listed(rig).state, DURABLE_DONE);
}

static void
life_is_loaded_with_its_request(void **state)
{
    struct store_rig *rig = *state;
    rig_accept(rig, "echo", "hello");
    live_again(rig);
    struct durable_op load = rig_load(rig, "echo", 1);
    assert_int_equal(rig_apply(rig, &load), DURABLE_OK);
    assert_int_equal(load.found->rows[0].life, 1);
    store_rows_free(load.found);
}

static void
purge_forgets_what_is_over(void **state)
{
    struct store_rig *rig = *state;
    struct request_id done, pending;
    rig_answer(rig, rig_accept_id(rig, "echo", "x", &done), "y");
    rig_accept_id(rig, "echo", "x", &pending);
    struct durable_op op = rig_filter(rig, DURABLE_PURGE);
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.found->count, 1);
    assert_int_equal(op.found->rows[0].state, DURABLE_CLOSED);
    store_rows_free(op.found);
    assert_int_equal(rig_close(rig, done), DURABLE_NONE);
    assert_int_equal(rig_close(rig, pending), DURABLE_OK);
}

static void
stats_count_by_service(void **state)
{
    struct store_rig *rig = *state;
    uint64_t began_ms = rig->now_ms;
    rig_accept(rig, "b", "x");
    rig->now_ms += 10;
    rig_accept(rig, "b", "x");
    rig_answer(rig, rig_accept(rig, "a", "x"), "y");
    struct durable_op op = rig_filter(rig, DURABLE_STATS);
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.found->service_count, 3);
    const struct durable_count *counts = op.found->services;
    assert_int_equal(counts[0].service.size, 0);
    assert_int_equal(counts[0].pending, 2);
    assert_int_equal(counts[0].done, 1);
    assert_true(view_equals(counts[1].service, rig_view("a")));
    assert_int_equal(counts[1].done, 1);
    assert_int_equal(counts[1].oldest_ms, 0);
    assert_int_equal(counts[2].pending, 2);
    assert_int_equal(counts[2].oldest_ms, began_ms);
    store_rows_free(op.found);
}

static void
stats_of_what_is_pending_pass_over_all_others(void **state)
{
    struct store_rig *rig = *state;
    rig_answer(rig, rig_accept(rig, "a", "x"), "y");
    rig_accept(rig, "b", "x");
    rig_accept(rig, "c", "x");
    struct durable_op op = rig_filter(rig, DURABLE_STATS);
    op.limit = UINT32_MAX;
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.found->service_count, 3);
    assert_int_equal(op.found->services[0].done, 1);
    assert_true(view_equals(op.found->services[1].service, rig_view("b")));
    assert_true(view_equals(op.found->services[2].service, rig_view("c")));
    store_rows_free(op.found);
    op.limit = 1;
    assert_int_equal(rig_apply(rig, &op), DURABLE_OK);
    assert_int_equal(op.found->service_count, 2);
    store_rows_free(op.found);
}

// ---- what is past its time ---------------------------------------------------------------------

static void
answer_that_nobody_closed_is_kept_for_its_time(void **state)
{
    struct store_rig *rig = *state;
    struct request_id id;
    rig_answer(rig, rig_accept_id(rig, "echo", "x", &id), "y");
    rig->now_ms += rig->options.retain_ms;
    rig_idle(rig);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_OK);
    free(fetch.reply);
    rig->now_ms += 1 + rig->options.retain_ms / 8;
    rig_idle(rig);
    fetch = rig_by_id(rig, DURABLE_FETCH, id);
    assert_int_equal(rig_apply(rig, &fetch), DURABLE_NONE);
}

static void
pending_and_dead_requests_are_kept_for_ever(void **state)
{
    struct store_rig *rig = *state;
    struct request_id pending, dead;
    rig_accept_id(rig, "echo", "x", &pending);
    struct durable_op op = rig_by_seq(rig, DURABLE_KILL, rig_accept_id(rig, "echo", "x", &dead));
    rig_apply(rig, &op);
    rig->now_ms += 1000 * rig->options.retain_ms;
    rig_idle(rig);
    assert_int_equal(rig_close(rig, pending), DURABLE_OK);
    assert_int_equal(rig_close(rig, dead), DURABLE_OK);
}

// ---- batches -----------------------------------------------------------------------------------

static void
batch_is_done_in_order(void **state)
{
    struct store_rig *rig = *state;
    struct durable_body *body = rig_body("hello"), *reply = rig_body("world");
    struct durable_op submit = rig_submit(rig, "echo", body), again = submit;
    submit.key = again.key = rig_view("k");
    again.id = store_rig_id(rig);
    struct durable_op load = rig_load(rig, "echo", 5);
    struct durable_op close = rig_by_id(rig, DURABLE_CLOSE, submit.id);
    struct durable_op fetch = rig_by_id(rig, DURABLE_FETCH, submit.id);
    struct durable_op *ops[] = {&submit, &again, &load, &close, &fetch};
    assert_int_equal(store_apply(rig->store, ops, 5), STORE_COMMITTED);
    assert_int_equal(submit.outcome, DURABLE_OK);
    assert_int_equal(again.outcome, DURABLE_SAME);
    assert_int_equal(load.found->count, 1);
    assert_int_equal(close.outcome, DURABLE_OK);
    assert_int_equal(fetch.outcome, DURABLE_NONE);
    store_rows_free(load.found);
    free(body);
    free(reply);
}

#define TESTS(open)                                                                                \
    cmocka_unit_test_setup_teardown(accepted_request_is_pending, open, close_rig),                 \
        cmocka_unit_test_setup_teardown(accepted_request_is_loaded_as_it_was, open, close_rig),    \
        cmocka_unit_test_setup_teardown(answer_is_fetched_as_often_as_asked, open, close_rig),     \
        cmocka_unit_test_setup_teardown(second_answer_is_not_kept, open, close_rig),               \
        cmocka_unit_test_setup_teardown(closed_request_is_unknown, open, close_rig),               \
        cmocka_unit_test_setup_teardown(close_says_what_it_was, open, close_rig),                  \
        cmocka_unit_test_setup_teardown(other_owner_finds_nothing, open, close_rig),               \
        cmocka_unit_test_setup_teardown(killed_request_says_why, open, close_rig),                 \
        cmocka_unit_test_setup_teardown(same_key_is_the_same_request, open, close_rig),            \
        cmocka_unit_test_setup_teardown(same_key_with_another_body_is_a_conflict, open,            \
                                        close_rig),                                                \
        cmocka_unit_test_setup_teardown(key_is_its_owners, open, close_rig),                       \
        cmocka_unit_test_setup_teardown(key_outlives_its_request, open, close_rig),                \
        cmocka_unit_test_setup_teardown(key_is_free_when_its_time_is_over, open, close_rig),       \
        cmocka_unit_test_setup_teardown(key_of_our_form_from_before_the_sweep_is_late, open,       \
                                        close_rig),                                                \
        cmocka_unit_test_setup_teardown(id_is_given_once, open, close_rig),                        \
        cmocka_unit_test_setup_teardown(seq_is_never_used_again, open, close_rig),                 \
        cmocka_unit_test_setup_teardown(body_of_any_size_comes_back, open, close_rig),             \
        cmocka_unit_test_setup_teardown(fields_and_empty_bodies_come_back, open, close_rig),       \
        cmocka_unit_test_setup_teardown(sizes_are_those_of_the_frames_alone, open, close_rig),     \
        cmocka_unit_test_setup_teardown(                                                           \
            size_of_a_request_that_was_never_answered_stays_when_it_is_closed, open, close_rig),   \
        cmocka_unit_test_setup_teardown(requests_are_loaded_in_order_and_pages, open, close_rig),  \
        cmocka_unit_test_setup_teardown(load_stops_at_its_bytes, open, close_rig),                 \
        cmocka_unit_test_setup_teardown(request_that_is_not_due_is_not_loaded, open, close_rig),   \
        cmocka_unit_test_setup_teardown(failed_attempt_is_due_again_later, open, close_rig),       \
        cmocka_unit_test_setup_teardown(overdue_requests_are_found_in_order, open, close_rig),     \
        cmocka_unit_test_setup_teardown(list_goes_by_its_filter, open, close_rig),                 \
        cmocka_unit_test_setup_teardown(cancelled_request_is_dead_until_retried, open, close_rig), \
        cmocka_unit_test_setup_teardown(end_of_an_earlier_life_does_not_touch_the_next, open,      \
                                        close_rig),                                                \
        cmocka_unit_test_setup_teardown(answer_of_an_earlier_life_is_as_good, open, close_rig),    \
        cmocka_unit_test_setup_teardown(life_is_loaded_with_its_request, open, close_rig),         \
        cmocka_unit_test_setup_teardown(purge_forgets_what_is_over, open, close_rig),              \
        cmocka_unit_test_setup_teardown(stats_count_by_service, open, close_rig),                  \
        cmocka_unit_test_setup_teardown(stats_of_what_is_pending_pass_over_all_others, open,       \
                                        close_rig),                                                \
        cmocka_unit_test_setup_teardown(answer_that_nobody_closed_is_kept_for_its_time, open,      \
                                        close_rig),                                                \
        cmocka_unit_test_setup_teardown(pending_and_dead_requests_are_kept_for_ever, open,         \
                                        close_rig),                                                \
        cmocka_unit_test_setup_teardown(batch_is_done_in_order, open, close_rig)

int
main(void)
{
    const struct CMUnitTest memory[] = {TESTS(open_memory)};
    const struct CMUnitTest sqlite[] = {TESTS(open_sqlite)};
    int failed = cmocka_run_group_tests_name("memory", memory, NULL, NULL);
    return failed + cmocka_run_group_tests_name("sqlite", sqlite, NULL, NULL);
}
