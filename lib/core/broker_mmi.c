// broker_mmi.c - what the broker answers about itself.
//
// 8/MMI: requests to services that start with "mmi." are answered by the broker
// and never queued; a name it does not know is answered "501". The code frame
// comes first, content after it. Tables are UTF-8, lines end in LF, columns are
// parted by TAB, the first line names them.

#include "broker_state.h"
#include "service_name.h"

enum { ROWS_MAX = 1000 };

// An answer under way.
struct mmi {
    struct broker_core *core;
    struct text text;
    uint64_t skip; // rows
    uint64_t rows;
    struct view service; // mmi.workers: of this one only, empty: of all
};

static void
cell(struct mmi *self, struct view text)
{
    text_add(&self->text, text);
    text_add_char(&self->text, '\t');
}

static void
number_cell(struct mmi *self, uint64_t number, char end)
{
    text_add_number(&self->text, number);
    text_add_char(&self->text, end);
}

// begin_row: is this row to be written?
static bool
begin_row(struct mmi *self)
{
    uint64_t row = self->rows++;
    return row >= self->skip && row - self->skip < ROWS_MAX;
}

static uint64_t
idle_workers(const struct list *workers)
{
    uint64_t idle = 0;
    list_each (node, workers)
        idle += list_is_empty(&list_object(node, struct worker, in_service)->held) ? 1 : 0;
    return idle;
}

static void
write_services(struct mmi *self)
{
    text_add(&self->text, VIEW_LITERAL("service\tworkers\tidle\tqueued\tout\n"));
    list_each (node, &self->core->service_list) {
        const struct service *service = list_object(node, struct service, in_list);
        if (!begin_row(self))
            continue;
        cell(self, service_name(service));
        number_cell(self, service_workers(service), '\t');
        number_cell(self, idle_workers(&service->ready) + idle_workers(&service->taken), '\t');
        number_cell(self, service->queue.size, '\t');
        number_cell(self, service->out, '\n');
    }
}

static struct view
state_name(const struct worker *worker)
{
    if (worker->is_draining)
        return VIEW_LITERAL("draining");
    if (worker->is_blocked)
        return VIEW_LITERAL("blocked");
    return list_is_empty(&worker->held) ? VIEW_LITERAL("idle") : VIEW_LITERAL("busy");
}

static void
write_workers_of(struct mmi *self, const struct service *service, const struct list *workers)
{
    list_each (node, workers) {
        const struct worker *worker = list_object(node, struct worker, in_service);
        if (!begin_row(self))
            continue;
        const char *dialect = broker_dialect_name(worker->dialect);
        number_cell(self, worker->number, '\t');
        cell(self, service_name(service));
        cell(self, view_of(dialect, dialect[0] == 'g' ? 2 : 3));
        cell(self, state_name(worker));
        number_cell(self, worker->credit, '\t');
        number_cell(self, worker->held.size, '\t');
        number_cell(self, (self->core->now_ns - worker->registered_at_ns) / NS_PER_MS, '\n');
    }
}

static void
write_workers(struct mmi *self)
{
    text_add(&self->text, VIEW_LITERAL("worker\tservice\tdialect\tstate\tcredit\tout\tage\n"));
    list_each (node, &self->core->service_list) {
        const struct service *service = list_object(node, struct service, in_list);
        if (self->service.size > 0 && !view_equals(self->service, service_name(service)))
            continue;
        write_workers_of(self, service, &service->ready);
        write_workers_of(self, service, &service->taken);
    }
}

static void
add_word(struct mmi *self, const char *word)
{
    while (*word != '\0')
        text_add_char(&self->text, *word++);
}

static void
stat_row(struct mmi *self, const char *group, const char *name, uint64_t number)
{
    add_word(self, group);
    add_word(self, name);
    text_add_char(&self->text, '\t');
    number_cell(self, number, '\n');
}

static void
write_stats(struct mmi *self)
{
    const struct broker_stats *stats = &self->core->stats;
    text_add(&self->text, VIEW_LITERAL("name\tvalue\n"));
#define X(name) stat_row(self, "", #name, stats->name);
    BROKER_GAUGE_MAP(X)
    BROKER_COUNTER_MAP(X)
#undef X
    stat_row(self, "", "peers_rejected", stats->peers_rejected);
    for (int fault = MDP_SOUND + 1; fault < MDP_FAULTS; fault++)
        stat_row(self, "rejected_", mdp_fault_text((enum mdp_fault)fault), stats->faults[fault]);
    for (int why = 0; why < BROKER_DUMPS; why++)
        stat_row(self, "bodies_", broker_dump_text((enum broker_dump)why), stats->dumps[why]);
}

// 8/MMI: "200" if the service has a worker, "404" if not. (A service that was only
// asked for has none.)
static struct view
has_workers(struct broker_core *core, struct view name)
{
    const struct service *service = broker_service_find(core, name);
    bool is_there = service != NULL && service_workers(service) > 0;
    return is_there ? VIEW_LITERAL("200") : VIEW_LITERAL("404");
}

// ---- answers ------------------------------------------------------------------------

// reply sends a code frame and, where it is not empty, one frame of content.
static void
reply(struct broker_core *self, struct route *route, const struct broker_event *event,
      struct view code, struct view content, void *cargo)
{
    self->answer_frames[0] = code;
    self->answer_frames[1] = content;
    struct broker_effect *effect = broker_add_effect(self, BROKER_SEND);
    effect->to = &route->address;
    effect->has_delimiter = event->from->has_delimiter;
    effect->cargo = cargo;
    effect->record.dialect = event->record->dialect;
    effect->record.side = MDP_CLIENT_SIDE;
    effect->record.command = MDP_FINAL;
    effect->record.id = event->record->id;
    effect->record.status = MDP_DONE;
    effect->record.service = event->record->service;
    effect->record.body = mdp_body_of(self->answer_frames, content.size > 0 ? 2 : 1);
}

// may_answer_table: tables cost more than a call, so there are so many a second.
static bool
may_answer_table(struct broker_core *self)
{
    uint64_t second = self->now_ns / NS_PER_S;
    if (second != self->mmi_second) {
        self->mmi_second = second;
        self->mmi_tables = 0;
    }
    return self->mmi_tables++ < MMI_TABLES_PER_S;
}

static void
reply_table(struct broker_core *self, struct route *route, const struct broker_event *event,
            void (*write)(struct mmi *))
{
    if (!may_answer_table(self)) {
        self->stats.mmi_refused++;
        broker_refuse(self, route, event, MDP_QUEUE_FULL);
        return;
    }
    struct mmi mmi = {.core = self};
    text_init(&mmi.text, self->answer, ANSWER_BYTES);
    size_t cursor = 0;
    struct view frame = VIEW_NONE;
    bool is_sound = true;
    if (write == write_workers && mdp_body_next(&event->record->body, &cursor, &mmi.service) &&
        mmi.service.size > 0)
        is_sound = service_name_is_valid(mmi.service);
    if (write != write_stats && mdp_body_next(&event->record->body, &cursor, &frame) &&
        frame.size > 0)
        is_sound = text_parse_number(frame, &mmi.skip) && is_sound;
    if (!is_sound) {
        reply(self, route, event, VIEW_LITERAL("400"), VIEW_LITERAL("malformed"), NULL);
        return;
    }
    write(&mmi);
    must(!mmi.text.is_cut);
    reply(self, route, event, VIEW_LITERAL("200"), text_view(&mmi.text), NULL);
}

// ---- mmi.ha ---------------------------------------------------------------------------

// read_word reads what the operator says, and nothing beside it.
static bool
read_word(const struct mdp_body *body, enum broker_word *word_out)
{
    static const struct view words[] = {[BROKER_WORD_STATUS] = VIEW_LITERAL("status"),
                                        [BROKER_WORD_PROMOTE] = VIEW_LITERAL("promote"),
                                        [BROKER_WORD_DEMOTE] = VIEW_LITERAL("demote"),
                                        [BROKER_WORD_FREEZE] = VIEW_LITERAL("freeze"),
                                        [BROKER_WORD_THAW] = VIEW_LITERAL("thaw"),
                                        [BROKER_WORD_CLEAR] = VIEW_LITERAL("clear")};
    size_t cursor = 0, count = 0, at = 0;
    struct view frames[2] = {VIEW_NONE, VIEW_NONE};
    while (count < 2 && mdp_body_next(body, &cursor, &frames[count]))
        count++;
    while (at < sizeof words / sizeof *words &&
           (words[at].size == 0 || !view_equals(frames[0], words[at])))
        at++;
    if (at == sizeof words / sizeof *words || body->count > 2)
        return false;
    *word_out = (enum broker_word)at;
    if (body->count < 2)
        return true;
    *word_out = BROKER_WORD_PROMOTE_PEER_IS_DEAD;
    return at == BROKER_WORD_PROMOTE && view_equals(frames[1], VIEW_LITERAL("peer-is-dead"));
}

// on_ha hands the word to the half of the pair, which is not here.
static void
on_ha(struct broker_core *self, struct route *route, const struct broker_event *event)
{
    enum broker_word word;
    must(self->question.route == NULL);
    if (!read_word(&event->record->body, &word)) {
        reply(self, route, event, VIEW_LITERAL("400"), VIEW_LITERAL("malformed"), NULL);
        return;
    }
    if (word == BROKER_WORD_STATUS && !may_answer_table(self)) {
        self->stats.mmi_refused++;
        broker_refuse(self, route, event, MDP_QUEUE_FULL);
        return;
    }
    route->references++;
    self->question = (struct question){.route = route,
                                       .id = event->record->id,
                                       .dialect = event->record->dialect,
                                       .has_delimiter = event->from->has_delimiter};
    struct broker_effect *effect = broker_add_effect(self, BROKER_QUESTION);
    effect->word = word;
    effect->to = &route->address;
}

void
broker_on_said(struct broker_core *self, const struct broker_event *event)
{
    must(self->question.route != NULL && event->code >= 100 && event->code <= 999);
    struct route *route = self->question.route;
    struct mdp_envelope from = {.has_delimiter = self->question.has_delimiter};
    struct mdp_record record = {.dialect = self->question.dialect,
                                .id = self->question.id,
                                .service = VIEW_LITERAL("mmi.ha")};
    struct broker_event asked = {.from = &from, .record = &record};
    struct text code;
    text_init(&code, self->answer_code, sizeof self->answer_code);
    text_add_number(&code, event->code);
    self->question.route = NULL;
    reply(self, route, &asked, text_view(&code), event->text, NULL);
    broker_route_unref(self, route);
}

// ---- any of them ------------------------------------------------------------------------

void
broker_on_mmi(struct broker_core *self, struct route *route, const struct broker_event *event)
{
    struct view name = view_skip(event->record->service, 4);
    self->stats.mmi_requests++;
    if (view_equals(name, VIEW_LITERAL("ping"))) {
        reply(self, route, event, VIEW_LITERAL("200"), VIEW_NONE, event->cargo);
        return;
    }
    if (view_equals(name, VIEW_LITERAL("service"))) {
        size_t cursor = 0;
        struct view asked = VIEW_NONE;
        (void)mdp_body_next(&event->record->body, &cursor, &asked);
        reply(self, route, event, has_workers(self, asked), VIEW_NONE, NULL);
    } else if (view_equals(name, VIEW_LITERAL("dialects"))) {
        reply(self, route, event, VIEW_LITERAL("200"), VIEW_LITERAL("0.1 0.2 g1"), NULL);
    } else if (view_equals(name, VIEW_LITERAL("services"))) {
        reply_table(self, route, event, write_services);
    } else if (view_equals(name, VIEW_LITERAL("workers"))) {
        reply_table(self, route, event, write_workers);
    } else if (view_equals(name, VIEW_LITERAL("stats"))) {
        reply_table(self, route, event, write_stats);
    } else if (view_equals(name, VIEW_LITERAL("ha")) && self->config.is_paired) {
        on_ha(self, route, event);
    } else {
        reply(self, route, event, VIEW_LITERAL("501"), VIEW_NONE, NULL);
    }
    broker_dump(self, event->cargo, BROKER_DUMP_DONE);
}
