// titanic.c - the loop of Titanic: workers in front, a client behind, the store beside it.
//
// A turn takes what the store has committed, what is asked and what is answered, steps the
// core with each, and hands the store all that came out of it at once: whatever gathers while
// one commit is synced is the next batch.

#include <galleon/titanic.h>

#include "audit_key.h"
#include "clock.h"
#include "durable_digest.h"
#include "log.h"
#include "making.h"
#include "must.h"
#include "store_writer.h"
#include "titanic_back.h"
#include "titanic_body.h"
#include "titanic_core.h"
#include "titanic_front.h"
#include "wait.h"

#include <errno.h>
#include <galleon/status.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>

enum {
    BATCH = 256,    // of one kind in one turn
    PUSH_MAX = 512, // operations handed over at once
    OPS_MAX = 65536,
    WATCH_BACK = TSP_SERVICES, // what is watched, after the front's services
    WATCH_QUESTIONS,
    WATCH_STORE,
    WATCH_DRAIN,
    WATCHED,
    SERVING_MS = 100 // between questions whether we are served yet
};

static const uint64_t ns_per_ms = 1000000;

struct stowed { // an operation on its way
    struct durable_op op;
    struct stowed *next; // spare
};

struct titanic {
    titanic_options_t options;
    struct store *store; // the writer's while there is one
    struct store_writer *writer;
    void *memory;
    struct titanic_core *core;
    struct titanic_effects effects;
    struct titanic_front front;
    struct titanic_back back;
    int epoll_fd;
    int drain_fd;
    bool is_ready[WATCHED];
    bool is_draining;
    bool is_stopped;
    bool is_in_doubt;
    bool has_room;
    bool is_faulty;
    uint32_t served; // services of ours that a broker is known to have
    uint64_t serving_due_ns;
    void *copy_asker; // who waits for a copy of the store, or NULL
    char copy_path[4096];
    uint64_t now_ns;

    struct stowed *spare;
    struct durable_op *push[PUSH_MAX];
    size_t push_count;
    struct titanic_event *later; // sends that failed at once
    size_t later_count;

    pthread_mutex_t stats_lock;
    titanic_stats_t stats;
};

// ---- effects -----------------------------------------------------------------------

static struct durable_op *
take_op(titanic_t *self)
{
    struct stowed *stowed = self->spare;
    if (stowed != NULL)
        self->spare = stowed->next;
    else
        stowed = malloc(sizeof *stowed);
    if (stowed == NULL) {
        // Nothing can be refused from here: what is acknowledged is safe, and the next start
        // goes on with it.
        fprintf(stderr, "titanic: out of memory\n");
        abort();
    }
    return &stowed->op;
}

static void
give_op(titanic_t *self, struct durable_op *op)
{
    struct stowed *stowed = (struct stowed *)(void *)op;
    stowed->next = self->spare;
    self->spare = stowed;
}

static void
push(titanic_t *self)
{
    if (self->push_count > 0)
        store_writer_push(self->writer, self->push, self->push_count);
    self->push_count = 0;
}

static void
stow(titanic_t *self, const struct titanic_effect *effect)
{
    struct durable_op *op = take_op(self);
    *op = effect->op;
    if (op->kind == DURABLE_SUBMIT)
        op->digest = durable_digest(op->service, op->body);
    if (self->push_count == PUSH_MAX)
        push(self);
    self->push[self->push_count++] = op;
}

static void
add_gauge(struct tsp_gauge *gauges, size_t *count, const char *name, uint64_t value)
{
    gauges[(*count)++] = (struct tsp_gauge){.name = name, .value = value};
}

enum { GAUGES_MAX = 64 };

static size_t
gauges_of(const titanic_t *self, struct tsp_gauge gauges[GAUGES_MAX])
{
    size_t count = 0;
    struct titanic_core_stats stats;
    struct store_writer_state state;
    titanic_core_stats(self->core, &stats);
    store_writer_state(self->writer, &state);
    gauges[count++] = (struct tsp_gauge){.name = "durability",
                                         .text = self->options.relaxed ? "relaxed" : "full"};
    gauges[count++] = (struct tsp_gauge){.name = "store",
                                         .text = state.result != STORE_COMMITTED ? "fault"
                                                 : state.has_room                ? "ok"
                                                                                 : "full"};
#define X(name) add_gauge(gauges, &count, #name, stats.name);
    TITANIC_COUNTER_MAP(X)
    X(asks)
    X(waits)
    X(ready)
    X(stowing)
#undef X
    add_gauge(gauges, &count, "commits", state.info.commits);
    add_gauge(gauges, &count, "commit_us_last", state.commit_ns_last / 1000);
    add_gauge(gauges, &count, "commit_us_max", state.commit_ns_max / 1000);
    add_gauge(gauges, &count, "checkpoints", state.info.checkpoints);
    add_gauge(gauges, &count, "file_bytes", state.info.file_bytes);
    add_gauge(gauges, &count, "log_bytes", state.info.log_bytes);
    add_gauge(gauges, &count, "audit_records", state.info.audit_count);
    must(count <= GAUGES_MAX);
    return count;
}

static void
reply(titanic_t *self, const struct titanic_effect *effect)
{
    struct tsp_gauge gauges[GAUGES_MAX];
    size_t count = effect->says == TITANIC_SAYS_TABLE && effect->asked == TSP_STATS
                       ? gauges_of(self, gauges)
                       : 0;
    titanic_front_reply(&self->front, effect, gauges, count, self->core);
    if (effect->says == TITANIC_SAYS_BODY)
        free(effect->body);
}

static void
question(titanic_t *self, struct view service)
{
    if (!titanic_back_question(&self->back, service))
        self->later[self->later_count++] =
            (struct titanic_event){.kind = TITANIC_KNOWN, .service = service};
}

static void
carry_out(titanic_t *self, const struct titanic_effect *effect)
{
    switch (effect->kind) {
    case TITANIC_STOW:
        stow(self, effect);
        break;
    case TITANIC_REPLY:
        reply(self, effect);
        break;
    case TITANIC_SEND:
        if (!titanic_back_send(&self->back, effect, self->now_ns, &self->later[self->later_count]))
            self->later_count++;
        break;
    case TITANIC_CANCEL:
        titanic_back_cancel(&self->back, effect->token);
        break;
    case TITANIC_QUESTION:
        question(self, effect->service);
        break;
    case TITANIC_DUMP:
        free(effect->body);
        break;
    case TITANIC_FREE:
        store_rows_free(effect->found);
        break;
    case TITANIC_STOPPED:
        self->is_stopped = true;
        break;
    }
}

static void
step_once(titanic_t *self, struct titanic_event *event)
{
    event->now_ns = self->now_ns;
    titanic_core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.list[i]);
}

// step tells the core of the event, and then of what came of its own effects at once: each
// is of a request that is out, or of a service, so there is room for all.
static void
step(titanic_t *self, struct titanic_event *event)
{
    step_once(self, event);
    while (self->later_count > 0) {
        struct titanic_event later = self->later[--self->later_count];
        step_once(self, &later);
    }
}

// ---- copies of the store ---------------------------------------------------------------

static void
reply_copy(titanic_t *self, void *asker, enum tsp_status status, const char *text)
{
    struct titanic_effect effect = {.kind = TITANIC_REPLY,
                                    .asker = asker,
                                    .asked = TSP_BACKUP,
                                    .status = status,
                                    .says = TITANIC_SAYS_TEXT,
                                    .text = view_of(text, strlen(text))};
    titanic_front_reply(&self->front, &effect, NULL, 0, self->core);
}

// name_copy: the folder is ours, and the name has nothing in it that a path has a meaning for.
static bool
name_copy(titanic_t *self, struct view name)
{
    char chosen[32];
    size_t room = sizeof self->copy_path - 8; // for what it is called until it is whole
    if (name.size == 0) {
        snprintf(chosen, sizeof chosen, "titanic-%" PRIu64, clock_wall_ms());
        name = view_of(chosen, strlen(chosen));
    }
    int size = snprintf(self->copy_path, room, "%s/%.*s.db", self->options.backup_dir,
                        (int)name.size, (const char *)name.data);
    return size > 0 && (size_t)size < room;
}

// ask_copy begins a copy of the store. Nobody who asks says where to: that is --backup-dir.
static void
ask_copy(titanic_t *self, const struct titanic_event *event)
{
    if (self->copy_asker != NULL) {
        reply_copy(self, event->asker, TSP_BUSY, "a backup is being made");
    } else if (self->is_draining) {
        reply_copy(self, event->asker, TSP_ERROR, "stopping");
    } else if (self->is_faulty) {
        reply_copy(self, event->asker, TSP_ERROR, "the store is at fault");
    } else if (!name_copy(self, event->request->name)) {
        reply_copy(self, event->asker, TSP_ERROR, "too long a path");
    } else if (access(self->copy_path, F_OK) == 0) {
        reply_copy(self, event->asker, TSP_CONFLICT, "there is a backup of this name");
    } else {
        self->copy_asker = event->asker;
        store_writer_backup(self->writer, self->copy_path);
        log_info("TITANIC-BACKUP", "path=\"%s\"", self->copy_path);
    }
}

static void
end_copy(titanic_t *self, enum tsp_status status, const char *text)
{
    if (self->copy_asker == NULL)
        return;
    reply_copy(self, self->copy_asker, status, text);
    self->copy_asker = NULL;
}

static void
look_at_copy(titanic_t *self, const struct store_writer_state *state)
{
    if (state->copy == COPY_DONE)
        end_copy(self, TSP_OK, self->copy_path);
    else if (state->copy == COPY_FAILED || state->result != STORE_COMMITTED)
        end_copy(self, TSP_ERROR,
                 state->copy == COPY_FAILED ? state->copy_error : "the store is at fault");
}

// ---- a turn --------------------------------------------------------------------------

static void
take_stowed(titanic_t *self)
{
    struct durable_op *ops[BATCH];
    size_t count;
    do {
        count = store_writer_take(self->writer, ops, BATCH);
        for (size_t i = 0; i < count; i++) {
            struct titanic_event event = {.kind = TITANIC_STOWED, .op = ops[i]};
            step(self, &event);
            give_op(self, ops[i]);
        }
    } while (count == BATCH);
}

static void
look_at_store(titanic_t *self)
{
    struct store_writer_state state;
    store_writer_hush(self->writer);
    store_writer_state(self->writer, &state);
    self->is_in_doubt = state.result == STORE_DOUBT;
    if (self->is_in_doubt)
        log_error("TITANIC-STORE-DOUBT", "error=\"%s\"", state.error);
    if (state.result == STORE_FAULT && !self->is_faulty) {
        self->is_faulty = true;
        log_error("TITANIC-STORE-FAULT", "error=\"%s\"", state.error);
    }
    look_at_copy(self, &state);
    if (state.has_room == self->has_room)
        return;
    self->has_room = state.has_room;
    if (state.has_room)
        log_warn("TITANIC-ACCEPTING", "why=\"there is room on the disk again\"");
    else
        log_warn("TITANIC-NOT-ACCEPTING", "why=\"the disk is full, or soon will be\"");
    struct titanic_event event = {.kind = TITANIC_ACCEPTING, .is_true = state.has_room};
    step(self, &event);
}

static void
take_asked(titanic_t *self)
{
    for (enum tsp_service service = 0; service < TSP_SERVICES; service++) {
        bool is_due = mdp_worker_deadline(self->front.workers[service]) <= self->now_ns;
        if (!self->is_ready[service] && !is_due && !self->front.is_dirty[service])
            continue;
        struct titanic_event event;
        for (int i = 0; i < BATCH; i++) {
            if (!titanic_front_take(&self->front, service, self->now_ns, &event)) {
                self->is_ready[service] = false;
                break;
            }
            bool is_copy = service == TSP_BACKUP && event.status == TSP_OK;
            if (is_copy && self->options.backup_dir != NULL)
                ask_copy(self, &event);
            else
                step(self, &event);
        }
    }
}

// note_serving: a service of ours is registered; the next is asked about, until all are.
static void
note_serving(titanic_t *self, const struct titanic_event *event)
{
    bool is_asked = self->served < TSP_SERVICES &&
                    tsp_service_of(event->service) == (enum tsp_service)self->served;
    if (!is_asked || !event->is_true)
        return;
    self->serving_due_ns = 0;
    if (++self->served < TSP_SERVICES)
        return;
    log_info("TITANIC-SERVING", "what=\"a broker has all of our services\"");
    if (self->options.on_serving != NULL)
        self->options.on_serving(self->options.ctx);
}

static void
take_answered(titanic_t *self)
{
    struct titanic_event event;
    for (int i = 0; i < 2 * BATCH && titanic_back_take(&self->back, self->now_ns, &event); i++) {
        if (event.kind == TITANIC_KNOWN && tsp_service_of(event.service) != TSP_SERVICES)
            note_serving(self, &event);
        else
            step(self, &event);
    }
}

static void
ask_whether_served(titanic_t *self)
{
    if (self->served == TSP_SERVICES || self->now_ns < self->serving_due_ns)
        return;
    self->serving_due_ns = self->now_ns + SERVING_MS * ns_per_ms;
    const char *name = tsp_service_name((enum tsp_service)self->served);
    (void)titanic_back_question(&self->back, view_of(name, strlen(name)));
}

static void
publish(titanic_t *self)
{
    struct titanic_core_stats stats;
    struct store_writer_state state;
    titanic_core_stats(self->core, &stats);
    store_writer_state(self->writer, &state);
    pthread_mutex_lock(&self->stats_lock);
    self->stats = (titanic_stats_t){.submits = stats.submits,
                                    .answers = stats.answers,
                                    .attempts = stats.attempts,
                                    .closes = stats.closes,
                                    .dead = stats.given_up,
                                    .expired = stats.overdue,
                                    .pending = state.info.pending,
                                    .done = state.info.done,
                                    .out = stats.out,
                                    .waits = stats.waits,
                                    .commits = state.info.commits};
    pthread_mutex_unlock(&self->stats_lock);
}

static void
turn(titanic_t *self)
{
    self->now_ns = galleon_now_ns();
    if (self->is_ready[WATCH_STORE])
        look_at_store(self);
    if (self->is_in_doubt)
        return;
    take_stowed(self);
    take_asked(self);
    take_answered(self);
    ask_whether_served(self);
    if (titanic_core_deadline(self->core) <= self->now_ns) {
        struct titanic_event tick = {.kind = TITANIC_TICK};
        step(self, &tick);
    }
    push(self);
    publish(self);
    log_catch_up(self->now_ns);
}

static void
drain(titanic_t *self)
{
    struct titanic_event event = {.kind = TITANIC_DRAIN};
    log_info("TITANIC-DRAINING", "what=\"finishing what is out, accepting nothing new\"");
    self->is_draining = true;
    end_copy(self, TSP_ERROR, "stopping");
    titanic_front_rest(&self->front);
    step(self, &event);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
deadline(const titanic_t *self)
{
    uint64_t at_ns =
        earlier(titanic_core_deadline(self->core),
                earlier(titanic_front_deadline(&self->front), titanic_back_deadline(&self->back)));
    return self->served == TSP_SERVICES ? at_ns : earlier(at_ns, self->serving_due_ns);
}

// look finds which descriptors are ready.
static void
look(titanic_t *self)
{
    struct epoll_event events[WATCHED];
    memset(self->is_ready, 0, sizeof self->is_ready);
    int count = epoll_wait(self->epoll_fd, events, WATCHED, 0);
    for (int i = 0; i < count; i++)
        self->is_ready[events[i].data.u32] = true;
    uint64_t times;
    if (self->is_ready[WATCH_DRAIN] && read(self->drain_fd, &times, sizeof times) > 0)
        drain(self);
}

// ---- making one ------------------------------------------------------------------------

static titanic_options_t
defaults_of(const titanic_options_t *options)
{
    static const titanic_options_t none = {0};
    titanic_options_t chosen = options == NULL ? none : *options;
    chosen.attempts = or_default(chosen.attempts, 10);
    chosen.retry_ms_min = or_default(chosen.retry_ms_min, 1000);
    chosen.retry_ms_max = or_default(chosen.retry_ms_max, 300000);
    if (chosen.retry_ms_max < chosen.retry_ms_min)
        chosen.retry_ms_max = chosen.retry_ms_min;
    chosen.timeout_ms = or_default(chosen.timeout_ms, 600000);
    chosen.inflight = or_default(chosen.inflight, 1000);
    chosen.retain_ms = or_default_64(chosen.retain_ms, UINT64_C(7) * 24 * 3600 * 1000);
    chosen.anchor_ms = or_default(chosen.anchor_ms, 100);
    chosen.drain_ms = or_default(chosen.drain_ms, 10000);
    chosen.message_bytes_max = or_default_64(chosen.message_bytes_max, 1 << 20);
    return chosen;
}

// read_audit_key reads it where there is one; false: that is not possible.
static bool
read_audit_key(const titanic_options_t *options, uint8_t key[STORE_KEY_BYTES], char **why_out)
{
    char why[256];
    if (options->audit_key == NULL || audit_key_read(options->audit_key, key, why, sizeof why))
        return true;
    *why_out = zsys_sprintf("the audit key: %s", why);
    errno = EINVAL;
    return false;
}

static struct store *
open_store(const titanic_options_t *options, const char *path, char **why_out)
{
    struct store_error error = {0};
    uint8_t key[STORE_KEY_BYTES];
    if (!read_audit_key(options, key, why_out))
        return NULL;
    struct store_options chosen = {.path = path,
                                   .is_relaxed = options->relaxed,
                                   .waits_for_lock = options->standby,
                                   .has_audit = !options->no_audit,
                                   .audit_key = options->audit_key == NULL ? NULL : key,
                                   .anchors_every_commit = options->anchor_every_commit,
                                   .retain_ms = options->retain_ms,
                                   .free_bytes_min = options->free_bytes_min,
                                   .wall_ms = clock_wall_ms()};
    struct store *store = store_open_sqlite(&chosen, &error);
    explicit_bzero(key, sizeof key);
    if (store != NULL)
        return store;
    // What SQLite says of a file does not name it.
    bool is_named = strstr(error.text, path) != NULL;
    const char *advice = error.result == STORE_FAULT && !error.is_locked
                             ? "\ntitanic: nothing was changed. galleon store check says more; "
                               "docs/operating/store.md says how to restore a backup"
                             : "";
    if (error.is_locked && error.pid != 0)
        *why_out = zsys_sprintf("process %d has it: %s", error.pid, error.text);
    else
        *why_out = zsys_sprintf("%s%s%s%s", is_named ? "" : path, is_named ? "" : ": ", error.text,
                                advice);
    errno = error.is_locked ? EBUSY : error.is_storage ? EIO : ENOTRECOVERABLE;
    return NULL;
}

// asks_max: as many as the workers in front may hold, for each of some brokers.
static uint32_t
asks_max(void)
{
    uint32_t sum = 0;
    for (enum tsp_service service = 0; service < TSP_SERVICES; service++)
        sum += titanic_front_credit(service);
    return sum;
}

enum { SERVICES_MAX = 16384 };

static int
make_core(titanic_t *self, uint64_t clock_ms)
{
    const titanic_options_t *options = &self->options;
    struct titanic_config config = {.asks_max = asks_max(),
                                    .waits_max = titanic_front_credit(TSP_WAIT) - 1,
                                    .services_max = SERVICES_MAX,
                                    .inflight = options->inflight,
                                    .bytes_max = UINT64_C(256) << 20,
                                    .attempts = options->attempts,
                                    .retry_min_ms = options->retry_ms_min,
                                    .retry_max_ms = options->retry_ms_max,
                                    .timeout_ms = options->timeout_ms,
                                    .retain_ms = options->retain_ms,
                                    .drain_ms = options->drain_ms,
                                    .clock_ms = clock_ms};
    if (getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return errno;
    void *memory = core_memory(titanic_core_bytes(&config), &self->memory);
    self->later = malloc((2 * (size_t)options->inflight + SERVICES_MAX) * sizeof *self->later);
    if (memory == NULL || self->later == NULL)
        return ENOMEM;
    self->core = titanic_core_init(memory, &config, self->now_ns);
    return 0;
}

static int
start_writer(titanic_t *self, uint64_t clock_ms)
{
    struct store_writer_options options = {
        .store = self->store,
        .ops_max = OPS_MAX,
        .clock_ms = clock_ms,
        .now_ns = self->now_ns,
        .anchor_ms = self->options.anchor_every_commit ? 0 : self->options.anchor_ms};
    self->writer = store_writer_start(&options);
    return self->writer == NULL ? errno : 0;
}

static bool
watch(titanic_t *self, int fd, uint32_t number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

// make_rest makes all but the store; 0 or an errno.
static int
make_rest(titanic_t *self, const char *brokers)
{
    struct store_info info;
    store_info(self->store, &info);
    self->now_ns = galleon_now_ns();
    int error = make_core(self, info.clock_ms);
    if (error == 0)
        error = start_writer(self, info.clock_ms);
    if (error == 0)
        error = titanic_front_init(&self->front, brokers, self->options.heartbeat_ms,
                                   self->options.message_bytes_max);
    if (error == 0)
        error = titanic_back_init(&self->back, brokers, titanic_core_slots(self->core),
                                  self->options.inflight, self->options.timeout_ms,
                                  self->options.message_bytes_max);
    if (error != 0)
        return error;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool is_watched = self->epoll_fd >= 0 && self->drain_fd >= 0 &&
                      watch(self, self->drain_fd, WATCH_DRAIN) &&
                      watch(self, store_writer_fd(self->writer), WATCH_STORE) &&
                      titanic_front_watch(&self->front, self->epoll_fd) &&
                      titanic_back_watch(&self->back, self->epoll_fd, WATCH_BACK, WATCH_QUESTIONS);
    return is_watched ? 0 : errno;
}

titanic_t *
titanic_new(const char *brokers, const char *store, const titanic_options_t *options,
            char **why_out)
{
    static const char scheme[] = "sqlite:";
    *why_out = NULL;
    if (strncmp(store, scheme, strlen(scheme)) != 0 || store[strlen(scheme)] == '\0') {
        *why_out = zsys_sprintf("'%s' is no store; one looks like sqlite:PATH", store);
        errno = EINVAL;
        return NULL;
    }
    titanic_t *self = calloc(1, sizeof *self);
    if (self == NULL || zsys_init() == NULL) {
        free(self);
        errno = ENOMEM;
        return NULL;
    }
    self->options = defaults_of(options);
    self->epoll_fd = self->drain_fd = -1;
    self->has_room = true;
    pthread_mutex_init(&self->stats_lock, NULL);
    const char *path = store + strlen(scheme);
    self->store = open_store(&self->options, path, why_out);
    int error = self->store == NULL ? errno : make_rest(self, brokers);
    if (error != 0) {
        if (*why_out == NULL)
            *why_out = zsys_sprintf("%s", zmq_strerror(error));
        titanic_destroy(&self);
        errno = error;
        return NULL;
    }
    if (self->options.backup_dir != NULL)
        store_backup_tidy(self->options.backup_dir);
    if (self->options.relaxed)
        log_warn("TITANIC-RELAXED", "what=\"an acknowledged request can be lost with the power\"");
    return self;
}

// end_core lets go of what the core has, as if all had come to its end; a store that stops
// meanwhile brings nothing back any more.
static void
end_core(titanic_t *self)
{
    struct titanic_event event = {.kind = TITANIC_DRAIN};
    self->now_ns = galleon_now_ns();
    step(self, &event);
    while (!self->is_stopped && !self->is_in_doubt) {
        push(self);
        look_at_store(self);
        struct durable_op *op;
        while (store_writer_take(self->writer, &op, 1) == 1) {
            event = (struct titanic_event){.kind = TITANIC_STOWED, .op = op};
            step(self, &event);
            give_op(self, op);
        }
        event = (struct titanic_event){.kind = TITANIC_TICK};
        self->now_ns += self->options.drain_ms * ns_per_ms;
        step(self, &event);
        usleep(1000);
    }
}

void
titanic_destroy(titanic_t **self_p)
{
    titanic_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    bool is_whole = self->epoll_fd >= 0 && self->drain_fd >= 0;
    if (is_whole && !self->is_stopped && !self->is_in_doubt)
        end_core(self);
    end_copy(self, TSP_ERROR, "stopping");
    store_writer_stop(&self->writer);
    if (self->store != NULL)
        store_close(self->store);
    titanic_front_release(&self->front);
    titanic_back_release(&self->back);
    while (self->spare != NULL) {
        struct stowed *stowed = self->spare;
        self->spare = stowed->next;
        free(stowed);
    }
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    if (self->drain_fd >= 0)
        close(self->drain_fd);
    pthread_mutex_destroy(&self->stats_lock);
    free(self->later);
    free(self->memory);
    free(self);
}

// ---- running ----------------------------------------------------------------------------

int
titanic_run(titanic_t *self)
{
    while (!self->is_stopped) {
        turn(self);
        if (self->is_in_doubt)
            return GALLEON_STORE;
        if (self->is_stopped)
            break;
        if (wait_until(self->epoll_fd, deadline(self)) == WAIT_INTERRUPTED)
            return GALLEON_INTERRUPTED;
        self->now_ns = galleon_now_ns();
        look(self);
    }
    return GALLEON_OK;
}

void
titanic_drain(titanic_t *self)
{
    uint64_t once = 1;
    (void)!write(self->drain_fd, &once, sizeof once);
}

void
titanic_stats(const titanic_t *self, titanic_stats_t *stats_out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&self->stats_lock;
    pthread_mutex_lock(lock);
    *stats_out = self->stats;
    pthread_mutex_unlock(lock);
}
