// drill_load.c - send until the window is full, then one for each answer.

#include "drill_load.h"

#include <poll.h>
#include <stdlib.h>

enum { LOOK_MS = 20 }; // at what the drill wants of us

void
drill_load_make_job(const struct drill_load *self, uint32_t request, struct drill_job *job)
{
    *job = (struct drill_job){.key = drill_load_key(self, request),
                              .work_ms = self->options.work_ms,
                              .may_hold = self->options.may_hold};
    drill_job_fill(job);
}

bool
drill_load_may_send(struct drill_load *self)
{
    uint32_t most = self->options.requests > 0 ? self->options.requests : DRILL_REQUESTS_MAX;
    return !atomic_load(&self->is_stopping) && self->sent < most;
}

// send_one returns false where the client does not take it.
static bool
send_one(struct drill_load *self, mdp_client_t *client)
{
    struct drill_job job;
    drill_load_make_job(self, self->sent, &job);
    zmsg_t *message = zmsg_new();
    zmsg_addmem(message, &job, sizeof job);
    struct drill_request *request = &self->requests[self->sent];
    request->sent_ns = galleon_now_ns();
    if (mdp_client_send(client, self->options.service, &message, NULL, &request->id) != GALLEON_OK)
        return false;
    self->sent++;
    return true;
}

// find is the open request that a call's id belongs to, NULL for none.
static struct drill_request *
find(struct drill_load *self, uint64_t id)
{
    for (uint32_t i = self->sent; i-- > 0;)
        if (self->requests[i].id == id)
            return &self->requests[i];
    return NULL;
}

static void
judge(struct drill_load *self, struct drill_request *request, zmsg_t *reply)
{
    struct drill_job job;
    struct drill_answer answer;
    zframe_t *frame = zmsg_first(reply);
    drill_load_make_job(self, (uint32_t)(request - self->requests), &job);
    request->is_wrong = zmsg_size(reply) != 1 || zframe_size(frame) != sizeof answer;
    if (request->is_wrong)
        return;
    memcpy(&answer, zframe_data(frame), sizeof answer);
    request->is_wrong = !drill_job_is_answered_by(&job, &answer);
    request->worker = answer.worker;
    request->epoch = answer.epoch;
}

void
drill_load_note(struct drill_load *self, struct drill_request *request, int result, int status,
                zmsg_t *reply)
{
    request->id = 0;
    request->ended_ns = galleon_now_ns();
    request->result = result;
    request->status = status;
    uint64_t none = 0;
    atomic_compare_exchange_strong(&self->first_ended_ns, &none, request->ended_ns);
    if (result == GALLEON_OK) {
        judge(self, request, reply);
        atomic_store(&self->answer_sent_ns, request->sent_ns);
        atomic_fetch_add(&self->answered, 1);
    }
    atomic_fetch_add(&self->ended, 1);
}

// end_one takes down how a call ended; false: no call did.
static bool
end_one(struct drill_load *self, mdp_client_t *client, uint64_t id, int result, zmsg_t *reply)
{
    struct drill_request *request = find(self, id);
    if (request == NULL)
        return false;
    drill_load_note(self, request, result, mdp_client_status(client), reply);
    return true;
}

// pump takes what has been answered; returns how many calls have ended.
static uint32_t
pump(struct drill_load *self, mdp_client_t *client)
{
    uint32_t ended = 0;
    for (;;) {
        uint64_t id = 0;
        zmsg_t *reply = NULL;
        int result = mdp_client_pump(client, galleon_now_ns(), &id, &reply);
        ended += id != 0 && end_one(self, client, id, result, reply) ? 1 : 0;
        zmsg_destroy(&reply);
        if (id == 0)
            return ended;
    }
}

static void
wait_for_client(mdp_client_t *client)
{
    uint64_t now_ns = galleon_now_ns();
    uint64_t deadline_ns = mdp_client_deadline(client);
    uint64_t left_ms = deadline_ns <= now_ns ? 0 : (deadline_ns - now_ns) / 1000000 + 1;
    struct pollfd item = {.fd = mdp_client_fd(client), .events = POLLIN};
    poll(&item, 1, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS);
}

static void
call(struct drill_load *self)
{
    mdp_client_t *client = mdp_client_new(self->options.endpoint, &self->options.client);
    uint32_t open = 0;
    while (client != NULL && !atomic_load(&self->is_aborted)) {
        while (open < self->options.window && drill_load_may_send(self) && send_one(self, client))
            open++;
        if (open == 0)
            break;
        uint32_t ended = pump(self, client);
        open -= ended;
        if (ended == 0)
            wait_for_client(client);
    }
    mdp_client_destroy(&client);
}

static void *
run(void *argument)
{
    struct drill_load *self = argument;
    if (self->options.is_pirate)
        drill_pirate_load_run(self);
    else
        call(self);
    // What is open still was not waited for.
    for (uint32_t i = 0; i < self->sent; i++)
        if (self->requests[i].id != 0)
            self->requests[i].result = GALLEON_INTERRUPTED;
    atomic_store(&self->is_over, true);
    return NULL;
}

bool
drill_load_start(struct drill_load *self, uint32_t number, const struct drill_load_options *options)
{
    *self = (struct drill_load){.options = *options, .number = number};
    self->requests = calloc(DRILL_REQUESTS_MAX, sizeof *self->requests);
    self->is_started =
        self->requests != NULL && pthread_create(&self->thread, NULL, run, self) == 0;
    return self->is_started;
}

void
drill_load_tell(struct drill_load *self)
{
    atomic_store(&self->is_stopping, true);
}

void
drill_load_end(struct drill_load *self)
{
    atomic_store(&self->is_aborted, true);
    if (self->is_started)
        pthread_join(self->thread, NULL);
    self->is_started = false;
}

void
drill_load_release(struct drill_load *self)
{
    drill_load_end(self);
    free(self->requests);
    self->requests = NULL;
}
