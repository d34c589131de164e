// check_durable.c - T1 to T10: what an acknowledgement means.

#include "check_durable.h"
#include "titanic_store.h"
#include "workload.h"

struct kept { // a request that the store has, or had
    struct request_id id;
    struct durable_owner owner;
    uint64_t number;
    enum durable_state state;
    uint32_t attempts, attempts_max;
    uint64_t due_ms, deadline_ms;
    uint64_t run;     // of its answer
    uint64_t over_ms; // when it was done or closed
    bool is_dropped;  // after its time
};

struct book {
    struct errand **errands;
    size_t errand_count, errand_capacity;
    struct kept *kept;
    size_t kept_count, kept_capacity;
    struct kept *before; // the crash
    size_t before_count;
};

typedef unsigned long long number;

// ---- errands ----------------------------------------------------------------------------

void
check_durable_init(struct world *world)
{
    world->book = world_take_zeroed(world, sizeof *world->book);
}

struct errand *
check_new_errand(struct world *world, uint32_t client, uint32_t service)
{
    struct book *self = world->book;
    if (self->errand_count == self->errand_capacity) {
        self->errand_capacity = 2 * self->errand_capacity + 64;
        self->errands =
            world_grow(world, self->errands, self->errand_capacity * sizeof(struct errand *));
    }
    struct errand *errand = world_take_zeroed(world, sizeof *errand);
    self->errands[self->errand_count++] = errand;
    errand->client = client;
    errand->service = service;
    return errand;
}

size_t
check_errand_count(const struct world *world)
{
    return world->book == NULL ? 0 : world->book->errand_count;
}

struct errand *
check_errand(const struct world *world, size_t at)
{
    return world->book->errands[at];
}

struct errand *
check_errand_of(const struct world *world, uint64_t call)
{
    for (size_t i = 0; i < world->book->errand_count; i++)
        if (world->book->errands[i]->number == call)
            return world->book->errands[i];
    return NULL;
}

// ---- the book ---------------------------------------------------------------------------

static struct kept *
kept_of(const struct world *world, const struct request_id *id)
{
    for (size_t i = world->book->kept_count; i > 0; i--)
        if (request_id_equals(&world->book->kept[i - 1].id, id))
            return &world->book->kept[i - 1];
    return NULL;
}

static struct mdp_body
parts_of(const struct durable_body *body)
{
    size_t bytes = body->bytes - body->fields_bytes;
    return (struct mdp_body){.packed = view_of(body->data + body->fields_bytes, bytes),
                             .count = body->frames,
                             .bytes = bytes - 4 * (size_t)body->frames};
}

static void
write_submit(struct node *node, const struct durable_op *op)
{
    struct book *self = node->world->book;
    if (self->kept_count == self->kept_capacity) {
        self->kept_capacity = 2 * self->kept_capacity + 64;
        self->kept = world_grow(node->world, self->kept, self->kept_capacity * sizeof *self->kept);
    }
    struct kept *kept = &self->kept[self->kept_count++];
    *kept = (struct kept){.id = op->id,
                          .owner = op->owner,
                          .attempts_max = op->attempts_max,
                          .due_ms = op->due_ms,
                          .deadline_ms = op->deadline_ms};
    struct mdp_body body = parts_of(op->body);
    uint64_t run = 0;
    workload_name_of(&body, &kept->number, &run);
    struct errand *errand = check_errand_of(node->world, kept->number);
    struct request_id key;
    if (errand != NULL && errand->has_own_key && request_id_read(op->key, &key))
        errand->is_from_ahead |= request_id_ms(&key) > op->now_ms;
}

// was_asked_for_all: what its owner asks for all requests may wait long for Titanic, and then it
// hits those that were not there when it was asked, too.
static void
was_asked_for_all(struct node *node, const struct durable_op *op, const struct kept *kept)
{
    struct errand *errand = check_errand_of(node->world, kept->number);
    if (errand == NULL || op->filter.has_id)
        return;
    errand->may_be_changed = true;
    errand->may_be_closed |= op->kind == DURABLE_PURGE;
}

static void
write_change(struct node *node, const struct durable_op *op)
{
    for (size_t i = 0; op->found != NULL && i < op->found->count; i++) {
        struct kept *kept = kept_of(node->world, &op->found->rows[i].id);
        if (kept == NULL)
            continue;
        was_asked_for_all(node, op, kept);
        kept->state = op->kind == DURABLE_RETRY    ? DURABLE_PENDING
                      : op->kind == DURABLE_CANCEL ? DURABLE_DEAD
                                                   : DURABLE_CLOSED;
        kept->over_ms = op->now_ms;
        if (op->kind != DURABLE_RETRY)
            continue;
        mark(node->world, MARK_RETRIED);
        kept->attempts = 0;
        kept->due_ms = op->due_ms;
        kept->deadline_ms = 0;
    }
}

// drop_old: the store lets go of what has passed its time, and of nothing else: what it lacks
// later without a word of this is missed (T1, T3, T10).
static void
drop_old(struct node *node, uint64_t now_ms)
{
    struct book *self = node->world->book;
    uint64_t retain_ms = node->world->plan.titanic.config.retain_ms;
    for (size_t i = 0; i < self->kept_count; i++) {
        struct kept *kept = &self->kept[i];
        bool is_over = kept->state == DURABLE_DONE || kept->state == DURABLE_CLOSED;
        if (kept->is_dropped || !is_over || now_ms <= kept->over_ms ||
            now_ms - kept->over_ms <= retain_ms)
            continue;
        struct errand *errand = check_errand_of(node->world, kept->number);
        mark(node->world, kept->state == DURABLE_DONE ? MARK_DROPPED_ANSWER : MARK_DROPPED_KEY);
        kept->state = DURABLE_CLOSED;
        kept->is_dropped = true;
        if (errand != NULL)
            errand->was_dropped = true;
    }
}

// write_down writes what came of an operation into the book.
static void
write_down(struct node *node, const struct durable_op *op)
{
    if ((int)op->kind == STORE_SWEEP) {
        drop_old(node, op->now_ms);
        return;
    }
    if (op->outcome != DURABLE_OK)
        return;
    struct kept *kept = kept_of(node->world, &op->id);
    uint64_t call = 0;
    struct mdp_body body;
    switch (op->kind) {
    case DURABLE_SUBMIT:
        write_submit(node, op);
        break;
    case DURABLE_ANSWER:
        body = parts_of(op->body);
        workload_name_of(&body, &call, &kept->run);
        kept->state = DURABLE_DONE;
        kept->over_ms = op->now_ms;
        break;
    case DURABLE_FAILED:
        kept->attempts = op->attempts;
        kept->due_ms = op->due_ms;
        break;
    case DURABLE_KILL:
        kept->state = op->state;
        break;
    case DURABLE_CLOSE:
        kept->state = DURABLE_CLOSED;
        kept->over_ms = op->now_ms;
        break;
    case DURABLE_RETRY:
    case DURABLE_CANCEL:
    case DURABLE_PURGE:
        write_change(node, op);
        break;
    default:
        break;
    }
}

// ---- a crash ----------------------------------------------------------------------------

void
check_titanic_starts(struct node *node)
{
    struct book *self = node->world->book;
    world_give(node->world, self->before);
    self->before = self->kept;
    self->before_count = self->kept_count;
    self->kept = NULL;
    self->kept_count = self->kept_capacity = 0;
}

void
check_titanic_replays(struct node *node, const struct durable_op *op)
{
    write_down(node, op);
}

// excuse: a disk has lied, so something is lost that nobody could keep. Nothing is asked any
// more of what it was about; of everything else all is asked as ever.
static void
excuse(struct world *world, const struct kept *before)
{
    struct errand *errand = check_errand_of(world, before->number);
    if (errand == NULL || errand->is_excused)
        return;
    mark(world, MARK_LIE_NOTICED);
    errand->is_excused = true;
}

// acked_is_there (T1): "a request acked with an id is found after any crashes, until closed".
// So is its answer, and whatever else was told of it.
static void
acked_is_there(struct node *node, const struct kept *before, bool was_lied_to)
{
    const struct kept *now = kept_of(node->world, &before->id);
    bool was_failed = before->state == DURABLE_DEAD || before->state == DURABLE_EXPIRED;
    bool is_there = now != NULL && now->state == before->state && now->run == before->run;
    // What came later, and was told to nobody.
    bool may_be_so = now != NULL && (before->state == DURABLE_PENDING ||
                                     (now->state == DURABLE_CLOSED && !was_lied_to) ||
                                     (was_failed && !was_lied_to));
    if (is_there || may_be_so)
        return;
    if (!was_lied_to)
        check_fail(node, "T1 acked_is_there", "call %llu, state %u, is not there after a crash",
                   (number)before->number, before->state);
    excuse(node->world, before);
}

void
check_titanic_started(struct node *node, bool was_lied_to)
{
    struct world *world = node->world;
    const struct book *self = world->book;
    for (size_t i = 0; i < self->before_count; i++)
        acked_is_there(node, &self->before[i], was_lied_to);
    for (size_t i = 0; i < self->errand_count; i++) {
        struct errand *errand = self->errands[i];
        if (!errand->is_acked || errand->is_excused)
            continue;
        mark(world, MARK_ACKED_THEN_CRASH);
        const struct kept *kept = kept_of(world, &errand->id);
        if (kept == NULL)
            check_fail(node, "T1 acked_is_there", "call %llu was acknowledged, and is not there",
                       (number)errand->number);
    }
}

// ---- what the store and the core tell each other ----------------------------------------

static bool
is_owner(const struct kept *kept, const struct durable_owner *owner)
{
    return memcmp(&kept->owner, owner, sizeof *owner) == 0;
}

// owner_only (T12): "nobody fetches, closes or cancels another owner's request". Here: the store
// has done it for somebody.
static void
owner_only(struct node *node, const struct durable_op *op)
{
    bool goes_by_id = op->kind == DURABLE_CLOSE || op->kind == DURABLE_FETCH;
    bool is_same = op->kind == DURABLE_SUBMIT && op->outcome == DURABLE_SAME;
    bool is_change =
        op->kind == DURABLE_RETRY || op->kind == DURABLE_CANCEL || op->kind == DURABLE_PURGE;
    const struct kept *kept = kept_of(node->world, &op->id);
    if (is_same || (goes_by_id && op->outcome == DURABLE_OK))
        if (kept != NULL && !is_owner(kept, &op->owner))
            check_fail(node, "T12 owner_only", "operation %u on call %llu is a stranger's",
                       op->kind, (number)kept->number);
    for (size_t i = 0; is_change && op->found != NULL && i < op->found->count; i++) {
        kept = kept_of(node->world, &op->found->rows[i].id);
        if (kept != NULL && !is_owner(kept, &op->owner))
            check_fail(node, "T12 owner_only", "call %llu is changed by a stranger",
                       (number)kept->number);
    }
}

void
check_titanic_told(struct node *node, const struct durable_op *op, bool is_short)
{
    owner_only(node, op);
    if (op->outcome == DURABLE_REFUSED && op->kind == DURABLE_SUBMIT)
        mark(node->world, is_short ? MARK_SUBMIT_REFUSED_SHORT : MARK_SUBMIT_REFUSED_FULL);
    if (op->outcome == DURABLE_REFUSED && op->kind == DURABLE_ANSWER)
        mark(node->world, MARK_ANSWER_REFUSED_FULL);
    if (op->outcome == DURABLE_OK && op->kind == DURABLE_LOAD && op->found->count > 0)
        mark(node->world, MARK_LOADED);
    if (op->outcome == DURABLE_OK && op->kind == DURABLE_FAILED)
        mark(node->world, MARK_RETRY_LATER);
    if (op->outcome == DURABLE_OK && op->kind == DURABLE_KILL)
        mark(node->world, op->state == DURABLE_DEAD ? MARK_DEAD_LETTER : MARK_EXPIRED_DURABLE);
    if (op->outcome == DURABLE_NONE && op->kind == DURABLE_ANSWER)
        mark(node->world, MARK_ANSWERED_AFTER_END);
    if (op->outcome == DURABLE_SAME)
        mark(node->world, op->state == DURABLE_CLOSED ? MARK_KEY_OF_CLOSED : MARK_KEY_AGAIN);
    if (op->outcome == DURABLE_CONFLICT)
        mark(node->world, MARK_KEY_CONFLICT);
    write_down(node, op);
}

bool
check_is_worked_on(const struct world *world, const struct request_id *id)
{
    const struct kept *kept = kept_of(world, id);
    return kept != NULL && check_is_running(world, kept->number);
}

// one_ending (T9): "each accepted request ends exactly once". Dead is what has failed as often
// as it may, and no attempt is forgotten or counted that was none.
static void
one_ending(struct node *node, const struct durable_op *op)
{
    const struct kept *kept = kept_of(node->world, &op->id);
    if (kept == NULL)
        check_fail(node, "T9 one_ending", "what was never accepted ends as %u", op->kind);
    if (kept->state != DURABLE_PENDING)
        return; // it comes too late, and the store will say so
    bool is_expired = op->kind == DURABLE_KILL && op->state == DURABLE_EXPIRED;
    uint64_t longest_ms = node->world->plan.titanic.config.retry_max_ms;
    uint32_t least = kept->attempts + (is_expired ? 0 : 1);
    if (op->attempts < least || op->attempts > kept->attempts + 1)
        check_fail(node, "T9 one_ending",
                   "call %llu has had %u attempts, and is said to have had %u",
                   (number)kept->number, kept->attempts, op->attempts);
    if (op->kind == DURABLE_KILL && op->state == DURABLE_DEAD && op->attempts < kept->attempts_max)
        check_fail(node, "T9 one_ending", "call %llu is dead after %u attempts of %u",
                   (number)kept->number, op->attempts, kept->attempts_max);
    if (op->kind == DURABLE_FAILED && op->attempts >= kept->attempts_max)
        check_fail(node, "T9 one_ending", "call %llu goes on after %u attempts of %u",
                   (number)kept->number, op->attempts, kept->attempts_max);
    if (is_expired && (kept->deadline_ms == 0 || op->now_ms + longest_ms < kept->deadline_ms))
        check_fail(node, "T9 one_ending", "call %llu expires before its deadline",
                   (number)kept->number);
}

// ran_and_one_kept (T5): "work ran at least once for each DONE; exactly one answer is kept".
static void
ran_and_one_kept(struct node *node, const struct durable_op *op)
{
    const struct kept *kept = kept_of(node->world, &op->id);
    struct mdp_body body = parts_of(op->body);
    uint64_t call = 0, run = 0;
    workload_name_of(&body, &call, &run);
    if (call != kept->number || check_run_call(node->world, run) != call)
        check_fail(node, "T5 ran_and_one_kept", "call %llu is done by run %llu of call %llu",
                   (number)kept->number, (number)run, (number)call);
}

void
check_titanic_stows(struct node *node, const struct durable_op *op)
{
    bool is_end =
        op->kind == DURABLE_ANSWER || op->kind == DURABLE_FAILED || op->kind == DURABLE_KILL;
    if (is_end)
        one_ending(node, op);
    if (op->kind == DURABLE_ANSWER)
        ran_and_one_kept(node, op);
}

// ---- what Titanic says ------------------------------------------------------------------

// is_refusal: Titanic has no room or no time; it says nothing of the request.
static bool
is_refusal(struct view text)
{
    static const char *const texts[] = {"the disk is full",
                                        "too many bytes on their way",
                                        "too many services",
                                        "too many questions at a time",
                                        "the store did not say",
                                        "not stored",
                                        "not closed",
                                        "stopping"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (view_equals(text, view_of(texts[i], strlen(texts[i]))))
            return true;
    return false;
}

// stowed_first (T6): "no reply leaves before its watermark".
static void
stowed_first(struct node *node, const struct titanic_effect *effect,
             const struct tsp_request *request, const struct durable_body *body)
{
    const struct kept *kept =
        kept_of(node->world, effect->says == TITANIC_SAYS_ID ? &effect->id : &request->id);
    if (effect->asked == TSP_CLOSE) {
        if (kept != NULL && kept->state != DURABLE_CLOSED)
            check_fail(node, "T6 stowed_first", "call %llu is said to be closed, and is not",
                       (number)kept->number);
        return;
    }
    if (effect->asked != TSP_SUBMIT && effect->asked != TSP_REQUEST)
        return;
    uint64_t call = 0, run = 0;
    struct mdp_body parts = parts_of(body);
    workload_name_of(&parts, &call, &run);
    if (kept == NULL)
        check_fail(node, "T6 stowed_first", "call %llu is acknowledged, and not stowed",
                   (number)call);
    // T10, at Titanic: the id is of what was asked.
    if (kept->number != call)
        check_fail(node, "T10 same_key_same_request", "call %llu gets the id of call %llu",
                   (number)call, (number)kept->number);
}

// told_as_it_is: what is said of a request is what the store says of it: T3, T4, T6, T9.
static void
told_as_it_is(struct node *node, const struct titanic_effect *effect,
              const struct tsp_request *request)
{
    const struct kept *kept = kept_of(node->world, &request->id);
    number call = kept == NULL ? 0 : kept->number;
    bool is_there = kept != NULL && kept->state != DURABLE_CLOSED;
    if (effect->status == TSP_UNKNOWN && is_there)
        check_fail(node, "T3 never_unknown", "call %llu is said to be unknown", call);
    if (effect->status == TSP_UNKNOWN || (effect->status == TSP_ERROR && is_refusal(effect->text)))
        return;
    if (!is_there)
        check_fail(node, "T4 close_is_final", "%u is said of call %llu, which is not there",
                   effect->status, call);
    if (effect->status == TSP_PENDING && kept->state != DURABLE_PENDING)
        check_fail(node, "T9 one_ending", "call %llu is said to be pending, and has ended as %u",
                   call, kept->state);
    if (effect->status == TSP_ERROR && kept->state != DURABLE_DEAD &&
        kept->state != DURABLE_EXPIRED)
        check_fail(node, "T9 one_ending", "call %llu is said to have failed, and is %u", call,
                   kept->state);
    if (effect->status != TSP_OK)
        return;
    struct mdp_body body = parts_of(effect->body);
    uint64_t answered = 0, run = 0;
    workload_name_of(&body, &answered, &run);
    if (kept->state != DURABLE_DONE)
        check_fail(node, "T6 stowed_first", "call %llu is answered, and its answer is not stowed",
                   call);
    if (answered != kept->number || run != kept->run)
        check_fail(node, "T5 ran_and_one_kept", "call %llu has the answer of run %llu, not %llu",
                   call, (number)run, (number)kept->run);
}

// nothing_for_strangers (T12): what is said of another owner's request is that there is none.
static void
nothing_for_strangers(struct node *node, const struct titanic_effect *effect,
                      const struct kept *kept)
{
    bool is_nothing = effect->status == TSP_UNKNOWN ||
                      (effect->status == TSP_ERROR && is_refusal(effect->text)) ||
                      effect->asked == TSP_CLOSE; // which says only whether it is closed
    mark(node->world, MARK_STRANGER);
    if (!is_nothing)
        check_fail(node, "T12 owner_only", "%u is said of call %llu to a stranger", effect->status,
                   (number)kept->number);
}

void
check_titanic_says(struct node *node, const struct titanic_effect *effect,
                   const struct asked_of_titanic *asked)
{
    const struct tsp_request *request = asked->request;
    const struct kept *kept = kept_of(node->world, &request->id);
    bool goes_by_id =
        effect->asked == TSP_WAIT || effect->asked == TSP_REPLY || effect->asked == TSP_CLOSE;
    if (goes_by_id && kept != NULL && !is_owner(kept, asked->owner))
        nothing_for_strangers(node, effect, kept);
    else if (effect->asked == TSP_WAIT || effect->asked == TSP_REPLY)
        told_as_it_is(node, effect, request);
    else if (effect->status == TSP_OK)
        stowed_first(node, effect, request, asked->body);
}

void
check_titanic_sends(struct node *node, const struct titanic_effect *effect, uint64_t now_ms)
{
    const struct kept *kept = kept_of(node->world, &effect->id);
    if (kept == NULL)
        check_fail(node, "T6 stowed_first", "what is not stowed is sent to a worker");
    if (kept->state == DURABLE_CLOSED)
        check_fail(node, "T4 close_is_final", "call %llu is sent to a worker after its close",
                   (number)kept->number);
    if (kept->state != DURABLE_PENDING)
        check_fail(node, "T9 one_ending", "call %llu, which is over, is sent to a worker",
                   (number)kept->number);
    if (now_ms < kept->due_ms || (kept->deadline_ms != 0 && now_ms > kept->deadline_ms))
        check_fail(node, "T9 one_ending", "call %llu is sent to a worker when it may not be",
                   (number)kept->number);
    if (kept->attempts > 0)
        mark(node->world, MARK_RETRY_SENT);
}

// ---- what a client hears ----------------------------------------------------------------

// right_answer (T2): "a fetched answer is f(request), digest equal"; and it is one run's, whole.
static uint64_t
right_answer(const struct client_node *client, const struct errand *errand,
             const struct view *frames, size_t count)
{
    const struct node *node = &client->node;
    uint64_t call = 0, run = 0;
    uint32_t parts = 0;
    bool is_ended = false;
    for (size_t i = 0; i < count; i++) {
        struct answer_head head;
        if (workload_is_failure(frames[i], &call, &run)) {
            is_ended = true;
        } else if (workload_head(frames[i], &head)) {
            if (is_ended || head.part != parts || (parts > 0 && head.run != run) ||
                head.digest != check_call(node->world, errand->number)->digest)
                check_fail(node, "T2 right_answer", "the answer to call %llu is not the right one",
                           (number)errand->number);
            call = head.call;
            run = head.run;
            is_ended = head.total != WORK_LAST;
            parts += is_ended ? 0 : 1;
        }
        if (call != 0 && call != errand->number)
            check_fail(node, "T2 right_answer", "call %llu has the answer to call %llu",
                       (number)errand->number, (number)call);
    }
    if (!is_ended)
        check_fail(node, "T2 right_answer", "call %llu gets no end of an answer",
                   (number)errand->number);
    return run;
}

static void
heard_answer(struct client_node *client, struct errand *errand, const struct view *frames,
             size_t count)
{
    uint64_t run = right_answer(client, errand, frames, count);
    if (errand->was_answered && errand->run != run)
        check_fail(&client->node, "T5 ran_and_one_kept", "call %llu has two answers, %llu and %llu",
                   (number)errand->number, (number)errand->run, (number)run);
    if (errand->was_closed)
        check_fail(&client->node, "T4 close_is_final", "call %llu is answered after its close",
                   (number)errand->number);
    if (errand->has_failed && !errand->may_be_changed)
        check_fail(&client->node, "T9 one_ending", "call %llu has failed, and now it is done",
                   (number)errand->number);
    mark(client->node.world, MARK_DURABLE_DONE);
    errand->was_answered = true;
    errand->run = run;
}

// state_heard: what was said of a request is what a client may be told.
static bool
state_heard(struct client_node *client, struct errand *errand, uint32_t status, struct view text)
{
    const struct node *node = &client->node;
    if (status == TSP_UNKNOWN) {
        if (!errand->may_be_closed && !errand->was_dropped)
            check_fail(node, "T3 never_unknown", "call %llu was acknowledged, and is unknown",
                       (number)errand->number);
        errand->is_closed = true; // as it turns out
        return true;
    }
    if (status == TSP_ERROR && is_refusal(text))
        return false;
    if (errand->was_closed)
        check_fail(node, "T4 close_is_final", "%u is said of call %llu after its close", status,
                   (number)errand->number);
    if (errand->was_answered)
        check_fail(node, "T9 one_ending", "call %llu was done, and %u is said of it",
                   (number)errand->number, status);
    if (status == TSP_PENDING && errand->has_failed && !errand->may_be_changed)
        check_fail(node, "T9 one_ending", "call %llu has failed, and now it is pending",
                   (number)errand->number);
    errand->has_failed = status == TSP_ERROR;
    return true;
}

// begin_anew: its key was forgotten, as it may be after the horizon, so it is another request now.
static void
begin_anew(struct client_node *client, struct errand *errand)
{
    mark(client->node.world, MARK_KEY_ANEW);
    errand->is_closed = errand->may_be_closed = errand->may_be_changed = false;
    errand->was_answered = errand->has_failed = false;
}

// same_key_same_request (T10): "one key, one id, one outcome", within the horizon.
static bool
id_heard(struct client_node *client, struct errand *errand, uint32_t status, struct view text)
{
    struct request_id id;
    if (status == TSP_UNKNOWN && errand->has_own_key) {
        mark(client->node.world, MARK_KEY_EXPIRED);
        errand->is_key_expired = true;
        return true;
    }
    if (status != TSP_OK)
        return status == TSP_CONFLICT && errand->is_other;
    if (errand->is_other && errand->was_dropped) {
        errand->is_excused = true; // another request has its key now
        return true;
    }
    if (errand->is_other)
        check_fail(&client->node, "T10 same_key_same_request",
                   "the key of call %llu is taken for another body", (number)errand->number);
    if (!request_id_read(text, &id))
        check_fail(&client->node, "T10 same_key_same_request", "call %llu gets no id",
                   (number)errand->number);
    if (errand->is_acked && errand->was_dropped && !request_id_equals(&id, &errand->id))
        begin_anew(client, errand);
    else if (errand->is_acked && !request_id_equals(&id, &errand->id))
        check_fail(&client->node, "T10 same_key_same_request", "call %llu has two ids",
                   (number)errand->number);
    errand->is_acked = true;
    errand->id = id;
    return true;
}

// stranger_heard (T12): what a client hears that asks about another owner's request.
static void
stranger_heard(const struct client_node *client, const struct errand *errand, uint32_t status,
               struct view text)
{
    bool is_nothing = status == TSP_UNKNOWN || status == TSP_BUSY ||
                      (status == TSP_ERROR && is_refusal(text)) || text.size == 0;
    if (errand->asked == TSP_CLOSE)
        is_nothing = status == TSP_OK || status == TSP_ERROR;
    else if (status == TSP_OK)
        is_nothing = view_equals(text, VIEW_LITERAL("0")); // so many were changed
    if (!is_nothing)
        check_fail(&client->node, "T12 owner_only", "it is told %u of call %llu, asked %u", status,
                   (number)errand->of->number, errand->asked);
}

bool
check_errand_heard(struct client_node *client, struct errand *errand, const struct view *frames,
                   size_t count)
{
    uint32_t status = count == 0 ? 0 : tsp_status_of(frames[0]);
    struct view text = count > 1 ? frames[1] : VIEW_NONE;
    note(client->node.world, &client->node, "is told %llu of call %llu, asked %llu", status,
         errand->number, errand->asked);
    if (errand->of != NULL) {
        stranger_heard(client, errand, status, text);
        return true;
    }
    if (errand->is_excused)
        return status != TSP_ERROR;
    switch (errand->asked) {
    case TSP_REQUEST:
    case TSP_SUBMIT:
        return id_heard(client, errand, status, text);
    case TSP_REPLY:
    case TSP_WAIT:
        if (status != TSP_OK)
            return state_heard(client, errand, status, text);
        heard_answer(client, errand, frames + 1, count - 1);
        return true;
    case TSP_CLOSE:
        errand->is_closed |= status == TSP_OK;
        return status == TSP_OK;
    default:
        return status == TSP_OK;
    }
}

// ---- (end) ------------------------------------------------------------------------------

// all_done (T8): "every accepted request is done once its service has a live worker". When all is
// mended each has one: nothing is pending then, and each client knows how its own have ended.
bool
check_durable_is_over(const struct world *world, uint64_t pending)
{
    for (size_t i = 0; i < world->book->errand_count; i++)
        if (!world->book->errands[i]->is_over)
            return false;
    return pending == 0;
}

void
check_durable_still_open(struct world *world, uint64_t pending)
{
    for (size_t i = 0; i < world->book->errand_count; i++) {
        const struct errand *errand = world->book->errands[i];
        if (!errand->is_over)
            world_fail(world, "T8 all_done", "call %llu is not over, acked %u; %llu are pending",
                       (number)errand->number, errand->is_acked, (number)pending);
    }
    world_fail(world, "T8 all_done", "%llu are pending", (number)pending);
}
