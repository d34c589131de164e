// drill_pirate_load.c - a client of a pirate queue that has several requests open, and checks.
//
// A DEALER that writes a number in front of the delimiter, as a REQ with ZMQ_REQ_CORRELATE
// does: the queue gives it back, so an answer tells which attempt of which request it is to.
// One that nobody waits for any more is stray: it was answered before, or given up.

#include "drill_load.h"

#include "sockets.h"

#include <poll.h>

enum { OPEN_MAX = 64, LOOK_MS = 20 };

static const uint64_t ns_per_ms = 1000000;

struct open {
    struct drill_request *request; // NULL: a free place
    uint32_t attempts;             // made
    uint64_t due_ns;               // of the last
};

struct client {
    struct drill_load *load;
    void *socket;
    uint64_t ids; // used
    uint32_t open_count;
    struct open open[OPEN_MAX];
};

// ask sends the next attempt of an open request.
static void
ask(struct client *self, struct open *open)
{
    struct drill_job job;
    struct drill_request *request = open->request;
    drill_load_make_job(self->load, (uint32_t)(request - self->load->requests), &job);
    request->id = ++self->ids;
    open->attempts++;
    open->due_ns = galleon_now_ns() + self->load->options.client.timeout_ms * ns_per_ms;
    // What cannot go now is as good as lost: there is another attempt.
    if (zmq_send(self->socket, &request->id, sizeof request->id, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return;
    zmq_send(self->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(self->socket, &job, sizeof job, ZMQ_DONTWAIT);
}

static void
begin(struct client *self)
{
    struct open *open = self->open;
    while (open->request != NULL)
        open++;
    *open = (struct open){.request = &self->load->requests[self->load->sent]};
    open->request->sent_ns = galleon_now_ns();
    self->load->sent++;
    self->open_count++;
    ask(self, open);
}

static void
end(struct client *self, struct open *open, int result, zmsg_t *reply)
{
    drill_load_note(self->load, open->request, result, 0, reply);
    open->request = NULL;
    self->open_count--;
}

// on_answer takes the frames that came: number, delimiter, answer.
static void
on_answer(struct client *self, zmsg_t *message)
{
    uint64_t id = 0;
    zframe_t *number = zmsg_pop(message);
    zframe_t *delimiter = zmsg_pop(message);
    bool is_sound = number != NULL && zframe_size(number) == sizeof id && delimiter != NULL &&
                    zframe_size(delimiter) == 0;
    if (is_sound)
        memcpy(&id, zframe_data(number), sizeof id);
    zframe_destroy(&number);
    zframe_destroy(&delimiter);
    for (size_t i = 0; i < OPEN_MAX && id != 0; i++) {
        struct open *open = &self->open[i];
        if (open->request != NULL && open->request->id == id) {
            end(self, open, GALLEON_OK, message);
            return;
        }
    }
    atomic_fetch_add(&self->load->stray, 1);
}

static void
receive(struct client *self)
{
    while (sockets_events(self->socket) & ZMQ_POLLIN) {
        zmsg_t *message = zmsg_recv(self->socket);
        if (message == NULL)
            return;
        on_answer(self, message);
        zmsg_destroy(&message);
    }
}

static void
repeat(struct client *self)
{
    uint64_t now_ns = galleon_now_ns();
    for (size_t i = 0; i < OPEN_MAX; i++) {
        struct open *open = &self->open[i];
        if (open->request == NULL || now_ns < open->due_ns)
            continue;
        if (open->attempts < self->load->options.client.attempts)
            ask(self, open);
        else
            end(self, open, GALLEON_TIMED_OUT, NULL);
    }
}

void
drill_pirate_load_run(struct drill_load *self)
{
    struct client client = {.load = self, .socket = sockets_new(ZMQ_DEALER)};
    if (client.socket == NULL)
        return;
    sockets_set(client.socket, ZMQ_LINGER, 0);
    if (zmq_connect(client.socket, self->options.endpoint) != 0) {
        sockets_close(&client.socket);
        return;
    }
    while (!atomic_load(&self->is_aborted)) {
        while (client.open_count < self->options.window && drill_load_may_send(self))
            begin(&client);
        // Until it is told to stop it listens, for what is stray.
        if (client.open_count == 0 && atomic_load(&self->is_stopping))
            break;
        zmq_pollitem_t item = {.socket = client.socket, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, LOOK_MS);
        receive(&client);
        repeat(&client);
    }
    sockets_close(&client.socket);
}
