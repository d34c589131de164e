// load_api.c - peers that are made with the library, as its users write them.
//
// The client sends into its window and receives whichever answer is next; the
// worker takes requests up to its credit and answers each with its own body. What
// this is slower by than load_g1.c is what zmsg_t and the library cost.

#include "load.h"

#include <galleon.h>
#include <poll.h>

enum { TIMEOUT_MS = 10000 };

// wait_for waits for a descriptor until a deadline of the library's, but never long.
static void
wait_for(int fd, uint64_t deadline_ns)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint64_t now_ns = galleon_now_ns();
    uint64_t wait_ms = LOAD_PATIENCE_MS;
    if (deadline_ns <= now_ns)
        wait_ms = 0;
    else if (deadline_ns - now_ns < LOAD_PATIENCE_MS * 1000000ull)
        wait_ms = (deadline_ns - now_ns) / 1000000 + 1;
    poll(&poll_fd, 1, (int)wait_ms);
}

// ---- the worker -------------------------------------------------------------------

static void
worker_begin(struct load_worker *self)
{
    const struct load_options *options = self->run->options;
    mdp_worker_options_t worker = {.credit = options->credit, .dialect = MDP_G1};
    self->library = mdp_worker_new(options->workers_to, options->service, &worker);
    if (self->library == NULL)
        load_fail("no worker");
}

static bool
worker_turn(struct load_worker *self, int flags)
{
    mdp_request_t *request = NULL;
    bool has_any = false;
    if (!(flags & ZMQ_DONTWAIT))
        wait_for(mdp_worker_fd(self->library), mdp_worker_deadline(self->library));
    while (mdp_worker_pump_take(self->library, galleon_now_ns(), &request) == GALLEON_OK &&
           request != NULL) {
        zmsg_t *body = mdp_request_body(request);
        mdp_request_reply(&request, &body);
        has_any = true;
    }
    return has_any;
}

static void
worker_end(struct load_worker *self)
{
    mdp_worker_destroy(&self->library);
}

// ---- the client -------------------------------------------------------------------

static void
client_begin(struct load_client *self)
{
    const struct load_options *options = self->run->options;
    mdp_client_options_t client = {
        .timeout_ms = TIMEOUT_MS, .attempts = 1, .window = options->window, .dialect = MDP_G1};
    self->library = mdp_client_new(options->clients_to, &client);
    if (self->library == NULL)
        load_fail("no client");
}

static void
client_send(struct load_client *self)
{
    while (self->window.free_count > 0) {
        struct view body;
        uint64_t id;
        load_window_open(&self->window, &body);
        zmsg_t *message = zmsg_new();
        zmsg_addmem(message, body.data, body.size);
        if (mdp_client_send(self->library, self->run->options->service, &message, NULL, &id) !=
            GALLEON_OK)
            load_fail("the client refused a request");
    }
}

// client_receive takes one answer, and not one message: the library unpacks.
static bool
client_receive(struct load_client *self, int flags)
{
    uint64_t id = 0;
    zmsg_t *reply = NULL;
    int status = mdp_client_pump(self->library, galleon_now_ns(), &id, &reply);
    if (id == 0 && !(flags & ZMQ_DONTWAIT)) {
        wait_for(mdp_client_fd(self->library), mdp_client_deadline(self->library));
        status = mdp_client_pump(self->library, galleon_now_ns(), &id, &reply);
    }
    if (id == 0)
        return false;
    self->window.messages++;
    zframe_t *body = reply == NULL ? NULL : zmsg_first(reply);
    if (status == GALLEON_OK && body != NULL && zmsg_size(reply) == 1)
        load_window_close(&self->window, view_of(zframe_data(body), zframe_size(body)));
    else
        self->window.failed++; // its slot stays taken, so it counts as lost, too
    zmsg_destroy(&reply);
    return true;
}

static void
client_end(struct load_client *self)
{
    mdp_client_destroy(&self->library);
}

const struct load_dialect load_api = {
    .name = "api",
    .has_broker = true,
    .is_one_thread = true,
    .worker_begin = worker_begin,
    .worker_turn = worker_turn,
    .worker_end = worker_end,
    .client_begin = client_begin,
    .client_send = client_send,
    .client_receive = client_receive,
    .client_end = client_end,
};
