// titanic_client.c - 9/TSP over a Majordomo client.
//
// A submit without options is titanic.request of RFC 9, which every titanic knows. Waiting
// is titanic.wait where the broker says that somebody serves it, and else asking again with
// pauses that grow. A call ends at a time of its own, so it is a send, and answers that come
// to other sends meanwhile are kept for recv.

#include <galleon/titanic_client.h>

#include "answers.h"
#include "must.h"
#include "text.h"
#include "tsp.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>

enum {
    TIMEOUT_MS = 2500, // as of mdp_client
    WINDOW = 1000,
    PAUSE_MS_MIN = 10, // between fetches
    PAUSE_MS_MAX = 1000,
    LATE_MS_MAX = 1000, // an answer to wait, behind its end
    FIELDS_BYTES = 256,
    NUMBER_DIGITS_MAX = 15
};

static const uint64_t ms = 1000000;
static const uint64_t never_ns = UINT64_MAX;
static const uint64_t no_call = UINT64_MAX; // an id that no call has

struct titanic_client {
    mdp_client_t *mdp;
    uint32_t timeout_ms; // of one attempt
    uint32_t window;
    uint32_t open;       // sends whose outcome recv has not returned
    bool can_wait;       // a broker said that titanic.wait is served
    bool is_mute;        // the broker, when it was asked whether that is so
    struct answers held; // of sends

    // What titanic said last.
    int status;
    char text[ANSWER_TEXT_BYTES];
};

// ---- making one ------------------------------------------------------------------------------

titanic_client_t *
titanic_client_new(const char *brokers, const mdp_client_options_t *options)
{
    mdp_client_options_t chosen = options == NULL ? (mdp_client_options_t){0} : *options;
    titanic_client_t *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->timeout_ms = chosen.timeout_ms != 0 ? chosen.timeout_ms : TIMEOUT_MS;
    self->window = chosen.window != 0 ? chosen.window : WINDOW;
    chosen.window = self->window + (self->window < UINT32_MAX); // a call beside all sends
    chosen.partials = false;
    self->mdp = mdp_client_new(brokers, &chosen);
    if (self->mdp == NULL || !answers_init(&self->held, self->window)) {
        int error = self->mdp == NULL ? errno : ENOMEM;
        titanic_client_destroy(&self);
        errno = error;
    }
    return self;
}

void
titanic_client_destroy(titanic_client_t **self_p)
{
    titanic_client_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    mdp_client_destroy(&self->mdp);
    answers_release(&self->held);
    free(self);
}

// ---- what came of it -------------------------------------------------------------------------

static void
forget_last(titanic_client_t *self)
{
    self->status = 0;
    self->text[0] = '\0';
}

static int
refuse(titanic_client_t *self, const char *text)
{
    self->status = TSP_UNKNOWN;
    snprintf(self->text, sizeof self->text, "%s", text);
    return GALLEON_REFUSED;
}

// judge_call: what came of it where it ended on its way. What a worker broke off, or was
// lost with, it may have done.
static int
judge_call(titanic_client_t *self, const struct answer *answer)
{
    self->status = answer->status;
    snprintf(self->text, sizeof self->text, "%s", answer->text);
    bool may_be_done = answer->result == GALLEON_REFUSED && answer->status >= MDP_CANCELLED;
    return may_be_done ? GALLEON_TIMED_OUT : answer->result;
}

// judge takes the status off an answer, and says what it means.
static int
judge(titanic_client_t *self, struct answer *answer)
{
    forget_last(self);
    if (answer->result != GALLEON_OK)
        return judge_call(self, answer);
    zframe_t *first = zmsg_pop(answer->body);
    if (first != NULL)
        self->status = (int)tsp_status_of(view_of(zframe_data(first), zframe_size(first)));
    zframe_destroy(&first);
    zframe_t *text = zmsg_first(answer->body);
    if (self->status != TSP_OK && self->status != TSP_PENDING && text != NULL)
        text_copy(self->text, sizeof self->text, view_of(zframe_data(text), zframe_size(text)));
    switch (self->status) {
    case TSP_OK:
        return GALLEON_OK;
    case TSP_PENDING:
        return GALLEON_PENDING;
    case TSP_UNKNOWN:
        return GALLEON_UNKNOWN_ID;
    case TSP_BUSY:
        return GALLEON_BUSY;
    case TSP_ERROR:
        return GALLEON_STORE;
    case TSP_FORBIDDEN:
    case TSP_CONFLICT:
    case TSP_TOO_LARGE:
        return GALLEON_REFUSED;
    default:
        return GALLEON_PROTOCOL;
    }
}

// ---- calls -----------------------------------------------------------------------------------

// note fills in what the Majordomo client said last, but for the body.
static void
note(const titanic_client_t *self, int result, struct answer *answer)
{
    answer->result = result;
    answer->status = mdp_client_status(self->mdp);
    snprintf(answer->text, sizeof answer->text, "%s", mdp_client_status_text(self->mdp));
}

// await waits for the answer of this call, until then at the latest, and keeps those of
// sends.
static void
await(titanic_client_t *self, uint64_t id, uint64_t until_ns, struct answer *answer_out)
{
    for (;;) {
        struct answer answer = {0};
        uint64_t now_ns = galleon_now_ns();
        int result = mdp_client_pump(self->mdp, now_ns, &answer.id, &answer.body);
        note(self, result, &answer);
        if (answer.id == id) {
            *answer_out = answer;
            return;
        }
        if (answer.id != 0) {
            answers_hold(&self->held, &answer);
            continue;
        }
        uint64_t deadline_ns = mdp_client_deadline(self->mdp);
        result = now_ns >= until_ns ? GALLEON_TIMED_OUT : GALLEON_OK;
        if (result == GALLEON_OK &&
            wait_until(mdp_client_fd(self->mdp), deadline_ns < until_ns ? deadline_ns : until_ns) ==
                WAIT_INTERRUPTED)
            result = GALLEON_INTERRUPTED;
        if (result != GALLEON_OK) {
            (void)mdp_client_cancel(self->mdp, id);
            *answer_out = (struct answer){.id = id, .result = result};
            return;
        }
    }
}

// ask calls a service of titanic's: what came of it, and the frames behind the status,
// which the caller destroys.
static int
ask(titanic_client_t *self, const char *service, zmsg_t **request_p, uint64_t until_ns,
    zmsg_t **reply_out)
{
    struct answer answer = {0};
    uint64_t id;
    int result = mdp_client_send(self->mdp, service, request_p, NULL, &id);
    if (result == GALLEON_OK)
        await(self, id, until_ns, &answer);
    else
        note(self, result, &answer);
    result = judge(self, &answer);
    *reply_out = answer.body;
    return result;
}

// ask_about is for what begins with an id.
static int
ask_about(titanic_client_t *self, const char *service, const titanic_id_t *id, const char *more,
          uint64_t until_ns, zmsg_t **reply_out)
{
    zmsg_t *request = zmsg_new();
    zmsg_addmem(request, id->text, strnlen(id->text, sizeof id->text));
    if (more != NULL)
        zmsg_addstr(request, more);
    return ask(self, service, &request, until_ns, reply_out);
}

// ---- submitting ------------------------------------------------------------------------------

static bool
is_number(uint64_t number)
{
    uint64_t limit = 1;
    for (int digits = 0; digits < NUMBER_DIGITS_MAX; digits++)
        limit *= 10;
    return number < limit;
}

// write_fields writes the options as header fields; false: they are not allowed.
static bool
write_fields(char fields[FIELDS_BYTES], const titanic_submit_options_t *options)
{
    const char *key = options->idempotency_key;
    fields[0] = '\0';
    int used = 0;
    if (key != NULL) {
        size_t size = strlen(key);
        if (size < 1 || size > DURABLE_KEY_BYTES_MAX || strchr(key, '\n') != NULL)
            return false;
        used = snprintf(fields, FIELDS_BYTES, "idempotency-key: %s\n", key);
    }
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"not-before-ms", options->not_before_ms},
                   {"deadline-ms", options->deadline_ms},
                   {"attempts", options->attempts}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!is_number(numbers[i].value))
            return false;
        if (numbers[i].value > 0)
            used += snprintf(fields + used, FIELDS_BYTES - (size_t)used, "%s: %llu\n",
                             numbers[i].name, (unsigned long long)numbers[i].value);
    }
    must(used < FIELDS_BYTES);
    return true;
}

// make_request puts what titanic needs in front of the body; *service_out is which of its
// services to ask.
static int
make_request(titanic_client_t *self, const char *service, zmsg_t *request,
             const titanic_submit_options_t *options, enum tsp_service *service_out)
{
    static const titanic_submit_options_t defaults = {0};
    char fields[FIELDS_BYTES];
    if (!write_fields(fields, options == NULL ? &defaults : options))
        return refuse(self, "a key has 1 to 64 bytes and no newline, a time at most 15 digits");
    if (zmsg_size(request) == 0)
        zmsg_addmem(request, "", 0); // 9/TSP: a request has a body
    zmsg_pushstr(request, service);
    *service_out = TSP_REQUEST;
    if (fields[0] != '\0') {
        zmsg_pushstr(request, fields);
        *service_out = TSP_SUBMIT;
    }
    return GALLEON_OK;
}

// is_id: may it be one? Whatever it is, a terminal can show it.
static bool
is_id(zframe_t *frame)
{
    size_t size = frame == NULL ? 0 : zframe_size(frame);
    for (size_t i = 0; i < size; i++)
        if (zframe_data(frame)[i] <= ' ' || zframe_data(frame)[i] > '~')
            return false;
    return size > 0 && size < sizeof((titanic_id_t *)NULL)->text;
}

// read_outcome takes the id out of the answer to a submit.
static int
read_outcome(titanic_client_t *self, struct answer *answer, titanic_id_t *id_out)
{
    int result = judge(self, answer);
    if (result == GALLEON_OK) {
        zframe_t *frame = zmsg_first(answer->body);
        if (is_id(frame))
            memcpy(id_out->text, zframe_data(frame), zframe_size(frame));
        else
            result = GALLEON_PROTOCOL;
    }
    zmsg_destroy(&answer->body);
    if (result == GALLEON_UNKNOWN_ID)
        return GALLEON_REFUSED; // 400: malformed
    return result == GALLEON_PENDING ? GALLEON_PROTOCOL : result;
}

// begin_submit sends it; *id_out is 0 where it says at once what came of it.
static int
begin_submit(titanic_client_t *self, const char *service, zmsg_t **request_p,
             const titanic_submit_options_t *options, uint64_t *id_out)
{
    enum tsp_service how;
    *id_out = 0;
    forget_last(self);
    int result = make_request(self, service, *request_p, options, &how);
    if (result != GALLEON_OK) {
        zmsg_destroy(request_p);
        return result;
    }
    result = mdp_client_send(self->mdp, tsp_service_name(how), request_p, NULL, id_out);
    if (result == GALLEON_OK)
        return result;
    struct answer answer = {0};
    note(self, result, &answer);
    return judge(self, &answer);
}

int
titanic_client_submit(titanic_client_t *self, const char *service, zmsg_t **request_p,
                      const titanic_submit_options_t *options, titanic_id_t *id_out)
{
    *id_out = (titanic_id_t){{0}};
    uint64_t id;
    int result = begin_submit(self, service, request_p, options, &id);
    if (result != GALLEON_OK)
        return result;
    struct answer answer = {0};
    await(self, id, never_ns, &answer);
    return read_outcome(self, &answer, id_out);
}

int
titanic_client_send(titanic_client_t *self, const char *service, zmsg_t **request_p,
                    const titanic_submit_options_t *options, uint64_t *number_out)
{
    *number_out = 0;
    if (self->open == self->window) {
        forget_last(self);
        zmsg_destroy(request_p);
        return GALLEON_BUSY;
    }
    int result = begin_submit(self, service, request_p, options, number_out);
    if (result == GALLEON_OK)
        self->open++;
    return result;
}

int
titanic_client_flush(titanic_client_t *self)
{
    return mdp_client_flush(self->mdp);
}

int
titanic_client_recv(titanic_client_t *self, uint64_t *number_out, titanic_id_t *id_out)
{
    struct answer answer = {0};
    *number_out = 0;
    *id_out = (titanic_id_t){{0}};
    forget_last(self);
    if (self->open == 0)
        return GALLEON_UNKNOWN_ID;
    if (!answers_take(&self->held, &answer)) {
        int result = mdp_client_recv(self->mdp, &answer.id, &answer.body);
        if (answer.id == 0)
            return result; // interrupted
        note(self, result, &answer);
    }
    self->open--;
    *number_out = answer.id;
    return read_outcome(self, &answer, id_out);
}

// ---- answers ---------------------------------------------------------------------------------

// finish_fetch: 500 says that the request was given up, and why.
static int
finish_fetch(int result, zmsg_t **reply_p)
{
    if (result != GALLEON_OK)
        zmsg_destroy(reply_p);
    return result == GALLEON_STORE ? GALLEON_REFUSED : result;
}

static int
fetch_until(titanic_client_t *self, const titanic_id_t *id, uint64_t until_ns, zmsg_t **reply_out)
{
    int result = ask_about(self, tsp_service_name(TSP_REPLY), id, NULL, until_ns, reply_out);
    return finish_fetch(result, reply_out);
}

int
titanic_client_fetch(titanic_client_t *self, const titanic_id_t *id, zmsg_t **reply_out)
{
    return fetch_until(self, id, never_ns, reply_out);
}

// find_wait asks the broker whether titanic.wait is served, and does not remember that it is
// not: another titanic may come. Half the time is left for a question to titanic itself.
static bool
find_wait(titanic_client_t *self, uint64_t until_ns)
{
    if (self->can_wait || self->is_mute)
        return self->can_wait;
    uint64_t now_ns = galleon_now_ns();
    uint64_t half_ns = until_ns > now_ns ? (until_ns - now_ns) / 2 : 0;
    uint64_t most_ns = self->timeout_ms * ms;
    zmsg_t *request = zmsg_new();
    zmsg_t *reply;
    zmsg_addstr(request, tsp_service_name(TSP_WAIT));
    int result = ask(self, "mmi.service", &request,
                     now_ns + (half_ns < most_ns ? half_ns : most_ns), &reply);
    zmsg_destroy(&reply);
    self->can_wait = result == GALLEON_OK;
    self->is_mute = result == GALLEON_TIMED_OUT;
    return self->can_wait;
}

// hold_ms_max is less than the time of one attempt: else it would be asked twice.
static uint64_t
hold_ms_max(const titanic_client_t *self)
{
    return self->timeout_ms - self->timeout_ms / 4;
}

// hold_wait has titanic hold the question.
static int
hold_wait(titanic_client_t *self, const titanic_id_t *id, uint64_t until_ns, zmsg_t **reply_out)
{
    uint64_t now_ns = galleon_now_ns();
    uint64_t hold_ms = until_ns > now_ns ? (until_ns - now_ns) / ms : 0;
    if (hold_ms > hold_ms_max(self))
        hold_ms = hold_ms_max(self);
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)hold_ms);
    int result = ask_about(self, tsp_service_name(TSP_WAIT), id, text, until_ns + LATE_MS_MAX * ms,
                           reply_out);
    if (result == GALLEON_NO_SERVICE || result == GALLEON_TIMED_OUT)
        self->can_wait = false;
    return finish_fetch(result, reply_out);
}

// is_final: asking again would change nothing.
static bool
is_final(int result)
{
    return result != GALLEON_PENDING && result != GALLEON_TIMED_OUT &&
           result != GALLEON_NO_SERVICE && result != GALLEON_BUSY;
}

// pause_until sleeps, and answers to sends come meanwhile; false: interrupted.
static bool
pause_until(titanic_client_t *self, uint64_t until_ns)
{
    struct answer nothing;
    await(self, no_call, until_ns, &nothing);
    return nothing.result != GALLEON_INTERRUPTED;
}

int
titanic_client_wait(titanic_client_t *self, const titanic_id_t *id, uint32_t timeout_ms,
                    zmsg_t **reply_out)
{
    uint64_t until_ns = galleon_now_ns() + timeout_ms * ms;
    uint64_t late_ns = until_ns + LATE_MS_MAX * ms;
    uint64_t pause_ms_max = hold_ms_max(self) < PAUSE_MS_MAX ? hold_ms_max(self) : PAUSE_MS_MAX;
    uint64_t pause_ms = PAUSE_MS_MIN;
    for (;;) {
        // From one question to the next it is longer each time; one that was held has
        // waited so long already.
        uint64_t next_ns = galleon_now_ns() + pause_ms * ms;
        int result = find_wait(self, late_ns) ? hold_wait(self, id, until_ns, reply_out)
                                              : fetch_until(self, id, late_ns, reply_out);
        if (result == GALLEON_TIMED_OUT)
            self->is_mute = false; // it is all that is silent
        if (is_final(result))
            return result;
        if (galleon_now_ns() >= until_ns)
            return result == GALLEON_PENDING ? GALLEON_TIMED_OUT : result;
        if (!pause_until(self, next_ns < until_ns ? next_ns : until_ns))
            return GALLEON_INTERRUPTED;
        pause_ms = pause_ms * 2 < pause_ms_max ? pause_ms * 2 : pause_ms_max;
    }
}

int
titanic_client_close(titanic_client_t *self, const titanic_id_t *id)
{
    zmsg_t *reply;
    int result = ask_about(self, tsp_service_name(TSP_CLOSE), id, NULL, never_ns, &reply);
    zmsg_destroy(&reply);
    return result == GALLEON_PENDING ? GALLEON_PROTOCOL : result;
}

int
titanic_client_call(titanic_client_t *self, const char *service, zmsg_t **request_p,
                    const titanic_submit_options_t *options, uint32_t timeout_ms,
                    titanic_id_t *id_out, zmsg_t **reply_out)
{
    *reply_out = NULL;
    int result = titanic_client_submit(self, service, request_p, options, id_out);
    if (result == GALLEON_OK)
        result = titanic_client_wait(self, id_out, timeout_ms, reply_out);
    if (result == GALLEON_OK) {
        // The answer is there, whatever comes of this; what is not closed is forgotten later.
        (void)titanic_client_close(self, id_out);
        self->status = TSP_OK;
        self->text[0] = '\0';
    }
    return result;
}

int
titanic_client_status(const titanic_client_t *self)
{
    return self->status;
}

const char *
titanic_client_status_text(const titanic_client_t *self)
{
    return self->text;
}
