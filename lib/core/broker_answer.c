// broker_answer.c - answers on their way to clients, in the words of each dialect.
//
// 0.1 clients and those that sent a delimiter (a REQ takes one message for each
// request) get one answer: PARTIALs are gathered into it. An error is a status in
// G1 and silence in 0.1 and 0.2, because there it would be read as a reply.

#include "broker_state.h"

bool
broker_takes_one_message(const struct request *request)
{
    return request->dialect == MDP_01 || request->has_delimiter;
}

static struct broker_effect *
add_answer(struct broker_core *self, const struct request *request, enum mdp_command command)
{
    struct broker_effect *effect = broker_add_effect(self, BROKER_SEND);
    effect->to = &request->client->address;
    effect->has_delimiter = request->has_delimiter;
    effect->is_of_reign = self->reign != REIGN_HOLD;
    effect->record.dialect = request->dialect;
    effect->record.side = MDP_CLIENT_SIDE;
    effect->record.command = command;
    effect->record.id = request->id;
    effect->record.service = service_name(request->service);
    return effect;
}

// text_of is what an error's FINAL says to people.
static const struct view *
text_of(enum mdp_status status)
{
    static const struct {
        enum mdp_status status;
        struct view text;
    } texts[] = {
#define X(name, value, words) {name, {(const uint8_t *)(words), sizeof(words) - 1}},
        MDP_STATUS_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return &texts[i].text;
    return NULL;
}

// put_epoch adds the line of the reign, where it has one; PARTIALs have no fields.
static void
put_epoch(const struct broker_core *self, struct mdp_record *record)
{
    record->flags |= self->epoch_flags;
    record->fields = self->epoch_line;
}

// set_status makes the record an error. The text of 503 is the endpoint of the other half or
// nothing, or a reason.
static void
set_status(const struct broker_core *self, struct mdp_record *record, enum mdp_status status)
{
    record->status = (uint16_t)status;
    const struct view *text = status == MDP_PASSIVE ? &self->passive_text : text_of(status);
    if (text != NULL && text->size > 0)
        record->body = mdp_body_of(text, 1);
}

// is_unheard: nobody is there to hear the answer, or it cannot be said.
static bool
is_unheard(struct broker_core *self, const struct request *request, uint16_t status)
{
    if (request->dialect == MDP_G1 || status == MDP_DONE)
        return false;
    self->stats.answers_silent++;
    return true;
}

void
broker_drop_gathered(struct broker_core *self, struct request *request)
{
    if (!broker_takes_one_message(request))
        return;
    broker_dump(self, request->gathered, BROKER_DUMP_DONE);
    self->stats.request_bytes -= request->gathered_cost;
    request->gathered = NULL;
    request->gathered_cost = request->gathered_bytes = request->gathered_frames = 0;
    request->parts_of = 0;
}

// is_over_limit: would the gathered answer be too large with this part of it?
static bool
is_over_limit(const struct broker_core *self, const struct request *request,
              const struct mdp_body *part)
{
    return request->gathered_frames + part->count > self->config.answer_frames_max ||
           request->gathered_bytes + part->bytes > self->config.answer_bytes_max;
}

void
broker_answer(struct broker_core *self, struct request *request, uint16_t status, uint32_t parts,
              const struct broker_event *event)
{
    void *cargo = event->cargo;
    if (request->is_muted || request->client->is_gone) {
        self->stats.client_gone += request->client->is_gone ? 1 : 0;
        broker_dump(self, cargo, BROKER_DUMP_UNSENT);
        return;
    }
    if (is_unheard(self, request, status)) {
        broker_dump(self, cargo, BROKER_DUMP_SILENCE);
        return;
    }
    if (request->gathered != NULL && status == MDP_DONE &&
        is_over_limit(self, request, &event->record->body)) {
        self->stats.answers_too_large++;
        broker_dump(self, cargo, BROKER_DUMP_SILENCE);
        broker_answer_error(self, request, MDP_TOO_LARGE);
        return;
    }
    // An error's text stands in place of the answer, gathered parts and all.
    if (request->gathered != NULL && status == MDP_DONE) {
        if (cargo != NULL) {
            struct broker_effect *join = broker_add_effect(self, BROKER_JOIN);
            join->into = request->gathered;
            join->cargo = cargo;
        }
        cargo = request->gathered;
        request->gathered = NULL; // what it costs is given back with the request
    }
    struct broker_effect *effect = add_answer(self, request, MDP_FINAL);
    put_epoch(self, &effect->record);
    effect->cargo = cargo;
    effect->record.status = status;
    effect->record.parts = broker_takes_one_message(request) ? 0 : (uint16_t)parts;
    self->stats.replies_out++;
}

void
broker_answer_error(struct broker_core *self, struct request *request, enum mdp_status status)
{
    if (request->is_muted || request->client->is_gone ||
        is_unheard(self, request, (uint16_t)status))
        return;
    struct broker_effect *effect = add_answer(self, request, MDP_FINAL);
    put_epoch(self, &effect->record);
    set_status(self, &effect->record, status);
    if (status == MDP_PASSIVE)
        effect->is_of_reign = false; // whoever may serve: not this half
    self->stats.replies_out++;
}

void
broker_refuse(struct broker_core *self, struct route *route, const struct broker_event *event,
              enum mdp_status status)
{
    if (event->record->dialect != MDP_G1) {
        self->stats.answers_silent++;
        return;
    }
    struct broker_effect *effect = broker_add_effect(self, BROKER_SEND);
    effect->to = &route->address;
    effect->has_delimiter = event->from->has_delimiter;
    effect->record.dialect = MDP_G1;
    effect->record.side = MDP_CLIENT_SIDE;
    effect->record.command = MDP_FINAL;
    effect->record.id = event->record->id;
    set_status(self, &effect->record, status);
    effect->is_of_reign = self->reign == REIGN_ON;
    if (effect->is_of_reign)
        put_epoch(self, &effect->record);
}

// gather keeps a part until the answer is whole. Beyond the limit the answer is
// dropped, and the request is over.
static void
gather(struct broker_core *self, struct request *request, const struct broker_event *event)
{
    const struct mdp_body *part = &event->record->body;
    uint64_t bytes_left = self->config.request_bytes_max - self->stats.request_bytes;
    if (is_over_limit(self, request, part) || event->cargo_bytes > bytes_left) {
        self->stats.answers_too_large++;
        broker_dump(self, event->cargo, BROKER_DUMP_SILENCE);
        broker_request_refuse(self, request, MDP_TOO_LARGE, BROKER_DUMP_SILENCE);
        return;
    }
    request->gathered_frames += part->count;
    request->gathered_bytes += part->bytes;
    request->gathered_cost += event->cargo_bytes;
    self->stats.request_bytes += event->cargo_bytes;
    if (request->gathered == NULL) {
        request->gathered = event->cargo;
    } else if (event->cargo != NULL) {
        struct broker_effect *join = broker_add_effect(self, BROKER_JOIN);
        join->into = request->gathered;
        join->cargo = event->cargo;
    }
}

void
broker_pass_partial(struct broker_core *self, struct request *request, struct attempt *attempt,
                    const struct broker_event *event)
{
    uint32_t seq = attempt->partials++;
    request->parts_of = attempt->serial;
    if (request->is_muted || request->client->is_gone) {
        // A client that comes back would get an answer without this part.
        request->is_muted = true;
        broker_dump(self, event->cargo, BROKER_DUMP_UNSENT);
        return;
    }
    if (broker_takes_one_message(request)) {
        gather(self, request, event);
        return;
    }
    struct broker_effect *effect = add_answer(self, request, MDP_PARTIAL);
    effect->cargo = event->cargo;
    effect->record.seq = seq;
    effect->token = (uint64_t)slab_index(&self->requests, request) << 32 | request->serial;
    request->is_partly_answered = true;
    self->stats.partials_out++;
}
