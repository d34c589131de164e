// store_rig.h - a store for a test, and operations in a line each.

#ifndef GALLEON_STORE_RIG_H
#define GALLEON_STORE_RIG_H

#include "store.h"

struct store_rig {
    struct store *(*open)(const struct store_options *, struct store_error *);
    struct store_options options;
    struct store_error error;
    struct store *store;
    char folder[64];
    char path[128];
    uint64_t now_ms;
    uint32_t ids; // made so far
    struct durable_owner owner;
};

// store_rig_new makes a folder and opens a store in it; store_rig_free removes both.
struct store_rig *store_rig_new(struct store *(*open)(const struct store_options *,
                                                      struct store_error *));
void store_rig_free(struct store_rig *self);
void store_rig_reopen(struct store_rig *self);

struct request_id store_rig_id(struct store_rig *self);

// rig_body is a body of one frame.
struct durable_body *rig_body(const char *text);
bool rig_is(const struct durable_body *body, const char *text);

struct view rig_view(const char *text);

// Each makes an operation of which everything else is what tests mean by nothing special.
struct durable_op rig_submit(struct store_rig *self, const char *service,
                             const struct durable_body *body);
struct durable_op rig_by_seq(struct store_rig *self, enum durable_op_kind kind, uint64_t seq);
struct durable_op rig_by_id(struct store_rig *self, enum durable_op_kind kind,
                            struct request_id id);
struct durable_op rig_load(struct store_rig *self, const char *service, uint32_t limit);
struct durable_op rig_filter(struct store_rig *self, enum durable_op_kind kind);

// rig_apply applies one operation and expects it to be committed.
enum durable_outcome rig_apply(struct store_rig *self, struct durable_op *op);
// rig_accept submits and expects it to be accepted; it returns the seq.
uint64_t rig_accept(struct store_rig *self, const char *service, const char *text);
uint64_t rig_accept_id(struct store_rig *self, const char *service, const char *text,
                       struct request_id *id_out);
enum durable_outcome rig_answer(struct store_rig *self, uint64_t seq, const char *text);
enum durable_outcome rig_close(struct store_rig *self, struct request_id id);
void rig_idle(struct store_rig *self); // until there is no more

#endif
