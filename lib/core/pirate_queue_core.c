// pirate_queue_core.c - pirates to records, and records to pirates.

#include "pirate_queue_core.h"

#include "must.h"

// The one service. Nobody outside ever hears of it.
#define SERVICE VIEW_LITERAL("pirate")

void
pirate_queue_core_configure(struct pirate_queue_settings *self,
                            const struct pirate_queue_config *config)
{
    self->service = (struct broker_service_config){.name = SERVICE, .limit_ms = config->limit_ms};
    self->broker = (struct broker_config){
        .manners = config->dialect == PIRATE_SIMPLE ? BROKER_SIMPLE : BROKER_PARANOID,
        .heartbeat_ms = config->heartbeat_ms,
        .liveness = config->liveness,
        .services_max = 2, // one, and the same anew in the step that buries it
        .workers_max = config->workers_max,
        .service_workers_max = config->workers_max,
        .requests_max = config->requests_max,
        .service_requests_max = config->requests_max,
        .client_requests_max = config->client_requests_max,
        .request_bytes_max = config->request_bytes_max,
        .answer_bytes_max = config->message_bytes_max,
        .answer_frames_max = config->frames_max,
        .credit_max = 1,
        .attempts = config->attempts,
        .request_ttl_ms = config->request_ttl_ms,
        .drain_ms = config->drain_ms,
        .services = &self->service,
        .service_count = 1,
    };
    memcpy(self->broker.seed, config->seed, sizeof config->seed);
}

// What a broker makes of a pirate's mistakes: a bad header is counted, and a worker may not
// make it often. Of a reply that is too large it is known which request it ends.
static enum mdp_fault
fault_of(const struct pirate_message *message)
{
    if (message->fault == PIRATE_SOUND)
        return MDP_SOUND;
    bool is_too_large = message->fault == PIRATE_OVER_LIMIT && message->kind == PIRATE_REPLY;
    return is_too_large ? MDP_OVER_LIMIT : MDP_BAD_HEADER;
}

void
pirate_queue_core_record(const struct pirate_message *message, enum pirate_socket socket,
                         struct mdp_envelope *from_out, struct mdp_record *record_out)
{
    static const enum mdp_command commands[] = {[PIRATE_NOTHING] = MDP_NO_COMMAND,
                                                [PIRATE_READY] = MDP_READY,
                                                [PIRATE_HEARTBEAT] = MDP_HEARTBEAT,
                                                [PIRATE_REQUEST] = MDP_REQUEST,
                                                [PIRATE_REPLY] = MDP_FINAL};
    static const struct mdp_record blank; // copying it is quicker than clearing
    *from_out = message->envelope;
    from_out->socket = (uint8_t)socket;
    *record_out = blank;
    record_out->fault = fault_of(message);
    // A 0.1 peer has one answer for each request, and hears of no error, as a pirate does.
    record_out->dialect = MDP_01;
    record_out->side = socket == PIRATE_FRONTEND ? MDP_CLIENT_SIDE : MDP_WORKER_SIDE;
    record_out->command = commands[message->kind];
    record_out->status = message->kind == PIRATE_REPLY ? MDP_DONE : 0;
    record_out->ticket = message->ticket;
    record_out->service = SERVICE;
    record_out->body = message->body;
}

bool
pirate_queue_core_head(enum pirate_dialect dialect, const struct broker_effect *effect,
                       struct pirate_head *head_out)
{
    static const struct mdp_envelope no_stack; // it goes with the routing id
    const struct mdp_record *record = &effect->record;
    if (record->side == MDP_CLIENT_SIDE) {
        must(record->command == MDP_FINAL);
        pirate_wire_head_to_client(head_out, &no_stack);
        return true;
    }
    must(record->command == MDP_REQUEST || record->command == MDP_HEARTBEAT);
    if (record->command == MDP_HEARTBEAT && dialect == PIRATE_SIMPLE)
        return false;
    enum pirate_kind kind = record->command == MDP_REQUEST ? PIRATE_REQUEST : PIRATE_HEARTBEAT;
    pirate_wire_head_to_worker(head_out, dialect, kind, &record->ticket);
    return true;
}
