// crash_model.h - what a store has to have kept: a list of requests as plain as can be.
//
// It is applied to the same operations as the store, and says what should come of each. What the
// store may drop by itself (answers and keys past their time) may be there or not.

#ifndef GALLEON_CRASH_MODEL_H
#define GALLEON_CRASH_MODEL_H

#include "durable.h"

enum {
    MODEL_ROWS_MAX = 512,
    MODEL_SERVICES = 3,
    MODEL_OWNERS = 2,
    MODEL_TEXT_BYTES = 24,
    MODEL_RETAIN_MS = 60 * 60 * 1000
};

// Bytes that follow from a seed.
struct model_body {
    uint32_t seed;
    uint32_t bytes;
};

struct model_row {
    uint64_t seq; // 0: not known yet
    struct request_id id;
    uint32_t owner, service;
    uint32_t key; // 0: none
    struct model_body body, reply;
    enum durable_state state;
    uint32_t life, attempts, attempts_max;
    uint64_t accepted_ms, due_ms, deadline_ms, over_ms;
    uint32_t reason; // 0: none
};

struct model {
    uint64_t now_ms;
    size_t count;
    struct model_row rows[MODEL_ROWS_MAX]; // in the order in which they were accepted
};

struct view model_service(uint32_t number);
struct durable_owner model_owner(uint32_t number);
// model_text writes `letter` and the number, and is empty for 0.
struct view model_text(char to[MODEL_TEXT_BYTES], char letter, uint32_t number);

// model_make_body is from malloc, three frames at most, sometimes with fields.
struct durable_body *model_make_body(struct model_body body);
bool model_is_body(struct model_body body, const struct durable_body *is);

// model_is_old says whether the store may have dropped it by now.
bool model_is_old(const struct model *self, const struct model_row *row);

struct model_row *model_find_id(struct model *self, const struct request_id *id);
struct model_row *model_find_key(struct model *self, uint32_t owner, uint32_t key);
void model_remove(struct model *self, struct model_row *row);

// Each does to the model what the operation should do to the store, and says what should come
// of it. `row` may be NULL: there is none of that name.
enum durable_outcome model_submit(struct model *self, const struct model_row *row);
enum durable_outcome model_answer(struct model *self, struct model_row *row,
                                  struct model_body reply, uint32_t attempts);
enum durable_outcome model_failed(struct model_row *row, uint32_t attempts, uint64_t due_ms,
                                  uint32_t reason);
enum durable_outcome model_end(struct model *self, struct model_row *row, enum durable_state state,
                               uint32_t attempts, uint32_t reason);
enum durable_outcome model_close(struct model *self, struct model_row *row);
void model_revive(struct model_row *row, uint64_t due_ms);

#endif
