// titanic_chain.c - the audit chain of the simulated store: a record of each operation in its log.
//
// As in lib/store/sqlite_audit.c: the records are those of lib/wire/audit_chain.h, they go to the
// disk with what they speak of, and how far the chain has come is noted now and then, after the
// commit, in an anchor on a disk of its own.

#include "titanic_store.h"

#include "check_durable.h"

struct view
titanic_store_id(void)
{
    return VIEW_LITERAL("5117EDB0A75117EDB0A75117EDB0A700");
}

static const enum audit_kind kinds[DURABLE_OPS + 1] = {
    [DURABLE_SUBMIT] = AUDIT_ACCEPTED, [DURABLE_ANSWER] = AUDIT_ANSWERED,
    [DURABLE_FAILED] = AUDIT_FAILED,   [DURABLE_KILL] = AUDIT_ENDED,
    [DURABLE_CLOSE] = AUDIT_CLOSED,    [DURABLE_RETRY] = AUDIT_RETRIED,
    [DURABLE_CANCEL] = AUDIT_ENDED,    [DURABLE_PURGE] = AUDIT_CLOSED,
    [STORE_SWEEP] = AUDIT_DROPPED};

void
chain_start(struct chain *self)
{
    self->count = 0;
    audit_head_start(&self->head, titanic_store_id());
}

struct view
chain_add(struct chain *self, const struct durable_op *op, uint8_t record[AUDIT_RECORD_BYTES_MAX])
{
    struct audit_record fields = {.n = ++self->count,
                                  .at_ms = op->now_ms,
                                  .kind = kinds[op->kind],
                                  .seq = op->seq,
                                  .id = op->id,
                                  .owner = op->owner,
                                  .state = op->state,
                                  .attempt = op->attempts,
                                  .has_digest = op->kind == DURABLE_SUBMIT,
                                  .digest = op->digest,
                                  .text = op->reason};
    struct view text = view_of(record, (size_t)(audit_encode(&fields, record) - record));
    audit_head_add(&self->head, text);
    return text;
}

// ---- the anchor -------------------------------------------------------------------------

static void
keep_newest(void *context, struct view record)
{
    struct chain *anchor = context;
    if (record.size == sizeof *anchor) // else a crash has torn it
        memcpy(anchor, record.data, sizeof *anchor);
}

struct chain
anchor_read(const struct disk *disk)
{
    struct chain anchor = {0};
    disk_read(disk, keep_newest, &anchor);
    return anchor;
}
