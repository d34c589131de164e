// fake_titanic.c - a table of requests behind workers.

#include "fake_titanic.h"

#include <galleon/mdp_client.h>

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, TICK_MS = 5, CREDIT = 100 };

// ---- answers ---------------------------------------------------------------------------------

// message_of makes frames of what is parted by |.
static zmsg_t *
message_of(const char *text)
{
    zmsg_t *message = zmsg_new();
    while (text != NULL) {
        const char *end = strchr(text, '|');
        zmsg_addmem(message, text, end == NULL ? strlen(text) : (size_t)(end - text));
        text = end == NULL ? NULL : end + 1;
    }
    return message;
}

static void
answer(mdp_request_t **request_p, const char *text)
{
    zmsg_t *message = message_of(text);
    (void)mdp_request_reply(request_p, &message);
}

static void
answer_body(mdp_request_t **request_p, const struct fake_request *request)
{
    zmsg_t *message = zmsg_dup(request->body);
    zmsg_pushstr(message, "200");
    (void)mdp_request_reply(request_p, &message);
}

// ---- what titanic does -----------------------------------------------------------------------

static struct fake_request *
find(struct fake_titanic *self, const char *id)
{
    for (size_t i = 0; i < self->request_count; i++)
        if (strcmp(self->requests[i].id, id) == 0)
            return &self->requests[i];
    return NULL;
}

static struct fake_request *
keep(struct fake_titanic *self, const char *key, zmsg_t *body)
{
    for (size_t i = 0; *key != '\0' && i < self->request_count; i++)
        if (strcmp(self->requests[i].key, key) == 0)
            return &self->requests[i];
    assert_true(self->request_count < FAKE_REQUESTS_MAX);
    struct fake_request *request = &self->requests[self->request_count++];
    snprintf(request->key, sizeof request->key, "%s", key);
    snprintf(request->id, sizeof request->id,
             self->has_dashed_ids ? "3f2504e0-4f89-41d3-9a0c-%012zx" : "3F2504E04F8941D39A0C%012zX",
             self->request_count);
    request->body = zmsg_dup(body);
    return request;
}

static void
on_submit(struct fake_titanic *self, enum tsp_service service, mdp_request_t **request_p,
          zmsg_t *body, bool is_silent)
{
    char key[65] = "";
    if (service == TSP_SUBMIT) {
        char *fields = zmsg_popstr(body);
        (void)sscanf(fields, "idempotency-key: %64[^\n]", key);
        free(fields);
    }
    free(zmsg_popstr(body)); // the target
    struct fake_request *request = keep(self, key, body);
    char text[64];
    snprintf(text, sizeof text, "200|%s", request->id);
    if (!is_silent)
        answer(request_p, text);
}

static void
hold(struct fake_titanic *self, mdp_request_t *request, const char *id, zmsg_t *body)
{
    char *text = zmsg_popstr(body);
    assert_true(self->held_count < FAKE_HELD_MAX);
    self->held[self->held_count].request = request;
    self->held[self->held_count].until_ns = galleon_now_ns() + strtoull(text, NULL, 10) * 1000000;
    snprintf(self->held[self->held_count++].id, sizeof self->held->id, "%s", id);
    free(text);
}

static void
on_fetch(struct fake_titanic *self, enum tsp_service service, mdp_request_t **request_p,
         zmsg_t *body)
{
    char *id = zmsg_popstr(body);
    struct fake_request *request = find(self, id);
    if (request == NULL || request->is_closed) {
        answer(request_p, "400|no such request");
    } else if (self->pending == 0) {
        answer_body(request_p, request);
    } else if (service == TSP_WAIT && !self->says_busy_waits) {
        hold(self, *request_p, id, body);
    } else {
        self->pending--;
        answer(request_p, "300");
    }
    free(id);
}

static void
on_close(struct fake_titanic *self, mdp_request_t **request_p, zmsg_t *body)
{
    char *id = zmsg_popstr(body);
    struct fake_request *request = find(self, id);
    if (request != NULL)
        request->is_closed = true;
    answer(request_p, "200");
    free(id);
}

static void
note(struct fake_titanic *self, enum tsp_service service, zmsg_t *body)
{
    char *text = self->last[service];
    size_t used = 0;
    self->asked[service]++;
    for (zframe_t *frame = zmsg_first(body); frame != NULL; frame = zmsg_next(body))
        used += (size_t)snprintf(text + used, sizeof self->last[0] - used, "%s%.*s",
                                 used == 0 ? "" : "|", (int)zframe_size(frame),
                                 (const char *)zframe_data(frame));
}

static void
on_request(struct fake_titanic *self, enum tsp_service service, mdp_request_t *request)
{
    zmsg_t *body = mdp_request_body(request);
    struct fake_told *told = &self->told[service];
    note(self, service, body);
    bool is_silent = told->silent > 0;
    if (is_silent)
        told->silent--;
    if (told->fail != 0)
        (void)mdp_request_fail(&request, told->fail, "as told");
    else if (told->answer != NULL)
        answer(&request, told->answer);
    else if (service == TSP_REQUEST || service == TSP_SUBMIT)
        on_submit(self, service, &request, body, is_silent);
    else if (!is_silent && service == TSP_CLOSE)
        on_close(self, &request, body);
    else if (!is_silent)
        on_fetch(self, service, &request, body);
    zmsg_destroy(&body);
}

static void
end_waits(struct fake_titanic *self)
{
    for (size_t i = 0; i < self->held_count;) {
        struct fake_request *request = find(self, self->held[i].id);
        if (self->pending == 0)
            answer_body(&self->held[i].request, request);
        else if (galleon_now_ns() >= self->held[i].until_ns)
            answer(&self->held[i].request, "300");
        else {
            i++;
            continue;
        }
        self->held[i] = self->held[--self->held_count];
    }
}

// ---- the thread ------------------------------------------------------------------------------

static bool
has_service(const struct fake_titanic *self, enum tsp_service service)
{
    return service <= TSP_CLOSE || (!self->is_guide && service <= TSP_WAIT);
}

static void
serve_once(struct fake_titanic *self)
{
    pthread_mutex_lock(&self->lock);
    end_waits(self);
    for (int service = 0; service < TSP_SERVICES; service++) {
        mdp_request_t *request = NULL;
        while (self->workers[service] != NULL &&
               mdp_worker_pump_take(self->workers[service], galleon_now_ns(), &request) ==
                   GALLEON_OK &&
               request != NULL)
            on_request(self, (enum tsp_service)service, request);
    }
    pthread_mutex_unlock(&self->lock);
}

static void *
run(void *context)
{
    struct fake_titanic *self = context;
    mdp_worker_options_t options = {.credit = self->dialect == MDP_AUTO ? CREDIT : 1,
                                    .dialect = self->dialect};
    for (int service = 0; service < TSP_SERVICES; service++)
        if (has_service(self, (enum tsp_service)service))
            self->workers[service] = mdp_worker_new(
                self->endpoint, tsp_service_name((enum tsp_service)service), &options);
    struct pollfd stop = {.fd = self->stop_fd, .events = POLLIN};
    while (poll(&stop, 1, TICK_MS) == 0)
        serve_once(self);
    for (int service = 0; service < TSP_SERVICES; service++)
        mdp_worker_destroy(&self->workers[service]);
    self->held_count = 0;
    return NULL;
}

// ---- for tests -------------------------------------------------------------------------------

struct fake_titanic *
fake_titanic_new(const char *endpoint)
{
    struct fake_titanic *self = calloc(1, sizeof *self);
    assert_non_null(self);
    snprintf(self->endpoint, sizeof self->endpoint, "%s", endpoint);
    pthread_mutex_init(&self->lock, NULL);
    self->stop_fd = -1;
    return self;
}

void
fake_titanic_serve(struct fake_titanic *self)
{
    self->stop_fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&self->thread, NULL, run, self), 0);
    mdp_client_t *client = mdp_client_new(self->endpoint, NULL);
    uint64_t until_ns = galleon_now_ns() + PATIENCE_MS * 1000000ULL;
    for (int service = 0; service < TSP_SERVICES; service++) {
        if (!has_service(self, (enum tsp_service)service))
            continue;
        while (mdp_client_has_service(client, tsp_service_name((enum tsp_service)service)) !=
               GALLEON_OK) {
            assert_true(galleon_now_ns() < until_ns);
            poll(NULL, 0, 1);
        }
    }
    mdp_client_destroy(&client);
}

void
fake_titanic_stop(struct fake_titanic *self)
{
    if (self->stop_fd < 0)
        return;
    assert_int_equal(eventfd_write(self->stop_fd, 1), 0);
    pthread_join(self->thread, NULL);
    close(self->stop_fd);
    self->stop_fd = -1;
}

void
fake_titanic_free(struct fake_titanic *self)
{
    fake_titanic_stop(self);
    for (size_t i = 0; i < self->request_count; i++)
        zmsg_destroy(&self->requests[i].body);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

void
fake_titanic_finish(struct fake_titanic *self)
{
    pthread_mutex_lock(&self->lock);
    self->pending = 0;
    pthread_mutex_unlock(&self->lock);
}

unsigned
fake_titanic_asked(struct fake_titanic *self, enum tsp_service service)
{
    pthread_mutex_lock(&self->lock);
    unsigned asked = self->asked[service];
    pthread_mutex_unlock(&self->lock);
    return asked;
}
