// broker_reign.c - half of a pair: it serves, it finishes, or it holds.
//
// One of two brokers serves at a time, and another machine says which (bstar_core). What is
// open when a reign ends is dropped: its clients hear 503 and go to the other half, those that
// cannot hear it repeat by themselves. Workers are told nothing and stay; one that still holds
// a request keeps its slot until it has answered, and the answer goes nowhere.
//
// A reign ends at once, whatever is open; the requests themselves go by and by, as many in a
// step as there is room for. QUIET says that the last is gone.

#include "broker_state.h"

#include "hex.h"

// tell_of_reign says what begins, and what is open then.
static void
tell_of_reign(struct broker_core *self, enum broker_fact fact)
{
    broker_tell(self, VIEW_NONE, (struct broker_trace){.fact = fact, .count = self->requests.used});
}

// ---- the line -------------------------------------------------------------------------

static void
add_hex(struct text *text, uint64_t number)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        text_add_char(text, (char)hex_digit((uint8_t)(number >> shift & 15)));
}

// set_epoch writes the line that all records of the reign carry: once, and not for each.
static void
set_epoch(struct broker_core *self, const struct broker_event *event)
{
    struct text line;
    text_init(&line, self->epoch_bytes, sizeof self->epoch_bytes);
    if (event->has_epoch) {
        text_add(&line, VIEW_LITERAL("epoch: "));
        add_hex(&line, event->pair);
        text_add_char(&line, ':');
        text_add_number(&line, event->epoch);
        text_add_char(&line, '\n');
    }
    must(!line.is_cut);
    self->epoch_line = text_view(&line);
    self->epoch_flags = event->has_epoch ? MDP_FLAG_FIELDS : 0;
}

static void
forget_epoch(struct broker_core *self)
{
    self->epoch_line = VIEW_NONE;
    self->epoch_flags = 0;
}

static void
set_passive_text(struct broker_core *self, struct view text)
{
    size_t size = text.size < sizeof self->passive_bytes ? text.size : sizeof self->passive_bytes;
    if (size > 0)
        memcpy(self->passive_bytes, text.data, size);
    self->passive_text = view_of(self->passive_bytes, size);
}

// ---- events ---------------------------------------------------------------------------

void
broker_on_serve(struct broker_core *self, const struct broker_event *event)
{
    must(self->config.is_paired && self->reign == REIGN_HOLD);
    must(self->requests.used == 0 && !self->owes_quiet);
    self->reign = REIGN_ON;
    self->stats.reigns++;
    set_epoch(self, event);
    tell_of_reign(self, BROKER_SERVING);
}

void
broker_on_finish(struct broker_core *self, const struct broker_event *event)
{
    must(self->config.is_paired);
    set_passive_text(self, event->text);
    self->owes_quiet = true;
    if (self->reign != REIGN_ON)
        return;
    self->reign = REIGN_FINISH;
    self->clear_at = 0;
    self->finish_until_ns = self->now_ns + (uint64_t)self->config.drain_ms * NS_PER_MS;
    tell_of_reign(self, BROKER_FINISHING);
}

static void
begin_hold(struct broker_core *self)
{
    self->reign = REIGN_HOLD;
    self->clear_at = 0;
    tell_of_reign(self, BROKER_HOLDING);
}

void
broker_on_hold(struct broker_core *self, const struct broker_event *event)
{
    must(self->config.is_paired);
    set_passive_text(self, event->text);
    self->owes_quiet = true;
    if (self->reign != REIGN_HOLD)
        begin_hold(self);
}

// ---- dropping -------------------------------------------------------------------------

void
broker_reign_drop(struct broker_core *self, struct request *request)
{
    self->stats.requests_dropped++;
    if (broker_may_run_again(request)) {
        broker_request_refuse(self, request, MDP_PASSIVE, BROKER_DUMP_REFUSED);
        return;
    }
    // Nobody knows whether its worker has run it: the other half must not be asked again.
    self->stats.requests_given_up++;
    broker_tell(self, request->client->address.routing_id,
                (struct broker_trace){.fact = BROKER_REQUEST_GIVEN_UP,
                                      .service = service_name(request->service),
                                      .why = "this half of the pair serves no longer",
                                      .status = MDP_WORKER_LOST,
                                      .count = request->attempts_made});
    broker_request_refuse(self, request, MDP_WORKER_LOST, BROKER_DUMP_GIVEN_UP);
}

static bool
is_clear(const struct broker_core *self)
{
    return self->clear_at >= self->requests.touched;
}

void
broker_reign_go_on(struct broker_core *self)
{
    if (self->reign == REIGN_FINISH && self->now_ns >= self->finish_until_ns)
        begin_hold(self);
    for (int looks = 0; looks < CLEAR_LOOKS_MAX && !is_clear(self) && has_room(self); looks++) {
        struct request *request = slab_at(&self->requests, self->clear_at++);
        if (request != NULL && (self->reign == REIGN_HOLD || request->current == NULL))
            broker_reign_drop(self, request);
    }
    if (!self->owes_quiet || !is_clear(self) || self->requests.used > 0 || !has_room(self))
        return;
    self->owes_quiet = false;
    self->reign = REIGN_HOLD;
    forget_epoch(self);
    (void)broker_add_effect(self, BROKER_QUIET);
}

uint64_t
broker_reign_deadline(const struct broker_core *self)
{
    bool is_quiet_due = self->owes_quiet && self->requests.used == 0;
    if (!is_clear(self) || is_quiet_due)
        return 0;
    return self->reign == REIGN_FINISH ? self->finish_until_ns : UINT64_MAX;
}
