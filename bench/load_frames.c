// load_frames.c - peers of MDP/0.1 and MDP/0.2: one request in each message.
//
// A worker holds one request at a time, as both RFCs say; a client keeps its
// whole window in flight over one DEALER and tells its answers apart by what is
// in them.

#include "load_socket.h"
#include "mdp_wire.h"

// send_head sends the frames in front of a body; more is to follow or not.
static void
send_head(void *socket, const struct mdp_record *record, bool has_body)
{
    struct mdp_head head;
    mdp_wire_head(&head, record, record->dialect == MDP_01);
    for (size_t i = 0; i < head.frame_count; i++)
        load_send(socket, head.frames[i], has_body || i + 1 < head.frame_count ? ZMQ_SNDMORE : 0);
}

static void
say(struct load_worker *self, mdp_dialect_t dialect, enum mdp_command command)
{
    const char *service = self->run->options->service;
    struct mdp_record record = {.dialect = dialect,
                                .side = MDP_WORKER_SIDE,
                                .command = command,
                                .service = view_of(service, strlen(service))};
    send_head(self->socket, &record, false);
}

static void
begin(struct load_worker *self, mdp_dialect_t dialect)
{
    self->socket = load_socket_connect(self->run, self->run->options->workers_to);
    say(self, dialect, MDP_READY);
}

static void
end(struct load_worker *self, mdp_dialect_t dialect)
{
    say(self, dialect, MDP_DISCONNECT);
    load_socket_close(self->socket);
}

// read_message reads the one record of a message; ends the process where it is none.
static void
read_message(const struct load_message *message, struct mdp_record *record_out)
{
    struct mdp_reader reader;
    enum mdp_fault fault =
        mdp_wire_begin(&reader, message->frames, message->count, MDP_FROM_BROKER, false, NULL);
    if (fault != MDP_SOUND || !mdp_wire_next(&reader, record_out))
        load_fail("the broker sent no MDP message: %s", mdp_fault_text(fault));
    if (record_out->fault != MDP_SOUND)
        load_fail("the broker sent a bad message: %s", mdp_fault_text(record_out->fault));
}

// answer sends a request's own frames back; they are the last of its message.
static void
answer(struct load_worker *self, struct load_message *message, const struct mdp_record *request)
{
    struct mdp_record final = {.dialect = request->dialect,
                               .side = MDP_WORKER_SIDE,
                               .command = MDP_FINAL,
                               .address = request->address};
    send_head(self->socket, &final, true);
    for (size_t i = message->count - request->body.count; i < message->count; i++)
        load_send_part(self->socket, &message->parts[i], i + 1 < message->count ? ZMQ_SNDMORE : 0);
}

static bool
worker_turn(struct load_worker *self, int flags)
{
    struct load_message message;
    struct mdp_record record;
    if (!load_receive(&message, self->socket, flags))
        return false;
    read_message(&message, &record);
    if (record.command == MDP_REQUEST)
        answer(self, &message, &record);
    else if (record.command == MDP_HEARTBEAT)
        say(self, record.dialect, MDP_HEARTBEAT);
    else if (record.command == MDP_DISCONNECT)
        self->is_lost = true;
    load_message_release(&message);
    return true;
}

static void
send_requests(struct load_client *self, mdp_dialect_t dialect)
{
    const char *service = self->run->options->service;
    struct mdp_record request = {.dialect = dialect,
                                 .side = MDP_CLIENT_SIDE,
                                 .command = MDP_REQUEST,
                                 .service = view_of(service, strlen(service))};
    struct mdp_head head;
    mdp_wire_head(&head, &request, dialect == MDP_01);
    while (self->window.free_count > 0) {
        struct view body;
        load_window_open(&self->window, &body);
        for (size_t i = 0; i < head.frame_count; i++)
            load_send(self->socket, head.frames[i], ZMQ_SNDMORE);
        load_send(self->socket, body, 0);
    }
}

static bool
client_receive(struct load_client *self, int flags)
{
    struct load_message message;
    struct mdp_record record;
    if (!load_receive(&message, self->socket, flags))
        return false;
    self->window.messages++;
    read_message(&message, &record);
    if (record.command == MDP_FINAL && record.body.count == 1)
        load_window_close(&self->window, record.body.frames[0]);
    else
        self->window.wrong++;
    load_message_release(&message);
    return true;
}

// ---- the two of them ------------------------------------------------------------

static void
worker_begin_01(struct load_worker *self)
{
    begin(self, MDP_01);
}

static void
worker_end_01(struct load_worker *self)
{
    end(self, MDP_01);
}

static void
client_send_01(struct load_client *self)
{
    send_requests(self, MDP_01);
}

static void
worker_begin_02(struct load_worker *self)
{
    begin(self, MDP_02);
}

static void
worker_end_02(struct load_worker *self)
{
    end(self, MDP_02);
}

static void
client_send_02(struct load_client *self)
{
    send_requests(self, MDP_02);
}

const struct load_dialect load_01 = {
    .name = "0.1",
    .has_broker = true,
    .worker_begin = worker_begin_01,
    .worker_turn = worker_turn,
    .worker_end = worker_end_01,
    .client_begin = load_client_connect,
    .client_send = client_send_01,
    .client_receive = client_receive,
    .client_end = load_client_close,
};

const struct load_dialect load_02 = {
    .name = "0.2",
    .has_broker = true,
    .worker_begin = worker_begin_02,
    .worker_turn = worker_turn,
    .worker_end = worker_end_02,
    .client_begin = load_client_connect,
    .client_send = client_send_02,
    .client_receive = client_receive,
    .client_end = load_client_close,
};
