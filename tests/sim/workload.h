// workload.h - what is asked, and what the right answer is.
//
// The body of a request names its call. The body of an answer names call and run (one time
// that an application worked on it), counts its parts, and carries a digest of the request
// as the worker had it. So a reply can be judged by itself: whose it is, whether it is one
// run's and no mixture, whether anything is missing.

#ifndef GALLEON_WORKLOAD_H
#define GALLEON_WORKLOAD_H

#include "parcel.h"
#include "world.h"

enum { WORK_FRAMES_MAX = 8, WORK_LAST = UINT32_MAX };

// The head of an answer's part.
struct answer_head {
    uint64_t call;
    uint64_t run;
    uint32_t part;
    uint32_t total; // in the last one: how many there were before it; else WORK_LAST
    uint64_t digest;
};

// workload_request makes the body of a call.
struct parcel *workload_request(struct node *node, uint64_t call);
// workload_answer makes one part of an answer, or its end (total is not WORK_LAST).
struct parcel *workload_answer(struct node *node, const struct parcel *request, uint64_t run,
                               uint32_t part, uint32_t total);
// workload_failure is what stands in place of an answer where the application fails.
struct parcel *workload_failure(struct node *node, const struct parcel *request, uint64_t run);
// workload_is_failure: does the frame say that this run has failed?
bool workload_is_failure(struct view frame, uint64_t *call_out, uint64_t *run_out);
// workload_name_of reads whose a body is: 0 where it is nobody's.
void workload_name_of(const struct mdp_body *body, uint64_t *call_out, uint64_t *run_out);
// workload_name reads whose a body is into the parcel: 0 where it is nobody's.
void workload_name(struct parcel *parcel);
// workload_head reads the head of a part; false where the frame is none.
bool workload_head(struct view frame, struct answer_head *head_out);
// workload_digest is what the right answer to a call has in it.
uint64_t workload_digest(const struct mdp_body *request);

#endif
