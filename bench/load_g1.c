// load_g1.c - peers of MDP/G1: as many requests in a message as are at hand.
//
// A client takes every message that is there before it sends what it may send
// again, in one pack; a worker takes every message that is there, or as many
// requests as its credit, and answers in one. Nobody waits for a pack to fill.
// Bodies above 8 KiB go as frames of their own and are moved by the worker.

#include "load_g1.h"

#include "load_socket.h"
#include "must.h"

void
load_g1_send_record(void *socket, const struct mdp_record *record)
{
    zmq_msg_t part;
    uint8_t *at = load_new_part(&part, MDP_PACK_HEADER_BYTES + mdp_wire_record_bytes(record));
    at = mdp_wire_write_header(at, record->side);
    mdp_wire_write_record(at, record);
    load_send_part(socket, &part, 0);
}

void
load_g1_begin(struct mdp_reader *reader, const struct load_message *message)
{
    enum mdp_fault fault =
        mdp_wire_begin(reader, message->frames, message->count, MDP_FROM_BROKER, false, NULL);
    if (fault != MDP_SOUND)
        load_fail("the broker sent no pack: %s", mdp_fault_text(fault));
}

bool
load_g1_next(struct mdp_reader *reader, struct mdp_record *record_out)
{
    if (!mdp_wire_next(reader, record_out))
        return false;
    if (record_out->fault != MDP_SOUND)
        load_fail("the broker sent a bad record: %s", mdp_fault_text(record_out->fault));
    return true;
}

// ---- the worker ---------------------------------------------------------------

static struct mdp_record
worker_record(enum mdp_command command)
{
    return (struct mdp_record){.dialect = MDP_G1, .side = MDP_WORKER_SIDE, .command = command};
}

void
load_g1_send_ready(void *socket, const char *service, uint32_t credit, uint32_t interval_ms)
{
    struct mdp_record ready = worker_record(MDP_READY);
    ready.service = view_of(service, strlen(service));
    ready.credit = credit;
    ready.interval_ms = interval_ms;
    load_g1_send_record(socket, &ready);
}

// join opens a session, and waits for the HEARTBEAT that answers an accepted READY. The worker
// promises no interval, so it need not beat: its answers are its life.
static void *
join(struct load_worker *self, const char *endpoint)
{
    const struct load_options *options = self->run->options;
    uint64_t until_ns = load_now_ns() + LOAD_ACCEPT_MS * 1000000ull;
    struct load_message message;
    void *socket = load_socket_connect(self->run, endpoint);
    load_g1_send_ready(socket, options->service, options->credit, 0);
    while (!load_receive(&message, socket, 0))
        if (load_now_ns() > until_ns)
            load_fail("the broker did not answer READY");
    struct mdp_reader reader;
    struct mdp_record record;
    load_g1_begin(&reader, &message);
    if (!load_g1_next(&reader, &record) || record.command != MDP_HEARTBEAT)
        load_fail("the broker did not answer READY by HEARTBEAT");
    load_message_release(&message);
    return socket;
}

static void
worker_begin(struct load_worker *self)
{
    const struct load_options *options = self->run->options;
    self->pack = load_allocate(MDP_PACK_BYTES_MAX);
    self->socket = join(self, options->workers_to);
    if (options->also_to != NULL)
        self->also = join(self, options->also_to);
}

static void
flush_pack(struct load_worker *self, int flags)
{
    if (self->pack_used == 0)
        return;
    load_send(self->socket, view_of(self->pack, self->pack_used), flags);
    self->pack_used = 0;
}

static void
pack_record(struct load_worker *self, const struct mdp_record *record)
{
    size_t bytes = mdp_wire_record_bytes(record);
    must(MDP_PACK_HEADER_BYTES + bytes <= MDP_PACK_BYTES_MAX);
    if (self->pack_used + bytes > MDP_PACK_BYTES_MAX)
        flush_pack(self, 0);
    if (self->pack_used == 0) {
        mdp_wire_write_header(self->pack, MDP_WORKER_SIDE);
        self->pack_used = MDP_PACK_HEADER_BYTES;
    }
    mdp_wire_write_record(self->pack + self->pack_used, record);
    self->pack_used += bytes;
}

// answer packs the answer to one request; a LOOSE body is moved behind it.
static void
answer(struct load_worker *self, struct load_message *message, const struct mdp_record *request)
{
    struct mdp_record final = worker_record(MDP_FINAL);
    final.flags = request->flags & MDP_FLAG_LOOSE;
    final.ticket = request->ticket;
    final.status = MDP_DONE;
    final.body = request->body;
    pack_record(self, &final);
    if (!(final.flags & MDP_FLAG_LOOSE))
        return;
    flush_pack(self, ZMQ_SNDMORE);
    for (size_t i = 1; i < message->count; i++)
        load_send_part(self->socket, &message->parts[i], i + 1 < message->count ? ZMQ_SNDMORE : 0);
}

// take_requests answers what is in one message; returns how many requests it had.
static uint32_t
take_requests(struct load_worker *self, struct load_message *message)
{
    struct mdp_reader reader;
    struct mdp_record record;
    uint32_t requests = 0;
    load_g1_begin(&reader, message);
    while (load_g1_next(&reader, &record)) {
        if (record.command == MDP_REQUEST) {
            answer(self, message, &record);
            requests++;
        } else if (record.command == MDP_DISCONNECT) {
            self->is_lost = true;
        }
    }
    return requests;
}

static bool
worker_turn(struct load_worker *self, int flags)
{
    struct load_message message;
    uint32_t held = 0;
    bool has_any = false;
    while (held < self->run->options->credit && load_receive(&message, self->socket, flags)) {
        held += take_requests(self, &message);
        load_message_release(&message);
        has_any = true;
        flags = ZMQ_DONTWAIT;
    }
    flush_pack(self, 0);
    return has_any;
}

static void
worker_end(struct load_worker *self)
{
    struct mdp_record farewell = worker_record(MDP_DISCONNECT);
    load_g1_send_record(self->socket, &farewell);
    load_socket_close(self->socket);
    if (self->also != NULL) {
        load_g1_send_record(self->also, &farewell);
        load_socket_close(self->also);
    }
    free(self->pack);
}

// ---- the client ------------------------------------------------------------------

static struct mdp_record
client_request(const struct load_client *self)
{
    const char *service = self->run->options->service;
    return (struct mdp_record){.dialect = MDP_G1,
                               .side = MDP_CLIENT_SIDE,
                               .command = MDP_REQUEST,
                               .service = view_of(service, strlen(service))};
}

static void
send_loose(struct load_client *self)
{
    struct mdp_record request = client_request(self);
    struct view body;
    zmq_msg_t part;
    request.flags = MDP_FLAG_LOOSE;
    request.id = load_window_open(&self->window, &body);
    uint8_t *at = load_new_part(&part, MDP_PACK_HEADER_BYTES + mdp_wire_record_bytes(&request));
    mdp_wire_write_record(mdp_wire_write_header(at, MDP_CLIENT_SIDE), &request);
    load_send_part(self->socket, &part, ZMQ_SNDMORE);
    load_send(self->socket, body, 0);
}

static void
send_pack(struct load_client *self)
{
    struct mdp_record request = client_request(self);
    struct view body = view_of(NULL, self->window.body_bytes);
    request.body = mdp_body_of(&body, 1);
    size_t each = mdp_wire_record_bytes(&request);
    size_t count = (MDP_PACK_BYTES_MAX - MDP_PACK_HEADER_BYTES) / each;
    if (count > self->window.free_count)
        count = self->window.free_count;

    zmq_msg_t part;
    uint8_t *at = load_new_part(&part, MDP_PACK_HEADER_BYTES + count * each);
    at = mdp_wire_write_header(at, MDP_CLIENT_SIDE);
    for (size_t i = 0; i < count; i++) {
        request.id = load_window_open(&self->window, &body);
        at = mdp_wire_write_record(at, &request);
    }
    load_send_part(self->socket, &part, 0);
}

static void
client_send(struct load_client *self)
{
    while (self->window.free_count > 0) {
        if (self->window.body_bytes >= MDP_LOOSE_BYTES_MIN)
            send_loose(self);
        else
            send_pack(self);
    }
}

static void
take_final(struct load_client *self, const struct mdp_record *record)
{
    struct view body = VIEW_NONE;
    size_t cursor = 0;
    if (record->status != MDP_DONE)
        load_window_fail(&self->window, record->id);
    else if (record->body.count == 1 && mdp_body_next(&record->body, &cursor, &body) &&
             body.size >= sizeof record->id &&
             memcmp(body.data, &record->id, sizeof record->id) == 0)
        load_window_close(&self->window, body);
    else
        self->window.wrong++;
}

static bool
client_receive(struct load_client *self, int flags)
{
    struct load_message message;
    struct mdp_reader reader;
    struct mdp_record record;
    if (!load_receive(&message, self->socket, flags))
        return false;
    self->window.messages++;
    load_g1_begin(&reader, &message);
    while (load_g1_next(&reader, &record)) {
        if (record.command == MDP_FINAL)
            take_final(self, &record);
        else
            self->window.wrong++;
    }
    load_message_release(&message);
    return true;
}

const struct load_dialect load_g1 = {
    .name = "g1",
    .has_broker = true,
    .worker_begin = worker_begin,
    .worker_turn = worker_turn,
    .worker_end = worker_end,
    .client_begin = load_client_connect,
    .client_send = client_send,
    .client_receive = client_receive,
    .client_end = load_client_close,
};
