// test_titanic_back.c - what titanic sends to a broker that says nothing of its workers.

#include "fake_broker.h"
#include "titanic_back.h"
#include "titanic_body.h"

#include <galleon/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLOTS = 8, PATIENCE_S = 10 };

static const char tcp[] = "tcp://127.0.0.1:*";
static const char nowhere[] = "tcp://127.0.0.1:1"; // no port that the system gives to anybody

struct stage {
    struct fake_broker *broker;
    struct fake_broker *other; // of a pair
    struct titanic_back back;
    int epoll_fd;
    struct durable_body *body;
    // Of the broker's thread:
    atomic_uint questions; // of mmi.service
    atomic_uint dead;      // requests that reached a service without workers
    atomic_bool is_served; // "dead" has workers now
};

// mmi_of_the_guide: "dead" has no workers, and all others echo.
static void
mmi_of_the_guide(struct fake_broker *self, const struct mdp_record *record)
{
    struct stage *stage = self->context;
    size_t cursor = 0;
    struct view name = VIEW_NONE;
    if (view_equals(record->service, VIEW_LITERAL("mmi.service"))) {
        (void)mdp_body_next(&record->body, &cursor, &name);
        stage->questions++;
        bool is_dead = view_equals(name, VIEW_LITERAL("dead")) && !stage->is_served;
        fake_answer(self, record, 200, 0, is_dead ? "404" : "200");
    } else if (view_equals(record->service, VIEW_LITERAL("dead")) && !stage->is_served) {
        stage->dead++;
    } else {
        fake_echo(self, record);
    }
}

static void
no_mmi_service(struct fake_broker *self, const struct mdp_record *record)
{
    struct stage *stage = self->context;
    if (view_equals(record->service, VIEW_LITERAL("mmi.service"))) {
        stage->questions++;
        fake_answer(self, record, 200, 0, "501");
    } else {
        fake_echo(self, record);
    }
}

static struct stage *
stage_at(const char *endpoint)
{
    struct stage *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->body = malloc(sizeof *self->body + 6);
    *self->body = (struct durable_body){.frames = 1, .bytes = 6};
    memcpy(self->body->data, "\0\0\0\002hi", 6);
    if (endpoint != NULL)
        assert_int_equal(titanic_back_init(&self->back, endpoint, SLOTS, SLOTS / 2, 60000, 1 << 20),
                         0);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return self;
}

static struct stage *
stage_new(enum fake_mmi mmi, fake_script_fn *script)
{
    struct stage *self = stage_at(NULL);
    self->broker = fake_broker_new(tcp, mmi, script, self);
    assert_int_equal(
        titanic_back_init(&self->back, self->broker->endpoint, SLOTS, SLOTS / 2, 60000, 1 << 20),
        0);
    assert_true(titanic_back_watch(&self->back, self->epoll_fd, 0, 1));
    return self;
}

// stage_pair is a Titanic between two halves, of which the first is asked first.
static struct stage *
stage_pair(fake_script_fn *first, fake_script_fn *second, uint32_t timeout_ms)
{
    struct stage *self = stage_at(NULL);
    char list[600];
    self->other = fake_broker_new(tcp, FAKE_GALLEON, second, NULL);
    self->broker = fake_broker_new(tcp, FAKE_GALLEON, first, self->other->endpoint);
    snprintf(list, sizeof list, "%s,%s", self->broker->endpoint, self->other->endpoint);
    assert_int_equal(titanic_back_init(&self->back, list, SLOTS, SLOTS / 2, timeout_ms, 1 << 20),
                     0);
    assert_true(titanic_back_watch(&self->back, self->epoll_fd, 0, 1));
    return self;
}

static void
stage_free(struct stage *self)
{
    titanic_back_release(&self->back);
    if (self->other != NULL)
        fake_broker_free(self->other);
    if (self->broker != NULL)
        fake_broker_free(self->broker);
    close(self->epoll_fd);
    free(self->body);
    free(self);
}

static void
send_within(struct stage *self, uint32_t slot, const char *service, uint64_t queue_ms)
{
    struct titanic_event failed;
    struct titanic_effect effect = {.kind = TITANIC_SEND,
                                    .token = (uint64_t)1 << 32 | slot,
                                    .service = view_of(service, strlen(service)),
                                    .body = self->body,
                                    .queue_ms = queue_ms};
    assert_true(titanic_back_send(&self->back, &effect, galleon_now_ns(), &failed));
}

static void
send_to(struct stage *self, uint32_t slot, const char *service)
{
    send_within(self, slot, service, UINT64_MAX);
}

// next is how the next attempt ends; NOT_TRIED and a slot, or an answer.
static void
expect(struct stage *self, uint32_t slot, enum titanic_ending ending)
{
    uint64_t until_ns = galleon_now_ns() + PATIENCE_S * 1000000000ull;
    struct titanic_event event = {0};
    while (galleon_now_ns() < until_ns) {
        if (titanic_back_take(&self->back, galleon_now_ns(), &event)) {
            if (event.kind == TITANIC_ANSWER)
                break;
            continue;
        }
        uint64_t at_ns = titanic_back_deadline(&self->back), now_ns = galleon_now_ns();
        struct epoll_event ready;
        if (at_ns > now_ns)
            (void)epoll_wait(self->epoll_fd, &ready, 1,
                             at_ns - now_ns > 20000000 ? 20
                                                       : (int)((at_ns - now_ns) / 1000000) + 1);
    }
    assert_int_equal(event.kind, TITANIC_ANSWER);
    assert_int_equal((uint32_t)event.token, slot);
    assert_int_equal(event.ending, ending);
    free(event.reply);
}

static void
service_without_workers_holds_up_no_other(void **state)
{
    (void)state;
    struct stage *stage = stage_new(FAKE_MMI, mmi_of_the_guide);
    send_to(stage, 0, "dead");
    send_to(stage, 1, "echo");
    expect(stage, 0, TITANIC_NOT_TRIED);
    expect(stage, 1, TITANIC_ENDED);
    assert_int_equal(stage->dead, 0);
    stage_free(stage);
}

static void
service_that_gets_a_worker_is_sent_what_waits(void **state)
{
    (void)state;
    struct stage *stage = stage_new(FAKE_MMI, mmi_of_the_guide);
    send_to(stage, 0, "dead");
    expect(stage, 0, TITANIC_NOT_TRIED);
    stage->is_served = true;
    uint64_t until_ns = galleon_now_ns() + PATIENCE_S * 1000000000ull;
    // What it said is believed for a second.
    while (titanic_known_look(&stage->back.known, VIEW_LITERAL("dead"), galleon_now_ns()) ==
               SERVED_NO &&
           galleon_now_ns() < until_ns)
        usleep(10000);
    send_to(stage, 0, "dead");
    expect(stage, 0, TITANIC_ENDED);
    stage_free(stage);
}

static void
service_that_has_just_answered_is_not_asked_about(void **state)
{
    (void)state;
    struct stage *stage = stage_new(FAKE_MMI, mmi_of_the_guide);
    for (uint32_t i = 0; i < 5; i++) {
        send_to(stage, i, "echo");
        expect(stage, i, TITANIC_ENDED);
    }
    assert_in_range(stage->questions, 1, 4);
    stage_free(stage);
}

static void
requests_that_are_not_tried_come_back_from_the_last_on(void **state)
{
    (void)state;
    struct stage *stage = stage_new(FAKE_MMI, mmi_of_the_guide);
    for (uint32_t i = 0; i < 3; i++)
        send_to(stage, i, "dead");
    for (uint32_t i = 3; i > 0; i--)
        expect(stage, i - 1, TITANIC_NOT_TRIED);
    stage_free(stage);
}

static void
broker_without_mmi_is_given_all_and_not_asked_again(void **state)
{
    (void)state;
    struct stage *stage = stage_new(FAKE_MMI, no_mmi_service);
    static const char *const names[] = {"one", "two", "three"};
    for (uint32_t i = 0; i < 3; i++) {
        send_to(stage, i, names[i]);
        expect(stage, i, TITANIC_ENDED);
    }
    assert_int_equal(stage->questions, 1);
    stage_free(stage);
}

static void
galleons_broker_is_given_all_at_once(void **state)
{
    (void)state;
    struct stage *stage = stage_new(FAKE_GALLEON, mmi_of_the_guide);
    send_to(stage, 0, "dead");
    send_to(stage, 1, "echo");
    expect(stage, 1, TITANIC_ENDED);
    assert_int_equal(stage->dead, 1);
    assert_int_equal(stage->questions, 0);
    titanic_back_cancel(&stage->back, (uint64_t)1 << 32);
    stage_free(stage);
}

static void
what_is_held_is_cancelled_and_its_place_is_free(void **state)
{
    (void)state;
    struct stage *stage = stage_new(FAKE_MMI, mmi_of_the_guide);
    send_to(stage, 0, "dead");
    titanic_back_cancel(&stage->back, (uint64_t)1 << 32);
    send_to(stage, 0, "echo");
    expect(stage, 0, TITANIC_ENDED);
    stage_free(stage);
}

static void
what_is_held_for_a_broker_that_is_not_there_is_given_back_in_time(void **state)
{
    (void)state;
    struct stage *stage = stage_at(nowhere);
    assert_true(titanic_back_watch(&stage->back, stage->epoll_fd, 0, 1));
    send_within(stage, 0, "echo", 30);
    expect(stage, 0, TITANIC_NOT_TRIED);
    stage_free(stage);
}

// ---- a pair --------------------------------------------------------------------------------

static void
refuse_to_serve(struct fake_broker *self, const struct mdp_record *record)
{
    fake_answer(self, record, 503, 0, self->context == NULL ? "" : self->context);
}

static void
say_nothing(struct fake_broker *self, const struct mdp_record *record)
{
    (void)self;
    (void)record;
}

static void
answer_of_epoch(struct fake_broker *self, const struct mdp_record *record, struct view fields,
                const char *text)
{
    struct view frame = view_of(text, strlen(text));
    struct mdp_record answer = {.dialect = MDP_G1,
                                .command = MDP_FINAL,
                                .flags = MDP_FLAG_FIELDS,
                                .id = record->id,
                                .status = 200,
                                .fields = fields,
                                .body = mdp_body_of(&frame, 1)};
    fake_send(self, &answer);
}

// overtaken serves under epoch 6, and after its first request under 5.
static void
overtaken(struct fake_broker *self, const struct mdp_record *record)
{
    struct view fields = self->number == 1 ? VIEW_LITERAL("epoch: 0123456789abcdef:6\n")
                                           : VIEW_LITERAL("epoch: 0123456789abcdef:5\n");
    answer_of_epoch(self, record, fields, "overtaken");
}

static void
half_that_serves_is_found_and_that_is_no_attempt(void **state)
{
    (void)state;
    struct stage *stage = stage_pair(refuse_to_serve, fake_echo, 60000);
    for (uint32_t i = 0; i < SLOTS / 2; i++)
        send_to(stage, i, "echo");
    for (uint32_t i = 0; i < SLOTS / 2; i++)
        expect(stage, i, TITANIC_ENDED);
    assert_int_equal(fake_broker_counts(stage->other).requests, SLOTS / 2);
    stage_free(stage);
}

// Neither serves as long as an attempt may take: nothing ran, and no request is to be given up
// for that.
static void
pair_that_does_not_serve_costs_no_attempt(void **state)
{
    (void)state;
    struct stage *stage = stage_pair(refuse_to_serve, refuse_to_serve, 500);
    send_to(stage, 0, "echo");
    expect(stage, 0, TITANIC_NOT_TRIED);
    assert_in_range(fake_broker_counts(stage->other).requests, 1, 20);
    stage_free(stage);
}

static void
request_of_a_half_that_is_killed_goes_to_the_other(void **state)
{
    (void)state;
    struct stage *stage = stage_pair(say_nothing, fake_echo, 60000);
    struct titanic_event event;
    for (uint32_t i = 0; i < SLOTS / 2; i++)
        send_to(stage, i, "echo");
    uint64_t until_ns = galleon_now_ns() + PATIENCE_S * 1000000000ull;
    while (fake_broker_counts(stage->broker).requests < SLOTS / 2) {
        assert_false(titanic_back_take(&stage->back, galleon_now_ns(), &event));
        assert_true(galleon_now_ns() < until_ns);
    }
    fake_broker_down(stage->broker);
    for (uint32_t i = 0; i < SLOTS / 2; i++)
        expect(stage, i, TITANIC_ENDED); // once each, in their order
    assert_int_equal(fake_broker_counts(stage->other).requests, SLOTS / 2);
    assert_false(titanic_back_take(&stage->back, galleon_now_ns(), &event));
    stage_free(stage);
}

static void
answer_of_a_half_that_is_overtaken_is_not_kept(void **state)
{
    (void)state;
    struct stage *stage = stage_pair(overtaken, fake_echo, 60000);
    send_to(stage, 0, "echo");
    expect(stage, 0, TITANIC_ENDED);
    send_to(stage, 0, "echo");
    expect(stage, 0, TITANIC_ENDED);
    assert_int_equal(fake_broker_counts(stage->broker).requests, 2);
    assert_int_equal(fake_broker_counts(stage->other).requests, 1);
    stage_free(stage);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(service_without_workers_holds_up_no_other),
        cmocka_unit_test(service_that_gets_a_worker_is_sent_what_waits),
        cmocka_unit_test(service_that_has_just_answered_is_not_asked_about),
        cmocka_unit_test(requests_that_are_not_tried_come_back_from_the_last_on),
        cmocka_unit_test(broker_without_mmi_is_given_all_and_not_asked_again),
        cmocka_unit_test(galleons_broker_is_given_all_at_once),
        cmocka_unit_test(what_is_held_is_cancelled_and_its_place_is_free),
        cmocka_unit_test(what_is_held_for_a_broker_that_is_not_there_is_given_back_in_time),
        cmocka_unit_test(half_that_serves_is_found_and_that_is_no_attempt),
        cmocka_unit_test(pair_that_does_not_serve_costs_no_attempt),
        cmocka_unit_test(request_of_a_half_that_is_killed_goes_to_the_other),
        cmocka_unit_test(answer_of_a_half_that_is_overtaken_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
