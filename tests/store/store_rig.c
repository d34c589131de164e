// store_rig.c - a store for a test, and operations in a line each.

#include "store_rig.h"

#include "bytes.h"
#include "durable_digest.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct store_rig *
store_rig_new(struct store *(*open)(const struct store_options *, struct store_error *))
{
    struct store_rig *self = calloc(1, sizeof *self);
    assert_non_null(self);
    snprintf(self->folder, sizeof self->folder, "/var/tmp/galleon-store-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    snprintf(self->path, sizeof self->path, "%s/store", self->folder);
    self->now_ms = 1700000000000;
    self->open = open;
    self->options =
        (struct store_options){.path = self->path, .retain_ms = 60 * 1000, .wall_ms = self->now_ms};
    self->store = open(&self->options, &self->error);
    if (self->store == NULL)
        print_error("%s\n", self->error.text);
    assert_non_null(self->store);
    return self;
}

void
store_rig_free(struct store_rig *self)
{
    if (self->store != NULL)
        store_close(self->store);
    DIR *folder = opendir(self->folder);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
    rmdir(self->folder);
    free(self);
}

void
store_rig_reopen(struct store_rig *self)
{
    store_close(self->store);
    self->options.wall_ms = self->now_ms;
    self->store = self->open(&self->options, &self->error);
    if (self->store == NULL)
        print_error("%s\n", self->error.text);
    assert_non_null(self->store);
}

struct request_id
store_rig_id(struct store_rig *self)
{
    struct request_id id = {{0}};
    uint8_t *at = bytes_put64(id.bytes, self->now_ms << 16);
    bytes_put64(at, (uint64_t)++self->ids * 0x9e3779b97f4a7c15);
    return id;
}

struct durable_body *
rig_body(const char *text)
{
    size_t size = strlen(text);
    struct durable_body *body = malloc(sizeof *body + 4 + size);
    assert_non_null(body);
    *body = (struct durable_body){.frames = 1, .bytes = 4 + size};
    memcpy(bytes_put32(body->data, (uint32_t)size), text, size);
    return body;
}

bool
rig_is(const struct durable_body *body, const char *text)
{
    return body != NULL && body->frames == 1 && body->fields_bytes == 0 &&
           body->bytes == 4 + strlen(text) && bytes_get32(body->data) == strlen(text) &&
           memcmp(body->data + 4, text, strlen(text)) == 0;
}

struct view
rig_view(const char *text)
{
    return view_of(text, strlen(text));
}

struct durable_op
rig_submit(struct store_rig *self, const char *service, const struct durable_body *body)
{
    struct durable_op op = rig_by_id(self, DURABLE_SUBMIT, store_rig_id(self));
    op.service = rig_view(service);
    op.body = body;
    op.digest = durable_digest(op.service, body);
    op.attempts_max = 10;
    op.due_ms = self->now_ms;
    return op;
}

struct durable_op
rig_by_seq(struct store_rig *self, enum durable_op_kind kind, uint64_t seq)
{
    return (struct durable_op){.kind = kind, .now_ms = self->now_ms, .seq = seq, .attempts = 1};
}

struct durable_op
rig_by_id(struct store_rig *self, enum durable_op_kind kind, struct request_id id)
{
    return (struct durable_op){
        .kind = kind, .now_ms = self->now_ms, .id = id, .owner = self->owner};
}

struct durable_op
rig_load(struct store_rig *self, const char *service, uint32_t limit)
{
    struct durable_op op = rig_by_seq(self, DURABLE_LOAD, 0);
    op.service = rig_view(service);
    op.limit = limit;
    return op;
}

struct durable_op
rig_filter(struct store_rig *self, enum durable_op_kind kind)
{
    return rig_by_id(self, kind, (struct request_id){{0}});
}

enum durable_outcome
rig_apply(struct store_rig *self, struct durable_op *op)
{
    enum store_result result = store_apply(self->store, &op, 1);
    if (result != STORE_COMMITTED)
        print_error("%s\n", store_error(self->store));
    assert_int_equal(result, STORE_COMMITTED);
    return op->outcome;
}

uint64_t
rig_accept_id(struct store_rig *self, const char *service, const char *text,
              struct request_id *id_out)
{
    struct durable_body *body = rig_body(text);
    struct durable_op op = rig_submit(self, service, body);
    assert_int_equal(rig_apply(self, &op), DURABLE_OK);
    assert_int_equal(op.state, DURABLE_PENDING);
    free(body);
    *id_out = op.id;
    return op.seq;
}

uint64_t
rig_accept(struct store_rig *self, const char *service, const char *text)
{
    struct request_id id;
    return rig_accept_id(self, service, text, &id);
}

enum durable_outcome
rig_answer(struct store_rig *self, uint64_t seq, const char *text)
{
    struct durable_body *body = rig_body(text);
    struct durable_op op = rig_by_seq(self, DURABLE_ANSWER, seq);
    op.body = body;
    enum durable_outcome outcome = rig_apply(self, &op);
    free(body);
    return outcome;
}

enum durable_outcome
rig_close(struct store_rig *self, struct request_id id)
{
    struct durable_op op = rig_by_id(self, DURABLE_CLOSE, id);
    return rig_apply(self, &op);
}

void
rig_idle(struct store_rig *self)
{
    bool has_more = true;
    for (int slices = 0; has_more; slices++) {
        assert_true(slices < 100000);
        assert_int_equal(store_idle(self->store, self->now_ms, &has_more), STORE_COMMITTED);
    }
}
