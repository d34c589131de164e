// store_bench.c - how fast a store is, without sockets, threads and brokers around it.
//
//   store_bench [--path FILE] [--batch N] [--count N] [--bytes N] [--relaxed] [--audit] [--keys]
//               [--pending N [--keep]]
//
// It submits, answers, fetches and closes `count` requests, each in batches as the writer
// would, and prints what came out in each second of each part. The file is removed before and
// after; with --keep, what is pending is left there, and nothing else is done. On a file system in
// memory a sync costs nothing: it refuses to measure there.

#include "durable_digest.h"
#include "store.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

enum { TMPFS = 0x01021994, MINUTE_MS = 60000 };

struct bench {
    const char *path;
    size_t batch, count, bytes, pending;
    bool is_relaxed, has_audit, has_keys, is_kept;
    struct store *store;
    struct durable_op *ops;
    struct durable_op **order;
    struct request_id *ids;
    uint64_t first_seq;
    struct durable_body *body;
    uint64_t now_ms;
    double idle_seconds;
};

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// wall_ms is what requests that are kept are dated by: what is old has to be tidied away.
static uint64_t
wall_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

// cpu is what this process has used of the processors, in seconds.
static double
cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static _Noreturn void
die(const char *what, const char *why)
{
    fprintf(stderr, "store_bench: %s: %s\n", what, why);
    exit(1);
}

static void
make_id(struct bench *self, size_t at)
{
    uint64_t ms = self->now_ms + at / 256, more = at * 0x9e3779b97f4a7c15u;
    for (int byte = 0; byte < 6; byte++)
        self->ids[at].bytes[byte] = (uint8_t)(ms >> (40 - 8 * byte));
    memcpy(self->ids[at].bytes + 6, &more, sizeof more);
}

static void
prepare(struct bench *self, enum durable_op_kind kind, size_t at, struct durable_op *op)
{
    *op = (struct durable_op){.kind = kind, .now_ms = self->now_ms + at / 256};
    op->id = self->ids[at];
    op->seq = self->first_seq + at;
    op->service = VIEW_LITERAL("echo");
    op->body = self->body;
    op->attempts = 1;
    op->attempts_max = 10;
    op->due_ms = op->now_ms;
    if (kind == DURABLE_SUBMIT)
        op->digest = durable_digest(op->service, op->body);
    if (self->has_keys)
        op->key = view_of(self->ids[at].bytes, sizeof self->ids[at]);
}

static void
run(struct bench *self, const char *name, enum durable_op_kind kind, size_t count)
{
    double began = now(), used = cpu(), slowest = 0, idle = 0;
    for (size_t at = 0; at < count; at += self->batch) {
        size_t some = count - at < self->batch ? count - at : self->batch;
        for (size_t i = 0; i < some; i++)
            prepare(self, kind, at + i, &self->ops[i]);
        double before = now();
        if (store_apply(self->store, self->order, some) != STORE_COMMITTED)
            die(name, store_error(self->store));
        double after = now();
        if (after - before > slowest)
            slowest = after - before;
        for (size_t i = 0; i < some; i++) {
            if (self->ops[i].outcome != DURABLE_OK)
                die(name, "an outcome that is not OK");
            free(self->ops[i].reply);
        }
        bool has_more;
        double idle_from = now();
        if (store_idle(self->store, self->now_ms, &has_more) != STORE_COMMITTED)
            die(name, store_error(self->store));
        idle += now() - idle_from;
    }
    double seconds = now() - began;
    self->idle_seconds += idle;
    printf("%-8s %9.0f/s  processor %5.2f us each  idle %4.1f %%  slowest batch %6.1f ms\n", name,
           (double)count / seconds, 1e6 * (cpu() - used) / (double)count, 100 * idle / seconds,
           slowest * 1e3);
}

static void
load(struct bench *self)
{
    struct durable_op op = {.kind = DURABLE_LOAD,
                            .service = VIEW_LITERAL("echo"),
                            .now_ms = UINT64_MAX / 4,
                            .limit = 500};
    struct durable_op *one = &op;
    size_t count = 0;
    double began = now();
    do {
        if (store_apply(self->store, &one, 1) != STORE_COMMITTED || op.outcome != DURABLE_OK)
            die("load", store_error(self->store));
        size_t some = op.found->count;
        count += some;
        if (some > 0) {
            op.after_due_ms = op.found->rows[some - 1].due_ms;
            op.after_seq = op.found->rows[some - 1].seq;
        }
        store_rows_free(op.found);
    } while (op.has_more);
    printf("%-8s %9.0f/s\n", "load", (double)count / (now() - began));
}

static void
open_store(struct bench *self)
{
    struct store_options options = {.path = self->path,
                                    .is_relaxed = self->is_relaxed,
                                    .has_audit = self->has_audit,
                                    .retain_ms = 7ull * 24 * 3600 * 1000,
                                    .wall_ms = self->now_ms};
    struct store_error error;
    double began = now();
    self->store = store_open_sqlite(&options, &error);
    if (self->store == NULL)
        die("open", error.text);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%-8s %9.1f ms, %ld MB at most so far\n", "open", (now() - began) * 1e3,
           usage.ru_maxrss / 1024);
}

static void
remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", ".lock", ".anchor", ".fault", ".ballast"};
    for (size_t at = 0; at < sizeof ends / sizeof *ends; at++) {
        char name[4200];
        snprintf(name, sizeof name, "%s%s", path, ends[at]);
        unlink(name);
    }
}

static void
read_options(struct bench *self, int argc, char **argv)
{
    static const struct option options[] = {{"path", 1, NULL, 'p'},    {"batch", 1, NULL, 'b'},
                                            {"count", 1, NULL, 'c'},   {"bytes", 1, NULL, 's'},
                                            {"pending", 1, NULL, 'n'}, {"relaxed", 0, NULL, 'r'},
                                            {"audit", 0, NULL, 'a'},   {"keys", 0, NULL, 'k'},
                                            {"keep", 0, NULL, 'K'},    {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        size_t number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;
        switch (option) {
        case 'p':
            self->path = optarg;
            break;
        case 'b':
            self->batch = number;
            break;
        case 'c':
            self->count = number;
            break;
        case 's':
            self->bytes = number;
            break;
        case 'n':
            self->pending = number;
            break;
        case 'r':
            self->is_relaxed = true;
            break;
        case 'a':
            self->has_audit = true;
            break;
        case 'k':
            self->has_keys = true;
            break;
        case 'K':
            self->is_kept = true;
            break;
        default:
            exit(2);
        }
    }
    if (self->batch == 0 || self->batch > STORE_BATCH_OPS_MAX || self->count == 0)
        die("options", "a batch is 1 to 1024, and a count is at least 1");
}

static void *
make(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        die("memory", "there is not enough");
    return memory;
}

// fill leaves `pending` requests in the store, and opens it anew.
static void
fill(struct bench *self)
{
    size_t batch = self->batch;
    self->batch = STORE_BATCH_OPS_MAX;
    run(self, "fill", DURABLE_SUBMIT, self->pending);
    self->batch = batch;
    self->first_seq += self->pending;
    self->now_ms += self->pending / 256 + 1000;
    store_close(self->store);
    open_store(self);
}

int
main(int argc, char **argv)
{
    struct bench self = {.path = "/var/tmp/store_bench.db",
                         .batch = 100,
                         .count = 200000,
                         .bytes = 100,
                         .first_seq = 1,
                         .now_ms = 1700000000000};
    read_options(&self, argc, argv);
    if (self.is_kept)
        self.now_ms = wall_ms() - self.pending / 256 - MINUTE_MS;
    size_t most = self.count > self.pending ? self.count : self.pending;
    self.ops = make(STORE_BATCH_OPS_MAX, sizeof *self.ops);
    self.order = make(STORE_BATCH_OPS_MAX, sizeof(struct durable_op *));
    self.ids = make(most, sizeof *self.ids);
    self.body = make(1, sizeof *self.body + self.bytes + 4);
    self.body->frames = 1;
    self.body->bytes = self.bytes + 4;
    for (size_t at = 0; at < STORE_BATCH_OPS_MAX; at++)
        self.order[at] = &self.ops[at];
    remove_files(self.path);
    open_store(&self);
    struct statfs system;
    if (statfs(self.path, &system) != 0 || system.f_type == TMPFS)
        die(self.path, "it is not on a disk");
    if (self.pending > 0) {
        for (size_t at = 0; at < self.pending; at++)
            make_id(&self, at);
        fill(&self);
    }
    if (self.is_kept) {
        store_close(self.store);
        return 0;
    }
    for (size_t at = 0; at < self.count; at++)
        make_id(&self, at);
    printf("batches of %zu, bodies of %zu bytes%s%s%s\n", self.batch, self.bytes,
           self.is_relaxed ? ", relaxed" : "", self.has_audit ? ", audit" : "",
           self.has_keys ? ", keys" : "");
    double began = now();
    run(&self, "submit", DURABLE_SUBMIT, self.count);
    if (self.pending == 0)
        load(&self);
    run(&self, "answer", DURABLE_ANSWER, self.count);
    run(&self, "fetch", DURABLE_FETCH, self.count);
    run(&self, "close", DURABLE_CLOSE, self.count);
    printf("%-8s %9.0f/s, with all its parts\n", "life", (double)self.count / (now() - began));
    store_close(self.store);
    open_store(&self);
    store_close(self.store);
    remove_files(self.path);
    return 0;
}
