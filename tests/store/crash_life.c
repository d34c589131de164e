// crash_life.c - works until the power goes, looks at what is left, and goes on with that.
//
// What was acknowledged is in the model. The batch that was under way when the power went may be
// there or not, all of it: so there are two models then, and the store has to be like one. The
// look is at real files, through the ordinary file layer; the life goes on from the same bytes,
// so that the next power cut may come in the middle of the recovery. Now and then only the
// process ends, and what was not synced is still seen: what the next process tells of it has to
// be true for ever, too.

#include "crash_life.h"

#include "crash_flip.h"
#include "crash_work.h"
#include "must.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES = 256, STEPS_MAX = 5000, STEPS_OF_A_FAULT = 80 };

struct life {
    const struct life_options *options;
    struct life_result *result;
    struct prng prng;
    struct crash_disk *disk;
    struct work work;
    struct store *store;
    struct store_options store_options;
    char path[PATH_BYTES];
    uint32_t round;
    bool has_faults; // in this round: errors, and no crash
    bool has_lies;   // in this round: the log is not synced, and nobody says so
    bool is_lost;    // what the disk lied about was missed: the end of this store
    bool is_broken;  // the store is of no more use
    bool in_doubt;   // `after` may be what is there, or `before`
    bool has_flood;
    struct model before, after;
};

static bool __attribute__((format(printf, 2, 3))) fail(struct life *self, const char *format, ...)
{
    char what[CHECK_WHY_BYTES + 64];
    va_list more;
    va_start(more, format);
    vsnprintf(what, sizeof what, format, more);
    va_end(more);
    snprintf(self->result->why, sizeof self->result->why, "round %u: %s", self->round, what);
    return false;
}

static uint64_t
roll(struct life *self, uint64_t below)
{
    return prng_below(&self->prng, below);
}

// ---- the store -----------------------------------------------------------------------

// is_hit says whether something is allowed to go wrong by now.
static bool
is_hit(const struct life *self)
{
    return crash_disk_is_dead(self->disk) || crash_disk_faults(self->disk) > 0 ||
           crash_memory_faults() > 0;
}

static bool
open_store(struct life *self)
{
    struct store_error error;
    self->store_options.wall_ms = self->before.now_ms;
    self->store = store_open_sqlite(&self->store_options, &error);
    return self->store != NULL || is_hit(self) || fail(self, "it does not open: %s", error.text);
}

static void
close_store(struct life *self)
{
    if (self->store != NULL)
        store_close(self->store);
    self->store = NULL;
}

// ---- steps ---------------------------------------------------------------------------

static bool
came_of_it(struct life *self, enum store_result result)
{
    if (result == STORE_COMMITTED)
        return true;
    self->is_broken = result == STORE_DOUBT || result == STORE_FAULT;
    if (!is_hit(self))
        return fail(self, "the store says %d: %s", (int)result, store_error(self->store));
    return true;
}

static bool
do_idle(struct life *self)
{
    bool has_more = true;
    for (int slices = 0; has_more && slices < 100; slices++) {
        enum store_result result = store_idle(self->store, self->before.now_ms, &has_more);
        if (!came_of_it(self, result))
            return false;
        self->is_broken = self->is_broken || result == STORE_FULL;
        has_more = has_more && result == STORE_COMMITTED;
    }
    return true;
}

static bool
do_batch(struct life *self)
{
    struct durable_op *ops[WORK_OPS_MAX];
    bool is_flood = self->has_flood && roll(self, 60) == 0;
    self->has_flood = self->has_flood && !is_flood;
    self->before.now_ms += roll(self, 20);
    self->after = self->before;
    work_make(&self->work, &self->after, is_flood);
    for (size_t at = 0; at < self->work.count; at++)
        ops[at] = &self->work.ops[at].op;
    enum store_result result = store_apply(self->store, ops, self->work.count);
    bool is_right = came_of_it(self, result);
    char why[CHECK_WHY_BYTES];
    if (result == STORE_COMMITTED) {
        is_right = work_check(&self->work, &self->after, why) || fail(self, "%s", why);
        self->before = self->after;
        self->result->acknowledged += self->work.count;
    } else if (result == STORE_DOUBT || result == STORE_FAULT) {
        self->in_doubt = true;
    }
    work_forget(&self->work);
    // A store that was full refuses what is new until it has looked for room again.
    return is_right && (result != STORE_FULL || do_idle(self));
}

static bool
do_step(struct life *self)
{
    uint64_t kind = roll(self, 1000);
    if (self->has_lies)
        return do_batch(self);
    if (kind < 780)
        return do_batch(self) && (roll(self, 2) == 0 || do_idle(self));
    if (kind < 880)
        return do_idle(self);
    if (kind < 960)
        return came_of_it(self, store_anchor(self->store));
    if (kind < 980) {
        self->before.now_ms += (10 + roll(self, 80)) * 60 * 1000;
        return do_idle(self);
    }
    close_store(self);
    return open_store(self);
}

// A store in doubt is of no more use, and its process ends.
static bool
is_over(struct life *self)
{
    return self->store == NULL || crash_disk_is_dead(self->disk) || self->is_broken;
}

static bool
do_steps(struct life *self, uint32_t steps)
{
    self->is_broken = false;
    bool is_right = self->store != NULL || open_store(self);
    for (uint32_t step = 0; is_right && !is_over(self) && step < steps; step++)
        is_right = do_step(self);
    return is_right;
}

// ---- the look ------------------------------------------------------------------------

// settle_rows finds which of the two models is there.
static bool
settle_rows(struct life *self, struct store *store, struct check *check)
{
    if (self->in_doubt) {
        struct check other = {.was_refused = false};
        self->after.now_ms = self->before.now_ms;
        if (check_rows(&other, store, &self->after)) {
            self->before = self->after;
            self->in_doubt = false;
            return true;
        }
        if (!check_rows(check, store, &self->before)) {
            size_t size = strlen(check->why);
            snprintf(check->why + size, sizeof check->why - size, "; or: %.200s", other.why);
            return false;
        }
        self->in_doubt = false;
        return true;
    }
    return check_rows(check, store, &self->before);
}

static bool
look_at_store(struct life *self, struct store *store)
{
    struct check check = {.was_refused = false};
    struct store_info info;
    store_info(store, &info);
    uint64_t clock_ms = 0;
    for (size_t at = 0; at < self->before.count; at++)
        if (self->before.rows[at].accepted_ms > clock_ms)
            clock_ms = self->before.rows[at].accepted_ms;
    if (info.clock_ms < clock_ms)
        return fail(self, "the clock went back");
    return (settle_rows(self, store, &check) && check_answers(&check, store, &self->before) &&
            check_counts(&check, store, &self->before) &&
            check_keys(&check, store, &self->before, self->work.seq_max)) ||
           fail(self, "%s", check.why);
}

// look opens what is on the disk as the next process would. Its clock has been put back.
static bool
look(struct life *self)
{
    if (!crash_disk_export(self->disk, self->options->folder))
        return fail(self, "cannot write to %s", self->options->folder);
    crash_vfs_mount(NULL, NULL);
    struct store_options options = self->store_options;
    options.vfs = NULL;
    options.wall_ms = 1;
    struct store_error error;
    struct store *store = store_open_sqlite(&options, &error);
    self->is_lost = store == NULL && self->has_lies && error.result == STORE_FAULT;
    if (self->is_lost) {
        crash_vfs_mount(self->disk, self->options->folder);
        return true;
    }
    bool is_right = store != NULL || fail(self, "what is left does not open: %s", error.text);
    is_right = is_right && look_at_store(self, store);
    if (store != NULL)
        store_close(store);
    struct check check = {.was_refused = false};
    if (is_right && !check_file(&check, self->path))
        is_right = fail(self, "%s", check.why);
    crash_vfs_mount(self->disk, self->options->folder);
    return is_right;
}

// ---- damage --------------------------------------------------------------------------

// judge opens the damaged store. It has to refuse, or to be right.
static bool
judge(struct life *self, const struct flip *flip)
{
    static const char *const names[] = {"the database", "the log", "the anchor"};
    struct store_options options = self->store_options;
    options.vfs = NULL;
    struct store_error error;
    struct store *store = store_open_sqlite(&options, &error);
    if (store == NULL) {
        self->result->flips_refused++;
        return true;
    }
    struct model *model = malloc(sizeof *model);
    must(model != NULL);
    *model = self->before;
    struct check check = {.was_refused = false};
    bool is_right = check_rows(&check, store, model) && check_answers(&check, store, model) &&
                    check_counts(&check, store, model);
    store_close(store);
    free(model);
    if (is_right)
        self->result->flips_right++;
    else if (check.was_refused)
        self->result->flips_refused++;
    else if (flip->file == FLIP_LOG && !options.anchors_every_commit)
        self->result->flips_in_window++;
    else
        return fail(self, "%s %s %llu: %s", names[flip->file],
                    flip->is_cut ? "cut to" : "with another bit", flip->at, check.why);
    return true;
}

static bool
damage(struct life *self)
{
    bool is_right = true;
    for (uint32_t at = 0; is_right && at < self->options->flips; at++) {
        struct flip flip;
        if (!crash_disk_export(self->disk, self->options->folder))
            return fail(self, "cannot write to %s", self->options->folder);
        crash_vfs_mount(NULL, NULL);
        if (crash_flip(&self->prng, self->path, &flip))
            is_right = judge(self, &flip);
        crash_vfs_mount(self->disk, self->options->folder);
    }
    return is_right;
}

// do_damage works for a while, and closes the store or crashes; then it is damaged.
static bool
do_damage(struct life *self)
{
    bool is_right = do_steps(self, 5 + (uint32_t)roll(self, 60));
    if (is_right && roll(self, 2) == 0)
        close_store(self);
    else // what it does to close is lost
        crash_disk_crash_at(self->disk, crash_disk_operations(self->disk) + 1);
    close_store(self);
    crash_disk_settle(self->disk);
    return is_right && look(self) && damage(self);
}

// ---- a life --------------------------------------------------------------------------

static void
plan_crash(struct life *self)
{
    static const uint32_t spans[] = {12, 12, 120, 120, 120, 600};
    uint64_t span = spans[roll(self, sizeof spans / sizeof *spans)];
    crash_disk_crash_at(self->disk, crash_disk_operations(self->disk) + 1 + roll(self, span));
}

static void
plan_fault(struct life *self)
{
    static const uint32_t kinds[] = {DISK_WRITE, DISK_WRITE,    DISK_SYNC,   DISK_SYNC,
                                     DISK_OPEN,  DISK_TRUNCATE, DISK_CREATE, DISK_READ};
    struct disk_fault fault = {.kinds = kinds[roll(self, sizeof kinds / sizeof *kinds)],
                               .at = 1 + roll(self, roll(self, 2) == 0 ? 6 : 60),
                               .is_for_ever = roll(self, 2) == 0,
                               .error = EIO};
    if (fault.kinds == DISK_WRITE && roll(self, 2) == 0)
        fault.error = ENOSPC;
    crash_disk_fail(self->disk, self->options->fault.kinds != 0 ? &self->options->fault : &fault);
}

static void
plan_trouble(struct life *self)
{
    self->has_lies = false;
    bool is_asked =
        self->round == 0 && (self->options->fault.kinds != 0 || self->options->no_memory.at != 0);
    self->has_faults = is_asked || roll(self, 6) == 0;
    if (!self->has_faults) {
        plan_crash(self);
        // Only an anchor with every commit sees all of it.
        self->has_lies = self->store_options.anchors_every_commit && roll(self, 4) == 0;
        crash_disk_lie(self->disk, self->has_lies ? "-wal" : NULL);
        return;
    }
    // Two notes of faults within ten minutes, and it does not open any more: so one at a time.
    crash_disk_delete(self->disk, "store.fault");
    crash_disk_sync_names(self->disk);
    if (self->options->no_memory.at != 0)
        crash_memory_fail(&self->options->no_memory);
    else
        plan_fault(self);
}

static void
end_trouble(struct life *self)
{
    self->result->faults += crash_disk_faults(self->disk) + crash_memory_faults();
    crash_disk_fail(self->disk, NULL);
    crash_disk_lie(self->disk, NULL);
    crash_memory_fail(NULL);
}

// has_forgotten says whether a sync has failed, and no note of it makes the next process look at
// the disk and not at what is remembered of it.
static bool
has_forgotten(const struct life *self)
{
    return self->has_faults && !crash_disk_exists(self->disk, "store.fault");
}

static bool
do_round(struct life *self)
{
    plan_trouble(self);
    bool is_right = do_steps(self, self->has_faults ? STEPS_OF_A_FAULT : STEPS_MAX);
    bool was_cut = roll(self, 4) > 0 || has_forgotten(self) || self->has_lies;
    close_store(self);
    end_trouble(self);
    if (!is_right)
        return false;
    if (was_cut)
        crash_disk_settle(self->disk);
    else
        crash_disk_restart(self->disk);
    self->result->rounds++;
    if (was_cut)
        return look(self);
    // What the next process says of the batch in doubt is said for good.
    if (!open_store(self))
        return false;
    struct check check = {.was_refused = false};
    return settle_rows(self, self->store, &check) || fail(self, "%s", check.why);
}

static void
begin(struct life *self, const struct life_options *options, struct life_result *result)
{
    *result = (struct life_result){0};
    *self = (struct life){.options = options, .result = result};
    crash_prng_init(&self->prng, options->seed, 4);
    work_init(&self->work, options->seed);
    self->disk = crash_disk_new(options->seed);
    crash_vfs_mount(self->disk, options->folder);
    must(snprintf(self->path, sizeof self->path, "%s/store", options->folder) < PATH_BYTES);
    self->before.now_ms = 1700000000000;
    self->has_flood = roll(self, 12) == 0;
    self->store_options = (struct store_options){.path = self->path,
                                                 .has_audit = roll(self, 4) > 0,
                                                 .anchors_every_commit = roll(self, 4) == 0,
                                                 .retain_ms = MODEL_RETAIN_MS,
                                                 .vfs = CRASH_VFS};
    // SQLite's own numbers, too, follow from the seed.
    sqlite3_initialize();
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(options->seed & 0x7fffffff) + 1, NULL);
}

static void
end(struct life *self)
{
    self->result->operations = crash_disk_operations(self->disk);
    close_store(self);
    crash_vfs_mount(NULL, NULL);
    crash_disk_free(self->disk);
}

bool
crash_life_run(const struct life_options *options, struct life_result *result_out)
{
    struct life *self = malloc(sizeof *self);
    must(self != NULL);
    begin(self, options, result_out);
    bool is_right = true;
    for (; is_right && self->round < options->rounds; self->round++)
        is_right = (options->flips > 0 ? do_damage(self) : do_round(self)) && !self->is_lost &&
                   self->before.count + 40 < MODEL_ROWS_MAX;
    is_right = result_out->why[0] == '\0';
    end(self);
    free(self);
    return is_right;
}
