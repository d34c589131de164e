// store_writer.c - a ring of operations, a lock, and a thread that commits.
//
// One ring: [told .. committed) is to be taken, [committed .. pushed) is to be done.

#include "store_writer.h"

#include "must.h"

#include <galleon/status.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BATCH_BYTES_MAX = 4 << 20,
    MOMENT_MS = 50,
    COPY_MS = 20,  // between slices of a copy, while there is other work
    FULL_MS = 1000 // how long it is full at least
};

static const uint64_t ns_per_ms = 1000000;

struct store_writer {
    struct store_writer_options options;
    pthread_t thread;
    int fd;

    pthread_mutex_t lock;
    int wake_fd;
    bool is_asleep;
    struct durable_op **ring;
    size_t ring_size; // a power of two
    uint64_t pushed, committed, taken;
    bool is_stopping;
    struct store_writer_state state;

    // The thread's own.
    uint64_t anchor_due_ns;
    uint64_t copy_due_ns;
    char copy_path[4096];
    uint64_t room_due_ns; // until then it is full
    bool is_anchored;     // nothing was committed since
    bool has_more;        // of what can wait
    bool is_full;         // the last batch did not fit
    uint64_t commit_ns;   // of the last batch; 0: it was noted
};

// ---- a batch -----------------------------------------------------------------------

static uint64_t
op_bytes(const struct durable_op *op)
{
    return 256 + (op->body == NULL ? 0 : op->body->bytes);
}

// pick finds what the next batch is: what has been pushed, up to its limits.
static size_t
pick(struct store_writer *self, struct durable_op **batch)
{
    size_t count = 0;
    uint64_t bytes = 0;
    while (self->committed + count < self->pushed && count < STORE_BATCH_OPS_MAX &&
           bytes < BATCH_BYTES_MAX) {
        batch[count] = self->ring[(self->committed + count) & (self->ring_size - 1)];
        bytes += op_bytes(batch[count++]);
    }
    return count;
}

static bool
needs_no_room(const struct durable_op *op)
{
    return op->kind != DURABLE_SUBMIT && op->kind != DURABLE_ANSWER;
}

static bool
only_reads(const struct durable_op *op)
{
    return op->kind == DURABLE_FETCH || op->kind == DURABLE_LOAD || op->kind == DURABLE_OVERDUE ||
           op->kind == DURABLE_LIST || op->kind == DURABLE_STATS;
}

// apply_some refuses what is not of this kind, so that the others can be done.
static enum store_result
apply_some(struct store_writer *self, struct durable_op **batch, size_t count,
           bool (*may_be_done)(const struct durable_op *))
{
    struct durable_op *others[STORE_BATCH_OPS_MAX];
    size_t other_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (may_be_done(batch[i]))
            others[other_count++] = batch[i];
        else
            batch[i]->outcome = DURABLE_REFUSED;
    }
    if (other_count == 0)
        return STORE_COMMITTED;
    return store_apply(self->options.store, others, other_count);
}

static void
refuse(struct durable_op **batch, size_t count)
{
    for (size_t i = 0; i < count; i++)
        batch[i]->outcome = DURABLE_REFUSED;
}

// commit applies a batch, and notes how long that took.
static enum store_result
commit(struct store_writer *self, struct durable_op **batch, size_t count)
{
    uint64_t from_ns = galleon_now_ns();
    enum store_result result = store_apply(self->options.store, batch, count);
    self->commit_ns = galleon_now_ns() - from_ns;
    return result;
}

static enum store_result
apply(struct store_writer *self, struct durable_op **batch, size_t count)
{
    // A fault is a state of a running process: it refuses, and says why to whoever looks.
    // What is stored is still served where the store can be read.
    if (self->state.result == STORE_FAULT) {
        enum store_result reading = apply_some(self, batch, count, only_reads);
        if (reading != STORE_COMMITTED)
            refuse(batch, count);
        return reading == STORE_DOUBT ? STORE_DOUBT : STORE_COMMITTED;
    }
    enum store_result result = commit(self, batch, count);
    self->is_full = result == STORE_FULL;
    if (result == STORE_FULL)
        // A full disk: what brings something in is refused, what makes room can be done.
        result = apply_some(self, batch, count, needs_no_room);
    self->is_anchored = false;
    if (result == STORE_FAULT)
        refuse(batch, count);
    // Full or out of memory: the operations say themselves that they were refused.
    return result == STORE_FULL || result == STORE_RETRY ? STORE_COMMITTED : result;
}

// ---- what else there is to do ----------------------------------------------------------

static uint64_t
clock_ms(const struct store_writer *self, uint64_t now_ns)
{
    return self->options.clock_ms + (now_ns - self->options.now_ns) / ns_per_ms;
}

static enum store_result
look_after(struct store_writer *self, uint64_t now_ns)
{
    enum store_result result = STORE_COMMITTED;
    if (self->options.anchor_ms != 0 && !self->is_anchored && now_ns >= self->anchor_due_ns) {
        self->anchor_due_ns = now_ns + self->options.anchor_ms * ns_per_ms;
        self->is_anchored = true;
        result = store_anchor(self->options.store);
    }
    if (result == STORE_COMMITTED)
        result = store_idle(self->options.store, clock_ms(self, now_ns), &self->has_more);
    return result == STORE_FULL || result == STORE_RETRY ? STORE_COMMITTED : result;
}

static void
tell(struct store_writer *self)
{
    uint64_t once = 1;
    (void)!write(self->fd, &once, sizeof once);
}

static enum store_writer_copy
copy_state(struct store_writer *self)
{
    pthread_mutex_lock(&self->lock);
    enum store_writer_copy copy = self->state.copy;
    pthread_mutex_unlock(&self->lock);
    return copy;
}

// copy_slice goes on with a copy of the store where one is being made: at once where there is
// nothing else to do, and now and then where there is.
static enum store_result
copy_slice(struct store_writer *self, bool is_idle, uint64_t now_ns)
{
    bool is_done = false;
    if (copy_state(self) != COPY_GOES_ON)
        return STORE_COMMITTED;
    self->has_more = true;
    if (!is_idle && now_ns < self->copy_due_ns)
        return STORE_COMMITTED;
    self->copy_due_ns = now_ns + COPY_MS * ns_per_ms;
    enum store_result result = store_backup(self->options.store, self->copy_path, &is_done);
    if (result == STORE_COMMITTED && !is_done)
        return STORE_COMMITTED;
    pthread_mutex_lock(&self->lock);
    self->state.copy = result == STORE_COMMITTED ? COPY_DONE : COPY_FAILED;
    if (result != STORE_COMMITTED)
        strncpy(self->state.copy_error, store_error(self->options.store),
                sizeof self->state.copy_error - 1);
    pthread_mutex_unlock(&self->lock);
    tell(self);
    // A copy that was given up leaves the store as well as it was.
    return result == STORE_FULL || result == STORE_RETRY ? STORE_COMMITTED : result;
}

// note publishes how the store is; the lock is held.
static void
note(struct store_writer *self, enum store_result result, uint64_t now_ns)
{
    struct store_writer_state *state = &self->state;
    bool had_room = state->has_room;
    if (self->commit_ns > 0)
        state->commit_ns_last = self->commit_ns;
    if (self->commit_ns > state->commit_ns_max)
        state->commit_ns_max = self->commit_ns;
    self->commit_ns = 0;
    store_info(self->options.store, &state->info);
    // Whether there is room the store decides; here it is only kept from saying so too often.
    if (self->is_full || !state->info.has_room)
        self->room_due_ns = now_ns + FULL_MS * ns_per_ms;
    self->is_full = false;
    if (result == STORE_DOUBT || result == STORE_FAULT) {
        state->result = result;
        strncpy(state->error, store_error(self->options.store), sizeof state->error - 1);
    }
    state->has_room = now_ns >= self->room_due_ns && state->result == STORE_COMMITTED;
    if (had_room != state->has_room || state->result != STORE_COMMITTED)
        tell(self);
}

// ---- the thread --------------------------------------------------------------------------

// wait_for_work waits until something is pushed, a stop, or for a moment; the lock is held.
static void
wait_for_work(struct store_writer *self)
{
    if (self->pushed != self->committed || self->is_stopping)
        return;
    self->is_asleep = true;
    pthread_mutex_unlock(&self->lock);
    struct pollfd wake = {.fd = self->wake_fd, .events = POLLIN};
    (void)poll(&wake, 1, MOMENT_MS);
    uint64_t times;
    (void)!read(self->wake_fd, &times, sizeof times);
    pthread_mutex_lock(&self->lock);
    self->is_asleep = false;
}

// wake ends its sleep; the lock is held.
static void
wake(struct store_writer *self)
{
    uint64_t once = 1;
    if (self->is_asleep)
        (void)!write(self->wake_fd, &once, sizeof once);
    self->is_asleep = false;
}

static bool
turn(struct store_writer *self)
{
    struct durable_op *batch[STORE_BATCH_OPS_MAX];
    if (!self->has_more)
        wait_for_work(self);
    size_t count = pick(self, batch);
    bool is_last = self->is_stopping && count == 0;
    pthread_mutex_unlock(&self->lock);

    enum store_result result = count == 0 ? STORE_COMMITTED : apply(self, batch, count);
    // In doubt nobody is told anything: neither that it is kept, nor that it is not.
    bool is_told = result != STORE_DOUBT;
    if (is_told && count > 0) {
        // First those who wait for it, then what can wait.
        pthread_mutex_lock(&self->lock);
        self->committed += count;
        pthread_mutex_unlock(&self->lock);
        tell(self);
    }
    uint64_t now_ns = galleon_now_ns();
    if (result == STORE_COMMITTED && self->state.result == STORE_COMMITTED && !is_last)
        result = look_after(self, now_ns);
    if (result == STORE_COMMITTED && self->state.result == STORE_COMMITTED && !is_last)
        result = copy_slice(self, count == 0, now_ns);

    pthread_mutex_lock(&self->lock);
    note(self, result, now_ns);
    return !is_last && result != STORE_DOUBT;
}

static void *
run(void *argument)
{
    struct store_writer *self = argument;
    pthread_mutex_lock(&self->lock);
    while (turn(self))
        continue;
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

// ---- making one --------------------------------------------------------------------------

static bool
start_thread(struct store_writer *self)
{
    pthread_mutex_init(&self->lock, NULL);

    // Signals are the main thread's.
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    errno = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    return errno == 0;
}

static void
release(struct store_writer *self)
{
    if (self->fd >= 0)
        close(self->fd);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    free(self->ring);
    free(self);
}

struct store_writer *
store_writer_start(const struct store_writer_options *options)
{
    struct store_writer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->options = *options;
    self->ring_size = 1;
    while (self->ring_size < options->ops_max)
        self->ring_size *= 2;
    self->ring = calloc(self->ring_size, sizeof *self->ring);
    self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->is_anchored = true;
    self->state.has_room = true;
    store_info(options->store, &self->state.info);
    if (self->ring == NULL || self->fd < 0 || self->wake_fd < 0 || !start_thread(self)) {
        int error = errno;
        release(self);
        errno = error;
        return NULL;
    }
    return self;
}

void
store_writer_stop(struct store_writer **self_p)
{
    struct store_writer *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    pthread_mutex_lock(&self->lock);
    self->is_stopping = true;
    wake(self);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_mutex_destroy(&self->lock);
    release(self);
}

void
store_writer_backup(struct store_writer *self, const char *path)
{
    pthread_mutex_lock(&self->lock);
    must(self->state.copy != COPY_GOES_ON && strlen(path) < sizeof self->copy_path);
    memcpy(self->copy_path, path, strlen(path) + 1);
    self->state.copy = COPY_GOES_ON;
    self->state.copy_error[0] = '\0';
    wake(self);
    pthread_mutex_unlock(&self->lock);
}

// ---- operations --------------------------------------------------------------------------

void
store_writer_push(struct store_writer *self, struct durable_op *const *ops, size_t count)
{
    pthread_mutex_lock(&self->lock);
    must(self->pushed + count - self->taken <= self->ring_size);
    for (size_t i = 0; i < count; i++)
        self->ring[self->pushed++ & (self->ring_size - 1)] = ops[i];
    wake(self);
    pthread_mutex_unlock(&self->lock);
}

size_t
store_writer_take(struct store_writer *self, struct durable_op **ops, size_t room)
{
    size_t count = 0;
    pthread_mutex_lock(&self->lock);
    while (count < room && self->taken < self->committed)
        ops[count++] = self->ring[self->taken++ & (self->ring_size - 1)];
    pthread_mutex_unlock(&self->lock);
    return count;
}

int
store_writer_fd(const struct store_writer *self)
{
    return self->fd;
}

void
store_writer_hush(struct store_writer *self)
{
    uint64_t times;
    (void)!read(self->fd, &times, sizeof times);
}

void
store_writer_state(struct store_writer *self, struct store_writer_state *state_out)
{
    pthread_mutex_lock(&self->lock);
    *state_out = self->state;
    state_out->backlog = self->pushed - self->committed;
    pthread_mutex_unlock(&self->lock);
}
