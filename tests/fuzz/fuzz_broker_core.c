// fuzz_broker_core.c - whatever peers, sockets and the clock do, the broker keeps its word.
//
// The input is a row of actions: a few peers say records of every dialect under real and
// forged tickets, or send raw frames; time passes; the socket refuses what was sent; a drain
// begins. After each step the core is audited, and an oracle that knows only events and
// effects judges what came out: all cargo is somewhere, a request goes to a worker that asked
// for its service and has a slot, an answer goes to the client that asked, once, and is one
// attempt's. Half of a pair gives nothing to a worker while it does not serve, passes nothing on
// while it holds, and says its epoch in all that it does. At the end a drain has to give back all
// there is.

#include "broker_core.h"
#include "must.h"
#include "service_name.h"

#include <stdlib.h>

enum {
    PEERS = 7,
    TICKETS_KEPT = 32,
    SENT_MAX = 512,
    OPEN_MAX = 8192,
    GIVEN_MAX = 8192,
    TICKS_MAX = 4096, // at one time: more, and it spins
    ACTIONS_MAX = 400,
    FRAMES_MAX = 24
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What a body is to the oracle.
struct parcel {
    uint64_t client; // who asked, or for whom it is
    uint64_t id;
    uint64_t service;     // of a request
    struct ticket ticket; // of an answer
    bool is_request;
};

// A request that a client has asked and that has had no FINAL.
struct open {
    uint64_t client;
    uint64_t id;
    mdp_dialect_t dialect;
    struct ticket parts_of; // whose PARTIALs the client holds
    uint32_t parts;
};

// An attempt that went to a worker.
struct given {
    struct ticket ticket;
    uint64_t client;
    uint64_t id;
    int worker;
    bool is_held; // as far as the worker knows
};

// A message that the socket has not decided on yet.
struct sent {
    struct broker_event refusal;
    struct ticket ticket; // of a REQUEST
    int peer;
};

struct peer {
    bool is_ready; // it said READY, and nothing since has ended that for sure
    uint64_t service;
    uint32_t credit;
};

static struct run {
    struct view input;
    struct broker_core *core;
    void *memory;
    struct broker_effects effects;
    uint64_t now_ns;
    uint64_t live; // parcels
    bool is_stopped;
    bool is_paired;
    enum broker_event_kind reign; // SERVE, FINISH or HOLD
    bool owes_quiet;
    uint64_t epoch; // 0: none
    bool is_asked;
    struct peer peers[PEERS];
    struct open open[OPEN_MAX];
    size_t open_count;
    struct given given[GIVEN_MAX];
    size_t given_count;
    struct sent sent[SENT_MAX];
    size_t sent_count;
    struct ticket tickets[TICKETS_KEPT]; // the last ones that went out
    size_t ticket_count;
} run;

static const char long_id[] = "a routing id that is longer than the room that most of them need, "
                              "so that it goes to another slab than they do, which is larger";
static const struct view ids[PEERS] = {{(const uint8_t *)"A", 1},
                                       {(const uint8_t *)"B", 1},
                                       {(const uint8_t *)"C", 1},
                                       {(const uint8_t *)"D", 1},
                                       {(const uint8_t *)"\0\1\2", 3},
                                       {(const uint8_t *)"F", 1},
                                       {(const uint8_t *)long_id, sizeof long_id - 1}};
static const char *const services[] = {"a",        "b",           "c",         "d",
                                       "e",        "mmi.service", "mmi.stats", "mmi.workers",
                                       "mmi.ping", "mmi.x",       "mmi.ha",    "mmi.services",
                                       ""};
enum { SERVICES = sizeof services / sizeof *services };

// ---- the input -----------------------------------------------------------------------------

static uint8_t
next_byte(void)
{
    if (run.input.size == 0)
        return 0;
    uint8_t byte = run.input.data[0];
    run.input = view_skip(run.input, 1);
    return byte;
}

static struct view
next_bytes(size_t size)
{
    if (size > run.input.size)
        size = run.input.size;
    struct view bytes = view_of(run.input.data, size);
    run.input = view_skip(run.input, size);
    return bytes;
}

static uint64_t
hash_more(uint64_t hash, struct view text)
{
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ text.data[i]) * 1099511628211u;
    return hash * 31 + text.size;
}

static int
peer_of(struct view routing_id)
{
    for (int i = 0; i < PEERS; i++)
        if (view_equals(ids[i], routing_id))
            return i;
    must(false);
    return 0;
}

// client_of names a client by its routing id and stack.
static uint64_t
client_of(struct view routing_id, struct view stack)
{
    return hash_more(hash_more(14695981039346656037u, routing_id), stack);
}

static uint64_t
sender_of(const struct mdp_envelope *from)
{
    static uint8_t bytes[MDP_STACK_MAX * 256];
    size_t used = 0;
    for (size_t i = 0; i < from->stack_size; i++) {
        size_t size = from->stack[i].size < 255 ? from->stack[i].size : 255;
        bytes[used++] = (uint8_t)size;
        memcpy(bytes + used, from->stack[i].data, size);
        used += size;
    }
    return client_of(from->routing_id, view_of(bytes, used));
}

// ---- the oracle: what came in --------------------------------------------------------------

static struct given *
given_of(const struct ticket *ticket)
{
    for (size_t i = run.given_count; i-- > 0;)
        if (ticket_equals(&run.given[i].ticket, ticket))
            return &run.given[i];
    return NULL;
}

static struct open *
open_of(uint64_t client, uint64_t id, mdp_dialect_t dialect)
{
    for (size_t i = 0; i < run.open_count; i++) {
        struct open *open = &run.open[i];
        if (open->client == client && open->dialect == dialect &&
            (dialect != MDP_G1 || open->id == id))
            return open;
    }
    return NULL;
}

static void
hears_request(const struct mdp_envelope *from, const struct mdp_record *record)
{
    uint64_t client = sender_of(from);
    if (record->dialect == MDP_G1 && open_of(client, record->id, MDP_G1) != NULL)
        return; // the answer to the first is the answer
    must(run.open_count < OPEN_MAX);
    run.open[run.open_count++] =
        (struct open){.client = client, .id = record->id, .dialect = record->dialect};
}

static void
forget_held(int worker)
{
    for (size_t i = 0; i < run.given_count; i++)
        if (run.given[i].worker == worker)
            run.given[i].is_held = false;
}

static void
hears_worker(const struct mdp_envelope *from, const struct mdp_record *record)
{
    int at = peer_of(from->routing_id);
    struct peer *peer = &run.peers[at];
    if (record->command == MDP_READY && record->fault == MDP_SOUND) {
        forget_held(at);
        uint32_t credit = record->dialect == MDP_G1 && record->credit > 1 ? record->credit : 1;
        *peer = (struct peer){true, hash_more(0, record->service), credit};
    }
    if (record->command == MDP_DISCONNECT && record->fault == MDP_SOUND)
        peer->is_ready = false;
    if (record->command == MDP_FINAL) {
        struct given *given = given_of(&record->ticket);
        if (given != NULL && given->worker == at)
            given->is_held = false;
    }
}

static struct parcel *
parcel_of(const struct mdp_envelope *from, const struct mdp_record *record)
{
    struct parcel *parcel = calloc(1, sizeof *parcel);
    must(parcel != NULL);
    run.live++;
    parcel->is_request = record->command == MDP_REQUEST;
    if (record->side == MDP_CLIENT_SIDE) {
        parcel->client = sender_of(from);
        parcel->id = record->id;
        parcel->service = hash_more(0, record->service);
        return parcel;
    }
    struct given *given = given_of(&record->ticket);
    parcel->ticket = record->ticket;
    parcel->client = given == NULL ? 0 : given->client;
    parcel->id = given == NULL ? 0 : given->id;
    return parcel;
}

static void
let_go(struct parcel *parcel)
{
    must(parcel != NULL && run.live > 0);
    run.live--;
    free(parcel);
}

// ---- the oracle: what comes out ------------------------------------------------------------

static void
judge_worker_request(const struct broker_effect *effect)
{
    int at = peer_of(effect->to->routing_id);
    const struct peer *peer = &run.peers[at];
    const struct parcel *parcel = effect->cargo;
    must(peer->is_ready && effect->to->stack.size == 0);
    must(run.reign == BROKER_SERVE && effect->is_of_reign);
    must((effect->record.fields.size > 0) == (run.epoch > 0));
    must(parcel != NULL && parcel->is_request && effect->keeps_cargo);
    must(parcel->service == peer->service);
    must(given_of(&effect->record.ticket) == NULL);
    must(run.given_count < GIVEN_MAX);
    run.given[run.given_count++] =
        (struct given){effect->record.ticket, parcel->client, parcel->id, at, true};
    run.tickets[run.ticket_count++ % TICKETS_KEPT] = effect->record.ticket;
    uint32_t held = 0;
    for (size_t i = 0; i < run.given_count; i++)
        held += run.given[i].worker == at && run.given[i].is_held ? 1 : 0;
    must(held <= peer->credit);
}

// judge_parts: what the client holds when the answer has come is one attempt's.
static void
judge_parts(struct open *open, const struct broker_effect *effect)
{
    const struct parcel *parcel = effect->cargo;
    const struct mdp_record *record = &effect->record;
    if (record->command == MDP_PARTIAL) {
        must(!effect->has_delimiter && record->dialect != MDP_01);
        if (record->seq == 0) {
            open->parts = 0;
            open->parts_of = parcel->ticket;
        }
        must(record->seq == open->parts++);
        must(ticket_equals(&open->parts_of, &parcel->ticket));
    } else if (record->dialect == MDP_G1 && record->parts > 0 && parcel != NULL) {
        must(record->parts == open->parts);
        must(ticket_equals(&open->parts_of, &parcel->ticket));
    }
}

static void
judge_answer(const struct broker_effect *effect)
{
    const struct mdp_record *record = &effect->record;
    uint64_t client = client_of(effect->to->routing_id, effect->to->stack);
    if (record->command == MDP_HEARTBEAT)
        return;
    must(record->command == MDP_PARTIAL || record->command == MDP_FINAL);
    must(!effect->keeps_cargo);
    const struct parcel *parcel = effect->cargo;
    bool is_worker_s = parcel != NULL && !parcel->is_request;
    must(!is_worker_s || (run.reign != BROKER_HOLD && effect->is_of_reign));
    must(!is_worker_s || record->command != MDP_FINAL ||
         (record->fields.size > 0) == (run.epoch > 0));
    if (parcel != NULL) {
        must(parcel->client == client);
        must(record->dialect != MDP_G1 || parcel->id == record->id);
    }
    struct open *open = open_of(client, record->id, record->dialect);
    must(open != NULL);
    // Requests of 0.1 and 0.2 have no ids, so their parts cannot be told apart.
    if (record->dialect == MDP_G1)
        judge_parts(open, effect);
    if (record->command == MDP_FINAL)
        *open = run.open[--run.open_count];
}

static void
keep_sent(const struct broker_effect *effect)
{
    must(run.sent_count < SENT_MAX);
    struct parcel *cargo = effect->cargo;
    run.sent[run.sent_count++] =
        (struct sent){.peer = peer_of(effect->to->routing_id),
                      .ticket = effect->record.ticket,
                      .refusal = {.kind = BROKER_UNSENT,
                                  .route_number = effect->to->number,
                                  .route_serial = effect->to->serial,
                                  .side = effect->record.side,
                                  .command = effect->record.command,
                                  .token = effect->token,
                                  .cargo = effect->keeps_cargo ? NULL : cargo}};
}

static void
carry_out(const struct broker_effect *effect)
{
    struct parcel *into = effect->into, *cargo = effect->cargo;
    switch (effect->kind) {
    case BROKER_SEND:
        must(effect->to->number < broker_core_routes_max(run.core));
        if (effect->record.side == MDP_CLIENT_SIDE)
            judge_answer(effect);
        else if (effect->record.command == MDP_REQUEST)
            judge_worker_request(effect);
        else if (effect->record.command == MDP_DISCONNECT)
            run.peers[peer_of(effect->to->routing_id)].is_ready = false;
        keep_sent(effect);
        break;
    case BROKER_DUMP:
        let_go(cargo);
        break;
    case BROKER_JOIN:
        must(into->client == cargo->client && into->id == cargo->id);
        must(ticket_equals(&into->ticket, &cargo->ticket));
        let_go(cargo);
        break;
    case BROKER_STOPPED:
        must(!run.is_stopped);
        run.is_stopped = true;
        break;
    case BROKER_QUIET:
        must(run.owes_quiet);
        run.owes_quiet = false;
        run.reign = BROKER_HOLD;
        run.epoch = 0;
        break;
    case BROKER_FENCED:
        must(run.epoch > 0);
        break;
    case BROKER_QUESTION:
        must(run.is_paired && !run.is_asked);
        run.is_asked = true;
    }
}

// flush: the socket has taken all that was sent.
static void
flush(void)
{
    for (size_t i = 0; i < run.sent_count; i++)
        if (run.sent[i].refusal.cargo != NULL)
            let_go(run.sent[i].refusal.cargo);
    run.sent_count = 0;
}

static void
step(struct broker_event *event)
{
    if (run.sent_count + BROKER_EFFECTS_MAX > SENT_MAX)
        flush();
    event->now_ns = run.now_ns;
    broker_core_step(run.core, event, &run.effects);
    must(run.effects.count <= BROKER_EFFECTS_MAX);
    for (size_t i = 0; i < run.effects.count; i++)
        carry_out(&run.effects.list[i]);
    broker_core_audit(run.core);
    if (run.is_asked) {
        struct broker_event said = {
            .kind = BROKER_SAID, .code = 409, .text = VIEW_LITERAL("not now")};
        run.is_asked = false;
        step(&said);
    }
}

// ---- actions -------------------------------------------------------------------------------

static void
tick(void)
{
    int ticks = 0;
    do {
        struct broker_event event = {.kind = BROKER_TICK};
        step(&event);
        must(++ticks < TICKS_MAX);
    } while (broker_core_deadline(run.core) <= run.now_ns && !run.is_stopped);
}

static void
give(const struct mdp_envelope *from, const struct mdp_record *record)
{
    struct broker_event event = {.kind = BROKER_RECORD, .from = from, .record = record};
    bool may_have_body = record->command == MDP_REQUEST || record->command == MDP_PARTIAL ||
                         record->command == MDP_FINAL;
    if (record->fault == MDP_SOUND && may_have_body) {
        event.cargo = parcel_of(from, record);
        event.cargo_bytes = 64 + record->body.bytes;
    }
    if (record->side == MDP_WORKER_SIDE)
        hears_worker(from, record);
    else if (record->command == MDP_REQUEST)
        hears_request(from, record);
    step(&event);
}

static void
give_message(const struct view *frames, size_t count)
{
    static const struct mdp_limits limits = {20, 2000};
    struct mdp_reader reader;
    struct mdp_record record;
    enum mdp_fault fault = mdp_wire_begin(&reader, frames, count, MDP_TO_BROKER, true, &limits);
    if (fault != MDP_SOUND) {
        record =
            (struct mdp_record){.fault = fault, .side = reader.side, .dialect = reader.dialect};
        give(&reader.envelope, &record);
    }
    while (mdp_wire_next(&reader, &record))
        give(&reader.envelope, &record);
}

// raw sends frames as the input has them, some of them headers.
static void
raw(void)
{
    static const struct view heads[] = {VIEW_LITERAL(""),       VIEW_LITERAL("MDPC01"),
                                        VIEW_LITERAL("MDPW01"), VIEW_LITERAL("MDPC02"),
                                        VIEW_LITERAL("MDPW02"), VIEW_LITERAL("\1"),
                                        VIEW_LITERAL("\2"),     VIEW_LITERAL("a")};
    struct view frames[FRAMES_MAX];
    frames[0] = ids[next_byte() % PEERS];
    size_t count = 1, wanted = next_byte() % FRAMES_MAX;
    while (count < wanted) {
        uint8_t what = next_byte();
        frames[count++] = what < 128 ? heads[what % 8] : next_bytes(what - 128u);
    }
    give_message(frames, count);
}

// any_envelope is one of the ways a peer may write.
static struct mdp_envelope
any_envelope(uint8_t how)
{
    static const struct view stack[2] = {{(const uint8_t *)"p", 1},
                                         {(const uint8_t *)long_id, sizeof long_id - 1}};
    struct mdp_envelope from = {.routing_id = ids[how % PEERS]};
    how /= PEERS;
    from.has_delimiter = how % 2;
    if (how % 8 >= 6) {
        from.has_delimiter = true;
        from.stack = stack;
        from.stack_size = 1 + how % 2;
    }
    return from;
}

static struct mdp_body
any_body(struct view frames[4])
{
    size_t count = next_byte() % 5;
    for (size_t i = 0; i < count; i++)
        frames[i] = view_of("body of a request or an answer, which nobody reads", next_byte() % 50);
    return count == 0 ? (struct mdp_body){0} : mdp_body_of(frames, count);
}

static void
client_says(void)
{
    static const enum mdp_command commands[] = {MDP_REQUEST, MDP_REQUEST, MDP_REQUEST, MDP_CANCEL,
                                                MDP_HEARTBEAT};
    static const uint32_t ttls[] = {0, 1, 500, UINT32_MAX};
    struct view frames[4];
    struct mdp_envelope from = any_envelope(next_byte());
    uint8_t what = next_byte(), more = next_byte();
    const char *service = services[more % SERVICES];
    struct mdp_record record = {.side = MDP_CLIENT_SIDE,
                                .dialect = (mdp_dialect_t)(MDP_G1 + what % 3),
                                .id = more / SERVICES % 6,
                                .service = view_of(service, strlen(service)),
                                .ttl_ms = ttls[what / 16 % 4]};
    record.command = record.dialect == MDP_G1 ? commands[what / 3 % 5] : MDP_REQUEST;
    record.flags = what & 128 ? MDP_FLAG_NO_QUEUE : 0;
    if (record.dialect == MDP_G1 && record.command == MDP_REQUEST && more > 240)
        record.fault = more > 248 ? MDP_OVER_LIMIT : MDP_BAD_CONTENTS;
    if (record.command == MDP_REQUEST && record.service.size == 0 && record.fault == MDP_SOUND)
        record.fault = MDP_BAD_NAME;
    if (record.command == MDP_REQUEST && record.fault == MDP_SOUND)
        record.body = any_body(frames);
    give(&from, &record);
}

static struct mdp_envelope
worker_envelope(uint8_t how)
{
    return (struct mdp_envelope){.routing_id = ids[how % PEERS], .has_delimiter = how / PEERS % 2};
}

static void
worker_is_ready(void)
{
    static const uint32_t intervals[] = {0, 1, 1000, 7000};
    struct mdp_envelope from = worker_envelope(next_byte());
    uint8_t what = next_byte();
    const char *service = services[what % 16 < 13 ? what % 3 : what % SERVICES];
    struct mdp_record record = {.side = MDP_WORKER_SIDE,
                                .command = MDP_READY,
                                .dialect = (mdp_dialect_t)(MDP_G1 + what / 16 % 3),
                                .credit = next_byte() % 8,
                                .interval_ms = intervals[what / 48 % 4],
                                .service = view_of(service, strlen(service))};
    if (record.service.size == 0)
        record.fault = MDP_BAD_NAME;
    give(&from, &record);
}

// worker_answers, mostly as the one that was given the ticket.
static void
worker_answers(void)
{
    static const uint16_t statuses[] = {200, 200, 200, 500, 404, 599};
    struct view frames[4];
    uint8_t who = next_byte(), what = next_byte(), which = next_byte();
    struct mdp_record record = {.side = MDP_WORKER_SIDE,
                                .dialect = (mdp_dialect_t)(MDP_G1 + what % 3),
                                .status = statuses[what / 3 % 6],
                                .parts = (uint16_t)(which / 64),
                                .seq = which / 64,
                                .ticket = run.tickets[which % TICKETS_KEPT]};
    struct mdp_envelope from = worker_envelope(who);
    const struct given *given = given_of(&record.ticket);
    if (given != NULL && who & 128)
        from.routing_id = ids[given->worker];
    record.command = what & 128 && record.dialect != MDP_01 ? MDP_PARTIAL : MDP_FINAL;
    if (who == 127)
        record.ticket.bytes[which % TICKET_BYTES] ^= what;
    if ((who & 127) == 126)
        record.fault = MDP_OVER_LIMIT;
    else if ((who & 127) == 125)
        record.fault = record.dialect == MDP_G1 ? MDP_BAD_CONTENTS : MDP_BAD_ADDRESS;
    if (record.fault == MDP_SOUND)
        record.body = any_body(frames);
    give(&from, &record);
}

static void
worker_says(void)
{
    static const enum mdp_command commands[] = {MDP_HEARTBEAT, MDP_HEARTBEAT, MDP_DISCONNECT,
                                                MDP_DRAIN};
    struct mdp_envelope from = worker_envelope(next_byte());
    uint8_t what = next_byte();
    struct mdp_record record = {.side = MDP_WORKER_SIDE,
                                .dialect = (mdp_dialect_t)(MDP_G1 + what % 3),
                                .command = commands[what / 3 % 4],
                                .reason = what / 16 % 8,
                                .interval_ms = what};
    if (record.command == MDP_DRAIN)
        record.dialect = MDP_G1;
    if (what > 240) {
        record.command = MDP_NO_COMMAND;
        record.fault = MDP_BAD_COMMAND;
    }
    give(&from, &record);
}

static void
time_passes(void)
{
    static const uint64_t ms[] = {0, 1, 10, 400, 1000, 3001, 60000, 3600000};
    uint8_t how = next_byte();
    uint64_t due_ns = broker_core_deadline(run.core);
    if (how & 8 && due_ns != UINT64_MAX && due_ns > run.now_ns)
        run.now_ns = due_ns;
    else
        run.now_ns += ms[how % 8] * 1000000 + how;
    if (how & 16)
        tick();
}

// refuse gives back what was sent to a peer, latest first; the rest was taken.
static void
refuse(void)
{
    uint8_t how = next_byte();
    int peer = how % PEERS;
    if (run.sent_count + BROKER_EFFECTS_MAX > SENT_MAX)
        flush();
    for (size_t i = run.sent_count; i-- > 0;) {
        struct sent *sent = &run.sent[i];
        if (sent->peer != peer)
            continue;
        struct broker_event event = sent->refusal;
        sent->refusal.cargo = NULL;
        struct given *given = given_of(&sent->ticket);
        if (given != NULL)
            given->is_held = false; // the worker was never sent it
        event.is_gone = how & 128;
        size_t before = run.sent_count;
        step(&event);
        must(run.sent_count == before); // nothing is sent until all of a pack is back
    }
    if (how & 128)
        forget_held(peer);
    flush();
}

// pair_says is what the other machine says to this half, in the order that it keeps.
static void
pair_says(uint8_t what)
{
    struct broker_event event = {.kind = BROKER_HOLD, .text = VIEW_LITERAL("tcp://peer:1")};
    if (what & 1 && run.reign == BROKER_HOLD && !run.owes_quiet) {
        event.kind = run.reign = BROKER_SERVE;
        event.epoch = run.epoch = what & 2 ? 1 + what : 0;
        event.has_epoch = run.epoch > 0;
    } else if (what & 2) {
        event.kind = BROKER_FINISH;
        run.reign = run.reign == BROKER_SERVE ? BROKER_FINISH : run.reign;
        run.owes_quiet = true;
    } else {
        run.reign = BROKER_HOLD;
        run.owes_quiet = true;
    }
    step(&event);
}

static void
leave_or_change(uint8_t what)
{
    struct broker_event event = {.kind = BROKER_DRAIN};
    if (what == 99)
        step(&event);
    else if (what >= 128 && run.is_paired)
        pair_says(what);
    flush();
}

static void
act(uint8_t action)
{
    switch (action % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
        client_says();
        break;
    case 4:
    case 5:
        worker_is_ready();
        break;
    case 6:
    case 7:
    case 8:
        worker_answers();
        break;
    case 9:
        worker_says();
        break;
    case 10:
    case 11:
        time_passes();
        break;
    case 12:
        refuse();
        break;
    case 13:
        raw();
        break;
    case 14:
        tick();
        break;
    default:
        leave_or_change(next_byte());
    }
}

static void
begin(uint8_t how)
{
    run.is_paired = how & 32;
    run.reign = run.is_paired ? BROKER_HOLD : BROKER_SERVE;
    const struct broker_service_config settings[] = {
        {.name = VIEW_LITERAL("a"), .attempts = 9, .may_resume = how & 1},
        {.name = VIEW_LITERAL("b"), .limit_ms = 2000, .attempts = how & 2 ? 1 : 0}};
    const struct broker_config config = {.heartbeat_ms = 1000,
                                         .liveness = 3,
                                         .services_max = 4,
                                         .workers_max = 5,
                                         .service_workers_max = 3,
                                         .requests_max = how & 4 ? 16 : 3,
                                         .service_requests_max = 8,
                                         .client_requests_max = 6,
                                         .request_bytes_max = how & 8 ? 1000 : 100000,
                                         .answer_bytes_max = 150,
                                         .answer_frames_max = 6,
                                         .credit_max = 5,
                                         .attempts = 3,
                                         .request_ttl_ms = how & 16 ? 700 : 0,
                                         .drain_ms = 5000,
                                         .services = settings,
                                         .service_count = 2,
                                         .is_paired = run.is_paired};
    run.now_ns = 1000000000;
    size_t bytes = (broker_core_bytes(&config) + 63) / 64 * 64;
    run.memory = aligned_alloc(64, bytes);
    must(run.memory != NULL);
    memset(run.memory, 0, bytes);
    run.core = broker_core_init(run.memory, &config, run.now_ns);
}

static void
end(void)
{
    struct broker_event event = {.kind = BROKER_DRAIN};
    step(&event);
    for (int ticks = 0; !run.is_stopped; ticks++) {
        must(ticks < TICKS_MAX);
        run.now_ns = broker_core_end_of_drain(run.core, run.now_ns);
        event.kind = BROKER_TICK;
        step(&event);
        flush();
    }
    flush();
    must(run.live == 0);
    must(broker_core_stats(run.core)->services == 0);
    free(run.memory);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run.input = view_of(data, size);
    run.is_stopped = run.owes_quiet = run.is_asked = false;
    run.epoch = 0;
    run.live = run.open_count = run.given_count = run.sent_count = run.ticket_count = 0;
    memset(run.peers, 0, sizeof run.peers);
    memset(run.tickets, 0, sizeof run.tickets);
    begin(next_byte());
    for (int i = 0; i < ACTIONS_MAX && run.input.size > 0; i++) {
        if (run.open_count > OPEN_MAX / 2 || run.given_count > GIVEN_MAX / 2)
            break; // the oracle remembers no more
        act(next_byte());
    }
    end();
    return 0;
}
