// workload.c - bodies, and how they are read again.

#include "workload.h"

#include "bytes.h"
#include "siphash.h"

enum { REQUEST_HEAD_BYTES = 16, ANSWER_HEAD_BYTES = 40, FAILURE_BYTES = 24, FILLER_MAX = 40000 };

#define REQUEST_MAGIC VIEW_LITERAL("galleonQ")
#define ANSWER_MAGIC  VIEW_LITERAL("galleonA")
#define FAILURE_MAGIC VIEW_LITERAL("galleonF")

// filler is bytes that nobody reads. Most bodies are small; one in some hundred is so large
// that it goes in frames of its own.
static struct view
filler(struct world *world)
{
    static const uint8_t bytes[FILLER_MAX];
    uint64_t kind = roll(world, STREAM_APPS, 256);
    uint64_t most = kind == 0 ? FILLER_MAX : kind < 16 ? 2000 : 100;
    return view_of(bytes, roll(world, STREAM_APPS, most));
}

static size_t
add_fillers(struct world *world, struct view *frames, size_t count)
{
    uint64_t more = roll(world, STREAM_APPS, 3);
    for (uint64_t i = 0; i < more; i++)
        frames[count++] = filler(world);
    return count;
}

struct parcel *
workload_request(struct node *node, uint64_t call)
{
    uint8_t head[REQUEST_HEAD_BYTES] = {0};
    struct view frames[WORK_FRAMES_MAX] = {view_of(head, sizeof head)};
    memcpy(head, REQUEST_MAGIC.data, 8);
    bytes_put64(head + 8, call);
    struct parcel *self = parcel_new(node, frames, add_fillers(node->world, frames, 1));
    self->call = call;
    if (roll(node->world, STREAM_APPS, 8) == 0) {
        struct view line = VIEW_LITERAL("traceparent: 00-aa-bb-01\n");
        self->fields = world_take(node->world, line.size);
        memcpy(self->fields, line.data, line.size);
        self->field_bytes = line.size;
    }
    return self;
}

uint64_t
workload_digest(const struct mdp_body *request)
{
    static const struct siphash_key key = {{1, 2}};
    uint64_t digest = request->count;
    size_t cursor = 0;
    struct view frame;
    while (mdp_body_next(request, &cursor, &frame))
        digest = siphash_pair(&key, digest, siphash_map(&key, frame));
    return digest;
}

struct parcel *
workload_answer(struct node *node, const struct parcel *request, uint64_t run, uint32_t part,
                uint32_t total)
{
    uint8_t head[ANSWER_HEAD_BYTES] = {0};
    struct view frames[WORK_FRAMES_MAX] = {view_of(head, sizeof head)};
    struct mdp_body body = parcel_body(request);
    memcpy(head, ANSWER_MAGIC.data, 8);
    uint8_t *to = bytes_put64(bytes_put64(head + 8, request->call), run);
    bytes_put64(bytes_put32(bytes_put32(to, part), total), workload_digest(&body));
    struct parcel *self = parcel_new(node, frames, add_fillers(node->world, frames, 1));
    self->call = request->call;
    self->run = run;
    return self;
}

struct parcel *
workload_failure(struct node *node, const struct parcel *request, uint64_t run)
{
    uint8_t text[FAILURE_BYTES];
    memcpy(text, FAILURE_MAGIC.data, 8);
    bytes_put64(bytes_put64(text + 8, request->call), run);
    struct view frame = view_of(text, sizeof text);
    struct parcel *self = parcel_new(node, &frame, 1);
    self->call = request->call;
    self->run = run;
    return self;
}

bool
workload_is_failure(struct view frame, uint64_t *call_out, uint64_t *run_out)
{
    if (frame.size != FAILURE_BYTES || !view_starts_with(frame, FAILURE_MAGIC))
        return false;
    *call_out = bytes_get64(frame.data + 8);
    *run_out = bytes_get64(frame.data + 16);
    return true;
}

bool
workload_head(struct view frame, struct answer_head *head_out)
{
    if (frame.size != ANSWER_HEAD_BYTES || !view_starts_with(frame, ANSWER_MAGIC))
        return false;
    *head_out = (struct answer_head){.call = bytes_get64(frame.data + 8),
                                     .run = bytes_get64(frame.data + 16),
                                     .part = bytes_get32(frame.data + 24),
                                     .total = bytes_get32(frame.data + 28),
                                     .digest = bytes_get64(frame.data + 32)};
    return true;
}

void
workload_name_of(const struct mdp_body *body, uint64_t *call_out, uint64_t *run_out)
{
    struct answer_head head;
    struct view frame;
    size_t cursor = 0;
    if (!mdp_body_next(body, &cursor, &frame))
        return;
    if (frame.size == REQUEST_HEAD_BYTES && view_starts_with(frame, REQUEST_MAGIC)) {
        *call_out = bytes_get64(frame.data + 8);
    } else if (workload_head(frame, &head)) {
        *call_out = head.call;
        *run_out = head.run;
    } else {
        (void)workload_is_failure(frame, call_out, run_out);
    }
}

void
workload_name(struct parcel *parcel)
{
    struct mdp_body body = parcel_body(parcel);
    workload_name_of(&body, &parcel->call, &parcel->run);
}
